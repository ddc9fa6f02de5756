//! Which tile draws which objects: a pure function of what the objects cost and how large they are.

use std::{borrow::Borrow, ops::Range};

use serde::{Deserialize, Serialize};

use super::mass::{Bulk, Mass, Masses};
use crate::{
    model::{CityObject, Geometry},
    tile::{
        Square, hilbert,
        shape::{self, Detail, Dice},
        tileset::Note,
    },
};
use glam::DVec3;

/// What is one in the integers that count what drawing costs: a plain building. Integers, so that sums do not depend on an order.
const ONE: f64 = 1024.0;
/// What a leaf may hold: 400 buildings.
pub const LEAF_WEIGHT: u64 = 400 * ONE as u64;
/// What a tile above may hold: 1600 buildings drawn in full.
pub const FAR_WEIGHT: u64 = 1600 * ONE as u64;
/// Squares are not split below this side, metres.
const LEAST_SIDE_M: f64 = 8.0;

/// What must be known of an object to plan tiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// Place on the curve.
    pub curve: u64,
    /// Decides among equals, whatever the order of arrival.
    pub key: u64,
    pub centre: DVec3,
    pub size_m: f32,
    pub weight: u32,
    pub far_weight: u32,
    pub bulk: Bulk,
}

impl Weighed {
    /// Of an object with a shape.
    pub fn of(object: &CityObject) -> Self {
        let geometry: &Geometry = &object.geometry;
        let centre = geometry.extent().centre();
        let (weight, far_weight) = shape::weights(geometry);
        let whole = |weight: f64| (weight * ONE).round() as u32;
        Self {
            curve: hilbert(centre.truncate()),
            key: Dice::of(object.id.as_str()).number(),
            centre,
            size_m: shape::size_m(geometry) as f32,
            weight: whole(weight),
            far_weight: whole(far_weight),
            bulk: Bulk::of(object),
        }
    }

    /// The larger first.
    fn by_size(&self, other: &Self) -> std::cmp::Ordering {
        other.size_m.total_cmp(&self.size_m).then(self.key.cmp(&other.key)).then(self.curve.cmp(&other.curve))
    }
}

/// A tile before it is drawn.
pub struct Plan {
    pub picks: Vec<usize>,
    pub detail: Detail,
    /// What is noted of its square; without the file of picks.
    pub note: Note,
    /// Where there is more under it than it draws: what is left out, merged, as it lies in a file.
    pub masses: Option<Vec<u8>>,
    pub children: Vec<usize>,
}

/// How much there is of objects.
pub fn note_of<'a>(objects: impl Iterator<Item = &'a Weighed> + Clone) -> Note {
    let (first, last) = (objects.clone().map(|o| o.curve).min(), objects.clone().map(|o| o.curve).max());
    let square = Square::around(first.unwrap_or(0), last.unwrap_or(0));
    let mut note = Note { level: square.level, curve: *square.keys().start(), ..Note::default() };
    for object in objects {
        note.count += 1;
        note.weight += u64::from(object.weight);
        note.far_weight += u64::from(object.far_weight);
    }
    note
}

/// Whether a tile draws all of its square in full.
pub fn is_leaf(note: &Note) -> bool {
    note.weight <= LEAF_WEIGHT || side_m(note) < LEAST_SIDE_M || note.count == 1
}

/// Whether a tile draws all of its square, simplified, if it is no leaf.
pub fn is_complete(note: &Note) -> bool {
    note.far_weight <= FAR_WEIGHT
}

fn side_m(note: &Note) -> f64 {
    Square { level: note.level, key: note.curve }.side_m()
}

/// How a tile above draws what is in its square: where whoever looks tolerates 16 pixels, what it leaves out is eight of them large
/// and outlines move by one.
pub fn far_detail(note: &Note) -> Detail {
    Detail::Far { tolerance_m: (f64::from(note.left_out_m) / 8.0).clamp(0.5, 10.0) }
}

/// The plans of the tiles over objects that are sorted along the curve, and the place of the first tile among them.
pub fn plan<T: Borrow<Weighed>>(objects: &[T]) -> (Vec<Plan>, usize) {
    let mut planner = Planner { objects, plans: Vec::new() };
    let root = planner.plan(0..objects.len());
    (planner.plans, root)
}

