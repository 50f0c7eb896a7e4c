/*
 * Which names of a trace are databases, journals and logs: by what is beside them and by what a
 * file begins with.
 */
#include "harness/explain/name_op_internal.h"

#include <stdlib.h>
#include <string.h>

static const char database_magic[16] = "SQLite format 3";

static bool add_database(struct op_names *n, uint32_t name)
{
	struct name_database *d;

	if (n->paths[name].role != NAME_OTHER)
		return n->paths[name].role == NAME_DATABASE;
	if (n->database_count == OP_NAMES_FILES_MAX) {
		names_incomplete(n, "more databases than are looked at");
		return false;
	}
	d = xcalloc(1, sizeof *d);
	d->name = name;
	n->databases =
	    xgrow(n->databases, n->database_count, &n->database_cap, sizeof *n->databases);
	n->databases[n->database_count] = d;
	n->paths[name].role = NAME_DATABASE;
	n->paths[name].database = (uint32_t)n->database_count++;
	return true;
}

/* The name that is left without the last `cut` bytes; 0: the trace has none. */
static uint32_t name_without(const struct op_names *n, uint32_t name, size_t cut)
{
	const char *path = n->t->names[name];
	char base[TRACE_NAME_MAX + 1];
	size_t size = strlen(path);

	if (size <= cut || size > TRACE_NAME_MAX)
		return 0;
	memcpy(base, path, size - cut);
	base[size - cut] = 0;
	return trace_find_name(n->t, base);
}

static bool ends_with(const char *path, const char *suffix)
{
	size_t size = strlen(path), end = strlen(suffix);

	return size > end && strcmp(path + size - end, suffix) == 0;
}

static void find_companion(struct op_names *n, uint32_t name, const char *suffix,
			   enum name_role role)
{
	uint32_t base;

	if (!ends_with(n->t->names[name], suffix))
		return;
	base = name_without(n, name, strlen(suffix));
	if (base == 0 || !add_database(n, base) || n->paths[name].role != NAME_OTHER)
		return;
	n->paths[name].role = (uint8_t)role;
	n->paths[name].database = n->paths[base].database;
}

/* "-mj" and nine hex digits behind the name of a database: pager.c, "%s-mj%06X9%02X". */
static void find_super_journal(struct op_names *n, uint32_t name)
{
	enum { TAIL = 12 };
	const char *path = n->t->names[name];
	size_t size = strlen(path);
	uint32_t base;

	if (n->paths[name].role != NAME_OTHER || size <= TAIL ||
	    memcmp(path + size - TAIL, "-mj", 3) != 0 ||
	    strspn(path + size - TAIL + 3, "0123456789ABCDEF") != TAIL - 3)
		return;
	base = name_without(n, name, TAIL);
	if (base != 0 && n->paths[base].role == NAME_DATABASE)
		n->paths[name].role = NAME_SUPER_JOURNAL;
}

static void begins_as(struct op_names *n, uint32_t name, const uint8_t *data, uint64_t size)
{
	if (name != 0 && size >= sizeof database_magic &&
	    memcmp(data, database_magic, sizeof database_magic) == 0)
		(void)add_database(n, name);
}

static void find_by_content(struct op_names *n)
{
	const struct trace *t = n->t;
	uint32_t *name_of = xcalloc((size_t)t->inode_count + 1, sizeof *name_of);

	for (size_t i = 0; i < t->base_count; i++) {
		name_of[t->base[i].inode] = t->base[i].name;
		if (t->base[i].data != NULL)
			begins_as(n, t->base[i].name, t->base[i].data, t->base[i].size);
	}
	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];

		if (op->kind == OP_CREATE)
			name_of[op->inode] = op->name;
		else if (op->kind == OP_WRITE && op->offset == 0)
			begins_as(n, name_of[op->inode], op->data, op->size);
	}
	free(name_of);
}

struct shown {
	const char *base;
	uint32_t name;
};

static int compare_shown(const void *a, const void *b)
{
	return strcmp(((const struct shown *)a)->base, ((const struct shown *)b)->base);
}

static void find_ambiguous(struct op_names *n)
{
	uint32_t count = n->t->name_count;
	struct shown *all = xcalloc((size_t)count + 1, sizeof *all);

	for (uint32_t i = 1; i <= count; i++)
		all[i - 1] = (struct shown){names_base(n->t->names[i]), i};
	qsort(all, count, sizeof *all, compare_shown);
	for (uint32_t i = 1; i < count; i++)
		if (strcmp(all[i - 1].base, all[i].base) == 0)
			n->paths[all[i - 1].name].is_ambiguous =
			    n->paths[all[i].name].is_ambiguous = true;
	free(all);
}

static void find_directories(struct op_names *n)
{
	char directory[TRACE_NAME_MAX + 1];

	for (uint32_t i = 1; i <= n->t->name_count; i++) {
		trace_dirname(n->t->names[i], directory, sizeof directory);
		n->paths[i].directory = trace_find_name(n->t, directory);
		n->paths[n->paths[i].directory].is_directory = true;
	}
	n->paths[0].is_directory = false;
}

void names_find_roles(struct op_names *n)
{
	find_by_content(n);
	for (uint32_t i = 1; i <= n->t->name_count; i++) {
		find_companion(n, i, "-journal", NAME_JOURNAL);
		find_companion(n, i, "-wal", NAME_LOG);
	}
	for (uint32_t i = 1; i <= n->t->name_count; i++)
		find_super_journal(n, i);
	find_directories(n);
	find_ambiguous(n);
}
