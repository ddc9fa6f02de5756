//! Which datum a system stands on, and whether there is a trusted way from it to WGS 84.

use super::parameter::Parameters;

/// The way from a datum to WGS 84.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// Taken as the same, with a doubt below a metre.
    Equal,
    /// Seven or three parameters (`+towgs84`), with what is known of them.
    Helmert {
        /// Value of `+towgs84`.
        towgs84: String,
        /// For the report.
        note: String,
    },
    /// None, for this reason.
    None(String),
}

/// One word for a datum, whatever the file calls it: `D_China_2000`, `China 2000` and `China_2000` are `china2000`.
pub(super) fn datum_key(name: &str) -> String {
    let bare = name.strip_prefix("D_").unwrap_or(name);
    let bare = bare.split(['(', '[']).next().unwrap_or(bare);
    let letters: String = bare.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let letters = letters.strip_suffix("ensemble").unwrap_or(&letters);
    let alias = ALIASES.iter().find(|(_, names)| names.contains(&letters));
    alias.map_or_else(|| letters.to_string(), |(key, _)| (*key).to_string())
}

/// The datum key of a PROJ string that comes without any other text.
pub(super) fn datum_key_of(parameters: &Parameters) -> String {
    if let Some(datum) = parameters.get("datum") {
        return datum_key(datum);
    }
    if parameters.is_web_mercator() {
        return "wgs84".into();
    }
    match parameters.get("ellps") {
        Some("WGS84") => "wgs84".into(),
        // A bare GRS80 string names no datum; all frames on it agree within a metre or two.
        Some(name) => format!("unnamedon{}", name.to_lowercase()),
        None => "unnamed".into(),
    }
}

/// The way to WGS 84 from the datum `key` of a system with these parameters.
///
/// WGS 84, CGCS2000, ETRS89, NAD83, GDA, JGD and the other geocentric frames are taken as equal: they differ by
/// plate motion and realisation, by decimetres to about two metres. Beijing 1954, Xian 1980 and New Beijing have
/// no published parameters to CGCS2000 that hold for a city; the ones in circulation are wrong by tens of metres,
/// so there is no way from them but a local one that the user has to bring.
pub(super) fn way_to_wgs84(key: &str, parameters: &Parameters) -> Way {
    if CHINESE_LOCAL.contains(&key) {
        return Way::None(format!(
            "{key} and other datums differ by tens to hundreds of metres and no transformation is published; \
             have the data converted by the survey office, or build the city in this datum"
        ));
    }
    if let Some((_, towgs84, note)) = BETTER.iter().find(|(k, _, _)| *k == key) {
        return Way::Helmert { towgs84: (*towgs84).into(), note: (*note).into() };
    }
    let geocentric = parameters.semi_axes().is_some_and(|(a, b)| a == 6_378_137.0 && (b - 6_356_752.314).abs() < 0.01);
    let shift = parameters.get("towgs84").map(str::to_string).or_else(|| {
        let datum = parameters.get("datum")?;
        DATUM_SHIFTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(datum)).map(|(_, shift)| (*shift).into())
    });
    match shift {
        Some(shift) if !is_zero(&shift) => Way::Helmert {
            note: format!("datum shift by the register's Helmert parameters ({shift}), good to about 1 to 5 m"),
            towgs84: shift,
        },
        _ if geocentric || parameters.is_web_mercator() => Way::Equal,
        _ => Way::None(format!("no datum shift is known for {key}")),
    }
}

fn is_zero(towgs84: &str) -> bool {
    towgs84.split(',').all(|n| n.trim().parse::<f64>() == Ok(0.0))
}

const CHINESE_LOCAL: &[&str] = &["beijing1954", "xian1980", "newbeijing"];

