//! Views written, read, and refused.

use super::*;
use crate::{
    options::{Language, LayerChoice},
    peel::Peel,
};

fn scene() -> SceneOptions {
    let at = |x: f64| DVec3::new(40_534_000.0 + x, 3_993_000.25, -3.5);
    SceneOptions {
        camera: CameraChoice::Pose(CameraPose {
            place: DVec3::new(40_534_467.459_1, 3_993_055.813_2, 12.345),
            heading_deg: 315.1234,
            pitch_deg: -30.0056,
        }),
        layers: LayerChoice { only: vec![], without: vec!["=管线,燃气".into(), "tree".into(), "a&b=c%".into()] },
        is_below: true,
        detail: Some(CimLevel::STANDARD),
        at: Some("2026-01-20T09:30".parse().unwrap()),
        sun_place: Some(at(3.5)),
        valid_at: Some("2015-06-30T12:30:00Z".parse().unwrap()),
        style: Style::Paper,
        relief: Some("corners".parse().unwrap()),
        comparison: Some("swipe:0.35".parse().unwrap()),
        other: crate::comparison::read_look("off=%3D管线,tree&st=xray&by=管线:管径 mm&x=level:12").unwrap(),
        colour_by: Some("管线:管径 mm".into()),
        labels: "pipes,sleeves".parse().unwrap(),
        peel: Peel {
            network: Some(groundline_engine::model::PipeKind::Gas),
            strata: 2,
            stages: vec![groundline_engine::model::Stage::Planned, groundline_engine::model::Stage::Operation],
            storeys: Some("海湾中心:fan=3.5".parse().unwrap()),
            hidden: vec!["楼/1".into(), "楼/2,3".into()],
            focus: Some(Focus { id: "楼/7".into(), has_ghosts: true }),
        },
        cuts: Cuts::new(vec![
            "trench:40534000.25,3993000,40534050,3993000.5;width=6;depth=4.5".parse().unwrap(),
            "level:12.25".parse().unwrap(),
        ])
        .unwrap(),
        selected: Some(Selection { id: "建筑/12@3".into(), place: Some(at(1.0)) }),
        measurements: vec![
            Measurement { kind: MeasureKind::Length, points: vec![at(0.0), at(10.5)], level_m: None, object: None },
            Measurement {
                kind: MeasureKind::Volume,
                points: vec![at(0.0), at(1.0), at(2.0)],
                level_m: Some(-1.25),
                object: None,
            },
            Measurement { kind: MeasureKind::Body, points: vec![at(0.0)], level_m: None, object: Some("楼/1".into()) },
        ],
        annotations: vec![Annotation { text: "此处应急通道 50 % & 保留;@".into(), place: at(7.0) }],
        ..SceneOptions::default()
    }
}

fn refused(text: &str) -> String {
    let mut scene = SceneOptions { is_below: true, ..SceneOptions::default() };
    let reason = read(text, &mut scene).expect_err(text);
    assert!(scene.is_below, "a refused view changes nothing: {text}");
    reason
}

#[test]
fn a_view_comes_back_as_it_was() {
    let text = write(&scene());
    assert!(text.is_ascii() && !text.contains(' '), "{text}");
    let mut back = SceneOptions { city: "x.city".into(), language: Language::En, ..SceneOptions::default() };
    read(&text, &mut back).expect(&text);
    assert_eq!(write(&back), text);
    assert_eq!((back.camera, &back.layers, back.detail), (scene().camera, &scene().layers, scene().detail));
    assert_eq!((&back.selected, &back.measurements), (&scene().selected, &scene().measurements));
    assert_eq!((back.style, &back.colour_by, &back.cuts), (Style::Paper, &scene().colour_by, &scene().cuts));
    assert_eq!((back.labels, &back.peel, back.relief), (scene().labels, &scene().peel, scene().relief));
    assert_eq!((&back.annotations, back.at), (&scene().annotations, scene().at));
    assert_eq!((back.valid_at, back.sun_place), (scene().valid_at, scene().sun_place));
    assert_eq!((back.comparison, &back.other), (scene().comparison, &scene().other));
    assert_eq!((back.city.to_str(), back.language), (Some("x.city"), Language::En), "not of the view");
}

#[test]
fn a_camera_far_out_keeps_a_tenth_of_a_millimetre() {
    for k in 0..200 {
        let share = f64::from(k) * 0.618_033_988_75 % 1.0;
        let pose = CameraPose {
            place: DVec3::new(40_534_000.0 + 999.0 * share, -3_993_000.0 * share, 1_234.567_89 * share),
            heading_deg: 360.0 * share,
            pitch_deg: 180.0 * share - 90.0,
        };
        let mut back = SceneOptions::default();
        read(&write(&SceneOptions { camera: CameraChoice::Pose(pose), ..SceneOptions::default() }), &mut back).unwrap();
        let CameraChoice::Pose(again) = back.camera else { panic!("{:?}", back.camera) };
        assert!(again.place.distance(pose.place) <= 1e-4, "{pose:?}");
        assert!((again.heading_deg - pose.heading_deg).abs() <= 6e-5);
        assert!((again.pitch_deg - pose.pitch_deg).abs() <= 6e-5);
    }
}

