//! A tileset of others looked at where it lies, in a folder or on a web server: its pages, subtrees and contents are read as
//! the view asks for them, and turned to a plane of its own (east, north, up at the middle of the root).
//!
//! Nothing is trusted: files, tiles and pages within pages are bounded, no host but the first is asked, and what cannot be
//! read is a sentence about that one tile.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use glam::{DMat3, DMat4, DVec2, DVec3};
use groundline_engine::{
    crs::{ecef_from_geographic, geographic_from_ecef},
    model::CityObject,
    store::Web,
    tile::{Piece, Refine, Tile, TileId, TileSource, volume_box},
};
use serde_json::Value as Json;

use super::{
    draw::{Canvas, Stand},
    subtree::{Implicit, Place},
    tree::{Up, children, implicit_of, is_tileset, matrix, middle, tileset_of, up_of, uris},
};
use crate::{cloud::is_earth_centred, gltf::folder::Folder};

/// Bytes of a tileset's JSON and of a content.
const MAX_PAGE: u64 = 128 << 20;
const MAX_CONTENT: u64 = 256 << 20;
/// Tiles of one page or subtree.
const MAX_PAGE_TILES: usize = 500_000;
/// Tilesets within tilesets, subtrees within subtrees.
const MAX_CHAIN: usize = 40;
/// Contents of one tile.
const MAX_CONTENTS: usize = 64;
/// Features of which attributes are kept, those of the contents read last.
const MAX_OBJECTS: usize = 400_000;
/// What is not shown, told so often.
const MAX_NOTES: usize = 20;

/// A tileset that is looked at where it lies.
pub struct Tileset {
    name: String,
    /// The folder of its first page.
    base: String,
    frame_from_world: DMat4,
    lon_lat: Option<DVec2>,
    tiles: Vec<Tile>,
    /// What the addresses of tiles mean.
    stubs: Mutex<Vec<Arc<Stub>>>,
    objects: Mutex<Kept>,
    notes: Mutex<HashSet<String>>,
}

/// What a tile has to read.
struct Stub {
    what: What,
    folder: Folder,
    world_from_tile: DMat4,
    refine: Refine,
    up: Up,
    chain: Arc<Chain>,
}

enum What {
    /// Contents, one of which may be a tileset.
    Contents(Vec<String>),
    Subtree(Arc<Divided>, Place),
}

impl What {
    fn told(&self) -> String {
        match self {
            Self::Contents(uris) => {
                uris.first().filter(|uri| !uri.starts_with("data:")).map_or_else(String::new, |u| short(u))
            }
            Self::Subtree(divided, place) => short(&divided.implicit.subtree_uri(*place)),
        }
    }
}

/// A page and those that it stands in.
struct Chain {
    page: String,
    above: Option<Arc<Chain>>,
}

impl Chain {
    fn pages(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self), |chain| chain.above.as_deref()).map(|chain| chain.page.as_str())
    }
}

/// A tile that is divided by rule.
struct Divided {
    implicit: Implicit,
    volume: Volume,
    geometric_error_m: f64,
}

/// The bounding volume of a tile that is divided by rule.
enum Volume {
    Box([f64; 12]),
    Region([f64; 6]),
}

