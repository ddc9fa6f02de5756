//! A file without its shapes: what the products are called and what is said of them.
//!
//! Nine in ten statements of a building model are points, faces and placements. The library makes a record of each of them,
//! a kilobyte for a statement of sixty bytes; it is given the others only.

use std::collections::{HashMap, HashSet};

use ifc_lite_core::{EntityDecoder, EntityScanner, IfcType};

/// What describes shapes and where they lie; nothing that is said of a product refers to them.
const SHAPES: [IfcType; 4] = [
    IfcType::IfcRepresentationItem,
    IfcType::IfcObjectPlacement,
    IfcType::IfcRepresentation,
    IfcType::IfcProductRepresentation,
];

/// The statements of `content` that describe no shape, in their order, between its head and its end. The places of storeys
/// stay: they give the height where a storey names none.
pub fn without_shapes(content: &[u8], decoder: &mut EntityDecoder<'_>) -> Vec<u8> {
    let mut scanner = EntityScanner::new(content);
    let mut places = HashSet::new();
    while let Some((id, keyword, ..)) = scanner.next_entity() {
        if keyword.eq_ignore_ascii_case("IFCBUILDINGSTOREY") {
            places.extend(place_of_storey(id, decoder).into_iter().flatten());
        }
    }
    let mut scanner = EntityScanner::new(content);
    let mut is_shape: HashMap<&str, bool> = HashMap::new();
    let (mut bare, mut end_of_last) = (Vec::new(), None);
    while let Some((id, keyword, start, end)) = scanner.next_entity() {
        if end_of_last.is_none() {
            bare.extend_from_slice(&content[..start]);
        }
        end_of_last = Some(end);
        let is_shape = *is_shape.entry(keyword).or_insert_with(|| {
            let own = IfcType::from_str(&keyword.to_uppercase());
            SHAPES.into_iter().any(|shape| own.is_subtype_of(shape))
        });
        if !is_shape || places.contains(&id) {
            bare.extend_from_slice(&content[start..end]);
            bare.push(b'\n');
        }
    }
    bare.extend_from_slice(&content[end_of_last.unwrap_or(0)..]);
    bare
}

/// Placement, axes and point of a storey.
fn place_of_storey(storey: u32, decoder: &mut EntityDecoder<'_>) -> [Option<u32>; 3] {
    let mut follow = |id: Option<u32>, at: usize| decoder.decode_by_id(id?).ok()?.get_ref(at);
    let placement = follow(Some(storey), 5);
    let axes = follow(placement, 1);
    [placement, axes, follow(axes, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_go_and_the_height_of_a_storey_stays() {
        let content = b"ISO-10303-21;\nDATA;\n#1=IFCCARTESIANPOINT((0.,0.,3.));\n#2=IFCAXIS2PLACEMENT3D(#1,$,$);\n\
            #3=IFCLOCALPLACEMENT($,#2);\n#4=IFCBUILDINGSTOREY('a',$,'1',$,$,#3,$,$,.ELEMENT.,$);\n\
            #5=IFCCARTESIANPOINT((9.,9.,9.));\n#6=IfcWall('b',$,'; #5=',$,$,#3,#8,$,$);\n#7=IFCLOCALPLACEMENT($,#2);\n\
            #8=IFCPRODUCTDEFINITIONSHAPE($,$,(#9));\n#9=IFCSHAPEREPRESENTATION($,'Body','Brep',(#5));\n\
            #10=IFCPROPERTYSINGLEVALUE('p',$,IFCLABEL('v'),$);\nENDSEC;\nEND-ISO-10303-21;\n";
        let bare = without_shapes(content, &mut EntityDecoder::new(content));
        let bare = String::from_utf8(bare).unwrap();
        let kept: Vec<&str> = bare.lines().filter_map(|line| line.split_once('=').map(|(id, _)| id)).collect();
        assert_eq!(kept, ["#1", "#2", "#3", "#4", "#6", "#10"], "{bare}");
        assert!(
            bare.starts_with("ISO-10303-21;\nDATA;\n#1") && bare.ends_with("\nENDSEC;\nEND-ISO-10303-21;\n"),
            "{bare}"
        );
        assert_eq!(without_shapes(b"no statement", &mut EntityDecoder::new(b"no statement")), b"no statement");
    }
}
