//! The owner's side of a start.
//!
//! Beneath a guardian (the default) this is a request and an answer, see `guardian::order`. At the level `Cooperative` the
//! owner starts the child itself: that suspends the calling thread until the child has begun to execute (`vfork`), so
//! it happens on tokio's blocking pool. What comes back from there is already owned: a caller that has gone meanwhile
//! leaves no child behind.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use crate::child::{Child, Reaper};
use crate::containment::{self, Containment};
use crate::error::StartError;
use crate::marker::Marker;
use crate::output::Outputs;
use crate::owned::{Orphan, Owned};
use crate::process::Process;
use crate::spec::Spec;
use crate::start::{Plan, Streams};
use crate::{entry, guardian, hook, registry, sys, tree};

/// Starts a child, and gives its handle and the parent's end of its link (in blocking mode).
///
/// The child is this program, started again: it runs in a process group of its own, with the link as its standard input,
/// and goes into the role that `spec` names when it reaches [`init`](crate::init). That it got there is for the link to
/// tell: a child that ends before it has said anything is judged by [`StartError::ended_early`].
///
/// # Cancel safety
/// Dropping the future leaves nothing behind: a child that was already started is killed and reaped.
///
/// # Errors
/// If this program has not passed [`init`](crate::init), or the system refuses a process, a descriptor or the folder.
///
/// # Panics
/// Outside of a tokio runtime, or in one without I/O.
///
/// ```
/// use std::io::Read;
/// use triune_process::{Boot, ROLES, Role, Spec, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static GREETER: Role = Role { name: "greeter", main: greeter };
///
/// /// What the child does instead of `main`.
/// fn greeter(boot: Boot) -> u8 {
///     use std::io::Write;
///     boot.link().write_all(b"hello, parent").map_or(1, |()| 0)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (process, mut link) = spawn(Spec::new("greeter", "greeter")).await?;
/// let mut said = String::new();
/// link.read_to_string(&mut said)?;
/// assert_eq!(said, "hello, parent");
/// assert_eq!(process.wait().await.code(), Some(0));
/// # Ok(()) })
/// # }
/// ```
pub async fn spawn(spec: Spec) -> Result<(Process, UnixStream), StartError> {
    entry::guard(&spec.name)?;
    let name = spec.name.clone();
    start(spec).await.and_then(hook::pass).map_err(|error| StartError::spawn(&name, error))
}

async fn start(spec: Spec) -> io::Result<(Process, UnixStream)> {
    if containment::decide() > Containment::Cooperative
        && let Some(started) = guardian::start(&spec).await?
    {
        return Ok(started);
    }
    start_by_ourselves(spec).await
}

async fn start_by_ourselves(spec: Spec) -> io::Result<(Process, UnixStream)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "vfork suspends its thread; what is dropped on the way kills its child"
    )]
    let spawned = tokio::task::spawn_blocking(move || start_blocking(spec));
    match spawned.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::other("the runtime is shutting down")),
    }
}

fn start_blocking(spec: Spec) -> io::Result<(Process, UnixStream)> {
    let (env, args) = (spec.environment(), spec.arguments());
    // The system does not say whether it is the folder that it cannot find, or this program.
    drop(spec.open_folder()?);
    let folder = spec.folder().map(Path::to_owned);
    let Spec { role, name, stdio, .. } = spec;
    let (ours, theirs) = UnixStream::pair()?;
    let (outputs, stdout, stderr) = Outputs::open(stdio, &name)?;
    let marker = Marker { role: role.to_owned(), parent: std::process::id(), nonce: tree::random() };
    let streams = Streams { stdin: theirs.into(), stdout, stderr, forks: None };
    let child = Plan { name: &name, marker, membership: None, env, args, folder: folder.as_deref(), streams }
        .start()?;
    let pid = child.id();
    // On this thread, at once: nobody reaps this child before its handle is open, so the number is still its own.
    let pidfd = match sys::open_process(pid) {
        Ok(pidfd) => pidfd,
        Err(error) => return Err(abandon(child, error)),
    };
    let child = Arc::new(Child::new(pid, pidfd, role, name, Reaper::Owner, outputs));
    registry::insert(&child);
    let process = Process::new(Owned::new(Orphan::new(child))?);
    tracing::debug!(pid, name = process.name(), role, "child started");
    Ok((process, ours))
}

/// Ends a child that we got no handle on, for want of a descriptor. It has just been started and dies of SIGKILL at once.
fn abandon(mut child: std::process::Child, error: io::Error) -> io::Error {
    match child.kill().and_then(|()| child.wait()) {
        Ok(_) => error,
        Err(wait) => io::Error::other(format!("{error}; and its child cannot be reaped: {wait}")),
    }
}
