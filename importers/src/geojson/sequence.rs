//! GeoJSON text sequences (RFC 8142): one GeoJSON text after another, each begun by a record separator or, as most
//! programs write them, each on a line of its own.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use groundline_engine::model::SourceReport;
use serde_json::Value as Json;

use super::{FEATURES_A_STEP, HEAD_BYTES, crs_text, encoding_hint, feature, io_error, refuse_impossible_degrees};
use crate::{
    feature::{Look, Maker, Names, has_swapped_axes},
    format::{Format, ImportError, Job, Options, Out, Probe},
};

/// The importer of GeoJSON text sequences.
pub static FORMAT: Format = Format {
    name: "geojsonseq",
    title: "GeoJSON text sequence (points, lines, polygons)",
    title_zh: "GeoJSON 文本序列",
    extensions: &["geojsons", "geojsonl", "geojsonseq", "ndgeojson", "ndjson", "jsonl", "geojson", "json"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// RFC 7464's record separator.
const SEPARATOR: u8 = 0x1E;
/// A record of more bytes than this is not read: no single thing of a city is that large.
const MAX_RECORD_BYTES: usize = 64 << 20;

/// One record: its bytes, or the reason why it is not read.
struct Record {
    /// Byte that it begins at.
    at: u64,
    text: Result<Vec<u8>, String>,
}

/// The records of a text, one in memory at a time.
struct Records<R> {
    source: R,
    at: u64,
    end: u8,
    /// Whether the last record read ended as a record should.
    is_ended: bool,
}

impl<R: BufRead> Records<R> {
    fn new(mut source: R) -> io::Result<Self> {
        let mut at = 0;
        if source.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
            source.consume(3);
            at = 3;
        }
        let end = if source.fill_buf()?.first() == Some(&SEPARATOR) { SEPARATOR } else { b'\n' };
        Ok(Self { source, at, end, is_ended: true })
    }

    /// The next record that is not empty.
    fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let at = self.at;
            let mut bytes = Vec::new();
            let limited = &mut self.source.by_ref().take(MAX_RECORD_BYTES as u64 + 1);
            let count = limited.read_until(self.end, &mut bytes)?;
            self.at += count as u64;
            if count == 0 {
                return Ok(None);
            }
            self.is_ended = match self.end {
                // The next separator or the last line break ends a record.
                SEPARATOR => matches!(bytes.last(), Some(&SEPARATOR | b'\n')),
                _ => bytes.last() == Some(&b'\n'),
            };
            if count > MAX_RECORD_BYTES {
                self.pass_over()?;
                let reason = format!("a record of more than {} MiB", MAX_RECORD_BYTES >> 20);
                return Ok(Some(Record { at, text: Err(reason) }));
            }
            if bytes.last() == Some(&self.end) {
                bytes.pop();
            }
            if bytes.iter().any(|b| !b.is_ascii_whitespace()) {
                return Ok(Some(Record { at, text: Ok(bytes) }));
            }
        }
    }

    /// Skips the rest of a record that is too long.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.source.fill_buf()?;
            let found = buffer.iter().position(|b| *b == self.end);
            let count = found.map_or(buffer.len(), |i| i + 1);
            self.source.consume(count);
            self.at += count as u64;
            if found.is_some() || count == 0 {
                return Ok(());
            }
        }
    }
}

