//! A field table: validated, walked, copied and encoded again. Letters that RabbitMQ reads as one
//! type are written as one, so it is the second encoding that must equal the first.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shunt_types::{FieldTable, Reader, TableRef};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let Ok(view) = TableRef::decode(&mut reader) else {
        return;
    };
    let owned = view.to_owned();
    assert_eq!(view.iter().count(), owned.len());
    assert_eq!(view.is_empty(), owned.is_empty());
    for (name, _) in view.iter() {
        assert!(view.get(name).is_some() && owned.get(name).is_some());
    }

    let mut first = Vec::new();
    owned.encode(&mut first);
    // The bytes are compared and not the tables: a float that is no number equals nothing.
    assert_eq!(first.len(), bytes.len() - reader.rest().len());
    let mut second = Vec::new();
    FieldTable::decode(&mut Reader::new(&first)).unwrap().encode(&mut second);
    assert_eq!(second, first);
});
