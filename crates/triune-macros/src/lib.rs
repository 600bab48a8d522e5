//! The attribute macros of triune. Use them through the crate `triune`; every expansion names only `::triune` paths.
//!
//! Each macro has a module of its own: parse, check with a message that names the remedy, expand.

use proc_macro::TokenStream;

mod endpoint;
mod entry;
mod job;

/// Runs an async `main` under triune: a child goes to its role, everybody else gets a runtime, signals and exit codes.
///
/// | option | meaning |
/// |---|---|
/// | `flavor = "multi_thread"` (default) or `"current_thread"` | which of tokio's runtimes |
/// | `worker_threads = n` | how many threads the first has; otherwise as many as there are cores |
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::main(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Runs an async test under triune; the test binary also serves as the executable of its workers and actors.
///
/// | option | meaning |
/// |---|---|
/// | `flavor = "current_thread"` (default) or `"multi_thread"` | which of tokio's runtimes |
/// | `worker_threads = n` | how many threads the second has, and asks for it |
/// | `start_paused = true` | tokio's clock, and with it every deadline, stands still while something can run, and then jumps to the next timer. One thread only; needs the feature `test-util` of `triune` |
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::test(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a synchronous function a job for worker processes: `name::with(args)`.
#[proc_macro_attribute]
pub fn job(args: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an async function an endpoint of actors: `name::with(args)`.
#[proc_macro_attribute]
pub fn endpoint(args: TokenStream, item: TokenStream) -> TokenStream {
    endpoint::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
