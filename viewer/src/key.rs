//! Every key of the window, once: what is pressed, what it does, what it is called. Keys are handled, the help is written and
//! the palette's commands are listed by this one table.

use bevy::prelude::{ButtonInput, KeyCode, Message};

use crate::{measure::MeasureKind, profile::Profile};

/// Something that a person can ask for by a key, a button or the palette.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Moves forward while it is held.
    Forward,
    /// Moves back.
    Back,
    /// Moves to the left.
    Left,
    /// Moves to the right.
    Right,
    /// Rises.
    Rise,
    /// Sinks.
    Sink,
    /// Flies to where the window began.
    Home,
    /// Turns north up.
    North,
    /// Flies to the picked object.
    ToPicked,
    /// The camera's place before.
    CameraBack,
    /// The camera's place after.
    CameraForward,
    /// Above or below ground.
    Below,
    /// Level of detail, CIM1 to CIM7.
    Detail(u8),
    /// The next style of drawing.
    Style,
    /// Colours by attribute.
    Colours,
    /// Sections, boxes and trenches.
    Cuts,
    /// A trench along the picked pipe.
    TrenchAlong,
    /// Labels of pipes and arrows of flow.
    PipeLabels,
    /// Sleeves of the survey's error around pipes.
    Sleeves,
    /// Networks, strata and storeys that are taken off.
    Peel,
    /// Hides the picked object.
    Hide,
    /// Shows the picked object alone, or all again.
    Isolate,
    /// Makes ghosts of what is around the picked object, or bodies again.
    Ghosts,
    /// Draws the storeys of the building apart, or together again.
    FanStoreys,
    /// Shows the storey of the picked object alone, or all again.
    OneStorey,
    /// Cuts at eye height above the floor of the picked object's storey; again: of the next one.
    EyeSection,
    /// Puts back all that was taken off.
    PutBack,
    /// Compares with another look: swipe, side by side, not at all.
    Compare,
    /// The divider to the left.
    DividerLeft,
    /// The divider to the right.
    DividerRight,
    /// What is on the left goes to the right.
    SwapSides,
    /// List of layers.
    Layers,
    /// Shows every layer.
    AllLayers,
    /// Begins to measure.
    Measure(MeasureKind),
    /// Begins an annotation.
    Annotate,
    /// Ends the polyline or polygon.
    Finish,
    /// Takes back the last point.
    RemoveLast,
    /// Undoes a measurement or annotation.
    Undo,
    /// Does it again.
    Redo,
    /// Removes all measurements and annotations.
    ClearNotes,
    /// List of measurements and annotations.
    Notes,
    /// Copies the view as text.
    CopyView,
    /// Writes a picture of the window.
    SavePicture,
    /// Writes a picture for the sheet A0 to A5 of this number.
    Print(usize),
    /// Goes to the view in the clipboard.
    PasteView,
    /// Keeps the view as a bookmark.
    KeepView,
    /// List of bookmarks.
    Bookmarks,
    /// Flies through all bookmarks.
    PlayAll,
    /// Commands, layers, bookmarks and objects by name.
    Palette,
    /// Moves as in a profile.
    Navigate(Profile),
    /// Moves as in the next profile.
    NextNavigation,
    /// Light or dark panels.
    Theme,
    /// Larger text and panels.
    Larger,
    /// Smaller text and panels.
    Smaller,
    /// Text and panels in their usual size.
    UsualSize,
    /// The other language.
    Language,
    /// Panel of how the window behaves.
    Settings,
    /// The bar of time.
    Timeline,
    /// One step back in time.
    TimeBack,
    /// One step on in time.
    TimeOn,
    /// Lets time run, or stand.
    Play,
    /// Shows the city as it is now.
    TimeNow,
    /// Sun and shadow of a day.
    Sunlight,
    /// Table of a layer's objects.
    Table,
    /// Help.
    Help,
    /// Leaves what was begun.
    Escape,
}

/// Keys that go with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// Neither Ctrl nor Alt.
    Nothing,
    /// Ctrl (⌘ on a Mac).
    Ctrl,
    /// Ctrl and Shift.
    CtrlShift,
    /// Alt.
    Alt,
}

