//! Members to pieces: the highest level of detail of each object, with the semantics and colours of its surfaces.

use std::sync::{Mutex, MutexGuard, PoisonError};

use glam::DVec3;
use groundline_engine::model::{Class, SourceReport, Texture};
use serde::{Deserialize, Serialize};

use super::{
    Order,
    appearance::{Looks, Materials},
    attribute::Attributes,
    geometry::{Geometries, Lods, NO_LOD},
    grammar::Grammar,
    implicit::{Named, Prototypes},
    object::{NotRead, Object, Walk},
    picture::{Mismatch, UNPLACED, picture_at, picture_of, placed, push_ring},
    source::Raw,
    tree::{AttributeName, NodeId, Tree, View},
};
use crate::{
    citymodel::{Composer, MAX_VERTICES, Piece, Prepared, Shaper, Surfaces, colour, named_crs, pipe_kind},
    format::{ImportError, Job, Out},
    texture::Pictures,
};

/// Makes the objects of members, several at a time, and hands them on in their order.
pub(super) struct Members<'a> {
    settled: Settled<'a>,
    composer: Composer<'a>,
    /// For members that are made by themselves.
    workshop: Workshop<'a>,
    corners: Vec<DVec3>,
    srs_name: String,
}

/// Takes what was made of a piece.
pub(super) type Give<'g> = dyn FnMut(Prepared, &mut SourceReport) -> Result<(), ImportError> + 'g;

/// What holds for all members of a file.
pub(super) struct Settled<'a> {
    job: &'a Job<'a>,
    materials: Materials,
    pictures: Mutex<Pictures>,
    order: Option<Order>,
}

/// What a member is made with: nothing of it depends on the members before, but for the prototypes.
pub(super) struct Workshop<'a> {
    tree: Tree,
    grammar: Grammar,
    geometries: Geometries,
    attributes: Attributes,
    prototypes: Prototypes,
    shaper: Shaper<'a>,
}

/// A member as it was read.
struct Gathered {
    record: u64,
    objects: Vec<Object>,
    own_materials: Option<Materials>,
}

impl<'a> Workshop<'a> {
    /// For one file.
    pub fn new(job: &'a Job<'a>) -> Self {
        Self {
            tree: Tree::default(),
            grammar: Grammar::default(),
            geometries: Geometries::default(),
            attributes: Attributes::default(),
            prototypes: Prototypes::default(),
            shaper: Shaper::new(job),
        }
    }
}

impl<'a> Members<'a> {
    /// For one file.
    pub fn new(job: &'a Job<'a>, materials: Materials) -> Self {
        let pictures = Mutex::new(Pictures::beside(job.path));
        Self {
            settled: Settled { job, materials, pictures, order: None },
            composer: Composer::new(job),
            workshop: Workshop::new(job),
            corners: Vec::new(),
            srs_name: String::new(),
        }
    }

    /// Whether the members that follow do not depend on those before.
    pub fn is_settled(&self) -> bool {
        self.settled.order.is_some()
    }

    /// Takes what [`Forwarder::take_fresh`] gave in another process, one after the other; `None` where it is damaged.
    pub fn restore(&mut self, mut state: &[u8]) -> Option<()> {
        while let Some((order, rest)) = state.split_first() {
            self.settled.order = Some(*Order::ALL.get(usize::from(*order))?);
            let rest = self.composer.restore(rest)?;
            let (kept, rest) = postcard::take_from_bytes::<Kept>(rest).ok()?;
            self.workshop.prototypes.restore(kept.prototypes);
            lock(&self.settled.pictures).restore(kept.missing);
            state = rest;
        }
        self.settled.order.map(|_| ())
    }

    /// What is settled, for those who make members, and who hands on what they made.
    pub fn split(&mut self) -> (&Settled<'a>, Forwarder<'_, 'a>) {
        (
            &self.settled,
            Forwarder { settled: &self.settled, composer: &mut self.composer, workshop: &mut self.workshop },
        )
    }

    /// Looks at the box around the whole, which shows the order of coordinates.
    pub fn see_envelope(&mut self, view: View<'_>) {
        for node in view.tree.all() {
            if let Some(name) = view.tree.get(node, AttributeName::SrsName) {
                self.srs_name = name.to_owned();
            }
            if view.local(node) == "lowerCorner" {
                // A box that is none says nothing.
                let _ = super::geometry::numbers(view.tree.text(node), 3, &mut self.corners);
            }
        }
    }

