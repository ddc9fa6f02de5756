//! Tests of networks: what can be said only once all lines and nodes are known.

use std::collections::HashMap;

use glam::{DVec2, DVec3};

use super::{
    Verdict,
    attribute::{self, Outcome, PASS},
    rule::Test,
    shape,
};
use crate::model::{CityObject, Class, Geometry, Value};

/// Lines and nodes that are remembered; beyond them the network is not judged.
const MOST: usize = 16_000_000;

/// Lines and nodes of one layer.
#[derive(Default)]
pub(super) struct Network {
    pub lines: Vec<Line>,
    pub nodes: Vec<Node>,
    by_key: HashMap<String, u32>,
    pub is_cut: bool,
}

/// A line of the network.
pub(super) struct Line {
    pub id: String,
    pub record: u64,
    pub class: Class,
    pub kind: String,
    pub ends: [Option<String>; 2],
    pub places: [DVec3; 2],
    /// The places next to the ends, in plan: where the line goes from there.
    next: [DVec2; 2],
    /// Whether its heights are assumed, so that they prove nothing.
    is_guessed: bool,
    /// From the first end to the second, where the source says which way it flows.
    pub is_forward: Option<bool>,
}

/// A node of the network.
pub(super) struct Node {
    pub id: String,
    pub record: u64,
    pub class: Class,
    pub kind: String,
    pub place: DVec3,
    /// Whether it has a place; one that has none, such as a pump that is told by its ends alone, is there but not judged.
    is_placed: bool,
    /// Height of the bottom of a well.
    bottom: Option<f64>,
    /// Words of its attributes, for rules about nodes of a kind.
    words: Vec<(String, String)>,
    links: u32,
    low: f64,
    high: f64,
}

/// A verdict on one line or node.
pub(super) struct Judged<'a> {
    pub id: &'a str,
    pub record: u64,
    pub place: DVec3,
    pub outcome: Outcome,
}

fn text(object: &CityObject, key: &str) -> Option<String> {
    object.value(key).map(Value::to_string)
}

impl Network {
    /// Takes a line or a node; other objects are passed over.
    pub fn take(&mut self, object: &CityObject) {
        if self.lines.len() + self.nodes.len() >= MOST {
            self.is_cut = true;
            return;
        }
        let kind = text(object, "pipe_kind").unwrap_or_default();
        match &object.geometry {
            Geometry::Tube(tube) => {
                let (Some(first), Some(last)) = (tube.axis.first(), tube.axis.last()) else { return };
                self.lines.push(Line {
                    id: object.id.0.clone(),
                    record: object.record,
                    class: object.class,
                    kind,
                    ends: [tube.from.clone(), tube.to.clone()],
                    places: [*first, *last],
                    next: [tube.axis.get(1).unwrap_or(last), tube.axis.iter().nth_back(1).unwrap_or(first)]
                        .map(|v| v.truncate()),
                    is_guessed: object.attributes.iter().any(|a| a.is_defaulted() && shape::is_height(&a.key)),
                    is_forward: text(object, "flow").and_then(|flow| direction(&flow)),
                });
            }
            _ if matches!(object.class, Class::PipeNode | Class::Manhole) => {
                let place = object.geometry.extent();
                let is_guessed = object.attributes.iter().any(|a| a.is_defaulted());
                let words = ["feature", "appurtenance"];
                let words = words.iter().filter_map(|key| Some(((*key).to_owned(), text(object, key)?))).collect();
                let key = object.id.0.split_once('/').map_or(object.id.as_str(), |(_, key)| key);
                self.by_key.entry(key.to_owned()).or_insert(self.nodes.len() as u32);
                self.nodes.push(Node {
                    id: object.id.0.clone(),
                    record: object.record,
                    class: object.class,
                    kind,
                    place: if place.is_empty() { DVec3::ZERO } else { place.centre().with_z(place.max.z) },
                    is_placed: !place.is_empty(),
                    bottom: match &object.geometry {
                        Geometry::Shaft(shaft) => Some(shaft.top.z - shaft.depth_m).filter(|_| !is_guessed),
                        _ => None,
                    },
                    words,
                    links: 0,
                    low: f64::INFINITY,
                    high: f64::NEG_INFINITY,
                });
            }
            _ => {}
        }
    }

    fn node(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).map(|n| *n as usize)
    }
}

