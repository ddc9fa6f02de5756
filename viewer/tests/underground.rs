//! Pictures of a small stored city without a window: what is written on pipes, what is taken off, storeys drawn apart.
//!
//! Needs a Vulkan driver (lavapipe will do). `GROUNDLINE_PICTURES=folder` keeps the pictures.

use std::path::{Path, PathBuf};

use glam::DVec3;
use groundline_engine::{
    crs::Crs,
    model::{
        Attribute, CityObject, Class, Geometry, ImportReport, Mesh, MeshPart, ObjectId, PipeKind, Section, Tube, Value,
        Vertical,
    },
    store::{City, SourceRef},
};
use groundline_viewer::{SceneOptions, SnapshotOptions, ViewError, snapshot, view_string};
use image::RgbImage;

const MIDDLE: DVec3 = DVec3::new(534_000.0, 3_992_000.0, 0.0);
const RED: [u8; 4] = [220, 20, 20, 255];
const BLUE: [u8; 4] = [20, 20, 220, 255];
/// The bar of the flag of a water pipe.
const CYAN: [u8; 3] = [0, 255, 255];
/// An arrow of flow.
const ARROW: [u8; 3] = [250, 252, 255];
/// Earth on the depth ruler.
const EARTH: [u8; 3] = [122, 94, 68];

fn read(key: &str, value: Value) -> Attribute {
    Attribute::read(&key.into(), value)
}

/// A pipe of 80 m to the east, `north` of the middle, 2 m deep.
fn pipe(layer: &str, kind: PipeKind, north: f64) -> CityObject {
    let at = |east: f64| MIDDLE + DVec3::new(east, north, -2.0);
    let tube = Tube {
        axis: vec![at(-40.0), at(40.0)],
        vertical: Vertical::Absolute,
        section: Section::Circle { diameter_m: 0.8 },
        from: None,
        to: None,
    };
    let mut object = CityObject::new(ObjectId::new(layer, "1"), Class::Pipe, Geometry::Tube(tube));
    object.attributes = vec![
        read("pipe_kind", Value::Text(kind.word().into())),
        read("diameter_mm", Value::Real(800.0)),
        read("depth_start_m", Value::Real(1.6)),
        read("depth_end_m", Value::Real(1.6)),
        read("flow", Value::Text("0".into())),
    ];
    object
}

/// A box of 10 m by 10 m by 3 m on a storey, as a part of a building.
fn element(name: &str, elevation: f64, rgba: [u8; 4]) -> CityObject {
    let corner =
        |n: u32| DVec3::new(f64::from(n & 1), f64::from(n >> 1 & 1), f64::from(n >> 2)) * DVec3::new(10.0, 10.0, 3.0);
    let sides = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    let indices = sides.iter().flat_map(|[a, b, c, d]| [*a, *b, *c, *a, *c, *d]).collect();
    let part = MeshPart { positions: (0..8).map(corner).collect(), indices, rgba, ..MeshPart::default() };
    let mesh = Mesh { origin: MIDDLE + DVec3::Z * elevation, parts: vec![part] };
    let mut object = CityObject::new(ObjectId::new("house", name), Class::BuildingElement, Geometry::Mesh(mesh));
    object.attributes.push(read("storey_elevation_m", Value::Real(elevation)));
    object
}

/// A water pipe, a sewer, and a house of two storeys.
fn stored_city(folder: &Path) -> PathBuf {
    let city = City::create(&folder.join("below.city"), "below", &Crs::from_epsg(4549).expect("in the register"), None);
    let city = city.expect("temporary folder");
    let mut draft = city.begin().expect("a draft");
    for layer in ["JS", "WS", "house"] {
        draft.replace_layer(layer, vec![SourceRef::default()]).expect("a layer");
    }
    draft.push("JS", pipe("JS", PipeKind::Water, -2.0)).expect("an object");
    draft.push("WS", pipe("WS", PipeKind::Sewage, 2.0)).expect("an object");
    for (name, elevation, rgba) in [("low", 0.0, RED), ("high", 3.0, BLUE)] {
        draft.push("house", element(name, elevation, rgba)).expect("an object");
        let mut storey = CityObject::new(ObjectId::new("house", format!("S{name}")), Class::Storey, Geometry::None);
        storey.name = Some(name.into());
        storey.attributes.push(read("elevation_m", Value::Real(elevation)));
        draft.push("house", storey).expect("an object");
    }
    draft.commit(&mut ImportReport::default()).expect("a version");
    city.folder().to_owned()
}

/// The picture of a view.
fn picture(city: &Path, name: &str, view: &str, camera: &str) -> Result<RgbImage, ViewError> {
    let keep = std::env::var_os("GROUNDLINE_PICTURES").map(PathBuf::from);
    let out = keep.or_else(|| city.parent().map(Path::to_owned)).expect("a folder").join(format!("{name}.png"));
    let mut scene = SceneOptions { city: city.to_owned(), ..SceneOptions::default() };
    view_string::read(&format!("groundline:?{view}"), &mut scene).expect(view);
    scene.camera = camera.parse().expect("a camera");
    let options = SnapshotOptions { scene, out: out.clone(), size: (720, 420), ..SnapshotOptions::default() };
    snapshot(options).map(|_| image::open(&out).expect("a PNG was written").into_rgb8())
}

