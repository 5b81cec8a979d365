//! Reading from the socket into one buffer, which belongs to the shard while the connection is
//! idle; a long body that is seen coming is read to where it stays.

use std::io;
use std::rc::Rc;

use shunt_amqp_codec::PublishSizes;
use shunt_types::limits::READ_BATCH_MAX;
use socket2::{MaybeUninitSlice, SockRef};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::shared::Shared;

/// A leftover up to this many bytes gets a small buffer of its own, so that a client that stops
/// in the middle of a frame doesn't keep a large one.
const SMALL: usize = 4_096;

/// Room for what follows a long body, or comes where the next one is expected: enough to see it
/// coming, and little to copy.
const BESIDE_BODY: usize = 4_096;

/// What a buffer may hold on to while long bodies come, one after the other.
const BESIDE_BODY_KEPT: usize = SMALL + BESIDE_BODY;

/// A socket, and the bytes that came and were not acted on yet.
pub(crate) struct Input {
    stream: Rc<TcpStream>,
    shared: Rc<Shared>,
    pending: Pending,
}

/// What came and was not acted on yet.
#[derive(Default)]
pub(super) struct Pending {
    buffer: Vec<u8>,
    /// On its way; what stands before it and what follows it are in the buffer.
    body: Option<LongBody>,
    /// The next publish will be like the last one, which had a long body.
    expects_long_body: bool,
    /// The last read took no less than it had room for, which was little.
    has_more: bool,
}

/// A body apart from the frames around it.
pub(super) struct LongBody {
    pub(super) bytes: Vec<u8>,
    pub(super) sizes: PublishSizes,
}

impl Input {
    pub(crate) fn new(stream: Rc<TcpStream>, shared: Rc<Shared>) -> Self {
        Self { stream, shared, pending: Pending::default() }
    }

    /// Goes on where another reader of the connection left off.
    pub(super) fn go_on(&mut self, pending: Pending) {
        self.pending = pending;
    }

    /// Gives up the socket, which nobody else may hold any more, with what was not acted on.
    ///
    /// # Errors
    /// The system's, where the socket can't be taken away from its runtime.
    pub(super) fn give_up(self) -> io::Result<(std::net::TcpStream, Pending)> {
        let stream = Rc::into_inner(self.stream).ok_or(io::ErrorKind::ResourceBusy)?;
        Ok((stream.into_std()?, self.pending))
    }

