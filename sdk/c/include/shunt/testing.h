/* Runs a route natively, without a broker. A test includes the route's own file first, then this:
 *
 *   #include "../by-region.c"
 *   #include <shunt/testing.h>
 *
 *   int main(void) {
 *       test_declare(test_arguments(TEST_END));
 *       test_bind_queue("orders.eu", "eu", test_arguments(TEST_END));
 *       TEST_ROUTES("orders.eu", test_text("eu"));
 *       return 0;
 *   }
 *
 * What goes in passes through the same bytes as in the broker. A check that fails prints its line
 * and ends the program.
 */
#ifndef SHUNT_TESTING_H
#define SHUNT_TESTING_H

#include <stdarg.h>
#include <stdio.h>

/* ---- the host ---- */

static struct {
    int64_t now_ms;
    uint64_t seed;
    int64_t loads[64][3]; /* -1 is no queue */
    char key[64], value[4096]; /* one entry is kept */
    int32_t value_length;
    char line[256]; /* the last of the log */
} test_host = {.value_length = -1};

void shunt_import_log(int32_t level, const char *bytes, uint32_t length) {
    snprintf(test_host.line, sizeof test_host.line, "%d %.*s", level, (int)length, bytes);
}
int64_t shunt_now_ms(void) { return test_host.now_ms; }
uint64_t shunt_random(void) { return test_host.seed = test_host.seed * 6364136223846793005u + 1442695040888963407u; }
int64_t shunt_queue_load(uint32_t index, shunt_what what) { return test_host.loads[index][what]; }
int32_t shunt_import_state_get(const char *key, uint32_t key_length, char *out, uint32_t capacity) {
    if (strlen(test_host.key) != key_length || memcmp(test_host.key, key, key_length)) return -1;
    if (test_host.value_length >= 0 && (uint32_t)test_host.value_length <= capacity)
        memcpy(out, test_host.value, (size_t)test_host.value_length);
    return test_host.value_length;
}
int32_t shunt_import_state_put(const char *key, uint32_t key_length, const char *value, uint32_t length) {
    if (key_length >= sizeof test_host.key || length > sizeof test_host.value) return -1;
    memset(test_host.key, 0, sizeof test_host.key);
    memcpy(test_host.key, key, key_length);
    memcpy(test_host.value, value, length);
    test_host.value_length = length ? (int32_t)length : -1;
    return 0;
}

/* ---- values as the host writes them ---- */

typedef struct {
    uint8_t bytes[8192];
    uint32_t length;
} test_bytes;

