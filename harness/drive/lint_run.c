/* See lint_run.h. */
#include "harness/drive/lint_run.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>

static int compare_acks(const void *a, const void *b)
{
	const struct lint_ack *x = a, *y = b;

	if (x->position != y->position)
		return x->position < y->position ? -1 : 1;
	if (x->process != y->process)
		return x->process < y->process ? -1 : 1;
	return x->connection < y->connection ? -1 : x->connection > y->connection;
}

void lint_run(const struct trace *t, const struct history *h, struct lint *ret)
{
	struct lint_ack *acks;
	size_t count = 0;

	if (h == NULL || h->ack == HISTORY_ACK_EXACT) {
		lint_trace(t, NULL, 0, ret);
		return;
	}
	acks = xcalloc(h->transaction_count + 1, sizeof *acks);
	for (size_t i = 0; i < h->transaction_count; i++) {
		const struct transaction *x = &h->transactions[i];
		uint64_t own = x->first_write != 0 ? x->first_write : x->begin;

		if (x->ack == 0 || own == 0)
			continue;
		acks[count++] = (struct lint_ack){
		    .position = x->ack,
		    .process = x->process,
		    .thread = trace_at(t, own)->thread,
		    .connection = x->connection,
		};
	}
	qsort(acks, count, sizeof *acks, compare_acks);
	lint_trace(t, acks, count, ret);
	free(acks);
}
