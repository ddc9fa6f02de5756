//! The `geo` metadata of GeoParquet (OGC 24-013, versions 0.1 to 1.1) and its coordinate systems in PROJJSON.

use groundline_engine::crs::Crs;
use serde_json::{Map, Value as Json};

/// How geometries stand in their column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Wkb,
    Point,
    Line,
    Polygon,
    MultiPoint,
    MultiLine,
    MultiPolygon,
}

/// The primary geometry column.
#[derive(Clone, Debug)]
pub(super) struct Geo {
    pub column: String,
    pub encoding: Encoding,
    /// The system, or the text of one that is not understood (empty where none is named).
    pub crs: Result<Crs, String>,
    /// What named it.
    pub crs_from: &'static str,
    pub extent: Option<[f64; 4]>,
    /// Further geometry columns.
    pub others: Vec<String>,
    /// Columns that only repeat the box of the geometry.
    pub boxes: Vec<String>,
    pub is_spherical: bool,
}

impl Geo {
    /// Reads the metadata; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let columns = json.get("columns").and_then(Json::as_object).ok_or("it names no columns")?;
        let primary = json.get("primary_column").and_then(Json::as_str).ok_or("it names no primary column")?;
        let column = columns.get(primary).ok_or_else(|| format!("it does not describe its column {primary}"))?;
        let encoding = match column.get("encoding").and_then(Json::as_str).unwrap_or("WKB") {
            "WKB" | "wkb" => Encoding::Wkb,
            "point" => Encoding::Point,
            "linestring" => Encoding::Line,
            "polygon" => Encoding::Polygon,
            "multipoint" => Encoding::MultiPoint,
            "multilinestring" => Encoding::MultiLine,
            "multipolygon" => Encoding::MultiPolygon,
            other => return Err(format!("encoding {other} of its geometries is not known")),
        };
        let (crs, crs_from) = match column.get("crs") {
            // The standard's default: longitude and latitude on WGS 84.
            None => (Crs::from_epsg(4326).map_err(|error| error.to_string()), "GeoParquet default"),
            Some(Json::Null) => (Err(String::new()), ""),
            Some(Json::String(text)) => (Crs::parse(text).map_err(|_| text.clone()), "geo metadata"),
            Some(json) => (projjson(json), "geo metadata"),
        };
        let numbers: Vec<f64> =
            column.get("bbox").and_then(Json::as_array).map(|list| numbers(list)).unwrap_or_default();
        let extent = match numbers.as_slice() {
            &[a, b, c, d] | &[a, b, _, c, d, _] if a <= c && b <= d => Some([a, b, c, d]),
            _ => None,
        };
        let covering = column.pointer("/covering/bbox").and_then(Json::as_object).into_iter().flat_map(Map::values);
        let boxes = covering.filter_map(|path| Some(path.get(0)?.as_str()?.to_string())).collect();
        Ok(Self {
            column: primary.to_string(),
            encoding,
            crs_from: if crs.is_ok() { crs_from } else { "" },
            crs,
            extent,
            others: columns.keys().filter(|name| *name != primary).cloned().collect(),
            boxes,
            is_spherical: column.get("edges").and_then(Json::as_str) == Some("spherical"),
        })
    }
}

fn numbers(list: &[Json]) -> Vec<f64> {
    list.iter().filter_map(Json::as_f64).collect()
}

/// The system that a PROJJSON object describes: by its code, else by its parameters as WKT 2.
fn projjson(json: &Json) -> Result<Crs, String> {
    let horizontal = horizontal(json, 0).unwrap_or(json);
    let id = |json: &Json| {
        let id = json.get("id")?;
        let code = match id.get("code")? {
            Json::String(code) => code.clone(),
            Json::Number(code) => code.to_string(),
            _ => return None,
        };
        Some(format!("{}:{code}", id.get("authority")?.as_str()?))
    };
    let named = || id(horizontal).or_else(|| Some(horizontal.get("name")?.as_str()?.to_string())).unwrap_or_default();
    let by_id = [horizontal, json].into_iter().find_map(|json| Crs::parse(&id(json)?).ok());
    by_id.or_else(|| Crs::parse(&wkt(horizontal)?).ok()).ok_or_else(named)
}

