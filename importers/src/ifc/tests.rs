//! Whole files: a small one written here, and real ones against what another reader says of them.

use std::path::{Path, PathBuf};

use groundline_engine::{
    crs::Transform,
    model::{Domain, Extent},
};

use super::*;
use crate::trial::Kept;

struct Outcome {
    objects: Vec<CityObject>,
    report: SourceReport,
    probe: Probe,
}

impl Outcome {
    fn named(&self, name: &str) -> &CityObject {
        let found = self.objects.iter().find(|o| o.name.as_deref() == Some(name));
        found
            .unwrap_or_else(|| panic!("no {name} among {:?}", self.objects.iter().map(|o| &o.name).collect::<Vec<_>>()))
    }

    fn count(&self, class: Class) -> usize {
        self.objects.iter().filter(|o| o.class == class).count()
    }

    fn extent(&self) -> Extent {
        let mut extent = Extent::EMPTY;
        self.objects.iter().for_each(|o| extent.merge(&o.geometry.extent()));
        extent
    }

    fn warning(&self, code: &str) -> Option<&str> {
        self.report.warnings.iter().find(|w| w.code == code).map(|w| w.message.as_str())
    }
}

fn import(path: &Path, options: Options, city: u32) -> Result<Outcome, ImportError> {
    let probe = probe(path, &options)?.expect("an IFC file");
    let city = Crs::from_epsg(city)?;
    let crs = options.crs.clone().or_else(|| probe.crs.clone()).unwrap_or_else(|| city.clone());
    let transform = Transform::new(&crs, &city)?;
    let job = Job { path, probe: &probe, layer: "b", city_from_source: &transform, crs: &crs, options: &options };
    let mut out = Kept::default();
    let mut report = SourceReport::default();
    read(&job, &mut out, &mut report)?;
    Ok(Outcome { objects: out.0, report, probe })
}

fn placed(place: &str) -> Options {
    Options { map: vec![("place".into(), place.into())], ..Options::default() }
}

/// A wall of 4 × 0.2 × 3 m in a storey 3 m below zero, millimetres; `extra` adds entities.
fn small(extra: &str, site: &str) -> String {
    format!(
        "ISO-10303-21;
HEADER;
FILE_DESCRIPTION((''),'2;1');
FILE_NAME('small.ifc','2024-01-01T00:00:00',(''),(''),'','','');
FILE_SCHEMA(('IFC4'));
ENDSEC;
DATA;
#1=IFCPROJECT('0000000000000000000001',$,'Project',$,$,$,$,(#10),#5);
#5=IFCUNITASSIGNMENT((#6));
#6=IFCSIUNIT(*,.LENGTHUNIT.,.MILLI.,.METRE.);
#7=IFCCARTESIANPOINT((0.,0.,0.));
#8=IFCAXIS2PLACEMENT3D(#7,$,$);
#9=IFCLOCALPLACEMENT($,#8);
#10=IFCGEOMETRICREPRESENTATIONCONTEXT($,'Model',3,1.E-05,#8,$);
#11=IFCSITE('0000000000000000000011',$,'Site',$,$,#9,$,$,$,{site});
#12=IFCBUILDING('0000000000000000000012',$,'House',$,$,#9,$,$,$,$,$,$);
#13=IFCCARTESIANPOINT((0.,0.,-3000.));
#14=IFCAXIS2PLACEMENT3D(#13,$,$);
#15=IFCLOCALPLACEMENT(#9,#14);
#16=IFCBUILDINGSTOREY('0000000000000000000016',$,'Basement',$,$,#15,$,$,$,-3000.);
#17=IFCRELAGGREGATES('0000000000000000000017',$,$,$,#1,(#11));
#18=IFCRELAGGREGATES('0000000000000000000018',$,$,$,#11,(#12));
#19=IFCRELAGGREGATES('0000000000000000000019',$,$,$,#12,(#16));
#20=IFCCARTESIANPOINT((2000.,100.));
#21=IFCAXIS2PLACEMENT2D(#20,$);
#22=IFCRECTANGLEPROFILEDEF(.AREA.,$,#21,4000.,200.);
#23=IFCDIRECTION((0.,0.,1.));
#24=IFCEXTRUDEDAREASOLID(#22,#8,#23,3000.);
#25=IFCSHAPEREPRESENTATION(#10,'Body','SweptSolid',(#24));
#26=IFCPRODUCTDEFINITIONSHAPE($,$,(#25));
#27=IFCWALL('0000000000000000000027',$,'Wall',$,$,#15,#26,'W-1',.SOLIDWALL.);
#28=IFCSPACE('0000000000000000000028',$,'Cellar',$,$,#15,#26,'Wine',$,.INTERNAL.,$);
#29=IFCRELCONTAINEDINSPATIALSTRUCTURE('0000000000000000000029',$,$,$,(#27),#16);
#30=IFCRELAGGREGATES('0000000000000000000030',$,$,$,#16,(#28));
#31=IFCPROPERTYSINGLEVALUE('IsExternal',$,IFCBOOLEAN(.T.),$);
#32=IFCPROPERTYSINGLEVALUE('FireRating',$,IFCLABEL('F90'),$);
#33=IFCPROPERTYSET('0000000000000000000033',$,'Pset_WallCommon',$,(#31,#32));
#34=IFCRELDEFINESBYPROPERTIES('0000000000000000000034',$,$,$,(#27),#33);
#35=IFCQUANTITYLENGTH('Length',$,$,4000.,$);
#36=IFCELEMENTQUANTITY('0000000000000000000036',$,'Qto_WallBaseQuantities',$,$,(#35));
#37=IFCRELDEFINESBYPROPERTIES('0000000000000000000037',$,$,$,(#27),#36);
{extra}ENDSEC;
END-ISO-10303-21;
"
    )
}

