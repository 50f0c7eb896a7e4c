/*
 * See assemble.h. One pass over the calls, after assemble_base() has found what was there before.
 *
 *     call                         operations
 *     FILE, OPEN of a new name     create (and truncate, with O_TRUNC on what had bytes)
 *     WRITE                        write, with O_DSYNC followed by a sync (see assemble_write())
 *     ALLOCATE                     truncate to a larger size, or a write of zeros
 *     SYNC_ALL                     a sync of each file, a dirsync of each folder
 *     ACK, MARK, OUTPUT            ack (of connection 0: everybody's), mark, output
 *     CLOSE, EXIT                  an unlock of what the process still held there
 *     DIGEST, TROUBLE              a hole, or nothing
 *
 * Does not see: a file that is replaced by one with the same inode number between two recorded
 * calls by somebody who is not recorded, unless the bytes differ in the end.
 *
 * In exclusive locking mode SQLite gives its lock to nobody before it closes the file or the
 * process ends. The kernel releases it then, which is the only thing that may show that a COMMIT
 * had returned. Whether it does is not decided here but by history_periods.c: such an unlock is
 * marked (OP_LOCK_GONE), stands in the thread that closed or ended, and a process that was killed
 * (the recorder logs no EXIT; of strace, both have thread 0) shows nothing.
 */
#include "faultinject/record/assemble.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"
#include "faultinject/record/assemble_internal.h"
#include "faultinject/record/connections.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PERHAPS_MAX = 6, /* uncertain calls that are tried both ways: 2^6 traces */
	ACTORS_MAX = UINT16_MAX,
};

enum held_byte {
	HELD_RESERVED = 1,
	HELD_SHARED = 2, /* for itself: EXCLUSIVE */
	HELD_WAL_WRITE = 4,
};

/* ---- files, processes ---- */

uint32_t assembler_inode(const struct assembler *a, uint64_t dev, uint64_t ino)
{
	const struct file_key key = {dev, ino};
	struct known_file *k;

	HASH_FIND(hh, a->files, &key, sizeof key, k);
	return k == NULL ? 0 : k->inode;
}

void assembler_bind(struct assembler *a, uint64_t dev, uint64_t ino, uint32_t inode)
{
	const struct file_key key = {dev, ino};
	struct known_file *k;

	HASH_FIND(hh, a->files, &key, sizeof key, k);
	if (k == NULL) {
		k = xcalloc(1, sizeof *k);
		k->key = key;
		HASH_ADD(hh, a->files, key, sizeof key, k);
	}
	k->inode = inode;
	assembler_state(a, inode)->dev = dev;
}

static uint16_t number_of(struct actor_number **table, uint16_t *count, uint32_t process,
			  uint32_t id)
{
	const struct actor_key key = {process, id};
	struct actor_number *n;

	HASH_FIND(hh, *table, &key, sizeof key, n);
	if (n == NULL && *count < ACTORS_MAX) {
		n = xcalloc(1, sizeof *n);
		n->key = key;
		n->number = ++*count;
		HASH_ADD(hh, *table, key, sizeof key, n);
	}
	return n == NULL ? 0 : n->number;
}

static void forget(struct actor_number **table, uint32_t process, uint32_t id)
{
	const struct actor_key key = {process, id};
	struct actor_number *n;

	HASH_FIND(hh, *table, &key, sizeof key, n);
	if (n != NULL) {
		HASH_DEL(*table, n);
		free(n);
	}
}

/* ---- operations ---- */

struct file_state *assembler_state(struct assembler *a, uint32_t inode)
{
	if (inode >= a->state_count) {
		size_t count = 2 * (size_t)inode + 16;

		a->states = xrealloc(a->states, count * sizeof *a->states);
		memset(a->states + a->state_count, 0, (count - a->state_count) * sizeof *a->states);
		a->state_count = count;
	}
	return &a->states[inode];
}

