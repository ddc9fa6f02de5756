//! The files of the sample city, read back by libraries that had no part in writing them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use groundline_sample::{Made, Recipe, make};

fn made(recipe: &Recipe) -> (tempfile::TempDir, Made) {
    let dir = tempfile::tempdir().unwrap();
    let made = make(recipe, dir.path(), &mut |_| {}).unwrap();
    (dir, made)
}

fn gbk(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (text, _, is_bad) = encoding_rs::GBK.decode(&bytes);
    assert!(!is_bad, "{} is not GBK", path.display());
    text.into_owned()
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = gbk(path);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

fn number(row: &BTreeMap<String, String>, key: &str) -> f64 {
    row[key].parse().unwrap_or_else(|_| panic!("{key}: {:?}", row[key]))
}

fn networks(dir: &Path) -> Vec<(String, PathBuf, PathBuf)> {
    [("给水", "JS"), ("雨水", "YS"), ("污水", "WS"), ("燃气", "RQ"), ("电力", "DL"), ("工业", "GY")]
        .iter()
        .map(|(zh, letters)| {
            let base = dir.join("地下管线").join(zh);
            (letters.to_string(), base.join(format!("{letters}_管点.csv")), base.join(format!("{letters}_管线.csv")))
        })
        .filter(|(_, points, _)| points.exists())
        .collect()
}

#[test]
fn tiny_city_is_the_same_bytes_twice_and_holds_every_format() {
    let (a, first) = made(&Recipe::tiny());
    let (b, second) = made(&Recipe::tiny());
    assert_eq!(first, second);
    assert!((10..100).contains(&first.buildings), "{}", first.buildings);
    for (name, _) in &first.files {
        let same = std::fs::read(a.path().join(name)).unwrap() == std::fs::read(b.path().join(name)).unwrap();
        assert!(same, "{} differs", name.display());
    }
    let endings: BTreeSet<_> = first.files.iter().filter_map(|(n, _)| n.extension()?.to_str()).collect();
    for ending in ["shp", "shx", "dbf", "prj", "cpg", "tif", "jpg", "jgw", "csv", "xlsx", "ifc", "laz", "txt"] {
        assert!(endings.contains(ending), "no .{ending}");
    }
}

#[test]
fn whole_city_keeps_its_promises() {
    let recipe = Recipe::default_city();
    let (dir, made) = made(&recipe);
    let dir = dir.path();
    let promises = &recipe.promises;
    for (count, [low, high]) in
        [(made.buildings, promises.buildings), (made.pipes, promises.pipes), (made.sensors, promises.sensors)]
    {
        assert!((low..=high).contains(&count), "{count} not in {low}..={high}");
    }
    pipes_end_at_nodes_and_sewers_fall(dir);
    buildings_stand_on_dry_plots(dir);
    sensors_watch_what_exists(dir);
    scan_and_picture_open(dir, &made);
}

fn pipes_end_at_nodes_and_sewers_fall(dir: &Path) {
    let found = networks(dir);
    assert_eq!(found.len(), 6);
    for (letters, points, lines) in found {
        let nodes: BTreeMap<String, (f64, f64, f64)> = rows(&points)
            .iter()
            .map(|r| {
                let feature = r["特征"].is_empty();
                assert!(feature != r["附属物"].is_empty(), "{}: exactly one of 特征, 附属物", r["物探点号"]);
                (r["物探点号"].clone(), (number(r, "X"), number(r, "Y"), number(r, "地面高程")))
            })
            .collect();
        let mut linked = BTreeSet::new();
        for row in rows(&lines) {
            let (a, b) = (&row["起点点号"], &row["终点点号"]);
            let (Some(p), Some(q)) = (nodes.get(a), nodes.get(b)) else { panic!("{a}-{b} ends nowhere") };
            assert_ne!(a, b);
            linked.extend([a.clone(), b.clone()]);
            let length = ((p.0 - q.0).powi(2) + (p.1 - q.1).powi(2)).sqrt();
            assert!(length > 0.05, "{a}-{b} has no length");
            let depths = [number(&row, "起点埋深"), number(&row, "终点埋深")];
            assert!(depths.iter().all(|d| (0.0..16.0).contains(d)), "{a}-{b}: {depths:?}");
            if matches!(letters.as_str(), "YS" | "WS") {
                let fall = (p.2 - depths[0]) - (q.2 - depths[1]);
                assert!(fall > -1e-9, "{a}-{b} climbs {fall}");
            }
        }
        assert_eq!(linked.len(), nodes.len(), "{letters}: nodes without pipes");
    }
}

fn buildings_stand_on_dry_plots(dir: &Path) {
    let mut decoder =
        tiff::decoder::Decoder::new(std::fs::File::open(dir.join("基础测绘/DEM_5m.tif")).unwrap()).unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    let corner = decoder.get_tag_f64_vec(tiff::tags::Tag::ModelTiepointTag).unwrap();
    let tiff::decoder::DecodingResult::F32(ground) = decoder.read_image().unwrap() else { panic!("not f32") };
    let ground_at = |x: f64, y: f64| {
        let (i, j) = (((x - corner[3]) / 5.0) as u32, ((corner[4] - y) / 5.0) as u32);
        ground[(j.min(height - 1) * width + i.min(width - 1)) as usize]
    };
    let read = |name: &str| {
        let path = dir.join(format!("基础测绘/{name}.shp"));
        let shapes = shapefile::read_shapes(&path).unwrap();
        let table = std::fs::File::open(path.with_extension("dbf")).unwrap();
        let mut table = dbase::ReaderBuilder::new()
            .with_encoding(dbase::encoding::EncodingRs::from(encoding_rs::GBK))
            .build(table)
            .unwrap();
        let records = table.read().unwrap();
        assert_eq!(shapes.len(), records.len());
        shapes.into_iter().zip(records)
    };
    // every street as pieces of 4 m, hashed by cells, with its half width
    type Pieces = Vec<(f64, f64, f64)>;
    let mut cells: BTreeMap<(i64, i64), Pieces> = BTreeMap::new();
    let key = |x: f64, y: f64| ((x / 20.0).floor() as i64, (y / 20.0).floor() as i64);
    for (shape, record) in read("道路") {
        let shapefile::Shape::Polyline(line) = shape else { panic!("not a line") };
        let Some(dbase::FieldValue::Numeric(Some(width))) = record.get("宽度") else { panic!("no width") };
        for s in line.part(0).unwrap().windows(2) {
            let n = (((s[0].x - s[1].x).powi(2) + (s[0].y - s[1].y).powi(2)).sqrt() / 4.0).ceil().max(1.0) as i32;
            for k in 0..=n {
                let t = f64::from(k) / f64::from(n);
                let (x, y) = (s[0].x + (s[1].x - s[0].x) * t, s[0].y + (s[1].y - s[0].y) * t);
                assert!(ground_at(x, y) > 0.3, "street in the sea at {x} {y}");
                cells.entry(key(x, y)).or_default().push((x, y, width / 2.0));
            }
        }
    }
    for (shape, record) in read("建筑") {
        let shapefile::Shape::Polygon(polygon) = shape else { panic!("not a polygon") };
        for p in polygon.rings()[0].points() {
            assert!(ground_at(p.x, p.y) > 0.0, "building in the sea at {} {}", p.x, p.y);
            let (i, j) = key(p.x, p.y);
            for cell in (-1..=1).flat_map(|di| (-1..=1).map(move |dj| (i + di, j + dj))) {
                for (x, y, half) in cells.get(&cell).into_iter().flatten() {
                    let d = ((p.x - x).powi(2) + (p.y - y).powi(2)).sqrt();
                    assert!(d > half - 0.1, "{:?} stands on a street", record.get("名称"));
                }
            }
        }
    }
}

fn sensors_watch_what_exists(dir: &Path) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (_, points, _) in networks(dir) {
        known.extend(rows(&points).iter().map(|r| r["物探点号"].clone()));
    }
    let registry = rows(&dir.join("物联网/传感器.csv"));
    let mut limits: BTreeMap<String, Option<f64>> = BTreeMap::new();
    for row in &registry {
        let watched = &row["监测对象"];
        let is_node = watched.is_ascii() && !watched.is_empty();
        assert!(!is_node || known.contains(watched), "{} watches {watched}", row["编号"]);
        limits.insert(row["编号"].clone(), row["报警上限"].parse().ok());
    }
    let readings = rows(&dir.join("物联网/读数.csv"));
    assert!(readings.len() > 10_000);
    let first: Vec<_> = readings.iter().filter(|r| r["时间"].as_str() < "2026-07-18T14:00:20+08:00").collect();
    let raised = first.iter().filter(|r| limits[&r["编号"]].is_some_and(|limit| number(r, "数值") > limit)).count();
    assert!(raised >= 2, "{raised} readings over their limit in the first 20 s");
    let last = |id: &str| readings.iter().rev().find(|r| r["编号"] == id).map(|r| r["时间"].clone());
    let silent = registry.iter().filter(|s| last(&s["编号"]).is_some_and(|t| t.as_str() < "2026-07-18T14:05")).count();
    assert_eq!(silent, 1);
}

fn scan_and_picture_open(dir: &Path, made: &Made) {
    let mut reader = las::Reader::from_path(dir.join("点云/街区扫描.laz")).unwrap();
    assert_eq!(reader.header().number_of_points(), made.points);
    assert!(reader.header().get_wkt_crs_bytes().is_some_and(|wkt| wkt.windows(4).any(|w| w == b"4549")));
    assert_eq!(reader.read_all().unwrap().len() as u64, made.points);
    let size = image::ImageReader::open(dir.join("基础测绘/DOM_2026.jpg")).unwrap().into_dimensions().unwrap();
    assert_eq!(size, (3000, 3000));
    let ifc = std::fs::read_to_string(dir.join("BIM/海湾中心.ifc")).unwrap();
    assert!(ifc.is_ascii() && ifc.contains("IFCMAPCONVERSION") && ifc.contains("'EPSG:4549'"));
}
