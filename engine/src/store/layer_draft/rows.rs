//! The rows of a layer's objects, written in parts (分区).
//!
//! A part is a GeoParquet file of neighbouring objects, so that readers leave out whole files by their box, a change
//! rewrites one of them, and an import that is killed repeats one of them. Parts are cut by what the rows are alone;
//! several are written at the same time.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{LayerDraft, record_of};
use crate::{
    fault::{self, Place},
    model::{Changes, Extent, Warning},
    query::BoxTree,
    store::{
        StoreError,
        disk::{self, Step, pass},
        ids,
        manifest::{FileRecord, PartRecord},
        objects::ObjectsWriter,
        path::folder_of,
        period::Periods,
        read::{self, RowReader},
        row::Row,
        row_file, sources,
        spill::{Sorted, Sorter},
        sums, wkb,
    },
    tile::{Journal, Surroundings},
};

/// Most rows of a part, and the bytes of rows after which it ends.
pub(in crate::store) const PART_ROWS: usize = if cfg!(test) { 64 } else { 32_768 };
const PART_BYTES: usize = 24 << 20;
/// A part of more has rows of megabytes.
const HEAVY_BYTES: usize = PART_BYTES + (4 << 20);
/// Bytes of rows that are held for the next parts, while as many are written.
const AHEAD_BYTES: usize = 48 << 20;

/// Under which the end of the work and its time are in the journal.
const ALL: &str = "objects";
const TIME: &str = "time of the import";

/// The rows of a layer's objects as they were written.
#[derive(Serialize, Deserialize)]
pub(super) struct Rows {
    pub object_files: Vec<FileRecord>,
    pub object_parts: Vec<PartRecord>,
    pub warnings: Vec<Warning>,
    pub extent: Extent,
    /// States that ended by this import, and their file.
    pub ended: u64,
    pub ended_file: Option<FileRecord>,
    pub changes: Changes,
}

impl Rows {
    fn files(&self) -> impl Iterator<Item = &FileRecord> {
        self.object_files.iter().chain(&self.ended_file)
    }
}

/// What is said of all rows beside their parts.
#[derive(Default)]
struct Written {
    extent: Extent,
    parts: Vec<PartRecord>,
    /// Hash of the id, number of the row and number of the source, to find ids that stand twice.
    ids: Vec<(u64, u32, u32)>,
}

/// Rows of a part, with its number.
pub(in crate::store) struct Chunk {
    pub number: usize,
    pub rows: Vec<Row>,
    pub bytes: usize,
}

/// Where parts are written.
pub(in crate::store) struct PartWriter<'a> {
    pub root: &'a Path,
    pub inner: String,
    pub crs: &'a serde_json::Value,
    pub journal: &'a Journal,
    pub has_sources: bool,
}

