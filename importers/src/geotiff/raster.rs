//! A TIFF opened for reading in bounded pieces: its georeference, and its rows as heights or as colours.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use glam::DVec2;
use tiff::{
    ColorType,
    decoder::{ChunkType, Decoder, DecodingResult, Limits},
    tags::Tag,
};

use super::{
    keys::{FOOT_M, GeoKeys, US_SURVEY_FOOT_M},
    place::Affine,
};
use crate::ImportError;

/// One strip or tile may unpack to this many bytes.
const MAX_CHUNK_BYTES: usize = 256 << 20;
/// Rows of chunks that are held at once may unpack to this many bytes.
const MAX_BAND_BYTES: u64 = 768 << 20;
/// GDAL's own metadata: scale, offset and unit of the band.
const GDAL_METADATA: u16 = 42112;

/// What the samples mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// One band of numbers.
    Heights,
    /// Eight-bit colours.
    Colours,
    /// Something that is neither; the text says what.
    Other(String),
}

/// A TIFF opened for reading.
pub(crate) struct Raster {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    color: ColorType,
    samples: u16,
    is_planar: bool,
    palette: Option<Vec<u16>>,
    /// Where each strip or tile lies, and how long it is.
    chunks: Vec<(u64, u64)>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Pixels in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// What it holds.
    pub content: Content,
    /// Where it lies, if it says so or a world file lies beside it.
    pub affine: Option<Affine>,
    /// World file that was used.
    pub world_file: Option<PathBuf>,
    /// Its coordinate system.
    pub keys: GeoKeys,
    /// Value that stands for "no data".
    pub nodata: Option<f64>,
    /// Metres in a unit of height, where the file states the unit.
    pub height_unit_m: Option<f64>,
    /// Band scale and offset that make heights of the stored numbers.
    pub scale_offset: (f64, f64),
}

impl Raster {
    /// Opens the file and checks its directory against the file's size; reads no pixels.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let io = |source| ImportError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let header = |e: tiff::TiffError| bad(path, "TIFF header", e.to_string());
        let mut decoder = Decoder::new(BufReader::new(file)).map_err(header)?;
        let mut limits = Limits::default();
        limits.decoding_buffer_size = MAX_CHUNK_BYTES;
        limits.intermediate_buffer_size = MAX_CHUNK_BYTES;
        limits.ifd_value_size = 64 << 20;
        decoder = decoder.with_limits(limits);
        let (columns, rows) = decoder.dimensions().map_err(header)?;
        if columns == 0 || rows == 0 {
            return Err(bad(path, "TIFF header", format!("the image is {columns} x {rows} pixels")));
        }
        let color = decoder.colortype().map_err(header)?;
        let samples: u16 = decoder.find_tag_unsigned(Tag::SamplesPerPixel).map_err(header)?.unwrap_or(1);
        let planar: u16 = decoder.find_tag_unsigned(Tag::PlanarConfiguration).map_err(header)?.unwrap_or(1);
        let (offsets, counts) = match decoder.get_chunk_type() {
            ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
            ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
        };
        let offsets = decoder.get_tag_u64_vec(offsets).map_err(header)?;
        let counts = decoder.get_tag_u64_vec(counts).map_err(header)?;
        let chunks: Vec<(u64, u64)> = offsets.into_iter().zip(counts).collect();

        let doubles = |decoder: &mut Decoder<_>, tag| -> Vec<f64> {
            decoder.find_tag(tag).ok().flatten().and_then(|v| v.into_f64_vec().ok()).unwrap_or_default()
        };
        let ascii = |decoder: &mut Decoder<_>, tag| -> String {
            decoder.find_tag(tag).ok().flatten().and_then(|v| v.into_string().ok()).unwrap_or_default()
        };
        let directory: Vec<u16> =
            decoder.find_tag_unsigned_vec(Tag::GeoKeyDirectoryTag).ok().flatten().unwrap_or_default();
        let geo_doubles = doubles(&mut decoder, Tag::GeoDoubleParamsTag);
        let geo_ascii = ascii(&mut decoder, Tag::GeoAsciiParamsTag);
        let keys = GeoKeys::parse(&directory, &geo_doubles, geo_ascii.as_bytes());
        let scale = doubles(&mut decoder, Tag::ModelPixelScaleTag);
        let tie = doubles(&mut decoder, Tag::ModelTiepointTag);
        let matrix = doubles(&mut decoder, Tag::ModelTransformationTag);
        let nodata = ascii(&mut decoder, Tag::GdalNodata);
        let metadata = ascii(&mut decoder, Tag::Unknown(GDAL_METADATA));
        let palette = decoder.find_tag_unsigned_vec(Tag::ColorMap).ok().flatten();

