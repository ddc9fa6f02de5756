//! A question answered.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use glam::{DVec2, DVec3};

use super::{
    Filter, Found, Hit, LayerIndex, Query, Region, Shape, Subject, geojson::time_text, hit::Values, ranked::Ranked,
    ray::Ray, region::FARTHEST_M,
};
use crate::{
    model::{Extent, Value},
    store::{City, HeldRow, HeldRows, LayerEntry, Row, Rows, StoreError, read_shape, read_shapes, read_values},
};

/// What the entry into a box may differ from that into what it holds by rounding, metres.
const ROUNDING_M: f64 = 1e-6;

/// Answers `query` on the open version of `city`. The order is always the same: by distance for `Near` and `Ray`, by how well
/// they fit where names are searched, else layer by layer in the order of their files. The index of a layer is made at its first question.
pub fn run<'a>(city: &'a City, query: &'a Query) -> Result<Hits<'a>, StoreError> {
    if let Some(version) = query.version.filter(|version| *version != city.version()) {
        return Err(StoreError::NoVersion { city: city.folder().to_path_buf(), version });
    }
    let mut layers = VecDeque::new();
    for layer in city.layers().iter().filter(|layer| may_hold(query, layer)) {
        layers.push_back(layer.name.clone());
    }
    for name in &query.layers {
        if city.layer(name).is_none() {
            return Err(StoreError::NoLayer(name.clone()));
        }
    }
    let mut hits = Hits {
        city,
        query,
        boxed: Boxed::default(),
        layers,
        layer: "".into(),
        files: VecDeque::new(),
        reader: None,
        sorted: None,
        ranked: None,
        to_skip: query.offset,
        left: query.limit.unwrap_or(usize::MAX),
    };
    match &query.shape {
        Shape::Near { at, z, radius_m, limit } => hits.sorted = Some(nearest(&mut hits, *at, *z, *radius_m, *limit)?),
        Shape::Ray { origin, direction, max_m } => {
            let direction = direction.normalize_or_zero();
            hits.sorted = Some(on_ray(&mut hits, Ray { origin: *origin, direction, max_m: *max_m })?);
        }
        _ => {
            if let Some(search) = &query.search {
                let layers: Vec<String> = std::mem::take(&mut hits.layers).into();
                hits.ranked = Some(Ranked::new(city, query, search, &layers)?);
            }
        }
    }
    Ok(hits)
}

/// The answer, hit by hit.
pub struct Hits<'a> {
    city: &'a City,
    query: &'a Query,
    boxed: Boxed,
    layers: VecDeque<String>,
    layer: Arc<str>,
    /// Files of the current layer still to be read, with the rows to read of each.
    files: VecDeque<(PathBuf, Option<Vec<u32>>)>,
    reader: Option<HeldRows>,
    /// Answers by distance are made whole and handed out from here.
    sorted: Option<std::vec::IntoIter<Hit>>,
    /// Answers by how well their names fit come from here.
    ranked: Option<Ranked<'a>>,
    to_skip: usize,
    left: usize,
}

impl Iterator for Hits<'_> {
    type Item = Result<Found, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_hit()?.and_then(Hit::found))
    }
}

impl Hits<'_> {
    /// The next hit as it was found.
    pub fn next_hit(&mut self) -> Option<Result<Hit, StoreError>> {
        if self.left == 0 {
            return None;
        }
        loop {
            let hit = match &mut self.sorted {
                Some(sorted) => sorted.next()?,
                None => match self.advance() {
                    Ok(hit) => hit?,
                    Err(e) => {
                        self.left = 0;
                        return Some(Err(e));
                    }
                },
            };
            if self.to_skip > 0 {
                self.to_skip -= 1;
                continue;
            }
            self.left -= 1;
            return Some(Ok(hit));
        }
    }

    /// The next hit in the order of layers and files.
    fn advance(&mut self) -> Result<Option<Hit>, StoreError> {
        if let Some(ranked) = &mut self.ranked {
            let boxed = &self.boxed;
            return ranked.next(&mut |layer, row| accept(self.query, boxed, layer, row, None));
        }
        loop {
            while let Some(row) = self.reader.as_mut().and_then(Iterator::next) {
                if let Some(hit) = accept(self.query, &self.boxed, &self.layer, row?, None)? {
                    return Ok(Some(hit));
                }
            }
            if let Some((path, rows)) = self.files.pop_front() {
                let rows = rows.as_deref().map_or(Rows::All, Rows::These);
                self.reader = Some(HeldRows::open(&path, rows)?);
                continue;
            }
            self.reader = None;
            let Some(layer) = self.layers.pop_front() else {
                return Ok(None);
            };
            self.files = candidates(self.city, &layer, self.query)?;
            self.layer = layer.into();
        }
    }
}

