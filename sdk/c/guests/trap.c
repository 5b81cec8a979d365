/* Traps where the routing key is trap. */
#define SHUNT_NAME "trap"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F) F(required, text, routing_key, "routing_key")
#include <shunt/route.h>

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    if (shunt_text_equal(header->routing_key, SHUNT_TEXT("trap"))) {
        SHUNT_ABORT();
    }
    shunt_add(destinations, 0);
    return SHUNT_OK;
}
