//! The live path against Debian's mosquitto and its clients, which someone else wrote.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::ControlFlow,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    AlarmState, Broker, Door, LiveState, Log, Logged, Pace, Recording, Subject, listen, now_ms, play, replay,
    subscribe, test_sensor,
};
use crate::model::{Payload, Quality, Sensor};

/// A mosquitto of this test's own, ended with it.
struct Mosquitto {
    child: Child,
    port: u16,
}

impl Mosquitto {
    fn start(port: u16) -> Self {
        let path = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .unwrap_or("mosquitto");
        let child = Command::new(path)
            .args(["-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("this test needs the MQTT broker: apt-get install mosquitto ({path}: {e})"));
        let broker = Self { child, port };
        wait("mosquitto to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        broker
    }

    fn publish(&self, topic: &str, payload: &str, more: &[&str]) {
        publish(self.port, topic, payload, more);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn publish(port: u16, topic: &str, payload: &str, more: &[&str]) {
    let status = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", topic, "-m", payload])
        .args(more)
        .status()
        .unwrap_or_else(|e| panic!("this test needs mosquitto_pub: apt-get install mosquitto-clients ({e})"));
    assert!(status.success(), "mosquitto_pub {topic} {payload} {more:?}: {status}");
}

fn wait(what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn state() -> LiveState {
    let json = Payload::Json { value: "/v".into(), time: Some("/t".into()) };
    LiveState::new(vec![
        test_sensor("level", "drain/level"),
        Sensor { payload: json, ..test_sensor("gas", "well/gas") },
        test_sensor("rain", "sky/rain"),
    ])
}

fn value(state: &LiveState, sensor: u32) -> Option<f64> {
    state.latest(sensor, now_ms()).unwrap().value
}

fn raw(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// CONNECT of MQTT 3.1.1, clean session, with this client identifier and a keep-alive of 60 s.
fn connect_packet(client_id: &str) -> Vec<u8> {
    let mut packet = vec![0x10, 12 + client_id.len() as u8, 0, 4];
    packet.extend(b"MQTT\x04\x02\x00\x3c\x00");
    packet.push(client_id.len() as u8);
    packet.extend(client_id.as_bytes());
    packet
}

#[test]
fn from_mosquitto_into_the_state_and_a_lost_broker_is_one_alarm() {
    let broker = Mosquitto::start(free_port());
    let port = broker.port;
    let state = state();
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(folder.path(), &state).unwrap();
    let options = Broker { client_id: format!("test-{port}"), ..Broker::new("127.0.0.1", port) };
    let name = Subject::Source(options.name().into());
    let subscriber = subscribe(options, &state, Some(&log)).unwrap();
    wait("the first value", || {
        broker.publish("drain/level", "1.25", &["-q", "1"]);
        value(&state, 0) == Some(1.25)
    });
    let time = now_ms() - 2_000;
    broker.publish("well/gas", &format!(r#"{{"v": 12.5, "t": {time}}}"#), &["-q", "1"]);
    wait("json", || value(&state, 1) == Some(12.5));
    assert_eq!(state.latest(1, now_ms()).unwrap().time_ms, time);
    broker.publish("well/gas", "broken", &["-q", "1"]);
    wait("the malformed one", || state.counters().malformed == 1);
    assert!(state.alarms().is_empty());
    drop(broker);
    wait("the alarm", || !state.alarms().is_empty());
    assert_eq!((state.alarms().len(), &state.alarms()[0].subject), (1, &name));
    assert_eq!(state.latest(0, now_ms()).unwrap().quality, Quality::Stale);
    state.acknowledge(&name, "值班员", "", now_ms()).unwrap();
    let broker = Mosquitto::start(port);
    wait("the alarm to end", || state.alarms().is_empty());
    wait("values again", || {
        broker.publish("drain/level", "1.5", &["-q", "1"]);
        value(&state, 0) == Some(1.5)
    });
    subscriber.stop();
    drop(log);
    let mut logged = Vec::new();
    replay(folder.path(), i64::MIN..i64::MAX, &mut |entry| {
        if let Logged::Reading { sensor, value, .. } = entry {
            logged.push((sensor.0, value));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    for expected in [("level", 1.25), ("gas", 12.5), ("level", 1.5)] {
        assert!(logged.contains(&(expected.0.to_owned(), expected.1)), "{logged:?}");
    }
}

#[test]
fn devices_publish_straight_to_the_listener_with_every_qos_and_version() {
    let state = state();
    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(folder.path(), &state).unwrap();
    let listener = listen("127.0.0.1:0", &state, Some(&log), Door::default()).unwrap();
    let port = listener.addr().port();
    let mut expected = 0.0;
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            expected += 1.0;
            publish(port, "drain/level", &expected.to_string(), &["-q", qos, "-V", version]);
            wait("the value", || value(&state, 0) == Some(expected));
        }
    }
    publish(port, "nobody/knows", "1", &["-q", "1"]);
    wait("the unknown topic", || state.counters().unknown_topic == 1);
    wait("the devices to leave", || listener.connections() == 0);
    listener.stop();
    drop(log);
    let mut values = Vec::new();
    let mut take = |entry| {
        if let Logged::Reading { value, .. } = entry {
            values.push(value);
        }
        ControlFlow::Continue(())
    };
    replay(folder.path(), 0..i64::MAX, &mut take).unwrap();
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn nothing_is_acknowledged_that_the_disk_did_not_take() {
    let state = state();
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("readings");
    let (log, _) = Log::open(&home, &state).unwrap();
    let listener = listen("127.0.0.1:0", &state, Some(&log), Door::default()).unwrap();
    let publish_packet =
        [0x32, 16, 0, 11, b'd', b'r', b'a', b'i', b'n', b'/', b'l', b'e', b'v', b'e', b'l', 0, 7, b'5'];
    let mut device = raw(listener.addr());
    device.write_all(&connect_packet("d1")).unwrap();
    device.write_all(&publish_packet).unwrap();
    let mut answer = [0; 8];
    device.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0, 0x40, 2, 0, 7], "CONNACK, PUBACK 7");
    drop(log);
    // The listener holds the log; a full disk is played by a folder that is gone when the next segment begins.
    let (state, gone) = (self::state(), folder.path().join("gone"));
    let (log, _) = Log::open(&gone, &state).unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    let listener = listen("127.0.0.1:0", &state, Some(&log), Door::default()).unwrap();
    let mut device = raw(listener.addr());
    device.write_all(&connect_packet("d1")).unwrap();
    device.write_all(&publish_packet).unwrap();
    let mut rest = Vec::new();
    device.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [0x20, 2, 0, 0], "CONNACK, then closed without PUBACK");
    assert_eq!(state.alarms()[0].subject, Subject::Source("readings log".into()));
}

#[test]
fn garbage_and_rude_clients_harm_no_one() {
    let state = state();
    let listener = listen("127.0.0.1:0", &state, None, Door::default()).unwrap();
    let port = listener.addr().port();
    let mut dice = 0x1234_5678_9ABC_DEF1_u64;
    let mut random = move || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    for round in 0..200 {
        let mut stream = raw(listener.addr());
        let mut bytes: Vec<u8> = match round % 4 {
            0 => Vec::new(),
            // Packets of every kind behind a good introduction.
            1 => connect_packet(&format!("g{round}")),
            // A packet of 256 MiB that never comes.
            2 => [connect_packet(&format!("g{round}")), vec![0x30, 0xff, 0xff, 0xff, 0x7f]].concat(),
            // A message before any introduction.
            _ => vec![0x30, 6, 0, 3, b'a', b'/', b'b', b'1'],
        };
        bytes.extend((0..random() % 300).map(|_| (random() >> 24) as u8));
        let _ = stream.write_all(&bytes);
        if round % 10 == 0 {
            let mut sink = [0; 64];
            let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
            let _ = stream.read(&mut sink);
        }
    }
    let half_open: Vec<TcpStream> = (0..50).map(|_| raw(listener.addr())).collect();
    publish(port, "drain/level", "3", &["-q", "1"]);
    wait("a decent device", || value(&state, 0) == Some(3.0));
    // A newer connection takes the name over and the older one is closed.
    let mut older = raw(listener.addr());
    older.write_all(&connect_packet("same")).unwrap();
    let mut connack = [0; 4];
    older.read_exact(&mut connack).unwrap();
    let mut newer = raw(listener.addr());
    newer.write_all(&connect_packet("same")).unwrap();
    newer.read_exact(&mut connack).unwrap();
    assert_eq!(older.read(&mut connack).unwrap(), 0, "closed");
    drop(half_open);
    drop(newer);
    wait("all to be gone", || listener.connections() == 0);
}

#[test]
fn people_watch_the_listener_with_mosquitto_sub() {
    let state = state();
    let listener = listen("127.0.0.1:0", &state, None, Door::default()).unwrap();
    let port = listener.addr().port();
    for version in ["mqttv311", "mqttv5"] {
        let watching = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", version, "-t", "drain/+", "-C", "1", "-v"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("this test needs mosquitto_sub: apt-get install mosquitto-clients ({e})"));
        wait("the watcher", || !super::state::read(&listener.shared().watchers).is_empty());
        publish(port, "sky/rain", "0", &[]);
        publish(port, "drain/level", "7.5", &["-q", "1"]);
        let output = watching.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "drain/level 7.5\n");
        wait("the watcher to leave", || super::state::read(&listener.shared().watchers).is_empty());
    }
}

#[test]
fn a_recording_is_played_through_a_broker_and_through_the_listener() {
    let start = 1_700_000_000_000;
    let samples = (0..400).flat_map(|n| {
        let time = start + n * 100;
        [("level".to_owned(), time, n as f64 / 10.0), ("gas".to_owned(), time + 50, 5.0 + n as f64 / 100.0)]
    });
    let recording = Recording::new(samples);
    let broker = Mosquitto::start(free_port());
    let through_broker = state();
    let own = |id: &str| Broker { client_id: format!("{id}-{}", broker.port), ..Broker::new("127.0.0.1", broker.port) };
    let _subscriber = subscribe(own("in"), &through_broker, None).unwrap();
    let straight = state();
    let listener = listen("127.0.0.1:0", &straight, None, Door::default()).unwrap();
    let to_listener = Broker { client_id: "out".into(), ..Broker::new("127.0.0.1", listener.addr().port()) };
    let pace = Pace { speed: 20.0, is_looping: true };
    for (state, target) in [(&through_broker, own("out")), (&straight, to_listener)] {
        let player = play(&recording, state.sensors(), target, pace).unwrap();
        let seen = state.subscribe();
        let mut values = std::collections::HashSet::new();
        wait("values that change", || {
            values.extend(seen.drain(100).into_iter().filter_map(|c| c.value).map(|v| (v * 100.0) as i64));
            values.len() > 50
        });
        let latest = state.latest(1, now_ms()).unwrap();
        assert!(latest.age_s < 5.0 && latest.quality == Quality::Good, "times are shifted to now: {latest:?}");
        assert!(player.sent() > 50);
        player.stop();
        assert_eq!(state.counters().malformed, 0);
        assert_eq!(state.latest(0, now_ms()).unwrap().alarm, AlarmState::Normal);
    }
}

#[test]
fn observations_of_sensorthings_come_and_go_over_mqtt() {
    let state = state();
    let listener = listen("127.0.0.1:0", &state, None, Door::default()).unwrap();
    let port = listener.addr().port();
    let ids: Vec<String> = state.sensors().iter().map(|sensor| sensor.id.0.clone()).collect();
    let of_one = format!("v1.1/Datastreams('{}')/Observations", ids[0]);
    let mut reader = Command::new("mosquitto_sub")
        .args(["-p", &port.to_string(), "-t", &of_one, "-C", "2", "-W", "20"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait("the subscription", || super::state::read(&listener.shared().watchers).len() == 1);
    let at = |before_ms: i64| crate::query::time_text(now_ms() - before_ms).unwrap();
    publish(port, &of_one, &format!(r#"{{"result": 1.5, "phenomenonTime": "{}"}}"#, at(9_000)), &["-q", "1"]);
    wait("the first", || value(&state, 0) == Some(1.5));
    // It is told before the next one takes its place.
    std::thread::sleep(Duration::from_millis(200));
    let named = format!(
        r#"{{"result": "2.5", "phenomenonTime": "{}/{}", "Datastream": {{"@iot.id": "{}"}}}}"#,
        at(8_000),
        at(5_000),
        ids[0]
    );
    publish(port, "v1.1/Observations", &named, &["-q", "2"]);
    wait("the second", || value(&state, 0) == Some(2.5));
    for (topic, bad) in [
        ("v1.1/Observations", r#"{"result": 1}"#),
        ("v1.1/Datastreams('nobody')/Observations", r#"{"result": 1}"#),
        (&*of_one, "1.5"),
        (&*of_one, "no"),
    ] {
        publish(port, topic, bad, &["-q", "1"]);
    }
    wait("what is refused", || state.counters().malformed == 3 && state.counters().unknown_sensor == 1);
    let mut told = String::new();
    reader.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(reader.wait().unwrap().success());
    let results: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results.iter().map(|one| one["result"].as_f64().unwrap()).collect::<Vec<_>>(), [1.5, 2.5]);
    assert!(results.iter().all(|one| one["Datastream"]["@iot.id"] == ids[0].as_str()), "{told}");
    // Nobody listens any more: nothing is gathered.
    wait("the end of it", || listener.shared().is_nothing_observed());
}

/// Certificates of a test, made by OpenSSL: a signer, the listener's and a device's.
fn certificates(folder: &std::path::Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        let output = output.unwrap_or_else(|e| panic!("this test needs OpenSSL: apt-get install openssl ({e})"));
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout signer.key -out signer.pem -days 2 -subj /CN=signer"));
    for (name, more) in [("listener", "subjectAltName=IP:127.0.0.1"), ("device", "extendedKeyUsage=clientAuth")] {
        std::fs::write(folder.join("more"), format!("basicConstraints=CA:FALSE\n{more}\n")).unwrap();
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let sign = "-CA signer.pem -CAkey signer.key -CAcreateserial -days 2 -extfile more";
        openssl(&format!("x509 -req -in {name}.csr {sign} -out {name}.pem"));
    }
}

#[test]
fn only_those_come_in_whom_the_door_knows() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name);
    let added =
        Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(file("users")).args(["well", "geheim"]).status();
    assert!(added.expect("mosquitto_passwd (Debian package mosquitto)").success());
    let said = |port: u16, more: &[&str]| {
        let output = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "drain/level", "-m", "1.5"])
            .args(more)
            .current_dir(folder.path())
            .output()
            .unwrap();
        output.status.success()
    };
    let state = state();
    let of_users = Door::default().with_passwords(&file("users")).unwrap();
    let listener = listen("127.0.0.1:0", &state, None, of_users.clone()).unwrap();
    let port = listener.addr().port();
    for version in ["mqttv311", "mqttv5"] {
        assert!(said(port, &["-u", "well", "-P", "geheim", "-V", version]), "{version}");
        for wrong in [&["-u", "well", "-P", "wrong"][..], &["-u", "x", "-P", "geheim"], &["-u", "well"], &[]] {
            assert!(!said(port, &[wrong, &["-V", version]].concat()), "{version} {wrong:?}");
        }
    }
    assert_eq!((listener.refused(), state.counters().received), (8, 2));
    drop(listener);

    let door = of_users.with_tls(&file("listener.pem"), &file("listener.key"), Some(&file("signer.pem"))).unwrap();
    let listener = listen("127.0.0.1:0", &state, None, door).unwrap();
    let port = listener.addr().port();
    let (user, own) = (["-u", "well", "-P", "geheim"], ["--cert", "device.pem", "--key", "device.key"]);
    let trusted = ["--cafile", "signer.pem"];
    assert!(said(port, &[&trusted[..], &user, &own].concat()));
    assert!(!said(port, &[&trusted[..], &user].concat()), "no certificate");
    assert!(!said(port, &[&trusted[..], &own].concat()), "no password");
    assert!(!said(port, &user), "not encrypted");
    drop(listener);

    // Encrypted alone.
    let door = Door::default().with_tls(&file("listener.pem"), &file("listener.key"), None).unwrap();
    let listener = listen("127.0.0.1:0", &state, None, door).unwrap();
    let before = state.counters().received;
    assert!(said(listener.addr().port(), &trusted));
    assert_eq!(state.counters().received, before + 1);
    // A key that is not the certificate's is refused before anybody listens.
    let other = Door::default().with_tls(&file("listener.pem"), &file("device.key"), None);
    assert!(other.err().unwrap().to_string().contains("listener.pem"));
}