/// Whether a layer can hold hits at all.
pub(super) fn may_hold(query: &Query, layer: &LayerEntry) -> bool {
    let is_named = query.layers.is_empty() || query.layers.contains(&layer.name);
    if with_ended(query) && layer.ended > 0 {
        // Classes and extent are those of what is there now.
        return is_named;
    }
    let has_class = query.classes.is_empty() || query.classes.iter().any(|c| layer.classes.contains_key(c.word()));
    is_named && has_class && box_of(&query.shape).is_none_or(|wanted| layer.extent.overlaps(&wanted))
}

/// Whether states that are not valid any more may be hits: only where a time is asked for.
pub(super) fn with_ended(query: &Query) -> bool {
    query.at.is_some()
}

/// The box outside of which nothing is wanted.
pub(super) fn box_of(shape: &Shape) -> Option<Extent> {
    match shape {
        Shape::Box { min, max } => Some(Extent { min: *min, max: *max }),
        Shape::Within { region, distance_m } => {
            let by = DVec2::splat(*distance_m).extend(0.0);
            Some(Extent { min: region.extent().min - by, max: region.extent().max + by })
        }
        _ => None,
    }
}

/// Rows of the index that may be hits.
fn rows_in(index: &LayerIndex, shape: &Shape, wanted: &Extent) -> Result<Vec<(usize, Vec<u32>)>, StoreError> {
    let Shape::Within { region, distance_m } = shape else {
        return index.in_box(wanted);
    };
    let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for wanted in region.boxes(*distance_m) {
        index.each_in_box(&wanted, &mut |(part, row), _| rows.entry(part).or_default().push(row))?;
    }
    // Boxes along a path overlap.
    for rows in rows.values_mut() {
        rows.sort_unstable();
        rows.dedup();
    }
    Ok(rows.into_iter().collect())
}

/// The files of a layer with the rows that may be hits.
pub(super) fn candidates(
    city: &City,
    layer: &str,
    query: &Query,
) -> Result<VecDeque<(PathBuf, Option<Vec<u32>>)>, StoreError> {
    let in_filter = query.filter.as_ref().and_then(Filter::bounds);
    let Some(wanted) = box_of(&query.shape).or(in_filter) else {
        let entry = city.layer(layer).ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        let ended = entry.ended_files.iter().filter(|_| with_ended(query));
        let paths = entry.object_files.iter().chain(ended).map(|f| crate::store::join_inside(city.folder(), f));
        return paths.map(|path| Ok((path?, None))).collect();
    };
    let index = city.index(layer, with_ended(query))?;
    let found = rows_in(&index, &query.shape, &wanted)?;
    Ok(found.into_iter().map(|(part, rows)| (index.path(part).to_path_buf(), Some(rows))).collect())
}

/// The row as a hit, when it is one.
pub(super) fn accept(
    query: &Query,
    boxed: &Boxed,
    layer: &Arc<str>,
    row: Arc<HeldRow>,
    distance_m: Option<f64>,
) -> Result<Option<Hit>, StoreError> {
    if query.until.is_some_and(|until| std::time::Instant::now() >= until) {
        return Err(StoreError::OutOfTime);
    }
    let any = |empty: bool, held: bool| empty || held;
    let is_wanted = any(query.classes.is_empty(), query.classes.contains(&row.class))
        && any(query.stages.is_empty(), query.stages.contains(&row.stage))
        && any(query.domains.is_empty(), query.domains.contains(&row.domain))
        && query.at.is_none_or(|at| row.valid_from.is_none_or(|t| t <= at) && row.valid_to.is_none_or(|t| at < t));
    let is_wanted = is_wanted
        && query.search.as_ref().is_none_or(|search| search.finds_object(layer, &row.id, row.name.as_deref()));
    let in_shape = if is_wanted { is_in_shape(query, boxed, &row)? } else { None };
    let Some(distance_to_shape) = in_shape else {
        return Ok(None);
    };
    let mut attributes = None;
    if let Some(filter) = &query.filter {
        let values = read_values(&row.attributes).map_err(|e| row.damaged(e))?;
        let asked = AskedRow { layer, row: &row, attributes: &values, damage: OnceCell::new() };
        let holds = filter.holds(&asked);
        if let Some(error) = asked.damage.into_inner() {
            return Err(error);
        }
        if !holds {
            return Ok(None);
        }
        attributes = Some(values);
    }
    let distance_m = distance_m.or(distance_to_shape);
    Ok(Some(Hit { row, layer: layer.clone(), distance_m, exact: None, attributes }))
}

