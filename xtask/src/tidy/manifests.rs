//! Every dependency is declared once, in the root manifest, with the reason why it is there.

use super::{Finding, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if file.path == "Cargo.toml" {
            findings.extend(unreasoned(&file.path, &file.text));
        } else if file.path.ends_with("/Cargo.toml") && !file.path.starts_with("fuzz/") {
            findings.extend(uninherited(&file.path, &file.text));
        }
    }
    findings
}

/// Lines of `[workspace.dependencies]` without a comment; the crates of this workspace need none.
fn unreasoned(path: &str, text: &str) -> Vec<Finding> {
    let lines = dependency_lines(text, |table| table == "workspace.dependencies");
    let bare = lines.filter(|(_, line)| {
        let own = line.contains("path = \"crates/");
        let reason = line.rsplit_once('#').map_or("", |(_, reason)| reason.trim());
        !own && reason.split(' ').count() < 2
    });
    let remedy = "end the line with `# ` and one sentence that says what it is used for";
    bare.map(|(number, line)| Finding::new(path, number, format!("no reason for `{}`", key(line)), remedy))
        .collect()
}

/// Dependencies of a member that do not come from `[workspace.dependencies]`.
fn uninherited(path: &str, text: &str) -> Vec<Finding> {
    let is_dependencies =
        |table: &str| table.rsplit('.').next().is_some_and(|last| last.ends_with("dependencies"));
    let own = dependency_lines(text, is_dependencies).filter(|(_, line)| {
        !line.contains(".workspace = true")
            && !line.contains("workspace = true,")
            && !line.contains("workspace = true }")
    });
    let remedy = "declare it in [workspace.dependencies] with its reason, and write `workspace = true` here";
    own.map(|(number, line)| {
        Finding::new(path, number, format!("`{}` has a version of its own", key(line)), remedy)
    })
    .collect()
}

/// The entries of the tables that `wanted` names, with their line numbers.
fn dependency_lines(text: &str, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if let Some(table) = line.strip_prefix('[') {
            inside = wanted(table.split(']').next().unwrap_or(""));
            return None;
        }
        let starts_entry = line.starts_with(|c: char| c.is_ascii_alphanumeric()) && line.contains('=');
        (inside && starts_entry).then_some((index + 1, line))
    })
}

fn key(line: &str) -> &str {
    line.split(['=', '.', ' ']).next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_states_its_reason() {
        let text = "[workspace.dependencies]\nours = { path = \"crates/ours\" }\ngood = \"1\" # Reads the files.\n\
                    bare = \"1\"\nempty = \"1\" #\n\n[profile.release]\nlto = \"thin\"\n";
        let lines: Vec<usize> = unreasoned("Cargo.toml", text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [4, 5]);
    }

    #[test]
    fn members_inherit_every_version() {
        let text = "[dependencies]\na.workspace = true\nb = { workspace = true, features = [\"x\"] }\nc = \"1\"\n\
                    [target.'cfg(unix)'.dev-dependencies]\nd = { version = \"1\" }\n[features]\ne = []\n";
        let lines: Vec<usize> =
            uninherited("crates/a/Cargo.toml", text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [4, 6]);
    }
}
