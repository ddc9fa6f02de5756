//! Pictures of a house on a slab and of a scan, with and without what makes shapes legible.
//!
//! Needs a Vulkan driver (lavapipe will do). `GROUNDLINE_PICTURES=folder` keeps the pictures.

use std::path::{Path, PathBuf};

use glam::DVec3;
use groundline_engine::{
    crs::Crs,
    model::{Block, CityObject, Class, Geometry, ImportReport, ObjectId, PointBatch, Polygon},
    store::{City, SourceRef},
};
use groundline_viewer::{SceneOptions, SnapshotOptions, snapshot, view_string};
use image::RgbImage;

const MIDDLE: DVec3 = DVec3::new(534_000.0, 3_992_000.0, 0.0);

/// A square block around the middle.
fn block(name: &str, half_m: f64, base_m: f64, height_m: f64) -> CityObject {
    let corner = |east: f64, north: f64| MIDDLE + DVec3::new(east, north, 0.0) * half_m;
    let outer = vec![corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
    let block = Block {
        footprint: vec![Polygon { outer, holes: vec![] }],
        base_m: Some(base_m),
        height_m,
        lift_m: 0.0,
        storeys: None,
        roof: None,
    };
    CityObject::new(ObjectId::new("houses", name), Class::Building, Geometry::Block(block))
}

/// Points of one red, 20 m a side, the southern half 6 m higher.
fn scan() -> CityObject {
    let place = |k: usize| {
        let (east, north) = ((k % 160) as f64 * 0.25 - 20.0, (k / 160) as f64 * 0.25 - 20.0);
        MIDDLE + DVec3::new(east, north, if north < 0.0 { 6.0 } else { 0.0 })
    };
    let count = 160 * 160;
    let batch = PointBatch {
        positions: (0..count).map(place).collect(),
        colours: vec![[200, 60, 50]; count],
        ..PointBatch::default()
    };
    CityObject::new(ObjectId::new("scan", "1"), Class::PointCloud, Geometry::Points(batch))
}

fn stored_city(folder: &Path) -> PathBuf {
    let city = City::create(&folder.join("shapes.city"), "shapes", &Crs::from_epsg(4549).expect("registered"), None);
    let city = city.expect("temporary folder");
    let mut draft = city.begin().expect("a draft");
    for layer in ["houses", "scan"] {
        draft.replace_layer(layer, vec![SourceRef::default()]).expect("a layer");
    }
    draft.push("houses", block("slab", 150.0, 0.0, 1.0)).expect("an object");
    draft.push("houses", block("house", 10.0, 1.0, 20.0)).expect("an object");
    draft.push("scan", scan()).expect("an object");
    draft.commit(&mut ImportReport::default()).expect("a version");
    city.folder().to_owned()
}

fn picture(city: &Path, name: &str, view: &str, camera: &str) -> RgbImage {
    let keep = std::env::var_os("GROUNDLINE_PICTURES").map(PathBuf::from);
    let out = keep.or_else(|| city.parent().map(Path::to_owned)).expect("a folder").join(format!("{name}.png"));
    let mut scene = SceneOptions { city: city.to_owned(), is_overlay_hidden: true, ..SceneOptions::default() };
    view_string::read(&format!("groundline:?{view}&t=2026-09-23T15:00"), &mut scene).expect(view);
    scene.camera = camera.parse().expect("a camera");
    let options = SnapshotOptions { scene, out: out.clone(), size: (480, 270), ..SnapshotOptions::default() };
    snapshot(options).expect(name);
    image::open(&out).expect("a PNG was written").into_rgb8()
}

/// How bright each pixel of `with` is beside the same of `without`.
fn ratios(with: &RgbImage, without: &RgbImage) -> Vec<f32> {
    let bright = |pixel: &image::Rgb<u8>| pixel.0.iter().map(|c| f32::from(*c)).sum::<f32>() + 1.0;
    with.pixels().zip(without.pixels()).map(|(a, b)| bright(a) / bright(b)).collect()
}

fn share(ratios: &[f32], is: impl Fn(f32) -> bool) -> f32 {
    ratios.iter().filter(|ratio| is(**ratio)).count() as f32 / ratios.len() as f32
}

#[test]
fn corners_are_darker_and_open_ground_is_as_it_was() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let city = stored_city(folder.path());
    let camera = format!("look={},{},6;distance=70;heading=30;pitch=-28", MIDDLE.x, MIDDLE.y);
    for style in ["realistic", "paper"] {
        let draw = |relief: &str| {
            picture(&city, &format!("{style}-{relief}"), &format!("off=scan&st={style}&re={relief}"), &camera)
        };
        let (with, without) = (draw("corners"), draw("none"));
        let all = ratios(&with, &without);
        let dark = share(&all, |ratio| ratio < 0.92);
        assert!((0.004..0.25).contains(&dark), "{style}: at the foot of the house: {dark}");
        assert!(share(&all, |ratio| ratio > 1.02) < 0.002, "{style}: nothing is brighter");
        // The lowest eighth of the picture is open slab.
        let open = &all[all.len() / 8 * 7..];
        assert!(share(open, |ratio| ratio < 0.97) < 0.01, "{style}: open ground");
        assert_eq!(ratios(&draw("points"), &without).iter().filter(|ratio| **ratio != 1.0).count(), 0, "no scan");
    }
}

#[test]
fn points_of_a_scan_have_edges_and_the_colour_of_a_dark_model() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let city = stored_city(folder.path());
    let camera = format!("look={},{},3;distance=60;heading=0;pitch=-40", MIDDLE.x, MIDDLE.y);
    let draw = |name: &str, style: &str, relief: &str| {
        picture(&city, name, &format!("on=scan&st={style}&re={relief}"), &camera)
    };
    for style in ["realistic", "paper", "dark"] {
        let without = draw(&format!("scan-{style}-none"), style, "none");
        let with = draw(&format!("scan-{style}"), style, "points");
        let all = ratios(&with, &without);
        let dark = share(&all, |ratio| ratio < 0.8);
        assert!((0.001..0.2).contains(&dark), "{style}: behind the edge of the upper half: {dark}");
        let flat = share(&all, |ratio| ratio > 0.9);
        assert!(flat > 0.7, "{style}: flat ground stays: {flat}");
        let is_red = |pixel: &&image::Rgb<u8>| pixel.0[0] > pixel.0[2].saturating_add(8);
        let red = without.pixels().filter(is_red).count();
        assert_eq!(red > 2_000, style != "dark", "{style}: {red} pixels in the scan's own colour");
    }
}
