/*
 * See trace.h. The trace as bytes. All integers are little endian.
 *
 *   header
 *      0   8  magic "pptrace\n"
 *      8   4  format version, TRACE_FORMAT
 *     12   4  checksum of everything in the header after this field
 *     16   4  sector size that was reported to SQLite, bytes
 *     20   4  device characteristics that were reported, SQLITE_IOCAP_* bits
 *     24   4  length of the producer, bytes
 *     28   n  producer, one line, no terminator
 *
 *   records, until the end of the file
 *      0   4  length of the payload, bytes; never 0
 *      4   4  checksum of the payload
 *      8   n  payload; its first byte is the record type
 *
 *   payloads
 *      NAME       0 1 type = 1       1 n path; names count from 1 in the order of their records
 *      BASE       0 1 type = 2       1 3 zero       4 4 inode     8 4 name    12 8 size of file
 *      BASE_DATA  0 1 type = 3       1 n the next bytes of the latest BASE
 *      BASE_END   0 1 type = 4
 *      OP         0 1 type = 5       1 1 kind       2 1 flags     3 1 zero
 *                 4 2 process        6 2 thread     8 2 connection  10 2 zero
 *                12 4 inode         16 4 name      20 4 name2
 *                24 8 offset        32 8 size      40 n data (n = size where the kind has data)
 *      STATEMENT  0 1 type = 7       1 1 zero       2 2 process   4 2 thread  6 2 connection
 *                 8 2 length of the source (n)     10 n source   10+n m SQL
 *      END        0 1 type = 6       1 1 1 if the trace was torn    2 2 zero
 *                 4 8 operations    12 8 bytes that were cut from it
 *
 * Order: NAME anywhere before its first use; all BASE (each followed by its BASE_DATA), BASE_END,
 * all OP, with a STATEMENT before the first OP after it was run, END. A checksum is the low 32 bits
 * of XXH3 (seed 0).
 *
 * Why so: a record is appended by writing its payload and checksum first and its length last, so
 * that a writer that dies leaves either a whole record or a length of 0 in its preallocated file.
 * Hence the rules of reading:
 *   T1  A record that goes past the end of the input, or has length 0, is a torn tail: the trace
 *       is cut there. A missing END is one too, of 0 bytes.
 *   T2  Anything else that is wrong (checksum, type, order, a malformed operation, bytes after
 *       END) is damage, and refused with the byte offset of its record.
 *   T3  A tail torn before BASE_END leaves nothing usable, and is refused.
 *   T4  Nothing is allocated for a size that the remaining input does not back.
 * A damaged length that points past the end cannot be told from a tail (T1). The trace then says
 * that it is torn, and by how much; it never passes for whole.
 *
 * Not done here: files (trace_file.c), compression, appending to an existing file (whoever records
 * into a mapping writes these records itself), and the plausibility of the name space (see
 * trace.c).
 */
#include "faultinject/trace_bytes.h"

#include "faultinject/base/assert.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = {'p', 'p', 't', 'r', 'a', 'c', 'e', '\n'};

enum record_type {
	RECORD_NAME = 1,
	RECORD_BASE = 2,
	RECORD_BASE_DATA = 3,
	RECORD_BASE_END = 4,
	RECORD_OP = 5,
	RECORD_END = 6,
	RECORD_STATEMENT = 7,
};

enum {
	HEADER_SIZE = TRACE_HEADER_SIZE,
	HEADER_CHECKED_FROM = 16,
	RECORD_HEADER_SIZE = 8,
	BASE_SIZE = 20,
	OP_SIZE = 40, /* without the data */
	END_SIZE = 20,
	STATEMENT_SIZE = 10,	      /* without the texts */
	BASE_DATA_SIZE_MAX = 1 << 24, /* as written; any size is read */
};

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get_u32(const uint8_t *p)
{
	return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

static uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static void set_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
	return (uint32_t)hash64(data, size, 0);
}

/* ---- writing: a record is begun, its payload appended, and its header filled in at the end */

static size_t record_begin(struct buf *b, enum record_type type)
{
	size_t at = b->size;

	buf_put_u64(b, 0);
	buf_put_u8(b, (uint8_t)type);
	return at;
}

