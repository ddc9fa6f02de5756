//! Coordinate reference systems: where numbers lie on the Earth.
//!
//! The EPSG register and the projections come from crates; what is done here is to read the descriptions that files
//! bring ([`Crs::parse`]), to find their code, to decide which datums may be taken as equal, which are shifted and
//! which have no trusted path ([`Transform`]), and to place the city on the globe ([`Frame`]).
//!
//! x is always east or longitude and y north or latitude, whatever order the register gives its axes.

mod datum;
mod frame;
mod geocentric;
mod height;
#[cfg(feature = "proj")]
mod outside;
mod parameter;
mod patch;
mod proposal;
mod register;
mod transform;
mod wkt;

use serde::{Deserialize, Serialize};

pub use frame::Frame;
pub use geocentric::{ecef_from_geographic, geographic_from_ecef, geographic_from_ecef_all};
pub use height::Heights;
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
    /// What heights are in, where that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertical: Option<Heights>,
}

/// PROJ where it is built in: its release, or why it cannot be asked. `None` in a build without the feature `proj`.
pub fn proj_state() -> Option<Result<&'static str, &'static str>> {
    #[cfg(feature = "proj")]
    return Some(outside::state());
    #[cfg(not(feature = "proj"))]
    None
}

/// What to do about a system or a way that the built-in register does not have.
fn more() -> &'static str {
    match proj_state() {
        None => "a build with --features proj reads more",
        Some(Ok(_)) => "PROJ does not have it either",
        Some(Err(reason)) => reason,
    }
}

/// Why a coordinate system could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CrsError {
    /// The code is not in the register that is built in.
    #[error("EPSG:{0} is not known; {more}", more = more())]
    UnknownCode(u32),
    /// The text is no WKT that is understood.
    #[error("coordinate system text not understood: {0}; {more}", more = more())]
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
    ///
    /// A compound system (horizontal and heights) gives both parts.
    pub fn from_epsg(code: u32) -> Result<Self, CrsError> {
        if let Some((horizontal, height)) = height::parts_of(code) {
            return Self::from_epsg(horizontal)?.with_heights(height);
        }
        if let Some(entry) = register::entry(code) {
            return Self::build(Some(code), entry.name, entry.datum, entry.parameters);
        }
        #[cfg(feature = "proj")]
        if let Some(crs) = outside::system(&format!("EPSG:{code}"), Some(code)) {
            return Ok(crs);
        }
        Err(CrsError::UnknownCode(code))
    }

    /// The same with heights in the system with this code.
    fn with_heights(mut self, code: u32) -> Result<Self, CrsError> {
        self.vertical = Some(height::Heights::from_epsg(code).map_err(CrsError::BadText)?);
        Ok(self)
    }

    /// The system described by `EPSG:4549`, `EPSG:2263+6360` (heights in feet), `urn:ogc:def:crs:EPSG::28992`, `http://www.opengis.net/def/crs/EPSG/0/4490`,
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
        if let Some((horizontal, height)) = text.split_once('+')
            && let (Some(horizontal), Some(height)) = (named_code(horizontal), named_code(height))
        {
            return Self::from_epsg(horizontal)?.with_heights(height);
        }
        if let Some(code) = named_code(text) {
            return Self::from_epsg(code);
        }
        if text.starts_with('+') {
            let parameters = Parameters::parse(text);
            let datum = datum::datum_key_of(&parameters);
            let epsg = register::code_of("", &datum, &parameters);
            let name = match epsg.and_then(register::entry) {
                Some(entry) => entry.name,
                // A local system's parameters are not for reports.
                None => format!("local system {}", short_hash(&parameters.text())),
            };
            return Self::build(epsg, name, datum, parameters);
        }
        if text.contains(['[', '(']) {
            let read = wkt::parse(text);
            #[cfg(feature = "proj")]
            let read = read.or_else(|error| outside::system(text, None).ok_or(error));
            return read;
        }
        Err(CrsError::BadText(text.chars().take(120).collect()))
    }

    /// `EPSG:4549`, or the name where there is no code: of the plane alone, whatever heights are in.
    pub fn label(&self) -> String {
        self.epsg.map_or_else(|| self.name.clone(), |code| format!("EPSG:{code}"))
    }

    /// Metres per unit of height, where it is said; 1 is never assumed here.
    pub fn height_unit_m(&self) -> Option<f64> {
        self.vertical.as_ref().map(|heights| heights.unit_m)
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
        #[cfg(feature = "proj")]
        if !self.proj4.starts_with('+') {
            let none = || CrsError::BadText(format!("{} has no geographic base", self.name));
            return if self.is_geographic { Ok(self.clone()) } else { outside::base(self).ok_or_else(none) };
        }
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
            vertical: None,
        })
    }

    fn parameters(&self) -> Parameters {
        Parameters::parse(&self.proj4)
    }
}

