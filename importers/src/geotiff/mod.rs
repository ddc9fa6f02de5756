//! GeoTIFF: heights (DEM, DSM) and pictures of the ground (orthophotos).
//!
//! One band of numbers becomes [`HeightGrid`]s, 8-bit colours become a [`Picture`]. A raster whose axes are the
//! city's passes sample by sample; any other is resampled bilinearly at its own step.
//!
//! Rasters stream through in bands of rows; one that must be resampled is held as far as it is turned away from the
//! city's north. Limits: 10⁹ samples of a DEM, of which 1.3 × 10⁸ may have to be held; pictures are averaged down to about
//! 1000 megapixels, to 64 when more of them would have to be held.

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
    warp::{PictureOut, Warper, sample_height},
};
use crate::{Format, ImportError, Job, Kind, Options, Out, Probe};

/// Samples of a DEM.
const MAX_SAMPLES: u64 = 1_000_000_000;
/// Samples of a DEM that are held at a time to be resampled (4 bytes each).
const MAX_HELD_SAMPLES: u64 = 1 << 27;
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
    memory_per_byte: 2.0,
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
    if samples > MAX_SAMPLES {
        let reason =
            format!("{} x {} samples are more than {MAX_SAMPLES}; cut it into tiles", raster.columns, raster.rows);
        return Err(bad(job.path, "TIFF header", reason));
    }
    let size = (raster.columns, raster.rows);
    let mut way = DemWay::of(job, &affine, size)?;
    let mut dem = DemOut::with(job, size, raster.height_unit_m, out, report);
    let rows = raster.rows as f32;
    let unannounced = raster.read_heights(|first_row, band| {
        dem.out.progress(first_row as f32 / rows);
        dem.push(&mut way, band)
    })?;
    dem.finish()?;
    if unannounced > 0 {
        let message = format!("{unannounced} samples of -9999, -32767 or -32768 were taken as missing");
        report.warn("nodata_assumed", message, "the file names no no-data value");
    }
    Ok(())
}

/// How a DEM comes into the city's frame.
pub(crate) enum DemWay {
    /// Sample by sample.
    Aligned(CityGrid),
    /// Resampled.
    Warped(CityGrid, Box<Warper<f32>>),
}

impl DemWay {
    /// For a DEM of this size.
    pub(crate) fn of(job: &Job<'_>, affine: &Affine, (columns, rows): (u32, u32)) -> Result<Self, ImportError> {
        if let Some(grid) = aligned_grid(affine, job.city_from_source, columns, rows) {
            return Ok(Self::Aligned(grid));
        }
        let grid =
            covering_grid(affine, job.city_from_source, columns, rows, MAX_SAMPLES).ok_or_else(|| cannot_place(job))?;
        let warper = Warper::new(affine, job.city_from_source, (columns, rows), 1, grid);
        let held = warper.most_held();
        if held > MAX_HELD_SAMPLES {
            let reason = format!(
                "it is turned so far that {held} of its samples must be held at a time, which is more than \
                 {MAX_HELD_SAMPLES}; cut it into tiles, or bring it into the city's system first (gdalwarp -t_srs)"
            );
            return Err(bad(job.path, "georeference", reason));
        }
        Ok(Self::Warped(grid, Box::new(warper)))
    }
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

    /// Takes further rows of the source.
    pub(crate) fn push(&mut self, way: &mut DemWay, rows: &[f32]) -> Result<(), ImportError> {
        match way {
            DemWay::Aligned(grid) => self.push_rows(grid, rows),
            DemWay::Warped(grid, warper) => {
                warper.push(rows);
                while let Some(row) = warper.next_row(sample_height) {
                    self.push_rows(grid, &row)?;
                }
                Ok(())
            }
        }
    }

    /// Takes further rows of the whole grid, which lies at `grid`.
    fn push_rows(&mut self, grid: &CityGrid, rows: &[f32]) -> Result<(), ImportError> {
        let columns = grid.columns as usize;
        for row in rows.chunks_exact(columns) {
            self.heights.extend_from_slice(row);
            self.rows_taken += 1;
            if self.heights.len() + columns > BLOCK_SAMPLES && self.heights.len() > columns {
                self.emit(grid)?;
                self.heights = row.to_vec();
                self.first_row = self.rows_taken - 1;
            }
        }
        if self.rows_taken == grid.rows && (self.rows_taken - self.first_row > 1 || self.first_row == 0) {
            self.emit(grid)?;
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
            heights: std::mem::take(&mut self.heights),
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
    let mut picture = PictureOut::new(job, (raster.columns, raster.rows), affine, out, report)?;
    raster.read_colours(|first_row, band| {
        picture.out.progress(first_row as f32 / rows);
        picture.push(band)
    })?;
    picture.finish(job)
}

#[cfg(test)]
mod tests;
