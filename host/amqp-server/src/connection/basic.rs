//! Consuming: consume, cancel, get, qos.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use shunt_amqp_codec::method::{
    BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk, BasicGet, BasicGetEmpty, BasicQos,
    BasicQosOk,
};
use shunt_amqp_codec::put_get_ok;
use shunt_broker::queue::ConsumerOptions;
use shunt_broker::{Consumer, DIRECT_REPLY_TO, QueueEntry, Shard, Task, TracedDelivery};
use shunt_types::limits::CONSUMERS_PER_CHANNEL_MAX;
use shunt_types::{AmqpError, ReplyCode, TableRef, VhostName};

use super::direct_reply::check_fetchable;
use super::queue::generated;
use super::{Connection, Refused, stopped};
use crate::channel::{ChannelShared, ConsumerEntry};
use crate::mailbox::{Mail, RemoteSink, WINDOW};
use crate::shared::RemoteConsumer;
use crate::sink::LocalSink;

impl Connection {
    pub(super) async fn basic_consume(
        &mut self,
        number: u16,
        consume: &BasicConsume<'_>,
    ) -> Result<(), Refused> {
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let prefetch = channel.prefetch;
        let channel = channel.shared.clone();
        let tag: Rc<str> = if consume.consumer_tag.is_empty() {
            generated("amq.ctag-")?.into()
        } else {
            consume.consumer_tag.into()
        };
        {
            let consumers = channel.consumers.borrow();
            if consumers.contains_key(&tag) || self.is_requester(number, &tag) {
                let text = format!("attempt to reuse consumer tag '{tag}'");
                return Err(AmqpError::new(ReplyCode::NotAllowed, text).into());
            }
            if consumers.len() >= CONSUMERS_PER_CHANNEL_MAX {
                let text = format!(
                    "reached maximum ({CONSUMERS_PER_CHANNEL_MAX}) of consumers per channel"
                );
                return Err(AmqpError::new(ReplyCode::NotAllowed, text).into());
            }
        }
        if consume.queue == DIRECT_REPLY_TO {
            return self.consume_replies(number, consume, tag);
        }
        let queue = self.readable_queue(number, consume.queue)?;
        check_arguments(&queue, self.vhost.name(), consume.arguments)?;
        self.note_timeout(number, &queue, consume.arguments)?;
        let options = ConsumerOptions {
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            prefetch,
            priority: priority(&queue, self.vhost.name(), consume.arguments)?,
        };
        self.next_serial += 1;
        let serial = self.next_serial;
        let entry = ConsumerEntry { serial, queue: queue.clone(), consumer: None };
        channel.consumers.borrow_mut().insert(tag.clone(), entry);
        let added = self.add_consumer(&queue, options, &channel, &tag, serial, consume).await;
        if added.is_err() {
            channel.consumers.borrow_mut().remove(&tag);
            self.shared.remote_consumers.borrow_mut().remove(&serial);
        } else {
            let name = queue.definition.name.as_str();
            let how = (consume.no_ack, consume.exclusive, prefetch);
            self.shared.tell_consuming(number, (&tag, name), how, consume.arguments);
        }
        added
    }

    async fn add_consumer(
        &mut self,
        queue: &QueueEntry,
        options: ConsumerOptions,
        channel: &Rc<ChannelShared>,
        tag: &Rc<str>,
        serial: u64,
        consume: &BasicConsume<'_>,
    ) -> Result<(), Refused> {
        let id = queue.id;
        if id.shard() == self.shard.borrow().id() {
            let (shared, channel_too) = (self.shared.clone(), channel.clone());
            let (tag_too, shard) = (tag.clone(), id.shard());
            let sink = LocalSink { shared, channel: channel_too, tag: tag_too, shard };
            let consumer = self.shard.borrow_mut().consume(id, options, Box::new(sink))?;
            if let Some(entry) = channel.consumers.borrow_mut().get_mut(tag) {
                entry.consumer = Some(consumer);
            }
            // Deliveries follow when the batch ends.
            if !consume.no_wait {
                self.shared.send(channel.number, BasicConsumeOk { consumer_tag: tag });
            }
            return Ok(());
        }
        let window_max = Arc::new(AtomicU32::new(WINDOW));
        let remote = RemoteConsumer {
            channel: channel.clone(),
            tag: tag.clone(),
            no_wait: consume.no_wait,
            returning: Rc::default(),
            window_max: window_max.clone(),
        };
        self.consumed_from |= 1 << id.shard().0;
        self.shared.remote_consumers.borrow_mut().insert(serial, remote);
        self.end_batch();
        let (done, consuming) = tokio::sync::oneshot::channel();
        let mailbox = self.shared.mailbox.clone();
        let origin = self.shared.origin(channel.number);
        let inbox = self.context.broker.inbox(id.shard());
        inbox.post(Task::Call(Box::new(move |shard| {
            let sink = RemoteSink::new(mailbox.clone(), serial, window_max, origin);
            let result = shard.consume(id, options, Box::new(sink));
            mailbox.post(Mail::Consuming { serial, result, done });
        })));
        let result = consuming.await.map_err(|_| stopped())?;
        self.begin_batch();
        result?;
        Ok(())
    }

