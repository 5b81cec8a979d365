//! From the protocol header to `connection.open-ok` (RabbitMQ, `rabbit_reader`).

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use hashbrown::HashMap;
use shunt_amqp_codec::method::{
    ConnectionOpen, ConnectionOpenOk, ConnectionStart, ConnectionStartOk, ConnectionTune,
    ConnectionTuneOk,
};
use shunt_amqp_codec::{Frame, FrameKind, Method, Output, ProtocolHeader};
use shunt_auth::{AuthError, User};
use shunt_broker::{ConnectionInfo, Shard};
use shunt_types::limits::FRAME_MAX_MIN;
use shunt_types::{
    AmqpError, FieldTable, MethodId, Reader, ReplyCode, TableRef, Value, ValueRef, VhostName,
};

use super::input::Input;
use super::permissions::Permissions;
use super::{Connection, Stop};
use crate::admission::{ConnectionLimits, bound};
use crate::events;
use crate::shard_thread::ShardContext;
use crate::shared::Shared;

/// How long a client waits for the end of the socket after an error before it has logged in,
/// which slows down who guesses.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Capabilities of the server (RabbitMQ's list).
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// The version of RabbitMQ whose answers clients get. Some switch features on by it.
const COMPATIBLE_VERSION: &str = "4.3.0";

/// Both ends of a socket.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

/// Who logged in, and what the client said about itself.
struct Login {
    user: Arc<User>,
    mechanism: String,
    client_properties: FieldTable,
}

/// Opens a connection, within the time that the handshake may take.
pub(super) async fn open(
    context: &Arc<ShardContext>,
    shared: &Rc<Shared>,
    shard: &Rc<RefCell<Shard>>,
    input: &mut Input,
    addresses: Addresses,
) -> Result<Connection, Stop> {
    let timeout = Duration::from_millis(context.settings.handshake_timeout_ms);
    let handshake = Handshake { context, shared, shard, addresses };
    let mut shutdown = context.shutdown.clone();
    tokio::select! {
        opened = tokio::time::timeout(timeout, handshake.run(input)) => {
            opened.unwrap_or_else(|_| Err(Stop::Drop("the handshake took too long".into())))
        }
        _ = shutdown.wait_for(|&stop| stop) => Err(Stop::Drop("the node is stopping".into())),
    }
}

struct Handshake<'a> {
    context: &'a Arc<ShardContext>,
    shared: &'a Rc<Shared>,
    shard: &'a Rc<RefCell<Shard>>,
    addresses: Addresses,
}

