/*
 * Builds the index in one pass over the trace; see trace_index.h.
 *
 * The version of a sector after an operation is what a running process would have read: versions
 * are built from each other, in order. Which of them a crash may leave is not decided here.
 */
#include "faultinject/trace_index.h"

#include "faultinject/base/arena.h"
#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

struct trace_index_memory {
	struct arena arena; /* contents, group tables */
};

/* ---- contents ------------------------------------------------------------------------------ */

static struct index_sector *sector_at(struct index_inode *inode, uint32_t sector)
{
	if (sector >= inode->sector_count) {
		uint32_t count = sector + 1;
		if (count > inode->sector_cap) {
			uint32_t cap = inode->sector_cap == 0 ? 16 : inode->sector_cap * 2;
			if (cap < count)
				cap = count;
			inode->sectors = xrealloc(inode->sectors, cap * sizeof *inode->sectors);
			inode->sector_cap = cap;
		}
		memset(inode->sectors + inode->sector_count, 0,
		       (count - inode->sector_count) * sizeof *inode->sectors);
		inode->sector_count = count;
	}
	return &inode->sectors[sector];
}

static const uint8_t *live_content(const struct trace_index *ix, const struct index_sector *s)
{
	return s->count == 0 ? ix->zero_sector : s->versions[s->count - 1].content;
}

static void add_version(struct trace_index *ix, struct index_inode *inode, uint32_t sector,
			struct index_version v)
{
	struct index_sector *s = sector_at(inode, sector);

	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 2 : s->cap * 2;
		s->versions = xrealloc(s->versions, s->cap * sizeof *s->versions);
	}
	v.id = v.content == ix->zero_sector ? ix->zero_id : hash64(v.content, ix->sector_size, 0);
	s->versions[s->count++] = v;
	if (v.position != 0) {
		inode->touches = xgrow(inode->touches, inode->touch_count, &inode->touch_cap,
				       sizeof *inode->touches);
		inode->touches[inode->touch_count++] = (struct index_touch){v.position, sector};
	}
}

/* Adds the versions that writing data[size] at `offset` creates. */
static void add_write(struct trace_index *ix, struct index_inode *inode, uint64_t position,
		      uint64_t offset, uint64_t size, const uint8_t *data)
{
	uint64_t ss = ix->sector_size;

	for (uint64_t at = offset; at < offset + size;) {
		uint32_t sector = (uint32_t)(at / ss);
		uint64_t in_sector = at % ss;
		uint64_t n =
		    ss - in_sector < offset + size - at ? ss - in_sector : offset + size - at;
		struct index_version v = {.position = position, .kind = INDEX_WRITE};
		if (n == ss) {
			v.content = data + (at - offset);
		} else {
			uint8_t *copy = arena_alloc(&ix->memory->arena, ss);
			memcpy(copy, live_content(ix, sector_at(inode, sector)), ss);
			memcpy(copy + in_sector, data + (at - offset), n);
			v.content = copy;
		}
		add_version(ix, inode, sector, v);
		at += n;
	}
}

static uint64_t live_size(const struct index_inode *inode)
{
	return inode->meta_count == 0 ? inode->base_size : inode->metas[inode->meta_count - 1].size;
}

static void add_meta(struct index_inode *inode, uint64_t position, uint64_t size, bool truncation)
{
	inode->metas =
	    xgrow(inode->metas, inode->meta_count, &inode->meta_cap, sizeof *inode->metas);
	inode->metas[inode->meta_count++] = (struct index_meta){position, size, truncation};
}

