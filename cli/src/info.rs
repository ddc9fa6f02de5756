//! `groundline info`.

use std::path::PathBuf;

use anyhow::Result;
use groundline_engine::store::City;
use serde_json::json;

use crate::outcome::{Ask, Outcome, bytes, grouped, print_json};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, s3://bucket/prefix/name.city, or the URL of a Groundline server.
    city: PathBuf,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let city = City::open(&args.city)?;
    let sensors = city.sensors()?;
    let versions = city.versions()?;
    if ask.json {
        let layers: Vec<serde_json::Value> = city
            .layers()
            .iter()
            .map(|layer| {
                json!({
                    "name": layer.name, "classes": layer.classes, "parts": layer.parts, "objects": layer.objects, "points": layer.points,
                    "tiles": layer.tiles, "bytes": layer.bytes, "extent": layer.extent, "sources": layer.sources,
                    "ended": layer.ended,
                })
            })
            .collect();
        print_json(&json!({
            "city": args.city.display().to_string(),
            "name": city.name(),
            "version": city.version(),
            "crs": city.crs().label(),
            "crs_name": city.crs().name,
            "vertical": city.vertical_epsg().map(|code| format!("EPSG:{code}")),
            "extent": city.extent(),
            "layers": layers,
            "versions": versions
                .iter()
                .map(|v| json!({ "version": v.version, "time": v.time, "who": v.who, "what": v.what }))
                .collect::<Vec<_>>(),
            "sensors": sensors.len(),
        }))?;
        return Ok(Outcome::Done);
    }
    println!("{} ({})", city.name(), args.city.display());
    println!("{}: {} {}", ask.say("coordinate system", "坐标系"), city.crs().label(), city.crs().name);
    if let Some(code) = city.vertical_epsg() {
        println!("{}: EPSG:{code}", ask.say("height datum", "高程基准"));
    }
    let extent = city.extent();
    if !extent.is_empty() {
        println!(
            "{}: {:.1} {:.1} {:.1} – {:.1} {:.1} {:.1}",
            ask.say("extent", "范围"),
            extent.min.x,
            extent.min.y,
            extent.min.z,
            extent.max.x,
            extent.max.y,
            extent.max.z
        );
    }
    println!("{}: {}  ({} {})", ask.say("version", "版本"), city.version(), versions.len(), ask.say("kept", "个保留"));
    println!("{}:", ask.say("layers", "图层"));
    for layer in city.layers() {
        let count = |(class, all): (&String, &u64)| match layer.parts.get(class) {
            None => format!("{class} {}", grouped(*all)),
            Some(parts) => {
                let whole = grouped(all.saturating_sub(*parts));
                format!("{class} {whole} + {} {}", grouped(*parts), ask.say("parts", "个部分"))
            }
        };
        let classes: Vec<String> = layer.classes.iter().map(count).collect();
        println!(
            "  {}: {} {}{}, {} {}, {}  [{}]",
            layer.name,
            grouped(layer.objects),
            ask.say("objects", "个对象"),
            if layer.points > 0 {
                format!(", {} {}", grouped(layer.points), ask.say("points", "个点"))
            } else {
                String::new()
            },
            grouped(layer.tiles),
            ask.say("tiles", "个瓦片"),
            bytes(layer.bytes),
            classes.join(", ")
        );
    }
    let placed = sensors.iter().filter(|s| s.place.is_some()).count();
    println!(
        "{}: {} ({} {})",
        ask.say("sensors", "感知终端"),
        sensors.len(),
        sensors.len() - placed,
        ask.say("unplaced", "个未定位")
    );
    Ok(Outcome::Done)
}