impl LayerDraft {
    /// Writes the rows of the layer's objects in order, or takes them over from an import that was killed after it.
    pub(super) fn write_rows(
        &mut self,
        name: &str,
        root: &Path,
        around: &Surroundings<'_>,
        crs: &serde_json::Value,
    ) -> Result<Rows, StoreError> {
        let kept: Option<Rows> = around.journal.get(ALL);
        if let Some(rows) = kept.filter(|rows| rows.files().all(|file| file.is_whole(&root.join(&file.path)))) {
            return Ok(rows);
        }
        for (_, mut scan) in std::mem::take(&mut self.scans) {
            scan.wkb = wkb::encode_box(&scan.extent);
            self.sorter.push(&scan)?;
        }
        let inner = folder_of(name);
        let folder = root.join("objects").join(&inner);
        fs::create_dir_all(&folder).map_err(StoreError::at(&folder))?;
        pass(Step::Objects, &folder)?;
        let has_sources = self.sources.len() > 1 && self.sources_known;
        let parts = PartWriter { root, inner, crs, journal: around.journal, has_sources };
        let mut periods = self.periods(around.journal)?;

        let mut sorted = std::mem::replace(&mut self.sorter, Sorter::new(&self.spill.folder)).finish()?;
        let together = rayon::current_num_threads();
        let (mut written, mut files, mut next) = (Written::default(), Vec::new(), 0);
        let mut chunks: Vec<Chunk> = Vec::new();
        loop {
            // Rows of pictures are tens of megabytes each, and several times that while they are written: one at a time.
            if chunks.iter().any(|chunk| chunk.bytes > HEAVY_BYTES) {
                for chunk in chunks.drain(..) {
                    files.extend(parts.write(&chunk)?);
                }
            }
            let read = || -> Result<Vec<Chunk>, StoreError> {
                let (mut ahead, mut bytes) = (Vec::new(), 0);
                while ahead.len() < together
                    && bytes < AHEAD_BYTES
                    && let Some(chunk) = self.next_rows(&mut sorted, next, around, periods.as_mut(), &mut written)?
                {
                    bytes += if chunk.bytes > HEAVY_BYTES { AHEAD_BYTES } else { chunk.bytes };
                    ahead.push(chunk);
                    next += 1;
                }
                Ok(ahead)
            };
            let write = || chunks.par_iter().map(|chunk| parts.write(chunk)).collect::<Result<Vec<_>, StoreError>>();
            let (ahead, made) = rayon::join(read, write);
            files.extend(made?.into_iter().flatten());
            chunks = ahead?;
            if chunks.is_empty() {
                break;
            }
        }
        let (mut ended, mut ended_file) = (0, None);
        if let Some(periods) = &mut periods {
            let path = folder.join("ended.new");
            ended = periods.write_ended(&path, crs)?;
            if ended > 0 {
                let (size, hash) = disk::hash_file(&path)?;
                let name = format!("objects/{}/{}.ended.parquet", parts.inner, &hash[..32]);
                ended_file = Some(record_of(&folder, &path, name, size, &hash)?);
                fault::at(Place::EndedWritten);
            }
        }
        let warnings = doubles(root, &files, &mut written, &self.in_parts, name)?;
        let changes = periods.map(|p| p.changes).unwrap_or_default();
        let object_parts = written.parts;
        let rows =
            Rows { object_files: files, object_parts, warnings, extent: written.extent, ended, ended_file, changes };
        around.journal.put(ALL, &rows);
        fault::at(Place::RowsDone);
        Ok(rows)
    }

    /// The rows of the next part; `None` when there are no more.
    fn next_rows(
        &mut self,
        sorted: &mut Sorted,
        number: usize,
        around: &Surroundings<'_>,
        mut periods: Option<&mut Periods>,
        written: &mut Written,
    ) -> Result<Option<Chunk>, StoreError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < PART_ROWS
            && bytes < PART_BYTES
            && let Some(entry) = sorted.next()
        {
            let (_, encoded) = entry?;
            let mut row = Row::decode(&encoded).map_err(|e| StoreError::damaged(&self.spill.folder, e))?;
            self.aside.get(&mut row)?;
            row.settle(around.ground);
            if let Some(periods) = &mut periods {
                periods.date(&mut row);
            }
            bytes += encoded.len() + row.shape.len();
            let row_number = u32::try_from(written.ids.len())
                .map_err(|_| StoreError::damaged(&self.spill.folder, "a layer has more than 2³² objects"))?;
            written.ids.push((ids::hash_of(&row.id), row_number, row.source));
            written.extent.merge(&row.extent);
            rows.push(row);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        written.parts.push(PartRecord::new(&rows));
        Ok(Some(Chunk { number, rows, bytes }))
    }

    /// The states that the layer held before. A damaged layer is replaced all the same, without them; what only cannot be read now, such
    /// as for want of open files, is no reason to lose them.
    fn periods(&mut self, journal: &Journal) -> Result<Option<Periods>, StoreError> {
        let Some(base) = self.base.as_ref() else { return Ok(None) };
        // An import that goes on with the parts of another has its time.
        let time_ms = journal.get(TIME).unwrap_or(base.time_ms);
        journal.put(TIME, &time_ms);
        match Periods::read(&base.folder, &base.record, !base.keeps_all(), time_ms) {
            Ok(periods) => Ok(Some(periods)),
            // The reader of GeoParquet does not tell a damaged page from a file that cannot be opened.
            Err(error) if !base.is_damaged() => Err(error),
            Err(error) => {
                self.warn("periods_lost", &format!("what the layer held before cannot be read: {error}"), "");
                Ok(None)
            }
        }
    }
}

