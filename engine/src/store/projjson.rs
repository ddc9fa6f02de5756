//! The city's coordinate system as PROJJSON, which GeoParquet asks for.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::crs::Crs;

/// The coordinate system as PROJJSON, built from its PROJ parameters, with its EPSG code as `id`.
/// The projections of plane city systems get their EPSG methods; others are named as PROJ names them,
/// so that a reader can still tell them by the code.
///
/// Null, which GeoParquet takes for unknown, where only PROJ itself can read the system's description.
pub(crate) fn projjson(crs: &Crs) -> Value {
    if !crs.proj4.starts_with('+') {
        return Value::Null;
    }
    let parameters: HashMap<&str, &str> = crs
        .proj4
        .split_whitespace()
        .filter_map(|word| word.strip_prefix('+'))
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .collect();
    let base = base_crs(&parameters);
    let mut whole = if crs.is_geographic {
        let mut geographic = base;
        geographic["name"] = json!(crs.name);
        geographic
    } else {
        let unit = if (crs.unit_m - 1.0).abs() < 1e-12 {
            json!("metre")
        } else {
            json!({"type": "LinearUnit", "name": "unit", "conversion_factor": crs.unit_m})
        };
        let axis = |name: &str, short: &str, direction: &str| json!({"name": name, "abbreviation": short, "direction": direction, "unit": unit});
        json!({
            "type": "ProjectedCRS",
            "name": crs.name,
            "base_crs": base,
            "conversion": conversion(&parameters),
            "coordinate_system": {
                "subtype": "Cartesian",
                "axis": [axis("Easting", "E", "east"), axis("Northing", "N", "north")],
            },
        })
    };
    whole["$schema"] = json!("https://proj.org/schemas/v0.7/projjson.schema.json");
    if let Some(code) = crs.epsg {
        whole["id"] = json!({"authority": "EPSG", "code": code});
    }
    whole
}

fn number(parameters: &HashMap<&str, &str>, name: &str) -> Option<f64> {
    parameters.get(name)?.parse::<f64>().ok().filter(|v| v.is_finite())
}

fn base_crs(parameters: &HashMap<&str, &str>) -> Value {
    let named = |name: &str, a: f64, f: f64| json!({"name": name, "semi_major_axis": a, "inverse_flattening": f});
    let ellipsoid = match (parameters.get("ellps").or(parameters.get("datum")).copied(), number(parameters, "a")) {
        (_, Some(a)) => {
            let f = number(parameters, "rf").or_else(|| {
                let b = number(parameters, "b")?;
                (a > b).then(|| a / (a - b))
            });
            match f {
                Some(f) => named("of the city", a, f),
                None => json!({"name": "of the city", "radius": a}),
            }
        }
        (Some("WGS84"), _) => named("WGS 84", 6_378_137.0, 298.257_223_563),
        (Some("bessel"), _) => named("Bessel 1841", 6_377_397.155, 299.152_812_8),
        (Some("krass"), _) => named("Krassowsky 1940", 6_378_245.0, 298.3),
        (Some("intl"), _) => named("International 1924", 6_378_388.0, 297.0),
        (Some("airy"), _) => named("Airy 1830", 6_377_563.396, 299.324_964_6),
        (Some("clrk66" | "NAD27"), _) => named("Clarke 1866", 6_378_206.4, 294.978_698_213_898),
        (Some("clrk80ign"), _) => named("Clarke 1880 (IGN)", 6_378_249.2, 293.466_021_293_627),
        _ => named("GRS 1980", 6_378_137.0, 298.257_222_101),
    };
    let axis = |name: &str, short: &str, direction: &str| json!({"name": name, "abbreviation": short, "direction": direction, "unit": "degree"});
    json!({
        "type": "GeographicCRS",
        "name": "base of the city's system",
        "datum": {"type": "GeodeticReferenceFrame", "name": "datum of the city's system", "ellipsoid": ellipsoid},
        "coordinate_system": {
            "subtype": "ellipsoidal",
            "axis": [axis("Geodetic longitude", "Lon", "east"), axis("Geodetic latitude", "Lat", "north")],
        },
    })
}

