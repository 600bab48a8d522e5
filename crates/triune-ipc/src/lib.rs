//! One connection of triune: link, multiplexer, credits, calls and dialogs

mod config;
mod error;
mod skeleton;
pub mod blocking;

pub use config::Config;
pub use error::{CallEnd, ConnectError, LinkEnd, ProtocolError, SendError, SendErrorKind};
pub use skeleton::*;
