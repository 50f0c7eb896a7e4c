/*
 * See log_read.h. Two passes over the mapped log: the first finds which BEGIN has an END, the
 * second makes the calls.
 */
#include "faultinject/record/log_read.h"

#include "faultinject/base/buf.h"
#include "faultinject/record/log.h"
#include "faultinject/record/log_read_internal.h"
#include "faultinject/record/map.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DELTA_BLOCK = 64 }; /* log.h, RECLOG_DELTA */

/* What is known of a BEGIN. */
struct begun {
	uint64_t offset; /* of the record; the key */
	bool ended;
	size_t call; /* of a call with two ends: its first; of others: how many there were then */
	const uint8_t *data; /* of a write, whole; borrowed from the list */
	size_t data_size;
	UT_hash_handle hh;
};

/* The last name of a file. */
struct named {
	struct named_key {
		uint64_t dev, ino;
	} key;
	const char *path;
	UT_hash_handle hh;
};

/* ---- records ---- */

static uint64_t round_up(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}

/* The record at `offset`, if what stands there can be one. It may not be whole. */
static const struct reclog_record *record_at(const struct log_reader *r, uint64_t offset)
{
	const struct reclog_record *rec = (const struct reclog_record *)(r->map + offset);

	if (r->end - offset < sizeof *rec || rec->tag != (RECLOG_TAG ^ offset) ||
	    rec->size < sizeof *rec || rec->size % 8 != 0 || rec->size > r->end - offset)
		return NULL;
	return rec;
}

/* Do the parts fill the record? */
static bool is_sound(const struct reclog_record *rec)
{
	uint64_t room = rec->size - sizeof *rec;

	if (rec->type < 1 || rec->type > RECLOG_TYPE_MAX || rec->moment < RECLOG_ONCE ||
	    rec->moment > RECLOG_END || rec->path_size > room || rec->path2_size > room ||
	    rec->data_size > room)
		return false;
	return round_up((uint64_t)rec->path_size + rec->path2_size + rec->data_size) == room;
}

void log_add_trouble(struct log_reader *r, const char *text)
{
	struct call *c = call_list_add(r->calls);
	size_t size = strlen(text);

	c->kind = CALL_TROUBLE;
	c->data = memcpy(arena_alloc(&r->calls->arena, size + 1), text, size + 1);
	c->data_size = size;
}

/* The first record at or after `offset`, in *ret; false at the end. What lies between is of a
 * process that died before it could say how much it had taken, or damage. */
static bool next_record(struct log_reader *r, uint64_t *offset, const struct reclog_record **ret,
			bool *ret_damage)
{
	for (; *offset + sizeof(struct reclog_record) <= r->end; *offset += 8) {
		uint64_t word;

		*ret = record_at(r, *offset);
		if (*ret != NULL)
			return true;
		memcpy(&word, r->map + *offset, sizeof word);
		/* Its tag, then nothing: a process that was killed just then. */
		if (word != 0 && word != (RECLOG_TAG ^ *offset))
			*ret_damage = true;
	}
	return false;
}

static const char *copy_text(struct log_reader *r, const uint8_t *at, size_t size)
{
	if (size == 0)
		return NULL;
	char *text = arena_alloc(&r->calls->arena, size + 1);

	memcpy(text, at, size);
	text[size] = '\0';
	return text;
}

static struct named *find_name(struct log_reader *r, uint64_t dev, uint64_t ino)
{
	const struct named_key key = {dev, ino};
	struct named *n;

	HASH_FIND(hh, r->names, &key, sizeof key, n);
	return n;
}

/* Remembers the name of an OPEN or FILE, gives it to a LOCK or UNLOCK that has none. */
static void follow_name(struct log_reader *r, struct call *c)
{
	struct named *n = find_name(r, c->dev, c->ino);

	if (c->kind == CALL_LOCK || c->kind == CALL_UNLOCK) {
		c->path = c->path == NULL && n != NULL ? n->path : c->path;
		return;
	}
	if ((c->kind != CALL_OPEN && c->kind != CALL_FILE) || c->path == NULL)
		return;
	if (n == NULL) {
		n = xcalloc(1, sizeof *n);
		n->key = (struct named_key){c->dev, c->ino};
		HASH_ADD(hh, r->names, key, sizeof n->key, n);
	}
	n->path = c->path;
}

static struct begun *find_begun(struct log_reader *r, uint64_t offset)
{
	struct begun *b;

	HASH_FIND(hh, r->begun, &offset, sizeof offset, b);
	return b;
}

/* ---- calls ---- */