impl Handshake<'_> {
    async fn run(&self, input: &mut Input) -> Result<Connection, Stop> {
        self.protocol_header(input).await?;
        self.send_start();
        let login = self.login(input).await?;
        let settings = &self.context.settings;
        self.shared.send(
            0,
            ConnectionTune {
                channel_max: settings.channel_max,
                frame_max: settings.frame_max,
                heartbeat: settings.heartbeat_s,
            },
        );
        self.shared.flush();
        let channel_max = self.tune(input).await?;
        self.open(input, login, channel_max).await
    }

    async fn protocol_header(&self, input: &mut Input) -> Result<(), Stop> {
        loop {
            read(input).await?;
            let bytes = input.take();
            match ProtocolHeader::parse(&bytes) {
                ProtocolHeader::Incomplete => input.give_back(bytes, 0),
                ProtocolHeader::Amqp091 => {
                    input.give_back(bytes, 8);
                    return Ok(());
                }
                ProtocolHeader::Other { answer } => {
                    self.shared.out.borrow_mut().bytes().extend_from_slice(&answer);
                    return Err(Stop::Drop("the client speaks another protocol".into()));
                }
            }
        }
    }

    fn send_start(&self) {
        let properties = server_properties(self.context);
        let mechanisms = self.context.access.mechanisms().join(" ");
        let mut encoded = Vec::new();
        properties.encode(&mut encoded);
        let server_properties =
            TableRef::decode(&mut Reader::new(&encoded)).unwrap_or(TableRef::EMPTY);
        self.shared.send(
            0,
            ConnectionStart {
                version_major: 0,
                version_minor: 9,
                server_properties,
                mechanisms: mechanisms.as_bytes(),
                locales: b"en_US",
            },
        );
        self.shared.flush();
    }

    async fn login(&self, input: &mut Input) -> Result<Login, Stop> {
        let outcome = method(input, self.shared, |method| {
            let Method::ConnectionStartOk(start) = method else {
                return Err(Stop::Drop(format!("'{}' before login", method.name())));
            };
            Ok(self.authenticate(&start))
        })
        .await;
        match outcome {
            Ok(Ok(login)) => Ok(login),
            Ok(Err((told, error))) if told => Err(Stop::Refuse(error, ConnectionStartOk::ID)),
            Ok(Err((_, error))) => {
                tokio::time::sleep(REFUSAL_PAUSE).await;
                Err(Stop::Drop(error.to_string()))
            }
            Err(stop) => {
                tokio::time::sleep(REFUSAL_PAUSE).await;
                Err(match stop {
                    // Nothing is explained before the login.
                    Stop::Refuse(error, _) => Stop::Drop(error.to_string()),
                    stop => stop,
                })
            }
        }
    }

    /// The user, or why not and whether the client wants to hear it.
    fn authenticate(&self, start: &ConnectionStartOk<'_>) -> Result<Login, (bool, AmqpError)> {
        let capability = |name: &str| match start.client_properties.get("capabilities") {
            Some(ValueRef::Table(table)) => table.get(name) == Some(ValueRef::Boolean(true)),
            _ => false,
        };
        self.shared.cancel_notify.set(capability("consumer_cancel_notify"));
        self.shared.blocked_notify.set(capability("connection.blocked"));
        let loopback = self.addresses.peer.ip().to_canonical().is_loopback();
        let access = &self.context.access;
        let user = access.authenticate(start.mechanism, start.response, loopback);
        let (name, refused) = match &user {
            Ok(user) => (user.name(), None),
            Err(error) => (error.user(), Some(error)),
        };
        let ends = (self.addresses.peer, self.addresses.local);
        events::tell_login(&self.context.broker, ends, start.mechanism, name, refused);
        let user = user.map_err(|error| {
            tracing::warn!(peer = %self.addresses.peer, %error, "login refused");
            let told = capability("authentication_failure_close")
                && matches!(error, AuthError::Refused { .. });
            (told, AmqpError::access_refused(error.client_text()))
        })?;
        Ok(Login {
            user,
            mechanism: start.mechanism.to_owned(),
            client_properties: start.client_properties.to_owned(),
        })
    }

    /// Settles frame size, channels and heartbeat; answers the number of channels.
    async fn tune(&self, input: &mut Input) -> Result<u16, Stop> {
        let settings = &self.context.settings;
        method(input, self.shared, |method| {
            let Method::ConnectionTuneOk(tune) = method else {
                return Err(unexpected(&method));
            };
            let ConnectionTuneOk { channel_max, frame_max, heartbeat } = tune;
            let refuse = |text: String| {
                let error = AmqpError::new(ReplyCode::NotAllowed, text);
                Err(Stop::Refuse(error, ConnectionTuneOk::ID))
            };
            if frame_max != 0 && frame_max < FRAME_MAX_MIN {
                return refuse(format!(
                    "negotiated frame_max = {frame_max} is lower than the minimum allowed value \
                     ({FRAME_MAX_MIN})"
                ));
            }
            if frame_max == 0 || frame_max > settings.frame_max {
                return refuse(format!(
                    "negotiated frame_max = {frame_max} is higher than the maximum allowed value \
                     ({})",
                    settings.frame_max
                ));
            }
            if channel_max == 0 || channel_max > settings.channel_max {
                return refuse(format!(
                    "negotiated channel_max = {channel_max} is higher than the maximum allowed \
                     value ({})",
                    settings.channel_max
                ));
            }
            self.shared.frame_max.set(frame_max);
            self.shared.heartbeat_s.set(heartbeat);
            self.shared.wake_writer.notify_one();
            Ok(channel_max)
        })
        .await
    }

    async fn open(
        &self,
        input: &mut Input,
        login: Login,
        channel_max: u16,
    ) -> Result<Connection, Stop> {
        let user = login.user.clone();
        let context = self.context;
        let name = method(input, self.shared, |method| match method {
            Method::ConnectionOpen(open) => Ok(open.virtual_host.to_owned()),
            other => Err(unexpected(&other)),
        })
        .await?;
        let refuse = |text: String| {
            let error = AmqpError::new(ReplyCode::NotAllowed, text);
            Stop::Refuse(error, ConnectionOpen::ID)
        };
        let found = context.broker.vhost(&name);
        let node = Some(context.settings.connection_max).filter(|max| *max > 0);
        let of_vhost = found.as_ref().map(|vhost| vhost.metadata().limits.max_connections);
        let limits = ConnectionLimits {
            node,
            vhost: bound(of_vhost.flatten()),
            user: bound(context.access.user_limits(user.name()).max_connections),
        };
        let admitted = context.admission.admit(user.name(), &name, limits);
        let admitted = admitted.map_err(|error| Stop::Refuse(error, ConnectionOpen::ID))?;
        let vhost = found.ok_or_else(|| refuse(format!("vhost {name} not found")))?;
        if context.access.permissions(user.name(), &name).is_none() {
            return Err(refuse(format!(
                "access to vhost '{name}' refused for user '{}'",
                user.name()
            )));
        }
        let info = self.info(login, vhost.name().clone(), channel_max);
        context.broker.connections().opened(info.clone());
        self.shared.info.get_or_init(|| info.clone());
        events::tell_opened(&context.broker, &info);
        self.shared.send(0, ConnectionOpenOk {});
        self.shared.flush();
        Ok(Connection {
            id: info.id,
            info,
            topology: vhost.topology(),
            vhost,
            admitted,
            permissions: Permissions::new(context.access.clone()),
            user,
            channels: HashMap::new(),
            channel_max,
            incarnation: 0,
            next_serial: 0,
            exclusive_queues: Vec::new(),
            consumed_from: 0,
            target: None,
            confirm_sink: self.shared.mailbox.clone(),
            counts: Default::default(),
            timeout_shortest_ms: match context.settings.consumer_timeout_ms {
                0 => u64::MAX,
                timeout_ms => timeout_ms,
            },
            taken: Vec::new(),
            is_closing: false,
            behind: None,
            close_deadline: tokio::time::Instant::now(),
            context: context.clone(),
            shared: self.shared.clone(),
            shard: self.shard.clone(),
        })
    }

    fn info(&self, login: Login, vhost: VhostName, channel_max: u16) -> Arc<ConnectionInfo> {
        let broker = &self.context.broker;
        let closing_order = self.shared.closing_order.clone();
        Arc::new(ConnectionInfo {
            id: broker.next_connection_id(),
            peer: self.addresses.peer,
            local: self.addresses.local,
            user: login.user.name().to_owned(),
            mechanism: login.mechanism,
            vhost,
            connected_at_ms: broker.now_ms(),
            frame_max: self.shared.frame_max.get(),
            channel_max,
            heartbeat_s: self.shared.heartbeat_s.get(),
            client_properties: login.client_properties,
            channels: AtomicU32::new(0),
            close: Box::new(move |reason| closing_order.give(reason)),
        })
    }
}

