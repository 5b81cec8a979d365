//! The cursor reads every encoding of the contract, and survives every other.

mod random;

use random::Random;
use shunt_route::testing::Data;
use shunt_route::{Cursor, Decimal, Malformed, Value};

#[track_caller]
fn check(bytes: &[u8], expected: Value<'_>) {
    let mut cursor = Cursor::new(bytes);
    assert_eq!(cursor.read(), Ok(expected), "{bytes:02x?}");
    assert!(cursor.is_at_end(), "{bytes:02x?}");
    for length in 0..bytes.len() {
        let cut = Cursor::new(&bytes[..length]).read();
        assert_eq!(cut, Err(Malformed), "{length} of {bytes:02x?}");
    }
}

#[test]
fn integers() {
    check(&[0x07], Value::Integer(7));
    check(&[0xff], Value::Integer(-1));
    check(&[0xe0], Value::Integer(-32));
    check(&[0xcc, 200], Value::Integer(200));
    check(&[0xcd, 1, 0], Value::Integer(256));
    check(&[0xce, 0xff, 0, 0, 0], Value::Integer(0xff00_0000));
    check(&[0xcf, 0, 0, 0, 0, 0, 0, 0, 1], Value::Integer(1));
    check(&[0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0], Value::Unsigned(0xff << 56));
    check(&[0xd0, 0x80], Value::Integer(-128));
    check(&[0xd1, 0xff, 0], Value::Integer(-256));
    check(&[0xd2, 0x80, 0, 0, 0], Value::Integer(i32::MIN.into()));
    check(&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], Value::Integer(i64::MIN));
}

#[test]
fn other_scalars() {
    check(&[0xc0], Value::Absent);
    check(&[0xc2], Value::Boolean(false));
    check(&[0xc3], Value::Boolean(true));
    check(&[0xca, 0x3f, 0x80, 0, 0], Value::Double(1.0));
    check(&[0xcb, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0], Value::Double(-1.0));
    check(b"\xa2eu", Value::Text("eu"));
    check(b"\xd9\x02eu", Value::Text("eu"));
    check(b"\xda\x00\x02eu", Value::Text("eu"));
    check(b"\xdb\x00\x00\x00\x02eu", Value::Text("eu"));
    check(b"\xc4\x01\xff", Value::Bytes(&[0xff]));
    check(b"\xc5\x00\x01\xff", Value::Bytes(&[0xff]));
    check(b"\xc6\x00\x00\x00\x01\xff", Value::Bytes(&[0xff]));
}

#[test]
fn extensions() {
    check(&[0xd6, 0xff, 0, 0, 0, 5], Value::Timestamp(5));
    // 1 nanosecond, 2^32 + 5 seconds
    check(&[0xd7, 0xff, 0, 0, 0, 5, 0, 0, 0, 5], Value::Timestamp((1 << 32) + 5));
    let mut long = vec![0xc7, 12, 0xff, 0, 0, 0, 1];
    long.extend((-5i64).to_be_bytes());
    check(&long, Value::Timestamp(-5));
    let decimal = Decimal { scale: 2, digits: -314 };
    check(&[0xc7, 5, 1, 2, 0xff, 0xff, 0xfe, 0xc6], Value::Decimal(decimal));
}

#[test]
fn what_the_contract_does_not_have() {
    for bytes in [
        &b"\xc1"[..],                // never used
        b"\xa1\xff",                 // text that is not UTF-8
        b"\x91\xa1\xff",             // the same inside
        b"\xd4\x05\x00",             // an unknown extension
        b"\xd5\xff\x00\x00",         // a timestamp of another length
        b"\xd6\x01\x00\x00\x00\x00", // a decimal of another length
        b"\xdd\xff\xff\xff\xff\x00", // more items than bytes
        b"\xdf\xff\xff\xff\xff\x00", // more pairs than bytes
    ] {
        assert_eq!(Cursor::new(bytes).read(), Err(Malformed), "{bytes:02x?}");
    }
}

#[test]
fn containers() {
    let bytes = b"\x82\xa1a\x93\x01\xa1b\xc0\xa1c\x81\xa1d\x02";
    let table = Cursor::new(bytes).read_table().expect("a table");
    let names: Vec<&str> = table.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(table.len(), 2);
    assert_eq!(table.get("d"), Value::Absent);
    assert_eq!(table.read("c").map(|c: shunt_route::Table<'_>| c.get("d")), Ok(Value::Integer(2)));
    let Value::Array(array) = table.get("a") else {
        panic!("an array");
    };
    let items: Vec<Value<'_>> = array.iter().collect();
    assert_eq!(items, [Value::Integer(1), Value::Text("b"), Value::Absent]);
}

#[test]
fn a_name_that_is_no_string_is_passed_over() {
    let table = Cursor::new(b"\x82\x01\x02\xa1a\x03").read_table().expect("a table");
    assert_eq!(table.iter().collect::<Vec<_>>(), [("a", Value::Integer(3))]);
}

#[test]
fn depth_needs_no_stack() {
    let mut bytes = vec![0x91; 1_000_000];
    bytes.push(0xc0);
    assert!(Cursor::new(&bytes).read_array().is_ok());
    bytes.pop();
    assert_eq!(Cursor::new(&bytes).read(), Err(Malformed));
}

#[test]
fn what_is_written_is_read() {
    let mut random = Random(1);
    for _ in 0..5_000 {
        let data = random.data(3);
        let bytes = data.encode();
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.read().map(Data::from), Ok(data));
        assert!(cursor.is_at_end());
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random(2);
    for _ in 0..100_000 {
        let bytes = random.hostile();
        let mut cursor = Cursor::new(&bytes);
        while let Ok(value) = cursor.read() {
            // Walks all that is inside.
            let copy = Data::from(value);
            drop(copy);
        }
    }
}
