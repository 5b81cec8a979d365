//! Where a consumer stands in the stream of frames: what it counts, and the acks that it owes.
//!
//! Bodies are passed over without waiting for the whole of their frame: nothing of them is looked
//! at behind the stamp.

use anyhow::Context as _;
use shunt_amqp_codec::method::{BasicAck, BasicDeliver, BasicPublish};
use shunt_amqp_codec::{ContentHeader, Frame, FrameKind, Method, put_method};
use shunt_types::limits::FRAME_MAX;

use crate::connection::{is_method, refuse_close};
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::stamp::{self, STAMP_LENGTH};
use crate::topology::CHANNEL;

const FRAME_HEAD: usize = 7;
const FRAME_END: u8 = 0xce;
const BODY: u8 = 3;

/// What a consumer has counted.
#[derive(Debug)]
pub(crate) struct Tally {
    /// `None` for automatic acks.
    ack_every: Option<u64>,
    /// The octets that each body must have.
    size: u64,
    /// Octets of the current frame that are still to be passed over, its end octet included.
    passing: usize,
    /// Octets of the current body whose frames have not begun.
    body_left: u64,
    /// Whether the next body frame is the first of its message.
    at_start: bool,
    deliveries: u64,
    /// The delivery tag of the current message.
    tag: u64,
    acked_tag: u64,
    pub(crate) acks: Vec<u8>,
    /// From publish to delivery.
    pub(crate) latencies: Latencies,
    /// When the current message was published, where more than one frame holds its body.
    stamp_ns: Option<u64>,
    /// Messages one after the other that were published at the same time.
    run: u64,
    run_time_ns: u64,
    pub(crate) ledger: Option<Ledger>,
    /// Messages that the run has published, for the ledger: whoever sets it, before what is taken
    /// was read.
    pub(crate) published: u64,
    /// Of the current message, for the ledger.
    queue: u32,
    redelivered: bool,
}

impl Tally {
    /// Nothing counted; an ack for `ack_every` deliveries, `None` for automatic ones.
    pub(crate) fn new(size: u32, ack_every: Option<u32>, ledger: Option<Ledger>) -> Self {
        Self {
            ack_every: ack_every.map(u64::from),
            size: size.into(),
            passing: 0,
            body_left: 0,
            at_start: false,
            deliveries: 0,
            tag: 0,
            acked_tag: 0,
            acks: Vec::new(),
            latencies: Latencies::new(),
            stamp_ns: None,
            run: 0,
            run_time_ns: 0,
            ledger,
            published: 0,
            queue: 0,
            redelivered: false,
        }
    }

