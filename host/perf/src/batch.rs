//! A publisher's messages, encoded once and written again and again.

use std::ops::Range;

use shunt_amqp_codec::method::BasicPublish;
use shunt_amqp_codec::{CLASS_BASIC, ContentHeader, Frame, FrameKind, put_method};

use crate::scenario::Scenario;
use crate::stamp::{self, Number, STAMP_LENGTH};
use crate::topology::{CHANNEL, Target};

/// Octets of a frame that are not payload.
const FRAME_OVERHEAD: usize = 8;

/// Encoded messages in a row.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    messages: Vec<Place>,
    /// The message that is written next.
    next: usize,
    /// Messages that may be written at once.
    write_max: u64,
}

/// Where a message stands in the bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    end: usize,
    /// Where its stamp stands.
    stamp: usize,
}

impl Batch {
    /// Messages to each of the targets in turn: as many as `--batch` octets hold, but at least one
    /// to each target. At most `messages_max` are written at once.
    pub(crate) fn encode(
        scenario: &Scenario,
        exchange: &str,
        targets: &[Target],
        frame_max: u32,
        messages_max: u64,
    ) -> Self {
        let (bytes, messages) = (Vec::new(), Vec::new());
        let mut batch = Self { bytes, messages, next: 0, write_max: messages_max };
        for (index, target) in targets.iter().cycle().enumerate() {
            let whole_rounds = index % targets.len() == 0;
            let full = batch.bytes.len() >= scenario.batch || index as u64 >= messages_max;
            if index > 0 && whole_rounds && full {
                break;
            }
            batch.push(scenario, exchange, target, index, frame_max);
        }
        batch
    }

    fn push(
        &mut self,
        scenario: &Scenario,
        exchange: &str,
        target: &Target,
        index: usize,
        frame_max: u32,
    ) {
        let key =
            if scenario.random_routing_key { scattered(index) } else { target.routing_key.clone() };
        let publish = BasicPublish {
            exchange,
            routing_key: &key,
            mandatory: scenario.mandatory(),
            immediate: false,
        };
        put_method(&mut self.bytes, CHANNEL, publish);

        let size = scenario.size as usize;
        let mut properties = Vec::new();
        target.properties.encode(&mut properties);
        let header =
            ContentHeader { class: CLASS_BASIC, body_size: size as u64, properties: &properties };
        let mut payload = Vec::new();
        header.encode(&mut payload);
        let frame = Frame { kind: FrameKind::Header, channel: CHANNEL, payload: &payload };
        frame.encode(&mut self.bytes);

        // The stamp stands in the first body frame, behind the head of seven octets.
        let stamp = self.bytes.len() + FRAME_OVERHEAD - 1;
        let body = vec![b'x'; size];
        for part in body.chunks(frame_max as usize - FRAME_OVERHEAD) {
            let frame = Frame { kind: FrameKind::Body, channel: CHANNEL, payload: part };
            frame.encode(&mut self.bytes);
        }
        let end = self.bytes.len();
        self.messages.push(Place { end, stamp: stamp.min(end) });
    }

    /// Octets of the first message.
    pub(crate) fn message_length(&self) -> usize {
        self.messages[0].end
    }

    /// The next messages, at most `max`, no more than may be written at once, and not beyond the
    /// end of the batch: how many they are.
    pub(crate) fn available(&self, max: u64) -> u64 {
        max.min(self.write_max).min((self.messages.len() - self.next) as u64)
    }

    /// Stamps the next `count` messages and returns their bytes.
    pub(crate) fn take(&mut self, count: u64, size: u32, time_ns: u64, first: Number) -> &[u8] {
        let range = self.next..self.next + count as usize;
        let stamp_length = STAMP_LENGTH.min(size as usize);
        let mut number = first;
        for place in &self.messages[range.clone()] {
            let body = &mut self.bytes[place.stamp..place.stamp + stamp_length];
            stamp::write(body, time_ns, number);
            number.sequence += 1;
        }
        self.next = if range.end == self.messages.len() { 0 } else { range.end };
        let Range { start, end } = range;
        let start = if start == 0 { 0 } else { self.messages[start - 1].end };
        &self.bytes[start..self.messages[end - 1].end]
    }
}

/// Routing keys of the same length without any order in them.
fn scattered(index: usize) -> String {
    // The multiplier of Knuth's multiplicative hash: neighbours end up far from each other.
    let scattered = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{scattered:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::scenario;
    use crate::topology::Topology;

    fn batch(line: &str, messages_max: u64) -> Batch {
        let scenario = scenario(line);
        let topology = Topology::plan(&scenario).unwrap();
        Batch::encode(&scenario, &topology.exchange, &topology.queues, 4096, messages_max)
    }

    #[test]
    fn every_queue_has_its_share_of_a_batch() {
        assert_eq!(batch("--queues 3 --batch 1", 100).messages.len(), 3);
        let narrow = batch("--queues 3 --batch 1", 2);
        assert_eq!((narrow.messages.len(), narrow.available(100)), (3, 2));
        assert_eq!(batch("--batch 1", 100).messages.len(), 1);
        let large = batch("--batch 65536 -s 1024", 1000);
        assert!((50..65).contains(&large.messages.len()), "{}", large.messages.len());
    }

    #[test]
    fn messages_leave_in_a_circle_with_their_numbers() {
        let mut batch = batch("--batch 1 --queues 3 -s 16", 3);
        let mut sequence = 0;
        let mut numbers = Vec::new();
        for max in [2, 2, 3] {
            let count = batch.available(max);
            let bytes = batch.take(count, 16, 9, Number { producer: 1, sequence }).to_vec();
            sequence += count;
            let mut rest = &bytes[..];
            while let Some((frame, length)) = Frame::parse(rest, 4096).unwrap() {
                if frame.kind == FrameKind::Body {
                    assert_eq!(stamp::time_ns(frame.payload), Some(9));
                    numbers.push(stamp::number(frame.payload).unwrap().sequence);
                }
                rest = &rest[length..];
            }
            assert!(rest.is_empty());
        }
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn an_empty_body_has_no_frame_and_no_stamp() {
        let number = Number { producer: 0, sequence: 0 };
        let mut batch = batch("-s 0", 1);
        let bytes = batch.take(1, 0, 1, number);
        let (_, method) = Frame::parse(bytes, 4096).unwrap().unwrap();
        let (header, length) = Frame::parse(&bytes[method..], 4096).unwrap().unwrap();
        assert_eq!((header.kind, method + length), (FrameKind::Header, bytes.len()));
    }

    #[test]
    fn a_body_longer_than_a_frame_is_split() {
        let mut batch = batch("-s 5000", 1);
        let bytes = batch.take(1, 5000, 7, Number { producer: 0, sequence: 0 }).to_vec();
        let mut bodies = Vec::new();
        let mut rest = &bytes[..];
        while let Some((frame, length)) = Frame::parse(rest, 4096).unwrap() {
            if frame.kind == FrameKind::Body {
                bodies.push(frame.payload);
            }
            rest = &rest[length..];
        }
        assert_eq!(bodies.iter().map(|body| body.len()).collect::<Vec<_>>(), [4088, 912]);
        assert_eq!(stamp::time_ns(bodies[0]), Some(7));
        assert!(bodies[1].iter().all(|&octet| octet == b'x'));
    }
}
