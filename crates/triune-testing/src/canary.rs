//! Values that tell whether they are still alive.

use std::sync::{Arc, Weak};

/// A value to be captured by what should be gone later. Clones are alike.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> triune_scope::Result {
/// use triune_scope::nursery;
/// use triune_testing::Canary;
///
/// let (canary, probe) = Canary::new("a local of the child");
/// nursery(async |n| {
///     n.spawn(async move {
///         let _local = canary;
///         Ok(())
///     });
///     Ok(())
/// })
/// .await?;
/// probe.assert_dead();
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Canary {
    _life: Arc<()>,
}

impl Canary {
    /// A canary, and the probe that tells whether it lives. The name is for the message of a failure.
    #[must_use]
    pub fn new(name: &'static str) -> (Self, Probe) {
        let life = Arc::new(());
        let probe = Probe { name, life: Arc::downgrade(&life) };
        (Self { _life: life }, probe)
    }
}

/// Looks at a [`Canary`] without keeping it alive.
#[derive(Debug, Clone)]
pub struct Probe {
    name: &'static str,
    life: Weak<()>,
}

impl Probe {
    /// How many clones of the canary live.
    #[must_use]
    pub fn living(&self) -> usize {
        self.life.strong_count()
    }

    /// Fails the test if the canary lives.
    ///
    /// # Panics
    ///
    /// If it does.
    #[track_caller]
    pub fn assert_dead(&self) {
        let living = self.living();
        assert!(living == 0, "{} is still alive, {living} times", self.name);
    }

    /// Fails the test if the canary is dead.
    ///
    /// # Panics
    ///
    /// If it is.
    #[track_caller]
    pub fn assert_alive(&self) {
        assert!(self.living() > 0, "{} is dead already", self.name);
    }
}
