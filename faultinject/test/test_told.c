/*
 * What the undecided disk tells of operations (crashdisk_told()) against the bytes that it shows:
 * every write of a random trace writes its own position, so that a byte says who wrote it.
 */
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/choice.h"
#include "faultinject/base/prng.h"
#include "faultinject/crashdisk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OPS = 60, SECTOR = 512, FILE_MAX = 4 * SECTOR, TRACES = 60, RUNS = 12 };

static const char *const paths[] = {"/d/a", "/d/b"};

struct made {
	struct trace *t;
	uint32_t live[2]; /* inode of each path; 0: none */
	uint64_t size[64];
};

static uint32_t moved[256]; /* [position of a rename]: the file */

static uint32_t draw(struct prng *p, uint32_t n)
{
	return (uint32_t)prng_below(p, n);
}

static void add(struct made *m, struct op op)
{
	op.process = op.thread = op.connection = 1;
	(void)trace_append(m->t, &op);
}

static void add_sync(struct made *m, uint8_t begin, uint8_t end, uint32_t inode, uint32_t name)
{
	add(m, (struct op){.kind = begin, .inode = inode, .name = name});
	add(m, (struct op){.kind = end, .inode = inode, .name = name, .offset = m->t->op_count});
}

static void add_write(struct made *m, struct prng *p, uint32_t inode)
{
	uint8_t data[FILE_MAX];
	uint64_t offset = draw(p, FILE_MAX - 1);
	uint64_t size = 1 + draw(p, (uint32_t)(FILE_MAX - offset));

	memset(data, (int)(m->t->op_count + 1), sizeof data);
	if (draw(p, 2) == 0) { /* whole sectors */
		offset = offset / SECTOR * SECTOR;
		size = SECTOR * (1 + draw(p, (uint32_t)((FILE_MAX - offset) / SECTOR)));
	}
	add(m, (struct op){
		   .kind = OP_WRITE, .inode = inode, .offset = offset, .size = size, .data = data});
	if (offset + size > m->size[inode])
		m->size[inode] = offset + size;
}

static void add_op(struct made *m, struct prng *p)
{
	size_t f = draw(p, 2);
	uint32_t name = trace_name(m->t, paths[f]), inode = m->live[f];

	if (inode == 0) {
		inode = m->live[f] = trace_new_inode(m->t);
		add(m, (struct op){.kind = OP_CREATE, .inode = inode, .name = name});
		return;
	}
	switch (draw(p, 11)) {
	case 10:
		moved[m->t->op_count + 1] = inode;
		add(m, (struct op){.kind = OP_RENAME,
				   .name = name,
				   .name2 = trace_name(m->t, paths[1 - f])});
		m->live[f] = 0;
		m->live[1 - f] = inode;
		break;
	case 0:
		add_sync(m, OP_SYNC_BEGIN, OP_SYNC_END, inode, 0);
		break;
	case 1:
		add_sync(m, OP_DIRSYNC_BEGIN, OP_DIRSYNC_END, 0, trace_name(m->t, "/d"));
		break;
	case 2:
		add(m, (struct op){.kind = OP_UNLINK, .name = name});
		m->live[f] = 0;
		break;
	case 3:
		m->size[inode] = draw(p, FILE_MAX);
		add(m, (struct op){.kind = OP_TRUNCATE, .inode = inode, .size = m->size[inode]});
		break;
	default:
		add_write(m, p, inode);
	}
}

static struct trace *make_trace(uint64_t seed)
{
	struct trace_device device = {SECTOR, 0};
	struct made m = {.t = trace_create(device, "test")};
	struct prng p;

	prng_init(&p, seed, "told");
	while (m.t->op_count < OPS)
		add_op(&m, &p);
	return m.t;
}

/* ---- what is there ------------------------------------------------------------------------- */

struct there {
	uint32_t inode; /* 0: no such file */
	uint64_t size;
	uint8_t bytes[FILE_MAX];
};

static void look(struct crashdisk *cd, struct there ret[2])
{
	for (size_t f = 0; f < 2; f++) {
		struct crashdisk_left left;

		ret[f] = (struct there){0};
		if (!crashdisk_left_open(cd, paths[f], &left))
			continue;
		ret[f].inode = left.inode;
		ret[f].size = crashdisk_left_size(&left);
		assert_true(ret[f].size <= FILE_MAX);
		crashdisk_left_read(&left, 0, ret[f].bytes, (size_t)ret[f].size);
	}
}

