use std::path::PathBuf;

use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Geometry},
};

use glam::DVec3;

use super::*;
use crate::trial::Kept;

fn import(path: &Path, epsg: u32) -> (Probe, Vec<Sensor>, SourceReport, Vec<CityObject>) {
    let options = Options::default();
    let probe = probe(path, &options).unwrap().unwrap();
    let crs = Crs::from_epsg(epsg).unwrap();
    let city = Crs::from_epsg(4549).unwrap();
    let city_from_source = Transform::new(&crs, &city).unwrap();
    let job = Job {
        path,
        probe: &probe,
        layer: "sensors",
        city_from_source: &city_from_source,
        crs: &crs,
        options: &options,
    };
    let mut kept = Kept::default();
    let mut report = SourceReport::default();
    read(&job, &mut kept, &mut report).unwrap();
    let sensors = kept.0.iter().filter_map(Sensor::from_object).collect();
    (probe, sensors, report, kept.0)
}

fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

const REGISTER: &str = "编号,名称,监测对象,监测项,单位,X,Y,高程,量程下限,量程上限,报警下限,报警上限,回差,优先级,上报间隔(s),主题,格式,权属单位\r\n\
    RQ-01,燃气井 1,gas/17,methane,%LEL,3993055.8,534467.4,12.5,0,100,,20,1,高,30,gas/RQ-01,json:/v;/t,燃气集团\r\n\
    YW-02,雨水井 2,,water_level,m,3993100.0,534500.0,,0,5,,2.5,0.1,2,60,,plain,\r\n\
    NP-03,无坐标,,temperature,℃,,,,,,,,,,,t/3,plain,\r\n\
    XX-04,坏行,,temperature,℃,abc,534500,,,,,,,,,t/4,plain,\r\n\
    XX-05,坏阈值,,temperature,℃,3993100,534500,,,,,高温,,,,t/5,plain,\r\n\
    RQ-01,重复,,methane,%LEL,3993055.8,534467.4,12.5,,,,,,,,t/6,plain,\r\n";

#[test]
fn a_chinese_register_in_gbk_has_x_as_north() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "sensors.csv", &encoding_rs::GBK.encode(REGISTER).0);
    let (probe, sensors, report, objects) = import(&path, 4549);
    assert_eq!((probe.kind, probe.needs_crs), (Kind::Sensors, true));
    assert_eq!(probe.encoding.unwrap().0.to_lowercase(), "gb18030");
    assert_eq!(probe.source_extent.unwrap()[0], 534467.4);
    assert_eq!((report.objects, report.skipped), (3, 3), "{:?}", report.skips);
    let gas = &sensors[0];
    assert_eq!((gas.id.as_str(), gas.name.as_str(), gas.unit.as_str()), ("sensors/RQ-01", "燃气井 1", "%LEL"));
    assert_eq!(gas.place, Some(DVec3::new(534467.4, 3993055.8, 12.5)));
    assert_eq!(gas.watches, Some(ObjectId("gas/17".into())));
    assert_eq!((gas.range, gas.interval_s), (Some((0.0, 100.0)), 30.0));
    let threshold = gas.threshold.unwrap();
    assert_eq!((threshold.low, threshold.high, threshold.dead_band, threshold.priority), (None, Some(20.0), 1.0, 1));
    assert_eq!(gas.payload, Payload::Json { value: "/v".into(), time: Some("/t".into()) });
    assert_eq!((sensors[1].vertical, sensors[1].topic.as_str()), (Vertical::AboveTerrain, "YW-02"));
    assert_eq!((sensors[2].place, &objects[2].geometry), (None, &Geometry::None), "listed, not lost");
    let owner = objects[0].attributes.iter().find(|a| &*a.key == "权属单位").unwrap();
    assert_eq!(owner.value, Value::Text("燃气集团".into()));
    let high = objects[0].attributes.iter().find(|a| &*a.key == "alarm_high").unwrap();
    assert_eq!((&*high.field, &high.origin), ("报警上限", &Origin::Read));
    let interval = objects[2].attributes.iter().find(|a| &*a.key == "interval_s").unwrap();
    assert!(matches!(interval.origin, Origin::Defaulted(_)));
    let reasons: Vec<_> = report.skips.iter().map(|s| (s.record, s.reason.as_str())).collect();
    assert_eq!(reasons[0], (4, "column X: \"abc\" is not a number"));
    assert_eq!(reasons[1], (5, "column 报警上限: \"高温\" is not a number"));
    assert_eq!(reasons[2].0, 6);
    let codes: Vec<_> = report.warnings.iter().map(|w| w.code.as_str()).collect();
    for code in ["axes_swapped", "height_missing", "place_missing", "interval_missing", "topic_missing"] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
}

