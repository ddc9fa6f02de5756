//! The picture on a mesh.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A picture on a mesh, as its file holds it. Equal files have equal names, so that a picture is kept once however many
/// objects show it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Texture {
    name: Arc<str>,
    /// Left out where a shape is written down: whoever does so keeps the files apart, by their names.
    #[serde(skip)]
    file: Arc<[u8]>,
}

impl Texture {
    /// Of an encoded picture (JPEG or PNG).
    pub fn new(file: Vec<u8>) -> Self {
        Self { name: blake3::hash(&file).to_hex().as_str().into(), file: file.into() }
    }

    /// BLAKE3 of the file.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The file; empty where only the name was written down.
    pub fn file(&self) -> &[u8] {
        &self.file
    }
}

impl PartialEq for Texture {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