impl PartWriter<'_> {
    /// Writes a part with the lists beside it: the file of its rows first.
    pub fn write(&self, chunk: &Chunk) -> Result<Vec<FileRecord>, StoreError> {
        let key = format!("part {}", chunk.number);
        let kept: Option<Vec<FileRecord>> = self.journal.get(&key);
        if let Some(files) = kept.filter(|files| files.iter().all(|file| file.is_whole(&self.root.join(&file.path)))) {
            return Ok(files);
        }
        let folder = self.root.join("objects").join(&self.inner);
        let new = |ending: &str| folder.join(format!("part-{}.{ending}.new", chunk.number));
        let path = new("parquet");
        let mut writer = ObjectsWriter::new(&path, self.crs.clone())?;
        for row in &chunk.rows {
            writer.push(row)?;
        }
        writer.finish()?;
        fault::at(Place::PartParquet);
        let mut made: Vec<(&str, PathBuf)> = vec![("parquet", path), ("ids", new("ids"))];
        let ids = chunk.rows.iter().zip(0..).map(|(row, number)| (ids::hash_of(&row.id), number));
        ids::write(&made[1].1, ids.collect())?;
        fault::at(Place::PartIds);
        let boxes: Vec<Extent> = chunk.rows.iter().map(|row| row.extent).collect();
        made.push(("tree", new("tree")));
        fault::write(&made[2].1, &BoxTree::new(&boxes).to_bytes()).map_err(StoreError::at(&made[2].1))?;
        fault::at(Place::PartTree);
        made.push(("rows", new("rows")));
        row_file::write(&made[3].1, &chunk.rows)?;
        fault::at(Place::PartRows);
        made.push(("sums", new("sums")));
        sums::write(&made[4].1, &made[0].1)?;
        fault::at(Place::PartSums);
        if self.has_sources {
            made.push(("sources", new("sources")));
            sources::write(&made[5].1, &chunk.rows.iter().map(|row| row.source).collect::<Vec<_>>())?;
            fault::at(Place::PartSources);
        }
        // One name for the files of a part, by the content of them all.
        let mut stem = blake3::Hasher::new();
        let mut hashes = Vec::new();
        for (_, path) in &made {
            let (size, hash) = disk::hash_file(path)?;
            stem.update(hash.as_bytes());
            hashes.push((size, hash));
        }
        let stem = stem.finalize().to_hex();
        let files = made.iter().zip(hashes).map(|((ending, path), (size, hash))| {
            let name = format!("objects/{}/{}.{ending}", self.inner, &stem[..32]);
            let record = record_of(&folder, path, name, size, &hash);
            fault::at(Place::PartNamed);
            record
        });
        let files = files.collect::<Result<Vec<_>, _>>()?;
        self.journal.put(&key, &files);
        fault::at(Place::PartDone);
        Ok(files)
    }
}

/// Warnings about objects whose id another object of the layer has; parts of one DEM or picture do not count.
fn doubles(
    root: &Path,
    files: &[FileRecord],
    written: &mut Written,
    in_parts: &BTreeSet<String>,
    name: &str,
) -> Result<Vec<Warning>, StoreError> {
    let in_parts: BTreeSet<u64> = in_parts.iter().map(|id| ids::hash_of(id)).collect();
    let mut found = std::mem::take(&mut written.ids);
    found.par_sort_unstable();
    let (mut within, mut across, mut first) = (0, 0, None);
    for pair in found.windows(2).filter(|w| w[0].0 == w[1].0 && !in_parts.contains(&w[0].0)) {
        if pair[0].2 == pair[1].2 {
            within += 1;
        } else {
            across += 1;
            first.get_or_insert(pair[1].0);
        }
    }
    let mut warnings = Vec::new();
    if within > 0 {
        warnings.push(Warning {
            code: "duplicate_id".into(),
            message: "objects with the id of another; only the first is found by its id".into(),
            place: name.into(),
            count: within,
        });
    }
    if let Some(hash) = first {
        let mut id = name.to_owned();
        for file in files.iter().filter(|file| file.path.ends_with(".parquet")) {
            let path = root.join(&file.path);
            let rows = ids::find(&path.with_extension("ids"), hash)?;
            if !rows.is_empty()
                && let Some(row) = RowReader::open(&path, read::Rows::These(&rows))?.next().transpose()?
            {
                id = row.id;
                break;
            }
        }
        warnings.push(Warning {
            code: "duplicate_id_across_sources".into(),
            message:
                "objects with the id of another from another source of the layer; both are kept, only the first is \
                      found by its id"
                    .into(),
            place: id,
            count: across,
        });
    }
    Ok(warnings)
}