static void add_truncate(struct trace_index *ix, struct index_inode *inode, uint64_t position,
			 uint64_t size)
{
	uint64_t ss = ix->sector_size, old = live_size(inode);

	if (size < old) {
		if (size % ss != 0) {
			uint32_t sector = (uint32_t)(size / ss);
			uint8_t *copy = arena_alloc(&ix->memory->arena, ss);
			memcpy(copy, live_content(ix, sector_at(inode, sector)), ss);
			memset(copy + size % ss, 0, ss - size % ss);
			add_version(ix, inode, sector,
				    (struct index_version){.position = position,
							   .content = copy,
							   .kind = INDEX_CUT,
							   .cut = (uint16_t)(size % ss)});
		}
		/* Also where nothing was ever written: what is written there later belongs to the
		 * next epoch. */
		for (uint64_t s = (size + ss - 1) / ss; s * ss < old; s++)
			add_version(ix, inode, (uint32_t)s,
				    (struct index_version){.position = position,
							   .content = ix->zero_sector,
							   .kind = INDEX_DROP});
	}
	if (size != old)
		add_meta(inode, position, size, true);
}

/* ---- names --------------------------------------------------------------------------------- */

static uint32_t union_find(uint32_t *parent, uint32_t x)
{
	while (parent[x] != x) {
		parent[x] = parent[parent[x]];
		x = parent[x];
	}
	return x;
}

static uint32_t directory_index(struct trace_index *ix, const char *path)
{
	for (size_t i = 0; i < ix->directory_count; i++)
		if (strcmp(ix->directories[i].path, path) == 0)
			return (uint32_t)i;
	ix->directories = xgrow(ix->directories, ix->directory_count, &ix->directory_cap,
				sizeof *ix->directories);
	ix->directories[ix->directory_count] = (struct index_directory){.path = xstrdup(path)};
	return (uint32_t)ix->directory_count++;
}

static uint32_t directory_of_name(struct trace_index *ix, uint32_t name)
{
	char dir[TRACE_NAME_MAX + 1];

	trace_dirname(ix->trace->names[name], dir, sizeof dir);
	return directory_index(ix, dir);
}

static bool is_name_op(const struct op *op)
{
	return op->kind == OP_CREATE || op->kind == OP_UNLINK || op->kind == OP_RENAME ||
	       op->kind == OP_LINK;
}

/* Joins names that one operation, or one inode, ties together. */
static uint32_t *join_names(const struct trace *t)
{
	uint32_t *parent = xcalloc((size_t)t->name_count + 1, sizeof *parent);
	uint32_t *first_name = xcalloc((size_t)t->inode_count + 1, sizeof *first_name);

	for (uint32_t i = 0; i <= t->name_count; i++)
		parent[i] = i;
	for (size_t i = 0; i < t->base_count; i++) {
		uint32_t *first = &first_name[t->base[i].inode];
		if (*first == 0)
			*first = t->base[i].name;
		parent[union_find(parent, t->base[i].name)] = union_find(parent, *first);
	}
	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];
		if (op->kind == OP_CREATE && first_name[op->inode] == 0)
			first_name[op->inode] = op->name;
		if (op->kind == OP_RENAME)
			parent[union_find(parent, op->name)] = union_find(parent, op->name2);
		if (op->kind == OP_LINK && first_name[op->inode] != 0)
			parent[union_find(parent, op->name2)] =
			    union_find(parent, first_name[op->inode]);
	}
	free(first_name);
	return parent;
}

bool index_op_names(const struct op *op, uint32_t name)
{
	switch (op->kind) {
	case OP_CREATE:
	case OP_UNLINK:
		return op->name == name;
	case OP_LINK:
		return op->name2 == name;
	case OP_RENAME:
		return op->name == name || op->name2 == name;
	default:
		return false;
	}
}

static size_t column_of(const struct index_group *g, uint32_t name)
{
	size_t column = 0;

	while (g->names[column] != name)
		column++;
	return column;
}

void index_apply_name(const struct index_group *g, uint32_t *row, const struct op *op)
{
	size_t to =
	    column_of(g, op->kind == OP_LINK || op->kind == OP_RENAME ? op->name2 : op->name);

	if (op->kind == OP_RENAME) {
		size_t from = column_of(g, op->name);
		uint32_t inode = row[from];
		row[from] = 0;
		row[to] = inode;
	} else {
		row[to] = op->kind == OP_UNLINK ? 0 : op->inode;
	}
}