#[test]
fn an_english_register_in_degrees_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    let text = "id;name;property;unit;longitude;latitude;interval;topic\n\
        a;Gauge;level;m;120.3826;36.0671;10;t/a\nb;Rain;rain;mm;120.39;36.07;60;t/b\n";
    let path = file(&folder, "s.csv", text.as_bytes());
    let (_, sensors, report, _) = import(&path, 4490);
    assert_eq!((report.objects, report.skipped), (2, 0));
    let place = sensors[0].place.unwrap();
    // STANDARDS test vector of EPSG:4549: N 3993055.813, E 534467.459.
    assert!((place.x - 534_467.459).abs() < 0.01 && (place.y - 3_993_055.813).abs() < 0.01, "{place}");
    let (_, sensors, report, _) = import(&path, 4549);
    assert!(sensors.iter().all(|s| s.place.is_none()));
    assert_eq!(report.warnings[0].code, "degrees_in_projected");
}

#[test]
fn titles_that_the_numbers_contradict_lose_with_a_warning_and_a_zone_is_taken_off() {
    let folder = tempfile::tempdir().unwrap();
    let text = "编号,监测项,单位,东坐标,北坐标\n1,level,m,3993055.8,40534467.4\n";
    let path = file(&folder, "s.csv", text.as_bytes());
    let (_, sensors, report, _) = import(&path, 4549);
    let place = sensors[0].place.unwrap();
    assert!((place.x - 534467.4).abs() < 1e-6 && (place.y - 3993055.8).abs() < 1e-6);
    let codes: Vec<_> = report.warnings.iter().map(|w| w.code.as_str()).collect();
    assert_eq!(codes[..2], ["axes_contradict_titles", "zone_prefix"]);
}

#[test]
fn other_tables_are_left_to_others() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("pipes.csv", "管线编号,起点点号,终点点号,管径,材质,埋深\nJS1,J1,J2,300,铸铁,1.2\n"),
        ("points.csv", "管点编号,特征,X,Y,地面高程\nJ1,三通,3993055,534467,5.5\n"),
        ("people.csv", "id,name,age\n1,a,3\n"),
        ("text.csv", "just some, words\nand, more\n"),
        ("empty.csv", ""),
    ] {
        let path = file(&folder, name, text.as_bytes());
        assert!(probe(&path, &Options::default()).unwrap().is_none(), "{name}");
    }
    let binary = file(&folder, "binary.csv", &[0; 500]);
    assert!(probe(&binary, &Options::default()).unwrap().is_none());
}

#[test]
fn readings_are_recognised_and_read_in_every_shape() {
    let folder = tempfile::tempdir().unwrap();
    let noon = 1_714_536_000_000;
    let long = file(
        &folder,
        "long.csv",
        &encoding_rs::GBK
            .encode("传感器编号,时间,数值\r\nA,2024-05-01 12:00:00,1.5\r\nA,2024-05-01 12:00:10,bad\r\nB,昨天,2\r\n")
            .0,
    );
    assert_eq!(probe(&long, &Options::default()).unwrap().unwrap().kind, Kind::Readings);
    let read = read_recording(&long, None, 8 * 3600).unwrap();
    assert_eq!(read.recording.series().collect::<Vec<_>>(), [("A", &[(noon, 1.5)][..])]);
    assert_eq!((read.report.objects, read.report.skipped), (1, 2));
    let wide =
        file(&folder, "wide.csv", b"#UTCTIME,\nDATETIME,S1,S2\n2024-05-01 04:00:00,1,\n2024-05-01 05:00:00,2,3\n");
    let read = read_recording(&wide, None, 8 * 3600).unwrap();
    assert_eq!(read.recording.len(), 3);
    assert_eq!(read.recording.span_ms(), Some((noon, noon + 3_600_000)));
    let single = file(&folder, "gauge.csv", b"timestamp,value\n2024-05-01 12:00:00,564\n");
    let read = read_recording(&single, None, 0).unwrap();
    assert_eq!(read.recording.series().next().unwrap().0, "gauge");
    let register = file(&folder, "sensors.csv", REGISTER.as_bytes());
    assert!(read_recording(&register, None, 0).is_err());
}

