/* Each message to the lanes of its content: the recipe's README says how to use it. */
#define SHUNT_NAME "content-lanes"
#define SHUNT_VERSION "1.0.0"
#define SHUNT_HEADER(F)                              \
    F(optional, text, content_type, "content_type")  \
    F(required, integer, body_size, "body_size")
#define SHUNT_CHECK_BINDING
#define SHUNT_BINDINGS
#include <shunt/route.h>

/* What a message must be for a lane. */
typedef struct {
    shunt_optional_text content_type;
    int64_t min_size;
    int64_t max_size;
    bool is_default;
} lane;

static struct {
    lane *lanes;
    uint32_t room;
} prepared;

static shunt_refusal read_lane(const shunt_binding *binding, lane *out) {
    shunt_optional_integer min, max;
    shunt_refusal refusal = shunt_argument_text(binding->arguments, "content-type", &out->content_type);
    if (!refusal.bytes) refusal = shunt_argument_integer(binding->arguments, "min-size", &min);
    if (!refusal.bytes) refusal = shunt_argument_integer(binding->arguments, "max-size", &max);
    if (refusal.bytes) return refusal;
    out->min_size = min.present ? min.value : 0;
    out->max_size = max.present ? max.value : INT64_MAX;
    out->is_default = shunt_text_equal(binding->key, SHUNT_TEXT("default"));
    bool has_condition = out->content_type.present || min.present || max.present;
    if (out->is_default && has_condition) return SHUNT_REFUSE("the default lane has no conditions");
    if (!out->is_default && !has_condition)
        return SHUNT_REFUSE("a lane has content-type, min-size or max-size, or the key default");
    if (out->min_size > out->max_size) return SHUNT_REFUSE("min-size is above max-size");
    return SHUNT_OK;
}

static shunt_refusal check_binding(const shunt_binding *binding) {
    lane ignored;
    return read_lane(binding, &ignored);
}

static shunt_refusal bindings(void) {
    if (shunt_bindings.count > prepared.room) {
        prepared.room = 2 * shunt_bindings.count;
        prepared.lanes = shunt_keep(NULL, prepared.room * (uint32_t)sizeof(lane));
    }
    for (uint32_t i = 0; i < shunt_bindings.count; i++) {
        shunt_refusal refusal = read_lane(&shunt_bindings.items[i], &prepared.lanes[i]);
        if (refusal.bytes) return refusal;
    }
    return SHUNT_OK;
}

/* A wanted type that ends in a slash stands for all below it. Parameters behind a semicolon don't
 * count. */
static bool is_type(shunt_text wanted, shunt_text found) {
    for (uint32_t i = 0; i < found.length; i++)
        if (found.bytes[i] == ';') found.length = i;
    while (found.length > 0 && found.bytes[found.length - 1] == ' ') found.length--;
    bool is_prefix = wanted.length > 0 && wanted.bytes[wanted.length - 1] == '/';
    if (is_prefix && found.length > wanted.length) found.length = wanted.length;
    return shunt_text_equal(wanted, found);
}

static bool takes(const lane *lane, const shunt_header *header) {
    if (header->body_size < lane->min_size || header->body_size > lane->max_size) return false;
    if (!lane->content_type.present) return true;
    return header->content_type.present && is_type(lane->content_type.value, header->content_type.value);
}

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
    for (uint32_t i = 0; i < shunt_bindings.count; i++)
        if (!prepared.lanes[i].is_default && takes(&prepared.lanes[i], header)) shunt_add(destinations, i);
    if (destinations->count > 0) return SHUNT_OK;
    for (uint32_t i = 0; i < shunt_bindings.count; i++)
        if (prepared.lanes[i].is_default) shunt_add(destinations, i);
    return SHUNT_OK;
}
