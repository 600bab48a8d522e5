//! The child's side of a start: from the entry into the role.
//!
//! Owns the order of things in a fresh child: signals, link, descriptors, name, role, exit.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use crate::entry::{ROLES, Role, fail_boot};
use crate::exit::exit_code;
use crate::lifeline;
use crate::limits;
use crate::marker::Marker;
use crate::sys;

/// What a child knows when it begins its role: who it is, who its parent is, and its end of the link.
pub struct Boot {
    link: UnixStream,
    role: &'static str,
    name: String,
    parent: u32,
}

impl Boot {
    /// The role that this process plays.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// The name that the parent gave to this process.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process number of the parent.
    #[must_use]
    pub fn parent_pid(&self) -> u32 {
        self.parent
    }

    /// The link to the parent, in blocking mode.
    #[must_use]
    pub fn link(&self) -> &UnixStream {
        &self.link
    }

    /// Takes the link to the parent, in blocking mode. A watch that was started before goes on.
    #[must_use]
    pub fn into_link(self) -> UnixStream {
        self.link
    }

    /// Calls `on_gone`, on a thread of its own, when the parent's end of the link is closed or the parent has died.
    ///
    /// It neither reads from the link nor needs the other threads, so a busy loop cannot delay it. The watch lasts as long
    /// as the process.
    ///
    /// # Errors
    /// If the system refuses the thread or a descriptor.
    pub fn watch_parent(&self, on_gone: impl FnOnce() + Send + 'static) -> io::Result<()> {
        lifeline::watch(&self.link, self.parent, on_gone)
    }

    /// Ends this process when its parent is gone: calls `on_gone`, gives the process `grace` to end by itself, then exits
    /// with [`exit_code::PARENT_GONE`], whatever the other threads are doing.
    ///
    /// # Errors
    /// If the system refuses the thread or a descriptor.
    pub fn exit_with_parent(
        &self,
        grace: Duration,
        on_gone: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        self.watch_parent(move || lifeline::exit_after(grace, on_gone))
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link: _, role, name, parent } = self;
        f.debug_struct("Boot").field("role", role).field("name", name).field("parent", parent).finish()
    }
}

/// Plays the role that `marker` asks for. Never returns.
pub(crate) fn enter(marker: &Marker, name: String) -> ! {
    sys::reset_signals();
    let link = match sys::take_link() {
        Ok(link) => link,
        Err(error) => fail_boot(&format!("standard input of this child is not its link: {error}")),
    };
    sys::seal_descriptors();
    sys::set_process_name(&format!("triune:{name}"));
    let Some(role) = ROLES.iter().find(|role| role.name == marker.role) else {
        fail_boot(&format!("this program has no role `{}`; link the crate that registers it", marker.role));
    };
    if let Err(why) = limits::apply_own() {
        fail_boot(&why);
    }
    let boot = Boot { link, role: role.name, name, parent: marker.parent };
    // Not `_exit`: exit handlers write coverage and profiles.
    std::process::exit(i32::from(play(role, boot)))
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
