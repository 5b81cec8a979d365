//! Publisher confirms of one channel: which publishes are answered, and in how few methods.
//!
//! One `multiple` ack says everything below the smallest publish that still waits, single acks
//! and nacks say the rest (RabbitMQ, `rabbit_channel`).

use std::collections::BTreeMap;

use shunt_amqp_codec::method::{BasicAck, BasicNack};
use shunt_amqp_codec::{Output, put_method};

/// Bits of a token that hold the channel's number and which channel of that number it is; the
/// rest is the publish's number.
const SEQUENCE_BITS: u32 = 40;
const INCARNATION_BITS: u32 = 8;

/// The confirms of one channel.
pub(crate) struct Confirms {
    number: u16,
    incarnation: u64,
    /// The number of the last publish.
    last: u64,
    /// Publishes that wait: answers to come, and whether one was a refusal.
    waiting: BTreeMap<u64, (u32, bool)>,
    acked: Vec<u64>,
    nacked: Vec<u64>,
}

/// The channel that a token belongs to.
pub(crate) fn channel_of(token: u64) -> u16 {
    (token >> (SEQUENCE_BITS + INCARNATION_BITS)) as u16
}

impl Confirms {
    pub(crate) fn new(number: u16, incarnation: u64) -> Self {
        let incarnation = incarnation & ((1 << INCARNATION_BITS) - 1);
        Self {
            number,
            incarnation,
            last: 0,
            waiting: BTreeMap::new(),
            acked: Vec::new(),
            nacked: Vec::new(),
        }
    }

    /// Counts a publish, and answers the token that its answers carry.
    pub(crate) fn next_token(&mut self) -> u64 {
        self.last += 1;
        self.token(self.last)
    }

    fn token(&self, sequence: u64) -> u64 {
        let channel = u64::from(self.number) << INCARNATION_BITS | self.incarnation;
        channel << SEQUENCE_BITS | (sequence & ((1 << SEQUENCE_BITS) - 1))
    }

    /// The last publish is answered by so many queues yet.
    pub(crate) fn published(&mut self, pending: u32, rejected: bool) {
        match (pending, rejected) {
            (0, false) => self.acked.push(self.last),
            (0, true) => self.nacked.push(self.last),
            _ => {
                self.waiting.insert(self.last, (pending, rejected));
            }
        }
    }

    /// One queue answered.
    pub(crate) fn answered(&mut self, token: u64, accepted: bool) {
        let sequence = token & ((1 << SEQUENCE_BITS) - 1);
        if self.token(sequence) != token {
            return;
        }
        let Some((pending, rejected)) = self.waiting.get_mut(&sequence) else { return };
        *pending -= 1;
        *rejected |= !accepted;
        if *pending == 0 {
            let list = if *rejected { &mut self.nacked } else { &mut self.acked };
            list.push(sequence);
            self.waiting.remove(&sequence);
        }
    }

    /// Writes the answers that are due, and how many publishes they answer.
    pub(crate) fn write(&mut self, out: &mut impl Output) -> u64 {
        let answered = (self.acked.len() + self.nacked.len()) as u64;
        self.acked.sort_unstable();
        let oldest_waiting = self.waiting.keys().next().copied().unwrap_or(u64::MAX);
        let oldest_nacked = self.nacked.iter().min().copied().unwrap_or(u64::MAX);
        let covered = self.acked.partition_point(|&n| n < oldest_waiting.min(oldest_nacked));
        let mut single = &self.acked[..];
        if covered > 1 {
            let ack = BasicAck { delivery_tag: self.acked[covered - 1], multiple: true };
            put_method(out, self.number, ack);
            single = &self.acked[covered..];
        }
        for &delivery_tag in single {
            put_method(out, self.number, BasicAck { delivery_tag, multiple: false });
        }
        for &delivery_tag in &self.nacked {
            let nack = BasicNack { delivery_tag, multiple: false, requeue: false };
            put_method(out, self.number, nack);
        }
        self.acked.clear();
        self.nacked.clear();
        answered
    }
}

#[cfg(test)]
mod tests {
    use shunt_amqp_codec::{Frame, Method};

    use super::*;

    /// What is written, as `+n` for an ack, `+n*` with `multiple`, `-n` for a nack.
    fn written(confirms: &mut Confirms) -> String {
        let mut bytes = Vec::new();
        confirms.write(&mut bytes);
        let mut rest = &bytes[..];
        let mut texts = Vec::new();
        while let Some((frame, size)) = Frame::parse(rest, 8192).unwrap() {
            texts.push(match Method::decode(frame.payload).unwrap() {
                Method::BasicAck(ack) if ack.multiple => format!("+{}*", ack.delivery_tag),
                Method::BasicAck(ack) => format!("+{}", ack.delivery_tag),
                Method::BasicNack(nack) => format!("-{}", nack.delivery_tag),
                other => panic!("{}", other.name()),
            });
            rest = &rest[size..];
        }
        texts.join(" ")
    }

    #[test]
    fn what_is_answered_at_once_needs_one_method() {
        let mut confirms = Confirms::new(1, 0);
        for _ in 0..3 {
            confirms.next_token();
            confirms.published(0, false);
        }
        assert_eq!(written(&mut confirms), "+3*");
        assert_eq!(written(&mut confirms), "");
    }

    #[test]
    fn multiple_stops_below_what_still_waits_and_below_a_nack() {
        let mut confirms = Confirms::new(1, 0);
        let publish = |confirms: &mut Confirms, pending, rejected| {
            let token = confirms.next_token();
            confirms.published(pending, rejected);
            token
        };
        publish(&mut confirms, 0, false);
        publish(&mut confirms, 0, false);
        let waiting = publish(&mut confirms, 2, false);
        publish(&mut confirms, 0, false);
        assert_eq!(written(&mut confirms), "+2* +4");
        confirms.answered(waiting, true);
        assert_eq!(written(&mut confirms), "");
        confirms.answered(waiting, false);
        publish(&mut confirms, 0, false);
        assert_eq!(written(&mut confirms), "+5 -3");
    }

    #[test]
    fn answers_for_an_earlier_channel_of_the_same_number_are_nobodys() {
        let mut old = Confirms::new(7, 1);
        let stale = old.next_token();
        assert_eq!(channel_of(stale), 7);
        let mut new = Confirms::new(7, 2);
        new.next_token();
        new.published(1, false);
        new.answered(stale, true);
        assert_eq!(written(&mut new), "");
    }
}
