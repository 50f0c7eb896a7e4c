/* See databases.h. */
#include "harness/drive/databases.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>
#include <string.h>

static const char magic[] = "SQLite format 3"; /* https://www.sqlite.org/fileformat2.html 1.3 */

static bool has_magic(const uint8_t *data, uint64_t size)
{
	return size >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

static bool is_companion(const char *name)
{
	static const char *const suffixes[] = {"-wal", "-journal", "-shm"};
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		size_t m = strlen(suffixes[i]);
		if (n > m && strcmp(name + n - m, suffixes[i]) == 0)
			return true;
	}
	return false;
}

uint8_t *databases_find(const struct trace *t)
{
	uint8_t *database = xcalloc((size_t)t->name_count + 1, 1);
	uint32_t *name_of = xcalloc((size_t)t->inode_count + 1, sizeof *name_of);

	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *b = &t->base[i];
		name_of[b->inode] = b->name;
		if (b->data != NULL && has_magic(b->data, b->size))
			database[b->name] = 1;
	}
	for (size_t i = 0; i < t->op_count; i++) {
		const struct op *op = &t->ops[i];
		if (op->kind == OP_CREATE)
			name_of[op->inode] = op->name;
		if (op->kind == OP_RENAME)
			for (uint32_t k = 1; k <= t->inode_count; k++)
				if (name_of[k] == op->name)
					name_of[k] = op->name2;
		if (op->kind == OP_WRITE && op->offset == 0 && has_magic(op->data, op->size))
			database[name_of[op->inode]] = 1;
	}
	for (uint32_t n = 1; n <= t->name_count; n++) {
		for (uint32_t k = 1; k <= t->name_count && !database[n]; k++) {
			size_t length = strlen(t->names[n]);
			if (strncmp(t->names[k], t->names[n], length) == 0 &&
			    (strcmp(t->names[k] + length, "-wal") == 0 ||
			     strcmp(t->names[k] + length, "-journal") == 0))
				database[n] = 1;
		}
		if (is_companion(t->names[n]))
			database[n] = 0;
	}
	database[0] = 0;
	free(name_of);
	return database;
}

size_t databases_into(const struct trace *t, struct subject *s)
{
	uint8_t *database = databases_find(t);
	size_t found = 0;

	for (uint32_t n = 1; n <= t->name_count; n++) {
		if (!database[n])
			continue;
		if (found++ == 0) {
			s->database = xstrdup(t->names[n]);
			continue;
		}
		s->attached =
		    xgrow(s->attached, s->attached_count, &s->attached_cap, sizeof *s->attached);
		s->attached[s->attached_count++] =
		    (struct scenario_attach){xasprintf("db%zu", found), xstrdup(t->names[n])};
	}
	free(database);
	return found;
}
