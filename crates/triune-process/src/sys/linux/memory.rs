//! What the control group of this process counts about memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The file with the count of processes that the system has killed because memory was short: of the group that this process is in, by
/// either hierarchy. `None` if there is none, or we may not look.
pub(crate) fn oom_kill_file() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let candidates = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.events"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.oom_control")
            }
            _ => return Vec::new(),
        };
        // In a container the group may be told as seen from outside, where it is the root of what there is to see.
        let group = Path::new(root).join(group.trim_start_matches('/')).join(file);
        vec![group, Path::new(root).join(file)]
    });
    candidates.into_iter().find(|file| oom_kills(file).is_some())
}

/// The count in such a file.
pub(crate) fn oom_kills(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}