/// A row that a condition is asked about.
struct AskedRow<'a> {
    layer: &'a str,
    row: &'a HeldRow,
    attributes: &'a Values,
    /// Why it could not be told what its shape meets.
    damage: OnceCell<StoreError>,
}

impl Subject for AskedRow<'_> {
    fn value(&self, field: &str) -> Option<Value> {
        let row: &Row = self.row;
        let text = |t: &str| Some(Value::Text(t.into()));
        let time = |ms: Option<i64>| ms.and_then(time_text).map(Value::Text);
        let own = match field {
            "id" => text(&row.id),
            "layer" => text(self.layer),
            "class" => text(row.class.word()),
            "stage" => text(row.stage.word()),
            "domain" => text(row.domain.word()),
            "name" => row.name.as_deref().and_then(text),
            "parent" => row.parent.as_deref().and_then(text),
            "z_min" => (!row.extent.is_empty()).then_some(Value::Real(row.extent.min.z)),
            "z_max" => (!row.extent.is_empty()).then_some(Value::Real(row.extent.max.z)),
            "valid_from" => time(row.valid_from),
            "valid_to" => time(row.valid_to),
            _ => None,
        };
        own.or_else(|| Some(self.attributes.iter().find(|(key, _)| &**key == field)?.1.clone()))
    }

    fn meets(&self, region: &Region) -> Option<bool> {
        if self.row.extent.is_empty() {
            return None;
        }
        if !self.row.extent.overlaps(region.extent()) {
            return Some(false);
        }
        match self.row.footprint() {
            Ok(footprint) => Some(region.distance(footprint, 0.0).is_some()),
            Err(error) => {
                // The first of them is told.
                let _ = self.damage.set(error);
                None
            }
        }
    }
}

/// Whether the row lies in the shape; with its distance where that is asked for.
fn is_in_shape(query: &Query, boxed: &Boxed, row: &HeldRow) -> Result<Option<Option<f64>>, StoreError> {
    let Some(wanted) = box_of(&query.shape) else {
        return Ok(Some(None));
    };
    if row.extent.is_empty() || !row.extent.overlaps(&wanted) {
        return Ok(None);
    }
    if let Shape::Within { region, distance_m } = &query.shape {
        let distance = region.distance(row.footprint()?, *distance_m);
        return Ok(distance.map(|d| (*distance_m > 0.0).then_some(d)));
    }
    let (low, high) = (wanted.min.truncate(), wanted.max.truncate());
    let holds_all = low.cmple(row.extent.min.truncate()).all() && high.cmpge(row.extent.max.truncate()).all();
    let is_hit = holds_all || {
        let footprint = row.footprint()?;
        let is_inside = |v: &DVec3| low.cmple(v.truncate()).all() && high.cmpge(v.truncate()).all();
        footprint.vertices().any(is_inside)
            || boxed.of(&query.shape).is_none_or(|region| region.distance(footprint, 0.0).is_some())
    };
    Ok(is_hit.then_some(None))
}

/// The box of a question as a region in plan, made when it is first wanted; none where it has no end.
#[derive(Default)]
pub(super) struct Boxed(OnceCell<Option<Region>>);

impl Boxed {
    fn of(&self, shape: &Shape) -> Option<&Region> {
        self.0.get_or_init(|| region_of_box(shape)).as_ref()
    }
}

fn region_of_box(shape: &Shape) -> Option<Region> {
    let Shape::Box { min, max } = shape else { return None };
    let limit = DVec2::splat(FARTHEST_M);
    let (low, high) = (min.truncate(), max.truncate());
    if !(low.is_finite() && high.is_finite()) {
        return None;
    }
    let (low, high) = (low.clamp(-limit, limit), high.clamp(-limit, limit));
    Region::polygon(vec![low, DVec2::new(high.x, low.y), high, DVec2::new(low.x, high.y)]).ok()
}

/// Exact distance to the row's footprint, with its z range when a height is given.
fn distance(row: &HeldRow, at: DVec2, z: Option<f64>) -> Result<f64, StoreError> {
    let plan = row.footprint()?.distance_in_plan(at);
    let up = z.map_or(0.0, |z| (row.extent.min.z - z).max(z - row.extent.max.z).max(0.0));
    Ok(plan.hypot(up))
}

