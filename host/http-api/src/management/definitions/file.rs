//! A file of definitions: its sections and their items.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use shunt_broker::Vhost;
use utoipa::ToSchema;

use super::Scope;
use crate::error::ApiError;
use crate::json::{self, JsonMap};
use crate::management::limits;
use crate::management::policies::PolicyRequest;
use crate::management::topic_permissions::TopicPermissionRequest;
use crate::management::user_fields::{Tags, UserFields};
use crate::management::vhost_fields::VhostFields;
use crate::management::vhosts::{DEFAULT_QUEUE_TYPE, metadata_object};

/// A user in a file.
#[derive(Deserialize)]
pub(super) struct UserItem {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) fields: UserFields,
    #[serde(default, deserialize_with = "object")]
    pub(super) limits: JsonMap,
}

/// A virtual host in a file.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct VhostItem {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) tags: Option<Vec<String>>,
    #[serde(default)]
    pub(super) default_queue_type: Option<String>,
    #[serde(default, skip_serializing)]
    pub(super) tracing: bool,
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Object)]
    pub(super) metadata: JsonMap,
    #[serde(default, deserialize_with = "pairs")]
    #[schema(value_type = Object)]
    pub(super) limits: JsonMap,
}

impl VhostItem {
    /// A virtual host of this node.
    pub(super) fn of(vhost: &Vhost) -> Self {
        let said = vhost.metadata();
        Self {
            name: vhost.name().as_str().to_owned(),
            description: Some(said.description.clone()),
            tags: Some(said.tags.clone()),
            default_queue_type: Some(DEFAULT_QUEUE_TYPE.to_owned()),
            tracing: false,
            metadata: metadata_object(&said),
            limits: limits::object(said.limits.iter()),
        }
    }

    /// What it says of itself: some files have it in `metadata` only.
    pub(super) fn fields(&self) -> VhostFields {
        let text = |field: &str| self.metadata.get(field)?.as_str().map(str::to_owned);
        let in_metadata = || {
            let tags = self.metadata.get("tags")?.as_array()?.iter();
            Some(tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect())
        };
        let protected = self.metadata.get("protected_from_deletion");
        VhostFields {
            description: self.description.clone().or_else(|| text("description")),
            tags: self.tags.clone().or_else(in_metadata).map(Tags::List),
            default_queue_type: self
                .default_queue_type
                .clone()
                .or_else(|| text("default_queue_type")),
            tracing: None,
            protected_from_deletion: protected.and_then(Json::as_bool),
        }
    }
}

/// A user's permissions in a file.
#[derive(Deserialize)]
pub(super) struct PermissionItem {
    pub(super) user: String,
    pub(super) vhost: String,
    pub(super) configure: String,
    pub(super) write: String,
    pub(super) read: String,
}

/// An exchange in a file.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct ExchangeItem {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vhost: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default = "yes")]
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default)]
    pub(super) internal: bool,
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Object)]
    pub(super) arguments: JsonMap,
}

/// A queue in a file.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct QueueItem {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vhost: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default = "yes")]
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Object)]
    pub(super) arguments: JsonMap,
}

/// A binding in a file.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct BindingItem {
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vhost: Option<String>,
    pub(super) destination: String,
    pub(super) destination_type: DestinationType,
    #[serde(default)]
    pub(super) routing_key: String,
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Object)]
    pub(super) arguments: JsonMap,
}

/// What a binding leads to.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DestinationType {
    Queue,
    Exchange,
}

/// A user's topic permission in a file.
#[derive(Deserialize)]
pub(super) struct TopicPermissionItem {
    pub(super) user: String,
    pub(super) vhost: String,
    #[serde(flatten)]
    pub(super) permission: TopicPermissionRequest,
}

/// A policy in a file.
#[derive(Deserialize)]
pub(super) struct PolicyItem {
    pub(super) name: String,
    #[serde(default)]
    pub(super) vhost: Option<String>,
    #[serde(flatten)]
    pub(super) policy: PolicyRequest,
}

/// A runtime parameter in a file: a component's setting under a name.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct ParameterItem {
    pub(super) component: String,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vhost: Option<String>,
    #[schema(value_type = Object)]
    pub(super) value: Json,
}

/// Something that Shunt has no word for yet; it is only named.
pub(super) struct ForeignItem {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) vhost: Option<String>,
    pub(super) reason: String,
}

/// A file, read but not checked against the node.
#[derive(Default)]
pub(super) struct File {
    pub(super) users: Vec<UserItem>,
    pub(super) vhosts: Vec<VhostItem>,
    pub(super) permissions: Vec<PermissionItem>,
    pub(super) topic_permissions: Vec<TopicPermissionItem>,
    pub(super) policies: Vec<PolicyItem>,
    pub(super) parameters: Vec<ParameterItem>,
    pub(super) exchanges: Vec<ExchangeItem>,
    pub(super) queues: Vec<QueueItem>,
    pub(super) bindings: Vec<BindingItem>,
    pub(super) foreign: Vec<ForeignItem>,
}

