//! Labels of pipes on leader lines (扯旗标注) and arrows of flow, the same in the window and in a snapshot.
//!
//! As survey sheets after CJJ 61 have it, a flag says class, size and material, then burial depth and level: of the invert where
//! it runs by its own weight, else of the top. Flags keep clear of panels and of each other; of alike pipes side by side one is told.

use std::sync::Arc;

use bevy_egui::egui::{
    self, Align2, Color32, CornerRadius, Galley, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, vec2,
};
use glam::DVec3;
use groundline_engine::model::{PipeKind, Section};

use crate::{
    cut::Cuts,
    label::Labels,
    mark::Screen,
    network::{Flow, Pipe, REACH_M},
    options::Language,
    panel::Seen,
    text::Texts,
    theme::{
        self,
        dark::{ASSUMED, TEXT},
    },
};

/// Flags on a picture of 1280 by 720 points; more on larger ones.
const MOST_FLAGS: f32 = 22.0;
/// Most arrows.
const MOST_ARROWS: usize = 320;
/// Pipes that are shorter on the screen have no flag, points.
const LEAST_POINTS: f32 = 22.0;
/// Flags that say the same stand so far apart, points.
const ALIKE_POINTS: f32 = 300.0;
/// Flags of anything stand so far apart at their feet, points.
const APART_POINTS: f32 = 26.0;
/// Places on a pipe that are tried.
const MOST_FEET: usize = 4;
/// Arrows stand so far apart, points.
const ARROW_POINTS: f32 = 110.0;
/// How near to a section a pipe is met by it, metres.
const AT_PLANE_M: f64 = 0.05;
/// Flags stand so far from their feet, the nearest first, points.
const REACHES: [f32; 8] = [16.0, 30.0, 48.0, 72.0, 104.0, 146.0, 196.0, 256.0];
/// To these sides of them.
const SIDES: [Vec2; 6] =
    [vec2(0.9, -0.6), vec2(-0.9, -0.6), vec2(0.9, 0.6), vec2(-0.9, 0.6), vec2(1.0, -0.1), vec2(-1.0, -0.1)];
/// Ink of the second line.
const FIGURE: Color32 = Color32::from_rgb(196, 208, 216);
const NAME_SIZE: f32 = 12.5;
const FIGURE_SIZE: f32 = 11.5;

/// What is told of pipes, and what of them can be seen.
pub struct Told<'a> {
    /// The pipes around what is seen.
    pub pipes: &'a [Pipe],
    /// What is wanted.
    pub labels: Labels,
    /// What is cut away.
    pub cuts: &'a Cuts,
    /// The ground is seen through.
    pub is_glass: bool,
    /// Whether a pipe is shown at all.
    pub is_shown: &'a dyn Fn(&Pipe) -> bool,
    /// Id of the picked object.
    pub picked: Option<&'a str>,
}

impl Told<'_> {
    /// Whether a place on a pipe is seen: through glass, at the face of a section, or down in a trench.
    fn is_seen(&self, place: DVec3, seen: &Seen<'_>) -> bool {
        if self.cuts.takes(place) {
            return false;
        }
        if self.is_glass || self.cuts.planes().iter().any(|p| (place - p.at).dot(p.normal).abs() < AT_PLANE_M) {
            return true;
        }
        let ground = |place: DVec3| seen.city.ground_m(place.truncate());
        if place.z > ground(place) {
            return true;
        }
        let Some((_, _, depth_m)) = self.cuts.trench() else { return false };
        if !self.cuts.digs(place.truncate()) || place.z < ground(place) - depth_m {
            return false;
        }
        // Down in the trench: nothing of the ground may stand between it and the eye.
        let to_eye = seen.viewed.pose.place - place;
        let (length, direction) = (to_eye.length(), to_eye.normalize_or_zero());
        let mut gone = 0.5;
        while gone < length.min(60.0) {
            let on_way = place + direction * gone;
            if on_way.z < ground(on_way) && !self.cuts.digs(on_way.truncate()) && !self.cuts.takes(on_way) {
                return false;
            }
            gone += 0.5;
        }
        true
    }

    /// Places on a pipe where a flag may stand, the best first.
    fn feet(&self, pipe: &Pipe) -> Vec<DVec3> {
        let mut feet = Vec::new();
        if !self.is_glass {
            // A section meets the pipe where it is seen best.
            for plane in self.cuts.planes() {
                for leg in pipe.axis.windows(2) {
                    let side = |place: DVec3| (place - plane.at).dot(plane.normal);
                    let (a, b) = (side(leg[0]), side(leg[1]));
                    if (a > 0.0) != (b > 0.0) {
                        feet.push(leg[0] + (leg[1] - leg[0]) * (a / (a - b)) + plane.normal * 0.01);
                    }
                }
            }
        }
        feet.extend([0.5, 0.34, 0.66, 0.2, 0.8, 0.08, 0.92].map(|share| pipe.at(share).0));
        feet
    }
}

