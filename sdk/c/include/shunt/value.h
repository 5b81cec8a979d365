/* Values of fields and arguments, read from MessagePack where they lie: nothing is copied.
 *
 *   00-7f positive fixint   80-8f fixmap   90-9f fixarray   a0-bf fixstr   c0 nil   c2 c3 bool
 *   c4 c5 c6 bin 8 16 32    c7 c8 c9 ext 8 16 32   ca cb float 32 64
 *   cc cd ce cf uint        d0 d1 d2 d3 int        d4 d5 d6 d7 d8 fixext 1 2 4 8 16
 *   d9 da db str 8 16 32    dc dd array 16 32      de df map 16 32   e0-ff negative fixint
 */
#ifndef SHUNT_VALUE_H
#define SHUNT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *bytes;
    uint32_t length;
} shunt_text;

/* A fixed text. */
#define SHUNT_TEXT(text) ((shunt_text){(text), sizeof(text) - 1})

typedef struct { bool present; shunt_text value; } shunt_optional_text;
typedef struct { bool present; int64_t value; } shunt_optional_integer;
typedef struct { bool present; double value; } shunt_optional_number;
typedef struct { bool present; bool value; } shunt_optional_boolean;

typedef enum {
    SHUNT_ABSENT, /* or AMQP's void */
    SHUNT_BOOLEAN,
    SHUNT_INTEGER,
    SHUNT_UNSIGNED, /* an integer that only 64 bits without a sign hold */
    SHUNT_NUMBER,
    SHUNT_STRING, /* one that is not UTF-8 is SHUNT_BYTES */
    SHUNT_BYTES,
    SHUNT_ARRAY,
    SHUNT_TABLE,
    SHUNT_TIMESTAMP, /* seconds since the Unix epoch */
    SHUNT_DECIMAL,
} shunt_type;

/* `count` values, or `count` names each with its value, one behind the other. */
typedef struct {
    const uint8_t *items;
    uint32_t length;
    uint32_t count;
} shunt_array;
typedef shunt_array shunt_table;

typedef struct {
    shunt_type type;
    union {
        bool boolean;
        int64_t integer; /* of timestamps too */
        uint64_t unsigned_integer;
        double number;
        shunt_text text; /* of bytes too */
        shunt_array array;
        shunt_table table;
        struct {
            uint8_t scale;
            int32_t digits;
        } decimal;
    };
} shunt_value;

/* A place in MessagePack, moved forward value by value. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} shunt_cursor;

static inline bool shunt_memory_equal(const void *one, const void *other, uint32_t length) {
    const uint8_t *a = one, *b = other;
    for (uint32_t i = 0; i < length; i++)
        if (a[i] != b[i]) return false;
    return true;
}

static inline bool shunt_text_equal(shunt_text one, shunt_text other) {
    return one.length == other.length && shunt_memory_equal(one.bytes, other.bytes, one.length);
}

static inline uint32_t shunt_text_length(const char *text) {
    uint32_t length = 0;
    while (text[length]) length++;
    return length;
}

static inline bool shunt_take(shunt_cursor *cursor, uint64_t length, const uint8_t **taken) {
    if (length > (uint64_t)(cursor->end - cursor->at)) return false;
    *taken = cursor->at;
    cursor->at += length;
    return true;
}

/* An unsigned number of 1 << log bytes. */
static inline bool shunt_read_number(shunt_cursor *cursor, unsigned log, uint64_t *number) {
    const uint8_t *bytes;
    if (!shunt_take(cursor, 1u << log, &bytes)) return false;
    *number = 0;
    for (unsigned i = 0; i < 1u << log; i++) *number = *number << 8 | bytes[i];
    return true;
}

static inline double shunt_double(uint64_t bits) {
    union { uint64_t bits; double number; } both = {bits};
    return both.number;
}

static inline float shunt_float(uint32_t bits) {
    union { uint32_t bits; float number; } both = {bits};
    return both.number;
}

/* A timestamp is of type -1, in 4, 8 or 12 bytes; a decimal is of type 1. */
static inline bool shunt_read_extension(shunt_cursor *cursor, uint64_t length, shunt_value *value) {
    uint64_t kind, number;
    const uint8_t *skipped;
    if (!shunt_read_number(cursor, 0, &kind)) return false;
    value->type = SHUNT_TIMESTAMP;
    if (kind == 0xff && (length == 4 || length == 8 || length == 12)) {
        if (length == 12 && !shunt_take(cursor, 4, &skipped)) return false;
        if (!shunt_read_number(cursor, length == 4 ? 2 : 3, &number)) return false;
        value->integer = (int64_t)(length == 8 ? number & 0x3ffffffffull : number);
        return true;
    }
    if (kind != 1 || length != 5) return false;
    value->type = SHUNT_DECIMAL;
    if (!shunt_read_number(cursor, 0, &number)) return false;
    value->decimal.scale = (uint8_t)number;
    if (!shunt_read_number(cursor, 2, &number)) return false;
    value->decimal.digits = (int32_t)number;
    return true;
}

