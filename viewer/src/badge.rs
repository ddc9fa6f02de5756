//! Sensors on the screen: what each badge says and where it stands, without overlap, alarms first.

use bevy_egui::egui::{
    Align2, Color32, CornerRadius, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, pos2, vec2,
};
use groundline_engine::{
    live::{AlarmState, Latest, Trend},
    model::Quality,
};

use crate::{
    text::Texts,
    theme::{
        self,
        dark::{MUTED, QUIET, TEXT},
    },
};

/// What a badge reports, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Alarm with its priority, 1 = highest; not acknowledged ones first.
    Alarm {
        /// 1 = highest.
        priority: u8,
        /// Somebody has seen it.
        is_acknowledged: bool,
    },
    /// Value outside the sensor's range.
    OutOfRange,
    /// No reading for more than five intervals, or the source is lost.
    Stale,
    /// No reading for more than two intervals.
    Late,
    /// Nothing was ever received.
    Missing,
    /// All is well.
    Good,
}

impl Condition {
    /// The condition of a sensor with this latest state and the priority of its threshold.
    pub fn of(latest: &Latest, priority: u8) -> Self {
        match (latest.alarm, latest.quality) {
            (AlarmState::Unacknowledged | AlarmState::ReturnedUnacknowledged, _) => {
                Self::Alarm { priority, is_acknowledged: false }
            }
            (AlarmState::Acknowledged, _) => Self::Alarm { priority, is_acknowledged: true },
            (_, Quality::OutOfRange) => Self::OutOfRange,
            (_, Quality::Stale) => Self::Stale,
            (_, Quality::Late) => Self::Late,
            (_, Quality::Missing) => Self::Missing,
            (_, Quality::Good) => Self::Good,
        }
    }

    /// Whether it must be seen whatever the crowd.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Alarm { .. } | Self::OutOfRange)
    }

    /// Colour of its mark.
    pub fn colour(self) -> Color32 {
        match self {
            Self::Alarm { priority, .. } => theme::alarm_colour(priority),
            Self::OutOfRange => Color32::from_rgb(196, 92, 196),
            Self::Stale => Color32::from_rgb(122, 130, 138),
            Self::Late => Color32::from_rgb(158, 164, 150),
            Self::Missing => Color32::from_rgb(92, 100, 108),
            Self::Good => QUIET,
        }
    }

    /// The letter in its mark: the state must be readable without colour.
    fn letter(self, texts: &Texts) -> String {
        match self {
            Self::Alarm { priority, .. } => priority.to_string(),
            Self::OutOfRange => "!".into(),
            Self::Stale => texts.get("quality-stale").chars().take(1).collect(),
            Self::Late => texts.get("quality-late").chars().take(1).collect(),
            Self::Missing => "–".into(),
            Self::Good => String::new(),
        }
    }
}

/// One sensor as it is to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Badge {
    /// Dense index of the sensor.
    pub sensor: u32,
    /// Where it is on the screen, points.
    pub anchor: Pos2,
    /// Metres from the eye.
    pub distance_m: f32,
    /// Its condition.
    pub condition: Condition,
    /// Name.
    pub name: String,
    /// Value with unit.
    pub value: String,
}

/// Where a badge stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// As a label in this box.
    Label(Rect),
    /// As a dot at its anchor.
    Dot,
}

/// Places for badges of the given sizes within `screen`, clear of `taken` and of each other.
///
/// Badges come in order of importance (see [`sort`]); a badge for which there is no room becomes a dot, and so does
/// every quiet one after the first `max_quiet`.
pub fn declutter(badges: &[(Badge, Vec2)], screen: Rect, taken: &[Rect], max_quiet: usize) -> Vec<Place> {
    let mut used: Vec<Rect> = taken.to_vec();
    let mut quiet = 0;
    badges
        .iter()
        .map(|(badge, size)| {
            let is_urgent = badge.condition.is_urgent();
            if !is_urgent && quiet >= max_quiet {
                return Place::Dot;
            }
            // The urgent ones search farther around their place.
            let rings: &[f32] = if is_urgent { &[26.0, 52.0, 84.0, 124.0, 172.0, 230.0] } else { &[22.0, 44.0] };
            for &lift in rings {
                for side in [0.0_f32, 0.55, -0.55, 1.1, -1.1] {
                    let centre = badge.anchor + vec2(side * size.x, -lift - size.y * 0.5);
                    let rect = Rect::from_center_size(centre, *size);
                    if screen.contains_rect(rect) && !used.iter().any(|other| other.expand(3.0).intersects(rect)) {
                        used.push(rect);
                        quiet += usize::from(!is_urgent);
                        return Place::Label(rect);
                    }
                }
            }
            Place::Dot
        })
        .collect()
}

