//! A tileset as a flat tree, as the choice of tiles needs it.

use glam::{DMat4, DVec3};
use serde_json::Value;

use super::{Refine, page};
use crate::model::{CimLevel, Extent};

/// Index of a tile in its [`TileTree`]; the root is 0 and parents come before their children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId(pub u32);

impl TileId {
    /// The first tile.
    pub const ROOT: TileId = TileId(0);

    /// The index as a number.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a tileset could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// No JSON.
    #[error("tileset is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Something that every tileset has is missing or of the wrong kind.
    #[error("tileset: {0}")]
    Shape(String),
    /// Deeper than any honest tree.
    #[error("tileset is deeper than {0} levels")]
    TooDeep(usize),
    /// More tiles than are taken.
    #[error("tileset has more than {0} tiles")]
    TooMany(usize),
}

/// One tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// The tile above; `None` for the root.
    pub parent: Option<TileId>,
    /// The tiles below.
    pub children: Vec<TileId>,
    /// Box around it: in the city's frame in our own tilesets, in the tileset's world (mostly ECEF) in others.
    pub extent: Extent,
    /// Metres by which its picture differs from the objects.
    pub geometric_error_m: f64,
    /// What its children do to it.
    pub refine: Refine,
    /// File with what it draws, relative to the tileset; `None` when it draws nothing itself.
    pub content: Option<String>,
    /// Bytes of the content; 0 when the tileset does not say.
    pub bytes: u64,
    /// Where the content's coordinates start in the city's frame; `None` in tilesets that are not ours.
    pub origin: Option<DVec3>,
    /// Where it draws a block in the place of what its children draw: the lowest level at which they are wanted.
    pub stands_for: Option<CimLevel>,
    /// The tileset's world (mostly ECEF) from the tile's frame, with all transforms above it.
    pub world_from_tile: DMat4,
}

/// All tiles of a tileset.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TileTree {
    tiles: Vec<Tile>,
    /// Whether every tile carries the city-frame extras that Groundline writes.
    is_in_city_frame: bool,
}

impl TileTree {
    /// Levels beyond which a tileset is refused.
    pub const MAX_DEPTH: usize = 64;
    /// Tiles beyond which a tileset is refused.
    pub const MAX_TILES: usize = 4_000_000;

    /// Reads an explicit `tileset.json`. Where every tile has `extras.extent_city` and `extras.origin`, boxes are
    /// in the city's frame; else bounding volumes (box, sphere, region) are turned to boxes in the tileset's world.
    pub fn read(json: &[u8]) -> Result<Self, TreeError> {
        Self::read_with_pages(json, &mut |uri| Err(TreeError::Shape(format!("its page {uri} is not at hand"))))
    }

    /// The same of a tileset that may be cut into pages; `fetch` gives the file of each.
    pub fn read_with_pages(
        json: &[u8],
        fetch: &mut dyn FnMut(&str) -> Result<Vec<u8>, TreeError>,
    ) -> Result<Self, TreeError> {
        let mut tree = TileTree { tiles: Vec::new(), is_in_city_frame: true };
        let mut world_extents = Vec::new();
        let mut pages = vec![(json.to_vec(), None::<TileId>, DMat4::IDENTITY, Refine::Replace, 1usize)];
        // Depth-first with own stacks: input may not decide how deep this program's stack gets.
        while let Some((json, parent, world_from_parent, inherited, depth)) = pages.pop() {
            let tileset: Value = serde_json::from_slice(&json)?;
            let root = tileset.get("root").ok_or_else(|| TreeError::Shape("there is no root".into()))?;
            let mut stack = vec![(root, parent, world_from_parent, inherited, depth)];
            while let Some((value, parent, world_from_parent, inherited, depth)) = stack.pop() {
                if depth > Self::MAX_DEPTH {
                    return Err(TreeError::TooDeep(Self::MAX_DEPTH));
                }
                if tree.tiles.len() >= Self::MAX_TILES {
                    return Err(TreeError::TooMany(Self::MAX_TILES));
                }
                let tile = read_tile(value, parent, world_from_parent, inherited)?;
                let (world_from_tile, refine) = (tile.tile.world_from_tile, tile.tile.refine);
                let page = tile.tile.content.as_deref().filter(|uri| page::is_page(uri));
                if let Some(uri) = page {
                    // The first tile of the page is this one.
                    pages.push((fetch(uri)?, parent, world_from_tile, inherited, depth + 1));
                    continue;
                }
                let id = TileId(tree.tiles.len() as u32);
                tree.is_in_city_frame &= tile.city_extent.is_some() && tile.tile.origin.is_some();
                world_extents.push(tile.world_extent);
                tree.tiles.push(Tile { extent: tile.city_extent.unwrap_or(tile.world_extent), ..tile.tile });
                if let Some(parent) = parent {
                    tree.tiles[parent.index()].children.push(id);
                }
                if let Some(children) = value.get("children").and_then(Value::as_array) {
                    let below = children.iter().rev().map(|c| (c, Some(id), world_from_tile, refine, depth + 1));
                    stack.extend(below);
                }
            }
        }
        if !tree.is_in_city_frame {
            for (tile, extent) in tree.tiles.iter_mut().zip(world_extents) {
                tile.extent = extent;
                tile.origin = None;
            }
        }
        Ok(tree)
    }

