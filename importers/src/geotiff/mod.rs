//! GeoTIFF: heights (DEM, DSM) and pictures of the ground (orthophotos).
//!
//! One band of numbers becomes [`HeightGrid`]s, 8-bit colours become a [`Picture`]. A raster whose axes are the
//! city's passes sample by sample; any other is resampled bilinearly at its own step.
//!
//! Limits: an aligned DEM streams through in bands and may have 10⁹ samples; a DEM that must be resampled is held
//! in memory and may have 2.5 × 10⁸. Pictures are averaged down to about 64 megapixels.

pub(crate) mod keys;
pub(crate) mod place;
pub(crate) mod raster;
pub(crate) mod warp;

use std::path::{Path, PathBuf};

use glam::DVec2;
use groundline_engine::{
    crs::Crs,
    model::{Attribute, CityObject, Class, Geometry, HeightGrid, ObjectId, SourceReport, Value},
};

use self::{
    place::{Affine, CityGrid, aligned_grid, covering_grid},
    raster::{Content, Raster, bad},
    warp::{PictureShrinker, place_picture, warp_heights},
};
use crate::{Format, ImportError, Job, Kind, Options, Out, Probe};

/// Samples of a DEM that can pass without being held in memory.
const MAX_STREAMED_SAMPLES: u64 = 1_000_000_000;
/// Samples of a DEM that must be held to be resampled (4 bytes each).
const MAX_HELD_SAMPLES: u64 = 250_000_000;
/// Pixels of a picture that are read through.
const MAX_PICTURE_PIXELS: u64 = 8_000_000_000;
/// Samples of one emitted block.
const BLOCK_SAMPLES: usize = 4 << 20;

/// GeoTIFF.
pub static FORMAT: Format = Format {
    name: "geotiff",
    title: "GeoTIFF: heights or orthophoto",
    title_zh: "GeoTIFF 高程或影像",
    extensions: &["tif", "tiff", "gtif"],
    probe,
    read,
};

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let raster = Raster::open(path)?;
    let kind = kind(&raster, options);
    let found = raster.keys.crs();
    let mut probe = Probe {
        kind,
        crs_from: if found.crs.is_some() { "GeoKeys".into() } else { String::new() },
        crs: found.crs,
        crs_text: found.text,
        needs_crs: true,
        encoding: None,
        source_extent: raster.affine.map(|affine| affine.extent(raster.columns, raster.rows)),
        records: Some(u64::from(raster.columns) * u64::from(raster.rows)),
        companions: raster.world_file.into_iter().collect(),
        class: Some(match kind {
            Kind::Terrain => (Class::Terrain, "one band of numbers".into()),
            _ => (Class::Imagery, "bands of colours".into()),
        }),
    };
    crs_from_prj(path, &mut probe);
    Ok(Some(probe))
}

/// Takes the system from a `.prj` beside the file when the file itself names none.
pub(crate) fn crs_from_prj(path: &Path, probe: &mut Probe) {
    let beside: Option<PathBuf> = ["prj", "PRJ"].iter().map(|ending| path.with_extension(ending)).find(|p| p.is_file());
    let Some(prj) = beside else { return };
    let is_small = prj.metadata().is_ok_and(|m| m.len() < 1 << 20);
    if probe.crs.is_none()
        && let Some(text) = is_small.then(|| std::fs::read(&prj).ok()).flatten()
    {
        let text = String::from_utf8_lossy(&text).into_owned();
        match Crs::parse(text.trim()) {
            Ok(crs) => (probe.crs, probe.crs_from) = (Some(crs), ".prj".into()),
            Err(_) => probe.crs_text = Some(text.trim().chars().take(500).collect()),
        }
    }
    probe.companions.push(prj);
}

