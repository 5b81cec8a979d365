//! Latencies, counted in a histogram of three significant digits.

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};

/// What is shorter counts as this long, in nanoseconds.
const SHORTEST_NS: u64 = 100;

/// What is longer counts as this long, in nanoseconds: ten minutes.
const LONGEST_NS: u64 = 600_000_000_000;

/// The quantiles that are reported.
pub(crate) const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999)];

/// How long things took.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, 3);
        Self { histogram: histogram.expect("bounds that a histogram takes") }
    }

    /// `count` things took this long.
    pub(crate) fn record(&mut self, nanoseconds: u64, count: u64) {
        self.histogram.saturating_record_n(nanoseconds, count);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so that nothing can fall out.
        let _ = self.histogram.add(&other.histogram);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// In microseconds.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        microseconds(self.histogram.value_at_quantile(quantile))
    }

    /// In microseconds.
    pub(crate) fn max_us(&self) -> f64 {
        microseconds(self.histogram.max())
    }

    /// `null` where nothing was recorded.
    pub(crate) fn json(&self) -> Json {
        if self.is_empty() {
            return Json::Null;
        }
        let mut object = json!({ "count": self.histogram.len() });
        for (name, quantile) in QUANTILES {
            object[format!("{name}_us")] = json!(self.quantile_us(quantile));
        }
        object["max_us"] = json!(self.max_us());
        object
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        assert!(latencies.json().is_null());
        latencies.record(1_000_000, 99);
        let mut other = Latencies::new();
        other.record(5_000_000, 1);
        latencies.merge(&other);
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.001;
        assert!(near(latencies.quantile_us(0.5), 1000.0));
        assert!(near(latencies.max_us(), 5000.0));
        assert_eq!(latencies.json()["count"], 100);
    }

    #[test]
    fn what_is_out_of_bounds_counts_as_the_bound() {
        let mut latencies = Latencies::new();
        latencies.record(u64::MAX, 1);
        assert!((latencies.max_us() / 600e6 - 1.0).abs() < 0.001, "{}", latencies.max_us());
    }
}
