//! Processes that the system has killed because memory was short, as the control group of this process counts them.
//!
//! Such a process has died of SIGKILL, as one that an operator has killed. The group counts, and does not say whom it hit. So a death
//! is explained by a kill that was counted while the process lived.
//!
//! Invariant: a kill explains one death at most.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::sys;

/// The count of such kills at some time; see [`note`](Self::note).
///
/// ```
/// use triune_process::OomKills;
///
/// let before = OomKills::note();
/// // ... a child is started, and dies of SIGKILL ...
/// let system_killed_it = before.is_some_and(|before| before.explain_one());
/// # assert!(!system_killed_it);
/// ```
#[derive(Debug, Clone)]
pub struct OomKills {
    file: PathBuf,
    count: u64,
}

/// By file: the count up to which kills have explained a death.
static EXPLAINED: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());

impl OomKills {
    /// Notes the count in the control group of this process, which its children are in, too, unless somebody moves them. `None` if the
    /// system does not tell.
    #[must_use]
    pub fn note() -> Option<Self> {
        let file = sys::oom_kill_file()?;
        let count = sys::oom_kills(&file)?;
        Some(Self { file, count })
    }

    /// Whether the system has killed a process of the group since, and that explains no other death yet. Then it explains the one that
    /// is asked for: ask once for each, and only where nothing else is known to have sent a SIGKILL.
    ///
    /// It may have been another process of the group that was hit, if this one was killed by somebody else in its lifetime.
    #[must_use]
    pub fn explain_one(&self) -> bool {
        let Some(now) = sys::oom_kills(&self.file) else { return false };
        let mut explained = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
        let explained = explained.entry(self.file.clone()).or_default();
        explain(explained, self.count, now)
    }
}

fn explain(explained: &mut u64, before: u64, now: u64) -> bool {
    let unexplained_from = before.max(*explained);
    let explains = now > unexplained_from;
    if explains {
        *explained = unexplained_from + 1;
    }
    explains
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn a_kill_explains_one_death_of_a_process_that_lived_then() {
        let mut explained = 0;
        assert!(!explain(&mut explained, 7, 7), "there was none");
        assert!(explain(&mut explained, 7, 9));
        assert!(explain(&mut explained, 7, 9), "there were two");
        assert!(!explain(&mut explained, 7, 9));
        assert!(!explain(&mut explained, 9, 9), "it was started later");
        assert!(explain(&mut explained, 9, 10));
    }
}
