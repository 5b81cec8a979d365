//! A broker with two shards, users, routes that only remember what they were asked, and the
//! server in front.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use shunt_auth::{AccessChange, AccessControl, PasswordHash};
use shunt_broker::metadata::Command;
use shunt_broker::ports::{Clock, MetadataLog, OnDurable, Position, Wake};
use shunt_broker::{Actor, Broker, BrokerOptions, Shard};
use shunt_http_api::{
    AccessPort, HttpApi, HttpOptions, HttpSettings, RouteActivated, RouteCanaryRequest,
    RouteCanarySide, RouteCanaryView, RouteCountersView, RouteDeploy, RouteDeployed, RouteDryRun,
    RouteDryRunDestination, RouteDryRunOutcome, RouteGuardCheck, RouteLifePort, RouteLogLine,
    RouteLogPage, RouteLogRecord, RoutePortError, RouteReplayRequest, RouteReplaySide,
    RouteReplayView, RouteRolloutEnd, RouteRolloutPort, RouteShadowRequest, RouteShadowView,
    RouteTraceRequest, RouteTraceView, RouteVersionView, RouteView, RoutesPort,
};
use shunt_routing::{
    Binding, Destination, ExchangeSpec, ExchangeType, ExchangeTypes, Failure, FailureCause, Header,
    Matcher, Topology,
};
use shunt_types::{ShardId, VhostName};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::client::Client;

/// What a test runs against; it stops with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) broker: Arc<Broker>,
    pub(crate) routes: Arc<TestRoutes>,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) served: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
    ending: Arc<AtomicBool>,
    wakes: Vec<Arc<CondvarWake>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(HttpSettings::default()).await
    }

    pub(crate) async fn with(settings: HttpSettings) -> Self {
        let wakes: Vec<_> = (0..2).map(|_| Arc::new(CondvarWake::default())).collect();
        let mut exchange_types = ExchangeTypes::native();
        exchange_types.register(Arc::new(Failing::default()));
        let broker = Broker::new(BrokerOptions {
            shards: wakes.iter().map(|wake| wake.clone() as Arc<dyn Wake>).collect(),
            exchange_types,
            clock: Arc::new(RealClock),
            log: Arc::new(MemoryLog::default()),
        });
        broker.create_vhost(&VhostName::new("/").unwrap(), Actor::NODE);
        let ending = Arc::new(AtomicBool::new(false));
        for (id, wake) in wakes.iter().enumerate() {
            let (broker, wake, ending) = (broker.clone(), wake.clone(), ending.clone());
            std::thread::spawn(move || run_shard(ShardId(id as u16), broker, &wake, &ending));
        }
        let access = Arc::new(users());
        let routes = Arc::new(TestRoutes::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stop) = watch::channel(false);
        let api = HttpApi::new(HttpOptions {
            broker: broker.clone(),
            access: access.clone(),
            access_changes: Arc::new(TestAccess(access)),
            routes: routes.clone(),
            settings,
            node_name: "shunt@test".into(),
            version: "0.0.1".into(),
        });
        let served = Some(tokio::spawn(api.serve(listener, stop)));
        Self { address, broker, routes, shutdown, served, ending, wakes }
    }

    /// The administrator.
    pub(crate) fn guest(&self) -> Client {
        self.user("guest", "guest")
    }

    pub(crate) fn user(&self, name: &str, password: &str) -> Client {
        Client::new(self.address, Some((name, password)))
    }

    pub(crate) fn nobody(&self) -> Client {
        Client::new(self.address, None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        self.wakes.iter().for_each(|wake| wake.wake());
    }
}

/// `guest` may do everything; `ann` (tag management) what begins with `ann`; `pol` is a
/// policymaker, `mon` monitors, `app` has no tag, `out` no virtual host.
fn users() -> AccessControl {
    let access = AccessControl::new(["guest"]);
    access.seed_default_user("guest", "guest");
    let put = |name: &str, tags: &[&str], pattern: Option<&str>| {
        access.apply(&AccessChange::PutUser {
            name: name.into(),
            password: Some(PasswordHash::new(name)),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        });
        if let Some(pattern) = pattern {
            let [configure, write, read] = [pattern; 3].map(str::to_owned);
            let (user, vhost) = (name.to_owned(), "/".to_owned());
            access.apply(&AccessChange::SetPermissions { user, vhost, configure, write, read });
        }
    };
    put("ann", &["management"], Some("^ann"));
    put("pol", &["policymaker"], Some(".*"));
    put("mon", &["monitoring"], None);
    put("app", &[], Some(".*"));
    put("out", &["management"], None);
    access
}

