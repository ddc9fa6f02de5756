//! What the object types of CityGML and CityJSON are in a city.

use groundline_engine::model::{Class, Domain, PipeKind};

/// Class of an object type by its name without prefix: `Building`, `TunnelPart`, `+Pipe`. `None` for names of no module.
pub(crate) fn class_of(kind: &str) -> Option<Class> {
    let kind = kind.trim_start_matches('+');
    Some(match kind {
        "Building" | "BuildingPart" => Class::Building,
        "BuildingStorey" | "Storey" => Class::Storey,
        "BuildingRoom" | "Room" | "BuildingUnit" | "HollowSpace" | "BridgeRoom" => Class::Space,
        "BuildingInstallation"
        | "IntBuildingInstallation"
        | "BuildingConstructiveElement"
        | "BuildingFurniture"
        | "TunnelFurniture"
        | "BridgeFurniture"
        | "Window"
        | "Door" => Class::BuildingElement,
        "Bridge"
        | "BridgePart"
        | "BridgeInstallation"
        | "IntBridgeInstallation"
        | "BridgeConstructionElement"
        | "BridgeConstructiveElement" => Class::Bridge,
        "Tunnel"
        | "TunnelPart"
        | "TunnelInstallation"
        | "IntTunnelInstallation"
        | "TunnelConstructiveElement"
        | "TunnelHollowSpace" => Class::Tunnel,
        "Road"
        | "Track"
        | "Square"
        | "TransportSquare"
        | "TransportationComplex"
        | "TransportComplex"
        | "Section"
        | "Intersection"
        | "TrafficSpace"
        | "AuxiliaryTrafficSpace"
        | "TrafficArea"
        | "AuxiliaryTrafficArea"
        | "Marking"
        | "ClearanceSpace"
        | "Hole" => Class::Road,
        "Railway" => Class::Railway,
        "WaterBody" | "Waterway" => Class::Water,
        "TINRelief" | "ReliefFeature" | "MassPointRelief" | "BreaklineRelief" | "RasterRelief" => Class::Terrain,
        "PlantCover" => Class::Greenery,
        "SolitaryVegetationObject" => Class::Tree,
        "CityFurniture" => Class::Furniture,
        "LandUse" => Class::LandUse,
        "GenericCityObject"
        | "GenericLogicalSpace"
        | "GenericOccupiedSpace"
        | "GenericUnoccupiedSpace"
        | "GenericThematicSurface"
        | "OtherConstruction"
        | "CityObjectGroup" => Class::Generic,
        _ => return utility_class(kind),
    })
}

/// Class of the objects of utility networks, in the words of the UtilityNetwork ADE and of PLATEAU's i-UR.
fn utility_class(kind: &str) -> Option<Class> {
    Some(match kind {
        "Manhole" | "Handhole" => Class::Manhole,
        "Appurtenance" | "UtilityNode" | "UtilityNodeContainer" => Class::PipeNode,
        "Duct" | "UtilityLink" => Class::Pipe,
        name if name.ends_with("Pipe") || name.ends_with("Cable") => Class::Pipe,
        _ => return None,
    })
}

/// What a line of this type carries, where its name says so.
pub(crate) fn pipe_kind(kind: &str) -> Option<PipeKind> {
    Some(match kind.trim_start_matches('+') {
        "WaterPipe" => PipeKind::Water,
        "SewerPipe" => PipeKind::Sewage,
        "ThermalPipe" => PipeKind::Heat,
        "OilGasChemicalsPipe" | "GasPipe" => PipeKind::Gas,
        "ElectricityCable" | "PowerCable" => PipeKind::Power,
        "TelecommunicationCable" => PipeKind::Telecom,
        _ => return None,
    })
}

/// Side of the ground: rooms and parts of tunnels are below it.
pub(crate) fn domain_of(kind: &str, class: Class) -> Domain {
    match kind {
        "HollowSpace" | "TunnelHollowSpace" | "TunnelFurniture" => Domain::Below,
        _ => class.usual_domain(),
    }
}

/// Whether objects of this class lie on the ground, so that a surface without heights is draped on it.
pub(crate) fn is_flat(class: Class) -> bool {
    matches!(class, Class::Road | Class::Railway | Class::Water | Class::Greenery | Class::LandUse | Class::District)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_cityjson_has_a_class() {
        for kind in [
            "Bridge",
            "BridgePart",
            "BridgeInstallation",
            "BridgeConstructiveElement",
            "BridgeRoom",
            "BridgeFurniture",
            "Building",
            "BuildingPart",
            "BuildingInstallation",
            "BuildingConstructiveElement",
            "BuildingFurniture",
            "BuildingStorey",
            "BuildingRoom",
            "BuildingUnit",
            "CityFurniture",
            "CityObjectGroup",
            "GenericCityObject",
            "LandUse",
            "OtherConstruction",
            "PlantCover",
            "SolitaryVegetationObject",
            "TINRelief",
            "Road",
            "Railway",
            "Waterway",
            "TransportSquare",
            "Tunnel",
            "TunnelPart",
            "TunnelInstallation",
            "TunnelConstructiveElement",
            "TunnelHollowSpace",
            "TunnelFurniture",
            "WaterBody",
            "+GenericCityObject",
        ] {
            assert!(class_of(kind).is_some(), "{kind}");
        }
        assert_eq!(class_of("WaterPipe"), Some(Class::Pipe));
        assert_eq!(class_of("Castle"), None);
    }
}
