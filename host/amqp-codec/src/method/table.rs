//! Every method of AMQP 0-9-1 and of RabbitMQ's extensions, in both directions: the one place
//! where ids and arguments stand.

#![expect(missing_docs, reason = "arguments carry the specification's names")]

use shunt_types::{MethodId, Reader, TableRef};

use super::MethodError;
use super::field::{FieldReader, FieldWriter};
use super::generate::methods;

methods! {
/// A method, its strings and tables in the bytes that they came in.
pub enum Method<'a>;

// connection
10 {
    /// The server greets, and lists what it offers.
    10 "connection.start" ConnectionStart<'a> {
        version_major: u8,
        version_minor: u8,
        server_properties: TableRef<'a>,
        /// Names of SASL mechanisms with spaces between them.
        mechanisms: &'a [u8],
        locales: &'a [u8],
    }
    /// The client introduces itself and begins to authenticate.
    11 "connection.start-ok" ConnectionStartOk<'a> {
        client_properties: TableRef<'a>,
        mechanism: &'a str,
        /// The SASL mechanism's initial response.
        response: &'a [u8],
        locale: &'a str,
    }
    /// The SASL mechanism goes into another round.
    20 "connection.secure" ConnectionSecure<'a> {
        challenge: &'a [u8],
    }
    /// The client's part of that round.
    21 "connection.secure-ok" ConnectionSecureOk<'a> {
        response: &'a [u8],
    }
    /// The server proposes limits.
    30 "connection.tune" ConnectionTune {
        channel_max: u16,
        frame_max: u32,
        /// In seconds.
        heartbeat: u16,
    }
    /// The client settles the limits.
    31 "connection.tune-ok" ConnectionTuneOk {
        channel_max: u16,
        frame_max: u32,
        /// In seconds; 0 is none.
        heartbeat: u16,
    }
    /// The client chooses its virtual host.
    40 "connection.open" ConnectionOpen<'a> {
        virtual_host: &'a str,
    } [&'a str, bool]
    /// The connection is ready for channels.
    41 "connection.open-ok" ConnectionOpenOk {} [&'a str]
    /// Either side ends the connection, with the method to blame or 0 and 0.
    50 "connection.close" ConnectionClose<'a> {
        reply_code: u16,
        reply_text: &'a str,
        class_id: u16,
        method_id: u16,
    }
    /// The other side has seen the end.
    51 "connection.close-ok" ConnectionCloseOk {}
    /// The server won't read publishes for a while (RabbitMQ).
    60 "connection.blocked" ConnectionBlocked<'a> {
        reason: &'a str,
    }
    /// The server reads on (RabbitMQ).
    61 "connection.unblocked" ConnectionUnblocked {}
    /// The client renews its credentials (RabbitMQ).
    70 "connection.update-secret" ConnectionUpdateSecret<'a> {
        new_secret: &'a [u8],
        reason: &'a str,
    }
    /// The new credentials are in force (RabbitMQ).
    71 "connection.update-secret-ok" ConnectionUpdateSecretOk {}
}

// channel
20 {
    /// Opens the channel on which it is sent.
    10 "channel.open" ChannelOpen {} [&'a str]
    /// The channel is open.
    11 "channel.open-ok" ChannelOpenOk {} [&'a [u8]]
    /// Stops or restarts deliveries.
    20 "channel.flow" ChannelFlow {
        active: bool,
    }
    /// What is now in force.
    21 "channel.flow-ok" ChannelFlowOk {
        active: bool,
    }
    /// Either side ends the channel, with the method to blame or 0 and 0.
    40 "channel.close" ChannelClose<'a> {
        reply_code: u16,
        reply_text: &'a str,
        class_id: u16,
        method_id: u16,
    }
    /// The other side has seen the end.
    41 "channel.close-ok" ChannelCloseOk {}
}

// access: gone from AMQP 0-9-1, yet clients of 0-9 still ask
30 {
    /// Asks for a ticket, which means nothing any more.
    10 "access.request" AccessRequest<'a> {
        realm: &'a str,
        exclusive: bool,
        passive: bool,
        active: bool,
        write: bool,
        read: bool,
    }
    /// Hands the ticket out.
    11 "access.request-ok" AccessRequestOk {
        ticket: u16,
    }
}

