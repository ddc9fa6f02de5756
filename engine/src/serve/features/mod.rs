//! OGC API – Features: part 1 (OGC 17-069r4: core, OpenAPI 3.0, GeoJSON), part 2 (18-058r1: coordinate systems) and part 3
//! (19-079r2: filters, queryables), with CQL2 (21-065r2) as text and as JSON.
//!
//! A collection is a layer, a feature an object: its footprint or axis, in longitude and latitude (CRS84) unless another
//! system is asked for.

mod asked;
mod system;

pub(super) use self::asked::{MOST, USUAL};

use std::{collections::HashMap, sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{Path, Query as Parameters, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use glam::DVec3;
use serde_json::{Value, json};

use self::{asked::Asked, system::System};
use super::{CONTENT_CRS, Hall, Refusal, in_turn, off_thread, parameter, root::percent_encode};
use crate::{
    crs::Frame,
    model::{Class, Domain, Stage},
    query::{self, Coordinates, FieldKind, Filter, GEOMETRY, LayerFields, OWN_FIELDS, Query, Shape},
    store::{City, LayerEntry},
};

/// The system of boxes of collections, and of all else when no other is asked for.
pub(super) const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";
const QUERYABLES: &str = "http://www.opengis.net/def/rel/ogc/1.0/queryables";
const CONFORMANCE: [&str; 13] = [
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions-plus",
];
/// Layers of models have hundreds of attributes, each on some objects only; of more than so many those that are absent are not named.
const MOST_NULLS: usize = 200;
const GEOJSON: &str = "application/geo+json";

fn bad(reason: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, reason.to_string())
}

/// Where this server is, as whoever asks sees it.
pub(super) fn origin(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let is_plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    format!("http://{}", if is_plain { host } else { "localhost" })
}

fn base(headers: &HeaderMap) -> String {
    format!("{}/ogc", origin(headers))
}

fn link(href: String, rel: &str, media: &str, title: &str) -> Value {
    json!({"href": href, "rel": rel, "type": media, "title": title})
}

/// `GET /ogc`: the landing page.
pub(super) async fn landing(State(hall): State<Arc<Hall>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let base = base(&headers);
    off_thread(hall, move |hall| {
        let city = hall.city()?;
        Ok(Json(json!({
            "title": city.name(),
            "description": format!("Objects of {}, version {}", city.name(), city.version()),
            "links": [
                link(base.clone(), "self", "application/json", "this page"),
                link(format!("{base}/api"), "service-desc", "application/vnd.oai.openapi+json;version=3.0", "the API"),
                link(format!("{base}/conformance"), "conformance", "application/json", "what is conformed to"),
                link(format!("{base}/collections"), "data", "application/json", "the layers"),
            ],
        })))
    })
    .await
}

/// `GET /ogc/conformance`.
pub(super) async fn conformance() -> Json<Value> {
    Json(json!({"conformsTo": CONFORMANCE}))
}

/// `GET /ogc/collections`.
pub(super) async fn collections(State(hall): State<Arc<Hall>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let base = base(&headers);
    off_thread(hall, move |hall| {
        let city = hall.city()?;
        let frame = city.frame().map_err(Refusal::from)?;
        let all: Vec<Value> = city.layers().iter().map(|layer| described(&city, layer, &frame, &base)).collect();
        let links = [link(format!("{base}/collections"), "self", "application/json", "the layers")];
        Ok(Json(json!({"links": links, "crs": system::names(&city), "collections": all})))
    })
    .await
}

/// `GET /ogc/collections/{layer}`.
pub(super) async fn collection(
    State(hall): State<Arc<Hall>>,
    Path(layer): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let base = base(&headers);
    off_thread(hall, move |hall| {
        let city = hall.city()?;
        let frame = city.frame().map_err(Refusal::from)?;
        Ok(Json(described(&city, layer_of(&city, &layer)?, &frame, &base)))
    })
    .await
}

fn layer_of<'c>(city: &'c City, name: &str) -> Result<&'c LayerEntry, Refusal> {
    let none =
        || Refusal(StatusCode::NOT_FOUND, format!("no collection {}", name.chars().take(60).collect::<String>()));
    city.layers().iter().find(|layer| layer.name == name).ok_or_else(none)
}

