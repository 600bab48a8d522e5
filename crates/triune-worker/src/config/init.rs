//! A job that belongs to the worker and not to a caller: `init`, `retire`, `preload`.

use bytes::Bytes;

use super::ConfigError;
use crate::job::Call;

/// The encoded call of such a job, checked.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) target: u32,
    pub(crate) arguments: Bytes,
}

impl Step {
    pub(crate) fn new(option: &'static str, call: &Call) -> Result<Self, ConfigError> {
        let arguments = call.encoded_now().map_err(|error| ConfigError::Encode { option, error })?;
        let target = call.target.ok_or(ConfigError::OtherImage { option, job: call.name })?;
        Ok(Self { name: call.name, target, arguments })
    }
}
