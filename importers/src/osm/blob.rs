//! The outer layer of OSM PBF: a file of blobs, each with a header that says its kind and length.
//!
//! The specification limits a header to 64 KiB and a blob to 32 MiB, packed and unpacked; anything larger is refused
//! before memory is taken for it.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::read::ZlibDecoder;

use super::wire::{Fault, Message};
use crate::ImportError;

const MAX_HEADER_BYTES: u32 = 64 << 10;
const MAX_BLOB_BYTES: u64 = 32 << 20;

/// What a blob holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlobKind {
    Header,
    Data,
    Other,
}

/// A file of blobs, read from front to back or at a remembered place.
pub(super) struct Blobs {
    path: PathBuf,
    reader: BufReader<File>,
    position: u64,
    pub length: u64,
    packed: Vec<u8>,
}

impl Blobs {
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let io = |source| ImportError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let reader = BufReader::with_capacity(256 << 10, file);
        Ok(Self { path: path.into(), reader, position: 0, length, packed: Vec::new() })
    }

    /// Byte where the next blob starts.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes to a blob.
    pub fn seek(&mut self, position: u64) -> Result<(), ImportError> {
        if position != self.position {
            self.reader.seek(SeekFrom::Start(position)).map_err(|source| self.io(source))?;
            self.position = position;
        }
        Ok(())
    }

    /// An error at a place in the file.
    pub fn bad(&self, at: u64, reason: impl Into<String>) -> ImportError {
        ImportError::Bad { path: self.path.clone(), place: format!("blob at byte {at}"), reason: reason.into() }
    }

    fn io(&self, source: std::io::Error) -> ImportError {
        ImportError::Io { path: self.path.clone(), source }
    }

    /// Reads the next blob into `unpacked`; `None` at the end of the file.
    pub fn next(&mut self, unpacked: &mut Vec<u8>) -> Result<Option<BlobKind>, ImportError> {
        let at = self.position;
        if at >= self.length {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.fill(at, 4, |me, _| me.reader.read_exact(&mut length))?;
        let length = u32::from_be_bytes(length);
        if length == 0 || length > MAX_HEADER_BYTES {
            return Err(self.bad(at, format!("a blob header of {length} bytes (at most {MAX_HEADER_BYTES})")));
        }
        self.fill(at, u64::from(length), read_packed)?;
        let (kind, size) = header(&self.packed).map_err(|fault| self.bad(at, format!("blob header: {fault}")))?;
        if size > MAX_BLOB_BYTES {
            return Err(self.bad(at, format!("a blob of {size} bytes (at most {MAX_BLOB_BYTES})")));
        }
        self.fill(at, size, read_packed)?;
        unpacked.clear();
        if kind != BlobKind::Other {
            unpack(&self.packed, unpacked).map_err(|reason| self.bad(at, reason))?;
        }
        Ok(Some(kind))
    }

    /// Runs `read` for `size` bytes where the file still holds as many.
    fn fill(
        &mut self,
        at: u64,
        size: u64,
        mut read: impl FnMut(&mut Self, usize) -> std::io::Result<()>,
    ) -> Result<(), ImportError> {
        if size > self.length.saturating_sub(self.position) {
            return Err(self.bad(at, "the file ends within the blob"));
        }
        read(self, size as usize).map_err(|source| self.io(source))?;
        self.position += size;
        Ok(())
    }
}

fn read_packed(blobs: &mut Blobs, size: usize) -> std::io::Result<()> {
    blobs.packed.resize(size, 0);
    blobs.reader.read_exact(&mut blobs.packed)
}

/// Kind and length of the blob that follows.
fn header(bytes: &[u8]) -> Result<(BlobKind, u64), Fault> {
    let mut message = Message::new(bytes);
    let (mut kind, mut size) = (None, None);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => {
                kind = Some(match field.bytes()? {
                    b"OSMHeader" => BlobKind::Header,
                    b"OSMData" => BlobKind::Data,
                    _ => BlobKind::Other,
                });
            }
            3 => size = Some(field.number()?),
            _ => {}
        }
    }
    Ok((kind.ok_or("no type")?, size.ok_or("no size")?))
}

fn unpack(blob: &[u8], unpacked: &mut Vec<u8>) -> Result<(), String> {
    let mut message = Message::new(blob);
    let (mut raw_size, mut raw, mut zlib) = (None, None, None);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => raw = Some(field.bytes()?),
            2 => raw_size = Some(field.number()?),
            3 => zlib = Some(field.bytes()?),
            4..=7 => {
                let packing = ["LZMA", "bzip2", "LZ4", "Zstandard"][number as usize - 4];
                return Err(format!(
                    "it is packed with {packing}; only zlib is read: `osmium cat -f pbf,pbf_compression=zlib` converts it"
                ));
            }
            _ => {}
        }
    }
    if let Some(raw) = raw {
        if raw_size.is_some_and(|size| size != raw.len() as u64) {
            return Err(format!("it holds {} bytes and says {}", raw.len(), raw_size.unwrap_or_default()));
        }
        unpacked.extend_from_slice(raw);
        return Ok(());
    }
    let (Some(zlib), Some(size)) = (zlib, raw_size) else { return Err("it has no data or no size".into()) };
    if size > MAX_BLOB_BYTES {
        return Err(format!("it unpacks to {size} bytes (at most {MAX_BLOB_BYTES})"));
    }
    // One byte more than it says, so that one that is longer is found out and the checksum at its end is reached.
    let read = ZlibDecoder::new(zlib).take(size + 1).read_to_end(unpacked);
    read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    match unpacked.len() as u64 == size {
        true => Ok(()),
        false => Err(format!("it unpacks to {} bytes and says {size}", unpacked.len())),
    }
}
