//! What a run found, as JSON and in words.

use std::io::{self, Write};

use serde_json::json;

use crate::options::Options;

/// What happened in the time that was measured.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) seconds: f64,
    pub(crate) published: u64,
    pub(crate) received: u64,
    /// `None` without `--pid`.
    pub(crate) broker_cpu_s: Option<f64>,
    pub(crate) own_cpu_s: f64,
}

/// What a run found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) span: Span,
    /// Messages of the whole run, warm-up and drain included.
    pub(crate) published: u64,
    /// Deliveries that these had to bring.
    pub(crate) expected: u64,
    /// Deliveries that came.
    pub(crate) received: u64,
    /// Messages that the broker refused to confirm.
    pub(crate) nacked: u64,
}

impl Report {
    /// Whether every message arrived as often as it should, and no confirm was refused.
    pub(crate) fn complete(&self) -> bool {
        self.received == self.expected && self.nacked == 0
    }

    /// One line of JSON, one for people.
    pub(crate) fn write(&self, options: &Options, out: &mut impl Write) -> io::Result<()> {
        let span = &self.span;
        let per_message_us = |cpu_s: f64| cpu_s * 1e6 / span.received.max(1) as f64;
        let (lost, doubled) = (
            self.expected.saturating_sub(self.received),
            self.received.saturating_sub(self.expected),
        );
        let publish_rate = span.published as f64 / span.seconds;
        let consume_rate = span.received as f64 / span.seconds;
        let broker_us = span.broker_cpu_s.map(per_message_us);
        let own_us = per_message_us(span.own_cpu_s);
        let line = json!({
            "exchange_type": options.exchange_type,
            "bindings": options.bindings,
            "size": options.size,
            "publishers": options.publishers,
            "consumers": options.consumers,
            "queues": options.queues,
            "persistent": options.persistent,
            "confirms": options.confirms,
            "ack_every": options.ack_every,
            "seconds": rounded(span.seconds, 3),
            "publish_per_s": publish_rate.round(),
            "consume_per_s": consume_rate.round(),
            "published": self.published,
            "received": self.received,
            "lost": lost,
            "doubled": doubled,
            "nacked": self.nacked,
            "broker_cpu_s": span.broker_cpu_s.map(|seconds| rounded(seconds, 2)),
            "broker_us_per_message": broker_us.map(|us| rounded(us, 3)),
            "bench_us_per_message": rounded(own_us, 3),
        });
        writeln!(out, "{line}")?;
        let broker =
            broker_us.map_or_else(String::new, |us| format!(", broker {us:.2} µs/message"));
        let verdict = if self.complete() {
            "none lost".to_owned()
        } else {
            format!("LOST {lost}, DOUBLED {doubled}, NACKED {}", self.nacked)
        };
        writeln!(
            out,
            "{} {} B: published {publish_rate:.0}/s, consumed {consume_rate:.0}/s \
             over {:.1} s{broker}, bench {own_us:.2} µs/message; \
             sent {}, received {}: {verdict}",
            options.exchange_type, options.size, span.seconds, self.published, self.received,
        )
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
