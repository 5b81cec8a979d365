//! Deployed routes, as the HTTP API asks for them: the registry of `shunt-wasm` behind the port
//! of `shunt-http-api`.

mod guards;
mod life;
mod logs;
mod rollout;

use std::sync::{Arc, Weak};

use shunt_broker::ports::Clock;
use shunt_http_api::{
    RouteActivated, RouteCountersView, RouteDeploy, RouteDeployed, RouteDestinations, RouteDryRun,
    RouteDryRunDestination, RouteDryRunFailure, RouteDryRunOutcome, RouteLogLine, RoutePortError,
    RouteVersionView, RouteView, RoutesPort,
};
use shunt_routing::{Binding, Destination, ExchangeSpec, FailureCause, Header, Topology};
use shunt_types::{
    ExchangeId, ExchangeName, PropertiesRef, QueueGauge, QueueId, ShardId, VhostName,
};
use shunt_wasm::{
    Capabilities, DeployError, DeployRequest, Destinations, DryRunRequest, ErrorKind, Guards,
    LimitOverrides, QueueLoads, RouteError, Routes, VersionView,
};

pub(crate) use logs::RouteLogs;
pub(crate) use rollout::{replay_view, watch as watch_canaries};

/// How full the broker's queues are, for routes that may see it. The broker holds the registry
/// of routes, which must not hold the broker.
pub(crate) struct BrokerLoads(pub(crate) Weak<shunt_broker::Broker>);

impl QueueLoads for BrokerLoads {
    fn gauge(&self, queue: QueueId) -> Option<Arc<QueueGauge>> {
        self.0.upgrade()?.gauge(queue)
    }
}

/// The registry as the HTTP API sees it.
pub(crate) struct RegistryPort {
    pub(crate) routes: Arc<Routes>,
    pub(crate) logs: Arc<RouteLogs>,
    pub(crate) broker: Arc<shunt_broker::Broker>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl RoutesPort for RegistryPort {
    fn deploy(&self, deploy: RouteDeploy) -> Result<RouteDeployed, RoutePortError> {
        let vhost = vhost_name(&deploy.vhost)?;
        let mut limits = LimitOverrides::default();
        for (name, value) in &deploy.limits {
            limits.set(name, *value).map_err(|error| RoutePortError::Invalid(error.to_string()))?;
        }
        let guards = Guards::parse(&deploy.guards);
        let guards = guards.map_err(|error| RoutePortError::Invalid(error.to_string()))?;
        // A version with guards has to show itself first, where there is what to show it on.
        let is_checked = deploy.activate && !guards.is_empty();
        let grants: Vec<&str> = deploy.grants.iter().map(String::as_str).collect();
        let request = DeployRequest {
            vhost: &vhost,
            name: &deploy.name,
            module: &deploy.module,
            grants: &grants,
            destinations: match deploy.destinations {
                RouteDestinations::Bound => Destinations::Bound,
                RouteDestinations::Any => Destinations::Any,
            },
            limits,
            guards: &guards,
            activate: deploy.activate && !is_checked,
            now_ms: self.clock.now_ms(),
        };
        let mut deployed = self.routes.deploy(&request).map_err(refused_deploy)?;
        let mut guard_check = None;
        if is_checked {
            let version = deployed.version;
            guard_check = self.checked(&vhost, &deploy.name, version)?;
            if deploy.force || guard_check.as_ref().is_none_or(|check| check.broken.is_empty()) {
                self.routes.activate(&vhost, &deploy.name, version).map_err(refused)?;
                deployed.active = true;
            }
        }
        tracing::info!(
            vhost = %vhost, route = deploy.name, version = deployed.version,
            sha256 = deployed.sha256, active = deployed.active, user = deploy.user,
            "route deployed"
        );
        Ok(RouteDeployed {
            version: deployed.version,
            created: deployed.created,
            active: deployed.active,
            sha256: deployed.sha256,
            guard_check,
        })
    }

    fn list(&self, vhost: Option<&str>) -> Vec<RouteView> {
        let vhost = vhost.map(VhostName::new).transpose();
        // A name too long for a virtual host names none.
        vhost.map_or_else(
            |_| Vec::new(),
            |vhost| self.routes.list(vhost.as_ref()).into_iter().map(view).collect(),
        )
    }

    fn show(&self, vhost: &str, name: &str) -> Result<RouteView, RoutePortError> {
        self.routes.show(&vhost_name(vhost)?, name).map(view).map_err(refused)
    }

    fn activate(
        &self,
        vhost: &str,
        name: &str,
        version: u32,
        force: bool,
    ) -> Result<RouteActivated, RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let guard_check = self.checked(&vhost, name, version)?;
        if let Some(check) = guard_check.as_ref().filter(|check| !check.broken.is_empty() && !force)
        {
            return Err(RoutePortError::Conflict(guards::told(name, version, check)));
        }
        self.routes.activate(&vhost, name, version).map_err(refused)?;
        tracing::info!(%vhost, route = name, version, "route version activated");
        let route = self.routes.show(&vhost, name).map(view).map_err(refused)?;
        Ok(RouteActivated { route, guard_check })
    }

