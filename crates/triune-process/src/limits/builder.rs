//! [`Limits`]: what a parent asks for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::apply::own_limits;
use super::report::Limit;
use super::text;

/// What to do about a limit that this system cannot enforce.
///
/// ```
/// use triune_process::{Boot, Enforce, Limits, Output, ROLES, Role, Spec, Stdio, exit_code, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static TAMED: Role = Role { name: "tamed", main: |_boot: Boot| 0 };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// // Nobody has this core.
/// let impossible = Limits::new().cores([4095]);
/// let spec = Spec::new("tamed", "tamed").stdio(Stdio::new().stderr(Output::Capture));
///
/// let (process, _link) = spawn(spec.clone().limits(impossible.clone())).await?;
/// assert_eq!(process.wait().await.code(), Some(exit_code::BOOT_FAILED.into()));
/// assert!(process.stderr_tail().contains("limits are required that this system does not enforce: cores"));
///
/// let (process, _link) = spawn(spec.limits(impossible.enforce(Enforce::BestEffort))).await?;
/// assert!(process.wait().await.is_success());
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Enforce {
    /// The process does not begin its work; the error names the limit and the remedy.
    #[default]
    Require,
    /// The process works without it; the report and a warning in the log say so.
    BestEffort,
}

/// What a process may not do, on its own and with everything that it starts. Nothing is limited by default.
///
/// The child applies them to itself before its role begins: starting it stays cheap, and no process but it is affected. A
/// limit can only be lowered: where the system already allows less, that stays. What a limited process starts is limited as
/// it is, whoever is its parent for the system, and may be given less, but not more. Whether each limit holds is in the
/// [`LimitsReport`](crate::LimitsReport); one that does not hold is an error, unless [`Limits::enforce`] says otherwise.
///
/// Limits catch accidents: decoder bombs, endless loops, leaks. Together with the sandbox (paths, network, programs) they
/// also hold what the input of a parser may do when it takes the parser over. They are no wall around code that was
/// written to break out.
///
/// ```
/// use std::time::Duration;
/// use triune_process::{Limits, Spec};
///
/// // For a program: what it may use up.
/// let limits = Limits::new().memory(512 << 20).cpu_time(Duration::from_secs(60)).open_files(256).nice(10);
/// let spec = Spec::new("worker", "careful").limits(limits);
/// # drop(spec);
///
/// // For a parser of what strangers send: what it may touch as well.
/// let sandbox = Limits::new().memory(512 << 20).core_size(0).read_only("/usr/share").no_network().no_programs();
/// assert!(sandbox.forbids_programs() && !sandbox.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "limits do nothing by themselves; give them to a pool or a specification"]
pub struct Limits {
    pub(super) counted: [Option<u64>; Resource::ALL.len()],
    pub(super) cpu_time_per_job: bool,
    pub(super) cores: Option<Vec<usize>>,
    pub(super) nice: Option<i32>,
    pub(super) no_new_privileges: bool,
    /// Each takes away more. The last one is of this process; those before are of the processes that own it.
    pub(super) paths: Vec<Paths>,
    pub(super) no_network: bool,
    pub(super) no_programs: bool,
    pub(super) enforce: Enforce,
}

/// The paths that stay within reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
}

/// A resource that the system counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Memory,
    CpuTime,
    OpenFiles,
    FileSize,
    CoreSize,
    Processes,
    Stack,
}

impl Resource {
    pub(crate) const ALL: [Self; 7] = [
        Self::Memory,
        Self::CpuTime,
        Self::OpenFiles,
        Self::FileSize,
        Self::CoreSize,
        Self::Processes,
        Self::Stack,
    ];

    pub(crate) const fn limit(self) -> Limit {
        match self {
            Self::Memory => Limit::Memory,
            Self::CpuTime => Limit::CpuTime,
            Self::OpenFiles => Limit::OpenFiles,
            Self::FileSize => Limit::FileSize,
            Self::CoreSize => Limit::CoreSize,
            Self::Processes => Limit::Processes,
            Self::Stack => Limit::Stack,
        }
    }
}

