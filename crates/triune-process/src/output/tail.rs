//! The end of what a stream has carried: a bounded part of it.
//!
//! A backtrace can be longer than what is kept, and what matters is said before it: which allocation failed, where it panicked. So where
//! the kept end begins within a backtrace, what was said right before that is kept, too. As soon as anything else is forgotten it goes, so
//! that an old backtrace is not taken for the last one.

/// How much is kept in all, in bytes.
const MOST: usize = 16 * 1024;

/// How much of what was said before a backtrace, in bytes.
const WORDS: usize = 1024;

/// The line with which the standard library begins a backtrace. The lines of its frames begin with a space.
const BACKTRACE: &[u8] = b"stack backtrace:\n";

/// Stands for the frames that are forgotten.
const GAP: &[u8] = b"[...]\n";

#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// Where the kept end begins. What is before it is held only for the case that a backtrace follows.
    begin: usize,
    /// What was said before the backtrace within which the kept end begins, and its first line; else nothing.
    words: Vec<u8>,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        while self.bytes.len() - self.begin > self.room() {
            self.forget(self.bytes.len() - self.begin - self.room());
        }
        // Seldom, because it moves all that is kept.
        if self.begin > MOST {
            // One more than the words, to see whether they begin a line.
            self.bytes.drain(..self.begin - (WORDS + 1));
            self.begin = WORDS + 1;
        }
    }

    pub(super) fn text(&self) -> String {
        let gap = if self.words.is_empty() { &[] } else { GAP };
        let bytes = [&self.words, gap, &self.bytes[self.begin..]].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn room(&self) -> usize {
        if self.words.is_empty() { MOST } else { MOST - self.words.len() - GAP.len() }
    }

    /// Moves the beginning by so many bytes, and past the line that begins a backtrace.
    fn forget(&mut self, surplus: usize) {
        let mut end = self.begin + surplus;
        let frames = match self.last_backtrace(end) {
            Some(at) => {
                let said = &self.bytes[..at];
                self.words = [&said[last_lines(said)..], BACKTRACE].concat();
                at + BACKTRACE.len()
            }
            None if self.begins_line(self.begin) => self.begin,
            None => self.begin + line_length(&self.bytes[self.begin..end]),
        };
        end = end.max(frames);
        let is_frame = |line: &[u8]| line.starts_with(b" ");
        if !self.bytes[frames..end].split_inclusive(|byte| *byte == b'\n').all(is_frame) {
            self.words.clear();
        }
        self.begin = end;
    }

    /// Where the last backtrace begins between the beginning and there.
    fn last_backtrace(&self, end: usize) -> Option<usize> {
        let begins = |at: &usize| self.begins_line(*at) && self.bytes[*at..].starts_with(BACKTRACE);
        (self.begin..end).rev().find(begins)
    }

    fn begins_line(&self, at: usize) -> bool {
        at == 0 || self.bytes[at - 1] == b'\n'
    }
}

/// Where the whole lines begin that are kept of what was said.
fn last_lines(said: &[u8]) -> usize {
    match said.len().checked_sub(WORDS) {
        None | Some(0) => 0,
        // From the byte before, which may be the end of a line.
        Some(from) => from - 1 + line_length(&said[from - 1..]),
    }
}

/// The length of the first line, its end included.
fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const SAID: &str = "reading\nmemory allocation of 5 bytes failed\nstack backtrace:\n";

    fn backtrace() -> String {
        (0..900).fold(SAID.to_owned(), |mut text, frame| {
            writeln!(text, "{frame:4}: a::function\n             at ./src/a.rs:{frame}:{}", frame % 7)
                .unwrap();
            text
        })
    }

    /// What is kept of a text, however it comes.
    fn kept(text: &str) -> String {
        let whole = kept_of(text, text.len());
        for piece in [1, 7, 1000, MOST - 1, MOST] {
            assert!(kept_of(text, piece) == whole, "in pieces of {piece}");
        }
        whole
    }

    fn kept_of(text: &str, piece: usize) -> String {
        let mut tail = Tail::default();
        text.as_bytes().chunks(piece).for_each(|piece| tail.push(piece));
        let text = tail.text();
        assert!(text.len() <= MOST);
        text
    }

    #[test]
    fn little_is_kept_whole_and_of_much_the_end() {
        assert_eq!(kept("one\ntwo"), "one\ntwo");
        let much = "a line\n".repeat(MOST / 2);
        assert_eq!(kept(&much), much[much.len() - MOST..]);
        let line = "x".repeat(3 * MOST);
        assert_eq!(kept(&line), line[..MOST]);
    }

    #[test]
    fn what_was_said_before_a_long_backtrace_is_kept() {
        let text = backtrace();
        assert!(text.len() > 2 * MOST);
        let kept = kept(&text);
        assert!(kept.starts_with(&format!("{SAID}[...]\n")), "{}", &kept[..200]);
        assert!(text.ends_with(kept.rsplit("[...]\n").next().unwrap()));
        assert!(kept.len() > MOST - 10);
    }

    #[test]
    fn only_whole_lines_of_it_are_kept_and_not_many() {
        let text = format!("{}{}", "much more\n".repeat(WORDS), backtrace());
        let kept = kept(&text);
        assert!(kept.starts_with("much more\n"));
        let said = kept.split("[...]\n").next().unwrap();
        assert!(said.ends_with(SAID) && said.len() <= WORDS + BACKTRACE.len(), "{said}");
    }

    #[test]
    fn a_backtrace_that_has_ended_is_forgotten() {
        let log = "and then it went on\n".repeat(MOST / 10);
        let text = format!("{}{log}", backtrace());
        assert_eq!(kept(&text), text[text.len() - MOST..]);
    }

    #[test]
    fn of_two_backtraces_the_last_counts() {
        let text = format!("{}the second\nstack backtrace:\n{}", backtrace(), "   1: b\n".repeat(MOST));
        let kept = kept(&text);
        let said = kept.split("[...]\n").next().unwrap();
        assert!(said.ends_with("\nthe second\nstack backtrace:\n"), "{said}");
    }
}
