//! Rows of an AGS file, editions 3 and 4, one at a time.

use std::path::Path;

use crate::{ImportError, text::TextFile};

/// Columns of one group; more are no AGS.
const MAX_COLUMNS: usize = 2000;
/// Longest text that `<CONT>` rows may put together, bytes.
const LONGEST_CELL: usize = 1 << 20;

/// How rows are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    /// `"**HOLE"`, `"*HOLE_ID"`, `"<UNITS>"`, `"<CONT>"`.
    Three,
    /// `"GROUP"`, `"HEADING"`, `"UNIT"`, `"TYPE"`, `"DATA"`.
    Four,
}

/// An AGS file.
pub(super) struct AgsFile {
    pub text: TextFile,
    pub edition: Edition,
}

/// One row of data.
pub(super) struct Record<'a> {
    pub group: &'a str,
    pub line: u64,
    headings: &'a [String],
    units: &'a [String],
    cells: &'a [String],
    pub fraction: f32,
}

/// What is met in a file.
pub(super) enum Item<'a> {
    Record(Record<'a>),
    /// A group begins.
    Group(&'a str, u64),
    /// A row that cannot be read.
    Bad(u64, String),
}

impl Record<'_> {
    fn index(&self, heading: &str) -> Option<usize> {
        self.headings.iter().position(|h| h == heading)
    }

    /// The cell under a heading; empty where there is none.
    pub fn get(&self, heading: &str) -> &str {
        self.index(heading).and_then(|i| self.cells.get(i)).map_or("", |cell| cell.trim())
    }

    /// The first of some headings that has a cell with something in it.
    pub fn first<'h>(&self, headings: &[&'h str]) -> Option<(&'h str, &str)> {
        headings.iter().map(|h| (*h, self.get(h))).find(|(_, text)| !text.is_empty())
    }

    /// A number under a heading, in metres by the unit of its column.
    pub fn metres(&self, heading: &str) -> Result<Option<f64>, String> {
        let Some(number) = self.number(heading)? else { return Ok(None) };
        let unit = self.index(heading).and_then(|i| self.units.get(i)).map_or("", String::as_str);
        let unit_m = match unit.trim().to_lowercase().as_str() {
            "" | "m" => 1.0,
            "mm" => 0.001,
            "cm" => 0.01,
            "km" => 1000.0,
            "ft" => 0.3048,
            other => return Err(format!("{heading} is in {other:?}, which is no unit of length that is known")),
        };
        Ok(Some(number * unit_m))
    }

    /// A number under a heading.
    pub fn number(&self, heading: &str) -> Result<Option<f64>, String> {
        match self.get(heading) {
            "" => Ok(None),
            text => crate::inp::number(text).map(Some).ok_or_else(|| format!("{heading}: {text:?} is no number")),
        }
    }

    /// Headings with the cells that hold something.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headings.iter().zip(self.cells).map(|(h, c)| (h.as_str(), c.trim())).filter(|(_, c)| !c.is_empty())
    }

    /// `GEOL line 17`.
    pub fn place(&self) -> String {
        format!("{} line {}", self.group, self.line)
    }
}

/// The row that may still be continued.
struct Pending {
    line: u64,
    cells: Vec<String>,
    fraction: f32,
}

impl AgsFile {
    /// Looks at the first rows; `None` when they are no AGS.
    pub fn open(path: &Path, flag: Option<&str>) -> Result<Option<Self>, ImportError> {
        let text = TextFile::open(path, flag)?;
        let mut edition = None;
        text.each_line(&mut |line| {
            let start = line.text.trim_start();
            if start.starts_with("\"GROUP\"") {
                edition = Some(Edition::Four);
            } else if start.starts_with("\"**") {
                edition = Some(Edition::Three);
            }
            Ok(edition.is_none() && line.number < 200)
        })?;
        Ok(edition.map(|edition| Self { text, edition }))
    }

