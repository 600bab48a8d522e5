//! The parent's side of a start.
//!
//! Spawning suspends the calling thread until the child has begun to execute (`vfork`), so it happens on tokio's blocking
//! pool. What comes back from there is already owned: a caller that has gone meanwhile leaves no child behind.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::adopt::Orphan;
use crate::child::Child;
use crate::error::StartError;
use crate::marker::{self, Marker};
use crate::process::{Owned, Process};
use crate::spec::Spec;
use crate::{entry, registry, sys, tree};

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
/// If this program has not passed [`init`](crate::init), or the system refuses a process or a descriptor.
///
/// # Panics
/// Outside of a tokio runtime, or in one without I/O.
pub async fn spawn(spec: Spec) -> Result<(Process, UnixStream), StartError> {
    entry::guard(&spec.name)?;
    let name = spec.name.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "vfork suspends its thread; what is dropped on the way kills its child"
    )]
    let spawned = tokio::task::spawn_blocking(move || spawn_blocking(spec));
    match spawned.await {
        Ok(result) => result.map_err(|error| StartError::spawn(&name, error)),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StartError::spawn(&name, io::Error::other("the runtime is shutting down"))),
    }
}

fn spawn_blocking(spec: Spec) -> io::Result<(Process, UnixStream)> {
    let Spec { role, name, mut env, limits } = spec;
    env.push(limits.to_variable());
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = command(role, &name, env, theirs)?;
    let child = command.spawn()?;
    // The child's end must be open in the child only, or its death would not close the link.
    drop(command);
    let pid = child.id();
    // On this thread, at once: nobody reaps this child before its handle is open, so the number is still its own.
    let pidfd = match sys::open_process(pid) {
        Ok(pidfd) => pidfd,
        Err(error) => return Err(abandon(child, error)),
    };
    let child = Arc::new(Child::new(pid, pidfd, role, name));
    registry::insert(&child);
    let process = Process::new(Owned::new(Orphan::new(child))?);
    tracing::debug!(pid, name = process.name(), role, "child started");
    Ok((process, ours))
}

/// Everything here must stay on the `posix_spawn` path of the standard library: no `pre_exec`, no user or group, an
/// absolute program. Seen in `strace -f -e trace=clone,clone3,fork,vfork` over 200 starts: each is one
/// `clone3(CLONE_VM|CLONE_VFORK)`, none a plain fork, whose time would grow with the memory of this process.
fn command(
    role: &str,
    name: &str,
    env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    link: UnixStream,
) -> io::Result<Command> {
    let marker = Marker { role: role.to_owned(), parent: std::process::id(), nonce: tree::random() };
    #[expect(clippy::disallowed_methods, reason = "the one place that starts a process")]
    let mut command = Command::new(sys::program()?);
    command
        .arg0(marker::first_argument(name))
        .envs(env)
        .env(marker::CHILD, marker.encode())
        .env(marker::NAME, name)
        .env(marker::TREE, tree::tree_cookie())
        .stdin(Stdio::from(OwnedFd::from(link)))
        .process_group(0);
    Ok(command)
}

/// Ends a child that we got no handle on, for want of a descriptor. It has just been started and dies of SIGKILL at once.
fn abandon(mut child: std::process::Child, error: io::Error) -> io::Error {
    match child.kill().and_then(|()| child.wait()) {
        Ok(_) => error,
        Err(wait) => io::Error::other(format!("{error}; and its child cannot be reaped: {wait}")),
    }
}
