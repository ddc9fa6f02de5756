//! The picture on a tile of terrain: orthophotos where there are any, else a map relief made of the heights.
//!
//! The relief follows Swiss practice: muted tints by height, light from the north-west that is cooler in the shade,
//! sand along the shore, rock where it is steep. It is kept light, since the viewer's sun shades the mesh once more.

use std::cell::LazyCell;

use glam::{DVec2, DVec3, Vec3};
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

use super::surface::Surface;
use crate::{
    model::Extent,
    tile::{TileError, raster::Photo},
};

/// Pixels along a tile's side, where orthophotos are fine enough.
pub(super) const MAX_PIXELS: u32 = 1024;
/// Pixels along a tile's side are a multiple of this.
const PIXELS_STEP: u32 = 64;
/// Pixels along a tile's side without orthophoto: four a sample of the mesh.
const RELIEF_PIXELS: u32 = 512;
/// Cells along a tile's side for which the relief is computed; between them colours are interpolated.
const RELIEF_CELLS: usize = 256;
/// Quality of the JPEG.
const QUALITY: u8 = 86;
/// A relief of fewer metres does not use all tints: a plain is not painted like the Alps.
const LEAST_RANGE_M: f32 = 120.0;

/// A tile's picture.
pub(super) struct Painted {
    /// The file.
    pub jpeg: Vec<u8>,
    /// Pixels along a side.
    pub pixels: u32,
    /// Width of a pixel, metres.
    pub texel_m: f64,
}

/// Paints tiles; knows what all of them must agree on.
#[derive(Clone, Debug)]
pub(super) struct Painter {
    low: f32,
    range: f32,
    is_coastal: bool,
    exaggeration: f32,
}

impl Painter {
    /// Takes the measure of the whole surface.
    pub fn new(surface: &Surface<'_>) -> Self {
        let (low, high) = surface.usual_range();
        let extent = surface.extent();
        let is_coastal = extent.min.z < 0.0 && high > 0.0;
        let mut slopes: Vec<f64> = Vec::new();
        if let Some(step) = surface.finest_step() {
            for k in 0..48 * 48 {
                let share = DVec2::new(f64::from(k % 48) + 0.5, f64::from(k / 48) + 0.5) / 48.0;
                let place = extent.min.truncate() + share * extent.size().truncate();
                if surface.height(place) > 0.0 || !is_coastal {
                    slopes.push(surface.slope(place, step * 2.0).length());
                }
            }
        }
        slopes.sort_unstable_by(f64::total_cmp);
        let steep = slopes.get(slopes.len() * 9 / 10).copied().unwrap_or(0.0).max(0.01);
        Self {
            low: if is_coastal { low.max(0.0) } else { low },
            range: (high - low.max(if is_coastal { 0.0 } else { low })).max(LEAST_RANGE_M),
            is_coastal,
            exaggeration: (0.4 / steep).clamp(1.0, 4.0) as f32,
        }
    }

    /// Paints the square from `corner` (north-west) of `size`. The outermost pixels lie on the tile's edges, so that
    /// neighbours meet in the same colours.
    pub fn paint(
        &self,
        surface: &Surface<'_>,
        photos: &[&Photo],
        corner: DVec2,
        size: DVec2,
    ) -> Result<Painted, TileError> {
        let finest = photos.iter().map(|p| p.step_m().min_element()).fold(f64::INFINITY, f64::min);
        let wanted = (size.max_element() / finest).clamp(f64::from(RELIEF_PIXELS), f64::from(MAX_PIXELS));
        let pixels = (wanted.ceil() as u32).next_multiple_of(PIXELS_STEP).min(MAX_PIXELS);
        let texel = size / f64::from(pixels - 1);
        let mut rgb = vec![0; (pixels * pixels * 3) as usize];
        let mut bare = vec![true; (pixels * pixels) as usize];
        drape(photos, corner, texel, &mut rgb, &mut bare)?;
        let extent = Extent {
            min: DVec3::new(corner.x, corner.y - size.y, 0.0),
            max: DVec3::new(corner.x + size.x, corner.y, 0.0),
        };
        // Where photos lie on all of the tile there is no relief to make.
        let relief = LazyCell::new(|| Relief::new(self, &surface.within(&extent), corner, size));
        for (i, pixel) in rgb.chunks_exact_mut(3).enumerate().filter(|(i, _)| bare[*i]) {
            let (column, row) = (i as u32 % pixels, i as u32 / pixels);
            let place = corner + DVec2::new(f64::from(column), -f64::from(row)) * texel;
            let share = DVec2::new(f64::from(column), f64::from(row)) / f64::from(pixels - 1);
            let grain = 1.0 + 0.035 * grain(place, 70.0) + 0.02 * grain(place, 13.0);
            pixel.copy_from_slice(&(relief.at(share) * grain).to_array().map(|v| v.clamp(0.0, 255.0) as u8));
        }
        let mut jpeg = Vec::new();
        let side = pixels;
        // Writing to memory in a size and colour type that JPEG has cannot fail; an empty file would show as white.
        if JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(&rgb, side, side, ExtendedColorType::Rgb8).is_err()
        {
            jpeg.clear();
        }
        Ok(Painted { jpeg, pixels, texel_m: texel.max_element() })
    }

