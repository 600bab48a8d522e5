//! The one future that waits in a queue.
//!
//! # Invariants
//!
//! 1. At the first poll the scope is looked at first: a cancelled one wins, and the operation has not begun.
//! 2. Afterwards the queue is looked at first: what was handed over wins, and the cancel is left to the next
//!    checkpoint.
//! 3. A wait that is dropped after something was handed to it gives that back.
//! 4. Only a wait that must wait registers in its scope: one that is served at once costs a look.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::queue::Key;
use crate::cancel::leaf::Leaf;
use crate::error::Cancelled;
use crate::tree::TaskWait;

/// What is waited for. The methods take the primitive's lock themselves.
pub(super) trait Source {
    type Output;

    /// What the tree calls the wait.
    const NAME: &'static str;

    /// Takes what is there, or queues with `waker`.
    fn begin(&mut self, waker: &Waker) -> Result<Self::Output, Key>;

    /// What was handed over; else the key, and `waker` will be woken.
    fn take_granted(&mut self, key: Key, waker: &Waker) -> Result<Self::Output, Key>;

    /// Leaves the queue; what had been handed over meanwhile is returned.
    fn withdraw(&mut self, key: Key) -> Option<Self::Output>;

    /// What [`withdraw`](Self::withdraw) returned is delivered after all, because it came before the cancel.
    fn keep(&mut self, _output: &Self::Output) {}

    /// Hands on what nobody took. For guards, dropping does it.
    fn give_back(&mut self, output: Self::Output) {
        drop(output);
    }
}

/// Where a wait stands, without what it waits for.
#[derive(Debug, Default)]
pub(super) struct Progress {
    leaf: Leaf,
    /// Where the wait was called.
    location: Option<&'static Location<'static>>,
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Fresh,
    Queued(Key),
    Over,
}

impl Progress {
    pub(super) fn poll<S: Source>(
        &mut self,
        source: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Output, Cancelled>> {
        let shown = TaskWait::on(S::NAME, self.location);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Fresh => {
                self.stage = Stage::Fresh;
                if let Err(cancelled) = ready!(self.leaf.poll_entry(shown, cx)) {
                    self.stage = Stage::Over;
                    return Poll::Ready(Err(cancelled));
                }
                // Who is always served at once must let its siblings run, too.
                let budget = ready!(tokio::task::coop::poll_proceed(cx));
                match source.begin(cx.waker()) {
                    Ok(output) => {
                        budget.made_progress();
                        self.stage = Stage::Over;
                        return Poll::Ready(Ok(output));
                    }
                    Err(key) => self.stage = Stage::Queued(key),
                }
            }
            Stage::Queued(key) => match source.take_granted(key, cx.waker()) {
                Ok(output) => {
                    self.leaf = Leaf::default();
                    return Poll::Ready(Ok(output));
                }
                Err(key) => self.stage = Stage::Queued(key),
            },
            Stage::Over => panic!("a wait is not polled after its end"),
        }
        let cancelled = ready!(self.leaf.poll_for(shown, cx));
        let output = self.withdraw(source);
        output.iter().for_each(|output| source.keep(output));
        Poll::Ready(output.ok_or(cancelled))
    }

    /// Ends the wait, whatever its stage, and gives back what was handed to it.
    pub(super) fn abandon<S: Source>(&mut self, source: &mut S) {
        if let Some(output) = self.withdraw(source) {
            source.give_back(output);
        }
    }

    fn withdraw<S: Source>(&mut self, source: &mut S) -> Option<S::Output> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Queued(key) => source.withdraw(key),
            Stage::Fresh | Stage::Over => None,
        }
    }
}

/// A wait together with what it waits for, which is there again afterwards.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Wait<S: Source> {
    progress: Progress,
    pub(super) source: S,
}

impl<S: Source> Wait<S> {
    /// `location` is where the caller of the primitive waits.
    pub(super) fn new(location: &'static Location<'static>, source: S) -> Self {
        Self { progress: Progress { location: Some(location), ..Progress::default() }, source }
    }
}

impl<S: Source + Unpin> Future for Wait<S> {
    type Output = Result<S::Output, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.progress.poll(&mut this.source, cx)
    }
}

impl<S: Source> Drop for Wait<S> {
    fn drop(&mut self) {
        self.progress.abandon(&mut self.source);
    }
}

/// A wait that no cancel ends: a lock that must be held again before anything can be said.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Uncancellable<S: Source> {
    stage: Stage,
    source: S,
}

impl<S: Source> Uncancellable<S> {
    pub(super) fn new(source: S) -> Self {
        Self { stage: Stage::Fresh, source }
    }

    /// Goes on waiting where somebody else has queued.
    pub(super) fn queued(source: S, key: Key) -> Self {
        Self { stage: Stage::Queued(key), source }
    }
}

impl<S: Source + Unpin> Future for Uncancellable<S> {
    type Output = S::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Output> {
        let this = &mut *self;
        let polled = match std::mem::replace(&mut this.stage, Stage::Over) {
            Stage::Fresh => this.source.begin(cx.waker()),
            Stage::Queued(key) => this.source.take_granted(key, cx.waker()),
            Stage::Over => panic!("a wait is not polled after its end"),
        };
        match polled {
            Ok(output) => Poll::Ready(output),
            Err(key) => {
                this.stage = Stage::Queued(key);
                Poll::Pending
            }
        }
    }
}

impl<S: Source> Drop for Uncancellable<S> {
    fn drop(&mut self) {
        if let Stage::Queued(key) = std::mem::replace(&mut self.stage, Stage::Over)
            && let Some(output) = self.source.withdraw(key)
        {
            self.source.give_back(output);
        }
    }
}