/// Keys that say where a file comes from, and nothing to be imported.
const ABOUT: [&str; 8] = [
    "rabbit_version",
    "rabbitmq_version",
    "product_name",
    "product_version",
    "rabbitmq_definition_format",
    "original_cluster_name",
    "original_vhost_name",
    "explanation",
];

/// A section that is not honoured.
const GLOBAL_PARAMETERS: &str = "global_parameters";

/// Sections that are about the whole node.
const OF_NODE: [&str; 5] =
    ["users", "vhosts", "permissions", "topic_permissions", "global_parameters"];

/// Keys of a file of one virtual host that describe it.
const OF_VHOST: [&str; 5] = ["description", "tags", "default_queue_type", "metadata", "limits"];

impl File {
    /// Reads a file; what is wrong with its items is added to `problems`.
    ///
    /// # Errors
    /// 400 where it isn't an object of JSON.
    pub(super) fn read(
        bytes: &[u8],
        scope: &Scope,
        problems: &mut Vec<String>,
    ) -> Result<Self, ApiError> {
        // Some editors of JSON put a mark at the beginning.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut sections: JsonMap = json::parse(bytes)?;
        let mut file = Self::default();
        if let Scope::Vhost(vhost) = scope {
            file.pick_vhost(vhost.as_str(), &mut sections, problems);
        }
        file.users = section(&mut sections, "users", problems);
        file.vhosts.append(&mut section(&mut sections, "vhosts", problems));
        file.permissions = section(&mut sections, "permissions", problems);
        file.topic_permissions = section(&mut sections, "topic_permissions", problems);
        file.policies = section(&mut sections, "policies", problems);
        file.parameters = section(&mut sections, "parameters", problems);
        file.exchanges = section(&mut sections, "exchanges", problems);
        file.queues = section(&mut sections, "queues", problems);
        file.bindings = section(&mut sections, "bindings", problems);
        for item in section::<JsonMap>(&mut sections, GLOBAL_PARAMETERS, problems) {
            file.foreign.push(ForeignItem {
                kind: "global_parameter",
                name: item.get("name").and_then(Json::as_str).unwrap_or_default().to_owned(),
                vhost: None,
                reason: "global parameters are not supported".to_owned(),
            });
        }
        sections.retain(|key, _| !ABOUT.contains(&key.as_str()));
        for (key, _) in sections {
            let reason = "a section that is not known".to_owned();
            file.foreign.push(ForeignItem { kind: "section", name: key, vhost: None, reason });
        }
        Ok(file)
    }

    /// Takes out what is not about the one virtual host, and what describes it.
    fn pick_vhost(&mut self, vhost: &str, sections: &mut JsonMap, problems: &mut Vec<String>) {
        for key in OF_NODE {
            let items = sections.remove(key);
            if items.is_some_and(|items| items.as_array().is_none_or(|items| !items.is_empty())) {
                self.foreign.push(ForeignItem {
                    kind: "section",
                    name: key.to_owned(),
                    vhost: None,
                    reason: "not a part of one virtual host; import it with the whole node's \
                             definitions"
                        .to_owned(),
                });
            }
        }
        let described = OF_VHOST.iter().filter_map(|key| sections.remove_entry(*key));
        let mut described: JsonMap = described.collect();
        described.insert("name".to_owned(), vhost.into());
        match serde_json::from_value(described.into()) {
            Ok(item) => self.vhosts.push(item),
            Err(error) => problems.push(error.to_string()),
        }
    }
}

/// The items of a section; none where it is missing.
fn section<T: DeserializeOwned>(
    sections: &mut JsonMap,
    key: &str,
    problems: &mut Vec<String>,
) -> Vec<T> {
    let items = match sections.remove(key) {
        None | Some(Json::Null) => return Vec::new(),
        Some(Json::Array(items)) => items,
        Some(_) => {
            problems.push(format!("'{key}' must be a list"));
            return Vec::new();
        }
    };
    let mut read = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let is_object = item.is_object();
        match serde_json::from_value(item) {
            // Serde would take a list for a struct, its items for the fields in their order.
            _ if !is_object => problems.push(format!("{key}[{index}]: must be an object")),
            Ok(item) => read.push(item),
            Err(error) => problems.push(format!("{key}[{index}]: {error}")),
        }
    }
    read
}

/// An object; RabbitMQ writes an empty one as an empty list in places.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JsonMap, D::Error> {
    match Json::deserialize(deserializer)? {
        Json::Object(object) => Ok(object),
        Json::Null => Ok(JsonMap::new()),
        Json::Array(items) if items.is_empty() => Ok(JsonMap::new()),
        other => Err(D::Error::custom(format!("{other} must be an object"))),
    }
}

/// An object, or the list of pairs that `rabbitmqctl export_definitions` writes for one.
fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JsonMap, D::Error> {
    let json = Json::deserialize(deserializer)?;
    let Json::Array(items) = &json else { return object(json).map_err(D::Error::custom) };
    let pair = |item: &Json| match item.as_array().map(Vec::as_slice) {
        Some([Json::String(name), value]) => Ok((name.clone(), value.clone())),
        _ => Err(D::Error::custom(format!("{item} must be a pair of a name and a value"))),
    };
    items.iter().map(pair).collect()
}

fn yes() -> bool {
    true
}
