//! Mouse and keys in an app without a window.

use groundline_engine::tile::Ground;

use super::*;
use crate::{
    bookmark::Bookmarks,
    city::CityModel,
    desk::Tool,
    measure::MeasureKind,
    options::SceneOptions,
    scene::insert_state,
    shelf::{Shelf, ShelfWish},
    stream::Streaming,
};

fn pose(x: f64) -> CameraPose {
    CameraPose { place: DVec3::new(x, 0.0, 100.0), heading_deg: 0.0, pitch_deg: -30.0 }
}

/// The window's hands without a window.
fn app() -> App {
    let mut app = App::new();
    let city = CityModel::of_layers("none", vec![], Ground::default(), vec![]);
    let scene = SceneOptions::default();
    app.insert_resource(OverlayState::new(&city, &scene)).init_resource::<Shelf>();
    app.init_resource::<ButtonInput<KeyCode>>().init_resource::<ButtonInput<MouseButton>>();
    app.init_resource::<Time<Real>>().add_message::<MouseWheel>().add_message::<RequestRedraw>();
    insert_state(&mut app, city, pose(0.0), &scene);
    app.insert_resource(Streaming::start(1 << 20, 8.0, false, 1)).add_plugins(HandPlugin { home: pose(0.0) });
    app
}

fn press(app: &mut App, pressed: &[KeyCode]) {
    let mut keys = app.world_mut().resource_mut::<ButtonInput<KeyCode>>();
    pressed.iter().for_each(|key| keys.press(*key));
    app.update();
    let mut keys = app.world_mut().resource_mut::<ButtonInput<KeyCode>>();
    keys.release_all();
    keys.clear();
    app.update();
}

#[test]
fn who_sinks_goes_through_the_ground_and_comes_out_again() {
    let (mut above_m, mut state) = (9.0, (false, false));
    let mut shown = Vec::new();
    for up in [-1.0, 1.0] {
        for _ in 0..40 {
            above_m += up * 0.5;
            state = through_ground(above_m, up, state.0, state.1);
            if shown.last() != Some(&state.0) {
                shown.push(state.0);
            }
        }
    }
    assert_eq!(shown, [false, true, false]);
    assert_eq!(through_ground(50.0, 1.0, true, false), (true, false), "who asked for it keeps it");
    assert_eq!(through_ground(1.8, 0.0, false, false), (false, false), "who only stands there does not sink");
}

#[test]
fn keys_reach_scene_desk_and_palette() {
    let mut app = app();
    press(&mut app, &[KeyCode::KeyU]);
    press(&mut app, &[KeyCode::Digit2]);
    assert!(app.world().resource::<Below>().0);
    assert_eq!(app.world().resource::<Detail>().0, CimLevel::FRAME);
    press(&mut app, &[KeyCode::KeyM]);
    let desk = |app: &App| app.world().resource::<Desk>().tool;
    assert_eq!(desk(&app), Some(Tool::Measure(MeasureKind::Length)));
    press(&mut app, &[KeyCode::F1]);
    press(&mut app, &[KeyCode::Escape]);
    assert_eq!(desk(&app), None);
    assert!(app.world().resource::<OverlayState>().is_help_open, "one thing at a time");
    press(&mut app, &[KeyCode::Escape]);
    assert!(!app.world().resource::<OverlayState>().is_help_open);
    press(&mut app, &[KeyCode::ControlLeft, KeyCode::KeyK]);
    assert!(app.world().resource::<Palette>().is_open);
    press(&mut app, &[KeyCode::KeyM]);
    assert_eq!(desk(&app), None, "what is typed into the palette is no command");
}

#[test]
fn navigation_language_and_scale_change_while_it_runs() {
    let mut app = app();
    press(&mut app, &[KeyCode::ControlLeft, KeyCode::KeyG]);
    press(&mut app, &[KeyCode::ControlLeft, KeyCode::Equal]);
    press(&mut app, &[KeyCode::ControlLeft, KeyCode::KeyL]);
    let liked = app.world().resource::<Preferences>();
    assert_eq!((liked.navigation, liked.scale_percent), (Profile::Cesium, 110));
    assert!(!app.world().resource::<OverlayState>().is_chinese());
    app.world_mut().resource_mut::<Viewed>().size = Vec2::new(1280.0, 720.0);
    app.world_mut().write_message(Action::Navigate(Profile::Walk));
    app.update();
    let goal = app.world().resource::<Hands>().goal;
    assert!((goal.place.z - crate::profile::EYE_M).abs() < 0.2 && goal.pitch_deg == 0.0, "{goal:?}");
    assert!(goal.place.y > 100.0, "where the picture's middle was: {goal:?}");
}

