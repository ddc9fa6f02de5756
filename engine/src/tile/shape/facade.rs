//! Which facade a building gets, and in which colours.

use serde::{Deserialize, Serialize};

use super::Dice;
use crate::model::{CityObject, Geometry};

/// Kind of a building as its walls show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in crate::tile) enum Facade {
    /// Flats with windows and balconies.
    Residential,
    /// Tall flats with bands of windows.
    Tower,
    /// Glass curtain wall.
    Office,
    /// Small windows in warm plaster.
    OldTown,
    /// School, hospital, administration: stone and rows of windows.
    Public,
    /// Shed, works, store: panels and a strip of windows.
    Industrial,
}

impl Facade {
    /// The name under which viewers know it.
    pub fn material_name(self) -> &'static str {
        match self {
            Facade::Residential => "facade_residential",
            Facade::Tower => "facade_tower",
            Facade::Office => "facade_office",
            Facade::OldTown => "facade_oldtown",
            Facade::Public => "facade_public",
            Facade::Industrial => "facade_industrial",
        }
    }

    /// Tints, muted so that a street of them is calm.
    pub fn tints(self) -> &'static [[u8; 3]] {
        match self {
            Facade::Residential => &[
                [250, 246, 238],
                [244, 236, 222],
                [238, 228, 210],
                [246, 240, 236],
                [232, 226, 216],
                [240, 230, 224],
                [228, 232, 234],
                [236, 222, 204],
            ],
            Facade::Tower => &[[246, 246, 246], [238, 236, 230], [230, 234, 238], [244, 236, 226], [226, 222, 216]],
            Facade::Office => &[[232, 242, 250], [214, 230, 240], [224, 236, 234], [240, 244, 248], [204, 220, 232]],
            Facade::OldTown => &[
                [255, 240, 214],
                [246, 222, 186],
                [240, 206, 176],
                [226, 180, 152],
                [250, 234, 206],
                [232, 196, 160],
                [214, 164, 140],
                [244, 238, 226],
            ],
            Facade::Public => &[[248, 244, 236], [238, 230, 218], [226, 216, 204], [222, 196, 178]],
            Facade::Industrial => &[[228, 232, 236], [216, 222, 226], [206, 216, 226], [236, 234, 226]],
        }
    }
}

/// Attributes that tell what a building is for.
const USE_KEYS: &[&str] = &[
    "usage",
    "use",
    "function",
    "type",
    "building",
    "building_type",
    "fclass",
    "kind",
    "category",
    "purpose",
    "amenity",
    "style",
    "用途",
    "类型",
    "类别",
    "性质",
    "功能",
    "建筑类型",
    "房屋用途",
    "使用性质",
];

/// Words in them; the first that occurs decides.
const USE_WORDS: &[(&str, Facade)] = &[
    ("warehouse", Facade::Industrial),
    ("老城", Facade::OldTown),
    ("历史", Facade::OldTown),
    ("里院", Facade::OldTown),
    ("传统", Facade::OldTown),
    ("old town", Facade::OldTown),
    ("old_town", Facade::OldTown),
    ("oldtown", Facade::OldTown),
    ("heritage", Facade::OldTown),
    ("historic", Facade::OldTown),
    ("住宅", Facade::Residential),
    ("居住", Facade::Residential),
    ("公寓", Facade::Residential),
    ("residential", Facade::Residential),
    ("apartment", Facade::Residential),
    ("dormitory", Facade::Residential),
    ("house", Facade::OldTown),
    ("terrace", Facade::OldTown),
    ("detached", Facade::OldTown),
    ("woonfunctie", Facade::Residential),
    ("学校", Facade::Public),
    ("教育", Facade::Public),
    ("医院", Facade::Public),
    ("医疗", Facade::Public),
    ("公共", Facade::Public),
    ("文化", Facade::Public),
    ("行政", Facade::Public),
    ("school", Facade::Public),
    ("university", Facade::Public),
    ("hospital", Facade::Public),
    ("public", Facade::Public),
    ("civic", Facade::Public),
    ("church", Facade::Public),
    ("government", Facade::Public),
    ("museum", Facade::Public),
    ("onderwijs", Facade::Public),
    ("工业", Facade::Industrial),
    ("厂", Facade::Industrial),
    ("仓", Facade::Industrial),
    ("industr", Facade::Industrial),
    ("factory", Facade::Industrial),
    ("garage", Facade::Industrial),
    ("shed", Facade::Industrial),
    ("办公", Facade::Office),
    ("商务", Facade::Office),
    ("商业", Facade::Office),
    ("酒店", Facade::Office),
    ("写字楼", Facade::Office),
    ("金融", Facade::Office),
    ("office", Facade::Office),
    ("kantoor", Facade::Office),
    ("commercial", Facade::Office),
    ("retail", Facade::Office),
    ("hotel", Facade::Office),
    ("shop", Facade::Office),
    ("mall", Facade::Office),
    ("tower", Facade::Tower),
];

