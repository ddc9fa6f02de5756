//! How far an import has read a layer's sources, for the next one to go on from there (续传).

use groundline_engine::model::{CityObject, Extent, Geometry, SourceReport};
use serde::{Deserialize, Serialize};

use crate::Start;

/// How far the sources of a layer are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SoFar {
    /// Accounts of the sources that were read to their end, in the order of reading.
    pub finished: Vec<SourceReport>,
    /// What of the next one is read.
    pub current: Current,
}

/// What of a source is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Current {
    /// Objects as its reader emitted them.
    pub taken: u64,
    /// Where its reader could begin.
    mark: Option<Mark>,
    pub extent: Extent,
    pub points: u64,
    /// Objects as they are counted: the batches of one scan, the grids of one DEM are one.
    pub objects: u64,
    last_part: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mark {
    position: u64,
    account: SourceReport,
    taken: u64,
    /// What the reader said at this mark and those before.
    state: Vec<u8>,
}

impl SoFar {
    /// Whether anything is read.
    pub fn is_begun(&self) -> bool {
        self.current.taken > 0 || !self.finished.is_empty()
    }

    /// As bytes for a checkpoint.
    pub fn to_bytes(&self) -> Vec<u8> {
        // What cannot be written is read anew.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// What an import before this one wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// The source that is read is at its end.
    pub fn finish(&mut self, account: SourceReport) {
        self.finished.push(account);
        self.current = Current::default();
    }
}

impl Current {
    /// Where to go on, and the account up to there; `account` is that of a source of which nothing is read.
    pub fn start(&self, account: SourceReport) -> (Start, SourceReport) {
        match &self.mark {
            Some(mark) => {
                let skip = self.taken.saturating_sub(mark.taken);
                (Start { position: mark.position, skip, state: mark.state.clone() }, mark.account.clone())
            }
            None => (Start { skip: self.taken, ..Start::default() }, account),
        }
    }

    /// The reader could begin at `position`, where its account was this.
    pub fn mark(&mut self, position: u64, state: &[u8], account: SourceReport) {
        let mut all = self.mark.take().map_or_else(Vec::new, |mark| mark.state);
        all.extend_from_slice(state);
        self.mark = Some(Mark { position, account, taken: self.taken, state: all });
    }

    /// Counts an object.
    pub fn count(&mut self, object: &CityObject) {
        self.taken += 1;
        self.extent.merge(&object.geometry.extent());
        if let Geometry::Points(batch) = &object.geometry {
            self.points += batch.positions.len() as u64;
        }
        let is_part = matches!(object.geometry, Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_));
        if is_part && self.last_part.as_deref() == Some(object.id.as_str()) {
            return;
        }
        self.last_part = is_part.then(|| object.id.0.clone());
        self.objects += 1;
    }
}
