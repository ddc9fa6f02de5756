//! What the server did, counted, as Prometheus reads it (text format 0.0.4).

use std::{
    fmt::Write as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::{Body, Bytes},
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};

use super::{Hall, listen::Seat, route::ROUTES};

/// Upper ends of the intervals of the histogram, seconds.
const BUCKETS_S: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Statuses by their first digit; the first stands for no answer, where the other side went away.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// What is asked of no route.
const NO_ROUTE: &str = "other";

/// Counts since the start; all threads count at once.
pub(super) struct Metrics {
    begin: SystemTime,
    routes: Vec<OfRoute>,
    in_flight: AtomicU64,
    pub connections: AtomicU64,
    pub accepted: AtomicU64,
    pub gave_way: AtomicU64,
    pub turned_away: AtomicU64,
    pub being_refused: AtomicU64,
    pub sent_bytes: AtomicU64,
}

#[derive(Default)]
struct OfRoute {
    classes: [AtomicU64; CLASSES.len()],
    /// One more than the intervals: what took longer.
    buckets: [AtomicU64; BUCKETS_S.len() + 1],
    sum_us: AtomicU64,
}

impl Metrics {
    pub fn new() -> Self {
        let zero = AtomicU64::default;
        Self {
            begin: SystemTime::now(),
            routes: (0..=ROUTES.len()).map(|_| OfRoute::default()).collect(),
            in_flight: zero(),
            connections: zero(),
            accepted: zero(),
            gave_way: zero(),
            turned_away: zero(),
            being_refused: zero(),
            sent_bytes: zero(),
        }
    }

    fn count(&self, route: usize, class: usize, took: Duration) {
        let Some(of_route) = self.routes.get(route) else { return };
        of_route.classes[class].fetch_add(1, Ordering::Relaxed);
        let bucket = BUCKETS_S.partition_point(|end| *end < took.as_secs_f64());
        of_route.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        of_route.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }
}

/// Counts what comes by, from the request to the end of the answer.
pub(super) async fn watch(State(hall): State<Arc<Hall>>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = path.and_then(|path| ROUTES.iter().position(|route| route.is_at(path))).unwrap_or(ROUTES.len());
    let seat = request.extensions_mut().remove::<Arc<Seat>>();
    if let Some(seat) = &seat {
        seat.set_busy();
    }
    hall.metrics.in_flight.fetch_add(1, Ordering::Relaxed);
    let mut visit = Visit { hall: hall.clone(), route, class: 0, begin: Instant::now(), seat };
    let response = next.run(request).await;
    visit.class = usize::from(response.status().as_u16() / 100).min(CLASSES.len() - 1);
    response.map(|body| Body::new(Watched { body, _visit: visit }))
}

/// A request until its answer has ended.
struct Visit {
    hall: Arc<Hall>,
    route: usize,
    class: usize,
    begin: Instant,
    seat: Option<Arc<Seat>>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let metrics = &self.hall.metrics;
        metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
        metrics.count(self.route, self.class, self.begin.elapsed());
        if let Some(seat) = &self.seat {
            seat.set_idle();
        }
    }
}

