//! A delivery of a few objects (增量入库): they take the place of those with the same ids, everything else stays.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use groundline_engine::{
    model::{ImportReport, ObjectId},
    store::{City, Edit},
};

use super::{
    IntakeError, Progress, Request, finished, name_crs,
    reading::{self, Taker},
    watch::Watch,
};
use crate::source::Found;

/// Most objects that are taken: the engine takes no more at once.
const MOST_OBJECTS: usize = 100_000;

/// Changes objects of the layer `request.layer` of a city that is there: the objects of the sources take the place of those with
/// the same ids or are new, those in `remove` go. Either all of it happens, or nothing: also where a source has a bad record.
pub fn edit(
    request: &Request,
    remove: Vec<ObjectId>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, IntakeError> {
    let started = Instant::now();
    let usage = |text: String| IntakeError::Usage(text);
    let city = City::open(&request.city)?;
    let layer = request.layer.clone().ok_or_else(|| usage("--update: --layer says which layer changes".into()))?;
    let entry = city.layer(&layer);
    let entry = entry.ok_or_else(|| usage(format!("--update: the city has no layer {layer}")))?;
    let mut report = ImportReport { city: request.city.display().to_string(), ..ImportReport::default() };
    let mut put = Vec::new();
    if !request.sources.is_empty() {
        let Found { sources, unpacked: _unpacked } =
            crate::source::find(&request.sources, request.layer.as_deref(), &request.options, &mut report)?;
        let named = name_crs(sources, request, &mut report);
        let mut placed: Vec<_> = named.into_iter().map(|n| n.placed(city.crs())).collect();
        let prefixes: Vec<&String> = entry.sources.iter().filter_map(|source| source.prefix.as_ref()).collect();
        for one in &mut placed {
            // Ids begin with what those of the layer begin with.
            match prefixes[..] {
                [] => one.source.id_prefix.clone_from(&layer),
                [only] => one.source.id_prefix.clone_from(only),
                _ if prefixes.contains(&&one.source.id_prefix) => {}
                _ => {
                    let names = prefixes.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", ");
                    let path = one.source.path.display();
                    return Err(usage(format!("--update: layer {layer} is made of {names}; {path} is none of these")));
                }
            }
        }
        let taken = Mutex::new(Vec::new());
        let tasks = reading::tasks(&placed, |_| {
            Box::new(Taker(|object| {
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                // One more than is taken says that there are too many.
                if taken.len() <= MOST_OBJECTS {
                    taken.push(object);
                }
                Ok(())
            }))
        });
        let read = reading::read_all(tasks, &mut Watch::new(&placed), city.crs(), request, 1, progress);
        report.sources.extend(read.accounts.into_values());
        put = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
        if request.stop.is_set() {
            return Err(IntakeError::Stopped { kept: 0, begun: 0 });
        }
        for source in report.sources.iter_mut().filter(|source| source.skipped > 0 && source.error.is_none()) {
            let first =
                source.skips.first().map(|skip| format!("{}: {}", skip.record, skip.reason)).unwrap_or_default();
            source.error =
                Some(format!("{}: {} bad records, so nothing is changed: {first}", source.path, source.skipped));
        }
        if report.sources.iter().any(|source| source.error.is_some()) {
            return Err(IntakeError::Nothing(Box::new(finished(report, started))));
        }
    }
    progress(Progress::Writing);
    if !request.dry_run {
        city.edit(&layer, Edit { put, remove, what: String::new() }, &mut report)?;
    }
    Ok(finished(report, started))
}
