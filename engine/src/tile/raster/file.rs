//! A file that only grows, read in any order from any thread.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    fault::{self, Output, Place},
    tile::TileError,
};

/// A file of raw blocks. Between two reads it is not held open: a city may have thousands of sources of terrain.
#[derive(Debug)]
pub(crate) struct RasterFile {
    path: PathBuf,
    /// The first failure to read back, for those who cannot say it where it happens.
    failed: Mutex<Option<std::io::Error>>,
}

impl RasterFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, failed: Mutex::default() }
    }

    /// What happened to the file, as an error of its own.
    pub fn error(&self, source: std::io::Error) -> TileError {
        TileError::Io { path: self.path.clone(), source }
    }

    pub fn open(&self) -> Result<Reader, TileError> {
        Ok(Reader(File::open(&self.path).map_err(|e| self.error(e))?))
    }

    /// Keeps a failure for [`RasterFile::check`].
    pub fn fail(&self, error: TileError) {
        let source = match error {
            TileError::Io { source, .. } => source,
            TileError::Spill(text) => std::io::Error::other(text),
        };
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(source);
    }

    /// The failure that was kept.
    pub fn check(&self) -> Result<(), TileError> {
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(self.error(std::io::Error::new(error.kind(), error.to_string()))),
            None => Ok(()),
        }
    }
}

/// The file, open for some reads.
pub(crate) struct Reader(File);

impl Reader {
    /// Fills `buffer` from `offset` on.
    pub fn read(&mut self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
        }
        #[cfg(not(unix))]
        {
            use std::io::{Read, Seek, SeekFrom};
            self.0.seek(SeekFrom::Start(offset)).and_then(|_| self.0.read_exact(buffer))
        }
    }
}

/// The end of the file at which it grows.
pub(crate) struct Appender {
    path: PathBuf,
    /// Open while it is being written.
    file: Option<BufWriter<Output>>,
    pub written: u64,
}

impl Appender {
    /// A new file in `folder`, whose name begins with `stem`.
    pub fn create(folder: &Path, stem: &str) -> Result<Self, TileError> {
        let error = |source| TileError::Io { path: folder.into(), source };
        fs::create_dir_all(folder).map_err(error)?;
        let mut number = 0_u32;
        loop {
            let path = folder.join(format!("{stem}-{number}"));
            match File::create_new(&path) {
                Ok(_) => return Ok(Self { path, file: None, written: 0 }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(TileError::Io { path, source: e }),
            }
        }
    }

    /// The file at `path` as it was when it had `written` bytes.
    pub fn reopen(path: PathBuf, written: u64) -> Result<Self, TileError> {
        let open = || -> std::io::Result<()> {
            let file = File::options().write(true).open(&path)?;
            if file.metadata()?.len() < written {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            file.set_len(written)
        };
        open().map_err(|source| TileError::Io { path: path.clone(), source })?;
        Ok(Self { path, file: None, written })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self) -> impl Fn(std::io::Error) -> TileError + use<> {
        let path = self.path.clone();
        move |source| TileError::Io { path: path.clone(), source }
    }

    /// Writes `bytes` at the end and says where that is.
    pub fn append(&mut self, bytes: &[u8]) -> Result<u64, TileError> {
        let (offset, error) = (self.written, self.error());
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = Output::append(&self.path).map_err(&error)?;
                BufWriter::with_capacity(1 << 18, file)
            }
        };
        self.file.insert(file).write_all(bytes).map_err(error)?;
        fault::at(Place::RasterAppended);
        self.written += bytes.len() as u64;
        Ok(offset)
    }

    /// What was written can be read from now on; the file is not held open any more.
    pub fn close(&mut self) -> Result<(), TileError> {
        match self.file.take() {
            Some(mut file) => file.flush().map_err(self.error()),
            None => Ok(()),
        }
    }

    /// What was written stays when the machine fails.
    pub fn sync(&mut self) -> Result<(), TileError> {
        self.close()?;
        fault::sync().and_then(|()| File::open(&self.path)?.sync_all()).map_err(self.error())
    }
}
