//! Finding objects by what people call them: Chinese, pinyin (拼音), English, ids.
//!
//! Case, accents and full-width forms do not count. `海湾大道` is found by `海湾`, `haiwandadao`, `hai wan`, `haiw`, `hwdd`
//! and mixtures such as `海wan`; of a character with several readings any may be meant (`重庆路`: `chongqing`, `zhongqing`).
//! Several words must all be found, in any order.

use std::sync::LazyLock;

use pinyin::ToPinyinMulti;
use rustc_hash::FxHashMap;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longest text that is looked for, characters.
const LONGEST: usize = 200;
/// Most words of it.
const MOST_WORDS: usize = 16;
/// Longest word that is taken for pinyin: one bit of a number for each of its letters and one for its end.
const LONGEST_PINYIN: usize = 63;

/// Why nothing can be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// No letter and no digit.
    #[error("there is nothing to look for: a letter or a digit is wanted")]
    Empty,
    /// Too long.
    #[error("more than {LONGEST} characters or {MOST_WORDS} words")]
    TooLong,
}

/// A name that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    text: String,
    /// Folded, one blank between words.
    phrase: String,
    words: Vec<Word>,
    /// All words as one, for pinyin written apart.
    joined: Word,
    mask: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    letters: Vec<char>,
}

/// How well a name fits; the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    place: Place,
    reading: Reading,
    /// Characters of the name: the shorter, the more of it was meant.
    length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Whole,
    Start,
    StartOfWord,
    Within,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    AsWritten,
    Pinyin,
    /// Some syllables by their first letters alone.
    Initials,
}

