//! The node as a whole, and its metrics.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn the_overview_adds_up() {
    let server = Server::start().await;
    let guest = server.guest();
    for queue in ["a", "b", "c"] {
        guest.queue(queue).await;
        guest.publish(queue, "x").await;
    }
    guest.get("/v1/vhosts/%2F/queues/a/messages?ack=manual").await.ok(200);
    let overview = guest.get("/api/overview").await.ok(200);
    assert_eq!(overview["product_name"], "Shunt");
    assert_eq!(overview["product_version"], "0.0.1");
    assert_eq!(overview["node"], "shunt@test");
    let totals = json!({"messages": 3, "messages_ready": 2, "messages_unacknowledged": 1});
    assert_eq!(overview["queue_totals"], totals);
    assert_eq!(overview["object_totals"]["queues"], 3);
    assert_eq!(overview["object_totals"]["exchanges"], 8);
    assert_eq!(overview["message_stats"]["publish"], 3);
    assert_eq!(overview["listeners"][0]["port"], server.address.port());
    let types = overview["exchange_types"].as_array().unwrap();
    assert!(types.iter().any(|kind| kind["name"] == "x-consistent-hash"));
}

#[tokio::test]
async fn who_asks_is_told_who_it_is() {
    let server = Server::start().await;
    let whoami = server.guest().get("/api/whoami").await.ok(200);
    assert_eq!((&whoami["name"], &whoami["tags"]), (&json!("guest"), &json!(["administrator"])));
}

#[tokio::test]
async fn the_node_is_shown_to_those_who_monitor() {
    let server = Server::start().await;
    let mon = server.user("mon", "mon");
    let nodes = mon.get("/api/nodes").await.ok(200);
    assert_eq!((&nodes[0]["name"], &nodes[0]["running"]), (&json!("shunt@test"), &json!(true)));
    mon.get("/api/nodes/shunt@test").await.ok(200);
    mon.get("/api/nodes/other").await.refused(404);
    server.user("ann", "ann").get("/api/nodes").await.refused(401);
}

#[tokio::test]
async fn metrics_have_rabbitmqs_names() {
    let server = Server::start().await;
    let guest = server.guest();
    guest.queue("a").await;
    guest.publish("a", "x").await;
    guest.put("/api/routes/%2F/r", "module").await.ok(201);
    let answer = guest.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4");
    for line in [
        "rabbitmq_identity_info{rabbitmq_node=\"shunt@test\",rabbitmq_cluster=\"shunt@test\",\
         rabbitmq_cluster_permanent_id=\"shunt@test\",rabbitmq_endpoint=\"default\"} 1",
        "rabbitmq_queues 1",
        "rabbitmq_queue_messages_ready 1",
        "rabbitmq_queue_messages_unacked 0",
        "rabbitmq_connections 0",
        "rabbitmq_global_messages_received_total 1",
        "rabbitmq_global_messages_confirmed_total 1",
        "rabbitmq_global_messages_routed_total 1",
        "shunt_route_calls_total{vhost=\"/\",route=\"r\",version=\"1\"} 3",
        "shunt_route_cache_lookups_total{vhost=\"/\",route=\"r\",version=\"1\",result=\"hit\"} 2",
        "shunt_route_failures_total{vhost=\"/\",route=\"r\",version=\"1\",cause=\"trap\"} 1",
        "shunt_route_cpu_seconds_total{vhost=\"/\",route=\"r\",version=\"1\"} 2",
    ] {
        assert!(answer.body.lines().any(|found| found == line), "{line}\n{}", answer.body);
    }
    // A family is announced once, before its samples.
    let mut names: Vec<_> =
        answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
