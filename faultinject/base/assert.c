/* Failed assertions end the process at once: a harness that doubts itself must not go on to print
 * a verdict. */
#include "faultinject/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

/* Where the message goes instead of stderr; NULL: stderr. */
static char *diverted;
static size_t diverted_size;

void assert_divert(char *message, size_t size)
{
	diverted = message;
	diverted_size = size;
}

void assert_fail(const char *file, int line, const char *expr)
{
	if (diverted != NULL)
		(void)snprintf(diverted, diverted_size, "%s:%d: assertion failed: %s", file, line,
			       expr);
	else
		fprintf(stderr, "plugpull: %s:%d: assertion failed: %s\n", file, line, expr);
	abort();
}

void assert_fail_values(const char *file, int line, const char *expr, long long left,
			long long right)
{
	if (diverted != NULL)
		(void)snprintf(diverted, diverted_size, "%s:%d: assertion failed: %s (%lld, %lld)",
			       file, line, expr, left, right);
	else
		fprintf(stderr, "plugpull: %s:%d: assertion failed: %s (%lld, %lld)\n", file, line,
			expr, left, right);
	abort();
}
