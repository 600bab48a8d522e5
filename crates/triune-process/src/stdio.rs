//! What becomes of the standard output and error of a child.

/// What becomes of one of the two streams that a child writes. The child's standard input is empty in any case.
///
/// ```
/// use triune_process::{Boot, Output, ROLES, Role, Spec, Stdio, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static TALKER: Role = Role { name: "talker", main: talker };
///
/// fn talker(_boot: Boot) -> u8 {
///     println!("the answer is 42");
///     eprintln!("nobody has asked");
///     0
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let stdio = Stdio::new().stdout(Output::Capture).stderr(Output::Null);
/// let (process, _link) = spawn(Spec::new("talker", "talker").stdio(stdio)).await?;
/// process.wait_gone().await;
/// assert_eq!(process.stdout_tail(), "the answer is 42\n");
/// assert_eq!(process.stderr_tail(), "");
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Output {
    /// The child writes to where this process writes, without a detour: also a terminal stays one. Nothing is kept.
    Inherit,
    /// This process passes everything on as it comes, and keeps the end of it.
    Forward,
    /// This process passes on line by line, with the child's name before each, and keeps the end of it.
    Relay,
    /// Nothing is shown; the end of it is kept.
    Capture,
    /// Nothing is shown, and nothing is kept.
    Null,
}

/// What becomes of the standard output and error of a child.
///
/// By default, standard output is [inherited](Output::Inherit), and standard error is [forwarded](Output::Forward):
/// its last words are part of the error when it dies, see [`Died::stderr_tail`](crate::Died::stderr_tail). What is kept
/// are the last 16 KiB of each stream; before a backtrace that is longer, up to 1 KiB of what was said there. What is forwarded or relayed is written by a thread of its own, which needs no
/// runtime; a child that writes faster than this process can is slowed down, and nobody else.
///
/// ```
/// use triune_process::{Output, Spec, Stdio};
///
/// let silent = Spec::new("worker", "silent").stdio(Stdio::all(Output::Null));
/// let logged = Spec::new("worker", "logged").stdio(Stdio::new().stdout(Output::Relay).stderr(Output::Relay));
/// # drop((silent, logged));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a policy does nothing by itself; give it to a specification"]
pub struct Stdio {
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

impl Stdio {
    /// The default.
    pub const fn new() -> Self {
        Self { stdout: Output::Inherit, stderr: Output::Forward }
    }

    /// The same for both streams.
    pub const fn all(output: Output) -> Self {
        Self { stdout: output, stderr: output }
    }

    /// What becomes of the standard output.
    pub const fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// What becomes of the standard error.
    pub const fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }
}

impl Default for Stdio {
    fn default() -> Self {
        Self::new()
    }
}
