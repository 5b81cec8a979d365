//! Leases: messages that HTTP clients hold and have to settle in time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use shunt_broker::Broker;
use shunt_broker::queue::Settlement;
use shunt_types::{DeliveryId, QueueId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::held::{Held, Taken, post_settlements};
use crate::error::ApiError;
use crate::limits::LEASES_MAX;

/// Random, so that nobody can guess another one's.
type LeaseId = [u8; 16];

/// Which stream holds a lease; leases of polls belong to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamId(u64);

struct Lease {
    queue: QueueId,
    delivery: DeliveryId,
    user: String,
    stream: Option<StreamId>,
}

/// All leases of this node. They end by being settled, by time, with their stream, or with the
/// server; all but the first put the message back into its queue.
pub(crate) struct Leases {
    broker: Arc<Broker>,
    timeout: Duration,
    table: Mutex<Table>,
    /// There is a first lease to wait for.
    granted: Notify,
}

#[derive(Default)]
struct Table {
    leases: HashMap<LeaseId, Lease>,
    /// Every lease lasts as long as any other, so they end in the order in which they began.
    /// Those that were settled stay here until their time comes or there are too many.
    order: VecDeque<(Instant, LeaseId)>,
    next_stream: u64,
}

impl Leases {
    pub(crate) fn new(broker: Arc<Broker>, timeout: Duration) -> Self {
        Self { broker, timeout, table: Mutex::default(), granted: Notify::new() }
    }

    /// Grants a lease for each of the messages, in their order.
    ///
    /// # Errors
    /// 503 where there are too many already; the messages go back to their queue.
    pub(crate) fn grant(
        &self,
        user: &str,
        stream: Option<StreamId>,
        mut held: Held,
    ) -> Result<Vec<(Taken, String)>, ApiError> {
        let mut random = vec![0; held.len() * size_of::<LeaseId>()];
        getrandom::fill(&mut random)
            .map_err(|error| ApiError::unavailable(format!("no random numbers: {error}")))?;
        let ends_at = Instant::now() + self.timeout;
        let mut table = self.table.lock();
        if table.leases.len() + held.len() > LEASES_MAX {
            return Err(ApiError::unavailable(format!("{LEASES_MAX} messages are leased already")));
        }
        table.compact();
        let mut granted = Vec::with_capacity(held.len());
        let (ids, _) = random.as_chunks::<16>();
        for &id in ids {
            let Some(taken) = held.pop() else { break };
            let Some(delivery) = taken.delivery.id else { continue };
            let queue = taken.delivery.queue;
            table.leases.insert(id, Lease { queue, delivery, user: user.to_owned(), stream });
            table.order.push_back((ends_at, id));
            granted.push((taken, URL_SAFE_NO_PAD.encode(id)));
        }
        drop(table);
        self.granted.notify_one();
        Ok(granted)
    }

    /// Ends a lease of that user and queue; `None` where there is none of that text.
    pub(crate) fn redeem(&self, user: &str, queue: QueueId, text: &str) -> Option<DeliveryId> {
        let id: LeaseId = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let mut table = self.table.lock();
        let lease = table.leases.get(&id)?;
        if lease.user != user || lease.queue != queue {
            return None;
        }
        table.leases.remove(&id).map(|lease| lease.delivery)
    }

    /// An id for a stream that begins.
    pub(crate) fn next_stream(&self) -> StreamId {
        let mut table = self.table.lock();
        table.next_stream += 1;
        StreamId(table.next_stream)
    }

    /// Ends the leases of a stream.
    pub(crate) fn release_stream(&self, stream: StreamId) {
        self.release(|lease| lease.stream == Some(stream));
    }

    /// Ends all leases.
    pub(crate) fn release_all(&self) {
        self.release(|_| true);
    }

    fn release(&self, ends: impl Fn(&Lease) -> bool) {
        let ended = self.table.lock().leases.extract_if(|_, lease| ends(lease)).collect();
        self.requeue(ended);
    }

    /// Ends leases whose time is over, for as long as the server runs.
    pub(crate) async fn run_expiry(&self) {
        loop {
            let first = self.table.lock().order.front().map(|(ends_at, _)| *ends_at);
            match first {
                None => self.granted.notified().await,
                Some(ends_at) => {
                    tokio::time::sleep_until(ends_at).await;
                    self.expire(Instant::now());
                }
            }
        }
    }

    fn expire(&self, now: Instant) {
        let mut ended = Vec::new();
        let mut table = self.table.lock();
        while let Some((ends_at, id)) = table.order.front().copied() {
            if ends_at > now {
                break;
            }
            table.order.pop_front();
            ended.extend(table.leases.remove_entry(&id));
        }
        drop(table);
        self.requeue(ended);
    }

    fn requeue(&self, ended: Vec<(LeaseId, Lease)>) {
        let deliveries = ended.into_iter().map(|(_, lease)| (lease.queue, lease.delivery));
        post_settlements(&self.broker, deliveries.collect(), Settlement::Requeue);
    }
}

impl Table {
    /// Forgets the order of leases that were settled, once they are most of it.
    fn compact(&mut self) {
        if self.order.len() > 1024 + 2 * self.leases.len() {
            let Self { leases, order, .. } = self;
            order.retain(|(_, id)| leases.contains_key(id));
        }
    }
}
