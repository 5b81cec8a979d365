//! A publisher: one connection that writes batches, as fast as it may.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use shunt_amqp_codec::method::{BasicReturn, ConfirmSelect, ConfirmSelectOk};

use crate::answers::Answers;
use crate::batch::Batch;
use crate::clock::{elapsed, now_ns};
use crate::connection::{Connection, ConnectionError, Filled, Inbox, Writer, is_method};
use crate::flow::Flow;
use crate::latency::Latencies;
use crate::pace::Pace;
use crate::scenario::Scenario;
use crate::stamp::Number;
use crate::topology::{CHANNEL, Target, Topology};

/// How long to sleep while too much is on its way: far less than the consumers need for that.
const ROOM_WAIT: Duration = Duration::from_micros(300);

/// How long nothing may arrive while no more may be on its way: what is missing then is lost, and
/// waiting for it would have no end.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a confirm may take.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a thread that reads confirms aside waits before it looks whether the run is over.
const ASIDE_TIMEOUT: Duration = Duration::from_millis(50);

/// How long to look for a close that came before a write failed.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(20);

/// A connection that publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    connection: Connection,
    answers: Mutex<Answers>,
    /// Whether answers are read on a thread of their own: at a fixed rate a confirm is to be seen
    /// when it comes, not when the next message is due.
    aside: bool,
    pump: Pump,
}

/// What a publisher leaves behind.
#[derive(Debug)]
pub(crate) struct Published {
    /// From publish to confirm.
    pub(crate) confirms: Latencies,
    /// Messages that it wrote.
    pub(crate) messages: u64,
    pub(crate) result: anyhow::Result<()>,
}

impl Publisher {
    /// Connects publisher number `index` and encodes its messages.
    pub(crate) fn open(
        scenario: &Scenario,
        topology: &Topology,
        index: u16,
    ) -> anyhow::Result<Self> {
        let mut connection = Connection::open(&scenario.uri)?;
        connection.open_channel(CHANNEL)?;
        if scenario.confirm.is_some() {
            connection
                .call(CHANNEL, ConfirmSelect { no_wait: false }, ConfirmSelectOk::ID)
                .context("asking for confirms")?;
        }
        Self::on(connection, scenario, topology, index)
    }

    /// Publishes on a connection that is ready for it.
    pub(crate) fn on(
        connection: Connection,
        scenario: &Scenario,
        topology: &Topology,
        index: u16,
    ) -> anyhow::Result<Self> {
        let targets = targets(topology, scenario.producers, index);
        let (copies, in_flight_max) = (scenario.copies(), scenario.in_flight_max());
        let messages_max = (in_flight_max / copies.max(1) / 2).max(1);
        let exchange = &topology.exchange;
        let batch = Batch::encode(scenario, exchange, &targets, connection.frame_max, messages_max);
        let answered = scenario.confirm.is_some() || scenario.mandatory();
        let aside = answered && (scenario.rate.is_some() || scenario.mandatory());
        connection.inbox.set_timeout(if aside { ASIDE_TIMEOUT } else { CONFIRM_TIMEOUT })?;
        let pump = Pump {
            writer: connection.writer(),
            batch,
            size: scenario.size,
            next: Number { producer: index, sequence: 0 },
            quota: scenario.pmessages.unwrap_or(u64::MAX),
            pace: scenario.rate.map(Pace::new),
            copies,
            in_flight_max,
            stalled: None,
        };
        let answers = Mutex::new(Answers::new(scenario.confirm));
        Ok(Self { connection, answers, aside, pump })
    }

    /// Octets of a message with all its frames.
    pub(crate) fn message_length(&self) -> usize {
        self.pump.batch.message_length()
    }

