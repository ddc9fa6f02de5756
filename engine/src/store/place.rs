//! Where a city lies: a folder, or a bucket (`s3://bucket/prefix/name.city`) with a copy folder on this machine.
//!
//! All files of a city but `city.json` never change, so the copy folder is a city folder in which files may be missing: whoever opens
//! one that is not there gets it from the bucket. Every reader opens files through [`open_file`], which for a city in a folder is
//! `File::open`.

use std::{
    fs::{File, FileTimes},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use super::{StoreError, bucket::BucketCity, row_blocks::Stamp};

/// The cities in buckets that this process has opened.
static BUCKETS: RwLock<Vec<Arc<BucketCity>>> = RwLock::new(Vec::new());
/// Whether there is any: cities in folders are not searched for in a list.
static ANY: AtomicBool = AtomicBool::new(false);

/// Opens a file of a city for reading; one of a city in a bucket is brought here first where it is missing.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Ok(file) => {
            if in_bucket(path).is_some() {
                // What is used stays longest in the copy. That this cannot be written down harms nothing.
                let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match in_bucket(path) {
            Some((bucket, relative)) => bucket.fetch(&relative),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// What the file at `path` is now, without opening it; `None` where it is not there, and for a city in a bucket, of which every use is
/// written down.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    if in_bucket(path).is_some() {
        return None;
    }
    std::fs::metadata(path).ok().map(|data| Stamp::of(&data))
}

/// A file of a city as a whole; one of more than `most` bytes is `FileTooLarge`.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Whether a file of a city is there; it is on this machine then.
pub(crate) fn is_file(path: &Path) -> io::Result<bool> {
    let Some((bucket, relative)) = in_bucket(path) else { return Ok(path.is_file()) };
    if path.is_file() {
        return open_file(path).map(|_| true);
    }
    match bucket.fetch(&relative) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The bucket of the city that has its copy in `folder`.
pub(crate) fn bucket(folder: &Path) -> Option<Arc<BucketCity>> {
    find(|bucket| bucket.folder() == folder)
}

/// The folder in which the city at `city` is read and written: itself, or the copy folder of a bucket URL. A bucket is asked for its
/// newest version.
pub(crate) fn settle(city: &Path) -> Result<PathBuf, StoreError> {
    let Some(url) = url_of(city) else { return Ok(city.to_path_buf()) };
    let bucket = match find(|bucket| bucket.url() == url) {
        Some(bucket) => bucket,
        None => {
            let mut all = BUCKETS.write().unwrap_or_else(PoisonError::into_inner);
            match all.iter().find(|bucket| bucket.url() == url) {
                // Another thread was first.
                Some(bucket) => bucket.clone(),
                None => {
                    let bucket = Arc::new(BucketCity::connect(url)?);
                    all.push(bucket.clone());
                    ANY.store(true, Ordering::Release);
                    bucket
                }
            }
        }
    };
    bucket.refresh()?;
    Ok(bucket.folder().to_path_buf())
}

/// The copy folder of a bucket that was asked and did not answer, where it holds a version.
pub(super) fn recall(city: &Path) -> Option<PathBuf> {
    let url = url_of(city)?;
    let bucket = find(|bucket| bucket.url() == url)?;
    bucket.recall().then(|| bucket.folder().to_path_buf())
}

/// The folder of the city at `city` on this machine; nobody is asked.
pub(crate) fn local(city: &Path) -> PathBuf {
    match url_of(city) {
        Some(url) => super::bucket::copy_folder(url),
        None => city.to_path_buf(),
    }
}

/// The URL, where `city` is one.
fn url_of(city: &Path) -> Option<&str> {
    city.to_str().filter(|text| text.contains("://"))
}

/// The bucket that a path in a copy folder belongs to, and the path in the city.
fn in_bucket(path: &Path) -> Option<(Arc<BucketCity>, String)> {
    if !ANY.load(Ordering::Acquire) {
        return None;
    }
    let bucket = find(|bucket| path.starts_with(bucket.folder()))?;
    let relative = path.strip_prefix(bucket.folder()).ok()?.to_str()?.to_owned();
    Some((bucket, relative))
}

fn find(is_it: impl Fn(&BucketCity) -> bool) -> Option<Arc<BucketCity>> {
    if !ANY.load(Ordering::Acquire) {
        return None;
    }
    let all = BUCKETS.read().unwrap_or_else(PoisonError::into_inner);
    all.iter().find(|bucket| is_it(bucket)).cloned()
}

/// Removes what an import made where it could not fill the city: the folder, or the copy of a bucket in which nothing lies yet.
pub(super) fn discard(city: &Path) {
    let _ = std::fs::remove_dir_all(local(city));
}
