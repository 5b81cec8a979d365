//! Deployed routes: deploy, show, activate, remove, dry run.

mod life;
mod rollout;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shunt_broker::Vhost;
use shunt_broker::metadata::DestinationName;
use shunt_types::{ExchangeName, FieldTable, Properties};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{As, Manager, PolicyMaker, exchange_name};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{JsonBody, Path, Query, read_body};
use crate::json::{self, JsonMap};
use crate::ports::{
    RouteActivated, RouteDeploy, RouteDeployed, RouteDestinations, RouteDryRun, RouteDryRunBinding,
    RouteDryRunOutcome, RoutePortError, RouteView, RoutesPort,
};
use crate::server::Api;
use crate::shards::blocking;

pub(crate) fn endpoints() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list_all))
        .routes(routes!(list))
        .routes(routes!(show, deploy, remove))
        .routes(routes!(activate))
        .routes(routes!(dry_run))
        .merge(life::endpoints())
        .merge(rollout::endpoints())
}

/// A virtual host.
#[derive(Deserialize, utoipa::IntoParams)]
struct VhostPath {
    /// The virtual host, percent-encoded.
    vhost: String,
}

/// A route.
#[derive(Deserialize, utoipa::IntoParams)]
struct RoutePath {
    /// The virtual host, percent-encoded.
    vhost: String,
    /// The route.
    name: String,
}

/// Asks the routes, on a thread that may be blocked.
async fn ask<R: Send + 'static>(
    api: &Api,
    question: impl FnOnce(&dyn RoutesPort) -> Result<R, RoutePortError> + Send + 'static,
) -> Result<R, ApiError> {
    let routes = api.routes.clone();
    Ok(blocking(move || question(&*routes)).await??)
}

/// The routes of all virtual hosts that the caller sees.
#[utoipa::path(get, path = "/api/routes", tag = "routes",
    responses((status = 200, description = "By virtual host and name", body = [RouteView])))]
async fn list_all(
    State(api): State<Arc<Api>>,
    caller: Manager,
) -> Result<Json<Vec<RouteView>>, ApiError> {
    let vhosts = caller.visible_vhosts();
    let mut routes = ask(&api, |routes| Ok(routes.list(None))).await?;
    routes.retain(|route| vhosts.iter().any(|vhost| vhost.name().as_str() == route.vhost));
    Ok(Json(routes))
}

/// The routes of a virtual host.
#[utoipa::path(get, path = "/api/routes/{vhost}", tag = "routes", params(VhostPath),
    responses(
        (status = 200, description = "By name", body = [RouteView]),
        (status = 404, description = "No such virtual host", body = ErrorBody),
    ))]
async fn list(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<VhostPath>,
) -> Result<Json<Vec<RouteView>>, ApiError> {
    caller.look_into(&path.vhost)?;
    ask(&api, move |routes| Ok(routes.list(Some(&path.vhost)))).await.map(Json)
}

/// One route with its versions and counters.
#[utoipa::path(get, path = "/api/routes/{vhost}/{name}", tag = "routes", params(RoutePath),
    responses(
        (status = 200, description = "The route", body = RouteView),
        (status = 404, description = "No such route", body = ErrorBody),
    ))]
async fn show(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<RoutePath>,
) -> Result<Json<RouteView>, ApiError> {
    caller.look_into(&path.vhost)?;
    ask(&api, move |routes| routes.show(&path.vhost, &path.name)).await.map(Json)
}

/// How a module is deployed.
#[derive(Debug, Default, PartialEq, Deserialize, utoipa::IntoParams)]
#[serde(try_from = "Vec<(String, String)>")]
struct DeployQuery {
    /// `false` holds the version back until it is activated.
    #[param(required = false, default = true)]
    activate: Option<bool>,
    /// `true` activates it even if recorded messages break its guards.
    #[param(required = false, default = false)]
    force: bool,
    /// What it may answer with; `any` takes an administrator.
    #[param(inline, required = false)]
    destinations: RouteDestinations,
    /// A capability granted; may stand several times.
    #[param(required = false)]
    grant: Vec<String>,
    /// The route's own limits: `limit.NAME=NUMBER`, each as a parameter of its own.
    #[param(rename = "limit.NAME", required = false, value_type = u64)]
    limits: BTreeMap<String, u64>,
    /// What every answer has to keep: `guard.NAME=RULE`, each as a parameter of its own.
    #[param(rename = "guard.NAME", required = false, value_type = String)]
    guards: BTreeMap<String, String>,
}

impl TryFrom<Vec<(String, String)>> for DeployQuery {
    type Error = String;

    fn try_from(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut query = Self::default();
        for (name, value) in pairs {
            let wrong = |wanted: &str| format!("{name}='{value}' must be {wanted}");
            match name.as_str() {
                "activate" => {
                    query.activate = Some(value.parse().map_err(|_| wrong("true or false"))?);
                }
                "destinations" => {
                    query.destinations = match value.as_str() {
                        "bound" => RouteDestinations::Bound,
                        "any" => RouteDestinations::Any,
                        _ => return Err(wrong("bound or any")),
                    };
                }
                "force" => query.force = value.parse().map_err(|_| wrong("true or false"))?,
                "grant" => query.grant.push(value),
                guard if guard.starts_with("guard.") => {
                    query.guards.insert(guard["guard.".len()..].to_owned(), value);
                }
                limit if limit.starts_with("limit.") => {
                    let number = value.parse().map_err(|_| wrong("an integer"))?;
                    query.limits.insert(limit["limit.".len()..].to_owned(), number);
                }
                _ => return Err(format!("unknown parameter '{name}'")),
            }
        }
        Ok(query)
    }
}

