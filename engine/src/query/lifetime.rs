//! When the objects of a layer were there (有效期), small enough to keep: for pictures of the city as it was.
//!
//! An object is there while one of its states is valid, those that later imports ended included: a building whose attribute was corrected last
//! year stood before that too. A state without a beginning of its own begins with the year in which the object was built (1 January), where that
//! was delivered. What has neither is there whenever what it is part of is, and else always.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::column::{MOST_PARENTS, hash};
use crate::{
    model::Value,
    store::{Broken, City, StoreError, join_inside, read_periods, read_values},
};

/// Keys that hold the year in which something was built.
pub const BUILT_KEYS: [&str; 6] = ["year_built", "建成年份", "建成年代", "建成年", "建造年份", "construction_year"];
/// The key of the year in which a pipe was laid; of other things it may be the year of anything.
const LAID_KEY: &str = "year";
/// Years that are taken for one: registers write 0 or 9999 where they know none.
const YEARS: std::ops::RangeInclusive<i32> = 1000..=2200;
/// Open ends.
const EVER: (i64, i64) = (i64::MIN, i64::MAX);

/// From when to when the objects of a layer were there.
#[derive(Clone, Debug, Default)]
pub struct Lifetimes {
    /// Hash of the id and the period, half open, by the hash and in the order of time. Milliseconds since 1970 UTC.
    spans: Vec<(u64, i64, i64)>,
    /// Hash of the id of what has no period of its own, and of its parent.
    parents: Vec<(u64, u64)>,
    /// Periods of objects that are in no tile of this version.
    ended: Vec<(i64, i64)>,
    /// Objects of this version that begin with their year of construction.
    pub by_year: u64,
}

/// What a file gives.
#[derive(Default)]
struct Part {
    /// As [`Lifetimes::spans`].
    spans: Vec<(u64, i64, i64)>,
    parents: Vec<(u64, u64)>,
    by_year: u64,
    /// Of the ids that ended states have, those that are here.
    met: Vec<u64>,
}

