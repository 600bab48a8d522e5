//! Siblings: what an actor knows of those that its parent has introduced to it.
//!
//! Owns the list of them, one for this process, which is one actor. How a link to one comes to be and ends is in `child/meet.rs`.
//!
//! 1. A peer in the list has a link that is up: whoever dies or ends is taken out.
//! 2. Of several with one name the last one that was introduced is found.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use triune_scope::Result;

use crate::call::{Call, DialogCall};
use crate::dialog::Dialog;
use crate::error::CallError;
use crate::identity::current_path;
use crate::portal::Portal;

/// How many others an actor knows at most.
pub(crate) const MOST: usize = 1024;

/// Another actor that this one was introduced to ([`introduce`](crate::introduce())), over a link of their own: their parent has no part in
/// what they say to each other. A cheap handle: clones mean the same actor.
///
/// Compared to a [`Portal`]: a peer can be called, and cannot be stopped; that is its parent's business.
///
/// When the other actor dies, every call and dialog with it ends at once with [`CallError::Died`]; its exit status is known to its parent
/// only. When it is stopped, its requests are cancelled and answered first; later ones end with [`CallError::Closed`].
///
/// ```
/// use triune::actor::{introduce, peer, peers};
/// use triune::prelude::*;
///
/// #[triune::endpoint]
/// async fn count(cx: Context<Started<u32>, Out<u32>, In<()>>) -> Result {
///     let mut dialog = cx.started(1).await?;
///     dialog.send(2).await?;
///     dialog.send(3).await?;
///     Ok(())
/// }
///
/// /// Has a dialog with a sibling, and tells of it.
/// #[triune::endpoint]
/// async fn listen() -> Result<(String, u32, u32)> {
///     let sibling = peer("counter")?;
///     assert_eq!((peers().len(), sibling.name()), (1, "counter"));
///     let talk = sibling.context(count::with(), async |first, mut dialog| {
///         let mut sum = first;
///         while let Some(number) = dialog.recv().await? {
///             sum += number;
///         }
///         Ok(sum)
///     });
///     let (sum, ()) = talk.await?;
///     Ok((sibling.path().to_owned(), sibling.pid(), sum))
/// }
///
/// #[triune::main]
/// async fn main() -> Result {
///     nursery(async |n| {
///         let (listener, counter) = (n.actor("listener").start().await?, n.actor("counter").start().await?);
///         introduce(&listener, &counter).await?;
///         assert_eq!(listener.call(listen::with()).await?, ("/counter".to_owned(), counter.pid(), 6));
///         Ok(())
///     })
///     .await
/// }
/// ```
#[derive(Clone)]
pub struct Peer {
    portal: Portal,
}

impl Peer {
    pub(crate) const fn new(portal: Portal) -> Self {
        Self { portal }
    }

    /// Calls an endpoint of the other actor and waits for its answer. See [`Portal::call`].
    ///
    /// # Cancel safety
    ///
    /// As [`Portal::call`].
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn call<O, E>(&self, call: Call<O, E>) -> Result<O, CallError<E>> {
        self.portal.call(call).await
    }

    /// Opens a dialog with an endpoint of the other actor. See [`Portal::context`].
    ///
    /// # Cancel safety
    ///
    /// As [`Portal::context`].
    ///
    /// # Errors
    ///
    /// As [`Portal::context`].
    pub async fn context<S, Out, In, O, E, T, F, Fut>(
        &self,
        call: DialogCall<S, Out, In, O, E>,
        block: F,
    ) -> Result<(T, O)>
    where
        F: FnOnce(S, Dialog<In, Out>) -> Fut,
        Fut: Future<Output = Result<T>>,
        E: fmt::Debug + Send + Sync + 'static,
    {
        self.portal.context(call, block).await
    }

    /// The name that the other actor was started under.
    pub fn name(&self) -> &str {
        self.portal.name()
    }

    /// Its path in the tree of actors, see [`current_path`].
    pub fn path(&self) -> &str {
        self.portal.path()
    }

