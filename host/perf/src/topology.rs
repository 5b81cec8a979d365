//! The exchange, queues and bindings of a run.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::process;

use anyhow::Context as _;
use shunt_amqp_codec::method::{
    ChannelCloseOk, ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk,
    QueueBind, QueueBindOk, QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk,
};
use shunt_amqp_codec::{Method, put_method};
use shunt_types::{FieldTable, Properties, TableRef, Value};

use crate::connection::{Connection, ConnectionError, EncodedTable};
use crate::pair::Pair;
use crate::scenario::Scenario;

/// The channel that every connection of a run uses.
pub(crate) const CHANNEL: u16 = 1;

/// Bindings that are sent at once; the broker's answer to the last of them says that all are
/// there.
const BIND_BATCH: usize = 1000;

/// The exchange type for which messages and bindings carry a header to match by.
const HEADERS: &str = "headers";

/// The header that a headers exchange matches by.
const MATCHED_HEADER: &str = "perf";

/// The reply code for what isn't there.
const NOT_FOUND: u16 = 404;

/// What a run declares and uses. Its own names are like no other run's; see [`own_prefix`].
#[derive(Debug)]
pub(crate) struct Topology {
    /// Empty for the default exchange.
    pub(crate) exchange: String,
    pub(crate) queues: Vec<Target>,
    /// Whether it was declared by this run, which then deletes it.
    own_exchange: bool,
}

/// A queue and how a message gets there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) queue: String,
    /// The routing key of its messages. All keys of a run's own have the same length.
    pub(crate) routing_key: String,
    pub(crate) properties: Properties,
    /// Whether it was declared by this run, which then deletes it.
    own: bool,
}

impl Topology {
    /// Names only; nothing is declared yet.
    pub(crate) fn plan(scenario: &Scenario) -> anyhow::Result<Self> {
        let prefix = own_prefix("shunt-perf");
        let default = scenario.is_default_exchange();
        let mut properties = Pair::properties(&scenario.message_properties)
            .map_err(|error| anyhow::anyhow!("--message-properties: {error}"))?;
        if scenario.persistent() {
            properties.delivery_mode = Some(2);
        }
        let target = |index| {
            let queue = queue_name(scenario, &prefix, index)?;
            let key = if default { queue.clone() } else { format!("perf.{}.hit", hit(index)) };
            let mut properties = properties.clone();
            if scenario.exchange_type == HEADERS {
                let headers = properties.headers.get_or_insert_with(FieldTable::new);
                headers.insert(MATCHED_HEADER, Value::from(hit(index)));
            }
            let routing_key = scenario.routing_key.clone().unwrap_or(key);
            Ok(Target { queue, routing_key, properties, own: false })
        };
        let queues = (0..scenario.queue_names_count()).map(target);
        let exchange = match (&scenario.exchange, default) {
            (Some(name), _) => name.clone(),
            (None, true) => String::new(),
            (None, false) => prefix.clone(),
        };
        let queues = queues.collect::<anyhow::Result<_>>()?;
        Ok(Self { exchange, queues, own_exchange: false })
    }

    /// Declares what is not there yet, and binds it.
    pub(crate) fn declare(
        &mut self,
        connection: &mut Connection,
        scenario: &Scenario,
    ) -> anyhow::Result<()> {
        if scenario.predeclared {
            return Ok(());
        }
        let chosen = scenario.queue.is_some() || scenario.queue_pattern.is_some();
        for target in &mut self.queues {
            target.declare(connection, scenario, chosen)?;
        }
        if self.exchange.is_empty() {
            return Ok(());
        }
        let exists = scenario.exchange.is_some()
            && exists(connection, |passive| {
                ExchangeDeclare { passive, ..exchange(&self.exchange, "direct") }.into()
            })?
            .is_some();
        if !exists {
            let arguments = EncodedTable::new(&Pair::table(&scenario.exchange_args));
            let declare = ExchangeDeclare {
                durable: scenario.persistent(),
                arguments: arguments.as_ref(),
                ..exchange(&self.exchange, &scenario.exchange_type)
            };
            connection.call(CHANNEL, declare, ExchangeDeclareOk::ID).with_context(|| {
                format!("declaring an exchange of type {}", scenario.exchange_type)
            })?;
            self.own_exchange = true;
        }
        self.bind(connection, scenario)
    }

