/*
 * Shared by log_read.c and log_said.c only.
 */
#ifndef RECORD_LOG_READ_INTERNAL_H
#define RECORD_LOG_READ_INTERNAL_H

#include "faultinject/base/buf.h"
#include "faultinject/record/call.h"
#include "faultinject/record/log.h"

#include <stdint.h>

struct begun;
struct named;

struct log_reader {
	struct named *names; /* of files */
	const uint8_t *map;
	uint64_t end; /* bytes of records */
	struct call_list *calls;
	struct begun *begun;
	struct buf output, marks; /* the files of the program's output and marks */
};

/* Appends what a record says as a call; valid until the next one. */
struct call *log_add_call(struct log_reader *r, const struct reclog_record *rec,
			  enum call_kind kind);
/* Appends CALL_TROUBLE; the text is copied. */
void log_add_trouble(struct log_reader *r, const char *text);

/* RECLOG_OUTPUT and RECLOG_MARK. */
void log_on_output(struct log_reader *r, const struct reclog_record *rec);
void log_on_marks(struct log_reader *r, const struct reclog_record *rec);
/* The content of a file that the recorder watched, into *ret; nothing when there is none. */
void log_read_watched(const char path[RECLOG_PATH_MAX], struct buf *ret);

#endif
