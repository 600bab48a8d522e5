//! A job that belongs to the worker and not to a caller: `init`, `retire`, `preload`.

use bytes::Bytes;
use triune_wire::Report;

use super::{ConfigError, WorkerKind};
use crate::arguments::Encoded;
use crate::by_name::Targets;
use crate::job::{Call, JobEntry};
use crate::shared::Kept;

/// The encoded call of such a job, checked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) entry: Option<&'static JobEntry>,
    pub(crate) arguments: Bytes,
    /// What the arguments refer to.
    pub(crate) kept: Kept,
}

impl Step {
    pub(crate) fn new(option: &'static str, call: &Call, kind: &WorkerKind) -> Result<Self, ConfigError> {
        let Encoded { bytes, kept } = call.arguments.encoded_now(kind.format());
        let arguments = bytes.map_err(|error| ConfigError::Encode { option, error })?.into_bytes();
        if !kind.may_have(call) {
            return Err(ConfigError::OtherImage { option, job: call.name });
        }
        Ok(Self { name: call.name, entry: call.entry, arguments, kept })
    }

    /// Where one worker has it, or why it has not.
    pub(crate) fn target(&self, targets: &Targets) -> Result<u32, Box<Report>> {
        targets.find(self.name, self.entry)
    }
}
