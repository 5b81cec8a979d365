//! Bindings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shunt_broker::metadata::{BindingDefinition, BindingView, DestinationName};
use shunt_broker::{Actor, Vhost};
use shunt_types::{ExchangeName, QueueName};
use utoipa::ToSchema;

use super::binding_key::properties_key;
use super::listing::ListQuery;
use super::{ExchangePath, QueuePath, VhostPath, arguments, exchanges, queues, refused};
use crate::auth::{Manager, ManagerAccess, exchange_name};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path, Query};
use crate::json::{self, JsonMap};
use crate::server::Api;
use crate::shards::{blocking, durable};

/// A binding.
#[derive(Serialize, ToSchema)]
pub(super) struct BindingJson {
    source: String,
    vhost: String,
    destination: String,
    destination_type: &'static str,
    routing_key: String,
    #[schema(value_type = Object)]
    arguments: JsonMap,
    properties_key: String,
}

impl BindingJson {
    fn new(vhost: &Vhost, binding: &BindingView) -> Self {
        let destination_type = match binding.destination {
            DestinationName::Queue(_) => "queue",
            DestinationName::Exchange(_) => "exchange",
        };
        Self {
            source: binding.source.as_str().to_owned(),
            vhost: vhost.name().as_str().to_owned(),
            destination: binding.destination.as_str().to_owned(),
            destination_type,
            routing_key: binding.key.to_string(),
            arguments: json::table_to_json(&binding.arguments.to_table()),
            properties_key: properties_key(binding),
        }
    }
}

fn listed(
    api: &Api,
    vhost: &Vhost,
    matches: impl Fn(&BindingView) -> bool,
) -> Json<Vec<BindingJson>> {
    let bindings = api.broker.bindings(vhost.name());
    let bindings = bindings.iter().filter(|binding| matches(binding));
    Json(bindings.map(|binding| BindingJson::new(vhost, binding)).collect())
}

/// The bindings of all virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/bindings", tag = "management", params(ListQuery),
    responses(
        (status = 200, description = "The bindings", body = [BindingJson]),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
    ))]
pub(super) async fn list_all(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let vhosts = caller.visible_vhosts();
    query.answer(vhosts.iter().flat_map(|vhost| listed(&api, vhost, |_| true).0).collect())
}

/// The bindings of a virtual host.
#[utoipa::path(get, path = "/api/bindings/{vhost}", tag = "management", params(VhostPath, ListQuery),
    responses(
        (status = 200, description = "The bindings", body = [BindingJson]),
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
    query.answer(listed(&api, &vhost, |_| true).0)
}

/// The bindings from an exchange.
#[utoipa::path(get, path = "/api/exchanges/{vhost}/{exchange}/bindings/source",
    tag = "management", params(ExchangePath),
    responses(
        (status = 200, description = "The bindings", body = [BindingJson]),
        (status = 404, description = "No such exchange", body = ErrorBody),
    ))]
pub(super) async fn of_source(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ExchangePath>,
) -> Result<Json<Vec<BindingJson>>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let source = exchanges::find(&api, &vhost, exchange_name(&path.exchange))?.name;
    Ok(listed(&api, &vhost, |binding| binding.source == source))
}

/// The bindings to an exchange.
#[utoipa::path(get, path = "/api/exchanges/{vhost}/{exchange}/bindings/destination",
    tag = "management", params(ExchangePath),
    responses(
        (status = 200, description = "The bindings", body = [BindingJson]),
        (status = 404, description = "No such exchange", body = ErrorBody),
    ))]
pub(super) async fn of_destination(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<ExchangePath>,
) -> Result<Json<Vec<BindingJson>>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let name = exchanges::find(&api, &vhost, exchange_name(&path.exchange))?.name;
    let destination = DestinationName::Exchange(name);
    Ok(listed(&api, &vhost, |binding| binding.destination == destination))
}

/// The bindings to a queue.
#[utoipa::path(get, path = "/api/queues/{vhost}/{queue}/bindings", tag = "management", params(QueuePath),
    responses(
        (status = 200, description = "The bindings", body = [BindingJson]),
        (status = 404, description = "No such queue", body = ErrorBody),
    ))]
pub(super) async fn of_queue(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<QueuePath>,
) -> Result<Json<Vec<BindingJson>>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let destination =
        DestinationName::Queue(queues::find(&vhost, &path.queue)?.definition.name.clone());
    Ok(listed(&api, &vhost, |binding| binding.destination == destination))
}

/// Two ends.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct EndsPath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The exchange that messages come from.
    source: String,
    /// Where they go.
    destination: String,
}

/// One binding.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct BindingPath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The exchange that messages come from.
    source: String,
    /// Where they go.
    destination: String,
    /// The binding's `properties_key`.
    props: String,
}

/// A binding to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct BindingRequest {
    /// The binding key.
    #[serde(default)]
    routing_key: String,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: JsonMap,
}

/// Whether the destination in a path is a queue.
#[derive(Clone, Copy)]
enum Kind {
    Queue,
    Exchange,
}

