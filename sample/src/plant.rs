//! Trees (行道树、林木) and lamps (路灯).

use glam::DVec2;

use crate::{
    building::Place,
    coast::Coast,
    plane::{area, in_ring},
    plot::{Cover, Plots},
    random::{Random, noise},
    recipe::{Grade, Recipe, SiteKind, ZoneKind},
    street::Streets,
    terrain::Terrain,
};

/// One tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    pub at: DVec2,
    pub species: &'static str,
    pub height_m: f64,
    pub crown_m: f64,
}

/// One lamp.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lamp {
    pub at: DVec2,
    pub height_m: f64,
}

const STREET_SPECIES: [&str; 5] = ["法桐", "法桐", "银杏", "国槐", "雪松"];
const WOOD_SPECIES: [&str; 5] = ["黑松", "黑松", "赤松", "刺槐", "麻栎"];
const PARK_SPECIES: [&str; 5] = ["樱花", "雪松", "银杏", "水杉", "垂柳"];

fn grown(random: &mut Random, at: DVec2, species: &'static str, low: f64, high: f64) -> Tree {
    let height_m = (random.range(low, high) * 10.0).round() / 10.0;
    let spread = match species {
        "黑松" | "雪松" | "水杉" => 0.5,
        _ => 0.72,
    };
    Tree { at, species, height_m, crown_m: (height_m * spread * random.range(0.85, 1.15) * 10.0).round() / 10.0 }
}

/// All trees of the city: along the streets, in parks and yards, on the hills and the island.
pub(crate) fn trees(
    recipe: &Recipe,
    coast: &Coast,
    ground: &Terrain,
    streets: &Streets,
    plots: &Plots,
    places: &[Place],
) -> Vec<Tree> {
    let mut random = Random::new(recipe.seed, "trees");
    let mut made = Vec::new();
    let window = recipe.extent();
    for street in &streets.streets {
        let species = STREET_SPECIES[(street.name.len() + street.name.bytes().map(usize::from).sum::<usize>()) % 5];
        let step = recipe.planting.street_tree_m * if street.grade == Grade::Lane { 1.6 } else { 1.0 };
        let length = street.line.length();
        for side in [1.0, -1.0] {
            let mut way = 16.0 + random.range(0.0, 4.0);
            while way < length - 16.0 {
                let (p, along) = street.line.at(way);
                let at = p + along.perp() * side * (street.half_m() + 1.6);
                if window.contains(at, 1.0) && random.chance(0.92) {
                    made.push(grown(&mut random, at, species, 6.5, 11.0));
                }
                way += step * random.range(0.93, 1.07);
            }
        }
    }
    for place in places.iter().filter(|p| p.kind == SiteKind::Park) {
        let count = (area(&place.ring) / 85.0) as usize;
        for _ in 0..count {
            let at = place.at + DVec2::new(random.range(-1.0, 1.0), random.range(-1.0, 1.0)) * 120.0;
            let glade = noise(recipe.seed ^ 31, at.x / 38.0, at.y / 38.0);
            if glade > 0.42 && in_ring(at, &place.ring) && at.distance(place.at) > 20.0 {
                let species = *random.pick(&PARK_SPECIES);
                made.push(grown(&mut random, at, species, 5.0, 13.0));
            }
        }
    }
    // woods and yards: one lattice over the window, every place decides by what it is
    let step = recipe.planting.wood_tree_m;
    let size = window.size() / step;
    for j in 0..size.y as usize {
        for i in 0..size.x as usize {
            let jitter = DVec2::new(random.unit(), random.unit());
            let luck = random.unit();
            let at = window.min + (DVec2::new(i as f64, j as f64) + jitter) * step;
            if plots.cover(at) != Cover::Free || !coast.is_land(at) || coast.inland(at) < 24.0 {
                if at.distance(recipe.island.at) > recipe.island.radius_m * 0.8 || luck > 0.8 || coast.inland(at) < 10.0
                {
                    continue;
                }
                if at.distance(recipe.island.at) > 9.0 {
                    made.push(grown(&mut random, at, "黑松", 5.0, 9.0));
                }
                continue;
            }
            let hill = recipe.hills.iter().map(|h| h.reach(at)).fold(f64::INFINITY, f64::min);
            let density = if hill < 0.97 {
                0.93 - 0.5 * f64::from(u8::from(noise(recipe.seed ^ 32, at.x / 70.0, at.y / 70.0) < 0.24))
            } else {
                match recipe.zone(at) {
                    ZoneKind::Villas => 0.55,
                    ZoneKind::OldTown => 0.30,
                    ZoneKind::Housing => 0.30,
                    ZoneKind::Cbd => 0.22,
                    ZoneKind::Works => 0.12,
                    ZoneKind::Port => 0.0,
                    ZoneKind::Shore => 0.22,
                }
            };
            let clear = [DVec2::X, -DVec2::X, DVec2::Y, -DVec2::Y]
                .iter()
                .all(|d| plots.cover(at + *d * 2.6) != Cover::Building);
            if luck < density && clear && ground.slope(at) < 0.9 {
                let species = *random.pick(if hill < 0.97 { &WOOD_SPECIES } else { &PARK_SPECIES });
                made.push(grown(&mut random, at, species, 4.5, if hill < 0.97 { 11.5 } else { 9.0 }));
            }
        }
    }
    for tree in &mut made {
        tree.at = DVec2::new(crate::plane::millimetre(tree.at.x), crate::plane::millimetre(tree.at.y));
    }
    made
}

/// Lamps along main and secondary streets, facing each other.
pub(crate) fn lamps(recipe: &Recipe, streets: &Streets, coast: &Coast) -> Vec<Lamp> {
    let mut made = Vec::new();
    for street in streets.streets.iter().filter(|s| s.grade <= Grade::Secondary) {
        let length = street.line.length();
        let count = (length / recipe.planting.lamp_m).floor().max(1.0);
        for k in 0..count as usize {
            let (p, along) = street.line.at(length * (k as f64 + 0.5) / count);
            for side in [1.0, -1.0] {
                let at = p + along.perp() * side * (street.half_m() + 0.7);
                if recipe.extent().contains(at, 1.0) {
                    made.push(Lamp { at, height_m: if street.grade == Grade::Main { 12.0 } else { 9.0 } });
                }
            }
        }
    }
    // the pier's lanterns
    for (line, _) in coast.moles().iter().take(1) {
        let mut way = 60.0;
        while way < line.length() - 10.0 {
            let (p, along) = line.at(way);
            for side in [4.4, -4.4] {
                let at = p + along.perp() * side;
                if recipe.extent().contains(at, 1.0) {
                    made.push(Lamp { at, height_m: 4.5 });
                }
            }
            way += 24.0;
        }
    }
    made
}
