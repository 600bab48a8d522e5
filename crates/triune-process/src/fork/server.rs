//! The server's loop: one order, one fork. Nothing else runs in the process, so the loop blocks.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};

use super::child;
use crate::boot::Boot;
use crate::guardian::{Answer, MAX_INLINE, ORDER_DESCRIPTORS, Order, Request, read_order};
use crate::sys;

/// A fork server that has loaded what its children are to share, and is ready to make them.
#[derive(Debug)]
#[must_use = "it makes nothing by itself; call `serve`"]
pub struct Forks {
    orders: OwnedFd,
    only: sys::SoleThread,
    memory: sys::StartMemory,
    /// The parent of this process, and of the children that it makes.
    guardian: u32,
}

/// Why this process cannot make children by forking.
///
/// ```
/// use triune_process::{Boot, ForksError, ROLES, Role, Spec, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static NO_SERVER: Role = Role { name: "no-server", main: no_server };
///
/// fn no_server(boot: Boot) -> u8 {
///     match boot.into_forks() {
///         Err(ForksError::NotAsked) => 5,
///         _ => 1,
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (process, _link) = spawn(Spec::new("no-server", "no-server")).await?;
/// assert_eq!(process.wait().await.code(), Some(5));
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ForksError {
    /// It was not started as a fork server.
    NotAsked,
    /// It has other threads, with these names.
    Threads(Vec<String>),
    /// The system does not tell what has to be known.
    System(io::Error),
}

impl Boot {
    /// Makes a fork server of this process, which [`ForkServer::start`](crate::ForkServer::start) has started. Lets go of its
    /// own end of the link: what is still to be said there needs a copy.
    ///
    /// # Errors
    /// [`ForksError`] says what stands in the way, and what to do.
    pub fn into_forks(self) -> Result<Forks, ForksError> {
        let Self { orders, system_parent, .. } = self;
        let orders = orders.ok_or(ForksError::NotAsked)?;
        let others = sys::other_threads().map_err(ForksError::System)?;
        if !others.is_empty() {
            return Err(ForksError::Threads(others));
        }
        let only = sys::SoleThread::note().map_err(ForksError::System)?;
        let memory = sys::StartMemory::find().map_err(ForksError::System)?;
        Ok(Forks { orders, only, memory, guardian: system_parent })
    }
}

impl Forks {
    /// Makes a child for each order, until nobody can give one any more. Returns in the server only: a child plays its role
    /// and exits.
    pub fn serve(self) {
        // What is buffered now would be written by every child.
        let _closed_output_loses_nothing_more = io::stdout().flush();
        sys::flush_c_streams();
        let mut buffer = vec![0; MAX_INLINE];
        while let Some((order, fds)) = self.next(&mut buffer) {
            let Some(order) = order else { continue };
            let Ok(fds) = <[OwnedFd; ORDER_DESCRIPTORS]>::try_from(fds) else { continue };
            match sys::fork_as_sibling(&self.only) {
                Ok(sys::Side::Server) => {}
                Ok(sys::Side::Child) => {
                    let Self { orders, only, memory, guardian } = self;
                    // An open copy would keep the server alive that nobody else needs.
                    drop(orders);
                    child::live(order, fds, &child::Origin { only, memory, guardian })
                }
                Err(error) => {
                    let [channel, ..] = &fds;
                    let answer = Answer::failed(&error);
                    // If it is gone, nobody waits for the answer.
                    let _owner_gone = sys::send_message(channel.as_fd(), &answer.encode(), &[]);
                }
            }
        }
    }

    /// The next order and what comes with it. `None` when there will be no other.
    fn next(&self, buffer: &mut [u8]) -> Option<(Option<Order>, Vec<OwnedFd>)> {
        loop {
            match sys::receive_message(self.orders.as_fd(), buffer) {
                Ok(message) if message.len == 0 => return None,
                // Whoever sends something else gets no answer but the end of its channel.
                Ok(message) if message.truncated => return Some((None, Vec::new())),
                Ok(message) => {
                    let mut fds = message.fds;
                    let order = match Request::decode(&buffer[..message.len]) {
                        Some(Request::Spawn(order)) => Some(order),
                        Some(Request::SpawnFromFile) => fds.pop().and_then(read_order),
                        _ => None,
                    };
                    return Some((order, fds));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    sys::block_until_any(&[self.orders.as_fd()], None).ok()?;
                }
                Err(_reset) => return None,
            }
        }
    }
}

impl fmt::Display for ForksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("this process was not started as a fork server"),
            Self::Threads(names) => write!(
                f,
                "a process with threads cannot be forked, and this one has {} besides its main thread ({}); let them end \
                 before the `preload` job returns, or start them in the `init` job of each worker",
                names.len(),
                names.join(", ")
            ),
            Self::System(_) => {
                f.write_str("this system does not allow a fork server; use `WorkerKind::Spawn`")
            }
        }
    }
}

impl std::error::Error for ForksError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}
