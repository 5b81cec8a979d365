//! What is declared and not used: its cost in bytes of the broker's memory.

use anyhow::Context as _;
use clap::{ArgAction, Args};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value as Json, json};
use shunt_amqp_codec::method::{
    ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk, QueueBind, QueueBindOk,
    QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk,
};
use shunt_amqp_codec::put_method;
use shunt_types::{FieldTable, TableRef, Value};

use crate::broker::BrokerProcess;
use crate::clock::{elapsed, now_ns};
use crate::connection::{Connection, EncodedTable};
use crate::interrupt::Interrupts;
use crate::report::rounded;
use crate::scenario::{Flag, Output};
use crate::topology::{CHANNEL, own_prefix};
use crate::uri::AmqpUri;

/// Declarations that are sent at once, the last of which is answered.
const BATCH: u32 = 500;

/// File descriptors that this program needs beside its connections.
const FILES_SPARE: u64 = 64;

/// Queues that bindings spread over.
const BOUND_QUEUES: u32 = 10;

/// What to declare
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct ScaleArgs {
    /// Connections with one channel each
    #[arg(long, value_name = "N", default_value_t = 0)]
    connections: u32,
    /// Queues without a binding
    #[arg(long, value_name = "N", default_value_t = 0)]
    queues: u32,
    /// Bindings of one exchange
    #[arg(long, value_name = "N", default_value_t = 0)]
    bindings: u32,
    /// Keep what was declared, to measure something else beside it
    #[arg(long)]
    keep: bool,
    /// The broker
    #[arg(short = 'h', long, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    uri: AmqpUri,
    /// `persistent`: durable queues and exchange
    #[arg(short = 'f', long = "flag", value_name = "FLAG", value_delimiter = ',')]
    flags: Vec<Flag>,
    /// Type of the exchange
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "direct")]
    exchange_type: String,
    /// The broker's process; by itself the one of this machine that listens on the port
    #[arg(long, value_name = "PID")]
    broker_pid: Option<u32>,
    /// Form of the result
    #[arg(long, value_enum, default_value = "human")]
    output: Output,
    /// Print help
    #[arg(short = '?', long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl ScaleArgs {
    fn durable(&self) -> bool {
        self.flags.contains(&Flag::Persistent)
    }
}

/// What one kind of thing cost.
struct Cost {
    kind: &'static str,
    count: u32,
    bytes_each: f64,
    us_each: f64,
    broker_us_each: f64,
}

/// Declares, measures and deletes; returns what to print.
pub(crate) fn scale(arguments: &ScaleArgs, interrupts: &Interrupts) -> anyhow::Result<String> {
    let found = BrokerProcess::find(&arguments.uri, arguments.broker_pid)?;
    let broker = found.ok_or_else(|| {
        anyhow::anyhow!("whose memory? The broker is no process of this machine: --broker-pid")
    })?;
    let mut control = Connection::open(&arguments.uri)
        .with_context(|| format!("connecting to {}", arguments.uri.address()))?;
    control.open_channel(CHANNEL)?;
    let prefix = own_prefix("shunt-scale");
    let costs = declare(arguments, &prefix, &broker, &mut control, interrupts);
    // What one kind gives back would be taken off what the next one costs: all go at the end. Also
    // after a failure, which may have closed the first connection.
    let deleted = if arguments.keep { Ok(()) } else { delete(arguments, &prefix) };
    let costs = costs?;
    deleted.context("cleaning up")?;
    control.close()?;
    Ok(match arguments.output {
        Output::Human => costs.iter().map(Cost::line).collect(),
        Output::Json => {
            let rows: Vec<Json> = costs.iter().map(Cost::json).collect();
            format!("{:#}\n", json!(rows))
        }
    })
}

