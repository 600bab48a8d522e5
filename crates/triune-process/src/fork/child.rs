//! A child of the fork server: from the fork to its role.
//!
//! The order counts. Until it is taken in it is nobody's, so nothing of the program runs before: it binds its life to that
//! of the guardian, leaves the group of its server, asks to be taken in and waits. Then it becomes what it is to be.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use crate::boot::Boot;
use crate::enter::{begin, fail_boot, role_named};
use crate::exit::{exit_code, exit_now};
use crate::guardian::{self, Admission, ORDER_DESCRIPTORS, Order, Request};
use crate::marker::{self, Marker, Membership};
use crate::{limits, sys, tree};

/// What a child has from its server.
pub(super) struct Origin {
    pub(super) only: sys::SoleThread,
    pub(super) memory: sys::StartMemory,
    pub(super) guardian: u32,
}

/// Lives the life of a child. Never returns.
pub(super) fn live(order: Order, fds: [OwnedFd; ORDER_DESCRIPTORS], origin: &Origin) -> ! {
    let [channel, link, stdout, stderr, folder] = fds;
    bind(origin.guardian);
    let (mark, requests) = match be_taken_in(&order, channel) {
        Ok(Some(admitted)) => admitted,
        // The guardian has told the owner why, or is gone.
        Ok(None) | Err(_) => exit_now(exit_code::PARENT_GONE),
    };
    if sys::replace_outputs(&stdout, &stderr).is_err() {
        exit_now(exit_code::BOOT_FAILED);
    }
    drop((stdout, stderr));
    guardian::adopt(requests, mark);
    become_known(&order, mark, origin);
    let entered = sys::enter_folder(folder.as_fd()).and_then(|()| sys::high_copy(link.as_fd()));
    drop((folder, link));
    let link = match entered {
        Ok(link) => UnixStream::from(link),
        Err(error) => fail_boot(&format!("cannot take its folder or its link: {error}")),
    };
    if let Err(why) = limits::apply_own() {
        fail_boot(&why);
    }
    let role = role_named(&order.role);
    begin(role, Boot::new(link, role.name, order.name, Some(order.parent), origin.guardian, mark))
}

/// Binds the life of this process to that of the guardian. What the server was given for this is lost by the fork.
fn bind(guardian: u32) {
    // Armed first and compared then, as in `enter`.
    if sys::die_with_parent().is_err() || sys::parent_pid() != guardian || sys::lead_own_group().is_err() {
        exit_now(exit_code::PARENT_GONE);
    }
    // What the server has loaded may have changed them.
    sys::reset_signals();
}

/// Asks the guardian to take this process in, and waits for the mark and the socket that it gives. `None` if it does not.
fn be_taken_in(order: &Order, channel: OwnedFd) -> io::Result<Option<(u64, OwnedFd)>> {
    let requests = guardian::own_requests().ok_or(io::ErrorKind::NotConnected)?;
    let requests = requests.as_fd();
    let pid = std::process::id();
    let handle = sys::open_process(pid)?;
    let (gate, theirs) = sys::message_pair()?;
    let request = Request::Admit(Admission { owner: order.owner, pid, grace: order.grace }).encode();
    let fds = [channel.as_fd(), handle.as_fd(), theirs.as_fd()];
    while let Err(error) = sys::send_message(requests, &request, &fds) {
        match error.kind() {
            io::ErrorKind::WouldBlock => sys::block_until_room(requests)?,
            _ => return Err(error),
        }
    }
    // An open copy would hide that the guardian has closed it.
    drop((channel, theirs));
    let mut buffer = [0; 8];
    loop {
        match sys::receive_message(gate.as_fd(), &mut buffer) {
            Ok(message) => {
                let requests = message.fds.into_iter().next().filter(|_| message.len == buffer.len());
                return Ok(requests.map(|requests| (u64::from_le_bytes(buffer), requests)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drop(sys::block_until_any(&[gate.as_fd()], None)?);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes its name and its marks, for itself, for what it starts, and for whoever looks at it from outside.
fn become_known(order: &Order, mark: u64, origin: &Origin) {
    let Origin { only, memory, guardian } = origin;
    for entry in &order.env {
        let bytes = entry.as_bytes();
        // As the C library does: a name has at least one byte.
        if let Some(at) = bytes.iter().skip(1).position(|byte| *byte == b'=') {
            let (key, value) = (&bytes[..=at], &bytes[at + 2..]);
            sys::set_variable(only, OsStr::from_bytes(key), Some(OsStr::from_bytes(value)));
        }
    }
    // Behind the others, which cannot change them.
    let marker = Marker { role: order.role.clone(), parent: *guardian, nonce: mark }.encode();
    let membership = Membership::own().map(|own| Membership { owner: order.parent, ..own }.encode());
    let marks = [
        (marker::CHILD, Some(marker.as_str())),
        (marker::NAME, Some(&order.name)),
        (marker::TREE, Some(tree::tree_cookie())),
        (marker::MEMBERSHIP, membership.as_deref()),
        (marker::FORKS, None),
    ];
    for (key, value) in marks {
        sys::set_variable(only, key.as_ref(), value.map(AsRef::as_ref));
    }
    let nonce = marker.len() - Marker::NONCE_LEN;
    if !memory.replace_end_of_variable(only, marker::CHILD, &marker.as_bytes()[nonce..]) {
        fail_boot("its server was started without a mark");
    }
    memory.show_argument(only, marker::first_argument(&order.name).as_bytes());
    sys::set_process_name(&format!("triune:{}", order.name));
}
