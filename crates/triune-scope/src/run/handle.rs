//! The handle of a run: its main task, its extensions, its end.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::callbacks::Callbacks;
use super::registry;
use super::system::SystemPanic;
use crate::cancel::ambient;
use crate::cancel::boundary::{RootBoundary, heir};
use crate::cancel::flags::Flag;
use crate::cancel::node::{Inherit, Node, Place};
use crate::cancel::{CancelReason, Cause};
use crate::instrument::{Instruments, Interest};
use crate::lock::Mutex;
use crate::probe::HardStops;
use crate::task::TaskInfo;
use crate::tree::Tree;
use crate::tree::record::Record;

/// How long [`Run::close`] waits for system tasks and left-over parallel children.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// One program run on one tokio runtime. A cheap handle.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{Cause, FutureExt as _, Run};
///
/// let run = Run::current();
/// let main = run.main(async {
///     assert_eq!(Run::current().tree().tasks()[0].info.name(), "main");
///     run.cancel(Cause::Shutdown);
///     std::future::pending::<()>().cancellable().await.unwrap_err().reason().clone()
/// });
/// assert_eq!(*main.await.unwrap().cause(), Cause::Shutdown);
/// assert_eq!(run.cancel_reason().unwrap().cause(), &Cause::Shutdown);
/// run.close().await;
/// assert!(std::thread::spawn(Run::try_current).join().unwrap().is_none(), "there is no runtime");
/// # }
/// ```
#[derive(Clone)]
pub struct Run(Arc<Inner>);

struct Inner {
    runtime: Handle,
    /// Above the main task, and above nurseries that were opened outside of it: signals cancel it.
    root: Arc<Node>,
    /// The scope of the system tasks.
    system: Arc<Node>,
    live: AtomicUsize,
    /// Notified when the last of something is gone that [`Run::close`] waits for.
    idle: Notify,
    callbacks: Callbacks,
    crash: OnceLock<SystemPanic>,
    instruments: Arc<Instruments>,
    started: AtomicBool,
    extensions: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    /// No extension, because a cancel of many asks for it once for each.
    hard_stops: OnceLock<Arc<HardStops>>,
}

