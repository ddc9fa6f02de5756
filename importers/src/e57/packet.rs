//! The packets of a scan's binary section, walked before they are decoded (ASTM E2807, 9.3).
//!
//! The decoder keeps whatever one field is ahead of another, and makes up values of fields that need no bits. This walk
//! reads only the heads of the packets: it tells how many points are really there, and refuses what would fill memory.

use std::io::{Read, Seek, SeekFrom};

use e57::{PointCloud, RecordDataType};

/// Values that one field may be ahead of another.
const MOST_AHEAD: u64 = 4_000_000;
/// Every page ends in four bytes of checksum.
const CHECKSUM: u64 = 4;

/// Points whose every field is stored, of those that the header promises; `Err` when the section makes no sense.
pub(super) fn count<R: Read + Seek>(file: &mut R, page_bytes: u64, cloud: &PointCloud) -> Result<u64, String> {
    let bits: Vec<u64> = cloud.prototype.iter().map(|r| bits(&r.data_type)).collect();
    if cloud.records == 0 {
        return Ok(0);
    }
    if bits.iter().all(|b| *b == 0) {
        return Err("its points have no field with more than one value".into());
    }
    let mut pages = Pages { file, page_bytes, at: 0 };
    pages.seek_physical(cloud.file_offset)?;
    let mut head = [0; 32];
    pages.read(&mut head)?;
    let u64_at = |at: usize| head.iter().skip(at).take(8).rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
    if head[0] != 1 {
        return Err("no section of points where the header says".into());
    }
    let length = u64_at(8);
    pages.seek_physical(cloud.file_offset)?;
    let end = pages.at.saturating_add(length);
    pages.seek_physical(u64_at(16))?;
    let mut stored = vec![0u64; bits.len()];
    loop {
        let done = stored.iter().zip(&bits).filter(|(_, b)| **b > 0).map(|(s, b)| s / b).min().unwrap_or(0);
        let most = stored.iter().zip(&bits).filter(|(_, b)| **b > 0).map(|(s, b)| s / b).max().unwrap_or(0);
        if most - done > MOST_AHEAD {
            return Err(format!("one field has {most} values where another has {done}"));
        }
        if done >= cloud.records {
            return Ok(cloud.records);
        }
        let at = pages.at;
        if at >= end {
            return Ok(done);
        }
        let mut packet = [0; 4];
        if pages.read(&mut packet).is_err() {
            return Ok(done);
        }
        let packet_bytes = u64::from(u16::from_le_bytes([packet[2], packet[3]])) + 1;
        // Packets that hold no points are passed over as the decoder does, which adds the length to the head.
        let step = match packet[0] {
            0 => 16 + packet_bytes,
            2 => 4 + packet_bytes,
            1 => {
                let mut two = [0; 2];
                pages.read(&mut two)?;
                if usize::from(u16::from_le_bytes(two)) != bits.len() {
                    return Err(format!("a packet of {} fields, not {}", u16::from_le_bytes(two), bits.len()));
                }
                let mut total = 6 + 2 * bits.len() as u64;
                for sum in &mut stored {
                    pages.read(&mut two)?;
                    let bytes = u64::from(u16::from_le_bytes(two));
                    total += bytes;
                    *sum += bytes * 8;
                }
                if total.next_multiple_of(4) != packet_bytes {
                    return Err(format!("a packet of {packet_bytes} bytes with {total} bytes in it"));
                }
                packet_bytes
            }
            other => return Err(format!("a packet of unknown kind {other}")),
        };
        pages.at = at + step;
    }
}

fn bits(kind: &RecordDataType) -> u64 {
    match kind {
        RecordDataType::Single { .. } => 32,
        RecordDataType::Double { .. } => 64,
        RecordDataType::ScaledInteger { min, max, .. } | RecordDataType::Integer { min, max } => {
            let range = i128::from(*max) - i128::from(*min);
            if range > 0 { u64::from(range.ilog2()) + 1 } else { 0 }
        }
    }
}

/// The file without its checksums.
struct Pages<'f, R> {
    file: &'f mut R,
    page_bytes: u64,
    /// Byte, checksums not counted.
    at: u64,
}

impl<R: Read + Seek> Pages<'_, R> {
    fn seek_physical(&mut self, offset: u64) -> Result<(), String> {
        self.at = offset.saturating_sub(offset / self.page_bytes * CHECKSUM);
        Ok(())
    }

    fn read(&mut self, mut buffer: &mut [u8]) -> Result<(), String> {
        let data = self.page_bytes - CHECKSUM;
        while !buffer.is_empty() {
            let (page, within) = (self.at / data, self.at % data);
            let take = buffer.len().min((data - within) as usize);
            let (now, rest) = buffer.split_at_mut(take);
            let place = page.checked_mul(self.page_bytes).and_then(|p| p.checked_add(within));
            let place = place.ok_or("an offset beyond any file")?;
            self.file
                .seek(SeekFrom::Start(place))
                .and_then(|_| self.file.read_exact(now))
                .map_err(|e| format!("byte {place}: {e}"))?;
            self.at += take as u64;
            buffer = rest;
        }
        Ok(())
    }
}
