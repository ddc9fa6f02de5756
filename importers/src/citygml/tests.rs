use groundline_engine::model::{CityObject, Class, Domain, Geometry, Mesh, Value};

use super::FORMAT;
use crate::{Options, trial};

const HEAD: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<core:CityModel xmlns:core="http://www.opengis.net/citygml/2.0" xmlns:bldg="http://www.opengis.net/citygml/building/2.0"
 xmlns:tran="http://www.opengis.net/citygml/transportation/2.0" xmlns:veg="http://www.opengis.net/citygml/vegetation/2.0"
 xmlns:gen="http://www.opengis.net/citygml/generics/2.0" xmlns:app="http://www.opengis.net/citygml/appearance/2.0"
 xmlns:dem="http://www.opengis.net/citygml/relief/2.0" xmlns:frn="http://www.opengis.net/citygml/cityfurniture/2.0"
 xmlns:uro="https://www.geospatial.jp/iur/uro/3.1" xmlns:gml="http://www.opengis.net/gml" xmlns:xlink="http://www.w3.org/1999/xlink">
"##;

fn envelope(srs: &str) -> String {
    format!(
        "<gml:boundedBy><gml:Envelope srsName=\"{srs}\" srsDimension=\"3\"><gml:lowerCorner>36 120 0</gml:lowerCorner><gml:upperCorner>36.1 120.1 9</gml:upperCorner></gml:Envelope></gml:boundedBy>"
    )
}

fn polygon(id: &str, corners: &[[f64; 3]]) -> String {
    let list: Vec<String> = corners.iter().chain(&corners[..1]).map(|[x, y, z]| format!("{x} {y} {z}")).collect();
    let id = if id.is_empty() { String::new() } else { format!(" gml:id=\"{id}\"") };
    format!(
        "<gml:Polygon{id}><gml:exterior><gml:LinearRing><gml:posList>{}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>",
        list.join(" ")
    )
}

fn surface(polygon: &str) -> String {
    format!("<gml:MultiSurface><gml:surfaceMember>{polygon}</gml:surfaceMember></gml:MultiSurface>")
}

const E: f64 = 534_000.0;
const N: f64 = 3_993_000.0;

/// The faces of a tetrahedron.
fn faces() -> [[[f64; 3]; 3]; 4] {
    let [a, b, c, d] = [[E, N, 0.0], [E + 9.0, N, 0.0], [E, N + 9.0, 0.0], [E, N, 6.0]];
    [[a, c, b], [a, b, d], [b, c, d], [c, a, d]]
}

fn building(id: &str) -> String {
    let [ground, south, roof, west] = faces();
    let kinds = [("Ground", ground), ("Wall", south), ("Roof", roof), ("Wall", west)];
    let bounded: String = kinds
        .iter()
        .enumerate()
        .map(|(i, (kind, face))| {
            let shape = surface(&polygon(&format!("{id}_p{i}"), face));
            format!("<bldg:boundedBy><bldg:{kind}Surface><bldg:lod2MultiSurface>{shape}</bldg:lod2MultiSurface></bldg:{kind}Surface></bldg:boundedBy>")
        })
        .collect();
    let members: String = (0..4).map(|i| format!("<gml:surfaceMember xlink:href=\"#{id}_p{i}\"/>")).collect();
    format!(
        "<core:cityObjectMember><bldg:Building gml:id=\"{id}\"><gml:name>楼 &amp; {id}</gml:name>\
         <gen:intAttribute name=\"year\"><gen:value>1999</gen:value></gen:intAttribute>\
         <gen:genericAttributeSet name=\"set\"><gen:doubleAttribute name=\"a\"><gen:value>1.5</gen:value></gen:doubleAttribute></gen:genericAttributeSet>\
         <bldg:function>1000</bldg:function><bldg:measuredHeight uom=\"m\">6.0</bldg:measuredHeight>\
         <bldg:lod1Solid><gml:Solid><gml:exterior><gml:CompositeSurface><gml:surfaceMember>{}</gml:surfaceMember></gml:CompositeSurface></gml:exterior></gml:Solid></bldg:lod1Solid>\
         <bldg:lod2Solid><gml:Solid><gml:exterior><gml:CompositeSurface>{members}</gml:CompositeSurface></gml:exterior></gml:Solid></bldg:lod2Solid>\
         {bounded}\
         <bldg:outerBuildingInstallation><bldg:BuildingInstallation gml:id=\"{id}_i\"><bldg:lod2Geometry>{}</bldg:lod2Geometry></bldg:BuildingInstallation></bldg:outerBuildingInstallation>\
         <uro:buildingDetail><uro:BuildingDetail><uro:area uom=\"m2\">40.5</uro:area><uro:use codeSpace=\"x.xml\">401</uro:use></uro:BuildingDetail></uro:buildingDetail>\
         </bldg:Building></core:cityObjectMember>\n",
        polygon("", &ground),
        surface(&polygon("", &south)),
    )
}

