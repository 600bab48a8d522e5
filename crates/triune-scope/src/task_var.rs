//! Task variables: values that follow the tree of tasks instead of being passed through every function.
//!
//! Owns [`task_var!`](crate::task_var), [`TaskVar`] and the set of values that an ambient carries. The set is shared
//! and never changed: setting a value makes a new set, which surrounds one future.
//!
//! # Invariants
//!
//! 1. A child sees the set that surrounded the code that spawned it, whatever nursery it was spawned into, and
//!    keeps it for its whole life. A system task sees none.
//! 2. Where no value is set there is no set: spawning and polling then cost one copied null pointer.
//! 3. No code of the user runs while the thread-local is borrowed.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::cancel::ambient::{self, Ambient};
use crate::cancel::boundary::heir;

/// What is set around some code.
#[derive(Clone, Default)]
pub(crate) struct Vars(Option<Arc<[Binding]>>);

#[derive(Clone)]
struct Binding {
    /// The address of the `static`, which is unique for the life of the process.
    variable: usize,
    value: Arc<dyn Any + Send + Sync>,
}

impl Vars {
    fn find(&self, variable: usize) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.0.as_deref()?.iter().find(|binding| binding.variable == variable).map(|binding| &binding.value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The same set but for one value.
    fn with(&self, variable: usize, value: Arc<dyn Any + Send + Sync>) -> Self {
        let kept = self.0.as_deref().unwrap_or_default().iter().filter(|kept| kept.variable != variable);
        Self(Some(kept.cloned().chain([Binding { variable, value }]).collect()))
    }
}

impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} set", self.0.as_deref().map_or(0, <[Binding]>::len))
    }
}

/// Declares task variables: statics whose value is inherited by children at spawn and set for a block.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::{nursery, task_var};
///
/// task_var! {
///     /// The request that is being served.
///     static REQUEST: u64 = 0;
/// }
///
/// nursery(async |n| {
///     let inside = REQUEST.sync_scope(7, || n.spawn(async { Ok(REQUEST.get()) }));
///     assert_eq!(inside.await?, 7);
///     assert_eq!(REQUEST.get(), 0);
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[macro_export]
macro_rules! task_var {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $default:expr;)+) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::TaskVar<$type> = $crate::TaskVar::new(|| $default);
        )+
    };
}

/// A task variable; declared with [`task_var!`](crate::task_var).
///
/// Its value belongs to the running code by place, not by thread: it is seen by everything beneath the
/// [`scope`](Self::scope) that set it, by the children that are spawned there (also parallel ones), and by nobody
/// else. Where no value is set it has its default, also outside of every nursery.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::task_var;
///
/// task_var! { static USER: String = "nobody".to_owned(); }
///
/// let inside = USER.scope("Ann".to_owned(), async { (USER.get(), USER.with(String::len)) });
/// assert_eq!(inside.await, ("Ann".to_owned(), 3));
/// assert_eq!(USER.sync_scope("Bob".to_owned(), || USER.get()), "Bob");
/// assert_eq!(USER.get(), "nobody");
/// # }
/// ```
pub struct TaskVar<T: 'static> {
    default: fn() -> T,
    made: OnceLock<T>,
}

impl<T: Send + Sync + 'static> TaskVar<T> {
    /// A variable whose default value is made at its first use. For [`task_var!`](crate::task_var).
    pub const fn new(default: fn() -> T) -> Self {
        Self { default, made: OnceLock::new() }
    }

    /// Runs `future` with another value. The code around it does not see that value.
    ///
    /// # Cancel safety
    ///
    /// As that of `future`, which is dropped with the returned one.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskVarScope<F> {
        TaskVarScope { variable: self.address(), value: Arc::new(value), unscoped: None, inner: Some(future) }
    }

    /// Runs a function with another value, for instance one that spawns.
    pub fn sync_scope<R>(&'static self, value: T, run: impl FnOnce() -> R) -> R {
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        let mut ambient = surround(self.address(), &value, &mut None);
        ambient::with(&mut ambient, run)
    }

    /// A copy of the value that the running code sees.
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Looks at the value that the running code sees.
    pub fn with<R>(&'static self, look: impl FnOnce(&T) -> R) -> R {
        let variable = self.address();
        let set = ambient::peek(|ambient| ambient.vars.find(variable).cloned()).flatten();
        match set.as_deref().and_then(|value| value.downcast_ref()) {
            Some(value) => look(value),
            None => look(self.made.get_or_init(self.default)),
        }
    }

    fn address(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T: fmt::Debug + Send + Sync> fmt::Debug for TaskVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskVar").field("default", &self.made.get()).finish_non_exhaustive()
    }
}

pin_project! {
    /// A future made by [`TaskVar::scope`].
    ///
    /// # Cancel safety
    ///
    /// As that of the future inside.
    #[must_use = "futures do nothing unless awaited"]
    pub struct TaskVarScope<F> {
        variable: usize,
        value: Arc<dyn Any + Send + Sync>,
        // Carries the value where there is no scope around.
        unscoped: Option<Ambient>,
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for TaskVarScope<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut inner = this.inner;
            if inner.is_some() {
                let mut ambient = surround(*this.variable, this.value, this.unscoped);
                ambient::with(&mut ambient, || inner.set(None));
            }
        }
    }
}

impl<F: Future> Future for TaskVarScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut inner = this.inner;
        let mut ambient = surround(*this.variable, this.value, this.unscoped);
        ambient::with(&mut ambient, || {
            let future = inner.as_mut().as_pin_mut().expect("a future is not polled after its end");
            let polled = future.poll(cx);
            if polled.is_ready() {
                inner.set(None);
            }
            polled
        })
    }
}

impl<F> fmt::Debug for TaskVarScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskVarScope").finish_non_exhaustive()
    }
}

/// The ambient of the caller, with one value more.
fn surround(
    variable: usize,
    value: &Arc<dyn Any + Send + Sync>,
    unscoped: &mut Option<Ambient>,
) -> Option<Ambient> {
    let mut ambient = ambient::current().unwrap_or_else(|| {
        // A node that nobody can cancel: outside of every scope there is nothing to be cancelled by.
        let mut ambient = unscoped.get_or_insert_with(|| Ambient::new(heir(), None)).clone();
        ambient.rehome();
        ambient
    });
    ambient.vars = ambient.vars.with(variable, Arc::clone(value));
    Some(ambient)
}
