//! Rays in memory beside Embree: the same houses and rays in the same run, taken in turns, and whether all meet the same.
//!
//! Processor time of one thread each, without the making of the trees. Our houses lie where those of a city lie, Embree's at the
//! origin, since it knows f32 alone. Embree has triangles; ours are taken as prisms and as the same triangles.

use std::{
    fs,
    hint::black_box,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use glam::DVec3;
use groundline_engine::{
    model::{Block, Extent, Geometry, Polygon},
    query::cast::{Caster, CasterBuilder, Hit, Ray},
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::time::{ClockId, clock_gettime};

use crate::{index::Dice, run::median};

/// Houses along a side of the city.
const SIDE: usize = 316;
const STEP_M: f32 = 30.0;
const RAYS: usize = 1_000_000;
const ROUNDS: usize = 7;
/// Where the houses lie; its sums with their coordinates are exact.
const CORNER: DVec3 = DVec3::new(40_500_000.0, 4_000_000.0, 0.0);
/// Hits may be apart by this.
const APART_M: f64 = 1e-3;
/// Rays beside an edge or along a wall that may end otherwise.
const MOST_APART: usize = 20;

/// Prints a row for each way to ask.
pub fn rays(work: &Path) -> Result<()> {
    let houses = houses();
    let corners = triangles(&houses);
    let rays = random_rays();
    let timer = Instant::now();
    let prisms = of_prisms(&houses)?;
    let prisms_s = timer.elapsed().as_secs_f64();
    let timer = Instant::now();
    let mesh = of_triangles(&corners)?;
    let mesh_s = timer.elapsed().as_secs_f64();
    let peer = match std::env::var_os("GROUNDLINE_PYTHON").map(PathBuf::from) {
        Some(python) => Some(Peer::start(&python, work, &corners, &rays)?),
        None => None,
    };
    let place = |v: &[f32]| DVec3::new(v[0].into(), v[1].into(), v[2].into());
    let rays: Vec<Ray> = rays
        .iter()
        .map(|ray| Ray { origin: CORNER + place(ray), direction: place(&ray[3..]), max_m: f64::INFINITY })
        .collect();
    let count = corners.len();
    println!(
        "\nRays on {} houses, {count} triangles; trees of prisms {prisms_s:.2} s, {} MB, of triangles {mesh_s:.2} s, {} MB{}",
        houses.len(),
        prisms.held_bytes() >> 20,
        mesh.held_bytes() >> 20,
        peer.as_ref().map_or(String::new(), |peer| format!(", of {} {:.2} s", peer.name, peer.built_s)),
    );
    contest(&[("prisms", &prisms), ("triangles", &mesh)], &rays, peer)
}

/// A way to ask, with its rounds.
struct Way<'a> {
    name: String,
    caster: &'a Caster,
    is_closest: bool,
    is_batch: bool,
    /// Seconds of the rounds.
    cpu_s: Vec<f64>,
}

fn contest(casters: &[(&str, &Caster)], rays: &[Ray], mut peer: Option<Peer>) -> Result<()> {
    let one = ThreadPoolBuilder::new().num_threads(1).build()?;
    let all = ThreadPoolBuilder::new().build()?;
    let mut ways: Vec<Way> = Vec::new();
    for is_closest in [true, false] {
        for (name, caster) in casters {
            for is_batch in [false, true] {
                let order = if is_batch { "as a batch" } else { "one by one" };
                ways.push(Way { name: format!("{name}, {order}"), caster, is_closest, is_batch, cpu_s: Vec::new() });
            }
        }
    }
    let mut theirs = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for is_closest in [true, false] {
            for way in ways.iter_mut().filter(|way| way.is_closest == is_closest) {
                way.round(rays, &one);
            }
            if let Some(peer) = &mut peer {
                theirs[usize::from(!is_closest)].push(peer.round(if is_closest { "closest" } else { "occluded" })?);
            }
        }
    }
    println!(
        "\n| rays | caster | M rays/s on one thread | Embree's time over ours | M rays/s on {} cores |",
        all.current_num_threads()
    );
    println!("| --- | --- | --- | --- | --- |");
    let rate = |seconds: f64| rays.len() as f64 / seconds / 1e6;
    for way in &ways {
        let word = if way.is_closest { "closest" } else { "occluded" };
        let theirs = &theirs[usize::from(!way.is_closest)];
        let ratio = median(theirs.iter().zip(&way.cpu_s).map(|(their, our)| their / our));
        let ratio = if theirs.is_empty() { String::new() } else { format!("**{ratio:.2}×**") };
        let own = rate(median(way.cpu_s.iter().copied()));
        let cores = if way.is_batch { format!("{:.2}", rate(way.wall_s(rays, &all))) } else { String::new() };
        println!("| {word} | {} | {own:.2} | {ratio} | {cores} |", way.name);
    }
    let Some(peer) = peer else {
        println!("| | Embree: GROUNDLINE_PYTHON is not set: not run | | | |");
        return Ok(());
    };
    for (word, theirs) in ["closest", "occluded"].iter().zip(&theirs) {
        println!("| {word} | {}, one by one | {:.2} | | |", peer.name, rate(median(theirs.iter().copied())));
    }
    let (distances, occluded) = peer.end(rays.len())?;
    for (name, caster) in casters {
        compare(name, (&caster.closest_of(rays), &caster.occluded_of(rays)), (&distances, &occluded))?;
    }
    Ok(())
}