    /// Calls `on_item` with everything in the file.
    pub fn each(&self, on_item: &mut dyn FnMut(Item<'_>) -> Result<(), ImportError>) -> Result<(), ImportError> {
        let mut group = String::new();
        let (mut headings, mut units): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut pending: Option<Pending> = None;
        let mut is_in_headings = false;
        self.text.each_line(&mut |line| {
            if line.text.trim().is_empty() {
                return Ok(true);
            }
            let bad = |reason: String| Item::Bad(line.number, reason);
            let mut cells = match cells(line.text) {
                Ok(cells) if !line.is_damaged => cells,
                Ok(_) => {
                    on_item(bad("bytes that are no text".into()))?;
                    return Ok(true);
                }
                Err(reason) => {
                    on_item(bad(reason.into()))?;
                    return Ok(true);
                }
            };
            let first = cells.first().map_or("", |cell| cell.trim()).to_owned();
            let mark = match self.edition {
                Edition::Four => first.as_str(),
                Edition::Three if first.starts_with("**") => "GROUP",
                Edition::Three if first.starts_with('*') => "HEADING",
                Edition::Three if first.eq_ignore_ascii_case("<UNITS>") => "UNIT",
                Edition::Three if first.eq_ignore_ascii_case("<CONT>") => "CONT",
                Edition::Three => "DATA",
            };
            if mark != "CONT"
                && let Some(done) = pending.take()
            {
                on_item(Item::Record(Record {
                    group: &group,
                    line: done.line,
                    headings: &headings,
                    units: &units,
                    cells: &done.cells,
                    fraction: done.fraction,
                }))?;
            }
            let was_in_headings = std::mem::replace(&mut is_in_headings, mark == "HEADING");
            match (mark, self.edition) {
                ("GROUP", Edition::Four) => group = cells.get(1).map_or("", |cell| cell.trim()).to_owned(),
                ("GROUP", Edition::Three) => group = first.trim_start_matches(['*', '?']).to_owned(),
                ("HEADING", edition) => {
                    // In edition 3 the headings of a group may stand in several rows.
                    if !(edition == Edition::Three && was_in_headings) {
                        headings.clear();
                    }
                    let skip = usize::from(edition == Edition::Four);
                    let named =
                        cells.into_iter().skip(skip).map(|h| h.trim().trim_start_matches(['*', '?']).to_owned());
                    headings.extend(named.filter(|h| edition == Edition::Four || !h.is_empty()));
                    if headings.len() > MAX_COLUMNS {
                        headings.clear();
                        on_item(bad(format!("more than {MAX_COLUMNS} columns")))?;
                    }
                    return Ok(true);
                }
                ("UNIT", edition) => {
                    units = cells.split_off(1.min(cells.len()));
                    if edition == Edition::Three {
                        // The mark stands under the first heading, which is an id.
                        units.insert(0, String::new());
                    }
                    return Ok(true);
                }
                ("TYPE", Edition::Four) => return Ok(true),
                ("DATA", edition) => {
                    if edition == Edition::Four {
                        cells = cells.split_off(1.min(cells.len()));
                    }
                    if headings.is_empty() {
                        on_item(bad("data before any headings".into()))?;
                    } else if cells.len() != headings.len() {
                        on_item(bad(format!("{} cells under {} headings", cells.len(), headings.len())))?;
                    } else {
                        pending = Some(Pending { line: line.number, cells, fraction: line.fraction });
                    }
                    return Ok(true);
                }
                ("CONT", _) => {
                    let Some(row) = &mut pending else {
                        on_item(bad("<CONT> without a row before it".into()))?;
                        return Ok(true);
                    };
                    for (own, more) in row.cells.iter_mut().zip(cells).skip(1) {
                        if own.len() + more.len() <= LONGEST_CELL {
                            own.push_str(&more);
                        }
                    }
                    return Ok(true);
                }
                _ => {
                    let short: String = first.chars().take(20).collect();
                    on_item(bad(format!("a row cannot begin with {short:?}")))?;
                    return Ok(true);
                }
            }
            headings.clear();
            units.clear();
            if group.is_empty() {
                on_item(bad("a group without a name".into()))?;
            }
            on_item(Item::Group(&group, line.number))?;
            Ok(true)
        })?;
        if let Some(done) = pending.take() {
            on_item(Item::Record(Record {
                group: &group,
                line: done.line,
                headings: &headings,
                units: &units,
                cells: &done.cells,
                fraction: done.fraction,
            }))?;
        }
        Ok(())
    }
}

/// Quoted cells between commas; two quotes within one stand for one.
fn cells(line: &str) -> Result<Vec<String>, &'static str> {
    let mut cells = Vec::new();
    let mut rest = line.trim();
    loop {
        let Some(mut body) = rest.strip_prefix('"') else {
            // A comma may end a row of edition 3.
            return if rest.is_empty() && !cells.is_empty() { Ok(cells) } else { Err("a cell is not in quotes") };
        };
        let mut cell = String::new();
        loop {
            let (text, after) = body.split_once('"').ok_or("a quote is not closed")?;
            cell.push_str(text);
            match after.strip_prefix('"') {
                Some(more) => {
                    cell.push('"');
                    body = more;
                }
                None => {
                    body = after;
                    break;
                }
            }
        }
        cells.push(cell);
        if cells.len() > MAX_COLUMNS {
            return Err("too many cells");
        }
        rest = body.trim_start();
        if rest.is_empty() {
            return Ok(cells);
        }
        rest = rest.strip_prefix(',').ok_or("no comma between two cells")?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted() {
        assert_eq!(cells("\"DATA\",\"a \"\"b\"\"\",\"\", \"c,d\"").unwrap(), ["DATA", "a \"b\"", "", "c,d"]);
        assert_eq!(cells("\"*A\",\"*B\",").unwrap(), ["*A", "*B"]);
        for line in ["a,b", "\"a", "\"a\"b", "\"a\"\"", "\"a\" \"b\""] {
            assert!(cells(line).is_err(), "{line}");
        }
    }
}