        let mut affine = georeference(&scale, &tie, &matrix, keys.is_pixel_point());
        let mut world_file = None;
        if affine.is_none()
            && let Some((found, path)) = world_file_beside(path, &["tfw", "tifw", "tiffw", "wld"])
        {
            (affine, world_file) = (Some(found), Some(path));
        }
        let mut raster = Self {
            path: path.into(),
            content: content(color, samples),
            decoder,
            color,
            samples,
            is_planar: planar == 2,
            palette,
            chunks,
            file_bytes,
            columns,
            rows,
            affine,
            world_file,
            height_unit_m: keys.vertical_unit_m().or_else(|| unit_named(metadata_item(&metadata, "unittype"))),
            scale_offset: (
                metadata_item(&metadata, "scale").and_then(|t| t.parse().ok()).unwrap_or(1.0),
                metadata_item(&metadata, "offset").and_then(|t| t.parse().ok()).unwrap_or(0.0),
            ),
            keys,
            nodata: nodata.trim_end_matches('\0').trim().parse().ok(),
        };
        raster.check_chunks()?;
        Ok(raster)
    }

    /// Every strip or tile must lie in the file, and a row of them must fit into memory.
    fn check_chunks(&mut self) -> Result<(), ImportError> {
        let (width, height) = self.decoder.chunk_dimensions();
        let planes = if self.is_planar { usize::from(self.samples) } else { 1 };
        if width == 0 || height == 0 {
            return Err(bad(&self.path, "TIFF header", "strips or tiles without size".into()));
        }
        let across = u64::from(self.columns.div_ceil(width));
        let expected = across * u64::from(self.rows.div_ceil(height)) * planes as u64;
        if self.chunks.len() as u64 != expected {
            let reason = format!(
                "{} x {} pixels need {expected} strips or tiles, the file lists {}",
                self.columns,
                self.rows,
                self.chunks.len()
            );
            return Err(bad(&self.path, "TIFF header", reason));
        }
        let sample_bytes = u64::from(self.color.bit_depth().div_ceil(8)) * u64::from(self.samples);
        let band_bytes = across * u64::from(width) * u64::from(height.min(self.rows)) * sample_bytes.max(4);
        if band_bytes > MAX_BAND_BYTES {
            let reason = format!(
                "one row of strips or tiles unpacks to {} MB; rewrite the file in tiles (gdal_translate -co TILED=YES)",
                band_bytes >> 20
            );
            return Err(bad(&self.path, "TIFF header", reason));
        }
        for (index, (offset, count)) in self.chunks.iter().enumerate() {
            if offset.checked_add(*count).is_none_or(|end| end > self.file_bytes) {
                let reason = format!(
                    "strip or tile {} of {expected} ends at byte {}, the file has only {}: it is cut off",
                    index + 1,
                    offset.saturating_add(*count),
                    self.file_bytes
                );
                return Err(bad(&self.path, &format!("byte {offset}"), reason));
            }
        }
        Ok(())
    }

    /// Reads a strip or tile; `None` when the file leaves it out (GDAL's sparse files).
    fn chunk(&mut self, index: u32) -> Result<Option<DecodingResult>, ImportError> {
        let (offset, count) = self.chunks[index as usize];
        if count == 0 {
            return Ok(None);
        }
        let read = self.decoder.read_chunk(index);
        read.map(Some).map_err(|e| {
            bad(&self.path, &format!("strip or tile {} at byte {offset}", index + 1), format!("cannot be read: {e}"))
        })
    }

    /// Reads all rows as heights, from north of the file to its south, in bands of whole rows:
    /// `take(first row, band)`. No-data samples are NaN; scale, offset and unit of the band are applied.
    /// Returns how many samples held the unannounced no-data values -9999, -32767 or -32768.
    pub fn read_heights(
        &mut self,
        mut take: impl FnMut(u32, &[f32]) -> Result<(), ImportError>,
    ) -> Result<u64, ImportError> {
        let (width, height) = self.decoder.chunk_dimensions();
        let columns = self.columns as usize;
        let across = self.columns.div_ceil(width);
        let unit_m = self.height_unit_m.unwrap_or(1.0);
        let (scale, offset) = self.scale_offset;
        let nodata = self.nodata;
        let mut unannounced = 0;
        let mut height_m = |stored: f64, is_nodata: bool| -> f32 {
            if is_nodata || !stored.is_finite() || stored.abs() > 1e30 {
                return f32::NAN;
            }
            if nodata.is_none() && (stored == -9999.0 || stored == -32768.0 || stored == -32767.0) {
                unannounced += 1;
                return f32::NAN;
            }
            ((stored * scale + offset) * unit_m) as f32
        };
        let mut band = Vec::new();
        for first_row in (0..self.rows).step_by(height as usize) {
            let band_rows = height.min(self.rows - first_row) as usize;
            band.clear();
            band.resize(band_rows * columns, f32::NAN);
            for i in 0..across {
                let index = first_row / height * across + i;
                let Some(data) = self.chunk(index)? else { continue };
                let (w, h) = self.decoder.chunk_data_dimensions(index);
                let first_column = (i * width) as usize;
                let mut place = |k: usize, value: f32| {
                    let (r, c) = (k / w as usize, k % w as usize);
                    if r < h as usize {
                        band[r * columns + first_column + c] = value;
                    }
                };
                macro_rules! put {
                    ($samples:expr, $same:expr) => {
                        for (k, v) in $samples.iter().enumerate() {
                            let stored = f64::from(*v);
                            place(k, height_m(stored, nodata.is_some_and(|n| $same(stored, n))));
                        }
                    };
                }
                let exact = |v: f64, n: f64| v == n;
                match data {
                    DecodingResult::U8(s) => put!(s, exact),
                    DecodingResult::U16(s) => put!(s, exact),
                    DecodingResult::U32(s) => put!(s, exact),
                    DecodingResult::I8(s) => put!(s, exact),
                    DecodingResult::I16(s) => put!(s, exact),
                    DecodingResult::I32(s) => put!(s, exact),
                    // The tag is decimal text: compare in the precision of the samples.
                    DecodingResult::F16(s) => put!(s, |v: f64, n: f64| v as f32 == n as f32),
                    DecodingResult::F32(s) => put!(s, |v: f64, n: f64| v as f32 == n as f32),
                    DecodingResult::F64(s) => put!(s, |v: f64, n: f64| v == n || v as f32 == n as f32),
                    DecodingResult::U64(_) | DecodingResult::I64(_) => {
                        let reason = "64-bit whole numbers are no heights".to_owned();
                        return Err(bad(&self.path, "TIFF header", reason));
                    }
                }
            }
            take(first_row, &band)?;
        }
        Ok(unannounced)
    }

    /// Reads all rows as colours, three bytes a pixel, in bands of whole rows: `take(first row, band)`.
    /// (0, 0, 0) marks pixels without data: transparent ones, those with the no-data value, and black ones of
    /// files that have neither; an opaque black pixel beside an alpha band becomes (1, 1, 1).
    pub fn read_colours(
        &mut self,
        mut take: impl FnMut(u32, &[u8]) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let (width, height) = self.decoder.chunk_dimensions();
        let columns = self.columns as usize;
        let across = self.columns.div_ceil(width);
        let planes = if self.is_planar { u32::from(self.samples) } else { 1 };
        let per_plane = across * self.rows.div_ceil(height);
        let pixel_bytes = usize::from(if self.is_planar { 1 } else { self.samples });
        let nodata = self.nodata.filter(|n| (0.0..=255.0).contains(n)).map(|n| n as u8);
        let mut raw = vec![0u8; 0];
        let mut band = Vec::new();
        for first_row in (0..self.rows).step_by(height as usize) {
            let band_rows = height.min(self.rows - first_row) as usize;
            let samples = usize::from(self.samples);
            raw.clear();
            raw.resize(band_rows * columns * samples, 0);
            for plane in 0..planes {
                for i in 0..across {
                    let index = plane * per_plane + first_row / height * across + i;
                    let Some(data) = self.chunk(index)? else { continue };
                    let DecodingResult::U8(data) = data else {
                        return Err(bad(&self.path, "TIFF header", "colours are not 8 bits deep".into()));
                    };
                    let (w, h) = self.decoder.chunk_data_dimensions(index);
                    // Of all planes but the first the lowest tiles come with the rows below the picture.
                    let (w, h, first_column) = (w as usize, (h as usize).min(band_rows), (i * width) as usize);
                    for (r, line) in data.chunks_exact((w * pixel_bytes).max(1)).take(h).enumerate() {
                        let start = (r * columns + first_column) * samples;
                        if self.is_planar {
                            for (c, value) in line.iter().enumerate() {
                                raw[start + c * samples + plane as usize] = *value;
                            }
                        } else {
                            raw[start..start + line.len()].copy_from_slice(line);
                        }
                    }
                }
            }
            band.clear();
            band.reserve(band_rows * columns * 3);
            for pixel in raw.chunks_exact(samples) {
                band.extend_from_slice(&self.colour(pixel, nodata));
            }
            take(first_row, &band)?;
        }
        Ok(())
    }

    fn colour(&self, pixel: &[u8], nodata: Option<u8>) -> [u8; 3] {
        let opaque = |rgb: [u8; 3]| if rgb == [0; 3] { [1; 3] } else { rgb };
        let known = |rgb: [u8; 3]| match nodata {
            Some(n) if rgb == [n; 3] => [0; 3],
            Some(_) => opaque(rgb),
            None => rgb,
        };
        match (self.color, pixel) {
            (ColorType::YCbCr(_), [y, cb, cr, ..]) => known(rgb_from_ycbcr(*y, *cb, *cr)),
            (ColorType::RGBA(_), [r, g, b, a, ..]) => {
                if *a < 128 {
                    [0; 3]
                } else {
                    opaque([*r, *g, *b])
                }
            }
            (ColorType::GrayA(_), [v, a, ..]) => {
                if *a < 128 {
                    [0; 3]
                } else {
                    opaque([*v; 3])
                }
            }
            (ColorType::Palette(_), [i, ..]) => {
                let palette = self.palette.as_deref().unwrap_or_default();
                let third = palette.len() / 3;
                let at = |k: usize| palette.get(k * third + usize::from(*i)).map_or(*i, |v| (v >> 8) as u8);
                if nodata == Some(*i) { [0; 3] } else { opaque([at(0), at(1), at(2)]) }
            }
            (_, [r, g, b, ..]) => known([*r, *g, *b]),
            (_, [v, ..]) => known([*v; 3]),
            _ => [0; 3],
        }
    }
}