/// Names of one datum in EPSG's, ESRI's and PROJ's writing, letters and digits only.
const ALIASES: &[(&str, &[&str])] = &[
    ("wgs84", &["wgs84", "wgs1984", "worldgeodeticsystem1984", "wgs1984majorauxiliarysphere"]),
    ("china2000", &["china2000", "cgcs2000", "chinageodeticcoordinatesystem2000", "chinesegeodetic2000"]),
    ("beijing1954", &["beijing1954", "beijing54", "bj54", "pekin1954", "peking1954"]),
    ("xian1980", &["xian1980", "xian80", "xa80"]),
    ("newbeijing", &["newbeijing", "newbeijing1954"]),
    ("etrs89", &["etrs89", "etrs1989", "europeanterrestrialreferencesystem1989", "etrf89"]),
    ("nad83", &["nad83", "nad1983", "northamerican1983", "northamericandatum1983"]),
    ("nad27", &["nad27", "nad1927", "northamerican1927", "northamericandatum1927"]),
    ("nad83nsrs2007", &["nad83nationalspatialreferencesystem2007", "nad1983nsrs2007", "nad83nsrs2007"]),
    ("nad832011", &["nad83nationalspatialreferencesystem2011", "nad19832011", "nad832011"]),
    ("nad83harn", &["nad83highaccuracyreferencenetwork", "northamerican1983harn", "nad1983harn"]),
    ("nad83csrs", &["nad83canadianspatialreferencesystem", "northamerican1983csrs", "nad1983csrs"]),
    ("osgb1936", &["osgb1936", "osgb36", "ordnancesurveyofgreatbritain1936"]),
    ("amersfoort", &["amersfoort"]),
    ("dhdn", &["deutscheshauptdreiecksnetz", "deutschehauptdreiecksnetz", "dhdn", "potsdam"]),
    ("rgf93", &["reseaugeodesiquefrancais1993", "rgf1993", "rgf93", "reseaugeodesiquefrancais1993v1"]),
    ("jgd2000", &["japanesegeodeticdatum2000", "jgd2000"]),
    ("jgd2011", &["japanesegeodeticdatum2011", "jgd2011"]),
    ("korea2000", &["korea2000", "geocentricdatumofkorea", "koreageodeticsystem2000", "koreangeodeticdatum2000"]),
    ("gda94", &["geocentricdatumofaustralia1994", "gda1994", "gda94"]),
    ("gda2020", &["geocentricdatumofaustralia2020", "gda2020"]),
    ("nzgd2000", &["newzealandgeodeticdatum2000", "nzgd2000"]),
    ("sirgas2000", &["sistemadereferenciageocentricoparalasamericas2000", "sirgas2000"]),
    ("ch1903", &["ch1903"]),
    ("mgi", &["militargeographischeinstitute", "mgi", "hermannskogel"]),
    ("hongkong1980", &["hongkong1980"]),
    ("svy21", &["svy21"]),
    ("twd97", &["taiwandatum1997", "twd1997", "taiwan1997", "twd97"]),
    ("ed50", &["europeandatum1950", "european1950", "ed50"]),
    ("pulkovo1942", &["pulkovo1942"]),
    ("tokyo", &["tokyo"]),
];

/// `+datum=` words of the register and their shifts, where `+towgs84` is not spelled out.
const DATUM_SHIFTS: &[(&str, &str)] = &[
    ("GGRS87", "-199.87,74.79,246.62"),
    ("potsdam", "598.1,73.7,418.2,0.202,0.045,-2.455,6.7"),
    ("carthage", "-263.0,6.0,431.0"),
    ("hermannskogel", "577.326,90.129,463.919,5.137,1.474,5.297,2.4232"),
    ("ire65", "482.530,-130.596,564.557,-1.042,-0.214,-0.631,8.15"),
    ("nzgd49", "59.47,-5.04,187.44,0.47,-0.1,1.024,-4.5993"),
    ("OSGB36", "446.448,-125.157,542.060,0.1502,0.2470,0.8421,-20.4894"),
];

/// Datums whose entry in the register is missing or has been superseded, with the EPSG transformation used instead.
const BETTER: &[(&str, &str, &str)] = &[
    (
        "amersfoort",
        "565.4171,50.3319,465.5524,-0.398957388243134,0.343987817378283,-1.87740163998045,4.0725",
        "datum shift by the register's 'Amersfoort to WGS 84 (4)', good to about 1 m",
    ),
    (
        "osgb1936",
        "446.448,-125.157,542.06,0.15,0.247,0.842,-20.489",
        "datum shift by the register's 'OSGB36 to WGS 84 (6)', good to about 2 m",
    ),
    (
        "nad27",
        "-8,160,176",
        "datum shift by the register's 'NAD27 to WGS 84 (4)', the mean for the contiguous USA, good to about 10 m",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_datum_has_one_key_whoever_writes_it() {
        for name in ["D_China_2000", "China 2000", "China_2000", "CGCS2000", "D_CGCS2000"] {
            assert_eq!(datum_key(name), "china2000", "{name}");
        }
        assert_eq!(datum_key("D_SWEREF99 (EPSG ID 6619)"), "sweref99");
        assert_eq!(datum_key("World Geodetic System 1984 ensemble"), "wgs84");
    }

    #[test]
    fn old_chinese_datums_have_no_way_whatever_the_string_says() {
        let pulkovo_like = Parameters::parse("+proj=longlat +ellps=krass +towgs84=15.8,-154.4,-82.3,0,0,0,0");
        assert!(matches!(way_to_wgs84("beijing1954", &pulkovo_like), Way::None(_)));
        let grs80 = Parameters::parse("+proj=longlat +ellps=GRS80");
        assert_eq!(way_to_wgs84("china2000", &grs80), Way::Equal);
    }
}
