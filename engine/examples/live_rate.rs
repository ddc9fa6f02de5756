//! How fast readings go into the live state in this process: `cargo run --release --example live_rate [SENSORS]`.

use std::time::Instant;

use groundline_engine::{
    live::LiveState,
    model::{ObjectId, Payload, Reading, Sensor, Sensors, Threshold, Vertical},
};

fn main() {
    let sensors: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let threshold = Some(Threshold {
        low: None,
        high: Some(90.0),
        dead_band: 1.0,
        priority: 2,
        on_delay_s: 0.0,
        ..Threshold::default()
    });
    let make = |index: u32| Sensor {
        id: ObjectId(format!("sensors/{index}")),
        name: format!("{index}"),
        watches: None,
        property: "level".into(),
        unit: "m".into(),
        place: None,
        vertical: Vertical::Absolute,
        range: Some((0.0, 100.0)),
        interval_s: 10.0,
        threshold,
        topic: format!("level/{index}"),
        payload: Payload::Json { value: "/v".into(), time: Some("/t".into()) },
    };
    let state = LiveState::new(Sensors::new((0..sensors).map(make)));
    let rounds = (4_000_000 / i64::from(sensors.max(1))).max(2);
    measure("apply, nobody watching", &state, sensors, rounds, 0);
    let changes = state.subscribe();
    measure("apply, one subscriber that never reads", &state, sensors, rounds, rounds);
    drop(changes);
    let mut decoded = Vec::new();
    let (topic, start) = (format!("level/{}", sensors / 2), Instant::now());
    let count = 500_000_i64;
    for n in 0..count {
        decoded.clear();
        let message = format!(r#"{{"v":{}.5,"t":{}}}"#, n % 50, 1_790_000_000_000 + n);
        state.decode(&topic, message.as_bytes(), 1_790_000_000_000 + n, &mut decoded);
    }
    report("decode of JSON", count, start);
}

/// Applies `rounds` readings to every sensor on one thread.
fn measure(what: &str, state: &LiveState, sensors: u32, rounds: i64, first: i64) {
    let start = Instant::now();
    for round in first..first + rounds {
        let time_ms = 1_790_000_000_000 + round * 1000;
        for sensor in 0..sensors {
            let value = f64::from((sensor as i64 + round) as u32 % 89);
            state.apply(Reading { sensor, time_ms, value }, time_ms);
        }
    }
    report(what, rounds * i64::from(sensors), start);
}

fn report(what: &str, count: i64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.2} million/s on one core", count as f64 / seconds / 1e6);
}
