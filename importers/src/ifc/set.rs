//! Sets of values that the library leaves out: quantities without a name, and the parameters of doors, windows and
//! their kin, which stand in entities of fixed attributes.

use std::collections::HashMap;

use groundline_engine::model::Value;
use ifc_lite_core::{AttributeValue, DecodedEntity, EntityDecoder, EntityScanner, IfcType};

use super::parse::shortened;

/// Values of one set.
const MAX_VALUES: usize = 2000;
/// Attributes that every set has before its own: GlobalId, OwnerHistory, Name, Description.
const ROOT: usize = 4;

const WINDOW_LINING: &[&str] = &[
    "LiningDepth",
    "LiningThickness",
    "TransomThickness",
    "MullionThickness",
    "FirstTransomOffset",
    "SecondTransomOffset",
    "FirstMullionOffset",
    "SecondMullionOffset",
    "ShapeAspectStyle",
    "LiningOffset",
    "LiningToPanelOffsetX",
    "LiningToPanelOffsetY",
];
const DOOR_LINING: &[&str] = &[
    "LiningDepth",
    "LiningThickness",
    "ThresholdDepth",
    "ThresholdThickness",
    "TransomThickness",
    "TransomOffset",
    "LiningOffset",
    "ThresholdOffset",
    "CasingThickness",
    "CasingDepth",
    "ShapeAspectStyle",
    "LiningToPanelOffsetX",
    "LiningToPanelOffsetY",
];
const DOOR_PANEL: &[&str] = &["PanelDepth", "PanelOperation", "PanelWidth", "PanelPosition", "ShapeAspectStyle"];
const FRAME: &[&str] = &["OperationType", "PanelPosition", "FrameDepth", "FrameThickness", "ShapeAspectStyle"];

/// Types with the names of their attributes behind those of the root, in IFC 2x3, 4 and 4.3 alike.
const KINDS: &[(&str, &[&str])] = &[
    ("IFCDOORLININGPROPERTIES", DOOR_LINING),
    ("IFCDOORPANELPROPERTIES", DOOR_PANEL),
    ("IFCWINDOWLININGPROPERTIES", WINDOW_LINING),
    ("IFCWINDOWPANELPROPERTIES", FRAME),
    ("IFCPERMEABLECOVERINGPROPERTIES", FRAME),
];
const QUANTITIES: &str = "IFCELEMENTQUANTITY";

/// The sets of a file by entity, with keys `Set.Name`; a set without a name goes by its type.
pub fn sets(content: &[u8], is_known: impl Fn(u32) -> bool) -> HashMap<u32, Vec<(String, Value)>> {
    let mut scanner = EntityScanner::new(content);
    let mut found = Vec::new();
    while let Some((id, type_name, ..)) = scanner.next_entity() {
        let kind = KINDS.iter().find(|(name, _)| type_name.eq_ignore_ascii_case(name)).map(|(_, names)| *names);
        if (kind.is_some() || type_name.eq_ignore_ascii_case(QUANTITIES)) && !is_known(id) {
            found.push((id, kind));
        }
    }
    if found.is_empty() {
        return HashMap::new();
    }
    let mut decoder = EntityDecoder::new(content);
    let set = |(id, names): (u32, Option<&[&str]>)| {
        let entity = decoder.decode_by_id(id).ok()?;
        let own = entity.get_string(2).filter(|name| !name.is_empty()).map(shortened);
        let name = own.unwrap_or_else(|| entity.ifc_type.name().to_owned());
        let values: Vec<(String, Value)> = match names {
            Some(names) => {
                let numbered = names.iter().enumerate();
                numbered
                    .filter_map(|(at, key)| Some((format!("{name}.{key}"), plain(entity.get(ROOT + at)?)?)))
                    .collect()
            }
            None => quantities(&entity, &name, &mut decoder),
        };
        (!values.is_empty()).then_some((id, values))
    };
    found.into_iter().filter_map(set).collect()
}

fn quantities(entity: &DecodedEntity, set: &str, decoder: &mut EntityDecoder<'_>) -> Vec<(String, Value)> {
    let members = entity.get_refs(5).unwrap_or_default();
    let quantity = |id: u32| {
        let quantity = decoder.decode_by_id(id).ok()?;
        let is_single = matches!(
            quantity.ifc_type,
            IfcType::IfcQuantityLength
                | IfcType::IfcQuantityArea
                | IfcType::IfcQuantityVolume
                | IfcType::IfcQuantityCount
                | IfcType::IfcQuantityWeight
                | IfcType::IfcQuantityTime
        );
        let value = quantity.get_float(3).filter(|value| is_single && value.is_finite())?;
        Some((format!("{set}.{}", shortened(quantity.get_string(0)?)), Value::Real(value)))
    };
    members.into_iter().take(MAX_VALUES).filter_map(quantity).collect()
}

/// A value that is one; references to looks say nothing of the thing.
fn plain(value: &AttributeValue) -> Option<Value> {
    match value {
        AttributeValue::Float(number) => Some(Value::Real(*number)).filter(|_| number.is_finite()),
        AttributeValue::Integer(number) => Some(Value::Real(*number as f64)),
        AttributeValue::Enum(word) => Some(Value::Text(shortened(word.trim_matches('.')))),
        AttributeValue::String(text) if !text.is_empty() => Some(Value::Text(shortened(text))),
        _ => None,
    }
}
