//! The public header block of LAS 1.0–1.4 and what the variable length records say, read without trust.
//!
//! The decoder behind it believes what the header says; everything it will allocate for or seek to is checked here
//! first against the size of the file.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use glam::DVec3;
use groundline_engine::crs::Crs;

use crate::{
    ImportError,
    geotiff::{
        keys::{GeoKeys, KeyCrs},
        raster::bad,
    },
};

/// Bytes of the point record formats 0 to 10 (LAS 1.4 R15, tables 7 to 17).
const RECORD_BYTES: [u16; 11] = [20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67];
/// More records than this are not looked at for a coordinate system.
const MAX_RECORDS: u32 = 10_000;
/// A record with a coordinate system is not larger than this.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// What stands before the points.
#[derive(Clone, Debug)]
pub(crate) struct LasHeader {
    /// Major and minor version.
    pub version: (u8, u8),
    /// Point record format, 0 to 10.
    pub format: u8,
    /// Whether the points are LASzip-compressed.
    pub is_compressed: bool,
    /// Bytes of a point record.
    pub record_bytes: u16,
    /// Points, as the header says.
    pub points: u64,
    /// Points by the other of the two counters of LAS 1.4, where it differs.
    pub other_count: Option<u64>,
    /// Byte at which the points begin.
    pub points_at: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Day of year and year of creation; 0 when not known.
    pub created: (u16, u16),
    /// Lowest corner.
    pub min: DVec3,
    /// Highest corner.
    pub max: DVec3,
    /// WKT of the coordinate system.
    wkt: Option<String>,
    /// GeoKeys of the coordinate system.
    keys: Option<GeoKeys>,
    /// LASzip's record.
    laszip: Option<Vec<u8>>,
    /// Whether the header says that the WKT counts.
    is_wkt: bool,
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }
    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }
    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }
    fn f64(&self, at: usize) -> f64 {
        f64::from_bits(self.u64(at))
    }
}

