//! The identity of this executable, by which two processes know that they speak the same build.

use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use crate::sys;

/// The identity of the running executable: the same in a parent and its re-executed children, another one after a rebuild.
///
/// Made from the size and the modification time of the running file (not of what may have replaced it on disk) and the
/// version of triune.
///
/// ```
/// use triune_process::build_id;
///
/// assert_eq!(build_id(), build_id(), "it does not change while the program runs");
/// assert_ne!(build_id(), [0; 16]);
/// ```
#[must_use]
pub fn build_id() -> [u8; 16] {
    static ID: OnceLock<[u8; 16]> = OnceLock::new();
    *ID.get_or_init(|| {
        // Without /proc both sides fall back to the version alone: a weaker check, not a false alarm.
        let (size, seconds, nanos) =
            sys::image_metadata().map_or((0, 0, 0), |file| (file.size(), file.mtime(), file.mtime_nsec()));
        let half = |salt: u8| {
            // Fixed keys: the same input gives the same value in every process of one build.
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            hasher.write_u64(size);
            hasher.write_i64(seconds);
            hasher.write_i64(nanos);
            hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
            hasher.finish()
        };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&half(0).to_le_bytes());
        id[8..].copy_from_slice(&half(1).to_le_bytes());
        id
    })
}
