//! Which objects a peel means, and tiles without them: the store is asked on a thread of its own, then the tiles of the layers that
//! it concerns are read again, each staying as it is until the new one is there.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
};

use bevy::{prelude::*, window::RequestRedraw};
use groundline_engine::{
    model::{Class, PipeKind, Stage, Value},
    query::{Column, Lifetimes, Query, run},
};

use crate::{
    city::{CityModel, LayerModel},
    content::{DrawMaterial, DrawMesh, Features, NO_FEATURE, TileMeshes},
    cut::{Cut, Cuts},
    loader::SiftOf,
    peel::{Focus, Manner, Peel, Storeys},
    scene::CityScene,
};

/// An eye above the floor it stands on, metres: where plans are cut.
pub const EYE_M: f64 = 1.2;
/// The attribute by which parts of a building know their storey.
const STOREY_KEY: &str = "storey_elevation_m";

/// What becomes of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fate {
    /// It is not drawn.
    pub is_gone: bool,
    /// It is drawn as a ghost.
    pub is_ghost: bool,
    /// It is drawn so much higher, metres.
    pub lift_m: f32,
}

/// What becomes of the objects of one layer.
#[derive(Clone, Debug, Default)]
pub struct LayerSift {
    /// What it was made for.
    pub key: String,
    /// All of it is gone.
    pub is_hidden: bool,
    hidden: HashSet<String>,
    network: Option<(Arc<Column>, PipeKind)>,
    stages: Option<(Arc<Column>, Vec<Stage>)>,
    storeys: Option<(Arc<Column>, Vec<f64>, Manner)>,
    focus: Option<Focus>,
    /// What was not there at this time is gone, milliseconds since 1970 UTC.
    pub time: Option<(Arc<Lifetimes>, i64)>,
}

impl LayerSift {
    /// What becomes of an object.
    pub fn fate(&self, id: &str, class: &str) -> Fate {
        let mut fate = Fate { is_gone: self.is_hidden || self.hidden.contains(id), ..Fate::default() };
        if let Some(focus) = self.focus.as_ref().filter(|focus| focus.id != id) {
            fate.is_gone |= !focus.has_ghosts;
            fate.is_ghost = focus.has_ghosts;
        }
        fate.is_gone |= self.time.as_ref().is_some_and(|(lives, at)| !lives.is_there(id, *at));
        if let Some((column, kind)) = &self.network
            && matches!(class, "pipe" | "manhole" | "pipe_node")
        {
            let word = column.cell(id).and_then(|cell| column.values.get(cell.value as usize));
            fate.is_gone |= word.and_then(|(word, _)| word.as_str()) != Some(kind.word());
        }
        if let Some((column, stages)) = &self.stages {
            let value = column.cell(id).and_then(|cell| column.values.get(cell.value as usize));
            let word = value.and_then(|(value, _)| value.as_str());
            fate.is_gone |= word.is_some_and(|word| !stages.iter().any(|stage| stage.word() == word));
        }
        if let Some((column, elevations, manner)) = &self.storeys {
            let value = column.cell(id).and_then(|cell| column.values.get(cell.value as usize));
            let rank = value.and_then(|(value, _)| value.as_f64()).and_then(|elevation| rank_of(elevations, elevation));
            match (manner, rank) {
                (Manner::Fan { gap_m }, Some(rank)) => fate.lift_m = (rank as f64 * gap_m) as f32,
                (Manner::Only { number }, Some(rank)) => fate.is_gone |= rank + 1 != usize::from(*number),
                // What is of no storey, such as the site, stays under it.
                _ => {}
            }
        }
        fate
    }

    /// The highest lift of any object, metres.
    pub fn lift_m(&self) -> f64 {
        match &self.storeys {
            Some((_, elevations, Manner::Fan { gap_m })) => gap_m * elevations.len().saturating_sub(1) as f64,
            _ => 0.0,
        }
    }

    /// Whether a tile with these objects looks the same with either.
    pub fn is_alike(a: Option<&Self>, b: Option<&Self>, features: &Features) -> bool {
        let fate =
            |sift: Option<&Self>, id: &str, class: &str| sift.map_or(Fate::default(), |sift| sift.fate(id, class));
        features.ids.iter().enumerate().all(|(row, id)| {
            let class = features.classes.get(row).map_or("", String::as_str);
            fate(a, id, class) == fate(b, id, class)
        })
    }

