/*
 * See enumerate.h. A state is built eagerly: every name, then every file's metadata prefix, then
 * every sector is asked about, and choice_advance() turns the odometer until all answers were
 * given. Written for the reader who doubts: every rule is a scan over the operations.
 */
#include "harness/explore/enumerate.h"

#include "faultinject/base/arena.h"
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/choice.h"

#include <stdlib.h>
#include <string.h>

struct enumeration {
	const struct trace *t;
	bool lies;
	size_t ss;	/* sector size in bytes */
	size_t sectors; /* of the largest file */
	uint64_t position;
	struct choice choice;
	struct arena arena, kept; /* of one state; of all */
	uint32_t *group;	  /* [name]: names that are decided together have the same */
	uint32_t *names;	  /* [name]: the inode that it names in this state */
};

/* D8: what precedes this position is durable, for a file or, with inode 0, for a directory. */
static uint64_t durable(const struct enumeration *e, uint32_t inode, const char *directory)
{
	uint64_t d = 0;

	for (uint64_t p = 1; p <= e->position && !e->lies; p++) {
		const struct op *op = trace_at(e->t, p);
		bool hit = inode != 0 ? op->kind == OP_SYNC_END && op->inode == inode
				      : op->kind == OP_DIRSYNC_END &&
					    strcmp(e->t->names[op->name], directory) == 0;
		if (hit && op->offset > d)
			d = op->offset;
	}
	return d;
}

static void *zeros(struct arena *arena, size_t count, size_t size)
{
	return memset(arena_alloc(arena, count * size), 0, count * size);
}

static bool is_content_op(const struct op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_TRUNCATE;
}

static void tie(struct enumeration *e, uint32_t a, uint32_t b)
{
	uint32_t from = e->group[b];

	for (uint32_t n = 1; n <= e->t->name_count; n++)
		if (e->group[n] == from)
			e->group[n] = e->group[a];
}

/* Finds the largest file, and ties names: a rename ties two, and so does a file that has both. */
static void survey(struct enumeration *e)
{
	uint32_t *first = zeros(&e->kept, e->t->inode_count + 1, sizeof *first);
	uint64_t max = 0;

	for (uint32_t n = 1; n <= e->t->name_count; n++)
		e->group[n] = n;
	for (size_t i = 0; i < e->t->base_count; i++) {
		const struct trace_base *b = &e->t->base[i];
		first[b->inode] = first[b->inode] == 0 ? b->name : first[b->inode];
		tie(e, first[b->inode], b->name);
		max = b->size > max ? b->size : max;
	}
	for (uint64_t p = 1; p <= e->t->op_count; p++) {
		const struct op *op = trace_at(e->t, p);
		if (op->kind == OP_CREATE)
			first[op->inode] = op->name;
		if (op->kind == OP_RENAME || op->kind == OP_LINK)
			tie(e, op->kind == OP_RENAME ? op->name : first[op->inode], op->name2);
		if (is_content_op(op) && op->offset + op->size > max)
			max = op->offset + op->size;
	}
	e->sectors = (size_t)(max / e->ss + 1);
}

static void apply_name(uint32_t *names, const struct op *op)
{
	uint32_t inode = op->kind == OP_RENAME ? names[op->name] : op->inode;

	if (op->kind == OP_RENAME || op->kind == OP_UNLINK)
		names[op->name] = 0;
	if (op->kind != OP_UNLINK)
		names[op->kind == OP_CREATE ? op->name : op->name2] = inode;
}

/* D7: of each group's pending operations a prefix survives. */
static void choose_names(struct enumeration *e)
{
	const uint32_t kinds = 1u << OP_CREATE | 1u << OP_LINK | 1u << OP_RENAME | 1u << OP_UNLINK;

	memset(e->names, 0, ((size_t)e->t->name_count + 1) * sizeof *e->names);
	for (size_t i = 0; i < e->t->base_count; i++)
		e->names[e->t->base[i].name] = e->t->base[i].inode;
	for (uint32_t g = 1; g <= e->t->name_count; g++) {
		uint64_t safe = 0;
		for (int pass = 0; pass < 2; pass++) {
			bool alive = true;
			for (uint64_t p = 1; p <= e->position; p++) {
				const struct op *op = trace_at(e->t, p);
				uint32_t target = op->name2 != 0 ? op->name2 : op->name;
				char directory[TRACE_NAME_MAX + 1];
				if (!(kinds >> op->kind & 1) || e->group[target] != g)
					continue;
				trace_dirname(e->t->names[target], directory, sizeof directory);
				if (pass == 0 && p <= durable(e, 0, directory))
					safe = p;
				if (pass == 0)
					continue;
				alive = alive && (p <= safe || choice_next(&e->choice, 2, p) == 0);
				if (alive)
					apply_name(e->names, op);
			}
		}
	}
}

/* What one sector may hold, newest first. */
struct content {
	struct content *older;
	uint8_t *data;
};
struct sector_set {
	struct content *newest;
	uint32_t count;
	bool closed; /* D5: a truncation that was lost; what was written after it is unreachable */
};

