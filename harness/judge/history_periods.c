/*
 * See history_periods.h. One pass over the trace.
 *
 * Locks and writes name inodes, people name files, and journals come and go: so the name space is
 * followed operation by operation, and every inode that bears the name of a database, its
 * "-journal" or its "-wal" has a role. An inode that loses its name keeps its role (somebody may
 * have it open) until another name gives it another.
 *
 * WAL frames are found by offset: 32 + k * (24 + page size). SQLite writes a frame as header and
 * page, an importer may deliver one write or any pieces, so the four bytes of a commit field are
 * collected from wherever they come. The event lies at the last write in front of the commit
 * frame's end, as only then the transaction is whole: the page may follow its header, and of a
 * transaction that spilled one page twice SQLite writes the frame headers again at its end.
 *
 * Does not see: transactions of MEMORY and OFF inside one exclusive lock where no ACK parts them
 * (an early ACK after the cache spilled parts them too soon), a database replaced by rename, writes
 * through a mapping.
 */
#include "harness/judge/history_periods.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "harness/judge/observation.h"

#include <stdlib.h>
#include <string.h>

enum {
	WAL_HEADER_SIZE = 32,
	WAL_FRAME_HEADER_SIZE = 24,
	WAL_PAGE_SIZE_AT = 8, /* in the WAL's header, 4 bytes */
	WAL_COMMIT_AT = 4,    /* in a frame's header, 4 bytes */
	WAL_COMMIT_SIZE = 4,
	DATABASE_PAGE_SIZE_AT = 16, /* in the database's header, 2 bytes; 1 means 65536 */
	JOURNAL_MAGIC_SIZE = 8,	    /* zeroing these ends a journal */
	PAGE_SIZE_MIN = 512,
	PAGE_SIZE_MAX = 65536,
};

enum {
	HELD_RESERVED = 1,
	HELD_WAL_WRITE = 2,
};

enum role_kind {
	ROLE_NONE,
	ROLE_DATABASE,
	ROLE_JOURNAL,
	ROLE_WAL,
};

struct role {
	uint8_t kind; /* enum role_kind */
	uint8_t file;
};

struct actor {
	uint16_t process, connection;
	uint64_t acks;
	size_t open[OBSERVED_FILES_MAX]; /* index + 1 of the period that is open; 0 = none */
};

struct file_state {
	uint32_t wal_page_size, database_page_size; /* 0 = not known */
	uint64_t field_at;			    /* the commit field that is being collected */
	uint8_t field[WAL_COMMIT_SIZE];
	unsigned field_have;	/* bit i: byte i is there */
	size_t reserved_holder; /* index + 1 of an actor; 0 = none */
	size_t wal_write_holder;
};

struct scan {
	const struct trace *t;
	bool exact;
	struct write_period_list *list;
	struct role *role_of_name;  /* [name_count + 1] */
	struct role *role_of_inode; /* [inode_count + 1] */
	uint32_t *inode_of_name;    /* [name_count + 1] */
	struct actor *actors;
	size_t actor_count, actor_cap, last_actor;
	struct file_state files[OBSERVED_FILES_MAX];
	uint64_t position; /* of the operation in hand */
};

bool write_period_is_unlogged(const struct write_period *p)
{
	return p->first_database_write != 0 && p->first_log_write == 0;
}

uint64_t write_period_unlogged_tail(const struct write_period *p)
{
	return p->reserved && p->pending_write == 0 ? p->pending_database_write : 0;
}

uint64_t write_period_first_write(const struct write_period *p)
{
	if (p->first_log_write != 0)
		return p->first_log_write;
	return write_period_is_unlogged(p) ? p->first_database_write : 0;
}

static uint32_t be32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint32_t valid_page_size(uint32_t size)
{
	bool ok = size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) == 0;

	return ok ? size : 0;
}

/* ---- names and roles ---- */

static void set_role(struct scan *s, const char *path, const char *suffix, enum role_kind kind,
		     size_t file)
{
	char *name = xasprintf("%s%s", path, suffix);
	uint32_t index = trace_find_name(s->t, name);

	if (index != 0)
		s->role_of_name[index] = (struct role){(uint8_t)kind, (uint8_t)file};
	free(name);
}

