//! What the body and the children hold: it starts children.
//!
//! [`Nursery`] and [`LocalNursery`] say what a child must be; all that they do is in [`Shared`].

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use super::child::{Child, Kind};
use super::info::ChildInfo;
use super::queue::Shared;
use super::set::Member;
use super::start::{Start, Started};
use crate::cancel::{CancelReason, CancelScope};
use crate::error::{Error, NurseryError, Result};
use crate::task::TaskInfo;

/// A handle on an open nursery: it starts children. Cloning it gives another handle on the same nursery.
///
/// `'env` is everything that lives longer than the call of [`nursery`](crate::nursery): children may borrow from
/// there, not from the body. `E` is another error type for [`nursery_with`](crate::nursery_with). What happens to
/// children is told at [`nursery`](crate::nursery).
///
/// # Panics
///
/// Starting a child after the nursery has ended is a bug of the caller and panics. While a dropped nursery is torn
/// down, children do not start and their handles say so.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::nursery;
///
/// let words = ["a", "bb", "ccc"];
/// let longest = nursery(async |n| {
///     let lengths: Vec<_> = words.iter().map(|word| n.spawn(async { Ok(word.len()) })).collect();
///     let mut longest = 0;
///     for length in lengths {
///         longest = longest.max(length.await?);
///     }
///     Ok(longest)
/// });
/// assert_eq!(longest.await?, 3);
/// # Ok(()) }
/// ```
pub struct Nursery<'env, E = Error> {
    pub(super) shared: Arc<Shared<BoxedChild<'env>>>,
    errors: PhantomData<fn() -> E>,
}

pub(super) type BoxedChild<'env> = Pin<Box<dyn Member + Send + 'env>>;

impl<'env, E: NurseryError> Nursery<'env, E> {
    pub(super) fn new(shared: Arc<Shared<BoxedChild<'env>>>) -> Self {
        Self { shared, errors: PhantomData }
    }

    /// Starts a child in this task: concurrent with the body and its siblings, not parallel. It may borrow from
    /// outside of the nursery.
    ///
    /// A child that computes for long without an await stalls its siblings and the body: use
    /// [`spawn_task`](Self::spawn_task) for another core.
    #[track_caller]
    pub fn spawn<T, F>(&self, future: F) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'env,
        T: Send + 'env,
    {
        self.shared.start(Kind::Ordinary, TaskInfo::of_type::<F>(Location::caller()), future, boxed)
    }

    /// Starts a child in this task under a name of its own, see [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_named<T, F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'env,
        T: Send + 'env,
    {
        self.shared.start(Kind::Ordinary, TaskInfo::named(name, Location::caller()), future, boxed)
    }

    /// Starts a child that gets this handle, so that it can start siblings, see [`spawn`](Self::spawn).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use triune_scope::nursery;
    ///
    /// let visited = AtomicU32::new(0);
    /// nursery(async |n| {
    ///     n.spawn_with(async |n| {
    ///         for _page in 0..3 {
    ///             n.spawn(async {
    ///                 visited.fetch_add(1, Relaxed);
    ///                 Ok(())
    ///             });
    ///         }
    ///         Ok(())
    ///     });
    ///     Ok(())
    /// })
    /// .await?;
    /// assert_eq!(visited.into_inner(), 3);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_with<T, F, Fut>(&self, child: F) -> Child<T, E>
    where
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, E>> + Send + 'env,
        T: Send + 'env,
    {
        self.shared.start(
            Kind::Ordinary,
            TaskInfo::of_type::<Fut>(Location::caller()),
            child(self.clone()),
            boxed,
        )
    }

