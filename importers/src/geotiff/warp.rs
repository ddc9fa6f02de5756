//! Resampling of rasters into the city's frame, row by row while they are read.

use glam::DVec2;
use groundline_engine::{
    crs::Transform,
    model::{Attribute, CityObject, Class, Geometry, ObjectId, Picture, SourceReport, Value},
};

use super::{
    cannot_place,
    place::{Affine, CityGrid, PixelFinder, aligned_grid, covering_grid},
    raster::bad,
    stem,
};
use crate::{ImportError, Job, Out};

/// Pictures are averaged down until they have at most this many pixels.
const MAX_PICTURE: u64 = 1 << 30;
/// Pictures that are turned so far that they must be held to be resampled are averaged down to this many.
const MAX_HELD_PICTURE: u64 = 64 << 20;
/// Pixels of one emitted part of a picture.
const PART_PIXELS: usize = 4 << 20;
const PIXEL: usize = 3;

/// Resamples a raster while its rows come: of the source it holds the rows that rows still to be made need. These are few
/// when north is about up; all of a raster that is turned by 90°.
pub(crate) struct Warper<T> {
    grid: CityGrid,
    finder: PixelFinder,
    /// For each row of the grid, the first row of the source needed from there on and the last one needed for it.
    needs: Vec<(u32, u32)>,
    /// Next row of the grid.
    row: u32,
    held: Held<T>,
    /// Values of a pixel.
    channels: usize,
}

/// Rows of the source.
pub(crate) struct Held<T> {
    columns: u32,
    rows: u32,
    /// The first row that is held, and all values from there on.
    first: u32,
    values: Vec<T>,
}

impl<T: Copy + Default> Held<T> {
    /// The values of a pixel, with `channels` values each; none of a row that is not held.
    fn at(&self, column: usize, row: usize, channels: usize) -> Option<&[T]> {
        let start = (row.checked_sub(self.first as usize)? * self.columns as usize + column) * channels;
        self.values.get(start..start + channels)
    }
}

impl<T: Copy + Default> Warper<T> {
    /// From a raster of this size into `grid`.
    pub fn new(
        affine: &Affine,
        transform: &Transform,
        (columns, rows): (u32, u32),
        channels: usize,
        grid: CityGrid,
    ) -> Self {
        let finder = PixelFinder::new(affine, transform, DVec2::new(f64::from(columns), f64::from(rows)), grid);
        let needs = finder.needs(rows);
        let held = Held { columns, rows, first: 0, values: Vec::new() };
        Self { grid, finder, needs, row: 0, held, channels }
    }

    /// Most pixels of the source that will be held at one time, besides those that come together.
    pub fn most_held(&self) -> u64 {
        // What a row needs is held, and what rows above it made come before it was their turn.
        let mut reached = 0;
        let mut most = 0;
        for (first, last) in &self.needs {
            reached = reached.max(u64::from(*last) + 1);
            most = most.max(reached.saturating_sub(u64::from(*first)));
        }
        most * u64::from(self.held.columns)
    }

    /// Takes further whole rows of the source.
    pub fn push(&mut self, rows: &[T]) {
        self.held.values.extend_from_slice(rows);
    }

    /// The next row of the grid, from north to south, when what it needs has come; `sample(source, place in it, pixel)` makes
    /// a pixel.
    pub fn next_row(&mut self, sample: impl Fn(&Held<T>, DVec2, &mut [T])) -> Option<Vec<T>> {
        let width = self.held.columns as usize * self.channels;
        let here = self.held.first as usize + self.held.values.len() / width;
        let needs = self.needs.get(self.row as usize);
        if needs.is_some_and(|(_, last)| here > *last as usize || here >= self.held.rows as usize) {
            let channels = self.channels;
            let mut line = vec![T::default(); self.grid.columns as usize * channels];
            self.finder.row(self.row, |column, place| {
                sample(&self.held, place, &mut line[column * channels..(column + 1) * channels]);
            });
            self.row += 1;
            return Some(line);
        }
        let spare = needs.map_or(here, |(first, _)| here.min(*first as usize)).saturating_sub(self.held.first as usize);
        // Moving the rest up costs as much as the rest is long.
        if spare * width * 2 > self.held.values.len() {
            self.held.values.drain(..spare * width);
            self.held.first += spare as u32;
        }
        None
    }
}

/// Bilinear height. A sample whose nearest source sample is missing is missing; beside a hole only the samples that exist
/// count.
pub(crate) fn sample_height(source: &Held<f32>, pixel: DVec2, height: &mut [f32]) {
    height.fill(bilinear_height(source, pixel));
}