#[test]
fn a_bookmark_brings_the_view_back() {
    let folder = tempfile::tempdir().expect("folder");
    let mut app = app();
    let (bookmarks, _) = Bookmarks::open(Some(folder.path().join("b.json")), "none");
    app.insert_resource(Shelf::of(bookmarks));
    let places = [pose(1.0).place, pose(4.0).place];
    {
        let mut desk = app.world_mut().resource_mut::<Desk>();
        desk.act(Action::Measure(MeasureKind::Height));
        places.iter().for_each(|place| desk.click(*place, None));
    }
    press(&mut app, &[KeyCode::KeyU]);
    press(&mut app, &[KeyCode::ControlLeft, KeyCode::KeyD]);
    let name = app.world().resource::<Shelf>().bookmarks.list()[0].name.clone();
    press(&mut app, &[KeyCode::KeyU]);
    app.world_mut().resource_mut::<Desk>().act(Action::ClearNotes);
    app.world_mut().resource_mut::<Hands>().goal = pose(900.0);
    app.world_mut().resource_mut::<Shelf>().wish = Some(ShelfWish::Go(name));
    app.update();
    assert!(app.world().resource::<Below>().0);
    assert_eq!(app.world().resource::<Desk>().notes.measurements[0].points, places);
    assert!(app.world().resource::<Hands>().goal.place.distance(pose(0.0).place) < 1e-3);
    press(&mut app, &[KeyCode::ControlLeft, KeyCode::KeyZ]);
    assert!(app.world().resource::<Desk>().notes.measurements.is_empty(), "even that can be undone");
}

#[test]
fn keys_step_through_the_years_and_through_the_hours() {
    use crate::{
        daylight::SunStudy,
        scene::Clock,
        validity::{Lives, Timeline, ValidAt, ValidTime},
    };
    let mut app = app();
    let year = |year| ValidTime::of_day(year, 1, 1);
    let lives = Lives { came: vec![year(2000).0, year(2010).0], ..Lives::default() };
    app.world_mut().resource_mut::<Timeline>().lives = Some(std::sync::Arc::new(lives));
    let at = |app: &App| app.world().resource::<ValidAt>().0;
    press(&mut app, &[KeyCode::BracketLeft]);
    assert_eq!(at(&app), None, "the bar is not open");
    press(&mut app, &[KeyCode::F2]);
    press(&mut app, &[KeyCode::BracketLeft]);
    let first = at(&app).expect("the beginning of this year");
    press(&mut app, &[KeyCode::BracketLeft]);
    assert_eq!(at(&app).map(|at| at.date().0), Some(first.date().0 - 1));
    press(&mut app, &[KeyCode::BracketRight]);
    assert_eq!(at(&app), Some(first));
    press(&mut app, &[KeyCode::BracketRight]);
    assert_eq!(at(&app), None, "past the end it is now");
    app.world_mut().resource_mut::<Streaming>().is_complete = true;
    press(&mut app, &[KeyCode::Space]);
    assert_eq!(at(&app), Some(year(1999)), "time runs from the beginning");
    app.world_mut().resource_mut::<Timeline>().is_playing = false;

    let hour = |app: &App| app.world().resource::<Clock>().moment.hour;
    let before = hour(&app);
    press(&mut app, &[KeyCode::F3]);
    press(&mut app, &[KeyCode::BracketRight]);
    assert_eq!((hour(&app), at(&app)), (before, Some(year(2000))), "with the bar open its keys are its own");
    press(&mut app, &[KeyCode::F2]);
    press(&mut app, &[KeyCode::BracketRight]);
    let sun = app.world().resource::<Clock>().sun;
    assert!((hour(&app) - before - 1.0 / 6.0).abs() < 1e-9 && app.world().resource::<SunStudy>().is_open);
    assert_eq!(
        sun,
        Clock::at(app.world().resource::<Clock>().moment, app.world().resource::<CityScene>().0.lon_lat).sun
    );
}

#[test]
fn keys_compare_and_move_the_divider() {
    use crate::comparison::{Compared, Manner};
    let mut app = app();
    let mut after = |key: KeyCode| {
        press(&mut app, &[key]);
        app.world().resource::<Compared>().clone()
    };
    let swipe = after(KeyCode::Backslash);
    assert_eq!(swipe.manner, Some(Manner::Swipe(0.5)));
    assert!(swipe.other.contains("st=xray"), "another look at once: {}", swipe.other);
    assert_eq!(after(KeyCode::Period).manner, Some(Manner::Swipe(0.55)));
    assert_eq!(after(KeyCode::Comma).manner, Some(Manner::Swipe(0.5)));
    assert_eq!(after(KeyCode::Backslash).manner, Some(Manner::Beside));
    app.world_mut().write_message(Action::SwapSides);
    app.update();
    assert_eq!(*app.world().resource::<Style>(), Style::Xray);
    assert!(!app.world().resource::<Compared>().other.contains("st="), "realistic is on the right now");
    press(&mut app, &[KeyCode::Backslash]);
    assert_eq!(app.world().resource::<Compared>().manner, None);
}