impl Kind {
    fn destination(self, name: &str) -> Result<DestinationName, ApiError> {
        Ok(match self {
            Self::Queue => DestinationName::Queue(QueueName::new(name)?),
            Self::Exchange => DestinationName::Exchange(ExchangeName::new(exchange_name(name))?),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Exchange => "exchange",
        }
    }
}

/// The bindings between an exchange and a destination; both must be there.
fn between(
    api: &Api,
    vhost: &Vhost,
    kind: Kind,
    ends: &EndsPath,
) -> Result<Vec<BindingView>, ApiError> {
    let source = exchanges::find(api, vhost, exchange_name(&ends.source))?.name;
    let destination = kind.destination(&ends.destination)?;
    match &destination {
        DestinationName::Queue(name) => drop(queues::find(vhost, name.as_str())?),
        DestinationName::Exchange(name) => drop(exchanges::find(api, vhost, name.as_str())?),
    }
    let mut bindings = api.broker.bindings(vhost.name());
    bindings.retain(|b| b.source == source && b.destination == destination);
    Ok(bindings)
}

impl BindingPath {
    fn ends(self) -> (EndsPath, String) {
        let Self { vhost, source, destination, props } = self;
        (EndsPath { vhost, source, destination }, props)
    }
}

fn one(
    api: &Api,
    vhost: &Vhost,
    kind: Kind,
    ends: &EndsPath,
    props: &str,
) -> Result<BindingView, ApiError> {
    let bindings = between(api, vhost, kind, ends)?;
    // The path was decoded once; a client that didn't encode the key's own quotes is
    // understood too.
    let is_it = |binding: &BindingView| {
        let key = properties_key(binding);
        key == props || (binding.arguments.is_empty() && *binding.key == *props)
    };
    bindings.into_iter().find(is_it).ok_or_else(|| {
        ApiError::not_found(format!(
            "no binding '{props}' from exchange '{}' to {} '{}' in vhost '{}'",
            ends.source,
            kind.name(),
            ends.destination,
            ends.vhost
        ))
    })
}

async fn list_between(
    api: Arc<Api>,
    caller: Manager,
    kind: Kind,
    ends: EndsPath,
) -> Result<Json<Vec<BindingJson>>, ApiError> {
    let vhost = caller.look_into(&ends.vhost)?;
    let bindings = between(&api, &vhost, kind, &ends)?;
    Ok(Json(bindings.iter().map(|binding| BindingJson::new(&vhost, binding)).collect()))
}

async fn show_one(
    api: Arc<Api>,
    caller: Manager,
    kind: Kind,
    path: BindingPath,
) -> Result<Json<BindingJson>, ApiError> {
    let (ends, props) = path.ends();
    let vhost = caller.look_into(&ends.vhost)?;
    Ok(Json(BindingJson::new(&vhost, &one(&api, &vhost, kind, &ends, &props)?)))
}

/// Binding and unbinding write to the destination and read from the source (RabbitMQ).
fn check_permissions(
    access: &ManagerAccess,
    kind: Kind,
    definition: &BindingDefinition,
) -> Result<(), ApiError> {
    access.write(kind.name(), definition.destination.as_str())?;
    access.read("exchange", definition.source.as_str())?;
    access.bind_topic(definition.source.as_str(), &definition.key)
}

async fn bind(
    api: Arc<Api>,
    caller: Manager,
    kind: Kind,
    ends: EndsPath,
    request: BindingRequest,
) -> Result<Response, ApiError> {
    let access = caller.enter(&ends.vhost)?;
    if request.routing_key.len() > shunt_types::limits::SHORT_STRING_MAX {
        return Err(ApiError::bad_request("routing_key is longer than 255 bytes"));
    }
    let definition = BindingDefinition {
        source: ExchangeName::new(exchange_name(&ends.source))?,
        destination: kind.destination(&ends.destination)?,
        key: request.routing_key.into(),
        arguments: (&arguments(&request.arguments)?).into(),
    };
    check_permissions(&access, kind, &definition)?;
    let view = BindingView {
        source: definition.source.clone(),
        destination: definition.destination.clone(),
        key: definition.key.clone(),
        arguments: definition.arguments.clone(),
    };
    let broker = api.broker.clone();
    let (vhost, user) = (access.vhost.name().clone(), access.user.clone());
    // A route is asked about each binding.
    let bind = move || broker.bind(&vhost, Actor::user(user.name()), definition);
    let bound = blocking(bind).await?;
    durable(&api.broker, bound.map_err(refused)?).await?;
    let mut response = StatusCode::CREATED.into_response();
    let location = format!("{}/{}", ends.destination, properties_key(&view));
    // A name that can't stand in a header is left out: the binding is made all the same.
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn unbind(
    api: Arc<Api>,
    caller: Manager,
    kind: Kind,
    path: BindingPath,
) -> Result<StatusCode, ApiError> {
    let (ends, props) = path.ends();
    let access = caller.enter(&ends.vhost)?;
    let binding = one(&api, &access.vhost, kind, &ends, &props)?;
    let definition = BindingDefinition {
        source: binding.source,
        destination: binding.destination,
        key: binding.key,
        arguments: binding.arguments,
    };
    check_permissions(&access, kind, &definition)?;
    let unbound = api.broker.unbind(access.vhost.name(), access.actor(), definition);
    durable(&api.broker, unbound.map_err(refused)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The bindings from an exchange to a queue.
#[utoipa::path(get, path = "/api/bindings/{vhost}/e/{source}/q/{destination}", tag = "management", params(EndsPath),
    responses(
        (status = 200, description = "The bindings", body = [BindingJson]),
        (status = 404, description = "No such exchange or queue", body = ErrorBody),
    ))]
pub(super) async fn between_queue(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<EndsPath>,
) -> Result<Json<Vec<BindingJson>>, ApiError> {
    list_between(api, caller, Kind::Queue, path).await
}

/// The bindings from an exchange to an exchange.
#[utoipa::path(get, path = "/api/bindings/{vhost}/e/{source}/e/{destination}", tag = "management", params(EndsPath),
    responses(
        (status = 200, description = "The bindings", body = [BindingJson]),
        (status = 404, description = "No such exchange", body = ErrorBody),
    ))]
