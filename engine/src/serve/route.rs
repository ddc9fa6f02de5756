//! The table of routes: the router, the labels of the metrics and the definition of the service are made from it.

use std::sync::Arc;

use axum::{
    extract::DefaultBodyLimit,
    routing::{MethodRouter, get},
};

use super::{
    Hall, answer, definition, features, feed, file, health, metrics, packed, page,
    parameter::{ITEM, ITEMS, LIVE, Parameter, QUERY, THINGS},
    questions, root, things,
};

/// Something that can be asked for with GET and HEAD, and now and then with POST.
pub(super) struct Route {
    /// As the router writes it.
    pub path: &'static str,
    /// What the handler itself takes off the end of a path whose last part may hold `/`.
    tail: &'static str,
    pub about: &'static str,
    /// Media types of the answer, the usual one first.
    pub media: &'static [&'static str],
    pub parameters: &'static [Parameter],
    /// What a POST is about, where there is one.
    pub post: Option<&'static str>,
    pub handler: fn() -> MethodRouter<Arc<Hall>>,
}

const JSON: &str = "application/json";
const GEOJSON: &str = "application/geo+json";
const NDJSON: &str = "application/x-ndjson";

const fn plain(
    path: &'static str,
    about: &'static str,
    media: &'static [&'static str],
    handler: fn() -> MethodRouter<Arc<Hall>>,
) -> Route {
    Route { path, tail: "", about, media, parameters: &[], post: None, handler }
}

pub(super) static ROUTES: [Route; 32] = [
    plain("/", "a page for people", &["text/html"], || get(page::page)),
    plain("/health", "whether the server lives", &[JSON], || get(health::health)),
    plain("/ready", "whether the city can be read; 503 and why where not", &[JSON], || get(health::ready)),
    plain("/metrics", "counts for Prometheus", &["text/plain"], || get(metrics::metrics)),
    plain("/api", "this definition", &[definition::MEDIA], || get(definition::whole)),
    plain("/city.json", "the city as on disk", &[JSON], || get(file::city)),
    plain("/layers", "the layers", &[JSON], || get(answer::layers)),
    plain("/versions", "the versions", &[JSON], || get(answer::versions)),
    plain("/versions/{version}", "the manifest of a version", &[JSON], || get(file::version)),
    plain("/tileset.json", "3D Tiles 1.1 over all layers", &[JSON], || get(root::tileset)),
    plain("/tiles/{*path}", "tilesets and tiles, with ranges", &["model/gltf-binary", JSON], || get(packed::tile)),
    plain(
        "/files/{*path}",
        "the files of the city as they lie",
        &["application/octet-stream", "model/gltf-binary", JSON],
        || get(file::any),
    ),
    plain("/objects/{*id}", "an object with attributes, provenance and shape", &[JSON], || get(answer::object)),
    Route {
        parameters: &QUERY,
        post: Some(questions::ABOUT),
        ..plain("/query", "objects by place, name and condition", &[GEOJSON, NDJSON, answer::ARROW], || {
            get(answer::query)
                .post(questions::questions)
                .layer::<_, std::convert::Infallible>(DefaultBodyLimit::max(questions::MOST_BYTES))
        })
    },
    plain("/sensors", "the sensors", &[JSON], || get(feed::sensors)),
    Route {
        tail: "/latest",
        ..plain(
            "/sensors/{*id}",
            "the latest reading of a sensor; with recent in place of latest its last ones",
            &[JSON],
            || get(feed::sensor),
        )
    },
    Route {
        post: Some(feed::READINGS),
        ..plain("/readings", "what came in since the server was started, and what gave trouble", &[JSON], || {
            get(feed::counts)
                .post(feed::push)
                .layer::<_, std::convert::Infallible>(DefaultBodyLimit::max(questions::MOST_BYTES))
        })
    },
    Route {
        post: Some("a message as the device sends it to this topic over MQTT"),
        ..plain("/readings/{*topic}", "as /readings", &[JSON], || get(feed::counts).post(feed::message))
    },
    Route {
        parameters: &LIVE,
        ..plain(
            "/live",
            "the state of the sensors in scope, then what changes, as events: state, changes, alarms, pulse; the same over a WebSocket",
            &[feed::SSE],
            || get(feed::live),
        )
    },
    Route {
        post: Some(feed::ALARMS),
        ..plain("/alarms", "the alarms that are not normal, the most urgent first", &[JSON], || {
            get(feed::alarms).post(feed::act)
        })
    },
    plain("/sta/v1.1", "OGC SensorThings 1.1: the sets of entities, and what is conformed to", &[JSON], || {
        get(things::root)
    }),
    Route {
        parameters: &THINGS,
        post: Some(things::ABOUT),
        ..plain(
            "/sta/v1.1/{*path}",
            "entities of SensorThings, what they lead to, their values",
            &[JSON, "text/plain"],
            || {
                get(things::get)
                    .post(things::post)
                    .layer::<_, std::convert::Infallible>(DefaultBodyLimit::max(questions::MOST_BYTES))
            },
        )
    },
    plain("/sta/v1.1/", "as without the last slash", &[JSON], || get(things::root)),
    plain("/ogc", "landing page of OGC API – Features", &[JSON], || get(features::landing)),
    plain("/ogc/api", "the definition of what lies below /ogc", &[definition::MEDIA], || get(definition::of_features)),
    plain("/ogc/conformance", "what is conformed to", &[JSON], || get(features::conformance)),
    plain("/ogc/collections", "the layers", &[JSON], || get(features::collections)),
    plain("/ogc/collections/{layer}", "a layer", &[JSON], || get(features::collection)),
    plain("/ogc/collections/{layer}/queryables", "what a filter may name", &["application/schema+json"], || {
        get(features::queryables)
    }),
    Route {
        parameters: &ITEMS,
        ..plain("/ogc/collections/{layer}/items", "objects of a layer", &[GEOJSON], || get(features::items))
    },
    Route {
        parameters: &ITEM,
        ..plain("/ogc/collections/{layer}/items/{*id}", "an object", &[GEOJSON], || get(features::item))
    },
    // Programs ask for the landing page with and without a last slash.
    plain("/ogc/", "landing page of OGC API – Features", &[JSON], || get(features::landing)),
];

impl Route {
    /// Whether the router means this route by a path.
    pub fn is_at(&self, path: &str) -> bool {
        self.path == path
    }

    /// The path as OpenAPI writes it.
    pub fn template(&self) -> String {
        format!("{}{}", self.path.replace("{*", "{"), self.tail)
    }

    /// Names of the parts of the path that stand for something.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        parts.map(|name| name.trim_start_matches('*'))
    }
}
