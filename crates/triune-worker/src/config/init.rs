//! A job that belongs to the worker and not to a caller: `init`, `retire`, `preload`.

use bytes::Bytes;

use super::ConfigError;
use crate::arguments::Encoded;
use crate::job::Call;
use crate::shared::Kept;

/// The encoded call of such a job, checked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) target: u32,
    pub(crate) arguments: Bytes,
    /// What the arguments refer to.
    pub(crate) kept: Kept,
}

impl Step {
    pub(crate) fn new(option: &'static str, call: &Call) -> Result<Self, ConfigError> {
        let Encoded { bytes, kept } = call.encoded_now();
        let arguments = bytes.map_err(|error| ConfigError::Encode { option, error })?.into_bytes();
        let target = call.target.ok_or(ConfigError::OtherImage { option, job: call.name })?;
        Ok(Self { name: call.name, target, arguments, kept })
    }
}
