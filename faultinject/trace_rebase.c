/*
 * See trace_rebase.h. Inodes and names are numbered anew, in the order in which they appear,
 * because a trace wants them so (trace.c).
 */
#include "faultinject/trace_rebase.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/trace_image.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- locks that are held */

struct held {
	struct op op;	   /* the OP_LOCK, its range what is left of it */
	uint64_t position; /* where it was taken */
};

struct locks {
	struct held *items;
	size_t count, cap;
};

static bool same_owner(const struct op *a, const struct op *b)
{
	return a->process == b->process && a->connection == b->connection && a->inode == b->inode &&
	       (a->flags & OP_LOCK_SHM) == (b->flags & OP_LOCK_SHM);
}

static void hold(struct locks *l, struct held h, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	h.op.offset = from;
	h.op.size = to - from;
	l->items = xgrow(l->items, l->count, &l->cap, sizeof *l->items);
	l->items[l->count++] = h;
}

/* Nobody of this owner holds bytes of the range any more; what reaches beyond it stays. */
static void let_go(struct locks *l, const struct op *op)
{
	struct locks left = {0};

	for (size_t i = 0; i < l->count; i++) {
		struct held h = l->items[i];
		uint64_t begin = h.op.offset, end = h.op.offset + h.op.size;

		if (!same_owner(&h.op, op)) {
			hold(&left, h, begin, end);
			continue;
		}
		hold(&left, h, begin, op->offset < end ? op->offset : end);
		hold(&left, h, op->offset + op->size > begin ? op->offset + op->size : begin, end);
	}
	free(l->items);
	*l = left;
}

static void follow(struct locks *l, const struct trace *t, uint64_t position)
{
	const struct op *op = trace_at(t, position);

	if (op->kind != OP_LOCK && op->kind != OP_UNLOCK)
		return;
	let_go(l, op);
	if (op->kind == OP_LOCK)
		hold(l, (struct held){*op, position}, op->offset, op->offset + op->size);
}

static bool excludes(const struct locks *l)
{
	for (size_t i = 0; i < l->count; i++)
		if ((l->items[i].op.flags & OP_LOCK_SHARED) == 0)
			return true;
	return false;
}

void trace_rebase_moments(const struct trace *t, uint64_t last, uint64_t **ret_moments,
			  size_t *ret_count)
{
	uint64_t *moments = NULL;
	size_t count = 0, cap = 0, syncs = 0;
	struct locks locks = {0};
	bool was_free = false;

	for (uint64_t p = 1; p <= last && p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);

		follow(&locks, t, p);
		syncs += op->kind == OP_SYNC_BEGIN || op->kind == OP_DIRSYNC_BEGIN;
		syncs -= op->kind == OP_SYNC_END || op->kind == OP_DIRSYNC_END;
		bool is_free = syncs == 0 && !excludes(&locks);
		/* The last position of a stretch stands for all of it. */
		if (is_free && was_free) {
			moments[count - 1] = p;
		} else if (is_free) {
			moments = xgrow(moments, count, &cap, sizeof *moments);
			moments[count++] = p;
		}
		was_free = is_free;
	}
	free(locks.items);
	*ret_moments = moments;
	*ret_count = count;
}

/* ---- statements that are not over */

/* A connection that runs statements, up to some position. */
struct runner {
	uint16_t process, connection;
	size_t last;   /* its last statement */
	bool unlocked; /* since then */
	bool alive;    /* the statement that was looked at last is not over */
	bool goes_on;  /* it does something after the moment */
};

struct runners {
	struct runner *items;
	size_t count, cap;
};

/* NULL: it is none. */
static struct runner *find_runner(const struct runners *r, uint16_t process, uint16_t connection)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->items[i].process == process && r->items[i].connection == connection)
			return &r->items[i];
	return NULL;
}

/* A statement is over when its connection has let go of a lock since, and holds none that it took
 * since. One that took a lock and keeps it goes on, and so does one that found it held. */
static bool is_over(const struct runner *r, const struct locks *l, uint64_t begin)
{
	if (!r->unlocked)
		return false;
	for (size_t i = 0; i < l->count; i++) {
		const struct held *h = &l->items[i];

		if (h->op.process == r->process && h->op.connection == r->connection &&
		    h->position > begin)
			return false;
	}
	return true;
}