static void name_denotes(struct scan *s, uint32_t name, uint32_t inode)
{
	s->inode_of_name[name] = inode;
	if (s->role_of_name[name].kind != ROLE_NONE)
		s->role_of_inode[inode] = s->role_of_name[name];
}

static void renamed(struct scan *s, const struct op *op)
{
	uint32_t inode = s->inode_of_name[op->name];

	if (inode == 0 || op->name == op->name2)
		return;
	s->inode_of_name[op->name] = 0;
	s->role_of_inode[inode] = (struct role){ROLE_NONE, 0};
	name_denotes(s, op->name2, inode);
}

/* ---- periods ---- */

static size_t find_actor(struct scan *s, const struct op *op)
{
	size_t i = s->last_actor;

	if (i < s->actor_count && s->actors[i].process == op->process &&
	    s->actors[i].connection == op->connection)
		return i;
	for (i = 0; i < s->actor_count; i++)
		if (s->actors[i].process == op->process &&
		    s->actors[i].connection == op->connection)
			break;
	if (i == s->actor_count) {
		s->actors = xgrow(s->actors, s->actor_count, &s->actor_cap, sizeof *s->actors);
		s->actors[s->actor_count++] =
		    (struct actor){.process = op->process, .connection = op->connection};
	}
	s->last_actor = i;
	return i;
}

static struct write_period *open_period(const struct scan *s, size_t actor, size_t file)
{
	size_t index = s->actors[actor].open[file];

	return index == 0 ? NULL : &s->list->items[index - 1];
}

static struct write_period *begin_period(struct scan *s, size_t actor, size_t file, bool locked)
{
	struct write_period_list *list = s->list;
	struct actor *a = &s->actors[actor];

	list->items = xgrow(list->items, list->count, &list->cap, sizeof *list->items);
	list->items[list->count] = (struct write_period){
	    .process = a->process,
	    .connection = a->connection,
	    .file = (uint32_t)file,
	    .locked = locked,
	    .begin = s->position,
	};
	a->open[file] = ++list->count;
	return &list->items[list->count - 1];
}

static void end_period(struct scan *s, size_t actor, size_t file, uint64_t end, uint64_t release)
{
	struct write_period *p = open_period(s, actor, file);

	p->end = end;
	p->release = release;
	p->acks = s->actors[actor].acks;
	s->actors[actor].open[file] = 0;
}

static void add_event(struct scan *s, size_t actor, struct write_period *p, enum commit_kind kind,
		      uint64_t first_write)
{
	p->events = xgrow(p->events, p->event_count, &p->event_cap, sizeof *p->events);
	p->events[p->event_count++] = (struct commit_event){
	    .kind = kind,
	    .first_write = first_write == 0 ? s->position : first_write,
	    .position = s->position,
	    .acks = s->actors[actor].acks,
	};
	p->pending_write = p->pending_database_write = 0;
	p->frame_begin = p->frame_end = 0;
}

/* ---- locks ---- */

static bool covers(const struct op *op, uint64_t byte)
{
	return op->offset <= byte && (op->size == 0 || byte - op->offset < op->size);
}

/* Which write lock of the database an operation is about; 0 for none. */
static unsigned lock_bit(const struct op *op)
{
	if ((op->flags & OP_LOCK_SHM) != 0)
		return covers(op, OP_WAL_WRITE_BYTE) ? HELD_WAL_WRITE : 0;
	return covers(op, OP_RESERVED_BYTE) ? HELD_RESERVED : 0;
}

static size_t *lock_holder(struct scan *s, size_t file, unsigned bit)
{
	struct file_state *f = &s->files[file];

	return bit == HELD_RESERVED ? &f->reserved_holder : &f->wal_write_holder;
}

