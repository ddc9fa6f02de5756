//! One of our commands and its peers on the same input, interleaved in the same run.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run::{Run, load, median};

/// Runs of each command; medians stand in the table.
pub const RUNS: usize = 5;
/// With more than this many runnable processes, times say little on two cores.
const BUSY: f64 = 3.0;

/// A command to be timed.
pub struct Entry {
    /// Name in the table.
    pub name: String,
    /// The program; `None` when it is not installed.
    pub program: Option<PathBuf>,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it writes: removed before each run.
    pub output: Vec<PathBuf>,
    /// Says of what it printed how much it did.
    pub result: fn(&str) -> String,
}

/// Times `ours` beside `peers` and prints a row for each; `count` things are in the `input`.
pub fn contest(what: &str, input: &str, count: (u64, &str), ours: &Entry, peers: &[Entry]) -> Result<()> {
    contest_of(RUNS, what, input, count, ours, peers)
}

/// The same with so many runs of each.
pub fn contest_of(
    times: usize,
    what: &str,
    input: &str,
    (count, unit): (u64, &str),
    ours: &Entry,
    peers: &[Entry],
) -> Result<()> {
    let Some(program) = &ours.program else { anyhow::bail!("{} is not there", ours.name) };
    let busy = load() > BUSY;
    let mut mine = Vec::new();
    let mut theirs: Vec<Vec<Run>> = peers.iter().map(|_| Vec::new()).collect();
    for _ in 0..times {
        mine.push(run(program, ours)?);
        for (peer, runs) in peers.iter().zip(&mut theirs) {
            if let Some(program) = &peer.program {
                runs.push(run(program, peer)?);
            }
        }
    }
    let result = mine.last().map(|r| (ours.result)(&r.output)).unwrap_or_default();
    let busy = if busy || load() > BUSY { "; the machine was busy: not to be judged" } else { "" };
    row(what, input, &mine, (count, unit), &format!("{result}{busy}"));
    for (peer, runs) in peers.iter().zip(&theirs) {
        if runs.is_empty() {
            println!("| {} | {input} | | | | | not installed: not run |", peer.name);
            continue;
        }
        let ratio =
            |of: fn(&Run) -> f64| median(runs.iter().zip(&mine).map(|(other, own)| of(other) / of(own).max(1e-3)));
        let result = runs.last().map(|r| (peer.result)(&r.output)).unwrap_or_default();
        let result = format!("{result}; **{:.2}×** in wall, {:.2}× in cpu", ratio(|r| r.wall_s), ratio(|r| r.cpu_s));
        row(&peer.name, input, runs, (count, unit), &result);
    }
    Ok(())
}

fn run(program: &Path, entry: &Entry) -> Result<Run> {
    for path in &entry.output {
        let _ = std::fs::remove_dir_all(path);
        let _ = std::fs::remove_file(path);
    }
    let args: Vec<&str> = entry.args.iter().map(String::as_str).collect();
    Run::of(program, &args)
}

/// Prints one row.
pub fn row(what: &str, input: &str, runs: &[Run], (count, unit): (u64, &str), result: &str) {
    let wall = median(runs.iter().map(|r| r.wall_s));
    let cpu = median(runs.iter().map(|r| r.cpu_s));
    let peak = match median(runs.iter().map(|r| r.peak_mb)) {
        // Not of a process of its own.
        0.0 => String::new(),
        peak => format!("{peak:.0}"),
    };
    let rate = match count {
        0 => String::new(),
        count => format!("{:.0} {unit}/s", count as f64 / wall),
    };
    println!("| {what} | {input} | {wall:.2} | {cpu:.2} | {rate} | {peak} | {result} |");
}
