//! Connections: only so many, none without a request for long, none that takes its answer too slowly.
//!
//! When all places are taken, the connection that has asked nothing for the longest time makes room for a new one; where all are
//! being answered, the new one is told to come again.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, http::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, Sleep, sleep, timeout},
};

use super::{Options, metrics::Metrics};

/// Bytes that the other side takes in each `pace_time`.
const PACE_BYTES: usize = 16 << 10;
/// Most bytes of the head of a request, and that are held of an answer that is being sent.
const MOST_HEAD_BYTES: usize = 80 << 10;
/// Most headers of a request.
const MOST_HEADERS: usize = 64;
/// Longest that answers may take to end after the server is told to stop.
const STOP_TIME: Duration = Duration::from_secs(30);
/// Connections that are being told that there is no place.
const MOST_REFUSED: usize = 256;
const REFUSAL: &str = "{\"error\":\"too many connections; come again\"}";

/// Serves until it is told to stop, and ends when the last answer has ended.
pub(super) async fn run(
    listener: TcpListener,
    router: Router,
    metrics: Arc<Metrics>,
    options: Options,
    mut stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let seats = Arc::new(Seats::new(most_connections(options.connections)));
    let service = TowerToHyperService::new(router);
    let (stopping, stopped) = watch::channel(());
    let (running, mut all_ended) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // A dropped handle stops the server too.
            _ = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                // Out of files, mostly: waiting lets others end.
                tracing::warn!("a connection could not be taken: {e}");
                seats.make_room();
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        metrics.accepted.fetch_add(1, Ordering::Relaxed);
        let Some(place) = seats.take(&metrics) else {
            metrics.turned_away.fetch_add(1, Ordering::Relaxed);
            refuse(stream, &metrics);
            continue;
        };
        // Fails only where the other side is gone already.
        let _ = stream.set_nodelay(true);
        let connection = Connection::new(stream, metrics.clone(), options.pace_time);
        let (service, seat) = (service.clone(), place.seat.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(seat.clone());
            service.call(request)
        });
        let (running, mut stopped, header_time) = (running.clone(), stopped.clone(), options.header_time);
        tokio::spawn(async move {
            let seat = place.seat.clone();
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(header_time).max_buf_size(MOST_HEAD_BYTES);
            builder.max_headers(MOST_HEADERS);
            let served = builder.serve_connection(TokioIo::new(connection), service).with_upgrades();
            let mut served = std::pin::pin!(served);
            tokio::select! {
                // How a connection ends is the other side's affair.
                _ = served.as_mut() => {}
                () = seat.leave.notified() => {}
                _ = stopped.changed() => {
                    served.as_mut().graceful_shutdown();
                    let _ = timeout(STOP_TIME, served).await;
                }
            }
            drop((place, running));
        });
    }
    drop((listener, stopping, running));
    all_ended.recv().await;
    Ok(())
}

/// So many as the system gives files for, each answer having one open beside its connection.
fn most_connections(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = wanted.max(1);
    let needed = 2 * wanted as u64 + 256;
    let limit = getrlimit(Resource::Nofile);
    let mut files = limit.current.unwrap_or(u64::MAX);
    if files < needed {
        let raised = needed.min(limit.maximum.unwrap_or(u64::MAX)).max(files);
        if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).is_ok() {
            files = raised;
        }
    }
    let most = usize::try_from(files.saturating_sub(256) / 2).unwrap_or(usize::MAX).clamp(1, wanted);
    if most < wanted {
        tracing::warn!(
            "{most} connections at once instead of {wanted}: the system gives {files} open files (ulimit -n)"
        );
    }
    most
}

/// Says on a connection that there is no place for it.
fn refuse(mut stream: TcpStream, metrics: &Arc<Metrics>) {
    if metrics.being_refused.fetch_add(1, Ordering::Relaxed) >= MOST_REFUSED as u64 {
        metrics.being_refused.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let metrics = metrics.clone();
    tokio::spawn(async move {
        let _ = timeout(Duration::from_secs(1), async {
            let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1";
            let text = format!("{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{REFUSAL}", REFUSAL.len());
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            // Closed with something unread, the answer would be lost on its way.
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            Ok::<(), io::Error>(())
        })
        .await;
        metrics.being_refused.fetch_sub(1, Ordering::Relaxed);
    });
}

/// The places for connections.
struct Seats {
    most: usize,
    taken: Mutex<(u64, BTreeMap<u64, Arc<Seat>>)>,
    begin: Instant,
}

/// One connection as others see it.
pub(super) struct Seat {
    leave: Notify,
    begin: Instant,
    /// Microseconds after `begin` since when nothing is asked; 0 while something is.
    idle_since: AtomicU64,
}

impl Seat {
    /// Something is asked.
    pub fn set_busy(&self) {
        self.idle_since.store(0, Ordering::Relaxed);
    }

    /// The answer has ended.
    pub fn set_idle(&self) {
        let now = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.idle_since.store(now.max(1), Ordering::Relaxed);
    }
}

impl Seats {
    fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default(), begin: Instant::now() }
    }

    fn take(self: &Arc<Self>, metrics: &Arc<Metrics>) -> Option<Taken> {
        let is_full = self.taken.lock().unwrap_or_else(PoisonError::into_inner).1.len() >= self.most;
        if is_full {
            if !self.make_room() {
                return None;
            }
            metrics.gave_way.fetch_add(1, Ordering::Relaxed);
        }
        let seat = Arc::new(Seat { leave: Notify::new(), begin: self.begin, idle_since: AtomicU64::new(0) });
        seat.set_idle();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.0 += 1;
        let number = taken.0;
        taken.1.insert(number, seat.clone());
        drop(taken);
        metrics.connections.fetch_add(1, Ordering::Relaxed);
        Some(Taken { seats: self.clone(), metrics: metrics.clone(), number, seat })
    }

    /// Closes the connection that has asked nothing for the longest time; whether there is one.
    fn make_room(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = taken.1.iter().filter_map(|(number, seat)| {
            let since = seat.idle_since.load(Ordering::Relaxed);
            (since > 0).then_some((since, *number))
        });
        let Some((_, number)) = idle.min() else { return false };
        if let Some(seat) = taken.1.remove(&number) {
            seat.leave.notify_one();
        }
        true
    }
}

/// A place, until it is dropped.
struct Taken {
    seats: Arc<Seats>,
    metrics: Arc<Metrics>,
    number: u64,
    seat: Arc<Seat>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.number);
        self.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that ends by itself when what is sent on it is not taken.
struct Connection {
    stream: TcpStream,
    metrics: Arc<Metrics>,
    pace_time: Duration,
    /// Runs while something waits to be taken.
    late: Option<Pin<Box<Sleep>>>,
    /// Bytes that were taken since it was set.
    taken: usize,
}

impl Connection {
    fn new(stream: TcpStream, metrics: Arc<Metrics>, pace_time: Duration) -> Self {
        Self { stream, metrics, pace_time, late: None, taken: 0 }
    }

    /// What a write came to, unless too little was taken for too long.
    fn paced(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Pending => {
                let pace_time = self.pace_time;
                let late = self.late.get_or_insert_with(|| Box::pin(sleep(pace_time)));
                ready!(late.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(Ok(bytes)) => {
                self.metrics.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                self.taken += bytes;
                if self.taken >= PACE_BYTES {
                    (self.late, self.taken) = (None, 0);
                }
                Poll::Ready(Ok(bytes))
            }
            failed => failed,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.paced(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.paced(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // All that was written is with the system.
        (self.late, self.taken) = (None, 0);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
