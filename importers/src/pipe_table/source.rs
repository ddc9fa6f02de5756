//! Which tables belong together: line tables and the point tables that their ids point into.

use std::path::{Path, PathBuf};

use encoding_rs::UTF_8;

use super::{
    header::{Header, Layout},
    kind::{self, Kind},
    sheet::{self, Sheet},
    value::half_width,
};
use crate::{ImportError, Options};

/// Rows that are looked at for a header: a title, a unit line and three header rows fit in.
const HEADER_ROWS: usize = 12;
/// Files of a folder that are looked at for a point table.
const MAX_NEIGHBOURS: usize = 2000;

/// A table whose header was recognised.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its rows.
    pub sheet: Sheet,
    /// Its columns.
    pub header: Header,
    /// What is left of its name without the role: tables with the same key belong together.
    pub key: String,
    /// The kind that its name tells.
    pub kind: Option<Kind>,
}

/// The tables of one source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Line tables and tables of linked points.
    pub lines: Vec<Table>,
    /// Point tables.
    pub points: Vec<Table>,
    /// Whether the point table also serves other sources, so that only points in use are taken from it.
    pub is_point_table_shared: bool,
    /// Files besides the first.
    pub companions: Vec<PathBuf>,
    /// Encoding and what said so.
    pub encoding: Option<(String, String)>,
}

/// What the name of a table says about its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Points,
    Lines,
}

/// Looks at a CSV file or a workbook; `None` when no table in it is a pipe table.
pub fn discover(path: &Path, options: &Options) -> Result<Option<Source>, ImportError> {
    if is_workbook(path) {
        let mut source = Source::empty();
        for sheet in Sheet::of_workbook(path)? {
            if let Some(table) = recognise(sheet, options)? {
                source.add(table);
            }
        }
        return match (source.lines.is_empty(), source.points.is_empty()) {
            (true, true) => Ok(None),
            (false, true) if source.lines.iter().any(|t| t.header.layout == Layout::Lines) => {
                Err(missing_points(path, "a sheet with point id, X, Y and 地面高程 (such as JSPoint beside JSLine)"))
            }
            _ => Ok(Some(source)),
        };
    }
    let (encoding, encoding_from) = sheet::encoding(path, options.encoding.as_deref())?;
    let Some(table) = recognise(Sheet::of_text(path, encoding)?, options)? else { return Ok(None) };
    let mut source = Source::empty();
    source.encoding = Some((encoding.name().to_owned(), encoding_from));
    let needs_points = table.header.layout == Layout::Lines;
    let key = table.key.clone();
    source.add(table);
    if needs_points {
        source.find_points(path, &key, options)?;
    }
    Ok(Some(source))
}

fn is_workbook(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xlsx"))
}

fn recognise(sheet: Sheet, options: &Options) -> Result<Option<Table>, ImportError> {
    let rows = sheet.first_rows(HEADER_ROWS)?;
    let Some(header) = Header::find(&rows, &options.map) else { return Ok(None) };
    let (_, key) = split_role(&sheet.name);
    // a sheet called 管线 says nothing, but the workbook may be called TX_管线成果
    let file = sheet.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let kind = kind::of_name(&sheet.name).or_else(|| kind::of_name(&file));
    Ok(Some(Table { sheet, header, key, kind }))
}

fn missing_points(path: &Path, what: &str) -> ImportError {
    ImportError::Missing {
        path: path.into(),
        missing: "its point table (管点表)".into(),
        hint: format!("a line table has no coordinates of its own; expected {what}"),
    }
}

impl Source {
    fn empty() -> Self {
        Self {
            lines: Vec::new(),
            points: Vec::new(),
            is_point_table_shared: false,
            companions: Vec::new(),
            encoding: None,
        }
    }

    fn add(&mut self, table: Table) {
        match table.header.layout {
            Layout::Points => self.points.push(table),
            Layout::Lines | Layout::Linked => self.lines.push(table),
        }
    }

