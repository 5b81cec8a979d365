use proptest::prelude::*;
use shunt_types::{FieldTable, TableRef, Value};

use super::table::one_of_each;
use super::*;

/// What the arguments of a method under test are taken from.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    strings: Vec<String>,
    numbers: Vec<u64>,
    tables: Vec<Vec<u8>>,
}

pub(crate) fn any_pool() -> impl Strategy<Value = Pool> {
    let table = prop::collection::vec((".{0,9}", any::<i64>()), 0..4).prop_map(|fields| {
        let table: FieldTable = fields.into_iter().map(|(name, n)| (name, Value::I64(n))).collect();
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        bytes
    });
    (
        prop::collection::vec(".{0,60}", 7),
        prop::collection::vec(any::<u64>(), 11),
        prop::collection::vec(table, 3),
    )
        .prop_map(|(strings, numbers, tables)| Pool { strings, numbers, tables })
}

/// Hands out arguments of whatever type is asked for.
pub(crate) struct Pick<'a> {
    pool: &'a Pool,
    taken: usize,
}

impl<'a> Pick<'a> {
    pub(crate) fn new(pool: &'a Pool) -> Self {
        Self { pool, taken: 0 }
    }

    pub(super) fn field<F: Picked<'a>>(&mut self) -> F {
        self.taken += 1;
        F::pick(self.pool, self.taken)
    }

    pub(crate) fn one_of_each(&mut self) -> Vec<Method<'a>> {
        one_of_each(self)
    }
}

pub(super) trait Picked<'a> {
    fn pick(pool: &'a Pool, taken: usize) -> Self;
}

fn number(pool: &Pool, taken: usize) -> u64 {
    pool.numbers[taken % pool.numbers.len()]
}

impl<'a> Picked<'a> for bool {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        number(pool, taken) % 2 == 1
    }
}

impl<'a> Picked<'a> for u8 {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        number(pool, taken) as u8
    }
}

impl<'a> Picked<'a> for u16 {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        number(pool, taken) as u16
    }
}

impl<'a> Picked<'a> for u32 {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        number(pool, taken) as u32
    }
}

impl<'a> Picked<'a> for u64 {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        number(pool, taken)
    }
}

impl<'a> Picked<'a> for &'a str {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        &pool.strings[taken % pool.strings.len()]
    }
}

impl<'a> Picked<'a> for &'a [u8] {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        <&str>::pick(pool, taken).as_bytes()
    }
}

impl<'a> Picked<'a> for TableRef<'a> {
    fn pick(pool: &'a Pool, taken: usize) -> Self {
        TableRef::decode(&mut Reader::new(&pool.tables[taken % pool.tables.len()])).unwrap()
    }
}

