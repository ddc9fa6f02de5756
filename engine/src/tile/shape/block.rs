//! Buildings: a raised footprint with facades and a roof.
//!
//! Where the base is not known, the building stands on the mean height of the terrain under its corners; its
//! height counts from there. Its walls reach down to the lowest terrain under it, and half a metre below, so that
//! no gap opens on a slope. What begins above its base (a part over a passage) has a floor there instead, which is
//! seen from below. One repeat of a facade's texture is one storey by one bay of about three metres.

use glam::{DQuat, DVec2, DVec3, Vec2};

use super::{
    Detail, Dice, Facade, Sketch, ground_at,
    model::Model,
    polygon::{Rings, TurnedRect},
    roof,
    scene::{Look, Scene, Tint},
    texture,
};
use crate::{
    model::{Block, Class, Roof},
    tile::Ground,
};

/// Width of a bay, metres.
pub(super) const BAY_M: f64 = 3.0;
/// Walls shorter than this have no windows, metres.
const LEAST_BAY_M: f64 = 1.2;
/// What is lost from afar: a viewer that tolerates e metres of error may not see windows, which are an eighth of it.
const FACADE_DETAIL_M: f64 = 24.0;
/// Height of the wall around a flat roof, metres.
const PARAPET_M: f64 = 0.7;
/// Thickness of it, metres.
const PARAPET_WIDTH_M: f64 = 0.3;

/// Colour of underground halls.
const STATION_COLOUR: [u8; 3] = [222, 206, 172];

/// A building before it is drawn.
struct Building<'a> {
    dice: Dice,
    facade: Facade,
    tint: Tint,
    roof_tint: Tint,
    /// Where the walls end below.
    bottom: f64,
    /// From where height and storeys count.
    base: f64,
    /// Where the windows begin: the base, or above it.
    begin: f64,
    height: f64,
    storey: f64,
    block: &'a Block,
}

pub(super) fn draw(
    scene: &mut Scene,
    sketch: &Sketch,
    block: &Block,
    ground: &Ground,
    detail: Detail,
) -> Result<f64, &'static str> {
    if block.height_m.is_nan() || block.height_m <= 0.0 {
        return Err("a building without height");
    }
    if block.lift_m < 0.0 || block.lift_m >= block.height_m {
        return Err("a building that begins above its roof");
    }
    let parts: Vec<Rings> = block.footprint.iter().filter_map(|p| Rings::of(p, detail.tolerance_m())).collect();
    if parts.is_empty() {
        return Err("a footprint without area");
    }
    let (base, bottom) = match block.base_m {
        Some(base) => (base, base),
        None => stand(&parts, ground),
    };
    let begin = base + block.lift_m;
    let bottom = if block.lift_m > 0.0 { begin } else { bottom };
    let dice = Dice::of(&sketch.id);
    let storeys = block.storeys.filter(|s| *s > 0).map_or((block.height_m / 3.0).round().max(1.0), f64::from);
    let roof_colours: &[[u8; 3]] = match sketch.facade {
        Facade::OldTown if block.roof != Some(Roof::Flat) && block.height_m < 13.0 => {
            &[[176, 98, 72], [164, 84, 62], [188, 112, 84], [150, 92, 76], [120, 104, 98]]
        }
        Facade::Industrial => &[[176, 190, 202], [150, 168, 186], [196, 198, 198], [160, 176, 170]],
        _ => &[[168, 166, 162], [154, 154, 152], [180, 176, 168], [146, 150, 152], [172, 160, 148], [150, 158, 150]],
    };
    let building = Building {
        dice,
        facade: sketch.facade,
        tint: Tint::of(sketch.stage, dice.pick(1, sketch.facade.tints())),
        roof_tint: Tint::of(sketch.stage, dice.pick(2, roof_colours)),
        bottom,
        base,
        begin,
        height: block.height_m,
        storey: block.height_m / storeys,
        block,
    };
    if sketch.class == Class::Station {
        let tint = Tint::of(sketch.stage, STATION_COLOUR);
        for rings in &parts {
            hall(scene, rings, (begin, base + block.height_m), tint);
        }
        return Ok(detail.tolerance_m());
    }
    for rings in &parts {
        if detail.is_full() { building.draw_full(scene, rings) } else { building.draw_far(scene, rings) }
    }
    Ok(if detail.is_full() { 0.0 } else { FACADE_DETAIL_M.max(detail.tolerance_m()) })
}

