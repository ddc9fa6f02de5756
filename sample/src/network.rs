//! Pipes under the streets (地下管线): pressure networks in loops, drains that fall to the sea or to the works.
//!
//! Every service keeps to its own strip of the street (order of GB 50289: 电力、通信、给水、燃气 outside, 雨水、污水 in the
//! carriageway) and to its own band of depth, in the crossing order of its clause 4.1.12: 通信, 电力, 燃气, 给水, 雨水, 污水
//! from the top down. So nothing clashes, except the few findings that `finding.rs` plants on purpose.

use std::collections::BTreeMap;

use glam::DVec2;

use crate::{
    building::Building,
    coast::Coast,
    plane::{millimetre, segment_distance},
    random::Random,
    recipe::{Grade, Recipe},
    street::{Street, Streets},
    terrain::Terrain,
};

/// Class of pipes (管线大类), with drainage told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Water,
    Storm,
    Sewage,
    Gas,
    Power,
    Telecom,
    Oil,
}

impl Service {
    /// Letters that ids and file names begin with (CJJ 61-2017).
    pub fn letters(self) -> &'static str {
        match self {
            Service::Water => "JS",
            Service::Storm => "YS",
            Service::Sewage => "WS",
            Service::Gas => "RQ",
            Service::Power => "DL",
            Service::Telecom => "TX",
            Service::Oil => "GY",
        }
    }

    /// Chinese name.
    pub fn zh(self) -> &'static str {
        match self {
            Service::Water => "给水",
            Service::Storm => "雨水",
            Service::Sewage => "污水",
            Service::Gas => "燃气",
            Service::Power => "电力",
            Service::Telecom => "通信",
            Service::Oil => "工业",
        }
    }

    /// Whether water runs by its own weight. Depths are then of the invert (管内底), else of the top (管顶).
    pub fn is_drain(self) -> bool {
        matches!(self, Service::Storm | Service::Sewage)
    }

    /// Metres to the left of the centre line.
    pub fn offset_m(self, street: &Street) -> f64 {
        let half = street.half_m();
        let (near, far) = match street.grade {
            Grade::Main | Grade::Secondary => (1.3, 3.2),
            Grade::Branch => (0.8, 2.2),
            Grade::Lane => (0.5, 1.7),
        };
        let drain = if street.grade == Grade::Main { 3.0 } else { (half * 0.42).max(1.3) };
        match self {
            Service::Telecom => half + far,
            Service::Gas => half + near,
            Service::Sewage => drain,
            Service::Storm => -drain,
            Service::Water => -(half + near),
            Service::Power | Service::Oil => -(half + far),
        }
    }

    fn hub(self) -> DVec2 {
        match self {
            Service::Water => DVec2::new(-2.6, -1.4),
            Service::Storm => DVec2::new(1.8, 1.0),
            Service::Sewage => DVec2::new(-1.2, 2.4),
            Service::Gas => DVec2::new(2.7, -2.1),
            Service::Power => DVec2::new(-3.8, 2.8),
            Service::Telecom | Service::Oil => DVec2::new(4.2, 0.4),
        }
    }

    fn spacing_m(self) -> f64 {
        match self {
            Service::Storm | Service::Sewage => 50.0,
            Service::Water => 80.0,
            _ => 110.0,
        }
    }

    /// Soil above the pipe, metres.
    pub fn cover_m(self) -> f64 {
        match self {
            Service::Telecom => 0.65,
            Service::Power => 1.05,
            Service::Gas => 1.50,
            Service::Water => 1.85,
            Service::Storm | Service::Sewage | Service::Oil => 2.65,
        }
    }

    fn serves(self, grade: Grade) -> bool {
        match self {
            Service::Gas | Service::Power | Service::Telecom => grade != Grade::Lane,
            _ => true,
        }
    }
}

/// Point of a network (管点).
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub at: DVec2,
    pub ground_m: f64,
    pub feature: &'static str,
    pub device: &'static str,
    /// Depth of the well's floor.
    pub well_m: Option<f64>,
    /// Towards the side of the street that it serves.
    pub out: DVec2,
}

/// Segment of a network (管线), from start to end; drains run that way.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    pub ends: [usize; 2],
    /// Depth below ground at each end, metres: of the invert for drains, of the top for others.
    pub depths_m: [f64; 2],
    /// Inner width and height in millimetres; equal numbers with `is_round` for pipes.
    pub size_mm: [u32; 2],
    pub is_round: bool,
    /// Whether the survey could not tell the size.
    pub is_size_missing: bool,
    pub material: &'static str,
    pub laying: &'static str,
    pub year: i64,
    pub street: String,
}

