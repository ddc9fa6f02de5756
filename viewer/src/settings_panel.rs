//! How the window behaves: navigation, theme, scale, language; and the tips that are shown once.

use bevy::prelude::{DetectChangesMut as _, ResMut};
use bevy_egui::egui::{self, Align2, Id, RichText, Ui, vec2};

use crate::{
    key::Action,
    options::Language,
    overlay::OverlayState,
    panel::Seen,
    preference::{Preferences, SCALES},
    profile::Profile,
    text::Texts,
    theme::{self, ACCENT, MUTED, TEXT, Theme},
};

/// Most that the tips are wide, points.
const TIPS_WIDTH: f32 = 520.0;

/// One of several to be chosen; says which was clicked on.
fn choice<T: PartialEq + Copy>(ui: &mut Ui, label: String, now: T, all: &[(T, String)]) -> Option<T> {
    let mut chosen = None;
    ui.label(RichText::new(label).size(12.0).color(MUTED));
    ui.horizontal_wrapped(|ui| {
        for (one, name) in all {
            if ui.selectable_label(*one == now, RichText::new(name).size(12.5)).clicked() && *one != now {
                chosen = Some(*one);
            }
        }
    });
    ui.end_row();
    chosen
}

/// The panel; what is asked for goes the way of keys.
pub fn show(
    ctx: &egui::Context,
    state: &mut OverlayState,
    preferences: &mut ResMut<Preferences>,
    seen: &Seen<'_>,
    asked: &mut Vec<Action>,
) {
    if !state.is_settings_open {
        return;
    }
    let texts = &state.texts;
    let mut is_closed = false;
    let area = egui::Area::new(Id::new("settings"))
        .order(egui::Order::Foreground)
        .anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0));
    area.fade_in(false).show(ctx, |ui| {
        theme::sheet().show(ui, |ui| {
            ui.set_max_width((seen.screen.width() - 60.0).min(480.0));
            ui.horizontal(|ui| {
                ui.label(RichText::new(texts.get("settings")).size(15.0).color(TEXT));
                ui.add_space(10.0);
                is_closed = ui.small_button("×").on_hover_text(texts.get("close")).clicked();
            });
            ui.add_space(4.0);
            egui::Grid::new("settings-grid").num_columns(2).spacing([16.0, 8.0]).show(ui, |ui| {
                let profiles = Profile::ALL.map(|one| (one, texts.get(one.text_key())));
                if let Some(one) = choice(ui, texts.get("settings-navigation"), preferences.navigation, &profiles) {
                    asked.push(Action::Navigate(one));
                }
                let themes = [(Theme::Dark, texts.get("settings-dark")), (Theme::Light, texts.get("settings-light"))];
                if choice(ui, texts.get("settings-theme"), preferences.theme, &themes).is_some() {
                    asked.push(Action::Theme);
                }
                let scales = SCALES.map(|scale| (scale, format!("{scale} %")));
                if let Some(scale) = choice(ui, texts.get("settings-scale"), preferences.scale_percent, &scales) {
                    preferences.scale_percent = scale;
                }
                ui.label(RichText::new(texts.get("settings-relief")).size(12.0).color(MUTED));
                ui.horizontal_wrapped(|ui| {
                    // What is shown is what a view may have asked for; what is liked is what the person last chose here.
                    let mut liked = preferences.bypass_change_detection().relief;
                    let name = |key| RichText::new(texts.get(key)).size(12.5);
                    let corners = ui.toggle_value(&mut liked.corners, name("settings-corners")).clicked();
                    let points = ui.toggle_value(&mut liked.points, name("settings-points")).clicked();
                    if corners || points {
                        preferences.relief = liked;
                    }
                });
                ui.end_row();
                let languages = [(Language::Zh, "中文".to_owned()), (Language::En, "English".to_owned())];
                if choice(ui, texts.get("settings-language"), texts.language, &languages).is_some() {
                    asked.push(Action::Language);
                }
            });
            ui.add_space(4.0);
            if preferences.has_read_tips && ui.button(RichText::new(texts.get("settings-tips")).size(12.0)).clicked() {
                preferences.has_read_tips = false;
            }
        });
    });
    state.is_settings_open &= !is_closed;
}

/// Three lines for whoever has never been here.
pub fn tips(ctx: &egui::Context, preferences: &mut ResMut<Preferences>, texts: &Texts, seen: &Seen<'_>) {
    let liked = preferences.bypass_change_detection();
    if liked.has_read_tips {
        return;
    }
    let hands = match liked.navigation {
        Profile::Earth => "tip-earth",
        Profile::Cesium => "tip-cesium",
        Profile::Cad => "tip-cad",
        Profile::Walk => "tip-walk",
    };
    let mut is_read = false;
    let area = egui::Area::new(Id::new("tips")).anchor(Align2::CENTER_BOTTOM, vec2(0.0, -84.0));
    area.fade_in(false).show(ctx, |ui| {
        theme::sheet().show(ui, |ui| {
            ui.set_max_width((seen.screen.width() - 60.0).min(TIPS_WIDTH));
            for (number, key) in [hands, "tip-below", "tip-find"].into_iter().enumerate() {
                ui.horizontal_top(|ui| {
                    ui.label(RichText::new(format!("{}", number + 1)).size(13.0).color(ACCENT));
                    ui.add(egui::Label::new(RichText::new(texts.get(key)).size(13.0).color(TEXT)).wrap());
                });
            }
            ui.add_space(2.0);
            ui.horizontal(|ui| {
                is_read = ui.button(RichText::new(texts.get("tips-read")).size(12.5)).clicked();
                ui.label(RichText::new(texts.get("tips-later")).size(11.0).color(MUTED));
            });
        });
    });
    if is_read {
        preferences.has_read_tips = true;
    }
}
