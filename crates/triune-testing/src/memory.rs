//! The memory property: a scenario that is over leaves nothing.
//!
//! Owns the only unsafe code of this crate, a global allocator that counts. Counts per thread, so that the threads of a
//! test harness do not disturb each other; a scenario therefore has to stay on one thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use triune_scope::__testing::Counter;

pub use triune_scope::__testing::Census;

/// How often a scenario runs before the count begins: caches fill.
const WARM_UP: usize = 20;

/// How often it runs while it is counted.
const ROUNDS: usize = 1000;

/// The system's allocator, counting the living blocks of each thread.
///
/// ```
/// use triune_testing::{CountingAllocator, Living, assert_leaves_nothing};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let before = Living::now();
/// let kept = vec![1_u8; 100];
/// assert_eq!((Living::now().blocks - before.blocks, Living::now().bytes - before.bytes), (1, 100));
/// drop(kept);
/// assert_leaves_nothing(async || drop(Box::new(7)));
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a static of a test is made of it")]
pub struct CountingAllocator;

/// What this thread has allocated and not freed. Negative where it freed what others had allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Living {
    /// Blocks of memory.
    pub blocks: isize,
    /// Their bytes.
    pub bytes: isize,
}

thread_local! {
    static LIVING: Cell<Living> = const { Cell::new(Living { blocks: 0, bytes: 0 }) };
}

impl Living {
    /// The counts of the calling thread; always the same unless [`CountingAllocator`] is the global allocator.
    #[must_use]
    pub fn now() -> Self {
        LIVING.get()
    }
}

fn count(blocks: isize, bytes: usize) {
    // A thread that ends frees after its thread-locals are gone; nobody counts then.
    let _gone = LIVING.try_with(|living| {
        let old = living.get();
        let bytes = old.bytes + blocks * bytes.cast_signed();
        living.set(Living { blocks: old.blocks + blocks, bytes });
    });
}

// SAFETY: every call goes to the system's allocator unchanged; the counters do not touch memory.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-1, layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs a scenario a thousand times, after a warm-up, on a current-thread runtime of its own: not one block of memory and
/// no object of triune's runtime may be left.
///
/// The [`CountingAllocator`] has to be the global one of the test binary.
///
/// # Panics
///
/// If something is left; if nothing counts.
#[track_caller]
pub fn assert_leaves_nothing<F: Future<Output = ()>>(scenario: impl Fn() -> F) {
    let empty = Living::now();
    let block = std::hint::black_box(Box::new(0_u8));
    assert_ne!(
        Living::now(),
        empty,
        "nothing counts: make `CountingAllocator` the #[global_allocator] of this test"
    );
    drop(block);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a test needs a tokio runtime");
    let rounds = |count: usize| {
        runtime.block_on(async {
            for _ in 0..count {
                scenario().await;
                // Finished tokio tasks are freed by the scheduler's next turn.
                tokio::task::yield_now().await;
            }
            Counter::current().read()
        })
    };
    let objects = rounds(WARM_UP);
    let before = Living::now();
    let left = rounds(ROUNDS);
    let after = Living::now();
    assert_eq!(after, before, "{ROUNDS} rounds left {} blocks", after.blocks - before.blocks);
    assert_eq!(left, objects, "{ROUNDS} rounds left objects of the runtime");
}

/// How many objects of triune are alive in the tokio runtime that the caller is in, its [`Run`](triune_scope::Run)'s own
/// scopes included. `None` in release builds, which do not count.
///
/// A `#[triune::test]` checks at its end that none is left; this is for a look in between.
#[must_use]
pub fn census() -> Option<Census> {
    Counter::current().read()
}