impl Search {
    /// What is looked for.
    ///
    /// ```
    /// use groundline_engine::query::Search;
    /// let search = Search::new("hai wan")?;
    /// assert!(search.finds("海湾大道") && !search.finds("大海"));
    /// # Ok::<(), groundline_engine::query::SearchError>(())
    /// ```
    pub fn new(text: &str) -> Result<Self, SearchError> {
        if text.chars().nth(LONGEST).is_some() {
            return Err(SearchError::TooLong);
        }
        let phrase = fold(text);
        let word = |text: &str| Word { text: text.to_owned(), letters: text.chars().collect() };
        let words: Vec<Word> = phrase.split(' ').filter(|w| !w.is_empty()).map(word).collect();
        if !phrase.chars().any(char::is_alphanumeric) {
            return Err(SearchError::Empty);
        }
        if words.len() > MOST_WORDS {
            return Err(SearchError::TooLong);
        }
        let joined: String = phrase.chars().filter(|c| !matches!(c, ' ' | '\'' | '’')).collect();
        let mask = joined.chars().fold(0, |mask, c| mask | bit_of(c));
        Ok(Self { text: text.to_owned(), words, joined: word(&joined), mask, phrase })
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a name fits.
    pub fn finds(&self, name: &str) -> bool {
        self.rank(&fold(name)).is_some()
    }

    /// Whether an object fits by its name or its id.
    pub(crate) fn finds_object(&self, layer: &str, id: &str, name: Option<&str>) -> bool {
        name.is_some_and(|name| self.finds(name)) || self.rank_of_id(&fold(layer), &fold(local(layer, id))).is_some()
    }

    /// Letters that a name must have: those of [`mask_of`].
    pub(crate) fn mask(&self) -> u64 {
        self.mask
    }

    /// The longest word, which an id must hold.
    pub(crate) fn longest_word(&self) -> &str {
        self.words.iter().map(|word| word.text.as_str()).max_by_key(|text| text.len()).unwrap_or_default()
    }

    /// What of the question is the beginning of an id in this (folded) layer, its name left out: `建筑/12` asks for `12`.
    pub(crate) fn within_layer(&self, layer: &str) -> Option<&str> {
        self.phrase.strip_prefix(layer)?.strip_prefix('/').filter(|rest| !rest.is_empty())
    }

    /// How well a folded id without its layer fits; ids are read as they are written.
    pub(crate) fn rank_of_id(&self, layer: &str, id: &str) -> Option<Rank> {
        let length = length_of(id);
        let by_layer = self.within_layer(layer).filter(|rest| id.starts_with(rest)).map(|rest| {
            let place = if rest.len() == id.len() { Place::Whole } else { Place::Start };
            Rank { place, reading: Reading::AsWritten, length }
        });
        let phrase = place_in(&self.phrase, id).map(|place| Rank { place, reading: Reading::AsWritten, length });
        let words = || {
            let all = self.words.iter().map(|word| Some((place_in(&word.text, id)?, Reading::AsWritten)));
            worst(all).map(|(place, reading)| Rank { place, reading, length })
        };
        by_layer.or(phrase).or_else(|| if self.words.len() > 1 { words() } else { None })
    }

    /// How well a folded name fits.
    pub(crate) fn rank(&self, name: &str) -> Option<Rank> {
        let length = length_of(name);
        let rank = |(place, reading)| Rank { place, reading, length };
        let phrase = place_in(&self.phrase, name).map(|place| (place, Reading::AsWritten));
        if let Some(best) = phrase.filter(|(place, _)| *place == Place::Whole) {
            return Some(rank(best));
        }
        let letters: Vec<char> = name.chars().collect();
        let spoken = spoken_in(&self.joined.letters, &letters);
        let mut best = [phrase, spoken].into_iter().flatten().min();
        if best.is_none() && self.words.len() > 1 {
            best = worst(self.words.iter().map(|word| {
                let written = place_in(&word.text, name).map(|place| (place, Reading::AsWritten));
                let spoken = || spoken_in(&word.letters, &letters);
                written.or_else(spoken)
            }));
        }
        best.map(rank)
    }
}

fn length_of(name: &str) -> u16 {
    u16::try_from(name.chars().count()).unwrap_or(u16::MAX)
}

/// Of several words, each where it stands: where the last found of them stands, or `None` where one is missing.
fn worst(words: impl Iterator<Item = Option<(Place, Reading)>>) -> Option<(Place, Reading)> {
    let mut all = (Place::StartOfWord, Reading::AsWritten);
    for word in words {
        let (place, reading) = word?;
        all = (all.0.max(place), all.1.max(reading));
    }
    Some(all)
}

/// An id without its layer's name.
pub(crate) fn local<'i>(layer: &str, id: &'i str) -> &'i str {
    id.strip_prefix(layer).and_then(|rest| rest.strip_prefix('/')).unwrap_or(id)
}

