//! The fixed parts of the overlay: title, scale, compass, legend, alarms, layers, help.

use bevy_egui::egui::{
    self, Align2, Area, Color32, CornerRadius, Id, Pos2, Rect, RichText, Sense, Shape, Stroke, StrokeKind, Ui, pos2,
    vec2,
};
use groundline_engine::{
    live::{AlarmState, Limit},
    model::{CimLevel, PipeKind},
};

use crate::{
    badge::{self, Condition},
    city::CityModel,
    key::Action,
    overlay::{OverlayState, Wish, haloed, shortened},
    scene::{Clock, Viewed},
    stream::Streaming,
    style::Style,
    text::Texts,
    theme::{self, ACCENT, MUTED, TEXT},
    time_bar,
    validity::ValidTime,
};

/// Alarms listed by name; the rest is counted.
const MAX_ALARMS_LISTED: usize = 6;
/// Distance of panels from the edge of the picture.
pub const EDGE: f32 = 16.0;

/// What the panels look at.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The city.
    pub city: &'a CityModel,
    /// Camera and size.
    pub viewed: &'a Viewed,
    /// Time of day.
    pub clock: &'a Clock,
    /// The time at which the city is shown.
    pub valid_at: Option<ValidTime>,
    /// Below ground is shown.
    pub is_below: bool,
    /// The finest level of detail that is shown.
    pub detail: CimLevel,
    /// The picture, points.
    pub screen: Rect,
    /// The part of it in which things of the city are written on them.
    pub stage: Rect,
    /// Where the first pixel of the camera's own picture lies in it.
    pub first: Pos2,
    /// The clock of this machine.
    pub now_ms: i64,
    /// Pixels a point.
    pub point_px: f32,
}

impl Seen<'_> {
    /// Where a pixel of the camera's picture is on the screen.
    pub fn point(&self, pixel: bevy::math::Vec2) -> Pos2 {
        self.first + vec2(pixel.x, pixel.y) / self.point_px
    }

    /// Draws under all panels, within the stage.
    pub fn painter(&self, ctx: &egui::Context) -> egui::Painter {
        ctx.layer_painter(egui::LayerId::background()).with_clip_rect(self.stage)
    }
}

/// A picture of 1280 × 720 points of `city` from above, for tests of panels.
#[cfg(test)]
pub fn seen_from_above<R>(city: &CityModel, size: egui::Vec2, then: impl FnOnce(&Seen<'_>) -> R) -> R {
    let pose =
        crate::camera::CameraPose { place: glam::DVec3::new(0.0, 0.0, 50.0), heading_deg: 0.0, pitch_deg: -90.0 };
    let viewed = Viewed { pose, size: bevy::math::Vec2::new(size.x, size.y) };
    let moment = crate::sun::Moment::default();
    let clock = Clock { moment, sun: crate::sun::sun_position(&moment, 120.0, 36.0) };
    let screen = Rect::from_min_size(Pos2::ZERO, size);
    then(&Seen {
        city,
        viewed: &viewed,
        clock: &clock,
        valid_at: None,
        is_below: false,
        detail: CimLevel::PART,
        screen,
        stage: screen,
        first: Pos2::ZERO,
        now_ms: 0,
        point_px: 1.0,
    })
}

/// Between the edge of a panel and what is in it, points.
pub const PADDING: f32 = 13.0;

/// Where a panel is drawn.
pub fn area(name: &str, at: Pos2, pivot: Align2) -> Area {
    Area::new(Id::new(name)).fixed_pos(at).pivot(pivot).fade_in(false).constrain(false).movable(false)
}

/// A panel with what `add` puts into it; says where it lies.
pub fn framed(ctx: &egui::Context, area: Area, add: impl FnOnce(&mut Ui)) -> Rect {
    area.show(ctx, |ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 3.0);
        theme::panel().show(ui, add).response.rect
    })
    .inner
}