impl Way<'_> {
    fn round(&mut self, rays: &[Ray], pool: &ThreadPool) {
        let cpu = cpu_time();
        match (self.is_closest, self.is_batch) {
            (true, true) => _ = black_box(pool.install(|| self.caster.closest_of(rays))),
            (false, true) => _ = black_box(pool.install(|| self.caster.occluded_of(rays))),
            (true, false) => _ = black_box(rays.iter().map(|ray| self.caster.closest(ray)).collect::<Vec<_>>()),
            (false, false) => _ = black_box(rays.iter().map(|ray| self.caster.is_occluded(ray)).collect::<Vec<_>>()),
        }
        self.cpu_s.push((cpu_time() - cpu).as_secs_f64());
    }

    /// Median of the rounds on every core.
    fn wall_s(&self, rays: &[Ray], pool: &ThreadPool) -> f64 {
        median((0..ROUNDS).map(|_| {
            let timer = Instant::now();
            pool.install(|| match self.is_closest {
                true => _ = black_box(self.caster.closest_of(rays)),
                false => _ = black_box(self.caster.occluded_of(rays)),
            });
            timer.elapsed().as_secs_f64()
        }))
    }
}

/// The quality twin: who is hit and how far away must be the same.
fn compare(name: &str, ours: (&[Option<Hit>], &[bool]), theirs: (&[f32], &[bool])) -> Result<()> {
    let (mut hits, mut ours_alone, mut theirs_alone, mut apart, mut worst_m) = (0, 0, 0, 0, 0.0_f64);
    for (our, their) in ours.0.iter().zip(theirs.0) {
        match (our, *their < 1e30) {
            (Some(hit), true) => {
                hits += 1;
                let apart_m = (hit.distance_m - f64::from(*their)).abs();
                apart += usize::from(apart_m > APART_M);
                worst_m = worst_m.max(if apart_m > APART_M { 0.0 } else { apart_m });
            }
            (Some(_), false) => ours_alone += 1,
            (None, true) => theirs_alone += 1,
            (None, false) => {}
        }
    }
    let occluded = ours.1.iter().zip(theirs.1).filter(|(our, their)| our != their).count();
    println!(
        "| | {name}: {hits} hits the same within {:.2} mm, {apart} farther apart, {ours_alone} ours alone, {theirs_alone} Embree's alone; occlusion differs {occluded} times | | | |",
        worst_m * 1e3
    );
    ensure!(hits > RAYS / 10, "{name}: {hits} hits");
    let wrong = apart + ours_alone + theirs_alone;
    ensure!(wrong <= MOST_APART && occluded <= MOST_APART, "{name}: {wrong} rays end elsewhere than Embree's");
    Ok(())
}

/// Lowest and highest corners.
fn houses() -> Vec<[f32; 6]> {
    let mut dice = Dice(88_172_645_463_325_252);
    (0..SIDE * SIDE)
        .map(|number| {
            let (x, y) = ((number / SIDE) as f32 * STEP_M, (number % SIDE) as f32 * STEP_M);
            let (width, height) = (8.0 + dice.roll() * 12.0, 6.0 + 100.0 * dice.roll().powi(3));
            [x, y, 0.0, x + width as f32, y + width as f32, height as f32]
        })
        .collect()
}

/// Walls and roofs; no ray comes from below.
fn triangles(houses: &[[f32; 6]]) -> Vec<[[f32; 3]; 3]> {
    let of_house = |[x, y, low, u, v, high]: &[f32; 6]| {
        let plan = [[*x, *y], [*u, *y], [*u, *v], [*x, *v]];
        let corner = |at: usize, z: f32| [plan[at % 4][0], plan[at % 4][1], z];
        let mut all = Vec::with_capacity(10);
        for at in 0..4 {
            let [a, b, c, d] = [corner(at, *low), corner(at + 1, *low), corner(at + 1, *high), corner(at, *high)];
            all.extend([[a, b, c], [a, c, d]]);
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| corner(at, *high));
        all.extend([[a, b, c], [a, c, d]]);
        all
    };
    houses.iter().flat_map(of_house).collect()
}

