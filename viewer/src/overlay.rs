//! What is written over the city: title, legend, sensors, alarms, scale. The same in the window and in a snapshot.

use bevy::{ecs::system::SystemParam, prelude::*};
use bevy_egui::{
    EguiContexts, EguiPlugin, EguiPrimaryContextPass,
    egui::{self, Align2, Pos2, Rect},
};
use glam::DVec3;
use groundline_engine::live::{Alarm, LiveState, Subject, now_ms};

use crate::{
    attribute::Picked,
    badge::{self, Badge, Condition, Place},
    bulk::BulkStudy,
    camera::CameraPose,
    city::CityModel,
    colouring::Colouring,
    comparison::{Compared, Manner},
    comparison_panel,
    cut::Cuts,
    daylight::SunStudy,
    desk::Desk,
    desk_panel, flag,
    key::Action,
    label::Labels,
    legend, mark,
    network::{Network, Pipe},
    options::{Language, SceneOptions},
    other_side::OtherSeen,
    palette::{Known, Palette, Target},
    panel,
    peel::Peel,
    peel_panel,
    preference::Preferences,
    ruler,
    scene::{Below, CityScene, Clock, Viewed},
    selection::SelectionPlugin,
    settings_panel,
    shelf::{Shelf, ShelfWish},
    sift::Sift,
    stream::{Detail, ShownLayers, Streaming},
    style::{Drawing, Style},
    sun_panel,
    table_panel::{self, TableDesk},
    text::Texts,
    theme, time_bar,
    validity::{Timeline, ValidAt},
    view_string::Selection,
};

/// Labels of sensors where nothing is wrong; the others become dots.
const MAX_QUIET_LABELS: usize = 8;
/// Beyond this distance a sensor where nothing is wrong is a dot, metres.
const QUIET_LABEL_M: f32 = 1500.0;

/// What the overlay knows and what a person has opened.
#[derive(Resource)]
pub struct OverlayState {
    /// Texts.
    pub texts: Texts,
    /// Readings and alarms.
    pub live: LiveState,
    /// Place of each sensor in the city's frame.
    places: Vec<Option<DVec3>>,
    /// A person can touch it (window), or not (snapshot).
    pub is_interactive: bool,
    /// List of layers.
    pub is_layers_open: bool,
    /// Panel of the comparison.
    pub is_comparison_open: bool,
    /// Panel of the cuts.
    pub is_cuts_open: bool,
    /// Help.
    pub is_help_open: bool,
    /// Table of a layer.
    pub is_table_open: bool,
    /// Panel of how the window behaves.
    pub is_settings_open: bool,
    /// What was clicked on.
    pub picked: Option<Picked>,
    /// What is to be picked, by its id.
    pub to_pick: Option<Selection>,
    /// Where the mouse points, in the city's frame.
    pub pointed: Option<DVec3>,
    /// Something the panels want the camera to do.
    pub wish: Option<Wish>,
    /// How much is built on both sides of a comparison.
    bulk: BulkStudy,
    other_texts: Option<Texts>,
    has_theme: bool,
}

/// What a panel asks of the camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish {
    /// Fly to a place, keeping this distance.
    FlyTo(DVec3, f64),
    /// Fly to a pose.
    Go(CameraPose),
    /// Be at a pose at once.
    Jump(CameraPose),
}

impl OverlayState {
    /// The overlay for a city.
    pub fn new(city: &CityModel, options: &SceneOptions) -> Self {
        let live = options.live.clone().unwrap_or_else(|| LiveState::new(city.sensors.clone()));
        let places = live.sensors().iter().map(|sensor| city.place_of(&sensor)).collect();
        Self {
            texts: Texts::new(options.language),
            live,
            places,
            is_interactive: false,
            is_layers_open: false,
            is_comparison_open: false,
            bulk: BulkStudy::default(),
            is_cuts_open: false,
            is_help_open: false,
            is_table_open: false,
            is_settings_open: false,
            picked: None,
            to_pick: options.selected.clone(),
            pointed: None,
            wish: None,
            other_texts: None,
            has_theme: false,
        }
    }

