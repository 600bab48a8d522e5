//! Bounds for texts and lists, on the way out (shorten, and say so) and on the way in (refuse).
//!
//! Owns no number: the messages say what their bounds are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Shortens a text to at most `max` bytes, with a note of what was left out.
pub(crate) fn shorten(text: &mut String, max: usize) {
    if text.len() <= max {
        return;
    }
    let mut note = format!(" … ({} bytes in all, shortened)", text.len());
    note.truncate(note.floor_char_boundary(max));
    text.truncate(text.floor_char_boundary(max - note.len()));
    text.push_str(&note);
}

/// Shortens a list to at most `max` texts of at most `max_text` bytes; a last text says what was left out.
pub(crate) fn shorten_list(list: &mut Vec<String>, max: usize, max_text: usize) {
    if list.len() > max {
        let left_out = list.len() - (max - 1);
        list.truncate(max - 1);
        list.push(format!("… ({left_out} more, shortened)"));
    }
    list.iter_mut().for_each(|text| shorten(text, max_text));
}

/// Deserializes a list that has at most `MAX` elements: a list of empty texts costs a peer one byte per
/// element and us twenty-four, so the count must be checked while it is read.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Elements<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Elements<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                if elements.len() == MAX {
                    return Err(A::Error::invalid_length(elements.len() + 1, &self));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }

    deserializer.deserialize_seq(Elements::<T, MAX>(PhantomData))
}
