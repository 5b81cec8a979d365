//! A run: declare, subscribe, publish, measure, drain, delete.

use std::io::Write as _;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::Context as _;

use crate::broker::BrokerProcess;
use crate::clock::{elapsed, now_ns};
use crate::connection::{Connection, ConnectionError};
use crate::consumer::{Consumed, Consumer};
use crate::flow::{Counts, Flow};
use crate::latency::Latencies;
use crate::ledger::Findings;
use crate::process;
use crate::publisher::{Published, Publisher};
use crate::report::{BrokerCost, Report, Span};
use crate::scenario::Scenario;
use crate::topology::{CHANNEL, Topology};

/// How often a run looks whether it is over.
const TICK: Duration = Duration::from_millis(2);

/// How often to look what the broker has used: should it die, that is what is known of it.
const LOOK: Duration = Duration::from_millis(100);

/// How long nothing may arrive before what is missing counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long to wait for messages that should not come: those delivered twice.
const DOUBLES_WAIT: Duration = Duration::from_millis(200);

/// Runs a scenario. An error means that nothing could be measured; what goes wrong later stands in
/// the report, beside what was measured until then. With `numbered` every message is looked at.
pub(crate) fn run(scenario: &Scenario, numbered: bool, flow: &Flow) -> anyhow::Result<Report> {
    scenario.check()?;
    let mut topology = Topology::plan(scenario)?;
    let mut control = connect(scenario)?;
    let broker = BrokerProcess::find(&scenario.uri, scenario.broker_pid)?;
    let report = topology
        .declare(&mut control, scenario)
        .and_then(|()| load(scenario, &topology, broker.as_ref(), numbered, flow));
    // Also after a failure, which may have closed the first connection: nothing stays behind.
    let deleted = match control.close() {
        // Who doesn't answer a goodbye deletes nothing.
        Err(error @ ConnectionError::TimedOut(_)) => Err(error.into()),
        _ => connect(scenario).and_then(|mut control| {
            topology.delete(&mut control)?;
            Ok(control.close()?)
        }),
    };
    let mut report = report?;
    if let Err(error) = deleted {
        report.failure.get_or_insert_with(|| format!("cleaning up: {error:#}"));
    }
    Ok(report)
}

fn connect(scenario: &Scenario) -> anyhow::Result<Connection> {
    let mut control = Connection::open(&scenario.uri)
        .with_context(|| format!("connecting to {}", scenario.uri.address()))?;
    control.open_channel(CHANNEL)?;
    Ok(control)
}

/// Everything between declaring and deleting.
fn load(
    scenario: &Scenario,
    topology: &Topology,
    broker: Option<&BrokerProcess>,
    numbered: bool,
    flow: &Flow,
) -> anyhow::Result<Report> {
    let consumers = (0..scenario.consumers)
        .map(|index| Consumer::open(scenario, topology, index, numbered))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let publishers = (0..scenario.producers)
        .map(|index| Publisher::open(scenario, topology, index))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(drive(scenario, publishers, consumers, broker, flow))
}

/// Lets publishers and consumers loose, and measures.
pub(crate) fn drive(
    scenario: &Scenario,
    publishers: Vec<Publisher>,
    consumers: Vec<Consumer>,
    broker: Option<&BrokerProcess>,
    flow: &Flow,
) -> Report {
    thread::scope(|scope| {
        let consumers: Vec<_> = consumers
            .into_iter()
            .map(|consumer| {
                scope.spawn(|| {
                    let consumed = consumer.run(flow);
                    fail_if(flow, consumed.result.is_err());
                    consumed
                })
            })
            .collect();
        let first = Moment::now(broker, flow);
        let publishers: Vec<_> = publishers
            .into_iter()
            .map(|publisher| {
                scope.spawn(|| {
                    let published = publisher.run(flow);
                    fail_if(flow, published.result.is_err());
                    published
                })
            })
            .collect();

        let (start, end) = measure(scenario, flow, broker, first, &publishers);
        flow.stop();
        let published: Vec<_> = publishers.into_iter().map(join::<Published>).collect();
        let expected =
            (scenario.producers > 0 && scenario.consumers > 0).then(|| drain(scenario, flow));
        // Where the number of messages decides, their delivery is part of the time.
        let end = if scenario.pmessages.is_some() { Moment::now(broker, flow) } else { end };
        flow.measure(false);
        if expected.is_some() && !flow.has_failed() {
            thread::sleep(DOUBLES_WAIT);
        }
        flow.end();
        let consumed: Vec<_> = consumers.into_iter().map(join::<Consumed>).collect();
        report(end.since(&start, broker), flow.counts(), expected, published, consumed)
    })
}

