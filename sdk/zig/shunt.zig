//! Routes of the Shunt message broker in Zig.
//!
//!     const shunt = @import("shunt");
//!
//!     pub const ByRegion = struct {
//!         pub const name = "by-region";
//!         pub const version = "1.0.0";
//!         pub const Header = struct { @"headers.region": []const u8 };
//!
//!         pub fn route(_: *ByRegion, header: Header, bindings: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
//!             for (bindings) |binding| {
//!                 if (shunt.equal(binding.key, header.@"headers.region")) destinations.add(binding.index);
//!             }
//!         }
//!     };
//!
//!     comptime {
//!         shunt.serve(ByRegion);
//!     }

const is_wasm = @import("builtin").cpu.arch.isWasm();
const memory = @import("memory.zig");
const value = @import("value.zig");

pub const Array = value.Array;
pub const Bytes = value.Bytes;
pub const Decimal = value.Decimal;
pub const Table = value.Table;
pub const Timestamp = value.Timestamp;
pub const Value = value.Value;
pub const equal = value.equal;
pub const host = @import("host.zig");
pub const testing = @import("testing.zig");

/// Memory that a route takes for good.
pub const allocate = memory.allocate;

/// Why a route says no.
pub const Refused = error{Refused};

var reason: []const u8 = "";

/// Refuses a message, an exchange or a binding: `return shunt.refuse("reason")`. The text must
/// live until the next call.
pub fn refuse(text: []const u8) Refused {
    reason = text;
    return error.Refused;
}

/// A binding of the exchange.
pub const Binding = struct {
    /// Its place: what an answer says.
    index: u32,
    kind: enum { queue, exchange },
    name: []const u8,
    key: []const u8,
    arguments: Table,
};

/// The exchange that a route decides for. It lives as long as the instance.
pub const Exchange = struct { name: []const u8, vhost: []const u8, arguments: Table };

/// Where a message goes.
pub const Destinations = struct {
    out: *memory.Buffer,
    length: usize = head,
    count: u32 = 0,

    // The head of an array of 32 bits is written last.
    const head = 5;

    /// To where the binding of that index leads.
    pub fn add(self: *Destinations, index: u32) void {
        if (index < 128) {
            self.put(&.{@intCast(index)});
        } else {
            self.put(&.{0xce});
            self.put(&bigEndian(index));
        }
        self.count += 1;
    }

    /// To the queue of that name; only where the deployment allows it.
    pub fn addQueue(self: *Destinations, name: []const u8) void {
        self.put(&.{0xdb});
        self.put(&bigEndian(@intCast(name.len)));
        self.put(name);
        self.count += 1;
    }

    fn put(self: *Destinations, bytes: []const u8) void {
        const room = self.out.room(self.length + bytes.len, self.length);
        @memcpy(room[self.length..][0..bytes.len], bytes);
        self.length += bytes.len;
    }

    fn finish(self: *Destinations) []const u8 {
        if (self.count == 0) return "";
        const room = self.out.room(self.length, self.length);
        room[0] = 0xdd;
        room[1..5].* = bigEndian(self.count);
        return room[0..self.length];
    }
};

fn bigEndian(number: u32) [4]u8 {
    return .{ @truncate(number >> 24), @truncate(number >> 16), @truncate(number >> 8), @truncate(number) };
}

/// Makes the module's exports of a route. A test, which isn't WebAssembly, has none.
pub fn serve(comptime R: type) void {
    if (!is_wasm) return;
    const Served = struct {
        fn abi() callconv(.c) i32 {
            return 1;
        }

        fn alloc(length: usize) callconv(.c) [*]u8 {
            return Instance(R).input.room(length, 0).ptr;
        }

        fn describe() callconv(.c) u64 {
            return pack(Instance(R).describe());
        }

        fn configure(at: [*]const u8, length: usize) callconv(.c) u64 {
            return told(Instance(R).configure(at[0..length]));
        }

        fn checkBinding(at: [*]const u8, length: usize) callconv(.c) u64 {
            return told(Instance(R).checkBinding(at[0..length]));
        }

        fn bindings(at: [*]const u8, length: usize) callconv(.c) u64 {
            return told(Instance(R).bindings(at[0..length]));
        }

        fn route(at: [*]const u8, length: usize) callconv(.c) u64 {
            const answer = Instance(R).route(at[0..length]) catch return pack(reason) | 1 << 63;
            return if (answer.len == 0) 0 else pack(answer);
        }

        fn told(outcome: Refused!void) u64 {
            outcome catch return pack(reason);
            return 0;
        }

        fn pack(bytes: []const u8) u64 {
            return @as(u64, @intFromPtr(bytes.ptr)) << 32 | bytes.len;
        }
    };
    @export(&Served.abi, .{ .name = "shunt_abi" });
    @export(&Served.alloc, .{ .name = "shunt_alloc" });
    @export(&Served.describe, .{ .name = "shunt_describe" });
    @export(&Served.configure, .{ .name = "shunt_configure" });
    @export(&Served.checkBinding, .{ .name = "shunt_check_binding" });
    @export(&Served.bindings, .{ .name = "shunt_bindings" });
    @export(&Served.route, .{ .name = "shunt_route" });
}

