//! Panels as a person uses them, found by what a screen reader says of them: no picture is drawn and no driver is needed.

use std::{collections::BTreeMap, sync::Arc};

use bevy::{
    ecs::system::SystemState,
    prelude::{ResMut, World},
};
use bevy_egui::egui::{self, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use glam::DVec3;
use groundline_engine::{
    model::{CimLevel, PipeKind, Stage},
    tile::{Ground, TileTree},
};

use crate::{
    bookmark::{Bookmarks, Tour},
    city::{CityModel, LayerModel},
    colouring::Colouring,
    comparison::{Compared, Manner},
    comparison_panel,
    date::{DAY_MS, days_of},
    daylight::SunStudy,
    desk::Desk,
    desk_panel,
    key::Action,
    label::Labels,
    options::{Language, SceneOptions},
    overlay::OverlayState,
    palette::{Known, Palette, Target},
    panel::{self, Seen, seen_from_above},
    peel::{self, Focus, Peel, Storeys},
    peel_panel,
    preference::Preferences,
    settings_panel,
    shelf::{Shelf, ShelfWish},
    sift::{Sift, Storey},
    style::Style,
    sun::Moment,
    sun_panel,
    text::Texts,
    theme::{self, Theme},
    time_bar,
    validity::{Lives, Timeline, ValidTime},
};

fn city() -> CityModel {
    let layer = |name: &str, class: &str| LayerModel {
        name: name.into(),
        classes: vec![(class.into(), 1)],
        objects: 1,
        points: 0,
        rgb: [0; 3],
        tree: TileTree::default().into(),
        folder: "none".into(),
        source: None,
    };
    let layers =
        vec![layer("JS_管线", "pipe"), layer("RQ_管线", "pipe"), layer("Hall", "storey"), layer("Houses", "building")];
    CityModel::of_layers("Harbour", layers, Ground::default(), vec![])
}

/// A window of 1280 × 720 points in which `draw` shows its panels.
fn window<'a, S: 'a>(state: S, draw: impl Fn(&egui::Context, &Seen<'_>, &mut S) + 'a) -> Harness<'a, S> {
    window_of(vec2(1280.0, 720.0), state, draw)
}

fn window_of<'a, S: 'a>(
    size: egui::Vec2,
    state: S,
    draw: impl Fn(&egui::Context, &Seen<'_>, &mut S) + 'a,
) -> Harness<'a, S> {
    let (city, mut has_fonts) = (city(), false);
    let app = move |ui: &mut egui::Ui, state: &mut S| {
        let ctx = ui.ctx().clone();
        if !std::mem::replace(&mut has_fonts, true) {
            theme::apply(&ctx);
            // Fonts are there from the next pass on.
            return ctx.request_repaint();
        }
        seen_from_above(&city, size, |seen| draw(&ctx, seen, state));
    };
    Harness::builder().with_size(size).with_max_steps(20).build_ui_state(app, state)
}

/// Clicks on the only thing of this name.
fn click<S>(window: &mut Harness<'_, S>, name: &str) {
    click_nth(window, name, 0, 1);
}

/// Clicks on one of several of the same name, in the order in which they stand.
fn click_nth<S>(window: &mut Harness<'_, S>, name: &str, nth: usize, of: usize) {
    let all: Vec<_> = window.get_all_by_label(name).collect();
    assert_eq!(all.len(), of, "{name}");
    all[nth].click();
    window.run();
}

fn is_seen<S>(window: &Harness<'_, S>, name: &str) -> bool {
    window.query_all_by_label(name).next().is_some()
}

struct Settings {
    world: World,
    state: OverlayState,
    asked: Vec<Action>,
}

impl Settings {
    fn liked(&self) -> &Preferences {
        self.world.resource()
    }
}

#[test]
fn settings_are_chosen_and_speak_the_language_that_was_chosen() {
    let mut world = World::new();
    world.insert_resource(Preferences::default());
    let mut state = OverlayState::new(&city(), &SceneOptions { language: Language::Zh, ..SceneOptions::default() });
    state.is_settings_open = true;
    let settings = Settings { world, state, asked: Vec::new() };
    let mut window = window(settings, |ctx, seen, Settings { world, state, asked }| {
        let mut system = SystemState::<ResMut<Preferences>>::new(world);
        let mut preferences = system.get_mut(world).expect("they are there");
        settings_panel::show(ctx, state, &mut preferences, seen, asked);
    });
    assert!(is_seen(&window, "设置") && !is_seen(&window, "Settings"));
    click(&mut window, "中文");
    assert_eq!(window.state().asked, [], "it speaks Chinese already");
    click(&mut window, "English");
    assert_eq!(window.state().asked, [Action::Language]);
    window.state_mut().state.speak(Language::En);
    window.run();
    assert!(is_seen(&window, "Settings") && !is_seen(&window, "设置"));

    let before = window.state().liked().clone();
    click(&mut window, "150 %");
    click(&mut window, "Dark corners");
    let liked = window.state().liked();
    assert_eq!(liked.scale_percent, 150);
    assert_eq!(liked.relief.corners, !before.relief.corners);
    assert_eq!(liked.relief.points, before.relief.points);
    click(&mut window, if before.theme == Theme::Dark { "Light" } else { "Dark" });
    assert_eq!(window.state().asked, [Action::Language, Action::Theme]);
    click(&mut window, "×");
    assert!(!window.state().state.is_settings_open && !is_seen(&window, "Settings"));
}

#[test]
fn tips_go_when_they_were_read() {
    let mut world = World::new();
    world.insert_resource(Preferences::default());
    let texts = Texts::new(Language::En);
    let mut window = window(world, |ctx, seen, world| {
        let mut system = SystemState::<ResMut<Preferences>>::new(world);
        settings_panel::tips(ctx, &mut system.get_mut(world).expect("they are there"), &Texts::new(Language::En), seen);
    });
    assert!(is_seen(&window, &texts.get("tip-below")));
    click(&mut window, &texts.get("tips-read"));
    assert!(window.state().resource::<Preferences>().has_read_tips && !is_seen(&window, &texts.get("tip-below")));
}

fn shelf(folder: &std::path::Path) -> Shelf {
    let (mut bookmarks, _) = Bookmarks::open(Some(folder.join("b.json")), "Harbour");
    bookmarks.keep("码头", "groundline:?u=1").expect("kept");
    bookmarks.keep("Square", "groundline:?u=0").expect("kept");
    let mut shelf = Shelf::of(bookmarks);
    shelf.is_open = true;
    shelf
}

#[test]
fn the_palette_lists_what_is_typed_and_takes_what_is_clicked_on() {
    let folder = tempfile::tempdir().expect("folder");
    let (shelf, city) = (shelf(folder.path()), Arc::new(city()));
    let mut palette = Palette::default();
    palette.toggle();
    let (en, zh) = (Texts::new(Language::En), Texts::new(Language::Zh));
    let mut window = window((palette, None), |ctx, seen, (palette, taken): &mut (Palette, Option<Target>)| {
        let known = Known { city: &city, shown: &[true; 4], bookmarks: &shelf.bookmarks, texts: [&en, &zh] };
        *taken = palette.show(ctx, seen.screen, &city, &known).or(taken.take());
    });
    let (first, second) = ("Measure length", "Measure area");
    assert!(is_seen(&window, first) && is_seen(&window, second));
    window.event(egui::Event::Text("sq".into()));
    window.run();
    assert!(is_seen(&window, "Square") && !is_seen(&window, first) && !is_seen(&window, second));
    click(&mut window, "Square");
    assert_eq!(window.state().1, Some(Target::Bookmark("Square".into())));
    assert!(!window.state().0.is_open && !is_seen(&window, "Square"));

    window.state_mut().0.toggle();
    window.run();
    window.event(egui::Event::Text("zzzz".into()));
    window.run();
    assert!(is_seen(&window, "Nothing found") && !is_seen(&window, "Square"));
}

/// The shelf's window in English.
fn shelf_window(shelf: Shelf) -> Harness<'static, Shelf> {
    let texts = Texts::new(Language::En);
    window(shelf, move |ctx, seen, shelf| {
        desk_panel::bookmarks(ctx, shelf, seen, &texts, 40.0);
    })
}

