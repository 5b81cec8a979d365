//! A consumer: one connection that cuts deliveries out of a large read buffer and counts them.

use std::time::Duration;

use anyhow::Context as _;
use shunt_tests::amqp_raw::{
    Args, Fields, Filled, Frame, FrameKind, RawConnection, method, push_method,
};

use crate::flow::Flow;
use crate::options::Options;
use crate::topology::CHANNEL;

/// How long to wait for deliveries before looking whether the run is over.
const IDLE: Duration = Duration::from_millis(100);

/// A connection that consumes.
#[derive(Debug)]
pub(crate) struct Consumer {
    connection: RawConnection,
    tally: Tally,
}

impl Consumer {
    /// Connects and subscribes.
    pub(crate) fn open(options: &Options, queue: &str) -> anyhow::Result<Self> {
        let mut connection = RawConnection::open(&options.uri)?;
        connection.open_channel(CHANNEL)?;
        if options.prefetch > 0 {
            let (prefetch_size, global) = (0, false);
            let qos = Args::new().long(prefetch_size).short(options.prefetch).bits(&[global]);
            connection.call(CHANNEL, method::BASIC_QOS, &qos, method::BASIC_QOS_OK)?;
        }
        let (no_local, no_ack, exclusive, no_wait) =
            (false, options.ack_every.is_none(), false, false);
        let consume = Args::new()
            .short(0)
            .shortstr(queue)
            .shortstr("")
            .bits(&[no_local, no_ack, exclusive, no_wait])
            .table(&[]);
        connection
            .call(CHANNEL, method::BASIC_CONSUME, &consume, method::BASIC_CONSUME_OK)
            .with_context(|| format!("consuming from {queue}"))?;
        connection.set_read_timeout(IDLE)?;
        let tally = Tally {
            size: options.size as u64,
            ack_every: options.ack_every.map(u64::from),
            body_left: 0,
            tag: 0,
            acked_tag: 0,
            acks: Vec::new(),
        };
        Ok(Self { connection, tally })
    }

    /// Counts deliveries until the run is over.
    pub(crate) fn run(mut self, flow: &Flow) -> anyhow::Result<()> {
        loop {
            if self.connection.fill()? == Filled::TimedOut {
                self.tally.ack_rest();
                self.send_acks()?;
                if flow.ended() {
                    return Ok(self.connection.close()?);
                }
            }
            let mut complete = 0;
            while let Some(frame) = self.connection.buffered_frame()? {
                complete += u64::from(self.tally.take(&frame)?);
            }
            flow.received(complete);
            self.send_acks()?;
        }
    }

    fn send_acks(&mut self) -> anyhow::Result<()> {
        if !self.tally.acks.is_empty() {
            self.connection.send(&self.tally.acks)?;
            self.tally.acks.clear();
        }
        Ok(())
    }
}

/// Where a consumer stands in the stream of frames, and the acks that it owes.
#[derive(Debug)]
struct Tally {
    /// The octets that each body must have.
    size: u64,
    /// `None` for automatic acks.
    ack_every: Option<u64>,
    /// Octets of the current body that are still to come.
    body_left: u64,
    /// The last delivery tag.
    tag: u64,
    acked_tag: u64,
    acks: Vec<u8>,
}

impl Tally {
    /// Takes the next frame; `true` if a message is complete with it.
    #[inline]
    fn take(&mut self, frame: &Frame<'_>) -> anyhow::Result<bool> {
        match frame.kind {
            FrameKind::METHOD => {
                self.take_method(frame)?;
                return Ok(false);
            }
            FrameKind::HEADER => {
                let mut fields = Fields(frame.payload);
                let _class_and_weight = fields.long();
                let size = fields.longlong().context("a content header cut short")?;
                anyhow::ensure!(size == self.size, "a body of {size} octets was delivered");
                self.body_left = size;
            }
            FrameKind::BODY => {
                let length = frame.payload.len() as u64;
                self.body_left =
                    self.body_left.checked_sub(length).context("a body longer than announced")?;
            }
            FrameKind::HEARTBEAT => return Ok(false),
            FrameKind(kind) => anyhow::bail!("a frame of kind {kind}"),
        }
        if self.body_left > 0 {
            return Ok(false);
        }
        if let Some(ack_every) = self.ack_every
            && self.tag - self.acked_tag >= ack_every
        {
            self.ack();
        }
        Ok(true)
    }

    #[inline]
    fn take_method(&mut self, frame: &Frame<'_>) -> anyhow::Result<()> {
        match frame.method() {
            Some((method::BASIC_DELIVER, args)) => {
                let mut fields = Fields(args);
                let _consumer_tag = fields.shortstr();
                self.tag = fields.longlong().context("basic.deliver cut short")?;
            }
            Some((method::BASIC_CANCEL, _)) => anyhow::bail!("the broker cancelled a consumer"),
            _ => frame.refuse_close()?,
        }
        Ok(())
    }

    /// Acks what is left of an incomplete `--ack-every`.
    fn ack_rest(&mut self) {
        if self.ack_every.is_some() && self.tag > self.acked_tag {
            self.ack();
        }
    }

    fn ack(&mut self) {
        let multiple = self.tag - self.acked_tag > 1;
        let args = Args::new().longlong(self.tag).bits(&[multiple]);
        push_method(&mut self.acks, CHANNEL, method::BASIC_ACK, &args);
        self.acked_tag = self.tag;
    }
}

#[cfg(test)]
mod tests {
    use shunt_tests::amqp_raw::{cut, push_content};

    use super::*;

    fn tally(size: u64, ack_every: Option<u64>) -> Tally {
        Tally { size, ack_every, body_left: 0, tag: 0, acked_tag: 0, acks: Vec::new() }
    }

    fn deliver(tally: &mut Tally, tag: u64, body: &[u8]) -> anyhow::Result<u64> {
        let mut bytes = Vec::new();
        let args =
            Args::new().shortstr("c").longlong(tag).bits(&[false]).shortstr("").shortstr("k");
        push_method(&mut bytes, CHANNEL, method::BASIC_DELIVER, &args);
        push_content(&mut bytes, CHANNEL, &[0, 0], body, 12);
        let (mut rest, mut complete) = (&bytes[..], 0);
        while let Some((frame, length)) = cut(rest)? {
            complete += u64::from(tally.take(&frame)?);
            rest = &rest[length..];
        }
        Ok(complete)
    }

    #[test]
    fn a_message_counts_when_its_last_frame_is_there() {
        assert_eq!(deliver(&mut tally(0, None), 1, b"").ok(), Some(1));
        assert_eq!(deliver(&mut tally(9, None), 1, b"123456789").ok(), Some(1));
        assert!(deliver(&mut tally(9, None), 1, b"12").is_err(), "wrong size");
    }

    #[test]
    fn every_third_message_is_acked() {
        let mut tally = tally(1, Some(3));
        for tag in 1..=7 {
            deliver(&mut tally, tag, b"x").expect("sound frames");
        }
        assert_eq!((tally.tag, tally.acked_tag), (7, 6));
        tally.ack_rest();
        assert_eq!(tally.acked_tag, 7);
        let mut acks = Vec::new();
        let mut rest = &tally.acks[..];
        while let Some((frame, length)) = cut(rest).expect("sound frames") {
            let (id, args) = frame.method().expect("a method");
            let mut fields = Fields(args);
            acks.push((id, fields.longlong(), fields.octet()));
            rest = &rest[length..];
        }
        let ack = |tag, multiple| (method::BASIC_ACK, Some(tag), Some(multiple));
        assert_eq!(acks, [ack(3, 1), ack(6, 1), ack(7, 0)]);
    }
}
