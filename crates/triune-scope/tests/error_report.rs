//! What a printed failure looks like: who failed, where it was spawned, when, why, and what came after.

use std::future::pending;
use std::time::Duration;

use triune_scope::{
    CancelScope, Context as _, Error, FutureExt as _, PanicPolicy, Result, fail_after, nursery, sleep,
};

async fn block() -> Result {
    pending::<()>().cancellable().await?;
    Ok(())
}

/// Numbers of tasks, lines and times differ from run to run.
fn scrub(report: &str) -> String {
    const FILE: &str = "error_report.rs:";
    let mut out = String::new();
    for line in report.lines() {
        let line = match line.split_once(" after ") {
            Some((task, rest)) => {
                let mark = if rest.ends_with("(secondary)") { " (secondary)" } else { "" };
                format!("{} after <time>{mark}", task.split_once('#').map_or(task, |(name, _)| name))
            }
            None => line.to_owned(),
        };
        let line = match line.rsplit_once(FILE) {
            Some((before, _)) => format!("{}<place>", before.trim_end_matches(|c| c != ' ')),
            None => line,
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[track_caller]
fn assert_report(error: &Error, expected: &str) {
    let report = scrub(&format!("{error:?}"));
    assert_eq!(report, expected, "\n{report}");
}

async fn crawl() -> Result {
    let pages = nursery(async |n| {
        n.spawn_named("fetch a", async { block().await.context("fetching a") });
        n.spawn_named("fetch b", async {
            let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
            Err::<(), _>(Error::new(refused)).context("fetching b")
        });
        Ok(())
    });
    pages.named("pages").await.context("crawling the site")
}

#[tokio::test]
async fn the_report_of_a_group_is_a_tree_of_tasks() {
    let error = nursery(async |n| {
        n.spawn_named("store", async {
            let _cut = block().await;
            Err::<(), _>(
                Error::new(std::io::Error::other("disk full")).context("flushing").context("stopping"),
            )
        });
        n.spawn_named("crawl", crawl());
        n.spawn_named("report", block());
        block().await
    });
    let error = error.named("job").await.unwrap_err();
    // The siblings that were only cancelled are no news.
    assert_report(
        &error,
        "\
2 tasks failed in the nursery `job` at <place>
├─ crawl after <time>
│  spawned at <place>
│  crawling the site
│    caused by: 1 task failed in the nursery `pages` at <place>
│      └─ fetch b after <time>
│         fetching b
│           caused by: connection refused
│         spawned at <place>
└─ store after <time> (secondary)
   stopping
     caused by: flushing
     caused by: disk full
   spawned at <place>
",
    );
    let line = format!("{error}");
    assert!(line.starts_with("task `crawl#") && line.ends_with("connection refused (and 1 more)"), "{line}");
    assert!(!line.contains('\n'));
}

#[tokio::test(start_paused = true)]
async fn panics_timeouts_and_long_texts_say_where_and_stay_together() {
    let error = nursery(async |n| {
        n.spawn_named("panics", async {
            std::panic::resume_unwind(Box::new("index out of bounds:\nthe len is 3"));
            #[expect(unreachable_code, reason = "it says what the type of the child is")]
            Ok(())
        });
        n.spawn_named("late", async {
            Ok(fail_after(Duration::from_secs(5), sleep(Duration::from_secs(60))).await??)
        });
        Ok(())
    });
    let error = error.supervise().on_panic(PanicPolicy::AsError).await.context("starting up").unwrap_err();
    assert_report(
        &error,
        "\
starting up
  caused by: 2 tasks failed in the nursery at <place>
    ├─ panics after <time>
    │  panicked: index out of bounds:
    │  the len is 3
    │  spawned at <place>
    └─ late after <time>
       did not end within 5s, set at <place>
       spawned at <place>
",
    );
    let line = format!("{error:#}");
    assert!(line.ends_with("failed: panicked: index out of bounds: … (and 1 more)"), "{line}");
    assert_eq!(format!("{error}"), "starting up");
}

#[tokio::test]
async fn of_a_great_many_failures_the_first_are_shown_and_the_rest_counted() {
    let error = nursery(async |n| {
        for _ in 0..50 {
            n.spawn_named("child", async { Err::<(), _>(Error::msg("no")) });
        }
        Ok(())
    });
    let report = scrub(&format!("{:?}", error.await.unwrap_err()));
    assert!(report.starts_with("50 tasks failed in the nursery at <place>\n├─ child after <time>\n│  no\n"));
    assert!(report.ends_with("├─ child after <time> (secondary)\n│  no\n│  spawned at <place>\n└─ and 30 more, 30 of them secondary\n"));
    assert_eq!(report.lines().count(), 1 + 20 * 3 + 1);
}

#[tokio::test]
async fn a_cancel_says_who_did_it_and_where() {
    let scope = CancelScope::new();
    scope.cancel("the user pressed stop");
    let error = scope.run(nursery(async |_n| block().await)).await.done().unwrap().unwrap_err();
    assert_report(&error, "cancelled: the user pressed stop, at <place>\n");
    assert_eq!(format!("{error}"), "cancelled: the user pressed stop");
}
