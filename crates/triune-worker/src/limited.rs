//! The limits of a pool's workers: what is asked of each, and the judgement of what it reports.
//!
//! A worker puts them on itself before anything else (`triune-process`), and says in its HELLO what came of each. The pool
//! decides: a worker that lacks what is required never gets a job.

use std::sync::OnceLock;

use bytes::Bytes;
use triune_process::{Enforce, Limits, LimitsReport, Spec, StartError};
use triune_wire::Hello;

/// The limits of one pool.
#[derive(Debug)]
pub(crate) struct Limited {
    asked: Limits,
    /// What the first worker that came up has said. All are the same program on the same system.
    report: OnceLock<LimitsReport>,
}

impl Limited {
    pub(crate) fn new(asked: Limits) -> Self {
        Self { asked, report: OnceLock::new() }
    }

    /// Tells a worker its limits.
    pub(crate) fn put_on(&self, spec: Spec) -> Spec {
        if self.asked.is_empty() { spec } else { spec.limits(self.asked.clone().for_jobs()) }
    }

    /// Looks at what the worker says about its limits.
    pub(crate) fn judge(&self, name: &str, hello: &Hello) -> Result<(), StartError> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(&hello.config).ok();
        let report = text.and_then(LimitsReport::decode).unwrap_or_default();
        // A worker that says nothing has not understood that it is limited.
        let holds = report.is_enforced() && report.iter().next().is_some();
        if !holds && self.asked.enforcement() == Enforce::Require {
            return Err(StartError::limits(name, report));
        }
        let mut is_first = false;
        let report = self.report.get_or_init(|| {
            is_first = true;
            report
        });
        if is_first {
            for missing in report.missing() {
                tracing::warn!(worker = name, limit = %missing, "a limit of a pool does not hold");
            }
        }
        Ok(())
    }

    /// What came of the limits, once a worker has said it.
    pub(crate) fn report(&self) -> Option<&LimitsReport> {
        self.report.get()
    }
}

/// What this process, a worker, says about its own limits.
pub(crate) fn own_report() -> Bytes {
    triune_process::limits_report().map(|report| Bytes::from(report.encode())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use triune_process::Enforcement;
    use triune_wire::BuildId;

    use super::*;

    fn hello(config: &'static str) -> Hello {
        let mut hello = Hello::new(BuildId::new([0; 16]), "worker", "worker-1");
        hello.config = Bytes::from_static(config.as_bytes());
        hello
    }

    #[test]
    fn a_worker_that_lacks_what_is_required_or_says_nothing_is_refused() {
        let limited = Limited::new(Limits::new().memory(1 << 30));
        for config in ["", "memory=unsupported:why", "memory=partial:why", "nonsense"] {
            let error = limited.judge("worker-1", &hello(config)).expect_err(config);
            assert!(error.to_string().contains("cannot be limited"), "{error}");
        }
        assert!(limited.report().is_none());
        assert!(limited.judge("worker-1", &hello("memory=enforced:")).is_ok());
        assert!(limited.report().is_some_and(LimitsReport::is_enforced));
    }

    #[test]
    fn with_best_effort_the_report_says_what_is_missing() {
        let limited = Limited::new(Limits::new().memory(1 << 30).enforce(Enforce::BestEffort));
        assert!(limited.judge("worker-1", &hello("memory=partial:why")).is_ok());
        let report = limited.report().expect("it has one");
        assert_eq!(report.get(triune_process::Limit::Memory), Some(Enforcement::Partial));
    }

    #[test]
    fn a_pool_without_limits_asks_and_judges_nothing() {
        let limited = Limited::new(Limits::new());
        assert!(limited.judge("worker-1", &hello("")).is_ok());
        assert!(limited.report().is_none());
    }
}
