//! Pictures of objects: one file per kind of shape, all drawing into a [`Scene`].

mod block;
mod facade;
mod model;
mod polygon;
mod ribbon;
mod roof;
mod scene;
mod sheet;
mod simple;
mod surface;
mod texture;
mod tube;

pub(super) use facade::{Facade, choose_facade};
pub(super) use polygon::simplify_ring;
pub(super) use scene::{Body, Scene};

use glam::{DQuat, DVec2, DVec3, Quat};
use serde::{Deserialize, Serialize};

use self::{model::Model, scene::Tint};
use super::Ground;
use crate::model::{Block, CityObject, Class, Geometry, InstanceModel, PipeKind, Soil, Stage, Vertical};

/// Colour of a building that is known in components, from afar.
const BLOCK_COLOUR: [u8; 3] = [214, 210, 202];

/// What is needed of an object to draw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sketch {
    pub id: String,
    pub class: Class,
    pub stage: Stage,
    pub name: String,
    pub facade: Facade,
    pub pipe_kind: Option<PipeKind>,
    pub soil: Option<Soil>,
    pub geometry: Geometry,
}

impl Sketch {
    pub fn of(object: &CityObject) -> Self {
        let kind = object.value("pipe_kind").and_then(|v| v.as_str());
        Self {
            id: object.id.0.clone(),
            class: object.class,
            stage: object.stage,
            name: object.name.clone().unwrap_or_default(),
            facade: choose_facade(object),
            pipe_kind: kind
                .and_then(|k| PipeKind::parse(k).or_else(|| PipeKind::ALL.iter().copied().find(|p| p.zh() == k))),
            soil: object.value("soil").and_then(|v| v.as_str()).and_then(Soil::parse),
            geometry: object.geometry.clone(),
        }
    }
}

/// How much is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Detail {
    /// Everything.
    Full,
    /// Simplified: outlines may move by this many metres, textures and small parts are left out.
    Far {
        /// Metres.
        tolerance_m: f64,
    },
}

impl Detail {
    fn tolerance_m(self) -> f64 {
        match self {
            Detail::Full => 0.0,
            Detail::Far { tolerance_m } => tolerance_m,
        }
    }

    fn is_full(self) -> bool {
        self == Detail::Full
    }
}

/// Numbers in 0..1 that depend on nothing but the object's id and `salt`.
#[derive(Clone, Copy)]
pub(super) struct Dice(u64);

impl Dice {
    pub fn of(id: &str) -> Self {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..8]);
        Self(u64::from_le_bytes(bytes))
    }

    pub fn throw(self, salt: u64) -> f64 {
        // SplitMix64's finisher.
        let mut x = self.0.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn pick<T: Copy>(self, salt: u64, list: &[T]) -> T {
        list[(self.throw(salt) * list.len() as f64) as usize % list.len()]
    }

    pub fn number(self) -> u64 {
        self.0
    }
}

/// Terrain height, 0 where there is none.
fn ground_at(ground: &Ground, place: DVec2) -> f64 {
    ground.height_at(place).unwrap_or(0.0)
}

/// A place with its z as a height in the datum.
fn grounded(ground: &Ground, place: DVec3, vertical: Vertical) -> DVec3 {
    match vertical {
        Vertical::Absolute => place,
        Vertical::AboveTerrain => place + DVec3::Z * ground_at(ground, place.truncate()),
    }
}

/// Draws `sketch`. Returns by how many metres the picture differs from the full one, or why nothing could be drawn.
pub(super) fn draw(scene: &mut Scene, sketch: &Sketch, ground: &Ground, detail: Detail) -> Result<f64, &'static str> {
    scene.begin(sketch);
    let drawn = draw_shape(scene, sketch, ground, detail);
    if drawn.is_err() {
        scene.forget();
    }
    drawn
}

/// Draws one prism of the block of a building that is known in components: plain walls and a flat roof.
pub(super) fn draw_prism(scene: &mut Scene, block: &Block, stage: Stage) {
    let rings = block.footprint.iter().filter_map(|polygon| polygon::Rings::of(polygon, 0.0));
    block::draw_prism(scene, &rings.collect::<Vec<_>>(), block, Tint::of(stage, BLOCK_COLOUR));
}

