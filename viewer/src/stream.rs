//! Tiles on their way from the disk to the picture.
//!
//! Each frame a pure function chooses the tiles that the view needs (`engine::tile::select`). Worker threads read and
//! decode what is missing, the most urgent first; the main thread takes over a few finished ones a frame. A tile stays
//! in memory until [`crate::budget`] lets go of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use bevy::prelude::*;
use groundline_engine::{
    model::{CimLevel, Extent},
    tile::{SelectOptions, TileId, View, select},
};

use crate::{
    ahead::Ahead,
    budget::{Pressure, forget_oldest},
    camera::CameraPose,
    cut::Cuts,
    fade::{Fades, Part},
    failure::{FIRST_WAIT, Failure},
    hidden::Hidden,
    loader::{FINISHED_WAITING, Finished, Job, Loaded, Queue, SiftOf, edge_meshes, work},
    material::{CityMaterial, Materials},
    pick::PickTile,
    scene::{Below, CityScene, Origin, Viewed},
    style::{Drawing, Style},
    tile_part::{TileEntity, TilePart, spawn_part},
};

/// Triangles handed to the renderer in one frame while a person is watching.
const UPLOAD_TRIANGLES_A_FRAME: usize = 200_000;

/// Slower frames than this do not show a fade, seconds.
const SLOWEST_FADING_FRAME_S: f32 = 0.12;

/// What may be needed soon comes after everything that is needed now: added to its urgency.
const LATER: f64 = 1e9;

/// One tile of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileKey {
    /// Index of the layer in the city.
    pub layer: usize,
    /// Tile of its tree.
    pub tile: TileId,
}

/// What is known of a tile that was asked for.
pub(crate) enum TileState {
    Failed(Failure),
    Ready(ReadyTile),
}

/// A tile that can be drawn.
pub(crate) struct ReadyTile {
    pub entities: Vec<Entity>,
    pub pick: Arc<PickTile>,
    triangles: usize,
    points: usize,
    pub bytes: usize,
    pub last_drawn: u64,
    pub is_shown: bool,
    /// The ground as a whole: it is never let go of.
    pub is_base: bool,
    has_edges: bool,
    pub sift: SiftOf,
    /// Of an earlier version of the city or another level of detail: it stays until what is wanted has been read.
    pub is_outdated: bool,
}

fn is_same(a: &SiftOf, b: &SiftOf) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// The tiles in memory and on their way there.
#[derive(Resource)]
pub struct Streaming {
    queue: Arc<Queue>,
    finished: Mutex<Receiver<Finished>>,
    pub(crate) tiles: HashMap<TileKey, TileState>,
    pub(crate) loading: HashSet<TileKey>,
    pub(crate) frame: u64,
    /// Counts versions of the city that were taken over.
    pub age: u64,
    /// Bytes of tiles kept.
    pub bytes: usize,
    /// Bytes that may be kept.
    pub budget: usize,
    /// What the budget does to the picture.
    pub pressure: Pressure,
    /// Largest error on the screen, pixels.
    pub max_error_px: f64,
    /// The finest level of detail that is shown.
    pub detail: CimLevel,
    /// What is cut away from the picture.
    pub cuts: Cuts,
    /// What is taken off and what was not there, by layer; none beyond its end.
    pub sifts: Vec<SiftOf>,
    /// Counts tiles that took the place of what they were.
    pub swaps: u64,
    /// Nothing is shown until everything is there, and coarse tiles are not loaded on the way: for a single picture.
    pub is_single_picture: bool,
    /// Everything the view needs is in memory.
    pub is_complete: bool,
    /// Tiles shown.
    pub shown: Vec<TileKey>,
    /// Triangles shown.
    pub shown_triangles: usize,
    /// Points shown.
    pub shown_points: usize,
    /// Wait before a tile that could not be read is tried again; doubles with every try.
    pub first_wait: Duration,
    /// What hills hide.
    pub hidden: Hidden,
    /// Tiles that fade into each other.
    pub fades: Fades,
    /// Whether the renderer has what fades need.
    pub can_fade: bool,
}

