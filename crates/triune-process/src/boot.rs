//! The child's side of a start: from the entry into the role.
//!
//! Owns the order of things in a fresh child: signals, link, descriptors, name, role, exit.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use crate::containment::{self, Containment};
use crate::entry::{ROLES, Role, fail_boot};
use crate::exit::{exit_code, exit_now};
use crate::fork::FORK_SERVER;
use crate::marker::{self, LinkMark, Marker, Membership};
use crate::{guardian, lifeline, limits, sys, tree};

/// What a child knows when it begins its role: who it is, who its parent is, and its end of the link.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::Shutdown;
/// use triune_process::{Boot, ROLES, Role, Spec, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static PARROT: Role = Role { name: "parrot", main: parrot };
///
/// /// The child repeats what it hears, until its parent hangs up.
/// fn parrot(boot: Boot) -> u8 {
///     assert_eq!((boot.role(), boot.name()), ("parrot", "polly"));
///     assert!(!boot.is_another_program() && boot.parent_pid() != std::process::id());
///     if boot.die_with_parent().is_err() {
///         return 1;
///     }
///     match std::io::copy(&mut boot.link(), &mut boot.link()) {
///         Ok(_) => 0,
///         Err(_) => 2,
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (process, mut link) = spawn(Spec::new("parrot", "polly")).await?;
/// link.write_all(b"hello")?;
/// link.shutdown(Shutdown::Write)?;
/// let mut heard = String::new();
/// link.read_to_string(&mut heard)?;
/// assert_eq!(heard, "hello");
/// assert!(process.wait_gone().await.is_success());
/// # Ok(()) })
/// # }
/// ```
pub struct Boot {
    link: UnixStream,
    role: &'static str,
    name: String,
    parent: u32,
    /// The process that started this one in the system's eyes, if it is the parent that owns the link.
    watched_parent: Option<u32>,
    nonce: u64,
    is_another_program: bool,
    /// The parent in the system's eyes.
    pub(crate) system_parent: u32,
    /// In a fork server: where its orders come from.
    pub(crate) orders: Option<OwnedFd>,
}

impl Boot {
    /// That of a child which a fork server has made.
    pub(crate) fn forked(
        link: UnixStream,
        role: &'static str,
        name: String,
        owner: u32,
        guardian: u32,
        mark: u64,
    ) -> Self {
        let (watched_parent, orders, is_another_program) = (None, None, false);
        Self {
            link,
            role,
            name,
            parent: owner,
            watched_parent,
            nonce: mark,
            is_another_program,
            system_parent: guardian,
            orders,
        }
    }

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

    /// The process number of the parent: the process that asked for this one and holds the other end of its link. The
    /// system's parent of both may be the guardian.
    #[must_use]
    pub fn parent_pid(&self) -> u32 {
        self.parent
    }

    /// Whether this process was started by another program than itself.
    #[must_use]
    pub fn is_another_program(&self) -> bool {
        self.is_another_program
    }

