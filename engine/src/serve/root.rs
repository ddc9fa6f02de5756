//! One tileset over the tilesets of all layers.

use std::{
    path::Path,
    sync::{Arc, PoisonError},
};

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use glam::{DMat4, DVec3};
use serde_json::{Value, json};

use super::{Hall, Refusal, off_thread, packed::is_known};
use crate::{
    model::Extent,
    store::{City, LayerEntry, StoreError, join_inside, read_bounded},
};

/// Largest tileset.json that is looked into.
const MOST_BYTES: u64 = 256 << 20;

/// The tileset over all layers as it is sent, with its entity tag.
#[derive(Clone)]
pub(super) struct Whole {
    text: Bytes,
    tag: HeaderValue,
}

/// `GET /tileset.json`.
pub(super) async fn tileset(State(hall): State<Arc<Hall>>, asked: HeaderMap) -> Result<Response, Refusal> {
    let whole = off_thread(hall, whole).await?;
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache")), (header::ETAG, whole.tag.clone())];
    if is_known(&asked, &whole.tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(header::CONTENT_TYPE, "application/json")], whole.text).into_response())
}

/// Made once for each version.
fn whole(hall: &Hall) -> Result<Whole, Refusal> {
    let city = hall.city()?;
    let mut held = hall.tileset.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, whole)) = held.as_ref().filter(|(version, _)| *version == city.version()) {
        return Ok(whole.clone());
    }
    let text = over_layers(&city)?.to_string();
    let tag = format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..16]);
    let tag = HeaderValue::from_str(&tag).map_err(|e| Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    let whole = Whole { text: text.into(), tag };
    *held = Some((city.version(), whole.clone()));
    Ok(whole)
}

/// A 3D Tiles 1.1 tileset whose root has one child for each layer that can be drawn; the layer's own tileset is
/// the child's external content.
fn over_layers(city: &City) -> Result<Value, StoreError> {
    let frame = city.frame()?;
    let mut extent = Extent::EMPTY;
    let mut children = Vec::new();
    let mut largest = 0.0f64;
    for layer in city.layers() {
        let Some(tileset) = &layer.tileset else {
            continue;
        };
        let (volume, error) = match root_of(city.folder(), tileset)? {
            Some(found) => found,
            None => continue,
        };
        extent.merge(&layer.extent);
        largest = largest.max(error);
        children.push(child(layer, tileset, volume, error));
    }
    // A tileset without tiles must still have a root with a volume.
    let region = if extent.is_empty() { json!([0, 0, 0, 0, 0, 0]) } else { region(&frame, &extent) };
    Ok(json!({
        "asset": {"version": "1.1", "generator": "groundline", "tilesetVersion": city.version().to_string()},
        "geometricError": largest * 2.0,
        "root": {
            "boundingVolume": {"region": region},
            "geometricError": largest * 2.0,
            "refine": "ADD",
            "children": children,
        },
    }))
}

fn child(layer: &LayerEntry, tileset: &str, volume: Value, error: f64) -> Value {
    json!({
        "boundingVolume": volume,
        "geometricError": error,
        "refine": "ADD",
        "content": {"uri": percent_encode(tileset)},
        "extras": {"layer": layer.name},
    })
}

/// Bounding volume (in Earth-centred coordinates or as a region) and geometric error of a layer's root tile.
fn root_of(folder: &Path, tileset: &str) -> Result<Option<(Value, f64)>, StoreError> {
    let path = join_inside(folder, tileset)?;
    let bytes = read_bounded(&path, MOST_BYTES)?;
    let tileset: Value = serde_json::from_slice(&bytes).map_err(|e| StoreError::damaged(&path, e))?;
    let (root, error) = (&tileset["root"], tileset["geometricError"].as_f64().unwrap_or(0.0));
    let volume = &root["boundingVolume"];
    let turned = match (numbers::<12>(&volume["box"]), numbers::<16>(&root["transform"])) {
        (Some(local), Some(transform)) => json!({"box": turn_box(&local, &DMat4::from_cols_array(&transform))}),
        _ if volume.is_object() => volume.clone(),
        _ => return Ok(None),
    };
    Ok(Some((turned, error)))
}

fn numbers<const N: usize>(value: &Value) -> Option<[f64; N]> {
    let list: Vec<f64> = value.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    list.try_into().ok()
}

/// A box (centre and three half axes) in the coordinates outside of `transform`.
fn turn_box(local: &[f64; 12], transform: &DMat4) -> [f64; 12] {
    let vector = |i: usize| DVec3::new(local[i], local[i + 1], local[i + 2]);
    let mut turned = [0.0; 12];
    turned[..3].copy_from_slice(&transform.transform_point3(vector(0)).to_array());
    for axis in [3, 6, 9] {
        turned[axis..axis + 3].copy_from_slice(&transform.transform_vector3(vector(axis)).to_array());
    }
    turned
}

/// West, south, east, north in radians, lowest and highest height, by the corners and middles of the sides.
fn region(frame: &crate::crs::Frame, extent: &Extent) -> Value {
    let mut lon_lat = Extent::EMPTY;
    for u in [0.0, 0.5, 1.0] {
        for v in [0.0, 0.5, 1.0] {
            let place = extent.min + extent.size() * DVec3::new(u, v, 0.0);
            lon_lat.add(frame.geographic_from_city(place));
        }
    }
    let (low, high) = (lon_lat.min, lon_lat.max);
    json!([
        low.x.to_radians(),
        low.y.to_radians(),
        high.x.to_radians(),
        high.y.to_radians(),
        extent.min.z,
        extent.max.z
    ])
}

/// A relative path as a URI reference: layer folders may be Chinese.
pub(super) fn percent_encode(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