/// Deploys a module: a `.wasm` binary, `.wat` text or JavaScript. Takes the tag policymaker or administrator.
#[utoipa::path(put, path = "/api/routes/{vhost}/{name}", tag = "routes", params(RoutePath, DeployQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 201, description = "A new version", body = RouteDeployed),
        (status = 200, description = "The same module with the same settings was there",
            body = RouteDeployed),
        (status = 400, description = "The module is refused, with the reason", body = ErrorBody),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such virtual host", body = ErrorBody),
        (status = 413, description = "The module is too large", body = ErrorBody),
    ))]
async fn deploy(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
    Query(query): Query<DeployQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    caller.look_into(&path.vhost)?;
    if query.destinations == RouteDestinations::Any {
        caller.administer()?;
    }
    let module = read_body(request, api.settings.module_bytes_max, "the module").await?;
    let deploy = RouteDeploy {
        vhost: path.vhost,
        name: path.name,
        module,
        activate: query.activate.unwrap_or(true),
        force: query.force,
        guards: query.guards,
        destinations: query.destinations,
        grants: query.grant,
        limits: query.limits,
        user: caller.name().to_owned(),
    };
    let deployed = ask(&api, |routes| routes.deploy(deploy)).await?;
    let status = if deployed.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(deployed)).into_response())
}

/// Takes a route away with all its versions. Takes the tag policymaker or administrator.
#[utoipa::path(delete, path = "/api/routes/{vhost}/{name}", tag = "routes", params(RoutePath),
    responses(
        (status = 204, description = "Removed"),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route", body = ErrorBody),
        (status = 409, description = "An exchange uses it", body = ErrorBody),
    ))]
async fn remove(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
) -> Result<StatusCode, ApiError> {
    caller.look_into(&path.vhost)?;
    ask(&api, move |routes| routes.remove(&path.vhost, &path.name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which version shall decide.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ActivateRequest {
    /// The version's number.
    version: u32,
    /// Put it in force even if recorded messages break its guards.
    #[serde(default)]
    force: bool,
}

/// Puts a version in force. Where the route has a trace, the version's guards are checked by it
/// before. Takes the tag policymaker or administrator.
#[utoipa::path(post, path = "/api/routes/{vhost}/{name}/activate", tag = "routes", params(RoutePath),
    request_body = ActivateRequest,
    responses(
        (status = 200, description = "The route as it is now", body = RouteActivated),
        (status = 400, description = "The body can't be used", body = ErrorBody),
        (status = 401, description = "The tag is missing", body = ErrorBody),
        (status = 404, description = "No such route or version", body = ErrorBody),
        (status = 409, description = "It can't run, or recorded messages break its guards",
            body = ErrorBody),
    ))]
async fn activate(
    State(api): State<Arc<Api>>,
    caller: As<PolicyMaker>,
    Path(path): Path<RoutePath>,
    JsonBody(request): JsonBody<ActivateRequest>,
) -> Result<Json<RouteActivated>, ApiError> {
    caller.look_into(&path.vhost)?;
    let ActivateRequest { version, force } = request;
    let activate =
        move |routes: &dyn RoutesPort| routes.activate(&path.vhost, &path.name, version, force);
    ask(&api, activate).await.map(Json)
}

/// A message to decide about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DryRunRequest {
    /// The exchange; its bindings and arguments are used where the call doesn't give them. May
    /// be missing where the call gives bindings.
    exchange: Option<String>,
    /// The routing key.
    #[serde(default)]
    routing_key: String,
    /// The basic properties.
    #[serde(default)]
    #[schema(value_type = Object)]
    properties: JsonMap,
    /// The application headers.
    #[schema(value_type = Option<Object>)]
    headers: Option<JsonMap>,
    /// Length of the body, in bytes.
    #[serde(default)]
    body_size: u64,
    /// The user who would publish; the caller where there is none.
    user: Option<String>,
    /// The version; the active one where there is none.
    version: Option<u32>,
    /// Bindings instead of the exchange's.
    bindings: Option<Vec<DryRunBinding>>,
    /// Arguments instead of the exchange's.
    #[schema(value_type = Option<Object>)]
    arguments: Option<JsonMap>,
}

/// A binding in a dry run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DryRunBinding {
    /// Where it leads.
    destination: String,
    /// `queue` or `exchange`.
    #[serde(default)]
    destination_type: DestinationType,
    /// The binding key.
    #[serde(default)]
    routing_key: String,
    /// Its arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: JsonMap,
}

/// What a binding leads to.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DestinationType {
    /// A queue.
    #[default]
    Queue,
    /// An exchange.
    Exchange,
}

