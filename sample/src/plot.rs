//! Land that is still free (用地): a raster of one-metre cells, and the blocks that the streets cut out of it.

use glam::DVec2;

use crate::{
    coast::Coast,
    outline::grown,
    plane::{Window, segment_distance},
    recipe::{Recipe, Site},
    street::Street,
};

/// What covers a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cover {
    Free,
    Street,
    Sea,
    Building,
    Reserved,
}

/// Raster of what covers the land.
pub(crate) struct Plots {
    window: Window,
    width: usize,
    height: usize,
    cells: Vec<Cover>,
    /// Number of the block of each 4 m cell, `u32::MAX` on streets and in the sea.
    labels: Vec<u32>,
}

/// Side of a cell of the blocks' raster, in cells of the plots.
const STEP: usize = 4;

/// Land between streets (街区).
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Middle of its cells.
    pub middle: DVec2,
    /// Box around it.
    pub bounds: (DVec2, DVec2),
    /// Area in square metres.
    pub area_m2: f64,
    /// Unit vector along the street that gives the block its front, pointing east.
    pub front: DVec2,
}

impl Plots {
    /// Land of a window without streets, sea and a strip along the shore.
    pub fn new(recipe: &Recipe, coast: &Coast, streets: &[Street]) -> Plots {
        let window = recipe.extent();
        let width = window.size().x.ceil() as usize;
        let height = window.size().y.ceil() as usize;
        let mut plots = Plots { window, width, height, cells: vec![Cover::Free; width * height], labels: Vec::new() };
        // the shore strip is looked up on coarse cells first: most of the land is far from it
        for j0 in (0..height).step_by(8) {
            for i0 in (0..width).step_by(8) {
                let p = window.min + DVec2::new(i0 as f64 + 4.0, j0 as f64 + 4.0);
                let d = coast.inland(p);
                if d > 60.0 {
                    continue;
                }
                for j in j0..(j0 + 8).min(height) {
                    for i in i0..(i0 + 8).min(width) {
                        let p = plots.place(i, j);
                        let strip = 16.0 * (1.0 - coast.quay(p)) + 6.0 + 26.0 * coast.sand(p);
                        if coast.inland(p) < strip {
                            plots.cells[j * width + i] = Cover::Sea;
                        }
                    }
                }
            }
        }
        for street in streets {
            for s in street.line.points.windows(2) {
                plots.stroke(s[0], s[1], street.reach_m(), Cover::Street);
            }
        }
        plots
    }

    fn place(&self, i: usize, j: usize) -> DVec2 {
        self.window.min + DVec2::new(i as f64 + 0.5, j as f64 + 0.5)
    }

    /// What covers a place; outside the window the sea does.
    pub fn cover(&self, p: DVec2) -> Cover {
        let q = p - self.window.min;
        if q.x < 0.0 || q.y < 0.0 {
            return Cover::Sea;
        }
        let (i, j) = (q.x as usize, q.y as usize);
        if i < self.width && j < self.height { self.cells[j * self.width + i] } else { Cover::Sea }
    }

    fn stroke(&mut self, a: DVec2, b: DVec2, reach: f64, cover: Cover) {
        let low = (a.min(b) - DVec2::splat(reach) - self.window.min).max(DVec2::ZERO);
        let high = (a.max(b) + DVec2::splat(reach) - self.window.min).max(DVec2::ZERO);
        for j in low.y as usize..(high.y.ceil() as usize).min(self.height) {
            for i in low.x as usize..(high.x.ceil() as usize).min(self.width) {
                if segment_distance(self.place(i, j), a, b).0 <= reach {
                    self.cells[j * self.width + i] = cover;
                }
            }
        }
    }

    /// Whether a ring, grown by a margin, lies on free land inside the window.
    pub fn is_free(&self, ring: &[DVec2], margin: f64) -> bool {
        let grown = grown(ring, margin);
        if grown.iter().any(|p| !self.window.contains(*p, 1.0)) {
            return false;
        }
        let mut free = true;
        scan(&grown, self.window.min, 1.0, self.width, self.height, |j, is| {
            free &= self.cells[j * self.width + is.start..j * self.width + is.end].iter().all(|c| *c == Cover::Free);
        });
        free && grown.iter().all(|p| self.cover(*p) == Cover::Free)
    }

    /// Covers a ring.
    pub fn take(&mut self, ring: &[DVec2], cover: Cover) {
        let (width, height, origin) = (self.width, self.height, self.window.min);
        let cells = &mut self.cells;
        scan(ring, origin, 1.0, width, height, |j, is| {
            for cell in &mut cells[j * width + is.start..j * width + is.end] {
                if *cell == Cover::Free || cover == Cover::Building {
                    *cell = cover;
                }
            }
        });
    }

