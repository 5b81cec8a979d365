/* Each attempt to the next rung of a ladder of delays: the recipe's README says how to use it. */
#define SHUNT_NAME "retry-ladder"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F) F(optional, integer, attempt, "headers.attempt")
#define SHUNT_CHECK_BINDING
#define SHUNT_BINDINGS
#include <shunt/route.h>

/* Behind the last rung. */
#define DEAD 0
#define NO_RUNG -1
#define RUNGS_MAX 1000

/* The number in each binding's key, and the highest of them. */
static struct {
    int32_t *rungs;
    uint32_t room;
    int32_t highest;
} prepared;

static int32_t rung(shunt_text key) {
    int32_t number = 0;
    if (shunt_text_equal(key, SHUNT_TEXT("dead"))) return DEAD;
    for (uint32_t i = 0; i < key.length; i++) {
        if (key.bytes[i] < '0' || key.bytes[i] > '9' || number > RUNGS_MAX) return NO_RUNG;
        number = number * 10 + key.bytes[i] - '0';
    }
    return number > 0 && number <= RUNGS_MAX ? number : NO_RUNG;
}

static shunt_refusal check_binding(const shunt_binding *binding) {
    if (rung(binding->key) == NO_RUNG) return SHUNT_REFUSE("a key is a rung from 1 to 1000, or dead");
    return SHUNT_OK;
}

static shunt_refusal bindings(void) {
    if (shunt_bindings.count > prepared.room) {
        prepared.room = 2 * shunt_bindings.count;
        prepared.rungs = shunt_keep(NULL, prepared.room * (uint32_t)sizeof(int32_t));
    }
    prepared.highest = 0;
    for (uint32_t i = 0; i < shunt_bindings.count; i++) {
        prepared.rungs[i] = rung(shunt_bindings.items[i].key);
        if (prepared.rungs[i] > prepared.highest) prepared.highest = prepared.rungs[i];
    }
    return SHUNT_OK;
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    int64_t attempt = header->attempt.present ? header->attempt.value : 1;
    if (attempt < 1) return SHUNT_REFUSE("headers.attempt counts from 1");
    int32_t wanted = attempt > prepared.highest ? DEAD : (int32_t)attempt;
    /* A rung that is missing is passed over: the next one waits longer. */
    for (; wanted <= prepared.highest; wanted++) {
        for (uint32_t i = 0; i < shunt_bindings.count; i++)
            if (prepared.rungs[i] == wanted) shunt_add(destinations, i);
        if (destinations->count > 0 || wanted == DEAD) break;
    }
    return SHUNT_OK;
}