    /// Place of the sensor an alarm is about.
    pub fn place_of_alarm(&self, alarm: &Alarm) -> Option<DVec3> {
        match &alarm.subject {
            Subject::Sensor(index) => self.places.get(*index as usize).copied().flatten(),
            Subject::Source(_) => None,
        }
    }

    /// Name of what an alarm is about.
    pub fn name_of_alarm(&self, alarm: &Alarm) -> String {
        match &alarm.subject {
            Subject::Sensor(index) => self.live.sensors().get(*index).map_or_else(String::new, |sensor| sensor.name),
            Subject::Source(name) => name.to_string(),
        }
    }

    /// Speaks another language from now on.
    pub fn speak(&mut self, language: Language) {
        self.texts = Texts::new(language);
        self.other_texts = None;
    }

    /// Whether something that it shows is not there yet.
    pub fn is_waiting(&self) -> bool {
        let is_reading = |picked: &Picked| matches!(picked.object, crate::lookup::Lookup::Waiting(_));
        self.to_pick.is_some() || self.picked.as_ref().is_some_and(is_reading)
    }

    /// Whether Chinese is shown.
    pub fn is_chinese(&self) -> bool {
        self.texts.language == Language::Zh
    }
}

/// Draws the overlay; without it nothing but the city is seen.
pub struct OverlayPlugin {
    /// Leaves everything out.
    pub is_hidden: bool,
}

impl Plugin for OverlayPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(SelectionPlugin).add_message::<Action>();
        app.init_resource::<Shelf>().init_resource::<Palette>().init_resource::<Preferences>();
        app.init_resource::<TableDesk>();
        if self.is_hidden {
            return;
        }
        app.add_plugins(EguiPlugin { bindless_mode_array_size: None });
        app.add_systems(EguiPrimaryContextPass, draw_overlay);
    }
}

