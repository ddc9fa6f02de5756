//! A graphics device that is lost: unplugged, reset by the driver, or out of memory.
//!
//! Bevy can make a new device, but meshes of tiles live on the old one alone, so the picture would come back without
//! the city. The viewer ends instead, with a line that says so; nothing is lost by that.

use bevy::{
    prelude::*,
    render::error_handler::{ErrorType, RenderErrorHandler, RenderErrorPolicy},
};

/// With what the window ends when its device is lost.
pub const EXIT_CODE: u8 = 69;

/// Why the device draws no more.
#[derive(Resource, Clone, Debug)]
pub struct Loss(pub String);

/// Notes why, and ends the app where it runs by itself.
pub fn handler() -> RenderErrorHandler {
    RenderErrorHandler(|error, world, _| {
        let why = match error.ty {
            ErrorType::DeviceLost => "the device is gone",
            ErrorType::OutOfMemory => "its memory is full",
            ErrorType::Validation => "it refuses what it is given",
            ErrorType::Internal => "its driver failed",
        };
        let detail = error.description.lines().next().unwrap_or_default().trim();
        let reason = if detail.is_empty() { why.to_owned() } else { format!("{why} ({detail})") };
        world.insert_resource(Loss(reason));
        world.write_message(AppExit::from_code(EXIT_CODE));
        RenderErrorPolicy::StopRendering
    })
}
