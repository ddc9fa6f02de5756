//! What a flight costs until its picture is sharp: tiles, bytes and triangles from the overview of the sample city down into a street, without a window.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use glam::DVec3;
use groundline_engine::{
    store::City,
    tile::{SelectOptions, TileId, TileTree, View, select},
};
use serde_json::Value;

use crate::{run::Run, text};

/// Where the flight starts and ends, metres of the sample city's system, and how far it looks down.
const FROM: (DVec3, f64) = (DVec3::new(535_500.0, 3_990_300.0, 1_500.0), -28.0);
const TO: (DVec3, f64) = (DVec3::new(535_390.0, 3_993_330.0, 60.0), -15.0);
const STOPS: usize = 13;
/// Stops that are printed.
const EVERY: usize = 4;
const ERROR_PX: f64 = 16.0;
/// Angle of view of a window 1920 × 1080 pixels large.
const FOV_DEG: f64 = 38.0;

/// Prints a row for every fourth stop: what was read up to it, and what is drawn there.
pub fn converge(groundline: &Path, work: &Path) -> Result<()> {
    let folder = work.join("converge");
    Run::of(groundline, &["demo", "--dir", text(&folder)?, "--no-view"])?;
    let city = City::open(&folder.join("haiwan.city"))?;
    let mut layers = Vec::new();
    for layer in city.layers() {
        let Some(tileset) = &layer.tileset else { continue };
        let tileset = city.folder().join(tileset);
        let folder = tileset.parent().context("a tileset lies in a folder")?.to_owned();
        let mut page = |uri: &str| Ok(fs::read(folder.join(uri)).unwrap_or_default());
        layers.push((TileTree::read_with_pages(&fs::read(&tileset)?, &mut page)?, folder, HashSet::new()));
    }
    println!("\n| stop of {STOPS} | height, m | tiles read | MB read | choices | tiles drawn | triangles drawn |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let (mut tiles, mut bytes) = (0, 0);
    for stop in 0..STOPS {
        let share = stop as f64 / (STOPS - 1) as f64;
        let view = view(share);
        let (mut drawn, mut triangles, mut choices) = (0, 0, 0);
        for (tree, folder, read) in &mut layers {
            let selection = loop {
                let options = SelectOptions { max_error_px: ERROR_PX, ..SelectOptions::default() };
                let selection = select(tree, &[view], &options, &|id: TileId| read.contains(&id));
                choices += 1;
                if selection.load.is_empty() {
                    break selection;
                }
                for (id, _) in selection.load {
                    read.insert(id);
                    let content = tree.tile(id).content.as_ref().context("a tile to load has content")?;
                    (tiles, bytes) = (tiles + 1, bytes + fs::metadata(folder.join(content))?.len());
                }
            };
            ensure!(selection.is_complete, "a stop at which nothing is left to load is not sharp");
            drawn += selection.draw.len();
            for id in &selection.draw {
                let Some(content) = &tree.tile(*id).content else { continue };
                triangles += triangles_of(&fs::read(folder.join(content))?)?;
            }
        }
        if stop % EVERY == 0 {
            let (height, megabytes) = (view.eye.z, bytes as f64 / 1e6);
            println!("| {} | {height:.0} | {tiles} | {megabytes:.1} | {choices} | {drawn} | {triangles} |", stop + 1);
        }
    }
    Ok(())
}

/// The flight looks north and goes down as fast as it comes near.
fn view(share: f64) -> View {
    let place = FROM.0.lerp(TO.0, share).truncate().extend(FROM.0.z * (TO.0.z / FROM.0.z).powf(share));
    let pitch = (FROM.1 + (TO.1 - FROM.1) * share).to_radians();
    let forward = DVec3::new(0.0, pitch.cos(), pitch.sin());
    View::perspective(place, forward, DVec3::Z, FOV_DEG.to_radians(), 16.0 / 9.0, 1080.0)
}

/// Triangles that a tile draws, those of its instances too, by what its glTF document says.
fn triangles_of(glb: &[u8]) -> Result<u64> {
    let length = glb.get(12..16).context("a GLB file")?;
    let length = u32::from_le_bytes(length.try_into()?) as usize;
    let gltf: Value = serde_json::from_slice(glb.get(20..20 + length).context("a GLB file that was cut off")?)?;
    let count = |accessor: &Value| gltf["accessors"][accessor.as_u64().unwrap_or(u64::MAX) as usize]["count"].as_u64();
    let mut triangles = 0;
    for node in gltf["nodes"].as_array().into_iter().flatten() {
        let Some(mesh) = node["mesh"].as_u64() else { continue };
        let placed = &node["extensions"]["EXT_mesh_gpu_instancing"]["attributes"]["TRANSLATION"];
        let times = count(placed).unwrap_or(1);
        let parts = gltf["meshes"][mesh as usize]["primitives"].as_array();
        let is_triangles = |part: &&Value| part["mode"].as_u64().unwrap_or(4) == 4;
        let corners = parts.into_iter().flatten().filter(is_triangles);
        triangles += corners.filter_map(|part| count(&part["indices"])).sum::<u64>() / 3 * times;
    }
    Ok(triangles)
}
