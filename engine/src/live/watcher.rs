//! Readings that another Groundline server shows, as they come: the client of its `GET /live`.

use std::time::Duration;

use serde::Deserialize;

use super::{
    LiveError, LiveState, SourceId, now_ms,
    subscriber::BackOff,
    worker::{Stop, Worker, stopped},
};
use crate::model::{ObjectId, Reading};

/// A server says something at least every ten seconds; after three of them it is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest time to a connection.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Longest line of events: a thousand sensors take some 200 KB.
const MOST_LINE_BYTES: usize = 4 << 20;

/// A running watch; stopped on drop.
pub struct Watcher(Worker);

impl Watcher {
    /// Stops it.
    pub fn stop(mut self) {
        self.0.stop();
    }
}

/// Feeds `state` with what the Groundline server at `server` (`http://host:port`) shows of its sensors. Those are found by their ids. A server that cannot be
/// reached, or shows no readings, is tried again for ever with growing, jittered pauses, and is one alarm (`source lost`) until it is back.
pub fn watch(server: &str, state: &LiveState) -> Result<Watcher, LiveError> {
    // Fails only where another part was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, state) = (server.trim_end_matches('/').to_owned(), state.clone());
    let client = reqwest::Client::builder().connect_timeout(CONNECT_TIME).build();
    let client = client.map_err(|e| LiveError::Option(format!("{server}: {e}")))?;
    let worker = Worker::start("watcher", 1, move |stop| follow(client, server, state, stop))?;
    Ok(Watcher(worker))
}

async fn follow(client: reqwest::Client, server: String, state: LiveState, mut stop: Stop) {
    let source = state.source(&server);
    let mut back_off = BackOff::new(&server);
    loop {
        let reason = tokio::select! {
            reason = listen(&client, &server, &state, source, &mut back_off) => reason,
            () = stopped(&mut stop) => return,
        };
        state.source_lost(source, &reason, now_ms());
        tokio::select! {
            () = tokio::time::sleep(back_off.next()) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

/// Listens to one answer of the server; says why it ended.
async fn listen(
    client: &reqwest::Client,
    server: &str,
    state: &LiveState,
    source: SourceId,
    back_off: &mut BackOff,
) -> String {
    let asked = client.get(format!("{server}/live")).header("accept", "text/event-stream").send();
    let mut answer = match tokio::time::timeout(CONNECT_TIME * 2, asked).await {
        Ok(Ok(answer)) if answer.status().is_success() => answer,
        Ok(Ok(answer)) => return format!("it answers {}", answer.status()),
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return "no answer".into(),
    };
    let mut lines = Lines::default();
    loop {
        let piece = match tokio::time::timeout(SILENCE, answer.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => return "it ended the stream".into(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("silent for {} s", SILENCE.as_secs()),
        };
        if !lines.take(&piece, &mut |told| apply(told, state, source)) {
            return "it sends what is no stream of events".into();
        }
        // Only who tells something is there.
        state.source_regained(source, now_ms());
        back_off.reset();
    }
}

/// What a server tells; of other kinds nothing is taken.
#[derive(Default, Deserialize)]
struct Told {
    #[serde(default)]
    sensors: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    id: ObjectId,
    value: Option<f64>,
    time_ms: i64,
}

fn apply(told: Told, state: &LiveState, source: SourceId) {
    let received_ms = now_ms();
    for one in told.sensors {
        if let (Some(sensor), Some(value)) = (state.index_of(&one.id), one.value) {
            state.apply_from(source, Reading { sensor, time_ms: one.time_ms, value }, received_ms);
        }
    }
}

/// Bytes of a stream of server-sent events, line by line.
#[derive(Default)]
struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// Hands over the data of each event; false where it is none.
    fn take(&mut self, piece: &[u8], each: &mut dyn FnMut(Told)) -> bool {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.held.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let is_read = match self.held.strip_prefix(b"data: ") {
                Some(data) => serde_json::from_slice(data).map(&mut *each).is_ok(),
                None => self.held.len() < 1024,
            };
            self.held.clear();
            if !is_read {
                return false;
            }
        }
        self.held.extend_from_slice(rest);
        self.held.len() <= MOST_LINE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = "event: state\r\ndata: {\"sensors\":[{\"id\":\"a\",\"value\":1.5,\"time_ms\":7},{\"id\":\"b\",\"value\":null,\"time_ms\":0}]}\n\n: pulse\nevent: alarms\ndata: {\"alarms\":[]}\n\nevent: changes\ndata: {\"sensors\":[{\"id\":\"b\",\"value\":2,\"time_ms\":9}]}\n\n";
        for step in [1, 3, 7, 50, 10_000] {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.as_bytes().chunks(step) {
                assert!(lines.take(piece, &mut |told| {
                    found.extend(told.sensors.into_iter().map(|one| (one.id.0, one.value, one.time_ms)));
                }));
            }
            let wanted = [("a", Some(1.5), 7), ("b", None, 0), ("b", Some(2.0), 9)];
            assert_eq!(found, wanted.map(|(id, value, time)| (id.to_owned(), value, time)), "{step}");
        }
    }

    #[test]
    fn what_is_no_stream_of_events_ends_it() {
        for bad in ["data: {\n", "data: [1]\n", &format!("{}\n", "x".repeat(2000)), &"y".repeat(MOST_LINE_BYTES + 1)] {
            assert!(!Lines::default().take(bad.as_bytes(), &mut |_| {}), "{:.20}", bad);
        }
    }
}
