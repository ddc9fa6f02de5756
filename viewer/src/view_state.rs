//! The view that the window shows, taken down and put up again.

use bevy::{ecs::system::SystemParam, prelude::*};

use crate::{
    camera::{CameraChoice, CameraPose},
    colouring::Colouring,
    comparison::Compared,
    cut::Cuts,
    daylight::SunStudy,
    desk::{Desk, Notes},
    label::Labels,
    options::{LayerChoice, SceneOptions},
    overlay::{OverlayState, Wish},
    peel::Peel,
    relief::Relief,
    scene::{Below, CityScene, Clock, Viewed},
    stream::{Detail, ShownLayers},
    style::Style,
    validity::ValidAt,
    view_string::Selection,
};
use groundline_engine::model::CimLevel;

/// Everything of a running view that a text can hold.
#[derive(SystemParam)]
pub struct Showing<'w> {
    /// The city.
    pub city: Res<'w, CityScene>,
    viewed: Res<'w, Viewed>,
    below: ResMut<'w, Below>,
    detail: ResMut<'w, Detail>,
    clock: ResMut<'w, Clock>,
    valid_at: ResMut<'w, ValidAt>,
    study: ResMut<'w, SunStudy>,
    layers: ResMut<'w, ShownLayers>,
    style: ResMut<'w, Style>,
    relief: ResMut<'w, Relief>,
    colouring: ResMut<'w, Colouring>,
    cuts: ResMut<'w, Cuts>,
    labels: ResMut<'w, Labels>,
    peel: ResMut<'w, Peel>,
    /// The comparison.
    pub compared: ResMut<'w, Compared>,
    /// The overlay.
    pub state: ResMut<'w, OverlayState>,
    /// Measurements and annotations.
    pub desk: ResMut<'w, Desk>,
}

impl Showing<'_> {
    /// What is shown, as options that would show it again.
    pub fn scene(&self) -> SceneOptions {
        SceneOptions {
            camera: CameraChoice::Pose(self.viewed.pose),
            layers: exactly(&self.city.0, &self.layers.0),
            is_below: self.below.0,
            detail: Some(self.detail.0),
            at: Some(self.clock.moment),
            valid_at: self.valid_at.0,
            sun_place: self.study.place,
            style: *self.style,
            relief: Some(*self.relief),
            colour_by: self.colouring.wanted().map(str::to_owned),
            cuts: self.cuts.clone(),
            labels: *self.labels,
            peel: self.peel.clone(),
            comparison: self.compared.manner,
            other: if self.compared.manner.is_some() { self.compared.other.clone() } else { String::new() },
            selected: self
                .state
                .picked
                .as_ref()
                .map(|picked| Selection { id: picked.id.clone(), place: Some(picked.place) }),
            measurements: self.desk.notes.measurements.clone(),
            annotations: self.desk.notes.annotations.clone(),
            ..SceneOptions::default()
        }
    }

    /// The camera of a view in this city.
    pub fn pose_of(&self, scene: &SceneOptions) -> CameraPose {
        let aspect = f64::from(self.viewed.size.x / self.viewed.size.y.max(1.0));
        scene.camera.pose(&self.city.0.overview_extent(), aspect, |place| self.city.0.ground.height_at(place))
    }

    /// Puts up a view; the camera flies there.
    pub fn apply(&mut self, scene: &SceneOptions) {
        let pose = self.pose_of(scene);
        self.apply_all_but_camera(scene);
        self.state.wish = Some(Wish::Go(pose));
    }

    /// Puts up a view where the camera stays in other hands.
    pub fn apply_all_but_camera(&mut self, scene: &SceneOptions) {
        self.below.set_if_neq(Below(scene.is_below));
        self.detail.set_if_neq(Detail(scene.detail.unwrap_or(CimLevel::PART)));
        let layers = shown_layers(&self.city.0, &scene.layers);
        self.layers.set_if_neq(ShownLayers(layers));
        self.style.set_if_neq(scene.style);
        if let Some(relief) = scene.relief {
            self.relief.set_if_neq(relief);
        }
        if self.colouring.wanted() != scene.colour_by.as_deref() {
            self.colouring.ask(scene.colour_by.clone());
        }
        self.cuts.set_if_neq(scene.cuts.clone());
        self.labels.set_if_neq(scene.labels);
        self.peel.set_if_neq(scene.peel.clone());
        if let Some(moment) = scene.at {
            *self.clock = Clock::at(moment, self.city.0.lon_lat);
        }
        self.valid_at.set_if_neq(ValidAt(scene.valid_at));
        self.study.place = scene.sun_place;
        self.study.is_open |= scene.sun_place.is_some();
        self.compared.set_if_neq(Compared::of(scene));
        self.state.picked = None;
        self.state.to_pick = scene.selected.clone();
        let notes = Notes { measurements: scene.measurements.clone(), annotations: scene.annotations.clone() };
        self.desk.leave();
        self.desk.change(|desk| *desk = notes);
    }
}

/// The choice of exactly these layers, by their names alone, in the shorter way.
pub fn exactly(city: &crate::city::CityModel, shown: &[bool]) -> LayerChoice {
    let names = |is_shown: bool| -> Vec<String> {
        let layers = city.layers.iter().zip(shown);
        layers.filter(|(_, shown)| **shown == is_shown).map(|(layer, _)| format!("={}", layer.name)).collect()
    };
    let (on, off) = (names(true), names(false));
    if on.is_empty() || off.len() <= on.len() {
        LayerChoice { only: Vec::new(), without: off }
    } else {
        LayerChoice { only: on, without: Vec::new() }
    }
}

/// Which layers of a city a choice shows.
pub fn shown_layers(city: &crate::city::CityModel, choice: &LayerChoice) -> Vec<bool> {
    let classes =
        |layer: &crate::city::LayerModel| layer.classes.iter().map(|(class, _)| class.clone()).collect::<Vec<_>>();
    city.layers.iter().map(|layer| choice.shows(&layer.name, classes(layer).iter().map(String::as_str))).collect()
}
