//! The one place that starts a process: this program again, with the marks of a child.
//!
//! Used by the guardian for all children, by the root for the guardian, and at the level `Cooperative` by each owner.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::marker::{self, Marker, Membership};
use crate::{sys, tree};

/// The standard descriptors of a child.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// For a fork server: where its orders come from. Only the guardian, which starts nothing else at the same time, may
    /// hand one on.
    pub(crate) forks: Option<OwnedFd>,
}

/// The room that a fork server leaves behind its first argument, for those of its children (see `fork`).
const ROOM: usize = 64;

/// Everything that makes a child.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) marker: Marker,
    /// Its place beneath a guardian.
    pub(crate) membership: Option<Membership>,
    /// Its whole environment, as `KEY=value`; the marks are added.
    pub(crate) env: Vec<OsString>,
    /// What follows its first argument, which is its name.
    pub(crate) args: Vec<OsString>,
    /// Its current folder, instead of that of this process.
    pub(crate) folder: Option<&'a Path>,
    pub(crate) streams: Streams,
}

impl Plan<'_> {
    /// Starts the child, in a process group of its own. It is the caller's child, to be reaped by its number or handle.
    ///
    /// Everything here must stay on the `posix_spawn` path of the standard library: no `pre_exec`, no user or group, an
    /// absolute program. The test `every_start_takes_the_vfork_path` looks at the system calls.
    pub(crate) fn start(self) -> io::Result<std::process::Child> {
        let Self { name, marker, membership, env, args, folder, streams } = self;
        let Streams { stdin, stdout, stderr, forks } = streams;
        let forks = forks.map(|forks| sys::inheritable_copy(forks.as_fd())).transpose()?;
        #[expect(clippy::disallowed_methods, reason = "the one place that starts a process")]
        let mut command = Command::new(sys::program()?);
        command.arg0(marker::first_argument(name)).args(args).env_clear();
        for entry in env {
            // As the C library does: a name has at least one byte.
            let bytes = entry.into_vec();
            if let Some(at) = bytes.iter().skip(1).position(|byte| *byte == b'=') {
                let (key, value) = (&bytes[..=at], &bytes[at + 2..]);
                command.env(std::ffi::OsStr::from_bytes(key), std::ffi::OsStr::from_bytes(value));
            }
        }
        command
            .env(marker::CHILD, marker.encode())
            .env(marker::NAME, name)
            .env(marker::TREE, tree::tree_cookie())
            .env_remove(marker::MEMBERSHIP)
            .env_remove(marker::FORKS)
            .env_remove(marker::LINK)
            .envs(membership.map(|membership| (marker::MEMBERSHIP, membership.encode())))
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .process_group(0);
        if let Some(forks) = &forks {
            command.arg(" ".repeat(ROOM)).env(marker::FORKS, forks.as_raw_fd().to_string());
        }
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        // The descriptors are closed with the command: an open copy of the child's end would hide its death.
        command.spawn()
    }
}
