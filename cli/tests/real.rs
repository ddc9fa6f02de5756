//! The command on files of other people. What other tools report of them stands here as numbers:
//! counts and extents from GDAL 3.6.2 (`ogrinfo -so -al`, `gdalinfo`), points from laspy 2.7, products from ifcopenshell 0.9.0.

mod common;

use common::{real_data, run_json, text};

/// Imports with `more` arguments and returns exit code, account and the city's folder.
fn import(sources: &[&std::path::Path], more: &[&str]) -> (i32, serde_json::Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let city = folder.path().join("real.city");
    let mut args = vec!["import"];
    args.extend(sources.iter().map(|p| text(p)));
    args.extend(["--city", text(&city)]);
    args.extend(more);
    let (code, report) = run_json(&args);
    (code, report, folder)
}

/// The extent in plan: min x, min y, max x, max y.
fn plan(value: &serde_json::Value) -> [f64; 4] {
    let at = |which: &str, axis: usize| value[which][axis].as_f64().unwrap_or(f64::NAN);
    [at("min", 0), at("min", 1), at("max", 0), at("max", 1)]
}

fn assert_near(found: [f64; 4], wanted: [f64; 4], tolerance_m: f64) {
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= tolerance_m, "{found:?} is not {wanted:?}");
    }
}

#[test]
fn delft_campus_scan_and_a_house_come_together_in_one_city() {
    let Some(data) = real_data() else { return };
    let buildings = data.join("gis/geojson/delft_tudcampus_bag.geojson");
    let (code, report, folder) = import(&[&buildings], &[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["objects"], 1529);
    assert_eq!(report["sources"][0]["crs"], "EPSG:28992");
    // GDAL: (84756.142199, 445388.195828) - (86104.750082, 447070.939153)
    assert_near(plan(&report["sources"][0]["extent"]), [84756.142, 445388.196, 86104.750, 447070.939], 0.001);

    let city = folder.path().join("real.city");
    let scan = data.join("pointcloud/ahn3_delft/ahn3_cropped_1.laz");
    let (code, refused) = run_json(&["import", text(&scan), "--city", text(&city)]);
    assert_eq!(code, 1, "a scan without CRS must be refused: {refused:#}");
    assert!(refused["sources"][0]["error"].as_str().unwrap().contains("--crs EPSG:28992"), "{refused:#}");
    let (code, report) = run_json(&["import", text(&scan), "--city", text(&city), "--crs", "EPSG:28992"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["points"], 640_510);
    // laspy: 84808.3,447412.8 - 85000.0,447641.3
    assert_near(plan(&report["sources"][0]["extent"]), [84808.3, 447412.8, 85000.0, 447641.3], 0.06);

    let house = data.join("bim/ifc4/AC20-FZK-Haus.ifc");
    let (code, report) = run_json(&["import", text(&house), "--city", text(&city), "--map", "place=85300,446500,0,20"]);
    assert_eq!(code, 0, "{report:#}");
    let at = plan(&report["sources"][0]["extent"]);
    assert!(at[0] > 85_200.0 && at[2] < 85_400.0 && at[1] > 446_400.0 && at[3] < 446_600.0, "{at:?}");
    let (_, info) = run_json(&["info", text(&city)]);
    let layers = info["layers"].as_array().unwrap();
    let house = layers.iter().find(|l| l["name"] == "AC20-FZK-Haus").unwrap();
    // ifcopenshell: 2 storeys, 7 spaces, 1 building.
    assert_eq!((&house["classes"]["storey"], &house["classes"]["space"]), (&2.into(), &7.into()), "{house:#}");
}

#[test]
fn the_ky4_network_lies_under_its_terrain() {
    let Some(data) = real_data() else { return };
    let (code, report, folder) =
        import(&[&data.join("gis/raster/ky4_elevation.tif"), &data.join("underground/pipes/ky4")], &[]);
    assert_eq!(code, 0, "{report:#}");
    let count = |ending: &str| {
        let all = report["sources"].as_array().unwrap();
        let one = all.iter().find(|s| s["path"].as_str().unwrap().ends_with(ending)).unwrap();
        one["objects"].as_u64().unwrap()
    };
    // GDAL's feature counts.
    assert_eq!(count("ky4_pipes.geojson"), 1156);
    assert_eq!(count("ky4_junctions.geojson"), 959);
    assert_eq!(count("ky4_pumps.geojson"), 2);
    assert_eq!(count("ky4_tanks.geojson"), 4);
    assert_eq!(count("ky4_reservoirs.geojson"), 1);
    let city = folder.path().join("real.city");
    let (_, info) = run_json(&["info", text(&city)]);
    let terrain = info["layers"].as_array().unwrap().iter().find(|l| l["name"] == "ky4_elevation").unwrap();
    let (low, high) = (terrain["extent"]["min"][2].as_f64().unwrap(), terrain["extent"]["max"][2].as_f64().unwrap());
    // gdalinfo: Minimum=117.438, Maximum=226.242; the grid is turned into the city's axes by interpolation.
    assert!((117.4..118.5).contains(&low) && (225.0..226.3).contains(&high), "{low} {high}");
    let (code, water) = run_json(&["query", text(&city), "where", "pipe_kind = 'water'", "--class", "pipe"]);
    assert_eq!(code, 0);
    assert_eq!(water["features"].as_array().unwrap().len(), 1156);
}

#[test]
fn berlin_is_read_as_it_is_and_its_swapped_axes_are_told() {
    let Some(data) = real_data() else { return };
    let source = data.join("gis/shp/berlin_osmbuildings/osmbuildings.shp");
    let (code, report, _folder) = import(&[&source], &[]);
    assert_eq!(code, 3, "{report:#}");
    let account = &report["sources"][0];
    // GDAL counts 1056 features; three of them have no area.
    assert_eq!((&account["objects"], &account["skipped"]), (&1053.into(), &3.into()));
    let warnings = account["warnings"].to_string();
    assert!(warnings.contains("axes_maybe_swapped") && warnings.contains("--map axes=yx"), "{warnings}");
    let (_, swapped, _folder) = import(&[&source], &["--map", "axes=yx"]);
    // UTM 33N, where Berlin lies.
    let at = plan(&swapped["sources"][0]["extent"]);
    assert!(at[0] > 360_000.0 && at[2] < 440_000.0 && at[1] > 5_750_000.0 && at[3] < 5_860_000.0, "{at:?}");
}

#[test]
fn beijing_is_built_with_its_heights() {
    let Some(data) = real_data() else { return };
    let (code, report, folder) = import(&[&data.join("gis/geojson/beijing_buildings_height.geojson")], &[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["objects"], 5442);
    let city = folder.path().join("real.city");
    let (_, info) = run_json(&["info", text(&city)]);
    assert_eq!(info["crs"], "EPSG:4548");
    let (_, tall) = run_json(&["query", text(&city), "where", "height_m > 70"]);
    assert!(!tall["features"].as_array().unwrap().is_empty());
}
