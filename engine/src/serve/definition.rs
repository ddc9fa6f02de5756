//! The definition of the service (OpenAPI 3.0), made from the table of routes.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    features::origin,
    parameter::Parameter,
    route::{ROUTES, Route},
};

/// Its media type.
pub(super) const MEDIA: &str = "application/vnd.oai.openapi+json;version=3.0";
const FEATURES: &str = "/ogc";

/// `GET /api`: all routes.
pub(super) async fn whole(headers: HeaderMap) -> Response {
    answer(&origin(&headers), "Groundline: a city", |route| Some(route.template()))
}

/// `GET /ogc/api`: the routes below `/ogc`, as OGC API – Features has their paths.
pub(super) async fn of_features(headers: HeaderMap) -> Response {
    let base = format!("{}{FEATURES}", origin(&headers));
    answer(&base, "Groundline: objects of a city", |route| {
        let path = route.template().strip_prefix(FEATURES)?.to_owned();
        // The definition names itself by its link only.
        (path != "/api").then(|| if path.is_empty() { "/".to_owned() } else { path })
    })
}

fn answer(server: &str, title: &str, path: impl Fn(&Route) -> Option<String>) -> Response {
    let mut paths = serde_json::Map::new();
    for route in &ROUTES {
        // Other spellings of a path are not named.
        let is_spelling = route.path != "/" && route.path.ends_with('/');
        if let Some(path) = path(route).filter(|_| !is_spelling) {
            paths.insert(path, described(route));
        }
    }
    let definition = json!({
        "openapi": "3.0.3",
        "info": {
            "title": title,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": {
                "error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string", "description": "a sentence"}},
                },
            },
            "responses": {
                "refused": {
                    "description": "the question is not understood, or what it asks for is not there",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}},
                },
                "busy": {
                    "description": "too much is asked at once; Retry-After says when to ask again",
                    "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}},
                },
            },
        },
    });
    ([(header::CONTENT_TYPE, MEDIA)], definition.to_string()).into_response()
}

fn described(route: &Route) -> Value {
    let in_path = route.variables().map(|name| {
        let schema =
            if name == "version" { json!({"type": "integer", "minimum": 0}) } else { json!({"type": "string"}) };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    let parameters: Vec<Value> = in_path.chain(route.parameters.iter().map(Parameter::described)).collect();
    let content = route.media.iter().map(|media| {
        let schema = match *media {
            "text/html" | "text/plain" | "application/x-ndjson" => json!({"type": "string"}),
            "model/gltf-binary" => json!({"type": "string", "format": "binary"}),
            _ => json!({}),
        };
        ((*media).to_owned(), json!({"schema": schema}))
    });
    let content: serde_json::Map<String, Value> = content.collect();
    let operation = operation(&route.template());
    let responses = |about: &str, content: &Value| {
        json!({
            "200": {"description": about, "content": content},
            "4XX": {"$ref": "#/components/responses/refused"},
            "503": {"$ref": "#/components/responses/busy"},
        })
    };
    let lines = json!({"application/x-ndjson": {"schema": {"type": "string"}}});
    let mut methods = json!({"get": {
        "operationId": operation,
        "summary": route.about,
        "parameters": parameters,
        "responses": responses(route.about, &Value::Object(content)),
    }});
    if let Some(about) = route.post {
        methods["post"] = json!({
            "operationId": format!("{operation}_many"),
            "summary": about,
            "requestBody": {"required": true, "content": lines},
            "responses": responses(about, &lines),
        });
    }
    methods
}

/// A name for programs that are made from the definition.
fn operation(template: &str) -> String {
    let words: Vec<&str> =
        template.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "page".into() } else { words.join("_") }
}