fn run_shard(id: ShardId, broker: Arc<Broker>, wake: &CondvarWake, ending: &AtomicBool) {
    let mut shard = Shard::new(id, broker);
    while !ending.load(Ordering::SeqCst) {
        wake.wait(Duration::from_millis(20));
        shard.run_inbox();
        shard.run_deadlines();
    }
}

#[derive(Default)]
struct CondvarWake {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl CondvarWake {
    fn wait(&self, at_most: Duration) {
        let woken = self.woken.lock().unwrap();
        let (mut woken, _) =
            self.changed.wait_timeout_while(woken, at_most, |woken| !*woken).unwrap();
        *woken = false;
    }
}

impl Wake for CondvarWake {
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now_ms(&self) -> u64 {
        std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
    }
}

#[derive(Default)]
struct MemoryLog(AtomicU64);

impl MetadataLog for MemoryLog {
    fn append(&self, _command: &Command) -> Position {
        Position(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn when_durable(&self, _position: Position, then: OnDurable) {
        // From another thread, as a real log answers.
        std::thread::spawn(move || then(Ok(())));
    }
}

struct TestAccess(Arc<AccessControl>);

impl AccessPort for TestAccess {
    fn change(&self, change: AccessChange, then: OnDurable) {
        self.0.apply(&change);
        then(Ok(()));
    }
}

/// An exchange type whose every decision fails. An exchange that is called `fickle` can be made
/// once; what is asked for a second time is refused.
#[derive(Default)]
struct Failing {
    fickle: AtomicBool,
}

impl ExchangeType for Failing {
    fn name(&self) -> &'static str {
        "x-failing"
    }

    fn create(&self, exchange: &ExchangeSpec) -> Result<Box<dyn Matcher>, String> {
        if exchange.name.as_str() == "fickle" && self.fickle.swap(true, Ordering::SeqCst) {
            return Err("not again".into());
        }
        Ok(Box::new(FailingMatcher))
    }
}

struct FailingMatcher;

impl Matcher for FailingMatcher {
    fn validate_binding(&self, binding: &Binding) -> Result<(), String> {
        if &*binding.key == "bad" { Err("no such shard".into()) } else { Ok(()) }
    }

    fn bind(&mut self, _binding: &Arc<Binding>) {}

    fn unbind(&mut self, _binding: &Binding) {}

    fn matches(
        &self,
        _header: &Header<'_>,
        _topology: &dyn Topology,
        _destinations: &mut Vec<Destination>,
    ) -> Result<(), Failure> {
        Err(Failure::new(FailureCause::Trap, "unreachable executed"))
    }