    /// Does to a tile what becomes of its objects.
    pub fn apply(&self, tile: &mut TileMeshes) {
        let classes = |row: usize| tile.features.classes.get(row).map_or("", String::as_str);
        let fates: Vec<Fate> =
            tile.features.ids.iter().enumerate().map(|(row, id)| self.fate(id, classes(row))).collect();
        if fates.iter().all(|fate| *fate == Fate::default()) {
            return;
        }
        part(tile, &fates, "ghost");
    }
}

/// Takes the air of rooms out of the bodies of a tile: solid, it would fill every building that is opened.
pub fn part_rooms(tile: &mut TileMeshes) {
    let is_room = |class: &String| class == Class::Space.word();
    if !tile.features.classes.iter().any(is_room) {
        return;
    }
    let fates: Vec<Fate> =
        tile.features.classes.iter().map(|class| Fate { is_ghost: is_room(class), ..Fate::default() }).collect();
    part(tile, &fates, "room_air");
}

/// Takes out of a tile what is gone and puts the ghosts into a mesh of a material of this name.
fn part(tile: &mut TileMeshes, fates: &[Fate], material: &str) {
    let mut ghosts: BTreeMap<usize, DrawMesh> = BTreeMap::new();
    for mesh in &mut tile.meshes {
        // What is a ghost already stays one.
        let is_ghost = tile.materials.get(mesh.material).is_some_and(|material| material.name == "ghost");
        if is_ghost && material != "ghost" {
            continue;
        }
        sift_mesh(mesh, fates, ghosts.entry(mesh.material).or_default());
    }
    for (of, mut mesh) in ghosts.into_iter().filter(|(_, mesh)| !mesh.indices.is_empty()) {
        let base_colour = tile.materials.get(of).map_or([1.0; 4], |material| material.base_colour);
        mesh.material = tile.materials.len();
        tile.materials.push(DrawMaterial { name: material.to_owned(), base_colour, ..DrawMaterial::default() });
        tile.meshes.push(mesh);
    }
    tile.meshes.retain(|mesh| !mesh.indices.is_empty());
    tile.meshes.iter_mut().for_each(DrawMesh::measure);
}

fn rank_of(elevations: &[f64], elevation: f64) -> Option<usize> {
    elevations.iter().position(|other| (other - elevation).abs() < 0.01)
}

/// Takes out of a mesh what is gone, lifts what is lifted, moves what is a ghost.
fn sift_mesh(mesh: &mut DrawMesh, fates: &[Fate], ghosts: &mut DrawMesh) {
    let fate = |feature: u32| fates.get(feature as usize).copied().unwrap_or_default();
    let mut kept = DrawMesh { material: mesh.material, ..DrawMesh::default() };
    let mut moved = vec![u32::MAX; mesh.positions.len()];
    for corners in mesh.indices.chunks_exact(3) {
        let feature = mesh.features.get(corners[0] as usize).copied().unwrap_or(NO_FEATURE);
        let fate = fate(feature);
        if fate.is_gone {
            continue;
        }
        let into = if fate.is_ghost { &mut *ghosts } else { &mut kept };
        for corner in corners {
            // A vertex belongs to one object.
            let new = &mut moved[*corner as usize];
            if *new == u32::MAX {
                *new = into.positions.len() as u32;
                into.copy_vertex(mesh, *corner as usize);
                if let Some(place) = into.positions.last_mut() {
                    place[1] += fate.lift_m;
                }
            }
            into.indices.push(*new);
        }
    }
    *mesh = kept;
}

/// A storey of a building as the panel and the eye's section want it.
#[derive(Clone, Debug, PartialEq)]
pub struct Storey {
    /// Its name; empty when it has none.
    pub name: String,
    /// Height of its floor in the city, metres.
    pub floor_m: f64,
}

/// What a peel comes to.
struct Resolved {
    layers: Vec<Option<LayerSift>>,
    storeys: BTreeMap<usize, Vec<Storey>>,
    /// The cut that was asked for.
    cut: Option<Cut>,
}

type Answer = Mutex<Receiver<Result<Resolved, String>>>;

/// What is sifted out now.
#[derive(Resource, Default)]
pub struct Sift {
    /// What is taken off, by layer; none beyond its end.
    pub peeled: Vec<SiftOf>,
    /// Counts the changes of it.
    pub changes: u64,
    done_for: Peel,
    waiting: Option<(Peel, Answer)>,
    /// Storeys of the layers that have some, from the lowest; empty until they have been asked for.
    pub storeys: BTreeMap<usize, Vec<Storey>>,
    /// The panel that wants to know them is open.
    pub is_open: bool,
    /// Why the last peel could not be.
    pub trouble: Option<String>,
}

