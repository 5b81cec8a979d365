//! The methods by name, as many as the tests use: class and method number.

use super::{Args, Frame, FrameKind, push_frame};

/// Class and method number, the first four octets of a method frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodId(pub u16, pub u16);

impl<'a> Frame<'a> {
    /// The method of a method frame, and its arguments; `None` for other kinds of frames.
    #[inline]
    pub fn method(&self) -> Option<(MethodId, &'a [u8])> {
        if self.kind != FrameKind::METHOD {
            return None;
        }
        let ([c0, c1, m0, m1], args) = self.payload.split_first_chunk::<4>()?;
        let class = u16::from_be_bytes([*c0, *c1]);
        Some((MethodId(class, u16::from_be_bytes([*m0, *m1])), args))
    }
}

/// Appends a method frame.
pub fn push_method(out: &mut Vec<u8>, channel: u16, method: MethodId, args: &Args) {
    let mut payload = Vec::with_capacity(4 + args.as_bytes().len());
    payload.extend_from_slice(&method.0.to_be_bytes());
    payload.extend_from_slice(&method.1.to_be_bytes());
    payload.extend_from_slice(args.as_bytes());
    push_frame(out, FrameKind::METHOD, channel, &payload);
}

macro_rules! methods {
    ($($name:ident = $class:literal . $method:literal, $spelled:literal;)*) => {
        $(
            #[doc = $spelled]
            pub const $name: MethodId = MethodId($class, $method);
        )*

        impl std::fmt::Display for MethodId {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match *self {
                    $($name => f.write_str($spelled),)*
                    MethodId(class, method) => write!(f, "method {class}.{method}"),
                }
            }
        }
    };
}

methods! {
    CONNECTION_START = 10 . 10, "connection.start";
    CONNECTION_START_OK = 10 . 11, "connection.start-ok";
    CONNECTION_SECURE = 10 . 20, "connection.secure";
    CONNECTION_SECURE_OK = 10 . 21, "connection.secure-ok";
    CONNECTION_TUNE = 10 . 30, "connection.tune";
    CONNECTION_TUNE_OK = 10 . 31, "connection.tune-ok";
    CONNECTION_OPEN = 10 . 40, "connection.open";
    CONNECTION_OPEN_OK = 10 . 41, "connection.open-ok";
    CONNECTION_CLOSE = 10 . 50, "connection.close";
    CONNECTION_CLOSE_OK = 10 . 51, "connection.close-ok";
    CONNECTION_BLOCKED = 10 . 60, "connection.blocked";
    CONNECTION_UNBLOCKED = 10 . 61, "connection.unblocked";
    CONNECTION_UPDATE_SECRET = 10 . 70, "connection.update-secret";
    CONNECTION_UPDATE_SECRET_OK = 10 . 71, "connection.update-secret-ok";
    CHANNEL_OPEN = 20 . 10, "channel.open";
    CHANNEL_OPEN_OK = 20 . 11, "channel.open-ok";
    CHANNEL_FLOW = 20 . 20, "channel.flow";
    CHANNEL_FLOW_OK = 20 . 21, "channel.flow-ok";
    CHANNEL_CLOSE = 20 . 40, "channel.close";
    CHANNEL_CLOSE_OK = 20 . 41, "channel.close-ok";
    EXCHANGE_DECLARE = 40 . 10, "exchange.declare";
    EXCHANGE_DECLARE_OK = 40 . 11, "exchange.declare-ok";
    EXCHANGE_DELETE = 40 . 20, "exchange.delete";
    EXCHANGE_DELETE_OK = 40 . 21, "exchange.delete-ok";
    EXCHANGE_BIND = 40 . 30, "exchange.bind";
    EXCHANGE_BIND_OK = 40 . 31, "exchange.bind-ok";
    EXCHANGE_UNBIND = 40 . 40, "exchange.unbind";
    EXCHANGE_UNBIND_OK = 40 . 51, "exchange.unbind-ok";
    QUEUE_DECLARE = 50 . 10, "queue.declare";
    QUEUE_DECLARE_OK = 50 . 11, "queue.declare-ok";
    QUEUE_BIND = 50 . 20, "queue.bind";
    QUEUE_BIND_OK = 50 . 21, "queue.bind-ok";
    QUEUE_PURGE = 50 . 30, "queue.purge";
    QUEUE_PURGE_OK = 50 . 31, "queue.purge-ok";
    QUEUE_DELETE = 50 . 40, "queue.delete";
    QUEUE_DELETE_OK = 50 . 41, "queue.delete-ok";
    QUEUE_UNBIND = 50 . 50, "queue.unbind";
    QUEUE_UNBIND_OK = 50 . 51, "queue.unbind-ok";
    BASIC_QOS = 60 . 10, "basic.qos";
    BASIC_QOS_OK = 60 . 11, "basic.qos-ok";
    BASIC_CONSUME = 60 . 20, "basic.consume";
    BASIC_CONSUME_OK = 60 . 21, "basic.consume-ok";
    BASIC_CANCEL = 60 . 30, "basic.cancel";
    BASIC_CANCEL_OK = 60 . 31, "basic.cancel-ok";
    BASIC_PUBLISH = 60 . 40, "basic.publish";
    BASIC_RETURN = 60 . 50, "basic.return";
    BASIC_DELIVER = 60 . 60, "basic.deliver";
    BASIC_GET = 60 . 70, "basic.get";
    BASIC_GET_OK = 60 . 71, "basic.get-ok";
    BASIC_GET_EMPTY = 60 . 72, "basic.get-empty";
    BASIC_ACK = 60 . 80, "basic.ack";
    BASIC_REJECT = 60 . 90, "basic.reject";
    BASIC_RECOVER_ASYNC = 60 . 100, "basic.recover-async";
    BASIC_RECOVER = 60 . 110, "basic.recover";
    BASIC_RECOVER_OK = 60 . 111, "basic.recover-ok";
    BASIC_NACK = 60 . 120, "basic.nack";
    CONFIRM_SELECT = 85 . 10, "confirm.select";
    CONFIRM_SELECT_OK = 85 . 11, "confirm.select-ok";
    TX_SELECT = 90 . 10, "tx.select";
    TX_SELECT_OK = 90 . 11, "tx.select-ok";
    TX_COMMIT = 90 . 20, "tx.commit";
    TX_COMMIT_OK = 90 . 21, "tx.commit-ok";
    TX_ROLLBACK = 90 . 30, "tx.rollback";
    TX_ROLLBACK_OK = 90 . 31, "tx.rollback-ok";
}
