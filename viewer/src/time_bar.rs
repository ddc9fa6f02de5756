//! The bar of time (时间轴): the years of the city, when things came and went, and the time that is shown.

use bevy::{prelude::*, window::RequestRedraw};
use bevy_egui::egui::{self, Align2, Color32, CornerRadius, FontId, Rect, RichText, Sense, Stroke, Ui, pos2, vec2};

use crate::{
    date::{DAY_MS, civil_of, days_of},
    key::Action,
    panel::{EDGE, Seen, area, framed, grouped},
    stream::Streaming,
    text::Texts,
    theme::{self, ACCENT, ASSUMED, MUTED, QUIET, TEXT},
    validity::{Lives, Timeline, ValidAt, ValidTime},
};

/// Widest that the bar is, points.
const WIDEST: f32 = 980.0;
/// Height of the columns that say how much came and went, points.
const COLUMNS: f32 = 30.0;
/// Width of a column, points.
const COLUMN: f32 = 4.0;
/// While time runs, seconds a step.
const PACE_S: f32 = 0.45;
/// Least distance of two ticks with a name, points.
const NAMED_TICKS: f32 = 46.0;

/// How far a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Year,
    Month,
    Day,
}

impl Step {
    /// The step for a range, milliseconds: some dozens of them.
    fn for_range((first, last): (i64, i64)) -> Self {
        match (last - first) / DAY_MS {
            days if days > 4 * 365 => Self::Year,
            days if days > 120 => Self::Month,
            _ => Self::Day,
        }
    }

    /// The beginning of the step that holds a time, `by` steps on.
    pub fn begin(self, ms: i64, by: i64) -> i64 {
        let days = ms.div_euclid(DAY_MS);
        let (year, month, _) = civil_of(days);
        let begin = match self {
            Self::Year => days_of(year + by as i32, 1, 1),
            Self::Month => {
                let months = i64::from(year) * 12 + i64::from(month) - 1 + by;
                days_of(months.div_euclid(12) as i32, months.rem_euclid(12) as u32 + 1, 1)
            }
            Self::Day => days + by,
        };
        begin * DAY_MS
    }

    /// The next beginning after a time, or the last one before it.
    fn from(self, ms: i64, is_on: bool) -> i64 {
        let begin = self.begin(ms, 0);
        match (is_on, begin == ms) {
            (true, _) => self.begin(ms, 1),
            (false, true) => self.begin(ms, -1),
            (false, false) => begin,
        }
    }
}

/// What the bar spans: from a step before anything came to the present or what is planned beyond it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    first: i64,
    last: i64,
    step: Step,
}

impl Span {
    /// The span for what came and went; `None` when nothing did.
    pub fn of(lives: &Lives, now_ms: i64) -> Option<Self> {
        let (first, last) = lives.range()?;
        let step = Step::for_range((first, last.max(now_ms)));
        let last = if last > now_ms { step.begin(last, 1) } else { now_ms };
        Some(Self { first: ValidTime::near(step.begin(first, -1)).0, last: ValidTime::near(last).0, step })
    }

    /// The time one step from `at`, which is the last one without; `None` is beyond the end, where it is now.
    fn stepped(&self, at: Option<ValidTime>, is_on: bool) -> Option<ValidTime> {
        let next = self.step.from(at.map_or(self.last, |at| at.0), is_on);
        (next <= self.last && (is_on || next >= self.first))
            .then_some(next)
            .map_or_else(|| if is_on { None } else { Some(ValidTime(self.first)) }, |next| Some(ValidTime(next)))
    }

    /// The time at a share of the bar, at the nearest step.
    fn at(&self, share: f32) -> ValidTime {
        let ms = self.first + ((self.last - self.first) as f64 * f64::from(share.clamp(0.0, 1.0))) as i64;
        let (before, after) = (self.step.begin(ms, 0), self.step.begin(ms, 1));
        ValidTime(if ms - before <= after - ms || after > self.last { before } else { after }.max(self.first))
    }

    fn share(&self, ms: i64) -> f32 {
        ((ms - self.first) as f64 / (self.last - self.first).max(1) as f64) as f32
    }
}