/* A mark says which program a process runs, before the first thing that it does. */
static void put_program(struct assembler *a, const struct call *c)
{
	struct running_program *p;
	char *text;

	HASH_FIND(hh, a->programs, &c->pid, sizeof c->pid, p);
	if (p == NULL)
		return;
	HASH_DEL(a->programs, p);
	text = xasprintf("program %s", p->path);
	free(p);
	(void)assembler_put(
	    a, c,
	    (struct op){.kind = OP_MARK, .size = strlen(text), .data = (const uint8_t *)text});
	free(text);
}

/* Files are held whole, here and wherever the trace is explored. */
static bool is_too_large(const struct op *op)
{
	if (op->kind == OP_WRITE)
		return op->offset > ASSEMBLE_FILE_SIZE_MAX ||
		       op->size > ASSEMBLE_FILE_SIZE_MAX - op->offset;
	return op->kind == OP_TRUNCATE && op->size > ASSEMBLE_FILE_SIZE_MAX;
}

/* Appends an operation by the process of `c`. 0 when the trace cannot take it. */
uint64_t assembler_put(struct assembler *a, const struct call *c, struct op op)
{
	uint64_t position;

	if (a->rc != 0)
		return 0;
	if (is_too_large(&op)) {
		a->rc = err_set(&a->err, ERR_LIMIT, "%s: larger than %d GiB, which is the most",
				c->path != NULL ? c->path : "a file",
				(int)(ASSEMBLE_FILE_SIZE_MAX >> 30));
		return 0;
	}
	put_program(a, c);
	op.process = number_of(&a->processes, &a->process_count, 0, c->pid);
	op.thread = number_of(&a->threads, &a->thread_count, op.process, c->tid);
	if (trace_check_op(a->t, &op, &a->err) != 0) {
		a->rc = err_context(&a->err, "call %zu", (size_t)(c - a->calls->items) + 1);
		return 0;
	}
	position = trace_append(a->t, &op);
	assemble_statement_done(a, c, op.kind, position);
	if (op.kind == OP_WRITE || op.kind == OP_TRUNCATE) {
		assembler_state(a, op.inode)->changed = position;
		assembler_state(a, op.inode)->unsynced = true;
	}
	return position;
}

/* The bytes that were written are not what was recorded, or something was missed. */
void assembler_hole(struct assembler *a, uint32_t inode, size_t call, const char *why)
{
	a->holes = xgrow(a->holes, a->hole_count, &a->hole_cap, sizeof *a->holes);
	a->holes[a->hole_count++] =
	    (struct found_hole){.inode = inode, .call = call, .why = xstrdup(why)};
}

void assembler_hole_at(struct assembler *a, uint32_t inode, const struct call *c, const char *what)
{
	char *why = xasprintf("%s: %s", c->path != NULL ? c->path : "a file", what);

	assembler_hole(a, inode, (size_t)(c - a->calls->items), why);
	free(why);
}

uint64_t assembler_size(struct assembler *a, uint32_t inode)
{
	uint64_t size;

	trace_image_follow(a->image);
	(void)trace_image_inode(a->image, inode, &size);
	return size;
}

uint32_t assembler_name(struct assembler *a, const char *path)
{
	uint32_t name = path == NULL ? 0 : trace_name(a->t, path);

	if (name == 0 && a->rc == 0)
		a->rc = err_set(&a->err, ERR_LIMIT, "'%.200s' is no name that a trace can hold",
				path == NULL ? "" : path);
	return name;
}

uint32_t assembler_named(struct assembler *a, uint32_t name)
{
	trace_image_follow(a->image);
	return trace_image_names(a->image, name);
}

/* ---- locks, notes, looks ---- */

static bool covers(const struct call *c, uint64_t byte)
{
	return c->offset <= byte && (c->length == 0 || byte - c->offset < c->length);
}

static void drop_held(struct assembler *a, size_t i)
{
	a->held[i] = a->held[--a->held_count];
}

