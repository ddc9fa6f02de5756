//! A tile drawn: objects to its content, its box and its errors.

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::{
    Undrawn,
    mass::Masses,
    plan::{Plan, Weighed},
    silhouette::Silhouette,
};
use crate::{
    model::{CimLevel, Extent, Geometry},
    tile::{
        Ground, Refine, TileError, TileNode, TilesetBuilder,
        album::Album,
        shape::{self, Detail, Scene, Sketch},
        tileset::Note,
    },
};

/// An object of s metres left out is an error of this many times s: whoever tolerates 16 pixels misses 8.
const LEFT_OUT_ERROR: f64 = 2.0;
/// A block that is m metres off is an error of this many times m, as with outlines that move.
const BLOCK_ERROR: f64 = 8.0;
/// How what stands beside a block is drawn.
const BLOCK_DETAIL: Detail = Detail::Far { tolerance_m: 0.5 };
/// Most bytes of the picks of one tile.
const MOST_PICKS: u64 = 1 << 30;

/// An object with all that is needed to draw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pick {
    pub weighed: Weighed,
    /// A [`Sketch`] as bytes.
    pub record: Vec<u8>,
}

impl Pick {
    /// Along the curve; those of one place in an order that does not depend on how they came.
    pub fn by_place(&self, other: &Self) -> std::cmp::Ordering {
        let key = |pick: &Self| (pick.weighed.curve, pick.weighed.key);
        key(self).cmp(&key(other)).then_with(|| self.record.cmp(&other.record))
    }
}

/// What becomes of a plan.
#[derive(Serialize, Deserialize)]
pub struct Drawn {
    pub node: TileNode,
    pub undrawn: Undrawn,
}

/// What tiles are drawn with.
#[derive(Clone, Copy)]
pub struct Pen<'a> {
    pub ground: &'a Ground,
    pub album: &'a Album,
    pub tileset: &'a TilesetBuilder<'a>,
}

impl Pen<'_> {
    /// Draws the objects that `plan` picked, in any order.
    pub fn draw(self, plan: &Plan, picks: Vec<Pick>) -> Result<Drawn, TileError> {
        let masses = plan.masses.as_deref().map(Masses::from_bytes);
        self.draw_as(plan.detail, &plan.note, masses.as_ref(), picks)
    }

    /// Draws a tile of this detail and note, which has the masses of what it leaves out, where it does.
    pub fn draw_as(
        self,
        detail: Detail,
        note: &Note,
        masses: Option<&Masses>,
        mut picks: Vec<Pick>,
    ) -> Result<Drawn, TileError> {
        // The same content whatever the order of arrival.
        picks.sort_by(Pick::by_place);
        let centres = Extent::around(picks.iter().map(|pick| pick.weighed.centre));
        let middle = centres.centre().truncate();
        let z = match self.ground.is_empty() {
            true => centres.centre().z,
            false => self.ground.height_at(middle).unwrap_or(0.0),
        };
        // Whole metres: the same origin whatever the last bits of the sum were.
        let mut scene = Scene::with_album(middle.extend(z).round(), self.album);
        let mut undrawn = Undrawn::default();
        let mut error_m: f64 = f64::from(note.left_out_m) * LEFT_OUT_ERROR;
        let mut sketches = Vec::with_capacity(picks.len());
        for pick in &picks {
            let sketch: Sketch = postcard::from_bytes(&pick.record).map_err(|e| TileError::Spill(e.to_string()))?;
            sketches.push(sketch);
        }
        let mut order: Vec<usize> = (0..sketches.len()).collect();
        order.sort_by(|a, b| sketches[*a].id.cmp(&sketches[*b].id));
        for sketch in order.into_iter().map(|i| &sketches[i]) {
            match shape::draw(&mut scene, sketch, self.ground, detail) {
                Ok(deviation_m) if detail != Detail::Full => error_m = error_m.max(deviation_m),
                Ok(_) => {}
                // Tiles above hold the same objects again: each is counted where it is drawn in full.
                Err(reason) if detail == Detail::Full => undrawn.add(&sketch.id, reason),
                Err(_) => {}
            }
        }
        if let Some(masses) = masses {
            masses.draw(&mut scene, self.ground);
        }
        let (origin, extent) = (scene.origin(), scene.extent());
        let content = match scene.is_empty() {
            true => None,
            false => {
                let (content, plain) = scene.into_content_counted();
                undrawn.plain_surfaces += if detail == Detail::Full { plain } else { 0 };
                Some(self.tileset.write_content(&content)?)
            }
        };
        let mut note = note.clone();
        note.picks = match masses {
            Some(masses) => Some(self.tileset.write_picks(&to_bytes(&picks, masses)?)?),
            None => None,
        };
        let node = TileNode {
            extent,
            geometric_error_m: error_m,
            content,
            origin,
            refine: Refine::Replace,
            note: Some(note),
            ..TileNode::default()
        };
        Ok(Drawn { node, undrawn })
    }
}

