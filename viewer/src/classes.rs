//! Values put into a few classes that a legend can show: words by frequency, numbers by round limits.

use std::cmp::Ordering;

use groundline_engine::model::Value;

use crate::ramp::{MOST_WORDS, OTHER, class_rgb, number_rgb, word_rgb};

/// Most classes of numbers.
const MOST_NUMBERS: usize = 7;
/// From this share of numbers on, a column is one of numbers.
const NUMBERS: f64 = 0.9;

/// What values are put into classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Whatever they are.
    #[default]
    Plain,
    /// Years: limits are multiples of 5 where that is possible.
    Years,
    /// Words of the model's classes: each has its own colour, and none is rare enough to be left out.
    Vocabulary,
}

/// What a class holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    /// This word.
    Word(String),
    /// Numbers below a limit.
    Below(f64),
    /// Numbers from one limit to below another.
    Between(f64, f64),
    /// Numbers from a limit on.
    From(f64),
    /// Whole numbers from one to another, both included.
    Whole(f64, f64),
    /// Whatever has no class of its own: so many different values.
    Other(usize),
}

/// One class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassRow {
    /// What it holds.
    pub span: Span,
    /// Its colour, sRGB.
    pub rgb: [u8; 3],
    /// Objects in it.
    pub count: u64,
}

/// Classes for the values of a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classes {
    /// The classes, in the order of the legend.
    pub rows: Vec<ClassRow>,
    /// Class of each value, by its index.
    of_value: Vec<Option<u8>>,
}

impl Classes {
    /// Classes for different values with the number of objects that have each.
    pub fn new(values: &[(Value, u64)], manner: Manner) -> Self {
        let numbers: Vec<Option<f64>> = values.iter().map(|(value, _)| number(value)).collect();
        let all: u64 = values.iter().map(|(_, count)| count).sum();
        let known: u64 = values.iter().zip(&numbers).filter(|(_, n)| n.is_some()).map(|((_, count), _)| count).sum();
        if all == 0 {
            return Self { rows: Vec::new(), of_value: vec![None; values.len()] };
        }
        let is_numeric = known as f64 >= all as f64 * NUMBERS;
        if is_numeric && manner != Manner::Vocabulary {
            Self::of_numbers(values, &numbers, manner == Manner::Years)
        } else {
            Self::of_words(values, manner == Manner::Vocabulary)
        }
    }

    /// The class of the value with this index.
    pub fn of(&self, value: u32) -> Option<usize> {
        self.of_value.get(value as usize).copied().flatten().map(usize::from)
    }

    fn of_words(values: &[(Value, u64)], is_vocabulary: bool) -> Self {
        let mut order: Vec<usize> = (0..values.len()).filter(|at| values[*at].1 > 0).collect();
        order.sort_by(|a, b| {
            let ((left, left_count), (right, right_count)) = (&values[*a], &values[*b]);
            right_count.cmp(left_count).then_with(|| left.to_string().cmp(&right.to_string()))
        });
        let own = if is_vocabulary { order.len().min(usize::from(u8::MAX)) } else { order.len().min(MOST_WORDS) };
        let mut classes = Self { rows: Vec::new(), of_value: vec![None; values.len()] };
        for (index, &at) in order.iter().enumerate() {
            classes.of_value[at] = Some(index.min(own) as u8);
            if index < own {
                let word = values[at].0.to_string();
                let rgb = if is_vocabulary { class_rgb(&word) } else { word_rgb(index) };
                classes.rows.push(ClassRow { span: Span::Word(word), rgb, count: values[at].1 });
            }
        }
        classes.add_other(order.len() - own, order[own..].iter().map(|at| values[*at].1).sum());
        classes
    }

    fn of_numbers(values: &[(Value, u64)], numbers: &[Option<f64>], are_years: bool) -> Self {
        let mut known: Vec<(f64, u64)> =
            numbers.iter().zip(values).filter_map(|(n, (_, count))| n.map(|n| (n, *count))).collect();
        known.sort_by(|a, b| a.0.total_cmp(&b.0));
        known.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            kept.1 += if is_same { next.1 } else { 0 };
            is_same
        });
        known.retain(|(_, count)| *count > 0);
        let is_each = known.len() <= MOST_NUMBERS;
        let limits: Vec<f64> =
            if is_each { known.iter().skip(1).map(|(n, _)| *n).collect() } else { round_limits(&known, are_years) };
        let class = |n: f64| limits.partition_point(|limit| *limit <= n);
        let count = limits.len() + 1;
        let are_whole = known.iter().all(|(n, _)| n.fract() == 0.0) && limits.iter().all(|n| n.fract() == 0.0);
        let (least, most) = (known.first().map_or(0.0, |k| k.0), known.last().map_or(0.0, |k| k.0));
        let mut classes = Self { rows: Vec::new(), of_value: vec![None; values.len()] };
        for index in 0..count {
            let low = index.checked_sub(1).map(|at| limits[at]);
            let span = match (low, limits.get(index)) {
                _ if is_each => Span::Whole(known[index].0, known[index].0),
                (low, high) if are_whole => Span::Whole(low.unwrap_or(least), high.map_or(most, |high| high - 1.0)),
                (None, Some(high)) => Span::Below(*high),
                (Some(low), Some(high)) => Span::Between(low, *high),
                (Some(low), None) => Span::From(low),
                (None, None) => Span::From(least),
            };
            let inside = known.iter().filter(|(n, _)| class(*n) == index).map(|(_, count)| count).sum();
            classes.rows.push(ClassRow { span, rgb: number_rgb(index, count), count: inside });
        }
        let (mut others, mut objects) = (0, 0);
        for (at, (n, (_, number_of))) in numbers.iter().zip(values).enumerate() {
            classes.of_value[at] = Some(n.map_or(count, class) as u8);
            if n.is_none() && *number_of > 0 {
                (others, objects) = (others + 1, objects + number_of);
            }
        }
        classes.add_other(others, objects);
        classes
    }

    fn add_other(&mut self, values: usize, count: u64) {
        if values > 0 {
            self.rows.push(ClassRow { span: Span::Other(values), rgb: OTHER, count });
        }
    }
}

