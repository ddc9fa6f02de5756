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
