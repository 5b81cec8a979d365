//! Policies and operator policies.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use shunt_broker::Vhost;
use shunt_broker::policy::{ApplyTo, InForce, Policy, PolicyDefinition, PolicyKind};
use utoipa::ToSchema;

use super::{VhostPath, arguments, put_status, refused};
use crate::auth::Manager;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path};
use crate::json::{self, JsonMap};
use crate::server::Api;
use crate::shards;

/// A policy.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyView {
    /// Left out in the definitions of one virtual host.
    #[serde(skip_serializing_if = "Option::is_none")]
    vhost: Option<String>,
    name: String,
    #[serde(flatten)]
    value: PolicyValue,
}

/// A policy without its name, as operator policies stand among definitions.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyValue {
    pattern: String,
    #[serde(rename = "apply-to")]
    apply_to: &'static str,
    #[schema(value_type = Object)]
    definition: JsonMap,
    priority: i64,
}

impl PolicyValue {
    pub(super) fn new(policy: &Policy) -> Self {
        let definition = policy.definition();
        Self {
            pattern: definition.pattern.to_string(),
            apply_to: definition.apply_to.name(),
            definition: json::table_to_json(&definition.settings),
            priority: definition.priority,
        }
    }
}

impl PolicyView {
    pub(super) fn new(vhost: Option<&Vhost>, policy: &Policy) -> Self {
        Self {
            vhost: vhost.map(|vhost| vhost.name().as_str().to_owned()),
            name: policy.definition().name.to_string(),
            value: PolicyValue::new(policy),
        }
    }

    /// All of one kind in a virtual host, in the order in which they are asked.
    fn all(vhost: &Vhost, kind: PolicyKind) -> Vec<Self> {
        let topology = vhost.topology();
        let policies = topology.policies().all(kind);
        policies.iter().map(|policy| Self::new(Some(vhost), policy)).collect()
    }
}

/// The policies in force for an exchange or a queue.
#[derive(Serialize, ToSchema)]
pub(super) struct InForceView {
    /// The policy.
    policy: Option<String>,
    /// The operator policy.
    operator_policy: Option<String>,
    /// What both say.
    #[schema(value_type = Object)]
    effective_policy_definition: JsonMap,
}

impl InForceView {
    pub(super) fn new(in_force: InForce<'_>) -> Self {
        let name = |policy: &Policy| policy.definition().name.to_string();
        Self {
            policy: in_force.user.map(name),
            operator_policy: in_force.operator.map(name),
            effective_policy_definition: json::table_to_json(&in_force.settings()),
        }
    }
}

/// A policy to be set.
#[derive(Deserialize, ToSchema)]
pub(super) struct PolicyRequest {
    /// A regular expression over names of exchanges and queues, found anywhere in a name unless
    /// it is anchored.
    pattern: String,
    /// What it sets, by RabbitMQ's keys, such as `message-ttl`.
    #[schema(value_type = Object)]
    definition: JsonMap,
    /// Of several that match, the one with the highest is in force.
    #[serde(default)]
    priority: i64,
    /// `all`, `exchanges`, `queues`, `classic_queues`, `quorum_queues` or `streams`.
    #[serde(rename = "apply-to", default = "all")]
    apply_to: String,
}

fn all() -> String {
    ApplyTo::default().name().to_owned()
}

impl PolicyRequest {
    /// The policy of that name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn checked(self, kind: PolicyKind, name: &str) -> Result<Policy, String> {
        let settings = arguments(&self.definition).map_err(|error| error.body.reason)?;
        let definition = PolicyDefinition {
            name: name.into(),
            pattern: self.pattern.into(),
            apply_to: ApplyTo::parse(&self.apply_to)?,
            priority: self.priority,
            settings: Arc::new(settings),
        };
        Policy::new(kind, definition)
    }
}

/// A policy's place.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct PolicyPath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The policy's name.
    name: String,
}

/// Refuses who may not change policies of a kind there.
fn may_change(caller: &Manager, kind: PolicyKind, vhost: &str) -> Result<Arc<Vhost>, ApiError> {
    match kind {
        PolicyKind::User => caller.make_policies()?,
        PolicyKind::Operator => caller.administer()?,
    }
    caller.look_into(vhost)
}

fn not_found(path: &PolicyPath) -> ApiError {
    ApiError::not_found(format!("no policy '{}' in vhost '{}'", path.name, path.vhost))
}

fn show(
    caller: &Manager,
    kind: PolicyKind,
    path: &PolicyPath,
) -> Result<Json<PolicyView>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let topology = vhost.topology();
    let policy = topology.policies().find(kind, &path.name).ok_or_else(|| not_found(path))?;
    Ok(Json(PolicyView::new(Some(&vhost), policy)))
}

async fn put(
    api: &Api,
    caller: &Manager,
    kind: PolicyKind,
    path: &PolicyPath,
    request: PolicyRequest,
) -> Result<StatusCode, ApiError> {
    let vhost = may_change(caller, kind, &path.vhost)?;
    let policy = request.checked(kind, &path.name).map_err(|reason| {
        // RabbitMQ's layout, which its tools show as it is.
        ApiError::bad_request(format!("Validation failed\n\n{reason}\n"))
    })?;
    let set = api.broker.set_policy(vhost.name(), caller.actor(), kind, policy);
    let (created, position) = set.map_err(refused)?;
    shards::durable(&api.broker, position).await?;
    shards::caught_up(&api.broker).await?;
    Ok(put_status(created))
}

