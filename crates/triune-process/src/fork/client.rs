//! The owner's side: a fork server as a child, and orders to it.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::FORK_SERVER;
use crate::containment::{self, Containment};
use crate::error::StartError;
use crate::guardian::{self, Way};
use crate::process::Process;
use crate::spec::Spec;
use crate::{entry, hook, sys};

/// How long the end of a fork server may take to be known after its socket has ended.
const LINGER: Duration = Duration::from_millis(100);

/// A fork server, as its owner has it. A cheap handle: clones mean the same one.
///
/// When the last clone is dropped, it ends by itself; its [`process`](Self::process) tells when.
///
/// ```
/// use std::sync::OnceLock;
/// use triune_process::{Boot, FORK_SERVER, ForkServer, ROLES, Role, Spec};
///
/// static PRIMES: OnceLock<Vec<u8>> = OnceLock::new();
///
/// #[linkme::distributed_slice(ROLES)]
/// static SERVER: Role = Role { name: FORK_SERVER, main: serve };
///
/// /// Loads what all children share, and makes them.
/// fn serve(boot: Boot) -> u8 {
///     PRIMES.get_or_init(|| (2..=100).filter(|n| (2..*n).all(|d| n % d != 0)).collect());
///     match boot.into_forks() {
///         Ok(forks) => forks.serve(),
///         Err(error) => eprintln!("{error}"),
///     }
///     0
/// }
///
/// #[linkme::distributed_slice(ROLES)]
/// static LOOKUP: Role = Role { name: "look-up", main: |_boot: Boot| PRIMES.get().map_or(1, |primes| primes[9]) };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (server, _link) = ForkServer::start(Spec::new(FORK_SERVER, "primes")).await?;
/// let forked = server.fork(Spec::new("look-up", "tenth prime")).await?;
/// let (child, _link) = forked.expect("the server lives");
/// assert_eq!(child.wait().await.code(), Some(29));
///
/// server.dismiss();
/// assert!(server.process().wait().await.is_success());
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes nothing by itself; give it orders with `fork`"]
pub struct ForkServer {
    process: Process,
    orders: Arc<OwnedFd>,
}

impl ForkServer {
    /// Starts a fork server under `name`, and gives the parent's end of its link: see [`spawn`](crate::spawn). The program
    /// must have a role that is called [`FORK_SERVER`].
    ///
    /// It takes orders once its role has called [`Forks::serve`](crate::Forks::serve); those that come before wait.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// As [`spawn`](crate::spawn). Without a guardian, that is, at the level
    /// [`Cooperative`](crate::Containment::Cooperative), there are no fork servers.
    pub async fn start(spec: Spec) -> Result<(Self, UnixStream), StartError> {
        let spec = Spec { role: FORK_SERVER, ..spec };
        entry::guard(&spec.name)?;
        let started = match containment::decide() {
            Containment::Cooperative => Ok(None),
            _ => guardian::start_fork_server(&spec).await,
        };
        let failed = |error| StartError::spawn(&spec.name, error);
        let Some((process, link, orders)) = started.map_err(failed)? else {
            return Err(failed(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                "a fork server needs a guardian, so the containment level `tree` or `hard`; \
                 choose another kind of worker or another level",
            )));
        };
        let (process, link) = hook::pass((process, link)).map_err(failed)?;
        Ok((Self { process, orders: Arc::new(orders) }, link))
    }

    /// The process of the server.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Lets the server go, whoever has clones of this: it takes no further order, and ends by itself.
    pub fn dismiss(&self) {
        // It has gone by itself, if this fails.
        let _gone = sys::close_both_ways(self.orders.as_fd());
    }

    /// Has the server make a child, which plays the role that `spec` names, and gives its handle and link as
    /// [`spawn`](crate::spawn) does. `None` if the server has ended instead, or the child was killed before it ran anything.
    ///
    /// The child has the environment of the server with the changes that `spec` makes, and all of its memory.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind: the guardian kills what was made for an order that is given up.
    ///
    /// # Errors
    /// If the system refuses a process or a descriptor.
    pub async fn fork(&self, spec: Spec) -> Result<Option<(Process, UnixStream)>, StartError> {
        let failed = |error| StartError::spawn(&spec.name, error);
        guardian::check(&spec).map_err(failed)?;
        // Without a guardian there is no fork server any more either.
        let Some(way) = Way::existing() else { return Ok(None) };
        let order = guardian::order(&spec, way.own_mark(), spec.changes(), false);
        let forked = guardian::attempt(self.orders.as_fd(), order, &spec, None).await.map_err(failed)?;
        match forked {
            Some(forked) => hook::pass(forked).map(Some).map_err(failed),
            None => {
                // Its sockets end a moment before its end is known; whoever asks next is to know.
                let _ended_or_only_the_child = timeout(LINGER, self.process.wait()).await;
                Ok(None)
            }
        }
    }
}
