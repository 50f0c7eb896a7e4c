/*
 * See strace_internal.h. The calls that read and change what a file holds.
 */
#include "faultinject/record/strace_internal.h"
#include "faultinject/trace.h"

#include <linux/falloc.h>
#include <string.h>

/* ---- writing ---- */

/* The bytes of a write; false, with an error, when they are not all shown. */
static bool get_bytes(struct importer *m, const struct strace_call *c, uint64_t size,
		      struct buf *ret)
{
	struct span arg = strace_arg(&c->run->args, 1);
	bool cut = false, ok;

	buf_clear(ret);
	ok = arg.size > 0 && arg.p[0] == '[' ? strace_arg_strings(arg, "iov_base=", ret, &cut)
					     : strace_arg_string(arg, ret, &cut);
	if (ok && ret->size >= size)
		return true;
	importer_fail(m, ERR_INPUT, "%s",
		      cut ? "the data that was written is cut: run strace with a larger -s"
			  : "the data that was written is not shown");
	return false;
}

static bool at_own_offset(enum strace_name name)
{
	return name == ST_WRITE || name == ST_WRITEV || name == ST_READ || name == ST_READV;
}

/* Where a write of `size` bytes stands. */
static bool get_place(struct importer *m, struct task *t, const struct strace_call *c,
		      uint64_t size, uint64_t *ret)
{
	const struct strace_run *run = c->run;
	const struct desc *d = run->desc;
	const struct file *f = d->file;
	struct span flags = strace_arg(&run->args, 4);
	int64_t given = at_own_offset(c->name) ? -1 : strace_number(run, 3);
	bool appends = d->appends || strace_arg_has(flags, "RWF_APPEND");

	if (appends && !strace_arg_has(flags, "RWF_NOAPPEND")) {
		if (!f->size_known) {
			importer_trouble(
			    m, t, f, "bytes were appended to %s, whose size is not shown", f->path);
			return false;
		}
		*ret = f->size;
	} else if (given >= 0) {
		*ret = (uint64_t)given;
	} else if (d->offset_known) {
		*ret = d->offset;
	} else {
		importer_trouble(m, t, f, "where %s was written is not shown", f->path);
		return false;
	}
	if (*ret > TRACE_FILE_SIZE_MAX - size || size > TRACE_FILE_SIZE_MAX) {
		importer_fail(m, ERR_INPUT, "a write at byte %llu", (unsigned long long)*ret);
		return false;
	}
	return true;
}

static void put_write(struct importer *m, struct task *t, struct strace_call *c, bool perhaps)
{
	const struct strace_run *run = c->run;
	struct file *f = strace_run_file(run);
	struct span flags = strace_arg(&run->args, 4);
	uint64_t size = perhaps ? 0 : (uint64_t)c->result, offset;
	struct call *call;

	if (!get_bytes(m, c, size, &m->scratch))
		return;
	if (perhaps)
		size = m->scratch.size;
	if (size == 0 || !get_place(m, t, c, size, &offset))
		return;
	call = importer_call(m, CALL_WRITE, t, f);
	call->offset = offset;
	call->data_size = (size_t)size;
	call->data = importer_data(m, m->scratch.data, (size_t)size);
	if (run->desc->dsync || strace_arg_has(flags, "RWF_DSYNC") ||
	    strace_arg_has(flags, "RWF_SYNC"))
		call->flags |= CALL_DSYNC;
	if (perhaps) {
		call->flags |= CALL_PERHAPS;
		strace_file_doubt(m, f, m->list->count - 1);
	} else {
		strace_file_write(f, offset, call->data, (size_t)size);
	}
	if (at_own_offset(c->name) || (c->name == ST_PWRITEV2 && strace_number(run, 3) == -1)) {
		run->desc->offset = offset + size;
		run->desc->offset_known = !perhaps;
	}
}

static void put_truncate(struct importer *m, struct task *t, struct file *f, int64_t size,
			 bool perhaps)
{
	struct call *call;

	if (size < 0 || (uint64_t)size > TRACE_FILE_SIZE_MAX) {
		importer_fail(m, ERR_INPUT, "a size that is not shown, or that no file has");
		return;
	}
	call = importer_call(m, CALL_TRUNCATE, t, f);
	call->length = (uint64_t)size;
	if (perhaps) {
		call->flags |= CALL_PERHAPS;
		strace_file_doubt(m, f, m->list->count - 1);
	} else {
		strace_file_truncate(f, (uint64_t)size);
	}
}

static void truncate_path(struct importer *m, struct task *t, struct strace_call *c, bool perhaps)
{
	struct name *n;

	if (!strace_one_path(m, t, c, true, &m->scratch))
		return;
	enum part part = strace_part(m, buf_str(&m->scratch));

	if (part == PART_NONE || part == PART_SHM)
		return;
	n = strace_name_get(m, buf_str(&m->scratch));
	if (n == NULL)
		return;
	if (n->file == NULL)
		(void)strace_file_create(m, t, n, EXISTED_YES);
	put_truncate(m, t, n->file, strace_number(c->run, 1), perhaps);
}