static bool is_name_op(const struct op *op)
{
	return op->kind == OP_CREATE || op->kind == OP_UNLINK || op->kind == OP_RENAME;
}

/* Is anything later, up to the crash, done to the same bytes' sectors, or the same name? */
static bool is_last(const struct trace *t, uint64_t p, uint64_t crash, uint64_t ss)
{
	const struct op *op = trace_at(t, p);

	for (uint64_t q = p + 1; q <= crash; q++) {
		const struct op *o = trace_at(t, q);
		if (is_name_op(op)) {
			if (is_name_op(o) &&
			    (o->name == op->name || o->name2 == op->name ||
			     (op->name2 != 0 && (o->name == op->name2 || o->name2 == op->name2))))
				return false;
			continue;
		}
		if (o->inode != op->inode)
			continue;
		if (o->kind == OP_TRUNCATE || (o->kind == OP_WRITE && op->kind == OP_TRUNCATE))
			return false;
		if (o->kind == OP_WRITE && o->offset / ss <= (op->offset + op->size - 1) / ss &&
		    op->offset / ss <= (o->offset + o->size - 1) / ss)
			return false;
	}
	return true;
}

static const struct there *named(const struct trace *t, const struct there there[2], uint32_t name)
{
	return &there[strcmp(t->names[name], paths[0]) == 0 ? 0 : 1];
}

/* The last operation on its names. */
static void check_name(const struct trace *t, const struct op *op, uint64_t p,
		       const struct there there[2], const struct crashdisk_told *told)
{
	bool kept = told->fate == CRASHDISK_KEPT || told->fate == CRASHDISK_DURABLE;
	uint32_t found = named(t, there, op->kind == OP_RENAME ? op->name2 : op->name)->inode;

	if (op->kind == OP_UNLINK) {
		/* Before its file was created there was none, either. */
		assert_true(!kept || found == 0);
		assert_true(found == 0 || told->fate == CRASHDISK_LOST);
	} else {
		uint32_t file = op->kind == OP_RENAME ? moved[p] : op->inode;
		assert_true(!kept || found == file);
		assert_true(found == file || told->fate == CRASHDISK_LOST);
		/* A file that was renamed may be there because it never left. */
		assert_true(op->kind == OP_RENAME || kept == (found == file));
	}
}

static void check_write(const struct op *op, uint64_t p, const struct there *f,
			const struct crashdisk_told *told, const struct model *m, uint64_t ss)
{
	uint32_t here = 0, parts = 0;

	for (uint64_t s = op->offset / ss; s * ss < op->offset + op->size; s++) {
		bool any = false;
		for (uint64_t at = s * ss; at < (s + 1) * ss && at < f->size; at++)
			any = any || (at >= op->offset && at < op->offset + op->size &&
				      f->bytes[at] == (uint8_t)p);
		here += any;
		parts++;
	}
	if (m->no_psow) { /* a damaged sector has the bytes, and is not whole */
		assert_true(told->parts_kept <= here || m->reorder != MODEL_REORDER_ANY);
		return;
	}
	assert_int_equal(told->parts, parts);
	assert_int_equal(told->parts_kept, here);
	assert_int_equal(told->fate == CRASHDISK_LOST, here == 0);
	assert_int_equal(told->fate == CRASHDISK_TORN, here > 0 && here < parts);
	assert_true(told->fate != CRASHDISK_UNASKED);
}

static size_t damaged; /* fates that were that */

/* What is said to be there is there, as far as nobody wrote or cut it later; what is said to be
 * damaged shares a sector with a later write that did it. */
static void check_bytes(const struct trace *t, uint64_t p, uint64_t crash, const struct there *f,
			const struct crashdisk_told *told, uint64_t ss)
{
	const struct op *op = trace_at(t, p);
	bool whole = told->fate == CRASHDISK_DURABLE || told->fate == CRASHDISK_KEPT;

	for (uint64_t at = op->offset; at < op->offset + op->size && at < f->size && whole; at++) {
		bool later = false;
		for (uint64_t q = p + 1; q <= crash && !later; q++) {
			const struct op *o = trace_at(t, q);
			later =
			    o->inode == op->inode &&
			    (o->kind == OP_TRUNCATE ||
			     (o->kind == OP_WRITE && at >= o->offset && at < o->offset + o->size));
		}
		if (!later)
			assert_int_equal(f->bytes[at], (uint8_t)p);
	}
	if (told->fate != CRASHDISK_DAMAGED)
		return;
	const struct op *by = trace_at(t, told->damaged_by);
	assert_true(told->damaged_by > p && told->damaged_by <= crash && by->inode == op->inode);
	assert_true(by->offset / ss <= (op->offset + op->size - 1) / ss &&
		    op->offset / ss <= (by->offset + by->size - 1) / ss);
	damaged++;
}

