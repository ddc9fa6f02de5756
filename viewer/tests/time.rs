//! The city at another time, as pixels: what was not there yet shows the ground.
//!
//! Needs a Vulkan driver (lavapipe will do).
//! `GROUNDLINE_PICTURES=folder` keeps the pictures.

use std::path::{Path, PathBuf};

use glam::DVec3;
use groundline_engine::{
    crs::Crs,
    model::{Attribute, Block, CityObject, Class, Geometry, ImportReport, ObjectId, Polygon, Value},
    store::{City, SourceRef},
};
use groundline_viewer::{SceneOptions, SnapshotOptions, snapshot};

/// Places of the buildings from west to east, metres from the middle.
const EAST_M: [f64; 4] = [-105.0, -35.0, 35.0, 105.0];

fn house(number: usize, height_m: f64, attributes: &[(&str, Value)]) -> CityObject {
    let corner = |sx: f64, sy: f64| DVec3::new(534_000.0 + EAST_M[number] + sx * 12.0, 3_992_000.0 + sy * 12.0, 0.0);
    let block = Block {
        footprint: vec![Polygon {
            outer: vec![corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)],
            holes: vec![],
        }],
        base_m: Some(0.0),
        height_m,
        lift_m: 0.0,
        storeys: None,
        roof: None,
    };
    let mut house = CityObject::new(ObjectId::new("buildings", number), Class::Building, Geometry::Block(block));
    house.attributes = attributes.iter().map(|(key, value)| Attribute::read(&(*key).into(), value.clone())).collect();
    house
}

fn import(city: &City, houses: Vec<CityObject>) {
    let mut draft = City::open(city.folder()).expect("a city").begin().expect("a draft");
    draft.replace_layer("buildings", vec![SourceRef::default()]).expect("a layer");
    houses.into_iter().for_each(|house| draft.push("buildings", house).expect("an object"));
    draft.commit(&mut ImportReport::default()).expect("a version");
}

/// A row of houses: built 1990, built 2010, there from 2000 to 2005, always there and raised by a second import.
fn city(folder: &Path) -> PathBuf {
    let city = City::create(&folder.join("row.city"), "row", &Crs::from_epsg(4549).expect("in the register"), None);
    let city = city.expect("temporary folder");
    let text = |text: &str| Value::Text(text.into());
    let houses = |last_m: f64| {
        vec![
            house(0, 9.0, &[("year_built", Value::Int(1990))]),
            house(1, 9.0, &[("year_built", Value::Int(2010))]),
            house(2, 9.0, &[("valid_from", text("2000-01-01")), ("valid_to", text("2005-01-01"))]),
            house(3, last_m, &[]),
        ]
    };
    import(&city, houses(9.0));
    import(&city, houses(10.0));
    city.folder().to_owned()
}

/// Which of the houses are seen at a time.
fn seen(city: &Path, out: &Path, valid_at: Option<&str>) -> [bool; 4] {
    let out = out.join(format!("time-{}.png", valid_at.unwrap_or("now")));
    let scene = SceneOptions {
        city: city.to_owned(),
        camera: "look=534000,3992000,0;distance=330;heading=0;pitch=-89".parse().expect("a camera"),
        at: Some("2026-06-21T12:00".parse().expect("noon")),
        valid_at: valid_at.map(|text| text.parse().expect("a day")),
        colour_by: Some("class".into()),
        is_overlay_hidden: true,
        ..SceneOptions::default()
    };
    let options = SnapshotOptions { scene, out: out.clone(), size: (480, 200), ..SnapshotOptions::default() };
    snapshot(options).expect("a picture");
    let image = image::open(&out).expect("a PNG was written").into_rgb8();
    // Metres a pixel at the height of the roofs: 38° over the height of the picture.
    let metres = 2.0 * (330.0 - 9.0) * (38.0_f64 / 2.0).to_radians().tan() / f64::from(image.height());
    let pixel = |east_m: f64, north_m: f64| {
        let x = f64::from(image.width()) * 0.5 + east_m / metres;
        *image.get_pixel(x as u32, (f64::from(image.height()) * 0.5 - north_m / metres) as u32)
    };
    EAST_M.map(|east_m| {
        let (roof, ground) = (pixel(east_m, 0.0), pixel(east_m, -32.0));
        roof.0.iter().zip(ground.0).any(|(a, b)| a.abs_diff(b) > 24)
    })
}

#[test]
fn what_is_not_built_yet_shows_the_ground() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let city = city(folder.path());
    let keep = std::env::var_os("GROUNDLINE_PICTURES").map(PathBuf::from);
    let out = keep.unwrap_or_else(|| folder.path().to_owned());
    let at = |time| seen(&city, &out, time);
    assert_eq!(at(None), [true, true, true, true], "now: what the tiles hold");
    assert_eq!(at(Some("1985-06-30")), [false, false, false, true], "a house that was raised stood before that");
    assert_eq!(at(Some("2003-06-30")), [true, false, true, true]);
    assert_eq!(at(Some("2015-06-30")), [true, true, false, true], "what has ended is gone");
}
