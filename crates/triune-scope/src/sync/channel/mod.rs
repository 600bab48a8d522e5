//! The memory channel: values from any of its senders to any of its receivers.
//!
//! `state` is what the ends share, `ends` the two handles, `error` what can go wrong.

mod ends;
mod error;
mod state;

pub use ends::{Receiver, Sender, channel, unbounded_channel};
pub use error::{RecvError, SendError, SendErrorKind, TryRecvError, TrySendError};
pub use state::ChannelStatistics;
