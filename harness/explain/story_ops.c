/*
 * Files, operations, transactions and statements of a story: what the run did, before anything is
 * said of the crash.
 */
#include "harness/explain/story_internal.h"

#include "faultinject/base/buf.h"
#include "harness/case/case_names.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts --------------------------------------------------------------------------------- */

/* One line, and cut where a character begins. */
static char *as_text(char *text)
{
	size_t size = strlen(text);

	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = ' ';
	if (size > STORY_TEXT_MAX - 8) {
		size = STORY_TEXT_MAX - 8;
		while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
			size--;
		memcpy(text + size, "...", 4);
	}
	return text;
}

char *story_text(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	return as_text(text);
}

void story_set(char **text, const char *fmt, ...)
{
	char *made = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&made, fmt, ap) < 0)
		abort();
	va_end(ap);
	free(*text);
	*text = as_text(made);
}

const char *story_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

char *story_path(const struct telling *t, const char *path)
{
	char folder[TRACE_NAME_MAX + 1];
	size_t n;

	if (t->c->source != NULL)
		return story_text("%s", path);
	trace_dirname(t->c->subject->database, folder, sizeof folder);
	n = strlen(folder);
	if (strcmp(path, folder) == 0)
		return xstrdup(".");
	if (n > 1 && strncmp(path, folder, n) == 0 && path[n] == '/')
		return story_text("%s", path + n + 1);
	return story_text("%s", path);
}

char *story_without_folder(const struct telling *t, const char *text)
{
	struct buf b;

	if (t->c->source != NULL)
		return story_text("%s", text);
	buf_init(&b);
	case_names_shorten(t->c->subject, text, &b);
	char *ret = story_text("%s", buf_str(&b));
	buf_release(&b);
	return ret;
}

void story_count(struct buf *out, uint64_t n, const char *one)
{
	buf_printf(out, "%" PRIu64 " %s%s", n, one, n == 1 ? "" : "s");
}

void story_comma(struct buf *out, size_t i, size_t n)
{
	if (i > 0)
		buf_printf(out, "%s", i + 1 == n ? " and " : ", ");
}

void story_numbers(struct buf *out, const uint64_t *numbers, size_t count)
{
	enum { RUNS_MAX = 12 };
	struct {
		uint64_t first, last;
	} runs[RUNS_MAX];
	size_t n = 0, i = 0;

	while (i < count && n < RUNS_MAX) {
		size_t end = i + 1;
		while (end < count && numbers[end] == numbers[end - 1] + 1)
			end++;
		end = end - i < 3 ? i + 1 : end; /* two stand for themselves */
		runs[n].first = numbers[i];
		runs[n++].last = numbers[end - 1];
		i = end;
	}
	for (size_t k = 0; k < n; k++) {
		story_comma(out, k, i < count ? n + 1 : n);
		if (runs[k].first == runs[k].last)
			buf_printf(out, "%" PRIu64, runs[k].first);
		else
			buf_printf(out, "%" PRIu64 " to %" PRIu64, runs[k].first, runs[k].last);
	}
	if (i < count)
		buf_printf(out, " and others");
}

/* ---- operations ---------------------------------------------------------------------------- */

static bool is_told(const struct op *op)
{
	return op->kind != OP_LOCK && op->kind != OP_UNLOCK;
}

uint64_t story_op_before(const struct trace *t, uint64_t position)
{
	while (position > 0 && !is_told(trace_at(t, position)))
		position--;
	return position;
}

uint64_t story_op_after(const struct trace *t, uint64_t position)
{
	for (uint64_t p = position + 1; p <= t->op_count; p++)
		if (is_told(trace_at(t, p)))
			return p;
	return 0;
}

static const char *kind_word(uint8_t kind)
{
	static const char *const words[OP_KIND_MAX + 1] = {
#define X(name, num, word) [num] = (word),
	    OP_KINDS(X)
#undef X
	};

	return words[kind];
}

struct story_op *story_op_at(struct story *s, uint64_t position)
{
	size_t low = 0, high = s->op_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->ops[middle].position < position)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->op_count && s->ops[low].position == position ? &s->ops[low] : NULL;
}

