//! Pictures of the sample city beside those that were looked at and kept (`golden/*.jpg`): what people see does not change unawares.
//!
//! `GROUNDLINE_GOLDEN=keep` keeps the new ones instead; they are looked at before they are committed. Drivers differ in single pixels at edges,
//! so pictures are compared as an eye would from some distance: both softened, by colour difference, with a small share of pixels that may be
//! anything.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use common::{run_json, sample_city, text};
use image::{Rgb32FImage, RgbImage};
use serde_json::Value;

const SIZE: &str = "480x270";
/// Softening, pixels.
const SOFT_PX: f32 = 1.5;
/// Colour difference (CIE 1976, L*a*b*) from which a pixel is another one: about that of two neighbouring greys on a wall.
const OTHER: f32 = 9.0;
/// Share of pixels that may be.
const MOST_OTHER: f64 = 0.02;
/// Mean difference of all.
const MOST_MEAN: f64 = 1.2;

/// L*a*b* of an sRGB pixel, D65 (CIE 15:2004).
fn lab(pixel: [f32; 3]) -> [f32; 3] {
    let [r, g, b] = pixel.map(|v| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
    let xyz = [
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    ];
    let [x, y, z] = xyz.map(|t| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Share of pixels that are others, and the mean difference.
fn difference(a: &RgbImage, b: &RgbImage) -> (f64, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let soft = |picture: &RgbImage| -> Rgb32FImage {
        let picture = image::DynamicImage::ImageRgb8(picture.clone()).into_rgb32f();
        image::imageops::blur(&picture, SOFT_PX)
    };
    let (a, b) = (soft(a), soft(b));
    let apart = a.pixels().zip(b.pixels()).map(|(a, b)| {
        let (a, b) = (lab(a.0), lab(b.0));
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    });
    let apart: Vec<f32> = apart.collect();
    let count = apart.len() as f64;
    let others = apart.iter().filter(|d| **d > OTHER).count() as f64;
    (others / count, apart.iter().map(|d| f64::from(*d)).sum::<f64>() / count)
}

/// Keeps a picture in few bytes: what that takes away lies far below what is told apart.
fn keep(picture: &Path, to: &Path) {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 92);
    image::open(picture).unwrap().into_rgb8().write_with_encoder(encoder).unwrap();
    fs::write(to, bytes).unwrap();
}

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The views: names and options.
fn views() -> Vec<(String, Vec<String>)> {
    let list = fs::read_to_string(kept().join("views.txt")).unwrap();
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut views: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace().map(str::to_owned);
        views.push((words.next().unwrap(), words.collect()));
    }
    views
}

fn taken(city: &Path, out: &Path, options: &[String]) -> Value {
    let mut args = vec!["snapshot", text(city), "--out", text(out)];
    args.extend(options.iter().map(String::as_str));
    for usual in [&["--size", SIZE, "--fine", "2", "--plain"][..], &["--lang", "zh"], &["--at", "2026-09-23T15:00"]] {
        if !args.contains(&usual[0]) {
            args.extend(usual);
        }
    }
    let (code, report) = run_json(&args);
    assert_eq!(code, 0, "{options:?}: {report:#}");
    report
}

#[test]
fn the_city_looks_as_it_was_kept() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden");
    let city = sample_city(&folder);
    let keeps = std::env::var_os("GROUNDLINE_GOLDEN").is_some_and(|word| word == "keep");
    let views = views();
    assert!(views.len() >= 20);
    let (queue, wrong) = (Mutex::new(views.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, options)) = { queue.lock().unwrap().next() } {
                    let new = folder.join(format!("{name}.png"));
                    let old = kept().join(format!("{name}.jpg"));
                    let report = taken(&city, &new, &options);
                    assert_eq!(report["damaged_tiles"], serde_json::json!([]), "{name}");
                    if keeps {
                        keep(&new, &old);
                        continue;
                    }
                    let old = image::open(&old).unwrap_or_else(|error| panic!("{}: {error}", old.display()));
                    let (others, mean) = difference(&old.into_rgb8(), &image::open(&new).unwrap().into_rgb8());
                    println!("{name}: {:.2} % of the pixels are others, mean difference {mean:.2}", others * 100.0);
                    if others > MOST_OTHER || mean > MOST_MEAN {
                        wrong.lock().unwrap().push(format!("{name}: {:.2} %, {mean:.2}", others * 100.0));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "other pictures than those kept, in {}: {wrong:#?}", folder.display());
}

#[test]
fn pictures_that_an_eye_tells_apart_are_told_apart() {
    let kept = |name: &str| image::open(kept().join(format!("{name}.jpg"))).unwrap().into_rgb8();
    let (dusk, towers) = (kept("dusk"), kept("towers"));
    assert_eq!(difference(&towers, &towers), (0.0, 0.0));
    assert!(difference(&dusk, &towers).0 > 0.5, "another time of day");
    // A pixel at every edge is no other picture; a picture that moved by three pixels, or lost a building, is.
    let mut noisy = towers.clone();
    for (number, pixel) in noisy.pixels_mut().enumerate() {
        if number % 97 == 0 {
            pixel.0 = pixel.0.map(|v| v.saturating_add(40));
        }
    }
    let (others, mean) = difference(&noisy, &towers);
    assert!(others < MOST_OTHER && mean < MOST_MEAN, "{others} {mean}");
    let mut moved = towers.clone();
    for (x, y, pixel) in moved.enumerate_pixels_mut() {
        *pixel = *towers.get_pixel((x + 3).min(towers.width() - 1), y);
    }
    assert!(difference(&moved, &towers).0 > MOST_OTHER);
    let mut without = towers.clone();
    for y in 100..170 {
        for x in 200..260 {
            without.put_pixel(x, y, *towers.get_pixel(10, 10));
        }
    }
    assert!(difference(&without, &towers).0 > MOST_OTHER);
}
