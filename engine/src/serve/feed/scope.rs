//! Which sensors a watcher wants to hear of.

use std::collections::{HashMap, HashSet};

use super::{Hall, Refusal, bad};
use crate::{
    live::LiveState,
    model::{ObjectId, Sensor},
    query::{self, Query, Shape},
    serve::{answer::Asked, parameter},
};

/// Parameters that say what is wanted as those of a question do.
const OF_QUERY: [&str; 6] = ["box", "bbox", "polygon", "within", "layers", "classes"];

/// A set of sensors by dense index.
pub(super) struct Scope {
    /// A bit each; none where all are wanted.
    bits: Option<Box<[u64]>>,
    count: usize,
}

impl Scope {
    /// The sensors that the parameters ask for. Reads the city where they name classes.
    pub fn read(hall: &Hall, state: &LiveState, parameters: &HashMap<String, String>) -> Result<Self, Refusal> {
        if let Some(sentence) = parameter::unknown(&parameter::LIVE, parameters) {
            return Err(bad(sentence));
        }
        let given = |name: &str| parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let sensors = state.sensors();
        let is_all = OF_QUERY.iter().chain(&["properties", "sensors"]).all(|name| given(name).is_none());
        if is_all {
            return Ok(Self { bits: None, count: sensors.len() });
        }
        let of_query: HashMap<String, String> =
            OF_QUERY.iter().filter_map(|name| Some(((*name).to_owned(), given(name)?.to_owned()))).collect();
        let mut asked = Asked::read(&of_query)?;
        let city = hall.city()?;
        asked.has_layers(&city)?;
        let is_somewhere = asked.settle(&city)?;
        let list = |name: &str| given(name).map(|text| text.split(',').map(str::trim).collect::<HashSet<&str>>());
        let (properties, ids) = (list("properties"), list("sensors"));
        if let Some(unknown) = ids.iter().flatten().find(|id| state.index_of(&ObjectId((**id).into())).is_none()) {
            return Err(super::no(&format!("no sensor {unknown:.80?}")));
        }
        let of_class = match asked.query.classes.as_slice() {
            [] => None,
            classes => {
                let watched: HashSet<ObjectId> = sensors.iter().filter_map(|one| one.watches).collect();
                let of_these = Query { classes: classes.to_vec(), ..Query::default() };
                let mut found = HashSet::new();
                let mut hits = query::run(&city, &of_these)?;
                while let Some(hit) = hits.next_hit() {
                    let hit = hit?;
                    found.extend(watched.get(&ObjectId(hit.id().to_owned())).cloned());
                }
                Some(found)
            }
        };
        let layers = &asked.query.layers;
        let in_layer = |id: &ObjectId| {
            layers
                .iter()
                .any(|layer| id.as_str().strip_prefix(layer.as_str()).is_some_and(|rest| rest.starts_with('/')))
        };
        let is_wanted = |sensor: &Sensor| {
            is_somewhere
                && is_in(&asked.query.shape, sensor)
                && properties.as_ref().is_none_or(|wanted| wanted.contains(sensor.property.as_str()))
                && ids.as_ref().is_none_or(|wanted| wanted.contains(sensor.id.as_str()))
                && (layers.is_empty() || in_layer(&sensor.id) || sensor.watches.as_ref().is_some_and(in_layer))
                && of_class
                    .as_ref()
                    .is_none_or(|of_class| sensor.watches.as_ref().is_some_and(|watched| of_class.contains(watched)))
        };
        let mut bits = vec![0_u64; sensors.len().div_ceil(64)].into_boxed_slice();
        let mut count = 0;
        for (index, _) in sensors.iter().enumerate().filter(|(_, sensor)| is_wanted(sensor)) {
            bits[index / 64] |= 1 << (index % 64);
            count += 1;
        }
        Ok(Self { bits: Some(bits), count })
    }

    /// Whether the sensor is one of them.
    pub fn holds(&self, sensor: u32) -> bool {
        let bit = |bits: &[u64]| bits.get(sensor as usize / 64).is_some_and(|word| word >> (sensor % 64) & 1 == 1);
        self.bits.as_deref().is_none_or(bit)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Whether the sensor stands in the shape, in plan; without a place it stands nowhere.
fn is_in(shape: &Shape, sensor: &Sensor) -> bool {
    let Some(place) = sensor.place else { return matches!(shape, Shape::All) };
    match shape {
        Shape::Box { min, max } => {
            min.truncate().cmple(place.truncate()).all() && max.truncate().cmpge(place.truncate()).all()
        }
        Shape::Within { region, .. } => region.holds(place.truncate()),
        _ => true,
    }
}