char *story_op_words(const struct telling *t, uint64_t position)
{
	const struct trace *trace = t->c->trace;
	const char *words = op_names_words(t->names, position);
	uint32_t name = op_names_target(t->names, position);
	const char *file = name == 0 ? "" : story_base_name(trace->names[name]);

	switch (trace_at(trace, position)->kind) {
	case OP_WRITE:
		return story_text("the write of %s to %s", words, file);
	case OP_ACK:
		return story_text("the commit was acknowledged");
	case OP_MARK:
		if (t->c->source == NULL && !t->o->show_data)
			return xstrdup("a note");
		return story_text("%s", words);
	default:
		return story_text(
		    "%s", words[0] == '\0' ? kind_word(trace_at(trace, position)->kind) : words);
	}
}

/* [name]: index + 1 into the story's files. Owned by the caller. */
static size_t *tell_files(struct telling *t, uint64_t first, uint64_t last)
{
	const struct trace *trace = t->c->trace;
	size_t *index = xcalloc((size_t)trace->name_count + 1, sizeof *index);
	uint8_t *used = xcalloc((size_t)trace->name_count + 1, 1);

	for (uint64_t p = first; p <= last; p++)
		if (is_told(trace_at(trace, p)))
			used[op_names_target(t->names, p)] = 1;
	/* By role, and in the order of the trace's names within it: the lanes of a timeline. */
	for (int role = STORY_DATABASE; role <= STORY_OTHER; role++) {
		for (uint32_t n = 1; n <= trace->name_count; n++) {
			if (!used[n] || (int)op_names_role(t->names, n, NULL) != role)
				continue;
			struct story_file *f = STORY_ADD(t->s, files, file);
			f->path = story_path(t, trace->names[n]);
			f->role = (enum story_role)role;
			index[n] = t->s->file_count;
		}
	}
	free(used);
	return index;
}

/* The end of the first of these syncs that covers what was done at `position`; at most `*end`. */
static void first_cover(const struct index_sync *syncs, size_t count, uint64_t position,
			uint64_t *end)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (syncs[middle].begin < position)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < count && syncs[low].end < *end)
		*end = syncs[low].end;
}

/* The name operation at `position`. */
static const struct index_name_op *name_op(const struct trace_index *ix, uint64_t position)
{
	const struct op *op = trace_at(ix->trace, position);
	const struct index_group *g =
	    &ix->groups[ix->group_of_name[op->kind == OP_LINK ? op->name2 : op->name]];

	return &g->ops[index_group_until(g, position) - 1];
}

/* The end of the sync that made a change durable: by the crash, or, after it, at all. 0: none. */
static uint64_t synced_by(const struct trace_index *ix, uint64_t position, uint64_t crash)
{
	const struct op *op = trace_at(ix->trace, position);
	uint64_t end = UINT64_MAX;

	if (!index_is_storage_op(op))
		return 0;
	if (op->kind == OP_WRITE || op->kind == OP_TRUNCATE) {
		const struct index_inode *in = &ix->inodes[op->inode];
		first_cover(in->syncs, in->sync_count, position, &end);
		if (op->kind == OP_TRUNCATE || ix->model.reorder == MODEL_REORDER_NONE)
			first_cover(ix->commits, ix->commit_count, position, &end);
		if (index_missed(in, position, end))
			return 0;
	} else {
		const struct index_name_op *n = name_op(ix, position);
		const struct index_directory *d = &ix->directories[n->directory];
		const struct index_inode *in = &ix->inodes[n->inode];
		first_cover(d->syncs, d->sync_count, position, &end);
		first_cover(ix->commits, ix->commit_count, position, &end);
		if (ix->model.fsync_entry && n->position == in->created)
			first_cover(in->syncs, in->sync_count, position, &end);
		else if (ix->model.fsync_entry)
			first_cover(in->full_syncs, in->full_sync_count, position, &end);
	}
	return end == UINT64_MAX || (position <= crash && end > crash) ? 0 : end;
}

