//! Children that are polled for the first time where they are started: those of a server that most often end at once.
//!
//! Such a child needs no handle, no place in the queue and none in the set, and is a child all the same: its root is in the tree,
//! its panic is caught, its failure is the nursery's. If it parks, it is handed to the nursery, which polls it once more, because
//! nobody has heard its wakes so far.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_task::waker_ref;

use super::child::{Kind, Runner};
use super::handle::{Nursery, boxed};
use super::queue::Shared;
use super::set::Member;
use crate::cancel::ambient;
use crate::error::{NurseryError, Result};
use crate::instrument;
use crate::task::TaskInfo;

/// Starts a child as [`Nursery::spawn`] does, and polls it at once. To be called by the body of the nursery only: the child is
/// polled as a part of the caller's poll, so for many in a row `spawn` is fairer to others.
#[track_caller]
pub fn start_here<'env, E, F>(nursery: &Nursery<'env, E>, future: F)
where
    E: NurseryError,
    F: Future<Output = Result<(), E>> + Send + 'env,
{
    nursery.shared.start_here(TaskInfo::of_type::<F>(Location::caller()), future, boxed);
}

impl<B: Member + Unpin> Shared<B> {
    #[track_caller]
    fn start_here<F, E>(&self, task: TaskInfo, future: F, boxed: impl FnOnce(Runner<(), F>) -> B)
    where
        F: Future<Output = Result<(), E>>,
        E: NurseryError,
    {
        // Those that want more than a poll, and those that are cancelled before it, go the long way.
        let is_plain = !instrument::is_wanted() && ambient::vars().is_empty();
        let Some(root) = is_plain.then(|| self.core.try_here(&task)).flatten() else {
            drop(self.start(Kind::Ordinary, task, future, boxed));
            return;
        };
        let mut child = boxed(Runner::without_handle(root.clone(), future));
        match Pin::new(&mut child).poll(&mut Context::from_waker(&waker_ref(&root))) {
            Poll::Ready(finished) => {
                drop(root);
                let (ended, root) = finished.end();
                self.core.end_here(root);
                if ended.failure.is_some() {
                    self.core.report_here(ended);
                }
            }
            Poll::Pending => {
                self.core.keep_here(&root);
                if let Err(refusal) = self.push(Kind::Ordinary, child) {
                    self.refuse(refusal);
                }
            }
        }
    }
}