/// JFIF's full-range conversion, which TIFF's JPEG compression uses.
fn rgb_from_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

fn content(color: ColorType, samples: u16) -> Content {
    match (color, samples) {
        (ColorType::Gray(8 | 16 | 32 | 64), 1) => Content::Heights,
        (ColorType::RGB(8) | ColorType::RGBA(8) | ColorType::YCbCr(8) | ColorType::Palette(8), _)
        | (ColorType::GrayA(8), 2)
        | (ColorType::Multiband { bit_depth: 8, .. }, 3 | 4) => Content::Colours,
        (color, samples) => Content::Other(format!(
            "{samples} bands of {} bits: neither heights (one band) nor a picture (8-bit colours)",
            color.bit_depth()
        )),
    }
}

/// The affine map from the GeoTIFF tags (OGC 19-008r4, 7.1.3 and annex B.6).
fn georeference(scale: &[f64], tie: &[f64], matrix: &[f64], is_pixel_point: bool) -> Option<Affine> {
    let mut affine = if let [sx, sy, ..] = *scale
        && let [i, j, _, x, y, _, ..] = *tie
    {
        let (column, row) = (DVec2::new(sx, 0.0), DVec2::new(0.0, -sy));
        Affine { origin: DVec2::new(x, y) - column * i - row * j, column, row }
    } else if matrix.len() >= 8 {
        Affine {
            origin: DVec2::new(matrix[3], matrix[7]),
            column: DVec2::new(matrix[0], matrix[4]),
            row: DVec2::new(matrix[1], matrix[5]),
        }
    } else {
        return None;
    };
    if is_pixel_point {
        affine.origin -= (affine.column + affine.row) * 0.5;
    }
    affine.is_valid().then_some(affine)
}

