//! Sensor registers (感知终端台账) and recorded readings (历史读数) as CSV.
//!
//! A register has one sensor a row; its columns are found by their Chinese or English titles. Recorded readings are
//! recognised so that they can be replayed ([`read_recording`]); they are not imported.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use glam::DVec3;
use groundline_engine::{
    live::{Recording, payload::parse_time},
    model::{Attribute, ObjectId, Origin, Payload, Sensor, SourceReport, Threshold, Value, Vertical},
};

use crate::{Format, ImportError, Job, Kind, Options, Out, Probe};

/// Sensor register and recorded readings as CSV.
pub static FORMAT: Format = Format {
    name: "sensor-table",
    title: "Sensor register (CSV)",
    title_zh: "感知终端台账（CSV）",
    extensions: &["csv", "txt"],
    probe,
    read,
};

/// A register or recording larger than this is refused.
const MAX_BYTES: u64 = 512 << 20;

/// Bytes that the first look reads.
const PROBE_BYTES: u64 = 64 * 1024;

/// Rows above the header that titles and remarks may take.
const MAX_PREFACE: usize = 10;

/// Columns that are looked at.
const MAX_COLUMNS: usize = 512;

/// Standard names of columns, each with the titles it goes by. Titles are compared without case, blanks and units.
const TITLES: &[(&str, &[&str])] = &[
    (
        "id",
        &[
            "编号",
            "设备编号",
            "传感器编号",
            "监测点编号",
            "测点编号",
            "测站编码",
            "站码",
            "终端编号",
            "id",
            "sensorid",
            "sensor",
            "stationid",
            "deviceid",
            "code",
        ],
    ),
    ("name", &["名称", "设备名称", "测点名称", "监测点名称", "站名", "传感器名称", "name", "label", "title"]),
    ("watches", &["监测对象", "关联对象", "所属对象", "对象编号", "watches", "object", "objectid", "asset", "feature"]),
    (
        "property",
        &[
            "监测项",
            "监测指标",
            "监测要素",
            "监测类型",
            "指标",
            "参数",
            "类型",
            "property",
            "observedproperty",
            "parameter",
            "quantity",
            "type",
        ],
    ),
    ("unit", &["单位", "计量单位", "unit", "units", "uom"]),
    ("x", &["x", "x坐标", "坐标x", "横坐标", "纵坐标x", "横坐标x", "localx"]),
    ("y", &["y", "y坐标", "坐标y", "纵坐标", "横坐标y", "纵坐标y", "localy"]),
    ("east", &["东坐标", "e", "east", "easting", "东"]),
    ("north", &["北坐标", "n", "north", "northing", "北"]),
    ("z", &["z", "高程", "z坐标", "标高", "安装高程", "海拔", "elevation", "height", "alt", "altitude"]),
    ("lon", &["经度", "lon", "lng", "long", "longitude"]),
    ("lat", &["纬度", "lat", "latitude"]),
    ("range_low", &["量程下限", "最小量程", "下量程", "rangelow", "rangemin", "min"]),
    ("range_high", &["量程上限", "最大量程", "上量程", "rangehigh", "rangemax", "max"]),
    ("alarm_low", &["报警下限", "告警下限", "低限", "低报警", "下限报警", "alarmlow", "lowalarm", "lowlimit", "low"]),
    (
        "alarm_high",
        &[
            "报警上限",
            "告警上限",
            "高限",
            "高报警",
            "上限报警",
            "报警值",
            "alarmhigh",
            "highalarm",
            "highlimit",
            "high",
        ],
    ),
    ("dead_band", &["回差", "死区", "deadband", "hysteresis"]),
    ("on_delay", &["延时", "报警延时", "ondelay", "delay"]),
    ("priority", &["优先级", "报警级别", "告警级别", "级别", "priority", "severity"]),
    ("interval", &["上报间隔", "采集间隔", "上报周期", "采集周期", "频率", "interval", "period", "intervals"]),
    ("topic", &["主题", "mqtt主题", "topic", "mqtttopic"]),
    ("payload", &["格式", "报文格式", "数据格式", "payload", "format"]),
    ("value_path", &["值路径", "数值路径", "valuepath", "valuepointer"]),
    ("time_path", &["时间路径", "timepath", "timepointer"]),
];