/// A text as it is compared: small letters without accents and widths, one blank between words.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut put = |c: char| match c {
        c if c.is_whitespace() => {
            if !folded.is_empty() && !folded.ends_with(' ') {
                folded.push(' ');
            }
        }
        // Letters that no accent makes.
        'ł' | 'Ł' => folded.push('l'),
        'ø' | 'Ø' => folded.push('o'),
        'đ' | 'Đ' | 'ð' | 'Ð' => folded.push('d'),
        'ß' | 'ẞ' => folded.push_str("ss"),
        'æ' | 'Æ' => folded.push_str("ae"),
        'œ' | 'Œ' => folded.push_str("oe"),
        'ı' => folded.push('i'),
        c if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
        c => folded.extend(c.to_lowercase().filter(|c| !is_combining_mark(*c))),
    };
    if text.chars().all(is_plain) {
        text.chars().for_each(&mut put);
    } else {
        text.nfkd().filter(|c| !is_combining_mark(*c)).for_each(&mut put);
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// What normalization leaves as it is, of what names are mostly made of.
fn is_plain(c: char) -> bool {
    c.is_ascii() || ('\u{4e00}'..='\u{9fff}').contains(&c)
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters as bits: `a` to `z`, digits, and 28 bits for all others.
fn bit_of(c: char) -> u64 {
    1 << match c {
        'a'..='z' => u32::from(c) - u32::from('a'),
        '0'..='9' => 26 + u32::from(c) - u32::from('0'),
        c => 36 + (u32::from(c).wrapping_mul(2_654_435_761) >> 16) % 28,
    }
}

/// The letters of a folded name, and of every reading of its characters.
pub(crate) fn mask_of(name: &str) -> u64 {
    name.chars().fold(0, |mask, c| {
        let mut own = bit_of(c);
        for reading in readings(c) {
            own |= reading.chars().fold(0, |mask, letter| match letter {
                'ü' => mask | bit_of('u') | bit_of('v'),
                'ê' => mask | bit_of('e'),
                letter => mask | bit_of(letter),
            });
        }
        mask | own
    })
}

/// Readings without tones, each once. Made at the first search: some 45 000 characters, three megabytes.
static READINGS: LazyLock<FxHashMap<char, Box<[&'static str]>>> = LazyLock::new(|| {
    let all = ('\u{3400}'..='\u{3ffff}').filter(|c| is_chinese(*c));
    let readings = all.filter_map(|c| {
        let mut readings: Vec<&str> = c.to_pinyin_multi()?.into_iter().map(pinyin::Pinyin::plain).collect();
        readings.sort_unstable();
        readings.dedup();
        Some((c, readings.into_boxed_slice()))
    });
    readings.collect()
});

fn readings(c: char) -> &'static [&'static str] {
    if c.is_ascii() { &[] } else { READINGS.get(&c).map_or(&[], |readings| readings) }
}

/// Where a text stands in a name, as both are written.
fn place_in(text: &str, name: &str) -> Option<Place> {
    if name.starts_with(text) {
        return Some(if name.len() == text.len() { Place::Whole } else { Place::Start });
    }
    let first = text.chars().next()?;
    let mut found = None;
    let mut from = 0;
    while let Some(at) = name[from..].find(text).map(|at| at + from) {
        if name[..at].chars().next_back().is_none_or(|before| begins_word(before, first)) {
            return Some(Place::StartOfWord);
        }
        found = Some(Place::Within);
        from = at + first.len_utf8();
    }
    found
}

/// Whether a word begins between two letters.
fn begins_word(before: char, after: char) -> bool {
    !before.is_alphanumeric() || is_chinese(before) != is_chinese(after)
}

/// Where a word stands in a name whose Chinese characters are spoken.
fn spoken_in(word: &[char], name: &[char]) -> Option<(Place, Reading)> {
    let is_asked = word.len() <= LONGEST_PINYIN && word.iter().any(char::is_ascii_lowercase);
    if !is_asked || !name.iter().any(|c| is_chinese(*c)) {
        return None;
    }
    let first = name.iter().position(|c| c.is_alphanumeric())?;
    if let Some((is_to_end, reading)) = spoken_from(word, &name[first..]) {
        return Some((if is_to_end { Place::Whole } else { Place::Start }, reading));
    }
    let begins =
        |c: char| c == word[0] || readings(c).iter().any(|r| r.chars().next().is_some_and(|c| sounds(c, word[0])));
    let starts = (first + 1..name.len()).filter(|at| begins(name[*at]));
    let found = starts.filter_map(|at| {
        let (_, reading) = spoken_from(word, &name[at..])?;
        let place = if begins_word(name[at - 1], name[at]) { Place::StartOfWord } else { Place::Within };
        Some((place, reading))
    });
    found.min()
}

