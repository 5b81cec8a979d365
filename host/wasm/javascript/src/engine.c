// The module that runs routes in JavaScript: the exports of the route contract over QuickJS.
//
// An instance is made for one exchange. After `_initialize` the host hands over two modules of
// JavaScript: the library (sdk/javascript/shunt-route.js) by `shunt_library`, then the route by
// `shunt_script` with what it may use. The library's `engine` object is what is called here; the
// functions in it take and answer plain values, so that nothing of an SDK is written in C.

#include <stdlib.h>
#include <string.h>

#include "values.h"

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("shunt", "log") void host_log(int32_t level, const char *text, size_t length);
IMPORT("shunt", "now_ms") int64_t host_now_ms(void);
IMPORT("shunt", "random") uint64_t host_random(void);
IMPORT("shunt", "queue_load") int64_t host_queue_load(uint32_t index, int32_t what);
IMPORT("shunt", "state_get") int32_t host_state_get(const void *key, size_t key_length, void *out, size_t capacity);
IMPORT("shunt", "state_put") int32_t host_state_put(const void *key, size_t key_length, const void *value, size_t length);
// Of the engine alone: ends the call with a text.
IMPORT("shunt_javascript", "fail") _Noreturn void host_fail(const char *text, size_t length);

// The stack of JavaScript's calls. The engine is linked with a larger one.
#define STACK_BYTES (128 * 1024)
// A value of the state that is fetched without asking for its length first.
#define STATE_VALUE_BYTES 1024
// The name under which routes import the library, and the one that errors show for the route.
#define LIBRARY "shunt-route"
#define SCRIPT "route.js"

enum { CLOCK = 1, RANDOM = 2, LOAD = 4, STATE = 8 };

static JSRuntime *runtime;
static JSContext *context;
static uint32_t granted;
static Bytes buffer, answer;

// Functions of the library's `engine` object.
static JSValue make, describe, configure, check_binding, bindings, route;

_Noreturn void fail(const char *text, size_t length) { host_fail(text, length); }

static int64_t packed(const void *at, size_t length) {
    return (int64_t)((uint64_t)(uintptr_t)at << 32 | length);
}

// The text of the exception that was thrown, with where it was; it takes the answer's place.
static void read_exception(void) {
    JSValue exception = JS_GetException(context);
    answer.length = 0;
    size_t length;
    const char *text = JS_ToCStringLen(context, &length, exception);
    if (!text) FAIL("out of memory");
    put_bytes(&answer, text, length);
    JS_FreeCString(context, text);
    JSValue stack = JS_IsError(exception) ? JS_GetPropertyStr(context, exception, "stack") : JS_UNDEFINED;
    if (JS_IsString(stack) && (text = JS_ToCString(context, stack))) {
        // Its first line that isn't the library's.
        for (const char *line = text; line && *line;) {
            const char *end = strchr(line, '\n');
            length = end ? (size_t)(end - line) : strlen(line);
            const char *place = memmem(line, length, SCRIPT ":", sizeof SCRIPT);
            if (place) {
                size_t part = length - (size_t)(place - line);
                if (part && place[part - 1] == ')') part--;
                put_bytes(&answer, " at ", 4);
                put_bytes(&answer, place, part);
                break;
            }
            line = end ? end + 1 : 0;
        }
        JS_FreeCString(context, text);
    }
    JS_FreeValue(context, stack);
    JS_FreeValue(context, exception);
}

// What a call threw that no route may throw on purpose.
static _Noreturn void fail_by_exception(void) {
    read_exception();
    fail((const char *)answer.at, answer.length);
}

// --- what JavaScript may call ---

static JSValue refuse_capability(const char *name) {
    return JS_ThrowTypeError(context, "the capability %s is not in the route's wants, or not granted", name);
}

#define NEEDS(capability, name) if (!(granted & capability)) return refuse_capability(name)

static JSValue log_line(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    int32_t level;
    size_t length;
    const char *text;
    if (JS_ToInt32(ctx, &level, argv[0]) || !(text = JS_ToCStringLen(ctx, &length, argv[1]))) return JS_EXCEPTION;
    host_log(level, text, length);
    JS_FreeCString(ctx, text);
    return JS_UNDEFINED;
}

static JSValue now_ms(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    NEEDS(CLOCK, "clock");
    return JS_NewInt64(ctx, host_now_ms());
}

// A number from 0 up to, not including, 1.
static JSValue random_number(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    NEEDS(RANDOM, "random");
    return JS_NewFloat64(ctx, (double)(host_random() >> 11) * 0x1p-53);
}