fn stops(tour: &Tour) -> Vec<&str> {
    tour.stops.iter().map(|stop| &*stop.bookmark).collect()
}

#[test]
fn a_tour_is_made_put_in_order_kept_played_and_removed() {
    let folder = tempfile::tempdir().expect("folder");
    let mut window = shelf_window(shelf(folder.path()));
    click(&mut window, "Square");
    assert_eq!(window.state_mut().wish.take(), Some(ShelfWish::Go("Square".into())));
    click(&mut window, "New tour");
    assert!(is_seen(&window, "1. 码头") && is_seen(&window, "2. Square"));
    // There is nothing above the first stop and nothing below the last.
    click_nth(&mut window, "↑", 0, 2);
    click_nth(&mut window, "↓", 1, 2);
    let edited = |window: &Harness<'_, Shelf>| window.state().editing.clone().expect("it is edited");
    assert_eq!(stops(&edited(&window)), ["码头", "Square"]);
    click_nth(&mut window, "↓", 0, 2);
    assert!(is_seen(&window, "1. Square") && is_seen(&window, "2. 码头"));
    click_nth(&mut window, "↑", 1, 2);
    assert_eq!(stops(&edited(&window)), ["码头", "Square"]);
    // Two bookmarks, then two stops.
    click_nth(&mut window, "×", 2, 4);
    assert_eq!(stops(&edited(&window)), ["Square"]);
    assert!(is_seen(&window, "1. Square") && !is_seen(&window, "2. Square"));
    click_nth(&mut window, "Keep", 1, 2);
    let Some(ShelfWish::SetTour(tour)) = window.state_mut().wish.take() else { panic!("it is kept") };
    assert!((tour.name.as_str(), stops(&tour)) == ("Tour 1", vec!["Square"]) && window.state().editing.is_none());

    window.state_mut().bookmarks.keep_tour(tour).expect("kept");
    window.run();
    click(&mut window, "Tour 1  0:05");
    assert_eq!(window.state_mut().wish.take(), Some(ShelfWish::Play("Tour 1".into())));
    click(&mut window, "Edit");
    assert!(is_seen(&window, "1. Square"));
    click(&mut window, "Leave");
    assert!(!is_seen(&window, "1. Square") && window.state().editing.is_none());
    click_nth(&mut window, "×", 2, 3);
    assert_eq!(window.state_mut().wish.take(), Some(ShelfWish::RemoveTour("Tour 1".into())));
    click(&mut window, "Fly through all");
    assert_eq!(window.state_mut().wish.take(), Some(ShelfWish::Play("all".into())));
    click_nth(&mut window, "×", 0, 3);
    assert_eq!(window.state_mut().wish.take(), Some(ShelfWish::Remove("码头".into())));
}

