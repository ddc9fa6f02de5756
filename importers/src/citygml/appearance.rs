//! Materials of surfaces (X3DMaterial) and their pictures: with coordinates for each vertex, or placed by a formula
//! (ParameterizedTexture), or by the ground (GeoreferencedTexture). Where several themes paint a surface the first is taken.

use std::collections::HashMap;

use glam::{DMat2, DVec2};

use super::{
    geometry::{IdHash, id_hash},
    name::Space,
    tree::{AttributeName, NodeId, View},
};

/// Surfaces with a material that are remembered for the whole file.
const MAX_TARGETS: usize = 8_000_000;
/// Texture coordinates that are remembered for the whole file.
const MAX_COORDINATES: usize = 48_000_000;

/// Colours by the hash of the id of their target.
#[derive(Default)]
pub(super) struct Materials {
    pub by_target: HashMap<IdHash, [u8; 4]>,
    /// Addresses of pictures.
    pictures: Vec<String>,
    /// By the hash of the id of a ring: number of its picture, and where its coordinates are.
    rings: HashMap<IdHash, (u32, u32, u32)>,
    /// From the left and from the bottom of the picture.
    coordinates: Vec<[f32; 2]>,
    /// Pictures that are placed in space, and by the hash of the id of a surface which of them it shows.
    placings: Vec<Placing>,
    placed: HashMap<IdHash, u32>,
    /// Pictures whose place is said in no way that is understood.
    pub unplaced: u64,
    /// Whether texture coordinates were met that are no pairs of numbers.
    pub has_faults: bool,
    /// Whether there were more targets than could be remembered.
    pub is_cut: bool,
}

/// A picture that is placed in space.
pub(super) struct Placing {
    /// Its address.
    pub address: String,
    /// What places it.
    pub by: By,
}

/// What places a picture in space.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum By {
    /// The middle of its upper left pixel, and the steps of columns and rows in the ground's plane.
    Ground { corner: DVec2, steps: DMat2 },
    /// The same from a file beside the picture.
    WorldFile,
    /// From places in space to places in the picture, from the left and from the bottom.
    Formula([[f64; 4]; 3]),
}

/// Which placing of which materials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PlacingId {
    is_own: bool,
    number: u32,
}

/// Materials of one member and of the whole file.
#[derive(Clone, Copy)]
pub(super) struct Looks<'m> {
    pub own: Option<&'m Materials>,
    pub all: &'m Materials,
}

impl<'m> Looks<'m> {
    /// The colour of the material of a surface.
    pub fn get(self, id: IdHash) -> Option<[u8; 4]> {
        let own = self.own.and_then(|own| own.by_target.get(&id));
        own.or_else(|| self.all.by_target.get(&id)).copied()
    }

    /// The placing of the picture on a surface.
    pub fn placing_of(self, id: IdHash) -> Option<PlacingId> {
        let own = self.own.and_then(|own| own.placed.get(&id));
        let of = |is_own: bool, number: &u32| PlacingId { is_own, number: *number };
        own.map(|number| of(true, number)).or_else(|| self.all.placed.get(&id).map(|number| of(false, number)))
    }

    /// A placing.
    pub fn placing(self, id: PlacingId) -> Option<&'m Placing> {
        let materials = if id.is_own { self.own? } else { self.all };
        materials.placings.get(id.number as usize)
    }

    /// The picture of a ring: its address, and a place in it for each vertex.
    pub fn picture(self, ring: IdHash) -> Option<(&'m str, &'m [[f32; 2]])> {
        self.own.and_then(|own| own.picture(ring)).or_else(|| self.all.picture(ring))
    }
}

impl Materials {
    /// Whether any ring has a picture.
    pub fn has_pictures(&self) -> bool {
        !self.rings.is_empty()
    }

    fn picture(&self, ring: IdHash) -> Option<(&str, &[[f32; 2]])> {
        let (picture, from, to) = *self.rings.get(&ring)?;
        Some((self.pictures.get(picture as usize)?, self.coordinates.get(from as usize..to as usize)?))
    }

    /// Takes the materials below an element.
    pub fn take(&mut self, view: View<'_>, root: NodeId) {
        for node in view.children(root) {
            if view.space(node) != Space::Appearance {
                continue;
            }
            match view.local(node) {
                "X3DMaterial" => self.material(view, node),
                "ParameterizedTexture" => self.texture(view, node),
                "GeoreferencedTexture" => self.georeferenced(view, node),
                _ => self.take(view, node),
            }
        }
    }

