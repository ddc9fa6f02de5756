//! Colours for classes that people with a colour vision deficiency can tell apart too, sRGB.

/// Viridis by S. van der Walt and N. Smith (matplotlib 2.0, CC0), every tenth of the way: even in lightness, for numbers.
const VIRIDIS: [[u8; 3]; 11] = [
    [68, 1, 84],
    [72, 36, 117],
    [65, 68, 135],
    [53, 95, 141],
    [42, 120, 142],
    [33, 145, 140],
    [34, 168, 132],
    [68, 191, 112],
    [122, 209, 81],
    [189, 223, 38],
    [253, 231, 37],
];

/// The qualitative scheme `muted` of P. Tol, Colour Schemes (SRON/EPS/TN/09-002, issue 3.2), for words; most frequent first.
const MUTED: [[u8; 3]; 9] = [
    [136, 204, 238],
    [204, 102, 119],
    [221, 204, 119],
    [17, 119, 51],
    [51, 34, 136],
    [68, 170, 153],
    [170, 68, 153],
    [153, 153, 51],
    [136, 34, 85],
];

/// Colours of the model's classes, by their words: those of the schemes `muted` and `vibrant` that come nearest to the
/// thing, and neighbours of them.
const CLASSES: [(&str, [u8; 3]); 18] = [
    ("building", [221, 204, 119]),
    ("building_element", [204, 102, 119]),
    ("storey", [238, 153, 170]),
    ("space", [170, 68, 153]),
    ("road", [112, 114, 120]),
    ("railway", [64, 52, 60]),
    ("bridge", [199, 125, 186]),
    ("water", [136, 204, 238]),
    ("greenery", [166, 170, 84]),
    ("land_use", [190, 186, 130]),
    ("tree", [17, 119, 51]),
    ("lamp", [245, 238, 190]),
    ("pipe", [70, 60, 170]),
    ("manhole", [238, 119, 51]),
    ("pipe_node", [68, 170, 153]),
    ("gallery", [136, 34, 85]),
    ("tunnel", [96, 20, 66]),
    ("station", [124, 84, 170]),
];

/// Words that have a colour of their own.
pub const MOST_WORDS: usize = MUTED.len();
/// What belongs to none of the classes that have a colour.
pub const OTHER: [u8; 3] = [104, 94, 86];
/// What is of a class of which no object has a value, such as a manhole beside coloured pipes.
pub const NOT_ASKED: [u8; 3] = [78, 82, 88];
/// What has no value.
pub const NO_VALUE: [u8; 3] = [176, 178, 180];

/// Colour of class `index` of `count` classes of numbers, low ones dark.
pub fn number_rgb(index: usize, count: usize) -> [u8; 3] {
    // The darkest end is hard to tell from shade: it is left out.
    let share = if count < 2 { 0.5 } else { index as f64 / (count - 1) as f64 };
    let at = (0.14 + 0.86 * share).clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (at as usize).min(VIRIDIS.len() - 2);
    let t = at - low as f64;
    std::array::from_fn(|channel| {
        let (a, b) = (f64::from(VIRIDIS[low][channel]), f64::from(VIRIDIS[low + 1][channel]));
        (a + (b - a) * t).round() as u8
    })
}

/// Colour of the word that is number `index` in frequency.
pub fn word_rgb(index: usize) -> [u8; 3] {
    MUTED.get(index).copied().unwrap_or(OTHER)
}

/// Colour of a class of the model.
pub fn class_rgb(word: &str) -> [u8; 3] {
    CLASSES.iter().find(|(known, _)| *known == word).map_or(OTHER, |(_, rgb)| *rgb)
}

/// sRGB as linear light.
pub fn linear(rgb: [u8; 3]) -> [f32; 3] {
    rgb.map(|byte| {
        let s = f32::from(byte) / 255.0;
        if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance after WCAG 2.
    fn luminance(rgb: [u8; 3]) -> f32 {
        let [r, g, b] = linear(rgb);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn larger_numbers_are_lighter_for_every_eye() {
        for count in 2..=7 {
            let lights: Vec<f32> = (0..count).map(|index| luminance(number_rgb(index, count))).collect();
            assert!(lights.windows(2).all(|pair| pair[1] > pair[0] * 1.12), "{count}: {lights:?}");
        }
        assert_eq!(number_rgb(6, 7), [253, 231, 37]);
    }

    #[test]
    fn words_differ_from_each_other_and_from_grey() {
        let mut all: Vec<[u8; 3]> = (0..=MOST_WORDS).map(word_rgb).collect();
        all.push(NO_VALUE);
        check(&all);
        check(&CLASSES.map(|(_, rgb)| rgb));
    }

    /// Fails where two colours are alike.
    fn check(all: &[[u8; 3]]) {
        for (index, a) in all.iter().enumerate() {
            for b in &all[..index] {
                let apart: i32 = a.iter().zip(b).map(|(x, y)| (i32::from(*x) - i32::from(*y)).abs()).sum();
                assert!(apart > 44, "{a:?} {b:?}");
            }
        }
    }
}
