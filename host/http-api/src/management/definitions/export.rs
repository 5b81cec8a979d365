//! The definitions of the node, or of one virtual host.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;
use shunt_broker::Vhost;
use shunt_broker::metadata::DestinationName;
use shunt_broker::policy::PolicyKind;
use utoipa::ToSchema;

use super::check_policies::{LIMITS, OPERATOR_POLICY, VHOST_LIMITS};
use super::file::{
    BindingItem, DestinationType, ExchangeItem, ParameterItem, QueueItem, VhostItem,
};
use crate::json;
use crate::management::RABBITMQ_VERSION;
use crate::management::limits;
use crate::management::permissions::PermissionView;
use crate::management::policies::{PolicyValue, PolicyView};
use crate::management::topic_permissions::TopicPermissionView;
use crate::management::users::UserView;
use crate::server::Api;

/// Where a file comes from.
#[derive(Serialize, ToSchema)]
struct Origin {
    rabbit_version: &'static str,
    rabbitmq_version: &'static str,
    product_name: &'static str,
    product_version: String,
    rabbitmq_definition_format: &'static str,
    explanation: String,
}

impl Origin {
    fn new(api: &Api, format: &'static str, explanation: String) -> Self {
        Self {
            rabbit_version: RABBITMQ_VERSION,
            rabbitmq_version: RABBITMQ_VERSION,
            product_name: "Shunt",
            product_version: api.version.clone(),
            rabbitmq_definition_format: format,
            explanation,
        }
    }
}

/// Everything that is declared on the node.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct Definitions {
    #[serde(flatten)]
    origin: Origin,
    original_cluster_name: String,
    users: Vec<UserView>,
    vhosts: Vec<VhostItem>,
    permissions: Vec<PermissionView>,
    topic_permissions: Vec<TopicPermissionView>,
    #[schema(value_type = Vec<Object>)]
    global_parameters: [(); 0],
    #[serde(flatten)]
    declared: Declared,
}

/// What is declared in one virtual host.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct VhostDefinitions {
    #[serde(flatten)]
    origin: Origin,
    original_vhost_name: String,
    #[serde(flatten)]
    declared: Declared,
}

/// Policies, exchanges, queues and bindings.
#[derive(Default, Serialize, ToSchema)]
struct Declared {
    /// Operator policies and limits of virtual hosts, where RabbitMQ has them.
    parameters: Vec<ParameterItem>,
    policies: Vec<PolicyView>,
    exchanges: Vec<ExchangeItem>,
    queues: Vec<QueueItem>,
    bindings: Vec<BindingItem>,
}

impl Definitions {
    pub(super) fn of(api: &Api) -> Self {
        let explanation = format!("Definitions of cluster '{}'", api.node_name);
        let vhosts = api.broker.vhosts();
        let mut declared = Declared::default();
        for vhost in &vhosts {
            declared.add(api, vhost, true);
        }
        let users = api.access.list_users();
        let permissions = api.access.list_permissions().into_iter();
        let topics = api.access.list_topic_permissions().into_iter();
        Self {
            origin: Origin::new(api, "cluster", explanation),
            original_cluster_name: api.node_name.clone(),
            users: users.iter().map(|user| UserView::new(api, user)).collect(),
            vhosts: vhosts.iter().map(|vhost| VhostItem::of(vhost)).collect(),
            permissions: permissions.map(PermissionView::from).collect(),
            topic_permissions: topics.map(TopicPermissionView::from).collect(),
            global_parameters: [],
            declared,
        }
    }
}

impl VhostDefinitions {
    pub(super) fn of(api: &Api, vhost: &Vhost) -> Self {
        let name = vhost.name().as_str();
        let explanation = format!("Definitions of virtual host '{name}'");
        let mut declared = Declared::default();
        declared.add(api, vhost, false);
        Self {
            origin: Origin::new(api, "single_virtual_host", explanation),
            original_vhost_name: name.to_owned(),
            declared,
        }
    }
}

/// Whether every virtual host has it by itself, or it goes with its connection.
fn is_built_in(name: &str) -> bool {
    name.is_empty() || name.starts_with("amq.")
}

impl Declared {
    fn add_parameters(&mut self, vhost: &Vhost, with_vhost: bool) {
        let topology = vhost.topology();
        let policies = topology.policies();
        let of = with_vhost.then_some(vhost);
        let users = policies.all(PolicyKind::User).iter();
        self.policies.extend(users.map(|policy| PolicyView::new(of, policy)));
        let operators = policies.all(PolicyKind::Operator).iter();
        self.parameters.extend(operators.map(|policy| ParameterItem {
            component: OPERATOR_POLICY.to_owned(),
            name: policy.definition().name.to_string(),
            vhost: of.map(|vhost| vhost.name().to_string()),
            value: json!(PolicyValue::new(policy)),
        }));
        let limits = limits::object(vhost.metadata().limits.iter());
        if !limits.is_empty() {
            self.parameters.push(ParameterItem {
                component: VHOST_LIMITS.to_owned(),
                name: LIMITS.to_owned(),
                vhost: of.map(|vhost| vhost.name().to_string()),
                value: limits.into(),
            });
        }
    }

    fn add(&mut self, api: &Api, vhost: &Vhost, with_vhost: bool) {
        let of = || with_vhost.then(|| vhost.name().as_str().to_owned());
        self.add_parameters(vhost, with_vhost);
        for exchange in api.broker.exchanges(vhost.name()) {
            if is_built_in(exchange.name.as_str()) {
                continue;
            }
            self.exchanges.push(ExchangeItem {
                name: exchange.name.as_str().to_owned(),
                vhost: of(),
                kind: exchange.kind.to_string(),
                durable: exchange.durable,
                auto_delete: exchange.auto_delete,
                internal: exchange.internal,
                arguments: json::table_to_json(&exchange.arguments),
            });
        }
        // Bindings first, queues after: a queue that is declared in between stands without its
        // bindings, but no binding without its queue.
        let bindings = api.broker.bindings(vhost.name());
        let topology = vhost.topology();
        let mut queues: Vec<_> = topology
            .queue_entries()
            .filter(|queue| queue.exclusive_owner.is_none())
            .map(|queue| &queue.definition)
            .filter(|queue| !is_built_in(queue.name.as_str()))
            .collect();
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        let names: HashSet<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        for binding in bindings {
            let (destination, destination_type) = match &binding.destination {
                DestinationName::Queue(name) if names.contains(name.as_str()) => {
                    (name.as_str(), DestinationType::Queue)
                }
                DestinationName::Queue(_) => continue,
                DestinationName::Exchange(name) => (name.as_str(), DestinationType::Exchange),
            };
            if binding.source.is_default() {
                continue;
            }
            self.bindings.push(BindingItem {
                source: binding.source.as_str().to_owned(),
                vhost: of(),
                destination: destination.to_owned(),
                destination_type,
                routing_key: binding.key.to_string(),
                arguments: json::table_to_json(&binding.arguments.to_table()),
            });
        }
        self.queues.extend(queues.iter().map(|queue| QueueItem {
            name: queue.name.as_str().to_owned(),
            vhost: of(),
            kind: Some("classic".to_owned()),
            durable: queue.durable,
            auto_delete: queue.auto_delete,
            arguments: json::table_to_json(&queue.arguments),
        }));
    }
}