/// The answer, which ends the visit with it.
struct Watched {
    body: Body,
    _visit: Visit,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(hall): State<Arc<Hall>>) -> Response {
    let media = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    match super::off_thread(hall, |hall| Ok(write(hall))).await {
        Ok(text) => (StatusCode::OK, media, text).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn write(hall: &Hall) -> String {
    let mut page = Page(String::new());
    let metrics = &hall.metrics;
    let routes = || ROUTES.iter().map(|route| route.path).chain([NO_ROUTE]).zip(&metrics.routes);
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    page.name("groundline_http_requests_total", "counter", "Requests by route and class of the status.");
    for (path, of_route) in routes() {
        for (class, count) in CLASSES.iter().zip(&of_route.classes) {
            page.value("groundline_http_requests_total", &[("route", path), ("status", class)], of(count));
        }
    }
    let name = "groundline_http_request_duration_seconds";
    page.name(name, "histogram", "From the head of the request to the end of the answer.");
    for (path, of_route) in routes() {
        let mut total = 0.0;
        for (at, count) in of_route.buckets.iter().enumerate() {
            total += of(count);
            let end = BUCKETS_S.get(at).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            page.value(&format!("{name}_bucket"), &[("route", path), ("le", &end)], total);
        }
        page.value(&format!("{name}_sum"), &[("route", path)], of(&of_route.sum_us) / 1e6);
        page.value(&format!("{name}_count"), &[("route", path)], total);
    }
    let [running, waiting, refused] = hall.gate.counts().map(|count| count as f64);
    let (hits, misses, held) = hall.tiles.counts();
    let version = hall.city().map_or(f64::NAN, |city| city.version() as f64);
    let own = process();
    let gauge = "gauge";
    let counter = "counter";
    for (name, kind, about, value) in [
        (
            "groundline_http_requests_in_flight",
            gauge,
            "Requests without the end of their answer.",
            of(&metrics.in_flight),
        ),
        ("groundline_http_sent_bytes_total", counter, "Bytes sent, heads included.", of(&metrics.sent_bytes)),
        ("groundline_http_connections", gauge, "Open connections.", of(&metrics.connections)),
        ("groundline_http_connections_accepted_total", counter, "Connections that came.", of(&metrics.accepted)),
        ("groundline_http_connections_gave_way_total", counter, "Idle ones closed for others.", of(&metrics.gave_way)),
        ("groundline_http_connections_refused_total", counter, "Those without a place.", of(&metrics.turned_away)),
        ("groundline_queries_running", gauge, "Questions that are worked on.", running),
        ("groundline_queries_waiting", gauge, "Questions that wait for their turn.", waiting),
        ("groundline_queries_refused_total", counter, "Questions beyond those that may wait.", refused),
        ("groundline_tile_cache_hits_total", counter, "Tiles sent out of memory.", hits as f64),
        ("groundline_tile_cache_misses_total", counter, "Tiles that had to be read.", misses as f64),
        ("groundline_tile_cache_bytes", gauge, "Bytes of tiles held in memory.", held as f64),
        ("groundline_city_version", gauge, "Version of the city; NaN where it cannot be read.", version),
        ("process_resident_memory_bytes", gauge, "Resident memory.", own.resident_bytes),
        ("process_cpu_seconds_total", counter, "User and system time of the processor.", own.cpu_s),
        ("process_open_fds", gauge, "Open files, connections among them.", own.open_files),
        ("process_start_time_seconds", gauge, "When the server began, seconds since 1970.", since_1970(metrics.begin)),
    ] {
        page.name(name, kind, about);
        page.value(name, &[], value);
    }
    if let Some(feed) = &hall.live {
        feed.measure(&mut |name, kind, about, values| {
            page.name(name, kind, about);
            values.iter().for_each(|(label, value)| page.value(name, label.as_slice(), *value));
        });
    }
    page.name("groundline_build_info", gauge, "Which Groundline this is.");
    page.value("groundline_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.0
}

/// The text, line by line.
struct Page(String);

impl Page {
    fn name(&mut self, name: &str, kind: &str, about: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {about}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, word)) in labels.iter().enumerate() {
            let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{word}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// What the system says of this process; NaN where it says nothing.
struct Process {
    resident_bytes: f64,
    cpu_s: f64,
    open_files: f64,
}

fn process() -> Process {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Process {
        resident_bytes: resident.map_or(f64::NAN, |kilobytes: f64| kilobytes * 1024.0),
        cpu_s: used.tv_sec as f64 + used.tv_nsec as f64 / 1e9,
        open_files: std::fs::read_dir("/proc/self/fd").map_or(f64::NAN, |files| files.count() as f64),
    }
}
