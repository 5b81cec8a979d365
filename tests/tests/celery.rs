//! Celery, as it is: a worker with its default queues, results, delays and retries.

use shunt_tests::{Node, clients};

#[test]
fn a_celery_worker_does_its_tasks() {
    let node = Node::start().unwrap();
    let arguments = serde_json::json!({ "broker": node.amqp_url() });
    let Some(seen) = clients::celery("celery_app.py", &arguments).unwrap() else { return };
    assert_eq!(
        seen,
        serde_json::json!({
            "added": 5,
            "group": (0..20).map(|n| n * 2).collect::<Vec<_>>(),
            "after a countdown": 7,
            "retried": 3,
            "failed": "ValueError",
            "urgent": "first",
            "queues": ["celery", "urgent"],
            "revoked": true,
        })
    );
    // What a worker leaves behind is durable: its queues and exchanges.
    let queue = node.http().get("/api/queues/%2F/celery").unwrap().json();
    assert_eq!((&queue["durable"], &queue["messages"]), (&true.into(), &0.into()), "{queue}");
}
