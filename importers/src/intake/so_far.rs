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
    /// What the reader said at this mark and those before, in pieces.
    state: Vec<Piece>,
}

/// Something that a reader said.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Piece {
    /// Where it is kept, and how long it is.
    Kept(u64, u64),
    Here(Vec<u8>),
}

/// What is longer than this is kept once, not said at every checkpoint.
const MOST_SAID: usize = 1 << 12;

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
    pub fn start<E>(
        &self,
        account: SourceReport,
        kept: &mut dyn FnMut((u64, u64)) -> Result<Vec<u8>, E>,
    ) -> Result<(Start, SourceReport), E> {
        let Some(mark) = &self.mark else { return Ok((Start { skip: self.taken, ..Start::default() }, account)) };
        let mut state = Vec::new();
        for piece in &mark.state {
            match piece {
                Piece::Kept(at, length) => state.extend(kept((*at, *length))?),
                Piece::Here(bytes) => state.extend_from_slice(bytes),
            }
        }
        let skip = self.taken.saturating_sub(mark.taken);
        Ok((Start { position: mark.position, skip, state }, mark.account.clone()))
    }

    /// Gives away the long pieces of what the reader said; `keep` says where they lie.
    pub fn keep<E>(&mut self, keep: &mut dyn FnMut(&[u8]) -> Result<(u64, u64), E>) -> Result<(), E> {
        for piece in self.mark.iter_mut().flat_map(|mark| &mut mark.state) {
            if let Piece::Here(bytes) = piece
                && bytes.len() > MOST_SAID
            {
                let (at, length) = keep(bytes)?;
                *piece = Piece::Kept(at, length);
            }
        }
        Ok(())
    }

    /// The reader could begin at `position`, where its account was this.
    pub fn mark(&mut self, position: u64, state: &[u8], account: SourceReport) {
        let mut all = self.mark.take().map_or_else(Vec::new, |mark| mark.state);
        if !state.is_empty() {
            match all.last_mut() {
                Some(Piece::Here(last)) if last.len() + state.len() <= MOST_SAID => last.extend_from_slice(state),
                _ => all.push(Piece::Here(state.into())),
            }
        }
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
