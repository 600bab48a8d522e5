//! The cookie of the process tree: one text that every descendant inherits in `TRIUNE_TREE`.
//!
//! By it, a sweep (or a test) recognises processes that have escaped from the parent-child relation.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

use crate::{marker, sys};

/// The cookie of this tree: inherited, or made when first asked for. Begins with the root's pid and start time
/// (`pid-ticks-random`), so that a root can recognise its own descendants.
///
/// ```
/// let cookie = triune_process::tree_cookie();
/// assert!(cookie.starts_with(&format!("{}-", std::process::id())) || std::env::var_os("TRIUNE_TREE").is_some());
/// assert_eq!(cookie, triune_process::tree_cookie());
/// ```
#[must_use]
pub fn tree_cookie() -> &'static str {
    static COOKIE: OnceLock<String> = OnceLock::new();
    COOKIE.get_or_init(|| match std::env::var(marker::TREE) {
        Ok(inherited) if !inherited.is_empty() => inherited,
        _ => format!("{}-{}-{:016x}", std::process::id(), sys::start_time().unwrap_or(0), random()),
    })
}

/// A number that differs from call to call and from process to process. Not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