static uint32_t flags_of(const struct reclog_record *rec)
{
	static const struct {
		uint16_t from;
		uint32_t to;
	} table[] = {
	    {RECLOG_EXISTED, CALL_EXISTED},
	    {RECLOG_TRUNCATED, CALL_TRUNCATED},
	    {RECLOG_DATA_ONLY, CALL_DATA_ONLY},
	    {RECLOG_SHARED, CALL_SHARED},
	    {RECLOG_SHM, CALL_SHM},
	    {RECLOG_DSYNC, CALL_DSYNC},
	};
	uint32_t flags = 0;

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if ((rec->flags & table[i].from) != 0)
			flags |= table[i].to;
	return flags;
}

struct call *log_add_call(struct log_reader *r, const struct reclog_record *rec,
			  enum call_kind kind)
{
	const uint8_t *at = (const uint8_t *)(rec + 1);
	const char *path = copy_text(r, at, rec->path_size);
	const char *path2 = copy_text(r, at + rec->path_size, rec->path2_size);
	struct call *c = call_list_add(r->calls);

	c->kind = kind;
	c->flags = flags_of(rec);
	c->pid = rec->pid;
	c->tid = rec->tid;
	c->mode = rec->mode;
	c->dev = rec->dev;
	c->ino = rec->ino;
	c->path = path;
	c->path2 = path2;
	c->offset = rec->offset;
	c->length = rec->length;
	c->result = rec->result;
	c->data = at + rec->path_size + rec->path2_size;
	c->data_size = rec->data_size;
	c->begin = r->calls->count - 1;
	return c;
}

/* Calls that have an end of their own in the list of calls. */
static bool has_two_ends(uint8_t type)
{
	return type == RECLOG_SYNC || type == RECLOG_DIRSYNC || type == RECLOG_SYNC_ALL ||
	       type == RECLOG_DIGEST;
}

static enum call_kind kind_of(uint8_t type, bool end)
{
	switch (type) {
	case RECLOG_PROCESS:
		return CALL_PROCESS;
	case RECLOG_EXIT:
		return CALL_EXIT;
	case RECLOG_BLIND:
		return CALL_BLIND;
	case RECLOG_FILE:
		return CALL_FILE;
	case RECLOG_CONTENT:
		return CALL_CONTENT;
	case RECLOG_OPEN:
		return CALL_OPEN;
	case RECLOG_WRITE:
		return CALL_WRITE;
	case RECLOG_TRUNCATE:
		return CALL_TRUNCATE;
	case RECLOG_ALLOCATE:
		return CALL_ALLOCATE;
	case RECLOG_SYNC:
		return end ? CALL_SYNC_END : CALL_SYNC_BEGIN;
	case RECLOG_DIRSYNC:
		return end ? CALL_DIRSYNC_END : CALL_DIRSYNC_BEGIN;
	case RECLOG_SYNC_ALL:
		return end ? CALL_SYNC_ALL_END : CALL_SYNC_ALL_BEGIN;
	case RECLOG_RENAME:
		return CALL_RENAME;
	case RECLOG_UNLINK:
		return CALL_UNLINK;
	case RECLOG_LINK:
		return CALL_LINK;
	case RECLOG_LOCK:
		return CALL_LOCK;
	case RECLOG_UNLOCK:
		return CALL_UNLOCK;
	case RECLOG_CLOSE:
		return CALL_CLOSE;
	case RECLOG_DIGEST:
		return end ? CALL_DIGEST_END : CALL_DIGEST_BEGIN;
	case RECLOG_MAPPED:
		return CALL_MAPPED;
	case RECLOG_OUTPUT:
		return CALL_OUTPUT;
	case RECLOG_MARK:
		return CALL_MARK;
	case RECLOG_STATEMENT:
		return CALL_STATEMENT;
	default:
		return CALL_TROUBLE;
	}
}

/* What a write wrote: its record's data, or, of a delta, its base with the blocks that differ.
 * False: the base is not there. */
