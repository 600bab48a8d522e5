//! The process table, `/proc`, as far as the guardian's sweep and the fallback by cookie need it.
//!
//! Processes come and go while we look: what cannot be read is taken for gone.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;

/// How much of an environment is read at most.
const ENOUGH: u64 = 4 * 1024 * 1024;

/// A living child of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChildEntry {
    /// Its number for system calls of this process.
    pub(crate) pid: u32,
    /// Its number in `/proc`, which may be that of an outer pid namespace.
    pub(crate) listed: u32,
}

/// The list of the children of this process, kept open. This process must have one thread only.
#[derive(Debug)]
pub(crate) struct ChildList {
    /// `None` on a kernel without `CONFIG_PROC_CHILDREN`, and without `/proc`.
    file: Option<File>,
    text: Vec<u8>,
}

impl ChildList {
    pub(crate) fn open() -> Self {
        Self { file: File::open("/proc/thread-self/children").ok(), text: vec![0; 4096] }
    }

    /// The children that have not ended, but for those that `is_known` (by their numbers in `/proc`).
    ///
    /// `None` if one of them has ended while we looked: what it has left may not be in the list. Its end is yet to be told.
    ///
    /// `depth` is that of [`namespace_depth`].
    pub(crate) fn living(&mut self, depth: usize, is_known: impl Fn(u32) -> bool) -> Option<Vec<ChildEntry>> {
        let listed = self.read().unwrap_or_else(children_by_scan);
        let unknown = listed.into_iter().filter(|listed| !is_known(*listed));
        unknown.map(|listed| living(listed, depth)).collect()
    }

    /// All of them, by their numbers in `/proc`.
    fn read(&mut self) -> Option<Vec<u32>> {
        let file = self.file.as_ref()?;
        let mut len = 0;
        loop {
            match file.read_at(&mut self.text[len..], len as u64).ok()? {
                0 => break,
                read => len += read,
            }
            if len == self.text.len() {
                self.text.resize(2 * len, 0);
            }
        }
        let text = std::str::from_utf8(&self.text[..len]).ok()?;
        Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }
}

fn living(listed: u32, depth: usize) -> Option<ChildEntry> {
    let status = fs::read_to_string(format!("/proc/{listed}/status")).ok()?;
    let state = field(&status, "State:")?;
    if state.starts_with(['Z', 'X']) {
        return None;
    }
    let pid = namespace_numbers(&status).nth(depth.checked_sub(1)?)?;
    Some(ChildEntry { pid, listed })
}

/// How many pid namespaces deep this process is, counted from that of `/proc`; 1 if it is the same.
pub(crate) fn namespace_depth() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    namespace_numbers(&status).count().max(1)
}

/// The numbers of one process, from the outermost namespace to its own.
fn namespace_numbers(status: &str) -> impl Iterator<Item = u32> {
    let numbers = field(status, "NSpid:").unwrap_or_default();
    numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok())
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn children_by_scan() -> Vec<u32> {
    let own = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse::<u32>().ok());
    let is_ours = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        own.is_some() && field(&status, "PPid:").and_then(|parent| parent.parse().ok()) == own
    };
    numbers().filter(is_ours).collect()
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// What the environment that a process was started with says of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// Its value.
    Is(Vec<u8>),
    /// There is none, or we may not know.
    Unset,
    /// The process is just becoming another program (`exec`), and has no environment at the moment.
    Unsettled,
}

impl Variable {
    /// Whether it has a value that `is_ours` accepts.
    pub(crate) fn is(&self, is_ours: impl FnOnce(&[u8]) -> bool) -> bool {
        matches!(self, Self::Is(value) if is_ours(value))
    }
}

/// A variable of the environment that a process was started with. `listed` is its number in `/proc`.
///
/// A process that becomes another program while it is read has for a moment no environment, or the file ends with that of the old
/// program, which is gone. So what was not found counts only if all was read that there is.
pub(crate) fn variable_of(listed: u32, key: &str) -> Variable {
    let Some(environ) = read(listed, "environ") else { return Variable::Unset };
    // An entry without its end may have been cut off.
    let mut entries = environ.split_inclusive(|byte| *byte == 0).filter_map(|entry| entry.strip_suffix(&[0]));
    if let Some(value) = entries.find_map(|entry| entry.strip_prefix(key.as_bytes())?.strip_prefix(b"=")) {
        return Variable::Is(value.to_vec());
    }
    let len = environ.len() as u64;
    match environment_len(listed) {
        Some(whole) if whole != Some(len) && len < ENOUGH => Variable::Unsettled,
        _ => Variable::Unset,
    }
}

/// The length of the environment that a process was started with; `Some(None)` if it is on its way into a program. `None` if it has no
/// memory: it has ended, or is a thread of the kernel.
fn environment_len(listed: u32) -> Option<Option<u64>> {
    let stat = read(listed, "stat")?;
    // Behind its name, which may hold anything.
    let behind = stat.rsplit(|byte| *byte == b')').next()?;
    let fields: Vec<u64> = std::str::from_utf8(behind)
        .ok()?
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    // As proc(5) counts, the state is the third.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let (memory, code, begin, end) = (field(23), field(26), field(50), field(51));
    // Where the code begins is noted last.
    (memory > 0).then(|| end.checked_sub(begin).filter(|_| code > 0))
}

fn read(listed: u32, file: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{listed}/{file}")).ok()?.take(ENOUGH).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The processes that were started with a variable whose value `is_ours` accepts, except for this one, and whether there
/// are others of which one cannot tell at the moment. Their numbers are those in `/proc`; open a handle and ask again
/// before you signal one.
pub(crate) fn carriers(key: &str, is_ours: impl Fn(&[u8]) -> bool) -> (Vec<u32>, bool) {
    let own = std::process::id();
    let (mut carriers, mut unsettled) = (Vec::new(), false);
    for pid in numbers().filter(|pid| *pid != own) {
        match variable_of(pid, key) {
            Variable::Is(value) if is_ours(&value) => carriers.push(pid),
            Variable::Is(_) | Variable::Unset => {}
            Variable::Unsettled => unsettled = true,
        }
    }
    (carriers, unsettled)
}
