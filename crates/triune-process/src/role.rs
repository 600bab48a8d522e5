//! The registry of roles: what a process of this program can be besides the program itself.

use linkme::distributed_slice;

use crate::boot::Boot;

/// A part that a child can play: what its process does instead of the program's `main`.
///
/// Crates register theirs in [`ROLES`]; [`Spec::new`](crate::Spec::new) names one.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// The name by which a parent asks for it. Unique in the program.
    pub name: &'static str,
    /// What the process does. Returns its exit code. Runs on the main thread, before any runtime exists in the process;
    /// a panic ends the process with code 101.
    pub main: fn(Boot) -> u8,
}

/// The roles of this program, collected by the linker: a program adds one with the crate `linkme`.
///
/// ```
/// use triune_process::{Boot, ROLES, Role};
///
/// #[linkme::distributed_slice(ROLES)]
/// static ECHO: Role = Role { name: "echo", main: echo };
///
/// fn echo(boot: Boot) -> u8 {
///     let _link = boot.into_link();
///     0
/// }
///
/// assert!(ROLES.iter().any(|role| role.name == "echo"));
/// ```
#[distributed_slice]
pub static ROLES: [Role];
