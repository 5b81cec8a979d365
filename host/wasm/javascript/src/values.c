#include "values.h"

#include <stdlib.h>
#include <string.h>

// Integers of JavaScript's numbers; what is beyond becomes a BigInt.
#define SAFE_MAX ((int64_t)1 << 53)

static uint64_t read_number(Input *input, int bytes) {
    uint64_t number = 0;
    if (input->end - input->at < bytes) FAIL("the input ends in the middle");
    while (bytes--) number = number << 8 | *input->at++;
    return number;
}

static const uint8_t *read_bytes(Input *input, size_t length) {
    const uint8_t *at = input->at;
    if ((size_t)(input->end - at) < length) FAIL("the input ends in the middle");
    input->at += length;
    return at;
}

static JSValue signed_value(JSContext *context, int64_t number) {
    if (number > -SAFE_MAX && number < SAFE_MAX) return JS_NewInt64(context, number);
    return JS_NewBigInt64(context, number);
}

static JSValue unsigned_value(JSContext *context, uint64_t number) {
    if (number < (uint64_t)SAFE_MAX) return JS_NewInt64(context, (int64_t)number);
    return JS_NewBigUint64(context, number);
}

// Takes the two values over.
static JSValue made(Input *input, int kind, JSValue a, JSValue b) {
    JSValue arguments[] = { JS_NewInt32(input->context, kind), a, b };
    JSValue result = JS_EXCEPTION;
    if (!JS_IsException(a) && !JS_IsException(b))
        result = JS_Call(input->context, input->make, JS_UNDEFINED, 3, (JSValueConst *)arguments);
    JS_FreeValue(input->context, a);
    JS_FreeValue(input->context, b);
    return result;
}

static JSValue double_value(Input *input, double number) {
    return made(input, MADE_DOUBLE, JS_NewFloat64(input->context, number), JS_UNDEFINED);
}

static JSValue text_value(Input *input, size_t length) {
    const uint8_t *at = read_bytes(input, length);
    return JS_NewStringLen(input->context, (const char *)at, length);
}

static JSValue bytes_value(Input *input, size_t length) {
    const uint8_t *at = read_bytes(input, length);
    return JS_NewUint8ArrayCopy(input->context, at, length);
}

static JSValue array_value(Input *input, size_t length) {
    JSContext *context = input->context;
    JSValue array = JS_NewArray(context);
    for (size_t index = 0; index < length && !JS_IsException(array); index++) {
        JSValue item = read_value(input);
        if (JS_IsException(item) || JS_SetPropertyUint32(context, array, (uint32_t)index, item) < 0) {
            JS_FreeValue(context, array);
            array = JS_EXCEPTION;
        }
    }
    return array;
}

static JSValue extension_value(Input *input, size_t length) {
    JSContext *context = input->context;
    int8_t kind = (int8_t)read_number(input, 1);
    if (kind == -1) {
        uint64_t seconds;
        if (length == 4) seconds = read_number(input, 4);
        else if (length == 8) seconds = read_number(input, 8) & 0x3ffffffff;
        else read_number(input, 4), seconds = read_number(input, 8);
        return made(input, MADE_TIMESTAMP, signed_value(context, (int64_t)seconds), JS_UNDEFINED);
    }
    if (kind == 1 && length == 5) {
        JSValue scale = JS_NewInt32(context, (int32_t)read_number(input, 1));
        return made(input, MADE_DECIMAL, scale, JS_NewInt32(context, (int32_t)read_number(input, 4)));
    }
    FAIL("the input has an unknown extension");
}

