//! A content of a tile as what is drawn of it, for a tileset that is looked at where it lies: vertices, normals and pictures
//! stay as they are, each feature is a row.

use std::{collections::HashMap, sync::Arc};

use glam::{DMat3, DMat4, DVec3, Vec2, Vec3};
use groundline_engine::{
    model::{Attribute, CityObject, Class, Extent, Geometry, ObjectId},
    tile::{
        TileContent,
        glb::{FeatureTable, Material, TileMesh, TilePoints},
    },
};

use super::{
    content::{MAX_MODEL, MAX_NESTED, upright},
    part::{InstanceModel, Part},
    tree::Up,
};
use crate::gltf::{
    self,
    document::Document,
    folder::Folder,
    object::{Feature, class_of, name_of, own_key},
    scene::{Ids, Piece, Shape, drawn_scene_of},
    table::{Table, tables_of},
};

/// Vertices and points of one tile, instances counted.
const MAX_VERTICES: usize = 16_000_000;
/// Longest side of a picture, pixels.
const MAX_PICTURE: u32 = 8192;
/// Half the width of what is drawn for a line, which has none, metres.
const HALF_LINE_M: f64 = 0.25;
/// Colour of points without any.
const PLAIN_POINT: [u8; 3] = [190, 190, 190];

/// Where a content stands, and what it is called.
pub(super) struct Stand<'s> {
    pub layer: &'s str,
    pub key: &'s str,
    pub folder: &'s Folder,
    /// The frame that is drawn in from the content's axes.
    pub frame_from_content: DMat4,
    pub up: Up,
}

/// Collects what the contents of a tile draw.
#[derive(Default)]
pub(super) struct Canvas {
    /// Meshes by the name of their picture.
    meshes: HashMap<Option<Arc<str>>, usize>,
    content: TileContent,
    /// Vertices of each mesh, in the frame.
    places: Vec<Vec<DVec3>>,
    points: (Vec<DVec3>, Vec<[u8; 3]>),
    /// Rows of the features of each part.
    rows: HashMap<(u32, Feature), u32>,
    part: u32,
    objects: Vec<CityObject>,
    vertices: usize,
    /// What is not shown, each said once.
    pub notes: Vec<String>,
}

impl Canvas {
    /// What was drawn, its origin, and the objects whose features it names.
    pub fn finish(mut self) -> (TileContent, DVec3, Vec<CityObject>) {
        let extent = Extent::around(self.places.iter().flatten().chain(&self.points.0).copied());
        let origin = if extent.is_empty() { DVec3::ZERO } else { extent.centre() };
        let near = |places: &[DVec3]| places.iter().map(|p| (*p - origin).as_vec3()).collect::<Vec<Vec3>>();
        for (mesh, places) in self.content.meshes.iter_mut().zip(&self.places) {
            mesh.positions = near(places);
        }
        if !self.points.0.is_empty() {
            self.content.points = Some(TilePoints { positions: near(&self.points.0), colours: self.points.1 });
        }
        (self.content, origin, self.objects)
    }

