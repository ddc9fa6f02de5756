//! Pictures for surfaces, made in code: one repeat of a facade is one storey by one bay.
//! Row 0 of a facade is the floor, as texture v counts storeys upward.

use std::{io::Cursor, sync::OnceLock};

use image::{ImageFormat, Rgb, RgbImage};

use super::{Facade, scene::Look};

/// Pixels on a side.
const SIDE: u32 = 128;

/// An encoded picture.
pub(super) struct Texture {
    /// PNG file.
    pub png: Vec<u8>,
    /// Mean colour, sRGB: what it looks like from afar.
    pub mean: [u8; 3],
}

type Cell = OnceLock<Texture>;

/// The picture of `look`, if it has one.
pub(super) fn of(look: Look) -> Option<&'static Texture> {
    static RESIDENTIAL: Cell = Cell::new();
    static TOWER: Cell = Cell::new();
    static OFFICE: Cell = Cell::new();
    static OLD_TOWN: Cell = Cell::new();
    static PUBLIC: Cell = Cell::new();
    static INDUSTRIAL: Cell = Cell::new();
    static SHOP: Cell = Cell::new();
    static ROOF_TILE: Cell = Cell::new();
    static ROAD: Cell = Cell::new();
    static ROAD_MAIN: Cell = Cell::new();
    let (cell, paint): (&Cell, fn(&mut Canvas)) = match look {
        Look::Facade(Facade::Residential) => (&RESIDENTIAL, residential),
        Look::Facade(Facade::Tower) => (&TOWER, tower),
        Look::Facade(Facade::Office) => (&OFFICE, office),
        Look::Facade(Facade::OldTown) => (&OLD_TOWN, old_town),
        Look::Facade(Facade::Public) => (&PUBLIC, public),
        Look::Facade(Facade::Industrial) => (&INDUSTRIAL, industrial),
        Look::Shop => (&SHOP, shop),
        Look::RoofTile => (&ROOF_TILE, roof_tile),
        Look::Road => (&ROAD, road),
        Look::RoadMain => (&ROAD_MAIN, road_main),
        _ => return None,
    };
    Some(cell.get_or_init(|| {
        let mut canvas = Canvas(RgbImage::new(SIDE, SIDE));
        paint(&mut canvas);
        canvas.finish()
    }))
}

/// Mean colour of a facade, for walls that are drawn plain.
pub(super) fn facade_mean(facade: Facade) -> [u8; 3] {
    of(Look::Facade(facade)).map_or([200; 3], |t| t.mean)
}

struct Canvas(RgbImage);

type Colour = [u8; 3];

impl Canvas {
    fn fill(&mut self, colour: Colour) {
        self.rect(0, SIDE, 0, SIDE, colour);
    }

    /// x0..x1 along the wall, y0..y1 up from the floor.
    fn rect(&mut self, x0: u32, x1: u32, y0: u32, y1: u32, colour: Colour) {
        for y in y0..y1.min(SIDE) {
            for x in x0..x1.min(SIDE) {
                self.0.put_pixel(x, y, Rgb(colour));
            }
        }
    }

    /// Glass that mirrors a sky: darker below, a slanted band of light across.
    fn glass(&mut self, x0: u32, x1: u32, y0: u32, y1: u32, low: Colour, high: Colour) {
        for y in y0..y1.min(SIDE) {
            for x in x0..x1.min(SIDE) {
                let up = f32::from((y - y0) as u16) / f32::from((y1 - y0).max(1) as u16);
                let slant = (x - x0) + (y - y0) / 2;
                let width = x1 - x0;
                let light = if slant > width / 2 && slant < width * 3 / 4 { 14.0 } else { 0.0 };
                let mix = |i: usize| {
                    let value = f32::from(low[i]) * (1.0 - up) + f32::from(high[i]) * up + light;
                    // Few steps: a smooth gradient makes the file four times as large.
                    ((value / 4.0).round() * 4.0).clamp(0.0, 255.0) as u8
                };
                self.0.put_pixel(x, y, Rgb([mix(0), mix(1), mix(2)]));
            }
        }
    }

    /// A window with frame, sill, mullion and perhaps a curtain.
    fn window(&mut self, [x0, x1, y0, y1]: [u32; 4], frame: Colour, curtain: bool) {
        self.rect(x0 - 4, x1 + 4, y0 - 5, y0 - 2, [186, 180, 172]);
        self.rect(x0 - 2, x1 + 2, y0 - 2, y1 + 2, frame);
        self.glass(x0, x1, y0, y1, [58, 74, 90], [118, 142, 160]);
        if curtain {
            self.rect(x0 + 1, x0 + (x1 - x0) / 4, y0, y1, [176, 172, 164]);
        }
        let middle = (x0 + x1) / 2;
        self.rect(middle - 1, middle + 1, y0, y1, frame);
        // The shade that the lintel throws.
        self.rect(x0, x1, y1 - 4, y1, [44, 56, 70]);
    }

