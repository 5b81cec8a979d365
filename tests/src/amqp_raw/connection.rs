//! A blocking connection: the handshake for those who want it, and the bytes for those who don't.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{
    AmqpUri, Args, Fields, Frame, FrameError, FrameKind, MethodId, Value, cut, method, push_method,
};

/// What a client says first.
const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The largest frame that this side accepts, and so half of what the read buffer holds.
const FRAME_MAX: u32 = 128 << 10;
const READ_BUFFER: usize = 2 * FRAME_MAX as usize;

/// How long an answer may take; a test that expects none asks for less.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may leave what we write unread: longer than flow control ever holds it back.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a connection could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// The socket failed.
    #[error("socket")]
    Io(#[from] io::Error),
    /// The peer sent bytes that are no frame.
    #[error("peer sent no frame")]
    Frame(#[from] FrameError),
    /// The peer closed the socket without a word.
    #[error("peer closed the socket")]
    EndOfStream,
    /// Nothing came within the read timeout.
    #[error("no answer in time")]
    TimedOut,
    /// The peer sent connection.close (channel 0) or channel.close.
    #[error("closed by the peer, channel {channel}: {code} {text}")]
    Closed {
        /// 0 where the whole connection was closed.
        channel: u16,
        /// The reply code.
        code: u16,
        /// The reply text.
        text: String,
        /// The method that is blamed, 0.0 if none.
        cause: MethodId,
    },
    /// Another method came than the one that answers.
    #[error("waited for {expected}, got {found}")]
    Unexpected {
        /// What was waited for.
        expected: MethodId,
        /// What came.
        found: String,
    },
    /// A method whose arguments end too early.
    #[error("{0} with arguments cut short")]
    Truncated(MethodId),
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// At least one byte.
    Bytes,
    /// Nothing within the read timeout.
    TimedOut,
}

/// A socket to a broker and the bytes that were read but not yet taken.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
    /// `buffer[start..end]` is what came and was not yet cut into frames.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The largest frame either side may send, as negotiated.
    frame_max: u32,
}