#define TEST_END ((const char *)NULL)
#define TEST_CHECK(truth, ...)                                                  \
    do {                                                                        \
        if (!(truth)) {                                                         \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                     \
            fprintf(stderr, __VA_ARGS__);                                       \
            fputc('\n', stderr);                                                \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

static inline void test_put(test_bytes *out, const void *bytes, uint32_t length) {
    TEST_CHECK(out->length + length <= sizeof out->bytes, "the test's input is too long");
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
}

static inline void test_put_head(test_bytes *out, uint8_t tag, uint32_t number) {
    uint8_t head[5];
    shunt_put_32(head, tag, number);
    test_put(out, head, 5);
}

static inline void test_put_text(test_bytes *out, const char *text) {
    test_put_head(out, 0xdb, (uint32_t)strlen(text));
    test_put(out, text, (uint32_t)strlen(text));
}

static inline test_bytes test_text(const char *text) {
    test_bytes out = {.length = 0};
    test_put_text(&out, text);
    return out;
}

static inline test_bytes test_integer(int64_t number) {
    test_bytes out = {.length = 0};
    test_put_head(&out, 0xd3, (uint32_t)((uint64_t)number >> 32));
    uint8_t low[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    test_put(&out, low, 4);
    return out;
}

static inline test_bytes test_nil(void) { return (test_bytes){.bytes = {0xc0}, .length = 1}; }

/* Names, each with its value, up to TEST_END: a table. */
static inline test_bytes test_arguments(const char *name, ...) {
    test_bytes out = {.length = 5};
    uint32_t count = 0;
    va_list rest;
    va_start(rest, name);
    for (; name; name = va_arg(rest, const char *), count++) {
        test_bytes value = va_arg(rest, test_bytes);
        test_put_text(&out, name);
        test_put(&out, value.bytes, value.length);
    }
    va_end(rest);
    shunt_put_32(out.bytes, 0xdf, count);
    return out;
}

/* ---- an exchange that a test declared ---- */

static test_bytes test_bindings = {.length = 5};
static char test_names[64][64];
static uint32_t test_count;

static inline const char *test_reason(shunt_packed answer) {
    static char reason[1024];
    snprintf(reason, sizeof reason, "%.*s", (int)answer.length, (const char *)answer.bytes);
    return reason;
}

/* Declares; answers the reason of a refusal, else NULL. */
static inline const char *test_declare(test_bytes arguments) {
#ifdef SHUNT_CONFIGURE
    test_bytes input = test_arguments("exchange", test_text("tested"), "vhost", test_text("/"), "arguments", arguments,
                                      TEST_END);
    shunt_packed answer = shunt_export_configure(input.bytes, input.length);
    if (answer.refused) return test_reason(answer);
#endif
    (void)arguments;
    test_bindings.length = 5;
    test_count = 0;
    return NULL;
}

/* Binds a queue; answers the reason of a refusal, else NULL. */
static inline const char *test_bind_queue(const char *name, const char *key, test_bytes arguments) {
    test_bytes binding = {.bytes = {0x94}, .length = 1};
    test_put_text(&binding, "queue");
    test_put_text(&binding, name);
    test_put_text(&binding, key);
    test_put(&binding, arguments.bytes, arguments.length);
    shunt_packed answer;
#ifdef SHUNT_CHECK_BINDING
    answer = shunt_export_check_binding(binding.bytes, binding.length);
    if (answer.refused) return test_reason(answer);
#endif
    snprintf(test_names[test_count++], sizeof test_names[0], "%s", name);
    test_put(&test_bindings, binding.bytes, binding.length);
    shunt_put_32(test_bindings.bytes, 0xdd, test_count);
    answer = shunt_export_bindings(test_bindings.bytes, test_bindings.length);
    return answer.refused ? test_reason(answer) : NULL;
}

/* The values of the fields, one for each of SHUNT_HEADER. */
static inline test_bytes test_header(uint32_t count, const test_bytes *values) {
    test_bytes out = {.length = 0};
    test_put_head(&out, 0xdd, count);
    for (uint32_t i = 0; i < count; i++) test_put(&out, values[i].bytes, values[i].length);
    return out;
}

/* The names of the destinations in the order of the answer, parted by commas; "refused: " and the
 * reason where there is none. */
static inline const char *test_route(uint32_t count, const test_bytes *values) {
    static char said[2048];
    test_bytes header = test_header(count, values);
    shunt_packed answer = shunt_export_route(header.bytes, header.length);
    if (answer.refused) {
        snprintf(said, sizeof said, "refused: %s", test_reason(answer));
        return said;
    }
    said[0] = 0;
    shunt_cursor cursor = {answer.bytes, answer.bytes + answer.length};
    shunt_value value;
    if (answer.length == 0) return said;
    TEST_CHECK(shunt_read_head(&cursor, &value) && value.type == SHUNT_ARRAY, "the answer is no array");
    for (uint32_t i = 0, left = value.array.count; i < left; i++) {
        TEST_CHECK(shunt_read(&cursor, &value), "the answer ends too early");
        size_t at = strlen(said);
        const char *comma = i ? "," : "";
        if (value.type == SHUNT_STRING)
            snprintf(said + at, sizeof said - at, "%s%.*s", comma, (int)value.text.length, value.text.bytes);
        else if (value.type == SHUNT_INTEGER && value.integer < (int64_t)test_count)
            snprintf(said + at, sizeof said - at, "%s%s", comma, test_names[value.integer]);
        else
            snprintf(said + at, sizeof said - at, "%sno binding", comma);
    }
    return said;
}

/* Fails where the message of these values, of type test_bytes, goes elsewhere. */
#define TEST_ROUTES(expected, ...)                                                                    \
    do {                                                                                              \
        test_bytes test_values[] = {__VA_ARGS__};                                                     \
        const char *test_said = test_route(sizeof test_values / sizeof *test_values, test_values);    \
        TEST_CHECK(strcmp(test_said, expected) == 0, "%s, not %s", test_said, expected);              \
    } while (0)

/* Fails unless a declaration or a binding was refused with this in the reason. */
#define TEST_REFUSED(outcome, part)                                                                   \
    do {                                                                                              \
        const char *test_said = (outcome);                                                            \
        TEST_CHECK(test_said && strstr(test_said, part), "%s, not %s", test_said ? test_said : "accepted", part); \
    } while (0)

#endif