/// Puts the most important first: worst condition, then nearest, then by index, so that labels do not jump.
pub fn sort(badges: &mut [Badge]) {
    badges.sort_by(|a, b| {
        a.condition
            .cmp(&b.condition)
            .then_with(|| (a.distance_m / 50.0).floor().total_cmp(&(b.distance_m / 50.0).floor()))
            .then_with(|| a.sensor.cmp(&b.sensor))
    });
}

/// The value of a sensor as text, with its unit and where it goes.
pub fn value_text(latest: &Latest, unit: &str) -> String {
    let Some(value) = latest.value else { return "—".into() };
    let unit = match unit {
        "" | "1" => String::new(),
        "Cel" => " °C".into(),
        "m3/h" => " m³/h".into(),
        other => format!(" {other}"),
    };
    let arrow = match latest.trend {
        Trend::Rising | Trend::Falling => format!(" {}", latest.trend.arrow()),
        _ => String::new(),
    };
    format!("{}{unit}{arrow}", number(value))
}

/// Three significant digits, without an exponent for what a city measures.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e7 {
        format!("{value:.2e}")
    } else if size >= 100.0 || value == value.round() && size < 1e6 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

const NAME_SIZE: f32 = 11.0;
const VALUE_SIZE: f32 = 13.5;

/// Size of the label of a badge, points.
pub fn label_size(painter: &Painter, badge: &Badge) -> Vec2 {
    let name = painter.layout_no_wrap(badge.name.clone(), theme::font(NAME_SIZE), TEXT).size();
    let value = painter.layout_no_wrap(badge.value.clone(), theme::font(VALUE_SIZE), TEXT).size();
    vec2(name.x.max(value.x) + 34.0, name.y + value.y + 5.0)
}

/// Draws a badge at its place.
pub fn draw(painter: &Painter, badge: &Badge, place: Place, texts: &Texts) {
    let colour = badge.condition.colour();
    let is_alarm = matches!(badge.condition, Condition::Alarm { .. });
    match place {
        Place::Dot => {
            painter.circle_filled(badge.anchor, 4.0, Color32::from_black_alpha(130));
            mark(painter, badge.anchor, 3.2, badge.condition, "");
        }
        Place::Label(rect) => {
            let foot = pos2(badge.anchor.x.clamp(rect.left() + 8.0, rect.right() - 8.0), rect.bottom());
            painter.line_segment([badge.anchor, foot], Stroke::new(2.6, Color32::from_black_alpha(90)));
            painter.line_segment([badge.anchor, foot], Stroke::new(1.2, colour));
            painter.circle_filled(badge.anchor, 4.2, Color32::from_black_alpha(150));
            painter.circle_filled(badge.anchor, 2.8, colour);
            let fill = if is_alarm { colour } else { Color32::from_rgba_unmultiplied(13, 19, 25, 236) };
            let text = if is_alarm { theme::on_colour(colour) } else { TEXT };
            let faint = if is_alarm { text } else { MUTED };
            painter.rect_filled(rect, CornerRadius::same(5), fill);
            let edge = if is_alarm { Color32::from_white_alpha(90) } else { colour.gamma_multiply(0.65) };
            painter.rect_stroke(rect, CornerRadius::same(5), Stroke::new(1.0, edge), StrokeKind::Inside);
            let centre = pos2(rect.left() + 14.0, rect.center().y);
            mark(painter, centre, 7.0, badge.condition, &badge.condition.letter(texts));
            let left = rect.left() + 26.0;
            let name = pos2(left, rect.top() + 2.0);
            painter.text(name, Align2::LEFT_TOP, &badge.name, theme::font(NAME_SIZE), faint);
            let value = pos2(left, rect.bottom() - 2.0);
            let value_colour =
                if badge.condition >= Condition::Stale && badge.condition != Condition::Good { MUTED } else { text };
            painter.text(value, Align2::LEFT_BOTTOM, &badge.value, theme::font(VALUE_SIZE), value_colour);
        }
    }
}