fn model(members: &str) -> String {
    format!("{HEAD}{}{members}</core:CityModel>", envelope("urn:ogc:def:crs:EPSG::4549"))
}

fn read(name: &str, bytes: &[u8]) -> trial::Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    trial::Trial::of(&FORMAT, &path, &Options::default(), 4549)
}

fn object<'t>(trial: &'t trial::Trial, id: &str) -> &'t CityObject {
    let found = trial.objects.iter().find(|o| o.id.as_str() == format!("t/{id}"));
    found.unwrap_or_else(|| panic!("{id} is not among {:?}", trial.objects.iter().map(|o| &o.id).collect::<Vec<_>>()))
}

fn mesh(object: &CityObject) -> &Mesh {
    match &object.geometry {
        Geometry::Mesh(mesh) => mesh,
        other => panic!("{other:?}"),
    }
}

fn triangles(object: &CityObject) -> usize {
    mesh(object).parts.iter().map(|p| p.indices.len() / 3).sum()
}

fn value(object: &CityObject, key: &str) -> Option<Value> {
    object.value(key).cloned()
}

fn warnings(trial: &trial::Trial) -> Vec<&str> {
    trial.report.warnings.iter().map(|w| w.code.as_str()).collect()
}

#[test]
fn a_building_has_each_surface_once_with_its_colour_and_attributes_with_their_types() {
    let appearance = "<app:appearanceMember><app:Appearance><app:surfaceDataMember><app:X3DMaterial><app:diffuseColor>1 0 0</app:diffuseColor><app:target>#b1_p2</app:target></app:X3DMaterial></app:surfaceDataMember></app:Appearance></app:appearanceMember>";
    let trial = read("a.gml", model(&(building("b1") + appearance)).as_bytes());
    assert!(trial.outcome.is_ok() && trial.report.skipped == 0, "{:?} {:?}", trial.outcome, trial.report);
    assert_eq!(trial.probe.as_ref().unwrap().crs.as_ref().unwrap().epsg, Some(4549));
    assert_eq!(trial.objects.len(), 2);
    let b1 = object(&trial, "b1");
    assert_eq!((b1.class, b1.name.as_deref()), (Class::Building, Some("楼 & b1")));
    assert_eq!(triangles(b1), 4, "each face once, though the solid refers to it as well");
    assert_eq!(mesh(b1).parts.len(), 3, "ground, walls and the roof in its material");
    assert!(mesh(b1).parts.iter().any(|p| p.rgba == [255, 0, 0, 255]));
    assert_eq!(b1.geometry.extent().max.to_array(), [E + 9.0, N + 9.0, 6.0]);
    for (key, wanted) in [
        ("year", Value::Int(1999)),
        ("set.a", Value::Real(1.5)),
        ("function", Value::Text("1000".into())),
        ("height_m", Value::Real(6.0)),
        ("measuredHeight", Value::Real(6.0)),
        ("BuildingDetail.area (m2)", Value::Real(40.5)),
        ("BuildingDetail.use", Value::Text("401".into())),
        ("lod", Value::Text("2".into())),
        ("lods_not_taken", Value::Text("1".into())),
        ("citygml_type", Value::Text("Building".into())),
    ] {
        assert_eq!(value(b1, key), Some(wanted), "{key}");
    }
    let part = object(&trial, "b1_i");
    assert_eq!(part.class, Class::BuildingElement);
    assert_eq!(part.parent.as_ref().unwrap().as_str(), "t/b1");
}

