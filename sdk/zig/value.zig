//! AMQP's values, read where they lie: nothing is copied, nothing allocated.

const shunt = @import("shunt.zig");

/// A byte array, or a long string that isn't UTF-8.
pub const Bytes = struct { bytes: []const u8 };

/// `digits` with `scale` of them behind the point.
pub const Decimal = struct { scale: u8, digits: i32 };

/// A point in time, in seconds since 1970.
pub const Timestamp = struct { seconds: i64 };

/// A value of a header or an argument. It lives until the next call.
pub const Value = union(enum) {
    absent,
    boolean: bool,
    integer: i64,
    /// An integer above the largest i64.
    unsigned: u64,
    double: f64,
    text: []const u8,
    bytes: Bytes,
    timestamp: Timestamp,
    decimal: Decimal,
    array: Array,
    table: Table,

    /// Whether two values are of the same type and value.
    pub fn equals(a: Value, b: Value) bool {
        if (@intFromEnum(a) != @intFromEnum(b)) return false;
        return switch (a) {
            .absent => true,
            .boolean => |value| value == b.boolean,
            .integer => |value| value == b.integer,
            .unsigned => |value| value == b.unsigned,
            .double => |value| value == b.double,
            .text => |value| equal(value, b.text),
            .bytes => |value| equal(value.bytes, b.bytes.bytes),
            .timestamp => |value| value.seconds == b.timestamp.seconds,
            .decimal => |value| value.scale == b.decimal.scale and value.digits == b.decimal.digits,
            .array => |value| value.equals(b.array),
            .table => |value| value.items.equals(b.table.items),
        };
    }
};

/// Values in a row.
pub const Array = struct {
    encoded: []const u8,
    count: usize,

    pub fn iterator(self: Array) Reader {
        return .{ .bytes = self.encoded };
    }

    fn equals(a: Array, b: Array) bool {
        if (a.count != b.count) return false;
        var ours = a.iterator();
        var theirs = b.iterator();
        for (0..a.count) |_| if (!ours.next().equals(theirs.next())) return false;
        return true;
    }
};

/// A table: arguments, or headers. Names and values alternate in it.
pub const Table = struct {
    items: Array = .{ .encoded = "", .count = 0 },

    /// The value of that name, absent where there is none.
    pub fn get(self: Table, name: []const u8) Value {
        var reader = self.items.iterator();
        var left = self.items.count / 2;
        while (left > 0) : (left -= 1) {
            const found = reader.next();
            const value = reader.next();
            if (found == .text and equal(found.text, name)) return value;
        }
        return .absent;
    }

    /// The value as a `T`, as in a header: `i64`, `?[]const u8`. What is missing without being
    /// optional, or of another type, is refused.
    pub fn read(self: Table, comptime T: type, comptime name: []const u8) shunt.Refused!T {
        return as(T, name, self.get(name));
    }
};

/// A value as a `T`; `name` is for the reason where it isn't one.
pub fn as(comptime T: type, comptime name: []const u8, value: Value) shunt.Refused!T {
    if (T == Value) return value;
    if (@typeInfo(T) == .optional) {
        if (value == .absent) return null;
        return try as(@typeInfo(T).optional.child, name, value);
    }
    if (value == .absent) return shunt.refuse(name ++ " is missing");
    const found: ?T, const expected = switch (T) {
        []const u8 => .{ if (value == .text) value.text else null, "a string" },
        i64 => .{ if (value == .integer) value.integer else null, "an integer" },
        f64 => .{ number(value), "a number" },
        bool => .{ if (value == .boolean) value.boolean else null, "a boolean" },
        Bytes => .{ if (value == .bytes) value.bytes else null, "a byte array" },
        Timestamp => .{ if (value == .timestamp) value.timestamp else null, "a timestamp" },
        Array => .{ if (value == .array) value.array else null, "an array" },
        Table => .{ if (value == .table) value.table else null, "a table" },
        else => @compileError("no value is a " ++ @typeName(T)),
    };
    return found orelse shunt.refuse(name ++ " is not " ++ expected);
}

fn number(value: Value) ?f64 {
    return switch (value) {
        .double => |double| double,
        .integer => |integer| @floatFromInt(integer),
        .unsigned => |unsigned| @floatFromInt(unsigned),
        else => null,
    };
}

/// Whether two texts are the same.
pub fn equal(a: []const u8, b: []const u8) bool {
    if (a.len != b.len) return false;
    for (a, b) |x, y| if (x != y) return false;
    return true;
}

