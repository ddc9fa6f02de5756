//! What questions may say, in one table for those who read them and for the definition of the service.

use std::{collections::HashMap, hash::BuildHasher};

use serde_json::{Value, json};

use super::{
    MOST_HITS, USUAL_HITS,
    features::{CRS84, MOST, USUAL},
    things,
};

/// A parameter of a question.
pub(super) struct Parameter {
    pub name: &'static str,
    about: &'static str,
    kind: Kind,
}

enum Kind {
    Text,
    /// A system's name; CRS84 when there is none.
    System,
    /// One of these; the first when there is none.
    Word(&'static [&'static str]),
    Whole {
        least: usize,
        most: Option<usize>,
        usual: Option<usize>,
    },
    Length,
    /// Numbers with commas.
    Numbers {
        least: usize,
        most: Option<usize>,
    },
    /// Words with commas.
    Words,
}

const fn of(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter { name, about, kind }
}

const fn numbers(least: usize, most: usize) -> Kind {
    Kind::Numbers { least, most: Some(most) }
}

/// Of `/query`.
pub(super) static QUERY: [Parameter; 21] = [
    of("search", Kind::Text, "names and ids, the best first: Chinese, pinyin, English"),
    of("version", Kind::Whole { least: 0, most: None, usual: None }, "an earlier version of the city"),
    of("box", numbers(4, 6), "xmin,ymin,xmax,ymax in the city's system, or xmin,ymin,zmin,xmax,ymax,zmax"),
    of("bbox", numbers(4, 4), "west,south,east,north in degrees"),
    of("polygon", Kind::Numbers { least: 6, most: None }, "x,y,x,y,… in the city's system"),
    of("corridor", Kind::Numbers { least: 4, most: None }, "x,y,x,y,… of a line, with distance"),
    of("within", Kind::Text, "WKT or a GeoJSON geometry, with or without distance"),
    of("distance", Kind::Length, "metres around polygon, corridor or within"),
    of("near", numbers(2, 3), "x,y or x,y,z: the nearest first, up to radius"),
    of("ray", numbers(6, 6), "x,y,z and a direction: what it meets, the nearest first, up to radius"),
    of("radius", Kind::Length, "metres from near, or along ray"),
    of("where", Kind::Text, "a condition (CQL2): height_m > 24"),
    of("layers", Kind::Words, "names of layers"),
    of("classes", Kind::Words, "classes of objects"),
    of("stages", Kind::Words, "stages of their lives"),
    of("domains", Kind::Words, "sides of the ground"),
    of("at", Kind::Text, "a time, RFC 3339: what was there then"),
    of("limit", Kind::Whole { least: 0, most: Some(MOST_HITS), usual: Some(USUAL_HITS) }, "most hits"),
    of("offset", Kind::Whole { least: 0, most: None, usual: Some(0) }, "hits to pass over"),
    of("crs", Kind::Word(&["wgs84", "city"]), "system of the answer"),
    of(
        "f",
        Kind::Word(&["geojson", "json", "arrow"]),
        "form of the answer; json is one hit in a line without its geometry, arrow a table in the city's system (Apache Arrow, GeoArrow)",
    ),
];

/// Of `/live`.
pub(super) static LIVE: [Parameter; 10] = [
    of("box", numbers(4, 6), "sensors in xmin,ymin,xmax,ymax of the city's system"),
    of("bbox", numbers(4, 4), "sensors in west,south,east,north in degrees"),
    of("polygon", Kind::Numbers { least: 6, most: None }, "sensors in x,y,x,y,… of the city's system"),
    of("within", Kind::Text, "sensors in WKT or a GeoJSON geometry"),
    of("layers", Kind::Words, "sensors of these layers, or that watch objects of them"),
    of("classes", Kind::Words, "sensors that watch objects of these classes"),
    of("once", Kind::Word(&["false", "true"]), "true ends the answer after the state and the alarms"),
    of("properties", Kind::Words, "sensors of these observed properties, such as pressure"),
    of("sensors", Kind::Words, "these sensors"),
    of(
        "every",
        Kind::Whole { least: 20, most: Some(60_000), usual: Some(250) },
        "milliseconds for which changes are gathered",
    ),
];

