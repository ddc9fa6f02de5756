//! What a cell says: numbers, sizes and years as survey offices write them.

use groundline_engine::model::Section;

use super::header::Unit;
use crate::sheet::cell::plain_number;
pub use crate::sheet::cell::{NotANumber, half_width, is_missing, number, typed};

/// A number with an optional length unit behind it, in metres. `None` when the cell is empty.
/// A bare number is in `unit`, metres when the header names none.
pub fn metres(text: &str, unit: Option<Unit>) -> Result<Option<f64>, NotANumber> {
    let text = half_width(text);
    if is_missing(&text) {
        return Ok(None);
    }
    let lower = text.to_lowercase();
    let (digits, unit) = split_unit(&lower, unit.unwrap_or(Unit::Metre));
    let number = plain_number(digits).ok_or(NotANumber)?;
    Ok(Some(number * unit.metres()))
}

fn split_unit(text: &str, default: Unit) -> (&str, Unit) {
    for (ending, unit) in [
        ("毫米", Unit::Millimetre),
        ("厘米", Unit::Centimetre),
        ("mm", Unit::Millimetre),
        ("cm", Unit::Centimetre),
        ("米", Unit::Metre),
        ("m", Unit::Metre),
    ] {
        if let Some(head) = text.strip_suffix(ending) {
            return (head.trim_end(), unit);
        }
    }
    (text, default)
}

/// A pipe size as read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// The section, outer measures.
    pub section: Section,
    /// Whether a bare number was so small that it was read as metres.
    pub is_assumed_metres: bool,
}

/// Largest measure that is believed, metres: above it the cell is no pipe size.
const LARGEST_SIZE_M: f64 = 30.0;
/// A bare number below this cannot be millimetres: no survey lists a pipe under 5 mm.
const SMALLEST_MILLIMETRES: f64 = 5.0;

/// Reads `300`, `DN300`, `Φ300`, `600X400` (width × height), `800×600mm`. A bare number is in `unit`, millimetres when
/// the header names none. `None` when the cell is empty or 0.
pub fn size(text: &str, unit: Option<Unit>) -> Result<Option<Size>, NotANumber> {
    let text = half_width(text).to_lowercase();
    if is_missing(&text) {
        return Ok(None);
    }
    let (body, unit_here) = split_unit(&text, unit.unwrap_or(Unit::Millimetre));
    let says_unit = unit.is_some() || body.len() != text.len();
    let mut measures = [0.0; 2];
    let mut count = 0;
    for part in body.split(['x', '×', '*', '✕', '╳', 'х']) {
        let part = split_unit(part.trim(), unit_here).0;
        let part = part.trim_start_matches(['d', 'n', 'e', 'φ', 'ф', 'ø', '⌀', 'ϕ']).trim();
        if count == 2 {
            return Err(NotANumber);
        }
        measures[count] = plain_number(part).ok_or(NotANumber)?;
        count += 1;
    }
    let measures = &measures[..count];
    if measures.iter().all(|m| *m == 0.0) {
        return Ok(None);
    }
    let is_assumed_metres = !says_unit && measures.iter().all(|m| *m < SMALLEST_MILLIMETRES);
    let scale = if is_assumed_metres { 1.0 } else { unit_here.metres() };
    if measures.iter().any(|m| *m <= 0.0 || m * scale > LARGEST_SIZE_M) {
        return Err(NotANumber);
    }
    let section = match *measures {
        [diameter] => Section::Circle { diameter_m: diameter * scale },
        [width, height] => Section::Rect { width_m: width * scale, height_m: height * scale },
        _ => return Err(NotANumber),
    };
    Ok(Some(Size { section, is_assumed_metres }))
}

/// The year in `1998`, `1998-05-01`, `1998年5月`, `19980501`.
pub fn year(text: &str) -> Option<i64> {
    let text = half_width(text);
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let year: i64 = match digits.len() {
        4 | 6 | 8 => digits.get(..4)?.parse().ok()?,
        _ => return None,
    };
    (1850..=2200).contains(&year).then_some(year)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(text: &str) -> f64 {
        match size(text, None).unwrap().unwrap().section {
            Section::Circle { diameter_m } => diameter_m,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn sizes_are_read_as_surveyors_write_them() {
        for text in ["300", "DN300", "Φ300", "d300", "３００", "300mm", "DN 300", "300.0", "0.3m", "30cm"] {
            assert!((circle(text) - 0.3).abs() < 1e-12, "{text}");
        }
        for text in ["600X400", "600x400", "600×400", "600*400", "６００Ｘ４００", "600 × 400 mm", "600mm*400mm"]
        {
            let read = size(text, None).unwrap().unwrap();
            assert_eq!(read.section, Section::Rect { width_m: 0.6, height_m: 0.4 }, "{text}");
        }
        for text in ["", "*", " ", "-", "0", "无"] {
            assert_eq!(size(text, None), Ok(None), "{text:?}");
        }
        for text in ["large", "600X400X300", "600X", "-300", "999999", "nan", "300X0"] {
            assert_eq!(size(text, None), Err(NotANumber), "{text}");
        }
        assert!(size("0.3", None).unwrap().unwrap().is_assumed_metres);
        assert!(!size("0.3", Some(Unit::Metre)).unwrap().unwrap().is_assumed_metres);
    }

    #[test]
    fn a_depth_is_metres_unless_it_says_otherwise_and_text_is_no_depth() {
        assert_eq!(metres("1.25", None), Ok(Some(1.25)));
        assert_eq!(metres("1.25m", None), Ok(Some(1.25)));
        assert_eq!(metres("125", Some(Unit::Centimetre)), Ok(Some(1.25)));
        assert_eq!(metres("－0.5", None), Ok(Some(-0.5)));
        assert_eq!(metres("*", None), Ok(None));
        for text in ["约1.2", "deep", "1,2", "1.2.3", "inf", "0x10", "e"] {
            assert_eq!(metres(text, None), Err(NotANumber), "{text}");
        }
    }

    #[test]
    fn a_year_is_found_in_a_date() {
        for text in ["1998", "1998-05-01", "1998年5月", "19980501", "199805"] {
            assert_eq!(year(text), Some(1998), "{text}");
        }
        for text in ["98", "5/1/1998", "", "3000", "unknown"] {
            assert_eq!(year(text), None, "{text}");
        }
    }
}
