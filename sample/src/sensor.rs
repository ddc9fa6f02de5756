//! Sensors (感知终端) and an hour of their readings, told as a story: a storm comes in from the sea.

use glam::{DVec2, DVec3};

use crate::{
    SampleError,
    angle::{exp, sin},
    city::City,
    gallery,
    network::{Network, Service},
    plane::{ease, millimetre},
    random::{Random, cell},
    table::Table,
};

/// How a sensor's readings run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Story {
    /// Level in a drain that rises with the rain to so many metres.
    Storm(f64),
    /// A drain that fills over its cover.
    Surcharge(f64),
    /// Quiet value with a slow wave: mean and swing.
    Calm(f64, f64),
    /// Gas that gathers in a chamber, up to this many %LEL.
    GasPeak(f64),
    /// Rain intensity in mm/h.
    Rain(f64),
    /// Sea level.
    Tide,
    /// Says something for a while, then nothing.
    Silent(f64),
    /// Jumps to a value outside its range.
    Broken(f64),
}

/// One sensor of the registry.
pub(crate) struct Sensor {
    id: String,
    name: String,
    watches: String,
    property: &'static str,
    unit: &'static str,
    at: DVec3,
    range: [f64; 2],
    limits: [Option<f64>; 2],
    dead_band: f64,
    priority: u8,
    topic: String,
    format: &'static str,
    story: Story,
}

struct Kind {
    property: &'static str,
    word: &'static str,
    unit: &'static str,
    range: [f64; 2],
    limits: [Option<f64>; 2],
    dead_band: f64,
    priority: u8,
}

const LEVEL: Kind = Kind {
    property: "水位",
    word: "level",
    unit: "m",
    range: [0.0, 8.0],
    limits: [None, Some(2.0)],
    dead_band: 0.2,
    priority: 2,
};
const PRESSURE: Kind = Kind {
    property: "压力",
    word: "pressure",
    unit: "MPa",
    range: [0.0, 1.6],
    limits: [Some(0.14), Some(0.6)],
    dead_band: 0.02,
    priority: 2,
};
const FLOW: Kind = Kind {
    property: "流量",
    word: "flow",
    unit: "m3/h",
    range: [0.0, 2000.0],
    limits: [None, Some(900.0)],
    dead_band: 20.0,
    priority: 3,
};
const GAS: Kind = Kind {
    property: "可燃气体",
    word: "gas",
    unit: "%LEL",
    range: [0.0, 100.0],
    limits: [None, Some(20.0)],
    dead_band: 2.0,
    priority: 1,
};
const WARMTH: Kind = Kind {
    property: "温度",
    word: "temperature",
    unit: "℃",
    range: [-20.0, 80.0],
    limits: [Some(5.0), Some(40.0)],
    dead_band: 1.0,
    priority: 2,
};
const OXYGEN: Kind = Kind {
    property: "氧气",
    word: "oxygen",
    unit: "%VOL",
    range: [0.0, 30.0],
    limits: [Some(19.5), Some(23.5)],
    dead_band: 0.2,
    priority: 1,
};
const DAMP: Kind = Kind {
    property: "湿度",
    word: "humidity",
    unit: "%RH",
    range: [0.0, 100.0],
    limits: [None, Some(90.0)],
    dead_band: 2.0,
    priority: 3,
};
const RAIN: Kind = Kind {
    property: "雨强",
    word: "rain",
    unit: "mm/h",
    range: [0.0, 300.0],
    limits: [None, Some(50.0)],
    dead_band: 5.0,
    priority: 2,
};
const TIDE: Kind = Kind {
    property: "潮位",
    word: "tide",
    unit: "m",
    range: [-4.0, 5.0],
    limits: [None, Some(2.4)],
    dead_band: 0.1,
    priority: 2,
};
const TILT: Kind = Kind {
    property: "倾斜",
    word: "tilt",
    unit: "mm/m",
    range: [-10.0, 10.0],
    limits: [Some(-2.0), Some(2.0)],
    dead_band: 0.1,
    priority: 2,
};
const DUST: Kind = Kind {
    property: "PM2.5",
    word: "pm25",
    unit: "ug/m3",
    range: [0.0, 1000.0],
    limits: [None, Some(75.0)],
    dead_band: 5.0,
    priority: 3,
};

