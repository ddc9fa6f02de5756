//! A layer in the making as it stands on the disk, for another process to go on with (续传).
//!
//! Everything that a layer's draft holds lies in files that only grow; a checkpoint writes down how long they are, what
//! is held besides, and what the import says about how far it has read. It is the last to be written, with its hash
//! before it, so that it is whole or not there. What came after it is cut off.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{LayerDraft, Spill};
use crate::{
    fault::{self, Output, Place},
    model::Warning,
    store::{
        SourceRef, StoreError,
        aside::{Aside, AsideState},
        disk,
        row::Row,
        spill,
    },
    tile::{LayerTiler, TilerState},
};

/// Changes with the meaning of what is written.
const FORMAT: u32 = 3;
const FILE: &str = "checkpoint";
/// Largest checkpoint that is read.
const MOST_BYTES: u64 = 1 << 30;
/// A checkpoint comes after so much work at the earliest, and after this share of all the work so far: what is repeated
/// is a small part of it, and so is what checkpoints cost.
const LEAST: Duration = Duration::from_millis(500);
const SHARE: f64 = 0.04;

/// When the last checkpoint was.
#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    /// Work up to the last checkpoint.
    before: Duration,
}

impl Pace {
    pub fn new(before: Duration) -> Self {
        Self { last: Instant::now(), before }
    }

    fn is_due(&self) -> bool {
        fault::is_eager() || fault::elapsed(self.last) > LEAST.max(self.before.mul_f64(SHARE))
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    format: u32,
    worked: Duration,
    source: u32,
    sources_known: bool,
    sorter: spill::State,
    aside: AsideState,
    tiler: TilerState,
    classes: BTreeMap<String, u64>,
    parts: BTreeMap<String, u64>,
    shapes: BTreeMap<String, u64>,
    objects: u64,
    points: u64,
    stands_on_terrain: bool,
    /// Encoded rows, with the source of each.
    scans: Vec<(u32, Vec<u8>)>,
    in_parts: BTreeSet<String>,
    warnings: Vec<Warning>,
    /// How far the import had read, in its own words.
    read: Vec<u8>,
}

impl LayerDraft {
    /// Whether there has been enough work for another checkpoint.
    pub fn is_checkpoint_due(&self) -> bool {
        self.is_resumable && self.pace.is_due() && !self.tiler.holds_small_scan()
    }

    /// Whether it took so long already that what follows is worth a checkpoint before it.
    pub fn is_long(&self) -> bool {
        let worked = self.pace.before + fault::elapsed(self.pace.last);
        self.is_resumable && (fault::is_eager() || worked > LEAST) && !self.tiler.holds_small_scan()
    }

    /// Puts all on the disk with `read`, what the import says of how far it has read. Does nothing where nobody could go on with it:
    /// grids and pictures of the ground are read anew.
    pub fn checkpoint(&mut self, read: Vec<u8>) -> Result<(), StoreError> {
        if !self.is_resumable || self.grids > 0 || self.pictures > 0 {
            return Ok(());
        }
        let Some(tiler) = self.tiler.checkpoint()? else { return Ok(()) };
        fault::at(Place::CheckpointBegun);
        let state = State {
            format: FORMAT,
            worked: self.pace.before + fault::elapsed(self.pace.last),
            source: self.source,
            sources_known: self.sources_known,
            sorter: self.sorter.checkpoint()?,
            aside: self.aside.state()?,
            tiler,
            classes: self.classes.clone(),
            parts: self.parts.clone(),
            shapes: self.shapes.clone(),
            objects: self.objects,
            points: self.points,
            stands_on_terrain: self.stands_on_terrain,
            scans: self.scans.values().map(|row| (row.source, row.encode())).collect(),
            in_parts: self.in_parts.clone(),
            warnings: self.warnings.clone(),
            read,
        };
        fault::at(Place::CheckpointRows);
        let folder = &self.spill.folder;
        let path = folder.join(FILE);
        let bytes = postcard::to_allocvec(&state).map_err(|e| StoreError::damaged(&path, e))?;
        let new = folder.join("checkpoint.new");
        let write = || -> std::io::Result<()> {
            let mut file = Output::create(&new)?;
            file.write_all(blake3::hash(&bytes).as_bytes())?;
            file.write_all(&bytes)?;
            fault::sync()?;
            file.0.sync_data()?;
            fault::at(Place::CheckpointWritten);
            fs::rename(&new, &path)
        };
        write().map_err(StoreError::at(&path))?;
        fault::at(Place::CheckpointDone);
        self.spill.is_kept = true;
        self.pace = Pace::new(state.worked);
        Ok(())
    }

    /// The draft that an import before this one left in the folder `spill`, and what that import said of how far it had
    /// read; `None` when there is none that is whole.
    pub fn restore(name: &str, sources: Vec<SourceRef>, spill: &Path, surface: &Path) -> Option<(Self, Vec<u8>)> {
        let bytes = disk::read_bounded(&spill.join(FILE), MOST_BYTES).ok()?;
        let (hash, bytes) = bytes.split_first_chunk::<32>()?;
        if blake3::hash(bytes).as_bytes() != hash {
            return None;
        }
        let state: State = postcard::from_bytes(bytes).ok().filter(|state: &State| state.format == FORMAT)?;
        let mut scans = BTreeMap::new();
        for (source, bytes) in state.scans {
            let row = Row { source, ..Row::decode(&bytes).ok()? };
            scans.insert(row.id.clone(), row);
        }
        let draft = Self {
            sources,
            source: state.source,
            sources_known: state.sources_known,
            base: None,
            sorter: spill::Sorter::restore(spill, state.sorter)?,
            aside: Aside::restore(spill, state.aside).ok()?,
            tiler: LayerTiler::restore(name, &spill.join("tiles"), surface, state.tiler).ok()?,
            classes: state.classes,
            parts: state.parts,
            shapes: state.shapes,
            objects: state.objects,
            points: state.points,
            stands_on_terrain: state.stands_on_terrain,
            scans,
            in_parts: state.in_parts,
            grids: 0,
            pictures: 0,
            warnings: state.warnings,
            is_resumable: true,
            pace: Pace::new(state.worked),
            spill: Spill { folder: spill.into(), is_kept: true },
        };
        fault::at(Place::LayerRestored);
        Some((draft, state.read))
    }
}
