//! The tree of tiles of one layer and its `tileset.json` (OGC 22-025r4, 3D Tiles 1.1).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use glam::{DMat4, DVec3};
use serde_json::{Value, json};

use super::{Journal, LayerTiles, TileError, TileFile, glb, glb::TileContent};
use crate::{crs::Frame, model::Extent};

/// What a tile's children do to it when they are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Refine {
    /// They stand in its place.
    #[default]
    Replace,
    /// They are drawn too.
    Add,
}

/// One tile of the tree. Boxes are in the city's frame.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct TileNode {
    /// Box around what this tile draws; the builder widens it to hold the children.
    pub extent: Extent,
    /// Metres by which this tile's picture differs from the objects; 0 = nothing is left out.
    pub geometric_error_m: f64,
    /// File with the content, as [`TilesetBuilder::write_content`] returned it; `None` when there is none.
    pub content: Option<String>,
    /// Where the content's coordinates start; the middle of `extent` unless the content says otherwise.
    pub origin: DVec3,
    /// What the children do to it.
    pub refine: Refine,
    /// Children.
    pub children: Vec<TileNode>,
}

/// Writes the content files of one layer and, at the end, the `tileset-<hash>.json` over them.
///
/// Content may be written from many threads; names are hashes of the bytes, so the result is the same.
pub struct TilesetBuilder<'a> {
    folder: PathBuf,
    frame: &'a Frame,
    journal: &'a Journal,
    /// Size and hash of each file.
    files: Mutex<BTreeMap<String, (u64, String)>>,
    roots: Vec<TileNode>,
}

impl<'a> TilesetBuilder<'a> {
    /// A builder that writes into `folder`, which it makes where it is missing.
    pub fn new(folder: &Path, frame: &'a Frame) -> Result<Self, TileError> {
        std::fs::create_dir_all(folder).map_err(|source| TileError::Io { path: folder.into(), source })?;
        let journal = Journal::none();
        Ok(Self { folder: folder.into(), frame, journal, files: Mutex::default(), roots: Vec::new() })
    }

    /// The same where `journal` holds what of it a process before this one has written.
    #[must_use]
    pub fn with_journal(self, journal: &'a Journal) -> Self {
        Self { journal, ..self }
    }

    /// Writes `content` as GLB and returns the name of the file: the first 16 hexadecimal digits of its BLAKE3 hash.
    pub fn write_content(&self, content: &TileContent) -> Result<String, TileError> {
        self.write_file(&glb::write_glb(content), "", "glb")
    }

