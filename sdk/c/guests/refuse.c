/* Refuses every message, and exchanges and bindings that ask for it. */
#define SHUNT_NAME "refuse"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F) F(optional, text, reason, "headers.reason")
#define SHUNT_CONFIGURE
#define SHUNT_CHECK_BINDING
#include <shunt/route.h>

/* The reason that stands in an argument. */
static shunt_refusal asked(shunt_table arguments, const char *name) {
    shunt_optional_text reason;
    shunt_refusal refusal = shunt_argument_text(arguments, name, &reason);
    return !refusal.bytes && reason.present ? shunt_refuse_text(reason.value) : refusal;
}

static shunt_refusal configure(const shunt_exchange *exchange) { return asked(exchange->arguments, "x-refuse"); }

static shunt_refusal check_binding(const shunt_binding *binding) {
    if (shunt_text_equal(binding->key, SHUNT_TEXT("refuse"))) return SHUNT_REFUSE("the key is refuse");
    return asked(binding->arguments, "refuse");
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    (void)destinations;
    return header->reason.present ? shunt_refuse_text(header->reason.value) : SHUNT_REFUSE("refused by the guest");
}
