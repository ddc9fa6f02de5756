//! What the tests of the command share: running it, and the tiny sample city.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// The built command.
pub fn groundline() -> Command {
    Command::new(env!("CARGO_BIN_EXE_groundline"))
}

/// Runs it and returns what it said; panics only when it cannot be started.
pub fn run(args: &[&str]) -> Output {
    groundline().args(args).output().expect("the command starts")
}

/// Exit code and standard output as JSON.
pub fn run_json(args: &[&str]) -> (i32, serde_json::Value) {
    let output = run(&[args, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{args:?} printed no JSON ({e}): {text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code().expect("it ended by itself"), value)
}

/// The files of the tiny sample city, made in `folder`.
pub fn tiny_sample(folder: &Path) -> PathBuf {
    let files = folder.join("sources");
    std::fs::create_dir_all(&files).expect("a folder");
    groundline_sample::make(&groundline_sample::Recipe::tiny(), &files, &mut |_| {}).expect("the sample city's files");
    files
}

/// A city of 4 km of hills, in tiles of several levels, with some houses in its middle; made in `folder`.
pub fn hilly_city(folder: &Path) -> PathBuf {
    const SIDE: u32 = 400;
    let files = folder.join("sources");
    std::fs::create_dir_all(&files).expect("a folder");
    let mut grid =
        format!("ncols {SIDE}\nnrows {SIDE}\nxllcorner 532000\nyllcorner 3991000\ncellsize 10\nNODATA_value -9999\n");
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (x, y) = (f64::from(column) / 9.0, f64::from(row) / 11.0);
            grid += &format!("{:.1} ", 60.0 + 25.0 * x.sin() * y.cos() + 6.0 * (x * 3.7 + y * 2.9).sin());
        }
        grid.push('\n');
    }
    std::fs::write(files.join("hills.asc"), grid).expect("a file");
    let house = |k: u32| {
        let (x, y) = (533_700 + k % 16 * 40, 3_992_700 + k / 16 * 40);
        let ring =
            [(x, y), (x + 20, y), (x + 20, y + 14), (x, y + 14), (x, y)].map(|(x, y)| format!("[{x},{y}]")).join(",");
        format!(
            r#"{{"type":"Feature","id":{k},"properties":{{"height":{}}},"geometry":{{"type":"Polygon","coordinates":[[{ring}]]}}}}"#,
            6 + k % 7 * 5
        )
    };
    let houses = (0..256).map(house).collect::<Vec<_>>().join(",");
    let houses = format!(r#"{{"type":"FeatureCollection","features":[{houses}]}}"#);
    std::fs::write(files.join("houses.geojson"), houses).expect("a file");
    let city = folder.join("hills.city");
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!(code, 0, "{report:#}");
    city
}

/// The whole sample city, made in `folder`, which the next run replaces.
pub fn sample_city(folder: &Path) -> PathBuf {
    if folder.exists() {
        std::fs::remove_dir_all(folder).expect("an old folder");
    }
    let files = folder.join("sources");
    std::fs::create_dir_all(&files).expect("a folder");
    groundline_sample::make(&groundline_sample::Recipe::default_city(), &files, &mut |_| {}).expect("its files");
    let city = folder.join("haiwan.city");
    let crs = ["--crs", "EPSG:4549", "--vertical", "EPSG:5737"];
    let (code, report) = run_json(&[&["import", text(&files), "--city", text(&city)][..], &crs].concat());
    assert_eq!(code, 0, "{report:#}");
    city
}

/// `groundline serve` on a city, until it is dropped.
pub struct Server {
    child: Child,
    /// What it said at its start: `http` and `mqtt`.
    pub told: serde_json::Value,
}

impl Server {
    /// Starts it on free ports.
    pub fn start(city: &Path) -> Self {
        Self::of(groundline(), text(city), &["--mqtt", "127.0.0.1:0"])
    }

    /// Starts it as this command says.
    pub fn of(mut command: Command, city: &str, more: &[&str]) -> Self {
        let mut child = command
            .args(["serve", city, "--listen", "127.0.0.1:0", "--json"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("a line");
        Self { child, told: serde_json::from_str(&line).expect("where it listens") }
    }

    /// Its address.
    pub fn http(&self) -> &str {
        self.told["http"].as_str().expect("an address")
    }

    /// One HTTP GET without a library: status line and body.
    pub fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.http().trim_start_matches("http://")).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.lines().next().expect("a status").to_owned(), body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// Every file below `folder` with a hash of its content, in order.
pub fn fingerprint(folder: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder that can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a file that can be read");
                let mut hasher = std::hash::DefaultHasher::new();
                std::hash::Hash::hash(&bytes, &mut hasher);
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                all.push((name, std::hash::Hasher::finish(&hasher)));
            }
        }
    }
    all.sort();
    all
}

/// The real files of other people, where they are present.
pub fn real_data() -> Option<PathBuf> {
    let named = std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let found = named.or(Some(beside)).filter(|p| p.join("MANIFEST.tsv").is_file());
    if found.is_none() {
        println!("no real data here: set GROUNDLINE_DATA to run this on it");
    }
    found
}