static void record_finish(struct buf *b, size_t at)
{
	size_t size = b->size - at - RECORD_HEADER_SIZE;

	ASSERT(size <= UINT32_MAX);
	set_u32(b->data + at, (uint32_t)size);
	set_u32(b->data + at + 4, checksum(b->data + at + RECORD_HEADER_SIZE, size));
}

static void encode_header(const struct trace *t, struct buf *b)
{
	size_t at = b->size;

	buf_append(b, magic, sizeof magic);
	buf_put_u32(b, TRACE_FORMAT);
	buf_put_u32(b, 0);
	buf_put_u32(b, t->device.sector_size_bytes);
	buf_put_u32(b, t->device.characteristics);
	buf_put_u32(b, (uint32_t)strlen(t->producer));
	buf_append(b, t->producer, strlen(t->producer));
	set_u32(b->data + at + 12,
		checksum(b->data + at + HEADER_CHECKED_FROM, b->size - at - HEADER_CHECKED_FROM));
}

static void encode_base(const struct trace_base *base, struct buf *b)
{
	size_t at = record_begin(b, RECORD_BASE);

	buf_append(b, "\0\0", 3);
	buf_put_u32(b, base->inode);
	buf_put_u32(b, base->name);
	buf_put_u64(b, base->size);
	record_finish(b, at);
	for (uint64_t done = 0; done < base->size;) {
		uint64_t n = base->size - done;

		if (n > BASE_DATA_SIZE_MAX)
			n = BASE_DATA_SIZE_MAX;
		at = record_begin(b, RECORD_BASE_DATA);
		buf_append(b, base->data + done, n);
		record_finish(b, at);
		done += n;
	}
}

static void encode_op(const struct op *op, struct buf *b)
{
	size_t at = record_begin(b, RECORD_OP);

	buf_put_u8(b, op->kind);
	buf_put_u8(b, op->flags);
	buf_put_u8(b, 0);
	buf_put_u16(b, op->process);
	buf_put_u16(b, op->thread);
	buf_put_u16(b, op->connection);
	buf_put_u16(b, 0);
	buf_put_u32(b, op->inode);
	buf_put_u32(b, op->name);
	buf_put_u32(b, op->name2);
	buf_put_u64(b, op->offset);
	buf_put_u64(b, op->size);
	if (op->data != NULL)
		buf_append(b, op->data, op->size);
	record_finish(b, at);
}

static void encode_statement(const struct trace_statement *st, struct buf *b)
{
	size_t at = record_begin(b, RECORD_STATEMENT);

	buf_put_u8(b, 0);
	buf_put_u16(b, st->process);
	buf_put_u16(b, st->thread);
	buf_put_u16(b, st->connection);
	buf_put_u16(b, (uint16_t)strlen(st->source));
	buf_append(b, st->source, strlen(st->source));
	buf_append(b, st->sql, strlen(st->sql));
	record_finish(b, at);
}

void trace_encode(const struct trace *t, struct buf *ret)
{
	size_t at, statement = 0;

	encode_header(t, ret);
	for (uint32_t i = 1; i <= t->name_count; i++) {
		at = record_begin(ret, RECORD_NAME);
		buf_append(ret, t->names[i], strlen(t->names[i]));
		record_finish(ret, at);
	}
	for (size_t i = 0; i < t->base_count; i++)
		encode_base(&t->base[i], ret);
	at = record_begin(ret, RECORD_BASE_END);
	record_finish(ret, at);
	for (size_t i = 0; i <= t->op_count; i++) {
		for (; statement < t->statement_count && t->statements[statement].position == i;
		     statement++)
			encode_statement(&t->statements[statement], ret);
		if (i < t->op_count)
			encode_op(&t->ops[i], ret);
	}
	at = record_begin(ret, RECORD_END);
	buf_put_u8(ret, t->torn);
	buf_put_u16(ret, 0);
	buf_put_u64(ret, t->op_count);
	buf_put_u64(ret, t->torn_size_bytes);
	record_finish(ret, at);
}

/* ---- reading */

