//! A publisher: one connection that writes batches, as fast as it may.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use shunt_amqp_codec::method::{ConfirmSelect, ConfirmSelectOk};

use crate::answers::Answers;
use crate::batch::Batch;
use crate::clock::now_ns;
use crate::connection::{Connection, ConnectionError, Filled, Inbox, Writer};
use crate::flow::Flow;
use crate::latency::Latencies;
use crate::pace::Pace;
use crate::scenario::Scenario;
use crate::stamp::Number;
use crate::topology::{CHANNEL, Target, Topology};

/// How long to sleep while too much is on its way: far less than the consumers need for that.
const ROOM_WAIT: Duration = Duration::from_micros(300);

/// Sleeps without room after which a publisher looks whether the broker closed its channel:
/// nothing else would tell it why.
const ROOM_WAITS_MAX: u32 = 1000;

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
        connection.inbox.set_timeout(if aside {
            ASIDE_TIMEOUT
        } else if answered {
            CONFIRM_TIMEOUT
        } else {
            CLOSE_TIMEOUT
        })?;
        let pump = Pump {
            writer: connection.writer(),
            batch,
            size: scenario.size,
            next: Number { producer: index, sequence: 0 },
            quota: scenario.pmessages.unwrap_or(u64::MAX),
            pace: scenario.rate.map(Pace::new),
            copies,
            in_flight_max,
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
                let reader = scope.spawn(|| read_aside(inbox, answers, flow, &done));
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
            if self.connection.is_bare() { Ok(()) } else { Ok(self.connection.close()?) }
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
}

impl Pump {
    /// Writes until the quota is used up or the run stops; reads `inbox` where it is given.
    fn run(
        &mut self,
        mut inbox: Option<&mut Inbox>,
        answers: &Mutex<Answers>,
        flow: &Flow,
    ) -> anyhow::Result<()> {
        let mut waits = 0;
        while !flow.stopping() && self.quota > 0 {
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
                thread::sleep(ROOM_WAIT);
                waits += 1;
                if let Some(inbox) = &mut inbox
                    && waits % ROOM_WAITS_MAX == 0
                {
                    look_for_close(inbox)?;
                }
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
            crate::clock::elapsed(begin) < CONFIRM_TIMEOUT,
            "no confirm within {} s",
            CONFIRM_TIMEOUT.as_secs()
        );
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// An error if the broker closed the channel or the connection.
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
