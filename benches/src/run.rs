//! One run of one command: wall time, processor time, peak memory.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result};

/// What one run took.
pub struct Run {
    /// Seconds from start to end.
    pub wall_s: f64,
    /// Processor seconds, user and system, children included.
    pub cpu_s: f64,
    /// Highest resident memory of one process, MB.
    pub peak_mb: f64,
    /// Standard output.
    pub output: String,
}

impl Run {
    /// Runs `program` under GNU time and waits.
    pub fn of(program: &Path, args: &[&str]) -> Result<Self> {
        let figures = tempfile::NamedTempFile::new()?;
        let started = Instant::now();
        let output = Command::new("/usr/bin/time")
            .args(["-f", "%U %S %M", "-o"])
            .arg(figures.path())
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .context("GNU time (Debian package `time`)")?;
        let wall_s = started.elapsed().as_secs_f64();
        anyhow::ensure!(
            output.status.success() || output.status.code() == Some(3),
            "{} {args:?} failed: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        let text = std::fs::read_to_string(figures.path())?;
        let line = text.lines().last().context("GNU time wrote nothing")?;
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
        let [user, system, kilobytes] = numbers[..] else { anyhow::bail!("GNU time wrote {line:?}") };
        let output = String::from_utf8(output.stdout)?;
        Ok(Self { wall_s, cpu_s: user + system, peak_mb: kilobytes / 1e3, output })
    }
}

/// Path of an installed program.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file())
}

/// Middle value; 0 of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Processes that wanted to run, on the average of the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
