/*
 * What a program said while it was recorded: its output, and its marks. See log_read.h.
 */
#include "faultinject/record/log_read_internal.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The bytes that were new, as far as the file has them. */
static bool slice(const struct buf *file, const struct reclog_record *rec, const uint8_t **ret_data,
		  size_t *ret_size)
{
	uint64_t to = rec->length < file->size ? rec->length : file->size;

	if (rec->offset >= to)
		return false;
	*ret_data = file->data + rec->offset;
	*ret_size = (size_t)(to - rec->offset);
	return true;
}

void log_on_output(struct log_reader *r, const struct reclog_record *rec)
{
	struct call *c = log_add_call(r, rec, CALL_OUTPUT);

	if (c->data_size == 0 && slice(&r->output, rec, &c->data, &c->data_size))
		c->data =
		    memcpy(arena_alloc(&r->calls->arena, c->data_size), c->data, c->data_size);
}

static void on_mark_line(struct log_reader *r, const struct reclog_record *rec, const uint8_t *line,
			 size_t size)
{
	bool is_ack = size >= 3 && memcmp(line, "ack", 3) == 0 && (size == 3 || line[3] == ' ');
	bool is_mark = size >= 4 && memcmp(line, "mark", 4) == 0 && (size == 4 || line[4] == ' ');

	if (is_ack || is_mark) {
		struct call *c = log_add_call(r, rec, is_ack ? CALL_ACK : CALL_MARK);

		c->data =
		    size == 0 ? NULL : memcpy(arena_alloc(&r->calls->arena, size), line, size);
		c->data_size = size;
		return;
	}
	char *text = xasprintf("'%.*s' in $PLUGPULL_MARK is neither 'ack TEXT' nor 'mark TEXT'",
			       (int)(size < 60 ? size : 60), (const char *)line);

	log_add_trouble(r, text);
	free(text);
}

/* Only whole lines: what is cut by the end of the new bytes comes with the rest, so a record of
 * marks reaches back to the last line's begin. */
void log_on_marks(struct log_reader *r, const struct reclog_record *rec)
{
	uint64_t to = rec->length < r->marks.size ? rec->length : r->marks.size;
	uint64_t at = rec->offset < to ? rec->offset : to;

	if (rec->data_size > 0) { /* the extension's: the text itself */
		const uint8_t *data = (const uint8_t *)(rec + 1) + rec->path_size + rec->path2_size;

		on_mark_line(r, rec, data, rec->data_size);
		return;
	}
	while (at > 0 && r->marks.data[at - 1] != '\n')
		at--;
	while (at < to) {
		const uint8_t *line = r->marks.data + at;
		const uint8_t *end = memchr(line, '\n', (size_t)(to - at));

		if (end == NULL)
			return;
		on_mark_line(r, rec, line, (size_t)(end - line));
		at = (uint64_t)(end - r->marks.data) + 1;
	}
}

/* A file that the recorder watched; empty when there is none. */
void log_read_watched(const char path[RECLOG_PATH_MAX], struct buf *ret)
{
	uint8_t buffer[16384];
	ssize_t n;
	int fd;

	if (path[0] == '\0' || memchr(path, '\0', RECLOG_PATH_MAX) == NULL)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0)
		buf_append(ret, buffer, (size_t)n);
	if (fd >= 0)
		(void)close(fd);
}
