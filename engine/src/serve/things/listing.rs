//! Lists of entities, and entities within one another.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json, json};

use super::{
    bad,
    entity::{Entity, Link, Set},
    history::{Page, page},
    options::Options,
    service::Service,
    value::Value,
};
use crate::{query::time_text, serve::Refusal};

/// Entities that are put in order for one answer.
const MOST_ORDERED: usize = 1_000_000;

/// Which entities a list is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    All(Set),
    Of(Entity, Link),
}

impl Source {
    fn set(self) -> Set {
        match self {
            Self::All(set) => set,
            Self::Of(_, link) => link.set,
        }
    }
}

impl Service<'_> {
    /// A list as it is answered; `address` is where it lies.
    pub fn list(&self, source: Source, options: &Options, address: &str) -> Result<Json, Refusal> {
        let page = self.page(source, options)?;
        let mut map = Map::new();
        if let Some(count) = page.count {
            map.insert("@iot.count".into(), count.into());
        }
        if page.has_more {
            let next = options.next(options.skip.saturating_add(options.top));
            map.insert("@iot.nextLink".into(), format!("{address}?{next}").into());
        }
        let value = if options.is_table { self.table(&page)? } else { self.all_written(&page, options)? };
        map.insert("value".into(), value);
        Ok(Json::Object(map))
    }

    /// Addresses of a page instead of its entities.
    pub fn addresses(&self, source: Source, options: &Options) -> Result<Json, Refusal> {
        let page = self.page(source, options)?;
        let value: Vec<Json> =
            page.entities.iter().map(|entity| json!({"@iot.selfLink": self.address(*entity)})).collect();
        Ok(json!({"value": value}))
    }

    /// How many there are that meet the condition.
    pub fn how_many(&self, source: Source, options: &Options) -> Result<Json, Refusal> {
        Ok(self.page(source, &options.counting())?.count.into())
    }

    /// An entity as it is answered, with what is expanded.
    pub fn one(&self, entity: Entity, options: &Options) -> Result<Json, Refusal> {
        let mut map = self.written(entity, &options.select)?;
        for (link, inner) in &options.expand {
            let address = format!("{}/{}", self.address(entity), link.name);
            let source = Source::Of(entity, *link);
            map.remove(&format!("{}@iot.navigationLink", link.name));
            if link.is_many {
                let page = self.page(source, inner)?;
                if let Some(count) = page.count {
                    map.insert(format!("{}@iot.count", link.name), count.into());
                }
                map.insert(link.name.into(), self.all_written(&page, inner)?);
                if page.has_more {
                    let next = inner.next(inner.skip.saturating_add(inner.top));
                    map.insert(format!("{}@iot.nextLink", link.name), format!("{address}?{next}").into());
                }
            } else {
                let next = self.register.related(entity, *link).next();
                map.insert(link.name.into(), next.map_or(Ok(Json::Null), |next| self.one(next, inner))?);
            }
        }
        Ok(Json::Object(map))
    }

    fn all_written(&self, page: &Page, options: &Options) -> Result<Json, Refusal> {
        page.entities.iter().map(|entity| self.one(*entity, options)).collect::<Result<Vec<_>, _>>().map(Json::from)
    }

    /// Observations as rows, a table for each Datastream.
    fn table(&self, page: &Page) -> Result<Json, Refusal> {
        let mut tables: Vec<(u32, Vec<Json>)> = Vec::new();
        for entity in &page.entities {
            self.count()?;
            let Entity::Observation { sensor, time_ms, value } = *entity else { continue };
            let time = time_text(time_ms);
            let row = json!([self.register.id(*entity), time, time, value]);
            match tables.iter_mut().find(|(known, _)| *known == sensor) {
                Some((_, rows)) => rows.push(row),
                None => tables.push((sensor, vec![row])),
            }
        }
        let table = |(sensor, rows): (u32, Vec<Json>)| {
            json!({
                "Datastream@iot.navigationLink": self.address(Entity::Datastream(sensor)),
                "components": ["id", "phenomenonTime", "resultTime", "result"],
                "dataArray@iot.count": rows.len(),
                "dataArray": rows,
            })
        };
        Ok(tables.into_iter().map(table).collect::<Vec<_>>().into())
    }

    fn page(&self, source: Source, options: &Options) -> Result<Page, Refusal> {
        let page = match source {
            Source::All(Set::Observations) => self.page_of_observations(None, options)?,
            Source::Of(entity, link) if link.set == Set::Observations => {
                self.page_of_observations(Some(&self.register.observed(entity)), options)?
            }
            _ => self.page_of_register(source, options)?,
        };
        self.failed.borrow_mut().take().map_or(Ok(page), Err)
    }

    fn page_of_register(&self, source: Source, options: &Options) -> Result<Page, Refusal> {
        let all: Box<dyn Iterator<Item = Entity>> = match source {
            Source::All(set) => self.register.all(set),
            Source::Of(entity, link) => self.register.related(entity, link),
        };
        let is_kept = |entity: &Entity| match &options.filter {
            Some(filter) => filter.holds(&|path| self.look(*entity, path)),
            None => true,
        };
        let mut kept = all.filter(is_kept);
        if options.order.is_empty() {
            let wanted = options.skip.saturating_add(options.top).saturating_add(1);
            let found: Vec<Entity> = kept.by_ref().take(wanted).collect();
            let count = options.count.then(|| found.len() + kept.count());
            return Ok(page(found, options, count));
        }
        let found: Vec<Entity> = kept.take(MOST_ORDERED + 1).collect();
        if found.len() > MOST_ORDERED {
            let word = source.set().word();
            return Err(bad(format!(
                "more than {MOST_ORDERED} {word} are to be put in order: ask for fewer with $filter"
            )));
        }
        let count = found.len();
        Ok(page(self.ordered(found, options), options, options.count.then_some(count)))
    }

    /// In the order that is asked for; what has no value comes first, as the standard has it.
    pub fn ordered(&self, found: Vec<Entity>, options: &Options) -> Vec<Entity> {
        let keys = |entity: Entity| -> Vec<Value> {
            options.order.iter().map(|(order, _)| order.value(&|path| self.look(entity, path))).collect()
        };
        let mut keyed: Vec<(Vec<Value>, Entity)> = found.into_iter().map(|entity| (keys(entity), entity)).collect();
        keyed.sort_by(|(a, _), (b, _)| {
            let mut sides = a.iter().zip(b).zip(&options.order);
            let order = sides.find_map(|((a, b), (_, is_down))| {
                let order = match (a, b) {
                    (Value::Null, Value::Null) => Ordering::Equal,
                    (Value::Null, _) => Ordering::Less,
                    (_, Value::Null) => Ordering::Greater,
                    _ => a.compare(b).unwrap_or(Ordering::Equal),
                };
                let order = if *is_down { order.reverse() } else { order };
                order.is_ne().then_some(order)
            });
            order.unwrap_or(Ordering::Equal)
        });
        keyed.into_iter().map(|(_, entity)| entity).collect()
    }
}
