//! What class the features of a source are, by file name and fields.

use std::sync::Arc;

use groundline_engine::model::{Class, Value};

use super::Dimension;
use crate::field;

/// What a first look at a source saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// File name without ending.
    pub stem: String,
    /// What the shapes are.
    pub dimension: Option<Dimension>,
    /// Names of the fields.
    pub fields: Vec<Arc<str>>,
    /// Fields of some first features.
    pub values: Vec<(Arc<str>, Value)>,
}

/// The class that file name and fields suggest, with what suggested it.
pub(crate) fn suggest(sample: &Sample) -> Option<(Class, String)> {
    let dimension = sample.dimension.filter(|d| *d != Dimension::Nothing)?;
    by_network_fields(sample, dimension)
        .or_else(|| by_name(&sample.stem, dimension))
        .or_else(|| by_fields(sample, dimension))
        .or_else(|| by_values(sample, dimension))
}

/// The class that the kind of one feature (`type=forest`, `natural=tree`) names.
pub(super) fn of_kind(kind: &str, dimension: Dimension) -> Option<Class> {
    let kind = kind.trim().to_lowercase();
    let (class, ..) = KINDS.iter().find(|(_, d, names)| *d == dimension && names.contains(&kind.as_str()))?;
    Some(*class)
}

/// Whether the fields of a road or railway say that it runs in a tunnel: `tunnel=yes` (OpenStreetMap), `T` (its
/// shapefiles). A passage through a building (`building_passage`) lies on the ground.
pub(super) fn is_in_tunnel(fields: &[(Arc<str>, Value)]) -> bool {
    fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("tunnel") || &**name == "隧道").any(|(_, value)| {
        match value {
            Value::Bool(is) => *is,
            Value::Int(n) => *n == 1,
            Value::Text(text) => matches!(text.trim().to_lowercase().as_str(), "yes" | "true" | "t" | "1" | "是"),
            Value::Real(_) => false,
        }
    })
}

/// Water networks are told by the fields that only they have.
fn by_network_fields(sample: &Sample, dimension: Dimension) -> Option<(Class, String)> {
    let key = |wanted: &str| sample.fields.iter().find(|f| field::recognise(f).is_some_and(|r| r.key == wanted));
    let named = |names: &[&str]| sample.fields.iter().find(|f| names.contains(&f.to_lowercase().as_str()));
    match dimension {
        Dimension::Line => {
            let (from, to) = (key("from")?, key("to")?);
            let section = key("diameter_mm")?;
            Some((Class::Pipe, format!("fields {from}, {to} and {section}")))
        }
        Dimension::Point => {
            let names = ["base_demand", "base_head", "init_level", "pump_type", "valve_type", "head_pattern_name"];
            named(&names).map(|field| (Class::PipeNode, format!("field {field} of a water network")))
        }
        _ => None,
    }
}

fn by_name(stem: &str, dimension: Dimension) -> Option<(Class, String)> {
    let stem = stem.to_lowercase();
    let words = || stem.split(|c: char| !c.is_alphanumeric() || c.is_ascii_digit());
    let has = |name: &str| match name.is_ascii() && name.len() < 6 {
        // Short words hide in others: `tree` in `street`.
        true => words().any(|w| w == name || w.strip_suffix('s') == Some(name)),
        false => stem.contains(name),
    };
    NAMES.iter().filter(|(_, dimensions, _)| dimensions.contains(&dimension)).find_map(|(class, _, names)| {
        let name = names.iter().find(|name| has(name))?;
        Some((*class, format!("file name ({name})")))
    })
}

