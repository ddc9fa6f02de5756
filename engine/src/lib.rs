//! The city: what it is made of (`model`), where it lies (`crs`), how it is cut into tiles (`tile`),
//! kept on disk (`store`), asked (`query`), kept alive (`live`) and handed out (`serve`).
//!
//! Two paths run through this crate:
//!
//! ```text
//! CityObject ─► tile::Tiler ─► store::Draft ─► city folder ─► serve
//! Reading    ─► live::LiveState ─► alarm ─► overlay
//! ```
//!
//! The engine knows no source format, no GPU and no window.

pub mod check;
pub mod crs;
pub mod fault;
pub mod live;
pub mod model;
pub mod query;
pub mod serve;
pub mod store;
pub mod tile;
