//! What is to be done for each layer of an import: which of its sources are read, and what of it stays.

use std::collections::BTreeMap;

use groundline_engine::store::{City, Draft, SourceRef};

use super::{IntakeError, Request, placed::Placed};
use crate::Kind;

/// What is to be done for one layer.
pub(super) struct Plan {
    pub layer: String,
    /// The sources that the layer will have been made from.
    pub refs: Vec<SourceRef>,
    /// For each source that it was made from, which of `refs` it is when its objects stay.
    pub kept: Vec<Option<u32>>,
    /// Sources to read, as their number in the import and in `refs`.
    pub read: Vec<(usize, u32)>,
    /// All sources of the import that go into the layer.
    pub members: Vec<usize>,
    /// Sources of the layer that are not part of the import and stay.
    pub others: Vec<String>,
    /// Whether what is read may be terrain or its picture, on which other layers stand.
    pub is_ground: bool,
    /// Whether the city holds these sources as they are.
    pub is_unchanged: bool,
    /// Whether the import names every source of the layer.
    pub is_whole: bool,
}

impl Plan {
    /// Reads every source although none changed.
    pub fn read_all(&mut self) {
        self.is_unchanged = false;
        self.kept.fill(None);
    }

    /// The plan without the sources of these numbers, which cannot be read: one that the layer `held` keeps the objects that
    /// it had, where `can_keep`. `None` when nothing is left to read, or the layer must stay as it is.
    pub fn without(&self, failed: &[usize], held: &[SourceRef], can_keep: bool) -> Option<Self> {
        let is_failed = |number: &usize| failed.contains(number);
        let mut plan = Self {
            layer: self.layer.clone(),
            refs: Vec::new(),
            kept: self.kept.clone(),
            read: Vec::new(),
            members: self.members.iter().copied().filter(|number| !is_failed(number)).collect(),
            others: self.others.clone(),
            is_ground: self.is_ground,
            is_unchanged: false,
            is_whole: self.is_whole,
        };
        for (place, new) in self.refs.iter().enumerate() {
            let source = self.read.iter().find(|(_, at)| *at as usize == place);
            match source {
                // Sources that the layer held come first, in their order.
                Some((number, _)) if is_failed(number) => {
                    if let Some(old) = held.get(place) {
                        plan.kept[place] = Some(plan.refs.len() as u32);
                        plan.refs.push(old.clone());
                    }
                }
                Some((number, _)) => {
                    plan.read.push((*number, plan.refs.len() as u32));
                    plan.refs.push(new.clone());
                }
                None => plan.refs.push(new.clone()),
            }
        }
        let keeps_failed = self.read.iter().any(|(number, at)| is_failed(number) && (*at as usize) < held.len());
        (!plan.read.is_empty() && (can_keep || !keeps_failed)).then_some(plan)
    }
}

/// A source of the import that goes into a layer.
struct Member {
    number: usize,
    new: SourceRef,
    /// Which source of the layer it is.
    held: Option<usize>,
}

/// Plans every layer; sets the first parts of ids, which must stay what they were.
pub(super) fn plan(
    draft: &Draft,
    city: &City,
    sources: &mut [Placed],
    request: &Request,
) -> Result<Vec<Plan>, IntakeError> {
    let mut layers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, placed) in sources.iter().enumerate() {
        layers.entry(placed.source.layer.clone()).or_default().push(number);
    }
    let mut plans = Vec::new();
    for (layer, numbers) in layers {
        let held = city.layer(&layer).map_or(Vec::new(), |l| l.sources.clone());
        let mut members: Vec<Member> = Vec::new();
        for number in numbers {
            let member = member(number, &layer, &held, &members, sources, request);
            sources[number].source.id_prefix = member.new.prefix.clone().unwrap_or_default();
            members.push(member);
        }
        plans.push(plan_layer(draft, layer, held, members, sources, request)?);
    }
    Ok(plans)
}

