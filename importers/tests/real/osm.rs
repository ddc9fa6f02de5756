//! Extracts of OpenStreetMap, held against what pyosmium and GDAL count in them.

use std::path::Path;

use groundline_engine::model::{CityObject, Class, Domain, Geometry, SourceReport, Value};
use groundline_importers::osm;

use super::{data, import_in};

/// Objects and account, in degrees.
fn import(path: &Path) -> (Vec<CityObject>, SourceReport) {
    import_in(&osm::FORMAT, path, 4326)
}

fn has(object: &CityObject, key: &str) -> bool {
    object.value(key).and_then(Value::as_str).is_some_and(|value| !matches!(value, "no" | "false" | "0"))
}

/// By pyosmium 4.3: trees, lamps, ways of which two nodes that follow each other are in the file and that are roads,
/// railways (without those that are roads too) and watercourses, areas that its own assembler makes with `building` (and
/// no `building:part`), and with `building:part`. GDAL 3.6.2 counts the same trees and lamps.
#[rustfmt::skip]
const REFEREE: &[(&str, [usize; 7])] = &[
    ("gis/osm/Helsinki.osm.pbf",             [649, 586, 2511, 318, 6, 439, 133]),
    ("gis/osm/amsterdam.osm.pbf",            [0, 0, 54, 0, 1, 80, 0]),
    ("gis/osm/bayfront_singapore.osm.pbf",   [29, 0, 332, 2, 3, 31, 40]),
    ("gis/osm/monaco-latest.osm.pbf",        [415, 17, 2377, 13, 3, 1206, 14]),
    ("gis/osm/nyc.osm.pbf",                  [0, 0, 95, 2, 0, 1522, 46]),
    ("gis/osm/test.osm.pbf",                 [0, 0, 331, 1, 1, 2171, 0]),
    ("underground/metro/bremen-trams.osm.pbf", [0, 0, 8, 873, 0, 0, 0]),
];

/// pyosmium makes no area of a multipolygon that lacks a way; here the rings that are whole are kept.
const INCOMPLETE_BUILDINGS: &[(&str, usize)] = &[("gis/osm/Helsinki.osm.pbf", 1)];

#[test]
fn counts_are_those_of_pyosmium() {
    let Some(data) = data() else { return };
    let mut failures = Vec::new();
    for (path, wanted) in REFEREE {
        let (objects, report) = import(&data.join(path));
        let is_way = |o: &CityObject| o.id.as_str().starts_with("osm/way/");
        let count = |is: &dyn Fn(&CityObject) -> bool| objects.iter().filter(|o| is(o)).count();
        let found = [
            count(&|o| o.class == Class::Tree),
            count(&|o| o.class == Class::Lamp),
            count(&|o| is_way(o) && has(o, "highway")),
            count(&|o| is_way(o) && has(o, "railway") && !has(o, "highway")),
            count(&|o| is_way(o) && matches!(o.geometry, Geometry::Line(_)) && has(o, "waterway")),
            count(&|o| o.class == Class::Building && !has(o, "building:part")),
            count(&|o| o.class == Class::Building && has(o, "building:part")),
        ];
        println!(
            "{path}: {} objects, {found:?}, skipped {} {:?}, {:?}",
            objects.len(),
            report.skipped,
            report.skips.iter().take(4).collect::<Vec<_>>(),
            report.warnings.iter().map(|w| (&w.code, &w.message, w.count)).collect::<Vec<_>>()
        );
        let more = INCOMPLETE_BUILDINGS.iter().find(|(p, _)| p == path).map_or(0, |(_, n)| *n);
        let ids: std::collections::BTreeSet<_> = objects.iter().map(|o| &o.id).collect();
        if ids.len() != objects.len() {
            failures.push(format!("{path}: ids are not unique"));
        }
        if found != [wanted[0], wanted[1], wanted[2], wanted[3], wanted[4], wanted[5] + more, wanted[6]] {
            failures.push(format!("{path}: {found:?}, not {wanted:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn small_blocks_packed_and_not_packed_say_the_same() {
    let Some(data) = data() else { return };
    let [packed, plain] =
        ["deflate", "none"].map(|name| import(&data.join(format!("gis/osm/tiny/SimpleFileBlock1-{name}.osm.pbf"))).0);
    assert_eq!(packed, plain);
}

#[test]
fn helsinki_has_a_metro_below_and_parts_that_know_their_building() {
    let Some(data) = data() else { return };
    let (objects, _) = import(&data.join("gis/osm/Helsinki.osm.pbf"));
    let metro = objects.iter().filter(|o| o.value("railway").and_then(Value::as_str) == Some("subway"));
    let (mut below, mut all) = (0, 0);
    for line in metro {
        all += 1;
        below += usize::from(line.domain == Domain::Below && matches!(line.geometry, Geometry::Tube(_)));
    }
    println!("{below} of {all} subway tracks are below ground");
    assert!(below > 0);
    let parts: Vec<_> = objects.iter().filter(|o| has(o, "building:part")).collect();
    let owned = parts.iter().filter(|o| o.parent.is_some()).count();
    let outlines = objects.iter().filter(|o| o.value("drawn_by").is_some()).count();
    println!("{owned} of {} parts lie in {outlines} outlines", parts.len());
    assert!(owned * 10 > parts.len() * 8 && outlines > 10);
}
