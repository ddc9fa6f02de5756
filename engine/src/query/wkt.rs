//! Regions as text: well-known text (OGC 06-103r4) and GeoJSON (RFC 7946). Heights are passed over.

use glam::DVec2;
use serde_json::Value;

use super::region::{Parts, Region, RegionError};

/// Longest text of a geometry, bytes.
const LONGEST: usize = 4 << 20;
/// Deepest nesting of collections.
const DEEPEST: usize = 8;

impl Region {
    /// Reads well-known text (`POLYGON((0 0, 9 0, 9 9), (2 2, 3 2, 3 3))`) or a GeoJSON geometry or feature. The name of a
    /// system (`SRID=…;`) is passed over: whoever asks says what the numbers are.
    pub fn parse(text: &str) -> Result<Self, RegionError> {
        if text.len() > LONGEST {
            return Err(RegionError::TooLarge);
        }
        if text.trim_start().starts_with('{') {
            let value: Value = serde_json::from_str(text).map_err(|e| RegionError::BadJson(e.to_string()))?;
            return Self::from_geojson(&value);
        }
        let mut reader = Reader { text, at: 0 };
        if reader.take_word("SRID") {
            reader.at = text.find(';').map_or(text.len(), |at| at + 1);
        }
        let mut parts = Parts::default();
        reader.geometry(&mut parts, 0)?;
        reader.skip();
        if reader.at < text.len() {
            return Err(reader.error("nothing is expected after the geometry"));
        }
        Self::new(parts)
    }

    /// The region of a GeoJSON geometry, or of a feature's.
    pub fn from_geojson(value: &Value) -> Result<Self, RegionError> {
        let mut parts = Parts::default();
        add_geojson(value, &mut parts, 0)?;
        Self::new(parts)
    }
}

fn add_geojson(value: &Value, parts: &mut Parts, depth: usize) -> Result<(), RegionError> {
    let bad = |reason: &str| RegionError::BadJson(reason.into());
    if depth > DEEPEST {
        return Err(bad("collections are nested too deep"));
    }
    let word = value["type"].as_str().ok_or_else(|| bad("a GeoJSON geometry has a \"type\""))?;
    let inner = &value["coordinates"];
    match word {
        "Feature" => add_geojson(&value["geometry"], parts, depth + 1)?,
        "GeometryCollection" => {
            let list = value["geometries"].as_array().ok_or_else(|| bad("a collection has \"geometries\""))?;
            list.iter().try_for_each(|one| add_geojson(one, parts, depth + 1))?;
        }
        "Point" => parts.points.push(position(inner)?),
        "MultiPoint" => parts.points.extend(positions(inner)?),
        "LineString" => parts.paths.push(positions(inner)?),
        "MultiLineString" => parts.paths.extend(rings(inner)?),
        "Polygon" => parts.polygons.push(rings(inner)?),
        "MultiPolygon" => {
            let all: Result<Vec<_>, _> = list(inner)?.iter().map(rings).collect();
            parts.polygons.extend(all?);
        }
        other => return Err(RegionError::BadJson(format!("{other:.40?} is no type of geometry"))),
    }
    Ok(())
}

fn list(value: &Value) -> Result<&Vec<Value>, RegionError> {
    value.as_array().ok_or_else(|| RegionError::BadJson("coordinates are lists".into()))
}

fn position(value: &Value) -> Result<DVec2, RegionError> {
    let numbers = (value.get(0).and_then(Value::as_f64), value.get(1).and_then(Value::as_f64));
    match numbers {
        (Some(x), Some(y)) => Ok(DVec2::new(x, y)),
        _ => Err(RegionError::BadJson("a position is two numbers".into())),
    }
}

fn positions(value: &Value) -> Result<Vec<DVec2>, RegionError> {
    list(value)?.iter().map(position).collect()
}

