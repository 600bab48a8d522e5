//! Limits of a pool: a job that goes beyond one fails with an error that says so, and the pool goes on.

use std::error::Error as _;
use std::time::{Duration, Instant};

use triune::prelude::*;
use triune::worker::{self, DeathCause, Enforce, Enforcement, Limit, Limits, LimitsError, RunError, Shared};

use super::support::{guarded_by_kind, process_number, workers};

const MIB: u64 = 1 << 20;

/// The limits of these tests leave no memory images behind.
fn limits() -> Limits {
    Limits::new().core_size(0)
}

#[triune::job]
fn allocate(bytes: u64) -> u64 {
    let block = vec![1_u8; usize::try_from(bytes).expect("it fits")];
    std::hint::black_box(block).len() as u64
}

/// Uses so much processor time.
#[triune::job]
fn burn(milliseconds: u64) -> u64 {
    let used = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        u64::try_from(now.tv_sec * 1000 + now.tv_nsec / 1_000_000).expect("time goes forward")
    };
    let begin = used();
    while used() < begin + milliseconds {
        std::hint::spin_loop();
    }
    used() - begin
}

#[triune::job]
fn open_files(count: u64) -> std::io::Result<usize> {
    let files = (0..count).map(|_| std::fs::File::open("/dev/null")).collect::<Result<Vec<_>, _>>()?;
    Ok(files.len())
}

#[triune::job]
fn bind(address: String) -> std::io::Result<()> {
    std::net::TcpListener::bind(address).map(drop)
}

#[triune::job]
fn read(path: String) -> std::io::Result<usize> {
    std::fs::read(path).map(|bytes| bytes.len())
}

#[triune::job]
fn execute(program: String) -> std::io::Result<bool> {
    #[expect(clippy::disallowed_methods, reason = "what it must not be able to do")]
    std::process::Command::new(program).status().map(|status| status.success())
}

fn cause(error: &RunError) -> DeathCause {
    error.death_cause().unwrap_or_else(|| panic!("its worker lives: {error}"))
}

#[test]
fn a_job_that_eats_memory_dies_of_its_limit_and_the_next_one_runs() {
    guarded_by_kind("memory", async || {
        worker::scope(workers().memory_max(64 * MIB).limits(limits()), async |pool| {
            assert_eq!(pool.run(allocate::with(16 * MIB)).await?, 16 * MIB);
            let error = pool.run(allocate::with(256 * MIB)).await.expect_err("it is too much");
            assert_eq!(cause(&error), DeathCause::OutOfMemory, "{error:?}");
            assert!(error.to_string().contains("`Workers::memory_max`"), "{error}");
            assert_eq!(pool.run(allocate::with(16 * MIB)).await?, 16 * MIB);
            let report = pool.limits_report().expect("a worker was up");
            assert_eq!(report.get(Limit::Memory), Some(Enforcement::Enforced));
            assert_eq!(report.get(Limit::Nice), None);
            Ok(())
        })
        .await
    });
}

#[test]
fn each_job_has_its_processor_time_for_itself() {
    guarded_by_kind("cpu", async || {
        let limits = limits().cpu_time(Duration::from_secs(1));
        worker::scope(workers().limits(limits), async |pool| {
            for _ in 0..3 {
                assert!(pool.run(burn::with(700)).await? >= 700, "three of them would be too much together");
            }
            let error = pool.run(burn::with(60_000)).await.expect_err("it is too much");
            assert_eq!(cause(&error), DeathCause::CpuLimit, "{error:?}");
            assert!(error.to_string().contains("`Limits::cpu_time`"), "{error}");
            assert!(pool.run(burn::with(1)).await? >= 1);
            Ok(())
        })
        .await
    });
}

#[test]
fn what_a_limit_forbids_fails_in_the_job_as_an_error_of_its_own() {
    guarded_by_kind("errors", async || {
        let limits = limits().open_files(40).no_network().no_programs();
        worker::scope(workers().limits(limits), async |pool| {
            assert_eq!(pool.run(open_files::with(10)).await?, 10);
            let files = pool.run(open_files::with(100)).await.expect_err("too many");
            assert!(files.is_app() && files.to_string().contains("open files"), "{files}");
            let network = pool.run(bind::with("127.0.0.1:0".into())).await.expect_err("no network");
            assert!(network.is_app() && network.to_string().contains("ermission denied"), "{network}");
            let program = pool.run(execute::with("/bin/true".into())).await.expect_err("no programs");
            assert!(program.is_app() && program.to_string().contains("ermission denied"), "{program}");
            assert_eq!(pool.statistics().idle, 1, "none of it has cost the worker");
            Ok(())
        })
        .await?;
        worker::run(bind::with("127.0.0.1:0".into())).await?;
        assert!(worker::run(execute::with("/bin/true".into())).await?, "other pools are as free as ever");
        Ok(())
    });
}

