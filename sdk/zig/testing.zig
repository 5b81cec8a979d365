//! Runs a route without a broker: declare its exchange, bind, and ask where messages go. What goes
//! in and out are the bytes of the contract.

const host = @import("host.zig");
const memory = @import("memory.zig");
const shunt = @import("shunt.zig");
const value = @import("value.zig");

/// The host of a test: what it answers, and what it was told.
pub const HostStub = struct {
    pub var now_ms: i64 = 0;
    /// By index; what is not here is no queue.
    pub var loads: []const host.Load = &.{};
    /// The line that was logged last.
    pub var last_level: host.Level = .trace;
    pub var last_line: []const u8 = "";

    var seed: u64 = 1;
    var line: memory.Buffer = .{};
    var keys: [16]memory.Buffer = @splat(.{});
    var values: [16]memory.Buffer = @splat(.{});
    var kept: [16]struct { key: []const u8, value: []const u8 } = @splat(.{ .key = "", .value = "" });

    /// Forgets what was told.
    pub fn reset() void {
        now_ms = 0;
        loads = &.{};
        last_line = "";
        kept = @splat(.{ .key = "", .value = "" });
    }

    pub fn log(level: host.Level, text: []const u8) void {
        last_level = level;
        last_line = line.keep(text);
    }

    pub fn random() u64 {
        seed = seed *% 6364136223846793005 +% 1;
        return seed;
    }

    pub fn get(key: []const u8) ?[]const u8 {
        for (kept) |entry| if (entry.value.len > 0 and shunt.equal(entry.key, key)) return entry.value;
        return null;
    }

    /// Sixteen keys: more is no room.
    pub fn put(key: []const u8, text: []const u8) bool {
        const at = for (kept, 0..) |entry, index| {
            if (entry.value.len > 0 and shunt.equal(entry.key, key)) break index;
        } else for (kept, 0..) |entry, index| {
            if (entry.value.len == 0) break index;
        } else return false;
        kept[at] = .{ .key = keys[at].keep(key), .value = values[at].keep(text) };
        return true;
    }
};

/// A failed expectation.
pub const Failed = error{ NotExpected, NotRefused };

/// An exchange that a route serves. Headers and arguments are written as anonymous structs:
/// `.{ .@"headers.region" = "eu" }`.
pub fn Declared(comptime R: type) type {
    return struct {
        const Self = @This();
        const Served = shunt.Instance(R);

        names: [64][]const u8 = undefined,
        bound: Encoder = .{},
        count: u32 = 0,

        /// Declares; a refusal is the error `Refused`, its reason `shunt.lastReason()`.
        pub fn init(arguments: anytype) shunt.Refused!Self {
            Served.reset();
            var input: Encoder = .{};
            input.put(.{ .exchange = "tested", .vhost = "/", .arguments = arguments });
            try Served.configure(input.bytes());
            return .{};
        }

        pub fn bindQueue(self: *Self, name: []const u8, key: []const u8, arguments: anytype) shunt.Refused!void {
            try self.bind("queue", name, key, arguments);
        }

        pub fn bindExchange(self: *Self, name: []const u8, key: []const u8, arguments: anytype) shunt.Refused!void {
            try self.bind("exchange", name, key, arguments);
        }

        fn bind(self: *Self, kind: []const u8, name: []const u8, key: []const u8, arguments: anytype) shunt.Refused!void {
            var one: Encoder = .{};
            one.array(4);
            one.put(kind);
            one.put(name);
            one.put(key);
            one.put(arguments);
            try Served.checkBinding(one.bytes());
            self.names[self.count] = name;
            self.count += 1;
            self.bound.raw(one.bytes());
            var all: Encoder = .{};
            all.array(self.count);
            all.raw(self.bound.bytes());
            try Served.bindings(all.bytes());
        }

        /// Whether a message with this header goes to exactly these, in this order.
        pub fn expect(self: *Self, expected: []const []const u8, header: anytype) (Failed || shunt.Refused)!void {
            const answer = try self.route(header);
            if (answer.len == 0) return if (expected.len == 0) {} else error.NotExpected;
            var reader: value.Reader = .{ .bytes = answer };
            const list = reader.next().array;
            if (list.count != expected.len) return error.NotExpected;
            var each = list.iterator();
            for (expected) |wanted| {
                const found = switch (each.next()) {
                    .integer => |index| if (index < self.count) self.names[@intCast(index)] else return error.NotExpected,
                    .text => |name| name,
                    else => return error.NotExpected,
                };
                if (!shunt.equal(found, wanted)) return error.NotExpected;
            }
        }

        /// Whether a message with this header is refused with this reason.
        pub fn expectRefused(self: *Self, reason: []const u8, header: anytype) Failed!void {
            _ = self.route(header) catch {
                return if (shunt.equal(shunt.lastReason(), reason)) {} else error.NotExpected;
            };
            return error.NotRefused;
        }

        fn route(_: *Self, header: anytype) shunt.Refused![]const u8 {
            const H = if (@hasDecl(R, "Header")) R.Header else struct {};
            const names = @typeInfo(H).@"struct".field_names;
            var input: Encoder = .{};
            input.array(names.len);
            inline for (names) |name| {
                if (@hasField(@TypeOf(header), name)) input.put(@field(header, name)) else input.put(null);
            }
            return Served.route(input.bytes());
        }
    };
}

