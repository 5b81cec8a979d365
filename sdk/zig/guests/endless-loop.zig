//! Never ends where the routing key is loop.
const shunt = @import("shunt");

pub const EndlessLoop = struct {
    pub const name = "endless-loop";
    pub const version = "1.0.0";
    pub const Header = struct { routing_key: []const u8 };

    pub fn route(_: *EndlessLoop, header: Header, _: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        while (shunt.equal(header.routing_key, "loop")) {}
        destinations.add(0);
    }
};

comptime {
    shunt.serve(EndlessLoop);
}