fn report(
    span: Span,
    counts: Counts,
    expected: Option<u64>,
    published: Vec<anyhow::Result<Published>>,
    consumed: Vec<anyhow::Result<Consumed>>,
) -> Report {
    let mut failures = Vec::new();
    let mut confirms = Latencies::new();
    let mut written = Vec::new();
    for (index, publisher) in published.into_iter().enumerate() {
        let result = publisher.and_then(|published| {
            confirms.merge(&published.confirms);
            written.push(published.messages);
            published.result
        });
        failures.extend(result.err().map(|error| format!("publisher {index}: {error:#}")));
    }
    let mut deliveries = Latencies::new();
    let mut ledgers = Vec::new();
    for (index, consumer) in consumed.into_iter().enumerate() {
        let result = consumer.and_then(|consumed| {
            deliveries.merge(&consumed.latencies);
            ledgers.extend(consumed.ledger);
            consumed.result
        });
        failures.extend(result.err().map(|error| format!("consumer {index}: {error:#}")));
    }
    let findings = (!ledgers.is_empty()).then(|| Findings::of(&ledgers, &written));
    let failure = failures.into_iter().next();
    let relay_us = None;
    Report { span, counts, expected, deliveries, confirms, findings, relay_us, failure }
}

/// Waits for the warm-up and the measured time, or until the publishers are done.
fn measure(
    scenario: &Scenario,
    flow: &Flow,
    broker: Option<&BrokerProcess>,
    first: Moment,
    publishers: &[ScopedJoinHandle<'_, Published>],
) -> (Moment, Moment) {
    let over = || {
        let done = publishers.iter().all(ScopedJoinHandle::is_finished);
        flow.stopping() || done && !publishers.is_empty()
    };
    let mut progress = Progress::new(scenario, first);
    let warmup = scenario.warmup();
    let mut looked = first.at_ns;
    let mut wait = |begin_ns, duration| {
        while elapsed(begin_ns) < duration && !over() {
            thread::sleep(TICK.min(duration));
            if elapsed(looked) >= LOOK {
                broker.map(BrokerProcess::usage);
                looked = now_ns();
            }
            progress.tick(broker, flow);
        }
    };
    wait(first.at_ns, warmup);
    // A run that was over in its warm-up has measured that much.
    let start = if over() || warmup.is_zero() { first } else { Moment::now(broker, flow) };
    flow.measure(true);
    wait(start.at_ns, scenario.duration());
    (start, Moment::now(broker, flow))
}

/// Waits until all that was published has arrived, or nothing arrives any more; returns the
/// deliveries that had to come.
fn drain(scenario: &Scenario, flow: &Flow) -> u64 {
    let (mut received, mut heard) = (0, now_ns());
    loop {
        let counts = flow.counts();
        let expected = counts.deliverable() * scenario.copies();
        let silent = elapsed(heard) >= SILENCE_MAX;
        if counts.received >= expected || silent || flow.has_failed() {
            return expected;
        }
        if counts.received > received {
            (received, heard) = (counts.received, now_ns());
        }
        thread::sleep(TICK);
    }
}

/// Ends the run for all where one thread failed.
fn fail_if(flow: &Flow, failed: bool) {
    if failed {
        flow.fail();
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))
}

/// Counters, clock and costs at one moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at_ns: u64,
    counts: Counts,
    broker: Option<process::Usage>,
    own: process::Usage,
}

impl Moment {
    fn now(broker: Option<&BrokerProcess>, flow: &Flow) -> Self {
        let broker = broker.map(BrokerProcess::usage);
        let own = process::usage("self").unwrap_or_default();
        Self { at_ns: now_ns(), counts: flow.counts(), broker, own }
    }

    fn since(&self, start: &Self, broker: Option<&BrokerProcess>) -> Span {
        let cost = |(process, (end, start)): (&BrokerProcess, (process::Usage, process::Usage))| {
            BrokerCost {
                pid: process.pid,
                cpu_s: end.cpu_s - start.cpu_s,
                rss: end.rss,
                rss_max: end.rss_max,
            }
        };
        Span {
            seconds: self.at_ns.saturating_sub(start.at_ns) as f64 / 1e9,
            published: self.counts.published - start.counts.published,
            received: self.counts.received - start.counts.received,
            broker: broker.zip(self.broker.zip(start.broker)).map(cost),
            own_cpu_s: self.own.cpu_s - start.own.cpu_s,
        }
    }
}

/// A line to standard error now and then.
struct Progress {
    interval: Duration,
    begin_ns: u64,
    last: Moment,
}

impl Progress {
    fn new(scenario: &Scenario, first: Moment) -> Self {
        let interval = Duration::from_secs_f64(scenario.interval);
        Self { interval, begin_ns: first.at_ns, last: first }
    }

    fn tick(&mut self, broker: Option<&BrokerProcess>, flow: &Flow) {
        if self.interval.is_zero() || elapsed(self.last.at_ns) < self.interval {
            return;
        }
        let now = Moment::now(broker, flow);
        let span = now.since(&self.last, broker);
        let rate = |count: u64| count as f64 / span.seconds;
        let cost = span.broker.map(|broker| {
            let us = broker.cpu_s * 1e6 / span.received.max(span.published).max(1) as f64;
            format!(", broker {us:.2} µs/message, {} MiB", broker.rss >> 20)
        });
        // Who closes standard error wants no progress.
        let _ = writeln!(
            std::io::stderr().lock(),
            "{:6.1} s: published {:.0}/s, received {:.0}/s{}",
            elapsed(self.begin_ns).as_secs_f64(),
            rate(span.published),
            rate(span.received),
            cost.unwrap_or_default()
        );
        self.last = now;
    }
}
