//! The tree of tiles of one layer and its `tileset.json` (OGC 22-025r4, 3D Tiles 1.1).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use glam::{DMat4, DVec3};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Journal, LayerTiles, TileError, TileFile, glb, glb::TileContent, page};
use crate::{
    crs::Frame,
    fault::{self, Place},
    model::{CimLevel, Extent},
};

/// What a tile's children do to it when they are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Refine {
    /// They stand in its place.
    #[default]
    Replace,
    /// They are drawn too.
    Add,
}

/// What a tile of solid objects keeps in mind of its square, for a change of a few objects not to look at the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The smallest square around the objects.
    pub level: u32,
    /// Any place on the curve within that square.
    pub curve: u64,
    /// Objects in it, and what drawing all of them costs in full and from afar.
    pub count: u64,
    pub weight: u64,
    pub far_weight: u64,
    /// Size of the largest object that the tile leaves out, metres.
    pub left_out_m: f32,
    /// Where a tile does not draw everything under it: the file with what it draws, and its bytes.
    pub picks: Option<(String, u64)>,
}

/// How much there is of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    /// Tiles with content.
    pub tiles: u64,
    pub files: u64,
    pub bytes: u64,
}

impl Totals {
    fn add(&mut self, other: Totals) {
        self.tiles += other.tiles;
        self.files += other.files;
        self.bytes += other.bytes;
    }

    fn add_file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// One tile of the tree. Boxes are in the city's frame.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TileNode {
    /// Box around what this tile draws; the builder widens it to hold the children.
    pub extent: Extent,
    /// Metres by which this tile's picture differs from the objects; 0 = nothing is left out.
    pub geometric_error_m: f64,
    /// File with the content, as [`TilesetBuilder::write_content`] returned it; `None` when there is none.
    pub content: Option<Content>,
    /// Where the content's coordinates start; the middle of `extent` unless the content says otherwise.
    pub origin: DVec3,
    /// What the children do to it.
    pub refine: Refine,
    /// Children.
    pub children: Vec<TileNode>,
    /// Where this tile draws a block in the place of what its children draw: the lowest level at which they are wanted.
    pub stands_for: Option<CimLevel>,
    pub(super) note: Option<Note>,
    /// Where this tile and all below it are in a page: its name, and how much it holds.
    pub(super) page: Option<(String, Totals)>,
}

impl TileNode {
    /// A tile that draws all that is in `extent`, with nothing below it.
    pub fn leaf(extent: Extent, content: Content, origin: DVec3) -> Self {
        Self { extent, content: Some(content), origin, ..Self::default() }
    }
}

/// A content file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
}

/// Tiles beyond which a branch gets a page of its own, and levels between pages: a change rewrites the pages above it.
const PAGE_TILES: u64 = if cfg!(test) { 8 } else { 64 };
const PAGE_LEVELS: u32 = 3;
/// Hexadecimal digits of the BLAKE3 hash in a file's name: as many as nobody finds other content for.
pub(crate) const NAME_DIGITS: usize = 32;
/// What the names of the layer's tileset and of pages begin with.
const ROOT: &str = "tileset-";
pub(super) const PAGE: &str = "page-";

