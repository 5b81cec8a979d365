#include "../guests/fixed.c"
#include <shunt/testing.h>

int main(void) {
    test_declare(test_arguments("x-first", test_integer(20), "x-queue", test_text("named"), TEST_END));
    for (int i = 0; i < 20; i++) test_bind_queue("q", "", test_arguments(TEST_END));
    const char *said = test_route(0, NULL);
    TEST_CHECK(strcmp(said, "q,q,q,q,q,q,q,q,q,q,q,q,q,q,q,q,q,q,q,q,named") == 0, "%s", said);
    TEST_REFUSED(test_declare(test_arguments("x-first", test_text("one"), TEST_END)), "x-first is not an integer");
    return 0;
}