fn bilinear_height(source: &Held<f32>, pixel: DVec2) -> f32 {
    let (w, h) = (f64::from(source.columns), f64::from(source.rows));
    // Half a pixel beyond the outermost centres still belongs to the raster; a hair more is rounding.
    if !(pixel.x > -1e-6 && pixel.y > -1e-6 && pixel.x < w + 1e-6 && pixel.y < h + 1e-6) {
        return f32::NAN;
    }
    let centre = (pixel - 0.5).clamp(DVec2::ZERO, DVec2::new(w - 1.0, h - 1.0));
    let (c, r) = (centre.x.floor(), centre.y.floor());
    let (u, v) = (centre.x - c, centre.y - r);
    let (c, r) = (c as usize, r as usize);
    let (c1, r1) = ((c + 1).min(source.columns as usize - 1), (r + 1).min(source.rows as usize - 1));
    let at = |c: usize, r: usize| source.at(c, r, 1).map_or(f32::NAN, |v| v[0]);
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

/// Bilinear colour; (0, 0, 0) is no data and does not count.
fn bilinear_rgb(source: &Held<u8>, pixel: DVec2) -> [u8; 3] {
    let (w, h) = (f64::from(source.columns), f64::from(source.rows));
    if !(pixel.x >= 0.0 && pixel.y >= 0.0 && pixel.x <= w && pixel.y <= h) {
        return [0; 3];
    }
    let centre = (pixel - 0.5).clamp(DVec2::ZERO, DVec2::new(w - 1.0, h - 1.0));
    let (c, r) = (centre.x as usize, centre.y as usize);
    let (u, v) = ((centre.x - c as f64) as f32, (centre.y - r as f64) as f32);
    let (c1, r1) = ((c + 1).min(source.columns as usize - 1), (r + 1).min(source.rows as usize - 1));
    let at = |c: usize, r: usize| source.at(c, r, PIXEL).map_or([0; 3], |p| [p[0], p[1], p[2]]);
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

/// Averages a picture down while it is read, row by row.
struct Shrinker {
    source_columns: u32,
    factor: u32,
    row_in_cell: u32,
    sums: Vec<[u32; 4]>,
}

impl Shrinker {
    fn new(source_columns: u32, factor: u32) -> Self {
        let sums = vec![[0; 4]; source_columns.div_ceil(factor) as usize];
        Self { source_columns, factor, row_in_cell: 0, sums }
    }

    /// Takes further whole rows, three bytes a pixel; (0, 0, 0) is no data and does not count. Returns the rows that are done.
    fn push(&mut self, rows: &[u8]) -> Vec<u8> {
        let mut done = Vec::new();
        for row in rows.chunks_exact(self.source_columns as usize * PIXEL) {
            for (c, pixel) in row.chunks_exact(PIXEL).enumerate().filter(|(_, p)| **p != [0, 0, 0]) {
                let sum = &mut self.sums[c / self.factor as usize];
                for (s, value) in sum.iter_mut().zip([pixel[0], pixel[1], pixel[2], 1]) {
                    *s += u32::from(value);
                }
            }
            self.row_in_cell += 1;
            if self.row_in_cell == self.factor {
                self.end_row(&mut done);
            }
        }
        done
    }

    fn end_row(&mut self, done: &mut Vec<u8>) {
        for [r, g, b, n] in self.sums.iter_mut().map(std::mem::take) {
            let mean = |sum: u32| ((sum + n / 2) / n.max(1)).clamp(1, 255) as u8;
            done.extend_from_slice(&if n == 0 { [0; 3] } else { [mean(r), mean(g), mean(b)] });
        }
        self.row_in_cell = 0;
    }

    /// The last row, where it is not done.
    fn finish(mut self) -> Vec<u8> {
        let mut done = Vec::new();
        if self.row_in_cell > 0 {
            self.end_row(&mut done);
        }
        done
    }
}

fn factor_for(columns: u32, rows: u32, most_pixels: u64) -> u32 {
    let pixels = u64::from(columns) * u64::from(rows);
    let mut factor = 1;
    while pixels / (u64::from(factor) * u64::from(factor)) > most_pixels {
        factor += 1;
    }
    factor
}

/// Carries a picture into the city's frame while its rows come, and emits it as the one object of its file, in parts from
/// north to south.
pub(crate) struct PictureOut<'a> {
    /// Where the parts go.
    pub out: &'a mut dyn Out,
    report: &'a mut SourceReport,
    id: ObjectId,
    object: Option<CityObject>,
    shrinker: Option<Shrinker>,
    way: Way,
    /// Rows that wait for their part, and which one the first of them is.
    waiting: Vec<u8>,
    first_row: u32,
    rows_taken: u32,
}

enum Way {
    /// Pixel by pixel.
    Aligned(CityGrid),
    Warped(Box<Warper<u8>>),
}

impl<'a> PictureOut<'a> {
    /// For a picture of this size.
    pub fn new(
        job: &Job<'_>,
        (columns, rows): (u32, u32),
        affine: Affine,
        out: &'a mut dyn Out,
        report: &'a mut SourceReport,
    ) -> Result<Self, ImportError> {
        let mut factor = factor_for(columns, rows, MAX_PICTURE);
        let mut way = Way::of(job, &affine, columns, rows, factor)?;
        if matches!(&way, Way::Warped(warper) if warper.most_held() > MAX_HELD_PICTURE) {
            factor = factor_for(columns, rows, MAX_HELD_PICTURE);
            way = Way::of(job, &affine, columns, rows, factor)?;
        }
        if factor > 1 {
            let message = format!("{columns} x {rows} pixels were averaged {factor} x {factor}");
            report.warn("picture_shrunk", message, "");
        }
        let stem = stem(job.path);
        let mut object = CityObject::new(ObjectId::new(job.layer, &stem), Class::Imagery, Geometry::None);
        object.name = Some(stem);
        if let Some(stage) = job.options.stage {
            object.stage = stage;
        }
        let size = Value::Text(format!("{columns} x {rows}"));
        object.attributes.push(Attribute::read(&"pixels".into(), size));
        Ok(Self {
            out,
            report,
            id: object.id.clone(),
            object: Some(object),
            shrinker: (factor > 1).then(|| Shrinker::new(columns, factor)),
            way,
            waiting: Vec::new(),
            first_row: 0,
            rows_taken: 0,
        })
    }

    /// Takes further whole rows, three bytes a pixel.
    pub fn push(&mut self, rows: &[u8]) -> Result<(), ImportError> {
        match &mut self.shrinker {
            Some(shrinker) => {
                let rows = shrinker.push(rows);
                self.place(&rows)
            }
            None => self.place(rows),
        }
    }

    fn place(&mut self, rows: &[u8]) -> Result<(), ImportError> {
        if rows.is_empty() {
            return Ok(());
        }
        match &mut self.way {
            Way::Aligned(grid) => {
                let grid = *grid;
                rows.chunks_exact(grid.columns as usize * PIXEL).try_for_each(|row| self.take(&grid, row))
            }
            Way::Warped(warper) => {
                warper.push(rows);
                let grid = warper.grid;
                while let Some(row) = self.warped_row() {
                    self.take(&grid, &row)?;
                }
                Ok(())
            }
        }
    }

    fn warped_row(&mut self) -> Option<Vec<u8>> {
        match &mut self.way {
            Way::Aligned(_) => None,
            Way::Warped(warper) => warper.next_row(|source, pixel, colour| {
                colour.copy_from_slice(&bilinear_rgb(source, pixel));
            }),
        }
    }

    fn take(&mut self, grid: &CityGrid, row: &[u8]) -> Result<(), ImportError> {
        self.waiting.extend_from_slice(row);
        self.rows_taken += 1;
        let is_full = self.waiting.len() + row.len() > PART_PIXELS * PIXEL;
        if is_full || self.rows_taken == grid.rows { self.emit(grid) } else { Ok(()) }
    }

    fn emit(&mut self, grid: &CityGrid) -> Result<(), ImportError> {
        let geometry = Geometry::Picture(Picture {
            north_west: grid.north_west - DVec2::new(0.0, f64::from(self.first_row) * grid.step_m.y),
            step_m: grid.step_m,
            columns: grid.columns,
            rows: self.rows_taken - self.first_row,
            rgb: std::mem::take(&mut self.waiting),
        });
        self.first_row = self.rows_taken;
        self.report.extent.merge(&geometry.extent());
        let object = match self.object.take() {
            Some(object) => {
                self.report.objects += 1;
                CityObject { geometry, ..object }
            }
            None => CityObject::new(self.id.clone(), Class::Imagery, geometry),
        };
        self.out.emit(object)
    }

    /// Ends the picture.
    pub fn finish(mut self, job: &Job<'_>) -> Result<(), ImportError> {
        if let Some(shrinker) = self.shrinker.take() {
            let rows = shrinker.finish();
            self.place(&rows)?;
        }
        let expected = match &self.way {
            Way::Aligned(grid) => grid.rows,
            Way::Warped(warper) => warper.grid.rows,
        };
        if self.rows_taken != expected {
            return Err(bad(job.path, "pixels", format!("{} of {expected} rows came", self.rows_taken)));
        }
        self.out.progress(1.0);
        Ok(())
    }
}

impl Way {
    fn of(job: &Job<'_>, affine: &Affine, columns: u32, rows: u32, factor: u32) -> Result<Self, ImportError> {
        let (columns, rows, size) = (columns.div_ceil(factor), rows.div_ceil(factor), f64::from(factor));
        let affine = Affine { origin: affine.origin, column: affine.column * size, row: affine.row * size };
        if let Some(grid) = aligned_grid(&affine, job.city_from_source, columns, rows) {
            return Ok(Way::Aligned(grid));
        }
        let grid = covering_grid(&affine, job.city_from_source, columns, rows, MAX_PICTURE * 2)
            .ok_or_else(|| cannot_place(job))?;
        let warper = Warper::new(&affine, job.city_from_source, (columns, rows), PIXEL, grid);
        Ok(Way::Warped(Box::new(warper)))
    }
}
