/*
 * See name_op.h. First it is found out which names are databases, journals and logs, so that their
 * bytes can be followed from the start. Then one pass follows them and names what is asked for; it
 * goes on behind the last one until nothing waits for a boundary any more.
 */
#include "harness/explain/name_op_internal.h"

#include "faultinject/base/assert.h"
#include "harness/explain/clean.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of frames whose checksums are checked, together. */
#define CHECKED_MAX ((uint64_t)1 << 33)

void names_incomplete(struct op_names *n, const char *why)
{
	n->incomplete = why;
}

void names_take(struct op_names *n, uint64_t position)
{
	if (position >= n->first && position <= n->last && n->line.size > 0) {
		n->at[position - n->first] = n->text.size + 1;
		buf_append(&n->text, n->line.data, n->line.size);
		buf_put_u8(&n->text, 0);
	}
	buf_clear(&n->line);
}

/* ---- names come and go ---- */

static struct name_database *database_of(const struct op_names *n, uint32_t name)
{
	enum name_role role = (enum name_role)n->paths[name].role;

	return role == NAME_DATABASE || role == NAME_JOURNAL || role == NAME_LOG
		   ? n->databases[n->paths[name].database]
		   : NULL;
}

static void name_given(struct op_names *n, uint32_t name, uint32_t inode)
{
	struct name_path *p = &n->paths[name];
	struct name_file *f = &n->files[inode];
	struct name_database *d = database_of(n, name);

	p->inode = inode;
	p->changed = n->position;
	if (f->name == 0)
		f->name = name;
	f->now = name;
	if (d == NULL)
		return;
	f->followed = true;
	if (p->role == NAME_DATABASE) {
		d->inode = inode;
		d->changed = true;
		if (d->pages != NULL)
			pages_changed(d->pages, 0);
	} else if (p->role == NAME_JOURNAL) {
		journal_ended(d);
	} else {
		log_cleared(d);
		d->log.inode = inode;
		log_read_base(n, d, &f->content);
	}
}

static void name_taken(struct op_names *n, uint32_t name)
{
	struct name_path *p = &n->paths[name];
	struct name_database *d = database_of(n, name);

	p->changed = n->position;
	if (p->inode == 0)
		return;
	p->inode = 0;
	if (d == NULL)
		return;
	if (p->role == NAME_DATABASE) {
		database_boundary(n, d);
		d->inode = 0;
		d->changed = true;
	} else if (p->role == NAME_JOURNAL) {
		journal_ended(d);
		database_boundary(n, d);
	} else {
		log_cleared(d);
		d->log.inode = 0;
		database_boundary(n, d);
	}
}

static void renamed(struct op_names *n, const struct op *op)
{
	uint32_t inode = n->paths[op->name].inode;

	if (op->name == op->name2)
		return;
	name_taken(n, op->name2);
	name_taken(n, op->name);
	if (inode != 0)
		name_given(n, op->name2, inode);
}

static void read_base(struct op_names *n)
{
	const struct trace *t = n->t;

	/* Content first: a log is read when its name is given. */
	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *b = &t->base[i];

		if (b->data != NULL && n->paths[b->name].role != NAME_OTHER &&
		    !content_write(&n->files[b->inode].content, 0, b->data, b->size,
				   &n->content_left))
			names_incomplete(n, "more bytes of files than are looked at");
	}
	for (size_t i = 0; i < t->base_count; i++)
		name_given(n, t->base[i].name, t->base[i].inode);
}

/* ---- operations that change bytes ---- */

/* Whose part an inode is, by the name that it has now; NULL when that is none. */
static struct name_database *part_of(const struct op_names *n, uint32_t inode,
				     enum name_role *ret_role)
{
	uint32_t name = n->files[inode].now;

	*ret_role = NAME_OTHER;
	if (name == 0 || n->paths[name].inode != inode)
		return NULL;
	*ret_role = (enum name_role)n->paths[name].role;
	return database_of(n, name);
}

static void keep(struct op_names *n, const struct op *op)
{
	struct name_file *f = &n->files[op->inode];

	if (f->followed &&
	    !content_write(&f->content, op->offset, op->data, op->size, &n->content_left))
		names_incomplete(n, "more bytes of files than are looked at");
}

static void written(struct op_names *n, const struct op *op)
{
	enum name_role role;
	struct name_database *d = part_of(n, op->inode, &role);

	if (d != NULL)
		database_first_walk(n, d);
	keep(n, op);
	if (d == NULL || role == NAME_OTHER) {
		if (role == NAME_SUPER_JOURNAL)
			super_journal_written(n, op);
		else
			names_plain(n, op);
		names_take(n, n->position);
	} else if (role == NAME_DATABASE) {
		database_written(n, d, op);
		database_dirty(d, op->offset, op->size);
	} else if (role == NAME_JOURNAL) {
		bool ended = journal_written(n, d, op);

		names_take(n, n->position);
		if (ended) {
			journal_ended(d);
			database_boundary(n, d);
		}
	} else if (log_written(n, d, &n->files[op->inode].content, op)) {
		database_boundary(n, d);
	}
}