/// Name of the city, version, coordinate system, time; sensors at a glance; below ground its own badge.
pub fn title(ctx: &egui::Context, state: &OverlayState, seen: &Seen<'_>) -> Rect {
    let texts = &state.texts;
    framed(ctx, area("title", pos2(EDGE, EDGE), Align2::LEFT_TOP), |ui| {
        // As wide as the text is in another language, too.
        ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
        ui.label(RichText::new(&seen.city.name).size(21.0).color(TEXT));
        let moment = &seen.clock.moment;
        let minutes = (moment.hour * 60.0).round() as i64;
        let time =
            format!("{}-{:02}-{:02} {:02}:{:02}", moment.year, moment.month, moment.day, minutes / 60, minutes % 60);
        let version = texts.with("version", "number", seen.city.version as i64);
        let time = texts.with("sun-time", "time", time);
        let version = if seen.city.is_tileset() { String::new() } else { format!("{version} · ") };
        ui.label(RichText::new(format!("{version}{} · {time}", seen.city.crs)).size(11.5).color(MUTED));
        let total = state.live.sensors().len();
        if total > 0 {
            let snapshot = state.live.snapshot(seen.now_ms);
            let good = snapshot.latest.iter().filter(|latest| Condition::of(latest, 3) == Condition::Good).count();
            // A sensor of which nothing was ever heard is not known to be out of order.
            let silent = snapshot.latest.iter().filter(|latest| latest.value.is_none()).count();
            let counts = [("total", total), ("good", good), ("bad", total - good - silent), ("silent", silent)];
            let key = match silent {
                0 => "sensors-summary",
                _ if silent == total => "sensors-silent",
                _ => "sensors-some-silent",
            };
            let summary = texts.with_all(key, counts.map(|(name, count)| (name, count.to_string())));
            ui.label(RichText::new(summary).size(11.5).color(MUTED));
        }
        if seen.detail < CimLevel::PART {
            ui.label(RichText::new(texts.get(level_key(seen.detail))).size(11.5).color(ACCENT));
        }
        if let Some(at) = seen.valid_at {
            ui.add_space(3.0);
            time_bar::badge(ui, at, texts);
        }
        if seen.is_below {
            ui.add_space(3.0);
            ui.horizontal(|ui| {
                egui::Frame::new()
                    .fill(ACCENT.gamma_multiply(0.22))
                    .stroke(Stroke::new(1.0, ACCENT))
                    .corner_radius(CornerRadius::same(4))
                    .inner_margin(egui::Margin::symmetric(8, 2))
                    .show(ui, |ui| ui.label(RichText::new(texts.get("below-badge")).size(13.0).color(ACCENT)));
                let place = seen.viewed.pose.place;
                let depth = seen.city.ground_m(place.truncate()) - place.z;
                if depth > 0.0 {
                    let text = texts.with("below-depth", "depth", badge::number(depth));
                    ui.label(RichText::new(text).size(11.5).color(MUTED));
                }
            });
        }
    })
}

/// A length in round numbers (1, 2, 5 × 10ⁿ) that is at most `most_m` long.
fn round_length(most_m: f64) -> f64 {
    let ten = 10f64.powf(most_m.max(1e-3).log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|digit| digit * ten).find(|length| *length <= most_m).unwrap_or(ten)
}

/// Scale at the middle of the picture, and what the mouse points at.
pub fn scale_bar(ctx: &egui::Context, state: &OverlayState, seen: &Seen<'_>) -> Rect {
    let painter = ctx.layer_painter(egui::LayerId::background());
    let middle = seen.viewed.ray(seen.viewed.size * bevy::math::Vec2::new(0.5, 0.62));
    let ground = seen.city.ground_m(seen.city.extent.centre().truncate());
    let fall = middle.from.z - ground;
    let distance =
        if middle.direction.z < -0.02 && fall > 0.0 { fall / -middle.direction.z } else { fall.abs().max(50.0) * 3.0 };
    let metres_a_point = distance * 2.0 * (crate::camera::FIELD_OF_VIEW_DEG.to_radians() * 0.5).tan()
        / f64::from(seen.screen.height().max(1.0));
    let length_m = round_length(metres_a_point * 150.0);
    let length = (length_m / metres_a_point) as f32;
    let left = pos2(seen.screen.left() + EDGE + 4.0, seen.screen.bottom() - EDGE - 16.0);
    let bar = Rect::from_min_size(left, vec2(length, 4.0));
    painter.rect_filled(bar.expand(1.5), CornerRadius::same(1), Color32::from_black_alpha(150));
    painter.rect_filled(bar, CornerRadius::ZERO, Color32::WHITE);
    let half = Rect::from_min_size(left, vec2(length * 0.5, 4.0));
    painter.rect_filled(half.shrink(0.8), CornerRadius::ZERO, Color32::from_gray(40));
    let text = if length_m >= 1000.0 {
        format!("{} km", badge::number(length_m / 1000.0))
    } else {
        format!("{} m", badge::number(length_m))
    };
    haloed(&painter, left + vec2(length + 8.0, 3.0), Align2::LEFT_CENTER, &text, 12.0, theme::dark::TEXT);
    let mut note = state.texts.get("attribution");
    if let Some(pointed) = state.pointed {
        note = format!("E {:.1}  N {:.1}  {} {:.1} m", pointed.x, pointed.y, state.texts.get("height"), pointed.z);
    }
    let line = haloed(&painter, left + vec2(0.0, 9.0), Align2::LEFT_TOP, &note, 10.5, Color32::from_gray(215));
    bar.union(line).expand2(vec2(60.0, 4.0))
}

