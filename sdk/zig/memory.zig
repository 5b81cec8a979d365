//! Memory that is taken and never given back: a route needs little, and keeps it.

const is_wasm = @import("builtin").cpu.arch.isWasm();

const page = 65536;

// In a test there is a block of the test's own.
var block: [if (is_wasm) 0 else 16 << 20]u8 align(16) = undefined;
var used: usize = 0;
// What is left of the page that was taken last.
var rest: []align(16) u8 = &.{};

/// Room for so many bytes; a trap where there is none, which the broker counts as memory.
pub fn allocate(length: usize) []align(16) u8 {
    const rounded = (length + 15) & ~@as(usize, 15);
    if (rounded < length) @trap();
    if (rest.len < rounded) rest = more(rounded) orelse @trap();
    defer rest = @alignCast(rest[rounded..]);
    return rest[0..length];
}

fn more(length: usize) ?[]align(16) u8 {
    if (!is_wasm) {
        if (length > block.len - used) return null;
        defer used += length;
        return @alignCast(block[used..][0..length]);
    }
    const pages = (length + page - 1) / page;
    const at = @wasmMemoryGrow(0, pages);
    if (at < 0) return null;
    const start: [*]align(16) u8 = @ptrFromInt(@as(usize, @intCast(at)) * page);
    return start[0 .. pages * page];
}

/// Bytes that grow: where they do they move, and the room that they had is lost.
pub const Buffer = struct {
    bytes: []align(16) u8 = &.{},

    /// At least so many bytes, the first `kept` of them as they were.
    pub fn room(self: *Buffer, length: usize, kept: usize) []align(16) u8 {
        if (self.bytes.len < length) {
            const grown = allocate(@max(2 * length, 256));
            const old = @min(kept, self.bytes.len);
            @memcpy(grown[0..old], self.bytes[0..old]);
            self.bytes = grown;
        }
        return self.bytes;
    }

    /// A copy of these bytes.
    pub fn keep(self: *Buffer, bytes: []const u8) []const u8 {
        const copy = self.room(bytes.len, 0)[0..bytes.len];
        @memcpy(copy, bytes);
        return copy;
    }
};