/// Lets a route decide about a message that is not delivered and not counted.
#[utoipa::path(post, path = "/api/routes/{vhost}/{name}/dry-run", tag = "routes", params(RoutePath),
    request_body = DryRunRequest,
    responses(
        (status = 200, description = "The decision, or why there was none",
            body = RouteDryRunOutcome),
        (status = 400, description = "The body can't be used", body = ErrorBody),
        (status = 404, description = "No such route, version or exchange", body = ErrorBody),
    ))]
async fn dry_run(
    State(api): State<Arc<Api>>,
    caller: Manager,
    Path(path): Path<RoutePath>,
    JsonBody(request): JsonBody<DryRunRequest>,
) -> Result<Json<RouteDryRunOutcome>, ApiError> {
    let vhost = caller.look_into(&path.vhost)?;
    let exchange = match &request.exchange {
        Some(name) => ExchangeName::new(exchange_name(name))?,
        None if request.bindings.is_some() => ExchangeName::new("")?,
        None => return Err(ApiError::bad_request("name an 'exchange', or give 'bindings'")),
    };
    let arguments = match &request.arguments {
        Some(arguments) => table(arguments, "arguments")?,
        None => exchange_arguments(&api, &vhost, &exchange, request.bindings.is_some())?,
    };
    let bindings = match &request.bindings {
        Some(bindings) => bindings.iter().map(DryRunBinding::read).collect::<Result<_, _>>()?,
        None => exchange_bindings(&api, &vhost, &exchange),
    };
    let dry_run = RouteDryRun {
        vhost: path.vhost,
        name: path.name,
        version: request.version,
        exchange: exchange.as_str().to_owned(),
        arguments,
        bindings,
        properties: request.properties()?,
        body_size: request.body_size,
        user: request.user.unwrap_or_else(|| caller.name().to_owned()),
        routing_key: request.routing_key,
    };
    ask(&api, |routes| routes.dry_run(dry_run)).await.map(Json)
}

impl DryRunRequest {
    fn properties(&self) -> Result<Properties, ApiError> {
        let properties = json::properties_from_json(&self.properties);
        let mut properties = properties.map_err(ApiError::bad_request)?;
        if let Some(headers) = &self.headers {
            properties.headers = Some(table(headers, "headers")?);
        }
        Ok(properties)
    }
}

impl DryRunBinding {
    fn read(&self) -> Result<RouteDryRunBinding, ApiError> {
        Ok(RouteDryRunBinding {
            is_queue: matches!(self.destination_type, DestinationType::Queue),
            destination: self.destination.clone(),
            key: self.routing_key.clone(),
            arguments: table(&self.arguments, "arguments")?,
        })
    }
}

fn table(object: &JsonMap, what: &str) -> Result<FieldTable, ApiError> {
    json::table_from_json(object, what).map_err(ApiError::bad_request)
}

/// The arguments of the exchange, which has to be there unless the call gave the bindings.
fn exchange_arguments(
    api: &Api,
    vhost: &Vhost,
    name: &ExchangeName,
    may_be_missing: bool,
) -> Result<FieldTable, ApiError> {
    match api.broker.exchange_definition(vhost.name(), name) {
        Some(exchange) => Ok(FieldTable::clone(&exchange.arguments)),
        None if may_be_missing => Ok(FieldTable::new()),
        None => Err(ApiError::not_found(format!(
            "no exchange '{name}' in vhost '{}'; name one, or give 'bindings'",
            vhost.name()
        ))),
    }
}

fn exchange_bindings(api: &Api, vhost: &Vhost, name: &ExchangeName) -> Vec<RouteDryRunBinding> {
    let bindings = api.broker.bindings(vhost.name()).into_iter();
    let bindings = bindings.filter(|binding| binding.source == *name);
    let read = bindings.map(|binding| RouteDryRunBinding {
        is_queue: matches!(binding.destination, DestinationName::Queue(_)),
        destination: binding.destination.as_str().to_owned(),
        key: binding.key.to_string(),
        arguments: binding.arguments.to_table(),
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<DeployQuery, String> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        pairs.try_into()
    }

    #[test]
    fn the_query_of_a_deployment_is_read() {
        assert_eq!(read(""), Ok(DeployQuery::default()));
        let query = "activate=false&destinations=any&grant=clock&grant=random&limit.memory_bytes=5\
                     &guard.few=at most 1&force=true";
        let expected = DeployQuery {
            activate: Some(false),
            force: true,
            destinations: RouteDestinations::Any,
            grant: vec!["clock".into(), "random".into()],
            limits: [("memory_bytes".to_owned(), 5)].into(),
            guards: [("few".to_owned(), "at most 1".to_owned())].into(),
        };
        assert_eq!(read(query), Ok(expected));
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        let refused = |query| read(query).unwrap_err();
        assert_eq!(refused("activate=yes"), "activate='yes' must be true or false");
        assert_eq!(refused("destinations=all"), "destinations='all' must be bound or any");
        assert_eq!(refused("limit.x=-1"), "limit.x='-1' must be an integer");
        assert_eq!(refused("grants=clock"), "unknown parameter 'grants'");
    }
}
