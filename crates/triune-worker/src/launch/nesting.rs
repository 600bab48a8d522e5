//! How deep pools may be nested: a job may have workers of its own, whose jobs may have some, and so on.
//!
//! A job that opens a pool for itself without an end would otherwise fill the machine with processes. Each worker is told how
//! deep it is by a variable, which also reaches it through programs of others.

use std::io;

use triune_process::{Spec, StartError};

/// How many workers may stand above one another.
const MOST: u32 = 8;

const VARIABLE: &str = "TRIUNE_WORKER_DEPTH";

/// How many workers stand above this process, itself included.
fn own() -> u32 {
    std::env::var(VARIABLE).ok().and_then(|depth| depth.parse().ok()).unwrap_or(0)
}

/// One deeper than this process, unless that is too deep.
pub(super) fn deeper(spec: Spec, name: &str) -> Result<Spec, StartError> {
    let depth = own();
    if depth < MOST {
        return Ok(spec.env(VARIABLE, (depth + 1).to_string()));
    }
    let why = format!(
        "this process is a worker within {depth} others, and pools are nested no deeper; \
         do the job here, or give the jobs of all levels to the outermost pool"
    );
    Err(StartError::spawn(name, io::Error::other(why)))
}
