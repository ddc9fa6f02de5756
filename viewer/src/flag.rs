//! Labels of pipes on leader lines (扯旗标注) and arrows of flow, the same in the window and in a snapshot.
//!
//! As survey sheets after CJJ 61 have it, a flag says class, size and material, then burial depth and level: of the invert where
//! it runs by its own weight, else of the top. Flags keep clear of panels and of each other; of alike pipes side by side one is told.

use bevy_egui::egui::{self, Align2, Color32, CornerRadius, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, pos2, vec2};
use glam::DVec3;
use groundline_engine::model::{PipeKind, Section};

use crate::{
    cut::Cuts,
    label::Labels,
    mark::{Screen, free_place},
    network::{Flow, Pipe, REACH_M},
    options::Language,
    panel::Seen,
    text::Texts,
    theme::{self, ASSUMED, MUTED, TEXT},
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
/// Arrows stand so far apart, points.
const ARROW_POINTS: f32 = 110.0;
/// How near to a section a pipe is met by it, metres.
const AT_PLANE_M: f64 = 0.05;
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
        feet.extend([0.5, 0.36, 0.64, 0.22, 0.78, 0.1, 0.9].map(|share| pipe.at(share).0));
        feet
    }
}

/// A flag before it has its place on the screen.
struct Flag<'a> {
    pipe: &'a Pipe,
    foot: DVec3,
    anchor: Pos2,
    /// The less, the sooner it gets its place.
    rank: f32,
}

/// Draws arrows and flags; says which boxes on the screen they took.
pub fn draw(ctx: &egui::Context, told: &Told<'_>, seen: &Seen<'_>, texts: &Texts, taken: &[Rect]) -> Vec<Rect> {
    let screen = Screen { seen, painter: ctx.layer_painter(egui::LayerId::background()) };
    let shown: Vec<&Pipe> = told.pipes.iter().filter(|pipe| (told.is_shown)(pipe)).collect();
    if told.labels.flow {
        draw_arrows(&screen, told, &shown, taken);
    }
    if !told.labels.pipes {
        return Vec::new();
    }
    let mut flags: Vec<Flag<'_>> = shown.iter().filter_map(|pipe| flag(&screen, told, pipe, taken)).collect();
    flags.sort_by(|a, b| a.rank.total_cmp(&b.rank).then_with(|| a.pipe.id.cmp(&b.pipe.id)));
    let area = seen.screen.width() * seen.screen.height();
    let most = (MOST_FLAGS * (area / (1280.0 * 720.0)).clamp(0.3, 3.0)) as usize;
    let mut used = taken.to_vec();
    let mut said: Vec<(String, Pos2)> = Vec::new();
    for flag in flags {
        if said.len() >= most {
            break;
        }
        let name = name_text(flag.pipe, texts);
        let is_repeated = said.iter().any(|(other, at)| {
            let gap = at.distance(flag.anchor);
            gap < APART_POINTS || gap < ALIKE_POINTS && *other == name
        });
        if !is_repeated && plant(&screen, &flag, &name, texts, &mut used) {
            said.push((name, flag.anchor));
        }
    }
    used.split_off(taken.len())
}

/// Where a pipe's flag would stand; `None` where it cannot be seen.
fn flag<'a>(screen: &Screen<'_>, told: &Told<'_>, pipe: &'a Pipe, taken: &[Rect]) -> Option<Flag<'a>> {
    let seen = screen.seen;
    let bounds = seen.screen.shrink(10.0);
    let is_picked = told.picked == Some(pipe.id.as_str());
    let long: f32 = pipe.axis.windows(2).filter_map(|leg| screen.segment(leg[0], leg[1])).map(|[a, b]| a.distance(b)).sum();
    if long < LEAST_POINTS && !is_picked && told.is_glass {
        return None;
    }
    let foot = told.feet(pipe).into_iter().find(|foot| {
        let near = foot.distance(seen.viewed.pose.place) < REACH_M;
        let point = screen.point(*foot).filter(|point| bounds.contains(*point));
        let is_free = point.is_some_and(|point| !taken.iter().any(|rect| rect.contains(point)));
        near && is_free && told.is_seen(*foot, seen)
    })?;
    let anchor = screen.point(foot)?;
    let distance = foot.distance(seen.viewed.pose.place) as f32;
    // Near and thick ones first; the picked one before all.
    let thick = pipe.section.map_or(0.1, |section| section.size_m()) as f32;
    let rank = if is_picked { -1.0 } else { distance / (0.6 + thick).min(2.0) / (0.3 + (long / 200.0).min(1.0)) };
    Some(Flag { pipe, foot, anchor, rank })
}

/// Puts a flag where there is room; says whether there was.
fn plant(screen: &Screen<'_>, flag: &Flag<'_>, name: &str, texts: &Texts, used: &mut Vec<Rect>) -> bool {
    let painter = &screen.painter;
    let colour = kind_colour(flag.pipe.kind);
    let figures = figure_text(flag.pipe, flag.foot, texts);
    let name = painter.layout_no_wrap(name.to_owned(), theme::font(NAME_SIZE), TEXT);
    let ink = if flag.pipe.is_assumed { ASSUMED } else { Color32::from_rgb(196, 208, 216) };
    let figures = painter.layout_no_wrap(figures, theme::font(FIGURE_SIZE), ink);
    let size = vec2(name.size().x.max(figures.size().x) + 17.0, name.size().y + figures.size().y + 6.0);
    let Some(rect) = free_place(flag.anchor, size, screen.seen.screen.shrink(6.0), used) else { return false };
    // The leader goes to the nearer lower or upper corner, as a draughtsman draws it.
    let end = pos2(
        if flag.anchor.x < rect.center().x { rect.left() } else { rect.right() },
        flag.anchor.y.clamp(rect.top(), rect.bottom()),
    );
    painter.line_segment([flag.anchor, end], Stroke::new(3.0, Color32::from_black_alpha(120)));
    painter.line_segment([flag.anchor, end], Stroke::new(1.3, colour));
    painter.circle_filled(flag.anchor, 4.4, Color32::from_black_alpha(170));
    painter.circle_filled(flag.anchor, 3.0, colour);
    painter.rect_filled(rect, CornerRadius::same(4), Color32::from_rgba_unmultiplied(13, 19, 25, 232));
    painter.rect_stroke(rect, CornerRadius::same(4), Stroke::new(1.0, colour.gamma_multiply(0.45)), StrokeKind::Inside);
    let bar = Rect::from_min_size(rect.min + vec2(1.0, 1.0), vec2(4.0, rect.height() - 2.0));
    painter.rect_filled(bar, CornerRadius::same(2), colour);
    let at = rect.min + vec2(10.0, 2.5);
    let below = at + vec2(0.0, name.size().y + 0.5);
    painter.galley(at, name, TEXT);
    painter.galley(below, figures, MUTED);
    used.push(rect);
    used.push(Rect::from_center_size(flag.anchor, Vec2::splat(9.0)));
    true
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
    let bounds = screen.seen.screen;
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
    let painter = ctx.layer_painter(egui::LayerId::background());
    let at = seen.screen.center_bottom() - vec2(0.0, 34.0);
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
