//! A PROJ string taken apart, put together and compared.

use std::fmt::Write;

/// The parameters of a PROJ string, in order, without the leading `+`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameters(Vec<(String, String)>);

/// What two systems must have in common to put the same numbers on the same place of their ellipsoid.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    projection: String,
    south: bool,
    axis: String,
    /// Semi-axes, metres.
    a: f64,
    b: f64,
    unit_m: f64,
    /// lat_0, lon_0, lat_1, lat_2, lat_ts, k, x_0, y_0, alpha, gamma, lonc, pm; degrees and metres.
    numbers: [f64; 12],
}

impl Parameters {
    /// Reads `+proj=tmerc +lat_0=0 …`; a word without `=` is a flag.
    pub fn parse(text: &str) -> Self {
        let words = text.split_whitespace().map(|word| word.trim_start_matches('+'));
        Self(
            words
                .filter(|word| !word.is_empty())
                .map(|word| word.split_once('=').unwrap_or((word, "")))
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
        )
    }

    /// The value of `key`; empty for a flag.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The value of `key` as a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.parse().ok().filter(|n: &f64| n.is_finite())
    }

    /// Puts `key` to `value`, at its place or at the end.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some(pair) => pair.1 = value.into(),
            None => self.0.push((key.into(), value.into())),
        }
    }

    /// The same without some keys.
    pub fn without(&self, keys: &[&str]) -> Self {
        Self(self.0.iter().filter(|(k, _)| !keys.contains(&k.as_str())).cloned().collect())
    }

    /// Only the parameters that say what the ellipsoid and its prime meridian are, as a geographic system.
    pub fn geographic(&self) -> Self {
        let mut kept = vec![("proj".to_string(), "longlat".to_string())];
        let ellipsoid = ["ellps", "a", "b", "rf", "f", "R", "datum", "pm"];
        kept.extend(self.0.iter().filter(|(k, _)| ellipsoid.contains(&k.as_str())).cloned());
        let geographic = Self(kept);
        // Web Mercator computes on a sphere but stands on the WGS 84 ellipsoid.
        if self.is_web_mercator() { Self::parse("+proj=longlat +ellps=WGS84") } else { geographic }
    }

    /// Whether this is the sphere formula of web maps (EPSG:3857), whose latitudes are those of WGS 84.
    pub fn is_web_mercator(&self) -> bool {
        match self.get("proj") {
            Some("webmerc") => true,
            Some("merc") => self.number("a") == Some(6_378_137.0) && self.number("b") == Some(6_378_137.0),
            _ => false,
        }
    }

    /// Semi-axes in metres, `None` when the ellipsoid is not known here.
    pub fn semi_axes(&self) -> Option<(f64, f64)> {
        if let Some(radius) = self.number("R") {
            return Some((radius, radius));
        }
        if let Some(name) = self.get("ellps").or_else(|| self.get("datum").and_then(ellipsoid_of_datum)) {
            let (_, a, rf) = ELLIPSOIDS.iter().find(|(n, _, _)| n.eq_ignore_ascii_case(name))?;
            return Some((*a, a - a / rf));
        }
        let a = self.number("a")?;
        let b = match (self.number("b"), self.number("rf"), self.number("f")) {
            (Some(b), _, _) => b,
            (None, Some(rf), _) if rf != 0.0 => a - a / rf,
            (None, _, Some(f)) => a * (1.0 - f),
            _ => a,
        };
        Some((a, b))
    }

    /// The same with the ellipsoid spelled out where only a datum word names it.
    pub fn with_ellipsoid(mut self) -> Self {
        let has_ellipsoid = ["ellps", "a", "R"].iter().any(|key| self.get(key).is_some());
        if let (false, Some(name)) = (has_ellipsoid, self.get("datum").and_then(ellipsoid_of_datum)) {
            self.set("ellps", name);
        }
        self
    }

    /// What is compared to find the register's code for a description.
    pub fn shape(&self) -> Option<Shape> {
        let (a, b) = self.semi_axes()?;
        let mut projection = self.get("proj")?.to_string();
        let number = |key: &str, other: f64| self.number(key).unwrap_or(other);
        let scale = self.number("k").or_else(|| self.number("k_0")).unwrap_or(1.0);
        let mut numbers = [
            number("lat_0", 0.0),
            number("lon_0", 0.0),
            number("lat_1", 0.0),
            number("lat_2", 0.0),
            number("lat_ts", 0.0),
            scale,
            number("x_0", 0.0),
            number("y_0", 0.0),
            number("alpha", 0.0),
            number("gamma", 0.0),
            number("lonc", 0.0),
            self.get("pm").map_or(0.0, prime_meridian_deg),
        ];
        let mut south = self.get("south").is_some();
        if projection == "utm" {
            projection = "tmerc".into();
            numbers[1] = number("zone", 0.0) * 6.0 - 183.0;
            numbers[5] = 0.9996;
            numbers[6] = 500_000.0;
            numbers[7] = if south { 10_000_000.0 } else { 0.0 };
            south = false;
        }
        if self.is_web_mercator() {
            projection = "webmerc".into();
        }
        if matches!(projection.as_str(), "longlat" | "latlong" | "lonlat" | "latlon") {
            projection = "longlat".into();
        }
        // A cone with one standard parallel at its origin is written both ways.
        if projection == "lcc" && self.number("lat_2").is_none() {
            numbers[2] = number("lat_1", numbers[0]);
            numbers[3] = numbers[2];
        }
        // The order of the two standard parallels changes nothing.
        if numbers[2] > numbers[3] {
            numbers.swap(2, 3);
        }
        let axis = self.get("axis").unwrap_or("enu").to_string();
        Some(Shape { projection, south, axis, a, b, unit_m: self.unit_m()?, numbers })
    }

    /// Metres per unit of the plane coordinates.
    pub fn unit_m(&self) -> Option<f64> {
        if let Some(factor) = self.get("to_meter") {
            let value = match factor.split_once('/') {
                Some((over, under)) => over.parse::<f64>().ok()? / under.parse::<f64>().ok()?,
                None => factor.parse().ok()?,
            };
            return (value.is_finite() && value > 0.0).then_some(value);
        }
        let Some(unit) = self.get("units") else { return Some(1.0) };
        UNITS.iter().find(|(name, _)| *name == unit).map(|(_, metres)| *metres)
    }

    /// The parameters as a PROJ string.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.0 {
            let gap = if text.is_empty() { "" } else { " " };
            let _ = if value.is_empty() { write!(text, "{gap}+{key}") } else { write!(text, "{gap}+{key}={value}") };
        }
        text
    }
}

