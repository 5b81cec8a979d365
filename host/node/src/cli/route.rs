//! The command line of routes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::NodeArgs;
use super::rollout::{CanaryAction, ReplayArgs, ShadowAction, TraceAction};

const ROUTE_HELP: &str = "\
Examples:
  shunt route new --lang rust geo && cd geo && shunt route build
  shunt route test --module geo.wasm --cases cases.json
  shunt route deploy geo geo.wasm --no-activate
  shunt route try geo --exchange orders --header region=eu --version 2
  shunt route trace start geo
  shunt route replay geo --version 2
  shunt route canary start geo 2 --steps 1,10,50,100 --interval 10m
  shunt route stats geo
  shunt route rollback geo";

#[derive(Debug, Args)]
#[command(after_help = ROUTE_HELP)]
pub(crate) struct RouteCommand {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(subcommand)]
    pub(crate) action: RouteAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteAction {
    /// Write a project for a route, which builds and passes its tests at once
    #[command(after_help = "\
Example: shunt route new --lang rust geo

Languages: javascript, rust, go, c, zig, assemblyscript, python. The project carries the SDK's sources \
in the folder sdk: it builds wherever it is.")]
    New(NewArgs),
    /// Build a project's module and put it beside its manifest
    #[command(after_help = "Example: shunt route build geo")]
    Build(BuildArgs),
    /// Upload a module under a name and activate it
    #[command(after_help = "\
Examples:
  shunt route deploy geo geo.wasm
  shunt route deploy geo geo.wasm --no-activate --grant clock --limit call_cpu_time_us=500
  shunt route deploy geo geo.wasm --guard 'eu=when headers.region=eu queues eu-*'

A route.toml beside the module has its guards in the table [guards]. Where the route has a trace, \
the guards are checked by it before the version is activated.")]
    Deploy(DeployArgs),
    /// All routes of the virtual host
    List,
    /// One route: versions, hash, declared fields, capabilities, counters
    Show {
        /// The route's name
        name: String,
    },
    /// Put a version in force
    #[command(after_help = "Example: shunt route activate geo 3")]
    Activate {
        /// The route's name
        name: String,
        /// The version
        version: u32,
        /// Even if recorded messages break its guards
        #[arg(long)]
        force: bool,
    },
    /// Put the version in force again that was before; twice is where it began
    #[command(after_help = "Example: shunt route rollback geo")]
    Rollback {
        /// The route's name
        name: String,
    },
    /// Take the route away, or one of its versions
    #[command(after_help = "\
Examples:
  shunt route remove geo
  shunt route remove geo --version 2")]
    Remove {
        /// The route's name
        name: String,
        /// Only this version, which must not be active
        #[arg(long)]
        version: Option<u32>,
    },
    /// Ask a route where it would send a message, and deliver nothing
    #[command(after_help = "\
Examples:
  shunt route try geo --exchange orders --routing-key orders.new --header region=eu
  shunt route try geo --bindings '[{\"destination\":\"q\"}]' --header n=5 --property priority=3")]
    Try(TryArgs),
    /// Calls, failures by cause and time of each version, of one route or of all
    #[command(after_help = "Example: shunt route stats geo --output json")]
    Stats {
        /// The route's name; all routes where there is none
        name: Option<String>,
    },
    /// Record the declared header fields of a route's messages, never bodies
    #[command(subcommand)]
    Trace(TraceAction),
    /// Decide recorded messages once more, and print what a candidate would change
    #[command(after_help = "\
Examples:
  shunt route replay geo --version 3
  shunt route replay --trace geo.trace --module new.wasm --against old.wasm --output json")]
    Replay(ReplayArgs),
    /// Run a candidate beside the active version, which alone delivers
    #[command(subcommand)]
    Shadow(ShadowAction),
    /// Give a candidate a part of the messages, and more of them step by step
    #[command(subcommand)]
    Canary(CanaryAction),
    /// Run a cases file against a module, without a node
    #[command(after_help = "\
Examples:
  shunt route test --module geo.wasm --cases cases.json
  shunt route test --module geo.wasm --junit report.xml

A cases file has an exchange's arguments, its bindings, and what becomes of messages: docs/routes.")]
    Test(TestArgs),
    /// Time, fuel of each decision of a module over its cases, without a node
    #[command(after_help = "\
Example: shunt route bench --module new.wasm --against old.wasm --cases cases.json")]
    Bench(BenchArgs),
    /// What a route logged
    #[command(after_help = "\
Examples:
  shunt route logs geo --lines 20
  shunt route logs geo --follow --output json")]
    Logs(LogsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The route's name: lower-case letters, digits and `-`
    pub(crate) name: String,
    /// The language
    #[arg(long, value_enum, default_value = "rust")]
    pub(crate) lang: Language,
    /// Another folder than one of the route's name
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// JavaScript, deployed as it is.
    #[value(name = "javascript")]
    JavaScript,
    /// Rust, with its target wasm32-unknown-unknown.
    Rust,
    /// Go, the standard compiler.
    Go,
    /// C, by clang.
    C,
    /// Zig 0.17.1.
    Zig,
    /// AssemblyScript, by npm.
    #[value(name = "assemblyscript")]
    AssemblyScript,
    /// Python, by componentize-py.
    Python,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The route's name
    pub(crate) name: String,
    /// The module: .wasm, .wat or .js
    pub(crate) file: PathBuf,
    /// Upload and check only; `activate` puts it in force
    #[arg(long)]
    pub(crate) no_activate: bool,
    /// Where it may send messages: to its exchange's bindings, or to any queue by name
    /// (takes an administrator)
    #[arg(long, value_enum, default_value = "bindings")]
    pub(crate) destinations: Destinations,
    /// Grant a capability that the module asks for: clock, random, load, state
    #[arg(long, value_name = "CAPABILITY")]
    pub(crate) grant: Vec<String>,
    /// A limit of its own, such as memory_bytes=1048576
    #[arg(long = "limit", value_name = "NAME=NUMBER")]
    pub(crate) limits: Vec<String>,
    #[command(flatten)]
    pub(crate) guards: GuardArgs,
    /// Activate it even if recorded messages break its guards
    #[arg(long)]
    pub(crate) force: bool,
}

/// What every answer of a module has to keep.
#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// A guard, NAME=RULE, in the place of the manifest's of that name. A rule is 'at least N',
    /// 'at most N', 'keys PATTERN' or 'queues PATTERN', after 'when FIELD=VALUE' if need be
    #[arg(long = "guard", value_name = "NAME=RULE")]
    pub(crate) guards: Vec<String>,
    /// The manifest with the table [guards]; without it, a route.toml beside the module
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Destinations {
    /// The exchange's bindings.
    Bindings,
    /// Any queue of the virtual host.
    Any,
}

#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The route's name
    pub(crate) name: String,
    /// The exchange, whose bindings and arguments are used
    #[arg(long, default_value = "")]
    pub(crate) exchange: String,
    /// The message's routing key
    #[arg(long, default_value = "")]
    pub(crate) routing_key: String,
    /// A header, NAME=VALUE; a VALUE that is JSON is taken as such, any other as text
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub(crate) headers: Vec<String>,
    /// A basic property, NAME=VALUE, such as priority=5
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub(crate) properties: Vec<String>,
    /// Bindings in place of the exchange's, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) bindings: Option<String>,
    /// Arguments in place of the exchange's, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) arguments: Option<String>,
    /// Another version than the active one
    #[arg(long)]
    pub(crate) version: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The module: .wasm, .wat or .js
    #[arg(long, value_name = "FILE")]
    pub(crate) module: PathBuf,
    /// The cases
    #[arg(long, value_name = "FILE", default_value = "cases.json")]
    pub(crate) cases: PathBuf,
    /// Write a JUnit report too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guards: GuardArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The module: .wasm, .wat or .js
    #[arg(long, value_name = "FILE")]
    pub(crate) module: PathBuf,
    /// Another module, to compare with
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// The version that is active on the node under this name, to compare with
    #[arg(long, value_name = "ROUTE", conflicts_with = "against")]
    pub(crate) deployed: Option<String>,
    /// Another version of it
    #[arg(long, requires = "deployed")]
    pub(crate) version: Option<u32>,
    /// The cases whose headers are used
    #[arg(long, value_name = "FILE", default_value = "cases.json")]
    pub(crate) cases: PathBuf,
    /// Decisions that are timed
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calls: u32,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The route's name
    pub(crate) name: String,
    /// Stay, and print lines as they come
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Lines to begin with, the newest, at most 1000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) lines: u16,
}
