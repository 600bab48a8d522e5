//! The child's side.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::slot::Slot;
use crate::error::discard;
use crate::lock::Mutex;

/// How the child ended, for the caller.
pub(super) enum End<E> {
    Returned(Result<(), E>),
    Panicked(Box<dyn Any + Send>),
}

pub(super) type Outcome<E> = Arc<Mutex<Option<End<E>>>>;

pin_project! {
    /// The child: keeps a failure before `started` from the nursery.
    pub(in crate::nursery) struct Starting<T, E, F> {
        pub(super) slot: Arc<Slot<T>>,
        pub(super) outcome: Outcome<E>,
        #[pin]
        pub(super) future: Option<F>,
    }

    impl<T, E, F> PinnedDrop for Starting<T, E, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                this.slot.poll_began();
                this.future.set(None);
                this.slot.end(true);
            }
        }
    }
}

impl<T, E, F> Future for Starting<T, E, F>
where
    F: Future<Output = Result<(), E>>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.slot.poll_began();
        let future = this.future.as_mut().as_pin_mut().expect("a child is not polled after its end");
        let end = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => {
                this.slot.poll_ended();
                return Poll::Pending;
            }
            Ok(Poll::Ready(end)) => End::Returned(end),
            Err(payload) => End::Panicked(payload),
        };
        let end = match (end, catch_unwind(AssertUnwindSafe(|| this.future.set(None)))) {
            (End::Returned(_), Err(payload)) => End::Panicked(payload),
            (end, dropped) => {
                dropped.err().into_iter().for_each(discard);
                end
            }
        };
        // Stored first: the caller looks as soon as it is woken. Nobody else takes it.
        let failed = !matches!(end, End::Returned(Ok(())));
        *this.outcome.lock() = Some(end);
        if this.slot.end(failed) {
            return Poll::Ready(Ok(()));
        }
        let end = this.outcome.lock().take();
        match end {
            None | Some(End::Returned(Ok(()))) => Poll::Ready(Ok(())),
            Some(End::Returned(Err(error))) => Poll::Ready(Err(error)),
            Some(End::Panicked(payload)) => resume_unwind(payload),
        }
    }
}
