//! Takes memory until there is none where the routing key is eat.
const shunt = @import("shunt");

pub const MemoryEater = struct {
    pub const name = "memory-eater";
    pub const version = "1.0.0";
    pub const Header = struct { routing_key: []const u8 };

    pub fn route(_: *MemoryEater, header: Header, _: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        while (shunt.equal(header.routing_key, "eat")) _ = shunt.allocate(1 << 20);
        destinations.add(0);
    }
};

comptime {
    shunt.serve(MemoryEater);
}