/// The finest level of detail that is wanted (CIM1 to CIM7).
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail(pub CimLevel);

/// Which layers are shown; by index of the layer in the city.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownLayers(pub Vec<bool>);

impl Streaming {
    /// Starts `workers` threads.
    pub fn start(budget: usize, max_error_px: f64, is_single_picture: bool, workers: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let (sender, finished) = sync_channel(FINISHED_WAITING);
        for number in 0..workers.max(1) {
            let (queue, sender) = (queue.clone(), sender.clone());
            let spawned =
                std::thread::Builder::new().name(format!("tiles-{number}")).spawn(move || work(&queue, &sender));
            if let Err(error) = spawned {
                tracing::error!("no thread for reading tiles: {error}");
            }
        }
        Self {
            queue,
            finished: Mutex::new(finished),
            tiles: HashMap::new(),
            loading: HashSet::new(),
            frame: 0,
            age: 0,
            bytes: 0,
            budget,
            pressure: Pressure::default(),
            max_error_px,
            detail: CimLevel::PART,
            cuts: Cuts::default(),
            sifts: Vec::new(),
            swaps: 0,
            is_single_picture,
            is_complete: false,
            shown: Vec::new(),
            shown_triangles: 0,
            shown_points: 0,
            first_wait: FIRST_WAIT,
            hidden: Hidden::default(),
            fades: Fades::default(),
            can_fade: false,
        }
    }

    /// What the mouse sees of the tiles that are shown.
    pub fn shown_picks(&self) -> impl Iterator<Item = (TileKey, &Arc<PickTile>)> {
        self.shown.iter().filter_map(|key| match self.tiles.get(key) {
            Some(TileState::Ready(tile)) => Some((*key, &tile.pick)),
            _ => None,
        })
    }

    /// What the mouse sees of a tile that is in memory.
    pub fn pick_of(&self, key: TileKey) -> Option<&Arc<PickTile>> {
        let Some(TileState::Ready(tile)) = self.tiles.get(&key) else { return None };
        Some(&tile.pick)
    }

    /// Counts bytes that a tile takes more or less than it did.
    pub fn recount(&mut self, key: TileKey, before: usize, after: usize) {
        if let Some(TileState::Ready(tile)) = self.tiles.get_mut(&key) {
            tile.bytes = tile.bytes.saturating_sub(before) + after;
            self.bytes = self.bytes.saturating_sub(before) + after;
        }
    }

    /// What is taken off a layer.
    pub(crate) fn sift(&self, layer: usize) -> SiftOf {
        self.sifts.get(layer).cloned().flatten()
    }

    /// Whether a tile shows what is taken off by now.
    fn is_stale(&self, key: TileKey) -> bool {
        let sift = self.sift(key.layer);
        matches!(self.tiles.get(&key), Some(TileState::Ready(tile)) if tile.is_outdated || !is_same(&tile.sift, &sift))
    }

    /// The entities of tiles that fade, and how much of each is drawn.
    pub fn fading_entities(&self) -> impl Iterator<Item = (Entity, Part)> {
        self.fades.parts().flat_map(|(key, part)| match self.tiles.get(&key) {
            Some(TileState::Ready(tile)) => tile.entities.iter().map(|entity| (*entity, part)).collect(),
            _ => Vec::new(),
        })
    }

    /// Whether a tile of a layer could not be read.
    fn has_failed(&self, layer: usize) -> bool {
        self.tiles.iter().any(|(key, state)| key.layer == layer && matches!(state, TileState::Failed(_)))
    }

    /// Tiles being read.
    pub fn loading(&self) -> usize {
        self.loading.len()
    }

    /// Why tiles cannot be read, those that are wanted no more included.
    pub fn damaged(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self
            .tiles
            .values()
            .filter_map(|state| match state {
                TileState::Failed(failure) => Some(failure.reason.clone()),
                TileState::Ready(_) => None,
            })
            .collect();
        reasons.sort_unstable();
        reasons
    }