/// The plane or geographic part of a compound or bound system.
fn horizontal(json: &Json, depth: usize) -> Option<&Json> {
    if depth > 4 {
        return None;
    }
    match json.get("type")?.as_str()? {
        "ProjectedCRS" | "GeographicCRS" | "GeodeticCRS" => Some(json),
        "BoundCRS" => horizontal(json.get("source_crs")?, depth + 1),
        "DerivedProjectedCRS" => None,
        "CompoundCRS" => json.get("components")?.as_array()?.iter().find_map(|part| horizontal(part, depth + 1)),
        _ => None,
    }
}

/// The common part of WKT 2 out of PROJJSON.
fn wkt(json: &Json) -> Option<String> {
    if json.get("type")?.as_str()? != "ProjectedCRS" {
        return geographic(json, "GEOGCRS");
    }
    let conversion = json.get("conversion")?;
    let parameters = conversion.get("parameters").and_then(Json::as_array)?.iter().map(|parameter| {
        let name = parameter.get("name")?.as_str()?;
        let number = parameter.get("value")?.as_f64()?;
        let unit = match parameter.get("unit") {
            Some(unit) => self::unit(unit)?,
            None => String::new(),
        };
        Some(format!(",PARAMETER[{},{number}{unit}]", quoted(name)))
    });
    let parameters = parameters.collect::<Option<String>>()?;
    let axis = json.pointer("/coordinate_system/axis/0/unit").and_then(unit).unwrap_or_default();
    Some(format!(
        "PROJCRS[{},{},CONVERSION[{},METHOD[{}]{parameters}],CS[Cartesian,2]{axis}]",
        quoted(json.get("name")?.as_str()?),
        geographic(json.get("base_crs")?, "BASEGEOGCRS")?,
        quoted(conversion.get("name").and_then(Json::as_str).unwrap_or("unnamed")),
        quoted(conversion.pointer("/method/name")?.as_str()?),
    ))
}

fn geographic(json: &Json, word: &str) -> Option<String> {
    let datum = json.get("datum").or_else(|| json.get("datum_ensemble"))?;
    let ellipsoid = datum.get("ellipsoid")?;
    // A length is a number of metres or a number with its unit.
    let length = |json: &Json| {
        let factor = json.pointer("/unit/conversion_factor").and_then(Json::as_f64).unwrap_or(1.0);
        json.as_f64().or_else(|| Some(json.get("value")?.as_f64()? * factor))
    };
    let (a, rf) = match (ellipsoid.get("semi_major_axis"), ellipsoid.get("radius")) {
        (Some(a), _) => {
            let a = length(a)?;
            let rf = ellipsoid.get("inverse_flattening").and_then(Json::as_f64).or_else(|| {
                let b = length(ellipsoid.get("semi_minor_axis")?)?;
                (a > b).then(|| a / (a - b)).or(Some(0.0))
            });
            (a, rf?)
        }
        (None, radius) => (length(radius?)?, 0.0),
    };
    let meridian = datum.pointer("/prime_meridian/longitude");
    let meridian = meridian.and_then(|l| l.as_f64().or_else(|| l.get("value")?.as_f64())).unwrap_or(0.0);
    Some(format!(
        "{word}[{},DATUM[{},ELLIPSOID[{},{a},{rf},LENGTHUNIT[\"metre\",1]]],PRIMEM[\"meridian\",{meridian},ANGLEUNIT[\"degree\",0.0174532925199433]]]",
        quoted(json.get("name").and_then(Json::as_str).unwrap_or("unnamed")),
        quoted(datum.get("name")?.as_str()?),
        quoted(ellipsoid.get("name").and_then(Json::as_str).unwrap_or("unnamed")),
    ))
}

