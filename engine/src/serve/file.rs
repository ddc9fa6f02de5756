//! Files of the city as they lie.

use std::{path::PathBuf, sync::Arc};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower_http::services::ServeFile;

use super::{Hall, Refusal, off_thread};
use crate::store::{StoreError, is_file, join_inside};

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

/// `GET /tiles/…`: files below the city's `tiles`, with ranges and entity tags.
pub(super) async fn tile(State(hall): State<Arc<Hall>>, Path(path): Path<String>, request: Request) -> Response {
    send(hall, format!("tiles/{path}"), FOR_EVER, request).await
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

async fn send(hall: Arc<Hall>, relative: String, caching: &'static str, request: Request) -> Response {
    let media_type = media_type(&relative);
    // A path that leads out of the city and one that leads nowhere get the same answer.
    let found: Result<Option<PathBuf>, Refusal> = off_thread(hall, move |hall| {
        let Ok(path) = join_inside(&hall.folder, &relative) else { return Ok(None) };
        Ok(is_file(&path).map_err(StoreError::at(&path))?.then_some(path))
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
