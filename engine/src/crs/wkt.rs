//! Well-known text of a coordinate system: WKT 1 as OGC (01-009) and ESRI write it, and the common part of
//! WKT 2 (OGC 18-010), to PROJ's parameters.

use super::{Crs, CrsError, Heights, datum::datum_key, parameter::Parameters, register};

/// Longest text and deepest nesting that is looked at; real ones have some thousand characters and a depth of 7.
const MAX_LENGTH: usize = 64 * 1024;
const MAX_DEPTH: usize = 24;

/// Reads the text and looks for its code in the register.
pub(super) fn parse(text: &str) -> Result<Crs, CrsError> {
    let bad = |reason: &str| CrsError::BadText(format!("{reason}: {}", excerpt(text)));
    if text.len() > MAX_LENGTH {
        return Err(bad("longer than 64 KiB"));
    }
    let root = Reader { text: text.as_bytes(), at: 0 }.node(0).ok_or_else(|| bad("brackets or quotes do not match"))?;
    let system = horizontal(&root).ok_or_else(|| bad("neither a geographic nor a projected system"))?;
    let name = system.name().to_string();
    let datum = system.find(&["DATUM", "GEODETICDATUM", "ENSEMBLE"]).map_or(String::new(), Node::name_owned);
    let parameters = if system.is(GEOGRAPHIC) { geographic(system) } else { projected(system) };
    let parameters = parameters.map_err(|reason| bad(&reason))?;
    let key = datum_key(&datum);
    let epsg = register::code_of(&name, &key, &parameters);
    let parameters = match epsg.and_then(register::entry) {
        Some(mut entry) => {
            if let Some(shift) = parameters.get("towgs84") {
                entry.parameters.set("towgs84", shift);
            }
            entry.parameters
        }
        None => parameters,
    };
    Ok(Crs { vertical: heights(&root)?, ..Crs::build(epsg, name, key, parameters)? })
}

const GEOGRAPHIC: &[&str] =
    &["GEOGCS", "GEOGCRS", "GEODCRS", "GEODETICCRS", "GEOGRAPHICCRS", "BASEGEOGCRS", "BASEGEODCRS"];
const PROJECTED: &[&str] = &["PROJCS", "PROJCRS", "PROJECTEDCRS"];

