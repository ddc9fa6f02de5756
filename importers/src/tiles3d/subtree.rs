//! Implicit tiling (3D Tiles 1.1, chapter 8): subtrees of availability bits, and the tiles that they say are there.

use std::path::PathBuf;

use serde_json::Value as Json;

use crate::gltf::folder::Folder;

/// Bytes of a subtree, and tiles of one.
const MAX_BYTES: u64 = 64 << 20;
const MAX_NODES: u64 = 1 << 24;
/// Levels of the whole tree: an address then fits into 64 bits.
const MAX_LEVELS: u32 = 30;

/// How a tile is divided.
pub(super) struct Implicit {
    /// Bits of an address a level: 2 for a quadtree, 3 for an octree.
    pub bits: u32,
    subtree_levels: u32,
    levels: u32,
    subtrees: String,
    contents: Vec<String>,
}

/// Where a tile lies in the implicit tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub level: u32,
    pub x: u64,
    pub y: u64,
    pub z: u64,
}

impl Place {
    pub const ROOT: Self = Self { level: 0, x: 0, y: 0, z: 0 };

    /// The tile above; that of the root is itself.
    pub fn above(&self) -> Self {
        Self { level: self.level.saturating_sub(1), x: self.x >> 1, y: self.y >> 1, z: self.z >> 1 }
    }

    /// The tile `levels` further down with this address in Morton order.
    fn below(&self, levels: u32, morton: u64, bits: u32) -> Self {
        let axis = |shift: u32| (0..levels).fold(0u64, |v, k| v | (morton >> (k * bits + shift) & 1) << k);
        Self {
            level: self.level + levels,
            x: self.x << levels | axis(0),
            y: self.y << levels | axis(1),
            z: if bits == 3 { self.z << levels | axis(2) } else { 0 },
        }
    }
}

/// A tile of a subtree: its level within, its address there, and its place in the tree.
pub(super) struct Tile {
    level: u32,
    morton: u64,
    pub place: Place,
}

/// Which tiles, contents and further subtrees there are.
pub(super) struct Subtree {
    tiles: Bits,
    contents: Vec<Bits>,
    children: Bits,
    /// Files of its buffers.
    pub files: Vec<PathBuf>,
}

/// A row of bits, or the same bit everywhere.
enum Bits {
    Same(bool),
    Each(Vec<u8>),
}

impl Bits {
    fn get(&self, k: u64) -> bool {
        match self {
            Self::Same(bit) => *bit,
            Self::Each(bytes) => bytes.get((k / 8) as usize).is_some_and(|b| b >> (k % 8) & 1 == 1),
        }
    }
}

impl Implicit {
    pub fn of(json: &Json, contents: Vec<String>) -> Result<Self, String> {
        let number = |names: &[&str]| names.iter().find_map(|n| json.get(n)).and_then(Json::as_u64);
        let bits = match json.get("subdivisionScheme").and_then(Json::as_str) {
            Some("QUADTREE") => 2,
            Some("OCTREE") => 3,
            _ => return Err("its subdivisionScheme is not known".into()),
        };
        let subtree_levels = number(&["subtreeLevels"]).filter(|n| *n >= 1).ok_or("it has no subtreeLevels")?;
        // The older extension counts the last level, not the levels.
        let levels = number(&["availableLevels"]).or_else(|| number(&["maximumLevel"]).map(|n| n.saturating_add(1)));
        let levels = levels.filter(|n| (1..=u64::from(MAX_LEVELS)).contains(n));
        let levels = levels.ok_or_else(|| format!("its availableLevels are not 1 to {MAX_LEVELS}"))? as u32;
        let subtree_levels = u32::try_from(subtree_levels).unwrap_or(u32::MAX);
        let fits = subtree_levels < 24 && nodes_above(subtree_levels, bits) <= MAX_NODES;
        if !fits {
            return Err(format!("subtrees of {subtree_levels} levels are too large"));
        }
        let subtrees =
            json.pointer("/subtrees/uri").and_then(Json::as_str).ok_or("its subtrees have no uri")?.to_owned();
        Ok(Self { bits, subtree_levels, levels, subtrees, contents })
    }

