//! What the signature of `nursery` must accept; what it must refuse is in its documentation, as failing doctests.

use std::pin::Pin;

use triune_scope::{Nursery, Result, nursery};

fn send<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_borrow_shared_and_in_halves() {
    let mut numbers = [1, 2, 3, 4];
    let factor = 10;
    send(nursery(async |n| {
        let (left, right) = numbers.split_at_mut(2);
        let factor = &factor;
        for half in [left, right] {
            n.spawn(async move {
                half.iter_mut().for_each(|number| *number *= factor);
                Ok(())
            });
        }
        Ok(())
    }))
    .await
    .unwrap();
    assert_eq!(numbers, [10, 20, 30, 40]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nursery_is_send_inside_a_spawned_task() {
    let sum = nursery(async |n| {
        n.spawn_task(async {
            let words = [String::from("a"), String::from("bc")];
            nursery(async |n| {
                let children: Vec<_> =
                    words.iter().map(|word| n.spawn(async move { Ok(word.len()) })).collect();
                let mut sum = 0;
                for child in children {
                    sum += child.await?;
                }
                Ok(sum)
            })
            .await
        })
        .await
    })
    .await
    .unwrap();
    assert_eq!(sum, 3);
}

struct Service {
    name: String,
}

trait Fetch {
    fn fetch(&self, times: usize) -> impl Future<Output = Result<usize>> + Send;
}

impl Fetch for Service {
    async fn fetch(&self, times: usize) -> Result<usize> {
        nursery(async |n| {
            let children: Vec<_> = (0..times).map(|_| n.spawn(async { Ok(self.name.len()) })).collect();
            let mut sum = 0;
            for child in children {
                sum += child.await?;
            }
            Ok(sum)
        })
        .await
    }
}

#[tokio::test]
async fn a_method_and_a_trait_method_may_open_nurseries() {
    let service = Service { name: "four".into() };
    assert_eq!(send(service.fetch(3)).await.unwrap(), 12);
}

fn count(depth: u32) -> Pin<Box<dyn Future<Output = Result<u32>> + Send>> {
    Box::pin(nursery(async move |n| {
        if depth == 0 {
            return Ok(1);
        }
        let (left, right) = (n.spawn(count(depth - 1)), n.spawn(count(depth - 1)));
        Ok(1 + left.await? + right.await?)
    }))
}

#[tokio::test]
async fn nurseries_recurse() {
    assert_eq!(count(6).await.unwrap(), 127);
}

#[tokio::test]
async fn a_cloned_handle_recurses_flatly() {
    fn walk<'env>(n: &Nursery<'env>, depth: u32, seen: &'env std::sync::atomic::AtomicU32) {
        n.spawn_with(move |n| async move {
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if depth > 0 {
                walk(&n, depth - 1, seen);
                walk(&n, depth - 1, seen);
            }
            Ok(())
        });
    }
    let seen = std::sync::atomic::AtomicU32::new(0);
    nursery(async |n| {
        walk(&n, 6, &seen);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(seen.into_inner(), 127);
}

#[tokio::test]
async fn a_plain_closure_and_question_marks_on_foreign_errors_need_no_annotation() {
    let parsed = nursery(|n| async move {
        let number = n.spawn(async { Ok("3".parse::<u32>()?) });
        let other = n.spawn(async {
            "x".parse::<u32>()?;
            Ok(())
        });
        let _waited = other.await;
        number.await
    })
    .await;
    assert!(parsed.unwrap_err().is::<std::num::ParseIntError>());
}

#[tokio::test]
async fn the_error_converts_into_those_of_others() {
    async fn boxed() -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        nursery(async |_| Err(triune_scope::Error::msg("no").context("while trying"))).await?;
        Ok(())
    }
    let text = boxed().await.unwrap_err().to_string();
    assert!(text.contains("while trying"), "{text}");
}
