//! The SQLite database of a GeoPackage: opened so that a hostile file can neither run code nor write, and its tables
//! of contents (OGC 12-128r18 sections 1.1.2 and 1.1.3, 2.1.5).

use std::path::{Path, PathBuf};

use groundline_engine::crs::Crs;
use rusqlite::{
    Connection, OpenFlags,
    config::DbConfig::{
        SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW,
        SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    },
    limits::Limit,
};

use crate::format::ImportError;

/// A row of more bytes than this is not read: no single thing of a city is that large.
const MAX_ROW_BYTES: i32 = 128 << 20;
/// Tables in one file; more are no city's.
const MAX_TABLES: usize = 10_000;

/// What a file holds.
pub(super) struct Catalogue {
    /// Its feature tables, in the order of their registration.
    pub tables: Vec<Table>,
    /// Tables of contents that hold no features: name and data type.
    pub others: Vec<(String, String)>,
}

/// One feature table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub name: String,
    /// Geometry column.
    pub geometry: String,
    pub srs_id: i32,
    /// Its system, or the text of one that is not understood (empty where none is named).
    pub crs: Result<Crs, String>,
    /// Box as the table of contents has it; never trusted but for proposals.
    pub extent: Option<[f64; 4]>,
    /// Rows, where the writer counted them (GDAL's `gpkg_ogr_contents`).
    pub count: Option<u64>,
    /// Column of the primary key.
    pub key: Option<String>,
    /// Columns declared as BOOLEAN, which SQLite keeps as whole numbers.
    pub booleans: Vec<String>,
    /// Why it is not read at all.
    pub refusal: Option<String>,
}

/// Opens the database: read only, nothing in its schema trusted, no view and no trigger ever run.
pub(super) fn open(path: &Path) -> Result<Connection, ImportError> {
    for ending in ["-wal", "-journal"] {
        let mut log = path.as_os_str().to_owned();
        log.push(ending);
        let log = PathBuf::from(log);
        if std::fs::metadata(&log).is_ok_and(|m| m.len() > 0) {
            let reason = format!(
                "its newest changes still lie in {}: close the program that has it open, or let it finish",
                log.display()
            );
            return Err(ImportError::Bad { path: path.into(), place: "log".into(), reason });
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let settle = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(uri(path), flags)?;
        db.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, true)?;
        db.set_db_config(SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        db.set_db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        db.set_db_config(SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)?;
        db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        db.execute_batch("PRAGMA cell_size_check = on; PRAGMA mmap_size = 0; PRAGMA temp_store = memory;")?;
        Ok(db)
    };
    settle().map_err(|error| bad(path, "database", &error))
}

/// `immutable`: no lock and no file is made beside the source, also where the folder cannot be written.
fn uri(path: &Path) -> String {
    let mut text = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => text.push(*byte as char),
            other => text += &format!("%{other:02X}"),
        }
    }
    text + "?immutable=1"
}

pub(super) fn bad(path: &Path, place: &str, error: &rusqlite::Error) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason(error) }
}

/// SQLite's own words, without those of the library around them.
pub(super) fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(text)) => format!("SQLite says: {text} ({:?})", code.code),
        other => other.to_string(),
    }
}

/// A name as SQL takes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Catalogue {
    /// Reads the tables of contents.
    pub fn read(db: &Connection, path: &Path) -> Result<Self, ImportError> {
        let failed = |error| bad(path, "gpkg_contents", &error);
        if !has_table(db, "gpkg_contents").map_err(failed)? {
            let reason = "it is no GeoPackage: it has no table gpkg_contents".into();
            return Err(ImportError::Bad { path: path.into(), place: "schema".into(), reason });
        }
        let others = if has_table(db, "gpkg_geometry_columns").map_err(failed)? {
            "SELECT table_name, data_type FROM gpkg_contents WHERE data_type <> 'features'
             OR table_name NOT IN (SELECT table_name FROM gpkg_geometry_columns)"
        } else {
            "SELECT table_name, data_type FROM gpkg_contents"
        };
        let mut others = db.prepare(others).map_err(failed)?;
        let others = others.query_map([], |row| Ok((text(row, 0), text(row, 1)))).map_err(failed)?;
        let others = others.take(MAX_TABLES).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        Ok(Self { tables: feature_tables(db).map_err(failed)?, others })
    }

    /// The first table whose system is known: the others are moved into it.
    pub fn home(&self) -> Option<&Table> {
        self.tables.iter().find(|t| t.refusal.is_none() && t.crs.is_ok())
    }
}