static void locked(struct scan *s, const struct op *op, size_t file)
{
	unsigned bit = lock_bit(op);
	size_t actor = find_actor(s, op);
	struct write_period *p;
	size_t *holder;

	if (bit == 0 || (op->flags & OP_LOCK_SHARED) != 0)
		return;
	holder = lock_holder(s, file, bit);
	if (*holder != 0 && *holder != actor + 1) {
		/* Locks are exclusive: the last holder died with it, which nothing else shows. */
		p = open_period(s, *holder - 1, file);
		p->held &= ~bit;
		if (p->held == 0)
			end_period(s, *holder - 1, file, s->position - 1, 0);
	}
	*holder = actor + 1;
	p = open_period(s, actor, file);
	if (p != NULL && !p->locked) {
		end_period(s, actor, file, s->position, s->position);
		p = NULL;
	}
	if (p == NULL)
		p = begin_period(s, actor, file, true);
	p->held |= bit;
	p->reserved = p->reserved || bit == HELD_RESERVED;
}

/*
 * The file was closed or the process ended, by itself: does that show that COMMIT had returned?
 * Only when the last thing written is a whole commit, when the thread that closed or ended is the
 * one that committed (another one may have ended it in the middle), and when no sync that this
 * thread began since is under way or has failed.
 */
static bool is_returned(const struct scan *s, const struct op *op, const struct write_period *p)
{
	uint64_t event = p->event_count == 0 ? 0 : p->events[p->event_count - 1].position;
	uint64_t open = 0;

	if (event == 0 || p->pending_write != 0 || write_period_unlogged_tail(p) != 0 ||
	    trace_at(s->t, event)->thread != op->thread)
		return false;
	for (uint64_t i = event + 1; i < s->position; i++) {
		const struct op *o = trace_at(s->t, i);

		if (o->process != op->process || o->thread != op->thread)
			continue;
		if (o->kind == OP_SYNC_BEGIN || o->kind == OP_DIRSYNC_BEGIN)
			open++;
		else if (op_is_sync(o) && o->offset > event)
			open--;
	}
	return open == 0;
}

static void unlocked(struct scan *s, const struct op *op, size_t file)
{
	unsigned bit = lock_bit(op);
	size_t actor = find_actor(s, op);
	struct write_period *p = open_period(s, actor, file);

	if (p == NULL || ((op->flags & OP_LOCK_GONE) != 0 && !is_returned(s, op, p)))
		return;
	if (p->locked && (bit == 0 || (p->held & bit) == 0))
		return;
	if (p->locked) {
		*lock_holder(s, file, bit) = 0;
		p->held &= ~bit;
	}
	if (p->held == 0)
		end_period(s, actor, file, s->position, s->position);
}

/* ---- the rollback journal ---- */

static void note_log_write(struct scan *s, struct write_period *p)
{
	if (p->first_log_write == 0)
		p->first_log_write = s->position;
	if (p->pending_write == 0)
		p->pending_write = s->position;
}

static void journal_finalised(struct scan *s, const struct op *op, size_t file)
{
	size_t actor = find_actor(s, op);
	struct write_period *p = open_period(s, actor, file);

	if (p == NULL)
		return;
	if (p->pending_database_write == 0) {
		/* ROLLBACK finalises its journal as well, but unless the cache spilled it leaves
		 * the database alone. When it did spill, the content is back: the digests show. */
		p->pending_write = 0;
		return;
	}
	add_event(s, actor, p, COMMIT_BY_JOURNAL, p->pending_write);
}

static bool zeroes_journal_header(const struct op *op)
{
	static const uint8_t zeros[JOURNAL_MAGIC_SIZE];

	return op->offset == 0 && op->size >= sizeof zeros &&
	       memcmp(op->data, zeros, sizeof zeros) == 0;
}

static void journal_written(struct scan *s, const struct op *op, size_t file)
{
	size_t actor = find_actor(s, op);
	struct write_period *p = open_period(s, actor, file);

	if (zeroes_journal_header(op)) {
		journal_finalised(s, op, file);
		return;
	}
	if (p == NULL)
		p = begin_period(s, actor, file, false);
	note_log_write(s, p);
	if (p->first_journal_write == 0)
		p->first_journal_write = s->position;
}

/* ---- the database ---- */

