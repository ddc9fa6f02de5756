//! Standard attributes by the names that sources give their fields.

use std::sync::Arc;

use groundline_engine::model::Value;
use rustc_hash::FxHashMap;

/// A standard attribute found in a field's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recognised {
    /// Standard key, such as `height_m`.
    pub key: &'static str,
    /// Place of the name among the key's names; the lowest wins where several fields fit.
    pub rank: usize,
    /// Unit written into the name: `(mm)`, `_ft`.
    pub unit: Option<Unit>,
}

/// A unit of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0.001 m.
    Millimetre,
    /// 0.01 m.
    Centimetre,
    /// 1 m.
    Metre,
    /// 0.3048 m.
    Foot,
    /// 0.0254 m.
    Inch,
}

impl Unit {
    /// Metres in one.
    pub fn metres(self) -> f64 {
        match self {
            Unit::Millimetre => 0.001,
            Unit::Centimetre => 0.01,
            Unit::Metre => 1.0,
            Unit::Foot => 0.3048,
            Unit::Inch => 0.0254,
        }
    }

    /// The unit with this sign.
    pub fn parse(sign: &str) -> Option<Self> {
        match sign.trim().to_lowercase().as_str() {
            "mm" | "毫米" | "㎜" => Some(Unit::Millimetre),
            "cm" | "厘米" | "㎝" => Some(Unit::Centimetre),
            "m" | "米" | "公尺" | "meter" | "metre" | "meters" | "metres" => Some(Unit::Metre),
            "ft" | "feet" | "foot" | "'" | "英尺" => Some(Unit::Foot),
            "in" | "inch" | "inches" | "\"" | "英寸" => Some(Unit::Inch),
            _ => None,
        }
    }
}

/// Finds standard attributes by field names, with the user's `--map` first. Names are looked at once and remembered.
#[derive(Clone, Debug, Default)]
pub struct Recogniser {
    mapped: Vec<(&'static str, String)>,
    seen: FxHashMap<Arc<str>, Option<Recognised>>,
}

/// A record of bounded size has no more distinct field names than this; further ones are looked at anew each time.
const MAX_REMEMBERED: usize = 10_000;

impl Recogniser {
    /// With the pairs of `--map standard=FIELD`; pairs whose standard key is not in the table are left to others.
    pub fn new(map: &[(String, String)]) -> Self {
        let known = |(key, field): &(String, String)| {
            let key = KEYS.iter().map(|(key, _)| *key).find(|k| k == key)?;
            Some((key, field.clone()))
        };
        Self { mapped: map.iter().filter_map(known).collect(), seen: FxHashMap::default() }
    }

    /// Remembers the names that another one looked at.
    pub fn learn(&mut self, other: Self) {
        for (name, found) in other.seen {
            if self.seen.len() >= MAX_REMEMBERED {
                return;
            }
            self.seen.entry(name).or_insert(found);
        }
    }

    /// The standard attribute that the field holds.
    pub fn recognise(&mut self, field: &Arc<str>) -> Option<Recognised> {
        if let Some(known) = self.seen.get(field) {
            return *known;
        }
        let found = match self.mapped.iter().find(|(_, f)| f == &**field) {
            Some((key, _)) => Some(Recognised { key, rank: 0, unit: normalise(field).1 }),
            None => recognise(field),
        };
        if self.seen.len() < MAX_REMEMBERED {
            self.seen.insert(field.clone(), found);
        }
        found
    }
}

/// The standard attribute that a field of this name holds.
///
/// ```
/// use groundline_importers::field::recognise;
/// assert_eq!(recognise("建筑高度(m)").unwrap().key, "height_m");
/// assert_eq!(recognise("building:levels").unwrap().key, "storeys");
/// ```
pub fn recognise(field: &str) -> Option<Recognised> {
    let (name, unit) = normalise(field);
    KEYS.iter().find_map(|(key, names)| {
        // Rank 0 is the user's own choice.
        let rank = names.iter().position(|n| *n == name)? + 1;
        Some(Recognised { key, rank, unit })
    })
}

/// A field's name in plain letters: half width, lower case, without spaces, dashes and underscores; and the unit that
/// stood in it in brackets or as an ending.
pub fn normalise(field: &str) -> (String, Option<Unit>) {
    let half: String = field.chars().map(half_width).flat_map(char::to_lowercase).collect();
    let (bare, bracketed) = match half.find(['(', '[', '<']) {
        Some(at) if at > 0 => {
            let inside = half[at + 1..].trim_end_matches([')', ']', '>', ' ']);
            (half[..at].to_string(), Unit::parse(inside))
        }
        _ => (half, None),
    };
    let ending = bare.rsplit_once(['_', ' ']).and_then(|(name, end)| Some((name, Unit::parse(end)?)));
    let (bare, unit) = match (bracketed, ending) {
        (Some(unit), _) => (bare.as_str(), Some(unit)),
        // `_in` is a word more often than a unit.
        (None, Some((name, unit))) if unit != Unit::Inch && !name.is_empty() => (name, Some(unit)),
        _ => (bare.as_str(), None),
    };
    (bare.chars().filter(|c| !matches!(c, ' ' | '_' | '-' | '\u{3000}' | '.' | ':')).collect(), unit)
}

fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '【' | '〔' => '[',
        '】' | '〕' => ']',
        '\u{3000}' => ' ',
        _ => c,
    }
}

