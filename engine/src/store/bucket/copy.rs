//! The copy of a bucket's city on this machine: what was read of it so far, and what is being written.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, FileTimes},
    io::{self, Seek},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use super::{
    remote::{Got, Remote},
    room::Room,
};
use crate::store::{
    StoreError, disk,
    manifest::{self, FileRecord, Head, LayerRecord, MOST_HEAD_BYTES, MOST_MANIFEST_BYTES, Manifest},
    path::is_plain,
};

/// Largest file of tiles that is fetched.
const MOST_TILE_BYTES: u64 = 512 << 20;
/// Largest report that is fetched.
const MOST_REPORT_BYTES: u64 = 64 << 20;
/// Digits of a BLAKE3 hash in the name of a tile.
const NAME_DIGITS: usize = 32;
/// Folder of files on their way.
const FETCH_FOLDER: &str = ".fetch";
/// A file on its way for so long has lost who fetched it.
const LOST_AFTER: Duration = Duration::from_secs(3600);

/// A city in a bucket and its copy folder.
#[derive(Debug)]
pub(crate) struct BucketCity {
    url: String,
    folder: PathBuf,
    pub(super) remote: Remote,
    state: Mutex<State>,
    /// One question for `city.json` at a time.
    asking: Mutex<()>,
    /// Size and hash of the files that manifests name, by their path in the city.
    known: RwLock<HashMap<String, (u64, String)>>,
    /// Folders of tiles that manifests name.
    tile_folders: RwLock<HashSet<String>>,
    /// Files that are being fetched.
    fetching: Mutex<HashSet<String>>,
    fetched: Condvar,
    room: Room,
}

/// `city.json` as the bucket has it.
#[derive(Debug, Default)]
struct State {
    head: Option<Arc<[u8]>>,
    tag: Option<String>,
    /// `city.json` of a city that is made here and is in the bucket with its first version.
    unborn: Option<Arc<[u8]>>,
}