/// Height the building stands on and height its walls reach down to.
fn stand(parts: &[Rings], ground: &Ground) -> (f64, f64) {
    if ground.is_empty() {
        return (0.0, 0.0);
    }
    let (mut sum, mut count, mut low) = (0.0, 0.0, f64::INFINITY);
    for height in parts.iter().flat_map(|rings| rings.outer()).map(|v| ground_at(ground, *v)) {
        sum += height;
        count += 1.0;
        low = low.min(height);
    }
    (sum / f64::max(count, 1.0), low.min(sum / f64::max(count, 1.0)) - 0.5)
}

impl Building<'_> {
    fn draw_full(&self, scene: &mut Scene, rings: &Rings) {
        let kind = self.roof_kind(rings);
        let top = self.base + self.height;
        self.floor(scene, rings);
        let Some((rect, kind)) = kind else {
            self.walls(scene, rings, top);
            self.flat_roof(scene, rings, top);
            return;
        };
        let rise = self.rise(&rect);
        let eaves = top - rise;
        self.walls(scene, rings, eaves);
        let wall = (Look::Facade(self.facade), self.tint);
        roof::draw(scene, &rect, kind, eaves, rise, self.roof_tint, wall);
    }

    /// From eaves to ridge.
    fn rise(&self, rect: &TurnedRect) -> f64 {
        let body = self.height - self.block.lift_m;
        (rect.half_width * 0.75).min(body * 0.45).clamp(0.3_f64.min(body), 6.0)
    }

    /// The underside of what begins above its base.
    fn floor(&self, scene: &mut Scene, rings: &Rings) {
        if self.block.lift_m > 0.0 {
            let tint = self.tint.darker(0.6);
            let corners = rings.vertices().map(|v| v.extend(self.begin));
            let indices: Vec<u32> =
                corners.map(|v| scene.vertex(Look::Roof, v, DVec3::NEG_Z, Vec2::ZERO, tint)).collect();
            for [a, b, c] in rings.triangles() {
                scene.triangle(Look::Roof, [a, c, b].map(|i| indices[i as usize]));
            }
        }
    }

    /// The sloped roof this part gets, if any: as the source says, else small old houses have one.
    /// Only a footprint that is nearly a rectangle can carry it.
    fn roof_kind(&self, rings: &Rings) -> Option<(TurnedRect, Roof)> {
        if rings.0.len() > 1 {
            return None;
        }
        let rect = TurnedRect::around(rings.outer())?;
        let is_rectangle = rings.area() > rect.area() * 0.9 && rect.half_width > 1.0;
        let kind = match self.block.roof {
            Some(Roof::Flat) => return None,
            Some(kind) => kind,
            None => {
                let is_old = self.facade == Facade::OldTown && self.height < 13.0 && rect.half_width < 9.0;
                let is_shed = self.facade == Facade::Industrial && rect.half_width < 14.0 && self.dice.throw(4) < 0.5;
                if is_shed {
                    Roof::Gable
                } else if is_old && self.dice.throw(5) < 0.9 {
                    if self.dice.throw(6) < 0.6 { Roof::Gable } else { Roof::Hip }
                } else {
                    return None;
                }
            }
        };
        is_rectangle.then_some((rect, kind))
    }

    fn walls(&self, scene: &mut Scene, rings: &Rings, top: f64) {
        let has_shops = match self.facade {
            Facade::Office => self.dice.throw(7) < 0.6,
            Facade::OldTown => self.dice.throw(7) < 0.25,
            Facade::Residential => self.dice.throw(7) < 0.22,
            _ => false,
        } && self.height > 1.8 * self.storey
            && self.block.lift_m == 0.0
            && rings.area() > 60.0;
        let look = Look::Facade(self.facade);
        let first = if has_shops { self.base + self.storey } else { self.begin };
        for (a, b) in rings.edges() {
            let length = a.distance(b);
            let bays = if length < LEAST_BAY_M { 0.0 } else { (length / BAY_M).round().max(1.0) };
            if self.begin - self.bottom > 0.05 {
                // Plain plaster: the texture's lowest row, stretched.
                let shade =
                    [self.tint.darker(0.62), self.tint.darker(0.62), self.tint.darker(0.74), self.tint.darker(0.74)];
                wall(scene, look, (a, b), (self.bottom, self.base), (0.0, [0.01, 0.01]), shade);
            }
            if has_shops {
                let shade =
                    [self.tint.darker(0.78), self.tint.darker(0.78), self.tint.darker(0.9), self.tint.darker(0.9)];
                wall(scene, Look::Shop, (a, b), (self.base, first), (bays, [0.0, 1.0]), shade);
            }
            let v = |z: f64| (z - self.base) / self.storey;
            // Walls are a little darker where they meet the street.
            let low = if has_shops { self.tint.darker(0.88) } else { self.tint.darker(0.78) };
            wall(scene, look, (a, b), (first, top), (bays, [v(first), v(top)]), [low, low, self.tint, self.tint]);
        }
    }

    fn flat_roof(&self, scene: &mut Scene, rings: &Rings, top: f64) {
        let area = rings.area();
        let inner =
            (area > 50.0 && self.height - self.block.lift_m > 5.0).then(|| rings.inset(PARAPET_WIDTH_M)).flatten();
        let Some(inner) = inner else {
            cap(scene, rings, top, self.deck_tint());
            return;
        };
        let rim = Tint(mixed(self.tint, self.roof_tint));
        let deck = top - PARAPET_M;
        for ((a, b), (c, d)) in rings.edges().zip(inner.edges()) {
            let corners = [a.extend(top), b.extend(top), d.extend(top), c.extend(top)];
            scene.quad(Look::Roof, corners, [Vec2::ZERO; 4], [rim; 4]);
            let corners = [d.extend(deck), c.extend(deck), c.extend(top), d.extend(top)];
            let shade = [rim.darker(0.7), rim.darker(0.7), rim, rim];
            scene.quad(Look::Roof, corners, [Vec2::ZERO; 4], shade);
        }
        cap(scene, &inner, deck, self.deck_tint());
        self.roof_boxes(scene, &inner, deck);
    }

    /// Colour of a level roof: tiles belong on slopes, a terrace is paler.
    fn deck_tint(&self) -> Tint {
        if self.facade == Facade::OldTown {
            Tint(mixed(self.roof_tint, Tint([190, 182, 172, 255])))
        } else {
            self.roof_tint
        }
    }

    /// Lift houses, machines: what stands on large flat roofs.
    fn roof_boxes(&self, scene: &mut Scene, rings: &Rings, deck: f64) {
        let Some(rect) = TurnedRect::around(rings.outer()) else { return };
        if rings.area() < 160.0 || self.height < 9.0 || rect.half_width < 4.0 {
            return;
        }
        let count = 1 + (rings.area() / 500.0).min(3.0) as u64 + (self.dice.throw(20) * 2.0) as u64;
        for i in 0..count {
            let salt = 30 + i * 8;
            let share = |n: u64| self.dice.throw(salt + n) * 1.3 - 0.65;
            let place = rect.at(share(0), share(1) * 0.8);
            let is_house = i == 0 && self.height > 15.0;
            let half = if is_house {
                DVec2::new(2.2 + 1.8 * self.dice.throw(salt + 2), 1.8 + self.dice.throw(salt + 3))
            } else {
                DVec2::new(0.8 + 1.2 * self.dice.throw(salt + 2), 0.7 + 0.8 * self.dice.throw(salt + 3))
            };
            let high = if is_house { 3.0 } else { 0.9 + 0.8 * self.dice.throw(salt + 4) };
            let across = rect.along.perp();
            let corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
            let is_inside = corners
                .iter()
                .all(|(x, y)| rings.contains(place + rect.along * (x * half.x * 1.1) + across * (y * half.y * 1.1)));
            if is_inside {
                let turn = DQuat::from_rotation_z(rect.along.to_angle());
                let size = DVec3::new(half.x * 2.0, half.y * 2.0, high);
                let tint = if is_house { Tint(mixed(self.tint, self.roof_tint)) } else { self.roof_tint.darker(1.12) };
                scene.instance(Model::Box, place.extend(deck + high * 0.5), turn, size, tint);
            }
        }
    }

    /// A plain prism in the facade's mean colour.
    fn draw_far(&self, scene: &mut Scene, rings: &Rings) {
        let top = self.base + self.height;
        let mean = texture::facade_mean(self.facade);
        let colour: [u8; 4] = std::array::from_fn(|i| match i {
            3 => 255,
            _ => (u16::from(mean[i]) * u16::from(self.tint.0[i]) / 255) as u8,
        });
        let tint = Tint(colour);
        let low = tint.darker(0.78);
        // Coarse terrain differs more from the true one, so the walls go deeper.
        let is_on_terrain = self.block.base_m.is_none() && self.block.lift_m == 0.0;
        let bottom = if is_on_terrain { self.bottom - 2.0 } else { self.bottom };
        self.floor(scene, rings);
        let sloped = self.roof_kind(rings);
        let eaves = match &sloped {
            Some((rect, _)) => top - self.rise(rect),
            None => top,
        };
        for (a, b) in rings.edges() {
            wall(scene, Look::Wall, (a, b), (bottom, eaves), (0.0, [0.0, 0.0]), [low, low, tint, tint]);
        }
        match sloped {
            Some((rect, kind)) => {
                let colour = self.roof_tint.darker(0.9);
                roof::draw_plain(scene, &rect, kind, eaves, top - eaves, colour, (Look::Wall, tint));
            }
            None => cap(scene, rings, top, self.deck_tint()),
        }
    }
}

