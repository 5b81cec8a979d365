//! What a run found, as JSON and in words.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::flow::Counts;
use crate::latency::{Latencies, QUANTILES};
use crate::ledger::Findings;
use crate::scenario::{Output, Scenario};

/// What happened in the time that was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) seconds: f64,
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) broker: Option<BrokerCost>,
    /// Processor time of this program, in seconds.
    pub(crate) own_cpu_s: f64,
}

/// What the broker's process cost in that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrokerCost {
    pub(crate) pid: u32,
    pub(crate) cpu_s: f64,
    /// Bytes of memory at the end, and the most that it ever held.
    pub(crate) rss: u64,
    pub(crate) rss_max: u64,
}

/// What a run found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) span: Span,
    /// Of the whole run, warm-up and drain included.
    pub(crate) counts: Counts,
    /// Deliveries that the messages had to bring; `None` where nobody can know.
    pub(crate) expected: Option<u64>,
    /// From publish to delivery, of the measured time.
    pub(crate) deliveries: Latencies,
    /// From publish to confirm, of the measured time.
    pub(crate) confirms: Latencies,
    pub(crate) findings: Option<Findings>,
    /// Processor time per message of the relay that stood in a broker's place, in microseconds.
    pub(crate) relay_us: Option<f64>,
    /// Why the run ended early.
    pub(crate) failure: Option<String>,
}

impl Report {
    /// Deliveries that should have come and did not.
    pub(crate) fn lost(&self) -> u64 {
        self.expected.map_or(0, |expected| expected.saturating_sub(self.counts.received))
    }

    /// Deliveries that should not have come.
    pub(crate) fn doubled(&self) -> u64 {
        self.expected.map_or(0, |expected| self.counts.received.saturating_sub(expected))
    }

    /// Whether the run went through, and every message arrived as often as it should.
    pub(crate) fn is_clean(&self) -> bool {
        self.failure.is_none()
            && self.lost() + self.doubled() + self.counts.nacked == 0
            && self.findings.as_ref().is_none_or(Findings::is_clean)
    }

    pub(crate) fn published_per_s(&self) -> f64 {
        self.span.published as f64 / self.span.seconds.max(1e-9)
    }

    pub(crate) fn received_per_s(&self) -> f64 {
        self.span.received as f64 / self.span.seconds.max(1e-9)
    }

    /// Messages by which costs are divided: those delivered, or published where none was.
    fn messages(&self) -> f64 {
        let messages =
            if self.span.received > 0 { self.span.received } else { self.span.published };
        messages.max(1) as f64
    }

    /// Processor time of the broker per message, in microseconds.
    pub(crate) fn broker_us(&self) -> Option<f64> {
        self.span.broker.map(|broker| broker.cpu_s * 1e6 / self.messages())
    }

    fn own_us(&self) -> f64 {
        self.span.own_cpu_s * 1e6 / self.messages()
    }

    /// The run in the form asked for.
    pub(crate) fn render(&self, scenario: &Scenario) -> String {
        match scenario.output {
            Output::Human => self.text(scenario),
            Output::Json => format!("{:#}\n", self.json(scenario)),
        }
    }

    pub(crate) fn json(&self, scenario: &Scenario) -> Json {
        let broker = self.span.broker.map(|broker| {
            json!({
                "pid": broker.pid,
                "cpu_s": rounded(broker.cpu_s, 2),
                "us_per_message": self.broker_us().map(|us| rounded(us, 4)),
                "rss_bytes": broker.rss,
                "rss_max_bytes": broker.rss_max,
            })
        });
        json!({
            "scenario": scenario_json(scenario),
            "seconds": rounded(self.span.seconds, 3),
            "published_per_s": rounded(self.published_per_s(), 3),
            "received_per_s": rounded(self.received_per_s(), 3),
            "delivery_latency": self.deliveries.json(),
            "confirm_latency": self.confirms.json(),
            "broker": broker,
            "relay_us_per_message": self.relay_us.map(|us| rounded(us, 4)),
            "generator_us_per_message": rounded(self.own_us(), 4),
            "published": self.counts.published,
            "received": self.counts.received,
            "confirmed": self.counts.confirmed,
            "nacked": self.counts.nacked,
            "returned": self.counts.returned,
            "expected": self.expected,
            "lost": self.lost(),
            "doubled": self.doubled(),
            "verified": self.findings.as_ref().map(Findings::json),
            "failure": self.failure,
        })
    }

