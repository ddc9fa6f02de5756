//! Colours of bodies that something was cut from.
//!
//! The library looks for a style on the item of a representation. Where that item is the result of a cut (a wall clipped
//! by a roof, a beam with holes), writers put the style on the body that is cut, and the library falls back to the material
//! or to a colour for the type. Here the style is found on the body.

use std::collections::HashMap;

use ifc_lite_core::{DecodedEntity, EntityDecoder, IfcType};

use super::bare::Survey;

/// Cuts within cuts, and steps from a style to its colour.
const MAX_STEPS: usize = 64;

/// The styles of a file with cuts.
pub struct Colours<'c> {
    decoder: EntityDecoder<'c>,
    /// By item: its first styles.
    styles: HashMap<u32, Vec<u32>>,
}

impl<'c> Colours<'c> {
    /// `None` where nothing is cut or nothing has a style.
    pub fn of(survey: &Survey, mut decoder: EntityDecoder<'c>) -> Option<Self> {
        if !survey.has_cuts || survey.styled.is_empty() {
            return None;
        }
        let mut styles = HashMap::with_capacity(survey.styled.len());
        for id in survey.styled.iter().copied() {
            if let Ok(item) = decoder.decode_by_id(id)
                && let (Some(of), Some(refs)) = (item.get_ref(0), item.get_refs(1))
            {
                styles.entry(of).or_insert(refs);
            }
        }
        Some(Self { decoder, styles })
    }

    /// The colour of a product whose one body is the result of a cut that has no style itself.
    pub fn of_cut(&mut self, product: u32) -> Option<[u8; 4]> {
        let shape = self.entity(product)?.get_ref(6)?;
        let representations = self.entity(shape)?.get_refs(2)?;
        let mut bodies = representations.into_iter().filter_map(|id| self.decoder.decode_by_id(id).ok());
        let items = bodies.find(|r| r.get_string(1) == Some("Body"))?.get_refs(3)?;
        let [mut item] = items[..] else { return None };
        let mut is_cut = false;
        for _ in 0..MAX_STEPS {
            if self.styles.contains_key(&item) {
                break;
            }
            let entity = self.entity(item)?;
            if !matches!(entity.ifc_type, IfcType::IfcBooleanResult | IfcType::IfcBooleanClippingResult) {
                return None;
            }
            is_cut = true;
            item = entity.get_ref(1)?;
        }
        if !is_cut {
            return None;
        }
        let styles = self.styles.get(&item)?.clone();
        styles.into_iter().find_map(|style| self.surface_colour(style, 0))
    }

    fn entity(&mut self, id: u32) -> Option<DecodedEntity> {
        self.decoder.decode_by_id(id).ok()
    }

    fn surface_colour(&mut self, style: u32, depth: usize) -> Option<[u8; 4]> {
        if depth > 4 {
            return None;
        }
        let entity = self.entity(style)?;
        let inner = match entity.ifc_type {
            IfcType::IfcPresentationStyleAssignment => entity.get_refs(0)?,
            IfcType::IfcSurfaceStyle => entity.get_refs(2)?,
            IfcType::IfcSurfaceStyleRendering | IfcType::IfcSurfaceStyleShading => {
                // The diffuse colour is one of its own, or a part of the surface's.
                let colour = self.entity(entity.get_ref(2).or(entity.get_ref(0))?)?;
                let part = entity.get_float(2).unwrap_or(1.0);
                let opacity = 1.0 - entity.get_float(1).unwrap_or(0.0);
                let channel = |at: usize| Some(colour.get_float(at)? * part);
                let channels = [channel(1)?, channel(2)?, channel(3)?, opacity];
                return Some(channels.map(|c| (c.clamp(0.0, 1.0) * 255.0).round() as u8));
            }
            _ => return None,
        };
        inner.into_iter().find_map(|next| self.surface_colour(next, depth + 1))
    }
}