fn described(city: &City, layer: &LayerEntry, frame: &Frame, base: &str) -> Value {
    let this = format!("{base}/collections/{}", percent_encode(&layer.name));
    let mut extent = json!({});
    if !layer.extent.is_empty() {
        // The sides of a city's box are bent in longitude and latitude: corners and middles lie in it.
        let size = layer.extent.size();
        let places = [0.0, 0.5, 1.0].into_iter().flat_map(|u| [0.0, 0.5, 1.0].map(|v| DVec3::new(u, v, 0.0)));
        let places: Vec<DVec3> =
            places.map(|part| frame.geographic_from_city(layer.extent.min + size * part)).collect();
        let low = places.iter().copied().fold(DVec3::INFINITY, DVec3::min);
        let high = places.iter().copied().fold(DVec3::NEG_INFINITY, DVec3::max);
        extent["spatial"] = json!({"bbox": [[low.x, low.y, high.x, high.y]], "crs": CRS84});
    }
    json!({
        "id": layer.name,
        "title": layer.name,
        "description": format!("{} objects", layer.objects),
        "itemType": "feature",
        "extent": extent,
        "crs": system::names(city),
        "storageCrs": system::storage(city),
        "links": [
            link(this.clone(), "self", "application/json", "this layer"),
            link(format!("{this}/items"), "items", GEOJSON, "its objects"),
            link(format!("{this}/queryables"), QUERYABLES, "application/schema+json", "what may be asked of them"),
        ],
    })
}

/// `GET /ogc/collections/{layer}/queryables`: what a filter may name, as a JSON schema.
pub(super) async fn queryables(
    State(hall): State<Arc<Hall>>,
    Path(layer): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let this = format!("{}/collections/{}/queryables", base(&headers), percent_encode(&layer));
    in_turn(hall, move |hall| {
        let city = hall.city()?;
        layer_of(&city, &layer)?;
        let fields = hall.fields(&city, &layer)?;
        let text = |title: &str| json!({"title": title, "type": "string"});
        let words = |title: &str, words: Vec<&str>| json!({"title": title, "type": "string", "enum": words});
        let time = |title: &str| json!({"title": title, "type": "string", "format": "date-time"});
        let number = |title: &str| json!({"title": title, "type": "number"});
        let mut properties = json!({
            GEOMETRY: {"title": "footprint or axis", "x-ogc-role": "primary-geometry", "format": "geometry-any"},
            "id": {"title": "id", "type": "string", "x-ogc-role": "id"},
            "layer": text("layer"),
            "class": words("what it is", Class::ALL.iter().map(|c| c.word()).collect()),
            "stage": words("stage of its life", Stage::ALL.iter().map(|s| s.word()).collect()),
            "domain": words("side of the ground", Domain::ALL.iter().map(|d| d.word()).collect()),
            "name": text("name"),
            "parent": text("the object it is part of"),
            "z_min": number("lowest height, metres"),
            "z_max": number("highest height, metres"),
            "valid_from": time("since when it is as it is"),
            "valid_to": time("up to when it was"),
        });
        for (key, kind) in &fields.kinds {
            if properties.get(key).is_none() {
                properties[key] = match kind {
                    FieldKind::Bool => json!({"type": "boolean"}),
                    FieldKind::Int => json!({"type": "integer"}),
                    FieldKind::Real => json!({"type": "number"}),
                    FieldKind::Text => json!({"type": "string"}),
                    FieldKind::Mixed => json!({"type": ["string", "number", "boolean"]}),
                };
                properties[key]["title"] = json!(key);
            }
        }
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": this,
            "title": layer,
            "type": "object",
            "properties": properties,
            // Of a large layer some objects are looked at; the others may have more.
            "additionalProperties": !fields.is_complete,
        });
        Ok(([(header::CONTENT_TYPE, "application/schema+json")], schema.to_string()).into_response())
    })
    .await
}

/// `GET /ogc/collections/{layer}/items`.
pub(super) async fn items(
    State(hall): State<Arc<Hall>>,
    Path(layer): Path<String>,
    Parameters(parameters): Parameters<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asked = Asked::read(&parameters)?;
    let this = format!("{}/collections/{}", base(&headers), percent_encode(&layer));
    in_turn(hall, move |hall| {
        let city = hall.city()?;
        layer_of(&city, &layer)?;
        let system = System::named(&city, asked.crs.as_deref(), "crs")?;
        let mut query = asked.query(&city, &layer)?;
        query.until = Some(Instant::now() + hall.options.answer_time);
        if let Some(filter) = &query.filter {
            check_fields(hall, &city, &layer, filter)?;
        }
        let (mut features, mut passed, mut has_more) = (Vec::new(), 0, false);
        // Programs take the kind of a layer's geometries from its first features: those without one come last.
        let passes: &[Option<bool>] =
            if query.search.is_some() || asked.has_bbox() { &[None] } else { &[Some(true), Some(false)] };
        'answer: for wanted in passes {
            let mut has_others = false;
            for found in query::run(&city, &query)? {
                let found = found?;
                if !asked.takes(&found) {
                    continue;
                }
                if wanted.is_some_and(|wanted| wanted == found.extent.is_empty()) {
                    has_others = true;
                    continue;
                }
                if passed < asked.offset {
                    passed += 1;
                    continue;
                }
                if features.len() == asked.limit {
                    has_more = true;
                    break 'answer;
                }
                features.push(query::feature(&found, Coordinates::By(&|at| system.of_city(at)))?);
            }
            if !has_others {
                break;
            }
        }
        let fields = hall.fields(&city, &layer)?;
        features.iter_mut().for_each(|feature| name_all(feature, &fields));
        let page = |offset: usize| {
            let mut names: Vec<&String> = parameters.keys().filter(|name| *name != "offset").collect();
            names.sort();
            let kept: String =
                names.iter().map(|name| format!("{name}={}&", percent_encode(&parameters[*name]))).collect();
            format!("{this}/items?{kept}offset={offset}")
        };
        let mut links = vec![
            link(page(asked.offset), "self", GEOJSON, "this page"),
            link(this.clone(), "collection", "application/json", "the layer"),
        ];
        if has_more {
            links.push(link(page(asked.offset + asked.limit), "next", GEOJSON, "the next page"));
        }
        if asked.offset > 0 {
            links.push(link(page(asked.offset.saturating_sub(asked.limit)), "prev", GEOJSON, "the page before"));
        }
        let answer = json!({
            "type": "FeatureCollection",
            "timeStamp": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "numberReturned": features.len(),
            "links": links,
            "features": features,
        });
        Ok(geojson(&answer, &system))
    })
    .await
}

