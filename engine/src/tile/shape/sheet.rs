//! What one tile shows of pictures, cut out and laid side by side on one sheet (a texture atlas).
//!
//! A patch is the box in its picture that connected triangles show. It has so many pixels a metre as its tile asks for,
//! more while the sheet is small, and fewer where all patches would not fit on the largest sheet.

use std::{collections::HashMap, sync::Arc};

use glam::{DVec3, Vec2};
use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder};

use crate::{
    model::MeshPart,
    tile::{album::Album, glb::TileMesh},
};

/// Pixels on a side of a sheet, at most.
const MOST_SIDE: u32 = 2048;
/// Pixels on a side of a patch, at most.
const MOST_PATCH: f64 = 1024.0;
/// Pixels around a patch that repeat its border, so that neighbours do not shine in.
const GUTTER: u32 = 2;
/// Of 100.
const QUALITY: u8 = 86;
/// Pixels of a picture that one pixel of the sheet is the mean of, in each direction, at most.
const MOST_TAPS: f32 = 8.0;
/// Pixels of a sheet that is filled with finer patches than the tile asks for.
const SMALL_SHEET: u64 = 1 << 20;
/// How much finer they may be.
pub(super) const FINER: f64 = 4.0;
/// Each try makes patches this much smaller.
const SHRINK: f64 = 0.85;
const MOST_TRIES: u32 = 48;

/// A box in a picture, with the vertices that show it.
pub(super) struct Patch {
    picture: Arc<str>,
    /// Colour where the picture cannot be decoded.
    rgb: [u8; 3],
    low: Vec2,
    high: Vec2,
    /// Pixels that the tile asks for.
    size: [f64; 2],
    /// Pixels that it has where there is room.
    finest: [f64; 2],
    /// First and end in the tile's textured mesh.
    vertices: (u32, u32),
}

/// Triangles of a part that hang together, and so show one box of its picture.
pub(super) struct Island {
    /// Places in the part's indices, in triangles.
    pub triangles: Vec<u32>,
    low: Vec2,
    high: Vec2,
    /// Pixels for each pixel of the picture: as the tile asks for, and where there is room.
    scales: [f64; 2],
}

