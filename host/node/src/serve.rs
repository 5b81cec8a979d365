//! `shunt serve`: the node from start to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use parking_lot::Mutex;
use shunt_amqp_server::{Neighbours, ShardContext, ShardThread, ShardWake};
use shunt_auth::{AccessControl, AnonymousLogin};
use shunt_broker::durable::Recovery;
use shunt_broker::ports::{Clock, Wake};
use shunt_broker::{Actor, Broker, BrokerOptions};
use shunt_http_api::{AccessPort, HttpApi, HttpOptions, HttpSettings};
use shunt_routing::ExchangeTypes;
use shunt_storage::{
    DataFolder, LogWriter, RecordPosition, Recovered, SegmentLog, SegmentLogOptions, SegmentWriter,
    SyncOutcome,
};
use shunt_types::{ShardId, VhostName};
use shunt_wasm::{RouteLimits, Routes, RoutesConfig, XWasm};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::metadata::{self, Compaction, LoggedAccess, MetadataLog, StoredRoutes};
use crate::output;
use crate::recovery_report::RecoveryReport;
use crate::routes::{BrokerLoads, RegistryPort, RouteLogs, watch_canaries};
use crate::settings::{AuthSettings, Settings};
use crate::watch::{Watch, memory_budget};

/// The anonymous user that is none.
const NOBODY: &str = "none";

/// Runs the node until it is told to stop.
pub(crate) fn run(settings: Settings) -> anyhow::Result<()> {
    // A huge page stays as long as one byte of it is in use; what a message costs is the same
    // without them.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the node runs with transparent huge pages");
    }
    // This thread serves HTTP and accepts for the shards, which have runtimes of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    // Ports first: a node that can't listen must not touch its data.
    let (amqp, http) = runtime.block_on(async {
        let amqp = bind(settings.amqp.listen, "AMQP", "--amqp-listen").await?;
        let http = bind(settings.http.listen, "HTTP", "--http-listen").await?;
        anyhow::Ok((amqp, http))
    })?;
    let node = Node::open(&settings)?;
    let outcome = runtime.block_on(node.serve(&settings, amqp, http));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}

async fn bind(address: SocketAddr, what: &str, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("can't listen for {what} on {address}; choose another address with {flag}")
    })
}

/// Everything that a node is made of, before it listens.
struct Node {
    broker: Arc<Broker>,
    access: Arc<AccessControl>,
    access_port: Arc<LoggedAccess>,
    routes: Arc<RegistryPort>,
    compaction: Compaction,
    wakes: Vec<Arc<ShardWake>>,
    /// Held for as long as the node runs: it locks the folder.
    _folder: DataFolder,
}

impl Node {
    fn open(settings: &Settings) -> anyhow::Result<Self> {
        let folder = DataFolder::open(&settings.node.data_dir)?;
        let disk = Arc::new(folder.disk("metadata")?);
        let (writer, recovered) = LogWriter::open(disk)?;
        report(&recovered);
        let is_new = recovered.snapshot.is_none() && recovered.commands.is_empty();
        let contents = metadata::read(recovered.snapshot, recovered.commands)?;
        let log = MetadataLog::start(writer, contents.routes)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);

        let access = Arc::new(access_control(&settings.auth));
        contents.access.iter().for_each(|change| access.apply(change));
        let access_port = Arc::new(LoggedAccess {
            access: access.clone(),
            log: log.clone(),
            order: Mutex::new(()),
        });

        let logs = Arc::new(RouteLogs::new(clock.clone()));
        let routes = Routes::open(RoutesConfig {
            directory: folder.path().join("routes"),
            limits: limits(settings),
            store: Arc::new(StoredRoutes(log.clone())),
            log: logs.clone(),
        })
        .context("the routes can't be opened")?;