/// A flag before it has its place on the screen.
struct Flag<'a> {
    pipe: &'a Pipe,
    /// Where it may stand, the best first.
    feet: Vec<(DVec3, Pos2)>,
    /// The less, the sooner it gets its place.
    rank: f32,
}

/// Draws arrows and flags; says which boxes on the screen they took.
pub fn draw(ctx: &egui::Context, told: &Told<'_>, seen: &Seen<'_>, texts: &Texts, taken: &[Rect]) -> Vec<Rect> {
    let screen = Screen { seen, painter: seen.painter(ctx) };
    let shown: Vec<&Pipe> = told.pipes.iter().filter(|pipe| (told.is_shown)(pipe)).collect();
    if told.labels.flow {
        draw_arrows(&screen, told, &shown, taken);
    }
    if !told.labels.pipes {
        return Vec::new();
    }
    let mut flags: Vec<Flag<'_>> = shown.iter().filter_map(|pipe| flag(&screen, told, pipe, taken)).collect();
    flags.sort_by(|a, b| a.rank.total_cmp(&b.rank).then_with(|| a.pipe.id.cmp(&b.pipe.id)));
    let area = seen.stage.width() * seen.stage.height();
    let most = (MOST_FLAGS * (area / (1280.0 * 720.0)).clamp(0.3, 3.0)) as usize;
    let mut planted: Vec<Planted> = Vec::new();
    let mut said: Vec<(String, Pos2)> = Vec::new();
    // One of each class first, so that none is crowded out.
    let mut kinds: Vec<PipeKind> = Vec::new();
    for is_first in [true, false] {
        for flag in &flags {
            if said.len() >= most || is_first && kinds.contains(&flag.pipe.kind) {
                continue;
            }
            let name = name_text(flag.pipe, texts);
            let is_new = |at: Pos2| {
                !said.iter().any(|(other, before)| {
                    let gap = before.distance(at);
                    gap < APART_POINTS || gap < ALIKE_POINTS && *other == name
                })
            };
            let mut feet = flag.feet.iter().filter(|(_, at)| is_new(*at));
            if let Some(flag) = feet.find_map(|foot| plant(&screen, flag.pipe, *foot, &name, texts, taken, &planted)) {
                said.push((name, flag.anchor));
                planted.push(flag);
            }
            kinds.extend((!kinds.contains(&flag.pipe.kind)).then_some(flag.pipe.kind));
        }
    }
    planted.iter().for_each(|flag| draw_leader(&screen.painter, flag));
    let used = planted.iter().map(|flag| flag.rect).collect();
    planted.into_iter().for_each(|flag| draw_plate(&screen.painter, flag));
    used
}