    pub fn subtree_uri(&self, place: Place) -> String {
        filled(&self.subtrees, place)
    }

    /// Reads the subtree at an address in `folder`, binary or JSON.
    pub fn read(&self, uri: &str, folder: &Folder) -> Result<Subtree, String> {
        let bytes = folder.read(uri, MAX_BYTES)?;
        let folder = folder.of_address(uri)?;
        let (json, binary) = match bytes.starts_with(b"subt") {
            true => {
                let size = |at: usize| {
                    let eight = bytes.get(at..at + 8)?;
                    eight.try_into().ok().map(u64::from_le_bytes).and_then(|n| usize::try_from(n).ok())
                };
                let (json, binary) = size(8).zip(size(16)).ok_or("the file ends within its header")?;
                let end = json.checked_add(24).ok_or("its JSON has no length")?;
                let json = bytes.get(24..end).ok_or("its JSON does not fit")?;
                let binary =
                    end.checked_add(binary).and_then(|to| bytes.get(end..to)).ok_or("its buffer does not fit")?;
                (json, Some(binary))
            }
            false => (&bytes[..], None),
        };
        let json: Json = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        let mut files = Vec::new();
        let mut buffers = Vec::new();
        for (number, buffer) in json.get("buffers").and_then(Json::as_array).into_iter().flatten().enumerate() {
            buffers.push(match (buffer.get("uri").and_then(Json::as_str), binary) {
                (Some(uri), _) => {
                    // None where it lies on a server, whose files are no companions.
                    files.extend(folder.path(uri));
                    folder.read(uri, MAX_BYTES)?
                }
                (None, Some(binary)) if number == 0 => binary.to_vec(),
                _ => return Err(format!("buffer {number} has no bytes")),
            });
        }
        let nodes = nodes_above(self.subtree_levels, self.bits);
        let bits = |availability: &Json, count: u64| self.availability(&json, &buffers, availability, count);
        let contents = match json.get("contentAvailability") {
            Some(Json::Array(all)) => all.iter().map(|a| bits(a, nodes)).collect::<Result<Vec<_>, String>>()?,
            Some(one) => vec![bits(one, nodes)?],
            None => Vec::new(),
        };
        Ok(Subtree {
            tiles: bits(json.get("tileAvailability").ok_or("it has no tileAvailability")?, nodes)?,
            contents,
            children: match json.get("childSubtreeAvailability") {
                Some(a) => bits(a, 1 << (self.bits * self.subtree_levels))?,
                None => Bits::Same(false),
            },
            files,
        })
    }

    fn availability(&self, json: &Json, buffers: &[Vec<u8>], a: &Json, count: u64) -> Result<Bits, String> {
        if let Some(constant) = a.get("constant") {
            return Ok(Bits::Same(constant.as_u64() == Some(1)));
        }
        let index = a
            .get("bitstream")
            .or_else(|| a.get("bufferView"))
            .and_then(Json::as_u64)
            .ok_or("an availability without bits")?;
        let view = json.get("bufferViews").and_then(|v| v.get(index as usize)).ok_or("there is no such bufferView")?;
        let number = |name: &str| view.get(name).and_then(Json::as_u64).map(|n| n as usize);
        let from = number("byteOffset").unwrap_or(0);
        let to = number("byteLength").and_then(|n| from.checked_add(n));
        let bytes = number("buffer").and_then(|b| buffers.get(b)).zip(to).and_then(|(b, to)| b.get(from..to));
        let bytes = bytes.ok_or("a bufferView exceeds its buffer")?;
        if (bytes.len() as u64) < count.div_ceil(8) {
            return Err(format!("{count} bits are needed, {} bytes are there", bytes.len()));
        }
        Ok(Bits::Each(bytes.to_vec()))
    }