// The three numbers, or undefined where the index is no queue.
static JSValue queue_load(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    NEEDS(LOAD, "load");
    uint32_t index;
    if (JS_ToUint32(ctx, &index, argv[0])) return JS_EXCEPTION;
    int64_t ready = host_queue_load(index, 0);
    if (ready < 0) return JS_UNDEFINED;
    JSValue load = JS_NewArray(ctx);
    for (int32_t what = 0; what < 3 && !JS_IsException(load); what++)
        if (JS_SetPropertyUint32(ctx, load, (uint32_t)what, JS_NewInt64(ctx, host_queue_load(index, what))) < 0) {
            JS_FreeValue(ctx, load);
            return JS_EXCEPTION;
        }
    return load;
}

// Text or bytes; `text` is to be freed where it isn't null.
static const void *bytes_of(JSValueConst value, size_t *length, const char **text) {
    *text = 0;
    if (!JS_IsString(value)) return JS_GetUint8Array(context, length, value);
    return *text = JS_ToCStringLen(context, length, value);
}

static JSValue state_get(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    NEEDS(STATE, "state");
    static uint8_t found[STATE_VALUE_BYTES];
    size_t key_length;
    const char *text;
    const void *key = bytes_of(argv[0], &key_length, &text);
    if (!key) return JS_EXCEPTION;
    int32_t length = host_state_get(key, key_length, found, sizeof found);
    JSValue value = JS_UNDEFINED;
    if (length > (int32_t)sizeof found) {
        uint8_t *all = malloc((size_t)length);
        if (!all) FAIL("out of memory");
        // Another instance may have changed it between the two calls.
        int32_t again = host_state_get(key, key_length, all, (size_t)length);
        if (again >= 0) value = JS_NewUint8ArrayCopy(ctx, all, (size_t)(again < length ? again : length));
        free(all);
    } else if (length >= 0) {
        value = JS_NewUint8ArrayCopy(ctx, found, (size_t)length);
    }
    if (text) JS_FreeCString(ctx, text);
    return value;
}

static JSValue state_put(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    NEEDS(STATE, "state");
    size_t key_length, length;
    const char *key_text, *text;
    const void *key = bytes_of(argv[0], &key_length, &key_text);
    const void *value = key ? bytes_of(argv[1], &length, &text) : 0;
    JSValue is_done = JS_EXCEPTION;
    if (value) {
        is_done = JS_NewBool(ctx, host_state_put(key, key_length, value, length) == 0);
        if (text) JS_FreeCString(ctx, text);
    }
    if (key && key_text) JS_FreeCString(ctx, key_text);
    return is_done;
}

static const struct { const char *name; JSCFunction *function; int arguments; } HOST[] = {
    { "log", log_line, 2 }, { "nowMs", now_ms, 0 }, { "random", random_number, 0 },
    { "queueLoad", queue_load, 1 }, { "stateGet", state_get, 1 }, { "statePut", state_put, 2 },
};

// What the standard library asks the system for. A clock that isn't granted stands still.
int32_t __imported_wasi_snapshot_preview1_clock_time_get(int32_t id, int64_t precision, int32_t out) {
    int64_t now_ms = granted & CLOCK ? host_now_ms() : 1700000000000;
    *(int64_t *)(uintptr_t)out = now_ms * 1000000;
    return 0;
}

// There are no files, and nothing that QuickJS prints is for anybody.
#define NO_FILE 8
int32_t __imported_wasi_snapshot_preview1_fd_close(int32_t file) { return NO_FILE; }
int32_t __imported_wasi_snapshot_preview1_fd_fdstat_get(int32_t file, int32_t out) { return NO_FILE; }
int32_t __imported_wasi_snapshot_preview1_fd_seek(int32_t file, int64_t by, int32_t from, int32_t out) { return NO_FILE; }
int32_t __imported_wasi_snapshot_preview1_fd_write(int32_t file, int32_t parts, int32_t count, int32_t out) { return NO_FILE; }

// --- modules ---

static JSModuleDef *load_module(JSContext *ctx, const char *name, void *opaque) {
    JS_ThrowReferenceError(ctx, "there is no module '%s': a route is one file, and imports from '" LIBRARY "' alone", name);
    return 0;
}