/// Where a pipe's flag would stand; `None` where it cannot be seen.
fn flag<'a>(screen: &Screen<'_>, told: &Told<'_>, pipe: &'a Pipe, taken: &[Rect]) -> Option<Flag<'a>> {
    let seen = screen.seen;
    let bounds = seen.stage.shrink(10.0);
    let is_picked = told.picked == Some(pipe.id.as_str());
    let long: f32 =
        pipe.axis.windows(2).filter_map(|leg| screen.segment(leg[0], leg[1])).map(|[a, b]| a.distance(b)).sum();
    if long < LEAST_POINTS && !is_picked && told.is_glass {
        return None;
    }
    let seen_at = |foot: DVec3| {
        let is_near = foot.distance(seen.viewed.pose.place) < REACH_M;
        let point = screen.point(foot).filter(|point| is_near && bounds.contains(*point))?;
        let is_free = !taken.iter().any(|rect| rect.contains(point));
        (is_free && told.is_seen(foot, seen)).then_some((foot, point))
    };
    let feet: Vec<(DVec3, Pos2)> = told.feet(pipe).into_iter().filter_map(seen_at).take(MOST_FEET).collect();
    let (foot, _) = *feet.first()?;
    let distance = foot.distance(seen.viewed.pose.place) as f32;
    // Near and thick ones first; the picked one before all.
    let thick = pipe.section.map_or(0.1, |section| section.size_m()) as f32;
    let rank = if is_picked { -1.0 } else { distance / (0.6 + thick).min(2.0) / (0.3 + (long / 200.0).min(1.0)) };
    Some(Flag { pipe, feet, rank })
}

/// A flag that has its place.
struct Planted {
    rect: Rect,
    anchor: Pos2,
    /// Where its leader meets it.
    end: Pos2,
    colour: Color32,
    name: Arc<Galley>,
    figures: Arc<Galley>,
}

/// A place for a flag, its leader free of other flags and leaders; `None` where there is none.
fn plant(
    screen: &Screen<'_>,
    pipe: &Pipe,
    (foot, anchor): (DVec3, Pos2),
    name: &str,
    texts: &Texts,
    used: &[Rect],
    planted: &[Planted],
) -> Option<Planted> {
    let painter = &screen.painter;
    let figures = figure_text(pipe, foot, texts);
    let name = painter.layout_no_wrap(name.to_owned(), theme::font(NAME_SIZE), TEXT);
    let ink = if pipe.is_assumed { ASSUMED } else { FIGURE };
    let figures = painter.layout_no_wrap(figures, theme::font(FIGURE_SIZE), ink);
    let size = vec2(name.size().x.max(figures.size().x) + 17.0, name.size().y + figures.size().y + 6.0);
    let bounds = screen.seen.stage.shrink(6.0);
    let is_free = |rect: &Rect| {
        let end = anchor.clamp(rect.min, rect.max);
        let leader = [anchor, end];
        bounds.contains_rect(*rect)
            && !used.iter().any(|other| other.expand(3.0).intersects(*rect))
            && !planted.iter().any(|other| {
                other.rect.expand(3.0).intersects(*rect)
                    || rect.expand(5.0).contains(other.anchor)
                    || crosses_rect(leader, other.rect)
                    || crosses(leader, [other.anchor, other.end])
                    || crosses_rect([other.anchor, other.end], *rect)
            })
    };
    let rect = REACHES.into_iter().find_map(|reach| {
        SIDES.into_iter().find_map(|side| {
            let centre = anchor + side * reach + vec2(side.x.signum() * size.x, side.y.signum() * size.y) * 0.5;
            Some(Rect::from_center_size(centre, size)).filter(is_free)
        })
    })?;
    let end = anchor.clamp(rect.min, rect.max);
    Some(Planted { rect, anchor, end, colour: kind_colour(pipe.kind), name, figures })
}