/// Columns that only a register of sensors has: two of them make one.
const TELLING: [&str; 12] = [
    "watches",
    "property",
    "unit",
    "range_low",
    "range_high",
    "alarm_low",
    "alarm_high",
    "dead_band",
    "interval",
    "topic",
    "payload",
    "priority",
];

/// Titles of the time column of a recording.
const TIME_TITLES: [&str; 12] = [
    "时间",
    "采集时间",
    "监测时间",
    "观测时间",
    "上报时间",
    "time",
    "timestamp",
    "datetime",
    "date",
    "t",
    "ts",
    "utctime",
];

/// Titles of the value column of a recording.
const VALUE_TITLES: [&str; 7] = ["数值", "值", "监测值", "读数", "value", "v", "reading"];

/// A table of text with its header found.
struct Table {
    header: Vec<String>,
    /// Number of each row in the file, counted from 1 with the header left out, and its cells.
    rows: Vec<(u64, Vec<String>)>,
    encoding: (String, String),
    warning: Option<String>,
    is_utc: bool,
}

/// What the columns say the file is.
enum Meaning {
    Register(HashMap<&'static str, usize>),
    Long { id: usize, time: usize, value: usize },
    Wide { time: usize },
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let bytes = head_of(path)?;
    let table = tabulate(&bytes, options.encoding.as_deref(), true);
    let Some((table, meaning)) = table.and_then(|t| meaning(&t, &options.map).map(|m| (t, m))) else {
        return Ok(None);
    };
    let mut probe = Probe {
        kind: Kind::Readings,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: false,
        encoding: Some(table.encoding.clone()),
        source_extent: None,
        records: None,
        companions: Vec::new(),
        class: None,
    };
    if let Meaning::Register(columns) = meaning {
        probe.kind = Kind::Sensors;
        probe.class = Some((groundline_engine::model::Class::Sensor, "column titles".into()));
        let axes = Axes::settle(&columns, &table, false);
        if let Some(axes) = &axes {
            probe.needs_crs = true;
            let mut extent = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
            for place in table.rows.iter().filter_map(|(_, row)| axes.place(row).ok().flatten()) {
                extent =
                    [extent[0].min(place.x), extent[1].min(place.y), extent[2].max(place.x), extent[3].max(place.y)];
            }
            probe.source_extent = (extent[0] <= extent[2]).then_some(extent);
        }
    }
    Ok(Some(probe))
}

fn head_of(path: &Path) -> Result<Vec<u8>, ImportError> {
    use std::io::Read;
    let io = |source| ImportError::Io { path: path.into(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(PROBE_BYTES).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 == PROBE_BYTES {
        // A cut row would look like a bad one.
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.truncate(end);
    }
    Ok(bytes)
}

fn whole(path: &Path) -> Result<Vec<u8>, ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_BYTES {
        let reason = format!("{size} bytes are more than a table of sensors or readings may have ({MAX_BYTES})");
        return Err(ImportError::Bad { path: path.into(), place: "file".into(), reason });
    }
    std::fs::read(path).map_err(io)
}

/// Cuts a text into cells and finds the header: the first row with a known title in the first rows.
fn tabulate(bytes: &[u8], encoding: Option<&str>, is_head: bool) -> Option<Table> {
    if bytes.is_empty() || bytes.iter().take(4096).any(|b| *b == 0) {
        return None;
    }
    let (text, found) = crate::encoding::decode(bytes, encoding);
    let sample = text.lines().take(40);
    let count = |mark: char| sample.clone().map(|line| line.matches(mark).count()).max().unwrap_or(0);
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|mark| count(*mark)).filter(|mark| count(*mark) > 0)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter as u8)
        .from_reader(text.as_bytes());
    let mut header: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    let mut is_utc = false;
    let mut preface = 0;
    for record in reader.records() {
        let Ok(record) = record else { continue };
        let cells: Vec<String> = record.iter().take(MAX_COLUMNS).map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().all(String::is_empty) {
            continue;
        }
        if cells[0].starts_with('#') {
            is_utc |= cells[0].to_ascii_uppercase().contains("UTC");
            continue;
        }
        if header.is_none() {
            let known = cells.iter().filter(|cell| is_title(cell)).count();
            if known >= 1 && cells.len() >= 2 {
                header = Some(cells);
            } else {
                preface += 1;
                if preface > MAX_PREFACE {
                    return None;
                }
            }
            continue;
        }
        rows.push((rows.len() as u64 + 1, cells));
        if is_head && rows.len() >= 1000 {
            break;
        }
    }
    let encoding = (found.label.clone(), found.from.clone());
    Some(Table { header: header?, rows, encoding, warning: found.warning, is_utc })
}

