//! Every bound that is part of the product's contract, in one place.
//!
//! A bound that an operator may change is a default here and a setting in `shunt config show`;
//! passing a bound is an outcome with a reply code, never a panic.

/// Largest frame that the server offers in `connection.tune`, in bytes, envelope included.
pub const FRAME_MAX: u32 = 131_072;
/// Smallest `frame_max` that a client may ask for, and the bound in force before
/// `connection.tune-ok` (RabbitMQ 4.1).
pub const FRAME_MAX_MIN: u32 = 8_192;
/// How far over `frame_max` a frame may be before it is refused (RabbitMQ, `rabbit_reader`).
pub const FRAME_SIZE_TOLERANCE: u32 = 8;
/// Channels that one connection may open.
pub const CHANNEL_MAX: u16 = 2_047;
/// Heartbeat that the server suggests, in seconds.
pub const HEARTBEAT_S: u16 = 60;
/// Time for the whole handshake, in milliseconds, after which the socket is closed.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// Consumers that one channel may hold.
pub const CONSUMERS_PER_CHANNEL_MAX: usize = 10_000;

/// Default bound of a message's body, in bytes; passing it is `PRECONDITION_FAILED` (406).
pub const MESSAGE_SIZE_MAX: u64 = 16 * 1024 * 1024;
/// Bound of a body that no setting can raise, in bytes; a content header that announces more is
/// `FRAME_ERROR` (501).
pub const MESSAGE_SIZE_HARD_MAX: u64 = 512 * 1024 * 1024;
/// Longest short string, in bytes (AMQP 0-9-1, section 4.2.5.3).
pub const SHORT_STRING_MAX: usize = 255;
/// How deep tables and arrays may nest in a field table; deeper is a `FRAME_ERROR`.
pub const TABLE_DEPTH_MAX: usize = 64;

/// Bytes that may wait for the disk in the log of messages before publishers of persistent
/// messages have to wait.
pub const LOG_UNSYNCED_MAX: u64 = 32 * 1024 * 1024;
/// Bytes of messages that may wait for a shard to put them into its queues before their publishers have
/// to wait; each counts [`MESSAGE_OVERHEAD`] beside what it takes itself.
pub const SHARD_WAITING_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of memory that a message takes beside its body, about.
pub const MESSAGE_OVERHEAD: u64 = 256;
/// Default memory of the ready messages of one queue, in bytes, for messages that are on disk
/// anyway; the rest is read when it is wanted.
pub const QUEUE_MEMORY: u64 = 8 * 1024 * 1024;
/// The same for messages that have to be written to disk to leave memory.
pub const QUEUE_TRANSIENT_MEMORY: u64 = 128 * 1024 * 1024;
/// What is left of both while the node is short of memory.
pub const QUEUE_MEMORY_MIN: u64 = 256 * 1024;

/// Shards that one node may run; a queue's id has room for that many.
pub const SHARDS_MAX: u16 = 64;
/// Exchanges that the walk over exchange-to-exchange bindings visits for one message.
pub const EXCHANGES_WALKED_MAX: usize = 10_000;
/// Messages that an exchange keeps for destinations that are bound later: the greatest
/// `x-recent-history-length`, and the keys of an `x-lvc` exchange.
pub const RETAINED_MESSAGES_MAX: usize = 100_000;
/// Bytes of memory of those messages, in one exchange; the oldest go first.
pub const RETAINED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of memory that one exchange's cache of `x-deduplication-header` values takes, however
/// many `x-cache-size` allows; the oldest go first.
pub const DEDUPLICATION_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest `x-delay`, in milliseconds (the plugin's, 49.7 days); a message that asks for more is
/// routed at once.
pub const DELAY_MAX_MS: u64 = u32::MAX as u64;
/// Bytes that may wait in one connection's output before its consumers are paused.
pub const CONNECTION_OUTPUT_HIGH: usize = 1024 * 1024;
/// Bytes that the system may hold for a client on the same machine, in each direction, where nothing
/// else is set.
pub const LOCAL_SOCKET_BUFFER: usize = 256 * 1024;
/// Least bytes that the system is asked to hold for a client, in each direction: with less, segments of
/// the loopback interface don't fit.
pub const SOCKET_BUFFER_MIN: usize = 64 * 1024;
/// Most bytes that the system may be asked to hold for a client, in each direction.
pub const SOCKET_BUFFER_MAX: u32 = 1024 * 1024 * 1024;
/// Time after which a client that takes nothing of what is sent to it is cut off, in milliseconds
/// (RabbitMQ's `send_timeout`).
pub const SEND_TIMEOUT_MS: u64 = 15_000;
/// Longest time that a delivery may wait for its settlement, in milliseconds: RabbitMQ's half an
/// hour.
pub const CONSUMER_TIMEOUT_MS: u64 = 1_800_000;
/// Bytes of waiting output below which a paused connection's consumers go on.
pub const CONNECTION_OUTPUT_LOW: usize = 256 * 1024;
/// Bodies up to this many bytes are stored inside the message's own block and copied into the
/// output; longer ones are shared by reference and written from where they are.
pub const BODY_INLINE_MAX: usize = 2_048;
/// Most bytes read from one socket before its messages are routed.
pub const READ_BATCH_MAX: usize = 256 * 1024;
/// Bodies of at least this many bytes are read from the socket to where they stay, if they are
/// seen coming; of shorter ones many fit into one read, and to copy them costs less than to read
/// each by itself.
pub const LONG_BODY_MIN: usize = 32 * 1024;
/// Bytes of long bodies that are read from one socket, one read after the other, before they are
/// routed.
pub const READ_ON_MAX: usize = 256 * 1024;

const _: () = assert!(FRAME_MAX_MIN <= FRAME_MAX);
const _: () = assert!(MESSAGE_SIZE_MAX <= MESSAGE_SIZE_HARD_MAX);
const _: () = assert!(BODY_INLINE_MAX < LONG_BODY_MIN);
const _: () = assert!(CONNECTION_OUTPUT_LOW < CONNECTION_OUTPUT_HIGH);
