//! What the entities of IFC are in a city.

use groundline_engine::model::{Class, Domain};

use super::product::Product;

/// A storey this far below the building's zero is a basement, metres.
const BASEMENT_M: f64 = -1.0;

/// Class of a product; a part of a bridge or road is bridge or road.
pub fn class_of(product: &Product) -> Class {
    own_class(&product.ifc_type).unwrap_or_else(|| {
        let whole = product.within.iter().find_map(|above| match own_class(above) {
            Some(class @ (Class::Bridge | Class::Road | Class::Railway | Class::Tunnel)) => Some(class),
            _ => None,
        });
        whole.unwrap_or(Class::BuildingElement)
    })
}

/// Class of the entities that have one of their own.
fn own_class(ifc_type: &str) -> Option<Class> {
    Some(match ifc_type {
        "IfcSite" => Class::LandUse,
        "IfcBuilding" => Class::Building,
        "IfcBuildingStorey" => Class::Storey,
        "IfcSpace" | "IfcSpatialZone" | "IfcExternalSpatialElement" => Class::Space,
        "IfcBridge" | "IfcBridgePart" => Class::Bridge,
        "IfcRoad" | "IfcRoadPart" | "IfcPavement" | "IfcCourse" | "IfcKerb" => Class::Road,
        "IfcRailway" | "IfcRailwayPart" | "IfcRail" | "IfcTrackElement" => Class::Railway,
        "IfcTunnel" | "IfcTunnelPart" => Class::Tunnel,
        "IfcSolidStratum" | "IfcGeotechnicalStratum" | "IfcVoidStratum" | "IfcWaterStratum" => Class::Stratum,
        "IfcBorehole" => Class::Borehole,
        "IfcGeographicElement" | "IfcCivilElement" | "IfcFacility" | "IfcFacilityPart" | "IfcMarineFacility" => {
            Class::Generic
        }
        "IfcSensor" => Class::Sensor,
        name if name.starts_with("IfcEarthworks") || name == "IfcReinforcedSoil" => Class::Generic,
        _ => return None,
    })
}

/// Side of the ground: basements and what is in them are below it.
pub fn domain_of(product: &Product, class: Class) -> Domain {
    match product.storey_elevation_m {
        Some(elevation) if elevation <= BASEMENT_M => Domain::Below,
        _ if class == Class::LandUse => Domain::Surface,
        _ => class.usual_domain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beam_is_what_it_is_part_of() {
        let mut beam = Product { ifc_type: "IfcBeam".into(), ..Product::default() };
        assert_eq!(class_of(&beam), Class::BuildingElement);
        beam.within = vec!["IfcBridgePart".into(), "IfcBridge".into(), "IfcSite".into()];
        assert_eq!(class_of(&beam), Class::Bridge);
        beam.ifc_type = "IfcSpace".into();
        assert_eq!(class_of(&beam), Class::Space);
        beam.storey_elevation_m = Some(-3.0);
        assert_eq!(domain_of(&beam, Class::Space), Domain::Below);
    }
}