/// A key with those that go with it.
pub type Chord = (With, KeyCode);

/// One line of the table.
pub struct Line {
    /// What it does.
    pub action: Action,
    /// Under which it stands among the texts; lines of one text are one line of the help.
    pub text: &'static str,
    /// What is pressed; nothing for what only the palette has.
    pub chords: &'static [Chord],
    /// It acts as long as it is held.
    pub is_held: bool,
}

const fn held(action: Action, text: &'static str, chords: &'static [Chord]) -> Line {
    Line { action, text, chords, is_held: true }
}

const fn line(action: Action, text: &'static str, chords: &'static [Chord]) -> Line {
    Line { action, text, chords, is_held: false }
}

use KeyCode as K;
use With::{Alt, Ctrl, CtrlShift, Nothing as No};

/// Every key and every command, in the order of the help.
pub const LINES: &[Line] = &[
    held(Action::Forward, "do-move", &[(No, K::KeyW), (No, K::ArrowUp)]),
    held(Action::Left, "do-move", &[(No, K::KeyA), (No, K::ArrowLeft)]),
    held(Action::Back, "do-move", &[(No, K::KeyS), (No, K::ArrowDown)]),
    held(Action::Right, "do-move", &[(No, K::KeyD), (No, K::ArrowRight)]),
    held(Action::Sink, "do-rise", &[(No, K::KeyQ), (No, K::PageDown)]),
    held(Action::Rise, "do-rise", &[(No, K::KeyE), (No, K::PageUp)]),
    line(Action::Home, "do-home", &[(No, K::Home)]),
    line(Action::North, "do-north", &[(No, K::KeyN)]),
    line(Action::ToPicked, "do-to-picked", &[(No, K::KeyF)]),
    line(Action::CameraBack, "do-camera-back", &[(Alt, K::ArrowLeft)]),
    line(Action::CameraForward, "do-camera-forward", &[(Alt, K::ArrowRight)]),
    line(Action::Below, "do-below", &[(No, K::KeyU), (No, K::KeyB)]),
    line(Action::Detail(1), "do-detail", &[(No, K::Digit1), (No, K::Numpad1)]),
    line(Action::Detail(2), "do-detail", &[(No, K::Digit2), (No, K::Numpad2)]),
    line(Action::Detail(3), "do-detail", &[(No, K::Digit3), (No, K::Numpad3)]),
    line(Action::Detail(4), "do-detail", &[(No, K::Digit4), (No, K::Numpad4)]),
    line(Action::Detail(5), "do-detail", &[(No, K::Digit5), (No, K::Numpad5)]),
    line(Action::Detail(6), "do-detail", &[(No, K::Digit6), (No, K::Numpad6)]),
    line(Action::Detail(7), "do-detail", &[(No, K::Digit7), (No, K::Numpad7)]),
    line(Action::Style, "do-style", &[(No, K::KeyV)]),
    line(Action::Colours, "do-colours", &[(No, K::KeyC)]),
    line(Action::Cuts, "do-cuts", &[(No, K::KeyX)]),
    line(Action::TrenchAlong, "do-trench-along", &[(No, K::KeyR)]),
    line(Action::PipeLabels, "do-pipe-labels", &[(No, K::KeyP)]),
    line(Action::Sleeves, "do-sleeves", &[(No, K::KeyY)]),
    line(Action::Peel, "do-peel", &[(No, K::KeyG)]),
    line(Action::Hide, "do-hide", &[(No, K::KeyH)]),
    line(Action::Isolate, "do-isolate", &[(No, K::KeyI)]),
    line(Action::Ghosts, "do-ghosts", &[(No, K::KeyO)]),
    line(Action::FanStoreys, "do-fan", &[(No, K::KeyZ)]),
    line(Action::OneStorey, "do-one-storey", &[]),
    line(Action::EyeSection, "do-eye", &[]),
    line(Action::PutBack, "do-put-back", &[]),
    line(Action::Compare, "do-compare", &[(No, K::Backslash)]),
    line(Action::DividerLeft, "do-divider", &[(No, K::Comma)]),
    line(Action::DividerRight, "do-divider", &[(No, K::Period)]),
    line(Action::SwapSides, "do-swap-sides", &[]),
    line(Action::Layers, "do-layers", &[(No, K::KeyL)]),
    line(Action::AllLayers, "do-all-layers", &[]),
    line(Action::Measure(MeasureKind::Length), "do-measure-length", &[(No, K::KeyM)]),
    line(Action::Measure(MeasureKind::Height), "do-measure-height", &[]),
    line(Action::Measure(MeasureKind::Area), "do-measure-area", &[]),
    line(Action::Measure(MeasureKind::Volume), "do-measure-volume", &[]),
    line(Action::Measure(MeasureKind::Body), "do-measure-body", &[]),
    line(Action::Measure(MeasureKind::Angle), "do-measure-angle", &[]),
    line(Action::Measure(MeasureKind::Slope), "do-measure-slope", &[]),
    line(Action::Measure(MeasureKind::Depth), "do-measure-depth", &[]),
    line(Action::Annotate, "do-annotate", &[(No, K::KeyT)]),
    line(Action::Finish, "do-finish", &[(No, K::Enter), (No, K::NumpadEnter)]),
    line(Action::RemoveLast, "do-remove-last", &[(No, K::Backspace)]),
    line(Action::Undo, "do-undo", &[(Ctrl, K::KeyZ)]),
    line(Action::Redo, "do-redo", &[(Ctrl, K::KeyY), (CtrlShift, K::KeyZ)]),
    line(Action::Notes, "do-notes", &[(No, K::KeyJ)]),
    line(Action::ClearNotes, "do-clear-notes", &[]),
    line(Action::CopyView, "do-copy-view", &[(Ctrl, K::KeyC)]),
    line(Action::PasteView, "do-paste-view", &[(Ctrl, K::KeyV)]),
    line(Action::SavePicture, "do-save-picture", &[(Ctrl, K::KeyS)]),
    line(Action::Print(4), "do-print-a4", &[]),
    line(Action::Print(3), "do-print-a3", &[]),
    line(Action::Print(1), "do-print-a1", &[]),
    line(Action::Print(0), "do-print-a0", &[]),
    line(Action::KeepView, "do-keep-view", &[(Ctrl, K::KeyD)]),
    line(Action::Bookmarks, "do-bookmarks", &[(No, K::KeyK)]),
    line(Action::PlayAll, "do-play-all", &[]),
    line(Action::Table, "do-table", &[(Ctrl, K::KeyT)]),
    line(Action::Timeline, "do-timeline", &[(No, K::F2)]),
    line(Action::Sunlight, "do-sunlight", &[(No, K::F3)]),
    line(Action::TimeBack, "do-time-back", &[(No, K::BracketLeft)]),
    line(Action::TimeOn, "do-time-on", &[(No, K::BracketRight)]),
    line(Action::Play, "do-play", &[(No, K::Space)]),
    line(Action::TimeNow, "do-time-now", &[]),
    line(Action::Settings, "do-settings", &[(Ctrl, K::Comma)]),
    line(Action::NextNavigation, "do-next-navigation", &[(Ctrl, K::KeyG)]),
    line(Action::Navigate(Profile::Earth), "do-navigate-earth", &[]),
    line(Action::Navigate(Profile::Cesium), "do-navigate-cesium", &[]),
    line(Action::Navigate(Profile::Cad), "do-navigate-cad", &[]),
    line(Action::Navigate(Profile::Walk), "do-navigate-walk", &[]),
    line(Action::Larger, "do-larger", &[(Ctrl, K::Equal), (CtrlShift, K::Equal), (Ctrl, K::NumpadAdd)]),
    line(Action::Smaller, "do-smaller", &[(Ctrl, K::Minus), (Ctrl, K::NumpadSubtract)]),
    line(Action::UsualSize, "do-usual-size", &[(Ctrl, K::Digit0), (Ctrl, K::Numpad0)]),
    line(Action::Language, "do-language", &[(Ctrl, K::KeyL)]),
    line(Action::Theme, "do-theme", &[]),
    line(Action::Palette, "do-palette", &[(Ctrl, K::KeyK)]),
    line(Action::Help, "do-help", &[(No, K::Slash), (No, K::F1)]),
    line(Action::Escape, "do-escape", &[(No, K::Escape)]),
];