    /// Reads once what the socket has; 0 at its end.
    ///
    /// # Errors
    /// The socket's; `Interrupted` where the connection wants to move.
    pub(crate) async fn read(&mut self) -> io::Result<usize> {
        loop {
            tokio::select! {
                biased;
                () = self.shared.wake_reader.notified() => {
                    if self.shared.dead.get() {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    if self.shared.affinity.wish().is_some() {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    continue;
                }
                ready = self.stream.readable() => ready?,
            }
            match self.try_read() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Reads once more where that is sure to find something; `None` where it is not, or where the
    /// next [`Input::read`] will say what is wrong.
    pub(super) fn read_on(&mut self) -> Option<usize> {
        if !self.pending.has_more {
            return None;
        }
        self.try_read().ok().filter(|&count| count > 0)
    }

    fn try_read(&mut self) -> io::Result<usize> {
        let is_long = self.pending.body.is_some() || self.pending.expects_long_body;
        let read = if is_long { self.read_beside_body() } else { self.read_into_buffer() };
        match &read {
            Ok(_) => self.shared.reads.set(self.shared.reads.get() + 1),
            Err(_) => {
                self.pending.has_more = false;
                self.rest(0);
            }
        }
        read
    }

    fn read_into_buffer(&mut self) -> io::Result<usize> {
        self.pending.has_more = false;
        let missing = self.shared.frame_max.get() as usize + 64;
        let room = READ_BATCH_MAX.max(missing);
        if self.pending.buffer.capacity() < room {
            let mut larger = self.shared.pool.take();
            larger.extend_from_slice(&self.pending.buffer);
            larger.reserve_exact(room.saturating_sub(larger.len()));
            self.replace_buffer(larger);
        }
        self.stream.try_read_buf(&mut self.pending.buffer)
    }

    fn read_beside_body(&mut self) -> io::Result<usize> {
        let mut none = Vec::new();
        let (body, missing) = match &mut self.pending.body {
            Some(body) => {
                let missing = body.sizes.body - body.bytes.len();
                (&mut body.bytes, missing)
            }
            None => (&mut none, 0),
        };
        let parts = [(body, missing), (&mut self.pending.buffer, BESIDE_BODY)];
        let count = read_scattered(&self.stream, parts)?;
        self.pending.has_more = count == missing + BESIDE_BODY;
        Ok(count)
    }

    /// The buffer begins with a publish, the body of which is under way.
    pub(super) fn await_body(&mut self, sizes: PublishSizes) {
        let mut bytes = Vec::with_capacity(sizes.body);
        bytes.extend_from_slice(&self.pending.buffer[sizes.head..]);
        self.pending.buffer.truncate(sizes.head);
        self.pending.body = Some(LongBody { bytes, sizes });
        self.rest(BESIDE_BODY_KEPT);
    }

    /// Whether the next publish is likely to have a long body, so that little is to be read until
    /// it is seen.
    pub(super) fn expect_long_body(&mut self, expects: bool) {
        self.pending.expects_long_body = expects;
    }

    /// Whether the body that was awaited is there with the octet that ends it, or none was.
    pub(super) fn is_body_there(&self) -> bool {
        self.pending.body.as_ref().is_none_or(|body| {
            body.bytes.len() == body.sizes.body && self.pending.buffer.len() > body.sizes.head
        })
    }

    /// The body that was awaited.
    pub(super) fn take_body(&mut self) -> Option<LongBody> {
        self.pending.body.take()
    }

    /// Says that no more is written, and drops what still comes until the peer ends too.
    pub(crate) async fn drain(&mut self) {
        let socket = SockRef::from(&*self.stream);
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
        std::mem::take(&mut self.pending.buffer)
    }

    /// Keeps what was not consumed.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>, consumed: usize) {
        buffer.drain(..consumed);
        self.pending.buffer = buffer;
        self.rest(BESIDE_BODY_KEPT);
    }

    /// Gives up a buffer of more than `kept` bytes where little or nothing is in it.
    fn rest(&mut self, kept: usize) {
        let length = self.pending.buffer.len();
        if length <= SMALL && self.pending.buffer.capacity() > kept.max(length) {
            let small = self.pending.buffer.as_slice().to_vec();
            self.replace_buffer(small);
        }
    }

    fn replace_buffer(&mut self, buffer: Vec<u8>) {
        let old = std::mem::replace(&mut self.pending.buffer, buffer);
        // A small one would have to grow for the next user.
        if old.capacity() > BESIDE_BODY_KEPT {
            self.shared.pool.give_back(old);
        }
    }
}

/// Reads once what the socket has behind what is in the vectors, into the second one where the
/// first has taken as many bytes as are named with it; answers how many came.
#[expect(unsafe_code, reason = "room for a body would have to be written twice")]
fn read_scattered(stream: &TcpStream, parts: [(&mut Vec<u8>, usize); 2]) -> io::Result<usize> {
    let [(first, first_room), (second, second_room)] = parts;
    first.reserve_exact(first_room);
    second.reserve_exact(second_room);
    let count = stream.try_io(Interest::READABLE, || {
        let first = &mut first.spare_capacity_mut()[..first_room];
        let second = &mut second.spare_capacity_mut()[..second_room];
        let mut slices = [MaybeUninitSlice::new(first), MaybeUninitSlice::new(second)];
        Ok(SockRef::from(stream).recv_vectored(&mut slices)?.0)
    })?;
    let in_first = count.min(first_room);
    let in_second = count - in_first;
    assert!(in_second <= second_room, "the kernel wrote {count} bytes into less room");
    // SAFETY: both vectors have the room, and the kernel wrote `count` bytes into it: it fills the
    // first slice before it begins with the second.
    unsafe {
        first.set_len(first.len() + in_first);
        second.set_len(second.len() + in_second);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_into_the_first_part_comes_into_the_second() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        for (sent, rooms) in [
            (&b"abcdef"[..], [4, 10]),
            (b"abcd", [4, 10]),
            (b"abc", [4, 10]),
            (b"abc", [0, 10]),
            (b"abcdef", [4, 2]),
        ] {
            io::Write::write_all(&mut client, sent).unwrap();
            let (mut first, mut second) = (b"1".to_vec(), b"2".to_vec());
            let mut read = 0;
            while read < sent.len() {
                stream.readable().await.unwrap();
                let left = rooms[0] - (first.len() - 1);
                let parts = [(&mut first, left), (&mut second, rooms[1])];
                match read_scattered(&stream, parts) {
                    Ok(count) => read += count,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            let (in_first, in_second) = sent.split_at(sent.len().min(rooms[0]));
            assert_eq!(first, [b"1", in_first].concat());
            assert_eq!(second, [b"2", in_second].concat());
        }
    }
}
