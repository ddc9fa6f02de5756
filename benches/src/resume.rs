//! How much work is done twice when an import is killed and started again: one large file of each kind, killed at parts of
//! the time that it takes undisturbed.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use groundline_sample::mass;

use crate::{large, run::median, text};

/// Parts of the undisturbed time after which it is killed, one after the other.
const KILLED_AT: [f64; 4] = [0.2, 0.4, 0.6, 0.85];
const FOOTPRINTS: usize = 500_000;
const HOUSES: usize = 300_000;

/// Prints a row for each input: the time undisturbed, and for each kill what was repeated, as a share of it.
pub fn resume(groundline: &Path, work: &Path) -> Result<()> {
    println!("\n| resume: one file | s undisturbed | repeated when killed at 20, 40, 60, 85 % |");
    println!("| --- | --- | --- |");
    let folder = work.join("resume");
    std::fs::create_dir_all(&folder)?;
    let mut inputs = vec![(format!("shapefile, {FOOTPRINTS} footprints"), mass::shapefile(&folder, FOOTPRINTS)?)];
    inputs.push((format!("CityJSONSeq, {HOUSES} houses"), mass::city_json_sequence(&folder, HOUSES)?));
    inputs.push((format!("CityGML, {HOUSES} houses"), mass::city_gml(&folder, HOUSES)?));
    inputs.push(("LAZ, 800 MiB of points unpacked".into(), large::laz(&folder, 800 << 20)?));
    inputs.push(("IFC, 48 MiB".into(), large::ifc(&folder, 48 << 20)?));
    for (name, source) in inputs {
        let import = |city: &Path| -> Result<Command> {
            let mut command = Command::new(groundline);
            command.args(["import", text(&source)?, "--city", text(city)?, "--crs", "EPSG:4549", "--json"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            Ok(command)
        };
        let whole = |city: &Path| -> Result<f64> {
            let started = Instant::now();
            let status = import(city)?.status()?;
            anyhow::ensure!(matches!(status.code(), Some(0 | 3)), "{name}: {status}");
            Ok(started.elapsed().as_secs_f64())
        };
        let mut undisturbed = Vec::new();
        for number in 0..3 {
            let city = folder.join(format!("whole{number}.city"));
            undisturbed.push(whole(&city)?);
            std::fs::remove_dir_all(&city)?;
        }
        let undisturbed = median(undisturbed.into_iter());
        let mut repeated = Vec::new();
        for part in KILLED_AT {
            let city = folder.join("killed.city");
            let started = Instant::now();
            let mut child = import(&city)?.spawn().context("the import")?;
            std::thread::sleep(Duration::from_secs_f64(undisturbed * part));
            child.kill()?;
            child.wait()?;
            let first = started.elapsed().as_secs_f64();
            let second = whole(&city)?;
            repeated.push(format!("{:.0} %", (first + second - undisturbed) / undisturbed * 100.0));
            std::fs::remove_dir_all(&city)?;
        }
        println!("| {name} | {undisturbed:.1} | {} |", repeated.join(", "));
    }
    Ok(())
}