    /// Starts a child as a tokio task: parallel on a multi-thread runtime, and owned by this nursery all the same.
    ///
    /// # Panics
    ///
    /// Also outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::nursery;
    ///
    /// let sum = nursery(async |n| {
    ///     let [low, high] = [0..500_u64, 500..1000].map(|range| n.spawn_task(async { Ok(range.sum::<u64>()) }));
    ///     Ok(low.await? + high.await?)
    /// });
    /// assert_eq!(sum.await?, 499_500);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_task<T, F>(&self, future: F) -> Child<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.shared.start_parallel(Kind::Ordinary, TaskInfo::of_type::<F>(Location::caller()), future)
    }

    /// Starts a service child in this task: it is cancelled (cause
    /// [`Finished`](crate::Cause::Finished)) when the body and the ordinary children are done, and waited for. If
    /// it fails, the nursery fails.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use std::cell::Cell;
    /// use triune_scope::{checkpoint, local_nursery};
    ///
    /// let beats = Cell::new(0);
    /// local_nursery(async |n| {
    ///     n.daemon(async {
    ///         loop {
    ///             checkpoint().await?;
    ///             beats.set(beats.get() + 1);
    ///         }
    ///     });
    ///     for _work in 0..3 {
    ///         checkpoint().await?;
    ///     }
    ///     Ok(())
    /// })
    /// .await?;
    /// assert!(beats.get() > 0, "it has ended with the body");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn daemon<F>(&self, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'env,
    {
        let _nursery_owns_it =
            self.shared.start(Kind::Daemon, TaskInfo::of_type::<F>(Location::caller()), future, boxed);
    }

    /// Starts a named service child as a tokio task, see [`daemon`](Self::daemon) and
    /// [`spawn_task`](Self::spawn_task).
    ///
    /// # Panics
    ///
    /// Also outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::{FutureExt as _, nursery};
    ///
    /// let name = nursery(async |n| {
    ///     let service = n.daemon_task("service", async {
    ///         Ok(std::future::pending::<()>().cancellable().await?)
    ///     });
    ///     Ok(service.name().to_owned())
    /// });
    /// assert_eq!(name.await?, "service");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn daemon_task<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Child<(), E>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.shared.start_parallel(Kind::Daemon, TaskInfo::named(name, Location::caller()), future)
    }

    /// Starts a child and waits until it says that it is ready: by [`Started::started`], with a value for the caller.
    ///
    /// Until then the child is the caller's. If it fails, the error (or the panic) goes to the caller, and the nursery is
    /// not affected; if it ends or drops its [`Started`] without a word, the caller gets
    /// [`NotStarted`](crate::NotStarted). A cancel of the caller cancels the child alone, and the caller waits for its
    /// end. Afterwards the child is the nursery's as any other.
    ///
    /// Nothing starts before the first poll.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped before its end, the child is cancelled; a value that was already on its way is dropped.
    ///
    /// # Errors
    ///
    /// What is said above; a cancel of the caller or of the nursery; [`NotStarted`](crate::NotStarted) when the nursery
    /// has ended.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::{FutureExt, Started, nursery};
    ///
    /// async fn serve(started: Started<u16>) -> triune_scope::Result {
    ///     let port = 8080; // what binding a socket gives
    ///     started.started(port)?;
    ///     std::future::pending::<()>().cancellable().await?;
    ///     Ok(())
    /// }
    ///
    /// nursery(async |n| {
    ///     assert_eq!(n.start(serve).await?, 8080);
    ///     n.cancel("enough");
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    #[track_caller]
    pub fn start<T, F, Fut>(&self, child: F) -> impl Future<Output = Result<T, E>> + use<'env, T, E, F, Fut>
    where
        F: FnOnce(Started<T>) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'env,
        T: Send + 'env,
    {
        Start::new(&self.shared, TaskInfo::of_type::<Fut>(Location::caller()), child, boxed)
    }

    /// The living children, in the order of their start.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::{Activity, ChildKind, FutureExt as _, nursery};
    ///
    /// nursery(async |n| {
    ///     let fetch = n.spawn_named("fetch", async { Ok(std::future::pending::<()>().cancellable().await?) });
    ///     let children = n.children();
    ///     assert_eq!((children[0].id(), children[0].name()), (fetch.id(), "fetch"));
    ///     assert_eq!((children[0].kind(), children[0].activity()), (ChildKind::Task, Activity::New));
    ///     n.cancel("seen");
    ///     assert_eq!(n.children()[0].cancel_reason().unwrap().message(), "seen");
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn children(&self) -> Vec<ChildInfo> {
        self.shared.core.children()
    }

    /// Cancels the nursery: its body and all its children.
    #[track_caller]
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.shared.core.node.cancel(reason.into().at(Location::caller()));
    }

    /// The scope of the nursery. It is entered already.
    pub fn scope(&self) -> &CancelScope {
        &self.shared.core.scope
    }

    /// Where the nursery was opened.
    pub fn location(&self) -> &'static Location<'static> {
        self.shared.core.opened_at()
    }
}

pub(super) fn boxed<'env, F: Member + Send + 'env>(child: F) -> BoxedChild<'env> {
    Box::pin(child)
}

impl<E> Clone for Nursery<'_, E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), errors: PhantomData }
    }
}

impl<E> fmt::Debug for Nursery<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.core.describe("Nursery", f)
    }
}
