//! The clients' connections that are open, for listings, and for who wants one closed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use shunt_types::{FieldTable, VhostName};

use crate::metadata::ConnectionId;

/// What there is to know of an open connection.
pub struct ConnectionInfo {
    /// Which connection it is.
    pub id: ConnectionId,
    /// The client's address.
    pub peer: SocketAddr,
    /// The address that it connected to.
    pub local: SocketAddr,
    /// The user who logged in.
    pub user: String,
    /// The mechanism of the login, such as `PLAIN`.
    pub mechanism: String,
    /// The virtual host.
    pub vhost: VhostName,
    /// Unix milliseconds.
    pub connected_at_ms: u64,
    /// Largest frame, in bytes.
    pub frame_max: u32,
    /// Most channels.
    pub channel_max: u16,
    /// Heartbeat in seconds; 0 for none.
    pub heartbeat_s: u16,
    /// What the client said about itself.
    pub client_properties: FieldTable,
    /// Channels that are open.
    pub channels: AtomicU32,
    /// Closes the connection, with the reason that its client is told.
    pub close: Box<dyn Fn(&str) + Send + Sync>,
}

impl ConnectionInfo {
    /// The connection's name: both addresses, as RabbitMQ writes them.
    pub fn name(&self) -> String {
        format!("{} -> {}", self.peer, self.local)
    }

    /// Counts channels that were opened, or closed.
    pub fn count_channels(&self, change: i32) {
        self.channels.fetch_add(change.cast_unsigned(), Ordering::Relaxed);
    }
}

/// The open connections of the node.
#[derive(Default)]
pub struct Connections(Mutex<BTreeMap<ConnectionId, Arc<ConnectionInfo>>>);

impl Connections {
    /// Notes that a connection is open.
    pub fn opened(&self, info: Arc<ConnectionInfo>) {
        self.0.lock().insert(info.id, info);
    }

    /// Notes that a connection is closed.
    pub fn closed(&self, id: ConnectionId) {
        self.0.lock().remove(&id);
    }

    /// The open connection of that id.
    pub fn find(&self, id: ConnectionId) -> Option<Arc<ConnectionInfo>> {
        self.0.lock().get(&id).cloned()
    }

    /// All that are open, the oldest first.
    pub fn all(&self) -> Vec<Arc<ConnectionInfo>> {
        self.0.lock().values().cloned().collect()
    }
}
