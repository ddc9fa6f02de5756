//! The panel of sun and shadow (日照): the day, the hour, where the sun stands, and how long it shines on a chosen place.

use bevy::{prelude::*, window::RequestRedraw};
use bevy_egui::egui::{
    self, Align2, Color32, CornerRadius, DragValue, Rect, RichText, Sense, Slider, Stroke, Ui, pos2, vec2,
};

use crate::{
    date::{civil_of, days_of},
    daylight::{LitDay, RADIUS_M, State, SunStudy},
    key::Action,
    panel::{EDGE, Seen, area, framed, grouped},
    scene::{CityScene, Clock},
    sun::{Moment, clock_of_solar, day_of_longitude, rise_and_set, solar_hour},
    text::Texts,
    theme::{ACCENT, ASSUMED, MUTED, TEXT},
    time_bar::{Icon, icon},
    validity::Timeline,
};

/// Width of the panel, points.
const WIDTH: f32 = 306.0;
/// Height of the bar of the day, points.
const BAR: f32 = 20.0;
/// A day runs by in so many seconds.
const DAY_S: f64 = 24.0;
/// Colour of sun and of shadow on the bar.
const SUN: Color32 = Color32::from_rgb(246, 200, 92);
const SHADE: Color32 = Color32::from_rgb(74, 86, 102);
/// Days that count, by the sun's longitude along the ecliptic.
const TERMS: [(&str, f64); 5] = [
    ("sun-great-cold", 300.0),
    ("sun-march", 0.0),
    ("sun-june", 90.0),
    ("sun-september", 180.0),
    ("sun-december", 270.0),
];
/// Years for which the sun is known to 0.01°.
const YEARS: std::ops::RangeInclusive<i32> = 1950..=2050;

/// What GB 50180-2018, table 4.0.9, asks for on a day: hours, and from when to when in true solar time. Its text was not seen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rule {
    text: &'static str,
    hours: f64,
    band: (f64, f64),
}

/// The rule for a day, and the band that is told where there is none.
fn rule(date: (u32, u32), great_cold: (u32, u32), december: (u32, u32)) -> Option<Rule> {
    if date == great_cold {
        Some(Rule { text: "sun-rule-great-cold", hours: 2.0, band: (8.0, 16.0) })
    } else if date == december {
        Some(Rule { text: "sun-rule-december", hours: 1.0, band: (9.0, 15.0) })
    } else {
        None
    }
}

/// `7:05` of an hour on the clock.
fn clock_text(hour: f64) -> String {
    let minutes = (hour * 60.0).round() as i64;
    format!("{:02}:{:02}", minutes.div_euclid(60), minutes.rem_euclid(60))
}

fn duration_text(hours: f64, texts: &Texts) -> String {
    let minutes = (hours * 60.0).round() as i64;
    texts.with_all("sun-duration", [("hours", (minutes / 60).to_string()), ("minutes", (minutes % 60).to_string())])
}

