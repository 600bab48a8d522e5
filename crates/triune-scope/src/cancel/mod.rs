//! Cancellation: the tree of scopes and how a cancel reaches the code beneath.
//!
//! # Parts
//!
//! * [`node`]: one boundary in the tree: its place, flags and reason. [`beneath`]: what is registered beneath it, in
//!   [`links`]. Pure data and locks. [`spread`]: how a cancel gets there. [`hold`]: what keeps nodes from being dropped; [`patience`]: for how
//!   long a shield does.
//! * [`deadline`]: the times of a node. The timer that wakes its boundary is `time::timer`, which with `time::alarm`, the
//!   timer of a shield, is the only thing here that needs a runtime, and only where a time was set.
//! * [`ambient`]: which node, task and task variables surround the code that runs now, by poll stack, in a
//!   thread-local.
//! * [`boundary`]: the future that installs a node around another future and delivers the cancel. [`seat`]: where it sits.
//! * [`turn`]: how a child that its nursery polls itself is woken.
//! * [`trial`]: the first poll of a child that nobody can reach, for which it needs no node of its own.
//! * [`leaf`]: how a primitive without a future of its own beneath it sees the cancel.
//! * [`scope`], [`cancellable`], [`shield`], [`finally`], [`elsewhere`], [`reason`]: the public faces.
//!
//! # Delivery
//!
//! Nobody outside of a task can see which boundary of its await tree is the innermost. So the canceller only marks
//! and wakes; the task finds the way by itself:
//!
//! 1. `cancel(node)` sets the flag on the node and on everything beneath that is not shielded, *then* wakes the
//!    node's own boundary and the root boundary of every other task beneath. It wakes nothing else: a wake that is
//!    in flight on the canceller's thread must not make an inner boundary look unreachable.
//! 2. A boundary that is polled with the flag set makes one *pass*: it wakes every boundary and leaf registered
//!    beneath it in the same task, deepest first, and polls its future with a waker that records wakes.
//! 3. Ready: the result is passed on. Pending and a shield or a live parallel child is beneath: it waits. Pending
//!    and something was woken meanwhile: something can still run, so it waits, at most [`boundary::MAX_PASSES`]
//!    times in which nothing beneath comes to its end. Otherwise what remains is parked in a foreign await: the future is
//!    dropped.
//!
//! A deadline is a cancel that the node's own boundary calls, because it polls the timer, or the first who asks.
//!
//! # Hard stop
//!
//! When the grace of `cancel_with_grace` is over, or the limit of a bounded shield, the node and everything beneath it,
//! shielded or not, becomes *hard*, and every boundary there is woken. A hard boundary makes no pass: it drops its
//! future at once, with the shields in it. It waits only for parallel children, which are dropped in the same way in
//! their own tasks. A shield beneath is not cancelled: what surrounds it is dropped, so it needs no result.
//!
//! # Invariants
//!
//! 1. A node's flag is set once and never cleared; its reason is set before the flag.
//! 2. Linking a node and marking its parent exclude each other (the parent's lock), so no cancel is missed.
//! 3. Locks are taken parent before child, for a few instructions, never while polling, dropping or waking.
//! 4. The parent owns its children weakly by slab key; a child owns its parent strongly until it ends.
//! 5. `holds` of a node counts the shields and the nurseries with parallel children beneath it in the same task;
//!    `firm_holds` only the latter, and only these count for a hard node.
//! 6. `hard` and `timed` are, like the flag, set once, and taken over by what is linked later: `hard` by everything,
//!    `timed`, like the flag, not by shields.
//! 7. `own` is set when the node's reason comes from a cancel of this very node: only such a cancel is absorbed here.

pub(crate) mod ambient;
mod beneath;
pub(crate) mod boundary;
mod cancellable;

pub(crate) mod deadline;
mod elsewhere;
mod finally;
pub(crate) mod flags;
pub(crate) mod hold;
pub(crate) mod leaf;
mod links;
pub(crate) mod map;
#[cfg(all(test, shuttle))]
mod model;
pub(crate) mod node;
pub(crate) mod patience;
mod primitive;
mod reason;
mod scope;
mod seat;
mod shield;
pub(crate) mod spread;
pub(crate) mod trial;
pub(crate) mod turn;
pub(crate) mod wake;

pub use cancellable::{
    Cancellable, FutureExt, cancel_reason, check_cancelled, checkpoint, effective_deadline, is_cancelled,
};
pub use elsewhere::{Bound, Detached};
pub use finally::{Finally, bracket};
pub use primitive::{Primitive, checkpoint_if_cancelled, primitive};
pub use reason::{CancelReason, Cause, ReasonParts, UnknownCause};
pub use scope::{CancelScope, Outcome};
pub use shield::shield_unbounded;
pub(crate) use shield::{shield_patiently, shield_within};
