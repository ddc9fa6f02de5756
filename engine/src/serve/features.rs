//! OGC API – Features (OGC 17-069r4, part 1: core, OpenAPI 3.0, GeoJSON), with filters in the city's own language.
//!
//! A collection is a layer, a feature an object: its footprint or axis in longitude and latitude (CRS84). Conditions may be
//! given as `filter`, whose grammar holds the comparisons of CQL2's text form.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query as Parameters, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use glam::DVec3;
use serde_json::{Value, json};

use super::{Hall, Refusal, off_thread, root::percent_encode};
use crate::{
    crs::Frame,
    query::{self, Coordinates, Filter, Found, Query, Region, Shape},
    store::{City, LayerEntry},
};

/// Features of a page when nobody says how many, and at most.
const USUAL: usize = 10;
const MOST: usize = 10_000;
/// The system of everything that is answered.
const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";
const CONFORMANCE: [&str; 4] = [
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
];
const GEOJSON: &str = "application/geo+json";
const PARAMETERS: [&str; 7] = ["bbox", "datetime", "limit", "offset", "filter", "filter-lang", "f"];

fn bad(reason: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, reason.to_string())
}

/// Where this server is, as whoever asks sees it.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let is_plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    format!("http://{}/ogc", if is_plain { host } else { "localhost" })
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
        let all: Vec<Value> = city.layers().iter().map(|layer| described(layer, &frame, &base)).collect();
        let links = [link(format!("{base}/collections"), "self", "application/json", "the layers")];
        Ok(Json(json!({"links": links, "collections": all})))
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
        Ok(Json(described(layer_of(&city, &layer)?, &frame, &base)))
    })
    .await
}

fn layer_of<'c>(city: &'c City, name: &str) -> Result<&'c LayerEntry, Refusal> {
    let none =
        || Refusal(StatusCode::NOT_FOUND, format!("no collection {}", name.chars().take(60).collect::<String>()));
    city.layers().iter().find(|layer| layer.name == name).ok_or_else(none)
}

fn described(layer: &LayerEntry, frame: &Frame, base: &str) -> Value {
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
        "crs": [CRS84],
        "links": [
            link(this.clone(), "self", "application/json", "this layer"),
            link(format!("{this}/items"), "items", GEOJSON, "its objects"),
        ],
    })
}

/// What of a collection is asked for.
struct Asked {
    bbox: Option<Vec<f64>>,
    /// From when to when, milliseconds since 1970; open ends are absent.
    period: Option<(Option<i64>, Option<i64>)>,
    limit: usize,
    offset: usize,
    filter: Option<Filter>,
}

impl Asked {
    fn read(parameters: &HashMap<String, String>) -> Result<Self, Refusal> {
        if let Some(unknown) = parameters.keys().find(|name| !PARAMETERS.contains(&name.as_str())) {
            return Err(bad(format!("{unknown:?} is not one of {}", PARAMETERS.join(", "))));
        }
        let given = |name: &str| parameters.get(name).map(String::as_str);
        let whole = |name: &str, usual: usize, least: usize| match given(name) {
            None => Ok(usual),
            Some(word) => {
                let number = word.parse::<usize>().ok().filter(|n| *n >= least);
                number.ok_or_else(|| bad(format!("{name} takes a whole number from {least} on")))
            }
        };
        let bbox = match given("bbox") {
            None => None,
            Some(text) => {
                let list: Option<Vec<f64>> =
                    text.split(',').map(|word| word.trim().parse().ok().filter(|v: &f64| v.is_finite())).collect();
                let list =
                    list.filter(|l| matches!(l.len(), 4 | 6)).ok_or_else(|| bad("bbox takes four or six numbers"))?;
                let half = list.len() / 2;
                if list[1] > list[half + 1] || [list[1], list[half + 1]].iter().any(|lat| lat.abs() > 90.0) {
                    return Err(bad("bbox takes west,south,east,north in degrees"));
                }
                Some(list)
            }
        };
        if let Some(other) = given("filter-lang").filter(|lang| *lang != "cql2-text") {
            return Err(bad(format!("filter-lang={other} is not cql2-text")));
        }
        if let Some(other) = given("f").filter(|form| !matches!(*form, "json" | "geojson")) {
            return Err(bad(format!("f={other} is neither json nor geojson")));
        }
        let filter = given("filter").map(Filter::parse).transpose().map_err(|e| bad(format!("filter: {e}")))?;
        Ok(Self {
            bbox,
            period: given("datetime").map(period).transpose()?,
            limit: whole("limit", USUAL, 1)?.min(MOST),
            offset: whole("offset", 0, 0)?,
            filter,
        })
    }

