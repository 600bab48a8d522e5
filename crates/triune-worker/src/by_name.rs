//! Jobs by place and by name: how a pool and its worker agree on a function.
//!
//! A worker that is the same program has the same registry, and the place in it says all. Another program announces an
//! interface (`format`) with a method for each of its jobs: the path of the function, and its types in words. The pool
//! looks its own job up there.
//!
//! Invariants:
//! 1. A name means one function: one that two functions of a program have in common is not announced.
//! 2. A job that the other program lacks, or has with other types, is an error of that call and of no other; nothing of it is sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use triune_wire::{Hello, Interface, Report, ReportKind};

use crate::format::{self, Format};
use crate::job::{JOBS, JobEntry};

/// What a worker serves.
#[derive(Debug)]
pub(crate) enum Served {
    /// The whole registry, to the same program.
    ByPlace,
    /// What it announces, to another one.
    ByName(Vec<&'static JobEntry>),
}

impl Served {
    pub(crate) fn by_name() -> Self {
        Self::names_of(&JOBS)
    }

    fn names_of(entries: &'static [JobEntry]) -> Self {
        let mut named: BTreeMap<&str, Option<&'static JobEntry>> = BTreeMap::new();
        for entry in entries {
            let function = entry.function();
            let place = named.entry(function.path).or_insert(Some(entry));
            match place.map(JobEntry::function) {
                Some(other) if other.id != function.id => {
                    tracing::warn!(
                        job = function.path,
                        "two functions have this name, and none is served by it"
                    );
                    *place = None;
                }
                // The same function, once more; its types may be known here.
                Some(other) if other.signature.is_empty() => *place = Some(entry),
                _ => {}
            }
        }
        Self::ByName(named.into_values().flatten().collect())
    }

    pub(crate) fn get(&self, target: u32) -> Option<&'static JobEntry> {
        match self {
            Self::ByPlace => JOBS.get(target as usize),
            Self::ByName(entries) => entries.get(target as usize).copied(),
        }
    }

    pub(crate) fn format(&self) -> Format {
        match self {
            Self::ByPlace => Format::Postcard,
            Self::ByName(_) => Format::MsgPack,
        }
    }

    /// Says it in the HELLO, without the types if there is not enough room for them.
    pub(crate) fn announce(&self, hello: &mut Hello) {
        let Self::ByName(entries) = self else { return };
        let functions = || entries.iter().map(|entry| entry.function());
        hello.interfaces =
            vec![functions().fold(format::interface(), |all, f| all.with(f.path, f.signature))];
        if hello.to_bytes().is_err() {
            hello.interfaces = vec![functions().fold(format::interface(), |all, f| all.with(f.path, ""))];
        }
    }
}

/// How a pool finds its jobs in one worker.
#[derive(Debug, Clone)]
pub(crate) enum Targets {
    ByPlace,
    ByName(Arc<Announced>),
}

/// What a worker has announced.
#[derive(Debug)]
pub(crate) struct Announced {
    worker: String,
    interface: Interface,
    places: HashMap<String, u32>,
}

impl Targets {
    pub(crate) fn by_name(worker: String, peer: &Hello) -> Self {
        let interface = format::interface_of(peer).cloned().unwrap_or_else(format::interface);
        let places = interface.methods().map(|(name, _)| name.to_owned()).zip(0..).collect();
        Self::ByName(Arc::new(Announced { worker, interface, places }))
    }

    /// The target of a job, or why there is none.
    pub(crate) fn find(&self, name: &str, entry: Option<&'static JobEntry>) -> Result<u32, Box<Report>> {
        match self {
            Self::ByPlace => entry.and_then(JobEntry::index).ok_or_else(|| not_here(entry)),
            Self::ByName(announced) => announced.find(name, entry),
        }
    }
}

/// Why a job has no place in the registry of this program.
pub(crate) fn not_here(entry: Option<&'static JobEntry>) -> Box<Report> {
    let why = match entry {
        Some(_) => "its function was linked into another image, such as a library loaded at run time",
        None => {
            "this program has no function of this name; run it in a pool of the kind `WorkerKind::Program`, in a program that has it"
        }
    };
    Box::new(Report::new(ReportKind::Unknown, why))
}

impl Announced {
    fn find(&self, name: &str, entry: Option<&'static JobEntry>) -> Result<u32, Box<Report>> {
        let function = entry.map(JobEntry::function);
        let path = function.map_or(name, |function| function.path);
        let Some(&place) = self.places.get(path) else {
            return Err(self.refusal(&self.unknown(path)));
        };
        let here = function.map_or("", |function| function.signature);
        let there = self.interface.methods().nth(place as usize).map_or("", |(_, signature)| signature);
        if here.is_empty() || there.is_empty() || here == there {
            return Ok(place);
        }
        let one = |signature| format::interface().with(path, signature);
        let difference = one(here).first_difference(&one(there));
        let difference = difference.map_or_else(String::new, |difference| {
            let [here, there] = difference.fingerprints;
            format!("{difference}; fingerprint {here} here, {there} there")
        });
        Err(self.refusal(&format!("{difference}; build both programs with the same signature")))
    }

