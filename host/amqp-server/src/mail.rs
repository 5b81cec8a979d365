//! What other shards sent to a connection, worked through on its own.

use std::sync::atomic::Ordering;

use shunt_amqp_codec::method::BasicConsumeOk;
use shunt_amqp_codec::put_deliver;
use shunt_broker::ports::Delivery;
use shunt_broker::{Consumer, Shard, Task};

use crate::channel::confirms::channel_of;
use crate::mailbox::{Mail, WINDOW};
use crate::shared::Shared;
use crate::sink::cancel_by_server;

impl Shared {
    /// Works through what other shards sent. Not to be called while the shard is borrowed.
    pub(crate) fn open_mail(&self) {
        for mail in self.mailbox.take() {
            match mail {
                Mail::Consuming { serial, result, done } => {
                    if let Ok(consumer) = &result {
                        self.consuming(serial, *consumer);
                    }
                    // The reader may have gone meanwhile; then nobody waits.
                    let _ = done.send(result);
                }
                Mail::Deliveries { serial, consumer, deliveries, paused } => {
                    self.note_batch(consumer.queue.shard());
                    if self.deliver(serial, consumer, deliveries) && paused {
                        self.paused.borrow_mut().push(consumer);
                    }
                }
                Mail::AllBack { serial, consumer } => self.go_on(serial, consumer),
                Mail::Cancelled { serial } => {
                    let known = self.remote_consumers.borrow_mut().remove(&serial);
                    if let Some(known) = known {
                        cancel_by_server(self, &known.channel, &known.tag);
                    }
                }
                Mail::Confirms(confirmations) => {
                    for confirmation in confirmations {
                        if let Some(channel) = self.channel(channel_of(confirmation.token)) {
                            let mut confirms = channel.confirms.borrow_mut();
                            confirms.answered(confirmation.token, confirmation.accepted);
                            drop(confirms);
                            self.note_confirms(&channel);
                        }
                    }
                    self.write_confirms();
                }
            }
        }
    }

    fn consuming(&self, serial: u64, consumer: Consumer) {
        let Some(known) = self.remote_consumers.borrow().get(&serial).cloned() else { return };
        if let Some(entry) = known.channel.consumers.borrow_mut().get_mut(&*known.tag) {
            entry.consumer = Some(consumer);
        }
        if !known.no_wait {
            self.send(known.channel.number, BasicConsumeOk { consumer_tag: &known.tag });
        }
    }

    /// Delivers what there is room for; whether that was all.
    fn deliver(&self, serial: u64, consumer: Consumer, mut deliveries: Vec<Delivery>) -> bool {
        let known = self.remote_consumers.borrow().get(&serial).cloned();
        let Some(known) = known else {
            self.send_back(consumer, deliveries, |_| ());
            return false;
        };
        if known.returning.get() {
            // What was refused before goes first.
            self.send_back(consumer, deliveries, |_| ());
            return false;
        }
        let channel = &known.channel;
        let mut state = channel.deliveries.borrow_mut();
        let mut out = self.out.borrow_mut();
        out.prepare(&self.pool);
        let takes = |delivery: &Delivery, has_room: bool| {
            !channel.closed.get() && (delivery.id.is_none() || has_room)
        };
        let mut taken = 0;
        for delivery in &deliveries {
            if !takes(delivery, state.has_room()) {
                break;
            }
            taken += 1;
            let delivery_tag = state.add(delivery);
            put_deliver(
                &mut *out,
                channel.number,
                self.frame_max.get(),
                &known.tag,
                delivery_tag,
                delivery.redelivered,
                &delivery.message,
            );
        }
        drop((state, out));
        if taken == deliveries.len() {
            return true;
        }
        let refused = deliveries.split_off(taken);
        // More may be on its way. All of it has to be back before the consumer goes on, or the
        // order would be lost.
        known.returning.set(true);
        let mailbox = self.mailbox.clone();
        self.send_back(consumer, refused, move |_| {
            mailbox.post(Mail::AllBack { serial, consumer });
        });
        false
    }

    /// Everything that a consumer refused is back in its queue.
    fn go_on(&self, serial: u64, consumer: Consumer) {
        let Some(known) = self.remote_consumers.borrow().get(&serial).cloned() else { return };
        known.returning.set(false);
        let mut deliveries = known.channel.deliveries.borrow_mut();
        // More than the channel may hold would only come back again.
        let window = if deliveries.prefetch == 0 { WINDOW } else { deliveries.prefetch.into() };
        known.window_max.store(window, Ordering::Relaxed);
        if deliveries.has_room() {
            self.shard.borrow_mut().resume(consumer.queue, consumer.id);
        } else {
            deliveries.held_back.push(consumer);
        }
    }

    /// Gives deliveries back to their queue, as if they had not been made.
    fn send_back(
        &self,
        consumer: Consumer,
        deliveries: Vec<Delivery>,
        then: impl FnOnce(&mut Shard) + Send + 'static,
    ) {
        let shard = self.shard.borrow();
        let inbox = shard.broker().inbox(consumer.queue.shard());
        inbox.post(Task::Call(Box::new(move |shard| {
            for delivery in deliveries {
                shard.return_undelivered(consumer.id, delivery);
            }
            then(shard);
        })));
    }
}