    fn is_ready(&self, key: TileKey) -> bool {
        match self.tiles.get(&key) {
            Some(TileState::Ready(_)) => true,
            // The coarser tile stays where a finer one is damaged; a single picture loads none, and a damaged tile must not
            // keep it from its end.
            Some(TileState::Failed(_)) => self.is_single_picture,
            None => false,
        }
    }

    /// Whether a tile is to be read now: neither there nor on its way nor tried in vain a moment ago.
    fn is_wanting(&self, key: TileKey, now: Instant) -> bool {
        !self.loading.contains(&key)
            && match self.tiles.get(&key) {
                Some(TileState::Ready(_)) => self.is_stale(key),
                Some(TileState::Failed(failure)) => !self.is_single_picture && failure.again <= now,
                None => true,
            }
    }

    /// Notes that a tile could not be read, and when it is tried again.
    fn fail(&mut self, key: TileKey, reason: String) {
        let before = match self.tiles.get(&key) {
            Some(TileState::Failed(failure)) => Some(failure),
            _ => None,
        };
        if before.is_none() {
            tracing::warn!("tile not drawn: {reason}");
        }
        let failure = Failure::after(before, reason, self.first_wait);
        self.tiles.insert(key, TileState::Failed(failure));
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let mut state = self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_closed = true;
        state.wanted.clear();
        drop(state);
        self.queue.wake.notify_all();
    }
}