impl LasHeader {
    /// Reads the header; `Ok(None)` when the file does not begin with `LASF` (well logs share the ending `.las`).
    pub fn read(path: &Path) -> Result<Option<Self>, ImportError> {
        let io = |source| ImportError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::new(file);
        let mut block = Vec::with_capacity(375);
        reader.by_ref().take(375).read_to_end(&mut block).map_err(io)?;
        let wrong = |place: &str, reason: String| Err(bad(path, place, reason));
        if block.is_empty() {
            return wrong("byte 0", "the file is empty".into());
        }
        if !block.starts_with(b"LASF") {
            return Ok(None);
        }
        if block.len() < 227 {
            return wrong(&format!("byte {}", block.len()), "the file ends within its header".into());
        }
        let real_bytes = block.len();
        block.resize(375, 0);
        let b = Bytes(&block);
        let version = (block[24], block[25]);
        let header_bytes = b.u16(94);
        if version.0 != 1 || version.1 > 4 {
            return wrong("byte 24", format!("LAS {}.{} is not known", version.0, version.1));
        }
        let least = if version.1 >= 4 { 375 } else { 227 };
        if header_bytes < least || usize::from(header_bytes.min(375)) > real_bytes {
            return wrong("byte 94", format!("a header of {header_bytes} bytes in LAS 1.{}", version.1));
        }
        let points_at = u64::from(b.u32(96));
        if points_at < u64::from(header_bytes) || points_at > file_bytes {
            let reason = format!("points are said to begin at byte {points_at} of {file_bytes}");
            return wrong("byte 96", reason);
        }
        // LASzip marks compression in the upper bits of the format.
        let (format, is_compressed) = (block[104] & 0x3f, block[104] & 0xc0 != 0);
        let record_bytes = b.u16(105);
        let Some(least) = RECORD_BYTES.get(usize::from(format)) else {
            return wrong("byte 104", format!("point record format {format} is not known"));
        };
        if record_bytes < *least {
            let reason = format!("point records of {record_bytes} bytes, format {format} needs {least}");
            return wrong("byte 105", reason);
        }
        let (scale, offset) =
            (DVec3::new(b.f64(131), b.f64(139), b.f64(147)), DVec3::new(b.f64(155), b.f64(163), b.f64(171)));
        if !scale.is_finite() || !offset.is_finite() || scale.to_array().contains(&0.0) {
            return wrong("byte 131", format!("scale {scale} or offset {offset} is no number to place points with"));
        }
        let legacy = u64::from(b.u32(107));
        let large = if version.1 >= 4 { b.u64(247) } else { 0 };
        let points = if legacy > 0 { legacy } else { large };
        let other_count = (legacy > 0 && large > 0 && legacy != large).then_some(large);
        let mut header = Self {
            version,
            format,
            is_compressed,
            record_bytes,
            points,
            other_count,
            points_at,
            file_bytes,
            created: (b.u16(90), b.u16(92)),
            max: DVec3::new(b.f64(179), b.f64(195), b.f64(211)),
            min: DVec3::new(b.f64(187), b.f64(203), b.f64(219)),
            wkt: None,
            keys: None,
            laszip: None,
            is_wkt: b.u16(6) & 16 != 0,
        };
        let records = b.u32(100);
        if u64::from(records) * 54 > points_at {
            return wrong("byte 100", format!("{records} variable length records before byte {points_at}"));
        }
        let (extended_at, extended) = if version.1 >= 4 { (b.u64(235), b.u32(243)) } else { (0, 0) };
        header.read_records(&mut reader, u64::from(header_bytes), records, false);
        if extended > 0 {
            if extended_at < points_at || extended_at.saturating_add(u64::from(extended) * 60) > file_bytes {
                let reason = format!(
                    "{extended} extended records are said to begin at byte {extended_at}, the file ends at byte \
                     {file_bytes}: it is cut off; its header promises {points} points"
                );
                return wrong(&format!("byte {file_bytes}"), reason);
            }
            let mut first = [0u8; 60];
            let length = reader
                .seek(SeekFrom::Start(extended_at))
                .and_then(|_| reader.read_exact(&mut first))
                .map(|()| Bytes(&first).u64(20))
                .map_err(io)?;
            if extended_at.saturating_add(60).saturating_add(length) > file_bytes {
                let reason = format!("an extended record of {length} bytes does not fit into {file_bytes} bytes");
                return wrong(&format!("byte {extended_at}"), reason);
            }
            header.read_records(&mut reader, extended_at, extended, true);
        }
        Ok(Some(header))
    }

    /// Keeps the records that name a coordinate system or the compression; a damaged one ends the search.
    fn read_records(&mut self, reader: &mut BufReader<File>, start: u64, count: u32, is_extended: bool) {
        let head_bytes = if is_extended { 60 } else { 54 };
        let (mut directory, mut doubles, mut ascii) = (None, Vec::new(), Vec::new());
        let mut at = start;
        for _ in 0..count.min(MAX_RECORDS) {
            let mut head = [0u8; 60];
            let read = reader.seek(SeekFrom::Start(at)).and_then(|_| reader.read_exact(&mut head[..head_bytes]));
            if read.is_err() {
                break;
            }
            let b = Bytes(&head);
            let length = if is_extended { b.u64(20) } else { u64::from(b.u16(20)) };
            let user = std::str::from_utf8(&head[2..18]).unwrap_or_default().trim_end_matches('\0');
            let id = b.u16(18);
            at = at.saturating_add(head_bytes as u64).saturating_add(length);
            if at > self.file_bytes {
                break;
            }
            let is_wanted = matches!((user, id), ("LASF_Projection", 2112 | 34735..=34737) | ("laszip encoded", 22204));
            if !is_wanted || length > MAX_RECORD_BYTES {
                continue;
            }
            let mut data = vec![0; length as usize];
            if reader.read_exact(&mut data).is_err() {
                break;
            }
            match id {
                2112 => self.wkt = Some(String::from_utf8_lossy(&data).trim_end_matches('\0').trim().to_owned()),
                34735 => {
                    directory =
                        Some(data.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect::<Vec<_>>());
                }
                34736 => doubles = data.chunks_exact(8).map(|c| Bytes(c).f64(0)).collect(),
                34737 => ascii = data,
                _ => self.laszip = Some(data),
            }
        }
        if let Some(directory) = directory {
            self.keys = Some(GeoKeys::parse(&directory, &doubles, &ascii));
        }
    }

