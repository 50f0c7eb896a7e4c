/*
 * See trace.h. The trace in memory: operations, names and the durable base, and the one place that
 * says what a well-formed operation is (trace_check_op).
 *
 * Names and payloads live in one arena that is released with the trace, so that every pointer
 * handed out stays valid while the arrays around it grow. Names are found through an open hash of
 * indexes (linear probing, at most half full); nothing ever iterates it, so its order reaches no
 * result.
 *
 * Inodes appear in order: a new one (base or OP_CREATE) is always the lowest number that has not
 * appeared. That makes a reader's memory proportional to its input: a hostile file cannot say
 * "inode 1000000" in forty bytes.
 *
 * What is not checked here: the name space (whether the name of an OP_UNLINK exists, or that of an
 * OP_CREATE is free), lock conflicts, and the sum of file sizes. One byte written at offset 2^39 is
 * well formed; who builds an image of a file bounds the images itself.
 */
#include "faultinject/trace.h"

#include "faultinject/base/arena.h"
#include "faultinject/base/assert.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
	PRODUCER_SIZE_MAX = 1024, /* bytes; longer ones are cut */
	NAME_SLOTS_MIN = 64,	  /* a power of two */
};

struct trace_private {
	struct arena memory; /* names and payloads */
	uint32_t *slots;     /* name indexes, 0 = empty; slot_count is a power of two */
	size_t slot_count;
	size_t names_cap, base_cap, ops_cap, statements_cap;
	uint32_t appeared_count; /* inodes 1..appeared_count have appeared */
};

static bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

/* One line, because it is printed in reports. */
static char *copy_line(const char *text, size_t size_max)
{
	char *s = xstrdup(text == NULL ? "" : text);

	if (strlen(s) > size_max)
		s[size_max] = '\0';
	for (char *c = s; *c != '\0'; c++)
		if (is_control((uint8_t)*c))
			*c = ' ';
	return s;
}

struct trace *trace_create(struct trace_device device, const char *producer)
{
	struct trace *t = xcalloc(1, sizeof *t);

	t->priv = xcalloc(1, sizeof *t->priv);
	arena_init(&t->priv->memory);
	t->device = device;
	t->producer = copy_line(producer, PRODUCER_SIZE_MAX);
	t->names = xgrow(NULL, 0, &t->priv->names_cap, sizeof *t->names);
	t->names[0] = "";
	t->priv->slot_count = NAME_SLOTS_MIN;
	t->priv->slots = xcalloc(t->priv->slot_count, sizeof *t->priv->slots);
	return t;
}

void trace_free(struct trace *t)
{
	if (t == NULL)
		return;
	arena_release(&t->priv->memory);
	free(t->priv->slots);
	free(t->priv);
	free(t->producer);
	free(t->names);
	free(t->base);
	free(t->ops);
	free(t->statements);
	free(t);
}

static const void *copy_payload(struct trace *t, const void *data, uint64_t size)
{
	if (size == 0)
		return NULL;
	return memcpy(arena_alloc(&t->priv->memory, size), data, size);
}

/* Absolute, no empty, "." or ".." component, no slash at the end ("/" itself is a name). */
static bool path_is_well_formed(const char *path)
{
	if (path[0] != '/' || strlen(path) > TRACE_NAME_MAX)
		return false;
	if (path[1] == '\0')
		return true;
	while (*path != '\0') {
		const char *component = path + 1;
		size_t size = strcspn(component, "/");

		if (size == 0 || (size == 1 && component[0] == '.') ||
		    (size == 2 && component[0] == '.' && component[1] == '.'))
			return false;
		path = component + size;
	}
	return true;
}

/* The slot that holds `path`, or the empty one where it belongs. */
static size_t name_slot(const struct trace *t, const char *path)
{
	size_t mask = t->priv->slot_count - 1;
	size_t i = (size_t)hash64(path, strlen(path), 0) & mask;

	while (t->priv->slots[i] != 0 && strcmp(t->names[t->priv->slots[i]], path) != 0)
		i = (i + 1) & mask;
	return i;
}

static void name_slots_double(struct trace *t)
{
	struct trace_private *priv = t->priv;

	free(priv->slots);
	priv->slot_count *= 2;
	priv->slots = xcalloc(priv->slot_count, sizeof *priv->slots);
	for (uint32_t i = 1; i <= t->name_count; i++)
		priv->slots[name_slot(t, t->names[i])] = i;
}

