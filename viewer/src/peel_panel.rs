//! The panel of what is taken off, and the keys for it: networks, strata, storeys, the picked object.

use bevy::prelude::*;
use bevy_egui::egui::{self, Align2, Rect, RichText, Sense, Slider, Ui, vec2};
use glam::DVec3;
use groundline_engine::model::PipeKind;

use crate::{
    city::CityModel,
    comparison_panel::stage_row,
    cut::{Cut, Cuts},
    desk::Desk,
    key::Action,
    label::Labels,
    overlay::OverlayState,
    panel::{EDGE, Seen, area, framed},
    peel::{Focus, MOST_HIDDEN, Manner, Peel, Storeys},
    scene::{CityScene, Viewed},
    sift::{EYE_M, Sift},
    text::Texts,
    theme::{self, MUTED, TEXT},
};

/// Storeys are drawn apart by this when nothing is said, metres.
const USUAL_GAP_M: f64 = 4.0;
/// Farthest that the panel draws them apart, metres.
const MOST_GAP_M: f64 = 12.0;
/// Most strata that the slider takes off.
const MOST_STRATA: u8 = 20;
/// Points of height that the list of storeys takes.
const LIST_HEIGHT: f32 = 150.0;

/// Draws the panel at the height `top`.
pub fn show(
    ctx: &egui::Context,
    (peel, labels): (&mut Peel, &mut Labels),
    sift: &Sift,
    seen: &Seen<'_>,
    texts: &Texts,
    top: f32,
) -> Rect {
    framed(ctx, area("peel", seen.screen.left_top() + vec2(EDGE, top), Align2::LEFT_TOP), |ui| {
        ui.set_width(248.0);
        ui.horizontal(|ui| {
            ui.label(RichText::new(texts.get("peel")).size(13.0).color(TEXT));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let back = egui::Button::new(RichText::new(texts.get("peel-back")).size(11.5));
                if ui.add_enabled(!peel.is_empty(), back).clicked() {
                    *peel = Peel::default();
                }
            });
        });
        networks(ui, peel, seen.city, texts);
        stage_row(ui, peel, texts);
        ui.horizontal(|ui| {
            ui.checkbox(&mut labels.pipes, RichText::new(texts.get("labels-pipes")).size(12.0));
            ui.checkbox(&mut labels.flow, RichText::new(texts.get("labels-flow")).size(12.0));
            ui.checkbox(&mut labels.sleeves, RichText::new(texts.get("labels-sleeves")).size(12.0));
        });
        if seen.city.layers.iter().any(|layer| layer.classes.iter().any(|(class, _)| class == "stratum")) {
            ui.separator();
            let text = RichText::new(texts.get("peel-strata")).size(12.0);
            ui.add(Slider::new(&mut peel.strata, 0..=MOST_STRATA).text(text));
        }
        storeys(ui, peel, sift, seen, texts);
        if !peel.hidden.is_empty() {
            ui.separator();
            ui.horizontal(|ui| {
                let hidden = texts.with("peel-hidden", "count", peel.hidden.len());
                ui.label(RichText::new(hidden).size(11.5).color(MUTED));
                if ui.small_button(texts.get("peel-show")).clicked() {
                    peel.hidden.clear();
                }
            });
        }
        if let Some(focus) = &peel.focus {
            let text = crate::overlay::shortened(&focus.id, 30);
            ui.label(RichText::new(texts.with("peel-focus", "id", text)).size(11.5).color(MUTED));
        }
        if let Some(trouble) = &sift.trouble {
            ui.label(RichText::new(trouble).size(11.0).color(theme::ASSUMED));
        }
    })
}

/// All networks, or one.
fn networks(ui: &mut Ui, peel: &mut Peel, city: &CityModel, texts: &Texts) {
    let with_pipes = || city.layers.iter().filter(|layer| layer.classes.iter().any(|(class, _)| class == "pipe"));
    let mut kinds: Vec<PipeKind> = with_pipes().filter_map(|layer| layer.pipe_kind()).collect();
    if with_pipes().any(|layer| layer.pipe_kind().is_none()) {
        kinds = PipeKind::ALL.to_vec();
    }
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return;
    }
    ui.separator();
    ui.label(RichText::new(texts.get("peel-network")).size(11.5).color(MUTED));
    ui.horizontal_wrapped(|ui| {
        if ui.selectable_label(peel.network.is_none(), RichText::new(texts.get("peel-all")).size(12.0)).clicked() {
            peel.network = None;
        }
        for kind in kinds {
            let (mark, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
            let [r, g, b] = kind.rgb();
            ui.painter().rect_filled(mark, egui::CornerRadius::same(2), egui::Color32::from_rgb(r, g, b));
            let name = RichText::new(texts.get(&format!("pipe-{}", kind.word()))).size(12.0);
            if ui.selectable_label(peel.network == Some(kind), name).clicked() {
                peel.network = Some(kind);
            }
        }
    });
}