/// Chooses tiles, asks for missing ones, shows what is chosen.
#[allow(clippy::too_many_arguments)]
pub fn choose_tiles(
    mut streaming: ResMut<Streaming>,
    city: Res<CityScene>,
    viewed: Res<Viewed>,
    shown_layers: Res<ShownLayers>,
    (below, style, cuts, ahead): (Res<Below>, Res<Style>, Res<Cuts>, Res<Ahead>),
    mut visibility: Query<(&TileEntity, &mut Visibility)>,
    time: Option<Res<Time<Real>>>,
) {
    let streaming = &mut *streaming;
    streaming.frame += 1;
    if streaming.cuts != *cuts {
        streaming.cuts = cuts.clone();
    }
    let Some(view) = viewed.view() else { return };
    let drawing = Drawing { style: *style, is_below: below.0 };
    take_back(streaming);
    let has_ground = city.0.layers.iter().any(|layer| layer.is_ground());
    let options = SelectOptions {
        max_error_px: streaming.max_error_px * streaming.pressure.factor(),
        max_bytes: (streaming.budget as u64) / 3,
        is_progressive: !streaming.is_single_picture,
        detail: streaming.detail,
        ..SelectOptions::default()
    };
    let has_room = streaming.bytes < streaming.budget / 10 * 9;
    let views_ahead: Vec<View> = if streaming.is_single_picture || !has_room {
        Vec::new()
    } else {
        ahead.0.iter().filter_map(|pose| Viewed { pose: *pose, ..*viewed }.view()).collect()
    };
    let now = Instant::now();
    streaming.look_past_hills(&city.0, &view, !drawing.is_glass() && cuts.is_empty(), &shown_layers);
    let mut draw = Vec::new();
    let mut wanted = Vec::new();
    let mut is_complete = true;
    for (index, layer) in city.0.layers.iter().enumerate() {
        let is_covered = layer.is_below_ground() && !drawing.is_glass() && has_ground;
        if is_covered && cuts.is_empty() || !shown_layers.0.get(index).copied().unwrap_or(true) {
            continue;
        }
        let sift = streaming.sift(index);
        if sift.as_ref().is_some_and(|sift| sift.is_hidden) {
            continue;
        }
        let tree = layer.tree.now();
        // What solid ground hides counts as there, and is neither read nor drawn. Storeys apart stand above their boxes.
        let is_behind = |extent: &Extent| sift.is_none() && streaming.hidden.hides(extent);
        let is_open = |tile: TileId| {
            let extent = &tree.tile(tile).extent;
            (!is_covered || cuts.opens(extent)) && !is_behind(extent)
        };
        let ready = |tile: TileId| !is_open(tile) || streaming.is_ready(TileKey { layer: index, tile });
        // Storeys drawn apart stand above the boxes of their tiles: as if the eye stood lower.
        let lift_m = sift.as_ref().map_or(0.0, |sift| sift.lift_m());
        let lowered = |share: f64| {
            let pose = CameraPose { place: viewed.pose.place - glam::DVec3::Z * lift_m * share, ..viewed.pose };
            Viewed { pose, ..*viewed }.view()
        };
        let shares: &[f64] = if lift_m > 0.0 { &[0.25, 0.5, 0.75, 1.0] } else { &[] };
        let views: Vec<_> = std::iter::once(view).chain(shares.iter().filter_map(|share| lowered(*share))).collect();
        // A single picture loads no coarser tile but where a finer one cannot be read.
        let is_failed =
            |tile: TileId| matches!(streaming.tiles.get(&TileKey { layer: index, tile }), Some(TileState::Failed(_)));
        let stands_in = streaming.is_single_picture && layer.source.is_some() && streaming.has_failed(index);
        let ready = |tile: TileId| ready(tile) && !(stands_in && is_failed(tile));
        let options = SelectOptions { is_progressive: options.is_progressive || stands_in, ..options };
        let selection = select(&tree, &views, &options, &ready);
        // What cannot be read now is tried again later; no one waits for it.
        let waits_for_failed = !selection.load.is_empty() && selection.load.iter().all(|(tile, _)| is_failed(*tile));
        is_complete &= selection.is_complete || waits_for_failed;
        draw.extend(selection.draw.iter().filter(|tile| is_open(**tile)).map(|&tile| TileKey { layer: index, tile }));
        let stale = selection.draw.iter().filter(|tile| streaming.is_stale(TileKey { layer: index, tile: **tile }));
        let stale: Vec<_> = stale.map(|tile| (*tile, f64::MAX)).collect();
        let mut asked: HashSet<TileId> = HashSet::new();
        let later = select(&tree, &views_ahead, &options, &ready).load;
        let later = later.into_iter().map(|(tile, urgency)| (tile, urgency + LATER));
        for (tile, urgency) in selection.load.into_iter().chain(stale).chain(later) {
            let key = TileKey { layer: index, tile };
            if streaming.is_wanting(key, now) && asked.insert(tile) {
                let told = (drawing, streaming.detail, sift.clone(), streaming.age);
                wanted.extend(Job::of(layer, tree.tile(tile), key, urgency, told));
            }
        }
    }
    wanted.sort_by(|a, b| b.urgency.total_cmp(&a.urgency).then_with(|| b.key.cmp(&a.key)));
    streaming.is_complete = is_complete && wanted.is_empty() && streaming.loading.is_empty();
    ask(streaming, wanted);
    let clock = time.map_or((0.0, f32::MAX), |time| (time.elapsed_secs_f64(), time.delta_secs()));
    let may_begin = streaming.can_fade && clock.1 < SLOWEST_FADING_FRAME_S;
    let Streaming { hidden, fades, .. } = &mut *streaming;
    let parent = |key: TileKey| {
        let parent = city.0.layers.get(key.layer)?.tree.now().tiles().get(key.tile.index())?.parent?;
        Some(TileKey { tile: parent, ..key })
    };
    let children = |key: TileKey| {
        let tree = city.0.layers.get(key.layer)?.tree.now();
        let children = &tree.tiles().get(key.tile.index())?.children;
        let is_seen = |extent: &Extent| view.is_visible(extent) && !hidden.hides(extent);
        let seen = children.iter().filter(|tile| is_seen(&tree.tile(**tile).extent));
        (!children.is_empty()).then(|| seen.map(|&tile| TileKey { tile, ..key }).collect())
    };
    let draw = fades.step(draw, clock.0, may_begin, parent, children);
    let shown_bytes = show(streaming, draw, drawing, &mut visibility);
    if !streaming.is_single_picture {
        streaming.is_complete &= !streaming.pressure.follow(shown_bytes, streaming.budget, &view);
    }
}

