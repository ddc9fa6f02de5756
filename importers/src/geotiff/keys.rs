//! GeoKeys: how GeoTIFF and LAS name a coordinate system (OGC 19-008r4, chapter 7).

use groundline_engine::crs::Crs;

/// Metres in a US survey foot.
pub(crate) const US_SURVEY_FOOT_M: f64 = 1200.0 / 3937.0;
/// Metres in an international foot.
pub(crate) const FOOT_M: f64 = 0.3048;

/// Keys beyond this number are not read: the register knows about 70.
const MAX_KEYS: usize = 512;

const MODEL_TYPE: u16 = 1024;
const RASTER_TYPE: u16 = 1025;
const CITATION: u16 = 1026;
const GEODETIC_CRS: u16 = 2048;
const GEOG_CITATION: u16 = 2049;
const ELLIPSOID: u16 = 2056;
const ANGULAR_UNITS: u16 = 2054;
const SEMI_MAJOR: u16 = 2057;
const SEMI_MINOR: u16 = 2058;
const INVERSE_FLATTENING: u16 = 2059;
const PROJECTED_CRS: u16 = 3072;
const PROJECTED_CITATION: u16 = 3073;
const METHOD: u16 = 3075;
const LINEAR_UNITS: u16 = 3076;
const LINEAR_UNIT_SIZE: u16 = 3077;
const STD_PARALLEL_1: u16 = 3078;
const STD_PARALLEL_2: u16 = 3079;
const NAT_ORIGIN_LONG: u16 = 3080;
const NAT_ORIGIN_LAT: u16 = 3081;
const FALSE_EASTING: u16 = 3082;
const FALSE_NORTHING: u16 = 3083;
const FALSE_ORIGIN_LONG: u16 = 3084;
const FALSE_ORIGIN_LAT: u16 = 3085;
const FALSE_ORIGIN_EASTING: u16 = 3086;
const FALSE_ORIGIN_NORTHING: u16 = 3087;
const CENTER_LONG: u16 = 3088;
const CENTER_LAT: u16 = 3089;
const SCALE_AT_NAT_ORIGIN: u16 = 3092;
const VERTICAL_UNITS: u16 = 4099;

/// "User-defined": the parameters stand in further keys.
const USER_DEFINED: u16 = 32767;

#[derive(Clone, Debug, PartialEq)]
enum KeyValue {
    Short(u16),
    Doubles(Vec<f64>),
    Text(String),
}

/// The keys of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeoKeys {
    entries: Vec<(u16, KeyValue)>,
}

/// What the keys say about the coordinate system: a system that is understood, or the text to show when it is not.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyCrs {
    /// The system.
    pub crs: Option<Crs>,
    /// Code or citation, for the error message.
    pub text: Option<String>,
}

impl GeoKeys {
    /// Reads the directory (`GeoKeyDirectoryTag` 34735, LAS record 34735) with its two parameter stores.
    /// A key that points outside its store is left out.
    pub fn parse(directory: &[u16], doubles: &[f64], ascii: &[u8]) -> Self {
        let mut entries = Vec::new();
        for key in directory.chunks_exact(4).skip(1).take(MAX_KEYS) {
            let (id, store, count, value) = (key[0], key[1], usize::from(key[2]), usize::from(key[3]));
            let value = match store {
                0 if id != 0 => Some(KeyValue::Short(key[3])),
                34736 => doubles.get(value..value + count).map(|d| KeyValue::Doubles(d.to_vec())),
                34737 => ascii.get(value..(value + count).min(ascii.len())).map(|text| {
                    KeyValue::Text(String::from_utf8_lossy(text).trim_end_matches(['|', '\0', ' ']).to_owned())
                }),
                _ => None,
            };
            if let Some(value) = value {
                entries.push((id, value));
            }
        }
        Self { entries }
    }

    fn value(&self, id: u16) -> Option<&KeyValue> {
        self.entries.iter().find(|(key, _)| *key == id).map(|(_, value)| value)
    }

    fn short(&self, id: u16) -> Option<u16> {
        match self.value(id)? {
            KeyValue::Short(v) => Some(*v),
            _ => None,
        }
    }

    fn double(&self, id: u16) -> Option<f64> {
        match self.value(id)? {
            KeyValue::Doubles(v) => v.first().copied().filter(|v| v.is_finite()),
            _ => None,
        }
    }

