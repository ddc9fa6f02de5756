//! Colours of scan points: as recorded, else by class, else by height.

use std::collections::BTreeMap;

use super::UNITS_PER_M;

/// What decides the colour of a point, in four bytes: a colour, or class and intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Look(pub u32);

/// Mark of a recorded colour in the lowest byte, where the class stands otherwise.
const IS_COLOUR: u8 = 255;

impl Look {
    /// A recorded colour wins over class and intensity.
    pub fn new(colour: Option<[u8; 3]>, class: u8, intensity: u16) -> Self {
        Self(match colour {
            Some([r, g, b]) => u32::from_le_bytes([IS_COLOUR, r, g, b]),
            None => {
                let [low, high] = intensity.to_le_bytes();
                // 255 is a class nobody uses; 254 is drawn the same.
                u32::from_le_bytes([class.min(254), low, high, 0])
            }
        })
    }

    fn colour(self) -> Option<[u8; 3]> {
        let [mark, r, g, b] = self.0.to_le_bytes();
        (mark == IS_COLOUR).then_some([r, g, b])
    }

    fn class(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    fn intensity(self) -> u16 {
        let [_, low, high, _] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

/// Every so many points one is counted for the heights' distribution.
const HEIGHT_SAMPLING: u64 = 16;

/// What is needed to know about all points before the first can be coloured.
#[derive(Debug)]
pub(super) struct LookStatistics {
    points: u64,
    is_classified: bool,
    /// Points of each intensity divided by 16.
    intensities: Vec<u64>,
    /// Points of each metre of height.
    heights: BTreeMap<i32, u64>,
}

impl Default for LookStatistics {
    fn default() -> Self {
        Self { points: 0, is_classified: false, intensities: vec![0; 4096], heights: BTreeMap::new() }
    }
}

impl LookStatistics {
    /// Counts a point at height `z` in units.
    pub fn add(&mut self, look: Look, z: i32) {
        if look.colour().is_none() {
            self.intensities[usize::from(look.intensity() >> 4)] += 1;
            // 0 and 1 both say that nobody has classified the point.
            self.is_classified |= look.class() > 1;
            if self.points.is_multiple_of(HEIGHT_SAMPLING) {
                *self.heights.entry(z.div_euclid(UNITS_PER_M as i32)).or_default() += 1;
            }
        }
        self.points += 1;
    }

    /// The colours that fit these points.
    pub fn palette(&self) -> Palette {
        let dim = quantile(self.intensities.iter().enumerate().map(|(i, n)| (i as f32 * 16.0, *n)), 0.05);
        let bright = quantile(self.intensities.iter().enumerate().map(|(i, n)| (i as f32 * 16.0, *n)), 0.95);
        let metres = || self.heights.iter().map(|(z, n)| (*z as f32, *n));
        let (low, high) = (quantile(metres(), 0.02), quantile(metres(), 0.98));
        Palette { is_classified: self.is_classified, dim, bright, low, high: high.max(low + 8.0) }
    }
}

fn quantile(counts: impl Iterator<Item = (f32, u64)> + Clone, share: f64) -> f32 {
    let total: u64 = counts.clone().map(|(_, n)| n).sum();
    let mut before = 0;
    for (value, n) in counts {
        before += n;
        if before as f64 >= total as f64 * share && n > 0 {
            return value;
        }
    }
    0.0
}

/// Gives each point its colour.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    is_classified: bool,
    dim: f32,
    bright: f32,
    low: f32,
    high: f32,
}

impl Palette {
    /// sRGB of a point at height `z` in units.
    pub fn rgb(&self, look: Look, z: i32) -> [u8; 3] {
        if let Some(colour) = look.colour() {
            return colour;
        }
        let base = if self.is_classified {
            class_rgb(look.class())
        } else {
            let metres = (f64::from(z) / UNITS_PER_M) as f32;
            height_rgb((metres - self.low) / (self.high - self.low))
        };
        let light = if self.bright > self.dim {
            let share = (f32::from(look.intensity()) - self.dim) / (self.bright - self.dim);
            0.74 + 0.40 * share.clamp(0.0, 1.0).sqrt()
        } else {
            1.0
        };
        base.map(|v| (f32::from(v) * light).min(255.0) as u8)
    }
}

/// Colours of the ASPRS standard classes (LAS 1.4 R15, table 17), muted like a printed map.
fn class_rgb(class: u8) -> [u8; 3] {
    match class {
        2 | 8 | 20 | 21 => [176, 158, 130],
        3 => [158, 178, 112],
        4 => [122, 158, 88],
        5 => [88, 132, 70],
        6 => [200, 122, 84],
        7 | 18 => [186, 140, 160],
        9 | 41 => [98, 148, 186],
        10 => [128, 116, 112],
        11 => [146, 146, 150],
        13..=16 => [212, 174, 72],
        17 | 26 => [178, 162, 164],
        _ => [148, 158, 130],
    }
}

/// Height ramp: slate, green, sand, brown, near white.
fn height_rgb(share: f32) -> [u8; 3] {
    const STOPS: [[f32; 3]; 6] = [
        [88.0, 116.0, 132.0],
        [112.0, 148.0, 118.0],
        [168.0, 182.0, 128.0],
        [212.0, 194.0, 142.0],
        [190.0, 138.0, 104.0],
        [232.0, 222.0, 212.0],
    ];
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let i = (place as usize).min(STOPS.len() - 2);
    let t = place - i as f32;
    std::array::from_fn(|k| (STOPS[i][k] + (STOPS[i + 1][k] - STOPS[i][k]) * t) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_colour_is_kept_and_classes_are_told_apart() {
        let mut looks = LookStatistics::default();
        looks.add(Look::new(None, 2, 100), 0);
        looks.add(Look::new(None, 6, 200), 40_960);
        let palette = looks.palette();
        assert_eq!(palette.rgb(Look::new(Some([1, 2, 3]), 6, 9), 0), [1, 2, 3]);
        let (ground, building) = (palette.rgb(Look::new(None, 2, 150), 0), palette.rgb(Look::new(None, 6, 150), 0));
        assert!(building[0] > ground[0] && building[2] < ground[2], "{ground:?} {building:?}");
    }

    #[test]
    fn points_without_class_are_coloured_by_height_and_brighter_where_they_reflect() {
        let mut looks = LookStatistics::default();
        for z in 0..1000 {
            looks.add(Look::new(None, 1, z as u16 * 60), z * 400);
        }
        let palette = looks.palette();
        assert_ne!(palette.rgb(Look::new(None, 1, 9000), 0), palette.rgb(Look::new(None, 1, 9000), 300_000));
        let (dim, bright) = (palette.rgb(Look::new(None, 1, 0), 0), palette.rgb(Look::new(None, 1, 60_000), 0));
        assert!(bright[1] > dim[1]);
    }
}
