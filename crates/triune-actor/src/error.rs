//! How calls, dialogs and starts fail.
//!
//! Owns the error types of the crate. Three things are kept apart everywhere: that the *own* scope was cancelled (only that is a
//! [`Cancelled`], which the scope absorbs), that the *other side* was cancelled (an error like any other here), and that the process at
//! the other end is gone.

mod call;
mod dialog;
mod introduce;
mod remote;
mod start;
#[cfg(test)]
mod tests;

pub use call::{CallError, Closed};
pub use dialog::{BothFailed, DialogError, TrySendError};
pub use introduce::IntroduceError;
pub use remote::{PeerCancelled, PeerEnd, RemoteError};
pub use start::StartError;
