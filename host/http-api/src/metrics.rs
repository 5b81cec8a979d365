//! What Prometheus scrapes, under RabbitMQ's names where it has them.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::response::IntoResponse;
use shunt_broker::queue::QueueStats;
use shunt_broker::{Broker, Counters};

use crate::auth::Manager;
use crate::error::{ApiError, ErrorBody};
use crate::management::RABBITMQ_VERSION;
use crate::ports::RouteView;
use crate::server::Api;
use crate::shards::{all_queue_stats, blocking};

/// The node's metrics, as Prometheus text. Takes the tag monitoring or administrator, unless the
/// node is set up to show them to anybody.
#[utoipa::path(get, path = "/metrics", tag = "about",
    responses(
        (status = 200, description = "The metrics", body = String,
            content_type = "text/plain; version=0.0.4"),
        (status = 401, description = "The tag is missing", body = ErrorBody),
    ))]
pub(crate) async fn metrics(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<impl IntoResponse, ApiError> {
    let (mut parts, _) = request.into_parts();
    if !api.settings.metrics_without_login {
        Manager::from_request_parts(&mut parts, &api).await?.monitor()?;
    }
    let stats = all_queue_stats(&api.broker).await?;
    let routes = api.routes.clone();
    let routes = blocking(move || routes.list(None)).await?;
    let mut page = Page::default();
    identity(&mut page, &api);
    queues(&mut page, stats.values());
    log(&mut page, &api.broker);
    totals(&mut page, api.broker.counters());
    deployed(&mut page, &routes);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page.0))
}

fn identity(page: &mut Page, api: &Api) {
    let node = api.node_name.as_str();
    page.family("rabbitmq_identity_info", "gauge", "RabbitMQ node & cluster identity info");
    page.sample(
        "rabbitmq_identity_info",
        &[
            ("rabbitmq_node", node),
            ("rabbitmq_cluster", node),
            ("rabbitmq_cluster_permanent_id", node),
            ("rabbitmq_endpoint", "default"),
        ],
        1,
    );
    page.family("rabbitmq_build_info", "gauge", "Product and version");
    page.sample(
        "rabbitmq_build_info",
        &[
            ("rabbitmq_version", RABBITMQ_VERSION),
            ("product_name", "Shunt"),
            ("product_version", &api.version),
        ],
        1,
    );
    let uptime_ms = api.broker.now_ms().saturating_sub(api.started_at_ms);
    page.gauge("shunt_uptime_seconds", "Time since the node started", uptime_ms / 1000);
}

fn queues<'a>(page: &mut Page, all: impl Iterator<Item = &'a QueueStats>) {
    let mut count = 0;
    let mut sum = QueueStats::default();
    for stats in all {
        count += 1;
        sum.ready += stats.ready;
        sum.unacked += stats.unacked;
        sum.ready_bytes += stats.ready_bytes;
        sum.unacked_bytes += stats.unacked_bytes;
        sum.consumers += stats.consumers;
        sum.paged_out += stats.paged_out;
        sum.resident_bytes += stats.resident_bytes;
    }
    let messages = sum.ready + sum.unacked;
    page.gauge("rabbitmq_queues", "Queues", count);
    page.gauge("rabbitmq_consumers", "Consumers", sum.consumers);
    page.gauge("rabbitmq_queue_messages_ready", "Messages ready for delivery", sum.ready);
    page.gauge("rabbitmq_queue_messages_unacked", "Messages not acknowledged yet", sum.unacked);
    page.gauge("rabbitmq_queue_messages", "Messages, ready and unacknowledged", messages);
    page.gauge("rabbitmq_queue_messages_ready_bytes", "Bytes of ready messages", sum.ready_bytes);
    page.gauge(
        "rabbitmq_queue_messages_unacked_bytes",
        "Bytes of unacknowledged messages",
        sum.unacked_bytes,
    );
    page.gauge(
        "rabbitmq_queue_messages_paged_out",
        "Ready messages that are on disk alone",
        sum.paged_out,
    );
    page.gauge(
        "shunt_queue_messages_resident_bytes",
        "Bytes of memory that messages in queues take",
        sum.resident_bytes,
    );
}

