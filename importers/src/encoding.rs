//! Which encoding a file's text is in (字符编码), and what said so.
//!
//! Chinese offices deliver GBK without saying so, GBK labelled UTF-8 and UTF-8 labelled GBK. The order of belief is:
//! the user's flag, the label beside the file (`.cpg`), the byte in the header (LDID of a .dbf), the bytes themselves.
//! A label loses only when the bytes cannot be what it says.

use encoding_rs::{BIG5, Encoding, GB18030, UTF_8, WINDOWS_1252};

/// The encoding that was settled on.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodingFound {
    /// The decoder.
    pub encoding: &'static Encoding,
    /// Its name for reports: `UTF-8`, `GB18030`, `windows-1252`.
    pub label: String,
    /// What said so: `flag`, `.cpg`, `LDID`, `BOM`, `content`.
    pub from: String,
    /// What a person should know, such as a label that the bytes contradict.
    pub warning: Option<String>,
}

impl EncodingFound {
    fn new(encoding: &'static Encoding, from: &str) -> Self {
        Self { encoding, label: encoding.name().into(), from: from.into(), warning: None }
    }

    /// Decodes a piece of text; bytes that are no text become U+FFFD.
    pub fn decode<'t>(&self, bytes: &'t [u8]) -> std::borrow::Cow<'t, str> {
        self.encoding.decode_without_bom_handling(bytes).0
    }
}

/// Decodes a whole text file: byte order mark, then `hint` (the user's flag), then the bytes themselves.
///
/// ```
/// let (text, found) = groundline_importers::encoding::decode(b"\xb5\xc0\xc2\xb7", None);
/// assert_eq!((text.as_str(), found.label.as_str()), ("道路", "gb18030"));
/// ```
pub fn decode(bytes: &[u8], hint: Option<&str>) -> (String, EncodingFound) {
    let found = match (Encoding::for_bom(bytes), hint.and_then(named)) {
        (Some((encoding, _)), _) => EncodingFound::new(encoding, "BOM"),
        (None, Some(encoding)) => checked(encoding, "flag", bytes),
        (None, None) => from_content(bytes),
    };
    let bytes = Encoding::for_bom(bytes).map_or(bytes, |(_, length)| &bytes[length..]);
    let text = found.decode(bytes).into_owned();
    (text, found)
}

/// The encoding of text whose file carries labels: the user's flag, the text of a `.cpg`, the language byte of a .dbf.
/// `sample` is the text, or the first part of it that holds other than ASCII.
pub fn choose(flag: Option<&str>, cpg: Option<&str>, ldid: Option<u8>, sample: &[u8]) -> EncodingFound {
    if let Some(encoding) = flag.and_then(named) {
        return EncodingFound::new(encoding, "flag");
    }
    let mut unknown = None;
    if let Some(label) = cpg {
        match named(label) {
            Some(encoding) => return checked(encoding, ".cpg", sample),
            None => unknown = Some(format!(".cpg says {:?}, which is no known encoding", label.trim())),
        }
    }
    let mut found = match ldid.and_then(of_ldid) {
        Some(encoding) => checked(encoding, "LDID", sample),
        None => from_content(sample),
    };
    found.warning = unknown.or(found.warning);
    found
}

/// The encoding with this name, however it is written: `UTF8`, `utf_8`, `ANSI 936`, `CP936`, `GB2312`, `OEM 850`,
/// `ISO 8859-1`, `88591`, `1252`.
pub fn named(label: &str) -> Option<&'static Encoding> {
    let upper = label.trim_matches(|c: char| c == '\u{feff}' || c == '\0' || c == '"' || c.is_whitespace());
    let upper = upper.to_ascii_uppercase().replace(['_', '-', ' ', '.'], "");
    let bare = ["ANSI", "OEM", "CP", "WINDOWS", "MSWIN", "X"].iter().fold(upper.as_str(), |text, prefix| {
        let rest = text.strip_prefix(prefix).unwrap_or(text);
        if rest.is_empty() { text } else { rest }
    });
    let iso = bare.strip_prefix("ISO8859").or_else(|| bare.strip_prefix("8859")).or(bare.strip_prefix("LATIN"));
    let label = match bare {
        "UTF8" | "65001" | "UNICODE11UTF8" => return Some(UTF_8),
        "936" | "54936" | "GBK" | "GB2312" | "GB18030" | "GB23121980" | "EUCCN" | "HZGB2312" | "CN" => {
            return Some(GB18030);
        }
        "950" | "BIG5" | "BIG5HKSCS" => return Some(BIG5),
        "932" | "SHIFTJIS" | "SJIS" => "shift_jis".into(),
        "949" | "EUCKR" | "51949" => "euc-kr".into(),
        "EUCJP" | "51932" => "euc-jp".into(),
        "866" => "ibm866".into(),
        "KOI8R" | "20866" => "koi8-r".into(),
        // DOS pages of Western Europe share their letters with no Windows page, but nothing better is at hand.
        "437" | "850" => "windows-1252".into(),
        "852" => "iso-8859-2".into(),
        "ANSI" => return None,
        _ => match (iso, bare) {
            (Some(part), _) if !part.is_empty() => format!("iso-8859-{part}"),
            (_, "1250" | "1251" | "1252" | "1253" | "1254" | "1255" | "1256" | "1257" | "1258" | "874") => {
                format!("windows-{bare}")
            }
            _ => label.trim().to_string(),
        },
    };
    Encoding::for_label(label.as_bytes())
}

