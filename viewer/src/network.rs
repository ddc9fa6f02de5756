//! The pipes in view (管线) with what the store knows of them: for their labels, flow arrows and sleeves. They are read on a
//! thread of their own whenever the view has moved on, and only while something wants them.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, TryRecvError, sync_channel},
};

use bevy::{prelude::*, window::RequestRedraw};
use glam::{DVec2, DVec3};
use groundline_engine::{
    model::{Class, Extent, PipeKind, Section, Value},
    query::{Found, Query, Shape, run},
};

use crate::{
    city::CityModel,
    label::Labels,
    peel::Peel,
    scene::{CityScene, Viewed},
};

/// Pipes farther away are not labelled, metres.
pub const REACH_M: f64 = 600.0;
/// Boxes are asked for in steps of this, so that a small move asks nothing, metres.
const STEP_M: f64 = 100.0;
/// Most pipes that are read.
const MOST: usize = 4_000;
/// A pipe is taken to fall when its ends differ by this, metres.
const LEAST_FALL_M: f64 = 0.002;

/// Which way it flows in a pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// Nobody says.
    #[default]
    Unknown,
    /// From its start to its end.
    Forward,
    /// From its end to its start.
    Back,
}

/// How far a pipe may lie from where it is drawn, metres; as limits, not as standard errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Doubt {
    /// In plan, at start and end.
    pub plan_m: [f64; 2],
    /// In depth, at start and end.
    pub depth_m: [f64; 2],
    /// Nobody measured it: the limits of CJJ 61 for hidden points were taken.
    pub is_assumed: bool,
}

impl Doubt {
    /// The limits of CJJ 61-2017 for points found by detection: 0.10 h in plan and 0.15 h in depth, h at least one metre.
    pub fn of_depths(depths: [f64; 2]) -> Self {
        let h = depths.map(|depth| depth.max(1.0));
        Self { plan_m: h.map(|h| 0.10 * h), depth_m: h.map(|h| 0.15 * h), is_assumed: true }
    }
}

/// A pipe as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipe {
    /// Its id.
    pub id: String,
    /// Index of its layer.
    pub layer: usize,
    /// Class after CJJ 61.
    pub kind: PipeKind,
    /// Centre line, city frame.
    pub axis: Vec<DVec3>,
    /// Outer measures, where known.
    pub section: Option<Section>,
    /// Material, as the source has it.
    pub material: Option<String>,
    /// Pressure or voltage, as the source has it.
    pub grade: Option<String>,
    /// Burial depth at start and end, metres.
    pub depth_m: Option<[f64; 2]>,
    /// The size or the depth was assumed.
    pub is_assumed: bool,
    /// Which way it flows.
    pub flow: Flow,
    /// How sure its place is.
    pub doubt: Doubt,
    /// Box around it.
    pub extent: Extent,
}

impl Pipe {
    /// As the city has it.
    pub fn of(found: &Found, city: &CityModel) -> Option<Self> {
        let axis = found.axis();
        if axis.len() < 2 {
            return None;
        }
        let layer = city.layers.iter().position(|layer| layer.name == found.layer)?;
        let value = |key: &str| found.attributes.iter().find(|(name, _)| &**name == key).map(|(_, value)| value);
        let number = |key: &str| value(key).and_then(Value::as_f64).filter(|v| v.is_finite());
        let text = |key: &str| value(key).map(Value::to_string).filter(|text| !text.is_empty());
        let is_assumed = |key: &str| found.assumed.iter().any(|(name, _)| &**name == key);
        let kind = value("pipe_kind").and_then(Value::as_str).and_then(PipeKind::parse);
        let kind = kind.or_else(|| city.layers[layer].pipe_kind()).unwrap_or(PipeKind::Other);
        let size = |key: &str| number(key).filter(|v| *v > 0.0).map(|mm| mm / 1000.0);
        let section = match (size("diameter_mm"), size("width_mm"), size("height_mm")) {
            (Some(diameter_m), ..) => Some(Section::Circle { diameter_m }),
            (_, Some(width_m), Some(height_m)) => Some(Section::Rect { width_m, height_m }),
            _ => None,
        };
        let depth_m = number("depth_start_m").zip(number("depth_end_m")).map(|(a, b)| [a, b]);
        let depth_m = depth_m.or_else(|| number("depth_m").map(|depth| [depth; 2]));
        let (first, last) = (axis[0], axis[axis.len() - 1]);
        let half = section.map_or(0.0, |section| section.height_m() * 0.5);
        let below = |place: DVec3| (city.ground_m(place.truncate()) - place.z - half).max(0.0);
        let depths = depth_m.unwrap_or_else(|| [below(first), below(last)]);
        Some(Self {
            id: found.id.clone(),
            layer,
            kind,
            flow: flow(text("flow").as_deref(), kind, first.z - last.z),
            doubt: doubt(&number).unwrap_or_else(|| Doubt::of_depths(depths)),
            section,
            material: text("material"),
            grade: text("voltage").or_else(|| text("pressure")),
            depth_m,
            is_assumed: ["diameter_mm", "width_mm", "depth_m", "depth_start_m", "depth_end_m"]
                .into_iter()
                .any(is_assumed),
            axis,
            extent: found.extent,
        })
    }

