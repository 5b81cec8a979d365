//! What is written comes back the same.

use shunt_auth::{PasswordHash, UserLimits};
use shunt_broker::durable::QueueUid;
use shunt_broker::metadata::{
    BindingDefinition, DestinationName, QueueDefinition, VhostLimits, VhostMetadata,
};
use shunt_broker::policy::{ApplyTo, PolicyDefinition, PolicyKind};
use shunt_types::{ExchangeName, FieldTable, QueueName, Value};
use shunt_wasm::{
    CanaryBounds, CanarySettings, Capabilities, Capability, Destinations, LimitOverrides,
    StoredCanary, StoredVersion,
};

use super::*;

fn contents() -> Contents {
    let vhost = VhostName::new("/").unwrap();
    let queue = QueueName::new("q").unwrap();
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length", Value::I32(5));
    arguments.insert("nested", Value::Array(vec![Value::Table(FieldTable::new()), Value::Void]));
    let arguments = Arc::new(arguments);
    let mut limits = LimitOverrides::default();
    limits.set("memory_bytes", 1 << 20).unwrap();
    let route = StoredRoute {
        vhost: vhost.clone(),
        name: "r".into(),
        active: Some(2),
        previous: None,
        last_version: 2,
        canary: Some(StoredCanary {
            settings: CanarySettings {
                version: 2,
                field: Some("headers.tenant".into()),
                steps: vec![1, 50],
                interval_ms: 5,
                bounds: CanaryBounds::default(),
            },
            step: 1,
        }),
        versions: vec![StoredVersion {
            version: 2,
            sha256: "00".into(),
            size_bytes: 9,
            grants: Capabilities::from_iter([Capability::Clock]),
            destinations: Destinations::Any,
            limits,
            guards: [("few".to_owned(), "at most 1".to_owned())].into(),
            deployed_at_ms: 7,
        }],
    };
    Contents {
        access: vec![AccessChange::PutUser {
            name: "u".into(),
            password: Some(PasswordHash::new("secret")),
            tags: vec!["management".into()],
        }],

        routes: [(("/".into(), "r".into()), route)].into(),
        commands: vec![
            Command::CreateVhost { vhost: vhost.clone() },
            Command::SetVhostMetadata {
                vhost: vhost.clone(),
                metadata: VhostMetadata {
                    description: "ours".into(),
                    tags: vec!["a".into()],
                    is_protected: true,
                    limits: VhostLimits { max_connections: Some(-1), max_queues: None },
                },
            },
            Command::DeclareQueue {
                vhost: vhost.clone(),
                queue: QueueDefinition {
                    name: queue.clone(),
                    durable: true,
                    auto_delete: false,
                    arguments: arguments.clone(),
                },
                uid: QueueUid(7),
            },
            Command::SetPolicy {
                vhost: vhost.clone(),
                kind: PolicyKind::Operator,
                policy: PolicyDefinition {
                    name: "p".into(),
                    pattern: "^q".into(),
                    apply_to: ApplyTo::ClassicQueues,
                    priority: -3,
                    settings: arguments.clone(),
                },
            },
            Command::ClearPolicy {
                vhost: vhost.clone(),
                kind: PolicyKind::User,
                name: "old".into(),
            },
            Command::Bind {
                vhost,
                binding: BindingDefinition {
                    source: ExchangeName::new("amq.topic").unwrap(),
                    destination: DestinationName::Queue(queue),
                    key: "a.#".into(),
                    arguments: (&*arguments).into(),
                },
            },
        ],
    }
}

fn check_same(read: &Contents) {
    let written = contents();
    assert_eq!(read.routes, written.routes);
    assert_eq!(read.commands, written.commands);
    let [AccessChange::PutUser { password: Some(password), .. }] = &read.access[..] else {
        panic!("{:?}", read.access);
    };
    assert!(password.verify(b"secret"));
}

#[test]
fn a_snapshot_says_what_was_declared() {
    let bytes = compaction::write(contents()).unwrap();
    check_same(&read(Some(bytes), Vec::new()).unwrap());
}

#[test]
fn records_say_what_was_declared() {
    let records = contents().records().map(|record| record.encode().unwrap()).collect();
    check_same(&read(None, records).unwrap());
}

#[test]
fn restrictions_and_limits_of_users_come_back() {
    let [user, vhost, exchange] = ["u", "/", "amq.topic"].map(str::to_owned);
    let limits = UserLimits { max_connections: Some(1), max_channels: Some(-1) };
    let changes = [
        AccessChange::SetTopicPermission {
            user: user.clone(),
            vhost: vhost.clone(),
            exchange: exchange.clone(),
            write: "w".into(),
            read: "r".into(),
        },
        AccessChange::ClearTopicPermissions { user: user.clone(), vhost, exchange: None },
        AccessChange::SetUserLimits { user, limits },
    ];
    let records = changes.iter().map(|change| Record::access(change).encode().unwrap());
    assert_eq!(read(None, records.collect()).unwrap().access, changes);
}

#[test]
fn a_newer_format_is_refused_by_its_version() {
    let (kind, mut payload) = contents().records().next().unwrap().encode().unwrap();
    payload[0] = 2;
    let error = read(None, vec![(kind, payload)]).err().unwrap();
    assert!(error.to_string().contains("version 2"), "{error}");
}
