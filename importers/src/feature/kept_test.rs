//! That nothing of a feature is lost: ids, values that give way to standard ones, every digit, every kind of geometry.

use groundline_engine::model::{CityObject, Geometry, Origin, Value};

use crate::{Options, geojson, trial::Trial};

fn read(name: &str, features: &str) -> Vec<CityObject> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.geojson"));
    std::fs::write(&path, format!(r#"{{"type":"FeatureCollection","features":[{features}]}}"#)).unwrap();
    let trial = Trial::of(&geojson::FORMAT, &path, &Options::default(), 4326);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    trial.objects
}

fn feature(rest: &str, geometry: &str) -> String {
    format!(r#"{{"type":"Feature",{rest},"geometry":{geometry}}}"#)
}

const POINT: &str = r#"{"type":"Point","coordinates":[120.1,36.1]}"#;
const SQUARE: &str =
    r#"{"type":"Polygon","coordinates":[[[120.1,36.1],[120.2,36.1],[120.2,36.2],[120.1,36.2],[120.1,36.1]]]}"#;

/// One line an object: kind, how z is read, vertices; rings apart by `/`, parts by `|`.
pub(crate) fn shown(object: &CityObject) -> String {
    let list = |vertices: &[glam::DVec3]| {
        vertices.iter().map(|v| format!("{} {} {}", v.x, v.y, v.z)).collect::<Vec<_>>().join(", ")
    };
    match &object.geometry {
        Geometry::Point(point) => format!("point {:?}: {}", point.vertical, list(&[point.at])),
        Geometry::Line(line) => {
            let paths: Vec<String> = line.paths.iter().map(|path| list(path)).collect();
            format!("line {:?}: {}", line.vertical, paths.join(" | "))
        }
        Geometry::Area(area) => {
            let polygons = area.polygons.iter().map(|polygon| {
                let rings = std::iter::once(&polygon.outer).chain(&polygon.holes);
                rings.map(|ring| list(ring)).collect::<Vec<_>>().join(" / ")
            });
            format!("area {:?}: {}", area.vertical, polygons.collect::<Vec<_>>().join(" | "))
        }
        Geometry::None => "none".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_id_beside_the_properties_stays_where_a_property_names_the_object() {
    let objects = read("things", &feature(r#""id":"urn:7","properties":{"osm_id":12}"#, POINT));
    assert_eq!((objects[0].id.as_str(), objects[0].value("id")), ("t/12", Some(&Value::Text("urn:7".into()))));
    // said already
    let objects = read("things", &feature(r#""id":12,"properties":{"osm_id":12}"#, POINT));
    assert_eq!((objects[0].id.as_str(), objects[0].value("id")), ("t/12", None));
    let objects = read("things", &feature(r#""id":"urn:7","properties":{"n":1}"#, POINT));
    assert_eq!((objects[0].id.as_str(), objects[0].value("id")), ("t/urn:7", None), "it is the object's id");
}

#[test]
fn a_value_that_gives_way_to_a_default_can_still_be_read() {
    let house = |properties: &str| read("buildings", &feature(properties, SQUARE)).remove(0);
    let object = house(r#""properties":{"height_m":-9999}"#);
    assert_eq!(object.value("height_m"), Some(&Value::Real(6.0)));
    let kept = object.attributes.iter().find(|a| &*a.key == "source.height_m").expect("what the file says");
    assert_eq!((&kept.value, &*kept.field, &kept.origin), (&Value::Int(-9999), "height_m", &Origin::Read));
    let object = house(r#""properties":{"height_m":"40 ft"}"#);
    assert_eq!(object.value("source.height_m"), Some(&Value::Text("40 ft".into())));
    let object = house(r#""properties":{"height_m":12}"#);
    assert_eq!((object.value("height_m"), object.value("source.height_m")), (Some(&Value::Real(12.0)), None));
}

#[test]
fn numbers_keep_their_last_bit() {
    // Found by the comparison with GDAL: these came out one step of the last bit beside.
    let numbers = ["48.223730700000004", "121.328082959625846", "122.36999999999999", "2.1389999389648438"];
    for text in numbers {
        let point =
            format!(r#"{{"type":"Point","coordinates":[120.1,{text}]}}"#).replace("121.", "21.").replace("122.", "22.");
        let objects = read("things", &feature(&format!(r#""properties":{{"n":{text}}}"#), &point));
        assert_eq!(objects[0].value("n"), Some(&Value::Real(text.parse().unwrap())), "{text}");
        let at = text.replace("121.", "21.").replace("122.", "22.").parse::<f64>().unwrap();
        assert_eq!(shown(&objects[0]), format!("point AboveTerrain: 120.1 {at} 0"));
    }
}

#[test]
fn every_geometry_of_geojson_is_what_it_says() {
    let ring = "[[0,0],[4,0],[4,4],[0,4],[0,0]]";
    let hole = "[[1,1],[2,1],[2,2],[1,2],[1,1]]";
    let high = "[[0,0,1],[4,0,2],[4,4,3],[0,4,4],[0,0,1]]";
    for (geometry, wanted) in [
        (r#"{"type":"Point","coordinates":[1,2]}"#.to_string(), "point AboveTerrain: 1 2 0"),
        (r#"{"type":"Point","coordinates":[1,2,3]}"#.into(), "point Absolute: 1 2 3"),
        // a fourth number is a measure, which RFC 7946 leaves open
        (r#"{"type":"Point","coordinates":[1,2,3,4]}"#.into(), "point Absolute: 1 2 3"),
        (
            r#"{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}"#.into(),
            "point AboveTerrain: 1 2 0; point AboveTerrain: 3 4 0",
        ),
        (r#"{"type":"LineString","coordinates":[[1,2,5],[3,4,6]]}"#.into(), "line Absolute: 1 2 5, 3 4 6"),
        (
            r#"{"type":"MultiLineString","coordinates":[[[1,2],[3,4]],[[5,6],[7,8]]]}"#.into(),
            "line AboveTerrain: 1 2 0, 3 4 0 | 5 6 0, 7 8 0",
        ),
        (
            format!(r#"{{"type":"Polygon","coordinates":[{ring},{hole}]}}"#),
            "area AboveTerrain: 0 0 0, 4 0 0, 4 4 0, 0 4 0 / 1 2 0, 2 2 0, 2 1 0, 1 1 0",
        ),
        (
            format!(r#"{{"type":"Polygon","coordinates":[{high}]}}"#),
            "area Absolute: 0 0 1, 4 0 2, 4 4 3, 0 4 4",
        ),
        (
            format!(r#"{{"type":"MultiPolygon","coordinates":[[{ring}],[[[9,9],[9,8],[8,8],[9,9]]]]}}"#),
            "area AboveTerrain: 0 0 0, 4 0 0, 4 4 0, 0 4 0 | 8 8 0, 9 8 0, 9 9 0",
        ),
        (
            r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]},{"type":"LineString","coordinates":[[1,2],[3,4]]}]}"#.into(),
            "line AboveTerrain: 1 2 0, 3 4 0; point AboveTerrain: 1 2 0",
        ),
        ("null".into(), "none"),
    ] {
        let objects = read("things", &feature(r#""properties":{}"#, &geometry));
        let got: Vec<String> = objects.iter().map(shown).collect();
        assert_eq!(got.join("; "), wanted, "{geometry}");
    }
}