/// Eight digits that tell texts apart and say nothing of them.
fn short_hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().as_str().chars().take(8).collect()
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
        assert!(local.label().starts_with("local system ") && !local.label().contains("120"), "{}", local.label());
    }

    #[test]
    fn heights_have_a_unit_and_a_name() {
        for text in ["EPSG:2263+6360", "EPSG:2263+EPSG:6360", " 2263+6360"] {
            let crs = Crs::parse(text).unwrap();
            assert_eq!((crs.epsg, crs.label().as_str()), (Some(2263), "EPSG:2263"), "{text}");
            assert!((crs.height_unit_m().unwrap() - 1200.0 / 3937.0).abs() < 1e-12);
            assert_eq!(crs.vertical.unwrap().name, "NAVD88 height (ftUS)");
        }
        let dutch = Crs::parse("EPSG:7415").unwrap();
        assert_eq!((dutch.label().as_str(), dutch.height_unit_m()), ("EPSG:28992", Some(1.0)));
        assert_eq!(Crs::from_epsg(2263).unwrap().height_unit_m(), None);
        assert!(Crs::parse("EPSG:2263+6358").unwrap_err().to_string().contains("depths"));
        assert!(Crs::parse("EPSG:2263+4326").is_err());
        let text = serde_json::to_string(&Crs::from_epsg(4549).unwrap()).unwrap();
        assert!(!text.contains("vertical"), "{text}");
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

    /// Places of a system: inside, on borders of patches, far outside, and none at all.
    fn places(is_geographic: bool, count: usize) -> Vec<DVec3> {
        let mut state = 20_131_122_u64;
        let mut chance = move |span: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 2.0 * span
        };
        let (wide, high, side) = if is_geographic { (200.0, 95.0, 0.5) } else { (2.5e7, 2.5e7, 65_536.0) };
        let mut places: Vec<DVec3> = (0..count).map(|_| DVec3::new(chance(wide), chance(high), chance(1e4))).collect();
        for i in 0..count / 10 {
            let edge = DVec3::new((places[i].x / side).round() * side, places[i].y, 1.0);
            let nudge = DVec3::new(side * 1e-12, 0.0, 0.0);
            places.extend([edge, edge + nudge, edge - nudge, (places[i] / side).round() * side]);
        }
        for odd in
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e12, 90.0, -90.0, 180.0, 540.0, 90.000_001, 0.0]
        {
            places.extend([DVec3::new(odd, 30.0, 5.0), DVec3::new(100.0, odd, 5.0), DVec3::splat(odd)]);
        }
        places
    }

    #[test]
    fn the_bulk_way_is_the_exact_way_wherever_a_point_lies() {
        for (from, to) in [
            (4549, 4326),
            (4326, 4549),
            (4549, 3857),
            (3857, 4326),
            (4326, 3857),
            (32601, 4326),
            (4326, 32661),
            (32661, 4326),
            (3031, 4326),
            (2263, 4269),
            (4269, 2263),
            (28992, 4326),
            (4326, 28992),
            (2326, 4549),
            (4326, 5514),
            (6931, 4326),
            (4526, 4549),
        ] {
            let (source, target) = (Crs::from_epsg(from).unwrap(), Crs::from_epsg(to).unwrap());
            let Ok(way) = Transform::new(&source, &target) else { continue };
            let points = places(source.is_geographic, 3000);
            let (mut exact, mut bulk) = (points.clone(), points.clone());
            way.apply_exact(&mut exact);
            way.apply(&mut bulk);
            let unit_m = if target.is_geographic { 111_320.0 } else { target.unit_m };
            for ((point, exact), bulk) in points.iter().zip(&exact).zip(&bulk) {
                assert!(bulk.z.to_bits() == point.z.to_bits(), "EPSG:{from} to EPSG:{to}: height of {point}");
                let apart = (bulk.x - exact.x).abs().max((bulk.y - exact.y).abs()) * unit_m;
                let is_none = !(exact.x.is_finite() && exact.y.is_finite());
                let is_same = if is_none { !(bulk.x.is_finite() && bulk.y.is_finite()) } else { apart < 1e-4 };
                assert!(is_same, "EPSG:{from} to EPSG:{to} at {point}: {bulk}, exact {exact}");
            }
        }
    }

    #[test]
    fn a_point_does_not_depend_on_the_batch_or_the_thread() {
        let way = Transform::new(&Crs::from_epsg(4549).unwrap(), &Crs::from_epsg(4326).unwrap()).unwrap();
        let points: Vec<DVec3> = (0..4000).map(|i| DVec3::new(3e5 + 97.0 * f64::from(i), 3.9e6, 1.0)).collect();
        let mut wanted = points.clone();
        way.apply(&mut wanted);
        let fresh = Transform::new(&Crs::from_epsg(4549).unwrap(), &Crs::from_epsg(4326).unwrap()).unwrap();
        let mut got = points;
        std::thread::scope(|scope| {
            for (i, part) in got.chunks_mut(997).enumerate() {
                let way = fresh.clone();
                scope.spawn(move || part.chunks_mut(1 + i * 13).rev().for_each(|some| way.apply(some)));
            }
        });
        assert_eq!(got, wanted);
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
