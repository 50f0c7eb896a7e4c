/*
 * See enumerate.h. The state of a run of the counter `choice` is built eagerly: every name, then
 * every file's metadata prefix, then every sector is asked about, in that order, and the counter
 * is advanced like an odometer until all answers were given.
 */
#include "harness/explore/enumerate.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/buf.h"
#include "faultinject/base/choice.h"

#include <stdlib.h>
#include <string.h>

struct enumeration {
	const struct trace *t;
	bool lies;
	size_t ss;
	uint64_t position;
	struct choice choice;
	uint32_t *names; /* [name]: the inode that it names in this state */
};

/* Everything up to here is durable for a file (D8), or, for a name, in its directory (D7). */
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

/* D7, namespace = any: a prefix per name. Renames and links join names; see join(). */
static void apply_name(uint32_t *names, const struct op *op)
{
	if (op->kind == OP_CREATE)
		names[op->name] = op->inode;
	if (op->kind == OP_LINK)
		names[op->name2] = op->inode;
	if (op->kind == OP_RENAME && op->name != op->name2) {
		names[op->name2] = names[op->name];
		names[op->name] = 0;
	}
	if (op->kind == OP_UNLINK)
		names[op->name] = 0;
}

static bool is_name_op(const struct op *op)
{
	return op->kind == OP_CREATE || op->kind == OP_LINK || op->kind == OP_RENAME ||
	       op->kind == OP_UNLINK;
}

/* group[name] = the smallest name that it is tied to, by repeating until nothing changes. */
static void join(const struct enumeration *e, uint32_t *group, const uint32_t *first_name)
{
	for (uint32_t n = 0; n <= e->t->name_count; n++)
		group[n] = n;
	for (bool changed = true; changed;) {
		changed = false;
		for (size_t i = 0; i < e->t->base_count + e->t->op_count; i++) {
			const struct op *op = i < e->t->base_count ? NULL
								   : &e->t->ops[i - e->t->base_count];
			uint32_t a, b;
			if (op == NULL) {
				a = e->t->base[i].name;
				b = first_name[e->t->base[i].inode];
			} else if (op->kind == OP_RENAME || op->kind == OP_LINK) {
				a = op->name2;
				b = op->kind == OP_RENAME ? op->name : first_name[op->inode];
			} else {
				continue;
			}
			if (group[a] != group[b]) {
				uint32_t low = group[a] < group[b] ? group[a] : group[b];
				group[a] = group[b] = low;
				changed = true;
			}
		}
	}
}

static void choose_names(struct enumeration *e)
{
	const struct trace *t = e->t;
	uint32_t *group = xcalloc((size_t)t->name_count + 1, sizeof *group);
	uint32_t *first_name = xcalloc((size_t)t->inode_count + 1, sizeof *first_name);

	memset(e->names, 0, ((size_t)t->name_count + 1) * sizeof *e->names);
	for (size_t i = t->base_count; i-- > 0;) {
		e->names[t->base[i].name] = t->base[i].inode;
		first_name[t->base[i].inode] = t->base[i].name;
	}
	for (uint64_t p = 1; p <= t->op_count; p++)
		if (trace_at(t, p)->kind == OP_CREATE)
			first_name[trace_at(t, p)->inode] = trace_at(t, p)->name;
	join(e, group, first_name);
	for (uint32_t n = 1; n <= t->name_count; n++) {
		if (group[n] != n)
			continue;
		uint64_t last_durable = 0;
		uint32_t pending = 0;
		for (int pass = 0; pass < 2; pass++) {
			uint32_t survive = pass == 0 ? 0 : choice_next(&e->choice, pending + 1, n);
			for (uint64_t p = 1; p <= e->position; p++) {
				const struct op *op = trace_at(t, p);
				uint32_t name = op->kind == OP_LINK ? op->name2 : op->name;
				if (!is_name_op(op) || group[name] != n)
					continue;
				char dir[TRACE_NAME_MAX + 1];
				trace_dirname(t->names[op->name2 != 0 ? op->name2 : op->name], dir,
					      sizeof dir);
				if (pass == 0 && p <= durable(e, 0, dir)) {
					last_durable = p;
					pending = 0;
				} else if (pass == 0) {
					pending++;
				} else if (p <= last_durable || survive > 0) {
					survive -= p > last_durable;
					apply_name(e->names, op);
				}
			}
		}
	}
	free(group);
	free(first_name);
}