/* Reads the next value; of an array or a table its start only, whose items follow. */
static inline bool shunt_read_head(shunt_cursor *cursor, shunt_value *value) {
    uint64_t first, number = 0;
    const uint8_t *bytes;
    if (!shunt_read_number(cursor, 0, &first)) return false;
    unsigned tag = (unsigned)first;
    if (tag <= 0x7f || tag >= 0xe0) {
        value->type = SHUNT_INTEGER;
        value->integer = (int8_t)tag;
        return true;
    }
    if (tag >= 0xa0 && tag <= 0xbf) {
        value->type = SHUNT_STRING;
        number = tag & 31;
    } else if (tag >= 0x90 && tag <= 0x9f) {
        value->type = SHUNT_ARRAY;
        number = tag & 15;
    } else if (tag <= 0x8f) {
        value->type = SHUNT_TABLE;
        number = tag & 15;
    } else if (tag == 0xc0) {
        value->type = SHUNT_ABSENT;
        return true;
    } else if (tag == 0xc2 || tag == 0xc3) {
        value->type = SHUNT_BOOLEAN;
        value->boolean = tag == 0xc3;
        return true;
    } else if (tag >= 0xc7 && tag <= 0xc9) {
        return shunt_read_number(cursor, tag - 0xc7, &number) && shunt_read_extension(cursor, number, value);
    } else if (tag >= 0xd4 && tag <= 0xd8) {
        return shunt_read_extension(cursor, 1u << (tag - 0xd4), value);
    } else if (tag == 0xca || tag == 0xcb) {
        if (!shunt_read_number(cursor, tag - 0xc8, &number)) return false;
        value->type = SHUNT_NUMBER;
        value->number = tag == 0xca ? (double)shunt_float((uint32_t)number) : shunt_double(number);
        return true;
    } else if (tag >= 0xcc && tag <= 0xcf) {
        if (!shunt_read_number(cursor, tag - 0xcc, &number)) return false;
        value->type = number > INT64_MAX ? SHUNT_UNSIGNED : SHUNT_INTEGER;
        value->unsigned_integer = number;
        return true;
    } else if (tag >= 0xd0 && tag <= 0xd3) {
        unsigned unused = 64 - (8u << (tag - 0xd0));
        if (!shunt_read_number(cursor, tag - 0xd0, &number)) return false;
        value->type = SHUNT_INTEGER;
        value->integer = (int64_t)(number << unused) >> unused;
        return true;
    } else {
        unsigned log;
        if (tag >= 0xc4 && tag <= 0xc6) {
            value->type = SHUNT_BYTES;
            log = tag - 0xc4;
        } else if (tag >= 0xd9 && tag <= 0xdb) {
            value->type = SHUNT_STRING;
            log = tag - 0xd9;
        } else if (tag == 0xdc || tag == 0xdd) {
            value->type = SHUNT_ARRAY;
            log = tag - 0xdb;
        } else if (tag == 0xde || tag == 0xdf) {
            value->type = SHUNT_TABLE;
            log = tag - 0xdd;
        } else {
            return false;
        }
        if (!shunt_read_number(cursor, log, &number)) return false;
    }
    if (value->type == SHUNT_STRING || value->type == SHUNT_BYTES) {
        if (!shunt_take(cursor, number, &bytes)) return false;
        value->text = (shunt_text){(const char *)bytes, (uint32_t)number};
    } else {
        value->array = (shunt_array){cursor->at, 0, (uint32_t)number};
    }
    return true;
}

/* Reads the next value, with all that is nested in it. Every value that is still open needs a
 * byte at least: hostile counts and depths end with the bytes, and no stack is needed. */
static inline bool shunt_read(shunt_cursor *cursor, shunt_value *value) {
    if (!shunt_read_head(cursor, value)) return false;
    if (value->type != SHUNT_ARRAY && value->type != SHUNT_TABLE) return true;
    uint64_t open = value->array.count;
    if (value->type == SHUNT_TABLE) open *= 2;
    while (open > 0) {
        shunt_value item;
        if (open > (uint64_t)(cursor->end - cursor->at)) return false;
        open--;
        if (!shunt_read_head(cursor, &item)) return false;
        if (item.type == SHUNT_ARRAY) open += item.array.count;
        if (item.type == SHUNT_TABLE) open += 2 * (uint64_t)item.array.count;
    }
    value->array.length = (uint32_t)(cursor->at - value->array.items);
    return true;
}

/* A cursor before the first item of an array or a table. */
static inline shunt_cursor shunt_items(shunt_array array) {
    return (shunt_cursor){array.items, array.items + array.length};
}

/* The value of a name, SHUNT_ABSENT where there is none. */
static inline shunt_value shunt_get(shunt_table table, shunt_text name) {
    shunt_cursor cursor = shunt_items(table);
    shunt_value key, value;
    for (uint32_t i = 0; i < table.count; i++) {
        if (!shunt_read(&cursor, &key) || !shunt_read(&cursor, &value)) break;
        if (key.type == SHUNT_STRING && shunt_text_equal(key.text, name)) return value;
    }
    return (shunt_value){.type = SHUNT_ABSENT};
}

/* Whether two values are of one type and equal; arrays and tables are where their bytes are. */
static inline bool shunt_equal(shunt_value one, shunt_value other) {
    if (one.type != other.type) return false;
    switch (one.type) {
    case SHUNT_ABSENT: return true;
    case SHUNT_BOOLEAN: return one.boolean == other.boolean;
    case SHUNT_INTEGER:
    case SHUNT_UNSIGNED:
    case SHUNT_TIMESTAMP: return one.integer == other.integer;
    case SHUNT_NUMBER: return one.number == other.number;
    case SHUNT_STRING:
    case SHUNT_BYTES: return shunt_text_equal(one.text, other.text);
    case SHUNT_DECIMAL:
        return one.decimal.scale == other.decimal.scale && one.decimal.digits == other.decimal.digits;
    default:
        return one.array.length == other.array.length &&
               shunt_memory_equal(one.array.items, other.array.items, one.array.length);
    }
}

#endif
