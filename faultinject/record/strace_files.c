/*
 * See strace_internal.h. The files of databases, by name, and their bytes as far as the text tells
 * them: what the program wrote, and what it read.
 *
 * A byte that is read and that nobody wrote was there at the start: that is how the content of a
 * database that existed is learnt. A byte that is read and is not what we know was written by
 * somebody who is not shown (another program, a mapping): trouble, as is a size that is not ours.
 * Both are asked only when no call was changing the file meanwhile.
 *
 *     known changed   the byte
 *       0      0      what it was at the start, which nobody read; zero from first_limit on
 *       1      0      what it was at the start, which was read
 *       1      1      was written
 *       0      1      may have been written, by a call that never returned
 */
#include "faultinject/record/strace_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

struct name *strace_name_get(struct importer *m, const char *path)
{
	struct name *n;

	HASH_FIND_STR(m->names, path, n);
	if (n != NULL)
		return n;
	if (HASH_COUNT(m->names) == STRACE_PATHS_MAX) {
		importer_fail(m, ERR_LIMIT, "more than %d files", STRACE_PATHS_MAX);
		return NULL;
	}
	n = xcalloc(1, sizeof *n);
	n->path = xstrdup(path);
	HASH_ADD_KEYPTR(hh, m->names, n->path, strlen(n->path), n);
	return n;
}

struct file *strace_file_create(struct importer *m, const struct task *t, struct name *n,
				enum existed existed)
{
	struct file *f = xcalloc(1, sizeof *f);

	f->ino = ++m->file_count;
	f->path = xstrdup(n->path);
	f->part = strace_part(m, n->path);
	f->existed = existed;
	f->compares = true;
	f->file_call = m->list->count;
	f->open_call = SIZE_MAX;
	*m->files_end = f;
	m->files_end = &f->next;
	if (existed == EXISTED_NO) {
		f->size_known = f->size_first_known = true;
	} else {
		f->first_limit = UINT64_MAX;
		if (existed == EXISTED_YES && n->present)
			strace_file_has_size(m, t, f, n->size);
	}
	n->file = f;
	n->absent = n->present = false;
	(void)importer_call(m, CALL_FILE, t, f);
	return f;
}

static void blocks_free(struct file *f, uint64_t from)
{
	struct block *b = f->blocks, *next;

	HASH_CLEAR(hh, f->blocks);
	for (; b != NULL; b = next) {
		next = b->hh.next;
		if (b->number < from)
			HASH_ADD(hh, f->blocks, number, sizeof b->number, b);
		else
			free(b);
	}
}

void strace_files_free(struct importer *m)
{
	struct name *n = m->names, *next;

	HASH_CLEAR(hh, m->names);
	for (; n != NULL; n = next) {
		next = n->hh.next;
		free(n->path);
		free(n);
	}
	while (m->files != NULL) {
		struct file *f = m->files;

		m->files = f->next;
		blocks_free(f, 0);
		free(f->learnt);
		free(f->doubts);
		free(f->path);
		free(f);
	}
}

/* ---- bytes ---- */

static bool bit(const uint8_t *bits, size_t i)
{
	return (bits[i / 8] & 1u << (i % 8)) != 0;
}

static void set_bits(uint8_t *bits, size_t from, size_t to, bool value)
{
	for (size_t i = from; i < to; i++) {
		if (i % 8 == 0 && to - i >= 8) {
			bits[i / 8] = value ? 0xff : 0;
			i += 7;
		} else if (value) {
			bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
		} else {
			bits[i / 8] = (uint8_t)(bits[i / 8] & ~(1u << (i % 8)));
		}
	}
}

static bool all_bits(const uint8_t *bits)
{
	for (size_t i = 0; i < STRACE_BLOCK / 8; i++)
		if (bits[i] != 0xff)
			return false;
	return true;
}

static struct block *find_block(const struct file *f, uint64_t number)
{
	struct block *b;

	HASH_FIND(hh, f->blocks, &number, sizeof number, b);
	return b;
}

static struct block *get_block(struct file *f, uint64_t number)
{
	struct block *b = find_block(f, number);

	if (b == NULL) {
		b = xcalloc(1, sizeof *b);
		b->number = number;
		HASH_ADD(hh, f->blocks, number, sizeof b->number, b);
	}
	return b;
}