/* ---- one file ------------------------------------------------------------------------------ */

struct sector_set {
	uint8_t **contents;
	size_t count, cap;
	bool closed; /* a truncation that did not survive began an unreachable epoch (D5) */
};

static void add_content(struct enumeration *e, struct sector_set *s, const uint8_t *content)
{
	if (s->closed)
		return;
	s->contents = xgrow(s->contents, s->count, &s->cap, sizeof *s->contents);
	s->contents[s->count] = xmalloc(e->ss);
	memcpy(s->contents[s->count++], content, e->ss);
}

static void forget_contents(struct sector_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->contents[i]);
	s->count = 0;
}

/* The effect of a pending truncation from `old` to `size` on the candidates. */
static void truncate_sectors(struct enumeration *e, struct sector_set *sets, const uint8_t *live,
			     uint64_t old, uint64_t size, bool survived)
{
	uint8_t *zero = xcalloc(1, e->ss);
	uint64_t s = size / e->ss;

	if (size % e->ss != 0) {
		for (size_t i = 0; i < sets[s].count && survived; i++)
			memset(sets[s].contents[i] + size % e->ss, 0, e->ss - size % e->ss);
		add_content(e, &sets[s], live + s * e->ss);
		s++;
	}
	for (; s * e->ss < old; s++) {
		if (survived && !sets[s].closed) {
			forget_contents(&sets[s]);
			add_content(e, &sets[s], zero);
		} else {
			sets[s].closed = true;
		}
	}
	free(zero);
}

/* Replays the file's operations; the first `t` pending changes of its size survive. With `sets`
 * NULL only counts them. Returns the number of pending changes; *ret_size: the surviving size. */
static uint32_t replay_file(struct enumeration *e, uint32_t inode, uint32_t t, uint8_t *live,
			    size_t sectors, struct sector_set *sets, uint64_t *ret_size)
{
	uint64_t d = durable(e, inode, NULL), size = 0;
	uint32_t pending = 0;
	bool begun = false;

	memset(live, 0, sectors * e->ss);
	*ret_size = 0;
	for (size_t i = 0; i < e->t->base_count; i++)
		if (e->t->base[i].inode == inode && e->t->base[i].data != NULL) {
			size = e->t->base[i].size;
			memcpy(live, e->t->base[i].data, size);
		}
	for (uint64_t p = 1; p <= e->position + 1; p++) {
		if (!begun && (p > d || p > e->position)) {
			for (size_t s = 0; s < sectors && sets != NULL; s++)
				add_content(e, &sets[s], live + s * e->ss);
			*ret_size = size;
			begun = true;
		}
		const struct op *op = p <= e->position ? trace_at(e->t, p) : NULL;
		if (op == NULL || op->inode != inode ||
		    (op->kind != OP_WRITE && op->kind != OP_TRUNCATE))
			continue;
		uint64_t end = op->kind == OP_WRITE ? op->offset + op->size : op->size, old = size;
		bool changes = op->kind == OP_TRUNCATE ? end != size : end > size;
		if (changes)
			size = end;
		bool survived = p > d && changes && ++pending <= t;
		if (survived)
			*ret_size = size;
		if (op->kind == OP_WRITE) {
			memcpy(live + op->offset, op->data, op->size);
			for (uint64_t s = op->offset / e->ss; begun && s * e->ss < end; s++)
				if (sets != NULL)
					add_content(e, &sets[s], live + s * e->ss);
		} else if (end < old) {
			memset(live + end, 0, old - end);
			if (begun && sets != NULL)
				truncate_sectors(e, sets, live, old, end, survived);
		}
	}
	return pending;
}

