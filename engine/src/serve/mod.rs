//! The city over HTTP: its tiles, its objects, answers to questions, and a page.
//!
//! ```text
//! GET /                         a page with the layers
//! GET /city.json                the city as on disk        GET /layers, /versions, /versions/{n}
//! GET /tileset.json             3D Tiles 1.1 over all layers    GET /tiles/…   files, with ranges
//! GET /objects/{id}             one object                 GET /query?box=&near=&search=&where=&layers=&version=&limit=
//! GET /ogc                      OGC API – Features: collections, items, one item, OpenAPI
//! GET /sensors                  the sensors                GET /sensors/{id}/latest
//! ```
//!
//! Everything is read-only. Tiles are immutable and may be cached for ever; all else is of the current version,
//! which is looked for anew when `city.json` changes.

mod answer;
mod features;
mod file;
mod guard;
mod page;
mod root;
mod watch;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower_http::{compression::CompressionLayer, cors::CorsLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer};

use crate::{
    live::{Latest, LiveState},
    model::ObjectId,
    query::LayerFields,
    store::{BucketCity, City, StoreError, bucket},
};

/// Longest that an answer may take to begin.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Largest body of a request; none is needed.
const MOST_BODY_BYTES: usize = 64 << 10;
/// Most hits of one answer.
const MOST_HITS: usize = 100_000;
/// Hits of one answer when the question names no limit.
const USUAL_HITS: usize = 1_000;

/// The system of the places in an answer.
const CONTENT_CRS: header::HeaderName = header::HeaderName::from_static("content-crs");
/// Earlier versions that are held open.
const MOST_EARLIER: usize = 4;

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

/// Where latest readings come from.
pub trait LatestValues: Send + Sync {
    /// What is known of `sensor` at `now_ms` (milliseconds since 1970); `None` when there is no such sensor.
    fn latest_of(&self, sensor: &ObjectId, now_ms: i64) -> Option<Latest>;
}

impl LatestValues for LiveState {
    fn latest_of(&self, sensor: &ObjectId, now_ms: i64) -> Option<Latest> {
        self.latest(self.index_of(sensor)?, now_ms)
    }
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
    live: Option<Arc<dyn LatestValues>>,
) -> Result<Server, ServeError> {
    let opened = folder.to_path_buf();
    let hall = tokio::task::spawn_blocking(move || Hall::open(&opened, live))
        .await
        .map_err(|e| ServeError::Stopped(e.to_string()))??;
    let hall = Arc::new(hall);
    watch::begin(&hall);
    let listener = TcpListener::bind(listen).await.map_err(|source| ServeError::Listen { address: listen, source })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address: listen, source })?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(guard::Guarded::new(listener), router(hall));
    let server = server.with_graceful_shutdown(async move {
        // A dropped handle stops the server too.
        let _ = stopped.await;
    });
    Ok(Server { address, stop, task: tokio::spawn(server.into_future()) })
}

/// The city's routes, for a server that has others too.
pub fn routes(folder: &Path, live: Option<Arc<dyn LatestValues>>) -> Result<Router, StoreError> {
    let hall = Arc::new(Hall::open(folder, live)?);
    watch::begin(&hall);
    Ok(router(hall))
}

fn router(hall: Arc<Hall>) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(tower_http::cors::Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::RANGE, header::IF_NONE_MATCH])
        .expose_headers([
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            header::ETAG,
            header::CONTENT_LENGTH,
            CONTENT_CRS,
        ]);
    let features = Router::new()
        .route("/", get(features::landing))
        .route("/api", get(features::api))
        .route("/conformance", get(features::conformance))
        .route("/collections", get(features::collections))
        .route("/collections/{layer}", get(features::collection))
        .route("/collections/{layer}/queryables", get(features::queryables))
        .route("/collections/{layer}/items", get(features::items))
        .route("/collections/{layer}/items/{*id}", get(features::item))
        .layer(CompressionLayer::new());
    Router::new()
        .nest("/ogc", features)
        .route("/", get(page::page))
        .route("/city.json", get(file::city))
        .route("/layers", get(answer::layers))
        .route("/versions", get(answer::versions))
        .route("/versions/{version}", get(file::version))
        .route("/tileset.json", get(root::tileset))
        .route("/tiles/{*path}", get(file::tile))
        .route("/objects/{*id}", get(answer::object))
        .route("/query", get(answer::query))
        .route("/sensors", get(answer::sensors))
        .route("/sensors/{*id}", get(answer::latest))
        .fallback(|| async { Refusal(StatusCode::NOT_FOUND, "nothing lies here".into()) })
        .layer(cors)
        .layer(RequestBodyLimitLayer::new(MOST_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_TIME))
        .with_state(hall)
}

/// What the handlers share.
struct Hall {
    folder: PathBuf,
    /// Where the folder is the copy of a bucket's city.
    bucket: Option<Arc<BucketCity>>,
    live: Option<Arc<dyn LatestValues>>,
    /// The open city, and what `city.json` looked like when it was opened.
    city: Mutex<(Arc<City>, Stamp)>,
    /// Earlier versions that were asked for, the last one last.
    earlier: Mutex<Vec<Arc<City>>>,
    /// Attributes of layers of the version with this number.
    fields: Mutex<(u64, BTreeMap<String, Arc<LayerFields>>)>,
}

type Stamp = Option<(SystemTime, u64)>;

impl Hall {
    fn open(folder: &Path, live: Option<Arc<dyn LatestValues>>) -> Result<Self, StoreError> {
        let stamp = stamp(folder);
        let city = Arc::new(City::open(folder)?);
        Ok(Self {
            folder: city.folder().to_path_buf(),
            bucket: bucket(city.folder()),
            live,
            city: Mutex::new((city, stamp)),
            earlier: Mutex::default(),
            fields: Mutex::default(),
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
            *held = (Arc::new(City::open(&self.folder)?), now);
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
        (self.0, Json(serde_json::json!({"error": self.1}))).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoLayer(_) | StoreError::NoVersion { .. } => Refusal(StatusCode::NOT_FOUND, error.to_string()),
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
mod tests;
