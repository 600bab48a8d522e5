//! A job is found by its index, so there is one of it.

#[triune::job]
fn largest<T: Ord>(values: Vec<T>) -> Option<T> {
    values.into_iter().max()
}

#[triune::job]
fn count(words: impl Iterator<Item = String>) -> usize {
    words.count()
}

fn main() {}