#[test]
fn damage_is_never_a_panic() {
    let bytes = encoding_rs::GBK.encode(REGISTER).0.into_owned();
    let folder = tempfile::tempdir().unwrap();
    let mut dice = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..300 {
        let mut bad = bytes.clone();
        for _ in 0..1 + round % 20 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let at = dice as usize % bad.len();
            bad[at] = (dice >> 40) as u8;
        }
        bad.truncate(bad.len() - round % 200);
        let path = file(&folder, "bad.csv", &bad);
        if let Ok(Some(found)) = probe(&path, &Options::default())
            && found.kind == Kind::Sensors
        {
            let (_, sensors, report, _) = import(&path, 4549);
            assert!(sensors.len() as u64 == report.objects);
        }
        let _ = read_recording(&path, None, 0);
    }
}

fn shared() -> Option<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let places = [
        std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from),
        Some(here.join("../../shared/data")),
        Some(here.join("../../../shared/data")),
        Some(here.join("../shared/data")),
    ];
    let found = places.into_iter().flatten().find(|place| place.join("iot").is_dir());
    if found.is_none() {
        println!("the shared data are not here: nothing tested");
    }
    found
}

#[test]
fn recordings_of_other_people() {
    let Some(data) = shared() else { return };
    for (file, series, readings) in [
        ("nab/TravelTime_387.csv", 1, 2500),
        ("nab/machine_temperature_system_failure.csv", 1, 22695),
        ("nab/occupancy_6005.csv", 1, 2380),
        ("youwuzhen/observed_Q.csv", 1, 333),
        ("youwuzhen/pcp_daily.csv", 1, 2192),
        ("skab/5.csv", 10, 11540),
        ("groundwater/B32C0639001.csv", 1, 544),
        ("groundwater/B49F0240_1.csv", 1, 54933),
        ("nwis_well.csv", 1, 33481),
    ] {
        let path = data.join("iot").join(file);
        let kind = probe(&path, &Options::default()).unwrap().map(|probe| probe.kind);
        assert_eq!(kind, Some(Kind::Readings), "{file}");
        let read = read_recording(&path, None, 0).unwrap();
        assert_eq!(
            (read.recording.series().count(), read.report.objects),
            (series, readings),
            "{file}: {:?}",
            read.report
        );
        assert_eq!(read.report.skipped, 0, "{file}");
    }
    let without = data.join("iot/dino/B37A0112001_1.csv");
    assert!(probe(&without, &Options::default()).unwrap().is_none());
}

#[test]
fn a_register_of_other_people() {
    let Some(data) = shared() else { return };
    let path = data.join("iot/youwuzhen/SiteInfo.csv");
    let (_, sensors, report, _) = import(&path, 4490);
    println!("{report:?}");
    assert_eq!(report.skipped, 0);
    assert!(!sensors.is_empty() && sensors.iter().all(|s| s.place.is_some()));
    let ids: Vec<_> = sensors.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["sensors/1.SED", "sensors/1.Q"], "one station, two sensors");
}

#[test]
fn limits_of_change_and_delays_come_from_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let table = "编号,监测项,变化率报警,延时,恢复延时,格式\nP-1,pressure,0.05,5,30,binary:u16be@0*0.01\nP-2,pressure,-1,,,plain\nP-3,pressure,,,,plain\n";
    let path = file(&folder, "sensors.csv", table.as_bytes());
    let (_, sensors, report, objects) = import(&path, 4549);
    let threshold = sensors[0].threshold.unwrap();
    assert_eq!((threshold.rate_per_min, threshold.on_delay_s, threshold.off_delay_s), (Some(0.05), 5.0, 30.0));
    assert_eq!(sensors[0].payload, Payload::parse("binary:u16be@0*0.01").unwrap());
    let rate = objects[0].attributes.iter().find(|a| &*a.key == "alarm_rate_per_min").unwrap();
    assert_eq!((&*rate.field, &rate.origin), ("变化率报警", &Origin::Read));
    assert_eq!((sensors.len(), report.skipped, sensors[1].threshold), (2, 1, None));
    assert!(report.skips[0].reason.contains("passed by everything"), "{:?}", report.skips);
}
