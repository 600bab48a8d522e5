//! Children that are tokio tasks.
//!
//! The one place of this crate, beside `run`, that starts a task. The task reports its end to the nursery after
//! the child's future has been dropped, also when the runtime drops the task; and it is counted by the run, which
//! waits for it when its nursery cannot.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Instrument as _;

use super::child::{Child, Ended, Kind, Runner};
use super::core::Core;
use crate::cancel::node::{Node, Place};
use crate::error::NurseryError;
use crate::run::{LiveGuard, Run};
use crate::task::TaskInfo;

/// Starts a child that the caller has counted already.
#[track_caller]
pub(super) fn start<T, F, E>(core: &Arc<Core>, node: Arc<Node>, task: TaskInfo, future: F) -> Child<T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: NurseryError,
{
    let kind = Kind::of(&node);
    let reporter = Reporter { core: Arc::clone(core), kind: Some(kind), live: None };
    let (runner, child) = Runner::new(node, task, future);
    let mut parallel = Parallel { runner: Some(runner), reporter };
    // The caller may run inside another runtime than the nursery.
    let here = if core.run.get().is_none() { Run::try_current() } else { None };
    let Some(run) = core.run.get().or(here.as_ref()) else {
        drop(parallel);
        panic!("a parallel child needs a tokio runtime: await the nursery inside one");
    };
    parallel.reporter.live = Some(run.live_guard());
    #[expect(clippy::disallowed_methods, reason = "the nursery waits for it")]
    run.runtime().spawn(parallel.in_current_span());
    child
}

pin_project! {
    /// The tokio task of a child. Field order matters: the child is dropped before its end is reported.
    struct Parallel<T, F> {
        #[pin]
        runner: Option<Runner<T, F>>,
        reporter: Reporter,
    }
}

impl<T, F, E> Future for Parallel<T, F>
where
    F: Future<Output = Result<T, E>>,
    E: NurseryError,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(runner) = this.runner.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        match runner.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(finished) => {
                this.runner.set(None);
                this.reporter.report(finished.end().0);
                Poll::Ready(())
            }
        }
    }
}

/// Reports the end of a child exactly once, at the latest when it is dropped.
struct Reporter {
    core: Arc<Core>,
    /// Until the end is reported.
    kind: Option<Kind>,
    live: Option<LiveGuard>,
}

impl Reporter {
    fn report(&mut self, ended: Ended) {
        if self.kind.take().is_some() {
            self.core.report(ended);
            self.live = None;
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(kind) = self.kind {
            self.report(Ended { kind, place: Place::OwnTask, failure: None });
        }
    }
}
