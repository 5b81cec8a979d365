//! An exchange that a test declared.

use std::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::data::{Data, table};
use super::header::Header;
use crate::binding::DestinationKind;
use crate::cursor::{Cursor, Malformed};
use crate::field::Fields;
use crate::instance::{Answer, Instance, describe};
use crate::route::Description;
use crate::value::Value;

/// An exchange in the virtual host `/` that a route `R` serves. Refusals are the reasons, as
/// the host passes them on.
pub struct Declared<R> {
    instance: Instance<R>,
    bindings: Vec<Bound>,
}

/// Where a message went, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the queue of a binding, or to one that the route named.
    Queue(String),
    /// To the exchange of a binding.
    Exchange(String),
}

#[derive(Debug)]
struct Bound {
    destination: Destination,
    encoded: Data,
}

impl From<&str> for Destination {
    fn from(queue: &str) -> Self {
        Destination::Queue(queue.into())
    }
}

/// Without the route itself, which then need not be `Debug` to be unwrapped in a test.
impl<R> fmt::Debug for Declared<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut declared = formatter.debug_struct("Declared");
        declared.field("bindings", &self.bindings);
        declared.finish_non_exhaustive()
    }
}

impl<R: Description> Declared<R> {
    /// Declares an exchange with these arguments.
    pub fn new<'a>(arguments: impl IntoIterator<Item = (&'a str, Data)>) -> Result<Self, String> {
        let input = table([
            ("exchange", Data::from("tested")),
            ("vhost", Data::from("/")),
            ("arguments", table(arguments)),
        ]);
        let mut instance = Instance::new();
        accepted(instance.configure(&input.encode()))?;
        let mut declared = Self { instance, bindings: Vec::new() };
        declared.rebind()?;
        Ok(declared)
    }

    /// Binds a queue.
    pub fn bind_queue<'a>(
        &mut self,
        name: &str,
        key: &str,
        arguments: impl IntoIterator<Item = (&'a str, Data)>,
    ) -> Result<(), String> {
        self.bind(DestinationKind::Queue, name, key, table(arguments))
    }

    /// Binds an exchange.
    pub fn bind_exchange<'a>(
        &mut self,
        name: &str,
        key: &str,
        arguments: impl IntoIterator<Item = (&'a str, Data)>,
    ) -> Result<(), String> {
        self.bind(DestinationKind::Exchange, name, key, table(arguments))
    }

    /// Binds many queues, by their names and keys, and tells the route once.
    pub fn bind_queues<'a>(
        &mut self,
        queues: impl IntoIterator<Item = (String, &'a str)>,
    ) -> Result<(), String> {
        for (name, key) in queues {
            self.check_and_keep(DestinationKind::Queue, &name, key, table::<Data>([]))?;
        }
        self.rebind()
    }

    /// Where a message with this header goes, in the order of the route's answer.
    pub fn route(&mut self, header: &Header) -> Result<Vec<Destination>, String> {
        let reads = <R::Header<'_> as Fields<'_>>::READS;
        let fields = reads.iter().map(|field| header.get(field)).collect();
        match self.instance.route(&Data::Array(fields).encode()) {
            Answer::Nothing => Ok(Vec::new()),
            Answer::Refused(reason) => Err(reason.into()),
            Answer::Packed(answer) => resolve(answer, &self.bindings),
        }
    }

    /// The name, the version and what else the route says about itself.
    pub fn describe(&self) -> Data {
        Cursor::new(&describe::<R>()).read().map_or(Data::Absent, Data::from)
    }

    fn bind(
        &mut self,
        kind: DestinationKind,
        name: &str,
        key: &str,
        arguments: Data,
    ) -> Result<(), String> {
        self.check_and_keep(kind, name, key, arguments)?;
        self.rebind()
    }

    fn check_and_keep(
        &mut self,
        kind: DestinationKind,
        name: &str,
        key: &str,
        arguments: Data,
    ) -> Result<(), String> {
        let (kind, destination) = match kind {
            DestinationKind::Queue => ("queue", Destination::Queue(name.into())),
            DestinationKind::Exchange => ("exchange", Destination::Exchange(name.into())),
        };
        let encoded = Data::Array(Vec::from([kind.into(), name.into(), key.into(), arguments]));
        accepted(self.instance.check_binding(&encoded.encode()))?;
        self.bindings.push(Bound { destination, encoded });
        Ok(())
    }

    fn rebind(&mut self) -> Result<(), String> {
        let bindings = self.bindings.iter().map(|bound| bound.encoded.clone());
        accepted(self.instance.bindings(&Data::Array(bindings.collect()).encode()))
    }
}

fn accepted(answer: Answer<'_>) -> Result<(), String> {
    match answer {
        Answer::Refused(reason) => Err(reason.into()),
        _ => Ok(()),
    }
}

fn resolve(answer: &[u8], bindings: &[Bound]) -> Result<Vec<Destination>, String> {
    let unreadable = |_: Malformed| "the answer is unreadable".to_string();
    let answer = Cursor::new(answer).read_array().map_err(unreadable)?;
    let destination = |value| match value {
        Value::Text(queue) => Ok(queue.into()),
        Value::Integer(index) => usize::try_from(index)
            .ok()
            .and_then(|index| bindings.get(index))
            .map(|bound| bound.destination.clone())
            .ok_or_else(|| format!("no binding has the index {index}")),
        other => Err(format!("{other:?} is no destination")),
    };
    answer.iter().map(destination).collect()
}
