//! The city over HTTP: its tiles, its objects, answers to questions, and a page.
//!
//! ```text
//! GET /                         a page with the layers
//! GET /city.json                the city as on disk        GET /layers, /versions, /versions/{n}
//! GET /tileset.json             3D Tiles 1.1 over all layers    GET /tiles/…   files, with ranges
//! GET /objects/{id}             one object                 GET /query?box=&near=&search=&where=&layers=&version=&limit=
//!                                                          POST /query    many questions at once, one in a line
//! GET /ogc                      OGC API – Features: collections, items, one item, OpenAPI
//! GET /sensors                  the sensors                GET /sensors/{id}/latest
//! GET, POST /sta/v1.1           OGC SensorThings: Things, Datastreams, Observations
//! GET /health, /ready, /metrics for those who run it       GET /api    all of this as OpenAPI
//! ```
//!
//! A request goes through `metrics`, `host`, limits and compression to the handler that `route` names. Everything is read-only. Tiles are immutable and may be cached for ever; all else is of the current version,
//! which is looked for anew when `city.json` changes.

mod answer;
mod definition;
mod features;
mod feed;
mod file;
mod gate;
mod health;
mod host;
mod listen;
mod metrics;
mod options;
mod packed;
mod page;
mod parameter;
mod questions;
mod root;
mod route;
mod things;
mod watch;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use axum::{
    Json, Router,
    http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header},
    middleware::{from_fn_with_state, map_response},
    response::{IntoResponse, Response},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{Predicate, SizeAbove},
    },
    cors::CorsLayer,
    limit::RequestBodyLimitLayer,
    timeout::TimeoutLayer,
};

pub use self::{
    feed::Feed,
    options::{Options, Origin},
};
use self::{gate::Gate, metrics::Metrics, packed::Tiles, route::ROUTES};

use crate::{
    query::LayerFields,
    store::{BucketCity, City, StoreError, bucket},
};

/// Largest body of a request: that of many questions.
const MOST_BODY_BYTES: usize = questions::MOST_BYTES;
/// Most hits of one answer.
const MOST_HITS: usize = 100_000;
/// Hits of one answer when the question names no limit.
const USUAL_HITS: usize = 1_000;

/// The system of the places in an answer.
const CONTENT_CRS: header::HeaderName = header::HeaderName::from_static("content-crs");
/// Earlier versions that are held open.
const MOST_EARLIER: usize = 4;
/// Answers that are being sent while they are found.
const MOST_STREAMS: usize = 128;
/// Shorter answers are not compressed.
const LEAST_PACKED_BYTES: u64 = 860;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The city cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Reason.
        source: std::io::Error,
    },
    /// The server stopped by itself.
    #[error("the server stopped: {0}")]
    Stopped(String),
}

/// A server that runs until it is stopped.
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// The address it listens on; with port 0 asked for, the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets running answers end, and returns then.
    pub async fn stop(self) -> Result<(), ServeError> {
        // Fails only when the server has ended already.
        let _ = self.stop.send(());
        ended(self.task.await)
    }

    /// Runs until `signal` comes (such as Ctrl-C), then stops as [`Server::stop`] does.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> Result<(), ServeError> {
        tokio::select! {
            () = signal => self.stop().await,
            result = &mut self.task => ended(result),
        }
    }
}

fn ended(result: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), ServeError> {
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(ServeError::Stopped(e.to_string())),
        Err(e) => Err(ServeError::Stopped(e.to_string())),
    }
}

/// Serves the city in `folder` on `listen` (port 0 takes a free one), with latest readings from `live`.
pub async fn serve(
    folder: &Path,
    listen: SocketAddr,
    live: Option<Feed>,
    options: Options,
) -> Result<Server, ServeError> {
    let (opened, of_hall) = (folder.to_path_buf(), options.clone());
    let hall = tokio::task::spawn_blocking(move || Hall::open(&opened, live, of_hall))
        .await
        .map_err(|e| ServeError::Stopped(e.to_string()))??;
    let hall = Arc::new(hall);
    watch::begin(&hall);
    let listener = TcpListener::bind(listen).await.map_err(|source| ServeError::Listen { address: listen, source })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address: listen, source })?;
    let (stop, stopped) = oneshot::channel::<()>();
    let metrics = hall.metrics.clone();
    let server = listen::run(listener, router(hall), metrics, options, stopped);
    Ok(Server { address, stop, task: tokio::spawn(server) })
}

