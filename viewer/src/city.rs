//! What the viewer knows of a city: its layers with their trees of tiles, its ground, its sensors.
//! The viewer owns none of it; everything is read from the city's folder.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use glam::{DVec2, DVec3};
use groundline_engine::{
    crs::Frame,
    model::{CityObject, Extent, ObjectId, PipeKind, Sensor, Vertical},
    query::{Found, Query, Search},
    store::{City, StoreError, read_file},
    tile::{Ground, Tile, TileId, TileSource, TileTree, TreeError},
};

use crate::{ViewError, options::SceneOptions, tile_content::ContentAt};

/// Largest tileset.json that is read, bytes.
const MAX_TILESET_BYTES: u64 = 1 << 30;

/// Names are looked for no longer than this.
const FIND_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// One layer that can be drawn.
pub struct LayerModel {
    /// Name.
    pub name: String,
    /// Objects per class word, most first.
    pub classes: Vec<(String, u64)>,
    /// Objects.
    pub objects: u64,
    /// Scan points.
    pub points: u64,
    /// Colour in the list of layers, sRGB.
    pub rgb: [u8; 3],
    /// Its tiles.
    pub tree: Tiles,
    /// Folder that the tiles' content is relative to.
    pub folder: PathBuf,
    /// Where the tiles come from, when they are no files of a city.
    pub source: Option<Arc<dyn TileSource>>,
}

/// The tiles of a layer as they are known by now; a tileset of others grows while it is looked at.
pub struct Tiles(RwLock<Arc<TileTree>>);

impl From<TileTree> for Tiles {
    fn from(tree: TileTree) -> Self {
        Self(RwLock::new(Arc::new(tree)))
    }
}

impl Tiles {
    /// The tree as it is now; a tile that is in it stays in it under its number.
    pub fn now(&self) -> Arc<TileTree> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Box around everything.
    pub fn extent(&self) -> Extent {
        self.now().extent()
    }

    /// Puts what was read in the place of a tile; see [`TileTree::graft`].
    pub fn graft(&self, at: TileId, content: &str, tiles: Vec<Tile>) -> Result<(), TreeError> {
        let mut tree = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut tree).graft(at, content, tiles)
    }
}

impl LayerModel {
    /// Reads the tiles of a layer from its `tileset.json`.
    pub fn read(name: &str, tileset: &Path, classes: Vec<(String, u64)>, points: u64) -> Result<Self, ViewError> {
        let io = |source| ViewError::Io { path: tileset.to_owned(), source };
        let bad = |reason: String| ViewError::Tileset { path: tileset.to_owned(), reason };
        let mut left = MAX_TILESET_BYTES;
        let mut fetch = |path: &Path| -> Result<Vec<u8>, std::io::Error> {
            let bytes = read_file(path, left)?;
            left -= bytes.len() as u64;
            Ok(bytes)
        };
        let json = fetch(tileset).map_err(io)?;
        let folder = tileset.parent().map(Path::to_owned).unwrap_or_default();
        let mut page =
            |uri: &str| fetch(&folder.join(uri)).map_err(|error| TreeError::Shape(format!("its page {uri}: {error}")));
        let tree = TileTree::read_with_pages(&json, &mut page).map_err(|error| bad(error.to_string()))?;
        if !tree.is_in_city_frame() {
            return Err(bad("tiles lack the city-frame extras that Groundline writes".into()));
        }
        let mut classes = classes;
        classes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let class = classes.first().map_or("", |(class, _)| class.as_str());
        Ok(Self {
            rgb: layer_rgb(name, class),
            name: name.to_owned(),
            objects: classes.iter().map(|(_, count)| count).sum(),
            classes,
            points,
            tree: tree.into(),
            folder,
            source: None,
        })
    }

    /// A tileset of others.
    pub fn of_source(source: Arc<dyn TileSource>) -> Result<Self, ViewError> {
        let bad = |error: TreeError| ViewError::Tileset { path: source.name().into(), reason: error.to_string() };
        let tree = TileTree::from_tiles(source.tiles()).map_err(bad)?;
        Ok(Self {
            rgb: layer_rgb(source.name(), ""),
            name: source.name().to_owned(),
            objects: 0,
            classes: Vec::new(),
            points: 0,
            tree: tree.into(),
            folder: PathBuf::new(),
            source: Some(source),
        })
    }

