//! The tree of a tileset: which contents stand for the city at its finest, and where they stand.
//!
//! Tiles that REPLACE their parents are taken at the leaves; tiles that ADD are taken all. External tilesets are
//! followed below the folder of the first one, implicit tiles through their subtrees.

use std::{
    collections::HashSet,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use glam::{DMat4, DVec3};
use groundline_engine::crs::ecef_from_geographic;
use serde_json::Value as Json;

use super::subtree::{self, Implicit};
use crate::gltf::{
    folder::{Folder, read_file},
    scene::vector,
};

/// Bytes of a tileset's JSON; tiles looked at; tilesets within tilesets.
const MAX_JSON: u64 = 512 << 20;
const MAX_TILES: u64 = 4_000_000;
const MAX_DEPTH: usize = 32;

/// A content to read.
pub(super) struct Content {
    pub uri: String,
    /// What its address is relative to.
    pub folder: Folder,
    pub transform: DMat4,
    pub up: Up,
}

/// Which axis of the glTFs is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up {
    X,
    Y,
    Z,
}

/// What a walk through the tree found.
#[derive(Default)]
pub(super) struct Found {
    /// Every file that belongs to the tileset, in the order met.
    pub files: Vec<PathBuf>,
    /// Contents left out since finer ones replace them.
    pub replaced: u64,
    /// What could not be followed: where, and why.
    pub faults: Vec<(String, String)>,
    tiles: u64,
    seen: HashSet<PathBuf>,
}

/// Takes a content.
pub(super) type Take<'t> = dyn FnMut(Content, &mut Found) -> Result<(), String> + 't;

/// The JSON of a tileset; `Ok(None)` when it is none. Only a file that names `asset` near its beginning or end is read
/// whole, since other formats' JSON may be large.
pub(super) fn tileset_of(path: &Path) -> Result<Option<Json>, String> {
    if !names_asset(path).map_err(|e| e.to_string())? {
        return Ok(None);
    }
    let bytes = read_file(path, MAX_JSON)?;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let json: Json = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    Ok(is_tileset(&json).then_some(json))
}

fn names_asset(path: &Path) -> std::io::Result<bool> {
    const LOOK: u64 = 1 << 18;
    let has = |bytes: &[u8]| bytes.windows(7).any(|w| w == b"\"asset\"");
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.by_ref().take(LOOK).read_to_end(&mut bytes)?;
    if has(&bytes) || length <= LOOK {
        return Ok(has(&bytes));
    }
    file.seek(SeekFrom::Start(length.saturating_sub(LOOK)))?;
    bytes.clear();
    file.take(LOOK).read_to_end(&mut bytes)?;
    Ok(has(&bytes))
}

pub(super) fn is_tileset(json: &Json) -> bool {
    json.get("asset").is_some_and(Json::is_object) && json.get("root").is_some_and(Json::is_object)
}

/// The middle of the root's bounding volume, in the tileset's axes.
pub(super) fn middle(tileset: &Json) -> Option<DVec3> {
    let root = tileset.get("root")?;
    let volume = root.get("boundingVolume")?;
    if let Some(region) = volume.get("region").and_then(Json::as_array) {
        let at = |k: usize| region.get(k).and_then(Json::as_f64);
        let (w, s, e, n) = (at(0)?, at(1)?, at(2)?, at(3)?);
        let (lon, lat) = ((w + e) / 2.0, (s + n) / 2.0);
        return Some(ecef_from_geographic(DVec3::new(lon.to_degrees(), lat.to_degrees(), 0.0)))
            .filter(|p| p.is_finite());
    }
    let at = vector(volume.get("box").or_else(|| volume.get("sphere"))?)?;
    let at = matrix(root).unwrap_or(DMat4::IDENTITY).transform_point3(at);
    at.is_finite().then_some(at)
}

pub(super) fn matrix(tile: &Json) -> Option<DMat4> {
    let numbers = tile.get("transform")?.as_array()?;
    let mut all = [0.0; 16];
    if numbers.len() != 16 {
        return None;
    }
    for (slot, number) in all.iter_mut().zip(numbers) {
        *slot = number.as_f64()?;
    }
    Some(DMat4::from_cols_array(&all)).filter(DMat4::is_finite)
}

/// Walks through the tileset of a file.
pub(super) fn walk(path: &Path, tileset: &Json, take: &mut Take<'_>) -> Result<Found, String> {
    let folder = Folder::of(path);
    let mut found = Found::default();
    found.seen.extend(path.canonicalize());
    let walker = Walker { folder, up: up_of(tileset), depth: 0 };
    let root = tileset.get("root").unwrap_or(&Json::Null);
    walker.tile(root, DMat4::IDENTITY, true, &mut found, take)?;
    Ok(found)
}

pub(super) fn up_of(tileset: &Json) -> Up {
    match tileset.pointer("/asset/gltfUpAxis").and_then(Json::as_str) {
        Some("Z" | "z") => Up::Z,
        Some("X" | "x") => Up::X,
        _ => Up::Y,
    }
}

/// The addresses of a tile's contents.
pub(super) fn uris(tile: &Json) -> impl Iterator<Item = &str> {
    let single = tile.get("content").into_iter();
    let many = tile.get("contents").and_then(Json::as_array).into_iter().flatten();
    let older =
        tile.pointer("/extensions/3DTILES_multiple_contents/content").and_then(Json::as_array).into_iter().flatten();
    single.chain(many).chain(older).filter_map(|c| c.get("uri").or_else(|| c.get("url")).and_then(Json::as_str))
}

