//! A publisher: one connection that writes the same batch of frames again and again.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use shunt_tests::amqp_raw::{
    Args, Fields, Filled, RawConnection, RawError, method, push_content, push_method,
};

use crate::flow::Flow;
use crate::options::Options;
use crate::topology::{CHANNEL, Target, Topology};

/// How long to sleep while too much is on its way: far less than the consumers need for that.
const ROOM_WAIT: Duration = Duration::from_micros(300);

/// Sleeps without room after which a publisher looks whether the broker closed its channel:
/// nothing else would tell it why.
const ROOM_WAITS_MAX: u32 = 1000;

/// How long a confirm may take.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

const CLOSE_TIMEOUT: Duration = Duration::from_millis(20);

/// A batch of encoded messages, all of the same length.
#[derive(Debug)]
struct Batch {
    bytes: Vec<u8>,
    message_length: usize,
    messages: u64,
}

/// A connection that publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    connection: RawConnection,
    batch: Batch,
    /// Messages that are still to be published; `None` to go on until told to stop.
    quota: Option<u64>,
    confirms: Option<Window>,
    copies: u64,
    in_flight_max: u64,
}

impl Publisher {
    /// Connects publisher number `index` and encodes its messages.
    pub(crate) fn open(options: &Options, topology: &Topology, index: u32) -> anyhow::Result<Self> {
        let mut connection = RawConnection::open(&options.uri)?;
        connection.open_channel(CHANNEL)?;
        if options.confirms.is_some() {
            let select = Args::new().bits(&[false]);
            let answer = method::CONFIRM_SELECT_OK;
            connection.call(CHANNEL, method::CONFIRM_SELECT, &select, answer)?;
            connection.set_read_timeout(CONFIRM_TIMEOUT)?;
        } else {
            connection.set_read_timeout(CLOSE_TIMEOUT)?;
        }
        let targets = targets(topology, options.publishers, index);
        let (copies, in_flight_max) = (options.copies(), options.in_flight_max());
        let batch_max = (in_flight_max / copies / 2).max(1);
        let batch =
            Batch::encode(options, &topology.exchange, &targets, connection.frame_max(), batch_max);
        let (publishers, index) = (u64::from(options.publishers), u64::from(index));
        // What does not divide evenly falls to the first publishers.
        let quota = options.messages.map(|all| (all + publishers - 1 - index) / publishers);
        let confirms = options.confirms.map(Window::new);
        Ok(Self { connection, batch, quota, confirms, copies, in_flight_max })
    }

    /// Publishes until the quota is used up or the run stops; then waits for its confirms.
    pub(crate) fn run(mut self, flow: &Flow) -> anyhow::Result<()> {
        while !flow.stopping() {
            let mut messages = self.batch.messages.min(self.quota.unwrap_or(u64::MAX));
            if messages == 0 {
                break;
            }
            if let Some(window) = &self.confirms {
                messages = messages.min(window.room());
            }
            if messages == 0 {
                self.read_confirms(flow)?;
            } else if self.wait_for_room(messages, flow)? {
                flow.publishing(messages);
                self.write(messages)?;
            }
        }
        while self.confirms.as_ref().is_some_and(|window| !window.outstanding.is_empty()) {
            if flow.has_failed() {
                return Ok(());
            }
            self.read_confirms(flow)?;
        }
        Ok(self.connection.close()?)
    }

    fn write(&mut self, messages: u64) -> anyhow::Result<()> {
        let length = self.batch.message_length * messages as usize;
        if let Err(error) = self.connection.send(&self.batch.bytes[..length]) {
            // A close that the broker sent says more than the broken socket.
            self.look_for_close()?;
            return Err(error).context("publishing");
        }
        if let Some(window) = &mut self.confirms {
            window.published(messages);
        }
        if let Some(quota) = &mut self.quota {
            *quota -= messages;
        }
        Ok(())
    }

    /// Waits until so many more messages may be on their way; `false` if the run stops first.
    fn wait_for_room(&mut self, messages: u64, flow: &Flow) -> anyhow::Result<bool> {
        let mut waits = 0;
        loop {
            let counts = flow.counts();
            let on_the_way = (counts.published * self.copies).saturating_sub(counts.received);
            if on_the_way + messages * self.copies <= self.in_flight_max {
                return Ok(true);
            }
            if flow.stopping() {
                return Ok(false);
            }
            thread::sleep(ROOM_WAIT);
            waits += 1;
            if waits % ROOM_WAITS_MAX == 0 && self.confirms.is_none() {
                self.look_for_close()?;
            }
        }
    }

    /// An error if the broker closed the channel or the connection.
    fn look_for_close(&mut self) -> Result<(), RawError> {
        if self.connection.fill()? == Filled::TimedOut {
            return Ok(());
        }
        while let Some(frame) = self.connection.buffered_frame()? {
            frame.refuse_close()?;
        }
        Ok(())
    }

    /// Waits for confirms and takes all that came.
    fn read_confirms(&mut self, flow: &Flow) -> anyhow::Result<()> {
        let Some(window) = &mut self.confirms else { return Ok(()) };
        if self.connection.fill()? == Filled::TimedOut {
            anyhow::bail!("no confirm in {CONFIRM_TIMEOUT:?}");
        }
        while let Some(frame) = self.connection.buffered_frame()? {
            frame.refuse_close()?;
            let Some((method, args)) = frame.method() else { continue };
            let mut fields = Fields(args);
            if let (method::BASIC_ACK | method::BASIC_NACK, Some(tag), Some(multiple)) =
                (method, fields.longlong(), fields.octet())
            {
                let settled = window.settle(tag, multiple & 1 == 1)?;
                if method == method::BASIC_NACK {
                    flow.nacked(settled);
                }
            }
        }
        Ok(())
    }
}

