//! Task variables: who sees which value. Ids name the cases of the conformance list.

use triune_scope::{CancelScope, Run, nursery, task_var};

task_var! {
    static REQUEST: u32 = 0;
    static USER: String = "nobody".to_owned();
}

#[tokio::test]
async fn a_value_is_seen_beneath_its_scope_and_nowhere_else() {
    assert_eq!((REQUEST.get(), USER.get()), (0, "nobody".to_owned()));
    let inside = async {
        assert_eq!(REQUEST.get(), 1);
        tokio::task::yield_now().await;
        let inner = USER.scope("me".to_owned(), async { (REQUEST.get(), USER.with(String::len)) });
        assert_eq!(inner.await, (1, 2));
        assert_eq!(REQUEST.scope(2, CancelScope::new().run(async { REQUEST.get() })).await.done(), Some(2));
        REQUEST.get()
    };
    assert_eq!(REQUEST.scope(1, inside).await, 1);
    assert_eq!(REQUEST.get(), 0);
}

#[test]
fn a_variable_has_its_default_outside_of_every_runtime() {
    assert_eq!(REQUEST.get(), 0);
}

// Trio V02
async fn children_see_what_surrounded_their_spawn() {
    nursery(async |n| {
        let in_task = REQUEST.sync_scope(1, || n.spawn(async { Ok(REQUEST.get()) }));
        let parallel = REQUEST.sync_scope(2, || n.spawn_task(async { Ok(REQUEST.get()) }));
        let plain = n.spawn(async { Ok(REQUEST.get()) });
        assert_eq!((in_task.await?, parallel.await?, plain.await?), (1, 2, 0));
        Ok(())
    })
    .await
    .expect("no child fails");
}

#[tokio::test]
async fn children_see_what_surrounded_their_spawn_on_one_thread() {
    children_see_what_surrounded_their_spawn().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_see_what_surrounded_their_spawn_on_two_threads() {
    children_see_what_surrounded_their_spawn().await;
}

// Trio V02
#[tokio::test]
async fn a_value_around_a_nursery_reaches_its_body_and_their_children() {
    let seen = REQUEST.scope(
        5,
        nursery(async |n| n.spawn_with(async |n| n.spawn(async { Ok(REQUEST.get()) }).await).await),
    );
    assert_eq!(seen.await.unwrap(), 5);
}

// Trio V02
#[tokio::test]
async fn a_child_spawned_from_outside_of_the_value_does_not_see_it() {
    let (sender, handle) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let inside = REQUEST.scope(
        9,
        nursery(async |n| {
            assert!(sender.send(n.clone()).is_ok());
            assert!(stopped.await.is_ok());
            Ok(REQUEST.get())
        }),
    );
    let outside = async {
        let child = handle.await.unwrap().spawn(async { Ok(REQUEST.get()) });
        let seen = child.await.unwrap();
        stop.send(()).unwrap();
        seen
    };
    let (inside, outside) = tokio::join!(inside, outside);
    assert_eq!((inside.unwrap(), outside), (9, 0));
}

// Trio V03
#[tokio::test]
async fn a_system_task_sees_the_initial_value() {
    let (sender, seen) = tokio::sync::oneshot::channel();
    REQUEST
        .scope(3, async {
            Run::current().spawn_system("look", async { sender.send(REQUEST.get()).unwrap() });
        })
        .await;
    assert_eq!(seen.await, Ok(0));
    Run::current().close().await;
}

#[tokio::test]
async fn a_destructor_sees_the_value_of_its_scope() {
    struct Look<'a>(&'a std::cell::Cell<u32>);
    impl Drop for Look<'_> {
        fn drop(&mut self) {
            self.0.set(REQUEST.get());
        }
    }
    let seen = std::cell::Cell::new(0);
    let look = Look(&seen);
    let waiting = REQUEST.scope(4, async move {
        let _look = look;
        std::future::pending::<()>().await;
    });
    let mut waiting = Box::pin(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    assert_eq!(seen.get(), 4);
}
