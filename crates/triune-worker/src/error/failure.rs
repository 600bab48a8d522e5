//! A report of a worker as an error.

use std::error::Error;
use std::fmt;

use triune_wire::{Report, ReportKind};

/// What a worker reported: a [`Report`] whose causes are real causes, so that a printed chain shows them.
///
/// ```
/// use triune_worker::{RunError, job, run};
///
/// fn half(number: u32) -> u32 {
///     assert!(number % 2 == 0, "{number} is odd");
///     number / 2
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let error = run(job!(half(3))).await.unwrap_err();
/// let RunError::Panic { failure, .. } = error else { panic!("three is odd") };
/// assert_eq!(failure.message(), "3 is odd");
/// assert!(failure.location().unwrap().contains(".rs:"));
/// assert!(failure.report().backtrace.is_some(), "and where it was called from");
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug)]
pub struct Failure {
    report: Box<Report>,
    cause: Option<Box<Cause>>,
}

impl Failure {
    pub(crate) fn new(mut report: Box<Report>) -> Self {
        // Ours, and told by the variant; a user would look for an error of the job in it.
        if report.kind == ReportKind::Protocol {
            report.typed = None;
        }
        let cause = report
            .chain
            .iter()
            .rev()
            .fold(None, |next, text| Some(Box::new(Cause { text: text.clone(), next })));
        Self { report, cause }
    }

    /// Everything that the worker said.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The error's or the panic's own text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.report.message
    }

    /// Where the panic was, as `file:line:column`.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.report.location.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// One cause of a reported error: only its text crossed.
#[derive(Debug)]
struct Cause {
    text: String,
    next: Option<Box<Cause>>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.next.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}
