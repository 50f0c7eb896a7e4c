/*
 * Operating errors: the environment or the input is wrong, and the caller can say so to the user.
 *
 * A function that can fail returns 0 or a negative `enum err_code` and fills `struct err`, its
 * last parameter. Callers add context in front of the message (`scenario 'x.sql': line 3: ...`).
 * A failed assertion is ours (base/assert.h); a finding about the subject is a `struct verdict`
 * (harness/judge/verdict.h). The three never mix.
 */
#ifndef FI_BASE_ERR_H
#define FI_BASE_ERR_H

#include <stdarg.h>

/* code, text, exit code of the program that ends with it (docs/contract.md, "Exit codes"). */
#define ERR_CODES(X)                                                                               \
	X(ERR_USAGE, 1, "bad usage", 2)                                                            \
	X(ERR_INPUT, 2, "bad input", 2)                                                            \
	X(ERR_IO, 3, "input/output error", 2)                                                      \
	X(ERR_NOMEM, 4, "out of memory", 3)                                                        \
	X(ERR_LIMIT, 5, "limit reached", 2)                                                        \
	X(ERR_SQLITE, 6, "SQLite error", 2)                                                        \
	X(ERR_HARNESS, 7, "harness failure", 3)                                                    \
	X(ERR_INTERRUPTED, 8, "interrupted", 130)

enum err_code {
#define X(name, num, text, exit_code) name = -(num),
	ERR_CODES(X)
#undef X
};

enum { ERR_MESSAGE_SIZE = 512 };

/* Caller-owned; nothing is allocated. `code` is 0 while there is no error. */
struct err {
	int code;
	char message[ERR_MESSAGE_SIZE];
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		0, ""                                                                              \
	}

/* Sets code and message, returns `code` so that callers can `return err_set(...)`. `err` may be
 * NULL. A message that does not fit is cut. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " in front of the message; returns the code that is already set. */
int err_context(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The fixed text of a code; "unknown error" for a number that is none. */
const char *err_text(int code);

/* The exit code (docs/contract.md) of a program that ends with this error. */
int err_exit_code(int code);

#endif
