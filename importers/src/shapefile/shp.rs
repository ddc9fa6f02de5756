//! The geometry file of a shapefile (ESRI Shapefile Technical Description, July 1998), read record by record.
//!
//! Nothing in a header is believed: a record is as long as its own header says and the file allows, and its counts
//! must fit into it.

use std::{
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use glam::DVec3;

use super::patch;
use crate::feature::{Dimension, Shape, grouped_rings};

/// Measures below this mean "no data" (page 2 of the description).
const NO_DATA: f64 = -1e38;
/// A record of more bytes than this is not read: no single feature of a city is that large.
const MAX_RECORD_BYTES: u64 = 512 << 20;

/// The first 100 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    /// Length of the file in bytes as the header has it.
    pub length: u64,
    /// Shape type: 1 point, 3 line, 5 polygon, 8 multi-point, +10 with z, +20 with m, 31 multi-patch.
    pub kind: u32,
    /// Min x, min y, max x, max y.
    pub extent: [f64; 4],
}

/// Why a record could not be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The record is damaged; the next one may be whole.
    Record(String),
    /// The file ends here or the way to the next record is lost.
    End(String),
    /// The disk said no.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

/// Reads records in order.
pub(super) struct Reader<R> {
    source: R,
    length: u64,
    at: u64,
    /// Offsets of the records in bytes, from the .shx; without it records follow one another.
    offsets: Option<Vec<u64>>,
    next: usize,
}

/// Where the content of a record lies.
pub(super) struct Content {
    /// First byte of the record in the file.
    start: u64,
    /// Its bytes in the block that it was read into.
    range: Range<usize>,
}

impl Header {
    /// Reads and checks the header; the error says what is wrong.
    pub fn read(mut source: impl Read) -> Result<Self, Fault> {
        let mut bytes = [0; 100];
        read_whole(&mut source, &mut bytes).map_err(|e| {
            if e.kind() == io::ErrorKind::UnexpectedEof {
                Fault::End("shorter than its header of 100 bytes".into())
            } else {
                e.into()
            }
        })?;
        let code = be_u32(&bytes, 0);
        if code != 9994 {
            return Err(Fault::End(format!("file code is {code}, not 9994: no shapefile")));
        }
        let kind = le_u32(&bytes, 32);
        if !matches!(kind, 0 | 1 | 3 | 5 | 8 | 11 | 13 | 15 | 18 | 21 | 23 | 25 | 28 | 31) {
            return Err(Fault::End(format!("shape type {kind} does not exist")));
        }
        let extent = [36, 44, 52, 60].map(|at| le_f64(&bytes, at));
        Ok(Self { length: u64::from(be_u32(&bytes, 24)) * 2, kind, extent })
    }

    /// What the shapes are.
    pub fn dimension(&self) -> Dimension {
        match self.kind % 10 {
            1 if self.kind == 31 => Dimension::Polygon,
            1 | 8 => Dimension::Point,
            3 => Dimension::Line,
            5 => Dimension::Polygon,
            _ => Dimension::Nothing,
        }
    }

    /// Whether the header's box holds numbers.
    pub fn has_extent(&self) -> bool {
        let [min_x, min_y, max_x, max_y] = self.extent;
        self.extent.iter().all(|n| n.is_finite()) && min_x <= max_x && min_y <= max_y
    }
}

/// Offsets of the records, from the index file; an error where it is no index.
pub(super) fn read_index(path: &Path, shp_length: u64) -> io::Result<Result<Vec<u64>, String>> {
    let length = std::fs::metadata(path)?.len();
    // Every record takes at least 12 bytes in the .shp, so a longer index lies.
    if length > shp_length.saturating_mul(8) / 12 + 108 {
        return Ok(Err("it lists more records than the .shp can hold".into()));
    }
    let bytes = std::fs::read(path)?;
    if bytes.len() < 100 || be_u32(&bytes, 0) != 9994 {
        return Ok(Err("it is no index".into()));
    }
    Ok(Ok(bytes[100..].chunks_exact(8).map(|entry| u64::from(be_u32(entry, 0)) * 2).collect()))
}