    /// Free land that can be seen from the middle of a site, as a ring.
    pub fn clearing(&self, site: &Site) -> Vec<DVec2> {
        let mut ring: Vec<f64> = (0..96)
            .map(|k| {
                let u = crate::angle::direction(std::f64::consts::TAU * f64::from(k) / 96.0);
                let mut r = 0.0;
                while r < site.radius_m && self.cover(site.at + u * (r + 2.0)) == Cover::Free {
                    r += 1.0;
                }
                r
            })
            .collect();
        // no ray may be much longer than its neighbours: the ring stays plump
        for _ in 0..2 {
            let before = ring.clone();
            for k in 0..96 {
                ring[k] = before[k].min((before[(k + 95) % 96] + before[(k + 1) % 96]) / 2.0 + 1.5);
            }
        }
        ring.iter()
            .enumerate()
            .map(|(k, r)| site.at + crate::angle::direction(std::f64::consts::TAU * k as f64 / 96.0) * *r)
            .collect()
    }

    /// The blocks, from south to north.
    pub fn blocks(&mut self, streets: &[Street]) -> Vec<Block> {
        let (w, h) = (self.width / STEP, self.height / STEP);
        let open =
            |i: usize, j: usize| !matches!(self.cells[j * STEP * self.width + i * STEP], Cover::Street | Cover::Sea);
        let mut label = vec![u32::MAX; w * h];
        let mut blocks = Vec::new();
        for start in 0..w * h {
            if label[start] != u32::MAX || !open(start % w, start / w) {
                continue;
            }
            let number = blocks.len() as u32;
            label[start] = number;
            let mut todo = vec![start];
            let (mut sum, mut count) = (DVec2::ZERO, 0usize);
            let mut bounds = (DVec2::INFINITY, DVec2::NEG_INFINITY);
            while let Some(k) = todo.pop() {
                let (i, j) = (k % w, k / w);
                let p = self.place(i * STEP, j * STEP);
                sum += p;
                count += 1;
                bounds = (bounds.0.min(p), bounds.1.max(p));
                for (ni, nj) in [(i.wrapping_sub(1), j), (i + 1, j), (i, j.wrapping_sub(1)), (i, j + 1)] {
                    if ni < w && nj < h && label[nj * w + ni] == u32::MAX && open(ni, nj) {
                        label[nj * w + ni] = number;
                        todo.push(nj * w + ni);
                    }
                }
            }
            let middle = sum / count as f64;
            blocks.push(Block { middle, bounds, area_m2: (count * STEP * STEP) as f64, front: front(middle, streets) });
        }
        self.labels = label;
        blocks
    }

    /// Number of the block that a place belongs to.
    pub fn block_at(&self, p: DVec2) -> Option<usize> {
        let q = (p - self.window.min) / STEP as f64;
        let (w, h) = (self.width / STEP, self.height / STEP);
        if q.x < 0.0 || q.y < 0.0 || q.x as usize >= w || q.y as usize >= h {
            return None;
        }
        self.labels.get(q.y as usize * w + q.x as usize).filter(|n| **n != u32::MAX).map(|n| *n as usize)
    }
}

fn front(middle: DVec2, streets: &[Street]) -> DVec2 {
    let mut best = (f64::INFINITY, DVec2::X);
    for street in streets {
        for s in street.line.points.windows(2) {
            let along = (s[1] - s[0]).normalize_or(DVec2::X);
            if along.x.abs() > 0.8 {
                let d = segment_distance(middle, s[0], s[1]).0;
                if d < best.0 {
                    best = (d, if along.x < 0.0 { -along } else { along });
                }
            }
        }
    }
    best.1
}

/// Calls back with each row of cells whose middles lie in a ring.
pub(crate) fn scan(
    ring: &[DVec2],
    origin: DVec2,
    step: f64,
    width: usize,
    height: usize,
    mut row: impl FnMut(usize, std::ops::Range<usize>),
) {
    let low = ring.iter().map(|p| p.y).fold(f64::INFINITY, f64::min);
    let high = ring.iter().map(|p| p.y).fold(f64::NEG_INFINITY, f64::max);
    let j0 = ((low - origin.y) / step - 0.5).ceil().max(0.0) as usize;
    let mut crossings: Vec<f64> = Vec::new();
    for j in j0..height {
        let y = origin.y + (j as f64 + 0.5) * step;
        if y > high {
            break;
        }
        crossings.clear();
        let mut b = ring[ring.len() - 1];
        for &a in ring {
            if (a.y > y) != (b.y > y) {
                crossings.push((b.x - a.x) * (y - a.y) / (b.y - a.y) + a.x);
            }
            b = a;
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let i0 = ((pair[0] - origin.x) / step - 0.5).ceil().max(0.0) as usize;
            let i1 = (((pair[1] - origin.x) / step - 0.5).floor() + 1.0).max(0.0) as usize;
            if i0 < i1.min(width) {
                row(j, i0..i1.min(width));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outline::rectangle;

    #[test]
    fn scan_counts_the_area() {
        let ring = rectangle(DVec2::new(50.0, 40.0), crate::angle::direction(0.4), 40.0, 20.0);
        let mut count = 0;
        scan(&ring, DVec2::ZERO, 1.0, 100, 100, |_, is| count += is.len());
        assert!((count as f64 - 800.0).abs() < 25.0, "{count}");
        assert!((crate::plane::area(&grown(&ring, 1.0)) - 42.0 * 22.0).abs() < 1e-6);
    }
}