    /// A tree made by hand: parents before children, child lists filled in here.
    pub fn from_tiles(mut tiles: Vec<Tile>) -> Result<Self, TreeError> {
        for index in 0..tiles.len() {
            tiles[index].children.clear();
            match tiles[index].parent {
                None if index == 0 => {}
                Some(parent) if parent.index() < index => {
                    tiles[parent.index()].children.push(TileId(index as u32));
                }
                _ => return Err(TreeError::Shape(format!("tile {index} does not come after its parent"))),
            }
        }
        let is_in_city_frame = tiles.iter().all(|tile| tile.origin.is_some());
        Ok(Self { tiles, is_in_city_frame })
    }

    /// Puts `tiles` in the place of the tile `at`, which asked for them by its `content`: the first takes its place, the
    /// others come below it, their parents counted in `tiles`. Nothing is done where that tile asks for something else
    /// by now.
    pub fn graft(&mut self, at: TileId, content: &str, tiles: Vec<Tile>) -> Result<(), TreeError> {
        let Some(old) = self.tiles.get(at.index()).filter(|tile| tile.content.as_deref() == Some(content)) else {
            return Ok(());
        };
        if self.tiles.len().saturating_add(tiles.len()) > Self::MAX_TILES {
            return Err(TreeError::TooMany(Self::MAX_TILES));
        }
        let (above, own_children) = (old.parent, old.children.clone());
        let mut depth = vec![std::iter::successors(Some(at), |id| self.tiles[id.index()].parent).count()];
        for (index, tile) in tiles.iter().enumerate().skip(1) {
            let parent = tile.parent.map(TileId::index).filter(|parent| *parent < index);
            let parent =
                parent.ok_or_else(|| TreeError::Shape(format!("tile {index} does not come after its parent")))?;
            depth.push(depth[parent] + 1);
            if depth[index] > Self::MAX_DEPTH {
                return Err(TreeError::TooDeep(Self::MAX_DEPTH));
            }
        }
        let first = self.tiles.len();
        let place = |index: usize| if index == 0 { at } else { TileId((first + index - 1) as u32) };
        for (index, tile) in tiles.into_iter().enumerate() {
            if index == 0 {
                self.tiles[at.index()] = Tile { parent: above, children: own_children.clone(), ..tile };
                continue;
            }
            let parent = tile.parent.map(|parent| place(parent.index()));
            self.tiles.push(Tile { parent, children: Vec::new(), ..tile });
            if let Some(parent) = parent {
                self.tiles[parent.index()].children.push(place(index));
            }
        }
        Ok(())
    }

    /// The tiles, parents before children.
    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// One tile.
    ///
    /// # Panics
    /// When `id` is not of this tree.
    pub fn tile(&self, id: TileId) -> &Tile {
        &self.tiles[id.index()]
    }

    /// Whether there is no tile.
    pub fn is_empty(&self) -> bool {
        self.tiles.is_empty()
    }

    /// Whether boxes and origins are in the city's frame (a tileset that Groundline wrote).
    pub fn is_in_city_frame(&self) -> bool {
        self.is_in_city_frame
    }

    /// Box around everything.
    pub fn extent(&self) -> Extent {
        self.tiles.first().map_or(Extent::EMPTY, |root| root.extent)
    }
}

struct ReadTile {
    tile: Tile,
    city_extent: Option<Extent>,
    world_extent: Extent,
}

