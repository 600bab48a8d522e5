//! The handle on one child process.
//!
//! Any number of tasks may wait through any number of clones; all of them learn the same [`Exit`]. When the last handle
//! goes before the child has ended, the child is killed and the rest handed over (`adopt.rs`).

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::adopt;
use crate::child::Child;
use crate::exit::Exit;
use crate::owned::Owned;

/// A child process. A cheap handle: clones mean the same child.
///
/// Dropping the last handle of a child that still runs kills it and its process group at once; it is reaped in the
/// background, and the run waits for that before it ends.
///
/// ```
/// use triune_process::{Boot, ROLES, Role, Spec, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static IDLE: Role = Role { name: "idle", main: |_boot: Boot| loop { std::thread::park() } };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (process, _link) = spawn(Spec::new("idle", "lazybones")).await?;
/// assert_eq!((process.role(), process.name()), ("idle", "lazybones"));
/// assert!(process.pid() > 1 && process.try_exit().is_none());
///
/// process.kill();
/// let exit = process.wait().await;
/// assert_eq!(exit.to_string(), "killed by SIGKILL");
/// assert_eq!(process.clone().try_exit(), Some(exit), "everybody is told the same, also later");
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone)]
#[must_use = "dropping the last handle kills the child; wait for it, or terminate it"]
pub struct Process {
    shared: Arc<Shared>,
}

struct Shared {
    /// Taken when dropped.
    owned: Option<Owned>,
}

impl Process {
    pub(crate) fn new(owned: Owned) -> Self {
        Self { shared: Arc::new(Shared { owned: Some(owned) }) }
    }

    fn owned(&self) -> &Owned {
        self.shared.owned.as_ref().expect("it is taken when the last handle is dropped, and this is a handle")
    }

    fn child(&self) -> &Arc<Child> {
        self.owned().child()
    }

    /// Its process number. It is the child's own until the child has been waited for.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().pid
    }

    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.child().name
    }

    /// The role that it plays.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.child().role
    }

    /// Waits until the process has ended, and says how. Every waiter gets the same answer, also later.
    ///
    /// The process is reaped then, but what it had started may be on its way out still:
    /// [`wait_gone`](Self::wait_gone) waits for that as well. Waiting asks nothing of the child:
    /// [`terminate`](Self::terminate) and [`kill`](Self::kill) do.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; another wait gets the answer.
    pub async fn wait(&self) -> Exit {
        match self.try_exit() {
            Some(exit) => exit,
            None => self.owned().wait().await,
        }
    }

    /// Waits until the process has ended and nothing is left beneath it: neither the children that it owned (which may
    /// clean up within their grace), nor whatever else it had started, nor words of it that are not passed on yet.
    ///
    /// At the level [`Cooperative`](crate::Containment::Cooperative) only its process group is known to be gone.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; another wait gets the answer.
    ///
    /// ```
    /// use std::process::Command;
    /// use triune_process::{Boot, ROLES, Role, Spec, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static CARELESS: Role = Role { name: "careless", main: careless };
    ///
    /// /// Leaves a process behind, in a session of its own, and goes.
    /// fn careless(boot: Boot) -> u8 {
    ///     use std::io::Write;
    ///     let Ok(left) = Command::new("setsid").args(["sleep", "1000"]).spawn() else { return 1 };
    ///     boot.link().write_all(&left.id().to_le_bytes()).map_or(1, |()| 0)
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::io::Read;
    /// let (process, mut link) = spawn(Spec::new("careless", "careless")).await?;
    /// let mut left = [0; 4];
    /// link.read_exact(&mut left)?;
    /// assert!(process.wait_gone().await.is_success());
    /// let left = format!("/proc/{}", u32::from_le_bytes(left));
    /// assert!(!std::fs::exists(left)?, "the guardian has swept it");
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn wait_gone(&self) -> Exit {
        self.owned().wait_gone().await
    }

    /// How the process ended, or `None` while it runs. Reaps it if it has just ended.
    #[must_use]
    pub fn try_exit(&self) -> Option<Exit> {
        self.child().try_exit()
    }

    /// Sends SIGKILL to the process; its group goes with it. Does nothing if it has ended. Does not wait:
    /// [`wait`](Self::wait) does.
    pub fn kill(&self) {
        self.child().kill();
    }

    /// Sends a signal to the process alone, not to its group; false if it has ended.
    ///
    /// # Errors
    /// If there is no such signal, or the child has changed its user and may not be signalled any more.
    ///
    /// ```
    /// use triune_process::{Boot, ROLES, Role, Signal, Spec, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static DOZING: Role = Role { name: "dozing", main: |_boot: Boot| loop { std::thread::park() } };
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (process, _link) = spawn(Spec::new("dozing", "dozing")).await?;
    /// assert!(process.signal(Signal::TERM.number())?);
    /// assert_eq!(process.wait().await.signal(), Some(Signal::TERM.number()));
    /// assert!(!process.signal(Signal::TERM.number())?, "there is nobody to hear it any more");
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn signal(&self, signal: i32) -> io::Result<bool> {
        self.child().signal(signal)
    }

    /// The end of what the process has written to its standard error so far: at most 16 KiB, with what is no UTF-8
    /// replaced. When it has ended, that includes its last words. Empty if its [`Stdio`](crate::Stdio) keeps nothing.
    ///
    /// ```
    /// use triune_process::{Boot, Output, ROLES, Role, Spec, Stdio, spawn};
    ///
    /// #[linkme::distributed_slice(ROLES)]
    /// static UNLUCKY: Role = Role { name: "unlucky", main: |_boot: Boot| panic!("no paper") };
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # triune_process::init();
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let quiet = Stdio::new().stderr(Output::Capture);
    /// let (process, _link) = spawn(Spec::new("unlucky", "printer").stdio(quiet)).await?;
    /// assert_eq!(process.wait().await.code(), Some(101));
    /// assert!(process.stderr_tail().contains("no paper"));
    /// # Ok(()) })
    /// # }
    /// ```
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.child().outputs.stderr_tail()
    }

    /// The same for its standard output.
    #[must_use]
    pub fn stdout_tail(&self) -> String {
        self.child().outputs.stdout_tail()
    }

    /// Sends SIGTERM to the process and its group, unless it has ended.
    pub(crate) fn request_end(&self) {
        self.child().request_end();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take() {
            adopt::adopt(owned);
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Child { pid, role, name, .. } = &**self.child();
        f.debug_struct("Process")
            .field("pid", pid)
            .field("role", role)
            .field("name", name)
            .finish_non_exhaustive()
    }
}
