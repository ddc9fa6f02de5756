//! Whether the server lives, and whether it can answer.

use std::{path::Path, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Hall, off_thread};
use crate::store::{City, StoreError};

/// `GET /health`: 200 as long as there is a server.
pub(super) async fn health() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({"status": "alive", "version": env!("CARGO_PKG_VERSION")})))
}

/// `GET /ready`: 200 when `city.json` and the manifest that it names can be read, now.
pub(super) async fn ready(State(hall): State<Arc<Hall>>) -> Response {
    let read = off_thread(hall, |hall| Ok(City::open(&hall.folder).map_err(|e| (reason(&e, &hall.folder), e)))).await;
    let (status, answer) = match read {
        Ok(Ok(city)) => (StatusCode::OK, json!({"status": "ready", "city": city.name(), "version": city.version()})),
        Ok(Err((reason, error))) => {
            tracing::error!("not ready: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, not_ready(&reason))
        }
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, not_ready(&refusal.1)),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

fn not_ready(reason: &str) -> Value {
    json!({"status": "not ready", "reason": reason})
}

/// What is wrong, without the paths of this machine.
fn reason(error: &StoreError, folder: &Path) -> String {
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(Path::new("the city")).display().to_string();
    match error {
        StoreError::Io { path, source } => format!("{} cannot be read: {}", name(path), source.kind()),
        StoreError::NotACity(_) => "there is no city.json".into(),
        StoreError::Damaged { path, reason } => format!("{} is damaged: {reason}", name(path)),
        StoreError::TooNew { found, known, .. } => {
            format!("the city has format version {found}; this server knows {known} and older")
        }
        _ => "the city cannot be read".into(),
    }
}
