//! `race`, `join`, `as_completed`: futures side by side, whose losers are cancelled *and* waited for.
//!
//! Each is a nursery whose children are the branches: it borrows what they borrow, it is `Send` if they are, and
//! errors, panics and cancels are those of any nursery. What a branch gives goes into an [`inbox::Inbox`].

mod functions;
mod group;
mod inbox;
mod lists;
mod tuples;

pub use functions::{Join, Race, as_completed, join, race};
pub use inbox::Completed;
