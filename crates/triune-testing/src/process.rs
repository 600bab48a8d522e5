//! The process table, as far as it is ours: `/proc/<pid>/{stat,cmdline,environ}`.
//!
//! A process belongs to this tree if it descends from this process, or if it carries this tree's cookie in its environment
//! (`TRIUNE_TREE=<root's pid>-<root's start time>-...`, among those of trees around it), which also finds those whose
//! parents have died.
//!
//! Processes come and go while we look: whatever cannot be read is taken for gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;

/// How much of an environment or a command line is read at most.
const ENOUGH: u64 = 1024 * 1024;

/// One process, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Its number.
    pub pid: u32,
    /// The number of its parent.
    pub parent: u32,
    /// Its state as `ps` shows it: `R` runs, `S` and `D` wait, `T` is stopped, `Z` has ended and was not reaped.
    pub state: char,
    /// When it started, in clock ticks since boot. Together with `pid` it means one process, also when numbers are reused.
    pub start: u64,
    /// Its command line, or its name in brackets if it has none (any more).
    pub command: String,
}

impl ProcessInfo {
    /// The process with this number, or `None` if there is none.
    ///
    /// ```
    /// # use triune_testing::ProcessInfo;
    /// let own = ProcessInfo::of(std::process::id()).expect("this process runs");
    /// assert_eq!(own.parent, std::os::unix::process::parent_id());
    /// ```
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything, also parentheses and spaces.
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1;
        let mut fields = tail.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        let command = command_line(pid).unwrap_or_else(|| format!("[{name}]"));
        Some(Self { pid, parent, state, start, command })
    }

    /// The same process now, or `None` if it is gone: ended, and not a zombie that this process has yet to reap.
    ///
    /// Somebody else's zombie counts as gone: it runs no more, and reaping it is not up to us.
    #[must_use]
    pub fn now(&self) -> Option<Self> {
        Self::of(self.pid).filter(|now| now.start == self.start && now.is_there())
    }

    fn is_there(&self) -> bool {
        match self.state {
            'X' | 'x' => false,
            'Z' => self.parent == std::process::id(),
            _ => true,
        }
    }
}

impl fmt::Display for ProcessInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (child of {}, state {}): {}", self.pid, self.parent, self.state, self.command)
    }
}

/// Every process of this tree but this one and its guardian: descendants, and carriers of the tree's cookie. Zombies only
/// if they are children of this very process, which then has failed to reap them.
///
/// The guardian belongs to the process and not to what it does: it ends by itself when it has nothing to guard.
#[must_use]
pub fn processes_of_tree() -> Vec<ProcessInfo> {
    let all: BTreeMap<u32, ProcessInfo> =
        numbers().filter_map(ProcessInfo::of).map(|process| (process.pid, process)).collect();
    let own = std::process::id();
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in all.values() {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut members: BTreeSet<u32> = carriers(&all).collect();
    members.insert(own);
    let mut todo: Vec<u32> = members.iter().copied().collect();
    while let Some(pid) = todo.pop() {
        todo.extend(children.get(&pid).into_iter().flatten().filter(|child| members.insert(**child)));
    }
    members.remove(&own);
    members.retain(|pid| !all.get(pid).is_some_and(|process| is_own_guardian(process, &all)));
    members.iter().filter_map(|pid| all.get(pid)).filter(|process| process.is_there()).cloned().collect()
}

/// Whether a process is the guardian of this one, or the second of the two that there are at the level `Hard`.
fn is_own_guardian(process: &ProcessInfo, all: &BTreeMap<u32, ProcessInfo>) -> bool {
    // The second form is that of one which has ended.
    ["triune:guardian", "[triune:guardian]"].contains(&process.command.as_str())
        && (process.parent == std::process::id()
            || all.get(&process.parent).is_some_and(|parent| is_own_guardian(parent, all)))
}

/// Those that inherited the cookie which this process gives to its children.
fn carriers(all: &BTreeMap<u32, ProcessInfo>) -> impl Iterator<Item = u32> {
    let own = std::process::id();
    let cookie = all.get(&own).map(|this| format!("{own}-{}-", this.start));
    all.keys().copied().filter(move |pid| {
        let Some(cookie) = &cookie else { return false };
        // The environment of other users' processes cannot be read; they are not of this tree.
        read(&format!("/proc/{pid}/environ")).is_some_and(|environ| {
            let cookies =
                environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"TRIUNE_TREE="));
            let mut cookies = cookies.unwrap_or_default().split(|byte| *byte == b',');
            cookies.any(|entry| entry.starts_with(cookie.as_bytes()))
        })
    })
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn command_line(pid: u32) -> Option<String> {
    let bytes = read(&format!("/proc/{pid}/cmdline"))?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let text = text.trim_end();
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

fn read(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(ENOUGH).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
