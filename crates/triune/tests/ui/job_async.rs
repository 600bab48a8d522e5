//! Async code belongs into an actor.

#[triune::job]
async fn fetch(url: String) -> String {
    url
}

fn main() {}
