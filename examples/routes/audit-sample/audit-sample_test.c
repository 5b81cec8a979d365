#include "audit-sample.c"
#include <shunt/testing.h>

int main(void) {
    int sampled = 0;
    test_declare(test_arguments(TEST_END));
    test_bind_queue("work", "", test_arguments(TEST_END));
    test_bind_queue("audit", "", test_arguments("per-million", test_integer(100000), TEST_END));
    for (int i = 0; i < 20000; i++) {
        char id[16];
        snprintf(id, sizeof id, "id-%d", i);
        test_bytes values[] = {test_text(id), test_text("")};
        const char *said = test_route(2, values);
        TEST_CHECK(strncmp(said, "work", 4) == 0, "%s", said);
        sampled += strcmp(said, "work,audit") == 0;
    }
    TEST_CHECK(sampled > 1900 && sampled < 2100, "%d of 20000 are a tenth", sampled);
    return 0;
}