pub(super) fn children(tile: &Json) -> &[Json] {
    tile.get("children").and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn implicit_of(tile: &Json) -> Option<&Json> {
    tile.get("implicitTiling").or_else(|| tile.pointer("/extensions/3DTILES_implicit_tiling"))
}

fn is_json(uri: &str) -> bool {
    uri.split(['?', '#']).next().is_some_and(|u| u.to_ascii_lowercase().ends_with(".json"))
}

/// Whether anything below a tile has content. The depth is that of JSON, which its reader bounds.
fn has_content_below(tile: &Json) -> bool {
    children(tile).iter().any(|c| uris(c).next().is_some() || implicit_of(c).is_some() || has_content_below(c))
}

struct Walker {
    folder: Folder,
    up: Up,
    depth: usize,
}

impl Walker {
    /// A tile and all below it. Recursion follows the JSON, which its reader bounds, and tilesets within tilesets, which
    /// are bounded here.
    fn tile(
        &self,
        tile: &Json,
        parent: DMat4,
        parent_replaces: bool,
        found: &mut Found,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        found.count()?;
        let transform = match tile.get("transform") {
            None => parent,
            Some(_) => match matrix(tile) {
                Some(matrix) => parent * matrix,
                None => {
                    found.faults.push(("a tile".into(), "its transform is not 16 numbers".into()));
                    return Ok(());
                }
            },
        };
        let replaces = match tile.get("refine").and_then(Json::as_str) {
            Some(word) => word.eq_ignore_ascii_case("REPLACE"),
            None => parent_replaces,
        };
        if let Some(implicit) = implicit_of(tile) {
            return self.implicit(implicit, tile, transform, replaces, found, take);
        }
        let is_coarse = replaces && has_content_below(tile);
        for uri in uris(tile) {
            if is_json(uri) {
                self.external(uri, transform, found, take)?;
            } else {
                self.content(uri, transform, is_coarse, found, take)?;
            }
        }
        for child in children(tile) {
            self.tile(child, transform, replaces, found, take)?;
        }
        Ok(())
    }

    fn content(
        &self,
        uri: &str,
        transform: DMat4,
        is_coarse: bool,
        found: &mut Found,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        if !uri.starts_with("data:") {
            match self.folder.path(uri) {
                Ok(path) => found.files.push(path),
                Err(reason) => {
                    found.faults.push((short(uri), reason));
                    return Ok(());
                }
            }
        }
        if is_coarse {
            found.replaced += 1;
            return Ok(());
        }
        take(Content { uri: uri.into(), folder: self.folder.clone(), transform, up: self.up }, found)
    }

    fn external(&self, uri: &str, transform: DMat4, found: &mut Found, take: &mut Take<'_>) -> Result<(), String> {
        let opened = self.folder.path(uri).and_then(|path| {
            let real = path.canonicalize().map_err(|e| e.to_string())?;
            if self.depth + 1 > MAX_DEPTH || !found.seen.insert(real) {
                return Err("a tileset that stands within itself, or that was read already".into());
            }
            let tileset = tileset_of(&path)?.ok_or("it is no tileset")?;
            Ok((path, tileset))
        });
        match opened {
            Ok((path, tileset)) => {
                found.files.push(path.clone());
                let walker = Walker { folder: self.folder.beside(&path), up: up_of(&tileset), depth: self.depth + 1 };
                let root = tileset.get("root").unwrap_or(&Json::Null);
                walker.tile(root, transform, true, found, take)
            }
            Err(reason) => {
                found.faults.push((short(uri), reason));
                Ok(())
            }
        }
    }

    fn implicit(
        &self,
        json: &Json,
        tile: &Json,
        transform: DMat4,
        replaces: bool,
        found: &mut Found,
        take: &mut Take<'_>,
    ) -> Result<(), String> {
        let templates: Vec<String> = uris(tile).map(str::to_owned).collect();
        let implicit = match Implicit::of(json, templates) {
            Ok(implicit) => implicit,
            Err(reason) => {
                found.faults.push(("implicitTiling".into(), reason));
                return Ok(());
            }
        };
        let mut open = vec![subtree::Place::ROOT];
        while let Some(place) = open.pop() {
            let uri = implicit.subtree_uri(place);
            let read = self.folder.path(&uri).and_then(|path| {
                found.files.push(path);
                implicit.read(&uri, &self.folder)
            });
            let subtree = match read {
                Ok(subtree) => subtree,
                Err(reason) => {
                    found.faults.push((short(&uri), reason));
                    continue;
                }
            };
            found.files.extend(subtree.files.iter().cloned());
            for tile in implicit.tiles(&subtree, place) {
                found.count()?;
                for uri in implicit.content_uris(&subtree, &tile) {
                    let is_coarse = replaces && implicit.has_content_below(&subtree, &tile);
                    self.content(&uri, transform, is_coarse, found, take)?;
                }
            }
            open.extend(implicit.children(&subtree, place));
        }
        Ok(())
    }
}

impl Found {
    fn count(&mut self) -> Result<(), String> {
        self.tiles += 1;
        if self.tiles > MAX_TILES { Err(format!("more than {MAX_TILES} tiles")) } else { Ok(()) }
    }
}

fn short(uri: &str) -> String {
    uri.chars().take(100).collect()
}
