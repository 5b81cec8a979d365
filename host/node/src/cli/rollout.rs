//! The command line of traces, replays, shadows and canaries.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::route::GuardArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum TraceAction {
    /// Begin to record, in the place of an older trace of the route
    #[command(after_help = "\
Examples:
  shunt route trace start geo
  shunt route trace start geo --field headers.tenant --every 10 --seconds 600")]
    Start {
        /// The route's name
        name: String,
        /// A field beside those that the route's versions read, such as headers.tenant
        #[arg(long = "field", value_name = "FIELD")]
        fields: Vec<String>,
        /// Only messages of this exchange
        #[arg(long)]
        exchange: Option<String>,
        /// One message of this many
        #[arg(long, default_value_t = 1)]
        every: u64,
        /// Bytes on disk; the oldest messages make room for new ones
        #[arg(long, default_value_t = 64 * 1024 * 1024)]
        bytes: u64,
        /// Seconds after which it stops by itself
        #[arg(long, default_value_t = 3_600)]
        seconds: u64,
    },
    /// How the trace is doing
    Status {
        /// The route's name
        name: String,
    },
    /// End the recording
    Stop {
        /// The route's name
        name: String,
        /// Remove what was recorded
        #[arg(long)]
        discard: bool,
    },
    /// Write the trace to a file, for `shunt route replay --trace`
    Download {
        /// The route's name
        name: String,
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The route's name, to replay its trace on the node
    #[arg(required_unless_present = "trace", conflicts_with = "trace")]
    pub(crate) name: Option<String>,
    /// The candidate on the node
    #[arg(long, requires = "name")]
    pub(crate) version: Option<u32>,
    /// What it is compared with: on the node a version, the active one if it isn't given; with
    /// --trace a module's file
    #[arg(long, value_name = "VERSION|FILE")]
    pub(crate) against: Option<String>,
    /// A downloaded trace, to replay without a node
    #[arg(long, value_name = "FILE", requires = "module")]
    pub(crate) trace: Option<PathBuf>,
    /// The candidate's module, with --trace
    #[arg(value_name = "MODULE", long = "module", requires = "trace")]
    pub(crate) module: Option<PathBuf>,
    /// Take the bindings of this cases file in place of those that were recorded
    #[arg(long, value_name = "FILE", requires = "trace")]
    pub(crate) bindings: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guards: GuardArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShadowAction {
    /// Let a version run beside the active one, which alone delivers
    #[command(after_help = "Example: shunt route shadow start geo 3 --time-per-cent 5")]
    Start {
        /// The route's name
        name: String,
        /// The candidate
        version: u32,
        /// Of a thread's time, the most that goes into the candidate
        #[arg(long, default_value_t = 10)]
        time_per_cent: u32,
    },
    /// What it would do otherwise
    Status {
        /// The route's name
        name: String,
    },
    /// End it
    Stop {
        /// The route's name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CanaryAction {
    /// Give a version a part of the messages, and more of them step by step
    #[command(after_help = "\
Examples:
  shunt route canary start geo 3
  shunt route canary start geo 3 --steps 1,10,50,100 --interval 10m --field headers.tenant")]
    Start(CanaryArgs),
    /// Its share, and what the candidate and the active version did in this step
    Status {
        /// The route's name
        name: String,
    },
    /// Take it back: the active version decides about every message
    Stop {
        /// The route's name
        name: String,
    },
    /// Put the candidate in force now
    Promote {
        /// The route's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CanaryArgs {
    /// The route's name
    pub(crate) name: String,
    /// The candidate
    pub(crate) version: u32,
    /// Its shares, in per cent, one after another; after a last one of 100 it is promoted
    #[arg(long, value_delimiter = ',', default_value = "1,5,25,50,100")]
    pub(crate) steps: Vec<u32>,
    /// How long a step lasts: 500ms, 30s, 5m, 2h
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub(crate) interval: Duration,
    /// Draw messages by the value of this field, so that one value stays with one version
    #[arg(long)]
    pub(crate) field: Option<String>,
    /// Take it back above this share of failures, in per cent
    #[arg(long, value_name = "PER_CENT", default_value_t = 1.0)]
    pub(crate) max_failed: f64,
    /// Take it back where so many more of its messages are unroutable than of the active
    /// version's, in per cent
    #[arg(long, value_name = "PER_CENT", default_value_t = 1.0)]
    pub(crate) max_unroutable: f64,
    /// Take it back where the median time of its decisions is that many times the active
    /// version's; 0 is no bound
    #[arg(long, value_name = "FACTOR", default_value_t = 5.0)]
    pub(crate) max_time: f64,
    /// Take it back where the median fuel of its decisions is that many times the active
    /// version's; 0 is no bound
    #[arg(long, value_name = "FACTOR", default_value_t = 5.0)]
    pub(crate) max_fuel: f64,
    /// Messages that it has to have decided before a step ends
    #[arg(long, default_value_t = 100)]
    pub(crate) min_calls: u64,
}

/// A number with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time such as 500ms, 30s, 5m or 2h");
    let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["5", "m", "5 m", "-5s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