/// Draws the panel at the height `top`; the moment changes at once.
pub fn show(
    ctx: &egui::Context,
    study: &mut SunStudy,
    moment: &mut Moment,
    seen: &Seen<'_>,
    texts: &Texts,
    top: f32,
) -> Rect {
    let lon_lat = match &study.state {
        State::Ready(obstacles) => obstacles.lon_lat,
        _ => seen.city.lon_lat,
    };
    let (lon, lat) = (lon_lat.x, lon_lat.y);
    let line = |ui: &mut Ui, text: String| drop(ui.label(RichText::new(text).size(11.5).color(MUTED)));
    framed(ctx, area("sun", seen.screen.left_top() + vec2(EDGE, top), Align2::LEFT_TOP), |ui| {
        ui.set_width(WIDTH);
        ui.horizontal(|ui| {
            ui.label(RichText::new(texts.get("sunlight")).size(13.0).color(TEXT));
            if study.is_open {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.small_button("×").on_hover_text(texts.get("close")).clicked() {
                        (study.is_open, study.is_playing) = (false, false);
                    }
                });
            }
        });
        let terms = TERMS.map(|(key, longitude)| (key, day_of_longitude(moment.year, longitude, lon, lat)));
        if study.is_open {
            choose_day(ui, moment, &terms, texts);
        }
        let day = rise_and_set(moment, lon, lat);
        if study.is_open {
            choose_hour(ui, study, moment, texts);
        }
        let sun = &seen.clock.sun;
        let angles = [("azimuth", format!("{:.1}", sun.azimuth_deg)), ("altitude", format!("{:.1}", sun.altitude_deg))];
        line(ui, texts.with_all("sun-angles", angles));
        match day {
            Some((rise, set)) => {
                let times = [
                    ("rise", clock_text(rise)),
                    ("set", clock_text(set)),
                    ("solar", clock_text(solar_hour(moment, lon, lat))),
                ];
                line(ui, texts.with_all("sun-times", times));
            }
            None => line(ui, texts.get("sun-no-rise")),
        }
        ui.separator();
        let Some(place) = study.place else {
            line(ui, texts.get("sun-pick"));
            return;
        };
        let above = seen.city.ground.height_at(place.truncate()).map(|ground| place.z - ground);
        let head = match above {
            Some(above) if above <= -0.05 => texts.with("sun-place-below", "metres", format!("{:.1}", -above)),
            Some(above) => texts.with("sun-place-above", "metres", format!("{:.1}", above.max(0.0))),
            None => texts.get("sun-place"),
        };
        ui.horizontal(|ui| {
            ui.label(RichText::new(head).size(12.0).color(TEXT));
            if study.is_open {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.small_button("×").on_hover_text(texts.get("sun-forget")).clicked() {
                        study.place = None;
                    }
                });
            }
        });
        match (&study.state, &study.day) {
            (State::Ready(obstacles), Some((_, Some(lit)))) => {
                let rule = rule((moment.month, moment.day), terms[0].1, terms[4].1);
                let band = rule.map_or((8.0, 16.0), |rule| rule.band);
                let clock = |solar| clock_of_solar(moment, lon, lat, solar);
                let clocks = (clock(band.0), clock(band.1));
                if let Some(hour) = bar(ui, lit, band, clocks, moment.hour) {
                    (moment.hour, study.is_playing) = (hour, false);
                }
                told(ui, lit, (rule, band, clocks), texts);
                let count = [("count", grouped(obstacles.objects as u64)), ("metres", format!("{RADIUS_M:.0}"))];
                ui.label(RichText::new(texts.with_all("sun-note", count)).size(10.0).color(MUTED));
                if study.is_open {
                    let ground = RichText::new(texts.get("sun-ground")).size(11.0).color(MUTED);
                    ui.checkbox(&mut study.has_ground, ground);
                }
            }
            (State::Ready(_), Some((_, None))) => {}
            (State::Failed(reason), _) => drop(ui.label(RichText::new(reason).size(11.0).color(ASSUMED))),
            _ => line(ui, texts.get("sun-reading")),
        }
    })
}

/// Marks the chosen place in the picture.
pub fn mark(ctx: &egui::Context, study: &SunStudy, seen: &Seen<'_>) {
    let Some((pixel, _)) = study.place.and_then(|place| seen.viewed.pixel(place)) else { return };
    let at = pos2(pixel.x, pixel.y) / seen.point_px;
    let painter = ctx.layer_painter(egui::LayerId::background());
    painter.circle_filled(at, 5.0, SUN);
    painter.circle_stroke(at, 5.0, Stroke::new(1.5, Color32::from_black_alpha(170)));
    for step in 0..8 {
        let (sin, cos) = (step as f32 * std::f32::consts::FRAC_PI_4).sin_cos();
        painter.line_segment(
            [at + vec2(cos, sin) * 7.5, at + vec2(cos, sin) * 11.0],
            Stroke::new(3.0, Color32::from_black_alpha(120)),
        );
        painter.line_segment([at + vec2(cos, sin) * 7.5, at + vec2(cos, sin) * 11.0], Stroke::new(1.5, SUN));
    }
}

/// Year, day and the days that count.
fn choose_day(ui: &mut Ui, moment: &mut Moment, terms: &[(&str, (u32, u32)); 5], texts: &Texts) {
    let first = days_of(moment.year, 1, 1);
    let length = days_of(moment.year + 1, 1, 1) - first;
    let mut day = days_of(moment.year, moment.month, moment.day) - first;
    ui.horizontal(|ui| {
        ui.add(DragValue::new(&mut moment.year).range(YEARS).speed(0.1));
        ui.label(RichText::new(format!("{:02}-{:02}", moment.month, moment.day)).size(15.0).color(TEXT));
        ui.spacing_mut().slider_width = ui.available_width() - 8.0;
        if ui.add(Slider::new(&mut day, 0..=length - 1).show_value(false)).changed() {
            (_, moment.month, moment.day) = civil_of(first + day);
        }
    });
    ui.horizontal_wrapped(|ui| {
        for (key, (month, day)) in terms {
            let is_on = (moment.month, moment.day) == (*month, *day);
            let name = RichText::new(texts.get(key)).size(12.0);
            if ui.selectable_label(is_on, name).on_hover_text(format!("{month:02}-{day:02}")).clicked() {
                (moment.month, moment.day) = (*month, *day);
            }
        }
    });
    // The 29th of February of another year.
    (_, moment.month, moment.day) = civil_of(days_of(moment.year, moment.month, moment.day));
}