    fn remove(&self, vhost: &str, name: &str) -> Result<(), RoutePortError> {
        let vhost = vhost_name(vhost)?;
        let used = self.routes.show(&vhost, name).map_err(refused)?;
        if let Some(exchange) = self.user_of(&vhost, name)
            && used.exchanges > 0
        {
            return Err(RoutePortError::Conflict(format!(
                "route '{name}' in vhost '{vhost}' is used by exchange '{exchange}'"
            )));
        }
        self.routes.remove(&vhost, name).map_err(refused)?;
        self.logs.forget(&vhost, name);
        tracing::info!(%vhost, route = name, "route removed");
        Ok(())
    }

    fn forget_vhost(&self, vhost: &str) {
        let Ok(vhost) = VhostName::new(vhost) else { return };
        for route in self.routes.list(Some(&vhost)) {
            self.logs.forget(&vhost, &route.name);
            if let Err(error) = self.routes.remove(&vhost, &route.name) {
                tracing::warn!(%vhost, route = %route.name, %error, "a route can't be removed");
            }
        }
    }

    fn dry_run(&self, dry_run: RouteDryRun) -> Result<RouteDryRunOutcome, RoutePortError> {
        let invalid = |error: &dyn std::error::Error| RoutePortError::Invalid(error.to_string());
        let vhost = vhost_name(&dry_run.vhost)?;
        let mut encoded = Vec::new();
        dry_run.properties.encode(&mut encoded);
        let properties = PropertiesRef::decode(&encoded).map_err(|error| invalid(&error))?;
        let exchange = ExchangeSpec {
            vhost: vhost.clone(),
            name: ExchangeName::new(&dry_run.exchange).map_err(|error| invalid(&error))?,
            arguments: Arc::new(dry_run.arguments),
        };
        let topology = self.broker.vhost(vhost.as_str()).map(|vhost| vhost.topology());
        let queue_id = |name: &str| topology.as_ref().and_then(|topology| topology.queue(name));
        let bindings: Vec<Arc<Binding>> = dry_run
            .bindings
            .into_iter()
            .enumerate()
            .map(|(index, binding)| {
                Arc::new(Binding {
                    // A dry run delivers nothing, so that any id will do; that of a queue which is
                    // there shows its load, that of no shard none.
                    destination: if binding.is_queue {
                        let nowhere = || QueueId::new(NO_SHARD, index as u32, 0);
                        Destination::Queue(queue_id(&binding.destination).unwrap_or_else(nowhere))
                    } else {
                        Destination::Exchange(ExchangeId(index as u64))
                    },
                    destination_name: binding.destination.into(),
                    key: binding.key.into(),
                    arguments: (&binding.arguments).into(),
                    sequence: index as u64,
                })
            })
            .collect();
        let queue_exists = |name: &str| queue_id(name).is_some();
        let request = DryRunRequest {
            name: &dry_run.name,
            version: dry_run.version,
            exchange: &exchange,
            bindings: &bindings,
            header: Header {
                vhost: &vhost,
                exchange: exchange.name.as_str(),
                routing_keys: &[&dry_run.routing_key],
                properties,
                body_size: dry_run.body_size,
                user: &dry_run.user,
                now_ms: 0,
                random: 0,
            },
            queue_exists: &queue_exists,
        };
        let outcome = self.routes.dry_run(&request).map_err(refused)?;
        Ok(RouteDryRunOutcome {
            version: outcome.version,
            destinations: outcome
                .destinations
                .into_iter()
                .map(|destination| RouteDryRunDestination {
                    kind: if destination.is_queue { "queue" } else { "exchange" },
                    name: destination.name.to_string(),
                    binding: destination.binding,
                })
                .collect(),
            failure: outcome.failure.map(|failure| RouteDryRunFailure {
                cause: failure.cause.name(),
                detail: failure.detail,
            }),
            fuel: outcome.fuel,
            cpu_time_ns: outcome.cpu_time_ns,
            log: outcome
                .log
                .into_iter()
                .map(|line| RouteLogLine { level: line.level.name(), text: line.text })
                .collect(),
        })
    }
}

