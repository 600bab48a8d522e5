//! Group I: instruments. What Trio calls a step is a poll here.
//!
//! I04's instrument without a hook that has no cost: where nobody is interested, a hook is not called; that it costs a load is
//! for the benchmarks.

use std::sync::{Arc, Mutex};

use tracing::span;
use triune_scope::{Instrument, Interest, NotInstalled, Result, Run, TaskId, TaskInfo, checkpoint, nursery};

/// Writes down what it is told of tasks with certain names, and of the run.
#[derive(Default)]
struct Recorder {
    names: &'static [&'static str],
    seen: Mutex<Vec<String>>,
}

impl Recorder {
    fn of(names: &'static [&'static str]) -> Arc<Self> {
        Arc::new(Self { names, ..Self::default() })
    }

    fn task(&self, what: &str, task: &TaskInfo) {
        if self.names.contains(&task.name()) {
            self.note(format!("{what} {}", task.name()));
        }
    }

    fn note(&self, what: String) {
        self.seen.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Instrument for Recorder {
    fn run_started(&self) {
        self.note("run started".to_owned());
    }

    fn run_closed(&self) {
        self.note("run closed".to_owned());
    }

    fn task_spawned(&self, task: &TaskInfo, parent: Option<TaskId>) {
        assert!(parent.is_none() || task.name() != "main", "{task}");
        self.task("spawned", task);
    }

    fn task_scheduled(&self, task: &TaskInfo) {
        self.task("scheduled", task);
    }

    fn before_poll(&self, task: &TaskInfo) {
        self.task("before", task);
    }

    fn after_poll(&self, task: &TaskInfo) {
        self.task("after", task);
    }

    fn task_exited(&self, task: &TaskInfo) {
        self.task("exited", task);
    }
}

/// What a task is to do that yields so many times.
fn life(name: &str, yields: usize) -> Vec<String> {
    let begin = ["spawned", "scheduled"].into_iter();
    let turns = std::iter::repeat_n(["before", "scheduled", "after"], yields).flatten();
    let all = begin.chain(turns).chain(["before", "after", "exited"]);
    all.map(|what| format!("{what} {name}")).collect()
}

async fn yields(times: usize) -> Result {
    for _ in 0..times {
        checkpoint().await?;
    }
    Ok(())
}

// Trio I01, I05
#[tokio::test]
async fn an_instrument_is_told_the_life_of_each_task_in_order() {
    for parallel in [false, true] {
        let run = Run::current();
        let (child, all) = (Recorder::of(&["child"]), Recorder::of(&["main", "child"]));
        run.add_instrument(child.clone());
        run.add_instrument(all.clone());
        let main = run.main(nursery(async |n| {
            if parallel {
                n.daemon_task("child", yields(5)).await
            } else {
                n.spawn_named("child", yields(5)).await
            }
        }));
        main.await.unwrap().unwrap();
        run.close().await;
        let lines = |inside: Vec<String>| -> Vec<String> {
            let around = ["run started", "run closed"].map(str::to_owned);
            let [first, last] = around;
            std::iter::once(first).chain(inside).chain([last]).collect()
        };
        assert_eq!(child.take(), lines(life("child", 5)));
        let all = all.take();
        assert_eq!(all[1..4], ["spawned main", "scheduled main", "before main"]);
        assert_eq!(all[all.len() - 3..], ["after main", "exited main", "run closed"]);
    }
}

// Trio I02
#[tokio::test]
async fn instruments_come_and_go_while_the_run_goes_on() {
    let run = Run::current();
    let (whole, first, second) =
        (Recorder::of(&["child"]), Recorder::of(&["child"]), Recorder::of(&["child"]));
    let as_instrument = |recorder: &Arc<Recorder>| -> Arc<dyn Instrument> { recorder.clone() };
    run.add_instrument(whole.clone());
    // Once, although it is added twice.
    run.add_instrument(as_instrument(&first));
    run.add_instrument(as_instrument(&first));
    let swap = async {
        yields(3).await?;
        run.remove_instrument(&as_instrument(&first)).unwrap();
        run.add_instrument(second.clone());
        yields(3).await
    };
    nursery(async |n| n.spawn_named("child", swap).await).await.unwrap();
    let refused: NotInstalled = run.remove_instrument(&as_instrument(&first)).unwrap_err();
    assert!(refused.to_string().contains("does not have"));
    assert_eq!(run.remove_instrument(&as_instrument(&Recorder::of(&[]))), Err(refused));
    let (mut first, second) = (first.take(), second.take());
    assert!(!first.is_empty() && !second.is_empty());
    first.extend(second);
    assert_eq!((whole.take(), life("child", 6)), (first.clone(), first));
    run.close().await;
}

// Trio I03
#[tokio::test]
async fn two_tasks_take_turns() {
    let run = Run::current();
    let recorder = Recorder::of(&["a", "b"]);
    run.add_instrument(recorder.clone());
    nursery(async |n| {
        n.spawn_named("a", yields(3));
        n.spawn_named("b", yields(3));
        Ok(())
    })
    .await
    .unwrap();
    let seen = recorder.take();
    let polls: Vec<&str> = seen.iter().filter_map(|line| line.strip_prefix("before ")).collect();
    assert_eq!(polls, ["a", "b", "a", "b", "a", "b", "a", "b"]);
    for name in ["a", "b"] {
        let own: Vec<String> =
            seen.iter().filter(|line| line.ends_with(&format!(" {name}"))).cloned().collect();
        assert_eq!(own, life(name, 3));
    }
    run.close().await;
}

// Trio I04
#[tokio::test]
async fn only_what_an_instrument_is_interested_in_is_called() {
    struct Picky(Interest, Recorder);
    impl Instrument for Picky {
        fn interest(&self) -> Interest {
            self.0
        }
        fn task_spawned(&self, task: &TaskInfo, _parent: Option<TaskId>) {
            self.1.note(format!("spawned {}", task.name()));
        }
        fn task_scheduled(&self, task: &TaskInfo) {
            self.1.note(format!("scheduled {}", task.name()));
        }
        fn before_poll(&self, task: &TaskInfo) {
            self.1.note(format!("before {}", task.name()));
        }
    }
    /// Nothing is written: the defaults do nothing.
    struct Null;
    impl Instrument for Null {}

    for (interest, expected) in [
        (Interest::NONE, vec![]),
        (Interest::LIVES, vec!["spawned child"]),
        (Interest::SCHEDULES, vec!["scheduled child", "scheduled child"]),
        (Interest::POLLS, vec!["before child", "before child"]),
        (Interest::LIVES | Interest::POLLS, vec!["spawned child", "before child", "before child"]),
    ] {
        let run = Run::current();
        let picky = Arc::new(Picky(interest, Recorder::default()));
        run.add_instrument(Arc::new(Null));
        run.add_instrument(picky.clone());
        nursery(async |n| n.spawn_named("child", yields(1)).await).await.unwrap();
        assert_eq!(picky.1.take(), expected, "{interest:?}");
        run.close().await;
    }
}

/// Writes down what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

// Trio I06
#[tokio::test]
async fn an_instrument_that_panics_is_removed_and_nobody_else_notices() {
    /// A payload that panics when it is dropped.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("bomb"));
        }
    }
    struct Broken(&'static str, bool);
    impl Broken {
        fn at(&self, hook: &str) {
            if self.0 == hook {
                // Past the panic hook, which would print.
                std::panic::resume_unwind(if self.1 {
                    Box::new(Bomb)
                } else {
                    Box::new(format!("broken at {hook}"))
                });
            }
        }
    }
    impl Instrument for Broken {
        fn run_started(&self) {
            self.at("start");
        }
        fn task_spawned(&self, _: &TaskInfo, _: Option<TaskId>) {
            self.at("spawn");
        }
        fn task_scheduled(&self, _: &TaskInfo) {
            self.at("schedule");
        }
        fn before_poll(&self, _: &TaskInfo) {
            self.at("before");
        }
        fn after_poll(&self, _: &TaskInfo) {
            self.at("after");
        }
        fn task_exited(&self, _: &TaskInfo) {
            self.at("exit");
        }
        fn run_closed(&self) {
            self.at("end");
        }
    }
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let hooks = ["start", "spawn", "schedule", "before", "after", "exit", "end"];
    for (hook, bomb) in hooks.into_iter().flat_map(|hook| [(hook, false), (hook, true)]) {
        let run = Run::current();
        let broken: Arc<dyn Instrument> = Arc::new(Broken(hook, bomb));
        let recorder = Recorder::of(&["child"]);
        run.add_instrument(broken.clone());
        run.add_instrument(recorder.clone());
        log.0.lock().unwrap().clear();
        let main = run.main(nursery(async |n| n.spawn_named("child", yields(2)).await));
        main.await.unwrap().unwrap();
        run.close().await;
        assert!(run.remove_instrument(&broken).is_err(), "{hook}: it was removed");
        assert_eq!(recorder.take()[1..=life("child", 2).len()], life("child", 2), "{hook}");
        let log = log.0.lock().unwrap();
        let told: Vec<&String> = log.iter().filter(|line| line.contains("an instrument panicked")).collect();
        let text = if bomb { "not text".to_owned() } else { format!("broken at {hook}") };
        assert!(told.len() == 1 && told[0].contains(&text), "{log:?}");
    }
}