/// The registry.
pub(crate) fn sensors(city: &City<'_>) -> Vec<Sensor> {
    let mut made: Vec<Sensor> = Vec::new();
    let mut random = Random::new(city.recipe.seed, "sensors");
    let mut add = |kind: &Kind, name: String, watches: String, at: DVec3, story: Story| {
        let id = format!("WL{:03}", made.len() + 1);
        let is_plain = made.len().is_multiple_of(3);
        let at = DVec3::new(millimetre(at.x), millimetre(at.y), millimetre(at.z));
        made.push(Sensor {
            topic: format!("haiwan/{}/{id}", kind.word),
            id,
            name,
            watches,
            property: kind.property,
            unit: kind.unit,
            at,
            range: kind.range,
            limits: kind.limits,
            dead_band: kind.dead_band,
            priority: kind.priority,
            format: if is_plain { "plain" } else { "/v" },
            story,
        });
    };
    let network = |service: Service| city.networks.iter().find(|n| n.service == service);
    if let Some(storm) = network(Service::Storm) {
        for (k, node) in spread(storm, "雨水井", 14, city).into_iter().enumerate() {
            let story = match k {
                2 => Story::Surcharge(3.4),
                7 => Story::Silent(14.0),
                _ => Story::Storm(random.range(0.7, 1.7)),
            };
            let (name, at) = (storm.id(node), storm.nodes[node].at);
            add(&LEVEL, format!("雨水井{name}水位计"), name, at.extend(storm.nodes[node].ground_m), story);
        }
    }
    if let Some(sewage) = network(Service::Sewage) {
        for (k, node) in spread(sewage, "污水井", 9, city).into_iter().enumerate() {
            let (name, at) = (sewage.id(node), sewage.nodes[node].at.extend(sewage.nodes[node].ground_m));
            match k {
                3 => add(&GAS, format!("污水井{name}可燃气体"), name, at, Story::Calm(3.0, 1.0)),
                _ => add(&LEVEL, format!("污水井{name}液位计"), name, at, Story::Storm(random.range(0.3, 0.9))),
            }
        }
    }
    if let Some(water) = network(Service::Water) {
        for (k, node) in spread(water, "阀门", 9, city).into_iter().enumerate() {
            let (name, at) = (water.id(node), water.nodes[node].at.extend(water.nodes[node].ground_m));
            match k {
                1 | 5 => add(&FLOW, format!("给水{name}流量计"), name, at, Story::Calm(420.0, 60.0)),
                4 => add(&PRESSURE, format!("给水{name}压力计"), name, at, Story::Broken(1.9)),
                _ => add(&PRESSURE, format!("给水{name}压力计"), name, at, Story::Calm(0.36, 0.03)),
            }
        }
    }
    if let Some(gas) = network(Service::Gas) {
        for (k, node) in spread(gas, "阀门", 7, city).into_iter().enumerate() {
            let (name, at) = (gas.id(node), gas.nodes[node].at.extend(gas.nodes[node].ground_m));
            let story = if k == 1 { Story::GasPeak(34.0) } else { Story::Calm(1.2, 0.8) };
            add(&GAS, format!("阀井{name}可燃气体"), name, at, story);
        }
    }
    for power in network(Service::Power).into_iter() {
        for node in spread(power, "人孔", 3, city) {
            let (name, at) = (power.id(node), power.nodes[node].at.extend(power.nodes[node].ground_m));
            add(&WARMTH, format!("电力井{name}温度"), name, at, Story::Calm(27.0, 1.5));
        }
    }
    for g in gallery::galleries(city) {
        let n = g.axis.len();
        for k in 0..3 {
            let at = g.axis[n * (2 * k + 1) / 6];
            add(&WARMTH, format!("{}{}区温度", g.name, k + 1), g.name.clone(), at, Story::Calm(24.0, 0.8));
            add(
                &OXYGEN,
                format!("{}{}区氧气", g.name, k + 1),
                g.name.clone(),
                at + DVec3::new(2.0, 0.0, 0.0),
                Story::Calm(20.8, 0.1),
            );
            add(
                &DAMP,
                format!("{}{}区湿度", g.name, k + 1),
                g.name.clone(),
                at + DVec3::new(4.0, 0.0, 0.0),
                Story::Calm(78.0, 4.0),
            );
        }
    }
    let window = city.recipe.extent();
    let on_ground = |p: DVec2, up: f64| p.extend(city.ground.at(p) + up);
    for (k, p) in [(1450.0, 1900.0), (640.0, 1700.0), (2300.0, 1100.0), (1220.0, 1180.0)].into_iter().enumerate() {
        let p = DVec2::new(p.0, p.1);
        if window.contains(p, 2.0) {
            add(
                &RAIN,
                format!("{}号雨量站", k + 1),
                String::new(),
                on_ground(p, 3.0),
                Story::Rain(56.0 + 9.0 * k as f64),
            );
            add(
                &DUST,
                format!("{}号空气站", k + 1),
                String::new(),
                on_ground(p + DVec2::new(4.0, 0.0), 3.5),
                Story::Calm(38.0, 7.0),
            );
        }
    }
    let pier = city.coast.moles().first().map(|(line, _)| line.points[line.points.len() - 1]);
    if let Some(p) = pier.filter(|p| window.contains(*p, 2.0)) {
        add(&TIDE, "栈桥验潮站".into(), String::new(), (p + DVec2::new(6.0, 0.0)).extend(3.6), Story::Tide);
    }
    let tall = city.buildings.iter().filter(|b| b.height_m > 120.0).take(5);
    for b in tall {
        let at = crate::plane::middle(&b.ring);
        add(&TILT, format!("{}倾斜", b.name), b.name.clone(), on_ground(at, b.height_m), Story::Calm(0.3, 0.15));
    }
    made
}

