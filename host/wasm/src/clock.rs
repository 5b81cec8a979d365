//! The clocks that a call is measured by.
//!
//! They are read from the system here, not handed in: a processor-time budget means the thread
//! that runs the guest, and a guest's own clock is a capability, off unless granted.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Processor time of this thread so far. A system call: never once per message.
pub(crate) fn thread_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// A clock that only goes forward.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Unix time.
pub(crate) fn unix_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

fn nanoseconds(time: Timespec) -> u64 {
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}
