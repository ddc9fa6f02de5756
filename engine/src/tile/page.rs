//! Tilesets of our own read back: page by page, for a change of a few tiles and for the list of a layer's files.

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
};

use glam::DVec3;
use serde_json::{Value, json};

use super::{
    TileNode,
    tileset::{Content, NAME_DIGITS, Note, PAGE, Refine, Totals},
};
use crate::{
    model::{CimLevel, Extent},
    store::open_file,
};

/// Largest page that is read.
const MOST_BYTES: u64 = 256 << 20;
/// Levels within a page.
const MOST_DEPTH: usize = 64;

/// Why a page cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct PageError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A file of a tileset, as the page above it names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    /// Name in the layer's folder.
    pub name: String,
    /// Size, where the page says it.
    pub bytes: Option<u64>,
    /// First digits of its hash.
    pub hash: String,
}

impl Named {
    fn new(name: &str, bytes: Option<u64>) -> Self {
        let hash = name.strip_prefix(PAGE).unwrap_or(name).split('.').next().unwrap_or_default();
        Self { name: name.into(), bytes, hash: hash.into() }
    }
}

/// A note as it stands in the extras of a tile.
pub(super) fn note_json(note: &Note) -> Value {
    let mut value = json!({
        "level": note.level,
        // More digits than a JavaScript number holds.
        "curve": format!("{:016x}", note.curve),
        "objects": note.count,
        "weight": note.weight,
        "far_weight": note.far_weight,
    });
    if let Some((picks, bytes)) = &note.picks {
        value["left_out_m"] = json!(note.left_out_m);
        value["picks"] = json!(picks);
        value["picks_bytes"] = json!(bytes);
    }
    value
}

fn read_note(value: &Value) -> Option<Note> {
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let picks = match value.get("picks") {
        Some(picks) => Some((picks.as_str().filter(|name| is_name(name))?.to_owned(), number("picks_bytes")?)),
        None => None,
    };
    Some(Note {
        level: u32::try_from(number("level")?).ok().filter(|level| *level <= super::curve::LEVELS)?,
        curve: u64::from_str_radix(value.get("curve")?.as_str()?, 16).ok()?,
        count: number("objects")?,
        weight: number("weight")?,
        far_weight: number("far_weight")?,
        left_out_m: value.get("left_out_m").and_then(Value::as_f64).unwrap_or(0.0) as f32,
        picks,
    })
}

/// Whether a name is one that the tiler gives: hash and ending, in this folder.
fn is_name(name: &str) -> bool {
    let rest = name.strip_prefix(PAGE).unwrap_or(name);
    let (hash, ending) = rest.split_once('.').unwrap_or_default();
    hash.len() == NAME_DIGITS
        && hash.bytes().all(|b| b.is_ascii_hexdigit())
        && matches!(ending, "glb" | "json" | "picks")
}

/// Whether the content of a tile is a page of a tileset.
pub(super) fn is_page(uri: &str) -> bool {
    uri.starts_with(PAGE) && uri.ends_with(".json") && is_name(uri)
}

/// Reads the page `name` in `folder`; its hash is checked where the name has one.
pub(crate) fn read(folder: &Path, name: &str) -> Result<TileNode, PageError> {
    let path = folder.join(name);
    let bad = |reason: String| PageError { path: path.clone(), reason };
    let mut bytes = Vec::new();
    let file = open_file(&path).map_err(|e| bad(e.to_string()))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(bad(format!("larger than {} MiB", MOST_BYTES >> 20)));
    }
    let hash = blake3::hash(&bytes).to_hex();
    let digits = name.rsplit('-').next().and_then(|rest| rest.split('.').next()).unwrap_or_default();
    if !hash.starts_with(digits) {
        return Err(bad("its content is not what its name says".into()));
    }
    let tileset: Value = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let root = tileset.get("root").ok_or_else(|| bad("there is no root".into()))?;
    read_tile(root, 0).ok_or_else(|| bad("a tile lacks what Groundline writes".into()))
}

