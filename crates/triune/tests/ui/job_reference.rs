//! What crosses into another process is owned.

#[triune::job]
fn length(text: &str) -> usize {
    text.len()
}

#[triune::job]
fn first(texts: Vec<Option<&'static str>>) -> usize {
    texts.len()
}

#[triune::job]
fn name() -> &'static str {
    "x"
}

fn main() {}