/// The encoding of the language byte in a .dbf header; `None` for bytes that name none.
///
/// 0x57 is "the code page of the machine that wrote it", so it says nothing.
pub fn of_ldid(byte: u8) -> Option<&'static Encoding> {
    match byte {
        0x03 | 0x58 | 0x59 => Some(WINDOWS_1252),
        0x4D | 0x7A => Some(GB18030),
        0x4F | 0x78 => Some(BIG5),
        0x13 | 0x7B => Encoding::for_label(b"shift_jis"),
        0x4E | 0x79 => Encoding::for_label(b"euc-kr"),
        0x50 | 0x7C => Encoding::for_label(b"windows-874"),
        0xC8 => Encoding::for_label(b"windows-1250"),
        0xC9 => Encoding::for_label(b"windows-1251"),
        0xCA => Encoding::for_label(b"windows-1254"),
        0xCB => Encoding::for_label(b"windows-1253"),
        0x65 | 0x26 => Encoding::for_label(b"ibm866"),
        _ => None,
    }
}

/// Holds a label against the bytes; the bytes win when they cannot be what it says.
fn checked(encoding: &'static Encoding, from: &str, sample: &[u8]) -> EncodingFound {
    if sample.is_ascii() || !encoding.decode_without_bom_handling(trimmed(sample)).1 {
        return EncodingFound::new(encoding, from);
    }
    let mut found = from_content(sample);
    if found.encoding == encoding {
        found.from = from.into();
        return found;
    }
    found.warning = Some(format!(
        "{from} says {}, but the text is not valid {}; read as {}",
        encoding.name(),
        encoding.name(),
        found.label
    ));
    found
}

/// Guesses from the bytes: valid UTF-8 with at least one multi-byte character, else GB18030 where the bytes come in the
/// pairs of Chinese text, else Windows-1252.
fn from_content(sample: &[u8]) -> EncodingFound {
    let sample = trimmed(sample);
    if std::str::from_utf8(sample).is_ok() {
        return EncodingFound::new(UTF_8, "content");
    }
    if is_chinese(sample) {
        return EncodingFound::new(GB18030, "content");
    }
    let mut found = EncodingFound::new(WINDOWS_1252, "content");
    found.warning = Some(
        "the file does not say its encoding and the text is neither UTF-8 nor GB18030; read as windows-1252".into(),
    );
    found
}

/// Whether most bytes beyond ASCII come as pairs from the Chinese part of GB18030 and none is impossible there.
///
/// In GB 2312 both bytes of a character are 0xA1 or above; a Western letter stands alone between ASCII letters.
fn is_chinese(sample: &[u8]) -> bool {
    let (mut paired, mut single, mut at) = (0_usize, 0_usize, 0);
    while at < sample.len() {
        let next = sample.get(at + 1).copied().unwrap_or(0);
        match sample[at] {
            0x00..=0x7F => {}
            0xA1..=0xFE if next >= 0xA1 => {
                paired += 2;
                at += 1;
            }
            _ => single += 1,
        }
        at += 1;
    }
    paired > single && !GB18030.decode_without_bom_handling(sample).1
}

/// Without the character that a cut sample may end in the middle of.
fn trimmed(sample: &[u8]) -> &[u8] {
    let end = sample.len().saturating_sub(4);
    let ascii = sample[end..].iter().rposition(u8::is_ascii);
    match ascii {
        Some(last) if sample.len() > 64 * 1024 => &sample[..=end + last],
        _ => sample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_understood_however_it_is_written() {
        for label in ["UTF-8", "utf8", "UTF_8", "\u{feff}UTF-8\r\n", "65001", "ANSI 65001"] {
            assert_eq!(named(label), Some(UTF_8), "{label:?}");
        }
        for label in ["936", "CP936", "ANSI 936", "GBK", "gb2312", "GB18030", "54936", "OEM 936 "] {
            assert_eq!(named(label), Some(GB18030), "{label:?}");
        }
        for label in ["ISO 8859-1", "88591", "ISO-8859-1", "1252", "ANSI 1252", "LATIN1"] {
            assert_eq!(named(label), Some(WINDOWS_1252), "{label:?}");
        }
        assert_eq!(named("BIG5"), Some(BIG5));
        assert_eq!(named("950"), Some(BIG5));
        assert_eq!(named("ISO 8859-2"), Encoding::for_label(b"iso-8859-2"));
        assert_eq!(named("klingon"), None);
        assert_eq!(named(""), None);
    }

    #[test]
    fn the_label_is_believed_until_the_bytes_contradict_it() {
        let (gbk, _, _) = GB18030.encode("青岛市市南区");
        let believed = choose(None, Some("936"), None, &gbk);
        assert_eq!((believed.encoding, believed.from.as_str(), believed.warning), (GB18030, ".cpg", None));

        let lied = choose(None, Some("UTF-8"), None, &gbk);
        assert_eq!((lied.encoding, lied.from.as_str()), (GB18030, "content"));
        assert!(lied.warning.unwrap().contains("not valid UTF-8"));

        let utf8 = "青岛市".as_bytes();
        assert_eq!(choose(None, None, None, utf8).encoding, UTF_8);
        assert_eq!(choose(None, None, Some(0x4D), &gbk).from, "LDID");
        assert_eq!(choose(Some("BIG5"), Some("UTF-8"), None, &gbk).from, "flag");
        assert!(choose(None, Some("???"), None, &gbk).warning.is_some());
    }

    #[test]
    fn western_letters_are_not_taken_for_chinese() {
        let (latin, _, _) = WINDOWS_1252.encode("Große Mühlenwallstraße, Esenser Straße, Fußweg");
        let found = choose(None, None, Some(0x57), &latin);
        assert_eq!(found.encoding, WINDOWS_1252);
        assert!(found.warning.is_some());
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_dropped() {
        let (text, found) = decode("\u{feff}管点,管线".as_bytes(), Some("GBK"));
        assert_eq!((text.as_str(), found.from.as_str()), ("管点,管线", "BOM"));
    }
}
