//! How links, calls and dialogs end.
//!
//! * [`connect`]: no link was opened; [`link`]: one has ended, perhaps by a fault of the other side;
//! * [`call`]: a request has no result; [`send`]: an item was not sent.
//!
//! All but the first are cheap to clone, because one end of a link has to be told to each wait on it.

mod call;
mod connect;
mod link;
mod send;

pub use call::CallEnd;
pub use connect::ConnectError;
pub use link::{LinkEnd, ProtocolError};
pub use send::{SendError, SendErrorKind};