/// Loose ends that lie close to another loose end: each pair once. An end is loose where no other line of its kind names
/// its node or ends at its place.
fn gaps<'a>(lines: &[&'a Line], tolerance_m: f64, reach_m: f64, say: &mut impl FnMut(Judged<'a>)) {
    let reach = reach_m.max(1e-3);
    let cell = |place: DVec3| (place.truncate() / reach).floor().to_array().map(|v| v as i64);
    let mut named: HashMap<&str, u32> = HashMap::new();
    let mut grid: HashMap<[i64; 2], Vec<(u32, u8)>> = HashMap::new();
    for (number, line) in lines.iter().enumerate() {
        for end in 0..2 {
            if let Some(key) = line.ends[end].as_deref() {
                *named.entry(key).or_default() += 1;
            }
            grid.entry(cell(line.places[end])).or_default().push((number as u32, end as u8));
        }
    }
    let near = |line: usize, end: usize| {
        let place = lines[line].places[end];
        let [x, y] = cell(place);
        let around = (-1..=1).flat_map(move |dx| (-1..=1).map(move |dy| [x + dx, y + dy]));
        let all = around.filter_map(|key| grid.get(&key)).flatten();
        let others = all.filter(move |(number, _)| *number as usize != line);
        let alike = others.filter(move |(number, _)| lines[*number as usize].kind == lines[line].kind);
        alike.map(move |(n, e)| {
            (*n as usize, usize::from(*e), lines[*n as usize].places[usize::from(*e)].distance(place))
        })
    };
    let is_loose = |line: usize, end: usize| {
        let is_joined = lines[line].ends[end].as_deref().is_some_and(|key| named.get(key).is_some_and(|n| *n > 1));
        !is_joined && near(line, end).all(|(_, _, distance)| distance > tolerance_m)
    };
    for (number, line) in lines.iter().enumerate() {
        for end in 0..2 {
            let closest = near(number, end).filter(|(_, _, distance)| *distance <= reach);
            let closest = closest.min_by(|a, b| a.2.total_cmp(&b.2).then((a.0, a.1).cmp(&(b.0, b.1))));
            let outcome = match closest {
                Some((other, at, distance)) if is_loose(number, end) && is_loose(other, at) => {
                    if other < number {
                        continue; // told by the other
                    }
                    (Verdict::Review, format!("{distance:.3}"), lines[other].id.clone())
                }
                _ => PASS,
            };
            say(Judged { id: &line.id, record: line.record, place: line.places[end], outcome });
        }
    }
}

/// Which way a flow attribute points: 1, +, 正, `起点→终点` along the line, -1, 负 against it.
fn direction(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "+" | "正" | "正向" | "顺" | "起点到终点" | "forward" => Some(true),
        "-1" | "-" | "负" | "反" | "反向" | "逆" | "终点到起点" | "backward" => Some(false),
        _ => None,
    }
}

/// All networks together. A layer of lines without nodes of its own looks for them in the others.
#[derive(Default)]
pub(super) struct Networks {
    layers: Vec<(String, Network)>,
}

impl Networks {
    /// The network of a layer.
    pub fn layer(&mut self, name: &str) -> &mut Network {
        if let Some(at) = self.layers.iter().position(|(n, _)| n == name) {
            return &mut self.layers[at].1;
        }
        self.layers.push((name.to_owned(), Network::default()));
        let last = self.layers.len() - 1;
        &mut self.layers[last].1
    }

    /// Layer and number of the node that a line of `layer` names.
    fn find(&self, layer: usize, key: &str) -> Option<(usize, usize)> {
        let own = &self.layers[layer].1;
        if !own.nodes.is_empty() {
            return own.node(key).map(|n| (layer, n));
        }
        self.layers.iter().enumerate().find_map(|(at, (_, network))| Some((at, network.node(key)?)))
    }

    /// Counts the links of every node, and how high its lines meet in it.
    pub fn join(&mut self) {
        for layer in 0..self.layers.len() {
            for line in 0..self.layers[layer].1.lines.len() {
                for end in 0..2 {
                    let line = &self.layers[layer].1.lines[line];
                    let z = line.places[end].z;
                    let Some((at, node)) = line.ends[end].as_deref().and_then(|key| self.find(layer, key)) else {
                        continue;
                    };
                    let node = &mut self.layers[at].1.nodes[node];
                    node.links += 1;
                    (node.low, node.high) = (node.low.min(z), node.high.max(z));
                }
            }
        }
    }