/// A title without case, blanks, underscores and what stands in brackets.
fn plain(title: &str) -> String {
    let title = title.split(['(', '（', '[', '/']).next().unwrap_or("");
    title.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

fn is_title(cell: &str) -> bool {
    let plain = plain(cell);
    TIME_TITLES.contains(&plain.as_str())
        || VALUE_TITLES.contains(&plain.as_str())
        || TITLES.iter().any(|(_, titles)| titles.contains(&plain.as_str()))
}

fn meaning(table: &Table, map: &[(String, String)]) -> Option<Meaning> {
    let titles: Vec<String> = table.header.iter().map(|title| plain(title)).collect();
    let find = |wanted: &[&str]| wanted.iter().find_map(|want| titles.iter().position(|title| title == want));
    let mut columns: HashMap<&'static str, usize> = HashMap::new();
    for (standard, wanted) in TITLES {
        let mapped = map.iter().find(|(key, _)| key == standard).map(|(_, field)| field);
        let at = match mapped {
            Some(field) => table.header.iter().position(|title| title == field),
            None => find(wanted),
        };
        if let Some(at) = at {
            columns.insert(standard, at);
        }
    }
    let (time, value) = (find(&TIME_TITLES), find(&VALUE_TITLES));
    if let (Some(time), Some(value)) = (time, value) {
        return Some(match columns.get("id").or(columns.get("name")) {
            Some(&id) if id != time && id != value => Meaning::Long { id, time, value },
            _ => Meaning::Wide { time },
        });
    }
    let telling = TELLING.iter().filter(|name| columns.contains_key(*name)).count();
    if columns.contains_key("id") && telling >= 2 {
        return Some(Meaning::Register(columns));
    }
    // A time and numbers beside it: one column a sensor.
    let time = time?;
    let is_number = |row: &[String]| {
        row.iter().enumerate().all(|(at, cell)| at == time || cell.is_empty() || cell.parse::<f64>().is_ok())
    };
    let seen = table.rows.iter().take(50);
    let is_series = seen.clone().count() > 0
        && seen.clone().all(|(_, row)| row.get(time).is_some_and(|cell| parse_time(cell, 0).is_some()))
        && seen.filter(|(_, row)| is_number(row)).count() * 2 > table.rows.len().min(50);
    is_series.then_some(Meaning::Wide { time })
}

/// Which columns hold the place and which way they run.
struct Axes {
    east: usize,
    north: usize,
    z: Option<usize>,
    /// Taken off eastings that carry the number of their zone.
    zone_m: f64,
    warnings: Vec<(&'static str, String)>,
}

impl Axes {
    /// By magnitude, since X is north in survey tables and east elsewhere (7-digit northings tell them apart);
    /// titles decide where numbers cannot.
    fn settle(columns: &HashMap<&'static str, usize>, table: &Table, is_geographic: bool) -> Option<Self> {
        let pair = |a: &str, b: &str| Some((*columns.get(a)?, *columns.get(b)?));
        let degrees = pair("lon", "lat");
        let plane = pair("east", "north").or_else(|| pair("x", "y"));
        let z = columns.get("z").copied();
        let (mut east, mut north) = if is_geographic { degrees.or(plane)? } else { plane.or(degrees)? };
        let mut axes = Self { east, north, z, zone_m: 0.0, warnings: Vec::new() };
        let middle = |column: usize| {
            let mut values: Vec<f64> = table.rows.iter().filter_map(|(_, row)| row.get(column)?.parse().ok()).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let (first, second) = (middle(east), middle(north));
        let is_north = |v: f64| (1e6..1e7).contains(&v);
        let is_east = |v: f64| (1e5..1e6).contains(&v) || v >= 1e7;
        let is_swapped_plane = is_north(first) && is_east(second);
        let is_swapped_degrees = first.abs() <= 54.0 && (72.0..=137.0).contains(&second);
        if is_swapped_plane || is_swapped_degrees {
            (east, north) = (north, east);
            let title = |column: usize| table.header[column].as_str();
            let is_titled = columns.get("x").is_none_or(|x| *x != north);
            let code = if is_titled { "axes_contradict_titles" } else { "axes_swapped" };
            let message =
                format!("{} is taken as north and {} as east, by the size of the numbers", title(north), title(east));
            axes.warnings.push((code, message));
        }
        (axes.east, axes.north) = (east, north);
        Some(axes)
    }

    /// The place in a row: `Ok(None)` when a coordinate is not given.
    fn place(&self, row: &[String]) -> Result<Option<DVec3>, usize> {
        let number = |column: usize| match row.get(column).map(|cell| cell.trim()) {
            None | Some("") => Ok(None),
            Some(text) => text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Some).ok_or(column),
        };
        let (Some(x), Some(y)) = (number(self.east)?, number(self.north)?) else { return Ok(None) };
        let z = self.z.map_or(Ok(None), number)?;
        Ok(Some(DVec3::new(x - self.zone_m, y, z.unwrap_or(0.0))))
    }

    fn has_height(&self, row: &[String]) -> bool {
        self.z.and_then(|z| row.get(z)).is_some_and(|cell| !cell.is_empty())
    }
}

fn bad(path: &Path, reason: &str) -> ImportError {
    ImportError::Bad { path: path.into(), place: "header".into(), reason: reason.into() }
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let bytes = whole(job.path)?;
    let table = tabulate(&bytes, job.options.encoding.as_deref(), false)
        .ok_or_else(|| bad(job.path, "no header with known titles"))?;
    let Some(Meaning::Register(columns)) = meaning(&table, &job.options.map) else {
        return Err(bad(
            job.path,
            "this is no register of sensors: it needs a column 编号/id and others such as 监测项/property",
        ));
    };
    if let Some(warning) = &table.warning {
        report.warn("encoding", warning.clone(), "");
    }
    let mut axes = Axes::settle(&columns, &table, job.crs.is_geographic);
    if let Some(axes) = &mut axes {
        for (code, message) in std::mem::take(&mut axes.warnings) {
            report.warn(code, message, "header");
        }
        settle_zone(axes, &table, job, report);
        if !job.crs.is_geographic && is_degrees(axes, &table) {
            let message = format!("the places are degrees, but {} is not: the sensors are unplaced", job.crs.label());
            report.warn("degrees_in_projected", message, "header");
        }
    } else {
        report.warn("no_place", "no columns for a place: the sensors are listed, not drawn", "header");
    }
    let is_unusable = axes.as_ref().is_some_and(|axes| !job.crs.is_geographic && is_degrees(axes, &table));
    let register = Register { job, table: &table, columns: &columns, shared_ids: HashSet::new() };
    let register = Register { shared_ids: register.find_shared_ids(), ..register };
    let mut seen = HashSet::new();
    let total = table.rows.len().max(1);
    for (at, (record, row)) in table.rows.iter().enumerate() {
        let place = match axes.as_ref().filter(|_| !is_unusable).map_or(Ok(None), |axes| axes.place(row)) {
            Ok(place) => place,
            Err(column) => {
                report.skip(*record, register.not_a_number(column, row));
                continue;
            }
        };
        let mut sensor = match register.sensor(row) {
            Ok(sensor) => sensor,
            Err(reason) => {
                report.skip(*record, reason);
                continue;
            }
        };
        if !seen.insert(sensor.id.clone()) {
            report.skip(*record, format!("{} is in the table already", sensor.id));
            continue;
        }
        match place.map(|place| job.city_from_source.point(place)) {
            Some(Some(place)) => {
                sensor.place = Some(place);
                if !axes.as_ref().is_some_and(|axes| axes.has_height(row)) {
                    sensor.vertical = Vertical::AboveTerrain;
                    report.warn("height_missing", "no height: set on the ground", format!("record {record}"));
                }
            }
            Some(None) => {
                let message = "the place lies outside the coordinate system's area: listed, not drawn";
                report.warn("place_outside", message, format!("record {record}"));
            }
            None if axes.is_some() && !is_unusable => {
                report.warn("place_missing", "no place: listed, not drawn", format!("record {record}"));
            }
            None => {}
        }
        let mut object = register.object(&sensor, row, report, *record);
        object.record = *record;
        report.extent.merge(&object.geometry.extent());
        report.objects += 1;
        out.emit(object)?;
        if at % 1024 == 0 {
            out.progress(at as f32 / total as f32);
        }
    }
    out.progress(1.0);
    Ok(())
}

fn is_degrees(axes: &Axes, table: &Table) -> bool {
    let mut places = table.rows.iter().filter_map(|(_, row)| axes.place(row).ok().flatten()).peekable();
    places.peek().is_some() && places.all(|p| (72.0..=180.0).contains(&p.x.abs()) && p.y.abs() <= 90.0 && p.y != 0.0)
}

/// Eastings of 10⁷ and more carry the number of their zone in front (GB 50026); a system without it in its false
/// easting needs it taken off.
fn settle_zone(axes: &mut Axes, table: &Table, job: &Job<'_>, report: &mut SourceReport) {
    let first = table.rows.iter().find_map(|(_, row)| axes.place(row).ok().flatten());
    let Some(easting) = first.map(|place| place.x).filter(|x| *x >= 1e7 && *x < 1e8) else { return };
    if job.crs.proj4.contains("+x_0=500000 ") || job.crs.proj4.ends_with("+x_0=500000") {
        let zone = (easting / 1e6).floor();
        axes.zone_m = zone * 1e6;
        let message = format!("eastings carry zone {zone}, which {} has not: taken off", job.crs.label());
        report.warn("zone_prefix", message, "header");
    }
}

/// Rows to sensors.
struct Register<'a> {
    job: &'a Job<'a>,
    table: &'a Table,
    columns: &'a HashMap<&'static str, usize>,
    /// Ids of stations that measure several things, one a row.
    shared_ids: HashSet<String>,
}

impl Register<'_> {
    /// Ids that stand in several rows, each with a property of its own: these are stations, and their sensors are told
    /// apart by the property.
    fn find_shared_ids(&self) -> HashSet<String> {
        let mut properties: HashMap<&str, Vec<&str>> = HashMap::new();
        for (_, row) in &self.table.rows {
            if let (Some(id), Some(property)) = (self.text(row, "id"), self.text(row, "property")) {
                properties.entry(id).or_default().push(property);
            }
        }
        let is_shared = |all: &mut Vec<&str>| {
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            count > 1 && all.len() == count
        };
        properties.into_iter().filter_map(|(id, mut all)| is_shared(&mut all).then(|| id.to_owned())).collect()
    }

    fn text<'r>(&self, row: &'r [String], name: &str) -> Option<&'r str> {
        self.columns
            .get(name)
            .and_then(|at| row.get(*at))
            .map(|cell| cell.trim())
            .filter(|cell| !cell.is_empty() && !matches!(*cell, "-" | "—" | "/" | "无" | "NULL" | "null" | "None"))
    }

    fn not_a_number(&self, column: usize, row: &[String]) -> String {
        let title = self.table.header.get(column).map_or("?", String::as_str);
        format!("column {title}: {:?} is not a number", row.get(column).map_or("", String::as_str))
    }

    fn number(&self, row: &[String], name: &str) -> Result<Option<f64>, String> {
        let Some(text) = self.text(row, name) else { return Ok(None) };
        let number = text.parse::<f64>().ok().filter(|v| v.is_finite() && v.abs() < 1e15);
        number.map(Some).ok_or_else(|| self.not_a_number(self.columns[name], row))
    }

    fn sensor(&self, row: &[String]) -> Result<Sensor, String> {
        let id = self.text(row, "id").ok_or("no id")?;
        let key = match self.text(row, "property").filter(|_| self.shared_ids.contains(id)) {
            Some(property) => &format!("{id}.{property}"),
            None => id,
        };
        let (low, high) = (self.number(row, "alarm_low")?, self.number(row, "alarm_high")?);
        if let (Some(low), Some(high)) = (low, high)
            && low >= high
        {
            return Err(format!("alarm limits: low {low} is not below high {high}"));
        }
        let (dead_band, on_delay_s) = (self.number(row, "dead_band")?, self.number(row, "on_delay")?);
        let priority = self.text(row, "priority").map_or(Ok(3), priority)?;
        let threshold = (low.is_some() || high.is_some()).then(|| Threshold {
            low,
            high,
            dead_band: dead_band.unwrap_or(0.0).max(0.0),
            priority,
            on_delay_s: on_delay_s.unwrap_or(0.0).max(0.0),
        });
        let range = self.number(row, "range_low")?.zip(self.number(row, "range_high")?);
        if let Some((low, high)) = range
            && low >= high
        {
            return Err(format!("range: low {low} is not below high {high}"));
        }
        let interval_s = self.number(row, "interval")?;
        if let Some(interval_s) = interval_s
            && interval_s <= 0.0
        {
            return Err(format!("interval of {interval_s} s"));
        }
        let payload = payload(self.text(row, "payload"), self.text(row, "value_path"), self.text(row, "time_path"))?;
        Ok(Sensor {
            id: ObjectId::new(self.job.layer, key),
            name: self.text(row, "name").unwrap_or_default().to_owned(),
            watches: self.text(row, "watches").map(|id| ObjectId(id.to_owned())),
            property: self.text(row, "property").unwrap_or_default().to_owned(),
            unit: self.text(row, "unit").unwrap_or_default().to_owned(),
            place: None,
            vertical: Vertical::Absolute,
            range,
            interval_s: interval_s.unwrap_or(60.0),
            threshold,
            topic: self.text(row, "topic").unwrap_or(key).to_owned(),
            payload,
        })
    }

    /// The sensor as an object, each attribute with the column it came from; columns nobody knows come along as read.
    fn object(
        &self,
        sensor: &Sensor,
        row: &[String],
        report: &mut SourceReport,
        record: u64,
    ) -> groundline_engine::model::CityObject {
        let mut object = sensor.to_object();
        if let Some(stage) = self.job.options.stage {
            object.stage = stage;
        }
        for attribute in &mut object.attributes {
            let name = match &*attribute.key {
                "alarm_dead_band" => "dead_band",
                "alarm_on_delay_s" => "on_delay",
                "alarm_priority" => "priority",
                "interval_s" => "interval",
                "payload_value" => "value_path",
                "payload_time" => "time_path",
                key => key,
            };
            let field = self.text(row, name).and_then(|_| self.columns.get(name)).map(|at| &self.table.header[*at]);
            match (field, name) {
                (Some(field), _) => attribute.field = field.as_str().into(),
                (None, "value_path" | "time_path") => {
                    let field = self.columns.get("payload").map_or("", |at| &self.table.header[*at]);
                    attribute.field = field.into();
                }
                (None, _) => attribute.origin = Origin::Defaulted("not given in the table".into()),
            }
        }
        if self.text(row, "interval").is_none() {
            report.warn("interval_missing", "no interval: 60 s assumed", format!("record {record}"));
        }
        if self.text(row, "topic").is_none() {
            report.warn("topic_missing", "no topic: the id is used", format!("record {record}"));
        }
        let known: HashSet<usize> = self.columns.values().copied().collect();
        for (at, title) in
            self.table.header.iter().enumerate().filter(|(at, title)| !known.contains(at) && !title.is_empty())
        {
            if let Some(cell) = row.get(at).filter(|cell| !cell.is_empty()) {
                let field: Arc<str> = title.as_str().into();
                object.attributes.push(Attribute::read(&field, Value::Text(cell.clone())));
            }
        }
        object
    }
}