/// The source as one of its layer's, with the first part of its ids: the one that it had, else the layer's name, else
/// one that no other source of the layer has.
fn member(
    number: usize,
    layer: &str,
    held: &[SourceRef],
    before: &[Member],
    sources: &[Placed],
    request: &Request,
) -> Member {
    let placed = &sources[number];
    let shown = placed.source.shown.as_str();
    let is_free = |index: usize| before.iter().all(|m| m.held != Some(index));
    let of_own = format!("{layer}/{}", placed.source.own);
    // Cities made before prefixes were written down follow the rule by which they were made.
    let prefix_of = |old: &SourceRef| {
        old.prefix.clone().unwrap_or_else(|| if held.len() == 1 { layer.to_owned() } else { of_own.clone() })
    };
    let by_path = (0..held.len()).find(|i| is_free(*i) && same_file(shown, &held[*i].path));
    let by_content = || {
        let mut hashes: BTreeMap<String, String> = BTreeMap::new();
        (0..held.len()).filter(|i| is_free(*i)).find(|i| {
            let prefix = prefix_of(&held[*i]);
            *hashes.entry(prefix.clone()).or_insert_with(|| placed.hash(request, &prefix)) == held[*i].hash
        })
    };
    let found = by_path.or_else(by_content);
    let prefix = match found {
        Some(index) => prefix_of(&held[index]),
        None if held.is_empty() => placed.source.id_prefix.clone(),
        None => {
            let is_taken = |prefix: &str| {
                held.iter().any(|old| prefix_of(old) == prefix)
                    || before.iter().any(|m| m.new.prefix.as_deref() == Some(prefix))
            };
            let stem = |path: &std::path::Path| path.file_name().map(|n| n.to_string_lossy().replace('.', "_"));
            let folder = placed.source.path.parent().and_then(stem).unwrap_or_default();
            let name = stem(&placed.source.path).unwrap_or_default();
            let tries = [of_own.clone(), format!("{layer}/{name}"), format!("{layer}/{folder}-{name}")];
            let free = tries.into_iter().find(|t| !is_taken(t));
            free.unwrap_or_else(|| format!("{layer}/{}-{}", placed.source.own, held.len() + before.len()))
        }
    };
    let hash = placed.hash(request, &prefix);
    Member { number, new: SourceRef { path: shown.to_owned(), hash, prefix: Some(prefix) }, held: found }
}

fn plan_layer(
    draft: &Draft,
    layer: String,
    held: Vec<SourceRef>,
    members: Vec<Member>,
    sources: &[Placed],
    request: &Request,
) -> Result<Plan, IntakeError> {
    let is_same = |m: &Member| m.held.is_some_and(|index| held[index].hash == m.new.hash);
    let is_named = |index: usize| members.iter().any(|m| m.held == Some(index));
    let others: Vec<String> =
        (0..held.len()).filter(|index| !is_named(*index)).map(|index| held[index].path.clone()).collect();
    let mut plan = Plan {
        refs: Vec::new(),
        kept: vec![None; held.len()],
        read: Vec::new(),
        members: members.iter().map(|m| m.number).collect(),
        is_ground: false,
        is_unchanged: members.iter().all(is_same),
        is_whole: others.is_empty(),
        others,
        layer,
    };
    if let Some(lost) = plan.others.first().filter(|_| !plan.is_unchanged) {
        if request.layer.is_none() {
            return Err(IntakeError::Usage(format!(
                "layer {layer} holds the objects of {lost}: say --layer {layer} to add these to them, give another \
                 --layer, or import both sources together",
                layer = plan.layer
            )));
        }
        if !draft.can_keep(&plan.layer) {
            return Err(IntakeError::Usage(format!(
                "layer {} holds the objects of {lost}, which this import cannot keep, since their shapes are in its tiles \
                 alone (a BIM or a scan): give another --layer, or import all its sources together",
                plan.layer
            )));
        }
    }
    let can_keep = !plan.is_unchanged && draft.can_keep(&plan.layer);
    // A source keeps its number in the layer; new ones follow.
    for (index, old) in held.iter().enumerate() {
        let place = plan.refs.len() as u32;
        match members.iter().find(|m| m.held == Some(index)) {
            Some(m) => {
                if can_keep && is_same(m) {
                    plan.kept[index] = Some(place);
                } else {
                    plan.read.push((m.number, place));
                }
                plan.refs.push(m.new.clone());
            }
            None => {
                plan.kept[index] = Some(place);
                plan.refs.push(old.clone());
            }
        }
    }
    for m in members.iter().filter(|m| m.held.is_none()) {
        plan.read.push((m.number, plan.refs.len() as u32));
        plan.refs.push(m.new.clone());
    }
    plan.read.sort_unstable();
    let is_ground = |kind: Kind| matches!(kind, Kind::Terrain | Kind::Imagery);
    plan.is_ground = plan.read.iter().any(|(number, _)| is_ground(sources[*number].source.probe.kind));
    Ok(plan)
}

/// Whether two paths as named by users mean the same file; compares names only where one is gone.
fn same_file(a: &str, b: &str) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
