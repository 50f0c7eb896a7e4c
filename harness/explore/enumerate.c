/*
 * See enumerate.h. A state is built eagerly: every name, then every file's metadata prefix, then
 * every sector is asked about, and choice_advance() turns the odometer until all answers were
 * given. Written for the reader who doubts: every rule is a scan over the operations.
 */
#include "harness/explore/enumerate_internal.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* Makes room for a file of this size. */
static void grow(struct enumeration *e, uint64_t size)
{
	e->sectors = size / e->ss + 1 > e->sectors ? (size_t)(size / e->ss + 1) : e->sectors;
}

/* D7: the domain that a name belongs to: itself, or the first name of its directory. */
static uint32_t domain(const struct enumeration *e, uint32_t name)
{
	char mine[TRACE_NAME_MAX + 1], other[TRACE_NAME_MAX + 1];
	uint32_t n = 1;

	if (name == 0 || e->model->namespace == MODEL_NAMESPACE_ANY)
		return name;
	trace_dirname(e->t->names[name], mine, sizeof mine);
	for (trace_dirname(e->t->names[n], other, sizeof other); strcmp(mine, other) != 0;)
		trace_dirname(e->t->names[++n], other, sizeof other);
	return n;
}

/* D7: of each domain's pending operations a prefix survives; a rename is in both of its prefixes
 * or in none. */
static void choose_names(struct enumeration *e)
{
	uint8_t *must = enumerate_zeros(&e->arena, e->t->name_count + 1, 1);
	uint8_t *dead = enumerate_zeros(&e->arena, e->t->name_count + 1, 1);
	uint8_t *safe = enumerate_zeros(&e->arena, e->position + 1, 1);
	uint32_t of[2], in[2];

	e->names = enumerate_zeros(&e->arena, e->t->name_count + 1, sizeof *e->names);
	for (size_t i = 0; i < e->t->base_count; i++)
		e->names[e->t->base[i].name] = e->t->base[i].inode;
	for (uint64_t p = e->position; p > 0; p--) {
		enumerate_names_of(trace_at(e->t, p), of);
		if (of[0] + of[1] == 0)
			continue;
		in[0] = domain(e, of[0]);
		in[1] = domain(e, of[1]);
		must[0] = 0;
		safe[p] = enumerate_name_durable(e, p) || must[in[0]] || must[in[1]];
		must[in[0]] |= safe[p];
		must[in[1]] |= safe[p];
	}
	for (uint64_t p = 1; p <= e->position; p++) {
		const struct op *op = trace_at(e->t, p);
		enumerate_names_of(op, of);
		in[0] = domain(e, of[0]);
		in[1] = domain(e, of[1]);
		dead[0] = 0;
		if (of[0] + of[1] == 0)
			continue;
		bool survives =
		    !dead[in[0]] && !dead[in[1]] && (safe[p] || choice_next(&e->choice, 2, p) == 0);
		dead[in[0]] |= !survives;
		dead[in[1]] |= !survives;
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
	uint8_t *hole; /* D6: what is there when all else is lost; NULL = zeros */
	uint32_t count;
	bool based;  /* the oldest content is durable, or was written before its size survived */
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
		if (sets[s].hole != NULL && survived)
			memset(sets[s].hole + rest, 0, e->ss - rest);
		sets[s].closed = sets[s].closed || (rest == 0 && !survived);
		if (rest == 0 && survived)
			sets[s] = (struct sector_set){0};
		if (rest != 0)
			add_content(e, &sets[s], live + s * e->ss);
	}
}