impl Pen<'_> {
    /// Draws the block that stands for components, and with it what else there is, of which the largest object that is left out is
    /// so large. `None` where there is nothing to be seen.
    pub fn draw_block(
        self,
        silhouette: &Silhouette,
        mut others: Vec<Pick>,
        left_out_m: f64,
    ) -> Result<Option<TileNode>, TileError> {
        let prisms = silhouette.prisms();
        let extents = prisms.blocks.iter().map(|block| Geometry::Block(block.clone()).extent());
        let extent = extents.fold(Extent::EMPTY, |mut all, extent| {
            all.merge(&extent);
            all
        });
        if extent.is_empty() {
            return Ok(None);
        }
        let middle = extent.centre().truncate();
        let mut scene = Scene::with_album(middle.extend(extent.min.z).round(), self.album);
        let mut error_m = (prisms.deviation_m * BLOCK_ERROR).max(left_out_m * LEFT_OUT_ERROR);
        others.sort_by(Pick::by_place);
        for pick in &others {
            let sketch: Sketch = postcard::from_bytes(&pick.record).map_err(|e| TileError::Spill(e.to_string()))?;
            // What cannot be drawn is told where it is drawn in full.
            if let Ok(deviation_m) = shape::draw(&mut scene, &sketch, self.ground, BLOCK_DETAIL) {
                error_m = error_m.max(deviation_m);
            }
        }
        let (id, name) = match silhouette.whole() {
            Some((id, name)) => (id.clone(), name.clone()),
            None => (String::new(), format!("× {}", silhouette.objects())),
        };
        scene.begin_block(id, name);
        for block in &prisms.blocks {
            shape::draw_prism(&mut scene, block, silhouette.stage());
        }
        let (origin, extent) = (scene.origin(), scene.extent());
        let (content, _) = scene.into_content_counted();
        Ok(Some(TileNode {
            extent,
            geometric_error_m: error_m,
            content: Some(self.tileset.write_content(&content)?),
            origin,
            refine: Refine::Replace,
            stands_for: Some(CimLevel::FUNCTION),
            ..TileNode::default()
        }))
    }
}

/// Picks, and the masses of what is left out, as they lie in their file.
fn to_bytes(picks: &[Pick], masses: &Masses) -> Result<Vec<u8>, TileError> {
    let bytes = postcard::to_allocvec(&(picks, masses)).map_err(|e| TileError::Spill(e.to_string()))?;
    zstd::bulk::compress(&bytes, 1).map_err(|e| TileError::Spill(e.to_string()))
}

/// Picks and masses out of their file.
pub fn from_bytes(bytes: &[u8]) -> Option<(Vec<Pick>, Masses)> {
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(bytes).ok()?.take(MOST_PICKS).read_to_end(&mut plain).ok()?;
    postcard::from_bytes(&plain).ok()
}
