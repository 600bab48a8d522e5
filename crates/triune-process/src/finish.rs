//! The end of a program that leaves nothing behind.

use crate::{guardian, output};

/// Waits until what the children have written is passed on, and until the guardian has gone, with everything that is left
/// of the tree. For the end of `main`, when the runtime is gone; `#[triune::main]` calls it.
///
/// A program that simply exits is noticed as well, and nothing outlives it by more than a moment; this makes sure that
/// the moment is over when it has ended. Blocks for less than a millisecond if there is nothing left to do, and for a
/// second at most. A start after it works as ever.
///
/// ```
/// use triune_process::{Boot, ROLES, Role, Spec, finish, init, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static BRIEF: Role = Role { name: "brief", main: |_boot: Boot| 0 };
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     init();
///     let runtime = tokio::runtime::Runtime::new()?;
///     let exit = runtime.block_on(async {
///         let (process, _link) = spawn(Spec::new("brief", "brief")).await?;
///         Ok::<_, Box<dyn std::error::Error>>(process.wait_gone().await)
///     })?;
///     drop(runtime);
///     finish(); // No process of ours is left from here on.
///     assert!(exit.is_success());
///     Ok(())
/// }
/// ```
pub fn finish() {
    guardian::dismiss();
    output::flush();
}