const NO_SITE: &str = "$,$,$,$,$";
const IN_QINGDAO: &str = "#40=IFCPROJECTEDCRS('EPSG:4549',$,$,'EPSG:5737',$,$,#41);
#41=IFCSIUNIT(*,.LENGTHUNIT.,$,.METRE.);
#42=IFCMAPCONVERSION(#10,#40,534467.,3993055.,12.,0.,1.,0.001);
";

fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.ifc");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn quantities_without_a_name_and_parameters_of_doors_are_read() {
    let extra = "#50=IFCQUANTITYAREA('GrossArea',$,$,12.5,$);
#51=IFCELEMENTQUANTITY('0000000000000000000051',$,$,$,$,(#50));
#52=IFCRELDEFINESBYPROPERTIES('0000000000000000000052',$,$,$,(#27),#51);
#53=IFCDOORLININGPROPERTIES('0000000000000000000053',$,'Lining',$,0.1,0.05,$,$,$,$,0.2,$,$,$,$,$,0.3);
#54=IFCRELDEFINESBYPROPERTIES('0000000000000000000054',$,$,$,(#27),#53);
#55=IFCDOORPANELPROPERTIES('0000000000000000000055',$,$,$,0.04,.SWINGING.,1.,.MIDDLE.,$);
#56=IFCRELDEFINESBYPROPERTIES('0000000000000000000056',$,$,$,(#27),#55);
";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.ifc");
    std::fs::write(&path, small(extra, NO_SITE)).unwrap();
    let read = import(&path, placed("534467,3993055,0"), 4549).unwrap();
    let wall = read.named("Wall");
    for (key, value) in [
        ("Qto_WallBaseQuantities.Length", Value::Real(4000.0)),
        ("IfcElementQuantity.GrossArea", Value::Real(12.5)),
        ("Lining.LiningDepth", Value::Real(0.1)),
        ("Lining.LiningOffset", Value::Real(0.2)),
        ("Lining.LiningToPanelOffsetY", Value::Real(0.3)),
        ("IfcDoorPanelProperties.PanelDepth", Value::Real(0.04)),
        ("IfcDoorPanelProperties.PanelOperation", Value::Text("SWINGING".into())),
    ] {
        assert_eq!(wall.value(key), Some(&value), "{key}");
    }
    assert_eq!(wall.value("Lining.ThresholdDepth"), None);
}