    fn text(&self, scenario: &Scenario) -> String {
        let mut text = format!("{}\n", scenario.title());
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<12}{value}");
        };
        let mib = |rate: f64| rate * f64::from(scenario.size) / f64::from(1 << 20);
        let rate = |rate: f64| {
            let digits = if rate < 100.0 { 2 } else { 0 };
            format!("{rate:.digits$} messages/s, {:.1} MiB/s", mib(rate))
        };
        if scenario.producers > 0 {
            line("published", rate(self.published_per_s()));
        }
        if scenario.consumers > 0 {
            line("received", rate(self.received_per_s()));
        }
        for (name, latencies) in [("delivery", &self.deliveries), ("confirm", &self.confirms)] {
            if !latencies.is_empty() {
                line(name, latency_text(latencies));
            }
        }
        if let (Some(broker), Some(us)) = (self.span.broker, self.broker_us()) {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            line(
                "broker",
                format!(
                    "{us:.2} µs/message, {:.1} s of processor time, {:.0} MiB, at most {:.0} MiB \
                     (pid {})",
                    broker.cpu_s,
                    mib(broker.rss),
                    mib(broker.rss_max),
                    broker.pid
                ),
            );
        }
        if let Some(us) = self.relay_us {
            line("relay", format!("{us:.2} µs/message, in the place of a broker"));
        }
        line("generator", format!("{:.2} µs/message", self.own_us()));
        line("measured", format!("{:.2} s", self.span.seconds));
        line("whole run", self.sentence());
        if let Some(findings) = &self.findings {
            line("verified", findings.sentence());
        }
        if let Some(failure) = &self.failure {
            line("ENDED EARLY", failure.clone());
        }
        text
    }

    fn sentence(&self) -> String {
        let counts = &self.counts;
        let mut parts = vec![
            format!("published {}", counts.published),
            format!("received {}", counts.received),
        ];
        let mut some = |count: u64, noun: &str| {
            if count > 0 {
                parts.push(format!("{count} {noun}"));
            }
        };
        some(counts.confirmed, "confirmed");
        some(counts.returned, "returned");
        some(counts.nacked, "NACKED");
        some(self.lost(), "LOST");
        some(self.doubled(), "DOUBLED");
        if self.expected.is_some() && self.lost() + self.doubled() == 0 {
            parts.push("none lost".to_owned());
        }
        parts.join(", ")
    }
}

fn scenario_json(scenario: &Scenario) -> Json {
    json!({
        "broker": scenario.uri.address(),
        "exchange_type": scenario.exchange_type,
        "bindings": scenario.bindings(),
        "producers": scenario.producers,
        "consumers": scenario.consumers,
        "queues": scenario.queue_names_count(),
        "size": scenario.size,
        "persistent": scenario.persistent(),
        "mandatory": scenario.mandatory(),
        "confirm": scenario.confirm,
        "prefetch": scenario.prefetch,
        "autoack": scenario.autoack,
        "multi_ack_every": scenario.multi_ack_every,
        "rate": scenario.rate,
    })
}

fn latency_text(latencies: &Latencies) -> String {
    let names = ["50 %", "99 %", "99.9 %", "99.99 %"];
    let quantiles = names.iter().zip(QUANTILES).map(|(name, (_, quantile))| {
        format!("{name} {}", duration(latencies.quantile_us(quantile)))
    });
    let most = format!("most {}", duration(latencies.max_us()));
    quantiles.chain([most]).collect::<Vec<_>>().join("   ")
}

fn duration(microseconds: f64) -> String {
    match microseconds {
        us if us < 1000.0 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// To so many digits behind the point.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::scenario;

    fn report() -> Report {
        let mut deliveries = Latencies::new();
        deliveries.record(1_500_000, 10);
        let broker = BrokerCost { pid: 7, cpu_s: 1.0, rss: 32 << 20, rss_max: 64 << 20 };
        let span = Span {
            seconds: 2.0,
            published: 1_000_000,
            received: 1_000_000,
            broker: Some(broker),
            own_cpu_s: 0.1,
        };
        let counts = Counts { published: 10, received: 10, ..Counts::default() };
        Report {
            span,
            counts,
            expected: Some(10),
            deliveries,
            confirms: Latencies::new(),
            findings: None,
            relay_us: None,
            failure: None,
        }
    }

    #[test]
    fn people_and_programs_read_the_same() {
        let scenario = scenario("-a");
        let text = report().text(&scenario);
        for part in [
            "500000 messages/s, 7.6 MiB/s",
            "99.99 % 1.50 ms",
            "1.00 µs/message",
            "32 MiB, at most 64 MiB",
            "published 10, received 10, none lost",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let json = report().json(&scenario);
        assert_eq!(json["received_per_s"], 500_000.0);
        assert_eq!(json["broker"]["us_per_message"], 1.0);
        assert_eq!(json["delivery_latency"]["count"], 10);
        assert!(json["confirm_latency"].is_null());
    }

    #[test]
    fn whatever_went_wrong_is_not_clean() {
        assert!(report().is_clean());
        let check = |change: fn(&mut Report), said: &str| {
            let mut report = report();
            change(&mut report);
            assert!(!report.is_clean(), "{said}");
            assert!(report.text(&scenario("")).contains(said), "{said}");
        };
        check(|report| report.expected = Some(11), "1 LOST");
        check(|report| report.expected = Some(9), "1 DOUBLED");
        check(|report| report.counts.nacked = 3, "3 NACKED");
        check(|report| report.failure = Some("it broke".to_owned()), "it broke");
    }
}