    /// The coordinate system and what named it.
    pub fn crs(&self) -> (KeyCrs, &'static str) {
        let from_wkt = || {
            let wkt = self.wkt.as_deref().filter(|w| !w.is_empty())?;
            let crs = Crs::parse(wkt).ok();
            let text = crs.is_none().then(|| wkt.chars().take(500).collect());
            Some((KeyCrs { crs, text }, "WKT record"))
        };
        let from_keys = || self.keys.as_ref().map(|keys| (keys.crs(), "GeoKeys record"));
        let (first, second) = if self.is_wkt { (from_wkt(), from_keys()) } else { (from_keys(), from_wkt()) };
        let is_known = |found: &(KeyCrs, &str)| found.0.crs.is_some();
        let says = |found: &(KeyCrs, &str)| found.0.text.is_some();
        [&first, &second]
            .into_iter()
            .flatten()
            .find(|f| is_known(f))
            .or_else(|| [&first, &second].into_iter().flatten().find(|f| says(f)))
            .cloned()
            .unwrap_or((KeyCrs::default(), ""))
    }

    /// Metres in a unit of z, where the file states it.
    pub fn height_unit_m(&self) -> Option<f64> {
        let stated = self.wkt.as_deref().and_then(vertical_unit_in_wkt);
        stated.or_else(|| self.keys.as_ref().and_then(GeoKeys::vertical_unit_m))
    }

    /// Metres in a unit of x and y by the GeoKeys, where they state it.
    pub fn plane_unit_m(&self) -> Option<f64> {
        self.keys.as_ref().and_then(GeoKeys::plane_unit_m)
    }

    /// Whether all promised points can be in the file; the error names the byte and the point that were reached.
    pub fn check_size(&self, path: &Path) -> Result<(), ImportError> {
        if self.points == 0 {
            return Ok(());
        }
        if self.is_compressed {
            return self.check_chunks(path);
        }
        let available = (self.file_bytes - self.points_at) / u64::from(self.record_bytes);
        if available < self.points {
            let reason = format!(
                "the header promises {} points, the file ends after point {available}: it is cut off",
                self.points
            );
            return Err(bad(path, &format!("byte {}", self.file_bytes), reason));
        }
        Ok(())
    }

