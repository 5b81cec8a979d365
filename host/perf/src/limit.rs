//! The machine's ceiling: the same frames from the same publishers to the same consumers, with
//! nothing between them but a relay that moves bytes. With `-f persistent` it writes them to a
//! file first, and syncs that before it confirms.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Context as _;
use shunt_amqp_codec::method::BasicAck;
use shunt_amqp_codec::put_method;

use crate::clock::thread_cpu_ns;
use crate::connection::Connection;
use crate::consumer::Consumer;
use crate::flow::Flow;
use crate::load;
use crate::publisher::Publisher;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::socket::pair;
use crate::topology::{CHANNEL, Topology};

/// Bytes that the relay reads at once.
const READ_MAX: usize = 256 << 10;

/// Runs the scenario through a relay; the report says what the relay cost.
pub(crate) fn limit(scenario: &Scenario, flow: &Flow) -> anyhow::Result<Report> {
    scenario.check()?;
    anyhow::ensure!(
        scenario.producers == scenario.consumers && scenario.producers > 0,
        "a relay has one consumer for each publisher"
    );
    anyhow::ensure!(scenario.copies() == 1, "a relay copies nothing");
    anyhow::ensure!(!scenario.mandatory(), "a relay returns nothing");
    let topology = Topology::plan(scenario)?;
    let cpu_ns = AtomicU64::new(0);
    let mut report = thread::scope(|scope| -> anyhow::Result<Report> {
        let mut publishers = Vec::new();
        let mut consumers = Vec::new();
        for index in 0..scenario.producers {
            let (near, from) = pair().context("opening a port")?;
            let (to, far) = pair().context("opening a port")?;
            let publisher = Publisher::on(Connection::bare(near)?, scenario, &topology, index)?;
            let file = scenario.persistent().then(tempfile::tempfile).transpose()?;
            let message_length = publisher.message_length();
            let relay =
                Relay { from, to, file, confirm: scenario.confirm.is_some(), message_length };
            let cpu_ns = &cpu_ns;
            scope.spawn(move || {
                // A socket that closes is how a relay ends.
                let _ = relay.run();
                cpu_ns.fetch_add(thread_cpu_ns(), Ordering::Relaxed);
            });
            publishers.push(publisher);
            consumers.push(Consumer::on(Connection::bare(far)?, scenario, false)?);
        }
        Ok(load::drive(scenario, publishers, consumers, None, flow))
    })?;
    let relay_us = cpu_ns.into_inner() as f64 / 1e3 / report.counts.received.max(1) as f64;
    report.relay_us = Some(relay_us);
    Ok(report)
}

/// Moves bytes from a publisher to a consumer.
struct Relay {
    from: TcpStream,
    to: TcpStream,
    /// Where persistent messages go first.
    file: Option<File>,
    confirm: bool,
    message_length: usize,
}

impl Relay {
    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_MAX];
        let (mut octets, mut confirmed) = (0, 0);
        loop {
            let length = match self.from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Some(file) = &mut self.file {
                file.write_all(&buffer[..length])?;
                file.sync_data()?;
            }
            self.to.write_all(&buffer[..length])?;
            octets += length as u64;
            let complete = octets / self.message_length as u64;
            if self.confirm && complete > confirmed {
                let mut ack = Vec::new();
                put_method(&mut ack, CHANNEL, BasicAck { delivery_tag: complete, multiple: true });
                self.from.write_all(&ack)?;
                confirmed = complete;
            }
        }
    }
}
