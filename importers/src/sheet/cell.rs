//! What a cell of a table says: missing, a number, or a value kept as it is.

use groundline_engine::model::Value;

/// Why a cell is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANumber;

/// Full-width letters, digits and signs as their half-width twins; white space trimmed.
pub fn half_width(text: &str) -> String {
    let folded: String = text
        .chars()
        .map(|c| match c {
            '\u{3000}' => ' ',
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
            '\u{2212}' | '\u{2013}' => '-',
            c => c,
        })
        .collect();
    folded.trim().to_owned()
}

/// Whether a cell stands for "not known": empty, `*`, `-`, `/`, 无, 空, NULL.
pub fn is_missing(text: &str) -> bool {
    matches!(text, "" | "*" | "-" | "--" | "/" | "\\" | "无" | "空" | "null" | "NULL" | "Null")
}

/// A number without unit. `None` when the cell is empty.
pub fn number(text: &str) -> Result<Option<f64>, NotANumber> {
    let text = half_width(text);
    if is_missing(&text) {
        return Ok(None);
    }
    plain_number(&text).map(Some).ok_or(NotANumber)
}

/// Digits, sign, point and exponent only: `inf`, `nan` and `1_000` are no numbers here.
pub fn plain_number(text: &str) -> Option<f64> {
    let well_formed = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
    let starts_well = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    let number: f64 = if well_formed && starts_well { text.parse().ok()? } else { return None };
    number.is_finite().then_some(number)
}

/// The value of a column that is kept as read: whole number, real number or text.
/// Digits that an identifier needs (leading zeros, more than 15 of them) stay text.
pub fn typed(text: &str) -> Value {
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if !digits.is_empty() && digits.len() <= 15 && !has_leading_zero {
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            if let Ok(whole) = trimmed.parse() {
                return Value::Int(whole);
            }
        } else if digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && let Ok(real) = trimmed.parse::<f64>()
            && real.is_finite()
        {
            return Value::Real(real);
        }
    }
    Value::Text(trimmed.to_owned())
}

/// Degrees as a decimal number or as degrees, minutes and seconds: `120.5`, `120°30′00″`, `120度30分`, `36°4'N`.
/// `None` when the cell is empty.
pub fn degrees(text: &str) -> Result<Option<f64>, NotANumber> {
    let text = half_width(text);
    if is_missing(&text) {
        return Ok(None);
    }
    if let Some(number) = plain_number(&text) {
        return Ok(Some(number));
    }
    let body = text.trim_end_matches(['N', 'E', 'n', 'e']);
    let south_or_west = body.trim_end_matches(['S', 'W', 's', 'w']);
    let sign = if south_or_west.len() < body.len() { -1.0 } else { 1.0 };
    let marks = ['°', '度', '′', '\'', '分', '″', '"', '秒', '’', '”'];
    if !south_or_west.contains(['°', '度']) {
        return Err(NotANumber);
    }
    let mut sum = 0.0;
    let parts = south_or_west.split(marks).map(str::trim).filter(|part| !part.is_empty());
    for (part, unit) in parts.zip([1.0, 60.0, 3600.0, f64::NAN]) {
        sum += plain_number(part).filter(|n| *n >= 0.0 && (unit == 1.0 || *n < 60.0)).ok_or(NotANumber)? / unit;
    }
    if sum.is_finite() { Ok(Some(sign * sum)) } else { Err(NotANumber) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_their_zeros() {
        assert_eq!(typed("007"), Value::Text("007".into()));
        assert_eq!(typed("12"), Value::Int(12));
        assert_eq!(typed("0.5"), Value::Real(0.5));
        assert_eq!(typed("1234567890123456789"), Value::Text("1234567890123456789".into()));
        assert_eq!(typed("1.2.3"), Value::Text("1.2.3".into()));
    }

    #[test]
    fn degrees_come_in_two_ways() {
        for (text, wanted) in
            [("120.5", 120.5), ("120°30′", 120.5), ("36°3′36″N", 36.06), ("36度3分36秒", 36.06), ("12°30'S", -12.5)]
        {
            assert!((degrees(text).unwrap().unwrap() - wanted).abs() < 1e-12, "{text}");
        }
        assert_eq!(degrees(""), Ok(None));
        for text in ["120-30", "x", "120°75′", "1°2′3″4", "°"] {
            assert!(degrees(text).is_err() || degrees(text) == Ok(Some(0.0)), "{text}");
        }
    }
}
