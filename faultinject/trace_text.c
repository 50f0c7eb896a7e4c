/*
 * See trace.h. The text twin: for people who look at a trace, and for tests that write one.
 *
 *	trace 1 sector=4096 characteristics=0x1000 producer="..."
 *	base inode=1 name="/d/a.db" size=2 data=00ff
 *	base inode=1 name="/d/b.db" link
 *	1 write process=1 connection=1 inode=1 offset=0 size=2 data=0a0b
 *	2 sync-begin process=1 connection=1 inode=1 data-only
 *	3 sync-end process=1 connection=1 inode=1 begin=2
 *	end operations=3
 *
 * One table of fields (below) serves printer and parser; docs/trace.md explains each. Names are
 * written where they are used, so that a line can be read alone; their numbers in the name table
 * are not kept. Everything that is not printable ASCII is escaped: a name from a stranger's trace
 * must not move anybody's cursor.
 *
 * Not here: what makes an operation well formed (trace_check_op).
 */
#include "faultinject/trace.h"

#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum field_type { TYPE_NUMBER, TYPE_STRING, TYPE_HEX, TYPE_FLAG };

/* field, word, type, largest number */
#define FIELDS(X)                                                                                  \
	X(F_SECTOR, "sector", TYPE_NUMBER, UINT32_MAX)                                             \
	X(F_CHARACTERISTICS, "characteristics", TYPE_NUMBER, UINT32_MAX)                           \
	X(F_PRODUCER, "producer", TYPE_STRING, 0)                                                  \
	X(F_PROCESS, "process", TYPE_NUMBER, UINT16_MAX)                                           \
	X(F_THREAD, "thread", TYPE_NUMBER, UINT16_MAX)                                             \
	X(F_CONNECTION, "connection", TYPE_NUMBER, UINT16_MAX)                                     \
	X(F_INODE, "inode", TYPE_NUMBER, UINT32_MAX)                                               \
	X(F_NAME, "name", TYPE_STRING, 0)                                                          \
	X(F_TO, "to", TYPE_STRING, 0)                                                              \
	X(F_OFFSET, "offset", TYPE_NUMBER, UINT64_MAX)                                             \
	X(F_BEGIN, "begin", TYPE_NUMBER, UINT64_MAX)                                               \
	X(F_SIZE, "size", TYPE_NUMBER, UINT64_MAX)                                                 \
	X(F_DATA, "data", TYPE_HEX, 0)                                                             \
	X(F_HASH, "hash", TYPE_HEX, 0)                                                             \
	X(F_WHY, "why", TYPE_STRING, 0)                                                            \
	X(F_LINK, "link", TYPE_FLAG, 0)                                                            \
	X(F_DATA_ONLY, "data-only", TYPE_FLAG, 0)                                                  \
	X(F_SHARED, "shared", TYPE_FLAG, 0)                                                        \
	X(F_SHM, "shm", TYPE_FLAG, 0)                                                              \
	X(F_GONE, "gone", TYPE_FLAG, 0)                                                            \
	X(F_FAILED, "failed", TYPE_FLAG, 0)                                                        \
	X(F_SOURCE, "source", TYPE_STRING, 0)                                                      \
	X(F_SQL, "sql", TYPE_STRING, 0)                                                            \
	X(F_OPERATIONS, "operations", TYPE_NUMBER, UINT64_MAX)                                     \
	X(F_TORN, "torn", TYPE_NUMBER, UINT64_MAX)

enum field {
#define X(field, word, type, max) field,
	FIELDS(X)
#undef X
	    FIELD_COUNT
};

static const struct {
	const char *word;
	enum field_type type;
	uint64_t max;
} fields[FIELD_COUNT] = {
#define X(field, word, type, max) {word, type, max},
    FIELDS(X)
#undef X
};

static const char *const kind_words[OP_KIND_MAX + 1] = {
#define X(kind, num, word) [num] = (word),
    OP_KINDS(X)
#undef X
};