/// The queues that publisher `index` of `publishers` publishes to: one of them if there are
/// more publishers than queues, else its share.
fn targets(topology: &Topology, publishers: u32, index: u32) -> Vec<Target> {
    let (queues, publishers, index) = (&topology.queues, publishers as usize, index as usize);
    let step = publishers.min(queues.len());
    let targets = queues.iter().skip(index % queues.len()).step_by(step);
    let share = if publishers >= queues.len() { 1 } else { usize::MAX };
    targets.take(share).cloned().collect()
}

impl Batch {
    fn encode(
        options: &Options,
        exchange: &str,
        targets: &[Target],
        frame_max: usize,
        batch_max: u64,
    ) -> Self {
        let body = vec![b'x'; options.size];
        let messages = targets.iter().map(|target| {
            let (mandatory, immediate) = (false, false);
            let publish = Args::new()
                .short(0)
                .shortstr(exchange)
                .shortstr(&target.routing_key)
                .bits(&[mandatory, immediate]);
            let mut bytes = Vec::new();
            push_method(&mut bytes, CHANNEL, method::BASIC_PUBLISH, &publish);
            let properties = properties(options.persistent, target);
            push_content(&mut bytes, CHANNEL, &properties, &body, frame_max);
            bytes
        });
        let messages: Vec<_> = messages.collect();
        // One write takes any number of messages off the front, so all are of one length.
        let message_length = messages[0].len();
        assert!(messages.iter().all(|message| message.len() == message_length));
        let rounds = (options.batch / message_length).div_ceil(messages.len()).max(1);
        let count = (rounds * messages.len()).min(batch_max as usize);
        let bytes = messages.iter().cycle().take(count).flatten().copied().collect();
        Self { bytes, message_length, messages: count as u64 }
    }
}

/// Property flags, headers if there are any, delivery mode.
fn properties(persistent: bool, target: &Target) -> Vec<u8> {
    const HEADERS: u16 = 1 << 13;
    const DELIVERY_MODE: u16 = 1 << 12;
    let delivery_mode = if persistent { 2 } else { 1 };
    let args = if target.headers.is_empty() {
        Args::new().short(DELIVERY_MODE)
    } else {
        Args::new().short(HEADERS | DELIVERY_MODE).table(&target.headers)
    };
    args.octet(delivery_mode).as_bytes().to_vec()
}

/// The messages that were published and not yet confirmed.
#[derive(Debug)]
struct Window {
    size: u64,
    /// Whether each is settled, beginning with the oldest that is not.
    outstanding: VecDeque<bool>,
    /// The delivery tag of the first of them.
    first_tag: u64,
    unsettled: u64,
}

impl Window {
    fn new(size: u32) -> Self {
        Self { size: size.into(), outstanding: VecDeque::new(), first_tag: 1, unsettled: 0 }
    }

    fn room(&self) -> u64 {
        self.size - self.unsettled
    }

    fn published(&mut self, messages: u64) {
        self.outstanding.extend((0..messages).map(|_| false));
        self.unsettled += messages;
    }

    /// Settles one message or all up to it; returns how many that were not settled before.
    fn settle(&mut self, tag: u64, multiple: bool) -> anyhow::Result<u64> {
        let end = (tag + 1).saturating_sub(self.first_tag) as usize;
        anyhow::ensure!(
            (1..=self.outstanding.len()).contains(&end),
            "confirm of delivery tag {tag}, outstanding are {} from {}",
            self.outstanding.len(),
            self.first_tag
        );
        let mut settled = 0;
        for index in if multiple { 0 } else { end - 1 }..end {
            settled += u64::from(!std::mem::replace(&mut self.outstanding[index], true));
        }
        anyhow::ensure!(settled > 0, "second confirm of delivery tag {tag}");
        self.unsettled -= settled;
        while self.outstanding.front() == Some(&true) {
            self.outstanding.pop_front();
            self.first_tag += 1;
        }
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_in_any_order_are_counted_once() {
        let mut window = Window::new(10);
        window.published(5);
        assert_eq!(window.settle(3, false).ok(), Some(1));
        assert_eq!(window.settle(1, false).ok(), Some(1));
        assert_eq!(window.room(), 7);
        // 2 and 4: 1 and 3 are settled.
        assert_eq!(window.settle(4, true).ok(), Some(2));
        assert_eq!(window.first_tag, 5);
        assert!(window.settle(4, false).is_err(), "settled before");
        assert!(window.settle(6, false).is_err(), "never published");
        assert_eq!(window.settle(5, true).ok(), Some(1));
        assert!(window.outstanding.is_empty());
    }

    #[test]
    fn queues_are_shared_out() {
        let check = |queues: u32, publishers, index, expected: &[u32]| {
            let target = |index: u32| Target {
                queue: index.to_string(),
                routing_key: String::new(),
                headers: Vec::new(),
            };
            let topology =
                Topology { exchange: String::new(), queues: (0..queues).map(target).collect() };
            let expected: Vec<_> = expected.iter().map(u32::to_string).collect();
            let found: Vec<_> =
                targets(&topology, publishers, index).into_iter().map(|t| t.queue).collect();
            assert_eq!(found, expected, "{publishers} publishers, {queues} queues, {index}");
        };
        check(1, 1, 0, &[0]);
        check(4, 4, 2, &[2]);
        check(2, 3, 2, &[0]);
        check(5, 2, 1, &[1, 3]);
    }
}
