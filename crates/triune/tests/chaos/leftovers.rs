//! What a tree may leave behind besides processes and descriptors: files, shared memory, sockets with names.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder for the temporary files of the whole tree, and what was in the shared places before.
pub(crate) struct Leftovers {
    folder: PathBuf,
    shared: Vec<String>,
}

impl Leftovers {
    pub(crate) fn new() -> Leftovers {
        let folder = std::env::temp_dir().join(format!("chaos-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Leftovers { folder, shared: of_triune(Path::new("/dev/shm")) }
    }

    /// What the processes of the tree are to use for temporary files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// # Panics
    ///
    /// If a file or a named socket is left. The guardian of this process, which lives on, has one socket with a name.
    pub(crate) fn check(&self, hint: &str) {
        let files = names(&self.folder);
        assert!(files.is_empty(), "temporary files are left: {files:?}; {hint}");
        let mut shared = of_triune(Path::new("/dev/shm"));
        shared.retain(|name| !self.shared.contains(name));
        assert!(shared.is_empty(), "shared memory is left: {shared:?}; {hint}");
        let sockets = sockets();
        assert!(sockets.len() <= 1, "sockets are left: {sockets:?}; {hint}");
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        // What is in it was reported.
        let _reported = fs::remove_dir_all(&self.folder);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn of_triune(folder: &Path) -> Vec<String> {
    let mut names = names(folder);
    names.retain(|name| name.contains("triune"));
    names
}

/// The names that sockets of this tree are bound to: those of triune bear the number of the root.
fn sockets() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let ours = format!("-{}-", std::process::id());
    let mut names: Vec<String> = table
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(7))
        .filter(|name| name.contains("triune") && name.contains(&ours))
        .map(str::to_owned)
        .collect();
    // Both ends of a connection show the name.
    names.sort_unstable();
    names.dedup();
    names
}
