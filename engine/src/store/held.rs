//! A row as answers hold it: what they make of it is made once and stays as long as its block does.

use std::{ops::Deref, sync::OnceLock};

use super::{
    Row, StoreError,
    wkb::{self, Footprint},
};

/// Bytes of the text of a row without names and attributes, and what the allocator takes for the pieces of a row.
const TEXT_BYTES: usize = 700;

/// A row with what was made of it.
#[derive(Debug)]
pub(crate) struct HeldRow {
    row: Row,
    text: OnceLock<RowText>,
    footprint: OnceLock<Footprint>,
}

/// The row as an answer writes it: what an answer puts between the pieces is no part of the row.
#[derive(Debug)]
pub(crate) struct RowText {
    /// Up to the name of its layer.
    pub head: Box<str>,
    /// From there up to the distance.
    pub middle: Box<str>,
    /// The rest.
    pub tail: Box<str>,
    /// Attributes that nobody delivered, with what was assumed and why, as JSON; none where there are none.
    pub assumed: Option<Box<str>>,
}

impl HeldRow {
    /// Bytes that it takes once an answer made of it what answers make.
    pub fn bytes(&self) -> usize {
        let Row { id, name, parent, attributes, provenance, wkb, .. } = &self.row;
        let words = id.len() + [name, parent].into_iter().flatten().map(String::len).sum::<usize>();
        size_of::<Self>() + 2 * (words + attributes.len()) + provenance.len() + 3 * wkb.len() + TEXT_BYTES
    }

    /// Its footprint or axis.
    pub fn footprint(&self) -> Result<&Footprint, StoreError> {
        if let Some(footprint) = self.footprint.get() {
            return Ok(footprint);
        }
        let read = wkb::decode(&self.row.wkb).map_err(|e| self.damaged(e))?;
        Ok(self.footprint.get_or_init(|| read))
    }

    /// Its text, which `write` makes where there is none yet.
    pub fn text(&self, write: impl FnOnce(&Row) -> Result<RowText, StoreError>) -> Result<&RowText, StoreError> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let written = write(&self.row)?;
        Ok(self.text.get_or_init(|| written))
    }

    /// What is wrong with it.
    pub fn damaged(&self, reason: impl std::fmt::Display) -> StoreError {
        StoreError::damaged(std::path::Path::new(&self.row.id), reason)
    }
}

impl From<Row> for HeldRow {
    fn from(row: Row) -> Self {
        Self { row, text: OnceLock::new(), footprint: OnceLock::new() }
    }
}

impl Deref for HeldRow {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.row
    }
}
