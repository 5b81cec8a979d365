/* What a route may ask of the host. All but shunt_log need a capability: in SHUNT_WANTS, and
 * granted at deploy. A route has only the imports that it uses. Natively, a test defines the
 * functions that a route uses: shunt/testing.h does it. */
#ifndef SHUNT_HOST_H
#define SHUNT_HOST_H

#include "shunt/value.h"

#ifdef __wasm__
#define SHUNT_IMPORT(name) __attribute__((import_module("shunt"), import_name(name)))
#else
#define SHUNT_IMPORT(name)
#endif

typedef enum { SHUNT_TRACE, SHUNT_DEBUG, SHUNT_INFO, SHUNT_WARN, SHUNT_ERROR } shunt_level;
/* Messages that wait, messages that a consumer has and did not settle, consumers. */
typedef enum { SHUNT_READY, SHUNT_UNACKED, SHUNT_CONSUMERS } shunt_what;

SHUNT_IMPORT("log") void shunt_import_log(int32_t level, const char *bytes, uint32_t length);
/* Unix time in milliseconds, the same within one call. Needs "clock". */
SHUNT_IMPORT("now_ms") int64_t shunt_now_ms(void);
/* 64 random bits. Needs "random". */
SHUNT_IMPORT("random") uint64_t shunt_random(void);
/* The load of the queue that a binding leads to, -1 where that is an exchange. Needs "load". */
SHUNT_IMPORT("queue_load") int64_t shunt_queue_load(uint32_t index, shunt_what what);
SHUNT_IMPORT("state_get")
int32_t shunt_import_state_get(const char *key, uint32_t key_length, char *out, uint32_t capacity);
SHUNT_IMPORT("state_put")
int32_t shunt_import_state_put(const char *key, uint32_t key_length, const char *value, uint32_t length);

/* Writes a line to the broker's log; the host drops lines above the route's limit. */
static inline void shunt_log(shunt_level level, shunt_text line) {
    shunt_import_log((int32_t)level, line.bytes, line.length);
}

/* Copies what the broker keeps under a key, and answers its length: -1 where it keeps nothing;
 * one above the capacity where nothing was copied. Needs "state". */
static inline int32_t shunt_state_get(shunt_text key, char *out, uint32_t capacity) {
    return shunt_import_state_get(key.bytes, key.length, out, capacity);
}

/* Has the broker keep a value under a key; an empty one is removed. False where the broker keeps
 * no more for this route. Needs "state". */
static inline bool shunt_state_put(shunt_text key, shunt_text value) {
    return shunt_import_state_put(key.bytes, key.length, value.bytes, value.length) == 0;
}

#endif