    /// Draws a content.
    pub fn draw(&mut self, bytes: &[u8], stand: &Stand<'_>, nested: u32) -> Result<(), String> {
        self.part += 1;
        match Part::of(bytes)? {
            Part::Model { model, batches, centre } => {
                let document = Document::read(model, stand.folder.clone())?;
                let scene = drawn_scene_of(&document)?;
                let (tables, _) = tables_of(&document);
                let frame_from_scene = stand.frame_from_content * DMat4::from_translation(centre);
                for piece in &scene.pieces {
                    let attributes = |feature: Feature| match (feature, &batches) {
                        (Some((_, id)), Some(table)) => table.attributes(id),
                        _ => gltf::attributes(&tables, feature),
                    };
                    self.piece(piece, frame_from_scene, stand, None, &attributes)?;
                }
                self.note(scene.notes);
                Ok(())
            }
            Part::Instances { model, places, table } => {
                let document = match &model {
                    InstanceModel::Inside(model) => Document::read(model, stand.folder.clone())?,
                    InstanceModel::At(uri) => {
                        Document::read(&stand.folder.read(uri, MAX_MODEL)?, stand.folder.of_address(uri)?)?
                    }
                };
                let scene = drawn_scene_of(&document)?;
                for k in 0..places.count {
                    let Some(own) = places.transform(k) else { continue };
                    let feature = Some((0, places.batch(k)));
                    for piece in &scene.pieces {
                        let attributes =
                            |feature: Feature| feature.map_or_else(Vec::new, |(_, id)| table.attributes(id));
                        self.piece(piece, stand.frame_from_content * own, stand, Some(feature), &attributes)?;
                    }
                }
                self.note(scene.notes);
                Ok(())
            }
            Part::Points(points) => {
                let transform = stand.frame_from_content * DMat4::from_translation(points.centre);
                self.count(points.positions.len())?;
                for (k, place) in points.positions.iter().enumerate() {
                    let rgb = points.colours.as_ref().and_then(|c| c.get(k)).map(|c| c.map(|v| v as u8));
                    self.point(transform.transform_point3(*place), rgb.unwrap_or(PLAIN_POINT));
                }
                Ok(())
            }
            Part::Composite(_) if nested >= MAX_NESTED => Err("composites within composites".into()),
            Part::Composite(inner) => {
                for (number, inner) in inner.enumerate() {
                    let key = format!("{}.{number}", stand.key);
                    self.draw(inner?, &Stand { key: &key, ..*stand }, nested + 1)?;
                }
                Ok(())
            }
        }
    }

