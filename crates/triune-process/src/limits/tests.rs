//! Limits and reports on their way: what was said is read back, and what is made up is refused.

use std::time::Duration;

use super::builder::Paths;
use super::{Enforce, Enforcement, Limit, Limits, LimitsError, LimitsReport, text};

fn everything() -> Limits {
    let mut limits = Limits::new()
        .memory(1)
        .cpu_time(Duration::from_millis(1500))
        .open_files(3)
        .file_size(4)
        .core_size(0)
        .processes(6)
        .stack(7)
        .cores([0, 3])
        .nice(-5)
        .no_new_privileges();
    limits.paths = vec![
        Paths { read: vec!["/a b;c=%".into()], write: vec!["/tmp".into()] },
        Paths { read: vec!["/".into()], write: Vec::new() },
    ];
    limits.no_network = true;
    limits.no_programs = true;
    limits.for_jobs()
}

#[test]
fn limits_are_read_back_and_what_is_made_up_is_none() {
    let limits = everything();
    assert_eq!(text::decode(&text::encode(&limits)), Some(limits.clone()));
    assert!(text::encode(&limits).starts_with("memory=1;cpu-time=2;open-files=3;"));
    assert_eq!(text::encode(&Limits::new()), "");
    assert_eq!(text::decode(""), Some(Limits::new()));
    for made_up in ["memory", "memory=", "memory=-1", "colour=3", "read=/tmp", "paths=;read=%g0", "cores=a"] {
        assert_eq!(text::decode(made_up), None, "{made_up}");
    }
}

#[test]
fn a_child_gets_no_more_than_its_owner_has() {
    let above = Limits::new().memory(100).open_files(10).cores([0, 1]).nice(5).read_only("/usr").no_network();
    assert_eq!(Limits::new().beneath(&above), above);
    assert_eq!(above.beneath(&Limits::new()), above);
    let own =
        Limits::new().memory(200).open_files(5).file_size(1).cores([1, 2]).nice(1).no_paths().no_programs();
    let both = own.beneath(&above);
    let mut expected =
        Limits::new().memory(100).open_files(5).file_size(1).cores([1]).nice(5).read_only("/usr");
    expected.paths.push(Paths::default());
    assert_eq!(both, expected.no_network().no_programs());
    // A time for each job is not what limits the whole life of a child of the job.
    let worker = Limits::new().cpu_time(Duration::from_secs(3)).for_jobs();
    assert_eq!(
        Limits::new().beneath(&worker),
        Limits::new().cpu_time(Duration::from_secs(3)).enforce(Enforce::BestEffort)
    );
}

#[test]
fn a_limit_with_nothing_but_a_mode_is_no_limit() {
    assert!(Limits::new().enforce(Enforce::BestEffort).is_empty());
    assert!(!everything().is_empty());
}

#[test]
fn a_report_is_read_back_and_its_error_names_what_is_missing_and_the_remedy() {
    let mut report = LimitsReport::default();
    report.push(Limit::Memory, Enforcement::Enforced, "");
    report.push(Limit::Cores, Enforcement::Partial, "of the cores [0, 9] only [0] may be used here");
    assert_eq!(LimitsReport::decode(&report.encode()), Some(report.clone()));
    assert_eq!(report.get(Limit::Cores), Some(Enforcement::Partial));
    assert_eq!(report.get(Limit::Nice), None);
    assert!(!report.is_enforced());
    assert_eq!(
        report.to_string(),
        "memory: enforced\ncores: partial (of the cores [0, 9] only [0] may be used here)"
    );
    let error = LimitsError::new(report).to_string();
    assert!(error.contains("enforce: cores: partial (of the cores [0, 9]"), "{error}");
    assert!(error.contains("Enforce::BestEffort") && !error.contains("memory"), "{error}");
    for made_up in ["memory", "memory=good:", "colour=enforced:", "memory=enforced:%zz"] {
        assert_eq!(LimitsReport::decode(made_up), None, "{made_up}");
    }
}