static void tell_op(struct telling *t, const size_t *files, uint64_t p)
{
	const struct op *op = trace_at(t->c->trace, p);
	uint64_t crash = t->c->state.position;
	size_t file = files[op_names_target(t->names, p)];
	struct story_op *o = STORY_ADD(t->s, ops, op);

	o->position = p;
	o->kind = kind_word(op->kind);
	o->file = file == 0 ? SIZE_MAX : file - 1;
	o->process = op->process;
	o->thread = op->thread;
	o->connection = op->connection;
	if (op->kind == OP_WRITE || op->kind == OP_TRUNCATE) {
		o->offset = op->offset;
		o->size = op->size;
	} else if (op_has_data(op)) {
		o->size = op->size;
	}
	/* A note of a stranger's program may say anything. */
	o->words = op->kind == OP_MARK && t->c->source == NULL && !t->o->show_data
		       ? story_text("a note")
		       : story_text("%s", op_names_words(t->names, p));
	o->synced_by = synced_by(t->ix, p, crash);
	o->failed = (op->flags & OP_SYNC_FAILED) != 0 &&
		    (op->kind == OP_SYNC_END || op->kind == OP_DIRSYNC_END);
	if (p > crash)
		o->fate = STORY_AFTER;
	else
		o->fate = index_is_storage_op(op) ? STORY_UNASKED : STORY_NO_CHANGE;
}

/* Chooses STORY_OPS_MAX operations around the crash: mostly those before it. */
static void choose_range(const struct telling *t, uint64_t *first, uint64_t *last)
{
	const struct trace *trace = t->c->trace;
	uint64_t crash = t->c->state.position, after = 0, before = 0;

	*last = crash;
	while (*last < trace->op_count && after < STORY_OPS_MAX / 4) {
		++*last;
		after += is_told(trace_at(trace, *last));
	}
	*first = crash + 1;
	while (*first > 1 && before + after < STORY_OPS_MAX) {
		--*first;
		before += is_told(trace_at(trace, *first));
	}
	while (*last < trace->op_count && before + after < STORY_OPS_MAX) {
		++*last;
		after += is_told(trace_at(trace, *last));
	}
}

/* ---- transactions and statements ----------------------------------------------------------- */

static void tell_transactions(struct telling *t)
{
	const struct history *h = t->h;

	for (size_t i = 0; i < h->transaction_count; i++) {
		const struct transaction *from = &h->transactions[i];
		struct story_transaction *x = STORY_ADD(t->s, transactions, transaction);

		x->number = i + 1;
		x->process = from->process;
		x->connection = from->connection;
		x->begin = from->begin;
		x->first_write = from->first_write;
		x->end = from->end;
		x->ack = from->ack;
		x->committed = from->committed;
		x->acked = from->ack != 0 && from->ack <= t->c->state.promise;
		/* What had written nothing by then, but held a lock, had not begun for a disk. */
		x->presence =
		    !x->acked && (from->first_write != 0 ? from->first_write : from->begin) >
				     t->c->state.position
			? STORY_LATER
			: STORY_UNKNOWN;
	}
}

static bool is_part(const struct story_transaction *x, const struct story_op *o)
{
	return x->process == o->process && x->connection == o->connection &&
	       ((o->position >= x->begin && o->position <= x->end) || o->position == x->ack);
}

/* Both are sorted, transactions by their end; those that overlap are few. */
static void map_ops(struct story *s)
{
	size_t from = 0;

	for (size_t i = 0; i < s->op_count; i++) {
		struct story_op *o = &s->ops[i];

		while (from < s->transaction_count && s->transactions[from].end < o->position &&
		       s->transactions[from].ack < o->position)
			from++;
		/* A transaction that is begun later cannot own it; looking on is bounded. */
		for (size_t k = from; k < s->transaction_count && k < from + 64; k++) {
			if (is_part(&s->transactions[k], o)) {
				o->transaction = k + 1;
				break;
			}
		}
	}
}

static bool begins_with(const char *sql, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(sql, word, n) == 0 && (sql[n] == '\0' || sql[n] == ' ' || sql[n] == ';');
}

/* The transaction that a statement ran in: the one of its connection that had begun and not ended;
 * or the next one, when the statement is the last before it began, or begins it by name. */
