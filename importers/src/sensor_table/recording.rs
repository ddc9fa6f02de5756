//! Recorded readings (历史读数) for a replay.

use std::path::Path;

use groundline_engine::{
    live::{Recording, payload::parse_time},
    model::SourceReport,
};

use super::{
    bad,
    header::{Meaning, VALUE_TITLES, meaning, plain, tabulate, whole},
};
use crate::ImportError;

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