#[test]
fn a_view_is_kept_under_the_name_that_is_typed() {
    let folder = tempfile::tempdir().expect("folder");
    let mut window = shelf_window(shelf(folder.path()));
    click(&mut window, "Keep");
    assert_eq!(window.state().wish, None, "a bookmark wants a name");
    window.get_by_role(egui::accesskit::Role::TextInput).focus();
    window.run();
    window.event(egui::Event::Text(" 夜景 ".into()));
    window.run();
    click(&mut window, "Keep");
    assert_eq!(window.state().wish, Some(ShelfWish::Keep("夜景".into())));
}

#[test]
fn the_comparison_is_chosen_and_the_other_side_gets_its_look() {
    let state = (Compared::default(), Vec::new());
    let texts = Texts::new(Language::En);
    let mut window = window(state, |ctx, seen, (compared, asked): &mut (Compared, Vec<Action>)| {
        let told = (seen, &texts);
        comparison_panel::show(ctx, compared, &Colouring::new(None), told, asked, 100.0, &mut |_, _| {});
    });
    click(&mut window, "Side by side");
    assert_eq!(window.state().0.manner, Some(Manner::Beside));
    click(&mut window, "Swipe");
    assert_eq!(window.state().0.manner, Some(Manner::Swipe(0.5)));
    click(&mut window, "Below ground");
    click(&mut window, "Houses");
    click(&mut window, "planned");
    let look = window.state().0.look();
    assert!(look.is_below && look.peel.stages == [Stage::Planned]);
    assert_eq!(look.layers.without, ["=Houses"]);
    click(&mut window, "Swap sides");
    assert_eq!(window.state().1, [Action::SwapSides]);
    click(&mut window, "Off");
    assert_eq!(window.state().0.manner, None);
}

