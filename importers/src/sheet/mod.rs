//! Rows of a table, from CSV or from a sheet of a workbook, one at a time; what all formats of tables share.

pub mod axes;
pub mod cell;

use std::{
    cell::Cell,
    fs::File,
    io::{BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
    rc::Rc,
};

use calamine::{DataRef, Reader, Xlsx};
use encoding_rs::{Encoding, GB18030, UTF_8};

use crate::ImportError;

/// More rows than any survey has in one table; above it the file is none.
const MAX_ROWS: u64 = 4_000_000;
/// Columns that are looked at.
const MAX_COLUMNS: usize = 512;
/// Longest record, bytes: an unclosed quote would otherwise swallow the file.
const MAX_RECORD_BYTES: u64 = 1 << 20;
/// Largest workbook once unpacked, bytes.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;

/// Where the rows are.
#[derive(Clone, Debug)]
enum Place {
    /// CSV with a delimiter, in an encoding.
    Text { delimiter: u8, encoding: &'static Encoding },
    /// A sheet of an XLSX workbook.
    Workbook,
}

/// One table: a CSV file or a sheet.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The file.
    pub path: PathBuf,
    /// Name that tells kind and role: of the sheet, or of the file without its ending.
    pub name: String,
    place: Place,
}

/// What is done after a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    Row,
    /// Enough.
    Stop,
}

/// Takes one row: its number in the file, from 1, and its cells.
pub type OnRow<'a> = dyn FnMut(u64, &[String]) -> Result<Next, ImportError> + 'a;

fn bad(path: &Path, place: impl Into<String>, reason: impl ToString) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason.to_string() }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ImportError + '_ {
    |source| ImportError::Io { path: path.into(), source }
}

/// The encoding of a text file and what said so: the user, a byte order mark, or the bytes themselves.
/// What is valid UTF-8 to its end is UTF-8; anything else in a survey office's file is GB 18030 (GBK).
pub fn encoding(path: &Path, asked: Option<&str>) -> Result<(&'static Encoding, String), ImportError> {
    if let Some(label) = asked {
        let encoding = Encoding::for_label(label.trim().as_bytes())
            .ok_or_else(|| bad(path, "--encoding", format!("{label:?} is no encoding that is known")))?;
        return Ok((encoding, "flag".into()));
    }
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(io(path))?);
    let mut carry: Vec<u8> = Vec::new();
    let mut is_first = true;
    loop {
        let chunk = reader.fill_buf().map_err(io(path))?;
        if chunk.is_empty() {
            return Ok(if carry.is_empty() { (UTF_8, "content".into()) } else { (GB18030, "content".into()) });
        }
        if is_first {
            if let Some((encoding, _)) = Encoding::for_bom(chunk) {
                if encoding != UTF_8 {
                    return Err(bad(
                        path,
                        "byte 0",
                        format!("{} text: save it as CSV UTF-8 and try again", encoding.name()),
                    ));
                }
                return Ok((UTF_8, "byte order mark".into()));
            }
            is_first = false;
        }
        let read = chunk.len();
        carry.extend_from_slice(chunk);
        match std::str::from_utf8(&carry) {
            Ok(_) => carry.clear(),
            Err(error) if error.error_len().is_some() => return Ok((GB18030, "content".into())),
            Err(error) => {
                carry.drain(..error.valid_up_to());
            }
        }
        reader.consume(read);
    }
}

