//! A made-up city through the whole of `LayerTiler`: objects in, tileset and GLB files out.

use std::path::Path;

use glam::{DMat4, DVec2};
use serde_json::Value;

use super::*;
use crate::{
    crs::{Crs, Frame},
    model::{
        Block, Class, HeightGrid, Instance, InstanceModel, Line, ObjectId, Point, Polygon, Section, Shaft, Tube,
        Vertical,
    },
    tile::{Ground, Journal, LayerTiler, TileFile, TileId, TileTree, glb::tests::read_glb, page::tests::put_pages},
};

/// Somewhere in Qingdao, in EPSG:4549.
const CITY: DVec3 = DVec3::new(530_000.0, 3_996_000.0, 10.0);

fn frame() -> Frame {
    Frame::new(Crs::from_epsg(4549).unwrap()).unwrap()
}

/// A slope of one in fifty towards the east, 0 at the city's origin.
fn ground() -> Ground {
    let columns = 101;
    Ground::new(vec![HeightGrid {
        north_west: CITY.truncate() + DVec2::new(-500.0, 4500.0),
        step_m: DVec2::splat(50.0),
        columns,
        rows: 101,
        heights: (0..columns * 101).map(|i| ((i % columns) as f32 * 50.0 - 500.0) / 50.0).collect(),
    }])
}

fn block(id: usize, x: f64, y: f64, side: f64, height_m: f64) -> CityObject {
    let corners = [(0.0, 0.0), (side, 0.0), (side, side), (0.0, side)];
    let outer = corners.iter().map(|(dx, dy)| CITY + DVec3::new(x + dx, y + dy, 0.0)).collect();
    let footprint = vec![Polygon { outer, holes: vec![] }];
    let block = Block { footprint, base_m: None, height_m, lift_m: 0.0, storeys: None, roof: None };
    CityObject::new(ObjectId::new("buildings", id), Class::Building, Geometry::Block(block))
}

/// `count` buildings in rows, 30 m apart.
fn city(count: usize) -> Vec<CityObject> {
    let row = (count as f64).sqrt().ceil() as usize;
    (0..count)
        .map(|i| {
            let (x, y) = ((i % row) as f64 * 30.0, (i / row) as f64 * 30.0);
            block(i, x, y, 10.0 + (i * 7 % 9) as f64, 6.0 + (i * 13 % 60) as f64)
        })
        .collect()
}

fn tile(objects: &[CityObject], ground: &Ground, folder: &Path) -> LayerTiles {
    tile_on(objects, ground, folder, Journal::none())
}

fn tile_on(objects: &[CityObject], ground: &Ground, folder: &Path, journal: &Journal) -> LayerTiles {
    let spill = tempfile::tempdir().unwrap();
    let mut tiler = LayerTiler::new("layer", spill.path(), spill.path()).unwrap();
    for object in objects {
        tiler.push(object).unwrap();
    }
    let frame = frame();
    tiler.finish(folder, &Surroundings { frame: &frame, ground, pictures: &[], journal }).unwrap()
}

fn tree(folder: &Path, tiles: &LayerTiles) -> (Value, TileTree) {
    let bytes = std::fs::read(folder.join(tiles.tileset.as_ref().unwrap())).unwrap();
    let mut tileset: Value = serde_json::from_slice(&bytes).unwrap();
    put_pages(folder, &mut tileset["root"]);
    let tree = TileTree::read(tileset.to_string().as_bytes()).unwrap();
    let mut fetch = |page: &str| Ok(std::fs::read(folder.join(page)).unwrap());
    assert_eq!(TileTree::read_with_pages(&bytes, &mut fetch).unwrap().tiles().len(), tree.tiles().len());
    (tileset, tree)
}

fn content(folder: &Path, name: &str) -> (Value, Vec<u8>) {
    read_glb(&std::fs::read(folder.join(name)).unwrap())
}

/// How many features the file's table has.
fn feature_count(glb: &Value) -> u64 {
    glb["extensions"]["EXT_structural_metadata"]["propertyTables"][0]["count"].as_u64().unwrap_or(0)
}

