//! A city seen through a line that delays, cuts, spoils or swallows what the server says.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::Output,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{Server, groundline, hilly_city, text};
use groundline_engine::tile::Tile;
use groundline_viewer::city::CityModel;
use serde_json::Value;

/// What becomes of an answer.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It comes so much later.
    Late(Duration),
    /// The line breaks in its middle.
    Cut,
    /// Some of its bytes are others.
    Spoilt,
    /// Nothing comes, and the line stays open.
    Swallowed,
}

/// Says what becomes of the n-th answer for a path, from 0.
type Faults = dyn Fn(&str, usize) -> Fault + Send + Sync;

/// A line to a server.
struct Line {
    url: String,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Line {
    fn to(server: &Server, faults: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = server.http().trim_start_matches("http://").to_owned();
        let asked = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let (faults, counts): (Arc<Faults>, _) = (Arc::new(faults), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (server, faults, counts) = (server.clone(), faults.clone(), counts.clone());
                // A line that breaks is what this is for.
                std::thread::spawn(move || drop(carry(stream, &server, &*faults, &counts)));
            }
        });
        Self { url, asked }
    }

    /// How often a path was asked for.
    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().get(path).copied().unwrap_or(0)
    }
}

/// One request and its answer; the connection ends with it.
fn carry(
    mut stream: TcpStream,
    server: &str,
    faults: &Faults,
    counts: &Mutex<BTreeMap<String, usize>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let number = {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(path.clone()).or_default();
        std::mem::replace(count, *count + 1)
    };
    let fault = faults(&path, number);
    if fault == Fault::Swallowed {
        // Until the other side has had enough.
        while stream.read(&mut byte)? > 0 {}
        return Ok(());
    }
    let mut answering = TcpStream::connect(server)?;
    let asked = head.lines().filter(|line| !line.to_lowercase().starts_with("connection:") && !line.is_empty());
    let asked: String = asked.map(|line| format!("{line}\r\n")).collect();
    write!(answering, "{asked}Connection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    answering.read_to_end(&mut answer)?;
    match fault {
        Fault::None | Fault::Swallowed => {}
        Fault::Late(time) => std::thread::sleep(time),
        Fault::Cut => answer.truncate(answer.len() / 2 + 200),
        Fault::Spoilt => answer.iter_mut().rev().take(64).for_each(|byte| *byte ^= 0x55),
    }
    stream.write_all(&answer)?;
    stream.shutdown(Shutdown::Both)
}

/// A city, its server and a cache for each reader.
struct House {
    folder: tempfile::TempDir,
    city: PathBuf,
    server: Server,
}

impl House {
    fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let city = hilly_city(folder.path());
        let server = Server::start(&city);
        Self { folder, city, server }
    }

    fn run(&self, reader: &str, args: &[&str]) -> Output {
        let mut command = groundline();
        command.env("GROUNDLINE_CACHE", self.folder.path().join(reader)).env("GROUNDLINE_LOG", "warn");
        command.args(["--lang", "en"]).args(args).output().expect("the command starts")
    }

    /// A picture through an address, and what is said of it.
    fn picture(&self, reader: &str, from: &str) -> (image::RgbImage, Value) {
        let out = self.folder.path().join(format!("{reader}.png"));
        let output =
            self.run(reader, &["snapshot", from, "--size", "320x180", "--plain", "--out", text(&out), "--json"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let report =
            serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
        (image::open(&out).unwrap().to_rgb8(), report)
    }

    /// Some seconds of the window's own streaming through an address; what was measured and what was said.
    fn patrol(&self, reader: &str, from: &str) -> (Value, String) {
        let size = ["--size", "192x108", "--seconds", "16", "--lap", "8"];
        let output = self.run(reader, &[&["tour", from][..], &size].concat());
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{told}")), told.into_owned())
    }

    /// Where the server has the finest tile of the ground in the middle of the city.
    fn ground_tile(&self) -> String {
        let city = CityModel::open(&self.city).unwrap();
        let middle = city.overview_extent().centre().truncate();
        let ground = city.layers.iter().find(|layer| layer.is_ground()).expect("ground");
        let tree = ground.tree.now();
        let fine = tree.tiles().iter().filter(|tile| tile.children.is_empty() && tile.parent.is_some());
        let off = |tile: &&Tile| tile.extent.centre().truncate().distance(middle);
        let tile = fine.min_by(|a, b| off(a).total_cmp(&off(b))).expect("more than one level");
        let path = ground.folder.join(tile.content.as_ref().expect("content"));
        format!("/files/{}", text(path.strip_prefix(&self.city).unwrap()))
    }
}

fn differing(a: &image::RgbImage, b: &image::RgbImage) -> usize {
    a.pixels().zip(b.pixels()).filter(|(a, b)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 2)).count()
}

fn is_tile(path: &str) -> bool {
    path.ends_with(".glb")
}

#[test]
fn what_comes_late_or_is_cut_or_spoilt_once_is_there_in_the_end() {
    let house = House::build();
    let (near, _) = house.picture("near", text(&house.city));
    let cuts = Line::to(&house.server, |path, number| match number {
        0 if is_tile(path) => Fault::Cut,
        _ => Fault::None,
    });
    let lates = Line::to(&house.server, |path, number| match number {
        0 if is_tile(path) => Fault::Late(Duration::from_millis(300)),
        _ => Fault::None,
    });
    for (name, line) in [("cut", &cuts), ("late", &lates)] {
        let (far, report) = house.picture(name, &line.url);
        assert_eq!(report["damaged_tiles"], Value::Array(vec![]), "{name}");
        assert_eq!(differing(&near, &far), 0, "{name}: the picture is the folder's");
    }
    let twice = cuts.asked.lock().unwrap().iter().filter(|(path, count)| is_tile(path) && **count == 2).count();
    assert!(twice > 3, "{twice} tiles were asked for again");
}

#[test]
fn a_tile_that_stays_spoilt_leaves_the_coarser_one_and_is_told_of_in_a_sentence() {
    let house = House::build();
    let tile = house.ground_tile();
    let broken = tile.clone();
    let line = Line::to(&house.server, move |path, _| if path == broken { Fault::Spoilt } else { Fault::None });
    let (report, said) = house.patrol("spoilt", &line.url);
    let damaged = report["damaged_tiles"].as_array().unwrap();
    assert!(
        damaged.len() == 1 && damaged[0].as_str().unwrap().contains(tile.rsplit('/').next().unwrap()),
        "{damaged:?}"
    );
    let told: BTreeSet<&str> =
        said.lines().filter_map(|line| line.split_once("tile not drawn: ")).map(|(_, why)| why).collect();
    assert_eq!(told.len(), 1, "{said}");
    assert!(line.asked(&tile) > 2, "it is tried again: {}", line.asked(&tile));
    // Pixels say nothing here: the eye may stand below a coarse tile where the fine one is missing.
    for nothing in ["bare_tile_frames", "validation_errors"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}");
    }
    let broken: BTreeSet<&str> = report["broken"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(broken.contains("1 tiles could not be read"), "{broken:?}");
}

#[test]
fn a_tile_that_never_comes_holds_nothing_up() {
    let house = House::build();
    let tile = house.ground_tile();
    let silent = tile.clone();
    let line = Line::to(&house.server, move |path, _| if path == silent { Fault::Swallowed } else { Fault::None });
    let started = Instant::now();
    let (report, said) = house.patrol("silent", &line.url);
    assert!(line.asked(&tile) > 0 && report["frames"].as_u64() > Some(10), "{report}");
    assert_eq!(report["bare_tile_frames"], 0, "{report} {said}");
    // A request has half a minute.
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}