fn kind(raster: &Raster, options: &Options) -> Kind {
    match (&raster.content, options.class) {
        (Content::Heights, Some(Class::Imagery)) => Kind::Imagery,
        (Content::Heights, _) => Kind::Terrain,
        _ => Kind::Imagery,
    }
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let mut raster = Raster::open(job.path)?;
    if let Content::Other(what) = &raster.content {
        return Err(bad(job.path, "TIFF header", what.clone()));
    }
    let Some(affine) = raster.affine else {
        return Err(ImportError::Missing {
            path: job.path.into(),
            missing: "the georeference".into(),
            hint: "the file has no ModelTiepoint or ModelTransformation; put a world file (.tfw) beside it".into(),
        });
    };
    raster.height_unit_m = raster.height_unit_m.or(job.crs.height_unit_m());
    match kind(&raster, job.options) {
        Kind::Terrain => read_heights(job, &mut raster, affine, out, report),
        _ => read_picture(job, &mut raster, affine, out, report),
    }
}

fn read_heights(
    job: &Job<'_>,
    raster: &mut Raster,
    affine: Affine,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let samples = u64::from(raster.columns) * u64::from(raster.rows);
    if let Some(unit_m) = raster.height_unit_m.filter(|unit| *unit != 1.0) {
        report.warn("height_unit", format!("heights are in units of {unit_m} m and were converted to metres"), "");
    }
    let mut dem = DemOut::new(job, raster, out, report);
    let aligned = aligned_grid(&affine, job.city_from_source, raster.columns, raster.rows);
    let limit = if aligned.is_some() { MAX_STREAMED_SAMPLES } else { MAX_HELD_SAMPLES };
    if samples > limit {
        let reason = format!(
            "{} x {} samples are more than {limit}; cut it into tiles{}",
            raster.columns,
            raster.rows,
            if aligned.is_some() { "" } else { ", or bring it into the city's system first (gdalwarp -t_srs)" }
        );
        return Err(bad(job.path, "TIFF header", reason));
    }
    let rows = raster.rows as f32;
    let unannounced = match aligned {
        Some(grid) => raster.read_heights(|first_row, band| {
            dem.out.progress(first_row as f32 / rows);
            dem.push_rows(&grid, band)
        })?,
        None => {
            let Some(grid) =
                covering_grid(&affine, job.city_from_source, raster.columns, raster.rows, MAX_HELD_SAMPLES)
            else {
                return Err(cannot_place(job));
            };
            // Held in memory: grown band by band, so that a header's claim alone allocates nothing.
            let mut heights: Vec<f32> = Vec::new();
            let unannounced = raster.read_heights(|first_row, band| {
                dem.out.progress(0.5 * first_row as f32 / rows);
                heights.extend_from_slice(band);
                Ok(())
            })?;
            warp_heights(&affine, job.city_from_source, (raster.columns, raster.rows), &heights, grid, |row, line| {
                dem.out.progress(0.5 + 0.5 * row as f32 / grid.rows as f32);
                dem.push_rows(&grid, line)
            })?;
            unannounced
        }
    };
    dem.finish()?;
    if unannounced > 0 {
        let message = format!("{unannounced} samples of -9999, -32767 or -32768 were taken as missing");
        report.warn("nodata_assumed", message, "the file names no no-data value");
    }
    Ok(())
}

pub(crate) fn cannot_place(job: &Job<'_>) -> ImportError {
    let reason =
        format!("its corners cannot be carried from {} into the city's system at a sensible size", job.crs.label());
    bad(job.path, "georeference", reason)
}

/// Emits a DEM row by row as blocks that share their border row, so that no gap opens between them.
pub(crate) struct DemOut<'a> {
    pub out: &'a mut dyn Out,
    report: &'a mut SourceReport,
    id: ObjectId,
    object: Option<CityObject>,
    rows_taken: u32,
    first_row: u32,
    heights: Vec<f32>,
    valid: u64,
}

impl<'a> DemOut<'a> {
    fn new(job: &Job<'_>, raster: &Raster, out: &'a mut dyn Out, report: &'a mut SourceReport) -> Self {
        let size = (raster.columns, raster.rows);
        Self::with(job, size, raster.height_unit_m, out, report)
    }

