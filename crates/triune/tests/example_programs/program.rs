//! An example as a program: where it is, and how it is built if it is not there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Cargo is asked by one test at a time.
static BUILD: Mutex<()> = Mutex::new(());

/// The path of an example. `cargo test` has built it; if only its test is run, it may be missing or old.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in `deps` of their profile");
    let path = profile.join("examples").join(name);
    let written = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let _one_at_a_time = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
    if written(&path) < written(&test) {
        build(name, profile);
    }
    path
}

fn build(name: &str, profile: &Path) {
    let target = profile.parent().expect("a profile lies in the target directory");
    let release = if profile.ends_with("release") { &["--release"][..] } else { &[] };
    #[expect(clippy::disallowed_methods, reason = "cargo is no child of triune")]
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "triune", "--example", name, "--target-dir"])
        .arg(target)
        .args(release)
        .status();
    assert!(built.is_ok_and(|built| built.success()), "the example must build");
}