/* What is renamed or unlinked must be there in the eyes of the processes. */
static int check_name_op(const struct trace *t, const struct index_group *g, const uint32_t *row,
			 const struct op *op, uint64_t position, struct err *err)
{
	if ((op->kind == OP_UNLINK || op->kind == OP_RENAME) && row[column_of(g, op->name)] == 0)
		return err_set(err, ERR_INPUT, "op %llu: '%s' does not exist",
			       (unsigned long long)position, t->names[op->name]);
	return 0;
}

static int build_groups(struct trace_index *ix, struct err *err)
{
	const struct trace *t = ix->trace;
	struct arena *arena = &ix->memory->arena;
	uint32_t *parent = join_names(t);
	uint32_t *group_of_root = xcalloc((size_t)t->name_count + 1, sizeof *group_of_root);
	int rc = 0;

	ix->group_of_name = xcalloc((size_t)t->name_count + 1, sizeof *ix->group_of_name);
	ix->groups = xcalloc((size_t)t->name_count + 1, sizeof *ix->groups);
	for (uint32_t n = 1; n <= t->name_count; n++) {
		uint32_t root = union_find(parent, n);
		if (group_of_root[root] == 0)
			group_of_root[root] = (uint32_t)++ix->group_count;
		ix->group_of_name[n] = group_of_root[root] - 1;
		ix->groups[ix->group_of_name[n]].name_count++;
	}
	for (size_t i = 0; i < t->op_count; i++)
		if (is_name_op(&t->ops[i])) {
			const struct op *op = &t->ops[i];
			uint32_t n = op->kind == OP_LINK ? op->name2 : op->name;
			ix->groups[ix->group_of_name[n]].op_count++;
		}
	for (size_t i = 0; i < ix->group_count; i++) {
		struct index_group *g = &ix->groups[i];
		g->names = arena_alloc(arena, g->name_count * sizeof *g->names);
		g->positions = arena_alloc(arena, g->op_count * sizeof *g->positions);
		g->directories = arena_alloc(arena, g->op_count * sizeof *g->directories);
		size_t cells = (g->op_count + 1) * g->name_count;
		g->targets = arena_alloc(arena, cells * sizeof *g->targets);
		memset(g->targets, 0, cells * sizeof *g->targets);
		g->name_count = 0;
		g->op_count = 0;
	}
	for (uint32_t n = 1; n <= t->name_count; n++) {
		struct index_group *g = &ix->groups[ix->group_of_name[n]];
		g->names[g->name_count++] = n;
	}
	for (size_t i = 0; i < t->base_count; i++) {
		struct index_group *g = &ix->groups[ix->group_of_name[t->base[i].name]];
		for (size_t k = 0; k < g->name_count; k++)
			if (g->names[k] == t->base[i].name)
				g->targets[k] = t->base[i].inode;
	}
	for (size_t i = 0; i < t->op_count && rc == 0; i++) {
		const struct op *op = &t->ops[i];
		if (!is_name_op(op))
			continue;
		uint32_t n = op->kind == OP_LINK ? op->name2 : op->name;
		struct index_group *g = &ix->groups[ix->group_of_name[n]];
		uint32_t *row = g->targets + (g->op_count + 1) * g->name_count;
		memcpy(row, row - g->name_count, g->name_count * sizeof *row);
		g->positions[g->op_count] = i + 1;
		g->directories[g->op_count] = directory_of_name(
		    ix, op->kind == OP_RENAME || op->kind == OP_LINK ? op->name2 : op->name);
		g->op_count++;
		rc = check_name_op(t, g, row, op, i + 1, err);
		if (rc == 0)
			index_apply_name(g, row, op);
	}
	free(parent);
	free(group_of_root);
	return rc;
}

/* ---- build --------------------------------------------------------------------------------- */