impl Sheet {
    /// The table of a CSV file.
    pub fn of_text(path: &Path, encoding: &'static Encoding) -> Result<Self, ImportError> {
        let mut first = Vec::new();
        let file = BufReader::new(File::open(path).map_err(io(path))?);
        file.take(1 << 16).read_to_end(&mut first).map_err(io(path))?;
        let head = &first[..first.iter().position(|b| *b == b'\n').unwrap_or(first.len())];
        let count = |delimiter: u8| head.iter().filter(|b| **b == delimiter).count();
        let delimiter = [b',', b'\t', b';'].into_iter().rev().max_by_key(|d| count(*d)).unwrap_or(b',');
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { path: path.into(), name, place: Place::Text { delimiter, encoding } })
    }

    /// The sheets of a workbook.
    pub fn of_workbook(path: &Path) -> Result<Vec<Self>, ImportError> {
        let workbook = open(path)?;
        let sheet = |name| Self { path: path.into(), name, place: Place::Workbook };
        Ok(workbook.sheet_names().into_iter().take(256).map(sheet).collect())
    }

    /// Whether it is text, in which every row has all cells.
    pub fn is_text(&self) -> bool {
        matches!(self.place, Place::Text { .. })
    }

    /// How the table is called in messages.
    pub fn label(&self) -> String {
        let file = self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        match self.place {
            Place::Text { .. } => file,
            Place::Workbook => format!("{file} sheet {}", self.name),
        }
    }

    /// Whether the text ends within a line, as one that was cut off does; of workbooks their archive tells.
    pub fn ends_in_a_line(&self) -> Result<bool, ImportError> {
        if matches!(self.place, Place::Workbook) {
            return Ok(false);
        }
        let mut file = File::open(&self.path).map_err(io(&self.path))?;
        if file.seek(std::io::SeekFrom::End(-1)).is_err() {
            return Ok(false);
        }
        let mut last = [0];
        file.read_exact(&mut last).map_err(io(&self.path))?;
        Ok(!matches!(last[0], b'\n' | b'\r'))
    }

    /// The first `count` rows that are not empty.
    pub fn first_rows(&self, count: usize) -> Result<Vec<(u64, Vec<String>)>, ImportError> {
        let mut rows = Vec::new();
        self.each_row(&mut |number, cells| {
            rows.push((number, cells.to_vec()));
            Ok(if rows.len() < count { Next::Row } else { Next::Stop })
        })?;
        Ok(rows)
    }

    /// Calls `on_row` with every row that is not empty. Returns how many cells could not be decoded.
    pub fn each_row(&self, on_row: &mut OnRow<'_>) -> Result<u64, ImportError> {
        match self.place {
            Place::Text { delimiter, encoding } => self.each_record(delimiter, encoding, on_row),
            Place::Workbook => self.each_sheet_row(on_row).map(|()| 0),
        }
    }

    fn each_record(
        &self,
        delimiter: u8,
        encoding: &'static Encoding,
        on_row: &mut OnRow<'_>,
    ) -> Result<u64, ImportError> {
        let since_record = Rc::new(Cell::new(0));
        let file = File::open(&self.path).map_err(io(&self.path))?;
        let limited = Limited { inner: file, since_record: since_record.clone() };
        // GBK and GB 18030 trail bytes are never a quote, a delimiter or a line end, so the bytes are split first
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(limited);
        let mut record = csv::ByteRecord::new();
        let mut cells: Vec<String> = Vec::new();
        let mut undecoded = 0;
        loop {
            since_record.set(0);
            let more = reader.read_byte_record(&mut record).map_err(|error| match error.into_kind() {
                csv::ErrorKind::Io(source) => ImportError::Io { path: self.path.clone(), source },
                other => bad(&self.path, "record", format!("{other:?}")),
            })?;
            if !more {
                return Ok(undecoded);
            }
            let number = record.position().map_or(0, csv::Position::line);
            if number > MAX_ROWS {
                return Err(bad(&self.path, format!("row {number}"), format!("more than {MAX_ROWS} rows")));
            }
            cells.clear();
            for field in record.iter().take(MAX_COLUMNS) {
                let (text, is_damaged) = encoding.decode_without_bom_handling(field);
                undecoded += u64::from(is_damaged);
                cells.push(text.trim().trim_start_matches('\u{feff}').to_owned());
            }
            if cells.iter().any(|c| !c.is_empty()) && on_row(number, &cells)? == Next::Stop {
                return Ok(undecoded);
            }
        }
    }

    fn each_sheet_row(&self, on_row: &mut OnRow<'_>) -> Result<(), ImportError> {
        let mut workbook = open(&self.path)?;
        let place = |row: u32| format!("sheet {} row {}", self.name, u64::from(row) + 1);
        let mut reader = workbook
            .worksheet_cells_reader(&self.name)
            .map_err(|e| bad(&self.path, format!("sheet {}", self.name), e))?;
        let mut cells: Vec<String> = Vec::new();
        let mut current: u32 = 0;
        loop {
            let cell = reader.next_cell().map_err(|e| bad(&self.path, place(current), e))?;
            let row = cell.as_ref().map(|c| c.get_position().0);
            if row != Some(current) {
                if cells.iter().any(|c| !c.is_empty()) && on_row(u64::from(current) + 1, &cells)? == Next::Stop {
                    return Ok(());
                }
                cells.clear();
            }
            let (Some(cell), Some(row)) = (cell, row) else { return Ok(()) };
            if row < current {
                return Err(bad(&self.path, place(row), "rows are out of order"));
            }
            if u64::from(row) >= MAX_ROWS {
                return Err(bad(&self.path, place(row), format!("more than {MAX_ROWS} rows")));
            }
            current = row;
            let column = cell.get_position().1 as usize;
            if column < MAX_COLUMNS {
                if cells.len() <= column {
                    cells.resize(column + 1, String::new());
                }
                cells[column] = text(cell.get_value());
            }
        }
    }
}

