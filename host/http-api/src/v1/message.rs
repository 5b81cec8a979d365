//! A message as this API shows it.

use serde::{Deserialize, Serialize};
use shunt_broker::ports::Delivery;
use utoipa::ToSchema;

use crate::json::{self, JsonMap, PayloadEncoding};

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageView {
    /// The body.
    payload: String,
    /// How the body is written: `string` or `base64`.
    payload_encoding: &'static str,
    /// The basic properties that are present.
    #[schema(value_type = Object)]
    properties: JsonMap,
    /// The application headers.
    #[schema(value_type = Object)]
    headers: JsonMap,
    /// The exchange that it was published to.
    exchange: String,
    /// Its routing key.
    routing_key: String,
    /// Whether it was handed out before.
    redelivered: bool,
    /// What it is settled by, with `ack=manual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
}

/// Who settles what is consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AckMode {
    /// The broker, when the message goes out. As with AMQP's automatic acknowledgement, one that
    /// is on its way to a client that goes away is gone.
    #[default]
    Auto,
    /// The client, by the message's lease.
    Manual,
}

impl MessageView {
    pub(crate) fn new(
        delivery: &Delivery,
        encoding: PayloadEncoding,
        lease: Option<String>,
    ) -> Self {
        let message = &delivery.message;
        let (payload, payload_encoding) = json::encode_payload(message.body(), encoding);
        let properties = message.properties();
        Self {
            payload,
            payload_encoding,
            properties: json::properties_to_json(properties),
            headers: json::headers_to_json(properties).unwrap_or_default(),
            exchange: message.exchange().to_owned(),
            routing_key: message.routing_key().to_owned(),
            redelivered: delivery.redelivered,
            lease,
        }
    }
}
