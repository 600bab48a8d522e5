//! Structured concurrency from a task to a process: one nursery, three kinds of child.
//!
//! | child | what it is | how |
//! |---|---|---|
//! | **task** | async code in this process; may borrow from its parent, or run on another core | [`Nursery::spawn`], [`Nursery::spawn_task`] |
//! | **worker job** | a synchronous, CPU-bound function in a cached, killable process | [`job`], [`worker::run`], `n.run_in_worker(..)` |
//! | **actor** | async code in a process of its own, spoken to through typed calls and dialogs | [`endpoint`], `n.actor("name")`, [`actor`] |
//!
//! One tree, one cancellation, one error report. When a nursery returns, nothing that it started is alive: no task,
//! no process. That holds after an error, a panic, a cancel, a Ctrl-C, and after `kill -9` of any process.
//!
//! ```
//! use triune::prelude::*;
//!
//! #[triune::job]
//! fn square(number: u64) -> u64 {
//!     number * number
//! }
//!
//! #[triune::endpoint]
//! async fn greet(name: String) -> Result<String> {
//!     Ok(format!("hello {name}, this is process {}", std::process::id()))
//! }
//!
//! #[triune::main]
//! async fn main() -> Result {
//!     let names = ["a".to_owned(), "b".to_owned()];
//!     nursery(async |n| {
//!         let actor = n.actor("greeter").start().await?;
//!         let squared = n.run_in_worker(square::with(12));
//!         for name in &names {
//!             let actor = actor.clone();
//!             n.spawn(async move {
//!                 assert!(actor.call(greet::with(name.clone())).await?.starts_with("hello"));
//!                 Ok(())
//!             });
//!         }
//!         assert_eq!(squared.await?, 144);
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//!
//! # The entry
//!
//! Workers and actors are this program, started again. So a program must let triune look first whether it is such a
//! child, before it does anything else. There are four ways, and one is enough:
//!
//! * [`#[triune::main]`](main) on `async fn main`: also brings the runtime, signals and exit codes;
//! * [`triune::init()`](init) as the first statement of a `main` of your own, also inside `#[tokio::main]`;
//! * [`#[triune::test]`](test) on async tests: the test binary serves as the children's program;
//! * the feature `auto-init`: a constructor that runs before `main`, for programs whose `main` you do not own.
//!
//! A program that starts a child without any of these gets an error that says so.
//!
//! # Exit codes of `#[triune::main]`
//!
//! 0 after `Ok`, 1 after an error (its report goes to standard error), 101 after a panic, 128 plus the number after a
//! signal: the first SIGINT, SIGTERM or SIGHUP cancels the program gracefully, the second kills all its children. A program
//! that wants a signal for itself opens a receiver: [`open_signal_receiver`].
//!
//! # Time in tests
//!
//! `#[triune::test(start_paused = true)]` stops tokio's clock, and with it every deadline and [`sleep`]: it stands still while
//! something can run, and then jumps to the next timer. It needs the feature `test-util`, to be put under
//! `[dev-dependencies]`.
//!
//! # Guide
//!
//! [`guide`]: cancellation from the beginning, what a worker may use and touch, when to use a worker instead of a thread, workers
//! in another program, and what the names of Trio, trio-parallel and tractor are called here.
//!
//! # Glossary
//!
//! * *nursery*: the place where children start, which does not return before they have ended.
//! * *scope*: a region of code that is cancelled as a whole ([`CancelScope`]).
//! * *soft* and *hard* stop: an await of triune returns [`Cancelled`] and the code unwinds; what stays parked in a
//!   foreign await is dropped.
//! * *shield*: code that a cancel from outside does not reach ([`shield`], [`shield_unbounded`]).
//! * *daemon*: a service child that ends when its nursery has nothing else left ([`Nursery::daemon`]).
//! * *run*: one program run on one tokio runtime; it owns what no nursery can ([`Run`]).
//! * *portal*: the way to an actor ([`actor::Portal`]); *dialog*: an open stream of items in both directions.
//! * *guardian*: the small process that is the parent of all others of a tree and sweeps what they leave ([`containment()`]).
//! * *ladder*: how a process is ended: cancel message, grace, SIGTERM, grace, SIGKILL, reaped.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub mod guide;