static void learn_database_header(struct file_state *f, const uint8_t *data, uint64_t offset,
				  uint64_t size)
{
	const uint8_t *b;
	uint32_t page_size;

	if (offset > DATABASE_PAGE_SIZE_AT || offset + size < DATABASE_PAGE_SIZE_AT + 2)
		return;
	b = data + (DATABASE_PAGE_SIZE_AT - offset);
	page_size = (uint32_t)b[0] << 8 | b[1];
	f->database_page_size = valid_page_size(page_size == 1 ? PAGE_SIZE_MAX : page_size);
}

static void database_changed(struct scan *s, const struct op *op, size_t file)
{
	struct write_period *p = open_period(s, find_actor(s, op), file);

	/* Under the WAL write lock alone this is a checkpoint. */
	if (p == NULL || (p->locked && !p->reserved))
		return;
	if (p->first_database_write == 0)
		p->first_database_write = s->position;
	if (p->pending_database_write == 0)
		p->pending_database_write = s->position;
}

/* ---- the WAL ---- */

static void learn_wal_header(struct file_state *f, const uint8_t *data, uint64_t offset,
			     uint64_t size)
{
	if (offset > WAL_PAGE_SIZE_AT || offset + size < WAL_PAGE_SIZE_AT + 4)
		return;
	f->wal_page_size = valid_page_size(be32(data + (WAL_PAGE_SIZE_AT - offset)));
}

/* Takes the part of the commit field at `at` that the write carries. True when the field is
 * complete and not zero. */
static bool collect_field(struct file_state *f, const struct op *op, uint64_t at)
{
	if (f->field_at != at) {
		f->field_at = at;
		f->field_have = 0;
	}
	for (unsigned i = 0; i < WAL_COMMIT_SIZE; i++) {
		if (at + i < op->offset || at + i >= op->offset + op->size)
			continue;
		f->field[i] = op->data[at + i - op->offset];
		f->field_have |= 1u << i;
	}
	if (f->field_have != (1u << WAL_COMMIT_SIZE) - 1)
		return false;
	f->field_have = 0;
	return be32(f->field) != 0;
}

static void wal_written(struct scan *s, const struct op *op, size_t file)
{
	struct file_state *f = &s->files[file];
	size_t actor = find_actor(s, op);
	struct write_period *p = open_period(s, actor, file);
	uint64_t end = op->offset + op->size;
	uint64_t frame_size;
	uint32_t page_size;

	if (p == NULL)
		p = begin_period(s, actor, file, false);
	if (op->offset < WAL_HEADER_SIZE) {
		/* The log starts again: what lies behind is of another generation. */
		learn_wal_header(f, op->data, op->offset, op->size);
		p->frame_begin = p->frame_end = 0;
	}
	/* The next transaction writes behind the commit frame of the one before. */
	if (op->offset < p->frame_end)
		p->events[p->event_count - 1].position = s->position;
	else
		note_log_write(s, p);

	page_size = f->wal_page_size != 0 ? f->wal_page_size : f->database_page_size;
	if (page_size == 0 || end <= WAL_HEADER_SIZE)
		return;
	frame_size = WAL_FRAME_HEADER_SIZE + page_size;
	uint64_t at = op->offset < WAL_HEADER_SIZE ? 0 : op->offset - WAL_HEADER_SIZE;
	at = WAL_HEADER_SIZE + at / frame_size * frame_size;
	for (; at + WAL_COMMIT_AT < end; at += frame_size) {
		if (at + WAL_COMMIT_AT + WAL_COMMIT_SIZE <= op->offset)
			continue;
		if (!collect_field(f, op, at + WAL_COMMIT_AT))
			continue;
		if (p->frame_end != 0 && p->frame_begin == at)
			continue; /* the same frame again */
		add_event(s, actor, p, COMMIT_BY_FRAME, p->pending_write);
		p->frame_begin = at;
		p->frame_end = at + frame_size;
	}
}

/* ---- promises ---- */

static void acknowledged(struct scan *s, const struct op *op)
{
	size_t actor = find_actor(s, op);

	for (size_t f = 0; f < OBSERVED_FILES_MAX; f++) {
		struct write_period *p = open_period(s, actor, f);
		uint64_t first_write = p == NULL ? 0 : write_period_unlogged_tail(p);

		if (first_write != 0)
			add_event(s, actor, p, COMMIT_BY_ACK, first_write);
	}
	s->actors[actor].acks++;
}