#[test]
fn latitude_stands_first_in_geographic_systems() {
    let ring = polygon("", &[[36.0, 120.0, 1.0], [36.0, 120.001, 1.0], [36.001, 120.0, 1.0]]);
    let member = format!(
        "<core:cityObjectMember><tran:Road gml:id=\"r\"><tran:lod1MultiSurface>{}</tran:lod1MultiSurface></tran:Road></core:cityObjectMember>",
        surface(&ring)
    );
    let text = format!("{HEAD}{}{member}</core:CityModel>", envelope("http://www.opengis.net/def/crs/EPSG/0/4490"));
    let trial = read("a.gml", text.as_bytes());
    let extent = object(&trial, "r").geometry.extent();
    assert!((extent.min.x - 500_000.0).abs() < 1.0 && (extent.size().y - 111.0).abs() < 1.0, "{extent:?}");
    let named = text.replace("http://www.opengis.net/def/crs/EPSG/0/4490", "urn:ogc:def:crs:OGC:1.3:CRS84");
    let named = named
        .replace("36 120 1", "10 50 1")
        .replace("36 120.001 1", "10.001 50 1")
        .replace("36.001 120 1", "10 50.001 1");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.gml"), named).unwrap();
    let near = trial::Trial::of(&FORMAT, &folder.path().join("a.gml"), &Options::default(), 32632);
    assert!((object(&near, "r").geometry.extent().min.y - 5_538_630.0).abs() < 10_000.0, "CRS84 has longitude first");
    // Written the other way round, it is noticed.
    let swapped =
        text.replace("36 120 0", "120 36 0").replace("36 120 1", "120 36 1").replace("36 120.001 1", "120.001 36 1");
    let swapped = swapped.replace("36.001 120 1", "120 36.001 1");
    let trial = read("a.gml", swapped.as_bytes());
    assert_eq!(object(&trial, "r").geometry.extent(), extent);
    assert!(warnings(&trial).contains(&"axes_longitude_first"));
}

