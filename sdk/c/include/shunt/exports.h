/* The exports of a route module, and the memory behind them. */
#ifndef SHUNT_EXPORTS_H
#define SHUNT_EXPORTS_H

#ifdef __wasm__
#define SHUNT_EXPORT(name) __attribute__((export_name(name)))
/* Addresses have 32 bits here, and pack into the contract's 64. */
typedef int64_t shunt_packed;
#else
#define SHUNT_EXPORT(name)
typedef struct {
    const uint8_t *bytes;
    uint32_t length;
    bool refused;
} shunt_packed;
#endif

/* ---- memory: blocks of a size that only grows, for input, bindings, answers and reasons ---- */

#ifdef __wasm__
extern uint8_t __heap_base;
static uintptr_t shunt_top;

/* Memory from behind all that was handed out before; NULL where there is none. */
static inline void *shunt_alloc_raw(uint32_t length) {
    if (shunt_top == 0) shunt_top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    uint64_t end = (uint64_t)shunt_top + length;
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end > 0x7fffffff) return NULL;
    if (end > have && __builtin_wasm_memory_grow(0, (size_t)((end - have + 65535) >> 16)) == (size_t)-1)
        return NULL;
    void *start = (void *)shunt_top;
    shunt_top = ((uintptr_t)end + 15) & ~(uintptr_t)15;
    return start;
}

/* Clang makes calls of these out of loops and assignments. */
void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    uint8_t *out = to;
    const uint8_t *in = from;
    while (length--) *out++ = *in++;
    return to;
}
void *memset(void *to, int byte, size_t length) {
    uint8_t *out = to;
    while (length--) *out++ = (uint8_t)byte;
    return to;
}
#define SHUNT_ABORT() __builtin_trap()
#else
#include <stdlib.h>
#include <string.h>
static inline void *shunt_alloc_raw(uint32_t length) { return malloc(length ? length : 1); }
#define SHUNT_ABORT() abort()
#endif

typedef struct {
    uint8_t *bytes;
    uint32_t capacity;
} shunt_block;

/* Makes room; what was in the block stays behind. Blocks double, so all the old ones together are
 * smaller than the newest. */
static inline uint8_t *shunt_reserve(shunt_block *block, uint32_t length) {
    if (block->bytes && length <= block->capacity) return block->bytes;
    uint32_t capacity = block->capacity ? block->capacity : 512;
    while (capacity < length && capacity < 1u << 30) capacity *= 2;
    uint8_t *bytes = capacity < length ? NULL : shunt_alloc_raw(capacity);
    if (!bytes) return NULL;
    *block = (shunt_block){bytes, capacity};
    return bytes;
}

/* Memory for what a route keeps, such as what it prepares from its bindings. It traps where there
 * is none, and is never given back: a route keeps it in a static and uses it again. */
static inline void *shunt_keep(const void *bytes, uint32_t length) {
    uint8_t *kept = shunt_alloc_raw(length);
    if (!kept) SHUNT_ABORT();
    for (uint32_t i = 0; bytes && i < length; i++) kept[i] = ((const uint8_t *)bytes)[i];
    return kept;
}

/* ---- answers ---- */

static inline shunt_packed shunt_pack(const void *bytes, uint32_t length, bool refused) {
#ifdef __wasm__
    shunt_packed packed = (int64_t)((uint64_t)(uintptr_t)bytes << 32 | length);
    return refused ? packed | INT64_MIN : packed;
#else
    return (shunt_packed){bytes, length, refused};
#endif
}

#ifdef __wasm__
#define SHUNT_NOTHING 0
#else
#define SHUNT_NOTHING ((shunt_packed){NULL, 0, false})
#endif

/* The answer of every call but shunt_route, which marks a refusal. */
static inline shunt_packed shunt_plain(shunt_refusal refusal) {
    if (!refusal.bytes) return SHUNT_NOTHING;
#ifdef __wasm__
    return shunt_pack(refusal.bytes, refusal.length, false);
#else
    return shunt_pack(refusal.bytes, refusal.length, true);
#endif
}

static shunt_block shunt_reason_block;

