/*
 * See lint.h. One pass over the trace. Every inode that bears the name of a database, its
 * "-journal" or its "-wal" has a role; an inode that loses its name keeps the role, as somebody may
 * have it open, but the database then has another journal or none.
 */
#include "harness/lint/lint_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char database_magic[16] = "SQLite format 3";

static const struct {
	const char *id;
	bool is_order;
} rules[] = {
#define X(name, id, order) {id, order},
    LINT_RULES(X)
#undef X
};

const char *lint_rule_id(enum lint_rule rule)
{
	return rules[rule].id;
}

/* ---- findings ---- */

struct lint_finding *lint_report(struct scan *s, enum lint_rule rule, const struct database *d,
				 uint64_t pending)
{
	struct lint *l = s->ret;
	const char *path = s->t->names[d->name];
	struct lint_finding *f;

	if (rules[rule].is_order && (s->t->device.characteristics & DEVICE_SEQUENTIAL) != 0)
		return NULL;
	for (size_t i = 0; i < l->count; i++) {
		f = &l->findings[i];
		if (f->rule != rule || f->database != path)
			continue;
		if (f->last != s->position)
			f->count++;
		f->last = s->position;
		return NULL;
	}
	if (l->count == LINT_FINDINGS_MAX) {
		l->dropped++;
		return NULL;
	}
	l->findings = xgrow(l->findings, l->count, &l->cap, sizeof *l->findings);
	f = &l->findings[l->count++];
	*f = (struct lint_finding){
	    .rule = rule,
	    .id = rules[rule].id,
	    .database = path,
	    .early = s->position,
	    .pending = pending,
	    .last = s->position,
	    .count = 1,
	};
	return f;
}

void lint_incomplete(struct scan *s, const char *why)
{
	s->ret->incomplete = why;
}

