#include "../guests/refuse.c"
#include <shunt/testing.h>

int main(void) {
    TEST_REFUSED(test_declare(test_arguments("x-refuse", test_text("not this"), TEST_END)), "not this");
    TEST_REFUSED(test_declare(test_arguments("x-refuse", test_integer(1), TEST_END)), "x-refuse is not a string");
    TEST_CHECK(!test_declare(test_arguments(TEST_END)), "refused");
    TEST_REFUSED(test_bind_queue("a", "refuse", test_arguments(TEST_END)), "the key is refuse");
    TEST_CHECK(!test_bind_queue("a", "", test_arguments(TEST_END)), "refused");
    TEST_ROUTES("refused: refused by the guest", test_nil());
    TEST_ROUTES("refused: größe", test_text("größe"));
    return 0;
}
