//! A file without its shapes: what the products are called and what is said of them.
//!
//! Nine in ten statements of a building model are points, faces and placements. The library makes a record of each of them,
//! a kilobyte for a statement of sixty bytes; it is given the others only.

use ifc_lite_core::{EntityDecoder, EntityIndex, EntityScanner, IfcType};
use rustc_hash::FxHashMap;

/// What describes shapes and where they lie; nothing that is said of a product refers to them.
const SHAPES: [IfcType; 4] = [
    IfcType::IfcRepresentationItem,
    IfcType::IfcObjectPlacement,
    IfcType::IfcRepresentation,
    IfcType::IfcProductRepresentation,
];

/// Which statements a file holds, after one look at each.
pub struct Survey {
    /// Those that describe no shape: where they start and end, and their numbers.
    others: Vec<(usize, usize, u32)>,
    storeys: Vec<u32>,
    /// Styles of items.
    pub styled: Vec<u32>,
    /// Whether something is cut from a body.
    pub has_cuts: bool,
    /// Where the first statement starts and the last ends.
    body: (usize, usize),
}

/// What matters of a kind of statement.
#[derive(Clone, Copy)]
enum Sort {
    Shape,
    Cut,
    Styled,
    Storey,
    Other,
}

impl Sort {
    fn of(keyword: &str) -> Self {
        match keyword.to_uppercase().as_str() {
            "IFCBOOLEANCLIPPINGRESULT" | "IFCBOOLEANRESULT" => Sort::Cut,
            "IFCSTYLEDITEM" => Sort::Styled,
            "IFCBUILDINGSTOREY" => Sort::Storey,
            upper => {
                let own = IfcType::from_str(upper);
                if SHAPES.into_iter().any(|shape| own.is_subtype_of(shape)) { Sort::Shape } else { Sort::Other }
            }
        }
    }
}

impl Survey {
    /// Looks at every statement of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut scanner = EntityScanner::new(content);
        let mut survey =
            Self { others: Vec::new(), storeys: Vec::new(), styled: Vec::new(), has_cuts: false, body: (0, 0) };
        let mut sorts: FxHashMap<&str, Sort> = FxHashMap::default();
        let mut is_first = true;
        while let Some((id, keyword, start, end)) = scanner.next_entity() {
            if std::mem::take(&mut is_first) {
                survey.body.0 = start;
            }
            survey.body.1 = end;
            match *sorts.entry(keyword).or_insert_with(|| Sort::of(keyword)) {
                Sort::Shape => continue,
                Sort::Cut => {
                    survey.has_cuts = true;
                    continue;
                }
                Sort::Styled => {
                    survey.styled.push(id);
                    continue;
                }
                Sort::Storey => survey.storeys.push(id),
                Sort::Other => {}
            }
            survey.others.push((start, end, id));
        }
        survey
    }

    /// Numbers of the statements that describe no shape, and where they start.
    pub fn others(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.others.iter().map(|(start, _, id)| (*id, *start))
    }

    /// The statements of `content` that describe no shape, in their order, between its head and its end. The places of storeys
    /// stay: they give the height where a storey names none.
    pub fn without_shapes(&self, content: &[u8], index: &EntityIndex, decoder: &mut EntityDecoder<'_>) -> Vec<u8> {
        let places = self.storeys.iter().flat_map(|id| place_of_storey(*id, decoder)).flatten();
        let mut kept: Vec<(usize, usize)> = self.others.iter().map(|(start, end, _)| (*start, *end)).collect();
        kept.extend(places.filter_map(|id| index.get(&id)).copied());
        kept.sort_unstable();
        kept.dedup();
        let mut bare = Vec::with_capacity(kept.iter().map(|(start, end)| end - start + 1).sum::<usize>() + 4096);
        bare.extend_from_slice(&content[..self.body.0]);
        for (start, end) in kept {
            bare.extend_from_slice(&content[start..end]);
            bare.push(b'\n');
        }
        bare.extend_from_slice(&content[self.body.1..]);
        bare
    }
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

    fn bare_of(content: &[u8]) -> Vec<u8> {
        let index = ifc_lite_core::build_entity_index(content);
        Survey::of(content).without_shapes(content, &index, &mut EntityDecoder::new(content))
    }

    #[test]
    fn shapes_go_and_the_height_of_a_storey_stays() {
        let content = b"ISO-10303-21;\nDATA;\n#1=IFCCARTESIANPOINT((0.,0.,3.));\n#2=IFCAXIS2PLACEMENT3D(#1,$,$);\n\
            #3=IFCLOCALPLACEMENT($,#2);\n#4=IFCBUILDINGSTOREY('a',$,'1',$,$,#3,$,$,.ELEMENT.,$);\n\
            #5=IFCCARTESIANPOINT((9.,9.,9.));\n#6=IfcWall('b',$,'; #5=',$,$,#3,#8,$,$);\n#7=IFCLOCALPLACEMENT($,#2);\n\
            #8=IFCPRODUCTDEFINITIONSHAPE($,$,(#9));\n#9=IFCSHAPEREPRESENTATION($,'Body','Brep',(#5));\n\
            #10=IFCPROPERTYSINGLEVALUE('p',$,IFCLABEL('v'),$);\nENDSEC;\nEND-ISO-10303-21;\n";
        let bare = bare_of(content);
        let bare = String::from_utf8(bare).unwrap();
        let kept: Vec<&str> = bare.lines().filter_map(|line| line.split_once('=').map(|(id, _)| id)).collect();
        assert_eq!(kept, ["#1", "#2", "#3", "#4", "#6", "#10"], "{bare}");
        assert!(
            bare.starts_with("ISO-10303-21;\nDATA;\n#1") && bare.ends_with("\nENDSEC;\nEND-ISO-10303-21;\n"),
            "{bare}"
        );
        assert_eq!(bare_of(b"no statement"), b"no statement");
    }
}
