//! The broker's binary `shunt`: command line, configuration, logging, start and stop, and the
//! commands that talk to a running node.
//!
//! May depend on every crate of ours, and decides nothing: it reads what the operator wants,
//! wires the crates together and gets out of the way. Configuration files, environment and
//! signals are known here and nowhere else.

mod allocator;
#[cfg(test)]
mod allocator_tests;
mod cli;
mod clock;
mod definitions_commands;
mod http_client;
mod limit_commands;
mod log_commands;
mod logging;
mod manage_commands;
mod metadata;
mod output;
mod password_input;
mod policy_commands;
mod recovery_report;
mod route_commands;
mod routes;
mod serve;
mod settings;
mod topic_commands;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use cli::{Cli, Command, ConfigCommand, SettingsArgs};
use settings::LoadedSettings;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::usage_error(&error),
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            output::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = match cli.command.unwrap_or(Command::Serve(cli.settings)) {
        Command::Serve(arguments) => {
            let LoadedSettings { settings, .. } = load(&arguments)?;
            logging::start(settings.log.format, &settings.log.level);
            serve::run(settings)
        }
        Command::Config(ConfigCommand::Show { settings, output }) => {
            output::print(&settings::show(&load(&settings)?, output))
        }
        Command::Route(command) => route_commands::run(command),
        Command::Log(command) => return Ok(log_commands::run(command)),
        Command::User(command) => manage_commands::user(command),
        Command::Permission(command) => manage_commands::permission(command),
        Command::Vhost(command) => manage_commands::vhost(command),
        Command::Policy(command) => policy_commands::policy(command),
        Command::OperatorPolicy(command) => policy_commands::operator_policy(command),
        Command::Definitions(command) => definitions_commands::run(command),
        Command::Perf(command) => shunt_perf::run(&command, &mut std::io::stdout().lock()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "shunt", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn load(arguments: &SettingsArgs) -> anyhow::Result<LoadedSettings> {
    let environment = std::env::vars_os();
    Ok(settings::load(&arguments.flags(), arguments.config.as_deref(), environment)?)
}