/// The GeoJSON text of a record; the error is the reason to skip it.
fn parsed(text: &[u8]) -> Result<Json, String> {
    if std::str::from_utf8(text).is_err() {
        return Err(encoding_hint(text));
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

fn is_geojson(json: &Json) -> bool {
    json.get("type").and_then(Json::as_str).is_some_and(super::is_geojson)
}

/// The features of a GeoJSON text: those of a collection one by one.
fn features(json: Json) -> Vec<Json> {
    match json {
        Json::Object(mut object) if object.get("type").and_then(Json::as_str) == Some("FeatureCollection") => {
            match object.remove("features") {
                Some(Json::Array(features)) => features,
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let file = File::open(path).map_err(io_error(path))?.take(HEAD_BYTES);
    let mut records = Records::new(BufReader::new(file)).map_err(io_error(path))?;
    let is_separated = records.end == SEPARATOR;
    let mut look = Look::default();
    let mut crs = None;
    let mut count = 0;
    while let Some(record) = records.next().map_err(io_error(path))? {
        let json = match record.text.and_then(|text| parsed(&text)) {
            Ok(json) => json,
            // A text over several lines is GeoJSON itself; a record cut by the end of this look tells nothing.
            Err(_) if count == 0 && !is_separated => return Ok(None),
            Err(_) => continue,
        };
        if count == 0 && !is_geojson(&json) {
            return Ok(None);
        }
        count += 1;
        crs = crs.or_else(|| json.get("crs").and_then(crs_text));
        for json in features(json) {
            if let Ok(feature) = feature(count, json, &mut Names::default()) {
                look.take(feature, has_swapped_axes(&options.map));
            }
        }
    }
    // One text alone may as well be GeoJSON, which knows more of what is around the features.
    let may_be_whole = matches!(ending.as_str(), "json" | "geojson");
    match count {
        0 => Ok(None),
        1 if may_be_whole && !is_separated => Ok(None),
        _ => super::settled(path, crs, look).map(Some),
    }
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let file = File::open(job.path).map_err(io_error(job.path))?;
    let length = file.metadata().map_err(io_error(job.path))?.len();
    let source = BufReader::with_capacity(256 * 1024, file);
    let mut records = Records::new(source).map_err(io_error(job.path))?;
    let mut maker = Maker::new(job);
    if let Some(extent) = job.probe.source_extent.filter(|_| !has_swapped_axes(&job.options.map)) {
        refuse_impossible_degrees(job, extent)?;
    }
    let (mut number, mut good, mut names) = (0, 0_u64, Names::default());
    while let Some(Record { at, text }) = records.next().map_err(io_error(job.path))? {
        let json = text.and_then(|text| parsed(&text)).and_then(|json| match is_geojson(&json) {
            true => Ok(json),
            false => Err("it is no GeoJSON object".into()),
        });
        match json {
            Ok(json) => {
                if let Some(text) = json.get("crs").and_then(crs_text).filter(|_| job.options.crs.is_none()) {
                    refuse_other_crs(job, &text, at)?;
                }
                for json in features(json) {
                    number += 1;
                    match feature(number, json, &mut names) {
                        Ok(feature) => maker.take(feature, out, report)?,
                        Err(reason) => report.skip(number, format!("byte {at}: {reason}")),
                    }
                    good += 1;
                }
            }
            Err(reason) => {
                number += 1;
                report.skip(number, format!("byte {at}: {reason}"));
            }
        }
        if number.is_multiple_of(FEATURES_A_STEP) {
            out.progress((at as f64 / length.max(1) as f64).min(1.0) as f32);
        }
    }
    if !records.is_ended {
        let message = "the last record does not end in a line break: the file may be cut off";
        report.warn("unended_record", message, format!("byte {length}"));
    }
    maker.finish(out, report)?;
    match good {
        0 if number > 0 => {
            let reason = report.skips.last().map(|skip| skip.reason.clone()).unwrap_or_default();
            Err(ImportError::Bad { path: job.path.into(), place: "record 1".into(), reason })
        }
        _ => Ok(()),
    }
}

/// A record may name a system of its own (as in 2008); one that the rest is not read in cannot be mixed in.
fn refuse_other_crs(job: &Job<'_>, text: &str, at: u64) -> Result<(), ImportError> {
    match groundline_engine::crs::Crs::parse(text).is_ok_and(|crs| crs.label() == job.crs.label()) {
        true => Ok(()),
        false => Err(ImportError::Bad {
            path: job.path.into(),
            place: format!("byte {at}"),
            reason: format!("its crs member says {text}, but it was read as {}; give --crs {text}", job.crs.label()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::trial::{self, Trial};

    fn line(i: u32) -> String {
        let (x, y) = (120.1 + f64::from(i) * 0.001, 36.1);
        format!(
            r#"{{"type":"Feature","id":"b{i}","properties":{{"名称":"楼{i}","height":{}.5}},"geometry":{{"type":"Polygon","coordinates":[[[{x},{y}],[{},{y}],[{},{}],[{x},{y}]]]}}}}"#,
            10 + i,
            x + 0.0005,
            x + 0.0005,
            y + 0.0004
        )
    }

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn trial(name: &str, text: &str) -> Trial {
        let (_folder, path) = file(name, text);
        Trial::of(&FORMAT, &path, &Options::default(), 4549)
    }

    #[test]
    fn lines_and_separated_records_give_the_same_objects() {
        let lines: String = (0..5).map(|i| line(i) + "\n").collect();
        let separated: String = (0..5).map(|i| format!("\u{1e}{}\n", line(i).replace(",\"p", ",\n\"p"))).collect();
        let (lines, separated) = (trial("a.geojsonl", &lines), trial("a.geojsons", &separated));
        assert_eq!(lines.objects.len(), 5);
        assert_eq!(lines.objects, separated.objects);
        assert_eq!(lines.objects[4].id.as_str(), "t/b4");
        assert_eq!(lines.probe.unwrap().class.unwrap().0.word(), "building");
        for report in [lines.report, separated.report] {
            assert_eq!((report.skipped, report.warnings.len()), (0, 0), "{:?}", report.warnings);
        }
    }

    #[test]
    fn a_json_file_is_a_sequence_only_when_it_is_one() {
        let two = format!("{}\n{}\n", line(0), line(1));
        assert_eq!(trial("a.json", &two).objects.len(), 2);
        let collection = format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, line(0));
        for text in [
            line(0),
            collection.clone(),
            "{\n\"type\": \"FeatureCollection\",\n\"features\": []}".into(),
            "{\"type\":\"CityJSON\"}\n{\"type\":\"CityJSONFeature\"}\n".into(),
            String::new(),
        ] {
            assert!(trial("a.json", &text).probe.is_none(), "{text}");
        }
        assert_eq!(
            trial("a.geojsonl", &format!("{collection}\n{two}")).objects.len(),
            3,
            "collections are taken apart"
        );
    }

    #[test]
    fn a_bad_record_costs_itself_only() {
        let text = format!("{}\n{{\"type\":\n\n[1]\n{}\n", line(0), line(1));
        let trial = trial("a.geojsonl", &text);
        assert!(trial.outcome.is_ok());
        assert_eq!((trial.objects.len(), trial.report.skipped), (2, 2));
        assert!(trial.report.skips[0].reason.starts_with("byte "), "{:?}", trial.report.skips);
    }

    /// A piece taken out from the middle of one record to the same place of a later one leaves one whole record of
    /// two halves. No line lacks anything, and a sequence says nowhere how many records it has.
    const UNNOTICED: &[&str] = &["b.geojsonl, bytes 721 to 1510 missing: 8 objects instead of 12"];

    #[test]
    fn no_damage_makes_it_panic_hang_or_miscount_silently() {
        let lines: String = (0..12).map(|i| line(i) + "\n").collect();
        let separated: String = (0..12).map(|i| format!("\u{1e}{}\n", line(i))).collect();
        let mut all = Vec::new();
        for (name, text) in [("b.geojsonl", lines), ("b.geojsons", separated)] {
            let found = trial::miscounts(&FORMAT, name, text.as_bytes(), &Options::default(), 4549);
            all.extend(found.into_iter().map(|what| format!("{name}, {what}")));
        }
        assert_eq!(all, UNNOTICED);
    }
}