    fn finish(self) -> Texture {
        let mut sums = [0.0f64; 3];
        for pixel in self.0.pixels() {
            for (sum, byte) in sums.iter_mut().zip(pixel.0) {
                *sum += (f64::from(byte) / 255.0).powf(2.2);
            }
        }
        let count = f64::from(SIDE * SIDE);
        let mean = sums.map(|sum| ((sum / count).powf(1.0 / 2.2) * 255.0).round() as u8);
        let mut png = Cursor::new(Vec::new());
        // Writing to memory fails for no picture of this size; without it the surface is merely plain.
        if self.0.write_to(&mut png, ImageFormat::Png).is_err() {
            png = Cursor::new(Vec::new());
        }
        Texture { png: png.into_inner(), mean }
    }
}

fn residential(canvas: &mut Canvas) {
    canvas.fill([238, 234, 226]);
    canvas.rect(0, SIDE, 0, 5, [206, 201, 192]);
    canvas.rect(0, SIDE, 5, 7, [222, 217, 209]);
    canvas.window([16, 56, 40, 102], [246, 246, 244], true);
    // Balcony: door of glass, slab, railing, the shade of the slab above.
    canvas.rect(68, 122, 4, 112, [206, 200, 192]);
    canvas.glass(74, 116, 8, 104, [52, 66, 80], [104, 126, 144]);
    canvas.rect(94, 96, 8, 104, [232, 232, 230]);
    canvas.rect(68, 122, 104, 112, [150, 146, 140]);
    canvas.rect(66, 124, 2, 8, [226, 222, 214]);
    canvas.rect(66, 124, 40, 44, [212, 210, 206]);
    for bar in 0..10 {
        canvas.rect(67 + bar * 6, 69 + bar * 6, 8, 40, [196, 196, 194]);
    }
}

fn tower(canvas: &mut Canvas) {
    canvas.fill([236, 235, 232]);
    canvas.rect(0, SIDE, 0, 8, [214, 212, 208]);
    canvas.rect(8, 120, 32, 108, [202, 204, 206]);
    canvas.glass(10, 62, 34, 106, [62, 82, 102], [128, 154, 174]);
    canvas.glass(66, 118, 34, 106, [58, 76, 96], [120, 146, 168]);
    canvas.rect(10, 118, 100, 106, [52, 66, 82]);
    canvas.rect(10, 118, 52, 54, [214, 216, 218]);
    canvas.rect(70, 84, 34, 100, [168, 168, 164]);
}

fn office(canvas: &mut Canvas) {
    canvas.glass(0, SIDE, 0, SIDE, [112, 142, 166], [156, 184, 204]);
    canvas.rect(0, SIDE, 0, 24, [86, 106, 124]);
    canvas.rect(0, SIDE, 22, 26, [176, 184, 190]);
    canvas.rect(0, SIDE, 0, 3, [150, 158, 166]);
    canvas.rect(86, 126, 26, 128, [98, 126, 148]);
    for mullion in [0, 42, 84] {
        canvas.rect(mullion, mullion + 3, 0, SIDE, [182, 190, 196]);
    }
}

fn old_town(canvas: &mut Canvas) {
    canvas.fill([244, 234, 216]);
    canvas.rect(0, SIDE, 0, 4, [224, 206, 180]);
    canvas.rect(0, SIDE, 122, 128, [232, 218, 194]);
    for x in [26, 80] {
        canvas.window([x, x + 24, 38, 96], [150, 116, 84], false);
        canvas.rect(x - 12, x - 2, 38, 96, [118, 96, 74]);
        canvas.rect(x + 26, x + 36, 38, 96, [118, 96, 74]);
        for slat in 0..9 {
            canvas.rect(x - 11, x - 3, 41 + slat * 6, 43 + slat * 6, [140, 116, 92]);
            canvas.rect(x + 27, x + 35, 41 + slat * 6, 43 + slat * 6, [140, 116, 92]);
        }
        canvas.rect(x - 4, x + 28, 98, 103, [250, 244, 232]);
    }
}

fn public(canvas: &mut Canvas) {
    canvas.fill([230, 225, 215]);
    for row in 0..8 {
        canvas.rect(0, SIDE, row * 16, row * 16 + 1, [214, 208, 198]);
    }
    canvas.rect(0, 14, 0, SIDE, [240, 236, 228]);
    canvas.rect(14, 16, 0, SIDE, [204, 198, 188]);
    canvas.rect(0, SIDE, 0, 7, [212, 206, 196]);
    canvas.window([26, 66, 34, 108], [222, 222, 220], false);
    canvas.window([78, 118, 34, 108], [222, 222, 220], false);
    canvas.rect(26, 66, 84, 86, [222, 222, 220]);
    canvas.rect(78, 118, 84, 86, [222, 222, 220]);
}