/* ---- the pass ---- */

static void on_write(struct scan *s, const struct op *op)
{
	struct role role = s->role_of_inode[op->inode];

	if (op->size == 0)
		return;
	switch (role.kind) {
	case ROLE_DATABASE:
		learn_database_header(&s->files[role.file], op->data, op->offset, op->size);
		database_changed(s, op, role.file);
		break;
	case ROLE_JOURNAL:
		journal_written(s, op, role.file);
		break;
	case ROLE_WAL:
		wal_written(s, op, role.file);
		break;
	default:
		break;
	}
}

static void on_op(struct scan *s, const struct op *op)
{
	struct role role;

	switch (op->kind) {
	case OP_CREATE:
		name_denotes(s, op->name, op->inode);
		break;
	case OP_LINK:
		name_denotes(s, op->name2, op->inode);
		break;
	case OP_RENAME:
		renamed(s, op);
		break;
	case OP_UNLINK:
		s->inode_of_name[op->name] = 0;
		role = s->role_of_name[op->name];
		if (role.kind == ROLE_JOURNAL)
			journal_finalised(s, op, role.file);
		break;
	case OP_WRITE:
		on_write(s, op);
		break;
	case OP_TRUNCATE:
		role = s->role_of_inode[op->inode];
		if (role.kind == ROLE_DATABASE)
			database_changed(s, op, role.file);
		else if (role.kind == ROLE_JOURNAL && op->size == 0)
			journal_finalised(s, op, role.file);
		break;
	case OP_LOCK:
	case OP_UNLOCK:
		role = s->role_of_inode[op->inode];
		if (role.kind == ROLE_DATABASE && op->kind == OP_LOCK)
			locked(s, op, role.file);
		else if (role.kind == ROLE_DATABASE)
			unlocked(s, op, role.file);
		break;
	case OP_ACK:
		if (s->exact)
			acknowledged(s, op);
		break;
	default:
		break;
	}
}

static void scan_base(struct scan *s)
{
	for (size_t i = 0; i < s->t->base_count; i++) {
		const struct trace_base *base = &s->t->base[i];
		struct role role = s->role_of_name[base->name];

		name_denotes(s, base->name, base->inode);
		if (base->size == 0)
			continue;
		if (role.kind == ROLE_DATABASE)
			learn_database_header(&s->files[role.file], base->data, 0, base->size);
		else if (role.kind == ROLE_WAL)
			learn_wal_header(&s->files[role.file], base->data, 0, base->size);
	}
}

void history_periods_scan(const struct trace *t, char *const *paths, size_t path_count, bool exact,
			  struct write_period_list *ret)
{
	struct scan s = {.t = t, .exact = exact, .list = ret};

	ASSERT_OP(path_count, <=, OBSERVED_FILES_MAX);
	s.role_of_name = xcalloc((size_t)t->name_count + 1, sizeof *s.role_of_name);
	s.inode_of_name = xcalloc((size_t)t->name_count + 1, sizeof *s.inode_of_name);
	s.role_of_inode = xcalloc((size_t)t->inode_count + 1, sizeof *s.role_of_inode);
	for (size_t f = 0; f < path_count; f++) {
		set_role(&s, paths[f], "", ROLE_DATABASE, f);
		set_role(&s, paths[f], "-journal", ROLE_JOURNAL, f);
		set_role(&s, paths[f], "-wal", ROLE_WAL, f);
	}
	scan_base(&s);
	for (size_t i = 0; i < t->op_count; i++) {
		s.position = i + 1;
		on_op(&s, &t->ops[i]);
	}
	for (size_t a = 0; a < s.actor_count; a++)
		for (size_t f = 0; f < path_count; f++)
			if (s.actors[a].open[f] != 0)
				end_period(&s, a, f, t->op_count, 0);
	free(s.actors);
	free(s.role_of_inode);
	free(s.inode_of_name);
	free(s.role_of_name);
}

void history_periods_release(struct write_period_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].events);
	free(list->items);
	memset(list, 0, sizeof *list);
}
