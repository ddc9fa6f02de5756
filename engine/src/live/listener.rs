//! The built-in MQTT listener: devices publish straight to Groundline, no broker needed.
//!
//! MQTT 3.1.1 and 5.0, QoS 0, 1 and 2. PUBACK and PUBREC go out after the readings log has the reading on disk.
//! Simple subscriptions (QoS 0, nothing retained) let people watch what devices send. Passwords and TLS are the `door`'s.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mqtt_protocol_core::mqtt::{
    Connection, Version,
    common::Cursor,
    connection::{ConnectionOptions, Event, TimerKind},
    packet::{AssignedClientIdentifier, GenericPacketTrait, Packet, Qos, v3_1_1, v5_0},
    result_code::{ConnectReasonCode, ConnectReturnCode, SubackReasonCode, SubackReturnCode, UnsubackReasonCode},
    role::Server,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Notify, Semaphore, mpsc},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Changes, Door, LiveError, LiveState, Log, SourceId,
    handout::{Message, Watcher, tell_observations},
    now_ms, observation,
    state::{lock, write},
    topic::is_filter,
    worker::{Stop, Worker, stopped},
};
use crate::model::Reading;

/// Devices connected at once.
const MAX_CONNECTIONS: usize = 8_192;

/// The largest packet that is read.
const MAX_PACKET_BYTES: u32 = 128 * 1024;

/// Bytes read at once; what is read together is written to the log together.
const READ_BYTES: usize = 64 * 1024;

/// A connection must introduce itself within this time.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A connection that asked for no keep-alive is closed after this time of silence.
const IDLE_TIME: Duration = Duration::from_secs(3600);

/// A reader that takes longer than this to take what it is sent is closed.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// Topic filters of one connection.
const MAX_FILTERS: usize = 64;

/// Messages that wait for one subscriber; a slow one misses what does not fit.
const OUTBOX: usize = 256;

/// The longest client identifier.
const MAX_CLIENT_ID: usize = 256;

/// A running listener; stopped on drop.
pub struct Listener {
    addr: SocketAddr,
    shared: Arc<Shared>,
    worker: Worker,
}

pub(super) struct Shared {
    pub(super) state: LiveState,
    door: Door,
    source: SourceId,
    log: Option<Log>,
    clients: Mutex<HashMap<String, (u64, Arc<Notify>)>>,
    pub(super) watchers: RwLock<HashMap<u64, Watcher>>,
    /// What changes, while somebody wants to hear of it as Observations.
    pub(super) observed: Mutex<Option<Changes>>,
    connections: AtomicUsize,
    refused: AtomicU64,
    last_number: AtomicU64,
}

/// Starts a listener on `addr` (`127.0.0.1:1883`; port 0 takes a free one) that feeds `state`, and the log if there is
/// one. With a log, QoS 1 and 2 are acknowledged after it has the reading on disk; when the disk fails, the connection
/// is closed so that the device sends it again. Without one they are acknowledged at once.
///
/// Everyone may come in whom the `door` lets in.
pub fn listen(
    addr: impl ToSocketAddrs,
    state: &LiveState,
    log: Option<&Log>,
    door: Door,
) -> Result<Listener, LiveError> {
    let failed = |source| LiveError::Io { what: "listen for MQTT".into(), source };
    let socket = TcpListener::bind(addr).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let addr = socket.local_addr().map_err(failed)?;
    let shared = Arc::new(Shared {
        source: state.source(&format!("mqtt listener {addr}")),
        state: state.clone(),
        door,
        log: log.cloned(),
        clients: Mutex::default(),
        watchers: RwLock::default(),
        observed: Mutex::default(),
        connections: AtomicUsize::new(0),
        refused: AtomicU64::new(0),
        last_number: AtomicU64::new(0),
    });
    let accepting = shared.clone();
    let worker = Worker::start("mqtt listener", 2, move |stop| accept(socket, accepting, stop))?;
    Ok(Listener { addr, shared, worker })
}