    /// The tiles of a subtree that are there, level by level.
    pub fn tiles<'s>(&'s self, subtree: &'s Subtree, root: Place) -> impl Iterator<Item = Tile> + 's {
        let levels = self.subtree_levels.min(self.levels.saturating_sub(root.level));
        (0..levels).flat_map(move |level| {
            let all = 0..1u64 << (self.bits * level);
            all.filter(move |m| subtree.tiles.get(nodes_above(level, self.bits) + m)).map(move |morton| Tile {
                level,
                morton,
                place: root.below(level, morton, self.bits),
            })
        })
    }

    /// Addresses of the contents of a tile.
    pub fn content_uris(&self, subtree: &Subtree, tile: &Tile) -> Vec<String> {
        let k = nodes_above(tile.level, self.bits) + tile.morton;
        let there =
            self.contents.iter().enumerate().filter(|(c, _)| subtree.contents.get(*c).is_some_and(|b| b.get(k)));
        there.map(|(_, template)| filled(template, tile.place)).collect()
    }

    /// Whether a tile has content below it, within the subtree or in further ones.
    pub fn has_content_below(&self, subtree: &Subtree, tile: &Tile) -> bool {
        let further = (1..self.subtree_levels.saturating_sub(tile.level)).any(|down| {
            let level = tile.level + down;
            let first = tile.morton << (self.bits * down);
            let all = first..first + (1 << (self.bits * down));
            all.into_iter().any(|m| subtree.contents.iter().any(|b| b.get(nodes_above(level, self.bits) + m)))
        });
        let down = self.subtree_levels - tile.level;
        let first = tile.morton << (self.bits * down);
        further || (first..first + (1 << (self.bits * down))).any(|m| subtree.children.get(m))
    }

    /// Roots of further subtrees.
    pub fn children(&self, subtree: &Subtree, root: Place) -> Vec<Place> {
        if root.level + self.subtree_levels >= self.levels {
            return Vec::new();
        }
        let all = 0..1u64 << (self.bits * self.subtree_levels);
        all.filter(|m| subtree.children.get(*m)).map(|m| root.below(self.subtree_levels, m, self.bits)).collect()
    }
}

/// Nodes of all levels above `level`.
fn nodes_above(level: u32, bits: u32) -> u64 {
    ((1u64 << (bits * level)) - 1) / ((1 << bits) - 1)
}

fn filled(template: &str, place: Place) -> String {
    let fill = |text: String, (name, value): (&str, u64)| text.replace(name, &value.to_string());
    [("{level}", u64::from(place.level)), ("{x}", place.x), ("{y}", place.y), ("{z}", place.z)]
        .into_iter()
        .fold(template.to_owned(), fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_morton_order() {
        assert_eq!(Place::ROOT.below(2, 0b1101, 2), Place { level: 2, x: 0b11, y: 0b10, z: 0 });
        assert_eq!(Place::ROOT.below(1, 0b110, 3), Place { level: 1, x: 0, y: 1, z: 1 });
        let deep = Place { level: 3, x: 5, y: 2, z: 0 }.below(1, 0b10, 2);
        assert_eq!(deep, Place { level: 4, x: 10, y: 5, z: 0 });
        assert_eq!((nodes_above(3, 2), nodes_above(2, 3)), (21, 9));
        assert_eq!(filled("a/{level}/{x}_{y}_{z}.glb", deep), "a/4/10_5_0.glb");
    }

    #[test]
    fn trees_that_are_too_large_are_refused() {
        let json = |levels: u64, available: u64, scheme: &str| serde_json::json!({"subdivisionScheme": scheme, "subtreeLevels": levels, "availableLevels": available, "subtrees": {"uri": "s"}});
        assert!(Implicit::of(&json(3, 6, "QUADTREE"), Vec::new()).is_ok());
        for wrong in [
            json(40, 6, "QUADTREE"),
            json(9, 9, "OCTREE"),
            json(0, 6, "QUADTREE"),
            json(3, 99, "QUADTREE"),
            json(3, 6, "BINARY"),
        ] {
            assert!(Implicit::of(&wrong, Vec::new()).is_err(), "{wrong}");
        }
    }
}