/// A number out of a value, with the unit that text carries (`12.5 m`, `40'`, `3,5`); `None` for what is no number.
pub fn number(value: &Value) -> Option<(f64, Option<Unit>)> {
    match value {
        Value::Int(n) => Some((*n as f64, None)),
        Value::Real(n) => Some((*n, None)),
        Value::Bool(_) => None,
        Value::Text(text) => {
            let text: String = text.trim().chars().map(half_width).collect();
            let end =
                text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+'))).unwrap_or(text.len());
            let unit = text[end..].trim();
            let number: f64 = text[..end].replace(',', ".").parse().ok().filter(|n: &f64| n.is_finite())?;
            match unit {
                "" => Some((number, None)),
                sign => Some((number, Some(Unit::parse(sign)?))),
            }
        }
    }
}

/// Standard keys and the names that fields holding them go by, in order of belief; names as [`normalise`] leaves them.
#[rustfmt::skip]
const KEYS: &[(&str, &[&str])] = &[
    ("id", &[
        "identificatie", "标识码", "要素标识码", "唯一标识", "唯一标识码", "建筑编号", "楼栋编号", "道路编号", "编码", "编号", "osmid", "gmlid", "globalid", "uuid",
        "gid", "objectid", "bsm", "buildingid", "roadid", "id", "fid", "userid", "oid",
    ]),
    ("name", &["name", "名称", "建筑名称", "楼名", "道路名称", "路名", "桥名", "水系名称", "小区名称", "namezh", "namecn", "label", "naam", "straatnaam", "title"]),
    ("height_m", &[
        "height", "建筑高度", "建筑物高度", "楼高", "房高", "高度", "高", "buildingheight", "bldgheight", "bldheight", "renderheight", "heightabs",
        "measuredheight", "hgt", "hoogte", "hauteur", "hoehe", "jzgd", "gd", "树高", "treeheight", "灯高", "杆高", "h",
    ]),
    ("storeys", &[
        "storeys", "stories", "楼层数", "地上层数", "建筑层数", "总层数", "层数", "楼层", "floors", "floor", "numfloors", "floornum", "floorcount", "floorscount",
        "levels", "buildinglevels", "level", "nlevels", "storey", "nfloors", "bouwlagen", "cs", "dscs",
    ]),
    ("storeys_below", &["地下层数", "buildinglevelsunderground", "basementlevels", "dxcs"]),
    ("min_height_m", &["minheight", "renderminheight", "buildingminheight", "离地高度", "底高"]),
    ("first_storey", &["buildingminlevel", "minlevel"]),
    ("top_m", &["topelevation", "roofelevation", "顶板高程", "屋顶高程", "顶面高程"]),
    ("base_m", &["baseelevation", "底板高程", "地面高程", "底面高程", "基底高程", "groundelevation", "groundlevel", "maaiveld"]),
    ("roof", &["roofshape", "buildingroofshape", "屋顶形式", "屋顶类型", "rooftype"]),
    ("width_m", &["width", "道路宽度", "路宽", "路面宽度", "红线宽度", "宽度", "宽", "roadwidth", "breedte", "breite"]),
    ("lanes", &["lanes", "车道数", "numlanes", "lanecount"]),
    ("crown_m", &["crown", "crowndiameter", "crownwidth", "冠幅", "diametercrown", "spread", "kroondiameter"]),
    ("species", &["species", "树种", "genus", "taxon", "boomsoort"]),
    ("leaf", &["leaftype"]),
    ("year_built", &["yearbuilt", "oorspronkelijkbouwjaar", "建成年份", "建成年代", "建造年代", "建筑年代", "bouwjaar", "constructionyear", "startdate"]),
    ("kind", &[
        "fclass", "type", "kind", "highway", "railway", "natural", "landuse", "waterway", "amenity", "leisure", "manmade", "道路等级", "道路类型", "等级", "类型", "类别", "用地性质", "种类",
        "class", "subtype", "category",
    ]),
    ("building", &["building", "buildingtype", "建筑类型", "建筑用途", "房屋用途"]),
    ("material", &["material", "材质", "管材", "materiaal", "pipematerial"]),
    ("owner", &["owner", "权属单位", "权属", "产权单位", "eigenaar"]),
    ("pipe_kind", &["pipekind", "管线类型", "管线种类", "管类", "管线类别", "管线性质", "pipetype", "network", "utility", "medium"]),
    ("diameter_mm", &["diameter", "管径", "口径", "公称直径", "直径", "外径", "dn", "pipesize", "pipediameter", "dia", "diam", "nominaldiameter", "管径或断面尺寸", "断面尺寸", "规格"]),
    ("depth_m", &["depth", "埋深", "管顶埋深", "平均埋深", "diepte", "burydepth", "cover"]),
    ("depth_start_m", &["depthstart", "起点埋深", "起始埋深", "startdepth", "上游埋深"]),
    ("depth_end_m", &["depthend", "终点埋深", "终止埋深", "enddepth", "下游埋深"]),
    ("from", &["startnodename", "起点点号", "起点编号", "起点号", "startnode", "fromnode", "unode", "usnode", "node1", "inletnode", "qddh", "qdbh"]),
    ("to", &["endnodename", "终点点号", "终点编号", "终点号", "连接点号", "endnode", "tonode", "dnode", "dsnode", "node2", "outletnode", "zddh", "zdbh"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(field: &str) -> Option<&'static str> {
        recognise(field).map(|r| r.key)
    }

    #[test]
    fn fields_are_recognised_in_both_languages() {
        for (field, wanted) in [
            ("HEIGHT", "height_m"),
            ("建筑高度", "height_m"),
            ("高度（米）", "height_m"),
            ("building:height", "height_m"),
            ("building:levels", "storeys"),
            ("层数", "storeys"),
            ("num_floors", "storeys"),
            ("FLOOR", "storeys"),
            ("管径(mm)", "diameter_mm"),
            ("起点埋深", "depth_start_m"),
            ("start_node_name", "from"),
            ("OBJECTID", "id"),
            ("路 名", "name"),
            ("oorspronkelijkbouwjaar", "year_built"),
        ] {
            assert_eq!(key(field), Some(wanted), "{field}");
        }
        for field in ["POP1990", "", "(m)", "Shape_Leng", "高程点备注"] {
            assert_eq!(key(field), None, "{field}");
        }
    }

    #[test]
    fn units_stand_in_names_and_in_values() {
        assert_eq!(recognise("管径（mm）").unwrap().unit, Some(Unit::Millimetre));
        assert_eq!(recognise("height_ft").unwrap().unit, Some(Unit::Foot));
        assert_eq!(recognise("height_m").unwrap().key, "height_m");
        assert_eq!(number(&Value::Text("12,5 m".into())), Some((12.5, Some(Unit::Metre))));
        assert_eq!(number(&Value::Text("４０'".into())), Some((40.0, Some(Unit::Foot))));
        assert_eq!(number(&Value::Text("300x200".into())), None);
        assert_eq!(number(&Value::Text("n/a".into())), None);
    }

    #[test]
    fn the_users_word_goes_first() {
        let mut recogniser = Recogniser::new(&[("height_m".into(), "TOP".into()), ("axes".into(), "yx".into())]);
        assert_eq!(recogniser.recognise(&"TOP".into()).map(|r| (r.key, r.rank)), Some(("height_m", 0)));
        assert!(recogniser.recognise(&"height".into()).unwrap().rank > 0);
    }

    #[test]
    fn no_name_stands_for_two_things() {
        let mut names: Vec<&str> = KEYS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for name in names {
            assert_eq!(normalise(name).0, name, "a name in the table is written as it is looked up");
        }
    }
}