impl<R: Read + Seek> Reader<R> {
    /// Reads records of a file of `length` bytes, by the index where there is one.
    pub fn new(source: R, length: u64, offsets: Option<Vec<u64>>) -> Self {
        Self { source, length, at: u64::MAX, offsets, next: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        if self.at == u64::MAX { 100 } else { self.at }
    }

    /// Appends the content of the next record to `block` and says where it lies there; `None` after the last.
    pub fn next(&mut self, block: &mut Vec<u8>) -> Option<Result<Content, Fault>> {
        let start = match &self.offsets {
            Some(offsets) => *offsets.get(self.next)?,
            None => self.position(),
        };
        if self.offsets.is_none() && start >= self.length {
            return None;
        }
        self.next += 1;
        Some(self.record(start, block))
    }

    fn record(&mut self, start: u64, block: &mut Vec<u8>) -> Result<Content, Fault> {
        let lost = |reason: String, has_index: bool| if has_index { Fault::Record(reason) } else { Fault::End(reason) };
        let has_index = self.offsets.is_some();
        if start + 8 > self.length {
            let reason = format!("byte {start}: the file ends at byte {}", self.length);
            return Err(lost(reason, has_index));
        }
        if self.at != start {
            self.source.seek(SeekFrom::Start(start))?;
        }
        let mut header = [0; 8];
        read_whole(&mut self.source, &mut header)?;
        let content = u64::from(be_u32(&header, 4)) * 2;
        self.at = start + 8;
        if self.at + content > self.length || content > MAX_RECORD_BYTES {
            let reason =
                format!("byte {start}: it would take {content} bytes, but the file ends at byte {}", self.length);
            return Err(lost(reason, has_index));
        }
        let from = block.len();
        block.resize(from + content as usize, 0);
        read_whole(&mut self.source, &mut block[from..])?;
        self.at += content;
        Ok(Content { start, range: from..block.len() })
    }
}

impl Content {
    /// The shape; the error is the reason to skip the record.
    pub fn shape(&self, block: &[u8]) -> Result<Shape, String> {
        shape(&block[self.range.clone()]).map_err(|reason| format!("byte {}: {reason}", self.start))
    }
}

fn read_whole(source: &mut impl Read, bytes: &mut [u8]) -> io::Result<()> {
    source.read_exact(bytes)
}

/// The shape in a record's content.
fn shape(bytes: &[u8]) -> Result<Shape, String> {
    if bytes.len() < 4 {
        return Err(format!("{} bytes are too few for a shape type", bytes.len()));
    }
    let kind = le_u32(bytes, 0);
    let has_z = matches!(kind, 11 | 13 | 15 | 18 | 31);
    match kind {
        0 => Ok(Shape::default()),
        1 | 11 | 21 => {
            let need = if kind == 11 { 28 } else { 20 };
            need_bytes(bytes, need)?;
            let z = if has_z { height(le_f64(bytes, 20)) } else { 0.0 };
            let point = DVec3::new(le_f64(bytes, 4), le_f64(bytes, 12), z);
            // An empty point is written as NaN.
            let points = if point.x.is_nan() { Vec::new() } else { vec![point] };
            Ok(Shape { points, has_z, ..Shape::default() })
        }
        8 | 18 | 28 => {
            need_bytes(bytes, 40)?;
            let count = le_u32(bytes, 36) as usize;
            let points = vertices(bytes, 40, count, has_z)?;
            Ok(Shape { points, has_z, ..Shape::default() })
        }
        3 | 13 | 23 => Ok(Shape { lines: parts(bytes, has_z, false)?.0, has_z, ..Shape::default() }),
        5 | 15 | 25 => {
            let (rings, _) = parts(bytes, has_z, false)?;
            Ok(Shape { polygons: grouped_rings(rings), has_z, ..Shape::default() })
        }
        31 => {
            let (parts, kinds) = parts(bytes, true, true)?;
            patch::shape(parts, &kinds)
        }
        _ => Err(format!("shape type {kind} does not exist")),
    }
}

fn need_bytes(bytes: &[u8], need: usize) -> Result<(), String> {
    match bytes.len() < need {
        true => Err(format!("{} bytes are too few, {need} are needed", bytes.len())),
        false => Ok(()),
    }
}

/// The parts of a line, polygon or multi-patch, and the types of the latter's.
fn parts(bytes: &[u8], has_z: bool, has_types: bool) -> Result<(Vec<Vec<DVec3>>, Vec<u32>), String> {
    need_bytes(bytes, 44)?;
    let (part_count, point_count) = (le_u32(bytes, 36) as usize, le_u32(bytes, 40) as usize);
    let words_a_part = if has_types { 2 } else { 1 };
    let head = 44_usize.checked_add(part_count.checked_mul(4 * words_a_part).ok_or("its counts overflow")?);
    let head = head.ok_or("its counts overflow")?;
    if head > bytes.len() {
        return Err(format!("{part_count} parts do not fit into {} bytes", bytes.len()));
    }
    let all = vertices(bytes, head, point_count, has_z)?;
    if part_count == 1 && !has_types && le_u32(bytes, 44) == 0 {
        return Ok((vec![all], Vec::new()));
    }
    let starts: Vec<usize> = (0..part_count).map(|i| le_u32(bytes, 44 + 4 * i) as usize).collect();
    let kinds = (0..part_count * (words_a_part - 1)).map(|i| le_u32(bytes, 44 + 4 * (part_count + i))).collect();
    let ends = starts.iter().skip(1).copied().chain([point_count]);
    let parts = starts.iter().zip(ends).map(|(&start, end)| match start <= end && end <= point_count {
        true => Ok(all[start..end].to_vec()),
        false => Err(format!("part from {start} to {end} of {point_count} points")),
    });
    Ok((parts.collect::<Result<_, _>>()?, kinds))
}

/// `count` places from byte `at` on, with their heights, which follow after all places and the range of heights.
fn vertices(bytes: &[u8], at: usize, count: usize, has_z: bool) -> Result<Vec<DVec3>, String> {
    let plan = count.checked_mul(16).and_then(|n| n.checked_add(at)).ok_or("its counts overflow")?;
    let need = if has_z { plan.checked_add(16 + count * 8).ok_or("its counts overflow")? } else { plan };
    if need > bytes.len() {
        return Err(format!("{count} points do not fit into {} bytes", bytes.len()));
    }
    let place = |i: usize| {
        let z = if has_z { height(le_f64(bytes, plan + 16 + 8 * i)) } else { 0.0 };
        DVec3::new(le_f64(bytes, at + 16 * i), le_f64(bytes, at + 16 * i + 8), z)
    };
    Ok((0..count).map(place).collect())
}

fn height(z: f64) -> f64 {
    if z.is_finite() && z > NO_DATA { z } else { 0.0 }
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(four(bytes, at))
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(four(bytes, at))
}

fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    word
}

fn le_f64(bytes: &[u8], at: usize) -> f64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    f64::from_le_bytes(word)
}