    fn text(&self, id: u16) -> Option<&str> {
        match self.value(id)? {
            KeyValue::Text(t) if !t.is_empty() => Some(t),
            _ => None,
        }
    }

    /// Whether a raster's tie points name pixel centres (`RasterPixelIsPoint`) and not outer corners.
    pub fn is_pixel_point(&self) -> bool {
        self.short(RASTER_TYPE) == Some(2)
    }

    /// Metres in a unit of z, where `VerticalUnitsGeoKey` states one.
    pub fn vertical_unit_m(&self) -> Option<f64> {
        self.short(VERTICAL_UNITS).and_then(linear_unit_m)
    }

    /// Metres in a unit of the plane, where the keys state one.
    pub fn plane_unit_m(&self) -> Option<f64> {
        match self.short(LINEAR_UNITS) {
            Some(USER_DEFINED) => self.double(LINEAR_UNIT_SIZE).filter(|m| *m > 0.0),
            Some(code) => linear_unit_m(code),
            None => None,
        }
    }

    /// The coordinate system.
    pub fn crs(&self) -> KeyCrs {
        let citation = [PROJECTED_CITATION, CITATION, GEOG_CITATION].iter().find_map(|id| self.text(*id));
        let model = self.short(MODEL_TYPE);
        if let Some(code) = self.short(PROJECTED_CRS).filter(|code| (1024..USER_DEFINED).contains(code)) {
            return match Crs::from_epsg(u32::from(code)) {
                Ok(crs) => self.in_stated_unit(crs),
                Err(_) => unknown_code(code, citation),
            };
        }
        let is_projected = model == Some(1) || self.short(PROJECTED_CRS) == Some(USER_DEFINED);
        if is_projected {
            let esri = citation.and_then(|text| text.split_once("ESRI PE String = ")).map(|(_, wkt)| wkt);
            let built = esri.and_then(|wkt| Crs::parse(wkt).ok()).or_else(|| self.user_defined(citation));
            return match built {
                Some(crs) => KeyCrs { crs: Some(crs), text: None },
                None => KeyCrs { crs: None, text: citation.map(str::to_owned) },
            };
        }
        if model == Some(3) {
            return KeyCrs { crs: None, text: Some(citation.unwrap_or("geocentric coordinates").to_owned()) };
        }
        match self.short(GEODETIC_CRS).filter(|code| (1024..USER_DEFINED).contains(code)) {
            Some(code) => match Crs::from_epsg(u32::from(code)) {
                Ok(crs) => KeyCrs { crs: Some(crs), text: None },
                Err(_) => unknown_code(code, citation),
            },
            None => KeyCrs { crs: None, text: citation.map(str::to_owned) },
        }
    }

    /// Files name a metric system and state feet beside it; the coordinates are feet then, as GDAL reads them too.
    fn in_stated_unit(&self, crs: Crs) -> KeyCrs {
        let Some(unit_m) = self.plane_unit_m().filter(|unit| (unit - crs.unit_m).abs() > 1e-9) else {
            return KeyCrs { crs: Some(crs), text: None };
        };
        let mut proj4: Vec<&str> = crs
            .proj4
            .split_whitespace()
            .filter(|token| !token.starts_with("+units=") && !token.starts_with("+to_meter="))
            .collect();
        let to_meter = format!("+to_meter={unit_m}");
        proj4.push(&to_meter);
        let text = format!("{} in units of {unit_m} m", crs.label());
        match Crs::parse(&proj4.join(" ")) {
            Ok(parsed) => KeyCrs { crs: Some(Crs { name: text, ..parsed }), text: None },
            Err(_) => KeyCrs { crs: None, text: Some(text) },
        }
    }