impl Pipe {
    /// Size as it stands in the table.
    pub fn size(&self) -> String {
        match (self.is_size_missing, self.is_round) {
            (true, _) => "*".into(),
            (_, true) => self.size_mm[0].to_string(),
            _ => format!("{}X{}", self.size_mm[0], self.size_mm[1]),
        }
    }

    fn height_m(&self) -> f64 {
        f64::from(self.size_mm[1]) / 1000.0
    }
}

/// All pipes of one service.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub service: Service,
    pub nodes: Vec<Node>,
    pub pipes: Vec<Pipe>,
    /// Node at each street crossing.
    pub hubs: Vec<Option<usize>>,
}

impl Network {
    /// Id of a node in the tables.
    pub fn id(&self, node: usize) -> String {
        format!("{}{:05}", self.service.letters(), node + 1)
    }

    /// Height of a pipe's invert (drains) or top at one of its ends.
    pub fn level_m(&self, pipe: &Pipe, end: usize) -> f64 {
        self.nodes[pipe.ends[end]].ground_m - pipe.depths_m[end]
    }

    pub(crate) fn add_node(
        &mut self,
        ground: &Terrain,
        at: DVec2,
        feature: &'static str,
        device: &'static str,
    ) -> usize {
        let at = DVec2::new(millimetre(at.x), millimetre(at.y));
        let ground_m = millimetre(ground.at(at));
        self.nodes.push(Node { at, ground_m, feature, device, well_m: None, out: DVec2::ZERO });
        self.nodes.len() - 1
    }
}

/// What a network is laid under and along.
pub(crate) struct Layer<'a> {
    pub recipe: &'a Recipe,
    pub ground: &'a Terrain,
    pub streets: &'a Streets,
    /// Streets that meet at each crossing.
    pub met: Vec<Vec<usize>>,
}

/// All networks of the city, in the order of their letters' use in the tables.
pub(crate) fn networks(
    recipe: &Recipe,
    coast: &Coast,
    ground: &Terrain,
    streets: &Streets,
    buildings: &[Building],
) -> Vec<Network> {
    let layer = Layer { recipe, ground, streets, met: streets.at_crossing() };
    let mut made = Vec::new();
    made.push(layer.pressure(Service::Water));
    let storm = layer.drain(Service::Storm, coast, None);
    let sewage = layer.drain(Service::Sewage, coast, Some(&storm));
    made.push(storm);
    made.push(sewage);
    for service in [Service::Gas, Service::Power, Service::Telecom] {
        made.push(layer.pressure(service));
    }
    for network in &mut made {
        layer.connect(network, buildings);
        finish(network);
    }
    made
}