/// Nodes with a device, as far apart as so many can be: each next one is the farthest from those chosen.
fn spread(network: &Network, device: &str, count: usize, city: &City<'_>) -> Vec<usize> {
    let heart = city.recipe.extent().min + city.recipe.extent().size() * DVec2::new(0.42, 0.45);
    let all: Vec<usize> = (0..network.nodes.len()).filter(|k| network.nodes[*k].device == device).collect();
    let mut chosen: Vec<usize> = Vec::new();
    let mut far: Vec<f64> = all.iter().map(|k| 1e6 - network.nodes[*k].at.distance(heart)).collect();
    while chosen.len() < count.min(all.len()) {
        let best = (0..all.len()).fold(0, |b, k| if far[k] > far[b] { k } else { b });
        chosen.push(all[best]);
        for (k, node) in all.iter().enumerate() {
            far[k] = far[k].min(network.nodes[*node].at.distance(network.nodes[all[best]].at));
        }
    }
    chosen
}

/// The registry as a table.
pub(crate) fn registry(sensors: &[Sensor], city: &City<'_>) -> Table {
    let header = vec![
        "编号",
        "名称",
        "监测对象",
        "监测项",
        "单位",
        "X",
        "Y",
        "Z",
        "量程下限",
        "量程上限",
        "报警下限",
        "报警上限",
        "回差",
        "优先级",
        "上报间隔(s)",
        "主题",
        "格式",
    ];
    let shift = city.recipe.shift();
    let limit = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
    let rows = sensors.iter().map(|s| {
        vec![
            s.id.clone(),
            s.name.clone(),
            s.watches.clone(),
            s.property.to_owned(),
            s.unit.to_owned(),
            format!("{:.3}", s.at.y + shift.y),
            format!("{:.3}", s.at.x + shift.x),
            format!("{:.3}", s.at.z),
            s.range[0].to_string(),
            s.range[1].to_string(),
            limit(s.limits[0]),
            limit(s.limits[1]),
            s.dead_band.to_string(),
            s.priority.to_string(),
            city.recipe.readings.interval_s.to_string(),
            s.topic.clone(),
            s.format.to_owned(),
        ]
    });
    Table { rows: rows.collect(), header }
}