    /// Whether it is drawn where the ground lets it be seen.
    pub fn is_shown(&self, layers: &[bool], peel: &Peel) -> bool {
        let is_left = peel.network.is_none_or(|kind| kind == self.kind) && !peel.hidden.contains(&self.id);
        let is_focused = peel.focus.as_ref().is_none_or(|focus| focus.has_ghosts || focus.id == self.id);
        is_left && is_focused && layers.get(self.layer).copied().unwrap_or(true)
    }

    /// Length along the axis, metres.
    pub fn length_m(&self) -> f64 {
        self.axis.windows(2).map(|leg| leg[0].distance(leg[1])).sum()
    }

    /// The place at a share of its length, and the direction there.
    pub fn at(&self, share: f64) -> (DVec3, DVec3) {
        let mut left = self.length_m() * share.clamp(0.0, 1.0);
        for leg in self.axis.windows(2) {
            let length = leg[0].distance(leg[1]);
            if left <= length && length > 0.0 {
                return (leg[0] + (leg[1] - leg[0]) * (left / length), (leg[1] - leg[0]) / length);
            }
            left -= length;
        }
        (self.axis[self.axis.len() - 1], DVec3::X)
    }

    /// Whether what is in it runs by its own weight.
    pub fn is_gravity(&self) -> bool {
        matches!(self.kind, PipeKind::Storm | PipeKind::Sewage | PipeKind::Combined)
    }
}

/// As the survey says (流向: 0 from start to end, 1 against it), else downhill where it runs by its own weight.
fn flow(said: Option<&str>, kind: PipeKind, fall_m: f64) -> Flow {
    match said.map(str::trim) {
        Some("0" | "正向" | "顺" | "forward") => return Flow::Forward,
        Some("1" | "逆向" | "反向" | "逆" | "backward" | "reverse") => return Flow::Back,
        _ => {}
    }
    let is_gravity = matches!(kind, PipeKind::Storm | PipeKind::Sewage | PipeKind::Combined);
    match fall_m {
        fall if is_gravity && fall > LEAST_FALL_M => Flow::Forward,
        fall if is_gravity && fall < -LEAST_FALL_M => Flow::Back,
        _ => Flow::Unknown,
    }
}

/// Standard errors that the survey delivered, as limits of twice that; `None` when it delivered none that can be metres.
fn doubt(number: &impl Fn(&str) -> Option<f64>) -> Option<Doubt> {
    let first = |keys: &[&str]| keys.iter().find_map(|key| number(key)).filter(|v| (1e-4..=5.0).contains(v));
    let plan = first(&["plan_error_m", "accuracy_m", "平面中误差", "平面精度", "平面中误差(m)"]);
    let depth = first(&["depth_error_m", "埋深中误差", "深度中误差", "埋深精度", "埋深中误差(m)"]);
    let (plan, depth) = match (plan, depth) {
        (None, None) => return None,
        (plan, depth) => (plan.or(depth)?, depth.or(plan)?),
    };
    Some(Doubt { plan_m: [plan * 2.0; 2], depth_m: [depth * 2.0; 2], is_assumed: false })
}

/// An answer of the store to the box that was asked for.
type Answer = Mutex<Receiver<Result<Vec<Pipe>, String>>>;

/// The pipes around what is seen.
#[derive(Resource, Default)]
pub struct Network {
    /// The pipes, once they have been read.
    pub pipes: Arc<Vec<Pipe>>,
    /// Counts the answers.
    pub generation: u64,
    wanted: Option<[i64; 4]>,
    waiting: Option<Answer>,
}

impl Network {
    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_none()
    }

    /// Asks anew: the city is another version.
    pub fn renew(&mut self) {
        (self.wanted, self.waiting) = (None, None);
    }

    fn poll(&mut self) {
        let Some(answer) = &mut self.waiting else { return };
        let answer = match answer.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("the store could not be read".to_owned()),
        };
        self.waiting = None;
        self.generation += 1;
        self.pipes = Arc::new(answer.unwrap_or_else(|reason| {
            tracing::warn!("pipes are not labelled: {reason}");
            Vec::new()
        }));
    }
}

