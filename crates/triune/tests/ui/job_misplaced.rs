//! Only a plain, safe function, and no options.

#[triune::job]
struct Sum {
    of: Vec<u64>,
}

#[triune::job(cached)]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[triune::job]
unsafe fn peek(address: usize) -> u8 {
    address as u8
}

fn main() {}
