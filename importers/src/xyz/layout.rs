//! What the columns of a text of points are: their separator, and which is what.

use glam::DVec3;

use crate::cloud::RawPoint;

/// How numbers are parted, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Separator {
    /// `None`: white space.
    by: Option<char>,
    has_decimal_comma: bool,
}

impl Separator {
    /// Tried in this order; the first that makes at least three numbers of every line is taken.
    const ALL: [Self; 5] = [
        Self { by: None, has_decimal_comma: false },
        Self { by: Some(';'), has_decimal_comma: false },
        Self { by: Some(','), has_decimal_comma: false },
        Self { by: None, has_decimal_comma: true },
        Self { by: Some(';'), has_decimal_comma: true },
    ];

    /// The separator of these lines.
    pub fn of(lines: &[String]) -> Option<Self> {
        let fits = |s: &Self| lines.iter().all(|line| s.numbers(line).is_ok_and(|n| n.len() >= 3));
        Self::ALL.into_iter().find(|s| !lines.is_empty() && fits(s))
    }

    /// The numbers of a line; `Err` is the word that is none.
    pub fn numbers(&self, line: &str) -> Result<Vec<f64>, String> {
        let mut numbers = Vec::new();
        self.each(line, |word| {
            numbers.push(self.number(word).ok_or_else(|| word.chars().take(20).collect::<String>())?);
            Ok(())
        })?;
        Ok(numbers)
    }

    /// The words of a line.
    pub fn words(&self, line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let _ = self.each(line, |word| {
            words.push(word.to_owned());
            Ok(())
        });
        words
    }

    fn each<'l>(&self, line: &'l str, mut take: impl FnMut(&'l str) -> Result<(), String>) -> Result<(), String> {
        match self.by {
            None => line.split_whitespace().try_for_each(take),
            Some(by) => {
                // Many writers end the line with one more separator.
                let line = line.trim();
                line.strip_suffix(by).unwrap_or(line).split(by).try_for_each(|word| take(word.trim()))
            }
        }
    }

    fn number(&self, word: &str) -> Option<f64> {
        let is_number = word.bytes().any(|b| b.is_ascii_digit());
        match self.has_decimal_comma && word.contains(',') {
            true => word.replacen(',', ".", 1).parse().ok(),
            // `nan` and `inf` are no words of a list of points but of those who could not measure.
            false => word.parse().ok().filter(|_| is_number || word.eq_ignore_ascii_case("nan")),
        }
    }

    /// In words, for the report.
    pub fn text(&self) -> &'static str {
        match (self.by, self.has_decimal_comma) {
            (None, false) => "white space",
            (None, true) => "white space, with decimal commas",
            (Some(';'), false) => "semicolons",
            (Some(';'), true) => "semicolons, with decimal commas",
            _ => "commas",
        }
    }
}

/// Which column is what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub columns: usize,
    position: [usize; 3],
    rgb: Option<[usize; 3]>,
    intensity: Option<usize>,
    class: Option<usize>,
    /// What the file says, or what its numbers suggest.
    pub is_stated: bool,
}

impl Layout {
    /// By the words of a header.
    pub fn of_header(words: &[String]) -> Option<Self> {
        let names: Vec<String> = words
            .iter()
            .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric() && c != '_').to_ascii_lowercase())
            .filter(|w| !w.is_empty())
            .collect();
        let find = |all: &[&str]| names.iter().position(|n| all.contains(&n.as_str()));
        let three = |a: &[&str], b: &[&str], c: &[&str]| Some([find(a)?, find(b)?, find(c)?]);
        Some(Self {
            columns: names.len(),
            position: three(
                &["x", "easting", "east", "e", "lon", "longitude"],
                &["y", "northing", "north", "n", "lat", "latitude"],
                &["z", "height", "elevation", "h", "alt"],
            )?,
            rgb: three(&["r", "red"], &["g", "green"], &["b", "blue"]),
            intensity: find(&["i", "intensity", "int", "reflectance", "scalar_intensity"]),
            class: find(&["class", "classification", "c", "label", "scalar_classification"]),
            is_stated: true,
        })
    }

    /// By the number of columns and what stands in them, over some lines.
    pub fn of_numbers(rows: &[Vec<f64>]) -> Option<Self> {
        let columns = rows.first()?.len();
        if columns < 3 || rows.iter().any(|r| r.len() != columns) {
            return None;
        }
        let column = |k: usize| rows.iter().map(move |r| r.get(k).copied().unwrap_or(f64::NAN));
        let is_whole = |k: usize| column(k).all(|v| v.fract() == 0.0);
        // 1, 2, 3 … before at least three further columns are numbers of points.
        let counts = rows.len() > 1
            && is_whole(0)
            && rows.windows(2).all(|w| match w {
                [a, b] => b.first().zip(a.first()).is_some_and(|(b, a)| b - a == 1.0),
                _ => true,
            });
        let first = usize::from(counts && columns >= 4);
        let is_byte = |k: usize| is_whole(k) && column(k).all(|v| (0.0..=255.0).contains(&v));
        let is_deep = |k: usize| is_whole(k) && column(k).all(|v| (0.0..=65535.0).contains(&v));
        let is_share = |k: usize| column(k).all(|v| (0.0..=1.0).contains(&v));
        let is_rgb = |k: usize| {
            let three = || k..k + 3;
            let fits = three().all(is_byte) || three().all(is_deep) || three().all(is_share);
            k + 2 < columns && fits && !is_normal(rows, k)
        };
        let next = first + 3;
        let (rgb, intensity) = match columns - first {
            3 => (None, None),
            4 | 5 => (None, Some(next)),
            _ if is_rgb(next) => (Some(next), None),
            6 => (None, (!is_normal(rows, next)).then_some(next)),
            _ if is_rgb(next + 1) => (Some(next + 1), Some(next)),
            _ => (None, (!is_normal(rows, next)).then_some(next)),
        };
        Some(Self {
            columns,
            position: [first, first + 1, first + 2],
            rgb: rgb.map(|k| [k, k + 1, k + 2]),
            intensity,
            class: None,
            is_stated: false,
        })
    }

    /// The point of a line.
    pub fn point(&self, numbers: &[f64]) -> RawPoint {
        let at = |k: usize| numbers.get(k).copied().unwrap_or(f64::NAN);
        RawPoint {
            at: DVec3::from_array(self.position.map(at)),
            rgb: self.rgb.map(|rgb| rgb.map(|k| at(k) as f32)),
            intensity: self.intensity.map(at),
            class: self.class.map(at).filter(|c| (0.0..=255.0).contains(c)).map(|c| c as u8),
        }
    }

    /// In words, for the report.
    pub fn text(&self) -> String {
        let words: Vec<&str> = (0..self.columns)
            .map(|k| {
                let place = |three: [usize; 3]| three.iter().position(|c| *c == k);
                match (place(self.position), self.rgb.and_then(place)) {
                    (Some(0), _) => "x",
                    (Some(1), _) => "y",
                    (Some(_), _) => "z",
                    (_, Some(0)) => "red",
                    (_, Some(1)) => "green",
                    (_, Some(_)) => "blue",
                    _ if self.intensity == Some(k) => "intensity",
                    _ if self.class == Some(k) => "class",
                    _ => "(left out)",
                }
            })
            .collect();
        words.join(" ")
    }
}

/// Whether three columns are vectors of length one.
fn is_normal(rows: &[Vec<f64>], k: usize) -> bool {
    rows.iter().all(|row| match row.get(k..k + 3) {
        Some([x, y, z]) => ((x * x + y * y + z * z).sqrt() - 1.0).abs() < 0.02,
        _ => false,
    })
}