    /// The number of its process, as it sees it itself.
    pub fn pid(&self) -> u32 {
        self.portal.pid()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("path", &self.path()).field("pid", &self.pid()).finish_non_exhaustive()
    }
}

/// The actor of this name that this one was introduced to.
///
/// Whoever is called after the introduction finds its peer; nothing is waited for here.
///
/// # Errors
///
/// [`NotIntroduced`] if there is none, or if it has ended.
///
/// ```
/// // The root is introduced to nobody: it has a portal to each of its actors.
/// let error = triune_actor::peer("ledger").unwrap_err();
/// assert_eq!(error.name(), "ledger");
/// ```
pub fn peer(name: &str) -> Result<Peer, NotIntroduced> {
    let found = known().iter().rev().find_map(|acquaintance| acquaintance.peer_named(name));
    found.ok_or_else(|| NotIntroduced { name: name.to_owned() })
}

/// All actors that this one was introduced to and that have not ended, in the order of their introductions.
///
/// ```
/// assert!(triune_actor::peers().is_empty());
/// ```
pub fn peers() -> Vec<Peer> {
    known().iter().filter_map(|acquaintance| acquaintance.peer()).collect()
}

/// There is no link to an actor of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotIntroduced {
    name: String,
}

impl NotIntroduced {
    /// The name that was looked for.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for NotIntroduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, here) = (&self.name, current_path());
        write!(
            f,
            "`{here}` knows no living actor `{name}`: their parent introduces two actors by `introduce`"
        )
    }
}

impl StdError for NotIntroduced {}

static KNOWN: Mutex<Vec<Arc<Acquaintance>>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Arc<Acquaintance>>> {
    // Each change is one call of a method of `Vec`.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One introduction, from the word of the parent to the end of the link.
#[derive(Debug)]
pub(crate) struct Acquaintance {
    /// The other one's path, as the parent says.
    path: String,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone)]
pub(crate) enum State {
    /// The two shake hands.
    Meeting,
    /// The link is up.
    Met(Peer),
    /// There is no link, or none any more.
    Over(Arc<str>),
}

impl Acquaintance {
    /// A new one in the list. `None` if this actor knows enough others.
    pub(crate) fn begin(path: String) -> Option<Arc<Self>> {
        let mut known = known();
        if known.len() >= MOST {
            return None;
        }
        let acquaintance = Arc::new(Self { path, state: watch::Sender::new(State::Meeting) });
        known.push(Arc::clone(&acquaintance));
        Some(acquaintance)
    }

    /// The last one with this path.
    pub(crate) fn with(path: &str) -> Option<Arc<Self>> {
        known().iter().rev().find(|acquaintance| acquaintance.path == path).cloned()
    }

    /// All whose link is up.
    pub(crate) fn all_met() -> Vec<Peer> {
        peers()
    }

    pub(crate) fn met(&self, peer: Peer) {
        self.state.send_replace(State::Met(peer));
    }

    /// Takes it out of the list.
    pub(crate) fn over(self: &Arc<Self>, why: &str) {
        self.state.send_replace(State::Over(why.into()));
        known().retain(|other| !Arc::ptr_eq(other, self));
    }

    /// Waits until the link is up. An error says why it is not.
    pub(crate) async fn wait(&self) -> Result<(), Arc<str>> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Meeting)).await;
        match &*settled.expect("the sender is borrowed here, so it lives") {
            State::Over(why) => Err(Arc::clone(why)),
            _ => Ok(()),
        }
    }

    fn peer(&self) -> Option<Peer> {
        match &*self.state.borrow() {
            State::Met(peer) => Some(peer.clone()),
            _ => None,
        }
    }

    fn peer_named(&self, name: &str) -> Option<Peer> {
        self.peer().filter(|peer| peer.name() == name)
    }
}

impl Peer {
    pub(crate) const fn portal(&self) -> &Portal {
        &self.portal
    }
}
