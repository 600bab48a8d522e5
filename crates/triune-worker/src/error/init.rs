//! Why a worker could not be initialised.

use std::error::Error;
use std::fmt;

use triune_process::WorkerDied;
use triune_wire::ReportKind;

use super::Failure;

/// Why a worker could not be initialised.
///
/// ```
/// use triune_worker::{InitError, RunError, Workers, job, scope, set_state};
///
/// fn load(path: String) -> std::io::Result<()> {
///     set_state(std::fs::read(path)?);
///     Ok(())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let workers = Workers::new().init(job!(load("/no/such/model".to_owned())));
/// let error = scope(workers, async |pool| Ok(pool.run(job!(u64::isqrt(9))).await)).await?.unwrap_err();
/// assert!(error.is_init());
/// let RunError::Init { error: InitError::Failed(failure), .. } = error else { panic!("it did not load") };
/// assert_eq!(failure.message(), "No such file or directory (os error 2)");
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// The `init` job returned an error or panicked.
    Failed(Failure),
    /// The worker died in its `init` job.
    Died(WorkerDied),
    /// The `preload` job returned an error, panicked, or left a thread behind.
    Preload(Failure),
    /// The fork server died in its `preload` job.
    PreloadDied(WorkerDied),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, failure) = match self {
            Self::Failed(failure) => ("its `init` job", failure),
            Self::Preload(failure) => ("the `preload` job of its fork server", failure),
            Self::Died(died) => return write!(f, "it died in its `init` job: {died}"),
            Self::PreloadDied(died) => {
                return write!(f, "its fork server died in the `preload` job: {died}");
            }
        };
        match (failure.report().kind, failure.location()) {
            (ReportKind::Panic, Some(location)) => write!(f, "{whose} panicked at {location}: {failure}"),
            (ReportKind::Panic, None) => write!(f, "{whose} panicked: {failure}"),
            _ => write!(f, "{whose} failed: {failure}"),
        }
    }
}

impl Error for InitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) | Self::Preload(failure) => failure.source(),
            Self::Died(died) | Self::PreloadDied(died) => died.source(),
        }
    }
}