#[test]
fn what_is_not_said_is_as_it_usually_is() {
    let mut back = scene();
    read("groundline:?", &mut back).unwrap();
    assert_eq!((back.is_below, back.detail, back.at, back.camera), (false, None, None, CameraChoice::Auto));
    assert!(back.annotations.is_empty() && back.measurements.is_empty() && back.layers == LayerChoice::default());
    assert_eq!(write(&back), "groundline:?v=1");
    // Chinese may stand as it is: people write views by hand too.
    read("  groundline:?off=管线,树&u=0\n", &mut back).unwrap();
    assert_eq!(back.layers.without, ["管线", "树"]);
}

#[test]
fn hostile_views_are_refused_with_a_sentence() {
    for bad in [
        "",
        "http://groundline:?v=1",
        "groundline:",
        "groundline:?v=2",
        "groundline:?c",
        "groundline:?x=1",
        "groundline:?=1",
        "groundline:?u=1&u=1",
        "groundline:?u=true",
        "groundline:?c=1,2,3",
        "groundline:?c=1,2,3,4,5,6",
        "groundline:?c=NaN,2,3,4,5",
        "groundline:?c=inf,2,3,4,5",
        "groundline:?c=1e300,2,3,4,5",
        "groundline:?c=1,2,3,4,91",
        "groundline:?c=1,2,3,4e9,0",
        "groundline:?st=sketch",
        "groundline:?by=",
        "groundline:?lb=",
        "groundline:?net=beer",
        "groundline:?pe=256",
        "groundline:?sg=beer",
        "groundline:?cmp=split",
        "groundline:?cmp=swipe:1.5",
        "groundline:?ot=st%3Doil",
        "groundline:?ot=cmp%3Dbeside",
        "groundline:?ot=ot%3Dst%253Dxray",
        "groundline:?sto=FZK",
        "groundline:?hid=",
        "groundline:?iso=%0a",
        "groundline:?lb=pipes,houses",
        "groundline:?x=section%3A1,2",
        "groundline:?x=trench%3A0,0,9,0&x=trench%3A0,0,9,9",
        "groundline:?d=0",
        "groundline:?d=8",
        "groundline:?d=07",
        "groundline:?t=noon",
        "groundline:?t=10:30",
        "groundline:?t=99999-01-01T10:00",
        "groundline:?off=",
        "groundline:?off=%ff",
        "groundline:?off=%0a",
        "groundline:?sel=%E2%80%AEevil",
        "groundline:?sel=a@1,2",
        "groundline:?m=length",
        "groundline:?m=length:1,2,3",
        "groundline:?m=length:1,2,3;4,5",
        "groundline:?m=length:1,2,3;4,5,6:7",
        "groundline:?m=width:1,2,3;4,5,6",
        "groundline:?m=volume:1,2,3;4,5,6;7,8,9:x",
        "groundline:?m=body:1,2,3",
        "groundline:?a=text",
        "groundline:?a=@1,2,3",
    ] {
        assert!(refused(bad).len() > 10, "{bad}");
    }
    let long = |piece: &str, count: usize| format!("groundline:?{}", vec![piece; count].join("&"));
    assert!(refused(&long("a=x@1,2,3", MAX_NOTES + 1)).contains("200"));
    assert!(refused(&long("m=depth:1,2,3", MAX_NOTES + 1)).contains("200"));
    assert!(refused(&format!("groundline:?m=length:{}", vec!["1,2,3"; MAX_POINTS + 1].join(";"))).contains("points"));
    assert!(refused(&format!("groundline:?off={}", vec!["a"; MAX_LAYERS + 1].join(","))).contains("layers"));
    assert!(refused(&format!("groundline:?sel={}", "长".repeat(MAX_TEXT + 1))).contains("200"));
    assert!(refused(&format!("groundline:?sel={}", "a".repeat(MAX_BYTES))).contains("bytes"));
}

#[test]
fn a_view_cut_or_changed_anywhere_never_panics() {
    let text = write(&scene());
    let mut taken = 0;
    for at in 0..text.len() {
        for piece in ["", "%", "&", "=", ",", ";", ":", "@", "\u{0}", "9", "界"] {
            let changed = format!("{}{piece}{}", &text[..at], &text[at + 1..]);
            taken += usize::from(read(&changed, &mut SceneOptions::default()).is_ok());
        }
        taken += usize::from(read(&text[..at], &mut SceneOptions::default()).is_ok());
    }
    assert!(taken > 100, "digits may change: {taken}");
}
