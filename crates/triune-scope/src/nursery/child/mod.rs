//! One child.
//!
//! * [`handle`]: [`Child`], which waits for its value;
//! * [`cell`]: what the handle and the child share;
//! * [`runner`]: the future that runs it;
//! * [`ended`]: how it ended, for the nursery.

mod cell;
mod ended;
mod handle;
mod runner;

pub(super) use ended::{Ended, Failure, Finished, Kind, absorb};
pub use handle::Child;
pub(super) use runner::Runner;