/// The facade of `object`: by what its attributes say, else by height, storeys and size, else by its id.
pub(in crate::tile) fn choose_facade(object: &CityObject) -> Facade {
    let Geometry::Block(block) = &object.geometry else { return Facade::Residential };
    let dice = Dice::of(object.id.as_str());
    let height = block.height_m;
    let mut said = None;
    for attribute in &object.attributes {
        let key = attribute.key.to_lowercase();
        if said.is_none() && USE_KEYS.contains(&key.as_str()) {
            let text = attribute.value.as_str().map(str::to_lowercase).unwrap_or_default();
            said = USE_WORDS.iter().find(|(word, _)| text.contains(word)).map(|(_, facade)| *facade);
        }
    }
    match said {
        Some(Facade::Residential) if height > 33.0 => return Facade::Tower,
        Some(Facade::OldTown) if height > 24.0 => return Facade::Residential,
        Some(facade) => return facade,
        None => {}
    }
    let size = object.geometry.extent().size();
    let plan = size.x * size.y;
    let storeys = block.storeys.map_or(height / 3.0, f64::from);
    if height >= 60.0 {
        return if dice.throw(11) < 0.55 { Facade::Office } else { Facade::Tower };
    }
    if storeys >= 11.0 {
        return if dice.throw(11) < 0.25 { Facade::Office } else { Facade::Tower };
    }
    if plan > 2500.0 && height < 14.0 {
        return Facade::Industrial;
    }
    if plan < 400.0 && height < 11.0 {
        return Facade::OldTown;
    }
    let share = dice.throw(11);
    if share < 0.12 {
        Facade::Public
    } else if share < 0.2 {
        Facade::Office
    } else {
        Facade::Residential
    }
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;
    use crate::model::{Attribute, Block, Class, ObjectId, Polygon, Value};

    fn building(height_m: f64, side: f64, usage: Option<&str>) -> CityObject {
        let outer = [(0.0, 0.0), (side, 0.0), (side, side), (0.0, side)].map(|(x, y)| DVec3::new(x, y, 0.0)).to_vec();
        let block = Block {
            footprint: vec![Polygon { outer, holes: vec![] }],
            base_m: None,
            height_m,
            lift_m: 0.0,
            storeys: None,
            roof: None,
        };
        let mut object = CityObject::new(ObjectId::new("b", 1), Class::Building, Geometry::Block(block));
        object.attributes =
            usage.map(|u| Attribute::converted("usage", Value::Text(u.into()), "YT", "")).into_iter().collect();
        object
    }

    #[test]
    fn words_in_two_languages_decide_before_size_does() {
        assert_eq!(choose_facade(&building(20.0, 20.0, Some("商业办公"))), Facade::Office);
        assert_eq!(choose_facade(&building(20.0, 20.0, Some("Warehouse"))), Facade::Industrial);
        assert_eq!(choose_facade(&building(18.0, 20.0, Some("城镇住宅"))), Facade::Residential);
        assert_eq!(choose_facade(&building(80.0, 20.0, Some("residential"))), Facade::Tower);
        assert_eq!(choose_facade(&building(6.0, 10.0, None)), Facade::OldTown);
        assert_eq!(choose_facade(&building(8.0, 80.0, Some("no idea"))), Facade::Industrial);
    }
}