struct Planner<'a, T> {
    objects: &'a [T],
    plans: Vec<Plan>,
}

impl<T: Borrow<Weighed>> Planner<'_, T> {
    fn plan(&mut self, range: Range<usize>) -> usize {
        let note = note_of(self.objects[range.clone()].iter().map(Borrow::borrow));
        if is_leaf(&note) {
            return self.push(range.collect(), Detail::Full, note, Vec::new());
        }
        let quarters = self.quarters(range.clone(), &note);
        if is_complete(&note) {
            let mut children = Vec::new();
            for quarter in quarters {
                self.plan_leaves(quarter, &mut children);
            }
            return self.push(range.collect(), far_detail(&note), note, children);
        }
        let children: Vec<usize> = quarters.into_iter().map(|quarter| self.plan(quarter)).collect();
        // What is not among the largest of a quarter is not among the largest of all.
        let below = children.iter().map(|child| &self.plans[*child]);
        let known_m = below.clone().map(|plan| plan.note.left_out_m).fold(0.0, f32::max);
        let merged = below.clone().filter_map(|plan| plan.masses.as_deref());
        let merged = merged.flat_map(|bytes| Masses::from_bytes(bytes).all).collect();
        let candidates = below.flat_map(|plan| &plan.picks).copied().collect();
        let largest = largest(candidates, |i| *self.objects[*i].borrow());
        let masses = left_out(merged, largest.left.iter().map(|i| self.objects[*i].borrow()));
        let note = Note { left_out_m: largest.left_out_m.max(known_m), ..note };
        let number = self.push(largest.kept, far_detail(&note), note, children);
        self.plans[number].masses = Some(masses.to_bytes());
        number
    }

    fn plan_leaves(&mut self, range: Range<usize>, leaves: &mut Vec<usize>) {
        let note = note_of(self.objects[range.clone()].iter().map(Borrow::borrow));
        if is_leaf(&note) {
            leaves.push(self.push(range.collect(), Detail::Full, note, Vec::new()));
            return;
        }
        for quarter in self.quarters(range, &note) {
            self.plan_leaves(quarter, leaves);
        }
    }

    fn push(&mut self, picks: Vec<usize>, detail: Detail, note: Note, children: Vec<usize>) -> usize {
        self.plans.push(Plan { picks, detail, note, masses: None, children });
        self.plans.len() - 1
    }

    /// The ranges of the quarters that hold anything.
    fn quarters(&self, range: Range<usize>, note: &Note) -> Vec<Range<usize>> {
        let mut ranges = Vec::with_capacity(4);
        let mut start = range.start;
        for quarter in (Square { level: note.level, key: note.curve }).quarters() {
            let end = *quarter.keys().end();
            let length = self.objects[start..range.end].partition_point(|o| o.borrow().curve <= end);
            if length > 0 {
                ranges.push(start..start + length);
            }
            start += length;
        }
        ranges
    }
}

/// The largest objects that fit the budget, and the others.
pub struct Largest<T> {
    pub kept: Vec<T>,
    pub left: Vec<T>,
    /// Size of the largest of those that are left out.
    pub left_out_m: f32,
}

/// What a tile leaves out: what the tiles below it do, in the order of their squares, and what it leaves out of what they draw.
pub fn left_out<'a>(below: Vec<Mass>, left: impl Iterator<Item = &'a Weighed>) -> Masses {
    let mut all = below;
    all.extend(left.filter_map(|object| object.bulk.at(object.centre)));
    Masses::merged(&all)
}

/// The largest objects that fit the budget.
pub fn largest<T>(mut candidates: Vec<T>, weighed: impl Fn(&T) -> Weighed) -> Largest<T> {
    candidates.sort_unstable_by(|a, b| weighed(a).by_size(&weighed(b)));
    let mut left = FAR_WEIGHT;
    let fits = |object: &&T| match left.checked_sub(u64::from(weighed(object).far_weight)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let kept = candidates.iter().take_while(fits).count().max(1).min(candidates.len());
    let left = candidates.split_off(kept);
    let left_out_m = left.first().map_or(0.0, |object| weighed(object).size_m);
    Largest { kept: candidates, left, left_out_m }
}