/// The reason of the refusal that came last.
pub fn lastReason() []const u8 {
    return reason;
}

/// A route for one exchange, called by the bytes of the contract: what a module exports, and a
/// test calls.
pub fn Instance(comptime R: type) type {
    return struct {
        pub var input: memory.Buffer = .{};
        var answer: memory.Buffer = .{};
        var kept_exchange: memory.Buffer = .{};
        var kept_bindings: memory.Buffer = .{};
        var items: memory.Buffer = .{};
        var bound: []const Binding = &.{};
        var self: R = .{};

        const Header = if (@hasDecl(R, "Header")) R.Header else struct {};
        const wants: []const []const u8 = if (@hasDecl(R, "wants")) &R.wants else &.{};

        /// Forgets everything, for the next test.
        pub fn reset() void {
            self = .{};
            bound = &.{};
        }

        pub fn describe() []const u8 {
            var out: Destinations = .{ .out = &answer, .length = 0 };
            out.put(&.{0x84});
            out.addQueue("name");
            out.addQueue(R.name);
            out.addQueue("version");
            out.addQueue(R.version);
            out.addQueue("reads");
            out.put(&.{0xdd});
            const names = @typeInfo(Header).@"struct".field_names;
            out.put(&bigEndian(names.len));
            inline for (names) |field| out.addQueue(field);
            out.addQueue("wants");
            out.put(&.{0xdd});
            out.put(&bigEndian(wants.len));
            for (wants) |want| out.addQueue(want);
            return answer.bytes[0..out.length];
        }

        pub fn configure(bytes: []const u8) Refused!void {
            if (!@hasDecl(R, "configure")) return;
            var reader: value.Reader = .{ .bytes = kept_exchange.keep(bytes) };
            const table = reader.next().table;
            return self.configure(.{
                .name = table.get("exchange").text,
                .vhost = table.get("vhost").text,
                .arguments = table.get("arguments").table,
            });
        }

        pub fn checkBinding(bytes: []const u8) Refused!void {
            if (!@hasDecl(R, "checkBinding")) return;
            var reader: value.Reader = .{ .bytes = bytes };
            return self.checkBinding(bindingOf(reader.next(), 0));
        }

        pub fn bindings(bytes: []const u8) Refused!void {
            var reader: value.Reader = .{ .bytes = kept_bindings.keep(bytes) };
            const list = reader.next().array;
            const room = items.room(list.count * @sizeOf(Binding), 0);
            const all = @as([*]Binding, @ptrCast(room.ptr))[0..list.count];
            var each = list.iterator();
            for (all, 0..) |*binding, index| binding.* = bindingOf(each.next(), @intCast(index));
            bound = all;
            if (@hasDecl(R, "bindings")) return self.bindings(all);
        }

        pub fn route(bytes: []const u8) Refused![]const u8 {
            var reader: value.Reader = .{ .bytes = bytes };
            var fields = reader.next().array.iterator();
            var header: Header = undefined;
            const shape = @typeInfo(Header).@"struct";
            inline for (shape.field_names, shape.field_types) |name, T| {
                @field(header, name) = try value.as(T, name, fields.next());
            }
            var destinations: Destinations = .{ .out = &answer };
            try self.route(header, bound, &destinations);
            return destinations.finish();
        }

        fn bindingOf(found: Value, index: u32) Binding {
            var parts = found.array.iterator();
            const kind = parts.next().text;
            return .{
                .index = index,
                .kind = if (equal(kind, "queue")) .queue else .exchange,
                .name = parts.next().text,
                .key = parts.next().text,
                .arguments = parts.next().table,
            };
        }
    };
}
