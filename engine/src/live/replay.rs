//! Recorded readings played again as if they happened now.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, PublishOptions, QoS};
use serde_json::{Map, Value as Json, json};

use super::{
    LiveError, LiveState, binary, now_ms, sparkplug,
    subscriber::{BackOff, Broker},
    worker::{Stop, Worker, stopped},
};
use crate::model::{Payload, Reading, Sensor, Sensors};

/// Recorded readings (历史读数) of many sensors, each in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// By the sensor's name in the recording: time (milliseconds since 1970) and value, sorted by time.
    series: BTreeMap<String, Vec<(i64, f64)>>,
}

impl Recording {
    /// Makes a recording of samples in any order; of two samples of one sensor at one time the last stays.
    /// Samples that are not finite are left out.
    pub fn new(samples: impl IntoIterator<Item = (String, i64, f64)>) -> Self {
        let mut series: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        for (sensor, time_ms, value) in samples.into_iter().filter(|(_, _, value)| value.is_finite()) {
            series.entry(sensor).or_default().push((time_ms, value));
        }
        for samples in series.values_mut() {
            samples.sort_by_key(|(time, _)| *time);
            samples.reverse();
            samples.dedup_by_key(|(time, _)| *time);
            samples.reverse();
        }
        Self { series }
    }

    /// Samples in all.
    pub fn len(&self) -> usize {
        self.series.values().map(Vec::len).sum()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The sensors by their names in the recording, with their samples.
    pub fn series(&self) -> impl Iterator<Item = (&str, &[(i64, f64)])> {
        self.series.iter().map(|(name, samples)| (name.as_str(), samples.as_slice()))
    }

    /// First and last time, milliseconds since 1970.
    pub fn span_ms(&self) -> Option<(i64, i64)> {
        let first = self.series.values().filter_map(|s| s.first()).map(|(time, _)| *time).min()?;
        let last = self.series.values().filter_map(|s| s.last()).map(|(time, _)| *time).max()?;
        Some((first, last))
    }

    /// Puts the last `span_ms` milliseconds of the recording into a state as if they ended at `now_ms`: history, newest
    /// values and alarms without a broker, for pictures. Answers how many readings were taken.
    pub fn fill(&self, state: &LiveState, now_ms: i64, span_ms: i64) -> usize {
        let Some((_, end)) = self.span_ms() else { return 0 };
        let plan = Plan::new(self, state.sensors());
        let from = end.saturating_sub(span_ms);
        let start = plan.samples.partition_point(|sample| sample.time_ms < from);
        for sample in &plan.samples[start..] {
            let time_ms = sample.time_ms - end + now_ms;
            state.tick(time_ms);
            state.apply(Reading { sensor: sample.sensor, time_ms, value: sample.value }, time_ms);
        }
        plan.samples.len() - start
    }
}

/// Which sensors of a register play which part of a recording.
struct Plan {
    samples: Vec<Sample>,
    /// Names in the recording that no sensor has.
    unknown: Vec<String>,
    /// From the start of one round to the start of the next.
    period_ms: i64,
    start_ms: i64,
}

#[derive(Clone, Copy)]
struct Sample {
    time_ms: i64,
    sensor: u32,
    value: f64,
}

impl Plan {
    /// A name in the recording is the sensor's id, the part of its id after the layer, its topic or its name.
    fn new(recording: &Recording, sensors: &Sensors) -> Self {
        // The first sensor of each name, and how well it fits: a register is larger than what was recorded.
        let mut index_of: HashMap<&str, Option<(usize, u32)>> =
            recording.series().map(|(name, _)| (name, None)).collect();
        for (index, sensor) in sensors.iter().enumerate() {
            let id = sensor.id.as_str();
            let key = id.rsplit_once('/').map_or(id, |(_, key)| key);
            for (fit, name) in [id, key, sensor.topic.as_str(), sensor.name.as_str()].into_iter().enumerate() {
                if let Some(known) = index_of.get_mut(name)
                    && known.is_none_or(|(best, _)| fit < best)
                {
                    *known = Some((fit, index as u32));
                }
            }
        }
        let (mut samples, mut unknown) = (Vec::new(), Vec::new());
        for (name, series) in recording.series() {
            match index_of.get(name).copied().flatten() {
                Some((_, sensor)) => {
                    samples.extend(series.iter().map(|&(time_ms, value)| Sample { time_ms, sensor, value }));
                }
                None => unknown.push(name.to_owned()),
            }
        }
        samples.sort_by_key(|sample| (sample.time_ms, sample.sensor));
        let (start_ms, end_ms) = recording.span_ms().unwrap_or((0, 0));
        // The last sample of a round is followed by the first of the next after the usual pause.
        let pause_ms = recording.series.values().filter_map(|s| Some(s.get(1)?.0 - s.first()?.0)).min().unwrap_or(1000);
        Self { samples, unknown, period_ms: end_ms - start_ms + pause_ms.max(1), start_ms }
    }
}

/// How a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Recorded seconds per second; 1 = as it happened.
    pub speed: f64,
    /// Whether it begins again when it is over.
    pub is_looping: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: 1.0, is_looping: true }
    }
}