fn rings(value: &Value) -> Result<Vec<Vec<DVec2>>, RegionError> {
    list(value)?.iter().map(positions).collect()
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn error(&self, reason: impl Into<String>) -> RegionError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        RegionError::BadText { position: before.chars().count() + 1, reason: reason.into() }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn word(&mut self) -> &'t str {
        self.skip();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        &rest[..end]
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let word = self.word();
        let is = word.eq_ignore_ascii_case(wanted);
        self.at += if is { word.len() } else { 0 };
        is
    }

    fn take(&mut self, sign: char) -> bool {
        self.skip();
        let is = self.rest().starts_with(sign);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: char) -> Result<(), RegionError> {
        if self.take(sign) { Ok(()) } else { Err(self.error(format!("{sign:?} is expected"))) }
    }

    fn geometry(&mut self, parts: &mut Parts, depth: usize) -> Result<(), RegionError> {
        if depth > DEEPEST {
            return Err(self.error("collections are nested too deep"));
        }
        let word = self.word().to_ascii_uppercase();
        let known =
            ["POINT", "MULTIPOINT", "LINESTRING", "MULTILINESTRING", "POLYGON", "MULTIPOLYGON", "GEOMETRYCOLLECTION"];
        // `POLYGONZ` and `POLYGON Z` are both written.
        let kind = known
            .into_iter()
            .find(|kind| word.strip_prefix(kind).is_some_and(|after| matches!(after, "" | "Z" | "M" | "ZM")));
        let Some(kind) = kind else {
            return Err(self.error("a geometry begins with POINT, LINESTRING, POLYGON or one of their MULTI forms"));
        };
        self.at += word.len();
        let _ = self.take_word("ZM") || self.take_word("Z") || self.take_word("M");
        if self.take_word("EMPTY") {
            return Ok(());
        }
        match kind {
            "POINT" => parts.points.extend(self.path()?.first()),
            "MULTIPOINT" => {
                self.listed(&mut |reader| {
                    let is_nested = reader.take('(');
                    parts.points.push(reader.place()?);
                    if is_nested { reader.expect(')') } else { Ok(()) }
                })?;
            }
            "LINESTRING" => parts.paths.push(self.path()?),
            "MULTILINESTRING" => parts.paths.extend(self.paths()?),
            "POLYGON" => parts.polygons.push(self.paths()?),
            "MULTIPOLYGON" => self.listed(&mut |reader| {
                parts.polygons.push(reader.paths()?);
                Ok(())
            })?,
            _ => self.listed(&mut |reader| reader.geometry(parts, depth + 1))?,
        }
        Ok(())
    }

    /// `(one, one, …)`.
    fn listed(&mut self, one: &mut dyn FnMut(&mut Self) -> Result<(), RegionError>) -> Result<(), RegionError> {
        self.expect('(')?;
        loop {
            one(self)?;
            if !self.take(',') {
                return self.expect(')');
            }
        }
    }

    fn paths(&mut self) -> Result<Vec<Vec<DVec2>>, RegionError> {
        let mut paths = Vec::new();
        self.listed(&mut |reader| {
            paths.push(reader.path()?);
            Ok(())
        })?;
        Ok(paths)
    }

    fn path(&mut self) -> Result<Vec<DVec2>, RegionError> {
        let mut path = Vec::new();
        self.listed(&mut |reader| {
            path.push(reader.place()?);
            Ok(())
        })?;
        Ok(path)
    }

    fn place(&mut self) -> Result<DVec2, RegionError> {
        let place = DVec2::new(self.number()?, self.number()?);
        // Height and measure.
        for _ in 0..2 {
            self.skip();
            if !self.rest().starts_with([',', ')']) {
                self.number()?;
            }
        }
        Ok(place)
    }

    fn number(&mut self) -> Result<f64, RegionError> {
        self.skip();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(rest.len());
        let number = rest[..end].parse::<f64>().map_err(|_| self.error("a number is expected"))?;
        self.at += end;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        for (text, json) in [
            ("POINT(1 2)", r#"{"type":"Point","coordinates":[1,2,9]}"#),
            (" point z ( 1 2 3 ) ", r#"{"type":"Point","coordinates":[1,2]}"#),
            (
                "SRID=4326;LineStringZM(1 2 3 4,5.5 -6e1 7 8)",
                r#"{"type":"LineString","coordinates":[[1,2],[5.5,-60]]}"#,
            ),
            ("MULTIPOINT(1 2, (3 4))", r#"{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}"#),
            (
                "POLYGON((0 0,9 0,9 9,0 0),(1 1,2 1,2 2,1 1))",
                r#"{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9]],[[1,1],[2,1],[2,2]]]}}"#,
            ),
            (
                "MULTILINESTRING((1 2,3 4),(5 6,7 8))",
                r#"{"type":"MultiLineString","coordinates":[[[1,2],[3,4]],[[5,6],[7,8]]]}"#,
            ),
            ("MULTIPOLYGON(((0 0,9 0,9 9)))", r#"{"type":"MultiPolygon","coordinates":[[[[0,0],[9,0],[9,9],[0,0]]]]}"#),
            (
                "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(1 2, 3 4))",
                r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]},
                    {"type":"LineString","coordinates":[[1,2],[3,4]]}]}"#,
            ),
        ] {
            assert_eq!(Region::parse(text).unwrap(), Region::parse(json).unwrap(), "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_absurd_input_is_refused_quickly() {
        let position = |text: &str| match Region::parse(text) {
            Err(RegionError::BadText { position, .. }) => position,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(position("CIRCLE(1 2)"), 1);
        assert_eq!(position("POINT(1)"), 8);
        assert_eq!(position("POINT 1 2"), 7);
        assert_eq!(position("POLYGON((0 0, 1 0, 1 1)"), 24);
        assert_eq!(position("POINT(1 2) x"), 12);
        assert_eq!(position("LINESTRING(1 2, 3 四)"), 19);
        assert_eq!(position("POINT(1 2 3 4 5)"), 15);
        assert_eq!(position(&"GEOMETRYCOLLECTION(".repeat(1_000)), 19 * 9 + 1);
        assert_eq!(Region::parse("POLYGON EMPTY").unwrap_err(), RegionError::Empty);
        assert_eq!(Region::parse("POLYGON((0 0, 1 1, 0 0))").unwrap_err(), RegionError::ShortRing(2));
        assert!(Region::parse("POINT(nan 1)").is_err() && Region::parse("POINT(1e999 1)").is_err());
        assert!(Region::parse(&"(".repeat(LONGEST + 1)).is_err());
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Region::parse(&format!(r#"{{"type":"Polygon","coordinates":{deep}}}"#)).is_err());
        for bad in ["{}", r#"{"type":"Point"}"#, r#"{"type":"Point","coordinates":["a",1]}"#, r#"{"type":"Box"}"#, "{"]
        {
            assert!(matches!(Region::parse(bad), Err(RegionError::BadJson(_))), "{bad}");
        }
    }
}
