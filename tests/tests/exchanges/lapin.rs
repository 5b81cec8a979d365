//! Plays a scenario with lapin; see `clients/scenario.py`, which does the same with pika.

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind,
    ExchangeKind,
};
use serde_json::{Map, Value as Json, json};
use shunt_tests::Node;

pub(super) fn play(node: &Node, scenario: &Json) -> Json {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&node.amqp_url(), scenario)).unwrap()
}

async fn run(url: &str, scenario: &Json) -> lapin::Result<Json> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    declare(&channel, scenario).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let returned = publish(&channel, &scenario["messages"]).await?;
    let mut queues = Map::new();
    for queue in list(&scenario["queues"]) {
        queues.insert(text(queue).into(), consume(&channel, text(queue)).await?);
    }
    let mut codes = Vec::new();
    for step in list(&scenario["refused"]) {
        codes.push(refused(&connection, text(step)).await?);
    }
    connection.close(200, "goodbye".into()).await?;
    Ok(json!({"queues": queues, "returned": returned, "refused": codes}))
}

async fn declare(channel: &Channel, scenario: &Json) -> lapin::Result<()> {
    for exchange in list(&scenario["exchanges"]) {
        let kind = ExchangeKind::Custom(text(&exchange[1]).into());
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let arguments = table(&exchange[2]);
        channel.exchange_declare(text(&exchange[0]).into(), kind, options, arguments).await?;
    }
    for queue in list(&scenario["queues"]) {
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(text(queue).into(), options, FieldTable::default()).await?;
    }
    for binding in list(&scenario["bindings"]) {
        let [destination, source, key] = [1, 2, 3].map(|place| text(&binding[place]));
        let (destination, source) = (destination.into(), source.into());
        let (key, arguments) = (key.into(), table(&binding[4]));
        if binding[0] == "queue" {
            let options = QueueBindOptions::default();
            channel.queue_bind(destination, source, key, options, arguments).await?;
        } else {
            let options = ExchangeBindOptions::default();
            channel.exchange_bind(destination, source, key, options, arguments).await?;
        }
    }
    Ok(())
}

async fn publish(channel: &Channel, messages: &Json) -> lapin::Result<Vec<String>> {
    let mut confirms = Vec::new();
    for message in list(messages) {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties =
            BasicProperties::default().with_headers(table(&message[2])).with_delivery_mode(2);
        let (exchange, key) = (text(&message[0]).into(), text(&message[1]).into());
        let body = text(&message[3]).as_bytes();
        let confirm = channel.basic_publish(exchange, key, options, body, properties).await?;
        confirms.push(confirm);
    }
    let mut returned = Vec::new();
    for confirm in confirms {
        match confirm.await? {
            Confirmation::Ack(None) => {}
            Confirmation::Ack(Some(message)) => {
                returned.push(String::from_utf8_lossy(&message.delivery.data).into_owned());
            }
            other => panic!("not confirmed: {other:?}"),
        }
    }
    Ok(returned)
}

async fn consume(channel: &Channel, queue: &str) -> lapin::Result<Json> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
    let count = declared.message_count() as usize;
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume(queue.into(), queue.into(), options, FieldTable::default()).await?;
    let mut deliveries = consumer.take(count);
    let mut bodies = Vec::new();
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        delivery.ack(BasicAckOptions::default()).await?;
        bodies.push(String::from_utf8_lossy(&delivery.data).into_owned());
    }
    channel.basic_cancel(queue.into(), Default::default()).await?;
    Ok(bodies.into())
}

async fn refused(connection: &Connection, step: &str) -> lapin::Result<u16> {
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let arguments = FieldTable::default();
    let exchange = |passive| ExchangeDeclareOptions { passive, ..Default::default() };
    let kind = ExchangeKind::Topic;
    let outcome = match step {
        "missing queue" => channel.queue_declare("none".into(), passive, arguments).await.map(drop),
        "missing exchange" => {
            channel.exchange_declare("none".into(), kind, exchange(true), arguments).await
        }
        "reserved name" => {
            let options = QueueDeclareOptions::default();
            channel.queue_declare("amq.mine".into(), options, arguments).await.map(drop)
        }
        "other durability" => {
            channel.exchange_declare("amq.topic".into(), kind, exchange(false), arguments).await
        }
        other => panic!("no step {other}"),
    };
    let Err(error) = outcome else { return Ok(0) };
    match error.kind() {
        ErrorKind::ProtocolError(error) => Ok(error.get_id()),
        _ => Err(error),
    }
}

fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

fn table(json: &Json) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in json.as_object().into_iter().flatten() {
        let value = match value {
            Json::Bool(value) => AMQPValue::Boolean(*value),
            Json::Number(number) => AMQPValue::LongInt(number.as_i64().unwrap() as i32),
            value => AMQPValue::LongString(text(value).into()),
        };
        table.insert(name.as_str().into(), value);
    }
    table
}