/// The city's routes, for a server that has others too.
pub fn routes(folder: &Path, live: Option<Feed>, options: Options) -> Result<Router, StoreError> {
    let hall = Arc::new(Hall::open(folder, live, options)?);
    watch::begin(&hall);
    Ok(router(hall))
}

fn router(hall: Arc<Hall>) -> Router {
    let options = &hall.options;
    let mut router = Router::new();
    for route in &ROUTES {
        router = router.route(route.path, (route.handler)());
    }
    // The last one sees a request first.
    let router = router
        .fallback(|| async { Refusal(StatusCode::NOT_FOUND, "nothing lies here".into()) })
        .layer(packing())
        .layer(map_response(with_weak_tag))
        .layer(RequestBodyLimitLayer::new(MOST_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, options.answer_time));
    let router = match cors(&options.cors) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(from_fn_with_state(hall.clone(), host::check))
        .layer(from_fn_with_state(hall.clone(), metrics::watch))
        .with_state(hall)
}

/// Compresses texts that are made for an answer; files of tiles come compressed where it pays.
fn packing() -> CompressionLayer<impl Predicate> {
    let is_text = |status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        status == StatusCode::OK && (media.starts_with("text/") && media != feed::SSE || media.contains("json"))
    };
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(LEAST_PACKED_BYTES).and(is_text))
}

