//! Replay: a recorded trace decided once more, and what comes out differently.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use shunt_routing::{Binding, Failure, Header};
use shunt_types::{ValueRef, VhostName};

use crate::desk::{DeskExchange, DeskRoute};
use crate::dry_run::DryRunDestination;
use crate::fields::Field;
use crate::trace::{TraceError, TraceReader, TracedExchange, TracedMessage};

/// Values of a field that are told apart; the messages of all others are counted together.
const VALUES_MAX: usize = 1_000;
/// Values of a field, moves, and examples of each that are shown.
const SHOWN_MAX: usize = 20;
const EXAMPLES_MAX: usize = 3;
/// Kinds of moves that are told apart.
const MOVES_MAX: usize = 1_000;
/// Bytes of a value that are shown.
const VALUE_BYTES_MAX: usize = 64;
/// Decisions whose fuel is kept for the percentiles; of more than these, every other one, and so on.
const SAMPLES_MAX: usize = 1 << 20;

/// What a replay is about.
#[derive(Clone, Copy)]
pub struct ReplayRequest<'a> {
    /// The trace.
    pub trace: &'a [u8],
    /// Its virtual host.
    pub vhost: &'a VhostName,
    /// The module that is asked.
    pub candidate: &'a DeskRoute,
    /// What its decisions are compared with.
    pub against: Option<&'a DeskRoute>,
    /// Bindings in place of those that were recorded.
    pub bindings: Option<&'a [Arc<Binding>]>,
}

/// Why a replay is not done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The trace can't be used.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A module reads what wasn't recorded: its decisions would be others.
    #[error("the module '{module}' needs {}, which the trace doesn't have; record again with \
             these fields", .fields.join(", "))]
    Fields {
        /// The module's own name.
        module: String,
        /// The fields that are missing.
        fields: Vec<String>,
    },
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// Messages of the trace.
    pub messages: u64,
    /// Messages that would go elsewhere, or fail where they didn't, or the other way round.
    pub changed: u64,
    /// What the candidate did.
    pub candidate: ReplaySide,
    /// What it was compared with.
    pub against: Option<ReplaySide>,
    /// The kinds of changes, the most frequent first.
    pub moves: Vec<ReplayMove>,
    /// Destinations that would gain or lose messages, in the order of their names.
    pub destinations: Vec<ReplayDestination>,
    /// Values of the fields that are read with the messages that changed, the most first.
    pub values: Vec<ReplayValue>,
}

/// Decisions of one module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplaySide {
    /// Messages without a destination.
    pub unroutable: u64,
    /// Failures by cause.
    pub failures: BTreeMap<&'static str, u64>,
    /// Answers that broke a guard, by its name; they are among the failures.
    pub guards: BTreeMap<String, u64>,
    /// Fuel of a decision: the median, the 99th percentile, the most.
    pub fuel_p50: u64,
    /// See `fuel_p50`.
    pub fuel_p99: u64,
    /// See `fuel_p50`.
    pub fuel_max: u64,
}

/// Messages that would go from some destinations to others.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayMove {
    /// Names in alphabetical order, or a failure's cause.
    pub from: Vec<String>,
    /// As `from`.
    pub to: Vec<String>,
    /// How many messages.
    pub messages: u64,
    /// The fields of some of them.
    pub examples: Vec<BTreeMap<String, String>>,
}

/// A destination, or the binding that leads there.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayDestination {
    /// The exchange.
    pub exchange: String,
    /// The destination's name.
    pub name: String,
    /// The binding's index; none where the queue was named.
    pub binding: Option<usize>,
    /// The binding's key.
    pub key: String,
    /// Messages that only the candidate sends there.
    pub gained: u64,
    /// Messages that only the other one sends there.
    pub lost: u64,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayValue {
    /// The field.
    pub field: String,
    /// Its value as text.
    pub value: String,
    /// Messages that have it.
    pub messages: u64,
    /// Of them, those that changed.
    pub changed: u64,
}

/// Decides every message of a trace with the candidate, and with what it is compared with.
///
/// # Errors
/// The trace is damaged, or lacks a field that a module reads. That a module fails is no error.
pub fn replay(request: &ReplayRequest<'_>) -> Result<Replay, ReplayError> {
    let mut work = Work::new(request);
    let mut reader = TraceReader::new(request.trace, request.vhost.clone())?;
    reader.read(|recorded, exchanges, message| work.message(recorded, exchanges, &message))?;
    Ok(work.finish())
}