/// Writes the content files of one layer and, at the end, the `tileset-<hash>.json` over them.
///
/// Content may be written from many threads; names are hashes of the bytes, so the result is the same.
///
/// A tileset of many tiles is cut into pages, each an external tileset that is named by its content and names all below it:
/// a version shares with the one before it every page that did not change, and the name of the first vouches for all.
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

    /// Writes `content` as GLB; the name of the file is the first digits of its BLAKE3 hash.
    pub fn write_content(&self, content: &TileContent) -> Result<Content, TileError> {
        let (file, bytes) = self.write_file(&glb::write_glb(content), "", "glb")?;
        Ok(Content { file, bytes })
    }

    /// Writes the objects that a tile draws, for later changes; name and bytes of the file.
    pub(super) fn write_picks(&self, bytes: &[u8]) -> Result<(String, u64), TileError> {
        self.write_file(bytes, "", "picks")
    }

    /// Where files are written.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where finished work is written down.
    pub(super) fn journal(&self) -> &'a Journal {
        self.journal
    }

    /// Takes over the tree that a process before this one made; `false` when a file of it is not there or damaged.
    pub(super) fn adopt(&self, node: &TileNode) -> bool {
        let picks = node.note.as_ref().and_then(|note| note.picks.as_ref()).map(|(file, _)| file);
        let files = node.content.iter().map(|content| &content.file).chain(picks);
        let is_whole = files.into_iter().all(|name| {
            let Ok(bytes) = std::fs::read(self.folder.join(name)) else { return false };
            let hash = blake3::hash(&bytes).to_hex();
            let is_same = name.split('.').next() == Some(&hash[..NAME_DIGITS]);
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

    /// Writes the tileset and gives the account of everything in it; files that were there before are not among those listed.
    pub fn finish(mut self) -> Result<LayerTiles, TileError> {
        let mut roots = std::mem::take(&mut self.roots);
        roots.retain_mut(is_drawn);
        let mut root = match roots.len() {
            0 => return Ok(LayerTiles::default()),
            1 => roots.remove(0),
            _ => TileNode { refine: Refine::Add, children: roots, ..TileNode::default() },
        };
        settle(&mut root);
        self.cut(&mut root, None, 0)?;
        let mut totals = totals(&root);
        let tree = self.tile_json(&root, None);
        let (name, bytes) = self.write_tileset(&root, tree, ROOT)?;
        totals.add_file(bytes);
        let files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(LayerTiles {
            tileset: Some(name),
            bytes: totals.bytes,
            files: files.into_iter().map(|(name, (size, blake3))| TileFile { name, size, blake3 }).collect(),
            tiles: totals.tiles,
            extent: root.extent,
            ..LayerTiles::default()
        })
    }

    fn write_tileset(&self, root: &TileNode, tree: Value, prefix: &str) -> Result<(String, u64), TileError> {
        let tileset = json!({
            "asset": {"version": "1.1", "generator": "Groundline"},
            "geometricError": rounded((root.geometric_error_m * 2.0).max(root.extent.size().length())),
            "root": tree,
        });
        self.write_file(tileset.to_string().as_bytes(), prefix, "json")
    }

    fn write_file(&self, bytes: &[u8], prefix: &str, extension: &str) -> Result<(String, u64), TileError> {
        let hash = blake3::hash(bytes).to_hex();
        let name = format!("{prefix}{}.{extension}", &hash[..NAME_DIGITS]);
        let size = bytes.len() as u64;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.insert(name.clone(), (size, hash.to_string())).is_none() {
            drop(files);
            let path = self.folder.join(&name);
            fault::write(&path, bytes).map_err(|source| TileError::Io { path, source })?;
            fault::at(match extension {
                "glb" => Place::TileWritten,
                "picks" => Place::PicksWritten,
                _ => Place::TilesetWritten,
            });
        }
        Ok((name, size))
    }

    /// Puts large branches below `node` into pages.
    fn cut(&self, node: &mut TileNode, above: Option<u32>, depth: u32) -> Result<(), TileError> {
        if node.page.is_some() {
            return Ok(());
        }
        let level = node.note.as_ref().map_or(depth, |note| note.level);
        for child in &mut node.children {
            self.cut(child, Some(level), depth + 1)?;
        }
        let is_new_group = above.is_some_and(|above| above / PAGE_LEVELS != level / PAGE_LEVELS);
        let mut totals = totals(node);
        if is_new_group && totals.tiles > PAGE_TILES {
            let tree = self.tile_json(node, Some(&self.frame.ecef_from_local(node.origin)));
            let (name, bytes) = self.write_tileset(node, tree, PAGE)?;
            totals.add_file(bytes);
            node.children.clear();
            node.page = Some((name, totals));
        }
        Ok(())
    }

    /// `parent` is the parent's Earth-from-tile map: transforms multiply down the tree (3D Tiles, 6.7.6).
    fn tile_json(&self, node: &TileNode, parent: Option<&DMat4>) -> Value {
        let earth_from_tile = self.frame.ecef_from_local(node.origin);
        let parent_from_tile = match parent {
            // The root of a page stands where the tile that names the page does.
            Some(parent) if *parent == earth_from_tile => DMat4::IDENTITY,
            Some(parent) => parent.inverse() * earth_from_tile,
            None => earth_from_tile,
        };
        let mut extras = json!({
            "origin": node.origin.to_array(),
            "extent_city": [
                node.extent.min.x, node.extent.min.y, node.extent.min.z,
                node.extent.max.x, node.extent.max.y, node.extent.max.z,
            ],
        });
        // What a page holds is said in it.
        if let Some(content) = node.content.as_ref().filter(|_| node.page.is_none()) {
            extras["bytes"] = json!(content.bytes);
        }
        if let Some(level) = node.stands_for.filter(|_| node.page.is_none()) {
            extras["stands_for_cim"] = json!(level.number());
        }
        if let Some(note) = &node.note {
            extras["square"] = page::note_json(note);
        }
        let mut tile = json!({
            "transform": parent_from_tile.to_cols_array(),
            "boundingVolume": {"box": bounding_box(&node.extent, node.origin)},
            "geometricError": rounded(node.geometric_error_m),
            "refine": if node.refine == Refine::Add { "ADD" } else { "REPLACE" },
        });
        if let Some((name, totals)) = &node.page {
            extras["page"] = json!({"tiles": totals.tiles, "files": totals.files, "bytes": totals.bytes});
            tile["content"] = json!({"uri": name});
        } else if let Some(content) = &node.content {
            tile["content"] = json!({"uri": content.file});
        }
        tile["extras"] = extras;
        if !node.children.is_empty() {
            let children = node.children.iter().map(|child| self.tile_json(child, Some(&earth_from_tile)));
            tile["children"] = Value::Array(children.collect());
        }
        tile
    }
}

/// How much there is of a tree, pages too.
fn totals(node: &TileNode) -> Totals {
    if let Some((_, totals)) = &node.page {
        return *totals;
    }
    let mut all = Totals::default();
    if let Some(content) = &node.content {
        all.tiles += 1;
        all.add_file(content.bytes);
    }
    if let Some((_, bytes)) = node.note.as_ref().and_then(|note| note.picks.as_ref()) {
        all.add_file(*bytes);
    }
    node.children.iter().for_each(|child| all.add(totals(child)));
    all
}

fn rounded(error_m: f64) -> f64 {
    (error_m * 1000.0).round() / 1000.0
}

/// Drops branches without content; says whether anything is left.
fn is_drawn(node: &mut TileNode) -> bool {
    node.children.retain_mut(is_drawn);
    node.content.is_some() || node.page.is_some() || !node.children.is_empty()
}

/// Makes boxes hold their children, errors not smaller than the children's, and gives tiles
/// without content an origin.
fn settle(node: &mut TileNode) {
    for child in &mut node.children {
        settle(child);
        node.extent.merge(&child.extent);
        node.geometric_error_m = node.geometric_error_m.max(child.geometric_error_m);
    }
    if node.content.is_none() && node.page.is_none() {
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