/// PROJ parameter, EPSG name, EPSG code, unit.
type Parameter = (&'static str, &'static str, u32, &'static str);

const NATURAL_ORIGIN: [Parameter; 5] = [
    ("lat_0", "Latitude of natural origin", 8801, "degree"),
    ("lon_0", "Longitude of natural origin", 8802, "degree"),
    ("k", "Scale factor at natural origin", 8805, "unity"),
    ("x_0", "False easting", 8806, "metre"),
    ("y_0", "False northing", 8807, "metre"),
];

const TWO_PARALLELS: [Parameter; 6] = [
    ("lat_0", "Latitude of false origin", 8821, "degree"),
    ("lon_0", "Longitude of false origin", 8822, "degree"),
    ("lat_1", "Latitude of 1st standard parallel", 8823, "degree"),
    ("lat_2", "Latitude of 2nd standard parallel", 8824, "degree"),
    ("x_0", "Easting at false origin", 8826, "metre"),
    ("y_0", "Northing at false origin", 8827, "metre"),
];

fn conversion(parameters: &HashMap<&str, &str>) -> Value {
    let projection = parameters.get("proj").copied().unwrap_or("unknown");
    let mut given: HashMap<&str, f64> =
        parameters.keys().filter_map(|name| Some((*name, number(parameters, name)?))).collect();
    if let Some(scale) = given.get("k_0").copied() {
        given.insert("k", scale);
    }
    let (method, code, table): (&str, u32, &[Parameter]) = match projection {
        "utm" => {
            let zone = given.get("zone").copied().unwrap_or(31.0);
            let south = if parameters.contains_key("south") { 1e7 } else { 0.0 };
            given.extend([("lon_0", zone * 6.0 - 183.0), ("k", 0.9996), ("x_0", 500_000.0), ("y_0", south)]);
            ("Transverse Mercator", 9807, &NATURAL_ORIGIN)
        }
        "tmerc" | "etmerc" => ("Transverse Mercator", 9807, &NATURAL_ORIGIN),
        "sterea" => ("Oblique Stereographic", 9809, &NATURAL_ORIGIN),
        "merc" if !given.contains_key("lat_ts") => ("Mercator (variant A)", 9804, &NATURAL_ORIGIN),
        "lcc" if given.contains_key("lat_2") => ("Lambert Conic Conformal (2SP)", 9802, &TWO_PARALLELS),
        "lcc" => ("Lambert Conic Conformal (1SP)", 9801, &NATURAL_ORIGIN),
        _ => return named_conversion(projection, parameters),
    };
    let values: Vec<Value> = table
        .iter()
        .map(|(short, name, id, unit)| {
            let default = if *short == "k" { 1.0 } else { 0.0 };
            let value = given.get(short).copied().unwrap_or(default);
            json!({"name": name, "value": value, "unit": unit, "id": {"authority": "EPSG", "code": id}})
        })
        .collect();
    json!({"name": method, "method": {"name": method, "id": {"authority": "EPSG", "code": code}}, "parameters": values})
}

fn named_conversion(projection: &str, parameters: &HashMap<&str, &str>) -> Value {
    let mut names: Vec<&str> = parameters.keys().copied().collect();
    names.sort_unstable();
    let values: Vec<Value> = names
        .into_iter()
        .filter(|n| !matches!(*n, "proj" | "ellps" | "datum" | "towgs84" | "units" | "no_defs" | "type" | "a" | "b"))
        .filter_map(|name| {
            let unit = if name.starts_with("lat") || name.starts_with("lon") { "degree" } else { "unity" };
            Some(json!({"name": name, "value": number(parameters, name)?, "unit": unit}))
        })
        .collect();
    json!({"name": projection, "method": {"name": format!("PROJ {projection}")}, "parameters": values})
}
