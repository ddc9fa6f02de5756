//! Live readings: how fast they go into the state on one core, and over MQTT on the loopback until they are on the disk, beside mosquitto,
//! which only hands them on to one subscriber that counts them.
//!
//! The publisher is the same for both and sends packets that were written before; the machine's cores are shared by all. QoS 0 ends when the
//! last message is counted (by us in `GET /readings`, by mosquitto's subscriber), QoS 1 when the last acknowledgement is there.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use groundline_engine::{
    live::LiveState,
    model::{ObjectId, Payload, Reading, Sensor, Sensors, Threshold, Vertical},
};

use crate::{
    run::{Run, median, program},
    text,
};

const SENSORS: usize = 10_000;
const MESSAGES: usize = 1_000_000;
const MANY: usize = 1_000_000;
const ROUNDS: usize = 3;
/// Most messages of QoS 1 that wait for their acknowledgement.
const WINDOW: usize = 20_000;

/// Prints the rows of the state and of MQTT.
pub fn live(groundline: &Path, work: &Path) -> Result<()> {
    println!("\n| readings | sensors | ours, k/s | mosquitto, k/s | ours over it |");
    println!("| --- | --- | --- | --- | --- |");
    for count in [SENSORS, MANY] {
        let before = resident_mb();
        let state = LiveState::new(Sensors::new((0..count).map(sensor)));
        let bytes = (resident_mb() - before) * 1e6 / count as f64;
        let rates = (0..ROUNDS).map(|round| into_state(&state, count, round));
        println!(
            "| into the state, one core, alarms judged ({bytes:.0} bytes a sensor with its register) | {count} | {:.0} | | |",
            median(rates) / 1e3
        );
    }
    many();
    let folder = work.join("live");
    std::fs::create_dir_all(&folder)?;
    let city = city(groundline, &folder)?;
    let broker =
        program("mosquitto").or_else(|| Some(PathBuf::from("/usr/sbin/mosquitto")).filter(|path| path.is_file()));
    for qos in [0, 1] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            ours.push(into_groundline(groundline, &city, qos, round)? / 1e3);
            if let Some(broker) = &broker {
                theirs.push(through_mosquitto(broker, &folder, qos, round)? / 1e3);
            }
        }
        let ratio = median(ours.iter().zip(&theirs).map(|(a, b)| a / b));
        let (ours, theirs) = (median(ours.into_iter()), median(theirs.into_iter()));
        let what = if qos == 0 { "to state and log" } else { "acknowledged when on the disk" };
        match broker {
            Some(_) => println!("| MQTT QoS {qos}, {what} | {SENSORS} | {ours:.0} | {theirs:.0} | **{ratio:.2}×** |"),
            None => println!("| MQTT QoS {qos}, {what} | {SENSORS} | {ours:.0} | not there | not run |"),
        }
    }
    Ok(())
}

/// Terminals that a city plans (青岛): each with a place, and the object that it watches.
const TERMINALS: usize = 15_000_000;

/// All terminals of a city in one state: time to register them, memory, one reading each, and whether what is counted is right.
fn many() {
    let (before, begun) = (resident_mb(), Instant::now());
    let terminal = |n: usize| {
        let code = (n as u64).wrapping_mul(2_654_435_761) % 100_000_000;
        Sensor {
            id: ObjectId(format!("terminals/QD-{code:08}-{n:08}")),
            name: format!("井下液位 {n:08}"),
            watches: Some(ObjectId(format!("manholes/{}", n / 3))),
            property: ["level", "gas", "pressure"][n % 3].into(),
            place: Some(glam::DVec3::new(4.05e7 + (n % 60_000) as f64, 4e6 + (n / 250) as f64 * 0.7, 3.25)),
            topic: format!("qd/{}/{n:08}", n % 40),
            ..sensor(n)
        }
    };
    let state = LiveState::new(Sensors::new((0..TERMINALS).map(terminal)));
    let (seconds, bytes) = (begun.elapsed().as_secs_f64(), (resident_mb() - before) * 1e6);
    let rate = into_state(&state, TERMINALS, 0);
    let raised = state.alarms().len();
    let now = 1_790_000_000_000 + 1000;
    let good = state.qualities(now).iter().find(|(word, _)| *word == "good").map_or(0, |(_, count)| *count);
    // The second of the two rounds decides: a value of 0 to 88 never passes 90.
    let is_right =
        good == TERMINALS && raised == 0 && state.index_of(&terminal(TERMINALS - 1).id) == Some(TERMINALS as u32 - 1);
    println!(
        "| registered in {seconds:.1} s, {:.0} bytes a sensor, {:.2} GiB in all; one core, alarms judged; what is counted is {} | {TERMINALS} | {:.0} | | |",
        bytes / TERMINALS as f64,
        bytes / f64::from(1 << 30),
        if is_right { "right" } else { "WRONG" },
        rate / 1e3
    );
}

