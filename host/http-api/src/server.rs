//! The server: what it is made of, its endpoints, and its end.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::serve::ListenerExt as _;
use shunt_auth::AccessControl;
use shunt_broker::Broker;
use shunt_types::limits::MESSAGE_SIZE_MAX;
use tokio::net::TcpListener;
use tokio::sync::watch;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::limits::{LEASE_TIMEOUT_S, MODULE_BYTES_MAX, SHUTDOWN_GRACE_S};
use crate::ports::{AccessPort, RoutesPort};
use crate::v1::Leases;
use crate::{health, management, metrics, routes as route_endpoints, v1};

/// What an operator may change.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Longest body of a message, in bytes.
    pub message_size_max: u64,
    /// Longest module that may be deployed, in bytes.
    pub module_bytes_max: u64,
    /// Time within which a lease has to be settled, in seconds; then its message is redelivered.
    pub lease_timeout_s: u64,
    /// Whether `/metrics` answers to anybody, as RabbitMQ's exporter does; else it takes the tag
    /// `monitoring` or `administrator`.
    pub metrics_without_login: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            message_size_max: MESSAGE_SIZE_MAX,
            module_bytes_max: MODULE_BYTES_MAX,
            lease_timeout_s: LEASE_TIMEOUT_S,
            metrics_without_login: false,
        }
    }
}

/// What the server is made of.
pub struct HttpOptions {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Users and permissions.
    pub access: Arc<AccessControl>,
    /// Where changes of users and permissions go.
    pub access_changes: Arc<dyn AccessPort>,
    /// The deployed routes.
    pub routes: Arc<dyn RoutesPort>,
    /// What an operator may change.
    pub settings: HttpSettings,
    /// The node's name, such as `shunt@host`.
    pub node_name: String,
    /// The program's version.
    pub version: String,
}

/// The HTTP server.
pub struct HttpApi {
    options: HttpOptions,
}

/// What every endpoint reaches.
pub(crate) struct Api {
    pub(crate) broker: Arc<Broker>,
    pub(crate) access: Arc<AccessControl>,
    pub(crate) access_changes: Arc<dyn AccessPort>,
    pub(crate) routes: Arc<dyn RoutesPort>,
    pub(crate) settings: HttpSettings,
    pub(crate) node_name: String,
    pub(crate) version: String,
    pub(crate) leases: Arc<Leases>,
    pub(crate) started_at_ms: u64,
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// Becomes true when the server stops; polls and streams end then.
    shutdown: watch::Receiver<bool>,
}

impl Api {
    /// Waits until the server stops.
    pub(crate) async fn stopping(&self) {
        // Nobody can stop a server whose sender is gone, except by ending it: then it stops now.
        let _ = self.shutdown.clone().wait_for(|stop| *stop).await;
    }
}

impl HttpApi {
    /// A server that doesn't listen yet.
    pub fn new(options: HttpOptions) -> Self {
        Self { options }
    }

    /// Serves until `shutdown` becomes true, or its sender is gone: then polls and streams end,
    /// requests under way are answered, and every leased message goes back to its queue.
    ///
    /// # Errors
    /// The listener can't be used.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let HttpOptions { broker, access, access_changes, routes, settings, node_name, version } =
            self.options;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            // An event or a result is small and has somebody waiting for it. A socket that
            // refuses this works all the same.
            let _ = stream.set_nodelay(true);
        });
        let lease_timeout = Duration::from_secs(settings.lease_timeout_s);
        let leases = Arc::new(Leases::new(broker.clone(), lease_timeout));
        let api = Arc::new(Api {
            started_at_ms: broker.now_ms(),
            address,
            leases: leases.clone(),
            shutdown,
            broker,
            access,
            access_changes,
            routes,
            settings,
            node_name,
            version,
        });
        let router = endpoints().split_for_parts().0;
        let router = router
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
            // Every endpoint that reads a body has its own bound.
            .layer(DefaultBodyLimit::disable())
            .with_state(api.clone())
            .into_make_service_with_connect_info::<SocketAddr>();
        let expiry = tokio::spawn({
            let leases = leases.clone();
            async move { leases.run_expiry().await }
        });
        let stopping = {
            let api = api.clone();
            async move { api.stopping().await }
        };
        let grace = async {
            api.stopping().await;
            tokio::time::sleep(Duration::from_secs(SHUTDOWN_GRACE_S)).await;
        };
        let served = tokio::select! {
            served = axum::serve(listener, router).with_graceful_shutdown(stopping) => served,
            // A client that reads its answer slowly, or never ends its request, can't hold up
            // the node's end.
            () = grace => Ok(()),
        };
        expiry.abort();
        leases.release_all();
        served
    }
}

/// The OpenAPI document of the server, as it is served under `/api/openapi.json`.
pub fn openapi_json() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = endpoints().into_openapi();
        name_operations(&mut document);
        let mut text = document.to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

/// Gives every operation the name of its method and path: those of the functions are not unique,
/// and generated clients need unique ones.
fn name_operations(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words = path.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let methods = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in methods {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{}", words.join("_")));
            }
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Shunt",
        description = "Publish and consume (`/v1`), management (`/api`, in RabbitMQ's shapes), \
                       routes (`/api/routes`). Virtual hosts in paths are percent-encoded: `/` is \
                       `%2F`. The default exchange is addressed as `amq.default`."
    ),
    modifiers(&Security),
    security(("basic" = []))
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("basic", SecurityScheme::Http(basic));
    }
}

fn endpoints() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(v1::endpoints())
        .merge(management::endpoints())
        .merge(route_endpoints::endpoints())
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::health))
        .routes(routes!(openapi))
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "about", security(()),
    responses((status = 200, description = "The OpenAPI document", body = Object)))]
async fn openapi(State(_api): State<Arc<Api>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json())
}

async fn unknown_path(request: Request) -> ApiError {
    ApiError::not_found(format!("nothing is served under '{}'", request.uri().path()))
}

async fn unknown_method(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    let reason = format!("'{path}' can't be asked with {method}");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", reason)
}