    /// Publishes until the quota is used up or the run stops; then waits for its confirms.
    pub(crate) fn run(mut self, flow: &Flow) -> Published {
        let (answers, inbox) = (&self.answers, &mut self.connection.inbox);
        let result = if self.aside {
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let read = read_aside(inbox, answers, flow, &done);
                    if read.is_err() {
                        // Who writes would learn of it from a broken socket only, or never.
                        flow.fail();
                    }
                    read
                });
                let published = self.pump.run(None, answers, flow);
                let confirmed = published.and_then(|()| await_confirms(answers, flow, &reader));
                done.store(true, Ordering::Relaxed);
                let read = reader.join();
                let read = read.unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")));
                // What the broker said explains more than a broken socket.
                read.and(confirmed)
            })
        } else {
            let published = self.pump.run(Some(&mut *inbox), answers, flow);
            published.and_then(|()| read_confirms(inbox, answers, flow))
        };
        let result = result.and_then(|()| {
            // A relay says no goodbye.
            if self.connection.is_bare() {
                return Ok(());
            }
            // What the broker had to say until then still counts.
            self.connection.close_with(|frame| {
                if is_method(frame, BasicReturn::ID) {
                    flow.returned(1);
                }
            })?;
            Ok(())
        });
        let confirms = self.answers.into_inner().latencies;
        Published { confirms, messages: self.pump.next.sequence, result }
    }
}

/// The writing side of a publisher.
#[derive(Debug)]
struct Pump {
    writer: Writer,
    batch: Batch,
    /// Octets of a body.
    size: u32,
    /// The next message's number.
    next: Number,
    /// Messages that are still to be published.
    quota: u64,
    pace: Option<Pace>,
    copies: u64,
    in_flight_max: u64,
    /// While there is no room: how many messages had arrived, and since when no other one has.
    stalled: Option<(u64, u64)>,
}

impl Pump {
    /// Writes until the quota is used up or the run stops; reads `inbox` where it is given.
    fn run(
        &mut self,
        mut inbox: Option<&mut Inbox>,
        answers: &Mutex<Answers>,
        flow: &Flow,
    ) -> anyhow::Result<()> {
        while !flow.stopping() && self.quota > 0 {
            if let Some(inbox) = &mut inbox
                && inbox.fill_with_what_came()? == Filled::Bytes
            {
                answers.lock().take(inbox, flow)?;
            }
            let due = self.pace.as_mut().map_or(u64::MAX, |pace| pace.due(now_ns()));
            let window = answers.lock().room();
            let messages = self.batch.available(self.quota.min(due).min(window));
            if messages == 0 {
                match (&mut inbox, &self.pace) {
                    (Some(inbox), _) if window == 0 => wait_for_answers(inbox, answers, flow)?,
                    (_, Some(pace)) if due == 0 => thread::sleep(pace.until_due(now_ns())),
                    _ => thread::sleep(ROOM_WAIT),
                }
            } else if self.has_room(messages, flow) {
                self.write(messages, answers, flow, &mut inbox)?;
            } else {
                self.wait_for_room(flow)?;
            }
        }
        Ok(())
    }

    /// Whether so many more messages may be on their way.
    fn has_room(&self, messages: u64, flow: &Flow) -> bool {
        if self.in_flight_max == u64::MAX {
            return true;
        }
        let counts = flow.counts();
        let on_the_way = (counts.deliverable() * self.copies).saturating_sub(counts.received);
        on_the_way + messages * self.copies <= self.in_flight_max
    }

    /// Sleeps a moment; an error if messages have not arrived for so long that none will.
    fn wait_for_room(&mut self, flow: &Flow) -> anyhow::Result<()> {
        let received = flow.counts().received;
        match self.stalled {
            Some((before, since_ns)) if before == received => anyhow::ensure!(
                elapsed(since_ns) < ARRIVAL_TIMEOUT,
                "nothing arrived for {} s, and no more than --in-flight may be on its way",
                ARRIVAL_TIMEOUT.as_secs()
            ),
            _ => self.stalled = Some((received, now_ns())),
        }
        thread::sleep(ROOM_WAIT);
        Ok(())
    }

