//! Reading from the socket into one buffer, which belongs to the shard while the connection is
//! idle.

use std::io;
use std::rc::Rc;

use shunt_types::limits::READ_BATCH_MAX;
use tokio::net::TcpStream;

use crate::shared::Shared;

/// A leftover up to this many bytes gets a small buffer of its own, so that a client that stops
/// in the middle of a frame doesn't keep a large one.
const SMALL: usize = 4_096;

/// The bytes that came and were not acted on yet.
pub(crate) struct Input {
    stream: Rc<TcpStream>,
    shared: Rc<Shared>,
    buffer: Vec<u8>,
}

impl Input {
    pub(crate) fn new(stream: Rc<TcpStream>, shared: Rc<Shared>) -> Self {
        Self { stream, shared, buffer: Vec::new() }
    }

    /// Reads once what the socket has; 0 at its end.
    pub(crate) async fn read(&mut self) -> io::Result<usize> {
        loop {
            tokio::select! {
                biased;
                () = self.shared.wake_reader.notified() => {
                    if self.shared.dead.get() {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    continue;
                }
                ready = self.stream.readable() => ready?,
            }
            let missing = self.shared.frame_max.get() as usize + 64;
            let room = READ_BATCH_MAX.max(missing);
            if self.buffer.capacity() < room {
                let mut larger = self.shared.pool.take();
                larger.extend_from_slice(&self.buffer);
                larger.reserve_exact(room.saturating_sub(larger.len()));
                self.shared.pool.give_back(std::mem::replace(&mut self.buffer, larger));
            }
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(count) => {
                    self.shared.reads.set(self.shared.reads.get() + 1);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rest();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that no more is written, and drops what still comes until the peer ends too.
    pub(crate) async fn drain(&mut self) {
        let socket = socket2::SockRef::from(&*self.stream);
        if socket.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let mut dropped = [0; 4_096];
        while self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut dropped) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// The bytes so far, to be acted on; [`Input::give_back`] takes them again.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Keeps what was not consumed.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>, consumed: usize) {
        buffer.drain(..consumed);
        self.buffer = buffer;
        self.rest();
    }

    /// Gives a large buffer back to the shard where little or nothing is in it.
    fn rest(&mut self) {
        if self.buffer.len() <= SMALL && self.buffer.capacity() > SMALL {
            let small = self.buffer.as_slice().to_vec();
            self.shared.pool.give_back(std::mem::replace(&mut self.buffer, small));
        }
    }
}
