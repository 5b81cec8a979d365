//! Resolve: the walk over exchanges, from the one that a message was published to down to the
//! queues.
//!
//! A work list and a set of the exchanges seen, no recursion: a cycle of bindings does no harm,
//! an exchange is visited once however many ways lead to it, and an alternate exchange joins the
//! same list (RabbitMQ, `rabbit_exchange:route`).

use shunt_types::limits::EXCHANGES_WALKED_MAX;
use shunt_types::{ExchangeId, ExchangeName, QueueId};
use smallvec::SmallVec;

use crate::exchange::Exchange;
use crate::exchange_type::{Destination, Header, Topology};
use crate::failure::{Failure, OnFailure};

/// The walk's result and its scratch space, kept from message to message.
#[derive(Default)]
pub struct Walk {
    queues: Vec<QueueId>,
    waiting: SmallVec<[QueueId; 2]>,
    retaining: SmallVec<[ExchangeId; 2]>,
    failure: Option<RouteFailure>,
    diverted: bool,
    matched: Vec<Destination>,
    pending: SmallVec<[ExchangeId; 4]>,
    seen: SmallVec<[ExchangeId; 8]>,
    /// State of the generator of random bits.
    random: u64,
}

/// A route's failure, and the exchange whose route it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFailure {
    /// The exchange.
    pub exchange: ExchangeName,
    /// Cause and detail.
    pub failure: Failure,
}

impl Walk {
    /// A walk with empty scratch space, whose random bits begin where all such walks' do.
    pub fn new() -> Self {
        Self::default()
    }

    /// A walk whose random bits follow from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { random: seed, ..Self::default() }
    }

    /// Random bits for the next [`Header`]: evenly spread, and no secret (SplitMix64).
    #[inline]
    pub fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::native::scramble(self.random)
    }

    /// The queues that the message goes to, each once, in no particular order.
    #[inline]
    pub fn queues(&self) -> &[QueueId] {
        &self.queues
    }

    /// The queue that gets the message, where it is one alone and nothing else came of the walk.
    #[inline]
    pub fn only_queue(&self) -> Option<QueueId> {
        match self.queues[..] {
            [queue] if self.waiting.is_empty() && self.failure.is_none() => Some(queue),
            _ => None,
        }
    }

    /// The queues in which the message waits for exchanges that delay it, each once.
    #[inline]
    pub fn waiting(&self) -> &[QueueId] {
        &self.waiting
    }

    /// The exchanges that keep what passes and that the message passed, each once.
    #[inline]
    pub fn retaining(&self) -> &[ExchangeId] {
        &self.retaining
    }

    /// The first route that failed, if one did.
    #[inline]
    pub fn failure(&self) -> Option<&RouteFailure> {
        self.failure.as_ref()
    }

    /// Whether the failure was answered by its exchange's policy: the message went to the
    /// alternate exchange, and gets headers that say why. Otherwise a failure means that no queue
    /// gets the message.
    pub fn is_diverted(&self) -> bool {
        self.diverted
    }

    /// Walks from `exchange` and leaves the outcome in [`Walk::queues`], [`Walk::waiting`],
    /// [`Walk::retaining`] and [`Walk::failure`].
    /// `confirming` says whether the publisher waits for a confirm, which the failure policy
    /// `nack` asks.
    pub fn resolve(
        &mut self,
        topology: &dyn Topology,
        exchange: &Exchange,
        header: &Header<'_>,
        confirming: bool,
    ) {
        self.clear_found();
        if self.failure.is_some() {
            self.failure = None;
        }
        self.diverted = false;
        self.pending.clear();
        self.seen.clear();
        self.visit(topology, exchange, header, confirming);
        while let Some(id) = self.pending.pop() {
            if let Some(exchange) = topology.exchange(id) {
                self.visit(topology, exchange, header, confirming);
            }
        }
        if self.failure.is_some() && !self.diverted {
            self.clear_found();
        }
        if self.queues.len() > 1 {
            self.queues.sort_unstable();
            self.queues.dedup();
        }
    }

    #[inline]
    fn clear_found(&mut self) {
        self.queues.clear();
        self.waiting.clear();
        self.retaining.clear();
    }

    #[inline]
    fn visit(
        &mut self,
        topology: &dyn Topology,
        exchange: &Exchange,
        header: &Header<'_>,
        confirming: bool,
    ) {
        if exchange.name.is_default() {
            let queues = header.routing_keys.iter().filter_map(|key| topology.queue(key));
            self.queues.extend(queues);
            return;
        }
        self.seen.push(exchange.id);
        if let Some(queue) = exchange.waiting
            && exchange.matcher.delays(header)
        {
            return self.waiting.push(queue);
        }
        if exchange.retention.is_some() {
            self.retaining.push(exchange.id);
        }
        self.matched.clear();
        match exchange.matcher.matches(header, topology, &mut self.matched) {
            Ok(()) if self.matched.is_empty() => self.divert(topology, exchange),
            Ok(()) => {
                for index in 0..self.matched.len() {
                    match self.matched[index] {
                        Destination::Queue(queue) => self.queues.push(queue),
                        Destination::Exchange(id) => self.follow(id),
                    }
                }
            }
            Err(failure) => {
                let divert = exchange.alternate.is_some()
                    && (exchange.on_failure == OnFailure::Alternate || !confirming);
                // A failure that is not answered weighs more than one that is.
                if self.failure.is_none() || (self.diverted && !divert) {
                    self.failure = Some(RouteFailure { exchange: exchange.name.clone(), failure });
                    self.diverted = divert;
                }
                if divert {
                    self.divert(topology, exchange);
                }
            }
        }
    }

    fn divert(&mut self, topology: &dyn Topology, exchange: &Exchange) {
        let Some(alternate) = &exchange.alternate else { return };
        if let Some(alternate) = topology.exchange_named(alternate.as_str()) {
            self.follow(alternate.id);
        }
    }

    fn follow(&mut self, id: ExchangeId) {
        let known = self.seen.contains(&id) || self.pending.contains(&id);
        if !known && self.seen.len() + self.pending.len() < EXCHANGES_WALKED_MAX {
            self.pending.push(id);
        }
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
