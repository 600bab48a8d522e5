//! The HELLO: who is at the other end, and whether the two can talk at all.
//!
//! Owns the layout of the first frame and the comparison of the two sides. The first 24 bytes of the body
//! (magic, versions, build id) are fixed for all versions; what follows is a map, to which a version may add.
//!
//! Invariants:
//! 1. Both sides come to the same judgement: the version is the newest that both speak, and what differs is
//!    told on both sides.
//! 2. Nothing of the other side is trusted before it was judged: texts are cut where they are shown.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::bounded::list;
use crate::codec::{Codec, MsgPack, known};
use crate::interface::{Difference, Interface};
use crate::{FRAME_MAX, Limits};

/// The first four bytes of the body of a HELLO.
pub const MAGIC: [u8; 4] = *b"TRIU";
/// The newest version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 1;
/// The oldest version of the protocol that this crate speaks.
pub const OLDEST_PROTOCOL_VERSION: u16 = 1;

const HEAD_LEN: usize = 24;

/// How many interfaces a peer may announce.
const MAX_INTERFACES: usize = 64;

/// Identity of an executable image. Two processes of one build agree on everything; others talk only if both
/// announce [interfaces](Hello::interfaces).
///
/// ```
/// use triune_wire::BuildId;
///
/// let build = BuildId::new([0xab; 16]);
/// assert_eq!(build.to_string(), "ab".repeat(16));
/// assert_eq!(build.as_bytes()[0], 0xab);
/// ```
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
///
/// ```
/// use triune_wire::{BuildId, Hello, MAGIC, PROTOCOL_VERSION};
///
/// let root = Hello::new(BuildId::new([7; 16]), "root", "/");
/// let mut actor = Hello::new(BuildId::new([7; 16]), "actor", "/ledger");
/// actor.limits.max_in_flight = 10;
///
/// let body = actor.to_bytes()?;
/// assert!(body.starts_with(&MAGIC));
/// let accepted = root.accept(&body)?;
/// assert_eq!((accepted.role.as_str(), accepted.name.as_str()), ("actor", "/ledger"));
/// assert_eq!((accepted.protocol, accepted.limits.max_in_flight), (PROTOCOL_VERSION, 10));
/// # Ok::<(), triune_wire::HelloError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// What [`Hello::new`] sets: the newest version of the protocol that this side speaks. What
    /// [`accept`](Hello::accept) gives: the version that both sides speak on this link.
    pub protocol: u16,
    /// The oldest version that this side speaks.
    pub oldest_protocol: u16,
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
    /// What this side speaks with processes of other builds: an interface that both sides name must be the
    /// same on both, and there must be one. Usually empty: then only the same build is accepted.
    pub interfaces: Vec<Interface>,
}

/// What follows the fixed head: a map, in which a later version may have more.
#[derive(Serialize, Deserialize)]
struct Tail {
    role: String,
    name: String,
    pid: u32,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    config: Bytes,
    #[serde(default, deserialize_with = "list::<_, _, MAX_INTERFACES>")]
    interfaces: Vec<Interface>,
}