    /// Where the content of one of its tiles lies.
    pub fn content(&self, content: &str) -> ContentAt {
        match &self.source {
            Some(source) => ContentAt::Source(source.clone(), content.to_owned()),
            None => ContentAt::File(self.folder.join(content)),
        }
    }

    /// What is left of a layer in a version that has it no more.
    fn ended(old: &Self) -> Result<Self, ViewError> {
        let bad = |error: TreeError| ViewError::Tileset { path: old.folder.clone(), reason: error.to_string() };
        Ok(Self {
            name: old.name.clone(),
            classes: old.classes.iter().map(|(class, _)| (class.clone(), 0)).collect(),
            objects: 0,
            points: 0,
            rgb: old.rgb,
            tree: TileTree::from_tiles(Vec::new()).map_err(bad)?.into(),
            folder: old.folder.clone(),
            source: None,
        })
    }

    /// The class most of its objects have; empty when it has none.
    pub fn main_class(&self) -> &str {
        self.classes.first().map_or("", |(class, _)| class.as_str())
    }

    /// Whether all of it lies below ground, so that it is hidden while the ground is solid.
    pub fn is_below_ground(&self) -> bool {
        const BELOW: [&str; 8] =
            ["pipe", "manhole", "pipe_node", "gallery", "tunnel", "station", "stratum", "borehole"];
        !self.classes.is_empty() && self.classes.iter().all(|(class, _)| BELOW.contains(&class.as_str()))
    }

    /// Whether it is ground that hides what is below.
    pub fn is_ground(&self) -> bool {
        matches!(self.main_class(), "terrain" | "imagery")
    }

    /// Whether a tile is the ground as a whole: nothing coarser covers what it covers.
    pub fn is_base(&self, tile: TileId) -> bool {
        let tree = self.tree.now();
        let is_drawn = |id: TileId| tree.tile(id).content.is_some();
        let mut above = std::iter::successors(tree.tile(tile).parent, |id| tree.tile(*id).parent);
        self.is_ground() && is_drawn(tile) && !above.any(is_drawn)
    }

    /// Pipe class that the name of the layer tells, for the legend.
    pub fn pipe_kind(&self) -> Option<PipeKind> {
        self.classes.iter().any(|(class, _)| class == "pipe").then(|| pipe_kind_of(&self.name)).flatten()
    }
}

/// The pipe class that a layer's name speaks of: a word (`gas`), the letters of CJJ 61 (`RQ`) or Chinese (`燃气`).
fn pipe_kind_of(name: &str) -> Option<PipeKind> {
    let lower = name.to_lowercase();
    let letters = [
        ("js", PipeKind::Water),
        ("ys", PipeKind::Storm),
        ("ws", PipeKind::Sewage),
        ("hs", PipeKind::Combined),
        ("rq", PipeKind::Gas),
        ("rl", PipeKind::Heat),
        ("dl", PipeKind::Power),
        ("tx", PipeKind::Telecom),
        ("gy", PipeKind::Industrial),
        ("rain", PipeKind::Storm),
        ("sewer", PipeKind::Sewage),
        ("drain", PipeKind::Storm),
    ];
    PipeKind::ALL.iter().copied().find(|kind| lower.contains(kind.word()) || lower.contains(kind.zh())).or_else(|| {
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
        letters.iter().find(|(word, _)| words.contains(word)).map(|(_, kind)| *kind)
    })
}

fn layer_rgb(name: &str, class: &str) -> [u8; 3] {
    match class {
        "pipe" | "manhole" | "pipe_node" => pipe_kind_of(name).map_or([120, 140, 150], PipeKind::rgb),
        "terrain" | "imagery" => [148, 152, 116],
        "building" | "storey" | "space" | "building_element" => [214, 200, 180],
        "road" | "railway" | "bridge" => [126, 130, 136],
        "water" => [54, 118, 142],
        "greenery" | "land_use" => [122, 158, 96],
        "tree" => [84, 130, 72],
        "lamp" | "furniture" => [200, 182, 120],
        "gallery" => [176, 150, 196],
        "tunnel" | "station" => [127, 0, 127],
        "stratum" | "borehole" => [168, 128, 92],
        "point_cloud" => [150, 170, 190],
        "sensor" => [96, 156, 190],
        _ => [160, 160, 160],
    }
}

