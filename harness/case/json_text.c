/* See json_text.h. */
#include "harness/case/json_text.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/case/result_json.h"

#include <stdlib.h>
#include <string.h>

json_t *json_text_write(const char *s)
{
	if (s == NULL)
		s = "";
	json_t *plain = json_string(s); /* NULL for what is not UTF-8 */

	if (plain != NULL)
		return plain;
	struct buf hex = {0};
	json_t *object = json_object();

	for (; *s != '\0'; s++)
		buf_printf(&hex, "%02x", (unsigned char)*s);
	int failed = json_object_set_new(object, "bytes", json_string(buf_str(&hex)));

	ASSERT(!failed); /* jansson fails only for want of memory here */
	buf_release(&hex);
	return object;
}

json_t *json_text_clean(const char *s)
{
	struct buf clean = {0};

	while (s != NULL && *s != '\0') {
		uint32_t codepoint;
		size_t size = result_utf8_next(s, &codepoint);

		if (codepoint == RESULT_UTF8_REPLACEMENT)
			buf_append(&clean, "\xEF\xBF\xBD", 3);
		else
			buf_append(&clean, s, size);
		s += size;
	}
	json_t *json = json_string(buf_str(&clean));

	ASSERT(json != NULL);
	buf_release(&clean);
	return json;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of {"bytes": "<hex>"}, or NULL: no zero byte, and not what a plain string can say. */
static char *bytes_from_json(const json_t *json)
{
	const char *hex = json_string_value(json_object_get(json, "bytes"));

	if (hex == NULL || json_object_size(json) != 1 || strlen(hex) % 2 != 0)
		return NULL;
	size_t size = strlen(hex) / 2;
	char *bytes = xmalloc(size + 1);

	bytes[size] = '\0';
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0 || (high | low) == 0) {
			free(bytes);
			return NULL;
		}
		bytes[i] = (char)(high << 4 | low);
	}
	json_t *plain = json_string(bytes);

	if (plain != NULL) {
		json_decref(plain);
		free(bytes);
		return NULL;
	}
	return bytes;
}

int json_text_read(const json_t *json, char **ret_string, struct err *err)
{
	char *string =
	    json_is_string(json) ? xstrdup(json_string_value(json)) : bytes_from_json(json);

	if (string == NULL)
		return err_set(err, ERR_INPUT, "a string is expected");
	*ret_string = string;
	return 0;
}