impl Hello {
    /// The HELLO of this process, with default limits and without settings.
    pub fn new(build: BuildId, role: impl Into<String>, name: impl Into<String>) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            oldest_protocol: OLDEST_PROTOCOL_VERSION,
            build,
            role: role.into(),
            name: name.into(),
            pid: std::process::id(),
            limits: Limits::default(),
            config: Bytes::new(),
            interfaces: Vec::new(),
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
        out.put_u16_le(self.oldest_protocol);
        out.put_slice(&self.build.0);
        let Hello { role, name, pid, limits, config, interfaces, .. } = self.clone();
        MsgPack::encode(&Tail { role, name, pid, limits, config, interfaces }, &mut out)
            .map_err(|error| malformed(error.to_string()))?;
        if out.len() > FRAME_MAX as usize {
            return Err(malformed(format!(
                "this side's HELLO has {} bytes, more than {FRAME_MAX}: shorten its name or settings, or announce \
                 fewer interfaces",
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
        let [m0, m1, m2, m3, n0, n1, o0, o1, build @ ..] = *head;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(HelloError::Magic { found: [m0, m1, m2, m3] });
        }
        let (newest, oldest) = (u16::from_le_bytes([n0, n1]), u16::from_le_bytes([o0, o1]));
        let protocol = newest.min(self.protocol);
        if protocol < oldest.max(self.oldest_protocol) || oldest > newest {
            return Err(HelloError::Version {
                this: [self.oldest_protocol, self.protocol],
                other: [oldest, newest],
            });
        }
        let build = BuildId(build);
        let tail = known::<Tail>(tail);
        if build != self.build {
            self.accept_foreign(build, tail.as_ref().ok())?;
        }
        let Tail { role, name, pid, limits, config, interfaces } =
            tail.map_err(|error| malformed(format!("the other side's HELLO: {error}")))?;
        limits.validate().map_err(|error| malformed(format!("the other side's HELLO: {error}")))?;
        let oldest_protocol = oldest;
        Ok(Hello { protocol, oldest_protocol, build, role, name, pid, limits, config, interfaces })
    }

    /// Judges a peer of another build by the interfaces that both announce.
    fn accept_foreign(&self, build: BuildId, tail: Option<&Tail>) -> Result<(), HelloError> {
        let theirs = tail.map_or(&[][..], |tail| &tail.interfaces);
        let mut has_common = false;
        for this in &self.interfaces {
            let Some(other) = theirs.iter().find(|other| other.name == this.name) else { continue };
            has_common = true;
            if let Some(difference) = this.first_difference(other) {
                return Err(HelloError::Interface {
                    this: side(&self.role, &self.name),
                    other: tail.map_or_else(String::new, |tail| side(&tail.role, &tail.name)),
                    difference: Box::new(difference),
                });
            }
        }
        if has_common {
            return Ok(());
        }
        // A foreign build may disagree about the rest: names are a bonus.
        let other = tail.map_or_else(
            || build.to_string(),
            |tail| format!("{build} ({}, pid {})", side(&tail.role, &tail.name), tail.pid),
        );
        let this = format!("{} ({}, pid {})", self.build, side(&self.role, &self.name), self.pid);
        Err(HelloError::Build { this, other })
    }
}

/// A role and a name for humans; what a peer sends may be long, or hold anything.
fn side(role: &str, name: &str) -> String {
    let cut = |text: &str| text.chars().take(80).collect::<String>();
    format!("{} {:?}", cut(role).escape_debug(), cut(name))
}

fn range([oldest, newest]: [u16; 2]) -> String {
    if oldest == newest { newest.to_string() } else { format!("{oldest} to {newest}") }
}

fn malformed(reason: String) -> HelloError {
    HelloError::Malformed { reason }
}

/// The two sides cannot talk.
///
/// ```
/// use triune_wire::{BuildId, Hello, HelloError, Interface, MsgPack};
///
/// let mut here = Hello::new(BuildId::new([7; 16]), "root", "/");
/// let mut there = Hello::new(BuildId::new([8; 16]), "actor", "/ledger");
/// assert!(matches!(here.accept(&there.to_bytes()?), Err(HelloError::Build { .. })));
///
/// // Two builds that both announce an interface may talk, if it is the same one.
/// let jobs = |signature| vec![Interface::new::<MsgPack>("jobs").with("submit", signature)];
/// here.interfaces = jobs("call submit(u64) -> u32");
/// there.interfaces = jobs("call submit(u64) -> u32");
/// here.accept(&there.to_bytes()?)?;
/// there.interfaces = jobs("call submit(i64) -> u32");
/// assert!(matches!(here.accept(&there.to_bytes()?), Err(HelloError::Interface { .. })));
///
/// assert!(matches!(here.accept(b"HTTP/1.1 400 Bad Request"), Err(HelloError::Magic { found, .. }) if &found == b"HTTP"));
/// # Ok::<(), HelloError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelloError {
    /// The other side does not speak this protocol at all.
    #[non_exhaustive]
    Magic {
        /// What was there instead.
        found: [u8; 4],
    },
    /// The two sides have no version in common.
    #[non_exhaustive]
    Version {
        /// The oldest and the newest version of this side.
        this: [u16; 2],
        /// The oldest and the newest version of the other side.
        other: [u16; 2],
    },
    /// The other side is another executable.
    #[non_exhaustive]
    Build {
        /// Build id and name of this side.
        this: String,
        /// Build id and name of the other side.
        other: String,
    },
    /// The other side is another executable, and an interface that both announce is not the same.
    #[non_exhaustive]
    Interface {
        /// Role and name of this side.
        this: String,
        /// Role and name of the other side.
        other: String,
        /// Where they differ first.
        difference: Box<Difference>,
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
                "no protocol version in common: this side: {}, other side: {}; build both with the same triune",
                range(*this),
                range(*other)
            ),
            HelloError::Build { this, other } => write!(
                f,
                "the builds differ: this side: {this}, other side: {other}; both must run the same executable, \
                 restart the program if it was rebuilt while it ran"
            ),
            HelloError::Interface { this, other, difference } => {
                let [here, there] = difference.fingerprints;
                write!(
                    f,
                    "{other} speaks another interface than {this}: {difference}; fingerprint {here} here, {there} \
                     there; build both from the same signatures"
                )
            }
            HelloError::Malformed { reason } => write!(f, "malformed handshake: {reason}"),
        }
    }
}

impl std::error::Error for HelloError {}