/// Where north is.
pub fn compass(ctx: &egui::Context, seen: &Seen<'_>, texts: &Texts) -> Rect {
    let painter = ctx.layer_painter(egui::LayerId::background());
    let centre = seen.screen.right_bottom() - vec2(EDGE + 24.0, EDGE + 24.0);
    painter.circle_filled(centre, 22.0, theme::PANEL.colour());
    painter.circle_stroke(centre, 22.0, Stroke::new(1.0, theme::EDGE));
    let angle = -(seen.viewed.pose.heading_deg.to_radians() as f32);
    let turn = |x: f32, y: f32| centre + vec2(x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos());
    let north = vec![turn(0.0, -13.0), turn(4.6, 2.0), turn(-4.6, 2.0)];
    let south = vec![turn(0.0, 13.0), turn(4.6, 2.0), turn(-4.6, 2.0)];
    painter.add(Shape::convex_polygon(south, Color32::from_gray(92), Stroke::NONE));
    painter.add(Shape::convex_polygon(north, Color32::from_rgb(214, 84, 70), Stroke::NONE));
    painter.text(turn(0.0, -17.5), Align2::CENTER_CENTER, texts.get("north"), theme::font(8.5), TEXT.into());
    Rect::from_center_size(centre, vec2(48.0, 48.0))
}

/// The classes of pipes in the city with their colours.
pub fn pipe_legend(ctx: &egui::Context, state: &OverlayState, seen: &Seen<'_>, top: f32) -> Rect {
    let texts = &state.texts;
    let layers = &seen.city.layers;
    let mut kinds: Vec<PipeKind> = layers.iter().filter_map(|layer| layer.pipe_kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let has_pipes = layers.iter().any(|layer| layer.classes.iter().any(|(class, _)| class == "pipe"));
    if kinds.is_empty() && has_pipes {
        // All in one layer: the colours of the classes that cities have.
        kinds = vec![
            PipeKind::Water,
            PipeKind::Storm,
            PipeKind::Sewage,
            PipeKind::Gas,
            PipeKind::Heat,
            PipeKind::Power,
            PipeKind::Telecom,
        ];
    }
    let has_structures = layers.iter().any(|layer| matches!(layer.main_class(), "gallery" | "tunnel" | "station"));
    framed(ctx, area("pipe-legend", pos2(EDGE, top), Align2::LEFT_TOP), |ui| {
        ui.label(RichText::new(texts.get("pipe-legend")).size(13.0).color(TEXT));
        for kind in kinds {
            let name = if state.is_chinese() { kind.zh().to_owned() } else { capitalised(kind.word()) };
            legend_row(ui, kind.rgb(), &name);
        }
        if has_structures {
            legend_row(ui, [164, 120, 196], &texts.get("structures"));
        }
        ui.label(RichText::new(texts.get("legend-note")).size(10.0).color(MUTED));
    })
}

fn legend_row(ui: &mut Ui, rgb: [u8; 3], name: &str) {
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(24.0, 12.0), Sense::hover());
        let colour = Color32::from_rgb(rgb[0], rgb[1], rgb[2]);
        let tube = Rect::from_center_size(rect.center(), vec2(24.0, 6.0));
        ui.painter().rect_filled(tube, CornerRadius::same(3), colour);
        let shine = Rect::from_min_size(tube.min + vec2(2.0, 1.2), vec2(20.0, 1.4));
        ui.painter().rect_filled(shine, CornerRadius::same(1), Color32::from_white_alpha(110));
        ui.painter().rect_stroke(
            tube,
            CornerRadius::same(3),
            Stroke::new(0.7, Color32::from_white_alpha(70)),
            StrokeKind::Outside,
        );
        ui.label(RichText::new(name).size(12.0).color(TEXT));
    });
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Time of day of a moment as this machine's clock would show it in UTC+8 or by its offset; seconds left out.
fn clock_text(time_ms: i64) -> String {
    // Cities here keep Beijing time; one list must not mix zones.
    let minutes = time_ms.div_euclid(60_000) + 8 * 60;
    format!("{:02}:{:02}", minutes.div_euclid(60).rem_euclid(24), minutes.rem_euclid(60))
}