/// Declares each kind, and measures it.
fn declare(
    arguments: &ScaleArgs,
    prefix: &str,
    broker: &BrokerProcess,
    control: &mut Connection,
    interrupts: &Interrupts,
) -> anyhow::Result<Vec<Cost>> {
    let mut costs = Vec::new();
    let mut open = Vec::new();
    if arguments.connections > 0 {
        costs.push(connections(arguments, broker, &mut open, interrupts)?);
    }
    if arguments.queues > 0 {
        let count = arguments.queues;
        costs.push(measured(broker, "queue", count, || {
            declare_queues(control, arguments, count, &empty_queue(prefix), interrupts)
        })?);
    }
    if arguments.bindings > 0 {
        let count = arguments.bindings;
        declare_queues(control, arguments, BOUND_QUEUES, &bound_queue(prefix), interrupts)?;
        declare_exchange(control, arguments, prefix)?;
        costs.push(measured(broker, "binding", count, || {
            bind(control, arguments, prefix, &bound_queue(prefix), interrupts)
        })?);
    }
    anyhow::ensure!(!costs.is_empty(), "nothing to declare: --connections, --queues or --bindings");
    Ok(costs)
}

/// Deletes what may have been declared; to delete what isn't there is no error.
fn delete(arguments: &ScaleArgs, prefix: &str) -> anyhow::Result<()> {
    let mut control = Connection::open(&arguments.uri)?;
    control.open_channel(CHANNEL)?;
    delete_queues(&mut control, arguments.queues, &empty_queue(prefix))?;
    if arguments.bindings > 0 {
        let delete = ExchangeDelete { exchange: prefix, if_unused: false, no_wait: false };
        control.call(CHANNEL, delete, ExchangeDeleteOk::ID)?;
        delete_queues(&mut control, BOUND_QUEUES, &bound_queue(prefix))?;
    }
    Ok(control.close()?)
}

/// The names of queues that are only declared.
fn empty_queue(prefix: &str) -> impl Fn(u32) -> String {
    move |index| format!("{prefix}-q{index:07}")
}

/// The names of queues that bindings lead to.
fn bound_queue(prefix: &str) -> impl Fn(u32) -> String {
    move |index| format!("{prefix}-b{index}")
}

/// Opens connections.
fn connections(
    arguments: &ScaleArgs,
    broker: &BrokerProcess,
    open: &mut Vec<Connection>,
    interrupts: &Interrupts,
) -> anyhow::Result<Cost> {
    let count = arguments.connections;
    raise_file_limit(u64::from(count) + FILES_SPARE)?;
    measured(broker, "connection with a channel", count, || {
        for index in 0..count {
            anyhow::ensure!(!interrupts.seen(), "interrupted");
            let connection = Connection::open(&arguments.uri).and_then(|mut connection| {
                connection.open_channel(CHANNEL)?;
                Ok(connection.idle())
            });
            let connection = connection
                .map_err(|error| anyhow::Error::from(error).context(format!("after {index}")))?;
            open.push(connection);
        }
        Ok(())
    })
}

