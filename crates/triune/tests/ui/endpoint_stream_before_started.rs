//! Nothing can be streamed before `started`.

use triune::prelude::*;

#[triune::endpoint]
async fn hasty(cx: Context<Started<()>, Out<u8>, In<u8>>) -> Result {
    cx.send(1).await?;
    Ok(())
}

fn main() {}
