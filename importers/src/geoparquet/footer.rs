//! A look at a Parquet file's footer before the library reads it: the library follows the schema's nesting without
//! a limit, and a hostile footer of a few hundred kilobytes would end the program.

use std::io::{self, Read, Seek, SeekFrom};

/// A footer of more bytes is refused; those of large files take some hundred KiB.
const MAX_FOOTER_BYTES: u64 = 256 << 20;
/// Groups within groups, and elements of a schema; more are no table.
const MAX_DEPTH: usize = 48;
const MAX_ELEMENTS: u64 = 100_000;
/// Structures within structures of the footer itself.
const MAX_NESTING: usize = 16;

/// Checks the footer; the inner error says what is wrong.
pub(super) fn check(mut file: impl Read + Seek) -> io::Result<Result<(), String>> {
    let length = file.seek(SeekFrom::End(0))?;
    if length < 12 {
        return Ok(Err(format!("{length} bytes are too few for a Parquet file")));
    }
    file.seek(SeekFrom::Start(length - 8))?;
    let mut tail = [0; 8];
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    if &magic == b"PARE" {
        return Ok(Err("it is encrypted".into()));
    }
    if &magic != b"PAR1" {
        return Ok(Err("it does not end as a Parquet file does: it is cut off or of another format".into()));
    }
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    if size > length - 12 || size > MAX_FOOTER_BYTES {
        return Ok(Err(format!("a footer of {size} bytes in a file of {length}")));
    }
    file.seek(SeekFrom::Start(length - 8 - size))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(schema(&bytes).ok_or_else(|| "its footer is damaged".to_string()).and_then(|depth| match depth {
        0..=MAX_DEPTH => Ok(()),
        _ => Err(format!("its schema is nested deeper than {MAX_DEPTH}")),
    }))
}

/// Depth of the schema in a footer (Thrift's compact protocol); `None` where it cannot be followed.
fn schema(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader { bytes };
    let mut id = 0;
    while let Some(kind) = reader.field(&mut id)? {
        if id != 2 {
            reader.pass(kind, 0)?;
            continue;
        }
        let (count, kind) = reader.list().filter(|_| kind == LIST)?;
        if kind != STRUCT || count > MAX_ELEMENTS {
            return None;
        }
        // Children still to come, of each group that is open.
        let mut open: Vec<u64> = Vec::new();
        let mut deepest = 0;
        for _ in 0..count {
            let children = reader.children()?;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(children);
            deepest = deepest.max(open.len());
        }
        return Some(deepest);
    }
    None
}

const STRUCT: u8 = 12;
const LIST: u8 = 9;

struct Reader<'b> {
    bytes: &'b [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    /// Type of the next field, whose number goes into `id`; `Some(None)` at the end of the structure.
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *id = match head >> 4 {
            0 => self.signed()?,
            step => id.checked_add(i64::from(step))?,
        };
        Some(Some(head & 0x0f))
    }

    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
        Some((count, head & 0x0f))
    }

    /// Reads one element of the schema: how many children it has.
    fn children(&mut self) -> Option<u64> {
        let (mut id, mut children) = (0, 0);
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (5, 5) => children = u64::try_from(self.signed()?).ok()?,
                _ => self.pass(kind, 0)?,
            }
        }
        Some(children)
    }

    /// Passes over a value.
    fn pass(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_NESTING {
            return None;
        }
        match kind {
            // The value of a yes or no stands in the field's type.
            1 | 2 => Some(()),
            3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => {
                let count = self.number()?;
                self.skip(count)
            }
            LIST | 10 => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.item(kind, depth))
            }
            11 => {
                let count = self.number()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.item(kinds >> 4, depth)?;
                    self.item(kinds & 0x0f, depth)
                })
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.pass(kind, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    fn item(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1 | 2 => self.skip(1),
            other => self.pass(other, depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A footer whose schema has as many groups within groups.
    fn file(depth: usize) -> Vec<u8> {
        // Field 1: version 2; field 2: a list of structures.
        let mut footer = vec![0x15, 4, 0x19, 0xfc];
        let mut count = depth;
        while count >= 0x80 {
            footer.push(count as u8 | 0x80);
            count >>= 7;
        }
        footer.push(count as u8);
        // Each with field 5: one child.
        footer.extend([0x55, 2, 0].repeat(depth));
        footer.push(0);
        let size = (footer.len() as u32).to_le_bytes();
        [b"PAR1".to_vec(), footer, size.to_vec(), b"PAR1".to_vec()].concat()
    }

    #[test]
    fn nesting_beyond_sense_is_refused_before_the_library_follows_it() {
        assert_eq!(check(Cursor::new(file(20))).unwrap(), Ok(()));
        for depth in [49, 60_000] {
            let reason = check(Cursor::new(file(depth))).unwrap().unwrap_err();
            assert!(reason.contains("nested"), "{reason}");
        }
        assert!(check(Cursor::new(file(200_000))).unwrap().is_err());
    }

    #[test]
    fn what_is_no_parquet_is_told() {
        let whole = file(3);
        for cut in 0..whole.len() {
            assert!(check(Cursor::new(&whole[..cut])).unwrap().is_err());
        }
    }
}