/* strict-posix: a sync of the file, or of the directory, that began later and has ended. */
static bool is_synced(const struct trace *t, uint64_t p, uint64_t crash)
{
	const struct op *op = trace_at(t, p);

	for (uint64_t q = p + 1; q <= crash; q++) {
		const struct op *o = trace_at(t, q);
		if (is_name_op(op)
			? o->kind == OP_DIRSYNC_END && o->offset > p
			: o->kind == OP_SYNC_END && o->offset > p && o->inode == op->inode)
			return true;
	}
	return false;
}

/* Everything has been looked at. */
static size_t check_all(struct crashdisk *cd, uint64_t crash, const struct there there[2],
			const struct model *m)
{
	const struct trace *t = crashdisk_index(cd)->trace;
	uint64_t ss = crashdisk_index(cd)->sector_size;
	size_t checks = 0;

	for (uint64_t p = 1; p <= t->op_count; p++) {
		const struct op *op = trace_at(t, p);
		struct crashdisk_told told;
		const struct there *f = NULL;

		crashdisk_told(cd, p, &told);
		if (p > crash || !index_is_storage_op(op)) {
			assert_int_equal(told.fate, CRASHDISK_NO_CHANGE);
			continue;
		}
		if (strcmp(m->name, "strict-posix") == 0 &&
		    (op->kind != OP_TRUNCATE || told.fate != CRASHDISK_NO_CHANGE))
			assert_int_equal(told.fate == CRASHDISK_DURABLE, is_synced(t, p, crash));
		for (size_t i = 0; i < 2 && op->kind == OP_WRITE; i++)
			if (there[i].inode == op->inode && m->reorder == MODEL_REORDER_ANY)
				check_bytes(t, p, crash, &there[i], &told, ss);
		if (!is_last(t, p, crash, ss))
			continue;
		if (is_name_op(op)) {
			check_name(t, op, p, there, &told);
			checks++;
			continue;
		}
		for (size_t i = 0; i < 2; i++)
			if (there[i].inode == op->inode)
				f = &there[i];
		checks++;
		if (f == NULL) {
			struct crashdisk_told created;
			uint64_t c = crashdisk_index(cd)->inodes[op->inode].created;
			crashdisk_told(cd, c, &created);
			if (created.fate == CRASHDISK_LOST && m->reorder != MODEL_REORDER_NONE)
				assert_true(
				    told.fate == CRASHDISK_LOST || told.fate == CRASHDISK_DURABLE ||
				    (op->kind == OP_TRUNCATE && told.fate != CRASHDISK_KEPT));
			continue;
		}
		if (op->kind == OP_WRITE)
			check_write(op, p, f, &told, m, ss);
		else if (told.fate == CRASHDISK_KEPT || told.fate == CRASHDISK_DURABLE)
			assert_int_equal(f->size, op->size);
		else
			assert_true(told.fate == CRASHDISK_LOST ||
				    told.fate == CRASHDISK_NO_CHANGE);
	}
	return checks;
}

/* What was told of a run must not be taken back when more of it is decided. */
static void check_kept(const struct crashdisk_told *before, const struct crashdisk_told *after)
{
	if (after->damaged_by != 0) /* what had been there is there no more */
		return;
	assert_true(before->parts_kept <= after->parts_kept);
	switch (before->fate) {
	case CRASHDISK_DURABLE:
	case CRASHDISK_TORN:
	case CRASHDISK_DAMAGED:
	case CRASHDISK_NO_CHANGE:
		assert_int_equal(before->fate, after->fate);
		break;
	case CRASHDISK_KEPT:
	case CRASHDISK_LOST:
		assert_true(after->fate == before->fate || after->fate == CRASHDISK_TORN);
		break;
	case CRASHDISK_UNASKED:
		break;
	}
}