impl Sift {
    /// Asks anew: the city is another version.
    pub fn renew(&mut self) {
        (self.done_for, self.waiting) = (Peel::default(), None);
        self.storeys.clear();
    }

    fn hand_over(&mut self, layers: Vec<Option<LayerSift>>) {
        self.peeled = kept(&self.peeled, layers);
        self.changes += 1;
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self, peel: &Peel) -> bool {
        self.waiting.is_none() && self.done_for == *peel
    }
}

/// Asks the store which objects are meant when the peel has changed, and hands what it says to the tiles.
pub fn resolve_peel(
    mut sift: ResMut<Sift>,
    mut peel: ResMut<Peel>,
    mut cuts: ResMut<Cuts>,
    city: Res<CityScene>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let sift = sift.bypass_change_detection();
    if let Some((asked, answer)) = &mut sift.waiting {
        redraw.write(RequestRedraw);
        let answer = match answer.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("the store could not be read".to_owned()),
        };
        sift.done_for = std::mem::take(asked);
        sift.waiting = None;
        match answer {
            Ok(resolved) => {
                sift.trouble = None;
                sift.storeys.extend(resolved.storeys);
                sift.hand_over(resolved.layers);
                if let Some(cut) = resolved.cut {
                    let others = cuts.list().iter().filter(|cut| !matches!(cut, Cut::Level { .. })).cloned();
                    if let Ok(new) = Cuts::new(others.chain([cut]).collect()) {
                        cuts.set_if_neq(new);
                    }
                    // It is a cut now.
                    peel.storeys = None;
                    sift.done_for.storeys = None;
                }
            }
            Err(reason) => {
                tracing::warn!("nothing is taken off: {reason}");
                sift.trouble = Some(reason);
            }
        }
        return;
    }
    let wants_storeys = sift.is_open && sift.storeys.is_empty() && city.0.layers.iter().any(has_storeys);
    if sift.done_for == *peel && !wants_storeys {
        return;
    }
    if peel.is_empty() && !wants_storeys {
        sift.done_for = Peel::default();
        sift.trouble = None;
        sift.hand_over(Vec::new());
        return;
    }
    let (sender, receiver) = sync_channel(1);
    let (city, asked) = (Arc::clone(&city.0), peel.clone());
    let spawned = std::thread::Builder::new().name("sift".into()).spawn(move || {
        // Nobody waits any more when the window was closed.
        let _ = sender.send(resolve(&city, &asked));
    });
    match spawned {
        Ok(_) => sift.waiting = Some((peel.clone(), Mutex::new(receiver))),
        Err(error) => sift.trouble = Some(error.to_string()),
    }
    redraw.write(RequestRedraw);
}

/// Layers for which nothing has changed keep what they have, so that their tiles stay.
pub fn kept(before: &[SiftOf], layers: Vec<Option<LayerSift>>) -> Vec<SiftOf> {
    let keep = |(index, new): (usize, Option<LayerSift>)| {
        let new = new?;
        let old = before.get(index).cloned().flatten().filter(|old| old.key == new.key);
        Some(old.unwrap_or_else(|| Arc::new(new)))
    };
    layers.into_iter().enumerate().map(keep).collect()
}

/// Whether it holds a building with storeys.
pub fn has_storeys(layer: &LayerModel) -> bool {
    layer.classes.iter().any(|(class, _)| class == Class::Storey.word())
}

fn has_class(layer: &LayerModel, wanted: &str) -> bool {
    layer.classes.iter().any(|(class, _)| class == wanted)
}

fn resolve(city: &CityModel, peel: &Peel) -> Result<Resolved, String> {
    let mut storeys = BTreeMap::new();
    for (index, layer) in city.layers.iter().enumerate().filter(|(_, layer)| has_storeys(layer)) {
        storeys.insert(index, storeys_of(city, layer)?);
    }
    let mut cut = None;
    if let Some(Storeys { layer, manner }) = &peel.storeys {
        let index = city.layers.iter().position(|other| other.name == *layer);
        let known = index.and_then(|index| storeys.get(&index)).filter(|known| !known.is_empty());
        let known = known.ok_or_else(|| format!("`{layer}` is no layer of a building with storeys"))?;
        if let Manner::Eye { number } | Manner::Only { number } = manner {
            let storey = known.get(usize::from(*number).wrapping_sub(1));
            let storey = storey.ok_or_else(|| format!("`{layer}` has {} storeys", known.len()))?;
            if matches!(manner, Manner::Eye { .. }) {
                cut = Some(Cut::Level { z: ((storey.floor_m + EYE_M) * 1000.0).round() / 1000.0 });
            }
        }
    }
    let layers = city.layers.iter().map(|layer| sift_of(city, layer, peel)).collect::<Result<_, _>>()?;
    Ok(Resolved { layers, storeys, cut })
}

