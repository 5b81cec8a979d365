//! Class channel (20), and access (30).

use super::*;

#[test]
fn channel() {
    let none = Args::new;
    let reason = || Args::new().short(200).shortstr("bye").short(0).short(0);
    let flow = |active| Args::new().bits(&[active]);
    let realm = || Args::new().shortstr("/data").bits(&[false; 5]);
    check(vec![
        row(
            "open, when it is open",
            fresh,
            method::CHANNEL_OPEN,
            none().shortstr(""),
            Connection(504, "CHANNEL_ERROR - second 'channel.open' seen"),
        ),
        row("close", fresh, method::CHANNEL_CLOSE, reason(), Method(method::CHANNEL_CLOSE_OK)),
        row(
            "close with a consumer",
            consumer_c,
            method::CHANNEL_CLOSE,
            reason(),
            Method(method::CHANNEL_CLOSE_OK),
        ),
        row("flow on", fresh, method::CHANNEL_FLOW, flow(true), Method(method::CHANNEL_FLOW_OK)),
        row(
            "flow off",
            fresh,
            method::CHANNEL_FLOW,
            flow(false),
            Connection(540, "NOT_IMPLEMENTED - active=false"),
        ),
        then_ask(row("flow-ok, unasked", fresh, method::CHANNEL_FLOW_OK, flow(true), Nothing)),
        then_ask(row("close-ok, unasked", fresh, method::CHANNEL_CLOSE_OK, none(), Nothing)),
        row(
            "access.request is granted to all",
            fresh,
            MethodId(30, 10),
            realm(),
            Method(MethodId(30, 11)),
        ),
        row(
            "a method of the server's side",
            fresh,
            method::CHANNEL_OPEN_OK,
            none().longstr(b""),
            Connection(503, "COMMAND_INVALID - "),
        ),
        row(
            "a method of class connection",
            fresh,
            method::CONNECTION_TUNE_OK,
            none().short(9).long(8192).short(0),
            Connection(503, "COMMAND_INVALID - "),
        ),
    ]);
}
