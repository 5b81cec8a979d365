//! The writing half of a connection: output to the socket, and heartbeats. It opens the mail of
//! other shards too.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use shunt_amqp_codec::put_heartbeat;
use shunt_types::limits::CONNECTION_OUTPUT_LOW;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::output::OutputQueue;
use crate::shared::Shared;

/// Pieces that one vectored write takes.
const SLICES: usize = 64;

/// Heartbeat intervals without a byte from the client after which it is gone: RabbitMQ's reader
/// gives up between two and three.
const SILENT_HALVES_MAX: u32 = 4;

/// Runs until the connection is closing and everything is written. Where nothing can be written
/// any more, it only opens the mail: the reader may wait for another shard's answer. Of a connection that moves it
/// leaves what is not written in the output.
pub(crate) async fn write_loop(shared: Rc<Shared>, stream: Rc<TcpStream>, send_timeout: Duration) {
    let writer = Writer { shared: shared.clone(), stream, send_timeout };
    let ended = writer.run().await;
    if ended.is_ok() && shared.leaving.get() && !shared.dead.get() {
        return;
    }
    if let Err(error) = ended {
        tracing::debug!(%error, "writing to a client failed");
        // What waits will never be taken. A reset tells the client so as soon as it writes; a
        // farewell behind bytes that it doesn't read would never reach it.
        if let Err(error) = writer.stream.set_zero_linger() {
            tracing::debug!(%error, "a socket can't be reset");
        }
    }
    shared.kill();
    while !shared.closing.get() && !shared.leaving.get() {
        shared.open_mail();
        drop(shared.out.borrow_mut().take());
        tokio::select! {
            () = shared.wake_writer.notified() => {}
            () = shared.mailbox.arrived.notified() => {}
            () = shared.leave.notified() => {}
        }
    }
}

struct Writer {
    shared: Rc<Shared>,
    stream: Rc<TcpStream>,
    /// How long a client may take nothing of what waits for it.
    send_timeout: Duration,
}

impl Writer {
    async fn run(&self) -> io::Result<()> {
        let mut silence = Silence::default();
        loop {
            self.shared.open_mail();
            self.write_all(&mut silence).await?;
            self.resume_paused();
            if self.shared.dead.get() {
                return Ok(());
            }
            if !self.shared.out.borrow().is_empty() {
                continue;
            }
            if self.shared.closing.get() {
                return Ok(());
            }
            if self.shared.leaving.get() {
                return Ok(());
            }
            tokio::select! {
                () = self.shared.wake_writer.notified() => {}
                () = self.shared.mailbox.arrived.notified() => {}
                () = self.shared.leave.notified() => {}
                () = silence.next_tick(&self.shared) => {
                    silence.tick(&self.shared)?;
                    let mut out = self.shared.out.borrow_mut();
                    out.prepare(&self.shared.pool);
                    put_heartbeat(&mut *out);
                }
            }
        }
    }

    async fn write_all(&self, silence: &mut Silence) -> io::Result<()> {
        let mut output = self.shared.out.borrow_mut().take();
        let mut stalled_at = None;
        while !output.is_empty() {
            self.shared.writing.set(output.len());
            match write_some(&self.stream, &output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    stalled_at = None;
                    output.advance(written, &self.shared.pool);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let patience = *stalled_at.get_or_insert_with(Instant::now) + self.send_timeout;
                    tokio::select! {
                        ready = self.stream.writable() => ready?,
                        // Confirms and settlements must not wait for a slow reader of ours.
                        () = self.shared.mailbox.arrived.notified() => self.shared.open_mail(),
                        () = self.shared.leave.notified() => {}
                        // A peer that is gone takes nothing and says nothing.
                        () = silence.next_tick(&self.shared) => silence.tick(&self.shared)?,
                        () = tokio::time::sleep_until(patience) => {
                            let text = "the client takes nothing of what is sent to it";
                            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                        }
                    }
                    if self.shared.dead.get() {
                        return Ok(());
                    }
                    if self.shared.leaving.get() {
                        let mut out = self.shared.out.borrow_mut();
                        output.append(out.take());
                        *out = output;
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.shared.writing.set(0);
        self.shared.written.notify_one();
        Ok(())
    }

    /// Lets consumers go on that waited for room in the output.
    fn resume_paused(&self) {
        if self.shared.out.borrow().len() > CONNECTION_OUTPUT_LOW {
            return;
        }
        let paused = std::mem::take(&mut *self.shared.paused.borrow_mut());
        if paused.is_empty() {
            return;
        }
        let mut shard = self.shared.shard.borrow_mut();
        for consumer in paused {
            shard.resume(consumer.queue, consumer.id);
        }
        shard.flush();
    }
}

fn write_some(stream: &TcpStream, output: &OutputQueue) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = output.slices(&mut slices);
    stream.try_write_vectored(&slices[..count])
}

/// Watches for a client that says nothing, not even heartbeats.
#[derive(Default)]
struct Silence {
    at: Option<Instant>,
    reads: u64,
    silent_halves: u32,
}

impl Silence {
    /// Waits for the end of this half of a heartbeat interval; for ever without heartbeats.
    async fn next_tick(&mut self, shared: &Shared) {
        let half = Duration::from_millis(u64::from(shared.heartbeat_s.get()) * 500);
        if half.is_zero() {
            std::future::pending().await
        } else {
            let at = *self.at.get_or_insert_with(|| Instant::now() + half);
            tokio::time::sleep_until(at).await;
        }
    }

    /// Half a heartbeat interval went by.
    ///
    /// # Errors
    /// The client has been silent too long.
    fn tick(&mut self, shared: &Shared) -> io::Result<()> {
        self.at = None;
        let reads = shared.reads.get();
        // What we don't read may be heartbeats.
        let unread = shared.is_overfull() || shared.is_blocked.get();
        let spoke = std::mem::replace(&mut self.reads, reads) != reads || unread;
        self.silent_halves = if spoke { 0 } else { self.silent_halves + 1 };
        if self.silent_halves > SILENT_HALVES_MAX {
            let text = "missed heartbeats from client";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }
}
