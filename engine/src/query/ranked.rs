//! Answers by how well names fit, some at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    Hit, Query, Search,
    names::{Match, Part, best, parts_of},
    run::with_ended,
};
use crate::store::{City, HeldRow, HeldRows, Rows, StoreError};

/// Matches that are looked for at first, and at most, at a time.
const FIRST: usize = 1_024;
const MOST: usize = 65_536;
/// Rows that are read at a time.
const ROWS: usize = 1_024;

/// Answers by how well names fit. What is held does not grow with the number of objects that fit: when the best are used up,
/// the next best are looked for.
pub(super) struct Ranked<'a> {
    city: &'a City,
    search: &'a Search,
    parts: Vec<Part>,
    matches: VecDeque<Match>,
    last: Option<Match>,
    /// How many are looked for next; 0 when there are no more.
    most: usize,
    ready: VecDeque<Hit>,
}

impl<'a> Ranked<'a> {
    pub fn new(city: &'a City, query: &Query, search: &'a Search, layers: &[String]) -> Result<Self, StoreError> {
        let parts = parts_of(city, layers, with_ended(query))?;
        let (matches, ready) = (VecDeque::new(), VecDeque::new());
        Ok(Self { city, search, parts, matches, last: None, most: FIRST, ready })
    }

    /// The next object that fits and that `accept` takes.
    pub fn next(
        &mut self,
        accept: &mut dyn FnMut(&Arc<str>, Arc<HeldRow>) -> Result<Option<Hit>, StoreError>,
    ) -> Result<Option<Hit>, StoreError> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Ok(Some(found));
            }
            if self.matches.is_empty() {
                if self.most == 0 {
                    return Ok(None);
                }
                self.matches = best(self.city, &self.parts, self.search, self.last, self.most)?.into();
                self.most = if self.matches.len() < self.most { 0 } else { (self.most * 8).min(MOST) };
                self.last = self.matches.back().copied().or(self.last);
            }
            let batch: Vec<Match> = self.matches.drain(..self.matches.len().min(ROWS)).collect();
            self.read(&batch, accept)?;
        }
    }

    fn read(
        &mut self,
        batch: &[Match],
        accept: &mut dyn FnMut(&Arc<str>, Arc<HeldRow>) -> Result<Option<Hit>, StoreError>,
    ) -> Result<(), StoreError> {
        // (part, row) to the place in the answer.
        let mut places: BTreeMap<u32, BTreeMap<u32, usize>> = BTreeMap::new();
        for (place, found) in batch.iter().enumerate() {
            places.entry(found.part).or_default().insert(found.row, place);
        }
        let mut answers: Vec<Option<Hit>> = vec![None; batch.len()];
        for (number, rows) in places {
            let part = &self.parts[number as usize];
            let numbers: Vec<u32> = rows.keys().copied().collect();
            let reader = HeldRows::open(&part.path, Rows::These(&numbers))?;
            for (row, place) in reader.zip(rows.values()) {
                answers[*place] = accept(&part.layer, row?)?;
            }
        }
        self.ready.extend(answers.into_iter().flatten());
        Ok(())
    }
}
