//! Uses the capability that the routing key names.
const shunt = @import("shunt");

pub const Capabilities = struct {
    pub const name = "capabilities";
    pub const version = "1.0.0";
    pub const wants = [_][]const u8{ "clock", "random", "load", "state" };
    pub const Header = struct { routing_key: []const u8 };

    pub fn route(_: *Capabilities, header: Header, bindings: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        destinations.add(try chosen(header.routing_key, bindings));
    }
};

fn chosen(key: []const u8, bindings: []const shunt.Binding) shunt.Refused!u32 {
    if (shunt.equal(key, "log")) {
        shunt.host.log(.warn, "a line of the guest: größe");
        return 0;
    }
    if (shunt.equal(key, "clock")) {
        const now = shunt.host.nowMs();
        return @intFromBool(now < 1600000000000 or now != shunt.host.nowMs());
    }
    if (shunt.equal(key, "random")) return @intFromBool(shunt.host.random() == shunt.host.random());
    if (shunt.equal(key, "load")) return leastLoaded(bindings);
    if (shunt.equal(key, "state")) return count() % @as(u32, @intCast(bindings.len));
    if (shunt.equal(key, "state-long")) {
        const long: [1000]u8 = @splat('v');
        if (!shunt.host.statePut("long", &long)) return 1;
        return @intFromBool(!shunt.equal(shunt.host.stateGet("long") orelse "", &long));
    }
    if (shunt.equal(key, "state-remove")) {
        shunt.host.stateRemove("count");
        return @intFromBool(shunt.host.stateGet("count") != null);
    }
    return shunt.refuse("no such capability");
}

/// The first of those with the fewest messages ready.
fn leastLoaded(bindings: []const shunt.Binding) u32 {
    var found: u32 = 0;
    var least: ?u64 = null;
    for (bindings) |binding| {
        const load = shunt.host.queueLoad(binding.index) orelse continue;
        if (load.ready < least orelse load.ready + 1) {
            found = binding.index;
            least = load.ready;
        }
    }
    return found;
}

/// How often it was asked before, as one decimal digit.
fn count() u32 {
    const digit = if (shunt.host.stateGet("count")) |kept| kept[0] - '0' else 0;
    _ = shunt.host.statePut("count", &.{'0' + (digit + 1) % 10});
    return digit;
}

comptime {
    shunt.serve(Capabilities);
}
