//! The panel of the cuts: a section, a level, a box or a trench where the person looks, and sliders to move it.

use bevy_egui::egui::{self, Align2, DragValue, Rect, RichText, Ui, vec2};
use glam::{DVec2, DVec3};
use groundline_engine::model::Extent;

use crate::{
    camera::direction_of,
    cut::{Cut, Cuts},
    panel::{Seen, area, framed},
    text::Texts,
    theme::{MUTED, TEXT},
};

/// Distance from the edge of the picture, points.
const EDGE: f32 = 16.0;
/// What a new cut is about, in parts of the distance to what the person looks at.
const SHARE: f64 = 0.28;

/// Draws the panel at the height `top`; the cuts change at once.
pub fn show(ctx: &egui::Context, cuts: &mut Cuts, seen: &Seen<'_>, texts: &Texts, top: f32) -> Rect {
    framed(ctx, area("cuts", seen.screen.left_top() + vec2(EDGE, top), Align2::LEFT_TOP), |ui| {
        ui.set_width(248.0);
        ui.label(RichText::new(texts.get("cuts")).size(13.0).color(TEXT));
        let mut list = cuts.list().to_vec();
        ui.horizontal_wrapped(|ui| {
            for (key, kind) in [
                ("cut-section", New::Section),
                ("cut-level", New::Level),
                ("cut-box", New::Box),
                ("cut-trench", New::Trench),
            ] {
                if ui.button(RichText::new(texts.get(key)).size(12.0)).clicked() {
                    let new = kind.at(seen);
                    // One of each kind: the new one takes the place of the one before.
                    list.retain(|cut| std::mem::discriminant(cut) != std::mem::discriminant(&new));
                    list.push(new);
                }
            }
        });
        let mut gone = None;
        for (number, cut) in list.iter_mut().enumerate() {
            ui.separator();
            if edit(ui, cut, seen, texts) {
                gone = Some(number);
            }
        }
        gone.map(|number| list.remove(number));
        if list.is_empty() {
            ui.label(RichText::new(texts.get("cut-none")).size(11.0).color(MUTED));
        }
        match Cuts::new(list) {
            Ok(new) if new != *cuts => *cuts = new,
            Ok(_) => {}
            Err(_) => drop(ui.label(RichText::new(texts.get("cut-many")).size(11.0).color(MUTED))),
        }
    })
}

#[derive(Clone, Copy)]
enum New {
    Section,
    Level,
    Box,
    Trench,
}

impl New {
    /// A cut of this kind at what the person looks at.
    fn at(self, seen: &Seen<'_>) -> Cut {
        let pose = &seen.viewed.pose;
        let ray = seen.viewed.ray(seen.viewed.size * 0.5);
        let middle = crate::navigation::meet_ground(seen.city, &ray)
            .filter(|place| place.distance(pose.place) < 20_000.0)
            .unwrap_or(ray.from + ray.direction * 200.0);
        let reach = (middle.distance(pose.place) * SHARE).clamp(2.0, 2_000.0);
        let plan = middle.truncate();
        let round = |v: DVec2| (v * 10.0).round() / 10.0;
        match self {
            Self::Section => Cut::Section { at: round(plan), heading_deg: pose.heading_deg.round() },
            Self::Level => Cut::Level { z: ((middle.z + 1.6) * 10.0).round() / 10.0 },
            Self::Box => {
                let half = DVec3::new(reach, reach, (reach * 0.5).max(20.0));
                Cut::Box(Extent { min: (middle - half).round(), max: (middle + half).round() })
            }
            Self::Trench => {
                let right = direction_of(pose.heading_deg + 90.0, 0.0).truncate() * reach;
                Cut::Trench { path: vec![round(plan - right), round(plan + right)], width_m: 8.0, depth_m: 6.0 }
            }
        }
    }
}

/// Rows for a cut; whether it is to go.
fn edit(ui: &mut Ui, cut: &mut Cut, seen: &Seen<'_>, texts: &Texts) -> bool {
    let key = match cut {
        Cut::Section { .. } => "cut-section",
        Cut::Level { .. } => "cut-level",
        Cut::Box(_) => "cut-box",
        Cut::Trench { .. } => "cut-trench",
    };
    let mut is_gone = false;
    ui.horizontal(|ui| {
        ui.label(RichText::new(texts.get(key)).size(12.0).color(TEXT));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            is_gone = ui.small_button("×").on_hover_text(texts.get("cut-remove")).clicked();
        });
    });
    let metres = |ui: &mut Ui, key: &str, value: &mut f64, step: f64, range: std::ops::RangeInclusive<f64>| {
        ui.horizontal(|ui| {
            ui.label(RichText::new(texts.get(key)).size(11.0).color(MUTED));
            ui.add(DragValue::new(value).speed(step).range(range).suffix(" m").max_decimals(2));
        });
    };
    let step = (seen.viewed.pose.place.z.abs() * 0.002).clamp(0.02, 5.0);
    match cut {
        Cut::Section { at, heading_deg } => {
            let forward = direction_of(*heading_deg, 0.0).truncate();
            let mut along = 0.0;
            metres(ui, "cut-move", &mut along, step, -1e4..=1e4);
            *at += forward * along;
            ui.horizontal(|ui| {
                ui.label(RichText::new(texts.get("cut-heading")).size(11.0).color(MUTED));
                ui.add(DragValue::new(heading_deg).speed(0.5).suffix("°").max_decimals(1));
            });
            *heading_deg = heading_deg.rem_euclid(360.0);
        }
        Cut::Level { z } => metres(ui, "cut-height", z, step.min(0.1), -1e4..=1e4),
        Cut::Box(Extent { min, max }) => {
            let (mut middle, mut half) = ((*min + *max) * 0.5, (*max - *min) * 0.5);
            for (key, axis) in [("cut-east", 0), ("cut-north", 1), ("cut-height", 2)] {
                let before = middle[axis];
                metres(ui, key, &mut middle[axis], step, -1e9..=1e9);
                metres(ui, "cut-half", &mut half[axis], step, 0.5..=1e5);
                middle[axis] = if middle[axis].is_finite() { middle[axis] } else { before };
            }
            (*min, *max) = (middle - half, middle + half);
        }
        Cut::Trench { width_m, depth_m, .. } => {
            metres(ui, "cut-width", width_m, 0.1, 0.5..=200.0);
            metres(ui, "cut-depth", depth_m, 0.1, 0.5..=200.0);
        }
    }
    is_gone
}
