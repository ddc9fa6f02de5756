//! What of a layer's tiles is made already, written down as it is made (续传): a process that is killed leaves it to the
//! next one, which goes on from there.
//!
//! A file of records, each with its length and the first eight bytes of its BLAKE3 before it. What a killed process left
//! unfinished at the end is cut off. Nothing depends on it: what is not found is made again.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::fault::Output;

/// Length and hash.
const HEAD: usize = 12;
/// Longest record that is read back.
const MOST_BYTES: u32 = 1 << 30;

/// Finished work of a layer by its name. Shared by the threads that make tiles.
#[derive(Debug, Default)]
pub struct Journal(Option<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    file: Output,
    /// Offset and length of the records.
    places: HashMap<String, (u64, u32)>,
    end: u64,
}

impl Journal {
    /// One that keeps nothing.
    pub fn none() -> &'static Self {
        static NONE: Journal = Journal(None);
        &NONE
    }

    /// The journal at `path`, which is made where there is none.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut inner = Inner { file: Output(file), places: HashMap::new(), end: 0 };
        let mut reader = BufReader::with_capacity(1 << 18, inner.file.0.try_clone()?);
        let mut record = Vec::new();
        while let Some(length) = next(&mut reader, &mut record)? {
            let Ok((key, _)) = postcard::take_from_bytes::<String>(&record) else { break };
            inner.places.insert(key, (inner.end + HEAD as u64, length));
            inner.end += (HEAD + length as usize) as u64;
        }
        inner.file.0.set_len(inner.end)?;
        Ok(Self(Some(Mutex::new(inner))))
    }

    /// Whether anything is kept.
    pub fn keeps(&self) -> bool {
        self.0.is_some()
    }

    /// Whether something is kept under `key`.
    pub fn has(&self, key: &str) -> bool {
        let inner = self.0.as_ref().map(|inner| inner.lock().unwrap_or_else(PoisonError::into_inner));
        inner.is_some_and(|inner| inner.places.contains_key(key))
    }

    /// What was kept under `key`, when it is there and of this type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let mut inner = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let (offset, length) = *inner.places.get(key)?;
        let mut record = vec![0; length as usize];
        inner.file.0.seek(SeekFrom::Start(offset)).ok()?;
        inner.file.0.read_exact(&mut record).ok()?;
        drop(inner);
        let (_, value) = postcard::take_from_bytes::<String>(&record).ok()?;
        postcard::from_bytes(value).ok()
    }

    /// Keeps `value` under `key`. What cannot be kept is only made again, should this process be killed.
    pub fn put<T: Serialize>(&self, key: &str, value: &T) {
        let Some(inner) = &self.0 else { return };
        let mut record = vec![0; HEAD];
        let Ok(bytes) = postcard::to_extend(key, record) else { return };
        let Ok(bytes) = postcard::to_extend(value, bytes) else { return };
        record = bytes;
        let Some(length) = u32::try_from(record.len() - HEAD).ok().filter(|n| *n <= MOST_BYTES) else { return };
        let hash = blake3::hash(&record[HEAD..]);
        record[..4].copy_from_slice(&length.to_le_bytes());
        record[4..HEAD].copy_from_slice(&hash.as_bytes()[..8]);
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        let end = inner.end;
        let written = inner.file.0.seek(SeekFrom::Start(end)).and_then(|_| inner.file.write_all(&record));
        if written.is_ok() {
            inner.end += record.len() as u64;
            inner.places.insert(key.into(), (end + HEAD as u64, length));
        }
    }
}

/// The next record and its length; `None` at the end, or where what follows is not whole.
fn next(reader: &mut impl Read, record: &mut Vec<u8>) -> std::io::Result<Option<u32>> {
    let mut head = Vec::with_capacity(HEAD);
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    let Some((length, hash)) = head.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    record.clear();
    if length > MOST_BYTES || reader.take(u64::from(length)).read_to_end(record)? < length as usize {
        return Ok(None);
    }
    let is_whole = hash.len() == HEAD - 4 && blake3::hash(record).as_bytes().starts_with(hash);
    Ok(is_whole.then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_a_torn_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        journal.put("a", &(1_u32, "one".to_owned()));
        journal.put("b", &vec![7_u8; 1000]);
        assert_eq!(journal.get::<(u32, String)>("a"), Some((1, "one".into())));
        assert_eq!(journal.get::<u32>("c"), None);
        drop(journal);
        let good = std::fs::read(&path).unwrap();
        let first = good.len() - 1000;
        for length in (0..good.len()).step_by(37) {
            std::fs::write(&path, &good[..length]).unwrap();
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.get::<(u32, String)>("a").is_some(), length > first / 2, "{length}");
            assert_eq!(journal.get::<Vec<u8>>("b"), None, "{length}");
            journal.put("b", &vec![8_u8; 10]);
            drop(journal);
            assert_eq!(Journal::open(&path).unwrap().get("b"), Some(vec![8_u8; 10]), "{length}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            let journal = Journal::open(&path).unwrap();
            assert!(journal.get::<Vec<u8>>("b").is_none(), "{at}");
        }
        assert_eq!(Journal::none().get::<u32>("a"), None);
    }
}
