/* Uses the capability that the routing key names. */
#define SHUNT_NAME "capabilities"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_WANTS "clock", "random", "load", "state"
#define SHUNT_HEADER(F) F(required, text, routing_key, "routing_key")
#include <shunt/route.h>

#define COUNT SHUNT_TEXT("count")
#define LONG SHUNT_TEXT("long")

/* The first of those with the fewest messages ready; -1 where no binding leads to a queue. */
static int64_t least_loaded(void) {
    int64_t found = -1, least = 0;
    for (uint32_t i = 0; i < shunt_bindings.count; i++) {
        int64_t load = shunt_queue_load(i, SHUNT_READY);
        if (load >= 0 && (found < 0 || load < least)) {
            found = i;
            least = load;
        }
    }
    return found;
}

/* How often it was asked before, as one decimal digit; -1 where the state is full. */
static int64_t count(void) {
    char digit = '0';
    shunt_state_get(COUNT, &digit, 1);
    char next = digit == '9' ? '0' : (char)(digit + 1);
    return shunt_state_put(COUNT, (shunt_text){&next, 1}) ? digit - '0' : -1;
}

/* 0 where 1 000 bytes come back as they were put. */
static int64_t long_value(void) {
    static char put[1000], got[1000];
    for (int i = 0; i < 1000; i++) put[i] = 'v';
    if (!shunt_state_put(LONG, (shunt_text){put, sizeof put})) return -1;
    /* It does not fit here: nothing is written. */
    if (shunt_state_get(LONG, got, 10) != sizeof put || got[0] != 0) return 1;
    return shunt_state_get(LONG, got, sizeof got) != sizeof put || !shunt_memory_equal(put, got, sizeof put);
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    shunt_text key = header->routing_key;
    int64_t index;
    if (shunt_text_equal(key, SHUNT_TEXT("log"))) {
        shunt_log(SHUNT_WARN, SHUNT_TEXT("a line of the guest: größe"));
        index = 0;
    } else if (shunt_text_equal(key, SHUNT_TEXT("clock"))) {
        int64_t now = shunt_now_ms();
        index = now < 1600000000000 || now != shunt_now_ms();
    } else if (shunt_text_equal(key, SHUNT_TEXT("random"))) {
        index = shunt_random() == shunt_random();
    } else if (shunt_text_equal(key, SHUNT_TEXT("load"))) {
        index = least_loaded();
    } else if (shunt_text_equal(key, SHUNT_TEXT("state"))) {
        index = count();
        if (index >= 0 && shunt_bindings.count > 0) index %= shunt_bindings.count;
    } else if (shunt_text_equal(key, SHUNT_TEXT("state-long"))) {
        index = long_value();
    } else if (shunt_text_equal(key, SHUNT_TEXT("state-remove"))) {
        char digit;
        shunt_state_put(COUNT, SHUNT_TEXT(""));
        index = shunt_state_get(COUNT, &digit, 1) != -1;
    } else {
        return SHUNT_REFUSE("no such capability");
    }
    if (index < 0) return SHUNT_REFUSE("the capability failed");
    shunt_add(destinations, (uint32_t)index);
    return SHUNT_OK;
}