static inline shunt_refusal shunt_refuse_named(shunt_text name, const char *rest) {
    uint32_t rest_length = shunt_text_length(rest), length = name.length + rest_length;
    uint8_t *out = shunt_reserve(&shunt_reason_block, length);
    if (!out) SHUNT_ABORT();
    for (uint32_t i = 0; i < name.length; i++) out[i] = (uint8_t)name.bytes[i];
    for (uint32_t i = 0; i < rest_length; i++) out[name.length + i] = (uint8_t)rest[i];
    return (shunt_refusal){(const char *)out, length};
}

static inline shunt_refusal shunt_refuse_text(shunt_text reason) {
    return shunt_refuse_named(reason, "");
}

#define SHUNT_MALFORMED SHUNT_REFUSE("the host's input is not what the contract says")

static inline void shunt_write(shunt_destinations *destinations, const void *bytes, uint32_t length) {
    uint64_t end = (uint64_t)destinations->length + length;
    if (end > destinations->capacity) {
        shunt_block block = {NULL, destinations->capacity};
        uint8_t *old = destinations->bytes, *grown = end > 1u << 30 ? NULL : shunt_reserve(&block, (uint32_t)end);
        if (!grown) SHUNT_ABORT();
        for (uint32_t i = 0; i < destinations->length; i++) grown[i] = old[i];
        destinations->bytes = grown;
        destinations->capacity = block.capacity;
    }
    for (uint32_t i = 0; i < length; i++)
        destinations->bytes[destinations->length + i] = ((const uint8_t *)bytes)[i];
    destinations->length = (uint32_t)end;
}

static inline void shunt_put_32(uint8_t *out, uint8_t tag, uint32_t number) {
    out[0] = tag;
    for (int i = 0; i < 4; i++) out[1 + i] = (uint8_t)(number >> (24 - 8 * i));
}

static inline void shunt_add(shunt_destinations *destinations, uint32_t index) {
    uint8_t head[5] = {(uint8_t)index};
    if (index >= 0x80) shunt_put_32(head, 0xce, index);
    shunt_write(destinations, head, index < 0x80 ? 1 : 5);
    destinations->count++;
}

static inline void shunt_add_queue(shunt_destinations *destinations, shunt_text name) {
    uint8_t head[5];
    shunt_put_32(head, 0xdb, name.length);
    shunt_write(destinations, head, 5);
    shunt_write(destinations, name.bytes, name.length);
    destinations->count++;
}

/* ---- typed values ---- */

#define SHUNT_READER(noun, member_type, kind, expected, get)                                                   \
    static inline shunt_refusal shunt_required_##noun(const char *name, shunt_value value, member_type *out) { \
        shunt_text named = {name, shunt_text_length(name)};                                                    \
        if (value.type == SHUNT_ABSENT) return shunt_refuse_named(named, " is missing");                       \
        if (value.type != kind) return shunt_refuse_named(named, " is not " expected);                         \
        *out = value.get;                                                                                      \
        return SHUNT_OK;                                                                                       \
    }                                                                                                          \
    static inline shunt_refusal shunt_optional_##noun##_of(const char *name, shunt_value value,                \
                                                           shunt_optional_##noun *out) {                       \
        out->present = value.type != SHUNT_ABSENT;                                                             \
        return out->present ? shunt_required_##noun(name, value, &out->value) : SHUNT_OK;                      \
    }
SHUNT_READER(text, shunt_text, SHUNT_STRING, "a string", text)
SHUNT_READER(integer, int64_t, SHUNT_INTEGER, "an integer", integer)
SHUNT_READER(boolean, bool, SHUNT_BOOLEAN, "a boolean", boolean)
SHUNT_READER(number, double, SHUNT_NUMBER, "a number", number)
#undef SHUNT_READER

static inline shunt_refusal shunt_any_value(const char *name, shunt_value value, shunt_value *out) {
    (void)name;
    *out = value;
    return SHUNT_OK;
}

