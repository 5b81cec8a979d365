//! A registry on a temporary directory, guests, exchanges and messages for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use shunt_routing::{
    Binding, Destination, Exchange, ExchangeSpec, ExchangeType, Failure, Header, Matcher, Topology,
};
use shunt_types::{
    ExchangeId, ExchangeName, FieldTable, PackedTable, Properties, PropertiesRef, QueueId, ShardId,
    Value, VhostName,
};
use tempfile::TempDir;

use crate::{
    DeployError, DeployRequest, Deployment, Destinations, Guards, LimitOverrides, LogLevel,
    RouteLimits, RouteLog, RouteRef, RouteStore, Routes, RoutesConfig, StoredRoute, XWasm,
};

/// A guest in WebAssembly text, made of the parts that a test is about.
pub(super) struct Guest {
    pub(super) imports: String,
    pub(super) reads: Vec<&'static str>,
    pub(super) wants: Vec<&'static str>,
    pub(super) abi: &'static str,
    pub(super) alloc: &'static str,
    pub(super) route: String,
    pub(super) extra: String,
}

/// A guest that reads nothing and whose route function has this body.
pub(super) fn guest(route: &str) -> Guest {
    Guest {
        imports: String::new(),
        reads: vec![],
        wants: vec![],
        abi: "i32.const 1",
        alloc: "i32.const 4096",
        route: route.to_owned(),
        extra: String::new(),
    }
}

/// A guest that answers this MessagePack.
pub(super) fn answering(answer: &[u8]) -> Guest {
    let mut guest = guest(&format!("i64.const {}", packed(2048, answer.len())));
    guest.extra = format!("(data (i32.const 2048) \"{}\")", escaped(answer));
    guest
}

pub(super) fn packed(address: u64, length: usize) -> u64 {
    address << 32 | length as u64
}

pub(super) fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

impl Guest {
    pub(super) fn with(mut self, extra: &str) -> Self {
        self.extra.push_str(extra);
        self
    }

