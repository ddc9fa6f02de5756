//! Readings from an outside broker.

use std::time::Duration;

use rumqttc::{AckMode, AsyncClient, Event, Incoming, MqttOptions, Publish, QoS};
use tokio::sync::mpsc;

use super::{
    LiveError, LiveState, Log, Receipt, SourceId, now_ms,
    topic::is_filter,
    worker::{Stop, Worker, stopped},
};

/// The largest message that is taken.
const MAX_PACKET_BYTES: usize = 256 * 1024;

/// More topics than this are asked for with one `#`.
const MAX_TOPICS: usize = 200;

/// The longest wait between two tries to reach the broker.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// How long the broker may take to answer a connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Messages that wait for the disk before they are acknowledged; MQTT has no more packet identifiers than this.
const UNACKNOWLEDGED: usize = 65_536;

/// An outside broker and how to introduce oneself to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port; 1883 as a rule.
    pub port: u16,
    /// Client identifier; the broker keeps what was missed under it, so it must be the same every time and no one
    /// else's.
    pub client_id: String,
    /// User name and password, sent in the clear.
    pub login: Option<(String, String)>,
    /// Topic filters; empty = the topics of all sensors.
    pub filters: Vec<String>,
}

impl Broker {
    /// A broker without login that is asked for the topics of all sensors.
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, client_id: "groundline".into(), login: None, filters: Vec::new() }
    }

    /// The name under which its alarm is listed: `mqtt://host:port`.
    pub fn name(&self) -> String {
        format!("mqtt://{}:{}", self.host, self.port)
    }
}

/// A running subscription; stopped on drop.
pub struct Subscriber(Worker);

impl Subscriber {
    /// Stops it. The broker keeps what comes meanwhile.
    pub fn stop(mut self) {
        self.0.stop();
    }
}

/// Subscribes at a broker with QoS 1 and a lasting session, and feeds `state`, and the log if there is one; messages
/// are acknowledged in order after the log has them on disk. A broker that cannot be reached is tried again for ever
/// with growing, jittered pauses, and is one alarm (`source lost`) until it is back.
pub fn subscribe(broker: Broker, state: &LiveState, log: Option<&Log>) -> Result<Subscriber, LiveError> {
    if broker.client_id.is_empty() {
        return Err(LiveError::Option("a lasting session needs a client identifier".into()));
    }
    if let Some(bad) = broker.filters.iter().find(|f| !is_filter(f)) {
        return Err(LiveError::Option(format!("{bad:?} is no topic filter")));
    }
    let (state, log) = (state.clone(), log.cloned());
    let worker = Worker::start("mqtt subscriber", 1, move |stop| follow(broker, state, log, stop))?;
    Ok(Subscriber(worker))
}

async fn follow(broker: Broker, state: LiveState, log: Option<Log>, mut stop: Stop) {
    let source = state.source(&broker.name());
    let mut options = MqttOptions::new(broker.client_id.clone(), (broker.host.clone(), broker.port));
    options
        .set_keep_alive(15)
        .set_clean_session(false)
        .set_ack_mode(AckMode::Manual)
        .set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user.clone(), password.clone());
    }
    let mut filters = broker.filters.clone();
    if filters.is_empty() {
        state.sensors().each_topic(&mut |topic| {
            if is_filter(topic) && !topic.contains(['#', '+']) {
                filters.push(topic.to_owned());
            }
        });
        if filters.len() > MAX_TOPICS {
            filters = vec!["#".into()];
        }
    }
    let (client, mut events) = AsyncClient::builder(options).capacity(UNACKNOWLEDGED).build();
    let (unacknowledged, waiting) = mpsc::channel(UNACKNOWLEDGED);
    let acknowledging = tokio::spawn(acknowledge(waiting, client.clone()));
    let mut back_off = BackOff::new(&broker.client_id);
    let mut readings = Vec::new();
    let mut is_connected = false;
    loop {
        let limit = if is_connected { Duration::from_secs(3600) } else { CONNECT_TIME };
        let event = tokio::select! {
            event = tokio::time::timeout(limit, events.poll()) => event,
            () = stopped(&mut stop) => break,
        };
        let reason = match event {
            Ok(Ok(Event::Incoming(Incoming::ConnAck(_)))) => {
                is_connected = true;
                back_off.reset();
                // Also when the session is still there: the register may have new topics.
                for filter in &filters {
                    if client.try_subscribe(filter.clone(), QoS::AtLeastOnce).is_err() {
                        tracing::warn!(filter, "could not ask for a topic");
                    }
                }
                state.source_regained(source, now_ms());
                continue;
            }
            Ok(Ok(Event::Incoming(Incoming::Publish(publish)))) => {
                match take(&publish, source, &state, log.as_ref(), &mut readings).await {
                    Ok(receipt) if publish.qos != QoS::AtMostOnce => {
                        if unacknowledged.try_send((publish, receipt)).is_ok() {
                            continue;
                        }
                        "more unacknowledged messages than MQTT allows".to_owned()
                    }
                    Ok(_) => continue,
                    Err(error) => error.to_string(),
                }
            }
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) if is_connected => continue,
            Err(_) => format!("no answer within {} s", CONNECT_TIME.as_secs()),
        };
        is_connected = false;
        state.source_lost(source, &reason, now_ms());
        tokio::select! {
            () = tokio::time::sleep(back_off.next()) => {}
            () = stopped(&mut stop) => break,
        }
    }
    acknowledging.abort();
    // Says goodbye where that is quick; the session stays either way.
    if client.try_disconnect().is_ok() {
        let _ = tokio::time::timeout(Duration::from_millis(300), async { while events.poll().await.is_ok() {} }).await;
    }
}