/// Whether the word is how the name begins, spoken or written; with whether the name ends there.
fn spoken_from(word: &[char], name: &[char]) -> Option<(bool, Reading)> {
    // Bit n: the first n letters of the word are used up, every syllable in full or some by first letters.
    let (mut full, mut short) = (1u64, 0u64);
    let end = 1u64 << word.len();
    let last = name.iter().rposition(|c| c.is_alphanumeric())?;
    // Whether the name goes on, and how it was read: less is better.
    let mut best: Option<(bool, Reading)> = None;
    for (at, c) in name.iter().enumerate().filter(|(_, c)| c.is_alphanumeric()) {
        let (mut next_full, mut next_short) = (0u64, 0u64);
        // The last syllable may be typed in part.
        let mut cut = None;
        let mut open = full | short;
        while open != 0 {
            let used = open.trailing_zeros() as usize;
            open &= open - 1;
            let (is_full, is_short) = (full >> used & 1, short >> used & 1);
            let rest = &word[used..];
            if rest.first() == Some(c) {
                next_full |= is_full << (used + 1);
                next_short |= is_short << (used + 1);
            }
            for &reading in readings(*c) {
                let same = reading.chars().zip(rest).take_while(|(a, b)| sounds(*a, **b)).count();
                if same == reading.chars().count() {
                    next_full |= is_full << (used + same);
                    next_short |= is_short << (used + same);
                } else if same > 0 && same == rest.len() {
                    let how = if is_full == 1 { Reading::Pinyin } else { Reading::Initials };
                    cut = cut.into_iter().chain([how]).min();
                }
                if same > 0 {
                    next_short |= 1 << (used + 1);
                    // Zh, ch and sh are first letters too.
                    if same > 1 && reading.chars().nth(1) == Some('h') {
                        next_short |= 1 << (used + 2);
                    }
                }
            }
        }
        let in_full = (next_full & end != 0).then_some((at != last, Reading::Pinyin));
        let by_initials = (next_short & end != 0).then_some((at != last, Reading::Initials));
        best = [best, in_full, by_initials, cut.map(|how| (true, how))].into_iter().flatten().min();
        (full, short) = (next_full & !end, next_short & !end);
        if full | short == 0 {
            break;
        }
    }
    best.map(|(goes_on, reading)| (!goes_on, reading))
}

