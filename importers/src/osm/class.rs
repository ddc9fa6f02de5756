//! What an element of OpenStreetMap is, by its tags (wiki.openstreetmap.org/wiki/Map_features).

use groundline_engine::model::{Class, Section, Stage};

use super::block::Tags;
use crate::feature::AssumedTube;

/// The form in which an element comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A node.
    Node,
    /// A way whose ends are two nodes.
    OpenWay,
    /// A way that ends where it starts.
    ClosedWay,
    /// A multipolygon relation.
    Multipolygon,
}

/// What is made of an element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub class: Class,
    /// Drawn as an area, not as a line.
    pub is_area: bool,
    pub part: Role,
    pub stage: Option<Stage>,
    /// Layers below the ground, 1 or more, where it lies there.
    pub below: Option<f64>,
}

/// What of a building an area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// None of one.
    No,
    /// All of it.
    Outline,
    /// A part with a height of its own.
    Part,
}

/// The value of a key.
pub(super) fn tag<'a>(tags: &Tags<'a>, key: &str) -> Option<&'a str> {
    tags.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
}

/// What is made of an element of these tags; `None` for what is left out.
pub(super) fn classify(tags: &Tags<'_>, form: Form) -> Option<Found> {
    if tags.is_empty() {
        return None;
    }
    let mut found = match form {
        Form::Node => node(tags)?,
        Form::OpenWay => line(tags)?,
        Form::Multipolygon => area(tags, true)?,
        Form::ClosedWay => match area(tags, tag(tags, "area") == Some("yes")) {
            Some(found) if tag(tags, "area") != Some("no") => found,
            _ => line(tags)?,
        },
    };
    if form != Form::Node {
        found.below = below(tags, found.class);
    }
    Some(found)
}

fn of(class: Class, is_area: bool) -> Option<Found> {
    Some(Found { class, is_area, part: Role::No, stage: None, below: None })
}

fn is_yes(value: Option<&str>) -> bool {
    value.is_some_and(|v| !matches!(v, "no" | "false" | "0"))
}

fn node(tags: &Tags<'_>) -> Option<Found> {
    let class = tags.iter().find_map(|tag| match *tag {
        ("natural", "tree") => Some(Class::Tree),
        ("highway", "street_lamp") => Some(Class::Lamp),
        ("emergency", "fire_hydrant") => Some(Class::PipeNode),
        ("man_made", "manhole") => Some(Class::Manhole),
        ("amenity", "bench" | "waste_basket" | "post_box") | ("barrier", "bollard") => Some(Class::Furniture),
        _ => None,
    })?;
    of(class, false)
}

fn area(tags: &Tags<'_>, is_said: bool) -> Option<Found> {
    let building = |part| Some(Found { class: Class::Building, is_area: true, part, stage: None, below: None });
    if is_yes(tag(tags, "building:part")) {
        return building(Role::Part);
    }
    if let Some(kind) = tag(tags, "building").filter(|kind| is_yes(Some(kind))) {
        let stage = match kind {
            "construction" => Some(Stage::Construction),
            "proposed" | "planned" => Some(Stage::Planned),
            _ => None,
        };
        return building(Role::Outline).map(|found| Found { stage, ..found });
    }
    let class = tags.iter().find_map(|tag| match *tag {
        ("natural", "water") | ("waterway", "riverbank" | "dock") | ("leisure", "swimming_pool") => Some(Class::Water),
        ("landuse", "reservoir" | "basin" | "salt_pond") => Some(Class::Water),
        _ => None,
    });
    if let Some(class) = class {
        return of(class, true);
    }
    if tag(tags, "man_made") == Some("bridge") {
        return of(Class::Bridge, true);
    }
    if (is_said && tag(tags, "highway").is_some_and(is_road)) || is_yes(tag(tags, "area:highway")) {
        return of(Class::Road, true);
    }
    if ["highway", "railway", "waterway", "barrier"].iter().any(|key| tag(tags, key).is_some()) && !is_said {
        return None;
    }
    let class = tags.iter().find_map(|tag| match *tag {
        (
            "landuse",
            "grass" | "forest" | "meadow" | "orchard" | "vineyard" | "village_green" | "recreation_ground" | "cemetery"
            | "flowerbed" | "greenery" | "plant_nursery",
        )
        | ("leisure", "park" | "garden" | "golf_course" | "nature_reserve" | "dog_park")
        | ("natural", "wood" | "scrub" | "heath" | "grassland" | "wetland" | "fell" | "shrubbery")
        | ("amenity", "grave_yard") => Some(Class::Greenery),
        _ => None,
    });
    if let Some(class) = class {
        return of(class, true);
    }
    let is_used = tags.iter().any(|tag| {
        matches!(
            *tag,
            ("landuse", _)
                | ("leisure", "pitch" | "playground" | "sports_centre" | "stadium" | "track" | "marina")
                | ("natural", "beach" | "sand" | "bare_rock" | "scree" | "shingle" | "mud")
                | (
                    "amenity",
                    "parking" | "school" | "university" | "college" | "hospital" | "kindergarten" | "marketplace"
                )
                | ("place", "square")
                | ("aeroway", "aerodrome" | "apron" | "runway" | "taxiway")
        )
    });
    if is_used { of(Class::LandUse, true) } else { None }
}

