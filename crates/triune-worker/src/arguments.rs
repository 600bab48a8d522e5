//! The arguments of a job, and when they are encoded.
//!
//! Small ones are encoded when the job is made. Large ones would hold up the event loop there, so they are kept as they
//! are, and encoded on a thread when the job is run. Which of the two is found by trying: encoding has no effects, so what
//! was written of a large value is thrown away.
//!
//! Invariant: they are encoded once, whatever happens to the clones of a job.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::BufMut as _;
use triune_scope::blocking;
use triune_wire::{Codec as _, EncodeError, Message, Postcard};

use crate::call::Argument;
use crate::shared::{self, Kept};

/// What is encoded on the caller's thread, in bytes.
pub(crate) const INLINE: usize = 64 * 1024;

#[derive(Clone)]
pub(crate) enum Arguments {
    Small(Encoded),
    Large(Arc<Large>),
}

pub(crate) struct Large {
    /// Taken by whoever encodes.
    encode: Mutex<Option<Encode>>,
    encoded: OnceLock<Encoded>,
}

type Encode = Box<dyn FnOnce() -> Encoded + Send>;

/// The bytes of arguments, and what must live as long as somebody may decode them.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) bytes: Result<Message, EncodeError>,
    pub(crate) kept: Kept,
}

impl Encoded {
    fn by(encode: impl FnOnce() -> Result<Message, EncodeError>) -> Self {
        let (bytes, kept) = shared::keeping(encode);
        Self { bytes, kept }
    }
}

impl Arguments {
    pub(crate) fn new<A: Argument>(arguments: A) -> Self {
        let encoded = Encoded::by(|| {
            let mut bytes = Vec::new();
            triune_wire::encode(&arguments, &mut (&mut bytes).limit(INLINE)).map(|()| bytes.into())
        });
        if encoded.bytes.is_ok() {
            return Self::Small(encoded);
        }
        // Too long, or not encodable at all: the second try tells, and nothing is sent before.
        Self::Large(Arc::new(Large {
            encode: Mutex::new(Some(Box::new(move || Encoded::by(|| Postcard::to_message(&arguments))))),
            encoded: OnceLock::new(),
        }))
    }

    /// The encoded arguments; encodes on this thread if that is still to be done.
    pub(crate) fn encoded_now(&self) -> Encoded {
        match self {
            Self::Small(encoded) => encoded.clone(),
            Self::Large(large) => large.encoded().clone(),
        }
    }

    /// The encoded arguments; large ones are encoded on a thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a thread that has begun ends its work, for whoever asks again.
    ///
    /// # Errors
    ///
    /// A cancel before the thread has begun, or the end of the runtime.
    pub(crate) async fn encoded(&self) -> triune_scope::Result<Encoded> {
        match self {
            Self::Small(encoded) => Ok(encoded.clone()),
            Self::Large(large) => {
                if let Some(encoded) = large.encoded.get() {
                    return Ok(encoded.clone());
                }
                let large = Arc::clone(large);
                blocking::run(move |_| Ok(large.encoded().clone())).await
            }
        }
    }
}

impl Large {
    fn encoded(&self) -> &Encoded {
        self.encoded.get_or_init(|| {
            let encode = self.encode.lock().unwrap_or_else(PoisonError::into_inner).take();
            let encode = encode
                .expect("a `Serialize` of a job's argument has panicked before, and is not tried again");
            encode()
        })
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = match self {
            Self::Small(encoded) => Some(encoded),
            Self::Large(large) => large.encoded.get(),
        };
        match encoded {
            Some(Encoded { bytes: Ok(bytes), .. }) => write!(f, "{} bytes", bytes.len()),
            Some(Encoded { bytes: Err(error), .. }) => write!(f, "{error}"),
            None => write!(f, "more than {INLINE} bytes, not encoded yet"),
        }
    }
}
