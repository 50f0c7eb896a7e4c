/* See case_names.h. */
#include "harness/case/case_names.h"

#include "faultinject/trace.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Behind such a character a slash is in the middle of a name. */
static bool is_of_name(char c)
{
	return isalnum((unsigned char)c) || ((unsigned char)c & 0x80) != 0 ||
	       (c != '\0' && strchr("._-/", c) != NULL);
}

void case_names_shorten(const struct subject *subject, const char *text, struct buf *ret)
{
	char folder[TRACE_NAME_MAX + 2];

	trace_dirname(subject->database, folder, TRACE_NAME_MAX + 1);
	size_t n = strlen(folder);

	if (n < 2) { /* the root: nothing to leave out */
		buf_append(ret, text, strlen(text));
		return;
	}
	folder[n++] = '/';
	for (bool begins = true; *text != '\0';) {
		if (begins && strncmp(text, folder, n) == 0) {
			text += n;
			begins = false;
			continue;
		}
		begins = !is_of_name(*text);
		buf_put_u8(ret, (uint8_t)*text++);
	}
}
