//! `groundline doctor`: what this machine lacks, and how to mend it.

use anyhow::Result;
use groundline_engine::crs::proj_state;
use serde::Serialize;

use crate::outcome::{Ask, Outcome, print_json};

#[derive(clap::Args)]
pub struct Args {}

/// One thing looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    found: String,
    fix: Option<&'static str>,
}

pub fn run(_: Args, ask: &Ask) -> Result<Outcome> {
    let findings = [gpu(), display(), ports(), disk(), clock(), proj()];
    if ask.json {
        print_json(&findings)?;
    } else {
        for finding in &findings {
            println!("{} {}: {}", if finding.ok { "✓" } else { "✗" }, finding.what, finding.found);
            if let (false, Some(fix)) = (finding.ok, finding.fix) {
                println!("    → {fix}");
            }
        }
    }
    Ok(if findings.iter().all(|f| f.ok) { Outcome::Done } else { Outcome::Failed })
}

fn gpu() -> Finding {
    match groundline_viewer::check_driver() {
        Ok(()) => Finding { what: "gpu", ok: true, found: "a graphics driver is installed".into(), fix: None },
        Err(error) => Finding {
            what: "gpu",
            ok: false,
            found: error.to_string(),
            fix: Some("apt-get install libvulkan1 mesa-vulkan-drivers"),
        },
    }
}

fn display() -> Finding {
    let names = ["WAYLAND_DISPLAY", "DISPLAY"];
    let found = names.iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()).map(|v| format!("{n}={v}")));
    Finding {
        what: "display",
        ok: found.is_some(),
        found: found.unwrap_or_else(|| "none: `view` needs one, `snapshot` and `serve` do not".into()),
        fix: Some("start in a graphical session, or use `groundline snapshot`"),
    }
}

fn ports() -> Finding {
    let busy: Vec<String> = [1883_u16, 8080]
        .iter()
        .filter(|port| std::net::TcpListener::bind(("127.0.0.1", **port)).is_err())
        .map(u16::to_string)
        .collect();
    Finding {
        what: "ports",
        ok: busy.is_empty(),
        found: if busy.is_empty() { "1883 and 8080 are free".into() } else { format!("in use: {}", busy.join(", ")) },
        fix: Some("choose others with --mqtt and --listen"),
    }
}

fn disk() -> Finding {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    match rustix::fs::statvfs(&here) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let found = format!("{} free in {}", crate::outcome::bytes(free), here.display());
            Finding { what: "disk", ok: free > 2_000_000_000, found, fix: Some("free 2 GB or choose another disk") }
        }
        Err(error) => {
            Finding { what: "disk", ok: false, found: error.to_string(), fix: Some("choose a folder that can be read") }
        }
    }
}

fn clock() -> Finding {
    let now = chrono::Utc::now();
    let ok = now.timestamp() > 1_767_225_600; // 2026-01-01: older means that the clock was never set
    Finding {
        what: "clock",
        ok,
        found: now.to_rfc3339(),
        fix: Some("set the clock: readings are placed in time by it"),
    }
}

fn proj() -> Finding {
    let (ok, found) = match proj_state() {
        Some(Ok(release)) => (true, format!("PROJ {release} is built in")),
        Some(Err(reason)) => (false, reason.into()),
        None => (true, "not in this build: `cargo build --release -p groundline --features proj` puts it in".into()),
    };
    Finding {
        what: "proj",
        ok,
        found,
        fix: Some("set PROJ_DATA to a folder without a proj.db, which may hold grids: the tables are built in"),
    }
}