    fn unknown(&self, path: &str) -> String {
        const MOST: usize = 3;
        let names = self.interface.methods().take(MOST);
        let names: Vec<String> = names.map(|(name, _)| format!("`{}`", shortened(name))).collect();
        let count = self.interface.methods().len();
        let and_so_on = if count > MOST { ", …" } else { "" };
        let serves =
            if names.is_empty() { String::new() } else { format!(" ({}{and_so_on})", names.join(", ")) };
        format!(
            "there is no job `{path}` among the {count} that it serves{serves}; serve it there under this name, or build that \
             program with the crate of the job"
        )
    }

    fn refusal(&self, why: &str) -> Box<Report> {
        Box::new(Report::new(ReportKind::Unknown, format!("{}: {why}", self.worker)))
    }
}

/// A text of a peer may be long, or hold anything.
fn shortened(text: &str) -> String {
    text.chars().take(80).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use triune_wire::BuildId;

    use super::*;
    use crate::job::Function;

    fn hello(methods: &[(&str, &str)]) -> Hello {
        let mut hello = Hello::new(BuildId::new([0; 16]), "worker", "worker-1");
        let interface =
            methods.iter().fold(format::interface(), |all, (name, signature)| all.with(name, signature));
        hello.interfaces = vec![interface];
        hello
    }

    fn function() {}

    fn entry(signature: &'static str) -> &'static JobEntry {
        fn run(_: &crate::call::Arguments, _: &mut crate::call::Answer) -> Result<(), Box<Report>> {
            Ok(())
        }
        static KNOWN: JobEntry =
            JobEntry::new("f", || Function::defined(&function, "a::f", "(u32) -> u64"), run);
        static UNKNOWN: JobEntry = JobEntry::new("f", || Function::defined(&function, "a::f", ""), run);
        if signature.is_empty() { &UNKNOWN } else { &KNOWN }
    }

    fn find(methods: &[(&str, &str)], entry: Option<&'static JobEntry>) -> Result<u32, String> {
        let targets = Targets::by_name("worker-1, which is `x`".to_owned(), &hello(methods));
        targets.find("a::f", entry).map_err(|report| report.message)
    }

    #[test]
    fn a_job_is_found_by_its_path_if_the_types_that_both_know_are_equal() {
        let there = [("b", ""), ("a::f", "(u32) -> u64")];
        assert_eq!(find(&there, Some(entry("known"))), Ok(1));
        assert_eq!(find(&there, Some(entry(""))), Ok(1));
        assert_eq!(find(&there, None), Ok(1));
        assert_eq!(find(&[("a::f", "")], Some(entry("known"))), Ok(0));
    }

    #[test]
    fn one_that_is_missing_or_has_other_types_is_refused_with_both_sides_and_the_remedy() {
        let error = find(&[("b", ""), ("c", ""), ("d", ""), ("e", "")], None).expect_err("it is missing");
        let expected = "worker-1, which is `x`: there is no job `a::f` among the 4 that it serves (`b`, `c`, `d`, …); serve it";
        assert!(error.starts_with(expected), "{error}");
        let error = find(&[("a::f", "(u32) -> u32")], Some(entry("known"))).expect_err("it differs");
        for part in ["jobs.a::f differs: `u64` here, `u32` there", "fingerprint", "build both programs"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(find(&[], None).expect_err("there is nothing").contains("among the 0 that it serves; serve"));
    }

    fn other_function() {}

    fn run(_: &crate::call::Arguments, _: &mut crate::call::Answer) -> Result<(), Box<Report>> {
        Ok(())
    }

    /// Two functions of one name, and one function that is registered twice, once with its types.
    static REGISTRY: [JobEntry; 4] = [
        JobEntry::new("twice", || Function::defined(&function, "a::twice", "()"), run),
        JobEntry::new("twice", || Function::defined(&other_function, "a::twice", "()"), run),
        JobEntry::new("again", || Function::defined(&function, "a::again", ""), run),
        JobEntry::new("again", || Function::defined(&function, "a::again", "() -> ()"), run),
    ];

    #[test]
    fn a_name_means_one_function() {
        let mut hello = hello(&[]);
        let served = Served::names_of(&REGISTRY);
        served.announce(&mut hello);
        let methods: Vec<_> = hello.interfaces[0].methods().collect();
        assert_eq!(methods, [("a::again", "() -> ()")], "and none of those that share one");
        assert_eq!(served.get(0).map(JobEntry::name), Some("again"));
        assert!(served.get(1).is_none());
    }

    #[test]
    fn what_is_announced_fits_into_a_hello() {
        let many: Vec<&'static JobEntry> = vec![entry("known"); 4000];
        let mut hello = hello(&[]);
        Served::ByName(many.clone()).announce(&mut hello);
        assert!(hello.to_bytes().is_ok(), "without the types");
        assert_eq!(hello.interfaces[0].methods().next(), Some(("a::f", "")));
        Served::ByName(many[..10].to_vec()).announce(&mut hello);
        assert_eq!(hello.interfaces[0].methods().next(), Some(("a::f", "(u32) -> u64")));
    }
}
