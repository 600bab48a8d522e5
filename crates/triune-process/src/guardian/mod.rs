//! The guardian: one small process per tree, the parent of all others, that leaves nothing behind.
//!
//! A process can die without a word, and then somebody else has to end what it started. The kernel offers one place for
//! that: the parent. So all children of a tree, also the children of children, are started by one process that does
//! nothing else, and that is the *subreaper* of everything beneath it: whatever loses its parent there (`setsid`, double
//! fork, a foreign program of a foreign program) becomes its child, whatever it does to escape.
//!
//! ```text
//!            root ◄────── lifeline and requests ──────► guardian ──┬── actor A
//!             │ ▲                                          ▲  ▲     ├── worker
//!    link to A│ └── channel of A: started, ended, swept ───┘  │     ├── actor B, owned by A
//!             ▼                                               │     └── a stray: a child of a child that has ended
//!          actor A ────── channel of B ───────────────────────┘
//! ```
//!
//! The *system's* tree is flat; who *owns* whom is ours: each child has an owner (the root or another child), which holds
//! the link to it, its handle (a pidfd) and its channel to the guardian.
//!
//! # Parts
//!
//! * `message`: what is said, as data;
//! * `role`: the process, from its entry to its loop; the level `Hard`;
//! * `serve`: the loop: requests, ends, deadlines;
//! * `ward`: one child of the guardian; `sweep`: what is left beneath those that have ended;
//! * `client`: the way to the guardian, in the root (which starts it) and in children (which inherit it);
//! * `order`: one start, from the request to the answer;
//! * `forked`: children that a fork server has made, which the guardian takes in (see `fork`).
//!
//! # Invariants
//!
//! 1. **One thread, no runtime, nothing that waits** but one `poll`. The guardian answers the root's death within
//!    microseconds, and `PR_SET_PDEATHSIG` of its children means its own end and not that of some thread.
//! 2. **It dies only by SIGKILL**: every other signal is blocked. Its children die with it, so nobody is ever without
//!    owner; what they had started goes by the root's sweep (`client`), or with the namespace at the level `Hard`.
//! 3. **A channel's end means the end of the owner** unless a `Kill` went before it: the child may clean up for its
//!    grace, then it is killed. The same when the owner, itself a child, has ended.
//!    One that has no grace is killed by the system, without us (`lifeline.rs` says how).
//! 4. **A status is told once and at once; `Swept` only when nothing is left beneath the child**: neither strays that carry its
//!    mark, nor children that it owned, nor theirs.
//! 5. **Numbers are used only for children that are not reaped**, and reaping happens in one place, after the group of
//!    the child was killed.
//! 6. **A child has a socket of its own to make requests by**, so what it does to it does not concern the others.
//! 7. **It ends by itself** when it has had no child for five seconds, or when the root is gone and everything is swept. A
//!    request that meets a guardian on its way out gets no answer, and is made again to a new one.
//!
//! # Costs
//!
//! A start costs one round trip to the guardian instead of one to a thread that may be suspended by `vfork`; the exec is
//! that of a small process whatever the size of the root. The first start also starts the guardian.

mod client;
mod forked;
mod message;
mod order;
mod role;
mod serve;
mod sweep;
mod ward;

pub(crate) use client::{Way, adopt, dismiss, inherit, kill_everything, own_requests};
pub(crate) use message::{Admission, Answer, Command, MAX_INLINE, ORDER_DESCRIPTORS, Order, Request};
pub(crate) use order::{attempt, check, order, read_order, start, start_fork_server};
pub(crate) use role::is_guardian;