/// Where columns end in a span: a step each where that has room, else equal parts.
fn edges(span: &Span, columns: usize) -> Vec<i64> {
    let mut steps = vec![span.first];
    while steps.len() <= columns && steps[steps.len() - 1] < span.last {
        steps.push(span.step.begin(steps[steps.len() - 1], 1));
    }
    if steps[steps.len() - 1] >= span.last {
        return steps;
    }
    let length = (span.last - span.first) as f64;
    (0..=columns).map(|column| span.first + (length * column as f64 / columns as f64) as i64).collect()
}

/// How many of some sorted times lie between each two edges.
fn counts(times: &[i64], edges: &[i64]) -> Vec<usize> {
    let until = |ms: i64| times.partition_point(|time| *time < ms);
    edges.windows(2).map(|pair| until(pair[1]) - until(pair[0])).collect()
}

/// Draws the bar, above what reaches up by `lift`; says where it lies.
pub fn show(
    ctx: &egui::Context,
    timeline: &mut Timeline,
    at: &mut Option<ValidTime>,
    seen: &Seen<'_>,
    texts: &Texts,
    lift: f32,
) -> Rect {
    let width = (seen.screen.width() - 2.0 * EDGE).min(WIDEST) - 24.0;
    let bottom = seen.screen.bottom() - if lift > 0.0 { lift + 8.0 } else { 64.0 };
    let place = pos2(seen.screen.center().x, bottom);
    framed(ctx, area("time-bar", place, Align2::CENTER_BOTTOM), |ui| {
        ui.set_width(width);
        let lives = timeline.lives.clone();
        let span = lives.as_ref().and_then(|lives| Span::of(lives, seen.now_ms));
        ui.horizontal(|ui| {
            ui.label(RichText::new(texts.get("timeline")).size(13.0).color(TEXT));
            let Some(span) = span else { return };
            ui.add_space(6.0);
            if icon(ui, Icon::Back, texts.get("do-time-back")) {
                *at = span.stepped(*at, false);
            }
            let (mark, hint) = if timeline.is_playing { (Icon::Pause, "time-pause") } else { (Icon::Play, "do-play") };
            if icon(ui, mark, texts.get(hint)) {
                timeline.is_playing = !timeline.is_playing;
            }
            if icon(ui, Icon::On, texts.get("do-time-on")) {
                *at = span.stepped(*at, true);
            }
            ui.add_space(6.0);
            let shown = at.map_or_else(|| texts.get("time-now"), |at| at.to_string());
            ui.label(RichText::new(shown).size(17.0).color(if at.is_some() { ACCENT } else { TEXT }));
            if at.is_some() {
                ui.add_space(6.0);
                ui.label(RichText::new(told(timeline, texts)).size(11.5).color(MUTED));
            }
        });
        let top_right = ui.min_rect().right_top() + vec2(0.0, 1.0);
        let line = Rect::from_min_max(pos2(top_right.x - 200.0, top_right.y), top_right + vec2(0.0, 20.0));
        ui.scope_builder(egui::UiBuilder::new().max_rect(line), |ui| {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.small_button("×").on_hover_text(texts.get("close")).clicked() {
                    timeline.is_open = false;
                    timeline.is_playing = false;
                }
                let now = RichText::new(texts.get("time-now")).size(12.0);
                if span.is_some() && ui.selectable_label(at.is_none(), now).clicked() {
                    (*at, timeline.is_playing) = (None, false);
                }
            });
        });
        match (&lives, span, &timeline.trouble) {
            (Some(lives), Some(span), _) => {
                if let Some(chosen) = track(ui, lives, &span, *at, width) {
                    (*at, timeline.is_playing) = (Some(chosen), false);
                }
                if lives.by_year > 0 {
                    let text = texts.with("time-by-year", "count", grouped(lives.by_year));
                    ui.label(RichText::new(text).size(10.0).color(MUTED));
                }
            }
            (_, _, Some(reason)) => drop(ui.label(RichText::new(reason).size(11.5).color(ASSUMED))),
            (Some(_), None, _) => drop(ui.label(RichText::new(texts.get("time-none")).size(11.5).color(MUTED))),
            _ => drop(ui.label(RichText::new(texts.get("time-reading")).size(11.5).color(MUTED))),
        }
    })
}