#[allow(clippy::too_many_arguments)]
fn draw_overlay(
    mut contexts: EguiContexts,
    mut state: ResMut<OverlayState>,
    city: Res<CityScene>,
    viewed: Res<Viewed>,
    (mut below, mut detail, mut style, mut colouring, mut cuts): (
        ResMut<Below>,
        ResMut<Detail>,
        ResMut<Style>,
        ResMut<Colouring>,
        ResMut<Cuts>,
    ),
    (mut clock, mut study): (ResMut<Clock>, ResMut<SunStudy>),
    (mut valid_at, mut timeline): (ResMut<ValidAt>, ResMut<Timeline>),
    streaming: Res<Streaming>,
    mut layers: ResMut<ShownLayers>,
    mut desk: ResMut<Desk>,
    (network, mut labels, mut peel, mut sift): (Res<Network>, ResMut<Labels>, ResMut<Peel>, ResMut<Sift>),
    (mut compared, other): (ResMut<Compared>, Option<Res<OtherSeen>>),
    mut window: WindowOnly,
) -> Result {
    let ctx = contexts.ctx_mut()?;
    if !state.has_theme {
        theme::apply(ctx);
        state.has_theme = true;
        // Fonts are there from the next pass on.
        ctx.request_repaint();
        return Ok(());
    }
    let liked = (*window.preferences).clone();
    theme::colour(ctx, liked.theme);
    ctx.set_zoom_factor(f32::from(liked.scale_percent) / 100.0);
    let screen = ctx.content_rect();
    let state = &mut *state;
    let now = now_ms();
    let (shown_clock, mut moment) = (*clock, clock.moment);
    let seen = panel::Seen {
        city: &city.0,
        viewed: &viewed,
        clock: &shown_clock,
        valid_at: valid_at.0,
        is_below: below.0,
        detail: detail.0,
        screen,
        stage: screen,
        first: screen.min,
        now_ms: now,
        point_px: viewed.size.y / screen.height().max(1.0),
    };
    let mut taken = Vec::new();
    let is_beside = compared.manner == Some(Manner::Beside);
    let middle = screen.left() + screen.width() * compared.share();
    let (left, right) = (screen.with_max_x(middle), screen.with_min_x(middle));
    if let Some(manner) = compared.manner {
        let moved = comparison_panel::divide(ctx, manner, state.is_interactive, &seen);
        if moved != manner {
            compared.manner = Some(moved);
        }
    }
    taken.push(panel::title(ctx, state, &seen));
    taken.push(panel::scale_bar(ctx, state, &seen));
    taken.push(panel::compass(ctx, &seen, &state.texts));
    let alarms = panel::alarms(ctx, state, &seen);
    taken.extend(alarms);
    // Below the title, one under the other.
    let tools = ctx.memory(|memory| memory.area_rect(egui::Id::new("tools"))).filter(|_| state.is_interactive);
    let is_beside_title = |tools: &egui::Rect| tools.left() > taken[0].right();
    let tools = tools.filter(|tools| !is_beside_title(tools)).map_or(0.0, |tools| tools.bottom());
    let mut top = taken[0].bottom().max(tools) + 10.0;
    let is_glass = Drawing { style: *style, is_below: below.0 }.is_glass();
    if is_glass && !colouring.colours().is_some_and(|colours| colours.asked.is_about_pipes()) {
        taken.push(panel::pipe_legend(ctx, state, &seen, top));
        top = taken.last().map_or(top, |rect| rect.bottom() + 10.0);
    }
    if let Some(rect) = legend::show(ctx, state, colouring.bypass_change_detection(), &city.0, &seen, top) {
        taken.push(rect);
        top = rect.bottom() + 10.0;
    }
    if study.is_open || (!state.is_interactive && study.place.is_some()) {
        let rect = sun_panel::show(ctx, study.bypass_change_detection(), &mut moment, &seen, &state.texts, top);
        sun_panel::mark(ctx, &study, &seen);
        taken.push(rect);
        top = rect.bottom() + 10.0;
        if moment != clock.moment {
            *clock = Clock::at(moment, city.0.lon_lat);
        }
    }
    let others = other.as_ref().and_then(|other| other.colours.as_ref());
    let asked_here = colouring.colours().map(|colours| colours.asked.title(&state.texts));
    if let Some(colours) = others.filter(|other| Some(other.asked.title(&state.texts)) != asked_here) {
        let below = alarms.map_or(seen.screen.top() + 52.0, |rect| rect.bottom() + 10.0);
        taken.push(legend::show_other(ctx, colours, &seen, &state.texts, below));
    }
    // How far the table reaches up.
    let mut lift = 0.0;
    let mut asked = Vec::new();
    if state.is_interactive {
        let table = table_panel::show(ctx, window.table.bypass_change_detection(), &city.0, state, &seen);
        if let Some((rect, told)) = table {
            taken.push(rect);
            lift = seen.screen.bottom() - rect.top();
            told.into_iter().for_each(|text| desk.tell(text));
        }
        if timeline.is_open {
            let mut at = valid_at.0;
            let rect = time_bar::show(ctx, timeline.bypass_change_detection(), &mut at, &seen, &state.texts, lift);
            valid_at.set_if_neq(ValidAt(at));
            taken.push(rect);
            lift = seen.screen.bottom() - rect.top();
        }
        let tools = desk_panel::tools(
            ctx,
            &desk,
            &window.shelf,
            (timeline.is_open, study.is_open),
            (&seen, taken[0]),
            &state.texts,
            &mut asked,
        );
        taken.push(tools);
        taken.extend(desk_panel::notes(ctx, &mut desk, &seen, &state.texts, tools.bottom()));
        let below_alarms = alarms.map_or(seen.screen.top() + 16.0, |rect| rect.bottom() + 10.0);
        taken.extend(desk_panel::bookmarks(ctx, &mut window.shelf, &seen, &state.texts, below_alarms));
        desk_panel::writing(ctx, &mut desk, &seen, &state.texts);
        desk_panel::message(ctx, &mut desk, &seen);
        if state.is_cuts_open {
            let mut changed = cuts.clone();
            let rect = crate::cut_panel::show(ctx, &mut changed, &seen, &state.texts, top);
            cuts.set_if_neq(changed);
            taken.push(rect);
            top = rect.bottom() + 10.0;
        }
        if sift.is_open {
            let mut changed = (peel.clone(), *labels);
            let rect = peel_panel::show(ctx, (&mut changed.0, &mut changed.1), &sift, &seen, &state.texts, top);
            peel.set_if_neq(changed.0);
            labels.set_if_neq(changed.1);
            taken.push(rect);
            top = rect.bottom() + 10.0;
        }
        if state.is_comparison_open {
            let mut changed = compared.clone();
            let choices = &mut *colouring.bypass_change_detection();
            choices.list_fields(&city.0);
            let this = comparison_panel::This {
                drawing: Drawing { style: *style, is_below: below.0 },
                colour_by: None,
                shown: &layers.0,
                peel: &peel,
                cuts: &cuts,
                valid_at: valid_at.0,
                moment: clock.moment,
            };
            let mut figures = |ui: &mut egui::Ui, look: &SceneOptions| {
                state.bulk.show(ui, &city.0, &this, look, &state.texts);
            };
            let told = (&seen, &state.texts);
            let rect = comparison_panel::show(ctx, &mut changed, choices, told, &mut asked, top, &mut figures);
            compared.set_if_neq(changed);
            taken.push(rect);
            top = rect.bottom() + 10.0;
        }
        if state.is_layers_open {
            taken.push(panel::layers(ctx, state, &seen, &mut layers.0, top, lift));
        }
        panel::status(ctx, state, &streaming, &seen);
        if !timeline.is_open {
            settings_panel::tips(ctx, &mut window.preferences, &state.texts, &seen);
        }
        settings_panel::show(ctx, state, &mut window.preferences, &seen, &mut asked);
        window.ask(ctx, state, &city, &mut layers.0, &mut asked, screen);
        desk_panel::help(ctx, state, liked.navigation, &seen);
        let (mut level, mut drawn) = (detail.0, *style);
        let is_open = &mut colouring.bypass_change_detection().is_open;
        let is_peel_open = &mut sift.bypass_change_detection().is_open;
        taken.push(panel::buttons(ctx, state, &mut below.0, &mut level, (&mut drawn, is_open, is_peel_open), &seen));
        detail.set_if_neq(Detail(level));
        style.set_if_neq(drawn);
    }
    taken.extend(panel::attributes(ctx, state, &seen, &mut asked, lift));
    asked.drain(..).for_each(|action| {
        window.actions.write(action);
    });
    if compared.manner.is_some() {
        let this = comparison_panel::This {
            drawing: Drawing { style: *style, is_below: below.0 },
            colour_by: colouring.wanted(),
            shown: &layers.0,
            peel: &peel,
            cuts: &cuts,
            valid_at: valid_at.0,
            moment: clock.moment,
        };
        taken.extend(comparison_panel::captions(ctx, &this, &compared, &seen, &state.texts, [left, right], &taken));
    }
    // What is written on the city of this side alone, and what stands on both.
    let own = panel::Seen { stage: left, ..seen };
    let beside = panel::Seen { stage: right, first: screen.min + egui::vec2(screen.width() * 0.5, 0.0), ..seen };
    let both: &[panel::Seen<'_>] = if is_beside { &[own, beside] } else { &[seen] };
    if below.0 || ruler::is_wanted(&cuts, &own) {
        taken.extend(ruler::draw(ctx, &cuts, &own, &state.texts, &taken));
        ruler::draw_faces(ctx, &cuts, &own, &taken);
    }
    for seen in both {
        taken.extend(mark::draw(ctx, &desk, seen, &state.texts, &taken));
    }
    if labels.is_any() {
        let shown = &layers.0;
        let told = flag::Told {
            pipes: &network.pipes,
            labels: *labels,
            cuts: &cuts,
            is_glass: Drawing { style: *style, is_below: below.0 }.is_glass(),
            is_shown: &|pipe: &Pipe| pipe.is_shown(shown, &peel) && timeline.is_there(pipe.layer, &pipe.id, *valid_at),
            picked: state.picked.as_ref().map(|picked| picked.id.as_str()),
        };
        taken.extend(flag::draw(ctx, &told, &own, &state.texts, &taken));
        flag::sleeve_note(ctx, &told, &own, &state.texts);
    }
    for seen in both {
        draw_badges(ctx, state, seen, &taken);
    }
    Ok(())
}

/// What only the window has.
#[derive(SystemParam)]
struct WindowOnly<'w> {
    shelf: ResMut<'w, Shelf>,
    palette: ResMut<'w, Palette>,
    actions: MessageWriter<'w, Action>,
    preferences: ResMut<'w, Preferences>,
    table: ResMut<'w, TableDesk>,
}

