/*
 * Assertions about ourselves: always on, both values printed, then abort().
 *
 * A failed assertion is a bug of plugpull, never a finding about the program under test. A forked
 * worker that aborts is seen by its parent as a harness failure (exit code 3).
 */
#ifndef FI_BASE_ASSERT_H
#define FI_BASE_ASSERT_H

#include <stddef.h>

/* Print and abort. Safe in a forked child; not async-signal-safe. */
_Noreturn void assert_fail(const char *file, int line, const char *expr);
_Noreturn void assert_fail_values(const char *file, int line, const char *expr, long long left,
				  long long right);

/* From here on a failed assertion writes its message there instead of to stderr. `message` (of at
 * least one byte; borrowed for good; NULL: stderr again) lies in memory that is shared with the
 * parent, which so tells our own failure from an abort() of the code under test. For the whole
 * process. */
void assert_divert(char *message, size_t size);

#define ASSERT(cond) ((cond) ? (void)0 : assert_fail(__FILE__, __LINE__, #cond))

/* Compares two integers and prints both when it fails. */
#define ASSERT_OP(a, op, b)                                                                        \
	do {                                                                                       \
		long long assert_left_ = (long long)(a);                                           \
		long long assert_right_ = (long long)(b);                                          \
		if (!(assert_left_ op assert_right_))                                              \
			assert_fail_values(__FILE__, __LINE__, #a " " #op " " #b, assert_left_,    \
					   assert_right_);                                         \
	} while (0)

#endif
