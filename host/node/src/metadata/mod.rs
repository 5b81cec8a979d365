//! The node's metadata log: what the crates declare, as records on disk, and back.
//!
//! One log for all of it, in the order in which it happened. Each owner's commands are a kind of
//! record: the broker's, those of users and permissions, those of routes. The crates know nothing
//! of records; the mirror types in [`record`] are the format, and carry its version.

mod compaction;
mod policy_record;
mod record;
mod values;
mod vhost_record;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use shunt_auth::{AccessChange, AccessControl};
use shunt_broker::metadata::Command;
use shunt_broker::ports::{self, OnDurable};
use shunt_http_api::AccessPort;
use shunt_storage::{LogWriter, SyncOutcome};
use shunt_types::VhostName;
use shunt_wasm::{RouteStore, StoredRoute};

pub(crate) use compaction::Compaction;
use record::{Record, RouteRecord};

/// What a log holds, sorted by owner.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) access: Vec<AccessChange>,
    pub(crate) routes: BTreeMap<RouteKey, StoredRoute>,
    pub(crate) commands: Vec<Command>,
}

impl Contents {
    fn add(&mut self, record: Record) -> anyhow::Result<()> {
        match record {
            Record::Broker(record) => self.commands.push(record.into_command()?),
            Record::Access(record) => self.access.push(record.into_change()?),
            Record::Route(RouteRecord::Put(route)) => {
                let route = route.into_route()?;
                let key = (route.vhost.to_string(), route.name.clone());
                self.routes.insert(key, route);
            }
            Record::Route(RouteRecord::Remove { vhost, name }) => {
                self.routes.remove(&(vhost, name));
            }
        }
        Ok(())
    }

    fn records(self) -> impl Iterator<Item = Record> {
        let access = self.access.iter().map(Record::access).collect::<Vec<_>>();
        let routes = self.routes.values().map(Record::route).collect::<Vec<_>>();
        let commands = self.commands.iter().map(Record::command).collect::<Vec<_>>();
        access.into_iter().chain(routes).chain(commands)
    }
}

/// Reads what was found on disk. What can't be read is an error: to go on without it would lose
/// what clients were told is declared.
pub(crate) fn read(
    snapshot: Option<Vec<u8>>,
    commands: Vec<(u8, Vec<u8>)>,
) -> anyhow::Result<Contents> {
    let mut contents = Contents::default();
    let snapshot = snapshot.map(|bytes| record::read_snapshot(&bytes)).transpose()?;
    for (kind, payload) in snapshot.into_iter().flatten().chain(commands) {
        contents.add(Record::decode(kind, &payload)?)?;
    }
    Ok(contents)
}

/// The log as the crates see it.
pub(crate) struct MetadataLog {
    log: shunt_storage::MetadataLog,
    waiters: Arc<Mutex<Waiters>>,
    /// The routes as the log says, which changes in the log's order.
    routes: Mutex<BTreeMap<RouteKey, StoredRoute>>,
}

/// A route's virtual host and its name.
type RouteKey = (String, String);

/// Who waits for the disk.
#[derive(Default)]
struct Waiters {
    durable: u64,
    /// Why nothing more will be durable.
    failure: Option<String>,
    waiting: BTreeMap<u64, Vec<OnDurable>>,
}

impl MetadataLog {
    /// Gives the log its thread. `routes` are those that it holds.
    pub(crate) fn start(
        writer: LogWriter,
        routes: BTreeMap<RouteKey, StoredRoute>,
    ) -> io::Result<Arc<Self>> {
        let waiters = Arc::new(Mutex::new(Waiters::default()));
        let told = waiters.clone();
        let log = shunt_storage::MetadataLog::start(writer, move |outcome| tell(&told, outcome))?;
        Ok(Arc::new(Self { log, waiters, routes: Mutex::new(routes) }))
    }

    fn append_record(&self, record: &Record) -> ports::Position {
        let appended = record.encode().and_then(|(kind, payload)| {
            self.log.append(kind, &payload).map_err(anyhow::Error::from)
        });
        match appended {
            Ok(position) => ports::Position(position.0),
            Err(error) => {
                tracing::error!(%error, "the metadata log takes nothing more");
                self.waiters.lock().failure.get_or_insert_with(|| error.to_string());
                ports::Position(u64::MAX)
            }
        }
    }

