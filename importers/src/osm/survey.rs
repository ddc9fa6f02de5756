//! The first passes: which blobs hold what, which nodes are needed, which relations are areas.

use std::sync::Arc;

use super::{
    Reading, WAYS,
    blob::BlobKind,
    block::{Block, Element, FileHeader, MemberKind, Stop, Wanted},
    class::{Form, Found, Role, classify, tag},
    form,
    place::{self, MAX_NODES},
    refuse_unknown,
    ring::{self, Ring},
    thing::Things,
};
use crate::ImportError;

/// Blobs that are remembered at most; 32 MiB each, the planet has some ten thousands.
const MAX_BLOBS: usize = 4 << 20;
/// Memory that relations may take, bytes.
const MAX_RELATION_BYTES: usize = 512 << 20;

/// A blob with something in it.
pub(super) struct BlobAt {
    pub at: u64,
    pub holds: Wanted,
    pub has_parts: bool,
}

/// A multipolygon that becomes an object.
pub(super) struct AreaRelation {
    pub id: i64,
    pub tags: Vec<(Arc<str>, String)>,
    pub found: Found,
    /// Member ways, with whether their role is `inner`.
    members: Vec<(i64, bool)>,
}

/// The multipolygons and the ways that they are made of.
#[derive(Default)]
pub(super) struct Relations {
    pub list: Vec<AreaRelation>,
    bytes: usize,
    /// Ids of member ways, sorted; where the nodes of each stand in `refs`.
    ways: Vec<i64>,
    spans: Vec<(usize, usize)>,
    refs: Vec<i64>,
}

/// What the first passes found.
pub(super) struct Survey {
    pub index: Vec<BlobAt>,
    pub wanted: place::Wanted,
    pub relations: Relations,
}

/// Tagged elements that no object is made of.
#[derive(Default)]
struct LeftOut {
    nodes: u64,
    ways: u64,
    relations: u64,
}

impl Survey {
    /// Reads the whole file once. Objects that are single nodes are made here.
    pub fn take(reading: &mut Reading, things: &mut Things<'_>) -> Result<Self, ImportError> {
        let mut survey =
            Self { index: Vec::new(), wanted: place::Wanted::new(MAX_NODES), relations: Relations::default() };
        let mut left_out = LeftOut::default();
        let mut has_header = false;
        let all = Wanted { nodes: true, ways: true, relations: true };
        loop {
            let at = reading.blobs.position();
            let Some(kind) = reading.blobs.next(&mut reading.bytes)? else { break };
            let bad = |fault: &str| reading.blobs.bad(at, fault);
            match kind {
                BlobKind::Header if has_header => return Err(bad("a second header: two files joined end to end?")),
                BlobKind::Header => {
                    let header = FileHeader::read(&reading.bytes).map_err(bad)?;
                    refuse_unknown(&reading.blobs, &header)?;
                    has_header = true;
                    continue;
                }
                BlobKind::Other => {
                    things.report.warn("unknown_blob", "blobs of unknown kind were left out", format!("byte {at}"));
                    continue;
                }
                BlobKind::Data if !has_header => return Err(bad("data stands before the header")),
                BlobKind::Data => {}
            }
            let block = Block::read(&reading.bytes).map_err(bad)?;
            if block.damaged_strings > 0 {
                let message = "texts that are no UTF-8 read as \u{fffd}";
                things.report.warn("text_damaged", message, format!("blob at byte {at}"));
            }
            let mut entry = BlobAt { at, holds: block.contents().map_err(bad)?, has_parts: false };
            let taken = block.each(all, &mut |element| {
                survey.element(element, &mut entry, &mut left_out, things).map_err(|stop| match stop {
                    Stop::Fault(fault) => bad(fault),
                    Stop::Taker(error) => error,
                })
            });
            match taken {
                Ok(()) => {}
                Err(Stop::Fault(fault)) => return Err(bad(fault)),
                Err(Stop::Taker(error)) => return Err(error),
            }
            survey.index.push(entry);
            if survey.index.len() > MAX_BLOBS {
                return Err(bad("more blobs than any file has"));
            }
            things.out.progress((reading.blobs.position() as f32 / reading.blobs.length.max(1) as f32 / 6.0).min(1.0));
        }
        if !has_header {
            return Err(reading.blobs.bad(0, "no header"));
        }
        left_out.explain(things);
        Ok(survey)
    }

