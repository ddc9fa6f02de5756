//! Tests of networks: what can be said only once all lines and nodes are known.

use std::collections::HashMap;

use glam::DVec3;

use super::{
    Verdict,
    attribute::{self, Outcome, PASS},
    rule::Test,
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
                    is_forward: text(object, "flow").and_then(|flow| direction(&flow)),
                });
            }
            _ if matches!(object.class, Class::PipeNode | Class::Manhole) => {
                let place = object.geometry.extent();
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
            let nodes = network.nodes.iter().filter(|n| applies(n.class, &n.kind));
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
