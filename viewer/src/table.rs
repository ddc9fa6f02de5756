//! The objects of a layer as a table (属性表): read on a thread of its own, kept column by column, each value once, so that a
//! million rows fit; sorted by the order of the different values.

use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
};

use glam::DVec3;
use groundline_engine::{
    model::Value,
    query::{Filter, Query, run},
    store::City,
};

use crate::{city::CityModel, options::Language};

/// Most rows that are read.
pub const MOST_ROWS: usize = 2_000_000;
/// Most columns.
const MOST_COLUMNS: usize = 200;
/// Code of no value.
const NOTHING: u32 = u32::MAX;
/// Columns that every table begins with.
pub const FIXED: [&str; 4] = ["id", "name", "class", "stage"];

/// A column: each different value once, and which of them each row has.
#[derive(Debug, Default)]
pub struct Column {
    /// The attribute's key, or one of [`FIXED`].
    pub key: String,
    codes: Vec<u32>,
    values: Vec<Value>,
}

/// A value as it is found again: numbers by their bits.
#[derive(PartialEq, Eq, Hash)]
enum Same {
    Bool(bool),
    Int(i64),
    Real(u64),
    Text(String),
}

impl Same {
    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(i) => Self::Int(*i),
            Value::Real(r) => Self::Real(r.to_bits()),
            Value::Text(t) => Self::Text(t.clone()),
        }
    }
}

/// A column while it is being filled.
#[derive(Default)]
struct Filling {
    column: Column,
    known: HashMap<Same, u32>,
}

impl Filling {
    fn put(&mut self, row: usize, value: Value) {
        let next = self.column.values.len() as u32;
        let code = *self.known.entry(Same::of(&value)).or_insert(next);
        if code == next {
            self.column.values.push(value);
        }
        self.column.codes.resize(row, NOTHING);
        self.column.codes.push(code);
    }

    /// A value that no other row has, such as an id.
    fn put_new(&mut self, value: Value) {
        self.column.codes.push(self.column.values.len() as u32);
        self.column.values.push(value);
    }
}

impl Column {
    /// The value of a row.
    pub fn value(&self, row: u32) -> Option<&Value> {
        let code = *self.codes.get(row as usize)?;
        self.values.get(code as usize)
    }

    /// Place of each code in the order of values: numbers, then yes and no, then texts.
    fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.values.len() as u32).collect();
        order.sort_by(|a, b| compared(&self.values[*a as usize], &self.values[*b as usize]));
        let mut ranks = vec![0; order.len()];
        for (rank, code) in order.into_iter().enumerate() {
            ranks[code as usize] = rank as u32;
        }
        ranks
    }
}

fn compared(a: &Value, b: &Value) -> std::cmp::Ordering {
    let kind = |value: &Value| match value {
        Value::Int(_) | Value::Real(_) => 0,
        Value::Bool(_) => 1,
        Value::Text(_) => 2,
    };
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => kind(a).cmp(&kind(b)),
        },
    }
}

/// The table of a layer.
#[derive(Debug, Default)]
pub struct Table {
    /// The layer.
    pub layer: String,
    /// Its columns, the fixed ones first.
    pub columns: Vec<Column>,
    /// Middle and size of each row's object, metres; not finite where it has no place.
    places: Vec<(DVec3, f32)>,
    /// There are more rows than are read.
    pub is_cut: bool,
}

/// By which column rows are sorted, and whether the largest come first.
pub type Sorting = Option<(usize, bool)>;

