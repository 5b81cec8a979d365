//! A blocking client with one channel, over frames by hand: what comes unasked is kept, in its
//! order, until a test wants it.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::amqp_raw::{
    AmqpUri, Args, Fields, FrameKind, MethodId, RawConnection, RawError, Value, method,
    push_content, push_method,
};
use crate::props::Props;

/// How long an answer may take; a machine under load needs some time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The only channel.
const CHANNEL: u16 = 1;

/// A message as it came: delivered, got or returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Empty where it was got or returned.
    pub consumer_tag: String,
    /// 0 where it was returned.
    pub delivery_tag: u64,
    /// Whether it was handed out before.
    pub redelivered: bool,
    /// The exchange it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Property flags and what follows them.
    pub properties: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a broker sends unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// basic.deliver
    Deliver(Message),
    /// basic.return, with its reply code
    Return(u16, Message),
    /// basic.ack: delivery tag and multiple
    Ack(u64, bool),
    /// basic.nack: delivery tag and multiple
    Nack(u64, bool),
    /// basic.cancel, with the consumer tag
    Cancel(String),
}

/// The numbers of publishes by what was said of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirms {
    /// basic.ack
    pub acked: BTreeSet<u64>,
    /// basic.nack
    pub nacked: BTreeSet<u64>,
}

/// How to consume.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consume<'a> {
    /// Empty for one that the broker makes.
    pub tag: &'a str,
    /// Nothing has to be acknowledged.
    pub no_ack: bool,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// Arguments such as `x-priority`.
    pub arguments: &'a [(String, Value)],
}

/// A connection with one channel.
#[derive(Debug)]
pub struct Client {
    raw: RawConnection,
    inbox: VecDeque<Incoming>,
    /// The number of the last publish since `confirm_select`.
    published: u64,
    confirming: bool,
    /// Publishes that nothing was said of.
    unconfirmed: BTreeSet<u64>,
    confirms: Confirms,
}

impl Client {
    /// Connects as guest to the virtual host `/`.
    pub fn open(address: SocketAddr) -> Result<Self, RawError> {
        Self::open_as(address, "guest", "guest", "/")
    }

    /// Connects as somebody.
    pub fn open_as(
        address: SocketAddr,
        user: &str,
        password: &str,
        vhost: &str,
    ) -> Result<Self, RawError> {
        let mut raw = RawConnection::open(&AmqpUri {
            host: address.ip().to_string(),
            port: address.port(),
            user: user.into(),
            password: password.into(),
            vhost: vhost.into(),
        })?;
        raw.set_read_timeout(TIMEOUT)?;
        raw.open_channel(CHANNEL)?;
        Ok(Self {
            raw,
            inbox: VecDeque::new(),
            published: 0,
            confirming: false,
            unconfirmed: BTreeSet::new(),
            confirms: Confirms::default(),
        })
    }

    /// The connection, for what a client would not do.
    pub fn raw(&mut self) -> &mut RawConnection {
        &mut self.raw
    }

    /// Opens the channel again that an error closed.
    pub fn reopen(&mut self) -> Result<(), RawError> {
        self.inbox.clear();
        self.raw.send_method(CHANNEL, method::CHANNEL_CLOSE_OK, &Args::new())?;
        self.raw.open_channel(CHANNEL)
    }

    /// Closes the channel, which gives back what it holds, and opens it again.
    pub fn reopen_channel(&mut self) -> Result<(), RawError> {
        let args = Args::new().short(200).shortstr("goodbye").short(0).short(0);
        self.call(method::CHANNEL_CLOSE, &args, method::CHANNEL_CLOSE_OK)?;
        self.inbox.clear();
        self.raw.open_channel(CHANNEL)
    }

    /// Says goodbye.
    pub fn close(self) -> Result<(), RawError> {
        self.raw.close()
    }