/// Objects of the contents read last.
#[derive(Default)]
struct Kept {
    by_id: HashMap<String, CityObject>,
    order: VecDeque<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a file is a tileset of 3D Tiles.
pub fn is_tileset_file(path: &Path) -> bool {
    matches!(tileset_of(path), Ok(Some(_)))
}

/// Whether an address names a tileset on a web server, and not a server of a city.
pub fn is_tileset_url(url: &str) -> bool {
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    is_web && url.split(['?', '#']).next().is_some_and(|path| path.to_ascii_lowercase().ends_with(".json"))
}

impl Tileset {
    /// Opens the tileset at an address of a web server, or in a file. The error is a sentence.
    pub fn open(place: &str) -> Result<Self, String> {
        let folder = if is_tileset_url(place) {
            Folder::on_web(Arc::new(Web::open(place)?), place)
        } else {
            Folder::of(Path::new(place))
        };
        let named = if is_tileset_url(place) { place.to_owned() } else { file_name(place).to_owned() };
        let bytes = folder.read(&named, MAX_PAGE)?;
        let page = folder.whole(&named)?;
        let json = page_of(&bytes).ok_or_else(|| format!("{}: it is no tileset of 3D Tiles", told(&page)))?;
        let (frame_from_world, lon_lat) = frame_of(&json);
        let mut tileset = Self {
            name: name_of(&page),
            base: told(&page).rsplit_once(['/', '\\']).map_or(String::new(), |(folder, _)| format!("{folder}/")),
            frame_from_world,
            lon_lat,
            tiles: Vec::new(),
            stubs: Mutex::default(),
            objects: Mutex::default(),
            notes: Mutex::default(),
        };
        let chain = Arc::new(Chain { page, above: None });
        let tiles = tileset.page(&json, &folder, DMat4::IDENTITY, Refine::Replace, &chain);
        tileset.tiles = tiles.map_err(|reason| format!("{}: {reason}", told(&chain.page)))?;
        Ok(tileset)
    }

    fn keep(&self, stub: Stub) -> String {
        let mut stubs = lock(&self.stubs);
        stubs.push(Arc::new(stub));
        (stubs.len() - 1).to_string()
    }

    /// The tiles of a page, in our frame.
    fn page(
        &self,
        json: &Json,
        folder: &Folder,
        world_from_parent: DMat4,
        refine: Refine,
        chain: &Arc<Chain>,
    ) -> Result<Vec<Tile>, String> {
        let up = up_of(json);
        let root = json.get("root").ok_or("it has no root")?;
        let mut tiles: Vec<Tile> = Vec::new();
        let mut open = vec![(root, None::<TileId>, world_from_parent, refine)];
        while let Some((value, parent, world_from_parent, inherited)) = open.pop() {
            if tiles.len() >= MAX_PAGE_TILES {
                return Err(format!("it has more than {MAX_PAGE_TILES} tiles"));
            }
            let own = match value.get("transform") {
                None => DMat4::IDENTITY,
                Some(_) => matrix(value).ok_or("the transform of a tile is not 16 numbers")?,
            };
            let world_from_tile = world_from_parent * own;
            let refine = match value.get("refine").and_then(Json::as_str) {
                Some(word) if word.eq_ignore_ascii_case("ADD") => Refine::Add,
                Some(_) => Refine::Replace,
                None => inherited,
            };
            let error = value.get("geometricError").and_then(Json::as_f64).filter(|e| e.is_finite() && *e >= 0.0);
            let error = error.ok_or("a tile has no geometricError")?;
            let volume = value.get("boundingVolume").unwrap_or(&Json::Null);
            let extent = volume_box(volume, &self.frame_from_world, &world_from_tile).filter(|e| !e.is_empty());
            let extent = extent.ok_or("the boundingVolume of a tile is neither box, region nor sphere")?;
            let contents: Vec<String> = uris(value).take(MAX_CONTENTS).map(str::to_owned).collect();
            let what = match implicit_of(value) {
                Some(json) => {
                    let volume = Volume::of(volume).ok_or("a sphere cannot be divided by implicitTiling")?;
                    let implicit = Implicit::of(json, contents)?;
                    Some(What::Subtree(Arc::new(Divided { implicit, volume, geometric_error_m: error }), Place::ROOT))
                }
                None => (!contents.is_empty()).then_some(What::Contents(contents)),
            };
            let stub = |what| Stub { what, folder: folder.clone(), world_from_tile, refine, up, chain: chain.clone() };
            let id = TileId(tiles.len() as u32);
            tiles.push(Tile {
                parent,
                children: Vec::new(),
                extent,
                geometric_error_m: error * scale_of(&world_from_tile),
                refine,
                content: what.map(|what| self.keep(stub(what))),
                bytes: 0,
                origin: Some(extent.centre()),
                stands_for: None,
                world_from_tile,
            });
            open.extend(children(value).iter().rev().map(|child| (child, Some(id), world_from_tile, refine)));
        }
        Ok(tiles)
    }