static void grow(struct file *f, uint64_t end)
{
	if (end > f->size)
		f->size = end;
}

static void put_bytes(struct file *f, uint64_t offset, const uint8_t *data, size_t size,
		      bool certain)
{
	for (size_t done = 0; done < size;) {
		size_t from = (size_t)((offset + done) % STRACE_BLOCK);
		size_t n = STRACE_BLOCK - from < size - done ? STRACE_BLOCK - from : size - done;
		struct block *b = get_block(f, (offset + done) / STRACE_BLOCK);

		memcpy(b->data + from, data + done, n);
		set_bits(b->known, from, from + n, certain);
		set_bits(b->changed, from, from + n, true);
		done += n;
	}
	if (offset + size > f->written_end)
		f->written_end = offset + size;
	if (certain)
		grow(f, offset + size);
	else if (offset + size > f->size)
		f->size_known = false;
	f->changes++;
}

static void cut_to(struct file *f, uint64_t size)
{
	struct block *b;

	f->changes++;
	/* A size that was not shown before is not shown any more. */
	if (size < f->first_limit)
		f->first_limit = size;
	blocks_free(f, (size + STRACE_BLOCK - 1) / STRACE_BLOCK);
	b = find_block(f, size / STRACE_BLOCK);
	if (b != NULL) {
		set_bits(b->known, (size_t)(size % STRACE_BLOCK), STRACE_BLOCK, false);
		set_bits(b->changed, (size_t)(size % STRACE_BLOCK), STRACE_BLOCK, false);
	}
	f->size = size;
	f->size_known = true;
}

/* ---- doubts ---- */

static void drop_doubt(struct file *f, size_t i)
{
	f->doubt_count--;
	memmove(f->doubts + i, f->doubts + i + 1, (f->doubt_count - i) * sizeof *f->doubts);
}

static void resolve(struct importer *m, struct file *f, size_t i, bool happened)
{
	const struct doubt d = f->doubts[i];

	drop_doubt(f, i);
	importer_decide(m, d.call, happened);
	if (!happened)
		return;
	if (d.kind == CALL_TRUNCATE)
		cut_to(f, d.length);
	else
		put_bytes(f, d.offset, d.data, (size_t)d.length, true);
}

/* Nobody will know, because bytes from..to are changed now; it counts as happened. */
static void forget_doubts(struct file *f, uint64_t from, uint64_t to)
{
	for (size_t i = f->doubt_count; i-- > 0;) {
		const struct doubt d = f->doubts[i];

		if (d.kind == CALL_WRITE && (d.offset >= to || from >= d.offset + d.length))
			continue;
		drop_doubt(f, i);
		if (d.kind == CALL_WRITE)
			put_bytes(f, d.offset, d.data, (size_t)d.length, false);
		else
			f->compares = false;
	}
}

void strace_file_doubt(struct importer *m, struct file *f, size_t call)
{
	const struct call *c = &m->list->items[call];

	f->doubts = xgrow(f->doubts, f->doubt_count, &f->doubt_cap, sizeof *f->doubts);
	f->doubts[f->doubt_count++] =
	    (struct doubt){.kind = c->kind,
			   .call = call,
			   .offset = c->offset,
			   .length = c->kind == CALL_WRITE ? c->data_size : c->length,
			   .data = c->data};
}

static void doubts_by_size(struct importer *m, struct file *f, uint64_t size)
{
	for (size_t i = 0; i < f->doubt_count && f->size_known;) {
		const struct doubt *d = &f->doubts[i];
		uint64_t end = d->offset + d->length;

		if (d->kind == CALL_WRITE && end > f->size)
			resolve(m, f, i, size >= end);
		else if (d->kind == CALL_TRUNCATE && d->length != f->size)
			resolve(m, f, i, size == d->length);
		else
			i++;
	}
}

/* Could the byte be `value` if the doubtful write did not happen? */
static bool was_byte(const struct file *f, uint64_t at, uint8_t value)
{
	const struct block *b = find_block(f, at / STRACE_BLOCK);
	size_t i = (size_t)(at % STRACE_BLOCK);

	if (f->size_known && at >= f->size)
		return false;
	if (b != NULL && (bit(b->known, i) || bit(b->changed, i)))
		return !bit(b->known, i) || b->data[i] == value;
	return at < f->first_limit || value == 0;
}