fn log(page: &mut Page, broker: &Broker) {
    page.gauge(
        "shunt_message_log_live_bytes",
        "Bytes of the log of messages that queues have use for",
        broker.live_log_bytes(),
    );
    page.gauge(
        "shunt_message_log_unsynced_bytes",
        "Bytes of the log of messages that wait for the disk",
        broker.unsynced_log_bytes(),
    );
}

fn totals(page: &mut Page, counters: &Counters) {
    let open = |opened: u64, closed: u64| opened.saturating_sub(closed);
    let (connections, channels) = (
        open(counters.connections_opened.get(), counters.connections_closed.get()),
        open(counters.channels_opened.get(), counters.channels_closed.get()),
    );
    page.gauge("rabbitmq_connections", "AMQP connections", connections);
    page.gauge("rabbitmq_channels", "AMQP channels", channels);
    let all = [
        ("rabbitmq_connections_opened_total", "Connections opened", &counters.connections_opened),
        ("rabbitmq_connections_closed_total", "Connections closed", &counters.connections_closed),
        (
            "shunt_connections_moved_total",
            "Moves of connections to another shard",
            &counters.connections_moved,
        ),
        ("rabbitmq_channels_opened_total", "Channels opened", &counters.channels_opened),
        ("rabbitmq_channels_closed_total", "Channels closed", &counters.channels_closed),
        ("rabbitmq_queues_created_total", "Queues created", &counters.queues_created),
        ("rabbitmq_queues_declared_total", "Queues declared anew", &counters.queues_created),
        ("rabbitmq_queues_deleted_total", "Queues deleted", &counters.queues_deleted),
        (
            "rabbitmq_global_messages_received_total",
            "Messages received from publishers",
            &counters.messages_received,
        ),
        (
            "rabbitmq_global_messages_received_confirm_total",
            "Messages received from publishers that wait for a confirm",
            &counters.messages_received_confirm,
        ),
        (
            "rabbitmq_global_messages_confirmed_total",
            "Messages confirmed to publishers",
            &counters.messages_confirmed,
        ),
        (
            "rabbitmq_global_messages_routed_total",
            "Messages routed to a queue",
            &counters.messages_routed,
        ),
        (
            "rabbitmq_global_messages_unroutable_dropped_total",
            "Unroutable messages dropped",
            &counters.messages_unroutable_dropped,
        ),
        (
            "rabbitmq_global_messages_unroutable_returned_total",
            "Unroutable messages returned",
            &counters.messages_unroutable_returned,
        ),
        (
            "rabbitmq_global_messages_get_empty_total",
            "basic.get on an empty queue",
            &counters.gets_empty,
        ),
        (
            "shunt_messages_lost_to_damage_total",
            "Messages that could not be read back from a damaged log",
            &counters.messages_lost_to_damage,
        ),
        (
            "shunt_messages_route_failed_total",
            "Messages that no queue got because a route failed",
            &counters.messages_route_failed,
        ),
        (
            "shunt_log_damaged_total",
            "Damaged places that were found when the log of messages was opened",
            &counters.log_damaged,
        ),
    ];
    for (name, help, counter) in all {
        page.family(name, "counter", help);
        page.sample(name, &[], counter.get());
    }
}

