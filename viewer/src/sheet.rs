//! Sheets of paper that pictures are printed on (图幅).

use std::str::FromStr;

/// Millimetres of an inch.
const INCH_MM: f64 = 25.4;
/// Points of an inch, in which panels and labels are measured.
const POINTS_PER_INCH: f64 = 96.0;
/// Long side up to which texts have the size of a screen, millimetres; on larger sheets, looked at from farther away, they grow with its root.
const HAND_HELD_MM: f64 = 420.0;
/// Shortest and longest side of a sheet, millimetres.
const SIDES_MM: std::ops::RangeInclusive<f64> = 20.0..=2_000.0;

/// A sheet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sheet {
    /// Width, millimetres.
    pub width_mm: f64,
    /// Height, millimetres.
    pub height_mm: f64,
}

/// Sides of A0 to A5, millimetres (ISO 216): the short side of one is the long one of the next.
const ISO_A_MM: [f64; 7] = [1189.0, 841.0, 594.0, 420.0, 297.0, 210.0, 148.0];

impl Sheet {
    /// The sheet A0 to A5 of this number, lying; `None` for another number.
    pub fn iso_a(number: usize) -> Option<Self> {
        let (width_mm, height_mm) = (*ISO_A_MM.get(number)?, *ISO_A_MM.get(number + 1)?);
        Some(Self { width_mm, height_mm })
    }

    /// Pixels of the sheet with `dpi` of them to the inch.
    pub fn pixels(&self, dpi: u32) -> (u32, u32) {
        let side = |mm: f64| (mm / INCH_MM * f64::from(dpi)).round().max(1.0) as u32;
        (side(self.width_mm), side(self.height_mm))
    }

    /// Pixels of a point, so that texts can be read on it.
    pub fn pixels_per_point(&self, dpi: u32) -> f64 {
        let far = (self.width_mm.max(self.height_mm) / HAND_HELD_MM).max(1.0).sqrt();
        f64::from(dpi) / POINTS_PER_INCH * far
    }
}

impl FromStr for Sheet {
    type Err = String;

    /// Reads `A3`, `A3-portrait` or `420x297mm`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:.40}: A0 to A5, A3-portrait, or a size such as 420x297mm (20 to 2000 mm a side)");
        let lower = text.trim().to_ascii_lowercase();
        if let Some(size) = lower.strip_suffix("mm") {
            let (width, height) = size.split_once(['x', '×']).ok_or_else(wrong)?;
            let side = |word: &str| word.trim().parse().ok().filter(|mm| SIDES_MM.contains(mm)).ok_or_else(wrong);
            return Ok(Self { width_mm: side(width)?, height_mm: side(height)? });
        }
        let (name, way) = lower.split_once('-').unwrap_or((&lower, "landscape"));
        let number = name.strip_prefix('a').filter(|digit| digit.len() == 1).and_then(|digit| digit.parse().ok());
        let lying = number.and_then(Self::iso_a).ok_or_else(wrong)?;
        match way {
            "landscape" => Ok(lying),
            "portrait" => Ok(Self { width_mm: lying.height_mm, height_mm: lying.width_mm }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_have_their_pixels() {
        let pixels = |text: &str, dpi| text.parse::<Sheet>().expect(text).pixels(dpi);
        assert_eq!(pixels("A4", 300), (3508, 2480));
        assert_eq!(pixels("a3-portrait", 300), (3508, 4961));
        assert_eq!(pixels("A0-landscape", 300), (14_043, 9_933));
        assert_eq!(pixels("254x127mm", 100), (1000, 500));
        for text in [
            "",
            "A6",
            "A+3",
            "A99999999999999999999",
            "A3-upright",
            "-portrait",
            "0x10mm",
            "10",
            "5000x100mm",
            "NaNx100mm",
            "A4mm",
        ] {
            assert!(text.parse::<Sheet>().is_err(), "{text}");
        }
    }

    #[test]
    fn texts_grow_with_the_resolution_and_on_sheets_for_the_wall() {
        let scale = |text: &str, dpi| text.parse::<Sheet>().expect(text).pixels_per_point(dpi);
        assert_eq!(scale("A4", 96), 1.0);
        assert_eq!(scale("A3", 288), 3.0);
        assert!(scale("A0", 288) > 5.0 && scale("A0", 288) < 5.1);
    }
}
