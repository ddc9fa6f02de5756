//! How much the copy of a bucket's city may hold: what was used longest ago goes first, and is fetched again when it is wanted.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::store::lock::Lock;

/// Bytes of a copy where nobody says otherwise (`GROUNDLINE_CACHE_BYTES`).
const USUAL_BYTES: u64 = 4 << 30;
/// What was used so lately stays: somebody is about to open it.
const IN_USE: Duration = Duration::from_secs(5);

/// The room of a copy folder.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    most: u64,
    /// Bytes that are held, once they were counted.
    held: Mutex<Option<u64>>,
}

impl Room {
    pub fn new(folder: &Path) -> Self {
        let said = std::env::var("GROUNDLINE_CACHE_BYTES").ok().and_then(|text| text.parse().ok());
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        Self { folder, most: said.unwrap_or(USUAL_BYTES), held: Mutex::default() }
    }

    /// A file of `bytes` came.
    pub fn add(&self, bytes: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match *held {
            Some(held) => held + bytes,
            None => files(&self.folder).iter().map(|file| file.bytes).sum(),
        };
        *held = Some(now);
        if now <= self.most {
            return;
        }
        // Who writes has files here that the bucket does not have yet.
        let Ok(_lock) = Lock::take(&self.folder) else { return };
        *held = Some(self.make());
    }

    /// Removes files until a fifth is free; the bytes that are left.
    fn make(&self) -> u64 {
        let mut files = files(&self.folder);
        files.sort_by_key(|file| file.used);
        let mut held: u64 = files.iter().map(|file| file.bytes).sum();
        let enough = self.most / 5 * 4;
        let now = SystemTime::now();
        for file in files {
            let is_in_use = now.duration_since(file.used).map_or(true, |age| age < IN_USE);
            if held <= enough || is_in_use {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                held -= file.bytes;
            }
        }
        held
    }
}

struct Held {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// The files of objects and tiles.
fn files(folder: &Path) -> Vec<Held> {
    let mut files = Vec::new();
    let mut folders = vec![folder.join("objects"), folder.join("tiles")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(data) = entry.metadata() else { continue };
            if data.is_dir() {
                folders.push(entry.path());
            } else {
                let used = data.accessed().or_else(|_| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(Held { path: entry.path(), bytes: data.len(), used });
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first_and_nothing_while_somebody_writes() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        fs::create_dir_all(folder.join("tiles/a")).unwrap();
        fs::create_dir_all(folder.join("versions")).unwrap();
        fs::write(folder.join("versions/000001.json"), [0; 500]).unwrap();
        for number in 0..10u64 {
            let path = folder.join(format!("tiles/a/{number}"));
            fs::write(&path, [0; 100]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(100 - number);
            File::open(&path).unwrap().set_times(FileTimes::new().set_accessed(used)).unwrap();
        }
        let room = Room { folder: folder.into(), most: 600, held: Mutex::default() };
        let lock = Lock::take(folder).unwrap();
        room.add(100);
        assert_eq!(files(folder).len(), 10);
        drop(lock);
        room.add(0);
        let mut left: Vec<String> =
            files(folder).iter().map(|f| f.path.file_name().unwrap().to_string_lossy().into()).collect();
        left.sort();
        assert_eq!(left, ["6", "7", "8", "9"]);
        assert!(folder.join("versions/000001.json").exists());
    }
}