    /// The tiles of a subtree.
    fn subtree(&self, stub: &Stub, divided: &Arc<Divided>, root: Place) -> Result<Vec<Tile>, String> {
        let implicit = &divided.implicit;
        let uri = implicit.subtree_uri(root);
        let told = || short(&uri);
        if stub.chain.pages().count() > MAX_CHAIN {
            return Err(format!("{}: more than {MAX_CHAIN} subtrees within each other", told()));
        }
        let chain = Arc::new(Chain { page: uri.clone(), above: Some(stub.chain.clone()) });
        let wrong = |reason: String| if reason.contains(&uri) { reason } else { format!("{}: {reason}", told()) };
        let subtree = implicit.read(&uri, &stub.folder).map_err(wrong)?;
        let mut tiles: Vec<Tile> = Vec::new();
        let mut ids: HashMap<Place, TileId> = HashMap::new();
        let mut add = |place: Place, what: Option<What>, tiles: &mut Vec<Tile>| -> Result<(), String> {
            let parent = ids.get(&place.above()).copied().filter(|_| place != root);
            if parent.is_none() && (place != root || !tiles.is_empty()) {
                return Ok(());
            }
            if tiles.len() >= MAX_PAGE_TILES {
                return Err(format!("{}: it has more than {MAX_PAGE_TILES} tiles", told()));
            }
            let volume = divided.volume.at(place, implicit.bits == 3);
            let extent = volume_box(&volume, &self.frame_from_world, &stub.world_from_tile);
            let extent = extent.filter(|e| !e.is_empty()).ok_or("a tile without a box")?;
            let id = TileId(tiles.len() as u32);
            ids.insert(place, id);
            let own = |what| Stub {
                what,
                folder: stub.folder.clone(),
                world_from_tile: stub.world_from_tile,
                refine: stub.refine,
                up: stub.up,
                chain: chain.clone(),
            };
            let halvings = 0.5f64.powi(place.level as i32);
            tiles.push(Tile {
                parent,
                children: Vec::new(),
                extent,
                geometric_error_m: divided.geometric_error_m * halvings * scale_of(&stub.world_from_tile),
                refine: stub.refine,
                content: what.map(|what| self.keep(own(what))),
                bytes: 0,
                origin: Some(extent.centre()),
                stands_for: None,
                world_from_tile: stub.world_from_tile,
            });
            Ok(())
        };
        for tile in implicit.tiles(&subtree, root) {
            let contents = implicit.content_uris(&subtree, &tile);
            add(tile.place, (!contents.is_empty()).then_some(What::Contents(contents)), &mut tiles)?;
        }
        for place in implicit.children(&subtree, root) {
            add(place, Some(What::Subtree(divided.clone(), place)), &mut tiles)?;
        }
        if tiles.is_empty() { Err(format!("{}: it has no tile", told())) } else { Ok(tiles) }
    }

    /// The contents of a tile: what they draw, or the page that the only one is.
    fn contents(&self, stub: &Stub, uris: &[String]) -> Result<Piece, String> {
        let mut canvas = Canvas::default();
        for uri in uris {
            let wrong = |reason: String| match uri.starts_with("data:") {
                true => format!("a content within the tileset: {reason}"),
                false => format!("{}: {reason}", short(uri)),
            };
            // What reads a file names it.
            let bytes = stub.folder.read(uri, MAX_CONTENT)?;
            let is_json = bytes.trim_ascii_start().starts_with(b"{") || bytes.starts_with(b"\xEF\xBB\xBF");
            if let Some(json) = is_json.then(|| page_of(&bytes)).flatten() {
                if uris.len() > 1 {
                    return Err(wrong("a tileset among several contents is not shown".into()));
                }
                return self.inner_page(stub, uri, &json).map(Piece::Tiles).map_err(wrong);
            }
            let address = if uri.starts_with("data:") { "data".to_owned() } else { told(&stub.folder.whole(uri)?) };
            let key = address.strip_prefix(&self.base).unwrap_or(&address);
            let key = key.rsplit_once('.').map_or(key, |(stem, _)| stem);
            let folder = stub.folder.of_address(uri)?;
            let stand = Stand {
                layer: &self.name,
                key,
                folder: &folder,
                frame_from_content: self.frame_from_world * stub.world_from_tile,
                up: stub.up,
            };
            canvas.draw(&bytes, &stand, 0).map_err(wrong)?;
        }
        self.tell(&canvas.notes);
        let (content, origin, objects) = canvas.finish();
        lock(&self.objects).add(objects);
        Ok(Piece::Drawn(Box::new(content), origin))
    }