fn encoded(method: &Method<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    method.encode(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn every_method_survives_the_wire(pool in any_pool()) {
        for method in Pick::new(&pool).one_of_each() {
            let bytes = encoded(&method);
            prop_assert_eq!(Method::decode(&bytes), Ok(method));
            prop_assert_eq!(method_name(method.id()), Some(method.name()));
        }
    }

    #[test]
    fn every_method_is_refused_when_it_is_cut_or_goes_on(pool in any_pool()) {
        for method in Pick::new(&pool).one_of_each() {
            let mut bytes = encoded(&method);
            for length in 0..bytes.len() {
                let expected = if length < 4 {
                    MethodError::Truncated
                } else {
                    MethodError::Damaged { method: method.id(), error: DecodeError::Truncated }
                };
                prop_assert_eq!(Method::decode(&bytes[..length]), Err(expected));
            }
            bytes.push(0);
            let error = DecodeError::TrailingBytes;
            let expected = MethodError::Damaged { method: method.id(), error };
            prop_assert_eq!(Method::decode(&bytes), Err(expected));
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_read(
        pool in any_pool(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let _ = Method::decode(&noise);
        for method in Pick::new(&pool).one_of_each() {
            let mut bytes = encoded(&method);
            for (at, byte) in &mutations {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            // What is read in spite of the damage is a method like any other.
            if let Ok(read) = Method::decode(&bytes) {
                let again = encoded(&read);
                prop_assert_eq!(Method::decode(&again), Ok(read));
            }
            let noisy = [&bytes[..4], &noise].concat();
            let _ = Method::decode(&noisy);
        }
    }
}

#[test]
fn no_method_has_more_than_a_few_words() {
    // It travels by value.
    assert!(size_of::<Method<'_>>() <= 88, "{}", size_of::<Method<'_>>());
}

/// Bytes written by hand from the specification, and the method that they are.
#[track_caller]
fn check<'a>(bytes: &'a [u8], expected: impl Into<Method<'a>>) {
    let expected = expected.into();
    assert_eq!(Method::decode(bytes), Ok(expected));
    assert_eq!(encoded(&expected), bytes);
}

#[test]
fn connection_methods_are_those_of_the_specification() {
    check(
        b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x0a\x07product\
          t\x01\x00\x00\x00\x0ePLAIN AMQPLAIN\x00\x00\x00\x05en_US",
        ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: TableRef::decode(&mut Reader::new(b"\0\0\0\x0a\x07productt\x01"))
                .unwrap(),
            mechanisms: b"PLAIN AMQPLAIN",
            locales: b"en_US",
        },
    );
    check(
        b"\x00\x0a\x00\x1f\x07\xff\x00\x02\x00\x00\x00\x3c",
        ConnectionTuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 60 },
    );
    check(b"\x00\x0a\x00\x28\x01/\x00\x00", ConnectionOpen { virtual_host: "/" });
    check(b"\x00\x0a\x00\x29\x00", ConnectionOpenOk {});
    check(
        b"\x00\x0a\x00\x32\x01\x40\x11CONNECTION_FORCED\x00\x0a\x00\x28",
        ConnectionClose {
            reply_code: 320,
            reply_text: "CONNECTION_FORCED",
            class_id: 10,
            method_id: 40,
        },
    );
    check(
        b"\x00\x0a\x00\x46\x00\x00\x00\x03new\x03why",
        ConnectionUpdateSecret { new_secret: b"new", reason: "why" },
    );
}

#[test]
fn channel_and_exchange_methods_are_those_of_the_specification() {
    check(b"\x00\x14\x00\x0a\x00", ChannelOpen {});
    check(b"\x00\x14\x00\x0b\x00\x00\x00\x00", ChannelOpenOk {});
    check(
        b"\x00\x1e\x00\x0a\x05/data\x11",
        AccessRequest {
            realm: "/data",
            exclusive: true,
            passive: false,
            active: false,
            write: false,
            read: true,
        },
    );
    check(
        b"\x00\x28\x00\x0a\x00\x00\x06orders\x05topic\x0a\x00\x00\x00\x00",
        ExchangeDeclare {
            exchange: "orders",
            kind: "topic",
            passive: false,
            durable: true,
            auto_delete: false,
            internal: true,
            no_wait: false,
            arguments: TableRef::EMPTY,
        },
    );
    check(
        b"\x00\x28\x00\x28\x00\x00\x01d\x01s\x01k\x01\x00\x00\x00\x00",
        ExchangeUnbind {
            destination: "d",
            source: "s",
            routing_key: "k",
            no_wait: true,
            arguments: TableRef::EMPTY,
        },
    );
    check(b"\x00\x28\x00\x33", ExchangeUnbindOk {});
}

#[test]
fn queue_and_basic_methods_are_those_of_the_specification() {
    check(
        b"\x00\x32\x00\x0a\x00\x00\x01q\x0a\x00\x00\x00\x00",
        QueueDeclare {
            queue: "q",
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: true,
            no_wait: false,
            arguments: TableRef::EMPTY,
        },
    );
    check(
        b"\x00\x32\x00\x32\x00\x00\x01q\x01e\x01k\x00\x00\x00\x00",
        QueueUnbind { queue: "q", exchange: "e", routing_key: "k", arguments: TableRef::EMPTY },
    );
    check(
        b"\x00\x3c\x00\x0a\x00\x00\x00\x00\x01\x00\x01",
        BasicQos { prefetch_size: 0, prefetch_count: 256, global: true },
    );
    check(
        b"\x00\x3c\x00\x28\x00\x00\x06orders\x02eu\x01",
        BasicPublish { exchange: "orders", routing_key: "eu", mandatory: true, immediate: false },
    );
    check(
        b"\x00\x3c\x00\x47\x00\x00\x00\x00\x00\x00\x00\x07\x01\x00\x01q\x00\x00\x00\x02",
        BasicGetOk {
            delivery_tag: 7,
            redelivered: true,
            exchange: "",
            routing_key: "q",
            message_count: 2,
        },
    );
    check(b"\x00\x3c\x00\x48\x00", BasicGetEmpty {});
    check(
        b"\x00\x3c\x00\x78\x00\x00\x00\x00\x00\x00\x01\x00\x02",
        BasicNack { delivery_tag: 256, multiple: false, requeue: true },
    );
    check(b"\x00\x55\x00\x0a\x01", ConfirmSelect { no_wait: true });
    check(b"\x00\x5a\x00\x14", TxCommit {});
}

#[test]
fn reserved_arguments_are_read_over() {
    let publish = Method::decode(b"\x00\x3c\x00\x28\x12\x34\x00\x01q\xfc");
    let expected =
        BasicPublish { exchange: "", routing_key: "q", mandatory: false, immediate: false };
    assert_eq!(publish, Ok(expected.into()));
    let open = Method::decode(b"\x00\x0a\x00\x28\x01/\x03cap\x01");
    assert_eq!(open, Ok(ConnectionOpen { virtual_host: "/" }.into()));
}

#[test]
fn errors_name_what_is_wrong() {
    let error = |bytes: &[u8]| Method::decode(bytes).unwrap_err();
    assert_eq!(
        error(b"\x00\x3c\x00\x29"),
        MethodError::Unknown(MethodId { class: 60, method: 41 })
    );
    assert_eq!(error(b"\x00\x3c\x00\x29").to_string(), "there is no method 41 in class 60");
    let damaged = error(b"\x00\x32\x00\x0a\x00\x00\x01q\x00\x00\x00\x00\x03\x01xQ");
    assert_eq!(damaged.to_string(), "the arguments of queue.declare can't be read");
    let not_utf8 = error(b"\x00\x3c\x00\x28\x00\x00\x01\xff\x00\x00");
    assert_eq!(
        not_utf8,
        MethodError::Damaged { method: BasicPublish::ID, error: DecodeError::NotUtf8 }
    );
}
