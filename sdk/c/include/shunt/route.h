/* Routes of the Shunt message broker in C: include this header once, in the one file of the
 * module. It needs no library, and allocates by itself.
 *
 *   #define SHUNT_NAME "by-region"
 *   #define SHUNT_VERSION "1.0.0"
 *   #define SHUNT_HEADER(F) F(required, text, region, "headers.region")
 *   #include <shunt/route.h>
 *
 *   static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations) {
 *       for (uint32_t i = 0; i < shunt_bindings.count; i++)
 *           if (shunt_text_equal(shunt_bindings.items[i].key, header->region))
 *               shunt_add(destinations, i);
 *       return SHUNT_OK;
 *   }
 *
 * What a route may define before the include: SHUNT_WANTS, such as "clock" or "clock", "state";
 * SHUNT_CONFIGURE, SHUNT_CHECK_BINDING and SHUNT_BINDINGS for the hooks below.
 */
#ifndef SHUNT_ROUTE_H
#define SHUNT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shunt/value.h"
#include "shunt/host.h"

/* ---- what a route gets and answers ---- */

/* Why a route says no; without bytes it does not. They must live until the next call. */
typedef struct {
    const char *bytes;
    uint32_t length;
} shunt_refusal;

#define SHUNT_OK ((shunt_refusal){NULL, 0})
/* A refusal with a fixed reason. */
#define SHUNT_REFUSE(reason) ((shunt_refusal){(reason), sizeof(reason) - 1})

/* A refusal with a text of the host's input, which is copied. */
static inline shunt_refusal shunt_refuse_text(shunt_text reason);
/* A refusal of the form "NAME is not a string". */
static inline shunt_refusal shunt_refuse_named(shunt_text name, const char *rest);

typedef struct {
    shunt_text name;
    shunt_text vhost;
    shunt_table arguments;
} shunt_exchange;

typedef enum { SHUNT_QUEUE, SHUNT_EXCHANGE } shunt_kind;

/* One binding; its place among the others is what a route answers. */
typedef struct {
    shunt_kind kind;
    shunt_text name;
    shunt_text key;
    shunt_table arguments;
} shunt_binding;

/* The bindings of the exchange, in the order of their indexes. */
static struct {
    const shunt_binding *items;
    uint32_t count;
} shunt_bindings;

/* Where a message goes; none at all makes it unroutable. */
typedef struct {
    uint8_t *bytes;
    uint32_t length;
    uint32_t capacity;
    uint32_t count;
} shunt_destinations;

/* Adds what the binding of this index leads to. */
static inline void shunt_add(shunt_destinations *destinations, uint32_t index);
/* Adds a queue by its name, which the host takes only from a route that was deployed with the
 * right to reach any queue. */
static inline void shunt_add_queue(shunt_destinations *destinations, shunt_text name);

/* Reads an argument that may be missing: it says so then. One of another type is a refusal. */
static inline shunt_refusal shunt_argument_text(shunt_table arguments, const char *name,
                                                shunt_optional_text *out);
static inline shunt_refusal shunt_argument_integer(shunt_table arguments, const char *name,
                                                   shunt_optional_integer *out);

/* ---- the typed header ---- */

#define SHUNT_TYPE_required_text shunt_text
#define SHUNT_TYPE_optional_text shunt_optional_text
#define SHUNT_TYPE_required_integer int64_t
#define SHUNT_TYPE_optional_integer shunt_optional_integer
#define SHUNT_TYPE_required_number double
#define SHUNT_TYPE_optional_number shunt_optional_number
#define SHUNT_TYPE_required_boolean bool
#define SHUNT_TYPE_optional_boolean shunt_optional_boolean
#define SHUNT_TYPE_required_value shunt_value
#define SHUNT_TYPE_optional_value shunt_value

typedef struct {
#define SHUNT_MEMBER(need, type, member, name) SHUNT_TYPE_##need##_##type member;
    SHUNT_HEADER(SHUNT_MEMBER)
#undef SHUNT_MEMBER
    /* A struct without members is no C. */
    uint8_t shunt_end;
} shunt_header;

/* ---- what a route defines ---- */

static shunt_refusal route(const shunt_header *header, shunt_destinations *destinations);
#ifdef SHUNT_CONFIGURE
/* The exchange is declared. Its texts must be kept by shunt_keep to outlive the call. */
static shunt_refusal configure(const shunt_exchange *exchange);
#endif
#ifdef SHUNT_CHECK_BINDING
/* A binding is about to be stored. */
static shunt_refusal check_binding(const shunt_binding *binding);
#endif
#ifdef SHUNT_BINDINGS
/* shunt_bindings has changed: what makes route fast is prepared here. */
static shunt_refusal bindings(void);
#endif

#include "shunt/exports.h"

#endif
