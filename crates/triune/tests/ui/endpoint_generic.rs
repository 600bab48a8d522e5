//! The other process must find exactly one function.

#[triune::endpoint]
async fn pass<T>(value: T) -> T {
    value
}

fn main() {}