// exchange
40 {
    /// Makes an exchange, or checks the one that there is.
    10 "exchange.declare" ExchangeDeclare<'a> [u16] {
        exchange: &'a str,
        /// The exchange's type (`type` in the specification).
        kind: &'a str,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        no_wait: bool,
        arguments: TableRef<'a>,
    }
    /// The exchange is there.
    11 "exchange.declare-ok" ExchangeDeclareOk {}
    /// Deletes an exchange.
    20 "exchange.delete" ExchangeDelete<'a> [u16] {
        exchange: &'a str,
        if_unused: bool,
        no_wait: bool,
    }
    /// The exchange is gone.
    21 "exchange.delete-ok" ExchangeDeleteOk {}
    /// Binds an exchange to an exchange (RabbitMQ).
    30 "exchange.bind" ExchangeBind<'a> [u16] {
        destination: &'a str,
        source: &'a str,
        routing_key: &'a str,
        no_wait: bool,
        arguments: TableRef<'a>,
    }
    /// The binding is there (RabbitMQ).
    31 "exchange.bind-ok" ExchangeBindOk {}
    /// Takes such a binding away (RabbitMQ).
    40 "exchange.unbind" ExchangeUnbind<'a> [u16] {
        destination: &'a str,
        source: &'a str,
        routing_key: &'a str,
        no_wait: bool,
        arguments: TableRef<'a>,
    }
    /// The binding is gone (RabbitMQ); 51, where 41 would be expected.
    51 "exchange.unbind-ok" ExchangeUnbindOk {}
}

// queue
50 {
    /// Makes a queue, or checks the one that there is.
    10 "queue.declare" QueueDeclare<'a> [u16] {
        /// Empty lets the server choose a name.
        queue: &'a str,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        no_wait: bool,
        arguments: TableRef<'a>,
    }
    /// The queue is there.
    11 "queue.declare-ok" QueueDeclareOk<'a> {
        queue: &'a str,
        message_count: u32,
        consumer_count: u32,
    }
    /// Binds a queue to an exchange.
    20 "queue.bind" QueueBind<'a> [u16] {
        queue: &'a str,
        exchange: &'a str,
        routing_key: &'a str,
        no_wait: bool,
        arguments: TableRef<'a>,
    }
    /// The binding is there.
    21 "queue.bind-ok" QueueBindOk {}
    /// Drops the ready messages.
    30 "queue.purge" QueuePurge<'a> [u16] {
        queue: &'a str,
        no_wait: bool,
    }
    /// They are gone.
    31 "queue.purge-ok" QueuePurgeOk {
        message_count: u32,
    }
    /// Deletes a queue.
    40 "queue.delete" QueueDelete<'a> [u16] {
        queue: &'a str,
        if_unused: bool,
        if_empty: bool,
        no_wait: bool,
    }
    /// The queue is gone, and so many messages with it.
    41 "queue.delete-ok" QueueDeleteOk {
        message_count: u32,
    }
    /// Takes a binding away; the only such method that always wants its answer.
    50 "queue.unbind" QueueUnbind<'a> [u16] {
        queue: &'a str,
        exchange: &'a str,
        routing_key: &'a str,
        arguments: TableRef<'a>,
    }
    /// The binding is gone.
    51 "queue.unbind-ok" QueueUnbindOk {}
}

