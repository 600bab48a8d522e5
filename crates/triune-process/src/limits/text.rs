//! Limits and reports as text: `key=value` entries between semicolons, whatever is not plain in them as `%xx`.
//!
//! Both sides are the same program, so nothing here is a promise; but what comes is checked all the same.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::builder::{Enforce, Limits, Paths, Resource};
use super::report::{Enforcement, Limit, LimitsReport};

pub(super) const VARIABLE: &str = "TRIUNE_LIMITS";

/// What came of them, for a program that has not put them on itself.
pub(crate) const REPORT_VARIABLE: &str = "TRIUNE_LIMITS_REPORT";

const READ: &str = "read";
const WRITE: &str = "write";
const PER_JOB: &str = "per-job";
const BEST_EFFORT: &str = "best-effort";

pub(super) fn encode(limits: &Limits) -> String {
    let mut entries = Vec::new();
    let mut add = |key: &str, value: String| entries.push(format!("{key}={value}"));
    for resource in Resource::ALL {
        if let Some(value) = limits.counted(resource) {
            add(resource.limit().name(), value.to_string());
        }
    }
    if let Some(cores) = &limits.cores {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        add(Limit::Cores.name(), cores.join(","));
    }
    if let Some(nice) = limits.nice {
        add(Limit::Nice.name(), nice.to_string());
    }
    for Paths { read, write } in &limits.paths {
        add(Limit::Paths.name(), String::new());
        read.iter().for_each(|path| add(READ, escape(path.as_os_str())));
        write.iter().for_each(|path| add(WRITE, escape(path.as_os_str())));
    }
    let flags = [
        (limits.no_new_privileges, Limit::NewPrivileges.name()),
        (limits.no_network, Limit::Network.name()),
        (limits.no_programs, Limit::Programs.name()),
        (limits.cpu_time_per_job, PER_JOB),
        (limits.enforce == Enforce::BestEffort, BEST_EFFORT),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).for_each(|(_, key)| add(key, String::new()));
    entries.join(";")
}

pub(super) fn decode(text: &str) -> Option<Limits> {
    let mut limits = Limits::new();
    for entry in text.split(';').filter(|entry| !entry.is_empty()) {
        let (key, value) = entry.split_once('=')?;
        if let Some(resource) = Resource::ALL.into_iter().find(|resource| resource.limit().name() == key) {
            limits.counted[resource as usize] = Some(value.parse().ok()?);
            continue;
        }
        match key {
            READ => limits.paths.last_mut()?.read.push(PathBuf::from(unescape(value)?)),
            WRITE => limits.paths.last_mut()?.write.push(PathBuf::from(unescape(value)?)),
            PER_JOB => limits.cpu_time_per_job = true,
            BEST_EFFORT => limits.enforce = Enforce::BestEffort,
            _ => match Limit::ALL.into_iter().find(|limit| limit.name() == key)? {
                Limit::Cores if value.is_empty() => limits.cores = Some(Vec::new()),
                Limit::Cores => {
                    let cores = value.split(',').map(|core| core.parse().ok());
                    limits.cores = Some(cores.collect::<Option<_>>()?);
                }
                Limit::Nice => limits.nice = Some(value.parse().ok()?),
                Limit::NewPrivileges => limits.no_new_privileges = true,
                Limit::Paths => limits.paths.push(Paths::default()),
                Limit::Network => limits.no_network = true,
                Limit::Programs => limits.no_programs = true,
                _ => return None,
            },
        }
    }
    Some(limits)
}

pub(super) fn encode_report(report: &LimitsReport) -> String {
    let entry = |entry: &super::LimitStatus| {
        format!("{}={}:{}", entry.limit.name(), entry.enforcement.name(), escape(OsStr::new(&entry.why)))
    };
    report.iter().map(entry).collect::<Vec<_>>().join(";")
}

pub(super) fn decode_report(text: &str) -> Option<LimitsReport> {
    let mut report = LimitsReport::default();
    for entry in text.split(';').filter(|entry| !entry.is_empty()) {
        let (limit, rest) = entry.split_once('=')?;
        let (enforcement, why) = rest.split_once(':')?;
        let limit = Limit::ALL.into_iter().find(|known| known.name() == limit)?;
        let enforcement = Enforcement::ALL.into_iter().find(|known| known.name() == enforcement)?;
        report.push(limit, enforcement, unescape(why)?.into_string().ok()?);
    }
    Some(report)
}

fn escape(text: &OsStr) -> String {
    let mut escaped = String::new();
    for byte in text.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                escaped.push(char::from(*byte));
            }
            // Writing to a string cannot fail.
            _ => write!(escaped, "%{byte:02x}").unwrap_or_default(),
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(OsString::from_vec(bytes))
}
