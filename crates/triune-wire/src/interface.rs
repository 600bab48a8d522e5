//! What a side can be asked to do, in words: the signatures of its methods, their fingerprint, and the first
//! difference between two of them.
//!
//! Owns the canonical text of an interface. Does not know Rust types: whoever has the signatures (the macros)
//! writes them down.
//!
//! Invariants:
//! 1. The canonical text is the interface: two with equal texts have equal fingerprints, in every build.
//! 2. The number of a method is its place in the text, so that two builds that agree on the text agree on it.

use std::fmt;
use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::bounded::list;

/// How many methods a peer may announce in one interface.
const MAX_METHODS: usize = 4096;

/// A named set of methods and the codec that they speak.
///
/// ```
/// use triune_wire::{Interface, Postcard};
///
/// let here = Interface::new::<Postcard>("jobs").with("submit", "call submit(Job, Option<u64>) -> u32");
/// let there = Interface::new::<Postcard>("jobs").with("submit", "call submit(Job, u64) -> u32");
/// assert_ne!(here.fingerprint(), there.fingerprint());
/// let difference = here.first_difference(&there).expect("they differ");
/// assert_eq!(
///     difference.to_string(),
///     "jobs.submit differs: `Option<u64>) -> u32` here, `u64) -> u32` there \
///      (`call submit(Job, Option<u64>) -> u32` here, `call submit(Job, u64) -> u32` there)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Interface {
    /// The name, by which two sides find what they have in common.
    pub name: String,
    /// The name of its codec.
    pub codec: String,
    /// Whether that codec describes itself; then the two sides may have different sets of methods.
    pub is_self_describing: bool,
    /// One method each, `name: signature`, in the order of their numbers.
    #[serde(deserialize_with = "list::<_, _, MAX_METHODS>")]
    methods: Vec<String>,
}

/// What stands between the name of a method and its signature.
const SEPARATOR: &str = ": ";

impl Interface {
    /// An interface without methods.
    pub fn new<C: crate::Codec>(name: impl Into<String>) -> Interface {
        Interface {
            name: name.into(),
            codec: C::NAME.to_owned(),
            is_self_describing: C::SELF_DESCRIBING,
            methods: Vec::new(),
        }
    }

    /// The same interface with one more method; the signature is free text, compared as it is.
    #[must_use]
    pub fn with(mut self, name: impl fmt::Display, signature: impl fmt::Display) -> Interface {
        self.methods.push(format!("{name}{SEPARATOR}{signature}"));
        self
    }

    /// Name and signature of each method, in the order of their numbers.
    pub fn methods(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.methods.iter().map(|line| line.split_once(SEPARATOR).unwrap_or((line, "")))
    }

    /// The number of a method: what a request names as its target.
    pub fn target(&self, method: &str) -> Option<u32> {
        self.methods().position(|(name, _)| name == method).and_then(|at| u32::try_from(at).ok())
    }

