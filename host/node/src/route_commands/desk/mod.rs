//! What is done with a module at a developer's desk, by the code that runs it in a node.

mod bench;
mod cases;
mod project;
mod test;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use shunt_types::VhostName;
use shunt_wasm::{
    Desk, DeskRoute, Destinations, Guards, LogLevel, Metering, ReplayRequest, RouteLimits,
    RouteLog, RouteRef,
};

use super::manifest;
use crate::cli::ReplayArgs;
use crate::routes::replay_view;
use cases::Cases;

pub(super) use bench::bench;
pub(super) use project::{build, new};
pub(super) use test::test;

/// What a module logs at a desk goes to standard error.
struct Told;

impl RouteLog for Told {
    fn log(&self, _route: &RouteRef, level: LogLevel, text: &str) {
        use std::io::Write as _;
        // Nobody is left to be told if this fails.
        let _ = writeln!(std::io::stderr(), "{:5} {}", level.name(), text.escape_debug());
    }
}

fn desk() -> anyhow::Result<Desk> {
    Desk::open(cache(), RouteLimits::default(), Arc::new(Told)).context("no module can be run")
}

/// Where compiled code is kept for the next time: the user's own cache. Without one it is
/// compiled each time.
fn cache() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = named("XDG_CACHE_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| named("HOME").map(|home| PathBuf::from(home).join(".cache")));
    // Nothing can be written below a file.
    folder.map_or_else(|| PathBuf::from("/dev/null/none"), |folder| folder.join("shunt/compiled"))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("can't read {}", file.display()))
}

fn load(
    desk: &Desk,
    file: &Path,
    metering: Metering,
    destinations: Destinations,
) -> anyhow::Result<DeskRoute> {
    let route = desk.load(&read(file)?, metering, destinations);
    route.with_context(|| format!("{} is refused", file.display()))
}

/// Replays a trace from a file.
pub(super) fn replay(arguments: &ReplayArgs) -> anyhow::Result<Value> {
    let (Some(trace), Some(module)) = (&arguments.trace, &arguments.module) else {
        return Err(anyhow!("name a trace and a module: --trace FILE --module FILE"));
    };
    let desk = desk()?;
    let fuel = |file: &Path| load(&desk, file, Metering::Fuel, Destinations::Any);
    let guards = Guards::parse(&manifest::guards(&arguments.guards, module)?)?;
    let candidate = fuel(module)?.guarded(guards);
    let against = arguments.against.as_ref().map(|file| fuel(Path::new(file))).transpose()?;
    let cases = arguments.bindings.as_ref().map(|file| Cases::read(file)).transpose()?;
    let vhost = VhostName::new("/")?;
    let trace = read(trace)?;
    let replayed = shunt_wasm::replay(&ReplayRequest {
        trace: &trace,
        vhost: &vhost,
        candidate: &candidate,
        against: against.as_ref(),
        bindings: cases.as_ref().map(|cases| cases.bindings.as_slice()),
    })?;
    Ok(serde_json::to_value(replay_view(replayed))?)
}