/* BASE collects the content of one file before it is added; `want` > `have.size` means that
 * BASE_DATA must follow. */
struct reader {
	const uint8_t *data;
	size_t size;
	size_t at; /* of the current record */
	struct trace *t;
	struct err *err;

	bool in_base, ended;
	uint32_t base_inode, base_name;
	uint64_t base_want;
	struct buf base_have;
	uint8_t *name_is_base; /* by name index */
	size_t name_is_base_count;
};

static int damaged(struct reader *r, const char *why)
{
	return err_set(r->err, ERR_INPUT, "byte %zu: %s", r->at, why);
}

/* What can be said about the first bytes of a file, before the rest is read. */
int trace_check_magic(const uint8_t *data, size_t size, struct err *err)
{
	size_t n = size < sizeof magic ? size : sizeof magic;

	if (size == 0 || memcmp(data, magic, n) != 0)
		return err_set(err, ERR_INPUT, "byte 0: not a plugpull trace");
	if (size < HEADER_SIZE)
		return err_set(err, ERR_INPUT, "byte %zu: the file ends inside its header", size);
	if (get_u32(data + 8) > TRACE_FORMAT)
		return err_set(err, ERR_INPUT,
			       "byte 8: format %u is newer than this program reads (%d)",
			       get_u32(data + 8), TRACE_FORMAT);
	if (get_u32(data + 8) != TRACE_FORMAT)
		return err_set(err, ERR_INPUT, "byte 8: there is no format %u", get_u32(data + 8));
	return 0;
}

static int read_header(struct reader *r)
{
	struct trace_device device;
	uint32_t producer_size;
	char *producer;
	int rc = trace_check_magic(r->data, r->size, r->err);

	if (rc != 0)
		return rc;
	device.sector_size_bytes = get_u32(r->data + 16);
	device.characteristics = get_u32(r->data + 20);
	producer_size = get_u32(r->data + 24);
	if (producer_size > r->size - HEADER_SIZE)
		return err_set(r->err, ERR_INPUT, "byte %zu: the file ends inside its header",
			       r->size);
	if (get_u32(r->data + 12) != checksum(r->data + HEADER_CHECKED_FROM,
					      HEADER_SIZE - HEADER_CHECKED_FROM + producer_size))
		return err_set(r->err, ERR_INPUT, "byte 12: the checksum of the header is wrong");

	producer = xmalloc((size_t)producer_size + 1);
	memcpy(producer, r->data + HEADER_SIZE, producer_size);
	producer[producer_size] = '\0';
	r->t = trace_create(device, producer);
	r->at = HEADER_SIZE + producer_size;
	/* trace_create() keeps a producer as it is only if it is one line of a sane length. */
	if (strlen(r->t->producer) != producer_size ||
	    memcmp(r->t->producer, producer, producer_size) != 0)
		rc = err_set(r->err, ERR_INPUT, "byte 28: the producer is not one short line");
	free(producer);
	return rc;
}

static int read_name(struct reader *r, const uint8_t *p, size_t size)
{
	char path[TRACE_NAME_MAX + 1];

	if (size - 1 > TRACE_NAME_MAX || memchr(p + 1, '\0', size - 1) != NULL)
		return damaged(r, "a name that is too long or has a zero byte");
	memcpy(path, p + 1, size - 1);
	path[size - 1] = '\0';
	if (trace_find_name(r->t, path) != 0)
		return damaged(r, "a name that is there already");
	if (trace_name(r->t, path) == 0)
		return damaged(r, "a name that is not an absolute path, or one too many");
	return 0;
}

/* The content of the file is complete: hand it over. */
static void base_complete(struct reader *r)
{
	const uint8_t *content = r->base_have.data;

	trace_add_base(r->t, r->base_inode, r->base_name, r->base_want == 0 ? NULL : content,
		       r->base_want);
	buf_clear(&r->base_have);
	r->base_want = 0;
}

