//! A dialog starts once.

use triune::prelude::*;

#[triune::endpoint]
async fn eager(cx: Context<Started<u8>, Out<u8>, In<u8>>) -> Result {
    cx.started(1).await?;
    cx.started(2).await?;
    Ok(())
}

fn main() {}