static uint32_t allocate_mode(struct span arg)
{
	static const struct {
		const char *word;
		uint32_t bit;
	} modes[] = {
	    {"FALLOC_FL_KEEP_SIZE", FALLOC_FL_KEEP_SIZE},
	    {"FALLOC_FL_PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE},
	    {"FALLOC_FL_COLLAPSE_RANGE", FALLOC_FL_COLLAPSE_RANGE},
	    {"FALLOC_FL_ZERO_RANGE", FALLOC_FL_ZERO_RANGE},
	    {"FALLOC_FL_INSERT_RANGE", FALLOC_FL_INSERT_RANGE},
	    {"FALLOC_FL_UNSHARE_RANGE", FALLOC_FL_UNSHARE_RANGE},
	};
	uint32_t mode = 0;

	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strace_arg_has(arg, modes[i].word))
			mode |= modes[i].bit;
	return mode;
}

static void put_allocate(struct importer *m, struct task *t, struct strace_call *c, bool perhaps)
{
	struct file *f = strace_run_file(c->run);
	int64_t offset = strace_number(c->run, 2), length = strace_number(c->run, 3);
	uint32_t mode = allocate_mode(strace_arg(&c->run->args, 1));
	struct call *call;

	if (offset < 0 || length < 0 || (uint64_t)offset > TRACE_FILE_SIZE_MAX ||
	    (uint64_t)length > TRACE_FILE_SIZE_MAX) {
		importer_fail(m, ERR_INPUT, "fallocate() of a range that is not shown");
		return;
	}
	call = importer_call(m, CALL_ALLOCATE, t, f);
	call->offset = (uint64_t)offset;
	call->length = (uint64_t)length;
	call->mode = mode;
	if (perhaps)
		call->flags |= CALL_PERHAPS;
	f->changes++;
	/* What is known of the bytes is not kept up with those modes. */
	if (perhaps || (mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE) != 0)
		f->compares = false;
	else if (mode == 0 && f->size_known && (uint64_t)(offset + length) > f->size)
		f->size = (uint64_t)(offset + length);
}

/* ---- reading ---- */

void strace_bytes_read(struct importer *m, struct task *t, struct strace_call *c)
{
	const struct strace_run *run = c->run;
	struct file *f = strace_run_file(run);
	struct span arg = strace_arg(&run->args, 1);
	uint64_t size = (uint64_t)c->result, offset;
	int64_t asked = -1, given = strace_number(run, 3);
	bool cut;

	if (at_own_offset(c->name) || (c->name == ST_PREADV2 && given == -1)) {
		if (!run->desc->offset_known)
			return;
		offset = run->desc->offset;
		run->desc->offset += size;
	} else if (given >= 0) {
		offset = (uint64_t)given;
	} else {
		return;
	}
	if (offset > TRACE_FILE_SIZE_MAX - size || f->writing > 0 || f->changes != run->changes)
		return;
	buf_clear(&m->scratch);
	if (arg.size > 0 && arg.p[0] == '[')
		(void)strace_arg_strings(arg, "iov_base=", &m->scratch, &cut);
	else if (strace_arg_string(arg, &m->scratch, &cut))
		asked = strace_number(run, 2);
	if (m->scratch.size < size)
		size = m->scratch.size; /* the part that is shown; the rest stays unread */
	if (size > 0)
		strace_file_has_bytes(m, t, f, offset, m->scratch.data, (size_t)size);
	/* Less than was asked for: the file ends there. */
	if (c->result < asked && (c->result > 0 || offset == 0))
		strace_file_has_size(m, t, f, offset + (uint64_t)c->result);
}

/* ---- all of them ---- */

bool strace_is_write(enum strace_name name)
{
	return name == ST_WRITE || name == ST_WRITEV || name == ST_PWRITE || name == ST_PWRITEV ||
	       name == ST_PWRITEV2;
}

/* What a change does that never returned, or, with `perhaps` false, that succeeded. */
void strace_change(struct importer *m, struct task *t, struct strace_call *c, bool perhaps)
{
	struct file *f = strace_run_file(c->run);

	switch (c->name) {
	case ST_FTRUNCATE:
		if (f != NULL)
			put_truncate(m, t, f, strace_number(c->run, 1), perhaps);
		break;
	case ST_FALLOCATE:
		if (f != NULL)
			put_allocate(m, t, c, perhaps);
		break;
	case ST_TRUNCATE:
		truncate_path(m, t, c, perhaps);
		break;
	case ST_RENAME:
	case ST_RENAMEAT:
	case ST_RENAMEAT2:
		strace_rename(m, t, c, perhaps);
		break;
	case ST_UNLINK:
	case ST_UNLINKAT:
		strace_unlink(m, t, c, perhaps);
		break;
	case ST_LINK:
	case ST_LINKAT:
		strace_link(m, t, c, perhaps);
		break;
	default:
		if (strace_is_write(c->name) && f != NULL)
			put_write(m, t, c, perhaps);
		break;
	}
}
