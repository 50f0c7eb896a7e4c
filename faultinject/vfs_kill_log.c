/*
 * See vfs_kill_log.h.
 *
 * The mapping is a header, then slots, then bytes:
 *
 *     cursor ──> slots[n]: state, kind, file, offset, size, where its bytes are
 *     bytes_used ──> data and paths, each slot's own
 *
 * An operation first copies its bytes, then takes its slot, then fills it in and marks it BEGUN. A
 * process that dies in between leaves a slot that nobody began, which is as if it had died a moment
 * earlier. A slot's number is its moment.
 */
#include "faultinject/vfs_kill_log.h"

#include "faultinject/base/assert.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum slot_state { SLOT_EMPTY, SLOT_BEGUN, SLOT_DONE, SLOT_FAILED };

enum slot_kind {
	SLOT_OPEN,
	SLOT_WRITE,
	SLOT_TRUNCATE,
	SLOT_SYNC,
	SLOT_SYNC_DONE,
	SLOT_UNLINK,
	SLOT_RENAME,
	SLOT_FOLDER_SYNC,
	SLOT_FOLDER_SYNC_DONE,
};

enum { FLAG_CREATE = 1, FLAG_EMPTY = 2, FLAG_DATA = 4 };

struct slot {
	_Atomic uint32_t state;
	uint8_t kind, flags;
	uint16_t process;
	fi_kill_place file;    /* open file; of a *_DONE: the slot of its beginning */
	uint64_t offset, size; /* as in struct op; the bytes of a path, or of two */
	uint64_t bytes;	       /* where its bytes begin */
};

#define SEALED (UINT64_C(1) << 63)

struct fi_kill_log {
	_Atomic uint64_t cursor; /* slots given; SEALED */
	_Atomic uint64_t bytes_used;
	_Atomic bool full;
	struct slot slots[FI_KILL_LOG_OPERATIONS_MAX];
	uint8_t bytes[FI_KILL_LOG_BYTES_MAX];
};

static uint16_t actor = 1;

