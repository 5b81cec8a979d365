//! To one binding, by FNV-1a of the routing key.
const shunt = @import("shunt");

pub const Hash = struct {
    pub const name = "hash";
    pub const version = "1.0.0";
    pub const Header = struct { routing_key: []const u8 };

    pub fn route(_: *Hash, header: Header, bindings: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        if (bindings.len > 0) destinations.add(@intCast(fnv1a(header.routing_key) % bindings.len));
    }
};

fn fnv1a(text: []const u8) u64 {
    var hash: u64 = 0xcbf29ce484222325;
    for (text) |byte| hash = (hash ^ byte) *% 0x100000001b3;
    return hash;
}

comptime {
    shunt.serve(Hash);
}