/// What goes with a key now.
fn with(keys: &ButtonInput<KeyCode>) -> With {
    // Where frames are slow, a key goes down and up within one.
    let is_down = |key: &KeyCode| keys.pressed(*key) || keys.just_pressed(*key);
    let control = [K::ControlLeft, K::ControlRight, K::SuperLeft, K::SuperRight].iter().any(is_down);
    if [K::AltLeft, K::AltRight].iter().any(is_down) {
        Alt
    } else if control && [K::ShiftLeft, K::ShiftRight].iter().any(is_down) {
        CtrlShift
    } else if control {
        Ctrl
    } else {
        No
    }
}

/// What was asked for by keys since the last frame.
pub fn pressed(keys: &ButtonInput<KeyCode>) -> impl Iterator<Item = Action> {
    let with = with(keys);
    LINES
        .iter()
        .filter(|line| !line.is_held)
        .filter(move |line| line.chords.iter().any(|(needs, key)| *needs == with && keys.just_pressed(*key)))
        .map(|line| line.action)
}

/// 1 while a key of `action` is held, else 0.
pub fn holding(keys: &ButtonInput<KeyCode>, action: Action) -> f64 {
    let with = with(keys);
    let mut lines = LINES.iter().filter(|line| line.is_held && line.action == action);
    let is_held = lines.any(|line| line.chords.iter().any(|(needs, key)| *needs == with && keys.pressed(*key)));
    f64::from(u8::from(is_held))
}