/// Writes MessagePack.
const Encoder = struct {
    out: memory.Buffer = .{},
    length: usize = 0,

    fn bytes(self: *Encoder) []const u8 {
        return self.out.bytes[0..self.length];
    }

    fn raw(self: *Encoder, data: []const u8) void {
        const room = self.out.room(self.length + data.len, self.length);
        @memcpy(room[self.length..][0..data.len], data);
        self.length += data.len;
    }

    fn number(self: *Encoder, tag: u8, bits: u64, comptime length: usize) void {
        var out: [length + 1]u8 = undefined;
        out[0] = tag;
        for (0..length) |at| out[1 + at] = @truncate(bits >> @intCast(8 * (length - 1 - at)));
        self.raw(&out);
    }

    fn array(self: *Encoder, count: usize) void {
        self.number(0xdd, count, 4);
    }

    fn put(self: *Encoder, given: anytype) void {
        const T = @TypeOf(given);
        switch (T) {
            shunt.Bytes => {
                self.number(0xc6, given.bytes.len, 4);
                return self.raw(given.bytes);
            },
            shunt.Timestamp => {
                self.raw(&.{ 0xc7, 12, 0xff, 0, 0, 0, 0 });
                var seconds: Encoder = .{};
                seconds.number(0, @bitCast(given.seconds), 8);
                return self.raw(seconds.bytes()[1..]);
            },
            shunt.Decimal => {
                self.raw(&.{ 0xc7, 5, 1, given.scale });
                var digits: Encoder = .{};
                digits.number(0, @as(u32, @bitCast(given.digits)), 4);
                return self.raw(digits.bytes()[1..]);
            },
            else => {},
        }
        switch (@typeInfo(T)) {
            .null => self.raw(&.{0xc0}),
            .bool => self.raw(&.{if (given) 0xc3 else 0xc2}),
            .int, .comptime_int => self.number(0xd3, @bitCast(@as(i64, given)), 8),
            .float, .comptime_float => self.number(0xcb, @bitCast(@as(f64, given)), 8),
            .@"struct" => |shape| if (shape.is_tuple and shape.field_names.len > 0) {
                self.array(shape.field_names.len);
                inline for (shape.field_names) |name| self.put(@field(given, name));
            } else {
                self.number(0xdf, shape.field_names.len, 4);
                inline for (shape.field_names) |name| {
                    self.put(@as([]const u8, name));
                    self.put(@field(given, name));
                }
            },
            else => {
                const text: []const u8 = given;
                self.number(0xdb, text.len, 4);
                self.raw(text);
            },
        }
    }
};
