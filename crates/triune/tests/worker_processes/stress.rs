//! Many kills, by cancels and by somebody else. Bounded here; in full, and with its figures, by `cargo xtask workers 10000`,
//! which sets the two variables.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use triune::prelude::*;
use triune::worker::{self};
use triune::{CancelScope, Outcome};
use triune_testing::{ProcessInfo, processes_of_tree};

use super::support::{Gate, SOON, guarded, spin, workers};

fn amount(variable: &str, bounded: u32) -> u32 {
    std::env::var(variable).map_or(bounded, |text| text.parse().expect("a number"))
}

/// Figures, for whoever runs the full form.
fn say(figures: std::fmt::Arguments<'_>) {
    writeln!(std::io::stdout(), "{figures}").expect("somebody listens");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("this is Linux").count()
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

// trio-parallel 94
#[test]
fn cycles_of_kill_on_cancel_leave_no_process_no_descriptor_and_no_memory() {
    guarded("kill cycles", async || {
        let gate = Gate::new()?;
        let mut before = None;
        for round in 0..amount("TRIUNE_KILLS", 60) {
            let scope = CancelScope::new();
            let arrival = nursery(async |n| {
                let call = n.spawn(async { Ok(scope.run(worker::run(spin::with(gate.path()))).await) });
                let arrival = gate.arrival().await?;
                scope.cancel("enough");
                assert!(!matches!(call.await?, Outcome::Done(Ok(()))));
                Ok(arrival)
            })
            .await?;
            assert!(arrival.is_gone(), "dead and reaped when the caller goes on");
            drop(arrival);
            let pool = worker::statistics();
            assert_eq!((pool.starting, pool.busy, pool.idle, pool.dying), (0, 0, 0, 0));
            // The first rounds start what stays: the guardian, the threads of the runtime.
            if round == 20 {
                before = Some((descriptors(), resident()));
            }
        }
        let (descriptors_before, resident_before) = before.expect("there are more rounds than that");
        // The supervisor of the last worker lets go of its descriptors right behind the news.
        let released = async {
            while descriptors() > descriptors_before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, released).await?;
        assert!(resident() < resident_before + (4 << 20), "{} after {resident_before}", resident());
        say(format_args!(
            "{} kills by cancel: {} descriptors after {descriptors_before}, {} bytes resident after {resident_before}",
            amount("TRIUNE_KILLS", 60),
            descriptors(),
            resident()
        ));
        Ok(())
    });
}

/// Notes its number in the file, and gives it back.
#[triune::job]
fn note(path: String, number: u32) -> u32 {
    let file = OpenOptions::new().append(true).open(path);
    // One write of four bytes at the end of a file is not torn apart.
    file.and_then(|mut file| file.write_all(&number.to_le_bytes()))
        .expect("the file is there for the whole test");
    // Some take a little longer, so that they can be met at work.
    let end = Instant::now() + Duration::from_micros(u64::from(number % 16) * 20);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    number
}

/// Some number, the same in each run of the test.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Kills workers, one after a few jobs, until all are done; says how many. On a thread of its own, so that it finds them
/// idle and busy, starting and leaving.
fn kill_at_random(done: &AtomicU32, stop: impl Fn() -> bool) -> u32 {
    let (mut kills, mut seed) = (0, 0x5eed);
    let mut next_kill = 0;
    loop {
        match done.load(Ordering::Relaxed) {
            u32::MAX => return kills,
            _ if stop() => return kills,
            now if now < next_kill => std::thread::yield_now(),
            now => {
                kills += u32::from(kill_one(&mut seed));
                next_kill = now + u32::try_from(next(&mut seed) % 50).unwrap_or(0);
            }
        }
    }
}

/// Kills some worker of this test, busy or idle. False if there was none.
fn kill_one(seed: &mut u64) -> bool {
    let workers: Vec<ProcessInfo> =
        processes_of_tree().into_iter().filter(|process| process.command.contains("worker-")).collect();
    if workers.is_empty() {
        return false;
    }
    let victim = &workers[usize::try_from(next(seed)).unwrap_or(0) % workers.len()];
    let pid =
        i32::try_from(victim.pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process number");
    // It may be gone by now; its number is not used again so soon.
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
}

#[test]
fn whoever_kills_workers_at_random_every_job_ends_once_and_none_runs_twice() {
    guarded("random kills", async || {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes");
        File::create(&path)?;
        let text = path.to_str().expect("the path of a temporary folder is text").to_owned();
        let jobs = amount("TRIUNE_JOBS", 1000);
        let (mut good, mut lost) = (BTreeSet::new(), 0);
        let done = Arc::new(AtomicU32::new(0));
        let kills = nursery(async |n| {
            let counted = Arc::clone(&done);
            let killer = n.spawn_blocking(move |stop| Ok(kill_at_random(&counted, || stop.is_cancelled())));
            worker::scope(workers(), async |pool| {
                let numbers = (0..jobs).map(|number| note::with(text.clone(), number));
                let mut results = pool.map(numbers).unordered();
                while let Some(result) = results.next().await {
                    match result {
                        Ok(number) => assert!(good.insert(number), "{number} has two results"),
                        Err(error) => {
                            assert!(error.is_worker_death() || error.is_start(), "{error:?}");
                            lost += 1;
                        }
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
            .await?;
            done.store(u32::MAX, Ordering::Relaxed);
            killer.await
        })
        .await?;
        assert_eq!(good.len() + lost, jobs as usize, "every job has ended");
        let notes = std::fs::read(&path)?;
        let mut ran = BTreeSet::new();
        for note in notes.chunks_exact(4) {
            let number = u32::from_le_bytes(note.try_into().expect("four bytes"));
            assert!(ran.insert(number), "{number} ran twice");
        }
        assert!(good.is_subset(&ran));
        assert!(kills > 0);
        assert!(good.len() > jobs as usize / 2, "{lost} of {jobs} were lost");
        say(format_args!(
            "{jobs} jobs: {} with a result, {lost} lost with their worker, {kills} kills",
            good.len()
        ));
        Ok(())
    });
}
