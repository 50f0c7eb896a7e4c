/*
 * What the parts of a story share while it is built; internal to harness/explain/story_*.c and
 * fixes.c.
 */
#ifndef EXPLAIN_STORY_INTERNAL_H
#define EXPLAIN_STORY_INTERNAL_H

#include "faultinject/crashdisk.h"
#include "faultinject/trace_index.h"
#include "harness/drive/disk_calls.h"
#include "harness/drive/examine.h"
#include "harness/drive/isolate.h"
#include "harness/explain/name_op.h"
#include "harness/explain/story_build.h"
#include "harness/lint/lint.h"

#include <jansson.h>

enum { TELLING_VERDICTS_MAX = 16 };

/* What the crash left of the journal and the log of one database. */
struct left_database {
	char *path;		 /* owned */
	char *name;		 /* owned: what stands behind the last slash */
	bool has_journal, hot;	 /* there; ... and SQLite would roll it back */
	uint32_t journal;	 /* the file of the trace that it is; 0: none, or a recovery's */
	bool damaged;		 /* ... but not all of its records hold */
	bool has_log;		 /* there, and not empty */
	uint64_t frames, commit; /* that count; up to the last commit */
	uint64_t frames_there;	 /* that lie in the file */
	bool rolled_back;	 /* recovery wrote to the database after a hot journal was found */
};

/* A PRAGMA that sets something. */
struct story_pragma {
	char name[32], value[32];
	size_t size; /* bytes of it: a comment may follow */
};

/* The last PRAGMA of a kind on the connection of a transaction before it, and the one before that:
 * indexes into the statements plus 1; 0: none was seen. */
struct story_seen {
	size_t now, before;
	char value[32], value_before[32];
};

struct telling {
	const struct case_file *c;
	const struct story_options *o;
	struct story *s;
	struct model model;
	struct trace_index *ix;	   /* owned */
	struct examiner *examiner; /* owned */
	const struct history *h;   /* the examiner's */
	struct op_names *names;	   /* owned */
	struct explore_point point;

	struct verdict verdicts[TELLING_VERDICTS_MAX];
	size_t verdict_count, verdict; /* the one that is told */
	bool again;		       /* the finding was there again */
	bool interrupted;	       /* what is known is told, and nothing more is tried */
	char *again_words;	       /* owned; what the second crash took; NULL: nothing */
	struct disk_calls calls;       /* owned */

	struct left_database *left; /* owned; beside the history's files */
	size_t left_count;
	bool matched; /* what was found is a legal state; `placed` says which */
	bool read;    /* what was found could be read */
	size_t placed[OBSERVED_FILES_MAX];

	const char *allowing[2]; /* static: keys of the settings that allow it */
	size_t allowing_count;

	size_t wrong; /* the first transaction that is: an index plus 1; 0: none */
	struct story_seen synchronous, journal_mode; /* of its connection */
	const struct story_seen *allowing_seen;	     /* the one of them that allows it; NULL */
	/* An invariant that the program itself breaks: between the commit of the transaction
	 * `broken_by` and the next one of its connection (numbers; 0: none). */
	size_t broken_by, broken_until;
	size_t found_state; /* ... and what was found is the state after this one */
	bool nothing_lost;  /* ... and all that had been written was on the disk */

	struct lint lint; /* owned */
	uint64_t spent;	  /* recoveries of proofs */
};