    /// Sends a method and waits for its answer; what comes before it is kept.
    pub fn call(
        &mut self,
        id: MethodId,
        args: &Args,
        answer: MethodId,
    ) -> Result<Vec<u8>, RawError> {
        self.raw.send_method(CHANNEL, id, args)?;
        loop {
            let (found, args) = self.next_method()?;
            if found == answer {
                return Ok(args);
            }
            let incoming = self.incoming(found, &args)?;
            let expected = answer;
            let found = found.to_string();
            self.inbox.push_back(incoming.ok_or(RawError::Unexpected { expected, found })?);
        }
    }

    fn next_method(&mut self) -> Result<(MethodId, Vec<u8>), RawError> {
        loop {
            let frame = self.raw.frame()?;
            frame.refuse_close()?;
            if let Some((id, args)) = frame.method() {
                return Ok((id, args.to_vec()));
            }
        }
    }

    /// What the method is where it came unasked; the content that belongs to it is read.
    fn incoming(&mut self, id: MethodId, args: &[u8]) -> Result<Option<Incoming>, RawError> {
        let mut fields = Fields(args);
        let cut = || RawError::Truncated(id);
        Ok(Some(match id {
            method::BASIC_DELIVER => {
                let consumer_tag = text(&mut fields).ok_or_else(cut)?;
                let mut message = self.message(id, fields)?;
                message.consumer_tag = consumer_tag;
                Incoming::Deliver(message)
            }
            method::BASIC_RETURN => {
                let code = fields.short().ok_or_else(cut)?;
                fields.shortstr().ok_or_else(cut)?;
                let exchange = text(&mut fields).ok_or_else(cut)?;
                let routing_key = text(&mut fields).ok_or_else(cut)?;
                let (properties, body) = self.content()?;
                let message = Message {
                    consumer_tag: String::new(),
                    delivery_tag: 0,
                    redelivered: false,
                    exchange,
                    routing_key,
                    properties,
                    body,
                };
                Incoming::Return(code, message)
            }
            method::BASIC_ACK | method::BASIC_NACK => {
                let (tag, multiple) = fields.longlong().zip(fields.octet()).ok_or_else(cut)?;
                let multiple = multiple & 1 == 1;
                match id {
                    method::BASIC_ACK => Incoming::Ack(tag, multiple),
                    _ => Incoming::Nack(tag, multiple),
                }
            }
            method::BASIC_CANCEL => Incoming::Cancel(text(&mut fields).ok_or_else(cut)?),
            _ => return Ok(None),
        }))
    }

    /// The rest of basic.deliver and basic.get-ok, which begins with the delivery tag.
    fn message(&mut self, id: MethodId, mut fields: Fields<'_>) -> Result<Message, RawError> {
        let numbers = fields.longlong().zip(fields.octet());
        let names = text(&mut fields).zip(text(&mut fields));
        let (Some((delivery_tag, redelivered)), Some((exchange, routing_key))) = (numbers, names)
        else {
            return Err(RawError::Truncated(id));
        };
        let (properties, body) = self.content()?;
        Ok(Message {
            consumer_tag: String::new(),
            delivery_tag,
            redelivered: redelivered & 1 == 1,
            exchange,
            routing_key,
            properties,
            body,
        })
    }

    fn content(&mut self) -> Result<(Vec<u8>, Vec<u8>), RawError> {
        let no_content = |found: FrameKind| RawError::Unexpected {
            expected: method::BASIC_DELIVER,
            found: format!("a frame of {found:?} in the place of a content"),
        };
        let frame = self.raw.frame()?;
        let mut fields = Fields(frame.payload);
        let head = fields.long().zip(fields.longlong());
        let (FrameKind::HEADER, Some((_, size))) = (frame.kind, head) else {
            return Err(no_content(frame.kind));
        };
        let properties = fields.0.to_vec();
        let size = size as usize;
        let mut body = Vec::with_capacity(size);
        while body.len() < size {
            let frame = self.raw.frame()?;
            if frame.kind != FrameKind::BODY {
                return Err(no_content(frame.kind));
            }
            body.extend_from_slice(frame.payload);
        }
        Ok((properties, body))
    }

    /// The next thing that came unasked, whatever it is.
    pub fn receive(&mut self) -> Result<Incoming, RawError> {
        if let Some(first) = self.inbox.pop_front() {
            return Ok(first);
        }
        let (found, args) = self.next_method()?;
        let expected = method::BASIC_DELIVER;
        let incoming = self.incoming(found, &args)?;
        incoming.ok_or_else(|| RawError::Unexpected { expected, found: found.to_string() })
    }