pub(super) async fn between_exchange(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<EndsPath>,
) -> Result<Json<Vec<BindingJson>>, ApiError> {
    list_between(api, caller, Kind::Exchange, path).await
}

/// Binds a queue.
#[utoipa::path(post, path = "/api/bindings/{vhost}/e/{source}/q/{destination}",
    tag = "management", params(EndsPath), request_body = BindingRequest,
    responses(
        (status = 201, description = "Bound; the header `Location` names it"),
        (status = 400, description = "The exchange refuses the binding", body = ErrorBody),
        (status = 401, description = "No permission", body = ErrorBody),
        (status = 404, description = "No such exchange or queue", body = ErrorBody),
    ))]
pub(super) async fn bind_queue(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<EndsPath>,
    JsonBody(request): JsonBody<BindingRequest>,
) -> Result<Response, ApiError> {
    bind(api, caller, Kind::Queue, path, request).await
}

/// Binds an exchange.
#[utoipa::path(post, path = "/api/bindings/{vhost}/e/{source}/e/{destination}",
    tag = "management", params(EndsPath), request_body = BindingRequest,
    responses(
        (status = 201, description = "Bound; the header `Location` names it"),
        (status = 400, description = "The exchange refuses the binding", body = ErrorBody),
        (status = 401, description = "No permission", body = ErrorBody),
        (status = 404, description = "No such exchange", body = ErrorBody),
    ))]
pub(super) async fn bind_exchange(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<EndsPath>,
    JsonBody(request): JsonBody<BindingRequest>,
) -> Result<Response, ApiError> {
    bind(api, caller, Kind::Exchange, path, request).await
}

/// One binding of a queue.
#[utoipa::path(get, path = "/api/bindings/{vhost}/e/{source}/q/{destination}/{props}",
    tag = "management", params(BindingPath),
    responses(
        (status = 200, description = "The binding", body = BindingJson),
        (status = 404, description = "No such binding", body = ErrorBody),
    ))]
pub(super) async fn show_queue(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<BindingPath>,
) -> Result<Json<BindingJson>, ApiError> {
    show_one(api, caller, Kind::Queue, path).await
}

/// One binding of an exchange.
#[utoipa::path(get, path = "/api/bindings/{vhost}/e/{source}/e/{destination}/{props}",
    tag = "management", params(BindingPath),
    responses(
        (status = 200, description = "The binding", body = BindingJson),
        (status = 404, description = "No such binding", body = ErrorBody),
    ))]
pub(super) async fn show_exchange(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<BindingPath>,
) -> Result<Json<BindingJson>, ApiError> {
    show_one(api, caller, Kind::Exchange, path).await
}

/// Unbinds a queue.
#[utoipa::path(delete, path = "/api/bindings/{vhost}/e/{source}/q/{destination}/{props}",
    tag = "management", params(BindingPath),
    responses(
        (status = 204, description = "Unbound"),
        (status = 401, description = "No permission", body = ErrorBody),
        (status = 404, description = "No such binding", body = ErrorBody),
    ))]
pub(super) async fn unbind_queue(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<BindingPath>,
) -> Result<StatusCode, ApiError> {
    unbind(api, caller, Kind::Queue, path).await
}

/// Unbinds an exchange.
#[utoipa::path(delete, path = "/api/bindings/{vhost}/e/{source}/e/{destination}/{props}",
    tag = "management", params(BindingPath),
    responses(
        (status = 204, description = "Unbound"),
        (status = 401, description = "No permission", body = ErrorBody),
        (status = 404, description = "No such binding", body = ErrorBody),
    ))]
pub(super) async fn unbind_exchange(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<BindingPath>,
) -> Result<StatusCode, ApiError> {
    unbind(api, caller, Kind::Exchange, path).await
}
