//! What a child knows when it begins its role, and how its life hangs on that of its parent.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::lifeline;

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
    /// Who asked for this process, if that is not its parent in the system's eyes but the process of a tree with a guardian.
    owner: Option<u32>,
    /// The parent in the system's eyes.
    pub(crate) system_parent: u32,
    /// Tells this process from all others of its tree.
    pub(crate) nonce: u64,
    pub(crate) is_another_program: bool,
    /// In a fork server: where its orders come from.
    pub(crate) orders: Option<OwnedFd>,
}

impl Boot {
    /// That of a child which is this program, and no fork server.
    pub(crate) fn new(
        link: UnixStream,
        role: &'static str,
        name: String,
        owner: Option<u32>,
        system_parent: u32,
        nonce: u64,
    ) -> Self {
        let (is_another_program, orders) = (false, None);
        Self { link, role, name, owner, system_parent, nonce, is_another_program, orders }
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
        self.owner.unwrap_or(self.system_parent)
    }

    /// The parent, if the system can tell of its end: it has no guardian in between.
    fn watched_parent(&self) -> Option<u32> {
        self.owner.is_none().then_some(self.system_parent)
    }

    /// Whether this process was started by another program than itself.
    #[must_use]
    pub fn is_another_program(&self) -> bool {
        self.is_another_program
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
        lifeline::watch(&self.link, self.watched_parent(), None, on_gone)
    }

    /// Ends this process when its parent is gone: calls `on_gone`, gives the process `grace` to end by itself, then exits
    /// with [`exit_code::PARENT_GONE`](crate::exit_code::PARENT_GONE), whatever the other threads are doing.
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
        match self.watched_parent() {
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
        lifeline::watch(&self.link, self.watched_parent(), Some(sign), on_gone)
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, name, .. } = self;
        f.debug_struct("Boot")
            .field("role", role)
            .field("name", name)
            .field("parent", &self.parent_pid())
            .finish_non_exhaustive()
    }
}
