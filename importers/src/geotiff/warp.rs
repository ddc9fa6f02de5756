//! Resampling of rasters into the city's frame.

use glam::DVec2;
use groundline_engine::{
    crs::Transform,
    model::{Attribute, CityObject, Class, Geometry, ObjectId, Picture, SourceReport, Value},
};

use super::{
    cannot_place,
    place::{Affine, CityGrid, PixelFinder, aligned_grid, covering_grid},
    stem,
};
use crate::{ImportError, Job, Out};

/// Pictures are averaged down until they have at most this many pixels (3 bytes each).
pub(crate) const MAX_PICTURE: u64 = 64 << 20;

/// Bilinear resampling of heights. A target sample whose nearest source sample is missing is missing; beside a hole
/// only the samples that exist count. `take(row, heights)` gets the rows of `grid` from north to south.
pub(crate) fn warp_heights(
    affine: &Affine,
    transform: &Transform,
    (columns, rows): (u32, u32),
    heights: &[f32],
    grid: CityGrid,
    mut take: impl FnMut(u32, &[f32]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let size = DVec2::new(f64::from(columns), f64::from(rows));
    let finder = PixelFinder::new(affine, transform, size, grid);
    let mut line = vec![f32::NAN; grid.columns as usize];
    for row in 0..grid.rows {
        finder.row(row, |column, pixel| line[column] = bilinear(heights, columns, rows, pixel));
        take(row, &line)?;
    }
    Ok(())
}

fn bilinear(heights: &[f32], columns: u32, rows: u32, pixel: DVec2) -> f32 {
    let (w, h) = (f64::from(columns), f64::from(rows));
    // Half a pixel beyond the outermost centres still belongs to the raster; a hair more is rounding.
    if !(pixel.x > -1e-6 && pixel.y > -1e-6 && pixel.x < w + 1e-6 && pixel.y < h + 1e-6) {
        return f32::NAN;
    }
    let centre = (pixel - 0.5).clamp(DVec2::ZERO, DVec2::new(w - 1.0, h - 1.0));
    let (c, r) = (centre.x.floor(), centre.y.floor());
    let (u, v) = (centre.x - c, centre.y - r);
    let (c, r) = (c as usize, r as usize);
    let (c1, r1) = ((c + 1).min(columns as usize - 1), (r + 1).min(rows as usize - 1));
    let at = |c: usize, r: usize| heights.get(r * columns as usize + c).copied().unwrap_or(f32::NAN);
    let corners = [
        (at(c, r), (1.0 - u) * (1.0 - v)),
        (at(c1, r), u * (1.0 - v)),
        (at(c, r1), (1.0 - u) * v),
        (at(c1, r1), u * v),
    ];
    let nearest = corners.iter().fold(corners[0], |best, corner| if corner.1 > best.1 { *corner } else { best });
    if nearest.0.is_nan() {
        return f32::NAN;
    }
    let (mut sum, mut weight) = (0.0, 0.0);
    for (height, share) in corners {
        if !height.is_nan() && share > 0.0 {
            sum += f64::from(height) * share;
            weight += share;
        }
    }
    (sum / weight) as f32
}

/// Averages a picture down while it is read, row by row, so that a large one never stands in memory.
pub(crate) struct PictureShrinker {
    source: (u32, u32),
    factor: u32,
    columns: u32,
    rows: u32,
    row_in_cell: u32,
    sums: Vec<[u32; 4]>,
    rgb: Vec<u8>,
}

impl PictureShrinker {
    /// For a picture of this size.
    pub fn new(columns: u32, rows: u32) -> Self {
        let pixels = u64::from(columns) * u64::from(rows);
        let mut factor = 1;
        while pixels / (u64::from(factor) * u64::from(factor)) > MAX_PICTURE {
            factor += 1;
        }
        Self {
            source: (columns, rows),
            factor,
            columns: columns.div_ceil(factor),
            rows: 0,
            row_in_cell: 0,
            sums: Vec::new(),
            rgb: Vec::new(),
        }
    }

    /// Takes further whole rows, three bytes a pixel; (0, 0, 0) is no data and does not count.
    pub fn push(&mut self, rows: &[u8]) {
        if self.factor == 1 {
            self.rgb.extend_from_slice(rows);
            self.rows += (rows.len() / (self.source.0 as usize * 3)) as u32;
            return;
        }
        self.sums.resize(self.columns as usize, [0; 4]);
        for row in rows.chunks_exact(self.source.0 as usize * 3) {
            for (c, pixel) in row.chunks_exact(3).enumerate().filter(|(_, p)| **p != [0, 0, 0]) {
                let sum = &mut self.sums[c / self.factor as usize];
                for (s, value) in sum.iter_mut().zip([pixel[0], pixel[1], pixel[2], 1]) {
                    *s += u32::from(value);
                }
            }
            self.row_in_cell += 1;
            if self.row_in_cell == self.factor {
                self.end_row();
            }
        }
    }

    fn end_row(&mut self) {
        for [r, g, b, n] in self.sums.iter_mut().map(std::mem::take) {
            let mean = |sum: u32| ((sum + n / 2) / n.max(1)).clamp(1, 255) as u8;
            self.rgb.extend_from_slice(&if n == 0 { [0; 3] } else { [mean(r), mean(g), mean(b)] });
        }
        self.row_in_cell = 0;
        self.rows += 1;
    }

    /// The picture, and the affine map of its pixels when `affine` is that of the source's.
    fn finish(mut self, affine: Affine) -> (Affine, u32, u32, Vec<u8>, u32) {
        if self.row_in_cell > 0 {
            self.end_row();
        }
        let factor = f64::from(self.factor);
        let affine = Affine { origin: affine.origin, column: affine.column * factor, row: affine.row * factor };
        (affine, self.columns, self.rows, self.rgb, self.factor)
    }
}

/// Carries a picture into the city's frame and emits it as the one object of its file.
pub(crate) fn place_picture(
    job: &Job<'_>,
    shrinker: PictureShrinker,
    affine: Affine,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let (source_columns, source_rows) = shrinker.source;
    let (affine, columns, rows, rgb, factor) = shrinker.finish(affine);
    if factor > 1 {
        let message = format!("{source_columns} x {source_rows} pixels were averaged {factor} x {factor}");
        report.warn("picture_shrunk", message, "");
    }
    let picture = match aligned_grid(&affine, job.city_from_source, columns, rows) {
        Some(grid) => Picture { north_west: grid.north_west, step_m: grid.step_m, columns, rows, rgb },
        None => {
            let grid = covering_grid(&affine, job.city_from_source, columns, rows, MAX_PICTURE * 2)
                .ok_or_else(|| cannot_place(job))?;
            warp_picture(&affine, job.city_from_source, (columns, rows), &rgb, grid)
        }
    };
    let stem = stem(job.path);
    let geometry = Geometry::Picture(picture);
    report.extent.merge(&geometry.extent());
    report.objects += 1;
    let mut object = CityObject::new(ObjectId::new(job.layer, &stem), Class::Imagery, geometry);
    object.name = Some(stem);
    if let Some(stage) = job.options.stage {
        object.stage = stage;
    }
    let size = Value::Text(format!("{source_columns} x {source_rows}"));
    object.attributes.push(Attribute::read(&"pixels".into(), size));
    out.emit(object)?;
    out.progress(1.0);
    Ok(())
}

fn warp_picture(
    affine: &Affine,
    transform: &Transform,
    (columns, rows): (u32, u32),
    rgb: &[u8],
    grid: CityGrid,
) -> Picture {
    let size = DVec2::new(f64::from(columns), f64::from(rows));
    let finder = PixelFinder::new(affine, transform, size, grid);
    let mut warped = vec![0u8; grid.columns as usize * grid.rows as usize * 3];
    for row in 0..grid.rows {
        let line = &mut warped[row as usize * grid.columns as usize * 3..][..grid.columns as usize * 3];
        finder.row(row, |column, pixel| {
            line[column * 3..column * 3 + 3].copy_from_slice(&bilinear_rgb(rgb, columns, rows, pixel));
        });
    }
    Picture { north_west: grid.north_west, step_m: grid.step_m, columns: grid.columns, rows: grid.rows, rgb: warped }
}

fn bilinear_rgb(rgb: &[u8], columns: u32, rows: u32, pixel: DVec2) -> [u8; 3] {
    let (w, h) = (f64::from(columns), f64::from(rows));
    if !(pixel.x >= 0.0 && pixel.y >= 0.0 && pixel.x <= w && pixel.y <= h) {
        return [0; 3];
    }
    let centre = (pixel - 0.5).clamp(DVec2::ZERO, DVec2::new(w - 1.0, h - 1.0));
    let (c, r) = (centre.x as usize, centre.y as usize);
    let (u, v) = ((centre.x - c as f64) as f32, (centre.y - r as f64) as f32);
    let (c1, r1) = ((c + 1).min(columns as usize - 1), (r + 1).min(rows as usize - 1));
    let at = |c: usize, r: usize| {
        let k = (r * columns as usize + c) * 3;
        rgb.get(k..k + 3).map_or([0; 3], |p| [p[0], p[1], p[2]])
    };
    let corners = [
        (at(c, r), (1.0 - u) * (1.0 - v)),
        (at(c1, r), u * (1.0 - v)),
        (at(c, r1), (1.0 - u) * v),
        (at(c1, r1), u * v),
    ];
    let (mut sum, mut weight) = ([0.0f32; 3], 0.0);
    for (colour, share) in corners.iter().filter(|(colour, _)| *colour != [0; 3]) {
        for (s, value) in sum.iter_mut().zip(colour) {
            *s += f32::from(*value) * share;
        }
        weight += share;
    }
    // Less than half of the pixel has data: it has none, so that edges do not grow.
    if weight < 0.5 { [0; 3] } else { sum.map(|s| (s / weight).round().clamp(1.0, 255.0) as u8) }
}
