//! The error type among others: boxed errors, `anyhow`, `eyre`; which errors are cancels.

use std::error::Error as StdError;
use std::io;

use triune_scope::{Cancelled, Context as _, Error, FutureExt as _, Result, checkpoint, nursery};
#[cfg(any(feature = "anyhow", feature = "eyre"))]
use triune_scope::{ErrorGroup, nursery_with};

type Boxed = Box<dyn StdError + Send + Sync>;

async fn block() -> Result {
    std::future::pending::<()>().cancellable().await?;
    Ok(())
}

async fn failing() -> Result<u32> {
    nursery(async |n| n.spawn_named("parse", async { Ok("x".parse::<u32>()?) }).await).await
}

#[tokio::test]
async fn a_question_mark_takes_a_group_into_a_boxed_error_and_back() {
    async fn boxed() -> Result<u32, Boxed> {
        Ok(failing().await.context("reading the port")?)
    }
    let error = Error::from_boxed(boxed().await.unwrap_err());
    assert_eq!(error.to_string(), "reading the port");
    assert!(error.group().is_some() && error.is::<std::num::ParseIntError>());
    let text = Boxed::from(error.context("starting")).to_string();
    assert_eq!(text, "starting: reading the port", "no context is lost");
}

#[tokio::test]
async fn code_that_wants_a_std_error_by_reference_gets_the_wrapped_one() {
    fn depth(error: &(dyn StdError + 'static)) -> usize {
        1 + error.source().map_or(0, depth)
    }
    let error = failing().await.unwrap_err();
    assert_eq!(depth(&*error), 2);
}

#[cfg(feature = "anyhow")]
#[tokio::test]
async fn a_question_mark_takes_an_error_into_anyhow() {
    async fn app() -> anyhow::Result<u32> {
        Ok(failing().await.context("reading the port")?)
    }
    let error = app().await.unwrap_err();
    assert_eq!(error.to_string(), "reading the port");
    let group = error.downcast_ref::<ErrorGroup>().expect("the group keeps its type");
    assert_eq!(group.primary().task().name(), "parse");
    assert!(error.chain().any(|cause| cause.is::<std::num::ParseIntError>()));

    async fn leaf() -> anyhow::Result<()> {
        Err(Error::from(io::Error::other("disk")))?;
        Ok(())
    }
    assert!(leaf().await.unwrap_err().is::<io::Error>(), "any error keeps its type");
}

#[cfg(feature = "anyhow")]
#[tokio::test]
async fn an_anyhow_error_is_kept_as_it_is() {
    let app = anyhow::Error::new(io::Error::other("disk")).context("saving");
    let error = Error::from_anyhow(app).context("closing");
    assert_eq!(format!("{error:#}"), "closing: saving: disk");
    assert!(error.is::<io::Error>());
    let app = anyhow::Error::from(error);
    assert_eq!(format!("{app:#}"), "closing: saving: disk");
    assert!(app.is::<io::Error>());
}

#[cfg(feature = "anyhow")]
#[tokio::test]
async fn a_nursery_over_anyhow_knows_its_cancels_and_its_leaves() {
    let error = nursery_with::<anyhow::Error, _, _, _>(async |n| {
        n.spawn(async {
            let cut = std::future::pending::<()>().cancellable().await;
            cut.map_err(|cut| anyhow::Error::new(cut).context("waiting"))
        });
        n.spawn(async { "x".parse::<u32>().map_err(|e| anyhow::Error::new(e).context("reading the port")) });
        std::future::pending::<()>().cancellable().await?;
        Ok(())
    })
    .await
    .unwrap_err();
    let group = error.downcast_ref::<ErrorGroup>().unwrap();
    assert_eq!(group.len(), 1);
    assert_eq!(group.downcast_all::<std::num::ParseIntError>().len(), 1);
    assert_eq!(format!("{:#}", group.primary().error()), "reading the port: invalid digit found in string");
}

#[cfg(feature = "eyre")]
#[tokio::test]
async fn a_question_mark_takes_an_error_into_eyre_and_back() {
    async fn app() -> eyre::Result<u32> {
        Ok(failing().await.context("reading the port")?)
    }
    let report = app().await.unwrap_err();
    assert_eq!(report.to_string(), "reading the port");
    assert!(report.downcast_ref::<ErrorGroup>().is_some());
    let error = Error::from_eyre(report);
    assert!(error.is::<ErrorGroup>() && error.is::<std::num::ParseIntError>());
    let again = eyre::Report::from(error.context("starting"));
    assert!(again.downcast_ref::<ErrorGroup>().is_some());
    let opaque = eyre::Report::from(Error::from_boxed("text".into()));
    assert_eq!(opaque.to_string(), "text");
}

#[cfg(feature = "eyre")]
#[tokio::test]
async fn a_nursery_over_eyre_knows_its_cancels_and_its_leaves() {
    let report = nursery_with::<eyre::Report, _, _, _>(async |n| {
        n.spawn(async { Ok(std::future::pending::<()>().cancellable().await?) });
        n.spawn(async { Ok("x".parse::<u32>()?) });
        std::future::pending::<()>().cancellable().await?;
        Ok(())
    })
    .await
    .unwrap_err();
    let group = report.downcast_ref::<ErrorGroup>().unwrap();
    assert_eq!((group.len(), group.downcast_all::<std::num::ParseIntError>().len()), (1, 1));
}

#[tokio::test]
async fn a_cancel_is_known_through_wrapping_and_only_in_a_cancelled_scope() {
    let wrapped = async || {
        let cancelled = block().await.unwrap_err();
        let cancelled = cancelled.downcast::<Cancelled>().unwrap();
        Err::<(), _>(Error::from(io::Error::other(io::Error::other(cancelled))).context("reading"))
    };
    let kept = nursery(async |n| {
        n.cancel("enough");
        n.spawn(wrapped());
        wrapped().await
    });
    assert!(kept.or_cancelled().await.unwrap().is_none());

    // Somebody else's cancel, in a scope that nobody cancelled, is an error like others.
    let foreign = {
        let scope = triune_scope::CancelScope::new();
        scope.cancel("elsewhere");
        scope.run(checkpoint()).await.done().unwrap().unwrap_err()
    };
    let error = nursery(async |_| Err::<(), _>(foreign.into())).await.unwrap_err();
    assert_eq!(error.group().unwrap().len(), 1);
    assert!(error.is_cancelled());
}

#[tokio::test]
async fn a_translated_cancel_is_kept_and_marked_secondary() {
    let error = nursery(async |n| {
        n.spawn(async { block().await.map_err(|_| Error::msg("connection closed")) });
        n.spawn(async { Err::<(), _>(Error::msg("disk full")) });
        block().await
    })
    .await
    .unwrap_err();
    let members: Vec<_> = error
        .group()
        .unwrap()
        .iter()
        .map(|member| (member.error().to_string(), member.is_secondary()))
        .collect();
    assert_eq!(members, [("disk full".to_owned(), false), ("connection closed".to_owned(), true)]);
}

// Trio C14
#[tokio::test]
async fn cancels_inside_of_groups_are_taken_out_and_levels_kept() {
    let foreign = async || {
        let scope = triune_scope::CancelScope::new();
        scope.cancel("elsewhere");
        Error::from(scope.run(checkpoint()).await.done().unwrap().unwrap_err())
    };
    let inner = async |also: Option<&'static str>| {
        nursery(async |n| {
            n.spawn(async { Err::<(), _>(foreign().await) });
            if let Some(also) = also {
                n.spawn(async move { Err::<(), _>(Error::msg(also)) });
            }
            Ok(())
        })
        .supervise()
        .await
    };
    let error = nursery(async |n| {
        n.cancel("now");
        n.spawn(inner(Some("real")));
        n.spawn(inner(None));
        Ok(())
    })
    .await
    .unwrap_err();
    let outer = error.group().unwrap();
    assert_eq!(outer.len(), 1, "a group of cancels only is a cancel");
    let level = outer.primary().error().group().expect("the level is kept");
    assert_eq!(level.iter().map(|m| m.error().to_string()).collect::<Vec<_>>(), ["real"]);
    assert!(!error.is_cancelled());
}
