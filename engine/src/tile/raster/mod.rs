//! Heights and pictures of the ground, kept on disk: what is in memory does not grow with them.
//!
//! ```text
//! HeightGrid, Picture ─► Rasters ─► one file that only grows ─┬─► HeightRaster: square blocks, a few kept by each thread
//!                                                             └─► Photo: the picture and its halved copies in blocks
//! ```
//!
//! Parts are written as they come and forgotten. Parts of one picture that follow each other from north to south
//! become one [`Photo`]. [`Rasters::state`] says what is needed to go on in another process with the same file.

mod file;
mod heights;
mod photo;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub(crate) use self::file::{Appender, RasterFile};
pub use self::{
    heights::HeightRaster,
    photo::{Photo, Sampler},
};
use self::{
    heights::HeightShape,
    photo::{PhotoShape, PhotoWriter, PhotoWriterState},
};
use super::TileError;
use crate::model::{HeightGrid, Picture};

/// Changes with the meaning of [`RastersState`].
const FORMAT: u32 = 1;

/// The heights and pictures of one layer, in the order in which they came.
pub struct Rasters {
    folder: PathBuf,
    out: Option<(Appender, Arc<RasterFile>)>,
    grids: Vec<Arc<HeightRaster>>,
    photos: Vec<Arc<Photo>>,
    /// The picture whose next part may come.
    open: Option<PhotoWriter>,
}

/// What [`Rasters`] hold, for a process that goes on with their file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RastersState {
    format: u32,
    /// Name of the file in its folder, and how much of it counts.
    file: Option<(String, u64)>,
    grids: Vec<(HeightShape, u64)>,
    photos: Vec<PhotoShape>,
    open: Option<PhotoWriterState>,
}

impl Rasters {
    /// None yet; their file will be made in `folder` when the first comes. It must stay there as long as they are read.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), out: None, grids: Vec::new(), photos: Vec::new(), open: None }
    }

    fn out(&mut self) -> Result<&mut (Appender, Arc<RasterFile>), TileError> {
        let out = match self.out.take() {
            Some(out) => out,
            None => {
                let appender = Appender::create(&self.folder, "surface")?;
                let file = Arc::new(RasterFile::new(appender.path().to_path_buf()));
                (appender, file)
            }
        };
        Ok(self.out.insert(out))
    }

    /// Takes a grid; one that contradicts itself is passed over.
    pub fn push_heights(&mut self, grid: &HeightGrid) -> Result<(), TileError> {
        let is_whole = grid.heights.len() as u64 == u64::from(grid.columns) * u64::from(grid.rows);
        if !is_whole || grid.heights.is_empty() || !(grid.step_m.is_finite() && grid.step_m.min_element() > 0.0) {
            return Ok(());
        }
        let (out, file) = self.out()?;
        let offset = HeightRaster::write(grid, out)?;
        out.close()?;
        let raster = HeightRaster::stored(HeightShape::of(grid), file.clone(), offset);
        self.grids.push(Arc::new(raster));
        Ok(())
    }

    /// Takes a picture, or the next part of one, of the object `id`; one that contradicts itself is passed over.
    pub fn push_picture(&mut self, id: &str, picture: &Picture) -> Result<(), TileError> {
        let pixels = u64::from(picture.columns) * u64::from(picture.rows);
        let is_whole = pixels > 0 && pixels.checked_mul(3) == Some(picture.rgb.len() as u64);
        if !(is_whole && picture.step_m.is_finite() && picture.step_m.min_element() > 0.0) {
            return Ok(());
        }
        if !self.open.as_ref().is_some_and(|open| open.is_continued_by(id, picture)) {
            self.end_picture()?;
        }
        let mut open = self.open.take().unwrap_or_else(|| PhotoWriter::new(id, picture));
        let (out, _) = self.out()?;
        open.push(&picture.rgb, out)?;
        out.close()?;
        self.open = Some(open);
        Ok(())
    }

    fn end_picture(&mut self) -> Result<(), TileError> {
        if let Some(open) = self.open.take() {
            let (out, file) = self.out()?;
            let photo = open.finish(out)?.map(|shape| Photo::new(file.clone(), shape));
            out.close()?;
            self.photos.extend(photo.map(Arc::new));
        }
        Ok(())
    }

    /// All of them, to be read. What comes later is not among them.
    pub fn all(&mut self) -> Result<(&[Arc<HeightRaster>], &[Arc<Photo>]), TileError> {
        self.end_picture()?;
        Ok((&self.grids, &self.photos))
    }

    /// What they hold. It is on disk when this returns, and what comes later does not change it.
    pub fn state(&mut self) -> Result<RastersState, TileError> {
        let mut state = RastersState {
            format: FORMAT,
            file: None,
            grids: self.grids.iter().map(|grid| grid.state()).collect(),
            photos: self.photos.iter().map(|photo| photo.shape().clone()).collect(),
            open: None,
        };
        if let Some((out, _)) = &mut self.out {
            state.open = self.open.as_ref().map(|open| open.state(out)).transpose()?;
            out.sync()?;
            let name = out.path().file_name().map(|name| name.to_string_lossy().into_owned());
            state.file = name.map(|name| (name, out.written));
        }
        Ok(state)
    }

    /// Goes on in `folder` from what was said there; what the file holds beyond it is cut off.
    pub fn restore(folder: &Path, state: RastersState) -> Result<Self, TileError> {
        if state.format != FORMAT {
            return Err(TileError::Spill(format!("rasters of format {}, not {FORMAT}", state.format)));
        }
        let mut rasters = Self::new(folder);
        let Some((name, written)) = state.file else { return Ok(rasters) };
        if name.contains(['/', '\\']) {
            return Err(TileError::Spill("a raster file outside of its folder".into()));
        }
        let out = Appender::reopen(folder.join(name), written)?;
        let file = Arc::new(RasterFile::new(out.path().to_path_buf()));
        rasters.open = state.open.map(|open| PhotoWriter::restore(open, &file)).transpose()?;
        let stored = |(shape, offset)| Arc::new(HeightRaster::stored(shape, file.clone(), offset));
        rasters.grids = state.grids.into_iter().map(stored).collect();
        rasters.photos = state.photos.into_iter().map(|shape| Arc::new(Photo::new(file.clone(), shape))).collect();
        rasters.out = Some((out, file));
        Ok(rasters)
    }
}
