//! Refuses every message, and exchanges and bindings that ask for it.
const shunt = @import("shunt");

pub const Refuse = struct {
    pub const name = "refuse";
    pub const version = "1.0.0";
    pub const Header = struct { @"headers.reason": ?[]const u8 };

    pub fn configure(_: *Refuse, exchange: shunt.Exchange) shunt.Refused!void {
        if (try exchange.arguments.read(?[]const u8, "x-refuse")) |reason| return shunt.refuse(reason);
    }

    pub fn checkBinding(_: *Refuse, binding: shunt.Binding) shunt.Refused!void {
        if (shunt.equal(binding.key, "refuse")) return shunt.refuse("the key is refuse");
        if (try binding.arguments.read(?[]const u8, "refuse")) |reason| return shunt.refuse(reason);
    }

    pub fn route(_: *Refuse, header: Header, _: []const shunt.Binding, _: *shunt.Destinations) shunt.Refused!void {
        return shunt.refuse(header.@"headers.reason" orelse "refused by the guest");
    }
};

comptime {
    shunt.serve(Refuse);
}
