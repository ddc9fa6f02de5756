//! The pictures of a layer's meshes: their files wait in a [`Spill`], the pixels of a few are in memory.

use std::{
    collections::{HashMap, VecDeque},
    io::Cursor,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use image::{ImageReader, Limits, RgbImage};
use serde::{Deserialize, Serialize};

use super::{
    TileError,
    spill::{Place, Spill},
};
use crate::model::Texture;

/// Pixels on a side, and of all of a picture, at most; larger ones are not shown.
const MOST_SIDE: u32 = 16_384;
const MOST_PIXELS: u64 = 64 << 20;
/// Bytes that a decoder may take besides.
const DECODER_BYTES: u64 = 512 << 20;
/// Bytes of pixels that are kept while tiles are drawn; one picture more may be decoded beside them.
const KEPT_BYTES: usize = 192 << 20;
/// Name of the file.
const SPILL: &str = "pictures";
/// What is seen through the holes of a picture.
const BEHIND: u32 = 200;

/// The pictures of a layer, by the names of their files.
pub(super) struct Album {
    spill: Spill,
    known: HashMap<Arc<str>, Option<Known>>,
    kept: Mutex<Kept>,
}

/// What another process needs to know to go on with an album.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    written: u64,
    known: Vec<(String, Option<Known>)>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Known {
    place: Place,
    size: [u32; 2],
}

#[derive(Default)]
struct Kept {
    pixels: HashMap<Arc<str>, Option<Arc<RgbImage>>>,
    /// Oldest first.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Album {
    /// An empty one; its file, once there is one, lies in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { spill: Spill::new(folder, SPILL), known: HashMap::new(), kept: Mutex::default() }
    }

    /// One that holds what [`Album::checkpoint`] said that it did.
    pub fn restore(folder: &Path, state: State) -> std::io::Result<Self> {
        let known = state.known.into_iter().map(|(name, known)| (name.into(), known)).collect();
        Ok(Self { spill: Spill::restore(folder, SPILL, state.written)?, known, kept: Mutex::default() })
    }

    /// Puts all on the disk.
    pub fn checkpoint(&mut self) -> Result<State, TileError> {
        let written = self.spill.checkpoint()?;
        Ok(State { written, known: self.known.iter().map(|(name, known)| (name.to_string(), *known)).collect() })
    }

    /// Keeps a picture; each is written down once.
    pub fn keep(&mut self, texture: &Texture) -> Result<(), TileError> {
        if self.known.contains_key(texture.name()) {
            return Ok(());
        }
        let known = match size_of(texture.file()) {
            Some(size) => Some(Known { place: self.spill.write(texture.file())?, size }),
            None => None,
        };
        self.known.insert(texture.name().clone(), known);
        Ok(())
    }

    /// Columns and rows; `None` for what is no picture or too large a one.
    pub fn size(&self, name: &str) -> Option<[u32; 2]> {
        (*self.known.get(name)?).map(|known| known.size)
    }

    /// The pixels; `None` when they cannot be decoded.
    ///
    /// One picture is decoded at a time, so that memory does not grow with the number of threads.
    pub fn pixels(&self, name: &Arc<str>) -> Option<Arc<RgbImage>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pixels) = kept.pixels.get(name) {
            return pixels.clone();
        }
        let known = (*self.known.get(name)?)?;
        let pixels = self.spill.read(known.place).ok().and_then(|file| decode(&file)).map(Arc::new);
        let bytes = |pixels: &Option<Arc<RgbImage>>| pixels.as_ref().map_or(64, |p| p.as_raw().len());
        kept.bytes += bytes(&pixels);
        kept.pixels.insert(name.clone(), pixels.clone());
        kept.order.push_back(name.clone());
        while kept.bytes > KEPT_BYTES && kept.order.len() > 1 {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(gone) = kept.pixels.remove(&oldest) {
                kept.bytes -= bytes(&gone);
            }
        }
        pixels
    }
}

fn size_of(file: &[u8]) -> Option<[u32; 2]> {
    let (columns, rows) = ImageReader::new(Cursor::new(file)).with_guessed_format().ok()?.into_dimensions().ok()?;
    let is_fine =
        columns.min(rows) > 0 && columns.max(rows) <= MOST_SIDE && u64::from(columns) * u64::from(rows) <= MOST_PIXELS;
    is_fine.then_some([columns, rows])
}

fn decode(file: &[u8]) -> Option<RgbImage> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    limits.max_alloc = Some(DECODER_BYTES);
    reader.limits(limits);
    let decoded = reader.decode().ok()?;
    if !decoded.color().has_alpha() {
        return Some(decoded.into_rgb8());
    }
    let rgba = decoded.into_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, a] = from.0.map(u32::from);
        to.0 = [r, g, b].map(|c| ((c * a + BEHIND * (255 - a)) / 255) as u8);
    }
    Some(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_written_once_and_rubbish_is_none() {
        let mut file = Cursor::new(Vec::new());
        RgbImage::from_fn(4, 2, |x, _| image::Rgb([x as u8 * 10, 0, 0]))
            .write_to(&mut file, image::ImageFormat::Png)
            .unwrap();
        let texture = Texture::new(file.into_inner());
        let folder = tempfile::tempdir().unwrap();
        let mut album = Album::new(folder.path());
        album.keep(&texture).unwrap();
        album.keep(&texture.clone()).unwrap();
        let cut = Texture::new(texture.file()[..texture.file().len() / 2].to_vec());
        let rubbish = Texture::new(b"no picture".to_vec());
        album.keep(&cut).unwrap();
        album.keep(&rubbish).unwrap();
        assert_eq!(album.size(texture.name()), Some([4, 2]));
        assert_eq!(album.pixels(texture.name()).unwrap().get_pixel(3, 1).0, [30, 0, 0]);
        assert!(album.pixels(cut.name()).is_none(), "its size is known, its pixels are not");
        assert_eq!(album.size(rubbish.name()), None);
        let json = serde_json::to_string(&texture).unwrap();
        assert!(json.len() < 100, "the file is not written with the shape: {json}");
    }
}