#[test]
fn lines_pipes_trees_and_relief_become_what_they_are() {
    let line = format!(
        "<gml:MultiCurve><gml:curveMember><gml:LineString><gml:posList>{E} {N} -2 {} {N} -3</gml:posList></gml:LineString></gml:curveMember></gml:MultiCurve>",
        E + 50.0
    );
    let tree = |id: &str, relative: &str, x: f64| {
        format!(
            "<core:cityObjectMember><veg:SolitaryVegetationObject gml:id=\"{id}\"><veg:lod2ImplicitRepresentation><core:ImplicitGeometry><core:transformationMatrix>1 0 0 0 0 1 0 0 0 0 2 0 0 0 0 1</core:transformationMatrix>{relative}<core:referencePoint><gml:Point><gml:pos>{x} {N} 5</gml:pos></gml:Point></core:referencePoint></core:ImplicitGeometry></veg:lod2ImplicitRepresentation></veg:SolitaryVegetationObject></core:cityObjectMember>"
        )
    };
    let crown = surface(&polygon("", &[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]]));
    let crown = crown.replace("<gml:MultiSurface>", "<gml:MultiSurface gml:id=\"crown\">");
    let members = [
        format!(
            "<core:cityObjectMember><uro:WaterPipe gml:id=\"w\"><uro:outerDiamiter uom=\"mm\">300</uro:outerDiamiter><frn:lod1Geometry>{line}</frn:lod1Geometry></uro:WaterPipe></core:cityObjectMember>"
        ),
        tree("t1", &format!("<core:relativeGMLGeometry>{crown}</core:relativeGMLGeometry>"), E),
        tree("t2", "<core:relativeGMLGeometry xlink:href=\"#crown\"/>", E + 10.0),
        tree("t3", "<core:libraryObject>tree.wrl</core:libraryObject>", E + 20.0),
        format!(
            "<core:cityObjectMember><dem:ReliefFeature gml:id=\"f\"><dem:lod>1</dem:lod><dem:reliefComponent><dem:TINRelief gml:id=\"tin\"><dem:lod>1</dem:lod><dem:tin><gml:TriangulatedSurface><gml:trianglePatches><gml:Triangle><gml:exterior><gml:LinearRing><gml:posList>{E} {N} 1 {} {N} 1 {E} {} 2 {E} {N} 1</gml:posList></gml:LinearRing></gml:exterior></gml:Triangle></gml:trianglePatches></gml:TriangulatedSurface></dem:tin></dem:TINRelief></dem:reliefComponent></dem:ReliefFeature></core:cityObjectMember>",
            E + 5.0,
            N + 5.0
        ),
    ];
    let trial = read("a.gml", model(&members.concat()).as_bytes());
    assert!(trial.outcome.is_ok() && trial.report.skipped == 0, "{:?} {:?}", trial.outcome, trial.report);
    let pipe = object(&trial, "w");
    assert!(matches!(&pipe.geometry, Geometry::Tube(tube) if tube.section.size_m() == 0.3 && tube.axis[0].z == -2.0));
    assert_eq!((pipe.class, pipe.domain), (Class::Pipe, Domain::Below));
    assert_eq!(value(pipe, "pipe_kind"), Some(Value::Text("water".into())));
    assert_eq!(object(&trial, "t1").geometry.extent().max.to_array(), [E + 2.0, N, 11.0]);
    assert_eq!(object(&trial, "t2").geometry.extent().max.to_array(), [E + 12.0, N, 11.0]);
    assert!(matches!(object(&trial, "t3").geometry, Geometry::Instance(_)));
    assert_eq!(warnings(&trial), ["prototype_not_read"]);
    let tin = object(&trial, "tin");
    assert_eq!((tin.class, triangles(tin), value(tin, "lod")), (Class::Terrain, 1, Some(Value::Text("1".into()))));
    assert_eq!(tin.parent.as_ref().unwrap().as_str(), "t/f");
}

#[test]
fn bad_members_are_named_and_the_others_kept() {
    let text = model(&(0..4).map(|i| building(&format!("b{i}"))).collect::<String>());
    let broken = text.replacen(&format!("{} {N} 0", E + 9.0), "x y z", 1).replacen("#b2_p0", "#elsewhere", 1);
    let trial = read("a.gml", broken.as_bytes());
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!(trial.objects.len(), 8);
    assert!(trial.report.skips[0].reason.contains("x is no number"), "{:?}", trial.report.skips);
    assert!(warnings(&trial).contains(&"reference_outside"));
    let cut = &text.as_bytes()[..text.len() * 3 / 4];
    let trial = read("a.gml", cut);
    assert!(trial.outcome.unwrap_err().to_string().contains("after"));
    assert!(trial.objects.len() >= 4, "what was whole is kept");
}

#[test]
fn other_xml_is_not_taken_and_document_types_are_refused() {
    for text in ["", "x", "<a/>", "<CityModel/>", "<kml xmlns=\"http://www.opengis.net/kml/2.2\"></kml>", "<a><b></a>"]
    {
        let trial = read("a.xml", text.as_bytes());
        assert!(trial.probe.is_none() && trial.outcome.is_ok(), "{text}");
    }
    let text = model(&building("b")).replace("<core:CityModel", "<!DOCTYPE x [<!ENTITY a \"b\">]>\n<core:CityModel");
    assert!(read("a.gml", text.as_bytes()).outcome.unwrap_err().to_string().contains("DOCTYPE"));
}

