//! Coordinate reference systems: where numbers lie on the Earth.
//!
//! The EPSG register and the projections come from crates; what is done here is to read the descriptions that files
//! bring ([`Crs::parse`]), to find their code, to decide which datums may be taken as equal, which are shifted and
//! which have no trusted path ([`Transform`]), and to place the city on the globe ([`Frame`]).
//!
//! x is always east or longitude and y north or latitude, whatever order the register gives its axes.

mod datum;
mod frame;
mod parameter;
mod patch;
mod proposal;
mod register;
mod transform;
mod wkt;

use serde::{Deserialize, Serialize};

pub use frame::{Frame, ecef_from_geographic, geographic_from_ecef};
use parameter::Parameters;
pub use transform::Transform;

/// A horizontal coordinate reference system (坐标系), with the height datum kept apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crs {
    /// EPSG code, where it has one.
    pub epsg: Option<u32>,
    /// Name as the register or the file has it.
    pub name: String,
    /// Parameters in PROJ's notation.
    pub proj4: String,
    /// Whether coordinates are degrees of longitude and latitude.
    pub is_geographic: bool,
    /// Metres per unit of the plane coordinates (1 for metres, 0.3048… for feet); 1 when geographic.
    pub unit_m: f64,
    /// Datum in one short word, the same whoever wrote the description: `wgs84`, `china2000`, `beijing1954`.
    #[serde(default)]
    pub datum: String,
}

/// What to do about a system or a way that the built-in register does not have.
#[cfg(not(feature = "proj"))]
const MORE: &str = "a build with --features proj reads more";
#[cfg(feature = "proj")]
const MORE: &str = "PROJ has no way either";

/// Why a coordinate system could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CrsError {
    /// The code is not in the register that is built in.
    #[error("EPSG:{0} is not known; {MORE}")]
    UnknownCode(u32),
    /// The text is no WKT that is understood.
    #[error("coordinate system text not understood: {0}; {MORE}")]
    BadText(String),
    /// No path between the two.
    #[error("no transformation from {from} to {to}: {reason}")]
    NoPath {
        /// Source system.
        from: String,
        /// Target system.
        to: String,
        /// Why.
        reason: String,
    },
}

impl Crs {
    /// The system with this EPSG code.
    pub fn from_epsg(code: u32) -> Result<Self, CrsError> {
        let entry = register::entry(code).ok_or(CrsError::UnknownCode(code))?;
        Self::build(Some(code), entry.name, entry.datum, entry.parameters)
    }

