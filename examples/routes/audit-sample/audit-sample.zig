//! Everything to its queues, and a share of it to others: the recipe's README says how to use it.
const shunt = @import("shunt");

/// Shares are in millionths.
const all = 1000000;

pub const AuditSample = struct {
    pub const name = "audit-sample";
    pub const version = "1.0.0";
    pub const Header = struct { message_id: ?[]const u8, routing_key: []const u8 };

    pub fn checkBinding(_: *AuditSample, binding: shunt.Binding) shunt.Refused!void {
        _ = try share(binding);
    }

    pub fn route(_: *AuditSample, header: Header, bindings: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        const point = hash(header.message_id orelse header.routing_key) % all;
        for (bindings) |binding| {
            if (point < try share(binding)) destinations.add(binding.index);
        }
    }
};

/// The argument per-million; all where there is none.
fn share(binding: shunt.Binding) shunt.Refused!u64 {
    const given = try binding.arguments.read(?i64, "per-million") orelse all;
    if (given < 0 or given > all) return shunt.refuse("per-million is from 0 to 1000000");
    return @intCast(given);
}

/// FNV-1a, with the last bits spread over all: its own are uneven for texts that end alike.
fn hash(text: []const u8) u64 {
    var bits: u64 = 0xcbf29ce484222325;
    for (text) |byte| bits = (bits ^ byte) *% 0x100000001b3;
    bits = (bits ^ bits >> 30) *% 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) *% 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

comptime {
    shunt.serve(AuditSample);
}

test "a tenth is a tenth" {
    var exchange = try shunt.testing.Declared(AuditSample).init(.{});
    try exchange.bindQueue("work", "", .{});
    try exchange.bindQueue("audit", "", .{ .@"per-million" = 100000 });
    var sampled: usize = 0;
    var id = "id-000".*;
    for (0..1000) |number| {
        id[3] = '0' + @as(u8, @intCast(number / 100));
        id[4] = '0' + @as(u8, @intCast(number / 10 % 10));
        id[5] = '0' + @as(u8, @intCast(number % 10));
        const header = .{ .message_id = @as([]const u8, &id), .routing_key = "" };
        if (exchange.expect(&.{ "work", "audit" }, header)) {
            sampled += 1;
        } else |_| {
            try exchange.expect(&.{"work"}, header);
        }
    }
    if (sampled < 70 or sampled > 130) return error.NotExpected;
    if (exchange.bindQueue("x", "", .{ .@"per-million" = 1000001 }) != error.Refused) return error.NotRefused;
}