/// A module's decisions so far.
struct Side<'a> {
    route: &'a DeskRoute,
    /// By the exchange's place in the trace; where it doesn't get as far as an instance, why.
    exchanges: Vec<Result<DeskExchange<'a>, Failure>>,
    destinations: Vec<DryRunDestination>,
    failure: Option<Failure>,
    unroutable: u64,
    failures: BTreeMap<&'static str, u64>,
    guards: BTreeMap<String, u64>,
    fuel: Samples,
}

impl<'a> Side<'a> {
    fn new(route: &'a DeskRoute) -> Self {
        Self {
            route,
            exchanges: Vec::new(),
            destinations: Vec::new(),
            failure: None,
            unroutable: 0,
            failures: BTreeMap::new(),
            guards: BTreeMap::new(),
            fuel: Samples::default(),
        }
    }

    fn check(&self, recorded: &[String]) -> Result<(), ReplayError> {
        let has = |field: &str| recorded.iter().any(|other| other == field);
        let module = self.route.module();
        let is_missing = |field: &&String| {
            !(has(field)
                || field.starts_with("headers.") && has("headers")
                || *field == "routing_key" && has("routing_keys")
                || matches!(field.as_str(), "exchange" | "vhost"))
        };
        let compared = self.route.guards().fields().iter().map(ToString::to_string);
        let wanted: Vec<_> = module.reads.iter().cloned().chain(compared).collect();
        let fields: Vec<_> = wanted.iter().filter(is_missing).cloned().collect();
        match fields.is_empty() {
            true => Ok(()),
            false => Err(ReplayError::Fields { module: module.name, fields }),
        }
    }

    fn decide(
        &mut self,
        exchanges: &[TracedExchange],
        bindings: Option<&[Arc<Binding>]>,
        message: &TracedMessage<'_>,
    ) {
        while self.exchanges.len() < exchanges.len() {
            let traced = &exchanges[self.exchanges.len()];
            let bindings = bindings.map_or_else(|| traced.bindings.clone(), <[_]>::to_vec);
            self.exchanges.push(self.route.declare(traced.spec.clone(), bindings));
        }
        self.destinations.clear();
        self.failure = match &mut self.exchanges[message.exchange] {
            Ok(exchange) => {
                let decided = exchange.decide(&message.header, &mut self.destinations);
                self.fuel.add(exchange.fuel());
                if let Some(guard) = exchange.broken_guard() {
                    match self.guards.get_mut(guard) {
                        Some(count) => *count += 1,
                        None => drop(self.guards.insert(guard.to_owned(), 1)),
                    }
                }
                decided.err()
            }
            Err(failure) => Some(failure.clone()),
        };
        match &self.failure {
            Some(failure) => *self.failures.entry(failure.cause.name()).or_default() += 1,
            None if self.destinations.is_empty() => self.unroutable += 1,
            None => {}
        }
        self.destinations.sort_by(|a, b| (&a.name, a.binding).cmp(&(&b.name, b.binding)));
        self.destinations.dedup();
    }

    /// What makes two decisions the same: the kinds and names of the destinations, or the cause.
    fn is_like(&self, other: &Self) -> bool {
        let cause = |side: &Self| side.failure.as_ref().map(|failure| failure.cause);
        let named = |side: &Self| -> Vec<(bool, Arc<str>)> {
            let named = side.destinations.iter().map(|d| (d.is_queue, Arc::clone(&d.name)));
            let mut named: Vec<_> = named.collect();
            named.dedup();
            named
        };
        cause(self) == cause(other)
            && (self.destinations == other.destinations || named(self) == named(other))
    }

    fn names(&self) -> Vec<String> {
        if let Some(failure) = &self.failure {
            return vec![format!("({})", failure.cause.name())];
        }
        let mut names: Vec<String> = self.destinations.iter().map(|d| d.name.to_string()).collect();
        names.dedup();
        names
    }

    fn finish(self) -> ReplaySide {
        let [fuel_p50, fuel_p99, fuel_max] = self.fuel.percentiles();
        ReplaySide {
            unroutable: self.unroutable,
            failures: self.failures,
            guards: self.guards,
            fuel_p50,
            fuel_p99,
            fuel_max,
        }
    }
}

/// A bounded, evenly spaced part of many numbers.
struct Samples {
    kept: Vec<u64>,
    every: u64,
    seen: u64,
    max: u64,
}

impl Default for Samples {
    fn default() -> Self {
        Self { kept: Vec::new(), every: 1, seen: 0, max: 0 }
    }
}

impl Samples {
    fn add(&mut self, sample: u64) {
        self.max = self.max.max(sample);
        if self.seen.is_multiple_of(self.every) {
            if self.kept.len() == SAMPLES_MAX {
                let mut is_kept = false;
                self.kept.retain(|_| {
                    is_kept = !is_kept;
                    is_kept
                });
                self.every *= 2;
            }
            self.kept.push(sample);
        }
        self.seen += 1;
    }