#[test]
fn other_encodings_are_decoded() {
    let text = model(&building("b")).replace("UTF-8", "GBK");
    let (bytes, ..) = encoding_rs::GBK.encode(&text);
    let trial = read("a.gml", &bytes);
    assert_eq!(object(&trial, "b").name.as_deref(), Some("楼 & b"), "{:?}", trial.outcome);
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let text = model(&(0..6).map(|i| building(&format!("b{i}"))).collect::<String>());
    assert_eq!(
        warnings(&read("a.gml", text.as_bytes())),
        Vec::<&str>::new(),
        "else no damage would count as unnoticed"
    );
    let found = trial::miscounts(&FORMAT, "a.gml", text.as_bytes(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}

/// A wall of 4 by 2 m with a window, both rings with names, painted by `halves`.
fn textured(uri: &str, version: u32) -> String {
    let ring = |id: &str, corners: &[[f64; 3]]| {
        let list: Vec<String> = corners.iter().chain(&corners[..1]).map(|[x, y, z]| format!("{x} {y} {z}")).collect();
        format!("<gml:LinearRing gml:id=\"{id}\"><gml:posList>{}</gml:posList></gml:LinearRing>", list.join(" "))
    };
    let outer = [[E, N, 0.0], [E + 4.0, N, 0.0], [E + 4.0, N, 2.0], [E, N, 2.0]];
    let inner = [[E + 1.0, N, 0.5], [E + 1.0, N, 1.5], [E + 2.0, N, 1.5], [E + 2.0, N, 0.5]];
    let coordinates = ["0 0 1 0 1 1 0 1 0 0", "0.25 0.25 0.25 0.75 0.5 0.75 0.5 0.25 0.25 0.25"];
    let list = match version {
        2 => format!(
            "<app:target uri=\"#wall\"><app:TexCoordList><app:textureCoordinates ring=\"#outer\">{}</app:textureCoordinates>\
             <app:textureCoordinates ring=\"#inner\">{}</app:textureCoordinates></app:TexCoordList></app:target>",
            coordinates[0], coordinates[1]
        ),
        _ => format!(
            "<app:textureParameterization><app:TextureAssociation><app:target>#wall</app:target><app:textureParameterization>\
             <app:TexCoordList><app:textureCoordinates>{}</app:textureCoordinates><app:textureCoordinates>{}</app:textureCoordinates>\
             <app:ring>#outer</app:ring><app:ring>#inner</app:ring></app:TexCoordList></app:textureParameterization>\
             </app:TextureAssociation></app:textureParameterization>",
            coordinates[0], coordinates[1]
        ),
    };
    let wall = format!(
        "<gml:Polygon gml:id=\"wall\"><gml:exterior>{}</gml:exterior><gml:interior>{}</gml:interior></gml:Polygon>",
        ring("outer", &outer),
        ring("inner", &inner)
    );
    format!(
        "{HEAD}{}<core:cityObjectMember><bldg:Building gml:id=\"b\"><bldg:boundedBy><bldg:WallSurface><bldg:lod2MultiSurface>{}\
         </bldg:lod2MultiSurface></bldg:WallSurface></bldg:boundedBy></bldg:Building></core:cityObjectMember>\
         <app:appearanceMember><app:Appearance><app:theme>rgb</app:theme><app:surfaceDataMember><app:ParameterizedTexture>\
         <app:imageURI>{uri}</app:imageURI>{list}</app:ParameterizedTexture></app:surfaceDataMember></app:Appearance></app:appearanceMember></core:CityModel>",
        envelope("EPSG:4549").replace("36 120 0", &format!("{E} {N} 0")).replace("36.1 120.1 9", &format!("{E} {N} 9")),
        surface(&wall)
    )
}

#[test]
fn pictures_are_on_the_surfaces_that_the_appearance_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("appearance")).unwrap();
    std::fs::write(folder.path().join("appearance/wall.png"), crate::texture::tests::halves()).unwrap();
    let path = folder.path().join("model.gml");
    let read = |text: String| {
        std::fs::write(&path, text).unwrap();
        trial::Trial::of(&FORMAT, &path, &Options::default(), 4549)
    };
    for version in [2, 3] {
        let trial = read(textured("appearance\\wall.png", version));
        let Geometry::Mesh(mesh) = &trial.objects[0].geometry else { panic!("{:?}", trial.objects) };
        let part = &mesh.parts[0];
        assert_eq!((mesh.parts.len(), part.positions.len(), part.uvs.len()), (1, 8, 8));
        assert_eq!(part.texture.as_ref().unwrap().file(), crate::texture::tests::halves());
        for (at, uv) in part.positions.iter().zip(&part.uvs) {
            let at = *at + mesh.origin;
            // From the left and from the top, where the standard counts from the bottom.
            let wanted = [((at.x - E) / 4.0) as f32, (1.0 - at.z / 2.0) as f32];
            assert!(uv.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{at} {uv:?}");
        }
        assert_eq!(trial.report.warnings, []);
    }
    for (uri, code) in [("../wall.png", "texture_missing"), ("appearance/none.png", "texture_missing")] {
        let trial = read(textured(uri, 2));
        let Geometry::Mesh(mesh) = &trial.objects[0].geometry else { panic!() };
        assert!(mesh.parts[0].texture.is_none() && mesh.parts[0].uvs.is_empty());
        assert_eq!(trial.report.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), [code], "{uri}");
    }
    let short = textured("appearance/wall.png", 2).replace("0 0 1 0 1 1 0 1 0 0", "0 0 1 0 1 1");
    let trial = read(short);
    let Geometry::Mesh(mesh) = &trial.objects[0].geometry else { panic!() };
    assert!(mesh.parts[0].texture.is_none());
    assert_eq!(trial.report.warnings[0].code, "texture_coordinates");
}

