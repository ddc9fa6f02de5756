use std::io::Write;

use groundline_engine::model::{CityObject, Class, Geometry, Value, Vertical};

use super::FORMAT;
use crate::{Options, trial, trial::Trial};

const DOCUMENT: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2">
<Document><name>青岛</name>
<Schema name="s" id="s"><SimpleField type="int" name="storeys"/><SimpleField type="double" name="area"/></Schema>
<Folder><name>Sights &amp; more</name>
<Placemark id="tower"><name>Tower &#x5854;</name><description><![CDATA[<b>high</b>]]></description>
<LookAt><longitude>1</longitude><latitude>2</latitude><altitudeMode>absolute</altitudeMode></LookAt>
<Point><altitudeMode>relativeToGround</altitudeMode><coordinates>120.38,36.06,30</coordinates></Point></Placemark>
<Placemark id="path"><name>Path</name><ExtendedData><Data name="lit"><displayName>Lit</displayName><value>yes</value></Data></ExtendedData>
<LineString><coordinates>120.38,36.06 120.381,36.061
120.382,36.061</coordinates></LineString></Placemark>
</Folder>
<Placemark id="house"><name>House</name><ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="storeys">5</SimpleData><SimpleData name="area">12.5</SimpleData></SchemaData></ExtendedData>
<Polygon><extrude>1</extrude><altitudeMode>relativeToGround</altitudeMode><outerBoundaryIs><LinearRing><coordinates>120.38,36.06,17 120.381,36.06,17 120.381,36.061,17 120.38,36.061,17 120.38,36.06,17</coordinates></LinearRing></outerBoundaryIs><innerBoundaryIs><LinearRing><coordinates>120.3803,36.0603,17 120.3806,36.0603,17 120.3806,36.0606,17 120.3803,36.0603,17</coordinates></LinearRing></innerBoundaryIs></Polygon></Placemark>
<Placemark id="peak"><Point><altitudeMode>absolute</altitudeMode><coordinates>120.39,36.07,382.7</coordinates></Point></Placemark>
<Placemark id="both"><MultiGeometry><Point><coordinates>120.40,36.07</coordinates></Point><MultiGeometry><LineString><coordinates>120.40,36.07 120.41,36.07</coordinates></LineString></MultiGeometry></MultiGeometry></Placemark>
<Placemark id="track"><gx:Track><when>2026-01-01T00:00:00Z</when><when>2026-01-01T00:00:10Z</when><gx:coord>120.38 36.06 0</gx:coord><gx:coord>120.39 36.06 0</gx:coord></gx:Track></Placemark>
</Document></kml>
"##;

fn read_named(name: &str, bytes: &[u8], options: &Options) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Trial::of(&FORMAT, &path, options, 4549)
}

fn read(text: &str) -> Trial {
    read_named("map.kml", text.as_bytes(), &Options::default())
}

fn find<'t>(trial: &'t Trial, id: &str) -> &'t CityObject {
    trial.objects.iter().find(|o| o.id.as_str() == format!("t/{id}")).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn placemarks_become_objects_with_heights_as_their_mode_says() {
    let map = read(DOCUMENT);
    map.outcome.as_ref().unwrap();
    assert_eq!((map.objects.len(), map.report.skipped), (7, 0));
    let tower = find(&map, "tower");
    let Geometry::Point(point) = &tower.geometry else { panic!() };
    assert_eq!((point.at.z, point.vertical, tower.name.as_deref()), (30.0, Vertical::AboveTerrain, Some("Tower 塔")));
    assert_eq!(tower.value("description"), Some(&Value::Text("<b>high</b>".into())));
    assert_eq!(tower.value("folder"), Some(&Value::Text("青岛/Sights & more".into())));
    let Geometry::Point(point) = &find(&map, "peak").geometry else { panic!() };
    assert_eq!((point.at.z, point.vertical), (382.7, Vertical::Absolute));
    let path = find(&map, "path");
    let Geometry::Line(line) = &path.geometry else { panic!() };
    assert_eq!((line.paths[0].len(), line.vertical), (3, Vertical::AboveTerrain));
    assert_eq!(path.value("lit"), Some(&Value::Text("yes".into())));
    let Geometry::Line(track) = &find(&map, "track").geometry else { panic!() };
    assert_eq!(track.paths[0].len(), 2);
    assert!(matches!(find(&map, "both.2").geometry, Geometry::Point(_)));
}

