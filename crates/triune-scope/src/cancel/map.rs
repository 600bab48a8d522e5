//! A future with its output changed. An `async` block would do, but it keeps the future that it awaits twice, and
//! scopes nest.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    #[derive(Debug)]
    pub(crate) struct Map<F, C> {
        #[pin]
        future: F,
        change: Option<C>,
    }
}

/// Changes what `future` resolves to.
pub(crate) fn map<F: Future, C: FnOnce(F::Output) -> T, T>(future: F, change: C) -> Map<F, C> {
    Map { future, change: Some(change) }
}

impl<F: Future, C: FnOnce(F::Output) -> T, T> Future for Map<F, C> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        this.future.poll(cx).map(|output| {
            let change = this.change.take().expect("a future is not polled after it has ended");
            change(output)
        })
    }
}
