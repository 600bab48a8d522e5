//! The way to the guardian: the root starts it when it needs one, children inherit it.
//!
//! The root also keeps it: a thread waits for its end, reaps it, and, if it was killed, ends what it left behind.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::SetOnce;

use super::message::Request;
use super::role::{NO_NAMESPACE, OUTER_ROLE, ROLE};
use crate::containment::{self, Containment};
use crate::exit::Exit;
use crate::marker::{self, Marker, Membership};
use crate::start::{Plan, Streams};
use crate::{sys, tree};

/// How long a guardian may take to say hello. It takes a millisecond, unless the program never reaches its entry.
const HELLO: Duration = Duration::from_secs(10);

/// How often we start another one when somebody kills it before it is up.
const KILLED: usize = 3;

/// How long the end of the program waits for the guardian, which needs less than a millisecond.
const DISMISSAL: Duration = Duration::from_secs(1);

/// How long to wait for a process that is just becoming another program, before the next look.
const UNSETTLED: Duration = Duration::from_millis(2);

/// How often we look for what a killed guardian left, while it is still starting more.
const SWEEPS: usize = 20;

/// The way to a guardian.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// This is the root.
    Root(Arc<Connection>),
    /// This is a child, with this mark.
    Child(Arc<OwnedFd>, u64),
}

/// The root's connection to the guardian that it has started. It has one descriptor, whose socket bears the name
/// `triune-guardian-<pid>-<number>` in the abstract namespace, so that whoever counts descriptors can tell it from others.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    pid: u32,
    id: u64,
    /// Set when it has ended and everything is tidied.
    over: SetOnce<()>,
}

/// What a child has from the guardian: its way to make requests, and its mark. The child of a fork server begins with those
/// of its server, and is given its own.
static INHERITED: Mutex<Option<(Arc<OwnedFd>, u64)>> = Mutex::new(None);
static CURRENT: Mutex<Option<Arc<Connection>>> = Mutex::new(None);
/// Held while a guardian is started, so that there are never two of them.
static STARTING: Mutex<()> = Mutex::new(());

fn current() -> MutexGuard<'static, Option<Arc<Connection>>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over the way to the guardian that started this process.
pub(crate) fn inherit(membership: &Membership, mark: u64) -> io::Result<()> {
    let requests = sys::take_socket(membership.requests)?;
    containment::inherit(membership.level);
    adopt(requests, mark);
    Ok(())
}

/// This process makes its requests here from now on, and has this mark.
pub(crate) fn adopt(requests: OwnedFd, mark: u64) {
    *inherited() = Some((Arc::new(requests), mark));
}

/// The socket by which a child makes requests.
pub(crate) fn own_requests() -> Option<Arc<OwnedFd>> {
    inherited().as_ref().map(|(requests, _)| Arc::clone(requests))
}

fn inherited() -> MutexGuard<'static, Option<(Arc<OwnedFd>, u64)>> {
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Way {
    /// The way that is there already. `None` if this is a root that has not started a guardian.
    pub(crate) fn existing() -> Option<Self> {
        if let Some((requests, mark)) = inherited().clone() {
            return Some(Self::Child(requests, mark));
        }
        current().clone().map(Self::Root)
    }

    /// The way, with the guardian started if need be. `None` if none can be had: then the level is
    /// [`Containment::Cooperative`]. Blocks until the guardian is up.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut killed = 0;
        loop {
            if let Some(way) = Self::existing() {
                return Ok(Some(way));
            }
            let level = containment::decide();
            if level == Containment::Cooperative {
                return Ok(None);
            }
            match start(level)? {
                Ok((connection, child)) => {
                    let connection = Arc::new(connection);
                    *current() = Some(Arc::clone(&connection));
                    if let Err(error) = keep(Arc::clone(&connection), child) {
                        *current() = None;
                        return Err(error);
                    }
                    return Ok(Some(Self::Root(connection)));
                }
                Err(Unready::Ended(Exit::Code(code))) if code == i32::from(NO_NAMESPACE) => {
                    containment::lower(Containment::Tree, "the system refuses a pid namespace");
                }
                // A program that never reaches its entry does not end like this: somebody has killed it.
                Err(Unready::Ended(Exit::Signal { .. })) if killed < KILLED => killed += 1,
                Err(why) => containment::lower(
                    Containment::Cooperative,
                    &format!("the guardian, which is this program once more, never got ready ({why})"),
                ),
            }
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(connection) => connection.socket.as_fd(),
            Self::Child(requests, _) => requests.as_fd(),
        }
    }

    /// The mark of this process; 0 for the root.
    pub(crate) fn own_mark(&self) -> u64 {
        match self {
            Self::Root(_) => 0,
            Self::Child(_, mark) => *mark,
        }
    }

    /// Whether the guardian does not hold the other end any more.
    pub(super) fn is_closed(&self) -> bool {
        sys::is_hung_up(self.socket())
    }

    /// Waits until the guardian has ended and is tidied up, so that another one may be started.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn ended(&self) {
        match self {
            Self::Root(connection) => {
                connection.over.wait().await;
            }
            // It dies with its guardian.
            Self::Child(..) => std::future::pending().await,
        }
    }
}

/// Why a guardian was never up.
#[derive(Debug)]
enum Unready {
    /// It has ended instead.
    Ended(Exit),
    /// It was silent for too long, and is ended.
    Silent,
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(exit) => exit.fmt(f),
            Self::Silent => write!(f, "silent for {} s", HELLO.as_secs()),
        }
    }
}

