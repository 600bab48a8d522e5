//! The child's side of a start: from the entry into the role.
//!
//! Owns the order of things in a fresh child: signals, link, descriptors, name, role, exit.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;

use crate::boot::Boot;
use crate::containment::{self, Containment};
use crate::exit::{exit_code, exit_now};
use crate::fork::FORK_SERVER;
use crate::marker::{self, LinkMark, Marker, Membership};
use crate::role::{ROLES, Role};
use crate::{guardian, limits, sys, tree};

/// Plays the role that `marker` asks for. Never returns.
pub(crate) fn enter(marker: &Marker, name: String) -> ! {
    sys::reset_signals();
    tree::is_child();
    let role = role_named(&marker.role);
    if guardian::is_guardian(role.name) {
        // What a library of the root has left open would stay open for as long as the tree lives.
        sys::close_all_but_standard();
    }
    let membership = Membership::own();
    match &membership {
        _ if guardian::is_guardian(role.name) => {}
        Some(membership) => join_tree(membership, marker),
        // It was started without a guardian, and is not to try one for what it starts itself.
        None => containment::inherit(Containment::Cooperative),
    }
    let link = match sys::take_link() {
        Ok(link) => link,
        Err(error) => fail_boot(&format!("standard input of this child is not its link: {error}")),
    };
    let orders = (role.name == FORK_SERVER).then(take_orders);
    sys::seal_descriptors();
    sys::set_process_name(&format!("triune:{name}"));
    if let Err(why) = limits::apply_own() {
        fail_boot(&why);
    }
    let owner = membership.map(|membership| membership.owner);
    let mut boot = Boot::new(link, role.name, name, owner, marker.parent, marker.nonce);
    boot.orders = orders;
    begin(role, boot)
}

/// Plays the role that another program, which has become this one, was asked for. Never returns.
///
/// It is the root of a tree of its own, for what it starts itself: the guardian of the other program would start that one.
pub(crate) fn enter_as_program(mark: &LinkMark) -> ! {
    sys::reset_signals();
    let role = role_named(&mark.role);
    let link = match sys::take_socket(mark.descriptor) {
        Ok(link) => UnixStream::from(link),
        Err(error) => fail_boot(&format!("descriptor {} is not its link: {error}", mark.descriptor)),
    };
    sys::seal_descriptors();
    limits::note_own();
    let name = std::env::var(marker::NAME).unwrap_or_else(|_| role.name.to_owned());
    sys::set_process_name(&format!("triune:{name}"));
    let owner = Membership::own().map(|membership| membership.owner);
    let mut boot = Boot::new(link, role.name, name, owner, sys::parent_pid(), 0);
    boot.is_another_program = true;
    begin(role, boot)
}

/// The role of this name. A program that lacks it can do nothing for whoever asked for it.
pub(crate) fn role_named(name: &str) -> &'static Role {
    ROLES.iter().find(|role| role.name == name).unwrap_or_else(|| {
        fail_boot(&format!("this program has no role `{name}`; link the crate that registers it"))
    })
}

/// Plays a role to its end, which is that of the process.
pub(crate) fn begin(role: &Role, boot: Boot) -> ! {
    // Not `_exit`: exit handlers write coverage and profiles.
    std::process::exit(i32::from(play(role, boot)))
}

/// Takes the socket by which a fork server gets its orders.
fn take_orders() -> OwnedFd {
    let number = std::env::var(marker::FORKS).ok().and_then(|number| number.parse().ok());
    match number.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)).and_then(sys::take_socket) {
        Ok(orders) => orders,
        Err(error) => fail_boot(&format!("there is nobody to take orders from: {error}")),
    }
}

/// Takes our place beneath the guardian: it is our parent, and we die with it.
fn join_tree(membership: &Membership, marker: &Marker) {
    // Armed first and compared then: if it still is our parent now, its end will end us.
    if let Err(error) = sys::die_with_parent() {
        fail_boot(&format!("cannot bind its life to that of its guardian: {error}"));
    }
    if sys::parent_pid() != marker.parent {
        exit_now(exit_code::PARENT_GONE);
    }
    if let Err(error) = guardian::inherit(membership, marker.nonce) {
        fail_boot(&format!("its way to the guardian is gone: {error}"));
    }
}

fn play(role: &Role, boot: Boot) -> u8 {
    let main = role.main;
    let play = move || std::panic::catch_unwind(AssertUnwindSafe(|| main(boot))).unwrap_or(exit_code::PANIC);
    if tokio::runtime::Handle::try_current().is_err() {
        return play();
    }
    // `init` was called inside of a runtime (a plain `#[tokio::main]`), where no other may be started on this thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "the thread is joined at once: it is this one, outside of tokio"
    )]
    let thread = std::thread::spawn(play);
    thread.join().unwrap_or(exit_code::PANIC)
}

/// Ends a child that has reached its entry but cannot begin its role.
pub(crate) fn fail_boot(why: &str) -> ! {
    say(why);
    exit_now(exit_code::BOOT_FAILED)
}

/// The one line of a child that nobody else could speak for.
pub(crate) fn say(line: &str) {
    // There is no logger yet, and nobody to tell if stderr is closed.
    let _nobody_to_tell = writeln!(std::io::stderr(), "triune: {line} (pid {})", std::process::id());
}