/* 0 for a path that is not well formed and for a table that is full: the readers of foreign files
 * turn that into an error, and an operation of ours with name 0 fails trace_check_op(). */
uint32_t trace_name(struct trace *t, const char *path)
{
	uint32_t found = trace_find_name(t, path);

	if (found != 0)
		return found;
	if (t->name_count == TRACE_NAMES_MAX || !path_is_well_formed(path))
		return 0;
	if (2 * ((size_t)t->name_count + 1) > t->priv->slot_count)
		name_slots_double(t);
	t->names =
	    xgrow(t->names, (size_t)t->name_count + 1, &t->priv->names_cap, sizeof *t->names);
	t->names[++t->name_count] = copy_payload(t, path, strlen(path) + 1);
	t->priv->slots[name_slot(t, path)] = t->name_count;
	return t->name_count;
}

uint32_t trace_find_name(const struct trace *t, const char *path)
{
	return t->priv->slots[name_slot(t, path)];
}

void trace_dirname(const char *path, char *buf, size_t size)
{
	const char *slash = strrchr(path, '/');

	ASSERT(slash != NULL);
	size_t n = slash == path ? 1 : (size_t)(slash - path);
	ASSERT_OP(n, <, size);
	memcpy(buf, path, n);
	buf[n] = '\0';
}

/* 0 when all numbers are used up, for the reasons given at trace_name(). */
uint32_t trace_new_inode(struct trace *t)
{
	if (t->inode_count == TRACE_INODES_MAX)
		return 0;
	return ++t->inode_count;
}

void trace_add_base(struct trace *t, uint32_t inode, uint32_t name, const void *data, uint64_t size)
{
	struct trace_private *priv = t->priv;
	bool is_link = inode <= priv->appeared_count;

	ASSERT_OP(t->op_count, ==, 0);
	ASSERT(inode >= 1 && inode <= t->inode_count);
	ASSERT_OP(inode, <=, priv->appeared_count + 1);
	ASSERT(name >= 1 && name <= t->name_count);
	ASSERT(!is_link || data == NULL);
	ASSERT(is_link || size == 0 || data != NULL);
	ASSERT(size <= TRACE_FILE_SIZE_MAX);

	t->base = xgrow(t->base, t->base_count, &priv->base_cap, sizeof *t->base);
	t->base[t->base_count++] = (struct trace_base){
	    .inode = inode,
	    .name = name,
	    .size = is_link ? 0 : size,
	    .data = is_link ? NULL : copy_payload(t, data, size),
	};
	if (!is_link)
		priv->appeared_count = inode;
}

void trace_add_statement(struct trace *t, const struct trace_statement *statement)
{
	struct trace_private *priv = t->priv;
	char *source, *sql;

	if (t->statement_count == TRACE_STATEMENTS_MAX)
		return;
	source = copy_line(statement->source, TRACE_SQL_MAX);
	sql = copy_line(statement->sql, TRACE_SQL_MAX);
	t->statements =
	    xgrow(t->statements, t->statement_count, &priv->statements_cap, sizeof *t->statements);
	t->statements[t->statement_count++] = (struct trace_statement){
	    .position = t->op_count,
	    .process = statement->process,
	    .thread = statement->thread,
	    .connection = statement->connection,
	    .source = copy_payload(t, source, strlen(source) + 1),
	    .sql = copy_payload(t, sql, strlen(sql) + 1),
	};
	free(source);
	free(sql);
}

/* Which fields a kind uses; all others are 0 (op.h). */
enum {
	USES_INODE = 1,
	USES_NAME = 2,
	USES_NAME2 = 4,
	USES_OFFSET = 8,
	USES_SIZE = 16,
	USES_DATA = 32,
	USES_INODE_OR_0 = USES_INODE | 64, /* 0: it is not known which */
};

