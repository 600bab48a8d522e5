//! The memory channel: values from any of its senders to any of its receivers.
//!
//! `state` is what the ends share, `ends` what they have in common, `sender` and `receiver` the handles, `error` what can go wrong.

mod ends;
mod error;
mod receiver;
mod sender;
mod state;

pub use ends::{channel, unbounded_channel};
pub use error::{RecvError, SendError, SendErrorKind, TryRecvError, TrySendError};
pub use receiver::Receiver;
pub use sender::Sender;
pub use state::ChannelStatistics;
