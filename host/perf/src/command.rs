//! The commands, and what each prints.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::compare::{self, CompareArgs};
use crate::interrupt::Interrupts;
use crate::limit;
use crate::load;
use crate::scale::{self, ScaleArgs};
use crate::scenario::{Output, Scenario};

const EXAMPLES: &str = "\
Examples:
  shunt perf -a                              one publisher, one consumer, as fast as it goes
  shunt perf -s 1024 -f persistent -c 100    durable, at most 100 messages unconfirmed
  shunt perf -x 4 -y 4 --queues 4 -a         four queues, each with its publisher and consumer
  shunt perf -r 2000 -a -z 30                latencies at 2000 messages a second
  shunt perf -t topic --bindings 1000 -a     1000 bindings, of which one matches
  shunt perf verify -f persistent -c 1000    none lost, none doubled, order held?
  shunt perf limit -a                        the machine's ceiling for the same frames
  shunt perf compare amqp://localhost:5672 amqp://localhost:5673 -a -s 1024

Options mean what they mean in RabbitMQ's PerfTest. The exit code is 0 if the run went through and \
every message arrived as often as it should.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  shunt perf compare amqp://localhost:5672 amqp://localhost:5673 -a -s 1024 -z 3
  shunt perf compare --pairs 9 'amqp://localhost -t x-wasm --exchange-args x-route=by-key' \
'amqp://localhost -t topic' -a --bindings 100";

/// Load an AMQP 0-9-1 broker and say how fast it was
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_flag = true)]
#[command(after_help = EXAMPLES)]
pub struct PerfCommand {
    #[command(flatten)]
    scenario: Scenario,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_flag = true)]
enum Action {
    /// A scenario against two brokers in turn, A B A B ...: medians, ratios and their spread
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// The machine's ceiling: the same frames through a relay, without a broker
    #[command(disable_help_flag = true)]
    Limit(Scenario),
    /// Number every message, and look for lost, doubled and reordered ones
    #[command(disable_help_flag = true)]
    Verify(Scenario),
    /// What idle connections, queues and bindings cost the broker in bytes
    Scale(ScaleArgs),
}

/// Does what the command says and writes the result to `out`. An error is what went wrong, also
/// after a result was written.
pub fn run(command: &PerfCommand, out: &mut impl Write) -> anyhow::Result<()> {
    let interrupts = Interrupts::watch()?;
    let mut print = |text: &str| match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Who closes the pipe early has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    };
    let flow = interrupts.begin();
    let (scenario, outcome) = match &command.action {
        Some(Action::Compare(arguments)) => {
            let (text, failure) = compare::compare(arguments, &interrupts)?;
            print(&text)?;
            return failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!("{failure}")));
        }
        Some(Action::Scale(arguments)) => {
            return Ok(print(&scale::scale(arguments, &interrupts)?)?);
        }
        Some(Action::Limit(scenario)) => (scenario, limit::limit(scenario, &flow)),
        Some(Action::Verify(scenario)) => {
            anyhow::ensure!(
                scenario.size as usize >= crate::stamp::STAMP_LENGTH,
                "a body of {} octets has no room for a number: --size 16 or more",
                scenario.size
            );
            anyhow::ensure!(
                scenario.producers > 0 && scenario.consumers > 0,
                "verifying takes publishers and consumers"
            );
            (scenario, load::run(scenario, true, &flow))
        }
        None => (&command.scenario, load::run(&command.scenario, false, &flow)),
    };
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            // Who reads JSON reads it whatever comes.
            if scenario.output == Output::Json {
                print(&format!("{:#}\n", json!({ "failure": format!("{error:#}") })))?;
            }
            return Err(error);
        }
    };
    print(&report.render(scenario))?;
    if let Some(failure) = &report.failure {
        anyhow::bail!("the run ended early: {failure}");
    }
    anyhow::ensure!(report.is_clean(), "not every message arrived as it should");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        perf: PerfCommand,
    }

    #[test]
    fn the_command_line_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn every_example_can_be_read() {
        let examples = EXAMPLES.lines().chain(COMPARE_EXAMPLES.lines());
        let examples = examples.filter_map(|line| line.trim().strip_prefix("shunt perf "));
        for example in examples {
            // What follows several spaces is for people; quotes are the shell's.
            let line = example.split("   ").next().unwrap_or(example).replace('\'', "");
            let words = line.split_whitespace().filter(|word| !word.starts_with("x-wasm"));
            if !line.contains("-t x-wasm") {
                let read = Line::try_parse_from(["perf"].into_iter().chain(words));
                assert!(read.is_ok(), "{example}: {read:?}");
            }
        }
    }
}