impl Shape {
    /// PROJ's word for the projection, `tmerc` for UTM.
    pub fn projection(&self) -> &str {
        &self.projection
    }

    /// Whether both put the same numbers on the same place, to a tenth of a millimetre.
    pub fn agrees(&self, other: &Self) -> bool {
        // 1e-9 degrees are 0.1 mm; false origins differ by their own rounding in feet.
        let near = |(i, (x, y)): (usize, (&f64, &f64))| match i {
            6 | 7 => (x - y).abs() < 1e-4,
            5 => (x - y).abs() < 1e-11,
            _ => (x - y).abs() < 2e-9,
        };
        self.projection == other.projection
            && self.south == other.south
            && self.axis == other.axis
            && (self.a - other.a).abs() < 1e-3
            && (self.b - other.b).abs() < 1e-3
            && (self.unit_m / other.unit_m - 1.0).abs() < 1e-10
            && self.numbers.iter().zip(&other.numbers).enumerate().all(near)
    }
}

fn prime_meridian_deg(text: &str) -> f64 {
    let named = PRIME_MERIDIANS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, deg)| *deg).or_else(|| text.parse().ok()).unwrap_or(0.0)
}

fn ellipsoid_of_datum(datum: &str) -> Option<&'static str> {
    let table: [(&str, &str); 10] = [
        ("WGS84", "WGS84"),
        ("GGRS87", "GRS80"),
        ("NAD83", "GRS80"),
        ("NAD27", "clrk66"),
        ("potsdam", "bessel"),
        ("carthage", "clrk80ign"),
        ("hermannskogel", "bessel"),
        ("ire65", "mod_airy"),
        ("nzgd49", "intl"),
        ("OSGB36", "airy"),
    ];
    table.iter().find(|(name, _)| name.eq_ignore_ascii_case(datum)).map(|(_, ellipsoid)| *ellipsoid)
}