/// The recorded readings in order of time: 编号, 时间, 数值.
pub(crate) fn readings(sensors: &[Sensor], city: &City<'_>) -> Result<Vec<u8>, SampleError> {
    let plan = &city.recipe.readings;
    let start = chrono::DateTime::parse_from_rfc3339(&plan.start)
        .map_err(|e| SampleError::Recipe { place: "readings.start".into(), reason: e.to_string() })?;
    let step = f64::from(plan.interval_s);
    let rounds = (f64::from(plan.minutes) * 60.0 / step) as u32;
    let mut text = String::from("编号,时间,数值\r\n");
    for round in 0..=rounds {
        for (k, sensor) in sensors.iter().enumerate() {
            // sensors do not speak all at once
            let lag = (k % plan.interval_s as usize) as f64;
            let t = f64::from(round) * step + lag;
            let Some(value) = value(sensor, k as i64, i64::from(round), t, city.recipe.seed) else { continue };
            let when = start + chrono::Duration::milliseconds((t * 1000.0) as i64);
            let decimals = match sensor.unit {
                "MPa" | "m" | "mm/m" => 3,
                _ => 1,
            };
            text.push_str(&format!("{},{},{value:.decimals$}\r\n", sensor.id, when.format("%Y-%m-%dT%H:%M:%S%:z")));
        }
    }
    Ok(encoding_rs::GBK.encode(&text).0.into_owned())
}

/// Value at so many seconds after the start. The rain is falling already, and the first alarms come within seconds.
fn value(sensor: &Sensor, k: i64, round: i64, t: f64, seed: u64) -> Option<f64> {
    let shake = cell(seed ^ 99, k, round) - 0.5;
    let rain = 0.35 + 0.65 * ease(0.0, 420.0, t) * exp(-((t - 900.0).max(0.0) / 1300.0));
    let soaked = ease(-120.0, 1100.0, t) * (1.0 - 0.75 * ease(1700.0, 3600.0, t));
    Some(match sensor.story {
        Story::Storm(top) => 0.12 + top * soaked + 0.02 * shake,
        Story::Surcharge(top) => {
            1.9 + (top - 1.9) * ease(0.0, 40.0, t) * (1.0 - 0.8 * ease(1500.0, 2900.0, t)) + 0.02 * shake
        }
        Story::Calm(mean, swing) => mean + swing * (0.7 * sin(t / 410.0 + k as f64) + 0.6 * shake),
        Story::GasPeak(top) => {
            let first = top * ease(2.0, 26.0, t) * (1.0 - ease(260.0, 520.0, t));
            let second = 0.8 * top * ease(1500.0, 1640.0, t) * (1.0 - ease(1900.0, 2100.0, t));
            2.0 + first + second + 0.5 * shake
        }
        Story::Rain(top) => (top * rain * (1.0 + 0.25 * shake)).max(0.0),
        Story::Tide => 0.9 + 1.6 * sin(t / 7100.0 + 0.2) + 0.03 * shake,
        Story::Silent(until) => {
            if t > until {
                return None;
            }
            0.4 + 0.02 * shake
        }
        Story::Broken(wild) => {
            if t > 12.0 && (round / 9) % 2 == 0 {
                wild
            } else {
                0.36 + 0.01 * shake
            }
        }
    })
}
