//! Nothing can be borrowed across processes.

#[triune::endpoint]
async fn shout(text: &str) -> String {
    text.to_uppercase()
}

fn main() {}
