/* Where the files of a state lie (materialize.h), whatever a trace calls them. */
#include "harness/drive/materialize_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A file lies where its path says; one that cannot, because of its name or because another one
 * needs a folder there, gets a name that no other file has. */
static void test_places(void **state)
{
	char long_part[400], long_path[1200],
	    *paths[] = {
		"/db/main.db",
		"/a",
		"/a/b/c",
		"/a-b",
		"/a/b",
		"/line\nbreak",
		long_part,
		long_path,
		"/plugpull-file-1",
		"/plugpull-file-2/x",
		"/caf\xc3\xa9",
		"/bad\xff",
	    };
	const char *expected[] = {
	    "db/main.db",      "plugpull-file-3",   "a/b/c",	       "a-b",
	    "plugpull-file-4", "plugpull-file-5",   "plugpull-file-6", "plugpull-file-7",
	    "plugpull-file-1", "plugpull-file-2/x", "caf\xc3\xa9",     "plugpull-file-8",
	};
	enum { COUNT = sizeof paths / sizeof paths[0] };
	struct materializing w = {.paths = paths, .count = COUNT};

	(void)state;
	memset(long_part, 'x', sizeof long_part);
	long_part[0] = '/';
	long_part[sizeof long_part - 1] = '\0';
	for (size_t i = 0; i < sizeof long_path; i++)
		long_path[i] = i % 100 == 0 ? '/' : 'y';
	long_path[sizeof long_path - 1] = '\0';
	materialize_places(&w);
	for (size_t i = 0; i < COUNT; i++) {
		assert_string_equal(w.files[i], expected[i]);
		free(w.files[i]);
	}
	free(w.files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_places)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
