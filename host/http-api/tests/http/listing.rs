//! Pages, names, orders and columns of lists.

use serde_json::{Value as Json, json};

use crate::harness::Server;

fn names(items: &Json) -> Vec<&str> {
    items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_paged() {
    let server = Server::start().await;
    let guest = server.guest();
    for name in ["a1", "a2", "A3", "b1", "b2"] {
        guest.queue(name).await;
    }
    let page = guest.get("/api/queues/%2F?page=2&page_size=2&columns=name").await.ok(200);
    let expected = json!({
        "total_count": 5, "filtered_count": 5, "item_count": 2, "page": 2, "page_size": 2,
        "page_count": 3, "items": [{"name": "a2"}, {"name": "b1"}],
    });
    assert_eq!(page, expected);
    let page = guest.get("/api/queues?page=1&name=a").await.ok(200);
    assert_eq!(names(&page["items"]), ["A3", "a1", "a2"]);
    let counts = (&page["total_count"], &page["filtered_count"], &page["page_size"]);
    assert_eq!(counts, (&json!(5), &json!(3), &json!(100)));
    let page = guest.get("/api/queues?page=1&name=%5E.1%24&use_regex=true").await.ok(200);
    assert_eq!(names(&page["items"]), ["a1", "b1"]);
    // The page behind a full last one is empty, one further is an error (RabbitMQ).
    let page = guest.get("/api/queues?page=2&page_size=5").await.ok(200);
    assert_eq!(page["items"], json!([]));
    let far = guest.get("/api/queues?page=3&page_size=5").await;
    assert_eq!(far.json()["error"], "page_out_of_range");
    for wrong in ["page=0", "page=1&page_size=501", "page=1&page_size=0", "page=x"] {
        guest.get(&format!("/api/queues?{wrong}")).await.refused(400);
    }
    let wrong = guest.get("/api/queues?page=1&name=(&use_regex=true").await.refused(400);
    assert!(wrong.starts_with("name='(' is no regular expression"), "{wrong}");
}

#[tokio::test]
async fn a_list_is_sorted_and_has_the_columns_asked_for() {
    let server = Server::start().await;
    let guest = server.guest();
    for (name, messages) in [("a", 1), ("b", 3), ("c", 2)] {
        guest.queue(name).await;
        for _ in 0..messages {
            guest.publish(name, "x").await;
        }
    }
    let sorted = |query: &'static str| {
        let guest = guest.clone();
        async move {
            let list = guest.get(&format!("/api/queues/%2F?{query}")).await.ok(200);
            names(&list).into_iter().map(str::to_owned).collect::<Vec<_>>()
        }
    };
    assert_eq!(sorted("sort=message_stats.publish").await, ["a", "c", "b"]);
    assert_eq!(sorted("sort=messages&sort_reverse=true").await, ["b", "c", "a"]);
    assert_eq!(sorted("sort_reverse=true").await, ["c", "b", "a"]);
    let list = guest.get("/api/queues?columns=name,message_stats.publish&name=a").await.ok(200);
    assert_eq!(list, json!([{"name": "a", "message_stats": {"publish": 1}}]));
    // All lists have it.
    let list = guest.get("/api/exchanges/%2F?page=1&page_size=1&columns=name").await.ok(200);
    assert_eq!(list["items"], json!([{"name": ""}]));
    let list = guest.get("/api/exchanges?name=topic&columns=name").await.ok(200);
    assert_eq!(list, json!([{"name": "amq.topic"}]));
    let list = guest.get("/api/vhosts?columns=name").await.ok(200);
    assert_eq!(list, json!([{"name": "/"}]));
    let list = guest.get("/api/users?page=1&name=GUE&columns=name").await.ok(200);
    assert_eq!(list["items"], json!([{"name": "guest"}]));
    for bindings in ["/api/bindings", "/api/bindings/%2F"] {
        let list = guest.get(&format!("{bindings}?page=1&columns=destination")).await.ok(200);
        assert_eq!(list["items"][0], json!({"destination": "a"}));
    }
}
