//! The definition of the service (OpenAPI 3.0).

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    CRS84, GEOJSON,
    asked::{MOST, USUAL},
    base,
};

/// `GET /ogc/api`: the definition (OpenAPI 3.0).
pub(in crate::serve) async fn api(headers: HeaderMap) -> Response {
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
    let uri = json!({"type": "string", "format": "uri", "default": CRS84});
    let questions = json!([
        path("layer"),
        parameter(
            "bbox",
            "two corners, in the order of the axes of bbox-crs: west,south,east,north in degrees when there is none",
            json!({"type": "array", "items": number, "minItems": 4, "maxItems": 6})
        ),
        parameter("bbox-crs", "system of bbox, one of the collection's", uri.clone()),
        parameter("crs", "system of the answer, one of the collection's", uri.clone()),
        parameter("datetime", "a time or an interval, RFC 3339", json!({"type": "string"})),
        parameter(
            "limit",
            "features of a page",
            json!({"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL})
        ),
        parameter("offset", "features to pass over", json!({"type": "integer", "minimum": 0, "default": 0})),
        parameter(
            "filter",
            "a condition on queryables: height_m > 24 AND S_INTERSECTS(geometry, BBOX(120, 36, 121, 37))",
            json!({"type": "string"})
        ),
        parameter(
            "filter-lang",
            "its language",
            json!({"type": "string", "enum": ["cql2-text", "cql2-json"], "default": "cql2-text"})
        ),
        parameter("filter-crs", "system of its geometries, one of the collection's", uri.clone()),
        parameter("search", "names and ids, the best first: Chinese, pinyin, English", json!({"type": "string"})),
        parameter("f", "form of the answer", json!({"type": "string", "enum": ["json", "geojson"]})),
    ]);
    let in_crs = parameter("crs", "system of the answer, one of the collection's", uri);
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
            "/collections/{layer}/queryables":
                get("what a filter may name", "application/schema+json", json!([path("layer")])),
            "/collections/{layer}/items": get("objects of a layer", GEOJSON, questions),
            "/collections/{layer}/items/{id}": get("an object", GEOJSON, json!([path("layer"), path("id"), in_crs])),
        },
    });
    let media = "application/vnd.oai.openapi+json;version=3.0";
    ([(header::CONTENT_TYPE, media)], definition.to_string()).into_response()
}
