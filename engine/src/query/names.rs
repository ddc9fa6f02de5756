//! What the objects of a layer are called, in memory as far as there is room.
//!
//! The names of a part are read from its `id` and `name` columns alone, at the first search that comes to it. A name takes its
//! letters, a mask of them that rules out nearly all that do not fit (8 bytes), and 4 bytes for each object that has it; an id
//! its letters without the layer's name and 4 bytes. Parts beyond [`HELD_BYTES`] are read anew by each search.

use std::{
    collections::BinaryHeap,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::search::{Rank, Search, fold, local, mask_of};
use crate::store::{City, StoreError, join_inside, read_texts};

/// Bytes of names that a city holds at the same time.
const HELD_BYTES: usize = 512 << 20;

/// The names of a city's parts, by file.
#[derive(Debug, Default)]
pub(crate) struct Names {
    parts: RwLock<FxHashMap<PathBuf, Arc<PartNames>>>,
    held: AtomicUsize,
}

impl Names {
    fn of(&self, layer: &str, path: &Path) -> Result<Arc<PartNames>, StoreError> {
        if let Some(names) = self.parts.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(names.clone());
        }
        let names = Arc::new(PartNames::read(layer, path)?);
        let held = self.held.fetch_add(names.bytes(), Ordering::Relaxed);
        if held + names.bytes() <= HELD_BYTES {
            self.parts.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_path_buf(), names.clone());
        } else {
            self.held.fetch_sub(names.bytes(), Ordering::Relaxed);
        }
        Ok(names)
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// The names of a part.
#[derive(Debug, Default)]
struct PartNames {
    /// Folded names, each once, and where each ends.
    names: Texts,
    /// Letters of each name.
    masks: Vec<u64>,
    /// Rows of each name end here in `rows`.
    row_ends: Vec<u32>,
    rows: Vec<u32>,
    /// Folded ids without the layer's name, by row.
    ids: Texts,
}

/// Texts one after the other, each with a line break behind it.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    ends: Vec<u32>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    fn get(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..(self.ends[number] as usize).saturating_sub(1)).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }
}

impl PartNames {
    fn read(layer: &str, path: &Path) -> Result<Self, StoreError> {
        let mut part = Self::default();
        let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
        // (name, row)
        let mut named: Vec<(u32, u32)> = Vec::new();
        let mut row = 0u32;
        read_texts(path, &["id", "name"], &mut |texts| {
            if let Some(id) = texts[0] {
                part.ids.push(&fold(local(layer, id)));
            }
            if let Some(name) = texts[1].map(fold).filter(|name| !name.is_empty()) {
                let next = part.masks.len() as u32;
                let number = *numbers.entry(name).or_insert_with_key(|name| {
                    part.names.push(name);
                    part.masks.push(mask_of(name));
                    next
                });
                named.push((number, row));
            }
            row += 1;
            true
        })?;
        named.sort_unstable();
        part.rows = named.iter().map(|(_, row)| *row).collect();
        part.row_ends = vec![0; part.masks.len()];
        named.iter().for_each(|(number, _)| part.row_ends[*number as usize] += 1);
        let mut sum = 0;
        for end in &mut part.row_ends {
            sum += *end;
            *end = sum;
        }
        for texts in [&mut part.names, &mut part.ids] {
            texts.text.shrink_to_fit();
            texts.ends.shrink_to_fit();
        }
        part.masks.shrink_to_fit();
        Ok(part)
    }

    fn bytes(&self) -> usize {
        let lists = self.masks.capacity() * 8 + (self.row_ends.capacity() + self.rows.capacity()) * 4;
        self.names.bytes() + self.ids.bytes() + lists
    }

    /// Rows that fit; one may come twice, by its name and by its id.
    fn each(&self, search: &Search, layer: &str, found: &mut dyn FnMut(Rank, u32)) {
        for (number, mask) in self.masks.iter().enumerate() {
            if mask & search.mask() != search.mask() {
                continue;
            }
            let Some(rank) = search.rank(self.names.get(number)) else { continue };
            let start = number.checked_sub(1).map_or(0, |before| self.row_ends[before] as usize);
            self.rows[start..self.row_ends[number] as usize].iter().for_each(|row| found(rank, *row));
        }
        let wanted = search.within_layer(layer).unwrap_or_else(|| search.longest_word());
        let mut last = None;
        for at in memchr::memmem::find_iter(self.ids.text.as_bytes(), wanted.as_bytes()) {
            let row = self.ids.ends.partition_point(|end| *end as usize <= at);
            if last.replace(row) != Some(row)
                && let Some(rank) = search.rank_of_id(layer, self.ids.get(row))
            {
                found(rank, row as u32);
            }
        }
    }
}

/// A row that fits: the best comes first, then the order of layers and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    rank: Rank,
    pub part: u32,
    pub row: u32,
}

/// A file of a layer.
pub(super) struct Part {
    pub layer: Arc<str>,
    pub path: PathBuf,
}

/// The files of the layers, of ended states too when they are wanted.
pub(super) fn parts_of(city: &City, layers: &[String], with_ended: bool) -> Result<Vec<Part>, StoreError> {
    let mut parts = Vec::new();
    for name in layers {
        let layer = city.layer(name).ok_or_else(|| StoreError::NoLayer(name.clone()))?;
        let ended = layer.ended_files.iter().filter(|_| with_ended);
        for file in layer.object_files.iter().chain(ended) {
            parts.push(Part { layer: name.as_str().into(), path: join_inside(city.folder(), file)? });
        }
    }
    Ok(parts)
}

/// The best `most` rows behind `after`, best first.
pub(super) fn best(
    city: &City,
    parts: &[Part],
    search: &Search,
    after: Option<Match>,
    most: usize,
) -> Result<Vec<Match>, StoreError> {
    let of_part = |(number, part): (usize, &Part)| -> Result<BinaryHeap<Match>, StoreError> {
        let names = city.names().of(&part.layer, &part.path)?;
        let mut kept = BinaryHeap::new();
        let mut rows: FxHashMap<u32, Rank> = FxHashMap::default();
        names.each(search, &fold(&part.layer), &mut |rank, row| {
            rows.entry(row).and_modify(|known| *known = rank.min(*known)).or_insert(rank);
        });
        for (row, rank) in rows {
            let found = Match { rank, part: number as u32, row };
            if after.is_none_or(|after| found > after) {
                keep(&mut kept, found, most);
            }
        }
        Ok(kept)
    };
    let all = parts.par_iter().enumerate().map(of_part).try_reduce(BinaryHeap::new, |mut a, b| {
        b.into_iter().for_each(|found| keep(&mut a, found, most));
        Ok(a)
    })?;
    Ok(all.into_sorted_vec())
}

/// Keeps the least `most`.
fn keep(kept: &mut BinaryHeap<Match>, found: Match, most: usize) {
    if kept.len() < most {
        kept.push(found);
    } else if let Some(mut worst) = kept.peek_mut().filter(|worst| **worst > found) {
        *worst = found;
    }
}
