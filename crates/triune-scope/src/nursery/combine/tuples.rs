//! Branches of different types: a tuple of two to eight.

use std::future::{Future, Pending};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::functions::{Join, Race};
use super::group::{Branch, Group};
use super::inbox::{Inbox, cut_off};
use crate::error::Result;
use crate::nursery::child::Kind;

pin_project! {
    /// One of the branches of a tuple: they are of one type for the nursery.
    #[project = OneOfProjection]
    enum OneOf<A, B, C, D, E, F, G, H> {
        A { #[pin] future: A },
        B { #[pin] future: B },
        C { #[pin] future: C },
        D { #[pin] future: D },
        E { #[pin] future: E },
        F { #[pin] future: F },
        G { #[pin] future: G },
        H { #[pin] future: H },
    }
}

/// Fills the places that a shorter tuple leaves.
type Unused = Pending<Result>;

impl<A, B, C, D, E, F, G, H> Future for OneOf<A, B, C, D, E, F, G, H>
where
    A: Future<Output = Result>,
    B: Future<Output = Result>,
    C: Future<Output = Result>,
    D: Future<Output = Result>,
    E: Future<Output = Result>,
    F: Future<Output = Result>,
    G: Future<Output = Result>,
    H: Future<Output = Result>,
{
    type Output = Result;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result> {
        match self.project() {
            OneOfProjection::A { future } => future.poll(cx),
            OneOfProjection::B { future } => future.poll(cx),
            OneOfProjection::C { future } => future.poll(cx),
            OneOfProjection::D { future } => future.poll(cx),
            OneOfProjection::E { future } => future.poll(cx),
            OneOfProjection::F { future } => future.poll(cx),
            OneOfProjection::G { future } => future.poll(cx),
            OneOfProjection::H { future } => future.poll(cx),
        }
    }
}

macro_rules! tuples {
    ($($($future:ident $F:ident $T:ident),+; $($unused:ident),*;)+) => {$(
        impl<T, $($F: Future<Output = Result<T>>),+> Race for ($($F,)+) {
            type Output = T;

            #[track_caller]
            fn race(self) -> impl Future<Output = Result<T>> {
                let ($($future,)+) = self;
                let (group, inbox) = (Group::<OneOf<$(Branch<$F, T>,)+ $($unused),*>>::new(), Inbox::new());
                $(group.add::<$F>(Kind::Daemon, OneOf::$F { future: Branch::new(&inbox, $future) });)+
                group.first(inbox)
            }
        }

        impl<$($T, $F: Future<Output = Result<$T>>),+> Join for ($($F,)+) {
            type Output = ($($T,)+);

            #[track_caller]
            fn join(self) -> impl Future<Output = Result<Self::Output>> {
                let ($($future,)+) = self;
                let group = Group::<OneOf<$(Branch<$F, $T>,)+ $($unused),*>>::new();
                let inboxes = ($({
                    let inbox = Inbox::new();
                    group.add::<$F>(Kind::Ordinary, OneOf::$F { future: Branch::new(&inbox, $future) });
                    inbox
                },)+);
                let joined = group.run(std::future::ready(Ok(())));
                async move {
                    joined.await?;
                    let ($($future,)+) = inboxes;
                    Ok(($($future.take_all()?.pop().ok_or_else(cut_off)?,)+))
                }
            }
        }
    )+};
}

tuples! {
    a A TA, b B TB; Unused, Unused, Unused, Unused, Unused, Unused;
    a A TA, b B TB, c C TC; Unused, Unused, Unused, Unused, Unused;
    a A TA, b B TB, c C TC, d D TD; Unused, Unused, Unused, Unused;
    a A TA, b B TB, c C TC, d D TD, e E TE; Unused, Unused, Unused;
    a A TA, b B TB, c C TC, d D TD, e E TE, f F TF; Unused, Unused;
    a A TA, b B TB, c C TC, d D TD, e E TE, f F TF, g G TG; Unused;
    a A TA, b B TB, c C TC, d D TD, e E TE, f F TF, g G TG, h H TH; ;
}