impl Limits {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    fn count(mut self, resource: Resource, value: u64) -> Self {
        self.counted[resource as usize] = Some(value);
        self
    }

    pub(crate) fn counted(&self, resource: Resource) -> Option<u64> {
        self.counted[resource as usize]
    }

    /// Memory of its own, in bytes: heap, thread stacks and every other private mapping that it may write. An allocation
    /// beyond it fails, which ends a Rust program by SIGABRT.
    ///
    /// Not counted are the program and its libraries, what is shared with other processes, and address space that is only
    /// reserved. A few MiB are needed by the process itself; less is refused.
    pub fn memory(self, bytes: u64) -> Self {
        self.count(Resource::Memory, bytes)
    }

    /// Processor time of all its threads together, rounded up to seconds. Beyond it the system sends SIGXCPU, which ends
    /// the process.
    ///
    /// A worker counts it anew for each job; any other process has it for its whole life.
    pub fn cpu_time(self, time: Duration) -> Self {
        let seconds =
            if time.subsec_nanos() == 0 { time.as_secs() } else { time.as_secs().saturating_add(1) };
        self.count(Resource::CpuTime, seconds)
    }

    /// How many descriptors may be open. An `open` beyond it fails. A few are needed by the process itself.
    pub fn open_files(self, count: u64) -> Self {
        self.count(Resource::OpenFiles, count)
    }

    /// The size of a file that it writes, in bytes. Beyond it the system sends SIGXFSZ.
    ///
    /// ```
    /// use triune_process::Limits;
    ///
    /// let spool = Limits::new().file_size(1 << 30).core_size(0);
    /// # drop(spool);
    /// ```
    pub fn file_size(self, bytes: u64) -> Self {
        self.count(Resource::FileSize, bytes)
    }

    /// The size of the memory image that the system writes when it crashes, in bytes; 0 for none.
    pub fn core_size(self, bytes: u64) -> Self {
        self.count(Resource::CoreSize, bytes)
    }

    /// How many processes and threads its *user* may have. The system does not hold root to it.
    ///
    /// ```
    /// use triune_process::Limits;
    ///
    /// // For a build that starts many small processes, as a user of its own.
    /// let build = Limits::new().processes(500).stack(8 << 20);
    /// # drop(build);
    /// ```
    pub fn processes(self, count: u64) -> Self {
        self.count(Resource::Processes, count)
    }

    /// The stack of the main thread of what it starts, in bytes.
    pub fn stack(self, bytes: u64) -> Self {
        self.count(Resource::Stack, bytes)
    }

    /// The processor cores on which it may run, by their number. If the system grants only some of them, the limit is
    /// partially enforced.
    ///
    /// ```
    /// use triune_process::Limits;
    ///
    /// // Leaves the first core to the rest of the program.
    /// let aside = Limits::new().cores(1..8).nice(5);
    /// # drop(aside);
    /// ```
    pub fn cores(mut self, cores: impl IntoIterator<Item = usize>) -> Self {
        self.cores = Some(cores.into_iter().collect());
        self
    }

    /// Its niceness, from -20 to 19: the higher, the more it lets others go first. To lower it needs a privilege.
    pub fn nice(mut self, niceness: i32) -> Self {
        self.nice = Some(niceness);
        self
    }

    /// Programs that it starts get no privileges that it has not, such as those of another user. The limits of paths,
    /// network and programs imply it.
    pub fn no_new_privileges(mut self) -> Self {
        self.no_new_privileges = true;
        self
    }

    /// Everything beneath this path may be read, and programs there executed. Once a path is named (or
    /// [`no_paths`](Self::no_paths)), every file and folder beneath no named path is out of reach, but for the process's own
    /// folder in `/proc`. What was open before stays open.
    ///
    /// Enforced by Landlock, as far as the kernel knows it.
    pub fn read_only(mut self, path: impl Into<PathBuf>) -> Self {
        self.own_paths().read.push(path.into());
        self
    }

