//! Futures that live in another scope than the one where they are polled: `detached` and `bind`.
//!
//! The ambient scope is that of the poll. A future that is shared between scopes (a connection that several wait for,
//! a value that is made once) belongs to none of its pollers, and must say so.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::ambient;
use super::boundary::Boundary;
use super::scope::CancelScope;
use crate::error::Cancelled;

pin_project! {
    /// A future outside of every scope, made by [`FutureExt::detached`](crate::FutureExt::detached).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Detached<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Detached<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut future = this.project().future;
            ambient::with(&mut None, || future.set(None));
        }
    }
}

impl<F: Future> Detached<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Some(future) }
    }
}

impl<F: Future> Future for Detached<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.project().future.as_pin_mut().expect("only dropping takes the future");
        ambient::with(&mut None, || future.poll(cx))
    }
}

pin_project! {
    /// A future in a scope of its own choice, made by [`FutureExt::bind`](crate::FutureExt::bind).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Bound<F> {
        #[pin]
        boundary: Boundary<F>,
    }
}

impl<F: Future> Bound<F> {
    pub(super) fn new(scope: &CancelScope, future: F) -> Self {
        Self { boundary: Boundary::bound(scope.node(), future) }
    }
}

impl<F: Future> Future for Bound<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().boundary.poll(cx).map_err(Cancelled::new)
    }
}
