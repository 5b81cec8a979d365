#include "overflow-ladder.c"
#include <shunt/testing.h>

int main(void) {
    test_declare(test_arguments(TEST_END));
    TEST_ROUTES("");
    test_bind_queue("second", "2", test_arguments("limit", test_integer(5), TEST_END));
    test_bind_queue("first", "1", test_arguments("limit", test_integer(10), TEST_END));
    TEST_ROUTES("first");
    test_host.loads[1][SHUNT_READY] = 9;
    TEST_ROUTES("first");
    test_host.loads[1][SHUNT_READY] = 10;
    TEST_ROUTES("second");
    test_host.loads[0][SHUNT_READY] = 5;
    TEST_ROUTES("refused: every rung is full");
    test_bind_queue("rest", "1000", test_arguments(TEST_END));
    test_host.loads[2][SHUNT_READY] = INT64_MAX - 1;
    TEST_ROUTES("rest");
    test_host.loads[1][SHUNT_READY] = 0;
    TEST_ROUTES("first");
    TEST_REFUSED(test_bind_queue("x", "1001", test_arguments(TEST_END)), "a key is a rung");
    TEST_REFUSED(test_bind_queue("x", "99999999999999999999", test_arguments(TEST_END)), "a key is a rung");
    return 0;
}
