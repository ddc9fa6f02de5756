//! Titles of columns: which row is the header, and what the table is.

use std::{collections::HashMap, path::Path};

use groundline_engine::live::payload::parse_time;

use crate::ImportError;

/// A register or recording larger than this is refused.
pub(super) const MAX_BYTES: u64 = 512 << 20;

/// Bytes that the first look reads.
pub(super) const PROBE_BYTES: u64 = 64 * 1024;

/// Rows above the header that titles and remarks may take.
pub(super) const MAX_PREFACE: usize = 10;

/// Columns that are looked at.
pub(super) const MAX_COLUMNS: usize = 512;

/// Standard names of columns, each with the titles it goes by. Titles are compared without case, blanks and units.
pub(super) const TITLES: &[(&str, &[&str])] = &[
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
    ("alarm_rate", &["变化率报警", "变化率上限", "每分钟变化", "alarmrate", "ratelimit", "maxrate"]),
    ("on_delay", &["延时", "报警延时", "ondelay", "delay"]),
    ("off_delay", &["恢复延时", "消警延时", "offdelay"]),
    ("priority", &["优先级", "报警级别", "告警级别", "级别", "priority", "severity"]),
    ("interval", &["上报间隔", "采集间隔", "上报周期", "采集周期", "频率", "interval", "period", "intervals"]),
    ("topic", &["主题", "mqtt主题", "topic", "mqtttopic"]),
    ("payload", &["格式", "报文格式", "数据格式", "payload", "format"]),
    ("value_path", &["值路径", "数值路径", "valuepath", "valuepointer"]),
    ("time_path", &["时间路径", "timepath", "timepointer"]),
];

/// Columns that only a register of sensors has: two of them make one.
pub(super) const TELLING: [&str; 12] = [
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
pub(super) const TIME_TITLES: [&str; 12] = [
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
pub(super) const VALUE_TITLES: [&str; 7] = ["数值", "值", "监测值", "读数", "value", "v", "reading"];

/// A table of text with its header found.
pub(super) struct Table {
    pub header: Vec<String>,
    /// Number of each row in the file, counted from 1 with the header left out, and its cells.
    pub rows: Vec<(u64, Vec<String>)>,
    pub encoding: (String, String),
    pub warning: Option<String>,
    pub is_utc: bool,
}

/// What the columns say the file is.
pub(super) enum Meaning {
    Register(HashMap<&'static str, usize>),
    Long { id: usize, time: usize, value: usize },
    Wide { time: usize },
}

pub(super) fn head_of(path: &Path) -> Result<Vec<u8>, ImportError> {
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

pub(super) fn whole(path: &Path) -> Result<Vec<u8>, ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_BYTES {
        let reason = format!("{size} bytes are more than a table of sensors or readings may have ({MAX_BYTES})");
        return Err(ImportError::Bad { path: path.into(), place: "file".into(), reason });
    }
    std::fs::read(path).map_err(io)
}

/// Cuts a text into cells and finds the header: the first row with a known title in the first rows.
pub(super) fn tabulate(bytes: &[u8], encoding: Option<&str>, is_head: bool) -> Option<Table> {
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
pub(super) fn plain(title: &str) -> String {
    let title = title.split(['(', '（', '[', '/']).next().unwrap_or("");
    title.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

pub(super) fn is_title(cell: &str) -> bool {
    let plain = plain(cell);
    TIME_TITLES.contains(&plain.as_str())
        || VALUE_TITLES.contains(&plain.as_str())
        || TITLES.iter().any(|(_, titles)| titles.contains(&plain.as_str()))
}

pub(super) fn meaning(table: &Table, map: &[(String, String)]) -> Option<Meaning> {
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