    fn inner_page(&self, stub: &Stub, uri: &str, json: &Json) -> Result<Vec<Tile>, String> {
        let page = stub.folder.whole(uri)?;
        if stub.chain.pages().any(|above| above == page) {
            return Err("a tileset that stands within itself".into());
        }
        if stub.chain.pages().count() > MAX_CHAIN {
            return Err(format!("more than {MAX_CHAIN} tilesets within each other"));
        }
        let chain = Arc::new(Chain { page, above: Some(stub.chain.clone()) });
        self.page(json, &stub.folder.of_address(uri)?, stub.world_from_tile, stub.refine, &chain)
    }

    /// Says once what is not shown.
    fn tell(&self, notes: &[String]) {
        let mut told = lock(&self.notes);
        for note in notes {
            if told.len() < MAX_NOTES && told.insert(note.clone()) {
                tracing::warn!("{}: {note}", self.name);
            }
        }
    }
}

impl TileSource for Tileset {
    fn name(&self) -> &str {
        &self.name
    }

    fn frame(&self) -> String {
        match self.lon_lat {
            Some(place) => format!("3D Tiles, ENU {:.5}°, {:.5}°", place.y, place.x),
            None => "3D Tiles".into(),
        }
    }

    fn lon_lat(&self) -> Option<DVec2> {
        self.lon_lat
    }

    fn tiles(&self) -> Vec<Tile> {
        self.tiles.clone()
    }

    fn read(&self, address: &str) -> Result<Piece, String> {
        let stub = address.parse::<usize>().ok().and_then(|number| lock(&self.stubs).get(number).cloned());
        let stub = stub.ok_or("a tile that is not of this tileset")?;
        let work = || match &stub.what {
            What::Contents(uris) => self.contents(&stub, uris),
            What::Subtree(divided, place) => self.subtree(&stub, divided, *place).map(Piece::Tiles),
        };
        // Whoever reads tiles reads others after it, whatever a decoder does with a damaged one.
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(format!("{}: it is damaged", stub.what.told())))
    }

    fn object(&self, id: &str) -> Option<CityObject> {
        lock(&self.objects).by_id.get(id).cloned()
    }
}

impl Kept {
    fn add(&mut self, objects: Vec<CityObject>) {
        self.order.push_back(objects.iter().map(|object| object.id.as_str().to_owned()).collect());
        self.by_id.extend(objects.into_iter().map(|object| (object.id.as_str().to_owned(), object)));
        while self.by_id.len() > MAX_OBJECTS && self.order.len() > 1 {
            for id in self.order.pop_front().unwrap_or_default() {
                self.by_id.remove(&id);
            }
        }
    }
}

impl Volume {
    fn of(json: &Json) -> Option<Self> {
        fn numbers<const N: usize>(json: &Json) -> Option<[f64; N]> {
            let list = json.as_array().filter(|list| list.len() == N)?;
            let mut numbers = [0.0; N];
            for (number, value) in numbers.iter_mut().zip(list) {
                *number = value.as_f64().filter(|n| n.is_finite())?;
            }
            Some(numbers)
        }
        json.get("box")
            .and_then(numbers)
            .map(Self::Box)
            .or_else(|| json.get("region").and_then(numbers).map(Self::Region))
    }

