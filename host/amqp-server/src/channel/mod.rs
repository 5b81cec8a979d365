//! A channel: what it keeps, on the reader's side and in common with its consumers' sinks.

pub(crate) mod confirms;
pub(crate) mod content;
pub(crate) mod deliveries;
mod overdue;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use shunt_broker::queue::Settlement;
use shunt_broker::{Consumer, QueueEntry};
use shunt_types::Message;

use crate::admission::ChannelPermit;
use confirms::Confirms;
use content::Content;
use deliveries::{Deliveries, Unacked};

/// The part of a channel that sinks and the mailbox reach.
pub(crate) struct ChannelShared {
    pub(crate) number: u16,
    pub(crate) deliveries: RefCell<Deliveries>,
    pub(crate) confirms: RefCell<Confirms>,
    pub(crate) consumers: RefCell<HashMap<Rc<str>, ConsumerEntry>>,
    /// Nothing more is delivered: the channel is closed or about to be.
    pub(crate) closed: Cell<bool>,
}

/// A consumer of a channel.
#[derive(Clone)]
pub(crate) struct ConsumerEntry {
    /// Which consumer of this connection it is; never used again.
    pub(crate) serial: u64,
    /// Its queue.
    pub(crate) queue: Arc<QueueEntry>,
    /// Where it consumes, once the queue has taken it.
    pub(crate) consumer: Option<Consumer>,
}

/// The part of a channel that the reader alone needs.
pub(crate) struct Channel {
    pub(crate) shared: Rc<ChannelShared>,
    /// A content that is coming in.
    pub(crate) content: Content,
    /// A channel.close was sent: everything is dropped until its close-ok.
    pub(crate) is_closing: bool,
    /// The queue that was declared last, which an empty name stands for.
    pub(crate) last_queue: Option<String>,
    /// Unsettled deliveries for each consumer that comes from now on (`basic.qos`).
    pub(crate) prefetch: u16,
    pub(crate) mode: Mode,
    /// Its place among the channels that there may be.
    pub(crate) permit: ChannelPermit,
    /// Who waits for direct replies on this channel.
    pub(crate) requester: Option<Requester>,
}

/// The consumer of `amq.rabbitmq.reply-to`.
pub(crate) struct Requester {
    pub(crate) tag: Rc<str>,
    pub(crate) address: Arc<str>,
}

/// What publishes and settlements of the channel mean.
pub(crate) enum Mode {
    /// They count at once.
    Plain,
    /// Each publish is confirmed.
    Confirm,
    /// They wait for `tx.commit`.
    Transaction(Transaction),
}

/// What waits for `tx.commit`.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(crate) publishes: Vec<(Message, bool)>,
    pub(crate) settlements: Vec<(Unacked, Settlement)>,
}

impl Channel {
    pub(crate) fn new(number: u16, incarnation: u64, permit: ChannelPermit) -> Self {
        Self {
            shared: Rc::new(ChannelShared {
                number,
                deliveries: RefCell::default(),
                confirms: RefCell::new(Confirms::new(number, incarnation)),
                consumers: RefCell::default(),
                closed: Cell::new(false),
            }),
            content: Content::default(),
            is_closing: false,
            last_queue: None,
            prefetch: 0,
            mode: Mode::Plain,
            permit,
            requester: None,
        }
    }
}