fn choose_hour(ui: &mut Ui, study: &mut SunStudy, moment: &mut Moment, texts: &Texts) {
    ui.horizontal(|ui| {
        let (mark, hint) = if study.is_playing { (Icon::Pause, "time-pause") } else { (Icon::Play, "sun-play") };
        if icon(ui, mark, texts.get(hint)) {
            study.is_playing = !study.is_playing;
        }
        ui.label(RichText::new(clock_text(moment.hour)).size(15.0).color(ACCENT));
        ui.spacing_mut().slider_width = ui.available_width() - 8.0;
        let mut hour = moment.hour;
        if ui.add(Slider::new(&mut hour, 0.0..=24.0).step_by(1.0 / 12.0).show_value(false)).changed() {
            (moment.hour, study.is_playing) = (hour, false);
        }
    });
}

/// The bar of the day with its lit and shaded stretches; the hour that was chosen on it, if any.
fn bar(ui: &mut Ui, lit: &LitDay, band: (f64, f64), clocks: (f64, f64), now: f64) -> Option<f64> {
    let (rect, response) = ui.allocate_exact_size(vec2(WIDTH, BAR + 26.0), Sense::click_and_drag());
    let (from, to) = (lit.day.0 - 0.3, lit.day.1 + 0.3);
    let x_of = |hour: f64| rect.left() + rect.width() * ((hour - from) / (to - from)) as f32;
    let (top, bottom) = (rect.top() + 12.0, rect.top() + 12.0 + BAR);
    let stretch = |from: f64, to: f64| Rect::from_min_max(pos2(x_of(from), top), pos2(x_of(to), bottom));
    let painter = ui.painter();
    let small = |at, align, text: String| painter.text(at, align, text, egui::FontId::proportional(9.5), MUTED.into());
    painter.rect_filled(stretch(lit.day.0, lit.day.1), CornerRadius::same(2), SHADE);
    for (begin, end) in &lit.lit {
        painter.rect_filled(stretch(*begin, *end), CornerRadius::ZERO, SUN);
    }
    // Outside the hours that count both are paler.
    let veil = Color32::from_black_alpha(110);
    painter.rect_filled(stretch(lit.day.0, clocks.0.clamp(lit.day.0, lit.day.1)), CornerRadius::ZERO, veil);
    painter.rect_filled(stretch(clocks.1.clamp(lit.day.0, lit.day.1), lit.day.1), CornerRadius::ZERO, veil);
    for (clock, solar) in [(clocks.0, band.0), (clocks.1, band.1)] {
        let x = x_of(clock);
        painter.line_segment([pos2(x, top - 3.0), pos2(x, bottom)], Stroke::new(1.0, TEXT));
        small(pos2(x, top - 2.0), Align2::CENTER_BOTTOM, format!("{solar:.0}"));
    }
    for hour in (from.ceil() as i64..=to.floor() as i64).filter(|hour| hour % 2 == 0) {
        let x = x_of(hour as f64);
        painter.line_segment([pos2(x, bottom), pos2(x, bottom + 3.0)], Stroke::new(1.0, MUTED));
        small(pos2(x, bottom + 3.0), Align2::CENTER_TOP, format!("{hour}:00"));
    }
    if (from..=to).contains(&now) {
        let x = x_of(now);
        painter.line_segment([pos2(x, top - 4.0), pos2(x, bottom + 3.0)], Stroke::new(2.0, ACCENT));
        painter.circle_filled(pos2(x, top - 4.0), 3.0, ACCENT);
    }
    let at = response.interact_pointer_pos().filter(|_| response.clicked() || response.dragged())?;
    let hour = from + f64::from((at.x - rect.left()) / rect.width()) * (to - from);
    Some((hour.clamp(0.0, 24.0) * 60.0).round() / 60.0)
}