int fi_kill_log_create(struct fi_kill_log **ret_log, struct err *err)
{
	void *map = mmap(NULL, sizeof **ret_log, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return err_set(err, ERR_HARNESS, "cannot share memory: %s", strerror(errno));
	*ret_log = map;
	return 0;
}

void fi_kill_log_free(struct fi_kill_log *l)
{
	if (l != NULL)
		(void)munmap(l, sizeof *l);
}

static size_t slot_count(const struct fi_kill_log *l)
{
	uint64_t n = atomic_load(&l->cursor) & ~SEALED;

	return n < FI_KILL_LOG_OPERATIONS_MAX ? (size_t)n : FI_KILL_LOG_OPERATIONS_MAX;
}

void fi_kill_log_reset(struct fi_kill_log *l)
{
	memset(l->slots, 0, slot_count(l) * sizeof l->slots[0]);
	atomic_store(&l->cursor, 0);
	atomic_store(&l->bytes_used, 0);
	atomic_store(&l->full, false);
}

void fi_kill_log_actor(uint16_t process)
{
	actor = process;
}

/* ---- appending ---- */

_Noreturn static void wait_for_the_end(void)
{
	for (;;)
		(void)pause();
}

/* Room for bytes; UINT64_MAX when there is none. */
static uint64_t take_bytes(struct fi_kill_log *l, size_t size)
{
	uint64_t at = atomic_fetch_add(&l->bytes_used, size);

	if (size > FI_KILL_LOG_BYTES_MAX || at > FI_KILL_LOG_BYTES_MAX - size) {
		atomic_store(&l->full, true);
		return UINT64_MAX;
	}
	return at;
}

static fi_kill_place append(struct fi_kill_log *l, struct slot s, uint32_t state)
{
	uint64_t n = atomic_fetch_add(&l->cursor, 1);

	if ((n & SEALED) != 0)
		wait_for_the_end();
	if (n >= FI_KILL_LOG_OPERATIONS_MAX) {
		atomic_store(&l->full, true);
		return 0;
	}
	struct slot *slot = &l->slots[n];

	slot->kind = s.kind;
	slot->flags = s.flags;
	slot->process = actor;
	slot->file = s.file;
	slot->offset = s.offset;
	slot->size = s.size;
	slot->bytes = s.bytes;
	atomic_store(&slot->state, state);
	return n + 1;
}

/* The bytes are `data`, then `more`. */
static fi_kill_place append_bytes(struct fi_kill_log *l, struct slot s, const void *data,
				  size_t size, const void *more, size_t more_size)
{
	s.bytes = take_bytes(l, size + more_size);
	if (s.bytes == UINT64_MAX)
		return 0;
	memcpy(l->bytes + s.bytes, data, size);
	if (more_size > 0)
		memcpy(l->bytes + s.bytes + size, more, more_size);
	return append(l, s, SLOT_BEGUN);
}

static fi_kill_place append_path(struct fi_kill_log *l, enum slot_kind kind, uint8_t flags,
				 const char *path)
{
	struct slot s = {.kind = (uint8_t)kind, .flags = flags, .size = strlen(path) + 1};

	return append_bytes(l, s, path, strlen(path) + 1, NULL, 0);
}

fi_kill_place fi_kill_log_open(struct fi_kill_log *l, const char *path, bool create, bool empty)
{
	return append_path(l, SLOT_OPEN,
			   (uint8_t)((create ? FLAG_CREATE : 0) | (empty ? FLAG_EMPTY : 0)), path);
}

fi_kill_place fi_kill_log_write(struct fi_kill_log *l, fi_kill_place file, const void *data,
				size_t size, uint64_t offset)
{
	struct slot s = {.kind = SLOT_WRITE, .file = file, .offset = offset, .size = size};

	return append_bytes(l, s, data, size, NULL, 0);
}

fi_kill_place fi_kill_log_truncate(struct fi_kill_log *l, fi_kill_place file, uint64_t size)
{
	return append(l, (struct slot){.kind = SLOT_TRUNCATE, .file = file, .size = size},
		      SLOT_BEGUN);
}

fi_kill_place fi_kill_log_sync(struct fi_kill_log *l, fi_kill_place file, bool data_only)
{
	return append(
	    l, (struct slot){.kind = SLOT_SYNC, .flags = data_only ? FLAG_DATA : 0, .file = file},
	    SLOT_BEGUN);
}

fi_kill_place fi_kill_log_unlink(struct fi_kill_log *l, const char *path)
{
	return append_path(l, SLOT_UNLINK, 0, path);
}

fi_kill_place fi_kill_log_rename(struct fi_kill_log *l, const char *from, const char *to)
{
	/* `offset` is where the second path begins. */
	struct slot s = {
	    .kind = SLOT_RENAME, .offset = strlen(from) + 1, .size = strlen(from) + strlen(to) + 2};

	return append_bytes(l, s, from, strlen(from) + 1, to, strlen(to) + 1);
}

fi_kill_place fi_kill_log_folder_sync(struct fi_kill_log *l, const char *folder)
{
	return append_path(l, SLOT_FOLDER_SYNC, 0, folder);
}

void fi_kill_log_done(struct fi_kill_log *l, fi_kill_place place, bool ok)
{
	if (place == 0)
		return;
	struct slot *slot = &l->slots[place - 1];

	atomic_store(&slot->state, ok ? SLOT_DONE : SLOT_FAILED);
	if (!ok || (slot->kind != SLOT_SYNC && slot->kind != SLOT_FOLDER_SYNC))
		return;
	(void)append(
	    l,
	    (struct slot){.kind = slot->kind == SLOT_SYNC ? SLOT_SYNC_DONE : SLOT_FOLDER_SYNC_DONE,
			  .file = place},
	    SLOT_DONE);
}

void fi_kill_log_seal(struct fi_kill_log *l)
{
	(void)atomic_fetch_or(&l->cursor, SEALED);
}

bool fi_kill_log_sealed(const struct fi_kill_log *l)
{
	return (atomic_load(&l->cursor) & SEALED) != 0;
}

bool fi_kill_log_full(const struct fi_kill_log *l)
{
	return atomic_load(&l->full);
}

/* ---- the trace ---- */

struct builder {
	const struct fi_kill_log *l;
	struct trace *t;
	uint32_t *inodes;    /* [slot]: of the file that it opened, 0 = none; owned */
	uint64_t *positions; /* [slot]: in the trace, 0 = none; owned */
	uint32_t *live;	     /* [name]: inode that it names now, 0 = none; owned */
	size_t live_cap;
};

static const char *path_of(const struct builder *b, const struct slot *s)
{
	return (const char *)b->l->bytes + s->bytes;
}

static uint32_t *live_inode(struct builder *b, uint32_t name)
{
	while (name >= b->live_cap) {
		size_t cap = b->live_cap == 0 ? 64 : 2 * b->live_cap;

		b->live = xrealloc(b->live, cap * sizeof *b->live);
		memset(b->live + b->live_cap, 0, (cap - b->live_cap) * sizeof *b->live);
		b->live_cap = cap;
	}
	return &b->live[name];
}

static uint64_t put(struct builder *b, const struct slot *s, struct op op)
{
	op.process = s->process;
	op.thread = op.connection = 1;
	return trace_append(b->t, &op);
}

static void put_open(struct builder *b, const struct slot *s, size_t n)
{
	uint32_t name = trace_name(b->t, path_of(b, s));
	uint32_t *live = live_inode(b, name);

	if (*live == 0 && (s->flags & FLAG_CREATE) != 0) {
		*live = trace_new_inode(b->t);
		(void)put(b, s, (struct op){.kind = OP_CREATE, .inode = *live, .name = name});
	} else if (*live != 0 && (s->flags & FLAG_EMPTY) != 0) {
		(void)put(b, s, (struct op){.kind = OP_TRUNCATE, .inode = *live});
	}
	b->inodes[n] = *live;
}

static void put_names(struct builder *b, const struct slot *s)
{
	uint32_t name = trace_find_name(b->t, path_of(b, s));
	uint32_t inode = name == 0 ? 0 : *live_inode(b, name);

	if (inode == 0)
		return;
	*live_inode(b, name) = 0;
	if (s->kind == SLOT_UNLINK) {
		(void)put(b, s, (struct op){.kind = OP_UNLINK, .name = name});
		return;
	}
	uint32_t name2 = trace_name(b->t, path_of(b, s) + s->offset);

	*live_inode(b, name2) = inode;
	(void)put(b, s, (struct op){.kind = OP_RENAME, .name = name, .name2 = name2});
}

static void put_file(struct builder *b, const struct slot *s, size_t n)
{
	uint32_t inode = s->file == 0 ? 0 : b->inodes[s->file - 1];

	/* A file that was opened where the log had no room, or that another process had deleted. */
	if (inode == 0)
		return;
	if (s->kind == SLOT_WRITE)
		(void)put(b, s,
			  (struct op){.kind = OP_WRITE,
				      .inode = inode,
				      .offset = s->offset,
				      .size = s->size,
				      .data = b->l->bytes + s->bytes});
	else if (s->kind == SLOT_TRUNCATE)
		(void)put(b, s, (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = s->size});
	else
		b->positions[n] =
		    put(b, s,
			(struct op){.kind = OP_SYNC_BEGIN,
				    .flags = (s->flags & FLAG_DATA) != 0 ? OP_SYNC_DATA : 0,
				    .inode = inode});
}

static void put_sync_done(struct builder *b, const struct slot *s)
{
	uint64_t begin = b->positions[s->file - 1];

	if (begin == 0)
		return;
	struct op op = *trace_at(b->t, begin);

	op.kind = op.kind == OP_SYNC_BEGIN ? OP_SYNC_END : OP_DIRSYNC_END;
	op.flags = 0;
	op.offset = begin;
	(void)put(b, s, op);
}

/* True when it was begun and is left out. */
static bool put_slot(struct builder *b, const struct slot *s, size_t n)
{
	uint32_t state = atomic_load(&s->state);
	bool is_sync = s->kind == SLOT_SYNC || s->kind == SLOT_FOLDER_SYNC;

	if (state == SLOT_EMPTY || state == SLOT_FAILED)
		return false;
	if (state == SLOT_BEGUN && !is_sync)
		return true;
	switch ((enum slot_kind)s->kind) {
	case SLOT_OPEN:
		put_open(b, s, n);
		break;
	case SLOT_WRITE:
	case SLOT_TRUNCATE:
	case SLOT_SYNC:
		put_file(b, s, n);
		break;
	case SLOT_UNLINK:
	case SLOT_RENAME:
		put_names(b, s);
		break;
	case SLOT_FOLDER_SYNC:
		b->positions[n] = put(
		    b, s,
		    (struct op){.kind = OP_DIRSYNC_BEGIN, .name = trace_name(b->t, path_of(b, s))});
		break;
	case SLOT_SYNC_DONE:
	case SLOT_FOLDER_SYNC_DONE:
		put_sync_done(b, s);
		break;
	}
	return false;
}

void fi_kill_log_trace(const struct fi_kill_log *l, const struct fi_kill_file *base,
		       size_t base_count, struct trace **ret, size_t *ret_open)
{
	/* What os_unix reports on Linux (SQLITE_IOCAP_POWERSAFE_OVERWRITE is 0x1000). */
	struct trace_device device = {.sector_size_bytes = 4096, .characteristics = 0x1000};
	size_t count = slot_count(l);
	struct builder b = {.l = l,
			    .t = trace_create(device, "plugpull kill"),
			    .inodes = xcalloc(count + 1, sizeof *b.inodes),
			    .positions = xcalloc(count + 1, sizeof *b.positions)};

	for (size_t i = 0; i < base_count; i++) {
		uint32_t name = trace_name(b.t, base[i].path), inode = trace_new_inode(b.t);

		*live_inode(&b, name) = inode;
		trace_add_base(b.t, inode, name, base[i].data, base[i].size);
	}
	*ret_open = 0;
	for (size_t n = 0; n < count; n++)
		*ret_open += put_slot(&b, &l->slots[n], n);
	*ret = b.t;
	free(b.inodes);
	free(b.positions);
	free(b.live);
}