    /// What comes unasked within a time; `None` where nothing does.
    pub fn receive_within(&mut self, time: Duration) -> Result<Option<Incoming>, RawError> {
        self.raw.set_read_timeout(time)?;
        let next = self.receive();
        self.raw.set_read_timeout(TIMEOUT)?;
        match next {
            Err(RawError::TimedOut) => Ok(None),
            next => next.map(Some),
        }
    }

    /// The next delivery; what else comes before it stays for later.
    pub fn delivery(&mut self) -> Result<Message, RawError> {
        let kept = self.inbox.iter().position(|one| matches!(one, Incoming::Deliver(_)));
        if let Some(Incoming::Deliver(message)) = kept.and_then(|place| self.inbox.remove(place)) {
            return Ok(message);
        }
        let mut others = std::mem::take(&mut self.inbox);
        loop {
            match self.receive()? {
                Incoming::Deliver(message) => {
                    others.append(&mut self.inbox);
                    self.inbox = others;
                    return Ok(message);
                }
                other => others.push_back(other),
            }
        }
    }

    /// Declares a durable queue that nothing is special about.
    pub fn declare_queue(&mut self, queue: &str) -> Result<(String, u32, u32), RawError> {
        self.declare_queue_as(queue, "d", &[])
    }

    /// Declares a queue; `flags` has a letter for each of passive, durable, exclusive and
    /// auto-delete. Answers its name, its messages and its consumers.
    pub fn declare_queue_as(
        &mut self,
        queue: &str,
        flags: &str,
        arguments: &[(String, Value)],
    ) -> Result<(String, u32, u32), RawError> {
        let bits = ['p', 'd', 'e', 'a'].map(|flag| flags.contains(flag));
        let args = Args::new().short(0).shortstr(queue).bits(&bits).table(arguments);
        let answer = self.call(method::QUEUE_DECLARE, &args, method::QUEUE_DECLARE_OK)?;
        let mut fields = Fields(&answer);
        let declared = text(&mut fields).zip(fields.long().zip(fields.long()));
        let (name, (messages, consumers)) =
            declared.ok_or(RawError::Truncated(method::QUEUE_DECLARE_OK))?;
        Ok((name, messages, consumers))
    }

    /// Deletes a queue.
    pub fn delete_queue(&mut self, queue: &str) -> Result<(), RawError> {
        let args = Args::new().short(0).shortstr(queue).bits(&[false; 3]);
        self.call(method::QUEUE_DELETE, &args, method::QUEUE_DELETE_OK).map(drop)
    }

    /// Declares an exchange; flags as for queues, `i` is internal.
    pub fn declare_exchange(
        &mut self,
        exchange: &str,
        kind: &str,
        flags: &str,
        arguments: &[(String, Value)],
    ) -> Result<(), RawError> {
        let bits = ['p', 'd', 'a', 'i'].map(|flag| flags.contains(flag));
        let args =
            Args::new().short(0).shortstr(exchange).shortstr(kind).bits(&bits).table(arguments);
        self.call(method::EXCHANGE_DECLARE, &args, method::EXCHANGE_DECLARE_OK).map(drop)
    }

    /// Deletes an exchange.
    pub fn delete_exchange(&mut self, exchange: &str) -> Result<(), RawError> {
        let args = Args::new().short(0).shortstr(exchange).bits(&[false; 2]);
        self.call(method::EXCHANGE_DELETE, &args, method::EXCHANGE_DELETE_OK).map(drop)
    }

    /// Binds a queue.
    pub fn bind(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: &[(String, Value)],
    ) -> Result<(), RawError> {
        let args = Args::new().short(0).shortstr(queue).shortstr(exchange).shortstr(key);
        let args = args.bits(&[false]).table(arguments);
        self.call(method::QUEUE_BIND, &args, method::QUEUE_BIND_OK).map(drop)
    }

