//! STEP physical files (ISO 10303-21), as far as Groundline reads them itself: statements, one at a time, checked.
//!
//! This runs in the importing process on untrusted files, so it keeps one statement at a time, and of that only a
//! bounded head.

use std::io::Read;

/// Bytes of a statement that are kept: the entities that are looked at here are far smaller.
const MAX_KEPT_BYTES: usize = 1 << 16;
/// Brackets within brackets.
const MAX_DEPTH: u32 = 256;

/// One statement of a file, without its semicolon.
#[derive(Debug)]
pub struct Statement<'a> {
    /// Number of the entity (`#12`); `None` for the statements of the file's frame.
    pub id: Option<u64>,
    /// Keyword in upper case, such as `IFCSITE`; empty for complex instances.
    pub keyword: &'a str,
    /// What stands between its outer brackets; cut off when it is very long.
    pub arguments: &'a [u8],
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// Line, from 1, and the entity.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

/// Why scanning ended early.
#[derive(Debug)]
pub enum ScanError {
    /// The disk said no.
    Io(std::io::Error),
    /// The file is damaged.
    Step(StepError),
}

impl From<std::io::Error> for ScanError {
    fn from(error: std::io::Error) -> Self {
        ScanError::Io(error)
    }
}

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 18;

struct Scanner<R: Read> {
    reader: R,
    buffer: Vec<u8>,
    /// Where in the buffer the next byte stands, and where the buffer ends.
    at: usize,
    end: usize,
    line: u64,
}

impl<R: Read> Scanner<R> {
    fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; BUFFER_BYTES], at: 0, end: 0, line: 1 }
    }

    /// Fills the buffer when it is used up; `false` at the end of the file.
    #[cold]
    fn fill(&mut self) -> std::io::Result<bool> {
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(read) => {
                    (self.at, self.end) = (0, read);
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    #[inline]
    fn next(&mut self) -> std::io::Result<Option<u8>> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }
        let byte = self.buffer[self.at];
        self.at += 1;
        self.line += u64::from(byte == b'\n');
        Ok(Some(byte))
    }

    #[inline]
    fn peek(&mut self) -> std::io::Result<Option<u8>> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.at]))
    }

    /// Copies what stands next and is no more than itself: digits, letters, commas and the like.
    fn plain(&mut self, text: &mut Vec<u8>) {
        let rest = &self.buffer[self.at..self.end];
        let length = rest.iter().position(|byte| !IS_PLAIN[usize::from(*byte)]).unwrap_or(rest.len());
        let room = MAX_KEPT_BYTES.saturating_sub(text.len()).min(length);
        text.extend_from_slice(&rest[..room]);
        self.at += length;
    }
}

/// Bytes that neither end anything nor begin anything within a statement.
static IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = !matches!(byte as u8, b'/' | b'\'' | b';' | b'(' | b')');
        byte += 1;
    }
    table
};