pub use triune_actor as actor;
/// An async function that actors serve.
///
/// ```
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let actor = n.actor("adder").start().await?;
///         assert_eq!(actor.call(add::with(40, 2)).await?, 42);
///         assert_eq!(add(1, 2).await, 3); // the function is still there
///         Ok(())
///     })
///     .await
/// }
/// ```
pub use triune_macros::endpoint;
/// A synchronous function for worker processes.
///
/// ```
/// use triune::prelude::*;
/// use triune::worker;
///
/// #[triune::job]
/// fn parse(text: String) -> Result<u32, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     assert_eq!(worker::run(parse::with("7".to_owned())).await?, 7);
///     assert!(worker::run(parse::with("x".to_owned())).await.is_err_and(|error| error.is_app()));
///     assert_eq!(parse("8".to_owned())?, 8); // the function is still there
///     Ok(())
/// }
/// ```
pub use triune_macros::job;
/// The entry of a program that uses triune.
///
/// ```
/// use triune::prelude::*;
///
/// #[triune::main(flavor = "current_thread")]
/// async fn main() -> Result {
///     let twice = nursery(async |n| n.spawn(async { Ok(21 * 2) }).await).await?;
///     assert_eq!(twice, 42);
///     Ok(())
/// }
/// ```
pub use triune_macros::main;
/// An async test of code that uses triune.
///
/// ```
/// #[triune::job]
/// fn square(number: u64) -> u64 {
///     number * number
/// }
///
/// #[triune::test]
/// async fn a_job_runs_in_a_worker() -> triune::Result {
///     assert_eq!(triune::worker::run(square::with(12)).await?, 144);
///     Ok(())
/// }
/// ```
pub use triune_macros::test;
pub use triune_process::{
    Containment, ContainmentInForce, ContainmentReport, Hold, Signal, SignalReceiver, SignalReceiverError,
    SignalRecvError, UnknownContainment, containment, containment_report, hold, init, is_held,
    open_signal_receiver, set_containment,
};
pub use triune_scope::blocking::{self, Blocking};
pub use triune_scope::{
    Activity, Awaited, Bound, CancelReason, CancelScope, Cancellable, Cancelled, Cause, Chain, Child,
    ChildError, ChildErrorKind, ChildInfo, ChildKind, Completed, Context, Detached, Elapsed, Error,
    ErrorGroup, Finally, FutureExt, Instrument, Interest, Join, LocalNursery, LocalNurseryFuture,
    LocalOrCancelled, Member, NotInstalled, NotStarted, Nursery, NurseryError, NurseryFuture, NurseryMoved,
    NurseryState, OrCancelled, Outcome, PanicError, PanicPolicy, Race, ReasonParts, ReportedBy, Result, Run,
    RunClosed, RunStatistics, Started, SystemPanic, TaskId, TaskInfo, TaskState, TaskVar, TaskVarScope,
    TaskWait, Timeout, Tree, TreeVar, TreeVarScope, UnknownCause, as_completed, bracket, cancel_reason,
    check_cancelled, checkpoint, current_task, current_task_id, effective_deadline, fail_after, fail_at,
    is_cancelled, join, local_nursery, local_nursery_with, move_on_after, move_on_at, nursery, nursery_with,
    race, shield, shield_unbounded, sleep, sleep_forever, sleep_until, sync, task_var, tree,
};
pub use triune_worker as worker;

pub mod wire {
    //! What travels between processes: codecs, byte strings that are not copied, interfaces.
    pub use triune_wire::{
        Codec, DecodeError, Difference, EncodeError, Fingerprint, Interface, Message, MsgPack, Payload,
        Postcard, bytes_field,
    };
}

pub mod prelude {
    //! What a program that uses triune imports in one go.
    //!
    //! `job!(path(args))` is here; the attribute is written `#[triune::job]`.
    pub use triune_actor::{Context, Dialog, In, NurseryActorExt as _, Out, Portal, Started};
    pub use triune_scope::{Child, Context as _, Error, FutureExt as _, Nursery, Result, nursery};
    pub use triune_worker::{NurseryWorkerExt as _, job};
}

#[cfg(feature = "auto-init")]
const _: () = {
    triune_process::constructor!();
};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
