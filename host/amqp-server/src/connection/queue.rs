//! Class queue.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shunt_amqp_codec::method::{
    QueueBind, QueueBindOk, QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk, QueuePurge,
    QueuePurgeOk, QueueUnbind, QueueUnbindOk,
};
use shunt_broker::metadata::{
    BindingDefinition, DestinationName, QueueDeclaration, QueueDefinition,
};
use shunt_broker::queue::QueueStats;
use shunt_broker::{DeleteOptions, QueueEntry, is_direct_reply_to};
use shunt_types::{AmqpError, QueueName, ReplyCode, TableRef};

use super::direct_reply::check_bindable;
use super::exchange::exchange_name;
use super::permissions::Access;
use super::{Connection, Refused};

/// How often a declare begins anew because the queue is deleted under its hands.
const DECLARE_TRIES: usize = 3;

impl Connection {
    pub(super) async fn queue_declare(
        &mut self,
        number: u16,
        declare: &QueueDeclare<'_>,
    ) -> Result<(), Refused> {
        if is_direct_reply_to(declare.queue) {
            return self.declare_reply_address(number, declare);
        }
        let (queue, stats) = self.declared(declare).await?;
        let name = queue.definition.name.as_str();
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.last_queue = Some(name.to_owned());
        }
        if !declare.no_wait {
            self.shared.send(
                number,
                QueueDeclareOk {
                    queue: name,
                    message_count: stats.ready as u32,
                    consumer_count: stats.consumers as u32,
                },
            );
        }
        Ok(())
    }

    /// The queue that a declare makes or finds, and how it stands.
    async fn declared(
        &mut self,
        declare: &QueueDeclare<'_>,
    ) -> Result<(Arc<QueueEntry>, QueueStats), Refused> {
        for _ in 0..DECLARE_TRIES {
            let queue = if declare.passive {
                // No name is none here: it never stands for the queue declared last (RabbitMQ).
                let name = without_line_ends(declare.queue);
                self.check_any("queue", &name)?;
                let queue = self.topology.find_queue(&name)?.clone();
                queue.check_access(self.vhost.name(), Some(self.id))?;
                queue
            } else {
                self.declare(declare).await?
            };
            let id = queue.id;
            let stats = self
                .on_shard(id.shard(), move |shard| {
                    shard.touch(id);
                    shard.queue_stats(id)
                })
                .await?;
            if let Some(stats) = stats {
                return Ok((queue, stats));
            }
            // Its shard has just deleted it.
            self.refresh_topology();
        }
        Err(AmqpError::new(ReplyCode::InternalError, "the queue is deleted all the time").into())
    }

    async fn declare(&mut self, declare: &QueueDeclare<'_>) -> Result<Arc<QueueEntry>, Refused> {
        let server_named = declare.queue.is_empty();
        let name = if server_named { generated("amq.gen-")? } else { declare.queue.to_owned() };
        let name = queue_name(&name)?;
        self.check_queue(Access::Configure, name.as_str())?;
        let arguments = declare.arguments.to_owned();
        if let Some(exchange) = arguments.get("x-dead-letter-exchange").and_then(|v| v.as_text()) {
            self.check_queue(Access::Read, name.as_str())?;
            self.check_exchange(Access::Write, exchange)?;
        }
        let declaration = QueueDeclaration {
            definition: QueueDefinition {
                name,
                durable: declare.durable,
                auto_delete: declare.auto_delete,
                arguments: Arc::new(arguments),
            },
            exclusive_owner: declare.exclusive.then_some(self.id),
            server_named,
            near: Some(self.shard.borrow().id()),
        };
        let vhost = self.vhost.name().clone();
        let declared = self.context.broker.declare_queue(&vhost, self.actor(), declaration)?;
        if declared.created && declare.exclusive {
            self.remember_exclusive(declared.queue.clone());
        }
        self.durable(declared.position).await?;
        Ok(declared.queue)
    }

    fn remember_exclusive(&mut self, queue: Arc<QueueEntry>) {
        if self.exclusive_queues.len() == self.exclusive_queues.capacity() {
            // Before there are more: those that went by themselves need not be deleted.
            let topology = self.vhost.topology();
            self.exclusive_queues.retain(|known| {
                let name = known.definition.name.as_str();
                topology.find_queue(name).is_ok_and(|queue| queue.id == known.id)
            });
        }
        self.exclusive_queues.push(queue);
    }

    pub(super) async fn queue_bind(
        &mut self,
        number: u16,
        bind: &QueueBind<'_>,
    ) -> Result<(), Refused> {
        let binding = self.queue_binding(
            number,
            bind.queue,
            bind.exchange,
            bind.routing_key,
            bind.arguments,
        )?;
        self.bind(binding).await?;
        if !bind.no_wait {
            self.shared.send(number, QueueBindOk {});
        }
        Ok(())
    }

    pub(super) async fn queue_unbind(
        &mut self,
        number: u16,
        unbind: &QueueUnbind<'_>,
    ) -> Result<(), Refused> {
        let QueueUnbind { queue, exchange, routing_key, arguments } = *unbind;
        let binding = self.queue_binding(number, queue, exchange, routing_key, arguments)?;
        self.unbind(binding).await?;
        self.shared.send(number, QueueUnbindOk {});
        Ok(())
    }

    fn queue_binding(
        &self,
        number: u16,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: TableRef<'_>,
    ) -> Result<BindingDefinition, AmqpError> {
        check_bindable(queue)?;
        let name = self.queue_named(number, queue)?;
        // Without a queue and a key, the key is the last declared queue's name.
        let key = if queue.is_empty() && key.is_empty() { name.as_str() } else { key };
        Ok(BindingDefinition {
            source: exchange_name(exchange)?,
            key: key.into(),
            destination: DestinationName::Queue(name),
            arguments: arguments.into(),
        })
    }

    pub(super) async fn queue_purge(
        &mut self,
        number: u16,
        purge: &QueuePurge<'_>,
    ) -> Result<(), Refused> {
        let queue = self.readable_queue(number, purge.queue)?;
        let id = queue.id;
        let purged = self.on_shard(id.shard(), move |shard| shard.purge(id)).await??;
        if !purge.no_wait {
            self.shared.send(number, QueuePurgeOk { message_count: purged as u32 });
        }
        Ok(())
    }

    pub(super) async fn queue_delete(
        &mut self,
        number: u16,
        delete: &QueueDelete<'_>,
    ) -> Result<(), Refused> {
        self.shared.hold_cancels();
        let deleted = self.delete(number, delete).await;
        if let (Ok(message_count), false) = (&deleted, delete.no_wait) {
            self.shared.send(number, QueueDeleteOk { message_count: *message_count as u32 });
        }
        self.shared.release_cancels();
        deleted.map(drop)
    }

    async fn delete(&mut self, number: u16, delete: &QueueDelete<'_>) -> Result<u64, Refused> {
        let name = self.queue_named(number, delete.queue)?;
        self.check_queue(Access::Configure, name.as_str())?;
        let mut message_count = 0;
        // A queue that isn't there is deleted already.
        if let Ok(queue) = self.topology.find_queue(name.as_str()).cloned() {
            queue.check_access(self.vhost.name(), Some(self.id))?;
            let id = queue.id;
            let QueueDelete { if_unused, if_empty, .. } = *delete;
            let user = Some(self.user.name().to_owned());
            let options = DeleteOptions { if_unused, if_empty, user };
            message_count =
                self.on_shard(id.shard(), move |shard| shard.delete_queue(id, options)).await??;
            self.exclusive_queues.retain(|exclusive| exclusive.id != id);
            self.refresh_topology();
            if queue.definition.durable {
                self.durable(self.context.broker.logged_position()).await?;
            }
        }
        Ok(message_count)
    }

    /// The queue of that name, with read permission and no other connection's claim on it.
    pub(super) fn readable_queue(
        &mut self,
        number: u16,
        name: &str,
    ) -> Result<Arc<QueueEntry>, AmqpError> {
        let name = self.queue_named(number, name)?;
        self.check_queue(Access::Read, name.as_str())?;
        let queue = self.topology.find_queue(name.as_str())?.clone();
        queue.check_access(self.vhost.name(), Some(self.id))?;
        Ok(queue)
    }

    /// A queue's name off the wire: the empty one stands for the queue declared last on the
    /// channel.
    fn queue_named(&self, number: u16, name: &str) -> Result<QueueName, AmqpError> {
        if !name.is_empty() {
            return queue_name(name);
        }
        let last = self.channels.get(&number).and_then(|channel| channel.last_queue.as_deref());
        match last {
            Some(last) => queue_name(last),
            None => Err(AmqpError::not_found("no previously declared queue")),
        }
    }
}

fn queue_name(name: &str) -> Result<QueueName, AmqpError> {
    QueueName::new(&without_line_ends(name))
        .map_err(|error| AmqpError::precondition_failed(error.to_string()))
}

fn without_line_ends(name: &str) -> String {
    name.replace(['\r', '\n'], "")
}

/// A name that nobody else has.
pub(super) fn generated(prefix: &str) -> Result<String, AmqpError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        AmqpError::new(ReplyCode::InternalError, format!("no random name can be made: {error}"))
    })?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random)))
}