/* Notes that `name` is in the base; false if it was already. */
static bool claim_base_name(struct reader *r, uint32_t name)
{
	if (name >= r->name_is_base_count) {
		size_t count = 2 * (size_t)name + 64;

		r->name_is_base = xrealloc(r->name_is_base, count);
		memset(r->name_is_base + r->name_is_base_count, 0, count - r->name_is_base_count);
		r->name_is_base_count = count;
	}
	if (r->name_is_base[name])
		return false;
	r->name_is_base[name] = 1;
	return true;
}

static int read_base(struct reader *r, const uint8_t *p, size_t size)
{
	uint32_t inode, name;
	uint64_t want;

	if (size != BASE_SIZE || (p[1] | p[2] | p[3]) != 0)
		return damaged(r, "a malformed base file");
	inode = get_u32(p + 4);
	name = get_u32(p + 8);
	want = get_u64(p + 12);
	if (name < 1 || name > r->t->name_count || !claim_base_name(r, name))
		return damaged(r, "a base file without a name of its own");
	if (inode < 1 || inode > r->t->inode_count + 1)
		return damaged(r, "a base file with an inode out of order");
	if (inode <= r->t->inode_count && want != 0)
		return damaged(r, "a hard link of the base with content");
	if (want > TRACE_FILE_SIZE_MAX)
		return damaged(r, "a base file that is too large");
	/* T4 also bounds what the trace will hold; a file that is merely cut short ends here too,
	 * by T3. */
	if (want > r->size - r->at)
		return damaged(r, "the file ends inside its base, so nothing in it can be used");
	if (inode == r->t->inode_count + 1 && trace_new_inode(r->t) == 0)
		return damaged(r, "one inode too many");
	r->base_inode = inode;
	r->base_name = name;
	r->base_want = want;
	if (want == 0)
		base_complete(r);
	return 0;
}

static int read_base_data(struct reader *r, const uint8_t *p, size_t size)
{
	if (size < 2 || size - 1 > r->base_want - r->base_have.size)
		return damaged(r, "content that belongs to no base file");
	buf_append(&r->base_have, p + 1, size - 1);
	if (r->base_have.size == r->base_want)
		base_complete(r);
	return 0;
}

static int read_op(struct reader *r, const uint8_t *p, size_t size)
{
	struct op op = {0};
	struct err why = ERR_INIT;
	bool has_data;

	if (size < OP_SIZE || p[3] != 0 || get_u16(p + 10) != 0)
		return damaged(r, "a malformed operation");
	op.kind = p[1];
	op.flags = p[2];
	op.process = get_u16(p + 4);
	op.thread = get_u16(p + 6);
	op.connection = get_u16(p + 8);
	op.inode = get_u32(p + 12);
	op.name = get_u32(p + 16);
	op.name2 = get_u32(p + 20);
	op.offset = get_u64(p + 24);
	op.size = get_u64(p + 32);
	has_data = op_has_data(&op);
	/* Whether one from the future has data is not known here: trace_check_op() refuses it. */
	if (op.kind <= OP_KIND_MAX && size - OP_SIZE != (has_data ? op.size : 0))
		return damaged(r, "an operation whose data has another size than it says");
	if (has_data && op.size > 0)
		op.data = p + OP_SIZE;
	if (op.kind == OP_CREATE && op.inode == r->t->inode_count + 1 && trace_new_inode(r->t) == 0)
		return damaged(r, "one inode too many");
	if (trace_check_op(r->t, &op, &why) != 0)
		return damaged(r, why.message);
	trace_append(r->t, &op);
	return 0;
}

static int read_statement(struct reader *r, const uint8_t *p, size_t size)
{
	char source[TRACE_SQL_MAX + 1] = "", sql[TRACE_SQL_MAX + 1] = "";
	size_t source_size, sql_size;

	if (size < STATEMENT_SIZE || p[1] != 0)
		return damaged(r, "a malformed statement");
	source_size = get_u16(p + 8);
	if (source_size > size - STATEMENT_SIZE || source_size > TRACE_SQL_MAX)
		return damaged(r, "a malformed statement");
	sql_size = size - STATEMENT_SIZE - source_size;
	if (sql_size > TRACE_SQL_MAX || memchr(p + STATEMENT_SIZE, '\0', size - STATEMENT_SIZE))
		return damaged(r, "a statement that is too long or has a zero byte");
	if (r->t->statement_count == TRACE_STATEMENTS_MAX)
		return damaged(r, "one statement too many");
	memcpy(source, p + STATEMENT_SIZE, source_size);
	memcpy(sql, p + STATEMENT_SIZE + source_size, sql_size);
	trace_add_statement(r->t, &(struct trace_statement){.process = get_u16(p + 2),
							    .thread = get_u16(p + 4),
							    .connection = get_u16(p + 6),
							    .source = source,
							    .sql = sql});
	return 0;
}

