//! Streets (道路): hand-drawn and grid lines, cut at their crossings into a graph.

use glam::DVec2;

use crate::{
    coast::Coast,
    plane::{Line, Window, crossing},
    random::Random,
    recipe::{Grade, Recipe},
};

/// A street between two crossings.
#[derive(Clone, Debug)]
pub(crate) struct Street {
    pub name: String,
    pub grade: Grade,
    /// Carriageway, kerb to kerb.
    pub width_m: f64,
    pub lanes: u32,
    /// Crossing at the start of the line and at its end.
    pub ends: [usize; 2],
    pub line: Line,
}

impl Street {
    /// Half the carriageway.
    pub fn half_m(&self) -> f64 {
        self.width_m / 2.0
    }

    /// From the centre line to the back of the pavement.
    pub fn reach_m(&self) -> f64 {
        self.half_m() + self.grade.pavement_m()
    }
}

/// Crossings and the streets between them.
#[derive(Clone, Debug)]
pub(crate) struct Streets {
    pub crossings: Vec<DVec2>,
    pub streets: Vec<Street>,
}

#[derive(Clone, Debug)]
struct Plan {
    name: String,
    grade: Grade,
    width_m: f64,
    lanes: u32,
    line: Line,
}

impl Streets {
    /// The street graph of a recipe inside its window.
    pub fn new(recipe: &Recipe, coast: &Coast) -> Streets {
        let mut plans: Vec<Plan> = recipe
            .streets
            .iter()
            .map(|s| Plan {
                name: s.name.clone(),
                grade: s.grade,
                width_m: s.width_m,
                lanes: s.lanes,
                line: s.centre(),
            })
            .collect();
        let grid = grid(recipe, coast, &plans);
        plans.extend(grid);
        let plans: Vec<Plan> = plans.iter().flat_map(|p| inside(p, recipe.extent())).collect();
        graph(&plans, recipe.extent())
    }

    /// Streets that meet at a crossing.
    pub fn at_crossing(&self) -> Vec<Vec<usize>> {
        let mut met = vec![Vec::new(); self.crossings.len()];
        for (i, street) in self.streets.iter().enumerate() {
            met[street.ends[0]].push(i);
            if street.ends[1] != street.ends[0] {
                met[street.ends[1]].push(i);
            }
        }
        met
    }
}

/// Lines across, spread between the long streets, and lines up from the boulevard.
fn grid(recipe: &Recipe, coast: &Coast, drawn: &[Plan]) -> Vec<Plan> {
    let plan = &recipe.grid;
    let mut random = Random::new(recipe.seed, "grid");
    let bands: Vec<&Line> =
        plan.bands.iter().filter_map(|n| drawn.iter().find(|p| &p.name == n).map(|p| &p.line)).collect();
    let north = |band: usize, x: f64| match bands.get(band) {
        Some(line) => height_at(line, x),
        None => plan.north,
    };
    let mut control: Vec<Vec<DVec2>> = Vec::new();
    for (band, &count) in plan.across.iter().enumerate() {
        for k in 1..=count {
            let t = k as f64 / (count + 1) as f64 + random.range(-0.02, 0.02);
            let line = (-1..=51).map(|i| {
                let x = f64::from(i) * 60.0;
                DVec2::new(x, north(band, x) * (1.0 - t) + north(band + 1, x) * t)
            });
            control.push(line.collect());
        }
    }
    let across = control.len();
    for &x in &plan.up {
        let lean = random.range(-0.012, 0.012);
        let phase = random.range(0.0, 6.0);
        let line = (10..=51).map(|i| {
            let y = f64::from(i) * 60.0;
            DVec2::new(x + lean * (y - 1800.0) + 9.0 * crate::angle::sin(y / 420.0 + phase), y)
        });
        control.push(line.collect());
    }
    let mut made = Vec::new();
    for (k, points) in control.iter().enumerate() {
        let wide = k % 3 == 1;
        let line = Line::smooth(points, 8.0);
        let name = recipe.names.streets[k % recipe.names.streets.len()].clone();
        for run in open_runs(recipe, coast, &line) {
            // now and then a line stops short, which joins two blocks into one
            let ends = if k < across || run.length() < 700.0 { vec![run] } else { rests(run, &mut random) };
            for run in ends {
                made.push(Plan {
                    name: name.clone(),
                    grade: if wide { Grade::Secondary } else { Grade::Branch },
                    width_m: plan.width_m[usize::from(wide)],
                    lanes: if wide { 4 } else { 2 },
                    line: run,
                });
            }
        }
    }
    // loose ends reach for the next hand-drawn street
    for plan in &mut made {
        let n = plan.line.points.len();
        let first = reach(plan.line.points[0], plan.line.points[0] - plan.line.points[1], drawn);
        let last = reach(plan.line.points[n - 1], plan.line.points[n - 1] - plan.line.points[n - 2], drawn);
        let points = first.into_iter().chain(plan.line.points.iter().copied()).chain(last);
        plan.line = Line::new(points);
    }
    made
}

