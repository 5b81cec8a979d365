#include "../guests/capabilities.c"
#include <shunt/testing.h>

int main(void) {
    test_declare(test_arguments(TEST_END));
    for (int i = 0; i < 3; i++) test_bind_queue((char[]){'q', (char)('0' + i), 0}, "", test_arguments(TEST_END));
    test_host.now_ms = 1700000000000;
    TEST_ROUTES("q0", test_text("clock"));
    TEST_ROUTES("q0", test_text("random"));
    TEST_ROUTES("q0", test_text("log"));
    TEST_CHECK(strcmp(test_host.line, "3 a line of the guest: größe") == 0, "%s", test_host.line);
    test_host.loads[0][SHUNT_READY] = 2;
    TEST_ROUTES("q1", test_text("load"));
    TEST_ROUTES("q0", test_text("state"));
    TEST_ROUTES("q1", test_text("state"));
    TEST_ROUTES("q0", test_text("state-remove"));
    TEST_ROUTES("q0", test_text("state"));
    TEST_ROUTES("q0", test_text("state-long"));
    TEST_ROUTES("refused: no such capability", test_text("x"));
    return 0;
}