#[test]
fn an_extruded_outline_is_a_building_of_that_height() {
    let map = read(DOCUMENT);
    let house = find(&map, "house");
    let Geometry::Block(block) = &house.geometry else { panic!("{house:?}") };
    assert_eq!((house.class, block.height_m, block.base_m, block.storeys), (Class::Building, 17.0, None, Some(5)));
    assert_eq!((block.footprint[0].holes.len(), house.value("area")), (1, Some(&Value::Real(12.5))));
    let options = Options { class: Some(Class::District), ..Options::default() };
    let map = read_named("map.kml", DOCUMENT.as_bytes(), &options);
    let Geometry::Area(area) = &find(&map, "house").geometry else { panic!() };
    assert_eq!((area.vertical, area.polygons[0].outer[0].z), (Vertical::AboveTerrain, 17.0));
}

#[test]
fn an_archive_holds_the_same() {
    let pack = |name: &str, text: &[u8]| {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, content) in [("files/icon.png", &b"png"[..]), ("layers/other.kml", b"<kml/>"), (name, text)] {
            archive.start_file(name, options).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap().into_inner()
    };
    let map = read_named("map.kmz", &pack("doc.kml", DOCUMENT.as_bytes()), &Options::default());
    map.outcome.as_ref().unwrap();
    assert_eq!(map.objects, read(DOCUMENT).objects);
    assert!(map.report.warnings.iter().any(|w| w.code == "further_documents"));
    let none = read_named("map.kmz", &pack("doc.txt", b""), &Options::default());
    assert!(none.outcome.is_ok() && none.objects.is_empty(), "the other document is empty");
    assert!(read_named("map.kmz", b"PK\x03\x04 no", &Options::default()).outcome.is_err());
}

#[test]
fn strange_documents_are_refused_or_skipped_by_name() {
    let refused = |text: &str| read(text).outcome.unwrap_err().to_string();
    let doctype = format!("<!DOCTYPE kml [<!ENTITY a \"b\">]>{}", &DOCUMENT[DOCUMENT.find("<kml").unwrap()..]);
    assert!(refused(&doctype).contains("DOCTYPE"), "{}", refused(&doctype));
    let deep = DOCUMENT.replace("<Folder>", &"<Folder>".repeat(200));
    assert!(refused(&deep).contains("deeper"));
    let cut = &DOCUMENT[..DOCUMENT.len() - 40];
    assert!(!refused(cut).is_empty());
    let gbk = DOCUMENT.replace("UTF-8", "GBK");
    assert!(refused(&gbk).contains("declared as GBK"));
    assert!(read("<gpx><wpt/></gpx>").probe.is_none());

    let odd = DOCUMENT.replace("120.39,36.07,382.7", "120.39;36.07").replace(
        "</Document>",
        "<NetworkLink><Link><href>http://example.com/a.kml</href></Link></NetworkLink><GroundOverlay/></Document>",
    );
    let odd = read(&odd);
    odd.outcome.unwrap();
    assert_eq!((odd.objects.len(), odd.report.skipped), (6, 1));
    assert!(odd.report.skips[0].reason.contains("120.39;36.07"), "{:?}", odd.report.skips);
    let codes: Vec<&str> = odd.report.warnings.iter().map(|w| w.code.as_str()).collect();
    assert!(codes.contains(&"network_link") && codes.contains(&"overlay"), "{codes:?}");
}

#[test]
fn heights_of_clamped_placemarks_are_left_out_with_a_word() {
    let map = read("<kml><Placemark><Point><coordinates>120.3,36.1,5</coordinates></Point></Placemark></kml>");
    let Geometry::Point(point) = &map.objects[0].geometry else { panic!() };
    assert_eq!((point.at.z, point.vertical), (0.0, Vertical::AboveTerrain));
    assert!(map.report.warnings.iter().any(|w| w.code == "clamped_height"));
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let whole: String = (0..12)
        .map(|i| {
            format!(
                "<Placemark id=\"p{i}\"><name>点{i}</name><Point><coordinates>120.{},36.1</coordinates></Point></Placemark>\n",
                100 + i
            )
        })
        .collect();
    let whole = format!("<?xml version=\"1.0\"?>\n<kml><Document>\n{whole}</Document></kml>\n");
    let found = trial::miscounts(&FORMAT, "points.kml", whole.as_bytes(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());

    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("doc.kml", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(whole.as_bytes()).unwrap();
    let packed = archive.finish().unwrap().into_inner();
    let found = trial::miscounts(&FORMAT, "points.kmz", &packed, &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}
