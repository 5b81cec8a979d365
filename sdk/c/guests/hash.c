/* To one binding, by FNV-1a of the routing key. */
#define SHUNT_NAME "hash"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F) F(required, text, routing_key, "routing_key")
#include <shunt/route.h>

static uint64_t fnv_1a(shunt_text text) {
    uint64_t hash = 0xcbf29ce484222325;
    for (uint32_t i = 0; i < text.length; i++) hash = (hash ^ (uint8_t)text.bytes[i]) * 0x100000001b3;
    return hash;
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    if (shunt_bindings.count > 0)
        shunt_add(destinations, (uint32_t)(fnv_1a(header->routing_key) % shunt_bindings.count));
    return SHUNT_OK;
}