/// Puts a message into the state and the log.
async fn take(
    publish: &Publish,
    source: SourceId,
    state: &LiveState,
    log: Option<&Log>,
    readings: &mut Vec<crate::model::Reading>,
) -> Result<Option<Receipt>, LiveError> {
    let received_ms = now_ms();
    readings.clear();
    match std::str::from_utf8(&publish.topic) {
        Ok(topic) => state.decode(topic, &publish.payload, received_ms, readings),
        Err(_) => state.decode("\u{fffd}", &publish.payload, received_ms, readings),
    };
    for reading in readings.iter() {
        state.apply_from(source, *reading, received_ms);
    }
    match log {
        Some(log) if !readings.is_empty() => {
            let readings = std::mem::take(readings);
            if publish.qos == QoS::AtMostOnce {
                log.append_unwatched(readings, received_ms).await?;
                Ok(None)
            } else {
                Ok(Some(log.append(readings, received_ms).await?))
            }
        }
        _ => Ok(None),
    }
}

/// Acknowledges in the order of arrival (MQTT-4.6.0-2), each after the disk has it. What the disk did not take is
/// never acknowledged: the broker sends it again after the next connection.
async fn acknowledge(mut waiting: mpsc::Receiver<(Publish, Option<Receipt>)>, client: AsyncClient) {
    while let Some((publish, receipt)) = waiting.recv().await {
        let is_durable = match receipt {
            Some(receipt) => receipt.durable().await.is_ok(),
            None => true,
        };
        if is_durable && client.ack(&publish).await.is_err() {
            return;
        }
    }
}

/// Growing pauses, each drawn from the upper half of its span so that a thousand clients do not return at once.
pub(super) struct BackOff {
    tries: u32,
    dice: u64,
}

impl BackOff {
    pub(super) fn new(seed: &str) -> Self {
        let hash = blake3::hash(format!("{seed}{}{}", std::process::id(), now_ms()).as_bytes());
        let dice = hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self { tries: 0, dice: dice | 1 }
    }

    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    pub(super) fn next(&mut self) -> Duration {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let span = Duration::from_millis(500).saturating_mul(1 << self.tries.min(10)).min(MAX_BACK_OFF);
        self.tries += 1;
        span.mul_f64(0.5 + (self.dice % 1000) as f64 / 2000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let mut one = BackOff { tries: 0, dice: 7 };
        let pauses: Vec<Duration> = (0..12).map(|_| one.next()).collect();
        assert!(pauses[0] >= Duration::from_millis(250) && pauses[0] <= Duration::from_millis(500));
        assert!(pauses.iter().all(|p| *p <= MAX_BACK_OFF));
        assert!(pauses[11] >= MAX_BACK_OFF / 2);
        one.reset();
        assert!(one.next() <= Duration::from_millis(500));
    }

    #[test]
    fn bad_options_are_refused() {
        let state = LiveState::new(Vec::new());
        let bad = Broker { filters: vec!["a/#/b".into()], ..Broker::new("localhost", 1) };
        assert!(subscribe(bad, &state, None).is_err());
        let nameless = Broker { client_id: String::new(), ..Broker::new("localhost", 1) };
        assert!(subscribe(nameless, &state, None).is_err());
    }
}