/// The islands of a part whose picture has this many columns and rows, so many pixels a metre fine, and where there is
/// room. `None` when its places in the picture are not numbers.
pub(super) fn islands(part: &MeshPart, size: [u32; 2], pixels_a_metre: [f64; 2]) -> Option<Vec<Island>> {
    if part.uvs.len() != part.positions.len() || part.uvs.iter().flatten().any(|n| !n.is_finite() || n.abs() > 1e4) {
        return None;
    }
    let mut parent: Vec<u32> = (0..part.positions.len() as u32).collect();
    fn root(parent: &mut [u32], mut at: u32) -> u32 {
        while parent[at as usize] != at {
            parent[at as usize] = parent[parent[at as usize] as usize];
            at = parent[at as usize];
        }
        at
    }
    let count = part.positions.len();
    let is_there = |t: &[u32]| t.iter().all(|i| (*i as usize) < count);
    for triangle in part.indices.chunks_exact(3).filter(|t| is_there(t)) {
        for corner in &triangle[1..] {
            let (first, other) = (root(&mut parent, triangle[0]), root(&mut parent, *corner));
            parent[other.max(first) as usize] = other.min(first);
        }
    }
    let mut number: HashMap<u32, usize> = HashMap::new();
    let mut islands: Vec<Island> = Vec::new();
    let mut areas: Vec<(f64, f64)> = Vec::new();
    let [columns, rows] = size.map(f64::from);
    for (index, triangle) in part.indices.chunks_exact(3).enumerate().filter(|(_, t)| is_there(t)) {
        let next = islands.len();
        let at = *number.entry(root(&mut parent, triangle[0])).or_insert(next);
        if at == next {
            let (low, high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
            islands.push(Island { triangles: Vec::new(), low, high, scales: [1.0; 2] });
            areas.push((0.0, 0.0));
        }
        let [a, b, c] = [0, 1, 2].map(|k| part.positions[triangle[k] as usize]);
        let uvs = [0, 1, 2].map(|k| Vec2::from(part.uvs[triangle[k] as usize]));
        let island = &mut islands[at];
        island.triangles.push(index as u32);
        for uv in uvs {
            (island.low, island.high) = (island.low.min(uv), island.high.max(uv));
        }
        areas[at].0 += (b - a).cross(c - a).length() * 0.5;
        areas[at].1 += f64::from((uvs[1] - uvs[0]).perp_dot(uvs[2] - uvs[0]).abs()) * 0.5 * columns * rows;
    }
    for (island, (metres2, pixels2)) in islands.iter_mut().zip(areas) {
        island.scales = pixels_a_metre.map(|fine| {
            let most = (metres2 * fine * fine).max(1.0);
            if pixels2 > most { (most / pixels2).sqrt() } else { 1.0 }
        });
    }
    Some(islands)
}

impl Patch {
    /// What an island of a part shows, with the vertices that will be drawn of it.
    pub fn of(island: &Island, part: &MeshPart, size: [u32; 2], vertices: (u32, u32)) -> Option<Self> {
        let extent = (island.high - island.low).max(Vec2::ZERO);
        let pixels = |scale: f64| {
            let one = |share: f32, all: u32| (f64::from(share) * f64::from(all) * scale).clamp(1.0, MOST_PATCH);
            [one(extent.x, size[0]), one(extent.y, size[1])]
        };
        Some(Self {
            picture: part.texture.as_ref()?.name().clone(),
            rgb: [part.rgba[0], part.rgba[1], part.rgba[2]],
            low: island.low,
            high: island.high,
            size: pixels(island.scales[0]),
            finest: pixels(island.scales[1]),
            vertices,
        })
    }
}

/// Where a patch lies on the sheet, without its gutter.
#[derive(Clone, Copy)]
struct Slot {
    x: u32,
    y: u32,
    columns: u32,
    rows: u32,
}

/// Lays out the patches, paints the sheet, and moves the mesh's places from the pictures to it. Gives the sheet as a JPEG,
/// and how many patches have their plain colour because their picture cannot be decoded. `None` when they do not fit, be
/// they ever so small.
pub(super) fn lay_out(patches: &[Patch], mesh: &mut TileMesh, album: &Album) -> Option<(Vec<u8>, u64)> {
    let (slots, side) = arrange(patches)?;
    let rows = slots.iter().map(|s| s.y + s.rows + GUTTER).max()?.next_multiple_of(4).min(side);
    let mut sheet = RgbImage::new(side, rows);
    let mut plain = 0;
    // Picture by picture, so that each is decoded once.
    let mut order: Vec<usize> = (0..patches.len()).collect();
    order.sort_by(|a, b| patches[*a].picture.cmp(&patches[*b].picture).then(a.cmp(b)));
    for at in order {
        let (patch, slot) = (&patches[at], slots[at]);
        let pixels = album.pixels(&patch.picture);
        plain += u64::from(pixels.is_none());
        paint(&mut sheet, patch, slot, pixels.as_deref());
        let extent = (patch.high - patch.low).max(Vec2::splat(1e-12));
        let whole = Vec2::new(side as f32, rows as f32);
        let (corner, size) =
            (Vec2::new(slot.x as f32, slot.y as f32), Vec2::new(slot.columns as f32, slot.rows as f32));
        for uv in mesh.uvs.get_mut(patch.vertices.0 as usize..patch.vertices.1 as usize)? {
            *uv = (corner + (*uv - patch.low) / extent * size) / whole;
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).write_image(&sheet, side, rows, ExtendedColorType::Rgb8).ok()?;
    Some((jpeg, plain))
}

/// Rows of patches of falling height, on the smallest sheet that holds them.
fn arrange(patches: &[Patch]) -> Option<(Vec<Slot>, u32)> {
    let mut scale = 1.0;
    for _ in 0..MOST_TRIES {
        // First from the finest down to what the tile asks for, then below it.
        let asked = (scale * FINER).min(1.0);
        let size = |k: usize, p: &Patch| (p.finest[k] * scale).max(p.size[k] * asked).round().max(1.0) as u32;
        let sizes: Vec<[u32; 2]> = patches.iter().map(|p| [size(0, p), size(1, p)]).collect();
        let area: u64 = sizes.iter().map(|[w, h]| u64::from(w + 2 * GUTTER) * u64::from(h + 2 * GUTTER)).sum();
        if area > SMALL_SHEET && scale * FINER > 1.0 {
            scale *= SHRINK;
            continue;
        }
        let widest = sizes.iter().map(|[w, _]| w + 2 * GUTTER).max()?;
        let mut side = 64_u32;
        while side < MOST_SIDE && (u64::from(side).pow(2) < area || side < widest) {
            side *= 2;
        }
        while side <= MOST_SIDE {
            if let Some(slots) = shelves(&sizes, side) {
                return Some((slots, side));
            }
            side *= 2;
        }
        scale *= SHRINK;
    }
    None
}

fn shelves(sizes: &[[u32; 2]], side: u32) -> Option<Vec<Slot>> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|at| (std::cmp::Reverse(sizes[*at][1]), std::cmp::Reverse(sizes[*at][0]), *at));
    let mut slots = vec![Slot { x: 0, y: 0, columns: 1, rows: 1 }; sizes.len()];
    let (mut x, mut y, mut high) = (0, 0, 0);
    for at in order {
        let [columns, rows] = sizes[at];
        let [width, height] = [columns + 2 * GUTTER, rows + 2 * GUTTER];
        if x + width > side {
            (x, y, high) = (0, y + high, 0);
        }
        high = high.max(height);
        if width > side || y + height > side {
            return None;
        }
        slots[at] = Slot { x: x + GUTTER, y: y + GUTTER, columns, rows };
        x += width;
    }
    Some(slots)
}

