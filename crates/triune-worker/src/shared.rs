//! `Shared`: one big read-only input for any number of workers, in memory once.
//!
//! What crosses with the arguments is a ticket: whose descriptor it is, and a number that nothing else has. The worker
//! opens the descriptor through `/proc`, checks that it is the memory that the ticket names and that it is sealed, and maps
//! it.
//!
//! Invariants:
//! 1. A job that was made of a `Shared` keeps it until it has ended, in this process, so a ticket is never void.
//! 2. A worker keeps the last few mappings, so that the next job of the same input costs nothing. That memory is given
//!    back when the worker has seen as many others, or ends.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::Pod;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use triune_process::Sealed;

/// How many mappings a worker keeps.
const KEPT: usize = 8;

/// A slice of plain values (`u8`, `f32`, `[u16; 3]`, what implements [`Pod`]) that is in memory once for all processes.
///
/// Give it to any number of jobs, also at a time: nothing of it is copied, and a worker that has seen it before does not
/// even map it again. It is read-only for ever. A cheap handle: clones mean the same memory, which is given back when the
/// last handle, the last job made of it, and the mappings of the workers (each keeps the last eight that it has seen)
/// are gone.
///
/// It can be serialised only as a part of the arguments of a job, and not in a worker's result. A worker that may not read
/// `/proc` (by Landlock, say) or that is in another PID namespace cannot open it: the job fails with
/// [`RunError::Decode`](crate::RunError::Decode).
///
/// ```
/// use triune_worker::{Shared, job, map};
///
/// fn sum(numbers: Shared<u32>, from: usize, to: usize) -> u64 {
///     numbers[from..to].iter().map(|number| u64::from(*number)).sum()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let numbers = Shared::new(&vec![1_u32; 1_000_000])?;
/// let parts = map((0..10).map(|i| job!(sum(numbers.clone(), i * 100_000, (i + 1) * 100_000)))).collect().await?;
/// assert_eq!(parts.iter().sum::<u64>(), 1_000_000);
/// # Ok(()) })
/// # }
/// ```
pub struct Shared<T> {
    memory: Arc<Memory>,
    value: PhantomData<fn() -> T>,
}

/// Sealed memory with the number by which it is known.
#[derive(Debug)]
pub(crate) struct Memory {
    sealed: Sealed,
    id: u64,
}

/// What crosses.
#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    path: PathBuf,
    id: u64,
}

impl Ticket {
    fn name(id: u64) -> String {
        format!("triune-shared-{id:016x}")
    }

    fn open(&self) -> io::Result<Memory> {
        let sealed = Sealed::open(&self.path)?;
        if sealed.name()? == Self::name(self.id) {
            return Ok(Memory { sealed, id: self.id });
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "its descriptor is something else by now"))
    }
}

impl<T: Pod> Shared<T> {
    /// Copies the values into memory that other processes can map. This is the one copy that is ever made. For many
    /// megabytes do it on a thread (`blocking::run`): it takes as long as writing that much memory.
    ///
    /// # Errors
    ///
    /// If there is no memory or no descriptor for it.
    pub fn new(values: &[T]) -> io::Result<Self> {
        let id = unique();
        let sealed = Sealed::new(&Ticket::name(id), bytemuck::cast_slice(values))?;
        Ok(Self::of(Arc::new(Memory { sealed, id })))
    }
}

impl<T> Shared<T> {
    fn of(memory: Arc<Memory>) -> Self {
        Self { memory, value: PhantomData }
    }
}

impl<T: Pod> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // Whole values at the start of a page: checked where it was made of foreign bytes.
        bytemuck::cast_slice(self.memory.sealed.bytes())
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.memory))
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("bytes", &self.memory.sealed.bytes().len()).finish_non_exhaustive()
    }
}

impl<T: Pod> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = KEEPING.with_borrow_mut(|keeping| match keeping {
            Some(kept) => {
                kept.push(Arc::clone(&self.memory));
                true
            }
            None => false,
        });
        if !kept {
            return Err(S::Error::custom("a `Shared` can only be sent as an argument of a job"));
        }
        Ticket { path: self.memory.sealed.path_of_descriptor(), id: self.memory.id }.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ticket = Ticket::deserialize(deserializer)?;
        let memory = known(&ticket).map_err(|error| {
            D::Error::custom(format_args!("cannot open shared memory at {}: {error}", ticket.path.display()))
        })?;
        // Of the type that was shared, unless somebody has changed the type on one side.
        bytemuck::try_cast_slice::<u8, T>(memory.sealed.bytes())
            .map_err(|error| D::Error::custom(format_args!("shared memory of another type: {error}")))?;
        Ok(Self::of(memory))
    }
}