/* Chooses the file's prefix and sectors; the content is the caller's. */
static uint8_t *choose_file(struct enumeration *e, uint32_t inode, uint64_t *ret_size)
{
	uint64_t max = 0;

	for (size_t i = 0; i < e->t->base_count; i++)
		if (e->t->base[i].inode == inode && e->t->base[i].size > max)
			max = e->t->base[i].size;
	for (uint64_t p = 1; p <= e->position; p++) {
		const struct op *op = trace_at(e->t, p);
		if (op->inode == inode && (op->kind == OP_WRITE || op->kind == OP_TRUNCATE) &&
		    op->offset + op->size > max)
			max = op->offset + op->size;
	}
	size_t sectors = (size_t)(max / e->ss + 1);
	uint8_t *live = xcalloc(sectors, e->ss), *content = xcalloc(sectors, e->ss);
	struct sector_set *sets = xcalloc(sectors, sizeof *sets);
	uint32_t pending = replay_file(e, inode, 0, live, sectors, NULL, ret_size);
	uint32_t t = choice_next(&e->choice, pending + 1, inode);

	(void)replay_file(e, inode, t, live, sectors, sets, ret_size);
	for (size_t s = 0; s < sectors; s++) {
		if (s * e->ss < *ret_size)
			memcpy(content + s * e->ss,
			       sets[s].contents[choice_next(&e->choice, (uint32_t)sets[s].count, s)],
			       e->ss);
		forget_contents(&sets[s]);
		free(sets[s].contents);
	}
	free(sets);
	free(live);
	return content;
}

/* Advances the odometer: the last answer that can grow, grows. Returns false after the last. */
static bool advance(struct choice *c, uint32_t **prefix, size_t *ret_count)
{
	size_t n = c->count;

	while (n > 0 && c->steps[n - 1].answer + 1 == c->steps[n - 1].n)
		n--;
	if (n == 0)
		return false;
	*prefix = xrealloc(*prefix, n * sizeof **prefix);
	for (size_t i = 0; i < n; i++)
		(*prefix)[i] = c->steps[i].answer;
	(*prefix)[n - 1]++;
	*ret_count = n;
	return true;
}

int enumerate_states(const struct trace *t, const struct model *model, uint32_t sector_size_bytes,
		     uint64_t position, uint64_t max, enumerate_fn *visit, void *ctx,
		     uint64_t *ret_count, struct err *err)
{
	struct enumeration e = {.t = t,
				.lies = model->fsync == MODEL_FSYNC_LIES,
				.ss = sector_size_bytes,
				.position = position};
	struct enumerate_file *files = xcalloc((size_t)t->name_count + 1, sizeof *files);
	uint8_t **contents = xcalloc((size_t)t->inode_count + 1, sizeof *contents);
	uint64_t *sizes = xcalloc((size_t)t->inode_count + 1, sizeof *sizes);
	uint32_t *prefix = NULL;
	size_t prefix_count = 0;
	int rc = 0;

	ASSERT(!model->process_crash);
	e.names = xcalloc((size_t)t->name_count + 1, sizeof *e.names);
	choice_init(&e.choice);
	*ret_count = 0;
	do {
		size_t count = 0;
		if (*ret_count == max) {
			rc = err_set(err, ERR_LIMIT, "more than %llu states",
				     (unsigned long long)max);
			break;
		}
		choice_begin(&e.choice, prefix, prefix_count, 0, CHOICE_FIRST);
		choose_names(&e);
		for (uint32_t n = 1; n <= t->name_count; n++) {
			uint32_t inode = e.names[n];
			if (inode == 0)
				continue;
			if (contents[inode] == NULL)
				contents[inode] = choose_file(&e, inode, &sizes[inode]);
			files[count++] = (struct enumerate_file){t->names[n], contents[inode],
								 sizes[inode]};
		}
		ASSERT(!e.choice.diverged);
		rc = visit(ctx, files, count, err);
		(*ret_count)++;
		for (uint32_t i = 0; i <= t->inode_count; i++) {
			free(contents[i]);
			contents[i] = NULL;
		}
	} while (rc == 0 && advance(&e.choice, &prefix, &prefix_count));
	free(prefix);
	free(files);
	free(contents);
	free(sizes);
	free(e.names);
	choice_release(&e.choice);
	return rc;
}