/// What a fetched file must be.
struct Wanted {
    most: u64,
    /// Its hash or the first half of it, where it is known.
    hash: Option<String>,
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where this program keeps what it can make again: a folder of its own for each `key`, among those of its `kind`, below
/// `GROUNDLINE_CACHE`, else the user's cache folder.
pub fn cache_folder(kind: &str, key: &str) -> PathBuf {
    let cache = match (variable("GROUNDLINE_CACHE"), variable("XDG_CACHE_HOME"), variable("HOME")) {
        (Some(own), ..) => PathBuf::from(own),
        (None, Some(cache), _) => PathBuf::from(cache).join("groundline"),
        (None, None, Some(home)) => PathBuf::from(home).join(".cache/groundline"),
        (None, None, None) => std::env::temp_dir().join("groundline"),
    };
    cache.join(kind).join(&blake3::hash(key.as_bytes()).to_hex()[..NAME_DIGITS])
}

/// The folder of the copy of the city at `url`. Another server's bucket of the same name has another one.
pub(crate) fn copy_folder(url: &str) -> PathBuf {
    let server = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().find_map(|name| variable(name)).unwrap_or_default();
    let key = format!("{} {}", server.to_string_lossy(), url.trim_end_matches('/'));
    cache_folder("cities", &key)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BucketCity {
    /// Prepares the copy of the city at `url`; asks nobody yet.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        let remote = Remote::connect(url)?;
        let folder = copy_folder(url);
        make_folder(&folder)?;
        for inner in ["versions", "objects", "tiles", "reports", FETCH_FOLDER] {
            let inner = folder.join(inner);
            fs::create_dir_all(&inner).map_err(StoreError::at(&inner))?;
        }
        // Paths below it are compared with it.
        let folder = folder.canonicalize().map_err(StoreError::at(&folder))?;
        drop_lost(&folder.join(FETCH_FOLDER));
        Ok(Self {
            url: url.into(),
            room: Room::new(&folder),
            folder,
            remote,
            state: Mutex::default(),
            asking: Mutex::default(),
            known: RwLock::default(),
            tile_folders: RwLock::default(),
            fetching: Mutex::default(),
            fetched: Condvar::new(),
        })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of its copy.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fails where the city is a server's, which nobody writes through it.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        self.remote.check_writable()
    }

    /// Asks for `city.json`; says whether it is another than it was.
    pub fn refresh(&self) -> Result<bool, StoreError> {
        let _one = lock(&self.asking);
        let tag = lock(&self.state).tag.clone();
        match self.remote.get("city.json", MOST_HEAD_BYTES, tag.as_deref())? {
            Got::Missing => {
                let mut state = lock(&self.state);
                state.tag = None;
                Ok(state.head.take().is_some())
            }
            Got::Same => {
                // Another process with the same copy may have written one that it had asked for earlier.
                let head = lock(&self.state).head.clone();
                if let Some(head) = head {
                    self.keep_head(&head);
                }
                Ok(false)
            }
            Got::New(bytes, tag) => {
                let head: Arc<[u8]> = bytes.into();
                self.take_head(head, tag);
                Ok(true)
            }
        }
    }

    /// Holds `city.json` as the copy has it, where nobody could be asked for a newer one; says whether there is one.
    pub fn recall(&self) -> bool {
        if self.head().is_some() {
            return true;
        }
        let kept = disk::read_bounded(&self.folder.join("city.json"), MOST_HEAD_BYTES);
        let Ok(kept) = kept else { return false };
        let is_head = serde_json::from_slice::<Head>(&kept).is_ok();
        if is_head {
            // Without a tag, so that the next question brings the bucket's own.
            self.take_head(kept.into(), None);
        }
        is_head
    }

    /// `city.json` with its tag in the bucket; the tag is absent where the city is not in the bucket yet.
    pub fn head(&self) -> Option<(Arc<[u8]>, Option<String>)> {
        let state = lock(&self.state);
        match (&state.head, &state.unborn) {
            (Some(head), _) => Some((head.clone(), state.tag.clone())),
            (None, Some(unborn)) => Some((unborn.clone(), None)),
            (None, None) => None,
        }
    }

    /// Begins a city that comes into the bucket with its first version.
    pub fn begin(&self, head: &[u8]) {
        lock(&self.state).unborn = Some(head.into());
    }

    /// The newest version's number and the hash of its manifest.
    pub fn newest(&self) -> Option<(u64, String)> {
        let (bytes, _) = self.head()?;
        serde_json::from_slice::<Head>(&bytes).ok().map(|head| (head.version, head.manifest))
    }

    /// Holds what the bucket has now.
    pub(super) fn take_head(&self, bytes: Arc<[u8]>, tag: Option<String>) {
        {
            let mut state = lock(&self.state);
            (state.head, state.tag, state.unborn) = (Some(bytes.clone()), tag, None);
        }
        if let Some((version, hash)) = self.newest() {
            self.know(manifest::manifest_path(version), FileRecord::ANY_SIZE, hash);
        }
        self.keep_head(&bytes);
    }

    /// Writes `city.json` into the copy. Where the one there is of another city or of versions long ago, manifests and reports go: they may
    /// be those of a city that was at this URL before.
    fn keep_head(&self, bytes: &[u8]) {
        let path = self.folder.join("city.json");
        let held = fs::read(&path).unwrap_or_default();
        if held == bytes {
            return;
        }
        if !self.follows(&held) {
            for inner in ["versions", "reports"] {
                for entry in fs::read_dir(self.folder.join(inner)).into_iter().flatten().flatten() {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        // The copy of it is for those who look into the folder; the program has it in memory.
        let _ = self.put_into_copy("city.json", bytes);
    }

    /// Whether the newest version is the next one after that of the `city.json` that the copy holds.
    fn follows(&self, held: &[u8]) -> bool {
        let Ok(held) = serde_json::from_slice::<Head>(held) else { return false };
        let Some((version, hash)) = self.newest() else { return false };
        if held.version.checked_add(1) != Some(version) {
            return false;
        }
        let relative = manifest::manifest_path(version);
        let read = self.fetch(&relative).map_err(StoreError::at(Path::new(&relative)));
        let read = read.and_then(|_| disk::read_bounded(&self.folder.join(&relative), MOST_MANIFEST_BYTES));
        let Ok(bytes) = read else { return false };
        let is_newest = blake3::hash(&bytes).to_hex().as_str() == hash;
        let parent = serde_json::from_slice::<Manifest>(&bytes).ok().and_then(|manifest| manifest.parent_manifest);
        is_newest && parent.as_deref() == Some(&held.manifest)
    }

    /// Writes a small file of the copy at once.
    pub(super) fn put_into_copy(&self, relative: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.folder.join(FETCH_FOLDER))?;
        io::Write::write_all(&mut file, bytes)?;
        file.persist(self.folder.join(relative)).map(|_| ()).map_err(|error| error.error)
    }

    /// Takes note of what a manifest names.
    pub fn expect(&self, manifest: &Manifest) {
        if let (Some(version), Some(hash)) = (manifest.parent, &manifest.parent_manifest) {
            self.know(manifest::manifest_path(version), FileRecord::ANY_SIZE, hash.clone());
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut folders = self.tile_folders.write().unwrap_or_else(PoisonError::into_inner);
        for file in manifest.layers.iter().flat_map(LayerRecord::files) {
            known.insert(file.path.clone(), (file.size, file.blake3.clone()));
        }
        for tileset in manifest.layers.iter().filter_map(|layer| layer.tileset.as_deref()) {
            folders.extend(tileset.rsplit_once('/').map(|(folder, _)| folder.to_owned()));
        }
    }

    fn know(&self, relative: String, size: u64, hash: String) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(relative, (size, hash));
    }

    /// Whether `bytes` are what the manifest at `relative` must be, as far as that is known.
    pub fn is_expected(&self, relative: &str, bytes: &[u8]) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(relative).is_none_or(|(_, hash)| blake3::hash(bytes).to_hex().starts_with(hash.as_str()))
    }

    /// What the file must be; `None` for what is no file of the city, of which nobody is asked.
    fn wanted(&self, relative: &str) -> Option<Wanted> {
        let (inner, rest) = relative.split_once('/').filter(|_| is_plain(relative))?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(relative).cloned();
        let number = || rest.strip_suffix(".json").and_then(|digits| digits.parse::<u64>().ok());
        let is_version = || number().is_some_and(|number| self.newest().is_some_and(|(newest, _)| number <= newest));
        let wanted = |most, hash| Some(Wanted { most, hash });
        match (inner, known) {
            ("versions", known) if is_version() => wanted(MOST_MANIFEST_BYTES, known.map(|(_, hash)| hash)),
            ("reports", _) if is_version() => wanted(MOST_REPORT_BYTES, None),
            ("objects" | "tiles", Some((size, hash))) => wanted(size, Some(hash)),
            ("tiles", None) => {
                let (folder, name) = relative.rsplit_once('/')?;
                let (digits, _) = name.rsplit('-').next()?.split_once('.')?;
                let is_hash = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let is_known = self.tile_folders.read().unwrap_or_else(PoisonError::into_inner).contains(folder);
                (is_hash && is_known).then(|| Wanted { most: MOST_TILE_BYTES, hash: Some(digits.to_owned()) })
            }
            _ => None,
        }
    }

    /// Brings a file into the copy and opens it. Of several who want it, one fetches it.
    pub fn fetch(&self, relative: &str) -> io::Result<File> {
        let path = self.folder.join(relative);
        let Some(wanted) = self.wanted(relative) else { return Err(io::ErrorKind::NotFound.into()) };
        {
            let mut fetching = lock(&self.fetching);
            while fetching.contains(relative) {
                fetching = self.fetched.wait(fetching).unwrap_or_else(PoisonError::into_inner);
            }
            if let Ok(file) = File::open(&path) {
                return Ok(file);
            }
            fetching.insert(relative.to_owned());
        }
        let fetched = self.fetch_now(relative, &path, &wanted);
        lock(&self.fetching).remove(relative);
        self.fetched.notify_all();
        let (file, size) = fetched.map_err(|error| match error {
            Some(error) => io::Error::other(error),
            None => {
                let url = self.remote.url_of(relative);
                io::Error::new(io::ErrorKind::NotFound, StoreError::Bucket { url, reason: "it is not there".into() })
            }
        })?;
        self.room.add(size);
        Ok(file)
    }

    /// `Err(None)` when the bucket has no such file.
    fn fetch_now(&self, relative: &str, path: &Path, wanted: &Wanted) -> Result<(File, u64), Option<StoreError>> {
        let disk = |source: io::Error| Some(StoreError::Io { path: path.into(), source });
        let mut file = tempfile::NamedTempFile::new_in(self.folder.join(FETCH_FOLDER)).map_err(disk)?;
        let mut tried = self.download(relative, wanted, &mut file);
        if !matches!(tried, Ok(_) | Err(Some(StoreError::Bucket { .. })))
            && let (Some(hash), Some((folder @ "versions", _))) = (&wanted.hash, relative.split_once('/'))
        {
            // A version whose import died before its manifest had its number.
            file.rewind().and_then(|()| file.as_file().set_len(0)).map_err(disk)?;
            let under_hash = self.download(&format!("{folder}/{hash}.json"), wanted, &mut file);
            if under_hash.is_ok() {
                tried = under_hash;
            }
        }
        let size = tried?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(disk)?;
        }
        give_time(file.as_file());
        file.persist(path).map_err(|error| disk(error.error))?;
        Ok((File::open(path).map_err(disk)?, size))
    }

    /// Writes the file into `out` and checks it; its size.
    fn download(&self, relative: &str, wanted: &Wanted, out: &mut dyn io::Write) -> Result<u64, Option<StoreError>> {
        let got = self.remote.download(relative, wanted.most, out)?;
        let (size, hash) = got.ok_or(None)?;
        match &wanted.hash {
            Some(right) if right.len() < NAME_DIGITS || !hash.starts_with(right.as_str()) => {
                let reason = format!("its content is not what was written: BLAKE3 {hash} instead of {right}");
                Err(Some(StoreError::Damaged { path: self.remote.url_of(relative).into(), reason }))
            }
            _ => Ok(size),
        }
    }

    /// Size and BLAKE3 of a file in the bucket, whatever the copy holds; `None` when it is not there.
    pub fn hash(&self, relative: &str) -> Result<Option<(u64, String)>, StoreError> {
        self.remote.download(relative, u64::MAX, &mut io::sink())
    }

    /// Takes a file out of the copy, so that it is fetched again.
    pub fn drop_copy(&self, relative: &str) {
        let _ = fs::remove_file(self.folder.join(relative));
    }
}

/// Makes the copy folder, which nobody else on this machine may look into.
fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(StoreError::at(parent))?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(StoreError::at(folder)),
    }
}

/// Gives a file the one time that all files of copies have: servers tell the content of a file by its time and size, and several of them
/// must say the same of the same file.
pub(super) fn give_time(file: &File) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
    // Without it a browser only loads again what it has.
    let _ = file.set_times(FileTimes::new().set_modified(time).set_accessed(SystemTime::now()));
}

/// Removes files whose fetching process died.
fn drop_lost(folder: &Path) {
    let now = SystemTime::now();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let changed = entry.metadata().and_then(|data| data.modified()).unwrap_or(now);
        if now.duration_since(changed).is_ok_and(|age| age > LOST_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