#[test]
fn the_bar_of_time_goes_back_on_and_to_now() {
    let day = |year: i32| days_of(year, 1, 1) * DAY_MS;
    // The clock of these windows stands at the beginning of 1970.
    let lives = Lives { came: vec![day(1951), day(1960)], ..Lives::default() };
    let mut timeline = Timeline::default();
    (timeline.is_open, timeline.lives) = (true, Some(Arc::new(lives)));
    let texts = Texts::new(Language::En);
    let mut window = window((timeline, None), |ctx, seen, (timeline, at): &mut (Timeline, Option<ValidTime>)| {
        if timeline.is_open {
            time_bar::show(ctx, timeline, at, seen, &texts, 0.0);
        }
    });
    let (back, on) = ("One step back in time", "One step on in time");
    click(&mut window, back);
    assert_eq!(window.state().1, Some(ValidTime(day(1969))));
    click(&mut window, back);
    click(&mut window, on);
    assert_eq!(window.state().1, Some(ValidTime(day(1969))));
    assert!(is_seen(&window, "1969-01-01"));
    click(&mut window, "Let time run, or stand");
    assert!(window.state().0.is_playing);
    click(&mut window, "Pause");
    assert!(!window.state().0.is_playing);
    click(&mut window, "now");
    assert_eq!(window.state().1, None);
    click(&mut window, "×");
    assert!(!window.state().0.is_open && !is_seen(&window, back));
}

#[test]
fn the_panel_of_the_sun_sets_days_and_forgets_its_place() {
    let mut study = SunStudy::at(Some(DVec3::new(0.0, 0.0, 1.5)));
    study.is_open = true;
    let texts = Texts::new(Language::En);
    let mut window = window((study, Moment::default()), |ctx, seen, (study, moment): &mut (SunStudy, Moment)| {
        if study.is_open {
            sun_panel::show(ctx, study, moment, seen, &texts, 100.0);
        }
    });
    let date = |window: &Harness<'_, (SunStudy, Moment)>| (window.state().1.month, window.state().1.day);
    click(&mut window, "Great Cold");
    assert_eq!(date(&window), (1, 20));
    click(&mut window, "Jun solstice");
    assert_eq!(date(&window), (6, 21));
    click(&mut window, "Let the day run");
    assert!(window.state().0.is_playing);
    click(&mut window, "Pause");
    assert!(!window.state().0.is_playing);
    assert!(is_seen(&window, "Reading what stands around…"));
    // The panel's own, then the place's.
    click_nth(&mut window, "×", 1, 2);
    assert!(window.state().0.place.is_none());
    assert!(is_seen(&window, "Click a wall, a sill or the ground for its hours of sun"));
    click(&mut window, "×");
    assert!(!window.state().0.is_open);
}

