//! The open descriptors of this process: `/proc/self/fd`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The open descriptors of this process, each with what it refers to (a path, `socket:[..]`, `anon_inode:[pidfd]`).
///
/// ```
/// let file = std::fs::File::open("/dev/null")?;
/// assert!(triune_testing::open_descriptors().values().any(|target| target == "/dev/null"));
/// # drop(file);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn open_descriptors() -> BTreeMap<u32, String> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(Result::ok);
    let numbers: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The listing's own descriptor is closed by now, so its entry cannot be read any more.
    let targets = numbers.into_iter().filter_map(|number| {
        let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
        Some((number, target.to_string_lossy().into_owned()))
    });
    targets.collect()
}

/// The sockets by which this process speaks to its guardian, as [`open_descriptors`] shows them. They bear names.
pub(crate) fn guardian_sockets() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let name = format!("@triune-guardian-{}-", std::process::id());
    let sockets = table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(6);
        let (inode, path) = (fields.next()?, fields.next()?);
        path.starts_with(&name).then(|| format!("socket:[{inode}]"))
    });
    sockets.collect()
}