/// How many objects were not there yet, or are gone.
fn told(timeline: &Timeline, texts: &Texts) -> String {
    let mut text = texts.with("time-absent", "count", grouped(timeline.count.absent));
    if timeline.count.ended > 0 {
        text += " · ";
        text += &texts.with("time-ended", "count", grouped(timeline.count.ended));
    }
    text
}

/// The columns, the line and the knob; the time that was chosen, if any.
fn track(ui: &mut Ui, lives: &Lives, span: &Span, at: Option<ValidTime>, width: f32) -> Option<ValidTime> {
    let (rect, response) = ui.allocate_exact_size(vec2(width, COLUMNS + 24.0), Sense::click_and_drag());
    let line_y = rect.top() + COLUMNS + 4.0;
    let inner = rect.shrink2(vec2(8.0, 0.0));
    let x_of = |ms: i64| inner.left() + inner.width() * span.share(ms).clamp(0.0, 1.0);
    let painter = ui.painter();
    let edges = edges(span, ((inner.width() / COLUMN) as usize).max(1));
    let (came, went) = (counts(&lives.came, &edges), counts(&lives.went, &edges));
    let most = came.iter().chain(&went).copied().max().unwrap_or(0).max(1);
    let knob = at.map_or(span.last, |at| at.0);
    for (pair, (came, went)) in edges.windows(2).zip(came.iter().zip(&went)) {
        let (left, right) = (x_of(pair[0]), x_of(pair[1]) - 1.0);
        // By the root, so that one house is seen beside a hundred.
        let tall = |count: usize| (count as f32 / most as f32).sqrt() * COLUMNS;
        let is_past = left <= x_of(knob);
        if *came > 0 {
            let colour = if is_past { QUIET.colour() } else { QUIET.gamma_multiply(0.4) };
            let bar = Rect::from_min_max(pos2(left, line_y - 3.0 - tall(*came).max(2.0)), pos2(right, line_y - 3.0));
            painter.rect_filled(bar, CornerRadius::same(1), colour);
        }
        if *went > 0 {
            let bar =
                Rect::from_min_max(pos2(left, line_y - 3.0 - tall(*went).max(2.0)), pos2(left + 1.5, line_y - 3.0));
            painter.rect_filled(bar, CornerRadius::ZERO, ASSUMED.gamma_multiply(if is_past { 0.9 } else { 0.4 }));
        }
    }
    painter.line_segment(
        [pos2(inner.left(), line_y), pos2(inner.right(), line_y)],
        Stroke::new(2.0, MUTED.gamma_multiply(0.45)),
    );
    painter.line_segment([pos2(inner.left(), line_y), pos2(x_of(knob), line_y)], Stroke::new(2.0, ACCENT));
    ticks(painter, span, &inner, line_y);
    let centre = pos2(x_of(knob), line_y);
    painter.circle_filled(
        centre,
        if response.dragged() { 7.5 } else { 6.0 },
        if at.is_some() { ACCENT.colour() } else { TEXT.colour() },
    );
    painter.circle_stroke(centre, 6.0, Stroke::new(1.0, Color32::from_black_alpha(120)));
    if let Some(mouse) = response.hover_pos() {
        let time = span.at((mouse.x - inner.left()) / inner.width());
        response.clone().on_hover_text_at_pointer(time.to_string());
    }
    let pressed = response.interact_pointer_pos().filter(|_| response.dragged() || response.clicked());
    let chosen = span.at((pressed?.x - inner.left()) / inner.width());
    (Some(chosen) != at).then_some(chosen)
}

