//! A job as a value: which registered function, and its arguments, encoded once.
//!
//! Owns: [`Job`], the registry [`JOBS`] and the index by which parent and child agree on a function. Does not own: what
//! the macros generate around it (`call`), and running it (`run`).
//!
//! Invariants:
//! 1. Where parent and child are the same image, the address of an entry within the registry is its name on the wire. To another
//!    program a function is known by its path (`by_name`).
//! 2. The arguments are encoded once, before anything is sent (`arguments`).

use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;

use linkme::distributed_slice;
use triune_wire::Report;

use crate::arguments::Arguments;
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
    function: fn() -> Function,
    run: Trampoline,
}

/// What a function is to another program.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Tells it from another one that is called the same.
    pub(crate) id: TypeId,
    /// The path by which it is called.
    pub(crate) path: &'static str,
    /// Its types in words; empty if they are not known. Two that are known must be equal.
    pub(crate) signature: &'static str,
}

impl Function {
    /// A function that is named where it is called.
    pub fn of<F: 'static>(_function: &F) -> Self {
        Self { id: TypeId::of::<F>(), path: type_name::<F>(), signature: "" }
    }

    /// A function that is named where it is defined.
    pub fn defined<F: 'static>(_function: &F, path: &'static str, signature: &'static str) -> Self {
        Self { id: TypeId::of::<F>(), path, signature }
    }
}

impl JobEntry {
    /// Used by the macros, which put the result into [`JOBS`].
    #[must_use]
    pub const fn new(name: &'static str, function: fn() -> Function, run: Trampoline) -> Self {
        Self { name, function, run }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn function(&self) -> Function {
        (self.function)()
    }

    pub(crate) fn run(&self, arguments: &call::Arguments, output: &mut Answer) -> Result<(), Box<Report>> {
        (self.run)(arguments, output)
    }

    /// The place of this entry in the registry, or `None` if it is not in it: one that was linked into another image.
    pub(crate) fn index(&'static self) -> Option<u32> {
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
    /// `None` if only another program has the function.
    pub(crate) entry: Option<&'static JobEntry>,
    pub(crate) arguments: Arguments,
}

impl<O> Job<O> {
    /// Used by the macros.
    #[doc(hidden)]
    pub fn new<A: Argument>(entry: &'static JobEntry, arguments: A) -> Self {
        let call = Call { name: entry.name(), entry: Some(entry), arguments: Arguments::new(arguments) };
        Self { call, output: PhantomData }
    }

    /// One call of a function that this program does not have, by the name that another program gives to it: for the
    /// workers of a pool of the kind [`WorkerKind::Program`](crate::WorkerKind::Program). The arguments are a tuple.
    ///
    /// What `O` is, nobody can check before the result is there: one that does not fit is a
    /// [`RunError::Decode`](crate::RunError::Decode).
    ///
    /// ```
    /// use triune_worker::Job;
    ///
    /// let job = Job::<Vec<f64>>::named("spectrum", ("song.wav".to_owned(), 512));
    /// assert_eq!(job.name(), "spectrum");
    /// ```
    pub fn named<A: Argument>(name: &'static str, arguments: A) -> Self {
        Self { call: Call { name, entry: None, arguments: Arguments::new(arguments) }, output: PhantomData }
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
