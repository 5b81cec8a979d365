/* To each binding whose argument value equals the header value. */
#define SHUNT_NAME "by-header"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F) F(optional, value, value, "headers.value")
#include <shunt/route.h>

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    for (uint32_t i = 0; i < shunt_bindings.count; i++) {
        shunt_value wanted = shunt_get(shunt_bindings.items[i].arguments, SHUNT_TEXT("value"));
        if (shunt_equal(wanted, header->value)) shunt_add(destinations, i);
    }
    return SHUNT_OK;
}
