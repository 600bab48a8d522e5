//! Meeting another actor: from the parent's introduction to the end of the link.
//!
//! A link to a sibling is moved by a task of the run's, which no cancel of this actor's reaches: as with the parent's link, requests are
//! answered while the actor cleans up. `farewell` ends them all.
//!
//! 1. What comes over such a link runs like a request of the parent's. Nothing that comes over it can end this actor, or introduce it to others.
//! 2. A failure of such a link is told to those that wait on it and to nobody else.

use std::sync::Arc;

use triune_ipc::{
    Config, ConnectError, Driver, Incoming, IncomingCall, Introduction, Link, LinkEnd, Request, connect,
};
use triune_process::{ActorDied, build_id};
use triune_scope::__primitive::primitive;
use triune_scope::{FutureExt, Nursery, Result, Run, shield_unbounded};
use triune_wire::{BuildId, Hello, Report, ReportKind, target};

use super::serve::FLUSH;
use super::{ORPHAN_GRACE, request};
use crate::identity::current_path;
use crate::peer::{Acquaintance, MOST, Peer};
use crate::portal::Portal;
use crate::settings::{ROLE, Settings};
use crate::shared::Shared;

/// Answers what the parent asks of the runtime.
pub(super) async fn answer(parent: &Link, call: IncomingCall) -> Result {
    let IncomingCall { target, args, responder, .. } = call;
    let answer = match target {
        target::EXPECT => {
            parent.expect_introduction();
            Ok(())
        }
        target::MEET => {
            let path = String::from_utf8_lossy(&args);
            let met = async {
                match Acquaintance::with(&path) {
                    Some(acquaintance) => acquaintance.wait().await.map_err(|why| why.to_string()),
                    None => Err(format!("it knows {MOST} others already, or has lost this one")),
                }
            };
            tokio::select! {
                biased;
                met = met => met,
                _message = responder.cancelled() => Err("the introduction was given up".to_owned()),
            }
        }
        other => Err(format!("there is no endpoint with the number {other}")),
    };
    match answer {
        Ok(()) => responder.reply(bytes::Bytes::new()),
        Err(why) => responder.fail(Report::new(ReportKind::Unknown, why)),
    }
    Ok(())
}

/// Meets somebody and serves its requests, until its link has ended or this actor takes no more.
pub(super) async fn meet(n: Nursery<'_>, introduction: Introduction, own: Settings) -> Result {
    let Introduction { name: path, socket, .. } = introduction;
    let Some(acquaintance) = Acquaintance::begin(path.clone()) else { return Ok(()) };
    let mut config = Config::new(Hello::new(BuildId::new(build_id()), ROLE, current_path()));
    config.hello.config = own.encode();
    config.spin = own.spin;
    let (link, driver, incoming) = match connect(socket, config).cancellable().await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => {
            acquaintance.over(&not_met(&error));
            return Ok(());
        }
        Err(cancelled) => {
            acquaintance.over("the actor is being stopped");
            return Err(cancelled.into());
        }
    };
    let grace = triune_wire::decode::<Settings>(&link.peer().config).map_or(ORPHAN_GRACE, |its| its.grace);
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let pid = link.peer().pid;
    let shared = Arc::new(Shared::new(name, path, pid, link, grace));
    let run = Run::current();
    run.spawn_system("link to a sibling", keep(Arc::clone(&acquaintance), Arc::clone(&shared), driver));
    acquaintance.met(Peer::new(Portal { shared }));
    accept(n, incoming).await
}

fn not_met(error: &ConnectError) -> String {
    match error {
        ConnectError::Closed => "the other one is gone".to_owned(),
        error => error.to_string(),
    }
}

/// Moves the link until it ends.
async fn keep(acquaintance: Arc<Acquaintance>, shared: Arc<Shared>, mut driver: Driver) {
    let end = shield_unbounded(driver.drive()).await;
    acquaintance.over("its link has ended");
    let end = match end {
        // It went without a word. Its parent knows more.
        LinkEnd::Eof => {
            let died = ActorDied::new(shared.path.clone(), shared.pid, shared.phase());
            LinkEnd::Died(Arc::new(died))
        }
        end => end,
    };
    tracing::debug!(peer = shared.path, %end, "the link to a sibling has ended");
    shared.link.close(end);
}

/// Gives each request of a sibling a child of its own.
async fn accept(n: Nursery<'_>, mut incoming: Incoming) -> Result {
    while let Some(request) = primitive("requests of a sibling", incoming.recv()).await? {
        match request {
            Request::Call(call) if call.target >= target::RESERVED => {
                call.responder
                    .fail(Report::new(ReportKind::Unknown, "only the parent of an actor may ask for that"));
            }
            Request::Call(call) => drop(n.spawn(request::call(call))),
            Request::Open(dialog) => drop(n.spawn(request::dialog(dialog))),
            _ => tracing::warn!(actor = current_path(), "a sibling asked for what only a parent may"),
        }
    }
    Ok(())
}

/// Ends all links to siblings, after what is queued on them.
pub(super) async fn farewell() {
    let peers = Acquaintance::all_met();
    let links: Vec<&Link> = peers.iter().map(|peer| &peer.portal().shared.link).collect();
    links.iter().for_each(|link| link.goodbye());
    let all_gone = async {
        for link in &links {
            link.ended().await;
        }
    };
    if tokio::time::timeout(FLUSH, all_gone).await.is_err() {
        tracing::debug!(actor = current_path(), "a sibling does not read the last answers");
    }
    // What is left ends now.
    links.iter().for_each(|link| link.close(LinkEnd::Closed));
}
