//! What a worker keeps between its jobs: values by type, on the thread that runs the jobs.
//!
//! Owns [`set_state`], [`with_state`] and [`try_with_state`]. The values are dropped when the worker leaves in good order
//! ([`clear`]), in the reverse order of their first setting, and not when it is killed.

use std::any::{Any, TypeId, type_name};
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    static STATE: RefCell<Vec<(TypeId, Rc<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a value in this worker for the jobs that come after, one for each type; one of the same type is replaced.
///
/// The place for it is the `init` job of a pool ([`Workers::init`](crate::Workers::init)): the value needs neither to be
/// serialisable nor `Send`, because it never leaves the process. Jobs borrow it with [`with_state`].
///
/// ```
/// use triune_worker::{set_state, with_state};
///
/// struct Model(Vec<f32>);
///
/// fn load(size: usize) {
///     set_state(Model(vec![1.0; size]));
/// }
///
/// fn sum() -> f32 {
///     with_state(|model: &mut Model| model.0.iter().sum())
/// }
///
/// // Here both run in one process; as jobs they run in a worker: `Workers::new().init(job!(load(3)))`.
/// load(3);
/// assert_eq!(sum(), 3.0);
/// ```
pub fn set_state<T: Any>(value: T) {
    let value: Rc<dyn Any> = Rc::new(RefCell::new(value));
    let old =
        STATE.with_borrow_mut(|state| match state.iter_mut().find(|(id, _)| *id == TypeId::of::<T>()) {
            Some((_, place)) => Some(std::mem::replace(place, value)),
            None => {
                state.push((TypeId::of::<T>(), value));
                None
            }
        });
    // Its destructor may use the state, too.
    drop(old);
}

/// Borrows what [`set_state`] keeps of type `T` in this worker.
///
/// ```
/// use triune_worker::{set_state, with_state};
///
/// set_state(vec![1, 2]);
/// with_state(|numbers: &mut Vec<i32>| numbers.push(3));
/// assert_eq!(with_state(|numbers: &mut Vec<i32>| numbers.len()), 3);
/// ```
///
/// # Panics
///
/// If there is none, or if the running code has borrowed it already.
pub fn with_state<T: Any, R>(use_it: impl FnOnce(&mut T) -> R) -> R {
    match try_with_state(use_it) {
        Some(value) => value,
        None => panic!(
            "this worker keeps no `{}`; set it with `set_state` in the `init` job of the pool",
            type_name::<T>()
        ),
    }
}

/// As [`with_state`], but `None` if there is nothing of type `T`.
///
/// ```
/// use triune_worker::{set_state, try_with_state};
///
/// // In a worker these are calls of a job.
/// assert_eq!(try_with_state(|count: &mut u32| *count), None);
/// set_state(7_u32);
/// assert_eq!(try_with_state(|count: &mut u32| *count), Some(7));
/// ```
///
/// # Panics
///
/// If the running code has borrowed it already.
pub fn try_with_state<T: Any, R>(use_it: impl FnOnce(&mut T) -> R) -> Option<R> {
    let kept = STATE.with_borrow(|state| {
        state.iter().find(|(id, _)| *id == TypeId::of::<T>()).map(|(_, value)| Rc::clone(value))
    })?;
    let kept = kept.downcast::<RefCell<T>>().expect("it is kept under its type");
    let mut value = kept.try_borrow_mut().unwrap_or_else(|_| {
        panic!(
            "the state `{}` is borrowed already: `with_state` of one type cannot be nested",
            type_name::<T>()
        )
    });
    Some(use_it(&mut value))
}

/// Drops everything, as the worker leaves.
pub(crate) fn clear() {
    while let Some(last) = STATE.with_borrow_mut(Vec::pop) {
        drop(last);
    }
}

#[cfg(test)]
mod tests {
    use super::{clear, set_state, try_with_state, with_state};

    #[test]
    fn a_value_is_kept_by_its_type_and_can_be_changed_and_replaced() {
        assert_eq!(try_with_state(|_: &mut u8| ()), None);
        set_state(1_u8);
        set_state("text".to_owned());
        with_state(|number: &mut u8| *number += 1);
        assert_eq!(
            with_state(|number: &mut u8| with_state(|text: &mut String| (*number, text.len()))),
            (2, 4)
        );
        set_state(9_u8);
        assert_eq!(with_state(|number: &mut u8| *number), 9);
        clear();
        assert_eq!(try_with_state(|_: &mut u8| ()), None);
    }

    #[test]
    fn what_is_dropped_may_look_at_what_was_set_before_it() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                with_state(|count: &mut u32| assert_eq!(*count, 5));
            }
        }
        set_state(5_u32);
        set_state(Last);
        clear();
    }

    #[test]
    #[should_panic(expected = "keeps no `alloc::string::String`")]
    fn what_was_never_set_is_missed_by_name() {
        with_state(|_: &mut String| ());
    }
}