async fn read(input: &mut Input) -> Result<(), Stop> {
    match input.read().await {
        Ok(0) => Err(Stop::Drop("client closed the connection in the handshake".into())),
        Ok(_) => Ok(()),
        Err(error) => Err(Stop::Drop(error.to_string())),
    }
}

/// Waits for the next method on channel 0 and looks at it.
async fn method<R>(
    input: &mut Input,
    shared: &Shared,
    look: impl FnOnce(Method<'_>) -> Result<R, Stop>,
) -> Result<R, Stop> {
    loop {
        let bytes = input.take();
        let size = match Frame::parse(&bytes, shared.frame_max.get()) {
            Ok(Some((frame, size))) if frame.kind == FrameKind::Heartbeat => size,
            Ok(Some((frame, size))) => {
                let looked = look_at(frame, look);
                input.give_back(bytes, size);
                return looked;
            }
            Ok(None) => {
                input.give_back(bytes, 0);
                read(input).await?;
                continue;
            }
            Err(error) => return Err(Stop::Drop(error.to_string())),
        };
        input.give_back(bytes, size);
    }
}

fn look_at<R>(
    frame: Frame<'_>,
    look: impl FnOnce(Method<'_>) -> Result<R, Stop>,
) -> Result<R, Stop> {
    if frame.kind != FrameKind::Method || frame.channel != 0 {
        let text = format!("a frame on channel {} in the handshake", frame.channel);
        let error = AmqpError::new(ReplyCode::UnexpectedFrame, text);
        return Err(Stop::Refuse(error, MethodId::default()));
    }
    match Method::decode(frame.payload) {
        Ok(Method::ConnectionClose(_)) => Err(Stop::Closed),
        Ok(method) => look(method),
        Err(error) => Err(Stop::Drop(error.to_string())),
    }
}

/// A method that is known, and wrong at this point.
fn unexpected(method: &Method<'_>) -> Stop {
    let text = format!("unexpected method '{}' in the handshake", method.name());
    Stop::Refuse(AmqpError::new(ReplyCode::ChannelError, text), method.id())
}

/// What clients learn about the server. `product` and `version` are RabbitMQ's, since clients
/// switch features on by them; `platform` says what it really is.
fn server_properties(context: &ShardContext) -> FieldTable {
    let capabilities = CAPABILITIES.iter().map(|name| ((*name).to_owned(), Value::Boolean(true)));
    let version = context.settings.version;
    let texts = [
        ("cluster_name", context.node_name.clone()),
        ("copyright", "Copyright (c) the Shunt contributors".to_owned()),
        ("information", "Licensed under the Apache License 2.0".to_owned()),
        ("platform", format!("Shunt {version}")),
        ("product", "RabbitMQ".to_owned()),
        ("version", COMPATIBLE_VERSION.to_owned()),
    ];
    let capabilities = ("capabilities".to_owned(), Value::Table(capabilities.collect()));
    let texts = texts.map(|(name, text)| (name.to_owned(), Value::from(text)));
    std::iter::once(capabilities).chain(texts).collect()
}