fn text(row: &rusqlite::Row<'_>, column: usize) -> String {
    match row.get_ref(column) {
        Ok(rusqlite::types::ValueRef::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1", [name], |row| row.get(0))
        .map(|count: i64| count > 0)
}

fn feature_tables(db: &Connection) -> rusqlite::Result<Vec<Table>> {
    if !has_table(db, "gpkg_geometry_columns")? {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare(
        "SELECT g.table_name, g.column_name, g.srs_id, c.min_x, c.min_y, c.max_x, c.max_y
         FROM gpkg_geometry_columns g JOIN gpkg_contents c ON c.table_name = g.table_name
         WHERE c.data_type = 'features' ORDER BY c.rowid",
    )?;
    let rows = statement.query_map([], |row| {
        let number = |column: usize| row.get::<_, Option<f64>>(column).ok().flatten().filter(|n| n.is_finite());
        let extent = [number(3), number(4), number(5), number(6)];
        let extent = match extent {
            [Some(a), Some(b), Some(c), Some(d)] if a <= c && b <= d => Some([a, b, c, d]),
            _ => None,
        };
        Ok(Table {
            name: text(row, 0),
            geometry: text(row, 1),
            srs_id: row.get::<_, Option<i32>>(2).ok().flatten().unwrap_or_default(),
            crs: Err(String::new()),
            extent,
            count: None,
            key: None,
            booleans: Vec::new(),
            refusal: None,
        })
    })?;
    let mut tables = rows.take(MAX_TABLES).collect::<Result<Vec<_>, _>>()?;
    for table in &mut tables {
        table.refusal = refusal(db, table)?;
        table.crs = crs(db, table.srs_id);
        table.count = counted(db, &table.name);
        let mut columns = db.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
        let mut columns = columns.query([&table.name])?;
        while let Some(row) = columns.next()? {
            if row.get::<_, i64>(2).unwrap_or_default() == 1 {
                table.key = Some(text(row, 0));
            }
            if text(row, 1).eq_ignore_ascii_case("boolean") {
                table.booleans.push(text(row, 0));
            }
        }
    }
    Ok(tables)
}

/// Views and virtual tables would run what the file says; a table that is not there cannot be read.
fn refusal(db: &Connection, table: &Table) -> rusqlite::Result<Option<String>> {
    let mut statement = db.prepare("SELECT type, sql FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE")?;
    let mut rows = statement.query([&table.name])?;
    let Some(row) = rows.next()? else { return Ok(Some("it is listed, but not there".into())) };
    let (kind, sql) = (text(row, 0), text(row, 1).to_uppercase());
    Ok(match kind.as_str() {
        "table" if !sql.trim_start().starts_with("CREATE VIRTUAL") => None,
        "table" => Some("it is a virtual table, which is not run".into()),
        _ => Some(format!("it is a {kind}, which is not run: export it as a table")),
    })
}

/// The system with this id: by its organisation's code, else by its definition.
fn crs(db: &Connection, srs_id: i32) -> Result<Crs, String> {
    // 0 and -1 stand for "undefined".
    if srs_id <= 0 {
        return Err(String::new());
    }
    let sql = "SELECT * FROM gpkg_spatial_ref_sys WHERE srs_id = ?1";
    let look = || -> rusqlite::Result<Option<[String; 4]>> {
        let mut statement = db.prepare(sql)?;
        let place = |name: &str| statement.column_index(name).ok();
        let places = ["organization", "organization_coordsys_id", "definition", "definition_12_063"].map(place);
        let mut rows = statement.query([srs_id])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(places.map(|place| match place.map(|i| row.get_ref(i)) {
            Some(Ok(rusqlite::types::ValueRef::Text(bytes))) => String::from_utf8_lossy(bytes).into_owned(),
            Some(Ok(rusqlite::types::ValueRef::Integer(n))) => n.to_string(),
            _ => String::new(),
        })))
    };
    let Ok(Some([organisation, code, definition, second])) = look() else {
        return Err(format!("srs_id {srs_id}, which gpkg_spatial_ref_sys does not explain"));
    };
    if organisation.eq_ignore_ascii_case("epsg")
        && let Some(crs) = code.parse().ok().and_then(|code| Crs::from_epsg(code).ok())
    {
        return Ok(crs);
    }
    let by_text = [&definition, &second].into_iter().find_map(|text| Crs::parse(text).ok());
    by_text.ok_or(if definition.is_empty() { format!("{organisation}:{code}") } else { definition })
}

/// GDAL's count of a table's rows.
fn counted(db: &Connection, table: &str) -> Option<u64> {
    let sql = "SELECT feature_count FROM gpkg_ogr_contents WHERE table_name = ?1 COLLATE NOCASE";
    let count: Option<i64> = db.query_row(sql, [table], |row| row.get(0)).ok()?;
    count.and_then(|count| u64::try_from(count).ok())
}