#[test]
fn a_georeferenced_building_has_its_tree_shapes_and_properties() {
    let (_folder, path) = write(&small(IN_QINGDAO, NO_SITE));
    let read = import(&path, Options::default(), 4549).unwrap();
    assert_eq!(
        (read.probe.crs.as_ref().and_then(|c| c.epsg), read.probe.crs_from.as_str()),
        (Some(4549), "IfcProjectedCRS")
    );
    assert_eq!(read.probe.source_extent, Some([534467.0, 3993055.0, 534467.0, 3993055.0]));
    assert_eq!(read.objects.len(), 5);
    let wall = read.named("Wall");
    assert_eq!(wall.id.as_str(), "b/0000000000000000000027");
    assert_eq!((wall.class, wall.domain, wall.record), (Class::BuildingElement, Domain::Below, 27));
    assert_eq!(wall.parent.as_ref().map(ObjectId::as_str), Some("b/0000000000000000000016"));
    for (key, value) in [
        ("ifc_type", Value::Text("IfcWall".into())),
        ("tag", Value::Text("W-1".into())),
        ("predefined_type", Value::Text("SOLIDWALL".into())),
        ("Pset_WallCommon.IsExternal", Value::Bool(true)),
        ("Pset_WallCommon.FireRating", Value::Text("F90".into())),
        ("Qto_WallBaseQuantities.Length", Value::Real(4000.0)),
        ("storey_elevation_m", Value::Real(-3.0)),
    ] {
        assert_eq!(wall.value(key), Some(&value), "{key}");
    }
    // x of the wall points north (XAxisOrdinate 1): 4 m north, 0.2 m to the west, from -3 to 0 above 12
    let extent = wall.geometry.extent();
    assert!(extent.min.abs_diff_eq(DVec3::new(534466.8, 3993055.0, 9.0), 1e-6), "{extent:?}");
    assert!(extent.max.abs_diff_eq(DVec3::new(534467.0, 3993059.0, 12.0), 1e-6), "{extent:?}");
    let storey = read.named("Basement");
    assert_eq!((storey.class, storey.value("elevation_m")), (Class::Storey, Some(&Value::Real(-3.0))));
    assert_eq!(storey.parent, Some(read.named("House").id.clone()));
    assert_eq!(read.named("House").value("storeys"), Some(&Value::Int(1)));
    assert_eq!(read.named("Site").parent, None);
    let Geometry::Mesh(space) = &read.named("Cellar").geometry else { panic!() };
    assert!(space.parts.iter().all(|p| p.rgba[3] <= SPACE_ALPHA));
    assert!(
        read.warning("georeference")
            .unwrap()
            .starts_with("IfcMapConversion: origin at 534467.000, 3993055.000, height 12.000 m, turned 90.0000°")
    );
    assert_eq!(read.warning("georeference_doubtful"), None);
}

#[test]
fn a_file_without_a_place_is_refused_with_the_flag_to_give_and_goes_where_the_user_says() {
    let (_folder, path) = write(&small("", NO_SITE));
    let error = import(&path, Options::default(), 28992).map(|_| ()).unwrap_err();
    assert!(matches!(&error, ImportError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("--map place=x,y"), "{error}");
    let read = import(&path, placed("85000,446000,1.5,90"), 28992).unwrap();
    let extent = read.named("Wall").geometry.extent();
    assert!(extent.min.abs_diff_eq(DVec3::new(84999.8, 446000.0, -1.5), 1e-6), "{extent:?}");
    let error = import(&path, placed("here"), 28992).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("expected place=x,y"), "{error}");
    // with --crs and nothing else, the numbers of the file are its coordinates
    let options = Options { crs: Crs::from_epsg(28992).ok(), ..Options::default() };
    let read = import(&path, options, 28992).unwrap();
    assert!(read.named("Wall").geometry.extent().min.abs_diff_eq(DVec3::new(0.0, 0.0, -3.0), 1e-6));
    assert!(read.warning("georeference").unwrap().contains("names no place"));
}

#[test]
fn latitude_and_longitude_place_a_building_and_disagreement_is_told() {
    let site = "(36,4,1,560000),(120,22,57,360000),25000.,$,$";
    let (_folder, path) = write(&small("", site));
    let read = import(&path, Options::default(), 4549).unwrap();
    assert_eq!(read.probe.crs_from, "IfcSite");
    // the test vector of the register: 36.0671° N 120.3826° E is N 3993055.813 E 534467.459
    let extent = read.named("Wall").geometry.extent();
    assert!((extent.min.x - 534467.459).abs() < 0.1 && (extent.min.y - 3993055.813).abs() < 0.1, "{extent:?}");
    assert!((extent.max.z - 25.0).abs() < 1e-6);
    // the grid is turned against true north by about 0.225° here: the far end of 4 m lies 16 mm off
    assert!((extent.max.y - extent.min.y - 0.2).abs() < 0.03, "{extent:?}");

    let far = "(36,4,1,560000),(121,22,57,360000),0.,$,$";
    let (_folder, path) = write(&small(IN_QINGDAO, far));
    let read = import(&path, Options::default(), 4549).unwrap();
    assert!(read.warning("georeference_disagrees").unwrap().contains("m from the IfcMapConversion, which is used"));
}

