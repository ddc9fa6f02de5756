//! Tiles of everything that is neither terrain nor scan.
//!
//! Objects are written to a [`Spill`] as they come, and an index of a few dozen bytes each to another.
//! At the end the index alone is read back and sorted along a Z-curve, which makes every square of the quadtree a range of it.
//! A leaf draws its objects in full. A tile above draws the largest of the objects under it, simplified,
//! as many as its budget allows; its geometric error says how large the largest is that it leaves out.
//! Where a tile can hold everything under it, simplified, its children are the leaves.
//!
//! A checkpoint puts the objects and the index on the disk; tiles that are drawn are written down in the [`Journal`].
//!
//! [`Journal`]: super::Journal

use std::{
    ops::Range,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use glam::{DVec2, DVec3};
use serde::{Deserialize, Serialize};

use super::{
    Ground, LayerTiles, Refine, Surroundings, TileError, TileNode, TilesetBuilder,
    album::{self, Album},
    shape::{self, Detail, Dice, Scene, Sketch},
    spill::{Place, Spill},
};
use crate::model::{CityObject, Extent, Geometry};

/// What a leaf may hold, in buildings.
const LEAF_WEIGHT: f64 = 400.0;
/// What a tile above may hold, in buildings drawn in full.
const FAR_WEIGHT: f64 = 1600.0;
/// Squares are not split below this side, metres.
const LEAST_SIDE_M: f64 = 8.0;
/// Levels of the quadtree at most: two bits each of the 48-bit place on the curve.
const MOST_LEVELS: u32 = 24;
/// Coordinates beyond this are no place in a city, metres.
const FARTHEST_M: f64 = 1e9;
/// An object of s metres left out is an error of this many times s: whoever tolerates 16 pixels misses 8.
const LEFT_OUT_ERROR: f64 = 2.0;

/// Objects that could not be drawn.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Undrawn {
    /// The first of them: id and reason.
    pub listed: Vec<(String, String)>,
    /// How many.
    pub total: u64,
    /// Surfaces whose picture cannot be shown.
    pub plain_surfaces: u64,
}

impl Undrawn {
    fn add(&mut self, id: &str, reason: &str) {
        self.total += 1;
        if self.listed.len() < LayerTiles::UNDRAWN_LISTED {
            self.listed.push((id.into(), reason.into()));
        }
    }

    fn merge(&mut self, other: Undrawn) {
        self.total += other.total;
        self.plain_surfaces += other.plain_surfaces;
        let free = LayerTiles::UNDRAWN_LISTED - self.listed.len();
        self.listed.extend(other.listed.into_iter().take(free));
    }
}

/// An object in the index.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// Place on the Z-curve, once known.
    #[serde(skip)]
    curve: u64,
    /// Decides among equals, whatever the order of arrival.
    key: u64,
    /// Where the record lies.
    offset: u64,
    length: u32,
    centre: DVec3,
    size_m: f32,
    weight: f32,
    far_weight: f32,
}

impl Entry {
    fn place(&self) -> Place {
        Place::new(self.offset, self.length)
    }
}

/// Collects the solid objects of one layer.
pub struct SolidTiler {
    spill: Spill,
    album: Album,
    /// Entries that come to the index next.
    entries: Vec<Entry>,
    undrawn: Undrawn,
    index: Spill,
    /// Bytes and entries of the index.
    index_bytes: u64,
    indexed: usize,
}

/// What another process needs to know to go on with a [`SolidTiler`].
#[derive(Serialize, Deserialize)]
pub struct State {
    objects: u64,
    index: u64,
    indexed: usize,
    album: album::State,
    undrawn: Undrawn,
}

/// Names of the files.
const OBJECTS: &str = "solids";
const INDEX: &str = "index";
/// Entries that are written to the index together, and the length that stands before them.
const INDEXED_TOGETHER: usize = 4096;
const BLOCK_HEAD: u64 = 8;

impl SolidTiler {
    /// A tiler; what does not fit in memory goes to files in `spill`.
    pub fn new(spill: &Path) -> Result<Self, TileError> {
        Ok(Self {
            spill: Spill::new(spill, OBJECTS),
            album: Album::new(spill),
            entries: Vec::new(),
            undrawn: Undrawn::default(),
            index: Spill::new(spill, INDEX),
            index_bytes: 0,
            indexed: 0,
        })
    }