    /// Takes what it can of the bytes; returns how many those are, and how many deliveries are
    /// complete with them. `now_ns` is when they were read, `None` while latencies do not count.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        now_ns: Option<u64>,
    ) -> anyhow::Result<(usize, u64)> {
        let before = self.deliveries;
        let mut position = 0;
        loop {
            let rest = &bytes[position..];
            let taken = if self.passing > 0 {
                self.pass(rest, now_ns)?
            } else if rest.first() == Some(&BODY) {
                self.begin_body(rest, now_ns)?
            } else {
                self.take_frame(rest, now_ns)?
            };
            if taken == 0 {
                break;
            }
            position += taken;
        }
        self.end_run(now_ns);
        Ok((position, self.deliveries - before))
    }

    /// Passes over a body frame's payload and its end octet.
    #[inline]
    fn pass(&mut self, rest: &[u8], now_ns: Option<u64>) -> anyhow::Result<usize> {
        let length = self.passing.min(rest.len());
        self.passing -= length;
        if self.passing == 0 {
            let end = rest[length - 1];
            anyhow::ensure!(end == FRAME_END, "a body frame ends with {end:#04x}");
            if self.body_left == 0 {
                self.complete(now_ns);
            }
        }
        Ok(length)
    }

    /// Takes the head of a body frame and its stamp; 0 where more bytes must come first.
    #[inline]
    fn begin_body(&mut self, rest: &[u8], now_ns: Option<u64>) -> anyhow::Result<usize> {
        let Some((head, payload)) = rest.split_first_chunk::<FRAME_HEAD>() else { return Ok(0) };
        let [_, _, _, s0, s1, s2, s3] = *head;
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        if self.at_start {
            let stamp_length = STAMP_LENGTH.min(size);
            if payload.len() < stamp_length {
                return Ok(0);
            }
            self.see(&payload[..stamp_length], size as u64 == self.body_left, now_ns);
        }
        self.at_start = false;
        self.body_left = self
            .body_left
            .checked_sub(size as u64)
            .context("a body is longer than its header announced")?;
        self.passing = size + 1;
        Ok(FRAME_HEAD)
    }

    /// Takes a frame that is no body; 0 where more bytes must come first.
    #[inline]
    fn take_frame(&mut self, rest: &[u8], now_ns: Option<u64>) -> anyhow::Result<usize> {
        let Some((frame, length)) = Frame::parse(rest, FRAME_MAX)? else { return Ok(0) };
        match frame.kind {
            FrameKind::Method => self.take_method(&frame)?,
            FrameKind::Header => {
                let header = ContentHeader::decode(frame.payload)?;
                let size = header.body_size;
                anyhow::ensure!(size == self.size, "a body of {size} octets was delivered");
                self.body_left = size;
                self.at_start = true;
                if size == 0 {
                    self.complete(now_ns);
                }
            }
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
        Ok(length)
    }

    #[inline]
    fn take_method(&mut self, frame: &Frame<'_>) -> anyhow::Result<()> {
        // Deliveries are looked at no closer than the run needs: who measures is on the clock.
        if self.ledger.is_none() {
            // What a relay brings is as it was published.
            if is_method(frame, BasicPublish::ID) {
                return Ok(());
            }
            if is_method(frame, BasicDeliver::ID) {
                if self.ack_every.is_some() {
                    self.tag = delivery_tag(frame.payload).context("a cut basic.deliver")?;
                }
                return Ok(());
            }
        }
        match Method::decode(frame.payload)? {
            Method::BasicDeliver(deliver) => {
                self.tag = deliver.delivery_tag;
                self.redelivered = deliver.redelivered;
                self.queue = deliver.consumer_tag.parse().unwrap_or(0);
            }
            Method::BasicCancel(cancel) => {
                anyhow::bail!("the broker cancelled consumer {}", cancel.consumer_tag);
            }
            _ => refuse_close(frame)?,
        }
        Ok(())
    }

    /// Reads a message's stamp, whose latency counts until its body is complete.
    #[inline]
    fn see(&mut self, body: &[u8], is_whole: bool, now_ns: Option<u64>) {
        match stamp::time_ns(body) {
            Some(time_ns) if is_whole => self.add_to_run(time_ns, now_ns),
            time_ns => self.stamp_ns = time_ns,
        }
        if let Some(ledger) = &mut self.ledger
            && let Some(number) = stamp::number(body)
        {
            ledger.record(self.queue, number, self.redelivered, self.published);
        }
    }

    #[inline]
    fn add_to_run(&mut self, time_ns: u64, now_ns: Option<u64>) {
        if time_ns != self.run_time_ns {
            self.end_run(now_ns);
            self.run_time_ns = time_ns;
        }
        self.run += 1;
    }

    fn end_run(&mut self, now_ns: Option<u64>) {
        if let Some(now_ns) = now_ns
            && self.run > 0
        {
            self.latencies.record(now_ns.saturating_sub(self.run_time_ns), self.run);
        }
        self.run = 0;
    }

    #[inline]
    fn complete(&mut self, now_ns: Option<u64>) {
        self.deliveries += 1;
        if let Some(time_ns) = self.stamp_ns.take() {
            self.add_to_run(time_ns, now_ns);
        }
        if let Some(ack_every) = self.ack_every
            && self.tag - self.acked_tag >= ack_every
        {
            self.ack();
        }
    }

    /// Acks what is left of an incomplete `--multi-ack-every`.
    pub(crate) fn ack_rest(&mut self) {
        if self.ack_every.is_some() && self.tag > self.acked_tag {
            self.ack();
        }
    }

    fn ack(&mut self) {
        let multiple = self.tag - self.acked_tag > 1;
        put_method(&mut self.acks, CHANNEL, BasicAck { delivery_tag: self.tag, multiple });
        self.acked_tag = self.tag;
    }
}