/// Years below the line, as many as have room; months or days where the span is short.
fn ticks(painter: &egui::Painter, span: &Span, inner: &Rect, line_y: f32) {
    let x_of = |ms: i64| inner.left() + inner.width() * span.share(ms);
    let one = (x_of(span.step.begin(span.first, 1)) - x_of(span.step.begin(span.first, 0))).max(1e-3);
    let every = |room: f32| {
        [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].into_iter().find(|n| one * *n as f32 >= room).unwrap_or(1000)
    };
    let (small, named) = (every(5.0), every(NAMED_TICKS));
    let (year, month, _) = civil_of(span.first.div_euclid(DAY_MS));
    let mut number = match span.step {
        Step::Year => i64::from(year),
        Step::Month => i64::from(month) - 1,
        Step::Day => 0,
    };
    let mut ms = span.step.begin(span.first, 0);
    let mut free = f32::NEG_INFINITY;
    while ms <= span.last {
        let x = x_of(ms);
        let is_named = number % named == 0 && x >= free;
        if number % small == 0 && x >= inner.left() - 0.5 {
            let long = if is_named { 7.0 } else { 4.0 };
            painter.line_segment(
                [pos2(x, line_y + 2.0), pos2(x, line_y + 2.0 + long)],
                Stroke::new(1.0, MUTED.gamma_multiply(0.7)),
            );
            if is_named && x < inner.right() - 12.0 {
                let text = ValidTime(ms).to_string();
                let text = match span.step {
                    Step::Year => text.chars().take(4).collect(),
                    Step::Month => text.chars().take(7).collect(),
                    Step::Day => text.chars().skip(5).collect::<String>(),
                };
                let drawn = painter.text(
                    pos2(x, line_y + 9.0),
                    Align2::CENTER_TOP,
                    text,
                    FontId::proportional(10.0),
                    MUTED.into(),
                );
                free = drawn.right() + 6.0;
            }
        }
        (number, ms) = (number + 1, span.step.begin(ms, 1));
    }
}

/// A mark on a button; the font has none of these.
#[derive(Clone, Copy)]
pub enum Icon {
    Back,
    Play,
    Pause,
    On,
}

/// A button with a mark; whether it was pressed.
pub fn icon(ui: &mut Ui, icon: Icon, hint: String) -> bool {
    let (rect, response) = ui.allocate_exact_size(vec2(24.0, 22.0), Sense::click());
    let info = || egui::WidgetInfo::labeled(egui::WidgetType::Button, true, &hint);
    response.widget_info(info);
    let response = response.on_hover_text(&hint);
    let painter = ui.painter();
    if response.hovered() {
        painter.rect_filled(rect, CornerRadius::same(4), ACCENT.gamma_multiply(0.22));
    }
    let (c, ink) = (rect.center(), TEXT.colour());
    let wedge = |left: f32, right: f32| {
        let corners = vec![pos2(c.x + left, c.y - 5.0), pos2(c.x + right, c.y), pos2(c.x + left, c.y + 5.0)];
        egui::Shape::convex_polygon(corners, ink, Stroke::NONE)
    };
    let stake = |x: f32, wide: f32| Rect::from_center_size(pos2(c.x + x, c.y), vec2(wide, 10.0));
    match icon {
        Icon::Play => {
            painter.add(wedge(-4.0, 6.0));
        }
        Icon::Pause => {
            painter.rect_filled(stake(-3.0, 3.0), CornerRadius::ZERO, ink);
            painter.rect_filled(stake(3.0, 3.0), CornerRadius::ZERO, ink);
        }
        Icon::On => {
            painter.add(wedge(-3.0, 4.0));
            painter.rect_filled(stake(5.0, 2.0), CornerRadius::ZERO, ink);
        }
        Icon::Back => {
            painter.add(wedge(3.0, -4.0));
            painter.rect_filled(stake(-5.0, 2.0), CornerRadius::ZERO, ink);
        }
    }
    response.clicked()
}

/// The time that is shown, in the title.
pub fn badge(ui: &mut Ui, at: ValidTime, texts: &Texts) {
    egui::Frame::new()
        .fill(ACCENT.gamma_multiply(0.22))
        .stroke(Stroke::new(1.0, ACCENT))
        .corner_radius(CornerRadius::same(4))
        .inner_margin(egui::Margin::symmetric(8, 2))
        .show(ui, |ui| {
            let text = texts.with("time-badge", "date", at.to_string());
            ui.label(RichText::new(text).font(theme::font(13.0)).color(ACCENT))
        });
}

