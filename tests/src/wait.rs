//! Waiting for what will be so, with an end to it.

use std::time::{Duration, Instant};

/// Goes to the parameters of a route's deployment where a test isn't about how long calls take. The
/// usual limit is a matter of milliseconds, which a processor that others use too may take away while
/// it counts them as the call's.
pub const CALL_LIMIT: &str = "limit.call_cpu_time_us=100000";

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// A moment after which nobody waits any longer.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// That much from now.
    pub fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// What is left, `None` once it is over.
    pub fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }

    /// Looks again and again until there is something to see.
    pub fn poll<T>(self, what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        loop {
            // The last look comes after the end: the machine may have slept meanwhile.
            let is_over = self.left().is_none();
            if let Some(seen) = look() {
                return Ok(seen);
            }
            anyhow::ensure!(!is_over, "waited too long for {what}");
            std::thread::sleep(PAUSE);
        }
    }
}

/// Looks for up to ten seconds until there is something to see.
pub fn poll<T>(what: &str, look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    Deadline::after(Duration::from_secs(10)).poll(what, look)
}

#[expect(clippy::disallowed_methods, reason = "the tests wait in real time")]
fn now() -> Instant {
    Instant::now()
}
