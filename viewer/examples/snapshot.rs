//! A picture of a city with the viewer alone:
//! `cargo run --example snapshot -- CITY OUT.png [below] [zh|en] [WIDTHxHEIGHT] [fine=2] [at=18:30] [CAMERA]`.

use groundline_viewer::{SnapshotOptions, snapshot};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(city), Some(out)) = (words.next(), words.next()) else {
        return Err("usage: snapshot CITY OUT.png [below] [zh|en] [WIDTHxHEIGHT] [fine=2] [at=18:30] [CAMERA]".into());
    };
    let mut options = SnapshotOptions { out: out.into(), ..SnapshotOptions::default() };
    options.scene.city = city.into();
    for word in words {
        match word.as_str() {
            "below" => options.scene.is_below = true,
            "plain" => options.scene.is_overlay_hidden = true,
            "zh" | "en" => options.scene.language = word.parse()?,
            fine if fine.starts_with("fine=") => options.supersample = fine["fine=".len()..].parse()?,
            at if at.starts_with("at=") => options.scene.at = Some(at["at=".len()..].parse()?),
            size if size.split_once('x').is_some_and(|(w, h)| w.parse::<u32>().is_ok() && h.parse::<u32>().is_ok()) => {
                let (width, height) = size.split_once('x').unwrap_or_default();
                options.size = (width.parse()?, height.parse()?);
            }
            camera => options.scene.camera = camera.parse()?,
        }
    }
    println!("{}", serde_json::to_string_pretty(&snapshot(options)?)?);
    Ok(())
}