    /// Tint of a place by height and slope.
    fn tint(&self, height: f32, slope: Vec3) -> Vec3 {
        let steepness = slope.truncate().length();
        let share = ((height - self.low) / self.range).clamp(0.0, 1.0);
        let mut tint = ramp(share);
        // Slopes that are neither plain nor rock are wooded more often than not.
        tint = tint.lerp(Vec3::new(146.0, 166.0, 124.0), 0.42 * smooth(0.10, 0.35, steepness));
        tint = tint.lerp(Vec3::new(164.0, 158.0, 150.0), 0.85 * smooth(0.55, 1.1, steepness));
        if self.is_coastal {
            let sand = 1.0 - smooth(0.8, 3.2, height);
            tint = tint.lerp(Vec3::new(224.0, 212.0, 178.0), sand * (1.0 - smooth(0.15, 0.5, steepness)));
            if height < 0.15 {
                let water =
                    Vec3::new(160.0, 196.0, 204.0).lerp(Vec3::new(86.0, 134.0, 164.0), smooth(0.0, 14.0, -height));
                tint = tint.lerp(water, smooth(-0.15, 0.35, -height + 0.1));
            }
        }
        self.lit(tint, slope)
    }

    /// Soft light: mostly from the north-west, some from the west and the north.
    fn lit(&self, tint: Vec3, slope: Vec3) -> Vec3 {
        let normal = Vec3::new(-slope.x * self.exaggeration, -slope.y * self.exaggeration, 1.0).normalize();
        let lights =
            [(Vec3::new(-1.0, 1.0, 1.25), 0.6), (Vec3::new(-1.0, -0.2, 1.1), 0.2), (Vec3::new(0.2, 1.0, 1.1), 0.2)];
        let (mut light, mut flat) = (0.0, 0.0);
        for (towards, weight) in lights {
            let towards = towards.normalize();
            light += normal.dot(towards).max(0.0) * weight;
            flat += towards.z * weight;
        }
        let relative = light / flat;
        if relative < 1.0 {
            let shade = (1.0 - relative).clamp(0.0, 1.0);
            (tint * (1.0 - 0.34 * shade)).lerp(Vec3::new(92.0, 104.0, 130.0), 0.26 * shade)
        } else {
            let glow = ((relative - 1.0) / 0.45).clamp(0.0, 1.0);
            tint.lerp(Vec3::new(255.0, 246.0, 224.0), 0.24 * glow)
        }
    }
}

/// Paints what photos show of a square and marks as not `bare` which pixels that are. One photo after the other is read:
/// the later lies over the earlier, which is not looked at where nothing is left of it.
fn drape(photos: &[&Photo], corner: DVec2, texel: DVec2, rgb: &mut [u8], bare: &mut [bool]) -> Result<(), TileError> {
    let pixels = bare.len().isqrt();
    let mut buffer = Vec::new();
    for photo in photos.iter().rev() {
        if !bare.contains(&true) {
            break;
        }
        let Some(sampler) = photo.sampler(corner, texel, pixels, &mut buffer)? else { continue };
        for (row, (rgb, bare)) in rgb.chunks_exact_mut(pixels * 3).zip(bare.chunks_exact_mut(pixels)).enumerate() {
            sampler.paint_row(row, rgb, bare);
        }
    }
    Ok(())
}

/// Tints from the lowest to the highest land.
fn ramp(share: f32) -> Vec3 {
    const STOPS: [(f32, Vec3); 6] = [
        (0.0, Vec3::new(178.0, 192.0, 154.0)),
        (0.22, Vec3::new(194.0, 203.0, 164.0)),
        (0.45, Vec3::new(214.0, 210.0, 174.0)),
        (0.68, Vec3::new(212.0, 196.0, 160.0)),
        (0.88, Vec3::new(196.0, 178.0, 154.0)),
        (1.0, Vec3::new(206.0, 196.0, 186.0)),
    ];
    for pair in STOPS.windows(2) {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        if share <= to {
            return low.lerp(high, (share - from) / (to - from));
        }
    }
    STOPS[STOPS.len() - 1].1
}