    /// Says what could only be known at the end.
    pub fn finish(&self, report: &mut SourceReport) {
        tell_looks(&self.settled.materials, "", report);
        lock(&self.settled.pictures).tell(report);
        self.composer.finish(report);
    }

    /// Takes a member by itself, which may settle what holds for those that follow.
    pub fn take(&mut self, raw: &Raw, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        let gathered = self.settled.gather(raw, &mut self.workshop, report)?;
        let order = self.settled.order.unwrap_or_else(|| self.order(report));
        self.settled.order = Some(order).filter(|_| self.has_place());
        let composer = &mut self.composer;
        let mut give = |prepared, report: &mut SourceReport| composer.hand_on(prepared, out, report);
        self.settled.compose(gathered, order, &mut self.workshop, report, &mut give)
    }

    /// Whether a place was met that shows the order of coordinates.
    fn has_place(&self) -> bool {
        self.settled.order.is_some() || !self.corners.is_empty() || !self.workshop.geometries.polygons.is_empty()
    }

    fn order(&self, report: &mut SourceReport) -> Order {
        let geometries = &self.workshop.geometries;
        let mut first: Vec<DVec3> = self.corners.first().copied().into_iter().collect();
        if first.is_empty()
            && let Some(polygon) = geometries.polygons.first()
        {
            first.extend(geometries.rings(polygon).next().and_then(|ring| ring.first()).copied());
        }
        let job = self.settled.job;
        let own = geometries.foreign_srs.first().filter(|_| self.srs_name.is_empty());
        let name = own.unwrap_or(&self.srs_name);
        let order = Order::of(job.crs.is_geographic, name, job.options, &first);
        if order == Order::Longitude {
            let message = format!(
                "longitude stands before latitude, against the order of {}; read so (give --map axes=yx if it is not)",
                job.crs.label()
            );
            report.warn("axes_longitude_first", message, "");
        }
        order
    }
}

/// Hands on what was made of members.
pub(super) struct Forwarder<'f, 'a> {
    settled: &'f Settled<'a>,
    composer: &'f mut Composer<'a>,
    workshop: &'f mut Workshop<'a>,
}

/// What members behind a place, or the end of the file, need of those before it.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    prototypes: Vec<Named>,
    /// Pictures that are not there, with the reason.
    missing: Vec<(String, String)>,
}

/// The pictures, for one at a time.
pub(super) fn lock(pictures: &Mutex<Pictures>) -> MutexGuard<'_, Pictures> {
    pictures.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Forwarder<'_, '_> {
    /// For [`Members::restore`].
    pub fn take_fresh(&mut self) -> Vec<u8> {
        let order = Order::ALL.iter().position(|order| Some(*order) == self.settled.order).unwrap_or(0);
        let mut state = vec![order as u8];
        state.extend(self.composer.take_fresh());
        let kept = Kept {
            prototypes: self.workshop.prototypes.take_fresh(),
            missing: lock(&self.settled.pictures).take_fresh(),
        };
        // Text and numbers in memory are written without fail.
        postcard::to_extend(&kept, state).unwrap_or_default()
    }

    /// What was made already.
    pub fn hand_on(
        &mut self,
        prepared: Vec<Prepared>,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        prepared.into_iter().try_for_each(|prepared| self.composer.hand_on(prepared, out, report))
    }

    /// A member that had to wait for those before.
    pub fn take(&mut self, raw: &Raw, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        let mut give = |prepared, report: &mut SourceReport| self.composer.hand_on(prepared, out, report);
        self.settled.make(raw, self.workshop, report, &mut give)
    }
}

/// Tells what could not be taken over of materials and pictures.
fn tell_looks(materials: &Materials, place: &str, report: &mut SourceReport) {
    if materials.unplaced > 0 {
        let mut own = SourceReport::default();
        own.warn("texture_not_placed", UNPLACED, place);
        own.warnings.iter_mut().for_each(|warning| warning.count = materials.unplaced);
        report.absorb(own);
    }
    if materials.has_faults {
        let message = "texture coordinates that are no pairs of numbers; their surfaces have a plain colour";
        report.warn("texture_coordinates", message, place);
    }
}

impl<'a> Settled<'a> {
    /// What members are read for.
    pub fn job(&self) -> &'a Job<'a> {
        self.job
    }