/// Paints a patch with its gutter: each pixel is the mean of those of the picture under it.
fn paint(sheet: &mut RgbImage, patch: &Patch, slot: Slot, picture: Option<&RgbImage>) {
    let gutter = GUTTER as i32;
    let extent = patch.high - patch.low;
    // A hair over the border is meant to be the border; farther out the picture repeats.
    let repeats = patch.low.min_element() < -0.02 || patch.high.max_element() > 1.02;
    for row in -gutter..slot.rows as i32 + gutter {
        for column in -gutter..slot.columns as i32 + gutter {
            let rgb = match picture {
                None => patch.rgb,
                Some(picture) => {
                    let cell = |at: i32, all: u32, low: f32, extent: f32| {
                        let at = at.clamp(0, all as i32 - 1) as f32;
                        [at, at + 1.0].map(|edge| low + extent * edge / all as f32)
                    };
                    let across = cell(column, slot.columns, patch.low.x, extent.x);
                    let down = cell(row, slot.rows, patch.low.y, extent.y);
                    mean(picture, across, down, repeats)
                }
            };
            let (x, y) = (slot.x as i32 + column, slot.y as i32 + row);
            if x >= 0 && y >= 0 && (x as u32) < sheet.width() && (y as u32) < sheet.height() {
                sheet.put_pixel(x as u32, y as u32, image::Rgb(rgb));
            }
        }
    }
}

