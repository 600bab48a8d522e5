//! How much memory of a process is resident.

/// The resident memory of a process of ours, in bytes; `None` if it is gone or the system does not tell, zero if it is dead
/// and not reaped.
pub(crate) fn of(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