/// Calls `on_statement` for every statement and checks the syntax on the way: brackets, strings, semicolons, the frame of
/// the file and its end.
pub fn scan<R: Read>(reader: R, on_statement: &mut dyn FnMut(&Statement<'_>)) -> Result<(), ScanError> {
    let mut scanner = Scanner::new(reader);
    let mut text: Vec<u8> = Vec::new();
    let mut is_first = true;
    let mut last_entity: Option<u64> = None;
    loop {
        text.clear();
        let Some(line) = statement(&mut scanner, &mut text, last_entity, is_first)? else {
            return Err(step(scanner.line, last_entity, "the file is cut off: END-ISO-10303-21 is missing"));
        };
        let parsed = split(&text).map_err(|reason| step(line, last_entity, &reason))?;
        if is_first && parsed.keyword != "ISO-10303-21" {
            return Err(step(line, None, "not a STEP file: it does not start with ISO-10303-21"));
        }
        is_first = false;
        if parsed.keyword == "END-ISO-10303-21" {
            return Ok(());
        }
        if parsed.id.is_some() {
            last_entity = parsed.id;
        }
        on_statement(&parsed);
    }
}

fn step(line: u64, entity: Option<u64>, reason: &str) -> ScanError {
    let near = entity.map_or(String::new(), |id| format!(" (after #{id})"));
    ScanError::Step(StepError { place: format!("line {line}{near}"), reason: reason.into() })
}

/// Reads one statement into `text`; returns the line it starts on, `None` at the end of the file.
fn statement<R: Read>(
    scanner: &mut Scanner<R>,
    text: &mut Vec<u8>,
    last: Option<u64>,
    is_first: bool,
) -> Result<Option<u64>, ScanError> {
    let mut depth = 0_u32;
    let mut line = 0;
    let mut is_closed = false;
    let keep = |text: &mut Vec<u8>, byte: u8| {
        if text.len() < MAX_KEPT_BYTES {
            text.push(byte);
        }
    };
    while let Some(byte) = scanner.next()? {
        match byte {
            b'/' if scanner.peek()? == Some(b'*') => {
                let start = scanner.line;
                let mut before = 0;
                scanner.next()?;
                loop {
                    match scanner.next()? {
                        Some(b'/') if before == b'*' => break,
                        Some(byte) => before = byte,
                        None => return Err(step(start, last, "a comment never closes")),
                    }
                }
            }
            b'\'' => {
                let start = scanner.line;
                keep(text, byte);
                let mut is_new_line = false;
                loop {
                    match scanner.next()? {
                        Some(b'\'') => {
                            keep(text, b'\'');
                            if scanner.peek()? != Some(b'\'') {
                                break;
                            }
                        }
                        // text may run over lines in files of poor writers, but never into the next entity
                        Some(b'#') if is_new_line => return Err(step(start, last, "a text never closes")),
                        Some(byte) => {
                            is_new_line = byte == b'\n' || (is_new_line && byte.is_ascii_whitespace());
                            keep(text, byte);
                            continue;
                        }
                        None => return Err(step(start, last, "a text never closes")),
                    }
                    // the second of two quotes within a text
                    scanner.next()?;
                    keep(text, b'\'');
                }
            }
            b';' if depth == 0 => return Ok(Some(if line == 0 { scanner.line } else { line })),
            b';' => return Err(step(line, last, "a bracket never closes before the ;")),
            byte if byte.is_ascii_whitespace() || (is_first && !byte.is_ascii() && text.is_empty()) => {}
            byte => {
                if line == 0 {
                    line = scanner.line;
                }
                if is_closed {
                    return Err(step(scanner.line, last, "a ; is missing before this"));
                }
                match byte {
                    b'(' => depth += 1,
                    b')' if depth == 0 => return Err(step(scanner.line, last, "a ) too many")),
                    b')' => {
                        depth -= 1;
                        is_closed = depth == 0;
                    }
                    0 => return Err(step(scanner.line, last, "a zero byte: this is no text file")),
                    _ => {}
                }
                if depth > MAX_DEPTH {
                    return Err(step(line, last, "brackets are nested too deep"));
                }
                keep(text, byte);
                if !is_closed {
                    scanner.plain(text);
                }
            }
        }
    }
    match text.is_empty() {
        true => Ok(None),
        false => Err(step(line, last, "the file is cut off within a statement")),
    }
}

/// Takes a statement (without white space outside of texts) apart.
fn split(text: &[u8]) -> Result<Statement<'_>, String> {
    let open = text.iter().position(|b| *b == b'(');
    let head = std::str::from_utf8(&text[..open.unwrap_or(text.len())]).map_err(|_| "no entity".to_owned())?;
    let arguments = match open {
        Some(open) => text[open + 1..].strip_suffix(b")").unwrap_or(&text[open + 1..]),
        None => &[],
    };
    let (id, keyword) = match head.strip_prefix('#') {
        None => (None, head),
        Some(rest) => {
            let shown: String = head.chars().take(40).collect();
            let (number, keyword) =
                rest.split_once('=').ok_or_else(|| format!("{shown} is no entity: = is missing"))?;
            let id = number.parse().map_err(|_| format!("#{number} is no entity number"))?;
            if open.is_none() {
                return Err(format!("{shown} has no brackets"));
            }
            (Some(id), keyword)
        }
    };
    if !keyword.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'!')) || keyword.len() > 100 {
        let shown: String = head.chars().take(40).collect();
        return Err(format!("{shown:?} is no keyword"));
    }
    if keyword.bytes().any(|b| b.is_ascii_lowercase()) && id.is_none() {
        return Err(format!("{keyword:?} is no statement"));
    }
    Ok(Statement { id, keyword, arguments })
}

