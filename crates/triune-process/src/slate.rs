//! A page on which one process notes what another one reads, also when the writer is dead.
//!
//! Owns [`Slate`]: the order in which the words of the page are written and read. What is noted is up to its users; how the other
//! process gets hold of the page, too: its descriptor is passed over some socket.
//!
//! Invariants:
//! 1. There is one writer. What [`Slate::add`] has taken is there for the reader, whatever becomes of the writer.
//! 2. A reader gets whole notes, as many as there were at one moment, or nothing while the writer begins anew.
//! 3. Whatever stands on the page, a reader stays within it: the writer may be broken.
//!
//! The first word says the round, and how many words are taken. A round begins with a clean slate; within one, what is there does not
//! change. A note is its length and then its bytes, in whole words.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::sys::{self, Page};

/// Bytes in a word.
const WORD: usize = size_of::<u64>();

/// A page of memory that another process sees, too. It costs no system call to write to it.
///
/// ```
/// use triune_process::Slate;
///
/// let (reader, file) = Slate::new("example")?;
/// let writer = Slate::of(file)?; // in another process, with the descriptor that was passed to it
/// assert!(writer.add(b"one") && writer.add(b"and two"));
/// assert_eq!(reader.read(), Some(vec![b"one".to_vec(), b"and two".to_vec()]));
/// writer.clear();
/// assert_eq!(reader.read(), Some(vec![]));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Slate(Page);

impl Slate {
    /// A clean one, and the file, for whoever passes it on. The name shows in `/proc/PID/maps`.
    ///
    /// # Errors
    /// If there is no memory or no descriptor for it.
    pub fn new(name: &str) -> io::Result<(Self, OwnedFd)> {
        let name = std::ffi::CString::new(name.replace('\0', "")).unwrap_or_default();
        let file = sys::page_file(&name)?;
        Ok((Self(Page::new(&file)?), file))
    }

    /// That of another process. It needs no descriptor from then on.
    ///
    /// # Errors
    /// If it is none, or there is no room for it.
    pub fn of(file: OwnedFd) -> io::Result<Self> {
        Page::new(&file).map(Self)
    }

    fn parts(&self) -> (&AtomicU64, &[AtomicU64]) {
        self.0.words().split_first().expect("a page has words")
    }

    /// Notes the bytes. False if there is no room for them. For the writer.
    pub fn add(&self, bytes: &[u8]) -> bool {
        let (head, words) = self.parts();
        // Nobody else writes.
        let (round, taken) = split(head.load(Ordering::Relaxed));
        let count = bytes.len().div_ceil(WORD);
        let Some(room) = words.get(taken..).filter(|room| room.len() > count) else { return false };
        room[0].store(bytes.len() as u64, Ordering::Relaxed);
        for (word, part) in room[1..].iter().zip(bytes.chunks(WORD)) {
            let mut whole = [0; WORD];
            whole[..part.len()].copy_from_slice(part);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        // Release; pairs with the Acquire of the first look in `read`.
        head.store(joined(round, taken + 1 + count), Ordering::Release);
        true
    }

    /// Wipes it. For the writer.
    pub fn clear(&self) {
        let (head, _) = self.parts();
        let (round, _) = split(head.load(Ordering::Relaxed));
        head.store(joined(round.wrapping_add(1), 0), Ordering::Relaxed);
        // Pairs with the fence in `read`: who reads a word of the new round sees that it has begun.
        fence(Ordering::Release);
    }

    /// All that is noted. `None` if the writer begins anew just now. For the reader.
    #[must_use]
    pub fn read(&self) -> Option<Vec<Vec<u8>>> {
        let (head, words) = self.parts();
        let (round, taken) = split(head.load(Ordering::Acquire));
        let taken = words.get(..taken).unwrap_or_default();
        let copy: Vec<u64> = taken.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        fence(Ordering::Acquire);
        let (now, _) = split(head.load(Ordering::Relaxed));
        (now == round).then(|| notes(&copy))
    }
}

/// Takes notes apart, up to one that is broken.
fn notes(mut words: &[u64]) -> Vec<Vec<u8>> {
    let mut notes = Vec::new();
    while let Some((len, rest)) = words.split_first() {
        let len = usize::try_from(*len).unwrap_or(usize::MAX);
        let count = len.div_ceil(WORD);
        let Some(note) = rest.get(..count) else { break };
        let mut bytes: Vec<u8> = note.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(len);
        notes.push(bytes);
        words = &rest[count..];
    }
    notes
}

fn split(head: u64) -> (u32, usize) {
    // The halves.
    ((head >> 32) as u32, (head as u32) as usize)
}

fn joined(round: u32, taken: usize) -> u64 {
    u64::from(round) << 32 | taken as u64
}

impl fmt::Debug for Slate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{Slate, WORD, joined};

    fn pair() -> (Slate, Slate) {
        let (reader, file) = Slate::new("test").expect("there is memory");
        (reader, Slate::of(file).expect("it is a slate"))
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_there_stays() {
        let (reader, writer) = pair();
        assert!(writer.add(&[7; 2000]));
        assert!(!writer.add(&[8; 3000]));
        assert!(writer.add(b""));
        assert_eq!(reader.read(), Some(vec![vec![7; 2000], vec![]]));
        let rest = reader.parts().1.len() * WORD - 2000 - 3 * WORD;
        assert!(!writer.add(&vec![9; rest + 1]));
        assert!(writer.add(&vec![9; rest]), "to the last byte");
        assert!(!writer.add(b""));
    }

    #[test]
    fn a_broken_writer_leads_nobody_out_of_the_page() {
        let (reader, writer) = pair();
        assert!(writer.add(b"whole") && writer.add(b"broken"));
        let (head, words) = writer.parts();
        words[2].store(u64::MAX, Ordering::Relaxed);
        assert_eq!(reader.read(), Some(vec![b"whole".to_vec()]));
        head.store(joined(3, 100_000), Ordering::Relaxed);
        assert_eq!(reader.read(), Some(vec![]));
    }

    #[test]
    fn another_file_is_no_slate() {
        let file = crate::sys::sealable_file(c"open").expect("there is memory");
        assert!(Slate::of(file.into()).is_err());
    }

    /// Each round notes its number, twice, in two notes.
    #[test]
    fn a_reader_gets_the_notes_of_one_round() {
        let (reader, writer) = pair();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for round in 0..200_000_u64 {
                    writer.clear();
                    assert!(writer.add(&[round.to_ne_bytes(); 2].concat()));
                    assert!(writer.add(&[round.to_ne_bytes(); 4].concat()));
                }
                is_done.store(true, Ordering::Relaxed);
            });
            let mut read = 0_u64;
            while !is_done.load(Ordering::Relaxed) || read == 0 {
                let Some(notes) = reader.read() else { continue };
                let numbers: Vec<&[u8]> = notes.iter().flat_map(|note| note.chunks(WORD)).collect();
                assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "{notes:?}");
                read += u64::from(notes.len() == 2);
            }
        });
    }
}
