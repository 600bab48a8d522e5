//! Bodies with a fixed layout: the head of a request and the grant of a CREDIT.
//!
//! Owns their bytes. They are not postcard so that the hot path encodes nothing twice.

use bytes::Bytes;

/// Length of what precedes the arguments in the body of a CALL or OPEN, in bytes.
pub const REQUEST_HEAD_LEN: usize = 4;

/// What precedes the arguments in the body of a CALL or OPEN: the index of the target in the registry of
/// the callee, `u32` little endian. The arguments follow as they are.
pub const fn request_head(target: u32) -> [u8; REQUEST_HEAD_LEN] {
    target.to_le_bytes()
}

/// Splits the body of a CALL or OPEN into the target and the arguments, without a copy. `None` if the body
/// is too short.
pub fn split_request(mut body: Bytes) -> Option<(u32, Bytes)> {
    let target = u32::from_le_bytes(*body.first_chunk()?);
    Some((target, body.split_off(REQUEST_HEAD_LEN)))
}

/// The body of a CREDIT: `u32 items | u64 bytes`, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// How many more items may be sent.
    pub items: u32,
    /// How many more bytes may be sent.
    pub bytes: u64,
}

impl Credit {
    const LEN: usize = 12;

    /// The body of the frame.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.items.to_le_bytes());
        out[4..].copy_from_slice(&self.bytes.to_le_bytes());
        out
    }

    /// Reads the body of the frame. `None` if it does not have exactly the right length.
    pub fn from_bytes(body: &[u8]) -> Option<Credit> {
        let (items, bytes) = body.split_first_chunk::<4>()?;
        Some(Credit { items: u32::from_le_bytes(*items), bytes: u64::from_le_bytes(bytes.try_into().ok()?) })
    }
}