/// Starts a guardian and waits until it is up.
fn start(level: Containment) -> io::Result<Result<(Connection, Child), Unready>> {
    let (socket, theirs) = sys::message_pair()?;
    let id = tree::random();
    let own = std::process::id();
    sys::name_socket(socket.as_fd(), &format!("triune-guardian-{own}-{id:016x}"))?;
    let role = if level == Containment::Hard { OUTER_ROLE } else { ROLE };
    let marker = Marker { role: role.to_owned(), parent: own, nonce: id };
    let streams =
        Streams { stdin: theirs, stdout: sys::open_null()?, stderr: sys::copy_of_stderr()?, forks: None };
    let env = tree::environment();
    let mut child =
        Plan { name: ROLE, marker, membership: None, env, args: Vec::new(), folder: None, streams }
            .start()?;
    if says_hello(&socket) {
        let pid = child.id();
        return Ok(Ok((Connection { socket, pid, id, over: SetOnce::new() }, child)));
    }
    // Either its socket has ended with it, or it is too late, also for one that has only closed its end.
    let ended = sys::is_hung_up(socket.as_fd())
        && sys::open_process(child.id())
            .and_then(|handle| sys::block_until_any(&[handle.as_fd()], Some(DISMISSAL)))
            .is_ok_and(|ended| ended[0]);
    if !ended {
        child.kill()?;
    }
    let exit = child.wait().map_or(Exit::Unknown, sys::exit_of_status);
    Ok(Err(if ended { Unready::Ended(exit) } else { Unready::Silent }))
}

/// Waits until the guardian says that it is up.
fn says_hello(socket: &OwnedFd) -> bool {
    let until = Instant::now() + HELLO;
    loop {
        let mut buffer = [0; 8];
        match sys::receive_message(socket.as_fd(), &mut buffer) {
            Ok(message) => return message.len > 0,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return false,
            Err(_nothing_yet) => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || sys::block_until_any(&[socket.as_fd()], Some(left)).is_err() {
            return false;
        }
    }
}

/// Waits for the end of the guardian on a thread of its own: no runtime of this program lives as long.
fn keep(connection: Arc<Connection>, mut child: Child) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("triune-guardian".to_owned());
    // If there is no thread to be had, the guardian ends, since nobody holds its socket, and stays a zombie.
    #[expect(
        clippy::disallowed_methods,
        reason = "no runtime of this program lives as long as the guardian"
    )]
    thread.spawn(move || {
        // Unknown where SIGCHLD is ignored, or somebody waits for any child.
        let exit = child.wait().map_or(Exit::Unknown, sys::exit_of_status);
        let said_goodbye =
            sys::receive_message(connection.socket.as_fd(), &mut [0; 8]).is_ok_and(|message| message.len > 0);
        if exit != Exit::Code(0) && !said_goodbye {
            mourn(&connection, exit);
        }
        let mut current = current();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &connection)) {
            *current = None;
        }
        drop(current);
        // The thread sets it once.
        let _first = connection.over.set(());
    })?;
    Ok(())
}

/// The guardian was killed. Its children die with it; what they had started and what has left them is ended here.
fn mourn(connection: &Connection, exit: Exit) {
    let pid = connection.pid;
    if exit != Exit::Unknown {
        tracing::error!(pid, %exit, "the guardian has died, and all processes beneath it die with it; the next start makes another one");
    }
    for _ in 0..SWEEPS {
        let is_ours = |value: &[u8]| Membership::is_beneath(value, connection.id);
        let (left, unsettled) = sys::carriers(marker::MEMBERSHIP, is_ours);
        match (left.is_empty(), unsettled) {
            (true, false) => return,
            (true, true) => std::thread::park_timeout(UNSETTLED),
            (false, _) => {}
        }
        for pid in left {
            let Ok(handle) = sys::open_process(pid) else { continue };
            // Opened first and asked again: the number may have become that of another process.
            if sys::variable_of(pid, marker::MEMBERSHIP).is(is_ours) {
                // It may be somebody else's by now (setuid), or gone.
                let _not_ours_any_more = sys::signal_process(handle.as_fd(), libc::SIGKILL);
                // A process without memory has no environment either: wait until it has died, not until it is reaped.
                let _seldom_longer =
                    sys::block_until_any(&[handle.as_fd()], Some(Duration::from_millis(100)));
            }
        }
    }
    tracing::error!(pid, "there are still processes that a killed guardian has left");
}

/// Kills every process of this tree at once, children of children included. For the end of a program that does not wait.
pub(crate) fn kill_everything() {
    if let Some(Way::Root(connection)) = Way::existing() {
        // If it is gone, its children are, too.
        let _gone = sys::send_message(connection.socket.as_fd(), &Request::KillAll.encode(), &[]);
    }
}

/// Tells the guardian that the program ends, and waits until it has gone, with everything that is left of the tree.
pub(crate) fn dismiss() {
    let Some(connection) = current().take() else { return };
    // It has gone by itself, if this fails.
    let _gone = sys::close_both_ways(connection.socket.as_fd());
    let until = Instant::now() + DISMISSAL;
    // The keeper is a thread, which this one cannot be woken by without a runtime.
    while connection.over.get().is_none() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_micros(200));
    }
}
