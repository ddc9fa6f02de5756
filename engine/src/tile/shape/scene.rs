//! A tile in the making: triangles by look, instances by model, one row of the feature table per object.

use std::collections::BTreeMap;

use glam::{DQuat, DVec3, Vec2, Vec3};

use super::{
    Dice, Facade, Sketch,
    model::Model,
    sheet::{self, Patch},
    texture,
};
use crate::{
    model::{CimLevel, Class, Extent, Stage},
    tile::{
        album::Album,
        glb::{FeatureTable, Material, PipeShape, TileContent, TileInstances, TileMesh},
    },
};

/// How a surface looks; the order is the order of the materials in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Facade(Facade),
    Shop,
    Wall,
    Roof,
    RoofTile,
    Road,
    RoadMain,
    Path,
    Railway,
    Water,
    Greenery,
    LandUse,
    Tunnel,
    Pipe,
    Shaft,
    Solid,
    Glass,
    Model,
    Textured,
}

impl Look {
    /// Whether vertices carry texture coordinates.
    pub fn is_textured(self) -> bool {
        self == Look::Textured || texture::of(self).is_some()
    }

    fn material(self) -> Material {
        let plain = |name: &str, roughness: f32| Material {
            name: name.into(),
            base_colour: [1.0; 4],
            metallic: 0.0,
            roughness,
            texture: texture::of(self).map(|t| t.png.clone()),
            double_sided: false,
        };
        match self {
            Look::Facade(facade) => match facade {
                Facade::Office => Material { metallic: 0.25, ..plain(facade.material_name(), 0.28) },
                _ => plain(facade.material_name(), 0.85),
            },
            Look::Shop => plain("facade_shop", 0.6),
            Look::Wall => plain("wall", 0.9),
            Look::Roof => plain("roof", 0.92),
            Look::RoofTile => plain("roof_tile", 0.85),
            Look::Road => plain("road", 0.95),
            Look::RoadMain => plain("road_main", 0.95),
            Look::Path => plain("path", 0.95),
            Look::Railway => plain("railway", 0.9),
            Look::Water => plain("water", 0.08),
            Look::Greenery => plain("greenery", 1.0),
            Look::LandUse => plain("land_use", 1.0),
            Look::Tunnel => Material { double_sided: true, base_colour: [1.0, 1.0, 1.0, 0.6], ..plain("tunnel", 0.9) },
            Look::Pipe => Material { metallic: 0.1, ..plain("pipe", 0.55) },
            Look::Shaft => plain("shaft", 0.9),
            Look::Solid => Material { double_sided: true, ..plain("solid", 0.8) },
            Look::Glass => Material { double_sided: true, base_colour: [1.0, 1.0, 1.0, 0.45], ..plain("glass", 0.1) },
            Look::Model => plain("model", 0.85),
            // Its picture is the tile's sheet.
            Look::Textured => Material { double_sided: true, ..plain("textured", 0.9) },
        }
    }
}

/// What several objects that are drawn together look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tile) enum Body {
    Building,
    Trees,
}

/// A colour after the object's stage has tinted it.
#[derive(Clone, Copy)]
pub(super) struct Tint(pub [u8; 4]);

impl Tint {
    /// Planned things are pale blue, things being built amber, retired ones grey.
    pub fn of(stage: Stage, rgb: [u8; 3]) -> Self {
        let (share, over) = match stage {
            Stage::Operation => (0.0, [0.0; 3]),
            Stage::Planned => (0.5, [150.0, 200.0, 255.0]),
            Stage::Construction => (0.4, [255.0, 190.0, 90.0]),
            Stage::Retired => (0.6, [128.0, 128.0, 128.0]),
        };
        let mix = |i: usize| (f64::from(rgb[i]) * (1.0 - share) + over[i] * share).round() as u8;
        Self([mix(0), mix(1), mix(2), 255])
    }

    pub fn darker(self, factor: f64) -> Self {
        let [r, g, b, a] = self.0;
        let scale = |c: u8| (f64::from(c) * factor).round().clamp(0.0, 255.0) as u8;
        Self([scale(r), scale(g), scale(b), a])
    }
}

/// Collects what one tile draws. Coordinates given to it are in the city's frame.
pub(in crate::tile) struct Scene<'a> {
    /// The pictures of the layer; without them everything is drawn plain.
    pub(super) album: Option<&'a Album>,
    /// What the textured mesh shows of pictures.
    pub(super) patches: Vec<Patch>,
    plain_surfaces: u64,
    origin: DVec3,
    meshes: BTreeMap<Look, TileMesh>,
    instances: BTreeMap<Model, TileInstances>,
    features: FeatureTable,
    extent: Extent,
    feature: u32,
}

