//! The guests, without a broker: zig test --dep shunt -Mroot=tests.zig -Mshunt=shunt.zig
const shunt = @import("shunt");
const testing = shunt.testing;

const ByHeader = @import("guests/by-header.zig").ByHeader;
const Capabilities = @import("guests/capabilities.zig").Capabilities;
const Fixed = @import("guests/fixed.zig").Fixed;
const Hash = @import("guests/hash.zig").Hash;
const Refuse = @import("guests/refuse.zig").Refuse;

fn check(ok: bool) !void {
    if (!ok) return error.NotExpected;
}

test "fixed goes to the first, and to a queue by name" {
    var plain = try testing.Declared(Fixed).init(.{});
    try plain.bindQueue("a", "", .{});
    try plain.expect(&.{"a"}, .{});
    var exchange = try testing.Declared(Fixed).init(.{ .@"x-first" = 2, .@"x-queue" = "größe" });
    try exchange.bindQueue("a", "", .{});
    try exchange.bindExchange("b", "", .{});
    try exchange.expect(&.{ "a", "b", "größe" }, .{});
    // More than there are: the index leads nowhere.
    var many = try testing.Declared(Fixed).init(.{ .@"x-first" = 300 });
    try check(many.expect(&.{}, .{}) == error.NotExpected);
    try check(testing.Declared(Fixed).init(.{ .@"x-first" = "one" }) == error.Refused);
    try check(shunt.equal(shunt.lastReason(), "x-first is not an integer"));
}

test "hash, as in sdk/conformance/hash.json" {
    var exchange = try testing.Declared(Hash).init(.{});
    try exchange.expect(&.{}, .{ .routing_key = "" });
    for ([_][]const u8{ "q0", "q1", "q2" }) |queue| try exchange.bindQueue(queue, "", .{});
    try exchange.expect(&.{"q2"}, .{ .routing_key = "" });
    try exchange.expect(&.{"q1"}, .{ .routing_key = "a" });
    try exchange.expect(&.{"q0"}, .{ .routing_key = "orders.eu.created" });
    try exchange.expect(&.{"q1"}, .{ .routing_key = "größe" });
    try exchange.expect(&.{"q0"}, .{ .routing_key = "寸法" });
    try exchange.expectRefused("routing_key is missing", .{});
    try exchange.expectRefused("routing_key is not a string", .{ .routing_key = 1 });
}

test "by-header compares type and value" {
    var exchange = try testing.Declared(ByHeader).init(.{});
    const values = .{
        null,  true,  0,                            1,                                       -129,
        1.0,   "1",   shunt.Bytes{ .bytes = "1" },  shunt.Timestamp{ .seconds = 1 },         shunt.Decimal{ .scale = 2, .digits = -5 },
        .{ 1, "two", .{ 3.5, null } },              .{ .a = 1, .b = .{ .c = "d" } },         .{},
    };
    const names = [_][]const u8{ "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q9", "q10", "q11", "q12" };
    inline for (values, names) |value, name| try exchange.bindQueue(name, "", .{ .value = value });
    inline for (values, names) |value, name| try exchange.expect(&.{name}, .{ .@"headers.value" = value });
    try exchange.expect(&.{}, .{ .@"headers.value" = .{ 1, "two", .{ 3.5, true } } });
}

test "reasons reach the client" {
    try check(testing.Declared(Refuse).init(.{ .@"x-refuse" = "not this" }) == error.Refused);
    try check(shunt.equal(shunt.lastReason(), "not this"));
    var exchange = try testing.Declared(Refuse).init(.{});
    try check(exchange.bindQueue("a", "refuse", .{}) == error.Refused);
    try check(shunt.equal(shunt.lastReason(), "the key is refuse"));
    try exchange.expectRefused("größe", .{ .@"headers.reason" = "größe" });
    try exchange.expectRefused("headers.reason is not a string", .{ .@"headers.reason" = 7 });
    try exchange.expectRefused("refused by the guest", .{});
}

test "capabilities are the host's" {
    const stub = testing.HostStub;
    stub.reset();
    var exchange = try testing.Declared(Capabilities).init(.{});
    for ([_][]const u8{ "a", "b", "c" }) |queue| try exchange.bindQueue(queue, "", .{});
    stub.now_ms = 1700000000000;
    stub.loads = &.{
        .{ .ready = 2, .unacked = 0, .consumers = 0 },
        .{ .ready = 1, .unacked = 0, .consumers = 0 },
        .{ .ready = 3, .unacked = 0, .consumers = 0 },
    };
    const keys = [_][]const u8{ "clock", "random", "log", "load", "state", "state", "state-remove", "state", "state-long" };
    for (keys, [_][]const u8{ "a", "a", "a", "b", "a", "b", "a", "a", "a" }) |key, queue| {
        try exchange.expect(&.{queue}, .{ .routing_key = key });
    }
    try check(stub.last_level == .warn and shunt.equal(stub.last_line, "a line of the guest: größe"));
    try exchange.expectRefused("no such capability", .{ .routing_key = "time travel" });
}