#[test]
fn a_scale_that_forgot_the_units_is_not_believed() {
    let forgot = IN_QINGDAO.replace(",0.001);", ",1.);");
    let (_folder, path) = write(&small(&forgot, NO_SITE));
    let read = import(&path, Options::default(), 4549).unwrap();
    let size = read.named("Wall").geometry.extent().size();
    assert!(size.abs_diff_eq(DVec3::new(0.2, 4.0, 3.0), 1e-6), "{size}");
    assert!(read.warning("georeference_doubtful").unwrap().contains("1000 times"));
}

#[test]
fn an_unnamed_or_unknown_system_asks_for_one() {
    let unknown = IN_QINGDAO.replace("EPSG:4549", "city grid");
    let (_folder, path) = write(&small(&unknown, NO_SITE));
    let probe = probe(&path, &Options::default()).unwrap().unwrap();
    assert!(probe.needs_crs && probe.crs.is_none());
    assert_eq!(probe.crs_text.as_deref(), Some("city grid"));
}

#[test]
fn damaged_files_say_line_and_entity() {
    let text = small("", NO_SITE);
    let check = |text: &str, expected: &str| {
        let (_folder, path) = write(text);
        let error = probe(&path, &Options::default()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&text[..text.len() / 2], "cut off");
    check(
        &text.replace("#24=IFCEXTRUDEDAREASOLID(#22,", "#24=IFCEXTRUDEDAREASOLID((#22,"),
        "(after #23): a bracket never closes",
    );
    check(&text.replace("FILE_SCHEMA(('IFC4'));", "FILE_SCHEMA(('AP214'));"), "not IFC");
    check("<?xml version=\"1.0\"?><ifc:ifcXML/>", "cut off");
    check("", "cut off");
}

fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = folder.into_iter().chain([root.join("../../shared/data"), root.join("../shared/data")]);
    let found = places.map(|p| p.join(name)).find(|p| p.exists());
    if found.is_none() {
        println!("shared data absent: {name} is not tested");
    }
    found
}

/// What IfcOpenShell 0.9.0.post1 says: products (without openings, annotations, grids, ports and alignments), storeys,
/// spaces, products with a shape, and the box of these in the file's axes, metres. (`ifc4x3/grid-placement.ifc` is left
/// out: IfcOpenShell makes no shape of its 25 columns, which stand on a grid.)
const REFEREE: &[(&str, usize, usize, usize, usize, [f64; 6])] = &[
    ("bim/ifc4/AC20-FZK-Haus.ifc", 93, 2, 7, 90, [-3.0, -3.0, -1.0, 15.0, 13.0, 6.318]),
    ("bim/ifc4/IfcOpenHouse_IFC4.ifc", 43, 1, 0, 35, [-10.0, -10.0, -8.13, 10.0, 10.0, 5.78]),
    ("bim/ifc2x3/Duplex_A_20110907.ifc", 245, 4, 21, 236, [-0.241, -22.183, -1.55, 9.041, 4.383, 9.0]),
    ("bim/ifc4/geolocation/geolocation-mapconversion-angle.ifc", 14, 1, 0, 8, [2.0, -1.0, -1.0, 17.0, 8.0, 1.0]),
    ("bim/ifc4/geolocation/geolocation-mapconversion.ifc", 14, 1, 0, 8, [2.0, -1.0, -1.0, 17.0, 8.0, 1.0]),
    ("bim/ifc4/geolocation/geolocation-offsetsite.ifc", 14, 1, 0, 8, [0.897, 11.363, -1.0, 15.385, 20.195, 1.0]),
    ("bim/ifc4/geolocation/geolocation.ifc", 14, 1, 0, 8, [2.0, -1.0, -1.0, 17.0, 8.0, 1.0]),
    (
        "bim/ifc4/geolocation/manual-geolocation.ifc",
        3,
        0,
        0,
        1,
        [268381.835, 5774486.021, 21.835, 268382.646, 5774487.796, 27.18],
    ),
    ("bim/ifc4/infra-bridge.ifc", 77, 11, 0, 48, [-0.966, -0.904, -3.5, 44.401, 56.905, 7.775]),
    ("bim/ifc4/SampleHouse4.ifc", 68, 2, 4, 62, [-9.235, -2.746, -0.47, 7.633, 5.921, 3.5]),
    ("bim/ifc4/tested_sample_project.ifc", 98, 2, 0, 93, [-4.183, -7.515, -0.3, 3.285, 9.395, 3.3]),
    ("bim/ifc4/IFC4TessellationComplex.ifc", 4, 1, 0, 1, [-3.09, 0.74, -0.005, -2.917, 0.834, 0.051]),
];

