//! The command line.

use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use shunt_tests::amqp_raw::{AmqpUri, Value};

/// Bodies that are on their way at one time, in octets: large messages need a lower bound
/// than `--in-flight`.
const IN_FLIGHT_OCTETS_MAX: u64 = 64 << 20;

/// Loads an AMQP 0-9-1 broker and says how fast it was.
#[derive(Debug, Parser)]
#[command(name = "shunt-bench")]
pub(crate) struct Options {
    /// The broker.
    #[arg(long, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    pub(crate) uri: AmqpUri,

    /// Any type that the broker knows; `default` publishes to the default exchange.
    #[arg(long, default_value = "direct")]
    pub(crate) exchange_type: String,

    /// An argument of the exchange, e.g. x-route=NAME. May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) exchange_arg: Vec<Pair>,

    /// An argument of each queue, e.g. x-queue-type=quorum. May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) queue_arg: Vec<Pair>,

    /// A header of each message. May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) header: Vec<Pair>,

    /// Bindings of the exchange, of which one a queue matches.
    #[arg(long, default_value_t = 1)]
    pub(crate) bindings: u32,

    /// The routing key of all messages, instead of one a queue.
    #[arg(long)]
    pub(crate) routing_key: Option<String>,

    /// The binding key of the bindings that match, instead of one a queue.
    #[arg(long)]
    pub(crate) binding_key: Option<String>,

    /// Octets of a body.
    #[arg(long, default_value_t = 16)]
    pub(crate) size: usize,

    /// Publishers, each on a connection of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) publishers: u32,

    /// Consumers, each on a connection of its own, spread over the queues.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) consumers: u32,

    /// Queues, spread over the publishers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) queues: u32,

    /// How long to measure.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// How long to publish before measuring begins.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) warmup: f64,

    /// Publish this many messages in all and measure from the first to the last delivery,
    /// instead of for a time.
    #[arg(long, conflicts_with_all = ["seconds", "warmup"])]
    pub(crate) messages: Option<u64>,

    /// Persistent messages, durable queues and exchange.
    #[arg(long)]
    pub(crate) persistent: bool,

    /// Publisher confirms, at most this many messages of a publisher outstanding.
    #[arg(long, value_name = "WINDOW", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) confirms: Option<u32>,

    /// Manual acks, one for this many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) ack_every: Option<u32>,

    /// Automatic acks, the default.
    #[arg(long, conflicts_with = "ack_every")]
    pub(crate) auto_ack: bool,

    /// The prefetch count of each consumer, 0 for none.
    #[arg(long, default_value_t = 0)]
    pub(crate) prefetch: u16,

    /// Deliveries of all publishers together that may be on their way.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) in_flight: u64,

    /// How often each message is delivered; by itself the number of queues for a fanout
    /// exchange, else 1.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) copies: Option<u64>,

    /// Octets that a publisher writes at once, at least a message.
    #[arg(long, default_value_t = 64 << 10)]
    pub(crate) batch: usize,

    /// The broker's process, for its processor time.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
}

impl Options {
    /// The bindings a queue needs, what the options together rule out, and so on: what clap
    /// cannot say.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.exchange_type == "default" || self.bindings >= self.queues,
            "--bindings {} is fewer than --queues {}: each queue needs one",
            self.bindings,
            self.queues
        );
        anyhow::ensure!(
            self.consumers >= self.queues,
            "--consumers {} is fewer than --queues {}: a queue would fill up",
            self.consumers,
            self.queues
        );
        if let (Some(ack_every), 1..) = (self.ack_every, self.prefetch) {
            anyhow::ensure!(
                ack_every <= u32::from(self.prefetch),
                "--ack-every {ack_every} is more than --prefetch {}",
                self.prefetch
            );
        }
        Ok(())
    }

    /// Deliveries of one message.
    pub(crate) fn copies(&self) -> u64 {
        let fanout = self.exchange_type == "fanout";
        self.copies.unwrap_or(if fanout { u64::from(self.queues) } else { 1 })
    }

    /// Deliveries that may be on their way.
    pub(crate) fn in_flight_max(&self) -> u64 {
        let by_octets = IN_FLIGHT_OCTETS_MAX / (self.size as u64).max(1);
        self.in_flight.min(by_octets).max(self.copies())
    }

    /// How long to measure; `None` where the number of messages decides.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.messages.is_none().then(|| Duration::from_secs_f64(self.seconds))
    }

    /// How long before that.
    pub(crate) fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    const HOUR: f64 = 3600.0;
    match text.parse() {
        Ok(seconds) if (0.0..=HOUR).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 3600".to_owned()),
    }
}

/// `NAME=VALUE`.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    name: String,
    value: Value,
}

impl Pair {
    /// The entries of a field table.
    pub(crate) fn table(pairs: &[Self]) -> Vec<(String, Value)> {
        pairs.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect()
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("no `=` in it")?;
        if name.is_empty() || name.len() > 255 {
            return Err("a name has 1 to 255 octets".to_owned());
        }
        Ok(Self { name: name.to_owned(), value: Value::from_text(value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::try_parse_from(format!("shunt-bench {line}").split_whitespace())
            .expect("a line that clap takes")
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let check = |line, refused| assert_eq!(options(line).check().is_err(), refused, "{line}");
        check("", false);
        check("--queues 2 --bindings 2 --consumers 2", false);
        check("--queues 2 --bindings 1 --consumers 2", true);
        check("--queues 2 --bindings 1 --consumers 2 --exchange-type default", false);
        check("--queues 2 --bindings 2 --consumers 1", true);
        check("--ack-every 10 --prefetch 5", true);
    }

    #[test]
    fn large_bodies_lower_the_number_in_flight() {
        assert_eq!(options("").in_flight_max(), 20_000);
        assert_eq!(options("--size 65536").in_flight_max(), 1024);
        let fanout = "--exchange-type fanout --queues 9 --size 99999999";
        assert_eq!(options(fanout).in_flight_max(), 9);
    }
}