fn read_tile(
    value: &Value,
    parent: Option<TileId>,
    world_from_parent: DMat4,
    inherited: Refine,
) -> Result<ReadTile, TreeError> {
    let transform = match value.get("transform") {
        Some(transform) => DMat4::from_cols_array(
            &numbers::<16>(transform).ok_or_else(|| TreeError::Shape("transform is not 16 numbers".into()))?,
        ),
        None => DMat4::IDENTITY,
    };
    let world_from_tile = world_from_parent * transform;
    let geometric_error_m = value
        .get("geometricError")
        .and_then(Value::as_f64)
        .filter(|e| e.is_finite() && *e >= 0.0)
        .ok_or_else(|| TreeError::Shape("a tile has no geometricError".into()))?;
    let volume = value.get("boundingVolume").ok_or_else(|| TreeError::Shape("a tile has no boundingVolume".into()))?;
    let world_extent = volume_box(volume, &DMat4::IDENTITY, &world_from_tile)
        .ok_or_else(|| TreeError::Shape("boundingVolume is neither box, region nor sphere".into()))?;
    let extras = value.get("extras");
    let city_extent = extras
        .and_then(|e| e.get("extent_city"))
        .and_then(numbers::<6>)
        .map(|v| Extent { min: DVec3::new(v[0], v[1], v[2]), max: DVec3::new(v[3], v[4], v[5]) })
        .filter(|extent| !extent.is_empty());
    let refine = match value.get("refine").and_then(Value::as_str) {
        Some("ADD") => Refine::Add,
        Some("REPLACE") => Refine::Replace,
        _ => inherited,
    };
    // `url` is what tilesets before 1.0 wrote, `contents` what 1.1 allows.
    let content = value.get("content").or_else(|| value.get("contents").and_then(|list| list.get(0)));
    let uri = content.and_then(|c| c.get("uri").or_else(|| c.get("url"))).and_then(Value::as_str);
    Ok(ReadTile {
        tile: Tile {
            parent,
            children: Vec::new(),
            extent: Extent::EMPTY,
            geometric_error_m,
            refine,
            content: uri.map(str::to_owned),
            bytes: extras.and_then(|e| e.get("bytes")).and_then(Value::as_u64).unwrap_or(0),
            stands_for: extras.and_then(page::stands_for),
            origin: extras.and_then(|e| e.get("origin")).and_then(numbers::<3>).map(DVec3::from_array),
            world_from_tile,
        },
        city_extent,
        world_extent,
    })
}

/// Exactly `N` finite numbers.
fn numbers<const N: usize>(value: &Value) -> Option<[f64; N]> {
    let list = value.as_array().filter(|list| list.len() == N)?;
    let mut numbers = [0.0; N];
    for (number, value) in numbers.iter_mut().zip(list) {
        *number = value.as_f64().filter(|n| n.is_finite())?;
    }
    Some(numbers)
}

/// The box around a bounding volume (box, sphere or region, as its JSON says) in a frame; `None` for other volumes.
pub fn volume_box(volume: &Value, frame_from_world: &DMat4, world_from_tile: &DMat4) -> Option<Extent> {
    let frame_from_tile = *frame_from_world * *world_from_tile;
    if let Some(v) = volume.get("box").and_then(numbers::<12>) {
        let axis = |i: usize| DVec3::new(v[i], v[i + 1], v[i + 2]);
        let (centre, x, y, z) = (axis(0), axis(3), axis(6), axis(9));
        let corners = (0..8).map(|c| {
            let sign = |bit: u32| if c & bit == 0 { -1.0 } else { 1.0 };
            frame_from_tile.transform_point3(centre + x * sign(1) + y * sign(2) + z * sign(4))
        });
        return Some(Extent::around(corners));
    }
    if let Some([x, y, z, radius]) = volume.get("sphere").and_then(numbers::<4>) {
        let centre = frame_from_tile.transform_point3(DVec3::new(x, y, z));
        let scale = [frame_from_tile.x_axis, frame_from_tile.y_axis, frame_from_tile.z_axis]
            .iter()
            .map(|axis| axis.truncate().length())
            .fold(0.0, f64::max);
        let radius = DVec3::splat(radius.abs() * scale);
        return Some(Extent { min: centre - radius, max: centre + radius });
    }
    // Regions are in longitude, latitude and height whatever the transforms (3D Tiles, 6.7.1.3).
    let [west, south, east, north, low, high] = volume.get("region").and_then(numbers::<6>)?;
    let east = if east < west { east + std::f64::consts::TAU } else { east };
    let mut extent = Extent::EMPTY;
    const STEPS: u32 = 4;
    for i in 0..=STEPS {
        for j in 0..=STEPS {
            let at = |a: f64, b: f64, k: u32| a + (b - a) * f64::from(k) / f64::from(STEPS);
            for height in [low, high] {
                extent.add(frame_from_world.transform_point3(ecef(at(west, east, i), at(south, north, j), height)));
            }
        }
    }
    Some(extent)
}