/* Looks at some things, as a recovery would. */
static void look_about(struct storage *s, struct prng *p)
{
	for (uint32_t n = draw(p, 5); n > 0; n--) {
		const char *path = paths[draw(p, 2)];
		uint8_t buf[FILE_MAX];
		uint32_t inode;
		uint64_t size;
		size_t got;
		bool yes, created;

		if (draw(p, 2) == 0)
			assert_int_equal(s->ops->access(s, path, &yes), 0);
		else if (s->ops->open(s, path, false, &inode, &created) == 0) {
			if (draw(p, 2) == 0)
				assert_int_equal(s->ops->size(s, inode, &size), 0);
			else
				assert_int_equal(s->ops->read(s, inode, draw(p, FILE_MAX), buf,
							      1 + draw(p, SECTOR), &got),
						 0);
		}
	}
}

static size_t examples; /* that said more than what is true of all states */

/* The example that was told is what the disk comes to when it is asked on and answers with what is
 * newest. */
static void check_example(const struct crashdisk_told *before, const struct crashdisk_told *example,
			  const struct crashdisk_told *after)
{
	if (before->fate != CRASHDISK_UNASKED) {
		assert_int_equal(example->fate, before->fate);
		return;
	}
	examples += example->fate != CRASHDISK_UNASKED;
	assert_true(example->fate != CRASHDISK_TORN || example->parts > 1);
	/* What nobody can look at stays open: which of two states without a file it is. */
	if ((example->fate == CRASHDISK_KEPT || example->fate == CRASHDISK_LOST) &&
	    after->fate != CRASHDISK_UNASKED)
		assert_int_equal(example->fate, after->fate);
}

static size_t check_run(struct crashdisk *cd, struct prng *p, const struct model *m)
{
	const struct trace *t = crashdisk_index(cd)->trace;
	uint64_t crash = draw(p, (uint32_t)t->op_count + 1);
	struct crashdisk_told before[OPS + 8], example[OPS + 8];
	struct there there[2];
	struct choice choice;

	choice_init(&choice);
	choice_begin(&choice, NULL, 0, 0, CHOICE_RANDOM);
	choice.random = p;
	crashdisk_open(cd, crash, SIZE_MAX);
	crashdisk_begin(cd, &choice);
	look_about(crashdisk_storage(cd), p);
	size_t asked = choice.count;
	for (uint64_t q = 1; q <= t->op_count; q++) {
		crashdisk_told(cd, q, &before[q]);
		crashdisk_told_example(cd, q, &example[q]);
	}
	assert_int_equal(choice.count, asked);
	bool newest = draw(p, 2) == 0;
	if (newest)
		choice.tail = CHOICE_FIRST;
	look(cd, there);
	for (uint64_t q = 1; q <= t->op_count; q++) {
		struct crashdisk_told after;
		crashdisk_told(cd, q, &after);
		check_kept(&before[q], &after);
		if (newest)
			check_example(&before[q], &example[q], &after);
	}
	size_t checks = check_all(cd, crash, there, m);
	choice_release(&choice);
	return checks;
}

static size_t check_model(const struct model *m, uint64_t seed)
{
	size_t checks = 0;

	for (uint64_t i = 0; i < TRACES; i++) {
		struct trace *t = make_trace(seed + i);
		struct trace_index *ix;
		struct err err = ERR_INIT;
		struct prng p;

		assert_true(t->op_count < 250);
		prng_init(&p, seed * 31 + i, "told");
		assert_int_equal(trace_index_build(t, m, &ix, &err), 0);
		struct crashdisk *cd = crashdisk_create(ix, m);
		for (int run = 0; run < RUNS; run++)
			checks += check_run(cd, &p, m);
		crashdisk_free(cd);
		trace_index_free(ix);
		trace_free(t);
	}
	return checks;
}

/* On every preset, what is told of each operation is what the bytes, sizes and names say. */
static void test_presets(void **state)
{
	size_t count;
	const struct model_info *presets = model_presets(&count);

	(void)state;
	for (size_t i = 0; i < count; i++)
		assert_true(check_model(&presets[i].model, 100 * (i + 1)) > 1000);
	assert_true(examples > 100);
	assert_true(damaged > 20);
}

/* The same where a file, or everything, survives as a prefix (D4). */
static void test_prefixes(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct model m;
		model_init(&m, "prefix");
		assert_int_equal(model_set(&m, "reorder", i == 0 ? "file" : "none", &err), 0);
		assert_true(check_model(&m, 7000 + (uint64_t)i * 100) > 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_presets),
	    cmocka_unit_test(test_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
