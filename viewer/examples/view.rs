//! A window on a city with the viewer alone: `cargo run --example view -- CITY`.

use groundline_viewer::{SceneOptions, ViewOptions, view};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let city = std::env::args().nth(1).ok_or("usage: view CITY")?;
    view(ViewOptions {
        scene: SceneOptions { city: city.into(), ..SceneOptions::default() },
        ..ViewOptions::default()
    })?;
    Ok(())
}
