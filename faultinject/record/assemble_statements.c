/*
 * Statements in a trace of real processes. A call says who was about to run one: process, thread,
 * and the address of the connection. What a trace calls a connection comes from the operations
 * (connections.h), so a statement has the connection of the first operation that its thread made
 * before it ran another one. Where there was none it has that of the next statement on the same
 * address that made one, or else of the last one.
 *
 * Not every operation counts, because SQLite opens a database, reads its schema to prepare a
 * statement, and closes it outside of any statement: nothing counts but changes and syncs of files
 * that exist already; and locks where a connection made none of these at all, as a reader does. An
 * address none of whose statements did anything is not in the trace.
 *
 * Does not see: two connections of one thread whose statements take turns row by row, where an
 * operation counts for the one that began last; a connection that was closed, and another one with
 * its address that did nothing.
 */
#include "faultinject/record/assemble_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)RECLOG_SQL_MAX == (int)TRACE_SQL_MAX, "what is recorded is kept");

struct waiting_statement {
	struct waiting_key {
		uint32_t pid, tid;
	} key;
	size_t index; /* of the statement */
	UT_hash_handle hh;
};

static struct waiting_statement *find_waiting(struct assembler *a, const struct call *c)
{
	const struct waiting_key key = {c->pid, c->tid};
	struct waiting_statement *w;

	HASH_FIND(hh, a->waiting, &key, sizeof key, w);
	return w;
}

void assemble_statement(struct assembler *a, const struct call *c)
{
	struct waiting_statement *w = find_waiting(a, c);
	size_t index = a->t->statement_count;
	char *sql = xasprintf("%.*s", (int)c->data_size, (const char *)c->data);

	trace_add_statement(a->t, &(struct trace_statement){.source = "", .sql = sql});
	free(sql);
	if (a->t->statement_count == index)
		return; /* there were too many */
	a->origins = xgrow(a->origins, index, &a->origin_cap, sizeof *a->origins);
	a->origins[index] =
	    (struct statement_origin){.pid = c->pid, .tid = c->tid, .connection = c->offset};
	if (w == NULL) {
		w = xcalloc(1, sizeof *w);
		w->key = (struct waiting_key){c->pid, c->tid};
		HASH_ADD(hh, a->waiting, key, sizeof w->key, w);
	}
	w->index = index;
}

void assemble_statement_done(struct assembler *a, const struct call *c, enum op_kind kind,
			     uint64_t position)
{
	struct waiting_statement *w = a->waiting == NULL ? NULL : find_waiting(a, c);
	uint64_t *first;

	if (w == NULL)
		return;
	switch (kind) {
	case OP_WRITE:
	case OP_TRUNCATE:
	case OP_SYNC_BEGIN:
	case OP_SYNC_END:
	case OP_UNLINK:
		first = &a->origins[w->index].change;
		break;
	case OP_LOCK:
	case OP_UNLOCK:
		first = &a->origins[w->index].lock;
		break;
	default: /* notes, which are nobody's; names, and folders, which are no database's */
		return;
	}
	if (*first == 0)
		*first = position;
}

/* ---- whose they are ---- */

/* A connection, as calls have it, and whose it is. */
struct owner {
	struct owner_key {
		uint64_t connection, pid;
	} key;
	uint16_t process, number;
	UT_hash_handle hh;
};

static struct owner *find_owner(struct owner *owners, const struct statement_origin *o)
{
	const struct owner_key key = {o->connection, o->pid};
	struct owner *found;

	HASH_FIND(hh, owners, &key, sizeof key, found);
	return found;
}

/* One walk over the statements, each of which learns from those that were before it and know it
 * from their own operations (`own`). */
static void learn(struct assembler *a, const bool *own, bool backwards)
{
	struct trace *t = a->t;
	struct owner *owners = NULL;

	for (size_t k = 0; k < t->statement_count; k++) {
		size_t i = backwards ? t->statement_count - 1 - k : k;
		const struct statement_origin *origin = &a->origins[i];
		struct trace_statement *st = &t->statements[i];
		struct owner *owner = find_owner(owners, origin);

		if (!own[i]) {
			if (st->process == 0 && owner != NULL) {
				st->process = owner->process;
				st->connection = owner->number;
			}
			continue;
		}
		if (owner == NULL) {
			owner = xcalloc(1, sizeof *owner);
			owner->key = (struct owner_key){origin->connection, origin->pid};
			HASH_ADD(hh, owners, key, sizeof owner->key, owner);
		}
		owner->process = st->process;
		owner->number = st->connection;
	}
	MAP_FREE(owners);
}

static void assign(struct assembler *a, bool by_locks)
{
	struct trace *t = a->t;
	bool *own = xcalloc(t->statement_count + 1, sizeof *own);

	for (size_t i = 0; i < t->statement_count; i++) {
		uint64_t position = by_locks ? a->origins[i].lock : a->origins[i].change;

		if (position == 0 || t->statements[i].process != 0)
			continue;
		const struct op *op = trace_at(t, position);

		t->statements[i].process = op->process;
		t->statements[i].thread = op->thread;
		t->statements[i].connection = op->connection;
		own[i] = true;
	}
	learn(a, own, true);
	learn(a, own, false);
	free(own);
}

/* Of statements that learnt from others whose they are: the thread's number, if it did anything. */
static void find_threads(struct assembler *a)
{
	for (size_t i = 0; i < a->t->statement_count; i++) {
		struct trace_statement *st = &a->t->statements[i];
		const struct actor_key key = {st->process, a->origins[i].tid};
		struct actor_number *n = NULL;

		if (st->process != 0 && st->thread == 0)
			HASH_FIND(hh, a->threads, &key, sizeof key, n);
		if (n != NULL)
			st->thread = n->number;
	}
}

void assemble_statements_assign(struct assembler *a)
{
	struct trace *t = a->t;
	size_t kept = 0;

	assign(a, false);
	assign(a, true);
	find_threads(a);
	for (size_t i = 0; i < t->statement_count; i++)
		if (t->statements[i].process != 0)
			t->statements[kept++] = t->statements[i];
	t->statement_count = kept;
}

void assemble_statements_release(struct assembler *a)
{
	MAP_FREE(a->waiting);
	free(a->origins);
}