/// Asks for the pipes in view when it has moved, and takes them when they have come.
pub fn read_network(
    mut network: ResMut<Network>,
    labels: Res<Labels>,
    city: Res<CityScene>,
    viewed: Res<Viewed>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let network = network.bypass_change_detection();
    network.poll();
    if network.waiting.is_some() {
        redraw.write(RequestRedraw);
        return;
    }
    let wanted = if labels.is_any() { cells(&viewed, &city.0) } else { None };
    if wanted == network.wanted {
        return;
    }
    network.wanted = wanted;
    let Some(cells) = wanted else {
        network.pipes = Arc::default();
        network.generation += 1;
        return;
    };
    let (sender, receiver) = sync_channel(1);
    let city = Arc::clone(&city.0);
    let spawned = std::thread::Builder::new().name("network".into()).spawn(move || {
        // Nobody waits any more when the window was closed.
        let _ = sender.send(read(&city, cells));
    });
    match spawned {
        Ok(_) => network.waiting = Some(Mutex::new(receiver)),
        Err(error) => tracing::error!("no thread for the pipes: {error}"),
    }
    redraw.write(RequestRedraw);
}

/// The box in plan around what is seen of the ground within reach, in steps; `None` where it is all farther away.
fn cells(viewed: &Viewed, city: &CityModel) -> Option<[i64; 4]> {
    if viewed.size.x < 1.0 || viewed.size.y < 1.0 {
        return None;
    }
    let eye = viewed.pose.place;
    let ground = city.ground_m(eye.truncate());
    let (mut low, mut high) = (DVec2::INFINITY, DVec2::NEG_INFINITY);
    for (x, y) in (0..9).map(|n| (n % 3, n / 3)) {
        let ray = viewed.ray(viewed.size * Vec2::new(x as f32, y as f32) * 0.5);
        // Pipes lie some metres below the ground: rays end there, or where they have gone far enough.
        let fall = (ground - 3.0 - eye.z) / ray.direction.z;
        let far = if fall > 0.0 { fall.min(REACH_M * 2.0) } else { REACH_M };
        let met = (eye + ray.direction * far).truncate();
        let met = eye.truncate() + (met - eye.truncate()).clamp_length_max(REACH_M);
        (low, high) = (low.min(met), high.max(met));
    }
    if (eye.z - ground).abs() > REACH_M {
        return None;
    }
    let (low, high) = ((low / STEP_M).floor(), (high / STEP_M).ceil());
    Some([low.x, low.y, high.x, high.y].map(|v| v as i64))
}

fn read(city: &CityModel, cells: [i64; 4]) -> Result<Vec<Pipe>, String> {
    let [x0, y0, x1, y1] = cells.map(|cell| cell as f64 * STEP_M);
    let query = Query {
        shape: Shape::Box { min: DVec3::new(x0, y0, f64::NEG_INFINITY), max: DVec3::new(x1, y1, f64::INFINITY) },
        classes: vec![Class::Pipe],
        limit: Some(MOST),
        ..Query::default()
    };
    let pipes = city.with_store(|store| {
        let mut pipes = Vec::new();
        for found in run(store, &query)? {
            pipes.extend(Pipe::of(&found?, city));
        }
        Ok(pipes)
    });
    pipes.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn water_runs_as_the_survey_says_else_downhill_else_nobody_knows() {
        assert_eq!(flow(Some("0"), PipeKind::Sewage, -3.0), Flow::Forward, "the survey is believed");
        assert_eq!(flow(Some("1"), PipeKind::Water, 0.0), Flow::Back);
        assert_eq!(flow(None, PipeKind::Storm, 0.2), Flow::Forward);
        assert_eq!(flow(Some("?"), PipeKind::Combined, -0.2), Flow::Back);
        assert_eq!(flow(None, PipeKind::Sewage, 0.0), Flow::Unknown);
        assert_eq!(flow(None, PipeKind::Water, 5.0), Flow::Unknown, "pressure runs uphill too");
    }

    #[test]
    fn doubt_is_measured_or_that_of_the_standard() {
        let assumed = Doubt::of_depths([0.6, 4.0]);
        assert_eq!((assumed.plan_m, assumed.is_assumed), ([0.1, 0.4], true), "less than a metre counts as one");
        assert!((assumed.depth_m[1] - 0.6).abs() < 1e-9);
        let with = |key: &'static str, value: f64| move |asked: &str| (asked == key).then_some(value);
        let measured = doubt(&with("平面中误差", 0.05)).unwrap();
        assert_eq!((measured.plan_m, measured.depth_m, measured.is_assumed), ([0.1; 2], [0.1; 2], false));
        assert_eq!(doubt(&with("埋深中误差", 7.5)), None, "no metres");
        assert_eq!(doubt(&with("depth_m", 0.5)), None);
    }
}