/// The alarms, highest priority first; `None` when there are none.
pub fn alarms(ctx: &egui::Context, state: &mut OverlayState, seen: &Seen<'_>) -> Option<Rect> {
    let alarms = state.live.alarms();
    if alarms.is_empty() {
        return None;
    }
    let mut wish = None;
    let texts = &state.texts;
    let at = seen.screen.right_top() + vec2(-EDGE, EDGE);
    let rect = framed(ctx, area("alarms", at, Align2::RIGHT_TOP), |ui| {
        ui.set_width(236.0);
        ui.horizontal(|ui| {
            ui.label(RichText::new(texts.get("alarms")).size(13.0).color(TEXT));
            ui.label(RichText::new(alarms.len().to_string()).size(13.0).color(MUTED));
        });
        for alarm in alarms.iter().take(MAX_ALARMS_LISTED) {
            let is_acknowledged = matches!(alarm.state, AlarmState::Acknowledged | AlarmState::Shelved);
            let condition = Condition::Alarm { priority: alarm.priority, is_acknowledged };
            let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 33.0), Sense::click());
            let painter = ui.painter();
            let colour = condition.colour();
            let bar = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
            painter.rect_filled(
                rect,
                CornerRadius::same(3),
                colour.gamma_multiply(if response.hovered() { 0.30 } else { 0.16 }),
            );
            painter.rect_filled(bar, CornerRadius::same(1), colour);
            let centre = pos2(rect.left() + 16.0, rect.center().y);
            painter.circle_filled(centre, 9.5, if is_acknowledged { Color32::TRANSPARENT } else { colour });
            badge::mark(painter, centre, 6.0, condition, &alarm.priority.to_string());
            let sensor = match &alarm.subject {
                groundline_engine::live::Subject::Sensor(index) => state.live.sensors().get(*index),
                groundline_engine::live::Subject::Source(_) => None,
            };
            let name = shortened(&state.name_of_alarm(alarm), 17);
            painter.text(rect.min + vec2(31.0, 1.0), Align2::LEFT_TOP, name, theme::font(12.0), TEXT.into());
            let limit_of = |high: bool| {
                let threshold = sensor.as_ref().and_then(|sensor| sensor.threshold.as_ref());
                let limit = threshold.and_then(|t| if high { t.high } else { t.low }).unwrap_or_default();
                format!("{} {}", badge::number(limit), sensor.as_ref().map_or("", |sensor| sensor.unit.as_str()))
            };
            let what = match (alarm.state, alarm.limit) {
                (AlarmState::Shelved, _) => texts.get("alarm-shelved"),
                (AlarmState::ReturnedUnacknowledged, _) => texts.get("alarm-returned"),
                (_, Some(Limit::High)) => texts.with("alarm-high", "limit", limit_of(true)),
                (_, Some(Limit::Low)) => texts.with("alarm-low", "limit", limit_of(false)),
                (_, Some(Limit::Rate)) => {
                    let most = sensor.as_ref().and_then(|sensor| sensor.threshold?.rate_per_min).unwrap_or_default();
                    let unit = sensor.as_ref().map_or("", |sensor| sensor.unit.as_str());
                    texts.with("alarm-rate", "limit", format!("{} {unit}", badge::number(most)))
                }
                (_, Some(Limit::Lost)) => texts.get("alarm-lost"),
                (AlarmState::Acknowledged, None) => texts.get("alarm-acknowledged"),
                (_, None) => String::new(),
            };
            painter.text(
                rect.left_bottom() + vec2(31.0, -1.0),
                Align2::LEFT_BOTTOM,
                what,
                theme::font(10.5),
                MUTED.into(),
            );
            let unit = sensor.as_ref().map_or("", |sensor| sensor.unit.as_str());
            let value = alarm.value.map_or_else(String::new, |value| format!("{} {unit}", badge::number(value)));
            let right = rect.right() - 5.0;
            painter.text(pos2(right, rect.top() + 1.0), Align2::RIGHT_TOP, value, theme::font(12.0), TEXT.into());
            let since = texts.with("since", "time", clock_text(alarm.raised_ms));
            painter.text(
                pos2(right, rect.bottom() - 1.0),
                Align2::RIGHT_BOTTOM,
                since,
                theme::font(10.5),
                MUTED.into(),
            );
            if response.clicked()
                && let Some(place) = state.place_of_alarm(alarm)
            {
                wish = Some(Wish::FlyTo(place, 220.0));
            }
        }
        if alarms.len() > MAX_ALARMS_LISTED {
            let more = texts.with("alarms-more", "count", (alarms.len() - MAX_ALARMS_LISTED) as i64);
            ui.label(RichText::new(more).size(11.0).color(MUTED));
        }
    });
    state.wish = wish.or(state.wish);
    Some(rect)
}