impl<'a> Scene<'a> {
    /// An empty tile whose content starts at `origin`, with the pictures of its layer.
    pub fn with_album(origin: DVec3, album: &'a Album) -> Self {
        Self { album: Some(album), ..Self::new(origin) }
    }

    /// An empty tile whose content starts at `origin`.
    pub fn new(origin: DVec3) -> Self {
        Self {
            album: None,
            patches: Vec::new(),
            plain_surfaces: 0,
            origin,
            meshes: BTreeMap::new(),
            instances: BTreeMap::new(),
            features: FeatureTable::default(),
            extent: Extent::EMPTY,
            feature: 0,
        }
    }

    /// What follows belongs to `sketch`.
    pub fn begin(&mut self, sketch: &Sketch) {
        self.feature = self.features.ids.len() as u32;
        self.features.ids.push(sketch.id.clone());
        self.features.classes.push(sketch.class.word());
        self.features.names.push(sketch.name.clone());
        self.features.levels.push(CimLevel::of(sketch.class, &sketch.geometry).number());
    }

    /// Says what the pipe that is drawn is made of.
    pub(super) fn pipe(&mut self, shape: PipeShape) {
        self.features.pipes.push((self.feature, shape));
    }

    /// Takes back the last `begin`: nothing could be drawn of it.
    pub fn forget(&mut self) {
        self.features.ids.pop();
        self.features.classes.pop();
        self.features.names.pop();
        self.features.levels.pop();
        self.features.pipes.retain(|(row, _)| *row != self.feature);
    }

    /// What follows is so many objects together, which have no id.
    pub fn begin_merged(&mut self, body: Body, count: u64) {
        self.feature = self.features.ids.len() as u32;
        self.features.ids.push(String::new());
        self.features.classes.push(match body {
            Body::Building => Class::Building.word(),
            Body::Trees => Class::Tree.word(),
        });
        self.features.names.push(format!("× {count}"));
        self.features.levels.push(match body {
            Body::Building => CimLevel::FRAME.number(),
            Body::Trees => CimLevel::STANDARD.number(),
        });
    }

    /// What follows is the block of a building of components.
    pub fn begin_block(&mut self, id: String, name: String) {
        self.feature = self.features.ids.len() as u32;
        self.features.ids.push(id);
        self.features.classes.push(Class::Building.word());
        self.features.names.push(name);
        self.features.levels.push(CimLevel::FRAME.number());
    }

    /// Adds a body on its foot.
    pub fn merged(&mut self, body: Body, foot: DVec3, turn: DQuat, size: DVec3, dice: Dice) {
        // Low buildings are warm with their roofs, high ones have the colour of the sky; few colours, which cost little.
        let (model, tints): (_, &[[u8; 3]]) = match body {
            Body::Building if size.z < 14.0 => (Model::Mass, &[[168, 136, 118], [152, 130, 118], [166, 156, 146]]),
            Body::Building if size.z < 40.0 => (Model::Mass, &[[200, 192, 182], [180, 178, 176]]),
            Body::Building => (Model::Mass, &[[176, 184, 192], [162, 174, 188]]),
            Body::Trees => (Model::Canopy, &[[255; 3]]),
        };
        let [r, g, b] = dice.pick(1, tints);
        // A little into the ground, which is not level.
        let sunk = size.z.min(0.5);
        self.instance(model, foot - DVec3::Z * sunk, turn, size + DVec3::Z * sunk, Tint([r, g, b, 255]));
    }

    pub fn origin(&self) -> DVec3 {
        self.origin
    }

    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Adds a vertex and returns its index within its look.
    pub(super) fn vertex(&mut self, look: Look, at: DVec3, normal: DVec3, uv: Vec2, tint: Tint) -> u32 {
        self.extent.add(at);
        let mesh = self.meshes.entry(look).or_default();
        mesh.positions.push((at - self.origin).as_vec3());
        mesh.normals.push(normal.as_vec3());
        if look.is_textured() {
            mesh.uvs.push(uv);
        }
        mesh.colours.push(tint.0);
        mesh.features.push(self.feature);
        mesh.positions.len() as u32 - 1
    }