fn rests(run: Line, random: &mut Random) -> Vec<Line> {
    let length = run.length();
    if random.chance(0.45) {
        let gap = random.range(0.3, 0.7) * length;
        vec![run.part(0.0, gap), run.part(gap + 150.0, length)]
    } else {
        vec![run]
    }
}

/// Height of the highest point of a line over x; the ends of the line are held on.
fn height_at(line: &Line, x: f64) -> f64 {
    let low = line.points.iter().map(|p| p.x).fold(f64::INFINITY, f64::min) + 110.0;
    let high = line.points.iter().map(|p| p.x).fold(f64::NEG_INFINITY, f64::max) - 110.0;
    let x = if low < high { x.clamp(low, high) } else { x };
    line.points
        .windows(2)
        .filter(|s| (s[0].x > x) != (s[1].x > x))
        .map(|s| s[0].y + (s[1].y - s[0].y) * (x - s[0].x) / (s[1].x - s[0].x))
        .fold(f64::NEG_INFINITY, f64::max)
}

fn open_runs(recipe: &Recipe, coast: &Coast, line: &Line) -> Vec<Line> {
    let pieces = (line.length() / 8.0) as usize;
    let mut runs = Vec::new();
    let mut run: Vec<DVec2> = Vec::new();
    for k in 0..=pieces {
        let p = line.at(k as f64 * 8.0).0;
        let open = coast.inland(p) > 30.0 && !recipe.grid.holes.iter().any(|h| h.holds(p));
        if open {
            run.push(p);
        }
        if (!open || k == pieces) && !run.is_empty() {
            let made = Line::new(std::mem::take(&mut run));
            if made.length() > 60.0 {
                runs.push(made);
            }
        }
    }
    runs
}

fn reach(end: DVec2, ahead: DVec2, drawn: &[Plan]) -> Option<DVec2> {
    let ahead = ahead.normalize_or_zero();
    let far = end + ahead * 130.0;
    let mut best: Option<f64> = None;
    for plan in drawn {
        for s in plan.line.points.windows(2) {
            if let Some((t, _)) = crossing(end, far, s[0], s[1]) {
                best = Some(best.map_or(t, |b| b.min(t)));
            }
        }
    }
    best.map(|t| end + ahead * (130.0 * t + 0.5))
}

/// The parts of a plan inside a window.
fn inside(plan: &Plan, window: Window) -> Vec<Plan> {
    let length = plan.line.length();
    let pieces = (length / 5.0).ceil().max(1.0) as usize;
    let mut parts = Vec::new();
    let mut from: Option<f64> = None;
    for k in 0..=pieces {
        let way = length * k as f64 / pieces as f64;
        let open = window.contains(plan.line.at(way).0, 2.0);
        if open && from.is_none() {
            from = Some(way);
        }
        if (!open || k == pieces)
            && let Some(start) = from.take()
        {
            let end = if open { way } else { length * (k - 1) as f64 / pieces as f64 };
            if end - start > 15.0 {
                parts.push(Plan { line: plan.line.part(start, end), ..plan.clone() });
            }
        }
    }
    parts
}

const SNAP_M: f64 = 9.0;

fn graph(plans: &[Plan], window: Window) -> Streets {
    let bounds: Vec<(DVec2, DVec2)> = plans.iter().map(|p| bounds(&p.line.points)).collect();
    let mut cuts: Vec<Vec<f64>> = plans.iter().map(|p| vec![0.0, p.line.length()]).collect();
    for i in 0..plans.len() {
        for j in i + 1..plans.len() {
            if !overlap(bounds[i], bounds[j]) {
                continue;
            }
            let mut way_i = 0.0;
            for a in plans[i].line.points.windows(2) {
                let box_a = (a[0].min(a[1]), a[0].max(a[1]));
                let length_a = a[0].distance(a[1]);
                if overlap(box_a, bounds[j]) {
                    let mut way_j = 0.0;
                    for b in plans[j].line.points.windows(2) {
                        let length_b = b[0].distance(b[1]);
                        if overlap(box_a, (b[0].min(b[1]), b[0].max(b[1])))
                            && let Some((t, u)) = crossing(a[0], a[1], b[0], b[1])
                        {
                            cuts[i].push(way_i + t * length_a);
                            cuts[j].push(way_j + u * length_b);
                        }
                        way_j += length_b;
                    }
                }
                way_i += length_a;
            }
        }
    }
    // a hand-drawn end that stops just short of another street belongs to it
    for i in 0..plans.len() {
        for way in [0.0, plans[i].line.length()] {
            let end = plans[i].line.at(way).0;
            for j in 0..plans.len() {
                if i != j && overlap((end, end), (bounds[j].0 - SNAP_M, bounds[j].1 + SNAP_M)) {
                    let mut so_far = 0.0;
                    for s in plans[j].line.points.windows(2) {
                        let (d, t) = crate::plane::segment_distance(end, s[0], s[1]);
                        let length = s[0].distance(s[1]);
                        if d < SNAP_M {
                            cuts[j].push(so_far + t * length);
                            break;
                        }
                        so_far += length;
                    }
                }
            }
        }
    }
    let mut crossings: Vec<DVec2> = Vec::new();
    let mut streets: Vec<Street> = Vec::new();
    for (plan, ways) in plans.iter().zip(&mut cuts) {
        ways.sort_by(f64::total_cmp);
        let mut last: Option<(usize, f64)> = None;
        for &way in ways.iter() {
            let p = plan.line.at(way).0;
            let node = match crossings.iter().position(|q| q.distance(p) < SNAP_M) {
                Some(node) => node,
                None => {
                    crossings.push(p);
                    crossings.len() - 1
                }
            };
            if let Some((before, from)) = last
                && (before != node || way - from > 60.0)
            {
                let mut points = plan.line.part(from, way).points;
                let n = points.len();
                points[0] = crossings[before];
                points[n - 1] = crossings[node];
                streets.push(Street {
                    name: plan.name.clone(),
                    grade: plan.grade,
                    width_m: plan.width_m,
                    lanes: plan.lanes,
                    ends: [before, node],
                    line: Line::new(points),
                });
            }
            if last.is_none_or(|(before, _)| before != node) {
                last = Some((node, way));
            }
        }
    }
    let mut made = Streets { crossings, streets };
    drop_dead_ends(&mut made, window);
    drop_doubles(&mut made);
    split_long(&mut made);
    keep_named(&mut made);
    made
}