/* A write of `op`, which changed the size from `old`; that change `survived`, if there was one. */
static void write_sectors(struct enumeration *e, struct sector_set *sets, const struct op *op,
			  uint64_t p, const uint8_t *live, uint64_t old, uint64_t size,
			  bool survived)
{
	uint64_t end = op->offset + op->size;
	uint64_t blocks = (old + MODEL_BLOCK_SIZE - 1) / MODEL_BLOCK_SIZE * MODEL_BLOCK_SIZE;

	for (uint64_t s = op->offset / e->ss; s * e->ss < end; s++) {
		uint64_t begin = s * e->ss, from = op->offset > begin ? op->offset - begin : 0;
		uint64_t to = end - begin < e->ss ? end - begin : e->ss;
		uint64_t reach = old > begin + to ? old : begin + to;
		uint8_t *bad =
		    enumerate_damage(e, op->inode, (uint32_t)s, from, to, reach, live + begin);
		uint8_t *hole = sets[s].newest != NULL || sets[s].based || sets[s].closed
				    ? NULL
				    : enumerate_hole(e, op->inode, (uint32_t)s, p);
		/* Inside the file it held zeros, and may show either. */
		if (hole != NULL && begin < old)
			add_content(e, &sets[s], hole);
		else if (hole != NULL)
			sets[s].hole = hole;
		if (bad != NULL)
			add_content(e, &sets[s], bad);
		if (e->model->size_after_data && size != old && survived && begin >= blocks &&
		    !enumerate_content_failed(e, p))
			sets[s] = (struct sector_set){.based = true, .closed = sets[s].closed};
		add_content(e, &sets[s], live + begin);
	}
}

/* D8: the operation is durable, and of the sectors that it changed nothing older is possible. */
static void keep_sectors(struct enumeration *e, struct sector_set *sets, const struct op *op,
			 const uint8_t *live, uint64_t old)
{
	uint64_t end = op->kind == OP_WRITE ? op->offset + op->size : old;
	uint64_t from = op->kind == OP_WRITE ? op->offset : op->size;

	for (uint64_t s = from / e->ss; s * e->ss < end && from < end; s++) {
		sets[s] = (struct sector_set){0};
		if (op->kind == OP_TRUNCATE && s * e->ss >= op->size)
			continue; /* dropped */
		add_content(e, &sets[s], live + s * e->ss);
		sets[s].based = true;
	}
}

/* Replays a file's operations and chooses which prefix of its pending changes of size survives and
 * what each sector holds. The content lives in the arena. */
static uint8_t *choose_file(struct enumeration *e, uint32_t inode, uint64_t *ret_size)
{
	uint64_t meta = enumerate_meta_durable(e, inode, e->position), size = 0;
	uint8_t *live = enumerate_zeros(&e->arena, e->sectors, e->ss);
	struct sector_set *sets = enumerate_zeros(&e->arena, e->sectors, sizeof *sets);
	bool alive = true;

	for (size_t i = 0; i < e->t->base_count; i++)
		if (e->t->base[i].inode == inode && e->t->base[i].data != NULL) {
			size = e->t->base[i].size;
			memcpy(live, e->t->base[i].data, size);
			for (size_t s = 0; s * e->ss < size; s++) {
				add_content(e, &sets[s], live + s * e->ss);
				sets[s].based = true;
			}
		}
	*ret_size = size;
	for (uint64_t p = 1; p <= e->position; p++) {
		const struct op *op = trace_at(e->t, p);
		if (op->inode != inode || !enumerate_is_content(op))
			continue;
		uint64_t end = op->offset + op->size, old = size;
		size = op->kind == OP_TRUNCATE || end > size ? end : size;
		bool pending = p > meta && size != old;
		alive = alive && (!pending || choice_next(&e->choice, 2, p) == 0);
		*ret_size = alive ? size : *ret_size;
		if (op->kind == OP_WRITE)
			memcpy(live + op->offset, op->data, op->size);
		else if (end < old)
			memset(live + end, 0, old - end);
		if (enumerate_content_kept(e, p))
			keep_sectors(e, sets, op, live, old);
		else if (op->kind == OP_TRUNCATE && end < old)
			cut_sectors(e, sets, live, old, end, alive);
		else if (op->kind == OP_WRITE)
			write_sectors(e, sets, op, p, live, old, size, alive);
	}
	for (size_t s = 0; s * e->ss < *ret_size; s++) {
		const struct content *c = sets[s].newest;
		uint32_t k = choice_next(&e->choice, sets[s].count + (sets[s].based ? 0 : 1), s);
		while (k-- > 0)
			c = c->older;
		if (c != NULL)
			memcpy(live + s * e->ss, c->data, e->ss);
		else if (sets[s].hole != NULL)
			memcpy(live + s * e->ss, sets[s].hole, e->ss);
		else
			memset(live + s * e->ss, 0, e->ss);
	}
	return live;
}

