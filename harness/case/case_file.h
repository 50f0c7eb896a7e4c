/*
 * Case files and tokens: one crash state, replayable anywhere.
 *
 * A case file holds the subject, the trace, the crash point and the answers that led to the state,
 * and what was found there. Its token is "pp1-" and a hash of what was found and where (rule C1 in
 * case_file.c), so the same finding has the same token on every machine. Layout in case_file.c.
 * Untrusted when read.
 */
#ifndef CASE_CASE_FILE_H
#define CASE_CASE_FILE_H

#include "faultinject/base/err.h"
#include "faultinject/trace.h"
#include "harness/case/case_source.h"
#include "harness/case/subject.h"
#include "harness/judge/verdict.h"

enum {
	CASE_FORMAT = 1,
	CASE_TOKEN_SIZE = 128, /* with the final NUL; tokens have at most 120 characters */
	CASE_ANSWERS_MAX = 1 << 20,
};

/* Where case files go, and are looked up by token, when nobody says otherwise. */
#define CASES_DIRECTORY ".plugpull/cases"

struct case_state {
	uint64_t position; /* of the disk */
	uint64_t promise;  /* of the crash; later than the disk's where it lags behind (D8) */
	bool has_cut;	   /* the operation at `position` was cut after cut_bytes */
	uint64_t cut_bytes;
	uint32_t *answers;
	size_t answer_count;
	unsigned depth;	     /* 1; 2: recovery opened with all pragmas (crash during recovery) */
	bool representative; /* the sectors of one read were decided together */
	bool has_again;	     /* a second crash, after operation `again_position` of the recovery */
	uint64_t again_position;
	bool again_has_cut;
	uint64_t again_cut_bytes;
};

struct case_finding {
	char *oracle;
	enum grade grade;
	char *message;
};

struct case_file {
	struct subject *subject;    /* owned */
	struct trace *trace;	    /* owned */
	struct case_source *source; /* owned; NULL: the trace came from no scenario */
	struct case_state state;
	struct case_finding finding;
	char *plugpull_version, *sqlite_version; /* that found it */
};

void case_file_free(struct case_file *c); /* accepts NULL */

/* The token of a case. */
void case_file_token(const struct case_file *c, char ret_token[CASE_TOKEN_SIZE]);

/* Writes `directory`/TOKEN.ppcase (mode 0600, another name and rename), creating the directory and
 * its parents. A file that holds just that already is left alone; anything else is replaced, also
 * the same case with other words or another source beside it.
 * ERR_LIMIT: the case is larger than a reader accepts. */
int case_file_save(const struct case_file *c, const char *directory, struct err *err);

/* Reads a case from a path, or by token below `directory` (".plugpull/cases"); a name TOKEN.ppcase
 * that is no file here is looked for there, too. ERR_INPUT: neither a token nor a file, a format
 * this version cannot read, damage. */
int case_file_load(const char *token_or_path, const char *directory, struct case_file **ret_case,
		   struct err *err);
/* The same from memory, for fuzzing. */
int case_file_decode(const void *data, size_t size, struct case_file **ret_case, struct err *err);
void case_file_encode(const struct case_file *c, struct buf *ret);

#endif
