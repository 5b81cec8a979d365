//! To the first x-first bindings, and to the queue x-queue.
const shunt = @import("shunt");

pub const Fixed = struct {
    pub const name = "fixed";
    pub const version = "1.0.0";

    first: i64 = 1,
    queue: ?[]const u8 = null,

    pub fn configure(self: *Fixed, exchange: shunt.Exchange) shunt.Refused!void {
        self.first = try exchange.arguments.read(?i64, "x-first") orelse 1;
        self.queue = try exchange.arguments.read(?[]const u8, "x-queue");
    }

    pub fn route(self: *Fixed, _: anytype, _: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        var index: i64 = 0;
        while (index < self.first) : (index += 1) destinations.add(@intCast(index));
        if (self.queue) |queue| destinations.addQueue(queue);
    }
};

comptime {
    shunt.serve(Fixed);
}