/// An upright body with plain walls, its top paler than its foot, and a flat roof; open below.
pub(super) fn draw_prism(scene: &mut Scene, parts: &[Rings], block: &Block, tint: Tint) {
    let bottom = block.base_m.unwrap_or(0.0);
    let top = bottom + block.height_m;
    let low = tint.darker(0.78);
    for rings in parts {
        for (a, b) in rings.edges() {
            wall(scene, Look::Wall, (a, b), (bottom, top), (0.0, [0.0, 0.0]), [low, low, tint, tint]);
        }
        cap(scene, rings, top, tint.darker(0.92));
    }
}

/// An underground hall: a box one can look into, like the tunnels that lead to it.
fn hall(scene: &mut Scene, rings: &Rings, (low, high): (f64, f64), tint: Tint) {
    for (a, b) in rings.edges() {
        wall(scene, Look::Tunnel, (a, b), (low, high), (0.0, [0.0, 0.0]), [tint; 4]);
    }
    for z in [low, high] {
        let indices: Vec<u32> =
            rings.vertices().map(|v| scene.vertex(Look::Tunnel, v.extend(z), DVec3::Z, Vec2::ZERO, tint)).collect();
        for triangle in rings.triangles() {
            scene.triangle(Look::Tunnel, triangle.map(|i| indices[i as usize]));
        }
    }
}