async fn delete(
    api: &Api,
    caller: &Manager,
    kind: PolicyKind,
    path: &PolicyPath,
) -> Result<StatusCode, ApiError> {
    let vhost = may_change(caller, kind, &path.vhost)?;
    let cleared = api.broker.clear_policy(vhost.name(), caller.actor(), kind, &path.name);
    let position = cleared.map_err(refused)?.ok_or_else(|| not_found(path))?;
    shards::durable(&api.broker, position).await?;
    shards::caught_up(&api.broker).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The policies of all virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/policies", tag = "management",
    responses((status = 200, description = "By virtual host, priority and name", body = [PolicyView])))]
pub(super) async fn list_all_policy(caller: Manager) -> Json<Vec<PolicyView>> {
    let vhosts = caller.visible_vhosts();
    let views = vhosts.iter().flat_map(|vhost| PolicyView::all(vhost, PolicyKind::User));
    Json(views.collect())
}

/// The policies of a virtual host.
#[utoipa::path(get, path = "/api/policies/{vhost}", tag = "management", params(VhostPath),
    responses(
        (status = 200, description = "By priority and name", body = [PolicyView]),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn list_policy(
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<Json<Vec<PolicyView>>, ApiError> {
    Ok(Json(PolicyView::all(&*caller.look_into(&path.vhost)?, PolicyKind::User)))
}

/// A policy.
#[utoipa::path(get, path = "/api/policies/{vhost}/{name}", tag = "management", params(PolicyPath),
    responses(
        (status = 200, description = "The policy", body = PolicyView),
        (status = 404, description = "No such policy", body = ErrorBody),
    ))]
pub(super) async fn show_policy(
    caller: Manager,
    Path(path): Path<PolicyPath>,
) -> Result<Json<PolicyView>, ApiError> {
    show(&caller, PolicyKind::User, &path)
}

/// Sets a policy, at once, for what is there and what will be. Takes the tag `policymaker` or `administrator`.
#[utoipa::path(put, path = "/api/policies/{vhost}/{name}", tag = "management", params(PolicyPath),
    request_body = PolicyRequest,
    responses(
        (status = 201, description = "Made"),
        (status = 204, description = "Changed"),
        (status = 400, description = "A field is wrong or missing", body = ErrorBody),
        (status = 401, description = "Not a policymaker", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn put_policy(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PolicyPath>,
    JsonBody(request): JsonBody<PolicyRequest>,
) -> Result<StatusCode, ApiError> {
    put(&api, &caller, PolicyKind::User, &path, request).await
}

/// Takes a policy away, at once. Takes the tag `policymaker` or `administrator`.
#[utoipa::path(delete, path = "/api/policies/{vhost}/{name}", tag = "management", params(PolicyPath),
    responses(
        (status = 204, description = "Taken away"),
        (status = 401, description = "Not a policymaker", body = ErrorBody),
        (status = 404, description = "No such policy", body = ErrorBody),
    ))]
pub(super) async fn delete_policy(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PolicyPath>,
) -> Result<StatusCode, ApiError> {
    delete(&api, &caller, PolicyKind::User, &path).await
}

/// The operator policies of all virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/operator-policies", tag = "management",
    responses((status = 200, description = "By virtual host, priority and name", body = [PolicyView])))]
pub(super) async fn list_all_operator_policy(caller: Manager) -> Json<Vec<PolicyView>> {
    let vhosts = caller.visible_vhosts();
    let views = vhosts.iter().flat_map(|vhost| PolicyView::all(vhost, PolicyKind::Operator));
    Json(views.collect())
}

/// The operator policies of a virtual host.
#[utoipa::path(get, path = "/api/operator-policies/{vhost}", tag = "management", params(VhostPath),
    responses(
        (status = 200, description = "By priority and name", body = [PolicyView]),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn list_operator_policy(
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<Json<Vec<PolicyView>>, ApiError> {
    Ok(Json(PolicyView::all(&*caller.look_into(&path.vhost)?, PolicyKind::Operator)))
}

/// An operator policy.
#[utoipa::path(get, path = "/api/operator-policies/{vhost}/{name}", tag = "management", params(PolicyPath),
    responses(
        (status = 200, description = "The policy", body = PolicyView),
        (status = 404, description = "No such policy", body = ErrorBody),
    ))]
pub(super) async fn show_operator_policy(
    caller: Manager,
    Path(path): Path<PolicyPath>,
) -> Result<Json<PolicyView>, ApiError> {
    show(&caller, PolicyKind::Operator, &path)
}

/// Sets an operator policy, at once, for what is there and what will be. Takes an administrator.
#[utoipa::path(put, path = "/api/operator-policies/{vhost}/{name}", tag = "management", params(PolicyPath),
    request_body = PolicyRequest,
    responses(
        (status = 201, description = "Made"),
        (status = 204, description = "Changed"),
        (status = 400, description = "A field is wrong or missing", body = ErrorBody),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn put_operator_policy(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PolicyPath>,
    JsonBody(request): JsonBody<PolicyRequest>,
) -> Result<StatusCode, ApiError> {
    put(&api, &caller, PolicyKind::Operator, &path, request).await
}

/// Takes an operator policy away, at once. Takes an administrator.
#[utoipa::path(delete, path = "/api/operator-policies/{vhost}/{name}", tag = "management", params(PolicyPath),
    responses(
        (status = 204, description = "Taken away"),
        (status = 401, description = "Not an administrator", body = ErrorBody),
        (status = 404, description = "No such policy", body = ErrorBody),
    ))]
pub(super) async fn delete_operator_policy(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<PolicyPath>,
) -> Result<StatusCode, ApiError> {
    delete(&api, &caller, PolicyKind::Operator, &path).await
}
