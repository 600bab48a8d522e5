//! What a worker is told before its first job: the call that its supervisor makes first, if the pool asks for anything.
//!
//! Owns the message and the mark in the environment by which a worker knows that the call comes. It is a part of no
//! protocol for strangers: both sides are the same program.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::{Settings, Step};
use crate::job::JobEntry;

/// The target of the call. No registry has so many entries.
pub(crate) const TARGET: u32 = u32::MAX;

/// The variable that says whether the call comes. It is set for every worker, because a worker inherits that of its
/// parent, which may be a worker itself.
pub(crate) const VARIABLE: &str = "TRIUNE_WORKER";
pub(crate) const COMES: &str = "setup";
pub(crate) const COMES_NOT: &str = "plain";

/// What the pool asks of each of its workers, or of its fork server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) init: Option<InitCall>,
    /// How long it looks at its link before it sleeps.
    pub(crate) spin: Duration,
    /// How often it is to give a sign of life.
    pub(crate) sign: Option<Duration>,
}

/// The job that runs before all others: its place in the registry, and its arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InitCall {
    pub(crate) target: u32,
    pub(crate) arguments: Vec<u8>,
}

impl Setup {
    /// The call that brings it.
    pub(crate) fn call(&self) -> (u32, Bytes) {
        (TARGET, triune_wire::to_bytes(self).expect("numbers and bytes can always be encoded"))
    }

    /// `None` if the pool asks for nothing.
    pub(crate) fn of(settings: &Settings) -> Option<Self> {
        let init = settings.init.as_ref().map(InitCall::of);
        // Four times in the time in which one is awaited: a single one may be late on a busy machine.
        let sign = settings.stall_timeout.map(|timeout| (timeout / 4).max(Duration::from_millis(1)));
        let setup = Self { init, spin: settings.spin, sign };
        (setup.init.is_some() || setup.sign.is_some() || !setup.spin.is_zero()).then_some(setup)
    }

    /// That of the fork server, which is always told when to begin.
    pub(crate) fn of_fork_server(settings: &Settings) -> Self {
        Self { init: settings.preload.as_ref().map(InitCall::of), spin: Duration::ZERO, sign: None }
    }
}

impl InitCall {
    fn of(step: &Step) -> Self {
        let target = step.entry.and_then(JobEntry::index).expect("the configuration was checked for it");
        Self { target, arguments: step.arguments.to_vec() }
    }
}