#[test]
fn members_made_side_by_side_come_in_the_order_of_the_file_up_to_the_first_fault() {
    const COUNT: usize = 2_600;
    let mut members: Vec<String> = (0..COUNT).map(|number| building(&format!("b{number}"))).collect();
    members[1_700] = building("b3");
    let text = model(&members.concat());
    assert!(text.len() > 8 << 20, "several blocks");
    let trial = read("a.gml", text.as_bytes());
    assert!(trial.outcome.is_ok() && trial.report.skipped == 0, "{:?}", trial.outcome);
    assert_eq!(trial.objects.len(), 2 * COUNT);
    for (number, pair) in trial.objects.chunks(2).enumerate() {
        let key = if number == 1_700 { "b3~1701".to_owned() } else { format!("b{number}") };
        assert_eq!((pair[0].id.as_str(), pair[0].record), (&*format!("t/{key}"), number as u64 + 1));
    }
    assert_eq!(warnings(&trial), ["duplicate_id"]);

    let at = text.find("<gml:name>楼 &amp; b2000").unwrap();
    let broken = text.replacen("<gml:name>楼 &amp; b2000</gml:name>", "<gml:name>楼 &amp; b2000</gml:nome>", 1);
    let trial = read("a.gml", broken.as_bytes());
    assert_eq!(trial.objects.len(), 2 * 2_000, "what is whole before the fault");
    let error = trial.outcome.unwrap_err().to_string();
    let place = at + "<gml:name>楼 &amp; b2000</gml:nome>".len();
    assert!(error.contains(&format!("byte {place}, after 2001 members")), "{error}, not {place}");
}

/// The ground of `b`, 4 by 2 m, with the picture that `look` places.
fn ground(look: &str) -> String {
    let corners = [[E, N, 0.0], [E + 4.0, N, 0.0], [E + 4.0, N + 2.0, 0.0], [E, N + 2.0, 0.1]];
    format!(
        "{HEAD}{}<core:cityObjectMember><bldg:Building gml:id=\"b\"><bldg:lod2MultiSurface>{}</bldg:lod2MultiSurface></bldg:Building></core:cityObjectMember>\
         <app:appearanceMember><app:Appearance><app:surfaceDataMember>{look}</app:surfaceDataMember></app:Appearance></app:appearanceMember></core:CityModel>",
        envelope("EPSG:4549"),
        surface(&polygon("ground", &corners))
    )
}