    /// The median, the 99th percentile, the most.
    fn percentiles(mut self) -> [u64; 3] {
        self.kept.sort_unstable();
        let at = |part: usize| match self.kept.len() {
            0 => 0,
            length => self.kept[(length * part / 100).min(length - 1)],
        };
        [at(50), at(99), self.max]
    }
}

/// A message's fields as text.
type Example = BTreeMap<String, String>;

/// Names of destinations, and of others.
type Move = (Vec<String>, Vec<String>);

/// Exchange, destination and the index of the binding.
type Place = (String, String, Option<usize>);

struct Work<'a> {
    bindings: Option<&'a [Arc<Binding>]>,
    candidate: Side<'a>,
    against: Option<Side<'a>>,
    /// The fields whose values are counted: those that either module reads.
    fields: Vec<Field>,
    is_checked: bool,
    messages: u64,
    changed: u64,
    moves: HashMap<Move, (u64, Vec<Example>)>,
    destinations: BTreeMap<Place, (u64, u64, String)>,
    values: Vec<HashMap<String, (u64, u64)>>,
    text: String,
}

impl<'a> Work<'a> {
    fn new(request: &ReplayRequest<'a>) -> Self {
        let mut names = request.candidate.module().reads;
        names.extend(request.against.map(|route| route.module().reads).unwrap_or_default());
        names.sort();
        names.dedup();
        let fields: Vec<_> = names.iter().filter_map(|name| Field::parse(name)).collect();
        Self {
            bindings: request.bindings,
            candidate: Side::new(request.candidate),
            against: request.against.map(Side::new),
            values: vec![HashMap::new(); fields.len()],
            fields,
            is_checked: false,
            messages: 0,
            changed: 0,
            moves: HashMap::new(),
            destinations: BTreeMap::new(),
            text: String::new(),
        }
    }

    fn message(
        &mut self,
        recorded: &[String],
        exchanges: &[TracedExchange],
        message: &TracedMessage<'_>,
    ) -> Result<(), ReplayError> {
        if !self.is_checked {
            self.candidate.check(recorded)?;
            self.against.as_ref().map_or(Ok(()), |side| side.check(recorded))?;
            self.is_checked = true;
        }
        self.messages += 1;
        self.candidate.decide(exchanges, self.bindings, message);
        let mut is_changed = false;
        if let Some(against) = &mut self.against {
            against.decide(exchanges, self.bindings, message);
            is_changed = !self.candidate.is_like(against);
        }
        self.count_values(&message.header, is_changed);
        if is_changed {
            self.changed += 1;
            self.count_move(&exchanges[message.exchange], &message.header);
        }
        Ok(())
    }

    fn count_values(&mut self, header: &Header<'_>, is_changed: bool) {
        for (field, values) in self.fields.iter().zip(&mut self.values) {
            self.text.clear();
            put_value(&mut self.text, field, header);
            let known = values.contains_key(&self.text);
            let key = if known || values.len() < VALUES_MAX { &*self.text } else { "(others)" };
            if !values.contains_key(key) {
                values.insert(key.to_owned(), (0, 0));
            }
            if let Some((messages, changed)) = values.get_mut(key) {
                *messages += 1;
                *changed += u64::from(is_changed);
            }
        }
    }

    fn count_move(&mut self, exchange: &TracedExchange, header: &Header<'_>) {
        let Some(against) = &self.against else { return };
        let (old, new) = (&against.destinations, &self.candidate.destinations);
        let bindings = self.bindings.unwrap_or(&exchange.bindings);
        for (mine, other, is_gain) in [(new, old, true), (old, new, false)] {
            for destination in mine.iter().filter(|destination| !other.contains(destination)) {
                let key = destination.binding.and_then(|index| bindings.get(index));
                let key = key.map(|binding| binding.key.to_string()).unwrap_or_default();
                let place = (
                    exchange.spec.name.as_str().to_owned(),
                    destination.name.to_string(),
                    destination.binding,
                );
                let counts = self.destinations.entry(place).or_insert((0, 0, key));
                *(if is_gain { &mut counts.0 } else { &mut counts.1 }) += 1;
            }
        }
        let mut key = (against.names(), self.candidate.names());
        if self.moves.len() >= MOVES_MAX && !self.moves.contains_key(&key) {
            key = (vec!["(others)".to_owned()], vec!["(others)".to_owned()]);
        }
        let (messages, examples) = self.moves.entry(key).or_default();
        *messages += 1;
        if examples.len() < EXAMPLES_MAX {
            let example = self.fields.iter().map(|field| {
                let mut text = String::new();
                put_value(&mut text, field, header);
                (field.to_string(), text)
            });
            examples.push(example.collect());
        }
    }