    /// Adds a triangle between vertices of `look`, counter-clockwise from outside.
    pub(super) fn triangle(&mut self, look: Look, corners: [u32; 3]) {
        self.meshes.entry(look).or_default().indices.extend(corners);
    }

    /// Adds a flat four-sided face: corners counter-clockwise from outside.
    pub(super) fn quad(&mut self, look: Look, corners: [DVec3; 4], uvs: [Vec2; 4], tints: [Tint; 4]) {
        let normal = (corners[2] - corners[0]).cross(corners[3] - corners[1]).normalize_or_zero();
        let [a, b, c, d] = std::array::from_fn(|i| self.vertex(look, corners[i], normal, uvs[i], tints[i]));
        self.triangle(look, [a, b, c]);
        self.triangle(look, [a, c, d]);
    }

    /// Adds a flat triangle of its own.
    pub(super) fn facet(&mut self, look: Look, corners: [DVec3; 3], uvs: [Vec2; 3], tint: Tint) {
        let normal = (corners[1] - corners[0]).cross(corners[2] - corners[0]).normalize_or_zero();
        let indices = std::array::from_fn(|i| self.vertex(look, corners[i], normal, uvs[i], tint));
        self.triangle(look, indices);
    }

    /// Adds one instance of a unit model.
    pub(super) fn instance(&mut self, model: Model, at: DVec3, turn: DQuat, scale: DVec3, tint: Tint) {
        // The unit models lie within ±0.6 in plan and 0..1, or ±0.5, in height.
        for corner in 0..8 {
            let side = |bit: u32| if corner & bit == 0 { -0.5 } else { 0.5 };
            let z = if corner & 4 == 0 { model.lowest() } else { model.highest() };
            self.extent.add(at + turn * (scale * DVec3::new(side(1), side(2), z)));
        }
        let instances = self.instances.entry(model).or_default();
        instances.translations.push((at - self.origin).as_vec3());
        instances.rotations.push(super::quat_f32(turn));
        instances.scales.push(scale.as_vec3().max(Vec3::splat(1e-4)));
        instances.colours.push(tint.0);
        instances.features.push(self.feature);
    }

    /// Whether nothing has been drawn.
    pub fn is_empty(&self) -> bool {
        self.meshes.values().all(|mesh| mesh.indices.is_empty()) && self.instances.is_empty()
    }

    /// Vertices of a look so far.
    pub(super) fn count(&self, look: Look) -> u32 {
        self.meshes.get(&look).map_or(0, |mesh| mesh.positions.len() as u32)
    }

    /// Counts a surface whose picture cannot be shown.
    pub(super) fn note_plain(&mut self) {
        self.plain_surfaces += 1;
    }

    /// Lays out the sheet of pictures; gives it with how many surfaces are plain for want of their picture.
    fn lay_out(&mut self) -> Option<Vec<u8>> {
        let mesh = self.meshes.get_mut(&Look::Textured)?;
        let laid = self.album.and_then(|album| sheet::lay_out(&self.patches, mesh, album));
        let Some((sheet, plain)) = laid else {
            mesh.uvs.clear();
            self.plain_surfaces += self.patches.len() as u64;
            return None;
        };
        self.plain_surfaces += plain;
        Some(sheet)
    }

    /// The content to write, and how many surfaces are plain because their picture cannot be shown.
    pub fn into_content_counted(mut self) -> (TileContent, u64) {
        let sheet = self.lay_out();
        let plain = self.plain_surfaces;
        let mut content = self.into_content();
        for material in content.materials.iter_mut().filter(|m| m.name == "textured") {
            material.texture = sheet.clone();
        }
        (content, plain)
    }

    /// The content without pictures.
    pub fn into_content(self) -> TileContent {
        let mut content = TileContent { features: self.features, ..TileContent::default() };
        let material = |look: Look, materials: &mut Vec<Material>, known: &mut BTreeMap<Look, usize>| {
            *known.entry(look).or_insert_with(|| {
                materials.push(look.material());
                materials.len() - 1
            })
        };
        let mut known = BTreeMap::new();
        for (look, mesh) in self.meshes {
            if !mesh.indices.is_empty() {
                let material = material(look, &mut content.materials, &mut known);
                content.meshes.push(TileMesh { material, ..mesh });
            }
        }
        for (model, instances) in self.instances {
            let material = material(model.look(), &mut content.materials, &mut known);
            content.instances.push(TileInstances { mesh: TileMesh { material, ..model.mesh() }, ..instances });
        }
        content
    }
}