const char *lint_show_name(const struct scan *s, uint32_t name, char *buf)
{
	const char *path = s->t->names[name], *slash = strrchr(path, '/');
	const char *base = slash == NULL || slash[1] == 0 ? path : slash + 1;
	size_t size = strlen(base);

	/* The suffix says what it is, so the end is what is kept. */
	if (size >= SHOWN_NAME_SIZE)
		base += size - (SHOWN_NAME_SIZE - 1);
	snprintf(buf, SHOWN_NAME_SIZE, "%s", base);
	for (char *c = buf; *c != 0; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return buf;
}

static void missing(const struct scan *s, const struct syncs *syncs, const char *sync,
		    const char *name, uint64_t from, const char *what, const char *then, char *buf)
{
	int n = snprintf(buf, SHOWN_TEXT_SIZE,
			 "there is no %s %s between %s (op %" PRIu64 ") and %s (op %" PRIu64 ")",
			 sync, name, what, from, then, s->position);

	if (n > 0 && n < SHOWN_TEXT_SIZE && syncs != NULL && syncs->begun > from)
		snprintf(buf + n, SHOWN_TEXT_SIZE - (size_t)n,
			 "; the one that began at op %" PRIu64 " had not ended", syncs->begun);
}

const char *lint_missing_sync(const struct scan *s, uint32_t inode, uint32_t name, uint64_t from,
			      const char *what, const char *then, char *buf)
{
	char shown[SHOWN_NAME_SIZE];

	missing(s, &s->files[inode].syncs, "sync of", lint_show_name(s, name, shown), from, what,
		then, buf);
	return buf;
}

const char *lint_missing_dirsync(const struct scan *s, uint32_t name, uint64_t from,
				 const char *what, const char *then, char *buf)
{
	uint32_t directory = s->paths[name].directory;
	char shown[SHOWN_NAME_SIZE];

	missing(s, directory == 0 ? NULL : &s->directories[directory], "directory sync for",
		lint_show_name(s, name, shown), from, what, then, buf);
	return buf;
}

bool lint_is_name_durable(const struct scan *s, uint32_t name)
{
	const struct path *p = &s->paths[name];
	static const struct syncs never = {0, 0};

	return is_durable(p->directory == 0 ? &never : &s->directories[p->directory], p->changed);
}

bool lint_is_ack_of(const struct actor *acker, const struct actor *actor)
{
	return acker->process == actor->process && acker->connection == actor->connection &&
	       (acker->connection != 0 || acker->thread == actor->thread);
}

const char *lint_end_noun(const char *word)
{
	static const char *const nouns[][2] = {
	    {"deleted", "deletion"},	 {"renamed", "renaming"},  {"replaced", "replacement"},
	    {"truncated", "truncation"}, {"restarted", "restart"},
	};

	for (size_t i = 0; i < sizeof nouns / sizeof nouns[0]; i++)
		if (strcmp(word, nouns[i][0]) == 0)
			return nouns[i][1];
	ASSERT(strcmp(word, "zeroed") == 0);
	return "end";
}

const char *lint_promise_verb(const struct scan *s)
{
	switch ((enum op_kind)trace_at(s->t, s->position)->kind) {
	case OP_ACK:
		return "was acknowledged";
	case OP_OUTPUT:
		return "was over, and output followed";
	case OP_UNLOCK:
		return "was over, and its lock was released";
	default: /* a lock, or a write where locks are kept: of the connection's next one */
		return "was over, and the next transaction began";
	}
}

const char *lint_promise_noun(const struct scan *s)
{
	switch ((enum op_kind)trace_at(s->t, s->position)->kind) {
	case OP_ACK:
		return "the acknowledgement";
	case OP_OUTPUT:
		return "the output";
	case OP_UNLOCK:
		return "the release of the lock";
	default:
		return "the next transaction";
	}
}

/* ---- databases ---- */

/* Returns the index, or SIZE_MAX when there are too many. */
static size_t add_database(struct scan *s, uint32_t name)
{
	struct database *d;

	if (s->paths[name].role == FILE_DATABASE)
		return s->paths[name].database;
	if (s->database_count == LINT_DATABASES_MAX) {
		lint_incomplete(s, "more database files than are looked at");
		return SIZE_MAX;
	}
	d = xcalloc(1, sizeof *d);
	d->name = name;
	s->databases =
	    xgrow(s->databases, s->database_count, &s->database_cap, sizeof *s->databases);
	s->databases[s->database_count] = d;
	s->paths[name].role = FILE_DATABASE;
	s->paths[name].database = (uint32_t)s->database_count;
	return s->database_count++;
}

/* If `name` ends with `suffix` and the rest is a name, the rest is a database. */
static void find_companion(struct scan *s, uint32_t name, const char *suffix, enum file_role role)
{
	const char *path = s->t->names[name];
	size_t size = strlen(path), end = strlen(suffix), index;
	char base[TRACE_NAME_MAX + 1];
	uint32_t found;

	if (size <= end || size > TRACE_NAME_MAX || strcmp(path + size - end, suffix) != 0)
		return;
	memcpy(base, path, size - end);
	base[size - end] = 0;
	found = trace_find_name(s->t, base);
	if (found == 0 || s->paths[found].role == FILE_JOURNAL || s->paths[found].role == FILE_WAL)
		return;
	index = add_database(s, found);
	if (index == SIZE_MAX)
		return;
	s->paths[name].role = (uint8_t)role;
	s->paths[name].database = (uint32_t)index;
}

static void find_names(struct scan *s)
{
	char directory[TRACE_NAME_MAX + 1];

	for (uint32_t n = 1; n <= s->t->name_count; n++) {
		trace_dirname(s->t->names[n], directory, sizeof directory);
		s->paths[n].directory = trace_find_name(s->t, directory);
		find_companion(s, n, "-journal", FILE_JOURNAL);
		find_companion(s, n, "-wal", FILE_WAL);
	}
}

/* Whose part something with this role is; NULL for FILE_OTHER. */
static struct database *database_of(const struct scan *s, uint8_t role, uint32_t index)
{
	if (role == FILE_OTHER)
		return NULL;
	ASSERT(s->databases != NULL && index < s->database_count);
	return s->databases[index];
}

/* ---- names ---- */

/* A name is given to an inode; content only from the base. */
static void name_given(struct scan *s, uint32_t name, uint32_t inode, const uint8_t *base,
		       uint64_t size)
{
	struct path *p = &s->paths[name];
	struct file *f = &s->files[inode];
	struct database *d;

	p->inode = inode;
	p->changed = s->position;
	f->name = name;
	f->role = p->role;
	f->database = p->database;
	d = database_of(s, p->role, p->database);
	if (d == NULL)
		return;
	if (p->role == FILE_JOURNAL) {
		lint_journal_created(s, d, inode, name, base, size);
	} else if (p->role == FILE_WAL) {
		lint_wal_created(s, d, inode, name, base, size);
	} else {
		d->inode = inode;
		d->checkpointed = d->unlogged = 0;
	}
}

/* A name is taken away, or is about to name something else. */
static void name_taken(struct scan *s, uint32_t name, const char *word)
{
	struct path *p = &s->paths[name];
	struct database *d = database_of(s, p->role, p->database);

	lint_super_unnamed(s, name);
	p->changed = s->position;
	if (p->inode == 0)
		return;
	p->inode = 0;
	if (d == NULL)
		return;
	if (p->role == FILE_JOURNAL)
		lint_journal_unnamed(s, d, word);
	else if (p->role == FILE_WAL)
		lint_wal_unnamed(s, d, word);
	else
		d->inode = 0;
}

static void renamed(struct scan *s, const struct op *op)
{
	uint32_t inode = s->paths[op->name].inode;

	if (op->name == op->name2 || inode == 0)
		return;
	if (s->paths[op->name2].inode != 0)
		name_taken(s, op->name2, "replaced");
	name_taken(s, op->name, "renamed");
	name_given(s, op->name2, inode, NULL, 0);
}

/* ---- content ---- */

/* A file that begins as a database is one, whatever it is called. */
static void look_at_content(struct scan *s, uint32_t inode, const uint8_t *data, uint64_t size)
{
	struct file *f = &s->files[inode];
	struct database *d;
	size_t index;

	if (size < sizeof database_magic ||
	    memcmp(data, database_magic, sizeof database_magic) != 0)
		return;
	if (f->role == FILE_OTHER && f->name != 0) {
		index = add_database(s, f->name);
		if (index == SIZE_MAX)
			return;
		f->role = FILE_DATABASE;
		f->database = (uint32_t)index;
	}
	d = database_of(s, f->role, f->database);
	if (d == NULL || f->role != FILE_DATABASE)
		return;
	d->is_sqlite = true;
	if (d->inode == 0 && s->paths[d->name].inode == inode)
		d->inode = inode;
}

static void database_written(struct scan *s, struct database *d, const struct op *op)
{
	struct file *f = &s->files[op->inode];
	char shown[SHOWN_NAME_SIZE];
	struct lint_finding *finding;

	if (d->journal.is_open) {
		lint_journal_page(s, d, op);
		return;
	}
	lint_journal_passed(s, d);
	if (lint_wal_page(s, d, op) || !d->is_sqlite)
		return;
	d->unlogged = s->position;
	d->unlogged_by = s->actor;
	if (op->offset >= f->size || (s->t->device.characteristics & DEVICE_ATOMIC_ANY) != 0)
		return;
	finding = lint_report(s, LINT_PAGE_WITHOUT_LOG, d, s->position);
	if (finding != NULL)
		snprintf(finding->message, sizeof finding->message,
			 "%" PRIu64 " bytes at offset %" PRIu64
			 " of %s were overwritten (op %" PRIu64
			 ") while there was no journal or log from which they could be restored",
			 op->size, op->offset, lint_show_name(s, d->name, shown), s->position);
}

static void unlogged_ack(struct scan *s, struct database *d)
{
	char shown[SHOWN_NAME_SIZE], text[SHOWN_TEXT_SIZE];
	uint64_t at = d->unlogged;
	struct lint_finding *finding;

	if (at == 0 || !lint_is_promised(s, &d->unlogged_by))
		return;
	d->unlogged = 0;
	if (d->inode == 0 || is_durable(&s->files[d->inode].syncs, at))
		return;
	finding = lint_report(s, LINT_DATABASE_BEFORE_ACK, d, at);
	if (finding != NULL)
		snprintf(finding->message, sizeof finding->message,
			 "a commit %s (op %" PRIu64 ") before its pages in %s, which no "
			 "log holds, were synced: %s",
			 lint_promise_verb(s), s->position, lint_show_name(s, d->name, shown),
			 lint_missing_sync(s, d->inode, d->name, at, "the last of them",
					   lint_promise_noun(s), text));
}

static void written(struct scan *s, const struct op *op)
{
	struct file *f = &s->files[op->inode];
	struct database *d;

	if (op->size == 0)
		return;
	if (op->offset == 0)
		look_at_content(s, op->inode, op->data, op->size);
	d = database_of(s, f->role, f->database);
	if (d != NULL && d->inode == op->inode)
		database_written(s, d, op);
	else if (d != NULL && d->journal.inode == op->inode)
		lint_journal_written(s, d, op->offset, op->data, op->size);
	else if (d != NULL && d->wal.inode == op->inode)
		lint_wal_written(s, d, op->offset, op->data, op->size);
	if (op->offset + op->size > f->size)
		f->size = op->offset + op->size;
	f->last_write = s->position;
}

static void truncated(struct scan *s, const struct op *op)
{
	struct file *f = &s->files[op->inode];
	struct database *d = database_of(s, f->role, f->database);

	if (d != NULL && d->inode == op->inode && op->size < f->size)
		lint_journal_cut(s, d);
	else if (d != NULL && d->journal.inode == op->inode)
		lint_journal_truncated(s, d, op->size);
	else if (d != NULL && d->wal.inode == op->inode)
		lint_wal_truncated(s, d, op->size);
	f->size = op->size;
	f->last_write = s->position;
}

/* ---- the pass ---- */

/* Somebody relies on what this one committed, from the operation in hand on. */
static void promised(struct scan *s, struct actor acker)
{
	s->acker = acker;
	for (size_t i = 0; i < s->database_count; i++) {
		lint_journal_ack(s, s->databases[i]);
		lint_wal_ack(s, s->databases[i]);
		unlogged_ack(s, s->databases[i]);
	}
}

/* One that failed orders nothing, and is passed over as if it were not there. */
static void sync_ended(struct syncs *syncs, const struct op *op)
{
	if (op_is_sync(op) && syncs->durable < op->offset)
		syncs->durable = op->offset;
	if (!op_is_sync(op) && syncs->begun == op->offset)
		syncs->begun = 0;
}

static void step(struct scan *s, const struct op *op)
{
	s->actor = (struct actor){op->process, op->thread, op->connection};
	switch ((enum op_kind)op->kind) {
	case OP_CREATE:
		if (s->paths[op->name].inode != 0)
			name_taken(s, op->name, "replaced");
		name_given(s, op->name, op->inode, NULL, 0);
		break;
	case OP_WRITE:
		written(s, op);
		break;
	case OP_TRUNCATE:
		truncated(s, op);
		break;
	case OP_SYNC_BEGIN:
		s->files[op->inode].syncs.begun = s->position;
		break;
	case OP_SYNC_END:
		sync_ended(&s->files[op->inode].syncs, op);
		break;
	case OP_DIRSYNC_BEGIN:
		s->directories[op->name].begun = s->position;
		break;
	case OP_DIRSYNC_END:
		sync_ended(&s->directories[op->name], op);
		break;
	case OP_RENAME:
		renamed(s, op);
		break;
	case OP_UNLINK:
		name_taken(s, op->name, "deleted");
		break;
	case OP_LINK:
		if (s->paths[op->name2].inode != 0)
			name_taken(s, op->name2, "replaced");
		name_given(s, op->name2, op->inode, NULL, 0);
		break;
	case OP_ACK:
		if (s->own_acks)
			promised(s, s->actor);
		break;
	case OP_LOCK:
	case OP_UNLOCK:
	case OP_MARK:
	case OP_OUTPUT:
	case OP_HOLE: /* what is missing cannot be found missing; the gate refuses to grade */
		break;
	}
}

static void read_base(struct scan *s)
{
	const struct trace *t = s->t;

	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *b = &t->base[i];

		if (s->files[b->inode].name == 0)
			s->files[b->inode].size = b->size;
		name_given(s, b->name, b->inode, b->data, b->data == NULL ? 0 : b->size);
		look_at_content(s, b->inode, b->data, b->data == NULL ? 0 : b->size);
	}
}

