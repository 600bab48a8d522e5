//! How the workers of a pool are made, kept and let go.
//!
//! Owns [`Workers`] and its parts, and the check of a configuration before anything starts. Does not own: applying it
//! (`pool` and `supervise` here, `setup` in the worker).

mod error;
mod init;
mod kind;
mod retire;
mod workers;

pub use error::ConfigError;
pub(crate) use init::Step;
pub use kind::WorkerKind;
pub(crate) use retire::Allowance;
pub use retire::{Retire, after_age, after_jobs, when_rss_above};
pub(crate) use workers::Settings;
pub use workers::Workers;

#[cfg(test)]
mod tests;
