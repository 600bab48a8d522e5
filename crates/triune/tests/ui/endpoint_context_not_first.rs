//! The context is the first parameter.

use triune::prelude::*;

#[triune::endpoint]
async fn talk(period: u64, cx: Context<Started<()>, Out<u8>, In<u8>>) {
    drop((period, cx));
}

fn main() {}