fn is_road(kind: &str) -> bool {
    !matches!(
        kind,
        "platform"
            | "bus_stop"
            | "rest_area"
            | "services"
            | "elevator"
            | "razed"
            | "abandoned"
            | "demolished"
            | "no"
            | "traffic_signals"
            | "crossing"
            | "street_lamp"
    )
}

fn line(tags: &Tags<'_>) -> Option<Found> {
    let staged = |class, kind: &str| {
        let stage = match kind {
            "construction" => Some(Stage::Construction),
            "proposed" | "planned" => Some(Stage::Planned),
            "disused" => Some(Stage::Retired),
            _ => None,
        };
        Some(Found { class, is_area: false, part: Role::No, stage, below: None })
    };
    if let Some(kind) = tag(tags, "highway").filter(|kind| is_road(kind)) {
        return staged(Class::Road, kind);
    }
    if let Some(kind) = tag(tags, "railway")
        && matches!(
            kind,
            "rail"
                | "tram"
                | "subway"
                | "light_rail"
                | "narrow_gauge"
                | "monorail"
                | "funicular"
                | "preserved"
                | "construction"
                | "proposed"
                | "disused"
        )
    {
        return staged(Class::Railway, kind);
    }
    match (tag(tags, "waterway"), tag(tags, "man_made")) {
        (Some("river" | "stream" | "canal" | "drain" | "ditch" | "tidal_channel" | "brook"), _) => {
            of(Class::Water, false)
        }
        (_, Some("pipeline")) if !matches!(tag(tags, "location"), Some("overground" | "overhead")) => {
            of(Class::Pipe, false)
        }
        _ => None,
    }
}

/// Layers below the ground: what runs in a tunnel or is said to lie underground; roads and railways also by a negative
/// layer. Of water and buildings a negative layer often only says that something crosses above them.
fn below(tags: &Tags<'_>, class: Class) -> Option<f64> {
    let layer: Option<f64> =
        tag(tags, "layer").and_then(|layer| layer.trim().parse().ok()).filter(|l: &f64| l.is_finite());
    let in_tunnel = tag(tags, "tunnel").is_some_and(|kind| is_yes(Some(kind)) && kind != "building_passage");
    let is_under = in_tunnel || tag(tags, "location") == Some("underground");
    match layer {
        Some(layer) if layer < 0.0 && (is_under || matches!(class, Class::Road | Class::Railway)) => {
            Some(layer.abs().clamp(1.0, 10.0))
        }
        _ => is_under.then_some(1.0),
    }
}

