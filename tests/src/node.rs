//! A broker as a process of its own, on free ports and a folder that goes with it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binary::command;
use crate::http::Http;
use crate::small_disk::SmallDisk;
use crate::wait::Deadline;

/// Time for a start or a stop; a machine under load needs some.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of its log a failed test shows.
const LOG_SHOWN_MAX: usize = 64 << 10;

/// Settings of a node to be.
#[derive(Clone, Debug, Default)]
pub struct NodeBuilder {
    /// Lines of its configuration file.
    settings: String,
    arguments: Vec<String>,
    /// Where its data are, if not beside its log.
    data: Option<PathBuf>,
}

impl NodeBuilder {
    /// A setting as in the configuration file, such as `http.lease_timeout_s`, `1`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push_str(&format!("{name} = {value}\n"));
        self
    }

    /// One more argument of the command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Has it keep its data on that file system, which must outlive it.
    #[must_use]
    pub fn on_disk(mut self, disk: &SmallDisk) -> Self {
        self.data = Some(disk.path().join("data"));
        self
    }

    /// Starts the node on a new folder.
    pub fn start(self) -> anyhow::Result<Node> {
        let place = tempfile::Builder::new().prefix("shunt-test-").tempdir()?;
        fs::write(place.path().join("shunt.toml"), &self.settings)?;
        let process = Process::start(&self, place.path())?;
        Ok(Node { builder: self, place, process })
    }
}

/// A running node; it is killed when this is dropped, and its folder removed.
#[derive(Debug)]
pub struct Node {
    builder: NodeBuilder,
    place: TempDir,
    process: Process,
}

impl Node {
    /// A node with the default settings, but on free ports.
    pub fn start() -> anyhow::Result<Self> {
        NodeBuilder::default().start()
    }

    /// For a node with other settings.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// Where AMQP clients connect.
    pub fn amqp(&self) -> SocketAddr {
        self.process.amqp
    }

    /// Where HTTP clients connect.
    pub fn http_address(&self) -> SocketAddr {
        self.process.http
    }

    /// An HTTP client of the administrator.
    pub fn http(&self) -> Http {
        Http::new(self.process.http).user("guest", "guest")
    }

    /// For clients that want a URL.
    pub fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.process.amqp)
    }

    /// The line that said that it is ready.
    pub fn ready_line(&self) -> &str {
        &self.process.ready_line
    }

    /// Where it keeps its files.
    pub fn data_dir(&self) -> PathBuf {
        self.builder.data.clone().unwrap_or_else(|| self.place.path().join("data"))
    }

    /// What it logged, over all its starts.
    pub fn log(&self) -> String {
        read_log(self.place.path())
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.process.child.id()
    }

    /// Memory that it holds, in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .context("no VmRSS")?
            .trim()
            .parse()?;
        Ok(kib << 10)
    }

    /// Asks it to stop, as a service manager does.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.wait()
    }

    /// Stops it by SIGTERM.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.terminate()?;
        self.wait()
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.child.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again on the same folder, on other ports; it must have ended.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = Process::start(&self.builder, self.place.path())?;
        Ok(())
    }
}

impl Node {
    /// Starts it on the same folder and ends it after that time, ready or not; it must have
    /// ended before.
    pub fn start_and_kill(&self, after: Duration) -> anyhow::Result<()> {
        let mut child = Process::spawn(&self.builder, self.place.path())?;
        std::thread::sleep(after);
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_SHOWN_MAX));
            eprintln!("---- the node's log\n{}----", &log[start..]);
        }
    }
}

#[derive(Debug)]
struct Process {
    child: Child,
    amqp: SocketAddr,
    http: SocketAddr,
    ready_line: String,
}

impl Process {
    fn spawn(builder: &NodeBuilder, place: &Path) -> anyhow::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(place.join("log"))?;
        let mut command = command(["--amqp-listen", "127.0.0.1:0", "--http-listen"])?;
        let data = builder.data.clone().unwrap_or_else(|| place.join("data"));
        command.args(["127.0.0.1:0", "--data-dir"]).arg(data);
        command.arg("--config").arg(place.join("shunt.toml")).args(&builder.arguments);
        Ok(command.stdout(Stdio::piped()).stderr(log).spawn()?)
    }

    fn start(builder: &NodeBuilder, place: &Path) -> anyhow::Result<Self> {
        let mut child = Self::spawn(builder, place)?;
        match ready_line(&mut child) {
            Ok((amqp, http, ready_line)) => Ok(Self { child, amqp, http, ready_line }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.context(read_log(place)))
            }
        }
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.child.id().try_into()?).context("a process has a number")?;
        kill_process(pid, signal).context("the node can't be signalled")
    }

    fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let child = &mut self.child;
        Deadline::after(PATIENCE)
            .poll("the node's end", || child.try_wait().transpose())?
            .context("the node can't be waited for")
    }
}

/// Waits for the line that says where the node listens.
fn ready_line(child: &mut Child) -> anyhow::Result<(SocketAddr, SocketAddr, String)> {
    let stdout = child.stdout.take().context("standard output is a pipe")?;
    let (sender, receiver) = mpsc::channel();
    // The thread stays for as long as the node does, so that a write never blocks or fails.
    std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = stdout.read_line(&mut line).map(|_| line);
        let _ = sender.send(read);
        let _ = std::io::copy(&mut stdout, &mut std::io::sink());
    });
    let line = receiver.recv_timeout(PATIENCE).map_err(|_| anyhow!("no line of readiness"))??;
    let line = line.trim_end().to_owned();
    if line.is_empty() {
        bail!("the node ended before it was ready");
    }
    let address = |before: &str| {
        let rest = line.split_once(before).map(|(_, rest)| rest);
        let text = rest.and_then(|rest| rest.split(',').next());
        text.and_then(|text| text.parse().ok()).with_context(|| format!("not ready: {line}"))
    };
    Ok((address("AMQP on ")?, address("HTTP on http://")?, line))
}

fn read_log(place: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(place.join("log")) {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