#define SHUNT_READ_required_text shunt_required_text
#define SHUNT_READ_optional_text shunt_optional_text_of
#define SHUNT_READ_required_integer shunt_required_integer
#define SHUNT_READ_optional_integer shunt_optional_integer_of
#define SHUNT_READ_required_number shunt_required_number
#define SHUNT_READ_optional_number shunt_optional_number_of
#define SHUNT_READ_required_boolean shunt_required_boolean
#define SHUNT_READ_optional_boolean shunt_optional_boolean_of
#define SHUNT_READ_required_value shunt_any_value
#define SHUNT_READ_optional_value shunt_any_value

static inline shunt_refusal shunt_argument_text(shunt_table arguments, const char *name, shunt_optional_text *out) {
    return shunt_optional_text_of(name, shunt_get(arguments, (shunt_text){name, shunt_text_length(name)}), out);
}

static inline shunt_refusal shunt_argument_integer(shunt_table arguments, const char *name,
                                                   shunt_optional_integer *out) {
    return shunt_optional_integer_of(name, shunt_get(arguments, (shunt_text){name, shunt_text_length(name)}), out);
}

/* ---- exports ---- */

SHUNT_EXPORT("shunt_abi") int32_t shunt_export_abi(void) { return 1; }

/* The host may fill a block again without asking, so that none is given back. */
static shunt_block shunt_input;

SHUNT_EXPORT("shunt_alloc") void *shunt_export_alloc(uint32_t length) { return shunt_reserve(&shunt_input, length); }

static const char *const shunt_reads[] = {
#define SHUNT_NAME_OF(need, type, member, name) name,
    SHUNT_HEADER(SHUNT_NAME_OF)
#undef SHUNT_NAME_OF
    NULL};

static const char *const shunt_wants[] = {
#ifdef SHUNT_WANTS
    SHUNT_WANTS,
#endif
    NULL};

static inline void shunt_write_text(shunt_destinations *out, const char *text) {
    shunt_add_queue(out, (shunt_text){text, shunt_text_length(text)});
}

static inline void shunt_write_texts(shunt_destinations *out, const char *name, const char *const *texts) {
    uint32_t count = 0;
    uint8_t head[5];
    while (texts[count]) count++;
    shunt_write_text(out, name);
    shunt_put_32(head, 0xdd, count);
    shunt_write(out, head, 5);
    for (uint32_t i = 0; i < count; i++) shunt_write_text(out, texts[i]);
}

SHUNT_EXPORT("shunt_describe") shunt_packed shunt_export_describe(void) {
    shunt_destinations out = {0};
    shunt_write(&out, "\x84", 1);
    shunt_write_text(&out, "name");
    shunt_write_text(&out, SHUNT_NAME);
    shunt_write_text(&out, "version");
    shunt_write_text(&out, SHUNT_VERSION);
    shunt_write_texts(&out, "reads", shunt_reads);
    shunt_write_texts(&out, "wants", shunt_wants);
    return shunt_pack(out.bytes, out.length, false);
}

#ifdef SHUNT_CONFIGURE
SHUNT_EXPORT("shunt_configure") shunt_packed shunt_export_configure(const uint8_t *input, uint32_t length) {
    shunt_cursor cursor = {input, input + length};
    shunt_value value;
    if (!shunt_read(&cursor, &value) || value.type != SHUNT_TABLE) return shunt_plain(SHUNT_MALFORMED);
    shunt_value name = shunt_get(value.table, SHUNT_TEXT("exchange"));
    shunt_value vhost = shunt_get(value.table, SHUNT_TEXT("vhost"));
    shunt_value arguments = shunt_get(value.table, SHUNT_TEXT("arguments"));
    if (name.type != SHUNT_STRING || vhost.type != SHUNT_STRING || arguments.type != SHUNT_TABLE)
        return shunt_plain(SHUNT_MALFORMED);
    shunt_exchange exchange = {name.text, vhost.text, arguments.table};
    return shunt_plain(configure(&exchange));
}
#endif

static inline bool shunt_read_binding(shunt_cursor *cursor, shunt_binding *binding) {
    shunt_value head, parts[4];
    if (!shunt_read_head(cursor, &head) || head.type != SHUNT_ARRAY || head.array.count != 4) return false;
    for (int i = 0; i < 4; i++)
        if (!shunt_read(cursor, &parts[i]) || parts[i].type != (i < 3 ? SHUNT_STRING : SHUNT_TABLE)) return false;
    binding->kind = shunt_text_equal(parts[0].text, SHUNT_TEXT("queue")) ? SHUNT_QUEUE : SHUNT_EXCHANGE;
    binding->name = parts[1].text;
    binding->key = parts[2].text;
    binding->arguments = parts[3].table;
    return true;
}