static bool find_data(struct log_reader *r, const struct reclog_record *rec, struct begun *b)
{
	const uint8_t *from = (const uint8_t *)(rec + 1) + rec->path_size + rec->path2_size;
	const struct begun *base;
	size_t blocks = rec->length / DELTA_BLOCK, at = (blocks + 7) / 8, i;
	uint8_t *data;

	b->data = from;
	b->data_size = rec->data_size;
	if ((rec->flags & RECLOG_DELTA) == 0)
		return true;
	b->data = NULL;
	b->data_size = 0;
	base = rec->begin < b->offset ? find_begun(r, rec->begin) : NULL;
	if (base == NULL || base->data == NULL || base->data_size != rec->length ||
	    rec->length % DELTA_BLOCK != 0 || rec->data_size < at)
		return false;
	data = memcpy(arena_alloc(&r->calls->arena, rec->length), base->data, rec->length);
	for (i = 0; i < blocks; i++) {
		if ((from[i / 8] & 1u << i % 8) == 0)
			continue;
		if (rec->data_size - at < DELTA_BLOCK)
			return false;
		memcpy(data + i * DELTA_BLOCK, from + at, DELTA_BLOCK);
		at += DELTA_BLOCK;
	}
	b->data = data;
	b->data_size = rec->length;
	return true;
}

static void on_begin(struct log_reader *r, const struct reclog_record *rec, struct begun *b)
{
	b->call = r->calls->count;
	if (rec->type == RECLOG_WRITE && !find_data(r, rec, b))
		log_add_trouble(r,
				"the recording is damaged: a write was lost that others refer to");
	if (has_two_ends(rec->type) || rec->type == RECLOG_FILE) {
		/* The content of a FILE follows it; one that its process did not finish counts as
		 * never begun, and so does its content, which names it. */
		if (rec->type != RECLOG_FILE || b->ended)
			follow_name(r, log_add_call(r, rec, kind_of(rec->type, false)));
	} else if (!b->ended) {
		struct call *c = log_add_call(r, rec, kind_of(rec->type, false));

		c->flags |= CALL_PERHAPS;
		if (rec->type == RECLOG_WRITE) {
			c->data = b->data;
			c->data_size = b->data_size;
			if (rec->length > 0 && rec->data_size == 0)
				log_add_trouble(
				    r, "a process was killed while the kernel copied for it");
		}
	}
}

/* A call as its BEGIN and its END say together. */
static void on_end(struct log_reader *r, const struct reclog_record *end)
{
	const struct begun *b = find_begun(r, end->begin);
	const struct reclog_record *begin = b == NULL ? NULL : record_at(r, end->begin);
	struct call *c;

	if (begin == NULL || begin->type != end->type || end->type == RECLOG_FILE || begin >= end)
		return;
	if (has_two_ends(end->type)) {
		c = log_add_call(r, end, kind_of(end->type, true));
		c->begin = b->call;
		if (end->type == RECLOG_DIGEST)
			c->hash = end->offset;
		if (c->path == NULL)
			c->path = r->calls->items[b->call].path;
		if (c->ino == 0) {
			c->dev = begin->dev;
			c->ino = begin->ino;
		}
		return;
	}
	if (end->result < 0)
		return;
	c = log_add_call(r, begin, kind_of(end->type, false));
	c->begin = b->call;
	c->result = end->result;
	if (end->ino != 0) {
		c->dev = end->dev;
		c->ino = end->ino;
	}
	c->flags |= flags_of(end);
	follow_name(r, c);
	if (end->type != RECLOG_WRITE)
		return;
	if ((begin->flags & RECLOG_APPEND) != 0)
		c->offset = end->offset;
	c->data = b->data;
	c->data_size = b->data_size;
	if (begin->data_size == 0) { /* copied from another descriptor */
		const uint8_t *data = (const uint8_t *)(end + 1);

		c->data = data + end->path_size + end->path2_size;
		c->data_size = end->data_size;
	}
	if ((uint64_t)end->result < c->data_size)
		c->data_size = (size_t)end->result;
}

/* ---- the passes ---- */

static void on_once(struct log_reader *r, const struct reclog_record *rec)
{
	if (rec->type == RECLOG_OUTPUT) {
		log_on_output(r, rec);
	} else if (rec->type == RECLOG_MARK) {
		log_on_marks(r, rec);
	} else if (rec->type == RECLOG_CONTENT) {
		const struct begun *b = find_begun(r, rec->begin);

		if (b != NULL && b->ended)
			(void)log_add_call(r, rec, CALL_CONTENT);
	} else if (rec->result >= 0 || rec->type == RECLOG_EXIT) {
		struct call *c = log_add_call(r, rec, kind_of(rec->type, false));

		if (rec->type == RECLOG_PROCESS)
			c->other_pid = (uint32_t)rec->length;
		follow_name(r, c);
		/* Only names a WAL index. */
		if (c->kind == CALL_OPEN && (c->flags & CALL_SHM) != 0)
			r->calls->count--;
	}
}

