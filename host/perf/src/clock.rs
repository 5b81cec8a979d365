//! The clock that every measurement reads.

use std::time::Duration;

use rustix::thread::ClockId;
use rustix::time::{Timespec, clock_gettime};

/// Nanoseconds since a moment that all processes of a machine share, so that a publisher's stamp
/// means the same to a consumer in another process.
#[inline]
pub(crate) fn now_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// The processor time that the calling thread has used, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// How long ago `since_ns` was.
pub(crate) fn elapsed(since_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(since_ns))
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
