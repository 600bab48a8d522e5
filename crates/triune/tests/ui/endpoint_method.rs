//! There is no `self` in another process.

struct Counter;

impl Counter {
    #[triune::endpoint]
    async fn count(&self) {}
}

fn main() {}
