//! Buildings (建筑): what stands on each block, by the character of its zone.

use glam::DVec2;

use crate::{
    coast::Coast,
    outline::{bays, chamfered, cross, rectangle, round, shape, tower},
    plane::in_ring,
    plot::{Block, Cover, Plots},
    random::Random,
    recipe::{Grade, Recipe, SiteKind, ZoneKind},
    street::{Street, Streets},
    terrain::Terrain,
};

/// Use of a building (用途).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Housing,
    Office,
    Shop,
    School,
    Hospital,
    Industry,
    OldTown,
}

impl Use {
    /// Word in 建筑.shp.
    pub fn zh(self) -> &'static str {
        match self {
            Use::Housing => "住宅",
            Use::Office => "办公",
            Use::Shop => "商业",
            Use::School => "学校",
            Use::Hospital => "医院",
            Use::Industry => "工业",
            Use::OldTown => "老城",
        }
    }
}

/// One building, or one part of it that has a height of its own.
#[derive(Clone, Debug)]
pub(crate) struct Building {
    pub name: String,
    /// Outline, counter-clockwise.
    pub ring: Vec<DVec2>,
    /// Courtyard, clockwise.
    pub yard: Option<Vec<DVec2>>,
    pub usage: Use,
    pub storeys: u32,
    pub height_m: f64,
    pub year: i64,
    pub pitched: bool,
}

impl Building {
    /// Box around it.
    pub fn bounds(&self) -> (DVec2, DVec2) {
        self.ring.iter().fold((DVec2::INFINITY, DVec2::NEG_INFINITY), |(a, b), p| (a.min(*p), b.max(*p)))
    }

    /// Whether a point lies within a margin of the outline's inside.
    pub fn holds(&self, p: DVec2, margin: f64) -> bool {
        in_ring(p, &self.ring)
            || (margin > 0.0
                && (0..self.ring.len()).any(|i| {
                    crate::plane::segment_distance(p, self.ring[i], self.ring[(i + 1) % self.ring.len()]).0 < margin
                }))
    }
}

/// What a site became.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub kind: SiteKind,
    pub name: String,
    pub at: DVec2,
    /// Unit vector along its front.
    pub front: DVec2,
    /// Ground that belongs to it.
    pub ring: Vec<DVec2>,
}

/// Everything that stands in the city.
pub(crate) struct Built {
    pub buildings: Vec<Building>,
    pub places: Vec<Place>,
}

/// The part of a block that lies in one zone.
struct Part<'a> {
    block: &'a Block,
    number: usize,
    zone: ZoneKind,
}

struct Builder<'a> {
    recipe: &'a Recipe,
    ground: &'a Terrain,
    coast: &'a Coast,
    plots: &'a mut Plots,
    random: Random,
    made: Vec<Building>,
}

/// Builds the city on its free land.
pub(crate) fn build(recipe: &Recipe, coast: &Coast, ground: &Terrain, streets: &Streets, plots: &mut Plots) -> Built {
    let blocks = plots.blocks(&streets.streets);
    let random = Random::new(recipe.seed, "buildings");
    let mut builder = Builder { recipe, ground, coast, plots, random, made: Vec::new() };
    let places = builder.places(&blocks);
    builder.landmarks();
    for street in &streets.streets {
        builder.street_front(street);
    }
    for (k, block) in blocks.iter().enumerate() {
        builder.block(block, k);
    }
    Built { buildings: builder.made, places }
}

