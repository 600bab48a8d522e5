//! What the macros call in the worker: decode the arguments, run the function, encode the result.
//!
//! Owns: the way from bytes to bytes around one function, with each failure as a [`Report`] of its own kind. Does not
//! own: panics (`serve` catches them) and the registry (`job`).

use serde::Serialize;
use serde::de::DeserializeOwned;
use triune_wire::Report;

use crate::report;

/// What an argument of a job must be. Implemented for every type that is serialisable both ways and owned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a job",
    label = "does not cross into another process",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it; it must also be `Send` and own what it holds"
)]
pub trait Argument: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Argument for T {}

/// What the result of a job must be. Implemented for every type that is serialisable both ways and owned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a job",
    label = "does not cross into another process",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it; it must also be `Send` and own what it holds"
)]
pub trait Output: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Output for T {}

/// A `Result`, by whatever alias: the job resolves to its `Ok` type, and its error becomes `RunError::App`.
#[diagnostic::on_unimplemented(
    message = "the return type of a job is called `Result` but is not `std::result::Result`",
    label = "not a `std::result::Result`",
    note = "return `std::result::Result<T, E>` or an alias of it, or give your own type another name"
)]
pub trait Fallible {
    /// What the job resolves to.
    type Ok;
}

impl<T, E> Fallible for Result<T, E> {
    type Ok = T;
}

/// Checks an argument type where it is written.
pub fn assert_argument<T: Argument>() {}

/// Checks a result type where it is written.
pub fn assert_output<T: Output>() {}

/// Runs a function that cannot fail.
///
/// # Errors
///
/// A report if the arguments cannot be decoded or the result cannot be encoded.
pub fn run<A: DeserializeOwned, R: Serialize>(
    arguments: &[u8],
    output: &mut Vec<u8>,
    function: impl FnOnce(A) -> R,
) -> Result<(), Box<Report>> {
    run_fallible(arguments, output, |arguments| Ok(function(arguments)))
}

/// Runs a function whose error has been made a report.
///
/// # Errors
///
/// The function's own report, or one about its arguments or result as in [`run`].
pub fn run_fallible<A: DeserializeOwned, R: Serialize>(
    arguments: &[u8],
    output: &mut Vec<u8>,
    function: impl FnOnce(A) -> Result<R, Box<Report>>,
) -> Result<(), Box<Report>> {
    let arguments = triune_wire::decode(arguments).map_err(|error| report::undecodable(&error))?;
    let result = function(arguments)?;
    triune_wire::encode(&result, output).map_err(|error| report::unencodable(&error))
}