    /// Tells this process from all others of its tree.
    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
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
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use triune_process::{Boot, ROLES, Role, Spec, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static HEIR: Role = Role { name: "heir", main: heir };
    ///
    /// fn heir(boot: Boot) -> u8 {
    ///     let (gone, parent) = mpsc::channel();
    ///     let Ok(()) = boot.watch_parent(move || drop(gone.send("gone"))) else { return 1 };
    ///     // Whatever the process would be busy with.
    ///     if parent.recv() == Ok("gone") { 3 } else { 2 }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (process, link) = spawn(Spec::new("heir", "heir")).await?;
    /// drop(link);
    /// assert_eq!(process.wait().await.code(), Some(3));
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn watch_parent(&self, on_gone: impl FnOnce() + Send + 'static) -> io::Result<()> {
        lifeline::watch(&self.link, self.watched_parent, None, on_gone)
    }

    /// Ends this process when its parent is gone: calls `on_gone`, gives the process `grace` to end by itself, then exits
    /// with [`exit_code::PARENT_GONE`], whatever the other threads are doing.
    ///
    /// # Errors
    /// If the system refuses the thread or a descriptor.
    ///
    /// ```
    /// use std::time::Duration;
    /// use triune_process::{Boot, ROLES, Role, Spec, exit_code, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static BUSY: Role = Role { name: "busy", main: busy };
    ///
    /// fn busy(boot: Boot) -> u8 {
    ///     let Ok(()) = boot.exit_with_parent(Duration::from_millis(10), || ()) else { return 1 };
    ///     loop {
    ///         std::hint::spin_loop(); // It looks at nothing, and ends all the same.
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (process, link) = spawn(Spec::new("busy", "busy")).await?;
    /// drop(link);
    /// assert_eq!(process.wait().await.code(), Some(exit_code::PARENT_GONE.into()));
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn exit_with_parent(
        &self,
        grace: Duration,
        on_gone: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        self.watch_parent(move || lifeline::exit_after(grace, on_gone))
    }

    /// Ends this process at once when its parent is gone, whatever it is doing. For a process that its parent has started
    /// with no [`orphan_grace`](crate::Spec::orphan_grace).
    ///
    /// Where there is a guardian, the system does it, whatever the guardian is doing, and this call does nothing: the process stays
    /// one of a single thread, which starts and dies faster. Elsewhere it is [`exit_with_parent`](Self::exit_with_parent).
    ///
    /// # Errors
    /// As [`exit_with_parent`](Self::exit_with_parent).
    pub fn die_with_parent(&self) -> io::Result<()> {
        match self.watched_parent {
            None => Ok(()),
            Some(_) => self.exit_with_parent(Duration::ZERO, || ()),
        }
    }

    /// Ends this process at once when its parent is gone, and until then calls `sign` every so often, on the same thread: a sign of life that
    /// a busy process gives, too, and a stopped one does not.
    ///
    /// # Errors
    /// If the system refuses the thread or a descriptor.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::time::Duration;
    /// use triune_process::{Boot, ROLES, Role, Spec, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static HEART: Role = Role { name: "heart", main: heart };
    ///
    /// fn heart(boot: Boot) -> u8 {
    ///     let Ok(link) = boot.link().try_clone() else { return 1 };
    ///     let sign = move || drop((&link).write(b"."));
    ///     let Ok(()) = boot.exit_with_parent_and_sign(Duration::from_millis(1), sign) else { return 1 };
    ///     loop {
    ///         std::hint::spin_loop();
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (process, mut link) = spawn(Spec::new("heart", "heart")).await?;
    /// let mut signs = [0; 3];
    /// link.read_exact(&mut signs)?;
    /// assert_eq!(&signs, b"...");
    /// drop(link);
    /// assert!(!process.wait().await.is_success());
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn exit_with_parent_and_sign(
        &self,
        every: Duration,
        sign: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let sign = lifeline::Sign { every, give: Box::new(sign) };
        let on_gone = || lifeline::exit_after(Duration::ZERO, || {});
        lifeline::watch(&self.link, self.watched_parent, Some(sign), on_gone)
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, name, parent, .. } = self;
        f.debug_struct("Boot")
            .field("role", role)
            .field("name", name)
            .field("parent", parent)
            .finish_non_exhaustive()
    }
}

/// Plays the role that `marker` asks for. Never returns.
pub(crate) fn enter(marker: &Marker, name: String) -> ! {
    sys::reset_signals();
    tree::is_child();
    let Some(role) = ROLES.iter().find(|role| role.name == marker.role) else {
        fail_boot(&format!("this program has no role `{}`; link the crate that registers it", marker.role));
    };
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
    let parent = membership.as_ref().map_or(marker.parent, |membership| membership.owner);
    let watched_parent = membership.is_none().then_some(marker.parent);
    let (nonce, system_parent) = (marker.nonce, marker.parent);
    let is_another_program = false;
    begin(
        role,
        Boot {
            link,
            role: role.name,
            name,
            parent,
            watched_parent,
            nonce,
            is_another_program,
            system_parent,
            orders,
        },
    )
}

/// Plays the role that another program, which has become this one, was asked for. Never returns.
///
/// It is the root of a tree of its own, for what it starts itself: the guardian of the other program would start that one.
pub(crate) fn enter_as_program(mark: &LinkMark) -> ! {
    sys::reset_signals();
    let Some(role) = ROLES.iter().find(|role| role.name == mark.role) else {
        fail_boot(&format!("this program has no role `{}`; link the crate that registers it", mark.role));
    };
    let link = match sys::take_socket(mark.descriptor) {
        Ok(link) => UnixStream::from(link),
        Err(error) => fail_boot(&format!("descriptor {} is not its link: {error}", mark.descriptor)),
    };
    sys::seal_descriptors();
    limits::note_own();
    let name = std::env::var(marker::NAME).unwrap_or_else(|_| role.name.to_owned());
    sys::set_process_name(&format!("triune:{name}"));
    let membership = Membership::own();
    let system_parent = sys::parent_pid();
    let parent = membership.as_ref().map_or(system_parent, |membership| membership.owner);
    let watched_parent = membership.is_none().then_some(system_parent);
    let (nonce, orders, is_another_program) = (0, None, true);
    begin(
        role,
        Boot {
            link,
            role: role.name,
            name,
            parent,
            watched_parent,
            nonce,
            is_another_program,
            system_parent,
            orders,
        },
    )
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
