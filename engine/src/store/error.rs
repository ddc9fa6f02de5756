//! Why the city could not be read or written.

use std::path::{Path, PathBuf};

/// Why the city could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The folder holds no city.
    #[error("{0} is not a city: it has no city.json")]
    NotACity(PathBuf),
    /// There is a city in the folder where a new one was to be made.
    #[error("{0} holds a city already")]
    Exists(PathBuf),
    /// The folder in which a city was to be made holds files of its own under the names of a city's folders.
    #[error("{0} has no city.json, but files in versions, objects, tiles or reports: no city is made on top of them")]
    Occupied(PathBuf),
    /// The city is at a new version, but the disk failed when it was asked to keep that.
    #[error("the city is at version {version}, but the disk did not confirm that it keeps it: {path}: {source}")]
    Unconfirmed {
        /// The new version.
        version: u64,
        /// File or folder.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// A file of the city is damaged.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The city was written by a later Groundline.
    #[error("{path} has format version {found}; this Groundline knows {known} and older")]
    TooNew {
        /// File.
        path: PathBuf,
        /// Its format version.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// The city never had this version.
    #[error("{city} has no version {version}")]
    NoVersion {
        /// The city's folder.
        city: PathBuf,
        /// The version asked for.
        version: u64,
    },
    /// The city has this version no more.
    #[error("{city} has version {version} no more: versions before {oldest} were given up (groundline gc --keep)")]
    GivenUp {
        /// The city's folder.
        city: PathBuf,
        /// The version asked for.
        version: u64,
        /// The oldest that is there.
        oldest: u64,
    },
    /// The answer took longer than was allowed.
    #[error("the answer takes too long: ask for less, such as a smaller box")]
    OutOfTime,
    /// No layer of this name, or it was not started in this draft.
    #[error("no layer {0:?}")]
    NoLayer(String),
    /// A change of single objects that cannot be made.
    #[error("layer {layer}: {reason}")]
    NotChanged {
        /// Layer.
        layer: String,
        /// Why not.
        reason: String,
    },
    /// Another process is writing.
    #[error("{0} is being written by another process")]
    Locked(PathBuf),
    /// A bucket, or a file in it, cannot be used.
    #[error("{url}: {reason}")]
    Bucket {
        /// The bucket's city or the file.
        url: String,
        /// Reason.
        reason: String,
    },
    /// Another import of the same city was committed first.
    #[error("{city}: another import was committed meanwhile: version {version}; nothing was changed, import again")]
    Conflict {
        /// The city.
        city: String,
        /// The version that is current now.
        version: u64,
    },
    /// Tiles could not be made.
    #[error(transparent)]
    Tile(#[from] crate::tile::TileError),
    /// Coordinate system of the city cannot be used.
    #[error(transparent)]
    Crs(#[from] crate::crs::CrsError),
}

impl StoreError {
    /// Adds the path to what the disk said: `.map_err(StoreError::at(path))`.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
        let path = path.to_path_buf();
        move |source| Self::of_io(path, source)
    }

    /// What the disk said about `path`, or what a bucket said where the file was fetched from one.
    fn of_io(path: PathBuf, source: std::io::Error) -> StoreError {
        source.downcast::<StoreError>().unwrap_or_else(|source| StoreError::Io { path, source })
    }

    /// Whether a file is not there, not as it was written, or cannot be read off its disk: it will be no better another time.
    pub(crate) fn is_damage(&self) -> bool {
        use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        match self {
            Self::Damaged { .. } => true,
            Self::Io { source, .. } => {
                let is_unreadable = source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
                is_unreadable || matches!(source.kind(), NotFound | UnexpectedEof | InvalidData)
            }
            _ => false,
        }
    }

    /// A damaged file.
    pub(crate) fn damaged(path: &Path, reason: impl std::fmt::Display) -> StoreError {
        StoreError::Damaged { path: path.to_path_buf(), reason: reason.to_string() }
    }

    /// What the Parquet library said about `path`. A full disk must stay a full disk, so errors of the
    /// operating system are taken out of their wrapping.
    pub(crate) fn parquet(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> StoreError {
        let path = path.to_path_buf();
        move |error| match error {
            parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(source) => Self::of_io(path, *source),
                Err(other) => StoreError::Damaged { path, reason: other.to_string() },
            },
            other => StoreError::Damaged { path, reason: other.to_string() },
        }
    }
}
