//! A hit while it still is the row that was found.

use std::{io::Write, sync::Arc};

use serde::Serialize;

use super::{
    Found,
    geojson::{self, time_text},
};
use crate::{
    model::Value,
    store::{HeldRow, Row, RowText, StoreError, read_assumed, read_values},
};

/// Attributes of an object by their names.
pub(super) type Values = Vec<(Arc<str>, Value)>;

/// One hit, of which only what is asked for is taken apart.
#[derive(Clone, Debug)]
pub struct Hit {
    pub(super) row: Arc<HeldRow>,
    pub(super) layer: Arc<str>,
    pub(super) distance_m: Option<f64>,
    pub(super) exact: Option<bool>,
    /// Where they had to be taken apart to know whether it is a hit.
    pub(super) attributes: Option<Values>,
}

impl Hit {
    /// Id of the object.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// The hit with all its members.
    pub fn found(self) -> Result<Found, StoreError> {
        let Self { row, layer, distance_m, exact, attributes } = self;
        let attributes = match attributes {
            Some(attributes) => attributes,
            None => read_values(&row.attributes).map_err(|e| row.damaged(e))?,
        };
        let assumed = read_assumed(&row.provenance).map_err(|e| row.damaged(e))?;
        Ok(Found {
            id: row.id.clone(),
            layer: layer.to_string(),
            class: row.class,
            stage: row.stage,
            domain: row.domain,
            name: row.name.clone(),
            parent: row.parent.clone(),
            extent: row.extent,
            distance_m,
            exact,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            attributes,
            assumed,
            footprint_wkb: row.wkb.clone(),
        })
    }

    /// The row as text, made once.
    pub(super) fn text(&self) -> Result<&RowText, StoreError> {
        self.row.text(text_of)
    }

    /// Appends the hit as one line of JSON, without its geometry. What of it is the row's is made once and kept.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let RowText { head, middle, tail, .. } = self.text()?;
        out.extend_from_slice(head.as_bytes());
        append(out, &*self.layer);
        out.extend_from_slice(middle.as_bytes());
        append(out, &self.distance_m);
        out.extend_from_slice(tail.as_bytes());
        if let Some(exact) = self.exact {
            // To memory, which takes everything.
            let _ = write!(out, ",\"exact\":{exact}");
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// A value as JSON, behind what is there.
fn append(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Texts, numbers and maps of them can always be written, and memory takes everything.
    let _ = serde_json::to_writer(out, value);
}

fn text_of(row: &Row) -> Result<RowText, StoreError> {
    let damaged = |reason| StoreError::damaged(std::path::Path::new(&row.id), reason);
    let attributes = read_values(&row.attributes).map_err(damaged)?;
    let assumed = read_assumed(&row.provenance).map_err(damaged)?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default().into_boxed_str();
    let mut head = b"{\"id\":".to_vec();
    append(&mut head, &row.id);
    head.extend_from_slice(b",\"layer\":");
    let mut middle = Vec::new();
    for (key, word) in [("class", row.class.word()), ("stage", row.stage.word()), ("domain", row.domain.word())] {
        member(&mut middle, key, word);
    }
    member(&mut middle, "name", &row.name);
    member(&mut middle, "parent", &row.parent);
    member(&mut middle, "extent", &row.extent);
    middle.extend_from_slice(b",\"distance_m\":");
    let mut tail = Vec::new();
    member(&mut tail, "valid_from", &row.valid_from.and_then(time_text));
    member(&mut tail, "valid_to", &row.valid_to.and_then(time_text));
    member(&mut tail, "attributes", &geojson::Attributes(&attributes));
    member(&mut tail, "assumed", &geojson::Assumed(&assumed));
    let mut noted = Vec::new();
    append(&mut noted, &geojson::Assumed(&assumed));
    let assumed = (!assumed.is_empty()).then(|| text(noted));
    Ok(RowText { head: text(head), middle: text(middle), tail: text(tail), assumed })
}

/// `,"key":value`
fn member(out: &mut Vec<u8>, key: &str, value: &(impl Serialize + ?Sized)) {
    out.push(b',');
    append(out, key);
    out.push(b':');
    append(out, value);
}