impl Run {
    fn new(runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            runtime,
            root: heir(),
            system: heir(),
            live: AtomicUsize::new(0),
            idle: Notify::new(),
            callbacks: Callbacks::default(),
            crash: OnceLock::new(),
            instruments: Arc::default(),
            started: AtomicBool::new(false),
            extensions: Mutex::default(),
            hard_stops: OnceLock::new(),
        }))
    }

    /// The run of the tokio runtime that the caller is in.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn current() -> Self {
        match Handle::try_current() {
            Ok(runtime) => Self::of(&runtime),
            Err(_) => panic!("triune needs a tokio runtime here: use #[triune::main], or call it inside one"),
        }
    }

    /// The run of the tokio runtime that the caller is in; `None` outside of one.
    pub fn try_current() -> Option<Self> {
        Handle::try_current().ok().map(|runtime| Self::of(&runtime))
    }

    pub(crate) fn of(runtime: &Handle) -> Self {
        registry::find_or_insert(runtime, Self::new)
    }

    /// Runs the main task beneath the root scope; `None` if a cancel cut it off.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the main task.
    pub async fn main<F: Future>(&self, main: F) -> Option<F::Output> {
        if !self.0.started.swap(true, Ordering::Relaxed) {
            self.0.instruments.call(Interest::RUNS, |instrument| instrument.run_started());
        }
        let task = TaskInfo::named("main", Location::caller());
        let node = Node::task_root(&self.0.root, Inherit::Yes, task, Record::new(), ambient::vars());
        RootBoundary::root(node, main).await.ok()
    }

    /// Cancels the main task and everything beneath it.
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        self.0.root.cancel(reason.into());
    }

    /// Why the main task was cancelled, if it was.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.0.root.cancel_reason()
    }

    /// The one value of type `T` of this run; `init` makes it at the first call.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use triune_scope::Run;
    ///
    /// #[derive(Default)]
    /// struct Requests(AtomicU32);
    ///
    /// let run = Run::current();
    /// assert!(run.find_extension::<Requests>().is_none());
    /// run.extension(Requests::default).0.fetch_add(1, Relaxed);
    /// assert_eq!(run.find_extension::<Requests>().unwrap().0.load(Relaxed), 1);
    /// # }
    /// ```
    pub fn extension<T: Any + Send + Sync>(&self, init: impl FnOnce() -> T) -> Arc<T> {
        if let Some(found) = self.find_extension() {
            return found;
        }
        // Made outside of the lock, because it may ask for another extension.
        let made = Arc::new(init());
        let mut extensions = self.0.extensions.lock();
        let entry = Arc::clone(extensions.entry(TypeId::of::<T>()).or_insert(made));
        drop(extensions);
        entry.downcast().unwrap_or_else(|_| unreachable!("the key is the type"))
    }

    /// The value of type `T`, if there is one.
    pub fn find_extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let entry = self.0.extensions.lock().get(&TypeId::of::<T>()).cloned()?;
        entry.downcast().ok()
    }

    /// Cancels the system tasks and waits until they, and every parallel child of a dropped nursery, have ended; then calls
    /// the callbacks that still wait. What does not end within 10 seconds is logged and left to the runtime.
    ///
    /// # Cancel safety
    ///
    /// May be called again.
    pub async fn close(&self) {
        self.0.system.cancel(Cause::Shutdown.into());
        let all_gone = async {
            self.wait_until(|| self.living() == 0).await;
            // Only now, because the tasks may have queued callbacks at their end; and these may have started tasks.
            self.0.callbacks.close();
            self.wait_until(|| self.0.callbacks.is_over() && self.living() == 0).await;
        };
        if tokio::time::timeout(CLOSE_LIMIT, all_gone).await.is_err() {
            let left = self.living();
            tracing::error!(left, limit = ?CLOSE_LIMIT, "tasks are still alive at the end of the run");
        }
        let extensions = std::mem::take(&mut *self.0.extensions.lock());
        drop(extensions);
        registry::remove(self.0.runtime.id());
        self.0.instruments.call(Interest::RUNS, |instrument| instrument.run_closed());
    }

    async fn wait_until(&self, holds: impl Fn() -> bool) {
        loop {
            let mut idle = pin!(self.0.idle.notified());
            idle.as_mut().enable();
            if holds() {
                return;
            }
            idle.await;
        }
    }

    /// A snapshot of the tasks of this run, see [`tree`](crate::tree).
    pub fn tree(&self) -> Tree {
        Tree::of(self.roots())
    }

    /// What everything of this run is beneath.
    pub(super) fn roots(&self) -> Vec<Arc<Node>> {
        vec![Arc::clone(&self.0.root), Arc::clone(&self.0.system)]
    }

    /// The same as long as the run lives.
    pub(crate) fn roots_weakly(&self) -> [Weak<Node>; 2] {
        [Arc::downgrade(&self.0.root), Arc::downgrade(&self.0.system)]
    }

    pub(crate) fn instruments(&self) -> &Arc<Instruments> {
        &self.0.instruments
    }

    pub(super) fn system(&self) -> &Arc<Node> {
        &self.0.system
    }

    pub(super) fn callbacks(&self) -> &Callbacks {
        &self.0.callbacks
    }

    pub(super) fn crash(&self) -> &OnceLock<SystemPanic> {
        &self.0.crash
    }

    /// Something is gone that [`close`](Self::close) may wait for.
    pub(super) fn notify_idle(&self) {
        self.0.idle.notify_waiters();
    }

    fn living(&self) -> usize {
        self.0.live.load(Ordering::Acquire)
    }

    /// What a nursery hangs from that was opened outside of every task of triune.
    pub(crate) fn root(&self) -> &Arc<Node> {
        &self.0.root
    }

    /// Takes in the scope of code that is in no task, with what is around it: its tasks are seen from here, and a cancel of
    /// everything reaches them.
    pub(crate) fn adopt(&self, scope: &Arc<Node>) {
        let mut top = Arc::clone(scope);
        while let Some(above) = top.parent() {
            top = above;
        }
        if !self.roots_weakly().iter().any(|root| std::ptr::eq(root.as_ptr(), Arc::as_ptr(&top)))
            && top.raise(Flag::Adopted)
        {
            top.link(self.root(), Place::OwnTask);
        }
    }

    /// The runtime of this run.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    pub(crate) fn hard_stops(&self) -> &Arc<HardStops> {
        self.0.hard_stops.get_or_init(Arc::default)
    }

    pub(super) fn downgrade(&self) -> WeakRun {
        WeakRun(Arc::downgrade(&self.0))
    }

    pub(crate) fn live_guard(&self) -> LiveGuard {
        self.0.live.fetch_add(1, Ordering::AcqRel);
        LiveGuard(Arc::clone(&self.0))
    }
}

/// A run that is not kept alive.
pub(super) struct WeakRun(Weak<Inner>);

impl WeakRun {
    pub(super) fn upgrade(&self) -> Option<Run> {
        self.0.upgrade().map(Run)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("runtime", &self.0.runtime.id())
            .field("live", &self.living())
            .finish_non_exhaustive()
    }
}

/// Counts one task that the run must outlive.
pub(crate) struct LiveGuard(Arc<Inner>);

impl Drop for LiveGuard {
    fn drop(&mut self) {
        if self.0.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
