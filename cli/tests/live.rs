//! The demo from files to a picture, and readings on their way from a device to the server.

mod common;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use common::{Server, run_json, text, tiny_sample};

#[test]
fn the_demo_goes_from_a_recipe_to_a_picture_with_live_sensors() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("first.png");
    let (code, report) = run_json(&["demo", "--no-view", "--dir", text(folder.path()), "--snapshot", text(&picture)]);
    assert_eq!(code, 0, "{report:#}");
    assert!(report["import"]["objects"].as_u64().unwrap() > 40_000, "{report:#}");
    assert!(report["sensors"].as_u64().unwrap() >= 60);
    for source in report["import"]["sources"].as_array().unwrap() {
        assert_eq!((&source["skipped"], &source["error"]), (&0.into(), &serde_json::Value::Null), "{source:#}");
    }
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 100_000, "{} bytes", bytes.len());

    // The second demo finds everything there.
    let (code, again) = run_json(&["demo", "--no-view", "--dir", text(folder.path())]);
    assert_eq!(code, 0);
    assert_eq!(again["import"]["version"], report["import"]["version"]);
}

#[test]
fn a_device_publishes_and_the_server_tells_its_latest_value() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path());
    let city = folder.path().join("tiny.city");
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!(code, 0, "{report:#}");
    let (_, sensors) = run_json(&["sensors", text(&city), "list"]);
    let sensor = &sensors[0];
    let (id, topic) = (sensor["id"].as_str().unwrap(), sensor["topic"].as_str().unwrap());

    let server = Server::start(&city);
    let port = server.told["mqtt"].as_str().unwrap().rsplit(':').next().unwrap();

    let payload = match &sensor["payload"] {
        serde_json::Value::String(_) => "0.25".to_owned(),
        _ => r#"{"v": 0.25}"#.to_owned(),
    };
    let sent = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", port, "-q", "1", "-t", topic, "-m", &payload])
        .status()
        .expect("mosquitto_pub (Debian package mosquitto-clients)");
    assert!(sent.success(), "the listener acknowledged nothing");

    let path = format!("/sensors/{}/latest", percent(id));
    let until = Instant::now() + Duration::from_secs(10);
    let body = loop {
        let (status, body) = server.get(&path);
        assert!(status.contains("200"), "{status} {body}");
        if body.contains("0.25") || Instant::now() > until {
            break body;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(body.contains("0.25"), "{body}");
    assert!(server.get("/tileset.json").1.contains("\"1.1\""));
    assert!(server.get("/tiles/../city.json").0.contains("404"));
    drop(server);
    let kept: u64 =
        std::fs::read_dir(city.join("readings")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(kept > 0, "an acknowledged reading is on the disk");
}

/// Percent-encodes everything but letters, digits and slashes.
fn percent(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b == b'/' || b == b'-';
    text.bytes().map(|b| if keep(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

#[test]
fn payloads_of_a_register_are_tried_before_devices_send_them() {
    let folder = tempfile::tempdir().unwrap();
    let register = folder.path().join("sensors.csv");
    let rows = "id,name,property,unit,x,y,z,topic,payload\n\
        P1,泵 1,pressure,bar,500010,4000010,2,spBv1.0/plant/DDATA/edge/pump,sparkplug:Inputs/P\n\
        L1,液位 1,level,m,500020,4000010,2,lora/1,binary:i16le@2*0.1-40;u32be@4\n\
        S1,温度 1,temperature,Cel,500030,4000010,2,senml/1,senml:dev/t\n\
        J1,流量 1,flow,m3/h,500040,4000010,2,json/1,json:/d/v\n";
    std::fs::write(&register, rows).unwrap();
    let city = folder.path().join("x.city");
    let (code, report) = run_json(&["import", text(&register), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!((code, &report["objects"]), (0, &4.into()), "{report:#}");
    let tried = |topic: &str, message: &str, more: &[&str]| {
        let (code, said) = run_json(&[&["sensors", text(&city), "try", "--topic", topic, message], more].concat());
        let one = said["readings"][0].clone();
        (code, one["value"].as_f64(), one["time"].as_str().map(str::to_owned), said["problems"].to_string())
    };
    // Little-endian -2 is -0.2, and 40 below it.
    let (code, value, time, _) = tried("lora/1", "00 00 fe ff 69 05 4f 80", &["--hex"]);
    assert_eq!((code, time.as_deref()), (0, Some("2025-11-01T00:08:32Z")), "{value:?}");
    assert!((value.unwrap() + 40.2).abs() < 1e-9, "{value:?}");
    assert_eq!(tried("senml/1", r#"[{"bn":"dev/","n":"h","v":40},{"n":"t","v":21.5}]"#, &[]).1, Some(21.5));
    assert_eq!(tried("json/1", r#"{"d":{"v":"7.5"}}"#, &[]).1, Some(7.5));
    let file = folder.path().join("message.json");
    std::fs::write(&file, r#"{"d":{"v":8.5}}"#).unwrap();
    assert_eq!(tried("json/1", &format!("@{}", text(&file)), &[]).1, Some(8.5));
    // One metric, `Inputs/P` = 2.5 (a double), with the time of all before it, in protocol buffers.
    let metric = "0a08496e707574732f50 20 0a 69 0000000000000440";
    let pack = format!("08 80b0dbffb634 12 {:02x} {metric}", 10 + 2 + 9);
    assert_eq!(tried("spBv1.0/plant/DDATA/edge/pump", &pack, &["--hex"]).1, Some(2.5));
    for (topic, message, more, reason) in [
        ("lora/1", "00", &["--hex"][..], "byte 2 of 1"),
        ("nowhere", "1", &[], "no sensor publishes on it"),
        ("spBv1.0/plant/DDATA/edge/pump", "ff", &["--hex"], "not Sparkplug B"),
        ("json/1", "[", &[], "not JSON"),
    ] {
        let (code, value, _, problems) = tried(topic, message, more);
        assert!(code == 3 && value.is_none() && problems.contains(reason), "{topic}: {code} {problems}");
    }
    let (code, said) = run_json(&["sensors", text(&city), "try", "--topic", "lora/1", "0g", "--hex"]);
    assert!(code != 0 && said["error"].to_string().contains("hexadecimal"), "{code} {said}");
    // A register that says what nobody can read costs that sensor alone, with its reason.
    std::fs::write(&register, rows.replace("json:/d/v", "xml").replace("J1", "X1")).unwrap();
    let other = folder.path().join("y.city");
    let (_, report) = run_json(&["import", text(&register), "--city", text(&other), "--crs", "EPSG:4549"]);
    assert_eq!((&report["objects"], &report["sources"][0]["skipped"]), (&3.into(), &1.into()), "{report:#}");
    assert!(report.to_string().contains("none of plain"), "{report:#}");
}
