//! The bounds of this front door. What an operator may change is a setting of [`HttpSettings`];
//! its default stands here too.
//!
//! [`HttpSettings`]: crate::HttpSettings

/// Longest body of a request that is neither a message nor a module, in bytes.
pub(crate) const JSON_BODY_MAX: u64 = 1024 * 1024;
/// Items of a page of a list, and the most that it may have (RabbitMQ).
pub(crate) const PAGE_SIZE: usize = 100;
pub(crate) const PAGE_SIZE_MAX: usize = 500;
/// Longest file of definitions, in bytes.
pub(crate) const DEFINITIONS_MAX: u64 = 64 * 1024 * 1024;
/// Most problems of such a file that are named in one answer.
pub(crate) const PROBLEMS_NAMED_MAX: usize = 20;
/// Longest name of a user, in bytes: it has to fit the property `user-id`.
pub(crate) const USER_NAME_MAX: usize = 255;
/// Most tags of a user, and the longest, in bytes.
pub(crate) const USER_TAGS_MAX: usize = 64;
pub(crate) const USER_TAG_SIZE_MAX: usize = 255;
/// Longest description of a virtual host, in bytes.
pub(crate) const VHOST_DESCRIPTION_MAX: usize = 4096;
/// Default bound of a module, in bytes.
pub(crate) const MODULE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Default time within which a lease has to be settled, in seconds.
pub(crate) const LEASE_TIMEOUT_S: u64 = 30;
/// Longest time that a poll may wait, in seconds; a client that wants more asks again.
pub(crate) const POLL_WAIT_MAX_S: u64 = 300;
/// Most messages of one answer.
pub(crate) const MESSAGES_PER_ANSWER_MAX: u32 = 1_000;
/// Bytes of bodies after which an answer takes no further message.
pub(crate) const ANSWER_BODY_BYTES: u64 = 32 * 1024 * 1024;
/// Most unsettled messages that a stream may hold, and how many where the client doesn't say.
pub(crate) const STREAM_PREFETCH_MAX: u16 = 10_000;
pub(crate) const STREAM_PREFETCH: u16 = 100;
/// Time between the comments that keep an idle stream open, in seconds.
pub(crate) const STREAM_KEEP_ALIVE_S: u64 = 15;
/// Lines of a route's log in one answer, where the client doesn't say and at most.
pub(crate) const ROUTE_LOG_LINES: usize = 100;
pub(crate) const ROUTE_LOG_LINES_MAX: usize = 1_000;
/// Time within which queues have to answer for a message, in seconds.
pub(crate) const CONFIRM_TIMEOUT_S: u64 = 30;
/// Lines of a batch whose confirms are outstanding before more is read.
pub(crate) const LINES_IN_FLIGHT_MAX: usize = 4_096;
/// Bytes of results that may wait for a client that doesn't read them, before no more of its
/// lines are taken.
pub(crate) const RESULTS_WAITING_MAX: usize = 8 * 1024 * 1024;
/// What a line may hold beside its payload, in bytes.
pub(crate) const LINE_OVERHEAD_MAX: u64 = 256 * 1024;
/// Leases that one node keeps for its HTTP clients.
pub(crate) const LEASES_MAX: usize = 1_000_000;
/// Time that connections have to end after the shutdown began, in seconds.
pub(crate) const SHUTDOWN_GRACE_S: u64 = 5;

const _: () = assert!(PAGE_SIZE <= PAGE_SIZE_MAX);
const _: () = assert!(ROUTE_LOG_LINES <= ROUTE_LOG_LINES_MAX);
const _: () = assert!(STREAM_PREFETCH <= STREAM_PREFETCH_MAX);