static void truncated(struct op_names *n, const struct op *op)
{
	enum name_role role;
	struct name_database *d = part_of(n, op->inode, &role);
	struct name_file *f = &n->files[op->inode];
	uint64_t before = f->content.size;

	if (d != NULL)
		database_first_walk(n, d);
	if (f->followed)
		content_truncate(&f->content, op->size, &n->content_left);
	if (d != NULL && role == NAME_DATABASE) {
		database_truncated(n, d, op, before);
		d->changed = true;
		if (op->size < before)
			database_dirty(d, op->size, before - op->size);
	} else {
		buf_printf(&n->line, "truncated to %" PRIu64 " bytes", op->size);
	}
	if (d != NULL && role == NAME_JOURNAL && op->size < JOURNAL_HEADER_SIZE) {
		buf_printf(&n->line, "%s", d->journal.open ? ": the journal has ended" : "");
		names_take(n, n->position);
		journal_ended(d);
		database_boundary(n, d);
	}
	if (d != NULL && role == NAME_LOG && (op->size < WAL_HEADER_SIZE || op->size < before)) {
		log_cleared(d);
		log_read_base(n, d, &f->content);
	}
	names_take(n, n->position);
}

/* Where neither a journal nor a log is in use, this may be the end of a transaction. */
static void perhaps_boundary(struct op_names *n, struct name_database *d)
{
	if (d->inode != 0 && !d->journal.open && d->log.committed == 0)
		database_boundary(n, d);
}

/* ---- the pass ---- */

/* The log's writer lets go: whatever it wrote and did not commit is rolled back. */
static void unlocked(struct op_names *n, struct name_database *d, const struct op *op)
{
	bool is_writer = (op->flags & OP_LOCK_SHM) != 0 && op->offset <= OP_WAL_WRITE_BYTE &&
			 (op->size == 0 || op->offset + op->size > OP_WAL_WRITE_BYTE);

	if (is_writer && d->inode != 0 && d->log.valid)
		database_boundary(n, d);
	else
		perhaps_boundary(n, d);
}

static void name_words(struct op_names *n, const char *verb, uint32_t name, uint32_t name2)
{
	buf_printf(&n->line, "%s ", verb);
	names_show(n, name);
	if (name2 != 0) {
		buf_printf(&n->line, " to ");
		names_show(n, name2);
	}
	names_take(n, n->position);
}

static void step(struct op_names *n, struct names_unsynced *u, const struct op *op)
{
	enum name_role role;
	struct name_database *d;

	switch ((enum op_kind)op->kind) {
	case OP_CREATE:
		name_words(n, "creates", op->name, 0);
		name_taken(n, op->name);
		name_given(n, op->name, op->inode);
		names_unsynced_add(u, op->name);
		break;
	case OP_LINK:
		name_words(n, "links", n->files[op->inode].now, op->name2);
		name_taken(n, op->name2);
		name_given(n, op->name2, op->inode);
		names_unsynced_add(u, op->name2);
		break;
	case OP_RENAME:
		name_words(n, "renames", op->name, op->name2);
		renamed(n, op);
		names_unsynced_add(u, op->name);
		names_unsynced_add(u, op->name2);
		break;
	case OP_UNLINK:
		name_words(n, "deletes", op->name, 0);
		name_taken(n, op->name);
		names_unsynced_add(u, op->name);
		break;
	case OP_WRITE:
		written(n, op);
		break;
	case OP_TRUNCATE:
		truncated(n, op);
		break;
	case OP_SYNC_BEGIN:
		names_sync_words(n, op);
		buf_printf(&n->line, " begins");
		break;
	case OP_SYNC_END:
		names_sync_words(n, op);
		buf_printf(&n->line, op_is_sync(op) ? "" : " fails");
		d = part_of(n, op->inode, &role);
		names_take(n, n->position);
		if (d != NULL && role == NAME_DATABASE)
			perhaps_boundary(n, d);
		break;
	case OP_DIRSYNC_BEGIN:
		names_directory_words(n, op->name, u);
		buf_printf(&n->line, " begins");
		break;
	case OP_DIRSYNC_END:
		names_directory_words(n, op->name, u);
		if (op_is_sync(op))
			names_unsynced_drop(n, u, op->name, op->offset);
		else
			buf_printf(&n->line, " fails");
		break;
	case OP_LOCK:
	case OP_UNLOCK:
		names_lock_words(n, op);
		names_take(n, n->position);
		d = part_of(n, op->inode, &role);
		if (op->kind == OP_UNLOCK && d != NULL && role == NAME_DATABASE)
			unlocked(n, d, op);
		break;
	case OP_ACK:
		buf_printf(&n->line, "acknowledged");
		names_take(n, n->position);
		for (size_t i = 0; i < n->database_count; i++)
			perhaps_boundary(n, n->databases[i]);
		break;
	case OP_MARK:
		names_note_words(n, op, "note");
		break;
	case OP_OUTPUT:
		/* What it says may be anybody's data. */
		buf_printf(&n->line, "output of %" PRIu64 " byte%s", op->size,
			   op->size == 1 ? "" : "s");
		break;
	case OP_HOLE:
		names_note_words(n, op, "operations are missing");
		break;
	}
	names_take(n, n->position);
}

