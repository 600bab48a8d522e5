//! The child's side: it puts its limits on itself, and notes what came of each.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use super::builder::{Enforce, Limits, Paths, Resource};
use super::report::{Enforcement, Limit, LimitsError, LimitsReport};
use super::text;
use crate::sys;

/// What this process has put on itself.
#[derive(Debug)]
struct Own {
    limits: Limits,
    report: LimitsReport,
    /// Processor time for each job.
    per_job: Option<Duration>,
}

static OWN: OnceLock<Own> = OnceLock::new();

/// What came of the limits that this process was started with. `None` in the root, and in a process without limits.
///
/// ```
/// use triune_process::{Boot, Enforcement, Limit, Limits, ROLES, Role, Spec, limits_report, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static MODEST: Role = Role { name: "modest", main: modest };
///
/// fn modest(_boot: Boot) -> u8 {
///     let report = limits_report().expect("it was started with limits");
///     assert!(report.is_enforced(), "{report}");
///     assert_eq!(report.get(Limit::OpenFiles), Some(Enforcement::Enforced));
///     assert_eq!(report.get(Limit::Network), None); // Nobody has asked for it.
///     0
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// assert!(limits_report().is_none(), "this is the root");
/// let limits = Limits::new().open_files(64).core_size(0);
/// let (process, _link) = spawn(Spec::new("modest", "modest").limits(limits)).await?;
/// assert!(process.wait().await.is_success());
/// # Ok(()) })
/// # }
/// ```
#[must_use]
pub fn limits_report() -> Option<&'static LimitsReport> {
    OWN.get().map(|own| &own.report).filter(|report| report.iter().next().is_some())
}

/// Begins a job of a process whose processor time is limited job by job: the clock of the limit starts anew.
///
/// # Errors
/// If the system refuses it.
///
/// ```
/// // Nothing is limited here, so there is no clock to begin anew.
/// triune_process::begin_cpu_time()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn begin_cpu_time() -> io::Result<()> {
    match OWN.get().and_then(|own| own.per_job) {
        Some(limit) => sys::limit_cpu_time_from_now(limit),
        None => Ok(()),
    }
}

/// Puts on this process what its parent wants. Says why it cannot begin its role, if it cannot.
pub(crate) fn apply_own() -> Result<(), String> {
    let Some(text) = std::env::var_os(text::VARIABLE).filter(|text| !text.is_empty()) else { return Ok(()) };
    let limits = text.to_str().and_then(text::decode);
    let limits = limits.ok_or_else(|| format!("cannot understand its limits, {}", text.display()))?;
    let report = apply(&limits);
    if limits.enforce == Enforce::Require && !report.is_enforced() {
        return Err(LimitsError::new(report).to_string());
    }
    let seconds = limits.counted(Resource::CpuTime).filter(|_| limits.cpu_time_per_job);
    // The entry is passed once.
    let _once = OWN.set(Own { limits, report, per_job: seconds.map(Duration::from_secs) });
    Ok(())
}

/// Notes what this process, another program than its parent, has had put on it before it was executed.
pub(crate) fn note_own() {
    let variable = |key| std::env::var(key).ok().filter(|text| !text.is_empty());
    let limits = variable(text::VARIABLE).as_deref().and_then(text::decode);
    let report = variable(text::REPORT_VARIABLE).as_deref().and_then(text::decode_report);
    if let (Some(limits), Some(report)) = (limits, report) {
        let seconds = limits.counted(Resource::CpuTime).filter(|_| limits.cpu_time_per_job);
        // The entry is passed once.
        let _once = OWN.set(Own { limits, report, per_job: seconds.map(Duration::from_secs) });
    }
}

/// The limits that this process was started with.
pub(super) fn own_limits() -> Option<&'static Limits> {
    OWN.get().map(|own| &own.limits)
}

fn apply(limits: &Limits) -> LimitsReport {
    let mut report = LimitsReport::default();
    if let Some(nice) = limits.nice {
        note(&mut report, Limit::Nice, sys::set_nice(nice), "a lower niceness needs CAP_SYS_NICE");
    }
    if let Some(cores) = &limits.cores {
        apply_cores(&mut report, cores);
    }
    for resource in Resource::ALL {
        if let Some(value) = limits.counted(resource) {
            apply_counted(&mut report, resource, value, limits.cpu_time_per_job);
        }
    }
    let sandboxed = !limits.paths.is_empty() || limits.no_network || limits.no_programs;
    if limits.no_new_privileges || sandboxed {
        let done = sys::set_no_new_privileges();
        note(&mut report, Limit::NewPrivileges, done, "it needs Linux 3.5 or later");
    }
    sandbox(&mut report, limits);
    report
}