/// Whether a letter of a reading is the one that was typed: ü is typed u or v.
fn sounds(reading: char, typed: char) -> bool {
    match reading {
        'ü' => matches!(typed, 'u' | 'v'),
        'ê' => typed == 'e',
        other => other == typed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(text: &str, name: &str) -> Option<(Place, Reading)> {
        let search = Search::new(text).unwrap();
        let folded = fold(name);
        let found = search.rank(&folded).map(|rank| (rank.place, rank.reading));
        let is_sifted = mask_of(&folded) & search.mask() != search.mask();
        assert!(found.is_none() || !is_sifted, "{text} in {name}: the letters alone must not rule it out");
        found
    }

    #[test]
    fn chinese_is_found_as_written_and_as_spoken() {
        use {Place::*, Reading::*};
        for (text, name, wanted) in [
            ("海湾大道", "海湾大道", (Whole, AsWritten)),
            ("haiwandadao", "海湾大道", (Whole, Pinyin)),
            ("hai wan da dao", "海湾大道", (Whole, Pinyin)),
            ("Hǎi wān dà dào", "海湾大道", (Whole, Pinyin)),
            ("hwdd", "海湾大道", (Whole, Initials)),
            ("haiwandd", "海湾大道", (Whole, Initials)),
            ("haiwan", "海湾大道", (Start, Pinyin)),
            ("haiw", "海湾大道", (Start, Pinyin)),
            ("海wan", "海湾大道", (Start, Pinyin)),
            ("hai", "海湾大道", (Start, Pinyin)),
            ("dadao", "海湾大道", (Within, Pinyin)),
            ("dao hai", "海湾大道", (Within, Pinyin)),
            ("大道 hai", "海湾大道", (Within, Pinyin)),
            ("chongqinglu", "重庆路", (Whole, Pinyin)),
            ("zhongqing", "重庆路", (Start, Pinyin)),
            ("yinhang", "中国银行", (Within, Pinyin)),
            ("zhongguoyinxing", "中国银行", (Whole, Pinyin)),
            ("zgyh", "中国银行", (Whole, Initials)),
            ("zhsl", "中山路", (Whole, Initials)),
            ("zhongshanlu12", "中山路12号", (Start, Pinyin)),
            ("zsl12h", "中山路12号", (Whole, Initials)),
            ("lvyuan", "绿园", (Whole, Pinyin)),
            ("luyuan", "绿园", (Whole, Pinyin)),
            ("lü yuan", "绿园", (Whole, Pinyin)),
            ("xi'an", "西安路", (Start, Pinyin)),
            ("ｈｗ", "海湾 大道", (Start, Initials)),
            ("a1", "Ａ１栋", (Start, AsWritten)),
            ("大道", "海湾大道", (Within, AsWritten)),
        ] {
            assert_eq!(rank(text, name), Some(wanted), "{text} in {name}");
        }
        for (text, name) in [
            ("haiwanxiaodao", "海湾大道"),
            ("aiwan", "海湾大道"),
            ("wandao", "海湾大道"),
            ("hdd", "海湾大道"),
            ("haiwan xi", "海湾大道"),
            ("海湾路", "海湾大道"),
            ("hw", "harbour way"),
        ] {
            assert_eq!(rank(text, name), None, "{text} in {name}");
        }
    }

    #[test]
    fn english_knows_words_but_no_case_and_no_accents() {
        use {Place::*, Reading::*};
        for (text, name, wanted) in [
            ("harbour BRIDGE", "Harbour Bridge", Whole),
            ("harb", "Harbour Bridge", Start),
            ("bri", "Harbour Bridge", StartOfWord),
            ("bridge harbour", "Harbour Bridge", StartOfWord),
            ("br har", "Harbour Bridge", StartOfWord),
            ("ridge", "Harbour Bridge", Within),
            ("cafe", "Café Zürich", Start),
            ("zurich", "Café Zürich", StartOfWord),
            ("ZÜRICH", "cafe zurich", StartOfWord),
            ("strasse", "Hauptstraße", Within),
            ("lodz", "Łódź", Whole),
            ("bridge", "海湾Bridge", StartOfWord),
        ] {
            assert_eq!(rank(text, name), Some((wanted, AsWritten)), "{text} in {name}");
        }
        assert_eq!(rank("harbour road", "Harbour Bridge"), None);
        assert_eq!(Search::new("  "), Err(SearchError::Empty));
        assert_eq!(Search::new("--"), Err(SearchError::Empty));
        assert_eq!(Search::new(&"x".repeat(201)), Err(SearchError::TooLong));
        assert_eq!(Search::new(&"x ".repeat(90)), Err(SearchError::TooLong));
    }

    #[test]
    fn ids_are_found_with_and_without_their_layer() {
        let place = |text: &str, id: &str| {
            let search = Search::new(text).unwrap();
            search.rank_of_id("建筑", &fold(local("建筑", id))).map(|rank| rank.place)
        };
        assert_eq!(place("建筑/12", "建筑/12"), Some(Place::Whole));
        assert_eq!(place("建筑/12", "建筑/123"), Some(Place::Start));
        assert_eq!(place("建筑/12", "建筑/312"), None);
        assert_eq!(place("12", "建筑/12"), Some(Place::Whole));
        assert_eq!(place("w1", "建筑/DN300-W1"), Some(Place::StartOfWord));
        assert_eq!(place("建筑", "建筑/12"), None, "the layer's name is not the object's");
    }

    #[test]
    fn long_words_take_no_time() {
        let name = "行".repeat(500);
        let start = std::time::Instant::now();
        for text in ["h".repeat(63), "hangxing".repeat(7), "x".repeat(200)] {
            assert!(Search::new(&text).unwrap().rank(&name).is_some() == (text.len() < 100), "{text}");
        }
        assert!(start.elapsed().as_secs() < 2);
    }
}