impl Listener {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections at present.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections refused because there were too many.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Closes all connections and stops.
    pub fn stop(mut self) {
        self.worker.stop();
    }
}

async fn accept(socket: TcpListener, shared: Arc<Shared>, mut stop: Stop) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            shared.state.source_lost(shared.source, &error.to_string(), now_ms());
            return;
        }
    };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::spawn(tell_observations(shared.clone(), stop.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles, as a rule: let some connections end first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (shared, stop) = (shared.clone(), stop.clone());
        tokio::spawn(async move {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            let number = shared.last_number.fetch_add(1, Ordering::Relaxed) + 1;
            let guard = Guard { shared: shared.clone(), number, client_id: Mutex::default() };
            let _ = stream.set_nodelay(true);
            match shared.door.tls() {
                None => serve(stream, &shared, &guard, stop).await,
                Some(tls) => match timeout(CONNECT_TIME, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve(stream, &shared, &guard, stop).await,
                    _ => drop(shared.refused.fetch_add(1, Ordering::Relaxed)),
                },
            }
            drop(guard);
            drop(permit);
        });
    }
}

/// Takes a connection out of the books however it ends.
struct Guard {
    shared: Arc<Shared>,
    number: u64,
    client_id: Mutex<Option<String>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        write(&self.shared.watchers).remove(&self.number);
        if let Some(id) = lock(&self.client_id).take() {
            let mut clients = lock(&self.shared.clients);
            if clients.get(&id).is_some_and(|(number, _)| *number == self.number) {
                clients.remove(&id);
            }
        }
    }
}

/// What one chunk of bytes led to.
#[derive(Default)]
struct Chunk {
    readings: Vec<Reading>,
    received: Vec<(Version, Qos, u16)>,
    answers: Vec<Packet>,
}

struct Device<'a> {
    shared: &'a Shared,
    guard: &'a Guard,
    connection: Connection<Server>,
    is_connected: bool,
    is_over: bool,
    deadline: Instant,
    out: Vec<u8>,
    outbox: mpsc::Sender<Message>,
    taken_over: Arc<Notify>,
}

async fn serve(stream: impl AsyncRead + AsyncWrite, shared: &Shared, guard: &Guard, mut stop: Stop) {
    let (outbox, mut messages) = mpsc::channel(OUTBOX);
    let options = ConnectionOptions::new().maximum_packet_size_recv(MAX_PACKET_BYTES);
    let mut device = Device {
        shared,
        guard,
        connection: Connection::with_options(Version::Undetermined, options),
        is_connected: false,
        is_over: false,
        deadline: Instant::now() + CONNECT_TIME,
        out: Vec::new(),
        outbox,
        taken_over: Arc::new(Notify::new()),
    };
    let taken_over = device.taken_over.clone();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = vec![0; 4096];
    while !device.is_over {
        tokio::select! {
            read = timeout_at(device.deadline, reader.read(&mut buffer)) => match read {
                Ok(Ok(count)) if count > 0 => {
                    device.take(&buffer[..count]).await;
                    if count == buffer.len() && count < READ_BYTES {
                        buffer.resize(count * 4, 0);
                    }
                }
                Ok(_) => break,
                Err(_) => device.time_out(),
            },
            Some(message) = messages.recv() => device.hand_on(&message),
            () = taken_over.notified() => break,
            () = stopped(&mut stop) => break,
        }
        if !device.out.is_empty() {
            match timeout(WRITE_TIME, writer.write_all(&device.out)).await {
                Ok(Ok(())) => device.out.clear(),
                _ => break,
            }
        }
    }
    device.connection.notify_closed();
}

