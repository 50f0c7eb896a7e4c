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
	bool honest;	/* fsync */
	size_t ss;	/* sector size in bytes */
	size_t sectors; /* of the largest file */
	uint64_t position;
	struct choice choice;
	struct arena arena; /* of one state */
	uint32_t *names;    /* [name]: the inode that it names in this state */
};

/* D8: what precedes this position is durable, for a file or, with inode 0, for a directory. */
static uint64_t durable(const struct enumeration *e, uint32_t inode, const char *directory)
{
	uint64_t d = 0;

	for (uint64_t p = 1; p <= e->position && e->honest; p++) {
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

/* Makes room for a file of this size. */
static void grow(struct enumeration *e, uint64_t size)
{
	e->sectors = size / e->ss + 1 > e->sectors ? (size_t)(size / e->ss + 1) : e->sectors;
}

/* The names that an operation is about: 0, 1 or 2 of them. */
static void names_of(const struct op *op, uint32_t ret_names[2])
{
	ret_names[0] =
	    op->kind == OP_CREATE || op->kind == OP_UNLINK || op->kind == OP_RENAME ? op->name : 0;
	ret_names[1] = op->kind == OP_RENAME || op->kind == OP_LINK ? op->name2 : 0;
}

/* D7: of each name's pending operations a prefix survives; a rename is in both prefixes or none. */
static void choose_names(struct enumeration *e)
{
	uint8_t *must = zeros(&e->arena, e->t->name_count + 1, 1);
	uint8_t *dead = zeros(&e->arena, e->t->name_count + 1, 1);
	uint8_t *safe = zeros(&e->arena, e->position + 1, 1);
	char directory[TRACE_NAME_MAX + 1];
	uint32_t of[2];

	e->names = zeros(&e->arena, e->t->name_count + 1, sizeof *e->names);
	for (size_t i = 0; i < e->t->base_count; i++)
		e->names[e->t->base[i].name] = e->t->base[i].inode;
	for (uint64_t p = e->position; p > 0; p--) {
		names_of(trace_at(e->t, p), of);
		if (of[0] + of[1] == 0)
			continue;
		trace_dirname(e->t->names[of[1] != 0 ? of[1] : of[0]], directory, sizeof directory);
		must[0] = 0;
		safe[p] = p <= durable(e, 0, directory) || must[of[0]] || must[of[1]];
		must[of[0]] |= safe[p];
		must[of[1]] |= safe[p];
	}
	for (uint64_t p = 1; p <= e->position; p++) {
		const struct op *op = trace_at(e->t, p);
		names_of(op, of);
		dead[0] = 0;
		if (of[0] + of[1] == 0)
			continue;
		bool survives =
		    !dead[of[0]] && !dead[of[1]] && (safe[p] || choice_next(&e->choice, 2, p) == 0);
		dead[of[0]] |= !survives;
		dead[of[1]] |= !survives;
		uint32_t inode = op->kind == OP_RENAME ? e->names[op->name] : op->inode;
		if (survives && of[0] != 0)
			e->names[of[0]] = op->kind == OP_CREATE ? inode : 0;
		if (survives && of[1] != 0)
			e->names[of[1]] = inode;
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
	for (uint64_t s = size / e->ss; s * e->ss < old; s++) {
		uint64_t rest = s == size / e->ss ? size % e->ss : 0;
		for (struct content *c = sets[s].newest; c != NULL && survived; c = c->older)
			memset(c->data + rest, 0, e->ss - rest);
		sets[s].closed = sets[s].closed || (rest == 0 && !survived);
		if (rest == 0 && survived)
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
			bool changed = p > d && size != old;
			alive = alive && (!changed || choice_next(&e->choice, 2, p) == 0);
			*ret_size = changed && alive ? size : *ret_size;
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
		*ret_size = p == d ? size : *ret_size;
		for (size_t s = 0; s < e->sectors && p == d; s++)
			add_content(e, &sets[s], live + s * e->ss);
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
				.honest = model->fsync != MODEL_FSYNC_LIES,
				.ss = sector_size_bytes,
				.position = position};
	uint32_t *prefix = NULL;
	size_t prefix_count = 0;
	int rc = 0;

	choice_init(&e.choice);
	arena_init(&e.arena);
	e.sectors = 1;
	for (size_t i = 0; i < t->base_count; i++)
		grow(&e, t->base[i].size);
	for (size_t i = 0; i < t->op_count; i++)
		if (is_content_op(&t->ops[i]))
			grow(&e, t->ops[i].offset + t->ops[i].size);
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
			of[i].path = t->names[n];
			if (i != 0)
				files[count++] = of[i];
		}
		ASSERT(!e.choice.diverged && !model->process_crash);
		rc = ++*ret_count > max
			 ? err_set(err, ERR_LIMIT, "more than %llu states", (unsigned long long)max)
			 : visit(ctx, files, count, err);
	} while (rc == 0 && choice_advance(&e.choice, &prefix, &prefix_count));
	free(prefix);
	choice_release(&e.choice);
	arena_release(&e.arena);
	return rc;
}
