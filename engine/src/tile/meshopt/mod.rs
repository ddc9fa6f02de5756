//! Compressed views of tiles: the bit streams of `EXT_meshopt_compression`.
//!
//! Tiles are written with it, the viewer and the importers read it. Written after the text of the extension (Khronos glTF
//! repository, appendices A and B); readers in browsers and other engines have their own decoders.

mod decode;
mod encode;

pub use decode::Packed;
pub(super) use encode::{Filter, triangles, vertices};