static void add_content(struct enumeration *e, struct sector_set *s, const uint8_t *data)
{
	struct content *c = arena_alloc(&e->arena, sizeof *c);

	if (s->closed)
		return;
	*c = (struct content){s->newest, arena_alloc(&e->arena, e->ss)};
	memcpy(c->data, data, e->ss);
	s->newest = c;
	s->count++;
}

/* D5: a truncation to `size`; `live` is cut already. */
static void cut_sectors(struct enumeration *e, struct sector_set *sets, const uint8_t *live,
			uint64_t old, uint64_t size, bool survived)
{
	uint64_t s = size / e->ss, rest = size % e->ss;

	if (rest != 0) {
		for (struct content *c = sets[s].newest; c != NULL && survived; c = c->older)
			memset(c->data + rest, 0, e->ss - rest);
		add_content(e, &sets[s], live + s * e->ss);
		s++;
	}
	for (; s * e->ss < old; s++) {
		sets[s].closed = sets[s].closed || !survived;
		if (survived)
			sets[s] = (struct sector_set){0};
		add_content(e, &sets[s], live + s * e->ss);
	}
}

/* Replays a file's operations and chooses which prefix of its pending changes of size survives and
 * what each sector holds. The content lives in the arena. */
static uint8_t *choose_file(struct enumeration *e, uint32_t inode, uint64_t *ret_size)
{
	uint64_t d = durable(e, inode, NULL), size = 0;
	uint8_t *live = zeros(&e->arena, e->sectors, e->ss);
	struct sector_set *sets = zeros(&e->arena, e->sectors, sizeof *sets);
	bool alive = true;

	for (size_t i = 0; i < e->t->base_count; i++)
		if (e->t->base[i].inode == inode && e->t->base[i].data != NULL) {
			size = e->t->base[i].size;
			memcpy(live, e->t->base[i].data, size);
		}
	for (uint64_t p = 0; p <= e->position; p++) {
		const struct op *op = p == 0 ? NULL : trace_at(e->t, p);
		if (op != NULL && op->inode == inode && is_content_op(op)) {
			uint64_t end = op->offset + op->size, old = size;
			size = op->kind == OP_TRUNCATE || end > size ? end : size;
			if (p > d && size != old)
				alive = alive && choice_next(&e->choice, 2, p) == 0;
			if (p > d && size != old && alive)
				*ret_size = size;
			if (op->kind == OP_WRITE)
				memcpy(live + op->offset, op->data, op->size);
			else if (end < old)
				memset(live + end, 0, old - end);
			if (p > d && op->kind == OP_TRUNCATE && end < old)
				cut_sectors(e, sets, live, old, end, alive);
			for (uint64_t s = op->offset / e->ss;
			     p > d && op->kind == OP_WRITE && s * e->ss < end; s++)
				add_content(e, &sets[s], live + s * e->ss);
		}
		for (size_t s = 0; s < e->sectors && p == d; s++)
			add_content(e, &sets[s], live + s * e->ss);
		if (p == d)
			*ret_size = size;
	}
	for (size_t s = 0; s * e->ss < *ret_size; s++) {
		const struct content *c = sets[s].newest;
		for (uint32_t k = choice_next(&e->choice, sets[s].count, s); k > 0; k--)
			c = c->older;
		memcpy(live + s * e->ss, c->data, e->ss);
	}
	return live;
}

int enumerate_states(const struct trace *t, const struct model *model, uint32_t sector_size_bytes,
		     uint64_t position, uint64_t max, enumerate_fn *visit, void *ctx,
		     uint64_t *ret_count, struct err *err)
{
	struct enumeration e = {.t = t,
				.lies = model->fsync == MODEL_FSYNC_LIES,
				.ss = sector_size_bytes,
				.position = position};
	uint32_t *prefix = NULL;
	size_t prefix_count = 0;
	int rc = 0;

	ASSERT(!model->process_crash);
	choice_init(&e.choice);
	arena_init(&e.arena);
	arena_init(&e.kept);
	e.group = zeros(&e.kept, t->name_count + 1, sizeof *e.group);
	e.names = zeros(&e.kept, t->name_count + 1, sizeof *e.names);
	survey(&e);
	*ret_count = 0;
	do {
		size_t count = 0;
		arena_reset(&e.arena);
		struct enumerate_file *files = zeros(&e.arena, t->name_count, sizeof *files);
		struct enumerate_file *of = zeros(&e.arena, t->inode_count + 1, sizeof *of);
		choice_begin(&e.choice, prefix, prefix_count, 0, CHOICE_FIRST);
		choose_names(&e);
		for (uint32_t n = 1; n <= t->name_count; n++) {
			uint32_t i = e.names[n];
			if (i != 0 && of[i].data == NULL)
				of[i].data = choose_file(&e, i, &of[i].size);
			if (i != 0)
				files[count++] =
				    (struct enumerate_file){t->names[n], of[i].data, of[i].size};
		}
		ASSERT(!e.choice.diverged);
		rc = ++*ret_count > max
			 ? err_set(err, ERR_LIMIT, "more than %llu states", (unsigned long long)max)
			 : visit(ctx, files, count, err);
	} while (rc == 0 && choice_advance(&e.choice, &prefix, &prefix_count));
	free(prefix);
	choice_release(&e.choice);
	arena_release(&e.arena);
	arena_release(&e.kept);
	return rc;
}