/// Takes back from the queue what no worker has begun: it is asked for anew where it is still wanted.
pub(crate) fn take_back(streaming: &mut Streaming) {
    let mut state = streaming.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
    for job in state.wanted.drain(..) {
        streaming.loading.remove(&job.key);
    }
}

/// Puts what is wanted, the most urgent last, into the queue.
fn ask(streaming: &mut Streaming, wanted: Vec<Job>) {
    if wanted.is_empty() {
        return;
    }
    let mut state = streaming.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
    streaming.loading.extend(wanted.iter().map(|job| job.key));
    state.wanted = wanted;
    drop(state);
    streaming.queue.wake.notify_all();
}

/// Shows what is chosen; gives its bytes.
fn show(
    streaming: &mut Streaming,
    draw: Vec<TileKey>,
    drawing: Drawing,
    visibility: &mut Query<(&TileEntity, &mut Visibility)>,
) -> usize {
    let is_held = streaming.is_single_picture && !streaming.is_complete;
    let chosen: HashSet<TileKey> = draw.iter().copied().chain(streaming.fades.leaving()).collect();
    let frame = streaming.frame;
    let (mut triangles, mut points, mut bytes) = (0, 0, 0);
    for (key, state) in &mut streaming.tiles {
        let TileState::Ready(tile) = state else { continue };
        tile.is_shown = chosen.contains(key) && !is_held;
        if tile.is_shown {
            tile.last_drawn = frame;
            triangles += tile.triangles;
            points += tile.points;
            bytes += tile.bytes;
        }
        for &entity in &tile.entities {
            if let Ok((part, mut visibility)) = visibility.get_mut(entity) {
                let seen =
                    if tile.is_shown && part.kind.is_drawn(drawing) { Visibility::Visible } else { Visibility::Hidden };
                visibility.set_if_neq(seen);
            }
        }
    }
    streaming.shown =
        draw.into_iter().filter(|key| matches!(streaming.tiles.get(key), Some(TileState::Ready(_)))).collect();
    streaming.shown_triangles = triangles;
    streaming.shown_points = points;
    bytes
}

/// Takes over finished tiles and lets go of the longest unseen ones.
#[allow(clippy::too_many_arguments)]
pub fn take_tiles(
    mut streaming: ResMut<Streaming>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut images: ResMut<Assets<Image>>,
    mut materials: ResMut<Materials>,
    mut city_materials: ResMut<Assets<CityMaterial>>,
    (origin, city): (Res<Origin>, Res<CityScene>),
) {
    let streaming = &mut *streaming;
    let limit = if streaming.is_single_picture { usize::MAX } else { UPLOAD_TRIANGLES_A_FRAME };
    let mut uploaded = 0;
    let finished: Vec<_> = {
        let receiver = streaming.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::new();
        while uploaded < limit {
            let Ok(finished) = receiver.try_recv() else { break };
            uploaded += finished.loaded.as_ref().map_or(0, Loaded::cost);
            out.push(finished);
        }
        out
    };
    for Finished { key, detail, sift, age, loaded } in finished {
        // Asked for before another level of detail was wanted, or another version was there.
        if detail != streaming.detail || age != streaming.age {
            continue;
        }
        streaming.loading.remove(&key);
        // Asked for before something else was taken off: it is asked for again.
        if !is_same(&sift, &streaming.sift(key.layer)) {
            continue;
        }
        let grafted = |content: &str, tiles| {
            let layer = city.0.layers.get(key.layer).ok_or("there is no such layer")?;
            layer.tree.graft(key.tile, content, tiles).map_err(|error| error.to_string())
        };
        let loaded = match loaded {
            Ok(Loaded::Tile(loaded)) => Ok(Some(loaded)),
            Ok(Loaded::Tiles(content, tiles)) => grafted(&content, tiles).map(|()| None),
            Err(reason) => Err(reason),
        };
        let loaded = match loaded {
            Ok(Some(loaded)) => loaded,
            // What could not be read a while ago is there now, and is something else.
            Ok(None) => {
                streaming.tiles.remove(&key);
                continue;
            }
            Err(reason) => {
                if let Some(TileState::Ready(before)) = streaming.tiles.remove(&key) {
                    drop_tile(streaming, before, &mut commands);
                }
                streaming.fail(key, reason);
                continue;
            }
        };
        let place = origin.0.render_from_city(loaded.pick.origin);
        let mut entities = Vec::new();
        for (mesh, part) in loaded.meshes.into_iter().enumerate() {
            let material = materials.get(&part.material, part.kind, &mut city_materials, &mut images);
            let entity = spawn_part(&mut commands, &mut meshes, part, material, loaded.pick.origin, place);
            if mesh < loaded.pick.meshes.len() {
                commands.entity(entity).insert(TilePart { key, mesh });
            }
            entities.push(entity);
        }
        streaming.bytes += loaded.bytes;
        let before = streaming.tiles.insert(
            key,
            TileState::Ready(ReadyTile {
                entities,
                pick: Arc::new(loaded.pick),
                triangles: loaded.triangles,
                points: loaded.points,
                bytes: loaded.bytes,
                last_drawn: streaming.frame,
                is_shown: false,
                is_base: city.0.layers.get(key.layer).is_some_and(|layer| layer.is_base(key.tile)),
                has_edges: loaded.has_edges,
                sift,
                is_outdated: false,
            }),
        );
        if let Some(TileState::Ready(before)) = before {
            streaming.swaps += 1;
            drop_tile(streaming, before, &mut commands);
        }
    }
    forget_oldest(streaming, &mut commands, &mut materials);
}

