//! Questions over the loopback: `groundline serve` beside PostGIS, on the same million boxes with the same attributes, both with all
//! rows warm. The same places are asked of both, by one connection and by eight; every answer is counted, and the counts must be equal.
//!
//! PostGIS is asked by `pgbench` with prepared statements and pipelined by nothing; Groundline by a plain HTTP client with a kept
//! connection. Then both are asked a hundred questions at once: PostGIS by one statement that joins its places laterally with the table,
//! Groundline by a POST. `PATH` must hold `initdb`, `pg_ctl` and `pgbench` of a PostgreSQL with PostGIS (Debian: postgresql-15-postgis-3); as root
//! they are run as the user `postgres`. Neither sends the shape itself, both the attributes and the corners of its box.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    index::Dice,
    run::{Run, median, program},
    text,
};

const COUNT: usize = 1_000_000;
const QUESTIONS: usize = 4_000;
const ROUNDS: usize = 5;
const SIDE_M: f64 = 100.0;
/// Questions of one statement, or of one request, where many are asked at once.
const AT_ONCE: usize = 100;
/// Where the city lies in EPSG:4549.
const CORNER: [f64; 2] = [500_000.0, 3_950_000.0];

/// Prints a row for each kind of question and number of connections.
pub fn postgis(groundline: &Path, work: &Path) -> Result<()> {
    if program("pgbench").is_none() {
        println!("| box and nearest over the loopback | PostGIS is not there | | | | | | not run |");
        return Ok(());
    }
    let folder = work.join("postgis");
    std::fs::create_dir_all(&folder)?;
    let boxes = boxes();
    let mut dice = Dice(4711);
    let side = (COUNT as f64).sqrt() * 30.0;
    let places: Vec<[f64; 2]> =
        (0..QUESTIONS).map(|_| [CORNER[0] + dice.roll() * side, CORNER[1] + dice.roll() * side]).collect();
    let city = import(groundline, &folder, &boxes)?;
    let server = Server::start(groundline, &city)?;
    let database = Database::start(&folder.join("pg"), &boxes)?;

    println!(
        "\n| question of {COUNT} boxes with attributes, over the loopback | connections | questions at once | ours, k/s | PostGIS, k/s | ours over it | p99 ours, ms | rows |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let kinds = [("box of 100 m", Kind::Box), ("nearest", Kind::Nearest)];
    for (name, kind) in kinds {
        let rows = database.count(kind, &places)?;
        for (connections, at_once) in [(1, 1), (8, 1), (1, AT_ONCE), (8, AT_ONCE)] {
            let (mut ours, mut theirs, mut p99) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let asked = server.ask(kind, &places, connections, at_once)?;
                ensure!(asked.rows == rows, "{} rows of ours and {rows} of PostGIS", asked.rows);
                ours.push(asked.rate / 1e3);
                p99.push(asked.p99_ms);
                theirs.push(database.ask(kind, connections, at_once)? / 1e3);
            }
            let ratio = median(ours.iter().zip(&theirs).map(|(a, b)| a / b));
            println!(
                "| {name} | {connections} | {at_once} | {:.2} | {:.2} | **{ratio:.2}×** | {:.2} | {rows} |",
                median(ours.into_iter()),
                median(theirs.into_iter()),
                median(p99.into_iter()),
            );
        }
    }
    drop(database);
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Box,
    Nearest,
}

/// Corners in the city's frame, to the centimetre, so that both hold the same.
fn boxes() -> Vec<[f64; 4]> {
    let mut dice = Dice(88_172_645_463_325_252);
    let side = (COUNT as f64).sqrt() * 30.0;
    let cm = |v: f64| (v * 100.0).round() / 100.0;
    let one = |_| {
        let (x, y, half) = (dice.roll() * side, dice.roll() * side, 2.5 + dice.roll() * 10.0);
        let (x, y) = (CORNER[0] + x, CORNER[1] + y);
        [cm(x - half), cm(y - half), cm(x + half), cm(y + half)]
    };
    (0..COUNT).map(one).collect()
}

/// The attributes of a box in both.
fn attributes(number: usize) -> (String, f64, usize) {
    (format!("building {number}"), 6.0 + (number * 13 % 600) as f64 / 10.0, 2 + number % 30)
}

