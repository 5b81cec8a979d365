//! `shunt serve`: the node from start to stop.

use crate::settings::Settings;

/// Runs the node until it is told to stop.
pub(crate) fn run(settings: Settings) -> anyhow::Result<()> {
    tracing::debug!(data_dir = %settings.node.data_dir.display(), "starting");
    anyhow::bail!("this build has no broker yet")
}
