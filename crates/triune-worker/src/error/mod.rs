//! Why a job has no result.
//!
//! * [`run`]: [`RunError`], one error for the whole way from the caller to the worker and back;
//! * [`init`]: a worker that was not made ready;
//! * [`failure`]: what a worker reports of an error or a panic;
//! * [`codec`]: what the codec said, here or in the worker.

mod codec;
mod failure;
mod init;
mod run;

pub use codec::CodecError;
pub use failure::Failure;
pub use init::InitError;
pub use run::{Part, RunError};

#[cfg(test)]
mod tests;
