//! What a thing is, at which stage of its life, and on which side of the ground.

use serde::{Deserialize, Serialize};

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal, $zh:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in the order of the vocabulary.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word used in files, on the command line and over HTTP.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The Chinese term shown to people.
            pub fn zh(self) -> &'static str {
                match self { $($name::$variant => $zh,)* }
            }

            /// The value with this word, if there is one.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

vocabulary! {
    /// What an object is (类别), in CityGML 3 terms; underground classes after CJJ 61.
    Class {
        /// Ground surface.
        Terrain = "terrain", "地形";
        /// Picture draped on the ground.
        Imagery = "imagery", "影像";
        /// Whole building.
        Building = "building", "建筑";
        /// One storey of a building.
        Storey = "storey", "楼层";
        /// Room or other space in a building.
        Space = "space", "空间";
        /// Wall, slab, door: a part of a building.
        BuildingElement = "building_element", "构件";
        /// Road or street.
        Road = "road", "道路";
        /// Railway at grade.
        Railway = "railway", "铁路";
        /// Sea, river, lake.
        Water = "water", "水体";
        /// Park, lawn, wood as an area.
        Greenery = "greenery", "绿地";
        /// Area of land use.
        LandUse = "land_use", "用地";
        /// One tree.
        Tree = "tree", "树木";
        /// Street lamp.
        Lamp = "lamp", "路灯";
        /// Other street furniture.
        Furniture = "furniture", "城市部件";
        /// Bridge.
        Bridge = "bridge", "桥梁";
        /// Water, drain, gas, heat, power, telecom or industrial line.
        Pipe = "pipe", "管线";
        /// Manhole, chamber, well.
        Manhole = "manhole", "检查井";
        /// Valve, hydrant, tee and other points of a network.
        PipeNode = "pipe_node", "管点";
        /// Utility gallery.
        Gallery = "gallery", "综合管廊";
        /// Road, rail or pedestrian tunnel.
        Tunnel = "tunnel", "隧道";
        /// Underground station.
        Station = "station", "车站";
        /// Soil or rock layer.
        Stratum = "stratum", "地层";
        /// Borehole.
        Borehole = "borehole", "钻孔";
        /// Laser or photo scan.
        PointCloud = "point_cloud", "点云";
        /// Sensing device.
        Sensor = "sensor", "感知终端";
        /// Administrative or planning area.
        District = "district", "区划";
        /// Anything else.
        Generic = "generic", "其他";
    }
}

vocabulary! {
    /// Stage of life (规/建/管).
    Stage {
        /// 规划.
        Planned = "planned", "规划";
        /// 在建.
        Construction = "construction", "在建";
        /// 运行.
        Operation = "operation", "现状";
        /// 废弃.
        Retired = "retired", "废弃";
    }
}

vocabulary! {
    /// Side of the ground (地上/地下).
    Domain {
        /// Above ground.
        Above = "above", "地上";
        /// On the surface.
        Surface = "surface", "地表";
        /// Below ground.
        Below = "below", "地下";
    }
}

vocabulary! {
    /// Pipe class (管线大类) of CJJ 61-2017 App. B, with drainage told apart by sub-class.
    PipeKind {
        /// JS.
        Water = "water", "给水";
        /// YS.
        Storm = "storm", "雨水";
        /// WS.
        Sewage = "sewage", "污水";
        /// HS.
        Combined = "combined", "雨污合流";
        /// RQ.
        Gas = "gas", "燃气";
        /// RL.
        Heat = "heat", "热力";
        /// DL.
        Power = "power", "电力";
        /// TX.
        Telecom = "telecom", "通信";
        /// GY.
        Industrial = "industrial", "工业";
        /// QT.
        Other = "other", "其他";
    }
}

vocabulary! {
    /// Principal soil or rock of a stratum (岩土大类), as the attribute `soil` has it.
    Soil {
        /// Fill of any kind.
        MadeGround = "made_ground", "填土";
        /// Topsoil.
        Topsoil = "topsoil", "耕土";
        /// Paving, foundations.
        Concrete = "concrete", "混凝土";
        /// Any rock.
        Rock = "rock", "岩石";
        /// Peat and organic soil.
        Peat = "peat", "泥炭";
        /// Mud, alluvium.
        Mud = "mud", "淤泥";
        /// Cobbles, boulders.
        Cobbles = "cobbles", "卵石";
        /// Gravel.
        Gravel = "gravel", "砾石";
        /// Clay.
        Clay = "clay", "黏性土";
        /// Silt.
        Silt = "silt", "粉土";
        /// Sand.
        Sand = "sand", "砂土";
    }
}

impl Soil {
    /// Drawing colour, sRGB: the usual ones of engineering-geological sections, our own choice of tones.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Soil::MadeGround => [168, 132, 118],
            Soil::Topsoil => [104, 78, 52],
            Soil::Concrete => [176, 178, 182],
            Soil::Rock => [148, 112, 168],
            Soil::Peat => [62, 50, 40],
            Soil::Mud => [92, 100, 108],
            Soil::Cobbles => [222, 148, 70],
            Soil::Gravel => [232, 170, 84],
            Soil::Clay => [196, 128, 82],
            Soil::Silt => [214, 190, 130],
            Soil::Sand => [246, 222, 110],
        }
    }
}

impl PipeKind {
    /// Drawing colour, sRGB (CJJ 61-2017 App. B). Storm and sewage share 排水's (76,57,38) there;
    /// they are told apart here by lighter tones of it, and black 工业 is lifted so that it shows on dark ground.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            PipeKind::Water => [0, 255, 255],
            PipeKind::Storm => [150, 118, 84],
            PipeKind::Sewage => [112, 80, 48],
            PipeKind::Combined => [132, 100, 66],
            PipeKind::Gas => [255, 0, 255],
            PipeKind::Heat => [255, 128, 0],
            PipeKind::Power => [255, 0, 0],
            PipeKind::Telecom => [0, 255, 0],
            PipeKind::Industrial => [70, 70, 70],
            PipeKind::Other => [102, 0, 204],
        }
    }
}

impl Class {
    /// Where objects of this class usually are; a source may say otherwise.
    pub fn usual_domain(self) -> Domain {
        match self {
            Class::Terrain | Class::Imagery | Class::Road | Class::Railway | Class::Water => Domain::Surface,
            Class::Greenery | Class::LandUse | Class::District => Domain::Surface,
            Class::Pipe | Class::Manhole | Class::PipeNode | Class::Gallery | Class::Tunnel => Domain::Below,
            Class::Station | Class::Stratum | Class::Borehole => Domain::Below,
            _ => Domain::Above,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back_and_none_is_used_twice() {
        for &class in Class::ALL {
            assert_eq!(Class::parse(class.word()), Some(class));
        }
        let mut words: Vec<_> = Class::ALL.iter().map(|c| c.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Class::ALL.len());
        assert_eq!(Class::parse("castle"), None);
    }

    #[test]
    fn words_are_what_serde_writes() {
        for &kind in PipeKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        for &class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.word());
        }
    }
}
