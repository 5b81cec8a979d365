//! Gauges of queues: their load, for threads that can't ask the queue's shard and wait.

use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;
use shunt_types::{QueueGauge, QueueId};

use crate::broker::Broker;
use crate::shard::Task;

/// The gauges that somebody looks at, or whose queue is still there.
#[derive(Default)]
pub(crate) struct Gauges(Mutex<Known>);

#[derive(Default)]
struct Known {
    gauges: HashMap<QueueId, Weak<QueueGauge>>,
    /// How many there may be before those that are gone are looked for.
    sweep_at: usize,
}

/// Smallest number of gauges at which those that are gone are looked for.
const SWEEP_MIN: usize = 64;

impl Broker {
    /// The gauge of a queue, which its shard sets from now on once per batch: at first as soon as
    /// it looks into its inbox. The gauge of a queue that is gone shows what was last. `None` for
    /// a queue of a shard that isn't there.
    pub fn gauge(&self, queue: QueueId) -> Option<Arc<QueueGauge>> {
        if queue.shard().0 >= self.shard_count() {
            return None;
        }
        let mut known = self.gauges().0.lock();
        if let Some(gauge) = known.gauges.get(&queue).and_then(Weak::upgrade) {
            return Some(gauge);
        }
        if known.gauges.len() >= known.sweep_at {
            known.gauges.retain(|_, gauge| gauge.strong_count() > 0);
            known.sweep_at = SWEEP_MIN.max(2 * known.gauges.len());
        }
        let gauge = Arc::new(QueueGauge::default());
        known.gauges.insert(queue, Arc::downgrade(&gauge));
        drop(known);
        let watched = Arc::clone(&gauge);
        self.inbox(queue.shard()).post(Task::Call(Box::new(move |shard| {
            shard.watch(queue, watched);
        })));
        Some(gauge)
    }
}