fn unit(json: &Json) -> Option<String> {
    match json {
        Json::String(word) => match word.as_str() {
            "metre" => Some(",LENGTHUNIT[\"metre\",1]".into()),
            "degree" => Some(",ANGLEUNIT[\"degree\",0.0174532925199433]".into()),
            "unity" => Some(",SCALEUNIT[\"unity\",1]".into()),
            _ => None,
        },
        _ => {
            let factor = json.get("conversion_factor")?.as_f64()?;
            let word = match json.get("type")?.as_str()? {
                "LinearUnit" => "LENGTHUNIT",
                "AngularUnit" => "ANGLEUNIT",
                "ScaleUnit" => "SCALEUNIT",
                _ => return None,
            };
            Some(format!(",{word}[{},{factor}]", quoted(json.get("name")?.as_str()?)))
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn geo(column: Json) -> Geo {
        let json = json!({"version": "1.1.0", "primary_column": "geom", "columns": {"geom": column, "roof": {"encoding": "WKB"}}});
        Geo::parse(&json.to_string()).unwrap()
    }

    #[test]
    fn systems_are_named_by_code_by_parameters_or_by_default() {
        let absent = geo(json!({"encoding": "WKB", "bbox": [1, 2, 0, 3, 4, 9]}));
        assert_eq!((absent.crs.unwrap().epsg, absent.crs_from), (Some(4326), "GeoParquet default"));
        assert_eq!((absent.extent, absent.others), (Some([1.0, 2.0, 3.0, 4.0]), vec!["roof".to_string()]));
        assert_eq!(geo(json!({"encoding": "WKB", "crs": null})).crs, Err(String::new()));
        let code = json!({"type": "ProjectedCRS", "name": "x", "id": {"authority": "EPSG", "code": 4549}});
        assert_eq!(geo(json!({"encoding": "point", "crs": code.clone()})).crs.unwrap().epsg, Some(4549));
        let compound = json!({"type": "CompoundCRS", "components": [code, {"type": "VerticalCRS"}]});
        assert_eq!(geo(json!({"encoding": "WKB", "crs": compound})).crs.unwrap().epsg, Some(4549));
        let ogc = json!({"type": "GeographicCRS", "name": "x", "id": {"authority": "OGC", "code": "CRS84"}});
        assert_eq!(geo(json!({"encoding": "WKB", "crs": ogc})).crs.unwrap().epsg, Some(4326));
        let unknown = json!({"type": "EngineeringCRS", "name": "site grid"});
        assert_eq!(geo(json!({"encoding": "WKB", "crs": unknown})).crs, Err("site grid".into()));
    }

    #[test]
    fn projjson_without_a_code_is_read_by_its_parameters() {
        let parameter = |name: &str, value: f64, unit: &str| json!({"name": name, "value": value, "unit": unit});
        let crs = json!({
            "type": "ProjectedCRS",
            "name": "a city's grid",
            "base_crs": {"name": "CGCS2000", "datum": {
                "type": "GeodeticReferenceFrame",
                "name": "China 2000",
                "ellipsoid": {"name": "CGCS2000", "semi_major_axis": 6378137, "inverse_flattening": 298.257222101},
            }},
            "conversion": {"name": "c", "method": {"name": "Transverse Mercator"}, "parameters": [
                parameter("Latitude of natural origin", 0.0, "degree"),
                parameter("Longitude of natural origin", 120.0, "degree"),
                parameter("Scale factor at natural origin", 1.0, "unity"),
                parameter("False easting", 500000.0, "metre"),
                parameter("False northing", 0.0, "metre"),
            ]},
            "coordinate_system": {"subtype": "Cartesian", "axis": [{"unit": "metre"}, {"unit": "metre"}]},
        });
        let found = geo(json!({"encoding": "WKB", "crs": crs})).crs.unwrap();
        assert_eq!(found.epsg, Some(4549), "{found:?}");
    }

    #[test]
    fn metadata_that_says_nothing_is_refused() {
        for text in ["", "[]", "{}", r#"{"primary_column":"a","columns":{}}"#, r#"{"columns":{"a":{}}}"#] {
            assert!(Geo::parse(text).is_err(), "{text}");
        }
        let other = json!({"primary_column": "a", "columns": {"a": {"encoding": "geoarrow.box"}}});
        assert!(Geo::parse(&other.to_string()).unwrap_err().contains("geoarrow.box"));
    }
}
