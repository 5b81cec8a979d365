//! Replacing the metadata log by a snapshot of what it says, while the node runs.

use std::io;
use std::sync::Arc;

use shunt_broker::Broker;

use super::{Contents, LoggedAccess, MetadataLog, record};

/// Where all that the log says can be seen at one moment.
pub(crate) struct Compaction {
    pub(crate) log: Arc<MetadataLog>,
    pub(crate) access: Arc<LoggedAccess>,
    pub(crate) broker: Arc<Broker>,
}

impl Compaction {
    /// Takes a snapshot if the log has grown so long that it saves more than it costs. Holds up
    /// declarations for as long as it takes to list what is declared; publishers never.
    pub(crate) fn run_if_due(&self) {
        if !self.log.log.snapshot_due() {
            return;
        }
        // Whoever changes something logs it under one of these locks, and takes no second one.
        let _access_stands = self.access.order.lock();
        let routes = self.log.routes.lock();
        self.broker.snapshot(|commands| {
            let (access, routes) = (self.access.access.snapshot(), routes.clone());
            let contents = Contents { access, routes, commands };
            self.log.log.snapshot(|| write(contents).map_err(io::Error::other));
        });
    }
}

/// The bytes of a snapshot that says the same as `contents`.
pub(super) fn write(contents: Contents) -> anyhow::Result<Vec<u8>> {
    record::write_snapshot(contents.records())
}
