//! What a fresh child is like, and what becomes of a start that nobody waits for.

use std::future::Future;
use std::io::Read;
use std::task::{Context, Waker};

use crate::support::{SOON, environment, leak_checked, start, start_with};
use triune_process::{Spec, StartErrorKind, spawn};
use triune_testing::{processes_of_tree, wait_until};

fn report(link: &mut impl Read) -> Vec<String> {
    let mut text = String::new();
    link.read_to_string(&mut text).expect("the child reports");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_child_knows_who_it_is_and_begins_clean() {
    leak_checked(async {
        let spec = Spec::new("report", "reporter-with-a-long-name").envs([environment("EXTRA", "more")]);
        let (process, mut link) = start_with(spec).await;
        assert_eq!((process.role(), process.name()), ("report", "reporter-with-a-long-name"));
        let facts = report(&mut link);
        let expected = [
            "role report".to_owned(),
            "name reporter-with-a-long-name".to_owned(),
            format!("parent {}", std::process::id()),
            "extra more".to_owned(),
            format!("tree {}", triune_process::tree_cookie()),
            format!("build {:x?}", triune_process::build_id()),
            "stdin /dev/null".to_owned(),
            "comm triune:reporter".to_owned(),
            "first triune:reporter-with-a-long-name".to_owned(),
        ];
        for fact in &expected {
            assert!(facts.contains(fact), "{fact} in {facts:#?}");
        }
        let mask = |name: &str| {
            let line = facts.iter().find(|line| line.starts_with(name)).unwrap();
            u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
        };
        let bit = |signal: i32| 1_u64 << (signal - 1);
        assert_eq!(mask("SigBlk"), 0);
        assert_eq!(mask("SigIgn") & bit(libc::SIGTERM), 0);
        let ignored = bit(libc::SIGINT) | bit(libc::SIGPIPE);
        assert_eq!(mask("SigIgn") & ignored, ignored);
        assert!(process.wait().await.is_success());
    });
}

#[test]
fn the_variables_of_triune_cannot_be_set_from_outside() {
    leak_checked(async {
        let spec = Spec::new("report", "x").env("TRIUNE_CHILD", "1:exit:1:0").env("TRIUNE_NAME", "y");
        let (process, mut link) = start_with(spec).await;
        assert!(report(&mut link).contains(&"name x".to_owned()));
        assert!(process.wait().await.is_success());
    });
}

#[test]
fn the_link_ends_with_the_child() {
    leak_checked(async {
        let (process, mut link) = start("exit", "0").await;
        assert_eq!(link.read(&mut [0]).unwrap(), 0);
        assert!(process.wait().await.is_success());
    });
}

#[test]
fn a_start_that_is_dropped_midway_leaves_no_child() {
    leak_checked(async {
        for _ in 0..20 {
            let mut start = Box::pin(spawn(Spec::new("busy", "dropped")));
            // The first poll sends the work to the pool, where it goes on (and now and then is done already).
            drop(start.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            drop(start);
        }
    });
}

#[test]
fn a_child_that_was_started_for_nobody_is_killed() {
    leak_checked(async {
        // With a guardian at hand, the first poll sends the request, and nothing of ours is polled again.
        let (_first, _link) = start("echo", "first").await;
        let mut start = Box::pin(spawn(Spec::new("busy", "unheard")));
        let early = start.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let runs = || processes_of_tree().iter().any(|process| process.command == "triune:unheard");
        assert!(wait_until(SOON, runs));
        drop((early, start));
    });
}

// Trio P10
#[test]
fn a_name_that_the_system_refuses_is_an_error() {
    leak_checked(async {
        let error = spawn(Spec::new("exit", "no\0name")).await.unwrap_err();
        assert!(matches!(error.kind(), StartErrorKind::Spawn(_)), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    });
}
