//! Which coordinate system each source is in, and which one the city gets.

use groundline_engine::{
    crs::{Crs, Transform},
    model::{ImportReport, SourceReport},
};

use super::{IntakeError, Request};
use crate::source::Source;

/// A source with what is said of its coordinate system: by the flag, by the file, or nothing where the user
/// places it himself (a BIM in local coordinates).
pub(super) struct Named {
    pub(super) source: Source,
    pub(super) crs: Option<(Crs, String)>,
    pub(super) overridden: Option<String>,
}

impl Named {
    pub(super) fn placed(self, city: &Crs) -> Placed {
        let (crs, crs_from) = self.crs.unwrap_or_else(|| (city.clone(), "city".into()));
        Placed { source: self.source, crs, crs_from, overridden: self.overridden }
    }
}

/// A source whose coordinate system is settled.
pub(super) struct Placed {
    pub(super) source: Source,
    pub(super) crs: Crs,
    pub(super) crs_from: String,
    /// Set when the flag says something else than the file.
    pub(super) overridden: Option<String>,
}

impl Placed {
    /// The account of it before reading.
    pub(super) fn account(&self) -> SourceReport {
        let mut account = SourceReport {
            path: self.source.shown.clone(),
            format: self.source.format.name.into(),
            crs: Some(self.crs.label()),
            crs_from: self.crs_from.clone(),
            layer: self.source.layer.clone(),
            ..SourceReport::default()
        };
        if let Some((label, from)) = &self.source.probe.encoding {
            account.encoding = Some(label.clone());
            account.encoding_from = from.clone();
        }
        if let Some(heights) = &self.crs.vertical {
            let code = heights.epsg.map_or(String::new(), |code| format!(" (EPSG:{code})"));
            let message =
                format!("heights are in {}{code}; they stay in that datum: no geoid was applied", heights.name);
            account.warn("height_datum", message, "");
        }
        if let Some(named) = &self.overridden {
            let message = format!("the source says {named}; --crs {} is used as you asked", self.crs.label());
            account.warn("crs_overridden", message, "");
        }
        account
    }

    /// Hash of everything that decides what the import makes of this source.
    pub(super) fn hash(&self, request: &Request, id_prefix: &str) -> String {
        let options = &request.options;
        let said = format!(
            "{}|{}|{}|{:?}|{:?}|{:?}|{:?}|{}",
            env!("CARGO_PKG_VERSION"),
            self.source.format.name,
            id_prefix,
            options.class,
            options.stage,
            options.encoding,
            options.map,
            self.crs.proj4
        );
        let said = match self.crs.height_unit_m() {
            Some(unit_m) => format!("{said}|heights {unit_m}"),
            None => said,
        };
        self.source.content_hash(&said)
    }
}

/// Settles each source's coordinate system: the flag, else the file. A source that needs one and has none
/// is accounted for as failed.
pub(super) fn name_crs(sources: Vec<Source>, request: &Request, report: &mut ImportReport) -> Vec<Named> {
    let mut named = Vec::new();
    for source in sources {
        let (crs, overridden) = match (&request.options.crs, &source.probe.crs) {
            (Some(flag), Some(file)) if flag.proj4 != file.proj4 => {
                (Some((flag.clone(), "flag".to_owned())), Some(file.label()))
            }
            (Some(flag), file) => {
                // The flag says the same plane; what it does not say of heights the file may.
                let vertical = flag.vertical.clone().or_else(|| file.as_ref().and_then(|file| file.vertical.clone()));
                (Some((Crs { vertical, ..flag.clone() }, "flag".to_owned())), None)
            }
            (None, Some(file)) => (Some((file.clone(), source.probe.crs_from.clone())), None),
            (None, None) if !source.probe.needs_crs => (None, None),
            (None, None) => {
                report.sources.push(SourceReport {
                    path: source.shown.clone(),
                    format: source.format.name.into(),
                    layer: source.layer.clone(),
                    error: Some(missing_crs(&source)),
                    ..SourceReport::default()
                });
                continue;
            }
        };
        named.push(Named { source, crs, overridden });
    }
    // Terrain first: the others stand on it. Within a kind the user's order stays.
    named.sort_by_key(|n| n.source.probe.kind);
    named
}

/// The message for a source without a coordinate system: the flag to give, and where likely ones would place it.
fn missing_crs(source: &Source) -> String {
    let mut text = format!("{}: no coordinate system", source.shown);
    if let Some(named) = &source.probe.crs_text {
        let short: String = named.chars().take(120).collect();
        text += &format!(" that is understood (it says: {short})");
    }
    text += "; say which one with --crs EPSG:CODE";
    if crate::cloud::PLACEABLE.contains(&source.format.name) {
        text += ", or where its own coordinates go with --map place=x,y[,z[,rotation in degrees]] in the city's";
    }
    if let Some(extent) = source.probe.source_extent {
        let likely = Crs::likely(extent);
        if !likely.is_empty() {
            text += "; likely:";
            for (crs, why) in likely.iter().take(5) {
                text += &format!("\n    --crs {:<11} {} ({why})", crs.label(), crs.name);
            }
        }
    }
    text
}

/// The coordinate system for a city that starts with `sources`: the first metric projected one,
/// else the usual one for the place.
pub(super) fn city_crs(sources: &[Named]) -> Result<Crs, IntakeError> {
    let is_metric = |crs: &Crs| !crs.is_geographic && (crs.unit_m - 1.0).abs() < 1e-9;
    // The city's heights are metres in the datum of --vertical; what a source's are stays its own.
    let plane = |crs: &Crs| Crs { vertical: None, ..crs.clone() };
    let with_crs = || sources.iter().filter_map(|n| n.crs.as_ref().map(|(crs, _)| (n, crs)));
    if let Some((_, found)) = with_crs().find(|(_, crs)| is_metric(crs)) {
        return Ok(plane(found));
    }
    let degrees = Crs::from_epsg(4326)?;
    for (named, crs) in with_crs() {
        let Some([min_x, min_y, max_x, max_y]) = named.source.probe.source_extent else { continue };
        let middle = glam::DVec3::new((min_x + max_x) * 0.5, (min_y + max_y) * 0.5, 0.0);
        // A source whose coordinates are none in its system says nothing of the place; its own account says why.
        let place = Transform::new(crs, &degrees).ok().and_then(|transform| transform.point(middle));
        if let Some(found) = place.and_then(|place| Crs::city_default(place.x, place.y).ok()) {
            return Ok(found);
        }
    }
    Err(IntakeError::Usage(
        "the city's coordinate system cannot be told from these sources: say it with --crs, \
         or import one with projected coordinates first"
            .into(),
    ))
}
