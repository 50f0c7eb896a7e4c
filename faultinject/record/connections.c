/*
 * See connections.h. Three passes: which inode is which file of which database; the write periods
 * of each; the numbers.
 */
#include "faultinject/record/connections.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { SUPER_SUFFIX_SIZE = 12 }; /* "-mj" and nine digits */

enum part {
	PART_NONE,
	PART_DATABASE,
	PART_JOURNAL,
	PART_WAL,
};

/* What an inode is. An inode keeps what it was called last. */
struct place {
	uint8_t part;
	uint32_t database; /* name of the trace; 0 = none */
};

/* From a write lock to its release. */
struct period {
	uint16_t process, thread; /* the thread of the release, or of the lock until then */
	uint32_t database;
	uint64_t begin, end;
	uint64_t last_write; /* position; 0 = none */
	bool ended;	     /* the lock was released */
	bool kept;	     /* not by SQLite: the file was closed, or the process ended */
	uint16_t connection; /* 0 = that of its file */
};

struct scan {
	struct trace *t;
	struct place *names;  /* [name] */
	struct place *inodes; /* [inode] */
	uint32_t *inode_of;   /* [name] */
	struct period *periods;
	size_t count, cap;
	size_t *open; /* index + 1 of the last period of each database's name */
};

/* ---- files ---- */

static uint32_t strip(const struct trace *t, const char *name, const char *suffix)
{
	size_t size = strlen(name), n = strlen(suffix);
	uint32_t found = 0;

	if (size > n && strcmp(name + size - n, suffix) == 0) {
		char *stem = xasprintf("%.*s", (int)(size - n), name);
		found = trace_find_name(t, stem);
		free(stem);
	}
	return found;
}

static void name_parts(struct scan *s)
{
	for (uint32_t n = 1; n <= s->t->name_count; n++) {
		uint32_t journal = strip(s->t, s->t->names[n], "-journal");
		uint32_t wal = strip(s->t, s->t->names[n], "-wal");

		if (journal != 0)
			s->names[n] = (struct place){PART_JOURNAL, journal};
		else if (wal != 0)
			s->names[n] = (struct place){PART_WAL, wal};
		else
			s->names[n] = (struct place){PART_DATABASE, n};
	}
}

static void denotes(struct scan *s, uint32_t name, uint32_t inode)
{
	s->inode_of[name] = inode;
	if (inode != 0)
		s->inodes[inode] = s->names[name];
}

static void follow_name(struct scan *s, const struct op *op)
{
	switch (op->kind) {
	case OP_CREATE:
		denotes(s, op->name, op->inode);
		break;
	case OP_LINK:
		denotes(s, op->name2, op->inode);
		break;
	case OP_RENAME:
		denotes(s, op->name2, s->inode_of[op->name]);
		s->inode_of[op->name] = 0;
		break;
	case OP_UNLINK:
		s->inode_of[op->name] = 0;
		break;
	default:
		break;
	}
}

static void base_names(struct scan *s)
{
	for (size_t i = 0; i < s->t->base_count; i++)
		denotes(s, s->t->base[i].name, s->t->base[i].inode);
}

/* ---- periods ---- */

static bool covers(const struct op *op, uint64_t byte)
{
	return op->offset <= byte && (op->size == 0 || byte - op->offset < op->size);
}

/* Is the operation about a lock that makes its holder a writer? */
static bool is_write_lock(const struct op *op)
{
	if ((op->flags & OP_LOCK_SHARED) != 0)
		return false;
	if ((op->flags & OP_LOCK_SHM) != 0)
		return covers(op, OP_WAL_WRITE_BYTE);
	return covers(op, OP_RESERVED_BYTE);
}

static struct period *open_period(const struct scan *s, uint32_t database, uint16_t process)
{
	struct period *p = s->open[database] == 0 ? NULL : &s->periods[s->open[database] - 1];

	return p != NULL && !p->ended && p->process == process ? p : NULL;
}

static void on_lock(struct scan *s, const struct op *op, uint64_t position)
{
	uint32_t database = s->inodes[op->inode].database;
	struct period *p = open_period(s, database, op->process);

	if (op->kind == OP_UNLOCK) {
		if (p != NULL) {
			p->end = position;
			p->thread = op->thread;
			p->ended = true;
			p->kept = (op->flags & OP_LOCK_GONE) != 0;
		}
		return;
	}
	if (p != NULL)
		return;
	s->periods = xgrow(s->periods, s->count, &s->cap, sizeof *s->periods);
	s->periods[s->count++] = (struct period){.process = op->process,
						 .thread = op->thread,
						 .database = database,
						 .begin = position,
						 .end = s->t->op_count};
	s->open[database] = s->count;
}

/* Zeros over a journal's header end it (PERSIST); they are the release's, not the transaction's. */
static bool ends_journal(const struct op *op)
{
	static const uint8_t zeros[8];

	return op->offset == 0 && op->size >= sizeof zeros &&
	       memcmp(op->data, zeros, sizeof zeros) == 0;
}

static void on_write(struct scan *s, const struct op *op, uint64_t position)
{
	const struct place *place = &s->inodes[op->inode];
	struct period *p = open_period(s, place->database, op->process);

	if (p != NULL && !(place->part == PART_JOURNAL && ends_journal(op)))
		p->last_write = position;
}

