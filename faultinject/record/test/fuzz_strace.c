/*
 * libFuzzer target: strace's text from strangers. Checks: no read outside the input, no crash; a
 * refusal names a line and leaves no more than the calls before it; what is accepted is well formed
 * (an end follows its begin, data is there), and it becomes a trace or a refusal, never an
 * assertion. Files of more than FILE_SIZE_MAX bytes are not assembled, since that holds them whole.
 */
#include "faultinject/base/assert.h"
#include "faultinject/record/assemble.h"
#include "faultinject/record/strace.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_SIZE_MAX = 32 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_end(enum call_kind kind)
{
	return kind == CALL_SYNC_END || kind == CALL_DIRSYNC_END || kind == CALL_SYNC_ALL_END;
}

/* Returns whether its files are small. */
static bool check(const struct call_list *list)
{
	uint64_t sum = 0;
	bool small = true;

	for (size_t i = 0; i < list->count; i++) {
		const struct call *c = &list->items[i];

		ASSERT(c->kind >= CALL_PROCESS && c->kind <= CALL_KIND_MAX);
		if (is_end(c->kind)) {
			ASSERT_OP(c->begin, <, i);
			ASSERT_OP((int)list->items[c->begin].kind + 1, ==, (int)c->kind);
		}
		for (size_t k = 0; k < c->data_size; k += 512)
			sum += c->data[k];
		if (c->path != NULL)
			sum += strlen(c->path);
		if (c->kind != CALL_LOCK && c->kind != CALL_UNLOCK)
			small = small && c->offset < FILE_SIZE_MAX && c->length < FILE_SIZE_MAX;
	}
	ASSERT(sum != UINT64_MAX);
	return small;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct assemble_options options = {.producer = "fuzz"};
	struct call_list list = {0};
	struct assemble_report report = {0};
	struct trace *t = NULL;
	struct err err = ERR_INIT;

	if (strace_read((const char *)data, size, &list, &err) != 0) {
		ASSERT(err.code == ERR_INPUT || err.code == ERR_LIMIT);
		ASSERT(strncmp(err.message, "line ", 5) == 0);
	} else if (check(&list)) {
		err = (struct err)ERR_INIT;
		if (assemble(&list, &options, &t, &report, &err) == 0) {
			trace_free(t);
		}
	}
	call_list_release(&list);
	return 0;
}