/* Appends to a list of the story. */
#define STORY_ADD(s, list, one)                                                                    \
	((s)->list = xgrow((s)->list, (s)->one##_count, &(s)->one##_cap, sizeof *(s)->list),       \
	 memset(&(s)->list[(s)->one##_count], 0, sizeof *(s)->list),                               \
	 &(s)->list[(s)->one##_count++])

/* A text of the story: one line, at most STORY_TEXT_MAX bytes. Owned by the caller. */
char *story_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void story_set(char **text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A path of the trace, as it is told: what a recorded program used is told from the folder of its
 * database on ("." is that folder), so that no story names a machine. Owned by the caller. */
char *story_path(const struct telling *t, const char *path);
/* A text with such paths in it, likewise. */
char *story_without_folder(const struct telling *t, const char *text);
/* The last part of a path; borrowed from it. */
const char *story_base_name(const char *path);
/* "1 page", "3 pages". Appended. */
void story_count(struct buf *out, uint64_t n, const char *one);
/* Item `i` of `n` is about to be appended: nothing, ", " or " and ". */
void story_comma(struct buf *out, size_t i, size_t n);
/* Appended: "5, 6, 9 to 12 and 40"; `numbers` ascend. Many are cut. */
void story_numbers(struct buf *out, const uint64_t *numbers, size_t count);

/* story_ops.c: files, operations, transactions, statements. */
int story_tell_ops(struct telling *t, struct err *err);
/* The story's operation at a position; NULL: it has none. */
struct story_op *story_op_at(struct story *s, uint64_t position);
/* The words of an operation, with its file where they do not name one. Owned by the caller. */
char *story_op_words(const struct telling *t, uint64_t position);
/* The last operation that is no lock at or before `position`; the first one behind it. 0: none. */
uint64_t story_op_before(const struct trace *t, uint64_t position);
uint64_t story_op_after(const struct trace *t, uint64_t position);

/* The statement that a transaction (a number) is known by: its first that is no BEGIN. NULL: none
 * was seen. */
const struct story_statement *story_first_statement(const struct story *s, size_t number);

/* story_settings.c: PRAGMAs that were seen. */
/* False: it is no PRAGMA, or sets nothing. */
bool story_pragma_read(const char *sql, struct story_pragma *ret);
/* A PRAGMA whose value is a setting of SQLite's, and no data of the program. */
bool story_pragma_is_setting(const char *name);
/* Finds the first transaction that is wrong, and what its connection was set to. */
void story_tell_settings(struct telling *t);
/* The program ran it, not our runner because the scenario's head says so. */
bool story_setting_is_own(const struct telling *t, const struct story_seen *seen);
/* Appended: which PRAGMA was run when (seen->now is not 0), and what it was until then. */
void story_put_setting(const struct telling *t, const char *key, const struct story_seen *seen,
		       struct buf *b);

/* story_sql.c: SQL with ? in place of literals, and without comments; values of SQLite's settings
 * stay. Owned by the caller. */
char *story_without_literals(const char *sql);

/* story_crash.c: the disk again without SQLite: decisions, fates, what was left, what recovery did.
 * `hold` is called while the disk stands as recovery left it. */
int story_tell_crash(struct telling *t, void (*hold)(struct telling *t, struct crashdisk *disk),
		     struct err *err);
/* The fates of the pending operations of the present run: for each operation of the story. */
enum story_fate story_fate_of(struct crashdisk *lowest, uint64_t position, uint32_t *ret_parts,
			      uint32_t *ret_kept);

/* story_recovery.c: what the crash left of journals and logs, in words. */

/* Bytes of a page of a database, as the program last wrote it down by the crash; 0: unknown. */
uint32_t story_page_size(const struct telling *t, const char *path);
void story_tell_left(struct telling *t, struct crashdisk *disk);

/* story_rows.c: what was found and what should be; presence and changes of transactions. */
void story_tell_rows(struct telling *t, struct crashdisk *disk);

/* story_states.c: the other states of the crash point. */
int story_tell_states(struct telling *t, struct err *err);

/* story_allowed.c: the setting or the disk that allows it. After the fixes. */
void story_tell_allowed(struct telling *t);

/* story_words.c: the sentences. After all else but the source. */
void story_tell_words(struct telling *t);

/* story_source.c: the scenario's lines. */
void story_tell_source(struct telling *t);
/* The line of a scenario's text whose @pragma or @matrix sets a key, from 1; 0: none does. */
int story_setting_line(const char *text, const char *key);
/* The path of the scenario, as it is told: of one that was given from the root of the file system,
 * which no report shows, the last part. Borrowed; "" when there is none. */
const char *story_source_name(const struct telling *t);
/* Is it a transaction that the crash took away, or left in pieces? */
bool story_is_wrong(const struct story *s, const struct story_transaction *x);

/* fixes.c */
int story_tell_fixes(struct telling *t, struct err *err);

/* How long other states may take (STORY_HANG_SECONDS, or less where the options say so). */
uint64_t story_hang_ns(const struct telling *t);
/* Runs `work` in a child, which may change the story; the parent takes over what it made of it.
 * *ret_died (initialised by the caller; may hold text): it ended otherwise, and the story is as it
 * was. ERR_HARNESS, ERR_INTERRUPTED. */
int story_in_child(struct telling *t,
		   void (*work)(struct telling *t, struct isolate *isolate, void *ctx), void *ctx,
		   struct isolate_death *ret_death, struct err *err);
/* The same; *ret_recoveries: how many the child had counted in its struct isolate. */
int story_in_child_counted(struct telling *t,
			   void (*work)(struct telling *t, struct isolate *isolate, void *ctx),
			   void *ctx, struct isolate_death *ret_death, uint64_t *ret_recoveries,
			   struct err *err);

#endif