    pub(crate) fn with(
        job: &Job<'_>,
        (columns, rows): (u32, u32),
        unit_m: Option<f64>,
        out: &'a mut dyn Out,
        report: &'a mut SourceReport,
    ) -> Self {
        let stem = stem(job.path);
        let mut object = CityObject::new(ObjectId::new(job.layer, &stem), class(job), Geometry::None);
        object.name = Some(stem);
        if let Some(stage) = job.options.stage {
            object.stage = stage;
        }
        let size = format!("{columns} x {rows}");
        object.attributes.push(Attribute::read(&"samples".into(), Value::Text(size)));
        object.attributes.push(match unit_m {
            Some(unit_m) => {
                let rule = format!("stored in units of {unit_m} m");
                Attribute::converted("height_unit_m", Value::Real(unit_m), "VerticalUnits", &rule)
            }
            None => Attribute::defaulted("height_unit_m", Value::Real(1.0), "the file states no unit of height"),
        });
        Self {
            out,
            report,
            id: object.id.clone(),
            object: Some(object),
            rows_taken: 0,
            first_row: 0,
            heights: Vec::new(),
            valid: 0,
        }
    }

    /// Takes further rows of the whole grid, which lies at `grid`.
    pub(crate) fn push_rows(&mut self, grid: &CityGrid, rows: &[f32]) -> Result<(), ImportError> {
        let columns = grid.columns as usize;
        for row in rows.chunks_exact(columns) {
            self.heights.extend_from_slice(row);
            self.rows_taken += 1;
            if self.heights.len() + columns > BLOCK_SAMPLES && self.heights.len() > columns {
                self.emit(grid)?;
                self.heights.drain(..self.heights.len() - columns);
                self.first_row = self.rows_taken - 1;
            }
        }
        if self.rows_taken == grid.rows && (self.rows_taken - self.first_row > 1 || self.first_row == 0) {
            self.emit(grid)?;
            self.heights.clear();
        }
        Ok(())
    }

    fn emit(&mut self, grid: &CityGrid) -> Result<(), ImportError> {
        let first = DVec2::new(0.5, -0.5 - f64::from(self.first_row));
        let block = HeightGrid {
            north_west: grid.north_west + first * grid.step_m,
            step_m: grid.step_m,
            columns: grid.columns,
            rows: self.rows_taken - self.first_row,
            heights: self.heights.clone(),
        };
        let valid = block.heights.iter().filter(|h| h.is_finite()).count() as u64;
        self.valid += valid;
        if valid == 0 {
            return Ok(());
        }
        let geometry = Geometry::Heights(block);
        self.report.extent.merge(&geometry.extent());
        let object = match self.object.take() {
            Some(object) => {
                self.report.objects += 1;
                CityObject { geometry, ..object }
            }
            None => CityObject::new(self.id.clone(), Class::Terrain, geometry),
        };
        self.out.emit(object)
    }

    /// Ends the account.
    pub(crate) fn finish(self) -> Result<(), ImportError> {
        if self.valid == 0 {
            self.report.warn("empty", "no sample holds a height: nothing to show", "");
        }
        self.out.progress(1.0);
        Ok(())
    }
}

fn class(job: &Job<'_>) -> Class {
    job.options.class.unwrap_or(Class::Terrain)
}

/// The file's name without its ending: the key of the one object it holds.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "raster".into(), |s| s.to_string_lossy().into_owned())
}

fn read_picture(
    job: &Job<'_>,
    raster: &mut Raster,
    affine: Affine,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let pixels = u64::from(raster.columns) * u64::from(raster.rows);
    if pixels > MAX_PICTURE_PIXELS {
        let reason = format!("{} x {} pixels are too many; cut it into tiles", raster.columns, raster.rows);
        return Err(bad(job.path, "TIFF header", reason));
    }
    let rows = raster.rows as f32;
    let mut shrinker = PictureShrinker::new(raster.columns, raster.rows);
    raster.read_colours(|first_row, band| {
        out.progress(0.8 * first_row as f32 / rows);
        shrinker.push(band);
        Ok(())
    })?;
    place_picture(job, shrinker, affine, out, report)
}

#[cfg(test)]
mod tests;