/// A city opened for looking at.
pub struct CityModel {
    /// Name of the city.
    pub name: String,
    /// Open version.
    pub version: u64,
    /// Coordinate system as people call it.
    pub crs: String,
    /// Longitude and latitude of its middle, degrees.
    pub lon_lat: DVec2,
    /// Box around everything.
    pub extent: Extent,
    /// Its terrain.
    pub ground: Ground,
    /// Its sensors.
    pub sensors: Vec<Sensor>,
    /// Layers that can be drawn.
    pub layers: Vec<LayerModel>,
    /// The store, for the attributes of picked objects.
    store: Option<Mutex<City>>,
}

impl CityModel {
    /// Opens what a scene shows: a city, or a tileset of others.
    pub fn of_scene(scene: &SceneOptions) -> Result<Self, ViewError> {
        match &scene.tiles {
            Some(source) => Self::of_source(source.clone()),
            None => Self::open(&scene.city),
        }
    }

    /// A tileset of others as a city of one layer, in the frame of the tileset.
    pub fn of_source(source: Arc<dyn TileSource>) -> Result<Self, ViewError> {
        let layers = vec![LayerModel::of_source(source.clone())?];
        let city = Self::of_layers(source.name(), layers, Ground::default(), Vec::new());
        Ok(Self { crs: source.frame(), lon_lat: source.lon_lat().unwrap_or(DEFAULT_LON_LAT), ..city })
    }

    /// Opens the city in `folder` at its current version.
    pub fn open(folder: &Path) -> Result<Self, ViewError> {
        let city = City::open(folder)?;
        let mut layers = Vec::new();
        for entry in city.layers() {
            let Some(tileset) = &entry.tileset else { continue };
            let classes = entry.classes.iter().map(|(class, count)| (class.clone(), *count)).collect();
            layers.push(LayerModel::read(&entry.name, &city.folder().join(tileset), classes, entry.points)?);
        }
        let extent = city.extent();
        let lon_lat = Frame::new(city.crs().clone())
            .ok()
            .filter(|_| !extent.is_empty())
            .map(|frame| frame.geographic_from_city(extent.centre()).truncate())
            .filter(|place| place.x.abs() <= 180.0 && place.y.abs() <= 90.0)
            .unwrap_or(DEFAULT_LON_LAT);
        Ok(Self {
            name: city.name().to_owned(),
            version: city.version(),
            crs: city.crs().label(),
            lon_lat,
            extent,
            ground: city.ground()?,
            sensors: city.sensors()?,
            layers,
            store: Some(Mutex::new(city)),
        })
    }

    /// A city made of layers at hand, without a store: nothing can be asked of its objects.
    pub fn of_layers(name: &str, layers: Vec<LayerModel>, ground: Ground, sensors: Vec<Sensor>) -> Self {
        let mut extent = ground.extent();
        for layer in &layers {
            extent.merge(&layer.tree.extent());
        }
        Self {
            name: name.to_owned(),
            version: 1,
            crs: "EPSG:4549".into(),
            lon_lat: DEFAULT_LON_LAT,
            extent,
            ground,
            sensors,
            layers,
            store: None,
        }
    }

    /// Gives each layer the place that it had in `before`; those that are new come behind, and one that is there no more leaves an empty
    /// one of its name.
    pub fn take_places_of(&mut self, before: &Self) -> Result<(), ViewError> {
        let mut layers: Vec<Option<LayerModel>> = std::mem::take(&mut self.layers).into_iter().map(Some).collect();
        let mut take =
            |name: &str| layers.iter_mut().find(|layer| layer.as_ref().is_some_and(|l| l.name == name))?.take();
        let mut placed = Vec::new();
        for old in &before.layers {
            placed.push(match take(&old.name) {
                Some(layer) => layer,
                None => LayerModel::ended(old)?,
            });
        }
        self.layers = placed;
        self.layers.extend(layers.into_iter().flatten());
        Ok(())
    }

    /// One object with its attributes; `None` when the store does not know it.
    pub fn object(&self, id: &str) -> Result<Option<CityObject>, ViewError> {
        let Some(store) = &self.store else {
            return Ok(self.layers.iter().find_map(|layer| layer.source.as_ref()?.object(id)));
        };
        let city = store.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(city.object(&ObjectId(id.to_owned()))?)
    }

