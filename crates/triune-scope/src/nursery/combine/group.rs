//! The nursery of the branches.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::inbox::Inbox;
use crate::cancel::leaf::Leaf;
use crate::error::{Error, Result};
use crate::nursery::child::{Child, Kind, Runner};
use crate::nursery::core::Core;
use crate::nursery::engine::Engine;
use crate::nursery::queue::Shared;
use crate::nursery::set::Member;
use crate::task::TaskInfo;

pin_project! {
    /// A branch: puts what the future gives into the inbox.
    pub(super) struct Branch<F, T> {
        inbox: Arc<Inbox<T>>,
        index: usize,
        #[pin]
        future: F,
    }
}

impl<F, T> Branch<F, T> {
    pub(super) fn new(inbox: &Arc<Inbox<T>>, future: F) -> Self {
        Self { inbox: Arc::clone(inbox), index: inbox.expect(), future }
    }
}

impl<T, F: Future<Output = Result<T>>> Future for Branch<F, T> {
    type Output = Result;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result> {
        let this = self.project();
        this.future.poll(cx).map_ok(|value| this.inbox.put(*this.index, value))
    }
}

/// The nursery of the branches.
pub(super) struct Group<F> {
    shared: Arc<Shared<Held<F>>>,
    location: &'static Location<'static>,
}

pub(super) type Held<F> = Pin<Box<Runner<(), F>>>;

impl<F: Future<Output = Result>> Group<F> {
    #[track_caller]
    pub(super) fn new() -> Self {
        let location = Location::caller();
        Self { shared: Shared::new(Core::new(location)), location }
    }

    /// Adds a branch, named after the type `N`.
    pub(super) fn add<N>(&self, kind: Kind, branch: F) {
        let task = TaskInfo::of_type::<N>(self.location);
        let _group_owns_it: Child<(), Error> = self.shared.start(kind, task, branch, Box::pin);
    }

    pub(super) fn run<T, Fut: Future<Output = Result<T>>>(self, body: Fut) -> Combined<Held<F>, Fut, T> {
        Combined { engine: Engine::new(self.shared, body) }
    }

    /// The first value; the branches are daemons, so that the end of the body ends the others.
    pub(super) fn first<T>(self, inbox: Arc<Inbox<T>>) -> impl Future<Output = Result<T>> {
        self.run(async move {
            let mut leaf = Leaf::default();
            let first = poll_fn(|cx| inbox.poll(&mut leaf, cx)).await?;
            first.ok_or_else(|| Error::msg("nothing to race: give at least one future"))
        })
    }
}

pin_project! {
    pub(super) struct Combined<B, Fut, T>
    where
        B: Member,
        B: Unpin,
    {
        #[pin]
        engine: Engine<B, Fut, T>,
    }
}

impl<B, Fut, T> Future for Combined<B, Fut, T>
where
    B: Member + Unpin,
    Fut: Future<Output = Result<T>>,
{
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.project().engine.poll_end(cx).map(|end| end.into_result())
    }
}
