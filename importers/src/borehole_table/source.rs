//! Which tables belong together: tables of holes and the tables of their strata.

use std::path::{Path, PathBuf};

use super::header::{Header, Layout};
use crate::{
    ImportError, Options,
    pipe_table::{header::Field, source::Table as AxesTable, value::half_width},
    sheet::{self, Sheet},
};

/// Rows that are looked at for a header.
const HEADER_ROWS: usize = 12;
/// Files of a folder that are looked at for a table of strata.
const MAX_NEIGHBOURS: usize = 2000;

/// A table whose header was recognised.
pub(super) struct Table {
    pub header: Header,
    /// Its sheet and columns, as the search for axes wants them.
    pub axes: AxesTable,
}

/// The tables of one source.
pub(super) struct Source {
    /// Tables with coordinates.
    pub places: Vec<Table>,
    /// Tables of strata.
    pub layers: Vec<Table>,
    /// Whether several tables of strata were found beside it and none chosen.
    pub is_unclear: bool,
    pub companions: Vec<PathBuf>,
    pub encoding: Option<(String, String)>,
}

/// Whether a column holds a coordinate.
pub(super) fn is_coordinate(field: Field) -> bool {
    use Field::{East, Latitude, Longitude, North, X, Y};
    matches!(field, X | Y | North | East | Longitude | Latitude)
}

/// Looks at a CSV file or a workbook; `None` when no table in it is about boreholes.
pub(super) fn discover(path: &Path, options: &Options) -> Result<Option<Source>, ImportError> {
    let empty =
        || Source { places: Vec::new(), layers: Vec::new(), is_unclear: false, companions: Vec::new(), encoding: None };
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xlsx")) {
        let mut source = empty();
        for sheet in Sheet::of_workbook(path)? {
            if let Some(table) = recognise(sheet, options)? {
                source.add(table);
            }
        }
        return match (source.places.is_empty(), source.layers.is_empty()) {
            (true, true) => Ok(None),
            (true, false) => Err(missing_holes(path, "a sheet with 钻孔编号, X, Y and 孔口高程")),
            _ => Ok(Some(source)),
        };
    }
    let (encoding, encoding_from) = sheet::encoding(path, options.encoding.as_deref())?;
    let Some(table) = recognise(Sheet::of_text(path, encoding)?, options)? else { return Ok(None) };
    let mut source = empty();
    source.encoding = Some((encoding.name().to_owned(), encoding_from));
    match table.header.layout {
        Layout::Layers => {
            let expected = "a CSV file of holes (钻孔编号, X, Y, 孔口高程); name that one, this one beside it is found";
            return Err(missing_holes(path, expected));
        }
        Layout::Holes => {
            source.find_layers(path, options)?;
            source.add(table);
        }
        Layout::Both => source.add(table),
    }
    Ok(Some(source))
}

fn missing_holes(path: &Path, expected: &str) -> ImportError {
    ImportError::Missing {
        path: path.into(),
        missing: "its table of holes (钻孔表)".into(),
        hint: format!("a table of strata has no coordinates of its own; expected {expected}"),
    }
}

fn recognise(sheet: Sheet, options: &Options) -> Result<Option<Table>, ImportError> {
    let rows = sheet.first_rows(HEADER_ROWS)?;
    let Some(header) = Header::find(&rows, &options.map) else { return Ok(None) };
    let axes = AxesTable { sheet, header: header.axes.clone(), key: String::new(), kind: None };
    Ok(Some(Table { header, axes }))
}

impl Source {
    fn add(&mut self, table: Table) {
        match table.header.layout {
            Layout::Layers => self.layers.push(table),
            Layout::Holes | Layout::Both => self.places.push(table),
        }
    }

    /// Finds the table of strata among the CSV files of the folder: the one whose name differs only in what it holds,
    /// else the only one there is.
    fn find_layers(&mut self, path: &Path, options: &Options) -> Result<(), ImportError> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let listing = std::fs::read_dir(folder).map_err(|source| ImportError::Io { path: folder.into(), source })?;
        let mut neighbours: Vec<PathBuf> = listing
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|p| p != path && p.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")))
            .take(MAX_NEIGHBOURS)
            .collect();
        neighbours.sort();
        let mut found: Vec<(PathBuf, Table)> = Vec::new();
        for neighbour in neighbours {
            // A damaged neighbour that is not asked for is no reason to fail.
            let table = sheet::encoding(&neighbour, options.encoding.as_deref())
                .and_then(|(encoding, _)| recognise(Sheet::of_text(&neighbour, encoding)?, options));
            if let Ok(Some(table)) = table
                && table.header.layout == Layout::Layers
            {
                found.push((neighbour, table));
            }
        }
        let own = key(path);
        let chosen = match found.iter().position(|(p, _)| key(p) == own) {
            Some(at) => Some(at),
            None if found.len() == 1 => Some(0),
            None => None,
        };
        self.is_unclear = chosen.is_none() && !found.is_empty();
        if let Some(at) = chosen {
            let (path, table) = found.swap_remove(at);
            self.companions.push(path);
            self.layers.push(table);
        }
        Ok(())
    }
}

/// What is left of a file's name without the words for what it holds.
fn key(path: &Path) -> String {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let mut name = half_width(&stem).to_lowercase();
    for word in [
        "钻孔",
        "勘探点",
        "勘探孔",
        "地层",
        "土层",
        "岩土层",
        "分层",
        "层",
        "孔",
        "表",
        "数据",
        "信息",
        "boreholes",
        "borehole",
        "holes",
        "hole",
        "collars",
        "collar",
        "strata",
        "stratum",
        "layers",
        "layer",
        "lithology",
    ] {
        name = name.replace(word, "");
    }
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}
