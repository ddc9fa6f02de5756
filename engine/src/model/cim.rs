//! How finely a city is modelled: levels CIM1 to CIM7 of the technical standard for CIM platforms (CJJ/T 315-2022).
//!
//! A level says what a thing means, not how many triangles it has: CIM1 is the surface, CIM2 the frame of blocks and main lines,
//! CIM3 the outer form, CIM4 the fine outside, CIM5 rooms, CIM6 components, CIM7 their parts.

use serde::{Deserialize, Serialize};

use super::{Class, Geometry};

/// Pipes of at least this size are the main lines of their network, metres.
const MAIN_LINE_M: f64 = 0.4;

/// A level of the city information model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CimLevel(u8);

impl CimLevel {
    /// Whose levels these are: a level means nothing without its scheme.
    pub const SCHEME: &'static str = "CJJ/T 315-2022";
    /// The surface (地表模型).
    pub const SURFACE: Self = Self(1);
    /// Blocks and main lines (框架模型).
    pub const FRAME: Self = Self(2);
    /// Outer form (标准模型).
    pub const STANDARD: Self = Self(3);
    /// Fine outside (精细模型).
    pub const FINE: Self = Self(4);
    /// Storeys and rooms (功能级模型).
    pub const FUNCTION: Self = Self(5);
    /// Components (构件级模型).
    pub const COMPONENT: Self = Self(6);
    /// Parts of components (零件级模型): everything there is.
    pub const PART: Self = Self(7);

    /// The level with this number, 1 to 7.
    pub fn new(number: u8) -> Option<Self> {
        (1..=7).contains(&number).then_some(Self(number))
    }

    /// Its number, 1 to 7.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The level meant by `cim3`, `CIM3` or `3`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("cim").or_else(|| text.strip_prefix("CIM")).unwrap_or(text);
        digits.parse().ok().and_then(Self::new)
    }

    /// The lowest level that shows an object of this class and shape.
    pub fn of(class: Class, geometry: &Geometry) -> Self {
        match class {
            Class::Terrain | Class::Imagery | Class::District | Class::LandUse | Class::Water => Self::SURFACE,
            Class::Building if matches!(geometry, Geometry::Mesh(_)) => Self::STANDARD,
            Class::Building | Class::Road | Class::Railway | Class::Greenery => Self::FRAME,
            Class::Pipe => match geometry {
                Geometry::Tube(tube) if tube.section.size_m() < MAIN_LINE_M => Self::STANDARD,
                _ => Self::FRAME,
            },
            Class::Lamp | Class::Furniture | Class::Manhole | Class::PipeNode | Class::Sensor => Self::FINE,
            Class::Storey | Class::Space => Self::FUNCTION,
            Class::BuildingElement => Self::COMPONENT,
            Class::Tree | Class::Bridge | Class::Gallery | Class::Tunnel | Class::Station => Self::STANDARD,
            Class::Stratum | Class::Borehole | Class::PointCloud | Class::Generic => Self::STANDARD,
        }
    }
}

impl std::fmt::Display for CimLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CIM{}", self.0)
    }
}

impl std::str::FromStr for CimLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or_else(|| format!("`{text}` is no level of detail: cim1 to cim7"))
    }
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;
    use crate::model::{Mesh, Section, Tube, Vertical};

    #[test]
    fn levels_are_read_as_people_write_them() {
        for (text, number) in [("cim1", 1), ("CIM7", 7), ("4", 4)] {
            assert_eq!(text.parse::<CimLevel>().map(CimLevel::number), Ok(number));
        }
        for text in ["", "cim", "cim0", "8", "-1", "cim3.5", "cimcim3"] {
            assert!(text.parse::<CimLevel>().is_err(), "{text}");
        }
        assert_eq!(CimLevel::STANDARD.to_string(), "CIM3");
    }

    #[test]
    fn a_block_comes_before_walls_and_walls_before_their_parts() {
        let mesh = Geometry::Mesh(Mesh { origin: DVec3::ZERO, parts: Vec::new() });
        let pipe = |diameter_m| {
            Geometry::Tube(Tube {
                axis: vec![DVec3::ZERO, DVec3::X],
                vertical: Vertical::Absolute,
                section: Section::Circle { diameter_m },
                from: None,
                to: None,
            })
        };
        let order = [
            (Class::Terrain, &Geometry::None),
            (Class::Building, &Geometry::None),
            (Class::Building, &mesh),
            (Class::Lamp, &Geometry::None),
            (Class::Space, &mesh),
            (Class::BuildingElement, &mesh),
        ];
        let levels = order.map(|(class, shape)| CimLevel::of(class, shape));
        assert!(levels.windows(2).all(|pair| pair[0] < pair[1]), "{levels:?}");
        assert!(CimLevel::of(Class::Pipe, &pipe(1.2)) < CimLevel::of(Class::Pipe, &pipe(0.1)));
    }
}
