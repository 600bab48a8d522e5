//! The sandbox of this process: paths (Landlock) and system calls (seccomp).
//!
//! Both are put on the calling thread and go over to the threads and processes that it starts, so they are to be called
//! before there is a second thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// How much of a restriction the kernel has taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restricted {
    Fully,
    Partially,
    Not,
}

/// The rights over files that we know of; a kernel that knows fewer enforces the restriction partially.
const KNOWN: ABI = ABI::V5;

/// Takes every path out of reach but these and the process's own folder in `/proc`.
pub(crate) fn restrict_paths(read: &[PathBuf], write: &[PathBuf]) -> Result<Restricted, String> {
    let own = Path::new("/proc/self");
    let own = own.exists().then_some(own);
    let read = own.into_iter().chain(read.iter().map(PathBuf::as_path));
    let read = read.map(|path| (path, AccessFs::from_read(KNOWN)));
    let write = write.iter().map(|path| (path.as_path(), AccessFs::from_all(KNOWN)));
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(Ruleset::create)
        .map_err(refused)?;
    let rules = read.chain(write).try_fold(rules, |rules, (path, access)| allow(rules, path, access))?;
    let status = rules.restrict_self().map_err(refused)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Restricted::Fully,
        RulesetStatus::PartiallyEnforced => Restricted::Partially,
        RulesetStatus::NotEnforced => Restricted::Not,
    })
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, String> {
    let cannot = |error: &dyn std::fmt::Display| {
        format!("the path {} cannot be opened: {error}; name one that exists", path.display())
    };
    let is_folder = path.metadata().map_err(|error| cannot(&error))?.is_dir();
    let opened = PathFd::new(path).map_err(|error| cannot(&error))?;
    // The kernel refuses rights over folders for a file.
    let access = if is_folder { access } else { access & AccessFs::from_file(KNOWN) };
    rules.add_rule(PathBeneath::new(opened, access)).map_err(refused)
}

fn refused(error: RulesetError) -> String {
    format!("the kernel refused the rules of Landlock: {error}")
}

/// Numbers of the x32 interface, which the same kernel may offer beside the usual one, have this bit.
#[cfg(target_arch = "x86_64")]
const INTERFACES: [libc::c_long; 2] = [0, 0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const INTERFACES: [libc::c_long; 1] = [0];

/// Lets system calls fail with "permission denied": sockets to other machines, and the execution of programs.
///
/// Calls of another architecture's interface end the process.
pub(crate) fn filter_calls(no_network: bool, no_programs: bool) -> Result<(), String> {
    let mut rules = BTreeMap::new();
    for interface in INTERFACES {
        if no_network {
            let domain = SeccompCondition::new(
                0,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::Ne,
                u64::from(libc::AF_UNIX.unsigned_abs()),
            );
            let foreign = domain.and_then(|domain| SeccompRule::new(vec![domain]));
            let foreign = foreign.map_err(|error| format!("the filter cannot be made: {error}"))?;
            rules.insert(libc::SYS_socket | interface, vec![foreign]);
            // It would open sockets without the call above.
            rules.insert(libc::SYS_io_uring_setup | interface, Vec::new());
        }
        if no_programs {
            rules.insert(libc::SYS_execve | interface, Vec::new());
            rules.insert(libc::SYS_execveat | interface, Vec::new());
        }
    }
    let architecture = std::env::consts::ARCH;
    let known = architecture.try_into();
    let known = known.map_err(|_| format!("there is no filter for the architecture {architecture}"))?;
    let denied = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, known);
    let program: BpfProgram =
        filter.and_then(TryInto::try_into).map_err(|error| format!("the filter cannot be made: {error}"))?;
    seccompiler::apply_filter(&program).map_err(|error| {
        format!("the kernel refused the filter of system calls: {error}; it needs CONFIG_SECCOMP_FILTER")
    })
}