    pub(super) async fn basic_cancel(
        &mut self,
        number: u16,
        cancel: &BasicCancel<'_>,
    ) -> Result<(), Refused> {
        let tag = cancel.consumer_tag;
        self.close_replies(number, Some(tag));
        let Some(channel) = self.channels.get(&number).map(|channel| channel.shared.clone()) else {
            return Ok(());
        };
        self.end_consumer(&channel, tag).await?;
        if !cancel.no_wait {
            self.shared.send(number, BasicCancelOk { consumer_tag: tag });
        }
        Ok(())
    }

    /// Takes a consumer out, if there is one of that tag.
    pub(super) async fn end_consumer(
        &mut self,
        channel: &ChannelShared,
        tag: &str,
    ) -> Result<(), Refused> {
        let Some(entry) = channel.consumers.borrow_mut().remove(tag) else { return Ok(()) };
        self.shared.remote_consumers.borrow_mut().remove(&entry.serial);
        self.shared.tell_consumer_gone(channel.number, tag, &entry);
        if let Some(consumer) = entry.consumer {
            let forget = |waiting: &mut Vec<Consumer>| waiting.retain(|&c| c != consumer);
            forget(&mut channel.deliveries.borrow_mut().held_back);
            forget(&mut self.shared.paused.borrow_mut());
            let shard = consumer.queue.shard();
            self.on_shard(shard, move |shard| shard.cancel(consumer)).await?;
            self.refresh_topology();
        }
        Ok(())
    }

    pub(super) async fn basic_get(
        &mut self,
        number: u16,
        get: &BasicGet<'_>,
    ) -> Result<(), Refused> {
        check_fetchable(get.queue)?;
        let queue = self.readable_queue(number, get.queue)?;
        self.note_timeout(number, &queue, TableRef::EMPTY)?;
        let (id, no_ack) = (queue.id, get.no_ack);
        let origin = self.topology.is_traced().then(|| self.shared.origin(number));
        let fetch = move |shard: &mut Shard| {
            let fetched = shard.fetch(id, no_ack)?;
            if let (Some(origin), Some((delivery, _))) = (origin, &fetched) {
                let (message, redelivered) = (delivery.message.clone(), delivery.redelivered);
                shard.trace_delivery(id, &TracedDelivery { origin, message, redelivered });
            }
            Ok::<_, AmqpError>(fetched)
        };
        let fetched = self.on_shard(id.shard(), fetch).await??;
        let Some((delivery, left)) = fetched else {
            self.context.broker.counters().gets_empty.add(1);
            self.shared.send(number, BasicGetEmpty {});
            return Ok(());
        };
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let tag = channel.shared.deliveries.borrow_mut().add(&delivery);
        let mut out = self.shared.out.borrow_mut();
        out.prepare(&self.shared.pool);
        put_get_ok(
            &mut *out,
            number,
            self.shared.frame_max.get(),
            tag,
            delivery.redelivered,
            &delivery.message,
            left as u32,
        );
        Ok(())
    }

    pub(super) fn basic_qos(&mut self, number: u16, qos: &BasicQos) -> Result<(), Refused> {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(AmqpError::new(ReplyCode::NotImplemented, text).into());
        }
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        if qos.global {
            channel.shared.deliveries.borrow_mut().prefetch = qos.prefetch_count;
            let shared = channel.shared.clone();
            self.let_go_on(&shared);
        } else {
            channel.prefetch = qos.prefetch_count;
        }
        self.shared.send(number, BasicQosOk {});
        Ok(())
    }

    /// Resumes the consumers that the channel's own prefetch count held back, if there is room.
    pub(super) fn let_go_on(&self, channel: &ChannelShared) {
        let held_back: Vec<Consumer> = {
            let mut deliveries = channel.deliveries.borrow_mut();
            if deliveries.held_back.is_empty() || !deliveries.has_room() {
                return;
            }
            std::mem::take(&mut deliveries.held_back)
        };
        let mut shard = self.shard.borrow_mut();
        for consumer in held_back {
            shard.resume(consumer.queue, consumer.id);
        }
    }
}

/// Arguments of consumers of other queue types, which RabbitMQ refuses on a classic queue.
const FOREIGN: [&str; 3] = ["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"];

fn check_arguments(
    queue: &QueueEntry,
    vhost: &VhostName,
    arguments: TableRef<'_>,
) -> Result<(), AmqpError> {
    match FOREIGN.into_iter().find(|name| arguments.get(name).is_some()) {
        None => Ok(()),
        Some(name) => Err(AmqpError::precondition_failed(format!(
            "invalid arg '{name}' for queue '{}' in vhost '{vhost}' of queue type rabbit_classic_queue",
            queue.definition.name
        ))),
    }
}

/// The consumer's priority, `x-priority`.
fn priority(
    queue: &QueueEntry,
    vhost: &VhostName,
    arguments: TableRef<'_>,
) -> Result<i64, AmqpError> {
    let Some(value) = arguments.get("x-priority") else { return Ok(0) };
    value.as_integer().ok_or_else(|| {
        AmqpError::precondition_failed(format!(
            "invalid arg 'x-priority' for queue '{}' in vhost '{vhost}': \"expected integer, got \
             {}\" {}, must be an integer",
            queue.definition.name,
            value.to_owned().type_name(),
            value.to_owned().shown()
        ))
    })
}
