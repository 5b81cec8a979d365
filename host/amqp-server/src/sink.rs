//! The sink of a consumer whose connection lives on the shard of its queue: deliveries are
//! written straight into the connection's output.

use std::rc::Rc;

use shunt_amqp_codec::put_deliver;
use shunt_broker::ports::{CancelReason, ConsumerSink, Delivery, Flow};
use shunt_broker::{Consumer, Origin};
use shunt_types::ShardId;

use crate::channel::ChannelShared;
use crate::shared::Shared;

/// A consumer's sink on its own shard.
pub(crate) struct LocalSink {
    pub(crate) shared: Rc<Shared>,
    pub(crate) channel: Rc<ChannelShared>,
    pub(crate) tag: Rc<str>,
    pub(crate) shard: ShardId,
}

impl ConsumerSink for LocalSink {
    fn deliver(&mut self, consumer: Consumer, delivery: Delivery) -> Flow {
        let mut deliveries = self.channel.deliveries.borrow_mut();
        if self.channel.closed.get() {
            return Flow::Refused(delivery);
        }
        if delivery.id.is_some() && !deliveries.has_room() {
            deliveries.held_back.push(consumer);
            return Flow::Refused(delivery);
        }
        let tag = deliveries.add(&delivery);
        let mut out = self.shared.out.borrow_mut();
        out.prepare(&self.shared.pool);
        put_deliver(
            &mut *out,
            self.channel.number,
            self.shared.frame_max.get(),
            &self.tag,
            tag,
            delivery.redelivered,
            &delivery.message,
        );
        if self.shared.is_congested(&out) {
            self.shared.paused.borrow_mut().push(consumer);
            return Flow::Full;
        }
        Flow::Open
    }

    fn flush(&mut self) {
        self.shared.flush();
        self.shared.note_batch(self.shard);
    }

    fn origin(&self) -> Origin {
        self.shared.origin(self.channel.number)
    }

    fn cancelled(&mut self, _reason: CancelReason) {
        cancel_by_server(&self.shared, &self.channel, &self.tag);
    }
}

/// Forgets a consumer that the broker ended, and tells the client if it wants to know.
pub(crate) fn cancel_by_server(shared: &Shared, channel: &ChannelShared, tag: &str) {
    let known = channel.consumers.borrow_mut().remove(tag);
    if let Some(entry) = &known {
        shared.tell_consumer_gone(channel.number, tag, entry);
    }
    if known.is_some() && shared.cancel_notify.get() && !channel.closed.get() {
        shared.send_cancel(channel.number, tag);
    }
}