/// The arguments of a statement: split at the commas outside of brackets and texts.
pub fn arguments(text: &[u8]) -> Vec<&[u8]> {
    let (mut depth, mut is_text, mut start) = (0_u32, false, 0);
    let mut parts = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\'' => is_text = !is_text,
            _ if is_text => {}
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The value within a typed argument such as `IFCLENGTHMEASURE(1.5)`, or the argument itself.
fn untyped(argument: &[u8]) -> &[u8] {
    match (argument.first(), argument.iter().position(|b| *b == b'(')) {
        (Some(first), Some(open)) if first.is_ascii_alphabetic() => {
            argument[open + 1..].strip_suffix(b")").unwrap_or(&argument[open + 1..])
        }
        _ => argument,
    }
}

/// A finite number, typed or not.
pub fn number(argument: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(untyped(argument)).ok()?;
    text.parse::<f64>().ok().filter(|n| n.is_finite())
}

/// The numbers of a list such as `(49,6,1,566000)`.
pub fn numbers(argument: &[u8]) -> Option<Vec<f64>> {
    let inner = untyped(argument).strip_prefix(b"(")?.strip_suffix(b")")?;
    arguments(inner).into_iter().map(number).collect()
}

/// The entity that `#12` refers to.
pub fn reference(argument: &[u8]) -> Option<u64> {
    std::str::from_utf8(argument.strip_prefix(b"#")?).ok()?.parse().ok()
}

/// The entities of a list such as `(#1,#2)`.
pub fn references(argument: &[u8]) -> Vec<u64> {
    let inner = argument.strip_prefix(b"(").and_then(|a| a.strip_suffix(b")")).unwrap_or(b"");
    arguments(inner).into_iter().filter_map(reference).collect()
}

/// A word such as `.MILLI.`, without its dots.
pub fn word(argument: &[u8]) -> Option<&str> {
    std::str::from_utf8(untyped(argument).strip_prefix(b".")?.strip_suffix(b".")?).ok()
}

/// A text, with doubled quotes undone; escapes such as `\X2\…\X0\` stay as they are (names of coordinate systems and units
/// have none).
pub fn text(argument: &[u8]) -> Option<String> {
    let inner = untyped(argument).strip_prefix(b"'")?.strip_suffix(b"'")?;
    Some(String::from_utf8_lossy(inner).replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Vec<(Option<u64>, String, String)>, String> {
        let mut found = Vec::new();
        let outcome = scan(text.as_bytes(), &mut |s| {
            found.push((s.id, s.keyword.to_owned(), String::from_utf8_lossy(s.arguments).into_owned()));
        });
        match outcome {
            Ok(()) => Ok(found),
            Err(ScanError::Step(error)) => Err(format!("{}: {}", error.place, error.reason)),
            Err(ScanError::Io(error)) => panic!("{error}"),
        }
    }

    const HEAD: &str = "ISO-10303-21;\nHEADER;\nFILE_SCHEMA(('IFC4'));\nENDSEC;\nDATA;\n";
    const TAIL: &str = "ENDSEC;\nEND-ISO-10303-21;\n";

    #[test]
    fn statements_are_found_through_texts_comments_and_line_breaks() {
        let text = format!("{HEAD}/* #9=X(); */ #1 = IFCSITE('it''s; (a)',\n  $, (1.,2.));\n#2=IFCX();\n{TAIL}");
        let found = run(&text).unwrap();
        assert_eq!(found[5], (Some(1), "IFCSITE".into(), "'it''s; (a)',$,(1.,2.)".into()));
        assert_eq!(found[6], (Some(2), "IFCX".into(), String::new()));
        let parts = arguments(b"'it''s; (a)',$,(1.,2.)");
        assert_eq!(parts.len(), 3);
        assert_eq!(text_of(parts[0]), "it's; (a)");
        assert_eq!(numbers(parts[2]), Some(vec![1.0, 2.0]));
        assert_eq!(number(b"IFCLENGTHMEASURE(1.5E3)"), Some(1500.0));
        assert_eq!(word(b".MILLI."), Some("MILLI"));
        assert_eq!(references(b"(#1,#22)"), [1, 22]);
        assert_eq!(text_of(b"IFCLABEL('EPSG:4549')"), "EPSG:4549");
    }

    fn text_of(argument: &[u8]) -> String {
        text(argument).unwrap()
    }

    #[test]
    fn damage_is_told_with_its_line_and_entity() {
        for (body, expected) in [
            ("#1=IFCX(1.);\n#2=IFCX((1.);\n#3=IFCX();\n", "line 7 (after #1): a bracket never closes before the ;"),
            ("#1=IFCX(1.);\n#2=IFCX(1.)\n#3=IFCX();\n", "line 8 (after #1): a ; is missing before this"),
            ("#1=IFCX(1.);\n#2=IFCX('a);\n#3=IFCX('b');\n", "line 7 (after #1): a text never closes"),
            ("#1=IFCX(1.));\n", "line 6: a ; is missing before this"),
            ("#1=IFCX(1.);\n#2 IFCX(1.);\n", "line 7 (after #1): #2IFCX is no entity: = is missing"),
            ("#1=IFCX(1.);\n#x=IFCX(1.);\n", "line 7 (after #1): #x is no entity number"),
            ("#1=IFCX(1.);\n#2=IFC?(1.);\n", "line 7 (after #1): \"#2=IFC?\" is no keyword"),
            ("/* #1=IFCX(1.);\n", "line 6: a comment never closes"),
        ] {
            assert_eq!(run(&format!("{HEAD}{body}{TAIL}")).unwrap_err(), expected, "{body}");
        }
        assert_eq!(
            run(&format!("{HEAD}#1=IFCX(1.);\n#2=IFCX(1")).unwrap_err(),
            "line 7 (after #1): the file is cut off within a statement"
        );
        assert_eq!(
            run(&format!("{HEAD}#1=IFCX(1.);\n")).unwrap_err(),
            "line 7 (after #1): the file is cut off: END-ISO-10303-21 is missing"
        );
        assert!(run("<html>;</html>").unwrap_err().contains("line 1"));
        assert!(run("").unwrap_err().contains("cut off"));
        assert!(run(&format!("{HEAD}#1=X({}1", "(".repeat(300))).unwrap_err().contains("nested too deep"));
    }
}
