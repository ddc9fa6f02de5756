//! From when to when a state of an object was valid (有效期): what an import changes in the periods of a layer.
//!
//! A layer's file holds what is there now. When a source is imported again, an object that is not in it any more is
//! ended: its row goes to a file of ended states beside it, with the time of the import as its end. Of an object that
//! changed, the old state is ended and the new one begins. One that comes back begins anew; its earlier period stays.
//! Objects of a first import have no beginning unless their source says one: since when they exist is not known.
//!
//! Grids and pictures of the ground have no periods: earlier ones are in the earlier versions.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::{
    StoreError, ids,
    manifest::LayerRecord,
    objects::ObjectsWriter,
    read::{RowReader, Rows},
    row::Row,
    shape::Kind,
};
use crate::model::Changes;

/// The states that a layer held before the import, to be compared with those that come.
pub(super) struct Periods {
    files: Vec<(PathBuf, u32)>,
    /// (hash of the id, hash of the state, row), sorted.
    old: Vec<(u64, u64, u32)>,
    /// Beginnings by row, of the few that have one.
    from: FxHashMap<u32, i64>,
    /// By row: whether the state is there still.
    is_there: Vec<bool>,
    /// Whether a source that was in the layer is read again, so that what it holds besides is new in the city.
    replaces: bool,
    time_ms: i64,
    pub changes: Changes,
}

fn has_no_period(kind: Kind) -> bool {
    matches!(kind, Kind::Heights | Kind::Picture)
}

impl Periods {
    /// The states of `record` in the city `folder`; the import happens at `time_ms`.
    pub fn read(folder: &Path, record: &LayerRecord, replaces: bool, time_ms: i64) -> Result<Self, StoreError> {
        let mut periods = Self {
            files: Vec::new(),
            old: Vec::new(),
            from: FxHashMap::default(),
            is_there: Vec::new(),
            replaces,
            time_ms,
            changes: Changes::default(),
        };
        for path in record.sound_parts(folder) {
            let path = path?;
            periods.files.push((path.clone(), periods.is_there.len() as u32));
            for row in RowReader::open(&path, Rows::All)? {
                let row = row?;
                let number = periods.is_there.len() as u32;
                periods.old.push((ids::hash_of(&row.id), row.state(), number));
                periods.is_there.push(has_no_period(row.kind));
                if let Some(from) = row.valid_from {
                    periods.from.insert(number, from);
                }
            }
        }
        periods.old.sort_unstable();
        Ok(periods)
    }

    /// Gives a row that comes its period.
    pub fn date(&mut self, row: &mut Row) {
        if has_no_period(row.kind) {
            return;
        }
        let (id, state) = (ids::hash_of(&row.id), row.state());
        let at = self.old.partition_point(|old| (old.0, old.1) < (id, state));
        let mut is_same = false;
        for (_, _, number) in self.old[at..].iter().take_while(|old| (old.0, old.1) == (id, state)) {
            self.is_there[*number as usize] = true;
            row.valid_from = self.from.get(number).copied();
            is_same = true;
        }
        if is_same {
            self.changes.same += 1;
            return;
        }
        let by_id = self.old.partition_point(|old| old.0 < id);
        if self.old.get(by_id).is_some_and(|old| old.0 == id) {
            self.changes.changed += 1;
            row.valid_from = Some(row.valid_from.map_or(self.time_ms, |own| own.max(self.time_ms)));
        } else {
            self.changes.added += 1;
            if self.replaces {
                row.valid_from.get_or_insert(self.time_ms);
            }
        }
    }

    /// Writes the states that ended to `path`; `Ok(0)` and no file when there are none.
    pub fn write_ended(&mut self, path: &Path, crs: &serde_json::Value) -> Result<u64, StoreError> {
        let ended = self.is_there.iter().filter(|there| !**there).count() as u64;
        // One state ended for each that changed; ids that stand twice make this a lower bound, never less than none.
        self.changes.ended = ended.saturating_sub(self.changes.changed);
        if ended == 0 {
            return Ok(0);
        }
        let mut writer = ObjectsWriter::new(path, crs.clone())?;
        for (number, (file, first)) in self.files.iter().enumerate() {
            let end = self.files.get(number + 1).map_or(self.is_there.len(), |(_, next)| *next as usize);
            let rows = (*first as usize..end).filter(|row| !self.is_there[*row]).map(|row| row as u32 - first);
            let rows: Vec<u32> = rows.collect();
            for row in RowReader::open(file, Rows::These(&rows))? {
                let mut row = row?;
                row.valid_to = Some(row.valid_to.map_or(self.time_ms, |own| own.min(self.time_ms)));
                writer.push(&row)?;
            }
        }
        writer.finish()?;
        Ok(ended)
    }
}