// Evaluates a module and answers its namespace, or an exception.
static JSValue evaluated(const char *name, const char *text, size_t length) {
    int flags = JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY;
    JSValue compiled = JS_Eval(context, text, length, name, flags);
    if (JS_IsException(compiled)) return compiled;
    JSModuleDef *module = JS_VALUE_GET_PTR(compiled);
    JSValue promise = JS_EvalFunction(context, compiled);
    if (JS_IsException(promise)) return promise;
    JSContext *ran;
    while (JS_ExecutePendingJob(runtime, &ran) > 0) {}
    JSPromiseStateEnum state = JS_PromiseState(context, promise);
    JSValue result = state == JS_PROMISE_REJECTED ? JS_PromiseResult(context, promise) : JS_UNDEFINED;
    JS_FreeValue(context, promise);
    if (state == JS_PROMISE_REJECTED) return JS_Throw(context, result);
    if (state == JS_PROMISE_PENDING) return JS_ThrowTypeError(context, "the module waits for a promise that nobody keeps");
    return JS_GetModuleNamespace(context, module);
}

// 0, or the packed text of what was thrown.
static int64_t thrown(void) {
    read_exception();
    return packed(answer.at, answer.length);
}

// A copy with an end, which the parser needs.
static char *copied(uint32_t address, uint32_t length) {
    char *text = malloc((size_t)length + 1);
    if (!text) FAIL("out of memory");
    memcpy(text, (const char *)(uintptr_t)address, length);
    text[length] = 0;
    return text;
}

// --- exports ---

EXPORT("shunt_library") int64_t shunt_library(uint32_t address, uint32_t length) {
    runtime = JS_NewRuntime();
    if (!runtime || !(context = JS_NewContextRaw(runtime))) FAIL("out of memory");
    JS_SetMaxStackSize(runtime, STACK_BYTES);
    JS_SetModuleLoaderFunc(runtime, 0, load_module, 0);
    if (JS_AddIntrinsicBaseObjects(context) || JS_AddIntrinsicDate(context) || JS_AddIntrinsicEval(context)
        || JS_AddIntrinsicRegExp(context) || JS_AddIntrinsicJSON(context) || JS_AddIntrinsicProxy(context)
        || JS_AddIntrinsicMapSet(context) || JS_AddIntrinsicTypedArrays(context) || JS_AddIntrinsicPromise(context)
        || JS_AddIntrinsicBigInt(context) || JS_AddIntrinsicWeakRef(context)) FAIL("out of memory");
    char *text = copied(address, length);
    JSValue library = evaluated(LIBRARY, text, length);
    free(text);
    if (JS_IsException(library)) return thrown();
    JSValue engine = JS_GetPropertyStr(context, library, "engine");
    JSValue host = JS_NewObject(context);
    for (size_t i = 0; i < sizeof HOST / sizeof *HOST; i++) {
        JSValue function = JS_NewCFunction(context, HOST[i].function, HOST[i].name, HOST[i].arguments);
        if (JS_SetPropertyStr(context, host, HOST[i].name, function) < 0) return thrown();
    }
    JSValue connect = JS_GetPropertyStr(context, engine, "connect");
    JSValue connected = JS_Call(context, connect, JS_UNDEFINED, 1, (JSValueConst *)&host);
    if (JS_IsException(connected)) return thrown();
    make = JS_GetPropertyStr(context, engine, "make");
    describe = JS_GetPropertyStr(context, engine, "describe");
    configure = JS_GetPropertyStr(context, engine, "configure");
    check_binding = JS_GetPropertyStr(context, engine, "checkBinding");
    bindings = JS_GetPropertyStr(context, engine, "bindings");
    route = JS_GetPropertyStr(context, engine, "route");
    JS_FreeValue(context, host);
    JS_FreeValue(context, connect);
    JS_FreeValue(context, connected);
    JS_FreeValue(context, engine);
    JS_FreeValue(context, library);
    return 0;
}

EXPORT("shunt_script") int64_t shunt_script(uint32_t address, uint32_t length, uint32_t capabilities) {
    granted = capabilities;
    char *text = copied(address, length);
    JSValue script = evaluated(SCRIPT, text, length);
    free(text);
    if (JS_IsException(script)) return thrown();
    // The library keeps the route that the module exports.
    JSValue said = JS_Call(context, describe, JS_UNDEFINED, 1, (JSValueConst *)&script);
    JS_FreeValue(context, script);
    if (JS_IsException(said)) return thrown();
    JS_FreeValue(context, describe);
    describe = said;
    return 0;
}

EXPORT("shunt_abi") int32_t shunt_abi(void) { return 1; }

EXPORT("shunt_alloc") void *shunt_alloc(size_t length) {
    free(buffer.at);
    buffer = (Bytes){ malloc(length), 0, length };
    return buffer.at;
}