    /// The system described by `EPSG:4549`, `urn:ogc:def:crs:EPSG::28992`, `http://www.opengis.net/def/crs/EPSG/0/4490`,
    /// `CRS84`, WKT 1 (OGC or ESRI), the common part of WKT 2, or a PROJ string.
    ///
    /// A description that equals an entry of the register in datum and parameters gets its code. A code that a WKT
    /// carries (`AUTHORITY`) is not trusted: only the parameters say what the numbers mean.
    ///
    /// ```
    /// use groundline_engine::crs::Crs;
    /// let crs = Crs::parse("urn:ogc:def:crs:EPSG::4549")?;
    /// assert_eq!(crs.name, "CGCS2000 / 3-degree Gauss-Kruger CM 120E");
    /// # Ok::<(), groundline_engine::crs::CrsError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, CrsError> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
        if let Some(code) = named_code(text) {
            return Self::from_epsg(code);
        }
        if text.starts_with('+') {
            let parameters = Parameters::parse(text);
            let datum = datum::datum_key_of(&parameters);
            let epsg = register::code_of("", &datum, &parameters);
            let name = match epsg.and_then(register::entry) {
                Some(entry) => entry.name,
                None => parameters.text(),
            };
            return Self::build(epsg, name, datum, parameters);
        }
        if text.contains(['[', '(']) {
            return wkt::parse(text);
        }
        Err(CrsError::BadText(text.chars().take(120).collect()))
    }

    /// `EPSG:4549`, or the name where there is no code.
    pub fn label(&self) -> String {
        self.epsg.map_or_else(|| self.name.clone(), |code| format!("EPSG:{code}"))
    }

    /// The projected metric system that a city in geographic coordinates (degrees) is best built in:
    /// CGCS2000 / 3-degree Gauss-Krüger within China, WGS 84 / UTM elsewhere, UPS around the poles.
    pub fn city_default(lon_deg: f64, lat_deg: f64) -> Result<Self, CrsError> {
        if !(lon_deg.abs() <= 180.0 && lat_deg.abs() <= 90.0) {
            return Err(CrsError::BadText(format!("longitude {lon_deg}, latitude {lat_deg} is no place on the Earth")));
        }
        if is_in_china(lon_deg, lat_deg) {
            let zone = (lon_deg / 3.0).round().clamp(25.0, 45.0) as u32;
            return Self::from_epsg(4534 + zone - 25);
        }
        let zone = ((lon_deg + 180.0) / 6.0).floor().clamp(0.0, 59.0) as u32 + 1;
        Self::from_epsg(match lat_deg {
            lat if lat >= 84.0 => 32661,
            lat if lat < -80.0 => 32761,
            lat if lat < 0.0 => 32700 + zone,
            _ => 32600 + zone,
        })
    }

    /// The geographic system (degrees) on the same datum.
    pub fn geographic(&self) -> Result<Self, CrsError> {
        let parameters = self.parameters().geographic().with_ellipsoid();
        Self::build(
            register::code_of("", &self.datum, &parameters),
            format!("{} (longitude, latitude)", self.name),
            self.datum.clone(),
            parameters,
        )
    }

    fn build(epsg: Option<u32>, name: String, datum: String, parameters: Parameters) -> Result<Self, CrsError> {
        let bad = |reason: String| CrsError::BadText(format!("{name}: {reason}"));
        let projection = parameters.get("proj").ok_or_else(|| bad("no projection".into()))?;
        let is_geographic = matches!(projection, "longlat" | "latlong" | "lonlat" | "latlon");
        if matches!(projection, "geocent" | "cart") {
            return Err(bad("geocentric coordinates are not supported".into()));
        }
        let unit_m = parameters.unit_m().ok_or_else(|| bad("unknown unit".into()))?;
        Ok(Self {
            epsg,
            unit_m: if is_geographic { 1.0 } else { unit_m },
            proj4: parameters.text(),
            is_geographic,
            datum,
            name,
        })
    }

    fn parameters(&self) -> Parameters {
        Parameters::parse(&self.proj4)
    }
}

/// The code in `EPSG:4549`, `epsg::4549`, `urn:ogc:def:crs:EPSG:6.9:4549`, `…/def/crs/EPSG/0/4549`, `4549`;
/// OGC's CRS84 is WGS 84 with longitude first, which is how 4326 is read here anyway.
fn named_code(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    if lower == "wgs84" || lower.ends_with("crs84") || lower.ends_with("crs84h") {
        return Some(4326);
    }
    let is_code_form = lower.bytes().all(|b| b.is_ascii_digit()) || lower.contains("epsg");
    if !is_code_form || lower.contains(['[', '(', '+']) {
        return None;
    }
    lower.rsplit([':', '/', '#', ' ']).next()?.trim_start_matches("epsg").parse().ok()
}

/// Whether a place lies in China, by a polygon of some forty corners: a few tens of kilometres off at the borders,
/// which decides no more than which default grid is proposed.
fn is_in_china(lon_deg: f64, lat_deg: f64) -> bool {
    let mut is_inside = false;
    let mut before = CHINA[CHINA.len() - 1];
    for corner in CHINA {
        let crosses = (corner.1 > lat_deg) != (before.1 > lat_deg);
        if crosses && lon_deg < (before.0 - corner.0) * (lat_deg - corner.1) / (before.1 - corner.1) + corner.0 {
            is_inside = !is_inside;
        }
        before = *corner;
    }
    is_inside
}

