//! Which datum a system stands on, and whether there is a trusted way from it to WGS 84.

use std::{collections::HashMap, sync::OnceLock};

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
    // What else stands in brackets tells datums apart: `NAD83 (High Accuracy Reference Network)` is not NAD83.
    let bare = bare.split("(EPSG ID").next().unwrap_or(bare);
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
/// so there is no way from them but a local one that the user has to bring. Other datums are shifted where one Helmert
/// transformation holds for the whole of their area; where PROJ chooses from place to place, a wrong number is worse
/// than none.
pub(super) fn way_to_wgs84(key: &str, parameters: &Parameters) -> Way {
    if CHINESE_LOCAL.contains(&key) {
        return Way::None(format!(
            "{key} and other datums differ by tens to hundreds of metres and no transformation is published; \
             have the data converted by the survey office, or build the city in this datum"
        ));
    }
    let own = parameters.get("towgs84").filter(|shift| !is_zero(shift));
    if let Some(shift) = own {
        let note = "datum shift by the Helmert parameters that the description itself brings".to_string();
        return Way::Helmert { towgs84: shift.into(), note };
    }
    let geocentric = parameters.semi_axes().is_some_and(|(a, b)| a == 6_378_137.0 && (b - 6_356_752.314).abs() < 0.01);
    match shift_of(key) {
        Some(Shift { towgs84: Some(towgs84), about }) => {
            Way::Helmert { towgs84: (*towgs84).into(), note: format!("datum shift by '{about}'") }
        }
        _ if geocentric || parameters.is_web_mercator() => Way::Equal,
        Some(Shift { towgs84: None, about }) => Way::None(format!("of {key}: {about}; {}", super::more())),
        None => Way::None(format!("no datum shift is known for {key}; {}", super::more())),
    }
}

/// Whether a datum is one of those whose way to others only a survey office has.
#[cfg(feature = "proj")]
pub(super) fn is_chinese_local(key: &str) -> bool {
    CHINESE_LOCAL.contains(&key)
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
    ("etrs89", &["etrs89", "etrs1989", "europeanterrestrialreferencesystem1989", "etrf89", "etrf2000poland"]),
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
    (
        "korea2000",
        &[
            "korea2000",
            "geocentricdatumofkorea",
            "koreageodeticsystem2000",
            "koreangeodeticdatum2000",
            "koreageodeticdatum2002",
            "koreangeodeticdatum2002",
        ],
    ),
    ("gda94", &["geocentricdatumofaustralia1994", "gda1994", "gda94"]),
    ("gda2020", &["geocentricdatumofaustralia2020", "gda2020"]),
    ("nzgd2000", &["newzealandgeodeticdatum2000", "nzgd2000"]),
    ("sirgas2000", &["sistemadereferenciageocentricoparalasamericas2000", "sirgas2000"]),
    ("ch1903", &["ch1903"]),
    ("mgi", &["militargeographischeinstitut", "militargeographischeinstitute", "mgi", "hermannskogel"]),
    ("hongkong1980", &["hongkong1980"]),
    ("svy21", &["svy21"]),
    ("twd97", &["taiwandatum1997", "twd1997", "taiwan1997", "twd97"]),
    ("ed50", &["europeandatum1950", "european1950", "ed50"]),
    ("pulkovo1942", &["pulkovo1942"]),
    ("tokyo", &["tokyo"]),
    ("gdm2000", &["gdm2000", "geodeticdatumofmalaysia2000"]),
    ("israel1993", &["israel1993", "israel"]),
    ("ggrs87", &["greekgeodeticreferencesystem1987", "ggrs1987", "ggrs87"]),
    ("bd72", &["reseaunationalbelge1972", "belge1972", "bd72"]),
    ("madrid1870", &["madrid1870", "madrid1870madrid"]),
    ("ntf", &["nouvelletriangulationfrancaise", "nouvelletriangulationfrancaiseparis", "ntf"]),
    (
        "sjtsk",
        &["sjtsk", "systemjednotnetrigonometrickesitekatastralni", "systemoftheunifiedtrigonometricalcadastralnetwork"],
    ),
    ("hd72", &["hungariandatum1972", "hungarian1972", "hd72"]),
    ("hartebeesthoek94", &["hartebeesthoek94", "hartebeesthoek1994"]),
    ("nzgd49", &["newzealandgeodeticdatum1949", "newzealand1949", "nzgd49"]),
];

/// What PROJ does between each datum and WGS 84, without grids; written by `tests/referee/shifts.py`.
const SHIFTS: &str = include_str!("shift.tsv");

struct Shift {
    /// Value of `+towgs84`; `None` where PROJ has no single one for the whole area of the datum.
    towgs84: Option<&'static str>,
    /// The transformation's name and accuracy, or why there is none.
    about: &'static str,
}

fn shift_of(key: &str) -> Option<&'static Shift> {
    static TABLE: OnceLock<HashMap<String, Shift>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let rows = SHIFTS.lines().filter(|line| !line.starts_with('#'));
        let rows = rows.filter_map(|line| {
            let mut cells = line.split('\t');
            let (name, numbers, about) = (cells.next()?, cells.next()?, cells.next()?);
            let towgs84 = Some(numbers).filter(|n| *n != "-");
            Some((datum_key(name), Shift { towgs84, about }))
        });
        rows.collect()
    });
    table.get(key)
}

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
        for name in ["NAD83_High_Accuracy_Reference_Network", "NAD83 (High Accuracy Reference Network)"] {
            assert_eq!(datum_key(name), "nad83harn", "{name}");
        }
    }

    #[test]
    fn old_chinese_datums_have_no_way_whatever_the_string_says() {
        let pulkovo_like = Parameters::parse("+proj=longlat +ellps=krass +towgs84=15.8,-154.4,-82.3,0,0,0,0");
        assert!(matches!(way_to_wgs84("beijing1954", &pulkovo_like), Way::None(_)));
        let grs80 = Parameters::parse("+proj=longlat +ellps=GRS80");
        assert_eq!(way_to_wgs84("china2000", &grs80), Way::Equal);
    }
}