    /// Makes the objects of a member. An error is of the file, which is not read on.
    pub fn make(
        &self,
        raw: &Raw,
        workshop: &mut Workshop<'_>,
        report: &mut SourceReport,
        give: &mut Give<'_>,
    ) -> Result<(), ImportError> {
        let gathered = self.gather(raw, workshop, report)?;
        self.compose(gathered, self.order.unwrap_or(Order::East), workshop, report, give)
    }

    fn gather(
        &self,
        raw: &Raw,
        workshop: &mut Workshop<'_>,
        report: &mut SourceReport,
    ) -> Result<Gathered, ImportError> {
        let Workshop { tree, grammar, geometries, attributes, shaper, .. } = workshop;
        raw.read(self.job.path, grammar, tree)?;
        let view = View { tree, names: &grammar.names };
        let record = raw.record;
        let place = format!("member {record}");
        geometries.clear();
        let own_materials = own_materials(view);
        if let Some(own) = &own_materials {
            tell_looks(own, &place, report);
        }
        let materials = Looks { own: own_materials.as_ref(), all: &self.materials };
        let mut walk = Walk {
            view,
            geometries,
            attributes,
            materials,
            objects: Vec::new(),
            not_read: NotRead::default(),
            class: &|kind| shaper.class(kind),
        };
        for node in view.children(0) {
            if let Err(reason) = walk.object(node, None) {
                report.skip(record, reason);
            }
        }
        let (objects, not_read) = (walk.objects, walk.not_read);
        for (code, message) in not_read.words {
            report.warn(code, message, &place);
        }
        if objects.is_empty() {
            match view.tree.get(0, AttributeName::Href) {
                Some(href) => {
                    report.warn("member_elsewhere", format!("members that lie elsewhere ({href:.60})"), &place)
                }
                None => report.skip(record, "a member without an object"),
            }
        }
        geometries.resolve(|inner, outer| is_within(&objects, inner, outer));
        geometries.sort();
        for fault in geometries.faults.drain(..) {
            report.skip(record, format!("{place}: {fault}"));
        }
        if geometries.unresolved > 0 {
            let message = "references to surfaces that are not in the same member; those surfaces are not drawn there";
            report.warn("reference_outside", message, &place);
        }
        self.check_srs(geometries, record, report);
        Ok(Gathered { record, objects, own_materials })
    }

    fn check_srs(&self, geometries: &Geometries, record: u64, report: &mut SourceReport) {
        for name in &geometries.foreign_srs {
            let other = named_crs(name).filter(|named| named.crs.label() != self.job.crs.label());
            if let Some(named) = other.filter(|_| self.job.options.crs.is_none()) {
                let message = format!("geometries in {} among those in {}", named.crs.label(), self.job.crs.label());
                report.warn("several_crs", message, format!("member {record}"));
            }
        }
    }

    fn compose(
        &self,
        gathered: Gathered,
        order: Order,
        workshop: &mut Workshop<'_>,
        report: &mut SourceReport,
        give: &mut Give<'_>,
    ) -> Result<(), ImportError> {
        let Gathered { record, objects, own_materials } = gathered;
        let Workshop { tree, grammar, geometries, prototypes, shaper, .. } = workshop;
        let view = View { tree, names: &grammar.names };
        let looks = Looks { own: own_materials.as_ref(), all: &self.materials };
        let bests = bests(&objects, geometries);
        let keys = keys(&objects, record);
        for (number, object) in objects.into_iter().enumerate() {
            let (all, best) = bests.get(number).copied().unwrap_or_default();
            let key = keys.get(number).cloned().unwrap_or_default();
            let mut piece = Piece {
                record,
                class: Some(object.class),
                parent: object.parent.and_then(|parent| keys.get(parent).cloned()),
                name: object.found.name,
                fields: object.found.fields,
                kind: object.kind,
                ..Piece::default()
            };
            if object.found.is_cut {
                report.warn("attributes_cut", "more attributes than one object can have; the rest is left out", &key);
            }
            piece.lod = lod_word(best, object.own_lod.as_deref());
            piece.other_lods = (0..5)
                .map(|n| 1 << n)
                .filter(|bit| all & bit != 0 && *bit != best)
                .filter_map(|bit| lod_word(bit, None))
                .collect();
            self.shape(view, &mut piece, number, best, geometries, looks, order, report);
            let implicit = object.implicit.iter().filter(|(lods, _)| *lods == best);
            for (_, node) in implicit {
                let vertices = piece.anchored.iter().map(|(_, local)| local.positions.len()).sum::<usize>();
                if vertices + piece.surfaces.positions.len() > MAX_VERTICES {
                    report.skip(record, format!("{key}: more than {MAX_VERTICES} vertices; the rest is left out"));
                    break;
                }
                match prototypes.read(view, *node, looks) {
                    Ok(implicit) => {
                        let is_geographic = self.job.crs.is_geographic;
                        let at = |address: &str| picture_at(&self.pictures, address);
                        place_implicit(&mut piece, implicit, order, is_geographic, &key, &at, report)
                    }
                    Err(reason) => report.skip(record, format!("{key}: {reason}")),
                }
            }
            piece.key = key;
            if let Some(prepared) = shaper.make(piece, report) {
                give(prepared, report)?;
            }
        }
        Ok(())
    }

