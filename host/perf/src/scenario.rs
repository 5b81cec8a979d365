//! What a run does: the command line, in the words of RabbitMQ's PerfTest where the meaning is
//! the same.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use crate::pair::Pair;
use crate::uri::AmqpUri;

/// Bodies that are on their way at one time, in octets: large messages need a lower bound than
/// `--in-flight`.
const IN_FLIGHT_OCTETS_MAX: u64 = 64 << 20;

/// Bodies that a publisher keeps encoded, one for each of its queues, in octets.
const ROUND_OCTETS_MAX: u64 = 1 << 30;

/// Longest run, in seconds: a day.
const SECONDS_MAX: f64 = 86_400.0;

/// The exchange type that stands for the exchange with the empty name.
const DEFAULT_EXCHANGE: &str = "default";

/// A load and how long it lasts.
#[derive(Clone, Debug, Args)]
pub(crate) struct Scenario {
    /// The broker
    #[arg(short = 'h', long, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    pub(crate) uri: AmqpUri,

    /// Publishers, each on a connection of its own
    #[arg(short = 'x', long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(crate) producers: u16,

    /// Consumers, each on a connection of its own; they share the queues out
    #[arg(short = 'y', long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(crate) consumers: u16,

    /// Octets of a body. From 8 on it says when it was published, from 16 on also which it is
    #[arg(short = 's', long, value_name = "OCTETS", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=512 << 20))]
    pub(crate) size: u32,

    /// Prefetch count of each consumer; 0 for no bound
    #[arg(short = 'q', long = "qos", value_name = "COUNT", default_value_t = 0)]
    pub(crate) prefetch: u16,

    /// Publisher confirms, at most so many messages of a publisher outstanding
    #[arg(short = 'c', long, value_name = "WINDOW")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) confirm: Option<u32>,

    /// `persistent`: durable exchange and queues, messages that outlive the broker.
    /// `mandatory`: messages that no queue takes come back
    #[arg(short = 'f', long = "flag", value_name = "FLAG", value_delimiter = ',')]
    pub(crate) flags: Vec<Flag>,

    /// Automatic acks instead of manual ones
    #[arg(short = 'a', long)]
    pub(crate) autoack: bool,

    /// One ack for so many deliveries
    #[arg(short = 'A', long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) multi_ack_every: u32,

    /// Messages per second of each publisher; without it as many as the broker takes
    #[arg(short = 'r', long, value_name = "PER_SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// How long to measure, in seconds
    #[arg(short = 'z', long, value_name = "SECONDS", value_parser = seconds)]
    #[arg(
        default_value_t = 10.0,
        default_value_if("pmessages", clap::builder::ArgPredicate::IsPresent, "86400")
    )]
    pub(crate) time: f64,

    /// Messages of each publisher, after which it ends
    #[arg(short = 'C', long, value_name = "N")]
    pub(crate) pmessages: Option<u64>,

    /// How long to publish before measuring, in seconds [default: 1, 0 with --pmessages]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) warmup: Option<f64>,

    /// Use this queue. One that exists is not declared and not deleted
    #[arg(short = 'u', long, value_name = "NAME", conflicts_with_all = ["queues", "queue_pattern"])]
    pub(crate) queue: Option<String>,

    /// So many queues of our own
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) queues: u32,

    /// Names of several queues, with %d (or %05d) for their numbers
    #[arg(long, value_name = "PATTERN", conflicts_with = "queues")]
    #[arg(requires = "queue_pattern_to")]
    pub(crate) queue_pattern: Option<String>,

    /// The first of these numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) queue_pattern_from: u32,

    /// The last of them
    #[arg(long, value_name = "N", requires = "queue_pattern")]
    pub(crate) queue_pattern_to: Option<u32>,

    /// Arguments of the queues, such as x-max-length=1000,x-queue-type=quorum
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) queue_args: Vec<Pair>,

    /// Use this exchange. One that exists is not declared and not deleted
    #[arg(short = 'e', long, value_name = "NAME")]
    pub(crate) exchange: Option<String>,

    /// Type of the exchange, any that the broker knows; `default` is the one without a name
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "direct")]
    pub(crate) exchange_type: String,

    /// Arguments of the exchange, such as x-route=NAME
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) exchange_args: Vec<Pair>,

    /// Bindings of the exchange, of which one a queue matches [default: one a queue]
    #[arg(long, value_name = "N")]
    pub(crate) bindings: Option<u32>,

    /// The routing key of all messages, and of the bindings; otherwise one a queue
    #[arg(short = 'k', long, value_name = "KEY")]
    pub(crate) routing_key: Option<String>,

    /// Another routing key for each message of a batch, without any order in them
    #[arg(short = 'K', long, conflicts_with = "routing_key")]
    pub(crate) random_routing_key: bool,

    /// Key of the bindings that match, where it is not the routing key
    #[arg(long, value_name = "KEY")]
    pub(crate) binding_key: Option<String>,

    /// Declare, bind and delete nothing
    #[arg(short = 'p', long)]
    pub(crate) predeclared: bool,

    /// Properties of the messages, such as priority=5,content-type=text/plain; a name that no
    /// property has becomes a header
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) message_properties: Vec<Pair>,

    /// Deliveries that may be on their way, beside what rate and confirms allow: queues stay
    /// short, and the rate is one that the broker keeps up
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) in_flight: u64,

    /// How often each message is delivered [default: 1; once a queue with a fanout exchange, and
    /// with --routing-key where the exchange is direct or topic]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..))]
    pub(crate) copies: Option<u64>,

    /// Octets that a publisher writes at once, at least one message. With each write the broker's
    /// thread may have to be woken
    #[arg(long, value_name = "OCTETS", default_value_t = 256 << 10)]
    pub(crate) batch: usize,

    /// The broker's process; by itself the one of this machine that listens on the URI's address
    #[arg(long, value_name = "PID")]
    pub(crate) broker_pid: Option<u32>,

    /// Seconds between two lines of progress; 0 for none
    #[arg(short = 'i', long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) interval: f64,

    /// Form of the result
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) output: Output,

    /// Print help
    #[arg(short = '?', long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// What a message or its queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flag {
    Persistent,
    Mandatory,
}