/// What is written on the key.
fn key_name(key: KeyCode) -> &'static str {
    match key {
        K::ArrowUp => "↑",
        K::ArrowDown => "↓",
        K::ArrowLeft => "←",
        K::ArrowRight => "→",
        K::PageUp => "PgUp",
        K::PageDown => "PgDn",
        K::Home => "Home",
        K::Enter => "Enter",
        K::Backspace => "Backspace",
        K::Escape => "Esc",
        K::Slash => "?",
        K::F1 => "F1",
        K::F2 => "F2",
        K::F3 => "F3",
        K::BracketLeft => "[",
        K::BracketRight => "]",
        K::Space => "Space",
        K::Equal => "+",
        K::Backslash => "\\",
        K::Period => ".",
        K::Minus => "-",
        K::Digit0 => "0",
        K::Digit1 => "1",
        K::Digit2 => "2",
        K::Digit3 => "3",
        K::Digit4 => "4",
        K::Digit5 => "5",
        K::Digit6 => "6",
        K::Digit7 => "7",
        K::KeyA => "A",
        K::KeyB => "B",
        K::KeyC => "C",
        K::KeyD => "D",
        K::KeyE => "E",
        K::KeyF => "F",
        K::KeyG => "G",
        K::KeyH => "H",
        K::KeyI => "I",
        K::KeyJ => "J",
        K::KeyK => "K",
        K::KeyL => "L",
        K::KeyM => "M",
        K::KeyN => "N",
        K::KeyO => "O",
        K::KeyP => "P",
        K::KeyQ => "Q",
        K::KeyR => "R",
        K::KeyS => "S",
        K::Comma => ",",
        K::KeyT => "T",
        K::KeyU => "U",
        K::KeyV => "V",
        K::KeyW => "W",
        K::KeyX => "X",
        K::KeyY => "Y",
        K::KeyZ => "Z",
        // The keys of the number block stand beside those that the help names.
        _ => "",
    }
}

/// The name of a chord, such as `Ctrl+K`; empty for one that the help leaves out.
pub fn chord_name((with, key): Chord) -> String {
    let name = key_name(key);
    match with {
        _ if name.is_empty() => String::new(),
        No => name.to_owned(),
        Ctrl => format!("Ctrl+{name}"),
        CtrlShift => format!("Ctrl+Shift+{name}"),
        Alt => format!("Alt+{name}"),
    }
}

/// The lines of the help: keys, and the text of what they do.
pub fn help() -> Vec<(String, &'static str)> {
    let mut rows: Vec<(Vec<&'static Line>, &'static str)> = Vec::new();
    for line in LINES.iter().filter(|line| !line.chords.is_empty()) {
        match rows.iter_mut().find(|(_, text)| *text == line.text) {
            Some((lines, _)) => lines.push(line),
            None => rows.push((vec![line], line.text)),
        }
    }
    rows.into_iter().map(|(lines, text)| (keys_of(&lines), text)).collect()
}

