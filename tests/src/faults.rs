//! System calls that fail, in a process that runs: by strace, which must be installed and allowed
//! to trace.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::node::Node;

/// System calls of a node fail until this is dropped.
#[derive(Debug)]
pub struct Faults {
    strace: Child,
    /// Kept open: strace ends when it can't say something any more.
    _said: BufReader<ChildStderr>,
}

impl Faults {
    /// Has each of these calls (strace's names, with commas between) fail with EIO, without being
    /// made. `None` where there is no strace, or where it may not trace, which CI does not excuse.
    pub fn inject(node: &Node, calls: &str) -> anyhow::Result<Option<Self>> {
        match Self::attach(node, calls) {
            Ok(faults) => Ok(Some(faults)),
            Err(error) if std::env::var("CI").is_ok_and(|ci| ci == "true") => Err(error),
            Err(error) => {
                eprintln!("skipped, no fault can be injected: {error:#}");
                Ok(None)
            }
        }
    }

    fn attach(node: &Node, calls: &str) -> anyhow::Result<Self> {
        let mut command = Command::new("strace");
        command.args(["--follow-forks", "--output=/dev/null"]);
        command.arg(format!("--trace={calls}")).arg(format!("--inject={calls}:error=EIO"));
        command.arg(format!("--attach={}", node.process_id()));
        let mut strace = command.stderr(Stdio::piped()).spawn().context("strace")?;
        let said = strace.stderr.take().context("strace has no stderr")?;
        let mut said = BufReader::new(said);
        let mut line = String::new();
        said.read_line(&mut line)?;
        if !line.contains("attached") {
            let status = strace.wait()?;
            bail!("strace ended with {status}: {}", line.trim());
        }
        Ok(Self { strace, _said: said })
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // Killed without a chance to detach, it could leave the node stopped.
        if let Some(id) = Pid::from_raw(self.strace.id() as i32) {
            let _ = kill_process(id, Signal::INT);
        }
        let _ = self.strace.wait();
    }
}