fn read_tile(value: &Value, depth: usize) -> Option<TileNode> {
    if depth > MOST_DEPTH {
        return None;
    }
    let extras = value.get("extras")?;
    let numbers = |key: &str, count: usize| -> Option<Vec<f64>> {
        let list = extras.get(key)?.as_array().filter(|list| list.len() == count)?;
        list.iter().map(Value::as_f64).collect()
    };
    let extent = numbers("extent_city", 6)?;
    let uri = match value.get("content") {
        Some(content) => Some(content.get("uri")?.as_str().filter(|uri| is_name(uri))?.to_owned()),
        None => None,
    };
    let page = match extras.get("page") {
        Some(page) => {
            let number = |key: &str| page.get(key).and_then(Value::as_u64);
            let totals = Totals { tiles: number("tiles")?, files: number("files")?, bytes: number("bytes")? };
            Some((uri.clone()?, totals))
        }
        None => None,
    };
    let content = match uri {
        Some(file) if page.is_none() => Some(Content { file, bytes: extras.get("bytes").and_then(Value::as_u64)? }),
        _ => None,
    };
    let children = value.get("children").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    Some(TileNode {
        extent: Extent { min: DVec3::from_slice(&extent[..3]), max: DVec3::from_slice(&extent[3..]) },
        geometric_error_m: value.get("geometricError").and_then(Value::as_f64)?,
        content,
        origin: DVec3::from_slice(&numbers("origin", 3)?),
        refine: if value.get("refine").and_then(Value::as_str) == Some("ADD") { Refine::Add } else { Refine::Replace },
        children: children.iter().map(|child| read_tile(child, depth + 1)).collect::<Option<_>>()?,
        note: match extras.get("square") {
            Some(note) => Some(read_note(note)?),
            None => None,
        },
        stands_for: stands_for(extras),
        page,
    })
}

/// The level from which on the children of a tile are wanted, where it draws a block in their place.
pub(super) fn stands_for(extras: &Value) -> Option<CimLevel> {
    extras.get("stands_for_cim").and_then(Value::as_u64).and_then(|n| u8::try_from(n).ok()).and_then(CimLevel::new)
}

/// Hands over every file of the tileset `name` in `folder` except itself. Pages that were handed over before, which `seen` holds by their
/// names, are passed over with all below them. A page that cannot be read is told, and the others are gone through all the same.
pub(crate) fn each_file(
    folder: &Path,
    name: &str,
    seen: &mut BTreeSet<String>,
    take: &mut dyn FnMut(Result<Named, PageError>),
) {
    let mut pages = vec![name.to_owned()];
    while let Some(name) = pages.pop() {
        match read(folder, &name) {
            Ok(root) => {
                let mut nodes = vec![&root];
                while let Some(node) = nodes.pop() {
                    if let Some((page, _)) = &node.page {
                        if seen.insert(page.clone()) {
                            take(Ok(Named::new(page, None)));
                            pages.push(page.clone());
                        }
                        continue;
                    }
                    if let Some(content) = &node.content {
                        take(Ok(Named::new(&content.file, Some(content.bytes))));
                    }
                    if let Some((picks, bytes)) = node.note.as_ref().and_then(|note| note.picks.as_ref()) {
                        take(Ok(Named::new(picks, Some(*bytes))));
                    }
                    nodes.extend(&node.children);
                }
            }
            Err(error) => take(Err(error)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use glam::DMat4;
    use serde_json::Value;

    /// Puts pages in the place of the tiles that name them.
    pub fn put_pages(folder: &Path, tile: &mut Value) {
        if tile["extras"].get("page").is_some() {
            let page = std::fs::read(folder.join(tile["content"]["uri"].as_str().unwrap())).unwrap();
            let mut root = serde_json::from_slice::<Value>(&page).unwrap()["root"].take();
            let turn = root["transform"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
            assert_eq!(turn, DMat4::IDENTITY.to_cols_array(), "the page stands where the tile does");
            root["transform"] = tile["transform"].take();
            for key in ["boundingVolume", "geometricError", "refine"] {
                assert_eq!(root[key], tile[key], "{key}");
            }
            *tile = root;
        }
        for child in tile.get_mut("children").and_then(Value::as_array_mut).into_iter().flatten() {
            put_pages(folder, child);
        }
    }
}
