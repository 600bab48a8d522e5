//! The children of this process that are not reaped yet, for the one moment when all of them must go at once.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::child::Child;
use crate::guardian;

type Live = BTreeMap<u32, Weak<Child>>;

/// Keyed by process number, which is ours alone until the child is reaped.
static LIVE: Mutex<Live> = Mutex::new(BTreeMap::new());

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn insert(child: &Arc<Child>) {
    live().insert(child.pid, Arc::downgrade(child));
}

/// Forgets a child that was just reaped. The number may already be that of a new child, whose entry stays.
pub(crate) fn remove(pid: u32, child: &Child) {
    let mut live = live();
    if live.get(&pid).is_some_and(|entry| ptr::eq(entry.as_ptr(), child)) {
        live.remove(&pid);
    }
}

/// Sends SIGKILL to every child of this process (and its group) that is still alive, and, if this is the root, to every
/// process of the tree. Their handles reap them as usual.
///
/// For the end of a program that does not wait any more; everything else ends a child through its [`Process`].
///
/// [`Process`]: crate::Process
///
/// ```
/// use triune_process::{Boot, ROLES, Role, Spec, kill_all, spawn};
///
/// #[linkme::distributed_slice(ROLES)]
/// static SLEEPER: Role = Role { name: "sleeper", main: |_boot: Boot| loop { std::thread::park() } };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # triune_process::init();
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (one, _link) = spawn(Spec::new("sleeper", "one")).await?;
/// let (other, _link) = spawn(Spec::new("sleeper", "other")).await?;
/// kill_all();
/// assert_eq!((one.wait().await.signal(), other.wait().await.signal()), (Some(9), Some(9)));
/// # Ok(()) })
/// # }
/// ```
pub fn kill_all() {
    // The last owner of a child may be the one made here; it must not go while the registry is locked.
    let children: Vec<Arc<Child>> = live().values().filter_map(Weak::upgrade).collect();
    for child in &children {
        child.kill();
    }
    // Children of children would be given their grace otherwise.
    guardian::kill_everything();
}
