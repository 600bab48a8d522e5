//! The injector: a relay in the link of every child that is started while it is installed.
//!
//! Owns the hook of this process and the log of what was injected.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use triune_process::__testing::hook_links;
use triune_process::Process;

use super::plan::{Direction, Fault, Plan};
use super::relay;

/// Called with each fault when it happens.
pub(super) type Log = Arc<dyn Fn(Direction, u64, Fault) + Send + Sync>;

/// Whether there is an injector. No mutex guard inside of it instead: an injector may be held across an await.
static INSTALLED: Mutex<bool> = Mutex::new(false);
static UNINSTALLED: Condvar = Condvar::new();

/// Whose link it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The name under which the child was started: the path of an actor, the name of a worker.
    pub name: String,
    /// The role that it plays, such as `actor` or `worker`.
    pub role: &'static str,
    /// Its process number.
    pub pid: u32,
}

/// One fault that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// On whose link.
    pub link: LinkInfo,
    /// On which way.
    pub direction: Direction,
    /// At which frame of this way, counted from 0.
    pub frame: u64,
    /// What happened.
    pub fault: Fault,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, direction, frame, fault } = self;
        write!(
            f,
            "{fault:?} at frame {frame} {direction:?} of {} `{}` (pid {})",
            link.role, link.name, link.pid
        )
    }
}

/// Relays the links of all children that this process starts, until it is dropped. Links that it has relayed once stay so
/// until they end.
///
/// A process has one injector; the next `install` blocks its thread until the last one is dropped. Children of children are started by
/// other processes: install one there, in an endpoint.
#[must_use = "faults are injected until it is dropped"]
pub struct Injector {
    injected: Arc<Mutex<Vec<Injected>>>,
}

impl Injector {
    /// From now on, asks `plan` for the faults of each new child's link.
    pub fn install(plan: impl Fn(&LinkInfo) -> Plan + Send + Sync + 'static) -> Self {
        let installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        let free = UNINSTALLED.wait_while(installed, |installed| *installed);
        *free.unwrap_or_else(PoisonError::into_inner) = true;
        let injected = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&injected);
        hook_links(Some(Arc::new(move |process: &Process, link: UnixStream| {
            let info = LinkInfo { name: process.name().to_owned(), role: process.role(), pid: process.pid() };
            let plan = plan(&info);
            if plan == Plan::new() {
                return Ok(link);
            }
            let log = Arc::clone(&log);
            let note = move |direction, frame, fault| {
                let one = Injected { link: info.clone(), direction, frame, fault };
                tracing::debug!(%one, "fault");
                log.lock().unwrap_or_else(PoisonError::into_inner).push(one);
            };
            relay::start(link, plan, handle(process.pid())?, Arc::new(note))
        })));
        Self { injected }
    }

    /// The faults that have happened so far, in order.
    #[must_use]
    pub fn injected(&self) -> Vec<Injected> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        hook_links(None);
        *INSTALLED.lock().unwrap_or_else(PoisonError::into_inner) = false;
        UNINSTALLED.notify_one();
    }
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector").field("injected", &self.injected()).finish_non_exhaustive()
    }
}

/// A handle on the process that stays valid when its number is used again. `None` if it has ended by now.
fn handle(pid: u32) -> io::Result<Option<OwnedFd>> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => Ok(Some(process)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