/* Keeps the table of held locks. */
static void follow_lock(struct assembler *a, const struct call *c, uint32_t inode, bool held)
{
	bool shm = (c->flags & CALL_SHM) != 0;
	unsigned bytes = 0;
	size_t i = 0;

	if (shm)
		bytes |= covers(c, OP_WAL_WRITE_BYTE) ? HELD_WAL_WRITE : 0;
	else
		bytes |= (covers(c, OP_RESERVED_BYTE) ? HELD_RESERVED : 0) |
			 (covers(c, OP_SHARED_FIRST) ? HELD_SHARED : 0);
	if (bytes == 0)
		return;
	while (i < a->held_count &&
	       (a->held[i].pid != c->pid || a->held[i].inode != inode || a->held[i].shm != shm))
		i++;
	if (i == a->held_count) {
		if (!held)
			return;
		a->held = xgrow(a->held, a->held_count, &a->held_cap, sizeof *a->held);
		a->held[a->held_count++] = (struct held_lock){
		    .pid = c->pid, .inode = inode, .dev = c->dev, .ino = c->ino, .shm = shm};
	}
	if (held)
		a->held[i].bytes |= bytes;
	else
		a->held[i].bytes &= ~bytes;
	if (a->held[i].bytes == 0)
		drop_held(a, i);
}

/* The process closed the file of `c`, or all of them. One whose thread is not known (0) was killed,
 * or nobody knows who ended it: who holds the lock next shows that it is gone. */
static void on_gone(struct assembler *a, const struct call *c, bool all)
{
	for (size_t i = a->held_count; i-- > 0;) {
		const struct held_lock h = a->held[i];

		if (h.pid != c->pid || (!all && (h.dev != c->dev || h.ino != c->ino)))
			continue;
		drop_held(a, i);
		if (c->tid == 0)
			continue;
		(void)assembler_put(
		    a, c,
		    (struct op){.kind = OP_UNLOCK,
				.flags = (uint8_t)(OP_LOCK_GONE | (h.shm ? OP_LOCK_SHM : 0)),
				.inode = h.inode});
	}
}

static void on_lock(struct assembler *a, const struct call *c, bool unlock)
{
	uint32_t inode = 0;
	uint8_t flags = (c->flags & CALL_SHARED) != 0 ? OP_LOCK_SHARED : 0;

	if ((c->flags & CALL_SHM) != 0) {
		size_t size = c->path == NULL ? 0 : strlen(c->path);
		char *database;

		if (size <= strlen("-shm"))
			return;
		database = xasprintf("%.*s", (int)(size - strlen("-shm")), c->path);
		inode = assembler_named(a, trace_find_name(a->t, database));
		free(database);
		flags |= OP_LOCK_SHM;
	} else {
		inode = assembler_inode(a, c->dev, c->ino);
	}
	if (inode == 0)
		return;
	if (unlock)
		flags &= (uint8_t)~OP_LOCK_SHARED;
	follow_lock(a, c, inode, !unlock && (flags & OP_LOCK_SHARED) == 0);
	(void)assembler_put(a, c,
			    (struct op){.kind = unlock ? OP_UNLOCK : OP_LOCK,
					.flags = flags,
					.inode = inode,
					.offset = c->offset,
					.size = c->length});
}

static void on_note(struct assembler *a, const struct call *c)
{
	(void)assembler_put(a, c,
			    (struct op){.kind = c->kind == CALL_OUTPUT ? OP_OUTPUT : OP_MARK,
					.size = c->data_size,
					.data = c->data});
	if (c->kind == CALL_ACK)
		(void)assembler_put(a, c, (struct op){.kind = OP_ACK});
}

static void on_program(struct assembler *a, const struct call *c)
{
	struct running_program *p;

	a->report.program_count++;
	HASH_FIND(hh, a->programs, &c->pid, sizeof c->pid, p);
	if (p == NULL) {
		p = xcalloc(1, sizeof *p);
		p->pid = c->pid;
		HASH_ADD(hh, a->programs, pid, sizeof p->pid, p);
	}
	p->path = c->path == NULL ? "?" : c->path;
}

