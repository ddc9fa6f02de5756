//! The rows of a part once more, without their shapes, in small blocks: for whoever wants a few of them.
//!
//! In Parquet a row lies in some twenty pages of 512 values each, which are all unpacked to read it. Here it lies in one block of
//! thirty-two neighbours; that makes an answer with all attributes several times faster, for a tenth more bytes.
//!
//! ```text
//! magic · rows · end of each block ─► blocks: bytes unpacked · zstd with checksum over (length, row as in a spill)…
//! ```

use std::{
    cell::RefCell,
    fs::File,
    io::{ErrorKind, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;
use zstd::bulk::Decompressor;

use super::{
    HeldRow, StoreError, place,
    row::Row,
    row_blocks::{self, Block, List, Stamp},
};
use crate::fault::Output;

const MAGIC: &[u8; 8] = b"GLROWS01";
/// Magic and number of rows.
const HEAD_BYTES: usize = 12;
/// Rows of a block.
const BLOCK_ROWS: usize = 32;
/// Most rows of a part, and bytes of a block, packed and not: rows without shapes are small, attributes are bounded by importers.
const MOST_ROWS: u32 = 1 << 24;
const MOST_BLOCK_BYTES: usize = 256 << 20;
const LEVEL: i32 = 3;

/// The file beside a part.
pub(crate) fn beside(part: &Path) -> PathBuf {
    part.with_extension("rows")
}

/// Writes the rows of a part.
pub(super) fn write(path: &Path, rows: &[Row]) -> Result<(), StoreError> {
    let broken = |error: std::io::Error| StoreError::at(path)(error);
    let packer = || -> std::io::Result<_> {
        let mut packer = zstd::bulk::Compressor::new(LEVEL)?;
        packer.include_checksum(true)?;
        Ok(packer)
    };
    let packed = rows.par_chunks(BLOCK_ROWS).map_init(packer, |packer, block| {
        let mut plain = Vec::new();
        for row in block {
            let bytes = row.encode_without_shape();
            plain.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            plain.extend(bytes);
        }
        let packer = packer.as_mut().map_err(|error| std::io::Error::other(error.to_string()))?;
        let bound = u32::try_from(plain.len()).unwrap_or(u32::MAX);
        Ok([&bound.to_le_bytes(), packer.compress(&plain)?.as_slice()].concat())
    });
    let packed: Vec<Vec<u8>> = packed.collect::<std::io::Result<_>>().map_err(broken)?;
    let mut end = 0;
    let ends = packed.iter().map(|block| {
        end += block.len() as u64;
        end
    });
    let ends: Vec<u64> = ends.collect();
    let blocks = packed.concat();
    let mut file = Output::create(path).map_err(broken)?;
    let mut head = MAGIC.to_vec();
    head.extend((rows.len() as u32).to_le_bytes());
    ends.iter().for_each(|end| head.extend(end.to_le_bytes()));
    file.write_all(&head).and_then(|()| file.write_all(&blocks)).map_err(broken)
}

/// Some rows of a part, in their order.
#[derive(Debug)]
pub(crate) struct SomeRows {
    path: PathBuf,
    /// Opened where a block is not held.
    file: Option<File>,
    list: Arc<List>,
    wanted: std::vec::IntoIter<u32>,
    /// The block that was come to last.
    block: Option<(usize, Arc<Block>)>,
    /// Whether rows of it were taken apart.
    has_grown: bool,
}

impl Drop for SomeRows {
    fn drop(&mut self) {
        self.leave_block();
    }
}

impl SomeRows {
    /// These rows of the part `part`, ascending; `None` where the part has no such file: it is of an earlier release, or of states
    /// that have ended.
    pub fn open(part: &Path, wanted: &[u32]) -> Result<Option<Self>, StoreError> {
        let is_ended = part.file_name().is_some_and(|name| name.to_string_lossy().contains(".ended."));
        if is_ended {
            return Ok(None);
        }
        let path = beside(part);
        let of_rows = |file, list| Self {
            path: path.clone(),
            file,
            list,
            wanted: Vec::from(wanted).into_iter(),
            block: None,
            has_grown: false,
        };
        if let Some(stamp) = place::stamp(&path)
            && let Some(list) = row_blocks::list(&path, &stamp)
        {
            return Ok(Some(of_rows(None, list)));
        }
        let file = match place::open_file(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::at(&path)(error)),
        };
        let stamp = Stamp::of(&file.metadata().map_err(StoreError::at(&path))?);
        let bad = || StoreError::damaged(&path, "no list of rows");
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).map_err(|_| bad())?;
        let count = head.strip_prefix(MAGIC).and_then(|rest| rest.try_into().ok()).map(u32::from_le_bytes);
        let count = count.filter(|count| *count <= MOST_ROWS).ok_or_else(bad)?;
        let mut ends = vec![0; (count as usize).div_ceil(BLOCK_ROWS) * 8];
        file.read_exact_at(&mut ends, HEAD_BYTES as u64).map_err(|_| bad())?;
        let ends = ends.chunks_exact(8).map(|end| u64::from_le_bytes(end.try_into().unwrap_or_default())).collect();
        let list = Arc::new(List::new(stamp, count, ends));
        row_blocks::keep_list(&path, &list);
        Ok(Some(of_rows(Some(file), list)))
    }

    fn row(&mut self, number: u32) -> Result<Arc<HeldRow>, StoreError> {
        let (number, within) = (number as usize / BLOCK_ROWS, number as usize % BLOCK_ROWS);
        if self.block.as_ref().is_none_or(|(of, _)| *of != number) {
            self.leave_block();
            self.block = Some((number, self.block_at(number)?));
        }
        let Some((_, block)) = &self.block else { return Err(self.bad("a row is missing")) };
        let (row, is_new) = block.row(within).map_err(|error| self.bad(error))?;
        self.has_grown |= is_new;
        Ok(row)
    }

    /// What was made of its rows counts from now on.
    fn leave_block(&mut self) {
        if let Some((number, block)) = self.block.take()
            && std::mem::take(&mut self.has_grown)
        {
            row_blocks::keep_block(&self.list, number as u32, &block);
        }
    }

    fn block_at(&mut self, number: usize) -> Result<Arc<Block>, StoreError> {
        let of_file = u32::try_from(number).map_err(|_| self.bad("a row is missing"))?;
        if let Some(block) = row_blocks::block(&self.list, of_file) {
            return Ok(block);
        }
        let block = Arc::new(self.unpack(number)?);
        row_blocks::keep_block(&self.list, of_file, &block);
        Ok(block)
    }

    fn unpack(&mut self, block: usize) -> Result<Block, StoreError> {
        let ends = &self.list.ends;
        let start = if block == 0 { 0 } else { ends.get(block - 1).copied().unwrap_or(0) };
        let end = ends.get(block).copied().unwrap_or(0);
        let length = end.checked_sub(start).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| (1..=MOST_BLOCK_BYTES).contains(length));
        let length = length.ok_or_else(|| self.bad("a block without a place"))?;
        let first = (HEAD_BYTES + ends.len() * 8) as u64;
        let file = match self.file.take() {
            Some(file) => file,
            None => place::open_file(&self.path).map_err(StoreError::at(&self.path))?,
        };
        let mut packed = vec![0; length];
        let read = first.checked_add(start).map(|at| file.read_exact_at(&mut packed, at));
        read.and_then(Result::ok).ok_or_else(|| self.bad("it ends too early"))?;
        self.file = Some(file);
        let (bound, packed) = packed.split_first_chunk::<4>().ok_or_else(|| self.bad("an empty block"))?;
        let bound = u32::from_le_bytes(*bound) as usize;
        if bound > MOST_BLOCK_BYTES {
            return Err(self.bad("a block that is too large"));
        }
        unpacked(packed, bound).map(Block::new).map_err(|error| self.bad(error))
    }

    fn bad(&self, reason: impl std::fmt::Display) -> StoreError {
        StoreError::damaged(&self.path, reason)
    }
}