/// WGS 84 geographic (radians, metres) to Earth-centred Earth-fixed.
fn ecef(longitude: f64, latitude: f64, height: f64) -> DVec3 {
    const A: f64 = 6_378_137.0;
    const E2: f64 = 6.694_379_990_141_316_5e-3;
    let (sin, cos) = latitude.sin_cos();
    let n = A / (1.0 - E2 * sin * sin).sqrt();
    DVec3::new(
        (n + height) * cos * longitude.cos(),
        (n + height) * cos * longitude.sin(),
        (n * (1.0 - E2) + height) * sin,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tileset(root: &str) -> Vec<u8> {
        format!(r#"{{"asset":{{"version":"1.1"}},"geometricError":100,"root":{root}}}"#).into_bytes()
    }

    #[test]
    fn foreign_tilesets_get_boxes_in_their_world() {
        let tree = TileTree::read(&tileset(
            r#"{"boundingVolume":{"box":[0,0,0, 10,0,0, 0,20,0, 0,0,5]},"geometricError":50,"refine":"ADD",
                "transform":[1,0,0,0, 0,1,0,0, 0,0,1,0, 100,200,300,1],
                "children":[
                  {"boundingVolume":{"sphere":[0,0,0,2]},"geometricError":0,"content":{"uri":"a.glb"},
                   "transform":[1,0,0,0, 0,1,0,0, 0,0,1,0, 5,0,0,1]},
                  {"boundingVolume":{"region":[0,0,0.001,0.001,0,10]},"geometricError":0,"refine":"REPLACE"}]}"#,
        ))
        .unwrap();
        assert!(!tree.is_in_city_frame());
        assert_eq!(tree.extent(), Extent { min: DVec3::new(90.0, 180.0, 295.0), max: DVec3::new(110.0, 220.0, 305.0) });
        let first = tree.tile(TileId(1));
        assert_eq!(first.extent.centre(), DVec3::new(105.0, 200.0, 300.0));
        assert_eq!((first.refine, first.content.as_deref()), (Refine::Add, Some("a.glb")));
        let second = tree.tile(TileId(2));
        assert_eq!(second.refine, Refine::Replace);
        assert!((second.extent.max.x - 6_378_147.0).abs() < 1.0);
        assert_eq!(tree.tile(TileId::ROOT).children, [TileId(1), TileId(2)]);
    }

    fn leaf(parent: Option<u32>, content: &str) -> Tile {
        Tile {
            parent: parent.map(TileId),
            children: Vec::new(),
            extent: Extent { min: DVec3::ZERO, max: DVec3::ONE },
            geometric_error_m: 1.0,
            refine: Refine::Replace,
            content: Some(content.into()),
            bytes: 0,
            origin: Some(DVec3::ZERO),
            stands_for: None,
            world_from_tile: DMat4::IDENTITY,
        }
    }

    #[test]
    fn tiles_grow_where_they_were_asked_for_and_once() {
        let mut tree = TileTree::from_tiles(vec![leaf(None, "r"), leaf(Some(0), "a"), leaf(Some(0), "page")]).unwrap();
        let page = vec![leaf(None, "p"), leaf(Some(0), "p0"), leaf(Some(1), "p00"), leaf(Some(0), "p1")];
        for _ in 0..2 {
            tree.graft(TileId(2), "page", page.clone()).unwrap();
            let contents: Vec<&str> = tree.tiles().iter().map(|t| t.content.as_deref().unwrap()).collect();
            assert_eq!(contents, ["r", "a", "p", "p0", "p00", "p1"]);
        }
        let tile = |id: u32| tree.tile(TileId(id));
        assert_eq!((tile(2).parent, &tile(2).children[..]), (Some(TileId(0)), &[TileId(3), TileId(5)][..]));
        assert_eq!(
            (tile(3).parent, tile(4).parent, tile(5).parent),
            (Some(TileId(2)), Some(TileId(3)), Some(TileId(2)))
        );
        // A tile that comes before its parent, and a tree that is deeper than any.
        assert!(tree.graft(TileId(1), "a", vec![leaf(None, "x"), leaf(Some(1), "y")]).is_err());
        let deep = (0..80).map(|k: u32| leaf(k.checked_sub(1), "d")).collect();
        assert!(matches!(tree.graft(TileId(1), "a", deep), Err(TreeError::TooDeep(_))));
        assert_eq!(tree.tiles().len(), 6, "what is refused changes nothing");
    }

    #[test]
    fn broken_tilesets_are_errors() {
        for bad in [
            r#"{}"#,
            r#"{"boundingVolume":{"box":[1,2,3]},"geometricError":1}"#,
            r#"{"boundingVolume":{"sphere":[0,0,0,1]}}"#,
            r#"{"boundingVolume":{"sphere":[0,0,0,1]},"geometricError":1,"transform":[1]}"#,
            r#"{"boundingVolume":{"sphere":[0,0,0,1]},"geometricError":-1}"#,
        ] {
            assert!(TileTree::read(&tileset(bad)).is_err(), "{bad}");
        }
        assert!(TileTree::read(b"{").is_err());
        let mut deep = String::new();
        for _ in 0..40 {
            deep.push_str(r#"{"boundingVolume":{"sphere":[0,0,0,1]},"geometricError":1,"children":["#);
        }
        assert!(TileTree::read(&tileset(&deep)).is_err());
    }
}