JSValue read_value(Input *input) {
    JSContext *context = input->context;
    union { uint32_t bits; float number; } single;
    union { uint64_t bits; double number; } wide;
    uint8_t tag = (uint8_t)read_number(input, 1);
    if (tag < 0x80) return JS_NewInt32(context, tag);
    if (tag < 0x90) return made(input, MADE_TABLE, array_value(input, 2 * (tag & 15)), JS_UNDEFINED);
    if (tag < 0xa0) return array_value(input, tag & 15);
    if (tag < 0xc0) return text_value(input, tag & 31);
    if (tag >= 0xe0) return JS_NewInt32(context, (int8_t)tag);
    switch (tag) {
    case 0xc0: return JS_UNDEFINED;
    case 0xc2: return JS_FALSE;
    case 0xc3: return JS_TRUE;
    case 0xc4: return bytes_value(input, read_number(input, 1));
    case 0xc5: return bytes_value(input, read_number(input, 2));
    case 0xc6: return bytes_value(input, read_number(input, 4));
    case 0xc7: return extension_value(input, read_number(input, 1));
    case 0xc8: return extension_value(input, read_number(input, 2));
    case 0xc9: return extension_value(input, read_number(input, 4));
    case 0xca: single.bits = (uint32_t)read_number(input, 4); return double_value(input, single.number);
    case 0xcb: wide.bits = read_number(input, 8); return double_value(input, wide.number);
    case 0xcc: return unsigned_value(context, read_number(input, 1));
    case 0xcd: return unsigned_value(context, read_number(input, 2));
    case 0xce: return unsigned_value(context, read_number(input, 4));
    case 0xcf: return unsigned_value(context, read_number(input, 8));
    case 0xd0: return signed_value(context, (int8_t)read_number(input, 1));
    case 0xd1: return signed_value(context, (int16_t)read_number(input, 2));
    case 0xd2: return signed_value(context, (int32_t)read_number(input, 4));
    case 0xd3: return signed_value(context, (int64_t)read_number(input, 8));
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension_value(input, (size_t)1 << (tag - 0xd4));
    case 0xd9: return text_value(input, read_number(input, 1));
    case 0xda: return text_value(input, read_number(input, 2));
    case 0xdb: return text_value(input, read_number(input, 4));
    case 0xdc: return array_value(input, read_number(input, 2));
    case 0xdd: return array_value(input, read_number(input, 4));
    case 0xde: return made(input, MADE_TABLE, array_value(input, 2 * read_number(input, 2)), JS_UNDEFINED);
    case 0xdf: return made(input, MADE_TABLE, array_value(input, 2 * read_number(input, 4)), JS_UNDEFINED);
    default: FAIL("the input is no MessagePack");
    }
}

int64_t read_array(Input *input) {
    uint8_t tag = (uint8_t)read_number(input, 1);
    if (tag >= 0x90 && tag < 0xa0) return tag & 15;
    if (tag == 0xdc) return (int64_t)read_number(input, 2);
    if (tag == 0xdd) return (int64_t)read_number(input, 4);
    FAIL("the input is no array");
}

void put_bytes(Bytes *out, const void *bytes, size_t length) {
    if (out->capacity - out->length < length) {
        size_t capacity = 2 * (out->length + length) + 256;
        uint8_t *grown = realloc(out->at, capacity);
        if (!grown) FAIL("out of memory");
        out->at = grown;
        out->capacity = capacity;
    }
    memcpy(out->at + out->length, bytes, length);
    out->length += length;
}

// The head of a text or an array: one byte where the number is small, else `wide` for two bytes
// of it and the tag after it for four.
void put_head(Bytes *out, uint8_t fix, uint8_t fix_limit, uint8_t wide, size_t number) {
    uint8_t head[] = { wide + 1, number >> 24, number >> 16, number >> 8, number };
    if (number < fix_limit) {
        head[0] = fix | number;
        put_bytes(out, head, 1);
    } else if (number < 65536) {
        head[2] = wide;
        put_bytes(out, head + 2, 3);
    } else {
        put_bytes(out, head, 5);
    }
}

void put_text(Bytes *out, const char *text, size_t length) {
    put_head(out, 0xa0, 32, 0xda, length);
    put_bytes(out, text, length);
}

void put_index(Bytes *out, uint32_t index) {
    put_head(out, 0, 128, 0xcd, index);
}