static const struct {
	const char *word;
	uint8_t uses;
	uint8_t flags;
} kinds[OP_KIND_MAX + 1] = {
#define X(kind, num, word_) [num].word = (word_),
    OP_KINDS(X)
#undef X
	[OP_CREATE]
	    .uses = USES_INODE | USES_NAME,
    [OP_WRITE].uses = USES_INODE | USES_OFFSET | USES_SIZE | USES_DATA,
    [OP_TRUNCATE].uses = USES_INODE | USES_SIZE,
    [OP_SYNC_BEGIN].uses = USES_INODE,
    [OP_SYNC_BEGIN].flags = OP_SYNC_DATA,
    [OP_SYNC_END].uses = USES_INODE | USES_OFFSET,
    [OP_SYNC_END].flags = OP_SYNC_FAILED,
    [OP_DIRSYNC_BEGIN].uses = USES_NAME,
    [OP_DIRSYNC_END].uses = USES_NAME | USES_OFFSET,
    [OP_DIRSYNC_END].flags = OP_SYNC_FAILED,
    [OP_RENAME].uses = USES_NAME | USES_NAME2,
    [OP_UNLINK].uses = USES_NAME,
    [OP_LINK].uses = USES_INODE | USES_NAME2,
    [OP_LOCK].uses = USES_INODE | USES_OFFSET | USES_SIZE,
    [OP_LOCK].flags = OP_LOCK_SHARED | OP_LOCK_SHM,
    [OP_UNLOCK].uses = USES_INODE | USES_OFFSET | USES_SIZE,
    [OP_UNLOCK].flags = OP_LOCK_SHARED | OP_LOCK_SHM | OP_LOCK_GONE,
    [OP_MARK].uses = USES_SIZE | USES_DATA,
    [OP_OUTPUT].uses = USES_SIZE | USES_DATA,
    [OP_HOLE].uses = USES_INODE_OR_0 | USES_SIZE | USES_DATA,
};