    /// Box of a question in the city's frame.
    fn shape(&self, frame: &Frame) -> Shape {
        let Some(bbox) = &self.bbox else { return Shape::All };
        let half = bbox.len() / 2;
        let (west, south, east, north) = (bbox[0], bbox[1], bbox[half], bbox[half + 1]);
        // Where it crosses the date line.
        let east = if east < west { east + 360.0 } else { east };
        let along = |from: (f64, f64), to: (f64, f64)| {
            (0..8).map(move |k| {
                let part = f64::from(k) / 8.0;
                (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part)
            })
        };
        let corners = [(west, south), (east, south), (east, north), (west, north)];
        let ring = (0..4).flat_map(|side| along(corners[side], corners[(side + 1) % 4]));
        let ring = ring.map(|(lon, lat)| frame.city_from_geographic(DVec3::new(lon, lat, 0.0)).truncate()).collect();
        Region::polygon(ring).map_or(Shape::All, Shape::touching)
    }

    fn is_in_period(&self, found: &Found) -> bool {
        let Some((from, to)) = self.period else { return true };
        let starts_before_end = to.is_none_or(|to| found.valid_from.is_none_or(|t| t <= to));
        let ends_after_start = from.is_none_or(|from| found.valid_to.is_none_or(|t| t > from));
        starts_before_end && ends_after_start
    }
}

/// An instant, or an interval whose ends may be `..` or nothing.
fn period(text: &str) -> Result<(Option<i64>, Option<i64>), Refusal> {
    let time = |word: &str| match word {
        "" | ".." => Ok(None),
        word => query::parse_time(word).map(Some).ok_or_else(|| bad(format!("datetime: {word:.40} is no time"))),
    };
    match text.split_once('/') {
        Some((from, to)) => {
            let (from, to) = (time(from)?, time(to)?);
            let is_turned = from.zip(to).is_some_and(|(from, to)| from > to);
            if is_turned { Err(bad("datetime ends before it begins")) } else { Ok((from, to)) }
        }
        None => {
            let at = time(text)?.ok_or_else(|| bad("datetime takes a time or an interval"))?;
            Ok((Some(at), Some(at)))
        }
    }
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
    off_thread(hall, move |hall| {
        let city = hall.city()?;
        layer_of(&city, &layer)?;
        let frame = city.frame().map_err(Refusal::from)?;
        let query = Query {
            shape: asked.shape(&frame),
            layers: vec![layer],
            at: asked.period.and_then(|(from, to)| from.filter(|_| from == to)),
            filter: asked.filter.clone(),
            ..Query::default()
        };
        let (mut features, mut passed, mut has_more) = (Vec::new(), 0, false);
        for found in query::run(&city, &query)? {
            let found = found?;
            if !asked.is_in_period(&found) {
                continue;
            }
            if passed < asked.offset {
                passed += 1;
                continue;
            }
            if features.len() == asked.limit {
                has_more = true;
                break;
            }
            features.push(query::feature(&found, Coordinates::Geographic(&frame))?);
        }
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
        Ok(geojson(&answer))
    })
    .await
}

