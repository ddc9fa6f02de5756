//! What is said of products: property sets, quantities, materials and classifications.

use std::collections::HashMap;

use groundline_engine::model::Value;
use ifc_lite_processing::data_model::{DataModel, Property, PropertySet};
use serde::{Deserialize, Serialize};

use super::{
    parse::{MAX_TEXT, shortened},
    set::sets,
};

/// Most attributes of one product.
const MAX_ATTRIBUTES: usize = 2000;

type Values = Vec<(String, Value)>;

/// The facts of all entities. A set that a thousand products share is held once.
#[derive(Serialize, Deserialize)]
pub struct Facts {
    of_set: HashMap<u32, Values>,
    /// By entity: its own sets, then those of its type. What the occurrence says itself wins.
    sets: HashMap<u32, Vec<u32>>,
    /// By entity: materials and classifications.
    others: HashMap<u32, Values>,
}

impl Facts {
    /// Takes the sets out of the model; `content` is the file without its shapes.
    pub fn of(model: &mut DataModel, content: &[u8]) -> Self {
        let mut of_set: HashMap<u32, Values> = HashMap::new();
        for set in std::mem::take(&mut model.property_sets) {
            of_set.insert(set.pset_id, properties(&set));
        }
        for set in std::mem::take(&mut model.quantity_sets) {
            let quantities = set.quantities.iter().filter(|q| q.quantity_value.is_finite());
            let quantities =
                quantities.map(|q| (format!("{}.{}", set.qset_name, q.quantity_name), Value::Real(q.quantity_value)));
            of_set.insert(set.qset_id, quantities.collect());
        }
        let others = sets(content, |id| of_set.contains_key(&id));
        of_set.extend(others);

        let mut sets: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut of_type: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut types: Vec<(u32, u32)> = Vec::new();
        for relation in &model.relationships {
            match relation.rel_type.to_uppercase().as_str() {
                "IFCRELDEFINESBYPROPERTIES" => sets.entry(relation.related_id).or_default().push(relation.relating_id),
                "TYPEHASPROPERTYSETS" => of_type.entry(relation.related_id).or_default().push(relation.relating_id),
                "IFCRELDEFINESBYTYPE" => types.push((relation.related_id, relation.relating_id)),
                _ => {}
            }
        }
        for (occurrence, of) in types {
            if let Some(of_type) = of_type.get(&of) {
                sets.entry(occurrence).or_default().extend(of_type);
            }
        }
        let others = materials_and_classes(model);
        Self { of_set, sets, others }
    }

    /// What is said of one entity, each key once.
    pub fn get(&self, id: u32) -> Values {
        let mut values = Vec::new();
        for set in self.sets.get(&id).into_iter().flatten() {
            add(&mut values, self.of_set.get(set).map_or(&[], Vec::as_slice));
        }
        add(&mut values, self.others.get(&id).map_or(&[], Vec::as_slice));
        values
    }
}

fn properties(set: &PropertySet) -> Values {
    let value = |p: &Property| {
        let value = match p.property_type.as_str() {
            "boolean" | "logical" => match p.property_value.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                // a logical may say that nobody knows
                _ => Value::Text("unknown".into()),
            },
            "integer" => Value::Int(p.property_value.parse().ok()?),
            "real" => Value::Real(p.property_value.parse::<f64>().ok().filter(|r| r.is_finite())?),
            "null" => return None,
            _ => Value::Text(shortened(&p.property_value)),
        };
        Some((format!("{}.{}", set.pset_name, p.property_name), value))
    };
    set.properties.iter().filter_map(value).collect()
}

fn materials_and_classes(model: &mut DataModel) -> HashMap<u32, Values> {
    let mut others: HashMap<u32, Values> = HashMap::new();
    for material in std::mem::take(&mut model.materials) {
        let list = others.entry(material.element_id).or_default();
        match list.iter_mut().find(|(key, _)| key == "material") {
            Some((_, Value::Text(text))) if text.len() < MAX_TEXT => {
                *text = format!("{text}; {}", shortened(&material.material_name));
            }
            Some(_) => {}
            None => list.push(("material".into(), Value::Text(shortened(&material.material_name)))),
        }
    }
    for class in std::mem::take(&mut model.classifications) {
        let code = class.identification.as_deref().or(class.name.as_deref()).unwrap_or_default();
        let key = format!("classification.{}", class.system_name.as_deref().unwrap_or("?"));
        add(others.entry(class.element_id).or_default(), &[(key, Value::Text(shortened(code)))]);
    }
    others
}

/// Adds values whose key is not there yet.
fn add(list: &mut Values, values: &[(String, Value)]) {
    for (key, value) in values {
        if list.len() < MAX_ATTRIBUTES && !list.iter().any(|(k, _)| k == key) {
            list.push((key.clone(), value.clone()));
        }
    }
}