static void find_periods(struct scan *s)
{
	for (size_t i = 0; i < s->t->op_count; i++) {
		const struct op *op = &s->t->ops[i];

		follow_name(s, op);
		if ((op->kind == OP_LOCK || op->kind == OP_UNLOCK) && is_write_lock(op))
			on_lock(s, op, i + 1);
		else if (op->kind == OP_WRITE)
			on_write(s, op, i + 1);
	}
}

/* ---- numbers ---- */

static bool overlap(const struct period *a, const struct period *b)
{
	return a->begin < b->end && b->begin < a->end;
}

/* Was a super-journal of one of the two databases made while both were held? Its name is DATABASE,
 * "-mj" and nine hexadecimal digits: https://www.sqlite.org/src/file/src/vdbeaux.c, vdbeCommit().
 */
static bool has_super_journal(const struct trace *t, const struct period *a, const struct period *b)
{
	uint64_t from = a->begin > b->begin ? a->begin : b->begin;
	uint64_t to = a->end < b->end ? a->end : b->end;

	for (uint64_t i = from; i <= to; i++) {
		const struct op *op = trace_at(t, i);
		const char *name, *stem;
		size_t size;

		if (op->kind != OP_CREATE || op->process != a->process)
			continue;
		name = t->names[op->name];
		size = strlen(name);
		if (size <= SUPER_SUFFIX_SIZE ||
		    strncmp(name + size - SUPER_SUFFIX_SIZE, "-mj", 3) != 0)
			continue;
		size -= SUPER_SUFFIX_SIZE;
		for (int k = 0; k < 2; k++) {
			stem = t->names[k == 0 ? a->database : b->database];
			if (strlen(stem) == size && memcmp(stem, name, size) == 0)
				return true;
		}
	}
	return false;
}

/* Were they committed together? */
static bool are_one(const struct trace *t, const struct period *a, const struct period *b)
{
	uint64_t first_release = a->end < b->end ? a->end : b->end;

	if (a->process != b->process || a->database == b->database || !overlap(a, b))
		return false;
	if (!a->ended || !b->ended || a->kept || b->kept)
		return a->thread == b->thread && has_super_journal(t, a, b);
	return a->thread == b->thread && a->last_write < first_release &&
	       b->last_write < first_release && a->last_write != 0 && b->last_write != 0;
}

static uint16_t own_number(uint32_t database)
{
	return (uint16_t)(1 + database % (UINT16_MAX - 1));
}

static uint16_t number_of(const struct period *p)
{
	return p->connection != 0 ? p->connection : own_number(p->database);
}

/* Periods are in order of their begins, so what overlaps with one stands before its end. */
static void join(struct scan *s)
{
	for (size_t i = 0; i < s->count; i++)
		for (size_t k = i + 1; k < s->count && s->periods[k].begin < s->periods[i].end; k++)
			if (are_one(s->t, &s->periods[i], &s->periods[k]))
				s->periods[k].connection = number_of(&s->periods[i]);
}

/* The same walk again, with the numbers: periods come in the order in which they were found. */
static void number(struct scan *s)
{
	size_t *at = xcalloc((size_t)s->t->name_count + 1, sizeof *at); /* current, by database */
	size_t next = 0;

	for (size_t i = 0; i < s->t->op_count; i++) {
		struct op *op = &s->t->ops[i];
		uint32_t database =
		    op->inode != 0 ? s->inodes[op->inode].database : s->names[op->name].database;

		follow_name(s, op);
		while (next < s->count && s->periods[next].begin <= i + 1) {
			at[s->periods[next].database] = next + 1;
			next++;
		}
		if (op->process == 0 || op->kind == OP_ACK || op->kind == OP_MARK ||
		    op->kind == OP_OUTPUT || op->kind == OP_HOLE)
			continue;
		if (op->inode != 0) /* a create has just made it known */
			database = s->inodes[op->inode].database;
		const struct period *p = at[database] == 0 ? NULL : &s->periods[at[database] - 1];

		if (p != NULL && p->process == op->process && i + 1 <= p->end)
			op->connection = number_of(p);
		else
			op->connection = own_number(database);
	}
	free(at);
}

void connections_assign(struct trace *t)
{
	struct scan s = {.t = t};

	s.names = xcalloc((size_t)t->name_count + 1, sizeof *s.names);
	s.inode_of = xcalloc((size_t)t->name_count + 1, sizeof *s.inode_of);
	s.open = xcalloc((size_t)t->name_count + 1, sizeof *s.open);
	s.inodes = xcalloc((size_t)t->inode_count + 1, sizeof *s.inodes);
	name_parts(&s);
	base_names(&s);
	find_periods(&s);
	join(&s);
	memset(s.inodes, 0, ((size_t)t->inode_count + 1) * sizeof *s.inodes);
	memset(s.inode_of, 0, ((size_t)t->name_count + 1) * sizeof *s.inode_of);
	base_names(&s);
	number(&s);
	free(s.periods);
	free(s.open);
	free(s.inodes);
	free(s.inode_of);
	free(s.names);
}