/// The layers: shown or not, what they hold.
pub fn layers(
    ctx: &egui::Context,
    state: &OverlayState,
    seen: &Seen<'_>,
    shown: &mut [bool],
    top: f32,
    lift: f32,
) -> Rect {
    let texts = &state.texts;
    let room = (seen.screen.bottom() - top - lift.max(38.0) - 52.0).max(80.0);
    framed(ctx, area("layers", pos2(EDGE, top), Align2::LEFT_TOP), |ui| {
        ui.set_width(248.0);
        ui.label(RichText::new(texts.get("layers")).size(13.0).color(TEXT));
        egui::ScrollArea::vertical().max_height(room).show(ui, |ui| {
            for (layer, is_shown) in seen.city.layers.iter().zip(shown) {
                ui.horizontal(|ui| {
                    ui.checkbox(is_shown, "");
                    let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
                    let [r, g, b] = layer.rgb;
                    ui.painter().rect_filled(rect, CornerRadius::same(2), Color32::from_rgb(r, g, b));
                    ui.label(RichText::new(shortened(&layer.name, 22)).size(12.0).color(TEXT));
                    let count = if layer.points > 0 {
                        texts.with("points", "count", grouped(layer.points))
                    } else {
                        texts.with("objects", "count", grouped(layer.objects))
                    };
                    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                        ui.label(RichText::new(count).size(10.5).color(MUTED));
                    });
                });
            }
        });
    })
}

/// A whole number with thin gaps between groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// The panel of the picked object, above what reaches up by `lift`; `None` when nothing is picked.
pub fn attributes(
    ctx: &egui::Context,
    state: &mut OverlayState,
    seen: &Seen<'_>,
    asked: &mut Vec<Action>,
    lift: f32,
) -> Option<Rect> {
    let picked = state.picked.as_ref()?;
    let at = seen.screen.right_bottom() - vec2(EDGE, (lift + 8.0).max(EDGE + 60.0));
    let mut is_closed = false;
    let rect = framed(ctx, area("attributes", at, Align2::RIGHT_BOTTOM), |ui| {
        ui.set_width(330.0);
        is_closed = crate::attribute::show(ui, picked, &state.texts, (seen.screen.height() - lift) * 0.55);
        if state.is_interactive {
            crate::attribute::actions(ui, picked, &state.texts, asked);
        }
    });
    if is_closed {
        state.picked = None;
    }
    // It is placed by the size that it had before.
    if (rect.bottom() - at.y).abs() > 1.0 && state.is_interactive {
        ctx.request_repaint();
    }
    Some(rect)
}

/// What is being read, and what could not be.
pub fn status(ctx: &egui::Context, state: &OverlayState, streaming: &Streaming, seen: &Seen<'_>) {
    let painter = ctx.layer_painter(egui::LayerId::background());
    let at = seen.screen.center_bottom() - vec2(0.0, EDGE);
    let loading = streaming.loading();
    if loading > 0 {
        let text = state.texts.with("loading", "count", loading as i64);
        haloed(&painter, at, Align2::CENTER_BOTTOM, &text, 11.5, theme::dark::TEXT);
        return;
    }
    let damaged = streaming.damaged().len();
    if damaged > 0 {
        let text = state.texts.with("damaged", "count", damaged as i64);
        haloed(&painter, at, Align2::CENTER_BOTTOM, &text, 11.5, theme::dark::ASSUMED);
    }
}