    /// Where finished work is written down.
    pub(super) fn journal(&self) -> &'a Journal {
        self.journal
    }

    /// Takes over the tree that a process before this one made; `false` when a file of it is not there or damaged.
    pub(super) fn adopt(&self, node: &TileNode) -> bool {
        let is_whole = node.content.as_ref().is_none_or(|name| {
            let Ok(bytes) = std::fs::read(self.folder.join(name)) else { return false };
            let hash = blake3::hash(&bytes).to_hex();
            let is_same = name.split('.').next() == Some(&hash[..16]);
            if is_same {
                let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                files.insert(name.clone(), (bytes.len() as u64, hash.to_string()));
            }
            is_same
        });
        is_whole && node.children.iter().all(|child| self.adopt(child))
    }

    /// Adds a finished tree. Several roots end up side by side under one tile without content.
    pub fn add_root(&mut self, root: TileNode) {
        self.roots.push(root);
    }

    /// Writes the tileset and gives the account of everything written.
    pub fn finish(mut self) -> Result<LayerTiles, TileError> {
        let mut roots = std::mem::take(&mut self.roots);
        roots.retain_mut(is_drawn);
        let mut root = match roots.len() {
            0 => return Ok(LayerTiles::default()),
            1 => roots.remove(0),
            _ => TileNode { refine: Refine::Add, children: roots, ..TileNode::default() },
        };
        settle(&mut root);
        let sizes = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut tiles = 0;
        let tree = self.tile_json(&root, None, &sizes, &mut tiles);
        let tileset = json!({
            "asset": {"version": "1.1", "generator": "Groundline"},
            "geometricError": rounded((root.geometric_error_m * 2.0).max(root.extent.size().length())),
            "root": tree,
        });
        let name = self.write_file(tileset.to_string().as_bytes(), "tileset-", "json")?;
        let files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(LayerTiles {
            tileset: Some(name),
            bytes: files.values().map(|(size, _)| size).sum(),
            files: files.into_iter().map(|(name, (size, blake3))| TileFile { name, size, blake3 }).collect(),
            tiles,
            extent: root.extent,
            ..LayerTiles::default()
        })
    }

    fn write_file(&self, bytes: &[u8], prefix: &str, extension: &str) -> Result<String, TileError> {
        let hash = blake3::hash(bytes).to_hex();
        let name = format!("{prefix}{}.{extension}", &hash[..16]);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.insert(name.clone(), (bytes.len() as u64, hash.to_string())).is_none() {
            drop(files);
            let path = self.folder.join(&name);
            std::fs::write(&path, bytes).map_err(|source| TileError::Io { path, source })?;
        }
        Ok(name)
    }

    /// `parent` is the parent's Earth-from-tile map: transforms multiply down the tree (3D Tiles, 6.7.6).
    fn tile_json(
        &self,
        node: &TileNode,
        parent: Option<&DMat4>,
        sizes: &BTreeMap<String, (u64, String)>,
        tiles: &mut u64,
    ) -> Value {
        let earth_from_tile = self.frame.ecef_from_local(node.origin);
        let parent_from_tile = parent.map_or(earth_from_tile, |parent| parent.inverse() * earth_from_tile);
        let mut extras = json!({
            "origin": node.origin.to_array(),
            "extent_city": [
                node.extent.min.x, node.extent.min.y, node.extent.min.z,
                node.extent.max.x, node.extent.max.y, node.extent.max.z,
            ],
        });
        if let Some((bytes, _)) = node.content.as_ref().and_then(|name| sizes.get(name)) {
            extras["bytes"] = json!(bytes);
        }
        let mut tile = json!({
            "transform": parent_from_tile.to_cols_array(),
            "boundingVolume": {"box": bounding_box(&node.extent, node.origin)},
            "geometricError": rounded(node.geometric_error_m),
            "refine": if node.refine == Refine::Add { "ADD" } else { "REPLACE" },
            "extras": extras,
        });
        if let Some(content) = &node.content {
            *tiles += 1;
            tile["content"] = json!({"uri": content});
        }
        if !node.children.is_empty() {
            let children =
                node.children.iter().map(|child| self.tile_json(child, Some(&earth_from_tile), sizes, tiles));
            tile["children"] = Value::Array(children.collect());
        }
        tile
    }
}

fn rounded(error_m: f64) -> f64 {
    (error_m * 1000.0).round() / 1000.0
}

/// Drops branches without content; says whether anything is left.
fn is_drawn(node: &mut TileNode) -> bool {
    node.children.retain_mut(is_drawn);
    node.content.is_some() || !node.children.is_empty()
}

/// Makes boxes hold their children, errors not smaller than the children's, and gives tiles
/// without content an origin.
fn settle(node: &mut TileNode) {
    for child in &mut node.children {
        settle(child);
        node.extent.merge(&child.extent);
        node.geometric_error_m = node.geometric_error_m.max(child.geometric_error_m);
    }
    if node.content.is_none() {
        // There is nothing to draw until the children are there: the largest error sends every viewer down.
        node.geometric_error_m = node.geometric_error_m.max(node.extent.size().length());
        node.origin = node.extent.centre();
    }
}

/// Mean radius of the Earth, metres; only for the size of a margin.
const EARTH_RADIUS_M: f64 = 6_371_000.0;

/// Box volume in the tile's own frame: centre, then three half axes. It is wider than the extent by what the
/// Earth curves within it, so that children, whose frames are tangent elsewhere, lie within their parents.
fn bounding_box(extent: &Extent, origin: DVec3) -> [f64; 12] {
    let half = extent.size() * 0.5;
    let centre = extent.centre() - origin;
    let reach = half.length();
    let half = half + DVec3::splat(reach * reach / (2.0 * EARTH_RADIUS_M) * 1.1 + 0.01 + reach * 1e-5);
    [centre.x, centre.y, centre.z, half.x, 0.0, 0.0, 0.0, half.y, 0.0, 0.0, 0.0, half.z]
}