fn sandbox(report: &mut LimitsReport, limits: &Limits) {
    // Each on top of the one before; they hold if all of them do.
    let restricted: Vec<_> = limits.paths.iter().map(restrict).collect();
    let missing = restricted.iter().find(|(enforcement, _)| *enforcement != Enforcement::Enforced);
    if let Some((enforcement, why)) = missing.or(restricted.first()) {
        report.push(Limit::Paths, *enforcement, why.as_str());
    }
    if limits.no_network || limits.no_programs {
        let filtered = sys::filter_calls(limits.no_network, limits.no_programs);
        let why = filtered.err().unwrap_or_default();
        let enforcement = if why.is_empty() { Enforcement::Enforced } else { Enforcement::Unsupported };
        let both = [(limits.no_network, Limit::Network), (limits.no_programs, Limit::Programs)];
        for (_, limit) in both.into_iter().filter(|(is_set, _)| *is_set) {
            report.push(limit, enforcement, why.as_str());
        }
    }
}

fn restrict(paths: &Paths) -> (Enforcement, String) {
    match sys::restrict_paths(&paths.read, &paths.write) {
        Ok(sys::Restricted::Fully) => (Enforcement::Enforced, String::new()),
        Ok(sys::Restricted::Partially) => {
            let why = "the kernel's Landlock knows only a part of what can be done to a file; \
                       a later kernel knows all";
            (Enforcement::Partial, why.to_owned())
        }
        Ok(sys::Restricted::Not) => {
            let why = "the kernel has no Landlock, or it is switched off; it is in Linux 5.13 and later, \
                       and `landlock` must be in the `lsm=` list of its command line";
            (Enforcement::Unsupported, why.to_owned())
        }
        Err(why) => (Enforcement::Unsupported, why),
    }
}

fn note(report: &mut LimitsReport, limit: Limit, done: io::Result<()>, remedy: &str) {
    match done {
        Ok(()) => report.push(limit, Enforcement::Enforced, ""),
        Err(error) => report.push(limit, Enforcement::Unsupported, format!("{error}; {remedy}")),
    }
}

fn apply_cores(report: &mut LimitsReport, cores: &[usize]) {
    match sys::set_cores(cores) {
        Ok(granted) if granted.len() == cores.len() => report.push(Limit::Cores, Enforcement::Enforced, ""),
        Ok(granted) => {
            let why = format!("of the cores {cores:?} only {granted:?} may be used here");
            report.push(Limit::Cores, Enforcement::Partial, why);
        }
        Err(error) => {
            let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let why = format!("{error}; {available} cores may be used here, name some of them");
            report.push(Limit::Cores, Enforcement::Unsupported, why);
        }
    }
}

/// What a process needs beside what it has when its limits are applied: the stack of the thread that watches its parent,
/// and the buffers of its link.
const HEADROOM: u64 = 4 << 20;

fn apply_counted(report: &mut LimitsReport, resource: Resource, value: u64, per_job: bool) {
    let limit = resource.limit();
    if resource == Resource::Memory {
        // Unknown without /proc; then the limit is put blindly.
        let least = sys::private_memory().map_or(0, |used| used + HEADROOM);
        if value < least {
            let why =
                format!("the process needs {least} bytes by itself, and {value} are allowed; allow more");
            return report.push(limit, Enforcement::Unsupported, why);
        }
    }
    if resource == Resource::Processes && sys::is_root() {
        let why = "the system does not hold root to it; run as another user";
        return report.push(limit, Enforcement::Unsupported, why);
    }
    if resource == Resource::CpuTime && per_job {
        // Each job begins it anew; here only to learn whether that works.
        let done = sys::limit_cpu_time_from_now(Duration::from_secs(value));
        return note(report, limit, done, "the hard limit of this process is lower already");
    }
    note(
        report,
        limit,
        sys::limit(resource, value),
        "raise the hard limit of the program that starts this one",
    );
}
