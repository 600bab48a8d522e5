//! `race`, `join`, `as_completed`: futures side by side, whose losers are cancelled *and* waited for.
//!
//! Each is a nursery whose children are the branches: it borrows what they borrow, it is `Send` if they are, and
//! errors, panics and cancels are those of any nursery. What a branch gives goes into an [`Inbox`].

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, Pending, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::child::{Child, Kind, Runner};
use super::core::Core;
use super::engine::Engine;
use super::queue::Shared;
use crate::cancel::leaf::Leaf;
use crate::cancel::{CancelReason, Cause, cancel_reason};
use crate::error::{Cancelled, Error, Result};
use crate::lock::Mutex;
use crate::task::TaskInfo;
use crate::tree::TaskWait;

const NEXT: TaskWait = TaskWait::on("the next to complete", None);

/// Runs futures side by side until the first one ends, cancels the others, and waits until they have cleaned up.
///
/// Takes a tuple of two to eight futures, a `Vec` or an array. All give a [`Result`] of the same value. If the first to
/// end fails, the race fails, and so it does when a loser fails in its clean-up: with an
/// [`ErrorGroup`](crate::ErrorGroup), as a nursery. Losers see [`Cause::Finished`].
///
/// # Cancel safety
///
/// Dropping it drops all branches.
///
/// # Errors
///
/// The group of errors; a cancel from around it. Of nothing, it fails at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use std::time::Duration;
/// use triune_scope::{Result, race, sleep};
///
/// async fn mirror(name: &str, delay: u64) -> Result<&str> {
///     sleep(Duration::from_millis(delay)).await?;
///     Ok(name)
/// }
/// assert_eq!(race((mirror("near", 1), mirror("far", 10_000))).await?, "near");
/// # Ok(()) }
/// ```
#[track_caller]
pub fn race<R: Race>(branches: R) -> impl Future<Output = Result<R::Output>> {
    branches.race()
}

/// Runs futures side by side until all have ended, and gives all values. The first that fails cancels the others, which
/// may clean up.
///
/// Takes a tuple of two to eight futures, of different values too, or a `Vec` or an array of one kind.
///
/// # Cancel safety
///
/// Dropping it drops all branches.
///
/// # Errors
///
/// An [`ErrorGroup`](crate::ErrorGroup) of all errors; a cancel from around it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::join;
///
/// let (number, text) = join((async { Ok(1) }, async { Ok("one") })).await?;
/// assert_eq!((number, text), (1, "one"));
/// # Ok(()) }
/// ```
#[track_caller]
pub fn join<J: Join>(branches: J) -> impl Future<Output = Result<J::Output>> {
    branches.join()
}

/// Runs futures side by side and gives `body` their values in the order in which they end. When the body ends early,
/// the rest is cancelled and waited for.
///
/// A future that fails fails the whole, as a child does its nursery; to handle errors one by one, let the futures give
/// them as values.
///
/// # Cancel safety
///
/// Dropping it drops the body and all futures.
///
/// # Errors
///
/// An [`ErrorGroup`](crate::ErrorGroup) of what failed; a cancel from around it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::as_completed;
///
/// let pages = (1..=3).map(|number| async move { Ok(number * 10) });
/// let sum = as_completed(pages, async |mut pages| {
///     let mut sum = 0;
///     while let Some(page) = pages.next().await? {
///         sum += page;
///     }
///     Ok(sum)
/// });
/// assert_eq!(sum.await?, 60);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn as_completed<T, F, B, Fut, R>(
    futures: impl IntoIterator<Item = F>,
    body: B,
) -> impl Future<Output = Result<R>>
where
    F: Future<Output = Result<T>>,
    B: FnOnce(Completed<T>) -> Fut,
    Fut: Future<Output = Result<R>>,
{
    let (group, inbox) = (Group::new(), Inbox::new());
    for future in futures {
        group.add::<F>(Kind::Daemon, Branch::new(&inbox, future));
    }
    group.run(body(Completed { inbox }))
}

/// What [`race`] takes.
pub trait Race: Sized {
    /// What each branch gives.
    type Output;

    /// See [`race`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops all branches.
    #[track_caller]
    fn race(self) -> impl Future<Output = Result<Self::Output>>;
}

/// What [`join`] takes.
pub trait Join: Sized {
    /// What the branches give together.
    type Output;

    /// See [`join`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops all branches.
    #[track_caller]
    fn join(self) -> impl Future<Output = Result<Self::Output>>;
}

/// The values of the futures of [`as_completed`], in the order of their ends.
pub struct Completed<T> {
    inbox: Arc<Inbox<T>>,
}

