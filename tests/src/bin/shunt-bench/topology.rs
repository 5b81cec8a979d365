//! The exchange, queues and bindings of a run.

use std::process;

use anyhow::Context as _;
use shunt_tests::amqp_raw::{Args, RawConnection, Value, method, push_method};

use crate::options::{Options, Pair};

/// The channel that every connection of a run uses.
pub(crate) const CHANNEL: u16 = 1;

/// The exchange type for which messages and bindings carry a header to match by.
const HEADERS: &str = "headers";

/// The header that a headers exchange matches by.
const MATCHED_HEADER: &str = "bench";

/// Names of what a run declares. They carry the process id, so that runs do not meet.
#[derive(Debug)]
pub(crate) struct Topology {
    /// Empty for the default exchange.
    pub(crate) exchange: String,
    /// The queues.
    pub(crate) queues: Vec<Target>,
}

/// A queue and how a message gets there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The queue.
    pub(crate) queue: String,
    /// The routing key of its messages. All keys of a run have the same length.
    pub(crate) routing_key: String,
    /// The headers of its messages.
    pub(crate) headers: Vec<(String, Value)>,
}

impl Topology {
    /// Names only; nothing is declared yet.
    pub(crate) fn plan(options: &Options) -> Self {
        let prefix = format!("shunt-bench-{}", process::id());
        let default = options.exchange_type == "default";
        let target = |index| {
            let queue = format!("{prefix}-q{index:05}");
            let key = if default { queue.clone() } else { format!("bench.{}.hit", hit(index)) };
            let mut headers = Pair::table(&options.header);
            if options.exchange_type == HEADERS {
                headers.push((MATCHED_HEADER.to_owned(), Value::Str(hit(index))));
            }
            let routing_key = options.routing_key.clone().unwrap_or(key);
            Target { queue, routing_key, headers }
        };
        let exchange = if default { String::new() } else { prefix.clone() };
        Self { exchange, queues: (0..options.queues).map(target).collect() }
    }

    /// Declares everything.
    pub(crate) fn declare(
        &self,
        connection: &mut RawConnection,
        options: &Options,
    ) -> anyhow::Result<()> {
        let (passive, auto_delete, internal, exclusive, no_wait) =
            (false, false, false, false, false);
        let durable = options.persistent;
        for target in &self.queues {
            let declare = Args::new()
                .short(0)
                .shortstr(&target.queue)
                .bits(&[passive, durable, exclusive, auto_delete, no_wait])
                .table(&Pair::table(&options.queue_arg));
            connection
                .call(CHANNEL, method::QUEUE_DECLARE, &declare, method::QUEUE_DECLARE_OK)
                .context("declaring a queue")?;
        }
        if self.exchange.is_empty() {
            return Ok(());
        }
        let declare = Args::new()
            .short(0)
            .shortstr(&self.exchange)
            .shortstr(&options.exchange_type)
            .bits(&[passive, durable, auto_delete, internal, no_wait])
            .table(&Pair::table(&options.exchange_arg));
        connection
            .call(CHANNEL, method::EXCHANGE_DECLARE, &declare, method::EXCHANGE_DECLARE_OK)
            .context("declaring the exchange")?;
        self.bind(connection, options)
    }

    /// The bindings that do not match first, without waiting for each; then those that do.
    fn bind(&self, connection: &mut RawConnection, options: &Options) -> anyhow::Result<()> {
        let topic_like = !matches!(options.exchange_type.as_str(), "direct" | HEADERS);
        let bind = |target: &Target, word: &str, key: Option<&str>, no_wait: bool| {
            let key = match key {
                Some(key) => key.to_owned(),
                None if topic_like => format!("bench.{word}.*"),
                None => format!("bench.{word}.hit"),
            };
            let mut arguments = Vec::new();
            if options.exchange_type == HEADERS {
                arguments.push((MATCHED_HEADER.to_owned(), Value::Str(word.to_owned())));
            }
            Args::new()
                .short(0)
                .shortstr(&target.queue)
                .shortstr(&self.exchange)
                .shortstr(&key)
                .bits(&[no_wait])
                .table(&arguments)
        };

        let idle = options.bindings - options.queues;
        let mut bytes = Vec::new();
        for (index, target) in (0..idle).zip(self.queues.iter().cycle()) {
            let args = bind(target, &miss(index), None, true);
            push_method(&mut bytes, CHANNEL, method::QUEUE_BIND, &args);
        }
        connection.send(&bytes)?;
        for (index, target) in (0..).zip(&self.queues) {
            let args = bind(target, &hit(index), options.binding_key.as_deref(), false);
            connection
                .call(CHANNEL, method::QUEUE_BIND, &args, method::QUEUE_BIND_OK)
                .context("binding a queue")?;
        }
        Ok(())
    }

    /// Deletes everything; messages that are still there go with their queue.
    pub(crate) fn delete(&self, connection: &mut RawConnection) -> anyhow::Result<()> {
        if !self.exchange.is_empty() {
            let delete = Args::new().short(0).shortstr(&self.exchange).bits(&[false, false]);
            connection
                .call(CHANNEL, method::EXCHANGE_DELETE, &delete, method::EXCHANGE_DELETE_OK)
                .context("deleting the exchange")?;
        }
        for target in &self.queues {
            let delete = Args::new().short(0).shortstr(&target.queue).bits(&[false; 3]);
            connection
                .call(CHANNEL, method::QUEUE_DELETE, &delete, method::QUEUE_DELETE_OK)
                .context("deleting a queue")?;
        }
        Ok(())
    }
}

/// The word that a queue's messages and its matching binding share.
fn hit(index: u32) -> String {
    format!("k{index:05}")
}

/// A word that no message carries.
fn miss(index: u32) -> String {
    format!("n{index:05}")
}