impl Lifetimes {
    /// Those of the objects of `layer`.
    pub fn read(city: &City, layer: &str) -> Result<Self, StoreError> {
        let entry = city.layer(layer).ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        let paths = |files: &[String]| -> Result<Vec<PathBuf>, StoreError> {
            files.iter().map(|file| join_inside(city.folder(), file)).collect()
        };
        let ended: Vec<Part> = paths(&entry.ended_files)?
            .into_par_iter()
            .map(|file| Part::read(&file, None))
            .collect::<Result<_, StoreError>>()?;
        let ended: Vec<(u64, i64, i64)> = ended.into_iter().flat_map(|part| part.spans).collect();
        let ids: FxHashSet<u64> = ended.iter().map(|span| span.0).collect();
        let here: Vec<Part> = paths(&entry.object_files)?
            .into_par_iter()
            .map(|file| Part::read(&file, Some(&ids)))
            .collect::<Result<_, StoreError>>()?;
        let met: FxHashSet<u64> = here.iter().flat_map(|part| part.met.iter().copied()).collect();
        let (before, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(|span| met.contains(&span.0));
        let mut out = Self::default();
        for part in here {
            out.spans.extend(part.spans);
            out.parents.extend(part.parents);
            out.by_year += part.by_year;
        }
        out.spans.extend(before);
        out.spans = joined(out.spans);
        out.parents.sort_unstable();
        out.parents.dedup_by_key(|(id, _)| *id);
        out.ended = joined(lost).into_iter().map(|(_, from, to)| (from, to)).collect();
        Ok(out)
    }

    /// Whether every object of this version is always there.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether objects were there that are in this version no more.
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Whether an object of this version was there at a time, milliseconds since 1970 UTC.
    pub fn is_there(&self, id: &str, at: i64) -> bool {
        let mut id = hash(id);
        for _ in 0..=MOST_PARENTS {
            let first = self.spans.partition_point(|span| span.0 < id);
            let own = &self.spans[first..];
            if own.first().is_some_and(|span| span.0 == id) {
                return own.iter().take_while(|span| span.0 == id).any(|span| (span.1..span.2).contains(&at));
            }
            let Ok(child) = self.parents.binary_search_by_key(&id, |(child, _)| *child) else { return true };
            id = self.parents[child].1;
        }
        true
    }

    /// Objects of this version with a period of their own that were not there at a time.
    pub fn absent(&self, at: i64) -> u64 {
        let objects = self.spans.chunk_by(|a, b| a.0 == b.0);
        objects.filter(|own| !own.iter().any(|span| (span.1..span.2).contains(&at))).count() as u64
    }

    /// Objects that were there at a time and are in this version no more.
    pub fn ended(&self, at: i64) -> u64 {
        self.ended.iter().filter(|(from, to)| (*from..*to).contains(&at)).count() as u64
    }

    /// When objects came, and when they went, of this version and before, in no order.
    pub fn turns(&self) -> (Vec<i64>, Vec<i64>) {
        let own = self.spans.iter().map(|(_, from, to)| (*from, *to));
        let all = || own.clone().chain(self.ended.iter().copied());
        let came = all().map(|(from, _)| from).filter(|from| *from != EVER.0).collect();
        (came, all().map(|(_, to)| to).filter(|to| *to != EVER.1).collect())
    }
}

/// Periods of each id in the order of time, those that touch as one; what is then always there is left out.
fn joined(mut spans: Vec<(u64, i64, i64)>) -> Vec<(u64, i64, i64)> {
    spans.sort_unstable();
    let mut out: Vec<(u64, i64, i64)> = Vec::with_capacity(spans.len());
    for span in spans {
        match out.last_mut() {
            Some(last) if last.0 == span.0 && span.1 <= last.2 => last.2 = last.2.max(span.2),
            _ => out.push(span),
        }
    }
    out.retain(|(_, from, to)| (*from, *to) != EVER);
    out
}

impl Part {
    /// Reads a file; of the objects that are always there those alone that `ended` knows, all of them without.
    fn read(file: &Path, ended: Option<&FxHashSet<u64>>) -> Result<Self, StoreError> {
        let mut part = Self::default();
        let mut last = None;
        let mut outcome = Ok(());
        read_periods(file, &mut |[id, parent, class, attributes], (from, to)| {
            let id = hash(id.unwrap_or_default());
            // A large object may be several rows, all with the same attributes.
            if last.replace((id, from, to)) == Some((id, from, to)) {
                return true;
            }
            let built = match from {
                Some(_) => None,
                None => match year(attributes.unwrap_or("{}"), class.unwrap_or_default()) {
                    Ok(year) => year.and_then(start_of),
                    Err(broken) => {
                        outcome = Err(StoreError::damaged(file, broken));
                        return false;
                    }
                },
            };
            part.by_year += u64::from(built.is_some() && ended.is_some());
            let span = (id, from.or(built).unwrap_or(EVER.0), to.unwrap_or(EVER.1));
            let was_before = ended.is_none_or(|ended| ended.contains(&id));
            if was_before {
                part.met.push(id);
            }
            if was_before || (span.1, span.2) != EVER {
                part.spans.push(span);
            } else if let Some(parent) = parent.filter(|parent| !parent.is_empty()) {
                part.parents.push((id, hash(parent)));
            }
            true
        })?;
        outcome?;
        Ok(part)
    }
}

/// The year in which an object was built, where its attributes say one.
fn year(attributes: &str, class: &str) -> Result<Option<i32>, Broken> {
    let is_pipe = matches!(class, "pipe" | "manhole" | "pipe_node");
    let keys = || BUILT_KEYS.into_iter().chain(is_pipe.then_some(LAID_KEY));
    // Most objects have none of them, and to look for a word costs less than to take a text apart.
    if !keys().any(|key| attributes.contains(key)) {
        return Ok(None);
    }
    let pairs = read_values(attributes)?;
    let found = keys().find_map(|key| pairs.iter().find(|(name, _)| &**name == key));
    let year = found.and_then(|(_, value)| match value {
        Value::Text(text) => text.trim().get(..4)?.parse::<i32>().ok(),
        value => value.as_f64().filter(|year| year.fract() == 0.0).map(|year| year as i32),
    });
    Ok(year.filter(|year| YEARS.contains(year)))
}

/// The first moment of a year, milliseconds since 1970 UTC.
fn start_of(year: i32) -> Option<i64> {
    let day = chrono::NaiveDate::from_ymd_opt(year, 1, 1)?;
    Some(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crs::Crs,
        model::{Attribute, CityObject, Class, Geometry, ImportReport, ObjectId},
        query::parse_time,
        store::SourceRef,
    };

    fn object(number: u64, attributes: &[(&str, Value)]) -> CityObject {
        let mut object = CityObject::new(ObjectId::new("a", number), Class::Building, Geometry::None);
        object.attributes =
            attributes.iter().map(|(key, value)| Attribute::read(&(*key).into(), value.clone())).collect();
        object
    }

    fn import(city: &City, objects: Vec<CityObject>) -> City {
        let mut draft = City::open(city.folder()).unwrap().begin().unwrap();
        draft.replace_layer("a", vec![SourceRef::default()]).unwrap();
        objects.into_iter().for_each(|object| draft.push("a", object).unwrap());
        draft.commit(&mut ImportReport::default()).unwrap();
        City::open(city.folder()).unwrap()
    }

    fn at(text: &str) -> i64 {
        parse_time(text).unwrap()
    }

    #[test]
    fn a_period_counts_before_the_year_of_construction_and_a_part_is_there_with_its_whole() {
        let dir = tempfile::tempdir().unwrap();
        let city = City::create(&dir.path().join("c.city"), "c", &Crs::from_epsg(4549).unwrap(), None).unwrap();
        let text = |text: &str| Value::Text(text.into());
        let mut part = object(4, &[]);
        part.parent = Some(ObjectId::new("a", 1));
        let city = import(
            &city,
            vec![
                object(0, &[]),
                object(1, &[("year_built", Value::Int(2010))]),
                object(
                    2,
                    &[("建成年", text("1999")), ("valid_from", text("2005-07-01")), ("valid_to", text("2012-01-01"))],
                ),
                object(3, &[("year_built", Value::Int(9999)), ("year", Value::Int(2001))]),
                part,
            ],
        );
        let lives = Lifetimes::read(&city, "a").unwrap();
        let there = |time: &str| -> Vec<u64> {
            (0..5).filter(|n| lives.is_there(ObjectId::new("a", *n).as_str(), at(time))).collect()
        };
        assert_eq!(there("2000-01-01"), [0, 3], "9999 is no year, and `year` that of a pipe alone");
        assert_eq!((there("2005-06-30"), there("2005-07-01")), (vec![0, 3], vec![0, 2, 3]));
        assert_eq!((there("2009-12-31"), there("2010-01-01")), (vec![0, 2, 3], vec![0, 1, 2, 3, 4]));
        assert_eq!(there("2012-01-01"), [0, 1, 3, 4]);
        assert_eq!((lives.absent(at("2000-01-01")), lives.absent(at("2010-01-01")), lives.by_year), (2, 0, 1));
        let (mut came, went) = lives.turns();
        came.sort_unstable();
        assert_eq!((came, went), (vec![at("2005-07-01"), at("2010-01-01")], vec![at("2012-01-01")]));
        assert!(Lifetimes::read(&city, "b").is_err());
    }

    #[test]
    fn what_changed_was_there_before_and_what_is_gone_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let city = City::create(&dir.path().join("c.city"), "c", &Crs::from_epsg(4549).unwrap(), None).unwrap();
        let built = |number, year| object(number, &[("year_built", Value::Int(year))]);
        let city = import(&city, vec![built(0, 1980), built(1, 1990), object(2, &[]), object(3, &[])]);
        assert_eq!(Lifetimes::read(&city, "a").unwrap().ended(at("2000-01-01")), 0);
        // The first is corrected, the second pulled down, the third gets an attribute.
        let third = object(2, &[("name_of_owner", Value::Text("x".into()))]);
        let city = import(&city, vec![built(0, 1985), third, object(3, &[])]);
        let lives = Lifetimes::read(&city, "a").unwrap();
        let there = |n: u64, time: &str| lives.is_there(ObjectId::new("a", n).as_str(), at(time));
        assert!(
            !there(0, "1979-12-31") && there(0, "1982-01-01") && there(0, "2500-01-01"),
            "its first state was there"
        );
        assert!(there(2, "1900-01-01") && there(3, "1900-01-01"), "since when is not known");
        assert_eq!(
            (lives.ended(at("1989-12-31")), lives.ended(at("1990-01-01")), lives.ended(at("2500-01-01"))),
            (0, 1, 0)
        );
        assert_eq!(lives.turns().0.len(), 2, "a correction is no coming");
    }
}
