//! A graphics device that is lost: unplugged, reset by its driver, or out of memory.
//!
//! Meshes of tiles, fonts and pictures live on the device alone, so a new device in the same window would draw an empty city; and what is
//! under way when a device goes panics in the graphics library. Either way the window hands its view over as one line of text, noted every
//! second, to whoever opened it, who opens it again with that view.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bevy::{
    prelude::*,
    render::error_handler::{ErrorType, RenderErrorHandler, RenderErrorPolicy},
    time::common_conditions::on_timer,
};

use crate::{ViewError, scene::SceneSet, view_state::Showing, view_string};

/// With what the window ends when its device is lost.
const EXIT_CODE: u8 = 69;

/// What goes on with a view after a loss; comes back only where that cannot be done.
pub type GoOn = fn(reason: &str, view: &str);

/// The reason of a loss, and the view that was noted last.
static NOTE: Mutex<(Option<String>, String)> = Mutex::new((None, String::new()));

/// The error that the window ended with.
pub fn error(code: u8) -> ViewError {
    let note = NOTE.lock().unwrap_or_else(PoisonError::into_inner);
    match &note.0 {
        Some(reason) => ViewError::Lost(reason.clone()),
        None => ViewError::Ended(code),
    }
}

/// Goes on elsewhere when the device is lost.
pub fn watch(app: &mut App, go_on: Option<GoOn>) {
    app.insert_resource(RenderErrorHandler(|error, world, _| {
        let why = match error.ty {
            ErrorType::DeviceLost => "the device is gone",
            ErrorType::OutOfMemory => "its memory is full",
            ErrorType::Validation => "it refuses what it is given",
            ErrorType::Internal => "its driver failed",
        };
        let detail = error.description.lines().next().unwrap_or_default().trim();
        let reason = if detail.is_empty() { why.to_owned() } else { format!("{why} ({detail})") };
        NOTE.lock().unwrap_or_else(PoisonError::into_inner).0.get_or_insert(reason);
        world.write_message(AppExit::from_code(EXIT_CODE));
        RenderErrorPolicy::StopRendering
    }));
    let note = |showing: Showing| {
        NOTE.lock().unwrap_or_else(PoisonError::into_inner).1 = view_string::write(&showing.scene());
    };
    app.add_systems(Update, note.after(SceneSet::Scene).run_if(on_timer(Duration::from_secs(1))));
    let Some(go_on) = go_on else { return };
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_of_graphics = panic.location().is_some_and(|place| is_of_graphics(place.file()));
        if is_of_graphics && let Ok(note) = NOTE.try_lock() {
            let (reason, view) = note.clone();
            drop(note);
            if !view.is_empty() {
                go_on(&reason.unwrap_or_else(|| "what was under way could not be drawn".into()), &view);
            }
        }
        before(panic);
    }));
    #[cfg(debug_assertions)]
    if let Some(after_s) = trial::seconds() {
        app.insert_resource(trial::Trial(after_s)).add_systems(Update, trial::lose);
    }
}

/// After the window has ended by a loss.
pub fn go_on_after(go_on: Option<GoOn>) {
    let (reason, view) = NOTE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let (Some(go_on), Some(reason)) = (go_on, reason)
        && !view.is_empty()
    {
        go_on(&reason, &view);
    }
}

/// Whether a source file is one of the graphics library.
fn is_of_graphics(file: &str) -> bool {
    file.split(['/', '\\']).any(|part| part.starts_with("wgpu"))
}

/// In a build with debug assertions the device is lost when a test says so: `GROUNDLINE_FAULT=device=SECONDS`.
#[cfg(debug_assertions)]
mod trial {
    use bevy::{prelude::*, render::renderer::RenderDevice};
    use groundline_engine::fault::VARIABLE;

    #[derive(Resource)]
    pub struct Trial(pub f32);

    pub fn seconds() -> Option<f32> {
        std::env::var(VARIABLE).ok()?.split(',').find_map(|word| word.strip_prefix("device=")?.parse().ok())
    }

    pub fn lose(trial: Res<Trial>, time: Res<Time<Real>>, device: Res<RenderDevice>, mut is_done: Local<bool>) {
        if !*is_done && time.elapsed_secs() > trial.0 {
            *is_done = true;
            device.wgpu_device().destroy();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_panics_of_graphics_are_losses() {
        assert!(is_of_graphics("/root/.cargo/registry/src/x/wgpu-29.0.4/src/backend/wgpu_core.rs"));
        assert!(is_of_graphics("C:\\x\\wgpu-hal-29\\src\\vulkan.rs"));
        assert!(!is_of_graphics("viewer/src/stream.rs") && !is_of_graphics("/home/my-wgpu/a.rs"));
    }
}