/// Memory of this process, MB.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

fn sensor(index: usize) -> Sensor {
    Sensor {
        id: ObjectId(format!("sensors/{index}")),
        name: format!("{index}"),
        watches: None,
        property: "level".into(),
        unit: "m".into(),
        place: None,
        vertical: Vertical::Absolute,
        range: Some((0.0, 100.0)),
        interval_s: 10.0,
        threshold: Some(Threshold {
            low: None,
            high: Some(90.0),
            dead_band: 1.0,
            priority: 2,
            on_delay_s: 0.0,
            ..Threshold::default()
        }),
        topic: topic(index),
        payload: Payload::Json { value: "/v".into(), time: None },
    }
}

fn topic(index: usize) -> String {
    format!("city/{}/dev{index:06}", index % 10)
}

/// Readings a second.
fn into_state(state: &LiveState, sensors: usize, round: usize) -> f64 {
    let rounds = (4_000_000 / sensors).max(2);
    let begun = Instant::now();
    for at in 0..rounds {
        let time_ms = 1_790_000_000_000 + ((round * rounds + at) * 1000) as i64;
        for sensor in 0..sensors as u32 {
            let value = f64::from((sensor + at as u32) % 89);
            state.apply(Reading { sensor, time_ms, value }, time_ms);
        }
    }
    (rounds * sensors) as f64 / begun.elapsed().as_secs_f64()
}

fn city(groundline: &Path, folder: &Path) -> Result<PathBuf> {
    let source = folder.join("sensors.csv");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&source)?);
    writeln!(file, "编号,名称,监测项,单位,X,Y,Z,量程下限,量程上限,报警上限,上报间隔(s),主题,格式")?;
    for index in 0..SENSORS {
        // X to the north, as survey offices have it.
        let (x, y) = (4_000_000 + index % 100 * 10, 500_000 + index / 100 * 10);
        writeln!(file, "{index},{index},水位,m,{x},{y},1,0,100,90,10,{},/v", topic(index))?;
    }
    file.flush()?;
    let city = folder.join("a.city");
    let args = ["import", text(&source)?, "--crs", "EPSG:4549", "--city", text(&city)?, "--json"];
    let report: serde_json::Value = serde_json::from_str(&Run::of(groundline, &args)?.output)?;
    ensure!(report["objects"] == SENSORS, "not all sensors were read: {report}");
    Ok(city)
}

/// A process that ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn into_groundline(groundline: &Path, city: &Path, qos: u8, round: usize) -> Result<f64> {
    let args = ["serve", text(city)?, "--listen", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--json"];
    let mut child = Command::new(groundline).args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
    let _process = Process(child);
    let started: serde_json::Value = serde_json::from_str(&line)?;
    let address = |name: &str, scheme: &str| -> Result<SocketAddr> {
        Ok(started[name].as_str().context("its address")?.trim_start_matches(scheme).parse()?)
    };
    let (http, mqtt) = (address("http", "http://")?, address("mqtt", "mqtt://")?);
    let before = received(http)?;
    let begun = Instant::now();
    let _open = publish(mqtt, qos, round)?;
    while received(http)? < before + MESSAGES as u64 {
        ensure!(begun.elapsed() < Duration::from_secs(120), "not all messages arrived");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(MESSAGES as f64 / begun.elapsed().as_secs_f64())
}

/// Readings that came, by the server's own count.
fn received(http: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(http)?;
    write!(stream, "GET /readings HTTP/1.0\r\nHost: {http}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let counts: serde_json::Value = serde_json::from_str(body)?;
    counts["counters"]["received"].as_u64().with_context(|| format!("no count in {body}"))
}

fn through_mosquitto(broker: &Path, folder: &Path, qos: u8, round: usize) -> Result<f64> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = folder.join("mosquitto.conf");
    std::fs::write(
        &config,
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n"
        ),
    )?;
    let _process = Process(Command::new(broker).args(["-c", text(&config)?]).stderr(Stdio::null()).spawn()?);
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let begun = Instant::now();
    while TcpStream::connect(at).is_err() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "mosquitto does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut subscriber = connect(at, "counter")?;
    let filter = b"city/#";
    let mut request = vec![0x82, (5 + filter.len()) as u8, 0, 1, 0, filter.len() as u8];
    request.extend(filter);
    request.push(0);
    subscriber.write_all(&request)?;
    subscriber.read_exact(&mut [0; 5])?;
    subscriber.set_read_timeout(Some(Duration::from_secs(20)))?;
    let counting = std::thread::spawn(move || count_packets(&mut subscriber, 3, MESSAGES));
    let begun = Instant::now();
    let _open = publish(at, qos, round)?;
    counting.join().map_err(|_| anyhow::anyhow!("the subscriber failed"))??;
    Ok(MESSAGES as f64 / begun.elapsed().as_secs_f64())
}