/* Syncs of several threads may end out of the order of their begins; keeping the highest begin so
 * far makes the list sorted by both. */
static void add_sync(struct index_sync **syncs, size_t *count, size_t *cap, uint64_t begin,
		     uint64_t end)
{
	if (*count > 0 && (*syncs)[*count - 1].begin > begin)
		begin = (*syncs)[*count - 1].begin;
	*syncs = xgrow(*syncs, *count, cap, sizeof **syncs);
	(*syncs)[(*count)++] = (struct index_sync){begin, end};
}

static int index_op(struct trace_index *ix, uint64_t position, struct err *err)
{
	const struct op *op = trace_at(ix->trace, position);
	struct index_inode *inode = op->inode == 0 ? NULL : &ix->inodes[op->inode];
	uint64_t end = op->offset + op->size;

	switch (op->kind) {
	case OP_CREATE:
		ASSERT(inode != NULL);
		inode->created = position;
		return 0;
	case OP_WRITE:
		ASSERT(inode != NULL);
		if (end > INDEX_FILE_SIZE_MAX)
			break;
		add_write(ix, inode, position, op->offset, op->size, op->data);
		if (end > live_size(inode))
			add_meta(inode, position, end, false);
		return 0;
	case OP_TRUNCATE:
		ASSERT(inode != NULL);
		if (op->size > INDEX_FILE_SIZE_MAX)
			break;
		add_truncate(ix, inode, position, op->size);
		return 0;
	case OP_SYNC_END:
		ASSERT(inode != NULL);
		add_sync(&inode->syncs, &inode->sync_count, &inode->sync_cap, op->offset, position);
		return 0;
	case OP_DIRSYNC_END: {
		/* Finding the directory may move the array. */
		uint32_t directory = directory_index(ix, ix->trace->names[op->name]);
		struct index_directory *d = &ix->directories[directory];
		add_sync(&d->syncs, &d->sync_count, &d->sync_cap, op->offset, position);
		return 0;
	}
	default:
		return 0;
	}
	return err_set(err, ERR_LIMIT, "op %llu: a file grows beyond %llu bytes",
		       (unsigned long long)position, (unsigned long long)INDEX_FILE_SIZE_MAX);
}

/* Every operation on an inode must follow its appearance. */
static int check_inodes(const struct trace *t, struct err *err)
{
	uint8_t *known = xcalloc((size_t)t->inode_count + 1, 1);
	int rc = 0;

	for (size_t i = 0; i < t->base_count; i++)
		known[t->base[i].inode] = 1;
	for (size_t i = 0; i < t->op_count && rc == 0; i++) {
		const struct op *op = &t->ops[i];
		if (op->kind == OP_CREATE && known[op->inode])
			rc = err_set(err, ERR_INPUT, "op %zu: inode %u is created twice", i + 1,
				     op->inode);
		else if (op->kind == OP_CREATE)
			known[op->inode] = 1;
		else if (op->inode != 0 && !known[op->inode])
			rc = err_set(err, ERR_INPUT, "op %zu: inode %u was never created", i + 1,
				     op->inode);
	}
	free(known);
	return rc;
}

int trace_index_build(const struct trace *t, uint32_t sector_size_bytes,
		      struct trace_index **ret_index, struct err *err)
{
	ASSERT(sector_size_bytes == 512 || sector_size_bytes == 4096);
	int rc = check_inodes(t, err);
	if (rc != 0)
		return rc;