// Puts a text, or an array of texts.
static void put_said(JSValueConst value) {
    size_t length;
    const char *text;
    if (JS_IsArray(value)) {
        int64_t count;
        if (JS_GetLength(context, value, &count)) fail_by_exception();
        put_head(&answer, 0x90, 16, 0xdc, (size_t)count);
        for (int64_t index = 0; index < count; index++) {
            JSValue item = JS_GetPropertyUint32(context, value, (uint32_t)index);
            put_said(item);
            JS_FreeValue(context, item);
        }
    } else if ((text = JS_ToCStringLen(context, &length, value))) {
        put_text(&answer, text, length);
        JS_FreeCString(context, text);
    } else {
        fail_by_exception();
    }
}

EXPORT("shunt_describe") int64_t shunt_describe(void) {
    static const char *const KEYS[] = { "name", "version", "reads", "wants" };
    answer.length = 0;
    put_bytes(&answer, "\x84", 1);
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        JSValue value = JS_GetPropertyStr(context, describe, KEYS[i]);
        put_text(&answer, KEYS[i], strlen(KEYS[i]));
        put_said(value);
        JS_FreeValue(context, value);
    }
    return packed(answer.at, answer.length);
}

// The packed reason that a function answers, 0 where it answers none.
static int64_t reason(JSValue result) {
    if (JS_IsException(result)) fail_by_exception();
    if (JS_IsUndefined(result)) return 0;
    size_t length;
    const char *text = JS_ToCStringLen(context, &length, result);
    if (!text) fail_by_exception();
    answer.length = 0;
    // One byte in front: an empty reason has an address too.
    put_bytes(&answer, "", 1);
    put_bytes(&answer, text, length);
    JS_FreeCString(context, text);
    JS_FreeValue(context, result);
    return packed(answer.at + 1, length);
}

static int64_t told(JSValue function, uint32_t address, uint32_t length) {
    const uint8_t *at = (const uint8_t *)(uintptr_t)address;
    Input input = { context, make, at, at + length };
    JSValue value = read_value(&input);
    if (JS_IsException(value)) fail_by_exception();
    JSValue result = JS_Call(context, function, JS_UNDEFINED, 1, (JSValueConst *)&value);
    JS_FreeValue(context, value);
    return reason(result);
}

EXPORT("shunt_configure") int64_t shunt_configure(uint32_t address, uint32_t length) {
    return told(configure, address, length);
}

EXPORT("shunt_check_binding") int64_t shunt_check_binding(uint32_t address, uint32_t length) {
    return told(check_binding, address, length);
}

EXPORT("shunt_bindings") int64_t shunt_bindings(uint32_t address, uint32_t length) {
    return told(bindings, address, length);
}

// An index, or the name of a queue: the library lets nothing else in.
static void put_destination(uint32_t at, JSValueConst destinations) {
    JSValue to = JS_GetPropertyUint32(context, destinations, at);
    uint32_t index;
    size_t length;
    const char *text;
    if (JS_IsNumber(to) && !JS_ToUint32(context, &index, to)) {
        put_index(&answer, index);
    } else if ((text = JS_ToCStringLen(context, &length, to))) {
        put_text(&answer, text, length);
        JS_FreeCString(context, text);
    } else {
        fail_by_exception();
    }
    JS_FreeValue(context, to);
}

EXPORT("shunt_route") int64_t shunt_route(uint32_t address, uint32_t length) {
    static JSValue fields[256];
    const uint8_t *at = (const uint8_t *)(uintptr_t)address;
    Input input = { context, make, at, at + length };
    int64_t count = read_array(&input);
    if (count > (int64_t)(sizeof fields / sizeof *fields)) FAIL("the input has too many fields");
    for (int64_t i = 0; i < count; i++) {
        fields[i] = read_value(&input);
        if (JS_IsException(fields[i])) fail_by_exception();
    }
    JSValue result = JS_Call(context, route, JS_UNDEFINED, (int)count, (JSValueConst *)fields);
    for (int64_t i = 0; i < count; i++) JS_FreeValue(context, fields[i]);
    if (JS_IsException(result)) fail_by_exception();
    if (!JS_IsArray(result)) return reason(result) | INT64_MIN;
    int64_t destinations = 0;
    if (JS_GetLength(context, result, &destinations)) fail_by_exception();
    answer.length = 0;
    if (destinations) {
        put_head(&answer, 0x90, 16, 0xdc, (size_t)destinations);
        for (int64_t i = 0; i < destinations; i++) put_destination((uint32_t)i, result);
    }
    JS_FreeValue(context, result);
    return destinations ? packed(answer.at, answer.length) : 0;
}