/// 1 (highest) to 4, or in words.
fn priority(text: &str) -> Result<u8, String> {
    match text.trim_end_matches('级').to_lowercase().as_str() {
        "1" | "一" | "高" | "high" | "红" | "红色" => Ok(1),
        "2" | "二" | "中" | "medium" | "橙" | "橙色" => Ok(2),
        "3" | "三" | "低" | "low" | "黄" | "黄色" => Ok(3),
        "4" | "四" | "提示" | "journal" | "蓝" | "蓝色" => Ok(4),
        _ => Err(format!("priority {text:?} is none of 1 to 4, 高, 中, 低")),
    }
}

/// `plain`; `json` (the value at `/value`); `json:/v`, `/v`, each with `,/t` or `;/t` for the time behind.
fn payload(text: Option<&str>, value: Option<&str>, time: Option<&str>) -> Result<Payload, String> {
    let text = text.unwrap_or(if value.is_some() { "json" } else { "plain" });
    let lower = text.to_lowercase();
    if matches!(lower.as_str(), "plain" | "text" | "number" | "raw" | "文本" | "数值" | "纯文本") {
        return Ok(Payload::Plain);
    }
    let pointers = if lower.starts_with("json") { text[4..].trim_start_matches([':', '：', ' ']) } else { text };
    if !(pointers.is_empty() || pointers.starts_with('/')) {
        return Err(format!("payload {text:?} is neither plain nor a JSON pointer such as /v"));
    }
    let mut parts = pointers.split([',', ';', ' ', '|']).map(str::trim).filter(|part| !part.is_empty());
    let value = value.or(parts.next()).unwrap_or("/value").to_owned();
    let time = time.or(parts.next()).map(str::to_owned);
    Ok(Payload::Json { value, time })
}