    fn element(
        &mut self,
        element: Element<'_>,
        entry: &mut BlobAt,
        left_out: &mut LeftOut,
        things: &mut Things<'_>,
    ) -> Result<(), Stop<ImportError>> {
        match element {
            Element::Node { id, lon, lat, tags } => match classify(tags, Form::Node) {
                Some(found) => things.node(id, lon, lat, tags, &found).map_err(Stop::Taker)?,
                None => left_out.nodes += u64::from(!tags.is_empty()),
            },
            Element::Way { refs, tags, .. } => match classify(tags, form(refs)) {
                Some(found) => {
                    entry.has_parts |= found.part == Role::Part;
                    self.want(refs, things)?;
                }
                None => left_out.ways += u64::from(!tags.is_empty()),
            },
            Element::Relation { id, members, tags } => {
                let is_area = tag(tags, "type") == Some("multipolygon");
                match classify(tags, Form::Multipolygon).filter(|_| is_area) {
                    Some(found) => {
                        let members = members.iter().filter(|(kind, ..)| *kind == MemberKind::Way);
                        let relation = AreaRelation {
                            id,
                            tags: tags.iter().map(|(k, v)| (things.word(k), (*v).to_owned())).collect(),
                            found,
                            members: members.map(|(_, way, role)| (*way, *role == "inner")).collect(),
                        };
                        let text: usize = relation.tags.iter().map(|(_, v)| v.len() + 48).sum();
                        self.relations.bytes += 128 + text + relation.members.len() * 24;
                        if self.relations.bytes > MAX_RELATION_BYTES {
                            return Err(Stop::Fault(
                                "its multipolygons need more than 512 MiB: cut a smaller piece first",
                            ));
                        }
                        self.relations.list.push(relation);
                    }
                    None => left_out.relations += u64::from(!tags.is_empty()),
                }
            }
        }
        Ok(())
    }

    fn want(&mut self, refs: &[i64], things: &Things<'_>) -> Result<(), Stop<ImportError>> {
        self.wanted.add(refs).map_err(|reason| {
            let path = things.job.path.to_path_buf();
            Stop::Taker(ImportError::Bad { path, place: "nodes".into(), reason })
        })
    }

    /// Reads the ways that the multipolygons are made of; most of them have no tags of their own.
    pub fn find_members(&mut self, reading: &mut Reading, things: &mut Things<'_>) -> Result<(), ImportError> {
        let relations = &mut self.relations;
        relations.ways = relations.list.iter().flat_map(|r| &r.members).map(|(way, _)| *way).collect();
        relations.ways.sort_unstable();
        relations.ways.dedup();
        relations.spans = vec![(0, 0); relations.ways.len()];
        if relations.ways.is_empty() {
            return Ok(());
        }
        for blob in self.index.iter().filter(|blob| blob.holds.ways) {
            reading.load(blob.at, things.out)?;
            let too_many = |reason: String| ImportError::Bad {
                path: things.job.path.to_path_buf(),
                place: "nodes".into(),
                reason,
            };
            reading.each(blob.at, WAYS, &mut |element| {
                let Element::Way { id, refs, .. } = element else { return Ok(()) };
                let Ok(index) = relations.ways.binary_search(&id) else { return Ok(()) };
                relations.spans[index] = (relations.refs.len(), relations.refs.len() + refs.len());
                relations.refs.extend_from_slice(refs);
                if relations.refs.len() > MAX_NODES {
                    return Err(too_many("its multipolygons have too many nodes: cut a smaller piece first".into()));
                }
                self.wanted.add(refs).map_err(too_many)
            })?;
        }
        Ok(())
    }
}

impl Relations {
    /// Rings of a relation; how many of its ways are not in the file, and how many close no ring.
    pub fn rings(&self, relation: &AreaRelation) -> (Vec<Ring>, usize, usize) {
        let mut ways: Vec<(&[i64], bool)> = Vec::with_capacity(relation.members.len());
        let mut missing = 0;
        for (way, is_inner) in &relation.members {
            let span = self.ways.binary_search(way).ok().and_then(|index| self.spans.get(index)).copied();
            match span.and_then(|(from, to)| self.refs.get(from..to)).filter(|refs| !refs.is_empty()) {
                Some(refs) => ways.push((refs, *is_inner)),
                None => missing += 1,
            }
        }
        let (rings, open) = ring::join(&ways);
        (rings, missing, open)
    }
}

impl LeftOut {
    fn explain(&self, things: &mut Things<'_>) {
        if self.nodes + self.ways + self.relations > 0 {
            let message = format!(
                "{} nodes, {} ways and {} relations with tags were left out: they are no buildings, roads, railways, \
                 water, greenery, land use, trees, lamps or street furniture",
                self.nodes, self.ways, self.relations
            );
            things.report.warn("left_out", message, "");
        }
    }
}