/// Ellipsoids by PROJ's names: semi-major axis in metres, inverse flattening.
const ELLIPSOIDS: &[(&str, f64, f64)] = &[
    ("WGS84", 6_378_137.0, 298.257_223_563),
    ("GRS80", 6_378_137.0, 298.257_222_101),
    ("krass", 6_378_245.0, 298.3),
    ("bessel", 6_377_397.155, 299.152_812_8),
    ("airy", 6_377_563.396, 299.324_964_6),
    ("mod_airy", 6_377_340.189, 299.324_937_365_481_8),
    ("intl", 6_378_388.0, 297.0),
    ("clrk66", 6_378_206.4, 294.978_698_213_898),
    ("clrk80", 6_378_249.145, 293.466_3),
    ("clrk80ign", 6_378_249.2, 293.466_021_293_626_9),
    ("GRS67", 6_378_160.0, 298.247_167_427),
    ("aust_SA", 6_378_160.0, 298.25),
    ("WGS72", 6_378_135.0, 298.26),
    ("WGS66", 6_378_145.0, 298.25),
    ("evrstSS", 6_377_298.556, 300.801_7),
    ("evrst30", 6_377_276.345, 300.801_7),
    ("bess_nam", 6_377_483.865, 299.152_812_8),
    ("helmert", 6_378_200.0, 298.3),
    ("GSK2011", 6_378_136.5, 298.256_415_1),
];

/// Prime meridians by PROJ's names, degrees east of Greenwich.
const PRIME_MERIDIANS: &[(&str, f64)] = &[
    ("greenwich", 0.0),
    ("lisbon", -9.131_906_111_111_1),
    ("paris", 2.337_229_166_666_67),
    ("bogota", -74.080_916_666_666_7),
    ("madrid", -3.687_938_888_888_89),
    ("rome", 12.452_333_333_333_3),
    ("bern", 7.439_583_333_333_33),
    ("jakarta", 106.807_719_444_444),
    ("ferro", -17.666_666_666_666_7),
    ("brussels", 4.367_975),
    ("stockholm", 18.058_277_777_777_8),
    ("athens", 23.716_337_5),
    ("oslo", 10.722_916_666_666_7),
];

/// Units by PROJ's names, metres.
const UNITS: &[(&str, f64)] = &[
    ("m", 1.0),
    ("km", 1000.0),
    ("dm", 0.1),
    ("cm", 0.01),
    ("mm", 0.001),
    ("ft", 0.3048),
    ("us-ft", 1200.0 / 3937.0),
    ("yd", 0.9144),
    ("us-yd", 3600.0 / 3937.0),
    ("ch", 20.1168),
    ("link", 0.201_168),
    ("ind-ft", 0.304_798_41),
    ("ind-yd", 0.914_395_23),
    ("ind-ch", 20.116_695_06),
    ("degrees", 1.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_survives_being_taken_apart() {
        let text = "+proj=utm +zone=33 +south +ellps=GRS80 +units=m";
        let parameters = Parameters::parse(text);
        assert_eq!(parameters.text(), text);
        assert_eq!(parameters.get("south"), Some(""));
        assert_eq!(parameters.number("zone"), Some(33.0));
    }

    #[test]
    fn utm_and_its_transverse_mercator_are_one_shape() {
        let utm = Parameters::parse("+proj=utm +zone=50 +ellps=WGS84").shape().unwrap();
        let tmerc = Parameters::parse("+proj=tmerc +lat_0=0 +lon_0=117 +k=0.9996 +x_0=500000 +y_0=0 +datum=WGS84");
        assert!(utm.agrees(&tmerc.shape().unwrap()));
        let other = Parameters::parse("+proj=utm +zone=51 +ellps=WGS84").shape().unwrap();
        assert!(!utm.agrees(&other));
    }
}
