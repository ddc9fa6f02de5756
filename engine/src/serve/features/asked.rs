//! What of a collection is asked for.

use std::collections::HashMap;

use glam::{DVec2, DVec3};

use super::{bad, system::System};
use crate::{
    model::Extent,
    query::{self, Filter, Found, Query, Region, Shape},
    serve::{Refusal, parameter},
    store::City,
};

/// Features of a page when nobody says how many, and at most.
pub(in crate::serve) const USUAL: usize = 10;
pub(in crate::serve) const MOST: usize = 10_000;

/// What of a collection is asked for.
pub(super) struct Asked {
    bbox: Option<Vec<f64>>,
    bbox_crs: Option<String>,
    pub crs: Option<String>,
    /// From when to when, milliseconds since 1970; open ends are absent.
    period: Option<(Option<i64>, Option<i64>)>,
    pub limit: usize,
    pub offset: usize,
    filter: Option<Filter>,
    filter_crs: Option<String>,
    search: Option<query::Search>,
}

impl Asked {
    pub fn read(parameters: &HashMap<String, String>) -> Result<Self, Refusal> {
        if let Some(sentence) = parameter::unknown(&parameter::ITEMS, parameters) {
            return Err(bad(sentence));
        }
        let given = |name: &str| parameters.get(name).map(String::as_str);
        let whole = |name: &str, usual: usize, least: usize| match given(name) {
            None => Ok(usual),
            Some(word) => {
                let number = word.parse::<usize>().ok().filter(|n| *n >= least);
                number.ok_or_else(|| bad(format!("{name} takes a whole number from {least} on")))
            }
        };
        let bbox = match given("bbox") {
            None => None,
            Some(text) => {
                let list: Option<Vec<f64>> =
                    text.split(',').map(|word| word.trim().parse().ok().filter(|v: &f64| v.is_finite())).collect();
                Some(list.filter(|l| matches!(l.len(), 4 | 6)).ok_or_else(|| bad("bbox takes four or six numbers"))?)
            }
        };
        if let Some(other) = given("f").filter(|form| !matches!(*form, "json" | "geojson")) {
            return Err(bad(format!("f={other:.60} is neither json nor geojson")));
        }
        let filter = match (given("filter"), given("filter-lang").unwrap_or("cql2-text")) {
            (None, "cql2-text" | "cql2-json") => None,
            (Some(text), "cql2-text") => Some(Filter::parse(text)),
            (Some(text), "cql2-json") => Some(Filter::parse_json(text)),
            (_, other) => return Err(bad(format!("filter-lang={other:.60} is neither cql2-text nor cql2-json"))),
        };
        let owned = |name: &str| given(name).map(str::to_owned);
        Ok(Self {
            bbox,
            bbox_crs: owned("bbox-crs"),
            crs: owned("crs"),
            period: given("datetime").map(period).transpose()?,
            limit: whole("limit", USUAL, 1)?.min(MOST),
            offset: whole("offset", 0, 0)?,
            filter: filter.transpose().map_err(|e| bad(format!("filter: {e}")))?,
            filter_crs: owned("filter-crs"),
            search: given("search").map(query::Search::new).transpose().map_err(|e| bad(format!("search: {e}")))?,
        })
    }

    pub fn has_bbox(&self) -> bool {
        self.bbox.is_some()
    }

    /// The question to the city.
    pub fn query(&self, city: &City, layer: &str) -> Result<Query, Refusal> {
        let of_bbox = System::named(city, self.bbox_crs.as_deref(), "bbox-crs")?;
        let of_filter = System::named(city, self.filter_crs.as_deref(), "filter-crs")?;
        let place = |at: DVec2| of_filter.to_city(at.extend(0.0)).truncate();
        let filter = self.filter.clone().map(|filter| filter.mapped(&place)).transpose();
        // Ended states may lie where nothing is any more.
        let margin = DVec3::splat(10_000.0);
        let extent = city.layer(layer).map_or(Extent::EMPTY, |layer| layer.extent);
        let extent = Extent { min: extent.min - margin, max: extent.max + margin };
        Ok(Query {
            shape: self.bbox.as_ref().map_or(Ok(Shape::All), |bbox| shape(bbox, &of_bbox, &extent))?,
            layers: vec![layer.to_owned()],
            at: self.period.and_then(|(from, to)| from.filter(|_| from == to)),
            filter: filter.map_err(|e| bad(format!("filter: {e}")))?,
            search: self.search.clone(),
            ..Query::default()
        })
    }