    /// Finds the point table of a line table among the CSV files of its folder: the one whose name differs only in the
    /// role, else the only point table there is.
    fn find_points(&mut self, path: &Path, key: &str, options: &Options) -> Result<(), ImportError> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let listing = std::fs::read_dir(folder).map_err(|source| ImportError::Io { path: folder.into(), source })?;
        let mut neighbours: Vec<PathBuf> = listing
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|p| p != path && p.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")))
            .take(MAX_NEIGHBOURS)
            .collect();
        neighbours.sort();
        let role_of =
            |p: &Path| split_role(&p.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default());
        let mut others = Vec::new();
        for neighbour in neighbours {
            let (role, its_key) = role_of(&neighbour);
            if role == Some(Role::Lines) {
                continue;
            }
            if its_key == key {
                if let Some(table) = point_table(&neighbour, options)? {
                    self.companions.push(neighbour);
                    self.points.push(table);
                    return Ok(());
                }
            } else {
                others.push(neighbour);
            }
        }
        // a damaged neighbour that is not asked for is no reason to fail
        let mut tables = others.into_iter().filter_map(|p| point_table(&p, options).ok().flatten());
        match (tables.next(), tables.next()) {
            (Some(only), None) => {
                self.companions.push(only.sheet.path.clone());
                self.is_point_table_shared = true;
                self.points.push(only);
                Ok(())
            }
            (Some(_), Some(_)) => Err(missing_points(
                path,
                "a point table whose name differs only in 点/线, P/L or Point/Line (several others are in the folder, none matches)",
            )),
            (None, _) => {
                Err(missing_points(path, "a CSV file beside it whose name differs only in 点/线, P/L or Point/Line"))
            }
        }
    }
}

fn point_table(path: &Path, options: &Options) -> Result<Option<Table>, ImportError> {
    let (encoding, _) = sheet::encoding(path, options.encoding.as_deref()).or_else(|error| match options.encoding {
        Some(_) => Err(error),
        None => Ok((UTF_8, String::new())),
    })?;
    let table = recognise(Sheet::of_text(path, encoding)?, options)?;
    Ok(table.filter(|t| t.header.layout == Layout::Points))
}

/// The role that a name tells, and the name without it.
fn split_role(name: &str) -> (Option<Role>, String) {
    static WORDS: &[(&str, Role)] = &[
        ("管线点", Role::Points),
        ("管点", Role::Points),
        ("点", Role::Points),
        ("管线段", Role::Lines),
        ("管线", Role::Lines),
        ("管段", Role::Lines),
        ("线", Role::Lines),
        ("points", Role::Points),
        ("point", Role::Points),
        ("nodes", Role::Points),
        ("node", Role::Points),
        ("lines", Role::Lines),
        ("line", Role::Lines),
        ("pipes", Role::Lines),
        ("pipe", Role::Lines),
    ];
    let lower = half_width(name).to_lowercase();
    let key = |text: &str| -> String {
        text.replace('表', "").replace("成果", "").chars().filter(|c| c.is_alphanumeric()).collect()
    };
    for (word, role) in WORDS {
        if let Some((head, tail)) = lower.rsplit_once(word) {
            return (Some(*role), key(&format!("{head} {tail}")));
        }
    }
    for (letter, role) in [('p', Role::Points), ('l', Role::Lines)] {
        if let Some(head) = lower.strip_suffix(letter)
            && (head.ends_with(['_', '-', ' ', '.']) || kind::of_name(head).is_some())
        {
            return (Some(role), key(head));
        }
    }
    (None, key(&lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_the_role_only_belong_together() {
        for (points, lines) in [
            ("JSPoint", "JSLine"),
            ("JSP", "JSL"),
            ("YS_P", "YS_L"),
            ("给水管点", "给水管线"),
            ("给水管点表", "给水管线表"),
            ("给水管线点表", "给水管线表"),
            ("给水点", "给水线"),
            ("2019_JS_管点表", "2019_JS_管线表"),
            ("管点", "管线"),
            ("water_nodes", "water_pipes"),
        ] {
            let (points, lines) = (split_role(points), split_role(lines));
            assert_eq!(points.0, Some(Role::Points));
            assert_eq!(lines.0, Some(Role::Lines));
            assert_eq!(points.1, lines.1);
        }
        assert_ne!(split_role("JSPoint").1, split_role("YSLine").1);
        assert_eq!(split_role("Small"), (None, "small".into()));
    }
}
