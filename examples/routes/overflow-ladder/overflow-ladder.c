/* To the first queue that isn't full, rung by rung: the recipe's README says how to use it. */
#define SHUNT_NAME "overflow-ladder"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_WANTS "load"
#define SHUNT_HEADER(F)
#define SHUNT_CHECK_BINDING
#define SHUNT_BINDINGS
#include <shunt/route.h>

#define RUNGS_MAX 1000

/* The bindings from the lowest rung up, each with the messages at which it is full. */
typedef struct {
    int64_t number;
    int64_t limit;
    uint32_t index;
} rung;

static struct {
    rung *rungs;
    uint32_t room;
} prepared;

static shunt_refusal read_rung(const shunt_binding *binding, rung *out) {
    shunt_optional_integer limit;
    out->number = 0;
    for (uint32_t i = 0; i < binding->key.length && out->number <= RUNGS_MAX; i++) {
        char digit = binding->key.bytes[i];
        out->number = digit < '0' || digit > '9' ? RUNGS_MAX + 1 : out->number * 10 + digit - '0';
    }
    if (out->number < 1 || out->number > RUNGS_MAX) return SHUNT_REFUSE("a key is a rung from 1 to 1000");
    if (binding->kind != SHUNT_QUEUE) return SHUNT_REFUSE("a rung is a queue: nothing else has a load");
    shunt_refusal refusal = shunt_argument_integer(binding->arguments, "limit", &limit);
    if (refusal.bytes) return refusal;
    if (limit.present && limit.value < 1) return SHUNT_REFUSE("limit is a number of messages from 1");
    out->limit = limit.present ? limit.value : INT64_MAX;
    return SHUNT_OK;
}

static shunt_refusal check_binding(const shunt_binding *binding) {
    rung ignored;
    return read_rung(binding, &ignored);
}

static shunt_refusal bindings(void) {
    if (shunt_bindings.count > prepared.room) {
        prepared.room = 2 * shunt_bindings.count;
        prepared.rungs = shunt_keep(NULL, prepared.room * (uint32_t)sizeof(rung));
    }
    for (uint32_t i = 0; i < shunt_bindings.count; i++) {
        rung next = {.index = i};
        shunt_refusal refusal = read_rung(&shunt_bindings.items[i], &next);
        if (refusal.bytes) return refusal;
        /* Bindings are few and come rarely; those of one number stay in their order. */
        uint32_t place = i;
        for (; place > 0 && prepared.rungs[place - 1].number > next.number; place--)
            prepared.rungs[place] = prepared.rungs[place - 1];
        prepared.rungs[place] = next;
    }
    return SHUNT_OK;
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    (void)header;
    for (uint32_t i = 0; i < shunt_bindings.count; i++) {
        const rung *rung = &prepared.rungs[i];
        if (shunt_queue_load(rung->index, SHUNT_READY) < rung->limit) {
            shunt_add(destinations, rung->index);
            return SHUNT_OK;
        }
    }
    if (shunt_bindings.count == 0) return SHUNT_OK;
    return SHUNT_REFUSE("every rung is full");
}