/// In what form a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Human,
    /// For programs
    Json,
}

impl Scenario {
    /// What the options together rule out: what clap cannot say.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let queues = self.queue_names_count();
        anyhow::ensure!(
            self.producers + self.consumers > 0,
            "neither publishers nor consumers: nothing to do"
        );
        anyhow::ensure!(
            self.is_default_exchange() || self.bindings() >= queues,
            "--bindings {} is fewer than {queues} queues: each needs one",
            self.bindings(),
        );
        if !self.autoack && self.prefetch > 0 {
            anyhow::ensure!(
                self.multi_ack_every <= u32::from(self.prefetch),
                "--multi-ack-every {} is more than --qos {}: the broker would wait for the ack \
                 and the consumer for the messages",
                self.multi_ack_every,
                self.prefetch
            );
        }
        let round = u64::from(queues).div_ceil(u64::from(self.producers.max(1)));
        anyhow::ensure!(
            round.saturating_mul(self.size.into()) <= ROUND_OCTETS_MAX,
            "a publisher holds a message for each of its {round} queues, {} octets each, and that \
             is too much: --size, --queues or more --producers",
            self.size
        );
        if let Some(to) = self.queue_pattern_to {
            let from = self.queue_pattern_from;
            anyhow::ensure!(from <= to, "--queue-pattern-from {from} is behind -to {to}");
        }
        anyhow::ensure!(
            self.exchange_type != DEFAULT_EXCHANGE || self.exchange.is_none(),
            "--type default has no name"
        );
        Ok(())
    }

    pub(crate) fn is_default_exchange(&self) -> bool {
        self.exchange_type == DEFAULT_EXCHANGE
    }

    /// How many queues there are.
    pub(crate) fn queue_names_count(&self) -> u32 {
        match self.queue_pattern_to {
            Some(to) => to.saturating_sub(self.queue_pattern_from).saturating_add(1),
            None => self.queues,
        }
    }

    /// Bindings of the exchange.
    pub(crate) fn bindings(&self) -> u32 {
        self.bindings.unwrap_or_else(|| self.queue_names_count())
    }

    pub(crate) fn persistent(&self) -> bool {
        self.flags.contains(&Flag::Persistent)
    }

    pub(crate) fn mandatory(&self) -> bool {
        self.flags.contains(&Flag::Mandatory)
    }

    /// Deliveries of one message.
    pub(crate) fn copies(&self) -> u64 {
        let to_every_queue = match self.exchange_type.as_str() {
            "fanout" => true,
            // All are bound with the key of all messages.
            "direct" | "topic" => self.routing_key.is_some() && self.binding_key.is_none(),
            _ => false,
        };
        self.copies.unwrap_or(if to_every_queue { self.queue_names_count().into() } else { 1 })
    }

    /// Deliveries that may be on their way; without consumers none comes, and nothing is bounded.
    pub(crate) fn in_flight_max(&self) -> u64 {
        if self.consumers == 0 {
            return u64::MAX;
        }
        let by_octets = IN_FLIGHT_OCTETS_MAX / u64::from(self.size).max(1);
        self.in_flight.min(by_octets).max(self.copies())
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.time)
    }

    pub(crate) fn warmup(&self) -> Duration {
        let default = if self.pmessages.is_some() { 0.0 } else { 1.0 };
        Duration::from_secs_f64(self.warmup.unwrap_or(default))
    }

    /// The scenario in a line.
    pub(crate) fn title(&self) -> String {
        let number =
            |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let mut parts = vec![
            number(self.producers.into(), "publisher"),
            number(self.consumers.into(), "consumer"),
            number(self.queue_names_count().into(), "queue"),
            format!("{} exchange", self.exchange_type),
        ];
        if self.bindings() != self.queue_names_count() {
            parts.push(number(self.bindings().into(), "binding"));
        }
        parts.push(format!("{} B", self.size));
        parts.push(if self.persistent() { "persistent" } else { "transient" }.to_owned());
        parts.extend(self.confirm.map(|window| format!("{window} unconfirmed")));
        parts.push(match (self.autoack, self.multi_ack_every) {
            (true, _) => "auto-ack".to_owned(),
            (false, 1) => "manual acks".to_owned(),
            (false, every) => format!("an ack for {every}"),
        });
        if self.prefetch > 0 {
            parts.push(format!("prefetch {}", self.prefetch));
        }
        parts.extend(self.rate.map(|rate| format!("{rate} a second and publisher")));
        parts.join(", ")
    }
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=SECONDS_MAX).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 86400".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a number above 0".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(name = "perf", disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        scenario: Scenario,
    }

    pub(crate) fn scenario(line: &str) -> Scenario {
        let words = format!("perf {line}");
        let line = Line::try_parse_from(words.split_whitespace());
        line.map(|line| line.scenario).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let check = |line, refused| {
            assert_eq!(scenario(line).check().is_err(), refused, "{line}");
        };
        check("", false);
        check("-x 0 -y 0", true);
        check("--queues 2", false);
        check("--queues 2 --bindings 1", true);
        check("--queues 2 --bindings 1 -t default", false);
        check("-A 10 -q 5", true);
        check("-A 10 -q 5 -a", false);
        check("--queue-pattern q-%d --queue-pattern-from 3 --queue-pattern-to 2", true);
        check("-t default -e mine", true);
    }

    #[test]
    fn large_bodies_lower_the_number_in_flight() {
        assert_eq!(scenario("").in_flight_max(), 20_000);
        assert_eq!(scenario("-s 65536").in_flight_max(), 1024);
        assert_eq!(scenario("-t fanout --queues 9 -s 99999999").in_flight_max(), 9);
        assert_eq!(scenario("-y 0").in_flight_max(), u64::MAX);
    }

    #[test]
    fn copies_are_told_from_how_queues_are_bound() {
        assert_eq!(scenario("--queues 3").copies(), 1);
        assert_eq!(scenario("--queues 3 -t fanout").copies(), 3);
        assert_eq!(scenario("--queues 3 -k key").copies(), 3);
        assert_eq!(scenario("--queues 3 -t topic -k a.b").copies(), 3);
        assert_eq!(scenario("--queues 3 -t default -k key").copies(), 1);
        assert_eq!(scenario("--queues 3 -k key --copies 2").copies(), 2);
    }

    #[test]
    fn a_number_of_messages_needs_no_time() {
        assert_eq!(scenario("").duration(), Duration::from_secs(10));
        assert_eq!(scenario("-C 5").duration(), Duration::from_secs(86_400));
        assert_eq!(scenario("-C 5 -z 3").duration(), Duration::from_secs(3));
        assert_eq!(scenario("-C 5").warmup(), Duration::ZERO);
    }

    #[test]
    fn the_title_names_what_differs() {
        assert_eq!(
            scenario("-a").title(),
            "1 publisher, 1 consumer, 1 queue, direct exchange, 16 B, transient, auto-ack"
        );
        assert_eq!(
            scenario("-x 2 -f persistent -c 100 -A 10 -q 50 -t topic --bindings 100").title(),
            "2 publishers, 1 consumer, 1 queue, topic exchange, 100 bindings, 16 B, persistent, \
             100 unconfirmed, an ack for 10, prefetch 50"
        );
    }
}
