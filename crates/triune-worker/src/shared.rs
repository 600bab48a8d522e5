//! `Shared`: one big read-only input for any number of workers, in memory once.
//!
//! What crosses with the arguments is a ticket, a number that nothing else has. The memory itself is lent to the worker
//! beside its calls (`loan`), so it needs neither paths nor `/proc`.
//!
//! Invariant: a job that was made of a `Shared` keeps it until it has ended, in this process, so a ticket is never void.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Pod;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use triune_process::Sealed;

use crate::loan::{self, Lent};

/// How many of them the arguments of one job have at most.
const MOST: usize = 256;

/// A slice of plain values (`u8`, `f32`, `[u16; 3]`, what implements [`Pod`]) that is in memory once for all processes.
///
/// Give it to any number of jobs, also at a time: nothing of it is copied, and a worker that has seen it before does not
/// even map it again, as long as it is among the last eight that it has seen. It is read-only for ever. A cheap handle: clones
/// mean the same memory, which is given back when the last handle and the last job made of it are gone; by a worker that is
/// busy then, after its job.
///
/// It can be serialised only as a part of the arguments of a job (at most 256 in one), and not in a worker's result. A worker
/// may read it whatever paths its [`Limits`](crate::Limits) leave within its reach.
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
    pub(crate) sealed: Sealed,
    pub(crate) id: u64,
    /// The workers that may have it.
    borrowers: Mutex<Vec<Weak<Lent>>>,
}

impl Memory {
    pub(crate) fn new(sealed: Sealed, id: u64) -> Arc<Self> {
        Arc::new(Self { sealed, id, borrowers: Mutex::default() })
    }

    /// A worker is about to have it.
    pub(crate) fn is_lent_to(&self, borrower: &Arc<Lent>) {
        let mut borrowers = self.borrowers.lock().unwrap_or_else(PoisonError::into_inner);
        borrowers
            .retain(|other| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), &raw const **borrower));
        borrowers.push(Arc::downgrade(borrower));
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let borrowers = self.borrowers.get_mut().unwrap_or_else(PoisonError::into_inner);
        borrowers.iter().filter_map(Weak::upgrade).for_each(|borrower| borrower.recall(self.id));
    }
}

/// What crosses.
#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    id: u64,
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
        let sealed = Sealed::new(&format!("triune-shared-{id:016x}"), bytemuck::cast_slice(values))?;
        Ok(Self::of(Memory::new(sealed, id)))
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
        KEEPING
            .with_borrow_mut(|keeping| match keeping {
                Some(kept) if kept.len() >= MOST => {
                    Err("the arguments of one job have at most 256 of `Shared`")
                }
                Some(kept) => {
                    kept.push(Arc::clone(&self.memory));
                    Ok(())
                }
                None => Err("a `Shared` can only be sent as an argument of a job"),
            })
            .map_err(|why| S::Error::custom(because(why)))?;
        Ticket { id: self.memory.id }.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ticket = Ticket::deserialize(deserializer)?;
        let memory = loan::find(ticket.id).map_err(|why| D::Error::custom(because(why)))?;
        // Of the type that was shared, unless somebody has changed the type on one side.
        bytemuck::try_cast_slice::<u8, T>(memory.sealed.bytes())
            .map_err(|error| D::Error::custom(because(format!("shared memory of another type: {error}"))))?;
        Ok(Self::of(memory))
    }
}

thread_local! {
    /// What the job that is being encoded must keep; `None` if none is.
    static KEEPING: RefCell<Option<Vec<Arc<Memory>>>> = const { RefCell::new(None) };
    /// Why one could not be encoded or decoded.
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes a reason for whoever reports the error: the codec throws it away.
fn because(why: impl Into<String>) -> String {
    let why = why.into();
    REASON.set(Some(why.clone()));
    why
}

/// The reason that was noted last, once.
pub(crate) fn reason() -> Option<String> {
    REASON.take()
}

/// What a job keeps until it has ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Option<Arc<[Arc<Memory>]>>);

impl Kept {
    pub(crate) fn memories(&self) -> &[Arc<Memory>] {
        self.0.as_deref().unwrap_or_default()
    }
}

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

/// A number that no other memory has, in this process or another.
fn unique() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    // One of them is taken (`slate`).
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use triune_ipc::blocking::Loan;

    use super::{MOST, Shared, keeping};
    use crate::loan;

    /// Lends as another process would have it.
    fn lend<T>(shared: &Shared<T>) {
        let file = shared.memory.sealed.file().try_clone().expect("descriptors are left");
        loan::take(Loan::Lent { number: shared.memory.id, file: Some(file) });
    }

    #[test]
    fn it_crosses_as_a_ticket_and_is_the_same_memory() {
        let shared = Shared::new(&[1.5_f32, 2.5]).expect("there is memory");
        let (bytes, kept) = keeping(|| triune_wire::to_bytes(&shared).expect("within a job"));
        assert!(bytes.len() <= 10 && kept.memories().len() == 1);
        let error = triune_wire::decode::<Shared<f32>>(&bytes).expect_err("it was not lent");
        assert!(error.to_string().contains("cannot decode"), "{error}");
        lend(&shared);
        let other: Shared<f32> = triune_wire::decode(&bytes).expect("it lives");
        assert_eq!(&*other, [1.5, 2.5]);
        let wrong =
            triune_wire::decode::<Shared<[f32; 3]>>(&bytes).expect_err("eight bytes are no three numbers");
        assert!(wrong.to_string().contains("cannot decode"));
        loan::take(Loan::Recalled { number: shared.memory.id });
        assert!(triune_wire::decode::<Shared<f32>>(&bytes).is_err());
        assert_eq!(&*other, [1.5, 2.5], "what was made of it stays");
    }

    #[test]
    fn it_can_only_be_sent_with_a_job_and_not_without_end() {
        let shared = Shared::new(&[1_u8]).expect("there is memory");
        assert!(triune_wire::to_bytes(&shared).is_err());
        let many = |count| keeping(|| triune_wire::to_bytes(&vec![shared.clone(); count])).0;
        assert!(many(MOST).is_ok());
        assert!(many(MOST + 1).is_err());
    }

    #[test]
    fn a_job_keeps_it_and_nothing_else_does() {
        let shared = Shared::new(&[1_u8]).expect("there is memory");
        let weak = std::sync::Arc::downgrade(&shared.memory);
        let (_bytes, kept) = keeping(|| triune_wire::to_bytes(&shared).expect("within a job"));
        drop(shared);
        assert!(weak.upgrade().is_some());
        drop(kept);
        assert!(weak.upgrade().is_none());
    }
}