static void on_digest_end(struct assembler *a, const struct call *c, size_t index)
{
	uint32_t inode = assembler_inode(a, c->dev, c->ino);
	uint64_t size;

	/* A descriptor that is open for writing only cannot be read: the end of all will tell. */
	if (inode == 0 || c->result < 0 || c->begin >= a->calls->count ||
	    assembler_state(a, inode)->changed > a->begun[c->begin] ||
	    assembler_state(a, inode)->differs)
		return;
	trace_image_follow(a->image);
	const uint8_t *data = trace_image_inode(a->image, inode, &size);

	if (size == c->length && hash64(data, size, 0) == c->hash)
		return;
	assembler_hole_at(a, inode, c, "its bytes are not those that were recorded");
	a->holes[a->hole_count - 1].looked = true;
	a->holes[a->hole_count - 1].call = index;
	assembler_state(a, inode)->differs = true;
}

static void on_trouble(struct assembler *a, const struct call *c)
{
	uint32_t inode = c->ino == 0 ? 0 : assembler_inode(a, c->dev, c->ino);
	char *why = xasprintf("%.*s", (int)(c->data_size < 400 ? c->data_size : 400),
			      c->data_size == 0 ? "" : (const char *)c->data);

	assembler_hole(a, inode, (size_t)(c - a->calls->items), why);
	free(why);
}

/* It may have done to the databases what leaves no trace in their bytes, and it may have had
 * databases of its own. */
static void on_blind(struct assembler *a, const struct call *c)
{
	char *why = xasprintf("nobody could watch %s, which was run: %.*s",
			      c->path == NULL ? "a program" : c->path,
			      (int)(c->data_size < 400 ? c->data_size : 400),
			      c->data_size == 0 ? "" : (const char *)c->data);

	assembler_hole(a, 0, (size_t)(c - a->calls->items), why);
	free(why);
}

/* ---- the pass ---- */

static void on_call(struct assembler *a, const struct call *c, size_t index)
{
	switch (c->kind) {
	case CALL_PROCESS:
		on_program(a, c);
		break;
	case CALL_EXIT: /* the number may be used again, by another process */
		on_gone(a, c, true);
		forget(&a->processes, 0, c->pid);
		break;
	case CALL_CLOSE:
		on_gone(a, c, false);
		break;
	case CALL_BLIND:
		on_blind(a, c);
		break;
	case CALL_FILE:
	case CALL_OPEN:
		assemble_open(a, c);
		break;
	case CALL_WRITE:
		assemble_write(a, c);
		break;
	case CALL_TRUNCATE:
		assemble_truncate(a, c);
		break;
	case CALL_ALLOCATE:
		assemble_allocate(a, c);
		break;
	case CALL_SYNC_BEGIN:
		assemble_sync_begin(a, c, index);
		break;
	case CALL_DIRSYNC_BEGIN:
		assemble_dirsync_begin(a, c, index);
		break;
	case CALL_SYNC_END:
	case CALL_DIRSYNC_END:
		assemble_sync_end(a, c);
		break;
	case CALL_SYNC_ALL_BEGIN:
		a->begun[index] = a->t->op_count + 1;
		break;
	case CALL_SYNC_ALL_END:
		assemble_sync_all_end(a, c);
		break;
	case CALL_RENAME:
		assemble_rename(a, c);
		break;
	case CALL_UNLINK:
		assemble_unlink(a, c);
		break;
	case CALL_LINK:
		assemble_link(a, c);
		break;
	case CALL_LOCK:
	case CALL_UNLOCK:
		on_lock(a, c, c->kind == CALL_UNLOCK);
		break;
	case CALL_DIGEST_BEGIN:
		a->begun[index] = a->t->op_count;
		break;
	case CALL_DIGEST_END:
		on_digest_end(a, c, index);
		break;
	case CALL_OUTPUT:
	case CALL_ACK:
	case CALL_MARK:
		on_note(a, c);
		break;
	case CALL_STATEMENT:
		assemble_statement(a, c);
		break;
	case CALL_TROUBLE:
		on_trouble(a, c);
		break;
	case CALL_CONTENT: /* assemble_base() */
	case CALL_MAPPED:  /* the bytes show whether anything came of it */
	default:
		break;
	}
}

static void compare_live(struct assembler *a)
{
	trace_image_follow(a->image);
	for (uint32_t n = 1; n <= a->t->name_count && a->rc == 0; n++) {
		uint32_t inode = trace_image_names(a->image, n);
		char *why = assemble_compare_file(a->image, inode, a->t->names[n]);

		if (why != NULL && (inode == 0 || !assembler_state(a, inode)->differs))
			assembler_hole(a, inode, a->calls->count, why);
		free(why);
	}
}

