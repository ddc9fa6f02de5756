//! `groundline serve` under load: five hundred simulated readers of 3D Tiles for a minute, and nginx over the same files in the same run.
//!
//! Each reader keeps one connection and walks the tileset as CesiumJS does for a camera over a place of chance: tileset.json, the pages
//! on the way down, then the tiles from far to near. Every other reader asks with an entity tag or for a range. What comes is held
//! against what is expected: status, length, coding. Then a thousand connections that send a byte a second, and how others fare.
//!
//! `GROUNDLINE_SERVE_S` takes another number of seconds, `GROUNDLINE_NGINX` names nginx where it is not installed (Debian nginx).

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    http::{Answer, Client},
    index::Dice,
    large,
    run::{Run, program},
    text,
};

const FOOTPRINTS: u64 = 100_000;
/// Bytes of a footprint in the shapefile and its table.
const BYTES_EACH: u64 = 189;
const READERS: usize = 500;
const SECONDS: u64 = 60;
/// For the good ones beside the slow ones.
const GOOD: usize = 50;
const SLOW: usize = 1_000;
const SLOW_S: u64 = 15;
/// In which Linux tells the time of processes.
const TICKS_PER_S: f64 = 100.0;

/// Prints a row for each server with and without compression, and one for slow connections.
pub fn serve(groundline: &Path, work: &Path) -> Result<()> {
    let seconds = std::env::var("GROUNDLINE_SERVE_S").ok().and_then(|word| word.parse().ok()).unwrap_or(SECONDS);
    let folder = work.join("serve");
    std::fs::create_dir_all(&folder)?;
    let source = large::shapefile(&folder, FOOTPRINTS * BYTES_EACH)?;
    let city = folder.join("a.city");
    Run::of(groundline, &["import", text(&source)?, "--crs", "EPSG:4549", "--city", text(&city)?, "--json"])?;
    let ours = Served::ours(groundline, &city)?;
    // The clients take cores too: as many threads as there are.
    let runtime = tokio::runtime::Runtime::new()?;
    let tree = runtime.block_on(Tree::read(ours.address))?;
    println!("\n{READERS} readers, {seconds} s, {FOOTPRINTS} footprints: {} pages, {} tiles", tree.pages, tree.tiles);
    println!(
        "\n| server | coding | requests/s | MB/s | p50 ms | p99 ms | errors | cpu s per 1 000 requests | RSS MiB at start, after 10 s, at the end |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let nginx = Served::nginx(&folder, &city, &runtime.block_on(Client::get(ours.address, "/tileset.json"))?.body)?;
    if nginx.is_none() {
        println!("| nginx | not installed | | | | | | | |");
    }
    let tree = Arc::new(tree);
    let mut errors = 0;
    for coding in ["", "gzip"] {
        for server in [Some(&ours), nginx.as_ref()].into_iter().flatten() {
            errors += runtime.block_on(load(server, &tree, coding, seconds))?;
        }
    }
    runtime.block_on(slow(&ours, &tree))?;
    ensure!(errors == 0, "{errors} answers were not what they should be");
    drop((ours, nginx));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A server that runs until it is dropped.
pub struct Served {
    name: &'static str,
    pub address: SocketAddr,
    child: Child,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Asked to end, nginx ends its workers too.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    /// A city served on a free port until this is dropped.
    pub fn ours(groundline: &Path, city: &Path) -> Result<Self> {
        let mut child = Command::new(groundline)
            .args(["serve", text(city)?, "--listen", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line)?;
        let address =
            told["http"].as_str().and_then(|url| url.strip_prefix("http://")).context("an address")?.parse()?;
        Ok(Self { name: "groundline serve", address, child })
    }

    /// One worker for each core, as its documentation has it; the files as they lie, and gzip for whoever asks for it.
    fn nginx(folder: &Path, city: &Path, tileset: &[u8]) -> Result<Option<Self>> {
        let named = std::env::var_os("GROUNDLINE_NGINX").map(Into::into);
        let Some(nginx) =
            named.or_else(|| program("nginx")).or_else(|| Some("/usr/sbin/nginx".into())).filter(|p| p.is_file())
        else {
            return Ok(None);
        };
        let (folder, city) = (folder.canonicalize()?, city.canonicalize()?);
        std::fs::write(folder.join("tileset.json"), tileset)?;
        let address: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let settings = format!(
            "daemon off; user root; worker_processes auto; worker_rlimit_nofile 8192; pid {work}/nginx.pid; error_log {work}/nginx.log;
             events {{ worker_connections 4096; }}
             http {{
               access_log off; sendfile on; tcp_nopush on; keepalive_timeout 75; keepalive_requests 1000000; default_type application/octet-stream;
               open_file_cache max=10000 inactive=60s;
               types {{ application/json json; model/gltf-binary glb; }}
               gzip on; gzip_types application/json model/gltf-binary; gzip_comp_level 6; gzip_vary on;
               client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
               server {{ listen {address} backlog=1024; root {city}; location = /tileset.json {{ root {work}; }} }}
             }}\n",
            work = folder.display(),
            city = city.display(),
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, settings)?;
        let child =
            Command::new(nginx).args(["-c", text(&path)?, "-p", text(&folder)?]).stderr(Stdio::null()).spawn()?;
        let begin = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            ensure!(begin.elapsed() < Duration::from_secs(10), "nginx does not start: see {}", folder.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(Self { name: "nginx", address, child }))
    }

    /// Its process and those that it started.
    fn processes(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|word| word.parse().ok()).chain([own]).collect()
    }

    fn resident_mib(&self) -> f64 {
        let of_one = |process: u32| -> Option<f64> {
            let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        };
        let kilobytes: f64 = self.processes().into_iter().filter_map(of_one).sum();
        kilobytes / 1024.0
    }

    fn cpu_s(&self) -> f64 {
        let of_one = |process: u32| -> Option<f64> {
            let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            let after_name: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
            Some(after_name.get(11)?.parse::<f64>().ok()? + after_name.get(12)?.parse::<f64>().ok()?)
        };
        let ticks: f64 = self.processes().into_iter().filter_map(of_one).sum();
        ticks / TICKS_PER_S
    }
}

/// The tileset, read once: what a reader asks for on its way down.
struct Tree {
    nodes: Vec<Node>,
    pages: usize,
    tiles: usize,
    /// Bytes of each file as it lies.
    lengths: BTreeMap<String, usize>,
}

struct Node {
    /// Content: a page or a tile.
    path: Option<String>,
    children: Vec<usize>,
}

impl Tree {
    async fn read(at: SocketAddr) -> Result<Self> {
        let mut tree = Self { nodes: Vec::new(), pages: 0, tiles: 0, lengths: BTreeMap::new() };
        let mut client = Client::connect(at).await?;
        let mut queue = vec![("/tileset.json".to_owned(), None)];
        while let Some((path, parent)) = queue.pop() {
            let answer = client.ask(&path, "").await?;
            ensure!(answer.status == 200, "{path}: {}", answer.status);
            tree.lengths.insert(path.clone(), answer.body.len());
            let is_page = path.ends_with(".json");
            tree.pages += usize::from(is_page);
            tree.tiles += usize::from(!is_page);
            if is_page {
                let page: Value = serde_json::from_slice(&answer.body)?;
                tree.add(&page["root"], &path, parent, &mut queue);
            }
        }
        Ok(tree)
    }

    fn add(&mut self, tile: &Value, page: &str, parent: Option<usize>, queue: &mut Vec<(String, Option<usize>)>) {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = tile["content"]["uri"].as_str().map(|uri| format!("{folder}/{uri}"));
        let own = self.nodes.len();
        self.nodes.push(Node { path: path.clone(), children: Vec::new() });
        if let Some(parent) = parent {
            self.nodes[parent].children.push(own);
        }
        if let Some(path) = path {
            queue.push((path, Some(own)));
        }
        for child in tile["children"].as_array().into_iter().flatten() {
            self.add(child, page, Some(own), queue);
        }
    }

    /// Files that a camera over some place wants, in the order in which they become known.
    fn walk(&self, dice: &mut Dice) -> Vec<&str> {
        let (mut files, mut level) = (vec!["/tileset.json"], vec![0]);
        while !level.is_empty() {
            files.extend(level.iter().filter_map(|at| self.nodes[*at].path.as_deref()));
            let mut next = Vec::new();
            for at in level {
                let children = &self.nodes[at].children;
                // Near the camera all four would be drawn; two stand for those within the view.
                for _ in 0..children.len().min(2) {
                    next.push(children[(dice.roll() * children.len() as f64) as usize % children.len()]);
                }
            }
            next.sort_unstable();
            next.dedup();
            level = next;
        }
        files
    }
}

/// What all readers saw.
#[derive(Default)]
struct Seen {
    times_us: Vec<u32>,
    bytes: usize,
    errors: Vec<String>,
}

/// Runs all readers and prints the row; how many answers were wrong.
async fn load(server: &Served, tree: &Arc<Tree>, coding: &'static str, seconds: u64) -> Result<usize> {
    let (begin_mib, begin_cpu) = (server.resident_mib(), server.cpu_s());
    let end = Instant::now() + Duration::from_secs(seconds);
    let readers = (0..READERS).map(|number| tokio::spawn(read(server.address, tree.clone(), number, coding, end)));
    let readers: Vec<_> = readers.collect();
    tokio::time::sleep(Duration::from_secs(10.min(seconds / 2))).await;
    let early_mib = server.resident_mib();
    let mut all = Seen::default();
    for reader in readers {
        let seen = reader.await?;
        all.times_us.extend(seen.times_us);
        all.bytes += seen.bytes;
        all.errors.extend(seen.errors);
    }
    let (end_mib, cpu_s) = (server.resident_mib(), server.cpu_s() - begin_cpu);
    all.times_us.sort_unstable();
    println!(
        "| {} | {} | {:.0} | {:.0} | {:.1} | {:.1} | {} | {:.3} | {begin_mib:.0}, {early_mib:.0}, {end_mib:.0} |",
        server.name,
        if coding.is_empty() { "none" } else { coding },
        all.times_us.len() as f64 / seconds as f64,
        all.bytes as f64 / seconds as f64 / 1e6,
        part_ms(&all.times_us, 50),
        part_ms(&all.times_us, 99),
        all.errors.len(),
        cpu_s / all.times_us.len().max(1) as f64 * 1e3,
    );
    for error in all.errors.iter().take(5) {
        eprintln!("{}: {error}", server.name);
    }
    Ok(all.errors.len())
}

fn part_ms(sorted_us: &[u32], part: usize) -> f64 {
    sorted_us.get(sorted_us.len() * part / 100).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
}

/// One reader until the end.
async fn read(at: SocketAddr, tree: Arc<Tree>, number: usize, coding: &'static str, end: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut dice = Dice(number as u64 + 1);
    let accept = if coding.is_empty() { String::new() } else { format!("Accept-Encoding: {coding}\r\n") };
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    let mut client = None;
    'walks: loop {
        for path in tree.walk(&mut dice) {
            if Instant::now() >= end {
                break 'walks;
            }
            let begin = Instant::now();
            let plain = tree.lengths[path];
            // Every other reader has seen some before, or wants the head of a tile only.
            let tag = tags.get(path).filter(|_| number % 4 == 1).cloned();
            let range = number % 4 == 3 && path.ends_with(".glb") && plain > 2_000;
            let headers = match &tag {
                Some(tag) => format!("{accept}If-None-Match: {tag}\r\n"),
                None if range => format!("{accept}Range: bytes=0-999\r\n"),
                None => accept.clone(),
            };
            let answer = async {
                if client.is_none() {
                    client = Some(Client::connect(at).await?);
                }
                client.as_mut().context("a connection")?.ask(path, &headers).await
            };
            match answer.await {
                Ok(answer) => {
                    seen.times_us.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
                    seen.bytes += answer.body.len();
                    if let Some(reason) = wrong(&answer, plain, tag.is_some(), range && coding.is_empty(), range) {
                        seen.errors.push(format!("{path}: {reason}"));
                    }
                    if number % 4 == 1
                        && let Some(tag) = answer.header("etag")
                    {
                        tags.insert(path.to_owned(), tag.to_owned());
                    }
                }
                Err(e) => {
                    client = None;
                    seen.errors.push(format!("{path}: {e:#}"));
                }
            }
        }
    }
    seen
}

/// What is wrong with an answer, when something is. nginx sends the whole, compressed, where a range of a compressed form is asked for.
fn wrong(answer: &Answer, plain: usize, has_tag: bool, must_be_part: bool, may_be_part: bool) -> Option<String> {
    let (status, length, is_packed) = (answer.status, answer.body.len(), answer.header("content-encoding").is_some());
    let is_right = match status {
        304 => has_tag && length == 0,
        206 => may_be_part && length == 1_000 && !is_packed,
        200 if must_be_part => false,
        200 if is_packed => length > 0 && length < plain + 100,
        200 => length == plain,
        _ => false,
    };
    (!is_right).then(|| format!("status {status}, {length} bytes of {plain}, packed: {is_packed}"))
}

/// Good readers alone, and beside connections that send a byte a second.
async fn slow(server: &Served, tree: &Arc<Tree>) -> Result<()> {
    let good = async |seconds: u64| -> Result<(f64, usize)> {
        let end = Instant::now() + Duration::from_secs(seconds);
        let readers: Vec<_> =
            (0..GOOD).map(|number| tokio::spawn(read(server.address, tree.clone(), 4 * number, "", end))).collect();
        let (mut times, mut errors) = (Vec::new(), 0);
        for reader in readers {
            let seen = reader.await?;
            times.extend(seen.times_us);
            errors += seen.errors.len();
        }
        times.sort_unstable();
        Ok((part_ms(&times, 99), errors))
    };
    let (alone_ms, _) = good(SLOW_S).await?;
    let open = Arc::new(AtomicUsize::new(0));
    let failed = Arc::new(Mutex::new(0_usize));
    let slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let (at, open, failed) = (server.address, open.clone(), failed.clone());
            tokio::spawn(async move {
                loop {
                    let Ok(mut client) = Client::connect(at).await else {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                        return;
                    };
                    open.fetch_add(1, Ordering::Relaxed);
                    for byte in b"GET /tileset.json HTTP/1.1\r\nHost: localhost\r\nX: aaaaaaaaaaaaaaaaaa".iter() {
                        if client.write(&[*byte]).await.is_err() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    // Closed by the server: it comes again.
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (beside_ms, errors) = good(SLOW_S).await?;
    for task in slow {
        task.abort();
    }
    let failed = *failed.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "\n{GOOD} good readers: p99 {alone_ms:.1} ms alone, {beside_ms:.1} ms ({:.2}×) beside {SLOW} slow connections ({} opened in all, {failed} not), {errors} errors",
        beside_ms / alone_ms,
        open.load(Ordering::Relaxed),
    );
    Ok(())
}