    /// Whether a hit lies in the heights and the period that are asked for.
    pub fn takes(&self, found: &Found) -> bool {
        if let Some([_, _, low, _, _, high]) = self.bbox.as_deref()
            && (found.extent.min.z > *high || found.extent.max.z < *low)
        {
            return false;
        }
        let Some((from, to)) = self.period else { return true };
        let starts_before_end = to.is_none_or(|to| found.valid_from.is_none_or(|t| t <= to));
        let ends_after_start = from.is_none_or(|from| found.valid_to.is_none_or(|t| t > from));
        starts_before_end && ends_after_start
    }
}

/// A box in a system as a shape in the city, `extent` being that of all that is there.
fn shape(bbox: &[f64], system: &System, extent: &Extent) -> Result<Shape, Refusal> {
    let half = bbox.len() / 2;
    let low = system.east_north(bbox[0], bbox[1]);
    let mut high = system.east_north(bbox[half], bbox[half + 1]);
    if low.y > high.y || (!system.is_geographic() && low.x > high.x) {
        return Err(bad("the lower corner of the bbox is above the upper one"));
    }
    if system.is_geographic() {
        if [low.y, high.y].iter().any(|lat| lat.abs() > 90.0) {
            return Err(bad("bbox: latitudes go from -90 to 90 degrees"));
        }
        // Where it crosses the date line.
        high.x += if high.x < low.x { 360.0 } else { 0.0 };
    }
    let nothing = Shape::Box { min: DVec3::INFINITY, max: DVec3::NEG_INFINITY };
    if extent.is_empty() {
        return Ok(nothing);
    }
    // What lies far from the city is cut off: its projection may bend it anywhere.
    let (mut least, mut most) = (DVec2::INFINITY, DVec2::NEG_INFINITY);
    for step in 0..9 {
        let part = DVec3::new(f64::from(step % 3) * 0.5, f64::from(step / 3) * 0.5, 0.0);
        let at = system.of_city(extent.min + extent.size() * part);
        let at = system.east_north(at.x, at.y);
        (least, most) = (least.min(at), most.max(at));
    }
    if system.is_geographic() && most.x < low.x {
        (least.x, most.x) = (least.x + 360.0, most.x + 360.0);
    }
    let margin = (most - least) * 0.1 + if system.is_geographic() { 1e-3 } else { 100.0 };
    let (low, high) = (low.max(least - margin), high.min(most + margin));
    if low.cmpgt(high).any() {
        return Ok(nothing);
    }
    let corners = [(low.x, low.y), (high.x, low.y), (high.x, high.y), (low.x, high.y)];
    let ring = Region::polygon(corners.map(Into::into).to_vec());
    let place = |at: DVec2| system.city_of_east_north(at.extend(0.0)).truncate();
    ring.and_then(|ring| ring.mapped(&place)).map(Shape::touching).map_err(|e| bad(format!("bbox: {e}")))
}

/// An instant, or an interval whose ends may be `..` or nothing.
fn period(text: &str) -> Result<(Option<i64>, Option<i64>), Refusal> {
    let time = |word: &str| match word {
        "" | ".." => Ok(None),
        word => query::parse_time(word).map(Some).ok_or_else(|| bad(format!("datetime: {word:.40} is no time"))),
    };
    match text.split_once('/') {
        Some((from, to)) => {
            let (from, to) = (time(from)?, time(to)?);
            let is_turned = from.zip(to).is_some_and(|(from, to)| from > to);
            if is_turned { Err(bad("datetime ends before it begins")) } else { Ok((from, to)) }
        }
        None => {
            let at = time(text)?.ok_or_else(|| bad("datetime takes a time or an interval"))?;
            Ok((Some(at), Some(at)))
        }
    }
}
