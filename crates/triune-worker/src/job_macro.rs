//! `job!(path(args))`: a job of a function that has no attribute.
//!
//! Owns: the macro and the inference behind it. The arguments of the call and those of the registered function are tied
//! by one type parameter, so a literal gets the type that the function wants. Whether the function returns a `Result` is
//! found by method lookup, as in `report`.

use std::convert::Infallible;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use triune_wire::Report;

use crate::call::{Answer, Argument, Arguments, Output};
use crate::job::{Job, JobEntry};

/// Makes a [`Job`] of any function: `job!(path::to::function(arguments, ..))`.
///
/// For functions of other crates, and for concrete instances of generic ones (`job!(parse::<Config>(text))`). For
/// functions of your own prefer the attribute `#[triune::job]`: its errors are clearer.
///
/// The function is named, not called: the arguments are evaluated here, the call happens in a worker. Arguments and
/// result are owned and serialisable; if the function returns a `Result`, the job resolves to its `Ok` type and the error
/// becomes [`RunError::App`](crate::RunError::App). The path cannot use generic parameters of the function around it.
///
/// ```
/// use triune_worker::{Job, job};
///
/// let job: Job<u64> = job!(u64::pow(3, 4));
/// assert_eq!(job.name(), "u64::pow");
/// let parse: Job<u32> = job!(parse("7".to_owned())); // `Result<u32, ParseIntError>`
///
/// fn parse(text: String) -> Result<u32, std::num::ParseIntError> {
///     text.parse()
/// }
/// # drop(parse);
/// ```
#[macro_export]
macro_rules! job {
    (@split [$($path:tt)+] ($($arguments:tt)*)) => { $crate::job!(@emit [$($path)+] $($arguments)*) };
    (@split [$($path:tt)*] $next:tt $($rest:tt)+) => { $crate::job!(@split [$($path)* $next] $($rest)+) };
    (@split $($other:tt)*) => {
        ::core::compile_error!("`job!` takes a call: `job!(path::to::function(arguments, ..))`")
    };
    (@emit [$($path:tt)+] $($argument:expr),* $(,)?) => {{
        #[$crate::__private::linkme::distributed_slice($crate::__private::JOBS)]
        #[linkme(crate = $crate::__private::linkme)]
        static ENTRY: $crate::__private::JobEntry = $crate::__private::JobEntry::new(
            ::core::stringify!($($path)+),
            || $crate::__private::Function::of(&$($path)+),
            |arguments, output| {
                use $crate::__private::job_macro::{JobFails as _, JobReturns as _};
                let (tie, arguments) = $crate::__private::job_macro::decode($($path)+, arguments)?;
                let result = $crate::__private::job_macro::call($($path)+, arguments);
                match (&tie).job_result(result) {
                    ::core::result::Result::Ok(value) => $crate::__private::job_macro::encode(&value, output),
                    ::core::result::Result::Err(error) => {
                        use $crate::__private::report::prelude::*;
                        ::core::result::Result::Err((&&&&&Probe(&error)).report())
                    }
                }
            },
        );
        let (tie, arguments) = $crate::__private::job_macro::tie($($path)+, ($($argument,)*));
        {
            use $crate::__private::job_macro::{JobFails as _, JobReturns as _};
            (&tie).job_handle(&ENTRY, arguments)
        }
    }};
    ($($tokens:tt)*) => { $crate::job!(@split [] $($tokens)*) };
}

/// A function that takes the tuple `A` as its arguments and returns `R`.
#[diagnostic::on_unimplemented(
    message = "`job!` cannot run this function with these arguments",
    label = "not a function of these arguments",
    note = "the number and the types of the arguments must be those of the function, all of them owned"
)]
pub trait Callable<A, R> {
    /// Calls it.
    fn call(self, arguments: A) -> R;
}

macro_rules! callable {
    ($($name:ident)*) => {
        impl<Function, Output, $($name),*> Callable<($($name,)*), Output> for Function
        where
            Function: FnOnce($($name),*) -> Output,
        {
            #[allow(non_snake_case, reason = "one name for a type and its value; there is none without arguments")]
            fn call(self, ($($name,)*): ($($name,)*)) -> Output {
                self($($name),*)
            }
        }
    };
}

callable!();
callable!(A);
callable!(A B);
callable!(A B C);
callable!(A B C D);
callable!(A B C D E);
callable!(A B C D E F);
callable!(A B C D E F G);
callable!(A B C D E F G H);
callable!(A B C D E F G H I);
callable!(A B C D E F G H I J);
callable!(A B C D E F G H I J K);
callable!(A B C D E F G H I J K L);

/// The return type of a function, without a value of it.
#[derive(Debug)]
pub struct Tie<R>(PhantomData<fn() -> R>);

/// Ties the arguments of the call to the function.
pub fn tie<F: Callable<A, R>, A, R>(_function: F, arguments: A) -> (Tie<R>, A) {
    (Tie(PhantomData), arguments)
}

/// Decodes what the function takes.
///
/// # Errors
///
/// A report if the bytes are not such arguments.
pub fn decode<F: Callable<A, R>, A: DeserializeOwned, R>(
    _function: F,
    arguments: &Arguments,
) -> Result<(Tie<R>, A), Box<Report>> {
    Ok((Tie(PhantomData), arguments.decode()?))
}

/// Calls the function.
pub fn call<F: Callable<A, R>, A, R>(function: F, arguments: A) -> R {
    function.call(arguments)
}

/// Encodes what the function returned.
///
/// # Errors
///
/// A report if it cannot be encoded.
pub fn encode<R: Serialize>(result: &R, output: &mut Answer) -> Result<(), Box<Report>> {
    output.encode(result)
}

/// A function that returns a `Result`: found first.
pub trait JobFails {
    /// What the job resolves to.
    type Ok;
    /// What it fails with.
    type Err;

    /// The handle.
    fn job_handle<A: Argument>(&self, entry: &'static JobEntry, arguments: A) -> Job<Self::Ok>;

    /// The result, as it is.
    ///
    /// # Errors
    ///
    /// Those of the function.
    fn job_result(&self, result: Result<Self::Ok, Self::Err>) -> Result<Self::Ok, Self::Err>;
}

impl<T: Output, E> JobFails for Tie<Result<T, E>> {
    type Ok = T;
    type Err = E;

    fn job_handle<A: Argument>(&self, entry: &'static JobEntry, arguments: A) -> Job<T> {
        Job::new(entry, arguments)
    }

    fn job_result(&self, result: Result<T, E>) -> Result<T, E> {
        result
    }
}

/// Any other function: found when the above does not fit.
pub trait JobReturns {
    /// What the job resolves to.
    type Ok;

    /// The handle.
    fn job_handle<A: Argument>(&self, entry: &'static JobEntry, arguments: A) -> Job<Self::Ok>;

    /// The value, which is never an error.
    ///
    /// # Errors
    ///
    /// None.
    fn job_result(&self, result: Self::Ok) -> Result<Self::Ok, Infallible>;
}

impl<R: Output> JobReturns for &Tie<R> {
    type Ok = R;

    fn job_handle<A: Argument>(&self, entry: &'static JobEntry, arguments: A) -> Job<R> {
        Job::new(entry, arguments)
    }

    fn job_result(&self, result: R) -> Result<R, Infallible> {
        Ok(result)
    }
}
