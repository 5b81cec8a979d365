//! Loads an AMQP 0-9-1 broker and says how fast it was.
//!
//! Publishers write frames that were encoded once, a batch per write; consumers cut frames in
//! place and count. So the broker is what costs time, not this program. Every message is
//! counted: one that does not arrive, or arrives twice, is a failure of the run.
//!
//! Without confirms a publisher waits while too many messages are on their way (`--in-flight`),
//! so that queues stay short and the rate is one that the broker can keep up.
//!
//! Standard output gets one line of JSON and one for people; errors go to standard error. Exit
//! code 0: all arrived; 1: some were lost or doubled, or the run failed.

mod consumer;
mod flow;
mod options;
mod process;
mod publisher;
mod report;
mod run;
mod topology;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;

use crate::options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    match run::run(&options) {
        Ok(report) => {
            // Who closes the pipe early has read enough.
            let _ = report.write(&options, &mut io::stdout().lock());
            if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("shunt-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
