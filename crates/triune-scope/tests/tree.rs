//! The tree of tasks as data.

use triune_scope::{
    Activity, CancelScope, FutureExt as _, Result, Run, TaskState, Tree, move_on_after, nursery,
    shield_unbounded, sleep, tree,
};

fn find<'a>(tree: &'a Tree, name: &str) -> &'a TaskState {
    tree.tasks()
        .iter()
        .find(|task| task.info.name() == name)
        .unwrap_or_else(|| panic!("no task `{name}` in\n{tree}"))
}

async fn parked() -> Result {
    std::future::pending::<()>().cancellable().await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_task_shows_the_deadline_that_will_cancel_it() {
    let limit = std::time::Duration::from_secs(5);
    let ended = move_on_after(
        limit,
        nursery(async |n| {
            n.spawn_named("limited", parked());
            n.spawn(shield_unbounded(nursery(async |n| {
                n.spawn_named("shielded", async { Ok(sleep(2 * limit).await?) });
                Ok(())
            })));
            tokio::task::yield_now().await;
            let tree = tree();
            let deadline = Some(tokio::time::Instant::now() + limit);
            assert_eq!(find(&tree, "limited").deadline, deadline);
            assert_eq!(find(&tree, "shielded").deadline, None);
            parked().await
        }),
    );
    assert!(Run::current().main(ended).await.is_some_and(|ended| ended.is_none()));
}

#[tokio::test]
async fn every_living_task_is_in_the_tree_beneath_the_task_of_its_nursery() {
    let run = Run::current();
    let inside = run.main(async {
        nursery(async |n| {
            n.spawn_named(
                "outer",
                nursery(async |n| {
                    n.spawn_named("inner", parked());
                    parked().await
                }),
            );
            let done = n.spawn_named("done", async { Ok(()) });
            done.await?;
            n.spawn_named("new", parked());
            let tree = tree();
            let (main, outer, inner) = (find(&tree, "main"), find(&tree, "outer"), find(&tree, "inner"));
            assert_eq!(main.parent, None);
            assert_eq!(outer.parent, Some(main.info.id()));
            assert_eq!(inner.parent, Some(outer.info.id()));
            assert!(matches!(main.activity, Activity::Running(_)), "{tree}");
            assert_eq!((outer.activity, inner.activity), (Activity::Idle, Activity::Idle), "{tree}");
            assert_eq!(find(&tree, "new").activity, Activity::New, "{tree}");
            assert_eq!(inner.polls, 1);
            assert!(inner.info.location().file().ends_with("tree.rs"));
            assert!(
                !tree.tasks().iter().any(|task| task.info.name() == "done"),
                "what has ended is gone: {tree}"
            );
            assert_eq!(tree.children_of(Some(main.info.id())).count(), 2);
            n.cancel("seen");
            Ok(())
        })
        .await
    });
    inside.await.unwrap().unwrap();
    assert!(tree().tasks().is_empty(), "{}", tree());
}

#[tokio::test]
async fn a_nursery_outside_of_a_main_task_is_in_the_tree_and_is_cancelled_with_the_run() {
    let run = Run::current();
    nursery(async |n| {
        let child = n.spawn_task(parked());
        tokio::task::yield_now().await;
        assert_eq!(find(&tree(), "tree::parked").parent, None);
        run.cancel("all of it");
        let end = child.await.unwrap_err();
        assert_eq!(end.as_cancelled().unwrap().reason().message(), "all of it");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_cancel_and_a_shield_are_shown() {
    nursery(async |n| {
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let scope = CancelScope::new();
        let child =
            n.spawn_named("cleaning", scope.run(shield_unbounded(async { Ok(released.await?) })).then_done());
        tokio::task::yield_now().await;
        child.cancel("enough");
        tokio::task::yield_now().await;
        let tree = tree();
        let cleaning = find(&tree, "cleaning");
        assert_eq!(cleaning.cancelled.as_ref().unwrap().message(), "enough");
        assert!(cleaning.held && tree.to_string().contains("cancelling: cancelled: enough  held"), "{tree}");
        release.send(()).unwrap();
        Ok(())
    })
    .await
    .unwrap();
}

/// The value of a scope's outcome as a child's result.
trait ThenDone {
    async fn then_done(self) -> Result;
}

impl<F: Future<Output = triune_scope::Outcome<Result>>> ThenDone for F {
    async fn then_done(self) -> Result {
        self.await.done().unwrap_or(Ok(()))
    }
}

#[tokio::test]
async fn polls_and_busy_time_are_counted() {
    nursery(async |n| {
        n.spawn_named("busy", async {
            for _ in 0..3 {
                let start = std::time::Instant::now();
                while start.elapsed().as_millis() < 2 {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
            parked().await
        });
        while find(&tree(), "busy").polls < 4 {
            tokio::task::yield_now().await;
        }
        let tree = tree();
        let busy = find(&tree, "busy");
        assert!(busy.busy.as_millis() >= 5 && busy.longest_poll.as_micros() >= 1900, "{tree}");
        n.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
}