/// Takes a tile that is in the list no more from the renderer.
pub(crate) fn drop_tile(streaming: &mut Streaming, tile: ReadyTile, commands: &mut Commands) {
    streaming.bytes = streaming.bytes.saturating_sub(tile.bytes);
    tile.entities.into_iter().for_each(|entity| commands.entity(entity).despawn());
}

/// Gives one tile a frame its edges, when a drawing that has them is wanted after the tile was loaded.
#[allow(clippy::too_many_arguments)]
pub fn add_edges(
    mut streaming: ResMut<Streaming>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut images: ResMut<Assets<Image>>,
    mut materials: ResMut<Materials>,
    mut city_materials: ResMut<Assets<CityMaterial>>,
    (origin, below, style): (Res<Origin>, Res<Below>, Res<Style>),
) {
    if !(Drawing { style: *style, is_below: below.0 }).has_edges() {
        return;
    }
    let without = |state: &TileState| matches!(state, TileState::Ready(tile) if tile.is_shown && !tile.has_edges);
    let Some(key) = streaming.tiles.iter().find(|(_, state)| without(state)).map(|(key, _)| *key) else { return };
    let Some(TileState::Ready(tile)) = streaming.tiles.get_mut(&key) else { return };
    tile.has_edges = true;
    let place = origin.0.render_from_city(tile.pick.origin);
    for part in edge_meshes(&tile.pick) {
        let material = materials.get(&part.material, part.kind, &mut city_materials, &mut images);
        tile.entities.push(spawn_part(&mut commands, &mut meshes, part, material, tile.pick.origin, place));
    }
}

/// Shows another level of detail: every tile is read again, and stays until it has been.
pub fn change_detail(wanted: Res<Detail>, mut streaming: ResMut<Streaming>) {
    if streaming.detail == wanted.0 {
        return;
    }
    let streaming = &mut *streaming;
    streaming.detail = wanted.0;
    take_back(streaming);
    // What workers are at is thrown away when it comes.
    streaming.loading.clear();
    for state in streaming.tiles.values_mut() {
        if let TileState::Ready(tile) = state {
            tile.is_outdated = true;
        }
    }
    streaming.is_complete = false;
}

#[cfg(test)]
#[path = "stream_test.rs"]
mod tests;
