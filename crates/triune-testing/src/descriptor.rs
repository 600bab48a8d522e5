//! The open descriptors of this process: `/proc/self/fd`.

use std::collections::BTreeMap;
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
