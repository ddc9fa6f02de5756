//! Boundaries to polygons, lines and points in the source's coordinates.

use std::cell::RefCell;

use glam::{DMat4, DVec3};
use groundline_engine::model::{Class, PipeKind};

use super::{
    nested::{Beside, CLOSE, OPEN, is_index},
    text::{Appearance, Geometry, Header, Object},
    vertex::Vertices,
};
use crate::{
    citymodel::{MAX_VERTICES, Piece, colour},
    texture::Pictures,
};

/// Faults of one object that are told in words; more only repeat them.
const MAX_FAULTS: usize = 20;

/// What an object's surfaces look like.
#[derive(Clone, Copy)]
pub(super) struct Paint<'a> {
    pub class: Class,
    pub pipe: Option<PipeKind>,
    pub appearance: &'a Appearance,
    pub pictures: &'a RefCell<Pictures>,
}

/// What a geometry is made of, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Surfaces,
    Lines,
    Points,
}

fn rank(kind: &str) -> Option<Rank> {
    Some(match kind {
        "MultiSurface" | "CompositeSurface" | "Solid" | "MultiSolid" | "CompositeSolid" | "GeometryInstance" => {
            Rank::Surfaces
        }
        "MultiLineString" => Rank::Lines,
        "MultiPoint" => Rank::Points,
        _ => return None,
    })
}

/// A level of detail as text: `2`, `2.2`.
pub(super) fn lod_text(lod: Option<&serde_json::Value>) -> Option<String> {
    match lod? {
        serde_json::Value::String(text) => Some(text.trim().to_owned()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn lod_number(lod: Option<&str>) -> f64 {
    lod.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

/// The highest level of detail that geometries of these kinds and levels show surfaces in.
pub(super) fn best_lod<'g>(geometries: impl Iterator<Item = (&'g str, Option<&'g serde_json::Value>)>) -> Option<f64> {
    let lods = geometries.filter(|(kind, _)| rank(kind) == Some(Rank::Surfaces));
    lods.map(|(_, lod)| lod_number(lod_text(lod).as_deref())).reduce(f64::max)
}

/// Puts the geometries of the highest level of detail into `piece`; says what was wrong.
pub(super) fn take_shape(
    piece: &mut Piece,
    object: &Object,
    header: &Header,
    vertices: &dyn Vertices,
    paint: Paint<'_>,
    parts_lod: Option<f64>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let geometries = object.geometry.as_deref().unwrap_or(&[]);
    let mut ranked = Vec::new();
    for geometry in geometries {
        let kind = effective_kind(geometry, header);
        let Some(rank) = rank(kind) else {
            faults.push(format!("geometry of unknown type {:.40}", geometry.kind));
            continue;
        };
        ranked.push((rank, lod_text(lod_of(geometry, header)), geometry));
    }
    let best_rank = ranked.iter().map(|(rank, ..)| *rank).min();
    let numbers = || ranked.iter().filter(|(rank, ..)| Some(*rank) == best_rank);
    let best_lod = numbers().map(|(_, lod, _)| lod_number(lod.as_deref())).reduce(f64::max).unwrap_or(0.0);
    // A building that is only outlined while its parts are modelled is drawn by its parts.
    let is_drawn_by_parts = parts_lod.is_some_and(|parts| parts.floor() > best_lod.floor());
    // Templates can make very many vertices of few bytes.
    let mut work = 0_usize;
    for (rank, lod, geometry) in &ranked {
        work += template_of(geometry, header).map_or(0, |template| template.boundaries.0.len() + 1);
        if work > 4 * MAX_VERTICES || piece.surfaces.positions.len() > MAX_VERTICES {
            faults.push(format!("more than {MAX_VERTICES} vertices; the rest is left out"));
            break;
        }
        if Some(*rank) == best_rank && lod_number(lod.as_deref()) == best_lod && !is_drawn_by_parts {
            piece.lod = piece.lod.take().or_else(|| lod.clone());
            take_geometry(piece, geometry, header, vertices, paint, &mut faults);
        } else {
            let lod = lod.clone().unwrap_or_else(|| "?".into());
            if !piece.other_lods.contains(&lod) {
                piece.other_lods.push(lod);
            }
        }
    }
    piece.other_lods.sort();
    piece.other_lods.retain(|lod| piece.lod.as_ref() != Some(lod));
    faults
}

fn template_of<'h>(geometry: &Geometry, header: &'h Header) -> Option<&'h Geometry> {
    header.templates.templates.get(geometry.template?)
}

/// A template may be lines or points.
fn effective_kind<'g>(geometry: &'g Geometry, header: &'g Header) -> &'g str {
    match geometry.kind.as_str() {
        "GeometryInstance" => template_of(geometry, header).map_or("GeometryInstance", |t| &t.kind),
        kind => kind,
    }
}

fn lod_of<'g>(geometry: &'g Geometry, header: &'g Header) -> Option<&'g serde_json::Value> {
    geometry.lod.as_ref().or_else(|| template_of(geometry, header)?.lod.as_ref())
}

fn take_geometry(
    piece: &mut Piece,
    geometry: &Geometry,
    header: &Header,
    vertices: &dyn Vertices,
    paint: Paint<'_>,
    faults: &mut Vec<String>,
) {
    if geometry.kind != "GeometryInstance" {
        read_boundaries(piece, geometry, vertices, paint, faults);
        return;
    }
    let Some(template) = template_of(geometry, header) else {
        faults.push(format!("template {:?} is not there", geometry.template));
        return;
    };
    let at = geometry.boundaries.0.iter().copied().find(|t| is_index(*t)).and_then(|i| vertices.vertex(i));
    let Some(at) = at else {
        faults.push("a template without a place".into());
        return;
    };
    let matrix = match geometry.matrix.as_deref().map(<[f64; 16]>::try_from) {
        None => DMat4::IDENTITY,
        Some(Ok(rows)) => DMat4::from_cols_array(&rows).transpose(),
        Some(Err(_)) => {
            faults.push("the matrix of a template is not 4 by 4".into());
            return;
        }
    };
    if template.kind == "GeometryInstance" {
        faults.push("a template of a template".into());
        return;
    }
    let placed = Placed { matrix, at, vertices: &header.templates.vertices };
    // Templates have their materials in the header, also where a feature brings its own.
    read_boundaries(piece, template, &placed, Paint { appearance: &header.appearance, ..paint }, faults);
}

/// Vertices of a template where an instance puts them.
struct Placed<'a> {
    matrix: DMat4,
    at: DVec3,
    vertices: &'a [[f64; 3]],
}