    /// Binds an exchange to another one, the source.
    pub fn bind_exchange(
        &mut self,
        destination: &str,
        source: &str,
        key: &str,
    ) -> Result<(), RawError> {
        let args = Args::new().short(0).shortstr(destination).shortstr(source).shortstr(key);
        let args = args.bits(&[false]).table(&[]);
        self.call(method::EXCHANGE_BIND, &args, method::EXCHANGE_BIND_OK).map(drop)
    }

    /// Drops the messages of a queue that nobody was given.
    pub fn purge(&mut self, queue: &str) -> Result<(), RawError> {
        let args = Args::new().short(0).shortstr(queue).bits(&[false]);
        self.call(method::QUEUE_PURGE, &args, method::QUEUE_PURGE_OK).map(drop)
    }

    /// Begins a transaction.
    pub fn tx_select(&mut self) -> Result<(), RawError> {
        self.call(method::TX_SELECT, &Args::new(), method::TX_SELECT_OK).map(drop)
    }

    /// Ends the transaction, for good.
    pub fn tx_commit(&mut self) -> Result<(), RawError> {
        self.call(method::TX_COMMIT, &Args::new(), method::TX_COMMIT_OK).map(drop)
    }

    /// Asks for publisher confirms.
    pub fn confirm_select(&mut self) -> Result<(), RawError> {
        self.confirming = true;
        let args = Args::new().bits(&[false]);
        self.call(method::CONFIRM_SELECT, &args, method::CONFIRM_SELECT_OK).map(drop)
    }

    /// Publishes; answers the number by which it will be confirmed.
    pub fn publish(
        &mut self,
        exchange: &str,
        key: &str,
        props: &Props,
        body: &[u8],
    ) -> Result<u64, RawError> {
        self.publish_with(exchange, key, false, props, body)
    }

    /// Publishes, perhaps with `mandatory`.
    pub fn publish_with(
        &mut self,
        exchange: &str,
        key: &str,
        mandatory: bool,
        props: &Props,
        body: &[u8],
    ) -> Result<u64, RawError> {
        let args = Args::new().short(0).shortstr(exchange).shortstr(key);
        let args = args.bits(&[mandatory, false]);
        let mut bytes = Vec::new();
        push_method(&mut bytes, CHANNEL, method::BASIC_PUBLISH, &args);
        push_content(&mut bytes, CHANNEL, &props.encode(), body, self.raw.frame_max());
        self.raw.send(&bytes)?;
        if self.confirming {
            self.published += 1;
            self.unconfirmed.insert(self.published);
        }
        Ok(self.published)
    }

    /// Waits until at most `left` publishes are unconfirmed.
    pub fn wait_confirms(&mut self, left: usize) -> Result<(), RawError> {
        let mut others = VecDeque::new();
        while self.unconfirmed.len() > left {
            let (tag, multiple, is_ack) = match self.receive()? {
                Incoming::Ack(tag, multiple) => (tag, multiple, true),
                Incoming::Nack(tag, multiple) => (tag, multiple, false),
                other => {
                    others.push_back(other);
                    continue;
                }
            };
            let answered: BTreeSet<u64> = match multiple {
                true if tag == 0 => self.unconfirmed.clone(),
                true => self.unconfirmed.range(..=tag).copied().collect(),
                // A number that isn't outstanding must not go unseen.
                false => [tag].into(),
            };
            for tag in &answered {
                assert!(self.unconfirmed.remove(tag), "{tag} was confirmed twice, or never sent");
            }
            let confirms = &mut self.confirms;
            let side = if is_ack { &mut confirms.acked } else { &mut confirms.nacked };
            side.extend(answered);
        }
        others.append(&mut self.inbox);
        self.inbox = others;
        Ok(())
    }

    /// How many publishes are unconfirmed.
    pub fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Takes the confirms that come until none has for that long.
    pub fn read_confirms(&mut self, quiet: Duration) -> Result<(), RawError> {
        while let Some(incoming) = self.receive_within(quiet)? {
            self.inbox.push_front(incoming);
            let left = self.unconfirmed.len();
            self.wait_confirms(left - 1)?;
        }
        Ok(())
    }

