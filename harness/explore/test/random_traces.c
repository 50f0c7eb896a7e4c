/* See random_traces.h. */
#include "harness/explore/test/random_traces.h"

#include "faultinject/base/hash.h"
#include "faultinject/base/prng.h"
#include "faultinject/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	NAMES = RANDOM_NAMES,
	OPS_MAX = 14,
	READS = 7,
	FILE_SIZE_MAX = 2100, /* five sectors of 512 bytes */
};

static const char *const names[NAMES] = {"/d/a", "/d/b", "/e/c"};

/* ---- random traces ------------------------------------------------------------------------- */

struct maker {
	struct prng r;
	struct trace *t;
	uint32_t inode_of[NAMES]; /* live; 0 = none */
	uint64_t size[64];	  /* by inode */
	bool syncing;
};

static void append(struct maker *m, struct op op)
{
	op.process = op.thread = op.connection = 1;
	(void)trace_append(m->t, &op);
}

static void make_write(struct maker *m, uint32_t inode)
{
	uint8_t data[700];
	uint64_t offset = prng_below(&m->r, 1400);
	size_t size = 1 + (size_t)prng_below(&m->r, sizeof data);

	if (prng_below(&m->r, 3) == 0) {
		offset -= offset % 512;
		size = 512;
	}
	memset(data, (int)(1 + prng_below(&m->r, 250)), size);
	append(m,
	       (struct op){
		   .kind = OP_WRITE, .inode = inode, .offset = offset, .size = size, .data = data});
	if (offset + size > m->size[inode])
		m->size[inode] = offset + size;
}

static void make_op(struct maker *m);

static void make_sync(struct maker *m, uint32_t inode, uint32_t directory)
{
	uint8_t begin = inode != 0 ? OP_SYNC_BEGIN : OP_DIRSYNC_BEGIN;
	struct op op = {.kind = begin, .inode = inode, .name = directory};

	if (inode != 0 && prng_below(&m->r, 2) == 0)
		op.flags = OP_SYNC_DATA;
	append(m, op);
	op.flags = 0;
	op.kind = inode != 0 ? OP_SYNC_END : OP_DIRSYNC_END;
	op.offset = m->t->op_count;
	/* What another thread does meanwhile is not covered (D8). */
	if (!m->syncing && prng_below(&m->r, 3) == 0) {
		m->syncing = true;
		make_op(m);
		m->syncing = false;
	}
	/* After a failure the sync is often called again, which is where it matters. */
	bool failed = prng_below(&m->r, 4) == 0;
	if (failed)
		op.flags = OP_SYNC_FAILED;
	append(m, op);
	if (failed && prng_below(&m->r, 2) == 0)
		make_sync(m, inode, directory);
}

static void make_op(struct maker *m)
{
	size_t a = (size_t)prng_below(&m->r, NAMES), b = (size_t)prng_below(&m->r, NAMES);
	uint32_t name = trace_name(m->t, names[a]), name2 = trace_name(m->t, names[b]);
	uint32_t inode = m->inode_of[a];

	if (inode == 0) {
		m->inode_of[a] = trace_new_inode(m->t);
		append(m, (struct op){.kind = OP_CREATE, .inode = m->inode_of[a], .name = name});
		return;
	}
	switch (prng_below(&m->r, 12)) {
	case 0: {
		uint64_t size = prng_below(&m->r, FILE_SIZE_MAX);
		append(m, (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = size});
		m->size[inode] = size;
		break;
	}
	case 1:
		append(m, (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = 0});
		m->size[inode] = 0;
		break;
	case 2:
		append(m, (struct op){.kind = OP_UNLINK, .name = name});
		m->inode_of[a] = 0;
		break;
	case 3:
		if (m->inode_of[b] == inode) /* the same name, or the same file */
			break;
		append(m, (struct op){.kind = OP_RENAME, .name = name, .name2 = name2});
		m->inode_of[b] = inode;
		m->inode_of[a] = 0;
		break;
	case 4:
		if (m->inode_of[b] != 0)
			break;
		append(m, (struct op){.kind = OP_LINK, .inode = inode, .name2 = name2});
		m->inode_of[b] = inode;
		break;
	case 5:
	case 6:
		make_sync(m, inode, 0);
		break;
	case 7:
		make_sync(m, 0, trace_name(m->t, prng_below(&m->r, 2) ? "/d" : "/e"));
		break;
	default:
		make_write(m, inode);
		break;
	}
}

struct trace *random_trace(uint64_t seed)
{
	struct trace_device device = {.sector_size_bytes = 512};
	struct maker m = {.t = trace_create(device, "random")};
	uint8_t base[900];

	prng_init(&m.r, seed, "trace");
	for (size_t i = 0; i < NAMES; i++) {
		if (prng_below(&m.r, 2) == 0)
			continue;
		size_t size = 1 + (size_t)prng_below(&m.r, sizeof base);
		memset(base, (int)(200 + i), size);
		m.inode_of[i] = trace_new_inode(m.t);
		m.size[m.inode_of[i]] = size;
		trace_add_base(m.t, m.inode_of[i], trace_name(m.t, names[i]), base, size);
	}
	for (size_t n = 3 + (size_t)prng_below(&m.r, OPS_MAX - 3); n > 0; n--)
		make_op(&m);
	return m.t;
}

/* ---- a recovery that looks at random places ------------------------------------------------ */