    /// The canonical text: a line for the interface and its codec, then one for each method.
    ///
    /// ```
    /// use triune_wire::{Interface, MsgPack};
    ///
    /// let jobs = Interface::new::<MsgPack>("jobs").with("submit", "call submit(Job) -> u32").with("stop", "call stop()");
    /// assert_eq!(
    ///     jobs.text(),
    ///     "interface jobs codec msgpack\nsubmit: call submit(Job) -> u32\nstop: call stop()\n"
    /// );
    /// assert_eq!(jobs.methods().last(), Some(("stop", "call stop()")));
    /// assert_eq!((jobs.target("stop"), jobs.target("start")), (Some(1), None));
    /// ```
    pub fn text(&self) -> String {
        let mut text = format!("interface {} codec {}\n", self.name, self.codec);
        for line in &self.methods {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// A hash of the canonical text: the same in every build and on every machine.
    pub fn fingerprint(&self) -> Fingerprint {
        // Keys without a meaning, but fixed for ever.
        let mut hasher = SipHasher24::new_with_keys(0x7472_6975_6e65, 0x696e_7465_7266);
        hasher.write(self.text().as_bytes());
        Fingerprint(hasher.finish128().as_bytes())
    }

    /// Where the other side's interface of the same name first differs from this one, so that they must not
    /// be used together. With a self-describing codec, only methods that both have are compared: one that the
    /// other side lacks is told by the request that names it.
    pub fn first_difference(&self, other: &Interface) -> Option<Difference> {
        let difference = |method: &str, here: &str, there: &str| {
            Some(Difference {
                interface: self.name.clone(),
                method: method.to_owned(),
                here: here.to_owned(),
                there: there.to_owned(),
                fingerprints: [self.fingerprint(), other.fingerprint()],
            })
        };
        if self.codec != other.codec {
            return difference("", &self.codec, &other.codec);
        }
        if self.is_self_describing {
            return self.methods().find_map(|(name, here)| {
                let (_, there) = other.methods().find(|(theirs, _)| *theirs == name)?;
                if here == there { None } else { difference(name, here, there) }
            });
        }
        let (mut ours, mut theirs) = (self.methods(), other.methods());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return None,
                (Some(here), Some(there)) if here == there => {}
                (Some((name, here)), Some((same, there))) if name == same => {
                    return difference(name, here, there);
                }
                (here, there) => {
                    let (name, here) = here.unwrap_or(("", ""));
                    let (theirs, there) = there.unwrap_or(("", ""));
                    return difference(if name.is_empty() { theirs } else { name }, here, there);
                }
            }
        }
    }
}

/// The hash of an interface.
///
/// ```
/// use triune_wire::{Interface, MsgPack, Postcard};
///
/// let (one, other) = (Interface::new::<Postcard>("jobs"), Interface::new::<MsgPack>("jobs"));
/// assert_eq!(one.fingerprint(), one.clone().fingerprint());
/// assert_ne!(one.fingerprint(), other.fingerprint(), "the codec is a part of it");
/// assert_eq!(one.fingerprint().to_string().len(), 2 * one.fingerprint().as_bytes().len());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Where two interfaces of one name differ first.
///
/// ```
/// use triune_wire::{Interface, Postcard};
///
/// let here = Interface::new::<Postcard>("jobs").with("submit", "call submit(u64)").with("stop", "call stop()");
/// let there = Interface::new::<Postcard>("jobs").with("submit", "call submit(u64)");
/// let difference = here.first_difference(&there).expect("a method is missing");
/// assert_eq!((difference.method.as_str(), difference.there.as_str()), ("stop", ""));
/// assert_eq!(difference.to_string(), "jobs.stop differs: `call stop()` here, nothing there (`call stop()` here, nothing there)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The name of the interface.
    pub interface: String,
    /// The name of the method; empty if the codecs differ.
    pub method: String,
    /// The signature on this side; empty if there is no such method at that place.
    pub here: String,
    /// The signature on the other side.
    pub there: String,
    /// The fingerprints of the two, this side's first.
    pub fingerprints: [Fingerprint; 2],
}

impl Difference {
    /// What of the two texts begins where they differ first, from the last word boundary on.
    fn where_they_part(&self) -> (&str, &str) {
        let mut word = 0;
        for ((at, here), there) in self.here.char_indices().zip(self.there.chars()) {
            if here != there {
                break;
            }
            if !here.is_alphanumeric() && here != '_' {
                word = at + here.len_utf8();
            }
        }
        (&self.here[word..], &self.there[word..])
    }
}

/// A text of a peer may be long, or hold anything.
fn quoted(text: &str) -> String {
    const MOST: usize = 200;
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let cut: String = text.chars().take(MOST).filter(|c| !c.is_control()).collect();
    if cut.len() < text.len() { format!("`{cut}…`") } else { format!("`{cut}`") }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { interface, method, here, there, .. } = self;
        if method.is_empty() {
            return write!(
                f,
                "{interface} differs in its codec: {} here, {} there",
                quoted(here),
                quoted(there)
            );
        }
        let (from_here, from_there) = self.where_they_part();
        write!(f, "{interface}.{method} differs: {} here, {} there", quoted(from_here), quoted(from_there))?;
        write!(f, " ({} here, {} there)", quoted(here), quoted(there))
    }
}
