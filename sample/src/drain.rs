//! Drains (排水): each street falls to the crossing from which the way to an outlet climbs least.

use glam::DVec2;

use crate::{
    coast::Coast,
    network::{Layer, Network, Pipe, Service, ceil_cm},
    recipe::SiteKind,
    terrain::Terrain,
};

impl Layer<'_> {
    /// Crossings from which a drain leaves the streets, with the place it goes to.
    fn outlets(&self, service: Service, coast: &Coast) -> Vec<(usize, DVec2)> {
        let crossings = &self.streets.crossings;
        let window = self.recipe.extent();
        let mut outlets: Vec<(usize, DVec2)> = Vec::new();
        let nearest = |at: DVec2| {
            (0..crossings.len()).min_by(|a, b| crossings[*a].distance(at).total_cmp(&crossings[*b].distance(at)))
        };
        if service == Service::Storm {
            let mut near: Vec<usize> =
                (0..crossings.len()).filter(|k| (15.0..150.0).contains(&coast.inland(crossings[*k]))).collect();
            near.sort_by(|a, b| coast.inland(crossings[*a]).total_cmp(&coast.inland(crossings[*b])));
            for k in near {
                if outlets.iter().all(|(o, _)| crossings[*o].distance(crossings[k]) > 330.0)
                    && let Some(sea) = seaward(coast, self.ground, crossings[k])
                    && window.contains(sea, 2.0)
                {
                    outlets.push((k, sea));
                }
            }
        } else {
            if let Some(site) = self.recipe.site(SiteKind::SewageWorks)
                && let Some(k) = nearest(site.at)
            {
                outlets.push((k, site.at + DVec2::new(40.0, 0.0)));
            }
            for at in [DVec2::new(1186.0, 1146.0), DVec2::new(2520.0, 792.0)] {
                if window.contains(at, 0.0)
                    && let Some(k) = nearest(at)
                {
                    outlets.push((k, crossings[k] + DVec2::new(9.0, -21.0)));
                }
            }
        }
        if outlets.is_empty() {
            let low = (0..crossings.len())
                .min_by(|a, b| self.ground.at(crossings[*a]).total_cmp(&self.ground.at(crossings[*b])));
            outlets.extend(low.map(|k| (k, crossings[k] + DVec2::new(6.0, -9.0))));
        }
        outlets
    }

    /// A gravity network; `above` is one that it must pass under at every crossing.
    pub fn drain(&self, service: Service, coast: &Coast, above: Option<&Network>) -> Network {
        let mut network = self.empty(service);
        let crossings = &self.streets.crossings;
        let n = crossings.len();
        let outlets = self.outlets(service, coast);
        let z: Vec<f64> = crossings.iter().map(|p| self.ground.at(*p)).collect();
        // each crossing drains along the way that climbs least and is shortest
        let mut cost = vec![f64::INFINITY; n];
        let mut down: Vec<Option<usize>> = vec![None; n];
        let mut done = vec![false; n];
        for (k, _) in &outlets {
            cost[*k] = 0.0;
        }
        let mut order = Vec::new();
        while let Some(v) =
            (0..n).filter(|v| !done[*v] && cost[*v].is_finite()).min_by(|a, b| cost[*a].total_cmp(&cost[*b]))
        {
            done[v] = true;
            order.push(v);
            for &s in &self.met[v] {
                let street = &self.streets.streets[s];
                if !self.has_pipes(street) {
                    continue;
                }
                let up = if street.ends[0] == v { street.ends[1] } else { street.ends[0] };
                let there = cost[v] + street.line.length() + 300.0 * (z[v] - z[up]).max(0.0);
                if there < cost[up] && !done[up] {
                    cost[up] = there;
                    down[up] = Some(s);
                }
            }
        }
        let floor = |at: DVec2, height: f64, crossing: Option<usize>| {
            let own = self.ground.at(at) - service.cover_m() - height;
            let under =
                above.zip(crossing).and_then(|(a, c)| hub_level(a, c)).map_or(f64::INFINITY, |l| l - 0.35 - height);
            own.min(under)
        };
        let mut load = vec![0.0f64; n];
        let mut level: Vec<f64> = (0..n).map(|v| floor(crossings[v], 0.4, Some(v))).collect();
        // streets that are nobody's way down drain from their upper end to their lower one
        let mut used = vec![false; self.streets.streets.len()];
        for s in down.iter().flatten() {
            used[*s] = true;
        }
        for (s, street) in self.streets.streets.iter().enumerate().filter(|(s, t)| !used[*s] && self.has_pipes(t)) {
            let (a, b) = (street.ends[0], street.ends[1]);
            let to = if cost[a] < cost[b] { a } else { b };
            let end = self.run(&mut network, s, to, None, 0.0, &floor);
            level[to] = level[to].min(end);
            load[to] += street.line.length();
        }
        for &v in order.iter().rev() {
            let Some(s) = down[v] else { continue };
            let street = &self.streets.streets[s];
            let to = if street.ends[0] == v { street.ends[1] } else { street.ends[0] };
            let carried = load[v] + street.line.length();
            let end = self.run(&mut network, s, to, Some(level[v]), load[v], &floor);
            level[to] = level[to].min(end);
            load[to] += carried;
        }
        for (k, sea) in outlets {
            self.outfall(&mut network, k, sea, level[k], load[k]);
        }
        network
    }

    /// One street's drain to the crossing `to`, from the other crossing's level or, without one, from a head of its own.
    /// Returns the level at which it arrives.
    fn run(
        &self,
        network: &mut Network,
        s: usize,
        to: usize,
        from: Option<f64>,
        load: f64,
        floor: &dyn Fn(DVec2, f64, Option<usize>) -> f64,
    ) -> f64 {
        let service = network.service;
        let street = &self.streets.streets[s];
        let is_forward = street.ends[1] == to && street.ends[0] != to || street.ends[0] == street.ends[1];
        let start = if is_forward { street.ends[0] } else { street.ends[1] };
        let mut places = self.places(street, service);
        if !is_forward {
            places.reverse();
        }
        let (size_mm, is_round) = drain_size(service, load + street.line.length());
        let height = f64::from(size_mm[1]) / 1000.0;
        let mut path: Vec<usize> = Vec::new();
        if from.is_some() {
            path.push(self.hub(network, start));
        }
        for (at, out) in places {
            let node =
                network.add_node(self.ground, at, "", if service == Service::Storm { "雨水井" } else { "污水井" });
            network.nodes[node].out = out;
            path.push(node);
        }
        let end = self.hub(network, to);
        path.push(end);
        let first = network.nodes[path[0]].at;
        let mut level = from.unwrap_or(f64::INFINITY).min(floor(first, height, Some(start)));
        let count = path.len();
        for k in 1..count {
            let (a, b) = (network.nodes[path[k - 1]].clone(), network.nodes[path[k]].clone());
            let near = if k + 2 >= count {
                Some(to)
            } else if k == 1 {
                Some(start)
            } else {
                None
            };
            let slope = if service == Service::Sewage { 0.0035 } else { 0.0031 };
            let next = (level - slope * a.at.distance(b.at)).min(floor(b.at, height, near));
            // rounded so that the fall survives two decimals of depth
            let depths_m = [ceil_cm(a.ground_m - level), ceil_cm(b.ground_m - next)];
            network.pipes.push(Pipe {
                ends: [path[k - 1], path[k]],
                depths_m,
                size_mm,
                is_round,
                is_size_missing: self.recipe.flaws && (network.pipes.len() % 397) == 200,
                material: if service == Service::Sewage && size_mm[0] < 600 { "聚乙烯" } else { "混凝土" },
                laying: if is_round { "直埋" } else { "管沟" },
                year: self.year(street, service),
                street: street.name.clone(),
            });
            level = next;
        }
        level
    }

    fn outfall(&self, network: &mut Network, crossing: usize, goal: DVec2, level: f64, load: f64) {
        let service = network.service;
        let (size_mm, is_round) = drain_size(service, load.max(2500.0));
        let hub = self.hub(network, crossing);
        let start = network.nodes[hub].at;
        let count = (start.distance(goal) / 45.0).ceil().max(1.0) as usize;
        let (mut last, mut level) = (hub, level);
        for k in 1..=count {
            let at = start + (goal - start) * k as f64 / count as f64;
            let device = match (service, k == count) {
                (Service::Storm, true) => "出水口",
                (Service::Storm, false) => "雨水井",
                (_, true) => "进水口",
                _ => "污水井",
            };
            let node = network.add_node(self.ground, at, "", device);
            let next = (level - 0.0035 * network.nodes[last].at.distance(at)).min(if k == count {
                f64::INFINITY
            } else {
                network.nodes[node].ground_m - 0.7 - f64::from(size_mm[1]) / 1000.0
            });
            let depths_m =
                [ceil_cm(network.nodes[last].ground_m - level), ceil_cm(network.nodes[node].ground_m - next)];
            network.pipes.push(Pipe {
                ends: [last, node],
                depths_m,
                size_mm,
                is_round,
                is_size_missing: false,
                material: "混凝土",
                laying: if is_round { "直埋" } else { "管沟" },
                year: 2008,
                street: "排海管".into(),
            });
            (last, level) = (node, next);
        }
    }
}