/* ret_over[i]: statement i was over when the next one of its connection came, or at the moment. */
static void find_over(const struct trace *t, uint64_t moment, struct runners *runners,
		      bool *ret_over)
{
	struct locks locks = {0};
	size_t next = 0;

	for (uint64_t p = 0; p <= moment; p++) {
		if (p > 0) {
			const struct op *op = trace_at(t, p);
			struct runner *r = find_runner(runners, op->process, op->connection);

			follow(&locks, t, p);
			if (r != NULL && op->kind == OP_UNLOCK)
				r->unlocked = true;
		}
		for (; next < t->statement_count && t->statements[next].position <= p &&
		       t->statements[next].position < moment;
		     next++) {
			const struct trace_statement *s = &t->statements[next];
			struct runner *r = find_runner(runners, s->process, s->connection);

			if (r == NULL) {
				runners->items = xgrow(runners->items, runners->count,
						       &runners->cap, sizeof *runners->items);
				r = &runners->items[runners->count++];
			} else {
				ret_over[r->last] =
				    is_over(r, &locks, t->statements[r->last].position);
			}
			*r = (struct runner){s->process, s->connection, next, false, false, false};
		}
	}
	for (size_t i = 0; i < runners->count; i++) {
		const struct runner *r = &runners->items[i];

		ret_over[r->last] = is_over(r, &locks, t->statements[r->last].position);
	}
	free(locks.items);
}

/* PRAGMA name=value: what it says is so from then on, for its connection. */
static bool is_setting(const char *sql)
{
	return strncasecmp(sql, "pragma", 6) == 0 && strchr(sql, '=') != NULL;
}

/* The statements of before the moment that are not over by then: of each connection that goes on
 * the last ones, back to one that was. Others than the last can only be of a transaction that is
 * under way. Its settings are never over. Returns how many were noted before the moment. They come
 * behind the locks that are held (put_locks()): those that they took themselves are not known to be
 * theirs any more, and where they end can be seen all the same. */
static size_t put_unfinished(const struct trace *t, uint64_t moment, struct trace *copy)
{
	struct runners runners = {0};
	bool *over = xcalloc(t->statement_count + 1, sizeof *over);
	size_t count = 0;

	while (count < t->statement_count && t->statements[count].position < moment)
		count++;
	find_over(t, moment, &runners, over);
	for (uint64_t p = moment + 1; p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);
		struct runner *r = find_runner(&runners, op->process, op->connection);

		if (r != NULL)
			r->alive = r->goes_on = true;
	}
	for (size_t i = count; i-- > 0;) {
		const struct trace_statement *s = &t->statements[i];
		struct runner *r = find_runner(&runners, s->process, s->connection);

		r->alive = r->alive && !over[i];
		over[i] = !r->alive && !(r->goes_on && is_setting(s->sql));
	}
	for (size_t i = 0; i < count; i++)
		if (!over[i])
			trace_add_statement(copy, &t->statements[i]);
	free(over);
	free(runners.items);
	return count;
}

/* ---- the new trace */

struct rebase {
	const struct trace *t;
	struct trace *copy;
	uint32_t *inodes; /* [old] = new; 0: it is not there */
	uint64_t *moved;  /* [old position] = new; 0: left out */
};

static uint32_t name_of(const struct rebase *r, uint32_t old)
{
	return old == 0 ? 0 : trace_name(r->copy, r->t->names[old]);
}

/* The files that have a name, in the order of the names. */
static void put_base(struct rebase *r, const struct trace_image *image)
{
	for (uint32_t n = 1; n <= r->t->name_count; n++) {
		uint32_t old = trace_image_names(image, n);
		uint64_t size;

		if (old == 0)
			continue;
		if (r->inodes[old] != 0) {
			trace_add_base(r->copy, r->inodes[old], name_of(r, n), NULL, 0);
			continue;
		}
		const uint8_t *data = trace_image_inode(image, old, &size);
		r->inodes[old] = trace_new_inode(r->copy);
		trace_add_base(r->copy, r->inodes[old], name_of(r, n), data, size);
	}
}

