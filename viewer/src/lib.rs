//! The Bevy window on the city, and the same picture without a window.
//!
//! ```text
//! city folder ─► engine::tile::select ─► stream (threads) ─► content ─► scene ─► window / snapshot
//! LiveState ─► badge ─► overlay
//! ```
//!
//! The viewer owns no truth: close it and nothing is lost. City positions are f64; they become f32 in one place,
//! [`origin`]. Everything that is drawn goes through one shader (`shaders/city.wgsl`) and the sky's
//! (`shaders/sky.wgsl`), so that a software driver shows the first whole picture soon.

mod ahead;
pub mod annotation;
mod attribute;
mod badge;
mod bare;
pub mod bookmark;
mod budget;
pub mod bulk;
pub mod camera;
mod cap;
mod circuit;
pub mod city;
mod classes;
mod clipboard;
mod colouring;
pub mod comparison;
mod comparison_panel;
pub mod content;
mod cut;
mod cut_panel;
mod date;
mod daylight;
mod desk;
mod desk_panel;
mod detail;
mod dissolve;
mod draw_count;
mod drawn_part;
mod driver;
mod edges;
mod facade_picture;
mod fade;
mod failure;
mod feature_table;
mod field;
mod finder;
mod flag;
pub mod glb;
mod hand;
mod hidden;
mod history;
mod indoors;
mod key;
mod label;
mod legend;
mod loader;
mod look;
mod lookup;
mod loss;
mod mark;
mod material;
pub mod measure;
mod mesh;
mod navigation;
mod network;
pub mod options;
pub mod origin;
mod other_pass;
mod other_side;
mod overlay;
mod pace;
mod palette;
mod panel;
#[cfg(test)]
mod panel_test;
mod patrol;
pub mod peel;
mod peel_panel;
pub mod pick;
mod plane;
mod preference;
mod print;
mod profile;
pub mod ramp;
mod relief;
mod relief_pass;
mod renewal;
mod ruler;
mod scene;
mod sea;
mod selection;
mod settings_panel;
mod sheet;
mod shelf;
mod sift;
mod sleeve;
mod snap;
mod snapshot;
mod soil;
pub mod solid;
mod stream;
mod style;
pub mod sun;
mod sun_panel;
mod table;
mod table_panel;
mod text;
mod theme;
mod tile_content;
mod tile_part;
mod time_bar;
mod touch;
pub mod tour;
mod tour_panel;
mod trail;
pub mod trench;
mod under;
mod validity;
mod view_state;
pub mod view_string;
mod window;

use std::path::PathBuf;

pub use camera::{CameraChoice, CameraPose};
pub use circuit::PARTS;
pub use comparison::Manner;
pub use cut::{Cut, CutError, Cuts};
pub use draw_count::DrawCount;
pub use driver::check as check_driver;
pub use label::Labels;
pub use loss::GoOn;
pub use options::{FilmReport, Language, LayerChoice, SceneOptions, SnapshotOptions, SnapshotReport, ViewOptions};
pub use pace::Pace;
pub use patrol::{PatrolOptions, PatrolReport, patrol};
pub use peel::Peel;
pub use profile::Profile;
pub use relief::Relief;
pub use sheet::Sheet;
pub use snapshot::{film, picture, snapshot};
pub use style::Style;
pub use sun::Moment;
pub use theme::Theme;
pub use validity::ValidTime;
pub use window::view;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The city cannot be opened or read.
    #[error(transparent)]
    Store(#[from] groundline_engine::store::StoreError),
    /// The disk said no.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// A tileset is not what it should be.
    #[error("{path}: {reason}")]
    Tileset {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No graphics driver.
    #[error(
        "no graphics driver found: install libvulkan1 and a Vulkan driver for your card; \
         without a card mesa-vulkan-drivers renders in software (apt-get install libvulkan1 mesa-vulkan-drivers)"
    )]
    NoDriver,
    /// No display to open a window on.
    #[error("no display: neither DISPLAY nor WAYLAND_DISPLAY is set; `groundline snapshot` works without one")]
    NoDisplay,
    /// A size that cannot be rendered.
    #[error("a picture of {width} x {height} pixels cannot be rendered")]
    Size {
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
    },
    /// Objects cannot be coloured by what was asked for.
    #[error("colour by attribute: {0}")]
    Colours(String),
    /// What was to be taken off is not there.
    #[error("peel: {0}")]
    Peel(String),
    /// The times of the city's objects cannot be read.
    #[error("the city is shown at no other time than now: {0}")]
    Time(String),
    /// A shader does not compile on this driver.
    #[error("a shader does not compile on this driver: {0}")]
    Shader(String),
    /// The picture did not get ready in time.
    #[error("no whole picture after {seconds} s; still waiting for {waiting}")]
    Timeout {
        /// Seconds waited.
        seconds: f64,
        /// For what.
        waiting: String,
    },
    /// The driver did not give the picture back.
    #[error("the picture could not be read back from the driver: {0}")]
    ReadBack(String),
    /// The picture could not be written.
    #[error("{path}: {reason}")]
    Png {
        /// File.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// A tour that cannot be flown.
    #[error("{0}")]
    Tour(String),
    /// The graphics device draws no more.
    #[error("the graphics device is lost: {0}")]
    Lost(String),
    /// The window ended with an error.
    #[error("the window ended with code {0}")]
    Ended(u8),
}
