//! Lines of a text file whose encoding is not said, one at a time.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    ImportError,
    encoding::{self, EncodingFound},
};

/// Longest line that is read, bytes; what lies beyond is left out and the line marked.
const LONGEST_LINE: u64 = 64 << 10;
/// Lines of one file.
const MAX_LINES: u64 = 200_000_000;
/// Text beyond ASCII that is gathered to tell the encoding.
const SAMPLE_BYTES: usize = 64 << 10;

/// A text file that is read line by line.
pub(crate) struct TextFile {
    path: PathBuf,
    length: u64,
    /// Encoding and what said so.
    pub found: EncodingFound,
}

/// One line, without its end.
pub(crate) struct TextLine<'a> {
    /// From 1.
    pub number: u64,
    pub text: &'a str,
    /// Whether it holds bytes that are no text, control characters, or is longer than any line should be.
    pub is_damaged: bool,
    /// How much of the file has been read, 0 to 1.
    pub fraction: f32,
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.into(), source }
}

impl TextFile {
    /// Finds out the encoding; reads the file once.
    pub fn open(path: &Path, flag: Option<&str>) -> Result<Self, ImportError> {
        let file = File::open(path).map_err(io(path))?;
        let length = file.metadata().map_err(io(path))?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut sample = Vec::new();
        let mut is_first = true;
        loop {
            let chunk = reader.fill_buf().map_err(io(path))?;
            if chunk.is_empty() || sample.len() >= SAMPLE_BYTES {
                break;
            }
            if is_first && (chunk.starts_with(&[0xff, 0xfe]) || chunk.starts_with(&[0xfe, 0xff])) {
                let reason = "UTF-16 text: save it as UTF-8 and try again".into();
                return Err(ImportError::Bad { path: path.into(), place: "byte 0".into(), reason });
            }
            is_first = false;
            if !chunk.is_ascii() {
                // With the ASCII around it, so that a letter between letters is told from a pair of bytes.
                let at = chunk.iter().position(|b| !b.is_ascii()).unwrap_or(0);
                let left = SAMPLE_BYTES - sample.len();
                sample.extend(chunk.iter().skip(at.saturating_sub(1)).take(left));
            }
            let read = chunk.len();
            reader.consume(read);
        }
        Ok(Self { path: path.into(), length, found: encoding::choose(flag, None, None, &sample) })
    }

    /// Encoding and what said so, as a probe has them.
    pub fn encoding(&self) -> Option<(String, String)> {
        Some((self.found.label.clone(), self.found.from.clone()))
    }

    /// Calls `on_line` with every line until it says `false`.
    pub fn each_line(
        &self,
        on_line: &mut dyn FnMut(TextLine<'_>) -> Result<bool, ImportError>,
    ) -> Result<(), ImportError> {
        let file = File::open(&self.path).map_err(io(&self.path))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut bytes = Vec::new();
        let (mut number, mut read) = (0, 0_u64);
        loop {
            bytes.clear();
            let mut taken = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(io(&self.path))?;
            if taken == 0 {
                return Ok(());
            }
            let is_too_long = taken as u64 == LONGEST_LINE && bytes.last() != Some(&b'\n');
            if is_too_long {
                taken += reader.skip_until(b'\n').map_err(io(&self.path))?;
            }
            read += taken as u64;
            number += 1;
            if number > MAX_LINES {
                let reason = format!("more than {MAX_LINES} lines");
                return Err(ImportError::Bad { path: self.path.clone(), place: format!("line {number}"), reason });
            }
            let start = if number == 1 && bytes.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
            let (text, is_garbled) =
                self.found.encoding.decode_without_bom_handling(bytes.get(start..).unwrap_or_default());
            let text = text.trim_end_matches(['\r', '\n', '\u{1a}']);
            let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\u{c}');
            let line = TextLine {
                number,
                text,
                is_damaged: is_too_long || is_garbled || text.contains(is_control) || text.contains('\u{fffd}'),
                fraction: (read as f64 / self.length.max(1) as f64).clamp(0.0, 1.0) as f32,
            };
            if !on_line(line)? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> (String, Vec<(u64, String, bool)>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.inp");
        std::fs::write(&path, bytes).unwrap();
        let file = TextFile::open(&path, None).unwrap();
        let mut all = Vec::new();
        file.each_line(&mut |line| {
            all.push((line.number, line.text.to_owned(), line.is_damaged));
            Ok(true)
        })
        .unwrap();
        (file.found.label, all)
    }

    #[test]
    fn lines_are_decoded_and_damage_is_seen() {
        let (label, all) = lines(b"\xef\xbb\xbfa\tb\r\n\xe6\xb0\xb4\nlast\0");
        assert_eq!(label, "UTF-8");
        assert_eq!(all, [(1, "a\tb".into(), false), (2, "水".into(), false), (3, "last\0".into(), true)]);
        assert_eq!(lines(b"\xb5\xc0\xc2\xb7").1[0].1, "道路");
        let (_, all) = lines(&[vec![b'x'; 100_000], b"\nnext".to_vec()].concat());
        assert_eq!(all.len(), 2);
        assert!(all[0].2 && all[0].1.len() <= LONGEST_LINE as usize);
        assert_eq!(all[1], (2, "next".into(), false));
    }
}