    /// That of a tile of the tree; heights are divided in an octree alone.
    fn at(&self, place: Place, is_octree: bool) -> Json {
        let parts = 0.5f64.powi(place.level as i32);
        match self {
            Self::Box(v) => {
                let axis = |k: usize| DVec3::new(v[k], v[k + 1], v[k + 2]);
                let (mut centre, mut axes) = (axis(0), [axis(3), axis(6), axis(9)]);
                let index = [place.x, place.y, place.z];
                for (axis, index) in axes.iter_mut().zip(index).take(if is_octree { 3 } else { 2 }) {
                    centre += *axis * ((2.0 * index as f64 + 1.0) * parts - 1.0);
                    *axis *= parts;
                }
                let numbers: Vec<f64> = std::iter::once(centre).chain(axes).flat_map(|v| v.to_array()).collect();
                serde_json::json!({ "box": numbers })
            }
            Self::Region([west, south, east, north, low, high]) => {
                let east = if east < west { east + std::f64::consts::TAU } else { *east };
                let range = |from: f64, to: f64, index: u64| {
                    let at = |k: u64| from + (to - from) * parts * k as f64;
                    (at(index), at(index + 1))
                };
                let (w, e) = range(*west, east, place.x);
                let (s, n) = range(*south, *north, place.y);
                let (l, h) = if is_octree { range(*low, *high, place.z) } else { (*low, *high) };
                serde_json::json!({ "region": [w, s, e, n, l, h] })
            }
        }
    }
}

/// The JSON of a tileset; `None` for other bytes.
fn page_of(bytes: &[u8]) -> Option<Json> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    serde_json::from_slice(bytes).ok().filter(is_tileset)
}

/// East, north, up at the middle of the root, at height 0; the tileset's own axes where that does not lie on the Earth.
fn frame_of(tileset: &Json) -> (DMat4, Option<DVec2>) {
    let Some(middle) = middle(tileset).filter(|m| is_earth_centred(*m)) else { return (DMat4::IDENTITY, None) };
    let place = geographic_from_ecef(middle);
    let origin = ecef_from_geographic(place.with_z(0.0));
    let (sin_lon, cos_lon) = place.x.to_radians().sin_cos();
    let (sin_lat, cos_lat) = place.y.to_radians().sin_cos();
    let up = DVec3::new(cos_lat * cos_lon, cos_lat * sin_lon, sin_lat);
    let east = DVec3::new(-sin_lon, cos_lon, 0.0);
    let frame_from_world = DMat3::from_cols(east, up.cross(east), up).transpose();
    (DMat4::from_mat3(frame_from_world) * DMat4::from_translation(-origin), Some(place.truncate()))
}

/// The largest scale of a transform, by which a geometric error grows.
fn scale_of(transform: &DMat4) -> f64 {
    let axes = [transform.x_axis, transform.y_axis, transform.z_axis];
    axes.iter().map(|axis| axis.truncate().length()).fold(0.0, f64::max)
}

fn file_name(place: &str) -> &str {
    Path::new(place).file_name().and_then(|name| name.to_str()).unwrap_or(place)
}

/// An address without what may be secret in it.
fn told(address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or(address);
    let plain = plain.split_once("://").map_or(plain.to_owned(), |(scheme, rest)| {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        format!("{scheme}://{}/{path}", host.rsplit('@').next().unwrap_or(host))
    });
    short(&plain)
}

/// A short name for what lies at an address: the last folder and the file, without what says its kind.
fn name_of(address: &str) -> String {
    let plain = told(address).replace('\\', "/");
    let parts: Vec<&str> = plain.split('/').filter(|part| !part.is_empty()).collect();
    let file = parts.last().copied().unwrap_or("tileset");
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    match parts.len().checked_sub(2).and_then(|k| parts.get(k)) {
        Some(folder) if stem == "tileset" => (*folder).to_owned(),
        Some(folder) => format!("{folder}/{stem}"),
        None => stem.to_owned(),
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}