/// Rough outline, longitude and latitude.
#[rustfmt::skip]
const CHINA: &[(f64, f64)] = &[
    (73.5, 39.5), (74.9, 37.2), (78.0, 35.5), (78.5, 32.5), (79.0, 31.0), (81.5, 30.2), (86.0, 27.9), (88.8, 27.3),
    (92.0, 27.7), (97.0, 27.7), (97.5, 24.0), (99.0, 22.0), (101.5, 21.1), (102.5, 22.4), (105.0, 22.9), (106.7, 22.0),
    (108.0, 21.4), (108.0, 18.0), (111.5, 18.0), (115.0, 21.5), (118.5, 23.3), (119.5, 24.8), (122.5, 28.0),
    (123.0, 31.0), (122.8, 34.0), (123.2, 37.0), (121.8, 38.6), (124.3, 39.9), (126.9, 41.5), (128.2, 41.9),
    (130.8, 42.4), (131.3, 44.8), (133.2, 45.0), (135.1, 48.4), (131.0, 47.7), (130.6, 49.0), (127.5, 50.0),
    (125.5, 53.0), (121.0, 53.5), (119.7, 50.3), (117.8, 49.5), (116.0, 49.8), (115.5, 47.7), (119.0, 46.8),
    (111.9, 45.0), (111.8, 43.7), (109.0, 42.4), (105.0, 41.6), (100.0, 42.6), (96.4, 42.7), (91.0, 45.2),
    (87.5, 49.1), (85.6, 48.2), (83.0, 47.2), (82.4, 45.2), (80.2, 45.0), (80.3, 42.2), (76.9, 40.8), (73.7, 39.8),
];

