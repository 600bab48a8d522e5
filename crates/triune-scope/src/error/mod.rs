//! Errors: one concrete [`Error`], groups of them, and the leaf errors of this crate.
//!
//! # Invariants
//!
//! 1. An error owns text, numbers and leaf errors; it holds no handle on a task, a scope or a nursery.
//! 2. A group owns its members and nothing points back, so errors cannot form cycles.
//! 3. What is a cancel is told by the type [`Cancelled`] in the chain of sources *and* by the state of the scope;
//!    a cancel of a scope never appears as a member of that scope's group.

mod cancelled;
mod child;
mod group;
mod interop;
mod moved;
mod not_started;
mod panic;
mod source;
mod timeout;
mod value;

pub use cancelled::Cancelled;
pub use child::{ChildError, ChildErrorKind, ReportedBy};
pub use group::{ErrorGroup, Member};
pub use interop::NurseryError;
pub use moved::NurseryMoved;
pub use not_started::NotStarted;
pub use panic::PanicError;
pub(crate) use panic::discard;
pub use timeout::Timeout;
pub use value::{Chain, Context, Error, Result};