    fn material(&mut self, view: View<'_>, node: NodeId) {
        let text = |local: &str| view.child(node, local).map(|child| view.tree.text(child));
        // The back of a surface is seen through its front's colour too.
        if text("isFront") == Some("false") {
            return;
        }
        let mut rgb = [0.8; 3]; // the default of the standard
        if let Some(text) = text("diffuseColor") {
            for (place, part) in rgb.iter_mut().zip(text.split_ascii_whitespace()) {
                *place = part.parse::<f64>().unwrap_or(*place).clamp(0.0, 1.0);
            }
        }
        let transparency = text("transparency").and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0).clamp(0.0, 1.0);
        let byte = |share: f64| (share * 255.0).round() as u8;
        let [r, g, b] = rgb.map(byte);
        let rgba = [r, g, b, 255 - byte(transparency)];
        for target in view.children(node).filter(|child| view.local(*child) == "target") {
            if self.by_target.len() >= MAX_TARGETS {
                self.is_cut = true;
                return;
            }
            let text = view.tree.text(target);
            // Version 3 has a reference where version 2 has text.
            let text = view.tree.get(target, AttributeName::Href).unwrap_or(text);
            self.by_target.entry(id_hash(text)).or_insert(rgba);
        }
    }

    fn texture(&mut self, view: View<'_>, node: NodeId) {
        let Some(address) = view.child(node, "imageURI").map(|child| view.tree.text(child)) else { return };
        let number = self.pictures.len() as u32;
        self.pictures.push(address.to_owned());
        for child in view.children(node) {
            // `target` in version 2, `textureParameterization` in version 3
            if matches!(view.local(child), "target" | "textureParameterization") {
                self.parameterization(view, child, number);
            }
        }
    }

    /// What places a picture stands in elements of different names, one in the other.
    fn parameterization(&mut self, view: View<'_>, node: NodeId, picture: u32) {
        // The surface: an attribute in version 2, an element beside in version 3.
        let target = view.tree.get(node, AttributeName::Uri).or_else(|| {
            let target = view.child(node, "target")?;
            view.tree.get(target, AttributeName::Href).or_else(|| Some(view.tree.text(target)))
        });
        for child in view.children(node) {
            match view.local(child) {
                "TexCoordList" => self.coordinates(view, child, picture),
                "TexCoordGen" => self.formula(view, child, picture, target),
                "TextureAssociation" => self.parameterization(view, child, picture),
                "textureParameterization" => {
                    for inner in view.children(child) {
                        match view.local(inner) {
                            "TexCoordGen" => self.formula(view, inner, picture, target),
                            "TexCoordList" => self.coordinates(view, inner, picture),
                            _ => self.parameterization(view, inner, picture),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn formula(&mut self, view: View<'_>, node: NodeId, picture: u32, target: Option<&str>) {
        let matrix = view.child(node, "worldToTexture").and_then(|child| numbers::<12>(view.tree.text(child)));
        let (Some([a, b, c, d, e, f, g, h, i, j, k, l]), Some(target), Some(address)) =
            (matrix, target, self.pictures.get(picture as usize).cloned())
        else {
            self.unplaced += 1;
            return;
        };
        let by = By::Formula([[a, b, c, d], [e, f, g, h], [i, j, k, l]]);
        self.place(Placing { address, by }, [target]);
    }

    fn georeferenced(&mut self, view: View<'_>, node: NodeId) {
        let text = |local: &str| view.child(node, local).map(|child| view.tree.text(child));
        let Some(address) = text("imageURI") else { return };
        let corner = view.child(node, "referencePoint").and_then(|property| {
            let pos = view.tree.first_child(view.tree.first_child(property)?)?;
            let text = view.tree.text(pos).replace(',', " ");
            let mut parts = text.split_ascii_whitespace().map(|part| part.parse().ok().filter(|n: &f64| n.is_finite()));
            Some(DVec2::new(parts.next()??, parts.next()??))
        });
        let steps = text("orientation").and_then(numbers::<4>);
        let prefers_file = text("preferWorldFile").is_none_or(|word| word != "false" && word != "0");
        let by = match (corner, steps) {
            (Some(corner), Some([a, b, c, d])) => By::Ground { corner, steps: DMat2::from_cols_array(&[a, c, b, d]) },
            _ if prefers_file => By::WorldFile,
            _ => {
                self.unplaced += 1;
                return;
            }
        };
        let targets = view.children(node).filter(|child| view.local(*child) == "target");
        let targets = targets.map(|child| view.tree.get(child, AttributeName::Href).unwrap_or(view.tree.text(child)));
        self.place(Placing { address: address.to_owned(), by }, targets);
    }

    fn place<'t>(&mut self, placing: Placing, targets: impl IntoIterator<Item = &'t str>) {
        let number = self.placings.len() as u32;
        self.placings.push(placing);
        for target in targets {
            if self.placed.len() >= MAX_TARGETS {
                self.is_cut = true;
                return;
            }
            self.placed.entry(id_hash(target)).or_insert(number);
        }
    }

    fn coordinates(&mut self, view: View<'_>, list: NodeId, picture: u32) {
        // Version 3 names the rings in elements of their own, in the order of the coordinates.
        let mut rings = view.children(list).filter(|child| view.local(*child) == "ring");
        for child in view.children(list).filter(|child| view.local(*child) == "textureCoordinates") {
            let named = view.tree.get(child, AttributeName::Ring);
            let href = |ring: NodeId| view.tree.get(ring, AttributeName::Href).unwrap_or_else(|| view.tree.text(ring));
            let Some(ring) = named.or_else(|| rings.next().map(href)) else { continue };
            if self.coordinates.len() >= MAX_COORDINATES {
                self.is_cut = true;
                return;
            }
            let from = self.coordinates.len();
            let mut numbers = view.tree.text(child).split_ascii_whitespace().map(|part| part.parse::<f32>().ok());
            let is_whole = loop {
                match (numbers.next(), numbers.next()) {
                    (None, _) => break true,
                    (Some(Some(u)), Some(Some(v))) => self.coordinates.push([u, v]),
                    _ => break false,
                }
            };
            if !is_whole {
                self.coordinates.truncate(from);
                self.has_faults = true;
                continue;
            }
            let entry = (picture, from as u32, self.coordinates.len() as u32);
            self.rings.entry(id_hash(ring)).or_insert(entry);
        }
    }
}

/// So many numbers, no more and no less.
fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let numbers: Vec<f64> = text.split_ascii_whitespace().map_while(|part| part.parse().ok()).collect();
    <[f64; N]>::try_from(numbers).ok().filter(|all| all.iter().all(|n| n.is_finite()))
}