/// The number that a value is; words that are numbers count, NaN and infinity do not.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Text(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number.filter(|n: &f64| n.is_finite())
}

/// At most six limits between different numbers with their counts.
///
/// Cut at equal steps of the mean of rank and range: where objects are many they are told apart as by quantiles, and what
/// stands out, such as towers over low houses, is told apart as by even steps.
fn round_limits(known: &[(f64, u64)], are_years: bool) -> Vec<f64> {
    let all: u64 = known.iter().map(|(_, count)| count).sum();
    let (least, most) = (known[0].0, known[known.len() - 1].0);
    let mut cuts: Vec<f64> = Vec::new();
    let (mut below, mut next) = (0, 1);
    for (n, count) in known {
        let rank = (below as f64 + *count as f64 * 0.5) / all.max(1) as f64;
        let position = (rank + (n - least) / (most - least)) * 0.5;
        let is_cut = position >= next as f64 / MOST_NUMBERS as f64 && next < MOST_NUMBERS;
        if is_cut && *n > least {
            cuts.push(*n);
        }
        while next < MOST_NUMBERS && position >= next as f64 / MOST_NUMBERS as f64 {
            next += 1;
        }
        below += count;
    }
    let rounded = rounded(least, &cuts, most, are_years);
    if rounded.len() >= 2 { rounded } else { even_limits(least, most, are_years) }
}

/// Limits moved to the roundest numbers that keep them in order.
fn rounded(least: f64, quantiles: &[f64], most: f64, are_years: bool) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::new();
    for (at, &limit) in quantiles.iter().enumerate() {
        let before = if at == 0 { least } else { quantiles[at - 1] };
        let after = quantiles.get(at + 1).copied().unwrap_or(most);
        let room = (limit - before).min(after - limit).max(0.0);
        let step = if room > 0.0 { round_down(room, are_years) } else { round_down((most - least) / 100.0, are_years) };
        let round = tidy((limit / step).round() * step);
        let is_new = out.last().is_none_or(|last| last.partial_cmp(&round) == Some(Ordering::Less));
        if is_new && round > least && round <= most {
            out.push(round);
        }
    }
    out
}

/// Limits at equal, round distances.
fn even_limits(least: f64, most: f64, are_years: bool) -> Vec<f64> {
    let wanted = (most - least) / MOST_NUMBERS as f64;
    // The next rounder step that does not make more classes than there are colours.
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * 10f64.powf(wanted.log10().floor()));
    let step = steps.into_iter().find(|step| *step >= wanted * 0.999 && !(are_years && *step == 2.5)).unwrap_or(wanted);
    let first = (least / step).floor() as i64 + 1;
    (first..first + MOST_NUMBERS as i64 - 1).map(|k| tidy(k as f64 * step)).filter(|limit| *limit < most).collect()
}

/// The largest of 1, 2, 5 × 10ⁿ (1, 5 × 10ⁿ for years) that is at most `room`.
fn round_down(room: f64, are_years: bool) -> f64 {
    let ten = 10f64.powf(room.log10().floor());
    let digits: &[f64] = if are_years { &[5.0, 1.0] } else { &[5.0, 2.0, 1.0] };
    digits.iter().map(|digit| digit * ten).find(|step| *step <= room * 1.000_001).unwrap_or(ten)
}

