//! Sensor registers (感知终端台账) and recorded readings (历史读数) as CSV.
//!
//! A register has one sensor a row; its columns are found by their Chinese or English titles. Recorded readings are
//! recognised so that they can be replayed ([`read_recording`]); they are not imported.

mod axes;
mod header;
mod recording;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use groundline_engine::model::{
    Attribute, ObjectId, Origin, Payload, Sensor, SourceReport, Threshold, Value, Vertical,
};

pub use self::recording::{RecordingRead, read_recording};

use self::{
    axes::{Axes, is_degrees, settle_zone},
    header::{Meaning, Table, head_of, meaning, tabulate, whole},
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
    memory_per_byte: 4.0,
};

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

/// Whether a column of this title holds times, as in recorded readings.
pub(crate) fn is_time_title(title: &str) -> bool {
    header::TIME_TITLES.contains(&header::plain(title).as_str())
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
        let rate_per_min = self.number(row, "alarm_rate")?;
        if let Some(rate) = rate_per_min.filter(|rate| *rate <= 0.0) {
            return Err(format!("alarm limit: a change of {rate} a minute is passed by everything"));
        }
        let off_delay_s = self.number(row, "off_delay")?;
        let threshold = (low.is_some() || high.is_some() || rate_per_min.is_some()).then(|| Threshold {
            low,
            high,
            dead_band: dead_band.unwrap_or(0.0).max(0.0),
            priority,
            on_delay_s: on_delay_s.unwrap_or(0.0).max(0.0),
            rate_per_min,
            off_delay_s: off_delay_s.unwrap_or(0.0).max(0.0),
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
                "alarm_off_delay_s" => "off_delay",
                "alarm_rate_per_min" => "alarm_rate",
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

/// As the register says it in one column, or in columns of their own for the pointers.
fn payload(text: Option<&str>, value: Option<&str>, time: Option<&str>) -> Result<Payload, String> {
    let read = Payload::parse(text.unwrap_or(if value.is_some() { "json" } else { "plain" }))?;
    Ok(match read {
        Payload::Json { value: own, time: of_own } => {
            Payload::Json { value: value.map_or(own, str::to_owned), time: time.map(str::to_owned).or(of_own) }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests;