/// Under which the name of a level of detail is among the texts.
fn level_key(level: CimLevel) -> &'static str {
    ["cim-1", "cim-2", "cim-3", "cim-4", "cim-5", "cim-6", "cim-7"][usize::from(level.number() - 1)]
}

/// Buttons for those who know no keys.
pub fn buttons(
    ctx: &egui::Context,
    state: &mut OverlayState,
    is_below: &mut bool,
    detail: &mut CimLevel,
    (style, is_colours_open, is_peel_open): (&mut Style, &mut bool, &mut bool),
    seen: &Seen<'_>,
) -> Rect {
    let at = seen.screen.right_bottom() - vec2(EDGE + 62.0, EDGE + 10.0);
    let most = at.x - seen.screen.left() - EDGE;
    framed(ctx, area("buttons", at, Align2::RIGHT_BOTTOM), |ui| {
        ui.set_max_width(most - 2.0 * PADDING);
        ui.horizontal_wrapped(|ui| {
            let below = state.texts.get("below-badge");
            if ui.selectable_label(*is_below, RichText::new(below).size(12.5)).clicked() {
                *is_below = !*is_below;
            }
            let shown = RichText::new(detail.to_string()).size(12.5);
            egui::ComboBox::from_id_salt("detail").selected_text(shown).width(58.0).show_ui(ui, |ui| {
                for level in (1..=7).filter_map(CimLevel::new) {
                    ui.selectable_value(detail, level, RichText::new(state.texts.get(level_key(level))).size(12.5));
                }
            });
            let shown = RichText::new(state.texts.get(style.text_key())).size(12.5);
            egui::ComboBox::from_id_salt("style").selected_text(shown).width(64.0).show_ui(ui, |ui| {
                for one in Style::ALL {
                    ui.selectable_value(style, one, RichText::new(state.texts.get(one.text_key())).size(12.5));
                }
            });
            let compare = state.texts.get("compare");
            if ui.selectable_label(state.is_comparison_open, RichText::new(compare).size(12.5)).clicked() {
                state.is_comparison_open = !state.is_comparison_open;
            }
            let cuts = state.texts.get("cuts");
            if ui.selectable_label(state.is_cuts_open, RichText::new(cuts).size(12.5)).clicked() {
                state.is_cuts_open = !state.is_cuts_open;
            }
            let peel = state.texts.get("peel");
            if ui.selectable_label(*is_peel_open, RichText::new(peel).size(12.5)).clicked() {
                *is_peel_open = !*is_peel_open;
            }
            let colours = state.texts.get("colours");
            if ui.selectable_label(*is_colours_open, RichText::new(colours).size(12.5)).clicked() {
                *is_colours_open = !*is_colours_open;
            }
            let layers = state.texts.get("layers");
            if ui.selectable_label(state.is_layers_open, RichText::new(layers).size(12.5)).clicked() {
                state.is_layers_open = !state.is_layers_open;
            }
            let table = state.texts.get("table");
            if ui.selectable_label(state.is_table_open, RichText::new(table).size(12.5)).clicked() {
                state.is_table_open = !state.is_table_open;
            }
            let settings = state.texts.get("settings");
            if ui.selectable_label(state.is_settings_open, RichText::new(settings).size(12.5)).clicked() {
                state.is_settings_open = !state.is_settings_open;
            }
            if ui.selectable_label(state.is_help_open, RichText::new("?").size(12.5)).clicked() {
                state.is_help_open = !state.is_help_open;
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_bars_are_round() {
        for (most, expected) in [(730.0, 500.0), (200.0, 200.0), (199.0, 100.0), (0.07, 0.05), (12_345.0, 10_000.0)] {
            assert!((round_length(most) - expected).abs() < 1e-9 * expected, "{most}");
        }
    }

    #[test]
    fn counts_are_grouped_and_clocks_are_local() {
        assert_eq!(grouped(1_234_567), "1\u{2009}234\u{2009}567");
        assert_eq!(grouped(42), "42");
        assert_eq!(clock_text(0), "08:00");
    }
}