#[test]
fn real_files_have_the_products_and_boxes_that_ifcopenshell_reports() {
    for (name, products, storeys, spaces, shapes, bounds) in REFEREE {
        let Some(path) = shared(name) else { return };
        let read = import(&path, placed("0,0,0"), 4549).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read.report.skipped, 0, "{name}: {:?}", read.report.skips);
        let with_shape = read.objects.iter().filter(|o| o.geometry != Geometry::None).count();
        let counts = (read.objects.len(), read.count(Class::Storey), read.count(Class::Space), with_shape);
        assert_eq!(counts, (*products, *storeys, *spaces, *shapes), "{name}");
        let extent = read.extent();
        let found = [extent.min, extent.max].map(|c| c.to_array()).concat();
        for (found, expected) in found.iter().zip(bounds) {
            assert!((found - expected).abs() < 0.002, "{name}: {extent:?} is not {bounds:?}");
        }
    }
}

#[test]
fn files_with_bad_face_sets_are_read_without_harm() {
    let Some(folder) = shared("bad/ifc/gherkin_tessellation/tas001") else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let read = import(&path, placed("0,0"), 4549).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(read.count(Class::BuildingElement), 1, "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 22);
}

#[test]
fn georeferences_of_real_files_are_found() {
    for (name, epsg, at, from) in [
        ("bim/ifc4/infra-bridge.ifc", Some(32760), [729011.2258823584, 9063960.607644705], "IfcProjectedCRS"),
        ("bim/ifc4x3/infra_unit_tests/MCON-2.ifc", Some(3878), [24525000.0, 6876000.0], "IfcProjectedCRS"),
        ("bim/ifc4/geolocation/geolocation-mapconversion.ifc", None, [15.0, 0.0], ""),
        ("bim/ifc4/AC20-FZK-Haus.ifc", Some(4326), [8.436539, 49.100435], "IfcSite"),
    ] {
        let Some(path) = shared(name) else { return };
        let probe = probe(&path, &Options::default()).unwrap().unwrap();
        assert_eq!((probe.crs.as_ref().and_then(|c| c.epsg), probe.crs_from.as_str()), (epsg, from), "{name}");
        let extent = probe.source_extent.unwrap();
        assert!((extent[0] - at[0]).abs() < 1e-5 && (extent[1] - at[1]).abs() < 1e-5, "{name}: {extent:?}");
    }
}

#[test]
fn a_cut_body_has_the_colour_of_what_it_was_cut_from() {
    let cut = "#50=IFCPLANE(#8);
#51=IFCHALFSPACESOLID(#50,.T.);
#52=IFCBOOLEANCLIPPINGRESULT(.DIFFERENCE.,#24,#51);
#53=IFCSHAPEREPRESENTATION(#10,'Body','Clipping',(#52));
#54=IFCPRODUCTDEFINITIONSHAPE($,$,(#53));
#55=IFCWALL('0000000000000000000055',$,'Clipped',$,$,#15,#54,$,.SOLIDWALL.);
#56=IFCCOLOURRGB($,1.,0.5,0.);
#57=IFCSURFACESTYLERENDERING(#56,0.,IFCNORMALISEDRATIOMEASURE(0.5),$,$,$,$,$,.NOTDEFINED.);
#58=IFCSURFACESTYLE('Orange',.BOTH.,(#57));
#59=IFCSTYLEDITEM(#24,(#58),$);
";
    // both directions: the half space may take all of it away
    let (_folder, path) = write(&small(cut, NO_SITE));
    let (_other, turned) = write(&small(&cut.replace("(#50,.T.)", "(#50,.F.)"), NO_SITE));
    let colours = |path: &Path| {
        let read = import(path, placed("0,0,0"), 4549).unwrap();
        match &read.named("Clipped").geometry {
            Geometry::Mesh(mesh) => mesh.parts.iter().map(|part| part.rgba).collect::<Vec<_>>(),
            _ => Vec::new(),
        }
    };
    let found = [colours(&path), colours(&turned)].concat();
    assert!(!found.is_empty() && found.iter().all(|rgba| *rgba == [128, 64, 0, 255]), "{found:?}");
}

#[test]
fn what_nobody_placed_and_nobody_knows_is_there() {
    let extra = "#60=IFCFLOWSEGMENT('0000000000000000000060',$,'Loose',$,$,$,$,$);
#61=IFCSOLIDSTRATUM('0000000000000000000061',$,'Sand',$,$,#15,#26,$);
#62=IFCPROPERTYSINGLEVALUE('AboveGround',$,IFCLOGICAL(.U.),$);
#63=IFCPROPERTYSET('0000000000000000000063',$,'Pset_BuildingStoreyCommon',$,(#62));
#64=IFCRELDEFINESBYPROPERTIES('0000000000000000000064',$,$,$,(#16),#63);
";
    let (_folder, path) = write(&small(extra, NO_SITE));
    let read = import(&path, placed("0,0,0"), 4549).unwrap();
    let loose = read.named("Loose");
    assert_eq!((&loose.geometry, &loose.parent), (&Geometry::None, &None));
    assert_eq!(read.named("Sand").class, Class::Stratum);
    let above = read.named("Basement").value("Pset_BuildingStoreyCommon.AboveGround");
    assert_eq!(above, Some(&Value::Text("unknown".into())));
}

type Listed = Vec<(super::product::Product, Vec<super::product::Part>)>;

/// Position, products before it, what was told.
type Marks = Vec<(u64, usize, Vec<u8>)>;

/// Products in the order of reading, with the marks between them.
fn listed(content: &[u8], together: usize, start: u64, told: &[u8]) -> (Listed, Marks, u64) {
    let (mut products, mut marks) = (Vec::new(), Marks::new());
    let summary = super::parse::read_together(content, together, start, told, &mut |found| {
        match found {
            super::product::Found::Product(product, parts) => products.push((*product, parts)),
            super::product::Found::Mark(position, told) => marks.push((position, products.len(), told)),
        }
        Ok(())
    });
    (products, marks, summary.unwrap().failed_shapes)
}

#[test]
fn a_model_read_in_parts_and_from_any_of_them_on_is_the_whole() {
    let more: String = (51..58)
        .map(|id| format!("#{id}=IFCWALL('00000000000000000000{id}',$,'Wall',$,$,#15,#26,'W-{id}',.SOLIDWALL.);\n"))
        .collect();
    let mut contents = vec![small(&more, NO_SITE).into_bytes()];
    for name in ["bim/ifc2x3/Duplex_A_20110907.ifc", "bim/ifc4/infra-bridge.ifc"] {
        contents.extend(shared(name).map(|path| std::fs::read(path).unwrap()));
    }
    for content in contents {
        let (whole, marks, failed) = listed(&content, usize::MAX, 0, &[]);
        assert!(marks.len() < 2 && whole.len() >= 8);
        let (parts, marks, failed_in_parts) = listed(&content, whole.len() / 4, 0, &[]);
        assert!(marks.len() >= 2, "{marks:?}");
        assert_eq!(failed_in_parts, failed);
        assert_eq!(parts.len(), whole.len());
        for ((product, shape), (other, expected)) in parts.iter().zip(&whole) {
            assert_eq!(product, other);
            assert_eq!(shape.len(), expected.len(), "{}", product.global_id);
            for (part, expected) in shape.iter().zip(expected) {
                assert_eq!((&part.indices, part.rgba), (&expected.indices, expected.rgba), "{}", product.global_id);
                let places = part.positions.iter().flatten().zip(expected.positions.iter().flatten());
                let gap = places.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(gap < 1e-4, "{}: {gap} m", product.global_id);
            }
        }
        let told = marks[0].2.clone();
        assert!(!told.is_empty() && marks[1..].iter().all(|(.., more)| more.is_empty()), "it is told once");
        for ((position, before, _), told) in marks.iter().zip([&told[..], &told, &[]].into_iter().cycle()) {
            let (rest, _, failed_in_all) = listed(&content, whole.len() / 4, *position, told);
            assert!(rest == parts[*before..], "from {position}");
            // Of what came before, nothing is known any more.
            assert!(failed_in_all <= failed);
        }
    }
}