impl Layer<'_> {
    pub fn year(&self, street: &Street, service: Service) -> i64 {
        let key = street.name.bytes().map(i64::from).sum::<i64>() + service as i64 * 7;
        match street.grade {
            Grade::Main => 2006 + key % 14,
            Grade::Lane => 1972 + key % 30,
            _ => 1986 + key % 34,
        }
    }

    /// No pipes climb a hill road: what stands up there has its own well and tank.
    pub fn has_pipes(&self, street: &Street) -> bool {
        let middle = street.line.at(street.line.length() / 2.0).0;
        self.recipe
            .hills
            .iter()
            .all(|h| h.reach(middle) > 0.9 || (h.reach(middle) > 0.5 && street.grade != Grade::Lane))
    }

    pub fn empty(&self, service: Service) -> Network {
        Network { service, nodes: Vec::new(), pipes: Vec::new(), hubs: vec![None; self.streets.crossings.len()] }
    }

    pub fn hub(&self, network: &mut Network, crossing: usize) -> usize {
        if let Some(node) = network.hubs[crossing] {
            return node;
        }
        let mut at = self.streets.crossings[crossing] + network.service.hub();
        if let [a, b] = self.met[crossing][..]
            && self.streets.streets[a].name == self.streets.streets[b].name
        {
            // a way point of one street: the pipe passes in its own strip
            let street = &self.streets.streets[a];
            let way = if street.ends[0] == crossing { 0.0 } else { street.line.length() };
            let (p, along) = street.line.at(way);
            at = p + along.perp() * network.service.offset_m(street);
        }
        let node = network.add_node(self.ground, at, "", "");
        network.hubs[crossing] = Some(node);
        node
    }

    /// Places of a service along a street, without the two hubs.
    pub fn places(&self, street: &Street, service: Service) -> Vec<(DVec2, DVec2)> {
        let length = street.line.length();
        let trim = (length * 0.3).min(street.half_m().max(8.0) + 5.0);
        let count = ((length - 2.0 * trim) / service.spacing_m()).round().max(1.0) as usize;
        let offset = service.offset_m(street);
        (0..=count)
            .map(|k| {
                let (p, along) = street.line.at(trim + (length - 2.0 * trim) * k as f64 / count as f64);
                (p + along.perp() * offset, along.perp() * offset.signum())
            })
            .collect()
    }

    fn pressure(&self, service: Service) -> Network {
        let mut network = self.empty(service);
        let mut random = Random::new(self.recipe.seed, service.letters());
        for street in self.streets.streets.iter().filter(|s| service.serves(s.grade) && self.has_pipes(s)) {
            let mut path = vec![self.hub(&mut network, street.ends[0])];
            for (k, (at, out)) in self.places(street, service).into_iter().enumerate() {
                let device = match (service, k) {
                    (Service::Water, 0) => "阀门",
                    (Service::Water, k) if k % 2 == 1 => "消防栓",
                    (Service::Gas, 0) => "阀门",
                    (Service::Gas, 2) => "凝水缸",
                    (Service::Power, _) => "人孔",
                    (Service::Telecom, k) if k % 2 == 0 => "人孔",
                    (Service::Telecom, _) => "手孔",
                    _ => "",
                };
                let node = network.add_node(self.ground, at, if device.is_empty() { "直线点" } else { "" }, device);
                network.nodes[node].out = out;
                path.push(node);
            }
            path.push(self.hub(&mut network, street.ends[1]));
            let grade = street.grade as usize;
            let (size_mm, is_round, material, laying) = match service {
                Service::Water => {
                    ([600, 300, 200, 150][grade], true, ["球墨铸铁", "球墨铸铁", "球墨铸铁", "铸铁"][grade], "直埋")
                }
                Service::Gas => {
                    ([200, 200, 160, 110][grade], true, ["钢", "聚乙烯", "聚乙烯", "聚乙烯"][grade], "直埋")
                }
                Service::Power => (0, false, "玻璃钢", "管块"),
                _ => (1, false, "聚氯乙烯", "管块"),
            };
            let size_mm = match (is_round, service) {
                (true, _) => [size_mm; 2],
                (_, Service::Power) => [[800, 300], [600, 300], [450, 300], [450, 300]][grade],
                _ => [[600, 250], [400, 250], [300, 200], [300, 200]][grade],
            };
            let year = self.year(street, service);
            for ends in path.windows(2) {
                let depth = |node: usize| {
                    // one depth a node: every pipe that meets there agrees
                    let wobble = crate::random::cell(self.recipe.seed ^ service as u64, node as i64, 7) * 0.06 - 0.03;
                    ((service.cover_m() + wobble) * 100.0).round() / 100.0
                };
                network.pipes.push(Pipe {
                    ends: [ends[0], ends[1]],
                    depths_m: [depth(ends[0]), depth(ends[1])],
                    size_mm,
                    is_round,
                    is_size_missing: self.recipe.flaws && random.chance(0.003),
                    material,
                    laying,
                    year,
                    street: street.name.clone(),
                });
            }
        }
        network
    }

    /// Service connections from the street's pipe to the buildings on its side.
    fn connect(&self, network: &mut Network, buildings: &[Building]) {
        let service = network.service;
        let (likely, reach) = match service {
            Service::Water => (0.30, 30.0),
            Service::Sewage => (0.26, 30.0),
            Service::Gas => (0.22, 28.0),
            Service::Power => (0.12, 26.0),
            _ => return,
        };
        let mut random = Random::new(self.recipe.seed ^ 77, service.letters());
        let mut cells: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
        let key = |p: DVec2| ((p.x / 40.0).floor() as i64, (p.y / 40.0).floor() as i64);
        for (k, node) in network.nodes.iter().enumerate().filter(|(_, n)| n.out != DVec2::ZERO) {
            cells.entry(key(node.at)).or_default().push(k);
        }
        let depth_at: BTreeMap<usize, (f64, u32)> = network
            .pipes
            .iter()
            .flat_map(|p| [(p.ends[0], (p.depths_m[0], p.size_mm[1])), (p.ends[1], (p.depths_m[1], p.size_mm[1]))])
            .collect();
        for building in buildings.iter().filter(|b| b.name != "回澜阁") {
            if !random.chance(likely) {
                continue;
            }
            let middle = crate::plane::middle(&building.ring);
            let (i, j) = key(middle);
            let mut best: Option<(f64, usize, DVec2)> = None;
            for (di, dj) in [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)] {
                for &k in cells.get(&(i + di, j + dj)).into_iter().flatten() {
                    let node = &network.nodes[k];
                    let wall = nearest_wall(building, node.at);
                    let d = wall.distance(node.at);
                    let ahead = (wall - node.at).dot(node.out) / d.max(0.1);
                    if d < reach && d > 2.0 && ahead > 0.5 && best.is_none_or(|(b, ..)| d < b) {
                        best = Some((d, k, wall));
                    }
                }
            }
            let Some((d, k, wall)) = best else { continue };
            let Some(&(depth, _)) = depth_at.get(&k) else { continue };
            let node = network.add_node(self.ground, wall, "进户", "");
            let (a, b) = (network.nodes[k].ground_m, network.nodes[node].ground_m);
            let (ends, depths_m, size, material) = match service {
                Service::Sewage => {
                    // falls from the building into the manhole, arriving above its invert
                    let lowest = a - depth + 0.05;
                    let leave = (b - 2.7).max(lowest + 0.01 * d + 0.02);
                    if b - leave < 0.8 {
                        network.nodes.pop();
                        continue;
                    }
                    let arrive = lowest.max(leave - 0.03 * d);
                    ([node, k], [floor_cm(b - leave), ceil_cm(a - arrive)], 200, "聚乙烯")
                }
                Service::Water => ([k, node], [depth, 1.85], 100, "聚乙烯"),
                Service::Gas => ([k, node], [depth, 1.5], 63, "聚乙烯"),
                _ => ([k, node], [depth, 1.05], 150, "玻璃钢"),
            };
            let pipe = Pipe {
                ends,
                depths_m,
                size_mm: [size; 2],
                is_round: true,
                is_size_missing: false,
                material,
                laying: if service == Service::Power { "管埋" } else { "直埋" },
                year: building.year.max(1985),
                street: building.name.clone(),
            };
            network.pipes.push(pipe);
        }
    }
}

