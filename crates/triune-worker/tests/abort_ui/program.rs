//! The program that `abort_ui` builds with `panic = "abort"` and runs: a job panics, and its error says why.

use std::process::ExitCode;

use triune_worker::{DeathCause, RunError, Workers, job, scope};

fn fail(what: String) -> u8 {
    panic!("out of {what}");
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    triune_process::init();
    if !cfg!(panic = "abort") {
        return Err("this program is to be built with `panic = \"abort\"`".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        scope(Workers::new(), async |pool| {
            let error = pool.run(job!(fail("ink".to_owned()))).await.expect_err("it panics");
            let RunError::Died { cause: DeathCause::Panic, died, .. } = &error else { panic!("{error:?}") };
            assert_eq!(died.exit().and_then(|exit| exit.signal()), Some(6));
            assert!(died.stderr_tail().contains("out of ink"), "{died:?}");
            let text = error.to_string();
            assert!(text.starts_with("job `fail` was lost with its worker: it panicked at "), "{text}");
            assert!(text.contains("program.rs:") && text.ends_with(": out of ink"), "{text}");
            assert_eq!(pool.run(job!(u64::isqrt(9))).await?, 3, "the pool goes on");
            Ok(())
        })
        .await?;
        triune_scope::Run::current().close().await;
        Ok(ExitCode::SUCCESS)
    })
}
