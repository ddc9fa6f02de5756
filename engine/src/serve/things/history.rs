//! Observations: the readings that the log holds, and those in memory.

use std::{
    collections::{HashMap, HashSet},
    ops::{ControlFlow, Range},
};

use super::{bad, entity::Entity, expression::Expression, options::Options, service::Service};
use crate::{
    live::{self, Logged, payload::MAX_AHEAD_MS},
    model::ObjectId,
    serve::Refusal,
};

/// Readings that are looked at for one answer.
const MOST_GATHERED: usize = 2_000_000;

/// Observations of a page, in order.
pub(super) struct Page {
    pub entities: Vec<Entity>,
    /// How many there are in all, where that was asked for.
    pub count: Option<usize>,
    pub has_more: bool,
}

impl Service<'_> {
    /// The Observations of some sensors, or of all, within a period, by time and sensor.
    pub fn observations(&self, sensors: Option<&[u32]>, period: Range<i64>) -> Result<Vec<Entity>, Refusal> {
        let mut found: Vec<(i64, u32, f64)> = Vec::new();
        let mut is_too_much = false;
        self.each_logged(sensors, period.clone(), &mut |sensor, time_ms, value| {
            is_too_much = found.len() >= MOST_GATHERED;
            found.push((time_ms, sensor, value));
            if is_too_much { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if is_too_much {
            let way_out = "name a shorter period, such as $filter=phenomenonTime ge 2026-01-01T00:00:00Z";
            return Err(bad(format!("more than {MOST_GATHERED} readings are to be looked at: {way_out}")));
        }
        // The newest may be on their way to the disk.
        let recent =
            |sensor: u32| self.feed.state.recent(sensor).into_iter().map(move |(time, value)| (time, sensor, value));
        let within = |reading: &(i64, u32, f64)| period.contains(&reading.0);
        match sensors {
            Some(sensors) => found.extend(sensors.iter().copied().flat_map(recent).filter(within)),
            None => found.extend((0..self.feed.state.sensors().len() as u32).flat_map(recent).filter(within)),
        }
        found.sort_by_key(|(time_ms, sensor, _)| (*time_ms, *sensor));
        found.dedup_by_key(|(time_ms, sensor, _)| (*time_ms, *sensor));
        Ok(found.into_iter().map(|(time_ms, sensor, value)| Entity::Observation { sensor, time_ms, value }).collect())
    }

    /// A page of the Observations of some sensors, or of all.
    pub fn page_of_observations(&self, sensors: Option<&[u32]>, options: &Options) -> Result<Page, Refusal> {
        let period = options.filter.as_ref().map_or(i64::MIN..i64::MAX, |filter| filter.period(&[]));
        let is_kept = |entity: &Entity| match &options.filter {
            Some(filter) => filter.holds(&|path| self.look(*entity, path)),
            None => true,
        };
        let wanted = options.skip.saturating_add(options.top).saturating_add(1);
        let is_of_time = |expression: &Expression| matches!(expression, Expression::Path(path) if matches!(path.as_slice(), [one] if one == "phenomenonTime" || one == "resultTime"));
        let is_newest_first = matches!(options.order.as_slice(), [(order, true)] if is_of_time(order));
        if is_newest_first
            && !options.count
            && let Some([sensor]) = sensors
        {
            let newest = self.feed.state.recent(*sensor).into_iter().rev();
            let newest = newest.filter(|(time_ms, _)| period.contains(time_ms));
            let newest = newest.map(|(time_ms, value)| Entity::Observation { sensor: *sensor, time_ms, value });
            let found: Vec<Entity> = newest.filter(is_kept).take(wanted).collect();
            if found.len() == wanted {
                return Ok(page(found, options, None));
            }
        }
        if sensors.is_none() && options.order.is_empty() && !options.count {
            return self.page_as_written(period, options, wanted, &is_kept);
        }
        let mut found = self.observations(sensors, period)?;
        found.retain(is_kept);
        let count = found.len();
        if is_newest_first {
            found.reverse();
        } else if !options.order.is_empty() {
            found = self.ordered(found, options);
        }
        Ok(page(found, options, options.count.then_some(count)))
    }

    /// A page of all Observations in the order of their coming: nothing after it is read.
    fn page_as_written(
        &self,
        period: Range<i64>,
        options: &Options,
        wanted: usize,
        is_kept: &dyn Fn(&Entity) -> bool,
    ) -> Result<Page, Refusal> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut take = |sensor: u32, time_ms: i64, value: f64| {
            let entity = Entity::Observation { sensor, time_ms, value };
            if seen.len() < MOST_GATHERED && seen.insert((sensor, time_ms)) && is_kept(&entity) {
                found.push(entity);
            }
            if found.len() >= wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.each_logged(None, period.clone(), &mut take)?;
        for sensor in 0..self.feed.state.sensors().len() as u32 {
            let recent = self.feed.state.recent(sensor).into_iter().filter(|(time_ms, _)| period.contains(time_ms));
            if recent.into_iter().any(|(time_ms, value)| take(sensor, time_ms, value).is_break()) {
                break;
            }
        }
        Ok(page(found, options, None))
    }

    /// Reads the log; what it holds of sensors that are not registered any more is passed over.
    fn each_logged(
        &self,
        sensors: Option<&[u32]>,
        period: Range<i64>,
        take: &mut dyn FnMut(u32, i64, f64) -> ControlFlow<()>,
    ) -> Result<(), Refusal> {
        let Some(log) = &self.feed.log else { return Ok(()) };
        let state = &self.feed.state;
        let only: Option<HashMap<ObjectId, u32>> =
            sensors.map(|sensors| sensors.iter().map(|index| (self.register.sensor_id(*index), *index)).collect());
        // A time that is not believed is replaced by the arrival, before or after it.
        let read = live::replay(log.folder(), i64::MIN..i64::MAX, &mut |entry| {
            let Logged::Reading { sensor, time_ms, received_ms, value } = entry else {
                return ControlFlow::Continue(());
            };
            let time_ms = if time_ms > received_ms.saturating_add(MAX_AHEAD_MS) { received_ms } else { time_ms };
            if !period.contains(&time_ms) {
                return ControlFlow::Continue(());
            }
            let index = match &only {
                Some(only) => only.get(&sensor).copied(),
                None => state.index_of(&sensor),
            };
            index.map_or(ControlFlow::Continue(()), |index| take(index, time_ms, value))
        });
        read.map(|_| ()).map_err(|e| Refusal(axum::http::StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
    }
}

/// The part of what was found that is asked for.
pub(super) fn page(found: Vec<Entity>, options: &Options, count: Option<usize>) -> Page {
    let has_more = found.len() > options.skip.saturating_add(options.top);
    Page { entities: found.into_iter().skip(options.skip).take(options.top).collect(), count, has_more }
}