/// A world file of one of these endings beside the file.
pub(crate) fn world_file_beside(path: &Path, endings: &[&str]) -> Option<(Affine, PathBuf)> {
    endings.iter().flat_map(|ending| [ending.to_string(), ending.to_uppercase()]).find_map(|ending| {
        let candidate = path.with_extension(ending);
        let is_small = candidate.metadata().ok()?.len() < 4096;
        let text = is_small.then(|| std::fs::read_to_string(&candidate).ok())??;
        Affine::from_world_file(&text).map(|affine| (affine, candidate))
    })
}

/// The text of `<Item … role="ROLE">` in GDAL's metadata.
fn metadata_item<'a>(xml: &'a str, role: &str) -> Option<&'a str> {
    let start = xml.find(&format!("role=\"{role}\""))?;
    let text = xml[start..].split_once('>')?.1;
    Some(text.split_once('<')?.0.trim())
}

fn unit_named(name: Option<&str>) -> Option<f64> {
    match name?.to_lowercase().as_str() {
        "m" | "metre" | "meter" | "metres" | "meters" => Some(1.0),
        "ft" | "foot" | "feet" => Some(FOOT_M),
        "us-ft" | "ftus" | "us survey foot" | "foot_us" | "us_survey_foot" => Some(US_SURVEY_FOOT_M),
        _ => None,
    }
}

/// A damaged file, with the place in it.
pub(crate) fn bad(path: &Path, place: &str, reason: String) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason }
}