impl Vertices for Placed<'_> {
    fn vertex(&self, index: u32) -> Option<DVec3> {
        let vertex = self.vertices.get(index as usize)?;
        Some(self.matrix.transform_point3(DVec3::from_array(*vertex)) + self.at)
    }

    fn count(&self) -> usize {
        self.vertices.len()
    }
}

fn read_boundaries(
    piece: &mut Piece,
    geometry: &Geometry,
    vertices: &dyn Vertices,
    paint: Paint<'_>,
    faults: &mut Vec<String>,
) {
    let tokens = &geometry.boundaries.0;
    let missing = |index: u32| format!("vertex {index} of {}", vertices.count());
    match geometry.kind.as_str() {
        "MultiPoint" => {
            for index in tokens.iter().copied().filter(|t| is_index(*t)) {
                match vertices.vertex(index) {
                    Some(vertex) => piece.points.push(vertex),
                    None => fault(faults, || missing(index)),
                }
            }
        }
        "MultiLineString" => {
            let mut line = Vec::new();
            for token in tokens.iter().copied() {
                if is_index(token) {
                    match vertices.vertex(token) {
                        Some(vertex) => line.push(vertex),
                        None => fault(faults, || missing(token)),
                    }
                } else if token == CLOSE && !line.is_empty() {
                    piece.lines.push(std::mem::take(&mut line));
                }
            }
        }
        kind => {
            let lists = match kind {
                "Solid" => 2,
                "MultiSolid" | "CompositeSolid" => 3,
                _ => 1,
            };
            read_polygons(piece, geometry, lists, vertices, paint, faults);
        }
    }
}

fn fault(faults: &mut Vec<String>, text: impl FnOnce() -> String) {
    if faults.len() < MAX_FAULTS {
        faults.push(text());
    }
}