impl Table {
    /// Reads the objects of `layer` for which `filter` is true.
    pub fn read(city: &City, layer: &str, filter: Option<Filter>, language: Language) -> Result<Self, String> {
        let query = Query { layers: vec![layer.to_owned()], filter, limit: Some(MOST_ROWS + 1), ..Query::default() };
        let mut table = Self { layer: layer.to_owned(), ..Self::default() };
        let mut columns: Vec<Filling> = FIXED.iter().map(|key| named(key)).collect();
        let mut known: HashMap<Arc<str>, usize> = HashMap::new();
        for hit in run(city, &query).map_err(|error| error.to_string())? {
            let hit = hit.map_err(|error| error.to_string())?;
            let row = table.places.len();
            if row == MOST_ROWS {
                table.is_cut = true;
                break;
            }
            let is_chinese = language == Language::Zh;
            let class = if is_chinese { hit.class.zh() } else { hit.class.word() };
            let stage = if is_chinese { hit.stage.zh() } else { hit.stage.word() };
            columns[0].put_new(Value::Text(hit.id));
            if let Some(name) = hit.name {
                columns[1].put(row, Value::Text(name));
            }
            columns[2].put(row, Value::Text(class.to_owned()));
            columns[3].put(row, Value::Text(stage.to_owned()));
            // The name stands in a column of its own.
            for (key, value) in hit.attributes.into_iter().filter(|(key, _)| **key != *FIXED[1]) {
                let at = match known.get(&key) {
                    Some(at) => *at,
                    None if columns.len() < MOST_COLUMNS => {
                        columns.push(named(&key));
                        known.insert(key, columns.len() - 1);
                        columns.len() - 1
                    }
                    None => continue,
                };
                columns[at].put(row, value);
            }
            let has_place = !hit.extent.is_empty();
            let place = if has_place { hit.extent.centre() } else { DVec3::NAN };
            table.places.push((place, if has_place { hit.extent.size().length() as f32 } else { f32::NAN }));
        }
        table.columns = columns.into_iter().map(|filling| filling.column).collect();
        Ok(table)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The id of a row's object.
    pub fn id(&self, row: u32) -> Option<&str> {
        self.columns.first()?.value(row)?.as_str()
    }

    /// Middle and size of a row's object, metres.
    pub fn place(&self, row: u32) -> Option<(DVec3, f64)> {
        let (place, size) = *self.places.get(row as usize)?;
        place.is_finite().then_some((place, f64::from(size)))
    }

    /// The row of an object.
    pub fn row_of(&self, id: &str) -> Option<u32> {
        let values = &self.columns.first()?.values;
        values.iter().position(|value| value.as_str() == Some(id)).map(|row| row as u32)
    }

    /// The rows in an order; those without a value come last either way.
    pub fn order(&self, sorting: Sorting) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..self.rows() as u32).collect();
        let Some((column, is_down)) = sorting.and_then(|(at, is_down)| Some((self.columns.get(at)?, is_down))) else {
            return rows;
        };
        let ranks = column.ranks();
        let last = ranks.len() as u32;
        rows.sort_by_key(|row| {
            let code = column.codes.get(*row as usize).copied().unwrap_or(NOTHING);
            match ranks.get(code as usize) {
                Some(rank) if is_down => last - 1 - rank,
                Some(rank) => *rank,
                None => NOTHING,
            }
        });
        rows
    }

    /// Writes the rows in `order` as CSV (RFC 4180, UTF-8 with a mark that office programs know it by).
    pub fn write_csv(&self, order: &[u32], path: &Path) -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create_new(path)?);
        file.write_all("\u{feff}".as_bytes())?;
        let mut line = String::new();
        let header = self.columns.iter().map(|column| column.key.clone());
        write_line(&mut line, header);
        file.write_all(line.as_bytes())?;
        for row in order {
            let cells = self.columns.iter().map(|column| column.value(*row).map_or_else(String::new, Value::to_string));
            write_line(&mut line, cells);
            file.write_all(line.as_bytes())?;
        }
        file.flush()
    }
}

fn named(key: &str) -> Filling {
    Filling { column: Column { key: key.to_owned(), ..Column::default() }, ..Filling::default() }
}

fn write_line(line: &mut String, cells: impl Iterator<Item = String>) {
    line.clear();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            line.push(',');
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&cell);
        }
    }
    line.push_str("\r\n");
}

/// A file name in `folder` for the table that nothing has yet.
pub fn free_path(folder: &Path, city: &str, layer: &str) -> PathBuf {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).take(80).collect()
    };
    let stem = format!("{}-{}", plain(city), plain(layer));
    let names = std::iter::once(format!("{stem}.csv")).chain((2..10_000).map(|n| format!("{stem}-{n}.csv")));
    let mut paths = names.map(|name| folder.join(name));
    paths.find(|path| !path.exists()).unwrap_or_else(|| folder.join(format!("{stem}.csv")))
}

/// Work on a thread of its own, and what came of it.
pub struct Work<T>(Mutex<Receiver<Result<T, String>>>);

impl<T: Send + 'static> Work<T> {
    /// Begins it.
    pub fn start(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(1);
        let spawned = std::thread::Builder::new().name("table".into()).spawn(move || {
            // Nobody waits any more when something else was asked for meanwhile.
            let _ = sender.send(work());
        });
        if let Err(error) = spawned {
            tracing::error!("no thread for the table: {error}");
        }
        Self(Mutex::new(receiver))
    }

    /// What came of it, when it has come.
    pub fn take(&mut self) -> Option<Result<T, String>> {
        match self.0.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err("the store could not be read".into())),
        }
    }
}

