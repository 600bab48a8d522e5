//! A job as a value: which registered function, and its arguments, encoded once.
//!
//! Owns: [`Job`], the registry [`JOBS`] and the index by which parent and child agree on a function. Does not own: what
//! the macros generate around it (`call`), and running it (`run`).
//!
//! Invariants:
//! 1. Parent and child are the same image, so the address of an entry within the registry is its name on the wire.
//! 2. The arguments are encoded once, before anything is sent (`arguments`).

use std::fmt;
use std::marker::PhantomData;

use linkme::distributed_slice;
use triune_wire::Report;

use crate::arguments::{Arguments, Encoded};
use crate::call::{self, Answer, Argument};

/// Every function of this program that can be run in a worker. Filled by `#[triune::job]` and `job!`.
#[doc(hidden)]
#[distributed_slice]
pub static JOBS: [JobEntry];

/// Decodes the arguments, calls the function, and appends the encoded result.
#[doc(hidden)]
pub type Trampoline = fn(&call::Arguments, &mut Answer) -> Result<(), Box<Report>>;

/// One registered function.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct JobEntry {
    name: &'static str,
    run: Trampoline,
}

impl JobEntry {
    /// Used by the macros, which put the result into [`JOBS`].
    #[must_use]
    pub const fn new(name: &'static str, run: Trampoline) -> Self {
        Self { name, run }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn run(&self, arguments: &call::Arguments, output: &mut Answer) -> Result<(), Box<Report>> {
        (self.run)(arguments, output)
    }

    /// The place of this entry in the registry, or `None` if it is not in it: one that was linked into another image.
    fn index(&'static self) -> Option<u32> {
        let start = JOBS.as_ptr().addr();
        let offset = std::ptr::from_ref(self).addr().checked_sub(start)?;
        let index = offset / size_of::<Self>();
        let exact = offset.is_multiple_of(size_of::<Self>()) && index < JOBS.len();
        exact.then(|| u32::try_from(index).ok()).flatten()
    }
}

impl fmt::Debug for JobEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One call of a function, to be run in a worker process. It resolves to `O`.
///
/// Made by `name::with(args..)` for a function with the attribute `#[triune::job]`, and by [`job!`](crate::job) for any
/// other. It owns its arguments, is cheap to clone, and does nothing until it is given to
/// [`run`](crate::run) or to `run_in_worker` of a nursery.
///
/// ```
/// use triune_worker::job;
///
/// let job = job!(u64::isqrt(81));
/// assert_eq!(job.name(), "u64::isqrt");
/// ```
#[must_use = "a job does nothing until it is run: pass it to `worker::run` or `run_in_worker`"]
pub struct Job<O> {
    pub(crate) call: Call,
    output: PhantomData<fn() -> O>,
}

/// The untyped part of a job.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) target: Option<u32>,
    pub(crate) arguments: Arguments,
}

impl Call {
    /// The encoded arguments, encoded on this thread if they are not yet.
    pub(crate) fn encoded_now(&self) -> Encoded {
        self.arguments.encoded_now()
    }
}

impl<O> Job<O> {
    /// Used by the macros.
    #[doc(hidden)]
    pub fn new<A: Argument>(entry: &'static JobEntry, arguments: A) -> Self {
        let call = Call { name: entry.name(), target: entry.index(), arguments: Arguments::new(arguments) };
        Self { call, output: PhantomData }
    }

    /// The path of the function, for logs and errors.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.call.name
    }
}

impl<O> Clone for Job<O> {
    fn clone(&self) -> Self {
        Self { call: self.call.clone(), output: PhantomData }
    }
}

impl<O> fmt::Debug for Job<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.call.name)
            .field("arguments", &self.call.arguments)
            .finish_non_exhaustive()
    }
}
