//! Two looks in one picture: each side is what a picture of that look alone shows.

use super::*;
use groundline_viewer::comparison::read_look;

/// Camera over the quarter, so that both halves hold houses, ground and shadows.
const CAMERA: &str = "look=40534000,3993000,20;distance=700;heading=340;pitch=-24";

/// Largest difference of a channel, and the share of pixels that differ by more than 8, of columns `from` to `to` of `a` and
/// those of `b` from `other` on.
fn difference(a: &image::RgbImage, b: &image::RgbImage, from: u32, to: u32, other: u32) -> (u8, f64) {
    let (mut most, mut many) = (0, 0);
    for y in 0..a.height() {
        for x in from..to {
            let (p, q) = (a.get_pixel(x, y).0, b.get_pixel(x - from + other, y).0);
            let off = p.iter().zip(q).map(|(p, q)| p.abs_diff(q)).max().unwrap_or(0);
            most = most.max(off);
            many += u32::from(off > 8);
        }
    }
    (most, f64::from(many) / f64::from((to - from) * a.height()))
}

/// A picture of the city alone.
fn plain(folder: &Path, name: &str, size: (u32, u32), look: &str) -> (image::RgbImage, usize) {
    let (image, report) = take(folder, name, |options| {
        view_string::read(&format!("groundline:?{look}"), &mut options.scene).expect(look);
        options.scene.camera = CAMERA.parse().expect("a camera");
        options.scene.is_overlay_hidden = true;
        options.size = size;
    });
    (image, report.tiles_drawn)
}

#[test]
fn each_side_of_a_comparison_is_the_picture_of_its_look() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (size, half) = ((480, 270), (240, 270));
    let (left, right) = ("v=1", "v=1&off=building&st=paper");
    let other = format!("ot={}", view_string::encoded(&read_look(right).expect("a look")));

    let (a, tiles_a) = plain(folder.path(), "compare-left", size, left);
    let (b, tiles_b) = plain(folder.path(), "compare-right", size, right);
    assert!(difference(&a, &b, 0, 480, 0).1 > 0.5, "the looks differ");
    let (swipe, tiles) = plain(folder.path(), "compare-swipe", size, &format!("cmp=swipe:0.4&{other}"));
    assert_eq!(tiles, tiles_a + tiles_b, "each side has its own tiles");
    // Pixel by pixel, up to the divider and from it on: the picture goes through. A part is drawn with a lens of its own, so that
    // here and there an edge falls on the next pixel.
    let off = [difference(&swipe, &a, 0, 192, 0), difference(&swipe, &b, 192, 480, 192)];
    assert!(off.iter().all(|(_, share)| *share < 0.001), "{off:?}");

    // Edges of shadows differ a little: their maps lie over the wider picture.
    let (a, _) = plain(folder.path(), "compare-half-left", half, left);
    let (b, _) = plain(folder.path(), "compare-half-right", half, right);
    let (beside, _) = plain(folder.path(), "compare-beside", size, &format!("cmp=beside&{other}"));
    let off = [difference(&beside, &a, 0, 240, 0), difference(&beside, &b, 240, 480, 0)];
    assert!(off.iter().all(|(_, share)| *share < 0.03), "{off:?}");

    // Glass on both sides, and the divider at the edge.
    let all = plain(folder.path(), "compare-all", size, "cmp=swipe:0&ot=st%3Dxray").0;
    let xray = plain(folder.path(), "compare-xray", size, "st=xray").0;
    assert!(difference(&all, &xray, 0, 480, 0).1 < 0.001, "nothing is left of this side");
}

#[test]
fn the_divider_and_the_names_of_the_sides_are_in_the_picture() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (image, _) = take(folder.path(), "compare-divider", |options| {
        view_string::read("groundline:?cmp=swipe:0.5&ot=st%3Dxray", &mut options.scene).expect("a view");
        options.scene.camera = CAMERA.parse().expect("a camera");
    });
    let (w, h) = image.dimensions();
    let is_white = |x: u32, y: u32| image.get_pixel(x, y).0.iter().all(|c| *c > 200);
    let line = (0..h).filter(|y| is_white(w / 2, *y) || is_white(w / 2 - 1, *y)).count();
    assert!(line as f32 > 0.85 * h as f32, "the line goes from top to bottom: {line} of {h}");
    let handle = (0..24).filter(|k| is_white(w / 2 - 3, h / 2 - 12 + k)).count();
    assert!(handle > 18, "the handle: {handle}");
    // Plates left and right of the line, with light letters.
    let letters =
        |x: [f32; 2]| share(&image, [x[0], 0.02, x[1], 0.09], |[r, g, b]| r > 190.0 && g > 190.0 && b > 190.0);
    assert!(letters([0.51, 0.58]) > 0.02, "透视: {}", letters([0.51, 0.58]));
}

#[test]
fn a_side_that_cannot_be_is_an_error() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = SnapshotOptions {
        scene: SceneOptions {
            comparison: Some("beside".parse().expect("a manner")),
            other: "by=beer".into(),
            ..SceneOptions::default()
        },
        out: folder.path().join("none.png"),
        size: (160, 90),
        ..SnapshotOptions::default()
    };
    let refused = picture(city(folder.path()), options, Instant::now());
    assert!(matches!(refused, Err(ViewError::Colours(_))), "{:?}", refused.map(|report| report.out));
}