static void put_holes(struct assembler *a)
{
	for (size_t i = 0; i < a->hole_count && a->rc == 0; i++) {
		const struct found_hole *h = &a->holes[i];

		if (h->excused)
			continue;
		(void)trace_append_hole(a->t, 0, h->inode, h->why);
		a->report.hole_count++;
	}
}

static void assembler_release(struct assembler *a)
{
	MAP_FREE(a->files);
	MAP_FREE(a->processes);
	MAP_FREE(a->programs);
	MAP_FREE(a->threads);
	for (size_t i = 0; i < a->hole_count; i++)
		free(a->holes[i].why);
	free(a->holes);
	free(a->states);
	free(a->held);
	free(a->begun);
	assemble_statements_release(a);
	trace_image_free(a->image);
	trace_free(a->t);
}

/* Names that a file had; a folder that was synced has a name, too. */
static size_t count_files(const struct trace *t)
{
	bool *had = xcalloc((size_t)t->name_count + 1, sizeof *had);
	size_t count = 0;

	for (size_t i = 0; i < t->base_count; i++)
		had[t->base[i].name] = true;
	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];

		had[op->kind == OP_CREATE ? op->name : op->name2] = true;
	}
	for (uint32_t n = 1; n <= t->name_count; n++)
		count += had[n];
	free(had);
	return count;
}

/* One trace, without those uncertain calls whose bit in `without` is set. */
static void run(struct assembler *a, const struct call_list *calls,
		const struct assemble_options *o, unsigned without)
{
	/* What os_unix tells SQLite on Linux: 4096-byte sectors, SQLITE_IOCAP_POWERSAFE_OVERWRITE.
	 */
	static const struct trace_device device = {4096, 0x1000};
	unsigned uncertain = 0;

	*a = (struct assembler){.calls = calls};
	a->t = trace_create(device, o->producer);
	a->begun = xcalloc(calls->count + 1, sizeof *a->begun);
	a->rc = assemble_base(a, &a->err);
	a->image = trace_image_create(a->t);
	for (size_t i = 0; i < calls->count && a->rc == 0; i++) {
		const struct call *c = &calls->items[i];
		bool perhaps = (c->flags & CALL_PERHAPS) != 0;

		if (perhaps && uncertain < PERHAPS_MAX && (without & 1u << uncertain++) != 0)
			continue;
		on_call(a, c, i);
	}
	if (a->rc == 0 && o->live)
		compare_live(a);
	put_holes(a);
	a->report.process_count = a->process_count;
	a->report.file_count = count_files(a->t);
}

static unsigned count_uncertain(const struct call_list *calls)
{
	unsigned count = 0;

	for (size_t i = 0; i < calls->count; i++)
		count += (calls->items[i].flags & CALL_PERHAPS) != 0;
	return count < PERHAPS_MAX ? count : PERHAPS_MAX;
}

int assemble(const struct call_list *calls, const struct assemble_options *o,
	     struct trace **ret_trace, struct assemble_report *ret_report, struct err *err)
{
	unsigned ways = o->live ? 1u << count_uncertain(calls) : 1;
	struct assembler best, a;
	int rc;

	memset(ret_report, 0, sizeof *ret_report);
	run(&best, calls, o, 0);
	for (unsigned without = 1; without < ways && best.rc == 0 && best.report.hole_count > 0;
	     without++) {
		run(&a, calls, o, without);
		if (a.rc == 0 && a.report.hole_count < best.report.hole_count) {
			assembler_release(&best);
			best = a;
		} else {
			assembler_release(&a);
		}
	}
	rc = best.rc;
	if (rc == 0) {
		connections_assign(best.t);
		assemble_statements_assign(&best);
		*ret_trace = best.t;
		best.t = NULL;
		*ret_report = best.report;
	} else if (err != NULL) {
		*err = best.err;
	}
	assembler_release(&best);
	return rc;
}
