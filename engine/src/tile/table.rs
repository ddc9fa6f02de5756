//! The columns of a tile's property table (`EXT_structural_metadata`): what is said of each feature.

use serde_json::{Value, json};

use super::content::FeatureTable;
use crate::model::CimLevel;

/// A column.
pub(super) struct Column<'a> {
    pub name: &'static str,
    title: &'static str,
    description: String,
    /// Type and, but for texts, type of the components; as the schema has them.
    kind: (&'static str, Option<&'static str>),
    pub values: Values<'a>,
}

/// What stands in a column.
pub(super) enum Values<'a> {
    /// Texts, one a row.
    Texts(Vec<&'a str>),
    /// Numbers of the same length in every row, little-endian.
    Plain(Vec<u8>),
    /// Numbers, and at which element each row begins, and the end.
    Lists(Vec<u8>, Vec<u32>),
}

impl Column<'_> {
    /// As the schema describes it.
    pub fn property(&self) -> Value {
        let mut property = json!({"name": self.title, "type": self.kind.0});
        if let Some(component) = self.kind.1 {
            property["componentType"] = json!(component);
        }
        if matches!(self.values, Values::Lists(..)) {
            property["array"] = json!(true);
        }
        if !self.description.is_empty() {
            property["description"] = json!(self.description);
        }
        property
    }
}

/// The columns of a table: those of pipes only where there are any.
pub(super) fn columns(features: &FeatureTable) -> Vec<Column<'_>> {
    let count = features.ids.len();
    let texts = |name, title, values: Vec<_>| Column {
        name,
        title,
        description: String::new(),
        kind: ("STRING", None),
        values: Values::Texts(if values.len() == count { values } else { Vec::new() }),
    };
    let mut columns = vec![
        texts("id", "Object id", features.ids.iter().map(String::as_str).collect()),
        texts("class", "Class word", features.classes.to_vec()),
        texts("name", "Name", features.names.iter().map(String::as_str).collect()),
    ];
    if features.levels.len() == count {
        columns.push(Column {
            name: "cim_level",
            title: "CIM level",
            description: format!("Lowest level of detail that shows it, 1 to 7 ({})", CimLevel::SCHEME),
            kind: ("SCALAR", Some("UINT8")),
            values: Values::Plain(features.levels.clone()),
        });
    }
    if !features.pipes.is_empty() {
        columns.extend(pipe_columns(features));
    }
    columns
}

/// A pipe as its parameters: who has them need not guess them from triangles.
fn pipe_columns(features: &FeatureTable) -> Vec<Column<'_>> {
    let count = features.ids.len();
    let (mut axes, mut ends, mut sections) = (Vec::new(), vec![0], Vec::new());
    let (mut from, mut to) = (vec![""; count], vec![""; count]);
    let mut pipes = features.pipes.iter().peekable();
    let mut vertices = 0u32;
    for row in 0..count {
        let pipe = pipes.next_if(|(of, _)| *of as usize == row).map(|(_, shape)| shape);
        let mut section = [0.0; 2];
        if let Some(shape) = pipe {
            axes.extend(shape.axis.iter().flat_map(|place| place.to_array()).flat_map(f32::to_le_bytes));
            vertices += shape.axis.len() as u32;
            // A round section has no width of its own.
            section = if shape.is_round { [shape.section.x, 0.0] } else { shape.section.to_array() };
            (from[row], to[row]) = (&shape.nodes[0], &shape.nodes[1]);
        }
        sections.extend(section.into_iter().flat_map(f32::to_le_bytes));
        ends.push(vertices);
    }
    let text = |name, title, values| Column {
        name,
        title,
        description: String::new(),
        kind: ("STRING", None),
        values: Values::Texts(values),
    };
    vec![
        Column {
            name: "axis",
            title: "Centre line",
            description: "Metres east, north and up in the city's frame from the tile's origin, which is in the extras of the tileset"
                .into(),
            kind: ("VEC3", Some("FLOAT32")),
            values: Values::Lists(axes, ends),
        },
        Column {
            name: "section",
            title: "Section",
            description: "Outer measures in metres: diameter and 0, or width and height".into(),
            kind: ("VEC2", Some("FLOAT32")),
            values: Values::Plain(sections),
        },
        text("from_node", "Node at the start", from),
        text("to_node", "Node at the end", to),
    ]
}

/// Texts one after the other, and where each begins, and the end.
pub(super) fn joined(texts: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let mut offsets = Vec::with_capacity((texts.len() + 1) * 4);
    let mut end = 0u32;
    offsets.extend_from_slice(&end.to_le_bytes());
    for text in texts {
        end += text.len() as u32;
        offsets.extend_from_slice(&end.to_le_bytes());
    }
    (texts.concat().into_bytes(), offsets)
}