/// Of the entities of SensorThings.
pub(super) static THINGS: [Parameter; 8] = [
    of("$filter", Kind::Text, "a condition: result gt 3.5 and Datastream/ObservedProperty/name eq 'gas'"),
    of("$orderby", Kind::Text, "phenomenonTime desc"),
    of("$expand", Kind::Text, "entities written within: Datastreams($select=name;$expand=Observations($top=1))"),
    of("$select", Kind::Words, "properties that are written"),
    of("$top", Kind::Whole { least: 0, most: Some(things::MOST), usual: Some(things::USUAL) }, "entities of a page"),
    of("$skip", Kind::Whole { least: 0, most: None, usual: Some(0) }, "entities to pass over"),
    of("$count", Kind::Word(&["false", "true"]), "whether the answer says how many there are"),
    of("$resultFormat", Kind::Text, "dataArray: Observations as rows of a table"),
];

/// Of the items of a collection.
pub(super) static ITEMS: [Parameter; 11] = [
    of(
        "bbox",
        numbers(4, 6),
        "two corners, in the order of the axes of bbox-crs: west,south,east,north in degrees when there is none",
    ),
    of("bbox-crs", Kind::System, "system of bbox, one of the collection's"),
    of("crs", Kind::System, "system of the answer, one of the collection's"),
    of("datetime", Kind::Text, "a time or an interval, RFC 3339"),
    of("limit", Kind::Whole { least: 1, most: Some(MOST), usual: Some(USUAL) }, "features of a page"),
    of("offset", Kind::Whole { least: 0, most: None, usual: Some(0) }, "features to pass over"),
    of(
        "filter",
        Kind::Text,
        "a condition on queryables: height_m > 24 AND S_INTERSECTS(geometry, BBOX(120, 36, 121, 37))",
    ),
    of("filter-lang", Kind::Word(&["cql2-text", "cql2-json"]), "its language"),
    of("filter-crs", Kind::System, "system of its geometries, one of the collection's"),
    of("search", Kind::Text, "names and ids, the best first: Chinese, pinyin, English"),
    of("f", Kind::Word(&["json", "geojson"]), "form of the answer"),
];

/// Of one item.
pub(super) static ITEM: [Parameter; 2] = [
    of("crs", Kind::System, "system of the answer, one of the collection's"),
    of("f", Kind::Word(&["json", "geojson"]), "form of the answer"),
];

/// The sentence about a parameter that is not in the table, when there is one.
pub(super) fn unknown(table: &[Parameter], given: &HashMap<String, String, impl BuildHasher>) -> Option<String> {
    let foreign = given.keys().find(|name| !table.iter().any(|known| known.name == name.as_str()))?;
    let names: Vec<&str> = table.iter().map(|parameter| parameter.name).collect();
    Some(format!("{foreign:.60?} is not one of {}", names.join(", ")))
}

impl Parameter {
    /// As OpenAPI describes it.
    pub fn described(&self) -> Value {
        let list = |items: Value, least: usize, most: Option<usize>| {
            let mut schema = json!({"type": "array", "items": items, "minItems": least});
            if let Some(most) = most {
                schema["maxItems"] = json!(most);
            }
            schema
        };
        let schema = match &self.kind {
            Kind::Text => json!({"type": "string"}),
            Kind::System => json!({"type": "string", "format": "uri", "default": CRS84}),
            Kind::Word(words) => json!({"type": "string", "enum": words, "default": words[0]}),
            Kind::Length => json!({"type": "number", "minimum": 0}),
            Kind::Numbers { least, most } => list(json!({"type": "number"}), *least, *most),
            Kind::Words => list(json!({"type": "string"}), 1, None),
            Kind::Whole { least, most, usual } => {
                let mut schema = json!({"type": "integer", "minimum": least});
                for (word, number) in [("maximum", most), ("default", usual)] {
                    if let Some(number) = number {
                        schema[word] = json!(number);
                    }
                }
                schema
            }
        };
        json!({"name": self.name, "in": "query", "required": false, "description": self.about, "schema": schema,
            "style": "form", "explode": false})
    }
}
