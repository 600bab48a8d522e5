//! There is no `self` in another process.

struct Counter(u64);

impl Counter {
    #[triune::job]
    fn add(self, more: u64) -> u64 {
        self.0 + more
    }
}

fn main() {}
