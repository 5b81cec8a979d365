//! What the broker gives to a route. In a test it is a stub.

const is_wasm = @import("builtin").cpu.arch.isWasm();
const memory = @import("memory.zig");

const imports = struct {
    extern "shunt" fn log(level: i32, address: [*]const u8, length: usize) void;
    extern "shunt" fn now_ms() i64;
    extern "shunt" fn random() u64;
    extern "shunt" fn queue_load(index: u32, what: i32) i64;
    extern "shunt" fn state_get(key: [*]const u8, key_length: usize, out: [*]u8, capacity: usize) i32;
    extern "shunt" fn state_put(key: [*]const u8, key_length: usize, value: [*]const u8, length: usize) i32;
};

/// What of the stub is asked for; a test sets it.
pub const Stub = @import("testing.zig").HostStub;

pub const Level = enum(i32) { trace, debug, info, warn, @"error" };

/// Writes a line to the route's log.
pub fn log(level: Level, line: []const u8) void {
    if (!is_wasm) return Stub.log(level, line);
    imports.log(@intFromEnum(level), line.ptr, line.len);
}

/// Unix milliseconds, the same within one call. Takes the capability clock.
pub fn nowMs() i64 {
    return if (is_wasm) imports.now_ms() else Stub.now_ms;
}

/// A random number. Takes the capability random.
pub fn random() u64 {
    return if (is_wasm) imports.random() else Stub.random();
}

/// How full a queue was a moment ago.
pub const Load = struct { ready: u64, unacked: u64, consumers: u64 };

/// The load of the queue of a binding; null where it leads to none. Takes the capability load.
pub fn queueLoad(index: u32) ?Load {
    if (!is_wasm) return if (index < Stub.loads.len) Stub.loads[index] else null;
    const ready = imports.queue_load(index, 0);
    if (ready < 0) return null;
    return .{
        .ready = @intCast(ready),
        .unacked = @intCast(imports.queue_load(index, 1)),
        .consumers = @intCast(imports.queue_load(index, 2)),
    };
}

var fetched: memory.Buffer = .{};

/// What is kept under a key, until the next call of this function. Takes the capability state.
pub fn stateGet(key: []const u8) ?[]const u8 {
    if (!is_wasm) return Stub.get(key);
    while (true) {
        const room = fetched.room(64, 0);
        const length = imports.state_get(key.ptr, key.len, room.ptr, room.len);
        if (length < 0) return null;
        const found: usize = @intCast(length);
        if (found <= room.len) return room[0..found];
        _ = fetched.room(found, 0);
    }
}

/// Keeps a value; false where there is no room. An empty one removes the key.
pub fn statePut(key: []const u8, value: []const u8) bool {
    if (!is_wasm) return Stub.put(key, value);
    return imports.state_put(key.ptr, key.len, value.ptr, value.len) == 0;
}

pub fn stateRemove(key: []const u8) void {
    _ = statePut(key, "");
}