/// The keys of lines that are one line of the help: all of one, the first keys of several and then their second ones.
fn keys_of(lines: &[&Line]) -> String {
    let column = |n: usize| -> Vec<String> {
        lines
            .iter()
            .filter_map(|line| line.chords.get(n))
            .map(|chord| chord_name(*chord))
            .filter(|n| !n.is_empty())
            .collect()
    };
    let shown = |names: Vec<String>| match names.as_slice() {
        [first, .., last] if names.len() > 4 => format!("{first} … {last}"),
        _ => names.join(" "),
    };
    let columns: Vec<String> = (0..2).map(column).filter(|names| !names.is_empty()).map(shown).collect();
    columns.join(" / ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{options::Language, text::Texts};

    fn down(pressed_keys: &[KeyCode]) -> ButtonInput<KeyCode> {
        let mut keys = ButtonInput::default();
        pressed_keys.iter().for_each(|key| keys.press(*key));
        keys
    }

    #[test]
    fn no_two_lines_want_the_same_keys() {
        let mut seen = HashSet::new();
        for line in LINES {
            for chord in line.chords {
                assert!(seen.insert(format!("{chord:?}")), "{chord:?} stands twice");
                let is_of_number_block = format!("{:?}", chord.1).starts_with("Numpad");
                assert!(is_of_number_block || !chord_name(*chord).is_empty(), "{chord:?} has no name");
            }
        }
    }

    #[test]
    fn every_line_has_a_text_in_both_languages() {
        for language in [Language::Zh, Language::En] {
            let texts = Texts::new(language);
            let keys = LINES
                .iter()
                .map(|line| line.text)
                .chain(Profile::ALL.iter().flat_map(|one| one.gestures().iter().flat_map(|(a, b)| [*a, *b])));
            let keys = keys.chain(MeasureKind::ALL.iter().map(|kind| kind.text_key()));
            for key in keys {
                assert!(texts.maybe(key).is_some(), "{key}");
            }
        }
    }

    #[test]
    fn keys_mean_what_the_table_says() {
        let asked = |keys: &[KeyCode]| pressed(&down(keys)).collect::<Vec<_>>();
        assert_eq!(asked(&[K::KeyU]), [Action::Below]);
        assert_eq!(asked(&[K::ShiftLeft, K::Slash]), [Action::Help]);
        assert_eq!(asked(&[K::ControlLeft, K::KeyK]), [Action::Palette]);
        assert_eq!(asked(&[K::KeyK]), [Action::Bookmarks]);
        let mut quick = down(&[K::ControlLeft, K::KeyK]);
        quick.release(K::ControlLeft);
        assert_eq!(pressed(&quick).collect::<Vec<_>>(), [Action::Palette], "released within the frame");
        assert_eq!(asked(&[K::ControlLeft, K::ShiftLeft, K::KeyZ]), [Action::Redo]);
        assert_eq!(asked(&[K::Numpad3]), [Action::Detail(3)]);
        assert_eq!(asked(&[K::AltLeft, K::ArrowLeft]), [Action::CameraBack]);
        assert_eq!(holding(&down(&[K::AltLeft, K::ArrowLeft]), Action::Left), 0.0, "Alt+← is no movement");
        assert_eq!(holding(&down(&[K::ControlLeft, K::KeyD]), Action::Right), 0.0);
        assert_eq!(holding(&down(&[K::KeyD]), Action::Right), 1.0);
    }

    #[test]
    fn the_help_has_one_line_for_what_belongs_together() {
        let help = help();
        let keys = |text: &str| help.iter().find(|(_, t)| *t == text).map(|(keys, _)| keys.as_str());
        assert_eq!(keys("do-move"), Some("W A S D / ↑ ← ↓ →"));
        assert_eq!(keys("do-detail"), Some("1 … 7"));
        assert_eq!(keys("do-redo"), Some("Ctrl+Y / Ctrl+Shift+Z"));
        assert_eq!(keys("do-measure-area"), None, "what has no key is in the palette only");
    }
}