uint64_t random_look(struct storage *s, uint64_t seed)
{
	struct prng r;
	uint64_t h = 1;

	prng_init(&r, seed, "reader");
	for (int i = 0; i < READS; i++) {
		const char *path = names[prng_below(&r, NAMES)];
		uint64_t what = prng_below(&r, 8), offset = prng_below(&r, 1500);
		size_t size = 1 + (size_t)prng_below(&r, 600), got = 0;
		bool yes = false, created = false, create = prng_below(&r, 4) == 0;
		uint8_t buf[600];
		uint32_t inode = 0;
		uint64_t file_size = 0;
		if (what == 0) {
			assert_int_equal(s->ops->access(s, path, &yes), 0);
			h = hash_mix(h, yes);
			continue;
		}
		if (what == 1) {
			h = hash_mix(h, s->ops->unlink(s, path) == 0);
			continue;
		}
		int rc = s->ops->open(s, path, create, &inode, &created);
		h = hash_mix(h, rc == 0);
		if (rc != 0)
			continue;
		if (what == 2) {
			assert_int_equal(s->ops->size(s, inode, &file_size), 0);
			h = hash_mix(h, file_size);
		} else if (what == 3) {
			assert_int_equal(s->ops->truncate(s, inode, offset), 0);
		} else if (what == 4) {
			memset(buf, 7, size);
			assert_int_equal(s->ops->write(s, inode, offset, buf, size), 0);
		} else {
			assert_int_equal(s->ops->read(s, inode, offset, buf, size, &got), 0);
			h = hash_mix(h, hash64(buf, got, got));
		}
	}
	return h;
}

uint64_t random_look_files(const struct enumerate_file *files, size_t count, uint64_t seed)
{
	struct disk *disk = disk_create();

	for (size_t i = 0; i < count; i++)
		disk_put(disk, files[i].path, files[i].data, files[i].size);
	uint64_t seen = random_look(disk_storage(disk), seed);
	disk_free(disk);
	return seen;
}

bool random_has_link(const struct trace *t)
{
	for (size_t i = 0; i < t->op_count; i++)
		if (t->ops[i].kind == OP_LINK)
			return true;
	return false;
}

bool random_look_writes(uint64_t seed)
{
	struct prng r;
	bool writes = false;

	prng_init(&r, seed, "reader");
	for (int i = 0; i < READS; i++) {
		(void)prng_below(&r, NAMES);
		uint64_t what = prng_below(&r, 8);
		(void)prng_below(&r, 1500);
		(void)prng_below(&r, 600);
		(void)prng_below(&r, 4);
		writes = writes || what == 3 || what == 4;
	}
	return writes;
}

/* A random model whose parameters go together. */
void random_model(uint64_t seed, struct model *ret, struct buf *ret_text)
{
	size_t count;
	const struct model_parameter *parameters = model_parameters(&count);
	struct prng r;

	prng_init(&r, seed, "model");
	do {
		model_init(ret, "random");
		ret->seed = seed;
		for (size_t i = 0; i < count; i++) {
			uint64_t words = 0;
			while (parameters[i].words[words] != NULL)
				words++;
			uint64_t word = prng_below(&r, words);
			if (prng_below(&r, 3) != 0)
				assert_int_equal(model_set(ret, parameters[i].key,
							   parameters[i].words[word], NULL),
						 0);
		}
	} while (model_check(ret, NULL) != 0);
	buf_clear(ret_text);
	model_print(ret, ret_text);
}

void random_recovery(struct storage *s, uint64_t seed)
{
	struct prng r;
	uint8_t buf[600];

	prng_init(&r, seed, "recovery");
	for (int i = 0; i < 5; i++) {
		const char *path = names[prng_below(&r, NAMES)];
		uint64_t what = prng_below(&r, 8), offset = prng_below(&r, 1200);
		size_t size = 1 + (size_t)prng_below(&r, sizeof buf), got;
		bool created, yes, create = prng_below(&r, 3) == 0;
		uint32_t inode;
		if (prng_below(&r, 3) == 0) {
			offset -= offset % 512;
			size = 512;
		}
		memset(buf, (int)prng_below(&r, 256), size);
		if (what == 0) {
			assert_int_equal(s->ops->access(s, path, &yes), 0);
			continue;
		}
		if (what == 1) {
			(void)s->ops->unlink(s, path);
			continue;
		}
		if (what == 2) {
			assert_int_equal(s->ops->dirsync(s, prng_below(&r, 2) != 0 ? "/d" : "/e"),
					 0);
			continue;
		}
		if (s->ops->open(s, path, create, &inode, &created) != 0)
			continue;
		if (what == 3)
			assert_int_equal(s->ops->truncate(s, inode, offset), 0);
		else if (what == 4)
			assert_int_equal(s->ops->sync(s, inode, prng_below(&r, 2) != 0), 0);
		else if (what == 5)
			assert_int_equal(s->ops->read(s, inode, offset, buf, size, &got), 0);
		else
			assert_int_equal(s->ops->write(s, inode, offset, buf, size), 0);
	}
}

void random_outcomes_add(struct random_outcomes *o, uint64_t h)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->items[i] == h)
			return;
	assert_true(o->count < RANDOM_STATES_MAX);
	o->items[o->count++] = h;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void random_outcomes_compare(struct random_outcomes *lazy, struct random_outcomes *brute,
			     const char *what, uint64_t seed, uint64_t position)
{
	qsort(lazy->items, lazy->count, sizeof(uint64_t), compare_ids);
	qsort(brute->items, brute->count, sizeof(uint64_t), compare_ids);
	if (lazy->count != brute->count ||
	    memcmp(lazy->items, brute->items, lazy->count * sizeof(uint64_t)) != 0)
		fail_msg("%s, seed %llu, position %llu: %zu outcomes lazily, %zu by brute force",
			 what, (unsigned long long)seed, (unsigned long long)position, lazy->count,
			 brute->count);
}