/// A recording being published over MQTT; stopped on drop.
pub struct Player {
    worker: Worker,
    sent: Arc<AtomicU64>,
    unknown: Vec<String>,
}

impl Player {
    /// Messages published so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Names in the recording that no sensor of the register has; these are not played.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Stops it.
    pub fn stop(mut self) {
        self.worker.stop();
    }
}

/// Publishes a recording at a broker (or at the built-in listener) on each sensor's topic and in its payload, with
/// times shifted so that the first sample happens now. Every sensor sends its first sample at once, so that no display
/// waits for a slow one. Messages have QoS 1; a broker that is gone is waited for and what was due meanwhile is skipped.
pub fn play(recording: &Recording, sensors: &Sensors, broker: Broker, pace: Pace) -> Result<Player, LiveError> {
    if !(pace.speed > 0.0 && pace.speed <= 100_000.0) {
        return Err(LiveError::Option(format!("speed {} is not between 0 and 100000", pace.speed)));
    }
    let plan = Plan::new(recording, sensors);
    if plan.samples.is_empty() {
        return Err(LiveError::Option("no sensor of the recording is in the register".into()));
    }
    let unknown = plan.unknown.clone();
    let sent = Arc::new(AtomicU64::new(0));
    let played =
        first_of_each(&plan).into_iter().filter_map(|sample| Some((sample.sensor, sensors.get(sample.sensor)?)));
    let (counter, sensors) = (sent.clone(), played.collect());
    let worker = Worker::start("player", 1, move |stop| publish(plan, sensors, broker, pace, counter, stop))?;
    Ok(Player { worker, sent, unknown })
}

async fn publish(
    plan: Plan,
    sensors: HashMap<u32, Sensor>,
    broker: Broker,
    pace: Pace,
    sent: Arc<AtomicU64>,
    mut stop: Stop,
) {
    let mut options = MqttOptions::new(broker.client_id.clone(), (broker.host.clone(), broker.port));
    options.set_keep_alive(15).set_clean_session(true);
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user.clone(), password.clone());
    }
    let (client, mut events) = AsyncClient::builder(options).capacity(1024).build();
    let (connected, mut is_connected) = tokio::sync::watch::channel(false);
    let mut back_off = BackOff::new(&broker.client_id);
    let connection = tokio::spawn(async move {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                    back_off.reset();
                    let _ = connected.send(true);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the player waits for its broker");
                    let _ = connected.send(false);
                    tokio::time::sleep(back_off.next()).await;
                }
            }
        }
    });
    let playing = async {
        if is_connected.wait_for(|is_connected| *is_connected).await.is_err() {
            return;
        }
        let started_ms = now_ms();
        for sample in first_of_each(&plan) {
            send(&client, &sensors[&sample.sensor], sample.value, now_ms(), &sent).await;
        }
        let mut round = 0;
        loop {
            for sample in &plan.samples {
                let offset_ms = round * plan.period_ms + (sample.time_ms - plan.start_ms);
                let due_ms = started_ms + (offset_ms as f64 / pace.speed) as i64;
                let wait_ms = due_ms - now_ms();
                if wait_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(wait_ms as u64)).await;
                }
                if *is_connected.borrow() {
                    send(&client, &sensors[&sample.sensor], sample.value, due_ms, &sent).await;
                }
            }
            round += 1;
            if !pace.is_looping {
                return;
            }
        }
    };
    tokio::select! {
        () = playing => {
            // Lets the last messages out before the connection goes.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        () = stopped(&mut stop) => {}
    }
    connection.abort();
}

fn first_of_each(plan: &Plan) -> Vec<Sample> {
    let mut firsts: BTreeMap<u32, Sample> = BTreeMap::new();
    for sample in &plan.samples {
        firsts.entry(sample.sensor).or_insert(*sample);
    }
    firsts.into_values().collect()
}