    fn write(
        &mut self,
        messages: u64,
        answers: &Mutex<Answers>,
        flow: &Flow,
        inbox: &mut Option<&mut Inbox>,
    ) -> anyhow::Result<()> {
        let now_ns = now_ns();
        flow.publishing(messages);
        answers.lock().published(messages, now_ns);
        let bytes = self.batch.take(messages, self.size, now_ns, self.next);
        if let Err(error) = self.writer.send(bytes) {
            // A close that the broker sent says more than the broken socket.
            if let Some(inbox) = inbox {
                look_for_close(inbox)?;
            }
            return Err(error).context("publishing");
        }
        self.stalled = None;
        self.next.sequence += messages;
        self.quota -= messages;
        if let Some(pace) = &mut self.pace {
            pace.sent(messages);
        }
        Ok(())
    }
}

/// Waits for answers and takes all that came.
fn wait_for_answers(
    inbox: &mut Inbox,
    answers: &Mutex<Answers>,
    flow: &Flow,
) -> anyhow::Result<()> {
    if inbox.fill()? == Filled::TimedOut {
        anyhow::bail!("no confirm within {} s", CONFIRM_TIMEOUT.as_secs());
    }
    answers.lock().take(inbox, flow)
}

/// Reads until every message is confirmed.
fn read_confirms(inbox: &mut Inbox, answers: &Mutex<Answers>, flow: &Flow) -> anyhow::Result<()> {
    while answers.lock().unsettled() > 0 && !flow.has_failed() {
        wait_for_answers(inbox, answers, flow)?;
    }
    Ok(())
}

/// Reads answers until the publisher is done.
fn read_aside(
    inbox: &mut Inbox,
    answers: &Mutex<Answers>,
    flow: &Flow,
    done: &AtomicBool,
) -> anyhow::Result<()> {
    while !done.load(Ordering::Relaxed) {
        if inbox.fill()? == Filled::Bytes {
            answers.lock().take(inbox, flow)?;
        }
    }
    Ok(())
}

/// Waits until another thread has read every confirm, or has ended.
fn await_confirms<T>(
    answers: &Mutex<Answers>,
    flow: &Flow,
    reader: &thread::ScopedJoinHandle<'_, T>,
) -> anyhow::Result<()> {
    let begin = now_ns();
    while answers.lock().unsettled() > 0 && !flow.has_failed() && !reader.is_finished() {
        anyhow::ensure!(
            elapsed(begin) < CONFIRM_TIMEOUT,
            "no confirm within {} s",
            CONFIRM_TIMEOUT.as_secs()
        );
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// After a write has failed: an error if the broker closed the channel or the connection.
fn look_for_close(inbox: &mut Inbox) -> Result<(), ConnectionError> {
    inbox.set_timeout(CLOSE_TIMEOUT)?;
    if inbox.fill()? == Filled::Bytes {
        while let Some(frame) = inbox.peek()? {
            crate::connection::refuse_close(&frame)?;
            inbox.skip_frame()?;
        }
    }
    Ok(())
}

/// The queues that publisher `index` of `publishers` publishes to: one of them if there are more
/// publishers than queues, else its share.
fn targets(topology: &Topology, publishers: u16, index: u16) -> Vec<Target> {
    let (queues, publishers, index) = (&topology.queues, publishers as usize, index as usize);
    let step = publishers.min(queues.len());
    let targets = queues.iter().skip(index % queues.len()).step_by(step);
    let share = if publishers >= queues.len() { 1 } else { usize::MAX };
    targets.take(share).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::scenario;

    #[test]
    fn queues_are_shared_out() {
        let check = |queues: u32, publishers, index, expected: &[&str]| {
            let line = format!(
                "--queue-pattern %d --queue-pattern-from 0 --queue-pattern-to {}",
                queues - 1
            );
            let topology = Topology::plan(&scenario(&line)).unwrap();
            let found = targets(&topology, publishers, index);
            let found: Vec<_> = found.iter().map(|target| target.queue.as_str()).collect();
            assert_eq!(found, expected, "{publishers} publishers, {queues} queues, {index}");
        };
        check(1, 1, 0, &["0"]);
        check(4, 4, 2, &["2"]);
        check(2, 3, 2, &["0"]);
        check(5, 2, 1, &["1", "3"]);
    }
}
