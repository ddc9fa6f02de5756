//! Coordinates in bulk beside PROJ: the same points in the same run, taken in turns, and how far apart the results are.
//!
//! Processor time of one thread, of the transformation alone. Ours counts the making of the transformation and of its
//! patches, which PROJ's does not; PROJ's is pyproj on numpy arrays, in place.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use glam::DVec3;
use groundline_engine::crs::{Crs, Transform, ecef_from_geographic, geographic_from_ecef_all};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    contest::row,
    run::{Run, median},
};

const COUNT: usize = 2_000_000;
const ROUNDS: usize = 7;
/// Farthest that we may lie from PROJ.
const APART_MM: f64 = 1.0;
/// Degrees on the meridian and at the equator, near enough for a distance of a millimetre.
const DEGREE_M: f64 = 111_320.0;

/// From one system to another, in a city at this longitude and latitude.
struct Pair {
    from: u32,
    to: u32,
    place: [f64; 2],
    what: &'static str,
}

const QINGDAO: [f64; 2] = [120.38, 36.07];
const PAIRS: &[Pair] = &[
    Pair { from: 4326, to: 4549, place: QINGDAO, what: "WGS 84 to CGCS2000 3° Gauss-Krüger" },
    Pair { from: 4490, to: 4549, place: QINGDAO, what: "CGCS2000 to its 3° Gauss-Krüger" },
    Pair { from: 4549, to: 4490, place: QINGDAO, what: "CGCS2000 3° Gauss-Krüger to degrees" },
    Pair { from: 4326, to: 3857, place: QINGDAO, what: "WGS 84 to web Mercator" },
    Pair { from: 3857, to: 4549, place: QINGDAO, what: "web Mercator to CGCS2000 3° Gauss-Krüger" },
    Pair { from: 4326, to: 32651, place: QINGDAO, what: "WGS 84 to UTM 51N" },
    Pair { from: 4326, to: 2154, place: [4.83, 45.76], what: "WGS 84 to Lambert-93" },
    Pair { from: 4326, to: 28992, place: [4.48, 51.92], what: "WGS 84 to RD New, datum shift" },
    Pair { from: 4326, to: 27700, place: [-0.12, 51.5], what: "WGS 84 to British National Grid, datum shift" },
    Pair { from: 4156, to: 5514, place: [14.42, 50.08], what: "S-JTSK to Krovak East North" },
    Pair { from: 4978, to: 4979, place: QINGDAO, what: "middle of the Earth to degrees and height" },
];

/// Prints two rows for each pair.
pub fn crs(work: &Path) -> Result<()> {
    let Some(python) = std::env::var_os("GROUNDLINE_PYTHON").map(PathBuf::from) else {
        println!("| coordinates in bulk | GROUNDLINE_PYTHON is not set | | | | | not run |");
        return Ok(());
    };
    for pair in PAIRS {
        contest(pair, &python, work)?;
    }
    Ok(())
}

fn contest(pair: &Pair, python: &Path, work: &Path) -> Result<()> {
    let points = pair.points()?;
    let mut peer = Peer::start(pair, python, work, &points)?;
    let mut got = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        got = points.clone();
        let (wall, cpu) = (Instant::now(), cpu_time());
        pair.convert(&mut got)?;
        ours.push(run((cpu_time() - cpu).as_secs_f64(), wall.elapsed().as_secs_f64()));
        theirs.push(peer.round()?);
    }
    let name = peer.name.clone();
    let apart_mm = pair.apart_mm(&got, &peer.end()?)?;
    let ratio = median(theirs.iter().zip(&ours).map(|(their, our)| their.cpu_s / our.cpu_s));
    let what = format!("{}: EPSG:{} to {}", pair.what, pair.from, pair.to);
    let (input, count) = (format!("{COUNT} points of a city"), (COUNT as u64, "points"));
    row(&what, &input, &ours, count, &format!("at most {apart_mm:.1e} mm from PROJ"));
    row(&name, &input, &theirs, count, &format!("**{ratio:.2}×** in cpu, median of {ROUNDS}"));
    ensure!(apart_mm <= APART_MM, "{what}: {apart_mm} mm from PROJ");
    Ok(())
}

