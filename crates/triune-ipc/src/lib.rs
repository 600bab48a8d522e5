//! One connection between two processes of triune: link, multiplexer, credits, calls and dialogs.
//!
//! [`connect`] shakes hands over a Unix socket and gives three things: the [`Link`], through which this side
//! makes requests; [`Incoming`], from which it takes the requests of the other side; and the [`Driver`], one
//! future that moves the bytes and must be polled by its owner. [`blocking::Server`] is the other side of a
//! worker: it serves calls without a runtime.
//!
//! The crate moves bytes: what a target is and how arguments are encoded is up to the crates above, and so
//! is cancellation by scopes. All futures here are plain; dropping one is always safe. No task is spawned.
//!
//! Promises:
//! 1. Every request gets exactly one terminal frame: a result, a [`Report`](triune_wire::Report), or the
//!    news that its handler went away.
//! 2. Dropping a request cancels it over there. A cancel never waits behind queued data.
//! 3. When the link ends, every wait on it ends at once and is told how.
//! 4. Everything that a peer can make this side hold is bounded by the
//!    [`Limits`](triune_wire::Limits) that this side announced; a peer that goes beyond loses its link.
//!
//! ```
//! use bytes::Bytes;
//! use triune_ipc::{Config, Request, connect};
//! use triune_wire::{BuildId, Hello};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (one, other) = std::os::unix::net::UnixStream::pair()?;
//! let config = |role| Config::new(Hello::new(BuildId::new([7; 16]), role, "example"));
//! let (caller, callee) = tokio::try_join!(connect(one, config("root")), connect(other, config("actor")))?;
//! let (link, driver, _incoming) = caller;
//! let (_link, other_driver, mut incoming) = callee;
//!
//! let serve = async {
//!     while let Some(request) = incoming.recv().await {
//!         if let Request::Call(call) = request {
//!             let answer = call.args.to_ascii_uppercase();
//!             call.responder.reply(answer);
//!         }
//!     }
//! };
//! let ask = async {
//!     let answer = link.call(0, Bytes::from_static(b"hello")).await;
//!     link.goodbye();
//!     answer
//! };
//! let (answer, (), _, _) = tokio::join!(ask, serve, driver.run(), other_driver.run());
//! assert_eq!(&answer?[..], b"HELLO");
//! # Ok(())
//! # }
//! ```

pub mod blocking;

mod beside;
mod call;
mod calls;
mod config;
mod dialog;
mod driver;
mod error;
mod handshake;
mod heartbeat;
mod incoming;
mod intake;
mod introduction;
mod link;
mod mux;
mod reader;
mod socket;
mod typed;
mod writer;

pub use call::PendingCall;
pub use calls::PendingCalls;
pub use config::{Config, Heartbeat};
pub use dialog::{DialogReceiver, DialogSender, PendingDialog};
pub use driver::Driver;
pub use error::{CallEnd, ConnectError, LinkEnd, ProtocolError, SendError, SendErrorKind};
pub use handshake::connect;
pub use incoming::{Cancelled, Incoming, IncomingCall, IncomingDialog, Request, Responder};
pub use introduction::{Introduction, introduce};
pub use link::{CallOptions, Link};
pub use typed::{RecvError, TypedCallError, TypedReceiver, TypedSendError, TypedSender};
