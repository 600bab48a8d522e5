//! The texts of the errors, and what is found in their chains.

use triune_process::{ActorDied, Exit, Phase};
use triune_scope::CancelReason;
use triune_wire::{Report, ReportKind};

use super::*;

fn remote(kind: ReportKind) -> RemoteError {
    let mut report = Report::new(kind, "no paper");
    report.chain = vec!["tray 2 is empty".to_owned(), "nobody refilled it".to_owned()];
    report.path = Some("/printer".to_owned());
    report.pid = Some(9);
    report.task = Some("print".to_owned());
    report.location = Some("src/tray.rs:3:1".to_owned());
    RemoteError::new(report)
}

fn line(error: CallError<u8>) -> String {
    format!("{:#}", triune_scope::Error::from(error))
}

#[test]
fn an_error_tells_place_message_and_causes_once_each() {
    let text = "no paper: tray 2 is empty: nobody refilled it";
    let place = "`print` in actor `/printer` (pid 9)";
    assert_eq!(line(CallError::Remote(remote(ReportKind::Error))), format!("{place} failed: {text}"));
    assert_eq!(
        line(CallError::App { error: 1, remote: remote(ReportKind::Error) }),
        format!("{place} failed: {text}")
    );
    assert_eq!(
        line(CallError::Panic(remote(ReportKind::Panic))),
        format!("{place} panicked at src/tray.rs:3:1: {text}")
    );
}

#[test]
fn a_death_is_found_in_the_chain_and_its_marker_is_not_shown() {
    let died = ActorDied::new("/printer", 9, Phase::Busy).with_exit(Exit::Code(3));
    let error =
        triune_scope::Error::from(CallError::<u8>::Died(died.with_source(triune_scope::ReportedBy(4))));
    assert_eq!(error.downcast_ref::<ActorDied>().unwrap().exit(), Some(Exit::Code(3)));
    assert_eq!(
        format!("{error:#}"),
        "the call was not answered: actor `/printer` (pid 9) died while busy: exit code 3"
    );
}

#[test]
fn a_cancelled_peer_is_not_taken_for_a_cancel_of_this_side() {
    let reason = CancelReason::from("closing time").with_by("/");
    let error = CallError::<u8>::PeerCancelled(PeerCancelled::new(Some("/printer".to_owned()), reason));
    assert!(error.is_peer_cancelled() && !error.is_cancelled());
    let error = triune_scope::Error::from(error);
    assert!(!error.is_cancelled());
    assert_eq!(error.to_string(), "actor `/printer` was cancelled by `/`: closing time");
}

#[test]
fn the_end_of_a_dialog_is_recognized_below_other_errors() {
    let end = DialogError::Ended(PeerEnd::new("gone".to_owned()));
    assert!(PeerEnd::is_in(&end));
    assert!(PeerEnd::is_in(&TrySendError::<u8>::Failed(end)));
    assert!(!PeerEnd::is_in(&DialogError::Closed));
}
