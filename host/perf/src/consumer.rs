//! A consumer: one connection that counts deliveries in a large read buffer.

use std::time::Duration;

use anyhow::Context as _;
use shunt_amqp_codec::method::{BasicConsume, BasicConsumeOk, BasicQos, BasicQosOk};
use shunt_types::TableRef;

use crate::clock::{elapsed, now_ns};
use crate::connection::{Connection, ConnectionError, Filled};
use crate::flow::Flow;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::scenario::Scenario;
use crate::tally::Tally;
use crate::topology::{CHANNEL, Topology};

/// How long to wait for deliveries before looking whether the run is over.
const IDLE: Duration = Duration::from_millis(100);

/// How long what still comes is counted once the run is over: what others publish to the same
/// queue may never end.
const REST: Duration = Duration::from_secs(1);

/// A connection that consumes.
#[derive(Debug)]
pub(crate) struct Consumer {
    connection: Connection,
    tally: Tally,
}

/// What a consumer leaves behind.
#[derive(Debug)]
pub(crate) struct Consumed {
    /// From publish to delivery.
    pub(crate) latencies: Latencies,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) result: anyhow::Result<()>,
}

impl Consumer {
    /// Connects consumer number `index` and subscribes it to its share of the queues: each queue
    /// has one consumer or more.
    pub(crate) fn open(
        scenario: &Scenario,
        topology: &Topology,
        index: u16,
        numbered: bool,
    ) -> anyhow::Result<Self> {
        let mut connection = Connection::open(&scenario.uri)?;
        connection.open_channel(CHANNEL)?;
        if scenario.prefetch > 0 {
            let qos =
                BasicQos { prefetch_size: 0, prefetch_count: scenario.prefetch, global: false };
            connection.call(CHANNEL, qos, BasicQosOk::ID)?;
        }
        let queues = topology.queues.len();
        let (index, consumers) = (usize::from(index), usize::from(scenario.consumers));
        for number in (index % queues..queues).step_by(consumers) {
            let queue = &topology.queues[number].queue;
            let consume = BasicConsume {
                queue,
                // The ledger tells queues apart by it.
                consumer_tag: &number.to_string(),
                no_local: false,
                no_ack: scenario.autoack,
                exclusive: false,
                // Where messages wait already, deliveries would come before the answer.
                no_wait: scenario.producers == 0 || scenario.predeclared,
                arguments: TableRef::EMPTY,
            };
            subscribe(&mut connection, consume)
                .with_context(|| format!("consuming from {queue}"))?;
        }
        Self::on(connection, scenario, numbered)
    }

    /// Consumes from a connection that is ready for it.
    pub(crate) fn on(
        connection: Connection,
        scenario: &Scenario,
        numbered: bool,
    ) -> anyhow::Result<Self> {
        connection.inbox.set_timeout(IDLE)?;
        let ack_every =
            (!scenario.autoack && !connection.is_bare()).then_some(scenario.multi_ack_every);
        let ledger = numbered.then(|| Ledger::new(scenario.copies()));
        Ok(Self { connection, tally: Tally::new(scenario.size, ack_every, ledger) })
    }

    /// Counts deliveries until the run is over.
    pub(crate) fn run(mut self, flow: &Flow) -> Consumed {
        let result = self.count(flow).and_then(|()| {
            if self.connection.is_bare() { Ok(()) } else { Ok(self.connection.close()?) }
        });
        let Tally { latencies, ledger, .. } = self.tally;
        Consumed { latencies, ledger, result }
    }

    fn count(&mut self, flow: &Flow) -> anyhow::Result<()> {
        let Self { connection, tally } = self;
        let mut ended_ns = None;
        loop {
            let filled = match connection.inbox.fill() {
                // A relay ends with its publisher.
                Err(ConnectionError::EndOfStream) if connection.is_bare() => return Ok(()),
                filled => filled?,
            };
            let silent = filled == Filled::TimedOut;
            let ended = flow.ended().then(|| *ended_ns.get_or_insert_with(now_ns));
            let late = ended.is_some_and(|ended_ns| elapsed(ended_ns) >= REST);
            if silent || late {
                tally.ack_rest();
                send_acks(connection, tally)?;
            }
            if late || silent && ended.is_some() {
                return Ok(());
            }
            let now_ns = flow.measuring().then(now_ns);
            if tally.ledger.is_some() {
                tally.published = flow.counts().published;
            }
            let (taken, deliveries) = tally.take(connection.inbox.unread(), now_ns)?;
            connection.inbox.consume(taken);
            flow.received(deliveries);
            send_acks(connection, tally)?;
        }
    }
}

fn send_acks(connection: &Connection, tally: &mut Tally) -> anyhow::Result<()> {
    if !tally.acks.is_empty() {
        connection.send(&tally.acks).context("acking")?;
        tally.acks.clear();
    }
    Ok(())
}

fn subscribe(connection: &mut Connection, consume: BasicConsume<'_>) -> anyhow::Result<()> {
    if consume.no_wait {
        connection.send_method(CHANNEL, consume)?;
    } else {
        connection.call(CHANNEL, consume, BasicConsumeOk::ID)?;
    }
    Ok(())
}