/* 0: it was left out. */
static uint64_t put_op(struct rebase *r, uint64_t position, struct err *err)
{
	struct op op = *trace_at(r->t, position);
	uint32_t old = op.inode;

	if (op.kind == OP_CREATE)
		r->inodes[old] = trace_new_inode(r->copy);
	if (old != 0 && r->inodes[old] == 0) {
		if (op.kind == OP_LINK)
			(void)err_set(err, ERR_INPUT,
				      "operation %llu names a file that had no name",
				      (unsigned long long)position);
		return 0;
	}
	op.inode = old == 0 ? 0 : r->inodes[old];
	op.name = name_of(r, op.name);
	op.name2 = name_of(r, op.name2);
	if (op.kind == OP_SYNC_END || op.kind == OP_DIRSYNC_END) {
		ASSERT_OP(r->moved[op.offset], >, 0);
		op.offset = r->moved[op.offset];
	}
	r->moved[position] = trace_append(r->copy, &op);
	return r->moved[position];
}

/* What is held at the moment is taken at the beginning, by the same. */
static void put_locks(struct rebase *r, uint64_t moment)
{
	struct locks locks = {0};

	for (uint64_t p = 1; p <= moment; p++)
		follow(&locks, r->t, p);
	for (size_t i = 0; i < locks.count; i++) {
		struct op op = locks.items[i].op;

		if (r->inodes[op.inode] == 0)
			continue;
		op.inode = r->inodes[op.inode];
		(void)trace_append(r->copy, &op);
	}
	free(locks.items);
}

int trace_rebase(const struct trace *t, uint64_t moment, struct trace **ret_trace,
		 uint64_t **ret_positions, struct err *err)
{
	struct trace before = *t; /* borrows; the operations up to the moment */
	struct rebase r = {.t = t};
	uint64_t *positions = xcalloc(t->op_count + 1, sizeof *positions);
	struct err failed = ERR_INIT;

	ASSERT(moment <= t->op_count);
	before.op_count = (size_t)moment;
	r.copy = trace_create(t->device, t->producer);
	r.inodes = xcalloc((size_t)t->inode_count + 1, sizeof *r.inodes);
	r.moved = xcalloc(t->op_count + 1, sizeof *r.moved);
	struct trace_image *image = trace_image_create(&before);
	put_base(&r, image);
	trace_image_free(image);
	put_locks(&r, moment);
	/* Those that were noted at the moment are run after it. */
	size_t statement = put_unfinished(t, moment, r.copy);
	for (uint64_t p = moment + 1; p <= t->op_count && failed.code == 0; p++) {
		for (; statement < t->statement_count && t->statements[statement].position < p;
		     statement++)
			trace_add_statement(r.copy, &t->statements[statement]);
		uint64_t at = put_op(&r, p, &failed);
		if (at != 0)
			positions[at] = p;
	}
	for (; statement < t->statement_count; statement++)
		trace_add_statement(r.copy, &t->statements[statement]);
	free(r.inodes);
	free(r.moved);
	if (failed.code != 0) {
		trace_free(r.copy);
		free(positions);
		if (err != NULL)
			*err = failed;
		return failed.code;
	}
	*ret_trace = r.copy;
	if (ret_positions != NULL)
		*ret_positions = positions;
	else
		free(positions);
	return 0;
}

struct trace *trace_cut(const struct trace *t, uint64_t count)
{
	struct trace *copy = trace_create(t->device, t->producer);
	size_t statement = 0;

	ASSERT(count <= t->op_count);
	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *b = &t->base[i];

		while (copy->inode_count < b->inode)
			(void)trace_new_inode(copy);
		trace_add_base(copy, b->inode, trace_name(copy, t->names[b->name]), b->data,
			       b->size);
	}
	for (uint64_t p = 1; p <= count; p++) {
		struct op op = *trace_at(t, p);

		for (; statement < t->statement_count && t->statements[statement].position < p;
		     statement++)
			trace_add_statement(copy, &t->statements[statement]);
		if (op.kind == OP_CREATE)
			(void)trace_new_inode(copy);
		op.name = op.name == 0 ? 0 : trace_name(copy, t->names[op.name]);
		op.name2 = op.name2 == 0 ? 0 : trace_name(copy, t->names[op.name2]);
		(void)trace_append(copy, &op);
	}
	/* What was begun when it ends is part of it. */
	for (; statement < t->statement_count && t->statements[statement].position <= count;
	     statement++)
		trace_add_statement(copy, &t->statements[statement]);
	return copy;
}