    fn boxed_clone(&self) -> Box<dyn Matcher> {
        Box::new(Self)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Routes without Wasm: a module is text, and a dry run picks every binding.
#[derive(Default)]
pub(crate) struct TestRoutes {
    pub(crate) deployed: Mutex<BTreeMap<(String, String), (RouteDeploy, RouteView)>>,
    pub(crate) dry_runs: Mutex<Vec<RouteDryRun>>,
    pub(crate) trace: Mutex<Option<RouteTraceRequest>>,
}

impl TestRoutes {
    fn edit(
        &self,
        vhost: &str,
        name: &str,
        edit: impl FnOnce(&mut RouteView),
    ) -> Result<RouteView, RoutePortError> {
        let mut deployed = self.deployed.lock().unwrap();
        let found = deployed.get_mut(&(vhost.to_owned(), name.to_owned()));
        let (_, view) = found.ok_or_else(|| Self::missing(vhost, name))?;
        edit(view);
        Ok(view.clone())
    }

    fn missing(vhost: &str, name: &str) -> RoutePortError {
        RoutePortError::NotFound(format!("no route '{name}' in vhost '{vhost}'"))
    }
}

impl RouteLifePort for TestRoutes {
    fn module(&self, vhost: &str, name: &str, version: u32) -> Result<Vec<u8>, RoutePortError> {
        self.show(vhost, name)?;
        Ok(format!("module {version}").into_bytes())
    }

    fn rollback(&self, vhost: &str, name: &str) -> Result<RouteView, RoutePortError> {
        match self.show(vhost, name)?.previous {
            Some(previous) => self.activate(vhost, name, previous, true).map(|done| done.route),
            None => Err(RoutePortError::Conflict("no version was active before".into())),
        }
    }

    fn remove_version(&self, vhost: &str, name: &str, version: u32) -> Result<(), RoutePortError> {
        match self.show(vhost, name)?.active {
            Some(active) if active == version => Err(RoutePortError::Conflict("active".into())),
            _ => Ok(()),
        }
    }

    fn logs(
        &self,
        vhost: &str,
        name: &str,
        after: u64,
        limit: usize,
    ) -> Result<RouteLogPage, RoutePortError> {
        self.show(vhost, name)?;
        let line = |number| RouteLogRecord {
            number,
            time_ms: 0,
            version: 1,
            level: "info",
            text: "hello".into(),
        };
        let lines = (after + 1..=5).take(limit).map(line).collect();
        Ok(RouteLogPage { lines, next: 5, missed: 0 })
    }
}

impl RouteRolloutPort for TestRoutes {
    fn start_trace(
        &self,
        vhost: &str,
        name: &str,
        request: RouteTraceRequest,
    ) -> Result<(), RoutePortError> {
        self.show(vhost, name)?;
        *self.trace.lock().unwrap() = Some(request);
        Ok(())
    }

    fn trace(&self, vhost: &str, name: &str) -> Result<Option<RouteTraceView>, RoutePortError> {
        self.show(vhost, name)?;
        let trace = self.trace.lock().unwrap().clone();
        Ok(trace.map(|trace| RouteTraceView {
            running: true,
            fields: trace.fields,
            recorded: 0,
            missed: 0,
            bytes: 0,
            bytes_max: trace.bytes,
            every: trace.every,
            exchange: trace.exchange,
            seconds: trace.seconds,
            started_at_ms: 0,
            stopped: None,
        }))
    }

    fn stop_trace(&self, vhost: &str, name: &str, discard: bool) -> Result<(), RoutePortError> {
        self.show(vhost, name)?;
        if discard {
            *self.trace.lock().unwrap() = None;
        }
        Ok(())
    }

    fn read_trace(&self, vhost: &str, name: &str) -> Result<Vec<u8>, RoutePortError> {
        let trace = self.trace(vhost, name)?;
        Ok(trace.map_or_else(Vec::new, |_| b"SHUNTTRC".to_vec()))
    }

    fn replay(
        &self,
        vhost: &str,
        name: &str,
        request: RouteReplayRequest,
    ) -> Result<RouteReplayView, RoutePortError> {
        self.show(vhost, name)?;
        let side = || RouteReplaySide {
            guards: BTreeMap::new(),
            unroutable: 0,
            failures: BTreeMap::new(),
            fuel_p50: 1,
            fuel_p99: 2,
            fuel_max: 3,
        };
        Ok(RouteReplayView {
            messages: request.version.into(),
            changed: 0,
            candidate: side(),
            against: Some(side()),
            moves: Vec::new(),
            destinations: Vec::new(),
            values: Vec::new(),
        })
    }

    fn start_shadow(
        &self,
        vhost: &str,
        name: &str,
        request: RouteShadowRequest,
    ) -> Result<RouteView, RoutePortError> {
        let shadow = RouteShadowView {
            guard_breaks: BTreeMap::new(),
            version: request.version,
            time_per_cent: request.time_per_cent,
            compared: 7,
            different: 2,
            skipped: 0,
            failures: [("trap", 1)].into(),
            differences: Vec::new(),
        };
        self.edit(vhost, name, |view| view.shadow = Some(shadow))
    }

    fn start_canary(
        &self,
        vhost: &str,
        name: &str,
        request: RouteCanaryRequest,
    ) -> Result<RouteView, RoutePortError> {
        let (time_p50_ns, fuel_p50) = (None, None);
        let side = || RouteCanarySide { calls: 1, failed: 0, unroutable: 0, time_p50_ns, fuel_p50 };
        let canary = RouteCanaryView {
            version: request.version,
            per_cent: request.settings.steps[0],
            settings: request.settings,
            step: 0,
            step_since_ms: 0,
            candidate: side(),
            active: side(),
        };
        self.edit(vhost, name, |view| view.canary = Some(canary))
    }

    fn end_rollout(
        &self,
        vhost: &str,
        name: &str,
        reason: &str,
    ) -> Result<RouteView, RoutePortError> {
        let end = RouteRolloutEnd {
            version: 2,
            outcome: "taken-back",
            reason: reason.to_owned(),
            at_ms: 0,
        };
        self.edit(vhost, name, |view| {
            (view.shadow, view.canary) = (None, None);
            view.last_rollout = Some(end);
        })
    }
}

impl RoutesPort for TestRoutes {
    fn deploy(&self, deploy: RouteDeploy) -> Result<RouteDeployed, RoutePortError> {
        if deploy.module.starts_with(b"bad") {
            return Err(RoutePortError::Invalid("the module lacks the export 'memory'".into()));
        }
        let mut deployed = self.deployed.lock().unwrap();
        let key = (deploy.vhost.clone(), deploy.name.clone());
        let version = deployed.get(&key).map_or(0, |(_, view)| view.versions.len() as u32) + 1;
        let sha256 = "00".repeat(32);
        let entry = deployed.entry(key).or_insert_with(|| {
            let view = RouteView {
                vhost: deploy.vhost.clone(),
                name: deploy.name.clone(),
                active: None,
                previous: None,
                exchanges: 0,
                unavailable: 0,
                shadow: None,
                canary: None,
                last_rollout: None,
                versions: Vec::new(),
            };
            (deploy.clone(), view)
        });
        entry.0 = deploy.clone();
        if deploy.activate {
            entry.1.active = Some(version);
        }
        entry.1.versions.push(RouteVersionView {
            version,
            active: deploy.activate,
            sha256: sha256.clone(),
            size_bytes: deploy.module.len() as u64,
            module_name: Some("test".into()),
            module_version: Some("1".into()),
            reads: vec!["routing_key".into()],
            wants: Vec::new(),
            grants: deploy.grants.clone(),
            destinations: deploy.destinations,
            limits: deploy.limits.clone(),
            guards: deploy.guards.clone(),
            unavailable: None,
            deployed_at_ms: 0,
            instances: 0,
            counters: RouteCountersView {
                calls: 3,
                failures: [("trap", 1)].into(),
                guard_breaks: deploy.guards.keys().map(|name| (name.clone(), 4)).collect(),
                cache_hits: 2,
                cache_misses: 1,
                cpu_time_ns: 2_000_000_000,
            },
        });
        let (created, active, guard_check) = (true, deploy.activate, None);
        Ok(RouteDeployed { version, created, active, sha256, guard_check })
    }

    fn list(&self, vhost: Option<&str>) -> Vec<RouteView> {
        let deployed = self.deployed.lock().unwrap();
        let views = deployed.values().map(|(_, view)| view);
        views.filter(|view| vhost.is_none_or(|vhost| view.vhost == vhost)).cloned().collect()
    }

    fn show(&self, vhost: &str, name: &str) -> Result<RouteView, RoutePortError> {
        let deployed = self.deployed.lock().unwrap();
        let found = deployed.get(&(vhost.to_owned(), name.to_owned()));
        found.map(|(_, view)| view.clone()).ok_or_else(|| Self::missing(vhost, name))
    }

    fn activate(
        &self,
        vhost: &str,
        name: &str,
        version: u32,
        force: bool,
    ) -> Result<RouteActivated, RoutePortError> {
        let mut deployed = self.deployed.lock().unwrap();
        let (_, view) = deployed
            .get_mut(&(vhost.to_owned(), name.to_owned()))
            .ok_or_else(|| Self::missing(vhost, name))?;
        if !(1..=view.versions.len() as u32).contains(&version) {
            return Err(RoutePortError::NotFound(format!("no version {version}")));
        }
        let guards = &view.versions[version as usize - 1].guards;
        let broken = guards.keys().map(|name| (name.clone(), 4)).collect();
        let check = RouteGuardCheck { messages: 9, broken, unchecked: None };
        if !check.broken.is_empty() && !force {
            return Err(RoutePortError::Conflict("a guard is broken".into()));
        }
        view.previous = view.active.replace(version);
        let guard_check = Some(check).filter(|check| !check.broken.is_empty());
        Ok(RouteActivated { route: view.clone(), guard_check })
    }

    fn remove(&self, vhost: &str, name: &str) -> Result<(), RoutePortError> {
        if name == "used" {
            return Err(RoutePortError::Conflict("exchange 'x' uses route 'used'".into()));
        }
        let mut deployed = self.deployed.lock().unwrap();
        let removed = deployed.remove(&(vhost.to_owned(), name.to_owned()));
        removed.map(drop).ok_or_else(|| Self::missing(vhost, name))
    }

    fn forget_vhost(&self, vhost: &str) {
        self.deployed.lock().unwrap().retain(|(of, _), _| of != vhost);
    }

    fn dry_run(&self, dry_run: RouteDryRun) -> Result<RouteDryRunOutcome, RoutePortError> {
        self.show(&dry_run.vhost, &dry_run.name)?;
        let destinations = dry_run.bindings.iter().enumerate();
        let destinations = destinations.map(|(index, binding)| RouteDryRunDestination {
            kind: if binding.is_queue { "queue" } else { "exchange" },
            name: binding.destination.clone(),
            binding: Some(index),
        });
        let outcome = RouteDryRunOutcome {
            version: 1,
            destinations: destinations.collect(),
            failure: None,
            fuel: 7,
            cpu_time_ns: 11,
            log: vec![RouteLogLine { level: "info", text: "hello".into() }],
        };
        self.dry_runs.lock().unwrap().push(dry_run);
        Ok(outcome)
    }
}
