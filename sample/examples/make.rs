//! Makes the sample city: `cargo run -p groundline-sample --example make -- DIR [RECIPE.toml | tiny]`.

use std::{path::Path, time::Instant};

use groundline_sample::{Recipe, make};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: make DIR [RECIPE.toml | tiny]")?;
    let recipe = match std::env::args().nth(2).as_deref() {
        None => Recipe::default_city(),
        Some("tiny") => Recipe::tiny(),
        Some(path) => Recipe::read(Path::new(path))?,
    };
    let start = Instant::now();
    let made =
        make(&recipe, Path::new(&dir), &mut |step| eprintln!("{:6.2} s  {step}", start.elapsed().as_secs_f64()))?;
    eprintln!("{:6.2} s  done", start.elapsed().as_secs_f64());
    println!("{made:#?}");
    Ok(())
}
