//! A blocking connection: the handshake, calls that wait for their answer, and the bytes.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use shunt_amqp_codec::method::{
    ChannelClose, ChannelOpen, ChannelOpenOk, ConnectionClose, ConnectionCloseOk, ConnectionOpen,
    ConnectionOpenOk, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionTuneOk,
    method_name,
};
use shunt_amqp_codec::{
    Frame, FrameError, FrameKind, Method, MethodError, PROTOCOL_HEADER, put_method,
};
use shunt_types::limits::FRAME_MAX;
use shunt_types::{FieldTable, MethodId, Reader, TableRef, Value};

use crate::socket;
use crate::uri::AmqpUri;

/// Twice the largest frame, so that reads stay large while one frame is incomplete.
const BUFFER_SIZE: usize = 2 * FRAME_MAX as usize;

/// How long the answer to a call may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the answer to a goodbye may take. Nothing depends on it, and a broker that hangs has
/// kept the run waiting before.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a broker may leave what we write unread: longer than an alarm or flow control that a
/// run could outlast.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a connection could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the socket failed")]
    Io(#[from] io::Error),
    #[error("the broker sent no frame")]
    Frame(#[from] FrameError),
    #[error("the broker sent no method")]
    Method(#[from] MethodError),
    #[error("the broker closed the socket without a word")]
    EndOfStream,
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the broker refused: {code} {text}")]
    Closed { channel: u16, code: u16, text: String },
    #[error("waited for {expected}, got {found}")]
    Unexpected { expected: &'static str, found: String },
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// At least one byte.
    Bytes,
    /// Nothing within the read timeout.
    TimedOut,
}

/// The reading half: a socket and the bytes that were read but not yet taken.
#[derive(Debug)]
pub(crate) struct Inbox {
    stream: Arc<TcpStream>,
    /// `buffer[start..end]` was read and not yet taken.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Inbox {
    fn new(stream: Arc<TcpStream>) -> Self {
        let buffer = vec![0; BUFFER_SIZE].into_boxed_slice();
        Self { stream, buffer, start: 0, end: 0 }
    }

    /// What was read and not yet taken.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes so many of the unread bytes.
    #[inline]
    pub(crate) fn consume(&mut self, length: usize) {
        self.start += length;
        debug_assert!(self.start <= self.end);
    }

    /// [`fill`](Self::fill) if there is something to read, without waiting for it. The end of the
    /// stream is not seen.
    pub(crate) fn fill_with_what_came(&mut self) -> Result<Filled, ConnectionError> {
        match rustix::io::ioctl_fionread(&*self.stream) {
            Ok(0) => Ok(Filled::TimedOut),
            Ok(_) => self.fill(),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// One read from the socket, into the free part of the buffer.
    pub(crate) fn fill(&mut self) -> Result<Filled, ConnectionError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match (&*self.stream).read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(ConnectionError::EndOfStream),
                Ok(length) => {
                    self.end += length;
                    return Ok(Filled::Bytes);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(Filled::TimedOut),
                    _ => return Err(error.into()),
                },
            }
        }
    }

    /// The next frame of those that were read already.
    pub(crate) fn peek(&self) -> Result<Option<Frame<'_>>, ConnectionError> {
        Ok(Frame::parse(self.unread(), FRAME_MAX)?.map(|(frame, _)| frame))
    }

    /// Takes that frame.
    pub(crate) fn skip_frame(&mut self) -> Result<(), ConnectionError> {
        if let Some((_, length)) = Frame::parse(self.unread(), FRAME_MAX)? {
            self.consume(length);
        }
        Ok(())
    }

    /// How long a read may wait; see [`Filled::TimedOut`].
    pub(crate) fn set_timeout(&self, timeout: Duration) -> Result<(), ConnectionError> {
        Ok(self.stream.set_read_timeout(Some(timeout))?)
    }

    /// Waits for the next frame that is no heartbeat, and takes it.
    fn wait(&mut self) -> Result<Frame<'_>, ConnectionError> {
        let length = loop {
            let next = Frame::parse(self.unread(), FRAME_MAX)?;
            match next.map(|(frame, length)| (frame.kind, length)) {
                Some((FrameKind::Heartbeat, length)) => self.consume(length),
                Some((_, length)) => break length,
                None if self.fill()? == Filled::TimedOut => {
                    let waited = self.stream.read_timeout()?.unwrap_or_default();
                    return Err(ConnectionError::TimedOut(waited));
                }
                None => {}
            }
        };
        let frame = &self.buffer[self.start..self.end];
        self.start += length;
        Frame::parse(frame, FRAME_MAX)?.map(|(frame, _)| frame).ok_or(ConnectionError::EndOfStream)
    }
}

