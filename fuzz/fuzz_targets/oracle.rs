//! Our methods against those of `amq-protocol`, which generates its own from the specification:
//! what we write it must read whole and write again as the same bytes.

#![no_main]

use amq_protocol::frame::{WriteContext, gen_frame, parse_frame};
use libfuzzer_sys::fuzz_target;
use shunt_amqp_codec::{Frame, FrameKind, Method, put_method};
use shunt_types::TableRef;
use shunt_types::limits::FRAME_MAX;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((frame, size))) = Frame::parse(rest, FRAME_MAX) {
        if frame.kind == FrameKind::Method
            && let Ok(method) = Method::decode(frame.payload)
            && is_comparable(&method)
        {
            compare(frame.channel, method);
        }
        rest = &rest[size..];
    }
});

fn compare(channel: u16, method: Method<'_>) {
    let mut ours = Vec::new();
    put_method(&mut ours, channel, method);
    let (rest, theirs) = match parse_frame(&ours[..]) {
        Ok(read) => read,
        Err(error) => panic!("{method:?} is refused: {error}"),
    };
    assert!(rest.is_empty(), "{method:?} is not read to its end");
    let written = gen_frame(&theirs)(WriteContext::from(Vec::new()));
    let again = written.map(|context| context.into_inner().0).unwrap_or_default();
    assert_eq!(again, ours, "{method:?}");
}

/// Whether both write the method alike. They sort a table's fields, know other type letters, nest
/// to another depth, and write the fields that mean nothing as constants.
fn is_comparable(method: &Method<'_>) -> bool {
    let table = match method {
        Method::BasicQos(qos) => return qos.prefetch_size == 0,
        Method::AccessRequestOk(ok) => return ok.ticket == 1,
        Method::ConnectionStart(start) => start.server_properties,
        Method::ConnectionStartOk(start) => start.client_properties,
        Method::ExchangeDeclare(declare) => declare.arguments,
        Method::ExchangeBind(bind) => bind.arguments,
        Method::ExchangeUnbind(unbind) => unbind.arguments,
        Method::QueueDeclare(declare) => declare.arguments,
        Method::QueueBind(bind) => bind.arguments,
        Method::QueueUnbind(unbind) => unbind.arguments,
        Method::BasicConsume(consume) => consume.arguments,
        _ => TableRef::EMPTY,
    };
    table.is_empty()
}
