//! Changes as they come, for whoever watches: server-sent events, or the same messages over a WebSocket.
//!
//! A watcher is told the state of every sensor in its scope first, then what changes. Changes are gathered for a while and told with the
//! newest value of each sensor; who takes them slowly hears less often, and never of what is past.

use std::{collections::HashMap, convert::Infallible, pin::Pin, sync::Arc, task::Poll, time::Duration};

use axum::{
    extract::{
        Query as Parameters, State,
        ws::{Message as Frame, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response, Sse, sse::Event},
};
use futures_core::Stream;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep, timeout},
};

use super::{Feed, Hall, Refusal, alarms, bad, scope::Scope, written};
use crate::{
    live::now_ms,
    model::Quality,
    serve::{in_turn, may_act},
};

/// Media type of server-sent events.
pub(in crate::serve) const SSE: &str = "text/event-stream";
/// How long changes are gathered, milliseconds: usually, at least and at most.
const USUAL_MS: u64 = 250;
const LEAST_MS: u64 = 20;
const MOST_MS: u64 = 60_000;
/// Sensors of one message.
const SENSORS: usize = 1_000;
/// Something is said at least so often, so that both ends see whether the other is there.
const PULSE: Duration = Duration::from_secs(10);
/// How often qualities are looked at, which change by mere time, and the most sensors for whom that is done.
const SWEEP: Duration = Duration::from_secs(5);
const MOST_SWEPT: usize = 100_000;
/// Longest that a watcher may take for a message.
const TAKE_TIME: Duration = Duration::from_secs(30);

/// What a watcher is told: its kind and its JSON.
struct Told(&'static str, String);

/// `GET /live`.
pub(in crate::serve) async fn live(
    State(hall): State<Arc<Hall>>,
    Parameters(parameters): Parameters<HashMap<String, String>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let feed = hall.feed()?.clone();
    let every = match parameters.get("every").map(|text| text.parse::<u64>()) {
        None => USUAL_MS,
        Some(Ok(ms)) => ms.clamp(LEAST_MS, MOST_MS),
        Some(Err(_)) => return Err(bad("every is milliseconds, such as 250")),
    };
    let is_once = match parameters.get("once").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(bad(format!("once={other:.40} is neither true nor false"))),
    };
    if headers.contains_key(header::UPGRADE) {
        // Unlike other answers, those over a WebSocket may be read by pages of anybody, unless the server looks.
        may_act(&headers, &hall.options)?;
    }
    let full = |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many are watching; come again in a moment".into());
    let place = feed.watchers.clone().try_acquire_owned().map_err(full)?;
    let state = feed.state.clone();
    let scope = in_turn(hall, move |hall| Scope::read(hall, &state, &parameters)).await?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        // Ends when the watcher has left.
        let _ = tell(&feed, &scope, (!is_once).then_some(Duration::from_millis(every)), &sender).await;
    });
    if headers.contains_key(header::UPGRADE) {
        let upgrade = upgrade.map_err(|e| bad(e.to_string()))?;
        return Ok(upgrade.max_message_size(64 << 10).on_upgrade(|socket| pass(socket, receiver, place)));
    }
    let events = Events { receiver, _place: place };
    Ok(([(header::CACHE_CONTROL, "no-store")], Sse::new(events)).into_response())
}

/// The watcher has left.
struct Left;

/// Tells the state and the alarms, and what changes then, gathered for `every`; without it that is all.
async fn tell(feed: &Feed, scope: &Scope, every: Option<Duration>, to: &mpsc::Sender<Told>) -> Result<(), Left> {
    let state = &feed.state;
    let say = async |told: Told| to.send(told).await.map_err(|_| Left);
    // From here on nothing is missed.
    let changes = state.subscribe();
    let sensors = state.sensors();
    let in_scope = || (0..sensors.len() as u32).filter(|index| scope.holds(*index));
    let mut qualities: HashMap<u32, Quality> = HashMap::new();
    let is_swept = scope.count() <= MOST_SWEPT;
    let mut wanted = in_scope().peekable();
    // An empty city says so too.
    let mut is_first = true;
    while wanted.peek().is_some() || std::mem::take(&mut is_first) {
        is_first = false;
        let now = now_ms();
        let mut list = Vec::with_capacity(SENSORS);
        for index in wanted.by_ref().take(SENSORS) {
            let Some(latest) = state.latest(index, now) else { continue };
            if is_swept {
                qualities.insert(index, latest.quality);
            }
            list.push(written(sensors.id(index), &latest));
        }
        let is_last = wanted.peek().is_none();
        say(Told("state", json!({"now_ms": now, "sensors": list, "is_last": is_last}).to_string())).await?;
    }
    drop(wanted);
    let mut alarm_version = None;
    let mut swept = Instant::now();
    loop {
        let version = state.alarm_version();
        if alarm_version.replace(version) != Some(version) {
            let list = alarms::listed(state, &|sensor| scope.holds(sensor));
            say(Told("alarms", json!({"now_ms": now_ms(), "alarms": list}).to_string())).await?;
        }
        let Some(every) = every else { return Ok(()) };
        let mut is_pulse = false;
        tokio::select! {
            () = changes.changed() => sleep(every).await,
            () = sleep(SWEEP.min(PULSE)) => is_pulse = true,
            () = to.closed() => return Err(Left),
        }
        let now = now_ms();
        let mut told: Vec<u32> = changes.drain(usize::MAX).iter().map(|change| change.sensor).collect();
        told.retain(|sensor| scope.holds(*sensor));
        if is_swept && swept.elapsed() >= SWEEP {
            swept = Instant::now();
            for (index, quality) in &qualities {
                if state.latest(*index, now).is_some_and(|latest| latest.quality != *quality) && !told.contains(index) {
                    told.push(*index);
                }
            }
        }
        for part in told.chunks(SENSORS) {
            let mut list = Vec::with_capacity(part.len());
            for index in part {
                let Some(latest) = state.latest(*index, now) else { continue };
                if is_swept {
                    qualities.insert(*index, latest.quality);
                }
                list.push(written(sensors.id(*index), &latest));
            }
            is_pulse = false;
            say(Told("changes", json!({"now_ms": now, "sensors": list}).to_string())).await?;
        }
        if is_pulse {
            say(Told("pulse", json!({"now_ms": now}).to_string())).await?;
        }
    }
}

/// What is told, as server-sent events.
struct Events {
    receiver: mpsc::Receiver<Told>,
    _place: OwnedSemaphorePermit,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        let event = |Told(kind, text)| Ok(Event::default().event(kind).data(text));
        self.receiver.poll_recv(cx).map(|told| told.map(event))
    }
}

/// What is told, over a WebSocket: each message with its kind as `type`. What the watcher says is not listened to.
async fn pass(mut socket: WebSocket, mut receiver: mpsc::Receiver<Told>, _place: OwnedSemaphorePermit) {
    loop {
        tokio::select! {
            told = receiver.recv() => {
                let Some(Told(kind, text)) = told else { break };
                // Each text is an object with members.
                let text = format!("{{\"type\":\"{kind}\",{}", &text[1..]);
                if !matches!(timeout(TAKE_TIME, socket.send(Frame::Text(text.into()))).await, Ok(Ok(()))) {
                    break;
                }
            }
            heard = socket.recv() => match heard {
                Some(Ok(Frame::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
}
