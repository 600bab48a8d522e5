//! Where this process stands in the tree of actors.
//!
//! The path of the root is `/`; an actor `a` started by it is `/a`, and one that `/a` starts is `/a/b`.

use std::sync::OnceLock;

static PATH: OnceLock<String> = OnceLock::new();

/// The path of this process in the tree: `/` in the root, `/ledger` in an actor that the root started as `ledger`.
///
/// ```
/// assert_eq!(triune_actor::current_path(), "/");
/// ```
pub fn current_path() -> &'static str {
    PATH.get().map_or("/", String::as_str)
}

/// The name of this actor, the last part of its path; `None` in the root.
///
/// ```
/// assert_eq!(triune_actor::current_name(), None);
/// ```
pub fn current_name() -> Option<&'static str> {
    current_path().rsplit('/').next().filter(|name| !name.is_empty())
}

/// The path of the actor, or the root, that started this one.
pub(crate) fn parent_path() -> &'static str {
    match current_path().rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((parent, _)) => parent,
    }
}

/// Called once, when this process becomes an actor.
pub(crate) fn become_actor(path: String) {
    // A second call could only come from a second boot in one process, which the entry rules out; the first path stays.
    PATH.get_or_init(|| path);
}

/// The path of an actor that this process starts.
pub(crate) fn child_path(name: &str) -> String {
    format!("{}/{name}", current_path().trim_end_matches('/'))
}
