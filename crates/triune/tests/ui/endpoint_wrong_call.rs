//! A dialog is opened, a call is called.

use triune::prelude::*;

#[triune::endpoint]
async fn talk(cx: Context<Started<()>, Out<u8>, In<u8>>) {
    drop(cx);
}

async fn caller(portal: Portal) {
    let _mistaken = portal.call(talk::with()).await;
}

fn main() {
    let _never_run = caller;
}
