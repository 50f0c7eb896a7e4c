/* Failed assertions end the process at once: a harness that doubts itself must not go on to print
 * a verdict. */
#include "faultinject/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_fail(const char *file, int line, const char *expr)
{
	fprintf(stderr, "plugpull: %s:%d: assertion failed: %s\n", file, line, expr);
	abort();
}

void assert_fail_values(const char *file, int line, const char *expr, long long left,
			long long right)
{
	fprintf(stderr, "plugpull: %s:%d: assertion failed: %s (%lld, %lld)\n", file, line, expr,
		left, right);
	abort();
}