fn by_fields(sample: &Sample, dimension: Dimension) -> Option<(Class, String)> {
    let key = |wanted: &str| sample.fields.iter().find(|f| field::recognise(f).is_some_and(|r| r.key == wanted));
    let named = |name: &str| sample.fields.iter().find(|f| f.eq_ignore_ascii_case(name));
    let because = |class, field: &Arc<str>| Some((class, format!("field {field}")));
    match dimension {
        Dimension::Polygon => {
            let found =
                key("building").or_else(|| key("storeys")).or_else(|| key("height_m")).or_else(|| key("year_built"));
            found.and_then(|field| because(Class::Building, field))
        }
        Dimension::Line => {
            match (named("highway"), named("railway"), named("waterway"), key("diameter_mm"), key("lanes")) {
                (Some(field), ..) => because(Class::Road, field),
                (_, Some(field), ..) => because(Class::Railway, field),
                (_, _, Some(field), ..) => because(Class::Water, field),
                (_, _, _, Some(field), _) => because(Class::Pipe, field),
                (.., Some(field)) => because(Class::Road, field),
                _ => None,
            }
        }
        Dimension::Point => key("crown_m").or_else(|| key("species")).and_then(|field| because(Class::Tree, field)),
        Dimension::Nothing => None,
    }
}

fn by_values(sample: &Sample, dimension: Dimension) -> Option<(Class, String)> {
    let kinds = sample.values.iter().filter(|(name, _)| field::recognise(name).is_some_and(|r| r.key == "kind"));
    let mut classes = kinds.filter_map(|(name, value)| Some((of_kind(value.as_str()?, dimension), name, value)));
    let (first, name, value) = classes.next()?;
    // Layers of mixed kinds are classed feature by feature instead.
    let is_one = classes.all(|(class, ..)| class == first);
    is_one.then_some((first?, format!("{name} = {value}")))
}

const POINT: &[Dimension] = &[Dimension::Point];
const LINE: &[Dimension] = &[Dimension::Line];
const POLYGON: &[Dimension] = &[Dimension::Polygon];
const FLAT: &[Dimension] = &[Dimension::Line, Dimension::Polygon];

/// Words of file names, in the order in which they are looked for.
#[rustfmt::skip]
const NAMES: &[(Class, &[Dimension], &[&str])] = &[
    (Class::Manhole, POINT, &["manhole", "检查井", "窨井", "井盖"]),
    (Class::PipeNode, POINT, &["junction", "hydrant", "valve", "pump", "tank", "reservoir", "pipenode", "管点", "阀门", "消火栓"]),
    (Class::Gallery, LINE, &["gallery", "utility_tunnel", "综合管廊", "管廊", "管沟"]),
    (Class::Tunnel, LINE, &["tunnel", "metro", "metroline", "metro_line", "subway", "subwayline", "隧道", "地铁", "地下道路", "地下通道"]),
    (Class::Station, POLYGON, &["station", "地铁站", "车站"]),
    (Class::Pipe, LINE, &["pipe", "pipeline", "sewer", "conduit", "watermain", "管线", "管网", "管道"]),
    (Class::Building, POLYGON, &["building", "bldg", "建筑", "房屋", "楼栋", "gebaeude", "gebouw", "pand", "batiment"]),
    (Class::Tree, POINT, &["tree", "行道树", "乔木", "古树", "树木", "树"]),
    (Class::Lamp, POINT, &["lamp", "lamppost", "streetlight", "street_light", "路灯"]),
    (Class::Railway, FLAT, &["railway", "rail", "铁路", "轨道"]),
    (Class::Bridge, FLAT, &["bridge", "桥梁", "桥"]),
    (Class::Road, FLAT, &["road", "street", "highway", "道路", "路网", "街道", "strasse", "wegvak", "车行道"]),
    (Class::District, POLYGON, &["district", "county", "counties", "boundary", "admin", "行政", "区县", "区划", "街区", "边界"]),
    (Class::Water, FLAT, &["water", "waterway", "river", "lake", "ocean", "水系", "水体", "河流", "河道", "湖泊", "海域"]),
    (Class::Greenery, POLYGON, &["greenery", "green", "park", "forest", "vegetation", "绿地", "公园", "绿化", "林地"]),
    (Class::LandUse, POLYGON, &["landuse", "land_use", "parcel", "用地", "地块", "宗地"]),
    (Class::Furniture, POINT, &["furniture", "bench", "部件"]),
];

