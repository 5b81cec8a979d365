// MessagePack and JavaScript's values, and memory that the host may be shown.
#ifndef VALUES_H
#define VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "quickjs.h"

// Bytes that an answer is made of. They stay until the next answer.
typedef struct {
    uint8_t *at;
    size_t length, capacity;
} Bytes;

// What JavaScript has no value for is made by a function of the library: `make(kind, a, b)`.
enum { MADE_DOUBLE, MADE_TIMESTAMP, MADE_DECIMAL, MADE_TABLE };

// The values of one MessagePack array, as many as it says. 0 where the input is none: the host
// writes no such thing.
typedef struct {
    JSContext *context;
    JSValue make;
    const uint8_t *at, *end;
} Input;

// The length of the array that stands here.
int64_t read_array(Input *input);
// The next value; an exception where it can't be made.
JSValue read_value(Input *input);

void put_head(Bytes *out, uint8_t fix, uint8_t fix_limit, uint8_t wide, size_t number);
void put_text(Bytes *out, const char *text, size_t length);
void put_index(Bytes *out, uint32_t index);
void put_bytes(Bytes *out, const void *bytes, size_t length);

// Ends the call, as a trap whose text this is.
_Noreturn void fail(const char *text, size_t length);
#define FAIL(text) fail(text, sizeof text - 1)

#endif
