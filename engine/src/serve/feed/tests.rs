use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Duration, timeout},
};

use super::Feed;
use crate::{
    live::{LiveState, Log, restore, test_sensor},
    model::{ObjectId, Payload, Reading, Sensor, Threshold},
    serve::{
        Options, Server, serve,
        tests::{Answer, city, exchange, get},
    },
};

/// Four sensors: a plain one, one of JSON, one that raises alarms, and one without a place.
fn sensors() -> Vec<Sensor> {
    let at = |x: f64| Some(glam::DVec3::new(500_000.0 + x, 4_000_000.0, 3.0));
    let alarmed =
        Threshold { low: None, high: Some(50.0), dead_band: 1.0, priority: 1, on_delay_s: 0.0, ..Threshold::default() };
    vec![
        Sensor { place: at(0.0), watches: Some(ObjectId("建筑/3".into())), ..test_sensor("a/1", "t/1") },
        Sensor {
            place: at(100.0),
            payload: Payload::Json { value: "/v".into(), time: None },
            ..test_sensor("a/2", "t/2")
        },
        Sensor { place: at(200.0), threshold: Some(alarmed), property: "gas".into(), ..test_sensor("b/3", "t/3") },
        test_sensor("b/4", "t/4"),
    ]
}

pub(in crate::serve) struct Served {
    _dir: tempfile::TempDir,
    pub state: LiveState,
    pub server: Server,
    readings: std::path::PathBuf,
}

pub(in crate::serve) async fn start() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let city = city(&dir.path().join("x.city"));
    let state = LiveState::new(sensors());
    let readings = city.folder().join("readings");
    let (log, _) = Log::open(&readings, &state).unwrap();
    let feed = Feed::new(state.clone()).taking(Some(log));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = serve(city.folder(), any, Some(feed), Options::default()).await.unwrap();
    Served { _dir: dir, state, server, readings }
}

pub(in crate::serve) async fn post(at: SocketAddr, path: &str, headers: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n{headers}", body.len());
    exchange(at, &format!("{head}\r\n{body}")).await
}