/// What of a peel concerns a layer.
fn sift_of(city: &CityModel, layer: &LayerModel, peel: &Peel) -> Result<Option<LayerSift>, String> {
    let is_ours = |id: &&String| id.strip_prefix(layer.name.as_str()).is_some_and(|rest| rest.starts_with('/'));
    let mut sift = LayerSift {
        hidden: peel.hidden.iter().filter(is_ours).cloned().collect(),
        focus: peel.focus.clone().filter(|focus| is_ours(&&focus.id)),
        ..LayerSift::default()
    };
    if let Some(kind) = peel.network.filter(|_| has_class(layer, Class::Pipe.word())) {
        match layer.pipe_kind() {
            Some(own) => sift.is_hidden = own != kind,
            None => sift.network = Some((Arc::new(column(city, layer, "pipe_kind")?), kind)),
        }
    }
    // The ground is of no stage, and neither is a scan of it.
    if !peel.stages.is_empty() && !layer.is_ground() && layer.points == 0 {
        sift.stages = Some((Arc::new(column(city, layer, "stage")?), peel.stages.clone()));
    }
    if peel.strata > 0 && has_class(layer, Class::Stratum.word()) {
        sift.hidden.extend(upper_strata(city, layer, usize::from(peel.strata))?);
    }
    let storeys = peel.storeys.as_ref().filter(|storeys| storeys.layer == layer.name);
    if let Some(Storeys { manner: manner @ (Manner::Fan { .. } | Manner::Only { .. }), .. }) = storeys {
        let column = column(city, layer, STOREY_KEY)?;
        let elevations = elevations_of(&column);
        sift.storeys = Some((Arc::new(column), elevations, *manner));
    }
    let mut hidden: Vec<&String> = sift.hidden.iter().collect();
    hidden.sort_unstable();
    let network = sift.network.as_ref().map(|(_, kind)| kind);
    let manner = sift.storeys.as_ref().map(|(.., manner)| manner);
    let stages = sift.stages.as_ref().map(|(_, stages)| stages);
    let key = format!("{} {hidden:?} {network:?} {stages:?} {manner:?} {:?}", sift.is_hidden, sift.focus);
    let is_any = sift.is_hidden
        || !hidden.is_empty()
        || network.is_some()
        || stages.is_some()
        || manner.is_some()
        || sift.focus.is_some();
    sift.key = key;
    Ok(is_any.then_some(sift))
}

fn column(city: &CityModel, layer: &LayerModel, key: &str) -> Result<Column, String> {
    city.with_store(|store| Column::read(store, &[&layer.name], &[key])).map_err(|error| error.to_string())
}

/// The different elevations of storeys that hold something, from the lowest.
fn elevations_of(column: &Column) -> Vec<f64> {
    let mut elevations: Vec<f64> = column.values.iter().filter_map(|(value, _)| value.as_f64()).collect();
    elevations.sort_by(f64::total_cmp);
    elevations.dedup_by(|a, b| (*a - *b).abs() < 0.01);
    elevations
}

/// The storeys of a layer: those that hold something, with their names and floors.
fn storeys_of(city: &CityModel, layer: &LayerModel) -> Result<Vec<Storey>, String> {
    let query = Query { layers: vec![layer.name.clone()], ..Query::default() };
    let mut names = HashMap::new();
    // Lowest things of each storey above the storey's own elevation: those of rooms are floors.
    let (mut rooms, mut others) = (Vec::new(), Vec::new());
    let mut elevations = Vec::new();
    let found = city.with_store(|store| {
        for found in run(store, &query)? {
            let found = found?;
            let value = |key: &str| found.attributes.iter().find(|(name, _)| &**name == key).map(|(_, value)| value);
            let number = |key: &str| value(key).and_then(Value::as_f64);
            if found.class == Class::Storey {
                if let Some(elevation) = number("elevation_m") {
                    names.insert((elevation * 100.0).round() as i64, found.name.clone().unwrap_or_default());
                }
            } else if let Some(elevation) = number(STOREY_KEY) {
                elevations.push(elevation);
                if !found.extent.is_empty() {
                    let above = found.extent.min.z - elevation;
                    if found.class == Class::Space { rooms.push(above) } else { others.push(above) }
                }
            }
        }
        Ok(())
    });
    found.map_err(|error| error.to_string())?;
    elevations.sort_by(f64::total_cmp);
    elevations.dedup_by(|a, b| (*a - *b).abs() < 0.01);
    let list = if rooms.is_empty() { &mut others } else { &mut rooms };
    list.sort_by(f64::total_cmp);
    let offset = list.get(list.len() / 2).copied().unwrap_or_default();
    let name = |elevation: f64| names.get(&((elevation * 100.0).round() as i64)).cloned().unwrap_or_default();
    Ok(elevations.into_iter().map(|e| Storey { name: name(e), floor_m: e + offset }).collect())
}