/// `GET /ogc/collections/{layer}/items/{id}`.
pub(super) async fn item(
    State(hall): State<Arc<Hall>>,
    Path((layer, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let this = format!("{}/collections/{}", base(&headers), percent_encode(&layer));
    off_thread(hall, move |hall| {
        let city = hall.city()?;
        layer_of(&city, &layer)?;
        let frame = city.frame().map_err(Refusal::from)?;
        let quoted = id.replace('\'', "''");
        let none = || Refusal(StatusCode::NOT_FOUND, "no such feature".into());
        // The row is found by its id; the question gives it the form of a feature.
        let extent = city.object_extent(&crate::model::ObjectId(id.clone()))?.ok_or_else(none)?;
        let shape = if extent.is_empty() { Shape::All } else { Shape::Box { min: extent.min, max: extent.max } };
        let filter = Filter::parse(&format!("id = '{quoted}'")).map_err(|_| none())?;
        let query = Query { shape, layers: vec![layer], filter: Some(filter), limit: Some(1), ..Query::default() };
        let found = query::run(&city, &query)?.next().transpose()?.ok_or_else(none)?;
        let mut feature = query::feature(&found, Coordinates::Geographic(&frame))?;
        feature["links"] = json!([
            link(format!("{this}/items/{}", percent_encode(&id)), "self", GEOJSON, "this object"),
            link(this.clone(), "collection", "application/json", "the layer"),
        ]);
        Ok(geojson(&feature))
    })
    .await
}

fn geojson(value: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, GEOJSON), (header::CACHE_CONTROL, "no-cache")];
    (headers, value.to_string()).into_response()
}

/// `GET /ogc/api`: the definition (OpenAPI 3.0).
pub(super) async fn api(headers: HeaderMap) -> Response {
    let parameter = |name: &str, about: &str, schema: Value| {
        json!({"name": name, "in": "query", "required": false, "description": about, "schema": schema,
            "style": "form", "explode": false})
    };
    let path = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    let answer = |about: &str, media: &str| {
        json!({"200": {"description": about, "content": {media: {"schema": {"type": "object"}}}},
            "400": {"description": "the question is not understood"}, "404": {"description": "it is not there"}})
    };
    let get = |about: &str, media: &str, parameters: Value| json!({"get": {"summary": about, "parameters": parameters, "responses": answer(about, media)}});
    let number = json!({"type": "number"});
    let questions = json!([
        path("layer"),
        parameter(
            "bbox",
            "west,south,east,north, degrees",
            json!({"type": "array", "items": number, "minItems": 4, "maxItems": 6})
        ),
        parameter("datetime", "a time or an interval, RFC 3339", json!({"type": "string"})),
        parameter(
            "limit",
            "features of a page",
            json!({"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL})
        ),
        parameter("offset", "features to pass over", json!({"type": "integer", "minimum": 0, "default": 0})),
        parameter("filter", "a condition: height_m > 24 AND name LIKE '%路'", json!({"type": "string"})),
        parameter(
            "filter-lang",
            "its language",
            json!({"type": "string", "enum": ["cql2-text"], "default": "cql2-text"})
        ),
        parameter("f", "form of the answer", json!({"type": "string", "enum": ["json", "geojson"]})),
    ]);
    let json_media = "application/json";
    let definition = json!({
        "openapi": "3.0.3",
        "info": {"title": "Groundline: objects of a city", "version": env!("CARGO_PKG_VERSION")},
        "servers": [{"url": base(&headers)}],
        "paths": {
            "/": get("landing page", json_media, json!([])),
            "/conformance": get("what is conformed to", json_media, json!([])),
            "/collections": get("the layers", json_media, json!([])),
            "/collections/{layer}": get("a layer", json_media, json!([path("layer")])),
            "/collections/{layer}/items": get("objects of a layer", GEOJSON, questions),
            "/collections/{layer}/items/{id}": get("an object", GEOJSON, json!([path("layer"), path("id")])),
        },
    });
    let media = "application/vnd.oai.openapi+json;version=3.0";
    ([(header::CONTENT_TYPE, media)], definition.to_string()).into_response()
}