#[cfg(test)]
mod referee;

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;

    #[test]
    fn a_code_is_named_in_many_ways() {
        for text in [
            "EPSG:4549",
            "epsg:4549",
            "4549",
            "urn:ogc:def:crs:EPSG::4549",
            "urn:ogc:def:crs:EPSG:6.9:4549",
            "http://www.opengis.net/def/crs/EPSG/0/4549",
            "http://www.opengis.net/gml/srs/epsg.xml#4549",
            "\u{feff}EPSG:4549\n",
        ] {
            assert_eq!(Crs::parse(text).unwrap().epsg, Some(4549), "{text}");
        }
        assert_eq!(Crs::parse("urn:ogc:def:crs:OGC:1.3:CRS84").unwrap().epsg, Some(4326));
        assert!(matches!(Crs::parse("EPSG:99999"), Err(CrsError::UnknownCode(99999))));
        assert!(matches!(Crs::parse("Qingdao"), Err(CrsError::BadText(_))));
    }

    #[test]
    fn a_proj_string_finds_its_code() {
        let crs = Crs::parse("+proj=utm +zone=51 +datum=WGS84 +units=m +no_defs").unwrap();
        assert_eq!((crs.epsg, crs.is_geographic), (Some(32651), false));
        let local = Crs::parse("+proj=tmerc +lon_0=120.333 +x_0=100000 +ellps=GRS80 +units=m").unwrap();
        assert_eq!(local.epsg, None);
    }

    #[test]
    fn qingdao_lies_where_the_register_puts_it() {
        let wgs84 = Crs::from_epsg(4490).unwrap();
        for (code, east, north) in [
            (4549, 534_467.459, 3_993_055.813),
            (4528, 40_534_467.459, 3_993_055.813),
            (4510, 264_180.263, 3_996_160.485),
            (4499, 21_264_180.263, 3_996_160.485),
            (4498, 20_804_783.876, 3_998_288.374),
        ] {
            let transform = Transform::new(&wgs84, &Crs::from_epsg(code).unwrap()).unwrap();
            let at = transform.point(DVec3::new(120.3826, 36.0671, 7.0)).unwrap();
            assert!((at.x - east).abs() < 1e-3 && (at.y - north).abs() < 1e-3, "EPSG:{code}: {at}");
            assert_eq!(at.z, 7.0, "z passes through");
            assert_eq!(transform.note(), None);
        }
    }

    #[test]
    fn every_zone_code_of_the_chinese_datums_has_its_central_meridian() {
        let lon_0 = |code: u32| Crs::from_epsg(code).unwrap().parameters().shape().unwrap();
        for zone in 25..=45_u32 {
            let by_meridian = lon_0(4534 + zone - 25);
            let text = format!("+proj=tmerc +lon_0={} +x_0=500000 +ellps=GRS80", zone * 3);
            assert!(by_meridian.agrees(&Parameters::parse(&text).shape().unwrap()), "EPSG:{}", 4534 + zone - 25);
            let text = format!("+proj=tmerc +lon_0={} +x_0={}500000 +ellps=GRS80", zone * 3, zone);
            assert!(lon_0(4513 + zone - 25).agrees(&Parameters::parse(&text).shape().unwrap()));
        }
        for zone in 13..=23_u32 {
            let text = format!("+proj=tmerc +lon_0={} +x_0={}500000 +ellps=GRS80", zone * 6 - 3, zone);
            assert!(lon_0(4491 + zone - 13).agrees(&Parameters::parse(&text).shape().unwrap()));
        }
    }

    #[test]
    fn old_chinese_datums_meet_no_other() {
        let crs = |code| Crs::from_epsg(code).unwrap();
        for (from, to) in [(2415, 4547), (2385, 4326), (4490, 4214), (4214, 4610), (4555, 4549)] {
            let path = Transform::new(&crs(from), &crs(to));
            assert!(matches!(path, Err(CrsError::NoPath { .. })), "EPSG:{from} to EPSG:{to}");
        }
        let within = Transform::new(&crs(2415), &crs(4214)).unwrap();
        let at = within.point(DVec3::new(39_444_813.9, 2_840_490.8, 0.0)).unwrap();
        assert!((at.x - 116.45).abs() < 0.1 && (at.y - 25.67).abs() < 0.1, "{at}");
    }

    #[test]
    fn equal_datums_say_so() {
        let crs = |code| Crs::from_epsg(code).unwrap();
        let note = Transform::new(&crs(4326), &crs(4549)).unwrap().note().unwrap();
        assert!(note.contains("wgs84") && note.contains("china2000"), "{note}");
        assert!(Transform::new(&crs(28992), &crs(32631)).unwrap().note().unwrap().contains("Amersfoort"));
        assert!(Transform::new(&crs(4549), &crs(4549)).unwrap().is_identity());
    }

    #[test]
    fn a_point_that_is_no_place_becomes_nan_and_leaves_the_others_alone() {
        let transform = Transform::new(&Crs::from_epsg(4326).unwrap(), &Crs::from_epsg(4549).unwrap()).unwrap();
        let good = DVec3::new(120.0, 36.0, 1.0);
        let mut points = [good, DVec3::new(36.0, 120.0, 1.0), DVec3::new(f64::NAN, 1.0, 0.0), good];
        transform.apply(&mut points);
        assert_eq!(points[0], points[3]);
        assert!(points[0].is_finite() && points[1].x.is_nan() && points[2].x.is_nan());
        assert_eq!(transform.point(DVec3::new(36.0, 120.0, 0.0)), None);
    }

    #[test]
    fn a_city_gets_the_grid_of_its_country() {
        for (lon, lat, code) in [
            (120.38, 36.07, 4549),
            (116.4, 39.9, 4547 + 1),
            (113.9, 22.5, 4547),
            (87.6, 43.8, 4538),
            (4.37, 52.0, 32631),
            (13.4, 52.5, 32633),
            (-84.5, 38.0, 32616),
            (151.2, -33.9, 32756),
            (126.97, 37.5, 32652),
            (106.9, 47.9, 32648),
            (139.7, 35.7, 32654),
            (0.0, 88.0, 32661),
        ] {
            assert_eq!(Crs::city_default(lon, lat).unwrap().epsg, Some(code), "{lon}, {lat}");
        }
        assert!(Crs::city_default(36.0, 120.0).is_err());
    }
}