/// A connection to a broker.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    pub(crate) inbox: Inbox,
    /// The largest frame either side may send, in octets, as negotiated.
    pub(crate) frame_max: u32,
    /// Without a handshake: what is at the other end is no broker.
    bare: bool,
}

/// The writing half.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Arc<TcpStream>);

impl Writer {
    /// Writes bytes as they are.
    #[inline]
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), ConnectionError> {
        Ok((&*self.0).write_all(bytes)?)
    }
}

impl Connection {
    /// A connection on which nothing is said yet.
    pub(crate) fn bare(stream: TcpStream) -> Result<Self, ConnectionError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let stream = Arc::new(stream);
        let inbox = Inbox::new(Arc::clone(&stream));
        Ok(Self { stream, inbox, frame_max: FRAME_MAX, bare: true })
    }

    /// Whether it was made by [`bare`](Self::bare).
    pub(crate) fn is_bare(&self) -> bool {
        self.bare
    }

    /// Its writing half.
    pub(crate) fn writer(&self) -> Writer {
        Writer(Arc::clone(&self.stream))
    }

    /// Connects and goes through the handshake up to connection.open-ok, without heartbeats.
    pub(crate) fn open(uri: &AmqpUri) -> Result<Self, ConnectionError> {
        let mut connection = Self::bare(socket::connect((uri.host.as_str(), uri.port))?)?;
        connection.bare = false;
        connection.send(&PROTOCOL_HEADER)?;
        connection.expect(0, ConnectionStart::ID)?;

        let properties = EncodedTable::new(&client_properties());
        let response = format!("\0{}\0{}", uri.user, uri.password);
        connection.send_method(
            0,
            ConnectionStartOk {
                client_properties: properties.as_ref(),
                mechanism: "PLAIN",
                response: response.as_bytes(),
                locale: "en_US",
            },
        )?;
        let tune = connection.expect(0, ConnectionTune::ID)?;
        let Method::ConnectionTune(tune) = tune else { return Err(ConnectionError::EndOfStream) };
        // 0 is the broker's word for no limit.
        let frame_max = if tune.frame_max == 0 { FRAME_MAX } else { tune.frame_max.min(FRAME_MAX) };
        let tune_ok = ConnectionTuneOk { channel_max: tune.channel_max, frame_max, heartbeat: 0 };
        connection.frame_max = frame_max;
        connection.send_method(0, tune_ok)?;
        connection.call(0, ConnectionOpen { virtual_host: &uri.vhost }, ConnectionOpenOk::ID)?;
        Ok(connection)
    }

    /// Opens a channel.
    pub(crate) fn open_channel(&mut self, channel: u16) -> Result<(), ConnectionError> {
        self.call(channel, ChannelOpen {}, ChannelOpenOk::ID)?;
        Ok(())
    }

    /// Writes bytes as they are.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), ConnectionError> {
        Ok((&*self.stream).write_all(bytes)?)
    }

    /// Writes one method frame.
    pub(crate) fn send_method<'a>(
        &self,
        channel: u16,
        method: impl Into<Method<'a>>,
    ) -> Result<(), ConnectionError> {
        let mut bytes = Vec::new();
        put_method(&mut bytes, channel, method);
        self.send(&bytes)
    }

    /// Writes a method and waits for its answer.
    pub(crate) fn call<'a>(
        &mut self,
        channel: u16,
        method: impl Into<Method<'a>>,
        answer: MethodId,
    ) -> Result<Method<'_>, ConnectionError> {
        self.send_method(channel, method)?;
        self.expect(channel, answer)
    }

    /// Waits for a method. A close of the connection or of a channel is
    /// [`ConnectionError::Closed`].
    pub(crate) fn expect(
        &mut self,
        channel: u16,
        expected: MethodId,
    ) -> Result<Method<'_>, ConnectionError> {
        let frame = self.inbox.wait()?;
        refuse_close(&frame)?;
        let unexpected = |found: String| ConnectionError::Unexpected {
            expected: method_name(expected).unwrap_or("a method"),
            found,
        };
        if frame.kind != FrameKind::Method {
            return Err(unexpected(format!("a frame of kind {:?}", frame.kind)));
        }
        let method = Method::decode(frame.payload)?;
        if method.id() != expected || frame.channel != channel {
            return Err(unexpected(format!("{} on channel {}", method.name(), frame.channel)));
        }
        Ok(method)
    }

    /// Gives the read buffer back: a connection that is only to stay open.
    pub(crate) fn idle(mut self) -> Self {
        self.inbox.buffer = Box::default();
        self
    }

    /// Says goodbye. What the broker still sends before its answer is dropped, unless it says
    /// that the broker closed the channel.
    pub(crate) fn close(self) -> Result<(), ConnectionError> {
        self.close_with(|_| {})
    }

    /// Says goodbye, and shows every frame that comes before the answer.
    pub(crate) fn close_with(
        mut self,
        mut see: impl FnMut(&Frame<'_>),
    ) -> Result<(), ConnectionError> {
        self.inbox.set_timeout(GOODBYE_TIMEOUT)?;
        let close =
            ConnectionClose { reply_code: 200, reply_text: "goodbye", class_id: 0, method_id: 0 };
        self.send_method(0, close)?;
        loop {
            let frame = self.inbox.wait()?;
            refuse_close(&frame)?;
            if is_method(&frame, ConnectionCloseOk::ID) {
                return Ok(());
            }
            see(&frame);
        }
    }
}