    fn note(&mut self, notes: Vec<(&'static str, String)>) {
        for (_, note) in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.vertices = self.vertices.saturating_add(more);
        if self.vertices > MAX_VERTICES {
            return Err(format!("it has more than {MAX_VERTICES} vertices, instances counted"));
        }
        Ok(())
    }

    fn point(&mut self, place: DVec3, rgb: [u8; 3]) {
        if place.is_finite() {
            self.points.0.push(place);
            self.points.1.push(rgb);
        }
    }

    fn piece(
        &mut self,
        piece: &Piece,
        frame_from_scene: DMat4,
        stand: &Stand<'_>,
        whole: Option<Feature>,
        attributes: &dyn Fn(Feature) -> Vec<Attribute>,
    ) -> Result<(), String> {
        self.count(piece.positions.len())?;
        let place = |p: &DVec3| frame_from_scene.transform_point3(upright(*p, stand.up));
        let colour = |k: usize| piece.colours.as_ref().and_then(|c| c.get(k)).copied().unwrap_or(piece.plain);
        if piece.shape == Shape::Points {
            for (k, p) in piece.positions.iter().enumerate() {
                let [r, g, b, _] = colour(k);
                self.point(place(p), [r, g, b]);
            }
            return Ok(());
        }
        let feature_of = |vertex: usize| {
            whole.unwrap_or_else(|| {
                let table = piece.table.unwrap_or(0);
                match &piece.ids {
                    Ids::None => None,
                    Ids::One(id) => Some((table, *id)),
                    Ids::Each(ids) => ids.get(vertex).map(|id| (table, *id)),
                }
            })
        };
        let mesh = self.mesh_of(piece);
        let first = self.places.get(mesh).map_or(0, Vec::len) as u32;
        let mut features = Vec::with_capacity(piece.positions.len());
        let mut last = None;
        for vertex in 0..piece.positions.len() {
            let feature = feature_of(vertex);
            let row = match last {
                Some((same, row)) if same == feature => row,
                _ => self.row(feature, stand, attributes),
            };
            last = Some((feature, row));
            features.push(row);
        }
        let (Some(target), Some(places)) = (self.content.meshes.get_mut(mesh), self.places.get_mut(mesh)) else {
            return Ok(());
        };
        if piece.shape == Shape::Lines {
            ribbons(piece, target, places, &place, &features);
            return Ok(());
        }
        places.extend(piece.positions.iter().map(place));
        target.features.extend(features);
        target.colours.extend((0..piece.positions.len()).map(colour));
        if let Some((_, uvs)) = &piece.picture {
            target.uvs.extend(uvs.iter().map(|uv| Vec2::from_array(*uv)));
        }
        let turn = DMat3::from_mat4(frame_from_scene).inverse().transpose();
        let own = match &piece.normals {
            Some(normals) => normals.iter().map(|n| (turn * upright(*n, stand.up)).normalize_or(DVec3::Z)).collect(),
            None => smooth(places.get(first as usize..).unwrap_or(&[]), &piece.indices),
        };
        target.normals.extend(own.into_iter().map(|n: DVec3| n.as_vec3()));
        target.indices.extend(piece.indices.iter().map(|i| first + i));
        Ok(())
    }

    /// The mesh for a piece: one for each picture, one for all without.
    fn mesh_of(&mut self, piece: &Piece) -> usize {
        let key = piece.picture.as_ref().map(|(texture, _)| texture.name().clone());
        let next = self.content.meshes.len();
        let mesh = *self.meshes.entry(key).or_insert(next);
        if mesh == next {
            self.content.materials.push(Material {
                name: String::new(),
                base_colour: [1.0; 4],
                metallic: 0.0,
                roughness: 0.9,
                texture: piece.picture.as_ref().map(|(texture, _)| texture.file().to_vec()).filter(|f| is_drawable(f)),
                double_sided: true,
            });
            self.content.meshes.push(TileMesh { material: mesh, ..TileMesh::default() });
            self.places.push(Vec::new());
        }
        mesh
    }

    /// The row of a feature; all that belongs to none has one of its own.
    fn row(&mut self, feature: Feature, stand: &Stand<'_>, attributes: &dyn Fn(Feature) -> Vec<Attribute>) -> u32 {
        if let Some(row) = self.rows.get(&(self.part, feature)) {
            return *row;
        }
        let attributes = attributes(feature);
        let key = match feature {
            None => stand.key.to_owned(),
            Some((_, id)) => own_key(&attributes).unwrap_or_else(|| format!("{}#{id}", stand.key)),
        };
        let class = class_of(&attributes).unwrap_or(Class::Generic);
        let mut object = CityObject::new(ObjectId::new(stand.layer, key), class, Geometry::None);
        object.name = name_of(&attributes);
        object.attributes = attributes;
        let table: &mut FeatureTable = &mut self.content.features;
        let row = table.ids.len() as u32;
        table.ids.push(object.id.as_str().to_owned());
        table.classes.push(class.word());
        table.names.push(object.name.clone().unwrap_or_default());
        self.objects.push(object);
        self.rows.insert((self.part, feature), row);
        row
    }
}

/// Whether a picture is no larger than what a graphics card takes.
fn is_drawable(file: &[u8]) -> bool {
    let reader = image::ImageReader::new(std::io::Cursor::new(file)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    size.is_some_and(|(width, height)| width.max(height) <= MAX_PICTURE)
}

/// The sum of the normals of the triangles at each vertex.
fn smooth(places: &[DVec3], indices: &[u32]) -> Vec<DVec3> {
    let mut sums = vec![DVec3::ZERO; places.len()];
    for corners in indices.chunks_exact(3) {
        let at = |k: usize| corners.get(k).and_then(|i| places.get(*i as usize)).copied().unwrap_or_default();
        let normal = (at(1) - at(0)).cross(at(2) - at(0));
        for corner in corners {
            if let Some(sum) = sums.get_mut(*corner as usize) {
                *sum += normal;
            }
        }
    }
    sums.into_iter().map(|sum| sum.normalize_or(DVec3::Z)).collect()
}

/// A level ribbon for each line.
fn ribbons(
    piece: &Piece,
    target: &mut TileMesh,
    places: &mut Vec<DVec3>,
    place: &dyn Fn(&DVec3) -> DVec3,
    features: &[u32],
) {
    for pair in piece.indices.chunks_exact(2) {
        let [a, b] = [0, 1].map(|k| pair.get(k).copied().unwrap_or(0) as usize);
        let (Some(from), Some(to)) = (piece.positions.get(a).map(place), piece.positions.get(b).map(place)) else {
            continue;
        };
        let aside = (to - from).cross(DVec3::Z).try_normalize().unwrap_or(DVec3::X) * HALF_LINE_M;
        let first = places.len() as u32;
        places.extend([from - aside, from + aside, to + aside, to - aside]);
        target.normals.extend([Vec3::Z; 4]);
        for vertex in [a, a, b, b] {
            target.features.extend(features.get(vertex));
            target.colours.push(piece.colours.as_ref().and_then(|c| c.get(vertex)).copied().unwrap_or(piece.plain));
        }
        target.indices.extend([0, 1, 2, 0, 2, 3].map(|k| first + k));
    }
}
