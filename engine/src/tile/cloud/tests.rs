use std::collections::HashSet;

use glam::DVec2;

use super::*;
use crate::{
    crs::{Crs, Frame},
    model::{Class, ObjectId},
    tile::{Ground, Journal, LayerTiles, TileNode},
};

fn frame() -> Frame {
    let crs = Crs::from_epsg(4549).unwrap();
    Frame::new(crs).unwrap()
}

/// A hilly square with a number of points that are not on a grid.
fn hill(points: usize, side_m: f64) -> PointBatch {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64
    };
    let positions = (0..points)
        .map(|_| {
            let p = DVec2::new(random(), random()) * side_m;
            DVec3::new(600_000.0 + p.x, 4_000_000.0 + p.y, 20.0 + 10.0 * (p.x * 0.02).sin())
        })
        .collect();
    PointBatch { positions, ..PointBatch::default() }
}

fn object(batch: PointBatch) -> CityObject {
    CityObject::new(ObjectId::new("scan", "a"), Class::PointCloud, Geometry::Points(batch))
}

/// Points of a GLB, by its JSON chunk (glTF 2.0, 4.4.3).
fn point_count(glb: &[u8]) -> usize {
    let length = u32::from_le_bytes(glb[12..16].try_into().unwrap()) as usize;
    let json: serde_json::Value = serde_json::from_slice(&glb[20..20 + length]).unwrap();
    let position = json["meshes"][0]["primitives"][0]["attributes"]["POSITION"].as_u64().unwrap();
    json["accessors"][position as usize]["count"].as_u64().unwrap() as usize
}

/// Tiles a batch and returns the account, the JSON of the tileset, and all points of all tiles.
fn tiled(batch: &PointBatch, buffer_points: usize) -> (LayerTiles, serde_json::Value, Vec<(String, usize)>) {
    let folder = tempfile::tempdir().unwrap();
    let frame = frame();
    let ground = Ground::default();
    let around = Surroundings { frame: &frame, ground: &ground, pictures: &[], journal: Journal::none() };
    let mut tiler = CloudTiler::new("scan", &folder.path().join("spill")).unwrap();
    tiler.buffer_points = buffer_points;
    for positions in batch.positions.chunks(10_000) {
        tiler.push(&object(PointBatch { positions: positions.to_vec(), ..PointBatch::default() })).unwrap();
    }
    let out = folder.path().join("tiles");
    let mut tileset = TilesetBuilder::new(&out, &frame).unwrap();
    tiler.finish(&out, &around, &mut tileset).unwrap();
    let tiles = tileset.finish().unwrap();
    let json = std::fs::read(out.join(tiles.tileset.as_ref().unwrap())).unwrap();
    // Tiles of equal content share a file, so tiles are counted, not files.
    fn uris(tile: &serde_json::Value) -> Vec<String> {
        let below = tile["children"].as_array().into_iter().flatten().flat_map(uris);
        tile["content"]["uri"].as_str().map(str::to_owned).into_iter().chain(below).collect()
    }
    let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    crate::tile::page::tests::put_pages(&out, &mut json["root"]);
    let count = |uri: String| (point_count(&std::fs::read(out.join(&uri)).unwrap()), uri);
    let counts = uris(&json["root"]).into_iter().map(count).map(|(n, uri)| (uri, n)).collect();
    (tiles, json, counts)
}

#[test]
fn every_point_stands_in_exactly_one_tile_in_memory_and_out_of_core() {
    let batch = hill(300_000, 400.0);
    for buffer_points in [1_000_000, 40_000] {
        let (tiles, json, counts) = tiled(&batch, buffer_points);
        assert_eq!(counts.iter().map(|(_, n)| n).sum::<usize>(), 300_000, "buffer {buffer_points}");
        assert!(tiles.tiles > 4, "{}", tiles.tiles);
        assert_eq!(json["root"]["refine"], "ADD");
        assert!(counts.iter().all(|(_, n)| *n <= 60_000), "{counts:?}");
    }
}

#[test]
fn the_same_points_give_the_same_files() {
    let batch = hill(120_000, 300.0);
    let (first, second) = (tiled(&batch, 30_000), tiled(&batch, 30_000));
    assert_eq!(first.0.files, second.0.files);
    assert_eq!(first.1, second.1);
}

#[test]
fn errors_fall_from_parent_to_child_and_leaves_have_none() {
    let (_, json, _) = tiled(&hill(300_000, 400.0), 1_000_000);
    fn check(tile: &serde_json::Value) -> usize {
        let error = tile["geometricError"].as_f64().unwrap();
        match tile["children"].as_array() {
            None => assert_eq!(error, 0.0),
            Some(children) => {
                for child in children {
                    assert!(child["geometricError"].as_f64().unwrap() <= error * 0.5 + 1e-9);
                }
                return 1 + children.iter().map(check).max().unwrap_or(0);
            }
        }
        1
    }
    assert!(check(&json["root"]) >= 2);
}