static void doubts_by_bytes(struct importer *m, struct file *f, uint64_t offset,
			    const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < f->doubt_count;) {
		const struct doubt *d = &f->doubts[i];
		uint64_t from = d->offset > offset ? d->offset : offset;
		uint64_t end = d->offset + d->length;
		uint64_t to = end < offset + size ? end : offset + size;
		bool as_new = true, as_old = true;

		for (uint64_t at = from; d->kind == CALL_WRITE && at < to; at++) {
			uint8_t value = data[at - offset];

			as_new = as_new && value == d->data[at - d->offset];
			as_old = as_old && was_byte(f, at, value);
		}
		if (d->kind != CALL_WRITE || from >= to || (as_new && as_old))
			i++;
		else
			resolve(m, f, i, !as_old);
	}
}

/* ---- what is done and seen ---- */

void strace_file_write(struct file *f, uint64_t offset, const uint8_t *data, size_t size)
{
	forget_doubts(f, offset, offset + size);
	put_bytes(f, offset, data, size, true);
}

void strace_file_truncate(struct file *f, uint64_t size)
{
	forget_doubts(f, 0, UINT64_MAX);
	cut_to(f, size);
}

void strace_file_has_size(struct importer *m, const struct task *t, struct file *f, uint64_t size)
{
	doubts_by_size(m, f, size);
	if (f->size_known) {
		if (size != f->size && f->compares)
			importer_trouble(m, t, f,
					 "%s has %llu bytes, and what is shown makes it %llu: "
					 "somebody else wrote, or the text shows too little",
					 f->path, (unsigned long long)size,
					 (unsigned long long)f->size);
		f->size = size;
		return;
	}
	/* The size that it had, unless a write that is longer than that made this one. */
	if (!f->size_first_known && (f->changes == 0 || size > f->written_end)) {
		f->size_first = size;
		f->size_first_known = true;
		if (size < f->first_limit)
			f->first_limit = size;
	}
	f->size = size;
	f->size_known = true;
}

static void learn(struct importer *m, struct file *f, uint64_t offset, const uint8_t *data,
		  size_t size)
{
	f->learnt = xgrow(f->learnt, f->learnt_count, &f->learnt_cap, sizeof *f->learnt);
	f->learnt[f->learnt_count++] = (struct learnt){offset, size, importer_data(m, data, size)};
	if (!f->size_known)
		grow(f, offset + size);
}

/* Of one block, from byte `from` on. The first byte that differs, or `size`. */
static size_t block_has_bytes(struct importer *m, struct file *f, uint64_t number, size_t from,
			      const uint8_t *data, size_t size)
{
	struct block *b = find_block(f, number);
	uint64_t base = number * STRACE_BLOCK;
	size_t differs = size;

	if (b != NULL && all_bits(b->known) && memcmp(b->data + from, data, size) == 0)
		return size;
	b = get_block(f, number);
	for (size_t i = 0; i < size;) {
		size_t at = from + i, run = i;

		if (bit(b->known, at) || bit(b->changed, at) || base + at >= f->first_limit) {
			uint8_t expected = bit(b->known, at) ? b->data[at] : 0;

			if (data[i] != expected && (bit(b->known, at) || !bit(b->changed, at)) &&
			    differs == size)
				differs = i;
			i++;
			continue;
		}
		while (run < size && !bit(b->known, from + run) && !bit(b->changed, from + run) &&
		       base + from + run < f->first_limit)
			run++;
		learn(m, f, base + at, data + i, run - i);
		i = run;
	}
	memcpy(b->data + from, data, size);
	set_bits(b->known, from, from + size, true);
	return differs;
}

void strace_file_has_bytes(struct importer *m, const struct task *t, struct file *f,
			   uint64_t offset, const uint8_t *data, size_t size)
{
	bool said = false;

	doubts_by_bytes(m, f, offset, data, size);
	for (size_t done = 0; done < size;) {
		size_t from = (size_t)((offset + done) % STRACE_BLOCK);
		size_t n = STRACE_BLOCK - from < size - done ? STRACE_BLOCK - from : size - done;
		size_t differs =
		    block_has_bytes(m, f, (offset + done) / STRACE_BLOCK, from, data + done, n);

		if (differs < n && !said && f->compares)
			importer_trouble(m, t, f,
					 "byte %" PRIu64
					 " of %s is not what is shown to have been written: "
					 "somebody else wrote, or the text shows too little",
					 offset + done + differs, f->path);
		said = said || differs < n;
		done += n;
	}
}

