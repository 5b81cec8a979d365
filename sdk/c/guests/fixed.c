/* To the first x-first bindings, and to the queue x-queue. */
#define SHUNT_NAME "fixed"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F)
#define SHUNT_CONFIGURE
#include <shunt/route.h>

static int64_t first;
static shunt_text queue;

static shunt_refusal configure(const shunt_exchange *exchange) {
    shunt_optional_integer count;
    shunt_optional_text name;
    shunt_refusal refusal = shunt_argument_integer(exchange->arguments, "x-first", &count);
    if (!refusal.bytes) refusal = shunt_argument_text(exchange->arguments, "x-queue", &name);
    if (refusal.bytes) return refusal;
    first = count.present ? count.value : 1;
    queue = name.present ? (shunt_text){shunt_keep(name.value.bytes, name.value.length), name.value.length}
                         : (shunt_text){NULL, 0};
    return SHUNT_OK;
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    (void)header;
    for (int64_t index = 0; index < first; index++) shunt_add(destinations, (uint32_t)index);
    if (queue.bytes) shunt_add_queue(destinations, queue);
    return SHUNT_OK;
}