	struct trace_index *ix = xcalloc(1, sizeof *ix);
	ix->trace = t;
	ix->sector_size = sector_size_bytes;
	ix->memory = xcalloc(1, sizeof *ix->memory);
	arena_init(&ix->memory->arena);
	ix->zero_sector = xcalloc(1, sector_size_bytes);
	ix->zero_id = hash64(ix->zero_sector, sector_size_bytes, 0);
	ix->inodes = xcalloc((size_t)t->inode_count + 1, sizeof *ix->inodes);
	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *b = &t->base[i];
		if (b->data == NULL)
			continue;
		if (b->size > INDEX_FILE_SIZE_MAX) {
			rc = err_set(err, ERR_LIMIT, "'%s' is larger than %llu bytes",
				     t->names[b->name], (unsigned long long)INDEX_FILE_SIZE_MAX);
			goto out;
		}
		ix->inodes[b->inode].base_size = b->size;
		add_write(ix, &ix->inodes[b->inode], 0, 0, b->size, b->data);
	}
	rc = build_groups(ix, err);
	for (uint64_t p = 1; p <= t->op_count && rc == 0; p++)
		rc = index_op(ix, p, err);
out:
	if (rc != 0) {
		trace_index_free(ix);
		return rc;
	}
	*ret_index = ix;
	return 0;
}

void trace_index_free(struct trace_index *ix)
{
	if (ix == NULL)
		return;
	for (uint32_t i = 1; ix->inodes != NULL && i <= ix->trace->inode_count; i++) {
		struct index_inode *inode = &ix->inodes[i];
		for (uint32_t s = 0; s < inode->sector_count; s++)
			free(inode->sectors[s].versions);
		free(inode->sectors);
		free(inode->metas);
		free(inode->syncs);
		free(inode->touches);
	}
	for (size_t i = 0; i < ix->directory_count; i++) {
		free(ix->directories[i].path);
		free(ix->directories[i].syncs);
	}
	free(ix->directories);
	free(ix->inodes);
	free(ix->groups);
	free(ix->group_of_name);
	free(ix->zero_sector);
	arena_release(&ix->memory->arena);
	free(ix->memory);
	free(ix);
}

/* ---- lookups ------------------------------------------------------------------------------- */

uint64_t index_durable(const struct index_sync *syncs, size_t count, uint64_t position)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (syncs[mid].end <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? 0 : syncs[lo - 1].begin;
}

const struct index_version *index_version_at(const struct index_sector *s, uint64_t position)
{
	uint32_t lo = 0, hi = s->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->versions[mid].position <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo == 0 ? NULL : &s->versions[lo - 1];
}

size_t index_meta_until(const struct index_inode *inode, uint64_t position)
{
	size_t lo = 0, hi = inode->meta_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (inode->metas[mid].position <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t index_group_until(const struct index_group *g, uint64_t position)
{
	size_t lo = 0, hi = g->op_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (g->positions[mid] <= position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t index_group_durable(const struct trace_index *ix, const struct index_group *g,
			   uint64_t position, uint8_t *ret_flags)
{
	size_t until = index_group_until(g, position), count = 0;
	uint8_t *kept = xcalloc(g->name_count, 1);

	/* Backwards: an operation that is durable takes its predecessors on its names along. */
	for (size_t k = until; k-- > 0;) {
		const struct op *op = trace_at(ix->trace, g->positions[k]);
		const struct index_directory *d = &ix->directories[g->directories[k]];
		bool durable = g->positions[k] <= index_durable(d->syncs, d->sync_count, position);
		for (size_t i = 0; i < g->name_count; i++)
			durable = durable || (kept[i] && index_op_names(op, g->names[i]));
		for (size_t i = 0; i < g->name_count && durable; i++)
			kept[i] = kept[i] || index_op_names(op, g->names[i]);
		count += durable;
		if (ret_flags != NULL)
			ret_flags[k] = durable;
	}
	free(kept);
	return count;
}

uint32_t index_live_inode(const struct trace_index *ix, uint32_t name, uint64_t position)
{
	const struct index_group *g = &ix->groups[ix->group_of_name[name]];
	const uint32_t *row = g->targets + index_group_until(g, position) * g->name_count;

	for (size_t i = 0; i < g->name_count; i++)
		if (g->names[i] == name)
			return row[i];
	return 0;
}

bool index_is_storage_op(const struct op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_TRUNCATE || is_name_op(op);
}
