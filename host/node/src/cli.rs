//! The command line.

mod log;
mod manage;
mod rollout;
mod route;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::output::{self, OutputFormat};

pub(crate) use log::{LogAction, LogCommand};
pub(crate) use manage::{
    DefinitionsAction, DefinitionsCommand, PermissionAction, PermissionCommand, PolicyAction,
    PolicyCommand, Switch, TopicAction, UserAction, UserCommand, UserLimitsAction, VhostAction,
    VhostCommand, VhostLimitsAction,
};
pub(crate) use rollout::{CanaryAction, ReplayArgs, ShadowAction, TraceAction};
pub(crate) use route::{
    BenchArgs, BuildArgs, DeployArgs, Destinations, GuardArgs, Language, LogsArgs, NewArgs,
    RouteAction, RouteCommand, TestArgs, TryArgs,
};

const AFTER_HELP: &str = "\
Every setting can be given in a file (--config), in the environment (SHUNT_AMQP_LISTEN for \
amqp.listen, SHUNT_DATA_DIR for node.data_dir), and the most usual ones as a flag; the last of \
these wins. `shunt config show` lists them all, with where each value came from.";

/// A message broker whose routing rules are programs: AMQP 0-9-1 and HTTP, with WebAssembly
/// routes. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "shunt", version, args_conflicts_with_subcommands = true)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the broker (what `shunt` alone does too)
    #[command(after_help = AFTER_HELP)]
    Serve(SettingsArgs),
    /// The settings in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The logs of a stopped node: check, repair
    Log(LogCommand),
    /// Routes: deploy, look, try, put in force, take back, watch
    Route(RouteCommand),
    /// Users of a running node: add, list, delete, set-password, set-tags, limits
    User(UserCommand),
    /// What users may do in virtual hosts of a running node: set, list, clear, topic
    Permission(PermissionCommand),
    /// Virtual hosts of a running node: add, list, delete, protect, unprotect, limits
    Vhost(VhostCommand),
    /// Settings for queues and exchanges by name: set, list, show, clear
    Policy(PolicyCommand),
    /// Limits that policies of users can't exceed: set, list, show, clear
    OperatorPolicy(PolicyCommand),
    /// All that is declared on a running node, as a file: export, import
    Definitions(DefinitionsCommand),
    /// Load an AMQP 0-9-1 broker, this one or another, and say how fast it was
    Perf(Box<shunt_perf::PerfCommand>),
    /// Print the completions of a shell, such as: source <(shunt completions bash)
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting and where its value came from
    Show {
        #[command(flatten)]
        settings: SettingsArgs,
        /// Form of the answer
        #[arg(long, value_enum, default_value = "human")]
        output: OutputFormat,
    },
}

/// Flags that are settings. They stay text here: all sources of settings are checked alike.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Settings in TOML [env: SHUNT_CONFIG=]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for everything that is kept [env: SHUNT_DATA_DIR=] [default: shunt-data]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Where AMQP clients connect [env: SHUNT_AMQP_LISTEN=] [default: 127.0.0.1:5672]
    #[arg(long, value_name = "ADDRESS:PORT")]
    amqp_listen: Option<String>,
    /// Where HTTP clients connect [env: SHUNT_HTTP_LISTEN=] [default: 127.0.0.1:15672]
    #[arg(long, value_name = "ADDRESS:PORT")]
    http_listen: Option<String>,
    /// human or json [env: SHUNT_LOG_FORMAT=] [default: human]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// off, error, warn, info, debug, trace [env: SHUNT_LOG_LEVEL=] [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// A setting that was given as a flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenFlag<'a> {
    pub(crate) setting: &'static str,
    pub(crate) flag: &'static str,
    pub(crate) value: &'a str,
}

impl SettingsArgs {
    /// The flags that were given.
    pub(crate) fn flags(&self) -> Vec<GivenFlag<'_>> {
        let flags = [
            ("node.data_dir", "--data-dir", &self.data_dir),
            ("amqp.listen", "--amqp-listen", &self.amqp_listen),
            ("http.listen", "--http-listen", &self.http_listen),
            ("log.format", "--log-format", &self.log_format),
            ("log.level", "--log-level", &self.log_level),
        ];
        let given = flags.into_iter().filter_map(|(setting, flag, value)| {
            Some(GivenFlag { setting, flag, value: value.as_deref()? })
        });
        given.collect()
    }
}

/// Which node is asked, and by whom.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's HTTP address
    #[arg(long, env = "SHUNT_URL", default_value = "http://127.0.0.1:15672", global = true)]
    pub(crate) url: String,
    /// User name
    #[arg(long, env = "SHUNT_USER", default_value = "guest", global = true)]
    pub(crate) user: String,
    /// Password; `-` takes it from the first line of standard input
    #[arg(
        long,
        env = "SHUNT_PASSWORD",
        default_value = "guest",
        hide_env_values = true,
        global = true
    )]
    pub(crate) password: String,
    /// Virtual host
    #[arg(long, env = "SHUNT_VHOST", default_value = "/", global = true)]
    pub(crate) vhost: String,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "human", global = true)]
    pub(crate) output: OutputFormat,
}

/// Answers a command line that can't be read, or one that asks for help: 2 for the first.
pub(crate) fn usage_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version go to standard output; clap writes them with the terminal's colours.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    // clap writes several paragraphs, of which all but usage and pointer to help say what is wrong.
    let text = error.render().to_string();
    let said = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.starts_with("For more information"));
    let said = said.collect::<Vec<_>>().join(" ");
    let said = said.trim_start_matches("error:").trim();
    output::error(&format!("{said} (see shunt --help)"));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_stand_without_a_command_too() {
        let cli = Cli::try_parse_from(["shunt", "--data-dir", "x"]).unwrap();
        assert!(cli.command.is_none());
        let flags = cli.settings.flags();
        assert_eq!((flags[0].setting, flags[0].value), ("node.data_dir", "x"));
    }
}