        let mut exchange_types = ExchangeTypes::native();
        exchange_types.register(Arc::new(XWasm::new(routes.clone())));
        let wakes: Vec<Arc<ShardWake>> = (0..shards(settings)).map(|_| Arc::default()).collect();
        let broker = Broker::new(BrokerOptions {
            shards: wakes.iter().map(|wake| wake.clone() as Arc<dyn Wake>).collect(),
            exchange_types,
            clock: clock.clone(),
            log: log.clone(),
        });
        routes.serve_loads(Arc::new(BrokerLoads(Arc::downgrade(&broker))));
        let (message_writer, recovery) = open_messages(&folder, settings, clock.clone(), &broker)?;
        broker.set_recovery(recovery);
        {
            let _recovery = routes.recovery();
            for command in contents.commands {
                if let Err(error) = broker.restore(command.clone()) {
                    tracing::warn!(%error, ?command, "a declaration can't be restored");
                }
            }
        }
        let (messages, dropped) = broker.finish_recovery();
        if messages + dropped > 0 {
            tracing::info!(messages, dropped, "messages are back");
        }
        broker.set_memory_budget(memory_budget(settings));
        broker.set_message_log(start_messages(message_writer, &broker)?);
        let compaction =
            Compaction { log: log.clone(), access: access_port.clone(), broker: broker.clone() };
        compaction.run_if_due();
        if is_new {
            broker.create_vhost(&VhostName::new("/")?, Actor::NODE);
            let auth = &settings.auth;
            for change in access.seed_default_user(&auth.default_user, &auth.default_pass) {
                access_port.change(change, Box::new(|_| {}));
            }
        }
        let routes = Arc::new(RegistryPort { routes, logs, broker: broker.clone(), clock });
        Ok(Self { broker, access, access_port, routes, compaction, wakes, _folder: folder })
    }

    async fn serve(
        self,
        settings: &Settings,
        amqp: TcpListener,
        http: TcpListener,
    ) -> anyhow::Result<()> {
        let reader = start_page_reader(&self.broker)?;
        let (stop, stopping) = watch::channel(false);
        let node_name = node_name();
        self.broker.set_node_name(&node_name);
        let context = Arc::new(ShardContext {
            broker: self.broker.clone(),
            access: self.access.clone(),
            settings: shunt_amqp_server::AmqpSettings {
                frame_max: settings.amqp.frame_max,
                channel_max: settings.amqp.channel_max,
                connection_max: settings.amqp.connection_max,
                channel_max_per_node: settings.amqp.channel_max_per_node,
                heartbeat_s: settings.amqp.heartbeat_s,
                handshake_timeout_ms: settings.amqp.handshake_timeout_ms,
                consumer_timeout_ms: settings.amqp.consumer_timeout_ms,
                send_timeout_ms: settings.amqp.send_timeout_ms,
                receive_buffer: settings.amqp.receive_buffer_bytes as usize,
                send_buffer: settings.amqp.send_buffer_bytes as usize,
                message_size_max: settings.amqp.message_size_max,
                moves: settings.amqp.moves.0,
                version: env!("CARGO_PKG_VERSION"),
            },
            neighbours: Arc::new(Neighbours::new(self.wakes.len())),
            node_name: node_name.clone(),
            shutdown: stopping.clone(),
            admission: Arc::default(),
        });
        let shards = (0..)
            .zip(self.wakes)
            .map(|(id, wake)| ShardThread::start(ShardId(id), wake, context.clone()))
            .collect::<Result<Vec<_>, _>>()
            .context("the shards' threads can't be started")?;
        let (amqp_address, http_address) = (amqp.local_addr()?, http.local_addr()?);
        let handles: Vec<_> = shards.iter().map(ShardThread::handle).collect();
        context.neighbours.introduce(handles.clone());
        let accepting =
            shunt_amqp_server::listen(amqp, context.settings.clone(), handles, stopping.clone());
        let amqp = tokio::spawn(accepting);
        let canaries = watch_canaries(self.routes.routes.clone(), self.routes.clock.clone());
        let canaries = tokio::spawn(canaries);
        let api = HttpApi::new(HttpOptions {
            broker: self.broker.clone(),
            access: self.access,
            access_changes: self.access_port,
            routes: self.routes,
            settings: http_settings(settings),
            node_name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        let http = tokio::spawn(api.serve(http, stopping));
        output::print(&format!(
            "shunt {} is ready: AMQP on {amqp_address}, HTTP on http://{http_address}, data in {}\n",
            env!("CARGO_PKG_VERSION"),
            settings.node.data_dir.display(),
        ))?;

        let watch = Watch::new(self.broker.clone(), self.compaction, settings);
        let watch = tokio::spawn(watch.run());
        stop_signal().await?;
        watch.abort();
        canaries.abort();
        tracing::info!("stopping");
        // Everyone who listens has gone already if this finds nobody.
        let _ = stop.send(true);
        let shards_end = tokio::task::spawn_blocking(move || {
            shards.into_iter().for_each(ShardThread::join);
        });
        shards_end.await.context("the shards did not end")?;
        self.broker.stop_page_reader();
        if reader.join().is_err() {
            tracing::error!("the thread that reads messages back has panicked");
        }
        amqp.await.context("the AMQP listener did not end")?;
        http.await.context("the HTTP listener did not end")??;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Reads the log of messages.
fn open_messages(
    folder: &DataFolder,
    settings: &Settings,
    clock: Arc<dyn Clock>,
    broker: &Broker,
) -> anyhow::Result<(SegmentWriter, Recovery)> {
    let mut recovery = Recovery::new();
    let mut unreadable = 0u64;
    let disk = Arc::new(folder.disk("messages")?);
    let segment_size = settings.node.segment_bytes;
    let options = SegmentLogOptions { segment_size, ..SegmentLogOptions::default() };
    let mut replay = |at: RecordPosition, kind, head: &[u8]| {
        if let Err(error) = recovery.replay(at, kind, head) {
            tracing::error!(segment = at.segment, offset = at.offset, %error,
                "a record of the log of messages is skipped");
            unreadable += 1;
        }
    };
    let mut progress = RecoveryReport::new(clock);
    let (writer, found) =
        SegmentWriter::open_with_progress(disk, options, &mut replay, &mut |reached| {
            progress.reached(reached);
        })?;
    if found.records > 0 {
        tracing::info!(
            records = found.records,
            bytes = found.bytes,
            unreadable,
            "the log of messages was read"
        );
    }
    if let Some(cut) = &found.cut_tail {
        tracing::info!(path = %cut.path.display(), offset = cut.offset, bytes = cut.size,
            "the end of the log of messages was incomplete and is cut");
    }
    for damage in &found.damaged {
        tracing::error!(path = %damage.path.display(), offset = damage.offset,
            bytes = damage.size, reason = damage.reason, "the log of messages is damaged");
    }
    broker.counters().log_damaged.add(found.damaged.len() as u64);
    Ok((writer, recovery))
}

/// Starts the thread that reads messages back for consumers.
fn start_page_reader(broker: &Arc<Broker>) -> anyhow::Result<JoinHandle<()>> {
    let broker = broker.clone();
    let thread = std::thread::Builder::new().name("page-reader".to_owned());
    let reader = thread.spawn(move || broker.run_page_reader());
    reader.context("the thread that reads messages back can't be started")
}

/// Gives the log of messages its thread, which tells the broker how far the disk is.
fn start_messages(writer: SegmentWriter, broker: &Arc<Broker>) -> anyhow::Result<Arc<SegmentLog>> {
    // The broker holds the log, which must not hold the broker.
    let broker = Arc::downgrade(broker);
    let log = SegmentLog::start(writer, move |outcome| {
        match &outcome {
            SyncOutcome::NoSpace(error) => {
                tracing::error!(%error, "the disk is full; confirms wait for space");
            }
            SyncOutcome::Retrying(error) => {
                tracing::error!(%error, "the log of messages can't be written; confirms wait");
            }
            SyncOutcome::Failed(error) => {
                tracing::error!(%error, "the log of messages failed; nothing more is confirmed");
            }
            _ => {}
        }
        if let Some(broker) = broker.upgrade() {
            broker.message_log_said(&outcome);
        }
    });
    log.context("the log of messages can't be started")
}

fn report(recovered: &Recovered) {
    if let Some(cut) = &recovered.cut_tail {
        tracing::info!(path = %cut.path.display(), offset = cut.offset, bytes = cut.size,
            "the end of the metadata log was incomplete and is cut");
    }
    for damage in &recovered.damaged {
        tracing::error!(path = %damage.path.display(), offset = damage.offset,
            bytes = damage.size, reason = damage.reason, "the metadata log is damaged");
    }
}

fn http_settings(settings: &Settings) -> HttpSettings {
    HttpSettings {
        message_size_max: settings.amqp.message_size_max,
        module_bytes_max: settings.routes.module_bytes_max,
        lease_timeout_s: settings.http.lease_timeout_s,
        metrics_without_login: settings.http.metrics_without_login,
    }
}

fn limits(settings: &Settings) -> RouteLimits {
    let routes = &settings.routes;
    RouteLimits {
        call_cpu_time_us: routes.call_cpu_time_us,
        setup_cpu_time_us: routes.setup_cpu_time_us,
        memory_bytes: routes.memory_bytes,
        component_memory_bytes: routes.component_memory_bytes,
        table_elements: routes.table_elements_max,
        module_bytes: routes.module_bytes_max,
        log_bytes_per_second: routes.log_bytes_per_s,
        answer_bytes: routes.answer_bytes_max,
        destinations: routes.destinations_max,
        state_bytes: routes.state_bytes_max,
        instances: routes.instances_max,
        cache_entries: routes.cache_entries,
        breaker_failures: routes.breaker_failures,
        breaker_pause_ms: routes.breaker_pause_ms,
    }
}

fn access_control(settings: &AuthSettings) -> AccessControl {
    let access = AccessControl::new(settings.loopback_users.clone());
    if settings.anonymous_user == NOBODY {
        return access;
    }
    access.with_anonymous(AnonymousLogin {
        user: settings.anonymous_user.clone(),
        password: settings.anonymous_pass.clone(),
    })
}

fn shards(settings: &Settings) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16);
    let wanted = if settings.node.shards == 0 { cores() } else { settings.node.shards };
    wanted.min(shunt_types::limits::SHARDS_MAX)
}

/// `shunt@HOST`, as RabbitMQ's tools expect a node's name.
fn node_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("shunt@{host}")
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be heard")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT can't be heard")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