fn instance_count(glb: &Value) -> u64 {
    let nodes = glb["nodes"].as_array().unwrap();
    let count = |node: &Value| {
        let accessor = node["extensions"]["EXT_mesh_gpu_instancing"]["attributes"]["TRANSLATION"].as_u64();
        accessor.map_or(0, |a| glb["accessors"][a as usize]["count"].as_u64().unwrap())
    };
    nodes.iter().map(count).sum()
}

#[test]
fn leaves_hold_every_building_once_and_parents_hold_their_children() {
    let folder = tempfile::tempdir().unwrap();
    let objects = city(3000);
    let tiles = tile(&objects, &ground(), folder.path());
    let (json, tree) = tree(folder.path(), &tiles);
    assert!(tree.is_in_city_frame());
    assert!(json["root"]["content"]["uri"].as_str().is_some_and(|uri| uri.ends_with(".glb")));
    assert_eq!(tiles.tiles as usize, tree.tiles().iter().filter(|t| t.content.is_some()).count());
    let mut in_leaves = 0;
    for tile in tree.tiles() {
        for child in &tile.children {
            let child = tree.tile(*child);
            assert!(child.geometric_error_m <= tile.geometric_error_m);
            assert!(tile.extent.min.cmple(child.extent.min).all() && tile.extent.max.cmpge(child.extent.max).all());
        }
        let (glb, _) = content(folder.path(), tile.content.as_ref().unwrap());
        if tile.children.is_empty() {
            assert_eq!(tile.geometric_error_m, 0.0);
            in_leaves += feature_count(&glb);
        } else {
            assert!(tile.geometric_error_m >= 24.0);
            assert!(glb.get("textures").is_none(), "far tiles carry no textures");
        }
    }
    assert_eq!(in_leaves, 3000);
    assert_eq!((tiles.undrawn_total, tiles.undrawn.len()), (0, 0));
    assert_eq!(tiles.files.len(), std::fs::read_dir(folder.path()).unwrap().count());
    let on_disk: u64 = tiles.files.iter().map(|f| std::fs::metadata(folder.path().join(&f.name)).unwrap().len()).sum();
    assert_eq!(tiles.bytes, on_disk);
}

#[test]
fn the_same_objects_in_another_order_make_the_same_bytes() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut objects = city(1500);
    let a = tile(&objects, &ground(), first.path());
    objects.reverse();
    objects.swap(3, 900);
    let b = tile(&objects, &ground(), second.path());
    assert_eq!(a.files, b.files);
    assert_eq!(a.tileset, b.tileset);
}

#[test]
fn transforms_multiply_down_to_the_earth_and_boxes_hold_their_children_there() {
    let folder = tempfile::tempdir().unwrap();
    let tiles = tile(&city(3000), &ground(), folder.path());
    let (json, tree) = tree(folder.path(), &tiles);
    let frame = frame();
    for tile in tree.tiles() {
        let origin = tile.origin.unwrap();
        let expected = frame.ecef_from_local(origin);
        for local in [DVec3::ZERO, DVec3::new(100.0, -50.0, 20.0)] {
            let (a, b) = (tile.world_from_tile.transform_point3(local), expected.transform_point3(local));
            assert!(a.distance(b) < 1e-5, "{a} {b}");
        }
        assert!(tile.world_from_tile.transform_point3(DVec3::ZERO).length() > 6.3e6);
    }
    hold(&json["root"]);
}

/// Corners of every child's box lie in its parent's box, both turned to the parent's frame.
fn hold(tile: &Value) {
    let numbers = |v: &Value| v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
    let outer = numbers(&tile["boundingVolume"]["box"]);
    for child in tile["children"].as_array().into_iter().flatten() {
        let parent_from_child = DMat4::from_cols_slice(&numbers(&child["transform"]));
        let inner = numbers(&child["boundingVolume"]["box"]);
        for corner in 0..8 {
            let side = |bit: usize| if corner & bit == 0 { -1.0 } else { 1.0 };
            let at = DVec3::new(
                inner[0] + side(1) * inner[3],
                inner[1] + side(2) * inner[7],
                inner[2] + side(4) * inner[11],
            );
            let at = parent_from_child.transform_point3(at) - DVec3::new(outer[0], outer[1], outer[2]);
            assert!(at.x.abs() <= outer[3] && at.y.abs() <= outer[7] && at.z.abs() <= outer[11], "{at} {outer:?}");
        }
        hold(child);
    }
}

