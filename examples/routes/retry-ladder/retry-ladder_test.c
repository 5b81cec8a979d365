#include "retry-ladder.c"
#include <shunt/testing.h>

int main(void) {
    test_declare(test_arguments(TEST_END));
    test_bind_queue("5s", "1", test_arguments(TEST_END));
    test_bind_queue("10m", "4", test_arguments(TEST_END));
    TEST_ROUTES("5s", test_nil());
    TEST_ROUTES("10m", test_integer(2));
    TEST_ROUTES("10m", test_integer(4));
    TEST_ROUTES("", test_integer(5));
    test_bind_queue("dead", "dead", test_arguments(TEST_END));
    TEST_ROUTES("dead", test_integer(INT64_MAX));
    TEST_REFUSED(test_bind_queue("x", "99999999999999999999", test_arguments(TEST_END)), "a key is a rung");
    return 0;
}
