//! Why a configuration cannot be used.

use std::error::Error;
use std::fmt;

use triune_wire::EncodeError;

/// A [`Workers`](crate::Workers) configuration that cannot work. It is found before anything is started.
///
/// ```
/// use triune_worker::{ConfigError, Workers, after_jobs, configure_default};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let error = configure_default(Workers::new().retire(after_jobs(0))).unwrap_err();
/// assert!(matches!(error, ConfigError::RetiresBeforeItsFirstJob));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `retire(after_jobs(0))`.
    RetiresBeforeItsFirstJob,
    /// The jitter of `after_jobs` is so large that a worker could retire before its first job.
    #[non_exhaustive]
    JitterTooLarge {
        /// After how many jobs a worker retires.
        jobs: u64,
        /// How many less it may be.
        jitter: u64,
    },
    /// The arguments of the `init` or of the `retire` job cannot be encoded.
    #[non_exhaustive]
    Encode {
        /// Which option.
        option: &'static str,
        /// What the codec said.
        error: EncodeError,
    },
    /// The function of the `init` or of the `retire` job is in another image, such as a library loaded at run time.
    #[non_exhaustive]
    OtherImage {
        /// Which option.
        option: &'static str,
        /// The path of the function.
        job: &'static str,
    },
    /// A `preload` job for workers that share nothing.
    PreloadWithoutForkServer,
    /// Workers that are another program, and may not execute any.
    ProgramWithoutPrograms,
    /// A `stall_timeout` for workers that are another program, of which nobody knows whether it gives signs of life.
    ProgramWithoutSigns,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RetiresBeforeItsFirstJob => {
                f.write_str("`after_jobs(0)` leaves no job for a worker; use at least `after_jobs(1)`")
            }
            Self::JitterTooLarge { jobs, jitter } => write!(
                f,
                "with a jitter of {jitter} a worker that retires after {jobs} jobs could do none; \
                 choose a jitter below {jobs}"
            ),
            Self::Encode { option, .. } => {
                write!(f, "the arguments of the `{option}` job cannot be encoded; change their type")
            }
            Self::OtherImage { option, job } => write!(
                f,
                "the `{option}` job `{job}` is no function of this program itself, or was linked into another image, such as a \
                 library loaded at run time; use one that its workers have"
            ),
            Self::PreloadWithoutForkServer => f.write_str(
                "only workers of the kind `WorkerKind::ForkServer` share what a `preload` job has loaded; \
                 choose that kind, or load it in each worker by an `init` job",
            ),
            Self::ProgramWithoutSigns => f.write_str(
                "another program gives no signs of life to a `stall_timeout`; leave it out, or give each job a `timeout`",
            ),
            Self::ProgramWithoutPrograms => f.write_str(
                "`Limits::no_programs` would keep the program of the workers itself from being executed; \
                 leave it out, or choose another kind of worker",
            ),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { error, .. } => Some(error),
            _ => None,
        }
    }
}
