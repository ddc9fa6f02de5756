//! A city in a bucket (对象存储), and its copy on this machine.
//!
//! ```text
//! reading   open_file ─► in the copy? ─► else: fetch whole, check size and hash, rename into the copy
//! writing   a version is made in the copy as in any folder ─► new files ─► manifest and report under the manifest's hash
//!           ─► city.json, by a put that succeeds only where it is still the one the version began from
//!           ─► manifest and report under their number
//! ```
//!
//! Nothing that others read changes before `city.json` does, and that changes at once or not at all. Manifest and report get their
//! numbered names only then, since two imports at once would both write them; who meets a version whose numbered manifest is not there yet
//! (its import died in that moment) finds it under its hash, and the next import puts it right.

mod copy;
mod publish;
mod remote;
mod room;

pub use copy::cache_folder;
pub(crate) use copy::{BucketCity, copy_folder};
pub(crate) use publish::News;
pub(in crate::store) use remote::run;
