//! The HELLO: who is at the other end, and whether the two can talk at all.
//!
//! Owns the layout of the first frame and the comparison of the two sides. The first 22 bytes of the body
//! (magic, version, build id) are fixed for all versions; what follows belongs to the version.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::codec::{decode, encode};
use crate::{HANDSHAKE_MAX_FRAME, Limits};

/// The first four bytes of the body of a HELLO.
pub const MAGIC: [u8; 4] = *b"TRIU";
/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 1;

const HEAD_LEN: usize = 22;

/// Identity of an executable image. Two processes talk only if theirs are equal: the codec has no field
/// names, and jobs and endpoints go by their index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BuildId([u8; 16]);

impl BuildId {
    /// A build id of these bytes.
    pub const fn new(bytes: [u8; 16]) -> BuildId {
        BuildId(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

/// What a side says about itself in the first frame that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// Version of the protocol; [`PROTOCOL_VERSION`], except in tests.
    pub protocol: u16,
    /// Identity of the executable.
    pub build: BuildId,
    /// What the process is: `root`, `worker`, `actor`.
    pub role: String,
    /// Path of the actor or name of the worker.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// What this side is willing to hold for the other.
    pub limits: Limits,
    /// Settings for the role, in a form that only the role knows.
    pub config: Bytes,
}

/// What follows the fixed head, in this version.
#[derive(Serialize, Deserialize)]
struct Tail {
    role: String,
    name: String,
    pid: u32,
    limits: Limits,
    config: Bytes,
}

impl Hello {
    /// The HELLO of this process, with default limits and without settings.
    pub fn new(build: BuildId, role: impl Into<String>, name: impl Into<String>) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            build,
            role: role.into(),
            name: name.into(),
            pid: std::process::id(),
            limits: Limits::default(),
            config: Bytes::new(),
        }
    }

    /// The body of the frame.
    ///
    /// # Errors
    /// [`HelloError::Malformed`] if the names and the settings are longer than a frame of the handshake, or
    /// if no link can work under the limits.
    pub fn to_bytes(&self) -> Result<Bytes, HelloError> {
        self.limits.validate().map_err(|error| malformed(error.to_string()))?;
        let mut out = BytesMut::with_capacity(256);
        out.put_slice(&MAGIC);
        out.put_u16_le(self.protocol);
        out.put_slice(&self.build.0);
        let Hello { role, name, pid, limits, config, .. } = self.clone();
        encode(&Tail { role, name, pid, limits, config }, &mut out)
            .map_err(|error| malformed(error.to_string()))?;
        if out.len() > HANDSHAKE_MAX_FRAME as usize {
            return Err(malformed(format!(
                "this side's HELLO has {} bytes, more than {HANDSHAKE_MAX_FRAME}: shorten its name or settings",
                out.len()
            )));
        }
        Ok(out.freeze())
    }

    /// Reads the HELLO of the other side and checks that the two can talk.
    ///
    /// # Errors
    /// The first difference, in the order magic, version, build, contents. Each text names both sides.
    pub fn accept(&self, body: &[u8]) -> Result<Hello, HelloError> {
        let Some((head, tail)) = body.split_first_chunk::<HEAD_LEN>() else {
            return match body.first_chunk() {
                Some(magic) if *magic != MAGIC => Err(HelloError::Magic { found: *magic }),
                _ => Err(malformed(format!("the other side's HELLO has only {} bytes", body.len()))),
            };
        };
        let [m0, m1, m2, m3, v0, v1, build @ ..] = *head;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(HelloError::Magic { found: [m0, m1, m2, m3] });
        }
        let protocol = u16::from_le_bytes([v0, v1]);
        if protocol != self.protocol {
            return Err(HelloError::Version { this: self.protocol, other: protocol });
        }
        let build = BuildId(build);
        if build != self.build {
            // The tail is of our version, but a foreign build may disagree about it: names are a bonus.
            let other = match decode::<Tail>(tail) {
                Ok(tail) => format!("{build} ({}, pid {})", side(&tail.role, &tail.name), tail.pid),
                Err(_) => build.to_string(),
            };
            let this = format!("{} ({}, pid {})", self.build, side(&self.role, &self.name), self.pid);
            return Err(HelloError::Build { this, other });
        }
        let Tail { role, name, pid, limits, config } =
            decode(tail).map_err(|error| malformed(format!("the other side's HELLO: {error}")))?;
        limits.validate().map_err(|error| malformed(format!("the other side's HELLO: {error}")))?;
        Ok(Hello { protocol, build, role, name, pid, limits, config })
    }
}

/// A role and a name for humans; what a peer sends may be long, or hold anything.
fn side(role: &str, name: &str) -> String {
    let cut = |text: &str| text.chars().take(80).collect::<String>();
    format!("{} {:?}", cut(role).escape_debug(), cut(name))
}

fn malformed(reason: String) -> HelloError {
    HelloError::Malformed { reason }
}

/// The two sides cannot talk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelloError {
    /// The other side does not speak this protocol at all.
    #[non_exhaustive]
    Magic {
        /// What was there instead.
        found: [u8; 4],
    },
    /// The other side speaks another version.
    #[non_exhaustive]
    Version {
        /// The version of this side.
        this: u16,
        /// The version of the other side.
        other: u16,
    },
    /// The other side is another executable.
    #[non_exhaustive]
    Build {
        /// Build id and name of this side.
        this: String,
        /// Build id and name of the other side.
        other: String,
    },
    /// A HELLO that cannot be read, or not be sent.
    #[non_exhaustive]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HelloError::Magic { found } => write!(
                f,
                "the magic numbers differ: this side: \"{}\", other side: \"{}\"; the other side is no triune process",
                MAGIC.escape_ascii(),
                found.escape_ascii()
            ),
            HelloError::Version { this, other } => write!(
                f,
                "the protocol versions differ: this side: {this}, other side: {other}; build both with the same triune"
            ),
            HelloError::Build { this, other } => write!(
                f,
                "the builds differ: this side: {this}, other side: {other}; both must run the same executable, \
                 restart the program if it was rebuilt while it ran"
            ),
            HelloError::Malformed { reason } => write!(f, "malformed handshake: {reason}"),
        }
    }
}

impl std::error::Error for HelloError {}