/// Without what multiplying tenths leaves behind the comma.
fn tidy(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(n: f64) -> (Value, u64) {
        (Value::Real(n), 1)
    }

    fn word(text: &str, count: u64) -> (Value, u64) {
        (Value::Text(text.into()), count)
    }

    fn limits(classes: &Classes) -> Vec<f64> {
        let limit = |row: &ClassRow| match row.span {
            Span::Between(low, _) | Span::From(low) | Span::Whole(low, _) => Some(low),
            _ => None,
        };
        classes.rows.iter().filter_map(limit).collect()
    }

    #[test]
    fn limits_are_round_and_tell_low_houses_and_towers_apart() {
        // Heights as cities have them: many low, few high.
        let values: Vec<_> = (0..1000).map(|k| real(3.0 + 180.0 * (f64::from(k) / 999.0).powi(4))).collect();
        let classes = Classes::new(&values, Manner::Plain);
        assert_eq!(classes.rows.len(), 7, "{:?}", classes.rows);
        let limits = limits(&classes);
        for limit in &limits {
            let digits = format!("{limit}");
            assert!(digits.replace(['.', '0'], "").len() <= 2, "{limit} is not round");
        }
        assert!(limits[0] < 8.0 && limits[5] > 90.0, "{limits:?}");
        let counts: Vec<u64> = classes.rows.iter().map(|row| row.count).collect();
        assert_eq!(counts.iter().sum::<u64>(), 1000);
        assert!(counts.iter().all(|count| (40..500).contains(count)), "{counts:?}");
        for (at, (value, _)) in values.iter().enumerate() {
            let row = &classes.rows[classes.of(at as u32).unwrap()];
            let n = value.as_f64().unwrap();
            let holds = match row.span {
                Span::Below(high) => n < high,
                Span::Between(low, high) => (low..high).contains(&n),
                Span::From(low) => n >= low,
                _ => false,
            };
            assert!(holds, "{n} is not in {row:?}");
        }
    }

    #[test]
    fn like_numbers_of_each_value_make_quantiles_and_one_that_most_have_is_no_class_of_all() {
        let values: Vec<_> = (0..700).map(|k| real(f64::from(k))).collect();
        assert_eq!(limits(&Classes::new(&values, Manner::Plain)), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0]);
        let mut values: Vec<_> = (1..=20).map(|k| real(f64::from(k) * 51.0)).collect();
        values[0].1 = 10_000;
        let classes = Classes::new(&values, Manner::Plain);
        assert!((4..=7).contains(&classes.rows.len()), "{:?}", classes.rows);
        assert_eq!(classes.rows[0].count, 10_000);
        assert_eq!(even_limits(0.0, 1020.0, false), [200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(even_limits(-0.3, 0.4, false), [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3]);
    }

    #[test]
    fn few_numbers_are_classes_of_their_own_and_whole_ones_have_no_gaps() {
        let storeys: Vec<_> = [6, 2, 1, 3].map(|n| (Value::Int(n), 5)).to_vec();
        let classes = Classes::new(&storeys, Manner::Plain);
        assert_eq!(limits(&classes), [1.0, 2.0, 3.0, 6.0]);
        assert_eq!(classes.of(0), Some(3));
        let years: Vec<_> = (1950..2025).map(|year| (Value::Int(year), 3)).collect();
        let classes = Classes::new(&years, Manner::Years);
        let mut next = 1950.0;
        for row in &classes.rows {
            let Span::Whole(low, high) = row.span else { panic!("{row:?}") };
            assert_eq!(low, next);
            assert!(low == 1950.0 || low % 5.0 == 0.0, "{low}");
            next = high + 1.0;
        }
        assert_eq!(next, 2025.0);
    }

    #[test]
    fn words_are_sorted_by_frequency_and_the_rest_is_other() {
        let values: Vec<_> = (0..14).map(|k| word(&format!("w{k}"), 100 - k)).chain([word("never", 0)]).collect();
        let classes = Classes::new(&values, Manner::Plain);
        assert_eq!(classes.rows.len(), MOST_WORDS + 1);
        assert_eq!(classes.rows[0].span, Span::Word("w0".into()));
        assert_eq!(classes.rows[MOST_WORDS], ClassRow { span: Span::Other(5), rgb: OTHER, count: 5 * 89 });
        assert_eq!((classes.of(13), classes.of(14)), (Some(MOST_WORDS), None));
        let nine = Classes::new(&values[..9], Manner::Plain);
        assert_eq!(nine.rows.len(), 9, "nine words need no other");
        let all = Classes::new(&values, Manner::Vocabulary);
        assert_eq!(all.rows.len(), 14, "every class of the model has its own row");
    }

    #[test]
    fn nan_one_value_and_no_values() {
        let classes = Classes::new(&[real(f64::NAN), (Value::Real(5.0), 30), real(f64::INFINITY)], Manner::Plain);
        assert_eq!(classes.rows[0].span, Span::Whole(5.0, 5.0));
        assert_eq!((classes.of(1), classes.of(0), classes.rows[1].span.clone()), (Some(0), Some(1), Span::Other(2)));
        let one = Classes::new(&[real(7.5)], Manner::Plain);
        assert_eq!((one.rows.len(), one.of(0), one.of(9)), (1, Some(0), None));
        assert_eq!(Classes::new(&[], Manner::Plain), Classes::default());
        let yes = Classes::new(&[(Value::Bool(true), 4), (Value::Bool(false), 9)], Manner::Plain);
        assert_eq!(yes.rows[0].span, Span::Word("false".into()));
        let texts = Classes::new(&[word("300", 9), word(" 100 ", 9), word("unknown", 1)], Manner::Plain);
        assert_eq!(limits(&texts), [100.0, 300.0], "words that are numbers are numbers");
        assert_eq!(texts.rows[2].span, Span::Other(1));
    }
}