#[test]
fn one_building_stands_on_the_mean_and_reaches_down_to_the_lowest_ground() {
    let folder = tempfile::tempdir().unwrap();
    // 1000..1020 m east: the ground rises from 20.0 to 20.4 m.
    let tiles = tile(&[block(1, 1000.0, 1000.0, 20.0, 30.0)], &ground(), folder.path());
    // 20.2 m and the building, and perhaps a lift house of 3 m on its deck.
    assert!((50.2 - 1e-3..50.2 + 3.0).contains(&tiles.extent.max.z), "{}", tiles.extent.max.z);
    assert!((tiles.extent.min.z - 19.5).abs() < 1e-3, "{}", tiles.extent.min.z);
    assert!((tiles.extent.min.x - (CITY.x + 1000.0)).abs() < 1e-6);
    assert_eq!(tiles.tiles, 1);
}

#[test]
fn every_kind_of_object_is_drawn() {
    let at = |x: f64, y: f64, z: f64| DVec3::new(CITY.x + x, CITY.y + y, z);
    let vertical = Vertical::AboveTerrain;
    let mut objects: Vec<CityObject> = Vec::new();
    let mut add = |class: Class, geometry: Geometry| {
        let id = ObjectId::new("mixed", objects.len());
        objects.push(CityObject::new(id, class, geometry));
    };
    let tube = |section, vertical| {
        let axis = vec![at(0.0, 0.0, -2.0), at(30.0, 0.0, -2.0), at(30.0, 40.0, -2.5)];
        Geometry::Tube(Tube { axis, vertical, section, from: None, to: None })
    };
    add(Class::Pipe, tube(Section::Circle { diameter_m: 0.4 }, Vertical::Absolute));
    add(Class::Pipe, tube(Section::Rect { width_m: 1.0, height_m: 0.6 }, vertical));
    add(Class::Tunnel, tube(Section::Circle { diameter_m: 6.0 }, Vertical::Absolute));
    add(Class::Gallery, tube(Section::Rect { width_m: 4.0, height_m: 3.0 }, Vertical::Absolute));
    add(Class::Manhole, Geometry::Shaft(Shaft { top: at(5.0, 5.0, 0.0), vertical, depth_m: 3.0, diameter_m: 0.8 }));
    for model in [
        InstanceModel::BroadleafTree,
        InstanceModel::ConiferTree,
        InstanceModel::Lamp,
        InstanceModel::Valve,
        InstanceModel::Hydrant,
        InstanceModel::Joint,
        InstanceModel::Marker,
    ] {
        let instance = Instance { at: at(9.0, 9.0, 0.0), vertical, model, height_m: 6.0, width_m: 4.0, yaw: 1.0 };
        add(Class::Tree, Geometry::Instance(instance));
    }
    let path = vec![at(0.0, 60.0, 0.0), at(80.0, 60.0, 0.0), at(80.0, 90.0, 0.0)];
    for (class, width_m) in [(Class::Road, 16.0), (Class::Road, 5.0), (Class::Railway, 0.0), (Class::District, 0.0)] {
        add(class, Geometry::Line(Line { paths: vec![path.clone()], vertical, width_m }));
    }
    let outer = vec![at(100.0, 0.0, 0.0), at(160.0, 0.0, 0.0), at(160.0, 60.0, 0.0), at(100.0, 60.0, 0.0)];
    let polygons = vec![Polygon { outer, holes: vec![] }];
    for class in [Class::Water, Class::Greenery, Class::LandUse, Class::Road] {
        add(class, Geometry::Area(crate::model::Area { polygons: polygons.clone(), vertical }));
    }
    add(Class::Generic, Geometry::Point(Point { at: at(1.0, 1.0, 0.0), vertical }));
    let part = crate::model::MeshPart {
        positions: vec![DVec3::ZERO, DVec3::X, DVec3::Y],
        indices: vec![0, 1, 2],
        rgba: [200, 100, 50, 255],
        ..Default::default()
    };
    add(Class::BuildingElement, Geometry::Mesh(crate::model::Mesh { origin: at(0.0, 0.0, 5.0), parts: vec![part] }));
    let sensor = Geometry::Point(Point { at: CITY, vertical });
    add(Class::Sensor, sensor);
    let folder = tempfile::tempdir().unwrap();
    let tiles = tile(&objects, &ground(), folder.path());
    assert_eq!(tiles.undrawn, []);
    let (_, tree) = tree(folder.path(), &tiles);
    let (glb, _) = content(folder.path(), tree.tile(TileId::ROOT).content.as_ref().unwrap());
    assert_eq!(feature_count(&glb), objects.len() as u64 - 1, "all but the sensor");
    let names: Vec<&str> = glb["materials"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    for name in ["road_main", "road", "railway", "path", "water", "greenery", "land_use", "tunnel", "pipe", "model"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
}

#[test]
fn a_pipe_is_one_instance_a_segment_and_one_ball_a_bend() {
    let axis = [(0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (20.0, 10.0)].map(|(x, y)| CITY + DVec3::new(x, y, -2.0));
    let tube = Tube {
        axis: axis.to_vec(),
        vertical: Vertical::Absolute,
        section: Section::Circle { diameter_m: 0.3 },
        from: None,
        to: None,
    };
    let object = CityObject::new(ObjectId::new("p", 1), Class::Pipe, Geometry::Tube(tube));
    let folder = tempfile::tempdir().unwrap();
    let tiles = tile(&[object], &Ground::default(), folder.path());
    let (_, tree) = tree(folder.path(), &tiles);
    let (glb, _) = content(folder.path(), tree.tile(TileId::ROOT).content.as_ref().unwrap());
    // Three segments, two ends, one bend; the straight joint needs no ball.
    assert_eq!(instance_count(&glb), 6);
    assert!((tiles.extent.min.z - (CITY.z - 2.15)).abs() < 0.01);
}

#[test]
fn what_cannot_be_drawn_is_named_and_counted_and_the_list_is_bounded() {
    let ring = |vertices: Vec<DVec3>| {
        let footprint = vec![Polygon { outer: vertices, holes: vec![vec![CITY; 2]] }];
        Geometry::Block(Block { footprint, base_m: None, height_m: 10.0, lift_m: 0.0, storeys: Some(0), roof: None })
    };
    let mut shapes = vec![
        ring(vec![]),
        ring(vec![CITY; 5]),
        ring(vec![CITY, CITY + DVec3::X, CITY + DVec3::X * 2.0]),
        ring(vec![CITY, DVec3::NAN, CITY + DVec3::X]),
        ring(vec![CITY, CITY * 1e9, CITY + DVec3::X]),
        Geometry::Line(Line { paths: vec![vec![CITY; 4], vec![]], vertical: Vertical::Absolute, width_m: 3.0 }),
        Geometry::Mesh(crate::model::Mesh {
            origin: CITY,
            parts: vec![crate::model::MeshPart {
                positions: vec![DVec3::ZERO],
                indices: vec![0, 7, 9],
                rgba: [0; 4],
                ..Default::default()
            }],
        }),
        Geometry::Shaft(Shaft { top: CITY, vertical: Vertical::Absolute, depth_m: 0.0, diameter_m: 1.0 }),
    ];
    for _ in 0..120 {
        let axis = vec![CITY, CITY];
        let section = Section::Circle { diameter_m: 0.0 };
        shapes.push(Geometry::Tube(Tube { axis, vertical: Vertical::Absolute, section, from: None, to: None }));
    }
    let mut objects: Vec<CityObject> = shapes
        .into_iter()
        .enumerate()
        .map(|(i, shape)| CityObject::new(ObjectId::new("bad", i), Class::Generic, shape))
        .collect();
    objects.push(block(1, 0.0, 0.0, 10.0, 10.0));
    // A bow tie is drawn as far as it goes.
    let bow_tie = [(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 12.0)].map(|(x, y)| CITY + DVec3::new(x, y, 0.0));
    objects.push(CityObject::new(ObjectId::new("bow", 1), Class::Building, ring(bow_tie.to_vec())));
    let folder = tempfile::tempdir().unwrap();
    let tiles = tile(&objects, &ground(), folder.path());
    assert_eq!(tiles.undrawn_total, 128);
    assert_eq!(tiles.undrawn.len(), LayerTiles::UNDRAWN_LISTED);
    assert!(tiles.undrawn.iter().any(|(id, _)| id == "bad/3"));
    assert_eq!(tiles.tiles, 1);
    let nothing = tempfile::tempdir().unwrap();
    let tiles = tile(&objects[..1], &ground(), nothing.path());
    assert_eq!((tiles.tileset, tiles.tiles, tiles.undrawn_total), (None, 0, 1));
}

#[test]
fn many_objects_in_one_place_do_not_split_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Vec<CityObject> = (0..900).map(|i| block(i, 0.0, 0.0, 10.0, 10.0)).collect();
    let tiles = tile(&objects, &Ground::default(), folder.path());
    assert_eq!(tiles.tiles, 1);
}

#[test]
fn pictures_of_meshes_are_on_one_sheet_a_tile_and_the_same_each_time() {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(256, 128, |x, _| image::Rgb(if x < 128 { [200, 40, 40] } else { [40, 40, 200] }))
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .unwrap();
    let texture = crate::model::Texture::new(file.into_inner());
    let wall = |n: u32, low: f32, texture: &crate::model::Texture| {
        let at = |x: f64, z: f64| DVec3::new(x * 12.0, f64::from(n) * 30.0, z * 9.0);
        let part = crate::model::MeshPart {
            positions: vec![at(0.0, 0.0), at(1.0, 0.0), at(1.0, 1.0), at(0.0, 1.0)],
            indices: vec![0, 1, 2, 0, 2, 3],
            rgba: [10, 200, 10, 255],
            uvs: vec![[low, 1.0], [low + 0.5, 1.0], [low + 0.5, 0.0], [low, 0.0]],
            texture: Some(texture.clone()),
        };
        let mesh = crate::model::Mesh { origin: CITY, parts: vec![part] };
        CityObject::new(ObjectId::new("t", n), Class::Building, Geometry::Mesh(mesh))
    };
    let damaged = crate::model::Texture::new(texture.file()[..300].to_vec());
    let objects: Vec<CityObject> = (0..300)
        .map(|n| wall(n, if n % 2 == 0 { 0.0 } else { 0.5 }, if n == 7 { &damaged } else { &texture }))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let tiles = tile(&objects, &Ground::default(), folder.path());
    assert_eq!((tiles.undrawn_total, tiles.plain_surfaces), (0, 1));
    let (_, tree) = tree(folder.path(), &tiles);
    let mut sheets = 0;
    for tile in tree.tiles().iter().filter(|t| t.content.is_some()) {
        let (glb, binary) = content(folder.path(), tile.content.as_ref().unwrap());
        let materials = glb["materials"].as_array().unwrap();
        let material = materials.iter().find(|m| m["name"] == "textured").unwrap();
        assert_eq!(material["pbrMetallicRoughness"]["baseColorTexture"]["index"], 0);
        let view = &glb["bufferViews"][glb["images"][0]["bufferView"].as_u64().unwrap() as usize];
        let start = view["byteOffset"].as_u64().unwrap() as usize;
        let bytes = &binary[start..start + view["byteLength"].as_u64().unwrap() as usize];
        let sheet = image::load_from_memory(bytes).unwrap();
        assert!(sheet.width() <= 2048 && sheet.height() <= 2048);
        sheets += 1;
    }
    assert!(sheets >= 3, "a tile above and leaves: {sheets}");
    let again = tempfile::tempdir().unwrap();
    let turned: Vec<CityObject> = objects.into_iter().rev().collect();
    let second = tile(&turned, &Ground::default(), again.path());
    assert_eq!(tiles.files, second.files, "whatever the order");
}

#[test]
fn tiles_that_are_written_down_are_not_made_again() {
    let mut objects = city(3000);
    objects.push(CityObject::new(
        ObjectId::new("dem", 0),
        Class::Terrain,
        Geometry::Heights(HeightGrid {
            north_west: CITY.truncate() + DVec2::new(-500.0, 4500.0),
            step_m: DVec2::splat(5.0),
            columns: 600,
            rows: 600,
            heights: (0..360_000).map(|i| (i % 601) as f32 * 0.05).collect(),
        }),
    ));
    let folder = tempfile::tempdir().unwrap();
    let (out, path) = (folder.path().join("tiles"), folder.path().join("journal"));
    let made = tile_on(&objects, &ground(), &out, &Journal::open(&path).unwrap());
    let whole = std::fs::read(&path).unwrap();
    let contents = |tiles: &LayerTiles| -> Vec<(String, Vec<u8>)> {
        tiles.files.iter().map(|file| (file.name.clone(), std::fs::read(out.join(&file.name)).unwrap())).collect()
    };
    let expected = contents(&made);
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let mut before = usize::MAX;
    for part in [0, 3, 7, 10] {
        std::fs::write(&path, &whole[..whole.len() * part / 10]).unwrap();
        for file in &made.files {
            std::fs::File::options().write(true).open(out.join(&file.name)).unwrap().set_modified(old).unwrap();
        }
        let again = tile_on(&objects, &ground(), &out, &Journal::open(&path).unwrap());
        assert!(contents(&again) == expected, "{part}");
        assert_eq!((again.tiles, again.bytes, &again.tileset), (made.tiles, made.bytes, &made.tileset));
        let is_new = |file: &&TileFile| out.join(&file.name).metadata().unwrap().modified().unwrap() != old;
        let new = made.files.iter().filter(is_new).count();
        match part {
            0 => assert_eq!(new, made.files.len()),
            // The lists of the tiles, and the terrain's root.
            10 => assert!(new <= 1 + made.files.iter().filter(|f| f.name.ends_with(".json")).count(), "{new}"),
            _ => assert!(new < before, "{new} of {} written after {part} tenths", made.files.len()),
        }
        before = new;
    }
    // A file that is damaged or gone is made again.
    let glb: Vec<&String> = made.files.iter().map(|f| &f.name).filter(|name| name.ends_with(".glb")).collect();
    std::fs::write(out.join(glb[0]), b"glTF").unwrap();
    std::fs::remove_file(out.join(glb[1])).unwrap();
    tile_on(&objects, &ground(), &out, &Journal::open(&path).unwrap());
    assert!(contents(&made) == expected);
    // Of other objects nothing is taken over.
    let others = city(2999);
    let fresh = tempfile::tempdir().unwrap();
    let alone = tile(&others, &ground(), fresh.path());
    assert_eq!(tile_on(&others, &ground(), &out, &Journal::open(&path).unwrap()).tileset, alone.tileset);
}

#[test]
fn what_a_far_tile_leaves_out_is_merged_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let objects = city(12_000);
    let tiles = tile(&objects, &ground(), folder.path());
    let (json, _) = tree(folder.path(), &tiles);
    let (glb, _) = content(folder.path(), json["root"]["content"]["uri"].as_str().unwrap());
    // The largest buildings one by one, and all others in bodies of one row of the table.
    let drawn = feature_count(&glb) - 1;
    assert!((1000..6000).contains(&drawn), "{drawn}");
    let bodies = instance_count(&glb);
    assert!((500..=128 * 128).contains(&bodies), "{bodies}");
    // As in the file of what the root draws and leaves out.
    let picks = std::fs::read_dir(folder.path()).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|ending| ending == "picks").then(|| std::fs::read(path).unwrap())
    });
    let of_tiles: Vec<_> = picks.map(|bytes| super::draw::from_bytes(&bytes).unwrap()).collect();
    let merged = |masses: &super::mass::Masses| masses.all.iter().map(|mass| u64::from(mass.count())).sum::<u64>();
    let (picks, masses) = of_tiles.iter().max_by_key(|(_, masses)| merged(masses)).unwrap();
    assert_eq!((picks.len() as u64, merged(masses) + drawn), (drawn, 12_000));
    let area = |object: &CityObject| {
        let size = object.geometry.extent().size();
        size.x * size.y
    };
    let kept: f64 = picks.iter().map(|pick| pick.weighed.bulk.at(DVec3::ZERO).unwrap().area_m2()).sum();
    let left: f64 = masses.all.iter().map(super::mass::Mass::area_m2).sum();
    let all: f64 = objects.iter().map(area).sum();
    assert!((kept + left - all).abs() < all * 1e-4, "{kept} + {left} of {all} m²");
}