#define BIT(field) (1u << (field))

/* The fields of each sort of line. */
#define HEADER_FIELDS (BIT(F_SECTOR) | BIT(F_CHARACTERISTICS) | BIT(F_PRODUCER))
#define BASE_FIELDS                                                                                \
	(BIT(F_INODE) | BIT(F_NAME) | BIT(F_SIZE) | BIT(F_DATA) | BIT(F_HASH) | BIT(F_LINK))
#define END_FIELDS (BIT(F_OPERATIONS) | BIT(F_TORN))
#define OP_FIELDS                                                                                  \
	(BIT(F_PROCESS) | BIT(F_THREAD) | BIT(F_CONNECTION) | BIT(F_INODE) | BIT(F_NAME) |         \
	 BIT(F_TO) | BIT(F_OFFSET) | BIT(F_BEGIN) | BIT(F_SIZE) | BIT(F_DATA) | BIT(F_HASH) |      \
	 BIT(F_DATA_ONLY) | BIT(F_SHARED) | BIT(F_SHM) | BIT(F_GONE) | BIT(F_FAILED) | BIT(F_WHY))

/* ---- printing */

static void print_number(FILE *out, enum field f, uint64_t v)
{
	fprintf(out, " %s=%llu", fields[f].word, (unsigned long long)v);
}