impl WindowOnly<'_> {
    /// Shows the palette, and hands on what was asked for in it and by buttons.
    fn ask(
        &mut self,
        ctx: &egui::Context,
        state: &mut OverlayState,
        city: &CityScene,
        shown: &mut [bool],
        asked: &mut Vec<Action>,
        screen: Rect,
    ) {
        let other = state.other_texts.get_or_insert_with(|| Texts::new(state.texts.language.other()));
        let texts = [&state.texts, other];
        let known = Known { city: &city.0, shown, bookmarks: &self.shelf.bookmarks, texts };
        match self.palette.show(ctx, screen, &city.0, &known) {
            None => {}
            Some(Target::Act(action)) => asked.push(action),
            Some(Target::Layer(index)) => {
                if let Some(is_shown) = shown.get_mut(index) {
                    *is_shown = !*is_shown;
                }
            }
            Some(Target::Bookmark(name)) => self.shelf.wish = Some(ShelfWish::Go(name)),
            Some(Target::Tour(name)) => self.shelf.wish = Some(ShelfWish::Play(name)),
            Some(Target::Object { id, place, size_m }) => {
                state.to_pick = Some(Selection { id, place: Some(place) });
                state.wish = Some(Wish::FlyTo(place, (size_m * 2.6).clamp(40.0, 5000.0)));
            }
        }
        asked.drain(..).for_each(|action| {
            self.actions.write(action);
        });
    }
}