/// Word and name at the beginning: a local system's parameters are not for messages.
fn excerpt(text: &str) -> String {
    let end = text.match_indices('"').nth(1).map_or(text.len(), |(at, _)| at + 1);
    let short: String = text.chars().take(text[..end].chars().count().min(80)).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// The horizontal part of a compound, bound or plain system.
fn horizontal(node: &Node) -> Option<&Node> {
    if node.is(PROJECTED) || node.is(GEOGRAPHIC) {
        return Some(node);
    }
    ["COMPD_CS", "COMPOUNDCRS", "BOUNDCRS", "SOURCECRS"]
        .contains(&node.word.as_str())
        .then(|| node.children.iter().find_map(horizontal))
        .flatten()
}

/// The height part of a compound system.
fn heights(root: &Node) -> Result<Option<Heights>, CrsError> {
    if !root.is(&["COMPD_CS", "COMPOUNDCRS", "BOUNDCRS"]) {
        return Ok(None);
    }
    let Some(node) = root.find(&["VERT_CS", "VERTCRS", "VERTICALCRS"]) else { return Ok(None) };
    if node.find(&["AXIS"]).is_some_and(|axis| axis.direction.eq_ignore_ascii_case("DOWN")) {
        return Err(CrsError::BadText(format!("{} counts depths, not heights", node.name())));
    }
    let unit = node.child(&["UNIT", "LENGTHUNIT"]).or_else(|| node.child(&["AXIS"])?.find(&["LENGTHUNIT", "UNIT"]));
    let unit_m = unit.and_then(|u| u.numbers.first().copied()).unwrap_or(1.0);
    if !(1e-4..1e4).contains(&unit_m) {
        return Err(CrsError::BadText(format!("a unit of height of {unit_m} metres is absurd")));
    }
    Ok(Some(Heights { epsg: None, name: node.name_owned(), unit_m }))
}

fn geographic(node: &Node) -> Result<Parameters, String> {
    let mut parameters = Parameters::default();
    parameters.set("proj", "longlat");
    ellipsoid(node, &mut parameters)?;
    Ok(parameters)
}

fn ellipsoid(node: &Node, parameters: &mut Parameters) -> Result<(), String> {
    let spheroid = node.find(&["SPHEROID", "ELLIPSOID"]).ok_or("it has no spheroid")?;
    let [a, rf] = [0, 1].map(|i| spheroid.numbers.get(i).copied());
    let a = a.filter(|a| *a > 6.0e6 && *a < 6.8e6).ok_or("its spheroid is not the Earth's")?;
    parameters.set("a", a.to_string());
    match rf.filter(|rf| *rf > 0.0) {
        Some(rf) => parameters.set("rf", rf.to_string()),
        None => parameters.set("b", a.to_string()),
    }
    let meridian = node.find(&["PRIMEM", "PRIMEMERIDIAN"]);
    let value = meridian.and_then(|p| p.numbers.first().copied()).unwrap_or(0.0);
    if value != 0.0 {
        // WKT 1 is written with degrees here by everybody, whatever the unit of the system's angles.
        let own_unit = meridian.and_then(|p| p.child(&["ANGLEUNIT", "UNIT"])?.numbers.first().copied());
        let unit_deg = own_unit.map_or(if node.word == "GEOGCS" { 1.0 } else { angle_deg(node) }, whole_degrees);
        parameters.set("pm", (value * unit_deg).to_string());
    }
    if let Some(shift) = node.find(&["TOWGS84"]).filter(|s| matches!(s.numbers.len(), 3 | 7)) {
        parameters.set("towgs84", shift.numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(","));
    }
    Ok(())
}

/// As the register has EPSG:3857, so that its code is found.
const WEB_MERCATOR: &str = "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m";

/// Degrees per angular unit of a geographic system.
fn angle_deg(node: &Node) -> f64 {
    let base = if node.is(GEOGRAPHIC) { Some(node) } else { node.children.iter().find(|c| c.is(GEOGRAPHIC)) };
    let unit = base.and_then(|b| b.child(&["UNIT", "ANGLEUNIT"]));
    let degrees = unit.and_then(|u| u.numbers.first()).map_or(1.0, |radians| radians.to_degrees());
    if (degrees - 1.0).abs() < 1e-6 { 1.0 } else { degrees }
}

fn projected(node: &Node) -> Result<Parameters, String> {
    let conversion = node.child(&["CONVERSION"]);
    let method = node.child(&["PROJECTION"]).or_else(|| conversion?.child(&["METHOD", "PROJECTION"]));
    let method = letters(method.ok_or("it has no projection")?.name());
    let base = node.children.iter().find(|c| c.is(GEOGRAPHIC)).ok_or("it has no geographic base")?;
    let unit = node.child(&["UNIT", "LENGTHUNIT"]).or_else(|| node.child(&["AXIS"])?.find(&["LENGTHUNIT", "UNIT"]));
    let unit_m = unit.and_then(|u| u.numbers.first().copied()).unwrap_or(1.0);
    if !(1e-4..1e4).contains(&unit_m) {
        return Err(format!("its unit of {unit_m} metres is absurd"));
    }

    // GDAL writes web maps' Mercator as the one on the ellipsoid, and says so in an extension: 20 km further south.
    let extension = node.child(&["EXTENSION"]).filter(|e| e.name().eq_ignore_ascii_case("PROJ4"));
    if extension.and_then(|e| e.texts.get(1)).is_some_and(|text| Parameters::parse(text).is_web_mercator()) {
        return Ok(Parameters::parse(WEB_MERCATOR));
    }

    let projection = METHODS.iter().find(|(_, names)| names.contains(&method.as_str()));
    let (projection, _) = projection.ok_or(format!("projection {method} is not supported"))?;
    let mut parameters = Parameters::default();
    let mut words = projection.split(' ');
    parameters.set("proj", words.next().unwrap_or_default());
    words.for_each(|flag| {
        let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
        parameters.set(key, value);
    });

    let angle = angle_deg(node);
    let holder = conversion.unwrap_or(node);
    for parameter in holder.children.iter().filter(|c| c.word == "PARAMETER") {
        let name = letters(parameter.name());
        let known = PARAMETERS.iter().find(|(n, _, _)| *n == name);
        let (_, key, kind) = known.ok_or(format!("parameter {name} is not supported"))?;
        let value = *parameter.numbers.first().ok_or(format!("parameter {name} has no number"))?;
        let own_unit = parameter.child(&["LENGTHUNIT", "ANGLEUNIT"]).and_then(|u| u.numbers.first().copied());
        let value = match kind {
            Kind::Length => value * own_unit.unwrap_or(unit_m),
            Kind::Angle => value * own_unit.map_or(angle, whole_degrees),
            Kind::Ratio => value,
        };
        let key = match (*projection, *key) {
            ("omerc" | "omerc no_uoff", "lon_0") => "lonc",
            ("merc", "lat_1") => "lat_ts",
            ("stere", "lat_1") => "lat_ts",
            (_, key) => key,
        };
        parameters.set(key, value.to_string());
    }
    match parameters.get("proj") {
        Some("webmerc") => return Ok(Parameters::parse(WEB_MERCATOR)),
        Some("stere") => complete_polar(&mut parameters, &method),
        Some("krovak") => complete_krovak(&mut parameters, &method, node)?,
        Some("omerc") => complete_oblique(&mut parameters),
        Some("lcc") if parameters.get("lat_1").is_none() => {
            // One standard parallel: the latitude of the origin.
            parameters.set("lat_1", parameters.get("lat_0").unwrap_or("0").to_string());
        }
        _ => {}
    }
    let parameters = &mut parameters.without(IGNORED);
    ellipsoid(base, parameters)?;
    if unit_m != 1.0 {
        parameters.set("to_meter", unit_m.to_string());
    }
    Ok(parameters.clone())
}

/// Parameters that are looked at here and mean nothing to PROJ.
const IGNORED: &[&str] = &["x_scale", "y_scale", "sphere_type"];

/// Krovak's cone has fixed parameters; what differs is which way its axes point.
fn complete_krovak(parameters: &mut Parameters, method: &str, node: &Node) -> Result<(), String> {
    let near = |key: &str, wanted: f64| parameters.number(key).is_none_or(|n| (n - wanted).abs() < 1e-6);
    if !near("lat_1", 78.5) || !near("alpha", 30.288_139_75) || !near("lat_0", 49.5) {
        return Err("it is a Krovak projection with other parameters than the Czech and Slovak one".into());
    }
    let axis = |i: usize| node.children.iter().filter(|c| c.word == "AXIS").nth(i).map(|a| a.direction.as_str());
    let is_north = match (axis(0), parameters.number("gamma")) {
        (_, Some(turn)) => turn == 90.0 && parameters.number("x_scale") == Some(-1.0),
        (Some(first), None) => first.eq_ignore_ascii_case("EAST") || method.contains("north"),
        (None, None) => method.contains("north") || letters(node.name()).contains("eastnorth"),
    };
    *parameters = parameters.without(&["lat_1", "gamma"]);
    // As the register has it.
    parameters.set("alpha", "30.28813972222222");
    if !is_north {
        parameters.set("axis", "swu");
    }
    Ok(())
}

/// Azimuths between 0 and 360 as in the register; at 90 degrees the oblique cylinder is the Swiss one.
fn complete_oblique(parameters: &mut Parameters) {
    for key in ["alpha", "gamma"] {
        if let Some(angle) = parameters.number(key) {
            parameters.set(key, angle.rem_euclid(360.0).to_string());
        }
    }
    let is_east = |key: &str| parameters.number(key).is_none_or(|angle| (angle - 90.0).abs() < 1e-9);
    if parameters.get("no_uoff").is_none() && parameters.get("alpha").is_some() && is_east("alpha") && is_east("gamma")
    {
        let lonc = parameters.get("lonc").unwrap_or("0").to_string();
        *parameters = parameters.without(&["alpha", "gamma", "lonc"]);
        parameters.set("proj", "somerc");
        parameters.set("lon_0", lonc);
    }
}

/// A polar aspect names its pole by the method or by the sign of its standard parallel.
fn complete_polar(parameters: &mut Parameters, method: &str) {
    let parallel = parameters.number("lat_ts").or(parameters.number("lat_0")).unwrap_or(90.0);
    if method.contains("polar") || method.contains("pole") {
        let south = method.contains("south") || parallel < 0.0;
        parameters.set("lat_ts", parallel.to_string());
        parameters.set("lat_0", if south { "-90" } else { "90" });
    }
}

fn whole_degrees(radians: f64) -> f64 {
    let degrees = radians.to_degrees();
    if (degrees - 1.0).abs() < 1e-6 { 1.0 } else { degrees }
}

/// Letters and digits in lower case.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// PROJ's projection (and flags) and the methods' names in WKT 1, ESRI's WKT and WKT 2.
const METHODS: &[(&str, &[&str])] = &[
    ("tmerc", &["transversemercator", "gausskruger", "transversemercatorcomplex"]),
    ("tmerc axis=wsu", &["transversemercatorsouthorientated"]),
    (
        "lcc",
        &[
            "lambertconformalconic",
            "lambertconformalconic1sp",
            "lambertconformalconic2sp",
            "lambertconicconformal1sp",
            "lambertconicconformal2sp",
        ],
    ),
    ("webmerc", &["mercatorauxiliarysphere", "popularvisualisationpseudomercator"]),
    ("merc", &["mercator", "mercator1sp", "mercator2sp", "mercatorvarianta", "mercatorvariantb"]),
    ("sterea", &["obliquestereographic", "doublestereographic"]),
    (
        "stere",
        &[
            "stereographic",
            "polarstereographic",
            "polarstereographicvarianta",
            "polarstereographicvariantb",
            "stereographicnorthpole",
            "stereographicsouthpole",
        ],
    ),
    ("aea", &["albers", "albersconicequalarea", "albersequalarea"]),
    ("laea", &["lambertazimuthalequalarea"]),
    (
        "omerc no_uoff",
        &[
            "hotineobliquemercator",
            "hotineobliquemercatorvarianta",
            "hotineobliquemercatorazimuthnaturalorigin",
            "rectifiedskeworthomorphicnaturalorigin",
        ],
    ),
    (
        "omerc",
        &[
            "hotineobliquemercatorazimuthcenter",
            "hotineobliquemercatorvariantb",
            "obliquemercator",
            "rectifiedskeworthomorphiccenter",
        ],
    ),
    ("somerc", &["swissobliquecylindrical", "swissobliquemercator"]),
    ("cass", &["cassini", "cassinisoldner"]),
    ("poly", &["polyconic", "americanpolyconic"]),
    ("krovak", &["krovak", "krovaknorthorientated"]),
    ("eqc", &["equirectangular", "platecarree", "equidistantcylindrical"]),
    ("cea", &["cylindricalequalarea", "lambertcylindricalequalarea"]),
    ("aeqd", &["azimuthalequidistant"]),
];

#[derive(Clone, Copy)]
enum Kind {
    Angle,
    Length,
    Ratio,
}

/// Parameter names of WKT 1 and 2, PROJ's key, and what is measured.
const PARAMETERS: &[(&str, &str, Kind)] = &[
    ("latitudeoforigin", "lat_0", Kind::Angle),
    ("latitudeofcenter", "lat_0", Kind::Angle),
    ("centralparallel", "lat_0", Kind::Angle),
    ("latitudeofnaturalorigin", "lat_0", Kind::Angle),
    ("latitudeoffalseorigin", "lat_0", Kind::Angle),
    ("latitudeofprojectioncentre", "lat_0", Kind::Angle),
    ("centralmeridian", "lon_0", Kind::Angle),
    ("longitudeoforigin", "lon_0", Kind::Angle),
    ("longitudeofcenter", "lon_0", Kind::Angle),
    ("longitudeofnaturalorigin", "lon_0", Kind::Angle),
    ("longitudeoffalseorigin", "lon_0", Kind::Angle),
    ("longitudeofprojectioncentre", "lon_0", Kind::Angle),
    ("standardparallel1", "lat_1", Kind::Angle),
    ("latitudeof1ststandardparallel", "lat_1", Kind::Angle),
    ("latitudeofstandardparallel", "lat_1", Kind::Angle),
    ("standardparallel2", "lat_2", Kind::Angle),
    ("latitudeof2ndstandardparallel", "lat_2", Kind::Angle),
    ("azimuth", "alpha", Kind::Angle),
    ("azimuthofinitialline", "alpha", Kind::Angle),
    ("azimuthatprojectioncentre", "alpha", Kind::Angle),
    ("colatitudeofconeaxis", "alpha", Kind::Angle),
    ("pseudostandardparallel1", "lat_1", Kind::Angle),
    ("latitudeofpseudostandardparallel", "lat_1", Kind::Angle),
    ("xyplanerotation", "gamma", Kind::Angle),
    ("rectifiedgridangle", "gamma", Kind::Angle),
    ("anglefromrectifiedtoskewgrid", "gamma", Kind::Angle),
    ("scalefactor", "k", Kind::Ratio),
    ("scalefactoratnaturalorigin", "k", Kind::Ratio),
    ("scalefactoroninitialline", "k", Kind::Ratio),
    ("scalefactoratprojectioncentre", "k", Kind::Ratio),
    ("scalefactoronpseudostandardparallel", "k", Kind::Ratio),
    ("xscale", "x_scale", Kind::Ratio),
    ("yscale", "y_scale", Kind::Ratio),
    ("auxiliaryspheretype", "sphere_type", Kind::Ratio),
    ("falseeasting", "x_0", Kind::Length),
    ("eastingatfalseorigin", "x_0", Kind::Length),
    ("eastingatprojectioncentre", "x_0", Kind::Length),
    ("falsenorthing", "y_0", Kind::Length),
    ("northingatfalseorigin", "y_0", Kind::Length),
    ("northingatprojectioncentre", "y_0", Kind::Length),
];

/// `WORD["name", number, CHILD[…], …]`.
#[derive(Debug, Default)]
struct Node {
    word: String,
    texts: Vec<String>,
    numbers: Vec<f64>,
    /// Last bare word, as `EAST` of an axis.
    direction: String,
    children: Vec<Node>,
}

impl Node {
    fn is(&self, words: &[&str]) -> bool {
        words.contains(&self.word.as_str())
    }

    fn name(&self) -> &str {
        self.texts.first().map_or("", String::as_str)
    }

    fn name_owned(&self) -> String {
        self.name().to_string()
    }

    fn child(&self, words: &[&str]) -> Option<&Node> {
        self.children.iter().find(|c| c.is(words))
    }

    /// First descendant with one of the words, breadth last.
    fn find(&self, words: &[&str]) -> Option<&Node> {
        self.child(words).or_else(|| self.children.iter().find_map(|c| c.find(words)))
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(|b| b.is_ascii_whitespace() || matches!(b, 0 | 0xEF | 0xBB | 0xBF)) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> String {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|b| keep(*b)) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[start..self.at]).into_owned()
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        self.peek()?;
        let word = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_').to_ascii_uppercase();
        let mut node = Node { word, ..Node::default() };
        if depth > MAX_DEPTH || node.word.is_empty() || !matches!(self.peek()?, b'[' | b'(') {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b']' | b')' => {
                    self.at += 1;
                    return Some(node);
                }
                b',' => self.at += 1,
                b'"' => node.texts.push(self.quoted()?),
                b'-' | b'+' | b'.' | b'0'..=b'9' => {
                    let digits = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'));
                    node.numbers.push(digits.parse().ok().filter(|n: &f64| n.is_finite())?);
                }
                _ => {
                    let start = self.at;
                    let word = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
                    if word.is_empty() {
                        return None;
                    }
                    // Bare words are enumerations such as EAST.
                    if matches!(self.peek()?, b'[' | b'(') {
                        self.at = start;
                        node.children.push(self.node(depth + 1)?);
                    } else {
                        node.direction = word;
                    }
                }
            }
        }
    }

    fn quoted(&mut self) -> Option<String> {
        self.at += 1;
        let mut text = self.take_while(|b| b != b'"');
        self.text.get(self.at)?;
        self.at += 1;
        while self.text.get(self.at) == Some(&b'"') {
            text.push('"');
            self.at += 1;
            text.push_str(&self.take_while(|b| b != b'"'));
            self.text.get(self.at)?;
            self.at += 1;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esri(name: &str, gcs: &str, spheroid: &str, easting: f64, meridian: f64) -> String {
        format!(
            "PROJCS[\"{name}\",GEOGCS[\"GCS_{gcs}\",DATUM[\"D_{gcs}\",SPHEROID[{spheroid}]],PRIMEM[\"Greenwich\",0.0],\
             UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Gauss_Kruger\"],PARAMETER[\"False_Easting\",{easting:?}],\
             PARAMETER[\"False_Northing\",0.0],PARAMETER[\"Central_Meridian\",{meridian:?}],PARAMETER[\"Scale_Factor\",1.0],\
             PARAMETER[\"Latitude_Of_Origin\",0.0],UNIT[\"Meter\",1.0]]"
        )
    }

    #[test]
    fn chinese_prj_files_get_their_codes() {
        let cgcs = "\"CGCS2000\",6378137.0,298.257222101";
        let krassovsky = "\"Krasovsky_1940\",6378245.0,298.3";
        let xian = "\"Xian_1980\",6378140.0,298.257";
        let table = [
            ("CGCS2000_3_Degree_GK_CM_120E", "China_2000", cgcs, 500_000.0, 120.0, 4549),
            ("CGCS2000_3_Degree_GK_Zone_40", "China_2000", cgcs, 40_500_000.0, 120.0, 4528),
            ("CGCS2000_GK_Zone_20", "China_2000", cgcs, 20_500_000.0, 117.0, 4498),
            ("CGCS2000_GK_CM_117E", "China_2000", cgcs, 500_000.0, 117.0, 4509),
            ("Beijing_1954_3_Degree_GK_Zone_39", "Beijing_1954", krassovsky, 39_500_000.0, 117.0, 2415),
            ("Beijing_1954_GK_Zone_20", "Beijing_1954", krassovsky, 20_500_000.0, 117.0, 21420),
            ("Xian_1980_3_Degree_GK_CM_120E", "Xian_1980", xian, 500_000.0, 120.0, 2385),
            ("Xian_1980_GK_Zone_20", "Xian_1980", xian, 20_500_000.0, 117.0, 2334),
        ];
        for (name, gcs, spheroid, easting, meridian, code) in table {
            let crs = parse(&esri(name, gcs, spheroid, easting, meridian)).unwrap();
            assert_eq!(crs.epsg, Some(code), "{name}");
            assert_eq!(crs.name, name);
        }
    }

    #[test]
    fn a_local_meridian_has_no_code_but_its_own_parameters() {
        let text = esri("Qingdao_local", "China_2000", "\"CGCS2000\",6378137.0,298.257222101", 200_000.0, 120.333);
        let crs = parse(&text).unwrap();
        assert_eq!(crs.epsg, None);
        assert_eq!(crs.label(), "Qingdao_local");
        assert!(crs.proj4.contains("+lon_0=120.333") && crs.proj4.contains("+x_0=200000"), "{}", crs.proj4);
    }

    #[test]
    fn feet_multiply_false_origins_too() {
        let text = "PROJCS[\"NAD_1983_StatePlane_New_York_Long_Island_FIPS_3104_Feet\",GEOGCS[\"GCS_North_American_1983\",\
            DATUM[\"D_North_American_1983\",SPHEROID[\"GRS_1980\",6378137.0,298.257222101]],PRIMEM[\"Greenwich\",0.0],\
            UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Lambert_Conformal_Conic\"],PARAMETER[\"False_Easting\",984250.0],\
            PARAMETER[\"False_Northing\",0.0],PARAMETER[\"Central_Meridian\",-74.0],\
            PARAMETER[\"Standard_Parallel_1\",40.66666666666666],PARAMETER[\"Standard_Parallel_2\",41.03333333333333],\
            PARAMETER[\"Latitude_Of_Origin\",40.16666666666666],UNIT[\"Foot_US\",0.3048006096012192]]";
        let crs = parse(text).unwrap();
        assert_eq!(crs.epsg, Some(2263));
        assert!((crs.unit_m - 1200.0 / 3937.0).abs() < 1e-12);
    }

    #[test]
    fn the_newer_notation_is_read_too() {
        let text = "PROJCRS[\"CGCS2000 / 3-degree Gauss-Kruger CM 120E\",BASEGEOGCRS[\"China Geodetic Coordinate System 2000\",\
            DATUM[\"China 2000\",ELLIPSOID[\"CGCS2000\",6378137,298.257222101,LENGTHUNIT[\"metre\",1]]],\
            PRIMEM[\"Greenwich\",0,ANGLEUNIT[\"degree\",0.0174532925199433]],ID[\"EPSG\",4490]],\
            CONVERSION[\"x\",METHOD[\"Transverse Mercator\",ID[\"EPSG\",9807]],\
            PARAMETER[\"Latitude of natural origin\",0,ANGLEUNIT[\"degree\",0.0174532925199433]],\
            PARAMETER[\"Longitude of natural origin\",120,ANGLEUNIT[\"degree\",0.0174532925199433]],\
            PARAMETER[\"Scale factor at natural origin\",1,SCALEUNIT[\"unity\",1]],\
            PARAMETER[\"False easting\",500000,LENGTHUNIT[\"metre\",1]],\
            PARAMETER[\"False northing\",0,LENGTHUNIT[\"metre\",1]]],CS[Cartesian,2],\
            AXIS[\"northing (X)\",north,ORDER[1],LENGTHUNIT[\"metre\",1]],\
            AXIS[\"easting (Y)\",east,ORDER[2],LENGTHUNIT[\"metre\",1]],ID[\"EPSG\",4549]]";
        assert_eq!(parse(text).unwrap().epsg, Some(4549));
    }

    #[test]
    fn web_mercator_of_gdal_is_told_by_its_extension() {
        let text = |extension: &str| {
            format!(
                "PROJCS[\"WGS 84 / Pseudo-Mercator\",GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563]],\
                 PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433]],PROJECTION[\"Mercator_1SP\"],\
                 PARAMETER[\"central_meridian\",0],PARAMETER[\"scale_factor\",1],PARAMETER[\"false_easting\",0],\
                 PARAMETER[\"false_northing\",0],UNIT[\"metre\",1],AXIS[\"Easting\",EAST],AXIS[\"Northing\",NORTH]{extension}]"
            )
        };
        let proj = ",EXTENSION[\"PROJ4\",\"+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +units=m +nadgrids=@null +wktext\"]";
        assert_eq!(parse(&text(proj)).unwrap().epsg, Some(3857));
        assert_eq!(parse(&text("")).unwrap().epsg, Some(3395));
    }

    #[test]
    fn a_compound_system_has_a_unit_of_height() {
        let plane = esri("x", "China_2000", "\"CGCS2000\",6378137.0,298.257222101", 500_000.0, 120.0);
        let first = |rest: &str| parse(&format!("COMPD_CS[\"both\",{plane},{rest}]"));
        let feet = "VERT_CS[\"NAVD88 (ft)\",VERT_DATUM[\"NAVD 88\",2005],UNIT[\"US survey foot\",0.3048006096],AXIS[\"Up\",UP]]";
        let crs = first(feet).unwrap();
        assert_eq!((crs.epsg, crs.height_unit_m()), (Some(4549), Some(0.3048006096)));
        assert_eq!(crs.vertical.unwrap().name, "NAVD88 (ft)");
        assert!(first(&feet.replace("UP", "DOWN")).is_err());
        let newer = "VERTCRS[\"H\",VDATUM[\"D\"],CS[vertical,1],AXIS[\"gravity-related height (H)\",up,LENGTHUNIT[\"foot\",0.3048]]]";
        assert_eq!(first(newer).unwrap().height_unit_m(), Some(0.3048));
        assert_eq!(parse(&plane).unwrap().height_unit_m(), None);
    }

    #[test]
    fn a_message_does_not_tell_parameters() {
        let text = esri("Geheim", "China_2000", "\"CGCS2000\",6378137.0,298.257222101", 123_456.0, 120.333);
        let error = parse(&text.replace("Gauss_Kruger", "Unheard_of")).unwrap_err().to_string();
        assert!(error.contains("Geheim") && !error.contains("120.333") && !error.contains("123456"), "{error}");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let text = esri("x", "China_2000", "\"CGCS2000\",6378137.0,298.257222101", 500_000.0, 120.0);
        let odd = text.replace("PARAMETER[\"Scale_Factor\"", "PARAMETER[\"Twist\",3.0],PARAMETER[\"Scale_Factor\"");
        assert!(parse(&odd).unwrap_err().to_string().contains("twist"));
    }

    #[test]
    fn rubbish_is_refused_with_a_reason() {
        for text in [
            "PROJCS[",
            "PROJCS[\"x\"]",
            "LOCAL_CS[\"x\",UNIT[\"m\",1]]",
            "GEOGCS[\"unknown\",DATUM[\"unknown\",SPHEROID[\"unknown\",57.295779513,0.0]],PRIMEM[\"unknown\",0.0]]",
            &"GEOGCS[".repeat(10_000),
        ] {
            assert!(matches!(parse(text), Err(CrsError::BadText(_))), "{text:.40}");
        }
    }
}
