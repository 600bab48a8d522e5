//! Tree variables: who sees which value. Ids name the cases of the conformance list of workers, where they are observed
//! through a pool.

use triune_scope::{CancelScope, TreeVar, nursery, shield_unbounded, sleep_forever};

static PLACE: TreeVar<u32> = TreeVar::new();

// trio-parallel 75, 80
#[tokio::test]
async fn the_innermost_region_counts_and_the_one_around_it_is_back_afterwards() {
    assert_eq!(PLACE.get(), None);
    let outer = PLACE.scope(1, async {
        let inner = PLACE.scope(2, shield_unbounded(async { PLACE.get() })).await;
        (inner.unwrap(), PLACE.get())
    });
    assert_eq!(outer.await.unwrap(), (Some(2), Some(1)));
    assert_eq!(PLACE.get(), None);
}

// trio-parallel 77, 79
async fn what_counts_is_where_the_nursery_was_opened() {
    nursery(async |outside| {
        let region = PLACE.scope(7, async {
            nursery(async |inside| {
                let away = outside.spawn(async { Ok(PLACE.get()) }).await?;
                let away_parallel = outside.spawn_task(async { Ok(PLACE.get()) }).await?;
                let handle = inside.clone();
                let into =
                    outside.spawn(async move { handle.spawn_task(async { Ok(PLACE.get()) }).await }).await?;
                Ok((away, away_parallel, into, inside.spawn(async { Ok(PLACE.get()) }).await?))
            })
            .await
        });
        assert_eq!(region.await??, (None, None, Some(7), Some(7)));
        Ok(())
    })
    .await
    .expect("no child fails");
}

#[tokio::test]
async fn what_counts_is_where_the_nursery_was_opened_on_one_thread() {
    what_counts_is_where_the_nursery_was_opened().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_is_where_the_nursery_was_opened_on_two_threads() {
    what_counts_is_where_the_nursery_was_opened().await;
}

// trio-parallel 78
#[tokio::test]
async fn a_child_that_is_started_elsewhere_does_not_see_it_before_nor_after_it_is_ready() {
    nursery(async |outside| {
        PLACE
            .scope(7, async {
                let (ready, go) = tokio::sync::oneshot::channel();
                let before = outside
                    .start(async |started| {
                        started.started(PLACE.get())?;
                        go.await?;
                        assert_eq!(PLACE.get(), None);
                        Ok(())
                    })
                    .await?;
                assert_eq!(before, None);
                ready.send(()).expect("the child waits for it");
                Ok(())
            })
            .await?
    })
    .await
    .expect("no child fails");
}

#[tokio::test]
async fn a_cancel_from_around_reaches_the_region() {
    let scope = CancelScope::new();
    scope.cancel("enough");
    let outcome = scope.run(PLACE.scope(1, async { sleep_forever().await.is_err() })).await;
    assert_eq!(outcome.done().and_then(Result::ok), Some(true));
    let cut_off = CancelScope::new();
    cut_off.cancel("enough");
    let outcome = cut_off.run(PLACE.scope(1, std::future::pending::<()>())).await;
    assert!(outcome.done().is_none_or(|end| end.is_err()));
    assert_eq!(PLACE.get(), None);
}
