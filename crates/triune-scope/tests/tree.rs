//! The tree of tasks as data.

use triune_scope::{
    Activity, Awaited, CancelScope, FutureExt as _, Result, Run, Started, TaskState, TaskWait, Tree,
    blocking, checkpoint, move_on_after, nursery, shield, shield_unbounded, sleep, sync, tree,
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
async fn a_nursery_that_has_ended_is_shown_no_more_though_a_handle_is_kept() {
    nursery(async |n| {
        let keeper = n.spawn_named("keeper", async {
            let mut kept = None;
            nursery(async |n| {
                kept = Some(n);
                Ok(())
            })
            .named("over")
            .await?;
            parked().await?;
            drop(kept);
            Ok(())
        });
        tokio::task::yield_now().await;
        assert_eq!(find(&tree(), "keeper").nurseries.len(), 0);
        keeper.cancel("seen");
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

#[tokio::test(start_paused = true)]
async fn a_parked_task_shows_what_it_waits_for_and_where() {
    let (event, limiter, mutex) = (sync::Event::new(), sync::CapacityLimiter::new(0), sync::Mutex::new(()));
    let (sender, _receiver) = sync::channel::<u8>(0);
    let held = mutex.lock().await.unwrap();
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    nursery(async |n| {
        let line = line!();
        n.spawn_named("event", async { Ok(event.wait().await?) });
        n.spawn_named("limiter", async { Ok(limiter.acquire().await.map(drop)?) });
        n.spawn_named("mutex", async { Ok(mutex.lock().await.map(drop)?) });
        n.spawn_named("sender", async {
            Ok(sender.send(1).await.map_err(triune_scope::sync::SendError::without_value)?)
        });
        n.spawn_named("sleeper", async { Ok(triune_scope::sleep_until(until).await?) });
        n.spawn_named("foreign", parked());
        n.spawn_named("both", async {
            let (one, two) = tokio::join!(event.wait(), event.wait());
            Ok(one.and(two)?)
        });
        n.spawn_named(
            "parent",
            nursery(async |n| {
                n.spawn_named("inner", parked());
                Ok(())
            }),
        );
        triune_testing::settle().await?;
        let tree = tree();
        let waits = |name: &str| find(&tree, name).waits_for.clone();
        let mut before = line;
        for (name, what) in [
            ("event", "Event::wait"),
            ("limiter", "CapacityLimiter::acquire"),
            ("mutex", "Mutex::lock"),
            ("sender", "Sender::send"),
        ] {
            let [wait] = waits(name)[..] else { panic!("{name}: {:?}", waits(name)) };
            assert_eq!(wait.what(), Awaited::Primitive(what));
            let place = wait.location().unwrap();
            assert!(place.file().ends_with("tree.rs"), "{place}");
            assert!(place.line() > before && place.line() <= before + 2, "the next one: {place}");
            before = place.line();
        }
        let whats = |name| waits(name).iter().map(TaskWait::what).collect::<Vec<_>>();
        assert_eq!(whats("sleeper"), [Awaited::Time(until)]);
        assert_eq!(whats("foreign"), [Awaited::Foreign]);
        assert_eq!(whats("both"), [Awaited::Primitive("Event::wait"); 2]);
        assert_eq!(whats("parent"), [Awaited::Children]);
        let shown = tree.to_string();
        assert!(shown.contains("waits for Event::wait at "), "{shown}");
        assert!(shown.contains("waits for sleep, 60.0s left"), "{shown}");
        n.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
    drop(held);
}

#[tokio::test]
async fn a_task_that_waits_for_another_names_it() {
    nursery(async |n| {
        let other = n.spawn_named("other", parked());
        let id = other.id();
        n.spawn_named("waiter", other);
        checkpoint().await?;
        checkpoint().await?;
        assert_eq!(find(&tree(), "waiter").waits_for[0].what(), Awaited::Child(id));
        n.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_wait_that_is_over_is_shown_no_more() {
    let (first, second) = (sync::Event::new(), sync::Event::new());
    nursery(async |n| {
        n.spawn_named("task", async {
            first.wait().await?;
            second.wait().await?;
            parked().await
        });
        for expected in [Awaited::Primitive("Event::wait"); 2].into_iter().chain([Awaited::Foreign]) {
            triune_testing::settle().await?;
            let tree = tree();
            let waits = &find(&tree, "task").waits_for;
            assert!(waits.len() == 1 && waits[0].what() == expected, "{tree}");
            if first.is_set() { second.set() } else { first.set() }
        }
        n.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_wait_for_the_first_and_a_wait_for_a_start_are_named() {
    nursery(async |n| {
        n.spawn_named("racer", triune_scope::race((parked(), parked())));
        n.spawn_named(
            "starter",
            nursery(async |n| n.start(async |_started: Started<()>| parked().await).await),
        );
        n.spawn_named(
            "gatherer",
            triune_scope::as_completed([parked()], async |mut completed| {
                completed.next().await?;
                Ok(())
            }),
        );
        triune_testing::settle().await?;
        let tree = tree();
        for (name, expected) in
            [("racer", "the next to complete"), ("starter", "start"), ("gatherer", "the next to complete")]
        {
            let waits = &find(&tree, name).waits_for;
            assert!(waits.len() == 1 && waits[0].what() == Awaited::Primitive(expected), "{tree}");
        }
        n.cancel("seen");
        Ok(())
    })
    .await
    .unwrap();
}

/// Also where neither `main` nor anything else of triune is around it.
#[tokio::test]
async fn tasks_in_a_scope_outside_of_every_task_are_shown_and_reached() {
    let (outer, inner, looked) = (CancelScope::new(), CancelScope::new(), sync::Event::new());
    let open = nursery(async |n| {
        n.spawn_named("beneath", parked());
        n.spawn_task(parked());
        triune_testing::settle().await?;
        let tree = tree();
        assert_eq!(find(&tree, "beneath").parent, None);
        assert_eq!(tree.tasks().len(), 2, "{tree}");
        looked.set();
        Ok(())
    });
    let other = nursery(async |n| {
        // Each settles by an observer of its own, and either may be told first.
        looked.wait().await?;
        triune_testing::settle().await?;
        assert_eq!(tree().tasks().len(), 2, "the scope is there once");
        n.spawn_named("second", parked());
        triune_testing::settle().await?;
        assert_eq!(tree().tasks().len(), 3);
        Run::current().cancel("everybody");
        Ok(())
    });
    let end = outer.run(inner.run(async { tokio::join!(open, other) })).await;
    let (first, second) = end.done().unwrap().done().unwrap();
    assert!(first.is_ok() && second.is_ok(), "a cancel is no error");
    assert!(outer.is_cancelled() && inner.is_cancelled());
    assert_eq!(tree().tasks().len(), 0);
}

/// What waits on, though it has seen the cancel.
#[tokio::test]
async fn a_wait_for_the_end_of_what_was_cancelled_is_named() {
    let cleaned = sync::Event::new();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (runs, running) = tokio::sync::oneshot::channel();
    nursery(async |n| {
        let starts = n.start(async |_started: Started<()>| {
            let end = parked().await;
            shield(std::time::Duration::from_secs(20), cleaned.wait()).await??;
            end
        });
        let starter = n.spawn_named("starter", starts);
        let caller = n.spawn_named(
            "caller",
            blocking::run(move |_| {
                let _nobody_asks = runs.send(());
                let _gone = ended.recv();
                Ok(())
            }),
        );
        running.await?;
        triune_testing::settle().await?;
        starter.cancel("now");
        caller.cancel("now");
        triune_testing::settle().await?;
        let tree = tree();
        for (name, expected) in [("starter", "start"), ("caller", "thread job")] {
            let waits = &find(&tree, name).waits_for;
            assert!(waits.len() == 1 && waits[0].what() == Awaited::Primitive(expected), "{tree}");
        }
        cleaned.set();
        drop(end);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_clean_up_shows_only_what_it_waits_for_itself() {
    let cleaned = sync::Event::new();
    nursery(async |n| {
        n.spawn_named("cleaner", async {
            let clean = async { cleaned.wait().await.unwrap() };
            Ok(async {}.finally(clean).await?)
        });
        triune_testing::settle().await?;
        let tree = tree();
        let waits = &find(&tree, "cleaner").waits_for;
        assert!(waits.len() == 1 && waits[0].what() == Awaited::Primitive("Event::wait"), "{tree}");
        cleaned.set();
        Ok(())
    })
    .await
    .unwrap();
}
