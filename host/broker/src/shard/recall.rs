//! What an exchange kept goes to a destination that is bound to it.

use shunt_routing::{Binding, Destination, Exchange, Topology as _, Walk};
use shunt_types::Message;

use super::Outbox;
use super::publish::{PublishOptions, Routed, flush_all, route};
use crate::broker::Broker;
use crate::metadata::Topology;

impl Broker {
    /// Sends what `source` keeps to the destination of a new binding, by way of the queues'
    /// shards, so that a durable queue logs it as it logs any message. A message that is published
    /// while the binding is made may come twice, or not at all.
    pub(crate) fn recall(&self, topology: &Topology, source: &Exchange, binding: &Binding) {
        let Some(retention) = &source.retention else { return };
        let kept = retention.recall(binding);
        if kept.is_empty() {
            return;
        }
        let mut outboxes: Vec<_> = (0..self.shard_count()).map(|_| Outbox::default()).collect();
        let mut walk = Walk::seeded(self.next_seed());
        for message in kept {
            self.send_to(binding.destination, topology, message, &mut walk, &mut outboxes);
        }
        flush_all(self, &mut outboxes);
    }

    fn send_to(
        &self,
        destination: Destination,
        topology: &Topology,
        message: Message,
        walk: &mut Walk,
        outboxes: &mut [Outbox],
    ) {
        let mut send = |queue: shunt_types::QueueId, message| {
            outboxes[usize::from(queue.shard().0)].publish(queue, message, None, None);
        };
        match destination {
            Destination::Queue(queue) => send(queue, message),
            Destination::Exchange(id) => {
                let Some(exchange) = topology.exchange(id) else { return };
                let options = PublishOptions { topology, exchange, user: "", confirm: None };
                // What the exchanges behind refuse is lost to them, not to who bound.
                if let Ok(Routed::To(copies)) =
                    route(walk, self.replies(), self.now_ms(), &options, message)
                {
                    copies.each(walk, None, send);
                }
            }
        }
    }
}