    /// Everything beneath this path may be read, written, made and removed. See [`read_only`](Self::read_only).
    ///
    /// ```
    /// use triune_process::Limits;
    ///
    /// let thumbnailer = Limits::new().read_only("/usr/lib").read_only("/home/me/pictures").read_write("/tmp/thumbnails");
    /// # drop(thumbnailer);
    /// ```
    pub fn read_write(mut self, path: impl Into<PathBuf>) -> Self {
        self.own_paths().write.push(path.into());
        self
    }

    /// No file can be opened, but for those beneath the paths that are named. See [`read_only`](Self::read_only).
    ///
    /// ```
    /// use triune_process::Limits;
    ///
    /// // It computes, and gets everything that it needs over its link.
    /// let pure = Limits::new().no_paths().no_network().no_programs().no_new_privileges();
    /// # drop(pure);
    /// ```
    pub fn no_paths(mut self) -> Self {
        self.own_paths();
        self
    }

    fn own_paths(&mut self) -> &mut Paths {
        if self.paths.is_empty() {
            self.paths.push(Paths::default());
        }
        let last = self.paths.len() - 1;
        &mut self.paths[last]
    }

    /// No socket can be opened but one of this machine (`AF_UNIX`): others fail with "permission denied". A socket that was
    /// open before stays open.
    ///
    /// Enforced by a filter of system calls, for this process and all that it starts.
    pub fn no_network(mut self) -> Self {
        self.no_network = true;
        self
    }

    /// No program can be executed: `exec` fails with "permission denied". To fork stays possible.
    ///
    /// Enforced by a filter of system calls, for this process and all that it forks.
    pub fn no_programs(mut self) -> Self {
        self.no_programs = true;
        self
    }

    /// What to do about a limit that this system cannot enforce. Default: [`Enforce::Require`].
    pub fn enforce(mut self, enforce: Enforce) -> Self {
        self.enforce = enforce;
        self
    }

    /// What is to be done about a limit that cannot be enforced.
    ///
    /// ```
    /// use triune_process::{Enforce, Limits};
    ///
    /// assert_eq!(Limits::new().enforcement(), Enforce::Require);
    /// assert_eq!(Limits::new().enforce(Enforce::BestEffort).enforcement(), Enforce::BestEffort);
    /// ```
    #[must_use]
    pub fn enforcement(&self) -> Enforce {
        self.enforce
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::new().enforce(self.enforce)
    }

    /// Whether no program may be executed.
    #[must_use]
    pub fn forbids_programs(&self) -> bool {
        self.no_programs
    }

    /// For a role that judges the report by itself, and that begins each of its jobs with [`begin_cpu_time`].
    ///
    /// [`begin_cpu_time`]: crate::begin_cpu_time
    #[doc(hidden)]
    pub fn for_jobs(mut self) -> Self {
        self.cpu_time_per_job = true;
        self.enforce(Enforce::BestEffort)
    }

    /// These limits for a child of a process that has the limits `above`: it gets no more than that one has.
    pub(super) fn beneath(&self, above: &Self) -> Self {
        let mut both = self.clone();
        for (own, above) in both.counted.iter_mut().zip(above.counted) {
            *own = [*own, above].into_iter().flatten().min();
        }
        if self.counted(Resource::CpuTime).is_none() {
            both.cpu_time_per_job = false;
        }
        both.cores = match (&self.cores, &above.cores) {
            (Some(own), Some(above)) => {
                Some(own.iter().copied().filter(|core| above.contains(core)).collect())
            }
            (own, above) => own.as_ref().or(above.as_ref()).cloned(),
        };
        both.nice = self.nice.max(above.nice);
        both.no_new_privileges |= above.no_new_privileges;
        both.no_network |= above.no_network;
        both.no_programs |= above.no_programs;
        both.paths = above.paths.iter().chain(&self.paths).cloned().collect();
        if self.is_empty() {
            both.enforce = above.enforce;
        }
        both
    }

    /// The variable that tells a child its limits, with those of this process. Always set, because a child has the
    /// environment of its parent, which may be limited itself.
    pub(crate) fn to_variable(&self) -> (OsString, OsString) {
        let limits = own_limits().map_or_else(|| self.clone(), |own| self.beneath(own));
        (text::VARIABLE.into(), text::encode(&limits).into())
    }
}
