//! Colours of surfaces that have no material of their own, by what they are.

use groundline_engine::model::{Class, PipeKind};

/// Opacity of rooms and closing surfaces: they must not hide what is in and behind them.
const SPACE_ALPHA: u8 = 40;

/// Colour of a surface: by its semantics (`RoofSurface`, `WaterSurface` …) where they say something, else by the class
/// of its object.
pub(crate) fn colour(class: Class, pipe: Option<PipeKind>, semantics: Option<&str>) -> [u8; 4] {
    if class == Class::Space {
        return [214, 206, 192, SPACE_ALPHA];
    }
    let solid = |rgb: [u8; 3]| [rgb[0], rgb[1], rgb[2], 255];
    let by_semantics = semantics.and_then(|word| {
        Some(match word {
            "RoofSurface" => solid([176, 104, 84]),
            "WallSurface" => solid([222, 214, 200]),
            "GroundSurface" => solid([150, 146, 140]),
            "OuterCeilingSurface" | "OuterFloorSurface" => solid([190, 186, 180]),
            "InteriorWallSurface" | "CeilingSurface" => solid([230, 228, 222]),
            "FloorSurface" => solid([196, 186, 170]),
            "Window" | "WindowSurface" => [120, 160, 190, 140],
            "Door" | "DoorSurface" => solid([120, 84, 60]),
            "ClosureSurface" | "WaterClosureSurface" => [200, 200, 200, SPACE_ALPHA],
            "WaterSurface" => solid([84, 132, 180]),
            "WaterGroundSurface" => solid([120, 108, 84]),
            "TrafficArea" => solid([112, 114, 118]),
            "AuxiliaryTrafficArea" => solid([138, 148, 118]),
            "TransportationMarking" | "Marking" => solid([238, 238, 236]),
            _ => return None,
        })
    });
    by_semantics.unwrap_or_else(|| {
        solid(match class {
            Class::Building | Class::Storey | Class::BuildingElement => [214, 206, 192],
            Class::Bridge => [176, 176, 178],
            Class::Tunnel => [150, 148, 146],
            Class::Road => [112, 114, 118],
            Class::Railway => [130, 120, 112],
            Class::Water => [84, 132, 180],
            Class::Terrain => [160, 152, 124],
            Class::Greenery => [112, 148, 88],
            Class::Tree => [88, 130, 72],
            Class::LandUse | Class::District => [190, 186, 150],
            Class::Pipe | Class::PipeNode => pipe.unwrap_or(PipeKind::Other).rgb(),
            _ => [150, 150, 156],
        })
    })
}
