//! Materials of surfaces (X3DMaterial). Textures are not read.

use std::collections::HashMap;

use super::{
    geometry::{IdHash, id_hash},
    name::Space,
    tree::{NodeId, View},
};

/// Surfaces with a material that are remembered for the whole file.
const MAX_TARGETS: usize = 8_000_000;

/// Colours by the hash of the id of their target.
#[derive(Default)]
pub(super) struct Materials {
    pub by_target: HashMap<IdHash, [u8; 4]>,
    /// Whether textures were met.
    pub has_textures: bool,
    /// Whether there were more targets than could be remembered.
    pub is_cut: bool,
}

/// Materials of one member and of the whole file.
#[derive(Clone, Copy)]
pub(super) struct Looks<'m> {
    pub own: Option<&'m Materials>,
    pub all: &'m Materials,
}

impl Looks<'_> {
    /// The colour of the material of a surface.
    pub fn get(self, id: IdHash) -> Option<[u8; 4]> {
        let own = self.own.and_then(|own| own.by_target.get(&id));
        own.or_else(|| self.all.by_target.get(&id)).copied()
    }
}

impl Materials {
    /// Takes the materials below an element.
    pub fn take(&mut self, view: View<'_>, root: NodeId) {
        for node in view.children(root) {
            if view.space(node) != Space::Appearance {
                continue;
            }
            match view.local(node) {
                "X3DMaterial" => self.material(view, node),
                "ParameterizedTexture" | "GeoreferencedTexture" => self.has_textures = true,
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
            let text = view.tree.get(target, super::tree::AttributeName::Href).unwrap_or(text);
            self.by_target.entry(id_hash(text)).or_insert(rgba);
        }
    }
}
