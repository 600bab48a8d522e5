//! The bounds that a side announces in its HELLO: how much the other side may make it hold.
//!
//! Owns the numbers and their least values. Does not count anything: `triune-ipc` does.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::FRAME_MAX;

/// What one side of a link is willing to hold for the other. Announced in the HELLO and binding from
/// there on: a peer that goes beyond commits a protocol error, which ends the link.
///
/// The byte bounds follow one rule: a message may be sent while the balance is *positive*, so one message
/// larger than the bound can pass, alone.
///
/// ```
/// use triune_wire::Limits;
///
/// let mut limits = Limits::default();
/// limits.max_message = 1 << 20;
/// limits.window_items = 16;
/// limits.validate()?;
///
/// limits.window_items = 0;
/// let error = limits.validate().unwrap_err();
/// assert_eq!(error.to_string(), "limit window_items is 0, must be at least 1");
/// # Ok::<(), triune_wire::LimitsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Limits {
    /// Largest message (arguments, result, item) that this side accepts, in bytes. Default 64 MiB.
    pub max_message: u32,
    /// How many requests (calls and dialogs) of the other side may be unanswered at a time. Default 1024.
    pub max_in_flight: u32,
    /// Sum of the argument bytes of those requests. Default 64 MiB.
    pub max_request_bytes: u64,
    /// Items of one dialog that this side buffers before they are consumed. Default 256.
    pub window_items: u32,
    /// Bytes of one dialog that this side buffers before they are consumed. Default 1 MiB.
    pub window_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_message: 64 * 1024 * 1024,
            max_in_flight: 1024,
            max_request_bytes: 64 * 1024 * 1024,
            window_items: 256,
            window_bytes: 1024 * 1024,
        }
    }
}

impl Limits {
    /// Checks that a link can work under these limits: no window is empty, and an error report fits into a
    /// message.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), LimitsError> {
        let rows = [
            ("max_message", u64::from(self.max_message), u64::from(FRAME_MAX)),
            ("max_in_flight", u64::from(self.max_in_flight), 1),
            ("max_request_bytes", self.max_request_bytes, 1),
            ("window_items", u64::from(self.window_items), 1),
            ("window_bytes", self.window_bytes, 1),
        ];
        for (field, value, least) in rows {
            if value < least {
                return Err(LimitsError { field, value, least });
            }
        }
        Ok(())
    }
}

/// A limit under which no link can work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsError {
    field: &'static str,
    value: u64,
    least: u64,
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {} is {}, must be at least {}", self.field, self.value, self.least)
    }
}

impl std::error::Error for LimitsError {}
