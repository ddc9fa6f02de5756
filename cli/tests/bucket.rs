//! A city in a bucket: the command and a real S3 server, each in a process of its own, with DuckDB as another reader of the same bucket.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use common::{Server, fingerprint, groundline, run_json, text, tiny_sample};
use serde_json::{Value, json};

const BUCKET: &str = "city-bucket";
const CITY: &str = "s3://city-bucket/east/haiwan.city";
const CRS: [&str; 2] = ["--crs", "EPSG:4549"];

/// Python with what `.ci/setup test` installs.
fn python() -> Command {
    let home = std::env::var_os("HOME").expect("a home folder");
    let python = Path::new(&home).join(".cache/groundline/s3/venv/bin/python");
    assert!(python.is_file(), "the S3 server and DuckDB are missing: run .ci/setup test");
    Command::new(python)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3").join(name)
}

/// An S3 server with one bucket, and machines that use it: each with a cache of its own.
struct S3 {
    child: Child,
    port: u16,
    key: (String, String),
    folder: tempfile::TempDir,
}

impl S3 {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (child, told) = Self::launch(port, &[]);
        let word = |name: &str| told[name].as_str().expect("a key").to_owned();
        Self { child, port, key: (word("id"), word("secret")), folder: tempfile::tempdir().unwrap() }
    }

    fn launch(port: u16, more: &[&str]) -> (Child, Value) {
        let mut child = python()
            .arg(script("server.py"))
            .args([&port.to_string(), BUCKET])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, serde_json::from_str(&line).expect("the S3 server listens"))
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again with what `saved` holds.
    fn restart(&mut self, saved: &Path) {
        self.child = Self::launch(self.port, &[text(saved)]).0;
    }

    fn with_key(&self, mut command: Command) -> Command {
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", &self.key.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.1)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_SKIP_SIGNATURE");
        command
    }

    /// The command on a machine of this name.
    fn on(&self, machine: &str) -> Command {
        let mut command = self.with_key(groundline());
        command.env("GROUNDLINE_CACHE", self.folder.path().join(machine)).env("GROUNDLINE_LOG", "warn");
        command
    }

    fn run(&self, machine: &str, args: &[&str]) -> Output {
        let output = self.on(machine).args(args).output().expect("the command starts");
        for said in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(said).contains(&self.key.1), "the secret key is printed: {args:?}");
        }
        output
    }

    fn json(&self, machine: &str, args: &[&str]) -> (i32, Value) {
        let output = self.run(machine, &[args, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        let value = serde_json::from_str(&said)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {said}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().expect("it ended by itself"), value)
    }

    /// What it says when it fails.
    fn refusal(&self, machine: &str, args: &[&str]) -> String {
        let output = self.run(machine, args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        said
    }

    fn import(&self, machine: &str, source: &Path, more: &[&str]) -> Value {
        let (code, report) = self.json(machine, &[&["import", text(source), "--city", CITY], &CRS[..], more].concat());
        assert_eq!(code, 0, "{report:#}");
        report
    }

    /// Objects that a question to the city finds.
    fn count(&self, machine: &str, question: &[&str]) -> usize {
        let (code, found) = self.json(machine, &[&["query", CITY], question].concat());
        assert_eq!(code, 0, "{found:#}");
        found["features"].as_array().unwrap().len()
    }

    /// What `bucket.py` says.
    fn bucket(&self, what: &str, args: &[&str]) -> Value {
        let output = self.with_key(python()).arg(script("bucket.py")).args([what, BUCKET]).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{what} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        if said.is_empty() { Value::Null } else { serde_json::from_str(&said).unwrap() }
    }

    /// Names and sizes of the city's files in the bucket.
    fn files(&self) -> BTreeMap<String, u64> {
        let all = self.bucket("list", &[]);
        let city = |key: &str| key.strip_prefix("east/haiwan.city/").expect("all of it is the city's").to_owned();
        all.as_object().unwrap().iter().map(|(key, value)| (city(key), value[0].as_u64().unwrap())).collect()
    }

    fn count_by_duckdb(&self, layer: &str, corners: &[&str]) -> usize {
        self.bucket("count", &[&["east/haiwan.city", layer], corners].concat()).as_u64().unwrap() as usize
    }

    fn serve(&self, machine: &str) -> Server {
        Server::of(self.on(machine), CITY, &[])
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // A test may have ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Square houses as GeoJSON, 20 m apart in rows of 25: number and height.
fn houses(path: &Path, houses: impl Iterator<Item = (u64, f64)>) {
    let features = houses.map(|(number, height_m)| {
        let (x, y) = (520_000.0 + (number % 25) as f64 * 20.0, 3_990_000.0 + (number / 25) as f64 * 20.0);
        let ring = [[x, y], [x + 8.0, y], [x + 8.0, y + 8.0], [x, y + 8.0], [x, y]];
        json!({
            "type": "Feature", "id": number, "properties": {"height_m": height_m, "name": format!("{number} 号")},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        })
    });
    let all = json!({"type": "FeatureCollection", "features": features.collect::<Vec<_>>()});
    std::fs::write(path, all.to_string()).unwrap();
}

/// Status, header lines in lower case, body.
fn get(address: &str, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("head and body");
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    (status, head, answer[end + 4..].to_vec())
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_else(|| panic!("{name}: {head}"))
}

fn version_of(server: &Server) -> u64 {
    let (_, body) = server.get("/layers");
    serde_json::from_str::<Value>(&body).unwrap_or_default()["version"].as_u64().unwrap_or(u64::MAX)
}

fn wait_for_version(server: &Server, version: u64) {
    let until = Instant::now() + Duration::from_secs(10);
    while version_of(server) != version {
        assert!(Instant::now() < until, "version {version} is not seen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_city_in_a_bucket_is_the_city_in_a_folder() {
    let s3 = S3::start();
    let files = tiny_sample(s3.folder.path());
    let folder = s3.folder.path().join("haiwan.city");
    let (code, on_disk) = run_json(&["import", text(&files), "--city", text(&folder), CRS[0], CRS[1]]);
    assert_eq!(code, 0);
    let report = s3.import("office", &files, &[]);
    for key in ["objects", "points", "tiles", "bytes", "version"] {
        assert_eq!(report[key], on_disk[key], "{key}");
    }
    let held = s3.files();
    for part in ["objects", "tiles"] {
        let in_folder: BTreeSet<String> =
            fingerprint(&folder.join(part)).into_iter().map(|(name, _)| format!("{part}/{name}")).collect();
        let in_bucket: BTreeSet<String> = held.keys().filter(|name| name.starts_with(part)).cloned().collect();
        assert_eq!(in_bucket, in_folder);
    }
    let others: Vec<&str> =
        held.keys().map(String::as_str).filter(|n| !n.starts_with("objects/") && !n.starts_with("tiles/")).collect();
    assert_eq!(others, ["city.json", "reports/000001.json", "versions/000000.json", "versions/000001.json"]);

    // Another machine, which has nothing of it yet.
    let (_, mut there) = s3.json("depot", &["info", CITY]);
    let (_, mut here) = run_json(&["info", text(&folder)]);
    for info in [&mut there, &mut here] {
        for key in ["city", "versions"] {
            info[key].take();
        }
    }
    assert_eq!(there, here);
    let centre = |axis: usize| {
        (here["extent"]["min"][axis].as_f64().unwrap() + here["extent"]["max"][axis].as_f64().unwrap()) / 2.0
    };
    let place = format!("{},{}", centre(0), centre(1));
    let box_there = format!("{},{},{},{}", centre(0) - 60.0, centre(1) - 60.0, centre(0) + 60.0, centre(1) + 60.0);
    let questions = [
        vec!["box", &box_there],
        vec!["near", &place, "--radius", "80"],
        vec!["where", "height_m > 10"],
        vec!["search", "建筑"],
    ];
    for question in &questions {
        let (_, there) = s3.json("depot", &[&["query", CITY], &question[..]].concat());
        let (_, here) = run_json(&[&["query", text(&folder)], &question[..]].concat());
        assert_eq!(there, here, "{question:?}");
        assert!(question[0] == "search" || !there["features"].as_array().unwrap().is_empty(), "{question:?}");
    }
    let (code_there, there) = s3.json("depot", &["check", "--city", CITY]);
    let (code_here, here) = run_json(&["check", "--city", text(&folder)]);
    assert_eq!((code_there, there), (code_here, here));
    let buildings = report["sources"].as_array().unwrap().iter().find(|s| s["path"].to_string().contains("建筑.shp"));
    let (layer, objects) = (&buildings.unwrap()["layer"], &buildings.unwrap()["objects"]);
    assert_eq!(json!(s3.count_by_duckdb(layer.as_str().unwrap(), &[])), *objects);
    let picture = s3.folder.path().join("a.png");
    let (_, there) = s3.json("depot", &["snapshot", CITY, "--out", text(&picture), "--size", "320x200"]);
    let (_, here) = run_json(&["snapshot", text(&folder), "--out", text(&picture), "--size", "320x200"]);
    assert_eq!((&there["tiles_drawn"], &there["damaged_tiles"]), (&here["tiles_drawn"], &json!([])), "{there:#}");

    // The same files again, from another machine, change nothing.
    let again = s3.import("depot", &files, &[]);
    assert_eq!(again["version"], 1);
    assert_eq!(s3.files(), held);
}

#[test]
fn what_changes_in_the_bucket_is_counted_alike_by_groundline_and_duckdb() {
    let s3 = S3::start();
    let source = s3.folder.path().join("houses.geojson");
    houses(&source, (0..500).map(|number| (number, 6.0)));
    s3.import("office", &source, &[]);
    let corners = "520095,3990035,520305,3990205";
    let in_box = s3.count("office", &["box", corners]);
    assert!((50..400).contains(&in_box), "{in_box}");
    assert_eq!((s3.count_by_duckdb("houses", &[]), s3.count_by_duckdb("houses", &[corners])), (500, in_box));

    // A few objects, from a machine that has nothing of the city.
    let change = s3.folder.path().join("change.geojson");
    houses(&change, [(7, 90.0), (130, 31.0), (600, 12.0)].into_iter());
    let report = s3.import("depot", &change, &["--layer", "houses", "--update", "--remove", "houses/3"]);
    assert_eq!(report["changes"], json!({"added": 1, "changed": 2, "ended": 1, "same": 0}));
    for machine in ["office", "depot", "elsewhere"] {
        assert_eq!(s3.count(machine, &["where", "height_m > 30"]), 2, "{machine}");
        assert_eq!(s3.count(machine, &["where", "id = 'houses/3'"]), 0);
        assert_eq!(s3.count(machine, &["where", "id = 'houses/3'", "--version", "1"]), 1);
    }
    assert_eq!((s3.count_by_duckdb("houses", &[]), s3.count("office", &["where", "height_m > 0"])), (500, 500));
    assert_eq!(s3.count_by_duckdb("houses", &[corners]), s3.count("depot", &["box", corners]));
    let (_, diff) = s3.json("elsewhere", &["diff", CITY, "1"]);
    assert_eq!(diff["layers"][0]["counts"]["changed"], 2);

    // Files that no version names: young ones may be those of an import that is under way.
    let before = s3.files();
    for stray in ["objects/houses/stray.parquet", "tiles/houses/0123456789abcdef0123456789abcdef.glb"] {
        s3.bucket("put", &[&format!("east/haiwan.city/{stray}")]);
    }
    let (_, freed) = s3.json("depot", &["gc", CITY]);
    assert_eq!(s3.files().len(), before.len() + 2, "{freed}");
    let (_, freed) = s3.json("elsewhere", &["gc", CITY, "--older-than", "0"]);
    assert_eq!(freed["freed_bytes"], 2000);
    assert_eq!(s3.files(), before);
    assert_eq!(s3.count("fresh", &["where", "height_m > 0"]), 500);

    // A version that is given up: its files go, what the last one names stays, and every machine is told.
    let (code, kept) = s3.json("depot", &["gc", CITY, "--keep", "1", "--older-than", "0"]);
    assert_eq!((code, &kept["versions"]), (0, &json!([2])), "{kept}");
    assert!(kept["freed_bytes"].as_u64() > Some(0), "{kept}");
    assert!(!s3.files().keys().any(|name| name.ends_with("versions/000001.json")), "{:?}", s3.files());
    for machine in ["office", "elsewhere"] {
        assert_eq!(s3.count(machine, &["where", "height_m > 30"]), 2, "{machine}");
        let refused = s3.refusal(machine, &["query", CITY, "where", "height_m > 0", "--version", "1"]);
        assert!(refused.contains("version 1"), "{machine}: {refused}");
    }
    houses(&change, [(7, 91.0)].into_iter());
    let report = s3.import("office", &change, &["--layer", "houses", "--update"]);
    assert_eq!((&report["version"], &report["changes"]["changed"]), (&json!(3), &json!(1)), "{report}");
}

#[test]
fn many_servers_over_one_bucket_say_the_same_also_while_it_is_away() {
    let mut s3 = S3::start();
    let source = s3.folder.path().join("houses.geojson");
    houses(&source, (0..500).map(|number| (number, 6.0)));
    s3.import("office", &source, &[]);
    // One of them on the machine that made the city.
    let servers = [s3.serve("office"), s3.serve("second")];
    let (_, tileset) = servers[0].get("/tileset.json");
    let tileset: Value = serde_json::from_str(&tileset).unwrap();
    let layer = format!("/{}", tileset["root"]["children"][0]["content"]["uri"].as_str().unwrap());
    let tree: Value = serde_json::from_slice(&get(servers[1].http(), &layer, "").2).unwrap();
    fn content(tile: &Value) -> Option<&str> {
        let own = tile["content"]["uri"].as_str();
        own.or_else(|| tile["children"].as_array()?.iter().find_map(content))
    }
    let tile = format!("{}/{}", layer.rsplit_once('/').unwrap().0, content(&tree["root"]).expect("a tile"));
    let [first, second] = [&servers[0], &servers[1]].map(|server| get(server.http(), &tile, ""));
    assert_eq!((first.0, &first.2), (200, &second.2));
    assert!(first.2.starts_with(b"glTF"));
    let tag = header(&first.1, "etag");
    assert_eq!(tag, header(&second.1, "etag"), "a balancer may send the next question to the other");
    assert_eq!(get(servers[1].http(), &tile, &format!("If-None-Match: {tag}\r\n")).0, 304);
    let (status, head, piece) = get(servers[1].http(), &tile, "Range: bytes=4-103\r\n");
    assert_eq!((status, &piece[..]), (206, &first.2[4..104]));
    assert!(header(&head, "content-range").starts_with("bytes 4-103/"));
    assert_eq!(get(servers[1].http(), "/tiles/houses/ffffffffffffffffffffffffffffffff.glb", "").0, 404);
    assert_eq!(get(servers[1].http(), "/tiles/../city.json", "").0, 404);

    // A version that comes is seen by both without a word to them.
    let change = s3.folder.path().join("change.geojson");
    houses(&change, [(7, 90.0)].into_iter());
    s3.import("depot", &change, &["--layer", "houses", "--update"]);
    let tall = "/query?where=height_m%20%3E%2080";
    for server in &servers {
        wait_for_version(server, 2);
        assert!(server.get(tall).1.contains("houses/7"));
    }

    // The bucket goes away: what was read stays, and nobody waits for it.
    let saved = s3.folder.path().join("saved");
    s3.bucket("save", &[text(&saved)]);
    s3.kill();
    std::thread::sleep(Duration::from_secs(3));
    for server in &servers {
        let begun = Instant::now();
        assert_eq!(version_of(server), 2);
        assert!(server.get(tall).1.contains("houses/7"));
        assert_eq!(get(server.http(), &tile, "").2, first.2);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
    houses(&change, [(8, 91.0)].into_iter());
    let args = ["import", text(&change), "--city", CITY, CRS[0], CRS[1], "--layer", "houses", "--update"];
    for args in [&args[..], &["info", CITY]] {
        let begun = Instant::now();
        let said = s3.refusal("depot", args);
        assert!(said.contains(CITY) && said.to_lowercase().contains("refused") && said.lines().count() == 1, "{said}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    // A server that is started now shows what its machine has a copy of; without one it says why it cannot.
    let third = s3.serve("second");
    assert_eq!(version_of(&third), 2);
    assert!(third.get(tall).1.contains("houses/7"));
    assert_eq!(get(third.http(), &tile, "").2, first.2);
    assert_eq!(get(third.http(), "/query?where=height_m%20%3E%201&limit=9&f=json", "").0, 200);
    let said = s3.refusal("nowhere", &["serve", CITY, "--listen", "127.0.0.1:0"]);
    assert!(said.contains(CITY) && said.to_lowercase().contains("refused"), "{said}");
    let servers = servers.into_iter().chain([third]).collect::<Vec<_>>();

    // It comes back, and everything goes on.
    s3.restart(&saved);
    assert_eq!(s3.json("depot", &["info", CITY]).1["version"], 2);
    s3.import("depot", &change, &["--layer", "houses", "--update"]);
    for server in &servers {
        wait_for_version(server, 3);
        assert!(server.get(tall).1.contains("houses/8"));
    }
}

#[test]
fn of_two_imports_at_once_one_wins_and_the_other_is_told() {
    let s3 = S3::start();
    let source = |name: &str| s3.folder.path().join(format!("{name}.geojson"));
    houses(&source("first"), (0..10).map(|number| (number, 6.0)));
    s3.import("office", &source("first"), &[]);
    let (mut version, mut conflicts) = (1, 0);
    for round in 0..4 {
        let names = ["a", "b", "c"].map(|side| format!("{side}{round}"));
        let started = names.clone().map(|name| {
            houses(&source(&name), (0..200).map(|number| (number, 6.0)));
            let mut command = s3.on(&name);
            command.args(["import", text(&source(&name)), "--city", CITY]).args(CRS);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let ended = started.map(|child| child.wait_with_output().unwrap());
        let mut losers = Vec::new();
        for (name, output) in names.iter().zip(ended) {
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => version += 1,
                _ => {
                    assert!(said.contains("another import was committed meanwhile: version"), "{said}");
                    losers.push(name.clone());
                }
            }
        }
        assert!(losers.len() < 3, "nobody won");
        conflicts += losers.len();
        let (_, info) = s3.json("reader", &["info", CITY]);
        assert_eq!(info["version"], version);
        for name in losers {
            s3.import(&name, &source(&name), &[]);
            version += 1;
        }
        for name in &names {
            let fresh = format!("fresh {name}");
            assert_eq!(s3.count(&fresh, &["where", "height_m > 0", "--layers", name]), 200);
            assert_eq!(s3.count_by_duckdb(name, &[]), 200);
        }
    }
    assert!(conflicts > 0, "no two imports met");
    let (_, info) = s3.json("reader", &["info", CITY]);
    assert_eq!(info["version"], version);
    assert_eq!(info["versions"].as_array().unwrap().len() as u64, version + 1);
}

#[test]
fn a_killed_import_leaves_the_version_before_or_the_next_one() {
    let s3 = S3::start();
    let source = s3.folder.path().join("houses.geojson");
    let mut version = 0;
    for (step, delay_ms) in [30, 60, 90, 120, 150, 180, 220, 260, 300, 350, 400, 500].into_iter().enumerate() {
        houses(&source, (0..300).map(|number| (number, 6.0 + step as f64)));
        let mut command = s3.on("office");
        command.args(["import", text(&source), "--city", CITY]).args(CRS).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms));
        let _ = child.kill();
        child.wait().unwrap();
        let fresh = format!("fresh {step}");
        if s3.files().contains_key("city.json") {
            let (_, info) = s3.json(&fresh, &["info", CITY]);
            let found = info["version"].as_u64().unwrap();
            assert!(found == version || found == version + 1, "{version} → {found}");
            assert_eq!(s3.count(&fresh, &["where", "height_m > 0"]), 300, "after {delay_ms} ms");
        }
        // Whoever comes next goes on, on this machine or on another.
        let report = s3.import(if step % 2 == 0 { "office" } else { &fresh }, &source, &[]);
        version = report["version"].as_u64().unwrap();
        let height = format!("height_m = {}", 6 + step);
        assert_eq!(s3.count("reader", &["where", &height]), 300, "after {delay_ms} ms");
    }
    let left: Vec<String> = s3.files().into_keys().filter(|name| name.contains("versions/")).collect();
    assert!(
        left.iter().filter(|name| name.len() == "versions/000000.json".len()).count() as u64 == version + 1,
        "{left:?}"
    );
}

#[test]
fn a_version_whose_import_died_before_its_manifest_had_a_number_is_read_and_put_right() {
    let s3 = S3::start();
    let source = s3.folder.path().join("houses.geojson");
    houses(&source, (0..20).map(|number| (number, 6.0)));
    s3.import("office", &source, &[]);
    let copy = std::fs::read_dir(s3.folder.path().join("office/cities")).unwrap().next().unwrap().unwrap().path();
    let head: Value = serde_json::from_slice(&std::fs::read(copy.join("city.json")).unwrap()).unwrap();
    let under_hash = format!("east/haiwan.city/versions/{}.json", head["manifest"].as_str().unwrap());
    s3.bucket("rename", &["east/haiwan.city/versions/000001.json", &under_hash]);
    assert_eq!(s3.count("reader", &["where", "height_m > 0"]), 20);
    houses(&source, (0..21).map(|number| (number, 6.0)));
    s3.import("depot", &source, &[]);
    let versions: Vec<String> = s3.files().into_keys().filter(|name| name.starts_with("versions/")).collect();
    assert_eq!(versions, ["versions/000000.json", "versions/000001.json", "versions/000002.json"]);
}

#[test]
fn what_cannot_be_read_is_said_in_one_line_that_names_it() {
    let s3 = S3::start();
    let source = s3.folder.path().join("houses.geojson");
    houses(&source, (0..100).map(|number| (number, 6.0)));
    s3.import("office", &source, &[]);
    let info = |prepare: &dyn Fn(&mut Command), city: &str| {
        let mut command = s3.on("elsewhere");
        prepare(&mut command);
        let output = command.args(["info", city]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(!said.contains(&s3.key.1) && !said.contains("StringToSign"), "{said}");
        said
    };
    let nothing = |_: &mut Command| {};
    let said = info(
        &|command| {
            command.env_remove("AWS_SECRET_ACCESS_KEY");
        },
        CITY,
    );
    assert!(said.contains("AWS_SECRET_ACCESS_KEY are not set"), "{said}");
    let said = info(
        &|command| {
            command.env("AWS_SECRET_ACCESS_KEY", "not this one");
        },
        CITY,
    );
    assert!(said.contains("access is refused (SignatureDoesNotMatch"), "{said}");
    let said = info(
        &|command| {
            command.env("AWS_ACCESS_KEY_ID", "AKIANOBODY");
        },
        CITY,
    );
    assert!(said.contains("access is refused (InvalidAccessKeyId"), "{said}");
    let said = info(
        &|command| {
            command.env_remove("AWS_ALLOW_HTTP");
        },
        CITY,
    );
    assert!(said.contains("AWS_ALLOW_HTTP=true"), "{said}");
    let said = info(&nothing, "s3://other-bucket/a.city");
    assert!(said.contains("s3://other-bucket/a.city") && said.contains("there is no such bucket"), "{said}");
    let said = info(&nothing, "s3://city-bucket/west.city");
    assert!(said.contains("s3://city-bucket/west.city is not a city"), "{said}");
    for city in ["gs://bucket/a.city", "s3://city-bucket", "s3:///a.city", "s3://b/../a.city"] {
        assert!(info(&nothing, city).contains(city), "{city}");
    }

    // A bit that turned over in the bucket is found by whoever fetches the file, and named.
    let damaged = s3.files().into_keys().find(|name| name.ends_with(".parquet")).unwrap();
    s3.bucket("damage", &[&format!("east/haiwan.city/{damaged}")]);
    assert_eq!(s3.count("office", &["where", "height_m > 0"]), 100, "the copy is whole");
    let said = s3.refusal("elsewhere", &["query", CITY, "where", "height_m > 0"]);
    assert!(said.contains(&format!("{CITY}/{damaged}")) && said.contains("BLAKE3"), "{said}");
}
