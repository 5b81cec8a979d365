//! A queue of messages that wait for their time (`x-delayed-message`): the one that is due first
//! stands first.
//!
//! A message is due when it expires, and what happens then is what happens to dead letters. Its
//! sequence is made of its due time, so that the queue's order, its records in the log and its
//! recovery are those of any queue.

use shunt_routing::delay_ms;
use shunt_types::Message;

use super::Queue;

/// Low bits of a sequence that tell messages apart that are due in the same millisecond; those
/// above hold the due time, in milliseconds since 1970 and until 2109.
const SAME_TIME_BITS: u32 = 22;

/// Messages that are released at once, so that the shard gets to something else in between when a
/// million fall due together.
const RELEASED_AT_ONCE: usize = 1_024;

impl Queue {
    /// When a message that comes now is due, in a queue of messages that wait.
    #[inline]
    pub(super) fn due(&self, now_ms: u64, message: &Message) -> Option<u64> {
        self.settings.delayed_for?;
        // The exchange has looked at the delay already.
        Some(now_ms.saturating_add(delay_ms(message.properties()).unwrap_or(0)))
    }

    /// A sequence for a message that is due then: after those of the same millisecond that came
    /// before, as long as they are fewer than four million.
    pub(super) fn sequence_of(&mut self, due_ms: u64) -> u64 {
        let same_time = (1 << SAME_TIME_BITS) - 1;
        let mut sequence = due_ms << SAME_TIME_BITS | self.next_sequence & same_time;
        while self.ready.edit(sequence, |_| ()).is_some() {
            sequence += 1;
        }
        sequence
    }

    /// How many messages may expire in one go.
    pub(super) fn expired_at_once(&self) -> usize {
        if self.settings.delayed_for.is_some() { RELEASED_AT_ONCE } else { usize::MAX }
    }
}