#[test]
fn pictures_are_placed_by_the_ground_and_by_formulas() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        std::fs::write(folder.path().join(name), crate::texture::tests::halves()).unwrap();
    }
    // 64 by 64 pixels on 4 by 2 m: the middle of the first is half a pixel from the corner.
    let (east, north) = (E + 0.03125, N + 2.0 - 0.015625);
    std::fs::write(folder.path().join("b.pgw"), format!("0.0625\n0\n0\n-0.03125\n{east}\n{north}\n")).unwrap();
    let path = folder.path().join("model.gml");
    let read = |look: &str| {
        std::fs::write(&path, ground(look)).unwrap();
        trial::Trial::of(&FORMAT, &path, &Options::default(), 4549)
    };
    let on_ground = |name: &str, place: &str| {
        format!(
            "<app:GeoreferencedTexture><app:imageURI>{name}</app:imageURI>{place}<app:target>#ground</app:target></app:GeoreferencedTexture>"
        )
    };
    let point = |x: f64| {
        format!(
            "<app:referencePoint><gml:Point><gml:pos>{x} {north}</gml:pos></gml:Point></app:referencePoint><app:orientation>0.0625 0 0 -0.03125</app:orientation>"
        )
    };
    let formula = format!("0.25 0 0 {} 0 0.5 0 {} 0 0 0 1", -E / 4.0, -N / 2.0);
    let by_formula = [
        format!(
            "<app:target uri=\"#ground\"><app:TexCoordGen><app:worldToTexture>{formula}</app:worldToTexture></app:TexCoordGen></app:target>"
        ),
        format!(
            "<app:textureParameterization><app:TextureAssociation><app:target>#ground</app:target><app:textureParameterization><app:TexCoordGen><app:worldToTexture>{formula}</app:worldToTexture></app:TexCoordGen></app:textureParameterization></app:TextureAssociation></app:textureParameterization>"
        ),
    ];
    let by_formula = by_formula.map(|target| {
        format!("<app:ParameterizedTexture><app:imageURI>a.png</app:imageURI>{target}</app:ParameterizedTexture>")
    });
    for look in [on_ground("a.png", &point(east)), on_ground("b.png", "")].iter().chain(&by_formula) {
        let trial = read(look);
        assert_eq!(trial.report.warnings, [], "{look}");
        let part = &mesh(object(&trial, "b")).parts[0];
        assert_eq!((part.positions.len(), part.uvs.len()), (4, 4), "{look}");
        for (at, uv) in part.positions.iter().zip(&part.uvs) {
            let at = *at + mesh(object(&trial, "b")).origin;
            let wanted = [((at.x - E) / 4.0) as f32, (1.0 - (at.y - N) / 2.0) as f32];
            assert!(uv.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{look}: {at} {uv:?}");
        }
    }
    for (look, code) in [
        (on_ground("c.png", ""), "texture_not_placed"),
        (on_ground("a.png", &point(east + 1.0)), "texture_outside"),
        (on_ground("a.png", &point(east).replace("0.0625 0 0", "0 0 0")), "texture_not_placed"),
        (by_formula[0].replace("0 0 0 1<", "0 0 0<"), "texture_not_placed"),
    ] {
        let trial = read(&look);
        assert_eq!(warnings(&trial), [code], "{look}");
        assert!(mesh(object(&trial, "b")).parts[0].texture.is_none());
    }
}

/// A shape in its own coordinates: a board of two metres by one.
const SIGN: &str = "<core:relativeGMLGeometry><gml:MultiSurface gml:id=\"sign\"><gml:surfaceMember><gml:Polygon><gml:exterior>\
<gml:LinearRing gml:id=\"edge\"><gml:posList>0 0 0 2 0 0 2 0 1 0 0 1 0 0 0</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>\
</gml:surfaceMember></gml:MultiSurface></core:relativeGMLGeometry>";

/// City furniture of such a shape, or of one that is named.
fn sign_member(id: &str, relative: &str, x: f64) -> String {
    format!(
        "<core:cityObjectMember><frn:CityFurniture gml:id=\"{id}\"><frn:lod2ImplicitRepresentation><core:ImplicitGeometry>{relative}<core:referencePoint><gml:Point><gml:pos>{x} {N} 5</gml:pos></gml:Point></core:referencePoint></core:ImplicitGeometry></frn:lod2ImplicitRepresentation></frn:CityFurniture></core:cityObjectMember>"
    )
}

