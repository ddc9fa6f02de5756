//! The orthophoto (DOM), painted: sea by depth, sand, rock, woods, lawns, paving, streets with kerbs and markings, roofs, crowns.
//!
//! Rows are painted in bands by as many threads as there are cores; a pixel's colour depends on its place only.

use glam::DVec2;

use crate::{
    SampleError,
    building::{Building, Use},
    city::City,
    layer::pond,
    outline::{grown, rectangle, round, shrunk},
    plane::{Window, ease, middle, segment_distance},
    plot::scan,
    random::noise,
    recipe::{Grade, SiteKind, ZoneKind},
};

type Rgb = [f32; 3];

/// JPEG of the whole window, north up.
pub(crate) fn paint(city: &City<'_>) -> Result<Vec<u8>, SampleError> {
    let step = city.recipe.picture.metres_per_pixel;
    let window = city.recipe.extent();
    let width = (window.size().x / step).round() as usize;
    let height = (window.size().y / step).round() as usize;
    let mut pixels = vec![0u8; width * height * 3];
    let painter = Painter::new(city);
    const ROWS: usize = 96;
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get()).min(16);
    let bands: Vec<(usize, &mut [u8])> = pixels.chunks_mut(ROWS * width * 3).enumerate().collect();
    let mut shares: Vec<Vec<(usize, &mut [u8])>> = (0..threads).map(|_| Vec::new()).collect();
    for (k, band) in bands {
        shares[k % threads].push((k, band));
    }
    std::thread::scope(|scope| {
        for share in shares {
            let painter = &painter;
            scope.spawn(move || {
                for (k, rows) in share {
                    let count = rows.len() / (width * 3);
                    // bands run from north to south, a band's own rows from south to north while it is painted
                    let south = window.max.y - (k * ROWS + count) as f64 * step;
                    let mut band = Band::new(DVec2::new(window.min.x, south), step, width, count);
                    painter.paint(&mut band);
                    band.write(rows);
                }
            });
        }
    });
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, city.recipe.picture.quality)
        .encode(&pixels, width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .map_err(|e| SampleError::Encode { what: "orthophoto", reason: e.to_string() })?;
    Ok(out)
}