fn smooth(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Colours of the relief at the corners of a tile's cells.
struct Relief {
    colours: Vec<Vec3>,
}

impl Relief {
    fn new(painter: &Painter, surface: &Surface<'_>, corner: DVec2, size: DVec2) -> Self {
        let step = size / RELIEF_CELLS as f64;
        // Differences over at least a sample's width: within one the surface has edges that light would show.
        let finest = surface.finest_step().unwrap_or(step);
        let reach = (finest / step).max_element().ceil().clamp(1.0, 64.0) as usize;
        let across = RELIEF_CELLS + 1 + 2 * reach;
        let heights: Vec<f32> = (0..across)
            .flat_map(|r| (0..across).map(move |c| DVec2::new(c as f64, -(r as f64))))
            .map(|offset| surface.height(corner + (offset - DVec2::new(reach as f64, -(reach as f64))) * step))
            .collect();
        let mut colours = Vec::with_capacity((RELIEF_CELLS + 1) * (RELIEF_CELLS + 1));
        let (mut sum, mut known) = (Vec3::ZERO, 0.0);
        let rise = |before: f32, here: f32, after: f32, reach_m: f64| {
            let reach_m = reach_m as f32;
            match (before.is_nan(), after.is_nan()) {
                (false, false) => (after - before) / (2.0 * reach_m),
                (false, true) => (here - before) / reach_m,
                (true, false) => (after - here) / reach_m,
                (true, true) => 0.0,
            }
        };
        for row in reach..reach + RELIEF_CELLS + 1 {
            for column in reach..reach + RELIEF_CELLS + 1 {
                let at = |c: usize, r: usize| heights[r * across + c];
                let here = at(column, row);
                if here.is_nan() {
                    colours.push(Vec3::NAN);
                    continue;
                }
                let reach_m = step * reach as f64;
                let east = rise(at(column - reach, row), here, at(column + reach, row), reach_m.x);
                let north = rise(at(column, row + reach), here, at(column, row - reach), reach_m.y);
                let colour = painter.tint(here, Vec3::new(east, north, 0.0));
                sum += colour;
                known += 1.0;
                colours.push(colour);
            }
        }
        let mean = if known > 0.0 { sum / known } else { Vec3::splat(190.0) };
        for colour in colours.iter_mut().filter(|c| c.is_nan()) {
            *colour = mean;
        }
        Self { colours }
    }

    /// Colour at a share of the tile's width and height.
    fn at(&self, share: DVec2) -> Vec3 {
        let place = share * RELIEF_CELLS as f64;
        let (c, r) = ((place.x as usize).min(RELIEF_CELLS - 1), (place.y as usize).min(RELIEF_CELLS - 1));
        let (u, v) = ((place.x - c as f64) as f32, (place.y - r as f64) as f32);
        let at = |c: usize, r: usize| self.colours[r * (RELIEF_CELLS + 1) + c];
        at(c, r).lerp(at(c + 1, r), u).lerp(at(c, r + 1).lerp(at(c + 1, r + 1), u), v)
    }
}

/// Even noise in -1..1 with features of about `width_m`, the same at a place whatever tile it is in.
fn grain(place: DVec2, width_m: f64) -> f32 {
    let cell = place / width_m;
    // Rounded by hand: a call of the library for each pixel is dear where the processor's own is not to be counted on.
    let floor = |v: f64| v as i64 - i64::from(v < v as i64 as f64);
    let low = [floor(cell.x), floor(cell.y)];
    let t = cell - DVec2::new(low[0] as f64, low[1] as f64);
    let t = t * t * (3.0 - 2.0 * t);
    let (u, v) = (t.x as f32, t.y as f32);
    let at = |dx: i64, dy: i64| {
        let (x, y) = ((low[0] + dx) as u64, (low[1] + dy) as u64);
        let mut h = x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ y.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        h = (h ^ h >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((h >> 40) as f32) / (1u64 << 23) as f32 - 1.0
    };
    let north = at(0, 0) * (1.0 - u) + at(1, 0) * u;
    let south = at(0, 1) * (1.0 - u) + at(1, 1) * u;
    north * (1.0 - v) + south * v
}
