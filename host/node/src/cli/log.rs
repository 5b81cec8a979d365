//! The command line of what is done to a stopped node's logs.

use clap::{Args, Subcommand};

use super::SettingsArgs;
use crate::output::OutputFormat;

#[derive(Debug, Args)]
pub(crate) struct LogCommand {
    #[command(subcommand)]
    pub(crate) action: LogAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogAction {
    /// Read every byte of a stopped node's logs and say what is wrong; exit code 0: no damage,
    /// 1: damage, 2: can't be read
    Check {
        #[command(flatten)]
        settings: SettingsArgs,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "human")]
        output: OutputFormat,
    },
    /// Take out of a stopped node's logs what can't be read; without --write, only say what would
    /// be done. Exit code 0: all that is wrong is repaired, or would be, 1: some can't be, 2:
    /// can't be read or written
    Repair {
        #[command(flatten)]
        settings: SettingsArgs,
        /// Do it
        #[arg(long)]
        write: bool,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "human")]
        output: OutputFormat,
    },
}