#[test]
fn an_inner_tile_samples_evenly() {
    let batch = hill(400_000, 400.0);
    let mut tiler = CloudTiler::new("scan", Path::new("/nowhere")).unwrap();
    tiler.push(&object(batch)).unwrap();
    let cube = Cube::around(tiler.low, tiler.high, 0);
    let folder = tempfile::tempdir().unwrap();
    let frame = frame();
    let tileset = TilesetBuilder::new(folder.path(), &frame).unwrap();
    let palette = tiler.looks.palette();
    let writer = TileWriter { origin: tiler.origin.unwrap(), palette: &palette, tileset: &tileset };
    let root: TileNode = octree::in_memory(cube, std::mem::take(&mut tiler.buffer), &writer).unwrap();
    // The cube of 400 m is 512 m wide: 4 m between samples, 100 × 100 cells and what the slope adds.
    assert!((root.geometric_error_m - 16.0).abs() < 1e-9, "{}", root.geometric_error_m);
    let name = root.content.clone().unwrap();
    let bytes = std::fs::read(folder.path().join(&name.file)).unwrap();
    let count = point_count(&bytes);
    assert!((10_000..16_000).contains(&count), "{count}");
}

#[test]
fn equal_points_and_a_single_point_are_tiled_too() {
    let one = PointBatch { positions: vec![DVec3::new(1.0, 2.0, 3.0)], ..PointBatch::default() };
    assert_eq!(tiled(&one, 10).2.len(), 1);
    let same = PointBatch { positions: vec![DVec3::new(1.0, 2.0, 3.0); 100_000], ..PointBatch::default() };
    for buffer_points in [1_000_000, 20_000] {
        let (_, _, counts) = tiled(&same, buffer_points);
        assert_eq!(counts.iter().map(|(_, n)| n).sum::<usize>(), 100_000, "{counts:?}");
    }
}

#[test]
fn a_stray_point_far_away_is_told_with_its_place() {
    let mut tiler = CloudTiler::new("scan", Path::new("/nowhere")).unwrap();
    let stray = vec![DVec3::ZERO, DVec3::new(0.0, 9e8, 0.0)];
    let text = tiler.push(&object(PointBatch { positions: stray, ..PointBatch::default() })).unwrap_err().to_string();
    assert!(text.contains("900000000"), "{text}");
}

#[test]
fn no_temporary_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let frame = frame();
    let ground = Ground::default();
    let around = Surroundings { frame: &frame, ground: &ground, pictures: &[], journal: Journal::none() };
    let mut tiler = CloudTiler::new("scan", folder.path()).unwrap();
    tiler.buffer_points = 1000;
    tiler.push(&object(hill(5_000, 50.0))).unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().count() > 0);
    let out = folder.path().join("tiles");
    let mut tileset = TilesetBuilder::new(&out, &frame).unwrap();
    tiler.finish(&out, &around, &mut tileset).unwrap();
    let left: HashSet<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, HashSet::from(["tiles".into()]));
}

#[test]
fn a_scan_goes_on_from_its_checkpoint_and_from_the_chunks_that_are_written_down() {
    let batch = hill(200_000, 400.0);
    let (_, expected, _) = tiled(&batch, 30_000);
    let folder = tempfile::tempdir().unwrap();
    let (spill, out, path) = (folder.path().join("spill"), folder.path().join("out"), folder.path().join("journal"));
    let frame = frame();
    let ground = Ground::default();
    let push = |tiler: &mut CloudTiler, range: std::ops::Range<usize>| {
        tiler.buffer_points = 30_000;
        for positions in batch.positions[range].chunks(10_000) {
            tiler.push(&object(PointBatch { positions: positions.to_vec(), ..PointBatch::default() })).unwrap();
        }
    };
    let finish = |tiler: CloudTiler| {
        let journal = Journal::open(&path).unwrap();
        let around = Surroundings { frame: &frame, ground: &ground, pictures: &[], journal: &journal };
        let mut tileset = TilesetBuilder::new(&out, &frame).unwrap().with_journal(&journal);
        tiler.finish(&out, &around, &mut tileset).unwrap();
        let tiles = tileset.finish().unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(out.join(tiles.tileset.unwrap())).unwrap()).unwrap();
        json
    };
    // What comes after a checkpoint is lost, whether it went to the disk or not.
    let mut tiler = CloudTiler::new("scan", &spill).unwrap();
    push(&mut tiler, 0..50_000);
    let state = tiler.checkpoint().unwrap();
    push(&mut tiler, 100_000..170_000);
    drop(tiler);
    let mut tiler = CloudTiler::restore("scan", &spill, state).unwrap();
    push(&mut tiler, 50_000..200_000);
    let state = postcard::to_allocvec(&tiler.checkpoint().unwrap()).unwrap();
    assert_eq!(finish(tiler), expected);
    let whole = std::fs::read(&path).unwrap();
    assert!(whole.len() > 1000, "{}", whole.len());
    for part in [10, 6, 2, 0] {
        std::fs::write(&path, &whole[..whole.len() * part / 10]).unwrap();
        let mut tiler = CloudTiler::restore("scan", &spill, postcard::from_bytes(&state).unwrap()).unwrap();
        tiler.buffer_points = 30_000;
        assert_eq!(finish(tiler), expected, "{part}");
    }
}