    pub(super) fn wat(&self) -> String {
        let mut description = b"\x84\xa4name\xa1t\xa7version\xa11\xa5reads".to_vec();
        let mut strings = |strings: &[&str]| {
            description.push(0x90 | strings.len() as u8);
            for string in strings {
                description.extend_from_slice(&[0xd9, string.len() as u8]);
                description.extend_from_slice(string.as_bytes());
            }
            description.extend_from_slice(b"\xa5wants");
        };
        strings(&self.reads);
        strings(&self.wants);
        description.truncate(description.len() - 6);
        format!(
            "(module {} (memory (export \"memory\") 2)
               (data (i32.const 1024) \"{}\")
               (func (export \"shunt_abi\") (result i32) {})
               (func (export \"shunt_alloc\") (param i32) (result i32) {})
               (func (export \"shunt_describe\") (result i64) i64.const {})
               (func $route (export \"shunt_route\") (param i32 i32) (result i64) {})
               {})",
            self.imports,
            escaped(&description),
            self.abi,
            self.alloc,
            packed(1024, description.len()),
            self.route,
            self.extra,
        )
    }
}

/// Keeps routes in memory, over restarts of the registry.
#[derive(Default)]
pub(super) struct Kept(Mutex<BTreeMap<(VhostName, String), StoredRoute>>);

impl RouteStore for Kept {
    fn load(&self) -> io::Result<Vec<StoredRoute>> {
        Ok(self.0.lock().values().cloned().collect())
    }

    fn put(&self, route: &StoredRoute) -> io::Result<()> {
        self.0.lock().insert((route.vhost.clone(), route.name.clone()), route.clone());
        Ok(())
    }

    fn remove(&self, vhost: &VhostName, name: &str) -> io::Result<()> {
        self.0.lock().remove(&(vhost.clone(), name.to_owned()));
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Logged(Mutex<Vec<(LogLevel, String)>>);

impl RouteLog for Logged {
    fn log(&self, _route: &RouteRef, level: LogLevel, text: &str) {
        self.0.lock().push((level, text.to_owned()));
    }
}

pub(super) struct World {
    pub(super) directory: TempDir,
    pub(super) routes: Arc<Routes>,
    store: Arc<Kept>,
    log: Arc<Logged>,
}

impl World {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, log) = (Arc::<Kept>::default(), Arc::<Logged>::default());
        let routes = open(&directory, &store, &log);
        Self { directory, routes, store, log }
    }

    /// The registry again, as after a restart of the broker.
    pub(super) fn reopened(self) -> Self {
        let routes = open(&self.directory, &self.store, &self.log);
        Self { routes, ..self }
    }

    pub(super) fn log(&self) -> Vec<(LogLevel, String)> {
        self.log.0.lock().clone()
    }

    pub(super) fn deploy(&self, name: &str, guest: &Guest) -> Deployment {
        self.try_deploy(name, guest.wat().as_bytes(), &[], Destinations::Bound).unwrap()
    }

    pub(super) fn try_deploy(
        &self,
        name: &str,
        module: &[u8],
        grants: &[&str],
        destinations: Destinations,
    ) -> Result<Deployment, DeployError> {
        self.routes.deploy(&request(name, module, grants, destinations))
    }

    pub(super) fn declare(&self, arguments: &[(&str, &str)]) -> Result<Box<dyn Matcher>, String> {
        XWasm::new(Arc::clone(&self.routes)).create(&spec(arguments))
    }

    /// An exchange for the route, with two queues and an exchange bound: slots 0, 1 and id 2.
    pub(super) fn exchange(&self, route: &str) -> Box<dyn Matcher> {
        let mut matcher = self.declare(&[("x-route", route)]).unwrap();
        for binding in bindings() {
            matcher.validate_binding(&binding).unwrap();
            matcher.bind(&binding);
        }
        matcher
    }

    /// Deploys the guest and publishes one message to an exchange of its own.
    pub(super) fn decide(&self, guest: &Guest) -> Result<Vec<Destination>, Failure> {
        let name = format!("route-{}", self.routes.list(None).len());
        self.deploy(&name, guest);
        publish(&*self.exchange(&name), "key")
    }
}

/// A deployment without limits or guards of its own.
pub(super) fn request<'a>(
    name: &'a str,
    module: &'a [u8],
    grants: &'a [&'a str],
    destinations: Destinations,
) -> DeployRequest<'a> {
    static VHOST: LazyLock<VhostName> = LazyLock::new(vhost);
    static NONE: LazyLock<Guards> = LazyLock::new(Guards::default);
    let limits = LimitOverrides::default();
    let (vhost, guards) = (&*VHOST, &*NONE);
    let (activate, now_ms) = (true, 1_000);
    DeployRequest { vhost, name, module, grants, destinations, limits, guards, activate, now_ms }
}

fn open(directory: &TempDir, store: &Arc<Kept>, log: &Arc<Logged>) -> Arc<Routes> {
    let (store, log) = (Arc::clone(store), Arc::clone(log));
    let directory = directory.path().to_owned();
    Routes::open(RoutesConfig { directory, limits: RouteLimits::default(), store, log }).unwrap()
}

pub(super) fn vhost() -> VhostName {
    VhostName::new("/").unwrap()
}

pub(super) fn spec(arguments: &[(&str, &str)]) -> ExchangeSpec {
    let arguments: FieldTable =
        arguments.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    ExchangeSpec {
        vhost: vhost(),
        name: ExchangeName::new("orders").unwrap(),
        arguments: Arc::new(arguments),
    }
}

pub(crate) fn queue(slot: u32) -> Destination {
    Destination::Queue(QueueId::new(ShardId(0), slot, 0))
}

pub(super) fn binding(destination: Destination, name: &str) -> Arc<Binding> {
    let arguments = PackedTable::default();
    Arc::new(Binding {
        destination,
        destination_name: name.into(),
        key: "k".into(),
        arguments,
        sequence: 0,
    })
}

pub(super) fn bindings() -> Vec<Arc<Binding>> {
    vec![
        binding(queue(0), "eu"),
        binding(queue(1), "us"),
        binding(Destination::Exchange(ExchangeId(2)), "rest"),
    ]
}

/// Queues of the virtual host: `named` in slot 9.
struct Names;

impl Topology for Names {
    fn queue(&self, name: &str) -> Option<QueueId> {
        (name == "named").then(|| QueueId::new(ShardId(0), 9, 0))
    }

    fn exchange(&self, _id: ExchangeId) -> Option<&Exchange> {
        None
    }

    fn exchange_named(&self, _name: &str) -> Option<&Exchange> {
        None
    }
}

pub(super) fn publish(matcher: &dyn Matcher, key: &str) -> Result<Vec<Destination>, Failure> {
    publish_with(matcher, key, &Properties::default())
}

pub(super) fn publish_with(
    matcher: &dyn Matcher,
    key: &str,
    properties: &Properties,
) -> Result<Vec<Destination>, Failure> {
    let mut bytes = Vec::new();
    properties.encode(&mut bytes);
    let header = Header {
        vhost: &vhost(),
        exchange: "orders",
        routing_keys: &[key],
        properties: PropertiesRef::decode(&bytes).unwrap(),
        body_size: 3,
        user: "guest",
        now_ms: 0,
        random: 0,
    };
    let mut destinations = Vec::new();
    matcher.matches(&header, &Names, &mut destinations)?;
    Ok(destinations)
}