/// Pixels of exactly this colour.
fn count(image: &RgbImage, rgb: [u8; 3]) -> usize {
    image.pixels().filter(|pixel| pixel.0 == rgb).count()
}

/// How many pixels around the middle are mostly of one channel, and the highest row with some.
fn of_channel(image: &RgbImage, channel: usize) -> (usize, u32) {
    let is =
        |rgb: [u8; 3]| (0..3).all(|other| other == channel || u32::from(rgb[channel]) > u32::from(rgb[other]) * 2 + 20);
    let rows: Vec<u32> = image
        .enumerate_pixels()
        .filter(|(x, _, pixel)| (200..520).contains(x) && is(pixel.0))
        .map(|(_, y, _)| y)
        .collect();
    (rows.len(), rows.into_iter().min().unwrap_or(u32::MAX))
}

#[test]
fn pipes_are_written_on_and_networks_taken_off() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let city = stored_city(folder.path());
    let camera = format!("look={},{},-2;distance=45;heading=0;pitch=-50", MIDDLE.x - 20.0, MIDDLE.y);
    let draw = |name: &str, view: &str| picture(&city, name, view, &camera).expect(name);
    let plain = draw("pipes", "u=1&off=house");
    assert!(count(&plain, EARTH) > 100, "the depth ruler stands at the edge: {}", count(&plain, EARTH));
    assert_eq!(count(&plain, ARROW), 0);
    let flags = draw("flags", "u=1&off=house&lb=pipes,flow");
    let bar = count(&flags, CYAN).saturating_sub(count(&plain, CYAN));
    assert!(bar > 60, "the flag of the water pipe has its colour: {bar}");
    assert!(count(&flags, ARROW) > 60, "it flows: {}", count(&flags, ARROW));
    let sewer = draw("sewer", "u=1&off=house&net=sewage&lb=pipes,flow");
    assert!(count(&sewer, CYAN) <= count(&plain, CYAN), "no flag of what is taken off");
    let is_cyan = |pixel: &image::Rgb<u8>| pixel.0[1] > 90 && pixel.0[2] > 90 && pixel.0[0] < pixel.0[1] / 2;
    let middle = |image: &RgbImage| {
        (250..600)
            .flat_map(|x| (150..400).map(move |y| (x, y)))
            .filter(|(x, y)| is_cyan(image.get_pixel(*x, *y)))
            .count()
    };
    assert!(middle(&plain) > 200 && middle(&sewer) < 20, "{} {}", middle(&plain), middle(&sewer));
    // A film of the pipe's colour, wider than the pipe: more of the picture changes than the note at its foot.
    let sleeves = draw("sleeves", "u=1&off=house&lb=sleeves");
    let differ = |y0: u32, y1: u32| {
        (250..600)
            .flat_map(|x| (y0..y1).map(move |y| (x, y)))
            .filter(|(x, y)| sleeves.get_pixel(*x, *y) != plain.get_pixel(*x, *y))
            .count()
    };
    assert!(differ(150, 360) > 2_000, "{}", differ(150, 360));
}

#[test]
fn storeys_go_apart_alone_and_behind_ghosts() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let city = stored_city(folder.path());
    let camera = format!("look={},{},4;distance=45;heading=0;pitch=-5", MIDDLE.x + 5.0, MIDDLE.y + 5.0);
    let draw = |name: &str, view: &str| picture(&city, name, &format!("off=JS,WS{view}"), &camera);
    let (red, blue) = (0, 2);
    let whole = draw("house", "").expect("a picture");
    let apart = draw("apart", "&sto=house%3Afan%3D6").expect("a picture");
    assert!(of_channel(&whole, red).0 > 1_000 && of_channel(&whole, blue).0 > 1_000);
    let (before, after) = (of_channel(&whole, blue).1, of_channel(&apart, blue).1);
    assert!(after + 40 < before, "the upper storey is drawn higher: {before} {after}");
    // Its roof comes into sight.
    assert!(of_channel(&whole, red).1.abs_diff(of_channel(&apart, red).1) < 25, "the lower one stays");
    let low = draw("low", "&sto=house%3A1").expect("a picture");
    assert!(of_channel(&low, red).0 > 1_000 && of_channel(&low, blue).0 < 1_000, "{:?}", of_channel(&low, blue));
    let hidden = draw("hidden", "&hid=house/low").expect("a picture");
    assert!(of_channel(&hidden, red).0 < 20 && of_channel(&hidden, blue).0 > 1_000);
    let ghost = draw("ghost", "&xr=house/high").expect("a picture");
    assert!(of_channel(&ghost, red).0 < 200 && of_channel(&ghost, blue).0 > 1_000, "{:?}", of_channel(&ghost, red));
    // Cut 1.2 m above its floor, less than half of the upper storey is left.
    let plan = draw("plan", "&sto=house%3Aeye%3D2").expect("a picture");
    let (left, all) = (of_channel(&plan, blue).0, of_channel(&whole, blue).0);
    assert!(left * 10 < all * 7 && left > 200, "{left} of {all}");
    let Err(error) = draw("none", "&sto=house%3A7") else { panic!("there is no seventh storey") };
    assert!(error.to_string().contains("2 storeys"), "{error}");
}