/// Storeys of the building that is meant.
fn storeys(ui: &mut Ui, peel: &mut Peel, sift: &Sift, seen: &Seen<'_>, texts: &Texts) {
    let now = peel.storeys.as_ref().map(|storeys| storeys.layer.clone());
    let Some(index) = building(seen.city, sift, seen.viewed, now.as_deref()) else { return };
    let (layer, known) = (&seen.city.layers[index].name, &sift.storeys[&index]);
    ui.separator();
    let title = texts.with("peel-storeys", "layer", crate::overlay::shortened(layer, 18));
    ui.label(RichText::new(title).size(11.5).color(MUTED));
    let manner = peel.storeys.as_ref().map(|storeys| storeys.manner);
    let mut gap_m = if let Some(Manner::Fan { gap_m }) = manner { gap_m } else { 0.0 };
    let text = RichText::new(texts.get("peel-fan")).size(12.0);
    let was = gap_m;
    // While the mouse is down every step would read the tiles again.
    let slider = ui.add(Slider::new(&mut gap_m, 0.0..=MOST_GAP_M).step_by(0.5).suffix(" m").text(text));
    let of = |manner| Some(Storeys { layer: layer.clone(), manner });
    if slider.changed() && gap_m != was {
        peel.storeys = if gap_m > 0.0 { of(Manner::Fan { gap_m }) } else { None };
    }
    egui::ScrollArea::vertical().id_salt("storeys").max_height(LIST_HEIGHT).show(ui, |ui| {
        if ui.selectable_label(manner.is_none(), RichText::new(texts.get("peel-all")).size(12.0)).clicked() {
            peel.storeys = None;
        }
        for (rank, storey) in known.iter().enumerate().rev() {
            let number = rank as u16 + 1;
            ui.horizontal(|ui| {
                let name = if storey.name.is_empty() { number.to_string() } else { storey.name.clone() };
                let text = format!("{}  {:.2} m", crate::overlay::shortened(&name, 16), storey.floor_m);
                let is_on = manner == Some(Manner::Only { number });
                if ui.selectable_label(is_on, RichText::new(text).size(12.0)).clicked() {
                    peel.storeys = if is_on { None } else { of(Manner::Only { number }) };
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.small_button(texts.get("peel-eye")).clicked() {
                        peel.storeys = of(Manner::Eye { number });
                    }
                });
            });
        }
    });
}

/// The building that is meant: the one in hand, else the one nearest to what is looked at.
fn building(city: &CityModel, sift: &Sift, viewed: &Viewed, name: Option<&str>) -> Option<usize> {
    let known = || sift.storeys.iter().filter(|(_, storeys)| !storeys.is_empty()).map(|(index, _)| *index);
    let named = name.and_then(|name| known().find(|index| city.layers[*index].name == name));
    let off = |index: &usize| {
        let towards = city.layers[*index].tree.extent().centre() - viewed.pose.place;
        let along = towards.dot(viewed.pose.direction()).max(0.0);
        (towards - viewed.pose.direction() * along).length()
    };
    named.or_else(|| known().min_by(|a, b| off(a).total_cmp(&off(b))))
}