    /// Whether there is a store to ask.
    pub fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// What the store answers to a question.
    pub(crate) fn with_store<T>(&self, ask: impl FnOnce(&City) -> Result<T, StoreError>) -> Result<T, ViewError> {
        let none = || ViewError::Colours("these tiles have no store with attributes".into());
        let store = self.store.as_ref().ok_or_else(none)?;
        let city = store.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(ask(&city)?)
    }

    /// Objects whose name or id fits `text`, the best first, at most `most`; a text of no letter finds nothing.
    pub fn find(&self, text: &str, most: usize) -> Result<Vec<Found>, String> {
        let (Some(store), Ok(search)) = (&self.store, Search::new(text)) else { return Ok(Vec::new()) };
        let city = store.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let query = Query {
            search: Some(search),
            limit: Some(most),
            until: Some(std::time::Instant::now() + FIND_WITHIN),
            ..Query::default()
        };
        let hits = groundline_engine::query::run(&city, &query).map_err(|error| error.to_string())?;
        hits.collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    /// Height of the ground at a place; the bottom of the city where there is no terrain.
    pub fn ground_m(&self, place: DVec2) -> f64 {
        self.ground.height_at(place).unwrap_or(if self.extent.is_empty() { 0.0 } else { self.extent.min.z.max(0.0) })
    }

    /// Place of a sensor in the city's frame, metres, with its height made absolute.
    pub fn place_of(&self, sensor: &Sensor) -> Option<DVec3> {
        let place = sensor.place?;
        Some(match sensor.vertical {
            Vertical::Absolute => place,
            Vertical::AboveTerrain => place.with_z(place.z + self.ground_m(place.truncate())),
        })
    }

    /// Whether it is a tileset of others, which has no versions.
    pub fn is_tileset(&self) -> bool {
        self.layers.iter().any(|layer| layer.source.is_some())
    }

    /// Box around what is drawn in plan, with z from what stands on the ground: pipes and strata far below
    /// do not count.
    pub fn scene_extent(&self) -> Extent {
        let mut extent = Extent::EMPTY;
        for layer in self.layers.iter().filter(|layer| !layer.is_below_ground()) {
            extent.merge(&layer.tree.extent());
        }
        if extent.is_empty() { self.extent } else { extent }
    }

    /// The box to show first: everything, or, where a few things lie far from most, the part where most is.
    pub fn overview_extent(&self) -> Extent {
        let whole = self.scene_extent();
        // Where most of a tileset of others is, is known after it was looked at.
        if self.is_tileset() {
            return whole;
        }
        let shown = self.layers.iter().filter(|layer| !layer.is_below_ground());
        let trees: Vec<Arc<TileTree>> = shown.map(|layer| layer.tree.now()).collect();
        let leaves = trees.iter().flat_map(|tree| tree.tiles()).filter(|tile| tile.children.is_empty());
        let middles: Vec<DVec2> =
            leaves.filter(|tile| tile.content.is_some()).map(|tile| tile.extent.centre().truncate()).collect();
        if middles.len() < 8 {
            return whole;
        }
        let median = |pick: fn(&DVec2) -> f64| {
            let mut values: Vec<f64> = middles.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let heart = DVec2::new(median(|p| p.x), median(|p| p.y));
        let mut reaches: Vec<f64> = middles.iter().map(|p| (*p - heart).abs().max_element()).collect();
        reaches.sort_by(f64::total_cmp);
        let reach = reaches[reaches.len() / 2].max(250.0) * 1.2;
        let half = whole.size().truncate().max_element() * 0.5;
        if half < reach * 3.0 {
            return whole;
        }
        let corner = DVec2::splat(reach);
        Extent { min: (heart - corner).extend(whole.min.z), max: (heart + corner).extend(whole.max.z) }
    }
}

/// Where the sun is computed when the city's place on the Earth is not known: Qingdao.
const DEFAULT_LON_LAT: DVec2 = DVec2::new(120.38, 36.07);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_names_tell_the_pipe_class() {
        assert_eq!(pipe_kind_of("gas_lines"), Some(PipeKind::Gas));
        assert_eq!(pipe_kind_of("管线-燃气"), Some(PipeKind::Gas));
        assert_eq!(pipe_kind_of("LN_RQ"), Some(PipeKind::Gas));
        assert_eq!(pipe_kind_of("雨水管"), Some(PipeKind::Storm));
        assert_eq!(pipe_kind_of("trees"), None);
    }
}
