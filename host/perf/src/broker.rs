//! The broker under load, as a process of this machine.

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
    /// The process that `--broker-pid` names, or the one that listens on the port if the broker is
    /// on this machine; `None` where its costs can't be known.
    pub(crate) fn find(uri: &AmqpUri, pid: Option<u32>) -> anyhow::Result<Option<Self>> {
        if let Some(pid) = pid {
            let last = Mutex::new(process::usage(&pid.to_string())?);
            return Ok(Some(Self { pid, last }));
        }
        if !is_local(uri) {
            return Ok(None);
        }
        let process = process::listening_on(uri.port).and_then(|pid| {
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

fn is_local(uri: &AmqpUri) -> bool {
    let address = uri.host.parse::<std::net::IpAddr>();
    uri.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
