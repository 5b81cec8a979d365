//! Says how far the opening of the log of messages is, where it takes long enough to wonder.

use std::sync::Arc;

use shunt_broker::ports::Clock;
use shunt_storage::RecoveryProgress;

/// Time between two lines, and before the first.
const INTERVAL_MS: u64 = 1000;

/// Logs a line a second.
pub(crate) struct RecoveryReport {
    clock: Arc<dyn Clock>,
    told_at_ms: u64,
}

impl RecoveryReport {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let told_at_ms = clock.now_ms();
        Self { clock, told_at_ms }
    }

    /// The opening is so far.
    pub(crate) fn reached(&mut self, reached: RecoveryProgress) {
        let now = self.clock.now_ms();
        // A clock that was set back counts as a second gone by.
        if now.abs_diff(self.told_at_ms) >= INTERVAL_MS {
            self.told_at_ms = now;
            tracing::info!("{}", line(reached));
        }
    }
}

fn line(reached: RecoveryProgress) -> String {
    let RecoveryProgress { records, bytes, bytes_total } = reached;
    let per_cent = bytes.saturating_mul(100).checked_div(bytes_total).unwrap_or(100);
    format!("recovering: {records} records, {bytes} of {bytes_total} bytes, {per_cent} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let reached = RecoveryProgress { records: 12, bytes: 100, bytes_total: 400 };
        assert_eq!(line(reached), "recovering: 12 records, 100 of 400 bytes, 25 %");
        assert_eq!(line(RecoveryProgress::default()), "recovering: 0 records, 0 of 0 bytes, 100 %");
    }
}
