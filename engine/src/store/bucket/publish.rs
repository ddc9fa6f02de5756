//! A new version into the bucket, and what no version names out of it.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{
    copy::{BucketCity, give_time},
    remote::{Got, When},
};
use crate::store::{
    StoreError,
    manifest::{self, MOST_HEAD_BYTES, MOST_MANIFEST_BYTES},
};

/// Files that are sent or removed at the same time.
const AT_ONCE: usize = 8;

/// A version that is complete in the copy.
pub(crate) struct News<'a> {
    /// Number of the version before, hash of its manifest, and the tag of its `city.json`; no tag where the bucket has no city yet.
    pub base: (u64, &'a str, Option<String>),
    /// Number and hash of the manifest of this version.
    pub version: (u64, &'a str),
    /// New files, relative to the city.
    pub files: &'a [String],
    pub report: &'a [u8],
    pub manifest: &'a [u8],
    /// `city.json`.
    pub head: &'a [u8],
}

fn under_hash(folder: &str, hash: &str) -> String {
    format!("{folder}/{hash}.json")
}

impl BucketCity {
    /// Makes the version that of the bucket, unless another one was made of the same version before.
    pub fn publish(&self, news: &News<'_>) -> Result<(), StoreError> {
        let (base, base_hash, tag) = &news.base;
        let (version, hash) = news.version;
        let first = match tag {
            Some(_) => {
                self.put_right(*base, base_hash)?;
                None
            }
            None => Some(self.first_manifest(base_hash)?),
        };
        // What is named by its content may be written again: that is the same, mends what is damaged, and makes it new for whoever removes
        // old files that nobody names.
        self.each(news.files, &|relative| {
            let path = self.folder().join(relative);
            let file = File::open(&path).map_err(StoreError::at(&path))?;
            give_time(&file);
            self.remote.put_file(relative, file, &path)
        })?;
        if let Some(first) = &first {
            self.remote.put(&under_hash("versions", base_hash), first.clone(), When::Always)?;
        }
        self.remote.put(&under_hash("reports", hash), news.report.to_vec(), When::Always)?;
        self.remote.put(&under_hash("versions", hash), news.manifest.to_vec(), When::Always)?;
        let new_tag = self.switch(news.head, tag.clone().map_or(When::Missing, When::Is))?;

        // The version is there now. What still fails is put right by the next import.
        let _ = self.put_into_copy(&manifest::manifest_path(version), news.manifest);
        let _ = self.put_into_copy(&manifest::report_path(version), news.report);
        self.take_head(news.head.into(), new_tag);
        let settled = || -> Result<(), StoreError> {
            if let Some(first) = first {
                self.remote.put(&manifest::manifest_path(*base), first, When::Always)?;
                self.remote.delete(&under_hash("versions", base_hash))?;
            }
            self.remote.put(&manifest::report_path(version), news.report.to_vec(), When::Always)?;
            self.remote.put(&manifest::manifest_path(version), news.manifest.to_vec(), When::Always)?;
            self.remote.delete(&under_hash("reports", hash))?;
            self.remote.delete(&under_hash("versions", hash))
        };
        if let Err(error) = settled() {
            tracing::warn!("version {version} is committed; {error}");
        }
        Ok(())
    }

    /// Puts `city.json` alone, for the version that it has; only where it still has this tag.
    pub fn put_head(&self, head: &[u8], tag: String) -> Result<(), StoreError> {
        let tag = self.switch(head, When::Is(tag))?;
        self.take_head(head.into(), tag);
        Ok(())
    }

    /// The manifest of the empty city that this version is made of.
    fn first_manifest(&self, hash: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.folder().join(manifest::manifest_path(0));
        let bytes = std::fs::read(&path).map_err(StoreError::at(&path))?;
        match blake3::hash(&bytes).to_hex().as_str() == hash {
            true => Ok(bytes),
            false => Err(StoreError::damaged(&path, "it is not the manifest that city.json names")),
        }
    }

    /// Puts `city.json`; its tag then.
    fn switch(&self, head: &[u8], when: When) -> Result<Option<String>, StoreError> {
        let put = self.remote.put("city.json", head.to_vec(), when);
        if let Ok(Some(tag)) = put {
            return Ok(tag);
        }
        // A put whose answer was lost, and was tried again, comes too late for itself.
        let now = self.remote.get("city.json", MOST_HEAD_BYTES, None);
        match (put, now) {
            (_, Ok(Got::New(bytes, tag))) if bytes == head => Ok(tag),
            (Ok(_), Ok(Got::New(bytes, tag))) => {
                self.take_head(bytes.into(), tag);
                let version = self.newest().map_or(0, |(version, _)| version);
                Err(StoreError::Conflict { city: self.url().into(), version })
            }
            (Ok(_), Ok(_)) => Err(StoreError::NotACity(self.url().into())),
            (Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    }

    /// Gives the manifest of a version its number where the import that made it died before that.
    fn put_right(&self, version: u64, hash: &str) -> Result<(), StoreError> {
        let numbered = manifest::manifest_path(version);
        if !self.remote.has(&under_hash("versions", hash))? {
            return Ok(());
        }
        let moves =
            [(under_hash("reports", hash), manifest::report_path(version)), (under_hash("versions", hash), numbered)];
        for (from, to) in moves {
            if let Got::New(bytes, _) = self.remote.get(&from, MOST_MANIFEST_BYTES, None)? {
                self.remote.put(&to, bytes, When::Always)?;
                self.remote.delete(&from)?;
            }
        }
        Ok(())
    }

    /// Removes what is not in `kept` and was not changed for `age`. Returns the bytes.
    pub fn sweep(&self, kept: &HashSet<String>, age: Duration) -> Result<u64, StoreError> {
        let Some((newest, hash)) = self.newest() else { return Ok(0) };
        self.put_right(newest, &hash)?;
        let now = chrono::Utc::now().timestamp();
        let age_s = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let mut old = Vec::new();
        let mut freed = 0;
        for inner in ["versions", "objects", "tiles", "reports"] {
            for file in self.remote.list(inner)? {
                if !kept.contains(&file.relative) && now.saturating_sub(file.changed_s) >= age_s {
                    freed += file.bytes;
                    old.push(file.relative);
                }
            }
        }
        self.refresh()?;
        if self.newest().is_none_or(|(version, _)| version != newest) {
            // Its files are not among those that are kept.
            let version = self.newest().map_or(0, |(version, _)| version);
            return Err(StoreError::Conflict { city: self.url().into(), version });
        }
        self.each(&old, &|relative| self.remote.delete(relative))?;
        Ok(freed)
    }

    /// Does something with each file, several at a time; stops at the first that fails.
    fn each(&self, files: &[String], act: &(dyn Fn(&str) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        let queue = Mutex::new(files.iter().collect::<VecDeque<_>>());
        let failed = Mutex::new(None);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(files.len()) {
                scope.spawn(|| {
                    while let Some(relative) = next() {
                        if let Err(error) = act(relative) {
                            queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}
