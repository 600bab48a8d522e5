//! A panic as text.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic that became an error instead of going on upwards.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use triune_scope::{PanicError, PanicPolicy, nursery};
///
/// let failed = nursery(async |n| n.spawn(async { panic!("boom") }).await).on_panic(PanicPolicy::AsError);
/// let error = failed.await.map(|(): ()| ()).unwrap_err();
/// assert_eq!(error.group().unwrap().downcast_all::<PanicError>()[0].message(), "boom");
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanicError {
    message: String,
}

impl PanicError {
    /// Reads the message out of a payload of [`std::panic::catch_unwind`].
    pub fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let message = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (None, Some(text)) => text.clone(),
            (None, None) => "a payload that is not text".to_owned(),
        };
        Self { message }
    }

    /// As [`from_payload`](Self::from_payload), and drops the payload.
    pub(crate) fn caught(payload: Box<dyn Any + Send>) -> Self {
        let error = Self::from_payload(&*payload);
        discard(payload);
        error
    }

    /// The panic's message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// How many payloads are dropped, each of which was thrown by the destructor of the one before.
const MAX_PAYLOADS: usize = 8;

/// Drops the payload of a panic that is over. Its destructor is the user's: whoever has caught one panic is not to be torn
/// down by a second one.
pub(crate) fn discard(mut payload: Box<dyn Any + Send>) {
    for _ in 0..MAX_PAYLOADS {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    #[expect(clippy::mem_forget, reason = "one that throws for ever is better lost than thrown")]
    std::mem::forget(payload);
}

impl fmt::Display for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl StdError for PanicError {}
