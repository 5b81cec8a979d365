//! The format of the metadata log's records: MessagePack with named fields, one byte of version
//! before it. Names and variants are what is on disk: they may be added to, not changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shunt_auth::{AccessChange, HashingAlgorithm, PasswordHash, UserLimits};
use shunt_broker::durable::QueueUid;
use shunt_broker::metadata::{
    BindingDefinition, Command, DestinationName, ExchangeDefinition, QueueDefinition,
};
use shunt_broker::policy::PolicyKind;
use shunt_types::{ExchangeName, QueueName, VhostName};
use shunt_wasm::{
    CanaryBounds, CanarySettings, Capabilities, Capability, Destinations, LimitOverrides,
    StoredCanary, StoredRoute, StoredVersion,
};

use super::policy_record::{self, PolicyFields};
use super::values::{Fields, fields, table};
use super::vhost_record::{self, VhostFields};

/// Version of the records' format.
const VERSION: u8 = 1;

const KIND_BROKER: u8 = 1;
const KIND_ACCESS: u8 = 2;
const KIND_ROUTE: u8 = 3;

/// One record, by owner.
#[derive(Debug)]
pub(super) enum Record {
    Broker(BrokerRecord),
    Access(AccessRecord),
    Route(RouteRecord),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum BrokerRecord {
    CreateVhost { vhost: String },
    DeleteVhost { vhost: String },
    DeclareExchange { vhost: String, exchange: ExchangeFields, uid: Option<u64> },
    DeleteExchange { vhost: String, exchange: String },
    DeclareQueue { vhost: String, queue: QueueFields, uid: u64 },
    DeleteQueue { vhost: String, queue: String },
    Bind { vhost: String, binding: BindingFields },
    Unbind { vhost: String, binding: BindingFields },
    SetPolicy(PolicyFields),
    ClearPolicy { vhost: String, operator: bool, name: String },
    SetVhostMetadata(VhostFields),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExchangeFields {
    name: String,
    kind: String,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: Fields,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct QueueFields {
    name: String,
    durable: bool,
    auto_delete: bool,
    arguments: Fields,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BindingFields {
    source: String,
    to_queue: bool,
    destination: String,
    key: String,
    arguments: Fields,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum AccessRecord {
    PutUser {
        name: String,
        password: Option<(String, String)>,
        tags: Vec<String>,
    },
    DeleteUser {
        name: String,
    },
    SetPermissions {
        user: String,
        vhost: String,
        configure: String,
        write: String,
        read: String,
    },
    ClearPermissions {
        user: String,
        vhost: String,
    },
    RemoveVhost {
        vhost: String,
    },
    SetTopicPermission {
        user: String,
        vhost: String,
        exchange: String,
        write: String,
        read: String,
    },
    ClearTopicPermissions {
        user: String,
        vhost: String,
        exchange: Option<String>,
    },
    SetUserLimits {
        user: String,
        limits: Vec<(String, i64)>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum RouteRecord {
    Put(RouteFields),
    Remove { vhost: String, name: String },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RouteFields {
    vhost: String,
    name: String,
    active: Option<u32>,
    previous: Option<u32>,
    last_version: u32,
    versions: Vec<VersionFields>,
    /// Not there in records of nodes that knew no canaries.
    #[serde(default)]
    canary: Option<CanaryFields>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CanaryFields {
    version: u32,
    field: Option<String>,
    steps: Vec<u32>,
    interval_ms: u64,
    failed_per_cent: f64,
    unroutable_per_cent: f64,
    time_factor: f64,
    /// A canary of before there was this bound has none.
    #[serde(default)]
    fuel_factor: f64,
    calls_min: u64,
    step: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct VersionFields {
    version: u32,
    sha256: String,
    size_bytes: u64,
    grants: Vec<String>,
    destinations: String,
    limits: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    guards: BTreeMap<String, String>,
    deployed_at_ms: u64,
}

impl Record {
    pub(super) fn command(command: &Command) -> Self {
        Self::Broker(BrokerRecord::from_command(command))
    }

    pub(super) fn access(change: &AccessChange) -> Self {
        Self::Access(AccessRecord::from_change(change))
    }

    pub(super) fn route(route: &StoredRoute) -> Self {
        Self::Route(RouteRecord::Put(RouteFields::from_route(route)))
    }

    /// Kind and payload for the log.
    pub(super) fn encode(&self) -> anyhow::Result<(u8, Vec<u8>)> {
        match self {
            Self::Broker(record) => Ok((KIND_BROKER, packed(record)?)),
            Self::Access(record) => Ok((KIND_ACCESS, packed(record)?)),
            Self::Route(record) => Ok((KIND_ROUTE, packed(record)?)),
        }
    }

    pub(super) fn decode(kind: u8, payload: &[u8]) -> anyhow::Result<Self> {
        match kind {
            KIND_BROKER => unpacked(payload).map(Self::Broker),
            KIND_ACCESS => unpacked(payload).map(Self::Access),
            KIND_ROUTE => unpacked(payload).map(Self::Route),
            other => bail!("a metadata record of the unknown kind {other}; is this a newer log?"),
        }
    }
}

fn packed(record: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut payload = vec![VERSION];
    payload.append(&mut rmp_serde::to_vec_named(record)?);
    Ok(payload)
}

fn unpacked<T: DeserializeOwned>(payload: &[u8]) -> anyhow::Result<T> {
    let (&version, bytes) = payload.split_first().context("an empty metadata record")?;
    ensure!(
        version == VERSION,
        "a metadata record of version {version}, this shunt reads version {VERSION}"
    );
    rmp_serde::from_slice(bytes).context("a metadata record can't be read")
}

/// A snapshot is the records that make the state again.
pub(super) fn write_snapshot(records: impl Iterator<Item = Record>) -> anyhow::Result<Vec<u8>> {
    let records: Vec<(u8, Vec<u8>)> =
        records.map(|record| record.encode()).collect::<anyhow::Result<_>>()?;
    packed(&records)
}

pub(super) fn read_snapshot(bytes: &[u8]) -> anyhow::Result<Vec<(u8, Vec<u8>)>> {
    unpacked(bytes).context("the metadata snapshot can't be read")
}

impl BrokerRecord {
    fn from_command(command: &Command) -> Self {
        match command {
            Command::CreateVhost { vhost } => Self::CreateVhost { vhost: vhost.to_string() },
            Command::DeleteVhost { vhost } => Self::DeleteVhost { vhost: vhost.to_string() },
            Command::DeclareExchange { vhost, exchange, uid } => Self::DeclareExchange {
                vhost: vhost.to_string(),
                uid: uid.map(|uid| uid.0),
                exchange: ExchangeFields {
                    name: exchange.name.to_string(),
                    kind: exchange.kind.to_string(),
                    durable: exchange.durable,
                    auto_delete: exchange.auto_delete,
                    internal: exchange.internal,
                    arguments: fields(&exchange.arguments),
                },
            },
            Command::DeleteExchange { vhost, exchange } => {
                Self::DeleteExchange { vhost: vhost.to_string(), exchange: exchange.to_string() }
            }
            Command::DeclareQueue { vhost, queue, uid } => Self::DeclareQueue {
                uid: uid.0,
                vhost: vhost.to_string(),
                queue: QueueFields {
                    name: queue.name.to_string(),
                    durable: queue.durable,
                    auto_delete: queue.auto_delete,
                    arguments: fields(&queue.arguments),
                },
            },
            Command::DeleteQueue { vhost, queue } => {
                Self::DeleteQueue { vhost: vhost.to_string(), queue: queue.to_string() }
            }
            Command::Bind { vhost, binding } => {
                Self::Bind { vhost: vhost.to_string(), binding: binding_fields(binding) }
            }
            Command::Unbind { vhost, binding } => {
                Self::Unbind { vhost: vhost.to_string(), binding: binding_fields(binding) }
            }
            Command::SetVhostMetadata { vhost, metadata } => {
                Self::SetVhostMetadata(VhostFields::new(vhost, metadata))
            }
            Command::SetPolicy { vhost, kind, policy } => {
                Self::SetPolicy(PolicyFields::new(vhost, *kind, policy))
            }
            Command::ClearPolicy { vhost, kind, name } => Self::ClearPolicy {
                vhost: vhost.to_string(),
                operator: *kind == PolicyKind::Operator,
                name: name.to_string(),
            },
        }
    }

    pub(super) fn into_command(self) -> anyhow::Result<Command> {
        Ok(match self {
            Self::CreateVhost { vhost } => Command::CreateVhost { vhost: VhostName::new(&vhost)? },
            Self::DeleteVhost { vhost } => Command::DeleteVhost { vhost: VhostName::new(&vhost)? },
            Self::DeclareExchange { vhost, exchange, uid } => Command::DeclareExchange {
                vhost: VhostName::new(&vhost)?,
                uid: uid.map(QueueUid),
                exchange: ExchangeDefinition {
                    name: ExchangeName::new(&exchange.name)?,
                    kind: exchange.kind.into(),
                    durable: exchange.durable,
                    auto_delete: exchange.auto_delete,
                    internal: exchange.internal,
                    arguments: Arc::new(table(exchange.arguments)),
                },
            },
            Self::DeleteExchange { vhost, exchange } => Command::DeleteExchange {
                vhost: VhostName::new(&vhost)?,
                exchange: ExchangeName::new(&exchange)?,
            },
            Self::DeclareQueue { vhost, queue, uid } => Command::DeclareQueue {
                uid: QueueUid(uid),
                vhost: VhostName::new(&vhost)?,
                queue: QueueDefinition {
                    name: QueueName::new(&queue.name)?,
                    durable: queue.durable,
                    auto_delete: queue.auto_delete,
                    arguments: Arc::new(table(queue.arguments)),
                },
            },
            Self::DeleteQueue { vhost, queue } => Command::DeleteQueue {
                vhost: VhostName::new(&vhost)?,
                queue: QueueName::new(&queue)?,
            },
            Self::Bind { vhost, binding } => {
                Command::Bind { vhost: VhostName::new(&vhost)?, binding: binding_of(binding)? }
            }
            Self::Unbind { vhost, binding } => {
                Command::Unbind { vhost: VhostName::new(&vhost)?, binding: binding_of(binding)? }
            }
            Self::SetPolicy(policy) => policy.into_command()?,
            Self::SetVhostMetadata(vhost) => vhost.into_command()?,
            Self::ClearPolicy { vhost, operator, name } => Command::ClearPolicy {
                vhost: VhostName::new(&vhost)?,
                kind: policy_record::kind(operator),
                name: name.into(),
            },
        })
    }
}

fn binding_fields(binding: &BindingDefinition) -> BindingFields {
    BindingFields {
        source: binding.source.to_string(),
        to_queue: matches!(binding.destination, DestinationName::Queue(_)),
        destination: binding.destination.as_str().to_owned(),
        key: binding.key.to_string(),
        arguments: fields(&binding.arguments.to_table()),
    }
}

fn binding_of(binding: BindingFields) -> anyhow::Result<BindingDefinition> {
    Ok(BindingDefinition {
        source: ExchangeName::new(&binding.source)?,
        destination: if binding.to_queue {
            DestinationName::Queue(QueueName::new(&binding.destination)?)
        } else {
            DestinationName::Exchange(ExchangeName::new(&binding.destination)?)
        },
        key: binding.key.into(),
        arguments: (&table(binding.arguments)).into(),
    })
}

impl AccessRecord {
    fn from_change(change: &AccessChange) -> Self {
        match change.clone() {
            AccessChange::PutUser { name, password, tags } => Self::PutUser {
                name,
                password: password
                    .map(|hash| (hash.algorithm().name().to_owned(), hash.to_base64())),
                tags,
            },
            AccessChange::DeleteUser { name } => Self::DeleteUser { name },
            AccessChange::SetPermissions { user, vhost, configure, write, read } => {
                Self::SetPermissions { user, vhost, configure, write, read }
            }
            AccessChange::ClearPermissions { user, vhost } => {
                Self::ClearPermissions { user, vhost }
            }
            AccessChange::RemoveVhost { vhost } => Self::RemoveVhost { vhost },
            AccessChange::SetTopicPermission { user, vhost, exchange, write, read } => {
                Self::SetTopicPermission { user, vhost, exchange, write, read }
            }
            AccessChange::ClearTopicPermissions { user, vhost, exchange } => {
                Self::ClearTopicPermissions { user, vhost, exchange }
            }
            AccessChange::SetUserLimits { user, limits } => {
                Self::SetUserLimits { user, limits: vhost_record::named(limits.iter()) }
            }
        }
    }

    pub(super) fn into_change(self) -> anyhow::Result<AccessChange> {
        Ok(match self {
            Self::PutUser { name, password, tags } => {
                let password = password.map(|(algorithm, hash)| {
                    let known = HashingAlgorithm::from_name(&algorithm)
                        .with_context(|| format!("unknown hashing algorithm '{algorithm}'"))?;
                    PasswordHash::from_base64(known, &hash).map_err(anyhow::Error::from)
                });
                AccessChange::PutUser { name, password: password.transpose()?, tags }
            }
            Self::DeleteUser { name } => AccessChange::DeleteUser { name },
            Self::SetPermissions { user, vhost, configure, write, read } => {
                AccessChange::SetPermissions { user, vhost, configure, write, read }
            }
            Self::ClearPermissions { user, vhost } => {
                AccessChange::ClearPermissions { user, vhost }
            }
            Self::RemoveVhost { vhost } => AccessChange::RemoveVhost { vhost },
            Self::SetTopicPermission { user, vhost, exchange, write, read } => {
                AccessChange::SetTopicPermission { user, vhost, exchange, write, read }
            }
            Self::ClearTopicPermissions { user, vhost, exchange } => {
                AccessChange::ClearTopicPermissions { user, vhost, exchange }
            }
            Self::SetUserLimits { user, limits: named } => {
                let mut limits = UserLimits::default();
                for (name, value) in named {
                    vhost_record::set(limits.get_mut(&name), &name, value)?;
                }
                AccessChange::SetUserLimits { user, limits }
            }
        })
    }
}

impl RouteFields {
    fn from_route(route: &StoredRoute) -> Self {
        let version = |version: &StoredVersion| VersionFields {
            version: version.version,
            sha256: version.sha256.clone(),
            size_bytes: version.size_bytes,
            grants: version.grants.iter().map(|grant| grant.name().to_owned()).collect(),
            destinations: version.destinations.name().to_owned(),
            limits: version.limits.iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            guards: version.guards.clone(),
            deployed_at_ms: version.deployed_at_ms,
        };
        Self {
            vhost: route.vhost.to_string(),
            name: route.name.clone(),
            active: route.active,
            previous: route.previous,
            last_version: route.last_version,
            canary: route.canary.as_ref().map(CanaryFields::from_canary),
            versions: route.versions.iter().map(version).collect(),
        }
    }

    pub(super) fn into_route(self) -> anyhow::Result<StoredRoute> {
        let versions = self.versions.into_iter().map(VersionFields::into_version);
        Ok(StoredRoute {
            vhost: VhostName::new(&self.vhost)?,
            name: self.name,
            active: self.active,
            previous: self.previous,
            last_version: self.last_version,
            canary: self.canary.map(CanaryFields::into_canary),
            versions: versions.collect::<anyhow::Result<_>>()?,
        })
    }
}

impl CanaryFields {
    fn from_canary(canary: &StoredCanary) -> Self {
        let StoredCanary { settings, step } = canary.clone();
        let bounds = settings.bounds;
        Self {
            version: settings.version,
            field: settings.field,
            steps: settings.steps,
            interval_ms: settings.interval_ms,
            failed_per_cent: bounds.failed_per_cent,
            unroutable_per_cent: bounds.unroutable_per_cent,
            time_factor: bounds.time_factor,
            fuel_factor: bounds.fuel_factor,
            calls_min: bounds.calls_min,
            step,
        }
    }

    fn into_canary(self) -> StoredCanary {
        let settings = CanarySettings {
            version: self.version,
            field: self.field,
            steps: self.steps,
            interval_ms: self.interval_ms,
            bounds: CanaryBounds {
                failed_per_cent: self.failed_per_cent,
                unroutable_per_cent: self.unroutable_per_cent,
                time_factor: self.time_factor,
                fuel_factor: self.fuel_factor,
                calls_min: self.calls_min,
            },
        };
        StoredCanary { settings, step: self.step }
    }
}

impl VersionFields {
    fn into_version(self) -> anyhow::Result<StoredVersion> {
        let grant = |name: String| {
            Capability::parse(&name).with_context(|| format!("unknown capability '{name}'"))
        };
        let mut limits = LimitOverrides::default();
        for (name, value) in self.limits {
            limits.set(&name, value)?;
        }
        Ok(StoredVersion {
            version: self.version,
            sha256: self.sha256,
            size_bytes: self.size_bytes,
            grants: self.grants.into_iter().map(grant).collect::<anyhow::Result<Capabilities>>()?,
            destinations: Destinations::parse(&self.destinations)
                .with_context(|| format!("unknown destinations '{}'", self.destinations))?,
            limits,
            guards: self.guards,
            deployed_at_ms: self.deployed_at_ms,
        })
    }
}