/// `GET /ogc/collections/{layer}/items/{id}`.
pub(super) async fn item(
    State(hall): State<Arc<Hall>>,
    Path((layer, id)): Path<(String, String)>,
    Parameters(parameters): Parameters<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if let Some(sentence) = parameter::unknown(&parameter::ITEM, &parameters) {
        return Err(bad(sentence));
    }
    let this = format!("{}/collections/{}", base(&headers), percent_encode(&layer));
    in_turn(hall, move |hall| {
        let city = hall.city()?;
        layer_of(&city, &layer)?;
        let system = System::named(&city, parameters.get("crs").map(String::as_str), "crs")?;
        let quoted = id.replace('\'', "''");
        let none = || Refusal(StatusCode::NOT_FOUND, "no such feature".into());
        // The row is found by its id; the question gives it the form of a feature.
        let extent = city.object_extent(&crate::model::ObjectId(id.clone()))?.ok_or_else(none)?;
        let shape = if extent.is_empty() { Shape::All } else { Shape::Box { min: extent.min, max: extent.max } };
        let filter = Filter::parse(&format!("id = '{quoted}'")).map_err(|_| none())?;
        let query =
            Query { shape, layers: vec![layer.clone()], filter: Some(filter), limit: Some(1), ..Query::default() };
        let found = query::run(&city, &query)?.next().transpose()?.ok_or_else(none)?;
        let mut feature = query::feature(&found, Coordinates::By(&|at| system.of_city(at)))?;
        name_all(&mut feature, &*hall.fields(&city, &layer)?);
        feature["links"] = json!([
            link(format!("{this}/items/{}", percent_encode(&id)), "self", GEOJSON, "this object"),
            link(this.clone(), "collection", "application/json", "the layer"),
        ]);
        Ok(geojson(&feature, &system))
    })
    .await
}

/// Gives a feature all attributes of its layer, those that it has not as null: programs take the columns of a layer from its first
/// features.
fn name_all(feature: &mut Value, fields: &LayerFields) {
    let Some(properties) = feature["properties"].as_object_mut().filter(|_| fields.kinds.len() <= MOST_NULLS) else {
        return;
    };
    for key in fields.kinds.keys().map(String::as_str).chain(["name", "z_min", "z_max"]) {
        if !properties.contains_key(key) {
            properties.insert(key.to_owned(), Value::Null);
        }
    }
}

/// A filter that names what no object has is a mistake.
fn check_fields(hall: &Hall, city: &City, layer: &str, filter: &Filter) -> Result<(), Refusal> {
    let mut foreign: Vec<&str> = filter.fields().into_iter().filter(|f| !OWN_FIELDS.contains(f)).collect();
    foreign.sort_unstable();
    foreign.dedup();
    if foreign.is_empty() {
        return Ok(());
    }
    let fields = hall.fields(city, layer)?;
    for name in foreign {
        if !fields.has(city, layer, name)? {
            return Err(bad(format!("filter: no object here has {name:.60?}; see queryables")));
        }
    }
    Ok(())
}

fn geojson(value: &Value, system: &System) -> Response {
    let content_crs = format!("<{}>", system.name());
    let headers = [(header::CONTENT_TYPE, GEOJSON), (header::CACHE_CONTROL, "no-cache")];
    let crs = [(CONTENT_CRS, content_crs)];
    (headers, crs, value.to_string()).into_response()
}