fn industrial(canvas: &mut Canvas) {
    for x in 0..SIDE {
        let shade = [222, 226, 228, 226, 218, 208, 202, 210][(x / 2 % 8) as usize];
        canvas.rect(x, x + 1, 0, SIDE, [shade, shade + 3, shade + 5]);
    }
    canvas.rect(0, SIDE, 0, 10, [176, 178, 180]);
    canvas.rect(2, 126, 78, 106, [190, 194, 198]);
    canvas.glass(4, 124, 80, 104, [86, 104, 116], [140, 160, 172]);
    for bar in 1..4 {
        canvas.rect(bar * 32 - 1, bar * 32 + 1, 80, 104, [196, 200, 204]);
    }
}

fn shop(canvas: &mut Canvas) {
    canvas.fill([206, 200, 192]);
    canvas.rect(0, SIDE, 0, 12, [120, 114, 108]);
    canvas.rect(8, 120, 12, 92, [70, 72, 76]);
    canvas.glass(10, 84, 14, 90, [74, 82, 84], [176, 172, 150]);
    canvas.glass(88, 118, 14, 90, [66, 74, 78], [150, 150, 136]);
    canvas.rect(4, 124, 94, 116, [150, 78, 66]);
    canvas.rect(24, 104, 101, 109, [232, 222, 204]);
    canvas.rect(0, SIDE, 116, 119, [160, 154, 146]);
}

fn roof_tile(canvas: &mut Canvas) {
    for y in 0..SIDE {
        for x in 0..SIDE {
            let across = (x + if y / 16 % 2 == 0 { 0 } else { 8 }) % 16;
            let up = y % 16;
            let bow = [206, 216, 226, 234, 238, 242, 244, 244, 242, 240, 236, 230, 222, 214, 204, 192][across as usize];
            let shade = if up < 2 {
                bow - 62
            } else if up < 4 {
                bow - 24
            } else {
                bow
            };
            canvas.rect(x, x + 1, y, y + 1, [shade, shade, shade]);
        }
    }
}

const ASPHALT: Colour = [92, 94, 98];
const KERB: Colour = [168, 166, 162];

/// u across the road, v along it.
fn road(canvas: &mut Canvas) {
    canvas.fill(ASPHALT);
    for edge in [0, 120] {
        canvas.rect(edge, edge + 8, 0, SIDE, [150, 147, 142]);
    }
    canvas.rect(7, 9, 0, SIDE, KERB);
    canvas.rect(119, 121, 0, SIDE, KERB);
    canvas.rect(63, 65, 0, 48, [176, 176, 174]);
}

fn road_main(canvas: &mut Canvas) {
    canvas.fill(ASPHALT);
    for edge in [0, 116] {
        canvas.rect(edge, edge + 12, 0, SIDE, [158, 154, 148]);
        for joint in 0..8 {
            canvas.rect(edge, edge + 12, joint * 16, joint * 16 + 1, [140, 137, 132]);
        }
    }
    canvas.rect(11, 13, 0, SIDE, KERB);
    canvas.rect(115, 117, 0, SIDE, KERB);
    canvas.rect(17, 18, 0, SIDE, [214, 214, 212]);
    canvas.rect(110, 111, 0, SIDE, [214, 214, 212]);
    canvas.rect(62, 63, 0, SIDE, [214, 176, 74]);
    canvas.rect(65, 66, 0, SIDE, [214, 176, 74]);
    for lane in [39, 88] {
        canvas.rect(lane, lane + 2, 0, 56, [220, 220, 218]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_texture_is_a_small_png_that_is_the_same_each_time() {
        let looks = [Look::Shop, Look::RoofTile, Look::Road, Look::RoadMain];
        let facades =
            [Facade::Residential, Facade::Tower, Facade::Office, Facade::OldTown, Facade::Public, Facade::Industrial];
        for look in looks.into_iter().chain(facades.map(Look::Facade)) {
            let texture = of(look).unwrap();
            assert!(texture.png.len() < 8_000, "{look:?}: {} bytes", texture.png.len());
            let picture = image::load_from_memory(&texture.png).unwrap();
            assert_eq!((picture.width(), picture.height()), (SIDE, SIDE));
            if let Ok(folder) = std::env::var("GLB_OUT") {
                image::imageops::flip_vertical(&picture).save(format!("{folder}/{look:?}.png")).unwrap();
            }
        }
        assert!(of(Look::Water).is_none());
    }
}