#[test]
fn a_job_reaches_only_the_paths_of_its_pool() {
    guarded_by_kind("paths", async || {
        let folder = tempfile::tempdir()?;
        let text = |name: &str| folder.path().join(name).to_str().expect("the path is text").to_owned();
        std::fs::create_dir(text("allowed"))?;
        std::fs::write(text("allowed/file"), "words")?;
        std::fs::write(text("secret"), "key")?;
        let limits = limits().read_only(text("allowed")).enforce(Enforce::BestEffort);
        worker::scope(workers().limits(limits), async |pool| {
            assert_eq!(pool.run(read::with(text("allowed/file"))).await?, 5);
            let report = pool.limits_report().expect("a worker was up");
            if report.get(Limit::Paths) == Some(Enforcement::Unsupported) {
                return Ok(()); // A kernel without Landlock; the report says so.
            }
            for path in [text("secret"), "/etc/passwd".to_owned()] {
                let error = pool.run(read::with(path)).await.expect_err("it is out of reach");
                assert!(error.is_app() && error.to_string().contains("ermission denied"), "{error}");
            }
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn first(shared: Shared<u32>) -> u32 {
    shared[0]
}

#[test]
fn shared_memory_is_counted_by_no_limit_and_within_reach_without_any_path() {
    guarded_by_kind("shared", async || {
        let shared = Shared::new(&vec![7_u32; 32 << 20])?; // 128 MiB
        worker::scope(workers().memory_max(64 * MIB), async |pool| {
            assert_eq!(pool.run(first::with(shared.clone())).await?, 7);
            Ok(())
        })
        .await?;
        let limits = limits().no_paths().enforce(Enforce::BestEffort);
        worker::scope(workers().limits(limits), async |pool| {
            assert_eq!(pool.run(first::with(shared.clone())).await?, 7);
            let report = pool.limits_report().expect("a worker was up");
            if report.get(Limit::Paths) != Some(Enforcement::Unsupported) {
                let error = pool.run(read::with("/etc/passwd".into())).await.expect_err("it is out of reach");
                assert!(error.is_app(), "{error:?}");
            }
            Ok(())
        })
        .await
    });
}

#[test]
fn shared_memory_needs_a_descriptor_and_the_error_says_so() {
    guarded_by_kind("shared and files", async || {
        // As many as a worker has open, and a few.
        let limits = limits().open_files(12);
        worker::scope(workers().limits(limits), async |pool| {
            let shared = (0..30).map(|n| Shared::new(&[n])).collect::<std::io::Result<Vec<_>>>()?;
            let error = pool.run(sum::with(shared.clone())).await.expect_err("there are not so many");
            let RunError::Decode { .. } = &error else { panic!("{error:?}") };
            let text = format!("{error:?}");
            assert!(text.contains("raise the limit of open files"), "{text}");
            assert_eq!(pool.run(sum::with(shared[..2].to_vec())).await?, 1, "the pool goes on");
            Ok(())
        })
        .await
    });
}

#[triune::job]
fn sum(shared: Vec<Shared<u32>>) -> u32 {
    shared.iter().map(|numbers| numbers[0]).sum()
}

#[test]
fn a_required_limit_that_does_not_hold_is_a_start_error_that_names_it_and_the_remedy() {
    guarded_by_kind("required", async || {
        for (asked, named) in
            [(limits().cores([4000]), "cores: unsupported"), (limits().memory(4096), "allow more")]
        {
            worker::scope(workers().limits(asked.clone()), async |pool| {
                let error = pool.run(process_number::with()).await.expect_err("it is required");
                let RunError::Start { error: start, .. } = &error else { panic!("{error:?}") };
                let limit = start.source().and_then(|error| error.downcast_ref::<LimitsError>());
                let limit = limit.expect("the limits are the cause");
                assert!(limit.to_string().contains(named), "{limit}");
                assert!(limit.to_string().contains("Enforce::BestEffort"), "{limit}");
                assert!(pool.limits_report().is_none(), "no worker came up");
                Ok(())
            })
            .await?;
            let best_effort = workers().limits(asked.enforce(Enforce::BestEffort));
            worker::scope(best_effort, async |pool| {
                pool.run(process_number::with()).await?;
                assert!(!pool.limits_report().expect("a worker was up").is_enforced());
                Ok(())
            })
            .await?;
        }
        Ok(())
    });
}

#[test]
fn a_cancel_is_not_slower_under_limits() {
    guarded_by_kind("cancel", async || {
        worker::scope(workers().limits(limits().nice(5).cpu_time(Duration::from_secs(60))), async |pool| {
            let begin = Instant::now();
            let job = pool.run(burn::with(60_000));
            let ended = triune::move_on_after(Duration::from_millis(20), job).await;
            assert!(ended.is_none(), "it was cut off");
            assert!(begin.elapsed() < Duration::from_secs(10));
            pool.run(process_number::with()).await?;
            Ok(())
        })
        .await
    });
}