fn nearest(
    hits: &mut Hits<'_>,
    at: DVec2,
    z: Option<f64>,
    radius_m: f64,
    limit: usize,
) -> Result<std::vec::IntoIter<Hit>, StoreError> {
    let (city, query) = (hits.city, hits.query);
    let mut best: Vec<Hit> = Vec::new();
    if limit == 0 {
        return Ok(best.into_iter());
    }
    for layer in std::mem::take(&mut hits.layers) {
        let index = city.index(&layer, with_ended(query))?;
        let layer: Arc<str> = layer.into();
        let mut candidates = index.nearest(at, z);
        let mut batch = limit.clamp(1, 1024);
        loop {
            // Boxes come by a lower bound of their distance: stop when no later one can be nearer than the last hit.
            let worst = if best.len() < limit { radius_m } else { last_distance(&best).min(radius_m) };
            let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
            let mut taken = 0;
            while taken < batch
                && let Some((_, (part, row))) = candidates.next_within(worst)?
            {
                rows.entry(part).or_default().push(row);
                taken += 1;
            }
            if taken == 0 {
                break;
            }
            for (part, mut rows) in rows {
                rows.sort_unstable();
                for row in HeldRows::open(index.path(part), Rows::These(&rows))? {
                    let row = row?;
                    let distance_m = distance(&row, at, z)?;
                    if distance_m <= radius_m {
                        best.extend(accept(query, &hits.boxed, &layer, row, Some(distance_m))?);
                    }
                }
            }
            best.sort_by(by_distance);
            best.truncate(limit);
            batch = (batch * 2).min(8192);
        }
    }
    Ok(best.into_iter())
}

fn last_distance(best: &[Hit]) -> f64 {
    best.last().and_then(|f| f.distance_m).unwrap_or(f64::INFINITY)
}

fn by_distance(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    let key = |hit: &Hit| hit.distance_m.unwrap_or(f64::INFINITY);
    key(a).total_cmp(&key(b)).then_with(|| a.row.id.cmp(&b.row.id))
}

/// Candidates are met in the order in which the ray enters their boxes, so that no shape is read behind the last hit that is wanted.
fn on_ray(hits: &mut Hits<'_>, ray: Ray) -> Result<std::vec::IntoIter<Hit>, StoreError> {
    let (city, query) = (hits.city, hits.query);
    let mut found = Vec::new();
    let enough = hits.to_skip.saturating_add(hits.left);
    if ray.direction == DVec3::ZERO || enough == 0 {
        return Ok(found.into_iter());
    }
    for layer in std::mem::take(&mut hits.layers) {
        let index = city.index(&layer, with_ended(query))?;
        let layer: Arc<str> = layer.into();
        let candidates = index.on_ray(ray.origin, ray.direction, ray.max_m)?;
        let (mut rest, mut batch) = (candidates.as_slice(), enough.clamp(8, 1024));
        loop {
            let worst = if found.len() < enough { ray.max_m } else { last_distance(&found) };
            let come_to = rest.iter().take(batch).take_while(|(enters, _)| *enters <= worst + ROUNDING_M).count();
            if come_to == 0 {
                break;
            }
            let (now, later) = rest.split_at(come_to);
            (rest, batch) = (later, (batch * 2).min(8192));
            let mut rows: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
            now.iter().for_each(|(_, (part, row))| rows.entry(*part).or_default().push(*row));
            for (part, mut rows) in rows {
                rows.sort_unstable();
                meet(query, &layer, index.path(part), &rows, &ray, &mut found)?;
            }
            found.sort_by(by_distance);
            found.truncate(enough);
        }
    }
    Ok(found.into_iter())
}

/// Of these rows of a file those that the ray meets.
fn meet(
    query: &Query,
    layer: &Arc<str>,
    path: &Path,
    rows: &[u32],
    ray: &Ray,
    found: &mut Vec<Hit>,
) -> Result<(), StoreError> {
    // First who is wanted, by box and words; then their shapes alone, since one may be megabytes of a DEM.
    let (mut boxed, mut numbers) = (VecDeque::new(), Vec::new());
    let nowhere = Boxed::default();
    for (row, number) in HeldRows::open(path, Rows::These(rows))?.zip(rows) {
        let row = row?;
        let Some(distance_m) = ray.enter_box(&row.extent) else { continue };
        let kind = row.kind;
        let Some(hit) = accept(query, &nowhere, layer, row, Some(distance_m))? else { continue };
        if kind.is_in_tiles_only() || kind.has_parts() {
            found.push(Hit { exact: Some(false), ..hit });
        } else {
            boxed.push_back((kind, hit));
            numbers.push(*number);
        }
    }
    if numbers.is_empty() {
        return Ok(());
    }
    let mut outcome = Ok(());
    read_shapes(path, &numbers, &mut |shape| {
        let Some((kind, hit)) = boxed.pop_front() else { return false };
        match read_shape(kind, shape) {
            Ok(shape) => {
                if let Some(met) = ray.enter(&shape, &hit.row.extent) {
                    found.push(Hit { distance_m: Some(met.distance_m), exact: Some(met.is_exact), ..hit });
                }
            }
            Err(error) => outcome = Err(hit.row.damaged(error)),
        }
        outcome.is_ok()
    })?;
    outcome
}