impl Device<'_> {
    /// Takes bytes, puts readings into the state and the log, and answers once the log has them.
    async fn take(&mut self, bytes: &[u8]) {
        let mut cursor = Cursor::new(bytes);
        let mut chunk = Chunk::default();
        let received_ms = now_ms();
        while !self.is_over && (cursor.position() as usize) < bytes.len() {
            let before = cursor.position();
            for event in self.connection.recv(&mut cursor) {
                match event {
                    Event::NotifyPacketReceived(packet) => self.take_packet(packet, received_ms, &mut chunk),
                    other => self.follow(other),
                }
            }
            if cursor.position() == before {
                break;
            }
        }
        for reading in &chunk.readings {
            self.shared.state.apply_from(self.shared.source, *reading, received_ms);
        }
        if !self.is_logged(&mut chunk, received_ms).await {
            self.is_over = true;
            return;
        }
        for (version, qos, id) in chunk.received {
            chunk.answers.extend(acknowledgement(version, qos, id));
        }
        for answer in chunk.answers {
            self.send(answer);
        }
    }

    /// Whether the readings are where they must be before they are acknowledged.
    async fn is_logged(&self, chunk: &mut Chunk, received_ms: i64) -> bool {
        let Some(log) = &self.shared.log else { return true };
        let readings = std::mem::take(&mut chunk.readings);
        if readings.is_empty() {
            return true;
        }
        if chunk.received.is_empty() {
            return log.append_unwatched(readings, received_ms).await.is_ok();
        }
        match log.append(readings, received_ms).await {
            Ok(receipt) => receipt.durable().await.is_ok(),
            Err(_) => false,
        }
    }

    fn take_packet(&mut self, packet: Packet, received_ms: i64, chunk: &mut Chunk) {
        let is_introduction = matches!(packet, Packet::V3_1_1Connect(_) | Packet::V5_0Connect(_));
        if is_introduction == self.is_connected {
            self.is_over = true;
            return;
        }
        match packet {
            Packet::V3_1_1Connect(connect) => {
                let may_stay = !connect.client_id().is_empty() || connect.clean_session();
                let code = if !self.lets_in(connect.user_name(), connect.password()) {
                    ConnectReturnCode::BadUserNameOrPassword
                } else if may_stay && self.introduce(connect.client_id(), connect.keep_alive()).is_some() {
                    ConnectReturnCode::Accepted
                } else {
                    self.is_over = true;
                    ConnectReturnCode::IdentifierRejected
                };
                let connack = v3_1_1::Connack::builder().session_present(false).return_code(code).build();
                self.answer_connect(connack.map(Into::into));
            }
            Packet::V5_0Connect(connect) => {
                let is_known = self.lets_in(connect.user_name(), connect.password());
                let introduced =
                    if is_known { self.introduce(connect.client_id(), connect.keep_alive()) } else { None };
                let mut builder = v5_0::Connack::builder().session_present(false);
                builder = match introduced {
                    Some(id) if connect.client_id().is_empty() => {
                        let assigned = AssignedClientIdentifier::new(id.as_str()).map(|id| vec![id.into()]);
                        builder.reason_code(ConnectReasonCode::Success).props(assigned.unwrap_or_default())
                    }
                    Some(_) => builder.reason_code(ConnectReasonCode::Success),
                    None if !is_known => builder.reason_code(ConnectReasonCode::BadUserNameOrPassword),
                    None => {
                        self.is_over = true;
                        builder.reason_code(ConnectReasonCode::ClientIdentifierNotValid)
                    }
                };
                self.answer_connect(builder.build().map(Into::into));
            }
            Packet::V3_1_1Publish(publish) => {
                self.publish(publish.topic_name(), publish.payload().as_slice(), received_ms, chunk);
                if let Some(id) = publish.packet_id() {
                    chunk.received.push((Version::V3_1_1, publish.qos(), id));
                }
            }
            Packet::V5_0Publish(publish) => {
                self.publish(publish.topic_name(), publish.payload().as_slice(), received_ms, chunk);
                if let Some(id) = publish.packet_id() {
                    chunk.received.push((Version::V5_0, publish.qos(), id));
                }
            }
            Packet::V3_1_1Pubrel(release) => {
                let complete = v3_1_1::Pubcomp::builder().packet_id(release.packet_id()).build();
                chunk.answers.extend(complete.ok().map(Packet::from));
            }
            Packet::V5_0Pubrel(release) => {
                let complete = v5_0::Pubcomp::builder().packet_id(release.packet_id()).build();
                chunk.answers.extend(complete.ok().map(Packet::from));
            }
            Packet::V3_1_1Subscribe(subscribe) => {
                let wished = subscribe.entries().iter().map(|entry| entry.topic_filter());
                let granted = self.subscribe(wished).into_iter().map(|is_granted| match is_granted {
                    true => SubackReturnCode::SuccessMaximumQos0,
                    false => SubackReturnCode::Failure,
                });
                let suback = v3_1_1::Suback::builder().packet_id(subscribe.packet_id()).return_codes(granted.collect());
                chunk.answers.extend(suback.build().ok().map(Packet::from));
            }
            Packet::V5_0Subscribe(subscribe) => {
                let wished = subscribe.entries().iter().map(|entry| entry.topic_filter());
                let granted = self.subscribe(wished).into_iter().map(|is_granted| match is_granted {
                    true => SubackReasonCode::GrantedQos0,
                    false => SubackReasonCode::TopicFilterInvalid,
                });
                let suback = v5_0::Suback::builder().packet_id(subscribe.packet_id()).reason_codes(granted.collect());
                chunk.answers.extend(suback.build().ok().map(Packet::from));
            }
            Packet::V3_1_1Unsubscribe(leave) => {
                self.unsubscribe(leave.entries().iter().map(|entry| entry.as_str()));
                let unsuback = v3_1_1::Unsuback::builder().packet_id(leave.packet_id()).build();
                chunk.answers.extend(unsuback.ok().map(Packet::from));
            }
            Packet::V5_0Unsubscribe(leave) => {
                self.unsubscribe(leave.entries().iter().map(|entry| entry.as_str()));
                let codes = vec![UnsubackReasonCode::Success; leave.entries().len()];
                let unsuback = v5_0::Unsuback::builder().packet_id(leave.packet_id()).reason_codes(codes).build();
                chunk.answers.extend(unsuback.ok().map(Packet::from));
            }
            Packet::V3_1_1Pingreq(_) => {
                chunk.answers.extend(v3_1_1::Pingresp::builder().build().ok().map(Packet::from))
            }
            Packet::V5_0Pingreq(_) => chunk.answers.extend(v5_0::Pingresp::builder().build().ok().map(Packet::from)),
            Packet::V3_1_1Disconnect(_) | Packet::V5_0Disconnect(_) | Packet::V5_0Auth(_) => self.is_over = true,
            // Answers to what was never asked: subscriptions here are QoS 0.
            _ => {}
        }
    }

    /// Whether the door lets the client in; the connection ends where it does not.
    fn lets_in(&mut self, user: Option<&str>, password: Option<&[u8]>) -> bool {
        let is_in = self.shared.door.lets_in(user, password);
        if !is_in {
            self.is_over = true;
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("a device was refused: wrong name or password for user {:.60?}", user.unwrap_or_default());
        }
        is_in
    }

    /// Enters the client into the books; an older connection of the same name is closed (MQTT-3.1.4-2).
    fn introduce(&mut self, client_id: &str, keep_alive_s: u16) -> Option<String> {
        if client_id.len() > MAX_CLIENT_ID {
            return None;
        }
        let number = self.guard.number;
        let id = if client_id.is_empty() { format!("groundline-{number}") } else { client_id.to_owned() };
        let before = lock(&self.shared.clients).insert(id.clone(), (number, self.taken_over.clone()));
        if let Some((_, older)) = before {
            older.notify_one();
        }
        *lock(&self.guard.client_id) = Some(id.clone());
        self.is_connected = true;
        self.deadline = Instant::now()
            + if keep_alive_s > 0 { Duration::from_secs(u64::from(keep_alive_s) * 3 / 2) } else { IDLE_TIME };
        Some(id)
    }

    fn answer_connect(&mut self, connack: Result<Packet, mqtt_protocol_core::mqtt::result_code::MqttError>) {
        match connack {
            Ok(connack) => self.send(connack),
            Err(_) => self.is_over = true,
        }
    }

    fn publish(&self, topic: &str, payload: &[u8], received_ms: i64, chunk: &mut Chunk) {
        self.shared.state.decode(topic, payload, received_ms, &mut chunk.readings);
        // An Observation is told when it has become one.
        if !topic.starts_with(observation::ROOT) {
            self.shared.hand_out(topic, || payload.into());
        }
    }

    fn subscribe<'f>(&self, wished: impl Iterator<Item = &'f str>) -> Vec<bool> {
        let mut observed = lock(&self.shared.observed);
        let mut is_observing = false;
        let mut watchers = write(&self.shared.watchers);
        let watcher = watchers
            .entry(self.guard.number)
            .or_insert_with(|| Watcher { filters: Vec::new(), outbox: self.outbox.clone() });
        let mut grant = |filter: &str| {
            if watcher.filters.iter().any(|f| f == filter) {
                return true;
            }
            let is_granted = watcher.filters.len() < MAX_FILTERS && is_filter(filter);
            if is_granted {
                watcher.filters.push(filter.to_owned());
                is_observing |= filter.starts_with(observation::ROOT);
            }
            is_granted
        };
        let granted = wished.map(&mut grant).collect();
        if is_observing && observed.is_none() {
            *observed = Some(self.shared.state.subscribe());
        }
        granted
    }

    fn unsubscribe<'f>(&self, unwanted: impl Iterator<Item = &'f str>) {
        if let Some(watcher) = write(&self.shared.watchers).get_mut(&self.guard.number) {
            for filter in unwanted {
                watcher.filters.retain(|f| f != filter);
            }
        }
    }

    /// Hands a message on to this subscriber.
    fn hand_on(&mut self, message: &Message) {
        let payload = message.payload.to_vec();
        let packet = match self.connection.get_protocol_version() {
            Version::V5_0 => v5_0::Publish::builder()
                .topic_name(&*message.topic)
                .and_then(|p| p.qos(Qos::AtMostOnce).payload(payload).build())
                .map(Packet::from),
            _ => v3_1_1::Publish::builder()
                .topic_name(&*message.topic)
                .and_then(|p| p.qos(Qos::AtMostOnce).payload(payload).build())
                .map(Packet::from),
        };
        if let Ok(packet) = packet {
            self.send(packet);
        }
    }

    fn time_out(&mut self) {
        for event in self.connection.notify_timer_fired(TimerKind::PingreqRecv) {
            self.follow(event);
        }
        self.is_over = true;
    }

    fn send(&mut self, packet: Packet) {
        for event in self.connection.send(packet) {
            self.follow(event);
        }
    }

    fn follow(&mut self, event: Event) {
        match event {
            Event::RequestSendPacket { packet, .. } => self.out.extend(packet.to_continuous_buffer()),
            Event::RequestTimerReset { kind: TimerKind::PingreqRecv, duration_ms } if self.is_connected => {
                self.deadline = Instant::now() + Duration::from_millis(duration_ms);
            }
            Event::RequestClose => self.is_over = true,
            Event::NotifyError(error) => {
                tracing::debug!(?error, "a connection broke the protocol");
                self.is_over = true;
            }
            _ => {}
        }
    }
}

fn acknowledgement(version: Version, qos: Qos, id: u16) -> Option<Packet> {
    match (version, qos) {
        (_, Qos::AtMostOnce) => None,
        (Version::V5_0, Qos::AtLeastOnce) => v5_0::Puback::builder().packet_id(id).build().ok().map(Packet::from),
        (Version::V5_0, Qos::ExactlyOnce) => v5_0::Pubrec::builder().packet_id(id).build().ok().map(Packet::from),
        (_, Qos::AtLeastOnce) => v3_1_1::Puback::builder().packet_id(id).build().ok().map(Packet::from),
        (_, Qos::ExactlyOnce) => v3_1_1::Pubrec::builder().packet_id(id).build().ok().map(Packet::from),
    }
}