/// The ids of the strata that are among the uppermost `count`: of each borehole where they are parts of one, else of the layer.
fn upper_strata(city: &CityModel, layer: &LayerModel, count: usize) -> Result<Vec<String>, String> {
    let query = Query { layers: vec![layer.name.clone()], classes: vec![Class::Stratum], ..Query::default() };
    let mut of_hole: HashMap<Option<String>, Vec<(f64, String)>> = HashMap::new();
    let found = city.with_store(|store| {
        for found in run(store, &query)? {
            let found = found?;
            of_hole.entry(found.parent.clone()).or_default().push((found.extent.max.z, found.id));
        }
        Ok(())
    });
    found.map_err(|error| error.to_string())?;
    let uppermost = |mut strata: Vec<(f64, String)>| {
        strata.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        strata.into_iter().take(count).map(|(_, id)| id)
    };
    Ok(of_hole.into_values().flat_map(uppermost).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::material::Kind;

    /// Two triangles, one of each of two objects, in one mesh.
    fn tile() -> TileMeshes {
        let mesh = DrawMesh {
            positions: (0..6).map(|k| [k as f32, 1.0, (k * k) as f32]).collect(),
            normals: vec![[0.0, 1.0, 0.0]; 6],
            uvs: vec![[0.0; 2]; 6],
            colours: vec![[1.0; 4]; 6],
            features: vec![0, 0, 0, 1, 1, 1],
            indices: (0..6).collect(),
            ..DrawMesh::default()
        };
        let features = Features {
            ids: vec!["b/0".into(), "b/1".into()],
            classes: vec!["building_element".into(); 2],
            ..Features::default()
        };
        let materials = vec![DrawMaterial::default()];
        TileMeshes { meshes: vec![mesh], materials, features, ..TileMeshes::default() }
    }

    #[test]
    fn what_is_hidden_is_gone_and_what_is_beside_the_focus_is_a_ghost() {
        let mut hidden = tile();
        LayerSift { hidden: HashSet::from(["b/0".to_owned()]), ..LayerSift::default() }.apply(&mut hidden);
        assert_eq!((hidden.meshes.len(), hidden.triangles(), hidden.meshes[0].features[0]), (1, 1, 1));
        let focus = |has_ghosts| Some(Focus { id: "b/0".into(), has_ghosts });
        let mut alone = tile();
        LayerSift { focus: focus(false), ..LayerSift::default() }.apply(&mut alone);
        assert_eq!((alone.triangles(), alone.meshes[0].features[0]), (1, 0));
        let mut among = tile();
        LayerSift { focus: focus(true), ..LayerSift::default() }.apply(&mut among);
        assert_eq!((among.triangles(), among.meshes.len()), (2, 2));
        assert_eq!(among.materials[among.meshes[1].material].name, "ghost");
        let mut same = tile();
        LayerSift::default().apply(&mut same);
        assert_eq!(same.meshes[0].positions, tile().meshes[0].positions);
    }

    #[test]
    fn the_air_of_rooms_is_no_body() {
        let mut tile = tile();
        tile.features.classes[1] = "space".into();
        part_rooms(&mut tile);
        assert_eq!((tile.meshes.len(), tile.meshes[1].features[0]), (2, 1));
        let kinds = tile.meshes.iter().map(|mesh| Kind::of(&tile.materials[mesh.material].name, "building_element"));
        assert_eq!(kinds.collect::<Vec<_>>(), [Kind::Other, Kind::Room]);
    }

    #[test]
    fn storeys_are_ranked_by_their_elevation() {
        let elevations = [-3.0, 0.0, 2.7];
        assert_eq!((rank_of(&elevations, 2.701), rank_of(&elevations, 1.0)), (Some(2), None));
    }
}
