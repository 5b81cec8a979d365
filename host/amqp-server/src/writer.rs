//! The writing half of a connection: output to the socket, heartbeats, and the mail of other
//! shards.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use shunt_amqp_codec::method::BasicConsumeOk;
use shunt_amqp_codec::{put_deliver, put_heartbeat};
use shunt_broker::ports::Delivery;
use shunt_broker::{Consumer, Task};
use shunt_types::limits::CONNECTION_OUTPUT_LOW;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::channel::confirms::channel_of;
use crate::mailbox::Mail;
use crate::output::OutputQueue;
use crate::shared::{RemoteConsumer, Shared};
use crate::sink::cancel_by_server;

/// Pieces that one vectored write takes.
const SLICES: usize = 64;

/// Heartbeat intervals without a byte from the client after which it is gone: RabbitMQ's reader
/// gives up between two and three.
const SILENT_HALVES_MAX: u32 = 5;

/// Runs until the connection is dead, or closing with everything written.
pub(crate) async fn write_loop(shared: Rc<Shared>, stream: Rc<TcpStream>) {
    let writer = Writer { shared: shared.clone(), stream };
    if let Err(error) = writer.run().await {
        tracing::debug!(%error, "writing to a client failed");
    }
    shared.kill();
}

struct Writer {
    shared: Rc<Shared>,
    stream: Rc<TcpStream>,
}

impl Writer {
    async fn run(&self) -> io::Result<()> {
        let mut silence = Silence::default();
        loop {
            self.open_mail();
            self.write_all().await?;
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
            let half = Duration::from_millis(u64::from(self.shared.heartbeat_s.get()) * 500);
            tokio::select! {
                () = self.shared.wake_writer.notified() => {}
                () = self.shared.mailbox.arrived.notified() => {}
                () = silence.next_tick(half) => {
                    if silence.tick(self.shared.reads.get()) {
                        return Err(io::Error::new(
                            io::ErrorKind::TimedOut,
                            "missed heartbeats from client",
                        ));
                    }
                    let mut out = self.shared.out.borrow_mut();
                    out.prepare(&self.shared.pool);
                    put_heartbeat(&mut *out);
                }
            }
        }
    }

    async fn write_all(&self) -> io::Result<()> {
        let mut output = self.shared.out.borrow_mut().take();
        while !output.is_empty() {
            self.shared.writing.set(output.len());
            match write_some(&self.stream, &output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => output.advance(written, &self.shared.pool),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        ready = self.stream.writable() => ready?,
                        // Confirms and settlements must not wait for a slow reader of ours.
                        () = self.shared.mailbox.arrived.notified() => self.open_mail(),
                    }
                    if self.shared.dead.get() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.shared.writing.set(0);
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

    /// Works through what other shards sent.
    fn open_mail(&self) {
        for mail in self.shared.mailbox.take() {
            match mail {
                Mail::Consuming { serial, result, done } => {
                    if let Ok(consumer) = &result {
                        self.consuming(serial, *consumer);
                    }
                    // The reader may have gone meanwhile; then nobody waits.
                    let _ = done.send(result);
                }
                Mail::Deliveries { serial, consumer, deliveries, paused } => {
                    self.deliver(serial, consumer, deliveries);
                    if paused {
                        self.shared.paused.borrow_mut().push(consumer);
                    }
                }
                Mail::Cancelled { serial } => {
                    let known = self.shared.remote_consumers.borrow_mut().remove(&serial);
                    if let Some(known) = known {
                        cancel_by_server(&self.shared, &known.channel, &known.tag);
                    }
                }
                Mail::Confirms(confirmations) => {
                    for confirmation in confirmations {
                        if let Some(channel) = self.shared.channel(channel_of(confirmation.token)) {
                            let mut confirms = channel.confirms.borrow_mut();
                            confirms.answered(confirmation.token, confirmation.accepted);
                            drop(confirms);
                            self.shared.note_confirms(&channel);
                        }
                    }
                    self.shared.write_confirms();
                }
            }
        }
    }

    fn consuming(&self, serial: u64, consumer: Consumer) {
        let known = self.shared.remote_consumers.borrow();
        let Some(RemoteConsumer { channel, tag, no_wait }) = known.get(&serial) else { return };
        if let Some(entry) = channel.consumers.borrow_mut().get_mut(&**tag) {
            entry.consumer = Some(consumer);
        }
        if !no_wait {
            self.shared.send(channel.number, BasicConsumeOk { consumer_tag: tag });
        }
    }

    fn deliver(&self, serial: u64, consumer: Consumer, deliveries: Vec<Delivery>) {
        let known = self.shared.remote_consumers.borrow().get(&serial).cloned();
        let Some(RemoteConsumer { channel, tag, .. }) = known else {
            return self.send_back(consumer, deliveries);
        };
        let mut rest = deliveries.into_iter();
        let mut state = channel.deliveries.borrow_mut();
        let mut out = self.shared.out.borrow_mut();
        out.prepare(&self.shared.pool);
        let mut refused = Vec::new();
        for delivery in rest.by_ref() {
            if channel.closed.get() || (delivery.id.is_some() && !state.has_room()) {
                state.held_back.push(consumer);
                refused.push(delivery);
                break;
            }
            let delivery_tag = state.add(&delivery);
            put_deliver(
                &mut *out,
                channel.number,
                self.shared.frame_max.get(),
                &tag,
                delivery_tag,
                delivery.redelivered,
                &delivery.message,
            );
        }
        refused.extend(rest);
        drop((state, out));
        self.send_back(consumer, refused);
    }

    /// Gives deliveries back to their queue, as if they had not been made.
    fn send_back(&self, consumer: Consumer, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let shard = self.shared.shard.borrow();
        let inbox = shard.broker().inbox(consumer.queue.shard());
        inbox.post(Task::Call(Box::new(move |shard| {
            for delivery in deliveries {
                shard.return_undelivered(consumer.id, delivery);
            }
        })));
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
    async fn next_tick(&mut self, half: Duration) {
        if half.is_zero() {
            std::future::pending().await
        } else {
            let at = *self.at.get_or_insert_with(|| Instant::now() + half);
            tokio::time::sleep_until(at).await;
        }
    }

    /// Half a heartbeat interval went by; whether the client has been silent too long.
    fn tick(&mut self, reads: u64) -> bool {
        self.at = None;
        let spoke = std::mem::replace(&mut self.reads, reads) != reads;
        self.silent_halves = if spoke { 0 } else { self.silent_halves + 1 };
        self.silent_halves > SILENT_HALVES_MAX
    }
}