/// A house of so many storeys, each of a slab and forty walls, and the building itself, which has no shape.
fn components(storeys: usize) -> Vec<CityObject> {
    let mut all = vec![CityObject::new(ObjectId::new("bim", "house"), Class::Building, Geometry::None)];
    for storey in 0..storeys {
        let at = CITY + DVec3::Z * (storey as f64 * 3.0);
        let mut add = |number: usize, middle: DVec3, size: DVec3| {
            let mut object = silhouette::tests::slab(middle, size, 0.0);
            object.id = ObjectId::new("bim", format!("{storey}/{number}"));
            all.push(object);
        };
        add(0, at, DVec3::new(40.0, 20.0, 0.3));
        for wall in 0..40 {
            add(wall + 1, at + DVec3::new(wall as f64 - 19.5, 0.0, 1.5), DVec3::new(0.2, 20.0, 3.0));
        }
    }
    all
}

#[test]
fn a_building_of_components_is_a_block_before_it_is_walls() {
    let folder = tempfile::tempdir().unwrap();
    let objects = components(20);
    let tiles = tile(&objects, &ground(), folder.path());
    let (json, tree) = tree(folder.path(), &tiles);
    let root = tree.tile(TileId::ROOT);
    assert_eq!((root.stands_for, root.children.len()), (Some(CimLevel::FUNCTION), 1));
    assert!(root.geometric_error_m >= tree.tile(root.children[0]).geometric_error_m);
    assert!(tree.tiles()[1..].iter().all(|tile| tile.stands_for.is_none()));
    let (glb, bin) = content(folder.path(), json["root"]["content"]["uri"].as_str().unwrap());
    assert_eq!(feature_count(&glb), 1);
    assert!(String::from_utf8_lossy(&bin).contains("bim/house"), "a click on it finds the building");
    let columns = &glb["extensions"]["EXT_structural_metadata"]["propertyTables"][0]["properties"];
    let level = &glb["bufferViews"][columns["cim_level"]["values"].as_u64().unwrap() as usize];
    assert_eq!(bin[level["byteOffset"].as_u64().unwrap() as usize], CimLevel::FRAME.number());
    let size = root.extent.size();
    assert!((size - DVec3::new(40.0, 20.0, 60.0)).abs().max_element() < 2.0, "{size}");
    let triangles: u64 =
        glb["meshes"].as_array().unwrap().iter().flat_map(|mesh| mesh["primitives"].as_array().unwrap()).fold(
            0,
            |sum, primitive| {
                sum + glb["accessors"][primitive["indices"].as_u64().unwrap() as usize]["count"].as_u64().unwrap() / 3
            },
        );
    assert!(triangles < 100, "{triangles} triangles");

    // A few components are drawn as what they are at any distance.
    let small = tempfile::tempdir().unwrap();
    let tiles = tile(&components(1), &ground(), small.path());
    assert!(self::tree(small.path(), &tiles).1.tile(TileId::ROOT).stands_for.is_none());
}
