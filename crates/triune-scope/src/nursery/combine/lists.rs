//! Branches of one type: a `Vec`, an array.

use std::future::Future;

use super::functions::{Join, Race};
use super::group::{Branch, Group};
use super::inbox::Inbox;
use crate::error::Result;
use crate::nursery::child::Kind;

impl<T, F: Future<Output = Result<T>>> Race for Vec<F> {
    type Output = T;

    #[track_caller]
    fn race(self) -> impl Future<Output = Result<T>> {
        let (group, inbox) = (Group::new(), Inbox::new());
        for future in self {
            group.add::<F>(Kind::Daemon, Branch::new(&inbox, future));
        }
        group.first(inbox)
    }
}

impl<T, F: Future<Output = Result<T>>> Join for Vec<F> {
    type Output = Vec<T>;

    #[track_caller]
    fn join(self) -> impl Future<Output = Result<Vec<T>>> {
        let (group, inbox) = (Group::new(), Inbox::new());
        for future in self {
            group.add::<F>(Kind::Ordinary, Branch::new(&inbox, future));
        }
        let joined = group.run(std::future::ready(Ok(())));
        async move {
            joined.await?;
            inbox.take_all()
        }
    }
}

impl<T, F: Future<Output = Result<T>>, const N: usize> Race for [F; N] {
    type Output = T;

    #[track_caller]
    fn race(self) -> impl Future<Output = Result<T>> {
        Vec::from(self).race()
    }
}

impl<T, F: Future<Output = Result<T>>, const N: usize> Join for [F; N] {
    type Output = [T; N];

    #[track_caller]
    fn join(self) -> impl Future<Output = Result<[T; N]>> {
        let joined = Vec::from(self).join();
        async move {
            let values = joined.await?;
            Ok(values.try_into().unwrap_or_else(|_| unreachable!("there are as many values as branches")))
        }
    }
}
