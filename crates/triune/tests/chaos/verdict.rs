//! How a round may end: well, or with errors of the known types.

use std::fmt;

use triune::actor::{ActorDied, BothFailed, CallError, DialogError, StartError};
use triune::worker::RunError;
use triune::{Cancelled, Error, Timeout};

/// An answer that is not the right one: only a corrupted link may give it.
#[derive(Debug)]
pub(crate) struct Wrong(&'static str);

impl Wrong {
    pub(crate) const fn new(what: &'static str) -> Wrong {
        Wrong(what)
    }

    pub(crate) fn unless_equal(answer: u64, expected: u64) -> Result<(), Wrong> {
        if answer == expected { Ok(()) } else { Err(Wrong("the answer is wrong")) }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Wrong {}

/// Every error of the round is of a known type; wrong answers only where a link may lie.
///
/// # Panics
///
/// If not.
pub(crate) fn check(result: &triune::Result, may_lie: bool, hint: &str) {
    let Err(error) = result else { return };
    let group = error.group().unwrap_or_else(|| panic!("a nursery raises a group, not {error:?}; {hint}"));
    for error in group.flatten() {
        assert!(is_known(error), "an error of an unknown type: {error:?}; {hint}");
        // The items of an endpoint that fails may end before its failure is heard.
        assert!(
            may_lie || !error.is::<Wrong>() || error.is::<BothFailed>(),
            "a wrong answer on a link that does not lie: {error:?}; {hint}"
        );
    }
}

fn is_known(error: &Error) -> bool {
    error.is_timeout()
        || error.is_cancelled()
        || error.is::<Wrong>()
        || error.is::<ActorDied>()
        || error.is::<StartError>()
        || error.is::<CallError>()
        || error.is::<CallError<Error>>()
        || error.is::<DialogError>()
        || error.is::<RunError>()
        || error.is::<Cancelled>()
        || error.is::<Timeout>()
}