fn import(groundline: &Path, folder: &Path, boxes: &[[f64; 4]]) -> Result<PathBuf> {
    let source = folder.join("boxes.geojsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&source)?);
    for (number, [a, b, c, d]) in boxes.iter().enumerate() {
        let (name, height, storeys) = attributes(number);
        writeln!(
            file,
            r#"{{"type":"Feature","id":{number},"properties":{{"name":"{name}","height":{height},"storeys":{storeys}}},"geometry":{{"type":"Polygon","coordinates":[[[{a},{b}],[{c},{b}],[{c},{d}],[{a},{d}],[{a},{b}]]]}}}}"#
        )?;
    }
    file.flush()?;
    let city = folder.join("a.city");
    let args =
        ["import", text(&source)?, "--crs", "EPSG:4549", "--class", "building", "--city", text(&city)?, "--json"];
    let run = Run::of(groundline, &args)?;
    let report: serde_json::Value = serde_json::from_str(&run.output)?;
    ensure!(report["objects"] == COUNT, "not all was read: {}", report["objects"]);
    std::fs::remove_file(source)?;
    Ok(city)
}

/// A running `groundline serve`.
struct Server {
    child: Child,
    address: String,
}

/// What answers a round of questions gave.
struct Asked {
    rows: u64,
    rate: f64,
    p99_ms: f64,
}

impl Server {
    fn start(groundline: &Path, city: &Path) -> Result<Self> {
        let args = ["serve", text(city)?, "--listen", "127.0.0.1:0", "--json"];
        let mut child = Command::new(groundline).args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let started: serde_json::Value = serde_json::from_str(&line)?;
        let address = started["http"].as_str().context("its address")?.trim_start_matches("http://").to_owned();
        Ok(Self { child, address })
    }

    fn ask(&self, kind: Kind, places: &[[f64; 2]], connections: usize, at_once: usize) -> Result<Asked> {
        let started = Instant::now();
        let share = places.len().div_ceil(connections);
        let answers = std::thread::scope(|scope| {
            let threads: Vec<_> = places
                .chunks(share)
                .map(|places| scope.spawn(move || self.ask_in_turn(kind, places, at_once)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a client failed")));
            joined.collect::<Result<Vec<_>>>()
        })?;
        let seconds = started.elapsed().as_secs_f64();
        let mut times: Vec<f64> = answers.iter().flat_map(|(_, times)| times).copied().collect();
        times.sort_by(f64::total_cmp);
        Ok(Asked {
            rows: answers.iter().map(|(rows, _)| rows).sum(),
            rate: places.len() as f64 / seconds,
            p99_ms: times[times.len() * 99 / 100],
        })
    }

    fn ask_in_turn(&self, kind: Kind, places: &[[f64; 2]], at_once: usize) -> Result<(u64, Vec<f64>)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut answers = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        let (mut rows, mut times) = (0, Vec::with_capacity(places.len()));
        for places in places.chunks(at_once) {
            let asked = Instant::now();
            let request = match places {
                [[x, y]] => {
                    let question = match kind {
                        Kind::Box => format!("box={x},{y},{},{}&limit=1000&f=json", x + SIDE_M, y + SIDE_M),
                        Kind::Nearest => format!("near={x},{y}&limit=1&f=json"),
                    };
                    format!("GET /query?{question} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)
                }
                places => {
                    let line = |[x, y]: &[f64; 2]| match kind {
                        Kind::Box => {
                            format!("{{\"box\":[{x},{y},{},{}],\"limit\":1000}}\n", x + SIDE_M, y + SIDE_M)
                        }
                        Kind::Nearest => format!("{{\"near\":[{x},{y}],\"limit\":1}}\n"),
                    };
                    let body: String = places.iter().map(line).collect();
                    let head =
                        format!("POST /query HTTP/1.1\r\nHost: {}\r\nContent-Length: {}", self.address, body.len());
                    format!("{head}\r\n\r\n{body}")
                }
            };
            stream.write_all(request.as_bytes())?;
            rows += count_rows(&read_answer(&mut answers)?);
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        Ok((rows, times))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer that is good, whether it is sent whole or in chunks.
fn read_answer(from: &mut impl BufRead) -> Result<Vec<u8>> {
    let (mut line, mut length, mut is_chunked) = (String::new(), None, false);
    from.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "answered {line:?}");
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let lower = line.trim().to_ascii_lowercase();
        if lower.is_empty() {
            break;
        }
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        }
        is_chunked |= lower.starts_with("transfer-encoding:") && lower.contains("chunked");
    }
    let mut body = Vec::new();
    let mut take = |from: &mut dyn BufRead, length: usize| -> Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        Ok(from.read_exact(&mut body[start..])?)
    };
    if !is_chunked {
        take(from, length.context("an answer without a length")?)?;
        return Ok(body);
    }
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16)?;
        take(from, length)?;
        line.clear();
        from.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// Objects of an answer: each has one `"layer"`.
fn count_rows(body: &[u8]) -> u64 {
    body.windows(8).filter(|window| window == b"\"layer\":").count() as u64
}

/// A running PostgreSQL with a table of the boxes.
struct Database {
    folder: PathBuf,
    port: u16,
}

impl Database {
    fn start(folder: &Path, boxes: &[[f64; 4]]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let database = Self { folder: folder.to_path_buf(), port };
        if rustix::process::getuid().is_root() {
            for path in folder.ancestors().take_while(|path| path.starts_with(std::env::temp_dir())) {
                Command::new("chmod").arg("a+rx").arg(path).status()?;
            }
            Command::new("chown").arg("postgres").arg(folder).status()?;
        }
        let data = folder.join("data");
        database.run("initdb", &["-D", text(&data)?, "-A", "trust", "-U", "postgres"])?;
        let options =
            format!("-p {port} -k {} -c listen_addresses=127.0.0.1 -c shared_buffers=1GB -c fsync=off", text(folder)?);
        let log = folder.join("log");
        database.run("pg_ctl", &["-D", text(&data)?, "-l", text(&log)?, "-w", "-o", &options, "start"])?;
        database.sql("create extension postgis; create unlogged table b(id int, name text, height float8, storeys int, g geometry);")?;
        let rows = folder.join("rows.tsv");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&rows)?);
        for (number, [a, b, c, d]) in boxes.iter().enumerate() {
            let (name, height, storeys) = attributes(number);
            writeln!(
                file,
                "{number}\t{name}\t{height}\t{storeys}\tPOLYGON(({a} {b},{c} {b},{c} {d},{a} {d},{a} {b}))"
            )?;
        }
        file.flush()?;
        drop(file);
        database.sql(&format!("\\copy b from '{}'", text(&rows)?))?;
        database.sql("create index on b using gist(g); cluster b using b_g_idx; vacuum analyze b;")?;
        Ok(database)
    }

    /// Rows of all answers together.
    fn count(&self, kind: Kind, places: &[[f64; 2]]) -> Result<u64> {
        let values: Vec<String> =
            places.iter().enumerate().map(|(n, [x, y])| format!("({n},{x}::float8,{y}::float8)")).collect();
        self.sql(&format!(
            "drop table if exists q; create table q(n int primary key, x float8, y float8); insert into q values {}; vacuum analyze q;",
            values.join(",")
        ))?;
        let inner = self.question(kind, "q.x", "q.y");
        let output = self
            .sql(&format!("set max_parallel_workers_per_gather=0; select count(*) from q, lateral ({inner}) found;"))?;
        let number = output.lines().filter_map(|line| line.trim().parse().ok()).next();
        number.context("no count of rows")
    }

    fn question(&self, kind: Kind, x: &str, y: &str) -> String {
        let columns = "id, name, height, storeys, st_xmin(g), st_ymin(g), st_xmax(g), st_ymax(g)";
        match kind {
            Kind::Box => {
                // Exact, as ours are: `&&` alone compares boxes of f32, which are half a metre wider here.
                let envelope = format!("st_makeenvelope({x},{y},{x}+{SIDE_M},{y}+{SIDE_M})");
                format!("select {columns} from b where st_intersects(g, {envelope})")
            }
            Kind::Nearest => format!("select {columns} from b order by g <-> st_makepoint({x},{y}) limit 1"),
        }
    }

    /// Questions a second.
    fn ask(&self, kind: Kind, connections: usize, at_once: usize) -> Result<f64> {
        let side = (COUNT as f64).sqrt() * 30.0;
        let script = self.folder.join("ask.sql");
        let last = |corner: f64| corner as u64 + side as u64;
        let lines = match at_once {
            1 => vec![
                format!("\\set x random({}, {})", CORNER[0], last(CORNER[0])),
                format!("\\set y random({}, {})", CORNER[1], last(CORNER[1])),
                format!("{};", self.question(kind, ":x::float8", ":y::float8")),
            ],
            _ => {
                // Some of the very places, by their numbers.
                let inner = self.question(kind, "p.x", "p.y");
                let begin = format!("\\set n random(0, {})", QUESTIONS - at_once);
                let places = format!("select * from q where n >= :n and n < :n + {at_once} offset 0");
                vec![begin, format!("select p.n, found.* from ({places}) p, lateral ({inner}) found;")]
            }
        };
        std::fs::write(&script, lines.join("\n"))?;
        let (clients, each) = (connections.to_string(), (QUESTIONS / connections / at_once).to_string());
        let port = self.port.to_string();
        let output = self.run(
            "pgbench",
            &[
                "-n",
                "-M",
                "prepared",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-c",
                &clients,
                "-j",
                &clients,
                "-t",
                &each,
                "-f",
                text(&script)?,
                "postgres",
            ],
        )?;
        let line = output.lines().find(|line| line.starts_with("tps = ")).context("pgbench's rate")?;
        let rate: f64 = line.split_whitespace().nth(2).context("pgbench's rate")?.parse()?;
        Ok(rate * at_once as f64)
    }

    fn sql(&self, statements: &str) -> Result<String> {
        let port = self.port.to_string();
        let file = self.folder.join("statements.sql");
        std::fs::write(&file, statements)?;
        self.run(
            "psql",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-v",
                "ON_ERROR_STOP=1",
                "-At",
                "-f",
                text(&file)?,
                "postgres",
            ],
        )
    }

    fn run(&self, name: &str, args: &[&str]) -> Result<String> {
        let path = program(name).with_context(|| format!("{name} is not on the PATH"))?;
        let mut command = match rustix::process::getuid().is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        let output = command.args(args).current_dir(&self.folder).stdin(Stdio::null()).output()?;
        let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            output.stderr.as_slice().read_to_string(&mut all)?;
            bail!("{name}: {all}");
        }
        Ok(all)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // It may not have started.
        let _ = text(&self.folder.join("data"))
            .and_then(|data| self.run("pg_ctl", &["-D", data, "-m", "immediate", "stop"]));
    }
}