async fn send(client: &AsyncClient, sensor: &Sensor, value: f64, time_ms: i64, sent: &AtomicU64) {
    let payload = message(&sensor.payload, value, time_ms);
    let options = PublishOptions::new(QoS::AtLeastOnce);
    if client.publish(sensor.topic.clone(), payload, options).await.is_ok() {
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// The message of a sensor that measured `value` at `time_ms`, as its payload describes it.
fn message(payload: &Payload, value: f64, time_ms: i64) -> Vec<u8> {
    match payload {
        Payload::Plain => value.to_string().into_bytes(),
        Payload::Json { value: at, time } => {
            let mut message = Json::Null;
            put(&mut message, at, json!(value));
            if let Some(time) = time {
                put(&mut message, time, json!(time_ms));
            }
            message.to_string().into_bytes()
        }
        Payload::SenMl { name } => {
            let pack = json!([{"n": name.as_deref().unwrap_or("value"), "v": value, "t": time_ms as f64 / 1e3}]);
            pack.to_string().into_bytes()
        }
        Payload::Sparkplug { metric } => sparkplug::encode(metric, value, time_ms),
        Payload::Binary(layout) => binary::encode(layout, value, time_ms),
    }
}

/// Puts a value at a JSON pointer, making the objects on the way.
fn put(json: &mut Json, pointer: &str, value: Json) {
    let mut here = json;
    for part in pointer.split('/').skip(1).take(32) {
        let key = part.replace("~1", "/").replace("~0", "~");
        if !here.is_object() {
            *here = Json::Object(Map::new());
        }
        let Json::Object(object) = here else { return };
        here = object.entry(key).or_insert(Json::Null);
    }
    *here = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::{payload::decode, test_sensor},
        model::ObjectId,
    };

    const T0: i64 = 1_790_000_000_000;

    fn recording() -> Recording {
        let sample = |id: &str, n: i64, value| (id.to_owned(), n * 1000, value);
        Recording::new([
            sample("a", 2, 3.0),
            sample("a", 0, 1.0),
            sample("a", 1, 2.0),
            sample("b", 1, 9.0),
            sample("x", 0, 0.0),
        ])
    }

    fn sensor(key: &str) -> Sensor {
        Sensor { id: ObjectId::new("sensors", key), ..test_sensor(key, &format!("t/{key}")) }
    }

    #[test]
    fn a_recording_fills_a_state_up_to_now() {
        let state = LiveState::new(vec![sensor("b"), sensor("a")]);
        assert_eq!(recording().span_ms(), Some((0, 2000)));
        assert_eq!(recording().fill(&state, T0, 60_000), 4);
        assert_eq!(state.recent(1), vec![(T0 - 2000, 1.0), (T0 - 1000, 2.0), (T0, 3.0)]);
        assert_eq!(state.latest(0, T0).unwrap().age_s, 1.0);
        let short = LiveState::new(vec![sensor("a")]);
        assert_eq!(recording().fill(&short, T0, 1_000), 2);
    }

    #[test]
    fn the_same_time_twice_keeps_the_last_and_nonsense_is_left_out() {
        let sample = |value| ("a".to_owned(), 5, value);
        let recording = Recording::new([sample(1.0), sample(2.0), sample(f64::NAN)]);
        assert_eq!(recording.series().next(), Some(("a", &[(5, 2.0)][..])));
    }

    #[test]
    fn a_played_message_is_what_the_sensor_is_described_to_send() {
        for payload in [
            Payload::Plain,
            Payload::Json { value: "/v".into(), time: Some("/t".into()) },
            Payload::Json { value: "/data/a~1b".into(), time: Some("/data/ts".into()) },
            Payload::Json { value: String::new(), time: None },
            Payload::SenMl { name: Some("a".into()) },
            Payload::parse("binary:i16le@2*0.25-40;u64be@4").unwrap(),
            Payload::parse("binary:f32be@0;u32be@4").unwrap(),
        ] {
            let bytes = message(&payload, -0.25, T0);
            let decoded = decode(&payload, &bytes, T0 + 10).unwrap();
            assert_eq!(decoded.value, -0.25);
            let has_time = !matches!(&payload, Payload::Plain | Payload::Json { time: None, .. });
            assert_eq!(decoded.time_ms, if has_time { T0 } else { T0 + 10 });
        }
    }

    #[test]
    fn what_cannot_be_played_is_said() {
        let broker = Broker::new("127.0.0.1", 1);
        assert!(play(&recording(), &vec![sensor("z")].into(), broker.clone(), Pace::default()).is_err());
        assert!(
            play(&recording(), &vec![sensor("a")].into(), broker.clone(), Pace { speed: 0.0, is_looping: false })
                .is_err()
        );
        let player = play(&recording(), &vec![sensor("a")].into(), broker, Pace::default()).unwrap();
        assert_eq!(player.unknown(), ["b", "x"]);
        assert_eq!(player.sent(), 0);
    }
}