fn connect(at: SocketAddr, id: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    // MQTT 3.1.1, clean session, a minute of keep-alive.
    let mut packet = vec![0x10, (12 + id.len()) as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, id.len() as u8];
    packet.extend(id.as_bytes());
    stream.write_all(&packet)?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    ensure!(answer == [0x20, 2, 0, 0], "refused: {answer:?}");
    Ok(stream)
}

/// Sends all messages, and with QoS 1 waits for the last acknowledgement.
fn publish(at: SocketAddr, qos: u8, round: usize) -> Result<TcpStream> {
    let mut packets = Vec::with_capacity(MESSAGES * 48);
    let mut ends = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        let (topic, value) = (topic(number * 7 % SENSORS), (number + round) % 89);
        let payload = format!("{{\"v\":{value}.{}}}", number % 1000);
        let length = 2 + topic.len() + if qos > 0 { 2 } else { 0 } + payload.len();
        packets.extend([0x30 | qos << 1, u8::try_from(length)?, 0, topic.len() as u8]);
        packets.extend(topic.as_bytes());
        if qos > 0 {
            packets.extend((number as u16 % u16::MAX + 1).to_be_bytes());
        }
        packets.extend(payload.as_bytes());
        ends.push(packets.len());
    }
    let mut stream = connect(at, "publisher")?;
    if qos == 0 {
        stream.write_all(&packets)?;
        return Ok(stream);
    }
    let mut answers = stream.try_clone()?;
    answers.set_read_timeout(Some(Duration::from_secs(20)))?;
    let (done, acknowledged) = std::sync::mpsc::channel();
    let counting = std::thread::spawn(move || -> Result<()> {
        for _ in 0..MESSAGES / (WINDOW / 4) {
            count_packets(&mut answers, 4, WINDOW / 4)?;
            let _ = done.send(());
        }
        Ok(())
    });
    let mut begin = 0;
    for (part, ends) in ends.chunks(WINDOW / 4).enumerate() {
        if part >= 4 {
            acknowledged.recv_timeout(Duration::from_secs(20)).context("an acknowledgement")?;
        }
        let end = *ends.last().context("a message")?;
        stream.write_all(&packets[begin..end])?;
        begin = end;
    }
    counting.join().map_err(|_| anyhow::anyhow!("the publisher failed"))??;
    Ok(stream)
}

/// Reads until so many packets of a kind came. What is behind them stays unread only where no more come: acknowledgements are of four bytes.
fn count_packets(stream: &mut TcpStream, kind: u8, count: usize) -> Result<()> {
    let mut buffer = vec![0; if kind == 4 { 4096 } else { 1 << 18 }];
    let (mut held, mut found) = (0, 0);
    while found < count {
        let most = if kind == 4 { (4 * (count - found)).min(buffer.len() - held) + held } else { buffer.len() };
        let read = stream.read(&mut buffer[held..most.max(held + 1)])?;
        ensure!(read > 0, "the connection ended after {found} of {count}");
        held += read;
        let mut at = 0;
        // Lengths below 128 take a byte; all packets here are short.
        while held - at >= 2 && held - at >= 2 + usize::from(buffer[at + 1]) {
            found += usize::from(buffer[at] >> 4 == kind);
            at += 2 + usize::from(buffer[at + 1]);
        }
        buffer.copy_within(at..held, 0);
        held -= at;
    }
    Ok(())
}