static int compare_findings(const void *a, const void *b)
{
	const struct lint_finding *x = a, *y = b;

	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	if (x->early != y->early)
		return x->early < y->early ? -1 : 1;
	return strcmp(x->database, y->database);
}

void lint_trace(const struct trace *t, const struct lint_ack *acks, size_t ack_count,
		struct lint *ret)
{
	size_t told = 0;
	struct scan s = {
	    .t = t,
	    .ret = ret,
	    .own_acks = acks == NULL,
	    .files = xcalloc((size_t)t->inode_count + 1, sizeof *s.files),
	    .paths = xcalloc((size_t)t->name_count + 1, sizeof *s.paths),
	    .directories = xcalloc((size_t)t->name_count + 1, sizeof *s.directories),
	};

	*ret = (struct lint){0};
	find_names(&s);
	read_base(&s);
	for (s.position = 1; s.position <= t->op_count; s.position++) {
		/* Before it, because it may be the first write of the next transaction. */
		for (; acks != NULL && told < ack_count && acks[told].position <= s.position;
		     told++)
			promised(&s, (struct actor){acks[told].process, acks[told].thread,
						    acks[told].connection});
		step(&s, trace_at(t, s.position));
	}
	if (ret->count > 0)
		qsort(ret->findings, ret->count, sizeof *ret->findings, compare_findings);
	for (size_t i = 0; i < s.database_count; i++) {
		lint_journal_release(&s.databases[i]->journal);
		lint_wal_release(&s.databases[i]->wal);
		free(s.databases[i]);
	}
	free(s.databases);
	free(s.directories);
	free(s.paths);
	free(s.files);
}

void lint_release(struct lint *l)
{
	free(l->findings);
	*l = (struct lint){0};
}
