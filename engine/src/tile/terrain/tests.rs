use std::{collections::HashMap, path::PathBuf};

use super::*;
use crate::model::Picture;
use crate::{
    crs::{Crs, Frame},
    model::{Class, ObjectId},
    tile::{
        Ground, LayerTiles,
        glb::tests::{read_glb, view},
    },
};

fn frame() -> Frame {
    Frame::new(Crs::from_epsg(4549).unwrap()).unwrap()
}

/// Hills with a shore in the south; `hole` says where there are no heights.
fn hills(columns: u32, rows: u32, step_m: f64, hole: impl Fn(u32, u32) -> bool) -> HeightGrid {
    let height = |c: u32, r: u32| {
        let (x, y) = (f64::from(c) * step_m, f64::from(rows - r) * step_m);
        (0.03 * y - 8.0 + 18.0 * (x * 0.006).sin() * (y * 0.005).cos() + 4.0 * (x * 0.021 + y * 0.017).sin()) as f32
    };
    HeightGrid {
        north_west: DVec2::new(600_000.0, 4_000_000.0),
        step_m: DVec2::splat(step_m),
        columns,
        rows,
        heights: (0..rows)
            .flat_map(|r| (0..columns).map(move |c| (c, r)))
            .map(|(c, r)| if hole(c, r) { f32::NAN } else { height(c, r) })
            .collect(),
    }
}

struct Made {
    _folder: tempfile::TempDir,
    out: PathBuf,
    tiles: LayerTiles,
    json: serde_json::Value,
}

fn tiled(grids: Vec<HeightGrid>, pictures: &[Picture]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let frame = frame();
    let ground = Ground::new(grids.clone());
    let mut drapes = Rasters::new(&folder.path().join("pictures"));
    for (number, picture) in pictures.iter().enumerate() {
        drapes.push_picture(&number.to_string(), picture).unwrap();
    }
    let photos = drapes.all().unwrap().1;
    let around =
        Surroundings { frame: &frame, ground: &ground, pictures: photos, journal: crate::tile::Journal::none() };
    let mut tiler = TerrainTiler::new(&folder.path().join("surface"));
    for grid in grids {
        tiler.push(&CityObject::new(ObjectId::new("dem", "a"), Class::Terrain, Geometry::Heights(grid))).unwrap();
    }
    if around.ground.is_empty() {
        for picture in pictures {
            let geometry = Geometry::Picture(picture.clone());
            tiler.push(&CityObject::new(ObjectId::new("dem", "p"), Class::Imagery, geometry)).unwrap();
        }
    }
    let out = folder.path().join("tiles");
    let mut tileset = TilesetBuilder::new(&out, &frame).unwrap();
    tiler.finish(&around, &mut tileset).unwrap();
    let tiles = tileset.finish().unwrap();
    let json = match &tiles.tileset {
        Some(name) => serde_json::from_slice(&std::fs::read(out.join(name)).unwrap()).unwrap(),
        None => serde_json::Value::Null,
    };
    Made { _folder: folder, out, tiles, json }
}