fn draw_badges(ctx: &egui::Context, state: &OverlayState, seen: &panel::Seen<'_>, taken: &[Rect]) {
    let painter = seen.painter(ctx);
    let snapshot = state.live.snapshot(seen.now_ms);
    let mut badges = Vec::new();
    for (index, latest) in snapshot.latest.iter().enumerate() {
        let Some(place) = state.places.get(index).copied().flatten() else { continue };
        let Some((pixel, distance_m)) = seen.viewed.pixel(place) else { continue };
        let anchor: Pos2 = seen.point(pixel);
        if !seen.stage.expand(-4.0).contains(anchor) {
            continue;
        }
        let Some(sensor) = state.live.sensors().get(index as u32) else { continue };
        let priority = sensor.threshold.as_ref().map_or(3, |threshold| threshold.priority);
        let condition = Condition::of(latest, priority);
        // Readings are of now: among what stood then only alarms are shown.
        if seen.valid_at.is_some() && !matches!(condition, Condition::Alarm { .. }) {
            continue;
        }
        badges.push(Badge {
            sensor: index as u32,
            anchor,
            distance_m,
            condition,
            name: shortened(&sensor.name, 16),
            value: badge::value_text(latest, &sensor.unit),
        });
    }
    badge::sort(&mut badges);
    let sized: Vec<_> = badges
        .into_iter()
        .map(|badge| {
            let size = badge::label_size(&painter, &badge);
            (badge, size)
        })
        .collect();
    let near = sized.iter().filter(|(badge, _)| badge.distance_m < QUIET_LABEL_M).count();
    let places = badge::declutter(&sized, seen.stage.shrink(6.0), taken, near.min(MAX_QUIET_LABELS));
    // The important ones last, so that their leaders lie on top.
    for ((badge, _), place) in sized.iter().zip(&places).rev() {
        if *place != Place::Dot || !taken.iter().any(|rect| rect.contains(badge.anchor)) {
            badge::draw(&painter, badge, *place, &state.texts);
        }
    }
}

/// At most `most` characters, with an ellipsis where some were cut.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Draws text with a soft dark edge, so that it can be read on any ground.
pub fn haloed(painter: &egui::Painter, at: Pos2, align: Align2, text: &str, size: f32, colour: egui::Color32) -> Rect {
    for (x, y) in [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (0.7, 0.7), (-0.7, 0.7)] {
        painter.text(at + egui::vec2(x, y), align, text, theme::font(size), egui::Color32::from_black_alpha(110));
    }
    painter.text(at, align, text, theme::font(size), colour)
}
