/* Operating errors; see err.h. Messages live in the caller's fixed buffer so that reporting an
 * error cannot itself fail for want of memory. */
#include "faultinject/base/err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	if (err != NULL) {
		va_list ap;
		err->code = code;
		va_start(ap, fmt);
		(void)vsnprintf(err->message, sizeof err->message, fmt, ap);
		va_end(ap);
	}
	return code;
}

int err_context(struct err *err, const char *fmt, ...)
{
	char prefix[ERR_MESSAGE_SIZE];
	char whole[2 * ERR_MESSAGE_SIZE + 3];
	va_list ap;

	if (err == NULL)
		return ERR_HARNESS;
	va_start(ap, fmt);
	(void)vsnprintf(prefix, sizeof prefix, fmt, ap);
	va_end(ap);
	(void)snprintf(whole, sizeof whole, "%s: %s", prefix, err->message);
	whole[sizeof err->message - 1] = '\0';
	memcpy(err->message, whole, sizeof err->message);
	return err->code;
}

const char *err_text(int code)
{
	switch (code) {
#define X(name, num, text, exit_code)                                                              \
	case name:                                                                                 \
		return text;
		ERR_CODES(X)
#undef X
	default:
		return "unknown error";
	}
}

int err_exit_code(int code)
{
	switch (code) {
#define X(name, num, text, exit_code)                                                              \
	case name:                                                                                 \
		return exit_code;
		ERR_CODES(X)
#undef X
	default:
		return 3;
	}
}
