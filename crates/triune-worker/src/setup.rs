//! What a worker is told before its first job: the call that its supervisor makes first, if the pool asks for anything.
//!
//! Owns the message and the mark in the environment by which a worker knows that the call comes. It is a part of no
//! protocol for strangers: both sides are the same program.

use serde::{Deserialize, Serialize};

use crate::config::{Settings, Step};

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
}

/// The job that runs before all others: its place in the registry, and its arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InitCall {
    pub(crate) target: u32,
    pub(crate) arguments: Vec<u8>,
}

impl Setup {
    /// `None` if the pool asks for nothing.
    pub(crate) fn of(settings: &Settings) -> Option<Self> {
        Some(Self { init: Some(InitCall::of(settings.init.as_ref()?)) })
    }

    /// That of the fork server, which is always told when to begin.
    pub(crate) fn of_fork_server(settings: &Settings) -> Self {
        Self { init: settings.preload.as_ref().map(InitCall::of) }
    }
}

impl InitCall {
    fn of(step: &Step) -> Self {
        Self { target: step.target, arguments: step.arguments.to_vec() }
    }
}