    /// Waits for all confirms, and takes what was said since the last time.
    pub fn confirms(&mut self) -> Result<Confirms, RawError> {
        self.wait_confirms(0)?;
        Ok(std::mem::take(&mut self.confirms))
    }

    /// Takes the oldest message off a queue, for good.
    pub fn get(&mut self, queue: &str) -> Result<Option<Message>, RawError> {
        self.get_as(queue, true)
    }

    /// Takes the oldest message off a queue, to be settled unless `no_ack`.
    pub fn get_as(&mut self, queue: &str, no_ack: bool) -> Result<Option<Message>, RawError> {
        let args = Args::new().short(0).shortstr(queue).bits(&[no_ack]);
        self.raw.send_method(CHANNEL, method::BASIC_GET, &args)?;
        loop {
            let (found, args) = self.next_method()?;
            match found {
                method::BASIC_GET_OK => return self.message(found, Fields(&args)).map(Some),
                method::BASIC_GET_EMPTY => return Ok(None),
                _ => {}
            }
            let incoming = self.incoming(found, &args)?;
            let (expected, found) = (method::BASIC_GET_OK, found.to_string());
            self.inbox.push_back(incoming.ok_or(RawError::Unexpected { expected, found })?);
        }
    }

    /// Takes all messages off a queue; their bodies as text.
    pub fn drain(&mut self, queue: &str) -> Result<Vec<String>, RawError> {
        let mut bodies = Vec::new();
        while let Some(message) = self.get(queue)? {
            bodies.push(message.text());
        }
        Ok(bodies)
    }

    /// Consumes; answers the consumer tag.
    pub fn consume(&mut self, queue: &str, how: Consume<'_>) -> Result<String, RawError> {
        let args = Args::new().short(0).shortstr(queue).shortstr(how.tag);
        let args = args.bits(&[false, how.no_ack, how.exclusive, false]).table(how.arguments);
        let answer = self.call(method::BASIC_CONSUME, &args, method::BASIC_CONSUME_OK)?;
        text(&mut Fields(&answer)).ok_or(RawError::Truncated(method::BASIC_CONSUME_OK))
    }

    /// Ends a consumer.
    pub fn cancel(&mut self, tag: &str) -> Result<(), RawError> {
        let args = Args::new().shortstr(tag).bits(&[false]);
        self.call(method::BASIC_CANCEL, &args, method::BASIC_CANCEL_OK).map(drop)
    }

    /// Limits unacknowledged deliveries.
    pub fn qos(&mut self, prefetch: u16, global: bool) -> Result<(), RawError> {
        let args = Args::new().long(0).short(prefetch).bits(&[global]);
        self.call(method::BASIC_QOS, &args, method::BASIC_QOS_OK).map(drop)
    }

    /// basic.ack
    pub fn ack(&mut self, tag: u64, multiple: bool) -> Result<(), RawError> {
        let args = Args::new().longlong(tag).bits(&[multiple]);
        self.raw.send_method(CHANNEL, method::BASIC_ACK, &args)
    }

    /// basic.nack
    pub fn nack(&mut self, tag: u64, multiple: bool, requeue: bool) -> Result<(), RawError> {
        let args = Args::new().longlong(tag).bits(&[multiple, requeue]);
        self.raw.send_method(CHANNEL, method::BASIC_NACK, &args)
    }

    /// basic.reject
    pub fn reject(&mut self, tag: u64, requeue: bool) -> Result<(), RawError> {
        let args = Args::new().longlong(tag).bits(&[requeue]);
        self.raw.send_method(CHANNEL, method::BASIC_REJECT, &args)
    }

    /// Waits until the broker has read all that was sent on this channel.
    pub fn sync(&mut self) -> Result<(), RawError> {
        // Any call will do; this one changes nothing.
        let args = Args::new().bits(&[true]);
        self.call(method::CHANNEL_FLOW, &args, method::CHANNEL_FLOW_OK).map(drop)
    }
}

fn text(fields: &mut Fields<'_>) -> Option<String> {
    Some(String::from_utf8_lossy(fields.shortstr()?).into_owned())
}
