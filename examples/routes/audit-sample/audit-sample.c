/* Everything to its queues, and a share of it to others: the recipe's README says how to use it. */
#define SHUNT_NAME "audit-sample"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F)                           \
    F(optional, text, message_id, "message_id")   \
    F(required, text, routing_key, "routing_key")
#define SHUNT_CHECK_BINDING
#define SHUNT_BINDINGS
#include <shunt/route.h>

/* Shares are in millionths. */
#define ALL 1000000

static struct {
    uint32_t *shares;
    uint32_t room;
} prepared;

/* The argument per-million; all where there is none. */
static shunt_refusal read_share(const shunt_binding *binding, uint32_t *share) {
    shunt_optional_integer given;
    shunt_refusal refusal = shunt_argument_integer(binding->arguments, "per-million", &given);
    if (refusal.bytes) return refusal;
    if (given.present && (given.value < 0 || given.value > ALL)) return SHUNT_REFUSE("per-million is from 0 to 1000000");
    *share = given.present ? (uint32_t)given.value : ALL;
    return SHUNT_OK;
}

static shunt_refusal check_binding(const shunt_binding *binding) {
    uint32_t ignored;
    return read_share(binding, &ignored);
}

static shunt_refusal bindings(void) {
    if (shunt_bindings.count > prepared.room) {
        prepared.room = 2 * shunt_bindings.count;
        prepared.shares = shunt_keep(NULL, prepared.room * (uint32_t)sizeof(uint32_t));
    }
    for (uint32_t i = 0; i < shunt_bindings.count; i++) {
        shunt_refusal refusal = read_share(&shunt_bindings.items[i], &prepared.shares[i]);
        if (refusal.bytes) return refusal;
    }
    return SHUNT_OK;
}

/* FNV-1a, with the last bits spread over all: its own are uneven for texts that end alike. */
static uint64_t hash(shunt_text text) {
    uint64_t bits = 0xcbf29ce484222325;
    for (uint32_t i = 0; i < text.length; i++) bits = (bits ^ (uint8_t)text.bytes[i]) * 0x100000001b3;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    shunt_text id = header->message_id.present ? header->message_id.value : header->routing_key;
    uint32_t point = (uint32_t)(hash(id) % ALL);
    for (uint32_t i = 0; i < shunt_bindings.count; i++)
        if (point < prepared.shares[i]) shunt_add(destinations, i);
    return SHUNT_OK;
}