    /// The bindings that do not match first, then those that do.
    fn bind(&self, connection: &mut Connection, scenario: &Scenario) -> anyhow::Result<()> {
        let queues = self.queues.len() as u32;
        let idle = scenario.bindings().saturating_sub(queues);
        let idle = (0..idle).zip(self.queues.iter().cycle());
        let idle = idle.map(|(index, target)| (target, miss(index), false));
        let matching = (0..queues).zip(&self.queues);
        let matching = matching.map(|(index, target)| (target, hit(index), true));

        let total = scenario.bindings().max(queues) as usize;
        let mut bytes = Vec::new();
        for (index, (target, word, matches)) in idle.chain(matching).enumerate() {
            let key = binding_key(scenario, target, &word, matches);
            let mut arguments = FieldTable::new();
            if scenario.exchange_type == HEADERS {
                arguments.insert(MATCHED_HEADER, Value::from(word));
            }
            let arguments = EncodedTable::new(&arguments);
            let last = (index + 1) % BIND_BATCH == 0 || index + 1 == total;
            let bind = QueueBind {
                queue: &target.queue,
                exchange: &self.exchange,
                routing_key: &key,
                no_wait: !last,
                arguments: arguments.as_ref(),
            };
            put_method(&mut bytes, CHANNEL, bind);
            if last {
                connection.send(&bytes)?;
                bytes.clear();
                connection.expect(CHANNEL, QueueBindOk::ID).context("binding a queue")?;
            }
        }
        Ok(())
    }

    /// Deletes what was declared; messages that are still there go with their queue.
    pub(crate) fn delete(&self, connection: &mut Connection) -> anyhow::Result<()> {
        if self.own_exchange {
            let delete =
                ExchangeDelete { exchange: &self.exchange, if_unused: false, no_wait: false };
            connection
                .call(CHANNEL, delete, ExchangeDeleteOk::ID)
                .context("deleting the exchange")?;
        }
        for target in self.queues.iter().filter(|target| target.own) {
            let delete = QueueDelete {
                queue: &target.queue,
                if_unused: false,
                if_empty: false,
                no_wait: false,
            };
            connection.call(CHANNEL, delete, QueueDeleteOk::ID).context("deleting a queue")?;
        }
        Ok(())
    }
}