// basic
60 {
    /// Limits how many deliveries may wait to be settled.
    10 "basic.qos" BasicQos {
        prefetch_size: u32,
        prefetch_count: u16,
        global: bool,
    }
    /// The limit is in force.
    11 "basic.qos-ok" BasicQosOk {}
    /// Starts a consumer.
    20 "basic.consume" BasicConsume<'a> [u16] {
        queue: &'a str,
        /// Empty lets the server choose a tag.
        consumer_tag: &'a str,
        no_local: bool,
        no_ack: bool,
        exclusive: bool,
        no_wait: bool,
        arguments: TableRef<'a>,
    }
    /// The consumer has started.
    21 "basic.consume-ok" BasicConsumeOk<'a> {
        consumer_tag: &'a str,
    }
    /// Ends a consumer; from the server, says that it has ended (RabbitMQ).
    30 "basic.cancel" BasicCancel<'a> {
        consumer_tag: &'a str,
        no_wait: bool,
    }
    /// The consumer has ended.
    31 "basic.cancel-ok" BasicCancelOk<'a> {
        consumer_tag: &'a str,
    }
    /// Publishes the message that follows.
    40 "basic.publish" BasicPublish<'a> [u16] {
        exchange: &'a str,
        routing_key: &'a str,
        mandatory: bool,
        immediate: bool,
    }
    /// Gives a message back that reached no queue.
    50 "basic.return" BasicReturn<'a> {
        reply_code: u16,
        reply_text: &'a str,
        exchange: &'a str,
        routing_key: &'a str,
    }
    /// Hands the message that follows to a consumer.
    60 "basic.deliver" BasicDeliver<'a> {
        consumer_tag: &'a str,
        delivery_tag: u64,
        redelivered: bool,
        exchange: &'a str,
        routing_key: &'a str,
    }
    /// Asks for one message.
    70 "basic.get" BasicGet<'a> [u16] {
        queue: &'a str,
        no_ack: bool,
    }
    /// Here it follows.
    71 "basic.get-ok" BasicGetOk<'a> {
        delivery_tag: u64,
        redelivered: bool,
        exchange: &'a str,
        routing_key: &'a str,
        /// How many are ready after this one.
        message_count: u32,
    }
    /// There is none.
    72 "basic.get-empty" BasicGetEmpty {} [&'a str]
    /// Settles deliveries; from the server, confirms publishes (RabbitMQ).
    80 "basic.ack" BasicAck {
        delivery_tag: u64,
        multiple: bool,
    }
    /// Refuses a delivery.
    90 "basic.reject" BasicReject {
        delivery_tag: u64,
        requeue: bool,
    }
    /// Puts every unacked message back, without an answer.
    100 "basic.recover-async" BasicRecoverAsync {
        requeue: bool,
    }
    /// Puts every unacked message back.
    110 "basic.recover" BasicRecover {
        requeue: bool,
    }
    /// They are back.
    111 "basic.recover-ok" BasicRecoverOk {}
    /// Refuses deliveries; from the server, says that publishes failed (RabbitMQ).
    120 "basic.nack" BasicNack {
        delivery_tag: u64,
        multiple: bool,
        /// Means nothing from the server.
        requeue: bool,
    }
}

// confirm
85 {
    /// Asks for publisher confirms on the channel (RabbitMQ).
    10 "confirm.select" ConfirmSelect {
        no_wait: bool,
    }
    /// The channel confirms from now on (RabbitMQ).
    11 "confirm.select-ok" ConfirmSelectOk {}
}

// tx
90 {
    /// Makes the channel transactional.
    10 "tx.select" TxSelect {}
    /// The channel is transactional.
    11 "tx.select-ok" TxSelectOk {}
    /// Ends the transaction with effect.
    20 "tx.commit" TxCommit {}
    /// The transaction has its effect.
    21 "tx.commit-ok" TxCommitOk {}
    /// Ends the transaction without effect.
    30 "tx.rollback" TxRollback {}
    /// The transaction never was.
    31 "tx.rollback-ok" TxRollbackOk {}
}
}