impl<T> Completed<T> {
    /// The next value; `None` when all futures have ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when the scope around it is cancelled, or another future failed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
    /// use triune_scope::as_completed;
    ///
    /// let jobs = [3, 1, 2].map(async |turns| {
    ///     for _turn in 0..turns {
    ///         tokio::task::yield_now().await;
    ///     }
    ///     Ok(turns)
    /// });
    /// let order = as_completed(jobs, async |mut completed| {
    ///     let mut order = Vec::new();
    ///     while let Some(turns) = completed.next().await? {
    ///         order.push(turns);
    ///     }
    ///     Ok(order)
    /// });
    /// assert_eq!(order.await?, [1, 2, 3]);
    /// # Ok(()) }
    /// ```
    pub async fn next(&mut self) -> Result<Option<T>, Cancelled> {
        let mut leaf = Leaf::default();
        let mut fresh = true;
        poll_fn(|cx| {
            if fresh {
                if let Poll::Ready(cancelled) = leaf.poll_for(NEXT, cx) {
                    return Poll::Ready(Err(cancelled));
                }
                fresh = leaf.is_yielding();
                if fresh {
                    return Poll::Pending;
                }
            }
            self.inbox.poll(&mut leaf, cx)
        })
        .await
    }
}

impl<T> fmt::Debug for Completed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completed").field("left", &self.inbox.0.lock().left).finish_non_exhaustive()
    }
}

/// Where branches put their values.
struct Inbox<T>(Mutex<Mail<T>>);

struct Mail<T> {
    values: VecDeque<(usize, T)>,
    /// How many branches there were, which is the index of the next.
    branches: usize,
    /// How many of them have given no value.
    left: usize,
    waker: Option<Waker>,
}

impl<T> Inbox<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Mail { values: VecDeque::new(), branches: 0, left: 0, waker: None })))
    }

    fn put(&self, index: usize, value: T) {
        let mut mail = self.0.lock();
        mail.values.push_back((index, value));
        mail.left -= 1;
        let waker = mail.waker.take();
        drop(mail);
        waker.into_iter().for_each(Waker::wake);
    }

    /// What is there counts before a cancel that comes meanwhile.
    fn poll(&self, leaf: &mut Leaf, cx: &mut Context<'_>) -> Poll<Result<Option<T>, Cancelled>> {
        let mut mail = self.0.lock();
        if let Some((_, value)) = mail.values.pop_front() {
            return Poll::Ready(Ok(Some(value)));
        }
        if mail.left == 0 {
            return Poll::Ready(Ok(None));
        }
        let old = mail.waker.replace(cx.waker().clone());
        drop(mail);
        drop(old);
        leaf.poll_for(NEXT, cx).map(Err)
    }

    /// The values in the order of the branches, if none is missing.
    fn take_all(&self) -> Result<Vec<T>> {
        let mut mail = self.0.lock();
        let left = mail.left;
        let mut values = Vec::from(std::mem::take(&mut mail.values));
        drop(mail);
        if left > 0 {
            return Err(cut_off());
        }
        values.sort_by_key(|(index, _)| *index);
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }
}

/// Nothing failed, but branches gave no value: a cancel from around ended them.
fn cut_off() -> Error {
    Error::cancelled(cancel_reason().unwrap_or_else(|| CancelReason::from(Cause::Parent)))
}

pin_project! {
    /// A branch: puts what the future gives into the inbox.
    struct Branch<F, T> {
        inbox: Arc<Inbox<T>>,
        index: usize,
        #[pin]
        future: F,
    }
}

impl<F, T> Branch<F, T> {
    fn new(inbox: &Arc<Inbox<T>>, future: F) -> Self {
        let mut mail = inbox.0.lock();
        let index = mail.branches;
        mail.branches += 1;
        mail.left += 1;
        drop(mail);
        Self { inbox: Arc::clone(inbox), index, future }
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
struct Group<F> {
    shared: Arc<Shared<Held<F>>>,
    location: &'static Location<'static>,
}

type Held<F> = Pin<Box<Runner<(), F>>>;

impl<F: Future<Output = Result>> Group<F> {
    #[track_caller]
    fn new() -> Self {
        let location = Location::caller();
        Self { shared: Shared::new(Core::new(location)), location }
    }

    /// Adds a branch, named after the type `N`.
    fn add<N>(&self, kind: Kind, branch: F) {
        let task = TaskInfo::of_type::<N>(self.location);
        let _group_owns_it: Child<(), Error> = self.shared.start(kind, task, branch, Box::pin);
    }

    fn run<T, Fut: Future<Output = Result<T>>>(self, body: Fut) -> Combined<Held<F>, Fut, T> {
        Combined { engine: Engine::new(self.shared, body) }
    }

    /// The first value; the branches are daemons, so that the end of the body ends the others.
    fn first<T>(self, inbox: Arc<Inbox<T>>) -> impl Future<Output = Result<T>> {
        self.run(async move {
            let mut leaf = Leaf::default();
            let first = poll_fn(|cx| inbox.poll(&mut leaf, cx)).await?;
            first.ok_or_else(|| Error::msg("nothing to race: give at least one future"))
        })
    }
}

pin_project! {
    struct Combined<B, Fut, T>
    where
        B: super::set::Member,
        B: Unpin,
    {
        #[pin]
        engine: Engine<B, Fut, T>,
    }
}

impl<B, Fut, T> Future for Combined<B, Fut, T>
where
    B: super::set::Member + Unpin,
    Fut: Future<Output = Result<T>>,
{
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.project().engine.poll_end(cx).map(|end| end.into_result())
    }
}

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
