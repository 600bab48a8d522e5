//! The fuzz targets of `fuzz/`: each for so many seconds, first fed with what real processes send.
//!
//! Owns how the engine is called. The targets and what they check are in `fuzz/src`.

use std::path::Path;

use crate::Result;
use crate::command::Command;

/// Every file of `fuzz/fuzz_targets`.
const TARGETS: &[&str] = &["hello", "decoders", "codec", "link", "mux", "blocking"];

/// How long each target runs when nothing is said, in seconds: enough to see that it works.
const SECONDS: &str = "10";

/// No input may make a side take more than this at once, in MB: the limits of the sides that are fed are far below.
const ALLOCATION: &str = "-malloc_limit_mb=64";

/// Nor more than this in all.
const MEMORY: &str = "-rss_limit_mb=512";

/// An input that takes longer than this hangs, in seconds.
const HANGS: &str = "-timeout=20";

/// Runs all targets, or the named one.
pub(crate) fn run(root: &Path, args: &[String]) -> Result {
    let seconds = args.first().map_or(SECONDS, String::as_str);
    if seconds.parse::<u32>().is_err() {
        return Err(format!("`{seconds}` is no number of seconds: try `cargo xtask fuzz {SECONDS}`").into());
    }
    let wanted = args.get(1).map(String::as_str);
    if let Some(unknown) = wanted.filter(|name| !TARGETS.contains(name)) {
        return Err(format!("there is no fuzz target `{unknown}`: there are {}", TARGETS.join(", ")).into());
    }
    if Command::cargo(&["fuzz", "--version"]).ask(root).is_err() {
        return Err("`fuzz` needs cargo-fuzz: run `cargo install --locked cargo-fuzz`".into());
    }
    show_and_run(
        root,
        &Command::cargo(&["run", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--bin", "seeds"]),
    )?;
    for target in TARGETS.iter().filter(|target| wanted.is_none_or(|name| name == **target)) {
        let time = format!("-max_total_time={seconds}");
        // Without a sanitizer: there is no unsafe code to sanitize but a read into spare room, and a stable compiler has none.
        let run = ["fuzz", "run", "--sanitizer", "none", target, "--", &time, ALLOCATION, MEMORY, HANGS];
        // The coverage that guides the engine is a flag which a stable compiler takes only so.
        show_and_run(root, &Command::cargo(&run).env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}

fn show_and_run(root: &Path, command: &Command) -> Result {
    println!("$ {command}");
    command.run(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
        let files = std::fs::read_dir(folder).expect("the targets are there");
        let mut found: Vec<String> = files
            .map(|file| file.expect("it can be listed").path())
            .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
            .collect();
        found.sort();
        let mut listed = TARGETS.to_vec();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
}