impl Target {
    fn declare(
        &mut self,
        connection: &mut Connection,
        scenario: &Scenario,
        chosen: bool,
    ) -> anyhow::Result<()> {
        let declare = QueueDeclare {
            queue: &self.queue,
            passive: false,
            durable: scenario.persistent(),
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        if chosen
            && let Some(messages) =
                exists(connection, |passive| QueueDeclare { passive, ..declare }.into())?
        {
            // Without publishers they are what there is to consume.
            anyhow::ensure!(
                messages == 0 || scenario.producers == 0,
                "{messages} messages are in the queue: purge it first"
            );
            return Ok(());
        }
        let arguments = EncodedTable::new(&Pair::table(&scenario.queue_args));
        let declare = QueueDeclare { arguments: arguments.as_ref(), ..declare };
        connection
            .call(CHANNEL, declare, QueueDeclareOk::ID)
            .with_context(|| format!("declaring queue {}", self.queue))?;
        self.own = true;
        Ok(())
    }
}

/// Whether a declare finds what it names, and if so, how many messages are there.
fn exists<'a>(
    connection: &mut Connection,
    declare: impl FnOnce(bool) -> Method<'a>,
) -> anyhow::Result<Option<u32>> {
    let declare = declare(true);
    let answer = match declare {
        Method::QueueDeclare(_) => QueueDeclareOk::ID,
        _ => ExchangeDeclareOk::ID,
    };
    let found = connection.call(CHANNEL, declare, answer).map(|answer| match answer {
        Method::QueueDeclareOk(found) => found.message_count,
        _ => 0,
    });
    match found {
        Ok(messages) => Ok(Some(messages)),
        Err(ConnectionError::Closed { code: NOT_FOUND, channel: CHANNEL, .. }) => {
            connection.send_method(CHANNEL, ChannelCloseOk {})?;
            connection.open_channel(CHANNEL)?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// How a run's own names begin: with the process id for who looks at the broker, and at random,
/// since containers and machines have ids in common.
pub(crate) fn own_prefix(name: &str) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{name}-{}-{random:016x}", process::id())
}

fn exchange<'a>(exchange: &'a str, kind: &'a str) -> ExchangeDeclare<'a> {
    ExchangeDeclare {
        exchange,
        kind,
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: TableRef::EMPTY,
    }
}

fn queue_name(scenario: &Scenario, prefix: &str, index: u32) -> anyhow::Result<String> {
    if let Some(name) = &scenario.queue {
        return Ok(name.clone());
    }
    let Some(pattern) = &scenario.queue_pattern else {
        return Ok(format!("{prefix}-q{index:07}"));
    };
    numbered(pattern, scenario.queue_pattern_from + index)
        .with_context(|| format!("--queue-pattern {pattern} has no %d or %05d in it"))
}

/// Puts a number in the place of `%d`, or of `%05d` with leading zeros.
fn numbered(pattern: &str, number: u32) -> Option<String> {
    let (before, rest) = pattern.split_once('%')?;
    let (width, after) = rest.split_once('d')?;
    let width = match width.strip_prefix('0') {
        Some(width) => width.parse().ok()?,
        None if width.is_empty() => 0,
        None => return None,
    };
    Some(format!("{before}{number:0width$}{after}"))
}

fn binding_key(scenario: &Scenario, target: &Target, word: &str, matches: bool) -> String {
    let own = scenario.binding_key.as_ref().or(scenario.routing_key.as_ref());
    match (own, scenario.exchange_type.as_str()) {
        // A weight, which a routing key is not.
        (_, "x-consistent-hash") => scenario.binding_key.clone().unwrap_or_else(|| "1".to_owned()),
        (Some(key), _) if matches => key.clone(),
        (_, "direct" | HEADERS | "fanout") if matches => target.routing_key.clone(),
        (_, "direct" | HEADERS | "fanout") => format!("perf.{word}.hit"),
        _ => format!("perf.{word}.*"),
    }
}

/// The word that a queue's messages and its matching binding share.
fn hit(index: u32) -> String {
    format!("k{index:07}")
}

/// A word that no message carries.
fn miss(index: u32) -> String {
    format!("n{index:07}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::scenario;

    #[test]
    fn patterns_number_the_queues() {
        assert_eq!(numbered("a-%d-b", 7).as_deref(), Some("a-7-b"));
        assert_eq!(numbered("q%05d", 42).as_deref(), Some("q00042"));
        assert_eq!(numbered("q", 1), None);
        assert_eq!(numbered("q%s", 1), None);
        assert_eq!(numbered("q%5d", 1), None);
    }

    #[test]
    fn a_plan_names_everything_once() {
        let plan = |line: &str| Topology::plan(&scenario(line)).unwrap();
        let names = |topology: Topology| {
            topology.queues.into_iter().map(|target| target.queue).collect::<Vec<_>>()
        };
        let pattern = "--queue-pattern q-%d --queue-pattern-from 2 --queue-pattern-to 4";
        assert_eq!(names(plan(pattern)), ["q-2", "q-3", "q-4"]);
        assert_eq!(names(plan("-u mine")), ["mine"]);
        let default = plan("-t default --queues 2");
        assert!(default.exchange.is_empty());
        assert_eq!(default.queues[1].routing_key, default.queues[1].queue);
        assert_eq!(plan("-k key --queues 2").queues[1].routing_key, "key");
        let headers = plan("-t headers").queues[0].properties.headers.clone().unwrap();
        assert_eq!(headers.get(MATCHED_HEADER), Some(&Value::from("k0000000")));
    }

    #[test]
    fn binding_keys_match_by_the_rules_of_the_type() {
        let check = |line: &str, matches, expected: &str| {
            let scenario = scenario(line);
            let target = Topology::plan(&scenario).unwrap().queues.remove(0);
            assert_eq!(binding_key(&scenario, &target, "word", matches), expected, "{line}");
        };
        check("", true, "perf.k0000000.hit");
        check("", false, "perf.word.hit");
        check("-t topic", true, "perf.word.*");
        check("-t topic -k a.b", true, "a.b");
        check("-t topic -k a.b --binding-key a.#", true, "a.#");
        check("-t topic -k a.b", false, "perf.word.*");
        check("-t x-consistent-hash --queues 3", true, "1");
        check("-t x-consistent-hash -k key", true, "1");
        check("-t x-consistent-hash -k key --binding-key 5", true, "5");
    }
}