/// What the broker's memory and time grew by.
fn measured(
    broker: &BrokerProcess,
    kind: &'static str,
    count: u32,
    declare: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Cost> {
    let (before, begin) = (broker.usage(), now_ns());
    declare()?;
    let (took, after) = (elapsed(begin), broker.usage());
    let each = f64::from(count.max(1));
    Ok(Cost {
        kind,
        count,
        bytes_each: (after.rss as f64 - before.rss as f64) / each,
        us_each: took.as_secs_f64() * 1e6 / each,
        broker_us_each: (after.cpu_s - before.cpu_s) * 1e6 / each,
    })
}

fn declare_queues(
    control: &mut Connection,
    arguments: &ScaleArgs,
    count: u32,
    name: &dyn Fn(u32) -> String,
    interrupts: &Interrupts,
) -> anyhow::Result<()> {
    in_batches(control, count, QueueDeclareOk::ID, |bytes, index, no_wait| {
        anyhow::ensure!(!interrupts.seen(), "interrupted");
        let queue = name(index);
        let declare = QueueDeclare {
            queue: &queue,
            passive: false,
            durable: arguments.durable(),
            exclusive: false,
            auto_delete: false,
            no_wait,
            arguments: TableRef::EMPTY,
        };
        put_method(bytes, CHANNEL, declare);
        Ok(())
    })
}

fn delete_queues(
    control: &mut Connection,
    count: u32,
    name: &dyn Fn(u32) -> String,
) -> anyhow::Result<()> {
    in_batches(control, count, QueueDeleteOk::ID, |bytes, index, no_wait| {
        let queue = name(index);
        let delete = QueueDelete { queue: &queue, if_unused: false, if_empty: false, no_wait };
        put_method(bytes, CHANNEL, delete);
        Ok(())
    })
}

fn declare_exchange(
    control: &mut Connection,
    arguments: &ScaleArgs,
    name: &str,
) -> anyhow::Result<()> {
    let declare = ExchangeDeclare {
        exchange: name,
        kind: &arguments.exchange_type,
        passive: false,
        durable: arguments.durable(),
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    };
    control.call(CHANNEL, declare, ExchangeDeclareOk::ID)?;
    Ok(())
}

fn bind(
    control: &mut Connection,
    arguments: &ScaleArgs,
    exchange: &str,
    queue: &dyn Fn(u32) -> String,
    interrupts: &Interrupts,
) -> anyhow::Result<()> {
    let queues: Vec<String> = (0..BOUND_QUEUES).map(queue).collect();
    in_batches(control, arguments.bindings, QueueBindOk::ID, |bytes, index, no_wait| {
        anyhow::ensure!(!interrupts.seen(), "interrupted");
        let mut table = FieldTable::new();
        if arguments.exchange_type == "headers" {
            table.insert("x-match", Value::from("all"));
            table.insert("customer", Value::from(format!("c{index:07}")));
        }
        let table = EncodedTable::new(&table);
        let key = match arguments.exchange_type.as_str() {
            "topic" => format!("area{}.*.item{index:07}", index % 16),
            _ => format!("area{}.item{index:07}", index % 16),
        };
        let bind = QueueBind {
            queue: &queues[(index % BOUND_QUEUES) as usize],
            exchange,
            routing_key: &key,
            no_wait,
            arguments: table.as_ref(),
        };
        put_method(bytes, CHANNEL, bind);
        Ok(())
    })
}

/// Sends methods by the batch, of which the last wants its answer.
fn in_batches(
    control: &mut Connection,
    count: u32,
    answer: shunt_types::MethodId,
    mut put: impl FnMut(&mut Vec<u8>, u32, bool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for index in 0..count {
        let last = (index + 1) % BATCH == 0 || index + 1 == count;
        put(&mut bytes, index, !last)?;
        if last {
            control.send(&bytes)?;
            bytes.clear();
            control.expect(CHANNEL, answer)?;
        }
    }
    Ok(())
}

/// Lets this program hold so many files open.
fn raise_file_limit(files: u64) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    anyhow::ensure!(
        limit.maximum.is_none_or(|maximum| maximum >= files),
        "{files} connections need as many files, and the limit is {}: ulimit -Hn",
        limit.maximum.unwrap_or(0)
    );
    limit.current = Some(files);
    Ok(setrlimit(Resource::Nofile, limit)?)
}

impl Cost {
    fn line(&self) -> String {
        format!(
            "{} × {}: {:.0} bytes, {:.1} µs each, {:.1} µs of the broker's processor time\n",
            self.count, self.kind, self.bytes_each, self.us_each, self.broker_us_each
        )
    }

    fn json(&self) -> Json {
        json!({
            "kind": self.kind,
            "count": self.count,
            "bytes_each": rounded(self.bytes_each, 1),
            "us_each": rounded(self.us_each, 2),
            "broker_us_each": rounded(self.broker_us_each, 2),
        })
    }
}