#ifdef SHUNT_CHECK_BINDING
SHUNT_EXPORT("shunt_check_binding") shunt_packed shunt_export_check_binding(const uint8_t *input, uint32_t length) {
    shunt_cursor cursor = {input, input + length};
    shunt_binding binding;
    if (!shunt_read_binding(&cursor, &binding)) return shunt_plain(SHUNT_MALFORMED);
    return shunt_plain(check_binding(&binding));
}
#endif

/* The bytes that the kept bindings lie in, and the bindings. */
static shunt_block shunt_bindings_bytes, shunt_bindings_items;
/* Why messages can't be routed, as long as that is so. */
static shunt_refusal shunt_unready;

static inline shunt_refusal shunt_bind(const uint8_t *input, uint32_t length) {
    shunt_value head;
    shunt_bindings.items = NULL;
    shunt_bindings.count = 0;
    uint8_t *bytes = shunt_reserve(&shunt_bindings_bytes, length);
    if (!bytes) SHUNT_ABORT();
    for (uint32_t i = 0; i < length; i++) bytes[i] = input[i];
    shunt_cursor cursor = {bytes, bytes + length};
    /* Each of them has five bytes at least, so a count above that is a lie. */
    if (!shunt_read_head(&cursor, &head) || head.type != SHUNT_ARRAY || head.array.count > length / 5)
        return SHUNT_MALFORMED;
    void *room = shunt_reserve(&shunt_bindings_items, head.array.count * (uint32_t)sizeof(shunt_binding));
    if (!room) SHUNT_ABORT();
    shunt_binding *items = room;
    for (uint32_t i = 0; i < head.array.count; i++)
        if (!shunt_read_binding(&cursor, &items[i])) return SHUNT_MALFORMED;
    shunt_bindings.items = items;
    shunt_bindings.count = head.array.count;
#ifdef SHUNT_BINDINGS
    return bindings();
#else
    return SHUNT_OK;
#endif
}

SHUNT_EXPORT("shunt_bindings") shunt_packed shunt_export_bindings(const uint8_t *input, uint32_t length) {
    shunt_unready = shunt_bind(input, length);
    return shunt_plain(shunt_unready);
}

static inline shunt_refusal shunt_decide(const uint8_t *input, uint32_t length, shunt_destinations *destinations) {
    shunt_cursor cursor = {input, input + length};
    shunt_value value;
    shunt_header header = {0};
    shunt_refusal refusal;
    if (shunt_unready.bytes) return shunt_unready;
    if (!shunt_read_head(&cursor, &value) || value.type != SHUNT_ARRAY ||
        value.array.count != sizeof(shunt_reads) / sizeof(*shunt_reads) - 1)
        return SHUNT_MALFORMED;
    (void)refusal;
#define SHUNT_READ_MEMBER(need, type, member, name)                               \
    if (!shunt_read(&cursor, &value)) return SHUNT_MALFORMED;                     \
    refusal = SHUNT_READ_##need##_##type(name, value, &header.member);            \
    if (refusal.bytes) return refusal;
    SHUNT_HEADER(SHUNT_READ_MEMBER)
#undef SHUNT_READ_MEMBER
    return route(&header, destinations);
}

SHUNT_EXPORT("shunt_route") shunt_packed shunt_export_route(const uint8_t *input, uint32_t length) {
    static shunt_destinations destinations;
    /* Room for the head, which is known last. */
    destinations.length = 0;
    destinations.count = 0;
    shunt_write(&destinations, "\xdd\0\0\0", 5);
    shunt_refusal refusal = shunt_decide(input, length, &destinations);
    if (refusal.bytes) return shunt_pack(refusal.bytes, refusal.length, true);
    if (destinations.count == 0) return SHUNT_NOTHING;
    shunt_put_32(destinations.bytes, 0xdd, destinations.count);
    return shunt_pack(destinations.bytes, destinations.length, false);
}

#endif
