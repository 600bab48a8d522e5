//! What the macros call in the worker: decode the arguments, run the function, encode the result.
//!
//! Owns: the way from bytes to bytes around one function, with each failure as a [`Report`] of its own kind. Does not
//! own: panics (`serve` catches them) and the registry (`job`).

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use triune_wire::{Message, Report};

use crate::format::Format;
use crate::{report, shared};

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

/// The encoded arguments as they came in. A [`Payload`](triune_wire::Payload) in them becomes a view of this memory.
#[derive(Debug)]
pub struct Arguments {
    bytes: Bytes,
    format: Format,
}

impl Arguments {
    pub(crate) fn new(bytes: Bytes, format: Format) -> Self {
        Self { bytes, format }
    }

    /// Decodes them.
    ///
    /// # Errors
    ///
    /// A report if the bytes are not such arguments.
    pub fn decode<A: DeserializeOwned>(&self) -> Result<A, Box<Report>> {
        self.format.decode(&self.bytes).map_err(|error| report::undecodable(&error))
    }

    /// Their memory, to be used again.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// The encoded result.
#[derive(Debug, Default)]
pub struct Answer {
    format: Format,
    /// A short one, so that its memory is used again.
    short: Vec<u8>,
    /// A longer one, or one with payloads: these are not copied into it.
    message: Message,
}

/// A result up to this size is encoded into memory that is kept between the jobs, in bytes. One huge result must not keep its
/// memory for the life of the worker.
const SHORT: usize = 1024 * 1024;

impl Answer {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// Encodes a result in place of the one before.
    ///
    /// # Errors
    ///
    /// A report if it cannot be encoded.
    pub fn encode<R: Serialize>(&mut self, result: &R) -> Result<(), Box<Report>> {
        let message = self.format.to_short_message(result, &mut self.short, SHORT);
        self.message = message.map_err(|error| report::unencodable(&error))?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        // One of the two is empty.
        std::iter::once(&self.short[..]).chain(self.message.parts().map(|part| &part[..]))
    }

    /// Forgets the result, and keeps what little memory it may.
    pub(crate) fn clear(&mut self) {
        self.short.clear();
        self.message = Message::default();
    }
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
    arguments: &Arguments,
    output: &mut Answer,
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
    arguments: &Arguments,
    output: &mut Answer,
    function: impl FnOnce(A) -> Result<R, Box<Report>>,
) -> Result<(), Box<Report>> {
    let result = function(arguments.decode()?)?;
    // What the function itself has encoded is none of this.
    drop(shared::reason());
    output.encode(&result)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use triune_wire::{Codec as _, Payload, Postcard};

    use super::{Answer, Arguments, Format, SHORT, run};

    fn is_within(part: &[u8], whole: &[u8]) -> bool {
        let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
        whole.start <= part.start && part.end <= whole.end
    }

    #[test]
    fn payloads_are_neither_copied_out_of_the_arguments_nor_into_the_result() {
        let image = Payload::from(vec![7; 100_000]);
        let arguments = Postcard::to_message(&("name", image)).expect("it is encodable").into_bytes();
        let mut answer = Answer::default();
        let mut seen = Bytes::new();
        let arguments = Arguments::new(arguments, Format::Postcard);
        let end = run(&arguments, &mut answer, |(name, image): (String, Payload)| {
            seen = image.clone().into_bytes();
            (name, image)
        });
        end.expect("it does not fail");
        assert!(is_within(&seen, &arguments.into_bytes()));
        assert!(answer.parts().any(|part| std::ptr::eq(part, &seen[..])));
        let back: (String, Payload) = triune_wire::decode(&answer.parts().collect::<Vec<_>>().concat())
            .expect("it is what was returned");
        assert_eq!((back.0.as_str(), &back.1[..]), ("name", &seen[..]));
    }

    #[test]
    fn the_memory_of_short_results_is_kept_and_that_of_long_ones_given_back() {
        let mut answer = Answer::default();
        answer.encode(&vec![1_u8; 1000]).expect("it is encodable");
        let place = answer.short.as_ptr();
        answer.clear();
        answer.encode(&vec![2_u8; 1000]).expect("it is encodable");
        assert_eq!((answer.short.as_ptr(), answer.len()), (place, 1002));
        answer.encode(&vec![3_u8; SHORT]).expect("it is encodable");
        assert_eq!(answer.len(), SHORT + 3);
        answer.clear();
        assert_eq!((answer.len(), answer.short.capacity()), (0, 0));
    }
}
