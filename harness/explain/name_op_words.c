/* Files' names, and the operations that are the same for every file, in words. */
#include "harness/explain/name_op_internal.h"

#include "harness/explain/clean.h"

#include <inttypes.h>
#include <string.h>

enum { UNSYNCED_MAX = 1024 };

const char *names_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL || slash[1] == 0 ? path : slash + 1;
}

void names_show(struct op_names *n, uint32_t name)
{
	const char *path = n->t->names[name];
	const char *shown = n->paths[name].is_ambiguous ? path : names_base(path);
	size_t size = strlen(shown);

	/* The suffix says what it is, so the end is what is kept. */
	if (size > OP_NAMES_SHOWN_MAX) {
		shown += size - (OP_NAMES_SHOWN_MAX - 3);
		size = OP_NAMES_SHOWN_MAX - 3;
		buf_printf(&n->line, "...");
	}
	clean_append(&n->line, shown, size, 4 * OP_NAMES_SHOWN_MAX);
}

void names_plain(struct op_names *n, const struct op *op)
{
	buf_printf(&n->line, "%" PRIu64 " byte%s at %" PRIu64, op->size, op->size == 1 ? "" : "s",
		   op->offset);
}

void names_sync_words(struct op_names *n, const struct op *op)
{
	const struct op *begin = op->kind == OP_SYNC_END ? trace_at(n->t, op->offset) : op;
	uint32_t name = n->files[op->inode].now;

	buf_printf(&n->line, "%s of ", (begin->flags & OP_SYNC_DATA) != 0 ? "fdatasync" : "sync");
	if (name != 0)
		names_show(n, name);
	else
		buf_printf(&n->line, "a file without a name");
}

void names_directory_words(struct op_names *n, uint32_t directory, const struct names_unsynced *u)
{
	size_t shown = 0;

	buf_printf(&n->line, "directory sync");
	for (size_t i = 0; i < u->count; i++) {
		if (n->paths[u->names[i]].directory != directory)
			continue;
		if (shown == OP_NAMES_OWNERS_SHOWN) {
			buf_printf(&n->line, " and others");
			return;
		}
		buf_printf(&n->line, shown++ == 0 ? " for " : ", ");
		names_show(n, u->names[i]);
	}
	if (shown == 0) {
		buf_printf(&n->line, " of ");
		names_show(n, directory);
	}
}

/* https://www.sqlite.org/lockingv3.html, and walformat.html 2.3.1. */
void names_lock_words(struct op_names *n, const struct op *op)
{
	static const char *const shm[] = {"the log's writer", "checkpoint", "recovery"};
	uint64_t at = op->offset, end = op->size == 0 ? UINT64_MAX : op->offset + op->size;
	const char *sharing = op->kind == OP_UNLOCK		  ? ""
			      : (op->flags & OP_LOCK_SHARED) != 0 ? "shared "
								  : "exclusive ";

	buf_printf(&n->line, "%s%s: ", sharing, op->kind == OP_LOCK ? "lock" : "unlock");
	if ((op->flags & OP_LOCK_SHM) != 0 && at >= OP_SHM_LOCK_BASE && at < OP_SHM_LOCK_BASE + 3 &&
	    end == at + 1)
		buf_printf(&n->line, "%s", shm[at - OP_SHM_LOCK_BASE]);
	else if ((op->flags & OP_LOCK_SHM) != 0 && at < OP_SHM_LOCK_BASE + 8)
		buf_printf(&n->line, "readers of the log");
	else if ((op->flags & OP_LOCK_SHM) != 0)
		buf_printf(&n->line, "the WAL index");
	else if (at == OP_PENDING_BYTE && end == at + 1)
		buf_printf(&n->line, "PENDING");
	else if (at == OP_RESERVED_BYTE && end == at + 1)
		buf_printf(&n->line, "RESERVED");
	else if (at == OP_SHARED_FIRST && end == at + OP_SHARED_SIZE)
		buf_printf(&n->line, "SHARED");
	else
		buf_printf(&n->line, "%s",
			   at <= OP_PENDING_BYTE && end > OP_SHARED_FIRST ? "all" : "bytes");
}

void names_note_words(struct op_names *n, const struct op *op, const char *what)
{
	size_t size = op->size < STORY_TEXT_MAX ? (size_t)op->size : STORY_TEXT_MAX;

	buf_printf(&n->line, "%s: ", what);
	clean_append(&n->line, op->data, size, STORY_TEXT_MAX / 4);
}

void names_unsynced_add(struct names_unsynced *u, uint32_t name)
{
	for (size_t i = 0; i < u->count; i++)
		if (u->names[i] == name)
			return;
	if (u->count == UNSYNCED_MAX)
		return;
	u->names = xgrow(u->names, u->count, &u->cap, sizeof *u->names);
	u->names[u->count++] = name;
}

void names_unsynced_drop(struct op_names *n, struct names_unsynced *u, uint32_t directory,
			 uint64_t begin)
{
	size_t kept = 0;

	for (size_t i = 0; i < u->count; i++)
		if (n->paths[u->names[i]].directory != directory ||
		    n->paths[u->names[i]].changed >= begin)
			u->names[kept++] = u->names[i];
	u->count = kept;
}