#[test]
fn what_is_taken_off_is_chosen_and_put_back() {
    let floor = |name: &str, floor_m| Storey { name: name.into(), floor_m };
    let storeys = BTreeMap::from([(2, vec![floor("F1", 6.0), floor("F2", 10.5)])]);
    let mut sift = Sift::default();
    sift.storeys = storeys;
    let focus = Some(Focus { id: "Houses/7".into(), has_ghosts: true });
    let peel = Peel { hidden: vec!["a".into(), "b".into()], focus, ..Peel::default() };
    let texts = Texts::new(Language::En);
    let mut window = window((peel, Labels::default()), |ctx, seen, (peel, labels): &mut (Peel, Labels)| {
        peel_panel::show(ctx, (peel, labels), &sift, seen, &texts, 100.0);
    });
    assert!(is_seen(&window, "2 objects hidden") && is_seen(&window, "In focus: Houses/7"));
    click(&mut window, "Gas");
    assert_eq!(window.state().0.network, Some(PipeKind::Gas));
    assert!(!is_seen(&window, "Power"), "the city has none");
    click(&mut window, "planned");
    assert_eq!(window.state().0.stages, [Stage::Planned]);
    click(&mut window, "Flow");
    assert!(window.state().1.flow && !window.state().1.pipes);
    let of = |manner| Some(Storeys { layer: "Hall".into(), manner });
    click(&mut window, "F2  10.50 m");
    assert_eq!(window.state().0.storeys, of(peel::Manner::Only { number: 2 }));
    // The highest storey stands first.
    click_nth(&mut window, "Plan", 1, 2);
    assert_eq!(window.state().0.storeys, of(peel::Manner::Eye { number: 1 }));
    click(&mut window, "Show");
    assert!(window.state().0.hidden.is_empty() && !is_seen(&window, "2 objects hidden"));
    click(&mut window, "Put all back");
    assert!(window.state().0.is_empty());
}

#[test]
fn bars_stay_in_windows_of_any_width_and_off_the_title() {
    // 1600 × 900 at 100, 150, 200 and 300 %, and a narrow window.
    for (size, language) in [(1600.0, 900.0), (1066.0, 600.0), (800.0, 450.0), (533.0, 300.0), (400.0, 700.0)]
        .into_iter()
        .flat_map(|size| [Language::Zh, Language::En].map(|language| (size, language)))
    {
        let size = vec2(size.0, size.1);
        let options = SceneOptions { language, ..SceneOptions::default() };
        let state = (OverlayState::new(&city(), &options), vec![egui::Rect::NOTHING; 3]);
        let mut window = window_of(size, state, |ctx, seen, (state, rects)| {
            let title = panel::title(ctx, state, seen);
            let (desk, shelf) = (Desk::default(), Shelf::default());
            let asked = &mut Vec::new();
            let tools = desk_panel::tools(ctx, &desk, &shelf, (false, false), (seen, title), &state.texts, asked);
            let mut chosen = (false, CimLevel::PART, Style::default(), false, false);
            let rest = (&mut chosen.2, &mut chosen.3, &mut chosen.4);
            let buttons = panel::buttons(ctx, state, &mut chosen.0, &mut chosen.1, rest, seen);
            *rects = vec![title, tools, buttons];
        });
        (0..4).for_each(|_| window.step());
        let screen = egui::Rect::from_min_size(egui::Pos2::ZERO, size);
        let (_, rects) = window.state();
        for (name, rect) in ["title", "tools", "buttons"].into_iter().zip(rects) {
            assert!(screen.contains_rect(*rect), "{name} at {rect} of {size}, {language:?}");
        }
        assert!(!rects[0].intersects(rects[1]), "{rects:?} of {size}, {language:?}");
        let find = window.get_by_label(&window.state().0.texts.get("tool-find")).rect();
        assert!(rects[1].contains_rect(find), "the last of the tools is in the bar: {find}");
    }
}