/// Does what keys ask of the time, and lets it run.
pub fn time_by_hand(
    mut actions: MessageReader<Action>,
    mut timeline: ResMut<Timeline>,
    mut at: ResMut<ValidAt>,
    streaming: Res<Streaming>,
    time: Res<Time<Real>>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let timeline = timeline.bypass_change_detection();
    let now_ms = groundline_engine::live::now_ms();
    let span = timeline.lives.as_ref().and_then(|lives| Span::of(lives, now_ms));
    for action in actions.read() {
        match (*action, span) {
            (Action::Timeline, _) => (timeline.is_open, timeline.is_playing) = (!timeline.is_open, false),
            (Action::TimeNow, _) => {
                at.set_if_neq(ValidAt(None));
                timeline.is_playing = false;
            }
            (Action::TimeBack | Action::TimeOn, Some(span)) if timeline.is_open => {
                let next = span.stepped(at.0, *action == Action::TimeOn);
                at.set_if_neq(ValidAt(next));
                timeline.is_playing = false;
            }
            (Action::Play, Some(_)) if timeline.is_open => timeline.is_playing = !timeline.is_playing,
            _ => {}
        }
    }
    let Some(span) = span.filter(|_| timeline.is_playing) else {
        timeline.waited_s = PACE_S;
        return;
    };
    redraw.write(RequestRedraw);
    timeline.waited_s += time.delta_secs();
    // A step is shown before the next one is taken.
    if timeline.waited_s < PACE_S || !streaming.is_complete {
        return;
    }
    timeline.waited_s = 0.0;
    // From the beginning when the end was shown.
    let next = if at.0.is_none() { Some(ValidTime(span.first)) } else { span.stepped(at.0, true) };
    timeline.is_playing = next.is_some();
    at.set_if_neq(ValidAt(next));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(year: i32, month: u32, day: u32) -> i64 {
        ValidTime::of_day(year, month, day).0
    }

    fn lives(came: &[i64], went: &[i64]) -> Lives {
        Lives { came: came.to_vec(), went: went.to_vec(), ..Lives::default() }
    }

    #[test]
    fn a_span_has_room_before_the_first_and_ends_now_or_where_plans_end() {
        let now = ms(2026, 5, 10);
        let span = Span::of(&lives(&[ms(1934, 1, 1), ms(2020, 7, 1)], &[]), now).unwrap();
        assert_eq!((span.first, span.last, span.step), (ms(1933, 1, 1), now, Step::Year));
        let planned = Span::of(&lives(&[ms(2025, 1, 1)], &[ms(2027, 3, 5)]), now).unwrap();
        assert_eq!((planned.first, planned.last, planned.step), (ms(2024, 12, 1), ms(2027, 4, 1), Step::Month));
        assert_eq!(Span::of(&Lives::default(), now), None);
    }

    #[test]
    fn steps_go_from_year_to_year_and_past_the_end_to_now() {
        let now = ms(2026, 5, 10);
        let span = Span::of(&lives(&[ms(2000, 1, 1)], &[]), now).unwrap();
        let time = |year, month, day| Some(ValidTime::of_day(year, month, day));
        assert_eq!(span.stepped(None, false), time(2026, 1, 1));
        assert_eq!(span.stepped(time(2015, 6, 30), false), time(2015, 1, 1));
        assert_eq!(span.stepped(time(2015, 1, 1), false), time(2014, 1, 1));
        assert_eq!(span.stepped(time(2015, 6, 30), true), time(2016, 1, 1));
        assert_eq!((span.stepped(time(2026, 1, 1), true), span.stepped(None, true)), (None, None));
        assert_eq!(span.stepped(time(1999, 1, 1), false), time(1999, 1, 1), "nothing is before the first");
        assert_eq!((span.at(0.0), span.at(1.0)), (ValidTime::of_day(1999, 1, 1), ValidTime::of_day(2026, 1, 1)));
        assert_eq!(Step::Month.begin(ms(2025, 11, 20), 2), ms(2026, 1, 1));
    }

    #[test]
    fn columns_hold_every_time_once() {
        let days = Span { first: 0, last: 10 * DAY_MS, step: Step::Day };
        assert_eq!((edges(&days, 10).len(), edges(&days, 5)), (11, (0..=5).map(|n| n * 2 * DAY_MS).collect()));
        assert_eq!(counts(&[0, 9, 10, 55, 99], &[0, 10, 20, 60, 100]), [2, 1, 1, 1]);
    }
}
