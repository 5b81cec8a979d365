#include "content-lanes.c"
#include <shunt/testing.h>

int main(void) {
    test_declare(test_arguments(TEST_END));
    TEST_CHECK(!test_bind_queue("images", "", test_arguments("content-type", test_text("image/"), TEST_END)), "refused");
    TEST_CHECK(!test_bind_queue("blobs", "", test_arguments("min-size", test_integer(1000), TEST_END)), "refused");
    TEST_CHECK(!test_bind_queue("rest", "default", test_arguments(TEST_END)), "refused");
    TEST_ROUTES("images,blobs", test_text("image/png; q=1"), test_integer(1000));
    TEST_ROUTES("images", test_text("image/png"), test_integer(999));
    TEST_ROUTES("blobs", test_nil(), test_integer(5000));
    TEST_ROUTES("rest", test_text("image"), test_integer(1));
    TEST_REFUSED(test_bind_queue("x", "", test_arguments(TEST_END)), "a lane has");
    return 0;
}