/// Polygons stand within `lists` lists: surfaces, shells, solids.
fn read_polygons(
    piece: &mut Piece,
    geometry: &Geometry,
    lists: u32,
    vertices: &dyn Vertices,
    paint: Paint<'_>,
    faults: &mut Vec<String>,
) {
    let semantics = geometry.semantics.as_ref();
    let mut kinds = Beside::new(semantics.and_then(|s| s.values.as_ref()));
    // The first theme; others are other looks of the same.
    let theme = geometry.material.as_ref().and_then(|themes| themes.0.first()).map(|(_, values)| values);
    let mut materials = Beside::new(theme.and_then(|t| t.values.as_ref()));
    let for_all = theme.and_then(|t| t.value);
    let theme = geometry.texture.as_ref().and_then(|themes| themes.0.first()).map(|(_, values)| values);
    let mut pictures = Beside::new(theme.and_then(|t| t.values.as_ref()));
    let mut cover = Cover::default();
    let (mut depth, mut number, mut is_bad, mut rings) = (0_u32, 0_usize, None, 0_u32);
    let mut look = (None, None);
    for token in geometry.boundaries.0.iter().copied() {
        match token {
            OPEN => {
                depth += 1;
                if depth <= lists {
                    kinds.enter();
                    materials.enter();
                    pictures.enter();
                } else if depth == lists + 1 {
                    pictures.enter();
                    cover = Cover::default();
                    number += 1;
                    rings = 0;
                    is_bad = None;
                    look = (kinds.next(), materials.next().or(for_all));
                } else if depth == lists + 2 {
                    cover.start(pictures.list());
                } else if depth > lists + 2 {
                    is_bad = Some("lists nested too deep".to_owned());
                }
            }
            CLOSE => {
                if depth == lists + 2 {
                    piece.surfaces.end_ring();
                    cover.end();
                    rings += 1;
                } else if depth == lists + 1 {
                    pictures.leave();
                    if rings == 0 {
                        is_bad = is_bad.or(Some("no ring".into()));
                    }
                    if let Some(reason) = is_bad.take() {
                        piece.surfaces.undo();
                        fault(faults, || format!("surface {number}: {reason}"));
                    } else {
                        let kind = look.0.and_then(|i: usize| semantics?.surfaces.get(i)).map(|s| s.kind.as_str());
                        let material = look.1.and_then(|i: usize| paint.appearance.materials.get(i)?.rgba());
                        let rgba = material.unwrap_or_else(|| colour(paint.class, paint.pipe, kind));
                        let picture = cover.picture().and_then(|i| paint.appearance.textures.get(i));
                        match picture.and_then(|p| paint.pictures.borrow_mut().get(&p.image)) {
                            Some(texture) => piece.surfaces.end_textured(rgba, &texture),
                            None => piece.surfaces.end_polygon(rgba),
                        }
                    }
                } else if depth <= lists {
                    kinds.leave();
                    materials.leave();
                    pictures.leave();
                }
                depth = depth.saturating_sub(1);
            }
            index if depth == lists + 2 && is_index(index) => match vertices.vertex(index) {
                Some(vertex) => match cover.next().and_then(|i| paint.appearance.places.get(i)) {
                    Some([u, v]) => piece.surfaces.push_textured(vertex, [*u, 1.0 - v]),
                    None => {
                        cover.is_whole = false;
                        piece.surfaces.push_vertex(vertex);
                    }
                },
                None => is_bad = Some(format!("vertex {index} of {}", vertices.count())),
            },
            _ if depth > lists => is_bad = Some("something else than an index in its rings".into()),
            _ => fault(faults, || "something else than surfaces in its boundaries".into()),
        }
    }
}

/// The picture on one polygon, ring by ring.
#[derive(Default)]
struct Cover<'v> {
    picture: Option<usize>,
    /// Places of the vertices of the open ring that are still to come.
    places: &'v [u32],
    /// Whether all vertices so far have places in one picture.
    is_whole: bool,
    has_rings: bool,
}

impl<'v> Cover<'v> {
    /// A ring begins: a picture, then a place for each vertex.
    fn start(&mut self, values: Option<&'v [u32]>) {
        let (first, places) = match values.and_then(<[u32]>::split_first) {
            Some((first, places)) if is_index(*first) => (Some(*first as usize), places),
            _ => (None, &[][..]),
        };
        self.is_whole = first.is_some() && (!self.has_rings || (self.is_whole && self.picture == first));
        (self.picture, self.places, self.has_rings) = (first, places, true);
    }

    /// The place of the next vertex.
    fn next(&mut self) -> Option<usize> {
        let (first, rest) = self.places.split_first()?;
        self.places = rest;
        is_index(*first).then_some(*first as usize)
    }

    /// The ring ends.
    fn end(&mut self) {
        self.is_whole &= self.places.is_empty();
    }

    /// The picture, where all rings have it.
    fn picture(&self) -> Option<usize> {
        self.picture.filter(|_| self.is_whole)
    }
}