static void find_ends(struct log_reader *r)
{
	const struct reclog_record *rec;
	bool damage = false;

	for (uint64_t at = RECLOG_START; next_record(r, &at, &rec, &damage); at += rec->size) {
		if (rec->state != RECLOG_WHOLE || !is_sound(rec))
			continue;
		if (rec->moment == RECLOG_BEGIN) {
			struct begun *b = xcalloc(1, sizeof *b);

			b->offset = at;
			HASH_ADD(hh, r->begun, offset, sizeof b->offset, b);
		} else if (rec->moment == RECLOG_END) {
			struct begun *b = find_begun(r, rec->begin);

			if (b != NULL)
				b->ended = true;
		}
	}
}

static void make_calls(struct log_reader *r)
{
	const struct reclog_record *rec;
	bool damage = false;

	for (uint64_t at = RECLOG_START; next_record(r, &at, &rec, &damage); at += rec->size) {
		if (damage || (rec->state == RECLOG_WHOLE && !is_sound(rec)))
			log_add_trouble(r, "the recording is damaged: something wrote over it");
		damage = false;
		if (rec->state != RECLOG_WHOLE || !is_sound(rec))
			continue;
		if (rec->moment == RECLOG_BEGIN)
			on_begin(r, rec, find_begun(r, at));
		else if (rec->moment == RECLOG_END)
			on_end(r, rec);
		else
			on_once(r, rec);
	}
	if (damage)
		log_add_trouble(r, "the recording is damaged: something wrote over its end");
}

static void say_header(struct log_reader *r, const struct reclog_header *h)
{
	if ((h->trouble & RECLOG_FULL) != 0)
		log_add_trouble(r, "the recording found no more room on the disk");
	if ((h->trouble & RECLOG_TOO_MANY_DATABASES) != 0)
		log_add_trouble(r,
				"the program opened more databases than a recording has room for");
	if ((h->trouble & RECLOG_NOT_MAPPED) != 0)
		log_add_trouble(
		    r, "a program could not map the recording (a limit on its address space), so "
		       "what it did is not in it");
}

/* The bytes of the file that were taken: it is as large as a log may become. 0: it is no log, or
 * of another format. */
static uint64_t size_taken(int fd, uint64_t file_size, uint32_t *ret_format)
{
	const struct reclog_header *h;
	uint64_t size = 0;
	void *map;

	*ret_format = RECLOG_FORMAT;
	if (file_size < RECLOG_START)
		return 0;
	map = mmap(NULL, RECLOG_START, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 0;
	h = map;
	if (h->magic == RECLOG_MAGIC && h->format != RECLOG_FORMAT)
		*ret_format = h->format;
	else if (h->magic == RECLOG_MAGIC)
		size = h->tail > file_size	? file_size
		       : h->tail < RECLOG_START ? RECLOG_START
						: h->tail;
	(void)munmap(map, RECLOG_START);
	return size;
}

static int map_log(const char *path, const uint8_t **ret_map, uint64_t *ret_size, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st = {0};
	uint64_t size = 0;
	uint32_t format;
	void *map;
	int rc = 0;

	if (fd < 0 || fstat(fd, &st) != 0)
		rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
	else if ((size = size_taken(fd, (uint64_t)st.st_size, &format)) == 0)
		rc = format == RECLOG_FORMAT
			 ? err_set(err, ERR_INPUT, "%s: no recording", path)
			 : err_set(err, ERR_INPUT,
				   "%s: a recording of format %u; this program reads %d", path,
				   format, RECLOG_FORMAT);
	if (rc == 0) {
		map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
		else
			*ret_map = map, *ret_size = size;
	}
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int log_read(const char *path, struct call_list *ret, struct err *err)
{
	struct log_reader r = {.calls = ret};
	uint64_t size = 0;
	int rc = map_log(path, &r.map, &size, err);

	if (rc != 0)
		return rc;
	ret->map = r.map;
	ret->map_size_bytes = size;
	r.end = size;

	const struct reclog_header *h = (const struct reclog_header *)r.map;

	log_read_watched(h->output_path, &r.output);
	log_read_watched(h->mark_path, &r.marks);
	find_ends(&r);
	make_calls(&r);
	say_header(&r, h);
	MAP_FREE(r.begun);
	MAP_FREE(r.names);
	buf_release(&r.output);
	buf_release(&r.marks);
	return 0;
}

bool log_is_one(const char *path)
{
	uint64_t magic = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is = fd >= 0 && read(fd, &magic, sizeof magic) == (ssize_t)sizeof magic &&
		  magic == RECLOG_MAGIC;

	if (fd >= 0)
		(void)close(fd);
	return is;
}