/// The tag in the payload of a basic.deliver: it stands behind class, method and consumer tag.
#[inline]
fn delivery_tag(payload: &[u8]) -> Option<u64> {
    let (&length, rest) = payload.get(4..)?.split_first()?;
    let tag = rest.get(usize::from(length)..)?.first_chunk()?;
    Some(u64::from_be_bytes(*tag))
}

#[cfg(test)]
mod tests {
    use shunt_amqp_codec::put_deliver;
    use shunt_types::{Message, Properties};

    use super::*;
    use crate::stamp::Number;

    fn delivery(tag: u64, body: &[u8], frame_max: u32) -> Vec<u8> {
        let message = Message::build("", "k", &Properties::default(), body).unwrap();
        let mut bytes = Vec::new();
        put_deliver(&mut bytes, CHANNEL, frame_max, "3", tag, false, &message);
        bytes
    }

    fn stamped(size: usize, time_ns: u64) -> Vec<u8> {
        let mut body = vec![b'x'; size];
        stamp::write(&mut body, time_ns, Number { producer: 0, sequence: 7 });
        body
    }

    /// However the bytes are cut, the same is counted.
    #[track_caller]
    fn check(size: usize, frame_max: u32) {
        let bytes =
            [delivery(1, &stamped(size, 5), frame_max), delivery(2, &stamped(size, 9), 4096)];
        let bytes = bytes.concat();
        for step in 1..bytes.len() {
            let mut tally = Tally::new(size as u32, None, None);
            let (mut start, mut end, mut deliveries) = (0, 0, 0);
            while start < bytes.len() {
                end = (end + step).min(bytes.len());
                let (taken, complete) = tally.take(&bytes[start..end], Some(1009)).unwrap();
                start += taken;
                deliveries += complete;
                assert!(taken > 0 || end < bytes.len(), "stuck at {start} of {}", bytes.len());
            }
            assert_eq!(deliveries, 2, "in steps of {step}");
            let stamps = if size < 8 { serde_json::Value::Null } else { 2.into() };
            assert_eq!(tally.latencies.json().get("count").cloned().unwrap_or_default(), stamps);
        }
    }

    #[test]
    fn deliveries_are_counted_however_they_come() {
        check(0, 4096);
        check(3, 4096);
        check(16, 4096);
        check(60, 28);
    }

    #[test]
    fn damage_is_an_error() {
        let body = stamped(16, 1);
        let take = |bytes: &[u8], size| Tally::new(size, None, None).take(bytes, None);
        assert!(take(&delivery(1, &body, 4096), 17).is_err(), "another size than published");
        let mut bytes = delivery(1, &body, 4096);
        *bytes.last_mut().unwrap() = 0;
        assert!(take(&bytes, 16).is_err(), "no end octet");
        let mut bytes = Vec::new();
        let payload = &[0, 60, 0, 60, 3, b'c', b't', b'g', 0, 0, 1];
        Frame { kind: FrameKind::Method, channel: CHANNEL, payload }.encode(&mut bytes);
        assert!(Tally::new(16, Some(1), None).take(&bytes, None).is_err(), "no delivery tag");
    }

    #[test]
    fn every_third_message_is_acked() {
        let mut tally = Tally::new(1, Some(3), None);
        for tag in 1..=7 {
            tally.take(&delivery(tag, b"x", 4096), None).unwrap();
        }
        assert_eq!((tally.tag, tally.acked_tag), (7, 6));
        tally.ack_rest();
        let mut acks = Vec::new();
        let mut rest = &tally.acks[..];
        while let Some((frame, length)) = Frame::parse(rest, 4096).unwrap() {
            let Ok(Method::BasicAck(ack)) = Method::decode(frame.payload) else { panic!() };
            acks.push((ack.delivery_tag, ack.multiple));
            rest = &rest[length..];
        }
        assert_eq!(acks, [(3, true), (6, true), (7, false)]);
    }
}