/// Whether two lines cross.
fn crosses([a, b]: [Pos2; 2], [c, d]: [Pos2; 2]) -> bool {
    let side = |p: Pos2, q: Pos2, r: Pos2| (q - p).rot90().dot(r - p);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

/// Whether a line goes through a box.
fn crosses_rect(line: [Pos2; 2], rect: Rect) -> bool {
    let corners = [rect.left_top(), rect.right_top(), rect.right_bottom(), rect.left_bottom()];
    let is_within = line.iter().any(|end| rect.contains(*end));
    is_within || (0..4).any(|k| crosses(line, [corners[k], corners[(k + 1) % 4]]))
}

fn draw_leader(painter: &Painter, flag: &Planted) {
    painter.line_segment([flag.anchor, flag.end], Stroke::new(3.0, Color32::from_black_alpha(130)));
    painter.line_segment([flag.anchor, flag.end], Stroke::new(1.3, flag.colour));
    painter.circle_filled(flag.anchor, 4.6, Color32::from_black_alpha(190));
    painter.circle_filled(flag.anchor, 3.1, flag.colour);
}

fn draw_plate(painter: &Painter, flag: Planted) {
    let Planted { rect, colour, name, figures, .. } = flag;
    painter.rect_filled(rect, CornerRadius::same(4), Color32::from_rgba_unmultiplied(13, 19, 25, 240));
    painter.rect_stroke(rect, CornerRadius::same(4), Stroke::new(1.0, colour.gamma_multiply(0.45)), StrokeKind::Inside);
    let bar = Rect::from_min_size(rect.min + vec2(1.0, 1.0), vec2(4.0, rect.height() - 2.0));
    painter.rect_filled(bar, CornerRadius::same(2), colour);
    let at = rect.min + vec2(10.0, 2.5);
    let below = at + vec2(0.0, name.size().y + 0.5);
    painter.galley(at, name, TEXT);
    painter.galley(below, figures, FIGURE);
}

/// Colour of a class after CJJ 61; what would vanish on dark ground is lifted.
fn kind_colour(kind: PipeKind) -> Color32 {
    let [r, g, b] = match kind {
        PipeKind::Storm => [188, 152, 112],
        PipeKind::Sewage => [168, 124, 82],
        PipeKind::Combined => [178, 138, 96],
        PipeKind::Industrial => [150, 150, 150],
        PipeKind::Other => [150, 90, 230],
        other => other.rgb(),
    };
    Color32::from_rgb(r, g, b)
}

/// Class, size, material and pressure or voltage.
fn name_text(pipe: &Pipe, texts: &Texts) -> String {
    let is_chinese = texts.language == Language::Zh;
    let kind = if is_chinese { pipe.kind.zh().to_owned() } else { texts.get(&format!("pipe-{}", pipe.kind.word())) };
    let mm = |m: f64| (m * 1000.0).round();
    let size = pipe.section.map(|section| match section {
        Section::Circle { diameter_m } => format!("DN{}", mm(diameter_m)),
        Section::Rect { width_m, height_m } => format!("{}×{}", mm(width_m), mm(height_m)),
    });
    let material = pipe.material.as_deref().map(|word| if is_chinese { word } else { material_in_english(word) });
    let parts = [Some(kind), size, material.map(str::to_owned), pipe.grade.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Materials of CJJ 61-2017 table C.0.1 in English; others as they are written.
fn material_in_english(word: &str) -> &str {
    match word {
        "铸铁" => "cast iron",
        "球墨铸铁" => "ductile iron",
        "钢" => "steel",
        "混凝土" => "concrete",
        "聚乙烯" => "PE",
        "聚氯乙烯" => "PVC",
        "玻璃钢" => "GRP",
        "砖石" => "masonry",
        "砖" => "brick",
        "石" => "stone",
        "石棉" => "asbestos",
        "陶瓷" => "clay",
        "铜" => "copper",
        "钢芯铝绞线" => "ACSR",
        "光纤" => "fibre",
        other => other,
    }
}

/// Burial depth where the flag stands, and the level there.
fn figure_text(pipe: &Pipe, foot: DVec3, texts: &Texts) -> String {
    let half = pipe.section.map_or(0.0, |section| section.height_m() * 0.5);
    let depth = pipe.depth_m.map(|[start, end]| {
        let (first, last) = (pipe.axis[0].truncate(), pipe.axis[pipe.axis.len() - 1].truncate());
        let (from, to) = (foot.truncate().distance(first), foot.truncate().distance(last));
        start + (end - start) * if from + to > 0.0 { from / (from + to) } else { 0.0 }
    });
    let mark = if pipe.is_assumed { "≈" } else { "" };
    let depth = depth.map(|depth| texts.with("flag-depth", "depth", format!("{mark}{depth:.2}")));
    let level = if pipe.is_gravity() {
        texts.with("flag-invert", "level", format!("{:.2}", foot.z - half))
    } else {
        texts.with("flag-top", "level", format!("{:.2}", foot.z + half))
    };
    depth.into_iter().chain([level]).collect::<Vec<_>>().join("  ")
}

/// Arrows along the pipes of which the direction of flow is known.
fn draw_arrows(screen: &Screen<'_>, told: &Told<'_>, pipes: &[&Pipe], taken: &[Rect]) {
    let bounds = screen.seen.stage;
    let mut drawn = 0;
    for pipe in pipes.iter().filter(|pipe| pipe.flow != Flow::Unknown) {
        for leg in pipe.axis.windows(2) {
            let (from, to) = if pipe.flow == Flow::Forward { (leg[0], leg[1]) } else { (leg[1], leg[0]) };
            let Some([a, b]) = screen.segment(from, to) else { continue };
            let long = a.distance(b);
            if long < 26.0 {
                continue;
            }
            let count = (long / ARROW_POINTS).floor().clamp(1.0, 12.0) as usize;
            for number in 0..count {
                if drawn >= MOST_ARROWS {
                    return;
                }
                let share = (number as f64 + 0.5) / count as f64;
                let place = from + (to - from) * share;
                let Some(tip) = screen.point(place) else { continue };
                let distance = place.distance(screen.seen.viewed.pose.place);
                let is_hidden = distance > REACH_M
                    || !bounds.contains(tip)
                    || taken.iter().any(|rect| rect.contains(tip))
                    || !told.is_seen(place, screen.seen);
                // In perspective the direction differs from place to place.
                let ahead = screen.point(place + (to - from).normalize_or_zero() * (distance * 0.02).max(0.2));
                if let (false, Some(ahead)) = (is_hidden, ahead) {
                    let size = (900.0 / distance as f32).clamp(5.0, 9.5);
                    arrow(screen, tip, (ahead - tip).normalized(), size);
                    drawn += 1;
                }
            }
        }
    }
}

/// A white arrow head with a dark edge.
fn arrow(screen: &Screen<'_>, at: Pos2, along: Vec2, size: f32) {
    if !along.is_finite() || along == Vec2::ZERO {
        return;
    }
    let side = along.rot90();
    let corners = |grown: f32| {
        let (size, tail) = (size + grown, size * 0.75 + grown);
        [along * size, -along * tail + side * size * 0.72, -along * tail * 0.45, -along * tail - side * size * 0.72]
            .map(|offset| at + offset)
    };
    for (grown, colour) in [(2.0, Color32::from_black_alpha(190)), (0.0, Color32::from_rgb(250, 252, 255))] {
        let [tip, left, notch, right] = corners(grown);
        for half in [vec![tip, left, notch], vec![tip, notch, right]] {
            screen.painter.add(Shape::convex_polygon(half, colour, Stroke::NONE));
        }
    }
}

/// What the sleeves around pipes mean, at the foot of the picture; says how many are assumed.
pub fn sleeve_note(ctx: &egui::Context, told: &Told<'_>, seen: &Seen<'_>, texts: &Texts) {
    let shown = || told.pipes.iter().filter(|pipe| (told.is_shown)(pipe));
    let (all, assumed) = (shown().count(), shown().filter(|pipe| pipe.doubt.is_assumed).count());
    if !told.labels.sleeves || all == 0 {
        return;
    }
    let counts = [("assumed", assumed.to_string()), ("count", all.to_string())];
    let text = texts.with_all(if assumed > 0 { "sleeve-assumed" } else { "sleeve-measured" }, counts);
    let painter = seen.painter(ctx);
    let at = seen.stage.center_bottom() - vec2(0.0, 34.0);
    crate::overlay::haloed(&painter, at, Align2::CENTER_BOTTOM, &text, 11.5, if assumed > 0 { ASSUMED } else { TEXT });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Doubt;
    use groundline_engine::model::Extent;

    fn pipe(kind: PipeKind) -> Pipe {
        Pipe {
            id: "WS/1".into(),
            layer: 0,
            kind,
            axis: vec![DVec3::new(40_534_000.0, 0.0, 4.0), DVec3::new(40_534_040.0, 0.0, 3.0)],
            section: Some(Section::Circle { diameter_m: 0.3 }),
            material: Some("聚乙烯".into()),
            grade: None,
            depth_m: Some([2.0, 3.0]),
            is_assumed: false,
            flow: Flow::Forward,
            doubt: Doubt::of_depths([2.0, 3.0]),
            extent: Extent::EMPTY,
        }
    }

    #[test]
    fn a_flag_says_class_size_material_depth_and_level() {
        let (zh, en) = (Texts::new(Language::Zh), Texts::new(Language::En));
        let sewer = pipe(PipeKind::Sewage);
        assert_eq!(name_text(&sewer, &zh), "污水 DN300 聚乙烯");
        assert_eq!(name_text(&sewer, &en), "Sewage DN300 PE");
        // Half way: 2.5 m deep, centre at 3.5, invert 0.15 lower.
        let foot = sewer.at(0.5).0;
        assert_eq!(figure_text(&sewer, foot, &zh), "埋深 2.50 m  管底 3.35 m");
        let water = pipe(PipeKind::Water);
        assert_eq!(figure_text(&water, foot, &en), "depth 2.50 m  top 3.65 m");
        let duct = Pipe {
            section: Some(Section::Rect { width_m: 0.45, height_m: 0.3 }),
            grade: Some("10kV".into()),
            is_assumed: true,
            ..pipe(PipeKind::Power)
        };
        assert_eq!(name_text(&duct, &en), "Power 450×300 PE 10kV");
        assert!(figure_text(&duct, foot, &en).contains('≈'), "what was assumed is marked");
    }

    #[test]
    fn leaders_keep_clear_of_flags() {
        let at = |x: f32, y: f32| Pos2::new(x, y);
        assert!(crosses([at(0.0, 0.0), at(10.0, 10.0)], [at(0.0, 10.0), at(10.0, 0.0)]));
        assert!(!crosses([at(0.0, 0.0), at(4.0, 4.0)], [at(0.0, 10.0), at(10.0, 0.0)]), "it ends before");
        let plate = Rect::from_min_max(at(2.0, 2.0), at(6.0, 4.0));
        assert!(crosses_rect([at(0.0, 3.0), at(9.0, 3.0)], plate), "through it");
        assert!(crosses_rect([at(3.0, 3.0), at(9.0, 9.0)], plate), "out of it");
        assert!(!crosses_rect([at(0.0, 5.0), at(9.0, 5.0)], plate), "past it");
    }

    #[test]
    fn flags_stand_where_sections_meet_pipes() {
        let cuts = Cuts::new(vec!["section:40534010,0,90".parse().unwrap()]).unwrap();
        let told = Told {
            pipes: &[],
            labels: Labels::default(),
            cuts: &cuts,
            is_glass: false,
            is_shown: &|_| true,
            picked: None,
        };
        let foot = told.feet(&pipe(PipeKind::Water))[0];
        assert!((foot.x - 40_534_010.0).abs() < 0.02 && (foot.z - 3.75).abs() < 0.01, "{foot}");
    }
}
