//! Traps where the routing key is trap.
const shunt = @import("shunt");

pub const Trap = struct {
    pub const name = "trap";
    pub const version = "1.0.0";
    pub const Header = struct { routing_key: []const u8 };

    pub fn route(_: *Trap, header: Header, _: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        if (shunt.equal(header.routing_key, "trap")) @trap();
        destinations.add(0);
    }
};

comptime {
    shunt.serve(Trap);
}