/// Short dead ends inside the window go.
fn drop_dead_ends(made: &mut Streets, window: Window) {
    for _ in 0..3 {
        let met = made.at_crossing();
        let loose = |node: usize| met[node].len() == 1 && window.contains(made.crossings[node], 14.0);
        let keep: Vec<bool> = made
            .streets
            .iter()
            .map(|s| {
                !(s.line.length() < if s.grade == Grade::Lane { 70.0 } else { 150.0 }
                    && (loose(s.ends[0]) || loose(s.ends[1])))
            })
            .collect();
        let mut k = keep.iter();
        made.streets.retain(|_| *k.next().unwrap_or(&true));
    }
}

/// Two streets between the same crossings that lie on each other become one.
fn drop_doubles(made: &mut Streets) {
    let mut kept: Vec<Street> = Vec::new();
    for street in made.streets.drain(..) {
        let middle = street.line.at(street.line.length() / 2.0).0;
        let double = kept.iter().any(|k| {
            (k.ends == street.ends || k.ends == [street.ends[1], street.ends[0]]) && k.line.distance(middle) < 14.0
        });
        if !double {
            kept.push(street);
        }
    }
    made.streets = kept;
}

/// Long streets get way points, so that a drain can part at a summit between two crossings.
fn split_long(made: &mut Streets) {
    let mut kept = Vec::new();
    for street in made.streets.drain(..) {
        let length = street.line.length();
        let parts = if length > 230.0 { (length / 130.0).ceil() as usize } else { 1 };
        let mut from = street.ends[0];
        for k in 0..parts {
            let (a, b) = (length * k as f64 / parts as f64, length * (k + 1) as f64 / parts as f64);
            let line = street.line.part(a, b);
            let to = if k + 1 == parts {
                street.ends[1]
            } else {
                made.crossings.push(line.points[line.points.len() - 1]);
                made.crossings.len() - 1
            };
            kept.push(Street { ends: [from, to], line, ..street.clone() });
            from = to;
        }
    }
    made.streets = kept;
}

/// Renumbers the crossings that streets use.
fn keep_named(made: &mut Streets) {
    let mut number = vec![usize::MAX; made.crossings.len()];
    let mut kept = Vec::new();
    for street in &mut made.streets {
        for end in &mut street.ends {
            if number[*end] == usize::MAX {
                number[*end] = kept.len();
                kept.push(made.crossings[*end]);
            }
            *end = number[*end];
        }
    }
    made.crossings = kept;
}

fn bounds(points: &[DVec2]) -> (DVec2, DVec2) {
    points.iter().fold((DVec2::INFINITY, DVec2::NEG_INFINITY), |(a, b), p| (a.min(*p), b.max(*p)))
}

fn overlap(a: (DVec2, DVec2), b: (DVec2, DVec2)) -> bool {
    a.0.x <= b.1.x && b.0.x <= a.1.x && a.0.y <= b.1.y && b.0.y <= a.1.y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graph_is_joined_and_dry() {
        let recipe = Recipe::default_city();
        let coast = Coast::new(&recipe);
        let made = Streets::new(&recipe, &coast);
        assert!(made.streets.len() > 300, "{}", made.streets.len());
        for street in &made.streets {
            for p in &street.line.points {
                assert!(coast.inland(*p) > 12.0, "{} at {p}", street.name);
            }
            assert!(street.line.points[0].distance(made.crossings[street.ends[0]]) < 1e-9);
        }
        let met = made.at_crossing();
        let mut seen = vec![false; made.crossings.len()];
        let mut todo = vec![0];
        while let Some(node) = todo.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                todo.extend(met[node].iter().flat_map(|s| made.streets[*s].ends));
            }
        }
        let joined = seen.iter().filter(|s| **s).count();
        assert!(joined * 100 > seen.len() * 97, "{joined} of {}", seen.len());
    }
}
