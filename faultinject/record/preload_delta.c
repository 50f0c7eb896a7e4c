/*
 * What a write changes, instead of all that it writes. See preload.h.
 *
 * SQLite writes whole pages, of which little differs from what it wrote for the same page last
 * time, and it writes each page twice, to the log or journal and to the database. Most of what
 * recording costs is fresh memory for the log, so a write is logged as the blocks of 64 bytes that
 * differ from an earlier write of this process, its base (log.h, RECLOG_DELTA). A copy of the last
 * write of each page is kept for that, in a small table. Pages of more than 4096 bytes are logged
 * whole.
 *
 * Which write to compare with is a guess that need not be right: the few bytes before a page in a
 * log or journal, which SQLite writes by themselves, begin with the page's number; in the database
 * the place says it.
 *
 * An entry belongs to who could make it busy; who cannot writes everything. A fork copies the
 * table, and the bases in it stay true, because parent and child write into the same log.
 */
#include "faultinject/record/preload.h"

#include <string.h>
#include <sys/uio.h>

enum {
	BLOCK_SIZE = 64,
	WRITE_SIZE_MIN = 512,
	WRITE_SIZE_MAX = 4096,
	BLOCKS_MAX = WRITE_SIZE_MAX / BLOCK_SIZE,
	NUMBER_SIZE_MAX = 32, /* of a write that may give the number of the page behind it */
	COPIES_MAX = 1024,
	STRETCH = 8, /* blocks */
};

struct copy {
	uint32_t busy; /* atomic */
	uint32_t size;
	uint32_t family, page; /* the database, as a hash of its name; the number */
	uint64_t base;	       /* the record of this content; 0: none */
	uint8_t bytes[WRITE_SIZE_MAX];
};

static struct copy copies[COPIES_MAX];

/* The small write before, of each thread. */
static __thread struct {
	uint64_t ino, end;
	uint32_t number;
} before __attribute__((tls_model("initial-exec")));

uint32_t delta_family(const char *path)
{
	static const char *const suffixes[] = {"-wal", "-journal"};
	size_t size = strlen(path);
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t n = strlen(suffixes[i]);

		if (size > n && strcmp(path + size - n, suffixes[i]) == 0) {
			size -= n;
			break;
		}
	}
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)path[i]) * 16777619u;
	return hash;
}

/* Describes by `pieces` what differs from the copy: a map, and runs of blocks. 0: too much, or in
 * too many places. Brings the copy up to date in any case. */
static int difference(struct copy *c, const uint8_t *data, uint8_t map[BLOCKS_MAX / 8],
		      struct iovec pieces[DELTA_PIECES_MAX])
{
	size_t blocks = c->size / BLOCK_SIZE, changed = 0;
	bool running = false, fits = true;
	int count = 1;

	memset(map, 0, (blocks + 7) / 8);
	pieces[0] = (struct iovec){map, (blocks + 7) / 8};
	for (size_t i = 0; i < blocks; i++) {
		const uint8_t *block = data + i * BLOCK_SIZE;

		/* Most of it is the same, so longer stretches are compared first. */
		if (i % STRETCH == 0 && i + STRETCH <= blocks &&
		    memcmp(block, c->bytes + i * BLOCK_SIZE, STRETCH * BLOCK_SIZE) == 0) {
			running = false;
			i += STRETCH - 1;
			continue;
		}
		if (memcmp(block, c->bytes + i * BLOCK_SIZE, BLOCK_SIZE) == 0) {
			running = false;
			continue;
		}
		memcpy(c->bytes + i * BLOCK_SIZE, block, BLOCK_SIZE);
		map[i / 8] = (uint8_t)(map[i / 8] | 1u << i % 8);
		changed++;
		fits = fits && (running || count < DELTA_PIECES_MAX);
		if (!fits)
			continue;
		if (!running)
			pieces[count++] = (struct iovec){(void *)(uintptr_t)block, 0};
		running = true;
		pieces[count - 1].iov_len += BLOCK_SIZE;
	}
	return fits && changed <= blocks * 3 / 4 ? count : 0;
}

static struct copy *copy_of(const struct reclog_entry *e, const struct iovec *v, uint32_t family)
{
	uint32_t page = (uint32_t)(e->head.offset / v->iov_len) + 1;
	struct copy *c;

	if (before.ino == e->head.ino && before.end == e->head.offset)
		page = __builtin_bswap32(before.number); /* of a big-endian number */
	c = &copies[(page ^ family) % COPIES_MAX];
	if (__atomic_exchange_n(&c->busy, 1, __ATOMIC_ACQUIRE) != 0)
		return NULL;
	if (c->page != page || c->family != family || c->size != v->iov_len) {
		c->page = page;
		c->family = family;
		c->size = (uint32_t)v->iov_len;
		c->base = 0;
	}
	return c;
}

struct preload_call delta_begin(struct reclog_entry *e, const struct iovec *v, int count,
				uint32_t family)
{
	struct iovec pieces[DELTA_PIECES_MAX];
	uint8_t map[BLOCKS_MAX / 8];
	struct preload_call call;
	struct copy *c;
	int n = 0;

	if (count == 1 && v->iov_len >= sizeof before.number && v->iov_len <= NUMBER_SIZE_MAX) {
		before.ino = e->head.ino;
		before.end = e->head.offset + v->iov_len;
		memcpy(&before.number, v->iov_base, sizeof before.number);
	}
	if (count != 1 || v->iov_len < WRITE_SIZE_MIN || v->iov_len > WRITE_SIZE_MAX ||
	    v->iov_len % BLOCK_SIZE != 0 || preload_self.vforked ||
	    (c = copy_of(e, v, family)) == NULL)
		return preload_begin_pieces(e, v, count);
	if (c->base != 0)
		n = difference(c, v->iov_base, map, pieces);
	else
		memcpy(c->bytes, v->iov_base, c->size);
	if (n > 0) {
		e->head.flags |= RECLOG_DELTA;
		e->head.begin = c->base;
		e->head.length = c->size;
		call = preload_begin_pieces(e, pieces, n);
	} else {
		call = preload_begin_pieces(e, v, count);
	}
	c->base = call.begin;
	__atomic_store_n(&c->busy, 0, __ATOMIC_RELEASE);
	return call;
}