/// What is compressed on its way is no longer what a strong entity tag names, byte for byte.
async fn with_weak_tag(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // Tiles have set it themselves, with a tag of the compressed form.
    let has_vary = headers.contains_key(header::VARY);
    if headers.contains_key(header::CONTENT_ENCODING)
        && let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok())
        && tag.starts_with('"')
        && !["-gzip\"", "-zstd\""].iter().any(|end| tag.ends_with(end))
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{tag}"))
    {
        headers.insert(header::ETAG, weak);
    } else if !has_vary && headers.contains_key(header::ETAG) {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

fn cors(origins: &[Origin]) -> Option<CorsLayer> {
    let exact = origins.iter().filter_map(|origin| match origin {
        Origin::Any => None,
        Origin::One(origin) => Some(origin.clone()),
    });
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([header::RANGE, header::IF_NONE_MATCH, header::IF_RANGE, header::CONTENT_TYPE])
        .expose_headers([
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            header::ETAG,
            header::CONTENT_LENGTH,
            header::RETRY_AFTER,
            CONTENT_CRS,
        ]);
    match origins {
        [] => None,
        origins if origins.contains(&Origin::Any) => Some(layer.allow_origin(tower_http::cors::Any)),
        _ => Some(layer.allow_origin(exact.collect::<Vec<_>>())),
    }
}

/// Whether a page of another origin asks for what changes something, or for what browsers let every page read. Programs name no origin.
fn may_act(headers: &HeaderMap, options: &Options) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let named = |one: &Origin| match one {
        Origin::Any => true,
        Origin::One(known) => known == origin,
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    if options.cors.iter().any(named) || (own.is_some() && own == host) {
        return Ok(());
    }
    Err(Refusal(StatusCode::FORBIDDEN, "pages of this origin may not; --cors of `groundline serve` lets them".into()))
}

/// What the handlers share.
struct Hall {
    folder: PathBuf,
    /// Where the folder is the copy of a bucket's city.
    bucket: Option<Arc<BucketCity>>,
    live: Option<Feed>,
    /// The open city, and what `city.json` looked like when it was opened.
    city: Mutex<(Arc<City>, Stamp)>,
    /// Earlier versions that were asked for, the last one last.
    earlier: Mutex<Vec<Arc<City>>>,
    /// Attributes of layers of the version with this number.
    fields: Mutex<(u64, BTreeMap<String, Arc<LayerFields>>)>,
    /// The tileset over all layers, of the version with this number.
    tileset: Mutex<Option<(u64, root::Whole)>>,
    options: Options,
    metrics: Arc<Metrics>,
    gate: Arc<Gate>,
    streams: Arc<Semaphore>,
    tiles: Tiles,
}

type Stamp = Option<(SystemTime, u64)>;

impl Hall {
    fn open(folder: &Path, live: Option<Feed>, options: Options) -> Result<Self, StoreError> {
        let stamp = stamp(folder);
        let (city, away) = City::open_or_recall(folder)?;
        if let Some(error) = away {
            tracing::warn!(
                "version {} from the copy on this machine, until the bucket answers: {error}",
                city.version()
            );
        }
        let city = Arc::new(city);
        Ok(Self {
            folder: city.folder().to_path_buf(),
            bucket: bucket(city.folder()),
            live,
            city: Mutex::new((city, stamp)),
            earlier: Mutex::default(),
            fields: Mutex::default(),
            tileset: Mutex::default(),
            metrics: Arc::new(Metrics::new()),
            gate: Arc::new(Gate::new(options.queries, options.queries * Options::WAITING, options.queue_time)),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            tiles: Tiles::new(options.cache_bytes),
            options,
        })
    }

    /// The city at a version; the current one when none is named.
    fn city_at(&self, version: Option<u64>) -> Result<Arc<City>, StoreError> {
        let current = self.city()?;
        let Some(version) = version.filter(|version| *version != current.version()) else { return Ok(current) };
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = earlier.iter().position(|city| city.version() == version) {
            let city = earlier.remove(at);
            earlier.push(city.clone());
            return Ok(city);
        }
        let city = Arc::new(City::open_version(&self.folder, version)?);
        if earlier.len() == MOST_EARLIER {
            earlier.remove(0);
        }
        earlier.push(city.clone());
        Ok(city)
    }

    /// The open city at a version, where that needs no reading. A city in a bucket may have to wait for its files.
    fn city_now(&self, version: Option<u64>) -> Option<Arc<City>> {
        let stamp = stamp(&self.folder);
        let held = self.city.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = self.bucket.is_none() && held.1 == stamp;
        let is_wanted = version.is_none_or(|version| version == held.0.version());
        (is_current && is_wanted).then(|| held.0.clone())
    }

    /// Attributes of the objects of a layer.
    fn fields(&self, city: &City, layer: &str) -> Result<Arc<LayerFields>, StoreError> {
        let mut held = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 != city.version() {
            *held = (city.version(), BTreeMap::new());
        }
        if let Some(fields) = held.1.get(layer) {
            return Ok(fields.clone());
        }
        let fields = Arc::new(LayerFields::read(city, layer)?);
        held.1.insert(layer.to_owned(), fields.clone());
        Ok(fields)
    }

    /// The current version. Looks at `city.json` each time, which costs one system call.
    fn city(&self) -> Result<Arc<City>, StoreError> {
        if self.bucket.is_some() {
            // Looked for beside the answers: a bucket that is away must not hold them up.
            return Ok(self.city.lock().unwrap_or_else(PoisonError::into_inner).0.clone());
        }
        let now = stamp(&self.folder);
        let mut held = self.city.lock().unwrap_or_else(PoisonError::into_inner);
        if held.1 != now {
            match City::open(&self.folder) {
                Ok(city) => held.0 = Arc::new(city),
                // The version before is there still.
                Err(error) => tracing::error!("{error}; version {} is handed out further", held.0.version()),
            }
            held.1 = now;
        }
        Ok(held.0.clone())
    }
}

fn stamp(folder: &Path) -> Stamp {
    let data = std::fs::metadata(folder.join("city.json")).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// An answer that is no answer: a status and a sentence, as JSON `{"error": …}`.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(serde_json::json!({"error": self.1}))).into_response();
        if self.0 == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoLayer(layer) => {
                Refusal(StatusCode::NOT_FOUND, format!("no layer {:?}", layer.chars().take(60).collect::<String>()))
            }
            StoreError::NoVersion { version, .. } => {
                Refusal(StatusCode::NOT_FOUND, format!("the city has no version {version}"))
            }
            StoreError::GivenUp { version, oldest, .. } => {
                Refusal(StatusCode::GONE, format!("version {version} was given up; the oldest is {oldest}"))
            }
            StoreError::OutOfTime => Refusal(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            StoreError::Bucket { .. } => {
                tracing::error!("{error}");
                Refusal(StatusCode::SERVICE_UNAVAILABLE, "the bucket in which the city lies does not answer".into())
            }
            other => {
                // Paths of this machine are for its log, not for whoever asks.
                tracing::error!("{other}");
                Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the city could not be read".into())
            }
        }
    }
}

/// As [`off_thread`], for work that takes the processor or reads much: only so much of it is done at once.
async fn in_turn<T: Send + 'static>(
    hall: Arc<Hall>,
    work: impl FnOnce(&Hall) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let place = hall.gate.enter().await?;
    off_thread(hall, move |hall| {
        // Kept until the work has ended, also when nobody waits for it any more.
        let _place = place;
        work(hall)
    })
    .await
}

/// Runs work on files where it does not hold up other answers.
async fn off_thread<T: Send + 'static>(
    hall: Arc<Hall>,
    work: impl FnOnce(&Hall) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(move || work(&hall)).await {
        Ok(result) => result,
        Err(e) => {
            tracing::error!("an answer failed: {e}");
            Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the answer failed".into()))
        }
    }
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod questions_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;
