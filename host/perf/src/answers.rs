//! What a broker tells a publisher: confirms, messages that come back, the end.

use shunt_amqp_codec::{FrameKind, Method};

use crate::clock::now_ns;
use crate::connection::{Inbox, refuse_close};
use crate::flow::Flow;
use crate::latency::Latencies;
use crate::window::Window;

/// The answers to one publisher.
#[derive(Debug)]
pub(crate) struct Answers {
    /// `None` without confirms.
    window: Option<Window>,
    /// From publish to confirm.
    pub(crate) latencies: Latencies,
}

impl Answers {
    /// With confirms, at most `window` messages outstanding.
    pub(crate) fn new(window: Option<u32>) -> Self {
        Self { window: window.map(Window::new), latencies: Latencies::new() }
    }

    /// Messages that may be published now.
    pub(crate) fn room(&self) -> u64 {
        self.window.as_ref().map_or(u64::MAX, Window::room)
    }

    /// Messages that wait for their confirm.
    pub(crate) fn unsettled(&self) -> u64 {
        self.window.as_ref().map_or(0, Window::unsettled)
    }

    /// So many messages are about to be published.
    pub(crate) fn published(&mut self, messages: u64, time_ns: u64) {
        if let Some(window) = &mut self.window {
            window.published(messages, time_ns);
        }
    }

    /// Takes every whole frame that was read.
    pub(crate) fn take(&mut self, inbox: &mut Inbox, flow: &Flow) -> anyhow::Result<()> {
        let now_ns = now_ns();
        let (mut confirmed, mut nacked, mut returned) = (0, 0, 0);
        while let Some(frame) = inbox.peek()? {
            if frame.kind == FrameKind::Method {
                refuse_close(&frame)?;
                let latencies = flow.measuring().then_some(&mut self.latencies);
                match (Method::decode(frame.payload)?, &mut self.window) {
                    (Method::BasicAck(ack), Some(window)) => {
                        confirmed +=
                            window.settle(ack.delivery_tag, ack.multiple, now_ns, latencies)?;
                    }
                    (Method::BasicNack(nack), Some(window)) => {
                        nacked += window.settle(nack.delivery_tag, nack.multiple, now_ns, None)?;
                    }
                    (Method::BasicReturn(_), _) => returned += 1,
                    // connection.blocked and such; and the content of what came back.
                    _ => {}
                }
            }
            inbox.skip_frame()?;
        }
        flow.confirmed(confirmed);
        flow.nacked(nacked);
        flow.returned(returned);
        Ok(())
    }
}