/// A picture on the board with that edge.
fn sign_look(picture: &str, edge: &str) -> String {
    format!(
        "<app:appearanceMember><app:Appearance><app:surfaceDataMember><app:ParameterizedTexture><app:imageURI>{picture}</app:imageURI><app:target uri=\"#x\"><app:TexCoordList><app:textureCoordinates ring=\"#{edge}\">0 0 1 0 1 1 0 1 0 0</app:textureCoordinates></app:TexCoordList></app:target></app:ParameterizedTexture></app:surfaceDataMember></app:Appearance></app:appearanceMember>"
    )
}

#[test]
fn shapes_that_stand_in_many_places_keep_their_pictures() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sign.png"), crate::texture::tests::halves()).unwrap();
    let members =
        sign_member("s1", SIGN, E) + &sign_member("s2", "<core:relativeGMLGeometry xlink:href=\"#sign\"/>", E + 9.0);
    let look = sign_look("sign.png", "edge");
    let path = folder.path().join("model.gml");
    std::fs::write(&path, model(&(members + &look))).unwrap();
    let trial = trial::Trial::of(&FORMAT, &path, &Options::default(), 4549);
    assert_eq!(trial.report.warnings, []);
    for (id, x) in [("s1", E), ("s2", E + 9.0)] {
        let mesh = mesh(object(&trial, id));
        let part = &mesh.parts[0];
        assert_eq!((part.uvs.len(), part.texture.as_ref().unwrap().file()), (4, &*crate::texture::tests::halves()));
        for (at, uv) in part.positions.iter().zip(&part.uvs) {
            let at = *at + mesh.origin;
            let wanted = [((at.x - x) / 2.0) as f32, (6.0 - at.z) as f32];
            assert!(uv.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{id}: {at} {uv:?}");
        }
    }
}

#[test]
fn a_model_that_is_begun_at_a_mark_ends_as_the_whole_does() {
    // Ids that come again far behind, a member that is damaged, and more text than two blocks hold.
    let members = |count: usize| -> String {
        (0..count).map(|n| building(&format!("b{}", if n % 1000 == 999 { n - 999 } else { n }))).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gml");
    std::fs::write(&path, model(&members(9000))).unwrap();
    let marks = trial::begin_at_every_mark(&FORMAT, &path);
    assert!(marks >= 3, "{marks}");
    let report = trial::Trial::of(&FORMAT, &path, &Options::default(), 4549).report;
    assert!(report.warnings.iter().any(|w| w.code == "duplicate_id"), "{report:?}");
    // A shape of the beginning that stands at the end too, with its picture, and pictures that are nowhere.
    std::fs::write(folder.path().join("sign.png"), crate::texture::tests::halves()).unwrap();
    let missing = SIGN.replace("#sign", "#other").replace("\"sign\"", "\"other\"").replace("\"edge\"", "\"rim\"");
    let look = sign_look("sign.png", "edge") + &sign_look("nowhere.png", "rim");
    let text = [
        members(100),
        sign_member("s1", SIGN, E) + &sign_member("n1", &missing, E),
        members(8900),
        sign_member("s2", "<core:relativeGMLGeometry xlink:href=\"#sign\"/>", E + 9.0)
            + &sign_member("n2", &missing, E + 9.0),
        look,
    ];
    std::fs::write(&path, model(&text.concat())).unwrap();
    assert!(trial::begin_at_every_mark(&FORMAT, &path) >= 3);
    let trial = trial::Trial::of(&FORMAT, &path, &Options::default(), 4549);
    assert!(mesh(object(&trial, "s2")).parts[0].texture.is_some());
    assert!(mesh(object(&trial, "n2")).parts[0].texture.is_none());
    let told = trial.report.warnings.iter().find(|w| w.code == "texture_missing").unwrap();
    assert_eq!((told.count, told.place.starts_with("nowhere.png")), (1, true));
}