    /// A system described by method and parameters (OGC 19-008r4, 7.5).
    fn user_defined(&self, citation: Option<&str>) -> Option<Crs> {
        if self.short(ANGULAR_UNITS).is_some_and(|unit| unit != 9102) {
            return None;
        }
        let unit_m = self.plane_unit_m().unwrap_or(1.0);
        let any = |ids: &[u16]| ids.iter().find_map(|id| self.double(*id));
        let lon = any(&[NAT_ORIGIN_LONG, FALSE_ORIGIN_LONG, CENTER_LONG]).unwrap_or(0.0);
        let lat = any(&[NAT_ORIGIN_LAT, FALSE_ORIGIN_LAT, CENTER_LAT]).unwrap_or(0.0);
        let east = any(&[FALSE_EASTING, FALSE_ORIGIN_EASTING]).unwrap_or(0.0) * unit_m;
        let north = any(&[FALSE_NORTHING, FALSE_ORIGIN_NORTHING]).unwrap_or(0.0) * unit_m;
        let scale = self.double(SCALE_AT_NAT_ORIGIN).unwrap_or(1.0);
        let parallels = || Some((self.double(STD_PARALLEL_1)?, self.double(STD_PARALLEL_2)?));
        let method = match self.short(METHOD)? {
            1 => format!("+proj=tmerc +lat_0={lat} +lon_0={lon} +k={scale}"),
            7 => format!("+proj=merc +lon_0={lon} +k={scale}"),
            8 => {
                let (first, second) = parallels()?;
                format!("+proj=lcc +lat_1={first} +lat_2={second} +lat_0={lat} +lon_0={lon}")
            }
            9 => format!("+proj=lcc +lat_1={lat} +lat_0={lat} +lon_0={lon} +k_0={scale}"),
            10 => format!("+proj=laea +lat_0={lat} +lon_0={lon}"),
            11 => {
                let (first, second) = parallels()?;
                format!("+proj=aea +lat_1={first} +lat_2={second} +lat_0={lat} +lon_0={lon}")
            }
            _ => return None,
        };
        let text = format!("{method} +x_0={east} +y_0={north} {} +to_meter={unit_m} +no_defs", self.ellipsoid()?);
        let parsed = Crs::parse(&text).ok()?;
        Some(Crs { name: citation.map_or(parsed.name, str::to_owned), ..parsed })
    }

    fn ellipsoid(&self) -> Option<String> {
        if let Some(a) = self.double(SEMI_MAJOR) {
            if let Some(rf) = self.double(INVERSE_FLATTENING) {
                return Some(format!("+a={a} +rf={rf}"));
            }
            return self.double(SEMI_MINOR).map(|b| format!("+a={a} +b={b}"));
        }
        let name = match (self.short(GEODETIC_CRS), self.short(ELLIPSOID)) {
            (Some(4326), _) | (_, Some(7030)) => "WGS84",
            (Some(4258 | 4269 | 4490 | 4612 | 6318), _) | (_, Some(7019)) => "GRS80",
            (Some(4214), _) | (_, Some(7024)) => "krass",
            (_, Some(7004)) => "bessel",
            (_, Some(7022)) => "intl",
            (_, Some(7008)) => "clrk66",
            _ => return None,
        };
        Some(format!("+ellps={name}"))
    }
}

fn unknown_code(code: u16, citation: Option<&str>) -> KeyCrs {
    let text = citation.map_or_else(|| format!("EPSG:{code}"), |c| format!("EPSG:{code} ({c})"));
    KeyCrs { crs: None, text: Some(text) }
}

/// Metres in a unit of length by its EPSG code.
pub(crate) fn linear_unit_m(code: u16) -> Option<f64> {
    match code {
        9001 => Some(1.0),
        9002 => Some(FOOT_M),
        9003 => Some(US_SURVEY_FOOT_M),
        9005 => Some(0.304_797_265_4),
        9036 => Some(1000.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_their_stores_and_bad_pointers_are_left_out() {
        let directory = [
            1, 1, 0, 5, // header
            1024, 0, 1, 1, // projected
            1025, 0, 1, 2, // pixel is point
            1026, 34737, 6, 0, // citation
            3082, 34736, 1, 9, // outside the doubles
            4099, 0, 1, 9003, // feet
        ];
        let keys = GeoKeys::parse(&directory, &[1.0], b"Town |");
        assert!(keys.is_pixel_point());
        assert_eq!(keys.vertical_unit_m(), Some(US_SURVEY_FOOT_M));
        assert_eq!(keys.double(FALSE_EASTING), None);
        assert_eq!(keys.crs().text.as_deref(), Some("Town"));
    }

    #[test]
    fn a_directory_of_any_length_is_read_without_panic() {
        for length in 0..9 {
            let directory: Vec<u16> = (0..length).map(|_| u16::MAX).collect();
            assert!(GeoKeys::parse(&directory, &[], &[]).crs().crs.is_none());
        }
    }
}
