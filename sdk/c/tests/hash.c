#include "../guests/hash.c"
#include <shunt/testing.h>

int main(void) {
    test_declare(test_arguments(TEST_END));
    TEST_ROUTES("", test_text(""));
    for (int i = 0; i < 3; i++) {
        char name[3] = {'q', (char)('0' + i), 0};
        TEST_CHECK(!test_bind_queue(name, "", test_arguments(TEST_END)), "not bound");
    }
    /* As in sdk/conformance/hash.json. */
    TEST_ROUTES("q2", test_text(""));
    TEST_ROUTES("q1", test_text("a"));
    TEST_ROUTES("q1", test_text("b"));
    TEST_ROUTES("q0", test_text("orders.eu.created"));
    TEST_ROUTES("q1", test_text("orders.us.created"));
    TEST_ROUTES("q1", test_text("größe"));
    TEST_ROUTES("q0", test_text("寸法"));
    TEST_ROUTES("refused: routing_key is missing", test_nil());
    TEST_ROUTES("refused: routing_key is not a string", test_integer(1));
    return 0;
}