#[tokio::test]
async fn what_is_pushed_is_taken_told_and_on_the_disk() {
    let served = start().await;
    let at = served.server.address();
    let now = crate::live::now_ms();
    let lines = format!(
        "{{\"sensor\":\"a/1\",\"value\":1.5,\"time\":{now}}}\n\n{{\"topic\":\"t/2\",\"v\":\"2.5\"}}\n{{\"sensor\":\"x\",\"value\":1}}\n{{\"sensor\":\"a/1\"}}\n{{\"sensor\":\"a/1\",\"value\":null}}\n"
    );
    let answer = post(at, "/readings", "", &lines).await;
    let said = answer.json();
    assert_eq!(
        (answer.status, &said["latest"], &said["refused"], &said["is_durable"]),
        (200, &json!(2), &json!(3), &json!(true))
    );
    let reasons = said["reasons"].as_array().unwrap();
    assert_eq!(reasons.iter().map(|one| one["reading"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(reasons[0]["reason"].as_str().unwrap().contains("no sensor has this id"), "{said}");
    // The same once more is known; what is older goes into the history alone.
    let again = format!(
        "[{{\"sensor\":\"a/1\",\"value\":1.5,\"time\":{now}}},{{\"sensor\":\"a/1\",\"value\":9,\"time\":{}}}]",
        now - 5000
    );
    let said = post(at, "/readings", "", &again).await.json();
    assert_eq!((&said["latest"], &said["older"], &said["duplicates"]), (&json!(0), &json!(1), &json!(1)));
    let senml = r#"[{"bn":"b/","n":"4","v":7}]"#;
    assert_eq!(post(at, "/readings", "Content-Type: application/senml+json\r\n", senml).await.json()["latest"], 1);
    let csv = format!("sensor,time,value\nb/3,{now},20.25\nb/3,,x\n");
    let said = post(at, "/readings", "Content-Type: text/csv; charset=utf-8\r\n", &csv).await.json();
    assert_eq!((&said["latest"], &said["refused"]), (&json!(1), &json!(1)));
    assert_eq!(post(at, "/readings/t/2", "", "{\"v\": 4.5}").await.json()["latest"], 1);
    for (path, body) in
        [("/readings/t/9", "1"), ("/readings/t/2", "{}"), ("/readings", "{\"sensor\":\"x\",\"value\":1}")]
    {
        assert_eq!(post(at, path, "", body).await.status, 422, "{path} {body}");
    }
    assert_eq!(post(at, "/readings", "", "[1").await.status, 400);
    // A page of somebody else's in a browser of this machine may not.
    assert_eq!(post(at, "/readings", "Origin: http://evil.example\r\n", &lines).await.status, 403);
    let latest = get(at, "/sensors/a/2/latest", "").await.json();
    assert_eq!((&latest["value"], &latest["quality"]), (&json!(4.5), &json!("good")));
    let recent = get(at, "/sensors/a/1/recent", "").await.json();
    assert_eq!(recent["readings"], json!([[now - 5000, 9.0], [now, 1.5]]));
    let counts = get(at, "/readings", "").await.json();
    assert!(counts["counters"]["received"].as_u64().unwrap() >= 7 && counts["taken_here"] == true, "{counts}");

    let metrics = String::from_utf8(get(at, "/metrics", "").await.body).unwrap();
    assert!(metrics.contains("groundline_readings_total{what=\"unknown_sensor\"} 2"), "{metrics}");
    assert!(metrics.contains("groundline_sensors{quality=\"good\"} 4"), "{metrics}");

    // Acknowledged is on the disk: another state learns it from there while the first still runs.
    let later = LiveState::new(sensors());
    restore(&served.readings, &later).unwrap();
    for sensor in 0..4 {
        let values = [&served.state, &later].map(|state| state.latest(sensor, now).unwrap().value);
        assert!(values[0].is_some() && values[0] == values[1], "{sensor}: {values:?}");
    }
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_takes_no_readings_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let city = city(&dir.path().join("x.city"));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let feed = Feed::new(LiveState::new(sensors()));
    let server = serve(city.folder(), any, Some(feed), Options::default()).await.unwrap();
    let refused = post(server.address(), "/readings", "", "{}").await;
    assert!(refused.status == 403 && refused.json()["error"].as_str().unwrap().contains("--push"));
    assert_eq!(post(server.address(), "/alarms", "", "{}").await.status, 403);
    server.stop().await.unwrap();
    let server = serve(city.folder(), any, None, Options::default()).await.unwrap();
    assert_eq!(get(server.address(), "/live", "").await.status, 404);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn alarms_are_listed_and_acted_on() {
    let served = start().await;
    let at = served.server.address();
    post(at, "/readings", "", r#"{"sensor":"b/3","value":70}"#).await;
    let alarms = get(at, "/alarms", "").await.json();
    let one = &alarms["alarms"][0];
    assert_eq!(
        (&one["sensor"], &one["state"], &one["value"]),
        (&json!("b/3"), &json!("unacknowledged"), &json!(70.0)),
        "{alarms}"
    );
    let act = async |body: &str| post(at, "/alarms", "", body).await;
    let done = act(r#"{"sensor":"b/3","action":"acknowledge","user":"王","text":"看到了"}"#).await;
    assert_eq!(
        (done.status, &done.json()["state"], &done.json()["text"]),
        (200, &json!("acknowledged"), &json!("看到了"))
    );
    assert_eq!(act(r#"{"sensor":"b/3","action":"acknowledge","user":"王"}"#).await.status, 409);
    assert_eq!(
        act(r#"{"sensor":"b/3","action":"shelve","user":"王","text":"检修","minutes":30}"#).await.json()["state"],
        "shelved"
    );
    assert_eq!(act(r#"{"sensor":"b/3","action":"unshelve","user":"王"}"#).await.status, 200);
    for (body, status) in [
        (r#"{"sensor":"b/9","action":"acknowledge","user":"王"}"#, 404),
        (r#"{"sensor":"b/3","action":"silence","user":"王"}"#, 400),
        (r#"{"sensor":"b/3","action":"shelve","user":"王","text":"x"}"#, 400),
        (r#"{"sensor":"b/3","action":"acknowledge","user":" "}"#, 400),
        (r#"{"action":"acknowledge","user":"王"}"#, 400),
        ("{", 400),
    ] {
        assert_eq!(act(body).await.status, status, "{body}");
    }
    served.server.stop().await.unwrap();
}

/// The events of a stream of them.
struct Events(BufReader<TcpStream>);

impl Events {
    async fn open(at: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nAccept-Encoding: gzip\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).await.unwrap();
        assert!(line.contains(" 200 "), "{path}: {line}");
        Self(lines)
    }

    /// The next event of a kind.
    async fn next(&mut self, wanted: &str) -> Value {
        let (mut kind, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            let read = timeout(Duration::from_secs(20), self.0.read_line(&mut line)).await;
            assert!(read.expect("an event").unwrap() > 0, "the stream ended");
            if let Some(word) = line.strip_prefix("event: ") {
                kind = word.trim().to_owned();
            } else if let Some(text) = line.strip_prefix("data: ")
                && kind == wanted
            {
                return serde_json::from_str(text).unwrap();
            }
        }
    }
}

fn ids(event: &Value) -> Vec<&str> {
    event["sensors"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn watchers_are_told_what_lies_in_their_scope() {
    let served = start().await;
    let at = served.server.address();
    let apply = |sensor: u32, value: f64| {
        let now = crate::live::now_ms();
        served.state.apply(Reading { sensor, time_ms: now, value }, now);
    };
    apply(0, 1.0);
    let mut all = Events::open(at, "/live?every=20").await;
    let first = all.next("state").await;
    assert_eq!((ids(&first), &first["is_last"]), (vec!["a/1", "a/2", "b/3", "b/4"], &json!(true)));
    assert_eq!((&first["sensors"][0]["value"], &first["sensors"][1]["quality"]), (&json!(1.0), &json!("missing")));
    assert_eq!(all.next("alarms").await["alarms"], json!([]));
    for (scope, wanted) in [
        ("box=499990,3999990,500110,4000010", vec!["a/1", "a/2"]),
        ("polygon=499990,3999990,500010,3999990,500010,4000010", vec!["a/1"]),
        ("layers=%E5%BB%BA%E7%AD%91", vec!["a/1"]),
        ("classes=building", vec!["a/1"]),
        ("classes=pipe", vec![]),
        ("properties=gas,level&sensors=b/3,b/4", vec!["b/3", "b/4"]),
        ("bbox=1,1,2,2", vec![]),
    ] {
        let mut some = Events::open(at, &format!("/live?{scope}")).await;
        assert_eq!(ids(&some.next("state").await), wanted, "{scope}");
    }
    for bad in ["box=1", "every=soon", "classes=castle", "layers=nowhere", "sensors=z", "color=red"] {
        let status = get(at, &format!("/live?{bad}"), "").await.status;
        assert!((400..500).contains(&status), "{bad}: {status}");
    }

    let once = get(at, "/live?once=true&sensors=a/1", "").await;
    let kinds: Vec<&str> =
        std::str::from_utf8(&once.body).unwrap().lines().filter(|line| line.starts_with("event")).collect();
    assert_eq!(kinds, ["event: state", "event: alarms"]);

    let mut gas = Events::open(at, "/live?properties=gas&every=20").await;
    gas.next("state").await;
    apply(0, 2.0);
    apply(2, 80.0);
    let change = gas.next("changes").await;
    assert_eq!((ids(&change), &change["sensors"][0]["alarm"]), (vec!["b/3"], &json!("unacknowledged")));
    assert_eq!(gas.next("alarms").await["alarms"][0]["sensor"], "b/3");
    let mut told = std::collections::BTreeSet::new();
    while told.len() < 2 {
        told.extend(ids(&all.next("changes").await).into_iter().map(str::to_owned));
    }
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["a/1", "b/3"]);
    // Those who left are forgotten.
    drop((all, gas));
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_web_socket_says_the_same() {
    let served = start().await;
    let at = served.server.address();
    let open = async |origin: &str| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!(
            "GET /live?every=20 HTTP/1.1\r\nHost: {at}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status).await.unwrap();
        let mut line = String::new();
        while lines.read_line(&mut line).await.unwrap() > 2 {
            line.clear();
        }
        (status, lines)
    };
    let foreign = open("Origin: http://evil.example\r\n").await.0;
    assert!(foreign.contains(" 403 "), "{foreign}");
    let own = format!("Origin: http://{at}\r\n");
    let (status, mut stream) = open(&own).await;
    assert!(status.contains(" 101 "), "{status}");
    // A text frame of the server: its length, then its bytes (RFC 6455, 5.2).
    let mut next = async || -> Value {
        let mut head = [0; 2];
        timeout(Duration::from_secs(20), stream.read_exact(&mut head)).await.unwrap().unwrap();
        assert_eq!(head[0], 0x81);
        let length = match head[1] {
            126 => usize::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap() as usize,
            length => usize::from(length),
        };
        let mut text = vec![0; length];
        stream.read_exact(&mut text).await.unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let first = next().await;
    assert_eq!((&first["type"], ids(&first).len()), (&json!("state"), 4));
    assert_eq!(next().await["type"], "alarms");
    let now = crate::live::now_ms();
    served.state.apply(Reading { sensor: 1, time_ms: now, value: 3.0 }, now);
    let change = next().await;
    assert_eq!(
        (&change["type"], ids(&change), &change["sensors"][0]["value"]),
        (&json!("changes"), vec!["a/2"], &json!(3.0))
    );
    served.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_follows_the_readings_and_knows_when_the_server_is_gone() {
    let served = start().await;
    let now = crate::live::now_ms();
    served.state.apply(Reading { sensor: 0, time_ms: now, value: 1.0 }, now);
    // Another register: one more sensor, in another order.
    let mut other = sensors();
    other.reverse();
    other.push(test_sensor("c/5", "t/5"));
    let state = LiveState::new(other);
    let index = |id: &str| state.index_of(&ObjectId(id.into())).unwrap();
    let value = |id: &str| state.latest(index(id), now).unwrap().value;
    let until = async |holds: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let watcher = crate::live::watch(&format!("http://{}/", served.server.address()), &state).unwrap();
    until(&|| value("a/1") == Some(1.0)).await;
    served.state.apply(Reading { sensor: 2, time_ms: now, value: 60.0 }, now);
    until(&|| value("b/3") == Some(60.0)).await;
    assert_eq!((value("a/2"), value("c/5")), (None, None));
    let alarms = || state.alarms().into_iter().map(|alarm| alarm.subject).collect::<Vec<_>>();
    assert_eq!(alarms(), [crate::live::Subject::Sensor(index("b/3"))], "judged here as well");

    served.server.stop().await.unwrap();
    until(&|| alarms().iter().any(|subject| matches!(subject, crate::live::Subject::Source(_)))).await;
    let lost = state.latest(index("a/1"), now).unwrap();
    assert!(lost.is_source_lost && lost.value == Some(1.0), "{lost:?}");
    tokio::task::spawn_blocking(move || watcher.stop()).await.unwrap();
}

#[tokio::test]
async fn notifications_of_context_brokers_are_readings() {
    let served = start().await;
    let at = served.server.address();
    let now = crate::live::now_ms();
    let time = crate::query::time_text(now - 3_000).unwrap();
    // The topics of the sensors are the ids of the entities.
    let ld = json!({
        "id": "urn:ngsi-ld:Notification:1", "type": "Notification", "subscriptionId": "urn:ngsi-ld:Subscription:1",
        "notifiedAt": time,
        "data": [
            {"id": "t/1", "type": "Well", "level": {"type": "Property", "value": 3.5, "observedAt": time, "unitCode": "MTR"},
                "name": {"type": "Property", "value": "x"}, "@context": "https://example.org/c.jsonld"},
            {"id": "t/3", "type": "Gas", "gas": [{"type": "Property", "value": 1.0, "datasetId": "a"}, {"type": "Property", "value": 2.0}]},
            {"id": "urn:x", "type": "Gas", "gas": {"type": "Property", "value": 1.0}},
            {"id": "t/4", "type": "Well", "level": {"type": "Property", "value": "full"}},
        ],
    });
    for head in ["Content-Type: application/ld+json\r\n", "Content-Type: application/json\r\n"] {
        let answer = post(at, "/readings", head, &ld.to_string()).await;
        let said = answer.json();
        assert_eq!((answer.status, &said["refused"]), (200, &json!(2)), "{said}");
        assert!(said["reasons"].to_string().contains("urn:x: no sensor has this entity"), "{said}");
    }
    let latest = |index: u32| served.state.latest(index, now).unwrap();
    assert_eq!((latest(0).value, latest(0).time_ms / 1000), (Some(3.5), (now - 3_000) / 1000));
    assert_eq!(latest(2).value, Some(2.0));
    let v2 = json!({"subscriptionId": "57458eb60962ef754e7c0998", "data": [{"id": "t/1", "type": "Well",
        "level": {"type": "Number", "value": 4.5, "metadata": {"TimeInstant": {"type": "DateTime", "value": crate::query::time_text(now - 1_000)}}}}]});
    assert_eq!(post(at, "/readings", "", &v2.to_string()).await.json()["latest"], 1);
    assert_eq!((latest(0).value, latest(0).time_ms / 1000), (Some(4.5), (now - 1_000) / 1000));
    // Mere key values, with one time for all.
    let plain = json!([{"id": "t/1", "type": "Well", "level": 5.5, "dateObserved": crate::query::time_text(now)}]);
    assert_eq!(
        post(at, "/readings", "Content-Type: application/ld+json\r\n", &plain.to_string()).await.json()["latest"],
        1
    );
    assert_eq!(latest(0).value, Some(5.5));
    let none = post(at, "/readings", "Content-Type: application/ld+json\r\n", "{\"a\": 1}").await;
    assert_eq!(none.status, 400);
    served.server.stop().await.unwrap();
}