static void pass(struct op_names *n)
{
	struct names_unsynced u = {0};

	read_base(n);
	for (n->position = 1; n->position <= n->t->op_count; n->position++) {
		if (n->position > n->last && n->later_count == 0)
			break;
		step(n, &u, trace_at(n->t, n->position));
	}
	/* The trace ends in the middle of what waits yet. */
	for (size_t i = 0; i < n->database_count; i++)
		if (n->databases[i]->later_count > 0)
			database_boundary(n, n->databases[i]);
	free(u.names);
}

int op_names_create(const struct trace *t, uint64_t first, uint64_t last,
		    struct op_names **ret_names, struct err *err)
{
	struct op_names *n;

	if (first == 0)
		first = 1;
	if (last > t->op_count)
		last = t->op_count;
	if (last >= first && last - first + 1 > OP_NAMES_MAX)
		return err_set(err, ERR_LIMIT, "%" PRIu64 " operations are more than can be named",
			       last - first + 1);
	n = xcalloc(1, sizeof *n);
	n->t = t;
	n->first = first;
	n->last = last;
	n->paths = xcalloc((size_t)t->name_count + 1, sizeof *n->paths);
	n->files = xcalloc((size_t)t->inode_count + 1, sizeof *n->files);
	n->at = xcalloc(last < first ? 1 : (size_t)(last - first + 1), sizeof *n->at);
	n->scratch = xcalloc(1, DATABASE_PAGE_SIZE_MAX);
	n->content_left = OP_NAMES_CONTENT_MAX;
	n->visits_left = OP_NAMES_VISITS_MAX;
	n->checked_left = CHECKED_MAX;
	names_find_roles(n);
	pass(n);
	/* Only the words are needed from here on. */
	for (uint32_t i = 0; i <= t->inode_count; i++)
		content_release(&n->files[i].content);
	*ret_names = n;
	return 0;
}

void op_names_free(struct op_names *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->database_count; i++) {
		struct name_database *d = n->databases[i];

		pages_free(d->pages);
		log_release(&d->log);
		free(d->later);
		free(d);
	}
	for (uint32_t i = 0; i <= n->t->inode_count; i++)
		content_release(&n->files[i].content);
	free(n->databases);
	free(n->paths);
	free(n->files);
	free(n->at);
	free(n->scratch);
	buf_release(&n->line);
	buf_release(&n->text);
	free(n);
}

/* ---- answers ---- */

const char *op_names_words(const struct op_names *n, uint64_t position)
{
	size_t at = position < n->first || position > n->last ? 0 : n->at[position - n->first];

	return at == 0 ? "" : (const char *)n->text.data + (at - 1);
}

const char *op_names_incomplete(const struct op_names *n)
{
	return n->incomplete;
}

enum story_role op_names_role(const struct op_names *n, uint32_t name, uint32_t *ret_database)
{
	const struct name_path *p;
	uint32_t database = 0;
	enum story_role role = STORY_OTHER;

	if (name == 0 || name > n->t->name_count) {
		if (ret_database != NULL)
			*ret_database = 0;
		return role;
	}
	p = &n->paths[name];
	switch ((enum name_role)p->role) {
	case NAME_DATABASE:
		role = STORY_DATABASE;
		break;
	case NAME_JOURNAL:
		role = STORY_JOURNAL;
		break;
	case NAME_LOG:
		role = STORY_LOG;
		break;
	case NAME_SUPER_JOURNAL:
		role = STORY_SUPER_JOURNAL;
		break;
	case NAME_OTHER:
		role = p->is_directory ? STORY_DIRECTORY : STORY_OTHER;
		break;
	}
	if (p->role == NAME_DATABASE || p->role == NAME_JOURNAL || p->role == NAME_LOG)
		database = n->databases[p->database]->name;
	if (ret_database != NULL)
		*ret_database = database;
	return role;
}

uint32_t op_names_target(const struct op_names *n, uint64_t position)
{
	const struct op *op;

	if (position == 0 || position > n->t->op_count)
		return 0;
	op = trace_at(n->t, position);
	switch ((enum op_kind)op->kind) {
	case OP_CREATE:
	case OP_RENAME:
	case OP_UNLINK:
	case OP_DIRSYNC_BEGIN:
	case OP_DIRSYNC_END:
		return op->name;
	case OP_WRITE:
	case OP_TRUNCATE:
	case OP_SYNC_BEGIN:
	case OP_SYNC_END:
	case OP_LINK:
	case OP_LOCK:
	case OP_UNLOCK:
	case OP_HOLE:
		return op->inode == 0 ? 0 : n->files[op->inode].name;
	case OP_ACK:
	case OP_MARK:
	case OP_OUTPUT:
		break;
	}
	return 0;
}
