//! `--kill`: shoots one of the processes of the census in mid-run, to show what happens then.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};
use triune::{Error, Result};

use crate::options::Victim;

/// The shot that `--kill` asks for, if it does.
pub(crate) struct Shot {
    victim: Option<Victim>,
    actor: u32,
    /// The workers that have counted something, and whether there was a shot.
    state: Mutex<(Vec<u32>, bool)>,
}

impl Shot {
    /// Prepares the shot.
    pub(crate) fn new(victim: Option<Victim>, actor: u32) -> Self {
        let victim = match victim {
            Some(Victim::Any) if RandomState::new().hash_one(actor).is_multiple_of(2) => Some(Victim::Actor),
            Some(Victim::Any) => Some(Victim::Worker),
            chosen => chosen,
        };
        Self { victim, actor, state: Mutex::default() }
    }

    /// A worker has counted something.
    pub(crate) fn seen(&self, worker: u32) {
        if self.victim.is_none() {
            return;
        }
        let mut state = self.state.lock().expect("nobody panics with this lock");
        if !state.0.contains(&worker) {
            state.0.push(worker);
        }
    }

    /// Shoots, when every worker has something to do: an idle one would only be replaced. A worker may have become
    /// idle meanwhile, so this is done at every occasion until the census fails.
    pub(crate) fn at_busy_workers(&self) {
        let Some(victim) = self.victim else { return };
        let workers = triune::worker::statistics();
        let mut state = self.state.lock().expect("nobody panics with this lock");
        if state.0.is_empty() || workers.idle > 0 {
            return;
        }
        let pid = match victim {
            Victim::Actor if state.1 => return,
            Victim::Actor => self.actor,
            Victim::Worker | Victim::Any => {
                let chosen = RandomState::new().hash_one(state.0.len()) % state.0.len() as u64;
                state.0.swap_remove(usize::try_from(chosen).unwrap_or_default())
            }
        };
        state.1 = true;
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended by itself; then there is nothing to shoot.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }

    /// The census came to its end: no shot hit anybody at work.
    pub(crate) fn must_have_hit(&self) -> Result {
        match self.victim {
            None => Ok(()),
            Some(_) => {
                Err(Error::msg("--kill hit nobody at work: the census was over too soon, give it more files"))
            }
        }
    }
}
