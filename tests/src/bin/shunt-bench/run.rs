//! A run: declare, subscribe, publish, measure, drain, delete.

use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use shunt_tests::amqp_raw::RawConnection;

use crate::consumer::Consumer;
use crate::flow::{Counts, Flow};
use crate::options::Options;
use crate::process::Process;
use crate::publisher::Publisher;
use crate::report::{Report, Span};
use crate::topology::{CHANNEL, Topology};

/// How often the run looks whether it is over.
const TICK: Duration = Duration::from_millis(2);

/// How long nothing may arrive before what is missing counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long to wait for messages that should not come: those delivered twice.
const DOUBLES_WAIT: Duration = Duration::from_millis(200);

/// Runs the scenario that the options describe.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    options.check()?;
    let topology = Topology::plan(options);
    let mut control = connect(options)?;
    let report = topology.declare(&mut control, options).and_then(|()| load(options, &topology));
    // Also after a failure, which may have closed the first connection: nothing stays behind.
    drop(control);
    let deleted = connect(options).and_then(|mut control| {
        topology.delete(&mut control)?;
        Ok(control.close()?)
    });
    let report = report?;
    deleted.context("cleaning up")?;
    Ok(report)
}

fn connect(options: &Options) -> anyhow::Result<RawConnection> {
    let (host, port) = (&options.uri.host, options.uri.port);
    let mut control = RawConnection::open(&options.uri)
        .with_context(|| format!("connecting to {host}:{port}"))?;
    control.open_channel(CHANNEL)?;
    Ok(control)
}

/// Everything between declaring and deleting.
fn load(options: &Options, topology: &Topology) -> anyhow::Result<Report> {
    let consumers = (0..options.consumers).zip(topology.queues.iter().cycle());
    let consumers: Vec<_> = consumers
        .map(|(_, target)| Consumer::open(options, &target.queue))
        .collect::<anyhow::Result<_>>()?;
    let publishers: Vec<_> = (0..options.publishers)
        .map(|index| Publisher::open(options, topology, index))
        .collect::<anyhow::Result<_>>()?;

    let flow = Flow::default();
    thread::scope(|scope| {
        let spawn_consumer =
            |consumer: Consumer| scope.spawn(|| failing(&flow, consumer.run(&flow)));
        let consumers: Vec<_> = consumers.into_iter().map(spawn_consumer).collect();
        let start = Moment::now(options, &flow);
        let spawn_publisher =
            |publisher: Publisher| scope.spawn(|| failing(&flow, publisher.run(&flow)));
        let publishers: Vec<_> = publishers.into_iter().map(spawn_publisher).collect();

        let measured = measure(options, &flow, start, &publishers);
        flow.stop();
        let published = join(publishers);
        drain(options, &flow);
        let measured = measured.and_then(|(start, end)| {
            // Where the number of messages decides, their delivery is part of the time.
            let end = if options.messages.is_some() { Moment::now(options, &flow)? } else { end };
            Ok(end.since(&start))
        });
        thread::sleep(DOUBLES_WAIT);
        flow.end();
        published.and(join(consumers))?;
        let Counts { published, received, nacked } = flow.counts();
        let expected = published * options.copies();
        Ok(Report { span: measured?, published, expected, received, nacked })
    })
}

/// Waits for the warm-up and the measured time, or until the publishers are done.
fn measure(
    options: &Options,
    flow: &Flow,
    start: anyhow::Result<Moment>,
    publishers: &[ScopedJoinHandle<'_, anyhow::Result<()>>],
) -> anyhow::Result<(Moment, Moment)> {
    let over = || flow.stopping() || publishers.iter().all(ScopedJoinHandle::is_finished);
    let Some(duration) = options.duration() else {
        while !over() {
            thread::sleep(TICK);
        }
        return Ok((start?, Moment::now(options, flow)?));
    };
    sleep_until(options.warmup(), over);
    let start = Moment::now(options, flow)?;
    sleep_until(duration, over);
    Ok((start, Moment::now(options, flow)?))
}

fn sleep_until(duration: Duration, over: impl Fn() -> bool) {
    let begin = now();
    while begin.elapsed() < duration && !over() {
        thread::sleep(TICK.min(duration));
    }
}

/// Waits until all that was published has arrived, or nothing arrives any more.
fn drain(options: &Options, flow: &Flow) {
    let (mut received, mut heard) = (0, now());
    while heard.elapsed() < SILENCE_MAX && !flow.has_failed() {
        let counts = flow.counts();
        if counts.received >= counts.published * options.copies() {
            return;
        }
        if counts.received > received {
            (received, heard) = (counts.received, now());
        }
        thread::sleep(TICK);
    }
}

/// Ends the run for all where one thread failed.
fn failing(flow: &Flow, result: anyhow::Result<()>) -> anyhow::Result<()> {
    if result.is_err() {
        flow.fail();
    }
    result
}

fn join(threads: Vec<ScopedJoinHandle<'_, anyhow::Result<()>>>) -> anyhow::Result<()> {
    threads.into_iter().try_for_each(|thread| {
        thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
    })
}

/// Counters, clock and processor times at one moment.
struct Moment {
    at: Instant,
    counts: Counts,
    broker_cpu_s: Option<f64>,
    own_cpu_s: f64,
}

impl Moment {
    fn now(options: &Options, flow: &Flow) -> anyhow::Result<Self> {
        let broker = options.pid.map(|id| Process::by_id(id).cpu_seconds()).transpose()?;
        let own_cpu_s = Process::own().cpu_seconds()?;
        Ok(Self { at: now(), counts: flow.counts(), broker_cpu_s: broker, own_cpu_s })
    }

    fn since(&self, start: &Self) -> Span {
        Span {
            seconds: (self.at - start.at).as_secs_f64(),
            published: self.counts.published - start.counts.published,
            received: self.counts.received - start.counts.received,
            broker_cpu_s: self.broker_cpu_s.zip(start.broker_cpu_s).map(|(end, start)| end - start),
            own_cpu_s: self.own_cpu_s - start.own_cpu_s,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