    /// Judges every line or node of every layer by a network test.
    pub fn judge(&self, test: &Test, applies: impl Fn(Class, &str) -> bool, mut say: impl FnMut(&str, Judged<'_>)) {
        for (at, (layer, network)) in self.layers.iter().enumerate() {
            if network.is_cut {
                continue;
            }
            let lines = network.lines.iter().filter(|l| applies(l.class, &l.kind));
            let nodes = network.nodes.iter().filter(|n| n.is_placed && applies(n.class, &n.kind));
            let on_line = |line: &Line| line.places[0].midpoint(line.places[1]);
            match test {
                Test::EndsDiffer {} => lines.for_each(|line| {
                    let outcome = match &line.ends {
                        [Some(a), Some(b)] if a == b => (Verdict::Fail, a.clone(), String::new()),
                        [Some(_), Some(_)] => PASS,
                        _ => (Verdict::Unknown, "from, to".into(), String::new()),
                    };
                    say(layer, Judged { id: &line.id, record: line.record, place: line.places[0], outcome });
                }),
                Test::EndsExist {} => lines.for_each(|line| {
                    for end in 0..2 {
                        let outcome = match &line.ends[end] {
                            None => (Verdict::Unknown, ["from", "to"][end].into(), String::new()),
                            Some(key) if self.find(at, key).is_none() => (Verdict::Fail, key.clone(), String::new()),
                            Some(_) => PASS,
                        };
                        say(layer, Judged { id: &line.id, record: line.record, place: line.places[end], outcome });
                    }
                }),
                Test::DoubleSegment {} => {
                    let mut seen: HashMap<[&str; 2], &str> = HashMap::new();
                    for line in lines {
                        let outcome = match &line.ends {
                            [Some(a), Some(b)] => match seen.insert([a.min(b), a.max(b)], &line.id) {
                                Some(other) => (Verdict::Fail, format!("{a}–{b}"), other.to_owned()),
                                None => PASS,
                            },
                            _ => (Verdict::Unknown, "from, to".into(), String::new()),
                        };
                        say(layer, Judged { id: &line.id, record: line.record, place: on_line(line), outcome });
                    }
                }
                Test::GravityFlow { tolerance_m } => lines.for_each(|line| {
                    let outcome = match line.is_forward {
                        None => (Verdict::Unknown, "flow".into(), String::new()),
                        Some(is_forward) => {
                            let rise = (line.places[1].z - line.places[0].z) * if is_forward { 1.0 } else { -1.0 };
                            if rise > *tolerance_m {
                                (Verdict::Fail, format!("{rise:.2}"), tolerance_m.to_string())
                            } else {
                                PASS
                            }
                        }
                    };
                    say(layer, Judged { id: &line.id, record: line.record, place: on_line(line), outcome });
                }),
                Test::AtNode { tolerance_m } => lines.for_each(|line| {
                    for (end, place) in line.places.iter().enumerate() {
                        // A node that does not exist is another rule's business.
                        let node = line.ends[end].as_deref().and_then(|key| self.find(at, key));
                        let Some((of, node)) = node.filter(|(of, node)| self.layers[*of].1.nodes[*node].is_placed)
                        else {
                            continue;
                        };
                        let off = self.layers[of].1.nodes[node].place.truncate().distance(place.truncate());
                        let outcome = match off > *tolerance_m {
                            true => (Verdict::Fail, format!("{off:.2}"), tolerance_m.to_string()),
                            false => PASS,
                        };
                        say(layer, Judged { id: &line.id, record: line.record, place: *place, outcome });
                    }
                }),
                Test::InWell { tolerance_m } => lines.for_each(|line| {
                    for (end, place) in line.places.iter().enumerate() {
                        let node = line.ends[end].as_deref().and_then(|key| self.find(at, key));
                        let Some(node) = node.map(|(of, node)| &self.layers[of].1.nodes[node]) else { continue };
                        let Some(bottom) = node.bottom else { continue };
                        let outcome = match (bottom - place.z, place.z - node.place.z) {
                            _ if line.is_guessed => (Verdict::Unknown, "z".into(), String::new()),
                            (below, _) if below > *tolerance_m => {
                                (Verdict::Review, format!("-{below:.2}"), node.id.clone())
                            }
                            (_, above) if above > *tolerance_m => {
                                (Verdict::Review, format!("+{above:.2}"), node.id.clone())
                            }
                            _ => PASS,
                        };
                        say(layer, Judged { id: &line.id, record: line.record, place: *place, outcome });
                    }
                }),
                Test::Gap { tolerance_m, reach_m } => {
                    let lines: Vec<&Line> = lines.collect();
                    gaps(&lines, *tolerance_m, *reach_m, &mut |judged| say(layer, judged));
                }
                Test::Turn { min } => {
                    let mut meeting: HashMap<&str, Vec<(&Line, usize)>> = HashMap::new();
                    for line in lines {
                        for end in 0..2 {
                            if let Some(key) = line.ends[end].as_deref() {
                                meeting.entry(key).or_default().push((line, end));
                            }
                        }
                    }
                    let mut meeting: Vec<_> = meeting.into_iter().filter(|(_, ends)| ends.len() == 2).collect();
                    meeting.sort_unstable_by_key(|(key, _)| *key);
                    for (key, ends) in meeting {
                        let (line, end) = ends[0];
                        let away = |(line, end): &(&Line, usize)| line.next[*end] - line.places[*end].truncate();
                        let angle = away(&ends[0]).angle_to(away(&ends[1])).abs().to_degrees();
                        let outcome = match angle < *min {
                            true => (Verdict::Review, format!("{angle:.0}"), key.to_owned()),
                            false => PASS,
                        };
                        say(layer, Judged { id: &line.id, record: line.record, place: line.places[end], outcome });
                    }
                }
                Test::NodeLinked {} => nodes.for_each(|node| {
                    let outcome = if node.links == 0 { (Verdict::Fail, String::new(), String::new()) } else { PASS };
                    say(layer, Judged { id: &node.id, record: node.record, place: node.place, outcome });
                }),
                Test::Links { min, max, field, contains } => nodes.for_each(|node| {
                    let is_meant = match (field, contains) {
                        (Some(field), Some(part)) => {
                            node.words.iter().any(|(key, word)| key == field && word.contains(part.as_str()))
                        }
                        _ => true,
                    };
                    if !is_meant {
                        return;
                    }
                    let outcome = if (*min..=*max).contains(&node.links) {
                        PASS
                    } else {
                        let limit = attribute::limits(Some(f64::from(*min)), Some(f64::from(*max)));
                        (Verdict::Fail, node.links.to_string(), limit)
                    };
                    say(layer, Judged { id: &node.id, record: node.record, place: node.place, outcome });
                }),
                Test::NodeHeights { tolerance_m } => nodes.filter(|n| n.links > 1).for_each(|node| {
                    let spread = node.high - node.low;
                    let outcome = if spread > *tolerance_m {
                        // A drop manhole or a reducer may be meant.
                        (Verdict::Review, format!("{spread:.2}"), tolerance_m.to_string())
                    } else {
                        PASS
                    };
                    say(layer, Judged { id: &node.id, record: node.record, place: node.place, outcome });
                }),
                Test::Connected { least } => self.pieces(at, &applies, *least, &mut |judged| say(layer, judged)),
                _ => {}
            }
        }
    }

    /// The pieces that the lines of a layer fall into; one verdict a piece.
    fn pieces<'a>(
        &'a self,
        layer: usize,
        applies: &impl Fn(Class, &str) -> bool,
        least: u32,
        say: &mut impl FnMut(Judged<'a>),
    ) {
        let network = &self.layers[layer].1;
        let mut number: HashMap<&str, usize> = HashMap::new();
        let mut parent: Vec<usize> = Vec::new();
        fn root(parent: &mut [usize], mut at: usize) -> usize {
            while parent[at] != at {
                parent[at] = parent[parent[at]];
                at = parent[at];
            }
            at
        }
        let mut lines = Vec::new();
        for line in network.lines.iter().filter(|l| applies(l.class, &l.kind)) {
            let [Some(a), Some(b)] = &line.ends else { continue };
            let [a, b] = [a, b].map(|key| {
                *number.entry(key.as_str()).or_insert_with(|| {
                    parent.push(parent.len());
                    parent.len() - 1
                })
            });
            let (a, b) = (root(&mut parent, a), root(&mut parent, b));
            parent[a.max(b)] = a.min(b);
            lines.push((line, a));
        }
        let mut pieces: HashMap<usize, (u32, &Line)> = HashMap::new();
        for (line, node) in lines {
            pieces.entry(root(&mut parent, node)).or_insert((0, line)).0 += 1;
        }
        let mut pieces: Vec<_> = pieces.into_iter().collect();
        pieces.sort_unstable_by_key(|(root, _)| *root);
        let is_whole = pieces.len() <= 1;
        for (_, (count, line)) in pieces {
            let outcome =
                if is_whole || count >= least { PASS } else { (Verdict::Review, count.to_string(), least.to_string()) };
            say(Judged { id: &line.id, record: line.record, place: line.places[0], outcome });
        }
    }
}
