//! The transitions of the pool, without processes.

use std::sync::Arc;
use std::time::Duration;

use triune_scope::sync::{Borrower, CapacityLimiter, Token};

use super::{Closing, Expiry, Next, Policy, State};
use crate::config::{Step, Workers, after_jobs};

fn token(limiter: &CapacityLimiter) -> Option<Token> {
    Some(limiter.try_acquire_for(Borrower::unique()).expect("the test has one left"))
}

fn state(workers: Workers) -> State {
    State::new(Arc::new(workers.settle().expect("it is sound")))
}

/// A state with one worker for each id from 1, all of them idle.
fn idle(count: u64, workers: Workers) -> State {
    let mut state = state(workers);
    for id in 1..=count {
        assert_eq!(state.start(Policy::Kill).id, id);
        assert!(state.started(id));
    }
    (1..=count).for_each(|id| rests(&mut state, id));
    state
}

#[track_caller]
fn rests(state: &mut State, id: u64) {
    assert!(matches!(state.done(id, false, None), Next::Idle(_)));
}

fn take(state: &mut State) -> Option<u64> {
    state.take(Policy::Kill).expect("the pool is open").map(|worker| worker.id)
}

// trio-parallel 12
#[test]
fn the_worker_that_was_used_last_is_used_next() {
    let mut state = idle(3, Workers::new());
    assert_eq!(take(&mut state), Some(3));
    assert_eq!(take(&mut state), Some(2));
    rests(&mut state, 3);
    assert_eq!(take(&mut state), Some(3));
}

// trio-parallel 29
#[test]
fn a_dead_worker_is_never_handed_out() {
    let mut state = idle(2, Workers::new());
    drop(state.condemn(2, None));
    assert_eq!(state.statistics().lost_idle, 1);
    assert_eq!(take(&mut state), Some(1));
    // It died right behind its reply: its caller is done with it after its supervisor has condemned it.
    drop(state.condemn(1, None));
    rests(&mut state, 1);
    assert_eq!(take(&mut state), None);
    drop(state.bury(1));
    rests(&mut state, 1);
    assert_eq!(take(&mut state), None);
}

#[test]
fn the_place_of_a_condemned_worker_is_free_when_it_is_reaped() {
    let limiter = CapacityLimiter::new(1);
    let mut state = idle(1, Workers::new());
    take(&mut state);
    drop(state.condemn(1, token(&limiter)));
    // The supervisor condemns it again when it sees the death, without a place.
    drop(state.condemn(1, None));
    assert_eq!((limiter.available(), state.statistics().dying), (Some(0), 1));
    drop(state.bury(1));
    assert_eq!((limiter.available(), state.statistics().dying), (Some(1), 0));
}

#[test]
fn a_place_that_comes_after_the_death_is_not_lost() {
    let limiter = CapacityLimiter::new(1);
    let mut state = idle(1, Workers::new());
    take(&mut state);
    drop(state.condemn(1, None));
    drop(state.condemn(1, token(&limiter)));
    assert_eq!(limiter.available(), Some(0));
    drop(state.bury(1));
    drop(state.condemn(1, token(&limiter)));
    assert_eq!(limiter.available(), Some(1));
}

#[test]
fn a_worker_that_was_condemned_while_it_started_is_not_wanted() {
    let mut state = state(Workers::new());
    let id = state.start(Policy::Kill).id;
    drop(state.condemn(id, None));
    assert!(!state.started(id));
    let id = state.start(Policy::Finish).id;
    drop(state.close(Closing::AfterUncancellable));
    assert!(!state.started(id));
    rests(&mut state, id);
}

#[test]
fn a_caller_may_be_faster_than_the_supervisor() {
    let mut state = state(Workers::new());
    let id = state.start(Policy::Kill).id;
    rests(&mut state, id);
    assert!(state.started(id));
    assert_eq!(take(&mut state), Some(id));
}