/// The hours of sun in words.
fn told(ui: &mut Ui, lit: &LitDay, (rule, band, clocks): (Option<Rule>, (f64, f64), (f64, f64)), texts: &Texts) {
    let counted = lit.within(clocks.0, clocks.1);
    let values =
        [("from", format!("{:.0}", band.0)), ("to", format!("{:.0}", band.1)), ("time", duration_text(counted, texts))];
    let is_enough = rule.is_none_or(|rule| counted >= rule.hours);
    let colour = if is_enough { TEXT } else { ASSUMED };
    ui.label(RichText::new(texts.with_all("sun-band", values)).size(13.0).color(colour));
    let values = [("total", duration_text(lit.total(), texts)), ("longest", duration_text(lit.longest(), texts))];
    ui.label(RichText::new(texts.with_all("sun-total", values)).size(11.5).color(MUTED));
    if let Some(rule) = rule {
        let sign = if is_enough { "≥" } else { "<" };
        let text = format!("{sign} {:.0} h: {}", rule.hours, texts.get(rule.text));
        ui.label(RichText::new(text).size(11.0).color(if is_enough { MUTED } else { ASSUMED }));
    }
}

/// Does what keys ask of the sun, and lets the day run.
pub fn sun_by_hand(
    mut actions: MessageReader<Action>,
    mut study: ResMut<SunStudy>,
    mut clock: ResMut<Clock>,
    (timeline, city): (Res<Timeline>, Res<CityScene>),
    time: Res<Time<Real>>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let study = study.bypass_change_detection();
    let mut hour = clock.moment.hour;
    for action in actions.read() {
        // With the bar of time open, its keys are its own.
        let is_ours = study.is_open && !timeline.is_open;
        match *action {
            Action::Sunlight => (study.is_open, study.is_playing) = (!study.is_open, false),
            Action::TimeBack if is_ours => hour = (hour - 1.0 / 6.0).max(0.0),
            Action::TimeOn if is_ours => hour = (hour + 1.0 / 6.0).min(24.0),
            Action::Play if is_ours => study.is_playing = !study.is_playing,
            _ => {}
        }
    }
    if study.is_playing {
        redraw.write(RequestRedraw);
        hour = played(&clock.moment, (city.0.lon_lat.x, city.0.lon_lat.y), f64::from(time.delta_secs().min(1.0)));
    }
    if hour != clock.moment.hour {
        *clock = Clock::at(Moment { hour, ..clock.moment }, city.0.lon_lat);
    }
}

/// The hour some seconds later while a day runs: from sunrise to sunset, and again.
fn played(moment: &Moment, (lon, lat): (f64, f64), seconds: f64) -> f64 {
    let (rise, set) = rise_and_set(moment, lon, lat).unwrap_or((0.0, 24.0));
    let next = moment.hour + (set - rise) / DAY_S * seconds;
    if (rise..=set).contains(&next) { next } else { rise }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_played_day_goes_from_sunrise_to_sunset_and_again() {
        let moment = |hour| Moment { month: 1, day: 20, hour, ..Moment::default() };
        let place = (120.38, 36.07);
        let (rise, set) = rise_and_set(&moment(12.0), place.0, place.1).unwrap();
        assert!((played(&moment(10.0), place, 1.0) - 10.0 - (set - rise) / DAY_S).abs() < 1e-9);
        assert_eq!((played(&moment(set), place, 1.0), played(&moment(2.0), place, 1.0)), (rise, rise));
    }

    #[test]
    fn hours_and_rules_are_told_as_people_write_them() {
        let texts = Texts::new(crate::options::Language::En);
        assert_eq!((clock_text(7.0833), duration_text(2.5, &texts)), ("07:05".into(), "2 h 30 min".into()));
        assert_eq!(rule((1, 20), (1, 20), (12, 22)).map(|rule| (rule.hours, rule.band)), Some((2.0, (8.0, 16.0))));
        assert_eq!(rule((12, 22), (1, 20), (12, 22)).map(|rule| rule.hours), Some(1.0));
        assert_eq!(rule((6, 1), (1, 20), (12, 22)), None);
        for (key, _) in TERMS {
            assert!(texts.maybe(key).is_some(), "{key}");
        }
        assert!(texts.maybe("sun-rule-great-cold").is_some() && texts.maybe("sun-rule-december").is_some());
    }
}
