//! The transitions of the pool, without processes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Policy, State};

fn permit(limiter: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(limiter).try_acquire_owned().expect("the test has one left")
}

/// A state with one worker for each id from 1, all of them idle.
fn idle(count: u64) -> State {
    let mut state = State::default();
    for id in 1..=count {
        assert_eq!(state.start(Policy::Kill).id, id);
        assert!(state.started(id));
    }
    (1..=count).for_each(|id| assert!(!state.readmit(id)));
    state
}

fn take(state: &mut State) -> Option<u64> {
    state.take_idle(Policy::Kill).expect("the pool is open").map(|worker| worker.id)
}

#[test]
fn the_worker_that_was_used_last_is_used_next() {
    let mut state = idle(3);
    assert_eq!(take(&mut state), Some(3));
    assert_eq!(take(&mut state), Some(2));
    state.readmit(3);
    assert_eq!(take(&mut state), Some(3));
}

#[test]
fn a_dead_worker_is_never_handed_out() {
    let mut state = idle(2);
    drop(state.condemn(2, None));
    assert_eq!(take(&mut state), Some(1));
    // It died right behind its reply: its caller readmits it after its supervisor has condemned it.
    drop(state.condemn(1, None));
    assert!(!state.readmit(1));
    assert_eq!(take(&mut state), None);
    drop(state.bury(1));
    assert!(!state.readmit(1));
    assert_eq!(take(&mut state), None);
}

#[test]
fn the_place_of_a_condemned_worker_is_free_when_it_is_reaped() {
    let limiter = Arc::new(Semaphore::new(1));
    let mut state = idle(1);
    take(&mut state);
    drop(state.condemn(1, Some(permit(&limiter))));
    // The supervisor condemns it again when it sees the death, without a place.
    drop(state.condemn(1, None));
    assert_eq!((limiter.available_permits(), state.statistics(1).dying), (0, 1));
    drop(state.bury(1));
    assert_eq!((limiter.available_permits(), state.statistics(1).dying), (1, 0));
}

#[test]
fn a_place_that_comes_after_the_death_is_not_lost() {
    let limiter = Arc::new(Semaphore::new(1));
    let mut state = idle(1);
    take(&mut state);
    drop(state.condemn(1, None));
    drop(state.condemn(1, Some(permit(&limiter))));
    assert_eq!(limiter.available_permits(), 0);
    drop(state.bury(1));
    drop(state.condemn(1, Some(permit(&limiter))));
    assert_eq!(limiter.available_permits(), 1);
}

#[test]
fn a_worker_that_was_condemned_while_it_started_is_not_wanted() {
    let mut state = State::default();
    let id = state.start(Policy::Kill).id;
    drop(state.condemn(id, None));
    assert!(!state.started(id));
    let id = state.start(Policy::Finish).id;
    drop(state.close());
    assert!(!state.started(id));
    assert!(!state.readmit(id));
}

#[test]
fn a_caller_may_be_faster_than_the_supervisor() {
    let mut state = State::default();
    let id = state.start(Policy::Kill).id;
    assert!(!state.readmit(id));
    assert!(state.started(id));
    assert_eq!(take(&mut state), Some(id));
}

#[test]
fn a_closed_pool_lets_everybody_go_but_who_must_finish() {
    let mut state = idle(2);
    let kept = state.take_idle(Policy::Finish).expect("open").expect("one is idle").id;
    let killed = state.start(Policy::Finish).id;
    let leaving = state.close();
    assert_eq!(leaving.idle.iter().map(|worker| worker.id).collect::<Vec<_>>(), [1]);
    // It has not begun a job yet.
    assert_eq!(leaving.occupied.iter().map(|worker| worker.id).collect::<Vec<_>>(), [killed]);
    assert!(state.take_idle(Policy::Kill).is_err());
    assert!(state.readmit(kept), "it is dismissed as soon as its job has ended");
    let again = state.close();
    assert!(again.idle.is_empty());
}