static void print_bytes(FILE *out, enum field f, const uint8_t *s, uint64_t size)
{
	fprintf(out, " %s=\"", fields[f].word);
	for (uint64_t i = 0; i < size; i++) {
		uint8_t c = s[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void print_string(FILE *out, enum field f, const char *s)
{
	print_bytes(out, f, (const uint8_t *)s, strlen(s));
}

static void print_data(FILE *out, const uint8_t *data, uint64_t size, bool with_data)
{
	print_number(out, F_SIZE, size);
	if (size == 0)
		return;
	if (!with_data) {
		fprintf(out, " %s=%016llx", fields[F_HASH].word,
			(unsigned long long)hash64(data, size, 0));
		return;
	}
	fprintf(out, " %s=", fields[F_DATA].word);
	for (uint64_t i = 0; i < size; i++)
		fprintf(out, "%02x", data[i]);
}

static void print_flags(FILE *out, uint8_t flags)
{
	if ((flags & OP_SYNC_DATA) != 0)
		fprintf(out, " %s", fields[F_DATA_ONLY].word);
	if ((flags & OP_LOCK_SHARED) != 0)
		fprintf(out, " %s", fields[F_SHARED].word);
	if ((flags & OP_LOCK_SHM) != 0)
		fprintf(out, " %s", fields[F_SHM].word);
	if ((flags & OP_LOCK_GONE) != 0)
		fprintf(out, " %s", fields[F_GONE].word);
	if ((flags & OP_SYNC_FAILED) != 0)
		fprintf(out, " %s", fields[F_FAILED].word);
}

void trace_print_op(const struct trace *t, uint64_t position, bool with_data, FILE *out)
{
	const struct op *op = trace_at(t, position);

	fprintf(out, "%llu %s", (unsigned long long)position, kind_words[op->kind]);
	if (op->process != 0)
		print_number(out, F_PROCESS, op->process);
	if (op->thread != 0)
		print_number(out, F_THREAD, op->thread);
	if (op->connection != 0)
		print_number(out, F_CONNECTION, op->connection);
	if (op->inode != 0)
		print_number(out, F_INODE, op->inode);
	if (op->name != 0)
		print_string(out, F_NAME, t->names[op->name]);
	if (op->name2 != 0)
		print_string(out, F_TO, t->names[op->name2]);
	switch (op->kind) {
	case OP_WRITE:
		print_number(out, F_OFFSET, op->offset);
		print_data(out, op->data, op->size, with_data);
		break;
	case OP_MARK:
	case OP_OUTPUT:
		print_data(out, op->data, op->size, with_data);
		break;
	case OP_HOLE: /* our own words, so always shown */
		print_bytes(out, F_WHY, op->data, op->size);
		break;
	case OP_TRUNCATE:
		print_number(out, F_SIZE, op->size);
		break;
	case OP_LOCK:
	case OP_UNLOCK:
		print_number(out, F_OFFSET, op->offset);
		print_number(out, F_SIZE, op->size);
		break;
	case OP_SYNC_END:
	case OP_DIRSYNC_END:
		print_number(out, F_BEGIN, op->offset);
		break;
	default:
		break;
	}
	print_flags(out, op->flags);
	fputc('\n', out);
}

/* A comment: what a write was about, not what it was. */
static void print_statement(const struct trace_statement *st, FILE *out)
{
	fprintf(out, "#");
	print_number(out, F_PROCESS, st->process);
	print_number(out, F_CONNECTION, st->connection);
	if (st->source[0] != '\0')
		print_string(out, F_SOURCE, st->source);
	print_string(out, F_SQL, st->sql);
	fputc('\n', out);
}

void trace_print(const struct trace *t, bool with_data, FILE *out)
{
	uint32_t appeared = 0;

	fprintf(out, "trace %d", TRACE_FORMAT);
	print_number(out, F_SECTOR, t->device.sector_size_bytes);
	fprintf(out, " %s=0x%x", fields[F_CHARACTERISTICS].word, t->device.characteristics);
	print_string(out, F_PRODUCER, t->producer);
	fputc('\n', out);
	for (size_t i = 0; i < t->base_count; i++) {
		const struct trace_base *base = &t->base[i];

		fprintf(out, "base");
		print_number(out, F_INODE, base->inode);
		print_string(out, F_NAME, t->names[base->name]);
		if (base->inode <= appeared)
			fprintf(out, " %s", fields[F_LINK].word);
		else
			print_data(out, base->data, base->size, with_data);
		appeared = base->inode > appeared ? base->inode : appeared;
		fputc('\n', out);
	}
	size_t statement = 0;
	for (uint64_t p = 1; p <= t->op_count; p++) {
		for (; statement < t->statement_count && t->statements[statement].position < p;
		     statement++)
			print_statement(&t->statements[statement], out);
		trace_print_op(t, p, with_data, out);
	}
	fprintf(out, "end");
	print_number(out, F_OPERATIONS, t->op_count);
	if (t->torn)
		print_number(out, F_TORN, t->torn_size_bytes);
	fputc('\n', out);
}

/* ---- parsing */

struct parser {
	const char *at, *line_end, *text_end;
	size_t line;
	struct trace *t;
	struct err *err;
	bool ended;

	/* The fields of the current line. */
	uint32_t have;
	uint64_t number[FIELD_COUNT];
	struct buf bytes[FIELD_COUNT]; /* strings and hex */
};

static int bad(struct parser *p, const char *why)
{
	return err_set(p->err, ERR_INPUT, "line %zu: %s", p->line, why);
}

static int bad_word(struct parser *p, const char *why, const char *word, size_t size)
{
	int cut = size > 40 ? 40 : (int)size;

	return err_set(p->err, ERR_INPUT, "line %zu: %s '%.*s'", p->line, why, cut, word);
}

/* Reads digits up to a blank or the end of the line. */
static int parse_number(struct parser *p, uint64_t max, uint64_t *ret)
{
	const char *start = p->at;
	unsigned base = 10;
	uint64_t v = 0;
	size_t digits = 0;

	if (p->line_end - p->at > 2 && p->at[0] == '0' && p->at[1] == 'x') {
		base = 16;
		p->at += 2;
	}
	for (; p->at < p->line_end && *p->at != ' '; p->at++, digits++) {
		char c = *p->at;
		unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
			     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
						    : 16;

		if (d >= base || v > (max - d) / base)
			return bad_word(p, "not a number, or too large:", start,
					(size_t)(p->line_end - start));
		v = v * base + d;
	}
	if (digits == 0)
		return bad(p, "a number is missing");
	*ret = v;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Two hexadecimal digits at `at`, or -1. */
static int hex_byte(const struct parser *p, const char *at)
{
	int high, low;

	if (p->line_end - at < 2)
		return -1;
	high = hex_digit(at[0]);
	low = hex_digit(at[1]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static int parse_hex(struct parser *p, struct buf *ret)
{
	while (p->at < p->line_end && *p->at != ' ') {
		int byte = hex_byte(p, p->at);

		if (byte < 0)
			return bad(p, "hexadecimal digits come in pairs of 0-9 and a-f");
		buf_put_u8(ret, (uint8_t)byte);
		p->at += 2;
	}
	return 0;
}

/* A string in quotes, where \" \\ and \xHH stand for themselves; never a zero byte. */
static int parse_string(struct parser *p, struct buf *ret)
{
	if (p->at == p->line_end || *p->at++ != '"')
		return bad(p, "a string starts with a quote");
	while (p->at < p->line_end && *p->at != '"') {
		int c = (unsigned char)*p->at++;

		if (c == '\\') {
			if (p->at == p->line_end)
				break;
			c = (unsigned char)*p->at++;
			if (c == 'x') {
				c = hex_byte(p, p->at);
				p->at += c < 0 ? 0 : 2;
			} else if (c != '"' && c != '\\') {
				c = -1;
			}
		}
		if (c <= 0)
			return bad(p, "a bad escape or a zero byte in a string");
		buf_put_u8(ret, (uint8_t)c);
	}
	if (p->at == p->line_end)
		return bad(p, "a string without its closing quote");
	p->at++;
	return 0;
}

static int parse_field(struct parser *p, uint32_t allowed)
{
	const char *word = p->at;
	enum field f = 0;
	size_t size = 0;

	while (word + size < p->line_end && word[size] != ' ' && word[size] != '=')
		size++;
	while (f < FIELD_COUNT &&
	       (strlen(fields[f].word) != size || memcmp(fields[f].word, word, size) != 0))
		f++;
	if (f == FIELD_COUNT || (allowed & BIT(f)) == 0)
		return bad_word(p, "unknown here:", word, size);
	if ((p->have & BIT(f)) != 0)
		return bad_word(p, "twice:", word, size);
	if (f == F_HASH)
		return bad(p, "only the form with data= can be read, not hash=");
	p->have |= BIT(f);
	p->at += size;
	if (fields[f].type == TYPE_FLAG)
		return 0;
	if (p->at == p->line_end || *p->at++ != '=')
		return bad_word(p, "without a value:", word, size);
	if (fields[f].type == TYPE_NUMBER)
		return parse_number(p, fields[f].max, &p->number[f]);
	if (fields[f].type == TYPE_STRING)
		return parse_string(p, &p->bytes[f]);
	return parse_hex(p, &p->bytes[f]);
}

/* The rest of the line: fields, a blank before each. What is absent is 0. */
static int parse_fields(struct parser *p, uint32_t allowed)
{
	p->have = 0;
	for (int f = 0; f < FIELD_COUNT; f++) {
		p->number[f] = 0;
		buf_clear(&p->bytes[f]);
	}
	while (p->at < p->line_end) {
		int rc;

		if (*p->at++ != ' ')
			return bad(p, "a blank is missing between two fields");
		rc = parse_field(p, allowed);
		if (rc != 0)
			return rc;
	}
	if (p->bytes[F_DATA].size > 0 && p->number[F_SIZE] != p->bytes[F_DATA].size)
		return bad(p, "data= has another number of bytes than size= says");
	return 0;
}

/* Takes `word` off the line; false if the line goes on differently. */
static bool skip_word(struct parser *p, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(p->line_end - p->at) < size || memcmp(p->at, word, size) != 0)
		return false;
	if (p->at + size < p->line_end && p->at[size] != ' ')
		return false;
	p->at += size;
	return true;
}

static int parse_header(struct parser *p)
{
	struct trace_device device;
	uint64_t format = 0;
	const char *producer;
	int rc;

	if (!skip_word(p, "trace") || p->at == p->line_end)
		return bad(p, "the first line is not 'trace 1 ...'");
	p->at++;
	rc = parse_number(p, UINT64_MAX, &format);
	if (rc != 0)
		return rc;
	if (format > TRACE_FORMAT)
		return err_set(p->err, ERR_INPUT,
			       "line %zu: format %llu is newer than this program reads (%d)",
			       p->line, (unsigned long long)format, TRACE_FORMAT);
	if (format != TRACE_FORMAT)
		return bad(p, "there is no such format");
	rc = parse_fields(p, HEADER_FIELDS);
	if (rc != 0)
		return rc;
	device.sector_size_bytes = (uint32_t)p->number[F_SECTOR];
	device.characteristics = (uint32_t)p->number[F_CHARACTERISTICS];
	producer = buf_str(&p->bytes[F_PRODUCER]);
	p->t = trace_create(device, producer);
	if (strcmp(p->t->producer, producer) != 0)
		return bad(p, "the producer is not one short line");
	return 0;
}

/* The name's number, or 0 with an error. */
static uint32_t name_of(struct parser *p, enum field f)
{
	uint32_t name = trace_name(p->t, buf_str(&p->bytes[f]));

	if (name == 0)
		bad(p, "a name that is not an absolute path, or one too many");
	return name;
}

static int parse_base(struct parser *p)
{
	int rc = parse_fields(p, BASE_FIELDS);
	bool is_link = (p->have & BIT(F_LINK)) != 0;
	uint64_t inode = p->number[F_INODE];
	uint32_t name;

	if (rc != 0)
		return rc;
	if (p->t->op_count > 0)
		return bad(p, "the base comes before the first operation");
	if (p->number[F_SIZE] != p->bytes[F_DATA].size || (is_link && p->number[F_SIZE] != 0))
		return bad(p, "a base file whose data is not its size");
	if (is_link ? inode < 1 || inode > p->t->inode_count : inode != p->t->inode_count + 1)
		return bad(p, "a base file with an inode out of order");
	/* Before the first operation, only base files have put names into the table. */
	if (trace_find_name(p->t, buf_str(&p->bytes[F_NAME])) != 0)
		return bad(p, "a base file without a name of its own");
	name = name_of(p, F_NAME);
	if (name == 0)
		return ERR_INPUT;
	if (!is_link && trace_new_inode(p->t) == 0)
		return bad(p, "one inode too many");
	trace_add_base(p->t, (uint32_t)inode, name, is_link ? NULL : p->bytes[F_DATA].data,
		       p->number[F_SIZE]);
	return 0;
}

static int parse_op(struct parser *p)
{
	struct err why = ERR_INIT;
	struct op op = {0};
	uint64_t position = 0;
	int rc = parse_number(p, UINT64_MAX, &position);

	if (rc != 0)
		return rc;
	if (position != p->t->op_count + 1)
		return bad(p, "an operation out of order");
	if (p->at < p->line_end)
		p->at++;
	for (op.kind = 1; op.kind <= OP_KIND_MAX; op.kind++)
		if (skip_word(p, kind_words[op.kind]))
			break;
	if (op.kind > OP_KIND_MAX)
		return bad_word(p, "unknown operation", p->at, (size_t)(p->line_end - p->at));
	rc = parse_fields(p, OP_FIELDS);
	if (rc != 0)
		return rc;

	op.process = (uint16_t)p->number[F_PROCESS];
	op.thread = (uint16_t)p->number[F_THREAD];
	op.connection = (uint16_t)p->number[F_CONNECTION];
	op.inode = (uint32_t)p->number[F_INODE];
	if ((p->have & BIT(F_NAME)) != 0 && (op.name = name_of(p, F_NAME)) == 0)
		return ERR_INPUT;
	if ((p->have & BIT(F_TO)) != 0 && (op.name2 = name_of(p, F_TO)) == 0)
		return ERR_INPUT;
	op.offset = p->number[F_OFFSET];
	if (op.kind == OP_SYNC_END || op.kind == OP_DIRSYNC_END) {
		if ((p->have & BIT(F_OFFSET)) != 0)
			return bad(p, "the end of a sync has begin=, not offset=");
		op.offset = p->number[F_BEGIN];
	} else if ((p->have & BIT(F_BEGIN)) != 0) {
		return bad(p, "only the end of a sync has begin=");
	}
	op.size = p->number[F_SIZE];
	if (p->bytes[F_DATA].size > 0) {
		if (!op_has_data(&op) || op.kind == OP_HOLE)
			return bad(p, "data= where none belongs");
		op.data = p->bytes[F_DATA].data;
	}
	if (op.kind == OP_HOLE) {
		if ((p->have & BIT(F_SIZE)) != 0)
			return bad(p, "a hole has why=, not size=");
		op.size = p->bytes[F_WHY].size;
		op.data = p->bytes[F_WHY].data;
	} else if ((p->have & BIT(F_WHY)) != 0) {
		return bad(p, "only a hole has why=");
	}
	op.flags = (uint8_t)(((p->have & BIT(F_DATA_ONLY)) != 0 ? OP_SYNC_DATA : 0) |
			     ((p->have & BIT(F_SHARED)) != 0 ? OP_LOCK_SHARED : 0) |
			     ((p->have & BIT(F_SHM)) != 0 ? OP_LOCK_SHM : 0) |
			     ((p->have & BIT(F_GONE)) != 0 ? OP_LOCK_GONE : 0) |
			     ((p->have & BIT(F_FAILED)) != 0 ? OP_SYNC_FAILED : 0));
	if (op.kind == OP_CREATE && op.inode == p->t->inode_count + 1 && trace_new_inode(p->t) == 0)
		return bad(p, "one inode too many");
	if (trace_check_op(p->t, &op, &why) != 0)
		return bad(p, why.message);
	trace_append(p->t, &op);
	return 0;
}

static int parse_end(struct parser *p)
{
	int rc = parse_fields(p, END_FIELDS);

	if (rc != 0)
		return rc;
	if (p->number[F_OPERATIONS] != p->t->op_count)
		return bad(p, "'end' counts other operations than there are");
	p->t->torn = (p->have & BIT(F_TORN)) != 0;
	p->t->torn_size_bytes = p->number[F_TORN];
	p->ended = true;
	return 0;
}

static int parse_line(struct parser *p)
{
	if (p->at == p->line_end || *p->at == '#')
		return 0;
	if (p->ended)
		return bad(p, "a line after 'end'");
	if (p->t == NULL)
		return parse_header(p);
	if (skip_word(p, "base"))
		return parse_base(p);
	if (skip_word(p, "end"))
		return parse_end(p);
	return parse_op(p);
}

int trace_parse_text(const char *text, size_t size, struct trace **ret_trace, struct err *err)
{
	struct parser p = {.text_end = text + size, .err = err};
	const char *next = text;
	int rc = 0;

	while (rc == 0 && next < p.text_end) {
		const char *newline = memchr(next, '\n', (size_t)(p.text_end - next));

		p.line++;
		p.at = next;
		p.line_end = newline == NULL ? p.text_end : newline;
		next = newline == NULL ? p.text_end : newline + 1;
		rc = parse_line(&p);
	}
	if (rc == 0 && !p.ended)
		rc = bad(&p, "the text ends before its 'end' line");
	if (rc == 0) {
		*ret_trace = p.t;
		p.t = NULL;
	}
	trace_free(p.t);
	for (int f = 0; f < FIELD_COUNT; f++)
		buf_release(&p.bytes[f]);
	return rc;
}