/// From between the houses and above them, upwards.
fn random_rays() -> Vec<[f32; 6]> {
    let mut dice = Dice(20_131_122);
    let size = SIDE as f64 * f64::from(STEP_M);
    (0..RAYS)
        .map(|_| {
            let start = DVec3::new(dice.roll() * size, dice.roll() * size, 1.5 + dice.roll() * 60.0).as_vec3();
            let direction =
                DVec3::new(dice.roll() - 0.5, dice.roll() - 0.5, 0.05 + dice.roll() * 0.6).normalize().as_vec3();
            [start.x, start.y, start.z, direction.x, direction.y, direction.z]
        })
        .collect()
}

fn of_prisms(houses: &[[f32; 6]]) -> Result<Caster> {
    let mut builder = CasterBuilder::new();
    for (which, house) in (0..).zip(houses) {
        let [x, y, low, u, v, high] = house.map(f64::from);
        let plan = [(x, y), (u, y), (u, v), (x, v)];
        let outer = plan.map(|(x, y)| CORNER + DVec3::new(x, y, 0.0)).to_vec();
        let block = Geometry::Block(Block {
            footprint: vec![Polygon { outer, holes: Vec::new() }],
            base_m: Some(low),
            height_m: high - low,
            lift_m: 0.0,
            storeys: None,
            roof: None,
        });
        let extent: Extent = block.extent();
        builder.add(&block, &extent, which)?;
    }
    Ok(builder.build())
}

fn of_triangles(triangles: &[[[f32; 3]; 3]]) -> Result<Caster> {
    let mut builder = CasterBuilder::new();
    for (which, corners) in (0..).zip(triangles) {
        let corners = corners.map(|v| CORNER + DVec3::from_array(v.map(f64::from)));
        builder.add_triangles(&[corners], which)?;
    }
    Ok(builder.build())
}

/// Embree in a process of its own, which waits while we compute.
struct Peer {
    name: String,
    built_s: f64,
    child: Child,
    answers: BufReader<ChildStdout>,
    out: PathBuf,
}

impl Peer {
    fn start(python: &Path, work: &Path, triangles: &[[[f32; 3]; 3]], rays: &[[f32; 6]]) -> Result<Self> {
        let paths = ["triangles.bin", "rays.bin", "embree.bin"].map(|name| work.join(name));
        let bytes: Vec<u8> = triangles.iter().flatten().flatten().flat_map(|x| x.to_le_bytes()).collect();
        fs::write(&paths[0], bytes)?;
        fs::write(&paths[1], rays.iter().flatten().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/embree_rays.py"))
            .args(&paths)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} (GROUNDLINE_PYTHON)", python.display()))?;
        let answers = BufReader::new(child.stdout.take().context("the peer's output")?);
        let [.., out] = paths;
        let mut peer = Self { name: String::new(), built_s: 0.0, child, answers, out };
        let line = peer.line()?;
        let (name, built_s) = line.split_once("; ").with_context(|| format!("the peer wrote {line:?}"))?;
        (peer.name, peer.built_s) = (name.to_string(), built_s.parse()?);
        Ok(peer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(
            !line.is_empty(),
            "Embree ended early; is embreex installed in the Python that GROUNDLINE_PYTHON names?"
        );
        Ok(line.trim().to_string())
    }

    /// Processor seconds.
    fn round(&mut self, question: &str) -> Result<f64> {
        writeln!(self.child.stdin.as_mut().context("the peer's input")?, "{question}")?;
        let line = self.line()?;
        let cpu_s = line.split_whitespace().next().and_then(|word| word.parse().ok());
        cpu_s.with_context(|| format!("the peer wrote {line:?}"))
    }

    /// Its distances, and which rays are occluded.
    fn end(mut self, count: usize) -> Result<(Vec<f32>, Vec<bool>)> {
        drop(self.child.stdin.take());
        ensure!(self.child.wait()?.success(), "Embree failed");
        let bytes = fs::read(&self.out)?;
        ensure!(bytes.len() == count * 5, "Embree wrote {} bytes for {count} rays", bytes.len());
        let (distances, occluded) = bytes.split_at(count * 4);
        let number = |four: &[u8]| four.try_into().map_or(f32::NAN, f32::from_le_bytes);
        Ok((distances.chunks_exact(4).map(number).collect(), occluded.iter().map(|byte| *byte == 1).collect()))
    }
}

/// Processor time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
