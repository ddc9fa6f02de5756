//! Galleries, metro lines and tunnels out of lines with fields.

use groundline_engine::model::{CityObject, Class, Geometry, Origin, Section, Tube, Value, Vertical};

use crate::{Options, geojson, inp::real_files, shapefile, trial::Trial};

fn read(stem: &str, properties: &str, class: Option<Class>) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{stem}.geojson"));
    let text = format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{{properties}}},
        "geometry":{{"type":"LineString","coordinates":[[120.1,36.1],[120.11,36.1]]}}}}]}}"#
    );
    std::fs::write(&path, text).unwrap();
    Trial::of(&geojson::FORMAT, &path, &Options { class, ..Options::default() }, 4549)
}

fn tube(object: &CityObject) -> &Tube {
    match &object.geometry {
        Geometry::Tube(tube) => tube,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gallery_has_its_section_and_its_depth_to_the_top() {
    let trial = read("综合管廊", r#""名称":"环路","width":3.4,"height":3.0,"埋深":2.0"#, None);
    let gallery = &trial.objects[0];
    assert_eq!(gallery.class, Class::Gallery);
    assert_eq!(tube(gallery).section, Section::Rect { width_m: 3.4, height_m: 3.0 });
    assert_eq!((tube(gallery).vertical, tube(gallery).axis[0].z), (Vertical::AboveTerrain, -3.5));
    assert_eq!(gallery.value("pipe_kind"), None, "nothing flows in it");
    let unknown = read("综合管廊", r#""width":3.4"#, None);
    assert_eq!(tube(&unknown.objects[0]).section, Section::Rect { width_m: 3.4, height_m: 3.0 });
    let height = unknown.objects[0].attributes.iter().find(|a| &*a.key == "height_m").unwrap();
    assert!(matches!(height.origin, Origin::Defaulted(_)));
    assert_eq!(tube(&unknown.objects[0]).axis[0].z, -2.5 - 1.5);
}

#[test]
fn a_tunnel_of_eleven_metres_is_not_eleven_millimetres() {
    for (properties, section, top) in [
        (r#""diameter":11.36"#, Section::Circle { diameter_m: 11.36 }, 11.36),
        (r#""diameter":6200"#, Section::Circle { diameter_m: 6.2 }, 6.2),
        (r#""断面尺寸":"12x6""#, Section::Rect { width_m: 12.0, height_m: 6.0 }, 6.0),
        (r#""width":10"#, Section::Rect { width_m: 10.0, height_m: 5.0 }, 5.0),
    ] {
        let trial = read("line", properties, Some(Class::Tunnel));
        assert_eq!(tube(&trial.objects[0]).section, section, "{properties}");
        // Depth unknown: as much ground above it as it is high.
        let z = -top - section.height_m() / 2.0;
        assert!((tube(&trial.objects[0]).axis[0].z - z).abs() < 1e-9, "{properties}");
        assert!(trial.report.warnings.iter().any(|w| w.code == "depth_defaulted"));
    }
}

#[test]
fn roads_and_railways_with_a_tunnel_field_run_in_one() {
    let class = |properties: &str| read("ways", properties, None).objects[0].class;
    assert_eq!(class(r#""railway":"subway","tunnel":"yes""#), Class::Tunnel);
    assert_eq!(class(r#""highway":"primary","tunnel":"T""#), Class::Tunnel);
    assert_eq!(class(r#""railway":"tram","tunnel":"building_passage""#), Class::Railway);
    assert_eq!(class(r#""railway":"tram""#), Class::Railway);
    assert_eq!(class(r#""highway":"primary","tunnel":"F""#), Class::Road);
    assert_eq!(
        read("ways", r#""railway":"subway","tunnel":"yes""#, Some(Class::Railway)).objects[0].class,
        Class::Railway
    );
}

#[test]
fn shanghai_s_metro_line_is_a_tunnel() {
    let Some(folder) = real_files() else { return };
    let path = folder.join("underground/metro/shanghai_metroline2/metroline2.shp");
    let options = Options { crs: Some(groundline_engine::crs::Crs::from_epsg(4326).unwrap()), ..Options::default() };
    let trial = Trial::of(&shapefile::FORMAT, &path, &options, 32651);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert!(trial.probe.as_ref().unwrap().crs.is_none(), "no .prj");
    // ogrinfo: 2 features, extent 121.296604 31.151622 121.802403 31.241085.
    assert_eq!((trial.objects.len(), trial.report.skipped), (2, 0));
    let e = trial.probe.as_ref().unwrap().source_extent.unwrap();
    let wanted = [121.296604, 31.151622, 121.802403, 31.241085];
    assert!(e.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{e:?}");
    for line in &trial.objects {
        assert_eq!(line.class, Class::Tunnel);
        assert_eq!(tube(line).section, Section::Circle { diameter_m: 6.2 });
        assert!(line.value("linename").and_then(Value::as_str).is_some_and(|name| name.contains("地铁2号线")));
        let length: f64 = tube(line).axis.windows(2).map(|w| w[0].distance(w[1])).sum();
        assert!((50_000.0..80_000.0).contains(&length), "{length} m");
    }
}
