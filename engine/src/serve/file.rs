//! Files of the city as they lie.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower_http::services::ServeFile;

use super::{Hall, Refusal, off_thread};
use crate::{
    store::{StoreError, is_file, join_inside, read_bounded},
    tile::NAME_DIGITS,
};

/// Files that never change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Files that may be another at the next version.
const ASK_AGAIN: &str = "no-cache";

/// `GET /city.json`.
pub(super) async fn city(State(hall): State<Arc<Hall>>, request: Request) -> Response {
    send(hall, "city.json".into(), ASK_AGAIN, request).await
}

/// `GET /versions/{n}`, also as `000042.json`.
pub(super) async fn version(State(hall): State<Arc<Hall>>, Path(word): Path<String>, request: Request) -> Response {
    let number = word.strip_suffix(".json").unwrap_or(&word).parse::<u64>();
    let newest = off_thread(hall.clone(), |hall| Ok(hall.city()?.version())).await;
    match (number, newest) {
        (Ok(number), Ok(newest)) if number <= newest => {
            send(hall, format!("versions/{number:06}.json"), ASK_AGAIN, request).await
        }
        (_, Err(refusal)) => refusal.into_response(),
        _ => not_found(),
    }
}

/// `GET /tiles/…`: files below the city's `tiles`, with ranges and entity tags. A damaged one is an error, not a picture of nonsense.
pub(super) async fn tile(State(hall): State<Arc<Hall>>, Path(path): Path<String>, request: Request) -> Response {
    send(hall, format!("tiles/{path}"), FOR_EVER, request).await
}

/// `GET /files/…`: the files of the city under the names that they have in its folder, for a program that reads it as a whole: another
/// Groundline. Readings and what the server keeps for itself are none of them.
pub(super) async fn any(State(hall): State<Arc<Hall>>, Path(path): Path<String>, request: Request) -> Response {
    let caching = match path.split_once('/') {
        Some(("objects" | "tiles", _)) => FOR_EVER,
        Some(("versions" | "reports", _)) => ASK_AGAIN,
        None if path == "city.json" => ASK_AGAIN,
        _ => return not_found(),
    };
    send(hall, path, caching, request).await
}

/// Tiles that were found to be as they were written: they are looked at once, and again when they are another file.
static SOUND: LazyLock<Mutex<HashSet<(PathBuf, u64, Option<SystemTime>)>>> = LazyLock::new(Mutex::default);
/// So many are held, some 30 MB.
const MOST_SOUND: usize = 200_000;
/// A larger file is not one that the tiler made.
const MOST_TILE_BYTES: u64 = 1 << 30;

/// Fails where the tile at `path` is not what its name, the hash of its content, says.
fn check_tile(path: &std::path::Path) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = name.split('.').next().and_then(|stem| stem.rsplit('-').next()).unwrap_or_default();
    if digits.len() != NAME_DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    let data = path.metadata().map_err(StoreError::at(path))?;
    let key = (path.to_path_buf(), data.len(), data.modified().ok());
    let sound = || SOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if sound().contains(&key) {
        return Ok(());
    }
    let bytes = read_bounded(path, MOST_TILE_BYTES)?;
    if !blake3::hash(&bytes).to_hex().starts_with(digits) {
        return Err(StoreError::damaged(path, "its content is not what its name says"));
    }
    let mut sound = sound();
    if sound.len() >= MOST_SOUND {
        sound.clear();
    }
    sound.insert(key);
    Ok(())
}

fn not_found() -> Response {
    Refusal(StatusCode::NOT_FOUND, "no such file".into()).into_response()
}

/// The media type by the file's ending.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("glb") => "model/gltf-binary",
        Some("json") => "application/json",
        Some("subtree") => "application/octet-stream",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

async fn send(hall: Arc<Hall>, relative: String, caching: &'static str, mut request: Request) -> Response {
    if caching == ASK_AGAIN && request.headers().contains_key(header::IF_RANGE) {
        // Whether it is still the same file is not known here, and the whole is always right.
        request.headers_mut().remove(header::RANGE);
    }
    let media_type = media_type(&relative);
    // A path that leads out of the city and one that leads nowhere get the same answer.
    let found: Result<Option<PathBuf>, Refusal> = off_thread(hall, move |hall| {
        let Ok(path) = join_inside(&hall.folder, &relative) else { return Ok(None) };
        if !is_file(&path).map_err(StoreError::at(&path))? {
            return Ok(None);
        }
        if relative.starts_with("tiles/") {
            check_tile(&path)?;
        }
        Ok(Some(path))
    })
    .await;
    let path = match found {
        Ok(Some(path)) => path,
        Ok(None) => return not_found(),
        Err(refusal) => return refusal.into_response(),
    };
    match ServeFile::new(path).try_call(request).await {
        Ok(response) => {
            let mut response = response.map(axum::body::Body::new);
            let (is_file, headers) = (response.status().is_success(), response.headers_mut());
            if is_file {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            }
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }
        Err(_) => not_found(),
    }
}