/// Kinds of single features, after OpenStreetMap's words.
#[rustfmt::skip]
const KINDS: &[(Class, Dimension, &[&str])] = &[
    (Class::Tree, Dimension::Point, &["tree", "树", "行道树", "乔木"]),
    (Class::Lamp, Dimension::Point, &["street_lamp", "lamp", "路灯"]),
    (Class::Furniture, Dimension::Point, &["bench", "waste_basket", "bollard", "post_box", "traffic_signals", "bicycle_parking"]),
    (Class::PipeNode, Dimension::Point, &["fire_hydrant", "消火栓"]),
    (Class::Manhole, Dimension::Point, &["manhole", "检查井"]),
    (Class::Water, Dimension::Polygon, &["water", "riverbank", "lake", "reservoir", "basin", "pond", "水域", "河流", "湖泊"]),
    (Class::Greenery, Dimension::Polygon, &[
        "forest", "wood", "park", "grass", "meadow", "garden", "scrub", "heath", "grassland", "orchard", "village_green",
        "recreation_ground", "cemetery", "golf_course", "绿地", "公园", "林地",
    ]),
    (Class::LandUse, Dimension::Polygon, &[
        "residential", "commercial", "industrial", "retail", "farmland", "farmyard", "farm", "allotments", "military", "construction",
        "railway", "quarry", "school", "parking", "beach", "sand",
    ]),
    (Class::Road, Dimension::Line, &[
        "motorway", "trunk", "primary", "secondary", "tertiary", "residential", "service", "footway", "path", "cycleway", "pedestrian",
        "track", "unclassified", "steps", "living_street",
    ]),
    (Class::Railway, Dimension::Line, &["rail", "tram", "subway", "light_rail", "narrow_gauge"]),
    (Class::Water, Dimension::Line, &["river", "stream", "canal", "drain", "ditch"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(stem: &str, dimension: Dimension, fields: &[&str]) -> Class {
        let fields = fields.iter().map(|f| Arc::from(*f)).collect();
        let sample = Sample { stem: stem.into(), dimension: Some(dimension), fields, values: vec![] };
        suggest(&sample).map_or(Class::Generic, |(class, _)| class)
    }

    #[test]
    fn names_and_fields_suggest_classes() {
        use Dimension::{Line, Point, Polygon};
        for (stem, dimension, fields, wanted) in [
            ("osmbuildings", Polygon, &["height"][..], Class::Building),
            ("delft_tudcampus_bag", Polygon, &["gid", "oorspronkelijkbouwjaar"], Class::Building),
            ("vienna-streets", Line, &["highway"], Class::Road),
            ("市南区建筑", Polygon, &[], Class::Building),
            ("区县界_area", Polygon, &["NAME"], Class::District),
            ("street_trees", Point, &[], Class::Tree),
            ("路灯", Point, &[], Class::Lamp),
            ("streets", Point, &[], Class::Generic),
            ("ky4_pipes", Line, &["start_node_name", "end_node_name", "diameter"], Class::Pipe),
            ("network", Line, &["起点点号", "终点点号", "管径"], Class::Pipe),
            ("ky4_junctions", Point, &["base_demand"], Class::PipeNode),
            ("cross_section", Line, &["Id"], Class::Generic),
            ("waterways", Line, &["width"], Class::Water),
            ("综合管廊", Line, &["埋深"], Class::Gallery),
            ("地铁", Line, &["直径"], Class::Tunnel),
            ("metroline2", Line, &["linename"], Class::Tunnel),
            ("地铁站", Polygon, &["层数"], Class::Station),
            ("blockgroups", Polygon, &["POP1990"], Class::Generic),
        ] {
            assert_eq!(class(stem, dimension, fields), wanted, "{stem}");
        }
    }

    #[test]
    fn mixed_layers_are_classed_feature_by_feature() {
        assert_eq!(of_kind("forest", Dimension::Polygon), Some(Class::Greenery));
        assert_eq!(of_kind("Water", Dimension::Polygon), Some(Class::Water));
        assert_eq!(of_kind("forest", Dimension::Point), None);
    }
}