/// More shards than a node can have.
const NO_SHARD: ShardId = ShardId(u8::MAX as u16);

impl RegistryPort {
    /// An exchange that names the route.
    fn user_of(&self, vhost: &VhostName, name: &str) -> Option<ExchangeName> {
        let exchanges = self.broker.exchanges(vhost);
        let named = exchanges.into_iter().find(|exchange| {
            exchange.arguments.get("x-route").and_then(|value| value.as_text()) == Some(name)
        });
        named.map(|exchange| exchange.name)
    }
}

fn vhost_name(name: &str) -> Result<VhostName, RoutePortError> {
    VhostName::new(name).map_err(|error| RoutePortError::NotFound(error.to_string()))
}

fn port_error(kind: ErrorKind, text: String) -> RoutePortError {
    match kind {
        ErrorKind::Invalid => RoutePortError::Invalid(text),
        ErrorKind::NotFound => RoutePortError::NotFound(text),
        ErrorKind::Conflict => RoutePortError::Conflict(text),
        ErrorKind::TooLarge => RoutePortError::TooLarge(text),
        ErrorKind::Internal => RoutePortError::Internal(text),
    }
}

fn refused_deploy(error: DeployError) -> RoutePortError {
    port_error(error.kind(), error.to_string())
}

fn refused(error: RouteError) -> RoutePortError {
    port_error(error.kind(), error.to_string())
}

fn view(route: shunt_wasm::RouteView) -> RouteView {
    RouteView {
        vhost: route.vhost.to_string(),
        name: route.name.to_string(),
        active: route.active,
        previous: route.previous,
        exchanges: route.exchanges as u64,
        unavailable: route.unavailable,
        shadow: route.shadow.map(rollout::shadow_view),
        canary: route.canary.map(rollout::canary_view),
        last_rollout: route.last_rollout.map(rollout::end_view),
        versions: route.versions.into_iter().map(version_view).collect(),
    }
}

fn version_view(version: VersionView) -> RouteVersionView {
    let names = |set: Capabilities| set.iter().map(|c| c.name().to_owned()).collect::<Vec<_>>();
    let module = version.module.as_ref();
    let failures = FailureCause::ALL
        .into_iter()
        .map(|cause| (cause.name(), version.counters.failures_by(cause)))
        .collect();
    RouteVersionView {
        version: version.version,
        active: version.is_active,
        sha256: version.sha256,
        size_bytes: version.size_bytes,
        module_name: module.map(|module| module.name.clone()),
        module_version: module.map(|module| module.version.clone()),
        reads: module.map(|module| module.reads.clone()).unwrap_or_default(),
        wants: module.map(|module| names(module.wants)).unwrap_or_default(),
        grants: names(version.grants),
        destinations: match version.destinations {
            Destinations::Bound => RouteDestinations::Bound,
            Destinations::Any => RouteDestinations::Any,
        },
        limits: version.limits.iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        guards: version.guards.iter().map(|(name, rule, _)| (name.clone(), rule.clone())).collect(),
        unavailable: version.unavailable,
        deployed_at_ms: version.deployed_at_ms,
        instances: version.instances as u64,
        counters: RouteCountersView {
            calls: version.counters.calls,
            failures,
            guard_breaks: version.guards.into_iter().map(|(name, _, n)| (name, n)).collect(),
            cache_hits: version.counters.cache_hits,
            cache_misses: version.counters.cache_misses,
            cpu_time_ns: version.counters.cpu_time_ns,
        },
    }
}