/// Reads MessagePack value by value. What ends in the middle is a trap: the host writes no such
/// thing.
pub const Reader = struct {
    bytes: []const u8,
    at: usize = 0,

    /// The next value.
    pub fn next(self: *Reader) Value {
        const tag = self.byte();
        return switch (tag) {
            0x00...0x7f => .{ .integer = tag },
            0x80...0x8f => .{ .table = .{ .items = self.items(2 * @as(usize, tag & 15)) } },
            0x90...0x9f => .{ .array = self.items(tag & 15) },
            0xa0...0xbf => .{ .text = self.take(tag & 31) },
            0xc0 => .absent,
            0xc2, 0xc3 => .{ .boolean = tag == 0xc3 },
            0xc4 => .{ .bytes = .{ .bytes = self.take(self.unsigned(u8)) } },
            0xc5 => .{ .bytes = .{ .bytes = self.take(self.unsigned(u16)) } },
            0xc6 => .{ .bytes = .{ .bytes = self.take(self.unsigned(u32)) } },
            0xc7 => self.extension(self.unsigned(u8)),
            0xc8 => self.extension(self.unsigned(u16)),
            0xc9 => self.extension(self.unsigned(u32)),
            0xca => .{ .double = @as(f32, @bitCast(self.unsigned(u32))) },
            0xcb => .{ .double = @bitCast(self.unsigned(u64)) },
            0xcc => .{ .integer = self.unsigned(u8) },
            0xcd => .{ .integer = self.unsigned(u16) },
            0xce => .{ .integer = self.unsigned(u32) },
            0xcf => wide(self.unsigned(u64)),
            0xd0 => .{ .integer = @as(i8, @bitCast(self.unsigned(u8))) },
            0xd1 => .{ .integer = @as(i16, @bitCast(self.unsigned(u16))) },
            0xd2 => .{ .integer = @as(i32, @bitCast(self.unsigned(u32))) },
            0xd3 => .{ .integer = @bitCast(self.unsigned(u64)) },
            0xd4...0xd8 => self.extension(@as(usize, 1) << @intCast(tag - 0xd4)),
            0xd9 => .{ .text = self.take(self.unsigned(u8)) },
            0xda => .{ .text = self.take(self.unsigned(u16)) },
            0xdb => .{ .text = self.take(self.unsigned(u32)) },
            0xdc => .{ .array = self.items(self.unsigned(u16)) },
            0xdd => .{ .array = self.items(self.unsigned(u32)) },
            0xde => .{ .table = .{ .items = self.items(2 * @as(usize, self.unsigned(u16))) } },
            0xdf => .{ .table = .{ .items = self.items(2 * @as(usize, self.unsigned(u32))) } },
            0xe0...0xff => .{ .integer = @as(i8, @bitCast(tag)) },
            else => @trap(),
        };
    }

    fn wide(bits: u64) Value {
        if (bits >> 63 == 0) return .{ .integer = @bitCast(bits) };
        return .{ .unsigned = bits };
    }

    fn byte(self: *Reader) u8 {
        return self.take(1)[0];
    }

    fn take(self: *Reader, length: usize) []const u8 {
        if (length > self.bytes.len - self.at) @trap();
        defer self.at += length;
        return self.bytes[self.at..][0..length];
    }

    fn unsigned(self: *Reader, comptime T: type) T {
        var found: u64 = 0;
        for (self.take(@sizeOf(T))) |one| found = found << 8 | one;
        return @truncate(found);
    }

    // Nested values are walked over, and read when somebody asks.
    fn items(self: *Reader, count: usize) Array {
        const start = self.at;
        for (0..count) |_| _ = self.next();
        return .{ .encoded = self.bytes[start..self.at], .count = count };
    }

    fn extension(self: *Reader, length: usize) Value {
        const kind = self.byte();
        const end = self.at + length;
        defer self.at = end;
        if (kind == 1 and length == 5) {
            const scale = self.byte();
            return .{ .decimal = .{ .scale = scale, .digits = @bitCast(self.unsigned(u32)) } };
        }
        if (kind != 0xff) @trap();
        if (length == 12) _ = self.unsigned(u32);
        const seconds: i64 = switch (length) {
            4 => self.unsigned(u32),
            8 => @bitCast(self.unsigned(u64) & 0x3ffffffff),
            12 => @bitCast(self.unsigned(u64)),
            else => @trap(),
        };
        return .{ .timestamp = .{ .seconds = seconds } };
    }
};