    /// Checks LASzip's record and its table of chunks, for whose numbers the decompressor allocates.
    fn check_chunks(&self, path: &Path) -> Result<(), ImportError> {
        let wrong = |at: u64, reason: String| Err(bad(path, &format!("byte {at}"), reason));
        let Some(record) = &self.laszip else {
            return wrong(self.points_at, "points are compressed, but LASzip's record is missing".into());
        };
        let vlr = match laz::LazVlr::from_buffer(record) {
            Ok(vlr) => vlr,
            Err(e) => return wrong(self.points_at, format!("LASzip's record cannot be read: {e}")),
        };
        let item_bytes: u64 = vlr.items().iter().map(|item| u64::from(item.size())).sum();
        if item_bytes != u64::from(self.record_bytes) {
            let reason =
                format!("LASzip's record describes points of {item_bytes} bytes, the header {}", self.record_bytes);
            return wrong(self.points_at, reason);
        }
        if !self.is_chunked() {
            return Ok(());
        }
        let io = |source| ImportError::Io { path: path.into(), source };
        let mut file = File::open(path).map_err(io)?;
        let mut read_u64 = |at: u64| -> Result<u64, ImportError> {
            let mut bytes = [0u8; 8];
            file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes)).map_err(io)?;
            Ok(u64::from_le_bytes(bytes))
        };
        if self.points_at + 16 > self.file_bytes {
            let reason = format!("the file ends before the first of {} promised points", self.points);
            return wrong(self.file_bytes, reason);
        }
        let mut table_at = read_u64(self.points_at)?;
        if table_at as i64 <= self.points_at as i64 {
            // A writer that could not seek back left the place at the very end.
            table_at = read_u64(self.file_bytes - 8)?;
        }
        if (table_at as i64) <= self.points_at as i64 || table_at > self.file_bytes - 8 {
            let reason = format!(
                "the table of chunks should begin at byte {}, the file ends at byte {}: it is cut off; its header \
                 promises {} points",
                table_at as i64, self.file_bytes, self.points
            );
            return wrong(self.file_bytes, reason);
        }
        let chunks = read_u64(table_at)? >> 32;
        if chunks > self.points || chunks > self.file_bytes {
            return wrong(table_at, format!("{chunks} chunks for {} points in {} bytes", self.points, self.file_bytes));
        }
        let mut reader = BufReader::new(File::open(path).map_err(io)?);
        reader.seek(SeekFrom::Start(self.points_at)).map_err(io)?;
        let table = match laz::laszip::ChunkTable::read_from(&mut reader, &vlr) {
            Ok(table) => table,
            Err(e) => return wrong(table_at, format!("the table of chunks cannot be read: {e}")),
        };
        let (mut at, mut reached) = (self.points_at + 8, 0u64);
        for entry in &table {
            if entry.byte_count > self.file_bytes || at + entry.byte_count > table_at.max(self.file_bytes) {
                let reason = format!("a chunk of {} bytes after point {reached} does not fit", entry.byte_count);
                return wrong(at, reason);
            }
            if vlr.uses_variable_size_chunks() && entry.point_count > self.points {
                return wrong(at, format!("a chunk of {} of {} points", entry.point_count, self.points));
            }
            at += entry.byte_count;
            reached += entry.point_count;
        }
        if reached < self.points {
            let reason = format!("the header promises {} points, the chunks hold at most {reached}", self.points);
            return wrong(at, reason);
        }
        Ok(())
    }

    /// Whether the compressed points stand in chunks that can be unpacked side by side.
    pub fn is_chunked(&self) -> bool {
        self.laszip.as_ref().is_some_and(|r| r.len() > 1 && matches!(u16::from_le_bytes([r[0], r[1]]), 2 | 3))
    }
}

/// Metres in the unit of a compound system's vertical part.
fn vertical_unit_in_wkt(wkt: &str) -> Option<f64> {
    let upper = wkt.to_ascii_uppercase();
    let start = ["VERT_CS[", "VERTCRS[", "VERTICALCRS[", "VERTCS["].iter().find_map(|word| upper.find(word))?;
    let mut depth = 0;
    let end = upper[start..].find(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ']' && depth == 0
    })?;
    let part = &upper[start..start + end];
    let unit = &part[part.rfind("UNIT[\"")? + 6..];
    let factor = unit.split_once("\",")?.1;
    let length = factor.find(|c: char| !(c.is_ascii_digit() || ".E+-".contains(c))).unwrap_or(factor.len());
    factor[..length].parse().ok().filter(|m: &f64| *m > 0.0 && *m < 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_heights_is_found_in_compound_wkt() {
        let wkt = r#"COMPD_CS["x",PROJCS["y",UNIT["metre",1]],VERT_CS["NAVD88 height (ftUS)",VERT_DATUM["d",2005],UNIT["US survey foot",0.3048006096012192,AUTHORITY["EPSG","9003"]],AXIS["Up",UP]]]"#;
        assert_eq!(vertical_unit_in_wkt(wkt), Some(0.3048006096012192));
        assert_eq!(vertical_unit_in_wkt(r#"PROJCS["y",UNIT["foot",0.3048]]"#), None);
        assert_eq!(vertical_unit_in_wkt(r#"VERT_CS["#), None);
    }
}