/* ---- the end ---- */

static int compare_learnt(const void *a, const void *b)
{
	const struct learnt *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void put_content(struct importer *m, const struct call *file, uint64_t offset,
			const uint8_t *data, size_t size)
{
	const struct call of = *file;
	struct call *c = importer_call(m, CALL_CONTENT, NULL, NULL);

	c->pid = of.pid;
	c->tid = of.tid;
	c->ino = of.ino;
	c->path = of.path;
	c->offset = offset;
	c->data = data;
	c->data_size = size;
}

/* Zeros for what nobody read. */
static uint64_t put_zeros(struct importer *m, const struct call *file, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[1 << 20];

	for (uint64_t at = from; at < to;) {
		size_t n = to - at < sizeof zeros ? (size_t)(to - at) : sizeof zeros;

		put_content(m, file, at, zeros, n);
		at += n;
	}
	return to - from;
}

static void settle_content(struct importer *m, struct file *f)
{
	struct call file = m->list->items[f->file_call];
	uint64_t at = 0, unread = 0;
	size_t i = 0;

	if (f->learnt_count > 0)
		qsort(f->learnt, f->learnt_count, sizeof *f->learnt, compare_learnt);
	while (at < f->size_first) {
		const struct learnt *l = i < f->learnt_count ? &f->learnt[i] : NULL;

		if (l != NULL && l->offset < at) {
			i++; /* read twice, and not known to be */
			continue;
		}
		uint64_t next = l != NULL && l->offset < f->size_first ? l->offset : f->size_first;

		if (next - at > STRACE_UNREAD_MAX - unread) {
			importer_trouble(m, NULL, f,
					 "%s is cut at byte %llu: more than %d bytes were not read",
					 f->path, (unsigned long long)at, STRACE_UNREAD_MAX);
			break;
		}
		unread += put_zeros(m, &file, at, next);
		at = next;
		if (next == f->size_first)
			break;
		/* What was read in one piece lies within the file, or its size is in trouble. */
		size_t size = l->size;

		if (size > f->size_first - at)
			size = (size_t)(f->size_first - at);
		put_content(m, &file, at, l->data, size);
		at += size;
		i++;
	}
	m->list->items[f->file_call].length = at;
	if (unread == 0 || f->part != PART_DATABASE)
		return;
	importer_trouble(m, NULL, f,
			 "%s existed, and nothing shows %llu of its %llu bytes: let a program such "
			 "as cksum read it first, under the same strace",
			 f->path, (unsigned long long)unread, (unsigned long long)f->size_first);
}

static void settle(struct importer *m, struct file *f)
{
	struct call *file;
	bool shown = f->size_first_known;

	m->line = m->text.events[m->text.event_count - 1].line;
	if (!shown)
		for (size_t i = 0; i < f->learnt_count; i++)
			if (f->learnt[i].offset + f->learnt[i].size > f->size_first)
				f->size_first = f->learnt[i].offset + f->learnt[i].size;
	if (f->existed == EXISTED_PERHAPS) {
		f->existed = f->size_first > 0 ? EXISTED_YES : EXISTED_NO;
		if (!shown && f->size_first == 0)
			importer_trouble(m, NULL, f, "nothing shows whether %s existed", f->path);
	} else if (f->existed == EXISTED_YES && !shown) {
		importer_trouble(m, NULL, f, "nothing shows how large %s was", f->path);
	}
	if (f->existed != EXISTED_YES)
		return;
	file = &m->list->items[f->file_call];
	file->flags |= CALL_EXISTED;
	if (f->open_call != SIZE_MAX)
		m->list->items[f->open_call].flags |= CALL_EXISTED;
	settle_content(m, f);
}

void strace_files_settle(struct importer *m)
{
	for (struct file *f = m->files; f != NULL && m->rc == 0; f = f->next)
		settle(m, f);
}
