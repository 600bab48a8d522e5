//! The child that becomes another program, and says so if it cannot.
//!
//! The pool waits for a HELLO. A program that cannot be executed says none, so this process says GOODBYE in its place, with a
//! report: what the system said.

use std::io::{self, Write};

use linkme::distributed_slice;
use triune_process::{Boot, PROGRAM, ROLES, Role, exit_code};
use triune_wire::{Header, Kind, Report, ReportKind};

use crate::serve::ROLE;

#[distributed_slice(ROLES)]
static BECOMING: Role = Role { name: PROGRAM, main };

fn main(boot: Boot) -> u8 {
    let error = boot.execute(ROLE);
    let mut goodbye = Vec::new();
    let body = report(&error).to_bytes(u32::MAX);
    Header::new(Kind::Goodbye, 0).frame(&body, &mut goodbye);
    // A pool that is gone needs no reason.
    let _pool_gone = boot.into_link().write_all(&goodbye);
    exit_code::BOOT_FAILED
}

fn report(error: &io::Error) -> Report {
    let mut report = Report::new(ReportKind::Error, error.to_string());
    report.type_name = std::any::type_name::<io::Error>().to_owned();
    report.typed = triune_wire::to_bytes(&error.raw_os_error()).ok();
    report
}

/// The error that [`main`] has reported, if it is one of the system.
pub(crate) fn error_of(report: &Report) -> Option<io::Error> {
    let is_one = report.type_name == std::any::type_name::<io::Error>();
    let number: Option<i32> = triune_wire::decode(report.typed.as_deref().filter(|_| is_one)?).ok()?;
    number.map(io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_comes_across_and_nothing_else_passes_for_it() {
        let error = error_of(&report(&io::Error::from_raw_os_error(libc_enoent())));
        assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::NotFound));
        assert!(error_of(&report(&io::Error::other("no"))).is_none());
        assert!(error_of(&Report::new(ReportKind::Error, "no module named x")).is_none());
    }

    fn libc_enoent() -> i32 {
        rustix::io::Errno::NOENT.raw_os_error()
    }
}
