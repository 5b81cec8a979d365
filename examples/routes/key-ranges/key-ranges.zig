//! Each message to the ranges that its number is in: the recipe's README says how to use it.
const shunt = @import("shunt");

pub const KeyRanges = struct {
    pub const name = "key-ranges";
    pub const version = "1.0.0";
    pub const Header = struct { @"headers.number": i64 };

    pub fn checkBinding(_: *KeyRanges, binding: shunt.Binding) shunt.Refused!void {
        _ = try rangeOf(binding);
    }

    pub fn route(_: *KeyRanges, header: Header, bindings: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        for (bindings) |binding| {
            const range = try rangeOf(binding);
            const number = header.@"headers.number";
            if (number >= range.from and number < range.below) destinations.add(binding.index);
        }
    }
};

const Range = struct { from: i64, below: i64 };

fn rangeOf(binding: shunt.Binding) shunt.Refused!Range {
    const from = try binding.arguments.read(i64, "from");
    const below = try binding.arguments.read(i64, "below");
    if (from >= below) return shunt.refuse("from is not less than below");
    return .{ .from = from, .below = below };
}

comptime {
    shunt.serve(KeyRanges);
}

test "a range has its first number and not its last" {
    var exchange = try shunt.testing.Declared(KeyRanges).init(.{});
    try exchange.bindQueue("low", "", .{ .from = 0, .below = 100 });
    try exchange.bindQueue("high", "", .{ .from = 100, .below = 200 });
    try exchange.expect(&.{"low"}, .{ .@"headers.number" = 99 });
    try exchange.expect(&.{"high"}, .{ .@"headers.number" = 100 });
    try exchange.expect(&.{}, .{ .@"headers.number" = -1 });
    try exchange.expectRefused("headers.number is missing", .{});
    if (exchange.bindQueue("x", "", .{ .from = 1, .below = 1 }) != error.Refused) return error.NotRefused;
}
