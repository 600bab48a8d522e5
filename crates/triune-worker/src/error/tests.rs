//! Reports become the variant that says what happened, and texts never repeat their causes.

use std::error::Error;

use triune_process::{Exit, Phase, WorkerDied};
use triune_wire::{Report, ReportKind};

use super::{Part, RunError};
use crate::report::{Fault, fault};

fn lines(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut lines = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        lines.push(error.to_string());
        next = error.source();
    }
    lines
}

#[test]
fn an_error_of_the_job_keeps_its_causes() {
    let mut report = Report::new(ReportKind::Error, "cannot parse");
    report.chain = vec!["line 3".into(), "not a number".into()];
    let error = RunError::reported("count", Box::new(report));
    assert!(error.is_app());
    assert_eq!(lines(&error), ["job `count` failed: cannot parse", "line 3", "not a number"]);
}

#[test]
fn a_panic_names_its_location() {
    let mut report = Report::new(ReportKind::Panic, "index out of bounds");
    report.location = Some("src/a.rs:7:9".into());
    let error = RunError::reported("count", Box::new(report));
    assert!(error.is_panic());
    assert_eq!(lines(&error), ["job `count` panicked at src/a.rs:7:9: index out of bounds"]);
}

#[test]
fn codec_faults_name_the_part() {
    let report = |kind| fault(kind, Report::new(ReportKind::Error, "cannot decode a value of type u8"));
    let error = RunError::reported("count", report(Fault::Arguments));
    assert!(matches!(error, RunError::Decode { part: Part::Arguments, .. }));
    assert_eq!(lines(&error)[0], "the arguments of job `count` cannot be decoded");
    let error = RunError::reported("count", report(Fault::Result));
    assert!(matches!(error, RunError::Encode { part: Part::Result, .. }));
    let error = RunError::reported("count", report(Fault::TooLarge { bytes: 9, limit: 8 }));
    assert!(matches!(error, RunError::TooLarge { bytes: 9, limit: 8, .. }));
    let error = RunError::reported("count", Box::new(Report::new(ReportKind::Unknown, "no job 7")));
    assert!(matches!(error, RunError::Refused { .. }));
}

#[test]
fn the_death_of_a_worker_is_found_behind_the_error() {
    let died = WorkerDied::new("worker-1", 7, Phase::Busy).with_exit(Exit::Code(0));
    let error = triune_scope::Error::new(RunError::died("count", died, None));
    assert!(error.downcast_ref::<WorkerDied>().is_some());
    assert_eq!(
        format!("{error:#}"),
        "job `count` was lost with its worker; a job returns, it does not exit the process: \
         worker `worker-1` (pid 7) died while busy: exit code 0"
    );
}