/// Reads the table of a layer; `condition` in CQL2, all rows for none.
pub fn ask(city: &Arc<CityModel>, layer: &str, condition: &str, language: Language) -> Work<(Arc<Table>, Vec<u32>)> {
    let (city, layer, condition) = (Arc::clone(city), layer.to_owned(), condition.trim().to_owned());
    Work::start(move || {
        let filter = match condition.as_str() {
            "" => None,
            text => Some(Filter::parse(text).map_err(|error| error.to_string())?),
        };
        // An own handle on the version that is shown, so that picking does not wait for the table.
        let folder = city.with_store(|store| Ok(store.folder().to_path_buf())).map_err(|error| error.to_string())?;
        let store = City::open_version(&folder, city.version).map_err(|error| error.to_string())?;
        let table = Table::read(&store, &layer, filter, language)?;
        let order = table.order(None);
        Ok((Arc::new(table), order))
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A table of so many rows, each at its own place.
    pub fn numbered(rows: u32) -> Table {
        let mut ids = named("id");
        (0..rows).for_each(|row| ids.put_new(Value::Text(format!("o/{row}"))));
        Table {
            layer: "l".into(),
            columns: vec![ids.column],
            places: (0..rows).map(|row| (DVec3::new(f64::from(row), 0.0, 0.0), 1.0)).collect(),
            is_cut: false,
        }
    }

    fn table(rows: &[(&str, Option<Value>)]) -> Table {
        let (mut ids, mut values) = (named("id"), named("x"));
        for (row, (id, value)) in rows.iter().enumerate() {
            ids.put_new(Value::Text((*id).into()));
            if let Some(value) = value {
                values.put(row, value.clone());
            }
        }
        Table {
            layer: "l".into(),
            columns: vec![ids.column, values.column],
            places: vec![(DVec3::ZERO, 1.0); rows.len()],
            is_cut: false,
        }
    }

    #[test]
    fn rows_are_sorted_by_value_and_those_without_come_last() {
        let real = |value| Some(Value::Real(value));
        let table = table(&[
            ("a", real(10.0)),
            ("b", None),
            ("c", Some(Value::Int(9))),
            ("d", Some(Value::Text("9".into()))),
            ("e", real(-3.5)),
            ("f", real(10.0)),
            ("g", None),
        ]);
        let ids = |sorting| -> String { table.order(sorting).iter().filter_map(|row| table.id(*row)).collect() };
        assert_eq!(ids(None), "abcdefg");
        assert_eq!(ids(Some((1, false))), "ecafdbg");
        assert_eq!(ids(Some((1, true))), "dafcebg", "equal ones keep their order");
        assert_eq!(ids(Some((9, true))), "abcdefg", "no such column");
        assert_eq!(table.columns[1].values.len(), 4, "each value once");
        assert_eq!((table.row_of("e"), table.row_of("z")), (Some(4), None));
    }

    #[test]
    fn a_million_rows_are_sorted_at_once() {
        let (mut ids, mut values) = (named("id"), named("x"));
        for row in 0..1_000_000_u32 {
            ids.put_new(Value::Int(i64::from(row)));
            values.put(row as usize, Value::Int(i64::from(row.wrapping_mul(2_654_435_761) >> 12)));
        }
        let table = Table {
            columns: vec![ids.column, values.column],
            places: vec![(DVec3::ZERO, 1.0); 1_000_000],
            ..Table::default()
        };
        let order = table.order(Some((1, false)));
        let values: Vec<f64> =
            order.iter().filter_map(|row| table.columns[1].value(*row).and_then(Value::as_f64)).collect();
        assert_eq!(values.len(), 1_000_000);
        assert!(values.is_sorted());
    }

    #[test]
    fn csv_holds_what_the_table_shows_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let table = table(&[("a,1", Some(Value::Text("说\"好\"".into()))), ("b", None), ("c", Some(Value::Real(1.5)))]);
        let path = free_path(folder.path(), "城 A/B", "l");
        assert!(path.file_name().is_some_and(|name| name == "城_A_B-l.csv"), "{}", path.display());
        table.write_csv(&[2, 0, 1], &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\u{feff}id,x\r\nc,1.5\r\n\"a,1\",\"说\"\"好\"\"\"\r\nb,\r\n");
        assert!(free_path(folder.path(), "城 A/B", "l").ends_with("城_A_B-l-2.csv"), "nothing is overwritten");
        assert!(table.write_csv(&[], &path).is_err());
    }

    #[test]
    fn a_city_without_a_store_has_no_table_and_says_so() {
        let ground = groundline_engine::tile::Ground::default();
        let city = Arc::new(CityModel::of_layers("none", Vec::new(), ground, Vec::new()));
        let answer = |condition: &str| {
            let mut work = ask(&city, "l", condition, Language::En);
            let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
            loop {
                if let Some(answer) = work.take() {
                    return answer.err().unwrap_or_default();
                }
                assert!(std::time::Instant::now() < limit, "no answer");
                std::thread::yield_now();
            }
        };
        assert!(answer("").contains("no store"));
        assert!(!answer("height_m >").contains("no store"), "a condition is read first");
    }
}
