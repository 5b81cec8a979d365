//! What an operator may set of the AMQP front door.

use shunt_types::limits;

/// Whether connections move to the shard of the queues that they use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moves {
    /// While both shards have time to spare.
    #[default]
    Auto,
    /// They stay where they were accepted.
    Never,
    /// From one shard to the next with each batch, for tests.
    Always,
}

/// Settings of the AMQP 0-9-1 server. The node fills them in; every number was checked there.
#[derive(Clone, Debug)]
pub struct AmqpSettings {
    /// Largest frame, in bytes, envelope included.
    pub frame_max: u32,
    /// Most channels of one connection.
    pub channel_max: u16,
    /// Most connections of the node; 0 for any number.
    pub connection_max: u64,
    /// Most channels of all connections of the node; 0 for any number.
    pub channel_max_per_node: u64,
    /// Heartbeat that is suggested to clients, in seconds; 0 for none.
    pub heartbeat_s: u16,
    /// Time for the whole handshake, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// Longest time that a delivery may wait for its settlement, in milliseconds; 0 for ever.
    pub consumer_timeout_ms: u64,
    /// Time after which a client that takes nothing is cut off, in milliseconds.
    pub send_timeout_ms: u64,
    /// Bytes that the system may hold of what a client sent; 0 for the server's choice.
    pub receive_buffer: usize,
    /// Bytes that the system may hold of what is sent to a client; 0 for the server's choice.
    pub send_buffer: usize,
    /// Largest body, in bytes.
    pub message_size_max: u64,
    /// Whether connections follow the queues that they use.
    pub moves: Moves,
    /// Version of the product, for `connection.start`.
    pub version: &'static str,
}

impl Default for AmqpSettings {
    fn default() -> Self {
        Self {
            frame_max: limits::FRAME_MAX,
            channel_max: limits::CHANNEL_MAX,
            connection_max: 0,
            channel_max_per_node: 0,
            heartbeat_s: limits::HEARTBEAT_S,
            handshake_timeout_ms: limits::HANDSHAKE_TIMEOUT_MS,
            consumer_timeout_ms: limits::CONSUMER_TIMEOUT_MS,
            send_timeout_ms: limits::SEND_TIMEOUT_MS,
            receive_buffer: 0,
            send_buffer: 0,
            message_size_max: limits::MESSAGE_SIZE_MAX,
            moves: Moves::default(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}