    /// Moves the entries to the index.
    fn index(&mut self) -> Result<(), TileError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let mut block = postcard::to_extend(&self.entries, vec![0; BLOCK_HEAD as usize])
            .map_err(|e| TileError::Spill(e.to_string()))?;
        let length = block.len() as u64 - BLOCK_HEAD;
        block[..BLOCK_HEAD as usize].copy_from_slice(&length.to_le_bytes());
        self.index.write(&block)?;
        self.index_bytes += block.len() as u64;
        self.indexed += self.entries.len();
        self.entries.clear();
        Ok(())
    }

    /// Reads the whole index back.
    fn read_index(&mut self) -> Result<(), TileError> {
        self.index()?;
        let damaged = || TileError::Spill("the index of objects is damaged".into());
        // Exactly as much memory as it takes, since this is the largest piece of all.
        let mut entries = Vec::new();
        entries.try_reserve_exact(self.indexed).map_err(|e| TileError::Spill(e.to_string()))?;
        let mut at = 0;
        while at < self.index_bytes {
            let length = self.index.read(Place::new(at, BLOCK_HEAD as u32))?;
            let length = u64::from_le_bytes(length.try_into().map_err(|_| damaged())?);
            let within = u32::try_from(length).ok().filter(|n| at + BLOCK_HEAD + u64::from(*n) <= self.index_bytes);
            let block = self.index.read(Place::new(at + BLOCK_HEAD, within.ok_or_else(damaged)?))?;
            let block: Vec<Entry> = postcard::from_bytes(&block).map_err(|_| damaged())?;
            entries.extend(block);
            at += BLOCK_HEAD + length;
        }
        if entries.len() != self.indexed {
            return Err(damaged());
        }
        self.entries = entries;
        Ok(())
    }

    /// Puts objects and index on the disk.
    pub fn checkpoint(&mut self) -> Result<State, TileError> {
        self.index()?;
        Ok(State {
            objects: self.spill.checkpoint()?,
            index: self.index.checkpoint()?,
            indexed: self.indexed,
            album: self.album.checkpoint()?,
            undrawn: self.undrawn.clone(),
        })
    }

    /// The tiler that had this `state` in a process before this one.
    pub fn restore(spill: &Path, state: State) -> Result<Self, TileError> {
        let io = |source| TileError::Io { path: spill.into(), source };
        Ok(Self {
            spill: Spill::restore(spill, OBJECTS, state.objects).map_err(io)?,
            album: Album::restore(spill, state.album).map_err(io)?,
            entries: Vec::new(),
            undrawn: state.undrawn,
            index: Spill::restore(spill, INDEX, state.index).map_err(io)?,
            index_bytes: state.index,
            indexed: state.indexed,
        })
    }

    /// A name for everything that it holds, in the order in which it is drawn.
    fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut block = Vec::with_capacity(28 * INDEXED_TOGETHER);
        for entries in self.entries.chunks(INDEXED_TOGETHER) {
            block.clear();
            for entry in entries {
                block.extend_from_slice(&entry.curve.to_le_bytes());
                block.extend_from_slice(&entry.key.to_le_bytes());
                block.extend_from_slice(&entry.place().to_bytes());
            }
            hasher.update(&block);
        }
        hasher.finalize().to_hex()[..16].to_string()
    }

    /// Takes one object.
    pub fn push(&mut self, object: &CityObject) -> Result<(), TileError> {
        let geometry = &object.geometry;
        if !is_finite(geometry) {
            self.undrawn.add(object.id.as_str(), "coordinates are not finite or not within the city's frame");
            return Ok(());
        }
        let extent = geometry.extent();
        if extent.is_empty() {
            self.undrawn.add(object.id.as_str(), "a shape without vertices");
            return Ok(());
        }
        if let Geometry::Mesh(mesh) = geometry {
            for texture in mesh.parts.iter().filter_map(|part| part.texture.as_ref()) {
                self.album.keep(texture)?;
            }
        }
        let record = postcard::to_allocvec(&Sketch::of(object)).map_err(|e| TileError::Spill(e.to_string()))?;
        let (offset, length) = self.spill.write(&record)?.parts();
        let (weight, far_weight) = shape::weights(geometry);
        self.entries.push(Entry {
            curve: 0,
            key: Dice::of(object.id.as_str()).number(),
            offset,
            length,
            centre: extent.centre(),
            size_m: shape::size_m(geometry) as f32,
            weight: weight as f32,
            far_weight: far_weight as f32,
        });
        if self.entries.len() >= INDEXED_TOGETHER { self.index() } else { Ok(()) }
    }

    /// Writes the tiles.
    pub fn finish(mut self, around: &Surroundings<'_>, tileset: &mut TilesetBuilder<'_>) -> Result<Undrawn, TileError> {
        let mut undrawn = std::mem::take(&mut self.undrawn);
        self.read_index()?;
        if self.entries.is_empty() {
            return Ok(undrawn);
        }
        let side = self.sort_along_curve();
        let mut plans = Vec::new();
        let root = plan(&self.entries, 0..self.entries.len(), 0, side, &mut plans);
        let drawn = self.draw_all(&plans, around.ground, tileset)?;
        let mut nodes: Vec<Option<TileNode>> = Vec::new();
        for drawn in drawn {
            undrawn.merge(drawn.undrawn);
            nodes.push(Some(drawn.node));
        }
        tileset.add_root(assemble(root, &plans, &mut nodes));
        Ok(undrawn)
    }

    /// Sorts the index and returns the side of the square that holds all centres.
    fn sort_along_curve(&mut self) -> f64 {
        let all = Extent::around(self.entries.iter().map(|e| e.centre));
        let (low, size) = (all.min.truncate(), all.size());
        let side = size.x.max(size.y).max(1.0) * (1.0 + 1e-9);
        let cells = f64::from(1u32 << MOST_LEVELS);
        for entry in &mut self.entries {
            let cell = ((entry.centre.truncate() - low) / side * cells).clamp(DVec2::ZERO, DVec2::splat(cells - 1.0));
            entry.curve = spread(cell.x as u64) | spread(cell.y as u64) << 1;
        }
        self.entries.sort_unstable_by_key(|e| (e.curve, e.key, e.offset));
        side
    }

    /// Draws every planned tile, on as many threads as there are cores, and writes its content.
    fn draw_all(&self, plans: &[Plan], ground: &Ground, tileset: &TilesetBuilder<'_>) -> Result<Vec<Drawn>, TileError> {
        let (next, all) = (AtomicUsize::new(0), self.fingerprint());
        let done: Mutex<Vec<Option<Result<Drawn, TileError>>>> = Mutex::new(plans.iter().map(|_| None).collect());
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(16).min(plans.len());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(plan) = plans.get(index) else { break };
                let name = format!("solid/{all}/{index}");
                let drawn = match tileset.journal().get::<Drawn>(&name).filter(|made| tileset.adopt(&made.node)) {
                    Some(made) => Ok(made),
                    None => {
                        let drawn = self.draw(plan, ground, tileset);
                        drawn.inspect(|made| tileset.journal().put(&name, made))
                    }
                };
                let is_error = drawn.is_err();
                done.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(drawn);
                if is_error {
                    // The disk is full or the like: the others need not try.
                    next.store(plans.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let results: Vec<_> = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut drawn = Vec::with_capacity(plans.len());
        for result in results.into_iter().flatten() {
            drawn.push(result?);
        }
        if drawn.len() < plans.len() {
            return Err(TileError::Spill("a tile was not drawn".into()));
        }
        Ok(drawn)
    }

    fn draw(&self, plan: &Plan, ground: &Ground, tileset: &TilesetBuilder<'_>) -> Result<Drawn, TileError> {
        let mut sketches = Vec::with_capacity(plan.picks.len());
        for pick in &plan.picks {
            let entry = &self.entries[*pick];
            let record = self.spill.read(entry.place())?;
            let sketch: Sketch = postcard::from_bytes(&record).map_err(|e| TileError::Spill(e.to_string()))?;
            sketches.push((sketch, entry.place()));
        }
        sketches.sort_by(|a, b| (&a.0.id, a.1).cmp(&(&b.0.id, b.1)));
        let centres = Extent::around(plan.picks.iter().map(|pick| self.entries[*pick].centre));
        let middle = centres.centre().truncate();
        let z = if ground.is_empty() { centres.centre().z } else { ground.height_at(middle).unwrap_or(0.0) };
        // Whole metres: the same origin whatever the last bits of the sum were.
        let mut scene = Scene::with_album(middle.extend(z).round(), &self.album);
        let mut undrawn = Undrawn::default();
        let mut error_m: f64 = f64::from(plan.left_out_m) * LEFT_OUT_ERROR;
        for (sketch, _) in &sketches {
            match shape::draw(&mut scene, sketch, ground, plan.detail) {
                Ok(deviation_m) if plan.detail != Detail::Full => error_m = error_m.max(deviation_m),
                Ok(_) => {}
                // Tiles above hold the same objects again: each is counted where it is drawn in full.
                Err(reason) if plan.detail == Detail::Full => undrawn.add(&sketch.id, reason),
                Err(_) => {}
            }
        }
        let (origin, extent) = (scene.origin(), scene.extent());
        let content = match scene.is_empty() {
            true => None,
            false => {
                let (content, plain) = scene.into_content_counted();
                undrawn.plain_surfaces += if plan.detail == Detail::Full { plain } else { 0 };
                Some(tileset.write_content(&content)?)
            }
        };
        let node = TileNode {
            extent,
            geometric_error_m: error_m,
            content,
            origin,
            refine: Refine::Replace,
            children: Vec::new(),
        };
        Ok(Drawn { node, undrawn })
    }
}

#[derive(Serialize, Deserialize)]
struct Drawn {
    node: TileNode,
    undrawn: Undrawn,
}

/// A tile before it is drawn.
struct Plan {
    picks: Vec<usize>,
    detail: Detail,
    left_out_m: f32,
    children: Vec<usize>,
}

/// Plans the square that holds `range` of the sorted index; returns its place in `plans`.
fn plan(entries: &[Entry], range: Range<usize>, level: u32, side: f64, plans: &mut Vec<Plan>) -> usize {
    let objects = &entries[range.clone()];
    let weight: f64 = objects.iter().map(|e| f64::from(e.weight)).sum();
    if weight <= LEAF_WEIGHT || level >= MOST_LEVELS || side < LEAST_SIDE_M || objects.len() == 1 {
        plans.push(Plan { picks: range.collect(), detail: Detail::Full, left_out_m: 0.0, children: Vec::new() });
        return plans.len() - 1;
    }
    let quarters = split(entries, range.clone(), level);
    if let [only] = quarters.as_slice() {
        return plan(entries, only.clone(), level + 1, side * 0.5, plans);
    }
    let detail = Detail::Far { tolerance_m: (side / 1000.0).clamp(0.5, 10.0) };
    let far_weight: f64 = objects.iter().map(|e| f64::from(e.far_weight)).sum();
    if far_weight <= FAR_WEIGHT {
        let mut children = Vec::new();
        for quarter in quarters {
            plan_leaves(entries, quarter, level + 1, side * 0.5, plans, &mut children);
        }
        plans.push(Plan { picks: range.collect(), detail, left_out_m: 0.0, children });
        return plans.len() - 1;
    }
    let children = quarters.into_iter().map(|quarter| plan(entries, quarter, level + 1, side * 0.5, plans)).collect();
    let (picks, left_out_m) = largest(entries, range);
    plans.push(Plan { picks, detail, left_out_m, children });
    plans.len() - 1
}

fn plan_leaves(
    entries: &[Entry],
    range: Range<usize>,
    level: u32,
    side: f64,
    plans: &mut Vec<Plan>,
    leaves: &mut Vec<usize>,
) {
    let weight: f64 = entries[range.clone()].iter().map(|e| f64::from(e.weight)).sum();
    if weight <= LEAF_WEIGHT || level >= MOST_LEVELS || side < LEAST_SIDE_M || range.len() == 1 {
        plans.push(Plan { picks: range.collect(), detail: Detail::Full, left_out_m: 0.0, children: Vec::new() });
        leaves.push(plans.len() - 1);
        return;
    }
    for quarter in split(entries, range, level) {
        plan_leaves(entries, quarter, level + 1, side * 0.5, plans, leaves);
    }
}

/// The ranges of the quarters that hold anything.
fn split(entries: &[Entry], range: Range<usize>, level: u32) -> Vec<Range<usize>> {
    let shift = 2 * (MOST_LEVELS - 1 - level);
    let mut quarters = Vec::with_capacity(4);
    let mut start = range.start;
    while start < range.end {
        let quarter = entries[start].curve >> shift;
        let length = entries[start..range.end].partition_point(|e| e.curve >> shift == quarter);
        quarters.push(start..start + length);
        start += length;
    }
    quarters
}

/// The largest objects that fit the budget, and the size of the largest that does not.
fn largest(entries: &[Entry], range: Range<usize>) -> (Vec<usize>, f32) {
    let mut order: Vec<usize> = range.collect();
    order.sort_unstable_by(|a, b| {
        let (a, b) = (&entries[*a], &entries[*b]);
        b.size_m.total_cmp(&a.size_m).then(a.key.cmp(&b.key)).then(a.offset.cmp(&b.offset))
    });
    let mut budget = FAR_WEIGHT;
    let kept = order
        .iter()
        .take_while(|i| {
            budget -= f64::from(entries[**i].far_weight);
            budget >= 0.0
        })
        .count()
        .max(1);
    let left_out_m = order.get(kept).map_or(0.0, |i| entries[*i].size_m);
    order.truncate(kept);
    (order, left_out_m)
}

/// Puts the drawn tiles together as the tree that was planned.
fn assemble(root: usize, plans: &[Plan], nodes: &mut [Option<TileNode>]) -> TileNode {
    let children = plans[root].children.iter().map(|child| assemble(*child, plans, nodes)).collect();
    TileNode { children, ..nodes[root].take().unwrap_or_default() }
}

/// Spreads the bits of a number so that another's fit between them.
fn spread(value: u64) -> u64 {
    let mut v = value & 0xffff_ffff;
    v = (v | v << 16) & 0x0000_ffff_0000_ffff;
    v = (v | v << 8) & 0x00ff_00ff_00ff_00ff;
    v = (v | v << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    v = (v | v << 2) & 0x3333_3333_3333_3333;
    (v | v << 1) & 0x5555_5555_5555_5555
}

/// Whether every number of the shape is one, and every place lies in reach.
fn is_finite(geometry: &Geometry) -> bool {
    let near = |v: &DVec3| v.abs().max_element() <= FARTHEST_M && !v.is_nan();
    let measure = |m: f64| (0.0..=FARTHEST_M).contains(&m);
    let polygon = |p: &crate::model::Polygon| p.outer.iter().all(near) && p.holes.iter().flatten().all(near);
    match geometry {
        Geometry::Point(point) => near(&point.at),
        Geometry::Line(line) => line.paths.iter().flatten().all(near) && measure(line.width_m),
        Geometry::Area(area) => area.polygons.iter().all(polygon),
        Geometry::Block(block) => {
            block.footprint.iter().all(polygon)
                && block.base_m.is_none_or(|b| b.abs() <= FARTHEST_M)
                && block.height_m.abs() <= FARTHEST_M
                && measure(block.lift_m)
        }
        Geometry::Tube(tube) => {
            tube.axis.iter().all(near) && measure(tube.section.size_m()) && measure(tube.section.height_m())
        }
        Geometry::Shaft(shaft) => near(&shaft.top) && measure(shaft.depth_m) && measure(shaft.diameter_m),
        Geometry::Instance(instance) => {
            near(&instance.at) && measure(instance.height_m) && measure(instance.width_m) && instance.yaw.is_finite()
        }
        Geometry::Mesh(mesh) => near(&mesh.origin) && mesh.parts.iter().all(|p| p.positions.iter().all(near)),
        Geometry::None | Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_) => true,
    }
}

#[cfg(test)]
#[path = "solid_test.rs"]
mod tests;