fn deployed(page: &mut Page, routes: &[RouteView]) {
    let versions = || {
        routes.iter().flat_map(|route| {
            route.versions.iter().map(move |version| {
                let number = version.version.to_string();
                (route, number, &version.counters)
            })
        })
    };
    page.family("shunt_route_calls_total", "counter", "Messages that a route was asked about");
    for (route, version, counters) in versions() {
        let labels = [("vhost", &*route.vhost), ("route", &*route.name), ("version", &*version)];
        page.sample("shunt_route_calls_total", &labels, counters.calls);
    }
    page.family("shunt_route_failures_total", "counter", "Failures of a route, by cause");
    for (route, version, counters) in versions() {
        for (cause, count) in &counters.failures {
            let labels = [
                ("vhost", &*route.vhost),
                ("route", &*route.name),
                ("version", &*version),
                ("cause", *cause),
            ];
            page.sample("shunt_route_failures_total", &labels, *count);
        }
    }
    let name = "shunt_route_guard_broken_total";
    page.family(name, "counter", "Answers of a route that broke a guard, by its name");
    for (route, version, counters) in versions() {
        for (guard, count) in &counters.guard_breaks {
            let labels = [
                ("vhost", &*route.vhost),
                ("route", &*route.name),
                ("version", &*version),
                ("guard", &**guard),
            ];
            page.sample(name, &labels, *count);
        }
    }
    let name = "shunt_route_cache_lookups_total";
    page.family(name, "counter", "Looks for an answer that a route gave before");
    for (route, version, counters) in versions() {
        for (result, count) in [("hit", counters.cache_hits), ("miss", counters.cache_misses)] {
            let labels = [
                ("vhost", &*route.vhost),
                ("route", &*route.name),
                ("version", &*version),
                ("result", result),
            ];
            page.sample(name, &labels, count);
        }
    }
    page.family("shunt_route_cpu_seconds_total", "counter", "Processor time of a route's calls");
    for (route, version, counters) in versions() {
        let labels = [("vhost", &*route.vhost), ("route", &*route.name), ("version", &*version)];
        let seconds = counters.cpu_time_ns as f64 / 1e9;
        page.sample("shunt_route_cpu_seconds_total", &labels, seconds);
    }
    rollouts(page, routes);
    page.family("shunt_route_unavailable_total", "counter", "Messages without an active version");
    for route in routes {
        let labels = [("vhost", &*route.vhost), ("route", &*route.name)];
        page.sample("shunt_route_unavailable_total", &labels, route.unavailable);
    }
}

fn rollouts(page: &mut Page, routes: &[RouteView]) {
    let labels = |route: &RouteView, version: u32| {
        [("vhost", route.vhost.clone()), ("route", route.name.clone())]
            .into_iter()
            .chain([("version", version.to_string())])
            .collect::<Vec<_>>()
    };
    let mut family = |name: &str, kind: &str, help: &str, read: &dyn Fn(&RouteView) -> Sample| {
        page.family(name, kind, help);
        for route in routes {
            for (version, cause, value) in read(route) {
                let mut labels = labels(route, version);
                labels.extend(cause.map(|cause| ("cause", cause.to_owned())));
                let labels: Vec<_> = labels.iter().map(|(n, v)| (*n, v.as_str())).collect();
                page.sample(name, &labels, value);
            }
        }
    };
    family("shunt_route_canary_per_cent", "gauge", "Share of a canary", &|route| {
        route.canary.iter().map(|canary| (canary.version, None, canary.per_cent.into())).collect()
    });
    let help = "Messages of a canary that the active version decided, the candidate failing";
    family("shunt_route_canary_step_failed", "gauge", help, &|route| {
        route.canary.iter().map(|canary| (canary.version, None, canary.candidate.failed)).collect()
    });
    let help = "Messages that a shadow decided about";
    family("shunt_route_shadow_compared_total", "counter", help, &|route| {
        route.shadow.iter().map(|shadow| (shadow.version, None, shadow.compared)).collect()
    });
    let help = "Messages that a shadow would send elsewhere";
    family("shunt_route_shadow_different_total", "counter", help, &|route| {
        route.shadow.iter().map(|shadow| (shadow.version, None, shadow.different)).collect()
    });
    let help = "Failures of a shadow, by cause; no publisher saw them";
    family("shunt_route_shadow_failures_total", "counter", help, &|route| {
        let shadows = route.shadow.iter();
        let samples = shadows.flat_map(|shadow| {
            shadow.failures.iter().map(|(cause, n)| (shadow.version, Some(*cause), *n))
        });
        samples.collect()
    });
}

/// Versions, causes where there are several values of one, and values.
type Sample = Vec<(u32, Option<&'static str>, u64)>;

/// Prometheus text under way. Writing to a string can't fail.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if i == 0 { '{' } else { ',' });
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.sample("x", &[("a", "q\"\\\n"), ("b", "é")], 1);
        page.sample("y", &[], 0.5);
        assert_eq!(page.0, "x{a=\"q\\\"\\\\\\n\",b=\"é\"} 1\ny 0.5\n");
    }
}
