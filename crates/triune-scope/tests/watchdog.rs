//! The watch on polls that stall their siblings: in debug builds a long one is warned of.
//!
//! One test, alone in its binary: whether a place logs at all is remembered for the whole process.

#![cfg(debug_assertions)]

use std::sync::Arc;
use std::time::Duration;

use tokio::task::yield_now;
use triune_scope::nursery;

/// What the crate logs, in the scope of one closure.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("nothing panics under it").push(text.0);
    }
    fn enter(&self, _span: &tracing::span::Id) {}
    fn exit(&self, _span: &tracing::span::Id) {}
}

#[test]
fn a_child_that_computes_for_long_is_warned_of_once_by_its_name() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let open = nursery(async |n| {
            n.spawn_named("busy", async {
                for _ in 0..2 {
                    let start = std::time::Instant::now();
                    while start.elapsed() < Duration::from_millis(15) {
                        std::hint::spin_loop();
                    }
                    yield_now().await;
                }
                Ok(())
            });
            n.spawn_named("quick", async { Ok(()) });
            Ok(())
        });
        runtime.block_on(open).unwrap();
    });
    let warnings = log.0.lock().unwrap().clone();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("busy") && warnings[0].contains("without an await"), "{warnings:?}");
}