/// Level of the lowest pipe that meets a crossing's hub.
fn hub_level(network: &Network, crossing: usize) -> Option<f64> {
    let hub = network.hubs[crossing]?;
    network
        .pipes
        .iter()
        .flat_map(|p| [(p, 0), (p, 1)])
        .filter(|(p, end)| p.ends[*end] == hub)
        .map(|(p, end)| network.level_m(p, end))
        .min_by(f64::total_cmp)
}

/// Where a drain from a crossing meets the sea.
fn seaward(coast: &Coast, ground: &Terrain, from: DVec2) -> Option<DVec2> {
    let s = 12.0;
    let uphill = DVec2::new(
        coast.inland(from + DVec2::new(s, 0.0)) - coast.inland(from - DVec2::new(s, 0.0)),
        coast.inland(from + DVec2::new(0.0, s)) - coast.inland(from - DVec2::new(0.0, s)),
    );
    let down = -uphill.normalize_or_zero();
    (1..60).map(|k| from + down * (f64::from(k) * 5.0)).find(|p| coast.inland(*p) < -4.0 && ground.at(*p) < 0.0)
}

/// Inner size for the length of street that drains through.
fn drain_size(service: Service, load_m: f64) -> ([u32; 2], bool) {
    let steps: &[(f64, u32)] = if service == Service::Storm {
        &[(300.0, 500), (900.0, 600), (2000.0, 800), (4500.0, 1000), (8000.0, 1200), (13_000.0, 1500)]
    } else {
        &[(1500.0, 300), (5000.0, 400), (11_000.0, 500), (22_000.0, 600), (60_000.0, 800)]
    };
    match steps.iter().find(|(length, _)| load_m <= *length) {
        Some((_, dn)) => ([*dn; 2], true),
        None if service == Service::Storm => ([2200, 1600], false),
        None => ([1000, 1000], true),
    }
}