/// What a line in a tunnel is assumed to be: nobody maps depths.
pub(super) fn assumed_tube(tags: &Tags<'_>, found: &Found, below: f64) -> AssumedTube {
    let more = (below - 1.0) * 5.0;
    if found.class == Class::Railway {
        return AssumedTube {
            section: Section::Circle { diameter_m: 6.2 },
            section_why: "section unknown: a single-track bore of 6.2 m assumed",
            cover_m: 9.0 + more,
            cover_why: "depth unknown: 9 m of cover and 5 m for each further layer assumed",
        };
    }
    let is_path = matches!(
        tag(tags, "highway"),
        Some("footway" | "path" | "pedestrian" | "steps" | "cycleway" | "corridor" | "bridleway")
    );
    if is_path {
        return AssumedTube {
            section: Section::Rect { width_m: 4.0, height_m: 3.0 },
            section_why: "section unknown: 4 × 3 m assumed for a path",
            cover_m: 1.5 + more,
            cover_why: "depth unknown: 1.5 m of cover and 5 m for each further layer assumed",
        };
    }
    AssumedTube {
        section: Section::Rect { width_m: 9.0, height_m: 5.5 },
        section_why: "section unknown: two lanes, 9 × 5.5 m assumed",
        cover_m: 3.0 + more,
        cover_why: "depth unknown: 3 m of cover and 5 m for each further layer assumed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(tags: &Tags<'_>, form: Form) -> Option<(Class, bool)> {
        classify(tags, form).map(|found| (found.class, found.is_area))
    }

    #[test]
    fn tags_tell_the_class_and_whether_a_ring_is_an_area() {
        use Form::{ClosedWay, Multipolygon, Node, OpenWay};
        for (tags, form, wanted) in [
            (&[("building", "yes")][..], ClosedWay, Some((Class::Building, true))),
            (&[("building", "no")], ClosedWay, None),
            (&[("building:part", "yes"), ("height", "9")], ClosedWay, Some((Class::Building, true))),
            (&[("building", "yes")], OpenWay, None),
            (&[("highway", "residential")], ClosedWay, Some((Class::Road, false))),
            (&[("highway", "pedestrian"), ("area", "yes")], ClosedWay, Some((Class::Road, true))),
            (&[("highway", "service")], Multipolygon, Some((Class::Road, true))),
            (&[("railway", "subway")], OpenWay, Some((Class::Railway, false))),
            (&[("railway", "platform")], OpenWay, None),
            (&[("waterway", "river")], OpenWay, Some((Class::Water, false))),
            (&[("natural", "water")], Multipolygon, Some((Class::Water, true))),
            (&[("natural", "tree")], Node, Some((Class::Tree, false))),
            (&[("highway", "street_lamp")], Node, Some((Class::Lamp, false))),
            (&[("highway", "street_lamp")], OpenWay, None),
            (&[("landuse", "forest")], ClosedWay, Some((Class::Greenery, true))),
            (&[("landuse", "retail")], ClosedWay, Some((Class::LandUse, true))),
            (&[("shop", "bakery")], Node, None),
        ] {
            assert_eq!(class(tags, form), wanted, "{tags:?}");
        }
    }

    #[test]
    fn tunnels_and_negative_layers_are_below_ground_and_passages_are_not() {
        for (tags, wanted) in [
            (&[("highway", "primary"), ("tunnel", "yes")][..], Some(1.0)),
            (&[("highway", "primary"), ("tunnel", "yes"), ("layer", "-2")], Some(2.0)),
            (&[("highway", "footway"), ("layer", "-1")], Some(1.0)),
            (&[("highway", "service"), ("tunnel", "building_passage")], None),
            (&[("highway", "service"), ("tunnel", "no"), ("layer", "1")], None),
            (&[("waterway", "river"), ("layer", "-1")], None),
            (&[("waterway", "stream"), ("tunnel", "culvert")], Some(1.0)),
        ] {
            assert_eq!(classify(tags, Form::OpenWay).unwrap().below, wanted, "{tags:?}");
        }
    }
}