/// Mean of the picture's pixels within a box of it.
fn mean(picture: &RgbImage, across: [f32; 2], down: [f32; 2], repeats: bool) -> [u8; 3] {
    let taps = |[low, high]: [f32; 2], all: u32| {
        let (low, high) = (low * all as f32, high * all as f32);
        let count = (high - low).abs().ceil().clamp(1.0, MOST_TAPS);
        (0..count as u32).map(move |k| {
            let at = (low + (high - low) * (k as f32 + 0.5) / count).floor();
            match repeats {
                true => at.rem_euclid(all as f32).min(all as f32 - 1.0) as u32,
                false => at.clamp(0.0, all as f32 - 1.0) as u32,
            }
        })
    };
    let (mut sum, mut count) = ([0_u32; 3], 0);
    for y in taps(down, picture.height()) {
        for x in taps(across, picture.width()) {
            let pixel = picture.get_pixel(x, y).0;
            sum.iter_mut().zip(pixel).for_each(|(sum, c)| *sum += u32::from(c));
            count += 1;
        }
    }
    sum.map(|c| ((c + count / 2) / count) as u8)
}

/// Square metres of a part's triangles.
pub(super) fn area_m2(part: &MeshPart) -> f64 {
    let at = |i: u32| part.positions.get(i as usize).copied().unwrap_or(DVec3::ZERO);
    let areas = part.indices.chunks_exact(3).map(|t| {
        let [a, b, c] = [at(t[0]), at(t[1]), at(t[2])];
        (b - a).cross(c - a).length() * 0.5
    });
    areas.sum()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::model::Texture;

    /// Red, green / blue, white quarters.
    fn quarters(side: u32) -> Texture {
        let half = side / 2;
        let picture = RgbImage::from_fn(side, side, |x, y| {
            image::Rgb(match (x < half, y < half) {
                (true, true) => [255, 0, 0],
                (false, true) => [0, 255, 0],
                (true, false) => [0, 0, 255],
                (false, false) => [255, 255, 255],
            })
        });
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, image::ImageFormat::Png).unwrap();
        Texture::new(file.into_inner())
    }

    /// A square of some metres that shows a box of the picture.
    fn square(texture: &Texture, metres: f64, [u0, v0, u1, v1]: [f32; 4]) -> MeshPart {
        MeshPart {
            positions: [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
                .map(|(x, y)| DVec3::new(x * metres, y * metres, 0.0))
                .to_vec(),
            indices: vec![0, 1, 2, 0, 2, 3],
            rgba: [9, 9, 9, 255],
            uvs: vec![[u0, v1], [u1, v1], [u1, v0], [u0, v0]],
            texture: Some(texture.clone()),
        }
    }

    fn laid(parts: &[MeshPart], pixels_a_metre: [f64; 2]) -> (RgbImage, TileMesh, u64) {
        let folder = tempfile::tempdir().unwrap();
        let mut album = Album::new(folder.path());
        let (mut mesh, mut patches) = (TileMesh::default(), Vec::new());
        for part in parts {
            album.keep(part.texture.as_ref().unwrap()).unwrap();
            let size = album.size(part.texture.as_ref().unwrap().name()).unwrap();
            for island in islands(part, size, pixels_a_metre).unwrap() {
                let first = mesh.uvs.len() as u32;
                let corners = island.triangles.iter().flat_map(|t| &part.indices[*t as usize * 3..][..3]);
                mesh.uvs.extend(corners.map(|c| Vec2::from(part.uvs[*c as usize])));
                patches.push(Patch::of(&island, part, size, (first, mesh.uvs.len() as u32)).unwrap());
            }
        }
        let (jpeg, plain) = lay_out(&patches, &mut mesh, &album).unwrap();
        (image::load_from_memory(&jpeg).unwrap().into_rgb8(), mesh, plain)
    }

    fn seen(sheet: &RgbImage, uvs: &[Vec2]) -> [u8; 3] {
        let middle = uvs.iter().sum::<Vec2>() / uvs.len() as f32;
        sheet.get_pixel((middle.x * sheet.width() as f32) as u32, (middle.y * sheet.height() as f32) as u32).0
    }

    fn is_near(a: [u8; 3], b: [u8; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 24)
    }

    #[test]
    fn each_square_shows_its_quarter_of_the_picture() {
        let texture = quarters(64);
        let boxes = [[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5], [0.0, 0.5, 0.5, 1.0], [0.5, 0.5, 1.0, 1.0]];
        let parts = boxes.map(|b| square(&texture, 3.0, b));
        let (sheet, mesh, plain) = laid(&parts, [16.0; 2]);
        assert_eq!(plain, 0);
        assert!(sheet.width() <= 128, "as small as may be: {}", sheet.width());
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
        for (uvs, colour) in mesh.uvs.chunks(6).zip(colours) {
            let found = seen(&sheet, uvs);
            assert!(is_near(found, colour), "{found:?} {colour:?}");
        }
    }

    #[test]
    fn resolution_is_bounded_by_metres_and_by_the_sheet() {
        let texture = quarters(1024);
        let whole = [0.0, 0.0, 1.0, 1.0];
        let size = |metres: f64, fine: f64| {
            islands(&square(&texture, metres, whole), [1024; 2], [fine; 2]).unwrap()[0].scales[0]
        };
        assert!((size(10.0, 16.0) * 1024.0 - 160.0).abs() < 1.0, "160 pixels for 10 m");
        assert_eq!(size(1000.0, 16.0), 1.0, "no finer than the picture");
        let many: Vec<MeshPart> = (0..40).map(|_| square(&texture, 100.0, whole)).collect();
        let (sheet, mesh, _) = laid(&many, [16.0, 64.0]);
        assert!(sheet.width() <= 2048 && sheet.height() <= 2048);
        assert!(mesh.uvs.iter().all(|uv| (0.0..=1.0).contains(&uv.x) && (0.0..=1.0).contains(&uv.y)));
        let side = |parts: &[MeshPart], fine: f64| laid(parts, [16.0, fine]).0.height();
        let small = [square(&texture, 5.0, whole)];
        assert!(side(&small, 64.0) > 3 * side(&small, 16.0), "a small model is fine where there is room");
    }

    #[test]
    fn pictures_that_repeat_are_laid_out_whole() {
        let (sheet, mesh, _) = laid(&[square(&quarters(8), 4.0, [0.0, 0.0, 2.0, 1.0])], [100.0; 2]);
        let corner = mesh.uvs.iter().fold(Vec2::INFINITY, |low, uv| low.min(*uv));
        let at = |x: f32, y: f32| {
            let pixel = (corner * Vec2::new(sheet.width() as f32, sheet.height() as f32)).round() + Vec2::new(x, y);
            sheet.get_pixel(pixel.x as u32, pixel.y as u32).0
        };
        // Two repeats of eight pixels: red, green, red, green from left to right.
        assert!(at(1.0, 1.0)[0] > 128 && at(5.0, 1.0)[1] > 128 && at(9.0, 1.0)[0] > 128 && at(13.0, 1.0)[1] > 128);
    }

    #[test]
    fn what_cannot_be_decoded_is_plain_and_counted() {
        let good = quarters(64);
        let cut = Texture::new(good.file()[..good.file().len() * 2 / 3].to_vec());
        let (sheet, mesh, plain) = laid(&[square(&cut, 3.0, [0.0, 0.0, 1.0, 1.0])], [16.0; 2]);
        assert_eq!(plain, 1);
        assert!(is_near(seen(&sheet, &mesh.uvs), [9, 9, 9]));
        let mut fan = square(&good, 1.0, [0.0, 0.0, 1.0, 1.0]);
        fan.indices = vec![3, 0, 2, 3, 1, 0];
        assert_eq!(islands(&fan, [64; 2], [16.0; 2]).unwrap().len(), 1, "whatever the order of the corners");
        let mut lost = square(&good, 1.0, [0.0, 0.0, 1.0, 1.0]);
        lost.uvs[0][0] = f32::NAN;
        assert!(islands(&lost, [64; 2], [16.0; 2]).is_none());
    }
}