/// A strip of the picture while it is painted; row 0 is its southernmost.
struct Band {
    origin: DVec2,
    step: f64,
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Band {
    fn new(origin: DVec2, step: f64, width: usize, height: usize) -> Self {
        Band { origin, step, width, height, pixels: vec![[0.0; 3]; width * height] }
    }

    fn write(&self, out: &mut [u8]) {
        for (j, row) in self.pixels.chunks_exact(self.width).rev().enumerate() {
            for (i, pixel) in row.iter().enumerate() {
                for c in 0..3 {
                    out[(j * self.width + i) * 3 + c] = (pixel[c] + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        }
    }

    fn overlaps(&self, low: f64, high: f64) -> bool {
        high >= self.origin.y && low <= self.origin.y + self.height as f64 * self.step
    }

    fn blend(&mut self, i: usize, j: usize, colour: Rgb, alpha: f32) {
        let pixel = &mut self.pixels[j * self.width + i];
        for c in 0..3 {
            pixel[c] += (colour[c] - pixel[c]) * alpha;
        }
    }

    fn fill(&mut self, ring: &[DVec2], colour: Rgb, alpha: f32) {
        let low = ring.iter().map(|p| p.y).fold(f64::INFINITY, f64::min);
        let high = ring.iter().map(|p| p.y).fold(f64::NEG_INFINITY, f64::max);
        if !self.overlaps(low, high) {
            return;
        }
        let mut rows = Vec::new();
        scan(ring, self.origin, self.step, self.width, self.height, |j, is| rows.push((j, is)));
        for (j, is) in rows {
            for i in is {
                self.blend(i, j, colour, alpha);
            }
        }
    }

    /// A line with soft edges.
    fn stroke(&mut self, a: DVec2, b: DVec2, half: f64, colour: Rgb, alpha: f32) {
        let reach = half + self.step;
        if !self.overlaps(a.y.min(b.y) - reach, a.y.max(b.y) + reach) {
            return;
        }
        let low = ((a.min(b) - DVec2::splat(reach) - self.origin) / self.step).max(DVec2::ZERO);
        let high = ((a.max(b) + DVec2::splat(reach) - self.origin) / self.step).max(DVec2::ZERO);
        for j in low.y as usize..(high.y.ceil() as usize).min(self.height) {
            for i in low.x as usize..(high.x.ceil() as usize).min(self.width) {
                let p = self.origin + DVec2::new(i as f64 + 0.5, j as f64 + 0.5) * self.step;
                let d = segment_distance(p, a, b).0;
                let cover = ((half - d) / self.step + 0.5).clamp(0.0, 1.0) as f32;
                if cover > 0.0 {
                    self.blend(i, j, colour, alpha * cover);
                }
            }
        }
    }

    fn path(&mut self, points: &[DVec2], half: f64, colour: Rgb, alpha: f32) {
        for s in points.windows(2) {
            self.stroke(s[0], s[1], half, colour, alpha);
        }
    }

    fn spot(&mut self, at: DVec2, radius: f64, colour: Rgb, alpha: f32) {
        self.stroke(at, at + DVec2::new(0.01, 0.0), radius, colour, alpha);
    }
}

struct Painter<'a> {
    city: &'a City<'a>,
    grain: Vec<f32>,
    /// Character and woodedness of the land on a coarse lattice.
    land: Vec<(ZoneKind, f32)>,
    land_width: usize,
    window: Window,
}

const GRAIN: usize = 512;
const LAND_M: f64 = 8.0;

impl<'a> Painter<'a> {
    fn new(city: &'a City<'a>) -> Self {
        let seed = city.recipe.seed ^ 501;
        let mut grain = Vec::with_capacity(GRAIN * GRAIN);
        for j in 0..GRAIN {
            for i in 0..GRAIN {
                let (x, y) = (i as f64, j as f64);
                let v = 0.5 * noise(seed, x / 21.0, y / 21.0)
                    + 0.3 * noise(seed ^ 1, x / 6.0, y / 6.0)
                    + 0.2 * noise(seed ^ 2, x / 1.9, y / 1.9);
                grain.push(v as f32);
            }
        }
        let window = city.recipe.extent();
        let land_width = (window.size().x / LAND_M) as usize + 2;
        let land_height = (window.size().y / LAND_M) as usize + 2;
        let land = (0..land_width * land_height)
            .map(|k| {
                let p = window.min + DVec2::new((k % land_width) as f64, (k / land_width) as f64) * LAND_M;
                let reach = city.recipe.hills.iter().map(|h| h.reach(p)).fold(f64::INFINITY, f64::min);
                (city.recipe.zone(p), (1.0 - ease(0.84, 1.0, reach)) as f32)
            })
            .collect();
        Painter { city, grain, land, land_width, window }
    }

    fn grain(&self, x: f64, y: f64) -> f32 {
        let fold = |v: f64| {
            let k = (v.floor() as i64).rem_euclid(2 * GRAIN as i64) as usize;
            if k < GRAIN { k } else { 2 * GRAIN - 1 - k }
        };
        self.grain[fold(y) * GRAIN + fold(x)]
    }

    fn soft_grain(&self, x: f64, y: f64) -> f32 {
        let (fx, fy) = ((x - x.floor()) as f32, (y - y.floor()) as f32);
        let low = self.grain(x, y) * (1.0 - fx) + self.grain(x + 1.0, y) * fx;
        let high = self.grain(x, y + 1.0) * (1.0 - fx) + self.grain(x + 1.0, y + 1.0) * fx;
        low * (1.0 - fy) + high * fy
    }

    fn paint(&self, band: &mut Band) {
        for j in 0..band.height {
            for i in 0..band.width {
                let p = band.origin + DVec2::new(i as f64 + 0.5, j as f64 + 0.5) * band.step;
                band.pixels[j * band.width + i] = self.ground(p);
            }
        }
        self.paint_moles(band);
        self.paint_places(band);
        self.paint_streets(band);
        self.paint_buildings(band);
        for tree in &self.city.trees {
            if band.overlaps(tree.at.y - 8.0, tree.at.y + 8.0) {
                let g = self.grain(tree.at.x * 3.1, tree.at.y * 2.7);
                let green = mix([60.0, 82.0, 46.0], [98.0, 118.0, 66.0], g);
                let r = tree.crown_m * 0.46;
                band.spot(tree.at + DVec2::new(1.0, 1.4), r, [38.0, 44.0, 36.0], 0.35);
                band.spot(tree.at, r, green, 0.85);
                band.spot(tree.at + DVec2::new(-0.6, -0.8), r * 0.5, mix(green, [150.0, 160.0, 96.0], 0.35), 0.7);
            }
        }
    }

    fn ground(&self, p: DVec2) -> Rgb {
        let fine = self.grain(p.x, p.y) - 0.5;
        let broad = self.soft_grain(p.x / 9.0, p.y / 9.0) - 0.5;
        let d = self.city.coast.inland(p);
        if d < 0.0 {
            return self.sea(p, d, fine, broad);
        }
        let q =
            (p - self.window.min) / LAND_M + DVec2::splat(0.5) + DVec2::new(f64::from(fine), f64::from(broad)) * 0.9;
        let k = (q.y.max(0.0) as usize) * self.land_width + (q.x.max(0.0) as usize).min(self.land_width - 1);
        let (zone, wood) = self.land[k.min(self.land.len() - 1)];
        let lawn = mix([112.0, 128.0, 82.0], [146.0, 150.0, 104.0], 0.5 + broad * 1.5 + fine * 0.5);
        let paving = mix([158.0, 154.0, 146.0], [178.0, 174.0, 166.0], 0.5 + fine + broad);
        let soil = mix([150.0, 136.0, 112.0], [172.0, 160.0, 136.0], 0.5 + fine + broad);
        let patch = |edge: f32| smooth(edge - 0.05, edge + 0.05, broad + fine * 0.35 + 0.5);
        let base = match zone {
            ZoneKind::Housing => mix(lawn, paving, patch(0.56)),
            ZoneKind::OldTown => mix(mix(soil, paving, 0.5), lawn, patch(0.60)),
            ZoneKind::Villas => mix(lawn, soil, patch(0.66) * 0.7),
            ZoneKind::Cbd => mix(paving, lawn, patch(0.62)),
            ZoneKind::Works => mix(paving, soil, patch(0.52)),
            ZoneKind::Port => mix([150.0, 148.0, 143.0], [168.0, 165.0, 158.0], 0.5 + broad + fine),
            ZoneKind::Shore => mix(lawn, paving, patch(0.60)),
        };
        let woods = mix([58.0, 76.0, 44.0], [100.0, 112.0, 68.0], 0.42 + broad * 1.1 + fine * 1.4);
        let bare = smooth(0.55, 0.95, self.city.ground.slope(p) as f32 * wood);
        let woods = mix(woods, [138.0, 128.0, 112.0], bare * (0.35 + broad));
        let inner = mix(base, woods, wood);
        if d > 75.0 {
            return inner;
        }
        let sand = self.city.coast.sand(p) as f32;
        let quay = self.city.coast.quay(p) as f32;
        let dd = d as f32 + broad * 9.0;
        let beach = mix([166.0, 148.0, 116.0], [220.0, 206.0, 172.0], smooth(2.0, 14.0, dd));
        let beach = mix(beach, [226.0, 214.0, 184.0], 0.4 * fine + 0.2);
        let rock = mix([108.0, 100.0, 90.0], [164.0, 152.0, 134.0], 0.5 + fine * 1.6 + broad);
        let concrete = [172.0 + 20.0 * fine, 170.0 + 20.0 * fine, 163.0 + 20.0 * fine];
        let inner = mix(inner, beach, sand * (1.0 - smooth(40.0, 46.0, dd)));
        let inner = mix(inner, rock, (1.0 - sand) * (1.0 - quay) * (1.0 - smooth(11.0, 22.0, dd)));
        mix(inner, concrete, quay * (1.0 - smooth(26.0, 30.0, d as f32)))
    }

    fn sea(&self, p: DVec2, d: f64, fine: f32, broad: f32) -> Rgb {
        let depth = -self.city.ground.at(p) as f32 + broad * 1.2;
        let shallow = mix([150.0, 176.0, 160.0], [92.0, 146.0, 148.0], smooth(0.0, 2.2, depth));
        let open = mix(shallow, [52.0, 104.0, 122.0], smooth(1.6, 5.5, depth));
        let deep = mix(open, [36.0, 80.0, 102.0], smooth(5.0, 13.0, depth));
        let ripple = (fine * 7.0) + broad * 6.0;
        let water = [deep[0] + ripple, deep[1] + ripple, deep[2] + ripple];
        let foam = smooth(-5.0, -1.0, d as f32 + broad * 7.0) * 0.55 * (1.0 - self.city.coast.quay(p) as f32);
        mix(water, [226.0, 232.0, 226.0], foam * (0.6 + fine))
    }

    fn paint_moles(&self, band: &mut Band) {
        for (line, width) in self.city.coast.moles() {
            band.path(&line.points, width / 2.0 + 3.0, [126.0, 122.0, 114.0], 0.75);
            band.path(&line.points, width / 2.0, [190.0, 184.0, 172.0], 1.0);
            band.path(&line.points, width / 2.0 - 1.4, [206.0, 200.0, 188.0], 0.7);
        }
    }

    fn paint_places(&self, band: &mut Band) {
        for place in &self.city.places {
            let (at, u, v) = (place.at, place.front, place.front.perp());
            let r = (crate::plane::area(&place.ring) / 3.4).sqrt();
            let inside: Vec<DVec2> = grown(&place.ring, -1.0);
            match place.kind {
                SiteKind::Plaza | SiteKind::Bim => {
                    band.fill(&inside, [196.0, 188.0, 176.0], 0.9);
                    for k in (1..=6).rev() {
                        let colour = if k % 2 == 0 { [184.0, 172.0, 158.0] } else { [206.0, 200.0, 190.0] };
                        band.fill(&round(at, u, r * 0.3 * f64::from(k), r * 0.3 * f64::from(k), 40), colour, 0.8);
                    }
                    if place.kind == SiteKind::Plaza {
                        band.fill(&round(at, u, 12.0, 12.0, 24), [104.0, 146.0, 152.0], 0.9);
                    }
                }
                SiteKind::Park => {
                    band.fill(&inside, [120.0, 142.0, 86.0], 0.72);
                    let walk = [198.0, 188.0, 166.0];
                    for k in 0..4 {
                        let turn = crate::angle::direction(f64::from(k) * std::f64::consts::FRAC_PI_2 + 0.5);
                        let bend = at + turn * (r * 0.5) + turn.perp() * (r * 0.18);
                        let path = crate::plane::Line::smooth(&[at, bend, at + turn * (r * 0.92)], 6.0);
                        band.path(&path.points, 1.6, walk, 0.85);
                    }
                    let loop_walk = round(at, u, r * 1.2, r * 1.1, 40);
                    band.path(&loop_walk, 1.5, walk, 0.85);
                    band.fill(&grown(&pond(at), 2.5), [186.0, 178.0, 156.0], 0.9);
                    band.fill(&pond(at), [84.0, 122.0, 122.0], 1.0);
                }
                SiteKind::School => {
                    band.fill(&inside, [176.0, 168.0, 154.0], 0.6);
                    let spot = at - v * (r * 0.42) - u * (r * 0.05);
                    let (length, depth) = ((1.15 * r).min(150.0), (0.62 * r).min(84.0));
                    let track = rounded(spot, u, length, depth);
                    band.fill(&track, [164.0, 94.0, 74.0], 1.0);
                    band.fill(&grown(&track, -(depth * 0.13).max(3.0)), [96.0, 134.0, 78.0], 1.0);
                    let court = rectangle(at + u * (r * 0.62) - v * (r * 0.40), u, r * 0.24, r * 0.5);
                    band.fill(&court, [92.0, 124.0, 136.0], 0.9);
                }
                SiteKind::Stadium => {
                    band.fill(&inside, [184.0, 178.0, 168.0], 0.85);
                    band.fill(&round(at, u, 128.0, 92.0, 40), [160.0, 92.0, 74.0], 1.0);
                    band.fill(&rectangle(at, u, 102.0, 64.0), [92.0, 136.0, 74.0], 1.0);
                    for k in 0..5 {
                        let x = f64::from(k) * 20.0 - 40.0;
                        band.fill(&rectangle(at + u * x, u, 10.0, 64.0), [104.0, 148.0, 82.0], 0.9);
                    }
                    band.fill(&rectangle(at, u, 1.0, 64.0), [236.0, 236.0, 230.0], 0.8);
                }
                SiteKind::Hospital | SiteKind::Church => band.fill(&inside, [182.0, 176.0, 166.0], 0.7),
                SiteKind::SewageWorks => band.fill(&inside, [136.0, 146.0, 108.0], 0.7),
            }
        }
    }

    fn paint_streets(&self, band: &mut Band) {
        let streets = &self.city.streets.streets;
        let near: Vec<_> = streets
            .iter()
            .filter(|s| {
                let low = s.line.points.iter().map(|p| p.y).fold(f64::INFINITY, f64::min) - 20.0;
                let high = s.line.points.iter().map(|p| p.y).fold(f64::NEG_INFINITY, f64::max) + 20.0;
                band.overlaps(low, high)
            })
            .collect();
        for s in &near {
            band.path(&s.line.points, s.reach_m(), [178.0, 171.0, 161.0], 0.92);
        }
        for s in &near {
            band.path(&s.line.points, s.half_m() + 0.5, [200.0, 197.0, 190.0], 0.9);
        }
        for s in &near {
            let shade = if s.grade == Grade::Lane { [124.0, 121.0, 116.0] } else { [98.0, 99.0, 101.0] };
            band.path(&s.line.points, s.half_m(), shade, 1.0);
        }
        for s in &near {
            self.markings(band, s);
        }
    }

    fn markings(&self, band: &mut Band, street: &crate::street::Street) {
        let length = street.line.length();
        let trim = street.half_m().max(7.0) + 6.0;
        if length < 2.0 * trim + 10.0 || street.grade == Grade::Lane {
            return;
        }
        let middle = street.line.part(trim, length - trim);
        let white = [226.0, 226.0, 220.0];
        if street.grade == Grade::Main {
            let green = [108.0, 128.0, 78.0];
            band.path(&middle.points, 1.3, [186.0, 182.0, 172.0], 1.0);
            band.path(&middle.points, 0.9, green, 1.0);
        } else {
            band.path(&middle.points, 0.25, [212.0, 190.0, 110.0], 0.75);
        }
        let lanes = street.lanes as i32;
        let each = street.width_m / f64::from(lanes.max(1));
        for k in 1..lanes {
            let offset = f64::from(k) * each - street.half_m();
            if offset.abs() < 1.0 {
                continue;
            }
            let mut way = trim;
            while way + 6.0 < length - trim {
                let ((a, u), (b, w)) = (street.line.at(way), street.line.at(way + 6.0));
                band.stroke(a + u.perp() * offset, b + w.perp() * offset, 0.2, white, 0.6);
                way += 15.0;
            }
        }
        if street.grade <= Grade::Secondary {
            for way in [trim - 3.0, length - trim + 3.0] {
                let (p, u) = street.line.at(way);
                let mut across = -street.half_m() + 1.0;
                while across < street.half_m() - 0.5 {
                    let q = p + u.perp() * across;
                    band.stroke(q - u * 1.8, q + u * 1.8, 0.5, white, 0.65);
                    across += 2.2;
                }
            }
        }
    }

    fn paint_buildings(&self, band: &mut Band) {
        for b in &self.city.buildings {
            let (min, max) = b.bounds();
            if !band.overlaps(min.y - 45.0, max.y + 45.0) {
                continue;
            }
            band.fill(&grown(&b.ring, 2.2), [172.0, 166.0, 156.0], 0.55);
            for k in 1..=3 {
                band.fill(&grown(&b.ring, f64::from(k) * 1.1), [54.0, 56.0, 60.0], 0.07);
            }
        }
        for b in &self.city.buildings {
            let (min, max) = b.bounds();
            if band.overlaps(min.y - 2.0, max.y + 2.0) {
                self.roof(band, b);
            }
        }
    }

    fn roof(&self, band: &mut Band, b: &Building) {
        let m = middle(&b.ring);
        let tint = self.grain(m.x * 1.7, m.y * 1.3);
        let colour = match (b.pitched, b.usage) {
            (true, Use::Industry) => mix([126.0, 142.0, 152.0], [164.0, 166.0, 164.0], tint),
            (true, _) => mix([150.0, 76.0, 54.0], [186.0, 108.0, 80.0], tint),
            (_, Use::Office) => mix([132.0, 142.0, 150.0], [168.0, 172.0, 172.0], tint),
            _ => mix([158.0, 154.0, 148.0], [194.0, 188.0, 178.0], tint),
        };
        band.fill(&b.ring, colour, 1.0);
        if b.pitched && b.ring.len() == 4 {
            // the slope away from the sun
            let (a, c) = if b.ring[0].distance(b.ring[1]) > b.ring[1].distance(b.ring[2]) { (0, 1) } else { (1, 2) };
            let ridge = |i: usize| (b.ring[i] + b.ring[(i + 3 - 2 * (i - a)) % 4]) / 2.0;
            let half = [b.ring[a], b.ring[c], ridge(c), ridge(a)];
            let is_north = middle(&half).y > m.y;
            band.fill(
                &half,
                if is_north { [60.0, 40.0, 36.0] } else { [255.0, 236.0, 214.0] },
                if is_north { 0.22 } else { 0.12 },
            );
        } else {
            band.fill(&grown(&b.ring, -1.2), mix(colour, [226.0, 222.0, 214.0], 0.25), 0.8);
        }
        if let Some(yard) = &b.yard {
            // the open middle is painted again by its place
            let turf: Vec<DVec2> = yard.iter().rev().copied().collect();
            band.fill(&turf, [162.0, 96.0, 78.0], 1.0);
            band.fill(&shrunk(&turf, 0.8), [94.0, 138.0, 76.0], 1.0);
        }
    }
}

/// Running track: a rectangle with half-round ends.
fn rounded(at: DVec2, u: DVec2, length: f64, depth: f64) -> Vec<DVec2> {
    let r = depth / 2.0;
    let half = (length / 2.0 - r).max(1.0);
    (0..40)
        .map(|k| {
            let d = crate::angle::direction(std::f64::consts::TAU * (f64::from(k) + 0.5) / 40.0);
            at + u * (d.x * r + half * d.x.signum()) + u.perp() * (d.y * r)
        })
        .collect()
}

fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    let t = t.clamp(0.0, 1.0);
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

fn smooth(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