    /// Waits on this thread, which must not be a shard's.
    fn wait_for(&self, position: ports::Position) -> io::Result<()> {
        let (tell, told) = std::sync::mpsc::channel();
        ports::MetadataLog::when_durable(
            self,
            position,
            Box::new(move |outcome| {
                // The receiver waits below.
                let _ = tell.send(outcome);
            }),
        );
        let outcome = told.recv().map_err(|_| io::Error::other("the metadata log has ended"))?;
        outcome.map_err(io::Error::other)
    }
}

fn tell(waiters: &Mutex<Waiters>, outcome: SyncOutcome) {
    let mut due = Vec::new();
    let mut result = Ok(());
    {
        let mut waiters = waiters.lock();
        match outcome {
            SyncOutcome::Durable(position) => {
                waiters.durable = position.0;
                let later = waiters.waiting.split_off(&(position.0 + 1));
                due.extend(std::mem::replace(&mut waiters.waiting, later).into_values().flatten());
            }
            SyncOutcome::Failed(error) => {
                tracing::error!(%error, "the metadata log failed; nothing more can be declared");
                let text = format!("the metadata log failed: {error}");
                result = Err(text.clone());
                waiters.failure = Some(text);
                due.extend(std::mem::take(&mut waiters.waiting).into_values().flatten());
            }
            SyncOutcome::NoSpace(error) => {
                tracing::error!(%error, "the disk is full; declarations wait for space");
            }
            SyncOutcome::Retrying(error) => {
                tracing::error!(%error, "the metadata can't be written; declarations wait");
            }
            SyncOutcome::SnapshotWritten => tracing::debug!("metadata snapshot written"),
            SyncOutcome::SnapshotFailed(error) => {
                tracing::warn!(%error, "the metadata snapshot can't be written");
            }
        }
    }
    for then in due {
        then(result.clone());
    }
}

impl ports::MetadataLog for MetadataLog {
    fn append(&self, command: &Command) -> ports::Position {
        self.append_record(&Record::command(command))
    }

    fn when_durable(&self, position: ports::Position, then: OnDurable) {
        let mut waiters = self.waiters.lock();
        if position.0 <= waiters.durable {
            drop(waiters);
            then(Ok(()));
        } else if let Some(failure) = waiters.failure.clone() {
            drop(waiters);
            then(Err(failure));
        } else {
            waiters.waiting.entry(position.0).or_default().push(then);
        }
    }
}

/// Routes in the log.
pub(crate) struct StoredRoutes(pub(crate) Arc<MetadataLog>);

impl RouteStore for StoredRoutes {
    fn load(&self) -> io::Result<Vec<StoredRoute>> {
        Ok(self.0.routes.lock().values().cloned().collect())
    }

    fn put(&self, route: &StoredRoute) -> io::Result<()> {
        let position = {
            let mut routes = self.0.routes.lock();
            routes.insert((route.vhost.to_string(), route.name.clone()), route.clone());
            self.0.append_record(&Record::route(route))
        };
        self.0.wait_for(position)
    }

    fn remove(&self, vhost: &VhostName, name: &str) -> io::Result<()> {
        let key = (vhost.to_string(), name.to_owned());
        let position = {
            let mut routes = self.0.routes.lock();
            routes.remove(&key);
            let (vhost, name) = key;
            self.0.append_record(&Record::Route(RouteRecord::Remove { vhost, name }))
        };
        self.0.wait_for(position)
    }
}

/// Users and permissions in the log.
pub(crate) struct LoggedAccess {
    pub(crate) access: Arc<AccessControl>,
    pub(crate) log: Arc<MetadataLog>,
    /// Changes are applied in the order in which they are logged.
    pub(crate) order: Mutex<()>,
}

impl AccessPort for LoggedAccess {
    fn change(&self, change: AccessChange, then: OnDurable) {
        let position = {
            let _in_order = self.order.lock();
            self.access.apply(&change);
            self.log.append_record(&Record::access(&change))
        };
        ports::MetadataLog::when_durable(&*self.log, position, then);
    }
}

#[cfg(test)]
mod tests;