/// A recording read from a table, with what was left out.
#[derive(Debug)]
pub struct RecordingRead {
    /// The recording, by the names that the table gives its sensors.
    pub recording: Recording,
    /// What was read and skipped; `objects` counts the readings.
    pub report: SourceReport,
}

/// Reads recorded readings: rows of sensor, time and value, or one column a sensor beside a time column. A table with a
/// single value column and no sensor is named after its file. `offset_s` is the zone of times that name none, in seconds
/// east of UTC (China: 28800); a remark `#UTCTIME` above the table sets it to 0.
pub fn read_recording(path: &Path, encoding: Option<&str>, offset_s: i32) -> Result<RecordingRead, ImportError> {
    let table = tabulate(&whole(path)?, encoding, false).ok_or_else(|| bad(path, "no header with known titles"))?;
    let mut report = SourceReport {
        path: path.display().to_string(),
        format: "readings".into(),
        encoding: Some(table.encoding.0.clone()),
        encoding_from: table.encoding.1.clone(),
        ..SourceReport::default()
    };
    let offset_s = if table.is_utc { 0 } else { offset_s };
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let mut samples = Vec::new();
    let (time_at, series) = match meaning(&table, &[]) {
        Some(Meaning::Long { time, .. } | Meaning::Wide { time }) if table.rows.is_empty() => (time, Vec::new()),
        Some(Meaning::Long { id, time, value }) => (time, vec![(Name::Column(id), value)]),
        Some(Meaning::Wide { time }) => {
            let others: Vec<usize> = (0..table.header.len()).filter(|at| *at != time).collect();
            let name = |at: usize| match others.len() {
                1 if VALUE_TITLES.contains(&plain(&table.header[at]).as_str()) => stem.clone(),
                _ => table.header[at].clone(),
            };
            (time, others.iter().map(|at| (Name::Given(name(*at)), *at)).collect())
        }
        _ => return Err(bad(path, "no recorded readings: a column 时间/time and one 数值/value are needed")),
    };
    for (record, row) in &table.rows {
        let cell = |at: usize| row.get(at).map_or("", String::as_str);
        let Some(time_ms) = parse_time(cell(time_at), offset_s) else {
            report.skip(*record, format!("column {}: {:?} is no time", table.header[time_at], cell(time_at)));
            continue;
        };
        for (name, at) in &series {
            let text = cell(*at);
            let name = match name {
                Name::Column(id) => cell(*id),
                Name::Given(name) => name.as_str(),
            };
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() && !name.is_empty() => {
                    report.objects += 1;
                    samples.push((name.to_owned(), time_ms, value));
                }
                _ if text.is_empty() => {}
                Ok(_) if name.is_empty() => report.skip(*record, "no sensor"),
                _ => report.skip(*record, format!("column {}: {text:?} is not a number", table.header[*at])),
            }
        }
    }
    Ok(RecordingRead { recording: Recording::new(samples), report })
}

/// Where a series has its sensor's name from.
enum Name {
    Column(usize),
    Given(String),
}

#[cfg(test)]
mod tests;