static int read_end(struct reader *r, const uint8_t *p, size_t size)
{
	if (size != END_SIZE || p[1] > 1 || get_u16(p + 2) != 0)
		return damaged(r, "a malformed end record");
	if (get_u64(p + 4) != r->t->op_count)
		return damaged(r, "the end record counts other operations than there are");
	r->t->torn = p[1] == 1;
	r->t->torn_size_bytes = get_u64(p + 12);
	if (!r->t->torn && r->t->torn_size_bytes != 0)
		return damaged(r, "a malformed end record");
	r->ended = true;
	return 0;
}

static int read_record(struct reader *r, const uint8_t *p, size_t size)
{
	uint8_t type = p[0];

	if (r->ended)
		return damaged(r, "data after the end record");
	if (r->base_want != 0 && type != RECORD_BASE_DATA)
		return damaged(r, "a base file without all of its content");
	if (r->in_base ? type == RECORD_OP || type == RECORD_STATEMENT || type == RECORD_END
		       : type == RECORD_BASE || type == RECORD_BASE_DATA || type == RECORD_BASE_END)
		return damaged(r, "a record in the wrong part of the file");
	switch (type) {
	case RECORD_NAME:
		return read_name(r, p, size);
	case RECORD_BASE:
		return read_base(r, p, size);
	case RECORD_BASE_DATA:
		return read_base_data(r, p, size);
	case RECORD_BASE_END:
		r->in_base = false;
		return size == 1 ? 0 : damaged(r, "a malformed end of the base");
	case RECORD_OP:
		return read_op(r, p, size);
	case RECORD_STATEMENT:
		return read_statement(r, p, size);
	case RECORD_END:
		return read_end(r, p, size);
	default:
		return damaged(r, "a record of unknown type");
	}
}

/* The size of the whole record at `at`, header included; 0 if the tail is torn there (T1). */
static size_t whole_record(const uint8_t *data, size_t size, size_t at)
{
	uint32_t payload;

	if (size - at < RECORD_HEADER_SIZE)
		return 0;
	payload = get_u32(data + at);
	if (payload == 0 || payload > size - at - RECORD_HEADER_SIZE)
		return 0;
	return RECORD_HEADER_SIZE + (size_t)payload;
}

static int read_records(struct reader *r)
{
	while (r->at < r->size) {
		size_t n = whole_record(r->data, r->size, r->at);
		const uint8_t *p = r->data + r->at;
		int rc;

		if (n == 0 && r->ended)
			return damaged(r, "data after the end record");
		if (n == 0)
			break;
		if (get_u32(p + 4) != checksum(p + RECORD_HEADER_SIZE, n - RECORD_HEADER_SIZE))
			return damaged(r, "the checksum of the record is wrong");
		rc = read_record(r, p + RECORD_HEADER_SIZE, n - RECORD_HEADER_SIZE);
		if (rc != 0)
			return rc;
		r->at += n;
	}
	if (r->in_base)
		return damaged(r, "the file ends inside its base, so nothing in it can be used");
	if (!r->ended) {
		r->t->torn = true;
		r->t->torn_size_bytes = r->size - r->at;
	}
	return 0;
}

int trace_decode(const void *data, size_t size, struct trace **ret_trace, struct err *err)
{
	struct reader r = {.data = data, .size = size, .err = err, .in_base = true};
	int rc = read_header(&r);

	if (rc == 0)
		rc = read_records(&r);
	if (rc == 0) {
		*ret_trace = r.t;
		r.t = NULL;
	}
	trace_free(r.t);
	buf_release(&r.base_have);
	free(r.name_is_base);
	return rc;
}
