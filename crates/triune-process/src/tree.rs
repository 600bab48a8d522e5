//! The cookie of the process tree: one text that every descendant inherits in `TRIUNE_TREE`.
//!
//! By it, a sweep (or a test) recognises processes that have escaped from the parent-child relation.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{marker, sys};

/// How many cookies of trees around this one are kept.
const MAX_AROUND: usize = 8;

/// The cookie of this tree: that of the root, made when first asked for. It begins with the root's pid and start time
/// (`pid-ticks-random`), so that a root can recognise its own descendants. Where a program with a tree of its own
/// runs beneath another tree, the cookies stand beside each other, the outermost first, with commas between.
///
/// ```
/// let cookie = triune_process::tree_cookie();
/// assert!(cookie.rsplit(',').next().unwrap().starts_with(&format!("{}-", std::process::id())));
/// assert_eq!(cookie, triune_process::tree_cookie());
/// ```
#[must_use]
pub fn tree_cookie() -> &'static str {
    static COOKIE: OnceLock<String> = OnceLock::new();
    COOKIE.get_or_init(|| {
        let inherited = std::env::var(marker::TREE).unwrap_or_default();
        if IS_CHILD.load(Ordering::Relaxed) && !inherited.is_empty() {
            return inherited;
        }
        let around: Vec<&str> = inherited.split(',').filter(|cookie| !cookie.is_empty()).collect();
        let around = &around[around.len().saturating_sub(MAX_AROUND)..];
        let start = sys::start_time(std::process::id()).unwrap_or(0);
        let own = format!("{}-{start}-{:016x}", std::process::id(), random());
        around.iter().copied().chain([own.as_str()]).collect::<Vec<_>>().join(",")
    })
}

/// Whether this process was started by a process of the tree.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// This process is a child: it has the cookie of its root.
pub(crate) fn is_child() {
    IS_CHILD.store(true, Ordering::Relaxed);
}

/// The environment of this process, as `KEY=value`, for a child.
pub(crate) fn environment() -> Vec<OsString> {
    let entries = std::env::vars_os().map(|(mut entry, value)| {
        entry.push("=");
        entry.push(value);
        entry
    });
    entries.collect()
}

/// A number that differs from call to call and from process to process. Not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