/// Whether a frame is this method.
#[inline]
pub(crate) fn is_method(frame: &Frame<'_>, id: MethodId) -> bool {
    let [c0, c1] = id.class.to_be_bytes();
    let [m0, m1] = id.method.to_be_bytes();
    frame.kind == FrameKind::Method && frame.payload.starts_with(&[c0, c1, m0, m1])
}

/// Turns connection.close and channel.close into an error, all else into `Ok`.
pub(crate) fn refuse_close(frame: &Frame<'_>) -> Result<(), ConnectionError> {
    if ![ConnectionClose::ID, ChannelClose::ID].into_iter().any(|id| is_method(frame, id)) {
        return Ok(());
    }
    let (code, text) = match Method::decode(frame.payload)? {
        Method::ConnectionClose(close) => (close.reply_code, close.reply_text),
        Method::ChannelClose(close) => (close.reply_code, close.reply_text),
        _ => return Ok(()),
    };
    Err(ConnectionError::Closed { channel: frame.channel, code, text: text.to_owned() })
}

/// A field table as bytes, for methods that borrow theirs.
#[derive(Clone, Debug)]
pub(crate) struct EncodedTable(Vec<u8>);

impl EncodedTable {
    pub(crate) fn new(table: &FieldTable) -> Self {
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        Self(bytes)
    }

    pub(crate) fn as_ref(&self) -> TableRef<'_> {
        // What `FieldTable` encodes can be read, but for a table nested beyond every bound.
        TableRef::decode(&mut Reader::new(&self.0)).unwrap_or(TableRef::EMPTY)
    }
}

fn client_properties() -> FieldTable {
    let capabilities = [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "authentication_failure_close",
    ];
    let capabilities = capabilities.map(|name| (name.to_owned(), Value::Boolean(true)));
    let mut properties = FieldTable::new();
    properties.insert("product", Value::from("shunt perf"));
    properties.insert("version", Value::from(env!("CARGO_PKG_VERSION")));
    properties.insert("capabilities", Value::Table(capabilities.into_iter().collect()));
    properties
}