fn nearest_wall(building: &Building, p: DVec2) -> DVec2 {
    let n = building.ring.len();
    let mut best = (f64::INFINITY, building.ring[0]);
    for i in 0..n {
        let (a, b) = (building.ring[i], building.ring[(i + 1) % n]);
        let (d, t) = segment_distance(p, a, b);
        if d < best.0 {
            best = (d, a + (b - a) * t.clamp(0.15, 0.85));
        }
    }
    best.1 + (p - best.1).normalize_or_zero() * 0.3
}

fn floor_cm(depth: f64) -> f64 {
    (depth * 100.0).floor() / 100.0
}

/// Up to whole centimetres, and not above ground.
pub(crate) fn ceil_cm(depth: f64) -> f64 {
    ((depth * 100.0).ceil() / 100.0).max(0.0)
}

/// Names nodes by how many pipes meet there and gives wells their floors.
pub(crate) fn finish(network: &mut Network) {
    let n = network.nodes.len();
    let mut links = vec![0usize; n];
    let mut deepest = vec![0f64; n];
    for pipe in &network.pipes {
        for end in 0..2 {
            links[pipe.ends[end]] += 1;
            let bottom = pipe.depths_m[end] + if network.service.is_drain() { 0.0 } else { pipe.height_m() };
            deepest[pipe.ends[end]] = deepest[pipe.ends[end]].max(bottom);
        }
    }
    for (k, node) in network.nodes.iter_mut().enumerate() {
        if node.feature.is_empty() && node.device.is_empty() {
            match network.service {
                Service::Storm => node.device = "雨水井",
                Service::Sewage => node.device = "污水井",
                Service::Power | Service::Telecom => node.device = "人孔",
                _ => {
                    node.feature = match links[k] {
                        0 | 1 => "起讫点",
                        2 => "弯头",
                        3 => "三通",
                        4 => "四通",
                        _ => "多通",
                    }
                }
            }
        }
        if matches!(node.device, "雨水井" | "污水井" | "人孔" | "手孔" | "阀门") && deepest[k] > 0.0 {
            node.well_m = Some(ceil_cm(deepest[k] + if network.service.is_drain() { 0.1 } else { 0.3 }));
        }
    }
}