/// The mark of a condition: a shape for each, so that colour is never the only sign.
pub fn mark(painter: &Painter, centre: Pos2, size: f32, condition: Condition, letter: &str) {
    let colour = condition.colour();
    let outline = Stroke::new(1.4, colour);
    match condition {
        Condition::Alarm { priority, is_acknowledged } => {
            let (fill, ink) = if size > 5.0 { (Color32::WHITE, colour) } else { (colour, Color32::WHITE) };
            let points = match priority {
                // Square, triangle up, triangle down: as displays after ISA-101 tell priorities apart.
                0 | 1 => vec![vec2(-0.9, -0.9), vec2(0.9, -0.9), vec2(0.9, 0.9), vec2(-0.9, 0.9)],
                2 => vec![vec2(0.0, -1.05), vec2(1.1, 0.85), vec2(-1.1, 0.85)],
                _ => vec![vec2(-1.1, -0.8), vec2(1.1, -0.8), vec2(0.0, 1.1)],
            };
            let points: Vec<Pos2> = points.into_iter().map(|p| centre + p * size).collect();
            if is_acknowledged {
                painter.add(Shape::closed_line(points, Stroke::new(1.6, fill)));
                painter.text(centre, Align2::CENTER_CENTER, letter, theme::font(size * 1.35), fill);
            } else {
                painter.add(Shape::convex_polygon(points, fill, Stroke::NONE));
                painter.text(centre, Align2::CENTER_CENTER, letter, theme::font(size * 1.35), ink);
            }
        }
        Condition::OutOfRange => {
            let points = [vec2(0.0, -1.1), vec2(1.1, 0.0), vec2(0.0, 1.1), vec2(-1.1, 0.0)];
            let points = points.map(|p| centre + p * size).to_vec();
            painter.add(Shape::convex_polygon(points, colour, Stroke::NONE));
            painter.text(centre, Align2::CENTER_CENTER, letter, theme::font(size * 1.4), Color32::WHITE);
        }
        Condition::Good => {
            painter.circle_filled(centre, size * 0.62, colour);
        }
        Condition::Late | Condition::Stale | Condition::Missing => {
            painter.circle_stroke(centre, size * 0.95, outline);
            painter.text(centre, Align2::CENTER_CENTER, letter, theme::font(size * 1.25), colour);
            if condition == Condition::Stale {
                let reach = vec2(0.67, -0.67) * size;
                painter.line_segment([centre - reach, centre + reach], outline);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn badge(sensor: u32, x: f32, y: f32, condition: Condition) -> (Badge, Vec2) {
        let badge = Badge {
            sensor,
            anchor: pos2(x, y),
            distance_m: sensor as f32 * 100.0,
            condition,
            name: "n".into(),
            value: "1".into(),
        };
        (badge, vec2(90.0, 34.0))
    }

    const SCREEN: Rect = Rect { min: pos2(0.0, 0.0), max: pos2(800.0, 600.0) };

    #[test]
    fn labels_never_overlap_each_other_or_what_is_taken() {
        let badges: Vec<_> = (0..60)
            .map(|i| badge(i, 300.0 + (i % 8) as f32 * 14.0, 300.0 + (i / 8) as f32 * 9.0, Condition::Good))
            .collect();
        let taken = [Rect::from_min_max(pos2(280.0, 200.0), pos2(420.0, 290.0))];
        let places = declutter(&badges, SCREEN, &taken, 40);
        let rects: Vec<Rect> =
            places.iter().filter_map(|p| if let Place::Label(rect) = p { Some(*rect) } else { None }).collect();
        assert!(rects.len() >= 4, "{}", rects.len());
        for (i, a) in rects.iter().enumerate() {
            assert!(SCREEN.contains_rect(*a) && !a.intersects(taken[0]));
            assert!(rects[i + 1..].iter().all(|b| !a.intersects(*b)));
        }
        assert!(places.contains(&Place::Dot), "the crowd becomes dots");
    }

    #[test]
    fn alarms_come_first_and_get_room() {
        let alarm = Condition::Alarm { priority: 1, is_acknowledged: false };
        let mut badges: Vec<Badge> =
            (0..20).map(|i| badge(i, 60.0 + i as f32 * 36.0, 400.0, Condition::Good).0).collect();
        badges.push(badge(99, 400.0, 400.0, alarm).0);
        badges.push(badge(98, 400.0, 400.0, Condition::Alarm { priority: 2, is_acknowledged: false }).0);
        sort(&mut badges);
        assert_eq!([badges[0].sensor, badges[1].sensor, badges[2].sensor], [99, 98, 0]);
        let sized: Vec<_> = badges.into_iter().map(|b| (b, vec2(90.0, 34.0))).collect();
        let places = declutter(&sized, SCREEN, &[], 3);
        assert!(matches!(places[0], Place::Label(_)) && matches!(places[1], Place::Label(_)));
        assert_eq!(places.iter().filter(|p| matches!(p, Place::Label(_))).count(), 5, "two alarms, three quiet ones");
    }

    #[test]
    fn numbers_are_short() {
        let texts: Vec<String> = [3.2449, 25.06, 312.4, 4.0, -0.127, 2.5e9].into_iter().map(number).collect();
        assert_eq!(texts, ["3.24", "25.1", "312", "4", "-0.13", "2.50e9"]);
    }
}