/// Does what was asked for by keys and buttons of what is taken off.
#[allow(clippy::too_many_arguments)]
pub fn peel_by_hand(
    mut actions: MessageReader<Action>,
    mut waiting: Local<Option<Action>>,
    mut peel: ResMut<Peel>,
    mut sift: ResMut<Sift>,
    mut cuts: ResMut<Cuts>,
    mut desk: ResMut<Desk>,
    mut state: ResMut<OverlayState>,
    (city, viewed): (Res<CityScene>, Res<Viewed>),
) {
    for action in actions.read() {
        let picked = state.picked.as_ref().map(|picked| picked.id.clone());
        match *action {
            Action::Peel => sift.is_open = !sift.is_open,
            Action::PutBack => *peel = Peel::default(),
            Action::Hide | Action::Isolate | Action::Ghosts if picked.is_none() => {
                // Pressed without a pick it puts back what it took.
                match action {
                    Action::Hide => peel.hidden.clear(),
                    _ => peel.focus = None,
                }
            }
            Action::Hide => {
                if let Some(id) = picked.filter(|id| peel.hidden.len() < MOST_HIDDEN && !peel.hidden.contains(id)) {
                    peel.hidden.push(id);
                    state.picked = None;
                }
            }
            Action::Isolate | Action::Ghosts => {
                let focus = picked.map(|id| Focus { id, has_ghosts: *action == Action::Ghosts });
                peel.focus = if peel.focus == focus { None } else { focus };
            }
            Action::FanStoreys | Action::OneStorey | Action::EyeSection => *waiting = Some(*action),
            _ => {}
        }
    }
    let Some(action) = *waiting else { return };
    // The storeys must be known first.
    if sift.storeys.is_empty() && city.0.layers.iter().any(crate::sift::has_storeys) {
        if !sift.is_open {
            sift.is_open = true;
        }
        return;
    }
    *waiting = None;
    let layer = state.picked.as_ref().map(|picked| picked.layer.clone());
    let Some(index) = building(&city.0, &sift, &viewed, layer.as_deref()) else {
        desk.tell(state.texts.get("peel-no-building"));
        return;
    };
    let of = |manner| Some(Storeys { layer: city.0.layers[index].name.clone(), manner });
    let known: Vec<f64> = sift.storeys[&index].iter().map(|storey| storey.floor_m).collect();
    let place = state.picked.as_ref().map(|picked| picked.place);
    let wanted = match (action, &peel.storeys) {
        (Action::FanStoreys, Some(Storeys { manner: Manner::Fan { .. }, .. })) => None,
        (Action::FanStoreys, _) => of(Manner::Fan { gap_m: USUAL_GAP_M }),
        (Action::OneStorey, Some(Storeys { manner: Manner::Only { .. }, .. })) => None,
        (Action::OneStorey, _) => of(Manner::Only { number: storey_at(&known, place) }),
        (_, _) => match next_eye(&known, &cuts, place) {
            Some(number) => of(Manner::Eye { number }),
            None => {
                let others = cuts.list().iter().filter(|cut| !matches!(cut, Cut::Level { .. })).cloned();
                if let Ok(without) = Cuts::new(others.collect()) {
                    *cuts = without;
                }
                None
            }
        },
    };
    if peel.storeys != wanted {
        peel.storeys = wanted;
    }
}

/// The storey in which a place lies, counted from 1; the lowest without a place.
fn storey_at(floors: &[f64], place: Option<DVec3>) -> u16 {
    let Some(place) = place else { return 1 };
    let above = floors.iter().filter(|floor| **floor <= place.z + 0.05).count();
    above.max(1) as u16
}

/// The storey to be cut next: that of the place, or the one above that which is cut; none after the highest.
fn next_eye(floors: &[f64], cuts: &Cuts, place: Option<DVec3>) -> Option<u16> {
    let level = cuts.list().iter().find_map(|cut| if let Cut::Level { z } = cut { Some(*z) } else { None });
    let cut = level.and_then(|z| floors.iter().position(|floor| (floor + EYE_M - z).abs() < 0.01));
    match cut {
        Some(rank) => (rank + 1 < floors.len()).then_some(rank as u16 + 2),
        None => Some(storey_at(floors, place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eye_goes_up_storey_by_storey() {
        let floors = [6.0, 8.7, 12.0];
        let at = |z: f64| Some(DVec3::new(0.0, 0.0, z));
        assert_eq!([storey_at(&floors, at(9.0)), storey_at(&floors, at(2.0)), storey_at(&floors, None)], [2, 1, 1]);
        let cut = |z: f64| Cuts::new(vec![Cut::Level { z }]).unwrap();
        assert_eq!(next_eye(&floors, &Cuts::default(), at(8.8)), Some(2));
        assert_eq!(next_eye(&floors, &cut(9.9), at(6.0)), Some(3), "the next one");
        assert_eq!(next_eye(&floors, &cut(13.2), None), None, "after the highest there is none");
        assert_eq!(next_eye(&floors, &cut(50.0), None), Some(1), "another level is no storey's");
    }
}
