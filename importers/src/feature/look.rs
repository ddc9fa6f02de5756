//! A first look at a source: its box, its fields and what they suggest.

use std::sync::Arc;

use groundline_engine::model::Value;

use super::{Feature, Sample};

/// Features whose fields are looked at.
const SAMPLE_FEATURES: usize = 32;

/// What a first look at some features saw.
#[derive(Default)]
pub(crate) struct Look {
    features: Vec<Feature>,
    /// Min x, min y, max x, max y of the features seen, in the source's coordinates.
    pub extent: Option<[f64; 4]>,
}

impl Look {
    /// Looks at one feature; `is_swapped` says that its y stands first.
    pub fn take(&mut self, mut feature: Feature, is_swapped: bool) {
        if is_swapped {
            feature.shape.for_each_mut(|v| (v.x, v.y) = (v.y, v.x));
        }
        let vertices = feature.shape.vertices();
        for v in &vertices {
            self.extent = Some(joined(self.extent, [v.x, v.y, v.x, v.y]));
        }
        if self.features.len() < SAMPLE_FEATURES && !vertices.is_empty() {
            self.features.push(feature);
        }
    }

    /// What the source called `name` suggests its class by.
    pub fn sample(&self, name: &str) -> Sample {
        Sample {
            stem: name.to_string(),
            dimension: self.features.first().map(|f| f.shape.dimension()),
            fields: self.names(),
            values: self.values(),
        }
    }

    /// Names of all fields seen, in the order of their first coming.
    fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for (name, _) in self.features.iter().flat_map(|f| &f.fields) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn values(&self) -> Vec<(Arc<str>, Value)> {
        self.features.iter().flat_map(|f| f.fields.iter().cloned()).collect()
    }
}

/// The box around two.
pub(crate) fn joined(a: Option<[f64; 4]>, b: [f64; 4]) -> [f64; 4] {
    let Some(a) = a else { return b };
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}
