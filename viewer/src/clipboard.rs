//! The system's clipboard, for views as text and for the text fields of the panels.

use std::cell::RefCell;

use bevy::prelude::*;
use bevy_egui::{
    EguiOutput, PrimaryEguiContext, egui,
    input::{EguiInputEvent, EguiWantsInput},
};

thread_local! {
    // The clipboard of X11 is served by whoever copied, for as long as it lives; it is made on the thread that asks.
    static CLIPBOARD: RefCell<Option<arboard::Clipboard>> = const { RefCell::new(None) };
}

fn with<T>(act: impl FnOnce(&mut arboard::Clipboard) -> Result<T, arboard::Error>) -> Result<T, String> {
    CLIPBOARD.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(arboard::Clipboard::new().map_err(|error| error.to_string())?);
        }
        let Some(clipboard) = slot.as_mut() else { return Err("there is no clipboard".into()) };
        act(clipboard).map_err(|error| error.to_string())
    })
}

/// Puts `text` there.
pub fn copy(text: &str) -> Result<(), String> {
    with(|clipboard| clipboard.set_text(text))
}

/// The text that is there.
pub fn paste() -> Result<String, String> {
    with(arboard::Clipboard::get_text)
}

/// Copies what was copied in text fields, and gives them what is pasted.
pub fn serve_fields(
    keys: Res<ButtonInput<KeyCode>>,
    wants: Res<EguiWantsInput>,
    contexts: Query<(Entity, &EguiOutput), With<PrimaryEguiContext>>,
    mut events: MessageWriter<EguiInputEvent>,
) {
    let Ok((context, output)) = contexts.single() else { return };
    for command in &output.platform_output.commands {
        if let egui::OutputCommand::CopyText(text) = command
            && let Err(reason) = copy(text)
        {
            tracing::warn!("the clipboard cannot be reached: {reason}");
        }
    }
    let has_control =
        keys.any_pressed([KeyCode::ControlLeft, KeyCode::ControlRight, KeyCode::SuperLeft, KeyCode::SuperRight]);
    if wants.wants_keyboard_input()
        && has_control
        && keys.just_pressed(KeyCode::KeyV)
        && let Ok(text) = paste()
    {
        events.write(EguiInputEvent { context, event: egui::Event::Paste(text) });
    }
}