impl Pair {
    /// Points of a city of about 30 km, always the same.
    fn points(&self) -> Result<Vec<DVec3>> {
        let mut state = 20_131_122_u64;
        let mut chance = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let [lon, lat] = self.place;
        let degrees = |_| DVec3::new(lon + 0.3 * (chance() - 0.5), lat + 0.3 * (chance() - 0.5), 500.0 * chance());
        let mut points: Vec<DVec3> = (0..COUNT).map(degrees).collect();
        if self.from == 4978 {
            points.iter_mut().for_each(|point| *point = ecef_from_geographic(*point));
            return Ok(points);
        }
        let source = Crs::from_epsg(self.from)?;
        Transform::new(&source.geographic()?, &source)?.apply(&mut points);
        Ok(points)
    }

    fn convert(&self, points: &mut [DVec3]) -> Result<()> {
        if self.from == 4978 {
            geographic_from_ecef_all(points);
            return Ok(());
        }
        Transform::new(&Crs::from_epsg(self.from)?, &Crs::from_epsg(self.to)?)?.apply(points);
        Ok(())
    }

    /// The greatest distance on the ground, millimetres; heights too where they are converted.
    fn apart_mm(&self, ours: &[DVec3], theirs: &[DVec3]) -> Result<f64> {
        ensure!(ours.len() == theirs.len(), "{} points, PROJ has {}", ours.len(), theirs.len());
        let is_geographic = self.to == 4979 || Crs::from_epsg(self.to)?.is_geographic;
        let scale = if is_geographic { DEGREE_M } else { 1.0 };
        let mut worst_m = 0.0_f64;
        for (our, their) in ours.iter().zip(theirs) {
            let apart_m = ((our.x - their.x) * scale).hypot((our.y - their.y) * scale).hypot(our.z - their.z);
            ensure!(apart_m.is_finite(), "{our} is {their} to PROJ");
            worst_m = worst_m.max(apart_m);
        }
        Ok(worst_m * 1e3)
    }
}

/// pyproj in a process of its own, which waits while we compute.
struct Peer {
    /// Releases of pyproj and PROJ.
    name: String,
    child: Child,
    answers: BufReader<ChildStdout>,
    out: PathBuf,
}

impl Peer {
    fn start(pair: &Pair, python: &Path, work: &Path, points: &[DVec3]) -> Result<Self> {
        let (source, out) = (work.join("points.bin"), work.join("proj.bin"));
        let bytes: Vec<u8> = points.iter().flat_map(|p| p.to_array()).flat_map(f64::to_le_bytes).collect();
        fs::write(&source, bytes)?;
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pyproj_transform.py"))
            .args([pair.from.to_string(), pair.to.to_string()])
            .args([&source, &out])
            .env("PROJ_NETWORK", "OFF")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} (GROUNDLINE_PYTHON)", python.display()))?;
        let answers = BufReader::new(child.stdout.take().context("the peer's output")?);
        let mut peer = Self { name: String::new(), child, answers, out };
        peer.name = peer.line()?;
        Ok(peer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "pyproj ended early; is it installed in the Python that GROUNDLINE_PYTHON names?");
        Ok(line.trim().to_string())
    }

    fn round(&mut self) -> Result<Run> {
        self.child.stdin.as_mut().context("the peer's input")?.write_all(b"\n")?;
        let line = self.line()?;
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [cpu_s, wall_s] = numbers[..] else { anyhow::bail!("the peer wrote {line:?}") };
        Ok(run(cpu_s, wall_s))
    }

    /// Its points.
    fn end(mut self) -> Result<Vec<DVec3>> {
        drop(self.child.stdin.take());
        ensure!(self.child.wait()?.success(), "pyproj failed");
        let bytes = fs::read(&self.out)?;
        let number = |eight: &[u8]| eight.try_into().map_or(f64::NAN, f64::from_le_bytes);
        Ok(bytes
            .chunks_exact(24)
            .map(|row| DVec3::new(number(&row[..8]), number(&row[8..16]), number(&row[16..])))
            .collect())
    }
}

fn run(cpu_s: f64, wall_s: f64) -> Run {
    Run { wall_s, cpu_s, peak_mb: 0.0, output: String::new() }
}

/// Processor time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
