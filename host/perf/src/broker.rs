//! The broker under load, as a process of this machine.

use std::net::ToSocketAddrs as _;

use parking_lot::Mutex;

use crate::process::{self, Usage};
use crate::uri::AmqpUri;

/// The process whose costs are reported.
#[derive(Debug)]
pub(crate) struct BrokerProcess {
    pub(crate) pid: u32,
    /// What was seen last: a process that has died can't be asked any more.
    last: Mutex<Usage>,
}

impl BrokerProcess {
    /// The process that `--broker-pid` names, or the one that listens on the broker's address if
    /// that is this machine; `None` where its costs can't be known.
    pub(crate) fn find(uri: &AmqpUri, pid: Option<u32>) -> anyhow::Result<Option<Self>> {
        if let Some(pid) = pid {
            let last = Mutex::new(process::usage(&pid.to_string())?);
            return Ok(Some(Self { pid, last }));
        }
        // In the order in which a connection tries them.
        let mut addresses = (uri.host.as_str(), uri.port).to_socket_addrs().into_iter().flatten();
        let process = addresses.find_map(|address| {
            let pid = address.ip().is_loopback().then(|| process::listening_on(address))??;
            let last = Mutex::new(process::usage(&pid.to_string()).ok()?);
            Some(Self { pid, last })
        });
        Ok(process)
    }

    /// What it has used by now.
    pub(crate) fn usage(&self) -> Usage {
        let mut last = self.last.lock();
        if let Ok(usage) = process::usage(&self.pid.to_string()) {
            *last = usage;
        }
        *last
    }
}