    /// Polygons, else lines, else points of the level of detail `best`.
    #[allow(clippy::too_many_arguments)]
    fn shape(
        &self,
        view: View<'_>,
        piece: &mut Piece,
        number: usize,
        best: Lods,
        geometries: &Geometries,
        looks: Looks<'_>,
        order: Order,
        report: &mut SourceReport,
    ) {
        let class = piece.class.unwrap_or(Class::Generic);
        let pipe = pipe_kind(&piece.kind);
        let own = || geometries.polygons_of(number).iter().filter(|polygon| polygon.lods & best != 0);
        let has_footprint = own().any(|polygon| !polygon.is_roof_edge);
        for polygon in own().filter(|polygon| !polygon.is_roof_edge || !has_footprint) {
            if piece.surfaces.positions.len() > MAX_VERTICES {
                let reason = format!("more than {MAX_VERTICES} vertices; the rest is left out");
                report.skip(piece.record, reason);
                break;
            }
            let picture = picture_of(geometries, polygon, looks);
            if picture == Err(Mismatch) {
                let message =
                    "surfaces with another number of texture coordinates than vertices; they have a plain colour";
                report.warn("texture_coordinates", message, format!("member {}", piece.record));
            }
            let picture = picture.ok().flatten();
            let placing = polygon.placing.and_then(|id| looks.placing(id)).filter(|_| picture.is_none());
            let placed =
                placing.and_then(|placing| placed(&self.pictures, placing, geometries, polygon, order, report));
            let texture = match (&picture, &placed) {
                (Some((address, _)), _) => picture_at(&self.pictures, address),
                (None, placed) => placed.as_ref().map(|(texture, _)| texture.clone()),
            };
            let uvs = match (&picture, &placed) {
                (Some((_, uvs)), _) => Some(uvs.clone()),
                (None, placed) => placed.as_ref().map(|(_, uvs)| uvs.iter().map(Vec::as_slice).collect()),
            };
            let uvs = uvs.filter(|_| texture.is_some());
            for (number, ring) in geometries.rings(polygon).enumerate() {
                let uvs = uvs.as_ref().and_then(|uvs| uvs.get(number).copied());
                push_ring(&mut piece.surfaces, ring, uvs, geometries.is_reversed(polygon), |v| order.apply(v));
            }
            let semantics = polygon.semantics.map(|node| view.local(node));
            let rgba = polygon.material.unwrap_or_else(|| colour(class, pipe, semantics));
            match texture {
                Some(texture) => piece.surfaces.end_textured(rgba, &texture),
                None => piece.surfaces.end_polygon(rgba),
            }
        }
        if !piece.surfaces.is_empty() {
            return;
        }
        for simple in geometries.simple_of(number).iter().filter(|s| s.lods & best != 0) {
            let vertices = geometries.vertices_of(simple).iter().map(|v| order.apply(*v));
            match simple.is_point {
                true => piece.points.extend(vertices),
                false => piece.lines.push(vertices.collect()),
            }
        }
    }
}

/// Materials within the member, together with those of the whole.
fn own_materials(view: View<'_>) -> Option<Materials> {
    let has_own =
        |node: &NodeId| matches!(view.local(*node), "X3DMaterial" | "ParameterizedTexture" | "GeoreferencedTexture");
    if !view.tree.all().any(|node| has_own(&node)) {
        return None;
    }
    let mut own = Materials::default();
    for node in view.tree.all().filter(|node| view.local(*node) == "Appearance") {
        own.take(view, node);
    }
    Some(own)
}