/// One wall over the edge (start, end) between two heights: bays along it, storeys up it.
fn wall(
    scene: &mut Scene,
    look: Look,
    (a, b): (DVec2, DVec2),
    (low, high): (f64, f64),
    (bays, [v_low, v_high]): (f64, [f64; 2]),
    shade: [Tint; 4],
) {
    if high <= low {
        return;
    }
    let corners = [a.extend(low), b.extend(low), b.extend(high), a.extend(high)];
    let uv = |u: f64, v: f64| Vec2::new(u as f32, v as f32);
    scene.quad(look, corners, [uv(0.0, v_low), uv(bays, v_low), uv(bays, v_high), uv(0.0, v_high)], shade);
}

/// A level surface over the polygon.
fn cap(scene: &mut Scene, rings: &Rings, z: f64, tint: Tint) {
    let indices: Vec<u32> =
        rings.vertices().map(|v| scene.vertex(Look::Roof, v.extend(z), DVec3::Z, Vec2::ZERO, tint)).collect();
    for triangle in rings.triangles() {
        scene.triangle(Look::Roof, triangle.map(|i| indices[i as usize]));
    }
}

fn mixed(a: Tint, b: Tint) -> [u8; 4] {
    std::array::from_fn(|i| ((u16::from(a.0[i]) + u16::from(b.0[i])) / 2) as u8)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{super::polygon::tests::polygon, *};
    use crate::{
        model::{CityObject, Class, Geometry, ObjectId, Polygon},
        tile::glb::{TileContent, TileMesh},
    };

    const SQUARE: [(f64, f64); 4] = [(0.0, 0.0), (12.0, 0.0), (12.0, 12.0), (0.0, 12.0)];

    fn drawn(footprint: Polygon, height_m: f64, storeys: u16, roof: Roof, detail: Detail) -> TileContent {
        drawn_lifted(footprint, (height_m, 0.0), storeys, roof, detail)
    }

    fn drawn_lifted(
        footprint: Polygon,
        (height_m, lift_m): (f64, f64),
        storeys: u16,
        roof: Roof,
        detail: Detail,
    ) -> TileContent {
        let (footprint, storeys, roof) = (vec![footprint], Some(storeys), Some(roof));
        let block = Block { footprint, base_m: Some(0.0), height_m, lift_m, storeys, roof };
        let object = CityObject::new(ObjectId::new("b", 1), Class::Building, Geometry::Block(block.clone()));
        let sketch = Sketch { facade: Facade::Public, ..Sketch::of(&object) };
        let mut scene = Scene::new(DVec3::ZERO);
        scene.begin(&sketch);
        draw(&mut scene, &sketch, &block, &Ground::default(), detail).unwrap();
        scene.into_content()
    }

    fn triangles(content: &TileContent) -> impl Iterator<Item = [glam::Vec3; 3]> + '_ {
        let of = |mesh: &TileMesh| {
            let at = |i: u32| mesh.positions[i as usize];
            mesh.indices.chunks_exact(3).map(|t| [at(t[0]), at(t[1]), at(t[2])]).collect::<Vec<_>>()
        };
        content.meshes.iter().flat_map(of)
    }

    /// Volume over z = 0 that the triangles enclose; right only where they enclose something.
    fn volume(content: &TileContent) -> f32 {
        triangles(content).map(|[a, b, c]| a.dot(b.cross(c)) / 6.0).sum()
    }

    /// Edges that are not run through once in each direction.
    fn open_edges(content: &TileContent) -> Vec<[glam::Vec3; 2]> {
        let key = |v: glam::Vec3| v.to_array().map(|c| (c * 1000.0).round() as i64);
        let mut edges = HashMap::new();
        for triangle in triangles(content) {
            for i in 0..3 {
                let (a, b) = (triangle[i], triangle[(i + 1) % 3]);
                *edges.entry((key(a), key(b))).or_insert((0, [a, b])) = (1, [a, b]);
            }
        }
        let has_twin = |(a, b): &([i64; 3], [i64; 3])| edges.contains_key(&(*b, *a));
        edges.iter().filter(|(edge, _)| !has_twin(edge)).map(|(_, (_, ends))| *ends).collect()
    }

    #[test]
    fn prisms_enclose_their_volume_and_are_open_only_below() {
        let hole: &[(f64, f64)] = &[(4.0, 4.0), (8.0, 4.0), (8.0, 8.0), (4.0, 8.0)];
        for (holes, expected) in [(vec![], 144.0 * 20.0), (vec![hole], 128.0 * 20.0)] {
            let footprint = polygon(&SQUARE, &holes);
            let far = drawn(footprint.clone(), 20.0, 6, Roof::Flat, Detail::Far { tolerance_m: 0.5 });
            assert!((volume(&far) - expected).abs() < 0.1, "{}", volume(&far));
            assert!(open_edges(&far).iter().flatten().all(|v| v.z == 0.0));
            let full = drawn(footprint, 20.0, 6, Roof::Flat, Detail::Full);
            assert!(open_edges(&full).iter().flatten().all(|v| v.z == 0.0), "the parapet closes");
            assert!(volume(&full) < expected && volume(&full) > expected - 144.0 * 0.7);
        }
    }

    #[test]
    fn a_part_that_begins_above_the_ground_is_closed_below() {
        let far = Detail::Far { tolerance_m: 0.5 };
        for detail in [far, Detail::Full] {
            let part = drawn_lifted(polygon(&SQUARE, &[]), (20.0, 15.5), 6, Roof::Flat, detail);
            assert_eq!(open_edges(&part), Vec::<[glam::Vec3; 2]>::new());
            let low = triangles(&part).flatten().map(|v| v.z).fold(f32::MAX, f32::min);
            assert_eq!(low, 15.5);
            assert!((volume(&part) - 144.0 * 4.5).abs() < 0.1, "{}", volume(&part));
        }
        let object = |lift_m| {
            let block = Block {
                footprint: vec![polygon(&SQUARE, &[])],
                base_m: None,
                height_m: 20.0,
                lift_m,
                storeys: None,
                roof: None,
            };
            CityObject::new(ObjectId::new("b", 1), Class::Building, Geometry::Block(block))
        };
        assert_eq!(object(15.5).geometry.extent().min.z, 15.5);
        let mut scene = Scene::new(DVec3::ZERO);
        let sketch = Sketch::of(&object(20.0));
        assert!(super::super::draw(&mut scene, &sketch, &Ground::default(), far).is_err());
    }

    #[test]
    fn sloped_roofs_have_the_volume_of_their_shape_and_reach_the_height() {
        // Half of a 12 m wide house: the ridge is 0.75 · 6 m = 4.5 m above the eaves.
        let footprint = polygon(&[(0.0, 0.0), (20.0, 0.0), (20.0, 12.0), (0.0, 12.0)], &[]);
        let far = Detail::Far { tolerance_m: 0.5 };
        let gable = drawn(footprint.clone(), 12.0, 3, Roof::Gable, far);
        let prism = 240.0 * 7.5;
        assert!((volume(&gable) - (prism + 240.0 * 4.5 / 2.0)).abs() < 0.5, "{}", volume(&gable));
        let hip = drawn(footprint.clone(), 12.0, 3, Roof::Hip, far);
        // A hip roof: ridge of 8 m, so 12 · 4.5 / 6 · (2 · 20 + 8).
        assert!((volume(&hip) - (prism + 12.0 * 4.5 / 6.0 * 48.0)).abs() < 0.5, "{}", volume(&hip));
        for content in [&gable, &hip, &drawn(footprint, 12.0, 3, Roof::Gable, Detail::Full)] {
            let top = triangles(content).flatten().map(|v| v.z).fold(f32::MIN, f32::max);
            assert!((top - 12.0).abs() < 1e-4);
        }
    }

    #[test]
    fn one_repeat_of_a_facade_is_one_storey_by_one_bay() {
        let content = drawn(polygon(&SQUARE, &[]), 21.0, 7, Roof::Flat, Detail::Full);
        let wall = content.meshes.iter().find(|m| content.materials[m.material].name == "facade_public").unwrap();
        let high = wall.uvs.iter().fold(Vec2::ZERO, |high, uv| high.max(*uv));
        assert_eq!(high, Vec2::new(4.0, 7.0), "12 m are 4 bays, 7 storeys are 7");
        assert_eq!(wall.uvs.len(), wall.positions.len());
        assert!(content.materials[wall.material].texture.is_some());
        for (position, normal) in wall.positions.iter().zip(&wall.normals) {
            let outward = *position - glam::Vec3::new(6.0, 6.0, position.z);
            assert!(outward.dot(*normal) > 0.0 && normal.z == 0.0);
        }
    }
}