static size_t transaction_of(const struct telling *t, size_t i)
{
	const struct trace *trace = t->c->trace;
	const struct trace_statement *st = &trace->statements[i];
	const struct story *s = t->s;
	size_t low = 0, high = s->transaction_count;

	while (low < high) { /* the first that had not ended */
		size_t middle = low + (high - low) / 2;
		if (s->transactions[middle].end <= st->position)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t k = low; k < s->transaction_count; k++) {
		const struct story_transaction *x = &s->transactions[k];

		if (x->process != st->process || x->connection != st->connection)
			continue;
		if (st->position >= x->begin)
			return k + 1;
		for (size_t n = i + 1; n < trace->statement_count; n++) {
			const struct trace_statement *next = &trace->statements[n];
			if (next->process != st->process || next->connection != st->connection)
				continue;
			if (next->position >= x->begin)
				return k + 1;
			if (!begins_with(st->sql, "BEGIN") && !begins_with(st->sql, "SAVEPOINT"))
				return 0;
			/* Others may follow before the first that locks. */
		}
		return k + 1;
	}
	return 0;
}

/* "orders.sql:6"; NULL where it is not known. */
static char *source_of(const struct telling *t, const char *source)
{
	const char *path = t->c->source == NULL ? NULL : t->c->source->path;
	size_t n = path == NULL ? 0 : strlen(path);

	if (source[0] == '\0')
		return NULL;
	if (n > 0 && strncmp(source, path, n) == 0 && source[n] == ':')
		return story_text("%s%s", story_source_name(t), source + n);
	return story_text("%s", source[0] == '/' ? story_base_name(source) : source);
}

/* A statement ends where the next one of its connection begins, and at the latest with its
 * transaction: what a connection does when it is closed is no statement's. Of one that did not
 * write, nothing says how long it took. */
static void tell_until(struct story *s, uint64_t last)
{
	enum { CONNECTIONS_MAX = 256 }; /* that have a statement behind; others are not looked up */
	struct {
		uint16_t process, connection;
		uint64_t begin;
	} next[CONNECTIONS_MAX];
	size_t count = 0;

	for (size_t i = s->statement_count; i-- > 0;) {
		struct story_statement *st = &s->statements[i];
		size_t k = 0;

		while (k < count &&
		       (next[k].process != st->process || next[k].connection != st->connection))
			k++;
		st->until = k < count ? next[k].begin : last;
		if (st->transaction != 0) {
			const struct story_transaction *x = &s->transactions[st->transaction - 1];
			uint64_t end = x->ack > x->end ? x->ack : x->end;
			st->until = st->until < end ? st->until : end;
		} else if (k == count) {
			st->until = st->position;
		}
		if (k < CONNECTIONS_MAX) {
			next[k].process = st->process;
			next[k].connection = st->connection;
			next[k].begin = st->position;
			count += k == count;
		}
	}
}

static void tell_statements(struct telling *t)
{
	const struct trace *trace = t->c->trace;
	struct story *s = t->s;
	bool plain = t->o->show_data || t->c->source != NULL;

	for (size_t i = 0; i < trace->statement_count; i++) {
		const struct trace_statement *from = &trace->statements[i];
		size_t transaction = transaction_of(t, i);
		struct story_statement *st = STORY_ADD(s, statements, statement);

		st->position = from->position;
		st->process = from->process;
		st->connection = from->connection;
		st->source = source_of(t, from->source);
		st->sql = plain ? story_text("%s", from->sql) : story_without_literals(from->sql);
		st->transaction = transaction;
	}
	tell_until(s, trace->op_count);
}

int story_tell_ops(struct telling *t, struct err *err)
{
	const struct trace *trace = t->c->trace;
	uint64_t first, last;

	choose_range(t, &first, &last);
	int rc = op_names_create(trace, first > 1 ? first : 1, last, &t->names, err);
	if (rc != 0)
		return rc;
	size_t *files = tell_files(t, first, last);
	for (uint64_t p = 1; p <= trace->op_count; p++) {
		if (!is_told(trace_at(trace, p)))
			continue;
		if (p >= first && p <= last && t->s->op_count < STORY_OPS_MAX)
			tell_op(t, files, p);
		else
			t->s->ops_left_out++;
	}
	free(files);
	tell_transactions(t);
	map_ops(t->s);
	tell_statements(t);
	return 0;
}