/// Whether the first object is the second or a part of it.
fn is_within(objects: &[Object], inner: usize, outer: usize) -> bool {
    let mut at = Some(inner);
    // Parents come before their parts, so this ends.
    while let Some(number) = at {
        if number == outer {
            return true;
        }
        at = objects.get(number).and_then(|object| object.parent);
    }
    false
}

/// Each object's levels of detail, and the highest with surfaces, else with anything; none where its parts show more.
fn bests(objects: &[Object], geometries: &Geometries) -> Vec<(Lods, Lods)> {
    let mut surfaces: Vec<Lods> = vec![0; objects.len()];
    let mut others = surfaces.clone();
    for polygon in &geometries.polygons {
        if let Some(lods) = surfaces.get_mut(polygon.owner) {
            *lods |= polygon.lods;
        }
    }
    for simple in &geometries.simple {
        if let Some(lods) = others.get_mut(simple.owner) {
            *lods |= simple.lods;
        }
    }
    for (number, object) in objects.iter().enumerate() {
        if let Some(lods) = surfaces.get_mut(number) {
            *lods |= object.implicit.iter().fold(0, |all, (lods, _)| all | lods);
        }
    }
    let highest = |lods: Lods| (0..=4).rev().map(|n| 1 << n).chain([NO_LOD]).find(|bit| lods & bit != 0).unwrap_or(0);
    let pairs = surfaces.iter().zip(&others);
    let mut bests: Vec<(Lods, Lods)> = pairs
        .map(|(surfaces, others)| (surfaces | others, highest(if *surfaces != 0 { *surfaces } else { *others })))
        .collect();
    for (number, object) in objects.iter().enumerate().rev() {
        let part = bests.get(number).map_or(0, |(_, best)| *best);
        if let Some(whole) = object.parent.filter(|_| object.kind.ends_with("Part")).and_then(|p| bests.get_mut(p))
            && whole.1 < part
        {
            whole.1 = 0;
        }
    }
    bests
}

/// The ids of the objects: their own, else their number within their parent or the file.
fn keys(objects: &[Object], record: u64) -> Vec<String> {
    let mut keys: Vec<String> = Vec::with_capacity(objects.len());
    for (number, object) in objects.iter().enumerate() {
        let key = match (&object.id, object.parent.and_then(|parent| keys.get(parent))) {
            (Some(id), _) => id.clone(),
            (None, Some(parent)) => format!("{parent}~{number}"),
            (None, None) => format!("~{record}"),
        };
        keys.push(key);
    }
    keys
}

fn lod_word(bit: Lods, own: Option<&str>) -> Option<String> {
    match bit {
        0 => None,
        NO_LOD => own.map(str::to_owned),
        bit => Some(bit.trailing_zeros().to_string()),
    }
}

/// Puts a prototype in its place.
fn place_implicit(
    piece: &mut Piece,
    implicit: super::implicit::Implicit,
    order: Order,
    is_geographic: bool,
    key: &str,
    picture_at: &dyn Fn(&str) -> Option<Texture>,
    report: &mut SourceReport,
) {
    let at = order.apply(implicit.at);
    let Some(prototype) = implicit.prototype else {
        let message = match &implicit.library {
            Some(file) => format!("shapes in files of their own ({file:.60}) are not read; their places are kept"),
            None => "shapes whose prototype was not met before them; their places are kept".into(),
        };
        report.warn("prototype_not_read", message, key);
        piece.points.push(at);
        return;
    };
    let class = piece.class.unwrap_or(Class::Generic);
    let pipe = pipe_kind(&piece.kind);
    let mut local = Surfaces::default();
    // In degrees the prototype's metres are added in the city's frame.
    let origin = if is_geographic { DVec3::ZERO } else { at };
    for polygon in &prototype.polygons {
        let picture = polygon.picture.as_ref();
        let picture = picture.and_then(|(address, uvs)| Some((picture_at(address)?, uvs)));
        for (number, ring) in polygon.rings.iter().enumerate() {
            let uvs = picture.as_ref().and_then(|(_, uvs)| uvs.get(number)).map(Vec::as_slice);
            push_ring(&mut local, ring, uvs, false, |v| implicit.matrix.transform_point3(v) + origin);
        }
        let rgba = polygon.material.unwrap_or_else(|| colour(class, pipe, None));
        match picture {
            Some((texture, _)) => local.end_textured(rgba, &texture),
            None => local.end_polygon(rgba),
        }
    }
    if is_geographic {
        piece.anchored.push((at, local));
    } else {
        piece.surfaces.append(&local);
    }
}
