//! What a column holds, by its title: the words that survey offices use, and Chinese titles put together from parts.

use super::value::half_width;
use crate::sheet::axes;

/// Which end of a line a column is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// 起点.
    Start,
    /// 终点.
    End,
    /// The point of the row itself.
    Point,
}

/// What a depth or an elevation is measured to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The header does not say: common practice decides.
    Unsaid,
    /// 管顶.
    Top,
    /// 管底.
    Invert,
}

/// Length unit named in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// mm.
    Millimetre,
    /// cm.
    Centimetre,
    /// m.
    Metre,
}

impl Unit {
    /// Metres in one unit.
    pub fn metres(self) -> f64 {
        match self {
            Unit::Millimetre => 0.001,
            Unit::Centimetre => 0.01,
            Unit::Metre => 1.0,
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// 物探点号: the id that lines refer to.
    PointId,
    /// 图上点号: a second id of the point, for the map.
    MapId,
    /// 连接点号: point at the other end of the line in this row.
    LinkedPoint,
    /// 起点点号.
    StartId,
    /// 终点点号.
    EndId,
    /// X: north, as survey tables have it.
    X,
    /// Y: east.
    Y,
    /// A column that says north.
    North,
    /// A column that says east.
    East,
    /// 经度.
    Longitude,
    /// 纬度.
    Latitude,
    /// 地面高程.
    Ground(Side),
    /// 埋深.
    Depth(Side, Reference),
    /// 高程 of the pipe.
    Elevation(Side, Reference),
    /// 特征.
    Feature,
    /// 附属物.
    Appurtenance,
    /// 井底深.
    WellDepth,
    /// 井底高程.
    WellElevation,
    /// 井径, 井室规格.
    WellSize,
    /// 管径或断面.
    Size,
    /// 管宽.
    Width,
    /// 管高.
    Height,
    /// 材质.
    Material,
    /// 埋设方式.
    Laying,
    /// 权属单位.
    Owner,
    /// 建设年代.
    Year,
    /// 流向.
    Flow,
    /// 压力.
    Pressure,
    /// 电压.
    Voltage,
    /// 总孔数.
    Holes,
    /// 已用孔数.
    HolesUsed,
    /// 电缆条数.
    Cables,
    /// 管线类别.
    Kind,
    /// 使用状态.
    Status,
    /// 所在道路.
    Road,
}

/// Words for `--map WORD=COLUMN`.
static WORDS: &[(&str, Field)] = &[
    ("point_id", Field::PointId),
    ("linked_point", Field::LinkedPoint),
    ("start_id", Field::StartId),
    ("end_id", Field::EndId),
    ("north", Field::North),
    ("east", Field::East),
    ("longitude", Field::Longitude),
    ("latitude", Field::Latitude),
    ("ground_m", Field::Ground(Side::Point)),
    ("ground_start_m", Field::Ground(Side::Start)),
    ("ground_end_m", Field::Ground(Side::End)),
    ("depth_m", Field::Depth(Side::Point, Reference::Unsaid)),
    ("depth_start_m", Field::Depth(Side::Start, Reference::Unsaid)),
    ("depth_end_m", Field::Depth(Side::End, Reference::Unsaid)),
    ("top_start_m", Field::Elevation(Side::Start, Reference::Top)),
    ("top_end_m", Field::Elevation(Side::End, Reference::Top)),
    ("invert_start_m", Field::Elevation(Side::Start, Reference::Invert)),
    ("invert_end_m", Field::Elevation(Side::End, Reference::Invert)),
    ("feature", Field::Feature),
    ("appurtenance", Field::Appurtenance),
    ("well_depth_m", Field::WellDepth),
    ("diameter_mm", Field::Size),
    ("width_mm", Field::Width),
    ("height_mm", Field::Height),
    ("material", Field::Material),
    ("laying", Field::Laying),
    ("owner", Field::Owner),
    ("year", Field::Year),
    ("flow", Field::Flow),
    ("pressure", Field::Pressure),
    ("voltage", Field::Voltage),
    ("holes", Field::Holes),
    ("holes_used", Field::HolesUsed),
    ("cables", Field::Cables),
    ("pipe_kind", Field::Kind),
    ("status", Field::Status),
    ("road", Field::Road),
];

/// Exact headers after normalising (lower case, no spaces, `_`, `-` or `.`).
static ALIASES: &[(Field, &[&str])] = &[
    (
        Field::PointId,
        &[
            "管点编号",
            "管线点预编号",
            "物探点号",
            "外业点号",
            "管线点号",
            "管线点编号",
            "管点号",
            "点号",
            "点编号",
            "expnum",
            "expno",
            "wtdh",
            "tsdh",
            "gxddh",
            "surveyid",
            "pointid",
            "pointno",
            "nodeid",
            "node",
        ],
    ),
    (Field::MapId, &["图上点号", "mapno", "tsdh2", "mapid"]),
    (Field::LinkedPoint, &["连接点号", "连接方向", "连接点", "相连点号", "连接点编号", "ljdh"]),
    (
        Field::StartId,
        &[
            "起点点号",
            "起始点号",
            "起始外业点号",
            "起点物探点号",
            "管线起点点号",
            "本点号",
            "起点",
            "起始点",
            "起点号",
            "gxqddh",
            "qddh",
            "qsdh",
            "qdid",
            "startpoint",
            "stnod",
            "startid",
            "startnode",
            "from",
            "fromnode",
            "spoint",
        ],
    ),
    (
        Field::EndId,
        &[
            "终点点号",
            "终止点号",
            "终止外业点号",
            "终点物探点号",
            "管线终点点号",
            "上点号",
            "终点",
            "终止点",
            "终点号",
            "gxzddh",
            "zddh",
            "zzdh",
            "zdid",
            "endpoint",
            "ednod",
            "endid",
            "endnode",
            "to",
            "tonode",
            "epoint",
        ],
    ),
    (Field::X, axes::X),
    (Field::Y, axes::Y),
    (Field::North, axes::NORTH),
    (Field::East, axes::EAST),
    (Field::Longitude, axes::LONGITUDE),
    (Field::Latitude, axes::LATITUDE),
    (Field::Ground(Side::Point), &["地面高程", "地面", "dmgc", "high", "surfh", "地面标高", "groundheight", "groundm"]),
    (Field::Ground(Side::Start), &["qddmgc", "groundstartm"]),
    (Field::Ground(Side::End), &["zddmgc", "groundendm"]),
    (
        Field::Depth(Side::Start, Reference::Unsaid),
        &["gxqdms", "qdms", "qsms", "startdepth", "sdeep", "sdepth", "depthstartm"],
    ),
    (
        Field::Depth(Side::End, Reference::Unsaid),
        &["gxzdms", "zdms", "zzms", "enddepth", "edeep", "edepth", "depthendm"],
    ),
    (Field::Depth(Side::Point, Reference::Unsaid), &["埋深", "ms", "depth", "管线埋深"]),
    (Field::Elevation(Side::Start, Reference::Unsaid), &["gxqdgdgc", "qdgc", "starth", "startelev", "qdgcm"]),
    (Field::Elevation(Side::End, Reference::Unsaid), &["gxzdgdgc", "zdgc", "endh", "endelev"]),
    (Field::Elevation(Side::Point, Reference::Top), &["管顶", "管顶高程"]),
    (Field::Elevation(Side::Point, Reference::Invert), &["管底", "管底高程", "管内底高程"]),
    (Field::Elevation(Side::Point, Reference::Unsaid), &["管点高程", "管线高程", "管线点高程"]),
    (Field::Feature, &["特征", "特征点", "tz", "feature", "管点特征", "点特征", "管线点特征"]),
    (Field::Appurtenance, &["附属物", "附属物名称", "fsw", "subsid", "附属设施", "附属物类型", "appurtenance"]),
    (Field::WellDepth, &["井深", "井底深", "井底埋深", "welldeep", "welldepth", "jds", "井底深度"]),
    (Field::WellElevation, &["井底高程", "井底标高", "jdgc"]),
    (Field::WellSize, &["井径", "井直径", "井室直径", "井室规格", "wellsize"]),
    (
        Field::Size,
        &[
            "管径",
            "管径或断面",
            "管径或断面尺寸",
            "断面尺寸",
            "管线规格",
            "规格",
            "沟截面宽高",
            "口径",
            "gj",
            "dmcc",
            "ds",
            "ddia",
            "管径断面",
            "断面",
            "管径/断面",
            "管径及断面尺寸",
            "diameter",
            "size",
            "公称直径",
        ],
    ),
    (Field::Width, &["管宽", "沟宽", "断面宽", "宽度", "宽", "width"]),
    (Field::Height, &["管高", "沟高", "断面高", "高度", "高", "height"]),
    (
        Field::Material,
        &["材质", "管材", "管线材质", "管线材料", "管道材质", "gc", "cz", "gxcl", "material", "管材质", "材料"],
    ),
    (
        Field::Laying,
        &[
            "埋设方式",
            "埋设类型",
            "敷设方式",
            "fsfs",
            "msfs",
            "mslx",
            "burytype",
            "buryway",
            "敷设类型",
            "embed",
            "laying",
        ],
    ),
    (Field::Owner, &["权属单位", "管理单位", "主管单位", "产权单位", "权属", "qsdw", "belong", "property", "owner"]),
    (
        Field::Year,
        &["建设年代", "敷设年代", "建设日期", "竣工日期", "埋设年代", "建设年份", "jcny", "mdate", "jsrq", "year"],
    ),
    (Field::Flow, &["流向", "水流方向", "flowdirect", "flow", "flowdirection"]),
    (Field::Pressure, &["压力", "压力值", "压力等级", "sjyl", "ylz", "pressure"]),
    (Field::Voltage, &["电压", "电压值", "电压等级", "dyz", "dy", "voltage"]),
    (Field::Holes, &["总孔数", "孔数", "zks", "holecount", "holes"]),
    (Field::HolesUsed, &["已用孔数", "占用孔数", "yyks", "zyks", "holeused", "holesused"]),
    (Field::Cables, &["电缆条数", "电缆根数", "光缆条数", "根数", "条数", "xlts", "cabcount", "cables"]),
    (Field::Kind, &["管线性质", "管线类别", "管线种类", "管线类型", "管类", "gxlx", "pipekind", "管种", "类别"]),
    (Field::Status, &["使用状态", "使用状况", "运行状态", "usestatus", "status"]),
    (Field::Road, &["所在道路", "道路名称", "所在位置", "roadname", "road", "szdl"]),
];

/// A header cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// As the file has it, white space folded.
    pub title: String,
    /// What it holds, where that is recognised.
    pub field: Option<Field>,
    /// Unit named in brackets.
    pub unit: Option<Unit>,
}

/// Recognises one title.
pub fn column(title: &str, map: &[(String, String)]) -> Column {
    let shown: String = half_width(title).split_whitespace().collect::<Vec<_>>().join("");
    let (plain, unit) = normalise(&shown);
    let mapped = map.iter().find(|(_, column)| normalise(&half_width(column)).0 == plain);
    let field = match mapped {
        Some((word, _)) => WORDS.iter().find(|(w, _)| w == word).map(|(_, field)| *field),
        None => None,
    };
    Column { field: field.or_else(|| recognise(&plain)), title: shown, unit }
}

/// Lower case, without spaces, `_`, `-`, `.` and brackets; the unit that stood in brackets.
pub(crate) fn normalise(title: &str) -> (String, Option<Unit>) {
    let mut plain = String::with_capacity(title.len());
    let mut inside = String::new();
    let mut depth = 0_u32;
    let mut unit = None;
    for c in title.chars().flat_map(char::to_lowercase) {
        match c {
            '(' | '[' | '【' | '{' | '〔' => depth += 1,
            ')' | ']' | '】' | '}' | '〕' => {
                depth = depth.saturating_sub(1);
                unit = unit.or(unit_named(&inside));
                // `坐标(X)`: what is no unit belongs to the name
                if unit_named(&inside).is_none() && inside.chars().count() == 1 {
                    plain.push_str(&inside);
                }
                inside.clear();
            }
            c if c.is_whitespace() || matches!(c, '_' | '-' | '.' | ':' | '\u{feff}') => {}
            c if depth > 0 => inside.push(c),
            c => plain.push(c),
        }
    }
    if let Some((head, tail)) = plain.rsplit_once('/')
        && let Some(named) = unit_named(tail)
    {
        return (head.to_owned(), Some(named));
    }
    (plain, unit)
}

fn unit_named(text: &str) -> Option<Unit> {
    match text.trim() {
        "mm" | "毫米" => Some(Unit::Millimetre),
        "cm" | "厘米" => Some(Unit::Centimetre),
        "m" | "米" => Some(Unit::Metre),
        _ => None,
    }
}

fn recognise(plain: &str) -> Option<Field> {
    ALIASES.iter().find(|(_, names)| names.contains(&plain)).map(|(field, _)| *field).or_else(|| compose(plain))
}

/// Chinese headers are put together from parts: 起点 + 管底 + 高程.
fn compose(plain: &str) -> Option<Field> {
    let has = |words: &[&str]| words.iter().any(|w| plain.contains(w));
    if plain.contains("坐标") && !has(&["起", "终"]) {
        return match plain.chars().find(|c| matches!(c, 'x' | 'y')) {
            Some('x') => Some(Field::X),
            Some(_) => Some(Field::Y),
            None => None,
        };
    }
    let side = if has(&["起点", "起始", "始点", "起"]) {
        Side::Start
    } else if has(&["终点", "终止", "末点", "止点", "终"]) {
        Side::End
    } else {
        Side::Point
    };
    let reference = match (has(&["管顶", "顶部", "顶"]), has(&["管底", "底部", "管内底", "底"])) {
        (true, false) => Reference::Top,
        (false, true) => Reference::Invert,
        _ => Reference::Unsaid,
    };
    let is_about_a_well = plain.contains('井');
    let is_height = has(&["高程", "标高"]);
    if is_height && has(&["地面"]) {
        return Some(Field::Ground(side));
    }
    if is_about_a_well {
        return None;
    }
    if is_height && (side != Side::Point || reference != Reference::Unsaid) {
        return Some(Field::Elevation(side, reference));
    }
    if has(&["埋深", "埋设深度", "深度"]) && (side != Side::Point || has(&["管", "埋"])) {
        return Some(Field::Depth(side, reference));
    }
    if side != Side::Point && has(&["点号", "编号", "点名"]) {
        return Some(if side == Side::Start { Field::StartId } else { Field::EndId });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(title: &str) -> Option<Field> {
        column(title, &[]).field
    }

    #[test]
    fn the_headers_of_practice_are_recognised() {
        use Reference::{Invert, Top, Unsaid};
        use Side::{End, Point, Start};
        for (title, expected) in [
            ("管点\n编号", Field::PointId),
            ("EXP_NO", Field::PointId),
            (" 物探 点号 ", Field::PointId),
            ("连接点号", Field::LinkedPoint),
            ("起始外业点号", Field::StartId),
            ("Ｅnd_Point", Field::EndId),
            ("GXZDDH", Field::EndId),
            ("X(m)", Field::X),
            ("X坐标", Field::X),
            ("坐标（Y）", Field::Y),
            ("平面坐标 X", Field::X),
            ("地面高程（米）", Field::Ground(Point)),
            ("起点地面高程", Field::Ground(Start)),
            ("起点埋深(m)", Field::Depth(Start, Unsaid)),
            ("管线终点埋深", Field::Depth(End, Unsaid)),
            ("终止管顶埋深", Field::Depth(End, Top)),
            ("ZDMS", Field::Depth(End, Unsaid)),
            ("起始管顶高程", Field::Elevation(Start, Top)),
            ("终止管底高程", Field::Elevation(End, Invert)),
            ("起点高程", Field::Elevation(Start, Unsaid)),
            ("管底", Field::Elevation(Point, Invert)),
            ("管径或断面（mm）", Field::Size),
            ("断面尺寸", Field::Size),
            ("D_S", Field::Size),
            ("井底深", Field::WellDepth),
            ("使用状态", Field::Status),
        ] {
            assert_eq!(field(title), Some(expected), "{title}");
        }
        for title in ["备注", "BZ", "LX", "WYKS", "井盖材质", "图幅号", "井脖高", ""] {
            assert_eq!(field(title), None, "{title}");
        }
        assert_eq!(column("管径（ｍ）", &[]).unit, Some(Unit::Metre));
        assert_eq!(column("埋深/cm", &[]).unit, Some(Unit::Centimetre));
    }

    #[test]
    fn the_user_may_say_which_column_holds_what() {
        let map = [("diameter_mm".to_owned(), "LX".to_owned())];
        assert_eq!(column("lx", &map).field, Some(Field::Size));
    }
}