static int check_unused(const struct op *op, struct err *err)
{
	unsigned uses = kinds[op->kind].uses;
	const struct {
		unsigned use;
		bool is_set;
		const char *field;
	} fields[] = {
	    {USES_INODE, op->inode != 0, "an inode"},
	    {USES_NAME, op->name != 0, "a name"},
	    {USES_NAME2, op->name2 != 0, "a second name"},
	    {USES_OFFSET, op->offset != 0, "an offset"},
	    {USES_SIZE, op->size != 0, "a size"},
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if ((uses & fields[i].use) == 0 && fields[i].is_set)
			return err_set(err, ERR_INPUT, "'%s' has %s, which it does not use",
				       kinds[op->kind].word, fields[i].field);
	return 0;
}

static int check_references(const struct trace *t, const struct op *op, struct err *err)
{
	const char *word = kinds[op->kind].word;
	unsigned uses = kinds[op->kind].uses;
	uint32_t appeared = t->priv->appeared_count;

	if (op->kind == OP_CREATE && (op->inode != appeared + 1 || op->inode > t->inode_count))
		return err_set(err, ERR_INPUT, "'%s' of inode %u: the next new inode is %u", word,
			       op->inode, appeared + 1);
	bool may_be_any = (uses & USES_INODE_OR_0) == USES_INODE_OR_0 && op->inode == 0;

	if (op->kind != OP_CREATE && (uses & USES_INODE) != 0 && !may_be_any &&
	    (op->inode < 1 || op->inode > appeared))
		return err_set(err, ERR_INPUT, "'%s' of inode %u: there are %u so far", word,
			       op->inode, appeared);
	if ((uses & USES_NAME) != 0 && (op->name < 1 || op->name > t->name_count))
		return err_set(err, ERR_INPUT, "'%s' of name %u: there are %u so far", word,
			       op->name, t->name_count);
	if ((uses & USES_NAME2) != 0 && (op->name2 < 1 || op->name2 > t->name_count))
		return err_set(err, ERR_INPUT, "'%s' to name %u: there are %u so far", word,
			       op->name2, t->name_count);
	if (op->kind == OP_SYNC_END || op->kind == OP_DIRSYNC_END) {
		uint8_t begin_kind = op->kind == OP_SYNC_END ? OP_SYNC_BEGIN : OP_DIRSYNC_BEGIN;
		const struct op *begin;

		if (op->offset < 1 || op->offset > t->op_count)
			return err_set(err, ERR_INPUT,
				       "'%s' of a begin at %llu, which is not earlier", word,
				       (unsigned long long)op->offset);
		begin = trace_at(t, op->offset);
		if (begin->kind != begin_kind || begin->inode != op->inode ||
		    begin->name != op->name)
			return err_set(err, ERR_INPUT,
				       "'%s' of a begin at %llu, which is none of the same target",
				       word, (unsigned long long)op->offset);
	}
	return 0;
}

static int check_sizes(const struct op *op, struct err *err)
{
	const char *word = kinds[op->kind].word;
	unsigned uses = kinds[op->kind].uses;

	if ((uses & USES_DATA) != 0 && op->size > TRACE_PAYLOAD_MAX)
		return err_set(err, ERR_INPUT, "'%s' of %llu bytes: at most %d are possible", word,
			       (unsigned long long)op->size, TRACE_PAYLOAD_MAX);
	if ((uses & USES_DATA) != 0 && op->size > 0 && op->data == NULL)
		return err_set(err, ERR_INPUT, "'%s' without its data", word);
	if ((op->kind == OP_WRITE || op->kind == OP_TRUNCATE) &&
	    (op->offset > TRACE_FILE_SIZE_MAX || op->size > TRACE_FILE_SIZE_MAX - op->offset))
		return err_set(err, ERR_INPUT, "'%s' makes a file larger than %llu bytes", word,
			       (unsigned long long)TRACE_FILE_SIZE_MAX);
	if ((op->kind == OP_LOCK || op->kind == OP_UNLOCK) &&
	    (op->offset > INT64_MAX || op->size > (uint64_t)INT64_MAX - op->offset))
		return err_set(err, ERR_INPUT, "'%s' beyond the largest file offset", word);
	return 0;
}

/* It is printed in reports, too. */
static int check_why(const struct op *op, struct err *err)
{
	if (op->kind != OP_HOLE)
		return 0;
	if (op->size < 1 || op->size > TRACE_WHY_MAX)
		return err_set(err, ERR_INPUT, "'%s' with a reason of %llu bytes, not 1 to %d",
			       kinds[op->kind].word, (unsigned long long)op->size, TRACE_WHY_MAX);
	for (uint64_t i = 0; i < op->size; i++)
		if (is_control(op->data[i]))
			return err_set(err, ERR_INPUT, "'%s' with a reason that is not one line",
				       kinds[op->kind].word);
	return 0;
}

int trace_check_op(const struct trace *t, const struct op *op, struct err *err)
{
	int rc;

	if (t->op_count == TRACE_OPS_MAX)
		return err_set(err, ERR_INPUT, "more than %d operations", TRACE_OPS_MAX);
	if (op->kind < 1 || op->kind > OP_KIND_MAX)
		return err_set(err, ERR_INPUT, "unknown operation %u", op->kind);
	if ((op->flags & ~kinds[op->kind].flags) != 0)
		return err_set(err, ERR_INPUT, "'%s' has unknown flags 0x%x", kinds[op->kind].word,
			       op->flags);
	rc = check_unused(op, err);
	if (rc == 0)
		rc = check_references(t, op, err);
	if (rc == 0)
		rc = check_sizes(op, err);
	if (rc == 0)
		rc = check_why(op, err);
	return rc;
}

uint64_t trace_append(struct trace *t, const struct op *op)
{
	struct err err = ERR_INIT;
	struct op copy = *op; /* may lie in the array that is about to move */

	if (trace_check_op(t, op, &err) != 0)
		assert_fail(__FILE__, __LINE__, err.message);
	copy.data = NULL;
	if ((kinds[op->kind].uses & USES_DATA) != 0)
		copy.data = copy_payload(t, op->data, op->size);
	t->ops = xgrow(t->ops, t->op_count, &t->priv->ops_cap, sizeof *t->ops);
	t->ops[t->op_count++] = copy;
	if (copy.kind == OP_CREATE)
		t->priv->appeared_count = copy.inode;
	return t->op_count;
}

uint64_t trace_append_hole(struct trace *t, uint16_t process, uint32_t inode, const char *why)
{
	char *line = copy_line(why, TRACE_WHY_MAX);
	uint64_t position = trace_append(t, &(struct op){.kind = OP_HOLE,
							 .process = process,
							 .inode = inode,
							 .size = strlen(line),
							 .data = (const uint8_t *)line});

	free(line);
	return position;
}

uint64_t trace_first_hole(const struct trace *t)
{
	for (size_t i = 0; i < t->op_count; i++)
		if (t->ops[i].kind == OP_HOLE)
			return i + 1;
	return 0;
}
