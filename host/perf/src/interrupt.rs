//! Ctrl-C and SIGTERM: the first ends the run, which then says what it measured and takes away what
//! it declared; the second ends the program.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};

use crate::flow::Flow;

/// What a shell expects of a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Whether the program was asked to end.
#[derive(Debug, Default)]
pub(crate) struct Interrupts {
    /// The run that goes on.
    flow: Mutex<Arc<Flow>>,
    seen: AtomicBool,
}

impl Interrupts {
    /// Watches for interrupts from now on.
    pub(crate) fn watch() -> anyhow::Result<Arc<Self>> {
        let interrupts = Arc::new(Self::default());
        let told = Arc::clone(&interrupts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if told.seen.swap(true, Ordering::Relaxed) {
                        process::exit(INTERRUPTED);
                    }
                    told.flow.lock().stop();
                }
            });
        })?;
        Ok(interrupts)
    }

    /// A new run, which an interrupt ends.
    pub(crate) fn begin(&self) -> Arc<Flow> {
        let flow = Arc::new(Flow::default());
        *self.flow.lock() = Arc::clone(&flow);
        // One that came just before this one stood there.
        if self.seen() {
            flow.stop();
        }
        flow
    }

    /// Whether there was one.
    pub(crate) fn seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}
