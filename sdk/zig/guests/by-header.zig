//! To each binding whose argument value equals the header value.
const shunt = @import("shunt");

pub const ByHeader = struct {
    pub const name = "by-header";
    pub const version = "1.0.0";
    pub const Header = struct { @"headers.value": shunt.Value };

    pub fn route(_: *ByHeader, header: Header, bindings: []const shunt.Binding, destinations: *shunt.Destinations) shunt.Refused!void {
        for (bindings) |binding| {
            if (binding.arguments.get("value").equals(header.@"headers.value")) destinations.add(binding.index);
        }
    }
};

comptime {
    shunt.serve(ByHeader);
}
