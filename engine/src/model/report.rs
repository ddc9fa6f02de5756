//! The account of an import (入库报告): what was read, skipped, guessed and why.

use serde::{Deserialize, Serialize};

use super::Extent;

/// Something a person should know, counted per kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable short word, such as `axes_swapped` or `count_mismatch`.
    pub code: String,
    /// The sentence for people.
    pub message: String,
    /// Where it was met first: record, field, byte.
    #[serde(rename = "where")]
    pub place: String,
    /// How often.
    pub count: u64,
}

/// A record that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// Record number from 1, or 0 when it is not a record.
    pub record: u64,
    /// Why.
    pub reason: String,
}

/// The account of one source file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// File as named by the user.
    pub path: String,
    /// Format that it was read as.
    pub format: String,
    /// CRS it was read in, such as `EPSG:4549`.
    pub crs: Option<String>,
    /// What said so: `flag`, `.prj`, `header`, `crs member`, `city`.
    pub crs_from: String,
    /// Text encoding.
    pub encoding: Option<String>,
    /// What said so.
    pub encoding_from: String,
    /// Layer it went into.
    pub layer: String,
    /// Objects taken over.
    pub objects: u64,
    /// Scan points taken over.
    pub points: u64,
    /// Records not taken over.
    pub skipped: u64,
    /// The first of them, at most 100.
    pub skips: Vec<Skip>,
    /// Box around everything taken over, in the city's frame.
    pub extent: Extent,
    /// Seconds it took.
    pub seconds: f64,
    /// Things to know.
    pub warnings: Vec<Warning>,
    /// Whether the same source was already in the city, so that nothing was done.
    pub unchanged: bool,
    /// Whether an earlier import, which was stopped, had read it.
    #[serde(default)]
    pub resumed: bool,
    /// Why nothing of the source was taken over, when it could not be read.
    pub error: Option<String>,
}

impl SourceReport {
    /// Counts a warning; the first of its code keeps its message and place.
    pub fn warn(&mut self, code: &str, message: impl Into<String>, place: impl Into<String>) {
        match self.warnings.iter_mut().find(|w| w.code == code) {
            Some(warning) => warning.count += 1,
            None => self.warnings.push(Warning {
                code: code.into(),
                message: message.into(),
                place: place.into(),
                count: 1,
            }),
        }
    }

    /// Adds the warnings and skips of `other`, which speaks of later records of the same source.
    pub fn absorb(&mut self, other: SourceReport) {
        for warning in other.warnings {
            match self.warnings.iter_mut().find(|w| w.code == warning.code) {
                Some(known) => known.count += warning.count,
                None => self.warnings.push(warning),
            }
        }
        self.skipped += other.skipped;
        let free = 100 - self.skips.len().min(100);
        self.skips.extend(other.skips.into_iter().take(free));
    }

    /// Counts a record that could not be taken over.
    pub fn skip(&mut self, record: u64, reason: impl Into<String>) {
        self.skipped += 1;
        if self.skips.len() < 100 {
            self.skips.push(Skip { record, reason: reason.into() });
        }
    }
}

/// What an import did to the objects that a layer held before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Objects that the layer did not hold.
    pub added: u64,
    /// Objects of which another state was held.
    pub changed: u64,
    /// Objects that are as they were.
    pub same: u64,
    /// Objects that are gone.
    pub ended: u64,
}

impl Changes {
    /// Adds those of another layer.
    pub fn add(&mut self, other: &Changes) {
        self.added += other.added;
        self.changed += other.changed;
        self.same += other.same;
        self.ended += other.ended;
    }
}

/// The account of one import: what `import --json` prints and `reports/<version>.json` keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// The city.
    pub city: String,
    /// Version that holds the result.
    pub version: u64,
    /// One account per source.
    pub sources: Vec<SourceReport>,
    /// Objects taken over.
    pub objects: u64,
    /// Scan points taken over.
    pub points: u64,
    /// Tiles written.
    pub tiles: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Box around everything.
    pub extent: Extent,
    /// Seconds it took.
    pub seconds: f64,
    /// Highest resident memory of the process.
    pub peak_rss_bytes: u64,
    /// Layers that an earlier import, which was stopped, had finished.
    #[serde(default)]
    pub resumed: u64,
    /// Objects that were read from sources by this import itself; those of resumed layers are not among them.
    #[serde(default)]
    pub objects_read: u64,
    /// What became of the objects that the layers held before.
    #[serde(default)]
    pub changes: Changes,
}