    fn finish(self) -> Replay {
        let mut moves: Vec<_> = self
            .moves
            .into_iter()
            .map(|((from, to), (messages, examples))| ReplayMove { from, to, messages, examples })
            .collect();
        moves.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.from.cmp(&b.from)));
        moves.truncate(SHOWN_MAX);
        let destinations = self.destinations.into_iter().map(|(place, counts)| {
            let ((exchange, name, binding), (gained, lost, key)) = (place, counts);
            ReplayDestination { exchange, name, binding, key, gained, lost }
        });
        let mut values = Vec::new();
        for (field, counts) in self.fields.iter().zip(self.values) {
            let mut of_field: Vec<_> = counts
                .into_iter()
                .filter(|(_, (_, changed))| *changed > 0)
                .map(|(value, (messages, changed))| ReplayValue {
                    field: field.to_string(),
                    value,
                    messages,
                    changed,
                })
                .collect();
            of_field.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| a.value.cmp(&b.value)));
            of_field.truncate(SHOWN_MAX);
            values.extend(of_field);
        }
        Replay {
            messages: self.messages,
            changed: self.changed,
            candidate: self.candidate.finish(),
            against: self.against.map(Side::finish),
            moves,
            destinations: destinations.collect(),
            values,
        }
    }
}

/// A field's value as people read it, cut to what is shown of it.
pub(crate) fn put_value(out: &mut String, field: &Field, header: &Header<'_>) {
    write_value(out, field, header);
    if out.len() > VALUE_BYTES_MAX {
        let end = (0..=VALUE_BYTES_MAX).rev().find(|&end| out.is_char_boundary(end));
        out.truncate(end.unwrap_or(0));
        out.push('…');
    }
}

/// A field's value as people read it; to a writer that doesn't fail.
pub(crate) fn write_value(out: &mut impl fmt::Write, field: &Field, header: &Header<'_>) {
    let properties = header.properties;
    let text = |out: &mut _, value: Option<&str>| fmt::Write::write_str(out, value.unwrap_or(NONE));
    let _ = match field {
        Field::RoutingKey => write!(out, "{}", header.routing_key()),
        Field::RoutingKeys => write!(out, "{}", header.routing_keys.join(" ")),
        Field::Exchange => write!(out, "{}", header.exchange),
        Field::User => write!(out, "{}", header.user),
        Field::Vhost => write!(out, "{}", header.vhost),
        Field::BodySize => write!(out, "{}", header.body_size),
        Field::Header(name) => match properties.header(name) {
            Some(value) => put_amqp(out, value),
            None => out.write_str(NONE),
        },
        Field::Headers => write!(out, "({} headers)", properties.headers().iter().count()),
        Field::DeliveryMode => put_number(out, properties.delivery_mode().map(u64::from)),
        Field::Priority => put_number(out, properties.priority().map(u64::from)),
        Field::Timestamp => put_number(out, properties.timestamp()),
        Field::ContentType => text(out, properties.content_type()),
        Field::ContentEncoding => text(out, properties.content_encoding()),
        Field::CorrelationId => text(out, properties.correlation_id()),
        Field::ReplyTo => text(out, properties.reply_to()),
        Field::Expiration => text(out, properties.expiration()),
        Field::MessageId => text(out, properties.message_id()),
        Field::Type => text(out, properties.kind()),
        Field::UserId => text(out, properties.user_id()),
        Field::AppId => text(out, properties.app_id()),
    };
}

/// How a value is told that a message doesn't have.
const NONE: &str = "(none)";

fn put_number(out: &mut impl fmt::Write, number: Option<u64>) -> fmt::Result {
    match number {
        Some(number) => write!(out, "{number}"),
        None => out.write_str(NONE),
    }
}

fn put_amqp(out: &mut impl fmt::Write, value: ValueRef<'_>) -> fmt::Result {
    match value {
        ValueRef::LongString(bytes) | ValueRef::ByteArray(bytes) => {
            write!(out, "{}", String::from_utf8_lossy(bytes))
        }
        ValueRef::Boolean(flag) => write!(out, "{flag}"),
        ValueRef::F32(number) => write!(out, "{number}"),
        ValueRef::F64(number) => write!(out, "{number}"),
        ValueRef::Void => write!(out, "(void)"),
        ValueRef::Timestamp(seconds) => write!(out, "{seconds}"),
        ValueRef::Array(_) => write!(out, "(array)"),
        ValueRef::Table(_) => write!(out, "(table)"),
        other => match other.as_integer() {
            Some(number) => write!(out, "{number}"),
            None => write!(out, "{other:?}"),
        },
    }
}