/* Enumerates the states of an honest disk at e->position. */
static int enumerate_position(struct enumeration *e, uint64_t max, enumerate_fn *visit, void *ctx,
			      uint64_t *count, struct err *err)
{
	const struct trace *t = e->t;
	uint32_t *prefix = NULL;
	size_t prefix_count = 0;
	int rc = 0;

	do {
		size_t found = 0;
		struct prefix all = {0};
		arena_reset(&e->arena);
		struct enumerate_file *files =
		    enumerate_zeros(&e->arena, t->name_count, sizeof *files);
		struct enumerate_file *of =
		    enumerate_zeros(&e->arena, t->inode_count + 1, sizeof *of);
		choice_begin(&e->choice, prefix, prefix_count, 0, CHOICE_FIRST);
		if (e->model->reorder == MODEL_REORDER_NONE) {
			all = enumerate_choose_prefix(e, 0);
			enumerate_prefix_names(e, all);
		} else {
			choose_names(e);
		}
		for (uint32_t n = 1; n <= t->name_count; n++) {
			uint32_t i = e->names[n];
			if (i != 0 && of[i].data == NULL && e->model->reorder == MODEL_REORDER_ANY)
				of[i].data = choose_file(e, i, &of[i].size);
			else if (i != 0 && of[i].data == NULL)
				of[i].data =
				    enumerate_prefix_file(e, i,
							  e->model->reorder == MODEL_REORDER_NONE
							      ? all
							      : enumerate_choose_prefix(e, i),
							  &of[i].size);
			of[i].path = t->names[n];
			if (i != 0)
				files[found++] = of[i];
		}
		ASSERT(!e->choice.diverged && !e->model->process_crash);
		rc = ++*count > max
			 ? err_set(err, ERR_LIMIT, "more than %llu states", (unsigned long long)max)
			 : visit(ctx, files, found, err);
	} while (rc == 0 && choice_advance(&e->choice, &prefix, &prefix_count));
	free(prefix);
	return rc;
}

int enumerate_states(const struct trace *t, const struct model *model, uint64_t position,
		     uint64_t max, enumerate_fn *visit, void *ctx, uint64_t *ret_count,
		     struct err *err)
{
	struct enumeration e = {.t = t, .model = model};
	int rc = 0;

	choice_init(&e.choice);
	arena_init(&e.arena);
	e.ss = model_sector_size(model, t->device.sector_size_bytes);
	e.sectors = 1;
	for (size_t i = 0; i < t->base_count; i++)
		grow(&e, t->base[i].size);
	for (size_t i = 0; i < t->op_count; i++)
		if (enumerate_is_content(&t->ops[i]))
			grow(&e, t->ops[i].offset + t->ops[i].size);
	enumerate_facts(&e);
	*ret_count = 0;
	/* D8: behind a barrier the disk may be any that there was right before one. */
	for (uint64_t p = 1; p <= position && rc == 0 && model->fsync == MODEL_FSYNC_BARRIER; p++) {
		e.position = p - 1;
		if (!enumerate_is_failed(trace_at(t, p)) &&
		    (trace_at(t, p)->kind == OP_SYNC_END || trace_at(t, p)->kind == OP_DIRSYNC_END))
			rc = enumerate_position(&e, max, visit, ctx, ret_count, err);
	}
	e.position = position;
	if (rc == 0)
		rc = enumerate_position(&e, max, visit, ctx, ret_count, err);
	enumerate_facts_release(&e);
	choice_release(&e.choice);
	arena_release(&e.arena);
	return rc;
}