fn draw_shape(scene: &mut Scene, sketch: &Sketch, ground: &Ground, detail: Detail) -> Result<f64, &'static str> {
    let dice = Dice::of(&sketch.id);
    match &sketch.geometry {
        Geometry::Block(block) => block::draw(scene, sketch, block, ground, detail),
        Geometry::Tube(tube) if matches!(sketch.class, Class::Tunnel | Class::Gallery | Class::Station) => {
            tube::draw_swept(scene, sketch, tube, ground, detail)
        }
        Geometry::Tube(tube) => tube::draw_pipe(scene, sketch, tube, ground, detail),
        Geometry::Line(line) => ribbon::draw(scene, sketch, line, ground, detail),
        Geometry::Area(area) => surface::draw_area(scene, sketch, area, ground, detail),
        Geometry::Mesh(mesh) => surface::draw_mesh(scene, sketch, mesh, detail),
        Geometry::Shaft(shaft) => {
            let top = grounded(ground, shaft.top, shaft.vertical);
            if shaft.depth_m <= 0.0 || shaft.diameter_m <= 0.0 {
                return Err("a shaft without depth or diameter");
            }
            let size = DVec3::new(shaft.diameter_m, shaft.diameter_m, shaft.depth_m);
            let tint = Tint::of(sketch.stage, [196, 192, 184]);
            scene.instance(Model::Shaft, top - DVec3::Z * shaft.depth_m, DQuat::IDENTITY, size, tint);
            if detail.is_full() {
                let cover = DVec3::new(shaft.diameter_m, shaft.diameter_m, 1.0);
                scene.instance(Model::Cover, top, DQuat::IDENTITY, cover, Tint::of(sketch.stage, [255; 3]));
            }
            Ok(0.3)
        }
        Geometry::Instance(instance) => {
            if instance.height_m <= 0.0 {
                return Err("an instance without height");
            }
            let at = grounded(ground, instance.at, instance.vertical);
            let width = if instance.width_m > 0.0 { instance.width_m } else { instance.height_m * 0.5 };
            let size = DVec3::new(width, width, instance.height_m);
            let turn = DQuat::from_rotation_z(instance.yaw);
            let green = || {
                let light = 205.0 + 50.0 * dice.throw(1);
                let warm = dice.throw(2);
                [light * (0.84 + 0.16 * warm), light, light * (0.92 - 0.2 * warm)].map(|c| c as u8)
            };
            let (model, colour) = match instance.model {
                InstanceModel::BroadleafTree if detail.is_full() => {
                    (dice.pick(3, &[Model::Broadleaf0, Model::Broadleaf1, Model::Broadleaf2]), green())
                }
                InstanceModel::BroadleafTree => (Model::BroadleafFar, green()),
                InstanceModel::ConiferTree if detail.is_full() => (Model::Conifer, green()),
                InstanceModel::ConiferTree => (Model::ConiferFar, green()),
                InstanceModel::Lamp if detail.is_full() => (Model::Lamp, [255; 3]),
                InstanceModel::Lamp => (Model::LampFar, [255; 3]),
                InstanceModel::Valve => (Model::Valve, pipe_colour(sketch, [90, 130, 190])),
                InstanceModel::Hydrant => (Model::Hydrant, [255; 3]),
                InstanceModel::Joint => (Model::Joint, pipe_colour(sketch, [170, 170, 170])),
                InstanceModel::Marker => (Model::Marker, [255; 3]),
            };
            scene.instance(model, at, turn, size, Tint::of(sketch.stage, colour));
            Ok(instance.height_m.max(width) * 0.75)
        }
        Geometry::Point(point) => {
            let at = grounded(ground, point.at, point.vertical);
            let size = DVec3::new(0.6, 0.6, 1.5);
            scene.instance(Model::Marker, at, DQuat::IDENTITY, size, Tint::of(sketch.stage, [255; 3]));
            Ok(0.5)
        }
        Geometry::None | Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_) => Err("not a solid shape"),
    }
}

/// Standard colour of the pipe's kind or of a stratum's soil, else `default`.
fn pipe_colour(sketch: &Sketch, default: [u8; 3]) -> [u8; 3] {
    sketch.pipe_kind.map(PipeKind::rgb).or(sketch.soil.map(Soil::rgb)).unwrap_or(default)
}

/// How large an object looks, metres: what is missed when it is left out.
pub(super) fn size_m(geometry: &Geometry) -> f64 {
    let extent = geometry.extent();
    if extent.is_empty() {
        return 0.0;
    }
    let size = extent.size();
    let plan = size.truncate().length();
    match geometry {
        Geometry::Block(block) => block.height_m.max((size.x * size.y).max(0.0).sqrt()),
        Geometry::Line(line) => plan.min(4.0 * line.width_m.max(1.0)),
        // Thin as a pipe is, its network is what one looks for.
        Geometry::Tube(tube) => size.length().min(40.0 * tube.section.size_m()),
        Geometry::Area(_) => (size.x * size.y).max(0.0).sqrt(),
        Geometry::Point(_) => 1.0,
        _ => size.length(),
    }
}

/// What a square metre with a picture takes of a tile's sheet: a leaf's sheet is full at some 12 000 m².
const PICTURE_WEIGHT: f64 = 0.034;
/// The same from afar, where it has a sixty-fourth of the pixels, or fewer, and four times the room.
const PICTURE_WEIGHT_FAR: f64 = 0.002;

/// What drawing costs in full and from afar; 1 = a plain building.
pub(super) fn weights(geometry: &Geometry) -> (f64, f64) {
    match geometry {
        Geometry::Block(block) => {
            let corners: usize =
                block.footprint.iter().map(|p| p.outer.len() + p.holes.iter().map(Vec::len).sum::<usize>()).sum();
            (0.5 + corners as f64 * 0.12, 0.3 + corners.min(8) as f64 * 0.03)
        }
        Geometry::Tube(tube) => (0.2 + tube.axis.len() as f64 * 0.1, 0.25),
        Geometry::Line(line) => {
            let length: f64 = line.paths.iter().flat_map(|p| p.windows(2)).map(|w| w[0].distance(w[1])).sum();
            (0.2 + length / 100.0, 0.2 + length / 400.0)
        }
        Geometry::Area(area) => {
            let corners: usize = area.polygons.iter().map(|p| p.outer.len()).sum();
            let size = geometry.extent().size();
            (0.2 + corners as f64 * 0.05 + size.x * size.y / 10_000.0, 0.2 + corners.min(100) as f64 * 0.05)
        }
        Geometry::Mesh(mesh) => {
            let triangles: usize = mesh.parts.iter().map(|p| p.indices.len() / 3).sum();
            let cost_of = |triangles: usize| 0.05 + triangles as f64 / 40.0;
            let cost = cost_of(triangles);
            let far = simple::simple(mesh).map_or(cost, |simple| cost_of(simple.triangles.len()));
            let pictured = mesh.parts.iter().filter(|p| p.texture.is_some()).map(sheet::area_m2).sum::<f64>();
            (cost + pictured * PICTURE_WEIGHT, far + pictured * PICTURE_WEIGHT_FAR)
        }
        _ => (0.2, 0.2),
    }
}

fn quat_f32(turn: DQuat) -> Quat {
    turn.as_quat()
}