thread_local! {
    /// What the job that is being encoded must keep; `None` if none is.
    static KEEPING: RefCell<Option<Vec<Arc<Memory>>>> = const { RefCell::new(None) };
    /// The mappings that this thread has used last, the latest at the end.
    static KNOWN: RefCell<Vec<Arc<Memory>>> = const { RefCell::new(Vec::new()) };
}

/// What a job keeps until it has ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(
    #[expect(dead_code, reason = "held only for its lifetime")] Option<Arc<[Arc<Memory>]>>,
);

/// Runs an encoder, and collects what it shares.
pub(crate) fn keeping<R>(encode: impl FnOnce() -> R) -> (R, Kept) {
    /// Puts back what was there before: an encoder may make a job.
    struct Restore(Option<Vec<Arc<Memory>>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            KEEPING.set(self.0.take());
        }
    }
    let restore = Restore(KEEPING.replace(Some(Vec::new())));
    let result = encode();
    let kept = KEEPING.take().unwrap_or_default();
    drop(restore);
    (result, Kept((!kept.is_empty()).then(|| kept.into())))
}

/// The memory of a ticket: known from before, or mapped now.
fn known(ticket: &Ticket) -> io::Result<Arc<Memory>> {
    let found = KNOWN.with_borrow_mut(|known| {
        let at = known.iter().position(|memory| memory.id == ticket.id)?;
        let memory = known.remove(at);
        known.push(Arc::clone(&memory));
        Some(memory)
    });
    if let Some(memory) = found {
        return Ok(memory);
    }
    let memory = Arc::new(ticket.open()?);
    let oldest = KNOWN.with_borrow_mut(|known| {
        known.push(Arc::clone(&memory));
        (known.len() > KEPT).then(|| known.remove(0))
    });
    drop(oldest);
    Ok(memory)
}

/// A number that no other memory has, in this process or another.
fn unique() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{KEPT, KNOWN, Shared, keeping, known};

    #[test]
    fn it_crosses_as_a_ticket_and_is_the_same_memory() {
        let shared = Shared::new(&[1.5_f32, 2.5]).expect("there is memory");
        let (bytes, _kept) = keeping(|| triune_wire::to_bytes(&shared).expect("within a job"));
        assert!(bytes.len() < 64);
        let other: Shared<f32> = triune_wire::decode(&bytes).expect("it lives");
        assert_eq!(&*other, [1.5, 2.5]);
        let wrong =
            triune_wire::decode::<Shared<[f32; 3]>>(&bytes).expect_err("eight bytes are no three numbers");
        assert!(wrong.to_string().contains("cannot decode"));
    }

    #[test]
    fn it_can_only_be_sent_with_a_job() {
        let shared = Shared::new(&[1_u8]).expect("there is memory");
        assert!(triune_wire::to_bytes(&shared).is_err());
    }

    #[test]
    fn a_job_keeps_it_and_nothing_else_does() {
        let shared = Shared::new(&[1_u8]).expect("there is memory");
        let weak = std::sync::Arc::downgrade(&shared.memory);
        let (bytes, kept) = keeping(|| triune_wire::to_bytes(&shared).expect("within a job"));
        drop(shared);
        assert!(weak.upgrade().is_some());
        drop(kept);
        assert!(weak.upgrade().is_none());
        assert!(triune_wire::decode::<Shared<u8>>(&bytes).is_err(), "the ticket is void");
    }

    #[test]
    fn a_worker_keeps_a_bounded_number_of_mappings() {
        let all: Vec<_> = (0..2 * KEPT).map(|n| Shared::new(&[n as u64]).expect("there is memory")).collect();
        for shared in &all {
            let path = shared.memory.sealed.path_of_descriptor();
            let ticket = super::Ticket { path, id: shared.memory.id };
            let first = known(&ticket).expect("it lives");
            assert!(std::sync::Arc::ptr_eq(&first, &known(&ticket).expect("it is known")));
        }
        assert_eq!(KNOWN.with_borrow(Vec::len), KEPT);
    }
}