/// Positions (city frame, z up), triangles and the encoded picture of a tile's GLB.
fn opened(made: &Made, tile: &serde_json::Value) -> (Vec<DVec3>, Vec<u32>, Vec<u8>) {
    let bytes = std::fs::read(made.out.join(tile["content"]["uri"].as_str().unwrap())).unwrap();
    let (json, binary) = read_glb(&bytes);
    let view = |number: &serde_json::Value| view(&json, &binary, number);
    let primitive = &json["meshes"][0]["primitives"][0];
    let accessor = |index: &serde_json::Value| &json["accessors"][index.as_u64().unwrap() as usize];
    let positions = accessor(&primitive["attributes"]["POSITION"]);
    let skip = positions["byteOffset"].as_u64().unwrap_or(0) as usize;
    let count = positions["count"].as_u64().unwrap() as usize;
    let o: Vec<f64> = tile["extras"]["origin"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let origin = DVec3::new(o[0], o[1], o[2]);
    let places = view(&positions["bufferView"])[skip..]
        .chunks_exact(12)
        .take(count)
        .map(|b| {
            let f = |k: usize| f64::from(f32::from_le_bytes([b[k], b[k + 1], b[k + 2], b[k + 3]]));
            origin + DVec3::new(f(0), -f(8), f(4))
        })
        .collect();
    let indices = accessor(&primitive["indices"]);
    let raw = view(&indices["bufferView"]);
    let count = indices["count"].as_u64().unwrap() as usize;
    let triangles = match indices["componentType"].as_u64().unwrap() {
        5123 => raw.chunks_exact(2).take(count).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect(),
        _ => raw.chunks_exact(4).take(count).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    };
    let picture = view(&json["images"][0]["bufferView"]);
    (places, triangles, picture)
}

fn all_tiles(tile: &serde_json::Value) -> Vec<&serde_json::Value> {
    let below = tile["children"].as_array().into_iter().flatten().flat_map(all_tiles);
    std::iter::once(tile).chain(below).collect()
}

fn leaves(json: &serde_json::Value) -> Vec<&serde_json::Value> {
    all_tiles(&json["root"]).into_iter().filter(|t| t["children"].is_null()).collect()
}

/// Triangles seen from above: skirts stand upright and have no area in plan.
fn seen_from_above(places: &[DVec3], triangles: &[u32]) -> Vec<[DVec3; 3]> {
    triangles
        .chunks_exact(3)
        .map(|t| [places[t[0] as usize], places[t[1] as usize], places[t[2] as usize]])
        .filter(|[a, b, c]| (*b - *a).truncate().perp_dot((*c - *a).truncate()).abs() > 1e-3)
        .collect()
}

#[test]
fn leaves_cover_the_dem_once_and_lie_on_it() {
    let grid = hills(301, 251, 5.0, |_, _| false);
    let made = tiled(vec![grid.clone()], &[]);
    let mut area = 0.0;
    for leaf in leaves(&made.json) {
        let (places, triangles, _) = opened(&made, leaf);
        let error = leaf["geometricError"].as_f64().unwrap() + 0.002;
        for [a, b, c] in seen_from_above(&places, &triangles) {
            let twice = (b - a).truncate().perp_dot((c - a).truncate());
            assert!(twice > 0.0, "a triangle shows its back");
            area += twice / 2.0;
            let middle = (a + b + c) / 3.0;
            let truth = grid.height_at(middle.truncate()).unwrap();
            // Between samples the bilinear surface bends a little away from any triangle.
            assert!((middle.z - truth).abs() < error + 0.1, "{middle} {truth} {error}");
        }
    }
    let expected = 1500.0 * 1250.0;
    assert!((area - expected).abs() < 1.0, "{area} m² of {expected}");
}

#[test]
fn every_level_ends_where_the_dem_ends() {
    let made = tiled(vec![hills(301, 251, 5.0, |_, _| false)], &[]);
    assert!(made.tiles.tiles >= 8, "{}", made.tiles.tiles);
    let (places, triangles, _) = opened(&made, &made.json["root"]);
    let area: f64 = seen_from_above(&places, &triangles)
        .iter()
        .map(|[a, b, c]| (*b - *a).truncate().perp_dot((*c - *a).truncate()) / 2.0)
        .sum();
    assert!((area - 1500.0 * 1250.0).abs() < 1.0, "{area}");
}

#[test]
fn no_triangle_lies_over_missing_heights() {
    let hole = |c: u32, r: u32| (90..140).contains(&c) && (30..90).contains(&r);
    let made = tiled(vec![hills(201, 201, 5.0, hole)], &[]);
    for tile in all_tiles(&made.json["root"]) {
        let (places, triangles, _) = opened(&made, tile);
        for corners in seen_from_above(&places, &triangles) {
            let middle = (corners[0] + corners[1] + corners[2]) / 3.0 - DVec3::new(600_000.0, 4_000_000.0, 0.0);
            let (c, r) = (middle.x / 5.0, -middle.y / 5.0);
            let inside = c > 91.0 && c < 138.0 && r > 31.0 && r < 88.0;
            assert!(!inside, "a triangle at column {c}, row {r}");
        }
    }
}

#[test]
fn errors_fall_towards_the_leaves_and_children_lie_within_parents() {
    let made = tiled(vec![hills(601, 601, 5.0, |_, _| false)], &[]);
    for tile in all_tiles(&made.json["root"]) {
        let error = tile["geometricError"].as_f64().unwrap();
        for child in tile["children"].as_array().into_iter().flatten() {
            assert!(child["geometricError"].as_f64().unwrap() < error);
        }
        assert_eq!(tile["refine"], "REPLACE");
    }
    assert!(leaves(&made.json).iter().all(|t| t["geometricError"].as_f64().unwrap() < 1.0));
}

#[test]
fn skirts_hang_at_all_four_edges() {
    let made = tiled(vec![hills(129, 129, 5.0, |_, _| false)], &[]);
    let (places, triangles, _) = opened(&made, &made.json["root"]);
    let mut walls: HashMap<&str, usize> = HashMap::new();
    let at = |v: f64, edge: f64| (v - edge).abs() < 0.01;
    for t in triangles.chunks_exact(3) {
        let [a, b, c] = [places[t[0] as usize], places[t[1] as usize], places[t[2] as usize]];
        let outward = (b - a).cross(c - a);
        let all = |f: &dyn Fn(DVec3) -> bool| f(a) && f(b) && f(c);
        for (name, is_on, points_out) in [
            ("west", all(&|p| at(p.x, 600_000.0)), outward.x < 0.0),
            ("east", all(&|p| at(p.x, 600_640.0)), outward.x > 0.0),
            ("north", all(&|p| at(p.y, 4_000_000.0)), outward.y > 0.0),
            ("south", all(&|p| at(p.y, 3_999_360.0)), outward.y < 0.0),
        ] {
            if is_on {
                assert!(points_out, "{name} wall shows its back");
                *walls.entry(name).or_default() += 1;
            }
        }
    }
    assert_eq!(walls.len(), 4, "{walls:?}");
}

#[test]
fn grids_a_step_apart_are_joined() {
    let whole = hills(200, 100, 5.0, |_, _| false);
    let part = |from: u32| HeightGrid {
        north_west: whole.north_west + DVec2::new(f64::from(from) * 5.0, 0.0),
        columns: 100,
        heights: whole.heights.chunks_exact(200).flat_map(|row| row[from as usize..][..100].to_vec()).collect(),
        ..whole.clone()
    };
    let made = tiled(vec![part(0), part(100)], &[]);
    let area: f64 = leaves(&made.json)
        .into_iter()
        .flat_map(|leaf| {
            let (places, triangles, _) = opened(&made, leaf);
            seen_from_above(&places, &triangles)
        })
        .map(|[a, b, c]| (b - a).truncate().perp_dot((c - a).truncate()) / 2.0)
        .sum();
    assert!((area - 995.0 * 495.0).abs() < 1.0, "{area}");
}

#[test]
fn an_orthophoto_is_seen_where_it_lies_and_refines_the_tree() {
    let picture = Picture {
        north_west: DVec2::new(600_000.0, 4_000_000.0),
        step_m: DVec2::splat(0.25),
        columns: 600,
        rows: 600,
        rgb: [200, 40, 40].repeat(360_000),
    };
    let grid = hills(129, 129, 5.0, |_, _| false);
    let (plain, draped) = (tiled(vec![grid.clone()], &[]), tiled(vec![grid], &[picture]));
    assert!(draped.tiles.tiles > plain.tiles.tiles);
    let (_, _, jpeg) = opened(&draped, &draped.json["root"]);
    let image = image::load_from_memory(&jpeg).unwrap().to_rgb8();
    let (n, red) = (image.width(), image.get_pixel(image.width() / 16, image.height() / 16).0);
    assert!(n >= 512 && red[0] > 170 && red[1] < 80, "{red:?}");
    let green = image.get_pixel(n - 8, n - 8).0;
    assert!(green[1] > 80, "{green:?}");
}

#[test]
fn pictures_without_any_terrain_lie_flat() {
    let picture = Picture {
        north_west: DVec2::new(600_000.0, 4_000_000.0),
        step_m: DVec2::splat(1.0),
        columns: 100,
        rows: 50,
        rgb: [10, 200, 30].repeat(5000),
    };
    let made = tiled(Vec::new(), &[picture]);
    assert_eq!(made.tiles.tiles, 1);
    assert_eq!(made.tiles.extent.max.truncate(), DVec2::new(600_100.0, 4_000_000.0));
}

#[test]
fn nothing_and_only_holes_make_no_tiles() {
    assert_eq!(tiled(Vec::new(), &[]).tiles.tiles, 0);
    assert_eq!(tiled(vec![hills(20, 20, 5.0, |_, _| true)], &[]).tiles.tiles, 0);
    assert_eq!(tiled(vec![hills(1, 1, 5.0, |_, _| false)], &[]).tiles.tiles, 0);
    assert_eq!(tiled(vec![hills(20, 1, 5.0, |_, _| false)], &[]).tiles.tiles, 0);
}

#[test]
fn the_same_heights_give_the_same_files() {
    let grid = hills(301, 201, 5.0, |_, _| false);
    let (first, second) = (tiled(vec![grid.clone()], &[]), tiled(vec![grid], &[]));
    assert_eq!(first.tiles.files, second.tiles.files);
}