impl RawConnection {
    /// Connects the socket and sends nothing: the broker waits for a protocol header.
    pub fn dial(address: impl ToSocketAddrs) -> Result<Self, RawError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let buffer = vec![0; READ_BUFFER].into_boxed_slice();
        Ok(Self { stream, buffer, start: 0, end: 0, frame_max: FRAME_MAX })
    }

    /// Connects and goes through the handshake up to connection.open-ok, without heartbeats.
    pub fn open(uri: &AmqpUri) -> Result<Self, RawError> {
        let mut connection = Self::dial((uri.host.as_str(), uri.port))?;
        connection.send(PROTOCOL_HEADER)?;
        connection.expect(0, method::CONNECTION_START)?;

        let plain = format!("\0{}\0{}", uri.user, uri.password);
        let start_ok = Args::new()
            .table(&client_properties())
            .shortstr("PLAIN")
            .longstr(plain.as_bytes())
            .shortstr("en_US");
        let tune =
            connection.call(0, method::CONNECTION_START_OK, &start_ok, method::CONNECTION_TUNE)?;
        let mut fields = Fields(&tune);
        let (Some(channel_max), Some(frame_max)) = (fields.short(), fields.long()) else {
            return Err(RawError::Truncated(method::CONNECTION_TUNE));
        };
        // 0 is the broker's word for no limit.
        connection.frame_max = if frame_max == 0 { FRAME_MAX } else { frame_max.min(FRAME_MAX) };
        let heartbeat_off = 0;
        let tune_ok =
            Args::new().short(channel_max).long(connection.frame_max).short(heartbeat_off);
        connection.send_method(0, method::CONNECTION_TUNE_OK, &tune_ok)?;

        let open = Args::new().shortstr(&uri.vhost).shortstr("").bits(&[false]);
        connection.call(0, method::CONNECTION_OPEN, &open, method::CONNECTION_OPEN_OK)?;
        Ok(connection)
    }

    /// The largest frame either side may send, frame overhead included.
    pub fn frame_max(&self) -> usize {
        self.frame_max as usize
    }

    /// How long a read may wait; see [`Filled::TimedOut`].
    pub fn set_read_timeout(&mut self, timeout: Duration) -> Result<(), RawError> {
        Ok(self.stream.set_read_timeout(Some(timeout))?)
    }

    /// Writes bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), RawError> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Writes one method frame.
    pub fn send_method(
        &mut self,
        channel: u16,
        method: MethodId,
        args: &Args,
    ) -> Result<(), RawError> {
        let mut bytes = Vec::new();
        push_method(&mut bytes, channel, method, args);
        self.send(&bytes)
    }

    /// Writes a method and waits for its answer; returns the answer's arguments.
    pub fn call(
        &mut self,
        channel: u16,
        method: MethodId,
        args: &Args,
        answer: MethodId,
    ) -> Result<Vec<u8>, RawError> {
        self.send_method(channel, method, args)?;
        self.expect(channel, answer)
    }

    /// Waits for a method; returns its arguments. Heartbeats are passed over, a close of the
    /// connection or of the channel is [`RawError::Closed`].
    pub fn expect(&mut self, channel: u16, expected: MethodId) -> Result<Vec<u8>, RawError> {
        loop {
            let frame = self.frame()?;
            if frame.kind == FrameKind::HEARTBEAT {
                continue;
            }
            frame.refuse_close()?;
            return match frame.method() {
                Some((found, args)) if found == expected && frame.channel == channel => {
                    Ok(args.to_vec())
                }
                found => {
                    let name = found.map(|(method, _)| method.to_string());
                    let name = name.unwrap_or_else(|| format!("a frame of {:?}", frame.kind));
                    let found = format!("{name} on channel {}", frame.channel);
                    Err(RawError::Unexpected { expected, found })
                }
            };
        }
    }

    /// Opens a channel.
    pub fn open_channel(&mut self, channel: u16) -> Result<(), RawError> {
        let reserved = Args::new().shortstr("");
        self.call(channel, method::CHANNEL_OPEN, &reserved, method::CHANNEL_OPEN_OK)?;
        Ok(())
    }

    /// Says goodbye. What the broker still sends before its answer is dropped.
    pub fn close(mut self) -> Result<(), RawError> {
        let args = Args::new().short(200).shortstr("goodbye").short(0).short(0);
        self.set_read_timeout(READ_TIMEOUT)?;
        self.send_method(0, method::CONNECTION_CLOSE, &args)?;
        loop {
            let frame = self.frame()?;
            if matches!(frame.method(), Some((method::CONNECTION_CLOSE_OK, _))) {
                return Ok(());
            }
        }
    }

    /// Waits for the next frame, whatever it is.
    pub fn frame(&mut self) -> Result<Frame<'_>, RawError> {
        while cut(&self.buffer[self.start..self.end])?.is_none() {
            if self.fill()? == Filled::TimedOut {
                return Err(RawError::TimedOut);
            }
        }
        self.buffered_frame()?.ok_or(RawError::EndOfStream)
    }

    /// One read from the socket, into the free part of the buffer.
    pub fn fill(&mut self) -> Result<Filled, RawError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let kind = self.buffer[0];
            return Err(FrameError::TooLong { kind, size: self.end }.into());
        }
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(RawError::EndOfStream),
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
    #[inline]
    pub fn buffered_frame(&mut self) -> Result<Option<Frame<'_>>, RawError> {
        let Some((frame, length)) = cut(&self.buffer[self.start..self.end])? else {
            return Ok(None);
        };
        self.start += length;
        Ok(Some(frame))
    }

    /// Everything that comes until the peer closes the socket, frames or not.
    pub fn read_to_end(mut self) -> Result<Vec<u8>, RawError> {
        let mut bytes = self.buffer[self.start..self.end].to_vec();
        match self.stream.read_to_end(&mut bytes) {
            // A peer that closes with bytes of ours unread resets the connection.
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(RawError::TimedOut)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends our side of the socket in the middle of whatever was being sent.
    pub fn hang_up(&mut self) -> Result<(), RawError> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }
}

impl Frame<'_> {
    /// Turns connection.close and channel.close into an error, all else into `Ok`.
    pub fn refuse_close(&self) -> Result<(), RawError> {
        let Some((found, args)) = self.method() else { return Ok(()) };
        if found != method::CONNECTION_CLOSE && found != method::CHANNEL_CLOSE {
            return Ok(());
        }
        let mut fields = Fields(args);
        let reason = fields.short().zip(fields.shortstr());
        let cause = fields.short().zip(fields.short());
        let (Some((code, text)), Some((class, number))) = (reason, cause) else {
            return Err(RawError::Truncated(found));
        };
        Err(RawError::Closed {
            channel: self.channel,
            code,
            text: String::from_utf8_lossy(text).into_owned(),
            cause: MethodId(class, number),
        })
    }
}

fn client_properties() -> Vec<(String, Value)> {
    let capabilities = [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "authentication_failure_close",
    ];
    let capabilities = capabilities.map(|name| (name.to_owned(), Value::Bool(true))).to_vec();
    vec![
        ("product".into(), Value::Str("shunt-tests amqp_raw".into())),
        ("capabilities".into(), Value::Table(capabilities)),
    ]
}
