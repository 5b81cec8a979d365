//! `shunt perf`: loads an AMQP 0-9-1 broker and says how fast it was.
//!
//! May depend on `shunt-types` and `shunt-amqp-codec`, and must never know the broker, its
//! storage, routes or HTTP API: whatever speaks AMQP 0-9-1 is measured alike.
//!
//! Publishers write frames that were encoded once, a batch per write; consumers look at a
//! delivery's frames in the buffer that they were read into, and pass over bodies. So the broker
//! is what costs time, not this program. Every message is counted: one that does not arrive, or
//! arrives twice, is a failure of the run.
//!
//! Without confirms a publisher waits while too many messages are on their way (`--in-flight`), so
//! that queues stay short and the rate is one that the broker keeps up.
//!
//! ```no_run
//! use clap::Parser;
//! use shunt_perf::PerfCommand;
//!
//! #[derive(Parser)]
//! #[command(disable_help_flag = true)]
//! struct Line {
//!     #[command(flatten)]
//!     perf: PerfCommand,
//! }
//!
//! let line = Line::parse_from(["perf", "--size", "1024", "--autoack", "--time", "3"]);
//! shunt_perf::run(&line.perf, &mut std::io::stdout()).unwrap();
//! ```

mod command;

mod compare;
mod limit;
mod load;
mod scale;

mod pair;
mod scenario;
mod topology;
mod uri;

mod answers;
mod batch;
mod pace;
mod publisher;
mod window;

mod consumer;
mod ledger;
mod tally;

mod connection;
mod flow;
mod interrupt;
mod socket;
mod stamp;

mod broker;
mod clock;
mod latency;
mod process;
mod report;

pub use command::{PerfCommand, run};