/// A cell of a workbook as a survey office would have typed it.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Int(whole) => whole.to_string(),
        DataRef::Float(real) => real.to_string(),
        DataRef::Bool(yes) => yes.to_string(),
        DataRef::DateTime(date) if date.is_datetime() => {
            let (year, month, day, ..) = date.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}")
        }
        DataRef::DateTime(date) => date.as_f64().to_string(),
        DataRef::Error(error) => error.to_string(),
    }
}

/// Opens a workbook after weighing it: a few kilobytes of ZIP can claim to be a terabyte of sheet.
fn open(path: &Path) -> Result<Xlsx<BufReader<File>>, ImportError> {
    let mut file = BufReader::new(File::open(path).map_err(io(path))?);
    let unpacked = unpacked_bytes(path, &mut file)?;
    if unpacked > MAX_UNPACKED_BYTES {
        return Err(bad(path, "workbook", format!("unpacks to more than {} MiB", MAX_UNPACKED_BYTES >> 20)));
    }
    file.rewind().map_err(io(path))?;
    Xlsx::new(file).map_err(|e| bad(path, "workbook", e))
}

/// Unpacks the workbook into nothing and counts, up to just above the limit: sizes in the headers can lie.
fn unpacked_bytes(path: &Path, file: &mut BufReader<File>) -> Result<u64, ImportError> {
    let mut archive = zip::ZipArchive::new(file).map_err(|e| bad(path, "workbook", e))?;
    let mut sum = 0;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| bad(path, format!("workbook part {index}"), e))?;
        let mut limited = entry.take(MAX_UNPACKED_BYTES + 1 - sum);
        sum += std::io::copy(&mut limited, &mut std::io::sink())
            .map_err(|e| bad(path, format!("workbook part {index}"), e))?;
        if sum > MAX_UNPACKED_BYTES {
            break;
        }
    }
    Ok(sum)
}

/// Fails when one record grows beyond all reason.
struct Limited<R> {
    inner: R,
    since_record: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.since_record.get() > MAX_RECORD_BYTES {
            let reason = format!("a record is longer than {MAX_RECORD_BYTES} bytes (a quote that is never closed?)");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
        }
        let read = self.inner.read(buffer)?;
        self.since_record.set(self.since_record.get() + read as u64);
        Ok(read)
    }
}
