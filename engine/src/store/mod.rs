//! The city on disk: plain files, named by content, and one manifest that is switched by one rename.
//!
//! ```text
//! CityObject ─► Draft::push ─┬─► Sorter ─► objects/<layer>/<hash>.parquet + .ids
//!                            └─► LayerTiler ─► tiles/<layer>/…
//! Draft::commit: staging folder ─► files in place ─► report ─► manifest ─► city.json
//! ```
//!
//! Everything is written to a staging folder first. Up to the last rename, of `city.json`, the city is at the
//! version before; what a crash leaves are files that no manifest names, which do no harm and are removed by
//! [`City::collect_garbage`].

mod aside;
mod bucket;
mod bytes;
mod city;
mod diff;
mod disk;
mod draft;
mod edit;
#[cfg(test)]
mod edit_tests;
mod error;
mod footers;
mod garbage;
mod held;
mod ids;
mod json;
mod layer_draft;
mod lock;
mod manifest;
mod objects;
mod parts;
mod path;
mod period;
#[cfg(test)]
mod period_tests;
mod place;
mod projjson;
mod read;
mod resume;
#[cfg(test)]
mod resume_tests;
mod row;
mod row_blocks;
mod row_file;
mod sensors;
mod shape;
mod site;
mod sources;
mod spill;
mod sums;
#[cfg(test)]
mod tests;
mod verify;
mod web;
mod wkb;

use serde::{Deserialize, Serialize};

use crate::model::Extent;

pub(crate) use bucket::BucketCity;
pub use bucket::cache_folder;
pub(crate) use bytes::Broken;
pub use city::{City, Objects, VersionInfo};
pub use diff::{Change, Changed, LayerDiff, diff};
pub(crate) use disk::read_bounded;
pub use draft::{Draft, LayerWriter, drop_staging};
pub use edit::Edit;
pub use error::StoreError;
pub(crate) use held::{HeldRow, RowText};
pub use place::read_file;
pub use resume::{begun_layers, is_anything_kept, kept_layers};
pub use site::Site;
pub use verify::Damage;
pub use web::Web;

pub(crate) use json::{read_assumed, read_values};
pub(crate) use path::join_inside;
pub(crate) use place::{bucket, is_file, open_file};
pub(crate) use read::{HeldRows, Rows, read_periods, read_shapes, read_texts};
pub(crate) use row::{Row, read_time};
pub(crate) use shape::{Kind, decode as read_shape};
pub(crate) use wkb::{Footprint, decode as read_footprint};

/// A source that went into a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef {
    /// File as named by the user.
    pub path: String,
    /// BLAKE3 over the file, its companions and the options that matter.
    pub hash: String,
    /// First part of its objects' ids, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// One layer in one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerEntry {
    /// Name.
    pub name: String,
    /// What it was made from.
    pub sources: Vec<SourceRef>,
    /// Objects per class word.
    pub classes: std::collections::BTreeMap<String, u64>,
    /// Of them, parts of another building, bridge or tunnel, per class word: 3 buildings of which one has 4 parts count
    /// 7 above and 4 here.
    pub parts: std::collections::BTreeMap<String, u64>,
    /// Objects.
    pub objects: u64,
    /// Scan points.
    pub points: u64,
    /// Tiles with content.
    pub tiles: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Box around it.
    pub extent: Extent,
    /// GeoParquet files, relative to the city.
    pub object_files: Vec<String>,
    /// Its tileset.json, relative to the city; `None` when nothing can be drawn.
    pub tileset: Option<String>,
    /// States of objects that are not valid any more.
    pub ended: u64,
    /// GeoParquet files of these states, relative to the city.
    pub ended_files: Vec<String>,
}

/// The time, RFC 3339 in UTC.
fn now() -> String {
    chrono::DateTime::<chrono::Utc>::from(crate::fault::now()).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// Who runs this program, as the system names them.
fn who() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
        .unwrap_or_else(|| "unknown".into())
}
