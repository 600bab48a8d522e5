//! Actors: async code in processes of their own, called through typed portals, owned by a nursery.
//!
//! An *endpoint* is an async function marked `#[triune::endpoint]`; an *actor* is a process of this very program that serves them. A
//! [`Portal`] calls an endpoint like a function ([`Portal::call`]), or opens a dialog with it ([`Portal::context`]): two linked tasks, one
//! in each process, with typed items both ways. The nursery in which an actor was started stops and reaps it. Two actors whose parent has
//! introduced them ([`introduce()`]) call each other over a link of their own.
//!
//! ```
//! use triune::prelude::*;
//!
//! #[triune::endpoint]
//! async fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! #[triune::main]
//! async fn main() -> Result {
//!     nursery(async |n| {
//!         let actor = n.actor("adder").start().await?; // A process of its own, reaped by this nursery.
//!         assert_eq!(actor.call(add::with(40, 2)).await?, 42);
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//!
//! This crate does not move bytes (`triune-ipc`) and does not start or end processes (`triune-process`).
//!
//! Invariants:
//! 1. **Death is an event.** When an actor's process ends, every wait on it resolves at once as a typed `ActorDied`, and the nursery fails.
//! 2. **A cancel is told apart.** Only the caller's own scope makes a `Cancelled`; a cancelled endpoint is an error on this side. Each
//!    names who cancelled, and why, through any number of processes.
//! 3. **Two linked tasks end together.** See the table in `block.rs`.
//! 4. **No actor outlives its nursery**, and none its parent process, however busy it is.
//!
//! # Layout
//!
//! `registry`, `call`, `failure` and `context` are what `#[endpoint]` expands to; `portal` and `block` are the caller's side; `builder`,
//! `start`, `supervisor` and `shared` own the process; `child` is the other side of all of these, and `settings` what the two agree on.
//! `introduce` and `peer` are the two sides of an introduction.

#![forbid(unsafe_code)]

mod block;
mod builder;
mod call;
mod child;
mod context;
mod dialog;
mod error;
mod exit;
mod failure;
mod identity;
mod introduce;
mod peer;
mod portal;
mod reason;
mod registry;
mod settings;
mod shared;
mod start;
mod supervisor;

pub use builder::{ActorBuilder, NurseryActorExt};
pub use call::{Call, DialogCall};
pub use context::{Context, In, Out, Started};
pub use dialog::{Dialog, DialogReceiver, DialogSender};
pub use error::{
    BothFailed, CallError, Closed, DialogError, IntroduceError, PeerCancelled, PeerEnd, RemoteError,
    StartError, TrySendError,
};
pub use exit::ExitReport;
pub use identity::{current_name, current_path};
pub use introduce::introduce;
pub use peer::{NotIntroduced, Peer, peer, peers};
pub use portal::Portal;
pub use shared::ActorId;
pub use triune_process::{ActorDied, Exit, Ladder, Limits, Output, Phase, StartErrorKind, Stdio};
pub use triune_wire::{Report, ReportKind};

#[doc(hidden)]
pub mod __private {
    //! What `#[triune::endpoint]` expands to; not for direct use, and free to change.

    pub use linkme;

    pub use crate::call::{Call, DialogCall, call, dialog_call};
    pub use crate::context::ContextParts;
    pub use crate::dialog::EndpointDialog;
    pub use crate::failure::{
        Codec, CodecNone, CodecSerde, DescribeAny, DescribeDisplay, DescribeStd, DescribeTriune, ErrorVia,
        Failure, Probe, ResultParts, decode_arguments, finish,
    };
    pub use crate::registry::{ENDPOINTS, Entry, Handled, Handler};
}