#[test]
fn a_closed_pool_lets_everybody_go_but_who_must_finish() {
    let mut state = idle(2, Workers::new());
    let kept = state.take(Policy::Finish).expect("open").expect("one is idle").id;
    let starting = state.start(Policy::Finish).id;
    let leaving = state.close(Closing::AfterJobs);
    assert_eq!(leaving.idle.iter().map(|worker| worker.id).collect::<Vec<_>>(), [1]);
    assert!(leaving.occupied.is_empty(), "jobs end first");
    assert!(state.take(Policy::Kill).is_err());
    let leaving = state.close(Closing::AfterUncancellable);
    assert!(leaving.idle.is_empty());
    // It has not begun a job yet.
    assert_eq!(leaving.occupied.iter().map(|worker| worker.id).collect::<Vec<_>>(), [starting]);
    assert!(
        matches!(state.done(kept, false, None), Next::Leave),
        "it is dismissed as soon as its job has ended"
    );
    assert_eq!(state.close(Closing::Now).occupied.len(), 3, "also those that have their grace");
}

// trio-parallel 47, 48
#[test]
fn a_worker_that_may_do_two_jobs_does_two_and_holds_its_place_until_it_is_gone() {
    let limiter = CapacityLimiter::new(1);
    let mut state = state(Workers::new().retire(after_jobs(2)));
    let id = state.start(Policy::Kill).id;
    state.started(id);
    rests(&mut state, id);
    assert_eq!(take(&mut state), Some(id));
    assert!(matches!(state.done(id, false, token(&limiter)), Next::Leave));
    assert_eq!(take(&mut state), None);
    assert_eq!((limiter.available(), state.statistics().retired), (Some(0), 1));
    drop(state.bury(id));
    assert_eq!(limiter.available(), Some(1));
}

// trio-parallel 50
#[test]
fn a_worker_that_is_looked_at_is_not_idle_and_keeps_its_place() {
    let limiter = CapacityLimiter::new(1);
    let mut settings = Workers::new().settle().expect("it is sound");
    settings.ask.push(Step {
        name: "asks",
        entry: None,
        arguments: bytes::Bytes::new(),
        kept: Default::default(),
    });
    let mut state = State::new(Arc::new(settings));
    let id = state.start(Policy::Kill).id;
    let Next::Check(token) = state.done(id, false, token(&limiter)) else { panic!("it is to be looked at") };
    assert_eq!((take(&mut state), state.statistics().busy, limiter.available()), (None, 1, Some(0)));
    assert!(state.settled(id, false, token).is_ok());
    assert_eq!((take(&mut state), limiter.available()), (Some(id), Some(1)));
    assert!(matches!(state.done(id, false, None), Next::Check(None)));
    assert!(state.settled(id, true, None).is_err(), "it is to be asked to leave");
}

// trio-parallel 44
#[test]
fn a_worker_expires_only_while_it_is_idle() {
    let timeout = Duration::from_nanos(1);
    let mut state = idle(1, Workers::new().idle_timeout(timeout));
    let id = take(&mut state).expect("one is idle");
    assert!(matches!(state.expire(id, timeout), Expiry::At(Some(_))), "it is at work");
    rests(&mut state, id);
    while state.expire(id, timeout) != Expiry::Leave {
        std::hint::spin_loop();
    }
    assert_eq!((take(&mut state), state.expire(id, timeout)), (None, Expiry::At(None)));
}

#[test]
fn a_pool_that_is_kept_warm_spares_its_last_workers_and_replaces_them() {
    let timeout = Duration::ZERO;
    let mut state = state(Workers::new().warm(1));
    let id = state.start_warm().expect("there is none").id;
    assert!(state.start_warm().is_none(), "there is one");
    assert_eq!(state.statistics().starting, 1);
    assert_eq!(take(&mut state), Some(id), "a job need not wait for another start");
    assert!(state.started(id));
    rests(&mut state, id);
    assert!(matches!(state.expire(id, timeout), Expiry::At(Some(_))));
    drop(state.condemn(id, None));
    assert!(state.start_warm().is_some());
    drop(state.close(Closing::AfterJobs));
    assert!(state.start_warm().is_none());
}
