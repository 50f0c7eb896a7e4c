/*
 * event.c: what a valid event is, and its checksum.
 *
 * The checksum is there to notice a stored row that is no longer the one that was written, not to
 * resist forgery: FNV-1a maps states one to one at each byte, so a change of any single byte is
 * always seen. Each variable part is preceded by its length, so that no byte can move from one part
 * to the next unnoticed.
 */
#include <string.h>

#include "store/internal.h"

uint64_t store_fnv(uint64_t state, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < size; i++) {
		state ^= p[i];
		state *= UINT64_C(0x100000001b3);
	}
	return state;
}

static uint64_t checksum_number(uint64_t state, uint64_t number)
{
	unsigned char bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(number >> (8 * i));
	return store_fnv(state, bytes, sizeof(bytes));
}

static uint64_t checksum_bytes(uint64_t state, const void *bytes, size_t size)
{
	return store_fnv(checksum_number(state, size), bytes, size);
}

uint64_t store_event_checksum(const struct store_event *event)
{
	uint64_t state = STORE_FNV_START;

	state = checksum_bytes(state, event->event_id, strlen(event->event_id));
	state = checksum_bytes(state, event->server_id, strlen(event->server_id));
	state = checksum_number(state, (uint64_t)event->position);
	state = checksum_number(state, (uint64_t)event->time_us);
	state = checksum_bytes(state, event->kind, strlen(event->kind));
	return checksum_bytes(state, event->payload, event->payload_bytes);
}

/*
 * Length of the UTF-8 sequence at p, which ends with a NUL, or 0: overlong forms, surrogates and
 * numbers above U+10FFFF are no UTF-8 (RFC 3629). The NUL is no continuation byte, so that nothing
 * behind it is looked at.
 */
static size_t utf8_sequence(const unsigned char *p)
{
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t length;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		length = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		length = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return length;
}

const char *store_text_complaint(const char *text, size_t bytes_max, bool empty_allowed,
				 size_t *ret_bytes)
{
	size_t size;

	if (!text)
		return "is NULL";
	size = strnlen(text, bytes_max + 1);
	if (size == 0 && !empty_allowed)
		return "is empty";
	if (size > bytes_max)
		return "is too long";
	for (size_t i = 0; i < size;) {
		size_t length = utf8_sequence((const unsigned char *)text + i);

		if (length == 0)
			return "is not valid UTF-8";
		i += length;
	}
	if (ret_bytes)
		*ret_bytes = size;
	return NULL;
}

static const char *text_complaint(const char *text, size_t bytes_max)
{
	return store_text_complaint(text, bytes_max, false, NULL);
}

enum store_code store_id_check(const char *text, const char *what, struct store_error *err)
{
	const char *complaint = text_complaint(text, STORE_ID_BYTES_MAX);

	if (!complaint)
		return STORE_OK;
	return store_error_set(err, STORE_ERR_INVALID, 0, "%s %s", what, complaint);
}

enum store_code store_event_check(const struct store_event *event, size_t index,
				  struct store_error *err)
{
	const char *what;
	const char *complaint;
	enum store_code code;

	what = "event_id";
	complaint = text_complaint(event->event_id, STORE_ID_BYTES_MAX);
	if (!complaint) {
		what = "server_id";
		complaint = text_complaint(event->server_id, STORE_ID_BYTES_MAX);
	}
	if (!complaint) {
		what = "kind";
		complaint = text_complaint(event->kind, STORE_KIND_BYTES_MAX);
	}
	if (!complaint && event->position < 0) {
		what = "position";
		complaint = "is negative";
	}
	if (!complaint && event->payload_bytes > STORE_PAYLOAD_BYTES_MAX) {
		what = "payload";
		complaint = "is too long";
	}
	if (!complaint && !event->payload && event->payload_bytes > 0) {
		what = "payload";
		complaint = "is NULL and not empty";
	}
	if (!complaint)
		return STORE_OK;
	code = store_error_set(err, STORE_ERR_INVALID_EVENT, 0,
			       "event %zu of the batch: %s %s (the most are %d bytes of id, %d of "
			       "kind, %d of payload)",
			       index, what, complaint, STORE_ID_BYTES_MAX, STORE_KIND_BYTES_MAX,
			       STORE_PAYLOAD_BYTES_MAX);
	if (err)
		err->index = index;
	return code;
}
