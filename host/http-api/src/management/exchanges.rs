//! Exchanges.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shunt_broker::metadata::ExchangeDefinition;
use shunt_broker::policy::Policies;
use shunt_broker::{Actor, Vhost};
use shunt_types::ExchangeName;
use utoipa::ToSchema;

use super::listing::ListQuery;
use super::policies::InForceView;
use super::{ExchangePath, VhostPath, arguments, is_set, put_status, refused};
use crate::auth::{Manager, exchange_name};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path, Query};
use crate::json::{self, JsonMap};
use crate::server::Api;
use crate::shards::{blocking, durable, queue_stats};

/// An exchange.
#[derive(Serialize, ToSchema)]
pub(super) struct ExchangeView {
    name: String,
    vhost: String,
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    #[schema(value_type = Object)]
    arguments: JsonMap,
    user_who_performed_action: &'static str,
    /// Messages that wait here for their time, where the exchange delays messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_delayed: Option<u64>,
    #[serde(flatten)]
    in_force: InForceView,
}

impl ExchangeView {
    async fn new(
        api: &Api,
        vhost: &Vhost,
        policies: &Policies,
        exchange: &ExchangeDefinition,
    ) -> Result<Self, ApiError> {
        let messages_delayed = match api.broker.waiting_queue(vhost.name(), &exchange.name) {
            Some(queue) => queue_stats(&api.broker, queue).await?.map(|stats| stats.ready),
            None => None,
        };
        Ok(Self {
            name: exchange.name.as_str().to_owned(),
            vhost: vhost.name().as_str().to_owned(),
            kind: exchange.kind.to_string(),
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            arguments: json::table_to_json(&exchange.arguments),
            user_who_performed_action: "",
            messages_delayed,
            in_force: InForceView::new(policies.of_exchange(exchange.name.as_str())),
        })
    }
}

/// An exchange to be declared.
#[derive(Deserialize, ToSchema)]
pub(super) struct ExchangeRequest {
    /// The type.
    #[serde(rename = "type", default = "direct")]
    kind: String,
    /// Whether it survives a restart.
    #[serde(default = "yes")]
    durable: bool,
    /// Whether it goes with its last binding.
    #[serde(default)]
    auto_delete: bool,
    /// Whether publishers may not name it.
    #[serde(default)]
    internal: bool,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: JsonMap,
}

fn direct() -> String {
    "direct".to_owned()
}

fn yes() -> bool {
    true
}

/// The exchanges of all virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/exchanges", tag = "management", params(ListQuery),
    responses(
        (status = 200, description = "By virtual host and name", body = [ExchangeView]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
    ))]
pub(super) async fn list_all(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let vhosts = caller.visible_vhosts();
    let mut all = Vec::new();
    for vhost in &vhosts {
        all.append(&mut views(&api, vhost).await?);
    }
    query.answer(all)
}

/// The exchanges of a virtual host.
#[utoipa::path(get, path = "/api/exchanges/{vhost}", tag = "management", params(VhostPath, ListQuery),
    responses(
        (status = 200, description = "By name", body = [ExchangeView]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    query.answer(views(&api, &vhost).await?)
}

async fn views(api: &Api, vhost: &Vhost) -> Result<Vec<ExchangeView>, ApiError> {
    let topology = vhost.topology();
    let mut views = Vec::new();
    for exchange in api.broker.exchanges(vhost.name()) {
        views.push(ExchangeView::new(api, vhost, topology.policies(), &exchange).await?);
    }
    Ok(views)
}

/// One exchange.
#[utoipa::path(get, path = "/api/exchanges/{vhost}/{exchange}", tag = "management", params(ExchangePath),
    responses(
        (status = 200, description = "The exchange", body = ExchangeView),
        (status = 404, description = "No such exchange", body = ErrorBody),
    ))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ExchangePath>,
) -> Result<Json<ExchangeView>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let exchange = find(&api, &vhost, exchange_name(&path.exchange))?;
    let topology = vhost.topology();
    Ok(Json(ExchangeView::new(&api, &vhost, topology.policies(), &exchange).await?))
}

/// The exchange of that name.
pub(super) fn find(api: &Api, vhost: &Vhost, name: &str) -> Result<ExchangeDefinition, ApiError> {
    let found = api.broker.exchange_definition(vhost.name(), &ExchangeName::new(name)?);
    found.ok_or_else(|| {
        ApiError::not_found(format!("no exchange '{name}' in vhost '{}'", vhost.name()))
    })
}

/// Declares an exchange.
#[utoipa::path(put, path = "/api/exchanges/{vhost}/{exchange}", tag = "management", params(ExchangePath),
    request_body = ExchangeRequest,
    responses(
        (status = 201, description = "Made"),
        (status = 204, description = "There already, declared in the same way"),
        (status = 400, description = "Wrong, or there in another way", body = ErrorBody),
        (status = 401, description = "No permission to configure", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ExchangePath>,
    JsonBody(request): JsonBody<ExchangeRequest>,
) -> Result<StatusCode, ApiError> {
    let access = caller.enter(&path.vhost)?;
    let name = ExchangeName::new(exchange_name(&path.exchange))?;
    access.configure("exchange", name.as_str())?;
    let arguments = arguments(&request.arguments)?;
    // Naming an alternate exchange reads here and writes there (RabbitMQ).
    if let Some(alternate) = arguments.get("alternate-exchange").and_then(|value| value.as_text()) {
        access.read("exchange", name.as_str())?;
        access.write("exchange", alternate)?;
    }
    let vhost = access.vhost.name();
    let existed = api.broker.exchange_definition(vhost, &name).is_some();
    let definition = ExchangeDefinition {
        name,
        kind: request.kind.into(),
        durable: request.durable,
        auto_delete: request.auto_delete,
        internal: request.internal,
        arguments: Arc::new(arguments),
    };
    let broker = api.broker.clone();
    let (vhost, user) = (vhost.clone(), access.user.clone());
    // Configuring a route calls a guest, which may take as long as its limits allow.
    let declared =
        blocking(move || broker.declare_exchange(&vhost, Actor::user(user.name()), definition))
            .await?;
    durable(&api.broker, declared.map_err(refused)?).await?;
    Ok(put_status(!existed))
}

/// What must hold for an exchange to be deleted.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct DeleteQuery {
    /// `true`: only without bindings.
    #[serde(rename = "if-unused")]
    if_unused: Option<String>,
}

/// Deletes an exchange.
#[utoipa::path(delete, path = "/api/exchanges/{vhost}/{exchange}", tag = "management", params(ExchangePath, DeleteQuery),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "It is in use", body = ErrorBody),
        (status = 401, description = "No permission to configure", body = ErrorBody),
        (status = 404, description = "No such exchange", body = ErrorBody),
    ))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ExchangePath>,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    let access = caller.enter(&path.vhost)?;
    let exchange = find(&api, &access.vhost, exchange_name(&path.exchange))?;
    access.configure("exchange", exchange.name.as_str())?;
    let if_unused = is_set(query.if_unused.as_deref());
    let vhost = access.vhost.name();
    let deleted = api.broker.delete_exchange(vhost, access.actor(), &exchange.name, if_unused);
    durable(&api.broker, deleted.map_err(refused)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