impl Builder<'_> {
    fn put(&mut self, ring: Vec<DVec2>, margin: f64, building: Building) -> bool {
        if !self.plots.is_free(&ring, margin) {
            return false;
        }
        self.plots.take(&ring, Cover::Building);
        self.made.push(Building { ring, ..building });
        true
    }

    fn plain(&mut self, usage: Use, storeys: i64, pitched: bool, name: String) -> Building {
        let storeys = storeys.max(1) as u32;
        let each = match usage {
            Use::Housing => 3.0,
            Use::Office => 3.9,
            Use::Shop => 4.2,
            Use::School | Use::Hospital => 3.9,
            Use::Industry => 5.5,
            Use::OldTown => 3.3,
        };
        let height_m = (f64::from(storeys) * each * 10.0 + 6.0).round() / 10.0;
        let year = match usage {
            Use::OldTown => self.random.whole(1902, 1938),
            Use::Industry => self.random.whole(1958, 2012),
            Use::Housing if storeys <= 7 => self.random.whole(1982, 2003),
            _ => self.random.whole(1999, 2024),
        };
        Building { name, ring: Vec::new(), yard: None, usage, storeys, height_m, year, pitched }
    }

    fn places(&mut self, blocks: &[Block]) -> Vec<Place> {
        let mut places = Vec::new();
        for site in &self.recipe.sites {
            if !self.recipe.extent().contains(site.at, 5.0) {
                continue;
            }
            let ring = self.plots.clearing(site);
            if crate::plane::area(&ring) < 200.0 {
                continue;
            }
            let near = |b: &&Block| (b.middle.distance(site.at) * 1000.0) as i64;
            let front = blocks.iter().min_by_key(near).map_or(DVec2::X, |b| b.front);
            let place = Place { kind: site.kind, name: site.name.clone(), at: site.at, front, ring };
            self.furnish(&place);
            self.plots.take(&place.ring, Cover::Reserved);
            places.push(place);
        }
        places
    }

    fn furnish(&mut self, place: &Place) {
        let (at, u, v) = (place.at, place.front, place.front.perp());
        let r = (crate::plane::area(&place.ring) / 3.4).sqrt();
        let name = &place.name;
        match place.kind {
            SiteKind::Plaza | SiteKind::Bim | SiteKind::Park => {}
            SiteKind::Stadium => {
                let mut b = self.plain(Use::Shop, 4, false, name.clone());
                b.height_m = 31.5;
                b.yard = Some(round(at, u, 128.0, 92.0, 40).into_iter().rev().collect());
                let ring = round(at, u, 196.0, 158.0, 40);
                self.put(ring, 1.0, b);
            }
            SiteKind::School => {
                let north = at + v * (r * 0.55);
                for (k, (du, dv, w, d)) in
                    [(-0.42, 0.0, 0.62, 12.0), (0.42, 0.0, 0.62, 12.0), (-0.42, -0.42, 0.62, 12.0)].iter().enumerate()
                {
                    let b =
                        self.plain(Use::School, if r < 50.0 { 3 } else { 5 }, false, format!("{name}{}号楼", k + 1));
                    let spot = north + u * (du * r * 1.1) + v * (dv * r);
                    self.put(rectangle(spot, u, (w * r).max(22.0), *d), 0.5, b);
                }
                let b = self.plain(Use::School, 2, false, format!("{name}体育馆"));
                self.put(rectangle(north + u * (0.5 * r) - v * (0.48 * r), u, 0.45 * r, 0.4 * r), 0.5, b);
            }
            SiteKind::Hospital => {
                let b = self.plain(Use::Hospital, 16, false, format!("{name}住院楼"));
                let slab =
                    [(-36.0, -8.0), (-6.0, -8.0), (0.0, -12.0), (6.0, -8.0), (36.0, -8.0), (36.0, 8.0), (-36.0, 8.0)];
                self.put(shape(at + v * 20.0, u, &slab), 0.5, b);
                let b = self.plain(Use::Hospital, 5, false, format!("{name}门诊楼"));
                let comb = [
                    (-38.0, -12.0),
                    (38.0, -12.0),
                    (38.0, 12.0),
                    (22.0, 12.0),
                    (22.0, 2.0),
                    (6.0, 2.0),
                    (6.0, 12.0),
                    (-8.0, 12.0),
                    (-8.0, 2.0),
                    (-22.0, 2.0),
                    (-22.0, 12.0),
                    (-38.0, 12.0),
                ];
                self.put(shape(at - v * 16.0, u, &comb), 0.5, b);
            }
            SiteKind::Church => {
                let mut b = self.plain(Use::OldTown, 2, true, name.clone());
                b.height_m = 17.5;
                b.year = 1934;
                self.put(rectangle(at + u * 2.0, u, 27.0, 12.0), 0.0, b);
                for side in [-1.0, 1.0] {
                    let mut b = self.plain(Use::OldTown, 5, true, format!("{name}钟楼"));
                    b.height_m = 44.0;
                    b.year = 1934;
                    self.put(rectangle(at - u * 15.0 + v * (side * 3.9), u, 5.8, 5.8), 0.0, b);
                }
            }
            SiteKind::SewageWorks => {
                for k in 0..4 {
                    let mut b = self.plain(Use::Industry, 1, false, format!("{name}{}号沉淀池", k + 1));
                    b.height_m = 4.2;
                    let spot = at + u * (f64::from(k % 2) * 34.0 - 17.0) + v * (f64::from(k / 2) * 34.0 - 17.0);
                    self.put(round(spot, u, 26.0, 26.0, 24), 0.5, b);
                }
            }
        }
    }

    /// Things that one steers by from the sea.
    fn landmarks(&mut self) {
        let tower = |name: &str, height_m: f64, year: i64, storeys: u32, pitched: bool| Building {
            name: name.into(),
            ring: Vec::new(),
            yard: None,
            usage: Use::Shop,
            storeys,
            height_m,
            year,
            pitched,
        };
        let mut spots = Vec::new();
        let head = &self.recipe.hills[2.min(self.recipe.hills.len() - 1)];
        spots.push((
            round(head.at + DVec2::new(20.0, -150.0), DVec2::X, 9.0, 9.0, 12),
            tower("灯塔", 33.0, 1904, 6, false),
        ));
        let top = &self.recipe.hills[1.min(self.recipe.hills.len() - 1)];
        spots.push((round(top.at, DVec2::X, 30.0, 30.0, 20), tower("电视观光塔基座", 16.0, 1994, 3, false)));
        spots.push((round(top.at, DVec2::X, 11.0, 11.0, 16), tower("电视观光塔", 148.0, 1994, 30, false)));
        let low = &self.recipe.hills[0];
        spots.push((round(low.at, DVec2::X, 18.0, 18.0, 16), tower("信号山观景楼", 17.0, 1986, 4, true)));
        if let Some((line, _)) = self.coast.moles().first() {
            let end = line.points[line.points.len() - 1];
            spots.push((round(end, DVec2::X, 19.0, 19.0, 8), tower("回澜阁", 14.6, 1931, 2, true)));
        }
        spots.push((round(self.recipe.island.at, DVec2::X, 8.0, 8.0, 8), tower("琴岛灯塔", 16.0, 1900, 4, false)));
        for (ring, building) in spots {
            if self.recipe.extent().contains(crate::plane::middle(&ring), 25.0) {
                self.plots.take(&ring, Cover::Building);
                self.made.push(Building { ring, ..building });
            }
        }
    }

    /// Houses and shops along both sides of a street.
    fn street_front(&mut self, street: &Street) {
        let length = street.line.length();
        for side in [1.0, -1.0] {
            let mut way = self.random.range(6.0, 12.0);
            let mut number = if side > 0.0 { 1 } else { 2 };
            while way < length - 6.0 {
                let (p, along) = street.line.at(way);
                let out = along.perp() * side;
                let zone = self.recipe.zone(p + out * (street.reach_m() + 14.0));
                let step = match zone {
                    ZoneKind::OldTown => self.old_house(street, way, out, number),
                    ZoneKind::Villas => self.villa(street, way, out, number),
                    ZoneKind::Housing if street.grade <= Grade::Secondary => self.shop(street, way, out, number, 0.5),
                    ZoneKind::Cbd if street.grade >= Grade::Secondary => self.shop(street, way, out, number, 0.45),
                    ZoneKind::Housing => self.shop(street, way, out, number, 0.10),
                    _ => 40.0,
                };
                way += step;
                number += 2;
            }
        }
    }

    fn spot(&self, street: &Street, way: f64, width: f64, side_out: DVec2, off: f64) -> Option<(DVec2, DVec2)> {
        if way + width > street.line.length() {
            return None;
        }
        let (p, _) = street.line.at(way + width / 2.0);
        let (a, b) = (street.line.at(way).0, street.line.at(way + width).0);
        let along = (b - a).normalize_or_zero();
        let out = if along.perp().dot(side_out) > 0.0 { along.perp() } else { -along.perp() };
        let spot = p + out * (street.reach_m() + off);
        (self.ground.slope(spot) < 0.33 && !self.wild(spot) && self.coast.inland(spot) > 12.0).then_some((spot, along))
    }

    fn old_house(&mut self, street: &Street, way: f64, out: DVec2, number: i64) -> f64 {
        let width = self.random.range(11.0, 22.0);
        let depth = self.random.range(9.5, 12.5);
        let storeys = self.random.whole(2, 4);
        let back = self.random.range(0.6, 2.2);
        if let Some((at, along)) = self.spot(street, way, width, out, back + depth / 2.0) {
            let b = self.plain(Use::OldTown, storeys, true, format!("{}{number}号", street.name));
            let wing = self.random.chance(0.28);
            let inward = if along.perp().dot(out) > 0.0 { 1.0 } else { -1.0 };
            let ring = if wing {
                let (w, d) = (width / 2.0, depth / 2.0);
                let reach = d + self.random.range(6.0, 9.0);
                shape(
                    at,
                    along,
                    &[
                        (-w, -d * inward),
                        (w, -d * inward),
                        (w, reach * inward),
                        (w - 9.0, reach * inward),
                        (w - 9.0, d * inward),
                        (-w, d * inward),
                    ],
                )
            } else {
                rectangle(at, along, width, depth)
            };
            if !self.put(ring, 0.35, b) {
                let b = self.plain(Use::OldTown, storeys, true, format!("{}{number}号", street.name));
                self.put(rectangle(at, along, width * 0.72, depth * 0.85), 0.35, b);
            }
            // the house in the yard behind
            let (rear_w, rear_d) = (self.random.range(9.0, 15.0), self.random.range(7.5, 9.5));
            let gap = self.random.range(6.5, 10.0);
            let rear = at + out * (depth / 2.0 + gap + rear_d / 2.0);
            if self.random.chance(0.75) && self.ground.slope(rear) < 0.33 {
                let b = self.plain(Use::OldTown, storeys.min(3), true, format!("{}{number}号乙", street.name));
                self.put(rectangle(rear, along, rear_w, rear_d), 0.8, b);
            }
        }
        width + if self.random.chance(0.16) { self.random.range(4.0, 9.0) } else { self.random.range(0.8, 1.6) }
    }

    fn villa(&mut self, street: &Street, way: f64, out: DVec2, number: i64) -> f64 {
        let width = self.random.range(13.0, 19.0);
        let depth = self.random.range(11.0, 14.5);
        let back = self.random.range(6.0, 9.5);
        if let Some((at, along)) = self.spot(street, way, width, out, back + depth / 2.0) {
            let storeys = self.random.whole(2, 3);
            let b = self.plain(Use::OldTown, storeys, true, format!("{}{number}号", street.name));
            let ring = match self.random.whole(0, 2) {
                0 => {
                    let (w, d) = (width / 2.0, depth / 2.0);
                    shape(at, along, &[(-w, -d), (w, -d), (w, d), (w * 0.1, d), (w * 0.1, d - 4.0), (-w, d - 4.0)])
                }
                _ => rectangle(at, along, width, depth),
            };
            self.put(ring, 3.0, b);
        }
        width + self.random.range(9.0, 16.0)
    }

    fn shop(&mut self, street: &Street, way: f64, out: DVec2, number: i64, likely: f64) -> f64 {
        let width = self.random.range(22.0, 46.0);
        let depth = self.random.range(11.0, 14.0);
        if !self.random.chance(likely) {
            return width;
        }
        let storeys = if street.grade == Grade::Main { self.random.whole(3, 6) } else { self.random.whole(2, 4) };
        if let Some((at, along)) = self.spot(street, way, width, out, 4.0 + depth / 2.0) {
            let b = self.plain(Use::Shop, storeys, false, format!("{}{number}号", street.name));
            self.put(rectangle(at, along, width, depth), 1.5, b);
        }
        width + self.random.range(3.0, 12.0)
    }

    fn block(&mut self, block: &Block, number: usize) {
        if block.area_m2 < 500.0 {
            return;
        }
        // a long block along the shore runs through several zones: each is filled for itself
        let mut zones = Vec::new();
        for j in 0..12 {
            for i in 0..12 {
                let t = DVec2::new(f64::from(i) + 0.5, f64::from(j) + 0.5) / 12.0;
                let p = block.bounds.0 + (block.bounds.1 - block.bounds.0) * t;
                let zone = self.recipe.zone(p);
                if self.plots.block_at(p) == Some(number) && !zones.contains(&zone) {
                    zones.push(zone);
                }
            }
        }
        for zone in zones {
            self.fill(&Part { block, number, zone });
        }
    }

    fn fill(&mut self, part: &Part<'_>) {
        let (block, number) = (part.block, part.number);
        match part.zone {
            ZoneKind::Shore => {}
            ZoneKind::OldTown => self.infill(part, Use::OldTown, (9.0, 15.0), (8.0, 10.0), (14.0, 19.0)),
            ZoneKind::Villas => self.infill(part, Use::OldTown, (13.0, 17.0), (11.0, 14.0), (27.0, 34.0)),
            ZoneKind::Cbd => self.towers(part),
            ZoneKind::Port => self.sheds(part, "北港", (46.0, 96.0), (24.0, 34.0), 20.0),
            ZoneKind::Works => {
                if number % 3 == 0 {
                    self.estate(part, 6);
                } else {
                    self.sheds(part, "机械厂", (30.0, 62.0), (18.0, 26.0), 13.0);
                }
            }
            ZoneKind::Housing => {
                let d = self.coast.inland(block.middle);
                let storeys = match self.random.whole(0, 9) {
                    0..=2 => 6,
                    3..=4 => 7,
                    5..=6 => 11,
                    7..=8 => 18,
                    _ => 27,
                };
                let storeys = if d > 1500.0 && storeys == 6 { 11 } else { storeys };
                self.estate(part, storeys);
            }
        }
    }

    /// Small houses wherever there is still room.
    fn infill(&mut self, part: &Part<'_>, usage: Use, width: (f64, f64), depth: (f64, f64), gap: (f64, f64)) {
        let block = part.block;
        let (u, v) = (block.front, block.front.perp());
        let half = (block.bounds.1 - block.bounds.0) / 2.0;
        let reach = half.length();
        let middle = (block.bounds.0 + block.bounds.1) / 2.0;
        let mut y = -reach;
        while y < reach {
            let mut x = -reach;
            while x < reach {
                let turn = self.random.range(-0.12, 0.12);
                let along = (u + v * turn).normalize();
                let at = middle + u * x + v * (y + self.random.range(-2.0, 2.0));
                let w = self.random.range(width.0, width.1);
                let d = self.random.range(depth.0, depth.1);
                let skip = self.random.chance(0.2);
                if !skip
                    && self.plots.cover(at) == Cover::Free
                    && self.in_part(part, at)
                    && self.ground.slope(at) < 0.3
                    && !self.wild(at)
                {
                    let storeys = self.random.whole(1, 3);
                    let b = self.plain(usage, storeys.max(2), true, String::new());
                    self.put(rectangle(at, along, w, d), if gap.0 > 20.0 { 4.0 } else { 1.6 }, b);
                }
                x += self.random.range(gap.0, gap.1);
            }
            y += (gap.0 + gap.1) / 2.0 * 0.9;
        }
    }

    fn in_part(&self, part: &Part<'_>, p: DVec2) -> bool {
        self.plots.block_at(p) == Some(part.number) && self.recipe.zone(p) == part.zone
    }

    /// High on a hill nobody builds.
    fn wild(&self, p: DVec2) -> bool {
        self.recipe.hills.iter().enumerate().any(|(k, h)| h.reach(p) < if k == 0 { 0.62 } else { 0.93 })
    }

    /// Rows of slabs that face south, as far apart as the winter sun asks, with a few point towers.
    fn estate(&mut self, part: &Part<'_>, storeys: i64) {
        let (block, number) = (part.block, part.number);
        let name = self.recipe.names.estates[number % self.recipe.names.estates.len()].clone();
        let name = format!("{name}{}", ["花园", "小区", "家园", "苑"][(number / 7) % 4]);
        let (u, v) = (block.front, block.front.perp());
        let middle = (block.bounds.0 + block.bounds.1) / 2.0;
        let reach = (block.bounds.1 - block.bounds.0).length() / 2.0;
        let spacing = 15.0 + storeys as f64 * if storeys > 12 { 1.55 } else { 2.4 };
        let point_tower = storeys >= 27;
        let mut count = 0;
        let mut y = -reach;
        let stagger = self.random.chance(0.35);
        let mut row = 0;
        while y < reach {
            let mut x = -reach + if stagger && row % 2 == 1 { 22.0 } else { 0.0 };
            while x < reach {
                let low = self.random.chance(0.12);
                let floors = if low {
                    (storeys - 2).max(5)
                } else {
                    storeys + self.random.whole(0, 1) * i64::from(storeys > 10)
                };
                let (w, d) = if point_tower {
                    (27.0, 22.0)
                } else {
                    (*self.random.pick(&[34.0, 42.0, 51.0, 51.0, 60.0]), if storeys > 12 { 15.5 } else { 12.6 })
                };
                let at = middle + u * (x + w / 2.0) + v * y;
                let fits = self.in_part(part, at) && self.plots.cover(at) == Cover::Free && !self.wild(at);
                if fits && self.ground.slope(at) < 0.22 {
                    count += 1;
                    let b =
                        self.plain(Use::Housing, floors, storeys <= 7 && number % 2 == 0, format!("{name}{count}号楼"));
                    let ring = if point_tower {
                        cross(at, u, w, d)
                    } else if storeys > 7 {
                        bays(at, u, w, d)
                    } else {
                        rectangle(at, u, w, d)
                    };
                    if self.put(ring, 3.5, b.clone()) {
                        x += w + self.random.range(8.0, 12.0);
                    } else if self.put(rectangle(at - u * (w * 0.22), u, w * 0.55, 12.6), 3.5, b) {
                        x += w * 0.55 + 9.0;
                    } else {
                        count -= 1;
                        x += 5.0;
                    }
                } else {
                    x += 6.0;
                }
            }
            row += 1;
            y += spacing + if point_tower { 14.0 } else { 0.0 };
        }
        // what every estate has: a kindergarten, a club house, a substation
        for _ in 0..34 {
            let at =
                block.bounds.0 + (block.bounds.1 - block.bounds.0) * DVec2::new(self.random.unit(), self.random.unit());
            let (w, d) = (self.random.range(6.0, 17.0), self.random.range(5.0, 9.0));
            if self.in_part(part, at)
                && self.plots.cover(at) == Cover::Free
                && self.ground.slope(at) < 0.15
                && !self.wild(at)
            {
                let floors = self.random.whole(1, 3);
                let b = self.plain(Use::Shop, floors, false, format!("{name}配套"));
                self.put(rectangle(at, u, w, d), 3.0, b);
            }
        }
    }

    /// Towers on podiums.
    fn towers(&mut self, part: &Part<'_>) {
        let (block, number) = (part.block, part.number);
        let (u, v) = (block.front, block.front.perp());
        let middle = (block.bounds.0 + block.bounds.1) / 2.0;
        let reach = (block.bounds.1 - block.bounds.0).length() / 2.0;
        let mut count = 0;
        let mut y = -reach;
        while y < reach {
            let mut x = -reach;
            while x < reach {
                let at = middle + u * x + v * y;
                let fits = self.in_part(part, at) && self.plots.cover(at) == Cover::Free;
                let mut step = 8.0;
                if fits {
                    for (w, d) in [(78.0, 56.0), (64.0, 48.0), (52.0, 42.0), (40.0, 33.0)] {
                        let podium = shape(at, u, &chamfered(w, d, 5.0));
                        if !self.plots.is_free(&podium, 8.0) {
                            continue;
                        }
                        count += 1;
                        let k = number * 3 + count;
                        let name = self.recipe.names.offices[k % self.recipe.names.offices.len()].clone();
                        let name = format!("{name}{}", ["大厦", "中心", "广场", "国际"][(k / 5) % 4]);
                        // the skyline rises to the boulevard's middle and falls to the sides
                        let heart = DVec2::new(900.0, 1230.0);
                        let crown = (1.0 - at.distance(heart) / 560.0).clamp(0.0, 1.0);
                        let base = self.random.range(0.75, 1.15) * (62.0 + 150.0 * crown * crown);
                        let tall = if w < 45.0 { base * 0.6 } else { base };
                        let storeys = (tall / 3.9).round().clamp(8.0, 62.0);
                        let podium_floors = self.random.whole(3, 5);
                        let low = self.plain(Use::Shop, podium_floors, false, format!("{name}裙房"));
                        let high = self.plain(Use::Office, storeys as i64, false, name);
                        self.put(podium, 8.0, low);
                        let ring = tower(at, u, w, d, self.random.whole(0, 4));
                        self.made.push(Building { ring, ..high });
                        step = w + 24.0;
                        break;
                    }
                }
                x += step;
            }
            y += 9.0;
        }
    }

    /// Sheds in rows.
    fn sheds(&mut self, part: &Part<'_>, owner: &str, width: (f64, f64), depth: (f64, f64), gap: f64) {
        let block = part.block;
        let (u, v) = (block.front, block.front.perp());
        let middle = (block.bounds.0 + block.bounds.1) / 2.0;
        let reach = (block.bounds.1 - block.bounds.0).length() / 2.0;
        let mut y = -reach;
        let mut count = 0;
        while y < reach {
            let d = self.random.range(depth.0, depth.1);
            let mut x = -reach;
            while x < reach {
                let w = self.random.range(width.0, width.1);
                let at = middle + u * (x + w / 2.0) + v * (y + d / 2.0);
                if self.in_part(part, at) && self.plots.cover(at) == Cover::Free && self.random.chance(0.8) {
                    let mut b = self.plain(Use::Industry, 1, true, format!("{owner}{}号库", count + 1));
                    b.height_m = (self.random.range(8.0, 13.5) * 10.0).round() / 10.0;
                    if self.put(rectangle(at, u, w, d), 5.0, b) {
                        count += 1;
                        x += w + gap * 0.6;
                        continue;
                    }
                }
                x += 12.0;
            }
            y += d + gap;
        }
    }
}