/// A block as it was, of `bound` bytes at most. Each thread keeps what it needs for that: making it anew takes longer than the work.
fn unpacked(packed: &[u8], bound: usize) -> std::io::Result<Vec<u8>> {
    thread_local! {
        static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    UNPACKER.with_borrow_mut(|unpacker| match unpacker {
        Some(unpacker) => unpacker.decompress(packed, bound),
        None => unpacker.insert(Decompressor::new()?).decompress(packed, bound),
    })
}

impl Iterator for SomeRows {
    type Item = Result<Arc<HeldRow>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.wanted.next()?;
        let row = if number < self.list.count { self.row(number) } else { Err(self.bad("a row is missing")) };
        if row.is_err() {
            self.wanted = Vec::new().into_iter();
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;
    use crate::{
        model::{Attribute, CityObject, Class, Geometry, ObjectId, Point, Value, Vertical},
        store::{
            objects::ObjectsWriter,
            read::{HeldRows, Rows},
        },
    };

    fn rows(count: usize) -> Vec<Row> {
        (0..count)
            .map(|n| {
                let at = DVec3::new(500_000.0 + n as f64, 4_000_000.0, 5.0);
                let geometry = match n % 7 {
                    0 => Geometry::None,
                    _ => Geometry::Point(Point { at, vertical: Vertical::AboveTerrain }),
                };
                let mut object = CityObject::new(ObjectId::new("树", n), Class::Tree, geometry);
                object.name = (n % 3 == 0).then(|| format!("第{n}棵"));
                object.attributes.push(Attribute::converted("height", Value::Real(n as f64 / 7.0), "H", "m"));
                Row::new(&object, 0).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_few_rows_are_what_they_are_in_parquet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let rows = rows(500);
        let mut writer = ObjectsWriter::new(&path, serde_json::Value::Null).unwrap();
        rows.iter().for_each(|row| writer.push(row).unwrap());
        writer.finish().unwrap();
        let read = |wanted: &[u32]| -> Vec<Row> {
            HeldRows::open(&path, Rows::These(wanted)).unwrap().map(|row| Row::clone(&row.unwrap())).collect()
        };
        for wanted in [&[][..], &[0], &[31, 32, 33, 400], &[499], &(0..500).collect::<Vec<_>>()] {
            assert!(SomeRows::open(&path, wanted).unwrap().is_none());
            let of_parquet = read(wanted);
            write(&beside(&path), &rows).unwrap();
            assert!(SomeRows::open(&path, wanted).unwrap().is_some());
            assert_eq!(read(wanted), of_parquet);
            assert_eq!(of_parquet.len(), wanted.len());
            std::fs::remove_file(beside(&path)).unwrap();
        }
    }

    #[test]
    fn another_file_at_the_same_place_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let (first, second) = (rows(40), rows(40).into_iter().rev().collect::<Vec<_>>());
        let read = || -> Vec<Row> {
            let rows = SomeRows::open(&path, &[0, 39]).unwrap().unwrap();
            rows.map(|row| Row::clone(&row.unwrap())).collect()
        };
        write(&beside(&path), &first).unwrap();
        assert_eq!(read(), read());
        assert_eq!(read()[0].id, "树/0");
        std::fs::remove_file(beside(&path)).unwrap();
        write(&beside(&path), &second).unwrap();
        assert_eq!(read()[0].id, "树/39");
        std::fs::remove_file(beside(&path)).unwrap();
        assert!(
            SomeRows::open(&path, &[0]).unwrap().is_none(),
            "what is not there any more is not answered from memory"
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_another_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let rows = rows(70);
        write(&beside(&path), &rows).unwrap();
        let whole = std::fs::read(beside(&path)).unwrap();
        let read = |bytes: &[u8]| -> Result<Vec<Row>, StoreError> {
            std::fs::write(beside(&path), bytes).unwrap();
            let rows = SomeRows::open(&path, &(0..70).collect::<Vec<_>>())?.unwrap();
            rows.map(|row| Ok(Row::clone(&*row?))).collect()
        };
        let right: Vec<Row> = read(&whole).unwrap();
        assert_eq!(right.len(), 70);
        for at in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            // A bit that nobody reads, or of a bound, does no harm; all else is told.
            if let Ok(rows) = read(&bytes) {
                assert_eq!(rows, right, "byte {at}");
            }
        }
        for length in [0, 5, HEAD_BYTES, HEAD_BYTES + 7, whole.len() - 1] {
            assert!(read(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
