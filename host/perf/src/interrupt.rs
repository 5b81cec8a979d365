//! Ctrl-C: the first ends the run, which then says what it measured; the second ends the program.

use std::process;
use std::sync::Arc;
use std::thread;

use crate::flow::Flow;

/// What a shell expects of a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Watches for interrupts from now on.
pub(crate) fn watch(flow: &Arc<Flow>) -> anyhow::Result<()> {
    let flow = Arc::clone(flow);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                flow.stop();
                if tokio::signal::ctrl_c().await.is_ok() {
                    process::exit(INTERRUPTED);
                }
            }
        });
    })?;
    Ok(())
}
